"""Attention as one call: the kernels of its parts, without the tape, dispatch and transposed copies between them.

Its products are those of matmul.py, which for sequences of some hundred steps are NumPy's. A loop over examples with
register blocks of our own, and the weights of one example at a time in a cache, took 1.2 to 5 times as long (16 to 512 steps).
"""

import numpy as np

from tinydx.op import kernel_of
from tinydx.ops.attention import attention
from tinydx_kernels.cpu.elementwise import softmax_backward, softmax_forward
from tinydx_kernels.cpu.matmul import matmul_backward, matmul_forward
from tinydx_kernels.cpu.memory import is_float32


def hidden_values(s, t, mask, causal):
    """Where a query does not see a value: bool (N or 1,S,T); None where all see all. mask (N,T) or None."""
    later = np.tri(s, t, dtype=bool) ^ True if causal else None
    if mask is None:
        return None if later is None else later[None]
    return ~mask[:, None] if later is None else later | ~mask[:, None]


def attention_forward(q, k, v, *, mask=None, causal=False):
    """q (N,S,U), k (N,T,U), v (N,T,V), mask (N,T) -> y (N,S,V)."""
    scores, _ = matmul_forward(q, k.swapaxes(1, 2))
    hidden = hidden_values(q.shape[1], k.shape[1], mask, causal)
    if hidden is not None:
        np.subtract(scores, np.float32(1e9), out=scores, where=hidden)
    a, _ = softmax_forward(scores)
    return matmul_forward(a, v)[0], (q, k, v, a)


def attention_backward(dy, saved):
    """dy (N,S,V) -> dq, dk, dv."""
    q, k, v, a = saved
    da, dv = matmul_backward(dy, (a, v))
    (ds,) = softmax_backward(da, a)
    return matmul_forward(ds, k)[0], matmul_forward(ds.swapaxes(1, 2), q)[0], dv


def supports(q, k, v, **constants):
    """Whether all arrays are float32."""
    return is_float32(q, k, v)


def samples(draw):
    """Sizes around vectors and register blocks; masks that hide some values or none; several threads."""
    sizes = [1, 2, 5, 12, 13, 16, 31, 33, 64, 70]
    n = draw.choice([1, 2, 9])
    s, t, u, v = [draw.choice(sizes) for _ in range(4)]
    # All see the first value: of a query that sees none, float32 does not know the weights, since 1e9 takes all its digits away.
    mask = draw.choice([None, np.maximum(draw.array(n, t), np.eye(1, t)) > 0])
    return (draw.array(n, s, u), draw.array(n, t, u), draw.array(n, t, v)), {"mask": mask, "causal": draw.choice([False, True])}


WARM: tuple = ((((2, 5, 4), (2, 6, 4), (2, 6, 3)), {"mask": np.ones((2, 6), bool)}),)
kernel_of(attention, "numba", attention_forward, attention_backward, supports, samples=samples, warm=WARM)
