"""More wrong backwards of public kinds, looked at while the names were finished.

The families are those of courses: columns with a cost's 1/m, softmax regression, GRU cells, heads of attention, group
normalisation, convolutions by loops, robust losses, gates, and the small functions of scalar and array engines.
"""

import numpy as np
from public_mistakes import Family, draw

COST = Family(
    """
Y = np.array([[1.0, 0.0, 1.0, 1.0, 0.0]])

def forward(X, W1, b1, W2, b2):
    A1 = np.tanh(W1 @ X + b1)
    A2 = 1 / (1 + np.exp(-(W2 @ A1 + b2)))
    m = X.shape[1]
    return -(Y * np.log(A2) + (1 - Y) * np.log(1 - A2)).sum() / m, (X, W1, W2, A1, A2)

def backward(dJ, cache):
    X, W1, W2, A1, A2 = cache
    m = X.shape[1]
    dZ2 = dJ * (A2 - Y)
    dW2 = dZ2 @ A1.T / m
    db2 = dZ2.sum(axis=1, keepdims=True) / m
    dZ1 = W2.T @ dZ2 * (1 - A1**2)
    dW1 = dZ1 @ X.T / m
    db1 = dZ1.sum(axis=1, keepdims=True) / m
    dX = W1.T @ dZ1 / m
    return dX, dW1, db1, dW2, db2
""",
    (draw(3, 5), draw(4, 3), draw(4, 1), draw(1, 4), draw(1, 1)),
    (
        ("(1 - A1**2)", "(1 - A1**2) / m", "division|averag"),
        ("(1 - A1**2)", "A1 * (1 - A1)", "tanh|slope|factor|power|square|A1"),
        ("(1 - A1**2)", "(1 - np.tanh(A1)**2)", "tanh"),
        ("dZ2 @ A1.T / m", "dZ2 @ A1.T", "m|division|mean|1/"),
        ("(A2 - Y)", "(Y - A2)", "sign|order"),
        ("(A2 - Y)", "(A2 - Y) * A2 * (1 - A2)", "slope|sigmoid|too many|A2"),
        ("W2.T @ dZ2 * (1 - A1**2)", "W2.T @ (A2 - Y) * (1 - A1**2)", "dJ|dy|dZ2"),
        ("dZ1.sum(axis=1, keepdims=True) / m", "dZ1.sum() / m", "axis|summed|shape"),
        ("dZ1 @ X.T", "dZ1 @ X.T * W1", "factor W1|W1"),
        ("W1.T @ dZ1", "W1.T @ dZ1 * X", "factor X|X"),
    ),
)

SOFTMAX_REGRESSION = Family(
    """
y, reg = np.array([1, 0, 2, 2]), 0.05

def forward(X, W):
    s = X @ W
    s = s - s.max(axis=1, keepdims=True)
    p = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(len(y)), y]).mean() + reg * (W**2).sum(), (X, W, p)

def backward(dout, cache):
    X, W, p = cache
    N = len(y)
    dW = np.zeros_like(W)
    dX = np.zeros_like(X)
    for i in range(N):
        for j in range(W.shape[1]):
            d = p[i, j] - (j == y[i])
            dW[:, j] += X[i] * d
            dX[i] += W[:, j] * d
    dW /= N
    dW += 2 * reg * W
    return dout * dX / N, dout * dW
""",
    (draw(4, 3), draw(3, 3)),
    (
        ("    dW += 2 * reg * W\n", "", "term|regular|W"),
        ("2 * reg * W", "reg * W", "2|factor"),
        ("    dW /= N\n", "", "N|division|mean|averag"),
        ("j == y[i]", "i == y[i]", "i instead of j|label|index"),
        ("dW[:, j] += X[i] * d", "dW[:, j] += X[j] * d", "j instead of i|index"),
        ("dW[:, j] += X", "dW[:, j] = X", "\\+="),
        ("range(W.shape[1])", "range(W.shape[1] - 1)", "short|left out|loop|part left"),
        ("dX[i] += W[:, j] * d", "dX[i] += W[j] * d", "axis|transpose|W|row|column|index"),
        ("p[i, j] - (j == y[i])", "p[i, j] + (j == y[i])", "sign"),
        ("(j == y[i])", "0", "term|label|class"),
    ),
)

GRU_CELL = Family(
    """
def sigmoid(z):
    return 1 / (1 + np.exp(-z))

def forward(x, h, Wz, Uz, Wn, Un):
    z = sigmoid(x @ Wz + h @ Uz)
    n = np.tanh(x @ Wn + h @ Un)
    return z * h + (1 - z) * n, (x, h, z, n, Wz, Uz, Wn, Un)

def backward(dy, cache):
    x, h, z, n, Wz, Uz, Wn, Un = cache
    dz = dy * (h - n) * z * (1 - z)
    dn = dy * (1 - z) * (1 - n**2)
    dx = dz @ Wz.T + dn @ Wn.T
    dh = dy * z + dz @ Uz.T + dn @ Un.T
    return dx, dh, x.T @ dz, h.T @ dz, x.T @ dn, h.T @ dn
""",
    (draw(3, 2), draw(3, 4), draw(2, 4), draw(4, 4), draw(2, 4), draw(4, 4)),
    (
        ("dy * (h - n) * z * (1 - z)", "dy * (n - h) * z * (1 - z)", "sign|order"),
        ("dy * (h - n) * z * (1 - z)", "dy * (h - n)", "sigmoid|slope|factor"),
        ("dy * (h - n) * z * (1 - z)", "dy * h * z * (1 - z)", "term|n"),
        ("dy * (1 - z) * (1 - n**2)", "dy * (1 - z)", "tanh|slope|factor|n"),
        ("dy * (1 - z) * (1 - n**2)", "dy * z * (1 - n**2)", "1 - z|z"),
        ("dy * z + dz @ Uz.T", "dz @ Uz.T", "term|direct|dy"),
        ("+ dn @ Un.T\n", "\n", "term|Un|dn"),
        ("dn @ Un.T\n", "dn @ Un\n", "transpose"),
        ("h.T @ dn", "(z * h).T @ dn", "factor z|z"),
    ),
)

HEADS = Family(
    """
H = 2

def forward(x, w):
    N, T, D = x.shape
    q = (x @ w).reshape(N, T, H, D // H).transpose(0, 2, 1, 3)
    s = q @ q.transpose(0, 1, 3, 2)
    return s, (x, w, q)

def backward(ds, cache):
    x, w, q = cache
    N, T, D = x.shape
    dq = ds @ q + ds.transpose(0, 1, 3, 2) @ q
    dp = dq.transpose(0, 2, 1, 3).reshape(N, T, D)
    dw = np.einsum("ntd,nte->de", x, dp)
    return dp @ w.T, dw
""",
    (draw(2, 3, 4), draw(4, 4)),
    (
        ("dq.transpose(0, 2, 1, 3).reshape", "dq.reshape", "transpose|axes|order|reshape"),
        ("dq.transpose(0, 2, 1, 3)", "dq.transpose(0, 2, 3, 1)", "axes|order|transpose"),
        (" + ds.transpose(0, 1, 3, 2) @ q", "", "term|transpose|two"),
        ("ds @ q + ds.transpose(0, 1, 3, 2) @ q", "2 * ds @ q", "transpose|term|2"),
        ("ntd,nte->de", "ntd,nte->ed", "transpose|axes|einsum|order"),
        ("dp @ w.T", "dp @ w", "transpose"),
    ),
)

GROUPNORM = Family(
    """
G, eps = 2, 1e-2

def forward(x, gamma, beta):
    N, C, H, W = x.shape
    g = x.reshape(N, G, -1)
    mu = g.mean(axis=2, keepdims=True)
    var = ((g - mu) ** 2).mean(axis=2, keepdims=True)
    xhat = ((g - mu) / np.sqrt(var + eps)).reshape(N, C, H, W)
    return xhat * gamma + beta, (xhat, var, gamma)

def backward(dout, cache):
    xhat, var, gamma = cache
    N, C, H, W = dout.shape
    dgamma = (dout * xhat).sum(axis=(0, 2, 3), keepdims=True)
    dbeta = dout.sum(axis=(0, 2, 3), keepdims=True)
    d = (dout * gamma).reshape(N, G, -1)
    h = xhat.reshape(N, G, -1)
    M = h.shape[2]
    dx = (d - d.sum(axis=2, keepdims=True) / M - h * (d * h).sum(axis=2, keepdims=True) / M) / np.sqrt(var + eps)
    return dx.reshape(N, C, H, W), dgamma, dbeta
""",
    (draw(2, 4, 2, 3), draw(1, 4, 1, 1), draw(1, 4, 1, 1)),
    (
        ("M = h.shape[2]", "M = N", "N instead of M|N|count|size|division"),
        ("(dout * gamma).reshape", "dout.reshape", "gamma"),
        ("d - d.sum(axis=2, keepdims=True) / M -", "d -", "mean|term"),
        (" - h * (d * h).sum(axis=2, keepdims=True) / M)", ")", "deviation|variance|term"),
        ("/ np.sqrt(var + eps)", "/ (var + eps)", "root|sqrt|variance|power"),
        ("dout.sum(axis=(0, 2, 3), keepdims=True)", "dout.sum(axis=(0, 2, 3))", "keepdims|reshape"),
        ("dout.sum(axis=(0, 2, 3), keepdims=True)", "dout.sum(axis=(2, 3), keepdims=True)", "sum|batch|axis"),
        ("dout.sum(axis=(0, 2, 3), keepdims=True)", "dout.mean(axis=(0, 2, 3), keepdims=True)", "mean|averag"),
        ("(dout * xhat).sum", "(dout * xhat * gamma).sum", "gamma"),
    ),
)

CONV_LOOPS = Family(
    """
stride = 2

def forward(A_prev, W, b):
    m, H, Wd, C = A_prev.shape
    f, n_C = W.shape[0], W.shape[3]
    n_H, n_W = (H - f) // stride + 1, (Wd - f) // stride + 1
    Z = np.zeros((m, n_H, n_W, n_C), np.result_type(A_prev, W, b))
    for h in range(n_H):
        for w in range(n_W):
            s = A_prev[:, h * stride : h * stride + f, w * stride : w * stride + f]
            Z[:, h, w] = np.tensordot(s, W, 3) + b
    return Z, (A_prev, W)

def backward(dZ, cache):
    A_prev, W = cache
    f = W.shape[0]
    dA, dW, db = np.zeros_like(A_prev), np.zeros_like(W), np.zeros(W.shape[3])
    m, n_H, n_W, n_C = dZ.shape
    for i in range(m):
        for h in range(n_H):
            for w in range(n_W):
                for c in range(n_C):
                    top, left = h * stride, w * stride
                    s = A_prev[i, top : top + f, left : left + f]
                    dA[i, top : top + f, left : left + f] += W[:, :, :, c] * dZ[i, h, w, c]
                    dW[:, :, :, c] += s * dZ[i, h, w, c]
                    db[c] += dZ[i, h, w, c]
    return dA, dW, db
""",
    (draw(2, 5, 7, 2), draw(3, 3, 2, 3), draw(3)),
    (
        ("top, left = h * stride, w * stride", "top, left = h, w", "stride"),
        (
            "s = A_prev[i, top : top + f, left : left + f]",
            "s = A_prev[i, h : h + f, w : w + f]",
            "stride|h instead|w instead|top",
        ),
        ("db[c] += dZ", "db[c] = dZ", "\\+=|one"),
        ("db[c] += dZ[i, h, w, c]", "db[c] += dZ[i, h, w, c] * s.sum()", "factor s|s.sum"),
        ("range(m)", "range(m - 1)", "left out|short"),
        ("range(n_W)", "range(n_W - 1)", "left out|short"),
        ("range(n_C)", "range(1)", "one|range|short|part left at zero|loop"),
        ("+= W[:, :, :, c] *", "+= W[::-1, ::-1, :, c] *", "flip|rotat"),
        ("+= W[:, :, :, c] *", "+= W[:, :, :, 0] *", "index|0|c"),
        ("+= s *", "+= s / m *", "division|averag"),
    ),
)

SMALL = {
    "log softmax": Family(
        """
def forward(x):
    s = x - x.max(axis=-1, keepdims=True)
    y = s - np.log(np.exp(s).sum(axis=-1, keepdims=True))
    return y, y

def backward(g, y):
    return g - np.exp(y) * g.sum(axis=-1, keepdims=True)
""",
        (draw(3, 4),),
        (
            ("np.exp(y) * g", "y * g", "exp|logarithm"),
            (".sum(axis=-1, keepdims=True)", "", "sum"),
            ("g.sum(axis=-1", "g.sum(axis=0", "axis"),
            (
                "g - np.exp(y) * g.sum(axis=-1, keepdims=True)",
                "np.exp(y) * (g - (g * np.exp(y)).sum(axis=-1, keepdims=True))",
                "softmax|log|p",
            ),
            ("g - np", "g + np", "sign|common sum added"),
            ("g - np.exp(y) * g.sum(axis=-1, keepdims=True)", "g - np.exp(y)", "sum|factor|linear|dy|zero in"),
            ("g.sum(axis=-1", "g.mean(axis=-1", "mean"),
        ),
    ),
    "logsumexp": Family(
        """
def forward(x):
    m = x.max(axis=1, keepdims=True)
    return (m + np.log(np.exp(x - m).sum(axis=1, keepdims=True)))[:, 0], x

def backward(g, x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return g[:, None] * e / e.sum(axis=1, keepdims=True)
""",
        (draw(3, 4),),
        (
            (" / e.sum(axis=1, keepdims=True)", "", "division|normal|softmax|factor"),
            ("e.sum(axis=1", "e.sum(axis=0", "axis"),
            (
                "g[:, None] * e / e.sum(axis=1, keepdims=True)",
                "g[:, None] * (x == x.max(axis=1, keepdims=True))",
                "max|largest|softmax|soft",
            ),
            ("g[:, None] * e", "e", "dy|g forgotten|g"),
        ),
    ),
    "huber": Family(
        """
T, d = np.array([0.3, -1.0, 2.0, 0.5, -2.0, 0.1]), 1.0

def forward(y):
    r = y - T
    a = np.sqrt(r * r)
    return np.where(r * r <= d * d, 0.5 * r * r, d * (a - 0.5 * d)).mean(), y

def backward(g, y):
    r = y - T
    return g * np.where(r * r <= d * d, r, d * np.sign(r)) / r.size
""",
        (3 * draw(6),),
        (
            ("d * np.sign(r)", "d", "sign"),
            ("d * np.sign(r)", "0 * r", "branch|zero|far|sign|0"),
            ("g * np.where(r * r <= d * d, r, d * np.sign(r)) / r.size", "g * r / r.size", "branch|clip|far|squared|sign|delta"),
            (" / r.size", "", "size|mean|division|1/6|averag"),
            ("y - T", "T - y", "sign|order"),
            ("<= d * d", ">= d * d", "way round|exchang|comparison|branch"),
            ("d * d, r,", "d * d, 2 * r,", "2|twice"),
        ),
    ),
    "highway": Family(
        """
def forward(x, h, t):
    g = 1 / (1 + np.exp(-t))
    return g * h + (1 - g) * x, (x, h, g)

def backward(dy, cache):
    x, h, g = cache
    dt = dy * (h - x) * g * (1 - g)
    return dy * (1 - g), dy * g, dt
""",
        (draw(3, 4), draw(3, 4), draw(3, 4)),
        (
            ("(h - x) * g", "h * g", "term|x"),
            ("(h - x) * g", "(h + x) * g", "sign"),
            ("(h - x) * g", "(x - h) * g", "sign|order"),
            ("dy * (h - x) * g * (1 - g)", "dy * (h - x)", "sigmoid|slope|factor"),
            ("dy * (1 - g), dy * g, dt", "dy * g, dy * (1 - g), dt", "order|1 - g|g"),
            ("return dy * (1 - g)", "return dy", "1 - g"),
            ("(h - x) * g * (1 - g)", "(h - x) * g", "1 - g"),
        ),
    ),
    "power and quotient": Family(
        """
def forward(x, p):
    return x**p / (1 + x), (x, p)

def backward(g, cache):
    x, p = cache
    y = x**p
    dx = g * (p * x ** (p - 1) / (1 + x) - y / (1 + x) ** 2)
    dp = g * y * np.log(x) / (1 + x)
    return dx, dp
""",
        (np.abs(draw(5)) + 0.5, np.abs(draw(5)) + 1),
        (
            ("p * x ** (p - 1)", "p * x**p", "power|1|x|exponent|term"),
            ("p * x ** (p - 1)", "x ** (p - 1)", "factor p|p"),
            (" - y / (1 + x) ** 2", "", "term"),
            ("- y / (1", "+ y / (1", "sign"),
            ("y / (1 + x) ** 2", "y / (1 + x)", "power|square|division by 1 \\+ x"),
            (" * np.log(x)", "", "log"),
            ("y * np.log(x)", "y * np.log(p)", "p instead of x"),
        ),
    ),
    "prelu": Family(
        """
def forward(x, a):
    return np.where(x > 0, x, a * x), (x, a)

def backward(g, cache):
    x, a = cache
    dx = g * np.where(x > 0, 1, a)
    da = (g * np.where(x > 0, 0, x)).sum(axis=0)
    return dx, da
""",
        (draw(6, 3), draw(3)),
        (
            ("(g * np.where(x > 0, 0, x)).sum(axis=0)", "g * np.where(x > 0, 0, x)", "sum"),
            ("(x > 0, 0, x)", "(x > 0, 0, 1)", "x|1"),
            ("(x > 0, 0, x)", "(x > 0, x, x)", "gate|x > 0|0|zero|branch"),
            ("(x > 0, 0, x)", "(x > 0, x, 0)", "order|exchang|branch|way round"),
            ("(x > 0, 1, a)", "(x > 0, 1, 0)", "a|leak|slope|gate|0"),
            (".sum(axis=0)", ".sum()", "axis|summed"),
            (".sum(axis=0)", ".mean(axis=0)", "mean|averag"),
        ),
    ),
    "lookup": Family(
        """
ids = np.array([[0, 2, 2], [3, 0, 1]])

def forward(E, w):
    h = E[ids].mean(axis=1)
    return h @ w, (E, h, w)

def backward(g, cache):
    E, h, w = cache
    dh = g @ w.T
    dE = np.zeros_like(E)
    np.add.at(dE, ids, dh[:, None, :] / ids.shape[1])
    return dE, h.T @ g
""",
        (draw(5, 3), draw(3, 2)),
        (
            (
                "np.add.at(dE, ids, dh[:, None, :] / ids.shape[1])",
                "dE[ids] += dh[:, None, :] / ids.shape[1]",
                "add.at|several|repeat|one of them|\\+=",
            ),
            (" / ids.shape[1]", "", "mean|shape\\[1\\]|division|3"),
            ("/ ids.shape[1]", "/ ids.size", "size|shape|averag|factor 2|twice|factor"),
            ("np.add.at(dE, ids", "np.add.at(dE, ids - 1", "index|off by one|ids|1|shift"),
        ),
    ),
    "stacked slices": Family(
        """
def forward(x, y):
    return np.concatenate([x[:, 1:], y * 2, x[:, :1]], axis=1), (x, y)

def backward(g, cache):
    x, y = cache
    n, k = x.shape[1] - 1, y.shape[1]
    dx = np.zeros_like(x)
    dx[:, 1:] += g[:, :n]
    dx[:, :1] += g[:, n + k :]
    dy = 2 * g[:, n : n + k]
    return dx, dy
""",
        (draw(3, 4), draw(3, 2)),
        (
            ("dx[:, 1:] += g[:, :n]", "dx[:, :-1] += g[:, :n]", "shift|index|slice|off|moved"),
            ("    dx[:, :1] += g[:, n + k :]\n", "", "part left at zero|one|left out|term|zero"),
            ("2 * g[:, n", "g[:, n", "2"),
            ("2 * g[:, n : n + k]", "2 * g[:, :k]", "index|slice|moved|off|part|n"),
            ("dx[:, :1] += g[:, n + k :]", "dx[:, :1] += g[:, n : n + 1]", "index|slice|moved|k"),
        ),
    ),
    "average pool": Family(
        """
def forward(x):
    N, C, H, W = x.shape
    return x.reshape(N, C, H // 2, 2, W // 3, 3).mean(axis=(3, 5)), x

def backward(g, x):
    return np.repeat(np.repeat(g, 2, axis=2), 3, axis=3) / 6
""",
        (draw(2, 2, 4, 6),),
        (
            (" / 6", "", "6|window|mean|divi|averag|constant"),
            ("/ 6", "/ 2", "6|window|mean|divi|averag|constant"),
            ("np.repeat(np.repeat(g, 2, axis=2), 3, axis=3)", "np.tile(g, (1, 1, 2, 3))", "tile|repeat|places|order|spread"),
            ("/ 6", "/ 4", "6|constant|factor"),
        ),
    ),
    "variance": Family(
        """
def forward(x):
    mu = x.mean(axis=0)
    return ((x - mu) ** 2).sum(axis=0) / (len(x) - 1), (x, mu)

def backward(g, cache):
    x, mu = cache
    return g * 2 * (x - mu) / (len(x) - 1)
""",
        (draw(5, 3),),
        (
            ("(len(x) - 1)", "len(x)", "1|n - 1|factor|constant"),
            ("2 * (x - mu)", "(x - mu)", "2"),
            ("(x - mu)", "x", "mu|mean|term"),
            ("(x - mu)", "(mu - x)", "sign|order"),
            ("g * 2", "2", "dy|g forgotten|g"),
        ),
    ),
    "bilinear": Family(
        """
def forward(a, M, b):
    return np.einsum("ni,ij,nj->n", a, M, b), (a, M, b)

def backward(g, cache):
    a, M, b = cache
    da = g[:, None] * (b @ M.T)
    dM = np.einsum("n,ni,nj->ij", g, a, b)
    db = g[:, None] * (a @ M)
    return da, dM, db
""",
        (draw(4, 3), draw(3, 3), draw(4, 3)),
        (
            ("b @ M.T", "b @ M", "transpose"),
            ("a @ M)", "a @ M.T)", "transpose"),
            ("a @ M)", "b @ M)", "b instead of a"),
            ("->ij", "->ji", "transpose|order|axes"),
            ('ni,nj->ij", g, a, b', 'ni,nj->ij", g, a, a', "a instead of b"),
            ("g[:, None] * (a", "(a", "dy|g forgotten"),
            ('np.einsum("n,ni,nj->ij", g, a, b)', "np.outer(a.sum(0), b.sum(0)) * g.sum()", "sum|outer|each|example"),
        ),
    ),
}

MORE = {
    "cost": COST,
    "softmax regression": SOFTMAX_REGRESSION,
    "gru cell": GRU_CELL,
    "heads": HEADS,
    "groupnorm": GROUPNORM,
    "conv loops": CONV_LOOPS,
    **SMALL,
}
