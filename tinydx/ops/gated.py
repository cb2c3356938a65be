"""What the gated recurrences, LSTM and GRU, share: the loop through time and its way back.

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

from tinydx.ops.activation import sigmoid


def sigma(z):
    """The sigmoid, as in the equations."""
    return sigmoid.forward(z)[0]


def side_by_side(*gates):
    """The gates in one matrix, as they stand in the weights."""
    return np.concatenate(gates, axis=1)


# ---- through time and back -----------------------------------------------------------------------------------------


def forward_through_time(cell, scores, states, mask):
    """Run the cell over all steps.

    Arguments: cell(scores_t (N,K), states) -> new states, step; scores (N,T,K); states, a list of (N,U); mask (N,T) or None.
    Returns: the first state after every step (N,T,U), the last states, and the list of steps.
    """
    outputs, steps = [], []
    for t in range(scores.shape[1]):
        new, step = cell(scores[:, t], states)
        states = [where_real(mask, t, n, s) for n, s in zip(new, states, strict=True)]
        outputs.append(states[0])
        steps.append(step)
    return over_time(outputs), states, steps


def backward_through_time(cell_backward, dy, dstates, steps, mask):
    """Go back over all steps, the last one first.

    Arguments: cell_backward(dstates, step) -> dscores, dstates before; dy (N,T,U), the gradient of every output; dstates, a
    list of (N,U), what the last states get besides; steps and mask as forward had them.
    Returns: the gradient of each product at every step (N,T,K), in a list, and the gradients of the initial states.
    """
    dscores = []
    for t in reversed(range(len(steps))):
        dstates = [dstates[0] + dy[:, t], *dstates[1:]]
        ds, before = cell_backward(dstates, steps[t])
        dscores.append([where_real(mask, t, d, 0) for d in ds])
        dstates = [where_real(mask, t, b, d) for b, d in zip(before, dstates, strict=True)]
    return [over_time(ds) for ds in zip(*reversed(dscores), strict=True)], dstates


def over_time(arrays):
    """An array (N,K) of each step -> (N,T,K). Copied one by one: what CuPy's stack does with many cannot be in a CUDA graph."""
    y = np.empty((len(arrays[0]), len(arrays), *arrays[0].shape[1:]), arrays[0].dtype, like=arrays[0])
    for t, a in enumerate(arrays):
        y[:, t] = a
    return y


def where_real(mask, t, real, padding):
    """`real` for the examples whose step t is real, `padding` for those where it is masked."""
    return real if mask is None else np.where(mask[:, t, None], real, padding)


def states_before(h0, y):
    """h_{t-1} for every t: h0 (N,U), y (N,T,U) -> (N,T,U)."""
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
    """The sigmoid of one number."""
    return 1 / (1 + math.exp(-z))


def literal_through_time(step, x, states, mask):
    """The first state after every step and the last states, where step(x_t, *states) gives the new ones."""
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
    """x, `states` initial states, w and u of `gates` gates, and a mask or None; the first example is never masked."""
    n, t, d, u = 2, 3, draw.integer(1, 2), draw.integer(2, 3)
    mask = draw.choice([None, np.arange(t) < np.array([t] + [t - 2] * (n - 1))[:, None]])
    weights = draw.array(d, gates * u), draw.array(u, gates * u) / 2
    return (draw.array(n, t, d), *(draw.array(n, u) for _ in range(states)), *weights), mask
