"""Dot-product attention: every query gets a mixture of the values whose keys match it."""

import numpy as np

from tinydx.arguments import FLAG
from tinydx.op import backward_of, literal_of, op, samples_of
from tinydx.ops.softmax import softmax, softmax_backward


@op(
    r"y_{ni} = \sum_j a_{nij} v_{nj}, \quad a_{nij} = \frac{e^{q_{ni} \cdot k_{nj}}}{\sum_l e^{q_{ni} \cdot k_{nl}}}",
    shapes="q (N,S,U), k (N,T,U), v (N,T,V), mask bool (N,T) -> y (N,S,V)",
    source="Luong 2015; Vaswani 2017",
    constants={"causal": FLAG},
)
def attention(q, k, v, *, mask=None, causal=False):
    """Attention: the softmax of the scores q_i . k_j weighs the values v_j. Hidden scores are lowered by 1e9, to weight 0.

    Arguments: q (N,S,U); k (N,T,U); v (N,T,V); mask (N,T), which values exist; causal, whether query i sees only values 0 to i.
    Returns: y (N,S,V).

    >>> attention(np.zeros((1, 1, 2)), np.zeros((1, 2, 2)), np.array([[[1.0], [3.0]]]))
    array([[[2.]]])
    """
    later = np.arange(k.shape[1], like=q) > np.arange(q.shape[1], like=q)[:, None]
    hidden = (later & causal) if mask is None else (later & causal) | ~mask[:, None]
    a, _ = softmax.forward(q @ k.swapaxes(1, 2) - (1e9 * hidden).astype(q.dtype))
    return a @ v, (q, k, v, a)


@backward_of(attention)
def attention_backward(dy, saved):
    q, k, v, a = saved
    (ds,) = softmax_backward(dy @ v.swapaxes(1, 2), (a, -1))
    return ds @ k, ds.swapaxes(1, 2) @ q, a.swapaxes(1, 2) @ dy


@literal_of(attention)
def attention_literal(q, k, v, *, mask=None, causal=False):
    y = np.zeros((*q.shape[:2], v.shape[2]))
    for n, i, c in np.ndindex(y.shape):
        seen = [j for j in range(k.shape[1]) if (mask is None or mask[n, j]) and not (causal and j > i)]
        weight = {j: np.exp(sum(q[n, i] * k[n, j])) for j in seen or range(k.shape[1])}
        y[n, i, c] = sum(weight[j] * v[n, j, c] for j in weight) / sum(weight.values())
    return y


@samples_of(attention)
def attention_samples(draw):
    n, s, t, u = draw.integer(1, 2), draw.integer(2, 3), draw.integer(3, 4), draw.integer(1, 3)
    mask = draw.choice([None, np.arange(n * t).reshape(n, t) % t < t - 1])  # the last value of each example is missing
    return (draw.array(n, s, u), draw.array(n, t, u), draw.array(n, t, 2)), {"mask": mask, "causal": draw.choice([False, True])}
