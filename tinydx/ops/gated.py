"""One step of the gated recurrences, LSTM and GRU: the document's other two networks for sequences.

The gates stand side by side in one matrix, in Keras's order: i, f, g, o for the LSTM (g is the candidate that Keras
calls c), z, r, g for the GRU. Each gate's gradient dz is taken before its sigmoid or tanh; from there on it is the
dense layer twice, once for x and once for h.
"""

import math

import numpy as np

from tinydx.op import backward_of, literal_of, op, samples_of, slip_of
from tinydx.ops.activation import sigmoid


def _sigma(z):
    return sigmoid.forward(z)[0]


def _literal_scores(x, h, w, u, b):
    """x w + h u + b, number by number; without h and u just x w + b."""
    z = np.zeros((len(x), w.shape[1]))
    for n, k in np.ndindex(z.shape):
        z[n, k] = b[k]
        for d in range(x.shape[1]):
            z[n, k] += x[n, d] * w[d, k]
        for d in range(h.shape[1] if h is not None else 0):
            z[n, k] += h[n, d] * u[d, k]
    return z


def _literal_sigma(z):
    return 1 / (1 + math.exp(-z))


# ---- LSTM ----------------------------------------------------------------------------------------------------------


@op(
    r"i, f, o = \sigma(W x + U h + b), \quad g = \tanh(W x + U h + b), \quad"
    r" c' = f \cdot c + i \cdot g, \quad h' = o \cdot \tanh(c')",
    shapes="x (N,D), h (N,U), c (N,U), w (D,4U), u (U,4U), b (4U,) -> h' (N,U), c' (N,U)",
    source="document, 3.1, LSTM; Hochreiter and Schmidhuber 1997, Gers et al. 2000",
)
def lstm_step(x, h, c, w, u, b):
    """One step of the LSTM: the new hidden state and the new cell state.

    Arguments: x (N,D) input; h, c (N,U) the states before; w (D,4U), u (U,4U), b (4U,) with the gates i, f, g, o side
    by side. Returns (h', c'), both (N,U).

    >>> h, c = lstm_step(np.ones((2, 3)), np.zeros((2, 4)), np.zeros((2, 4)), np.ones((3, 16)), np.ones((4, 16)), np.ones(16))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """
    i, f, g, o = np.split(x @ w + h @ u + b, 4, axis=1)
    i, f, g, o = _sigma(i), _sigma(f), np.tanh(g), _sigma(o)
    new_c = f * c + i * g
    y = np.tanh(new_c)
    return (o * y, new_c), (x, h, c, w, u, i, f, g, o, y)


@backward_of(lstm_step)
def lstm_step_backward(dy, saved):
    _, _, dc, gates = _lstm_parts(dy, saved)
    return _lstm_gradients(saved, dc, gates)


def _lstm_parts(dy, saved):
    """dh', dc', and the gradients of c' (which h' = o tanh(c') moves with, too) and of the gates i, f, g, o."""
    *_, c, _, _, i, f, g, o, y = saved
    dh_new, dc_new = dy
    dc = dc_new + dh_new * o * (1 - y**2)
    return dh_new, dc_new, dc, [dc * g, dc * c, dc * i, dh_new * y]


def _lstm_gradients(saved, dc, gates, slopes=None):
    """From the gradients of c' and of the four gates to those of all that went in."""
    x, h, _, w, u, i, f, g, o, _ = saved
    slopes = slopes or [i * (1 - i), f * (1 - f), 1 - g**2, o * (1 - o)]
    dz = np.concatenate([d * slope for d, slope in zip(gates, slopes, strict=True)], axis=1)
    return dz @ w.T, dz @ u.T, dc * f, x.T @ dz, h.T @ dz, dz.sum(axis=0)


@literal_of(lstm_step)
def lstm_step_literal(x, h, c, w, u, b):
    z, units = _literal_scores(x, h, w, u, b), h.shape[1]
    new_h, new_c = np.zeros(h.shape), np.zeros(h.shape)
    for n, k in np.ndindex(h.shape):
        i, f = _literal_sigma(z[n, k]), _literal_sigma(z[n, units + k])
        g, o = math.tanh(z[n, 2 * units + k]), _literal_sigma(z[n, 3 * units + k])
        new_c[n, k] = f * c[n, k] + i * g
        new_h[n, k] = o * math.tanh(new_c[n, k])
    return new_h, new_c


@samples_of(lstm_step)
def lstm_step_samples(draw):
    n, d, u = draw.integer(2, 3), draw.integer(2, 3), draw.integer(3, 4)
    x, h, c = draw.array(n, d), draw.array(n, u), draw.array(n, u)
    return (x, h, c, draw.array(d, 4 * u), draw.array(u, 4 * u) / 2, draw.array(4 * u)), {}


@slip_of(
    lstm_step,
    "path through the output forgotten",
    "h' = o tanh(c') moves with c', too: dc = dc_new + dh_new o (1 - tanh(c')**2).",
)
def lstm_no_output_path(dy, saved):
    *_, c, _, _, i, _, g, _, y = saved
    dh_new, dc = dy
    return _lstm_gradients(saved, dc, [dc * g, dc * c, dc * i, dh_new * y])


@slip_of(
    lstm_step, "gradient of the cell state forgotten", "c' goes on to the next step: its gradient dc_new comes in, too."
)
def lstm_no_cell_gradient(dy, saved):
    return lstm_step_backward((dy[0], np.zeros_like(dy[1])), saved)


@slip_of(lstm_step, "slope of tanh(c') forgotten", "h' = o tanh(c'): going back to c' multiplies by 1 - tanh(c')**2.")
def lstm_no_tanh_slope(dy, saved):
    *_, c, _, _, i, _, g, o, y = saved
    dc = dy[1] + dy[0] * o
    return _lstm_gradients(saved, dc, [dc * g, dc * c, dc * i, dy[0] * y])


@slip_of(lstm_step, "forget gate forgotten", "The old c entered as f c, so its gradient is multiplied by f.")
def lstm_no_forget_gate(dy, saved):
    _, _, dc, _ = _lstm_parts(dy, saved)
    return None, None, dc, None, None, None


@slip_of(lstm_step, "gates in the wrong order", "Side by side they must stand as forward split them: i, f, g, o.")
def lstm_gates_i_and_f_swapped(dy, saved):
    _, _, dc, (di, df, dg, do) = _lstm_parts(dy, saved)
    *_, i, f, g, o, _ = saved
    return _lstm_gradients(saved, dc, [df, di, dg, do], [f * (1 - f), i * (1 - i), 1 - g**2, o * (1 - o)])


@slip_of(lstm_step, "gates in the wrong order", "Keras's order is i, f, g, o: candidate before output gate.")
def lstm_gates_g_and_o_swapped(dy, saved):
    _, _, dc, (di, df, dg, do) = _lstm_parts(dy, saved)
    *_, i, f, g, o, _ = saved
    return _lstm_gradients(saved, dc, [di, df, do, dg], [i * (1 - i), f * (1 - f), o * (1 - o), 1 - g**2])


@slip_of(lstm_step, "slope of the candidate", "The candidate g is a tanh: its slope is 1 - g**2, not g (1 - g).")
def lstm_candidate_as_sigmoid(dy, saved):
    _, _, dc, gates = _lstm_parts(dy, saved)
    *_, i, f, g, o, _ = saved
    return _lstm_gradients(saved, dc, gates, [i * (1 - i), f * (1 - f), g * (1 - g), o * (1 - o)])


@slip_of(lstm_step, "output gate forgotten", "h' = o tanh(c'): what goes back from h' to c' is multiplied by o.")
def lstm_no_output_gate(dy, saved):
    c, (i, _, g, _, y) = saved[2], saved[5:]
    dc = dy[1] + dy[0] * (1 - y**2)
    return _lstm_gradients(saved, dc, [dc * g, dc * c, dc * i, dy[0] * y])


def _one_slope_forgotten(gate, name):
    """The slip of going back through all gates' functions but one."""

    @slip_of(lstm_step, f"slope of the {name} forgotten", f"The {name} is a sigmoid: multiply by its slope s (1 - s).")
    def without(dy, saved):
        _, _, dc, gates = _lstm_parts(dy, saved)
        i, f, g, o = saved[5:9]
        slopes = [i * (1 - i), f * (1 - f), 1 - g**2, o * (1 - o)]
        slopes[gate] = 1.0
        return _lstm_gradients(saved, dc, gates, slopes)


_one_slope_forgotten(0, "input gate")
_one_slope_forgotten(1, "forget gate")
_one_slope_forgotten(3, "output gate")


@slip_of(lstm_step, "slopes of the gates forgotten", "Go back through each gate's sigmoid: multiply by s (1 - s).")
def lstm_no_gate_slopes(dy, saved):
    _, _, dc, gates = _lstm_parts(dy, saved)
    g = saved[7]
    return _lstm_gradients(saved, dc, gates, [1.0, 1.0, 1 - g**2, 1.0])


@slip_of(lstm_step, "new cell state used for the forget gate", "f multiplied the cell state before the step: df = dc c, not c'.")
def lstm_new_cell_for_f(dy, saved):
    _, _, dc, (di, _, dg, do) = _lstm_parts(dy, saved)
    c, (i, f, g) = saved[2], saved[5:8]
    return _lstm_gradients(saved, dc, [di, dc * (f * c + i * g), dg, do])


@slip_of(lstm_step, "cell state used without tanh", "h' = o tanh(c'): the gradient of o is dh_new tanh(c'), not dh_new c'.")
def lstm_output_gate_without_tanh(dy, saved):
    _, _, dc, (di, df, dg, _) = _lstm_parts(dy, saved)
    c, (i, f, g) = saved[2], saved[5:8]
    return _lstm_gradients(saved, dc, [di, df, dg, dy[0] * (f * c + i * g)])


@slip_of(lstm_step, "input gate and candidate swapped", "c' gets i g: the gradient of i is dc g, that of g is dc i.")
def lstm_partners_swapped(dy, saved):
    _, _, dc, (_, df, _, do) = _lstm_parts(dy, saved)
    i, g = saved[5], saved[7]
    return _lstm_gradients(saved, dc, [dc * i, df, dc * g, do])


@slip_of(lstm_step, "slope of tanh(c') not squared", "h' = o tanh(c'): the slope of tanh is 1 - tanh(c')**2.")
def lstm_tanh_slope_not_squared(dy, saved):
    c, (i, _, g, o, y) = saved[2], saved[5:]
    dc = dy[1] + dy[0] * o * (1 - y)
    return _lstm_gradients(saved, dc, [dc * g, dc * c, dc * i, dy[0] * y])


@slip_of(lstm_step, "slope of the candidate not squared", "The candidate g is a tanh: its slope is 1 - g**2.")
def lstm_candidate_slope_not_squared(dy, saved):
    _, _, dc, gates = _lstm_parts(dy, saved)
    i, f, g, o = saved[5:9]
    return _lstm_gradients(saved, dc, gates, [i * (1 - i), f * (1 - f), 1 - g, o * (1 - o)])


@slip_of(lstm_step, "slope of the candidate forgotten", "The candidate g is a tanh: multiply by 1 - g**2.")
def lstm_no_candidate_slope(dy, saved):
    _, _, dc, gates = _lstm_parts(dy, saved)
    i, f, _, o = saved[5:9]
    return _lstm_gradients(saved, dc, gates, [i * (1 - i), f * (1 - f), 1.0, o * (1 - o)])


@slip_of(lstm_step, "cell state forgotten in the forget gate", "c' gets f c: the gradient of f is dc times the old c.")
def lstm_forget_gate_without_cell(dy, saved):
    _, _, dc, (di, _, dg, do) = _lstm_parts(dy, saved)
    return _lstm_gradients(saved, dc, [di, dc, dg, do])


@slip_of(lstm_step, "candidate forgotten in the input gate", "c' gets i g: the gradient of i is dc times g.")
def lstm_input_gate_without_candidate(dy, saved):
    _, _, dc, (_, df, dg, do) = _lstm_parts(dy, saved)
    return _lstm_gradients(saved, dc, [dc, df, dg, do])


@slip_of(lstm_step, "input gate forgotten in the candidate", "c' gets i g: the gradient of g is dc times i.")
def lstm_candidate_without_input_gate(dy, saved):
    _, _, dc, (di, df, _, do) = _lstm_parts(dy, saved)
    return _lstm_gradients(saved, dc, [di, df, dc, do])


@slip_of(lstm_step, "tanh(c') forgotten in the output gate", "h' = o tanh(c'): the gradient of o is dh' times tanh(c').")
def lstm_output_gate_without_cell(dy, saved):
    _, _, dc, (di, df, dg, _) = _lstm_parts(dy, saved)
    return _lstm_gradients(saved, dc, [di, df, dg, dy[0]])


@slip_of(lstm_step, "input gate instead of forget gate", "The old c entered as f c: its gradient is dc times f, not i.")
def lstm_wrong_gate_for_cell(dy, saved):
    _, _, dc, _ = _lstm_parts(dy, saved)
    return None, None, dc * saved[5], None, None, None


@slip_of(lstm_step, "first example only", "The weights served every example: sum their gradients over the batch.")
def lstm_first_example(dy, saved):
    one = tuple(a if k in (3, 4) else a[:1] for k, a in enumerate(saved))
    return None, None, None, *lstm_step_backward((dy[0][:1], dy[1][:1]), one)[3:]


@slip_of(lstm_step, "averaged over the batch", "dh and dc already carry the 1/N of the loss: sum over the batch.")
def lstm_averaged(dy, saved):
    *_, dw, du, db = lstm_step_backward(dy, saved)
    n = len(saved[0])
    return None, None, None, dw / n, du / n, db / n


# ---- GRU -----------------------------------------------------------------------------------------------------------


@op(
    r"z, r = \sigma(W x + b_0 + U h + b_1), \quad g = \tanh(W x + b_0 + r \cdot (U h + b_1)), \quad"
    r" h' = z \cdot h + (1 - z) \cdot g",
    shapes="x (N,D), h (N,U), w (D,3U), u (U,3U), b (2,3U) -> h' (N,U)",
    source="document, 3.1, GRU; Cho et al. 2014, as in Keras (reset_after)",
)
def gru_step(x, h, w, u, b):
    """One step of the GRU: the new hidden state.

    Arguments: x (N,D) input; h (N,U) the state before; w (D,3U), u (U,3U) with the gates z, r, g side by side; b (2,3U),
    b[0] added to what comes from x, b[1] to what comes from h, before r multiplies it. Returns h' (N,U).

    >>> gru_step(np.ones((2, 3)), np.zeros((2, 4)), np.ones((3, 12)), np.ones((4, 12)), np.zeros((2, 12))).shape
    (2, 4)
    """
    xz, xr, xg = np.split(x @ w + b[0], 3, axis=1)
    hz, hr, s = np.split(h @ u + b[1], 3, axis=1)
    z, r = _sigma(xz + hz), _sigma(xr + hr)
    g = np.tanh(xg + r * s)
    return z * h + (1 - z) * g, (x, h, w, u, z, r, g, s)


@backward_of(gru_step)
def gru_step_backward(dy, saved):
    _, h, _, _, z, r, g, s = saved
    dg = dy * (1 - z) * (1 - g**2)
    return _gru_gradients(saved, dy * (h - g) * z * (1 - z), dg * s * r * (1 - r), dg, dg * r, dy * z)


def _gru_gradients(saved, dz, dr, dg, ds, direct):
    """From the gradients before the gates' sigmoid and tanh, and h's direct part, to those of all that went in."""
    x, h, w, u, *_ = saved
    from_x, from_h = np.concatenate([dz, dr, dg], axis=1), np.concatenate([dz, dr, ds], axis=1)
    db = np.stack([from_x.sum(axis=0), from_h.sum(axis=0)])
    return from_x @ w.T, direct + from_h @ u.T, x.T @ from_x, h.T @ from_h, db


@literal_of(gru_step)
def gru_step_literal(x, h, w, u, b):
    from_x, from_h, units = _literal_scores(x, None, w, None, b[0]), _literal_scores(h, None, u, None, b[1]), h.shape[1]
    y = np.zeros(h.shape)
    for n, k in np.ndindex(h.shape):
        z = _literal_sigma(from_x[n, k] + from_h[n, k])
        r = _literal_sigma(from_x[n, units + k] + from_h[n, units + k])
        g = math.tanh(from_x[n, 2 * units + k] + r * from_h[n, 2 * units + k])
        y[n, k] = z * h[n, k] + (1 - z) * g
    return y


@samples_of(gru_step)
def gru_step_samples(draw):
    n, d, u = draw.integer(2, 3), draw.integer(2, 3), draw.integer(3, 4)
    return (draw.array(n, d), draw.array(n, u), draw.array(d, 3 * u), draw.array(u, 3 * u) / 2, draw.array(2, 3 * u)), {}


@slip_of(gru_step, "direct path forgotten", "h' = z h + ... takes h over directly, too: add dh' z.")
def gru_no_direct_path(dy, saved):
    _, dh, *_ = gru_step_backward(dy, saved)
    return None, dh - dy * saved[4], None, None, None


@slip_of(
    gru_step, "reset gate forgotten", "What the state says to the candidate was multiplied by r: so is its gradient."
)
def gru_no_reset_gate(dy, saved):
    _, h, _, _, z, r, g, s = saved
    dg = dy * (1 - z) * (1 - g**2)
    return _gru_gradients(saved, dy * (h - g) * z * (1 - z), dg * s * r * (1 - r), dg, dg, dy * z)


@slip_of(
    gru_step, "update gate the wrong way round", "h' = z h + (1 - z) g: where z grows, h comes in and g goes out, h - g."
)
def gru_update_gate_reversed(dy, saved):
    _, h, _, _, z, r, g, s = saved
    dg = dy * (1 - z) * (1 - g**2)
    return _gru_gradients(saved, dy * (g - h) * z * (1 - z), dg * s * r * (1 - r), dg, dg * r, dy * z)


@slip_of(gru_step, "z and 1 - z exchanged", "Keras's GRU keeps h with weight z: h gets dh' z, the candidate dh' (1 - z).")
def gru_shares_exchanged(dy, saved):
    _, h, _, _, z, r, g, s = saved
    dg = dy * z * (1 - g**2)
    return _gru_gradients(saved, dy * (h - g) * z * (1 - z), dg * s * r * (1 - r), dg, dg * r, dy * (1 - z))


@slip_of(gru_step, "slope of the candidate forgotten", "The candidate g is a tanh: multiply by 1 - g**2.")
def gru_no_candidate_slope(dy, saved):
    _, h, _, _, z, r, g, s = saved
    dg = dy * (1 - z)
    return _gru_gradients(saved, dy * (h - g) * z * (1 - z), dg * s * r * (1 - r), dg, dg * r, dy * z)


@slip_of(gru_step, "slopes of the gates forgotten", "Go back through each gate's sigmoid: multiply by s (1 - s).")
def gru_no_gate_slopes(dy, saved):
    _, h, _, _, z, r, g, s = saved
    dg = dy * (1 - z) * (1 - g**2)
    return _gru_gradients(saved, dy * (h - g), dg * s, dg, dg * r, dy * z)


@slip_of(gru_step, "reset gate's gradient with h", "r multiplied U h + b_1, not h itself: dr = dg (U h + b_1).")
def gru_reset_with_state(dy, saved):
    _, h, _, _, z, r, g, _ = saved
    dg = dy * (1 - z) * (1 - g**2)
    return _gru_gradients(saved, dy * (h - g) * z * (1 - z), dg * h * r * (1 - r), dg, dg * r, dy * z)


@slip_of(gru_step, "one bias for both", "b[0] sums what came from x, b[1] from h: in the candidate, r is between them.")
def gru_one_bias(dy, saved):
    *_, db = gru_step_backward(dy, saved)
    return None, None, None, None, np.stack([db[1], db[1]])


@slip_of(gru_step, "one bias for both", "b[0] sums what came from x; what came from h was multiplied by r in the candidate.")
def gru_one_bias_from_x(dy, saved):
    *_, db = gru_step_backward(dy, saved)
    return None, None, None, None, np.stack([db[0], db[0]])


@slip_of(gru_step, "gates in the wrong order", "Side by side they must stand as forward split them: z, r, g.")
def gru_gates_swapped(dy, saved):
    _, h, _, _, z, r, g, s = saved
    dg = dy * (1 - z) * (1 - g**2)
    return _gru_gradients(saved, dg * s * r * (1 - r), dy * (h - g) * z * (1 - z), dg, dg * r, dy * z)


@slip_of(gru_step, "slope of the candidate not squared", "The candidate g is a tanh: its slope is 1 - g**2.")
def gru_candidate_slope_not_squared(dy, saved):
    _, h, _, _, z, r, g, s = saved
    dg = dy * (1 - z) * (1 - g)
    return _gru_gradients(saved, dy * (h - g) * z * (1 - z), dg * s * r * (1 - r), dg, dg * r, dy * z)


@slip_of(gru_step, "candidate forgotten in the update gate", "z moves h' by h - g: h comes in, the candidate goes out.")
def gru_update_gate_without_candidate(dy, saved):
    _, h, _, _, z, r, g, s = saved
    dg = dy * (1 - z) * (1 - g**2)
    return _gru_gradients(saved, dy * h * z * (1 - z), dg * s * r * (1 - r), dg, dg * r, dy * z)


@slip_of(gru_step, "path through the reset gate forgotten", "r decides how much of the state reaches g: it moves h', too.")
def gru_no_reset_path(dy, saved):
    _, h, _, _, z, r, g, _ = saved
    dg = dy * (1 - z) * (1 - g**2)
    return _gru_gradients(saved, dy * (h - g) * z * (1 - z), np.zeros_like(dg), dg, dg * r, dy * z)


@slip_of(gru_step, "path through the gates forgotten", "h also moved the gates: add what comes back through U to dh' z.")
def gru_direct_path_only(dy, saved):
    return None, dy * saved[4], None, None, None


@slip_of(gru_step, "first example only", "The weights served every example: sum their gradients over the batch.")
def gru_first_example(dy, saved):
    one = tuple(a if k in (2, 3) else a[:1] for k, a in enumerate(saved))
    return None, None, *gru_step_backward(dy[:1], one)[2:]


@slip_of(gru_step, "averaged over the batch", "dh' already carries the 1/N of the loss: sum over the batch.")
def gru_averaged(dy, saved):
    _, _, dw, du, db = gru_step_backward(dy, saved)
    n = len(saved[0])
    return None, None, dw / n, du / n, db / n
