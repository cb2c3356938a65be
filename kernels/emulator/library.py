"""A compiled module: its kernels, its variables, and the source lines of code addresses."""

from __future__ import annotations

import ctypes
import functools
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tinydx_kernels.emulator.build import HEADERS


class Variable(NamedTuple):
    """A `__shared__` or `__device__` variable of a module. kernel: the one whose shared array it is, or ""."""

    name: str
    kernel: str
    offset: int
    bytes: int
    shared: bool


class Line(NamedTuple):
    """A line of the source."""

    file: str
    number: int

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"


class Library:
    """A loaded shared library, which build.py made from the file `source`."""

    def __init__(self, path: Path, source: str):
        self.path, self.source = path, source
        self.dll = ctypes.CDLL(str(path))
        start, end = (ctypes.c_uint64 * 2).in_dll(self.dll, "tinydx_module")
        self.start, self.bytes = start, end - start
        self.variables = list(_variables(path))
        self._lines: dict[int, Line] = {}

    def entry(self, kernel: str) -> int:
        """The address of a kernel's `tinydx_call_...`."""
        return ctypes.cast(getattr(self.dll, f"tinydx_call_{kernel}"), ctypes.c_void_p).value or 0

    def lines(self, addresses: Iterable[int]) -> dict[int, Line]:
        """The source line of each code address. These are return addresses, so the call is just before."""
        unknown = sorted(set(addresses) - self._lines.keys())
        if unknown:
            command = ["addr2line", "-e", str(self.path), "-i", "-a", *(hex(max(a - 1, 0)) for a in unknown)]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            # A whole line, since the name of a file may hold "0x", too.
            frames = [block.splitlines() for block in re.split(r"^0x[0-9a-f]+\n", output, flags=re.MULTILINE)[1:]]
            self._lines.update({address: self._line(f) for address, f in zip(unknown, frames, strict=True)})
        return self._lines

    def _line(self, frames: list[str]) -> Line:
        """The innermost inlined function outside of the emulator's headers, whose functions count as their callers' lines."""
        own = [frame for frame in frames if not Path(frame).is_relative_to(HEADERS)] or frames
        file, _, number = re.sub(r" \(discriminator \d+\)$", "", own[0]).rpartition(":")
        file = self.source if Path(file).name == Path(self.source).name else file
        return Line(file, int(number) if number.isdigit() else 0)


@functools.cache
def _variables(path: Path) -> tuple[Variable, ...]:
    command = ["nm", "--demangle", "--format=sysv", "--defined-only", str(path)]
    found = []
    for row in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        parts = [part.strip() for part in row.rsplit("|", 6)]
        if len(parts) != 7 or parts[3] != "OBJECT" or not parts[4] or parts[6] not in ("tinydx_shared", ".data", ".bss"):
            continue
        name, offset, _, _, size, _, section = parts
        if name.startswith(("tinydx_module", "completed.", "guard variable")):
            continue
        function, _, variable = name.rpartition("::")
        kernel = function.split("(")[0]
        found.append(Variable(variable, kernel, int(offset, 16), int(size, 16), section == "tinydx_shared"))
    return tuple(found)
