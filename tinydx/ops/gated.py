"""What the gated recurrences, LSTM and GRU, share: the loop through time, its way back, and the mistakes people make in it.

The gates stand side by side in one matrix, in Keras's order: i, f, g, o for the LSTM (g is the candidate that Keras calls
c), z, r, g for the GRU. What the inputs say to the gates of all steps is one product, scores = x W + b. Then step follows
step:

    scores_1         scores_2          forward     cell(scores_t, states) -> new states, step
        |                |                         (step is what its backward needs)
    +------+  h_1    +------+  h_2     backward    cell_backward(dstates, step) -> dscores, dstates before
 -->| cell |-------->| cell |----->                (dscores: what each product of the step gets, in a list)
    +------+         +------+
       |                |
      y_1              y_2             A masked step hands its states on, and on the way back their gradients.
"""

import math

import numpy as np

from tinydx.op import slip_of
from tinydx.ops.activation import sigmoid


def sigma(z):
    """The sigmoid, as in the equations."""
    return sigmoid.forward(z)[0]


def side_by_side(*gates):
    """The gates in one matrix, as they stand in the weights."""
    return np.concatenate(gates, axis=1)


# ---- through time and back -----------------------------------------------------------------------------------------


def forward_through_time(cell, scores, states, mask):
    """The first state after every step (N,T,U), the last states, and the list of steps."""
    outputs, steps = [], []
    for t in range(scores.shape[1]):
        new, step = cell(scores[:, t], states)
        states = [where_real(mask, t, n, s) for n, s in zip(new, states, strict=True)]
        outputs.append(states[0])
        steps.append(step)
    return np.stack(outputs, axis=1), states, steps


def backward_through_time(cell_backward, dy, dstates, steps, mask):
    """Each product's gradients at every step (N,T,K), in a list, and those of the initial states.

    dy (N,T,U) is what every output gets, dstates what the last states get besides.
    """
    dscores = []
    for t in reversed(range(len(steps))):
        dstates = [dstates[0] + dy[:, t], *dstates[1:]]
        ds, before = cell_backward(dstates, steps[t])
        dscores.append([where_real(mask, t, d, 0) for d in ds])
        dstates = [where_real(mask, t, b, d) for b, d in zip(before, dstates, strict=True)]
    return [np.stack(ds, axis=1) for ds in zip(*reversed(dscores), strict=True)], dstates


def where_real(mask, t, real, padding):
    """`real` for examples whose step t is real, `padding` for those where it is masked."""
    return real if mask is None else np.where(mask[:, t, None], real, padding)


def states_before(h0, y):
    """h_{t-1} for every t."""
    return np.concatenate([h0[:, None], y[:, :-1]], axis=1)


def over_all_steps(x, dz):
    """The gradient of weights that served every example and every step: x (N,T,D), dz (N,T,K) -> (D,K)."""
    return x.reshape(-1, x.shape[-1]).T @ dz.reshape(-1, dz.shape[-1])


# ---- literals and samples ------------------------------------------------------------------------------------------


def literal_scores(x, w, b):
    """x w + b, number by number."""
    z = np.zeros((len(x), w.shape[1]))
    for n, k in np.ndindex(z.shape):
        z[n, k] = b[k]
        for d in range(x.shape[1]):
            z[n, k] += x[n, d] * w[d, k]
    return z


def literal_sigma(z):
    return 1 / (1 + math.exp(-z))


def literal_through_time(step, x, states, mask):
    """Every first state and the last states, where step(x_t, *states) gives the new ones."""
    y = np.zeros((*x.shape[:2], states[0].shape[1]))
    for t in range(x.shape[1]):
        new = step(x[:, t], *states)
        for n in range(len(x)):
            if mask is not None and not mask[n, t]:
                for k in range(len(states)):
                    new[k][n] = states[k][n]
        states = new
        y[:, t] = states[0]
    return y, states


def draw_sequences(draw, states, gates):
    """x, the initial states, w and u of so many states and gates, and a mask or None; the first example is whole."""
    n, t, d, u = 2, 3, draw.integer(1, 2), draw.integer(2, 3)
    mask = draw.choice([None, np.arange(t) < np.array([t] + [t - 2] * (n - 1))[:, None]])
    weights = draw.array(d, gates * u), draw.array(u, gates * u) / 2
    return (draw.array(n, t, d), *(draw.array(n, u) for _ in range(states)), *weights), mask


# ---- mistakes of backpropagation through time, whatever the cell ----------------------------------------------------
#
# Each calls the op's own backward with another loop (`through_time`), or with another `saved`, which begins for all of
# them with x, w, u, the states before each step, the steps and the mask. Gradients are those of x, the states, w, u, b.


def slips_through_time(record, backward, states):
    """Add them to the slips of `record`, a network with so many states."""

    def weights_only(gradients):
        return (*(None,) * (1 + states), *gradients[1 + states :])

    def with_loop(name, advice, through_time):
        slip_of(record, name, advice)(lambda dy, saved: backward(dy, saved, through_time=through_time))

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
        record,
        "mask ignored",
        "A masked step copied the states: nothing goes to x_t and the weights there, everything to the step before.",
    )
    def unmasked(dy, saved):
        return backward(dy, (*saved[:5], None))

    @slip_of(record, "last step only", "The weights served every time step: sum their gradients over t.")
    def last_step(dy, saved):
        return weights_only(backward(dy, saved, through_time=_only(-1)))

    @slip_of(
        record,
        "= instead of +=",
        "Every time step adds to the weights' gradients: with = only the last one visited, t = 0, is left.",
    )
    def first_step(dy, saved):
        return weights_only(backward(dy, saved, through_time=_only(0)))

    @slip_of(record, "state shifted by one step", "dU pairs the gates' gradients with h_{t-1}, the state before the step.")
    def shifted(dy, saved, y):
        after = y[0] if isinstance(y, tuple) else y
        *_, du, _ = backward(dy, (*saved[:3], after, *saved[4:]))
        return (*(None,) * (2 + states), du, None)

    @slip_of(record, "initial state left out", "The first step used h0: dU pairs its gates' gradients with it.")
    def without_h0(dy, saved):
        before = saved[3].copy()
        before[:, 0] = 0
        *_, du, _ = backward(dy, (*saved[:3], before, *saved[4:]))
        return (*(None,) * (2 + states), du, None)

    @slip_of(record, "averaged over the batch", "dy already carries the 1/N of the loss: sum over the batch.")
    def averaged(dy, saved):
        return weights_only([g / len(saved[0]) for g in backward(dy, saved)])

    @slip_of(record, "averaged over time", "The weights served every time step: sum their gradients over t, do not average.")
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
    """The right loop, of whose steps only step t counts for the weights."""

    def through_time(*arguments):
        dscores, dstates = backward_through_time(*arguments)
        others = np.arange(dscores[0].shape[1]) != t % dscores[0].shape[1]
        for ds in dscores:
            ds[:, others] = 0
        return dscores, dstates

    return through_time
