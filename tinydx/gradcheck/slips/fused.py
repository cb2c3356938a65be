"""Mistakes that people make in the gradients of tinydx/ops/fused.py.

A composed op has the slips of its first part, where that has weights, and a forgotten ReLU.
"""

import inspect

# The slips of the parts are registered first.
from tinydx.gradcheck.slips import activation, convolution, dense, normalization, slip_of  # noqa: F401
from tinydx.op import Slip
from tinydx.ops.arithmetic import unbroadcast
from tinydx.ops.fused import (
    add_relu,
    batch_normalization_relu,
    conv2d_relu,
    conv2d_relu_max_pool2d,
    correlate2d_relu,
    correlate2d_relu_max_pool2d,
    dense_relu,
)


def run_slip(part, slip, dy, run):
    """Call a slip of a part with dy, saved, and by name whatever else it needs: arrays, constants, y."""
    known = {**dict(zip(part.arrays, run.arrays, strict=False)), **run.constants, "y": run.y}
    asked = list(inspect.signature(slip.backward).parameters)[2:]
    return slip.backward(dy, run.saved, **{name: known[name] for name in asked if name in known})


def slip_in_part(op, wrong: int, slip: Slip) -> None:
    """Register the chain rule of the composition with the slip in place of the backward of part number `wrong`."""

    def backward(dy, ran):
        gradients = (dy,)
        for k in reversed(range(len(op.parts))):
            part, run, dy = op.parts[k], ran[k], gradients[0]
            gradients = part.backward(dy, run.saved)
            if k == wrong:
                mistaken = run_slip(part, slip, dy, run)
                gradients = tuple(g if m is None else m for g, m in zip(gradients, mistaken, strict=False))
        return gradients

    slip_of(op, slip.name, slip.advice)(backward)


CONVOLUTIONS = correlate2d_relu, conv2d_relu, correlate2d_relu_max_pool2d, conv2d_relu_max_pool2d

for _op in (dense_relu, batch_normalization_relu, *CONVOLUTIONS):
    for _slip in _op.parts[0].registered_slips:
        slip_in_part(_op, 0, _slip)

for _op in (add_relu, dense_relu, batch_normalization_relu, *CONVOLUTIONS):
    slip_in_part(_op, 1, _op.parts[1].registered_slips[0])  # ReLU forgotten


@slip_of(add_relu, "gated by each branch", "ReLU saw the sum: its slope is 1 where a + b > 0, for both branches.")
def add_relu_gated_apart(dy, ran):
    return tuple(unbroadcast(dy * (branch > 0), branch.shape) for branch in ran[0].arrays)


@slip_of(add_relu, "gated by the gradient", "What passed forward decides: the sign of a + b, not that of dy.")
def add_relu_gated_by_gradient(dy, ran):
    return tuple(unbroadcast(dy * (dy > 0), branch.shape) for branch in ran[0].arrays)
