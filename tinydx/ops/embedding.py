"""Words as vectors: looking them up in a table, and the document's mixing of related words."""

import numpy as np

from tinydx.op import backward_of, literal_of, op, samples_of, slip_of


@op(r"y_n = v_{\text{ids}_n}", shapes="table (V,D) -> y (...,D)", source="document, 3.2; Keras Embedding")
def embedding(table, *, ids):
    """Embedding lookup: row `ids` of the table.

    Arguments: table (V,D); ids, integers in 0..V-1 of any shape. Returns y, ids.shape + (D,).
    Raises TypeError for ids that are no integers, IndexError for ids outside the table.

    >>> embedding(np.array([[1.0, 1.0], [2.0, 2.0]]), ids=np.array([1, 0, 1]))[:, 0]
    array([2., 1., 2.])
    """
    ids = np.asarray(ids, like=table)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"embedding: ids are {ids.dtype}, expected integers")
    if ids.size and (ids.min() < 0 or ids.max() >= len(table)):
        raise IndexError(f"embedding: ids reach from {ids.min()} to {ids.max()}, the table has rows 0 to {len(table) - 1}")
    return table[ids], (table.shape, ids)


@backward_of(embedding)
def embedding_backward(dy, saved):
    shape, ids = saved
    dtable = np.zeros(shape, dy.dtype, like=dy)
    np.add.at(dtable, ids, dy)  # and not dtable[ids] += dy, which adds a repeated id only once
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


@slip_of(embedding, "repeated ids counted once", "A word that occurs twice collects both gradients: np.add.at, not [ids] +=.")
def embedding_once(dy, saved):
    shape, ids = saved
    dtable = np.zeros(shape, dy.dtype)
    dtable[ids] += dy
    return (dtable,)


@slip_of(embedding, "every row gets a gradient", "Only the rows that were looked up moved y; all others get zero.")
def embedding_all_rows(dy, saved):
    shape, _ = saved
    return (np.broadcast_to(dy.reshape(-1, shape[1]).sum(axis=0), shape),)


@slip_of(embedding, "row 0 left out", "Id 0 is a row like all others, unless a mask says that it is padding.")
def embedding_without_padding(dy, saved):
    (dtable,) = embedding_backward(dy, saved)
    dtable[0] = 0
    return (dtable,)


@slip_of(embedding, "ids ignored", "dy belongs to the rows that ids name, not to the first rows of the table.")
def embedding_first_rows(dy, saved):
    shape, _ = saved
    rows = dy.reshape(-1, shape[1])
    dtable = np.zeros(shape, dy.dtype)
    dtable[: len(rows)] = rows[: len(dtable)]
    return (dtable,)


@slip_of(embedding, "averaged over repeats", "Repeated ids add their gradients up; they are not averaged.")
def embedding_averaged(dy, saved):
    shape, ids = saved
    (dtable,) = embedding_backward(dy, saved)
    count = np.bincount(ids.ravel(), minlength=shape[0])
    return (dtable / np.maximum(count, 1)[:, None],)


@op(
    r"\vec{w_i} = \sum_{j=1}^{n} a_{ij} \vec{v_j} + \vec{b_i}",
    shapes="a (I,J), v (J,D), b (I,D) -> w (I,D)",
    source="document, 3.2",
)
def embedding_mixing(a, v, b=None):
    """The document's word embedding: word i is a mixture of the vectors of all words j, by their relatedness a_ij.

    Arguments: a (I,J) relatedness; v (J,D) vectors; b (I,D) bias vectors or None. Returns w (I,D).

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


@slip_of(embedding_mixing, "a not transposed", "v_j goes into every w_i with weight a_ij: dv = aᵀ dw.")
def embedding_mixing_untransposed(dw, saved):
    a, _ = saved
    return None, (a @ dw if a.shape[0] == a.shape[1] else None), None


@slip_of(embedding_mixing, "bias summed over words", "Each word i has a bias vector of its own: db_i = dw_i, no sum.")
def embedding_mixing_shared_bias(dw, saved):
    return None, None, np.broadcast_to(dw.sum(axis=0), dw.shape)


@slip_of(embedding_mixing, "averaged over the words", "Every w_i hands its gradient to v_j: sum over i, do not average.")
def embedding_mixing_averaged(dw, saved):
    _, dv, _ = embedding_mixing_backward(dw, saved)
    return None, dv / len(dw), None
