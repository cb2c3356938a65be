"""Building blocks of a report's page: bands from top to bottom, lines of text, tables, and fonts that have the characters.

    text    -> heading, sentences, bullets, tabulated -> lines -> text_bands ┐
    a function that plots on a subfigure, and its height in inches -> Band   ┴> report.py stacks them

The blocks use matplotlib's objects, never pyplot: nothing global changes, and any thread or notebook can call them.
"""

from __future__ import annotations

import io
import math
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinydx.datasets.study import Study
from tinydx.diagnosis.kind import Kind
from tinydx.names import shown

History = dict[str, Sequence[float]]

INK, MUTED, PALE, BLUE, RED = "#1f2933", "#627d98", "#d9e2ec", "#2166ac", "#c62828"
AMBER, BROWN, ROSE = "#fff3cd", "#7a4f01", "#fde8e8"
CLASS_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444", "#8c6bb1")
WIDTH, MARGIN, DPI = 9.0, 0.13, 150  # of the page, in inches; dots per inch
DIAGONAL: Any = {"color": MUTED, "linewidth": 1, "linestyle": (0, (4, 4))}
STYLE = {
    "font.size": 11,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.8,
    "axes.unicode_minus": False,
    "text.parse_math": False,  # a $ in a class name is a dollar sign
}


class Page(NamedTuple):
    """Everything that the page shows: what `write_report` was given, checked."""

    metrics: dict[str, Any]
    history: History
    examples: list[Any]
    true: np.ndarray  # class numbers (N,)
    table: np.ndarray  # probabilities (N, classes)
    kind: Kind
    title: str
    subtitle: str
    synthetic: bool
    study: Study | None = None  # the examples of all splits, for sections that show some


class Band(NamedTuple):
    """A part of the page from its left to its right: its height in inches, and what plots it on a subfigure."""

    height: float
    plot: Callable[[Any], None]


def png(bands: Sequence[Band], title: str, family: list[str], weight: str) -> bytes:
    """The bands under one another as the bytes of a PNG file.

    Arguments: bands; title, which the file carries; family and weight of the fonts, as `fonts` finds them.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    style: Any = {**STYLE, "font.family": family, "axes.titleweight": weight, "figure.titleweight": weight}
    with matplotlib.rc_context(style):
        heights = [band.height for band in bands]
        layout = ConstrainedLayoutEngine(w_pad=MARGIN, h_pad=0.06)
        figure = Figure(figsize=(WIDTH, sum(heights)), dpi=DPI, layout=layout, facecolor="white")
        parts: Any = figure.subfigures(len(heights), 1, height_ratios=heights)
        for part, band in zip(parts, bands, strict=True):
            band.plot(part)
        buffer = io.BytesIO()
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Title": shown(title), "Software": "tinydx"})
    return buffer.getvalue()


# --- lines of text --------------------------------------------------------------------------------------------------


class Line(NamedTuple):
    """A line of text, or the cells of a table's row, each at its distance from the left: the style, and the height in inches."""

    text: str | tuple[tuple[float, str], ...]
    size: float
    color: str
    height: float
    bold: bool = False
    paper: str = "none"


def heading(text: str) -> Line:
    """The heading of a part of the page."""
    return Line(text, 13, INK, 0.36, bold=True)


def sentences(text: str, color: str = INK) -> list[Line]:
    """A text as lines of the page's width."""
    return [Line(line, 10, color, 0.21) for line in wrap(unbroken(text), 116)]


def head(title: str, subtitle: str, notice: str | None, reservations: list[str]) -> list[Line]:
    """Title and subtitle, for synthetic data the notice that says so, and what speaks against the model."""
    lines = [Line(line, 20, INK, 0.40, bold=True) for line in wrap(f"{title} (synthetic data)" if notice else title, 48)]
    lines += [Line(line, 11, MUTED, 0.25) for line in wrap(subtitle, 105)]
    if notice:
        lines.append(Line(f"Synthetic data: {notice}", 10, BROWN, 0.36, paper=AMBER))
    for sentence in reservations:
        text = wrap(unbroken(sentence), 108)
        lines += [Line("", 4, INK, 0.12), Line("\n".join(text), 10.5, RED, 0.22 * len(text) + 0.1, paper=ROSE)]
    return lines


def bullets(title: str, points: Sequence[str]) -> list[Line]:
    """Sentences under a heading, each with a dash; nothing where there are none."""
    lines = [Line(("- " if k == 0 else "  ") + line, 10, INK, 0.21) for p in points for k, line in enumerate(wrap(p, 114))]
    return [heading(title), *lines] if lines else []


def tabulated(lefts: Sequence[float], rows: Sequence[Sequence[str]], width: int) -> list[Line]:
    """The lines of a table.

    Arguments: lefts, where each column begins, in inches; rows of cells, the first one the heads; width, after how many
    characters the text of the first column continues on another line.
    """
    lines = []
    for number, row in enumerate(rows):
        first = [short(line, width) for line in wrap(row[0], width)] or [""]
        color = MUTED if number == 0 else INK
        for k, text in enumerate(first):
            cells = [(lefts[0], text), *zip(lefts[1:], row[1:], strict=False)] if k == 0 else [(lefts[0], text)]
            height = 0.23 if k == len(first) - 1 else 0.17
            lines.append(Line(tuple((left, cell) for left, cell in cells if cell), 9.5, color, height))
    return lines


def figure_of(row: dict[str, Any], key: str, form: str) -> str:
    """'0.926 (0.905 to 0.947)'; '-' where there is no such figure."""
    value, ends = row.get(key), row.get(f"{key}_interval")
    if value is None:
        return "-"
    return form.format(value) + (f" ({form.format(ends[0])} to {form.format(ends[1])})" if ends and ends[0] < ends[1] else "")


def interval(metrics: dict[str, Any], key: str, form: str) -> str:
    """'95% interval 0.950 to 0.990'; '' where there is none, or one that says nothing."""
    ends = metrics.get(f"{key}_interval")
    if not ends or f"{key}_interval" in metrics["reasons"]:
        return ""
    return f"{metrics['interval_level']:.0%} interval {form.format(ends[0])} to {form.format(ends[1])}"


def unbroken(text: str) -> str:
    """The text with spaces in "p = 0.3" and "can't tell" that no line ends at."""
    for words in ("p = ", "p < ", ": can't tell)"):
        text = text.replace(words, words.replace(" ", "\u00a0"))
    return text


def text_bands(*texts: list[Line]) -> list[Band]:
    """A band for each of these texts that has lines."""
    return [text_band(lines) for lines in texts if lines]


def text_band(lines: list[Line]) -> Band:
    """The lines as one band."""
    height = sum(line.height for line in lines) + 0.3
    return Band(height, lambda band: _plot_lines(band, lines, height))


def _plot_lines(band: Any, lines: list[Line], height: float) -> None:
    from matplotlib import rcParams

    top = height - 0.2
    for line in lines:
        weight = rcParams["figure.titleweight"] if line.bold else "normal"
        for left, text in ((MARGIN, line.text),) if isinstance(line.text, str) else line.text:
            band.text(
                left / WIDTH,
                (top - line.height / 2) / height,
                text,
                fontsize=line.size,
                color=line.color,
                weight=weight,
                va="center",
                bbox={"facecolor": line.paper, "edgecolor": "none", "pad": 5},
            )
        top -= line.height


class Panel(NamedTuple):
    """An example in a grid; a marked one has a red frame and a red caption."""

    example: Any
    caption: str
    marked: bool


def grid(title: str, kind: Kind, panels: Sequence[Panel], synthetic: bool = False) -> Band:
    """Examples beside one another under a title; each synthetic one says so."""
    rows = math.ceil(len(panels) / kind.columns)
    title = f"{title} (synthetic)" if synthetic else title
    longer = max((panel.caption.count("\n") - 1 for panel in panels), default=0)  # lines of a caption beyond two
    height = 0.45 + (kind.panel_height + 0.17 * max(0, longer)) * rows
    return Band(height, lambda band: _plot_grid(band, title, kind, panels, synthetic))


def _plot_grid(band: Any, title: str, kind: Kind, panels: Sequence[Panel], synthetic: bool) -> None:
    band.suptitle(title, x=MARGIN / WIDTH, ha="left", fontsize=13)
    rows = math.ceil(len(panels) / kind.columns)
    places = band.subplots(rows, kind.columns, squeeze=False, subplot_kw={"anchor": "N"}).ravel()
    for axes in places[len(panels) :]:
        axes.axis("off")
    for axes, panel in zip(places, panels, strict=False):
        axes.grid(False)
        axes.set(xticks=[], yticks=[])
        kind.plot(axes, panel.example)
        axes.set_xlabel(panel.caption, fontsize=9.5, color=RED if panel.marked else INK)
        axes.spines[:].set(visible=True, color=RED if panel.marked else PALE, linewidth=3 if panel.marked else 1)
        if synthetic:
            axes.text(
                0.03,
                0.03,
                "synthetic",
                transform=axes.transAxes,
                fontsize=7,
                color="white",
                bbox={"facecolor": "black", "alpha": 0.5, "edgecolor": "none", "pad": 1.5},
            )


def message(axes: Any, text: str) -> None:
    """A text in place of a plot."""
    axes.text(0.5, 0.5, "\n".join(wrap(text, 36)), transform=axes.transAxes, ha="center", va="center", color=MUTED)


# --- text -----------------------------------------------------------------------------------------------------------


def fonts(texts: Iterable[str]) -> tuple[list[str], str, set[int]]:
    """Font families for these texts, the weight of titles, and the code points that these fonts can draw.

    DejaVu Sans comes with matplotlib. If it lacks characters, the installed font that has most of them is added; titles are bold
    only if that font has a bold face.
    """
    from matplotlib.font_manager import FontProperties, findfont, fontManager
    from matplotlib.ft2font import FT2Font

    drawable = set(FT2Font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap())
    missing = {ord(character) for character in " ".join(" ".join(texts).split())} - drawable
    if not missing:
        return ["DejaVu Sans"], "bold", drawable
    found, gained = None, set[int]()
    for entry in sorted(fontManager.ttflist, key=_preference):
        try:
            has = missing.intersection(FT2Font(entry.fname).get_charmap())
        except (OSError, RuntimeError):
            continue  # a damaged font file must not prevent the report
        if len(has) > len(gained) and "Last Resort" not in entry.name:  # that font draws only boxes
            found, gained = entry, has
        if gained == missing:
            break
    if found is None:
        return ["DejaVu Sans"], "bold", drawable
    faces = [face for face in fontManager.ttflist if face.name == found.name]
    bold = any(str(face.weight) in ("700", "bold") for face in faces)
    return ["DejaVu Sans", found.name], "bold" if bold else "normal", drawable | gained


def _preference(entry: Any) -> tuple[bool, bool, str]:
    """The sort key of installed fonts: upright, regular, sans-serif faces come first."""
    plain = entry.style == "normal" and str(entry.weight) in ("400", "normal", "regular")
    sans = any(word in entry.name for word in ("Sans", "Hei", "Gothic", "PingFang"))
    return not plain, not sans, entry.name


def legible(value: Any, drawable: set[int], instead: dict[str, str]) -> Any:
    """Texts, also inside lists and dictionaries: words replaced, then characters without a glyph escaped."""
    if isinstance(value, dict):
        return {key: legible(item, drawable, instead) for key, item in value.items()}
    if isinstance(value, list):
        return [legible(item, drawable, instead) for item in value]
    if not isinstance(value, str):
        return value
    for word, other in instead.items():
        value = value.replace(word, other)
    value = shown(" ".join(value.split()))
    return "".join(c if ord(c) in drawable else c.encode("ascii", "backslashreplace").decode() for c in value)


def columns(text: str) -> int:
    """The width of a text in columns; a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def short(text: str, width: int) -> str:
    """The text, cut to a width and ended by dots if it is longer."""
    if columns(text) <= width:
        return text
    while columns(text) > width - 1:
        text = text[:-1]
    return text.rstrip() + "\u2026"


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most that width."""
    return textwrap.wrap(text, max(8, width * len(text) // max(columns(text), 1)))
