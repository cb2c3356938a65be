"""Every op of the table: complete, equal to its literal, right in its gradient, strict about inputs."""

import math

import numpy as np
import pytest
import scipy.signal
from draws import HypothesisDraw
from hypothesis import given
from hypothesis import strategies as st

import tinydx
from tinydx import gradcheck, ops
from tinydx.cards import card
from tinydx.op import TABLE, Op, RandomDraw, backward_of, literal_of, samples_of
from tinydx.op import op as op_of
from tinydx.ops.convolution import same_padding
from tinydx.testing import assert_literal

EVERY_OP = pytest.mark.parametrize("op", TABLE.values(), ids=lambda op: op.name)
DIFFERENTIABLE = pytest.mark.parametrize("op", [op for op in TABLE.values() if op.backward], ids=lambda op: op.name)
STEP = 1e-20


@pytest.fixture(autouse=True)
def reference():
    """These tests are about the NumPy reference; kernels are compared with it in tests of their own."""
    with tinydx.use("numpy"):
        yield


def outputs(y):
    return y if isinstance(y, tuple) else (y,)


def cotangents(y, rng):
    """A random dy for each output, in the form in which backward takes it."""
    dys = tuple(np.asarray(rng.normal(size=part.shape), part.dtype) for part in outputs(y))
    return dys if isinstance(y, tuple) else dys[0]


def read_only(arrays):
    """Arrays that raise when they are written to."""
    for a in outputs(arrays):
        a.setflags(write=False)
    return arrays


# ---- what an op needs: the list in tinydx/op.py --------------------------------------------------------------------

OWN_SLIPS = 3


def missing(op):
    """What is still missing of an op of tinydx/ops, as sentences that say what to add."""
    name, said = op.name, []
    for part in ("equation", "shapes", "source"):
        if not getattr(op, part):
            said.append(f"{name} has no {part}: give it to @op")
    if "->" not in op.shapes:
        said.append(f"the shapes of {name} do not say what comes out: add '-> y (...)'")
    undeclared = op.accepted.constants - op.accepted.array_constants.keys() - op.constants.keys()
    if undeclared:
        said.append(f"{name} does not say what {', '.join(sorted(undeclared))} may be: give constants= to @op, or shapes")
    if not op.literal:
        said.append(f"{name} has no literal: write the equation in plain loops under @literal_of({name})")
    if not op.samples:
        said.append(f"{name} has no samples: draw inputs under @samples_of({name})")
    for label in ("Arguments:", "Returns:", ">>> ") if not op.parts else ():  # compose writes the docstring of a composed op
        if label not in (op.__doc__ or ""):
            said.append(f"the docstring of {name} has no {label!r}: see the list in tinydx/op.py")
    if not name.endswith("_update"):  # nothing is differentiated through an update rule
        if not op.backward:
            said.append(f"{name} has no backward: derive it by hand under @backward_of({name})")
        if (count := len({slip.name for slip in op.slips})) < OWN_SLIPS:
            said.append(
                f"{name} has {count} slips: add {OWN_SLIPS - count} more with @slip_of({name}, ...) in tinydx/gradcheck/slips/"
            )
    return said


@EVERY_OP
def test_every_op_is_complete(op):
    assert not missing(op), "; ".join(missing(op))
    for slip in op.slips:
        assert 3 < len(slip.name) < 50, f"{op.name}: the name of a slip has 4 to 49 characters, unlike {slip.name!r}"
        assert slip.advice.endswith((".", "?")) and len(slip.advice) < 140, (
            f"{op.name}: advice is one sentence of at most 139 characters, unlike {slip.advice!r}"
        )


def test_what_is_missing_is_said():
    bare = Op("bare", "y = x", "x (...)", "", lambda x, *, rate: (x, None))
    said = "; ".join(missing(bare))
    for what in ("no source", "what rate may be", "'-> y", "@literal_of", "@samples_of", "@backward_of", "'Arguments:'"):
        assert what in said, said
    assert "add 3 more with @slip_of" in said


@EVERY_OP
@given(data=st.data(), whole=st.booleans())
def test_literal_and_forward_compute_the_same(op, data, whole):
    arrays, constants = op.samples(HypothesisDraw(data, whole))
    assert_literal(op, *arrays, **constants)


@pytest.fixture
def cube(monkeypatch):
    """An op as a user writes it in a file of their own, without slips."""
    monkeypatch.setattr("tinydx.op.TABLE", table := dict(TABLE))

    @op_of("y = x^3", shapes="x (...) -> y (...)", source="this test")
    def cube(x):
        return x**3, x

    @backward_of(cube)
    def cube_backward(dy, x):
        return (3 * dy * x**2,)

    @literal_of(cube)
    def cube_literal(x):
        return np.array([v * v * v for v in x])

    @samples_of(cube)
    def cube_samples(draw):
        return (draw.array(draw.integer(2, 5)),), {}

    assert table["cube"] is cube
    return cube


def test_a_users_own_op_is_checked_without_slips(cube):
    assert cube.slips == []
    assert gradcheck(cube, seed=0)
    assert gradcheck(cube, seed=0, backward=lambda dy, x: 2 * dy * x**2).mistakes == {"x": "2 instead of 3"}
    assert_literal(cube)
    assert "def cube_literal(x):" in card("cube") and "file     test_ops.py" in card("cube")


def test_a_users_own_op_may_state_its_constants_with_or_without_a_kind(monkeypatch):
    monkeypatch.setattr("tinydx.op.TABLE", dict(TABLE))

    @op_of("y = m x", shapes="x (N,...,C), mask (N,), one (2,) -> y (N,...,C)", source="this test")
    def kept(x, *, mask, one=None, scale=1.0):
        return x * mask[:, None] * scale, None

    x = np.ones((3, 2))
    for mask in ([1, 0, 1], np.array([True, False, True]), np.array([1.0, 0.0, 1.0])):
        np.testing.assert_array_equal(kept(x, mask=mask, scale=2), [[2, 2], [0, 0], [2, 2]])
    with pytest.raises(ValueError, match=r"kept: mask has shape \(3, 2\), expected \(N\)"):
        kept(x, mask=x)
    with pytest.raises(ValueError, match=r"kept: one has shape \(3,\), expected \(2\)"):
        kept(x, mask=x[:, 0], one=np.ones(3))
    with pytest.raises(ValueError, match=r"kept: x has shape \(3,\), expected \(N,...,C\)"):
        kept(x[:, 0], mask=x[:, 0])


def test_assert_literal_finds_what_differs(cube):
    literal_of(cube)(lambda x: np.array([v * v * abs(v) for v in x]))
    with pytest.raises(AssertionError, match="cube, draw 0 of seed 0: forward"):
        assert_literal(cube)
    assert_literal(cube, np.array([1.0, 2.0]))
    with pytest.raises(AssertionError, match="cube: forward"):
        assert_literal(cube, np.array([1.0, -2.0]))
    literal_of(cube)(lambda x: np.zeros(len(x) + 1))
    with pytest.raises(AssertionError, match=r"forward gives shapes \[\(2,\)\], literal \[\(3,\)\]"):
        assert_literal(cube, np.ones(2))
    cube.samples = None
    with pytest.raises(ValueError, match="cube has no samples: give inputs, or add @samples_of"):
        assert_literal(cube)
    cube.literal = None
    with pytest.raises(ValueError, match="cube has no literal: add @literal_of"):
        assert_literal(cube)


def test_cards_name_the_files_of_the_kernels():
    pytest.importorskip("numba")
    lines = card("conv2d").splitlines()
    assert "file     tinydx/ops/convolution.py" in lines
    assert "kernels  numba kernels/cpu/convolution.py, cuda kernels/cuda/convolution.py" in lines
    assert "numba kernels/cpu/embedding.py" in card("embedding"), "its forward is the reference's"
    assert "numba kernels/cpu/update.py" in card("adam_update"), "its forward is a closure"


# ---- gradients, against a complex step of this file's own ----------------------------------------------------------


def along(op, arrays, constants, k, direction, dys):
    """The derivative of <dy, op(arrays)> along a direction of array k, exact to rounding."""
    moved = [a + 1j * STEP * direction if i == k else a for i, a in enumerate(arrays)]
    ys = outputs(op.forward(*moved, **constants)[0])
    return sum(np.sum(np.imag(y) / STEP * dy) for y, dy in zip(ys, outputs(dys), strict=True))


@DIFFERENTIABLE
@given(data=st.data())
def test_backward_is_the_gradient(op, data):
    draw = HypothesisDraw(data)
    arrays, constants = op.samples(draw)
    y, saved = op.forward(*arrays, **constants)
    dys = cotangents(y, draw.rng)
    gradients = op.backward(dys, saved)
    assert len(gradients) == len(arrays)
    for k, gradient in enumerate(gradients):
        direction = draw.rng.normal(size=arrays[k].shape)
        scale = np.linalg.norm(gradient * direction) + 1e-3 * np.linalg.norm(np.concatenate([np.ravel(d) for d in outputs(dys)]))
        gap = abs(np.sum(gradient * direction) - along(op, arrays, constants, k, direction, dys))
        assert gradient.shape == arrays[k].shape
        assert gap <= 1e-10 * scale, f"{op.name}: argument {k}, relative gap {gap / scale:.1e}"


@EVERY_OP
def test_complex_numbers_pass_through(op):
    lost = f"{op.name} loses the imaginary part: no abs, no .conj(), no cast to float of what comes in (tinydx/op.py)"
    moves = False  # on some draws nothing moves: the softmax of one number is 1
    for seed in range(4):
        rng, (arrays, constants) = np.random.default_rng(seed), op.samples(RandomDraw(seed))
        real = outputs(op.forward(*arrays, **constants)[0])
        moved = outputs(op.forward(*(a + 1j * STEP * rng.normal(size=a.shape) for a in arrays), **constants)[0])
        for a, b in zip(real, moved, strict=True):
            assert b.dtype == complex, lost
            np.testing.assert_allclose(b.real, a, rtol=1e-12, atol=1e-14)
            moves |= bool(b.imag.any())
    assert moves, lost


# ---- dtypes and shapes ---------------------------------------------------------------------------------------------


@EVERY_OP
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(6))
def test_the_dtype_stays(op, dtype, seed):
    arrays, constants = op.samples(RandomDraw(seed))
    y, saved = op.forward(*(a.astype(dtype) for a in arrays), **constants)
    assert [part.dtype for part in outputs(y)] == [dtype] * len(outputs(y))
    if op.backward:
        gradients = op.backward(cotangents(y, np.random.default_rng(seed)), saved)
        assert [g.dtype for g in gradients] == [dtype] * len(arrays), "a constant promotes the gradient"


@EVERY_OP
def test_integers_are_refused(op):
    arrays, constants = op.samples(RandomDraw(0, whole=True))
    for k, name in enumerate(op.arrays):
        mixed = [a.astype(int) if i == k else a for i, a in enumerate(arrays)]
        with pytest.raises(TypeError, match=rf"{op.name}: {name} is int\d+, expected float32 or float64"):
            op(*mixed, **constants)


FIXED_RANK = [(op, k) for op in TABLE.values() for k, n in enumerate(op.arrays) if "..." not in op.expected.get(n, ["..."])]


@pytest.mark.parametrize(("op", "k"), FIXED_RANK, ids=[f"{op.name}-{op.arrays[k]}" for op, k in FIXED_RANK])
def test_wrong_shapes_name_op_array_expected_and_got(op, k):
    arrays, constants = op.samples(RandomDraw(0))
    wrong = [a[None] if i == k else a for i, a in enumerate(arrays)]
    with pytest.raises(ValueError) as caught:
        op(*wrong, **constants)
    message = str(caught.value)
    for part in (op.name, op.arrays[k], str(wrong[k].shape), ",".join(op.expected[op.arrays[k]])):
        assert part in message, f"{part!r} is not in {message!r}"
    assert "\n" not in message


def test_sizes_that_do_not_fit_each_other_are_named():
    with pytest.raises(ValueError, match=r"dense: w has shape \(4, 2\), expected \(D,F\) with D=3"):
        ops.dense(np.ones((2, 3)), np.ones((4, 2)))
    with pytest.raises(TypeError, match="dense takes 3 arrays"):
        ops.dense(np.ones((2, 3)), np.ones((3, 2)), np.ones(2), np.ones(2))


# ---- promises of every op ------------------------------------------------------------------------------------------


@EVERY_OP
@given(data=st.data())
def test_nothing_is_changed_and_all_is_repeatable(op, data):
    draw = HypothesisDraw(data)
    arrays, constants = op.samples(draw)
    for constant in constants.values():
        if isinstance(constant, np.ndarray):
            read_only(constant)
    y, saved = op.forward(*read_only(tuple(arrays)), **constants)
    again, _ = op.forward(*arrays, **constants)
    assert all(np.array_equal(a, b) for a, b in zip(outputs(y), outputs(again), strict=True))
    if op.backward:
        dys = read_only(cotangents(y, draw.rng))
        first, second = op.backward(dys, saved), op.backward(dys, saved)
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True)), "backward changes what is saved"


# ---- convolution ---------------------------------------------------------------------------------------------------


@given(st.data())
def test_conv2d_is_correlate2d_with_the_kernel_flipped(data):
    (x, w, b), constants = ops.conv2d.samples(HypothesisDraw(data))
    expected = ops.correlate2d(x, w[::-1, ::-1], b, **constants)
    np.testing.assert_array_equal(ops.conv2d(x, w, b, **constants), expected)


@given(st.data())
def test_conv2d_is_scipys_convolution(data):
    draw = HypothesisDraw(data)
    n, c, f, kh, kw = (draw.integer(1, 3) for _ in range(5))
    x, w = draw.array(n, draw.integer(3, 7), draw.integer(3, 7), c), draw.array(kh, kw, c, f)
    for padding in ("valid", "full"):
        constants = {} if padding == "valid" else {"padding": ((kh - 1, kh - 1), (kw - 1, kw - 1))}
        y = ops.conv2d(x, w, **constants)
        for i, k in np.ndindex(n, f):
            channels = [scipy.signal.convolve2d(x[i, :, :, j], w[:, :, j, k], mode=padding) for j in range(c)]
            np.testing.assert_allclose(y[i, :, :, k], sum(channels), rtol=1e-10, atol=1e-12)


def test_conv2d_has_the_documents_indices():
    """y(i,j) = sum x(i-p+1, j-q+1) w(p,q), 1-based: `valid` holds y(a+k, b+k), zeros at top and left give all."""
    rng = np.random.default_rng(0)
    h, k = 6, 3
    x, w = rng.normal(size=(h, h)), rng.normal(size=(k, k))

    def document(i, j):
        terms = [(i - p + 1, j - q + 1, p, q) for p in range(1, k + 1) for q in range(1, k + 1)]
        return sum(x[r - 1, c - 1] * w[p - 1, q - 1] for r, c, p, q in terms if r >= 1 and c >= 1)

    image, kernel = x[None, :, :, None], w[:, :, None, None]
    valid = ops.conv2d(image, kernel)[0, :, :, 0]
    for a, b in np.ndindex(valid.shape):
        assert valid[a, b] == pytest.approx(document(a + k, b + k))
    everything = ops.conv2d(image, kernel, padding=((k - 1, 0), (k - 1, 0)))[0, :, :, 0]
    for i, j in np.ndindex(h, h):
        assert everything[i, j] == pytest.approx(document(i + 1, j + 1))


@given(n=st.integers(1, 12), k=st.integers(1, 5), s=st.integers(1, 3), d=st.integers(1, 2))
def test_same_padding_gives_ceil_n_over_s_with_the_extra_pixel_at_the_end(n, k, s, d):
    before, after = same_padding(n, k, s, d)
    reach = (math.ceil(n / s) - 1) * s + (k - 1) * d + 1  # the last pixel that a window touches
    assert before + n + after == max(reach, n)
    assert after - before in (0, 1)
    image = np.ones((1, n, 1, 1))
    if before + n + after >= (k - 1) * d + 1:
        y = ops.correlate2d(image, np.ones((k, 1, 1, 1)), stride=(s, 1), dilation=(d, 1), padding="same")
        assert y.shape[1] == math.ceil(n / s)


def test_convolutions_say_what_does_not_fit():
    x, w = np.ones((1, 5, 5, 3)), np.ones((3, 3, 2, 4))
    with pytest.raises(ValueError, match=r"correlate2d: x has 3 channels, but w .* takes 2 x 1 groups"):
        ops.correlate2d(x, w)
    with pytest.raises(ValueError, match=r"a kernel of 7 .* does not fit into 5 pixels"):
        ops.conv2d(x, np.ones((7, 7, 3, 1)))
    with pytest.raises(ValueError, match="padding='reflect': expected 'valid', 'same'"):
        ops.conv2d(x, np.ones((3, 3, 3, 1)), padding="reflect")


# ---- pooling and ties ----------------------------------------------------------------------------------------------


def test_ties_of_pooling_go_to_the_first_in_row_major_order():
    x = np.array([[1.0, 5.0, 5.0], [5.0, 2.0, 5.0]])[None, :, :, None]
    _, saved = ops.max_pool2d.forward(x, size=(2, 3))
    (dx,) = ops.max_pool2d.backward(np.full((1, 1, 1, 1), 7.0), saved)
    np.testing.assert_array_equal(dx[0, :, :, 0], [[0, 7, 0], [0, 0, 0]])
    (dx,) = ops.max.backward(np.array(1.0), ops.max.forward(x[0, :, :, 0], axis=(0, 1))[1])
    np.testing.assert_array_equal(dx, [[0, 1, 0], [0, 0, 0]])


@given(st.data())
def test_average_pooling_leaves_the_padding_out(data):
    """The mean of ones is one, also at the border; and all of dy comes back."""
    (x,), constants = ops.average_pool2d.samples(HypothesisDraw(data))
    y, saved = ops.average_pool2d.forward(np.ones_like(x), **constants)
    np.testing.assert_allclose(y, 1)
    (dx,) = ops.average_pool2d.backward(np.ones_like(y), saved)
    assert dx.sum() == pytest.approx(y.size)


def test_nan_stays_nan():
    x = np.full((1, 2, 2, 1), np.nan)
    assert np.isnan(ops.relu(np.array([np.nan]))).all()
    assert np.isnan(ops.max_pool2d(x)).all()
    one = np.array([0.0, np.nan, 1.0])
    for op in (ops.sigmoid, ops.tanh, ops.softmax, ops.leaky_relu, ops.softplus, ops.silu):
        assert np.isnan(op(one)[1]), op.name
    image = np.zeros((1, 2, 2, 1))
    image[0, 1, 0, 0] = np.nan
    assert np.isnan(ops.max_pool2d(image)).all()


# ---- extreme values ------------------------------------------------------------------------------------------------


def test_relu_has_gradient_zero_at_zero():
    (dx,) = ops.relu.backward(np.ones(3), ops.relu.forward(np.array([-1.0, 0.0, 1.0]))[1])
    np.testing.assert_array_equal(dx, [0, 0, 1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_survive_extreme_values(dtype):
    x = np.array([-1e4, -800, -90, 0, 90, 800, 1e4], dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        np.testing.assert_array_equal(ops.sigmoid(x)[[0, 1, 3, 5, 6]], np.array([0, 0, 0.5, 1, 1], dtype))
        np.testing.assert_array_equal(ops.tanh(x)[[0, -1]], [-1, 1])
        np.testing.assert_array_equal(ops.softplus(x)[[0, -1]], [0, 1e4])
        np.testing.assert_array_equal(ops.softmax(x), [0, 0, 0, 0, 0, 0, 1])
        np.testing.assert_array_equal(ops.log_softmax(x)[-1], 0)
        assert np.isfinite(ops.log_softmax(x)).all()
        assert np.isfinite(ops.elu(x)).all()
        assert np.isfinite(ops.silu(x)).all()


def gradient(op, x, **constants):
    y, saved = op.forward(x, **constants)
    return op.backward(np.ones_like(y), saved)[0]


def test_fused_losses_keep_the_gradient_of_a_confident_mistake():
    z, target = np.array([[40.0]]), np.array([[0.0]])
    assert ops.sigmoid_binary_crossentropy(z, target=target) == 40
    assert gradient(ops.sigmoid_binary_crossentropy, z, target=target) == 1
    p = ops.sigmoid(z)
    assert ops.binary_crossentropy(p, target=target) == pytest.approx(15.94, abs=0.2)  # clipped,
    assert gradient(ops.binary_crossentropy, p, target=target) == 0  # so it never learns
    scores, labels = np.array([[1e4, 0.0, -1e4]]), np.array([2])
    assert ops.sparse_softmax_crossentropy(scores, labels=labels) == 2e4
    np.testing.assert_array_equal(gradient(ops.sparse_softmax_crossentropy, scores, labels=labels), [[1, 0, -1]])


def test_the_softmax_crossentropies_agree():
    rng = np.random.default_rng(0)
    z, labels, weight = rng.normal(size=(5, 4)), rng.integers(0, 4, 5), rng.random(5)
    target = np.eye(4)[labels]
    fused = ops.softmax_crossentropy(z, target=target, weight=weight)
    assert fused == pytest.approx(ops.sparse_softmax_crossentropy(z, labels=labels, weight=weight))
    assert fused == pytest.approx(ops.categorical_crossentropy(ops.softmax(z), target=target, weight=weight))


LOSSES = [op for op in TABLE.values() if "target" in op.signature.parameters]


@pytest.mark.parametrize("op", LOSSES, ids=lambda op: op.name)
def test_losses_never_broadcast(op):
    with pytest.raises(ValueError, match=rf"{op.name}: target has shape \(3,\), expected"):
        op(np.full((3, 1), 0.5), target=np.ones(3))
    with pytest.raises(ValueError, match=rf"{op.name}: weight has shape \(2,\)"):
        op(np.full((3, 2), 0.5), target=np.ones((3, 2)), weight=np.ones(2))


def test_ids_and_labels_are_checked():
    table, scores = np.ones((4, 2)), np.ones((3, 4))
    with pytest.raises(TypeError, match="embedding: ids are float64, expected integers"):
        ops.embedding(table, ids=np.array([0.0]))
    with pytest.raises(IndexError, match="embedding: ids reach from 0 to 4, expected 0 to 3"):
        ops.embedding(table, ids=np.array([0, 4]))
    with pytest.raises(ValueError, match="labels reach from 0 to 4, expected 0 to 3"):
        ops.sparse_softmax_crossentropy(scores, labels=np.array([0, 4, 1]))
    with pytest.raises(TypeError, match="labels are float64, expected integers"):
        ops.sparse_softmax_crossentropy(scores, labels=np.array([0.0, 1.0, 2.0]))


def test_a_masked_step_copies_the_state():
    rng = np.random.default_rng(0)
    x, h0, w_xh, w_hh, b = rng.normal(size=(1, 4, 2)), *(rng.normal(size=s) for s in ((1, 3), (2, 3), (3, 3), (3,)))
    mask = np.array([[True, False, True, True]])
    y = ops.simple_rnn(x, h0, w_xh, w_hh, b, mask=mask)
    np.testing.assert_array_equal(y[:, 1], y[:, 0])
    short = ops.simple_rnn(x[:, [0, 2, 3]], h0, w_xh, w_hh, b)
    np.testing.assert_allclose(y[:, [0, 2, 3]], short)


def reset_before_step(x, h, w, u, b):
    """One step of the GRU whose reset gate comes before the product, of small ops."""
    units = h.shape[1]
    scores, gates = ops.dense(x, w, b), h @ u[:, : 2 * units]
    z, r = (ops.sigmoid(scores[:, k : k + units] + gates[:, k : k + units]) for k in (0, units))
    g = ops.tanh(scores[:, 2 * units :] + (r * h) @ u[:, 2 * units :])
    return z * h + (1 - z) * g


SEQUENCES = [(ops.simple_rnn, ops.simple_rnn_step), (ops.lstm, ops.lstm_step), (ops.gru, ops.gru_step)]
SEQUENCES += [(ops.gru_reset_before, reset_before_step)]
EVERY_SEQUENCE = pytest.mark.parametrize(("op", "step"), SEQUENCES, ids=[op.name for op, _ in SEQUENCES])


@EVERY_SEQUENCE
@pytest.mark.parametrize("masked", [False, True])
def test_a_sequence_is_its_steps(op, step, masked):
    """Forward and backward of a whole sequence against the tape of its steps; padding before, between and after them."""
    rng = np.random.default_rng(0)
    arrays, _ = op.samples(RandomDraw(3))
    arrays = [rng.normal(size=(3, *a.shape[1:])) if n in ("x", "h0", "c0") else a for n, a in zip(op.arrays, arrays, strict=True)]
    mask = rng.random((3, arrays[0].shape[1])) < 0.5 if masked else None
    x, *states, w, u, b = tensors = [tinydx.Tensor(a, requires_grad=True) for a in arrays]
    outputs_ = []
    for t in range(x.shape[1]):
        new = outputs(step(x[:, t], *states, w, u, b))
        real = np.ones((3, 1)) if mask is None else mask[:, t, None].astype(float)
        states = [n * real + s * (1 - real) for n, s in zip(new, states, strict=True)]
        outputs_.append(states[0])
    y, saved = op.forward(*arrays, mask=mask)
    dys = cotangents(y, rng)
    total = sum((state * dy).sum() for state, dy in zip(outputs_, outputs(dys)[0].swapaxes(0, 1), strict=True))
    for state, dy in zip(states[1:], outputs(dys)[1:], strict=True):
        total = total + (state * dy).sum()
    total.backward()
    for t, state in enumerate(outputs_):
        np.testing.assert_allclose(state.data, outputs(y)[0][:, t], atol=1e-14)
    for tensor, gradient_ in zip(tensors, op.backward(dys, saved), strict=True):
        np.testing.assert_allclose(tensor.grad, gradient_, atol=1e-12)


@EVERY_SEQUENCE
def test_a_sequence_computes_the_gradients_that_are_needed(op, step):
    arrays, constants = op.samples(RandomDraw(0))
    y, saved = op.forward(*arrays, **constants)
    dys = cotangents(y, np.random.default_rng(0))
    everything, count = op.backward(dys, saved), len(arrays)
    for needs in ((False, *(True,) * (count - 1)), (True, *(True,) * (count - 4), *(False,) * 3), (True,) * count):
        gradients = op.backward(dys, saved, needs)
        for gradient_, right, needed in zip(gradients, everything, needs, strict=True):
            assert (gradient_ is None) == (not needed)
            assert gradient_ is None or np.array_equal(gradient_, right)
