"""A tinydx model in tinygrad, with the same weights: images are NCHW, its compiler chooses the rest. It has no recurrences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tinygrad import Tensor, nn

from tinydx.models import calls_between
from tinydx.ops.convolution import padding_2d


def translate(model: Any, dropout: bool = True) -> tuple[Callable[[Tensor], Tensor], list[Tensor], str]:
    """The model without its last activation, as a function, its trainable weights, and that activation's name.

    Arguments: model, of tinydx, built; dropout, whether to drop anything.
    Raises: NotImplementedError for a layer that has no counterpart here.
    """
    start, end = model.ends()
    steps, weights, number = [], [], {start: 0}
    for call in calls_between([start], [end]):
        name = type(call.layer).__name__
        if name not in FUNCTIONS:
            raise NotImplementedError(f"{name} has no counterpart in tinygrad_model.py")
        run, *own = _identity() if name == "Dropout" and not dropout else FUNCTIONS[name](call.layer, *call.inputs)
        activation = getattr(call.layer, "activation", None)
        steps.append((run, [number[s] for s in call.inputs], activation.name if activation else ""))
        weights += own
        number[call.outputs[0]] = len(steps)
    run, sources, last = steps.pop()
    steps.append((run, sources, ""))

    def net(x: Tensor) -> Tensor:
        values = [x]
        for run, sources, activation in steps:
            y = run(*[values[k] for k in sources])
            values.append(getattr(y, activation)() if activation else y)
        return values[-1]

    return net, weights, last


# ---- layers: each gives a function of Tensors, and then its weights ----------------------------------------------------


def _weight(w: Any) -> Tensor:
    return Tensor(np.ascontiguousarray(w if isinstance(w, np.ndarray) else w.numpy())).contiguous().realize()


def _identity(*unused: Any) -> tuple:
    return (lambda x: x,)


def _dense(layer: Any, x: Any) -> tuple:
    w, b = _weight(layer.kernel), _weight(layer.bias)
    return (lambda t: t.dot(w) + b), w, b


def _convolution(layer: Any, x: Any) -> tuple:
    w, groups = layer.kernel.numpy(), getattr(layer, "groups", layer.channels)
    w = w.reshape(*w.shape[:2], 1, -1) if type(layer).__name__ == "DepthwiseConv2D" else w
    size = [n or 1 for n in x.shape[1:3]]
    (top, bottom), (left, right) = padding_2d(layer.padding, size, layer.kernel_size, layer.strides, layer.dilation)
    kernel, biases = _weight(w.transpose(3, 2, 0, 1)), [_weight(layer.bias)] if layer.use_bias else []
    move: dict[str, Any] = {"stride": layer.strides, "dilation": layer.dilation, "padding": (left, right, top, bottom)}
    return (lambda t: t.conv2d(kernel, *biases, groups=groups, **move)), kernel, *biases


def _flatten(layer: Any, x: Any) -> tuple:
    return (lambda t: (t.permute(0, 2, 3, 1) if t.ndim == 4 else t).flatten(1),)


def _batch_normalization(layer: Any, x: Any) -> tuple:
    made = nn.BatchNorm(x.shape[-1], layer.epsilon, momentum=1 - layer.momentum)
    made.weight, made.bias = _weight(layer.gamma), _weight(layer.beta)
    return made, made.weight, made.bias


def _layer_normalization(layer: Any, x: Any) -> tuple:
    gamma, beta = _weight(layer.gamma), _weight(layer.beta)
    return (lambda t: t.layernorm(eps=layer.epsilon) * gamma + beta), gamma, beta


def _embedding(layer: Any, x: Any) -> tuple:
    table = _weight(layer.embeddings)
    return (lambda ids: table[ids]), table


def _attention(layer: Any, *sources: Any) -> tuple:
    return (lambda query, value, *key: (query @ (key[0] if key else value).transpose(1, 2)).softmax(-1) @ value,)


FUNCTIONS: dict[str, Callable[..., tuple]] = {
    "Activation": _identity,
    "Add": lambda layer, *sources: (lambda a, b: a + b,),
    "Attention": _attention,
    "AveragePooling2D": lambda layer, x: (lambda t: t.avg_pool2d(layer.pool_size, layer.strides),),
    "BatchNormalization": _batch_normalization,
    "Conv2D": _convolution,
    "Dense": _dense,
    "DepthwiseConv2D": _convolution,
    "Dropout": lambda layer, x: (lambda t: t.dropout(layer.rate),),
    "Embedding": _embedding,
    "Flatten": _flatten,
    "GlobalAveragePooling1D": lambda layer, x: (lambda t: t.mean(1),),
    "GlobalAveragePooling2D": lambda layer, x: (lambda t: t.mean((2, 3)),),
    "LayerNormalization": _layer_normalization,
    "MaxPooling2D": lambda layer, x: (lambda t: t.max_pool2d(layer.pool_size, layer.strides),),
}
