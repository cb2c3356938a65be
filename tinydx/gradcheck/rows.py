"""What courses use and the op table lacks, for naming mistakes: attention, an activated layer, GELU, a residual block, norms.

Each row is an `Op` with a forward, its backward and slips, but outside the table: nothing else computes with it. A learner's own
function that gives the same numbers gets its slips.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinydx.op import Op, Slip

ROWS: dict[str, Op] = {}


def _row(name: str, shapes: str, forward: Callable, backward: Callable, slips: dict[str, tuple[str, dict[str, Any]]]) -> None:
    """Add a row. Its slips are the backward with other switches: name -> (advice, switches)."""
    op = Op(name, "", shapes, "courses", forward, backward=lambda dy, saved: backward(dy, saved))
    for mistake, (advice, switches) in slips.items():
        op.registered_slips.append(Slip(mistake, advice, _switched(backward, switches)))
    ROWS[name] = op


def _switched(backward: Callable, switches: dict[str, Any]) -> Callable:
    def slip(dy: Any, saved: Any) -> Any:
        return backward(dy, saved, **switches)

    return slip


def _t(a: np.ndarray) -> np.ndarray:
    return a.swapaxes(-1, -2)


# ---- attention -----------------------------------------------------------------------------------------------------


def _weights(q: np.ndarray, k: np.ndarray, causal: bool) -> np.ndarray:
    scores = q @ _t(k) / np.sqrt(q.shape[-1])
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:]) > 0, scores, -1e30)
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _attention(causal: bool) -> Callable:
    def forward(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> tuple:
        p = _weights(q, k, causal)
        return p @ v, (q, k, v, p)

    return forward


def _attention_backward(
    dy: np.ndarray,
    saved: tuple,
    power: float = 0.5,
    through: str = "all",
    axis: int = -1,
    exchange: bool = False,
    plain: bool = False,
) -> tuple:
    q, k, v, p = saved
    if plain:
        p = _weights(q, k, causal=False)
    dp = dy @ _t(v)
    common = (dp * p).sum(axis=axis, keepdims=True)
    ds = {
        "all": p * (dp - common),
        "no sum": p * dp,
        "diagonal": p * (1 - p) * dp,
        "skipped": dp,
        "no p": dp - common,
        "plain sum": p * (dp - dp.sum(axis=axis, keepdims=True)),
        "added": p * (dp + common),
    }[through] / q.shape[-1] ** power
    dq, dk = (ds @ q, _t(ds) @ k) if exchange else (ds @ k, _t(ds) @ q)
    return dq, dk, _t(p) @ dy


ATTENTION_SLIPS: dict[str, tuple[str, dict[str, Any]]] = {
    "scale forgotten": ("Forward divides the scores by sqrt(D): so does backward.", {"power": 0}),
    "scale without its root": ("Forward divides by the root of D, not by D.", {"power": 1}),
    "scale multiplied": ("The derivative of s / sqrt(D) is 1 / sqrt(D), too: divide, do not multiply.", {"power": -0.5}),
    "common sum forgotten": ("Subtract sum(dp * p) over the keys before multiplying by p.", {"through": "no sum"}),
    "diagonal only": ("Every score moves every weight of its row: p (dp - sum(dp * p)).", {"through": "diagonal"}),
    "softmax skipped": ("Between weights and scores lies the softmax: go back through it.", {"through": "skipped"}),
    "factor p forgotten": ("dp_k / ds_k carries p_k: multiply the difference by p.", {"through": "no p"}),
    "p missing in the sum": ("The sum is weighted: sum(dp * p), not sum(dp).", {"through": "plain sum"}),
    "sign: common sum added": ("The common sum is subtracted.", {"through": "added"}),
    "sum over the wrong axis": ("Softmax runs over the keys, the last axis, and so does the sum.", {"axis": -2}),
    "queries and keys exchanged, as Q instead of K": ("dq = ds k, and dk = dsᵀ q.", {"exchange": True}),
}
MASKED = {"mask ignored": ("The weights that forward hid are 0 in backward, too.", {"plain": True})}
_row("attention", "q (...,T,D), k (...,S,D), v (...,S,E) -> y (...,T,E)", _attention(False), _attention_backward, ATTENTION_SLIPS)
_row(
    "masked attention", "q (...,T,D), k (...,T,D), v (...,T,E) -> y (...,T,E)", _attention(True), _attention_backward,
    ATTENTION_SLIPS | MASKED,
)  # fmt: skip


# ---- a layer with its activation -----------------------------------------------------------------------------------

ACTIVATIONS: dict[str, tuple[Callable, dict[str, Callable]]] = {  # forward; slopes in y and z, right and wrong
    "tanh": (
        np.tanh,
        {
            "right": lambda y, z: 1 - y**2,
            "slope of the activation forgotten": lambda y, z: 1,
            "square forgotten": lambda y, z: 1 - y,
            "slope at z instead of y": lambda y, z: 1 - z**2,
            "sigmoid's slope instead of tanh's": lambda y, z: y * (1 - y),
            "slope of the activation twice": lambda y, z: (1 - y**2) ** 2,
            "activation instead of its slope": lambda y, z: y,
        },
    ),
    "sigmoid": (
        lambda z: 1 / (1 + np.exp(-z)),
        {
            "right": lambda y, z: y * (1 - y),
            "slope of the activation forgotten": lambda y, z: 1,
            "factor 1 - y forgotten": lambda y, z: y,
            "factor y forgotten": lambda y, z: 1 - y,
            "slope at z instead of y": lambda y, z: z * (1 - z),
            "tanh's slope instead of sigmoid's": lambda y, z: 1 - y**2,
            "slope of the activation twice": lambda y, z: (y * (1 - y)) ** 2,
        },
    ),
}


def _layer(activation: Callable, columns: bool) -> Callable:
    def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple:
        z = w @ x + b if columns else x @ w + b
        return activation(z), (x, w, b, activation(z), z)

    return forward


def _layer_backward(right: Callable, columns: bool) -> Callable:
    def backward(dy: np.ndarray, saved: tuple, slope: Callable = right) -> tuple:
        x, w, b, y, z = saved
        dz = dy * slope(y, z)
        if columns:
            return w.T @ dz, dz @ x.T, dz.sum(axis=1, keepdims=True) if b.ndim == 2 else dz.sum(axis=1)
        return dz @ w.T, x.T @ dz, dz.sum(axis=0).reshape(b.shape)

    return backward


for _name, (_f, _slopes) in ACTIVATIONS.items():
    for _columns in (False, True):
        _advice = f"Go back through {_name} first, with its own slope, then through the weights."
        _wrong = {n: (_advice, {"slope": s}) for n, s in _slopes.items() if n != "right"}
        _shapes = "x (D,N), w (F,D), b (F,K) -> y (F,N)" if _columns else "x (N,D), w (D,F), b (F,) -> y (N,F)"
        _row(
            f"{_name} layer{' in columns' * _columns}",
            _shapes,
            _layer(_f, _columns),
            _layer_backward(_slopes["right"], _columns),
            _wrong,
        )


# ---- GELU, a residual block, a vector divided by its length --------------------------------------------------------

ROOT, CUBE = np.sqrt(2 / np.pi), 0.044715


def _gelu(x: np.ndarray) -> tuple:
    return 0.5 * x * (1 + np.tanh(ROOT * (x + CUBE * x**3))), x


def _gelu_backward(
    dy: np.ndarray, x: np.ndarray, first: float = 1, second: float = 1, inner: str = "right", power: int = 2
) -> tuple:
    t = np.tanh(ROOT * (x + CUBE * x**3))
    insides = {"right": ROOT * (1 + 3 * CUBE * x**2), "none": 1, "no 3": ROOT * (1 + CUBE * x**2), "no root": 1 + 3 * CUBE * x**2}
    return (dy * (first * 0.5 * (1 + t) + second * 0.5 * x * (1 - t**power) * insides[inner]),)


_row(
    "gelu",
    "x (...) -> y (...)",
    _gelu,
    _gelu_backward,
    {
        "factor x held constant": ("A product has two terms: x itself leaves (1 + t) / 2.", {"first": 0}),
        "tanh held constant": ("A product has two terms: the tanh moves with x, too.", {"second": 0}),
        "inner derivative forgotten": (
            "The chain rule: multiply by the derivative of what is inside the tanh.",
            {"inner": "none"},
        ),
        "factor 3 forgotten": ("The derivative of x³ is 3 x².".replace("³", "**3"), {"inner": "no 3"}),
        "root of 2/pi forgotten": ("The derivative of the inside carries sqrt(2 / pi).", {"inner": "no root"}),
        "square forgotten": ("The derivative of tanh is 1 - t².", {"power": 1}),
    },
)


def _residual(x: np.ndarray, w: np.ndarray, v: np.ndarray) -> tuple:
    h = np.maximum(x @ w, 0)
    return x + h @ v, (x, w, v, h)


def _residual_backward(dy: np.ndarray, saved: tuple, direct: float = 1, layers: float = 1, gate: bool = True) -> tuple:
    x, w, v, h = saved
    dz = (dy @ v.T) * ((h > 0) if gate else 1)
    return direct * dy + layers * dz @ w.T, x.T @ dz, h.T @ dy


_row(
    "residual block",
    "x (N,D), w (D,U), v (U,D) -> y (N,D)",
    _residual,
    _residual_backward,
    {
        "shortcut forgotten": ("x reaches y directly, too: add dy to dx.", {"direct": 0}),
        "layers forgotten": ("x reaches y through the layers, too: add their gradient to dx.", {"layers": 0}),
        "sign of the layers": ("Both ways add up: dy plus what comes back through the layers.", {"layers": -1}),
        "gate forgotten": ("ReLU lets through only what was positive: multiply by (h > 0).", {"gate": False}),
    },
)


def _unit(x: np.ndarray) -> tuple:
    n = np.sqrt((x**2).sum(axis=-1, keepdims=True))
    return x / n, (x, n)


def _unit_backward(dy: np.ndarray, saved: tuple, power: int = 3, second: float = 1, axis: int = -1, first: int = 1) -> tuple:
    x, n = saved
    return (dy / n**first - second * x * (dy * x).sum(axis=axis, keepdims=True) / n**power,)


_row(
    "vectors of length 1",
    "x (...,D) -> y (...,D)",
    _unit,
    _unit_backward,
    {
        "length held constant": ("The length moves with every x of its row: subtract x sum(dy * x) / n**3.", {"second": 0}),
        "wrong power of the length": (
            "The second term is divided by n**3: once for y, twice for the derivative of 1 / n.",
            {"power": 2},
        ),
        "second term added": ("Where x grows its length grows: the second term is subtracted.", {"second": -1}),
        "sum over the wrong axis": ("The length is one row's: sum along the same axis as forward.", {"axis": 0}),
        "not divided by the length": ("Forward divides by the length: so does the first term.", {"first": 0}),
    },
)
