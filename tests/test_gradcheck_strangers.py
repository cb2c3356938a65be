"""Mistakes in backwards that share no code with the slips: plain loops, from formulas of their own.

Each is caught, and named as a teacher would name it. Without a mistake switched on, the loops are right.
"""

import re

import numpy as np
import pytest

from tinydx import gradcheck, ops

rng = np.random.default_rng(5)
MISTAKES = []


def mistake(op, inputs, expected, /, **constants):
    """Register a wrong backward for an op on these inputs; `expected` is a pattern that its name must match."""

    def register(backward):
        MISTAKES.append((op, inputs, constants, expected, backward))
        return backward

    return register


# ---- convolution ---------------------------------------------------------------------------------------------------

PLAIN = rng.normal(size=(2, 5, 6, 3)), rng.normal(size=(3, 3, 3, 2)), rng.normal(size=2)
SQUARE = rng.normal(size=(2, 5, 5, 2)), rng.normal(size=(3, 3, 2, 2)), rng.normal(size=2)
STRIDED = rng.normal(size=(2, 7, 7, 2)), rng.normal(size=(3, 3, 2, 3)), rng.normal(size=3)


def conv(dy, x, w, flip=True, stride=1):
    """The gradients of a true convolution (flip) or a correlation, output by output."""
    kh, kw = w.shape[:2]
    kernel = w[::-1, ::-1] if flip else w
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros(w.shape[3])
    for n, i, j, f in np.ndindex(dy.shape):
        window = np.s_[n, i * stride : i * stride + kh, j * stride : j * stride + kw]
        dx[window] += kernel[..., f] * dy[n, i, j, f]
        dw[..., f] += x[window] * dy[n, i, j, f]
        db[f] += dy[n, i, j, f]
    return dx, (dw[::-1, ::-1] if flip else dw), db


@mistake(ops.conv2d, PLAIN, "rotated")
def conv_dw_not_flipped(dy, x, w, b):
    dx, _, db = conv(dy, x, w)
    return dx, conv(dy, x, w, flip=False)[1], db


@mistake(ops.conv2d, PLAIN, "rotated")
def conv_dx_not_flipped(dy, x, w, b):
    return conv(dy, x, w, flip=False)[0], *conv(dy, x, w)[1:]


@mistake(ops.conv2d, PLAIN, "flipped")
def conv_dw_flipped_in_rows_only(dy, x, w, b):
    dx, dw, db = conv(dy, x, w)
    return dx, dw[::-1], db


@mistake(ops.conv2d, PLAIN, "averaged over the batch$")
def conv_batch_mean(dy, x, w, b):
    dx, dw, db = conv(dy, x, w)
    return dx, dw / len(x), db / len(x)


@mistake(ops.conv2d, PLAIN, "averaged over the batch and positions")
def conv_bias_mean(dy, x, w, b):
    return *conv(dy, x, w)[:2], dy.mean((0, 1, 2))


@mistake(ops.conv2d, PLAIN, r"= instead of \+=")
def conv_windows_overwrite(dy, x, w, b):
    dx, dw, db = np.zeros_like(x), *conv(dy, x, w)[1:]
    for n, i, j in np.ndindex(dy.shape[:3]):
        dx[n, i : i + 3, j : j + 3] = w[::-1, ::-1] @ dy[n, i, j]
    return dx, dw, db


@mistake(ops.conv2d, PLAIN, "one example")
def conv_images_overwrite(dy, x, w, b):
    dx, dw, db = conv(dy, x, w)
    for n in range(len(x)):
        dw = conv(dy[n : n + 1], x[n : n + 1], w)[1]
    return dx, dw, db


@mistake(ops.conv2d, PLAIN, "batch sum forgotten|sum forgotten")
def conv_bias_for_each_image(dy, x, w, b):
    return *conv(dy, x, w)[:2], dy.sum((1, 2))


@mistake(ops.conv2d, PLAIN, "row left out")
def conv_loop_ends_early(dy, x, w, b):
    short = dy.copy()
    short[:, -1] = 0
    return conv(short, x, w)


@mistake(ops.conv2d, PLAIN, "channel only|channel left out")
def conv_first_filter_only(dy, x, w, b):
    first = dy * [1, 0]
    return *conv(first, x, w)[:2], dy.sum((0, 1, 2))


@mistake(ops.conv2d, PLAIN, "rows and columns swapped")
def conv_dw_spatially_transposed(dy, x, w, b):
    dx, dw, db = conv(dy, x, w)
    return dx, dw.transpose(1, 0, 2, 3), db


@mistake(ops.conv2d, PLAIN, "rows and columns swapped")
def conv_dx_of_transposed_kernel(dy, x, w, b):
    return conv(dy, x, w.transpose(1, 0, 2, 3))[0], *conv(dy, x, w)[1:]


@mistake(ops.conv2d, PLAIN, "transposed")
def conv_dw_in_torch_layout(dy, x, w, b):
    dx, dw, db = conv(dy, x, w)
    return dx, dw.transpose(3, 2, 0, 1), db


@mistake(ops.conv2d, PLAIN, "shifted")
def conv_dx_one_row_down(dy, x, w, b):
    dx, dw, db = conv(dy, x, w)
    return np.pad(dx, ((0, 0), (1, 0), (0, 0), (0, 0)))[:, :-1], dw, db


@mistake(ops.conv2d, PLAIN, "wrong order")
def conv_returns_bias_second(dy, x, w, b):
    dx, dw, db = conv(dy, x, w)
    return dx, db, dw


@mistake(ops.conv2d, SQUARE, "not transposed")
def conv_channels_not_transposed(dy, x, w, b):
    return conv(dy, x, w.swapaxes(2, 3))[0], *conv(dy, x, w)[1:]


@mistake(ops.conv2d, STRIDED, "stride ignored", stride=2)
def conv_dx_without_stride(dy, x, w, b, stride):
    return conv(dy, x, w)[0], *conv(dy, x, w, stride=2)[1:]


@mistake(ops.conv2d, STRIDED, "stride ignored", stride=2)
def conv_dw_without_stride(dy, x, w, b, stride):
    dx, _, db = conv(dy, x, w, stride=2)
    return dx, conv(dy, x, w)[1], db


def padded(x, top=1, bottom=1):
    return np.pad(x, ((0, 0), (top, bottom), (top, bottom), (0, 0)))


@mistake(ops.conv2d, SQUARE, "border not removed", padding=1)
def conv_border_stays(dy, x, w, b):
    return conv(dy, padded(x), w)


@mistake(ops.conv2d, SQUARE, "padding forgotten", padding=1)
def conv_border_cut_at_one_end(dy, x, w, b):
    dx, dw, db = conv(dy, padded(x), w)
    return dx[:, :-2, :-2], dw, db


@mistake(ops.conv2d, SQUARE, "padding forgotten", padding=1)
def conv_dw_of_unpadded_image(dy, x, w, b):
    dx, _, db = conv(dy, padded(x), w)
    return dx[:, 1:-1, 1:-1], conv(dy, padded(x, 0, 2), w)[1], db


# ---- pooling -------------------------------------------------------------------------------------------------------

IMAGE = (rng.normal(size=(2, 5, 7, 3)),)
OVERLAP = {"size": 3, "stride": 2}


def windows(dy, x, size, stride):
    """Each output's index, its window of x, and where that begins."""
    for n, i, j, c in np.ndindex(dy.shape):
        a, b = i * stride, j * stride
        yield (n, i, j, c), np.s_[n, a : a + size, b : b + size, c], (a, b)


def pool(expected, put, op=ops.max_pool2d):
    """A wrong pooling: put(dx, x, window, start, g, size) writes one output's gradient g."""

    @mistake(op, IMAGE, expected, **OVERLAP)
    def backward(dy, x, size, stride):
        dx = np.zeros_like(x)
        for index, window, start in windows(dy, x, size, stride):
            put(dx, x, window, start, dy[index], size)
        return dx

    return backward


def largest(x, window):
    return np.unravel_index(x[window].argmax(), x[window].shape)


def put_everywhere(dx, x, window, start, g, size):
    dx[window] += g


def put_shared(dx, x, window, start, g, size):
    dx[window] += g / size**2


def put_over_what_was_there(dx, x, window, start, g, size):
    dx[window] = g * (x[window] == x[window].max())


def put_at_largest_with_equals(dx, x, window, start, g, size):
    dx[window][largest(x, window)] = g


def put_shared_with_equals(dx, x, window, start, g, size):
    dx[window] = g / size**2


def put_first(dx, x, window, start, g, size):
    dx[window][0, 0] += g


def put_transposed(dx, x, window, start, g, size):
    dx[window][largest(x, window)[::-1]] += g


def put_at_smallest(dx, x, window, start, g, size):
    dx[window][np.unravel_index(x[window].argmin(), (size, size))] += g


def put_at_largest(dx, x, window, start, g, size):
    dx[window][largest(x, window)] += g


def put_times_value(dx, x, window, start, g, size):
    dx[window][largest(x, window)] += g * x[window].max()


def put_divided_by_side(dx, x, window, start, g, size):
    dx[window] += g / size


pool("every pixel", put_everywhere)
pool("shared out", put_shared)
pool("overwritten|= instead", put_over_what_was_there)
pool(r"= instead of \+=", put_at_largest_with_equals)
pool("always the first pixel", put_first)
pool("row and column", put_transposed)
pool("smallest", put_at_smallest)
pool("factor x too many", put_times_value)
pool("not divided", put_everywhere, ops.average_pool2d)
pool(r"= instead of \+=", put_shared_with_equals, ops.average_pool2d)
pool("1/3 forgotten|size", put_divided_by_side, ops.average_pool2d)
pool("only one pixel", put_first, ops.average_pool2d)
pool("max pooling", put_at_largest, ops.average_pool2d)


@mistake(ops.max_pool2d, IMAGE, "stride ignored", **OVERLAP)
def pool_without_stride(dy, x, size, stride):
    dx = np.zeros_like(x)
    for (n, i, j, c), window, _ in windows(dy, x, size, stride):
        p, q = largest(x, window)
        dx[n, i + p, j + q, c] += dy[n, i, j, c]
    return dx


# ---- recurrence ----------------------------------------------------------------------------------------------------

SEQUENCE = (
    rng.normal(size=(2, 4, 3)),
    *(rng.normal(size=s) / 2 for s in ((2, 3), (3, 3), (3, 3))),
    rng.normal(size=3),
)


def rnn(
    dy, x, h0, w_xh, w_hh, y, *, steps=None, slope=lambda h, before, z: 1 - h**2, back=np.transpose, state="before",
    carry=True, keep=True,
):  # fmt: skip
    """Backpropagation through time; each keyword replaces one of its parts."""
    dx, dh, grads = np.zeros_like(x), np.zeros_like(h0), [np.zeros_like(w_xh), np.zeros_like(w_hh), np.zeros(3)]
    for t in steps or range(x.shape[1] - 1, -1, -1):
        before = y[:, t - 1] if t else h0
        dz = (dy[:, t] + carry * dh) * slope(y[:, t], before, np.arctanh(y[:, t]))
        dx[:, t] = dz @ w_xh.T
        new = x[:, t].T @ dz, (before if state == "before" else y[:, t]).T @ dz, dz.sum(0)
        grads = [keep * g + n for g, n in zip(grads, new, strict=True)]
        dh = dz @ back(w_hh)
    return dx, dh, *grads


def recurrent(expected, **part):
    @mistake(ops.simple_rnn, SEQUENCE, expected)
    def backward(dy, x, h0, w_xh, w_hh, b, y):
        return rnn(dy, x, h0, w_xh, w_hh, y, **part)


recurrent("carry through time dropped", carry=False)
recurrent("derivative of tanh forgotten", slope=lambda h, before, z: 1)
recurrent("square forgotten", slope=lambda h, before, z: 1 - h)
recurrent("tanh' of z", slope=lambda h, before, z: 1 - z**2)
recurrent("tanh' of the step before", slope=lambda h, before, z: 1 - before**2)
recurrent("sigmoid", slope=lambda h, before, z: h * (1 - h))
recurrent("not transposed", back=np.asarray)
recurrent("shifted by one step", state="after")
recurrent("time runs forward", steps=range(4))
recurrent(r"= instead of \+=", keep=False)
recurrent("time step left out", steps=range(3, 0, -1))


@mistake(ops.simple_rnn, SEQUENCE, "one time step only")
def rnn_last_dy_only(dy, x, h0, w_xh, w_hh, b, y):
    last = np.zeros_like(dy)
    last[:, -1] = dy[:, -1]
    return rnn(last, x, h0, w_xh, w_hh, y)


@mistake(ops.simple_rnn, SEQUENCE, "averaged over time|axes")
def rnn_time_mean(dy, x, h0, w_xh, w_hh, b, y):
    dx, dh, *grads = rnn(dy, x, h0, w_xh, w_hh, y)
    return dx, dh, *(g / x.shape[1] for g in grads)


@mistake(ops.simple_rnn, SEQUENCE, "flipped|backwards")
def rnn_dx_reversed(dy, x, h0, w_xh, w_hh, b, y):
    dx, *rest = rnn(dy, x, h0, w_xh, w_hh, y)
    return dx[:, ::-1], *rest


@mistake(ops.simple_rnn, SEQUENCE, "initial state")
def rnn_without_h0(dy, x, h0, w_xh, w_hh, b, y):
    dx, dh, dwx, _, db = rnn(dy, x, h0, w_xh, w_hh, y)
    return dx, dh, dwx, rnn(dy, x, 0 * h0, w_xh, w_hh, y)[3], db


@mistake(ops.simple_rnn, SEQUENCE, "zero")
def rnn_dh0_never_filled(dy, x, h0, w_xh, w_hh, b, y):
    dx, _, *rest = rnn(dy, x, h0, w_xh, w_hh, y)
    return dx, np.zeros_like(h0), *rest


# ---- softmax -------------------------------------------------------------------------------------------------------


def softmax(expected, backward):
    mistake(ops.softmax, (rng.normal(size=(3, 4)),), expected)(backward)


softmax("diagonal only", lambda dp, y: dp * y * (1 - y))
softmax("common sum forgotten", lambda dp, y: dp * y)
softmax("wrong axis", lambda dp, y: y * (dp - (dp * y).sum(0)))
softmax("sum over everything", lambda dp, y: y * (dp - (dp * y).sum()))
softmax("sign: common sum added", lambda dp, y: y * (dp + (dp * y).sum(-1, keepdims=True)))
softmax("softmax skipped", lambda dp, y: 1 * dp)
softmax("factor p forgotten", lambda dp, y: dp - (dp * y).sum(-1, keepdims=True))
softmax("p missing in the sum", lambda dp, y: y * (dp - dp.sum(-1, keepdims=True)))
softmax("mean instead of sum", lambda dp, y: y * (dp - (dp * y).mean(-1, keepdims=True)))
softmax("off-diagonal only", lambda dp, y: y * (dp * y - (dp * y).sum(-1, keepdims=True)))
softmax("x instead of p", lambda dp, x: x * (dp - (dp * x).sum(-1, keepdims=True)))
softmax("factor y too many", lambda dp, y: y * y * (dp - (dp * y).sum(-1, keepdims=True)))
softmax("sign", lambda dp, y: y * ((dp * y).sum(-1, keepdims=True) - dp))

# ---- normalisation -------------------------------------------------------------------------------------------------

TABLE = rng.normal(size=(4, 3)), rng.normal(size=3), rng.normal(size=3)


def norm_dx(dy, x, gamma, eps, axis, over=np.mean, mean=1, stretch=1, scale=None):
    centred = x - x.mean(axis, keepdims=True)
    root = np.sqrt((centred**2).mean(axis, keepdims=True) + eps)
    normal, dn = centred / root, dy * gamma
    common = mean * over(dn, axis, keepdims=True) + stretch * normal * over(dn * normal, axis, keepdims=True)
    return (dn - common) / (root if scale is None else scale(root))


def normalise(op, axis, expected, /, dgamma=None, dbeta=None, **part):
    """A wrong normalisation: other parts in dx, or another dgamma or dbeta."""

    @mistake(op, TABLE, expected, eps=0.1)
    def backward(dy, x, gamma, beta, eps):
        normal = (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps)
        return (
            norm_dx(**({"dy": dy, "x": x, "gamma": gamma, "eps": eps, "axis": axis} | part)),
            (dy * normal).sum(0) if dgamma is None else dgamma(dy, x, normal),
            dy.sum(0) if dbeta is None else dbeta(dy),
        )


def both_normalisations(expected, **part):
    normalise(ops.batch_normalization, 0, expected, **part)
    normalise(ops.layer_normalization, 1, expected, **part)


both_normalisations("statistics held constant", mean=0, stretch=0)
both_normalisations("deviation held constant", stretch=0)
both_normalisations("mean held constant", mean=0)
both_normalisations("sums instead of means", over=np.sum)
both_normalisations("gamma", gamma=np.ones(3))
both_normalisations("epsilon forgotten", eps=0.0)
both_normalisations("not divided", scale=lambda root: 1)
both_normalisations("variance instead", scale=lambda root: root**2)
both_normalisations("not normalised", dgamma=lambda dy, x, normal: (dy * x).sum(0))
both_normalisations("averaged over the batch", dgamma=lambda dy, x, normal: (dy * normal).mean(0))
both_normalisations("averaged over the batch", dbeta=lambda dy: dy.mean(0))
both_normalisations("one example", dbeta=lambda dy: dy[0])
both_normalisations("batch sum forgotten", dgamma=lambda dy, x, normal: dy * normal)
both_normalisations("zero", dbeta=lambda dy: np.zeros(3))
normalise(ops.batch_normalization, 0, "wrong axis", axis=1)
normalise(ops.layer_normalization, 1, "wrong axis", axis=0)

# ---- embedding -----------------------------------------------------------------------------------------------------

WORDS = (rng.normal(size=(5, 3)),)
IDS = np.array([0, 2, 2, 4, 0, 1])


def embed(expected, backward):
    mistake(ops.embedding, WORDS, expected, ids=IDS)(backward)


def lookup(dy, table, ids, order=1, add=True):
    dtable = np.zeros_like(table)
    for i in range(len(ids))[::order]:
        dtable[ids[i]] = dtable[ids[i]] * add + dy[i]
    return dtable


embed("repeated ids", lambda dy, table, ids: lookup(dy, table, ids, add=False))
embed(r"= instead of \+=", lambda dy, table, ids: lookup(dy, table, ids, order=-1, add=False))
embed("averaged over repeats", lambda dy, table, ids: lookup(dy, table, ids) / [[2], [1], [2], [1], [1]])
embed("every row", lambda dy, table, ids: 0 * table + dy.sum(0))
embed("row 0 left out", lambda dy, table, ids: lookup(dy, table, ids) * [[0], [1], [1], [1], [1]])
embed("shifted", lambda dy, table, ids: np.roll(lookup(dy, table, ids), 1, axis=0))
embed("averaged over the batch", lambda dy, table, ids: lookup(dy, table, ids) / len(ids))
embed("one example only", lambda dy, table, ids: lookup(dy[:1], table, ids[:1]))
embed("one example left out", lambda dy, table, ids: lookup(dy[:-1], table, ids[:-1]))
embed("transposed", lambda dy, table, ids: lookup(dy, table, ids).T)
embed("factor table too many", lambda dy, table, ids: lookup(dy, table, ids) * table)


# ---- the gated recurrence ------------------------------------------------------------------------------------------

N, D, U = 3, 2, 4
LSTM = tuple(rng.normal(size=s) for s in ((N, D), (N, U), (N, U), (D, 4 * U), (U, 4 * U), (4 * U,)))
LSTM_SWITCHES = {
    "slope of tanh(c') without its square": "not squared",
    "output gate left out of c'": "output gate forgotten",
    "candidate's slope without its square": "not squared",
    "candidate's slope left out": "slope of the candidate",
    "forget gate without the old cell": "forget gate",
    "input gate without the candidate": "input gate",
    "output gate without tanh(c')": "output gate",
    "forget gate's slope left out": "slope of the forget gate",
    "candidate and output gate exchanged": "wrong order",
    "old cell without the forget gate": "forget gate",
    "old cell with the input gate": "input gate",
    "cell gradient from outside alone": "path through the output",
    "bias averaged": "averaged",
    "bias of the first example": "first example",
}


def lstm(switch):
    """An LSTM step's backward by slices, with one mistake switched on."""

    def backward(dy, x, h, c, w, u, b):
        on = list(LSTM_SWITCHES).index(switch) if switch else -1
        z, s = x @ w + h @ u + b, lambda v: 1 / (1 + np.exp(-v))
        i, f, g, o = s(z[:, :U]), s(z[:, U : 2 * U]), np.tanh(z[:, 2 * U : 3 * U]), s(z[:, 3 * U :])
        t = np.tanh(f * c + i * g)
        dc = dy[1] + dy[0] * (1 if on == 1 else o) * (1 - (t if on == 0 else t**2))
        di = dc * (1 if on == 5 else g) * i * (1 - i)
        df = dc * (1 if on == 4 else c) * (1 if on == 7 else f * (1 - f))
        dg = dc * i * (1 if on == 3 else 1 - (g if on == 2 else g**2))
        do = dy[0] * (1 if on == 6 else t) * o * (1 - o)
        dz = np.concatenate([di, df, do, dg] if on == 8 else [di, df, dg, do], axis=1)
        old = dc * (1 if on == 9 else i if on == 10 else f) if on != 11 else dy[1] * f
        db = dz.mean(axis=0) if on == 12 else dz[0] if on == 13 else dz.sum(axis=0)
        return dz @ w.T, dz @ u.T, old, x.T @ dz, h.T @ dz, db

    backward.__name__ = "lstm_" + re.sub(r"\W+", "_", switch or "right")
    return backward


for switch, expected in LSTM_SWITCHES.items():
    mistake(ops.lstm_step, LSTM, expected)(lstm(switch))


def test_the_lstm_without_a_mistake_is_right():
    assert gradcheck(ops.lstm_step, *LSTM, backward=lstm(None))


@pytest.mark.parametrize(
    ("op", "inputs", "constants", "expected", "backward"),
    MISTAKES,
    ids=[f"{op.name}-{expected}-{i}" for i, (op, _, _, expected, _) in enumerate(MISTAKES)],
)
def test_mistakes_are_caught_and_named(op, inputs, constants, expected, backward):
    report = gradcheck(op, *inputs, backward=backward, seed=1, **constants)
    assert not report, "not caught"
    names = [name for name in report.mistakes.values() if name]
    assert any(re.search(expected, name) for name in names), f"named {report.mistakes}"


def test_the_loops_are_right():
    """The loops from which the mistakes are made are right without them."""
    right = [
        (ops.conv2d, PLAIN, {}, lambda dy, x, w, b: conv(dy, x, w)),
        (ops.conv2d, STRIDED, {"stride": 2}, lambda dy, x, w, b: conv(dy, x, w, stride=2)),
        (ops.simple_rnn, SEQUENCE, {}, lambda dy, x, h0, w_xh, w_hh, b, y: rnn(dy, x, h0, w_xh, w_hh, y)),
        (ops.embedding, WORDS, {"ids": IDS}, lookup),
    ]
    for op, inputs, constants, backward in right:
        report = gradcheck(op, *inputs, backward=backward, seed=1, **constants)
        assert report, str(report)
