"""Compiles every kernel, by calling each once on small arrays, as training and prediction would.

What a kernel is compiled for are the types of its arguments, not shapes; but which kernels an op calls depends on the
shapes, so every way that an op can go is a line here. A test holds that nothing is left to compile afterwards.
"""

import numpy as np

from tinydx.dispatch import gradients_of
from tinydx.factored import FactoredGradient
from tinydx.op import TABLE

CONVOLUTIONS: tuple = (  # image, kernel, constants
    ((2, 9, 9, 3), (3, 3, 3, 32), {}),  # direct
    ((2, 9, 9, 3), (3, 3, 3, 40), {"padding": "same", "stride": 2}),  # with a border and a last panel
    ((2, 9, 9, 32), (3, 3, 32, 64), {}),  # Winograd
    ((2, 9, 9, 32), (3, 3, 32, 64), {"padding": "same"}),
    ((2, 9, 9, 8), (1, 1, 8, 16), {}),
    ((8, 24, 24, 12), (3, 3, 12, 40), {"padding": "same"}),  # direct, on several threads
    ((2, 9, 9, 64), (3, 3, 64, 136), {"dilation": 2}),  # weights packed on several threads
    ((2, 9, 9, 128), (3, 3, 128, 136), {"padding": "same"}),  # by columns, on several threads and on one
    ((1, 4, 4, 128), (1, 1, 128, 136), {"stride": 2}),
    ((2, 9, 9, 8), (3, 3, 1, 8), {"groups": 8}),  # depthwise
    ((4, 24, 24, 32), (3, 3, 1, 32), {"groups": 32}),
    ((2, 9, 9, 8), (3, 3, 4, 8), {"groups": 2, "dilation": 2, "stride": 2}),  # with phases in dX
)
POOLS = ({"size": 2}, {"size": 3, "stride": 2, "padding": "same"})
UPDATES = {
    "sgd_update": {"learning_rate": 0.1},
    "momentum_update": {"learning_rate": 0.1, "momentum": 0.9, "nesterov": False},
    "rmsprop_update": {"learning_rate": 0.1, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False},
    "adagrad_update": {"learning_rate": 0.1, "epsilon": 1e-7},
    "adam_update": {"learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "step": 1},
}


def cases():
    """(name of the op, shapes of its arrays, constants)."""
    for x, w, constants in CONVOLUTIONS:
        for name in ("correlate2d", "conv2d", "correlate2d_relu", "conv2d_relu"):
            yield name, (x, w, w[3:]), constants
        if "groups" not in constants:
            yield "correlate2d_relu_max_pool2d", (x, w, w[3:]), constants
            yield "conv2d_relu_max_pool2d", (x, w, w[3:]), constants
    for name in ("max_pool2d", "average_pool2d"):
        yield from ((name, ((2, 9, 9, 8),), constants) for constants in POOLS)
    for name in ("dense", "dense_relu", "rnn_output"):
        yield name, ((4, 9), (9, 5), (5,)), {}
        yield name, ((4, 2100), (2100, 32), (32,)), {}  # large weights, a small batch: streamed
    yield "matmul", ((70, 70), (70, 70)), {}
    for name in ("relu", "sigmoid", "tanh", "softmax"):
        yield name, ((3, 5),), {}  # on one thread
        yield name, ((3, 40_000),), {}
    yield "embedding", ((7, 32),), {"ids": np.array([[1, 2, 2]])}
    for mask in (None, np.array([[True, True, False], [True, False, False]])):
        yield "simple_rnn", ((2, 3, 4), (2, 8), (4, 8), (8, 8), (8,)), {"mask": mask}
        yield "lstm", ((2, 3, 4), (2, 8), (2, 8), (4, 32), (8, 32), (32,)), {"mask": mask}
        yield "gru", ((2, 3, 4), (2, 8), (4, 24), (8, 24), (2, 24)), {"mask": mask}
    yield "simple_rnn_step", ((2, 4), (2, 8), (4, 8), (8, 8), (8,)), {}
    yield "affine_warp", ((9, 9, 3),), {"matrix": np.eye(2), "offset": np.zeros(2)}
    yield "channel_shift", ((9, 9, 3),), {"intensity": 1.0}
    for name, constants in UPDATES.items():
        yield name, ((40_000,),) * len(TABLE[name].arrays), constants


def warm():
    """Run all cases, forward and backward, and update rules in place, too."""
    for name, shapes, constants in cases():
        kernel, arrays = TABLE[name].kernels.get("numba"), [np.ones(shape, np.float32) for shape in shapes]
        if kernel is None or not kernel.supports(*arrays, **constants):
            raise LookupError(f"{name}: no kernel for {shapes} {constants}")
        y, saved = kernel.forward(*arrays, **constants)
        if kernel.backward is not None:
            dys = tuple(np.ones(part.shape, np.float32) for part in (y if isinstance(y, tuple) else (y,)))
            gradients_of(kernel, dys if isinstance(y, tuple) else dys[0], saved, (True,) * len(arrays))
        if kernel.in_place is not None:
            kernel.in_place(*arrays, **constants)
    weights = [np.ones((2100, 32), np.float32) for _ in range(3)]
    factored = FactoredGradient(np.ones((4, 2100), np.float32), np.ones((4, 32), np.float32))
    TABLE["adam_update"].kernels["numba"].in_place(*weights, factored, **UPDATES["adam_update"])
