"""Mistakes that people make in the gradients of tinydx/ops/gru.py."""

import functools

import numpy as np

from tinydx.gradcheck.slips import slip_of
from tinydx.gradcheck.slips.gated import slips_through_time
from tinydx.ops.gated import backward_through_time, over_all_steps, side_by_side
from tinydx.ops.gru import gru, gru_backward, gru_reset_before, gru_step, gru_step_backward

# ---- the cells in parts, one of which a slip replaces ---------------------------------------------------------------


def through_update(dy, h, z, g):
    """h' = z h + (1 - z) g: the gradients of z and g before their sigmoid and tanh, and what h gets directly."""
    return dy * (h - g) * z * (1 - z), dy * (1 - z) * (1 - g**2), dy * z


def through_reset(dg, r, s):
    """g = tanh(xg + r s): the gradient of r before its sigmoid, and that of s."""
    return dg * s * r * (1 - r), dg * r


def through_product(dg, h, r, u_g):
    """g = tanh(xg + (r h) U_g): the gradient of r before its sigmoid, and what h gets along this way."""
    back = dg @ u_g.T
    return back * h * r * (1 - r), back * r


def cell_with(dy, step, u, through_update=through_update, through_reset=through_reset):
    """The cell of gru: what the gates get from x and from h, both (N,3U), and the gradient of h."""
    h, z, r, g, s = step
    dz, dg, direct = through_update(dy, h, z, g)
    dr, ds = through_reset(dg, r, s)
    from_x, from_h = side_by_side(dz, dr, dg), side_by_side(dz, dr, ds)
    return [from_x, from_h], [direct + from_h @ u.T]


def cell_before_with(dy, step, u, through_update=through_update, through_product=through_product):
    """The cell of gru_reset_before: what the gates get (N,3U), and the gradient of h."""
    h, z, r, g = step
    units = h.shape[1]
    dz, dg, direct = through_update(dy, h, z, g)
    dr, from_candidate = through_product(dg, h, r, u[:, 2 * units :])
    from_gates = side_by_side(dz, dr) @ u[:, : 2 * units].T
    return [side_by_side(dz, dr, dg)], [direct + from_candidate + from_gates]


# ---- the way back with another cell or another loop in it -----------------------------------------------------------


def step_with(cell, dy, saved):
    """The gradients of gru_step, with cell(dy, step, u) -> [from_x, from_h], [dh]."""
    x, h, w, u, step = saved
    (from_x, from_h), (dh,) = cell(dy, step, u)
    return from_x @ w.T, dh, x.T @ from_x, h.T @ from_h, np.stack([from_x.sum(axis=0), from_h.sum(axis=0)])


def sequence_with(cell, dy, saved, through_time=backward_through_time):
    """The gradients of gru, with such a cell, or with another loop."""
    x, w, u, before, steps, mask = saved
    dstates = [np.zeros_like(dy[:, 0])]
    (from_x, from_h), (dh0,) = through_time(lambda d, step: cell(*d, step, u), dy, dstates, steps, mask)
    db = np.stack([from_x.sum(axis=(0, 1)), from_h.sum(axis=(0, 1))])
    return from_x @ w.T, dh0, over_all_steps(x, from_x), over_all_steps(before, from_h), db


def before_with(cell, dy, saved, through_time=backward_through_time):
    """The gradients of gru_reset_before, with cell(dy, step, u) -> [dz], [dh], or with another loop."""
    x, w, u, before, steps, mask = saved
    dstates = [np.zeros_like(dy[:, 0])]
    [dz], (dh0,) = through_time(lambda d, step: cell(*d, step, u), dy, dstates, steps, mask)
    units, r = len(u), np.stack([step[2] for step in steps], axis=1)
    du = side_by_side(over_all_steps(before, dz[..., : 2 * units]), over_all_steps(r * before, dz[..., 2 * units :]))
    return dz @ w.T, dh0, over_all_steps(x, dz), du, dz.sum(axis=(0, 1))


def cell_slip(name, advice):
    """Register a wrong cell as a slip of one step, and of a whole sequence."""

    def register(wrong):
        slip_of(gru_step, name, advice)(lambda dy, saved: step_with(wrong, dy, saved))
        slip_of(gru, name, advice)(lambda dy, saved: sequence_with(wrong, dy, saved))
        return wrong

    return register


def before_slip(name, advice):
    """Register a wrong cell of the form with the reset gate before the product."""

    def register(wrong):
        slip_of(gru_reset_before, name, advice)(lambda dy, saved: before_with(wrong, dy, saved))
        return wrong

    return register


def update_slip(name, advice):
    """Register a wrong way back through h' = z h + (1 - z) g, which both forms share: wrong(dy, h, z, g)."""

    def register(wrong):
        cell_slip(name, advice)(functools.partial(cell_with, through_update=wrong))
        before_slip(name, advice)(functools.partial(cell_before_with, through_update=wrong))
        return wrong

    return register


def reset_slip(name, advice):
    """Register a wrong way back through r (U h + b_1): wrong(dg, r, s)."""
    return lambda wrong: cell_slip(name, advice)(functools.partial(cell_with, through_reset=wrong))


def product_slip(name, advice):
    """Register a wrong way back through U (r h): wrong(dg, h, r, u_g)."""
    return lambda wrong: before_slip(name, advice)(functools.partial(cell_before_with, through_product=wrong))


# ---- the cells -----------------------------------------------------------------------------------------------------


@update_slip("direct path forgotten", "h' = z h + ... takes h over directly, too: add dh' z.")
def no_direct_path(dy, h, z, g):
    dz, dg, direct = through_update(dy, h, z, g)
    return dz, dg, 0 * direct


@update_slip("update gate the wrong way round", "h' = z h + (1 - z) g: where z grows, h comes in and g goes out, h - g.")
def update_gate_reversed(dy, h, z, g):
    dz, dg, direct = through_update(dy, h, z, g)
    return -dz, dg, direct


@update_slip("z and 1 - z exchanged", "Keras's GRU keeps h with weight z: h gets dh' z, the candidate dh' (1 - z).")
def shares_exchanged(dy, h, z, g):
    dz, _, _ = through_update(dy, h, z, g)
    return dz, dy * z * (1 - g**2), dy * (1 - z)


@update_slip("slope of the candidate forgotten", "The candidate g is a tanh: multiply by 1 - g**2.")
def no_candidate_slope(dy, h, z, g):
    dz, _, direct = through_update(dy, h, z, g)
    return dz, dy * (1 - z), direct


@update_slip("slope of the candidate not squared", "The candidate g is a tanh: its slope is 1 - g**2.")
def candidate_slope_not_squared(dy, h, z, g):
    dz, _, direct = through_update(dy, h, z, g)
    return dz, dy * (1 - z) * (1 - g), direct


@update_slip("candidate forgotten in the update gate", "z moves h' by h - g: h comes in, the candidate goes out.")
def update_gate_without_candidate(dy, h, z, g):
    _, dg, direct = through_update(dy, h, z, g)
    return dy * h * z * (1 - z), dg, direct


SLOPES = "slopes of the gates forgotten", "Go back through each gate's sigmoid: multiply by s (1 - s)."
SWAPPED = "gates in the wrong order", "Side by side they must stand as forward split them: z, r, g."
RESET_PATH = "path through the reset gate forgotten", "r decides how much of the state reaches g: it moves h', too."


def _update_without_slope(dy, h, z, g):
    return dy * (h - g), *through_update(dy, h, z, g)[1:]


@cell_slip(*SLOPES)
def no_gate_slopes(dy, step, u):
    return cell_with(dy, step, u, _update_without_slope, lambda dg, r, s: (dg * s, dg * r))


@before_slip(*SLOPES)
def before_no_gate_slopes(dy, step, u):
    return cell_before_with(dy, step, u, _update_without_slope, lambda dg, h, r, u_g: (dg @ u_g.T * h, dg @ u_g.T * r))


def _swapped(dz):
    """The gradients of z and r, exchanged."""
    z, r, g = np.split(dz, 3, axis=1)
    return side_by_side(r, z, g)


@cell_slip(*SWAPPED)
def gates_swapped(dy, step, u):
    (from_x, from_h), (dh,) = cell_with(dy, step, u)
    return [_swapped(from_x), _swapped(from_h)], [dh + (_swapped(from_h) - from_h) @ u.T]


@before_slip(*SWAPPED)
def before_gates_swapped(dy, step, u):
    (dz,), (dh,) = cell_before_with(dy, step, u)
    return [_swapped(dz)], [dh + (_swapped(dz) - dz) @ u.T]


@reset_slip("reset gate forgotten", "What the state says to the candidate was multiplied by r: so is its gradient.")
def no_reset_gate(dg, r, s):
    return dg * s * r * (1 - r), dg


@reset_slip("state forgotten in the reset gate", "r multiplied U h + b_1, all of it: dr = dg (U h + b_1).")
def reset_without_state(dg, r, s):
    return dg * r * (1 - r), dg * r


@reset_slip(*RESET_PATH)
def no_reset_path(dg, r, s):
    return 0 * dg, dg * r


@cell_slip("reset gate's gradient with h", "r multiplied U h + b_1, not h itself: dr = dg (U h + b_1).")
def reset_with_state(dy, step, u):
    return cell_with(dy, step, u, through_reset=lambda dg, r, s: (dg * step[0] * r * (1 - r), dg * r))


@product_slip("reset gate forgotten", "h entered as U (r h): what comes back through U is multiplied by r.")
def before_no_reset_gate(dg, h, r, u_g):
    back = dg @ u_g.T
    return back * h * r * (1 - r), back


@product_slip(*RESET_PATH)
def before_no_reset_path(dg, h, r, u_g):
    return 0 * dg, dg @ u_g.T * r


@product_slip("reset gate's gradient without h", "r multiplied h: its gradient is (dg U_gᵀ) h.")
def before_reset_without_state(dg, h, r, u_g):
    back = dg @ u_g.T
    return back * r * (1 - r), back * r


@product_slip("path through the candidate forgotten", "h also reached the candidate, as U (r h): add (dg U_gᵀ) r.")
def before_no_candidate_path(dg, h, r, u_g):
    dr, direct = through_product(dg, h, r, u_g)
    return dr, 0 * direct


# ---- the weights and the sequence ----------------------------------------------------------------------------------


@slip_of(gru_reset_before, "dU of the candidate pairs with h", "U_g multiplied r h, not h: dU_g = (r h)ᵀ dg.")
def before_state_without_reset(dy, saved):
    x, w, u, before, steps, mask = saved
    dstates = [np.zeros_like(dy[:, 0])]
    [dz], _ = backward_through_time(lambda d, step: cell_before_with(*d, step, u), dy, dstates, steps, mask)
    return None, None, None, over_all_steps(before, dz), None


def _one_bias(dy, saved, k):
    """Both biases with the gradient of one."""
    *_, db = (gru_step_backward if dy.ndim == 2 else gru_backward)(dy, saved)
    return None, None, None, None, np.stack([db[k], db[k]])


for _op in (gru_step, gru):
    slip_of(_op, "one bias for both", "b[0] sums what came from x, b[1] from h: in the candidate, r is between them.")(
        lambda dy, saved: _one_bias(dy, saved, 1)
    )
    slip_of(_op, "one bias for both", "b[0] sums what came from x; what came from h was multiplied by r in the candidate.")(
        lambda dy, saved: _one_bias(dy, saved, 0)
    )


@slip_of(gru_step, "path through the gates forgotten", "h also moved the gates: add what comes back through U to dh' z.")
def direct_path_only(dy, saved):
    return None, dy * saved[4][1], None, None, None


@slip_of(gru_step, "first example only", "The weights served every example: sum their gradients over the batch.")
def first_example(dy, saved):
    x, h, w, u, step = saved
    return None, None, *gru_step_backward(dy[:1], (x[:1], h[:1], w, u, tuple(a[:1] for a in step)))[2:]


@slip_of(gru_step, "averaged over the batch", "dh' already carries the 1/N of the loss: sum over the batch.")
def averaged(dy, saved):
    _, _, dw, du, db = gru_step_backward(dy, saved)
    n = len(saved[0])
    return None, None, dw / n, du / n, db / n


slips_through_time(gru, functools.partial(sequence_with, cell_with), states=1)
slips_through_time(gru_reset_before, functools.partial(before_with, cell_before_with), states=1)
