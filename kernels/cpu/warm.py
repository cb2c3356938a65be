"""Compiles every kernel by calling each on small arrays, as training and prediction would.

Numba compiles a kernel for the types of its arguments, not for shapes; but which kernels an op calls depends on shapes.
So each kernel's file lists shapes that together take every branch (`warm` of `kernel_of`); a kernel without such a list
is called on one draw of its samples. A test checks that training compiles nothing afterwards.
"""

import numpy as np

from tinydx.dispatch import gradients_of
from tinydx.factored import FactoredGradient
from tinydx.op import TABLE, RandomDraw


def calls(op, kernel):
    """[(float32 arrays, constants)] that together compile all of a kernel: its `warm`, or one draw of its samples."""
    if kernel.warm:
        return [([shape and np.ones(shape, np.float32) for shape in shapes], constants) for shapes, constants in kernel.warm]
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
