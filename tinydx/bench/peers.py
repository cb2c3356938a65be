"""PyTorch's counterpart of each op, in its fastest form: channels_last images and weights, fused optimizers.

A row of PEERS makes a Runner from our arrays. Layouts are converted during preparation and checking, never while timing.
Forward records what autograd needs, as our forward saves what backward needs; backward computes all gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from tinydx.bench.runner import Problem, Runner, listed
from tinydx.ops.convolution import padding_2d, pair


class Layout(NamedTuple):
    """Functions from our axes to PyTorch's and back, which return views of NumPy arrays."""

    to_torch: Callable[[np.ndarray], np.ndarray]
    back: Callable[[np.ndarray], np.ndarray]


SAME = Layout(lambda a: a, lambda a: a)
IMAGES = Layout(lambda a: a.transpose(0, 3, 1, 2), lambda a: a.transpose(0, 2, 3, 1))  # NHWC to NCHW
KERNEL = Layout(lambda a: a.transpose(3, 2, 0, 1), lambda a: a.transpose(2, 3, 1, 0))  # HWIO to OIHW
FLIPPED = Layout(lambda a: a[::-1, ::-1].transpose(3, 2, 0, 1), lambda a: a.transpose(2, 3, 1, 0)[::-1, ::-1])
PLACES = Layout(  # images or rows, with their channels last or second
    lambda a: a.transpose(0, 3, 1, 2) if a.ndim == 4 else a, lambda a: a.transpose(0, 2, 3, 1) if a.ndim == 4 else a
)
STATE = Layout(lambda a: a[None], lambda a: a[0])  # (N,U) to (layers,N,U)
TURNED = Layout(np.transpose, np.transpose)


_images = {"order": torch.channels_last}


@contextmanager
def contiguous() -> Iterator[None]:
    """What is prepared inside has its images and kernels in PyTorch's ordinary order: faster for some shapes."""
    _images["order"] = torch.contiguous_format
    try:
        yield
    finally:
        _images["order"] = torch.channels_last


def tensor(a: np.ndarray, layout: Layout = SAME) -> torch.Tensor:
    """A copy as a tensor; images and convolution kernels in channels_last order, but see `contiguous`."""
    t = torch.from_numpy(np.array(layout.to_torch(a), order="C"))
    return t.contiguous(memory_format=_images["order"]) if layout in (IMAGES, KERNEL, FLIPPED, PLACES) and t.ndim == 4 else t


def array(t: torch.Tensor, layout: Layout = SAME) -> np.ndarray:
    """A tensor as an array in our layout."""
    return layout.back(t.detach().numpy())


# ---- functions -----------------------------------------------------------------------------------------------------


def function(make: Callable[[Mapping[str, Any]], Callable], layouts: tuple[Layout, ...] = (), output: Any = SAME) -> Callable:
    """A row of PEERS for a function of tensors.

    Arguments: make, which makes the function from our constants; layouts of its inputs (SAME for those not given); output,
    the layout of its result, or a tuple of layouts.
    Returns: prepare(problem) -> Runner.
    """

    def prepare(problem: Problem) -> Runner:
        arrays = problem.arrays
        all_layouts = (*layouts, *[SAME] * len(arrays))[: len(arrays)]
        inputs = [None if a is None else tensor(a, layout) for a, layout in zip(arrays, all_layouts, strict=True)]
        return differentiated(make(problem.constants), inputs, all_layouts, output, problem)

    return prepare


def differentiated(run: Callable, inputs: list, layouts: tuple[Layout, ...], output: Layout | tuple, problem: Problem) -> Runner:
    """A Runner whose backward is autograd's, with the gradients that are needed; output is a layout, or one for each output."""
    wanted = [(t, to) for t, to, needed in zip(inputs, layouts, problem.needs, strict=True) if t is not None and needed]
    leaves, used = [t.requires_grad_() for t, _ in wanted], [to for _, to in wanted]
    y, outputs = listed(run(*inputs)), output if isinstance(output, tuple) and not isinstance(output, Layout) else (output,)
    dy = problem.dy
    slopes = None if dy is None else [tensor(np.asarray(d), to) for d, to in zip(listed(dy), outputs, strict=True)]

    def backward() -> Any:
        return torch.autograd.grad(y, leaves, slopes, retain_graph=True)

    def both() -> Any:
        return torch.autograd.grad(listed(run(*inputs)), leaves, slopes)

    return Runner(
        lambda: run(*inputs),
        None if dy is None else backward,
        None if dy is None else both,
        lambda result: [array(part, to) for part, to in zip(listed(result), outputs, strict=True)],
        lambda gradients: [array(g, to) for g, to in zip(gradients, used, strict=True)],
    )


def _plain(f: Callable) -> Callable:
    """A row of PEERS for a function whose constants have our names."""
    return function(lambda constants: lambda *inputs: f(*inputs, **constants))


def _border(padding: Any, x: torch.Tensor, window: Any, stride: Any, dilation: Any = (1, 1)) -> tuple[Any, tuple]:
    """PyTorch's symmetric padding, and the padding to add to x first where ours is not symmetric."""
    rows, columns = padding_2d(padding, tuple(x.shape[2:]), window, stride, dilation)
    if rows[0] == rows[1] and columns[0] == columns[1]:
        return (rows[0], columns[0]), ()
    return 0, (*columns, *rows)


def correlation(constants: Mapping[str, Any]) -> Callable:
    """correlate2d: images and kernel as NCHW and OIHW."""
    stride, dilation = pair(constants.get("stride", 1)), pair(constants.get("dilation", 1))

    def run(x: Any, w: Any, b: Any = None) -> Any:
        padding, around = _border(constants.get("padding", "valid"), x, tuple(w.shape[2:]), stride, dilation)
        x = F.pad(x, around) if around else x
        return F.conv2d(x, w, b, stride, padding, dilation, constants.get("groups", 1))

    return run


def correlation_relu_max(constants: Mapping[str, Any]) -> Callable:
    """correlate2d, ReLU and max pooling, one after the other."""
    convolve = correlation(constants)
    return lambda *inputs: F.max_pool2d(F.relu(convolve(*inputs)), constants.get("size", 2))


def max_pooling(constants: Mapping[str, Any]) -> Callable:
    """max_pool2d; "same" padding is added beforehand."""
    size = pair(constants.get("size", 2))
    stride = pair(constants.get("stride") or size)

    def run(x: Any) -> Any:
        padding, around = _border(constants.get("padding", "valid"), x, size, stride)
        x = F.pad(x, around, value=-np.inf) if around else x
        return F.max_pool2d(x, size, stride, padding)

    return run


def average_pooling(constants: Mapping[str, Any]) -> Callable:
    """average_pool2d; padded pixels do not count."""
    size = pair(constants.get("size", 2))
    stride = pair(constants.get("stride") or size)

    def run(x: Any) -> Any:
        padding, around = _border(constants.get("padding", "valid"), x, size, stride)
        if around:  # PyTorch leaves only its own padding out of the mean
            ones = F.pad(torch.ones_like(x[:1, :1]), around)
            return F.avg_pool2d(F.pad(x, around), size, stride) / F.avg_pool2d(ones, size, stride)
        return F.avg_pool2d(x, size, stride, padding, count_include_pad=False)

    return run


def lookup(constants: Mapping[str, Any]) -> Callable:
    """embedding."""
    ids = torch.from_numpy(constants["ids"])
    return lambda table: F.embedding(ids, table)


def normalization(constants: Mapping[str, Any]) -> Callable:
    """batch_normalization, whose moving statistics are the layer's."""
    eps = constants.get("eps", 1e-3)
    return lambda x, gamma, beta: F.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)


def targeted(loss: Callable) -> Callable:
    """A loss of numbers and their targets."""

    def make(constants: Mapping[str, Any]) -> Callable:
        target = torch.from_numpy(constants["target"])
        return lambda y: loss(y, target)

    return make


def labelled(loss: Callable) -> Callable:
    """A loss of scores and class numbers."""

    def make(constants: Mapping[str, Any]) -> Callable:
        labels = torch.from_numpy(constants["labels"])
        return lambda z: loss(z, labels)

    return make


# The arguments of torch.nn.RNN, LSTM and GRU: with biases, 1 layer, no dropout, training, one direction, (N,T,D).
AS_IN_MODULES = (True, 1, 0.0, True, False, True)


def rnn(constants: Mapping[str, Any]) -> Callable:
    """PyTorch has two biases where we have one, so the second is zero."""
    return lambda x, h, w, u, b: torch.rnn_tanh(x, h, (w, u, b, torch.zeros_like(b)), *AS_IN_MODULES)[0]


def lstm(constants: Mapping[str, Any]) -> Callable:
    """The LSTM over a whole sequence, as torch.nn.LSTM calls it."""

    def run(x: Any, h: Any, c: Any, w: Any, u: Any, b: Any) -> Any:
        y, _, last = torch.lstm(x, (h, c), (w, u, b, torch.zeros_like(b)), *AS_IN_MODULES)
        return y, last

    return run


def gru(constants: Mapping[str, Any]) -> Callable:
    """The GRU over a whole sequence, as torch.nn.GRU calls it."""
    return lambda x, h, w, u, b: torch.gru(x, h, (w, u, b[0], b[1]), *AS_IN_MODULES)[0]


def reset_first(a: np.ndarray) -> np.ndarray:
    """PyTorch's GRU has its gates in the order r, z, g; ours has z, r, g."""
    z, r, g = np.split(a, 3, axis=-1)
    return np.concatenate([r, z, g], axis=-1)


RESET_FIRST = Layout(reset_first, reset_first)
RESET_FIRST_TURNED = Layout(lambda a: reset_first(a).T, lambda a: reset_first(a.T))


# ---- optimizers ----------------------------------------------------------------------------------------------------


def optimizer(make: Callable[..., tuple[Any, dict, Callable]]) -> Callable:
    """A row of PEERS for an optimizer.

    Arguments: make(parameter, arrays, constants) -> (the optimizer, its state, a function that reads the state as ours).
    Returns: prepare(problem) -> Runner.
    """

    def prepare(problem: Problem) -> Runner:
        arrays = problem.arrays
        parameter = torch.nn.Parameter(tensor(np.asarray(arrays[0])))
        parameter.grad = tensor(np.asarray(arrays[-1]))
        stepper, memory, read = make(parameter, [tensor(np.asarray(a)) for a in arrays[1:-1]], problem.constants)
        stepper.state[parameter].update(memory)
        return Runner(stepper.step, None, None, lambda _: [array(t) for t in (parameter, *read())], list)

    return prepare


def sgd(parameter: Any, memory: list, k: Mapping[str, Any]) -> tuple:
    """sgd_update by the fused optimizer."""
    return torch.optim.SGD([parameter], k["learning_rate"], fused=True), {}, lambda: ()


def momentum(parameter: Any, memory: list, k: Mapping[str, Any]) -> tuple:
    """PyTorch's buffer is ours divided by -learning_rate."""
    rate, buffer = k["learning_rate"], memory[0] / -k["learning_rate"]
    stepper = torch.optim.SGD([parameter], rate, momentum=k["momentum"], nesterov=k.get("nesterov", False), fused=True)
    return stepper, {"momentum_buffer": buffer}, lambda: (-rate * buffer,)


def adagrad(parameter: Any, memory: list, k: Mapping[str, Any]) -> tuple:
    """adagrad_update by the fused optimizer."""
    stepper = torch.optim.Adagrad([parameter], k["learning_rate"], eps=k["epsilon"], fused=True)
    return stepper, {"step": torch.tensor(0.0), "sum": memory[0]}, lambda: (memory[0],)


def adam(parameter: Any, memory: list, k: Mapping[str, Any]) -> tuple:
    """adam_update by the fused optimizer."""
    betas = k["beta_1"], k["beta_2"]
    stepper = torch.optim.Adam([parameter], k["learning_rate"], betas, k["epsilon"], fused=True)
    m, v = memory
    return stepper, {"step": torch.tensor(k["step"] - 1.0), "exp_avg": m, "exp_avg_sq": v}, lambda: (m, v)


PEERS: dict[str, Callable[[Problem], Runner]] = {
    "correlate2d": function(correlation, (IMAGES, KERNEL), IMAGES),
    "conv2d": function(correlation, (IMAGES, FLIPPED), IMAGES),
    "correlate2d_relu_max_pool2d": function(correlation_relu_max, (IMAGES, KERNEL), IMAGES),
    "conv2d_relu_max_pool2d": function(correlation_relu_max, (IMAGES, FLIPPED), IMAGES),
    "max_pool2d": function(max_pooling, (IMAGES,), IMAGES),
    "average_pool2d": function(average_pooling, (IMAGES,), IMAGES),
    "batch_normalization": function(normalization, (PLACES,), PLACES),
    "layer_normalization": function(
        lambda constants: lambda x, gamma, beta: F.layer_norm(x, x.shape[-1:], gamma, beta, constants.get("eps", 1e-3))
    ),
    "sparse_softmax_crossentropy": function(labelled(F.cross_entropy)),
    "sigmoid_binary_crossentropy": function(targeted(F.binary_cross_entropy_with_logits)),
    "mean_squared_error": function(targeted(F.mse_loss)),
    "dense": function(lambda constants: F.linear, (SAME, TURNED)),
    "matmul": _plain(torch.matmul),
    "attention": function(
        lambda constants: (
            lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=1.0, is_causal=constants.get("causal", False))
        )
    ),
    "relu": _plain(torch.relu),
    "sigmoid": _plain(torch.sigmoid),
    "tanh": _plain(torch.tanh),
    "silu": _plain(F.silu),
    "softplus": _plain(F.softplus),
    "elu": _plain(F.elu),
    "leaky_relu": function(lambda constants: lambda x: F.leaky_relu(x, constants.get("slope", 0.2))),
    "add_relu": _plain(lambda a, b: torch.relu(a + b)),
    "exp": _plain(torch.exp),
    "log": _plain(torch.log),
    "sqrt": _plain(torch.sqrt),
    "softmax": function(lambda constants: lambda x: torch.softmax(x, constants.get("axis", -1))),
    "log_softmax": function(lambda constants: lambda x: torch.log_softmax(x, constants.get("axis", -1))),
    "embedding": function(lookup),
    "simple_rnn": function(rnn, (SAME, STATE, TURNED, TURNED)),
    "lstm": function(lstm, (SAME, STATE, STATE, TURNED, TURNED), (SAME, STATE)),
    "gru": function(gru, (SAME, STATE, RESET_FIRST_TURNED, RESET_FIRST_TURNED, RESET_FIRST)),
    "sgd_update": optimizer(sgd),
    "momentum_update": optimizer(momentum),
    "adagrad_update": optimizer(adagrad),
    "adam_update": optimizer(adam),
}
