"""A tinydx model as PyTorch's modules, with the same weights: images are NCHW, sequences (N,T,D).

The modules are those that a user of PyTorch would write; a chain of layers becomes one `nn.Sequential`. The activation at the
end is left out: PyTorch's losses take what is before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tinydx import layers
from tinydx.bench.peers import reset_first
from tinydx.models import calls_between
from tinydx.ops.convolution import padding_2d


class Graph(nn.Module):
    """Modules that take values by their numbers: 0 is the input, k what the k-th module gave."""

    def __init__(self, steps: list[tuple[nn.Module, list[int]]]):
        super().__init__()
        self.parts = nn.ModuleList(module for module, _ in steps)
        self.steps = steps

    def forward(self, x: Any) -> Any:
        values = [x]
        for module, sources in self.steps:
            values.append(module(*[values[k] for k in sources]))
        return values[-1]


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable):
        super().__init__()
        self.forward = function


class LastOutput(nn.Module):
    """A recurrence that returns its last output only."""

    def __init__(self, recurrence: nn.Module):
        super().__init__()
        self.recurrence = recurrence

    def forward(self, x: Any) -> Any:
        return self.recurrence(x)[0][:, -1]


class AllOutputs(LastOutput):
    """A recurrence that returns every output."""

    def forward(self, x: Any) -> Any:
        return self.recurrence(x)[0]


def translate(model: Any, tuned: bool, dropout: bool = True) -> tuple[nn.Module, Callable]:
    """The model without its last activation, and that activation.

    Arguments: model, of tinydx, built; tuned, whether images will be channels_last; dropout, whether to drop anything.
    Returns: the module, in training mode, and a function of what it returns.
    Raises: NotImplementedError for a layer that has no counterpart here.
    """
    start, end = model.ends()
    translation = _Translation(start, tuned, dropout)
    for call in calls_between([start], [end]):
        translation.add(call)
    *steps, (last, _) = translation.steps
    if not isinstance(last, nn.Sigmoid | nn.Softmax):
        raise NotImplementedError(f"{model.name} ends with {last}, not with a sigmoid or softmax")
    if all(sources == [k] for k, (_, sources) in enumerate(steps)):
        return nn.Sequential(*(module for module, _ in steps)), last
    return Graph(steps), last


class _Translation:
    """The modules so far, and where each symbol of the model's graph is."""

    def __init__(self, start: Any, tuned: bool, dropout: bool):
        self.tuned, self.dropout = tuned, dropout
        self.steps: list[tuple[nn.Module, list[int]]] = []
        self.number = {start: 0}
        self.flat: dict[Any, tuple[int, ...]] = {}  # symbols that were flattened in NCHW order, with their (H,W,C)
        self.ids: dict[Any, Any] = {}  # symbols with a mask, and the ids it is made from

    def add(self, call: Any) -> None:
        """Append the modules of a call."""
        layer, sources = call.layer, call.inputs
        name = type(layer).__name__
        if name not in TRANSLATIONS:
            raise NotImplementedError(f"{name} has no counterpart in torch_model.py")
        modules = TRANSLATIONS[name](self, layer, *sources)
        numbers = [self.number[s] for s in sources]
        if name == "GlobalAveragePooling1D" and sources[0] in self.ids:
            numbers.append(self.number[self.ids[sources[0]]])
        for module in modules:
            self.steps.append((module, numbers))
            numbers = [len(self.steps)]
        (output,) = call.outputs
        self.number[output] = numbers[0]
        if name in ("Activation", "Dropout"):  # the rest neither keeps the order nor the mask
            for known in (self.flat, self.ids):
                if sources[0] in known:
                    known[output] = known[sources[0]]
        if name == "Flatten" and not self.tuned:
            self.flat[output] = sources[0].shape[1:]
        if name == "Embedding" and layer.mask_zero:
            self.ids[output] = sources[0]

    # ---- layers ----

    def activation(self, function: Any) -> list[nn.Module]:
        """The module of an activation, [] for None."""
        if function is None:
            return []
        made = {
            "relu": lambda: nn.ReLU(inplace=self.tuned),
            "sigmoid": nn.Sigmoid,
            "tanh": nn.Tanh,
            "softmax": lambda: nn.Softmax(-1),
        }
        return [made[function.name]()]

    def dense(self, layer: Any, x: Any) -> list[nn.Module]:
        w = layer.kernel.numpy()
        if x in self.flat:
            height, width, channels = self.flat[x]
            w = w.reshape(height, width, channels, -1).transpose(2, 0, 1, 3).reshape(w.shape)
        module = nn.Linear(*w.shape, bias=layer.use_bias)
        return [_filled(module, weight=w.T, bias=layer.bias), *self.activation(layer.activation)]

    def convolution(self, layer: Any, x: Any) -> list[nn.Module]:
        w, groups = layer.kernel.numpy(), getattr(layer, "groups", layer.channels)
        if isinstance(layer, layers.DepthwiseConv2D):
            w = w.reshape(*w.shape[:2], 1, -1)
        (top, bottom), (left, right) = _border(layer, x, layer.kernel_size, layer.dilation)
        even = top == bottom and left == right
        module = nn.Conv2d(
            layer.channels,
            w.shape[3],
            layer.kernel_size,
            layer.strides,
            (top, left) if even else 0,
            layer.dilation,
            groups,
            bias=layer.use_bias,
        )
        around = [] if even else [nn.ZeroPad2d((left, right, top, bottom))]
        return [*around, _filled(module, weight=w.transpose(3, 2, 0, 1), bias=layer.bias), *self.activation(layer.activation)]

    def max_pooling(self, layer: Any, x: Any) -> list[nn.Module]:
        return [nn.MaxPool2d(layer.pool_size, layer.strides, _even_border(layer, x))]

    def average_pooling(self, layer: Any, x: Any) -> list[nn.Module]:
        return [nn.AvgPool2d(layer.pool_size, layer.strides, _even_border(layer, x), count_include_pad=False)]

    def flatten(self, layer: Any, x: Any) -> list[nn.Module]:
        if self.tuned and len(x.shape) == 4:
            return [Function(lambda t: t.permute(0, 2, 3, 1).flatten(1))]  # free where the image is channels_last
        return [nn.Flatten()]

    def reshape(self, layer: Any, x: Any) -> list[nn.Module]:
        target = layer.target_shape

        def run(t: Any) -> Any:
            t = t.permute(0, 2, 3, 1) if t.ndim == 4 else t
            t = t.reshape(len(t), *target)
            return t.permute(0, 3, 1, 2) if t.ndim == 4 else t

        return [Function(run)]

    def drop(self, layer: Any, x: Any) -> list[nn.Module]:
        if not layer.rate or not self.dropout:
            return [nn.Identity()]
        return [(nn.Dropout1d if layer.noise_shape else nn.Dropout)(layer.rate)]

    def batch_normalization(self, layer: Any, x: Any) -> list[nn.Module]:
        kind = nn.BatchNorm2d if len(x.shape) == 4 else nn.BatchNorm1d
        module = kind(x.shape[-1], layer.epsilon, 1 - layer.momentum)
        return [_filled(module, weight=layer.gamma, bias=layer.beta)]

    def layer_normalization(self, layer: Any, x: Any) -> list[nn.Module]:
        return [_filled(nn.LayerNorm(x.shape[-1], layer.epsilon), weight=layer.gamma, bias=layer.beta)]

    def embedding(self, layer: Any, x: Any) -> list[nn.Module]:
        return [_filled(nn.Embedding(layer.input_dim, layer.output_dim), weight=layer.embeddings)]

    def mean_over_time(self, layer: Any, x: Any) -> list[nn.Module]:
        if x not in self.ids:
            return [Function(lambda t: t.mean(1))]

        def masked(t: Any, ids: Any) -> Any:
            real = (ids != 0).to(t.dtype)
            return torch.bmm((real / real.sum(1, keepdim=True)).unsqueeze(1), t).squeeze(1)

        return [Function(masked)]

    def recurrence(self, layer: Any, x: Any) -> list[nn.Module]:
        """Our one bias is PyTorch's first: the second stays zero, and is not trained; a GRU has both."""
        made = {"SimpleRNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}[type(layer).__name__]
        module = made(x.shape[-1], layer.units, batch_first=True)
        w, u, b = (weight.numpy() for weight in (layer.kernel, layer.recurrent_kernel, layer.bias))
        if made is nn.GRU:
            w, u, b = reset_first(w), reset_first(u), reset_first(b)
        second = b[1] if made is nn.GRU else np.zeros_like(b)
        _filled(module, weight_ih_l0=w.T, weight_hh_l0=u.T, bias_ih_l0=b[0] if made is nn.GRU else b, bias_hh_l0=second)
        module.bias_hh_l0.requires_grad_(made is nn.GRU)
        return [(AllOutputs if layer.return_sequences else LastOutput)(module)]


def _attention(query: Any, value: Any, *key: Any) -> Any:
    return F.scaled_dot_product_attention(query, *key or (value,), value, scale=1.0)


def _functions(function: Callable) -> Callable:
    return lambda translation, layer, *sources: [Function(function)]


def _concatenated(*parts: Any) -> Any:
    return torch.cat(parts, 1)  # the channels of images, and of flat arrays


TRANSLATIONS: dict[str, Callable[..., list[nn.Module]]] = {
    "Activation": lambda translation, layer, x: translation.activation(layer.activation),
    "Add": _functions(lambda a, b: a + b),
    "Attention": _functions(_attention),
    "AveragePooling2D": _Translation.average_pooling,
    "BatchNormalization": _Translation.batch_normalization,
    "Concatenate": _functions(_concatenated),
    "Conv2D": _Translation.convolution,
    "Dense": _Translation.dense,
    "DepthwiseConv2D": _Translation.convolution,
    "Dropout": _Translation.drop,
    "Embedding": _Translation.embedding,
    "Flatten": _Translation.flatten,
    "GRU": _Translation.recurrence,
    "GlobalAveragePooling1D": _Translation.mean_over_time,
    "GlobalAveragePooling2D": _functions(lambda t: t.mean((2, 3))),
    "LSTM": _Translation.recurrence,
    "LayerNormalization": _Translation.layer_normalization,
    "MaxPooling2D": _Translation.max_pooling,
    "Reshape": _Translation.reshape,
    "SimpleRNN": _Translation.recurrence,
}


def _filled(module: nn.Module, **arrays: Any) -> nn.Module:
    """The module with these parameters; None for one that the layer does not have."""
    with torch.no_grad():
        for name, a in arrays.items():
            if a is not None:
                array = np.array(a if isinstance(a, np.ndarray) else a.numpy())
                getattr(module, name).copy_(torch.from_numpy(array))
    return module


def _border(layer: Any, x: Any, window: Any, dilation: Any = (1, 1)) -> Any:
    return padding_2d(layer.padding, [n or 1 for n in x.shape[1:3]], window, layer.strides, dilation)


def _even_border(layer: Any, x: Any) -> tuple[int, int]:
    (top, bottom), (left, right) = _border(layer, x, layer.pool_size)
    if (top, left) != (bottom, right):
        raise NotImplementedError(f"{layer.name} has a border that PyTorch's pooling does not have")
    return top, left
