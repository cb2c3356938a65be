"""Mistakes that people make in the gradients of tinydx/ops/gated.py."""

import numpy as np

from tinydx.gradcheck.slips import slip_of
from tinydx.ops.gated import backward_through_time


def slips_through_time(op, backward, states):
    """Register the mistakes of backpropagation through time, whatever the cell, as slips of a network with `states` states.

    backward(dy, saved, through_time=...) gives the gradients with another loop. Another `saved` makes mistakes, too: it
    begins with x, w, u, the states before each step, the steps and the mask. Gradients are those of x, the states, w, u, b.
    """

    def weights_only(gradients):
        return (*(None,) * (1 + states), *gradients[1 + states :])

    def with_loop(name, advice, through_time):
        slip_of(op, name, advice)(lambda dy, saved: backward(dy, saved, through_time=through_time))

    with_loop(
        "carry through time dropped",
        "h_t also feeds the next step: add what comes back from it to dy_t.",
        _without_carry,
    )
    with_loop("time runs forward", "Backpropagation starts at the last step: for t in reversed(range(T)).", _forward_in_time)
    with_loop("first time step left out", "The loop back ends at t = 0, included: reversed(range(T)).", _first_step_left_out)
    with_loop(
        "masked step lets nothing through",
        "A masked step copied the states, so their gradients go on to the step before unchanged.",
        _mask_blocks,
    )

    @slip_of(
        op,
        "mask ignored",
        "A masked step copied the states: nothing goes to x_t and the weights there, everything to the step before.",
    )
    def unmasked(dy, saved):
        return backward(dy, (*saved[:5], None))

    @slip_of(op, "last step only", "The weights served every time step: sum their gradients over t.")
    def last_step(dy, saved):
        return weights_only(backward(dy, saved, through_time=_only(-1)))

    @slip_of(
        op,
        "= instead of +=",
        "Every time step adds to the weights' gradients: with = only the last one visited, t = 0, is left.",
    )
    def first_step(dy, saved):
        return weights_only(backward(dy, saved, through_time=_only(0)))

    @slip_of(op, "state shifted by one step", "dU pairs the gates' gradients with h_{t-1}, the state before the step.")
    def shifted(dy, saved, y):
        after = y[0] if isinstance(y, tuple) else y
        *_, du, _ = backward(dy, (*saved[:3], after, *saved[4:]))
        return (*(None,) * (2 + states), du, None)

    @slip_of(op, "initial state left out", "The first step used h0: dU pairs its gates' gradients with it.")
    def without_h0(dy, saved):
        before = saved[3].copy()
        before[:, 0] = 0
        *_, du, _ = backward(dy, (*saved[:3], before, *saved[4:]))
        return (*(None,) * (2 + states), du, None)

    @slip_of(op, "averaged over the batch", "dy already carries the 1/N of the loss: sum over the batch.")
    def averaged(dy, saved):
        return weights_only([g / len(saved[0]) for g in backward(dy, saved)])

    @slip_of(op, "averaged over time", "The weights served every time step: sum their gradients over t, do not average.")
    def averaged_over_time(dy, saved):
        return weights_only([g / saved[0].shape[1] for g in backward(dy, saved)])


def _without_carry(cell_backward, *rest):
    def alone(dstates, step):
        ds, before = cell_backward(dstates, step)
        return ds, [0 * b for b in before]

    return backward_through_time(alone, *rest)


def _forward_in_time(cell_backward, dy, dstates, steps, mask):
    turned = None if mask is None else mask[:, ::-1]
    dscores, dstates = backward_through_time(cell_backward, dy[:, ::-1], dstates, steps[::-1], turned)
    return [ds[:, ::-1] for ds in dscores], dstates


def _first_step_left_out(cell_backward, dy, dstates, steps, mask):
    later = None if mask is None else mask[:, 1:]
    dscores, dstates = backward_through_time(cell_backward, dy[:, 1:], dstates, steps[1:], later)
    return [np.concatenate([0 * ds[:, :1], ds], axis=1) for ds in dscores], dstates


def _mask_blocks(cell_backward, dy, dstates, steps, mask):
    if mask is None:
        return backward_through_time(cell_backward, dy, dstates, steps, mask)

    def blocked(dstates, step):
        step, real = step
        ds, before = cell_backward(dstates, step)
        return [d * real for d in ds], [b * real for b in before]

    return backward_through_time(blocked, dy, dstates, list(zip(steps, mask.T[..., None], strict=True)), None)


def _only(t):
    """The right loop, but only step t reaches the weights."""

    def through_time(*arguments):
        dscores, dstates = backward_through_time(*arguments)
        others = np.arange(dscores[0].shape[1]) != t % dscores[0].shape[1]
        for ds in dscores:
            ds[:, others] = 0
        return dscores, dstates

    return through_time
