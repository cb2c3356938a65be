"""Matrix products: the one the layers use, and the steps of the staircase that leads to it.

`product` takes matrices as they lie, also transposed ones (w.T of a backward costs no copy), and stacks of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinydx.op import kernel_of
from tinydx.ops.arithmetic import matmul, unbroadcast
from tinydx_kernels.cuda import programs
from tinydx_kernels.cuda.backend import LARGEST, contiguous, each, is_float32, launch, xp
from tinydx_kernels.cuda.programs import LARGE, MIDDLE, SMALL, STAIRCASE, Tile
from tinydx_kernels.cuda.sums import BUSY, add_pieces, pieces_of

DEPTH = 256  # the least that a piece of a split product sums up

# ---- the product ---------------------------------------------------------------------------------------------------


def tiles_of(tile: Tile, rows: int, columns: int) -> tuple[int, int]:
    """How many tiles a matrix has, down and across."""
    return -(-rows // tile.BM), -(-columns // tile.BN)


def tile_for(rows: int, columns: int) -> Tile:
    """The largest tile that does not leave the GPU, or most of itself, empty."""
    if rows >= LARGE.BM and columns >= LARGE.BN and np.prod(tiles_of(LARGE, rows, columns)) * LARGE.threads * 2 >= BUSY:
        return LARGE
    return MIDDLE if min(rows, columns) > SMALL.BM else SMALL


def as_it_lies(m: Any) -> tuple[Any, bool]:
    """(a contiguous array, whether it is the transposed of m): a transposed matrix is not copied."""
    if not m.flags.c_contiguous and m.swapaxes(-1, -2).flags.c_contiguous:
        return contiguous(m.swapaxes(-1, -2)), True
    return contiguous(m), False


def product(a: Any, b: Any, bias: Any = None, relu: bool = False) -> Any:
    """a (M,K) b (K,N) + bias (N,), then ReLU; or stacks of matrices (B,M,K) (B,K,N), of which one may have B = 1."""
    (rows, depth), columns = a.shape[-2:], b.shape[-1]
    number = max(m.shape[0] if m.ndim == 3 else 1 for m in (a, b))
    tile = tile_for(rows, columns)
    down, across = tiles_of(tile, rows, columns)
    pieces, piece = pieces_of(depth, down * across * number, tile.threads, DEPTH)
    a, a_transposed = as_it_lies(a)
    b, b_transposed = as_it_lies(b)
    bias = None if bias is None else contiguous(bias)
    steps = (m.size // len(m) if m.ndim == 3 and len(m) > 1 else 0 for m in (a, b))
    shape = (rows, columns) if a.ndim == b.ndim == 2 else (number, rows, columns)
    y = xp(a).empty((number, pieces, rows, columns), np.float32)
    epilogue = (bias, relu) if pieces == 1 else (None, False)
    launch(
        programs.matmul(tile, a_transposed, b_transposed), "matmul", (down, across, number * pieces), tile.threads,
        a, b, a if epilogue[0] is None else bias, y, rows, columns, depth, *steps, pieces, piece,
        epilogue[0] is not None, epilogue[1],
    )  # fmt: skip
    return y.reshape(shape) if pieces == 1 else add_pieces(y, shape, bias, relu)


# ---- the op --------------------------------------------------------------------------------------------------------


def stacked(m: Any, batch: tuple[int, ...]) -> Any:
    """(...,M,K) -> (B,M,K) with the batch axes multiplied out, or B = 1 if there is but one matrix."""
    if np.prod(m.shape[:-2], dtype=int) > 1 and m.shape[:-2] != batch:
        m = xp(m).broadcast_to(m, batch + m.shape[-2:])
    return m.reshape(-1, *m.shape[-2:])


def matmul_forward(a, b):
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    y = product(stacked(a, batch), stacked(b, batch))
    return y.reshape(*batch, a.shape[-2], b.shape[-1]), (a, b)


def matmul_backward(dy, saved):
    a, b = saved
    da, _ = matmul_forward(dy, b.swapaxes(-1, -2))
    db, _ = matmul_forward(a.swapaxes(-1, -2), dy)
    return unbroadcast(da, a.shape), unbroadcast(db, b.shape)


def supports(a, b):
    if not is_float32(a, b):
        return False
    batch = np.prod(np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), dtype=int)
    return batch < 1 << 16 and batch * a.shape[-2] * b.shape[-1] <= LARGEST


kernel_of(matmul, "cuda", matmul_forward, matmul_backward, supports)

# ---- the staircase -------------------------------------------------------------------------------------------------

FLOAT32 = {  # name: (kernel, threads, tile of c) -- threads (x, y), tile (across, down)
    "naive": ("matmul", (32, 8), (8, 32)),  # the one whose threadIdx.x is the row
    "coalesced": ("matmul", (32, 8), (32, 8)),
    "shared": ("matmul", (32, 32), (32, 32)),
    "column": ("matmul", (512,), (64, 64)),
    "square": ("matmul", (256,), (128, 128)),
    "float4": ("matmul", (256,), (128, 128)),
    "warp": ("matmul", (256,), (128, 128)),
    "async": ("matmul", (256,), (128, 128)),
    "tf32": ("matmul_tf32", (256,), (128, 128)),
    "3xtf32": ("matmul_3xtf32", (256,), (128, 128)),
}
STEPS = (*FLOAT32, "bf16")


def staircase(step: str, a: Any, b: Any) -> Any:
    """a (M,K) b (K,N) by that step's kernel: one of STEPS."""
    a, b = contiguous(a), contiguous(b)
    if step == "bf16":
        return product_bf16(to_bf16(a), to_bf16(b), b.shape[1])
    (rows, depth), columns = a.shape, b.shape[1]
    c = xp(a).empty((rows, columns), np.float32)
    kernel, threads, (across, down) = FLOAT32[step]
    blocks = -(-columns // across), -(-rows // down)
    program = STAIRCASE["tf32" if step == "3xtf32" else step]
    launch(program, kernel, blocks[::-1] if step == "naive" else blocks, threads, a, b, c, rows, columns, depth)
    return c


def to_bf16(x: Any) -> Any:
    """(rows, columns) of float32 -> (rows, columns rounded up to 8) of BF16, as uint16; the rest is zero."""
    rows, columns = x.shape
    y = xp(x).empty((rows, -(-columns // 8) * 8), np.uint16)
    each(STAIRCASE["bf16"], "to_bf16", y.size // 2, x, y.view(np.uint32), rows, columns, y.shape[1])
    return y


def product_bf16(a: Any, b: Any, columns: int) -> Any:
    """a (M,K) b (K,N) of what to_bf16 made; N = columns. The zeros that a's rows end with meet zeros."""
    (rows, line), depth = a.shape, b.shape[0]
    c = xp(a).empty((rows, columns), np.float32)
    blocks = -(-columns // 128), -(-rows // 128)
    launch(STAIRCASE["bf16"], "matmul_bf16", blocks, 256, a, b, c, rows, columns, depth, line, b.shape[1])
    return c
