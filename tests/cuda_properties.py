"""What must hold of every CUDA kernel: tested by test_cuda_kernels.py and test_cuda_gpu.py, and by cuda_mutants.py on mutants.

A property draws a case from Hypothesis's `data` and raises AssertionError where a result is wrong. In the emulator a launch
raises KernelError where the checker finds a race, a missing barrier, an index out of bounds ..., so each example tests for
these, too. move: copies an array to the device that runs the kernels, as cupy.asarray does.
"""

from contextlib import contextmanager

import numpy as np
import pytest
from cuda_cases import (
    POOLED,
    RECURRENT,
    as_made,
    assert_close,
    assert_equal,
    assert_within,
    both_ways,
    disguises,
    draw_case,
    draw_special,
    fetched,
    numbers,
)
from hypothesis import strategies as st

from tinydx_kernels.cuda import backend, embedding, matmul, sums

seeds = st.integers(0, 999)


@contextmanager
def emulation():
    """Run the kernels emulated. New arrays are NaN, so that a result that was never written cannot look right."""
    real = np.empty

    def empty(shape, dtype=float, **keywords):
        array = real(shape, dtype, **keywords)
        array.fill(np.nan if array.dtype.kind == "f" else 0)
        return array

    with backend.emulation(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "empty", empty)
        yield


# ---- the ops -------------------------------------------------------------------------------------------------------


def equals_reference(name, data, move=as_made):
    """Forward and backward of an op, on normal numbers."""
    whole = name in POOLED  # with rounding errors another pixel could win
    arrays, constants = draw_case(name, data, whole)
    for result in both_ways(name, arrays, constants, data.draw(seeds), whole, move):
        assert_close(*result)


def is_exact(name, data, move=as_made):
    """Forward and backward of an op on small whole numbers, whose sums are exact in any order."""
    arrays, constants = draw_case(name, data, whole=True)
    for result in both_ways(name, arrays, constants, data.draw(seeds), True, move):
        assert_equal(*result)


def lets_specials_through(name, data, move=as_made):
    """Infinities and NaN come out where they do in NumPy, and nowhere else.

    Recurrences get small numbers that are not whole, so that no factor is 0 in one precision only: float32 would round
    1 - σ(z) to 0 for large z, and infinity times 0 is NaN.
    """
    whole = name not in RECURRENT
    arrays, constants = draw_case(name, data, whole, scale=1 if whole else 1 / 32)
    arrays, spoil = draw_special(name, data, arrays)
    with np.errstate(all="ignore"):
        for what, got, want in both_ways(name, arrays, constants, data.draw(seeds), whole, move, spoil):
            assert_equal(what, np.isnan(got), np.isnan(want))
            assert_close(what, got, want)


def foreign_ids_read_nothing(data):
    """Embedding's kernels with ids outside of the table, which only arrays on a GPU can bring: NaN, and no gradient."""
    v, d, n = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 9)), data.draw(st.integers(1, 12))
    ids = np.sort(np.array(data.draw(st.lists(st.integers(-3, v + 2), min_size=n, max_size=n)), np.int32))
    table, dy = numbers(data.draw(seeds), [(v, d), (n, d)], whole=True)
    y, dtable, known = np.empty((n, d), np.float32), np.zeros((v, d), np.float32), (ids >= 0) & (ids < v)
    backend.each(embedding.EMBEDDING, "gather", y.size, table, ids, y, n, v, d)
    backend.each(embedding.EMBEDDING, "scatter", y.size, dy, ids, np.arange(n, dtype=np.int32), dtable, n, v, d)
    assert_equal("rows of known ids", y[known], table[ids[known]])
    assert_equal("rows of foreign ids", np.isnan(y).all(axis=1), ~known)
    want = np.zeros_like(dtable)
    np.add.at(want, ids[known], dy[known])
    assert_equal("gradient of the table", dtable, want)


# ---- products and sums that the ops reach with large arrays only ---------------------------------------------------

sides = st.integers(1, 140)
depths = st.one_of(st.integers(1, 40), st.sampled_from([255, 256, 257, 512, 600, 769]))  # from 257 on the sum is split
stacks = st.sampled_from([((), ()), ((), ()), ((3,), (3,)), ((1,), (4,)), ((4,), (1,)), ((2,), ()), ((), (2,))])


def product_is_exact(tile, data):
    """matmul.product with a tile: stacks, split sums, every orientation, bias, ReLU."""
    (left, right), k = data.draw(stacks), data.draw(depths)
    m, n = (data.draw(sides if k <= 40 and not left + right else st.integers(1, 40)) for _ in range(2))
    shapes = [(*left, m, k), (*right, k, n), data.draw(st.sampled_from([None, (n,)]))]
    a, b, bias = numbers(data.draw(seeds), shapes, whole=True)
    a, b, relu = data.draw(disguises)(a), data.draw(disguises)(b), data.draw(st.booleans())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matmul, "tile_for", lambda rows, columns: getattr(matmul, tile))
        got = matmul.product(a, b, bias, relu)
    assert_equal("product", got, _finished(a @ b, bias, relu))


def rows_are_summed(data):
    """sums.sum_rows."""
    (x,) = numbers(data.draw(seeds), [(data.draw(st.integers(1, 700)), data.draw(st.integers(1, 70)))], whole=True)
    assert_equal("sum of rows", sums.sum_rows(data.draw(disguises)(x)), x.sum(axis=0))


def pieces_are_summed(data):
    """sums.add_pieces, with bias and ReLU."""
    matrices, pieces, n = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 20)), data.draw(st.integers(1, 40))
    shape = (matrices, data.draw(st.integers(1, 5)), n)
    x, bias = numbers(data.draw(seeds), [(matrices, pieces, *shape[1:]), (n,)], whole=True)
    bias, relu = data.draw(st.sampled_from([None, bias])), data.draw(st.booleans())
    assert_equal("sum of pieces", sums.add_pieces(x, shape, bias, relu), _finished(x.sum(axis=1), bias, relu))


def _finished(z, bias, relu):
    z = z if bias is None else z + bias
    return np.maximum(z, 0) if relu else z


# ---- the staircase -------------------------------------------------------------------------------------------------

U = 2.0**-24  # a float's rounding error
# Errors of both operands, each 2^-p at most with p binary digits (TF32 has 11, BF16 8); 3xTF32: two rests and their product.
OPERANDS = {"tf32": 2 * 2**-11, "bf16": 2 * 2**-8, "3xtf32": 3 * 2**-22}
# Of one instruction: of 8 (BF16: 16) products, half are added at a time. Each of the 5 (9) terms is cut at 2^-24 of the largest,
# the sum to a float, at 2 U: twice 5 U + 2 U. This is an A100; an H100 errs less (emulated_ptx.h has the sources).
INSTRUCTIONS = {"tf32": (8, 14 * U), "bf16": (16, 22 * U), "3xtf32": (8, 15 * U)}  # 3xTF32: the two small products add under U


def error_bound(stair, a, b):
    """The most that a product by tensor cores may err, for each element of a b: it follows from how they round and cut.

    Each error is at most its factor times |a| |b|, the sum of the products' sizes. TF32 and BF16 cut the running sum with
    every instruction; 3xTF32 cuts the sum of 8 products once, and rounds the running sum, as FP32 does.
    """
    size = np.abs(a).astype(np.float64) @ np.abs(b)
    products, cut = INSTRUCTIONS[stair]
    steps = -(-a.shape[1] // products)
    sums = cut + steps * U if stair == "3xtf32" else steps * cut
    return (1.01 * OPERANDS[stair] + sums) * size  # 1.01: products of two errors


edges = st.sampled_from([1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 66, 127, 128, 129, 131, 132, 136])
lengths = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 18, 31, 32, 33, 40, 65, 100])  # up to three tiles


def stair_is_right(stair, data, move=as_made):
    """A kernel of the staircase: exact on small whole numbers (BF16 holds them exactly, too), within its error on others."""
    m, n, k, whole = data.draw(edges), data.draw(edges), data.draw(lengths), data.draw(st.booleans())
    a, b = numbers(data.draw(seeds), [(m, k), (k, n)], whole)
    c, want = fetched(matmul.staircase(stair, move(a), move(b))), a.astype(np.float64) @ b
    if whole:
        assert_equal(stair, c, want)
    elif stair in OPERANDS:
        assert_within(stair, c, want, error_bound(stair, a, b))
    else:
        assert_close(stair, c, want)


def long_sums_keep_their_last_bits(move=as_made, depth=512):
    """3xTF32 with positive numbers: each sum inside a tensor core would lose some more, always downwards."""
    rng = np.random.default_rng(0)
    a, b = rng.random((20, depth), np.float32), rng.random((depth, 12), np.float32)
    c = fetched(matmul.staircase("3xtf32", move(a), move(b)))
    assert_within("3xtf32", c, a.astype(np.float64) @ b, error_bound("3xtf32", a, b))
