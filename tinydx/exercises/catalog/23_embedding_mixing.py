"""The document's word embedding: the gradients · 词向量的加权求和

The vector of word i is a mixture of the vectors v_j of all words, each as much as it is related (a_ij), and a bias of
its own. Return the gradients of relatedness, vectors and biases. Here w is the result, and dw what comes in.
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
        "a @ v is a product of two matrices, as in the dense layer; here both of them get a gradient.",
        "a_ij brought v_j into w_i: its gradient is the dot product of dw_i and v_j. And v_j went into all w_i.",
        "da = dw @ v.T and dv = a.T @ dw. The bias is not shared: every word has its own.",
    ),
    bugs=[
        Bug("bias summed over words", "a.T @ dw, dw", "a.T @ dw, np.zeros_like(dw) + dw.sum(axis=0)"),
        Bug("averaged over the words", "a.T @ dw, dw", "a.T @ dw / len(dw), dw"),
        Bug("zero", "a.T @ dw, dw", "a.T @ dw, np.zeros_like(dw)"),
    ],
)
