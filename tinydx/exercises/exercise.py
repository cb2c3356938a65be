"""What an exercise is, and how one file of the catalog is read.

Each file of `catalog/` is one exercise; a lesson's docstring names it, and the order of these names gives the numbers. Above
the line that begins with `# ---- the runner's part` is the learner's part: a docstring (title · Chinese term, then the task)
and the complete code. Starter and solution are both made from it: in the starter, `raise NotImplementedError` replaces
everything from a `# solution` comment to the end of its block. Below the line is `EXERCISE`: what is checked, three hints, and
the wrong solutions (`Bug`) that the checker must name.

The equation is that of the op that the exercise is about, which is in the op table or defined in the file itself.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinydx.course import all_lessons, lesson_of
from tinydx.exercises.checks import Check, Gradients
from tinydx.language import chosen, in_chinese, said
from tinydx.op import Slip
from tinydx.suggestions import did_you_mean

CATALOG = Path(__file__).parent / "catalog"
MARKER = "# ---- the runner's part"
NOT_WRITTEN = 'raise NotImplementedError("not written yet")'


@dataclass(frozen=True)
class Bug:
    """A wrong solution that people write, made from the solution by replacing one text.

    name is what the checker must call it. With advice, the exercise teaches the checker this name; without, the op's slips
    or the checker's general patterns must know it.
    """

    name: str
    right: str
    wrong: str
    advice: str = ""


@dataclass(frozen=True, eq=False)
class Exercise:
    """One exercise. Its file gives the fields from checks to planted; `read` adds the others.

    Arguments: checks; hints, three, each of which reveals more; bugs, wrong solutions that the checker must name; equation,
    shapes and source where they differ from those of the first check's op; planted, True if the starter is the solution
    with the first bug.
    """

    checks: Sequence[Check]
    hints: tuple[str, str, str]
    bugs: Sequence[Bug]
    equation: str = ""
    shapes: str = ""
    source: str = ""
    planted: bool = False

    number: int = 0  # of all, in the order of the lessons
    name: str = ""  # conv_backward
    title: str = ""
    chinese: str = ""
    task: str = ""
    code: str = ""  # the learner's part, complete

    @property
    def file(self) -> str:
        """09_conv_backward.py"""
        return f"{self.number:02d}_{self.name}.py"

    @property
    def starter(self) -> str:
        """The file that the learner starts from, in the chosen language."""
        return self.starter_in(chosen())

    def starter_in(self, language: str) -> str:
        """The starter in this language."""
        return self._file(self._bugged(self.bugs[0]) if self.planted else cut(self.code), language)

    @property
    def solution(self) -> str:
        """The learner's file with the solution."""
        return self._file(without_marks(self.code), chosen())

    def with_bug(self, bug: Bug) -> str:
        """The solution with this bug in it; ValueError where the text to replace does not occur exactly once."""
        return self._file(self._bugged(bug), chosen())

    def _file(self, code: str, language: str) -> str:
        """The learner's file with this code."""
        return self.header_in(language) + (remarks_in_chinese(code) if language == "zh" else code)

    def _bugged(self, bug: Bug) -> str:
        code = without_marks(self.code)
        if code.count(bug.right) != 1:
            raise ValueError(f"{self.file}: {bug.right!r} occurs {code.count(bug.right)} times, expected once")
        return code.replace(bug.right, bug.wrong)

    def header_in(self, language: str) -> str:
        """The head of the learner's file: title, lesson, equation, task, the command to run; and the import of NumPy."""
        op = next((check.of for check in self.checks if isinstance(check, Gradients)), None)
        equation, shapes, source = (getattr(self, a) or getattr(op, a) for a in ("equation", "shapes", "source"))
        lesson, where = lesson_of(self.name), "lesson {number}, {title}"
        title, task, told = f"{self.title} · {self.chinese}", self.task, f"({source})"
        taught = where.format(number=lesson.number, title=lesson.title)
        if language == "zh":
            title, task, told = f"{in_chinese(self.title)} · {self.title}", in_chinese(task), f"（{in_chinese(source)}）"
            taught = in_chinese(where).format(number=lesson.number, title=lesson.chinese)
        about = [*map(plain, parts_of(equation)), shapes, told]
        lines = [f'"""{self.number:02d} {title}', taught, "", *(f"    {a}" for a in about), "", task, ""]
        return "\n".join([*lines, f"    tinydx exercise check {self.name}", '"""', "", "import numpy as np", "", "", ""])

    def slips(self, check: Check) -> list[Slip]:
        """The wrong versions of a check's function that this exercise names."""
        name, found = check.function.__name__, []
        for bug in self.bugs:
            if bug.advice:
                module: dict[str, Any] = {}
                exec(self.with_bug(bug), module)
                if name not in module:
                    exec(inspect.getsource(check.function), module)
                found.append(Slip(bug.name, bug.advice, module[name]))
        return found


# ---- the catalog ---------------------------------------------------------------------------------------------------


@functools.cache
def all_exercises() -> tuple[Exercise, ...]:
    """All exercises, in the order of the lessons that lead to them."""
    names = [name for lesson in all_lessons() for name in lesson.exercises]
    return tuple(read(CATALOG / f"{name}.py", number) for number, name in enumerate(names, 1))


def read(file: Path, number: int) -> Exercise:
    """The exercise in a file of the catalog."""
    _, docstring, code = file.read_text("utf-8").split(MARKER)[0].split('"""', 2)
    first, _, task = docstring.partition("\n")
    title, chinese = first.split(" · ")
    code = re.sub(r"^(from tinydx|import numpy).*\n", "", code, flags=re.MULTILINE)
    return replace(
        importlib.import_module(f"tinydx.exercises.catalog.{file.stem}").EXERCISE,
        number=number,
        name=file.stem,
        title=title,
        chinese=chinese,
        task=task.strip(),
        code=re.sub(r"\n{3,}", "\n\n\n", code.strip()) + "\n",
    )


def find(name: str) -> Exercise:
    """The exercise called relu, 2, 02, 02_relu or 02_relu.py; ValueError with close matches where there is none."""
    wanted = Path(name).name.removesuffix(".py")
    for exercise in all_exercises():
        if wanted in (exercise.name, exercise.file.removesuffix(".py")) or wanted.lstrip("0") == str(exercise.number):
            return exercise
    close = did_you_mean(wanted, [e.name for e in all_exercises()])
    raise ValueError(said("no exercise named {name!r}{close}", name=name, close=close))


# ---- text ----------------------------------------------------------------------------------------------------------


def cut(code: str) -> str:
    """The code with every block below a `# solution` comment replaced by `raise NotImplementedError`.

    >>> print(cut("def f(x):\\n    # solution\\n    y = 2 * x\\n    return y\\n\\n\\nz = 1"))
    def f(x):
        raise NotImplementedError("not written yet")
    <BLANKLINE>
    <BLANKLINE>
    z = 1
    """
    kept: list[str] = []
    indent, blank = -1, 0  # indentation of the block that is left out, and how many empty lines end it
    for line in code.splitlines():
        depth = len(line) - len(line.lstrip())
        if line.strip() and depth < indent:
            kept += [""] * blank
            indent = -1
        if line.strip() == "# solution":
            indent = depth
            kept.append(" " * depth + NOT_WRITTEN)
        elif indent < 0:
            kept.append(line)
        blank = 0 if line.strip() else blank + 1
    return "\n".join(kept) + "\n" * code.endswith("\n")


def without_marks(code: str) -> str:
    """The complete code without its `# solution` comments."""
    return re.sub(r"^ *# solution\n", "", code, flags=re.MULTILINE)


def remarks_in_chinese(code: str) -> str:
    """The code with its docstrings and comments in Chinese, as far as they are more than names."""
    code = re.sub(r'"""(.*?)"""', lambda found: f'"""{in_chinese(found[1])}"""', code, flags=re.DOTALL)
    return re.sub(r"(?<=# ).*", lambda found: in_chinese(found[0]), code)


WORDS = {r"\cdot": "·", r"\sum": " sum", r"\in": "in", r"\dots": "..."}
WORDS |= {rf"\{name}": name for name in ("max", "tanh", "ln", "log")}
GREEK = dict(zip([r"\beta", r"\gamma", r"\epsilon", r"\eta", r"\theta", r"\mu", r"\pi", r"\sigma"], "βγεηθμπσ", strict=True))
INSIDE = r"\{((?:[^{}]|\{[^{}]*\})*)\}"  # a pair of braces and their content


def parts_of(equation: str) -> list[str]:
    r"""The parts of an equation, in LaTeX, for a line each.

    >>> parts_of(r"p_i = \sigma(z_i), \quad i = 1 \dots n")
    ['p_i = \\sigma(z_i)', 'i = 1 \\dots n']
    """
    return re.split(r",? *\\quad *", equation)


def plain(latex: str) -> str:
    r"""An equation as plain text: LaTeX's commands replaced by what they show.

    >>> plain(r"f(x) = \frac{1}{1 + e^{-x}}"), plain(r"\sum_{p=1}^{k} x(i-p+1) \cdot w(p)")
    ('f(x) = 1 / (1 + e^(-x))', 'sum_{p=1..k} x(i-p+1) · w(p)')
    >>> plain(r"p_k = \frac{e^{x_k}}{\sum_l e^{x_l}}"), plain(r"\sqrt{\frac{2}{\pi}} v_{ids_n}")
    ('p_k = e^(x_k) / (sum_l e^(x_l))', 'sqrt(2 / π) v_{ids_n}')
    """
    text = re.sub(r"\\sum_\{(\w+=\w+)\}\^\{?(\w+)\}?", r" sum_{\1..\2}", latex)
    text = re.sub(r"\\(?:text|mathrm|vec)\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"_\{([^\W_]+)\}", r"_\1", text)
    for _ in range(3):  # fractions and roots are nested
        text = re.sub(r"\\sqrt" + INSIDE, r"sqrt(\1)", text)
        text = re.sub(r"\\frac" + INSIDE + INSIDE, _fraction, text)
    text = re.sub(r"\^\{([^{}]*)\}", r"^(\1)", text)
    for command, word in (WORDS | GREEK).items():
        text = re.sub(re.escape(command) + r"(?![a-z])", word, text)
    text = text.replace(r"\{", "{").replace(r"\}", "}")
    return re.sub(r"([(|]) +(?=sum)", r"\1", " ".join(re.sub(r"\\[,;! ]", " ", text).split()))


def _fraction(match: re.Match) -> str:
    above, below = match.groups()
    if re.fullmatch(r"\w+", above) and re.fullmatch(r"\w+|\|.*\|", below):
        return f"{above}/{below}"
    alone = r"\\?[\w']+(\^\{[^{}]*\})?|sqrt\([^()]*\)"
    above, below = (part if re.fullmatch(alone, part) else f"({part.strip()})" for part in (above, below))
    return f"{above} / {below}"
