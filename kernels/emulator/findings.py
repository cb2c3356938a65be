"""The checker's messages: one line for each finding, with file, line, thread and block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tinydx_kernels.emulator import abi
from tinydx_kernels.emulator.abi import Access
from tinydx_kernels.emulator.library import Line

KINDS = (  # in the order of interface.h
    "race",
    "race-between-blocks",
    "barrier-divergence",
    "deadlock",
    "out-of-bounds",
    "uninitialised",
    "misaligned",
    "missing-wait",
    "warp-divergence",
    "inactive-lane",
    "arithmetic",
    "no-progress",
    "assertion",
    "stack-overflow",
)
VERBS = {Access.READ: "reads", Access.WRITE: "writes", Access.ATOMIC: "updates (atomically)"}
DID = {Access.READ: "read", Access.WRITE: "wrote", Access.ATOMIC: "updated (atomically)"}


@dataclass(frozen=True)
class Finding:
    """One mistake. kind: one of KINDS, "argument" or "launch"; thread, block: indices (x, y, z); line: 0 if it has none."""

    kind: str
    message: str
    file: str = ""
    line: int = 0
    thread: tuple[int, int, int] | None = None
    block: tuple[int, int, int] | None = None
    other_line: int = 0

    def __str__(self) -> str:
        return f"{self.file}{f':{self.line}' if self.line else ''}: {self.kind}: {self.message}"


class KernelError(RuntimeError):
    """Raised by a launch with mistakes: `findings` lists them, and each is a line of the message."""

    def __init__(self, findings: Sequence[Finding]):
        super().__init__("\n".join(map(str, findings)))
        self.findings = list(findings)


class Place(NamedTuple):
    """A region of memory with a name: an argument, a variable, or the dynamic shared memory."""

    name: str
    bytes: int
    itemsize: int
    shape: tuple[int, ...] = ()

    def element(self, offset: int) -> str:
        """x[3], or tile[1][2], for a byte offset."""
        index = offset // self.itemsize
        if not self.shape or not 0 <= offset < self.bytes:
            return f"{self.name}[{index}]"
        indices: list[int] = []
        for size in reversed(self.shape):
            indices.insert(0, index % size)
            index //= size
        return self.name + "".join(f"[{i}]" for i in indices)

    @property
    def extent(self) -> str:
        """Its size, in words."""
        return f"{self.name} has {self.bytes // self.itemsize} elements"


class Describer:
    """Turns the runtime's findings into sentences, by the launch's shape, the source lines and the names of memory regions."""

    def __init__(self, grid: Sequence[int], block: Sequence[int], lines: dict[int, Line], places: Sequence[Place]):
        self.grid, self.block, self.lines, self.places = grid, block, lines, places

    def __call__(self, raw: abi.Finding) -> Finding:
        kind = KINDS[raw.kind]
        here, there = self.lines.get(raw.pc), self.lines.get(raw.other_pc)
        message = getattr(self, "_" + kind.replace("-", "_"))(raw)
        return Finding(
            kind,
            message,
            here.file if here else "",
            here.number if here else 0,
            _index(raw.thread, self.block),
            _index(raw.block, self.grid),
            there.number if there and raw.other_pc else 0,
        )

    # ---- the parts of a sentence

    def _who(self, thread: int, block: int | None = None) -> str:
        text = f"thread {_name(thread, self.block)}"
        return text if block is None else f"{text} of block {_name(block, self.grid)}"

    def _me(self, raw: abi.Finding) -> str:
        return self._who(raw.thread, raw.block)

    def _at(self, raw: abi.Finding) -> str:
        line, here = self.lines.get(raw.other_pc), self.lines.get(raw.pc)
        if not line or not raw.other_pc:
            return ""
        return f" at line {line.number}" if here and here.file == line.file else f" at {line}"

    def _what(self, raw: abi.Finding) -> str:
        return self.places[raw.region].element(raw.offset) if raw.region >= 0 else "memory"

    def _does(self, raw: abi.Finding) -> str:
        return f"{self._me(raw)} {VERBS[Access(raw.access)]} {self._what(raw)}"

    # ---- one sentence for each kind

    def _race(self, raw: abi.Finding) -> str:
        other = self._who(raw.other_thread)
        return f"{self._does(raw)}, which {other} {DID[Access(raw.other_access)]}{self._at(raw)}, with no barrier between"

    def _race_between_blocks(self, raw: abi.Finding) -> str:
        other = self._who(raw.other_thread, raw.other_block)
        return f"{self._does(raw)}, which {other} {DID[Access(raw.other_access)]}{self._at(raw)}: blocks run in any order"

    def _barrier_divergence(self, raw: abi.Finding) -> str:
        other = self._who(raw.other_thread)
        if raw.detail == b"returned":
            return f"{self._me(raw)} waits here, but {other} has returned"
        return f"{self._me(raw)} waits here, but {other} waits{self._at(raw)}"

    def _deadlock(self, raw: abi.Finding) -> str:
        if not raw.other_pc:
            return f"{self._me(raw)} waits here for lanes of its warp that never come"
        return f"{self._me(raw)} waits here for {self._who(raw.other_thread)}, which waits{self._at(raw)}"

    def _out_of_bounds(self, raw: abi.Finding) -> str:
        if raw.detail:
            index, _, kind = raw.detail.decode().partition(" ")
            return f"{self._me(raw)} uses index {index} of an array of type {kind}"
        if raw.region < 0:
            return f"{self._me(raw)} {VERBS[Access(raw.access)]} memory that is no array"
        return f"{self._does(raw)}, but {self.places[raw.region].extent}"

    def _uninitialised(self, raw: abi.Finding) -> str:
        return f"{self._does(raw)}, which nobody has written"

    def _misaligned(self, raw: abi.Finding) -> str:
        return f"{self._does(raw)} as {raw.bytes} bytes, whose address is no multiple of {raw.bytes}"

    def _missing_wait(self, raw: abi.Finding) -> str:
        return f"{self._does(raw)} while the cp.async{self._at(raw)} is under way: wait for it, then a barrier"

    def _warp_divergence(self, raw: abi.Finding) -> str:
        if raw.detail == b"own lane missing":
            return f"{self._me(raw)} is not in the mask that it gives"
        other = f"{self._who(raw.other_thread)} is{self._at(raw)}"
        return f"{self._me(raw)} waits here for the lanes of its mask, but {other} with {raw.detail.decode()}"

    def _inactive_lane(self, raw: abi.Finding) -> str:
        return f"{self._me(raw)} reads from lane {raw.detail.decode()}, which does not take part"

    def _arithmetic(self, raw: abi.Finding) -> str:
        return f"{self._me(raw)}: {raw.detail.decode()}"

    def _no_progress(self, raw: abi.Finding) -> str:
        return f"{self._me(raw)} never ends: an endless loop, or a wait that no thread ends"

    def _assertion(self, raw: abi.Finding) -> str:
        return f"{self._me(raw)}: {raw.detail.decode(errors='replace')}"

    def _stack_overflow(self, raw: abi.Finding) -> str:
        return f"{self._me(raw)} needs too large a stack: a function that calls itself without end, or a huge local array"


def _index(linear: int, shape: Sequence[int]) -> tuple[int, int, int]:
    return linear % shape[0], linear // shape[0] % shape[1], linear // shape[0] // shape[1]


def _name(linear: int, shape: Sequence[int]) -> str:
    """The index as text: 3 in one dimension, (3, 1) in two, (3, 1, 0) in three."""
    dimensions = 3 if shape[2] > 1 else 2 if shape[1] > 1 else 1
    index = _index(linear, shape)[:dimensions]
    return str(index[0]) if dimensions == 1 else str(index)
