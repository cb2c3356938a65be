"""Sums over rows, and over the pieces of a split product, in a fixed order."""

from __future__ import annotations

from typing import Any

from tinydx_kernels.cuda.backend import THREADS, contiguous, launch, xp
from tinydx_kernels.cuda.programs import PLAIN

SUMS = PLAIN["sums"]
BLOCKS = 264  # blocks that fill a large GPU (132 multiprocessors, two each); a constant, so that all GPUs give the same bits


def pieces_of(length: int, blocks: int, least: int) -> tuple[int, int]:
    """(pieces, length of a piece) of a sum when there are `blocks` blocks for each piece: at least `least` long.

    >>> pieces_of(1000, 1, 64), pieces_of(1000, 200, 64)
    ((16, 64), (1, 1024))
    """
    pieces = max(1, min(BLOCKS // blocks, -(-length // least)))
    piece = -(-length // pieces // least) * least
    return -(-length // piece), piece


def add_pieces(pieces: Any, shape: tuple[int, ...], bias: Any = None, relu: bool = False) -> Any:
    """pieces (matrices, P, ...) -> y of this shape: the sum over P, then bias (of the last axis) and ReLU."""
    matrices, number = pieces.shape[:2]
    y = xp(pieces).empty(shape, pieces.dtype)
    size = y.size // matrices
    blocks = -(-size // THREADS), matrices
    biased, columns = bias is not None, shape[-1]
    launch(SUMS, "add_pieces", blocks, THREADS, pieces, bias if biased else pieces, y, number, size, columns, biased, relu)
    return y


def sum_rows(x: Any) -> Any:
    """x (...,C) -> (C,): the sum over all rows."""
    columns = x.shape[-1]
    rows = x.size // columns
    blocks = -(-columns // 32)
    number, piece = pieces_of(rows, blocks, 64)
    pieces = xp(x).empty((1, number, columns), x.dtype)
    launch(SUMS, "sum_rows", (blocks, number), 256, contiguous(x), pieces, rows, columns, piece)
    return pieces.reshape(columns) if number == 1 else add_pieces(pieces, (columns,))
