"""The functions that notebooks call. A lesson is one column, at least 390 px wide, so that it fits on a phone.

    head("convolution")  the lesson's title, its time and its data, and the switch between the languages
    text(english, chinese)    a text in both languages; the page shows one of them
    both(english, chinese)    a part of a text, for `.en` in the one and `.zh` in the other
    term("kernel")       a term of the glossary, in a text; the other language's word stands beside it
    short(function)      the short version of the lesson's equation, open
    card("conv2d", ...)  the engine's code of an op, from the op table, folded
    code(function, ...)  the code of functions of the engine, folded; cuda(file, text), its CUDA C
    canvas, show         an empty figure of the right size; the picture that it becomes, with its text description
    said(name), drawn(name)   a name of the user's own data, in a text and in a figure
    own_data()           the path given by `tinydx lesson 1 --data PATH`, or None; square(path, 128), an image file as an array
    number("speed")      the number of another lesson
    foot(1)              the lesson's exercises and terms, and the next lesson

Both languages are in every page, so that one run of a lesson makes both; a switch without a script (lesson.css) hides one. What
stands in figures is a symbol or English, and a control's label is in both.

They return HTML that marimo shows and a handout keeps; the only widgets are marimo's own controls. Figures are matplotlib
objects, never made with pyplot, which would change global state.
"""

from __future__ import annotations

import base64
import html
import io
import os
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from tinydx import cards, exercises, language
from tinydx.course import DATA, all_lessons, find
from tinydx.exercises.milestones.milestone import all_milestones
from tinydx.lessons import glossary
from tinydx.names import in_figure as drawn
from tinydx.names import in_html
from tinydx.names import in_markdown as said
from tinydx.preprocessing.files import img_to_array, load_img

__all__ = [
    "BLUE", "GREY", "RED", "both", "canvas", "card", "code", "cuda", "drawn", "foot", "head", "number", "own_data", "said",
    "short", "show", "square", "term", "text",
]  # fmt: skip

BLUE, RED, GREY = "#2166ac", "#c62828", "#627d98"
WIDTH = 4.6  # inches of a figure: 9 pt letters are then 10 px high on a page of 390 px
DPI = 170
LINE = 88  # characters in a line of code
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
}

# ---- two languages -------------------------------------------------------------------------------------------------


class Both(NamedTuple):
    """A part of a text in both languages, such as a sentence chosen from what came out."""

    en: str
    zh: str


def both(english: str, chinese: str) -> Both:
    """A part of a text: `{part.en}` in the English text, `{part.zh}` in the Chinese one."""
    return Both(english, chinese)


def text(english: str, chinese: str) -> Any:
    """A text of a lesson in Markdown, in both languages; the page shows one of them."""
    return _html(*(_in_language(code, part) for code, part in (("en", english), ("zh", chinese))))


TERM = re.compile("⟦(.+?)⟧")
CHINESE, SIGN = r"\u3000-\u9fff\uff00-\uffef“”", r"\u3000-\u303f\uff00-\uff20“”"
NO_SPACE = re.compile(  # line ends between Chinese characters, and beside a Chinese sign, but none of a title, a list, a block
    rf"(^ *///.*\n)|(?<=[{CHINESE}⟧])\n *(?=[{CHINESE}⟦])"
    rf"|(?<=[{SIGN}])\n *(?=[A-Za-z(*]|\d(?!\d*\. )|\$(?!\$)|`(?!``))|(?<=\S)\n *(?=[{SIGN}])",
    re.MULTILINE,
)
BEFORE_SIGN = re.compile(  # what a browser would begin a new line behind, though a sign follows that begins none
    r"(?:<marimo-tex[^>]*>[^<]*</marimo-tex>|<span class=.other.[^>]*>[^<]*</span>)[，。；：、！？）]+"
)


def term(english: str) -> str:
    """A term of the glossary, for its first use in a text; ValueError where the glossary lacks it."""
    return f"⟦{glossary.find(english).english}⟧"  # `text` writes it, and knows in which language


def joined(markdown: str) -> str:
    """Chinese Markdown without the line ends that would be spaces where Chinese has none."""
    return NO_SPACE.sub(lambda found: found[1] or "", markdown)


def _in_language(code: str, markdown: str) -> str:
    """The HTML of a text, in an element that lesson.css hides while the page shows the other language."""

    def written(match: re.Match) -> str:
        found = glossary.find(match[1])
        if code == "zh":
            return f"**{found.chinese}**<span class='other' lang='en'>（{found.english}）</span>"
        return f"**{found.english}** <span class='other' lang='zh'>{found.chinese}</span>"

    markdown = joined(markdown) if code == "zh" else markdown
    shown = BEFORE_SIGN.sub(r'<span class="kept">\g<0></span>', _markdown(TERM.sub(written, markdown)).text)
    return f'<div class="{code}" lang="{code}">{shown}</div>'


def _html(*parts: str) -> Any:
    import marimo  # optional: this module must import without it

    return marimo.Html("\n".join(parts))


# ---- the parts of a lesson -----------------------------------------------------------------------------------------


def head(name: str) -> Any:
    """The title of a lesson, its minutes, the data that it uses or takes, and the switch between the languages."""
    lesson = find(name)
    number = lesson.number
    title = f"# {number} · {lesson.title} <span class='other' lang='zh'>{lesson.chinese}</span>"
    titel = f"# {number} · {lesson.chinese} <span class='other' lang='en'>{lesson.title}</span>"
    exercises = both(*(" with its exercises", "，含练习") if lesson.exercises else ("", ""))
    english = [title, f"Lesson {number} of tinydx · {lesson.minutes} minutes{exercises.en}"]
    chinese = [titel, f"tinydx 第 {number} 课 · {lesson.minutes} 分钟{exercises.zh}"]
    if own := own_data():
        english.append(f"Your data: {said(own.name)}")
        chinese.append(f"你的数据：{said(own.name)}")
    elif lesson.data:
        command = f"`tinydx lesson {number} --data PATH`"
        english.append(f"With your own data: {command}, where PATH is {lesson.data}")
        chinese.append(f"用你自己的数据：{command}，其中 PATH 是{lesson.data_chinese}")
    return _html(switch(), *(_in_language(code, "\n\n".join(lines)) for code, lines in (("en", english), ("zh", chinese))))


def switch() -> str:
    """The HTML that switches a page between the languages; it begins with the one that was chosen."""
    shown = " open" if language.chosen() == "zh" else ""
    words = '<span class="en">中文</span><span class="zh">English</span>'
    return f'<details class="language"{shown}><summary>{words}</summary></details>'


def number(name: str) -> int:
    """The number of the lesson of this name, such as "speed"."""
    return find(name).number


def own_data() -> Path | None:
    """The path given by `tinydx lesson N --data PATH`; None where the lesson uses its own data."""
    given = os.environ.get(DATA)
    return Path(given) if given else None


def square(path: Path, size: int) -> np.ndarray:
    """The central square of an image file, scaled to (size,size,3), values 0 to 255; raises load_img's errors."""
    from PIL import ImageOps

    return img_to_array(ImageOps.fit(load_img(path), (size, size)))


def short(*functions: Callable) -> Any:
    """The code of a lesson's own functions, which lie open: the shortest version of its equation."""
    return as_code(_code(*functions))


def card(name: str, *parts: str) -> Any:
    """The card of an op, or parts of it (literal, forward, backward), folded: the code as it is in the engine."""
    return _folded(f"tinydx card {name}", cards.card(name, *parts, docstrings=False))


def code(*functions: Any) -> Any:
    """The source code of functions of the engine, and of its Numba kernels, folded."""
    names = ", ".join(getattr(function, "__name__", "") for function in functions)
    return _folded(names, _code(*functions))


def _code(*functions: Any) -> str:
    return "\n\n".join(cards.code(getattr(function, "py_func", function), docstring=False) for function in functions)


def cuda(name: str, source: str) -> Any:
    """CUDA C of the engine, folded, in lines of at most LINE characters; name is that of its file."""
    return _folded(f"kernels/cuda/{name}", narrow(source), "cpp")


REMARK = re.compile(r"^( *)// \S.*(?:\n\1// \S.*)*", re.MULTILINE)  # a paragraph of a comment


def narrow(source: str) -> str:
    r"""C in lines of at most LINE characters: a remark behind code goes above it, what is too long goes on further to the right.

    >>> print(narrow("    x[i] = first + second;  // " + "a long remark " * 6))
        // a long remark a long remark a long remark a long remark a long remark a long
        // remark
        x[i] = first + second;
    """
    source = REMARK.sub(lambda found: _remark(found[0], found[1]), source)
    return "\n".join(part for line in source.split("\n") for part in (_narrow(line) if len(line) > LINE else [line]))


def _remark(words: str, margin: str) -> str:
    """The lines of a comment, filled anew if one of them is too long."""
    if max(map(len, words.split("\n"))) <= LINE:
        return words
    mark = f"{margin}// "
    return textwrap.fill(re.sub(r"\n? *// ", " ", words).strip(), LINE, initial_indent=mark, subsequent_indent=mark)


def _narrow(line: str) -> list[str]:
    """A long line of C as several."""
    margin = line[: len(line) - len(line.lstrip())]
    code, mark, words = line.partition("// ")
    lines = textwrap.wrap(words, LINE, initial_indent=f"{margin}// ", subsequent_indent=f"{margin}// ") if mark else []
    code, margin = code.rstrip(), f"{margin}    "
    end = " \\" if code.startswith("#") else ""  # a definition of the preprocessor is one line
    while len(code) > LINE:
        at = _best_break(code, len(margin) + 1, LINE - len(end))
        lines.append(code[:at].rstrip() + end)
        code = margin + code[at:].lstrip()
    return [*lines, code] if code.strip() else lines


def _best_break(code: str, first: int, last: int) -> int:
    """Where to break a line of C: in as few brackets as possible, there behind a sign that ends something, and late."""
    depth, found = 0, []
    for at, sign in enumerate(code[: last + 1]):
        depth += (sign in "([{") - (sign in ")]}")
        if sign == " " and at >= first:
            ends = code[at - 1] in ";,{" or (code[at - 1] == ")" and code.lstrip().startswith(("if", "for", "else")))
            found.append((depth, not ends, -at - 1))
    return -min(found)[2]


def _folded(name: str, source: str, language: str = "python") -> Any:
    """Code of the engine under a line that opens it."""
    words = '<span class="en">The engine&#39;s own: </span><span class="zh">引擎中的代码：</span>'
    summary = f"{words}<code>{html.escape(name)}</code>"
    return _html(f"<details><summary>{summary}</summary>{as_code(source, language).text}</details>")


def as_code(source: str, language: str = "python") -> Any:
    """Code in its colours."""
    return _markdown(f"```{language}\n{source}\n```")


def canvas(rows: int = 1, columns: int = 1, *, height: float = 2.8, **keywords: Any) -> tuple[Figure, Any]:
    """A figure as wide as a lesson, and its axes.

    Arguments: rows, columns of axes; height in inches; keywords for matplotlib's subplots.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
        return figure, figure.subplots(rows, columns, **keywords)


def show(figure: Figure, english: str, chinese: str) -> Any:
    """The figure as a picture embedded in the page; the words describe it for readers who cannot see it."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    data = base64.b64encode(file.getvalue()).decode()
    return _html(f'<img class="figure" alt="{in_html(english)} {in_html(chinese)}" src="data:image/png;base64,{data}">')


HINTS = Both(
    "`tinydx exercise hint NAME` gives a hint; `tinydx exercise watch` checks whenever you save. After a pass, "
    "`tinydx exercise solution NAME --why` shows another solution, why it is right, and what the usual mistakes would have done.",
    "`tinydx exercise hint NAME` 给出提示；`tinydx exercise watch` 在每次保存时检查。通过以后，"
    "`tinydx exercise solution NAME --why` 给出一份答案，说明它为什么正确，以及常见的错误会造成什么。",
)


def foot(name: str) -> Any:
    """A lesson's exercises, the terms that it used, and the next lesson."""
    lesson = find(name)
    number = lesson.number
    english, chinese = ["## Now you", ""], ["## 现在轮到你", ""]
    if lesson.exercises:
        english += ["`tinydx exercise start exercises` creates the files, once. Complete a file in an editor, then check it:", ""]
        chinese += ["`tinydx exercise start exercises` 生成练习文件，只需一次。在编辑器中补全一个文件，然后检查它：", ""]
    for exercise in map(exercises.find, lesson.exercises):
        command = ["", "```text", f"tinydx exercise check {exercise.name}", "```", ""]  # else its colours are a guess
        title = language.in_chinese(exercise.title)
        file = f"`exercises/{exercise.file}`"
        english += [f"**{exercise.title}** <span class='other' lang='zh'>{exercise.chinese}</span> {file}", *command]
        chinese += [f"**{title}** <span class='other' lang='en'>{exercise.title}</span> {file}", *command]
    if lesson.exercises:
        english += [HINTS.en, ""]
        chinese += [HINTS.zh, ""]
    for milestone in [m for m in all_milestones() if set(m.names) & set(lesson.exercises)][:1]:
        trains = f"`tinydx exercise milestone {milestone.number}`"
        english += [f"What passes becomes a part of an engine of your own, which trains: {trains} ({milestone.title})", ""]
        chinese += [f"通过的练习成为你自己的引擎的一部分，它会训练网络：{trains}（{milestone.chinese}）", ""]
    english += [f"To change the code of this lesson: `tinydx lesson {number} --edit` opens a copy.", ""]
    chinese += [f"想改这一课的代码：`tinydx lesson {number} --edit` 会打开一个副本。", ""]
    used = [glossary.find(word) for word in dict.fromkeys(re.findall(r'term\("(.+?)"\)', lesson.path.read_text("utf-8")))]
    if used:
        english += [
            "/// details | The terms of this lesson",
            *(_entry(t.english, t.chinese, t.code, ": ", t.meaning) for t in used),
            "///",
            "",
        ]
        chinese += [
            "/// details | 本课术语",
            *(_entry(t.chinese, t.english, t.code, "：", t.meaning_chinese) for t in used),
            "///",
            "",
        ]
    following = next((other for other in all_lessons() if other.number > number), None)
    if following:
        english.append(f"**Next:** {following.title}, `tinydx lesson {following.number}`")
        chinese.append(f"**下一课：**{following.chinese}，`tinydx lesson {following.number}`")
    return text("\n".join(english), "\n".join(chinese))


def _entry(word: str, other: str, symbol: str, colon: str, meaning: str) -> str:
    """A term of the glossary as a list item, because a table would be too wide for a phone."""
    symbol = f" `{symbol}`" if symbol else ""
    return f"- **{word}** <span class='other'>{other}</span>{symbol}{colon}{meaning}"


CODE = re.compile(r"(<pre>.*?<code>)(.*?)\n?(?=</code>)", re.DOTALL)


def _markdown(markdown: str) -> Any:
    import marimo  # optional: this module must import without it

    return marimo.Html(CODE.sub(_line_by_line, marimo.md(markdown).text))


def _line_by_line(code: re.Match) -> str:
    """Code whose lines know how far they are indented: where a phone wraps one, it goes on further to the right (lesson.css)."""
    lines = [(line, re.sub("<[^>]*>", "", line)) for line in code[2].split("\n")]
    indented = ((line, len(words) - len(words.lstrip())) for line, words in lines)
    return code[1] + "".join(f'<span class="code-line" style="--in: {n}">{line}\n</span>' for line, n in indented)
