"""Mistakes that people make in the gradients of tinydx/ops/recurrence.py."""

import numpy as np

from tinydx.gradcheck.slips import slip_of
from tinydx.gradcheck.slips.dense import dense_averaged, dense_first_row, dense_transposed
from tinydx.ops.gated import over_all_steps, states_before, where_real
from tinydx.ops.recurrence import rnn_output, simple_rnn, simple_rnn_backward, simple_rnn_step, simple_rnn_step_backward

# ---- one step ------------------------------------------------------------------------------------------------------

TANH_OF_Z = "tanh' of z instead of h", "h is tanh(z) already: the derivative is 1 - h**2, not 1 - z**2 or 1 - tanh(h)**2."


def _step_with_slope(dy, saved, slope):
    """The step's backward with another derivative in place of that of tanh."""
    x, h, w_xh, w_hh, _ = saved
    dz = dy * slope
    return dz @ w_xh.T, dz @ w_hh.T, x.T @ dz, h.T @ dz, dz.sum(axis=0)


@slip_of(simple_rnn_step, "derivative of tanh forgotten", "Go back through tanh first: dz = dy (1 - y**2).")
def simple_rnn_step_no_tanh(dy, saved):
    return _step_with_slope(dy, saved, np.ones_like(dy))


@slip_of(simple_rnn_step, "square forgotten", "The derivative of tanh is 1 - h**2, with h, the new state, squared.")
def simple_rnn_step_not_squared(dy, saved):
    return _step_with_slope(dy, saved, 1 - saved[4])


@slip_of(simple_rnn_step, *TANH_OF_Z)
def simple_rnn_step_slope_of_z(dy, saved):
    h = np.clip(saved[4], -1 + 1e-15, 1 - 1e-15)  # tanh may have reached 1
    return _step_with_slope(dy, saved, 1 - np.arctanh(h) ** 2)


@slip_of(simple_rnn_step, *TANH_OF_Z)
def simple_rnn_step_tanh_twice(dy, saved):
    return _step_with_slope(dy, saved, 1 - np.tanh(saved[4]) ** 2)


@slip_of(simple_rnn_step, "wrong sign in tanh'", "The derivative of tanh is 1 - h**2, with a minus.")
def simple_rnn_step_plus(dy, saved):
    return _step_with_slope(dy, saved, 1 + saved[4] ** 2)


@slip_of(simple_rnn_step, "1 forgotten in tanh'", "The derivative of tanh is 1 - h**2, not h**2 alone.")
def simple_rnn_step_without_one(dy, saved):
    return _step_with_slope(dy, saved, saved[4] ** 2)


@slip_of(simple_rnn_step, "tanh' of the old state", "The slope belongs to the new state h_t, not to h_{t-1} that came in.")
def simple_rnn_step_old_state(dy, saved):
    return _step_with_slope(dy, saved, 1 - saved[1] ** 2)


@slip_of(simple_rnn_step, "states swapped", "W_hh was multiplied with the old state: dW_hh = hᵀ dz, not with the new one.")
def simple_rnn_step_new_state(dy, saved):
    *_, y = saved
    return None, None, None, y.T @ (dy * (1 - y**2)), None


@slip_of(
    simple_rnn_step,
    "averaged over the batch",
    "dy already carries the 1/N of the loss: sum over the batch, do not average.",
)
def simple_rnn_step_averaged(dy, saved):
    _, _, *weights = simple_rnn_step_backward(dy, saved)
    return None, None, *(g / len(dy) for g in weights)


@slip_of(simple_rnn_step, "recurrent weights not transposed", "h entered as h W_hh, so dh = dz W_hhᵀ.")
def simple_rnn_step_untransposed(dy, saved):
    x, h, w_xh, w_hh, y = saved
    return None, (dy * (1 - y**2)) @ w_hh, None, None, None


@slip_of(simple_rnn_step, "first example only", "Weights served every example: sum their gradients over the batch.")
def simple_rnn_step_first_example(dy, saved):
    x, h, w_xh, w_hh, y = saved
    return None, None, *simple_rnn_step_backward(dy[:1], (x[:1], h[:1], w_xh, w_hh, y[:1]))[2:]


# ---- a whole sequence ----------------------------------------------------------------------------------------------


def _through_time(dy, w_hh, slope, mask):
    """Backpropagation through time with any slope in place of that of tanh: dz_t at every step, and dh_0."""
    dz, dh = np.empty_like(dy), np.zeros_like(dy[:, 0])
    for t in reversed(range(dy.shape[1])):
        dh = dh + dy[:, t]
        dz[:, t] = where_real(mask, t, dh * slope[:, t], 0)
        dh = where_real(mask, t, dz[:, t] @ w_hh.T, dh)
    return dz, dh


def _weight_gradients(x, before, dz):
    """The gradients of w_xh, w_hh and b, summed over every example and every step."""
    return over_all_steps(x, dz), over_all_steps(before, dz), dz.sum(axis=(0, 1))


@slip_of(simple_rnn, "carry through time dropped", "h_t also feeds h_{t+1}: add what comes back through W_hh to dy_t.")
def simple_rnn_no_carry(dy, saved):
    x, h0, w_xh, w_hh, y, mask = saved
    dz, dh0 = _through_time(dy, np.zeros_like(w_hh), 1 - y**2, mask)
    return dz @ w_xh.T, dh0, *_weight_gradients(x, states_before(h0, y), dz)


@slip_of(simple_rnn, "state shifted by one step", "dW_hh pairs dz_t with h_{t-1}, the state before the step, not with h_t.")
def simple_rnn_shifted(dy, saved):
    x, h0, w_xh, w_hh, y, mask = saved
    dz, _ = _through_time(dy, w_hh, 1 - y**2, mask)
    return None, None, None, _weight_gradients(x, y, dz)[1], None


@slip_of(simple_rnn, "last step only", "The weights served every time step: sum their gradients over t.")
def simple_rnn_last_step(dy, saved):
    x, h0, w_xh, w_hh, y, mask = saved
    dz, _ = _through_time(dy, w_hh, 1 - y**2, mask)
    return None, None, *_weight_gradients(x[:, -1:], states_before(h0, y)[:, -1:], dz[:, -1:])


@slip_of(
    simple_rnn,
    "= instead of +=",
    "Every time step adds to the weights' gradients: with = only the last one visited, t = 0, is left.",
)
def simple_rnn_first_step(dy, saved):
    x, h0, w_xh, w_hh, y, mask = saved
    dz, _ = _through_time(dy, w_hh, 1 - y**2, mask)
    return None, None, *_weight_gradients(x[:, :1], h0[:, None], dz[:, :1])


def _with_slope(name, advice, slope):
    """A slip in the derivative of tanh: slope(h0, y) replaces it at every step."""

    @slip_of(simple_rnn, name, advice)
    def backward(dy, saved):
        x, h0, w_xh, w_hh, y, mask = saved
        dz, dh0 = _through_time(dy, w_hh, slope(h0, y), mask)
        return dz @ w_xh.T, dh0, *_weight_gradients(x, states_before(h0, y), dz)


_with_slope(
    "derivative of tanh forgotten",
    "Go back through tanh at every step: dz = dh (1 - h**2).",
    lambda h0, y: np.ones_like(y),
)


_with_slope("square forgotten", "The derivative of tanh is 1 - h**2: the state is squared.", lambda h0, y: 1 - y)


_with_slope(*TANH_OF_Z, lambda h0, y: 1 - np.arctanh(y) ** 2)


_with_slope(*TANH_OF_Z, lambda h0, y: 1 - np.tanh(y) ** 2)


_with_slope(
    "derivative of the sigmoid",
    "h (1 - h) belongs to the sigmoid; tanh's derivative is 1 - h**2.",
    lambda h0, y: y * (1 - y),
)


_with_slope(
    "tanh' of the step before",
    "dz_t takes the slope at its own state: 1 - h_t**2.",
    lambda h0, y: 1 - states_before(h0, y) ** 2,
)


_with_slope("wrong sign in tanh'", "The derivative of tanh is 1 - h**2, with a minus.", lambda h0, y: 1 + y**2)


_with_slope("1 forgotten in tanh'", "The derivative of tanh is 1 - h**2, not h**2 alone.", lambda h0, y: y**2)


@slip_of(simple_rnn, "carry misses tanh'", "Add the carry to dy_t first, then multiply both by 1 - h_t**2.")
def simple_rnn_carry_past_tanh(dy, saved):
    x, h0, w_xh, w_hh, y, mask = saved
    dz, carry = np.empty_like(dy), np.zeros_like(h0)
    for t in reversed(range(dy.shape[1])):
        dz[:, t] = (dy[:, t] * (1 - y[:, t] ** 2) + carry) * _active(mask, t)
        carry = dz[:, t] @ w_hh.T
    return dz @ w_xh.T, carry, *_weight_gradients(x, states_before(h0, y), dz)


@slip_of(simple_rnn, "time runs forward", "Backpropagation starts at the last step: for t in reversed(range(T)).")
def simple_rnn_forward_in_time(dy, saved):
    x, h0, w_xh, w_hh, y, mask = saved
    turned = None if mask is None else mask[:, ::-1]
    dz, dh0 = _through_time(dy[:, ::-1], w_hh, 1 - y[:, ::-1] ** 2, turned)
    return dz[:, ::-1] @ w_xh.T, dh0, *_weight_gradients(x, states_before(h0, y), dz[:, ::-1])


@slip_of(
    simple_rnn,
    "carry goes back one step only",
    "What comes back through W_hh includes all later steps: carry dh on, not just dy_{t+1}.",
)
def simple_rnn_truncated(dy, saved):
    x, h0, w_xh, w_hh, y, mask = saved
    own, _ = _through_time(dy, np.zeros_like(w_hh), 1 - y**2, mask)
    back = own @ w_hh.T
    later = np.concatenate([back[:, 1:], np.zeros_like(back[:, :1])], axis=1)
    dz, _ = _through_time(dy + later, np.zeros_like(w_hh), 1 - y**2, mask)
    return dz @ w_xh.T, dz[:, 0] @ w_hh.T, *_weight_gradients(x, states_before(h0, y), dz)


@slip_of(simple_rnn, "dh0 stops at the first step", "h0 went through W_hh in the first step: dh0 = dz_1 W_hhᵀ.")
def simple_rnn_dh0_short(dy, saved):
    x, h0, w_xh, w_hh, y, mask = saved
    dz, _ = _through_time(dy, w_hh, 1 - y**2, mask)
    carry = dz[:, 1] @ w_hh.T if dy.shape[1] > 1 else 0
    return None, dy[:, 0] + carry, None, None, None


@slip_of(simple_rnn, "first time step left out", "The loop back ends at t = 0, included: reversed(range(T)).")
def simple_rnn_stops_early(dy, saved):
    x, h0, w_xh, w_hh, y, mask = saved
    dz, later = np.zeros_like(dy), None if mask is None else mask[:, 1:]
    dz[:, 1:], dh = _through_time(dy[:, 1:], w_hh, 1 - y[:, 1:] ** 2, later)
    return dz @ w_xh.T, dh, *_weight_gradients(x, states_before(h0, y), dz)


@slip_of(simple_rnn, "initial state left out", "The first step used h0: dW_hh pairs dz_1 with it.")
def simple_rnn_without_h0(dy, saved):
    x, h0, w_xh, w_hh, y, mask = saved
    dz, _ = _through_time(dy, w_hh, 1 - y**2, mask)
    return None, None, None, _weight_gradients(x, states_before(np.zeros_like(h0), y), dz)[1], None


@slip_of(
    simple_rnn,
    "mask ignored",
    "A masked step copied the state: nothing goes to x_t and the weights there, everything to h_{t-1}.",
)
def simple_rnn_unmasked(dy, saved):
    *rest, mask = saved
    return (None,) * 5 if mask is None else simple_rnn_backward(dy, (*rest, None))


@slip_of(
    simple_rnn,
    "masked step lets nothing through",
    "A masked step copied the state, so its gradient goes on to h_{t-1} unchanged.",
)
def simple_rnn_mask_blocks(dy, saved):
    x, h0, w_xh, w_hh, y, mask = saved
    if mask is None:
        return (None,) * 5
    dz, dh0 = _through_time(dy, w_hh, (1 - y**2) * mask[..., None], None)
    return dz @ w_xh.T, dh0, *_weight_gradients(x, states_before(h0, y), dz)


@slip_of(simple_rnn, "averaged over the batch", "dy already carries the 1/N of the loss: sum over the batch, do not average.")
def simple_rnn_averaged(dy, saved):
    _, _, *weights = simple_rnn_backward(dy, saved)
    return None, None, *(g / len(dy) for g in weights)


@slip_of(simple_rnn, "averaged over time", "The weights served every time step: sum their gradients over t, do not average.")
def simple_rnn_averaged_over_time(dy, saved):
    _, _, *weights = simple_rnn_backward(dy, saved)
    return None, None, *(g / dy.shape[1] for g in weights)


def _active(mask, t):
    return 1 if mask is None else mask[:, t, None]


@slip_of(simple_rnn, "recurrent weights not transposed", "h entered as h W_hh, so the carry back is dz W_hhᵀ.")
def simple_rnn_untransposed(dy, saved):
    x, h0, w_xh, w_hh, y, mask = saved
    dz, dh0 = _through_time(dy, w_hh.T, 1 - y**2, mask)
    return dz @ w_xh.T, dh0, *_weight_gradients(x, states_before(h0, y), dz)


# ---- the output layer ----------------------------------------------------------------------------------------------

slip_of(rnn_output, "one step only", "W_hy served every time step and example: sum its bias's gradient over all.")(
    dense_first_row
)


slip_of(rnn_output, "averaged over the batch", "dy already carries the 1/N of the loss: sum over steps and batch.")(
    dense_averaged
)


slip_of(rnn_output, "operand transposed", "dh = dy W_hyᵀ and dW_hy = hᵀ dy: check which operand is transposed.")(dense_transposed)
