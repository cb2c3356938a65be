"""The picture of a result, made from its JSON.

An op:            speed-up bars, forward and backward | rates against size, where the cases differ in one number | roofline
A race:           bars of the three measures, one row for each number of threads
Many at a glance: a bar for each row, tinydx against its fastest peer
Flatness:         the cost of an example by the size of the batch | resident memory over steps

As in `tinydx.diagnosis.page`, whose colours and style these pictures share, matplotlib is used without pyplot.
"""

from __future__ import annotations

import io
import textwrap
from typing import Any, NamedTuple

from tinydx.bench.measure import fitted, summarize, verdict
from tinydx.bench.results import (
    ABOVE,
    MEASURES,
    Compared,
    Line,
    compared,
    facts,
    groups,
    heading,
    lines,
    racers,
    thread_words,
    time_words,
)
from tinydx.diagnosis.page import INK, MUTED, PALE, STYLE
from tinydx.names import in_figure, line, shown
from tinydx.names import lines as shown_lines

COLORS = {"numba": "#2166ac", "cuda": "#009e73", "torch": "#d55e00", "numpy": "#829ab1"}
WIDTH, DPI = 11.0, 130  # inches, and dots per inch
ROW = 0.25  # inches for each bar
LONGEST = 60  # characters of a name
DIRECTIONS = ("forward", "backward")


def picture(run: dict[str, Any]) -> bytes:
    """The whole picture as the bytes of a PNG file."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    style: dict[str, Any] = {**STYLE, "font.size": 10, "axes.titlesize": 12, "axes.titleweight": "bold"}
    with matplotlib.rc_context(style):  # type: ignore[arg-type]
        figure = _stack(run, BANDS[run["kind"]](run))
        buffer = io.BytesIO()
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Title": shown(heading(run)), "Software": "tinydx"})
    return buffer.getvalue()


class Band(NamedTuple):
    """A strip of the picture: its height in inches, and the function that plots it into a subfigure."""

    height: float
    plot: Any


def _stack(run: dict[str, Any], bands: list[Band]) -> Any:
    """The figure: the head, and the bands below it, each with its own height."""
    from matplotlib.figure import Figure

    words = [line for fact in facts(run) for line in textwrap.wrap(shown(fact), 150)]
    head = 0.6 + 0.17 * len(words)
    heights = [head, *(band.height for band in bands)]
    figure = Figure(figsize=(WIDTH, sum(heights)), dpi=DPI, layout="constrained", facecolor="white")
    parts: Any = figure.subfigures(len(heights), 1, height_ratios=heights)
    parts = parts if len(heights) > 1 else [parts]
    parts[0].text(0.012, 1 - 0.3 / head, in_figure(heading(run)), fontsize=17, weight="bold", color=INK, va="center")
    parts[0].text(0.012, 1 - 0.52 / head, "\n".join(words), fontsize=8.5, color=MUTED, va="top", linespacing=1.35)
    for part, band in zip(parts[1:], bands, strict=True):
        band.plot(part)
    return figure


class Bar(NamedTuple):
    """A bar: its colour, its end, the interval of that (or None), the text beside it, and whether it is pale."""

    color: str
    value: float
    interval: tuple[float, float] | None
    words: str
    pale: bool = False


def _plot_bars(axes: Any, rows: list[tuple[str, list[Bar]]], start: float = 0.0) -> None:
    """Horizontal bars in named groups, from top to bottom. All begin at `start` and have their text on the right."""
    y, ticks = 0.0, []
    for _, bars in rows:
        ticks.append(y + (len(bars) - 1) / 2)
        for bar in bars:
            axes.barh(y, bar.value - start, left=start, height=0.8, color=bar.color, alpha=0.35 if bar.pale else 1.0, linewidth=0)
            if bar.interval:
                axes.plot(bar.interval, (y, y), color=INK, linewidth=1.2, solid_capstyle="butt")
            end = max(bar.value, start, bar.interval[1] if bar.interval else 0.0)
            beside: Any = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 8, "color": INK}
            axes.annotate(in_figure(line(bar.words, LONGEST)), (end, y), **beside)
            y += 1
        y += 0.6
    axes.set_yticks(ticks, [shown_lines(name) for name, _ in rows], fontsize=8.5, color=INK)
    axes.set_ylim(y - 0.9, -0.7)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)


# ---- an op ---------------------------------------------------------------------------------------------------------


def _op_bands(run: dict[str, Any]) -> list[Band]:
    found, names = lines(run), _short_names(run)
    counts = sorted({line.row["threads"] for line in found if line.summary})
    bands = [band for n in counts if (band := _speedups(run, names, n))]
    sizes = _sizes(run)
    if sizes:
        bands += [Band(3.6, lambda part, n=n: _plot_rates(part, found, sizes, n)) for n in counts]
    if any(line.summary and line.row["flops"] for line in found) and any(run["roofs"].values()):
        bands.append(Band(4.6, lambda part: _plot_roofline(part, run, found, counts)))
    return bands or [Band(1.0, lambda part: part.text(0.5, 0.5, "nothing was timed", ha="center", color=MUTED))]


def _short_names(run: dict[str, Any]) -> dict[str, str]:
    """Short names of the cases: constants that all cases share are left out."""
    parts = {row["case"]: row["case"].split(", ") for row in run["rows"]}
    shared = set.intersection(*map(set, parts.values())) if len(parts) > 1 else set()
    own = {case: [p for p in some if "=" not in p or p not in shared] for case, some in parts.items()}
    return {case: textwrap.fill(", ".join(some), 34) for case, some in own.items()}


def _speedups(run: dict[str, Any], names: dict[str, str], threads: int) -> Band | None:
    """Bars of our speed relative to each of the others; None where there is nothing to compare."""
    sides = {
        d: _speedup_rows([g for g in groups(run) if g[0]["direction"] == d and g[0]["threads"] == threads], names)
        for d in DIRECTIONS
    }
    sides = {d: rows for d, rows in sides.items() if rows}
    if not sides:
        return None
    bars = max(sum(len(b) + 0.6 for _, b in rows) for rows in sides.values())
    return Band(1.3 + ROW * bars, lambda part: _plot_speedups(part, sides, threads))


def _speedup_rows(some: list[list[dict[str, Any]]], names: dict[str, str]) -> list[tuple[str, list[Bar]]]:
    rows = []
    for group in some:
        ours = next((r for r in group if r["ours"] and r["seconds"]), None)
        bars = []
        for other in group:
            if ours and not other["ours"] and other["seconds"]:
                found = verdict(ours["seconds"], other["seconds"])
                unsure = found.words == "can't tell"
                words = f"{found.ratio:.3g}x {other['backend']}" + (", can't tell" if unsure else "")
                bars.append(Bar(COLORS.get(other["backend"], MUTED), found.ratio, found.interval, words, unsure))
        if bars:
            rows.append((names[group[0]["case"]], bars))
    return rows


def _plot_speedups(part: Any, sides: dict[str, list], threads: int) -> None:
    """Forward and backward side by side; the bars begin at 1 (equal speed) on a logarithmic axis."""
    axes = part.subplots(1, len(sides), squeeze=False)[0]
    for k, (ax, (direction, rows)) in enumerate(zip(axes, sides.items(), strict=True)):
        values = [end for _, bars in rows for b in bars for end in (b.value, *(b.interval or ()))]
        ax.set_xscale("log")
        ax.set_xlim(min(0.5, *values, 0.5) * 0.8, max(2.0, *values, 2.0) * 6)
        _plot_bars(ax, rows, start=1)  # "equally fast"
        ax.axvline(1, color=INK, linewidth=1)
        ax.set_title(f"{direction}, {thread_words(threads)}")
        ax.set_xlabel("times as fast as the other (right of 1: the kernel is faster)")
        ax.xaxis.set_major_formatter("{x:g}")
        if k:
            ax.set_yticklabels([])


def _sizes(run: dict[str, Any]) -> dict[str, int] | None:
    """The one number in which the cases differ, by case; None where they differ in several."""
    flat = {row["case"]: [n for shape in row["shapes"] if shape for n in shape] for row in run["rows"]}
    if len(flat) < 2 or len({len(numbers) for numbers in flat.values()}) > 1:
        return None
    columns = [c for c in zip(*flat.values(), strict=True) if len(set(c)) > 1]
    if not columns or any(c != columns[0] for c in columns):
        return None
    return dict(zip(flat, columns[0], strict=True))


def _plot_rates(part: Any, found: list[Line], sizes: dict[str, int], threads: int) -> None:
    """The median rate of each backend against the size, with a band between the quartiles, and the roof."""
    axes = part.subplots(1, 2)
    for ax, direction in zip(axes, DIRECTIONS, strict=True):
        some = [x for x in found if x.summary and x.row["direction"] == direction and x.row["threads"] == threads]
        if not some:
            ax.set_axis_off()
            continue
        for backend in dict.fromkeys(x.row["backend"] for x in some):
            mine = sorted((x for x in some if x.row["backend"] == backend), key=lambda x: sizes[x.row["case"]])
            at = [sizes[x.row["case"]] for x in mine]
            work = [(x.row["flops"] or x.row["bytes"]) / 1e9 for x in mine]
            color = COLORS.get(backend, MUTED)
            ax.fill_between(
                at,
                [w / x.summary.high for w, x in zip(work, mine, strict=True) if x.summary],
                [w / x.summary.low for w, x in zip(work, mine, strict=True) if x.summary],
                color=color,
                alpha=0.25,
                linewidth=0,
            )
            label = in_figure(line(mine[0].row["label"], LONGEST))
            ax.plot(at, [x.rate for x in mine], color=color, linewidth=2, marker="o", markersize=4, label=label)
        roofs = sorted({(sizes[x.row["case"]], x.rate / x.share) for x in some if x.rate and x.share})
        if roofs:
            ax.plot(*zip(*roofs, strict=True), color=INK, linewidth=1.2, linestyle=(0, (4, 3)), label="roof of this machine")
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.set_title(f"{direction}, {thread_words(threads)}")
        ax.set_xlabel("size (the number in which the cases differ)")
        ax.set_ylabel(some[0].unit)
        _plain_ticks(ax)
        ax.legend(frameon=False, fontsize=8)


def _plain_ticks(ax: Any) -> None:
    """Write 1024, not 2^10, on the x axis, and 20, 50 and 100, not 10^2, on the y axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}" if x < 1e5 else f"{x / 1e6:.3g}M"))
    ax.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())


def _plot_roofline(part: Any, run: dict[str, Any], found: list[Line], counts: list[int]) -> None:
    """FLOP/s against FLOPs per byte: how close each case comes to the limits of the machine."""
    timed = [x for x in found if x.summary and x.row["flops"]]
    intensities = [x.row["flops"] / x.row["bytes"] for x in timed]
    ends = min(0.5, *intensities), max(intensities) * 3
    axes = part.subplots(1, len(counts), sharey=True, squeeze=False)[0]
    for ax, n in zip(axes, counts, strict=True):
        roof = run["roofs"][str(n)]
        corner = roof["flops"] / roof["bytes"]
        edge = [(x, min(roof["flops"], roof["bytes"] * x) / 1e9) for x in sorted({ends[0], corner, max(ends[1], corner * 2)})]
        ax.plot(*zip(*edge, strict=True), color=INK, linewidth=1.6)
        ax.annotate(
            f"peak {roof['flops'] / 1e9:.0f} GFLOP/s",
            edge[-1],
            xytext=(-4, 5),
            textcoords="offset points",
            ha="right",
            fontsize=8.5,
            color=INK,
        )
        ax.annotate(
            f"copies {roof['bytes'] / 1e9:.0f} GB/s", edge[0], xytext=(4, 14), textcoords="offset points", fontsize=8.5, color=INK
        )
        mine = [x for x in timed if x.row["threads"] == n]
        for backend in dict.fromkeys(x.row["backend"] for x in mine):
            for direction, marker in zip(DIRECTIONS, "os", strict=True):
                points = [
                    (x.row["flops"] / x.row["bytes"], x.rate)
                    for x in mine
                    if (x.row["backend"], x.row["direction"]) == (backend, direction)
                ]
                if points:
                    ax.scatter(
                        *zip(*points, strict=True),
                        s=34,
                        marker=marker,
                        color=COLORS.get(backend, MUTED),
                        alpha=0.85,
                        linewidth=0.6,
                        edgecolor="white",
                        label=in_figure(f"{line(backend, LONGEST)}, {direction}"),
                        zorder=3,
                    )
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_title(f"Roofline, {thread_words(n)}")
        ax.set_xlabel("FLOPs per byte that must move")
        ax.xaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_major_formatter("{x:g}")
        ax.legend(frameon=False, fontsize=8, loc="lower right")
    axes[0].set_ylabel("GFLOP/s")


# ---- the race of whole steps ---------------------------------------------------------------------------------------

RACE_COLORS = {"tinydx": "#2166ac", "torch": "#d55e00", "keras": "#009e73"}


def _step_bands(run: dict[str, Any]) -> list[Band]:
    most = max((len(racers(race, m)) for race in run["races"] for m in MEASURES), default=1)
    return [Band(1.2 + 0.42 * most, lambda part, race=race: _plot_race(part, race)) for race in run["races"]]


def _plot_race(part: Any, race: dict[str, Any]) -> None:
    """The three measures side by side, where shorter bars are faster."""
    axes = part.subplots(1, len(MEASURES))
    for k, (ax, (measure, name)) in enumerate(zip(axes, MEASURES.items(), strict=True)):
        rows = []
        for racer in racers(race, measure):
            words = None if racer.verdict is None else racer.verdict.words.replace(":", "")
            ratio = f", {words}" if words == "can't tell" else f", tinydx {words}" if words else ""
            s = racer.summary
            color = next((c for name, c in RACE_COLORS.items() if racer.row["contestant"].startswith(name)), MUTED)
            bar = Bar(color, s.median * 1e3, (s.low * 1e3, s.high * 1e3), time_words(s.median) + ratio)
            rows.append((textwrap.fill(racer.row["label"], 24), [bar]))
        if rows:
            ax.set_xlim(0, 1.75 * max(bar.interval[1] for _, (bar,) in rows if bar.interval))
            _plot_bars(ax, rows)
        ax.set_title(f"{name}, {thread_words(race['threads'])}")
        ax.set_xlabel("milliseconds")
        ax.spines["left"].set_color(PALE)
        if k:
            ax.set_yticklabels([])


# ---- many rows at a glance -------------------------------------------------------------------------------------------

WON, EVEN, LOST = "#2166ac", "#829ab1", "#d55e00"  # colours of a row at ABOVE or more, between, and below 1


def _glance_bands(run: dict[str, Any]) -> list[Band]:
    rows = compared(run)
    bands = []
    for measure, threads in dict.fromkeys((r.measure, r.threads) for r in rows):
        some = [r for r in rows if (r.measure, r.threads) == (measure, threads)]
        title = f"{measure}, {thread_words(threads)}"
        bands.append(Band(1.0 + 0.8 * ROW * len(some), lambda part, some=some, title=title: _plot_glance(part, some, title)))
    return bands


def _plot_glance(part: Any, rows: list[Compared], title: str) -> None:
    """A bar for each row, which begins at 1 (equally fast) on a logarithmic axis."""
    from matplotlib.ticker import LogLocator, NullFormatter

    ax = part.subplots()
    ratios = [r.verdict.ratio for r in rows]
    ax.set_xscale("log")
    ax.set_xlim(min(0.4, *ratios) * 0.8, max(3.0, *ratios) * 2)
    bars = []
    for row in rows:
        ratio = row.verdict.ratio
        color = WON if ratio >= ABOVE else EVEN if ratio >= 1 else LOST
        words = f"{ratio:.2f}x ({time_words(row.ours)})"
        bars.append((line(row.name, LONGEST), [Bar(color, ratio, row.verdict.interval, words)]))
    _plot_bars(ax, bars, start=1)
    ax.axvline(1, color=INK, linewidth=1)
    ax.axvline(ABOVE, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    ax.set_title(title)
    ax.set_xlabel("times as fast as the fastest peer")
    ax.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())


# ---- flatness --------------------------------------------------------------------------------------------------------


def _flat_bands(run: dict[str, Any]) -> list[Band]:
    return [Band(3.2, lambda part, row=row: _plot_flat(part, row)) for row in run["rows"]]


def _plot_flat(part: Any, row: dict[str, Any]) -> None:
    """The cost of an example against the size of the batch, and resident memory against steps."""
    left, right = part.subplots(1, 2)
    cost, sizes = fitted(row["seconds"]), [int(n) for n in row["seconds"]]
    left.plot(sizes, [1e6 * summarize(t).median / int(n) for n, t in row["seconds"].items()], "o", color=WON, label="median")
    left.plot(sizes, [1e6 * (cost.fixed / n + cost.each) for n in sizes], color=INK, linewidth=1, label="fixed / n + each")
    left.set_xscale("log", base=2)
    left.set_yscale("log")
    left.set_title(in_figure(line(f"{row['words']}, {thread_words(row['threads'])}", LONGEST)))
    left.set_xlabel("examples in a batch")
    left.set_ylabel("microseconds for each")
    _plain_ticks(left)
    left.legend(frameon=False, fontsize=8)
    right.plot(row["steps"], [b / 1e6 for b in row["resident"]], color=WON, linewidth=1.6)
    right.set_ylim(bottom=0)
    right.set_title("resident memory")
    right.set_xlabel("steps")
    right.set_ylabel("MB")


BANDS = {"op": _op_bands, "step": _step_bands, "models": _glance_bands, "shapes": _glance_bands, "flat": _flat_bands}
