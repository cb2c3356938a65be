"""The document's word embedding: the gradients · 词向量的加权求和

The vector of word i is the sum of the vectors v_j of all words, weighted by their relatedness a_ij, plus a bias of its
own. Return the gradients of relatedness, vectors and biases. Here w is the result and dw the incoming gradient.
"""

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Gradients


def mixing(a, v, b):
    """Given: a (I,J), v (J,D), b (I,D) -> w (I,D)"""
    return a @ v + b


def mixing_backward(dw, a, v):
    """dw (I,D), a (I,J), v (J,D) -> da (I,J), dv (J,D), db (I,D)"""
    # solution
    return dw @ v.T, a.T @ dw, dw


# ---- the runner's part ---------------------------------------------------------------------------------------------


def word_samples(draw):
    i, j, d = draw.integer(2, 3), draw.integer(4, 5), draw.integer(2, 3)
    return (draw.array(i, j), draw.array(j, d), draw.array(i, d)), {}


EXERCISE = Exercise(
    checks=[Gradients(mixing_backward, of=ops.embedding_mixing, samples=word_samples)],
    hints=(
        "a @ v is a product of two matrices, as in the dense layer, and both get a gradient.",
        "a_ij multiplies v_j in w_i, so its gradient is the dot product of dw_i and v_j. v_j is part of every w_i, so sum over i.",
        "da = dw @ v.T and dv = a.T @ dw. Every word has its own bias, so db is not summed.",
    ),
    bugs=[
        Bug("bias summed over words", "a.T @ dw, dw", "a.T @ dw, np.zeros_like(dw) + dw.sum(axis=0)"),
        Bug("averaged over the words", "a.T @ dw, dw", "a.T @ dw / len(dw), dw"),
        Bug(
            "zero",
            "a.T @ dw, dw",
            "a.T @ dw, np.zeros_like(dw)",
            "Every word has a bias of its own, added once to its vector: db is dw.",
        ),
    ],
)
