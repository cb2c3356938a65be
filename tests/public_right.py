"""Right backwards that are written in unusual ways: none may be blamed.

Each is one text, forward above backward, with the shapes of its inputs. `SEEN` were looked at while the checker changed, `KEPT`
once at the end. They have einsum, loops, sums in place, views, strides, layouts, several outputs, kinks, odd signatures.
"""

import numpy as np


def texts(source):
    """{name: (code, shapes)} of the pieces of a text that begin with a line `# name: shapes`."""
    found = {}
    for piece in source.split("\n# ")[1:]:
        head, code = piece.split("\n", 1)
        name, shapes = head.split(":")
        found[name] = code, [tuple(map(int, s.split("x"))) if s != "-" else () for s in shapes.split()]
    return found


def inputs(name, shapes):
    """Numbers of ordinary size for a piece; positive where its name says so."""
    rng = np.random.default_rng(sum(map(ord, name)))
    arrays = [np.asarray(rng.normal(size=s)) for s in shapes]
    return [np.abs(a) + 0.3 for a in arrays] if "positive" in name else arrays


SEEN = texts("""
# dense by einsum: 4x3 3x2 2
def forward(x, w, b):
    return np.einsum("ni,io->no", x, w) + b, (x, w)
def backward(dout, cache):
    x, w = cache
    return np.einsum("no,io->ni", dout, w), np.einsum("ni,no->io", x, dout), np.einsum("no->o", dout)

# dense by loops: 3x2 2x4
def forward(x, w):
    return x @ w, (x, w)
def backward(g, saved):
    x, w = saved
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for n in range(x.shape[0]):
        for i in range(x.shape[1]):
            for o in range(w.shape[1]):
                dx[n, i] += g[n, o] * w[i, o]
                dw[i, o] += g[n, o] * x[n, i]
    return dx, dw

# dense in columns with outer products: 3x5 4x3
def forward(A, W):
    return W @ A, (A, W)
def backward(dZ, cache):
    A, W = cache
    dW = sum(np.outer(dZ[:, n], A[:, n]) for n in range(A.shape[1]))
    return np.dot(dZ.T, W).T, dW

# fortran order: 4x3 3x2
def forward(x, w):
    return np.asfortranarray(x) @ w, (x, w)
def backward(g, saved):
    x, w = saved
    return np.asfortranarray(g @ w.T), np.asfortranarray(x.T @ g)

# tensordot: 2x3x4 4x5
def forward(x, w):
    return np.tensordot(x, w, 1), (x, w)
def backward(g, c):
    x, w = c
    return np.tensordot(g, w, ((2,), (1,))), np.tensordot(x, g, ((0, 1), (0, 1)))

# bias by a vector of ones: 5x3 3
def forward(x, b):
    return x + b, x
def backward(g, x):
    return g, np.ones(len(x)) @ g

# in place sums: 4x3 3x3
def forward(x, w):
    return x @ w + x, (x, w)
def backward(g, c):
    x, w = c
    dx = g.copy()
    dx += g @ w.T
    dw = np.empty_like(w)
    np.dot(x.T, g, out=dw)
    return dx, dw

# relu by multiplication with a mask: 3x4
def forward(x):
    mask = x > 0
    return x * mask, mask
def backward(dA, cache):
    return np.multiply(dA, cache.astype(np.int64))

# relu by assignment: 3x4
def forward(Z):
    return np.maximum(Z, 0), Z
def backward(dA, Z):
    dZ = np.array(dA, copy=True)
    dZ[Z <= 0] = 0
    return dZ

# sigmoid from its input: 3x4
def forward(z):
    return 1 / (1 + np.exp(-z)), z
def backward(dA, z):
    s = 1 / (1 + np.exp(-z))
    return dA * np.exp(-z) * s**2

# tanh by sech: 3x4
def forward(z):
    return np.tanh(z), z
def backward(g, z):
    return g / np.cosh(z) ** 2

# softplus by logaddexp: 3x4
def forward(x):
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0), x
def backward(g, x):
    return g * np.exp(-np.log1p(np.exp(-x)))

# softmax by the full jacobian: 3x4
def forward(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return p, p
def backward(g, p):
    J = np.einsum("ni,ij->nij", p, np.eye(p.shape[1])) - np.einsum("ni,nj->nij", p, p)
    return np.einsum("nij,nj->ni", J, g)

# softmax row by row: 3x4
def forward(x):
    e = np.exp(x)
    return e / e.sum(axis=1)[:, None], x
def backward(g, x):
    out = []
    for xi, gi in zip(x, g):
        p = np.exp(xi - xi.max())
        p /= p.sum()
        out.append((np.diag(p) - np.outer(p, p)) @ gi)
    return np.array(out)

# cross entropy with fancy indices: 4x3
y = np.array([0, 2, 1, 1])
def forward(s):
    z = s - s.max(1, keepdims=True)
    return np.log(np.exp(z).sum(1)).mean() - z[np.arange(4), y].mean(), z
def backward(g, z):
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    np.subtract.at(p, (np.arange(4), y), 1)
    return p * (g / 4)

# log sum exp twice: 2x3x4
def forward(x):
    m = x.max()
    return m + np.log(np.exp(x - m).sum(axis=(1, 2))), x
def backward(g, x):
    e = np.exp(x - x.max(axis=(1, 2), keepdims=True))
    return e * (g / e.sum(axis=(1, 2)))[:, None, None]

# batch norm in one line: 5x3 3 3
eps = 1e-5
def forward(x, gamma, beta):
    v = x.var(axis=0) + eps if not np.iscomplexobj(x) else ((x - x.mean(0)) ** 2).mean(0) + eps
    h = (x - x.mean(0)) / np.sqrt(v)
    return gamma * h + beta, (h, gamma, v)
def backward(dout, cache):
    h, gamma, v = cache
    N = len(h)
    dgamma, dbeta = np.sum(dout * h, 0), np.sum(dout, 0)
    return gamma / N / np.sqrt(v) * (N * dout - dbeta - h * dgamma), dgamma, dbeta

# layer norm by its matrix: 3x4
def forward(x):
    c = x - x.mean(1, keepdims=True)
    s = np.sqrt((c * c).mean(1, keepdims=True) + 1e-3)
    return c / s, (c, s)
def backward(g, cache):
    c, s = cache
    D = c.shape[1]
    P = np.eye(D) - 1 / D
    return np.stack([P @ (gi / si - ci * (gi @ ci) / (D * si**3)) for gi, ci, si in zip(g, c, s)])

# max pooling by argmax: 2x4x4
def forward(x):
    w = x.reshape(2, 2, 2, 2, 2).transpose(0, 1, 3, 2, 4).reshape(2, 2, 2, 4)
    return w.max(-1), w.argmax(-1)
def backward(g, at):
    flat = np.zeros((2, 2, 2, 4))
    np.put_along_axis(flat, at[..., None], g[..., None], -1)
    return flat.reshape(2, 2, 2, 2, 2).transpose(0, 1, 3, 2, 4).reshape(2, 4, 4)

# mean pooling by kron: 4x6
def forward(x):
    return x.reshape(2, 2, 3, 2).mean(axis=(1, 3)), x
def backward(g, x):
    return np.kron(g, np.full((2, 2), 0.25))

# convolution by as_strided: 2x6 3
def forward(x, w):
    v = np.lib.stride_tricks.sliding_window_view(x, 3, axis=1)
    return v @ w, (x, w)
def backward(g, c):
    x, w = c
    v = np.lib.stride_tricks.as_strided(x, (2, 4, 3), (x.strides[0], x.strides[1], x.strides[1]))
    dx = np.stack([np.convolve(gi, w) for gi in g])
    return dx, np.tensordot(g, v, 2)

# convolution by im2col: 2x1x4x4 2x1x3x3
def forward(x, w):
    cols = np.stack([x[:, :, i : i + 2, j : j + 2] for i in range(3) for j in range(3)], axis=2)
    return np.einsum("nckhw,fck->nfhw", cols, w.reshape(2, 1, 9)), (x, w, cols)
def backward(g, c):
    x, w, cols = c
    dw = np.einsum("nckhw,nfhw->fck", cols, g).reshape(w.shape)
    dcols = np.einsum("nfhw,fck->nckhw", g, w.reshape(2, 1, 9))
    dx = np.zeros_like(x)
    for k in range(9):
        i, j = divmod(k, 3)
        dx[:, :, i : i + 2, j : j + 2] += dcols[:, :, k]
    return dx, dw

# embedding by one hot: 5x3
ids = np.array([1, 3, 1, 0])
def forward(E):
    return E[ids], E
def backward(g, E):
    return np.eye(len(E))[ids].T @ g

# embedding by bincount: 4x2
ids = np.array([3, 3, 0])
def forward(E):
    return E[ids], E
def backward(g, E):
    return np.stack([np.bincount(ids, g[:, j], len(E)) for j in range(E.shape[1])], axis=1)

# gather with ufunc.at: 6
i = np.array([0, 0, 5, 2])
def forward(x):
    return x[i] * 2, x
def backward(g, x):
    d = np.zeros(x.size)
    np.add.at(d, i, 2 * g)
    return d

# cumulative sum: 3x5
def forward(x):
    return np.cumsum(x, axis=1), None
def backward(g):
    return np.flip(np.cumsum(np.flip(g, 1), 1), 1)

# product of all: 5
def forward(x):
    return np.prod(x), x
def backward(g, x):
    return g * np.array([np.prod(np.delete(x, i)) for i in range(len(x))])

# two outputs: 3x2 3x2
def forward(a, b):
    return (a * b, a - b), (a, b)
def backward(dys, saved):
    a, b = saved
    p, m = dys
    return p * b + m, p * a - m

# three outputs by split: 2x6
def forward(x):
    return tuple(np.split(x, 3, axis=1)), None
def backward(dys, saved):
    return np.concatenate(dys, axis=1)

# broadcasting of a scalar: 3x4 -
def forward(x, s):
    return x * s, (x, s)
def backward(g, c):
    x, s = c
    return g * s, np.sum(g * x, axis=0) if np.ndim(s) else (g * x).sum()

# broadcasting of a row and a column: 1x4 3x1
def forward(r, c):
    return r * c, (r, c)
def backward(g, s):
    r, c = s
    return (g * c).sum(0, keepdims=True), (g * r).sum(1, keepdims=True)

# positive quotient: 4x2 4x2
def forward(a, b):
    return a / b, (a, b)
def backward(g, c):
    a, b = c
    q = g / b
    return q, -q * (a / b)

# positive power of a power: 5 5
def forward(a, b):
    return a**b, (a, b)
def backward(g, c):
    a, b = c
    return g * b * a**b / a, g * np.log(a) * a**b

# absolute value: 3x3
def forward(x):
    return np.sqrt(x * x), x
def backward(g, x):
    return np.sign(x) * g

# leaky by maximum: 3x4
def forward(x):
    return np.maximum(x, 0.2 * x) if not np.iscomplexobj(x) else np.where(x.real > 0, x, 0.2 * x), x
def backward(dout, x):
    d = np.full(x.shape, 0.2)
    d[x > 0] = 1.0
    d *= dout
    return d

# elu from its output: 3x4
def forward(x):
    return np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1), None
def backward(g, y):
    return np.where(y > 0, g, g * (y + 1))

# swish from y: 3x4
def forward(x):
    s = 1 / (1 + np.exp(-x))
    return x * s, (x * s, s)
def backward(g, c):
    y, s = c
    return g * (y + s * (1 - y))

# attention by loops over queries: 2x3 4x3 4x2
def forward(q, k, v):
    s = q @ k.T
    p = np.exp(s - s.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return p @ v, (q, k, v, p)
def backward(g, c):
    q, k, v, p = c
    dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    for i in range(len(q)):
        dv += np.outer(p[i], g[i])
        t = v @ g[i]
        ds = p[i] * (t - p[i] @ t)
        dq[i] = ds @ k
        dk += np.outer(ds, q[i])
    return dq, dk, dv

# recurrent with a stack of caches: 2x3 3x3
def forward(h, w):
    caches = []
    for _ in range(3):
        n = np.tanh(h @ w)
        caches.append((h, n))
        h = n
    return h, (caches, w)
def backward(g, saved):
    caches, w = saved
    dw = 0
    for h, n in reversed(caches):
        z = g * (1 - n * n)
        dw = dw + h.T @ z
        g = z @ w.T
    return g, dw

# cosine distance: 4 4
def forward(a, b):
    return (a @ b) / np.sqrt(a @ a) / np.sqrt(b @ b), (a, b)
def backward(g, c):
    a, b = c
    A, B = np.linalg.norm(a), np.linalg.norm(b)
    return g * (b / A / B - a * (a @ b) / A**3 / B), g * (a / A / B - b * (a @ b) / A / B**3)

# mean squared error without mean: 3x2 3x2
def forward(p, t):
    return 0.5 * np.sum((p - t) ** 2) / p.shape[0], (p, t)
def backward(g, c):
    d = (c[0] - c[1]) / len(c[0])
    return g * d, -g * d

# trace: 3x3
def forward(a):
    return np.trace(a @ a), a
def backward(g, a):
    return 2 * g * a.T

# inverse matrix: 3x3
def forward(a):
    b = np.linalg.inv(a + 4 * np.eye(3))
    return b, b
def backward(g, b):
    return -b.T @ g @ b.T

# transposed views: 2x3x4
def forward(x):
    return x.transpose(2, 0, 1), None
def backward(g):
    return g.transpose(1, 2, 0)

# rolled: 3x4
def forward(x):
    return np.roll(x, 1, axis=1) + x, None
def backward(g):
    return g + np.roll(g, -1, axis=1)

# padded with its edge: 3
def forward(x):
    return np.concatenate([x[:1], x, x[-1:]]), None
def backward(g):
    d = g[1:-1].copy()
    d[0] += g[0]
    d[-1] += g[-1]
    return d

# large numbers: 3x4
def forward(x):
    return 1e6 * x**2, x
def backward(g, x):
    return 2e6 * x * g

# small numbers: 3x4
def forward(x):
    return 1e-6 * x**2, x
def backward(g, x):
    return 2e-6 * x * g

# a dict of gradients: 3x2 2x4
def forward(x, w):
    return x @ w, {"x": x, "w": w}
def backward(dout, cache):
    grads = {}
    grads["dw"] = cache["x"].T @ dout
    grads["dx"] = dout @ cache["w"].T
    return grads

# a list of gradients: 3 3
def forward(a, b):
    return a * b, [a, b]
def backward(g, c):
    return [g * c[1], g * c[0]]

# named like forward: 3x2 2
def forward(features, scale):
    return features * scale, None
def backward(grad_output, features, scale):
    return grad_output * scale, (grad_output * features).sum(0)

# huber with both sides: 5
def forward(r):
    return np.where(r * r < 1, r * r / 2, np.sqrt(r * r) - 0.5), r
def backward(g, r):
    return g * np.clip(r, -1, 1)

# sorted: 6
def forward(x):
    order = np.argsort(x.real)
    return x[order], order
def backward(g, order):
    d = np.empty_like(g)
    d[order] = g
    return d

# top two of a row: 3x4
def forward(x):
    at = np.argsort(x.real, axis=1)[:, -2:]
    return np.take_along_axis(x, at, 1), (x, at)
def backward(g, c):
    d = np.zeros(c[0].shape)
    np.put_along_axis(d, c[1], g, 1)
    return d

# dropout with a fixed mask: 3x4
mask = np.arange(12).reshape(3, 4) % 3 > 0
def forward(x):
    return np.where(mask, x / 0.75, 0), None
def backward(dout):
    return (dout * mask) / 0.75

# kronecker: 2x2 2x2
def forward(a, b):
    return np.kron(a, b), (a, b)
def backward(g, c):
    a, b = c
    t = g.reshape(2, 2, 2, 2)
    return np.einsum("ikjl,kl->ij", t, b), np.einsum("ikjl,ij->kl", t, a)
""")

KEPT = texts("""
# dense with a list comprehension: 3x2 2x4 4
def forward(x, w, b):
    return x @ w + b[None], (x, w)
def backward(upstream, memory):
    x, w = memory
    dx = np.array([w @ u for u in upstream])
    dw = np.add.reduce([xi[:, None] * ui[None] for xi, ui in zip(x, upstream)])
    return dx, dw, np.add.reduce(upstream)

# stacked dense: 2x3x4 2x4x3
def forward(x, w):
    return np.matmul(x, w), (x, w)
def backward(g, c):
    x, w = c
    return np.matmul(g, np.moveaxis(w, 1, 2)), np.einsum("bnd,bnf->bdf", x, g)

# weights shared over a stack: 2x3x4 4x2
def forward(x, w):
    return x @ w, (x, w)
def backward(g, c):
    x, w = c
    flat = x.reshape(-1, x.shape[-1])
    return (g.reshape(-1, 2) @ w.T).reshape(x.shape), flat.T @ g.reshape(len(flat), -1)

# bilinear in loops: 3x2 2x2 3x2
def forward(a, M, b):
    return ((a @ M) * b).sum(1), (a, M, b)
def backward(g, c):
    a, M, b = c
    dM = np.zeros_like(M)
    for n, gn in enumerate(g):
        dM += gn * a[n][:, None] * b[n]
    return g[:, None] * (b @ M.T), dM, g[:, None] * (a @ M)

# relu with heaviside: 4x3
def forward(x):
    return x * np.heaviside(x.real, 0), x
def backward(g, x):
    return g * np.heaviside(x, 0)

# relu of relu: 3x3
def forward(x):
    return np.where(x > 0, x, 0), x
def backward(g, x):
    g = np.where(x > 0, g, 0)
    return np.where(np.maximum(x, 0) > 0, g, 0)

# relu six: 3x4
def forward(x):
    return np.where(x > 6, 6, np.where(x > 0, x, 0 * x)), x
def backward(g, x):
    return g * ((x > 0) & (x < 6))

# hard sigmoid: 3x4
def forward(x):
    return np.where(x > 2.5, 1, np.where(x < -2.5, 0, 0.2 * x + 0.5)), x
def backward(g, x):
    return np.where(np.abs(x) < 2.5, 0.2 * g, 0.0)

# gelu by error function of tanh: 3x3
def forward(x):
    t = np.tanh(0.7978845608 * (x + 0.044715 * x**3))
    return 0.5 * x * (1 + t), (x, t)
def backward(g, c):
    x, t = c
    left = 0.5 * (1 + t)
    right = 0.5 * x * (1 - t) * (1 + t) * 0.7978845608 * (1 + 3 * 0.044715 * x * x)
    return (left + right) * g

# mish: 3x3
def forward(x):
    return x * np.tanh(np.log1p(np.exp(x))), x
def backward(dy, x):
    t = np.tanh(np.log1p(np.exp(x)))
    s = 1 / (1 + np.exp(-x))
    return dy * t + dy * x * (1 - t**2) * s

# log sigmoid: 3x4
def forward(x):
    return -np.log1p(np.exp(-x)), x
def backward(g, x):
    return g / (np.exp(x) + 1)

# log softmax by columns: 4x3
def forward(x):
    z = x - x.max(axis=0)
    return z - np.log(np.exp(z).sum(axis=0)), z
def backward(g, z):
    p = np.exp(z)
    p /= p.sum(axis=0)
    return g - p * g.sum(axis=0)

# softmax over all: 2x3
def forward(x):
    e = np.exp(x - x.max())
    return e / e.sum(), e
def backward(g, e):
    S = e.sum()
    return e * g / S - e * np.vdot(e, g) / S**2

# cross entropy of columns: 3x4
T = np.eye(3)[:, [0, 2, 1, 1]]
def forward(z):
    a = np.exp(z - z.max(0))
    a = a / a.sum(0)
    return -(T * np.log(a)).sum() / 4, a
def backward(g, a):
    return g * np.subtract(a, T) / T.shape[1]

# binary cross entropy with logits: 3x2
T = np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
def forward(z):
    return (np.log1p(np.exp(z)) - T * z).mean(), z
def backward(g, z):
    return g * (1 / (1 + np.exp(-z)) - T) / z.size

# hinge with counts: 4x3
y = np.array([0, 1, 2, 1])
def forward(s):
    m = s - s[range(4), y][:, None] + 1
    m[range(4), y] = 0
    return np.where(m > 0, m, 0).sum(), m
def backward(g, m):
    d = (m > 0) * 1.0
    d[range(4), y] -= d.sum(1)
    return g * d

# instance norm: 2x2x6
def forward(x):
    c = x - x.mean(-1, keepdims=True)
    r = 1 / np.sqrt((c**2).mean(-1, keepdims=True) + 0.01)
    return c * r, (c, r)
def backward(g, cache):
    c, r = cache
    h = c * r
    proj = np.einsum("nct,nct->nc", g, h)[..., None] / h.shape[-1]
    return (g - g.mean(-1, keepdims=True) - h * proj) * r

# batch norm of images: 2x3x2x2 3 3
def forward(x, gamma, beta):
    mu = x.mean((0, 2, 3), keepdims=True)
    v = ((x - mu) ** 2).mean((0, 2, 3), keepdims=True) + 0.001
    h = (x - mu) / np.sqrt(v)
    return gamma[:, None, None] * h + beta[:, None, None], (h, v, gamma)
def backward(dout, cache):
    h, v, gamma = cache
    flat = lambda a: a.transpose(0, 2, 3, 1).reshape(-1, a.shape[1])
    d, f = flat(dout), flat(h)
    dg, db, M = (d * f).sum(0), d.sum(0), len(d)
    dx = (d - db / M - f * dg / M) * gamma / np.sqrt(v.ravel())
    N, C, H, W = dout.shape
    return dx.reshape(N, H, W, C).transpose(0, 3, 1, 2), dg, db

# rms norm with two sums: 3x4 4
def forward(x, g):
    r = (x * x).mean(1, keepdims=True) ** -0.5
    return x * r * g, (x, g, r)
def backward(dy, c):
    x, g, r = c
    return r * dy * g - r**3 * x * np.mean(dy * g * x, 1, keepdims=True), np.sum(dy * x * r, 0)

# unit length by projection: 3x4
def forward(x):
    n = np.sqrt((x * x).sum(1, keepdims=True))
    return x / n, (x / n, n)
def backward(g, c):
    u, n = c
    return (g - u * np.einsum("nd,nd->n", g, u)[:, None]) / n

# max over an axis: 3x4
def forward(x):
    return x.max(axis=1), x
def backward(g, x):
    d = np.zeros(x.shape)
    d[np.arange(3), x.argmax(1)] = g
    return d

# maximum of two: 3x4 3x4
def forward(a, b):
    return np.where(a > b, a, b), (a, b)
def backward(g, c):
    m = c[0] > c[1]
    return g * m, g * ~m

# max pooling with overlap: 2x7
def forward(x):
    v = np.stack([x[:, 2 * i : 2 * i + 3] for i in range(3)], 1)
    return v.max(-1), (x, v.argmax(-1))
def backward(g, c):
    x, at = c
    d = np.zeros_like(x)
    for n, i in np.ndindex(at.shape):
        d[n, 2 * i + at[n, i]] += g[n, i]
    return d

# mean pooling by repeat: 2x4x6
def forward(x):
    return x.reshape(2, 2, 2, 3, 2).mean(axis=(2, 4)), None
def backward(g):
    return g.repeat(2, axis=1).repeat(2, axis=2) / 4

# global mean: 2x3x4x5
def forward(x):
    return x.mean(axis=(1, 2)), x
def backward(g, x):
    return np.broadcast_to(g[:, None, None] / (3 * 4), x.shape)

# transposed convolution: 2x4 3
def forward(x, w):
    y = np.zeros((2, 9), np.result_type(x, w))
    for i in range(4):
        y[:, 2 * i : 2 * i + 3] += x[:, i : i + 1] * w
    return y, (x, w)
def backward(g, c):
    x, w = c
    win = np.stack([g[:, 2 * i : 2 * i + 3] for i in range(4)], 1)
    return win @ w, np.einsum("ni,nik->k", x, win)

# depthwise: 2x5x3 2x3
def forward(x, w):
    return x[:, :-1] * w[0] + x[:, 1:] * w[1], (x, w)
def backward(g, c):
    x, w = c
    dx = np.zeros_like(x)
    dx[:, :-1] += g * w[0]
    dx[:, 1:] += g * w[1]
    return dx, np.stack([(g * x[:, :-1]).sum((0, 1)), (g * x[:, 1:]).sum((0, 1))])

# convolution with dilation: 1x7 2
def forward(x, w):
    return x[:, :-3] * w[0] + x[:, 3:] * w[1], (x, w)
def backward(g, c):
    x, w = c
    dx = np.pad(g * w[0], ((0, 0), (0, 3))) + np.pad(g * w[1], ((0, 0), (3, 0)))
    return dx, np.array([np.sum(g * x[:, :-3]), np.sum(g * x[:, 3:])])

# convolution by matrix: 2x5 3
def forward(x, w):
    return np.stack([x[:, i : i + 3] @ w for i in range(3)], 1), (x, w)
def backward(g, c):
    x, w = c
    K = np.zeros((5, 3))
    for i in range(3):
        K[i : i + 3, i] = w
    return g @ K.T, np.array([(x[:, k : k + 3] * g).sum() for k in range(3)])

# embedding with padding row: 4x2
ids = np.array([[0, 2], [3, 3]])
def forward(E):
    return E[ids].sum(1), E
def backward(g, E):
    d = np.zeros_like(E)
    for n, row in enumerate(ids):
        for i in row:
            d[i] += g[n]
    return d

# positions added: 2x3x4 5x4
def forward(x, P):
    return x + P[:3], (x, P)
def backward(g, c):
    d = np.zeros_like(c[1])
    d[: g.shape[1]] = g.sum(axis=0)
    return g, d

# positive reversed cumulative product: 4
def forward(x):
    return np.cumprod(x), x
def backward(g, x):
    y = np.cumprod(x)
    return np.array([np.sum(g[i:] * y[i:]) for i in range(len(x))]) / x

# differences: 3x5
def forward(x):
    return np.diff(x, axis=1), None
def backward(g):
    return -np.diff(np.pad(g, ((0, 0), (1, 1))), axis=1)

# outer product: 3 4
def forward(a, b):
    return a[:, None] * b, (a, b)
def backward(g, c):
    return g @ c[1], c[0] @ g

# sum and maximum as outputs: 2x3
def forward(x):
    return (x.sum(1), x.max(1)), x
def backward(gs, x):
    d = np.repeat(gs[0][:, None], x.shape[1], 1)
    d[np.arange(len(x)), x.argmax(1)] += gs[1]
    return d

# an output that is not used: 3x2
def forward(x):
    return (x**2, x[:1]), x
def backward(gs, x):
    d = 2 * x * gs[0]
    d[:1] += gs[1]
    return d

# scalar of everything: 2x2 3
def forward(a, b):
    return a.sum() * b.sum(), (a, b)
def backward(g, c):
    a, b = c
    return np.full_like(a, g * b.sum()), np.full_like(b, g * a.sum())

# broadcasting of three: 2x1x3 4x1 3
def forward(a, b, c):
    return a + b * c, (a, b, c)
def backward(g, s):
    a, b, c = s
    return g.sum(1, keepdims=True), (g * c).sum((0, 2))[:, None], (g * b).sum((0, 1))

# division by a norm that is shared: 4x3
def forward(x):
    n = np.sqrt((x * x).sum())
    return x / n, (x, n)
def backward(g, c):
    x, n = c
    return g / n - x * np.vdot(g, x) / n**3

# sine of a product: 4 4
def forward(a, b):
    return np.sin(a * b), (a, b)
def backward(g, c):
    k = g * np.cos(c[0] * c[1])
    return k * c[1], k * c[0]

# positive logarithm with a base: 4
def forward(x):
    return np.log2(x), x
def backward(g, x):
    return g / x / np.log(2)

# positive root of a sum: 3x4
def forward(x):
    return np.sqrt(x.sum(axis=1)), x
def backward(g, x):
    return (g / (2 * np.sqrt(x.sum(axis=1))))[:, None] + np.zeros_like(x)

# clipped: 3x4
def forward(x):
    return np.where(x > 1, 1, np.where(x < -1, -1, x)), x
def backward(g, x):
    d = g.copy()
    d[np.abs(x) > 1] = 0
    return d

# prelu with one slope: 3x4 1
def forward(x, a):
    return np.where(x > 0, x, a * x), (x, a)
def backward(g, c):
    x, a = c
    below = x < 0
    return g * np.where(below, a, 1), np.array([np.sum(g[below] * x[below])])

# attention in heads: 1x3x4 4x4
def forward(x, w):
    h = (x @ w).reshape(1, 3, 2, 2).swapaxes(1, 2)
    return h @ h.swapaxes(2, 3), (x, w, h)
def backward(g, c):
    x, w, h = c
    dh = (g + g.swapaxes(2, 3)) @ h
    d = dh.swapaxes(1, 2).reshape(1, 3, 4)
    return d @ w.T, np.tensordot(x, d, ((0, 1), (0, 1)))

# causal attention: 3x2 3x2 3x2
mask = np.triu(np.ones((3, 3), bool), 1)
def forward(q, k, v):
    s = np.where(mask, -1e9, q @ k.T)
    p = np.exp(s - s.max(1, keepdims=True))
    p = p / p.sum(1, keepdims=True)
    return p @ v, (q, k, v, p)
def backward(g, c):
    q, k, v, p = c
    dp = g @ v.T
    ds = p * (dp - (dp * p).sum(1)[:, None])
    return ds @ k, ds.T @ q, p.T @ g

# rnn with the loop in columns: 2x3x2 2x2
def forward(x, w):
    h, hs = 0 * x[:, 0], []
    for t in range(3):
        h = np.tanh(x[:, t] + h @ w)
        hs.append(h)
    return np.stack(hs, 1), (hs, w)
def backward(g, c):
    hs, w = c
    dx, dw, carry = np.empty_like(g), np.zeros_like(w), 0
    for t in (2, 1, 0):
        dx[:, t] = (g[:, t] + carry) * (1 - hs[t] ** 2)
        carry = dx[:, t] @ w.T
        if t:
            dw += hs[t - 1].T @ dx[:, t]
    return dx, dw

# gates of a highway: 3x2 3x2 3x2
def forward(x, h, t):
    g = 1 / (1 + np.exp(-t))
    return x + g * (h - x), (x, h, g)
def backward(dy, c):
    x, h, g = c
    return dy - dy * g, dy * g, dy * (h - x) * (g - g * g)

# determinant: 3x3
def forward(a):
    m = a + 3 * np.eye(3)
    return np.linalg.det(m), m
def backward(g, m):
    return g * np.linalg.det(m) * np.linalg.inv(m).T

# solve: 3x3 3
def forward(a, b):
    m = a + 4 * np.eye(3)
    x = np.linalg.solve(m, b)
    return x, (m, x)
def backward(g, c):
    m, x = c
    db = np.linalg.solve(m.T, g)
    return -np.outer(db, x), db

# diagonal: 3x3
def forward(a):
    return np.diagonal(a), None
def backward(g):
    return np.diag(g)

# interleaved by strides: 4 4
def forward(a, b):
    y = np.zeros(8, np.result_type(a, b))
    y[::2], y[1::2] = a, b
    return y, None
def backward(g):
    return g[::2].copy(), g[1::2].copy()

# views of the gradient: 4x2
def forward(x):
    return x[::-1].T, None
def backward(g):
    return g.T[::-1]

# reshaped to columns: 2x6
def forward(x):
    return x.reshape(4, 3, order="C") * 2, x
def backward(g, x):
    return (g + g).ravel().reshape(x.shape)

# mixture of sizes: 3x4 - 4
def forward(x, t, b):
    return (x + b) / np.exp(t), (x, t, b)
def backward(g, c):
    x, t, b = c
    s = g * np.exp(-t)
    return s, np.asarray(-(s * (x + b)).sum()), s.sum(0)

# tiny penalty: 3x4
def forward(w):
    return 0.001 * np.sqrt(w * w).sum() + (w**2).sum(), w
def backward(g, w):
    return g * (0.001 * np.sign(w) + 2 * w)

# triplet distance: 3x2 3x2
def forward(a, b):
    d = ((a - b) ** 2).sum(1)
    return np.where(d > 0.5, d, 0.5), (a, b, d)
def backward(g, c):
    a, b, d = c
    k = (2 * g * (d > 0.5))[:, None] * (a - b)
    return k, -k
""")
