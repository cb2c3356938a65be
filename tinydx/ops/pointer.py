"""Generating a word or copying one: the output of a sequence model whose answer shares words with its input."""

import numpy as np

from tinydx.op import backward_of, literal_of, op, samples_of
from tinydx.ops.softmax import softmax, softmax_backward, softmax_literal


@op(
    r"p_{tw} = g_t\, \mathrm{softmax}(z_t)_w + (1 - g_t) \sum_{s:\, x_s = w} a_{ts}",
    shapes="z (N,T,V), a (N,T,S), g (N,T,1), source int<V (N,S) -> p (N,T,V)",
    source="document, 3.2, decoder, with copying (See 2017)",
)
def copy_mixture(z, a, g, *, source):
    """The next word's probability: generated with probability g, by its score z, or copied from the source, by attention a.

    Arguments: z (N,T,V), scores; a (N,T,S), attention, rows that add up to 1; g (N,T,1), in 0..1; source (N,S), the ids of
    the source, integers 0..V-1.
    Returns: p (N,T,V), rows that add up to 1.
    Raises: ValueError where source does not fit a, or holds no integers.

    >>> copy_mixture(np.zeros((1, 1, 2)), np.ones((1, 1, 1)), np.array([[[0.5]]]), source=np.array([[1]]))
    array([[[0.25, 0.75]]])
    """
    source = np.asarray(source)
    q, _ = softmax.forward(z)
    written, copied = g * q, (1 - g) * a
    p = written.astype(np.result_type(written, copied), copy=False)
    np.add.at(p, _places(source, a.shape), copied)
    return p, (q, a, g, source)


def _places(source, shape):
    """Where the attention a_ts of each example belongs in p: at [n, t, x_s]."""
    n, t, _ = np.indices(shape, sparse=True)
    return n, t, source[:, None, :]


@backward_of(copy_mixture)
def copy_mixture_backward(dp, saved):
    q, a, g, source = saved
    copied = dp[_places(source, a.shape)]  # the gradient of each copied word
    (dz,) = softmax_backward(g * dp, (q, -1))
    dg = (dp * q).sum(axis=-1, keepdims=True) - (copied * a).sum(axis=-1, keepdims=True)
    return dz, (1 - g) * copied, dg


@literal_of(copy_mixture)
def copy_mixture_literal(z, a, g, *, source):
    p = softmax_literal(z)
    for n, t in np.ndindex(z.shape[:2]):
        for w in range(z.shape[2]):
            p[n, t, w] *= g[n, t, 0]
            for s in range(a.shape[2]):
                if source[n, s] == w:
                    p[n, t, w] += (1 - g[n, t, 0]) * a[n, t, s]
    return p


@samples_of(copy_mixture)
def copy_mixture_samples(draw):
    n, t, s, v = draw.integer(1, 2), draw.integer(1, 3), draw.integer(2, 4), draw.integer(3, 5)
    source = np.arange(n * s).reshape(n, s) % (v - 1)  # some words twice, the last one never
    a, _ = softmax.forward(draw.array(n, t, s))
    return (draw.array(n, t, v), a, 0.3 + 0.1 * np.tanh(draw.array(n, t, 1))), {"source": source}
