"""The dense (fully connected) layer, which maps features to classes."""

import numpy as np

from tinydx.op import backward_of, literal_of, op, samples_of


@op(
    r"y_f = \sum_{d} x_d \, w_{df} + b_f",
    shapes="x (...,D), w (D,F), b (F,) -> y (...,F)",
    source="document, 1.1, fully connected layer",
)
def dense(x, w, b=None):
    """The dense layer: each output is a weighted sum of all inputs plus its bias.

    Arguments: x (...,D); w (D,F), Keras's layout; b (F,) or None.
    Returns: y (...,F).

    >>> dense(np.ones((4, 3)), np.ones((3, 2)), np.zeros(2)).shape
    (4, 2)
    """
    y = x @ w
    return (y if b is None else y + b), (x, w)


@backward_of(dense)
def dense_backward(dy, saved, needs=(True, True, True)):
    x, w = saved
    rows, dys = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    return dy @ w.T if needs[0] else None, rows.T @ dys, dys.sum(axis=0)


@literal_of(dense)
def dense_literal(x, w, b=None):
    y = np.zeros((*x.shape[:-1], w.shape[1]))
    for i in np.ndindex(y.shape[:-1]):
        for f in range(w.shape[1]):
            for d in range(w.shape[0]):
                y[(*i, f)] += x[(*i, d)] * w[d, f]
            if b is not None:
                y[(*i, f)] += b[f]
    return y


@samples_of(dense)
def dense_samples(draw):
    d, f = draw.integer(1, 4), draw.integer(1, 4)
    batch = draw.choice([(2,), (5,), (3, 2)])
    return (draw.array(*batch, d), draw.array(d, f), draw.array(f)), {}
