"""The dense layer with weights of 16 and of 8 bits: the equation is dense's, but each weight is rounded once and stored so.

    bfloat16    the upper half of a float32: sign, 8 bits of exponent, 7 bits of fraction
                  s eeeeeeee mmmmmmm      w = (-1)^s 2^(e - 127) (1 + m / 128)            relative error at most 2^-8 / (1 + 2^-8)
    int8        a whole number from -127 to 127, times the scale of its column
                  s_f = max over d of |w_df| / 127      q_df = w_df / s_f, rounded        absolute error at most s_f / 2

One image through a large layer takes as long as its weights take from memory, so half the bytes is nearly half the time. The
rounded weights do not train: the gradient of a rounding is 0. Gradients flow to x and to the bias.
"""

import numpy as np

from tinydx.op import backward_of, literal_of, op, requirement_of, samples_of

TOO_LARGE = (2 - 2**-8) * 2.0**127  # from here on, the nearest bfloat16 is infinite
LARGEST_INT8 = 127  # -128 is left out, so that the numbers lie symmetrically

# ---- rounding ------------------------------------------------------------------------------------------------------


def to_bf16(w):
    """The bits of the bfloat16 nearest to each weight; of two equally near ones, that whose last bit is 0.

    Arguments: w, of any shape.
    Returns: uint16 of that shape.
    Raises: ValueError for NaN and infinite weights, and for one that lies beyond the largest bfloat16, 3.39e38.

    >>> [hex(bits) for bits in to_bf16(np.array([1.0, -1.0, 1 + 1 / 256, 1 + 3 / 256]))]
    ['0x3f80', '0xbf80', '0x3f80', '0x3f82']
    """
    _expect_finite(w)
    if (np.abs(w) >= TOO_LARGE).any():
        raise ValueError("a weight lies beyond the largest bfloat16, 3.39e38")
    _, exponent = np.frexp(w)  # |w| lies between 2^(exponent - 1) and 2^exponent
    step = np.ldexp(w.dtype.type(1), np.maximum(exponent, -125) - 8)  # between neighbouring numbers of 8 bits
    nearest = np.rint(w / step) * step  # rint rounds halves to the even number
    return (nearest.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def from_bf16(bits):
    """The bfloat16 of these bits, as float32: the missing lower half is zeros.

    >>> from_bf16(np.array([0x3f80, 0xbf80, 0x3f82], "uint16"))
    array([ 1.      , -1.      ,  1.015625], dtype=float32)
    """
    return (bits.astype(np.uint32) << 16).view(np.float32)


def to_int8(w):
    """Each column of the weights as whole numbers and their scale.

    Arguments: w (D,F).
    Returns: q int8 (D,F), scale (F,), above 0 for zeros, too: q * scale is w, but for at most half a scale.
    Raises: ValueError for NaN and infinite weights.

    >>> to_int8(np.array([[1.0, 0.0], [-0.5, 0.0], [0.004, 0.0]]))[0]
    array([[127,   0],
           [-64,   0],
           [  1,   0]], dtype=int8)
    """
    _expect_finite(w)
    scale = np.maximum(np.abs(w).max(axis=0) / LARGEST_INT8, np.finfo(w.dtype).tiny)
    return np.rint(w / scale).astype(np.int8), scale


def _expect_finite(w):
    if not np.isfinite(w).all():
        raise ValueError("a weight is NaN or infinite")


# ---- 16 bits -------------------------------------------------------------------------------------------------------


@op(
    r"y_f = \sum_{d} x_d \, (-1)^{s_{df}} \, 2^{e_{df}-127} \left(1 + \tfrac{m_{df}}{128}\right) + b_f",
    shapes="x (...,D), b (F,), bits int (D,F) -> y (...,F)",
    source="bfloat16: Kalamkar et al. 2019",
)
def dense_bf16(x, b=None, *, bits):
    """The dense layer with weights in bfloat16.

    Arguments: x (...,D); b (F,) or None; bits, uint16 (D,F), the weights as `to_bf16` stores them.
    Returns: y (...,F).
    Raises: ValueError where bits are not uint16.

    >>> dense_bf16(np.ones((1, 2)), bits=to_bf16(np.array([[0.5], [0.25]])))
    array([[0.75]])
    """
    bits = np.asarray(bits, like=x)
    y = x @ from_bf16(bits)
    return (y if b is None else y + b), bits


@backward_of(dense_bf16)
def dense_bf16_backward(dy, bits):
    return dy @ from_bf16(bits).T, dy.reshape(-1, dy.shape[-1]).sum(axis=0)


@requirement_of(dense_bf16)
def bits_are_uint16(x, b=None, *, bits):
    """ValueError for integers that are no upper halves of floats."""
    if bits.dtype != np.uint16:
        raise ValueError(f"dense_bf16: bits are {bits.dtype}, expected uint16, as to_bf16(w) returns them")


@literal_of(dense_bf16)
def dense_bf16_literal(x, b=None, *, bits):
    y = np.zeros((*x.shape[:-1], bits.shape[1]))
    for i in np.ndindex(y.shape[:-1]):
        for f in range(bits.shape[1]):
            for d in range(bits.shape[0]):
                stored = int(bits[d, f])
                sign, exponent, fraction = stored >> 15, stored >> 7 & 255, stored & 127
                size = 2.0 ** (exponent - 127) * (1 + fraction / 128) if exponent else 2.0**-126 * fraction / 128  # 0 and below
                y[(*i, f)] += x[(*i, d)] * (-1) ** sign * size
            if b is not None:
                y[(*i, f)] += b[f]
    return y


@samples_of(dense_bf16)
def dense_bf16_samples(draw):
    d, f = draw.integer(1, 4), draw.integer(1, 4)
    batch = draw.choice([(2,), (5,), (3, 2)])
    return (draw.array(*batch, d), draw.array(f)), {"bits": to_bf16(draw.array(d, f))}


# ---- 8 bits --------------------------------------------------------------------------------------------------------


@op(
    r"y_f = s_f \sum_{d} x_d \, q_{df} + b_f",
    shapes="x (...,D), b (F,), q int (D,F), scale number (F,) -> y (...,F)",
    source="Jacob et al. 2018, for weights alone",
)
def dense_int8(x, b=None, *, q, scale):
    """The dense layer with weights of 8 bits, w_df = scale_f q_df; the scale is taken out of the sum.

    Arguments: x (...,D); b (F,) or None; q int8 (D,F) and scale (F,), the weights as `to_int8` stores them.
    Returns: y (...,F).
    Raises: ValueError where q is not int8.

    >>> dense_int8(np.ones((1, 2)), q=np.array([[4], [2]], "int8"), scale=np.array([0.125]))
    array([[0.75]])
    """
    q, scale = np.asarray(q, like=x), np.asarray(scale, x.dtype, like=x)
    y = (x @ q) * scale
    return (y if b is None else y + b), (q, scale)


@backward_of(dense_int8)
def dense_int8_backward(dy, saved):
    q, scale = saved
    return (dy * scale) @ q.T, dy.reshape(-1, dy.shape[-1]).sum(axis=0)


@requirement_of(dense_int8)
def q_is_int8(x, b=None, *, q, scale):
    """ValueError for integers that are not of 8 bits."""
    if q.dtype != np.int8:
        raise ValueError(f"dense_int8: q is {q.dtype}, expected int8, as to_int8(w) returns it")


@literal_of(dense_int8)
def dense_int8_literal(x, b=None, *, q, scale):
    y = np.zeros((*x.shape[:-1], q.shape[1]))
    for i in np.ndindex(y.shape[:-1]):
        for f in range(q.shape[1]):
            for d in range(q.shape[0]):
                y[(*i, f)] += x[(*i, d)] * scale[f] * int(q[d, f])
            if b is not None:
                y[(*i, f)] += b[f]
    return y


@samples_of(dense_int8)
def dense_int8_samples(draw):
    d, f = draw.integer(1, 4), draw.integer(1, 4)
    batch = draw.choice([(2,), (5,), (3, 2)])
    q, scale = to_int8(draw.array(d, f))
    return (draw.array(*batch, d), draw.array(f)), {"q": q, "scale": scale}
