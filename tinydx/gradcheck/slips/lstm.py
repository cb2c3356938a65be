"""Mistakes that people make in the gradients of tinydx/ops/lstm.py."""

import functools

import numpy as np

from tinydx.gradcheck.slips import slip_of
from tinydx.gradcheck.slips.gated import slips_through_time
from tinydx.ops.gated import backward_through_time, over_all_steps, side_by_side
from tinydx.ops.lstm import lstm, lstm_backward, lstm_step, lstm_step_backward

# ---- the way back with another cell or another loop in it -----------------------------------------------------------


def step_with(cell_backward, dy, saved):
    """The gradients of one step, with cell_backward(dh, dc, step) -> dz, dc."""
    x, h, w, u, step = saved
    dz, dc = cell_backward(*dy, step)
    return dz @ w.T, dz @ u.T, dc, x.T @ dz, h.T @ dz, dz.sum(axis=0)


def sequence_with(cell_backward, dy, saved, through_time=backward_through_time):
    """The gradients of a whole sequence, with such a cell, or with another loop."""
    (dy, dc), (x, w, u, before, steps, mask) = dy, saved

    def one_step(dstates, step):
        dz, dc = cell_backward(*dstates, step)
        return [dz], [dz @ u.T, dc]

    [dz], (dh0, dc0) = through_time(one_step, dy, [np.zeros_like(dc), dc], steps, mask)
    return dz @ w.T, dh0, dc0, over_all_steps(x, dz), over_all_steps(before, dz), dz.sum(axis=(0, 1))


def right_cell(dh, dc, step):
    """dz and the gradient of the old c."""
    _, _, _, _, o, y = step
    return through_gates(step, dc + dh * o * (1 - y**2), dh)


def through_gates(step, dc, dh, slopes=None, **wrong):
    """dz and the gradient of the old c from the whole gradient of c'; slopes and wrong (di, df, dg, do) are mistakes."""
    c, i, f, g, _, y = step
    gates = {"di": dc * g, "df": dc * c, "dg": dc * i, "do": dh * y} | wrong
    slopes = slopes or slopes_of(step)
    return side_by_side(*(d * slope for d, slope in zip(gates.values(), slopes, strict=True))), dc * f


def slopes_of(step):
    """The slopes of the four gates."""
    _, i, f, g, o, _ = step
    return [i * (1 - i), f * (1 - f), 1 - g**2, o * (1 - o)]


# ---- the cell ------------------------------------------------------------------------------------------------------


def cell_slip(name, advice):
    """Register a wrong way back through the cell as a slip of one step, and of a whole sequence."""

    def register(wrong):
        slip_of(lstm_step, name, advice)(lambda dy, saved: step_with(wrong, dy, saved))
        slip_of(lstm, name, advice)(lambda dy, saved: sequence_with(wrong, dy, saved))
        return wrong

    return register


def wrong_gates(name, advice):
    """Register other gradients of the gates as slips: wrong(step, dc, dh) -> {"di": ..., "slopes": ...}."""

    def register(wrong):
        @cell_slip(name, advice)
        def backward(dh, dc, step):
            _, _, _, _, o, y = step
            dc = dc + dh * o * (1 - y**2)
            return through_gates(step, dc, dh, **wrong(step, dc, dh))

        return wrong

    return register


@cell_slip(
    "path through the output forgotten",
    "h' = o tanh(c') moves with c', too: dc = dc_new + dh_new o (1 - tanh(c')**2).",
)
def no_output_path(dh, dc, step):
    return through_gates(step, dc, dh)


@cell_slip("gradient of the cell state forgotten", "c' goes on to the next step: its gradient dc_new comes in, too.")
def no_cell_gradient(dh, dc, step):
    return right_cell(dh, np.zeros_like(dc), step)


@cell_slip("slope of tanh(c') forgotten", "h' = o tanh(c'): going back to c' multiplies by 1 - tanh(c')**2.")
def no_tanh_slope(dh, dc, step):
    return through_gates(step, dc + dh * step[4], dh)


@cell_slip("slope of tanh(c') not squared", "h' = o tanh(c'): the slope of tanh is 1 - tanh(c')**2.")
def tanh_slope_not_squared(dh, dc, step):
    return through_gates(step, dc + dh * step[4] * (1 - step[5]), dh)


@cell_slip("output gate forgotten", "h' = o tanh(c'): what goes back from h' to c' is multiplied by o.")
def no_output_gate(dh, dc, step):
    return through_gates(step, dc + dh * (1 - step[5] ** 2), dh)


@cell_slip("forget gate forgotten", "The old c entered as f c, so its gradient is multiplied by f.")
def no_forget_gate(dh, dc, step):
    dz, _ = right_cell(dh, dc, step)
    return dz, dc + dh * step[4] * (1 - step[5] ** 2)


@cell_slip("input gate instead of forget gate", "The old c entered as f c: its gradient is dc times f, not i.")
def wrong_gate_for_cell(dh, dc, step):
    dz, _ = right_cell(dh, dc, step)
    return dz, (dc + dh * step[4] * (1 - step[5] ** 2)) * step[1]


@wrong_gates("gates in the wrong order", "Side by side they must stand as forward split them: i, f, g, o.")
def i_and_f_swapped(step, dc, dh):
    c, _, _, g, _, _ = step
    i, f, *others = slopes_of(step)
    return {"di": dc * c, "df": dc * g, "slopes": [f, i, *others]}


@wrong_gates("gates in the wrong order", "Keras's order is i, f, g, o: candidate before output gate.")
def g_and_o_swapped(step, dc, dh):
    i, f, g, o = slopes_of(step)
    return {"dg": dh * step[5], "do": dc * step[1], "slopes": [i, f, o, g]}


def _slope(gate, name, advice, wrong):
    """Register another slope of one gate, wrong(the gate's value), as slips."""

    @wrong_gates(name, advice)
    def backward(step, dc, dh):
        slopes = slopes_of(step)
        slopes[gate] = wrong(step[1 + gate])
        return {"slopes": slopes}


_SIGMOID = "The {0} is a sigmoid: multiply by its slope s (1 - s)."


for _gate, _name in ((0, "input gate"), (1, "forget gate"), (3, "output gate")):
    _slope(_gate, f"slope of the {_name} forgotten", _SIGMOID.format(_name), lambda s: 1.0)


_slope(2, "slope of the candidate", "The candidate g is a tanh: its slope is 1 - g**2, not g (1 - g).", lambda g: g * (1 - g))


_slope(2, "slope of the candidate not squared", "The candidate g is a tanh: its slope is 1 - g**2.", lambda g: 1 - g)


_slope(2, "slope of the candidate forgotten", "The candidate g is a tanh: multiply by 1 - g**2.", lambda g: 1.0)


@wrong_gates("slopes of the gates forgotten", "Go back through each gate's sigmoid: multiply by s (1 - s).")
def no_gate_slopes(step, dc, dh):
    return {"slopes": [1.0, 1.0, 1 - step[3] ** 2, 1.0]}


def _factor(name, advice, wrong):
    """Register a product with a wrong factor as slips: wrong(c, i, f, g, y, dc, dh) -> {"di": ...}."""

    @wrong_gates(name, advice)
    def backward(step, dc, dh):
        c, i, f, g, _, y = step
        return wrong(c, i, f, g, y, dc, dh)


_factor(
    "new cell state used for the forget gate",
    "f multiplied the cell state before the step: df = dc c, not c'.",
    lambda c, i, f, g, y, dc, dh: {"df": dc * (f * c + i * g)},
)


_factor(
    "cell state used without tanh",
    "h' = o tanh(c'): the gradient of o is dh_new tanh(c'), not dh_new c'.",
    lambda c, i, f, g, y, dc, dh: {"do": dh * (f * c + i * g)},
)


_factor(
    "input gate and candidate swapped",
    "c' gets i g: the gradient of i is dc g, that of g is dc i.",
    lambda c, i, f, g, y, dc, dh: {"di": dc * i, "dg": dc * g},
)


_factor(
    "cell state forgotten in the forget gate",
    "c' gets f c: the gradient of f is dc times the old c.",
    lambda c, i, f, g, y, dc, dh: {"df": dc},
)


_factor(
    "candidate forgotten in the input gate",
    "c' gets i g: the gradient of i is dc times g.",
    lambda c, i, f, g, y, dc, dh: {"di": dc},
)


_factor(
    "input gate forgotten in the candidate",
    "c' gets i g: the gradient of g is dc times i.",
    lambda c, i, f, g, y, dc, dh: {"dg": dc},
)


_factor(
    "tanh(c') forgotten in the output gate",
    "h' = o tanh(c'): the gradient of o is dh' times tanh(c').",
    lambda c, i, f, g, y, dc, dh: {"do": dh},
)


# ---- the weights and the sequence ----------------------------------------------------------------------------------


@slip_of(lstm_step, "first example only", "The weights served every example: sum their gradients over the batch.")
def first_example(dy, saved):
    x, h, w, u, step = saved
    one = x[:1], h[:1], w, u, tuple(a[:1] for a in step)
    return None, None, None, *lstm_step_backward((dy[0][:1], dy[1][:1]), one)[3:]


@slip_of(lstm_step, "averaged over the batch", "dh and dc already carry the 1/N of the loss: sum over the batch.")
def averaged(dy, saved):
    *_, dw, du, db = lstm_step_backward(dy, saved)
    n = len(saved[0])
    return None, None, None, dw / n, du / n, db / n


@slip_of(lstm, "last cell state's gradient forgotten", "c_T is a result, too: start the loop back with its gradient dc_T.")
def last_cell_forgotten(dy, saved):
    return lstm_backward((dy[0], np.zeros_like(dy[1])), saved)


@slip_of(lstm, "carry through h dropped", "h_t also feeds the gates of the next step: add dz Uᵀ to dy_t.")
def no_hidden_carry(dy, saved):
    x, w, u, *rest = saved
    dx, dh0, dc0, *weights = lstm_backward(dy, (x, w, 0 * u, *rest))
    return dx, None, dc0, *weights


@slip_of(lstm, "carry through c dropped", "c_t also feeds the next step: dc f goes back along the cell states.")
def no_cell_carry(dy, saved):
    def without_c(dh, dc, step):
        dz, dc = right_cell(dh, dc, step)
        return dz, 0 * dc

    dx, dh0, _, *weights = sequence_with(without_c, dy, saved)
    return dx, dh0, None, *weights


slips_through_time(lstm, functools.partial(sequence_with, right_cell), states=2)
