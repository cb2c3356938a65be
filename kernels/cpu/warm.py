"""Compiles every kernel by calling each on small arrays, as training and prediction would.

Numba compiles a kernel for the types of its arguments, not for shapes; but which kernels an op calls depends on shapes.
So each kernel's file lists shapes that together take every branch (`warm` of `kernel_of`); a kernel without such a list
is called on one draw of its samples. A test checks that training compiles nothing afterwards.
"""

import numpy as np

from tinydx.dispatch import gradients_of
from tinydx.factored import FactoredGradient
from tinydx.op import TABLE, RandomDraw

# TEMPORARY: entries of kernels whose files do not list their own yet; used only where `kernel.warm` is empty.
_CONVOLUTIONS: tuple = (  # image, kernel, constants
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
_PLAIN = [((x, w, w[3:]), constants) for x, w, constants in _CONVOLUTIONS]
_POOLED = [(shapes, constants) for shapes, constants in _PLAIN if "groups" not in constants]
_POOLS = [(((2, 9, 9, 8),), constants) for constants in ({"size": 2}, {"size": 3, "stride": 2, "padding": "same"})]
TEMPORARY_WARM: dict = {
    "correlate2d": _PLAIN,
    "conv2d": _PLAIN,
    "correlate2d_relu": _PLAIN,
    "conv2d_relu": _PLAIN,
    "correlate2d_relu_max_pool2d": _POOLED,
    "conv2d_relu_max_pool2d": _POOLED,
    "max_pool2d": _POOLS,
    "average_pool2d": _POOLS,
    "dense_relu": [(((4, 9), (9, 5), (5,)), {}), (((4, 2100), (2100, 32), (32,)), {})],
    "affine_warp": [(((9, 9, 3),), {"matrix": np.eye(2), "offset": np.zeros(2)})],
    "channel_shift": [(((9, 9, 3),), {"intensity": 1.0})],
}


def calls(op, kernel):
    """[(float32 arrays, constants)] that together compile all of a kernel: its `warm`, or one draw of its samples."""
    entries = kernel.warm or TEMPORARY_WARM.get(op.name, ())
    if entries:
        return [([shape and np.ones(shape, np.float32) for shape in shapes], constants) for shapes, constants in entries]
    for seed in range(20):  # samples of an op may include calls that its kernel leaves to the reference
        drawn, constants = kernel.samples(RandomDraw(seed))
        arrays = [a if a is None else a.astype(np.float32) for a in drawn]
        if kernel.supports(*arrays, **constants):
            return [(arrays, constants)]
    raise LookupError(f"{op.name}: its kernel supports none of its samples; give kernel_of shapes to warm it with")


def run(op, kernel, arrays, constants):
    """Forward, backward with all gradients, and in place for an update rule."""
    if not kernel.supports(*arrays, **constants):
        shapes = [a if a is None else a.shape for a in arrays]
        raise LookupError(f"{op.name}: its kernel is warmed with {shapes} {constants}, which it does not support")
    y, saved = kernel.forward(*arrays, **constants)
    if kernel.backward is not None:
        dys = tuple(np.ones(part.shape, np.float32) for part in (y if isinstance(y, tuple) else (y,)))
        gradients_of(kernel, dys if isinstance(y, tuple) else dys[0], saved, (True,) * len(arrays))
    if kernel.in_place is not None:
        kernel.in_place(*arrays, **constants)


def warm():
    """Call every Numba kernel of the table so that nothing is left to compile; an unsupported call raises LookupError."""
    for op in TABLE.values():
        kernel = op.kernels.get("numba")
        if kernel is not None:
            for arrays, constants in calls(op, kernel):
                run(op, kernel, arrays, constants)
    adam = TABLE["adam_update"].kernels["numba"]  # also takes factored gradients, which no shapes describe
    weights = [np.ones((2100, 32), np.float32) for _ in range(3)]
    factored = FactoredGradient(np.ones((4, 2100), np.float32), np.ones((4, 32), np.float32))
    adam.in_place(*weights, factored, **adam.warm[0][1])
