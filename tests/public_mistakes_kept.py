"""More wrong backwards of public kinds, kept back: they were measured once before names changed because of them.

The families are those of courses: LSTM cells in columns, word vectors, the hinge loss, label smoothing, broadcasting.
"""

from public_mistakes import Family, draw

LSTM_CELL = Family(
    """
def sigmoid(z):
    return 1 / (1 + np.exp(-z))

def forward(x, a, c, Wf, Wi, Wc, Wo):
    cat = np.concatenate([a, x], axis=0)
    f, i, o = sigmoid(Wf @ cat), sigmoid(Wi @ cat), sigmoid(Wo @ cat)
    cc = np.tanh(Wc @ cat)
    c_next = f * c + i * cc
    return o * np.tanh(c_next), (cat, a, c, c_next, f, i, cc, o, Wf, Wi, Wc, Wo)

def backward(da, cache):
    cat, a, c, c_next, f, i, cc, o, Wf, Wi, Wc, Wo = cache
    t = np.tanh(c_next)
    do = da * t * o * (1 - o)
    dc = da * o * (1 - t**2)
    dcc = dc * i * (1 - cc**2)
    di = dc * cc * i * (1 - i)
    df = dc * c * f * (1 - f)
    dWf = df @ cat.T
    dWi = di @ cat.T
    dWc = dcc @ cat.T
    dWo = do @ cat.T
    n = a.shape[0]
    dcat = Wf.T @ df + Wi.T @ di + Wc.T @ dcc + Wo.T @ do
    da_prev = dcat[:n]
    dx = dcat[n:]
    dc_prev = dc * f
    return dx, da_prev, dc_prev, dWf, dWi, dWc, dWo
""",
    (draw(3, 4), draw(2, 4), draw(2, 4), draw(2, 5), draw(2, 5), draw(2, 5), draw(2, 5)),
    (
        ("da * t * o * (1 - o)", "da * t", "slope|sigmoid|o \\*|factor"),
        ("da * t * o * (1 - o)", "da * c_next * o * (1 - o)", "tanh|c_next|t instead"),
        ("o * (1 - t**2)", "o", "tanh|1 - t|slope|factor"),
        ("o * (1 - t**2)", "o * (1 - c_next**2)", "c_next|t instead|tanh|slope"),
        ("dc * i * (1 - cc**2)", "dc * i * cc * (1 - cc)", "tanh|square|power|slope|cc"),
        ("dc * i * (1 - cc**2)", "dc * i", "tanh|1 - cc|slope|factor"),
        ("dc * cc * i", "dc * i * i", "i instead of cc|cc instead|cc"),
        ("dc * c * f", "dc * c_next * f", "c_next instead of c|c_next"),
        ("Wo.T @ do\n", "Wo.T @ dcc\n", "dcc instead of do|do"),
        (" + Wc.T @ dcc + Wo", " + Wo", "term|dcc|Wc|gate"),
        ("dcat[:n]", "dcat[-n:]", "index|slice|cut|wrong place|part|off"),
        ("dc * f\n", "dc\n", "factor f"),
    ),
)

WORD2VEC = Family(
    """
o = 2

def forward(v, U):
    s = U @ v
    e = np.exp(s - s.max())
    p = e / e.sum()
    return -np.log(p[o]), (v, U, p)

def backward(dout, cache):
    v, U, p = cache
    d = p.copy()
    d[o] -= 1
    dv = U.T @ d
    dU = np.outer(d, v)
    return dout * dv, dout * dU
""",
    (draw(3), draw(5, 3)),
    (
        ("    d[o] -= 1\n", "", "term|1|label|target|class"),
        ("d[o] -= 1", "d[o] += 1", "sign"),
        ("np.outer(d, v)", "np.outer(p, v)", "p instead of d"),
        ("U.T @ d", "U.T @ p", "p instead of d"),
        ("U.T @ d", "U[o] * d[o]", "term|sum|one|only|o"),
        ("U.T @ d", "-U[o]", "dy|term|U|sum"),
        ("np.outer(d, v)", "np.outer(v, d).reshape(U.shape)", "transpose|order|outer"),
        ("d[o] -= 1", "d[o] *= -1", "1|term|minus|sign"),
        ("dout * dv", "dv", "dy|dout"),
    ),
)

NEGATIVE = Family(
    """
def sigmoid(z):
    return 1 / (1 + np.exp(-z))

def forward(v, u, K):
    return -np.log(sigmoid(u @ v)) - np.log(sigmoid(-(K @ v))).sum(), (v, u, K)

def backward(dout, cache):
    v, u, K = cache
    a = sigmoid(u @ v) - 1
    b = 1 - sigmoid(-(K @ v))
    dv = a * u + K.T @ b
    du = a * v
    dK = np.outer(b, v)
    return dout * dv, dout * du, dout * dK
""",
    (draw(3), draw(3), draw(4, 3)),
    (
        ("sigmoid(u @ v) - 1", "1 - sigmoid(u @ v)", "sign|order|exchang"),
        ("sigmoid(u @ v) - 1", "sigmoid(u @ v)", "1|term"),
        ("1 - sigmoid(-(K @ v))", "1 - sigmoid(K @ v)", "sign|term 1 too many"),
        ("a * u + K.T @ b", "a * u", "term"),
        ("a * u + K.T @ b", "a * u - K.T @ b", "sign"),
        ("a * u + K.T @ b", "a * v + K.T @ b", "v instead of u"),
        ("np.outer(b, v)", "np.outer(b, u)", "u instead of v"),
        ("np.outer(b, v)", "np.tile(v, (len(b), 1))", "factor b|b forgotten|b"),
    ),
)

HINGE = Family(
    """
y, reg = np.array([0, 2, 1, 1, 3]), 0.3

def forward(X, W):
    s = X @ W
    m = s - s[np.arange(len(y)), y][:, None] + 1
    m = np.where(np.arange(s.shape[1]) == y[:, None], 0, m)
    loss = np.where(m > 0, m, 0).sum() / len(y) + reg * (W * W).sum()
    return loss, (X, W, m)

def backward(dout, cache):
    X, W, m = cache
    N = len(y)
    mask = (m > 0).astype(float)
    mask[np.arange(N), y] = -mask.sum(axis=1)
    dW = X.T @ mask / N + 2 * reg * W
    dX = mask @ W.T / N
    return dout * dX, dout * dW
""",
    (draw(5, 3), draw(3, 4)),
    (
        (" + 2 * reg * W", "", "term|regular|W"),
        ("+ 2 * reg * W", "+ reg * W", "2|factor"),
        ("+ 2 * reg * W", "- 2 * reg * W", "sign"),
        ("X.T @ mask / N", "X.T @ mask", "N|division|mean|averag"),
        ("mask @ W.T / N", "mask @ W.T", "N|division|mean|1/"),
        ("= -mask.sum(axis=1)", "= mask.sum(axis=1)", "sign"),
        ("= -mask.sum(axis=1)", "= -1", "sum|count|1 instead|class|label"),
        ("    mask[np.arange(N), y] = -mask.sum(axis=1)\n", "", "class|label|term|sum"),
        ("m > 0", "m > 1", "0|1|margin|comparison"),
        ("mask @ W.T", "m @ W.T", "m instead of mask|mask"),
    ),
)

RMSNORM = Family(
    """
eps = 1e-2

def forward(x, g):
    r = np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps)
    return x / r * g, (x, g, r)

def backward(dy, cache):
    x, g, r = cache
    dg = (dy * x / r).sum(axis=0)
    dn = dy * g
    dx = dn / r - x * (dn * x).mean(axis=-1, keepdims=True) / r**3
    return dx, dg
""",
    (draw(4, 5), draw(5)),
    (
        ("(dn * x).mean", "(dn * x).sum", "mean|sum"),
        (" - x * (dn * x).mean(axis=-1, keepdims=True) / r**3", "", "term|root|norm"),
        ("/ r**3", "/ r", "power"),
        ("/ r**3", "/ r**2", "power"),
        ("dy * g", "dy", "factor g|g"),
        ("(dy * x / r).sum(axis=0)", "(dy * x).sum(axis=0)", "r|normal"),
        ("(dy * x / r).sum(axis=0)", "(dy * x / r).sum(axis=-1)", "axis|shape"),
        ("dn / r - x", "dn / r + x", "sign"),
        ("x * (dn * x).mean", "(dn * x).mean", "factor x|x"),
    ),
)

CONV1D = Family(
    """
def forward(x, w, b):
    N, L, C = x.shape
    K = w.shape[0]
    cols = np.stack([x[:, k : k + L - K + 1] for k in range(K)], axis=2)
    return np.einsum("nlkc,kcf->nlf", cols, w) + b, (x, w, cols)

def backward(dout, cache):
    x, w, cols = cache
    K, M = w.shape[0], dout.shape[1]
    dw = np.einsum("nlkc,nlf->kcf", cols, dout)
    db = dout.sum(axis=(0, 1))
    dcols = np.einsum("nlf,kcf->nlkc", dout, w)
    dx = np.zeros_like(x)
    for k in range(K):
        dx[:, k : k + M] += dcols[:, :, k]
    return dx, dw, db
""",
    (draw(2, 6, 2), draw(3, 2, 4), draw(4)),
    (
        ("k : k + M] += d", "k : k + M] = d", "\\+=|overwritten|one"),
        ("dcols[:, :, k]", "dcols[:, :, K - 1 - k]", "flip|order|index|backwards|K"),
        ("dout.sum(axis=(0, 1))", "dout.sum(axis=0)", "sum forgotten|axis|shape"),
        ("dout.sum(axis=(0, 1))", "dout.sum(axis=(0, 1)) / len(x)", "division|averag"),
        ("range(K)", "range(K - 1)", "short|left out|loop"),
        ("range(K)", "range(1, K)", "short|left out|loop|index|1 instead of 0"),
        ("dout, w)\n", "dout, w[::-1])\n", "flip|order|revers"),
        ("cols, dout)", "cols, np.sign(dout))", "sign|linear"),
    ),
)

SMOOTHING = Family(
    """
y, a = np.array([1, 0, 2]), 0.2

def forward(z):
    lp = z - z.max(axis=1, keepdims=True)
    lp = lp - np.log(np.exp(lp).sum(axis=1, keepdims=True))
    q = (1 - a) * np.eye(4)[y] + a / 4
    return -(q * lp).sum() / len(y), (lp, q)

def backward(dout, cache):
    lp, q = cache
    p = np.exp(lp)
    return dout * (p - q) / len(q)
""",
    (draw(3, 4),),
    (
        ("(p - q)", "(p - np.eye(4)[y])", "q|label|smooth"),
        ("(p - q)", "(q - p)", "sign|order"),
        (" / len(q)", "", "mean|len|division|1/3|3"),
        ("/ len(q)", "/ q.size", "size|len|classes|4"),
        ("(p - q)", "(lp - q)", "lp instead of p|exp"),
        ("(p - q)", "p * (p - q)", "factor p"),
        ("(p - q)", "-q", "term|p"),
    ),
)

SCALARS = {
    "scalar graph": Family(
        """
def forward(a, b):
    e = a * b
    return e * e + b**3 - a / b, (a, b)

def backward(g, cache):
    a, b = cache
    e = a * b
    da = g * (2 * e * b - 1 / b)
    db = g * (2 * e * a + 3 * b**2 + a / b**2)
    return da, db
""",
        (draw(4), draw(4) + 3),
        (
            ("2 * e * b", "e * b", "2|twice|factor|term"),
            (" - 1 / b", "", "term"),
            ("- 1 / b)", "+ 1 / b)", "sign"),
            ("+ a / b**2", "- a / b**2", "sign"),
            ("3 * b**2", "b**2", "3|power"),
            ("3 * b**2", "3 * b", "power|square"),
            ("2 * e * a", "2 * e * b", "b instead of a"),
        ),
    ),
    "swish": Family(
        """
def forward(x):
    return x / (1 + np.exp(-x)), x

def backward(dy, x):
    s = 1 / (1 + np.exp(-x))
    return dy * (s + x * s * (1 - s))
""",
        (draw(3, 4),),
        (
            ("s + x * s * (1 - s)", "s", "term|gate held constant"),
            ("s + x * s * (1 - s)", "x * s * (1 - s)", "term|factor held constant"),
            ("x * s * (1 - s)", "s * (1 - s)", "factor x|x"),
            ("x * s * (1 - s)", "x * (1 - s)", "factor s|s"),
            ("s + x", "s - x", "sign"),
        ),
    ),
    "cosine": Family(
        """
def forward(a, b):
    na, nb = np.sqrt((a * a).sum(axis=1)), np.sqrt((b * b).sum(axis=1))
    c = (a * b).sum(axis=1) / (na * nb)
    return c, (a, b, na, nb, c)

def backward(g, cache):
    a, b, na, nb, c = cache
    da = g[:, None] * (b / (na * nb)[:, None] - (c / na**2)[:, None] * a)
    db = g[:, None] * (a / (na * nb)[:, None] - (c / nb**2)[:, None] * b)
    return da, db
""",
        (draw(3, 4), draw(3, 4)),
        (
            (" - (c / na**2)[:, None] * a)", ")", "term|norm|length"),
            ("c / na**2", "c / na", "power"),
            ("c / nb**2", "c / na**2", "na instead of nb"),
            ("- (c / nb**2)", "+ (c / nb**2)", "sign"),
            ("b / (na * nb)", "a / (na * nb)", "a instead of b"),
        ),
    ),
    "vae": Family(
        """
def forward(mu, lv):
    return -0.5 * (1 + lv - mu**2 - np.exp(lv)).sum() / len(mu), (mu, lv)

def backward(g, cache):
    mu, lv = cache
    dmu = g * mu / len(mu)
    dlv = g * 0.5 * (np.exp(lv) - 1) / len(mu)
    return dmu, dlv
""",
        (draw(4, 3), draw(4, 3)),
        (
            ("g * mu / len(mu)", "g * mu", "mean|len|division|1/|4"),
            ("np.exp(lv) - 1", "1 - np.exp(lv)", "sign|order"),
            ("0.5 * (np.exp(lv) - 1)", "0.5 * np.exp(lv)", "term|1"),
            ("0.5 * (np", "(np", "0.5|2|twice"),
            ("np.exp(lv) - 1", "lv - 1", "exp"),
            ("g * mu", "g * 2 * mu", "2|twice"),
        ),
    ),
    "broadcast": Family(
        """
def forward(x, r, c):
    return x * r + c, (x, r, c)

def backward(g, cache):
    x, r, c = cache
    dx = g * r
    dr = (g * x).sum(axis=0, keepdims=True)
    dc = g.sum(axis=1, keepdims=True)
    return dx, dr, dc
""",
        (draw(3, 4), draw(1, 4), draw(3, 1)),
        (
            ("(g * x).sum(axis=0, keepdims=True)", "g * x", "sum"),
            ("(g * x).sum(axis=0, keepdims=True)", "(g * x).sum(axis=0)", "keepdims|reshape"),
            ("(g * x).sum(axis=0, keepdims=True)", "(g * x).mean(axis=0, keepdims=True)", "mean|averag"),
            ("(g * x).sum(axis=0, keepdims=True)", "g.sum(axis=0, keepdims=True)", "factor x|x"),
            ("g.sum(axis=1, keepdims=True)", "g.sum(axis=0, keepdims=True)", "axis|shape"),
            ("g * r\n", "g * c\n", "c instead of r"),
            ("g * r\n", "g + r\n", "linear|zero in|instead of|plus|\\+"),
        ),
    ),
}

KEPT = {
    "lstm cell": LSTM_CELL,
    "word2vec": WORD2VEC,
    "negative sampling": NEGATIVE,
    "hinge": HINGE,
    "rmsnorm": RMSNORM,
    "conv1d": CONV1D,
    "smoothing": SMOOTHING,
    **SCALARS,
}
