"""The gradient checker itself: it must fail on wrong gradients, name the mistakes, and never blame right gradients."""

import json
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from draws import HypothesisDraw
from hypothesis import given, settings
from hypothesis import strategies as st

import tinydx
from tinydx import Tensor, gradcheck, layers, models, ops
from tinydx.gradcheck.check import check
from tinydx.gradcheck.subject import like, of_op, slip_gradients
from tinydx.op import TABLE, RandomDraw
from tinydx.testing import assert_gradients

OPS = [op for op in TABLE.values() if op.backward]
DIFFERENTIABLE = pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
SLIPS = [(op, slip) for op in OPS for slip in op.slips]
REPEATED = {op.name for op in OPS if op.parts} | {"lstm", "gru", "gru_reset_before"}  # ops made of others, or of their step
SIMPLE = [op for op in OPS if op.name not in REPEATED]


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# ---- wrong gradients are caught and named --------------------------------------------------------------------------


@pytest.mark.parametrize(("op", "slip"), SLIPS, ids=[f"{op.name}-{slip.name}" for op, slip in SLIPS])
def test_every_slip_is_caught_and_named(op, slip):
    report = gradcheck(op, seed=0, backward=slip.backward)
    assert not report, "not caught"
    assert slip.name in report.mistakes.values(), f"named {report.mistakes}"
    assert slip.advice in str(report) or slip.name not in [a.mistake.name for a in report.arguments if a.mistake]


@DIFFERENTIABLE
def test_no_two_slips_are_the_same(op):
    """Slips of different names make different gradients on some draw."""
    answers = {slip: [] for slip in op.slips}
    for seed in range(24):
        arrays, constants = op.samples(RandomDraw(seed, whole=seed % 3 == 2))
        subject = of_op(op, arrays, constants, None)
        dys = [draw(*np.shape(y), seed=seed) for y in subject.run(subject.arrays)[0]]
        y, saved = op.forward(*arrays, **constants)
        right = op.backward(like(y, dys), saved)
        for slip in op.slips:
            with np.errstate(all="ignore"):
                wrong = slip_gradients(op, slip, subject, dys)
            answers[slip].append([np.asarray(r if g is None else g) for r, g in zip(right, wrong, strict=True)])
    for a in op.slips:
        for b in op.slips:
            assert a.name == b.name or _differ(answers[a], answers[b]), f"{a.name!r} and {b.name!r} are one"


def _differ(some, others):
    pairs = [(a, b) for draws in zip(some, others, strict=True) for a, b in zip(*draws, strict=True)]
    return any(a.shape != b.shape or not np.allclose(a, b, equal_nan=True) for a, b in pairs)


@DIFFERENTIABLE
@settings(max_examples=8)  # of each op: 560 and more in all
@given(data=st.data())
def test_a_gradient_wrong_by_a_thousandth_is_caught(op, data):
    """One argument's gradient off by 0.1 %, everywhere or in its largest number alone."""
    arrays, constants = op.samples(HypothesisDraw(data))
    k = data.draw(st.integers(0, len(arrays) - 1))
    everywhere = data.draw(st.booleans())

    def nearly(dy, *, saved):
        gradients = [np.array(g) for g in op.backward(dy, saved)]
        if everywhere:
            gradients[k] = gradients[k] * 1.001
        else:
            gradients[k].flat[np.argmax(np.abs(gradients[k]))] *= 1.001
        return tuple(gradients)

    with patch("tinydx.gradcheck.check.SECONDS", 0.02):  # no mistake has this name: the search takes the whole time that it gets
        report = gradcheck(op, *arrays, backward=nearly, seed=1, **constants)
    true = report.arguments[k].true
    assert not report or not true.any(), f"{op.name}, argument {k}"  # a gradient of zeros has nothing to be off by
    assert [a.ok for i, a in enumerate(report.arguments) if i != k] == [True] * (len(arrays) - 1)


def test_ones_as_cotangent_would_be_blind():
    """Each row of softmax adds up to one, so with dy = 1 the gradient of zero looks right: dy has to be random."""
    x = draw(3, 4)
    y, saved = ops.softmax.forward(x)
    np.testing.assert_allclose(ops.softmax.backward(np.ones_like(y), saved)[0], 0, atol=1e-15)
    report = gradcheck(ops.softmax, x, backward=lambda dy, y: np.zeros_like(y))
    assert report.mistakes == {"x": "zero"}


# ---- right gradients are never blamed ------------------------------------------------------------------------------


def test_right_gradients_are_never_blamed(proof):
    """10,000 draws over the table in the profile `proof`, including ties and zeros; fewer of ops made of others."""
    for seed in range(10_000 // len(SIMPLE) + 1 if proof else 8):
        for op in OPS if seed < 8 else SIMPLE:
            arrays, constants = op.samples(RandomDraw(1000 + seed, whole=seed % 2 == 1))
            report = check(of_op(op, arrays, constants, None), seed, every_element=seed % 4 < 2)
            assert report, str(report)


def conv_by_columns(dy, x, w, b, *, stride, padding, dilation, groups):
    """The gradients of conv2d by a matrix of all patches (im2col), built from indices."""
    (_, h, wd, _), (kh, kw, c, f) = x.shape, w.shape
    (sh, sw), (dh, dw_), (_, oh, ow, _) = ops.convolution.pair(stride), ops.convolution.pair(dilation), dy.shape
    (top, bottom), (left, right) = ops.convolution.padding_2d(padding, (h, wd), (kh, kw), (sh, sw), (dh, dw_))
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    rows = sh * np.arange(oh)[:, None] + dh * (kh - 1 - np.arange(kh))
    columns = sw * np.arange(ow)[:, None] + dw_ * (kw - 1 - np.arange(kw))
    at = np.s_[:, rows[:, None, :, None], columns[None, :, None, :]]  # (N, OH, OW, kh, kw, C)
    dx, dw = np.zeros_like(padded), np.zeros_like(w)
    for g in range(groups):
        xs, fs = slice(g * c, (g + 1) * c), slice(g * f // groups, (g + 1) * f // groups)
        dw[..., fs] = np.einsum("nijpqc,nijf->pqcf", padded[..., xs][at], dy[..., fs])
        np.add.at(dx[..., xs], at, np.einsum("pqcf,nijf->nijpqc", w[..., fs], dy[..., fs]))
    return dx[:, top : top + h, left : left + wd], dw, dy.reshape(-1, f).sum(0)


def conv_as_correlation_of_dy(dy, x, w):
    """For stride 1 and no padding: dx is dy correlated with w over a full border; dw is x convolved with dy."""
    kh, kw = w.shape[:2]
    border = ((kh - 1, kh - 1), (kw - 1, kw - 1))
    dx = ops.correlate2d(dy, w.swapaxes(2, 3), padding=border)
    dw = ops.correlate2d(x.transpose(3, 1, 2, 0), dy.transpose(1, 2, 0, 3))
    return dx, dw.transpose(1, 2, 0, 3)[::-1, ::-1]


def pool_by_windows(dy, x, *, size, stride, padding):
    """Max pooling, window by window; np.argmax takes the first of the ties."""
    (kh, kw), (sh, sw), ((top, bottom), (left, right)), _ = ops.pooling._geometry(x, size, stride, padding)
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=-np.inf)
    dx = np.zeros_like(padded)
    for n, i, j, c in np.ndindex(dy.shape):
        p, q = divmod(int(np.argmax(padded[n, i * sh : i * sh + kh, j * sw : j * sw + kw, c])), kw)
        dx[n, i * sh + p, j * sw + q, c] += dy[n, i, j, c]
    return dx[:, top : top + x.shape[1], left : left + x.shape[2]]


def pool_sharing_ties(dy, x, *, size, stride, padding):
    """Max pooling where ties share the gradient: as right as giving it to the first, where there are ties."""
    (kh, kw), (sh, sw), ((top, bottom), (left, right)), _ = ops.pooling._geometry(x, size, stride, padding)
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=-np.inf)
    dx = np.zeros_like(padded)
    for n, i, j, c in np.ndindex(dy.shape):
        window = np.s_[n, i * sh : i * sh + kh, j * sw : j * sw + kw, c]
        largest = padded[window] == padded[window].max()
        dx[window] += dy[n, i, j, c] * largest / largest.sum()
    return dx[:, top : top + x.shape[1], left : left + x.shape[2]]


def softmax_by_jacobian(dy, y, axis):
    p, d = np.moveaxis(y, axis, -1), np.moveaxis(dy, axis, -1)
    jacobian = np.einsum("...k,kl->...kl", p, np.eye(p.shape[-1])) - p[..., :, None] * p[..., None, :]
    return np.moveaxis(np.einsum("...kl,...l->...k", jacobian, d), -1, axis)


def softmax_by_quotient_rule(dy, x, axis):
    e = np.exp(x - x.max())
    total = e.sum(axis, keepdims=True)
    return dy * e / total - e * (dy * e).sum(axis, keepdims=True) / total**2


def norm_by_steps(dy, x, gamma, beta, eps):
    """Batch normalisation back through every step of its forward, as in old lecture notes."""
    rest = tuple(range(x.ndim - 1))
    n = x.size // x.shape[-1]
    centred = x - x.mean(rest)
    root = np.sqrt((centred**2).sum(rest) / n + eps)
    dnormal = dy * gamma
    dvariance = (-(dnormal * centred).sum(rest) / root**2) * 0.5 / root
    dcentred = dnormal / root + 2 * centred * dvariance / n
    return dcentred - dcentred.sum(rest) / n, (dy * centred / root).sum(rest), dy.sum(rest)


def rnn_step_by_step(dy, x, h0, w_xh, w_hh, b, y, mask=None):
    """Backpropagation through time without any of the engine's shortcuts."""
    dx, dh = np.zeros_like(x), np.zeros_like(h0)
    dwx, dwh, db = np.zeros_like(w_xh), np.zeros_like(w_hh), np.zeros_like(b)
    for t in range(x.shape[1] - 1, -1, -1):
        dh = dh + dy[:, t]
        m = np.ones((len(x), 1)) if mask is None else mask[:, t, None]
        dz = dh * m * (1 - y[:, t] ** 2)
        before = y[:, t - 1] if t else h0
        dx[:, t], dwx, dwh, db = dz @ w_xh.T, dwx + x[:, t].T @ dz, dwh + before.T @ dz, db + dz.sum(0)
        dh = dz @ w_hh.T + dh * (1 - m)
    return dx, dh, dwx, dwh, db


VARIANTS = [
    (ops.conv2d, conv_by_columns),
    (ops.max_pool2d, pool_by_windows),
    (ops.max_pool2d, pool_sharing_ties),
    (ops.softmax, softmax_by_jacobian),
    (ops.softmax, softmax_by_quotient_rule),
    (ops.batch_normalization, norm_by_steps),
    (ops.simple_rnn, rnn_step_by_step),
    (ops.embedding, lambda dy, table, ids: np.eye(len(table))[ids.ravel()].T @ dy.reshape(ids.size, -1)),
    (ops.relu, lambda dy, x: np.where(x >= 0, dy, 0)),  # at zero, 1 is as right as 0
    (ops.tanh, lambda dy, x: dy / np.cosh(x) ** 2),
    (ops.sigmoid, lambda dy, x: dy / (np.exp(x) + 2 + np.exp(-x))),
    (ops.sigmoid_binary_crossentropy, lambda dy, saved: dy * saved[0] * saved[1] / saved[2]),
]


@pytest.mark.parametrize(("op", "variant"), VARIANTS, ids=[f"{o.name}-{v.__name__}" for o, v in VARIANTS])
def test_other_right_backwards_are_not_blamed(op, variant):
    for seed in range(4):
        report = gradcheck(op, backward=variant, seed=10 * seed)
        assert report, str(report)


def test_a_convolution_by_correlation_is_not_blamed():
    report = gradcheck(ops.conv2d, draw(2, 6, 5, 3), draw(3, 2, 3, 2), backward=conv_as_correlation_of_dy, seed=0)
    assert report, str(report)


def test_a_correct_gradient_with_a_bug_that_makes_no_difference_is_right():
    """With one example, averaging over the batch makes no difference: such data cannot show the mistake."""
    averaging = next(s for s in ops.conv2d.slips if s.name == "averaged over the batch").backward
    assert gradcheck(ops.conv2d, draw(1, 4, 4, 1), draw(2, 2, 1, 1), draw(1), backward=averaging)
    assert not gradcheck(ops.conv2d, draw(2, 4, 4, 1), draw(2, 2, 1, 1), draw(1), backward=averaging)


# ---- kinks and ties ------------------------------------------------------------------------------------------------


def test_kinks_are_named_and_not_failed():
    report = gradcheck(ops.relu, np.array([[0.0, 1.0], [-2.0, 3.0]]))
    assert report
    assert report["x"].notes == ["not differentiable here: x[0, 0] = 0"]
    report = gradcheck(ops.mean_absolute_error, np.array([1.0, 2.0]), target=np.array([1.0, 3.0]))
    assert report
    assert report["y"].notes == ["not differentiable here: y[0] = target[0]"]


def test_ties_are_named_and_any_of_them_may_get_the_gradient():
    x = np.array([[1.0, 5.0], [5.0, 2.0]])[None, :, :, None]
    right = gradcheck(ops.max_pool2d, x)
    assert right
    assert right["x"].notes == ["not differentiable here: x[0, 0, 1, 0] = x[0, 1, 0, 0]"]
    for share in (0.25, 1.0):

        def backward(dy, x, share=share):
            return dy * np.array([[0, share], [1 - share, 0]])[None, :, :, None]

        assert gradcheck(ops.max_pool2d, x, backward=backward)


def test_any_of_the_ties_may_get_the_gradient_and_a_note_says_so():
    """Calculus allows any tied pixel; the engine takes the first, which is its own rule."""
    x = np.array([[1.0, 5.0], [5.0, 2.0]])[None, :, :, None]
    for share in (0.0, 0.5):
        backward = np.array([[0.0, share], [1 - share, 0.0]])[None, :, :, None]
        report = gradcheck(ops.max_pool2d, x, backward=lambda dy, to=backward: dy * to)
        assert report.verdict == "right"
        assert "both are right" in report["x"].notes[-1]


def test_ties_must_add_up():
    """Giving each of two ties all of the gradient is a mistake."""
    x = np.array([[1.0, 5.0], [5.0, 2.0]])[None, :, :, None]
    report = gradcheck(ops.max_pool2d, x, backward=lambda dy, x: dy * (x == x.max()), seed=0)
    assert report.mistakes == {"x": "every tied pixel gets all of it"}
    assert any("tied at 5" in note for note in report["x"].notes)


def test_close_to_a_kink_there_is_one_right_answer():
    """Differences would give 0.505 and 0.495; the complex step gives 1 and 0."""
    x = np.array([1e-7, -1e-7])
    assert gradcheck(ops.relu, x)
    assert not gradcheck(ops.relu, x, backward=lambda dy, y: dy * np.array([0.505, 0.495]))
    assert gradcheck(ops.relu, x)["x"].notes == []


def test_a_mistake_elsewhere_is_not_hidden_by_kinks():
    x = np.array([0.0, 0.0, 1.0, -1.0])
    report = gradcheck(ops.relu, x, backward=lambda dy, x: dy * np.array([0, 0, 1, 1]))
    assert (report["x"].wrong, report["x"].worst.index) == (1, (3,))


# ---- the rules that every backward keeps ---------------------------------------------------------------------------


def problems(backward, x=None, op=ops.tanh):
    return [p.name for p in gradcheck(op, draw(3, 4) if x is None else x, backward=backward, seed=0).problems]


def test_a_backward_must_not_change_what_it_gets():
    def changes_x(dy, x):
        x *= 2
        return dy * (1 - np.tanh(x / 2) ** 2)

    def changes_dy(dy, y):
        dy *= 1 - y**2
        return dy

    report = gradcheck(ops.tanh, draw(3), backward=changes_x)
    assert not report
    assert "x changed during the call" in str(report)
    assert problems(changes_dy) == ["inputs changed"]


def test_a_backward_must_answer_the_same_twice():
    total = np.zeros((3, 4))

    def accumulates(dy, y):
        total[...] += dy * (1 - y**2)
        return total.copy()

    assert problems(accumulates) == ["not the same twice"]


def test_a_backward_must_be_linear():
    assert problems(lambda dy, y: dy * (1 - y**2) + 1e-3) == ["zero in, not zero out"]
    assert problems(lambda dy, y: dy * (1 - y**2) * (1 + 1e-3 * np.sign(dy))) == ["not linear in dy"]
    assert problems(lambda dy, y: dy * (1 - y**2)) == []


def test_the_number_of_gradients():
    report = gradcheck(ops.dense, draw(2, 3), draw(3, 2), draw(2), backward=lambda dy, x, w: (dy @ w.T, x.T @ dy))
    assert [p.name for p in report.problems] == ["wrong number of gradients"]
    assert "expected a tuple of 3: (dx, dw, db)" in str(report)
    assert [a.ok for a in report.arguments] == [True, True, False]
    assert "one array" in str(gradcheck(ops.dense, draw(2, 3), draw(3, 2), backward=lambda dy, w: dy @ w.T))
    assert gradcheck(ops.dense, draw(2, 3), draw(3, 2)), "the table's backward also returns a db that nobody asked for"


# ---- patterns that any gradient can show ---------------------------------------------------------------------------


def dense(dx=None, dw=None, db=None):
    """The mistakes found when these replace the right gradients of a dense layer."""

    def backward(dy, x, w, b):
        right = dy @ w.T, x.T @ dy, dy.sum(0)
        return tuple(r if f is None else f(r, dy, x, w) for r, f in zip(right, (dx, dw, db), strict=True))

    report = gradcheck(ops.dense, draw(5, 3), draw(3, 4), draw(4), backward=backward, seed=0)
    assert not report
    return report.mistakes


PATTERNS = [
    ("zero", "w", {"dw": lambda g, dy, x, w: 0 * g}),
    ("sign", "x", {"dx": lambda g, dy, x, w: -g}),
    ("None", "b", {"db": lambda g, dy, x, w: None}),
    ("NaN", "w", {"dw": lambda g, dy, x, w: g / np.where(g > 0, 1, np.nan)}),
    ("infinite", "w", {"dw": lambda g, dy, x, w: g * np.array([1, np.inf, 1, 1])}),
    ("counted twice, or a half forgotten", "w", {"dw": lambda g, dy, x, w: 2 * g}),
    ("factor 2 forgotten", "w", {"dw": lambda g, dy, x, w: g / 2}),
    ("constant factor", "w", {"dw": lambda g, dy, x, w: 0.3 * g}),
    ("averaged over the batch", "x", {"dx": lambda g, dy, x, w: g / len(x)}),
    ("averaged over axes (1,) of dy", "x", {"dx": lambda g, dy, x, w: g / dy.shape[1]}),
    ("transposed", "x", {"dx": lambda g, dy, x, w: g.T}),
    ("batch sum forgotten", "b", {"db": lambda g, dy, x, w: dy}),
    ("summed too much", "w", {"dw": lambda g, dy, x, w: g.sum(0)}),
    ("reshape forgotten", "w", {"dw": lambda g, dy, x, w: g.ravel()}),
    ("reshape instead of transpose", "w", {"dw": lambda g, dy, x, w: (dy.T @ x).reshape(3, 4)}),
    ("border not removed", "x", {"dx": lambda g, dy, x, w: np.pad(g, 1)}),
    ("gradients in the wrong order", "x", {"dx": lambda g, dy, x, w: x.T @ dy, "dw": lambda g, dy, x, w: dy @ w.T}),
    ("wrong shape", "w", {"dw": lambda g, dy, x, w: np.ones(7)}),
    ("float32", "w", {"dw": lambda g, dy, x, w: g.astype(np.float32)}),
    ("float32", "w", {"dw": lambda g, dy, x, w: g.astype(np.float32).astype(float)}),
    ("wrong dtype", "b", {"db": lambda g, dy, x, w: np.zeros(4, int)}),
    ("no array of numbers", "b", {"db": lambda g, dy, x, w: "gradient"}),
    ("almost right", "w", {"dw": lambda g, dy, x, w: g * (1 + 1e-5 * x.T[:, :1])}),
    ("dy forgotten", "x", {"dx": lambda g, dy, x, w: np.ones_like(dy) @ w.T}),
    ("one example only", "b", {"db": lambda g, dy, x, w: dy[2]}),
    ("one example left out", "w", {"dw": lambda g, dy, x, w: x[:-1].T @ dy[:-1]}),
    ("dy read backwards", "w", {"dw": lambda g, dy, x, w: x.T @ dy[::-1]}),
    ("off by one", "w", {"dw": lambda g, dy, x, w: x[1:].T @ dy[:-1]}),
    ("rotated by 180 degrees", "w", {"dw": lambda g, dy, x, w: g[::-1, ::-1]}),
    ("flipped", "w", {"dw": lambda g, dy, x, w: g[::-1]}),
    ("shifted", "w", {"dw": lambda g, dy, x, w: np.roll(g, 1, axis=0)}),
    ("part left at zero", "w", {"dw": lambda g, dy, x, w: g * [[1], [1], [0]]}),
    ("one index only", "w", {"dw": lambda g, dy, x, w: g * [[0], [1], [0]]}),
    ("a factor for each index", "w", {"dw": lambda g, dy, x, w: g * [1, 2, 3, 4]}),
    ("factor w too many", "w", {"dw": lambda g, dy, x, w: g * w}),
    (None, "b", {"db": lambda g, dy, x, w: (dy * dy).sum(0)}),
    (None, "w", {"dw": lambda g, dy, x, w: g + g[::-1]}),
    ("blocks in another order", "w", {"dw": lambda g, dy, x, w: g[:, [2, 3, 0, 1]]}),
    ("a common term", "w", {"dw": lambda g, dy, x, w: g + 0.5 * dy.sum()}),
    ("clipped", "w", {"dw": lambda g, dy, x, w: np.clip(g, -1, 1)}),
    (
        "right numbers in wrong places",
        "w",
        {"dw": lambda g, dy, x, w: g.ravel()[[3, 1, 0, 2, *range(4, 12)]].reshape(3, 4)},
    ),
]


@pytest.mark.parametrize(("name", "argument", "mistakes"), PATTERNS, ids=[f"{n}-{a}" for n, a, _ in PATTERNS])
def test_patterns_are_named(name, argument, mistakes):
    assert dense(**mistakes)[argument] == name


def test_an_output_that_hands_nothing_back():
    """As in an LSTM step whose backward forgets the gradient of its cell state."""

    def forward(x, w):
        return (np.tanh(x @ w), x * x), None

    def backward(dys, x, w, y):
        dz = dys[0] * (1 - y[0] ** 2)
        return dz @ w.T, x.T @ dz

    report = gradcheck((forward, backward), draw(3, 4), draw(4, 4, seed=1), seed=0)
    assert report.mistakes == {"x": "one output forgotten"}
    assert "output 1" in str(report)


def test_assignment_where_terms_meet():
    def backward(dy, x, w):
        dx = np.zeros_like(x)
        for i in range(dy.shape[1]):
            dx[:, i : i + 2] = dy[:, i : i + 1] * w
        return dx

    def forward(x, w):
        return x[:, :-1] * w[0] + x[:, 1:] * w[1]

    report = gradcheck((forward, backward), draw(3, 6), draw(2), wrt=("x",), seed=0)
    assert report.mistakes["x"].startswith("= instead of +=")


def test_two_mistakes_in_one_gradient_stay_without_a_name():
    def backward(dy, x, w, b):
        dx, dw, db = ops.conv2d.backward(dy, ops.conv2d.forward(x, w, b)[1])
        return dx, dw[::-1, ::-1] / len(x), db  # rotated and averaged

    report = gradcheck(ops.conv2d, draw(2, 5, 5, 2), draw(3, 3, 2, 2), draw(2), backward=backward, seed=0)
    assert report.mistakes == {"w": None}
    text = str(report)
    assert "no known pattern" in text
    assert "kh x kw" in text, "the map shows where"


def test_one_mistake_in_each_of_two_gradients():
    def backward(dy, x, w, b):
        dx, dw, db = ops.conv2d.backward(dy, ops.conv2d.forward(x, w, b)[1])
        return dx, dw[::-1, ::-1], db / len(x)

    report = gradcheck(ops.conv2d, draw(2, 5, 5, 2), draw(3, 3, 2, 2), draw(2), backward=backward, seed=0)
    assert report.mistakes == {"w": "kernel rotated by 180 degrees", "b": "averaged over the batch"}


def test_the_example_of_the_lesson():
    """With two images dw is exactly 0.5 times the truth: the number, and the question that helps."""
    slip = next(s for s in ops.conv2d.slips if s.name == "averaged over the batch")
    report = gradcheck(ops.conv2d, draw(2, 5, 5, 2), draw(3, 3, 2, 3), draw(3), backward=slip.backward, seed=0)
    assert report["x"].ok
    assert report["w"].wrong == report["w"].checked == 54
    advice = [d.advice for d in report["w"].mistakes]
    assert "dy already carries the 1/N" in advice[0]


# ---- subjects ------------------------------------------------------------------------------------------------------


def test_a_function_of_tensors():
    report = gradcheck(lambda x, w: ops.tanh(x @ w).mean(), draw(3, 4), draw(4, 2))
    assert report
    assert [a.name for a in report.arguments] == ["x", "w"]
    assert report.method == "complex step"
    assert gradcheck(lambda *parts, axis: ops.concatenate(*parts, axis=axis), draw(2, 3), draw(2, 1), axis=1)


def test_a_function_whose_op_is_wrong_names_the_op(monkeypatch):
    monkeypatch.setattr(ops.tanh, "backward", lambda dy, y: (dy * (1 - y),))
    with tinydx.use("numpy"):
        report = gradcheck(lambda x, w: ops.sigmoid(ops.tanh(x @ w)), draw(3, 4), draw(4, 2), seed=0)
        layer = gradcheck(layers.Dense(3, activation="tanh"), draw(4, 5), seed=0)
    assert report.mistakes == {"x": "square forgotten", "w": "square forgotten"}
    assert "The mistake is in the op tanh, in dx." in str(report)
    assert set(layer.mistakes.values()) == {"square forgotten"}


def test_the_wrong_op_is_found_on_the_tape_with_its_constants(monkeypatch):
    """The checker runs the op again with the arrays and constants that its node has: here, with the stride."""
    right, found = ops.conv2d.backward, []

    def halved(dy, saved):
        found.append(saved[3])
        return tuple(0.5 * g for g in right(dy, saved))

    monkeypatch.setattr(ops.conv2d, "backward", halved)
    with tinydx.use("numpy"):
        report = gradcheck(lambda x, w: ops.tanh(ops.conv2d(x, w, stride=2)), draw(2, 5, 5, 1), draw(2, 2, 1, 1), seed=0)
    assert set(found) == {(2, 2)}
    assert "The mistake is in the op conv2d, in dx." in str(report)
    assert "op tanh" not in str(report)


def test_a_function_that_cuts_the_tape():
    report = gradcheck(lambda x, w: x @ Tensor(w.data), draw(3, 4), draw(4, 2))
    assert report.mistakes == {"w": "zero"}
    assert "Was the tape cut" in str(report)


def test_a_function_with_several_outputs():
    assert gradcheck(lambda x: (x * x, ops.exp(x).sum()), draw(3))


def test_functions_that_return_arrays_need_a_backward():
    with pytest.raises(TypeError, match="returns ndarray, expected a Tensor"):
        gradcheck(lambda x: x.data * 2, draw(3))
    with pytest.raises(TypeError, match="float is no op, function, layer, model or pair"):
        gradcheck(1.0, draw(3))


def test_a_users_forward_and_backward_are_recognised():
    """A pair that computes the same as an op of the table gets that op's slips."""

    def forward(x, w, b):
        return x @ w + b, (x, w)

    def backward(dy, cache):
        x, w = cache
        return dy @ w.T, x.T @ dy, dy[0]

    report = gradcheck((forward, backward), draw(3, 4), draw(4, 2), draw(2), seed=0)
    assert report.mistakes == {"b": "batch sum forgotten in db"}
    assert report.title == "forward"


def test_what_a_backward_may_ask_for():
    """By name, in any order: saved, y, arrays and constants; a single parameter of unknown name gets saved."""
    x, w = draw(2, 6, 6, 1), draw(2, 2, 1, 1)

    def by_name(grad, w, x, stride):
        assert (x.shape, w.shape, stride) == ((2, 6, 6, 1), (2, 2, 1, 1), 2)
        return ops.conv2d.backward(grad, ops.conv2d.forward(x, w, stride=stride)[1])[:2]

    def keywords(dy, *arrays, **constants):
        return ops.conv2d.backward(dy, ops.conv2d.forward(*arrays, **constants)[1])[:2]

    for backward in (by_name, keywords, lambda g, what_forward_kept: ops.conv2d.backward(g, what_forward_kept)):
        assert gradcheck(ops.conv2d, x, w, stride=2, backward=backward)
    with pytest.raises(TypeError, match=r"backward asks for 'kernel', known are: .* x, w"):
        gradcheck(ops.conv2d, x, w, backward=lambda dy, x, kernel: None)


def test_draws_keep_to_what_a_backward_can_know():
    """A convolution's backward without a stride parameter is only tried with stride 1."""

    def plain(dy, x, w, b):
        return ops.conv2d.backward(dy, ops.conv2d.forward(x, w, b)[1])

    assert gradcheck(ops.conv2d, backward=plain, seed=0)
    assert gradcheck(ops.conv2d, backward=lambda dy, x, w, b, **c: plain_with(dy, x, w, b, c), seed=0)
    assert not gradcheck(ops.conv2d, backward=lambda dy, x, w, b: plain(dy, x, w[::-1], b), seed=0)


def plain_with(dy, x, w, b, constants):
    return ops.conv2d.backward(dy, ops.conv2d.forward(x, w, b, **constants)[1])


def test_only_some_arguments():
    only_dw = gradcheck(ops.dense, draw(2, 3), draw(3, 2), draw(2), wrt=("w",), backward=lambda dy, x: x.T @ dy)
    assert only_dw
    assert [a.name for a in only_dw.arguments] == ["w"]
    two = gradcheck(ops.dense, draw(2, 3), draw(3, 2), draw(2), wrt=("b", "w"), backward=lambda dy, x: (dy.sum(0), x.T @ dy))
    assert two, "in the order of wrt"
    with pytest.raises(ValueError, match="wrt has 'v', but dense only x, w"):
        gradcheck(ops.dense, draw(2, 3), draw(3, 2), wrt=("v",))


LAYERS = [
    (layers.Dense(3, activation="tanh"), draw(4, 5), {}),
    (layers.Conv2D(2, 3, activation="relu", padding="same", strides=2), draw(2, 5, 6, 2), {}),
    (layers.MaxPooling2D(2), draw(2, 4, 5, 2), {}),
    (layers.SimpleRNN(3, return_sequences=True), draw(2, 4, 2), {}),
    (layers.Dropout(0.5), draw(4, 6), {"training": True}),
    (layers.BatchNormalization(), draw(4, 3), {"training": True}),
    (layers.LayerNormalization(), draw(4, 3), {}),
    (layers.Embedding(7, 3), np.array([[1, 2, 2], [0, 1, 6]]), {}),
]


@pytest.mark.parametrize(("layer", "x", "constants"), LAYERS, ids=[type(row[0]).__name__ for row in LAYERS])
def test_layers(layer, x, constants):
    report = gradcheck(layer, x, **constants)
    assert report, str(report)
    assert report.method == "complex step"
    weights = [w.name.rsplit("/")[-1] for w in layer.weights if w.requires_grad]
    assert [a.name for a in report.arguments] == (["x"] if x.dtype.kind == "f" else []) + weights


def test_a_layer_of_several_inputs():
    assert gradcheck(layers.Add(), draw(2, 3), draw(2, 3, seed=1))


def small_model():
    return models.Sequential(
        [
            layers.Conv2D(2, 3, activation="relu", input_shape=(6, 6, 1)),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def test_a_model_with_its_loss_is_left_as_it_was():
    model = small_model()
    model.compile("adam", "binary_crossentropy")
    before = model.get_weights()
    report = gradcheck(model, draw(3, 6, 6, 1), np.array([0.0, 1.0, 1.0]), training=True, seed=0)
    assert report, str(report)
    assert report.method == "complex step"
    assert len(report.arguments) == 1 + len(model.trainable_weights)
    for a, b in zip(before, model.get_weights(), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_a_model_without_targets_is_a_layer():
    assert gradcheck(small_model(), draw(2, 6, 6, 1))


def test_random_draws_are_the_same_in_every_evaluation():
    """Dropout draws one mask for the whole check; after it, random draws continue as if the layer had run once."""
    tinydx.set_seed(3)
    assert gradcheck(lambda x: layers.Dropout(0.5)(x, training=True), draw(5, 5), seed=0)
    after = tinydx.random.generator().random()
    tinydx.set_seed(3)
    layers.Dropout(0.5)(draw(5, 5), training=True)
    assert after == tinydx.random.generator().random()


# ---- functions that are not complex-safe ---------------------------------------------------------------------------


def absolute_square(x):
    return np.abs(x) * x


def test_functions_that_are_not_complex_safe_get_differences_and_the_report_says_so():
    report = gradcheck((absolute_square, lambda dy, x: 2 * dy * np.abs(x)), draw(3, 4))
    assert report
    assert "not complex-safe" in str(report)
    wrong = gradcheck((absolute_square, lambda dy, x: dy * np.abs(x)), draw(3, 4))
    assert wrong.mistakes == {"x": "factor 2 forgotten"}
    nearly = gradcheck((absolute_square, lambda dy, x: 2.002 * dy * np.abs(x)), draw(3, 4))
    assert not nearly, "0.1 % are caught by differences, too"


def filled(x):
    """A forward that writes into a float array, as loops do: complex numbers lose their imaginary part."""
    y = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        y[i] = x[i] ** 3
    return y


def test_a_forward_in_loops_works_by_differences():
    report = gradcheck((filled, lambda dy, x: 3 * dy * x**2), draw(3, 2))
    assert report
    assert report.method != "complex step"


def test_differences_know_kinks_too():
    report = gradcheck((lambda x: np.abs(x), lambda dy, x: dy * np.sign(x)), np.array([0.0, 1.0, -2.0]))
    assert report
    assert report["x"].notes == ["not differentiable here: x[0] = 0"]


def test_a_kink_alone_does_not_make_a_function_unsafe():
    report = gradcheck(lambda x: ops.relu(x), np.array([0.0, 1.0, -2.0]))
    assert report
    assert report.method == "complex step"


# ---- inputs --------------------------------------------------------------------------------------------------------


def test_float32_is_an_error_that_says_why():
    with pytest.raises(TypeError, match="float32, and 7 digits cannot tell a wrong gradient from rounding"):
        gradcheck(ops.relu, np.ones(3, np.float32))
    with pytest.raises(TypeError, match="int64, expected float64"):
        gradcheck(ops.relu, np.arange(3))
    assert gradcheck(ops.relu, [1.0, -2.0]), "numbers as they are typed are float64"
    assert gradcheck(ops.relu, Tensor(np.array([1.0, -2.0])))


def test_update_rules_have_no_gradient():
    with pytest.raises(ValueError, match="sgd_update has no backward, nothing is differentiated through it"):
        gradcheck(ops.sgd_update)


def test_the_same_seed_repeats_the_check():
    wrong = ops.tanh.slips[0].backward
    one, two = (gradcheck(ops.tanh, draw(3, 4), backward=wrong, seed=5) for _ in range(2))
    other = gradcheck(ops.tanh, draw(3, 4), backward=wrong)
    assert one["x"].worst == two["x"].worst
    assert other["x"].worst != one["x"].worst, "without a seed the cotangent is new each time"
    again = gradcheck(ops.tanh, draw(3, 4), backward=wrong, seed=other.seed)
    assert again["x"].worst == other["x"].worst


def test_many_numbers_are_sampled_and_a_single_wrong_one_is_still_found():
    arrays = draw(4, 20, 20, 3), draw(3, 3, 3, 4), draw(4)
    report = gradcheck(ops.conv2d, *arrays, seed=0)
    assert report
    assert report["x"].checked < report["x"].got.size
    assert "sampled" in report["x"].notes[0]

    def one_wrong(dy, *, saved):
        dx, dw, db = ops.conv2d.backward(dy, saved)
        dx = dx.copy()
        dx[3, 17, 5, 1] *= 1.001
        return dx, dw, db

    found = gradcheck(ops.conv2d, *arrays, backward=one_wrong, seed=0)["x"]
    assert (found.wrong, found.worst.index) == (1, (3, 17, 5, 1))


# ---- the report ----------------------------------------------------------------------------------------------------


@pytest.fixture
def report():
    def backward(dy, x, w, b):
        dx, dw, db = ops.conv2d.backward(dy, ops.conv2d.forward(x, w, b)[1])
        return dx, dw[::-1, ::-1], np.full_like(db, np.nan)

    return gradcheck(ops.conv2d, draw(2, 5, 5, 2), draw(3, 3, 2, 2), draw(2), backward=backward, seed=0)


def test_the_report_says_what_is_wrong_where_and_why(report):
    text = report.text(unicode=True)
    assert text.splitlines()[0] == "conv2d · 1 of 3 gradients right · complex step · seed 0"
    worst = report["w"].worst
    for part in (
        "100 numbers agree",
        "32 of 36 numbers wrong",
        "kernel rotated by 180 degrees",
        f"dw[{', '.join(map(str, worst.index))}]: yours {worst.got:.6f}   true {worst.expected:.6f}",
        "did you flip the kernel in forward but not here?",
        "kh x kw, C 0",
        "NaN",
    ):
        assert part in text, f"{part!r} is not in\n{text}"
    assert any(block in text for block in "░▒▓█")
    assert not report
    assert report.mistakes == {"w": "kernel rotated by 180 degrees", "b": "NaN"}


def test_the_report_in_ascii(report):
    text = report.text(unicode=False)
    assert text.isascii()
    assert "  ok   dx" in text
    assert "  x    dw" in text
    transposed = next(s for s in ops.dense.slips if s.name == "operand transposed").backward
    assert gradcheck(ops.dense, draw(5, 3), draw(3, 3), draw(3), backward=transposed).text(unicode=False).isascii()


@pytest.mark.parametrize(("encoding", "is_ascii"), [("utf-8", False), ("cp936", True), ("ascii", True), (None, True)])
def test_the_report_follows_the_terminals_encoding(report, monkeypatch, encoding, is_ascii):
    class Terminal:
        pass

    Terminal.encoding = encoding
    monkeypatch.setattr("sys.stdout", Terminal())
    assert str(report).isascii() == is_ascii


def test_the_report_as_data(report):
    data = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert data == report.as_dict()
    assert (data["title"], data["ok"], data["seed"]) == ("conv2d", False, 0)
    x, w, b = data["arguments"]
    assert (x["ok"], x["wrong"], x["checked"], x["mistake"], x["heat"]) == (True, 0, 100, None, [])
    assert w["mistake"]["kind"] == "slip"
    assert len(w["worst"]["index"]) == 4
    assert b["worst"]["got"] == "nan"
    assert {len(row) for panel in w["heat"] for row in panel["rows"]} == {3}


def test_the_report_in_a_notebook(report):
    page = report._repr_html_()
    assert page.count("<table") == 3  # two channels of w, and b
    assert "kernel rotated by 180 degrees" in page
    assert "<script" not in page
    escaped = gradcheck((absolute_square, lambda dy, x: dy), draw(3))
    escaped.title = "<b>"
    assert "&lt;b&gt;" in escaped._repr_html_()


def test_the_reports_figure(report, tmp_path: Path):
    figure = report.figure()
    assert len(figure.axes) == 8  # w and b: yours, true, difference, and the scale
    assert all(axis.get_xlabel() for axis in figure.axes[:6])
    figure.savefig(tmp_path / "report.png")
    assert gradcheck(ops.tanh, draw(3)).figure().axes


def test_a_large_map_shows_the_worst_of_each_cell():
    wrong = np.zeros((4, 40, 50, 3))
    wrong[2, 17, 5, 1] = 1e-3
    report = gradcheck(ops.relu, draw(4, 40, 50, 3), backward=lambda dy, y: dy * (y > 0) + wrong, seed=0)
    caption, heat = report["x"].heat()[0]
    assert heat.shape[0] <= 16
    assert heat.shape[1] <= 32
    assert caption.endswith(" 2"), "panels with mistakes come first"
    assert np.nansum(heat > 0) == 1


def test_scalars_and_empty_arrays():
    report = gradcheck(lambda x: x * x, np.array(3.0), seed=0)
    assert report
    wrong = gradcheck((lambda x: x * x, lambda dy, x: dy * x), np.array(3.0), seed=0)
    assert "dx: yours" in str(wrong)
    assert gradcheck(ops.relu, np.zeros((0, 3)))


# ---- pytest --------------------------------------------------------------------------------------------------------


def test_assert_gradients():
    assert assert_gradients(ops.tanh).seed == 0
    assert_gradients(lambda x: ops.exp(x).sum(), draw(3))
    with pytest.raises(AssertionError, match="own value forgotten"):
        assert_gradients(ops.exp, draw(3), backward=lambda dy, y: dy)


def test_gradcheck_is_one_name():
    """`tinydx.gradcheck` is the function to call, whatever has been imported before."""
    import tinydx.gradcheck as package

    assert package(ops.tanh, draw(3))
    assert tinydx.gradcheck(ops.tanh, draw(3))
