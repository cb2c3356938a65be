"""CPU kernels at the shapes where they change their way: small and narrow products, planes of few channels, pooling of few."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba", reason="the CPU kernels need numba: pip install numba")

from tinydx.dispatch import load_kernels
from tinydx.op import TABLE, RandomDraw

assert load_kernels("numba") is None
from tinydx_kernels.cpu import convolution, matmul, matvec, planes, winograd  # noqa: E402
from tinydx_kernels.cpu.geometry import geometry_of  # noqa: E402
from tinydx_kernels.cpu.simd import LANES  # noqa: E402

needs_vectors = pytest.mark.skipif(LANES == 0, reason="planes.py is written with vectors only")


def whole_numbers(seed, *shapes):
    """float32 arrays of small whole numbers, whose products are exact."""
    draw = RandomDraw(seed, whole=True)
    return [draw.array(*shape).astype(np.float32) for shape in shapes]


@given(
    m=st.sampled_from([1, 2, 11, 12, 13, 64, 150]),
    k=st.sampled_from([1, 2, 63, 64, 65, 300]),
    n=st.sampled_from([1, 2, 11, 12, 13, 64, 150]),
    stack=st.sampled_from([(), (1,), (3,)]),
    limit=st.sampled_from([0, matmul.TINY, 1 << 60]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_small_and_narrow_products_are_exact_whoever_computes_them(m, k, n, stack, limit, seed):
    a, b = whole_numbers(seed, (*stack, m, k), (*stack, k, n))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matmul, "TINY", limit)
        y, saved = TABLE["matmul"].kernels["numba"].forward(a, b)
        da, db = TABLE["matmul"].kernels["numba"].backward(y, saved)
    for got, want in ((y, a @ b), (da, y @ b.swapaxes(-1, -2)), (db, a.swapaxes(-1, -2) @ y)):
        np.testing.assert_array_equal(got, want)


def test_tiny_products_stay_below_the_size_from_which_openblas_wakes_threads():
    """Its threads would compete with ours. OpenBLAS has one at work for each 2^16 * GEMM_MULTITHREAD_THRESHOLD multiplications.

    (4 is the threshold as NumPy ships it; the number of threads is rounded down.)
    """
    assert matmul.TINY < 2 * (4 << 16)


@needs_vectors
@pytest.mark.parametrize("special", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", [(0, 0, 0, 0), (1, 3, 6, 1), (1, 6, 7, 2)])
def test_planes_do_not_spread_infinity_beyond_the_pixels_that_meet_it(special, place, monkeypatch):
    """Rows of planes follow each other, so windows at their end reach into the next row: with slopes of zero there."""
    x, w, dy = whole_numbers(3, (2, 7, 8, 3), (3, 3, 3, 5), (2, 5, 6, 5))
    x[place] = special
    monkeypatch.setattr(convolution, "collects_planes", lambda *shapes: True)
    op = TABLE["correlate2d"]
    with np.errstate(invalid="ignore"):
        y, saved = op.kernels["numba"].forward(x, w)
        gradients = op.kernels["numba"].backward(dy, saved)
        expected, expected_saved = op.forward(x.astype(float), w.astype(float))
        expected_gradients = op.reference.backward(dy.astype(float), expected_saved)
    for got, want in zip((y, *gradients), (expected, *expected_gradients), strict=True):
        np.testing.assert_array_equal(got, want.astype(np.float32))


@needs_vectors
@pytest.mark.parametrize("kernel", [(3, 3), (5, 5), (4, 5), (6, 3), (7, 7)])
@pytest.mark.parametrize("groups", [1, 2])
def test_winograd_of_larger_kernels_and_of_groups(kernel, groups, monkeypatch):
    """Parts of 3x3 with zeros around, each of the moved image; without padding, their tiles reach beyond the image's end."""
    monkeypatch.setattr(convolution, "MANY_WINDOWS", 1)
    op, rng = TABLE["correlate2d"], np.random.default_rng(0)
    x, w, b = (rng.standard_normal(s) for s in ((2, 11, 13, 16 * groups), (*kernel, 16, 32 * groups), (32 * groups,)))
    assert convolution.suits_winograd((*kernel, 16, 32), 2, geometry_of(x.shape, kernel, 1, "valid"))
    for padding in ("valid", "same"):
        want, saved = op.forward(x, w, b, padding=padding, groups=groups)
        y, kept = op.kernels["numba"].forward(*(a.astype(np.float32) for a in (x, w, b)), padding=padding, groups=groups)
        dy = rng.standard_normal(want.shape)
        got = (y, *op.kernels["numba"].backward(dy.astype(np.float32), kept))
        for a, c in zip(got, (want, *op.reference.backward(dy, saved)), strict=True):
            assert a.shape == c.shape and a.flags.c_contiguous
            assert np.abs(a - c).max() < 1e-5 * np.abs(c).max()


@needs_vectors
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("many, block", [(1 << 60, 132), (1, 132), (1, 12)])  # weights kept, made once, or again for each block
def test_winograd_on_threads_that_share_tiles_or_panels(groups, many, block, monkeypatch):
    """48 tiles, 50 channels and 70 filters of a group, of which no count is whole vectors or panels."""
    rng, teams, run = np.random.default_rng(0), [], winograd.all_tiles

    def spied(across, *arguments):
        teams.append((len(arguments[-1].v) // across, across, arguments[1].fresh))
        run(across, *arguments)

    for name, value in (("MANY", many), ("BLOCK", block), ("SMALL", 0), ("all_tiles", spied)):
        monkeypatch.setattr(winograd, name, value)
    x, w, b = (rng.standard_normal(s) for s in ((3, 14, 13, 50 * groups), (3, 3, 50, 70 * groups), (70 * groups,)))
    want, saved = TABLE["correlate2d"].forward(x, w, b, padding="same", groups=groups)
    dy = rng.standard_normal(want.shape)
    dx, *_ = TABLE["correlate2d"].reference.backward(dy, saved)
    geometry, numbers = geometry_of(x.shape, (3, 3), 1, "same"), [a.astype(np.float32) for a in (x, w, b, dy)]
    before = None
    for threads in (1, 2, 3, 9):
        monkeypatch.setattr(winograd, "get_num_threads", lambda threads=threads: threads)
        winograd.shares_of.cache_clear()
        y = winograd.forward(*numbers[:3], geometry, groups)
        got = y, winograd.gradient_of_x(numbers[3], numbers[1], geometry, groups=groups)
        for a, c in zip(got, (want, dx), strict=True):
            assert np.abs(a - c).max() < 1e-5 * np.abs(c).max()
        for a, c in zip(got, before or got, strict=True):
            np.testing.assert_array_equal(a, c)
        before = got
    winograd.shares_of.cache_clear()
    assert all(fresh == (many == 1) for _, _, fresh in teams) and teams[0] == (1, 1, many == 1)
    assert any(down > 1 for down, _, _ in teams) and any(across > 1 for _, across, _ in teams) == (many == 1)


@needs_vectors
@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("groups", [2, 3])
def test_dw_by_winograd_of_groups_on_threads(groups, threads, monkeypatch):
    """Workers whose panels are those of a group, of several groups, or the end of one and the beginning of the next."""
    from tinydx_kernels.cpu import winograd_dw

    monkeypatch.setattr(winograd_dw, "get_num_threads", lambda: threads)
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((3, 14, 13, 20 * groups)), np.zeros((3, 3, 20, 70 * groups))
    want, saved = TABLE["correlate2d"].forward(x, w, padding="same", groups=groups)
    dy = rng.standard_normal(want.shape)
    _, dw, _ = TABLE["correlate2d"].reference.backward(dy, saved)
    geometry = geometry_of(x.shape, (3, 3), 1, "same")
    got, db = winograd_dw.gradient_of_w(x.astype(np.float32), dy.astype(np.float32), w.shape, geometry, groups)
    assert np.abs(got - dw).max() < 1e-5 * np.abs(dw).max()
    np.testing.assert_allclose(db, dy.sum((0, 1, 2)), atol=1e-3)


@needs_vectors
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("image", [(1, 9, 9, 32), (3, 30, 26, 32)])  # fewer tiles than are taken at a time, and more
def test_dw_by_winograd_on_threads_that_share_tiles_or_filters(image, threads, monkeypatch):
    from tinydx_kernels.cpu import winograd_dw

    rng, shares, run = np.random.default_rng(0), [], winograd_dw.all_tiles

    def spied(across, *arguments):
        shares.append((across, len(arguments[-2].n)))
        run(across, *arguments)

    monkeypatch.setattr(winograd_dw, "all_tiles", spied)
    monkeypatch.setattr(winograd_dw, "get_num_threads", lambda: threads)
    x, w = rng.standard_normal(image), np.zeros((3, 3, 32, 130))
    want, saved = TABLE["correlate2d"].forward(x, w, padding="same")
    dy = rng.standard_normal(want.shape)
    _, dw, _ = TABLE["correlate2d"].reference.backward(dy, saved)
    geometry = geometry_of(image, (3, 3), 1, "same")
    got, db = winograd_dw.gradient_of_w(x.astype(np.float32), dy.astype(np.float32), w.shape, geometry)
    assert shares == [(1, threads) if image[0] == 3 else (threads, 1)]
    assert np.abs(got - dw).max() < 1e-5 * np.abs(dw).max()
    np.testing.assert_allclose(db, dy.sum((0, 1, 2)), atol=1e-3)


@needs_vectors
@pytest.mark.parametrize("special", [np.inf, -np.inf, np.nan])
def test_dw_by_winograd_does_not_spread_infinity(special, monkeypatch):
    """A value at the points is a sum of the whole tile; so where one is not finite, the direct sum runs."""
    monkeypatch.setattr(convolution, "MANY_WINDOWS", 1)
    x, w, dy = whole_numbers(3, (2, 9, 8, 16), (3, 3, 16, 20), (2, 7, 6, 20))
    assert convolution.suits_winograd(w.shape, 2, geometry_of(x.shape, (3, 3), 1, "valid"))
    op = TABLE["correlate2d"]
    for a, place in ((x, (1, 3, 6, 1)), (dy, (0, 2, 5, 19))):
        a[place] = special
        with np.errstate(invalid="ignore"):
            _, dw, db = op.kernels["numba"].backward(dy, op.kernels["numba"].forward(x, w)[1], (False, True, True))
            _, want, want_b = op.reference.backward(dy.astype(float), op.forward(x.astype(float), w.astype(float), w[0, 0, 0])[1])
        np.testing.assert_array_equal(dw, want)
        np.testing.assert_array_equal(db, want_b)
        a[place] = 1


@given(
    m=st.sampled_from([1, 15, 16, 17, 31, 100]),
    k=st.sampled_from([1, 15, 16, 17, 48, 65]),
    turned=st.booleans(),
    waking=st.sampled_from([0, 1 << 60]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_a_matrix_times_a_vector_is_exact_on_any_number_of_threads(m, k, turned, waking, seed):
    (a, s) = whole_numbers(seed, (k, m) if turned else (m, k), (k,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matvec, "WORTH_WAKING", waking)
        got = matvec.times_vector(a.T if turned else a, s)
    np.testing.assert_array_equal(got, (a.T if turned else a) @ s)


def test_one_filter_of_one_pixel_is_a_product_with_a_vector(monkeypatch):
    monkeypatch.setattr(matmul, "TINY", 0)
    x, w, b, dy = whole_numbers(1, (2, 5, 7, 33), (1, 1, 33, 1), (1,), (2, 5, 7, 1))
    op = TABLE["correlate2d"]
    assert convolution.is_vector(w.shape, geometry_of(x.shape, (1, 1), 1, "valid"), 1)
    y, saved = op.kernels["numba"].forward(x, w, b)
    want, want_saved = op.forward(x, w, b)
    gradients = op.kernels["numba"].backward(dy, saved)
    for got, expected in zip((y, *gradients), (want, *op.reference.backward(dy, want_saved)), strict=True):
        np.testing.assert_array_equal(got, expected)


@needs_vectors
@given(
    rows=st.sampled_from([1, 2, planes.MANY, planes.MANY + 1]),
    columns=st.integers(1, 2 * max(LANES, 1) + 1),
    gap=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_turning_writes_the_transposed_part_and_nothing_else(rows, columns, gap, seed):
    (x,) = whole_numbers(seed, (rows, columns + gap))
    y = np.full((columns, rows + gap), 7, np.float32)
    planes.turn(x.reshape(-1), 0, columns + gap, rows, columns, y.reshape(-1), 0, rows + gap)
    np.testing.assert_array_equal(y[:, :rows], x[:, :columns].T)
    assert (y[:, rows:] == 7).all()


@pytest.mark.parametrize("name", ["max_pool2d", "average_pool2d"])
@given(
    channels=st.integers(1, 35),
    size=st.sampled_from([1, 2, 3, (1, 2), (3, 1)]),
    stride=st.sampled_from([1, 2, 3]),
    padding=st.sampled_from(["valid", "same"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_pooling_of_any_number_of_channels(name, channels, size, stride, padding, seed):
    """Vectors overlap the next pixel where channels are no whole vectors."""
    (x,) = whole_numbers(seed, (2, 5, 6, channels))
    op, constants = TABLE[name], {"size": size, "stride": stride, "padding": padding}
    y, saved = op.kernels["numba"].forward(x, **constants)
    want, want_saved = op.forward(x.astype(float), **constants)
    np.testing.assert_allclose(y, want, rtol=1e-6)
    (dy,) = whole_numbers(seed, y.shape)
    got, want = op.kernels["numba"].backward(dy, saved)[0], op.reference.backward(dy.astype(float), want_saved)[0]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3, 17])
@pytest.mark.parametrize("place", range(4))
def test_a_maximum_of_a_2x2_window_keeps_nan(channels, place):
    x = np.ones((1, 4, 6, channels), np.float32)
    x[0, place // 2, 2 + place % 2, 0] = np.nan
    y, _ = TABLE["max_pool2d"].kernels["numba"].forward(x)
    np.testing.assert_array_equal(y, TABLE["max_pool2d"].forward(x)[0])
    assert np.isnan(y).sum() == 1


COLUMNS = [  # images of one column, and their neighbours: of two, and one that padding makes wider
    ((2, 33, 1, 4), (5, 1, 2, 6), {"padding": "same", "stride": (2, 1), "groups": 2}),
    ((2, 33, 1, 40), (3, 1, 40, 9), {"padding": ((1, 0), (0, 0)), "dilation": (2, 1)}),
    ((2, 33, 1, 4), (5, 1, 4, 6), {"padding": ((0, 0), (1, 1))}),
    ((2, 33, 2, 4), (5, 1, 4, 6), {}),
    ((2, 1, 1, 4), (1, 1, 4, 6), {}),
]


@pytest.mark.parametrize(("image", "kernel", "constants"), COLUMNS)
def test_images_of_one_column(image, kernel, constants):
    """They are computed as images of one row."""
    op, rng = TABLE["correlate2d"], np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in (image, kernel, kernel[3:])]
    want, saved = op.forward(*arrays, **constants)
    y, kept = op.kernels["numba"].forward(*(a.astype(np.float32) for a in arrays), **constants)
    dy = rng.standard_normal(want.shape)
    got = (y, *op.kernels["numba"].backward(dy.astype(np.float32), kept))
    for a, b in zip(got, (want, *op.reference.backward(dy, saved)), strict=True):
        assert a.shape == b.shape and a.flags.c_contiguous
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


SHAPES = [  # (image, kernel, constants): the way of forward, dX and dW that must be taken with vectors of 16
    ((64, 28, 28, 1), (5, 5, 1, 6), {"padding": "same"}, "planes planes planes"),
    ((1, 224, 224, 3), (3, 3, 3, 16), {"padding": "same"}, "planes planes other"),
    ((8, 28, 28, 64), (3, 3, 2, 64), {"padding": "same", "groups": 32}, "planes planes planes"),
    ((8, 28, 28, 32), (5, 5, 32, 64), {"padding": "same"}, "other other other"),
    ((4, 64, 64, 64), (3, 3, 64, 64), {"padding": "same"}, "other other other"),
]


@pytest.mark.skipif(LANES != 16, reason="the choice depends on the vectors")
@pytest.mark.parametrize(("image", "kernel", "constants", "expected"), SHAPES)
def test_the_way_of_a_shape(image, kernel, constants, expected):
    groups = constants.get("groups", 1)
    geometry = geometry_of(image, kernel[:2], 1, constants["padding"])
    ways = (
        convolution.suits_planes(kernel, image[0], geometry, groups)
        and not convolution.suits_winograd(kernel, image[0], geometry, groups),
        convolution.way_of_dx(kernel, image[0], geometry, groups) is planes,
        convolution.collects_planes(kernel, image[0], geometry, groups),
    )
    assert " ".join("planes" if way else "other" for way in ways) == expected
