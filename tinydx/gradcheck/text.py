"""The report as text, for a terminal."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from tinydx.language import chosen, said, sentence

if TYPE_CHECKING:
    from tinydx.gradcheck.report import Argument, Report

UNICODE = {"right": "✓ ", "wrong": "✗ ", "cannot tell": "? ", "dot": "·", "cell": "·", "blocks": "░▒▓█"}
ASCII = {"right": "ok", "wrong": "x ", "cannot tell": "? ", "dot": "-", "cell": ".", "blocks": "-+*#"}
PLAIN = str.maketrans({"·": "-", "ᵀ": ".T", "²": "**2", "±": "+-", "σ": "sigma", "μ": "mu"})  # non-ASCII characters of the advice
WIDTH = 72  # of a heat map, in characters


def as_text(report: Report, unicode: bool | None = None) -> str:
    """The report as text; unicode=False uses only ASCII (default: what the terminal can show)."""
    style = UNICODE if (_shows_unicode() if unicode is None else unicode) else ASCII
    lines = [f" {style['dot']} ".join(_head(report))]
    if report.doubt:
        lines.append(f"  {style['cannot tell']}   {said('cannot tell')}: {said(report.doubt)}")
    width = max((len(a.label) for a in report.arguments), default=0)
    given: set[str] = set()  # advice that stands above
    for a in report.arguments:
        lines += argument_lines(a, width, style, given)
    lines += [
        f"  {style['wrong']}   {said('{name}: {advice}', name=sentence(p.name), advice=sentence(p.advice))}"
        for p in report.problems
    ]
    if any(a.wrong and a.heat() for a in report.arguments):
        key = "{cell} right   {blocks} wrong, the darker the more   blank: not checked"
        lines.append("  " + said(key, cell=style["cell"], blocks=style["blocks"]))
    text = "\n".join([*lines, *(f"  {said(note)}" for note in report.notes)])
    encoding = (sys.stdout.encoding or "ascii") if chosen() == "zh" else "ascii"  # GBK has Chinese, but neither ✓ nor blocks
    return text if style is UNICODE else text.translate(PLAIN).encode(encoding, "replace").decode(encoding)


def _head(report: Report) -> list[str]:
    right = sum(a.verdict == "right" for a in report.arguments)
    of = len(report.arguments)
    counted = [said("{right} of {of} gradients right", right=right, of=of)] if report.arguments else []
    drawn = [said("{n} draws", n=report.draws)] if report.draws > 1 else []
    return [report.title, *counted, said(report.method), *drawn, said("seed {seed}", seed=report.seed)]


def _shows_unicode() -> bool:
    return (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "").startswith("utf")


def argument_lines(a: Argument, width: int, style: dict[str, str], given: set[str], maps: bool = True) -> list[str]:
    """One line, and for a wrong gradient also the worst number, the advice and where it is wrong."""
    if a.doubt:
        return [f"  {style['cannot tell']}   {a.label:<{width}}   {said('cannot tell')}: {said(a.doubt)}"]
    head = "   ".join(_head_of(a))
    lines = [f"  {style[a.verdict]}   {a.label:<{width}}   {head}"]
    if not a.ok:
        if a.worst is not None:
            where = f"[{', '.join(map(str, a.worst.index))}]" if a.worst.index else ""
            told = "{place}: yours {got}   true {expected}"
            got, expected = _short(a.worst.got), _short(a.worst.expected)
            lines.append("         " + said(told, place=a.label + where, got=got, expected=expected))
        unknown = sentence("No known pattern. The map shows where it is wrong.")
        advice = a.mistake.advice if a.mistake else unknown if a.wrong else ""
        if advice and advice not in given:
            given.add(advice)
            lines.append(f"         {said(advice)}")
        if a.where:
            lines.append("         " + said("The wrong numbers are {where}.", where=a.where))
        if maps and a.wrong and max(a.shape, default=1) > 1:
            lines += ["         " + line for line in _map_lines(a, style)]
    return lines + [f"         {said(note)}" for note in a.notes]


def _head_of(a: Argument) -> list[str]:
    """How many numbers are wrong, by how much, and the name of the mistake."""
    if a.checked == 1:
        counted = said("1 of 1 number wrong") if a.wrong else said("1 number agrees")
    elif a.wrong:
        counted = said("{wrong} of {n} numbers wrong", wrong=a.wrong, n=a.checked)
    else:
        counted = said("{n} numbers agree", n=a.checked)
    gap = [said("worst relative gap {gap:.0e}", gap=a.gap)] if a.got is not None and (a.worst or a.ok) else []
    name = [said(a.mistake.name)] if a.mistake else [said("no known pattern")] if a.wrong else []
    return [counted, *gap, *name]


def _map_lines(a: Argument, style: dict[str, str]) -> list[str]:
    """The heat maps side by side, as many as fit into WIDTH."""
    columns: list[list[str]] = []
    used = 0
    for caption, heat in a.heat():
        rows = ["".join(_cell(v, style) * 2 for v in row) for row in heat]
        width = max(len(caption), len(rows[0]))
        if columns and used + width > WIDTH:
            columns[-1][0] += " ..."
            break
        columns.append([f"{line:<{width}}" for line in [caption, *rows]])
        used += width + 3
    return ["   ".join(parts).rstrip() for parts in zip(*columns, strict=True)]


def _cell(value: float, style: dict[str, str]) -> str:
    if math.isnan(value):
        return " "
    return style["cell"] if value == 0 else style["blocks"][min(int(value * 4), 3)]


def _short(value: float) -> str:
    return f"{value:.6f}" if 1e-3 <= abs(value) < 1e6 or value == 0 else f"{value:.6e}"
