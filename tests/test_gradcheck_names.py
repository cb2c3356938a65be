"""Names by general rules: methods of objects, places in loops, opposites, numbers found outside, labels."""

import contextlib

import numpy as np
import pytest
from public_mistakes import made

from tinydx import gradcheck
from tinydx.gradcheck import repair

NORM = """
class Norm:
    eps, gain = 1e-3, 1.7

    def forward(self, x):
        self.c = x - x.mean(axis=1, keepdims=True)
        self.s = np.sqrt((self.c**2).mean(axis=1, keepdims=True) + self.eps)
        self.n = self.c / self.s
        return self.gain * self.n

    def backward(self, dy):
        dn = self.gain * dy
        self.last = dn
        m = dn.mean(axis=1, keepdims=True)
        return (dn - m - self.n * (dn * self.n).mean(axis=1, keepdims=True)) / self.s

net = Norm()
forward, backward = net.forward, net.backward
"""
SPREAD = """
def forward(x, w):
    y = np.zeros(len(x) + len(w) - 1)
    for i in range(len(x)):
        for j in range(len(w)):
            y[i + j] += x[i] * w[j]
    return y, (x, w)

def backward(dy, cache):
    x, w = cache
    dx, dw = np.zeros(len(x)), np.zeros(len(w))
    for i in range(len(x)):
        for j in range(len(w)):
            dx[i] += dy[i + j] * w[j]
            dw[j] += dy[i + j] * x[i]
    return dx, dw
"""
PENALTY = """
rate = 0.5
t = np.array([0.4, -1.2, 0.9, 0.1, 2.0])

def forward(X, w):
    r = X @ w - t
    return 0.5 * np.mean(r**2) + rate / (2 * len(t)) * (w @ w), (X, w, r)

def backward(g, cache):
    X, w, r = cache
    dw = g * (X.T @ r) / len(t) + g * rate / len(t) * w
    dX = g * np.outer(r, w) / len(t)
    return dX, dw
"""
GATE = """
def forward(x, W, V):
    a, s = x @ W, 1 / (1 + np.exp(-(x @ V)))
    return a * s, (x, W, V, a, s)

def backward(dy, cache):
    x, W, V, a, s = cache
    da = dy * s
    db = dy * a * s * (1 - s)
    return da @ W.T + db @ V.T, x.T @ da, x.T @ db
"""
STEPS = """
def forward(x, h, U):
    hs = [h]
    for t in range(x.shape[1]):
        hs.append(np.tanh(x[:, t] + hs[-1] @ U))
    return hs[-1], (x, hs, U)

def backward(dh, cache):
    x, hs, U = cache
    dx, dU = np.zeros_like(x), np.zeros_like(U)
    for t in reversed(range(x.shape[1])):
        dz = dh * (1 - hs[t + 1] ** 2)
        dU += hs[t].T @ dz
        dx[:, t] = dz
        dh = dz @ U.T
    return dx, dh, dU
"""
SHARP = """
k = 3.0

def forward(x):
    return np.log1p(np.exp(k * x)) / k, x

def backward(dy, x):
    return dy / (1 + np.exp(-k * x))
"""
LOWEST = """
def forward(x):
    return x[x.argmin(axis=0), np.arange(x.shape[1])], x

def backward(dy, x):
    dx = np.zeros_like(x)
    dx[x.argmin(axis=0), np.arange(x.shape[1])] = dy
    return dx
"""
PICKED = """
t, gain = np.array([0, 2, 1, 2]), 1.5

def forward(a):
    return (a[np.arange(len(a)), t] ** 3).sum() * (gain + 1), a

def backward(g, a):
    d = np.zeros_like(a)
    d[np.arange(len(a)), t] = 3 * a[np.arange(len(a)), t] ** 2
    return g * d * (gain + 1)
"""
CLIPPED = """
def cut(x, low=-0.7, high=0.9):
    return np.minimum(np.maximum(x, low), high)

forward = lambda x: cut(3 * x)

def backward(dy, x):
    keep = (3 * x > -0.7) & (3 * x < 0.9)
    return 3 * dy * keep
"""
SHARES = """
def forward(x):
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    return p / 2.5, p

def backward(dy, p):
    s = np.einsum("nk,nk->n", dy, p)
    return p * (dy - s[:, None]) / 2.5
"""
EDGES = """
src, dst = np.array([0, 2, 2, 1]), np.array([1, 0, 3, 2])

def forward(v, w):
    pair = np.concatenate([v[src], v[dst]], axis=1)
    return np.tanh(pair @ w), (v, pair, w)

def backward(dy, cache):
    v, pair, w = cache
    d = v.shape[1]
    dz = dy * (1 - np.tanh(pair @ w) ** 2)
    dpair = dz @ w.T
    dv = np.zeros_like(v)
    np.add.at(dv, src, dpair[:, :d])
    np.add.at(dv, dst, dpair[:, d:])
    return dv, pair.T @ dz
"""
MASKED = """
def forward(x, u, m):
    h = np.zeros((len(x), len(u)))
    hs = [h]
    for t in range(x.shape[1]):
        g = 1 / (1 + np.exp(-m[:, t : t + 1]))
        h = g * np.tanh(x[:, t] + h @ u) + (1 - g) * h
        hs.append(h)
    return h, (x, u, m, hs)

def backward(dy, cache):
    x, u, m, hs = cache
    dx, du, dm, dh = np.zeros_like(x), np.zeros_like(u), np.zeros_like(m), dy
    for t in reversed(range(x.shape[1])):
        g = 1 / (1 + np.exp(-m[:, t : t + 1]))
        n = np.tanh(x[:, t] + hs[t] @ u)
        dz = dh * g * (1 - n**2)
        dm[:, t] = (dh * (n - hs[t]) * g * (1 - g)).sum(axis=1)
        dx[:, t] = dz
        du += hs[t].T @ dz
        dh = dz @ u.T + dh * (1 - g)
    return dx, du, dm
"""
SHAPES = {
    CLIPPED: [(4, 3)],
    SHARES: [(3, 4)],
    EDGES: [(4, 2), (4, 3)],
    MASKED: [(2, 3, 2), (2, 2), (2, 3)],
    PICKED: [(4, 3)],
    NORM: [(3, 5)],
    SPREAD: [(6,), (3,)],
    PENALTY: [(5, 3), (3,)],
    GATE: [(4, 3), (3, 2), (3, 2)],
    STEPS: [(2, 3, 2), (2, 2), (2, 2)],
    SHARP: [(3, 4)],
    LOWEST: [(5, 3)],
}
MISTAKES = [
    (CLIPPED, " & (3 * x < 0.9)", "", "upper limit of the mask forgotten"),
    (CLIPPED, "&", "|", "or instead of and"),
    (SHARES, "p * (dy - s[:, None]) / 2.5", "(p * dy - s[:, None]) / 2.5", "brackets"),
    (SHARES, " / 2.5", "", "2.5"),
    (SHARES, "nk,nk->n", "nk,jk->n", "index j instead of n"),
    (EDGES, "    np.add.at(dv, dst, dpair[:, d:])\n", "", "path of dst forgotten"),
    (EDGES, "np.add.at(dv, src, dpair[:, :d])", "dv[src] += dpair[:, :d]", "not accumulated"),
    (EDGES, "pair.T @ dz", "pair.T @ dy", "slope of tanh"),
    (MASKED, " + dh * (1 - g)", "", "dh * (1 - g) forgotten"),
    (MASKED, "dh * (1 - g)", "dh * g", "g instead of 1 - g"),
    (PICKED, "gain + 1", "gain - 1", "sign of one term"),
    (NORM, "self.gain * dy", "dy", "factor gain forgotten"),
    (NORM, "self.n * (dn", "self.c * (dn", "c instead of n"),
    (NORM, "- m -", "-", "term m forgotten"),
    (SPREAD, "dy[i + j] * w[j]", "dy[i] * w[j]", "index i instead of i + j"),
    (SPREAD, "dw[j] +=", "dw[i % 3] +=", "index i % 3 instead of j"),
    (PENALTY, " + g * rate / len(t) * w", "", "term of rate / (2 * len(t)) * (w @ w) forgotten"),
    (PENALTY, "g * rate / len(t) * w", "g * rate / (2 * len(t)) * w", "factor 2"),
    (GATE, "a * s * (1 - s)", "a * (1 - s**2)", "slope of tanh, 1 - s ** 2, instead of slope of sigmoid"),
    (STEPS, "        dh = dz @ U.T", "    dh = dz @ U.T", "behind the loop instead of in it"),
    (SHARP, "np.exp(-k * x)", "np.exp(-x)", "k"),
    (SHARP, "dy / (1", "dy * k / (1", "factor k too many"),
    (LOWEST, "dx[x.argmin", "dx[x.argmax", "argmax instead of argmin"),
]


def inputs(code):
    rng = np.random.default_rng(8)
    return [rng.normal(size=shape) for shape in SHAPES[code]]


@pytest.fixture
def strict(monkeypatch):
    """Errors of the search for a name are raised: where one ends the search unseen, mistakes stay without a name."""
    monkeypatch.setattr(repair.contextlib, "suppress", lambda *_: contextlib.nullcontext())


@pytest.mark.parametrize(("code", "right", "wrong", "name"), MISTAKES)
def test_the_name_says_what_was_changed(code, right, wrong, name, strict):
    at = code.rindex(right)
    report = gradcheck(made(code[:at] + wrong + code[at + len(right) :], f"{right} {wrong}"), *inputs(code), seed=1)
    assert any(name in (found or "") for found in report.mistakes.values()), report.mistakes


@pytest.mark.parametrize("code", SHAPES)
def test_the_right_ones_are_right(code):
    assert gradcheck(made(code, "right"), *inputs(code), seed=1)


def test_a_search_in_a_method_leaves_its_object_as_it_was(monkeypatch):
    wrong = NORM.replace("- m -", "-").replace("self.last = dn", "self.sums += dn.sum(axis=0)")
    forward, backward = made(wrong, "sums")
    net, sums, before, after = forward.__self__, np.zeros(5), [], []
    net.sums, search = sums, repair._search

    def watched(*given):
        before.append(dict(vars(net), sums=sums.copy()))
        search(*given)
        after.append(sums.copy())

    monkeypatch.setattr(repair, "_search", watched)
    with repair.kept(backward):
        gradcheck((forward, backward), inputs(NORM)[0], seed=1)
    assert net.sums is sums and not sums.any()
    assert not np.array_equal(before[0]["sums"], after[0])  # the search did run it


def test_one_number_with_signs_is_not_called_clipped():
    def forward(x):
        return np.array([x.sum() + 2 * x[0]])

    def backward(dy, x):
        return np.full(len(x), dy[0])

    report = gradcheck((forward, backward), inputs(SPREAD)[0], seed=0)
    assert report.verdict == "wrong" and "clipped" not in report.mistakes.values()
