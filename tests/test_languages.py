"""English and Chinese: what one language has, the other has, and formulas, numbers, symbols and code are the same in both.

This is read from the source, so no lesson runs. A text that one language lacks, a formula that only one of them corrects, and a
value that is shown in one of them are all found here.
"""

import ast
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tinydx import language
from tinydx.lessons import all_lessons, glossary

ROOT = Path(__file__).parents[1]
LESSONS = [pytest.param(one, id=one.path.stem) for one in all_lessons()]
CHINESE = re.compile(r"[\u4e00-\u9fff]")
PAIRED = {"text": 0, "both": 0, "show": 1}  # the functions of a lesson that take both languages, and where


def written(node: ast.expr) -> tuple[str, list[str]]:
    """The words of a string as they stand in the source, and the expressions in its braces."""
    words, values = [], []
    for part in node.values if isinstance(node, ast.JoinedStr) else [node]:
        if isinstance(part, ast.FormattedValue):
            spec = ast.unparse(part.format_spec) if part.format_spec else ""
            values.append(re.sub(r"\.(en|zh)\b", "", f"{ast.unparse(part.value)}:{spec}"))
            words.append("{}")
        else:
            words.append(part.value)
    return "".join(words), values


def fixed(words: str) -> Counter:
    """What is the same in every language: formulas, code, numbers, and how many rows a table has and details there are."""
    found = re.findall(r"\$\$.+?\$\$|\$[^$\n]+\$|```.+?```|`[^`\n]+`", words, re.DOTALL)
    rest = re.sub(r"\$\$.+?\$\$|\$[^$\n]+\$|```.+?```|`[^`\n]+`", " ", words, flags=re.DOTALL)
    structure = [f"{len(re.findall(mark, words, re.MULTILINE))} x {mark}" for mark in (r"^ *\|", r"^ *///", r"^ *#", r"^ *- ")]
    return Counter({*found, *re.findall(r"\d+(?:[.,]\d+)*", rest), *structure})


def differences(english: ast.expr, chinese: ast.expr) -> list[str]:
    """How a pair of texts differs, in words."""
    (en, en_values), (zh, zh_values) = written(english), written(chinese)
    told = [f"only in English: {part}" for part in (Counter(en_values) - Counter(zh_values)) + (fixed(en) - fixed(zh))]
    told += [f"only in Chinese: {part}" for part in (Counter(zh_values) - Counter(en_values)) + (fixed(zh) - fixed(en))]
    if re.search("[a-z]{3}", re.sub(r"[$`].+?[$`]|{}", "", en)) and not CHINESE.search(zh):
        told.append(f"no Chinese in {zh.strip()[:60]!r}")
    return told + [f"Chinese in the English text: {en.strip()[:60]!r}"] * bool(CHINESE.search(en))


def pairs(source: str) -> list[tuple[int, ast.expr, ast.expr]]:
    """The pairs of texts in a lesson: line, English, Chinese."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in PAIRED:
            at = PAIRED[node.func.id]
            assert len(node.args) == at + 2, f"line {node.lineno}: {node.func.id} takes both languages"
            found.append((node.lineno, *node.args[at : at + 2]))
    return [pair for pair in found if all(isinstance(text, ast.Constant | ast.JoinedStr) for text in pair[1:])]


def labels(source: str) -> list[str]:
    """The labels of a lesson's controls, which show both languages."""
    calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call) and ast.unparse(n.func).startswith("mo.ui.")]
    given = [keyword.value for call in calls for keyword in call.keywords if keyword.arg == "label"]
    return [label.value for label in given if isinstance(label, ast.Constant)]


@pytest.mark.parametrize("one", LESSONS)
def test_a_lesson_says_the_same_in_both_languages(one):
    source = one.path.read_text("utf-8")
    found = pairs(source)
    assert len(found) > 4
    told = [f"line {line}: {words}" for line, en, zh in found for words in differences(en, zh)]
    assert told == []
    assert "mo.md(" not in source, "text(english, chinese) writes both languages"
    for label in labels(source):
        assert CHINESE.search(label) or not re.search("[a-z]{3}", label), f"in both languages: label={label!r}"
    assert not one.data or CHINESE.search(one.data_chinese)


@pytest.mark.parametrize(
    ("english", "chinese", "told"),
    [
        ("'the sum $a+b$'", "'和 $a-b$'", "$a+b$"),
        ("f'it took {x:.1f} ms'", "f'用了 {x:.2f} 毫秒'", "x:"),
        ("'3 of 4 are right'", "'4 个中对 2 个'", "3"),
        ("'call `f`'", "'调用 `g`'", "`f`"),
        ("'a text'", "'a text'", "no Chinese"),
        ("f'{term(\"kernel\")} moves'", "'卷积核移动'", "term"),
    ],
)
def test_what_differs_between_the_languages_is_found(english, chinese, told):
    parsed = [ast.parse(text, mode="eval").body for text in (english, chinese)]
    assert any(told in words for words in differences(*parsed))


def test_every_term_has_a_meaning_in_both_languages():
    for term in glossary.terms():
        assert term.meaning and CHINESE.search(term.chinese) and CHINESE.search(term.meaning_chinese), term


@pytest.mark.parametrize("file", sorted((ROOT / "tinydx" / "chinese").glob("*.json")), ids=lambda file: file.stem)
def test_a_catalogue_keeps_what_stands_in_braces_numbers_and_code(file):
    for english, chinese in json.loads(file.read_text("utf-8")).items():
        assert CHINESE.search(chinese), english
        named = [sorted(re.findall(r"{[^{}]*}", text)) for text in (english, chinese)]
        assert named[0] == named[1], english
        assert fixed(english) == fixed(chinese), english


def test_the_language_is_the_one_asked_for_then_the_environments(monkeypatch):
    for name in (language.VARIABLE, "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    assert language.chosen() == "en"
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert language.chosen() == "zh" and language.said("All exercises pass.") == "全部练习都已通过。"
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    assert language.chosen() == "en"
    with language.speaking("zh"):
        assert language.said("progress {count}", count="1/2") == "进度 1/2"
    assert language.chosen() == "en"


def test_the_title_of_a_folded_answer_is_not_joined_with_the_answer():
    """In Chinese a line's end is no space, but the line of the title ends where it ends."""
    pytest.importorskip("marimo", reason="not installed: marimo")
    from tinydx.lessons import page

    html = page.text("/// details | Answer\nYes.\n///", "/// details | 答案\n是的，\n是这样。\n///").text
    assert "<summary>答案</summary>" in html and "是的，是这样。" in html
