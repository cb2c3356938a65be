"""The .cu files and the sizes they are compiled for: what the launchers run, and what the compile gate compiles.

A program is a file and its -D constants. Tile sizes are constants because the compiler then keeps the sums in registers.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
AMPERE = 80  # from here on: tensor cores for TF32 and BF16, asynchronous copies


class Tile(NamedTuple):
    """BM x BN sums a block, BK deep a step; TM x TN of them a thread."""

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
        """As constants of a program."""
        return tuple(self._asdict().items())


SMALL, TALL, MIDDLE, LARGE = Tile(32, 32, 16, 4, 4), Tile(128, 32, 16, 8, 4), Tile(64, 64, 16, 8, 4), Tile(128, 128, 8, 8, 8)


class Program(NamedTuple):
    """A file with its constants, and the least architecture (75: Turing) it needs."""

    file: str
    defines: tuple[tuple[str, int], ...] = ()
    minimum: int = 75

    @property
    def path(self) -> Path:
        """Where the file is."""
        return HERE / self.file

    def __str__(self) -> str:
        constants = ",".join(f"{key}={value}" for key, value in self.defines)
        return f"{self.file}[{constants}]" if constants else self.file


def matmul(tile: Tile, a_transposed: bool, b_transposed: bool) -> Program:
    """The product of the layers."""
    return Program("matmul.cu", (*tile.defines, ("A_TRANSPOSED", int(a_transposed)), ("B_TRANSPOSED", int(b_transposed))))


def conv_forward(tile: Tile, relu: bool = False, pool: bool = False) -> Program:
    """Convolution, and what follows it, as implicit GEMM."""
    return Program("conv_forward.cu", (*tile.defines, ("RELU", int(relu)), ("POOL", int(pool))))


def conv_backward(tile: Tile) -> Program:
    """Its gradients."""
    return Program("conv_backward.cu", tile.defines)


PLAIN = {
    name: Program(f"{name}.cu")
    for name in (
        *("conv_direct", "elementwise", "embedding", "gated", "loss", "pooling", "recurrence", "softmax", "sums", "update"),
    )
}
STAIRCASE = {
    "naive": Program("matmul_01_naive.cu"),
    "coalesced": Program("matmul_02_coalesced.cu"),
    "shared": Program("matmul_03_shared.cu"),
    "column": Program("matmul_04_column.cu"),
    "square": Program("matmul_05_square.cu"),
    "float4": Program("matmul_06_float4.cu"),
    "warp": Program("matmul_07_warp.cu"),
    "async": Program("matmul_08_async.cu"),  # before Ampere the copies are plain ones
    "tf32": Program("matmul_09_tf32.cu", minimum=AMPERE),  # and step 10, 3xTF32
    "bf16": Program("matmul_11_bf16.cu", minimum=AMPERE),
}
PRODUCTS = [matmul(tile, a, b) for tile in (SMALL, MIDDLE, LARGE) for a in (False, True) for b in (False, True)]
EPILOGUES = (False, False), (True, False), (True, True)  # ReLU, pooling
CONVOLUTIONS = [conv_forward(tile, relu, pool) for tile in (SMALL, TALL, MIDDLE) for relu, pool in EPILOGUES]
GRADIENTS = [conv_backward(tile) for tile in (SMALL, TALL, MIDDLE)]
PROGRAMS = [*PLAIN.values(), *STAIRCASE.values(), *PRODUCTS, *CONVOLUTIONS, *GRADIENTS]
