"""Mistakes that people make in the gradient of tinydx/ops/attention.py: a factor, a transposition or the softmax forgotten."""

from tinydx.gradcheck.slips import slip_of
from tinydx.ops.attention import attention, attention_backward
from tinydx.ops.softmax import softmax_backward


@slip_of(attention, "softmax skipped", "The scores pass a softmax before they weigh the values: its gradient lies between.")
def attention_without_softmax(dy, saved):
    q, k, v, a = saved
    da = dy @ v.swapaxes(1, 2)
    return da @ k, da.swapaxes(1, 2) @ q, None


@slip_of(attention, "diagonal of the softmax only", "A score moves all weights of its query: subtract the row's sum of da * a.")
def attention_diagonal(dy, saved):
    q, k, v, a = saved
    ds = dy @ v.swapaxes(1, 2) * a * (1 - a)
    return ds @ k, ds.swapaxes(1, 2) @ q, None


@slip_of(attention, "softmax over the queries", "The weights of a query add up to 1 over the values, not over the queries.")
def attention_wrong_axis(dy, saved):
    q, k, v, a = saved
    (ds,) = softmax_backward(dy @ v.swapaxes(1, 2), (a, 1))
    return ds @ k, ds.swapaxes(1, 2) @ q, None


@slip_of(attention, "weights forgotten in dv", "A value gets the gradients of all queries, each times its weight: a^T dy.")
def attention_without_weights(dy, saved):
    dq, dk, _ = attention_backward(dy, saved)
    return dq, dk, dy.sum(axis=1, keepdims=True) + 0 * saved[2][..., :1]


@slip_of(attention, "one query only", "A key is compared with every query: sum their gradients.")
def attention_last_query(dy, saved):
    q, k, v, a = saved
    (ds,) = softmax_backward(dy @ v.swapaxes(1, 2), (a, -1))
    return None, ds[:, -1, :, None] * q[:, -1:], None
