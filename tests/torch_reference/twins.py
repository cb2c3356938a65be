"""What each layer of tinydx computes, written with PyTorch: `TWINS[class name](layer, inputs, state)`.

Nothing of tinydx is called here but the arguments that a layer was made with and its weights. A `Value` is a tensor and its mask.
`State` holds the weights as leaves of PyTorch's tape, whether this is training, and the moving averages after the call.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F


class Value(NamedTuple):
    """A tensor, and the mask (N,T) over its time steps, if it has one."""

    x: torch.Tensor
    mask: torch.Tensor | None = None


class State:
    """The weights by the Tensor of tinydx that they are copies of."""

    def __init__(self, weights: list[Any], training: bool):
        self.training = training
        self.leaves = {id(w): torch.tensor(w.data, dtype=torch.float64, requires_grad=w.requires_grad) for w in weights}
        self.moved: dict[int, torch.Tensor] = {}

    def __getitem__(self, weight: Any) -> torch.Tensor | None:
        return None if weight is None else self.leaves[id(weight)]


ACTIVATIONS = {
    None: lambda x: x, "linear": lambda x: x, "relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
    "softmax": lambda x: torch.softmax(x, -1), "leaky_relu": lambda x: F.leaky_relu(x, 0.2), "elu": F.elu,
    "softplus": F.softplus, "silu": F.silu,
}  # fmt: skip


def act(layer: Any, x: torch.Tensor) -> torch.Tensor:
    return ACTIVATIONS[layer.config.get("activation")](x)


def dense(layer, v, s):
    bias = s[layer.bias]
    return Value(act(layer, F.linear(v.x, s[layer.kernel].T, bias)), v.mask)


def dropout(layer, v, s):
    assert not s.training or layer.config["rate"] == 0
    return v


# ---- images (N,H,W,C) ------------------------------------------------------------------------------------------------


def first(x: torch.Tensor) -> torch.Tensor:
    """(N,H,W,C) -> (N,C,H,W)"""
    return x.permute(0, 3, 1, 2)


def last(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 2, 3, 1)


def two(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def same(x: torch.Tensor, size: Any, stride: Any, dilation: Any, fill: float) -> torch.Tensor:
    """Padded as TensorFlow does for "same": the larger half behind."""
    pads: list[int] = []
    for n, k, s, d in reversed(list(zip(x.shape[2:], two(size), two(stride), two(dilation), strict=True))):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=fill)


def conv2d(layer, v, s):
    c = layer.config
    stride, dilation, groups = c.get("strides", 1), c.get("dilation_rate", 1), c.get("groups", 1)
    x = first(v.x)
    if c.get("padding") == "same":
        x = same(x, c["kernel_size"], stride, dilation, 0.0)
    y = F.conv2d(x, s[layer.kernel].permute(3, 2, 0, 1).contiguous(), s[layer.bias], two(stride), 0, two(dilation), groups)
    return Value(act(layer, last(y)))


def max_pooling2d(layer, v, s):
    c = layer.config
    size, stride = c["pool_size"], c.get("strides") or c["pool_size"]
    x = first(v.x)
    x = same(x, size, stride, 1, -torch.inf) if c.get("padding") == "same" else x
    return Value(last(F.max_pool2d(x, two(size), two(stride))))


def average_pooling2d(layer, v, s):
    c = layer.config
    size, stride = c["pool_size"], c.get("strides") or c["pool_size"]
    x, ones = first(v.x), torch.ones_like(first(v.x))
    if c.get("padding") == "same":
        x, ones = same(x, size, stride, 1, 0.0), same(ones, size, stride, 1, 0.0)
    return Value(last(F.avg_pool2d(x, two(size), two(stride)) / F.avg_pool2d(ones, two(size), two(stride))))


def zero_padding2d(layer, v, s):
    (top, bottom), (left, right) = layer.config["padding"]
    return Value(F.pad(v.x, (0, 0, left, right, top, bottom)))


# ---- normalisation ---------------------------------------------------------------------------------------------------


def batch_normalization(layer, v, s):
    c = layer.config
    axis, eps, momentum = c.get("axis", -1) % v.x.ndim, c.get("epsilon", 1e-3), c.get("momentum", 0.99)
    x = v.x.movedim(axis, -1)
    mean, variance = s[layer.moving_mean], s[layer.moving_variance]
    if s.training:
        rows = x.reshape(-1, x.shape[-1])
        if v.mask is None:
            real = rows
        else:
            assert axis == v.x.ndim - 1
            mask = v.mask.reshape(*v.mask.shape, *(1,) * (x.ndim - 1 - v.mask.ndim)).expand(x.shape[:-1])
            real = x[mask]
        now_mean = real.mean(0) if len(real) else torch.zeros(x.shape[-1], dtype=x.dtype)
        now_variance = real.var(0, unbiased=False) if len(real) else torch.zeros(x.shape[-1], dtype=x.dtype)
        for weight, old, now in ((layer.moving_mean, mean, now_mean), (layer.moving_variance, variance, now_variance)):
            s.moved[id(weight)] = (old * momentum + now * (1 - momentum)).detach()
        mean, variance = now_mean, now_variance
    y = (x - mean) / torch.sqrt(variance + eps)
    y = y if layer.gamma is None else y * s[layer.gamma]
    y = y if layer.beta is None else y + s[layer.beta]
    return Value(y.movedim(-1, axis), v.mask)


def layer_normalization(layer, v, s):
    gamma, beta = s[layer.gamma], s[layer.beta]
    shape = layer.weight_shape
    return Value(F.layer_norm(v.x, shape, gamma, beta, layer.config.get("epsilon", 1e-3)), v.mask)


# ---- sequences -------------------------------------------------------------------------------------------------------


def _cell(layer, s):
    """PyTorch's own cells, (x_t, states) -> states."""
    w, u, name = s[layer.kernel].T, s[layer.recurrent_kernel].T, type(layer).__name__
    b, zero = s[layer.bias], torch.zeros(w.shape[0], dtype=w.dtype)
    if name == "SimpleRNN":
        return lambda x, h: [torch.rnn_tanh_cell(x, h[0], w, u, zero if b is None else b, zero)]
    if name == "LSTM":
        return lambda x, h: list(torch.lstm_cell(x, h, w, u, zero if b is None else b, zero))
    units = layer.units  # PyTorch's GRU has its gates as r, z, n
    order = torch.cat([torch.arange(units, 2 * units), torch.arange(units), torch.arange(2 * units, 3 * units)])
    if not layer.config.get("reset_after", True):  # PyTorch has no such cell

        def before(x, h):
            z, r, g = F.linear(x, w, b).chunk(3, -1)
            uz, ur, ug = u.chunk(3, 0)
            z, r = torch.sigmoid(z + F.linear(h[0], uz)), torch.sigmoid(r + F.linear(h[0], ur))
            return [z * h[0] + (1 - z) * torch.tanh(g + F.linear(r * h[0], ug))]

        return before
    two_biases = (zero, zero) if b is None else (b[0], b[1])
    return lambda x, h: [torch.gru_cell(x, h[0], w[order], u[order], *(b[order] for b in two_biases))]


def _through_time(layer, x, mask, s):
    """The first state after every step (N,T,U), and the last states."""
    cell, backwards = _cell(layer, s), layer.config.get("go_backwards", False)
    h = [torch.zeros(len(x), layer.units, dtype=x.dtype) for _ in range(2 if type(layer).__name__ == "LSTM" else 1)]
    outputs = []
    for t in reversed(range(x.shape[1])) if backwards else range(x.shape[1]):
        new = cell(x[:, t], h)
        h = new if mask is None else [torch.where(mask[:, t, None], n, o) for n, o in zip(new, h, strict=True)]
        outputs.append(h[0])
    return torch.stack(outputs, 1), h


def recurrent(layer, v, s):
    y, _ = _through_time(layer, v.x, v.mask, s)
    return Value(y, v.mask) if layer.return_sequences else Value(y[:, -1])


def bidirectional(layer, v, s):
    forwards, _ = _through_time(layer.forward_layer, v.x, v.mask, s)
    backwards, _ = _through_time(layer.backward_layer, v.x, v.mask, s)
    every = layer.forward_layer.return_sequences
    a, b = (forwards, backwards.flip(1)) if every else (forwards[:, -1], backwards[:, -1])
    if every and v.mask is not None:
        a, b = a * v.mask[..., None], b * v.mask[..., None]
    mode = layer.merge_mode
    merged = {"concat": lambda: torch.cat([a, b], -1), "sum": lambda: a + b, "mul": lambda: a * b, "ave": lambda: (a + b) / 2}
    return Value(merged[mode](), v.mask if every else None)


def masking(layer, v, s):
    mask = (v.x != layer.config.get("mask_value", 0.0)).any(-1)
    return Value(v.x * mask[..., None], mask)


def embedding(layer, v, s):
    return Value(F.embedding(v.x, s[layer.embeddings]), v.x != 0 if layer.mask_zero else None)


def global_average_pooling1d(layer, v, s):
    if v.mask is None:
        return Value(v.x.mean(1))
    mask = v.mask[..., None].to(v.x.dtype)
    return Value((v.x * mask).sum(1) / mask.sum(1).clamp(min=1))


def time_distributed(layer, v, s):
    steps = [TWINS[type(layer.layer).__name__](layer.layer, Value(v.x[:, t]), s).x for t in range(v.x.shape[1])]
    return Value(torch.stack(steps, 1), v.mask)


# ---- several inputs --------------------------------------------------------------------------------------------------


def _either(masks):
    return torch.stack(masks).any(0)


def add(layer, vs, s):
    masks = [v.mask for v in vs]
    return Value(sum(v.x for v in vs), None if None in [m if m is None else 1 for m in masks] else _either(masks))


def average(layer, vs, s):
    total = add(layer, vs, s)
    return Value(total.x / len(vs), total.mask)


def concatenate(layer, vs, s):
    axis = layer.config.get("axis", -1) % vs[0].x.ndim
    y = torch.cat([v.x for v in vs], axis)
    if all(v.mask is None for v in vs):
        return Value(y)
    masks = [torch.ones(v.x.shape[:2], dtype=torch.bool) if v.mask is None else v.mask for v in vs]
    return Value(y, torch.cat(masks, axis) if axis < 2 else _either(masks))


def attention(layer, vs, s):
    query, value, key = vs[0], vs[1], vs[-1]
    scale = s[layer.scale]
    if type(layer).__name__ == "Attention":
        scores = torch.einsum("nqu,nku->nqk", query.x, key.x) * (1 if scale is None else scale)
    else:
        sums = torch.tanh(query.x[:, :, None] + key.x[:, None])
        scores = (sums * (1 if scale is None else scale)).sum(-1)
    if value.mask is not None:
        scores = scores - 1e9 * (~value.mask[:, None]).to(scores.dtype)
    y = torch.softmax(scores, -1) @ value.x
    return Value(y if query.mask is None else y * query.mask[..., None], query.mask)


TWINS = {
    "Dense": dense, "Activation": lambda l, v, s: Value(act(l, v.x), v.mask), "Dropout": dropout,
    "Flatten": lambda l, v, s: Value(v.x.flatten(1)), "Reshape": lambda l, v, s: Value(v.x.reshape(len(v.x), *l.target_shape)),
    "Conv2D": conv2d, "MaxPooling2D": max_pooling2d, "AveragePooling2D": average_pooling2d, "ZeroPadding2D": zero_padding2d,
    "GlobalAveragePooling2D": lambda l, v, s: Value(v.x.mean((1, 2))),
    "GlobalMaxPooling2D": lambda l, v, s: Value(v.x.amax((1, 2))),
    "BatchNormalization": batch_normalization, "LayerNormalization": layer_normalization,
    "SimpleRNN": recurrent, "LSTM": recurrent, "GRU": recurrent, "Bidirectional": bidirectional,
    "Masking": masking, "Embedding": embedding, "GlobalAveragePooling1D": global_average_pooling1d,
    "TimeDistributed": time_distributed, "Add": add, "Average": average, "Concatenate": concatenate,
    "Attention": attention, "AdditiveAttention": attention,
}  # fmt: skip
