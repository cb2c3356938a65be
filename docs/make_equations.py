"""Writes docs/equations.md from the op table and the methods of tinydx.explain: `python docs/make_equations.py`.

Each equation of the document has a number there, its LaTeX, its op, and where its NumPy, its gradient, its kernels, its
lesson and its exercise stand. tests/test_docs.py holds the page current.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinydx import cards, exercises, explain
from tinydx.exercises.exercise import parts_of
from tinydx.explain import checks
from tinydx.lessons import all_lessons
from tinydx.op import TABLE, Op

PAGE = Path(__file__).with_name("equations.md")
ROOT = Path(__file__).parents[1]

# The document's formulas, in its order: where it stands, and the op that is this formula.
FORMULAS = (
    ("1.2", "convolution", "conv2d"),
    ("1.2", "ReLU", "relu"),
    ("1.2", "sigmoid", "sigmoid"),
    ("1.2", "tanh", "tanh"),
    ("2.2", "hidden state", "simple_rnn"),
    ("2.2", "output", "rnn_output"),
    ("3.2", "word embedding", "embedding_mixing"),
    ("3.2", "softmax decoder", "softmax_decoding"),
)
TAUGHT_AS = {"simple_rnn": "simple_rnn_step", "rnn_output": "dense"}  # the same formula for one step, or in another layer
HEAD = """# Equations

Made from the op table, and from `tinydx/explain/`, by `python docs/make_equations.py`. [document.md](document.md) describes the
document. `tinydx card NAME` prints an op with its equation, its loops, its NumPy code and its gradient.

In a file of `tinydx/ops/`, the op `NAME` is the function under `@op`, its gradient the function under `@backward_of(NAME)`,
and the equation index by index the function under `@literal_of(NAME)`.

## The document's formulas
"""
NAMED = """
## What the document names without a formula

| op | equation | where | NumPy and gradient | kernels | lesson | exercise |
|---|---|---|---|---|---|---|
"""
OTHERS = """
## What training needs besides

| op | equation | source | NumPy and gradient | kernels |
|---|---|---|---|---|
"""


EXPLANATIONS = """
## What explains an answer

$s_c$ is the logit of class c, $M$ or $L$ the map. [explain.md](explain.md) says what each method cannot say. Each equation
stands in the docstring of its function, above the NumPy.

| method | equation | source |
|---|---|---|
"""
METHODS = (*checks.METHODS.values(), explain.shapley_values)


def link(path: Path) -> str:
    """A link from docs/ to a file of the repository."""
    return f"[{path.name}](../{path.as_posix()})"


def op_file(op: Op) -> str:
    """The file that an op is defined in."""
    defined = re.compile(rf"^(def {op.name}\(|{op.name} = compose)", re.MULTILINE)
    return next(
        link(file.relative_to(ROOT)) for file in (ROOT / "tinydx" / "ops").glob("*.py") if defined.search(file.read_text("utf-8"))
    )


def kernels_of(op: Op) -> str:
    """Links to the files of its kernels."""
    paths = [Path(file) for file in cards.kernel_files(op).values()]
    return " ".join(f"[{path.parent.name}/{path.stem}](../{path.as_posix()})" for path in paths)


def lessons_of(op: Op) -> str:
    """Links to the lessons that show the op's code, or else to those that lead to its exercise."""
    names = "|".join(names_of(op))
    shown = [x for x in all_lessons() if re.search(rf'card\("({names})"', x.path.read_text("utf-8"))]
    shown = shown or [x for x in all_lessons() if {e.name for e in exercises_about(op)} & set(x.exercises)]
    return ", ".join(f"[{x.number}](../lessons/{x.path.name})" for x in shown)


def exercises_of(op: Op) -> str:
    """Links to the exercises that ask for the op or its gradient."""
    return ", ".join(f"[{x.number:02d} {x.name}](../tinydx/exercises/catalog/{x.name}.py)" for x in exercises_about(op))


def exercises_about(op: Op) -> list[exercises.Exercise]:
    """The exercises with a check of this op."""
    checked = lambda x: {getattr(getattr(check, "of", None), "name", None) for check in x.checks}  # noqa: E731
    return [x for x in exercises.all_exercises() if checked(x) & set(names_of(op))]


def names_of(op: Op) -> tuple[str, ...]:
    """The op's name, and that of the op which teaches the same formula."""
    return op.name, TAUGHT_AS.get(op.name, op.name)


def formula(number: int, section: str, title: str, op: Op) -> str:
    """One formula of the document as a section of the page."""
    lines = [f"### {number}. {title[0].upper()}{title[1:]} (document, {section})", "", f"$${op.equation}$$", ""]
    rows = {
        "op": f"`{op.name}`: {op.shapes.replace('->', '→')}",
        "NumPy and gradient": op_file(op),
        "kernels": kernels_of(op),
        "lesson": lessons_of(op),
        "exercise": exercises_of(op),
    }
    return "\n".join([*lines, *(f"- {key}: {value}" for key, value in rows.items() if value), ""])


def named_row(op: Op) -> str:
    """A row of the second table."""
    where = "; ".join(part for part in op.source.split("; ") if "document" in part)
    cells = (f"`{op.name}`", cell(op.equation), where, op_file(op), kernels_of(op), lessons_of(op), exercises_of(op))
    return f"| {' | '.join(cells)} |"


def other_row(op: Op) -> str:
    """A row of the last table."""
    return f"| `{op.name}` | {cell(op.equation)} | {op.source} | {op_file(op)} | {kernels_of(op)} |"


def explanation_row(method: Callable[..., Any]) -> str:
    """A row of the table of explanations: the formulas of the docstring's first two paragraphs, and its source."""
    words = inspect.getdoc(method) or ""
    before = words.split("Arguments:")[0].split("\n\n")[:2]
    formulas = [" ".join(found.split()) for found in re.findall(r"\$([^$]+=[^$]+)\$", "\n\n".join(before))]
    source = " ".join(re.findall(r"^Source: (.+)$", words, re.MULTILINE))
    file = Path(inspect.getfile(method)).relative_to(ROOT).as_posix()
    equations = "; ".join(map(cell, formulas))
    return f"| [{method.__name__}](../{file}) | {equations} | {source} |"


def cell(equation: str) -> str:
    """An equation for a cell of a table, where | would end the cell: part by part, so that a line may end between two."""
    return ", ".join(f"${part.strip()}$" for part in parts_of(equation.replace("|", r"\vert ")))


def ops() -> list[Op]:
    """The ops of tinydx, without those that other code has put into the table."""
    return [op for op in TABLE.values() if (op.parts or [op])[0].forward.__module__.startswith("tinydx.ops.")]


def page() -> str:
    """The whole page."""
    written = {name for _, _, name in FORMULAS}
    rest = [op for op in ops() if op.name not in written]
    named = [op for op in rest if "document" in op.source]
    formulas = [formula(k, section, title, TABLE[name]) for k, (section, title, name) in enumerate(FORMULAS, 1)]
    parts = [HEAD, *formulas, NAMED.rstrip("\n"), *map(named_row, named), OTHERS.rstrip("\n")]
    parts += [*(other_row(op) for op in rest if op not in named), EXPLANATIONS.rstrip("\n")]
    return "\n".join([*parts, *map(explanation_row, METHODS), ""])


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(PAGE)
