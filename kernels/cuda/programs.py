"""A program: a .cu file and the sizes it is compiled for. Launchers run programs, and the compile gate compiles them all.

Each launcher's file lists its programs as PROGRAMS, and `all_programs` collects these lists, so that a new file is
compiled without a line anywhere else. Sizes of tiles are constants (-D), because the compiler then keeps sums in registers.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
AMPERE = 80  # the first architecture with asynchronous copies and tensor cores for TF32 and BF16
AROUND_TILES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65, 70)  # sizes for samples: tiles of 16, 32, 64


def options(defines: tuple[tuple[str, int], ...] = ()) -> tuple[str, ...]:
    """What NVIDIA's compiler is told, in the gate and through CuPy, for the constants `defines`.

    CuPy always adds -ftz=true: results and operands below 1.2e-38 are 0. So the gate says it, too, and the emulator does it
    (runtime/denormals.h). CuPy keeps compiled kernels under a hash of their own text and these options, and does not look
    into headers: TINYDX_HEADERS does that, so that no kernel is older than its headers.
    """
    headers = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(HERE.glob("*.cuh")))).hexdigest()[:16]
    constants = (f"-D{key}={value}" for key, value in (*defines, ("TINYDX_HEADERS", headers)))
    return ("--std=c++17", "-ftz=true", f"-I{HERE}", *constants)


class Tile(NamedTuple):
    """A block computes BM x BN sums, each thread TM x TN of them; BK products of each sum are computed at a time."""

    BM: int
    BN: int
    BK: int
    TM: int
    TN: int

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.BM // self.TM * (self.BN // self.TN)

    @property
    def defines(self) -> tuple[tuple[str, int], ...]:
        """The sizes as constants of a program."""
        return tuple(self._asdict().items())


class Program(NamedTuple):
    """A .cu file with its constants, and the oldest architecture that runs it (75: Turing).

    >>> str(Program("conv_backward.cu", (("BM", 64), ("BN", 32))))
    'conv_backward.cu[BM=64,BN=32]'
    """

    file: str
    defines: tuple[tuple[str, int], ...] = ()
    minimum: int = 75

    @property
    def path(self) -> Path:
        """The path of the file."""
        return HERE / self.file

    def __str__(self) -> str:
        constants = ",".join(f"{key}={value}" for key, value in self.defines)
        return f"{self.file}[{constants}]" if constants else self.file


def programs_by_launcher() -> dict[str, list[Program]]:
    """The PROGRAMS of each launcher's module, by the module's name."""
    package = importlib.import_module("tinydx_kernels.cuda")
    modules = [importlib.import_module(f"{package.__name__}.{found.name}") for found in pkgutil.iter_modules(package.__path__)]
    return {module.__name__: module.PROGRAMS for module in modules if hasattr(module, "PROGRAMS")}


def all_programs() -> list[Program]:
    """The programs of all launchers, each once."""
    return list(dict.fromkeys(program for programs in programs_by_launcher().values() for program in programs))
