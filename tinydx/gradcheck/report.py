"""What the checker found: `Report`, for a terminal, a notebook or a program.

A report is true if every gradient is right. Printed, it gives for each wrong gradient how much of it is wrong, the worst
number, the mistake that it looks like, one sentence of advice, and a heat map of blocks, one for each number.
"""

from __future__ import annotations

import html
import math
import sys
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

import numpy as np

UNICODE = {"ok": "✓ ", "x": "✗ ", "dot": "·", "right": "·", "blocks": "░▒▓█"}
ASCII = {"ok": "ok", "x": "x ", "dot": "-", "right": ".", "blocks": "-+*#"}
PLAIN = str.maketrans({"·": "-", "ᵀ": ".T", "²": "**2", "±": "+-", "σ": "sigma", "μ": "mu"})  # non-ASCII characters of the advice
WIDTH = 72  # of a heat map, in characters


class Diagnosis(NamedTuple):
    """The name of a mistake, one sentence of advice, and the source of the name: "slip", "pattern" or "rule"."""

    name: str
    advice: str
    kind: str = "pattern"


@dataclass(frozen=True)
class Worst:
    """The number with the largest error."""

    index: tuple[int, ...]
    got: float
    expected: float


@dataclass
class Argument:
    """What was found about the gradient of one array."""

    name: str
    shape: tuple[int, ...]
    _: KW_ONLY
    checked: int = 0
    wrong: int = 0
    gap: float = 0.0  # the largest difference, relative to the largest true number
    worst: Worst | None = None
    mistakes: list[Diagnosis] = field(default_factory=list)  # possible names, the best first
    notes: list[str] = field(default_factory=list)
    got: np.ndarray | None = None
    true: np.ndarray | None = None  # NaN where it was not computed
    wrong_at: np.ndarray | None = None  # bool, of the array's shape
    dims: tuple[str, ...] = ()  # names of its axes, if they are known

    @property
    def ok(self) -> bool:
        return not self.wrong and not self.mistakes

    @property
    def label(self) -> str:
        """The usual name of this gradient: dw."""
        return f"d{self.name}" if self.name.replace("[", "").replace("]", "").isidentifier() else f"d {self.name}"

    @property
    def mistake(self) -> Diagnosis | None:
        """The best name for what is wrong, None if no known pattern fits."""
        return self.mistakes[0] if self.mistakes else None

    @property
    def where(self) -> str:
        """Where the wrong numbers are, in words, if they are in one part of an axis: "all at index 0 of axis 1 (T)"."""
        if self.wrong_at is None or not self.wrong_at.any():
            return ""
        for axis, n in enumerate(self.shape):
            others = tuple(a for a in range(len(self.shape)) if a != axis)
            indices = np.flatnonzero(self.wrong_at.any(axis=others))
            if 2 * len(indices) <= n:
                name = f" ({self.dims[axis]})" if self.dims else ""
                return f"all at index {', '.join(map(str, indices[:8]))} of axis {axis}{name}"
        return ""

    def heat(self) -> list[tuple[str, np.ndarray]]:
        """Captions and 2-D maps of how wrong each number is: 0 is right, 1 is the worst, NaN was not checked."""
        if self.got is None or self.true is None or self.wrong_at is None:
            return []
        with np.errstate(all="ignore"):
            error = np.nan_to_num(np.abs(self.got - self.true), nan=np.inf, posinf=np.inf)
            top = np.max(error[np.isfinite(error) & self.wrong_at], initial=0) or 1.0
            heat = np.where(self.wrong_at, np.clip(error / top, 1e-3, 1), 0.0)
        heat = np.where(np.isnan(self.true) & ~self.wrong_at, np.nan, heat)
        return _panels(heat, self.dims)

    def as_dict(self) -> dict[str, Any]:
        """Everything but the arrays, as plain data for JSON."""
        worst = self.worst and {
            "index": [int(i) for i in self.worst.index],
            "got": _number(self.worst.got),
            "expected": _number(self.worst.expected),
        }
        return {
            "name": self.name,
            "ok": self.ok,
            "shape": list(self.shape),
            "checked": self.checked,
            "wrong": self.wrong,
            "gap": _number(self.gap),
            "worst": worst,
            "mistake": self.mistake._asdict() if self.mistake else None,
            "notes": self.notes,
            "where": self.where,
            "heat": [{"caption": c, "rows": [[_number(v) for v in r] for r in m]} for c, m in self.heat() if self.wrong],
        }


@dataclass
class Report:
    """The result of `gradcheck`: true if all gradients are right, and `str(report)` explains what is wrong.

    Arguments: title; arguments, an `Argument` for each array, with name, ok, wrong, worst, mistake, notes; problems, what is
    wrong with the backward as a whole (not linear in dy, inputs changed ...); method, how the truth was computed; seed,
    which repeats the check; draws, how many were checked; milliseconds, how long it took.
    """

    title: str
    arguments: list[Argument]
    problems: list[Diagnosis] = field(default_factory=list)
    method: str = "complex step"
    seed: int = 0
    draws: int = 1
    milliseconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.problems and all(a.ok for a in self.arguments)

    def __bool__(self) -> bool:
        return self.ok

    @property
    def mistakes(self) -> dict[str, str | None]:
        """The wrong arguments, each with the name of its mistake, None if no known pattern fits."""
        return {a.name: a.mistake.name if a.mistake else None for a in self.arguments if not a.ok}

    def __getitem__(self, name: str) -> Argument:
        """The findings about one argument: report["w"]."""
        return next(a for a in self.arguments if a.name == name)

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__

    def text(self, unicode: bool | None = None) -> str:
        """The report as text; unicode=False uses only ASCII (default: what the terminal can show)."""
        style = UNICODE if (_shows_unicode() if unicode is None else unicode) else ASCII
        right = sum(a.ok for a in self.arguments)
        drawn = [f"{self.draws} draws"] if self.draws > 1 else []
        head = [
            self.title,
            f"{right} of {len(self.arguments)} gradients right",
            self.method,
            *drawn,
            f"seed {self.seed}",
        ]
        lines = [f" {style['dot']} ".join(head)]
        width = max((len(a.label) for a in self.arguments), default=0)
        for a in self.arguments:
            lines += _argument_lines(a, width, style)
        lines += [f"  {style['x']}   {p.name}: {p.advice}" for p in self.problems]
        if any(a.wrong and a.heat() for a in self.arguments):
            lines.append(f"  {style['right']} right   {style['blocks']} wrong, the darker the more   blank: not checked")
        text = "\n".join(lines)
        return text if style is UNICODE else text.translate(PLAIN).encode("ascii", "replace").decode()

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data: `json.dumps(report.as_dict())` works."""
        return {
            "title": self.title,
            "ok": self.ok,
            "arguments": [a.as_dict() for a in self.arguments],
            "problems": [p._asdict() for p in self.problems],
            "method": self.method,
            "seed": self.seed,
            "draws": self.draws,
            "milliseconds": round(self.milliseconds, 1),
        }

    def _repr_html_(self) -> str:
        """The report as a notebook shows it."""
        parts = [f"<b>{html.escape(self.title)}</b> <small>{html.escape(self.method)}, seed {self.seed}</small><ul>"]
        for a in self.arguments:
            lines = _argument_lines(a, 0, UNICODE, maps=False)
            parts.append("<li>" + "<br>".join(html.escape(line.strip()) for line in lines))
            parts.append(_html_maps(a) + "</li>")
        parts += [f"<li>x {html.escape(p.name)}: {html.escape(p.advice)}</li>" for p in self.problems]
        return "".join(parts) + "</ul>"

    def figure(self) -> Any:
        """A matplotlib figure: for each wrong gradient yours, the true one and the difference.

        Raises: ImportError if matplotlib is missing.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError("report.figure() needs matplotlib: pip install matplotlib") from error
        shown = [a for a in self.arguments if a.got is not None and a.true is not None and (a.wrong or self.ok)]
        figure = Figure(figsize=(7.5, 2.4 * max(len(shown), 1)), layout="constrained")
        axes = figure.subplots(max(len(shown), 1), 3, squeeze=False)
        for row, a in zip(axes, shown, strict=False):
            assert a.got is not None and a.true is not None
            top = float(np.nanmax(np.abs(a.true), initial=0)) or 1.0
            for axis, title, values in zip(row, ("yours", "true", "difference"), (a.got, a.true, a.got - a.true), strict=True):
                axis.imshow(_unfold(values), cmap="RdBu_r", vmin=-top, vmax=top, interpolation="nearest")
                axis.set(title=f"{a.label}: {title}", xticks=[], yticks=[])
        return figure


# ---- text ----------------------------------------------------------------------------------------------------------


def _shows_unicode() -> bool:
    return (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "").startswith("utf")


def _argument_lines(a: Argument, width: int, style: dict[str, str], maps: bool = True) -> list[str]:
    """One line, and for a wrong gradient also the worst number, the advice and where it is wrong."""
    numbers = "number" if a.checked == 1 else "numbers"
    agree = "agrees" if a.checked == 1 else "agree"
    share = f"{a.wrong} of {a.checked} {numbers} wrong" if a.wrong else f"{a.checked} {numbers} {agree}"
    gap = f"worst relative gap {a.gap:.0e}" if a.got is not None and (a.worst or a.ok) else ""
    name = [a.mistake.name] if a.mistake else ["no known pattern"] if a.wrong else []
    head = "   ".join([share, *([gap] if gap else []), *name])
    lines = [f"  {style['ok' if a.ok else 'x']}   {a.label:<{width}}   {head}"]
    if not a.ok:
        if a.worst is not None:
            where = f"[{', '.join(map(str, a.worst.index))}]" if a.worst.index else ""
            lines.append(f"         {a.label}{where}: yours {_short(a.worst.got)}   true {_short(a.worst.expected)}")
        if a.mistake:
            lines.append(f"         {a.mistake.advice}")
        elif a.wrong:
            lines.append("         No known pattern: perhaps two mistakes in one gradient. The map shows where it is wrong.")
        if a.where:
            lines.append(f"         The wrong numbers are {a.where}.")
        if maps and a.wrong and max(a.shape, default=1) > 1:
            lines += ["         " + line for line in _map_lines(a, style)]
    return lines + [f"         {note}" for note in a.notes]


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
    return style["right"] if value == 0 else style["blocks"][min(int(value * 4), 3)]


def _short(value: float) -> str:
    return f"{value:.6f}" if 1e-3 <= abs(value) < 1e6 or value == 0 else f"{value:.6e}"


def _number(value: float) -> float | str:
    """A float that strict JSON accepts: NaN and infinities become text."""
    return float(value) if math.isfinite(value) else str(float(value))


# ---- maps ----------------------------------------------------------------------------------------------------------


def _panels(heat: np.ndarray, dims: tuple[str, ...]) -> list[tuple[str, np.ndarray]]:
    """An array of any rank as captioned matrices: images by their H and W, other arrays by their last two axes.

    One matrix for each index of the first remaining axis, up to four, wrong ones first; further axes show their worst number.
    """
    if heat.ndim < 2:
        return [(dims[0] if dims else "axis 0", _shrink(heat.reshape(1, -1)))]
    rows = next((i for i, d in enumerate(dims[:-1]) if d in ("H", "kh")), 1 if heat.ndim == 4 and not dims else heat.ndim - 2)
    names = dims if len(dims) == heat.ndim else tuple(f"axis {i}" for i in range(heat.ndim))
    rest = [i for i in range(heat.ndim) if i not in (rows, rows + 1)]
    stacked = heat.transpose(*rest, rows, rows + 1).reshape(heat.shape[rest[0]] if rest else 1, -1, *heat.shape[rows : rows + 2])
    with np.errstate(all="ignore"):
        maps = np.where(np.isnan(stacked).all(axis=1), np.nan, np.nan_to_num(stacked, nan=-1).max(axis=1, initial=-1))
    shape = f"{names[rows]} x {names[rows + 1]}"
    order = sorted(range(len(maps)), key=lambda i: not np.nan_to_num(maps[i]).any())[:4]
    return [(f"{shape}, {names[rest[0]]} {i}" if rest else shape, _shrink(maps[i])) for i in order]


def _shrink(matrix: np.ndarray, rows: int = 16, columns: int = 32) -> np.ndarray:
    """A large matrix in fewer cells; each shows its worst number."""
    for axis, limit in enumerate((rows, columns)):
        starts = np.linspace(0, matrix.shape[axis], min(limit, matrix.shape[axis]), endpoint=False).astype(int)
        matrix = np.fmax.reduceat(matrix, starts, axis=axis)
    return matrix


def _unfold(values: np.ndarray) -> np.ndarray:
    """An array of any rank as one matrix."""
    return values.reshape(-1, values.shape[-1]) if values.ndim > 1 else values.reshape(1, -1)


def _html_maps(a: Argument) -> str:
    if a.ok or not a.wrong:
        return ""
    tables = []
    for caption, heat in a.heat():
        rows = "".join("<tr>" + "".join(_html_cell(v) for v in row) + "</tr>" for row in heat)
        tables.append(
            f'<table style="border-collapse:collapse;display:inline-table;margin:4px">'
            f"<caption>{html.escape(caption)}</caption>{rows}</table>"
        )
    return "".join(tables)


def _html_cell(value: float) -> str:
    colour = "#fff" if math.isnan(value) else "#dfe8df" if value == 0 else f"rgba(192,40,40,{0.25 + 0.75 * value:.2f})"
    return f'<td style="width:12px;height:12px;padding:0;border:1px solid #fff;background:{colour}"></td>'
