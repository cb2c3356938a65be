"""The dense layer: its three gradients · 全连接层

Every output is a weighted sum of all inputs, plus a bias. All examples of the batch share the same w and b. Return the
gradients of the three arrays, each in the shape of its array.
"""

from tinydx import ops
from tinydx.exercises import Bug, Exercise, Gradients


def dense(x, w, b):
    """Given: x (N,D), w (D,F), b (F,) -> y (N,F)"""
    return x @ w + b


def dense_backward(dy, x, w):
    """dy (N,F), x (N,D), w (D,F) -> dx (N,D), dw (D,F), db (F,)"""
    # solution
    return dy @ w.T, x.T @ dy, dy.sum(axis=0)


# ---- the runner's part ---------------------------------------------------------------------------------------------


def dense_samples(draw):
    n, d, f = draw.integer(2, 5), draw.integer(2, 4), draw.integer(5, 6)
    return (draw.array(n, d), draw.array(d, f), draw.array(f)), {}


EXERCISE = Exercise(
    checks=[Gradients(dense_backward, of=ops.dense, samples=dense_samples)],
    hints=(
        "Write one element of y as a sum. What is its derivative with respect to x[n, d], to w[d, f] and to b[f]?",
        "x[n, d] affects every y[n, f], so sum over f. w[d, f] and b[f] affect every example, so sum over n. Sums of products are matrix products, @.",
        "The shapes allow only one form: dx (N,D) = dy (N,F) @ ... (F,D), and dw (D,F) = ... (D,N) @ dy (N,F). db is dy summed over the batch.",
    ),
    bugs=[
        Bug("batch sum forgotten in db", "dy.sum(axis=0)", "dy[0]"),
        Bug("averaged over the batch", "x.T @ dy, dy.sum(axis=0)", "x.T @ dy / len(dy), dy.mean(axis=0)"),
        Bug("operand transposed", "x.T @ dy", "dy.T @ x"),
        Bug("one example only", "x.T @ dy, dy.sum(axis=0)", "np.outer(x[-1], dy[-1]), dy[-1]"),
    ],
)
