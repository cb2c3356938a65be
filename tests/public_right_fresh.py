"""150 more right backwards that are written in unusual ways, collected anew: none may be blamed.

The format is that of `public_right.py`. Where a name says `tied`, inputs are whole numbers, so that maxima are shared and kinks
are hit; there any convention between the slopes of both sides is right. Where it says `negative`, all inputs are below zero.
"""

import numpy as np
import public_right
from public_right import texts


def inputs(name, shapes):
    """Numbers for a piece: as in `public_right`, rounded where its name says tied, below zero where it says negative."""
    arrays = public_right.inputs(name, shapes)
    if "tied" in name:
        return [np.round(2 * a) for a in arrays]
    return [-np.abs(a) - 0.2 for a in arrays] if "negative" in name else arrays


FRESH = texts("""
# relu with where and zeros like: 3x4
def forward(Z):
    return np.where(Z > 0, Z, np.zeros_like(Z)), Z
def backward(dA, cache):
    return np.where(cache > 0, dA, 0.0)

# relu by half of x plus abs: 3x4
def forward(x):
    return 0.5 * (x + np.abs(x)), x
def backward(g, x):
    return 0.5 * g * (1 + np.sign(x))

# relu by clip with no upper limit: 2x5
def forward(x):
    return x.clip(0, None), x
def backward(g, x):
    out = g + 0
    np.putmask(out, x < 0, 0)
    return out

# relu tied with slope one at zero: 4x4
def forward(x):
    return np.maximum(x, 0), x
def backward(g, x):
    return g * (x >= 0)

# relu tied with slope a half at zero: 4x4
def forward(x):
    return np.maximum(0, x), x
def backward(g, x):
    return g * np.heaviside(x, 0.5)

# absolute value tied with slope one at zero: 4x4
def forward(x):
    return np.abs(x), x
def backward(g, x):
    return np.where(x < 0, -g, g)

# absolute value tied with slope zero at zero: 4x4
def forward(x):
    return np.abs(x), x
def backward(g, x):
    return g * np.sign(x)

# leaky tied with the small slope at zero: 4x4
def forward(x):
    return np.where(x > 0, x, 0.1 * x), x
def backward(g, x):
    return np.where(x > 0, g, 0.1 * g)

# maximum of a row tied by the first: 3x5
def forward(x):
    return x.max(axis=1), x
def backward(g, x):
    dx = np.zeros(x.shape)
    dx[np.arange(len(x)), x.argmax(axis=1)] = g
    return dx

# maximum of a row tied by the last: 3x5
def forward(x):
    return x.max(axis=1), x
def backward(g, x):
    dx = np.zeros(x.shape)
    last = x.shape[1] - 1 - x[:, ::-1].argmax(axis=1)
    dx[np.arange(len(x)), last] = g
    return dx

# maximum of a row tied in equal shares: 3x5
def forward(x):
    return x.max(axis=1, keepdims=True), x
def backward(g, x):
    best = x == x.max(axis=1, keepdims=True)
    return g * best / best.sum(axis=1, keepdims=True)

# clipped tied at its limits: 3x5
def forward(x):
    return np.clip(x, -1, 1), x
def backward(g, x):
    return np.where((x < -1) | (x > 1), 0, g)

# elementwise minimum tied in halves: 3x4 3x4
def forward(a, b):
    return np.minimum(a, b), (a, b)
def backward(g, c):
    a, b = c
    w = (a < b) + 0.5 * (a == b)
    return g * w, g * (1 - w)

# max pooling tied by the first of the window: 1x4x6
def forward(x):
    v = x.reshape(1, 2, 2, 3, 2)
    return v.max(axis=(2, 4)), x
def backward(g, x):
    dx = np.zeros_like(x)
    for i in range(2):
        for j in range(3):
            w = x[0, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            r, s = np.unravel_index(np.argmax(w), w.shape)
            dx[0, 2 * i + r, 2 * j + s] += g[0, i, j]
    return dx

# hinge tied at its corner: 6
t = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
def forward(s):
    return np.maximum(0, 1 - t * s).sum(), s
def backward(g, s):
    return -g * t * (1 - t * s >= 0)

# sigmoid by tanh: 3x4
def forward(x):
    return 0.5 + 0.5 * np.tanh(x / 2), x
def backward(g, x):
    return g / 4 / np.cosh(x / 2) ** 2

# sigmoid from output and its complement: 3x4
def forward(x):
    y = np.exp(x) / (np.exp(x) + 1)
    return y, y
def backward(g, y):
    return g * (y - np.square(y))

# sigmoid by the symmetric product: 2x3
def forward(z):
    return 1 / (1 + np.exp(-z)), z
def backward(dA, z):
    f = lambda v: 1 / (1 + np.exp(-v))
    return dA * f(z) * f(-z)

# tanh by exponentials: 3x3
def forward(x):
    return (np.exp(2 * x) - 1) / (np.exp(2 * x) + 1), x
def backward(g, x):
    e = np.exp(2 * x)
    return 4 * g * e / (e + 1) ** 2

# tanh from factors: 3x3
def forward(x):
    y = np.tanh(x)
    return y, y
def backward(g, y):
    return g * (1 - y) * (1 + y)

# softplus as a class: 4x3
class Softplus:
    def forward(self, x):
        self.x = x
        return np.log(1 + np.exp(x))
    def backward(self, g):
        return g - g / (1 + np.exp(self.x))
layer = Softplus()
forward, backward = layer.forward, layer.backward

# dense as a class with attributes: 3x4 4x2
class Dense:
    def forward(self, x, w):
        self.x, self.w = x, w
        return x @ w
    def backward(self, grad):
        self.dw = self.x.T @ grad
        self.dx = grad @ self.w.T
        return self.dx, self.dw
net = Dense()
forward, backward = net.forward, net.backward

# selu from its output: 3x4
a, l = 1.6733, 1.0507
def forward(x):
    y = np.where(x > 0, l * x, l * a * (np.exp(x) - 1))
    return y, y
def backward(g, y):
    return g * np.where(y > 0, l, y + l * a)

# gelu by the tanh formula: 3x4
c = np.sqrt(2 / np.pi)
def forward(x):
    t = np.tanh(c * (x + 0.044715 * x**3))
    return x * (1 + t) / 2, (x, t)
def backward(g, s):
    x, t = s
    return g * ((1 + t) / 2 + x * (1 - t**2) / 2 * c * (1 + 0.134145 * x**2))

# swish with the slope beside the output: 3x4
def forward(x):
    s = 1 / (1 + np.exp(-x))
    return x * s, (s, s + x * s * (1 - s))
def backward(g, s):
    return s[1] * g

# softsign without abs: 3x4
def forward(x):
    return x / (1 + np.abs(x)), x
def backward(g, x):
    return g * np.power(1 + np.sqrt(x * x), -2)

# bent identity: 3x4
def forward(x):
    return (np.sqrt(x**2 + 1) - 1) / 2 + x, x
def backward(g, x):
    return g * (x / (2 * np.hypot(x, 1)) + 1)

# hard tanh by two relus: 3x4
def forward(x):
    return np.maximum(x + 1, 0) - np.maximum(x - 1, 0) - 1, x
def backward(g, x):
    return g * (np.abs(x) < 1)

# gated linear unit by split: 3x6
def forward(x):
    a, b = np.split(x, 2, axis=1)
    s = 1 / (1 + np.exp(-b))
    return a * s, (a, s)
def backward(g, c):
    a, s = c
    return np.hstack((g * s, g * a * s * (1 - s)))

# maxout of pairs: 3x6
def forward(x):
    p = x.reshape(3, 3, 2)
    return p.max(axis=2), p
def backward(g, p):
    first = p[..., 0] > p[..., 1]
    return np.stack([g * first, g * ~first], axis=2).reshape(3, 6)

# sine as an activation: 3x4
def forward(x):
    return np.sin(30 * x) / 30, x
def backward(g, x):
    return g * np.cos(30 * x)

# gaussian bump: 5
def forward(x):
    y = np.exp(-(x**2))
    return y, (x, y)
def backward(g, c):
    return -2 * np.prod([c[0], c[1], g], axis=0)

# shrinkage: 3x5
def forward(x):
    return np.sign(x) * np.maximum(np.abs(x) - 0.3, 0), x
def backward(g, x):
    g = g.copy()
    g[np.abs(x) < 0.3] = 0
    return g

# dense with weights stored transposed: 4x3 2x3 2
def forward(x, W, b):
    return np.dot(x, W.T) + b, (x, W)
def backward(dout, cache):
    x, W = cache
    return np.dot(dout, W), np.dot(x.T, dout).T, np.dot(dout.T, np.ones(len(dout)))

# dense with the bias in the matrix: 4x3 4x2
def forward(x, W):
    xb = np.c_[x, np.ones(len(x))]
    return xb @ W, (xb, W)
def backward(g, c):
    xb, W = c
    return (g @ W.T)[:, :-1], xb.T @ g

# dense of one example: 3 3x2 2
def forward(x, W, b):
    return x @ W + b, (x, W)
def backward(g, c):
    x, W = c
    return W @ g, x[:, None] * g[None, :], g

# dense in columns with keepdims: 3x5 2x3 2x1
def forward(A, W, b):
    return W @ A + b, (A, W)
def backward(dZ, cache):
    A, W = cache
    return W.T @ dZ, dZ @ A.T, dZ.sum(axis=1, keepdims=True)

# dense in columns with sums reshaped: 3x5 2x3 2x1
def forward(A, W, b):
    return np.matmul(W, A) + b, (A, W, b)
def backward(dZ, cache):
    A, W, b = cache
    return np.matmul(W.T, dZ), np.matmul(dZ, A.T), np.sum(dZ, 1).reshape(b.shape)

# dense batch by batch: 4x3 3x2
def forward(x, w):
    return np.array([row @ w for row in x]), (x, w)
def backward(g, c):
    x, w = c
    dx, dw = [], 0
    for row, gr in zip(x, g):
        dx.append(w @ gr)
        dw = dw + np.outer(row, gr)
    return np.stack(dx), dw

# dense twice with the same weights: 3x3 3x3
def forward(x, w):
    h = x @ w
    return h @ w, (x, w, h)
def backward(g, c):
    x, w, h = c
    dh = g @ w.T
    dw = h.T @ g
    dw += x.T @ dh
    return dh @ w.T, dw

# gram matrix: 4x3
def forward(x):
    return x @ x.T, x
def backward(g, x):
    return (g + g.T) @ x

# quadratic form: 3 3x3
def forward(x, A):
    return x @ A @ x, (x, A)
def backward(g, c):
    x, A = c
    return g * (A @ x + A.T @ x), g * np.multiply.outer(x, x)

# three matrices in a row: 2x3 3x3 3x2
def forward(a, b, c):
    return a @ b @ c, (a, b, c)
def backward(g, s):
    a, b, c = s
    return g @ (b @ c).T, a.T @ g @ c.T, (a @ b).T @ g

# low rank weights: 4x5 5x2 2x3
def forward(x, u, v):
    return x @ (u @ v), (x, u, v)
def backward(g, c):
    x, u, v = c
    dw = x.T @ g
    return np.linalg.multi_dot([g, v.T, u.T]), dw @ v.T, u.T @ dw

# weights with unit columns: 4x3 3x2
def forward(x, v):
    n = np.linalg.norm(v, axis=0)
    w = v / n
    return x @ w, (x, w, n)
def backward(g, c):
    x, w, n = c
    dw = x.T @ g
    return g @ w.T, (dw - w * np.einsum("io,io->o", w, dw)) / n

# masked weights: 3x4 4x4
m = np.tril(np.ones((4, 4)))
def forward(x, w):
    return x @ (w * m), (x, w)
def backward(g, c):
    x, w = c
    return g @ (w * m).T, np.tril(x.T @ g)

# stacked matrices by einsum: 2x3x4 2x4x2
def forward(a, b):
    return np.einsum("bij,bjk->bik", a, b), (a, b)
def backward(g, c):
    a, b = c
    return np.einsum("bik,bjk->bij", g, b), np.einsum("bij,bik->bjk", a, g)

# stacked matrices by transposes: 2x3x4 2x4x2
def forward(a, b):
    return a @ b, (a, b)
def backward(g, c):
    a, b = c
    return g @ b.transpose(0, 2, 1), np.swapaxes(a, -1, -2) @ g

# one matrix for a stack with loops: 2x3x4 4x2 2
def forward(x, w, b):
    return x @ w + b, (x, w)
def backward(g, c):
    x, w = c
    dw, db = np.zeros(w.shape), np.zeros(w.shape[1])
    for n in range(x.shape[0]):
        dw += x[n].T @ g[n]
        db += g[n].sum(0)
    return g @ w.T, dw, db

# vector times a stack: 4 2x3x4
def forward(v, x):
    return x @ v, (v, x)
def backward(g, c):
    v, x = c
    return np.tensordot(g, x, 2), g[..., np.newaxis] * v

# broadcast over leading axes undone by a helper: 2x3x4 3x1 4
def undo(g, shape):
    while g.ndim > len(shape):
        g = g.sum(0)
    for i, n in enumerate(shape):
        if n == 1:
            g = g.sum(i, keepdims=True)
    return g
def forward(x, a, b):
    return x * a + b, (x, a, b)
def backward(g, c):
    x, a, b = c
    return g * a, undo(g * x, a.shape), undo(g, b.shape)

# broadcast scalar by full sum: 3x4 1
def forward(x, k):
    return x * k, (x, k)
def backward(g, c):
    x, k = c
    return g * k, np.array([np.vdot(g, x)])

# broadcast undone by reshape and ones: 3x4 3x1
def forward(x, s):
    return x / np.exp(s), (x, s)
def backward(g, c):
    x, s = c
    d = g * np.exp(-s)
    return d, -((d * x) @ np.ones((4, 1)))

# column and row product: 3x1 1x4
def forward(a, b):
    return a * b, (a, b)
def backward(g, c):
    a, b = c
    return g @ b.T, a.T @ g

# channels scaled in einsum: 2x3x2x2 3
def forward(x, s):
    return np.einsum("nchw,c->nchw", x, s), (x, s)
def backward(g, c):
    x, s = c
    return np.einsum("nchw,c->nchw", g, s), np.einsum("nchw,nchw->c", g, x)

# mean taken off: 4x3
def forward(x):
    return x - x.mean(0), x
def backward(g, x):
    return g - np.ones((4, 4)) @ g / 4

# mean over two axes: 2x3x4
def forward(x):
    return x.mean(axis=(0, 2)), x.shape
def backward(g, shape):
    return np.broadcast_to(g[None, :, None] / 8, shape)

# variance by two moments: 5x3
def forward(x):
    return (x**2).mean(0) - x.mean(0) ** 2, x
def backward(g, x):
    return 2 / len(x) * g * (x - x.mean(0))

# standard deviation with one less: 6
def forward(x):
    return x.std(ddof=1), x
def backward(g, x):
    return g * (x - x.mean()) / (x.std(ddof=1) * 5)

# standard scores: 6
def forward(x):
    s = x.std()
    z = (x - x.mean()) / s
    return z, (z, s)
def backward(g, c):
    z, s = c
    n = z.size
    P = np.eye(n) - 1 / n - np.outer(z, z) / n
    return P @ g / s

# batch norm by its paper: 5x3 3 3
def forward(x, gamma, beta):
    mu, var = x.mean(0), x.var(0)
    return gamma * (x - mu) / np.sqrt(var + 1e-5) + beta, (x, gamma, mu, var)
def backward(dy, cache):
    x, gamma, mu, var = cache
    m = len(x)
    dxhat = dy * gamma
    dvar = (dxhat * (x - mu) * -0.5 * (var + 1e-5) ** -1.5).sum(0)
    dmu = (-dxhat / np.sqrt(var + 1e-5)).sum(0) + dvar * (-2 * (x - mu)).mean(0)
    dx = dxhat / np.sqrt(var + 1e-5) + dvar * 2 * (x - mu) / m + dmu / m
    return dx, (dy * (x - mu) / np.sqrt(var + 1e-5)).sum(0), dy.sum(0)

# batch norm without the mean's vanishing term: 5x3
def forward(x):
    d = x - x.mean(0)
    s = np.sqrt((d * d).mean(0) + 1e-3)
    return d / s, (d, s)
def backward(g, c):
    d, s = c
    dvar = -(g * d).sum(0) / (2 * s**3)
    dmu = -(g / s).sum(0)
    return g / s + 2 * dvar * d / 5 + dmu / 5

# batch norm feature by feature: 4x3 3
def forward(x, gamma):
    h = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-4)
    return gamma * h, (x, gamma, h)
def backward(g, c):
    x, gamma, h = c
    dx = np.empty_like(x)
    for j in range(x.shape[1]):
        k = gamma[j] / np.sqrt(np.var(x[:, j]) + 1e-4)
        dx[:, j] = k * (g[:, j] - np.mean(g[:, j]) - h[:, j] * np.mean(g[:, j] * h[:, j]))
    return dx, np.diag(h.T @ g).copy()

# batch norm with fixed statistics: 4x3 3 3
mean, var = np.array([0.1, -0.2, 0.3]), np.array([1.5, 0.7, 2.0])
def forward(x, gamma, beta):
    return gamma * (x - mean) / np.sqrt(var) + beta, (x, gamma)
def backward(g, c):
    x, gamma = c
    return g * gamma * var**-0.5, ((x - mean) * var**-0.5 * g).sum(0), g.sum(0)

# layer norm along the first axis: 4x3 4x1
def forward(x, gamma):
    h = (x - x.mean(0)) / x.std(0)
    return h * gamma, (x, h, gamma)
def backward(g, c):
    x, h, gamma = c
    d = g * gamma
    return (d - d.mean(0) - h * (d * h).mean(0)) / x.std(0), np.sum(g * h, 1, keepdims=True)

# layer norm over two axes: 2x3x4
def forward(x):
    m, s = x.mean((1, 2), keepdims=True), x.std((1, 2), keepdims=True)
    return (x - m) / s, ((x - m) / s, s)
def backward(g, c):
    h, s = (v.reshape(2, -1) for v in c)
    f = g.reshape(2, -1)
    out = [(a - a.mean() - b * (a @ b) / a.size) / k for a, b, k in zip(f, h, s)]
    return np.reshape(out, g.shape)

# instance norm by a loop: 2x2x5
def forward(x):
    return (x - x.mean(2, keepdims=True)) / np.sqrt(x.var(2, keepdims=True) + 1e-5), x
def backward(g, x):
    dx = np.zeros_like(x)
    for n in range(2):
        for c in range(2):
            r = 1 / np.sqrt(x[n, c].var() + 1e-5)
            h = (x[n, c] - x[n, c].mean()) * r
            dx[n, c] = r * (g[n, c] - g[n, c].mean() - h * (g[n, c] * h).mean())
    return dx

# group norm by its halves: 2x4x3
def forward(x):
    parts = np.split(x, 2, axis=1)
    return np.concatenate([(p - p.mean((1, 2), keepdims=True)) / p.std((1, 2), keepdims=True) for p in parts], 1), x
def backward(g, x):
    out = []
    for p, d in zip(np.split(x, 2, 1), np.split(g, 2, 1)):
        s = p.std((1, 2), keepdims=True)
        h = (p - p.mean((1, 2), keepdims=True)) / s
        out.append((d - d.mean((1, 2), keepdims=True) - h * (d * h).mean((1, 2), keepdims=True)) / s)
    return np.concatenate(out, axis=1)

# rms norm by the outer product: 4
def forward(x):
    r = np.sqrt((x @ x) / 4 + 1e-6)
    return x / r, (x, r)
def backward(g, c):
    x, r = c
    return (np.eye(4) / r - np.outer(x, x) / (4 * r**3)) @ g

# unit vectors: 3x4
def forward(v):
    n = np.linalg.norm(v, axis=1, keepdims=True)
    return v / n, (v, n)
def backward(g, c):
    v, n = c
    return g / n - v * np.einsum("nd,nd->n", g, v)[:, None] / n**3

# euclidean norm of a matrix: 3x4
def forward(w):
    n = np.sqrt(np.sum(w * w))
    return n, w / n
def backward(g, unit):
    return g * unit

# norm to the power of four: 5
def forward(x):
    return np.sum(x**2) ** 2, x
def backward(g, x):
    return 4 * g * x * x.dot(x)

# distance of all pairs: 3x2 4x2
def forward(a, b):
    return ((a[:, None] - b[None]) ** 2).sum(-1), (a, b)
def backward(g, c):
    a, b = c
    return 2 * (a * g.sum(1, keepdims=True) - g @ b), 2 * (b * g.sum(0)[:, None] - g.T @ a)

# cosine by unit vectors: 3x4 3x4
def forward(a, b):
    u, v = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    return np.einsum("nd,nd->n", u, v), (a, b, u, v)
def backward(g, s):
    a, b, u, v = s
    c = np.einsum("nd,nd->n", u, v)[:, None]
    g = g[:, None]
    return g * (v - c * u) / np.linalg.norm(a, axis=1)[:, None], g * (u - c * v) / np.linalg.norm(b, axis=1)[:, None]

# softmax in place: 3x4
def forward(x):
    e = np.exp(x - x.max(1, keepdims=True))
    e /= e.sum(1, keepdims=True)
    return e, e.copy()
def backward(g, p):
    d = g * p
    d -= p * d.sum(1, keepdims=True)
    return d

# softmax by centred gradients: 3x4
def forward(x):
    e = np.exp(x)
    p = e / e.sum(-1, keepdims=True)
    return p, p
def backward(g, p):
    return p * (g - np.average(g, axis=-1, weights=p)[:, None])

# softmax along the middle axis: 2x3x2
def forward(x):
    e = np.exp(x - x.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    return p, p
def backward(g, p):
    return g * p - p * np.einsum("nkt,nkt->nt", g, p)[:, None]

# softmax with a temperature that is learnt: 3x4 1
def forward(x, t):
    e = np.exp(x / t**2)
    p = e / e.sum(1, keepdims=True)
    return p, (x, t, p)
def backward(g, c):
    x, t, p = c
    dz = p * (g - (g * p).sum(1, keepdims=True))
    return dz / t**2, np.atleast_1d(-2 * (dz * x).sum() / t[0] ** 3)

# softmax of two by a sigmoid: 5x2
def forward(x):
    e = np.exp(x)
    return e / e.sum(1, keepdims=True), x
def backward(g, x):
    s = 1 / (1 + np.exp(x[:, 1] - x[:, 0]))
    d = s * (1 - s) * (g[:, 0] - g[:, 1])
    return np.c_[d, -d]

# log softmax with the softmax recomputed: 3x4
def forward(x):
    return x - np.log(np.exp(x).sum(1))[:, None], x
def backward(g, x):
    p = np.exp(x) / np.exp(x).sum(1)[:, None]
    return g - p * g.sum(1)[:, None]

# log sum exp of everything: 2x3
def forward(x):
    return np.log(np.sum(np.exp(x))), x
def backward(g, x):
    return g * np.exp(x - np.log(np.sum(np.exp(x))))

# log sum exp by logaddexp: 5
def forward(x):
    return np.log(np.exp(x).sum()), x
def backward(g, x):
    return np.exp(x - np.logaddexp.reduce(x)) * g

# log mean exp: 3x4
def forward(x):
    return np.log(np.exp(x).mean(0)), x
def backward(g, x):
    w = np.exp(x)
    return g * w / w.sum(axis=0)

# cross entropy by a loop: 4x3
y = [2, 0, 1, 1]
def forward(s):
    total = 0
    for i in range(4):
        total = total + np.log(np.exp(s[i]).sum()) - s[i][y[i]]
    return total / 4, s
def backward(g, s):
    ds = np.zeros_like(s)
    for i in range(4):
        e = np.exp(s[i])
        for k in range(3):
            ds[i, k] = (e[k] / e.sum() - (k == y[i])) * g / 4
    return ds

# cross entropy with soft targets that do not add up to one: 3x4
t = np.array([[0.1, 0.2, 0.3, 0.1], [1.0, 1.0, 0.0, 0.5], [0.0, 0.7, 0.1, 0.3]])
def forward(z):
    return -(t * (z - np.log(np.exp(z).sum(1, keepdims=True)))).sum(), z
def backward(g, z):
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return g * (p * t.sum(1, keepdims=True) - t)

# cross entropy with weights of the classes: 4x3
w, y = np.array([0.2, 1.0, 3.0]), np.array([2, 1, 0, 2])
def forward(z):
    logp = z - np.log(np.exp(z).sum(1, keepdims=True))
    return -(w[y] * logp[range(4), y]).sum() / w[y].sum(), logp
def backward(g, logp):
    d = np.exp(logp)
    d[range(4), y] -= 1
    return g * d * w[y][:, None] / w[y].sum()

# cross entropy with ignored rows: 4x3
y = np.array([2, -1, 0, -1])
def forward(z):
    k = y >= 0
    logp = z[k] - np.log(np.exp(z[k]).sum(1, keepdims=True))
    return -logp[np.arange(k.sum()), y[k]].mean(), z
def backward(g, z):
    dz = np.zeros_like(z)
    k = np.flatnonzero(y >= 0)
    p = np.exp(z[k]) / np.exp(z[k]).sum(1, keepdims=True)
    p[range(len(k)), y[k]] -= 1
    dz[k] = g * p / len(k)
    return dz

# label smoothing by two losses: 3x4
y, e = np.array([3, 0, 2]), 0.1
def forward(z):
    lp = z - np.log(np.exp(z).sum(1, keepdims=True))
    return -(1 - e) * lp[range(3), y].mean() - e * lp.mean(), lp
def backward(g, lp):
    p = np.exp(lp)
    one = np.zeros_like(p)
    one[range(3), y] = 1
    return g * ((1 - e) * (p - one) + e * (p - 0.25)) / 3

# binary cross entropy of probabilities by one fraction: 5
t = np.array([1.0, 0.0, 0.0, 1.0, 1.0])
def forward(z):
    p = 1 / (1 + np.exp(-z))
    return -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p)), p
def backward(g, p):
    dp = (p - t) / (p * (1 - p)) / p.size
    return g * dp * p * (1 - p)

# binary cross entropy with signs: 5
s = np.array([1.0, -1.0, -1.0, 1.0, 1.0])
def forward(z):
    return np.log1p(np.exp(-s * z)), z
def backward(g, z):
    return -s * g / (1 + np.exp(s * z))

# binary cross entropy in its stable form: 3x2
t = np.array([[1.0, 0.0], [0.3, 1.0], [0.0, 0.0]])
def forward(z):
    return (np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z)))).mean(), z
def backward(g, z):
    return g * ((z > 0) - t - np.sign(z) / (1 + np.exp(np.abs(z)))) / 6

# focal loss by logarithmic derivative: 5
def forward(z):
    p = 1 / (1 + np.exp(-z))
    return -((1 - p) ** 2) * np.log(p), p
def backward(g, p):
    return g * (2 * p * (1 - p) ** 2 * np.log(p) - (1 - p) ** 3)

# kullback leibler from probabilities positive: 3x3
q = np.array([[0.2, 0.3, 0.5], [0.6, 0.2, 0.2], [0.1, 0.1, 0.8]])
def forward(p):
    return (p * np.log(p / q)).sum(), p
def backward(g, p):
    return g * (1 + np.log(p) - np.log(q))

# kullback leibler of gaussians: 4 4
def forward(mu, logvar):
    return -0.5 * np.sum(1 + logvar - mu**2 - np.exp(logvar)), (mu, logvar)
def backward(g, c):
    mu, logvar = c
    return g * mu, 0.5 * g * np.expm1(logvar)

# reparameterisation: 3x2 3x2
noise = np.array([[0.3, -1.0], [0.5, 0.2], [-0.7, 1.1]])
def forward(mu, logvar):
    return mu + np.exp(0.5 * logvar) * noise, logvar
def backward(g, logvar):
    return g, g * noise * np.exp(logvar / 2) / 2

# entropy of a softmax: 4
def forward(z):
    p = np.exp(z) / np.exp(z).sum()
    return -(p * np.log(p)).sum(), p
def backward(g, p):
    lp = np.log(p)
    return -g * p * (lp - p @ lp)

# huber by clip: 6
def forward(r):
    a = np.abs(r)
    return np.where(a < 1, r**2 / 2, a - 0.5).sum(), r
def backward(g, r):
    return g * np.clip(r, -1, 1)

# pseudo huber: 6
def forward(r):
    return (np.sqrt(1 + r**2) - 1).mean(), r
def backward(g, r):
    return g * np.sin(np.arctan(r)) / 6

# log cosh: 6
def forward(r):
    return np.log(np.cosh(r)).sum(), r
def backward(g, r):
    return g * np.tanh(r)

# mean squared error by einsum: 4x2 4x2
def forward(p, t):
    d = p - t
    return np.einsum("ij,ij->", d, d) / d.size, d
def backward(g, d):
    h = d * (2.0 * g / d.size)
    return h, -h

# mean absolute error tied at zero: 4x3
def forward(p):
    return np.abs(p).mean(), p
def backward(g, p):
    return g * ((p > 0).astype(float) - (p < 0)) / p.size

# quantile loss: 6
def forward(e):
    return np.maximum(0.9 * e, -0.1 * e).sum(), e
def backward(g, e):
    return g * (0.9 - (e < 0))

# triplet loss by two calls: 4x2 4x2 4x2
def forward(a, p, n):
    h = ((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + 1
    return np.where(h > 0, h, 0).sum(), (a, p, n, h)
def backward(g, c):
    a, p, n, h = c
    k = (g * (h > 0)).reshape(-1, 1)
    dp, dn = -2 * k * (a - p), 2 * k * (a - n)
    return -(dp + dn), dp, dn

# multiclass hinge by a loop: 3x4
y = [1, 3, 0]
def forward(s):
    loss = 0
    for i in range(3):
        for j in range(4):
            if j != y[i]:
                loss = loss + np.maximum(0, s[i, j] - s[i, y[i]] + 1)
    return loss, s
def backward(g, s):
    ds = np.zeros(s.shape)
    for i in range(3):
        for j in range(4):
            if j != y[i] and s[i, j] - s[i, y[i]] + 1 > 0:
                ds[i, j] += g
                ds[i, y[i]] -= g
    return ds

# intersection over union positive: 4
t = np.array([1.0, 0.0, 1.0, 1.0])
def forward(p):
    i = (p * t).sum()
    return i / (p.sum() + t.sum() - i), (p, i)
def backward(g, c):
    p, i = c
    u = p.sum() + t.sum() - i
    return g * np.where(t == 1, 1 / u, -i / u**2)

# contrastive with in-batch negatives: 3x4 3x4
def forward(a, b):
    s = a @ b.T
    return (np.log(np.exp(s).sum(1)) - np.diag(s)).mean(), (a, b, s)
def backward(g, c):
    a, b, s = c
    p = np.exp(s) / np.exp(s).sum(1, keepdims=True) - np.eye(3)
    return g * p @ b / 3, g * p.T @ a / 3

# weight decay beside a product: 3x2 2x2
def forward(x, w):
    return (x @ w).sum() + 0.05 * (w**2).sum(), (x, w)
def backward(g, c):
    x, w = c
    return np.tile(g * w.sum(1), (3, 1)), g * (x.sum(0)[:, None] + 0.1 * w)

# elastic net: 3x4
def forward(w):
    return 0.2 * np.abs(w).sum() + 0.4 * np.sum(w**2), w
def backward(g, w):
    return g * (0.2 * w / np.abs(w) + 0.8 * w)

# group lasso: 3x4
def forward(w):
    return np.sqrt((w**2).sum(1)).sum(), w
def backward(g, w):
    return g * w / np.linalg.norm(w, axis=1)[:, None]

# total variation squared: 4x3
def forward(x):
    return (np.diff(x, axis=0) ** 2).sum() + (np.diff(x, axis=1) ** 2).sum(), x
def backward(g, x):
    d = np.zeros_like(x)
    a, b = np.diff(x, axis=0), np.diff(x, axis=1)
    d[1:] += a
    d[:-1] -= a
    d[:, 1:] += b
    d[:, :-1] -= b
    return 2 * g * d

# convolution by np.convolve: 6 3
def forward(x, w):
    return np.convolve(x, w, "valid"), (x, w)
def backward(g, c):
    x, w = c
    return np.correlate(g, w, "full"), np.convolve(x[::-1], g, "valid")

# convolution by shifted copies: 2x6 3
def forward(x, w):
    return sum(w[k] * x[:, k : k + 4] for k in range(3)), (x, w)
def backward(g, c):
    x, w = c
    dx = sum(w[k] * np.pad(g, ((0, 0), (k, 2 - k))) for k in range(3))
    return dx, np.array([np.vdot(g, x[:, k : k + 4]) for k in range(3)])

# convolution by a sparse matrix: 5 2
def forward(x, w):
    return np.array([x[i] * w[0] + x[i + 1] * w[1] for i in range(4)]), (x, w)
def backward(g, c):
    x, w = c
    M = np.zeros((4, 5))
    M[range(4), range(4)] = w[0]
    M[range(4), range(1, 5)] = w[1]
    return M.T @ g, np.array([x[:4] @ g, x[1:] @ g])

# convolution of images by sliding windows: 1x4x4x2 2x2x2x3
def forward(x, w):
    v = np.lib.stride_tricks.sliding_window_view(x, (2, 2), axis=(1, 2))
    return np.einsum("nijcab,abcf->nijf", v, w), (x, w)
def backward(g, c):
    x, w = c
    v = np.lib.stride_tricks.sliding_window_view(x, (2, 2), axis=(1, 2))
    gp = np.pad(g, ((0, 0), (1, 1), (1, 1), (0, 0)))
    gv = np.lib.stride_tricks.sliding_window_view(gp, (2, 2), axis=(1, 2))
    return np.einsum("nijfab,abcf->nijc", gv, w[::-1, ::-1]), np.einsum("nijcab,nijf->abcf", v, g)

# convolution with same padding and odd kernel: 1x3x4 3x3
def forward(x, w):
    p = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    y = np.zeros_like(x)
    for i in range(3):
        for j in range(4):
            y[:, i, j] = (p[:, i : i + 3, j : j + 3] * w).sum((1, 2))
    return y, (p, w)
def backward(g, c):
    p, w = c
    dp, dw = np.zeros_like(p), np.zeros_like(w)
    for i, j in np.ndindex(3, 4):
        dp[:, i : i + 3, j : j + 3] += g[:, i, j, None, None] * w
        dw += np.tensordot(g[:, i, j], p[:, i : i + 3, j : j + 3], 1)
    return dp[:, 1:-1, 1:-1], dw

# convolution with stride two by columns: 2x7 3
def forward(x, w):
    idx = 2 * np.arange(3)[:, None] + np.arange(3)
    return x[:, idx] @ w, (x, w, idx)
def backward(g, c):
    x, w, idx = c
    dx = np.zeros_like(x)
    for n in range(len(x)):
        np.add.at(dx[n], idx, g[n][:, None] * w)
    return dx, np.einsum("nt,ntk->k", g, x[:, idx])

# pointwise convolution: 2x3x2x2 4x3
def forward(x, w):
    return np.einsum("nchw,fc->nfhw", x, w), (x, w)
def backward(g, c):
    x, w = c
    flat = lambda v: np.moveaxis(v, 1, -1).reshape(-1, v.shape[1])
    return np.moveaxis(np.tensordot(g, w, ((1,), (0,))), -1, 1), flat(g).T @ flat(x)

# depthwise images by multiplication: 1x3x3x2 2x2x2
def forward(x, w):
    return sum(w[a, b] * x[:, a : a + 2, b : b + 2] for a in range(2) for b in range(2)), (x, w)
def backward(g, c):
    x, w = c
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for a, b in np.ndindex(2, 2):
        dx[:, a : a + 2, b : b + 2] += w[a, b] * g
        dw[a, b] = np.einsum("nijc,nijc->c", g, x[:, a : a + 2, b : b + 2])
    return dx, dw

# upsampling by repeat: 2x3
def forward(x):
    return x.repeat(2, axis=0).repeat(3, axis=1), x
def backward(g, x):
    return g.reshape(2, 2, 3, 3).sum(axis=(1, 3))

# reflection at the edge: 5
def forward(x):
    return np.pad(x, 2, mode="reflect"), x
def backward(g, x):
    d = g[2:-2].copy()
    d[1:3] += g[1::-1]
    d[-3:-1] += g[-1:-3:-1]
    return d

# average pooling with overlap by cumulative sums: 2x6
def forward(x):
    return (x[:, :-2] + x[:, 1:-1] + x[:, 2:]) / 3, x
def backward(g, x):
    p = np.pad(g, ((0, 0), (2, 2)))
    s = np.cumsum(np.pad(p, ((0, 0), (1, 0))), axis=1)
    return (s[:, 3:] - s[:, :-3]) / 3

# global max by argmax: 2x3x3
def forward(x):
    return x.reshape(2, -1).max(1), x
def backward(g, x):
    d = np.zeros((2, 9))
    d[[0, 1], x.reshape(2, 9).argmax(1)] = g
    return d.reshape(x.shape)

# max pooling by sorted windows: 2x6
def forward(x):
    return x.reshape(2, 3, 2).max(-1), x
def backward(g, x):
    order = np.argsort(x.reshape(2, 3, 2), axis=-1)
    d = np.zeros((2, 3, 2))
    np.put_along_axis(d, order[..., -1:], g[..., None], -1)
    return d.reshape(2, 6)

# generalised mean pooling positive: 3x4
def forward(x):
    y = np.cbrt((x**3).mean(1))
    return y, (x, y)
def backward(g, c):
    x, y = c
    return (g / y**2)[:, None] * x**2 / 4

# embedding by a loop: 5x2
ids = [3, 0, 3, 1]
def forward(E):
    return E[ids], E.shape
def backward(g, shape):
    d = np.zeros(shape)
    for row, i in zip(g, ids):
        d[i] += row
    return d

# bag of words: 5x2
ids = np.array([[0, 1, 1], [4, 1, 2]])
def forward(E):
    return E[ids].mean(axis=1), E
def backward(g, E):
    count = np.array([np.bincount(r, minlength=5) for r in ids])
    return count.T @ g / 3

# gather of columns: 3x5
idx = np.array([4, 1, 1])
def forward(x):
    return x[:, idx], x
def backward(g, x):
    d = np.zeros_like(x)
    np.add.at(d.T, idx, g.T)
    return d

# dropout by where: 3x4
keep = np.array([[1, 0, 1, 1], [0, 0, 1, 1], [1, 1, 1, 0]], dtype=bool)
def forward(x):
    return np.where(keep, x / 0.8, 0), None
def backward(g, _):
    return np.where(keep, 1.25 * g, 0)

# residual block in place: 3x4 4x4
def forward(x, w):
    return x + np.tanh(x @ w), (x, w)
def backward(g, c):
    x, w = c
    dz = g * (1 - np.tanh(x @ w) ** 2)
    g = g.copy()
    g += dz @ w.T
    return g, x.T @ dz

# highway with a learnt gate: 3x2 2
def forward(x, a):
    t = 1 / (1 + np.exp(-a))
    return t * np.tanh(x) + (1 - t) * x, (x, t)
def backward(g, c):
    x, t = c
    return g * (t / np.cosh(x) ** 2 + 1 - t), ((np.tanh(x) - x) * g).sum(0) * t * (1 - t)

# attention with one query: 3 5x3 5x2
def forward(q, K, V):
    e = np.exp(K @ q)
    a = e / e.sum()
    return a @ V, (q, K, V, a)
def backward(g, c):
    q, K, V, a = c
    da = V @ g
    ds = a * da - a * (a @ da)
    return ds @ K, np.outer(ds, q), np.outer(a, g)

# attention in two heads by einsum: 3x4 3x4 3x4
def forward(q, k, v):
    Q, K, V = (x.reshape(3, 2, 2) for x in (q, k, v))
    e = np.exp(np.einsum("thd,shd->hts", Q, K) / 2)
    a = e / e.sum(-1, keepdims=True)
    return np.einsum("hts,shd->thd", a, V).reshape(3, 4), (Q, K, V, a)
def backward(g, c):
    Q, K, V, a = c
    G = g.reshape(3, 2, 2)
    da = np.einsum("thd,shd->hts", G, V)
    ds = a * (da - (a * da).sum(-1, keepdims=True)) / 2
    out = np.einsum("hts,shd->thd", ds, K), np.einsum("hts,thd->shd", ds, Q), np.einsum("hts,thd->shd", a, G)
    return tuple(x.reshape(3, 4) for x in out)

# linear attention: 3x2 3x2 3x2
def forward(q, k, v):
    return q @ (k.T @ v), (q, k, v)
def backward(g, c):
    q, k, v = c
    dM = q.T @ g
    return g @ v.T @ k, v @ dM.T, k @ dM

# additive attention scores: 3x2 2
def forward(h, v):
    return np.tanh(h) @ v, (h, v)
def backward(g, c):
    h, v = c
    t = np.tanh(h)
    return np.outer(g, v) * (1 - t * t), g @ t

# recurrent net that returns its last state: 4x2 2x2 2x2
def forward(x, U, W):
    h = [np.zeros(2)]
    for row in x:
        h.append(np.tanh(row @ U + h[-1] @ W))
    return h[-1], (x, U, W, h)
def backward(g, c):
    x, U, W, h = c
    dx, dU, dW = np.empty_like(x), 0, 0
    for t in (3, 2, 1, 0):
        g = g * (1 - h[t + 1] ** 2)
        dU, dW = dU + np.outer(x[t], g), dW + np.outer(h[t], g)
        dx[t] = U @ g
        g = W @ g
    return dx, dU, dW

# linear recurrence by powers: 4 1
def forward(x, a):
    h = 0
    for v in x:
        h = a * h + v
    return h, (x, a)
def backward(g, c):
    x, a = c
    n = len(x)
    dx = g * a ** np.arange(n - 1, -1, -1)
    da = g * sum((n - 1 - i) * x[i] * a ** (n - 2 - i) for i in range(n - 1))
    return dx, da

# gru mix by difference: 3x2 3x2 3x2
def forward(a, n, h):
    z = 1 / (1 + np.exp(-a))
    return n + z * (h - n), (z, n, h)
def backward(g, c):
    z, n, h = c
    return g * z * (1 - z) * (h - n), g - g * z, z * g

# lstm cell with a dict as its cache: 2x3 2x3 2x3 2x3 2x3
def forward(i, f, o, u, c):
    s = lambda v: 1 / (1 + np.exp(-v))
    k = dict(i=s(i), f=s(f), o=s(o), u=np.tanh(u), c=c)
    k["m"] = k["f"] * c + k["i"] * k["u"]
    return k["o"] * np.tanh(k["m"]), k
def backward(g, k):
    t = np.tanh(k["m"])
    dm = g * k["o"] * (1 - t * t)
    slope = lambda s: s * (1 - s)
    return (dm * k["u"] * slope(k["i"]), dm * k["c"] * slope(k["f"]), g * t * slope(k["o"]),
            dm * k["i"] * (1 - k["u"] ** 2), dm * k["f"])

# exponential moving average: 5
def forward(x):
    y = np.zeros_like(x)
    s = 0
    for i in range(5):
        s = 0.7 * s + 0.3 * x[i]
        y[i] = s
    return y, None
def backward(g, _):
    d, s = np.zeros(5), 0.0
    for i in range(4, -1, -1):
        s = g[i] + 0.7 * s
        d[i] = 0.3 * s
    return d

# bidirectional sum: 4x2
def forward(x):
    return np.cumsum(x, 0) * np.cumsum(x[::-1], 0)[::-1], x
def backward(g, x):
    a, b = np.cumsum(x, 0), np.cumsum(x[::-1], 0)[::-1]
    return np.cumsum((g * b)[::-1], 0)[::-1] + np.cumsum(g * a, 0)

# two layers written in one line: 4x3 3x5 5x2
def forward(x, a, b):
    return np.tanh(x @ a) @ b, (x, a, b)
def backward(g, c):
    x, a, b = c
    return ((g @ b.T) / np.cosh(x @ a) ** 2) @ a.T, x.T @ ((g @ b.T) / np.cosh(x @ a) ** 2), np.tanh(x @ a).T @ g

# three layers with lists: 3x2 2x3 3x2
def forward(x, w1, w2):
    acts = [x]
    for w in (w1, w2):
        acts.append(np.maximum(acts[-1] @ w, 0))
    return acts[-1], (acts, [w1, w2])
def backward(g, c):
    acts, ws = c
    grads = []
    for i in (1, 0):
        g = g * (acts[i + 1] > 0)
        grads.insert(0, acts[i].T @ g)
        g = g @ ws[i].T
    return [g, *grads]

# polynomial by horner: 5 4
def forward(x, c):
    y = 0
    for k in c:
        y = y * x + k
    return y, (x, c)
def backward(g, s):
    x, c = s
    return g * np.polyval(np.polyder(c), x), np.vander(x, 4).T @ g

# power with a learnt exponent positive: 5 5
def forward(x, n):
    y = x**n
    return y, (x, n, y)
def backward(g, c):
    x, n, y = c
    return g * n * y / x, g * np.log(x) * y

# geometric mean positive: 3x4
def forward(x):
    y = np.exp(np.log(x).mean(1))
    return y, (x, y)
def backward(g, c):
    x, y = c
    return (g * y)[:, None] / (4 * x)

# harmonic mean positive: 5
def forward(x):
    y = 5 / (1 / x).sum()
    return y, (x, y)
def backward(g, c):
    return g * c[1] ** 2 / (5 * c[0] ** 2)

# sum of a, b and their product: 4 4
def forward(a, b):
    return a + b + a * b, (a, b)
def backward(g, c):
    return g * (1 + c[1]), g * (1 + c[0])

# quotient with negative inputs: 4 4
def forward(a, b):
    return a / b, (a, b)
def backward(g, c):
    a, b = c
    return np.divide(g, b), np.negative(g) * a * np.reciprocal(b) ** 2

# square root of negative of the input, negative: 4
def forward(x):
    return np.sqrt(-x), x
def backward(g, x):
    return -g / (2 * np.sqrt(-x))

# cross product: 3 3
def forward(a, b):
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]), (a, b)
def backward(g, c):
    return np.cross(c[1], g), np.cross(g, c[0])

# rotation by an angle: 3x2 1
def forward(x, t):
    c, s = np.cos(t[0]), np.sin(t[0])
    R = np.array([[c, -s], [s, c]])
    return x @ R, (x, R)
def backward(g, k):
    x, R = k
    return g @ R.T, np.array([np.sum(g * (x @ R)[:, ::-1] * [1, -1])])

# rotary positions: 3x4
angle = np.arange(3)[:, None] * np.array([1.0, 0.1])
def forward(x):
    a, b = x[:, :2], x[:, 2:]
    return np.hstack([a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)]), None
def backward(g, _):
    a, b = g[:, :2], g[:, 2:]
    return np.hstack([a * np.cos(angle) + b * np.sin(angle), b * np.cos(angle) - a * np.sin(angle)])

# complex numbers by their parts: 2x3 2x3
def forward(a, b):
    return np.stack([a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]), (a, b)
def backward(g, c):
    a, b = c
    da = np.stack([g[0] * b[0] + g[1] * b[1], g[1] * b[0] - g[0] * b[1]])
    db = np.stack([g[0] * a[0] + g[1] * a[1], g[1] * a[0] - g[0] * a[1]])
    return da, db

# constants cast to float32: 3x4 4
scale = np.float32(0.5)
def forward(x, b):
    return x * scale + b, None
def backward(g, _):
    return g * scale, g.sum(0)

# integer constants in the backward: 3x3
def forward(x):
    return 3 * x**2, x
def backward(g, x):
    return np.int64(6) * x * g

# mask of int8: 3x4
def forward(x):
    return x * (x > 0), (x > 0).astype(np.int8)
def backward(g, m):
    return m * g

# read only results: 3x2
def forward(x):
    return x * 2, None
def backward(g, _):
    return np.broadcast_to(2 * g, g.shape)

# a view of the incoming gradient: 3x2
def forward(x):
    return x.T + 1, None
def backward(g, _):
    return g.T

# keyword with a default: 3x4
def forward(x, eps=1e-3):
    return np.log(x**2 + eps), (x, eps)
def backward(g, c):
    x, eps = c
    return 2 * g * x / (x**2 + eps)

# cache before output in the signature: 3x2 2x2
def forward(x, w):
    return x @ w, {"x": x, "w": w}
def backward(cache, dout):
    return dout @ cache["w"].T, cache["x"].T @ dout

# keyed gradients in another order: 3x2 2x2
def forward(x, w):
    return x @ w, (x, w)
def backward(dout, cache):
    x, w = cache
    return {"w": x.T @ dout, "x": dout @ w.T}

# gradients as a generator made a tuple: 2 2 2
def forward(a, b, c):
    return a * b * c, (a, b, c)
def backward(g, s):
    return tuple(g * np.prod([v for j, v in enumerate(s) if j != i], axis=0) for i in range(3))

# gradient with a negative stride: 4
def forward(x):
    return x[::-1] ** 2, x
def backward(g, x):
    return (2 * g * x[::-1])[::-1]

# a scalar output without brackets: 3
def forward(x):
    return float(0) + (x**3).sum(), x
def backward(g, x):
    return 3 * g * x**2

# empty cache: 2x2
def forward(x):
    return -x, ()
def backward(g, _):
    return -g

# nested caches: 3x2 2x2
def forward(x, w):
    z, inner = x @ w, (x, w)
    return 1 / (1 + np.exp(-z)), (inner, 1 / (1 + np.exp(-z)))
def backward(dA, cache):
    (x, w), s = cache
    dZ = dA * s * (1 - s)
    return dZ @ w.T, x.T @ dZ
""")
