"""Right backwards in unusual ways, collected with `public_mistakes_round8.py`: none may be blamed.

The format is that of `public_right_round7.py`. `ROUND8` was looked at while the checker changed, `SEALED8` once at the end.
"""

from public_right import texts
from public_right_round7 import inputs  # noqa: F401 (the tests read the inputs of a corpus from its module)

ROUND8 = texts("""
# rms norm by the projection matrix of each row: 3x4 4
def forward(x, g):
    r = np.sqrt((x * x).mean(1, keepdims=True) + 1e-6)
    return x / r * g, (x, r, g)
def backward(dy, c):
    x, r, g = c
    P = np.eye(4)[None] - x[:, :, None] * x[:, None, :] / (4 * r[:, :, None] ** 2)
    return np.einsum("nij,nj->ni", P, dy * g) / r, np.einsum("nj,nj,n->j", dy, x, 1 / r[:, 0])

# rms norm whose gain is one plus a number: 3x4 4
def forward(x, g):
    s = (x**2).mean(-1, keepdims=True) ** -0.5
    return x * s * (1 + g), (x, s, g)
def backward(dy, c):
    x, s, g = c
    n = x * s
    d = dy + dy * g
    return (d - n * np.average(d * n, axis=-1)[:, None]) * s, (dy * n).sum(0)

# binary cross entropy of probabilities by one quotient: 5
T = np.array([1.0, 0, 1, 1, 0])
def forward(z):
    p = 1 / (1 + np.exp(-z))
    return -(T * np.log(p) + (1 - T) * np.log1p(-p)).sum(), p
def backward(g, p):
    dp = (p - T) / (p - p * p)
    return g * dp * (p - p * p)

# binary cross entropy on logits by softplus of a signed logit: 6
Y = np.array([1, -1, -1, 1, 1, -1.0])
def forward(z):
    return np.logaddexp(0, -Y * z).mean()
def backward(g, z):
    return -g * Y / 6 / (1 + np.exp(Y * z))

# divergence of probabilities with both arguments positive: 3x4 3x4
def forward(p, q):
    return (p * np.log(p / q) - p + q).sum(), (p, q)
def backward(g, c):
    p, q = c
    return g * np.log(p / q), g * (1 - p / q)

# divergence to a softmax by cross entropy: 3x4
P = np.array([[0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25], [0.7, 0.1, 0.1, 0.1]])
def forward(z):
    logq = z - np.log(np.exp(z).sum(1))[:, None]
    return (P * (np.log(P) - logq)).sum(1), logq
def backward(g, logq):
    return g[:, None] * (np.exp(logq) - P)

# huber as an infimum: 4x3
def forward(e):
    return np.where(np.abs(e) < 1, 0.5 * e**2, np.abs(e) - 0.5)
def backward(g, e):
    return g * (np.minimum(e, 1) - np.minimum(e, -1) - 1)

# huber tied at its border from both pieces: 4x4
def forward(e):
    a = np.abs(e)
    return np.where(a <= 1, e * e / 2, a - 0.5), e
def backward(g, e):
    return g * e / np.maximum(1, np.abs(e))

# multiclass hinge by a matrix of violated margins: 4x3
L = np.array([2, 0, 1, 1])
def forward(s):
    hot = np.eye(3)[L]
    m = (s - (s * hot).sum(1, keepdims=True) + 1) * (1 - hot)
    return np.where(m > 0, m, 0).sum(), m
def backward(g, m):
    bad = np.sign(np.maximum(m, 0))
    return g * (bad - np.diag(bad.sum(1)) @ np.eye(3)[L])

# hinge tied between two classes with both slopes halved: 4x3
def forward(s):
    return np.maximum(s[:, 0], s[:, 1]), s
def backward(g, s):
    a = 0.5 * (1 + np.sign(s[:, 0] - s[:, 1]))
    return np.stack([g * a, g * (1 - a), 0 * g], axis=1)

# cosine by the logarithm of its factors: 4x3 4x3
def forward(a, b):
    d = (a * b).sum(1)
    na, nb = (a * a).sum(1), (b * b).sum(1)
    return d / np.sqrt(na * nb), (a, b, d, na, nb)
def backward(g, s):
    a, b, d, na, nb = s
    c = (g * d / np.sqrt(na * nb))[:, None]
    d, na, nb = d[:, None], na[:, None], nb[:, None]
    return c * (b / d - a / na), c * (a / d - b / nb)

# group norm by a matrix that averages groups: 3x4
M = np.kron(np.eye(2), np.full((2, 2), 0.5))
def forward(x):
    c = x - x @ M
    s = np.sqrt(c**2 @ M + 0.1)
    return c / s, (c, s)
def backward(dy, st):
    c, s = st
    d = dy / s - c * ((dy * c / s**3) @ M)
    return d - d @ M

# instance norm as a layer norm of flattened images: 2x3x2x2
def forward(x):
    f = x.reshape(6, 4)
    c = f - f.mean(1)[:, None]
    r = 1 / np.sqrt(np.einsum("ij,ij->i", c, c) / 4 + 1e-5)
    return (c * r[:, None]).reshape(x.shape), (c, r)
def backward(dy, st):
    c, r = st
    d = dy.reshape(6, 4)
    k = np.einsum("ij,ij->i", d, c) * r**2 / 4
    out = r[:, None] * (d - c * k[:, None])
    out -= out.mean(1, keepdims=True)
    return out.reshape(dy.shape)

# gated step from a list of gates: 2x3 2x3 3x9
def forward(x, h, w):
    a = h @ w
    z, r = (1 / (1 + np.exp(-(x + a[:, 3 * i:3 * i + 3]))) for i in range(2))
    n = np.tanh(x + r * a[:, 6:])
    return n + z * (h - n), (h, w, a, z, r, n)
def backward(g, s):
    h, w, a, z, r, n = s
    pn = g * (1 - z) * (1 - n) * (1 + n)
    pz = g * (h - n) * z * (1 - z)
    pr = pn * a[:, 6:] * r * (1 - r)
    da = np.hstack((pz, pr, pn * r))
    return pn + pz + pr, g * z + da @ w.T, h.T @ da

# label smoothing with a matrix of targets: 3x4
Q = 0.9 * np.eye(4)[[3, 0, 0]] + 0.025
def forward(z):
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return -(Q * np.log(p)).sum(), p
def backward(g, p):
    d = -Q / p
    return g * p * (d - (p * d).sum(1, keepdims=True))

# focal loss with gamma one: 4
def forward(z):
    p = 1 / (1 + np.exp(-z))
    return -(1 - p) * np.log(p), p
def backward(g, p):
    q = 1 - p
    return g * p * q * np.log(p) - g * q * q

# lasso and ridge by one sign matrix: 3x4 4x2
def forward(x, w):
    return np.sum((x @ w) ** 2) + 0.1 * np.sum(np.abs(w)) + 0.2 * np.trace(w.T @ w), (x, w)
def backward(g, c):
    x, w = c
    r = 2 * g * x @ w
    return r @ w.T, x.T @ r + g * (0.1 * np.copysign(1, w) + 0.4 * w)

# bags of embeddings through a matrix of counts: 5x2
B = np.zeros((3, 5))
np.add.at(B, ([0, 0, 0, 1, 2, 2], [1, 1, 4, 0, 2, 3]), 1)
def forward(table):
    return B @ table / B.sum(1)[:, None]
def backward(g, table):
    return (g / B.sum(axis=1, keepdims=True)).T.dot(B).T

# log softmax by a matrix that subtracts: 3x4
def forward(z):
    return z - np.log(np.sum(np.exp(z), axis=1, keepdims=True)), z
def backward(g, z):
    p = np.exp(z)
    p /= p.sum(axis=1, keepdims=True)
    J = np.eye(4) - p[:, None, :]
    return np.matmul(g[:, None, :], J)[:, 0]

# two heads by strides instead of transposes: 3x4 3x4 3x4
def forward(q, k, v):
    out, kept = [], []
    for h in (0, 1):
        qh, kh, vh = q[:, h::2], k[:, h::2], v[:, h::2]
        e = np.exp(qh @ kh.T / 2**0.5)
        a = e / e.sum(1, keepdims=True)
        kept.append((qh, kh, vh, a))
        out.append(a @ vh)
    return np.stack(out, -1).reshape(3, 4), kept
def backward(g, kept):
    dq, dk, dv = np.empty((3, 4)), np.empty((3, 4)), np.empty((3, 4))
    for h, (q, k, v, a) in enumerate(kept):
        gh = g[:, h::2]
        dv[:, h::2] = a.T @ gh
        da = gh @ v.T
        ds = a * (da - (a * da).sum(1)[:, None]) / 2**0.5
        dq[:, h::2], dk[:, h::2] = ds @ k, ds.T @ q
    return dq, dk, dv

# enlarging by a kronecker product, undone by two of them: 3x2
def forward(x):
    return np.kron(x, np.ones((2, 3)))
def backward(g, x):
    return np.kron(np.eye(3), np.ones((1, 2))) @ g @ np.kron(np.eye(2), np.ones((3, 1)))

# transposed convolution by a matrix of shifted kernels: 2x3 3
def forward(x, w):
    T = np.zeros((3, 7), dtype=w.dtype)
    for i in range(3):
        T[i, 2 * i:2 * i + 3] = w
    return x @ T, (x, T)
def backward(g, c):
    x, T = c
    dT = x.T @ g
    return g @ T.T, sum(dT[i, 2 * i:2 * i + 3] for i in range(3))

# global average by a column of ones: 2x3x4
def forward(x):
    return (x @ np.full((4, 1), 0.25))[..., 0]
def backward(g, x):
    return np.multiply.outer(g, np.full(4, 0.25))

# swish with the slope from half a tanh: 3x4
def forward(x):
    t = np.tanh(x / 2)
    return x * (1 + t) / 2, (x, t)
def backward(g, c):
    x, t = c
    return g * ((1 + t) / 2 + x * (1 - t * t) / 4)

# mish by rational exponentials: 3x4
def forward(x):
    w = (1 + np.exp(x)) ** 2
    return x * (w - 1) / (w + 1), x
def backward(g, x):
    e = np.exp(x)
    n = 4 * (x + 1) + 4 * e**2 + e**3 + e * (4 * x + 6)
    return g * e * n / (2 * e + e**2 + 2) ** 2

# sum of residual branches in a loop: 3x3 2x3x3
def forward(x, W):
    h = [x]
    for w in W:
        h.append(h[-1] + np.tanh(h[-1] @ w))
    return h[-1], (h, W)
def backward(g, c):
    h, W = c
    dW = np.zeros_like(W)
    for i in (1, 0):
        da = g * (1 - (h[i + 1] - h[i]) ** 2)
        dW[i] = h[i].T @ da
        g = g + da @ W[i].T
    return g, dW
""")

SEALED8 = texts("""
# softplus by the sum of two halves: 3x4
def forward(x):
    return x / 2 + np.log(2 * np.cosh(x / 2)), x
def backward(g, x):
    return g / 2 * (1 + np.tanh(x / 2))

# softplus from its own output: 3x4
def forward(x):
    y = np.log1p(np.exp(x))
    return y, y
def backward(g, y):
    return g * -np.expm1(-y)

# swish with a learnt slope by one dict: 3x4 4
def forward(x, beta):
    s = 1 / (1 + np.exp(-beta * x))
    return x * s, dict(x=x, beta=beta, s=s)
def backward(g, c):
    q = c["s"] - c["s"] ** 2
    return {"beta": (g * c["x"] ** 2 * q).sum(0), "x": g * (c["s"] + c["x"] * c["beta"] * q)}

# triplets by the difference of two vectors: 4x3 4x3 4x3
def forward(a, p, n):
    u, v = a - p, a - n
    h = (u * u).sum(1) - (v * v).sum(1) + 0.5
    return np.where(h > 0, h, 0), (u, v, h)
def backward(g, c):
    u, v, h = c
    k = 2 * (g * np.heaviside(h, 0))[:, None]
    return k * (u - v), -k * u, k * v

# contrast by log softmax and one hot rows: 3x4 3x4
def forward(q, k):
    s = 2.0 * q @ k.T
    lp = s - np.log(np.exp(s).sum(1, keepdims=True))
    return -np.trace(lp) / 3, (q, k, lp)
def backward(g, c):
    q, k, lp = c
    G = 2.0 * g / 3 * (np.exp(lp) - np.identity(3))
    return np.dot(G, k), np.dot(G.T, q)

# valid steps counted with a cumulative mask: 2x4x3
keep = np.cumprod(np.array([[1, 1, 1, 0], [1, 1, 0, 0]]), axis=1)
def forward(x):
    w = keep / keep.sum(1, keepdims=True)
    return np.einsum("nt,ntd->nd", w, x), w
def backward(g, w):
    return w[:, :, None] * g[:, None, :]

# word losses on the valid rows only: 2x3x4
words = np.array([[1, 3, 0], [2, 0, 0]])
ok = np.array([[True, True, True], [True, False, False]])
def forward(s):
    z = s[ok]
    lp = z - np.log(np.exp(z).sum(-1, keepdims=True))
    return -lp[np.arange(4), words[ok]].mean(), lp
def backward(g, lp):
    d = np.exp(lp)
    d[range(4), words[ok]] -= 1.0
    out = np.zeros((2, 3, 4))
    out[ok] = g * d / 4
    return out

# lengths by slicing each sequence: 3x4
ends = [2, 4, 1]
def forward(x):
    return np.array([np.sum(x[i, :e] ** 2) / e for i, e in enumerate(ends)])
def backward(g, x):
    out = x * 0
    for i, e in enumerate(ends):
        out[i, :e] = 2 * g[i] * x[i, :e] / e
    return out

# linear recurrence as a lower triangle: 4x3 1
def forward(x, a):
    h = [x[0]]
    for row in x[1:]:
        h.append(a * h[-1] + row)
    return np.stack(h), (np.stack(h), a)
def backward(g, c):
    h, a = c
    lag = np.arange(4)[:, None] - np.arange(4)
    K = np.where(lag >= 0, a ** np.maximum(lag, 0), 0)
    d = K.T @ g
    return d, np.array([(d[1:] * h[:-1]).sum()])

# gate with one minus by the other side: 3x2 3x2 2x2
def forward(x, h, w):
    z = np.reciprocal(1 + np.exp(-(h @ w)))
    return h + z * (np.sin(x) - h), (x, h, w, z)
def backward(g, c):
    x, h, w, z = c
    a = g * (np.sin(x) - h) * z * (1 - z)
    return g * z * np.cos(x), g - g * z + a @ w.T, h.T @ a

# normalised twice: 3x4
def unit(v):
    return v / np.sqrt((v * v).sum(1, keepdims=True))
def forward(x):
    return unit(2 * unit(x) + 1), x
def backward(g, x):
    u = unit(x)
    m = 2 * u + 1
    y = unit(m)
    d = 2 * (g - y * (g * y).sum(1, keepdims=True)) / np.sqrt((m * m).sum(1, keepdims=True))
    return (d - u * (d * u).sum(1, keepdims=True)) / np.sqrt((x * x).sum(1, keepdims=True))

# batch norm by covariances: 5x3
def forward(x):
    s = np.sqrt(x.var(0) + 0.01)
    return (x - x.mean(0)) / s, (x, s)
def backward(g, c):
    x, s = c
    xc, gc = x - x.mean(0), g - g.mean(0)
    return gc / s - xc * (xc * gc).mean(0) / s**3

# pooling by the largest of two strided halves: 2x6
def forward(x):
    return np.where(x[:, ::2] >= x[:, 1::2], x[:, ::2], x[:, 1::2]), x
def backward(g, x):
    out = np.zeros(x.shape)
    first = x[:, ::2] >= x[:, 1::2]
    out[:, ::2], out[:, 1::2] = g * first, g * ~first
    return out

# global maximum tied, shared by all winners: 3x4
def forward(x):
    return x.max(1), x
def backward(g, x):
    w = np.isclose(x, x.max(1, keepdims=True)).astype(float)
    return g[:, None] * w / w.sum(1)[:, None]

# relu tied with a slope that depends on the gradient's sign nowhere: 4x4
def forward(x):
    return np.maximum(x, 0), x
def backward(g, x):
    return np.array([[b if a >= 0 else 0.0 for a, b in zip(r, s)] for r, s in zip(x, g)])

# bilinear enlargement as two matrices: 3x2
def weights(n):
    m = np.zeros((2 * n - 1, n))
    for i in range(2 * n - 1):
        m[i, i // 2] += 1 - (i % 2) / 2
        m[i, (i + 1) // 2] += (i % 2) / 2
    return m
def forward(x):
    return weights(3) @ x @ weights(2).T
def backward(g, x):
    return np.einsum("ia,ij,jb->ab", weights(3), g, weights(2))

# convolution of channels by a loop over taps: 2x2x5 3x2x2
def forward(x, w):
    y = sum(np.tensordot(x[:, :, k:k + 4], w[:, :, k], axes=(1, 1)) for k in range(2))
    return y.transpose(0, 2, 1), (x, w)
def backward(g, c):
    x, w = c
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for k in range(2):
        dx[:, :, k:k + 4] += np.einsum("nfl,fc->ncl", g, w[:, :, k])
        dw[:, :, k] = np.tensordot(g, x[:, :, k:k + 4], axes=((0, 2), (0, 2)))
    return dx, dw

# causal attention by growing slices: 4x2 4x2 4x2
def forward(q, k, v):
    rows, ps = [], []
    for t in range(4):
        e = np.exp(k[:t + 1] @ q[t])
        p = e / e.sum()
        ps.append(p)
        rows.append(p @ v[:t + 1])
    return np.array(rows), (q, k, v, ps)
def backward(g, c):
    q, k, v, ps = c
    dq, dk, dv = (np.zeros_like(a) for a in (q, k, v))
    for t, p in enumerate(ps):
        dv[:t + 1] += p[:, None] * g[t]
        dp = v[:t + 1] @ g[t]
        ds = p * (dp - p @ dp)
        dq[t] = ds @ k[:t + 1]
        dk[:t + 1] += np.outer(ds, q[t])
    return dq, dk, dv

# poisson rate with an offset: 3x2 2
counts = np.array([2, 0, 4])
def forward(x, w):
    eta = x @ w + np.log([1.0, 2.0, 0.5])
    return (np.exp(eta) - counts * eta).sum(), (x, w, eta)
def backward(g, c):
    x, w, eta = c
    r = g * (np.exp(eta) - counts)
    return r[:, None] * w, (r[:, None] * x).sum(0)

# variance by pairs of differences: 5
def forward(x):
    return ((x[:, None] - x) ** 2).mean() / 2
def backward(g, x):
    return 2 * g * (x - x.mean()) / len(x)

# embeddings with a padding row kept at zero: 5x3
ids = np.array([[1, 4, 0], [2, 0, 0]])
def forward(table):
    return table[ids] * (ids > 0)[..., None]
def backward(g, table):
    hot = (ids[..., None] == np.arange(1, 5)).astype(float)
    return np.concatenate([np.zeros((1, 3)), np.einsum("ntv,ntd->vd", hot, g)])

# dropout whose scale is in the mask, before a layer: 3x4 4x2
MASK = np.array([[2, 0, 2, 2], [0, 0, 2, 2], [2, 2, 0, 0.0]])
def forward(x, w):
    return (MASK * x) @ w, (x, w)
def backward(g, c):
    x, w = c
    return np.where(MASK, 2 * (g @ w.T), 0), x.T * MASK.T @ g

# two outputs where the first feeds the second: 3x2 2x2
def forward(x, w):
    a = np.tanh(x)
    return (a, a @ w), (a, w)
def backward(gs, c):
    (ga, gb), (a, w) = gs, c
    return (ga + gb @ w.T) * (1 - a**2), a.T @ gb

# focal factor held by an exponent of the log positive: 5
def forward(p):
    return -((1 + p) ** -2) * np.log(p), p
def backward(g, p):
    return g * (2 * np.log(p) / (1 + p) - 1 / p) / (1 + p) ** 2

# angle between rows by arctan: 4x2 4x2
def forward(a, b):
    cross = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    dot = (a * b).sum(1)
    return np.arctan(cross / dot), (a, b)
def backward(g, c):
    a, b = c
    turn = lambda v: np.stack([-v[:, 1], v[:, 0]], 1) / (v * v).sum(1, keepdims=True)
    return -g[:, None] * turn(a), g[:, None] * turn(b)

# weights scaled to unit columns inside a layer: 4x3 3x2
def forward(x, v):
    n = np.sqrt((v * v).sum(0))
    return x @ v / n, (x, v, n)
def backward(g, c):
    x, v, n = c
    y = x @ v / n
    return (g / n) @ v.T, (x.T @ g - v / n * (y * g).sum(0)) / n

# mean over valid pixels, weights as a quotient: 2x2x3
W = np.array([[1.0, 0, 1], [1, 1, 0]])
def forward(x):
    return (x * W).sum((1, 2)) / W.sum(), None
def backward(g, _):
    return np.tensordot(g, W / W.sum(), axes=0)
""")
