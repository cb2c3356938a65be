"""`tinydx bench errors`: the error of each CPU kernel against the reference in float64, on the same float32 inputs.

    rms        root mean square of the difference, relative to the root mean square of the truth
    largest    largest difference, relative to the largest number of the truth
    bound      on rms: (4 + sqrt(n)) u, where u = 2^-24 is float32's rounding unit and n the number of terms of the longest sum

The error of a sum of n rounded terms is at most about n u; as roundings of either sign cancel, it is usually about sqrt(n) u
(Higham and Mary 2019). The 4 allows for other operations: exponentials, divisions. A row shows the array (an output or a
gradient) that is nearest to its bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from tinydx import dispatch
from tinydx.bench import machine
from tinydx.bench.cases import CASES, Case, make_arrays, make_cotangent, operations, read_case
from tinydx.bench.runner import Problem, listed, run_implementation
from tinydx.op import TABLE, Op

UNIT = 2.0**-24  # the relative error of rounding to float32
_CONVOLUTION = "4x38x38x64, 3x3x64x64, 64"
_RECURRENCE = "32x128, 128x128, 128x128, 128"
_OWN = Case("the op's own sample")
_TURNED = {"matrix": np.array([[0.97, 0.22], [-0.22, 0.97]]), "offset": np.array([-13.6, 19.2])}
TYPICAL: dict[str, str | Case] = {  # one case for each op; the update rules take theirs from CASES
    **dict.fromkeys(("conv2d", "conv2d_relu", "conv2d_relu_max_pool2d"), _CONVOLUTION),
    **dict.fromkeys(("correlate2d", "correlate2d_relu", "correlate2d_relu_max_pool2d"), _CONVOLUTION),
    **dict.fromkeys(("max_pool2d", "average_pool2d"), "4x36x36x64"),
    **dict.fromkeys(("dense", "dense_relu"), "32x4096, 4096x128, 128"),
    **dict.fromkeys(("relu", "sigmoid", "tanh", "leaky_relu", "elu", "softplus", "silu"), "65536"),
    "add_relu": "65536, 65536",
    "rnn_output": "32x80x128, 128x64, 64",
    "simple_rnn": f"32x80x128, {_RECURRENCE}",
    "simple_rnn_step": f"32x128, {_RECURRENCE}",
    "lstm_step": "32x64, 32x128, 32x128, 64x512, 128x512, 512",
    "gru_step": "32x64, 32x128, 64x384, 128x384, 2x384",
    "matmul": "512x512, 512x512",
    "softmax": "256x1000",
    "attention": "8x128x16, 8x128x16, 8x128x64",  # short keys: a weight has its score's absolute error, which grows with scores
    **dict.fromkeys(("batch_normalization", "batch_normalization_relu"), "32x28x28x32, 32, 32"),
    "layer_normalization": "256x512, 512, 512",
    "mean": "32x50x64, axis=1",
    **dict.fromkeys(("mean_squared_error", "mean_absolute_error", "huber", "dropout", "dense_bf16", "dense_int8"), _OWN),
    **dict.fromkeys(("sigmoid_binary_crossentropy", "softmax_crossentropy", "sparse_softmax_crossentropy"), _OWN),
    "embedding": "2000x128, ids=32x80",
    "affine_warp": Case("150x150x3, turned and shifted", ((150, 150, 3),), _TURNED),
    "channel_shift": "150x150x3, intensity=0.5",
}
# Terms of the longest sum of ops without FLOPs; 9, those of a window, for others.
SUMS = {
    "softmax": 1000,
    "attention": 128,
    **dict.fromkeys(("batch_normalization", "batch_normalization_relu"), 32 * 28 * 28),
    "layer_normalization": 512,
    "mean": 50,
    "embedding": 32 * 80,
    "channel_shift": 150 * 150 * 3,
}


class Error(NamedTuple):
    """One row: the error of a kernel in one direction."""

    kernel: str
    case: str
    direction: str
    rms: float
    largest: float
    bound: float


def measure() -> list[Error]:
    """The errors of all Numba kernels of the table; ImportError where Numba is missing."""
    reason = dispatch.load_kernels("numba")
    if reason:
        raise ImportError(f"bench errors: {reason}: pip install numba")
    found: list[Error] = []
    for name in sorted(name for name, op in TABLE.items() if "numba" in op.kernels):
        found += errors_of(TABLE[name])
        if "conv" in name or "correlate" in name:
            with without_winograd():
                found += [row._replace(kernel=f"{name}, direct") for row in errors_of(TABLE[name])]
    return found


def errors_of(op: Op) -> list[Error]:
    """The rows of one kernel, forward and backward."""
    typical = TYPICAL.get(op.name) or CASES[op.name][0]
    case = read_case(op, typical) if isinstance(typical, str) else typical
    arrays, constants = make_arrays(op, case)
    wide = tuple(np.asarray(a, np.float64) for a in arrays)
    result = op.forward(*wide, **constants)[0]
    y = listed(result)
    dy = wide_dy = None
    if op.backward is not None:
        dy = make_cotangent(op, arrays, constants, result)
        wide_dy = tuple(map(np.float64, dy)) if isinstance(dy, tuple) else np.float64(dy)
    needs = (True,) * len(arrays)
    ours = run_implementation(op.kernels["numba"], Problem(arrays, constants, dy, needs))
    truth = run_implementation(op.reference, Problem(wide, constants, wide_dy, needs))
    terms = _terms(op, arrays, constants, y[0])
    rows = [_worst(op, case, "forward", ours.outputs(ours.forward()), y, [terms(part) for part in y])]
    if ours.backward and truth.backward:
        got, want = ours.gradients(ours.backward()), truth.gradients(truth.backward())
        rows.append(_worst(op, case, "backward", got, want, [terms(a) for a in arrays]))
    return rows


def _terms(op: Op, arrays: tuple, constants: Mapping[str, Any], y: np.ndarray) -> Any:
    """A function of an output or gradient: the number of terms that are summed for each of its elements.

    Every multiply-add of the equation is one term of one element of the output, and of one element of each gradient.
    """
    work = operations(op, "forward", arrays, constants)
    steps = arrays[0].shape[1] if op.name in ("simple_rnn", "lstm", "gru") else 1  # a chain of sums
    if work is None:
        return lambda a: SUMS.get(op.name, 9)
    return lambda a: steps * (y.size if a.ndim == 1 else work // 2) / a.size


def _worst(op: Op, case: Case, direction: str, got: list, want: list, terms: list) -> Error:
    """The row of the array whose error is nearest to its bound."""
    rows = []
    for g, w, n in zip(got, want, terms, strict=True):
        gap, w = np.float64(g) - w, np.float64(w)
        rms = math.sqrt(np.mean(gap**2) / (np.mean(w**2) or 1.0))
        largest = float(np.abs(gap).max() / (np.abs(w).max() or 1.0))
        rows.append(Error(op.name, case.text, direction, rms, largest, (4 + math.sqrt(n)) * UNIT))
    return max(rows, key=lambda row: row.rms / row.bound)


@contextmanager
def without_winograd() -> Iterator[None]:
    """Compute convolutions by the direct sum, as with TINYDX_WINOGRAD=0."""
    from tinydx_kernels.cpu import convolution

    before, convolution.winograd = convolution.winograd, False
    try:
        yield
    finally:
        convolution.winograd = before


def markdown(rows: list[Error]) -> str:
    """The rows as a Markdown table."""
    lines = [f"Measured by `tinydx bench errors` on {machine.kernels()}.", ""]
    lines += ["| kernel | case | direction | rms | largest | bound on rms |", "|---|---|---|---|---|---|"]
    for row in rows:
        numbers = " | ".join("0" if x == 0 else f"{x:.1e}" for x in (row.rms, row.largest, row.bound))
        lines.append(f"| {row.kernel} | {row.case} | {row.direction} | {numbers} |")
    return "\n".join(lines)
