"""The report as text, for a terminal."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from tinydx.language import sentence, wide

if TYPE_CHECKING:
    from tinydx.gradcheck.report import Argument, Report

UNICODE = {"right": "✓ ", "wrong": "✗ ", "cannot tell": "? ", "dot": "·", "cell": "·", "blocks": "░▒▓█"}
ASCII = {"right": "ok", "wrong": "x ", "cannot tell": "? ", "dot": "-", "cell": ".", "blocks": "-+*#"}
PLAIN = str.maketrans({"·": "-", "ᵀ": ".T", "²": "**2", "±": "+-", "σ": "sigma", "μ": "mu"})  # non-ASCII characters of the advice
WIDTH = 72  # of a heat map, in characters
Say = Callable[..., str]  # a text and its values, in some language: `sentence`, which is English, or `language.said`


def as_text(report: Report, unicode: bool | None = None, say: Say = sentence) -> str:
    """The report as text; unicode=False uses only ASCII, or the terminal's characters where `say` speaks another language."""
    style = UNICODE if (_shows_unicode() if unicode is None else unicode) else ASCII
    lines = [f" {style['dot']} ".join(_head(report, say))]
    if report.doubt:
        lines.append(f"  {style['cannot tell']}   " + say("cannot tell: {why}", why=sentence(report.doubt)))
    width = max((len(a.label) for a in report.arguments), default=0)
    given: set[str] = set()  # advice that stands above
    for a in report.arguments:
        lines += argument_lines(a, width, style, given, say=say)
    for p in report.problems:
        lines.append(f"  {style['wrong']}   " + say("{name}: {advice}", name=sentence(p.name), advice=sentence(p.advice)))
    if any(a.wrong and a.heat() for a in report.arguments):
        key = "{cell} right   {blocks} wrong, the darker the more   blank: not checked"
        lines.append("  " + say(key, cell=style["cell"], blocks=style["blocks"]))
    text = "\n".join([*lines, *(f"  {say(note)}" for note in report.notes)])
    encoding = "ascii" if say is sentence else sys.stdout.encoding or "ascii"  # GBK has Chinese, but neither ✓ nor blocks
    return text if style is UNICODE else text.translate(PLAIN).encode(encoding, "replace").decode(encoding)


def _head(report: Report, say: Say) -> list[str]:
    right = sum(a.verdict == "right" for a in report.arguments)
    of = len(report.arguments)
    counted = [say("{right} of {of} gradients right", right=right, of=of)] if report.arguments else []
    drawn = [say("{n} draws", n=report.draws)] if report.draws > 1 else []
    return [report.title, *counted, say(report.method), *drawn, say("seed {seed}", seed=report.seed)]


def _shows_unicode() -> bool:
    return (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "").startswith("utf")


def argument_lines(
    a: Argument, width: int, style: dict[str, str], given: set[str], maps: bool = True, say: Say = sentence
) -> list[str]:
    """One line, and for a wrong gradient also the worst number, the advice and where it is wrong."""
    if a.doubt:
        return [f"  {style['cannot tell']}   {a.label:<{width}}   " + say("cannot tell: {why}", why=sentence(a.doubt))]
    head = "   ".join(_head_of(a, say))
    lines = [f"  {style[a.verdict]}   {a.label:<{width}}   {head}"]
    if not a.ok:
        if a.worst is not None:
            where = f"[{', '.join(map(str, a.worst.index))}]" if a.worst.index else ""
            told = "{place}: yours {got}   true {expected}"
            got, expected = _short(a.worst.got), _short(a.worst.expected)
            lines.append("         " + say(told, place=a.label + where, got=got, expected=expected))
        unknown = sentence("No known pattern. The map shows where it is wrong.")
        advice = a.mistake.advice if a.mistake else unknown if a.wrong else ""
        if advice and advice not in given:
            given.add(advice)
            lines.append(f"         {say(advice)}")
        if a.where:
            lines.append("         " + say("The wrong numbers are {where}.", where=a.where))
        if maps and a.wrong and max(a.shape, default=1) > 1:
            lines += ["         " + line for line in _map_lines(a, style, say)]
    return lines + [f"         {say(note)}" for note in a.notes]


def _head_of(a: Argument, say: Say) -> list[str]:
    """How many numbers are wrong, by how much, and the name of the mistake."""
    if a.checked == 1:
        counted = say("1 of 1 number wrong") if a.wrong else say("1 number agrees")
    elif a.wrong:
        counted = say("{wrong} of {n} numbers wrong", wrong=a.wrong, n=a.checked)
    else:
        counted = say("{n} numbers agree", n=a.checked)
    gap = [say("worst relative gap {gap:.0e}", gap=a.gap)] if a.got is not None and (a.worst or a.ok) else []
    name = [say(a.mistake.name)] if a.mistake else [say("no known pattern")] if a.wrong else []
    return [counted, *gap, *name]


def _map_lines(a: Argument, style: dict[str, str], say: Say) -> list[str]:
    """The heat maps side by side, as many as fit into WIDTH."""
    columns: list[list[str]] = []
    used = 0
    for caption, heat in a.heat():
        rows = ["".join(_cell(v, style) * 2 for v in row) for row in heat]
        width = max(wide(say(caption)), len(rows[0]))
        if columns and used + width > WIDTH:
            columns[-1][0] += " ..."
            break
        columns.append([line + " " * (width - wide(line)) for line in [say(caption), *rows]])
        used += width + 3
    return ["   ".join(parts).rstrip() for parts in zip(*columns, strict=True)]


def _cell(value: float, style: dict[str, str]) -> str:
    if math.isnan(value):
        return " "
    return style["cell"] if value == 0 else style["blocks"][min(int(value * 4), 3)]


def _short(value: float) -> str:
    return f"{value:.6f}" if 1e-3 <= abs(value) < 1e6 or value == 0 else f"{value:.6e}"
