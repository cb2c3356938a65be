"""How each line used memory: sectors per request (coalescing), and bank conflicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tinydx_kernels.emulator import abi
from tinydx_kernels.emulator.abi import Access
from tinydx_kernels.emulator.findings import Place
from tinydx_kernels.emulator.library import Line


class LineCounter(NamedTuple):
    """The requests of one line to one array.

    moved: sectors of 32 bytes (global memory), or passes over the banks (shared memory); ideal: the fewest for the same bytes.
    """

    file: str
    line: int
    array: str
    access: str  # "read", "write" or "atomic"
    shared: bool
    requests: int
    moved: int
    ideal: int

    @property
    def per_request(self) -> float:
        """Sectors or passes for each request of a warp. For 4-byte elements, 4 sectors and 1 pass are good, 32 the worst."""
        return self.moved / self.requests

    @property
    def excess(self) -> int:
        """Sectors or passes that a better access pattern would save; for shared memory, the bank conflicts."""
        return self.moved - self.ideal


def by_line(counters: Sequence[abi.Counter], lines: dict[int, Line], places: Sequence[Place]) -> list[LineCounter]:
    """Sum the counters of all instructions, by line, array and kind of access."""
    totals: dict[tuple, list[int]] = {}
    for c in counters:
        line, access = lines[c.pc], Access(c.access).name.lower()
        key = (line.file, line.number, places[c.region].name, access, bool(c.shared))
        total = totals.setdefault(key, [0, 0, 0])
        for i, value in enumerate((c.requests, c.moved, c.ideal)):
            total[i] += value
    return [LineCounter(*key, *total) for key, total in sorted(totals.items())]


def table(counters: Sequence[LineCounter]) -> str:
    """The counters as a table of text."""
    rows = [("line", "array", "access", "requests", "per request", "best")]
    for c in counters:
        unit = "passes" if c.shared else "sectors"
        row = (str(c.line), c.array, c.access, f"{c.requests:,}", f"{c.per_request:.1f} {unit}", f"{c.ideal / c.requests:.1f}")
        rows.append(row)
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
