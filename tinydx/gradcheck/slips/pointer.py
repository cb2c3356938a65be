"""Mistakes that people make in the gradient of tinydx/ops/pointer.py: g forgotten or swapped, the softmax skipped."""

from tinydx.gradcheck.slips import slip_of
from tinydx.ops.pointer import _places, copy_mixture, copy_mixture_backward
from tinydx.ops.softmax import softmax_backward


@slip_of(copy_mixture, "copying forgotten in g", "g gives to the written words what it takes from the copied ones.")
def copy_mixture_without_copies(dp, saved):
    dz, da, _ = copy_mixture_backward(dp, saved)
    return dz, da, (dp * saved[0]).sum(axis=-1, keepdims=True)


@slip_of(copy_mixture, "weight of the copies", "Copies count with 1 - g, not with g.")
def copy_mixture_gate_swapped(dp, saved):
    _, a, g, source = saved
    return None, g * dp[_places(source, a.shape)], None


@slip_of(copy_mixture, "g forgotten", "Only the share g of the probability comes from the scores: dz carries g.")
def copy_mixture_without_gate(dp, saved):
    (dz,) = softmax_backward(dp, (saved[0], -1))
    return dz, None, None


@slip_of(copy_mixture, "softmax skipped", "The scores pass a softmax before they are mixed.")
def copy_mixture_without_softmax(dp, saved):
    _, _, g, _ = saved
    return g * dp, None, None
