"""Right work as classes, in the forms of well-known courses and books; test_gradcheck_files.py checks it."""

import numpy as np


class Layer:
    """Abstract, so it is not checked."""

    def forward(self, x):
        raise NotImplementedError

    def backward(self, dy):
        raise NotImplementedError


class Norm(Layer):
    """Makes its weights, and keeps their gradients as attributes."""

    def __init__(self, d):
        self.g, self.b = np.ones(d), np.zeros(d)

    def forward(self, x):
        self.s = np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
        self.n = (x - x.mean(axis=-1, keepdims=True)) / self.s
        return self.g * self.n + self.b

    def backward(self, dy):
        self.dg, self.db = (dy * self.n).sum(axis=0), dy.sum(axis=0)
        dn = dy * self.g
        return (dn - dn.mean(axis=-1, keepdims=True) - self.n * (dn * self.n).mean(axis=-1, keepdims=True)) / self.s


class LayerDense:
    """Its methods return nothing."""

    def __init__(self, n_inputs, n_neurons):
        self.weights, self.biases = 0.01 * np.random.randn(n_inputs, n_neurons), np.zeros((1, n_neurons))

    def forward(self, inputs):
        self.inputs = inputs
        self.output = inputs @ self.weights + self.biases

    def backward(self, dvalues):
        self.dweights, self.dbiases = self.inputs.T @ dvalues, dvalues.sum(axis=0, keepdims=True)
        self.dinputs = dvalues @ self.weights.T


class Affine:
    """Is given its weights, and keeps gradients in a list."""

    def __init__(self, W, b):
        self.params, self.grads = [W, b], [np.zeros_like(W), np.zeros_like(b)]

    def forward(self, x):
        W, b = self.params
        self.x = x
        return x @ W + b

    def backward(self, dout):
        self.grads[0][...], self.grads[1][...] = self.x.T @ dout, dout.sum(axis=0)
        return dout @ self.params[0].T


class SoftmaxWithLoss:
    """A loss of scores and class numbers, or rows of 0 and 1."""

    def forward(self, x, t):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        self.y, self.t = e / e.sum(axis=1, keepdims=True), t.argmax(axis=1) if t.ndim > 1 else t
        return -np.log(self.y[np.arange(len(x)), self.t] + 1e-7).mean()

    def backward(self, dout=1):
        dx = self.y.copy()
        dx[np.arange(len(dx)), self.t] -= 1
        return dout * dx / len(dx)


class TwoLayers:
    """Weights and gradients in dicts."""

    def __init__(self, inputs, hidden, outputs):
        self.params = {"W1": np.random.randn(inputs, hidden), "b1": np.zeros(hidden)}
        self.params |= {"W2": np.random.randn(hidden, outputs), "b2": np.zeros(outputs)}

    def forward(self, x):
        self.x, p = x, self.params
        self.h = np.maximum(0, x @ p["W1"] + p["b1"])
        return self.h @ p["W2"] + p["b2"]

    def backward(self, dy):
        dh = dy @ self.params["W2"].T * (self.h > 0)
        self.grads = {"W2": self.h.T @ dy, "b2": dy.sum(axis=0), "W1": self.x.T @ dh, "b1": dh.sum(axis=0)}
        return dh @ self.params["W1"].T


class Convolution:
    """Images with the channels first."""

    def __init__(self, c_in, c_out, k=3):
        self.W, self.b = np.random.randn(c_out, c_in, k, k), np.zeros(c_out)

    def forward(self, x):
        self.x, k = x, self.W.shape[-1]
        rows, columns = x.shape[2] - k + 1, x.shape[3] - k + 1
        y = np.zeros((len(x), len(self.W), rows, columns), x.dtype)
        for i in range(rows):
            for j in range(columns):
                y[:, :, i, j] = np.tensordot(x[:, :, i : i + k, j : j + k], self.W, ([1, 2, 3], [1, 2, 3])) + self.b
        return y

    def backward(self, dy):
        k, dx, self.dW = self.W.shape[-1], np.zeros_like(self.x), np.zeros_like(self.W)
        for i in range(dy.shape[2]):
            for j in range(dy.shape[3]):
                dx[:, :, i : i + k, j : j + k] += np.tensordot(dy[:, :, i, j], self.W, 1)
                self.dW += np.tensordot(dy[:, :, i, j].T, self.x[:, :, i : i + k, j : j + k], 1)
        self.db = dy.sum(axis=(0, 2, 3))
        return dx


class Cell:
    """Two inputs."""

    def __init__(self, n_in, n_h):
        self.Wx, self.Wh, self.b = np.random.randn(n_in, n_h), np.random.randn(n_h, n_h), np.zeros(n_h)

    def forward(self, x, h):
        self.x, self.h = x, h
        self.n = np.tanh(x @ self.Wx + h @ self.Wh + self.b)
        return self.n

    def backward(self, dn):
        da = dn * (1 - self.n**2)
        self.dWx, self.dWh, self.db = self.x.T @ da, self.h.T @ da, da.sum(axis=0)
        return da @ self.Wx.T, da @ self.Wh.T


class Pool:
    """A setting that has a default."""

    def __init__(self, size=2):
        self.size = size

    def forward(self, x):
        n, h, w, c = x.shape
        self.x, k = x, self.size
        self.cut = x.reshape(n, h // k, k, w // k, k, c)
        self.y = self.cut.max(axis=(2, 4), keepdims=True)
        return self.y[:, :, 0, :, 0]

    def backward(self, dy):
        return ((self.cut == self.y) * dy[:, :, None, :, None]).reshape(self.x.shape)


class Mul:
    """Static methods that keep what they need in ctx."""

    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return a * b

    @staticmethod
    def backward(ctx, d_output):
        a, b = ctx.saved_values
        return d_output * b, d_output * a
