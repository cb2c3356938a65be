"""From loops to the speed of the chip: one correlation, written four times. The lesson `speed` measures them.

    loops       the equation, compiled                        no interpreter between two multiplications
    filters     the filters are the innermost loop            neighbours in memory: one instruction computes LANES of them
    registers   a block of outputs stays in registers         nothing is stored before it is finished
    threads     the rows are divided among threads            all cores

All of them take one image x (H,W,C) and a kernel w (kh,kw,C,F), float32 and contiguous, and return y (OH,OW,F), "valid".
`registers` and `threads` need CPUs with SIMD (simd.LANES), OW of at least ROWS, and F of at least PANEL. The kernels of
the engine go two steps further: borders and any shape, and Winograd's algorithm.
"""

import numpy as np
from numba import prange

from tinydx_kernels.cpu.simd import COLUMNS, LANES, ROWS, TILE, WIDTH, inline, jit, outer, parallel, store, zeros

PANEL = COLUMNS * WIDTH  # filters of a block


@jit
def loops(x, w):
    """x (H,W,C), w (kh,kw,C,F) -> y (OH,OW,F)"""
    kh, kw, channels, filters = w.shape
    oh, ow = x.shape[0] - kh + 1, x.shape[1] - kw + 1
    y = np.empty((oh, ow, filters), np.float32)
    for i in range(oh):
        for j in range(ow):
            for f in range(filters):
                total = np.float32(0)
                for p in range(kh):
                    for q in range(kw):
                        for c in range(channels):
                            total += x[i + p, j + q, c] * w[p, q, c, f]
                y[i, j, f] = total
    return y


@jit
def filters(x, w):
    """x (H,W,C), w (kh,kw,C,F) -> y (OH,OW,F)"""
    kh, kw, channels, filters = w.shape
    oh, ow = x.shape[0] - kh + 1, x.shape[1] - kw + 1
    y = np.zeros((oh, ow, filters), np.float32)
    for i in range(oh):
        for j in range(ow):
            for p in range(kh):
                for q in range(kw):
                    for c in range(channels):
                        pixel = x[i + p, j + q, c]
                        for f in range(filters):
                            y[i, j, f] += pixel * w[p, q, c, f]
    return y


@inline
def one_row(x, w, y, i):
    """Row i of y (OH,OW,F): blocks of ROWS pixels times PANEL filters; the last block of a row may overlap its neighbour."""
    kh, kw, channels, filters = w.shape
    width, ow = x.shape[1], y.shape[1]
    flat_x, flat_w, flat_y = x.reshape(-1), w.reshape(-1), y.reshape(-1)
    for pixel in range(0, ow, ROWS):
        j = min(pixel, ow - ROWS)
        for panel in range(0, filters, PANEL):
            f = min(panel, filters - PANEL)
            block = zeros(TILE)
            for p in range(kh):
                for qc in range(kw * channels):  # columns and channels are contiguous
                    seen = ((i + p) * width + j) * channels + qc
                    weight = (p * kw * channels + qc) * filters + f
                    block = outer(block, ROWS, flat_x, seen, channels, flat_w, weight)
            store(block, ROWS, flat_y, (i * ow + j) * filters + f, filters)


@jit
def registers(x, w):
    """x (H,W,C), w (kh,kw,C,F) -> y (OH,OW,F)"""
    oh, ow = x.shape[0] - w.shape[0] + 1, x.shape[1] - w.shape[1] + 1
    y = np.empty((oh, ow, w.shape[3]), np.float32)
    for i in range(y.shape[0]):
        one_row(x, w, y, i)
    return y


@parallel
def threads(x, w):
    """x (H,W,C), w (kh,kw,C,F) -> y (OH,OW,F)"""
    oh, ow = x.shape[0] - w.shape[0] + 1, x.shape[1] - w.shape[1] + 1
    y = np.empty((oh, ow, w.shape[3]), np.float32)
    for i in prange(y.shape[0]):
        one_row(x, w, y, np.int64(i))
    return y


STEPS = (loops, filters, registers, threads) if LANES else (loops, filters)
