"""The report as a notebook shows it, and as a matplotlib figure."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tinydx.gradcheck.maps import mosaic
from tinydx.gradcheck.text import UNICODE, argument_lines

if TYPE_CHECKING:
    from tinydx.gradcheck.report import Argument, Report

ROW = "display:flex;flex-wrap:nowrap;overflow-x:auto;gap:10px;align-items:flex-start"  # tiles scroll, they never wrap
NUMBER = "font:9px sans-serif;color:#777;text-align:center;padding:0 1px"


def as_html(report: Report) -> str:
    """The report as HTML without scripts."""
    parts = [f"<b>{html.escape(report.title)}</b> <small>{html.escape(report.method)}, seed {report.seed}</small><ul>"]
    if report.doubt:
        parts.append(f"<li>cannot tell: {html.escape(report.doubt)}</li>")
    given: set[str] = set()
    for a in report.arguments:
        lines = argument_lines(a, 0, UNICODE, given, maps=False)
        parts.append("<li>" + "<br>".join(html.escape(line.strip()) for line in lines))
        parts.append(_maps(a) + "</li>")
    parts += [f"<li>x {html.escape(p.name)}: {html.escape(p.advice)}</li>" for p in report.problems]
    parts += [f"<li>{html.escape(note)}</li>" for note in report.notes]
    return "".join(parts) + "</ul>"


def _maps(a: Argument) -> str:
    """The heat maps in one row, with the indices along their axes and the scale."""
    if a.ok or not a.wrong:
        return ""
    tables = []
    for caption, heat in a.heat():
        ruler = "".join(f'<td style="{NUMBER}">{j}</td>' for j in range(heat.shape[1]))
        rows = "".join(
            f'<tr><td style="{NUMBER}">{i}</td>' + "".join(_cell(v) for v in row) + "</tr>" for i, row in enumerate(heat)
        )
        tables.append(
            f'<table style="border-collapse:collapse;flex:none">'
            f"<caption>{html.escape(caption)}</caption>{rows}<tr><td></td>{ruler}</tr></table>"
        )
    scale = "".join(f'<span style="display:inline-block;width:12px;height:12px;background:{_colour(v)}"></span>' for v in SCALE)
    legend = f'<div style="font-size:small">{html.escape(a.label)}, error: 0 {scale} {_largest(a)}</div>' if tables else ""
    return f'<div style="{ROW}">{"".join(tables)}</div>{legend}'


SCALE = (0.0, 0.25, 0.5, 0.75, 1.0)


def _largest(a: Argument) -> str:
    """The largest error, at the end of the scale."""
    return f"{abs(a.worst.got - a.worst.expected):.2g}" if a.worst else "largest"


def _colour(value: float) -> str:
    return "#fff" if math.isnan(value) else "#dfe8df" if value == 0 else f"rgba(192,40,40,{0.25 + 0.75 * value:.2f})"


def _cell(value: float) -> str:
    return f'<td style="width:12px;height:12px;padding:0;border:1px solid #fff;background:{_colour(value)}"></td>'


def as_figure(report: Report) -> Any:
    """A matplotlib figure: for each wrong gradient yours, the true one and the difference; each row has one scale.

    Raises: ImportError if matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("report.figure() needs matplotlib: pip install matplotlib") from error
    shown = [a for a in report.arguments if a.got is not None and a.true is not None and (a.wrong or report.ok)]
    heights = [_height(a) for a in shown] or [2.4]
    figure = Figure(figsize=(9.5, sum(heights)), layout="constrained")
    axes = figure.subplots(len(heights), 3, squeeze=False, height_ratios=heights)
    for row, a in zip(axes, shown, strict=False):
        assert a.got is not None and a.true is not None
        top = float(np.fmax.reduce(np.abs(a.true), axis=None, initial=0)) or 1.0
        for axis, title, values in zip(row, ("yours", "true", "difference"), (a.got, a.true, a.got - a.true), strict=True):
            image, ticks = mosaic(values, a.dims)
            drawn = axis.imshow(image, cmap="RdBu_r", vmin=-top, vmax=top, interpolation="nearest")
            axis.set_title(f"{a.label}: {title}", fontsize=9)
            for which, (label, places, texts) in ticks.items():
                getattr(axis, f"set_{which}ticks")(places, texts, fontsize=7)
                getattr(axis, f"set_{which}label")(label, fontsize=7)
        figure.colorbar(drawn, ax=list(row), shrink=0.8).ax.tick_params(labelsize=7)
    return figure


def _height(a: Argument) -> float:
    """Inches for a row, so that tiles keep their shape."""
    assert a.got is not None
    rows, columns = mosaic(a.got, a.dims)[0].shape
    return float(np.clip(0.9 + 2.6 * rows / max(columns, 1), 1.4, 6.0))
