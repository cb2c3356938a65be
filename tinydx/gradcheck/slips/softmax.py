"""Mistakes that people make in the gradients of tinydx/ops/softmax.py.

Most of them lose the sum in p (dp - sum(dp p)): its factor, its axis, its sign, or the whole of it.
"""

from tinydx.gradcheck.slips import slip_of
from tinydx.ops.dense import dense_backward
from tinydx.ops.softmax import log_softmax, softmax, softmax_backward, softmax_decoding, softmax_decoding_backward


@slip_of(
    softmax,
    "diagonal only",
    "Every x_k moves every p_l through the common sum: subtract sum(dp * p) before multiplying by p.",
)
def softmax_diagonal(dp, saved):
    p, _ = saved
    return (dp * p * (1 - p),)


@slip_of(softmax, "sum over the wrong axis", "The sum runs over the axis that softmax normalises, not over the batch.")
def softmax_wrong_axis(dp, saved):
    p, axis = saved
    other = 0 if axis % p.ndim == p.ndim - 1 else -1
    return (p * (dp - (dp * p).sum(axis=other, keepdims=True)),)


@slip_of(
    softmax,
    "sum over everything",
    "Each row has its own denominator: sum along the axis that softmax normalises, with keepdims=True.",
)
def softmax_sum_of_all(dp, saved):
    p, _ = saved
    return (p * (dp - (dp * p).sum()),)


@slip_of(softmax, "x instead of p", "The derivative is written with the probabilities p that forward returned, not with x.")
def softmax_with_x(dp, saved, x):
    _, axis = saved
    return (x * (dp - (dp * x).sum(axis=axis, keepdims=True)),)


@slip_of(softmax, "common sum forgotten", "The common denominator moves, too: subtract sum(dp * p) before multiplying by p.")
def softmax_without_sum(dp, saved):
    p, _ = saved
    return (dp * p,)


@slip_of(softmax, "sign: common sum added", "Where one p_k grows the others shrink: the sum is subtracted, p (dp - sum(dp * p)).")
def softmax_plus(dp, saved):
    p, axis = saved
    return (p * (dp + (dp * p).sum(axis=axis, keepdims=True)),)


@slip_of(softmax, "factor p forgotten", "dp_k / dx_k carries p_k: multiply the difference by p.")
def softmax_without_p(dp, saved):
    p, axis = saved
    return (dp - (dp * p).sum(axis=axis, keepdims=True),)


@slip_of(softmax, "p missing in the sum", "The sum is weighted: sum(dp * p), not sum(dp).")
def softmax_plain_sum(dp, saved):
    p, axis = saved
    return (p * (dp - dp.sum(axis=axis, keepdims=True)),)


@slip_of(softmax, "mean instead of sum", "The derivative of the common denominator is a sum over the axis, not a mean.")
def softmax_mean(dp, saved):
    p, axis = saved
    return (p * (dp - (dp * p).mean(axis=axis, keepdims=True)),)


@slip_of(softmax, "off-diagonal only", "Each x_k moves its own p_k, too: the diagonal p_k (1 - p_k) is missing.")
def softmax_off_diagonal(dp, saved):
    p, axis = saved
    return (p * (dp * p - (dp * p).sum(axis=axis, keepdims=True)),)


@slip_of(
    softmax,
    "softmax skipped",
    "Only the softmax fused with its cross-entropy has such a simple gradient; here dp must go through p.",
)
def softmax_skipped(dp, saved):
    return (dp,)


@slip_of(log_softmax, "normalisation forgotten", "The logarithm of the sum moves with every x: subtract p * sum(dy).")
def log_softmax_identity(dy, saved):
    return (dy,)


@slip_of(log_softmax, "dy not summed", "p multiplies the sum of dy over the axis, not each dy by itself.")
def log_softmax_diagonal(dy, saved):
    p, _ = saved
    return (dy - p * dy,)


@slip_of(log_softmax, "p forgotten", "The sum of dy is shared out by p: subtract p * sum(dy).")
def log_softmax_without_p(dy, saved):
    _, axis = saved
    return (dy - dy.sum(axis=axis, keepdims=True),)


@slip_of(log_softmax, "logarithm instead of p", "Backward needs the probabilities: p is exp(y), not y.")
def log_softmax_with_y(dy, saved, y):
    _, axis = saved
    return (dy - y * dy.sum(axis=axis, keepdims=True),)


@slip_of(log_softmax, "sum over the wrong axis", "The sum runs over the axis that softmax normalises, not over the batch.")
def log_softmax_wrong_axis(dy, saved):
    p, axis = saved
    other = 0 if axis % p.ndim == p.ndim - 1 else -1
    return (dy - p * dy.sum(axis=other, keepdims=True),)


@slip_of(
    log_softmax, "sign: common sum added", "The logarithm of the sum is subtracted, and so is its derivative: dy - p * sum(dy)."
)
def log_softmax_plus(dy, saved):
    p, axis = saved
    return (dy + p * dy.sum(axis=axis, keepdims=True),)


@slip_of(log_softmax, "mean instead of sum", "p multiplies the sum of dy over the axis, not its mean.")
def log_softmax_mean(dy, saved):
    p, axis = saved
    return (dy - p * dy.mean(axis=axis, keepdims=True),)


@slip_of(
    log_softmax,
    "derivative of softmax",
    "p (dy - sum(dy * p)) belongs to softmax; after the logarithm it is dy - p * sum(dy).",
)
def log_softmax_as_softmax(dy, saved):
    return softmax_backward(dy, saved)


@slip_of(softmax_decoding, "softmax skipped", "Go back through the softmax first, then through W and b.")
def softmax_decoding_skipped(dp, saved):
    h, w, _ = saved
    return dense_backward(dp, (h, w))


@slip_of(
    softmax_decoding,
    "diagonal only",
    "Every score moves every probability: the softmax's gradient is not dp * p * (1 - p).",
)
def softmax_decoding_diagonal(dp, saved):
    h, w, p = saved
    return dense_backward(dp * p * (1 - p), (h, w))


@slip_of(softmax_decoding, "common sum forgotten", "The softmax's common denominator moves, too: dz = p (dp - sum(dp * p)).")
def softmax_decoding_without_sum(dp, saved):
    h, w, p = saved
    return dense_backward(dp * p, (h, w))


@slip_of(softmax_decoding, "averaged over the steps", "W and b served every step: sum their gradients, do not average.")
def softmax_decoding_averaged(dp, saved):
    _, dw, db = softmax_decoding_backward(dp, saved)
    rows = dp.size // dp.shape[-1]
    return None, dw / rows, db / rows
