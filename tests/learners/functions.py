"""Right work in the forms of well-known courses; test_gradcheck_files.py checks it, and what changes make of it."""

import numpy as np


def rms_norm_forward(x, g, eps=1e-6):
    r = np.sqrt((x**2).mean(axis=-1, keepdims=True) + eps)
    return x / r * g, (x, g, r)


def rms_norm_backward(dout, cache):
    x, g, r = cache
    dn = dout * g
    dx = dn / r - x * (dn * x).mean(axis=-1, keepdims=True) / r**3
    return dx, (dout * x / r).sum(axis=0)


def huber(pred, target, delta=1.0):
    size = np.abs(pred - target)
    return np.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta)).mean()


def huber_grad(pred, target, delta=1.0):
    r = pred - target
    return np.where(np.abs(r) <= delta, r, delta * np.sign(r)) / r.size


def svm_forward(W, X, y, reg):
    s = X @ W
    margins = np.maximum(0, s - s[np.arange(len(y)), y][:, None] + 1)
    margins[np.arange(len(y)), y] = 0
    return margins.sum() / len(y) + reg * (W * W).sum()


def svm_backward(W, X, y, reg):
    s = X @ W
    m = (s - s[np.arange(len(y)), y][:, None] + 1 > 0).astype(float)
    m[np.arange(len(y)), y] = 0
    m[np.arange(len(y)), y] = -m.sum(axis=1)
    return X.T @ m / len(y) + 2 * reg * W


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def divergence(logits, q):
    p = softmax(logits)
    return (p * (np.log(p) - np.log(q))).sum() / len(q)


def divergence_grad(logits, q):
    p = softmax(logits)
    g = np.log(p) - np.log(q)
    return p * (g - (p * g).sum(axis=1, keepdims=True)) / len(q)


def guarded(y, t):
    return -np.sum(t * np.log(y + 1e-7)) / len(y)


def guarded_backward(dout, y, t):
    return -dout * t / y / len(y)


def mean_square(y_true, y_pred):
    return ((y_pred - y_true) ** 2).mean()


def d_mean_square(y_true, y_pred):
    return 2 * (y_pred - y_true) / y_true.size


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def sigmoid_grad(z):
    return sigmoid(z) * (1 - sigmoid(z))


def double_forward(x):
    return x.repeat(2, axis=1)


def double_backward(x):
    return x[:, ::2] + x[:, 1::2]


def scaled_forward(x, w):
    return x * w, w


def scaled_backward(x, dout, cache):
    return dout * cache, dout * x


def embedding_forward(W, ids):
    return W[ids], (W.shape, ids)


def embedding_backward(dout, cache):
    shape, ids = cache
    dW = np.zeros(shape)
    np.add.at(dW, ids, dout)
    return dW, None


def layer_forward(A_prev, W, b, activation):
    Z = W @ A_prev + b
    return (np.maximum(0, Z) if activation == "relu" else sigmoid(Z)), ((A_prev, W, b), Z)


def layer_backward(dA, cache):
    (A_prev, W, _), Z = cache
    dZ = dA * (Z > 0)
    return W.T @ dZ, dZ @ A_prev.T, dZ.sum(axis=1, keepdims=True)


def conv_forward_naive(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    rows, columns = 1 + (padded.shape[2] - w.shape[2]) // s, 1 + (padded.shape[3] - w.shape[3]) // s
    out = np.zeros((len(x), len(w), rows, columns))
    for i in range(rows):
        for j in range(columns):
            here = padded[:, :, i * s : i * s + w.shape[2], j * s : j * s + w.shape[3]]
            out[:, :, i, j] = np.tensordot(here, w, ([1, 2, 3], [1, 2, 3])) + b
    return out, (x, w, b, conv_param)


def conv_backward_naive(dout, cache):
    x, w, _, conv_param = cache
    s, p = conv_param["stride"], conv_param["pad"]
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    dpadded, dw = np.zeros_like(padded), np.zeros_like(w)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            here = np.s_[:, :, i * s : i * s + w.shape[2], j * s : j * s + w.shape[3]]
            dpadded[here] += np.tensordot(dout[:, :, i, j], w, 1)
            dw += np.tensordot(dout[:, :, i, j].T, padded[here], 1)
    return dpadded[:, :, p:-p, p:-p], dw, dout.sum(axis=(0, 2, 3))


def max_pool_forward(x, pool_param):
    k, s = pool_param["pool_height"], pool_param["stride"]
    out = np.zeros((*x.shape[:2], (x.shape[2] - k) // s + 1, (x.shape[3] - k) // s + 1))
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            out[:, :, i, j] = x[:, :, i * s : i * s + k, j * s : j * s + k].max(axis=(2, 3))
    return out, (x, out, k, s)


def max_pool_backward(dout, cache):
    x, out, k, s = cache
    dx = np.zeros_like(x)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            here = np.s_[:, :, i * s : i * s + k, j * s : j * s + k]
            dx[here] += (x[here] == out[:, :, i, j][:, :, None, None]) * dout[:, :, i, j][:, :, None, None]
    return dx


def attention_forward(q, k, v):
    s = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    a = e / e.sum(axis=-1, keepdims=True)
    return a @ v, (q, k, v, a)


def attention_backward(dout, cache):
    q, k, v, a = cache
    da = dout @ v.swapaxes(-1, -2)
    ds = a * (da - (da * a).sum(axis=-1, keepdims=True)) / np.sqrt(q.shape[-1])
    return ds @ k, ds.swapaxes(-1, -2) @ q, a.swapaxes(-1, -2) @ dout


def svm_loss(W, X, y, reg):
    return svm_forward(W, X, y, reg), svm_backward(W, X, y, reg)


def logistic_cost(w, b, X, Y):
    A = sigmoid(w.T @ X + b)
    cost = -(Y * np.log(A) + (1 - Y) * np.log(1 - A)).sum() / X.shape[1]
    return cost, X @ (A - Y).T / X.shape[1], (A - Y).sum() / X.shape[1]


def unlucky_loss(p):
    """No pair: it returns no gradient."""
    return (p**2).sum()


def relu_derivative(z):
    return (z > 0) * 1.0


def tanh_prime(a):
    return 1 - a**2
