"""From bench.json to words: the table on the terminal, and Markdown.

Everything is computed from the JSON alone, so `tinydx bench --from bench.json` shows the same again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tinydx.bench.measure import Summary, Verdict, summarize, verdict
from tinydx.names import in_markup, shown, without_html

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
    return f"tinydx bench {run['op'] if run['kind'] == 'op' else 'step'}"


def facts(run: dict[str, Any]) -> list[str]:
    """Lines that say what was measured, on which machine, and how to read it."""
    m = run["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items())
    found = [f"{m['processor']}, {m['cores']} cores", versions, f"tinydx runs on {m['kernels']}", f"command: {run['command']}"]
    if m["environment"]:
        found.append(", ".join(f"{k}={v}" for k, v in m["environment"].items()))
    found += [f"{name}: {reason}" for name, reason in run["missing"].items()]
    return found + (_op_facts(run) if run["kind"] == "op" else _step_facts(run))


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


def tables(run: dict[str, Any]) -> list[tuple[str, tuple[str, ...], list[list[str]]]]:
    """(title, head, rows of cells) of each table of the result."""
    if run["kind"] == "step":
        return step_tables(run)
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


# ---- the race of whole steps ---------------------------------------------------------------------------------------

MEASURES = {"train": "training step", "infer": "inference, a batch", "infer_one": "inference, one image"}
STEP_HEAD = ("contestant", "median", "quartiles", "minimum", "n", "images/s", "first", "tinydx against it")


class Racer(NamedTuple):
    """One contestant in one measure, and the verdict on tinydx against it."""

    row: dict[str, Any]
    summary: Summary
    images: int
    verdict: Verdict | None
    best: bool  # True for the fastest of the peers


def racers(run: dict[str, Any], threads: int, measure: str) -> list[Racer]:
    """The contestants that ran in a measure, in order."""
    rows = [r for r in run["rows"] if r["threads"] == threads and r.get(measure)]
    ours = next((r for r in rows if r["ours"]), None)
    peers = [r for r in rows if not r["ours"]]
    best = min(peers, key=lambda r: summarize(r[measure]).median, default=None)
    compare = ours is not None and not run["void"].get(str(threads))
    images = 1 if measure == "infer_one" else run["batch"]
    verdicts = [verdict(ours[measure], r[measure]) if compare and ours and r is not ours else None for r in rows]
    return [Racer(r, summarize(r[measure]), images, v, r is best) for r, v in zip(rows, verdicts, strict=True)]


def step_tables(run: dict[str, Any]) -> list[tuple[str, tuple[str, ...], list[list[str]]]]:
    """One table for each number of threads and each measure."""
    found: list[tuple[str, tuple[str, ...], list[list[str]]]] = []
    for n in sorted({row["threads"] for row in run["rows"]}):
        for measure, words in MEASURES.items():
            rows = [_racer_cells(racer, measure) for racer in racers(run, n, measure)]
            found.append((f"{words} · {thread_words(n)}", STEP_HEAD, rows))
    return found


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
        f"{racer.images / s.median:.4g}",
        first,
        words,
    ]


def _step_facts(run: dict[str, Any]) -> list[str]:
    height, width, channels = run["shape"]
    found = [
        f"batch {run['batch']}, {height}x{width}x{channels}: Conv 32, 64, 128 (3x3, ReLU, max pooling 2), Dense 512 ReLU, "
        "Dense 1 sigmoid, binary cross-entropy, Adam 1e-3; each contestant in a process of its own, in turn"
    ]
    for n, difference in run["loss_difference"].items():
        if difference is not None:
            found.append(
                f"losses of the first {run['checked_steps']} steps, {thread_words(n)}: "
                f"differ by at most {difference:.1e} of their size"
            )
    found += [f"{thread_words(n)}: {reason}" for n, reason in run["void"].items() if reason]
    return found + [f"{row['label']}, {thread_words(row['threads'])}: {row['note']}" for row in run["rows"] if row.get("note")]
