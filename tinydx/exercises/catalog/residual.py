"""A residual block: the gradients · 残差连接

The block adds its input to what its two layers compute. So x reaches y by two ways, and its gradient has two parts: this is
why very deep networks learn. Return the gradients of all four arrays.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Gradients
from tinydx.op import Op


def block(x, w, b, v):
    """Given: x (N,D), w (D,U), b (U,), v (U,D) -> y (N,D)"""
    return x + np.maximum(x @ w + b, 0) @ v


def block_backward(dy, x, w, b, v):
    """dy (N,D), x (N,D), w (D,U), b (U,), v (U,D) -> dx, dw, db, dv"""
    # solution
    h = np.maximum(x @ w + b, 0)
    dz = (dy @ v.T) * (h > 0)
    return dy + dz @ w.T, x.T @ dz, dz.sum(axis=0), h.T @ dy


# ---- the runner's part ---------------------------------------------------------------------------------------------


def block_samples(draw):
    n, d, u = draw.integer(3, 4), draw.integer(2, 3), draw.integer(5, 6)
    return (draw.array(n, d), draw.array(d, u), draw.array(u), draw.array(u, d)), {}


BLOCK = Op(
    name="block",
    equation=r"h = \max(0, x w + b), \quad y = x + h v",
    shapes="x (N,D), w (D,U), b (U,), v (U,D) -> y (N,D)",
    source="He et al. 2015",
    forward=lambda x, w, b, v: (block(x, w, b, v), None),
    samples=block_samples,
)

EXERCISE = Exercise(
    checks=[Gradients(block_backward, of=BLOCK)],
    hints=(
        "Draw the block: which two ways lead from x to y? Go back along each of them.",
        "Along the layers: dh = dy v^T, then through ReLU, dz = dh where h > 0. Along the shortcut the gradient is dy itself.",
        "dx = dy + dz @ w.T, dw = x.T @ dz, db sums dz over the batch, dv = h.T @ dy.",
    ),
    bugs=[
        Bug("shortcut forgotten", "dy + dz @ w.T", "dz @ w.T", "x reaches y directly, too: add dy to dx."),
        Bug("layers forgotten", "dy + dz @ w.T", "dy * 1.0", "x reaches y through the two layers, too: add dz @ w.T."),
        Bug("gate forgotten", " * (h > 0)", "", "ReLU lets through only what was positive: multiply by (h > 0)."),
        Bug("activation before the gate", "h.T @ dy", "(x @ w + b).T @ dy", "v multiplied h, after ReLU: dv = h.T @ dy."),
        Bug("batch sum forgotten", "dz.sum(axis=0)", "dz[0]", "The bias served every row: sum dz over the batch."),
    ],
)
