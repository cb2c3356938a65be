"""From bench.json to words: the table on the terminal, and Markdown.

Everything is computed from the JSON alone, so `tinydx bench --from bench.json` shows the same again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tinydx.bench.measure import Summary, Verdict, fitted, growth, summarize, verdict
from tinydx.names import in_markup, shown, without_html

Table = tuple[str, tuple[str, ...], list[list[str]]]  # title, head, rows of cells

# ---- rows of an op -------------------------------------------------------------------------------------------------


class Line(NamedTuple):
    """A row and what follows from its samples, which is None where it was not timed."""

    row: dict[str, Any]
    summary: Summary | None
    rate: float | None  # GFLOP/s, or GB/s for an op that only moves memory
    unit: str
    share: float | None  # of the roof, which is the lower of the peak and what memory allows
    verdict: Verdict | None  # of our kernel against the fastest of the others
    peer: str = ""


def lines(run: dict[str, Any]) -> list[Line]:
    """All rows in the order of measuring."""
    return [_line(run, row, group) for group in groups(run) for row in group]


def groups(run: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Rows that were timed in turn: those of the same case, direction and number of threads."""
    found: dict[tuple, list[dict[str, Any]]] = {}
    for row in run["rows"]:
        found.setdefault((row["case"], row["direction"], row["threads"]), []).append(row)
    return list(found.values())


def _line(run: dict[str, Any], row: dict[str, Any], group: list[dict[str, Any]]) -> Line:
    unit = "GB/s" if row["flops"] is None else "GFLOP/s"
    if not row["seconds"]:
        return Line(row, None, None, unit, None, None)
    summary = summarize(row["seconds"])
    rate = (row["flops"] or row["bytes"]) / summary.median / 1e9
    roof = roof_of(run["roofs"].get(str(row["threads"])), row)
    found, peer = _verdict(row, group) if row["ours"] else (None, "")
    return Line(row, summary, rate, unit, roof and rate / roof, found, peer)


def roof_of(roofs: dict[str, float] | None, row: dict[str, Any]) -> float | None:
    """The rate that the machine allows, in GB/s, or in GFLOP/s: the lower of the peak and what memory allows; None if unknown."""
    if not roofs:
        return None
    if row["flops"] is None:
        return roofs["bytes"] / 1e9
    return min(roofs["flops"], roofs["bytes"] * row["flops"] / row["bytes"]) / 1e9


def _verdict(row: dict[str, Any], group: list[dict[str, Any]]) -> tuple[Verdict | None, str]:
    """The verdict against the fastest of the others that were timed in turn with it, and that one's name."""
    others = [r for r in group if not r["ours"] and r["seconds"]]
    if not others:
        return None, ""
    fastest = min(others, key=lambda r: summarize(r["seconds"]).median)
    return verdict(row["seconds"], fastest["seconds"]), fastest["backend"]


# ---- words ---------------------------------------------------------------------------------------------------------


def time_words(seconds: float | None) -> str:
    """A time with its unit, three digits.

    >>> time_words(0.00123), time_words(12.3e-6), time_words(0.123), time_words(1.5)
    ('1.23 ms', '12.3 µs', '123 ms', '1.5 s')
    """
    if seconds is None:
        return ""
    factor, unit = next(((f, u) for f, u in ((1, "s"), (1e3, "ms"), (1e6, "µs")) if seconds * f >= 1), (1e9, "ns"))
    value = seconds * factor
    return f"{value:.0f} {unit}" if value >= 99.95 else f"{value:.3g} {unit}"


HEAD = ("backend", "median", "quartiles", "minimum", "n", "rate", "of roof", "error", "first call", "verdict")


def cells(line: Line) -> list[str]:
    """The cells of a row, in the order of HEAD."""
    row, s = line.row, line.summary
    error, first = row.get("error"), row.get("first_call")
    end = ["" if error is None else f"{error:.0e}", time_words(first)]
    if s is None:
        return [row["label"], "", "", "", "", "", "", *end, row.get("note", "")]
    quartiles = f"{time_words(s.low)} to {time_words(s.high)}"
    share = "" if line.share is None else f"{line.share:.0%}"
    words = f"{line.verdict.words} ({line.peer})" if line.verdict else ""
    return [
        row["label"],
        time_words(s.median),
        quartiles,
        time_words(s.least),
        str(s.n),
        f"{line.rate:.3g} {line.unit}",
        share,
        *end,
        words,
    ]


def heading(run: dict[str, Any]) -> str:
    """The heading of tables, Markdown and picture."""
    return f"tinydx bench {run['op'] if run['kind'] == 'op' else run['kind']}"


def facts(run: dict[str, Any]) -> list[str]:
    """Lines that say what was measured, on which machine, and how to read it."""
    m = run["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items())
    found = [f"{m['processor']}, {m['cores']} cores", versions, f"tinydx runs on {m['kernels']}", f"command: {run['command']}"]
    if m["environment"]:
        found.append(", ".join(f"{k}={v}" for k, v in m["environment"].items()))
    found += [f"{name}: {reason}" for name, reason in run["missing"].items()]
    if run["kind"] in ("models", "shapes"):
        found = glance(compared(run)) + found
    if run["kind"] == "flat":
        return flat_facts(run) + found
    return found + (_op_facts(run) if "roofs" in run else _race_facts(run))


def _op_facts(run: dict[str, Any]) -> list[str]:
    found = [
        f"roofs of this machine, {thread_words(n)}: {roof['flops'] / 1e9:.0f} GFLOP/s, copies {roof['bytes'] / 1e9:.1f} GB/s"
        for n, roof in run["roofs"].items()
        if roof
    ]
    if not found:
        found = ["no roofs: measuring them needs Numba (pip install numba)"]
    return [
        *found,
        "Rates count the equation's own operations, and each array once. More than 100 % of the roof means that the algorithm "
        "needs fewer operations (Winograd), or that the arrays stay in a cache.",
    ]


def thread_words(n: Any) -> str:
    """The number of threads in words, such as 2 threads."""
    return f"{n} thread" if int(n) == 1 else f"{n} threads"


def title_of(group: list[dict[str, Any]]) -> str:
    """The direction, case and number of threads that the rows of a group share."""
    return f"{group[0]['direction']} · {group[0]['case']} · {thread_words(group[0]['threads'])}"


def markdown(run: dict[str, Any]) -> str:
    """The whole result as Markdown."""
    parts = [f"# {without_html(heading(run))}", "", *(f"- {without_html(fact)}" for fact in facts(run)), ""]
    for title, head, rows in tables(run):
        parts += [f"## {without_html(title)}", "", _markdown_row(head), "|" + " --- |" * len(head), *map(_markdown_row, rows), ""]
    return "\n".join([*parts, "![The same as a picture](bench.png)", ""])


def _cell(text: str) -> str:
    """A cell of Markdown's table: no HTML, and no bar that would end it."""
    return without_html(text).replace("|", "\\|")


def _markdown_row(texts: Any) -> str:
    return "| " + " | ".join(_cell(text) for text in texts) + " |"


def tables(run: dict[str, Any]) -> list[Table]:
    """The tables of the result."""
    if run["kind"] == "step":
        return race_tables(run)
    if run["kind"] == "flat":
        return flat_tables(run)
    if run["kind"] in ("models", "shapes"):
        return glance_tables(run)
    return [(title_of(group), HEAD, [cells(_line(run, row, group)) for row in group]) for group in groups(run)]


def show(run: dict[str, Any]) -> None:
    """Print the result as tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)  # a file or a pipe has no width
    console.print(shown(heading(run)), style="bold", markup=False)
    for fact in facts(run):
        console.print(shown(fact), style="dim", markup=False)
    for title, head, rows in tables(run):
        table = Table(title=in_markup(title), title_justify="left", title_style="bold", box=None, pad_edge=False)
        for k, name in enumerate(head):
            table.add_column(name, justify="left" if k in (0, len(head) - 1) else "right", overflow="fold")
        for row in rows:
            table.add_row(*map(in_markup, row))
        console.print()
        console.print(table)


# ---- races -----------------------------------------------------------------------------------------------------------

MEASURES = {"train": "training step", "infer": "inference, a batch", "infer_one": "inference, one example"}
RACE_HEAD = ("contestant", "median", "quartiles", "minimum", "n", "examples/s", "first", "tinydx against it")


class Racer(NamedTuple):
    """One contestant in one measure, and the verdict on tinydx against it (None for tinydx itself, and for a void row)."""

    row: dict[str, Any]
    summary: Summary
    examples: int
    verdict: Verdict | None
    best: bool  # True for the fastest of the peers whose rows count


def racers(race: dict[str, Any], measure: str) -> list[Racer]:
    """The contestants that ran in a measure, in order."""
    rows = [r for r in race["rows"] if r.get(measure)]
    ours = next((r for r in rows if r["ours"]), None)
    peers = [r for r in rows if not r["ours"] and not r["void"]]
    best = min(peers, key=lambda r: summarize(r[measure]).median, default=None)
    examples = 1 if measure == "infer_one" else race["batch"]
    verdicts = [verdict(ours[measure], r[measure]) if ours and any(r is p for p in peers) else None for r in rows]
    return [Racer(r, summarize(r[measure]), examples, v, r is best) for r, v in zip(rows, verdicts, strict=True)]


def race_title(race: dict[str, Any], measure: str) -> str:
    """The network, measure and number of threads of a table or plot."""
    return f"{race['words']} · {MEASURES[measure]} · {thread_words(race['threads'])}"


def race_tables(run: dict[str, Any]) -> list[Table]:
    """One table for each race and measure."""
    return [
        (race_title(race, measure), RACE_HEAD, [_racer_cells(racer, measure) for racer in racers(race, measure)])
        for race in run["races"]
        for measure in run["measures"]
    ]


def _racer_cells(racer: Racer, measure: str) -> list[str]:
    s = racer.summary
    words = "" if racer.verdict is None else racer.verdict.words + (" · its best peer" if racer.best else "")
    first = time_words(racer.row["first_step"]) if measure == "train" else ""
    spread = f"{time_words(s.low)} to {time_words(s.high)}"
    return [
        racer.row["label"],
        time_words(s.median),
        spread,
        time_words(s.least),
        str(s.n),
        f"{racer.examples / s.median:.4g}",
        first,
        racer.row["void"] or words,
    ]


def _race_facts(run: dict[str, Any]) -> list[str]:
    found = [
        "Adam 1e-3, cross-entropy; each contestant in a process of its own, in turn, with the same weights and batches; "
        f"the losses of the first {run['checked_steps']} steps, without dropout, agree to {run['tolerance']:.0e}"
    ]
    for race in run["races"]:
        where = f"{race['words']}, {thread_words(race['threads'])}"
        worst = max(
            (row["difference"] for row in race["rows"] if not row["ours"] and row["difference"] is not None), default=None
        )
        if run["kind"] == "step" and worst is not None:
            found.append(f"losses, {where}, batch {race['batch']}: differ by at most {worst:.1e} of their size")
        for row in race["rows"]:
            reason = row.get("note") or row["void"]
            found += [f"{where}: {row['label']}: {reason}"] if reason else []
    return found


# ---- many rows at a glance -------------------------------------------------------------------------------------------

BELOW, ABOVE = 0.95, 1.2  # of the peer's speed: what a row should not fall below, and what most should exceed


class Compared(NamedTuple):
    """One row of a comparison: tinydx and its fastest peer in one task."""

    name: str
    measure: str
    threads: int
    ours: float  # median seconds
    peer: float
    label: str  # of the peer
    verdict: Verdict


def compared(run: dict[str, Any]) -> list[Compared]:
    """Each row in which tinydx and a peer were timed."""
    if run["kind"] == "shapes":
        return [found for group in groups(run) if (found := _compared_group(group))]
    rows = []
    for race in run["races"]:
        for measure in run["measures"]:
            all_of_them = racers(race, measure)
            ours = next((r for r in all_of_them if r.row["ours"]), None)
            best = next((r for r in all_of_them if r.best), None)
            if ours and best and best.verdict:
                times = ours.summary.median, best.summary.median
                name = f"{race['words']}, batch {race['batch']}"
                rows.append(Compared(name, MEASURES[measure], race["threads"], *times, best.row["label"], best.verdict))
    return rows


def _compared_group(group: list[dict[str, Any]]) -> Compared | None:
    ours = next((r for r in group if r["ours"] and r["seconds"]), None)
    if ours is None:
        return None
    found, peer = _verdict(ours, group)
    if found is None:
        return None
    label, theirs = next((r["label"], r["seconds"]) for r in group if r["backend"] == peer)
    times = summarize(ours["seconds"]).median, summarize(theirs).median
    return Compared(ours["case"], ours["direction"], ours["threads"], *times, label, found)


def glance(rows: list[Compared]) -> list[str]:
    """For each measure and number of threads: how many rows lose, which is the worst, and what share wins clearly."""
    found = []
    for measure, threads in dict.fromkeys((r.measure, r.threads) for r in rows):
        some = [r for r in rows if (r.measure, r.threads) == (measure, threads)]
        ratios = [r.verdict.ratio for r in some]
        worst = min(some, key=lambda r: r.verdict.ratio)
        found.append(
            f"{measure}, {thread_words(threads)}: {sum(x < 1 for x in ratios)} of {len(some)} rows lose (below 1.00x), "
            f"{sum(x < BELOW for x in ratios)} of them below {BELOW}x; the worst: {worst.name}, {worst.verdict.ratio:.2f}x; "
            f"{sum(x >= ABOVE for x in ratios) / len(ratios):.0%} reach {ABOVE}x"
        )
    return found


GLANCE_HEAD = ("", "tinydx", "fastest peer", "its name", "95 % interval", "tinydx against it")


def glance_tables(run: dict[str, Any]) -> list[Table]:
    """One table for each measure and number of threads, a row for each task."""
    rows = compared(run)
    return [
        (
            f"{measure} · {thread_words(threads)}",
            GLANCE_HEAD,
            [_glance_cells(r) for r in rows if (r.measure, r.threads) == (measure, threads)],
        )
        for measure, threads in dict.fromkeys((r.measure, r.threads) for r in rows)
    ]


def _glance_cells(row: Compared) -> list[str]:
    between = f"{row.verdict.interval[0]:.2f} to {row.verdict.interval[1]:.2f}" if row.verdict.interval else ""
    words = f"{row.verdict.ratio:.2f}x" + (", can't tell" if row.verdict.words == "can't tell" else "")
    return [row.name, time_words(row.ours), time_words(row.peer), row.label, between, words]


# ---- flatness --------------------------------------------------------------------------------------------------------


def flat_facts(run: dict[str, Any]) -> list[str]:
    """For each network, whether its cost per example and its memory are flat."""
    found = []
    for row in run["rows"]:
        cost, grown = fitted(row["seconds"]), growth(row["steps"], row["resident"])
        where, worst = (
            f"{row['words']}, {thread_words(row['threads'])}",
            max(cost.deviations, key=lambda n: abs(cost.deviations[n])),
        )
        found.append(
            f"{where}: cost {_held(cost.held)}: {time_words(cost.fixed)} + {time_words(cost.each)} for each example, "
            f"at most {abs(cost.deviations[worst]):.0%} off (batch {worst}; allowed: {run['limits']['spread']:.0%})"
        )
        if grown is None:
            found.append(f"{where}: memory not measured: this system has no /proc")
            continue
        found.append(
            f"{where}: memory {_held(grown <= run['limits']['growth'])}: {grown:+.2%} from step {run['limits']['settled']} "
            f"to {row['steps'][-1]}, {row['resident'][-1] / 1e6:.0f} MB (allowed: {run['limits']['growth']:+.0%})"
        )
    return found


def _held(is_so: bool) -> str:
    return "held" if is_so else "MISSED"


def flat_tables(run: dict[str, Any]) -> list[Table]:
    """One table for each network: the sizes of batch, their medians, and how far the line is from them."""
    found: list[Table] = []
    for row in run["rows"]:
        cost, rows = fitted(row["seconds"]), []
        for n, samples in row["seconds"].items():
            s = summarize(samples)
            spread = f"{time_words(s.low)} to {time_words(s.high)}"
            each = time_words((s.median - cost.fixed) / int(n)) if s.median > cost.fixed else ""
            rows.append([n, time_words(s.median), spread, each, f"{cost.deviations[int(n)]:+.1%}"])
        head = ("batch", "step", "quartiles", "each, without the fixed cost", "off the line")
        found.append((f"{row['words']} · {thread_words(row['threads'])}", head, rows))
    return found
