"""Sums over rows, and over the pieces of a split product, in a fixed order: the same numbers always give the same bits."""

from __future__ import annotations

from typing import Any

from tinydx_kernels.cuda.backend import contiguous, launch, xp
from tinydx_kernels.cuda.programs import Program

SUMS = Program("sums.cu")
PROGRAMS = [SUMS]
BUSY = 132 * 512  # threads that keep a large GPU busy; a constant, so that all GPUs give the same bits


def pieces_of(length: int, blocks: int, threads: int, least: int) -> tuple[int, int]:
    """How to split a sum: (number of pieces, length of a piece).

    Arguments: length of the sum; blocks, threads, how many blocks compute one piece, and how many threads each has; least,
    the shortest piece.

    >>> pieces_of(1000, 1, 256, 64), pieces_of(1000, 200, 256, 64)
    ((16, 64), (1, 1024))
    """
    pieces = max(1, min(BUSY // (blocks * threads), -(-length // least)))
    piece = -(-length // pieces // least) * least
    return -(-length // piece), piece


def add_pieces(pieces: Any, shape: tuple[int, ...], bias: Any = None, relu: bool = False) -> Any:
    """pieces (B,P,...), bias (N,) or None -> y of `shape` (its last axis is N): the sum over P, plus bias, then ReLU."""
    matrices, number = pieces.shape[:2]
    y = xp(pieces).empty(shape, pieces.dtype)
    size = y.size // matrices
    biased = bias is not None
    inputs = pieces, bias if biased else pieces
    launch(SUMS, "add_pieces", (-(-size // 32), matrices), 256, *inputs, y, number, size, shape[-1], biased, relu)
    return y


def sum_rows(x: Any) -> Any:
    """x (...,C) -> y (C,): the sum over all rows."""
    columns = x.shape[-1]
    rows = x.size // columns
    blocks = -(-columns // 32)
    number, piece = pieces_of(rows, blocks, 256, 64)
    pieces = xp(x).empty((1, number, columns), x.dtype)
    launch(SUMS, "sum_rows", (blocks, number), 256, contiguous(x), pieces, rows, columns, piece)
    return pieces.reshape(columns) if number == 1 else add_pieces(pieces, (columns,))
