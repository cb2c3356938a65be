"""Words as vectors: looking them up in a table, and the document's mixing of related words."""

import numpy as np

from tinydx.op import backward_of, literal_of, op, samples_of


@op(r"y_n = v_{\text{ids}_n}", shapes="table (V,D), ids int<V (...) -> y (...,D)", source="document, 3.2; Keras Embedding")
def embedding(table, *, ids):
    """Embedding lookup: row `ids` of the table.

    Arguments: table (V,D), a vector a word; ids, integers 0..V-1 of any shape.
    Returns: y, of shape ids.shape + (D,).
    Raises: TypeError where ids are no integers, IndexError where an id lies outside the table.

    >>> embedding(np.array([[1.0, 1.0], [2.0, 2.0]]), ids=np.array([1, 0, 1]))[:, 0]
    array([2., 1., 2.])
    """
    ids = np.asarray(ids, like=table)
    return table[ids], (table.shape, ids)


@backward_of(embedding)
def embedding_backward(dy, saved):
    shape, ids = saved
    dtable = np.zeros(shape, dy.dtype, like=dy)
    np.add.at(dtable, ids, dy)  # dtable[ids] += dy would add a repeated id only once
    return (dtable,)


@literal_of(embedding)
def embedding_literal(table, *, ids):
    y = np.empty((*ids.shape, table.shape[1]))
    for i in np.ndindex(ids.shape):
        for d in range(table.shape[1]):
            y[(*i, d)] = table[ids[i], d]
    return y


@samples_of(embedding)
def embedding_samples(draw):
    v = draw.integer(3, 6)
    ids = [np.array([0, 2, 0, v - 1]), np.array([[1, 1], [2, 0], [1, 0]])]
    return (draw.array(v, draw.integer(1, 4)),), {"ids": draw.choice(ids)}


@op(
    r"\vec{w_i} = \sum_{j=1}^{n} a_{ij} \vec{v_j} + \vec{b_i}",
    shapes="a (I,J), v (J,D), b (I,D) -> w (I,D)",
    source="document, 3.2",
)
def embedding_mixing(a, v, b=None):
    """The document's word embedding: word i is a mixture of the vectors of all words j, by their relatedness a_ij.

    Arguments: a (I,J), relatedness; v (J,D), vectors; b (I,D), bias vectors or None.
    Returns: w (I,D).

    >>> embedding_mixing(np.array([[0.5, 0.5]]), np.array([[0.0, 2.0], [4.0, 0.0]]), np.zeros((1, 2)))
    array([[2., 1.]])
    """
    w = a @ v
    return (w if b is None else w + b), (a, v)


@backward_of(embedding_mixing)
def embedding_mixing_backward(dw, saved):
    a, v = saved
    return dw @ v.T, a.T @ dw, dw


@literal_of(embedding_mixing)
def embedding_mixing_literal(a, v, b=None):
    w = np.zeros((len(a), v.shape[1]))
    for i, d in np.ndindex(w.shape):
        for j in range(len(v)):
            w[i, d] += a[i, j] * v[j, d]
        if b is not None:
            w[i, d] += b[i, d]
    return w


@samples_of(embedding_mixing)
def embedding_mixing_samples(draw):
    i, j, d = draw.integer(2, 4), draw.integer(2, 4), draw.integer(2, 4)
    return (draw.array(i, j), draw.array(j, d), draw.array(i, d)), {}
