"""Matrix products: the one that the layers use, and the staircase of kernels that leads to it.

`product` takes matrices as they lie in memory, also transposed ones (w.T in a backward needs no copy), and stacks of them.
"""

from __future__ import annotations

from itertools import product as every
from typing import Any, NamedTuple

import numpy as np

from tinydx.op import kernel_of
from tinydx.ops.arithmetic import matmul, unbroadcast
from tinydx_kernels.cuda.backend import LARGEST, contiguous, each, is_float32, launch, xp
from tinydx_kernels.cuda.programs import AMPERE, AROUND_TILES, Program, Tile
from tinydx_kernels.cuda.sums import BUSY, add_pieces, pieces_of

DEPTH = 256  # a piece of a split product sums at least this many products
SMALL, MIDDLE, LARGE = Tile(32, 32, 16, 4, 4), Tile(64, 64, 16, 8, 4), Tile(128, 128, 8, 8, 8)

# ---- the product of the layers ---------------------------------------------------------------------------------------


class Plan(NamedTuple):
    """The struct Plan of matmul.cu. stride: floats from a matrix of a stack to the next; 0: all share one matrix."""

    a_stride: int
    b_stride: int
    pieces: int
    piece: int
    biased: int
    relu: int


def product_program(tile: Tile, a_transposed: bool, b_transposed: bool) -> Program:
    """matmul.cu for a tile, and for the orientation of both matrices."""
    return Program("matmul.cu", (*tile.defines, ("A_TRANSPOSED", int(a_transposed)), ("B_TRANSPOSED", int(b_transposed))))


def tiles_of(tile: Tile, rows: int, columns: int) -> tuple[int, int]:
    """How many tiles cover a matrix: (down, across)."""
    return -(-rows // tile.BM), -(-columns // tile.BN)


def tile_for(rows: int, columns: int) -> Tile:
    """The largest tile that still gives a large GPU enough blocks, for a product (rows, columns)."""
    if rows >= LARGE.BM and columns >= LARGE.BN and np.prod(tiles_of(LARGE, rows, columns)) * LARGE.threads * 2 >= BUSY:
        return LARGE
    return MIDDLE if min(rows, columns) > SMALL.BM else SMALL


def in_memory_order(m: Any) -> tuple[Any, bool]:
    """m (...,M,K) -> (a contiguous array, whether that array is m transposed): a transposed matrix is not copied."""
    if not m.flags.c_contiguous and m.swapaxes(-1, -2).flags.c_contiguous:
        return contiguous(m.swapaxes(-1, -2)), True
    return contiguous(m), False


def product(a: Any, b: Any, bias: Any = None, relu: bool = False) -> Any:
    """The matrix product with its epilogue: a b + bias, then ReLU if `relu`.

    Arguments: a (M,K), b (K,N), or stacks a (B,M,K), b (B,K,N), one of which may have B = 1; bias (N,) or None.
    Returns: y (M,N), or (B,M,N) of stacks.
    """
    (rows, depth), columns = a.shape[-2:], b.shape[-1]
    number = max(m.shape[0] if m.ndim == 3 else 1 for m in (a, b))
    tile = tile_for(rows, columns)
    down, across = tiles_of(tile, rows, columns)
    pieces, piece = pieces_of(depth, down * across * number, tile.threads, DEPTH)
    a, a_transposed = in_memory_order(a)
    b, b_transposed = in_memory_order(b)
    bias = None if bias is None else contiguous(bias)
    a_stride, b_stride = (m.size // len(m) if m.ndim == 3 and len(m) > 1 else 0 for m in (a, b))
    shape = (rows, columns) if a.ndim == b.ndim == 2 else (number, rows, columns)
    y = xp(a).empty((number, pieces, rows, columns), np.float32)
    biased = bias is not None and pieces == 1  # a split product gets its epilogue from add_pieces
    plan = Plan(a_stride, b_stride, pieces, piece, biased, relu and pieces == 1)
    program, blocks = product_program(tile, a_transposed, b_transposed), (down, across, number * pieces)
    inputs = a, b, bias if biased else a  # without a bias, a stands in and is not read as one
    launch(program, "matmul", blocks, tile.threads, *inputs, y, rows, columns, depth, plan)
    return y.reshape(shape) if pieces == 1 else add_pieces(y, shape, bias, relu)


# ---- the op ----------------------------------------------------------------------------------------------------------


def stacked(m: Any, batch: tuple[int, ...]) -> Any:
    """m (...,M,K) -> (B,M,K): the batch axes multiplied out, or B = 1 if there is only one matrix."""
    if np.prod(m.shape[:-2], dtype=int) > 1 and m.shape[:-2] != batch:
        m = xp(m).broadcast_to(m, batch + m.shape[-2:])
    return m.reshape(-1, *m.shape[-2:])


def matmul_forward(a, b):
    """a (...,M,K), b (...,K,N) -> y (...,M,N); the batch axes broadcast."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    y = product(stacked(a, batch), stacked(b, batch))
    return y.reshape(*batch, a.shape[-2], b.shape[-1]), (a, b)


def matmul_backward(dy, saved):
    """dy (...,M,N) -> da (...,M,K), db (...,K,N)."""
    a, b = saved
    da, _ = matmul_forward(dy, b.swapaxes(-1, -2))
    db, _ = matmul_forward(a.swapaxes(-1, -2), dy)
    return unbroadcast(da, a.shape), unbroadcast(db, b.shape)


def supports(a, b):
    """a (...,M,K), b (...,K,N): fewer than 65,536 matrices, since the third size of a grid is limited."""
    if not is_float32(a, b):
        return False
    batch = np.prod(np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), dtype=int)
    return batch < 1 << 16 and batch * a.shape[-2] * b.shape[-1] <= LARGEST


def samples(draw):
    """Stacks that broadcast, sizes around the tiles, and sums long enough to be split."""
    a, b = draw.choice([((), ()), ((2,), (2,)), ((3,), ()), ((), (2,)), ((2, 1), (3,))])
    n, k, m = draw.choice(AROUND_TILES), draw.choice([*AROUND_TILES, 255, 257]), draw.choice(AROUND_TILES)
    return (draw.array(*a, n, k), draw.array(*b, k, m)), {}


kernel_of(matmul, "cuda", matmul_forward, matmul_backward, supports, samples=samples)

# ---- the staircase ---------------------------------------------------------------------------------------------------


class Stair(NamedTuple):
    """A kernel of the staircase: threads of a block (x, y), and the tile of c that a block computes (across, down)."""

    program: Program
    kernel: str
    threads: tuple[int, ...]
    tile: tuple[int, int]


TF32 = Program("matmul_09_tf32.cu", minimum=AMPERE)
BF16 = Program("matmul_11_bf16.cu", minimum=AMPERE)
STAIRCASE = {
    "naive": Stair(Program("matmul_01_naive.cu"), "matmul", (32, 8), (8, 32)),  # the only one whose threadIdx.x is the row
    "coalesced": Stair(Program("matmul_02_coalesced.cu"), "matmul", (32, 8), (32, 8)),
    "shared": Stair(Program("matmul_03_shared.cu"), "matmul", (32, 32), (32, 32)),
    "column": Stair(Program("matmul_04_column.cu"), "matmul", (512,), (64, 64)),
    "square": Stair(Program("matmul_05_square.cu"), "matmul", (256,), (128, 128)),
    "float4": Stair(Program("matmul_06_float4.cu"), "matmul", (256,), (128, 128)),
    "warp": Stair(Program("matmul_07_warp.cu"), "matmul", (256,), (128, 128)),
    "async": Stair(Program("matmul_08_async.cu"), "matmul", (256,), (128, 128)),  # before Ampere the copies are plain ones
    "tf32": Stair(TF32, "matmul_tf32", (256,), (128, 128)),
    "3xtf32": Stair(TF32, "matmul_3xtf32", (256,), (128, 128)),
    "bf16": Stair(BF16, "matmul_bf16", (256,), (128, 128)),
}


def staircase(name: str, a: Any, b: Any) -> Any:
    """a (M,K), b (K,N) -> c (M,N), by the kernel of that name in STAIRCASE."""
    a, b = contiguous(a), contiguous(b)
    if name == "bf16":
        return product_bf16(to_bf16(a), to_bf16(b), b.shape[1])
    (rows, depth), columns = a.shape, b.shape[1]
    c = xp(a).empty((rows, columns), np.float32)
    program, kernel, threads, (across, down) = STAIRCASE[name]
    blocks = -(-columns // across), -(-rows // down)
    launch(program, kernel, blocks[::-1] if name == "naive" else blocks, threads, a, b, c, rows, columns, depth)
    return c


def to_bf16(x: Any) -> Any:
    """x (R,C) -> y (R, C rounded up to a multiple of 8), BF16 as uint16, padded with zeros."""
    rows, columns = x.shape
    y = xp(x).empty((rows, -(-columns // 8) * 8), np.uint16)
    each(BF16, "to_bf16", y.size // 2, x, y.view(np.uint32), rows, columns, y.shape[1])
    return y


def product_bf16(a: Any, b: Any, columns: int) -> Any:
    """a (M,K), b (K,N), both from to_bf16, and columns = N -> c (M,N). The kernel ignores the padding of a."""
    (rows, line), depth = a.shape, b.shape[0]
    c = xp(a).empty((rows, columns), np.float32)
    _, kernel, threads, (across, down) = STAIRCASE["bf16"]
    blocks = -(-columns // across), -(-rows // down)
    launch(BF16, kernel, blocks, threads, a, b, c, rows, columns, depth, line, b.shape[1])
    return c


PROGRAMS = [
    *(product_program(tile, a, b) for tile, a, b in every((SMALL, MIDDLE, LARGE), (False, True), (False, True))),
    *(stair.program for stair in STAIRCASE.values()),
]
