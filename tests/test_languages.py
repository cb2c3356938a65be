"""English and Chinese: what one language has, the other has, and formulas, numbers, symbols and code are the same in both.

This is read from the source, so no lesson runs. A text that one language lacks, a formula that only one of them corrects, and a
value that is shown in one of them are all found here.
"""

import argparse
import ast
import inspect
import io
import json
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tinydx import cli, language
from tinydx.exercises import Gradients, Result, all_exercises, check_file, commands, find
from tinydx.exercises.exercise import cut
from tinydx.exercises.folder import Folder
from tinydx.gradcheck import gradcheck
from tinydx.gradcheck.evidence import AXES
from tinydx.gradcheck.report import CANNOT_TELL, RIGHT, WRONG
from tinydx.help import MESSAGES
from tinydx.lessons import all_lessons, glossary
from tinydx.op import TABLE

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


# "少三倍" says nothing, and "多三倍" is four times to some readers and three to others: 三分之一, 四倍 are plain
UNCLEAR = re.compile(r"[少小低短慢快多大轻高长弱强][了出]?[ *`]*(?:\{.*?\}|[\d.,]+|[一二两三四五六七八九十百千]+|几) *倍")


def test_how_many_times_is_said_plainly_in_chinese():
    files = [one.path for one in all_lessons()]
    files += [path for places in ("tinydx/chinese/*.json", "*.zh.md", "docs/*.zh.md") for path in ROOT.glob(places)]
    told = {file.name: found for file in files if (found := UNCLEAR.findall(file.read_text("utf-8")))}
    assert told == {}
    assert UNCLEAR.search("少 {rows * columns} 倍") and UNCLEAR.search("快 **{slow:.0f} 倍**") and UNCLEAR.search("小十倍")
    assert not UNCLEAR.search("增大到 3 倍") and not UNCLEAR.search("速度是它的 {x:.1f} 倍")


def test_every_term_has_a_meaning_in_both_languages():
    for term in glossary.terms():
        assert term.meaning and CHINESE.search(term.chinese) and CHINESE.search(term.meaning_chinese), term


# ---- the catalogues ------------------------------------------------------------------------------------------------

CATALOGUES = {file.stem: json.loads(file.read_text("utf-8")) for file in (ROOT / "tinydx" / "chinese").glob("*.json")}
ROOMS = ("exercises", "exercises/milestones", "lessons", "gradcheck")  # whose texts are said in both languages
NAMED = ("said", "say", "sentence")  # functions that take an English text and its values
NAMES_THEMSELVES = {"float32"}  # the same in every language
UNREAD = ("repair", "edits", "unread", "moves", "changes")  # of the checker: they need a learner's source


def constants(node: ast.AST, known: dict[str, list[str]]) -> list[str]:
    """The texts that an expression may be: itself, either part of `a if b else c`, what a name was given."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.IfExp):
        return constants(node.body, known) + constants(node.orelse, known)
    return known.get(node.id, []) if isinstance(node, ast.Name) else []


def texts_of(source: str) -> set[str]:
    """The English texts in a module that are said in the reader's language: what those functions get, and names of mistakes."""
    tree, known, found = ast.parse(source), {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            known.setdefault(node.targets[0].id, []).extend(constants(node.value, {}))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            arguments = node.args[:2] if node.func.id == "Diagnosis" else node.args[:1] if node.func.id in NAMED else []
            found |= {text for argument in arguments for text in constants(argument, known)}
    return found


def said_texts() -> dict[str, str]:
    """Every English text of the course's commands, and where it is."""
    found = {}
    for room in ROOMS:
        for file in sorted((ROOT / "tinydx" / room).glob("*.py")):
            if file.stem not in UNREAD:
                found |= dict.fromkeys(texts_of(file.read_text("utf-8")), f"{room}/{file.name}")
    for name in ("suggestions.py", "language.py", "course.py", "cli.py"):
        found |= dict.fromkeys(texts_of((ROOT / "tinydx" / name).read_text("utf-8")), name)
    worker = ast.parse((ROOT / "tinydx" / "exercises" / "worker.py").read_text("utf-8"))  # which imports nothing of tinydx
    words = {node.value for node in ast.walk(worker) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    parts = {part.value for node in ast.walk(worker) if isinstance(node, ast.JoinedStr) for part in node.values[:1]}
    found |= dict.fromkeys((text for text in words - parts if text.startswith("an exercise ")), "exercises/worker.py")
    found |= dict.fromkeys((part for names in AXES.values() for name in names for part in (name, name.capitalize())), "AXES")
    found |= {text: f"op {op.name}" for op in TABLE.values() for slip in op.slips for text in (slip.name, slip.advice)}
    found |= dict.fromkeys((RIGHT, WRONG, CANNOT_TELL), "verdicts")
    found |= dict.fromkeys(MESSAGES, "argparse")
    for exercise in all_exercises():
        ops = [check.of for check in exercise.checks if isinstance(check, Gradients)]
        texts = [exercise.title, exercise.task, *exercise.hints, exercise.source or ops[0].source]
        texts += [text for bug in exercise.bugs for text in (bug.name, bug.advice)]
        texts += [text for op in ops for slip in op.slips for text in (slip.name, slip.advice)]
        found |= dict.fromkeys([*texts, *remarks(exercise.code)], exercise.file)
    return found | dict.fromkeys(help_texts(), "--help")


def remarks(code: str) -> list[str]:
    """The docstrings and comments of an exercise that say more than names and shapes."""
    tree = ast.parse(code)
    names = {str(getattr(node, a)) for node in ast.walk(tree) for a in ("id", "arg", "name") if hasattr(node, a)}
    docstrings = re.findall(r'"""(.*?)"""', code, re.DOTALL)
    shapeless = {d: set(re.findall("[A-Za-z]{3,}", re.sub(r"\w+ ?\(", "", d))) for d in docstrings}
    comments = [c for c in re.findall(r"# (.*)", cut(code)) if re.search("[a-z]{3}", c)]
    return [d for d, words in shapeless.items() if words - names] + comments


def help_texts() -> set[str]:
    """What `--help` prints of the course's commands, and in the list of all commands."""
    parser = cli.build_parser()
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    found = {"usage: ", *(words for part in commands._choices_actions for words in [part.help])}
    waiting = [parser, *(commands.choices[name] for name in ("lesson", "exercise", "gradcheck"))]
    for one in waiting:
        found |= {one.description, *(group.title for group in one._action_groups if group._group_actions)}
        for action in one._actions:
            found |= {action.help}
            if isinstance(action, argparse._SubParsersAction) and one is not parser:
                found |= {part.help for part in action._choices_actions}
                waiting += action.choices.values()
    return {text for text in found if text}


def formulas(words: str) -> set[str]:
    """What is written like code or a formula: words that have an operator, a bracket or an underscore in them."""
    words = re.sub(r"[\u3000-\u303f\uff00-\uffef\u4e00-\u9fff]", " ", words)
    return {w for w in (part.strip(".,;:?!()") for part in words.split()) if re.search(r"[_^*@=<>+\[\]/ᵀ]|\w\(", w)}


def disagreement(english: str, chinese: str) -> list[str]:
    """How a pair in a catalogue differs: in what stands in braces, in numbers, code and formulas; or no Chinese in it."""
    pairs = [(Counter(re.findall("{[^{}]*}", t)), fixed(t), Counter(formulas(t))) for t in (english, chinese)]
    told = [f"{part} not in both" for en, zh in zip(*pairs, strict=True) for part in (en - zh) + (zh - en)]
    is_text = re.search("[a-z]{4}", re.sub("{[^{}]*}", "", english)) and english not in NAMES_THEMSELVES
    return told + ["no Chinese"] * bool(is_text and not (CHINESE.search(chinese) or "，" in chinese or "。" in chinese))


@pytest.mark.parametrize("name", sorted(CATALOGUES))
def test_a_catalogue_keeps_what_stands_in_braces_numbers_formulas_and_code(name):
    assert {english: told for english, chinese in CATALOGUES[name].items() if (told := disagreement(english, chinese))} == {}


@pytest.mark.parametrize(
    ("english", "chinese", "told"),
    [
        ("{n} of {size} numbers", "{size} 个数", "{n}"),
        ("divide by 2", "除以 3", "2"),
        ("dx = dy * w: the product", "dx = dy + w：乘积", "*"),
        ("the slope is 1 - y**2", "斜率是 1 - y^2", "y**2"),
        ("with np.add.at(table, ids)", "用 np.add(table, ids)", "np.add.at"),
        ("call `f`", "调用 `g`", "`f`"),
        ("sum over it", "sum over it", "no Chinese"),
    ],
)
def test_what_differs_in_a_catalogue_is_found(english, chinese, told):
    assert any(told in words for words in disagreement(english, chinese))


def test_every_text_that_is_said_has_a_chinese_one_and_no_catalogue_has_more():
    texts = said_texts()
    known = {english for catalogue in CATALOGUES.values() for english in catalogue}
    needed = {text: where for text, where in texts.items() if re.search("[a-z]{2}", re.sub("{[^{}]*}", "", text))}
    assert {text: where for text, where in needed.items() if text not in known} == {}
    assert known - set(texts) == set()
    assert sum(map(len, CATALOGUES.values())) == len(known), "a text stands in one catalogue"


@pytest.mark.parametrize("room", ROOMS)
def test_no_text_is_said_whose_words_are_put_together_before(room):
    """An f-string with words in it cannot be found in a catalogue: the values belong behind the text."""
    for file in (ROOT / "tinydx" / room).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NAMED and node.args:
                fixed_parts = [part.value for part in getattr(node.args[0], "values", []) if isinstance(part, ast.Constant)]
                assert not re.search("[a-z]{3}", " ".join(fixed_parts)), f"{file.name}, line {node.lineno}"


def test_texts_are_found_where_they_are_said():
    source = """
LATER = "a constant"
def f(x):
    told = "either" if x else "or"
    say("progress {n}", n=1), said(told), sentence(LATER if x else "other"), Diagnosis("sign", told)
    print("not this"), say(f"nor {x}")
"""
    assert texts_of(source) == {"progress {n}", "either", "or", "a constant", "other", "sign"}


# ---- what a reader sees --------------------------------------------------------------------------------------------


def test_a_starter_is_known_in_either_language(tmp_path):
    folder = Folder(tmp_path)
    with language.speaking("zh"):
        folder.start()
    for exercise in all_exercises():
        text = folder.file(exercise).read_text("utf-8")
        title, task = language.in_chinese(exercise.title), language.in_chinese(exercise.task)
        assert f"{title} · {exercise.title}" in text and task in text, exercise.name
        assert max(map(len, text.splitlines())) <= 130 and ast.parse(text), exercise.name
        assert Result(exercise, folder.file(exercise)).untouched, exercise.name
        assert folder.reset(exercise) is None, "a starter is no work of the learner's"
        assert folder.file(exercise).read_text("utf-8") == exercise.starter != text


def test_a_check_is_told_in_chinese_and_its_data_stay_english(tmp_path):
    relu = find("relu")
    path = tmp_path / relu.file
    path.write_text(relu.with_bug(relu.bugs[0]), "utf-8")
    with language.speaking("zh"):
        result = check_file(relu, path)
        text, data = result.text(), result.as_dict()
        why = commands.commentary(relu)
    assert "ReLU：梯度" in text and "忘了门控" in text and "x 为负的地方 y 没有变化" in text and "真值" in text
    assert not re.search("[a-z]{3,} [a-z]{3,}", text.replace("axis 0", "").replace("axis 1", "")), text
    assert not CHINESE.search(json.dumps(data, ensure_ascii=False).replace(relu.chinese, ""))
    assert "gate forgotten" in result.mistakes and "gate forgotten" in result.text()
    assert any("门控反了：梯度在 x 为正的地方通过" in line for line in why)
    path.write_text(relu.starter, "utf-8")
    with language.speaking("zh"):
        assert "还没有写" in check_file(relu, path).text() and check_file(relu, path).message == "not written yet"


def test_a_report_outside_the_course_is_english(monkeypatch):
    monkeypatch.setenv(language.VARIABLE, "zh")
    report = gradcheck(TABLE["relu"], seed=0, backward=lambda dy, saved: dy)
    assert not report.ok and not CHINESE.search(str(report) + report._repr_html_() + json.dumps(report.as_dict()))
    assert "gate forgotten" in str(report) and "忘了门控" in report.text(say=language.said)


def test_a_planted_bug_stays_unnamed_in_a_chinese_starter(tmp_path):
    planted = next(e for e in all_exercises() if e.planted)
    path = tmp_path / planted.file
    path.write_text(planted.starter_in("zh"), "utf-8")
    assert planted.bugs[0].advice not in check_file(planted, path).text()
    path.write_text(planted.starter_in("zh") + "z = 1\n", "utf-8")
    assert planted.bugs[0].advice in check_file(planted, path).text()


@pytest.mark.parametrize(("encoding", "told"), [("utf-8", "进度 1/2"), ("gbk", "进度 1/2"), ("ascii", "progress 1/2")])
def test_an_output_without_chinese_characters_gets_english(monkeypatch, encoding, told):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
    with language.speaking("zh"):
        assert language.said("progress {count}", count="1/2") == told


def test_a_sentence_says_its_parts_in_the_same_language():
    inner = language.sentence("one array ({name})", name="dx")
    outer = language.sentence("{function} returned complex numbers, expected {wanted}", function="f", wanted=inner)
    assert outer == "f returned complex numbers, expected one array (dx)" and language.sentence(outer) is outer
    assert language.in_chinese(outer) == "f 返回了复数，应为一个数组 (dx)"


@pytest.mark.parametrize(
    "command", [["--help"], ["lesson", "--help"], ["gradcheck", "--help"], ["exercise", "grade", "--help"], ["lessn"]]
)
def test_a_command_speaks_chinese_with_chinese_signs(command, capsys):
    with language.speaking("zh"), pytest.raises(SystemExit):
        cli.main(command)
    out, err = capsys.readouterr()
    assert CHINESE.search(out + err) and not re.search(rf"{CHINESE.pattern}[:;,](?!/)", out + err)
    assert "选项：" in out or "没有 'lessn'；是不是 'lesson'？" in err


def test_names_are_listed_with_the_comma_of_the_language():
    with language.speaking("zh"):
        assert language.listed(["relu", "dense", "adam"]) == "relu、dense、adam"


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


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("和\n积", "和积"),
        ("是 0.2\n（中位数）", "是 0.2（中位数）"),
        ("最大。\n200 份", "最大。200 份"),
        ("这就是\n⟦kernel⟧\n的和", "这就是<strong>卷积核</strong>"),
        ("写成\n`y` 的值", "写成\n<code>y</code>"),
        ("如下：\n\n- 一，\n- 二。", "<li>二。</li>"),
        ("如下：\n\n```python\ny = 1\n```", "<pre>"),
    ],
)
def test_a_line_end_is_no_space_beside_a_chinese_sign(source, shown):
    pytest.importorskip("marimo", reason="not installed: marimo")
    from tinydx.lessons import page

    assert shown in page.text("English", source).text.partition('class="zh"')[2]


def test_the_title_of_a_folded_answer_is_not_joined_with_the_answer():
    """In Chinese a line's end is no space, but the line of the title ends where it ends."""
    pytest.importorskip("marimo", reason="not installed: marimo")
    from tinydx.lessons import page

    html = page.text("/// details | Answer\nYes.\n///", "/// details | 答案\n是的，\n是这样。\n///").text
    assert "<summary>答案</summary>" in html and "是的，是这样。" in html


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["exercise", "solution"], "错误：缺少参数：NAME"),
        (["exercise", "check", "--seconds"], "错误：参数 --seconds：缺少一个值"),
        (["exercise", "check", "--seconds", "no"], "错误：参数 --seconds：'no' 不是大于 0 的秒数"),
        (["lesson", "1", "2"], "错误：无法识别的参数：2"),
        (["lesson", "--port", "1.5"], "错误：参数 --port：'1.5' 不是大于 0 的整数"),
    ],
)
def test_what_is_wrong_with_a_command_line_is_said_in_chinese(words, told, capsys, monkeypatch):
    monkeypatch.setenv(language.VARIABLE, "zh")
    with pytest.raises(SystemExit):
        cli.main(words)
    assert capsys.readouterr().err.endswith(f"{told}\n")


def test_argparse_has_the_messages_that_are_translated():
    """Of another version of Python that words one of them otherwise, it would come in English."""
    source = inspect.getsource(argparse).replace("'\n", "'").replace('"\n', '"')
    assert [message for message in MESSAGES if message.replace("\n", "\\n") not in source] == []


def test_the_axes_of_a_map_are_named_only_as_the_learner_knows_them():
    """No "..." of an op that takes any shape, and no groups where there are none."""
    one = gradcheck(TABLE["relu"], np.array([0.5, -1.0, 2.0]), backward=lambda dy, y: (y > 0) * 1.0, seed=0)
    assert "(...)" not in one.text(True) and "axis 0\n" in one.text(True)
    x, w, b = np.random.default_rng(0).normal(size=(2, 4, 4, 1)), np.ones((2, 2, 1, 2)), np.zeros(2)
    two = gradcheck(TABLE["correlate2d"], x, w, b, backward=lambda dy, x, w, b: (x, w, b), seed=0)
    assert "kh x kw, C 0" in two.text(True)


def test_the_axes_of_a_map_are_named_in_chinese():
    rng = np.random.default_rng(0)
    report = gradcheck((lambda x: x**2, lambda dy, x: dy * x * (x > 0)), rng.normal(size=(3, 4)), seed=0)
    with language.speaking("zh"):
        assert "轴 0 x 轴 1\n" in report.text(True, language.said)
    assert "axis 0 x axis 1\n" in report.text(True)
