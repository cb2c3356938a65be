"""Wrong backwards of the kinds that students report in public, as one change of a right one.

Each family is the text of a forward and a right backward, inputs, and a list of changes: what stands there, what a student
wrote, and a pattern of the names that fit. Written anew from descriptions of the mistakes; no student's code is here.
`HELD` families were not looked at while the names were written.
"""

import linecache
from typing import NamedTuple

import numpy as np


class Family(NamedTuple):
    code: str
    inputs: tuple
    changes: tuple  # (right, wrong, pattern of names)


rng = np.random.default_rng(8)


def draw(*shape):
    return rng.normal(size=shape)


def made(code, name):
    """The functions of this text; their source can be read as if it were a file."""
    file = f"<public {name} {hash(code)}>"
    linecache.cache[file] = (len(code), None, code.splitlines(True), file)
    space = {"np": np}
    exec(compile(code, file, "exec"), space)
    return space["forward"], space["backward"]


def changed(family, right, wrong):
    head, _, tail = family.code.partition("def backward")
    assert tail.count(right) == 1, (right, tail.count(right))
    return head + "def backward" + tail.replace(right, wrong)


AFFINE = Family(
    """
def forward(x, w, b):
    return x @ w + b, (x, w, b)

def backward(dout, cache):
    x, w, b = cache
    dx = dout @ w.T
    dw = x.T @ dout
    db = np.sum(dout, axis=0)
    return dx, dw, db
""",
    (draw(5, 3), draw(3, 4), draw(4)),
    (
        ("dout @ w.T", "dout @ w.T / x.shape[0]", "averaged|division"),
        ("x.T @ dout", "x.T @ dout / len(x)", "averaged|division"),
        ("np.sum(dout, axis=0)", "np.mean(dout, axis=0)", "averaged|mean"),
        ("np.sum(dout, axis=0)", "np.sum(dout, axis=1)", "axis|wrong shape"),
        ("np.sum(dout, axis=0)", "np.sum(dout, axis=0, keepdims=True)", "keepdims|reshape"),
        ("np.sum(dout, axis=0)", "dout", "sum forgotten"),
        ("np.sum(dout, axis=0)", "np.sum(dout)", "summed too much|axis"),
        ("np.sum(dout, axis=0)", "np.sum(dout * b, axis=0)", "factor b too many"),
        ("np.sum(dout, axis=0)", "b", "dout|dy|b instead|sum"),
        ("x.T @ dout", "(x.T @ dout) * w", "factor w too many"),
        ("x.T @ dout", "dout.T @ x", "transposed|wrong order"),
        ("x.T @ dout", "np.ones_like(x).T @ dout", "x|one"),
        ("x.T @ dout", "-x.T @ dout", "sign"),
        ("x.T @ dout", "x[-1:].T @ dout[-1:]", "one example"),
        ("x.T @ dout", "x[1:].T @ dout[1:]", "left out"),
        ("x.T @ dout", "x.T @ np.ones_like(dout)", "dy forgotten"),
        ("x.T @ dout", "x.T @ (dout * dout)", "factor dout too many|dy too many|linear"),
        ("x.T @ dout", "2 * x.T @ dout", "twice|factor 2|2 "),
        ("return dx, dw, db", "return dw, dx, db", "order"),
        ("return dx, dw, db", "return dx, db, dw", "order"),
        ("x.T @ dout", "np.zeros_like(w)", "zero"),
    ),
)

COLUMNS = Family(
    """
def forward(A_prev, W, b):
    return W @ A_prev + b, (A_prev, W, b)

def backward(dZ, cache):
    A_prev, W, b = cache
    dW = np.dot(dZ, A_prev.T)
    db = np.sum(dZ, axis=1, keepdims=True)
    dA_prev = np.dot(W.T, dZ)
    return dA_prev, dW, db
""",
    (draw(3, 5), draw(4, 3), draw(4, 1)),
    (
        ("np.dot(dZ, A_prev.T)", "np.dot(dZ, A_prev.T) / A_prev.shape[1]", "averaged|division"),
        ("np.sum(dZ, axis=1, keepdims=True)", "np.sum(dZ, axis=1, keepdims=True) / dZ.shape[1]", "averaged|division"),
        ("np.sum(dZ, axis=1, keepdims=True)", "np.sum(dZ, axis=1)", "keepdims|reshape"),
        ("np.sum(dZ, axis=1, keepdims=True)", "np.sum(dZ, axis=0, keepdims=True)", "axis|wrong shape"),
        ("np.sum(dZ, axis=1, keepdims=True)", "dZ", "sum forgotten"),
        ("np.sum(dZ, axis=1, keepdims=True)", "np.mean(dZ, axis=1, keepdims=True)", "averaged|mean"),
        ("np.dot(dZ, A_prev.T)", "np.dot(A_prev, dZ.T)", "transposed|order"),
        ("np.dot(W.T, dZ)", "np.dot(W.T, dZ) * A_prev", "A_prev too many"),
        ("np.dot(W.T, dZ)", "np.dot(W.T, dZ) / A_prev.shape[1]", "averaged|division"),
        ("np.dot(W.T, dZ)", "np.dot(np.abs(W).T, dZ)", "abs"),
    ),
)

TWO_LAYERS = Family(
    """
def forward(x, w1, b1, w2, b2):
    h = np.tanh(x @ w1 + b1)
    return h @ w2 + b2, (x, w1, w2, h)

def backward(dout, cache):
    x, w1, w2, h = cache
    dw2 = h.T @ dout
    db2 = dout.sum(axis=0)
    dh = dout @ w2.T
    dz = dh * (1 - h**2)
    dw1 = x.T @ dz
    db1 = dz.sum(axis=0)
    dx = dz @ w1.T
    return dx, dw1, db1, dw2, db2
""",
    (draw(4, 3), draw(3, 5), draw(5), draw(5, 2), draw(2)),
    (
        ("dh * (1 - h**2)", "dh", "slope of tanh|1 - h"),
        ("dh * (1 - h**2)", "dh * (1 - h)", "square|h"),
        ("dh * (1 - h**2)", "dh * h * (1 - h)", "slope|h|power|factor"),
        ("dh * (1 - h**2)", "dh * (1 + h**2)", "sign"),
        ("dh * (1 - h**2)", "dh * (1 - np.tanh(h)**2)", "tanh too many|h"),
        ("dh * (1 - h**2)", "dh * (1 - h**2) / len(x)", "division|averaged"),
        ("dh * (1 - h**2)", "dh * (h > 0)", "slope|comparison|gate|h"),
        ("h.T @ dout", "x.T[:, :] @ dout", "x instead of h|wrong shape"),
        ("h.T @ dout", "dz.T @ dout" if False else "(h**2).T @ dout", "power|h"),
        ("x.T @ dz", "x.T @ dh", "dh instead of dz"),
        ("dz.sum(axis=0)", "dh.sum(axis=0)", "dh instead of dz"),
        ("dz.sum(axis=0)", "dz.mean(axis=0)", "mean|averaged"),
        ("dz @ w1.T", "dh @ w1.T", "dh instead of dz"),
        ("dout @ w2.T", "dout @ w2.T * h", "factor h too many|h"),
        ("dout.sum(axis=0)", "dout[0]", "one example|sum"),
        ("x.T @ dz", "x.T @ dz + w1", "term w1"),
        ("x.T @ dz", "x.T @ dz - 0.1 * w1", "term"),
    ),
)

BCE = Family(
    """
T = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])

def forward(z):
    p = 1 / (1 + np.exp(-z))
    return -np.mean(T * np.log(p) + (1 - T) * np.log(1 - p)), p

def backward(dout, p):
    dp = -(T / p - (1 - T) / (1 - p)) / p.size
    dz = dp * p * (1 - p)
    return dout * dz
""",
    (draw(3, 2),),
    (
        ("/ p.size", "", "size|1/|mean|division"),
        ("/ p.size", "/ len(p)", "size|len|shape|constant|factor 2|twice|score|1/2"),
        ("T / p - (1 - T)", "T / p + (1 - T)", "sign"),
        ("-(T / p", "(T / p", "sign"),
        ("dp * p * (1 - p)", "dp * p", "1 - p|factor|slope"),
        ("dp * p * (1 - p)", "dp", "slope of sigmoid|p \\* \\(1 - p\\)|factor"),
        ("dp * p * (1 - p)", "dp * p * (1 - p) * p * (1 - p)", "too many"),
        ("T / p - (1 - T) / (1 - p)", "T / p", "term|class"),
        ("return dout * dz", "return dz", "dy forgotten"),
        ("(1 - T) / (1 - p)", "(1 - T) / p", "p|1 - p|factor|power"),
        ("return dout * dz", "return -dout * dz", "sign"),
    ),
)

SOFTMAX_LOSS = Family(
    """
y = np.array([2, 0, 1, 2])

def forward(x):
    s = x - x.max(axis=1, keepdims=True)
    logp = s - np.log(np.exp(s).sum(axis=1, keepdims=True))
    return -logp[np.arange(len(y)), y].mean(), np.exp(logp)

def backward(dout, probs):
    N = len(y)
    dx = probs.copy()
    dx[np.arange(N), y] -= 1
    dx /= N
    return dx * dout
""",
    (draw(4, 3),),
    (
        ("    dx /= N\n", "", "mean|1/4|averag|batch|factor|division"),
        ("dx /= N", "dx /= dx.size", "classes|size|factor|averaged|dx instead of y"),
        ("-= 1", "+= 1", "sign|\\+|-"),
        ("    dx[np.arange(N), y] -= 1\n", "", "label|target|class|1|term"),
        ("[np.arange(N), y] -= 1", "[np.arange(N), y - 1] -= 1", "off by one|label|index"),
        ("[np.arange(N), y] -= 1", "[np.arange(N), probs.argmax(1)] -= 1", "label|largest|argmax"),
        ("return dx * dout", "return dx", "dy forgotten"),
        ("probs.copy()", "-probs.copy()", "sign|-"),
        ("return dx * dout", "return dx * probs * (1 - probs) * dout", "slope|too many"),
        ("-= 1", "-= 0.5", "0.5 instead of 1|1|constant"),
    ),
)

BATCHNORM = Family(
    """
eps = 0.01

def forward(x, gamma, beta):
    mu = x.mean(axis=0)
    var = ((x - mu) ** 2).mean(axis=0)
    xhat = (x - mu) / np.sqrt(var + eps)
    return gamma * xhat + beta, (x, mu, var, xhat, gamma)

def backward(dout, cache):
    x, mu, var, xhat, gamma = cache
    N = x.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xhat).sum(axis=0)
    dxhat = dout * gamma
    dvar = (dxhat * (x - mu) * -0.5 * (var + eps) ** -1.5).sum(axis=0)
    dmu = (dxhat * -1 / np.sqrt(var + eps)).sum(axis=0)
    dx = dxhat / np.sqrt(var + eps) + dvar * 2 * (x - mu) / N + dmu / N
    return dx, dgamma, dbeta
""",
    (draw(6, 3), draw(3), draw(3)),
    (
        ("(dout * xhat).sum(axis=0)", "(dout * x).sum(axis=0)", "x instead of xhat|not normal|normal"),
        ("(dout * xhat).sum(axis=0)", "(dout * xhat).mean(axis=0)", "averag|mean"),
        ("(dout * xhat).sum(axis=0)", "dout.sum(axis=0)", "xhat|normal"),
        ("dout * gamma", "dout", "gamma"),
        ("* -0.5 * (var", "* 0.5 * (var", "sign|0.5"),
        ("* -0.5 * (var", "* -(var", "0.5|factor 2|half"),
        ("** -1.5", "** -0.5", "power|-0.5"),
        ("** -1.5", "** 1.5", "power|1.5|sign"),
        ("dvar * 2 * (x - mu) / N", "dvar * (x - mu) / N", "2|half"),
        ("dvar * 2 * (x - mu) / N", "dvar * 2 * (x - mu)", "N|division|mean"),
        (" + dmu / N", "", "mean held|term|dmu"),
        (" + dvar * 2 * (x - mu) / N", "", "deviation|variance|term|dvar"),
        ("+ dmu / N", "+ dmu", "N|division|mean"),
        ("+ dmu / N", "- dmu / N", "sign"),
        ("dxhat / np.sqrt(var + eps) +", "dxhat / (var + eps) +", "sqrt|root|variance|power"),
        ("dxhat / np.sqrt(var + eps) +", "dxhat / np.sqrt(var) +", "eps"),
        ("dxhat / np.sqrt(var + eps) +", "dxhat +", "divi|root"),
        ("dout.sum(axis=0)", "dout.sum(axis=1)", "axis|wrong shape"),
    ),
)

CONV = Family(
    """
stride, pad = 2, 1

def forward(x, w, b):
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    OH, OW = (H + 2 * pad - HH) // stride + 1, (W + 2 * pad - WW) // stride + 1
    out = np.zeros((N, F, OH, OW), x.dtype) + 0 * w[0, 0, 0, 0] + 0 * b[0]
    for i in range(OH):
        for j in range(OW):
            win = xp[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
            out[:, :, i, j] = np.tensordot(win, w, ((1, 2, 3), (1, 2, 3))) + b
    return out, (x, xp, w, b)

def backward(dout, cache):
    x, xp, w, b = cache
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    db = dout.sum(axis=(0, 2, 3))
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            r, c = i * stride, j * stride
            win = xp[:, :, r : r + HH, c : c + WW]
            dw += np.tensordot(dout[:, :, i, j], win, ((0,), (0,)))
            dxp[:, :, r : r + HH, c : c + WW] += np.tensordot(dout[:, :, i, j], w, ((1,), (0,)))
    dx = dxp[:, :, pad:-pad, pad:-pad]
    return dx, dw, db
""",
    (draw(2, 2, 5, 6), draw(3, 2, 3, 3), draw(3)),
    (
        ("axis=(0, 2, 3)", "axis=(2, 3)", "sum forgotten|axis|batch"),
        ("axis=(0, 2, 3)", "axis=0", "sum forgotten|axis|wrong shape"),
        ("dout.sum(axis=(0, 2, 3))", "dout.mean(axis=(0, 2, 3))", "averag|mean"),
        ("dw += np.tensordot", "dw = np.tensordot", "\\+=|one|only"),
        ("c : c + WW] += np", "c : c + WW] = np", "\\+=|overwritten"),
        ("dxp[:, :, pad:-pad, pad:-pad]", "dxp", "border"),
        ("dxp[:, :, pad:-pad, pad:-pad]", "dxp[:, :, : -2 * pad, : -2 * pad]", "pad|shift|cut|crop|slice"),
        ("r, c = i * stride, j * stride", "r, c = i, j", "stride"),
        ("w, ((1,), (0,))", "w[:, :, ::-1, ::-1], ((1,), (0,))", "flip|rotat"),
        ("i * stride, j * stride", "j * stride, i * stride", "order|swap|exchang"),
        ("range(dout.shape[2])", "range(dout.shape[2] - 1)", "left out|short"),
        ("range(dout.shape[3])", "range(1, dout.shape[3])", "left out|short"),
    ),
)

POOL = Family(
    """
def forward(x):
    N, H, W, C = x.shape
    out = np.zeros((N, H // 2, W // 2, C), x.dtype)
    for i in range(H // 2):
        for j in range(W // 2):
            out[:, i, j] = x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max(axis=(1, 2))
    return out, x

def backward(dout, x):
    dx = np.zeros_like(x)
    for n, i, j, c in np.ndindex(dout.shape):
        win = x[n, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c]
        mask = win == win.max()
        dx[n, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c] += mask * dout[n, i, j, c]
    return dx
""",
    (draw(2, 4, 6, 3),),
    (
        ("mask * dout[n, i, j, c]", "dout[n, i, j, c]", "every pixel|mask"),
        ("mask * dout[n, i, j, c]", "dout[n, i, j, c] / 4", "shared|mask"),
        ("win == win.max()", "win == win.min()", "smallest|max"),
        ("mask * dout[n, i, j, c]", "mask * 1.0", "dy forgotten"),
        ("mask * dout[n, i, j, c]", "mask * win * dout[n, i, j, c]", "too many"),
        ("win == win.max()", "win > win.mean()", "mask|max|comparison"),
        ("mask * dout[n, i, j, c]", "mask * dout[n, i, j, 0]", "channel|0|only"),
    ),
)

ACTIVATIONS = {
    "leaky": Family(
        """
def forward(x):
    return np.where(x > 0, x, 0.1 * x), x

def backward(dy, x):
    return dy * np.where(x > 0, 1, 0.1)
""",
        (draw(3, 4),),
        (
            ("1, 0.1)", "1, 0)", "slope|gate|leak|zero|0.1"),
            ("1, 0.1)", "1, 0.1 * x)", "x|slope|factor"),
            ("x > 0", "x < 0", "way round|invert|exchang"),
            ("1, 0.1)", "x, 0.1)", "x|slope|factor"),
            ("dy * np", "np", "dy forgotten"),
        ),
    ),
    "elu": Family(
        """
def forward(x):
    return np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1), x

def backward(dy, x):
    return dy * np.where(x > 0, 1, np.exp(x))
""",
        (draw(3, 4),),
        (
            ("1, np.exp(x))", "1, np.exp(x) - 1)", "1|value|term|alpha"),
            ("1, np.exp(x))", "1, 1)", "exp|slope|gate|dy|identity"),
            ("1, np.exp(x))", "1, x)", "x|exp|slope"),
        ),
    ),
    "softplus": Family(
        "\ndef forward(x):\n    return np.log(1 + np.exp(x)), x\n\ndef backward(dy, x):\n    return dy / (1 + np.exp(-x))\n",
        (draw(3, 4),),
        (
            ("np.exp(-x)", "np.exp(x)", "sign|x|exp"),
            ("dy / (1 + np.exp(-x))", "dy * (1 + np.exp(-x))", "divi|multipl"),
            ("dy / (1 + np.exp(-x))", "dy * np.exp(x)", "exp|slope|softplus|denominator|sigmoid"),
        ),
    ),
    "log": Family(
        "\ndef forward(x):\n    return np.log(x), x\n\ndef backward(dy, x):\n    return dy / x\n",
        (np.abs(draw(3, 4)) + 0.1,),
        (("dy / x", "dy / np.log(x)", "y|log"), ("dy / x", "dy * x", "x|divi"), ("dy / x", "dy / x**2", "x|power|square")),
    ),
    "inverse": Family(
        "\ndef forward(x):\n    return 1 / x, x\n\ndef backward(dy, x):\n    return -dy / x**2\n",
        (np.abs(draw(3, 4)) + 0.3,),
        (
            ("-dy", "dy", "sign"),
            ("x**2", "x", "power|square|x"),
            ("-dy / x**2", "-dy * x**2", "divi|x|y"),
            ("-dy / x**2", "dy * np.log(x)", "log|slope|x"),
        ),
    ),
    "exp": Family(
        "\ndef forward(x):\n    y = np.exp(x)\n    return y, y\n\ndef backward(dy, y):\n    return dy * y\n",
        (draw(3, 4),),
        (
            ("dy * y", "dy", "own value|y"),
            ("dy * y", "dy * np.exp(y)", "exp|y"),
            ("dy * y", "dy * np.log(y)", "x|log|y"),
            ("dy * y", "dy / y", "divi|y"),
        ),
    ),
}

DEV = {
    "affine": AFFINE,
    "columns": COLUMNS,
    "two layers": TWO_LAYERS,
    "bce": BCE,
    "softmax loss": SOFTMAX_LOSS,
    "batchnorm": BATCHNORM,
    "conv": CONV,
    "pool": POOL,
    **ACTIVATIONS,
}

# ---- held back while the names were written ------------------------------------------------------------------------

ATTENTION = Family(
    """
def forward(q, k, v):
    s = q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1])
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    return p @ v, (q, k, v, p)

def backward(dout, cache):
    q, k, v, p = cache
    dv = p.swapaxes(1, 2) @ dout
    dp = dout @ v.swapaxes(1, 2)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    ds = ds / np.sqrt(q.shape[-1])
    dq = ds @ k
    dk = ds.swapaxes(1, 2) @ q
    return dq, dk, dv
""",
    (draw(2, 3, 4), draw(2, 5, 4), draw(2, 5, 3)),
    (
        ("    ds = ds / np.sqrt(q.shape[-1])\n", "", "scale|factor|constant|twice"),
        ("ds / np.sqrt(q.shape[-1])", "ds / q.shape[-1]", "scale|root|sqrt|factor|constant"),
        ("ds / np.sqrt(q.shape[-1])", "ds * np.sqrt(q.shape[-1])", "scale|divi|multipl|factor|constant"),
        ("(dp - (dp * p).sum(axis=-1, keepdims=True))", "dp", "sum|term"),
        ("p * (dp - (dp * p)", "(dp - (dp * p)", "factor p|p"),
        ("sum(axis=-1", "sum(axis=1", "axis"),
        ("p * (dp - (dp * p).sum(axis=-1, keepdims=True))", "dp", "softmax|slope|skip|p"),
        ("p.swapaxes(1, 2) @ dout", "(p**2).swapaxes(1, 2) @ dout", "power|p"),
        ("ds @ k\n", "-ds @ k\n", "sign"),
        ("dp * p).sum", "dp).sum", "p"),
        ("ds.swapaxes(1, 2) @ q", "p.swapaxes(1, 2) @ q", "p instead of ds"),
        ("(dp - (dp", "(dp + (dp", "sign|common sum added"),
    ),
)

LAYERNORM = Family(
    """
def forward(x, gamma, beta):
    mu = x.mean(axis=1, keepdims=True)
    std = np.sqrt(((x - mu) ** 2).mean(axis=1, keepdims=True) + 1e-3)
    xhat = (x - mu) / std
    return gamma * xhat + beta, (xhat, std, gamma)

def backward(dout, cache):
    xhat, std, gamma = cache
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xhat).sum(axis=0)
    dn = dout * gamma
    dx = (dn - dn.mean(axis=1, keepdims=True) - xhat * (dn * xhat).mean(axis=1, keepdims=True)) / std
    return dx, dgamma, dbeta
""",
    (draw(4, 5), draw(5), draw(5)),
    (
        ("dn - dn.mean(axis=1, keepdims=True)", "dn - dn.mean(axis=0, keepdims=True)", "axis"),
        (" - dn.mean(axis=1, keepdims=True)", "", "mean|term"),
        (" - xhat * (dn * xhat).mean(axis=1, keepdims=True)", "", "deviation|term|variance"),
        ("xhat * (dn * xhat)", "xhat * dn", "xhat|factor"),
        ("xhat * (dn * xhat)", "(dn * xhat)", "xhat|factor"),
        ("/ std", "/ std**2", "power|variance|square"),
        ("/ std", "", "std|divi"),
        ("dout * gamma", "dout", "gamma"),
        ("(dout * xhat).sum(axis=0)", "(dout * xhat).sum(axis=1)", "axis|wrong shape"),
        ("dout.sum(axis=0)", "dout.mean(axis=0)", "averag|mean"),
        ("(dn - dn", "(dn + dn", "sign"),
    ),
)

RNN = Family(
    """
def forward(x, h0, wx, wh, b):
    h, hs = h0, []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ wx + h @ wh + b)
        hs.append(h)
    return np.stack(hs, axis=1), (x, h0, wx, wh, hs)

def backward(dh, cache):
    x, h0, wx, wh, hs = cache
    T = x.shape[1]
    dx, dwx, dwh = np.zeros_like(x), np.zeros_like(wx), np.zeros_like(wh)
    db, carry = np.zeros(wh.shape[0]), np.zeros_like(h0)
    for t in range(T - 1, -1, -1):
        before = hs[t - 1] if t > 0 else h0
        dz = (dh[:, t] + carry) * (1 - hs[t] ** 2)
        dx[:, t] = dz @ wx.T
        dwx += x[:, t].T @ dz
        dwh += before.T @ dz
        db += dz.sum(axis=0)
        carry = dz @ wh.T
    return dx, carry, dwx, dwh, db
""",
    (draw(2, 4, 3), draw(2, 3), draw(3, 3) / 2, draw(3, 3) / 2, draw(3)),
    (
        ("hs[t - 1] if t > 0 else h0", "hs[t - 1]", "initial|t = 0|h0|wrap"),
        ("(dh[:, t] + carry)", "dh[:, t]", "carry"),
        ("dz @ wh.T", "dz", "wh|matrix|W_hh"),
        ("dz @ wh.T", "dz @ wh", "transpose"),
        (" * (1 - hs[t] ** 2)", "", "tanh"),
        ("1 - hs[t] ** 2", "1 - hs[t]", "square|power"),
        ("before.T @ dz", "hs[t].T @ dz", "step|before"),
        ("dwh += before", "dwh = before", "\\+="),
        ("db += dz.sum(axis=0)", "db = dz.sum(axis=0)", "\\+=|step"),
        ("range(T - 1, -1, -1)", "range(T)", "forward|direction"),
        ("range(T - 1, -1, -1)", "range(T - 1, 0, -1)", "left out|step|short|index"),
        ("before.T @ dz", "before.T @ dz / T", "division|averaged|T"),
        ("db += dz.sum(axis=0)", "db += dz.mean(axis=0)", "averag|mean"),
    ),
)

OTHERS = {
    "gelu": Family(
        """
def forward(x):
    return 0.5 * x * (1 + np.tanh(0.8 * (x + 0.04 * x**3))), x

def backward(dy, x):
    t = np.tanh(0.8 * (x + 0.04 * x**3))
    return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * 0.8 * (1 + 0.12 * x**2))
""",
        (draw(3, 4),),
        (
            ("1 - t**2", "1 - t", "square|power"),
            (" * 0.8 * (1 + 0.12 * x**2)", "", "0.8|inner|factor|slope|term"),
            ("0.5 * (1 + t) + ", "", "term|1 \\+ t"),
            ("0.12", "0.04", "0.04|3|constant|factor"),
            ("0.5 * (1 + t)", "(1 + t)", "0.5|factor"),
        ),
    ),
    "temperature": Family(
        """
def forward(x):
    e = np.exp((x - x.max(axis=1, keepdims=True)) / 2.5)
    p = e / e.sum(axis=1, keepdims=True)
    return p, p

def backward(dp, p):
    return p * (dp - (dp * p).sum(axis=1, keepdims=True)) / 2.5
""",
        (draw(3, 4),),
        (
            (" / 2.5", "", "2.5|constant|temperature"),
            (" / 2.5", " * 2.5", "2.5|constant|temperature|divi"),
            ("axis=1", "axis=0", "axis"),
            ("(dp - (dp * p).sum(axis=1, keepdims=True))", "dp * (1 - p)", "diagonal|sum|term|1 - p"),
        ),
    ),
    "l2 norm": Family(
        """
def forward(x):
    n = np.sqrt((x**2).sum(axis=1, keepdims=True))
    return x / n, (x, n)

def backward(dy, cache):
    x, n = cache
    return dy / n - x * (dy * x).sum(axis=1, keepdims=True) / n**3
""",
        (draw(3, 4),),
        (
            ("n**3", "n**2", "power|2"),
            (" - x * (dy * x).sum(axis=1, keepdims=True) / n**3", "", "norm|term|constant"),
            ("axis=1", "axis=0", "axis"),
            ("- x", "+ x", "sign|second term added"),
            ("dy / n -", "dy -", "n|divi"),
        ),
    ),
    "residual": Family(
        """
def forward(x, w, v):
    h = np.maximum(x @ w, 0)
    return x + h @ v, (x, w, v, h)

def backward(dy, cache):
    x, w, v, h = cache
    dz = (dy @ v.T) * (h > 0)
    return dy + dz @ w.T, x.T @ dz, h.T @ dy
""",
        (draw(4, 3), draw(3, 5), draw(5, 3)),
        (
            ("dy + dz @ w.T", "dz @ w.T", "term dy|shortcut"),
            ("dy + dz @ w.T", "dy - dz @ w.T", "sign"),
            ("(h > 0)", "(dy @ v.T > 0)", "gate|h|comparison"),
            (" * (h > 0)", "", "gate|h > 0"),
            ("x.T @ dz", "h.T @ dz", "h instead of x|wrong shape"),
            ("h.T @ dy", "x.T @ dy", "x instead of h|wrong shape"),
        ),
    ),
    "mse": Family(
        """
T = np.arange(12.0).reshape(3, 4) / 6

def forward(y):
    return ((y - T) ** 2).mean(), y

def backward(dout, y):
    return dout * 2 * (y - T) / y.size
""",
        (draw(3, 4),),
        (
            (" * 2", "", "2"),
            ("/ y.size", "/ len(y)", "size|len|constant|1/|factor"),
            ("/ y.size", "", "size|mean|division|1/"),
            ("(y - T)", "(T - y)", "sign"),
            ("dout * ", "", "dy forgotten"),
        ),
    ),
    "dropout": Family(
        """
mask = (np.arange(12).reshape(3, 4) % 3 > 0) * 1.0

def forward(x):
    return x * mask / 0.6, x

def backward(dout, x):
    return dout * mask / 0.6
""",
        (draw(3, 4),),
        (
            (" / 0.6", "", "0.6|constant|scale|keep"),
            (" * mask", "", "mask"),
            ("/ 0.6", "/ 0.4", "0.4|0.6|constant"),
            ("* mask", "* (1 - mask)", "mask|term 1 too many"),
        ),
    ),
    "stack": Family(
        """
def forward(x, w):
    return x @ w, (x, w)

def backward(dy, cache):
    x, w = cache
    return dy @ w.swapaxes(1, 2), x.swapaxes(1, 2) @ dy
""",
        (draw(3, 3, 3), draw(3, 3, 3)),
        (
            ("w.swapaxes(1, 2)", "w.T", "T|transpose|axes"),
            ("x.swapaxes(1, 2)", "x.T", "T|transpose|axes"),
            ("x.swapaxes(1, 2)", "x", "transpose"),
            ("dy @ w.swapaxes(1, 2)", "w.swapaxes(1, 2) @ dy", "order"),
        ),
    ),
}

HELD = {"attention": ATTENTION, "layernorm": LAYERNORM, "rnn": RNN, **OTHERS}


def cases(families):
    """(family's name, number, code, inputs, pattern) of every wrong backward."""
    for name, family in families.items():
        for i, (right, wrong, pattern, *_) in enumerate(family.changes):
            yield name, i, changed(family, right, wrong), family.inputs, pattern
