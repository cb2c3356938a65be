"""What the CUDA kernels are tested with, emulated (test_cuda_kernels.py) and on a GPU (test_cuda_gpu.py).

Each kernel's own `samples` draw its inputs, which cross its tiles. Here stands what its tests have to know about an op: what
is exact, and where a rounding error may change a decision.
"""

import numpy as np
from draws import HypothesisDraw
from hypothesis import settings
from hypothesis import strategies as st

import tinydx  # noqa: F401 (it fills the table)
from tinydx.dispatch import gradients_of, load_kernels
from tinydx.op import TABLE, RandomDraw

assert load_kernels("cuda") is None
KERNELS = sorted(name for name, op in TABLE.items() if "cuda" in op.kernels)
EXAMPLES = 100 if settings().max_examples >= 100 else 8  # conftest.py has loaded a profile: 100 in "proof"

POOLED = {"conv2d_relu_max_pool2d", "correlate2d_relu_max_pool2d"}  # rounding decides between pixels: whole numbers only
LINEAR = {"concatenate", "conv2d", "conv2d_relu", "correlate2d", "correlate2d_relu", "dense", "dense_relu", "embedding", "matmul"}
LINEAR |= {"max_pool2d", "relu", "rnn_output"} | POOLED  # exact on whole numbers
RECURRENT = {"gru", "gru_reset_before", "gru_step", "lstm", "lstm_step", "simple_rnn", "simple_rnn_step"}
SUMS = {
    "average_pool2d",
    "conv2d",
    "correlate2d",
    "dense",
    "embedding",
    "matmul",
    "rnn_output",
}  # backward multiplies and adds only


# ---- inputs --------------------------------------------------------------------------------------------------------


def as_made(a):
    return a


def reversed_view(a):
    return np.ascontiguousarray(a[::-1])[::-1]


def transposed(a):
    return np.asfortranarray(a)


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


disguises = st.sampled_from([as_made, as_made, reversed_view, transposed, read_only])


def numbers(seed, shapes, whole):
    """float32 arrays of these shapes (None stays None)."""
    draw = RandomDraw(seed, whole)
    return [None if shape is None else draw.array(*shape).astype(np.float32) for shape in shapes]


def draw_case(name, data, whole, scale=1):
    """Arrays and constants for an op, all elements times `scale`, each array in some layout of memory."""
    arrays, constants = TABLE[name].kernels["cuda"].samples(HypothesisDraw(data, whole))
    arrays = [None if a is None else a.astype(np.float32) * np.float32(scale) for a in arrays]
    return [None if a is None else data.draw(disguises)(a) for a in arrays], constants


SPECIAL = st.sampled_from([np.inf, -np.inf, np.nan])


def draw_special(name, data, arrays):
    """Put an infinity or a NaN into one of the arrays, or into dy: (arrays, a function that changes dy).

    dy of ReLU and the like stays finite: the reference multiplies by 0 what the kernels leave out.
    """
    value = data.draw(SPECIAL)
    spot = data.draw(st.integers(0, 2**32 - 1))

    def spoil(a):
        a = a.copy()
        a.flat[spot % a.size] = value
        return a

    places = [k for k, a in enumerate(arrays) if a is not None]
    into = data.draw(st.sampled_from([*places, "dy"] if name in SUMS else places))
    if into == "dy":
        return arrays, spoil
    return [spoil(a) if k == into else a for k, a in enumerate(arrays)], as_made


def outputs(y):
    return y if isinstance(y, tuple) else (y,)


def fetched(a):
    """The array on the CPU, if it was on a GPU."""
    return a.get() if hasattr(a, "get") else a


def both_ways(name, arrays, constants, dy_seed, whole, move=as_made, spoil=as_made):
    """[(what, the kernel's result, the reference's result in float64)] of forward and backward.

    move: copies an array to the device that runs the kernels; spoil: changes dy.
    """
    op, kernel = TABLE[name], TABLE[name].kernels["cuda"]
    moved = [None if a is None else move(a) for a in arrays]
    assert kernel.supports(*moved, **constants)
    y, saved = kernel.forward(*moved, **constants)
    exact = [None if a is None else a.astype(np.float64) for a in arrays]
    expected, expected_saved = op.forward(*exact, **constants)
    results = [(f"output {k}", fetched(a), b) for k, (a, b) in enumerate(zip(outputs(y), outputs(expected), strict=True))]
    if op.backward:
        dys, needs = numbers(dy_seed, [part.shape for part in outputs(y)], whole), (True,) * len(arrays)
        dys[0] = spoil(dys[0])
        moved, exact = tuple(move(dy) for dy in dys), tuple(dy.astype(np.float64) for dy in dys)
        got = gradients_of(kernel, moved if len(dys) > 1 else moved[0], saved, needs)
        want = gradients_of(op.reference, exact if len(dys) > 1 else exact[0], expected_saved, needs)
        for argument, a, g, w in zip(op.arrays, arrays, got, want, strict=False):
            if a is not None:
                results.append((f"gradient of {argument}", fetched(g), w))
    for what, got, want in results:
        assert got.dtype == np.float32, what
        assert got.shape == want.shape, what
    return results


def assert_equal(what, got, want):
    """The results are equal."""
    np.testing.assert_array_equal(got, want, err_msg=what)


def assert_within(what, got, want, bound):
    """Each error is at most its bound."""
    excess = np.abs(got - want) / np.maximum(bound, np.finfo(np.float32).tiny)
    assert excess.max() <= 1, f"{what}: an error of {excess.max():.3g} times its bound"


def assert_close(what, got, want, tolerance=1e-5):
    """The error is at most `tolerance` times the largest element: the error of a long sum grows with its terms."""
    scale = max(1.0, float(np.abs(want[np.isfinite(want)]).max(initial=0)))
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale, err_msg=what)
