"""Ops with one thing wrong: kernel and reference must refuse the same calls, with the same kind of error, or agree on values.

Each call takes a valid sample of an op and makes one argument wrong: its shape, dtype, memory layout, values, kind, or that
it is there at all. The call runs twice, as dispatch chooses and under `use("numpy")`, forward and backward.

    python tests/fuzz_ops.py --calls 20000 --seed 1        explore; prints each disagreement with the seed that repeats it
    python tests/fuzz_ops.py --calls 1 --seed 1 --at 4711  that call again
    python tests/fuzz_ops.py --calls 500 --cuda            the CUDA kernels, in the emulator, which also checks every access

What it finds becomes an example in test_fuzz_ops.py, which also runs a fixed number of calls.
"""

from __future__ import annotations

import argparse
import faulthandler
import re
import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tinydx
from tinydx import ops  # noqa: F401  (fills the table)
from tinydx.dispatch import gradients_of, load_kernels
from tinydx.factored import multiplied_out
from tinydx.op import TABLE, Op, RandomDraw

load_kernels("numba")
NAMES = sorted(TABLE)
POOLED = ("relu_max_pool2d",)  # rounding decides which pixel gets the gradient; test_cpu_kernels.py looks at those
ERRORS = (TypeError, ValueError, IndexError)
LARGEST = 30_000  # numbers in a sample


class Call(NamedTuple):
    """One call, and what was made wrong."""

    op: Op
    arrays: tuple
    constants: dict[str, Any]
    change: str

    def __str__(self) -> str:
        arrays = ", ".join(_describe(a) for a in self.arrays)
        constants = ", ".join(f"{k}={_describe(v)}" for k, v in self.constants.items())
        return f"{self.op.name}({arrays}; {constants}) [{self.change}]"


def _describe(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.ndim:
        return f"{value.dtype}{value.shape}"
    return f"{value!r}"[:60]


# ---- one thing wrong -------------------------------------------------------------------------------------------------


def _resized(a: np.ndarray, axis: int, length: int) -> np.ndarray:
    """With another length along an axis: cut, or repeated from its beginning."""
    return np.take(a, np.arange(length) % max(1, a.shape[axis]), axis=axis) if a.shape[axis] else a


def _misaligned(a: np.ndarray) -> np.ndarray:
    raw = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    raw[...] = a
    return raw


def _read_only(a: np.ndarray) -> np.ndarray:
    a = a.copy()
    a.flags.writeable = False
    return a


def _with_value(a: np.ndarray, rng: Any, value: Any) -> np.ndarray:
    a = a.copy()
    if a.size:
        a.flat[rng.integers(a.size)] = value
    return a


def _every_second(a: np.ndarray) -> np.ndarray:
    return np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a


def _longer(n: int) -> Callable:
    def change(a: np.ndarray, rng: Any) -> Any:
        axis = rng.integers(a.ndim)
        return _resized(a, axis, a.shape[axis] + n)

    return change


def _length(n: int) -> Callable:
    return lambda a, rng: _resized(a, rng.integers(a.ndim), n)


ARRAY_CHANGES: dict[str, Callable] = {
    "first axis dropped": lambda a, rng: a[0],
    "last axis dropped": lambda a, rng: a[..., 0],
    "axis before": lambda a, rng: a[None],
    "axis after": lambda a, rng: a[..., None],
    "one longer": _longer(1),
    "one shorter": _longer(-1),
    "length 0": _length(0),
    "length 1": _length(1),
    "length 64": _length(64),
    "first axis 1": lambda a, rng: a[:1],
    "transposed": lambda a, rng: a.T,
    "last axes swapped": lambda a, rng: a.swapaxes(-1, -2),
    "flat": lambda a, rng: a.reshape(-1),
    "one number": lambda a, rng: a.reshape(-1)[0],
    "array ()": lambda a, rng: a.reshape(-1)[0:1].reshape(()),
    "float64": lambda a, rng: a.astype(np.float64),
    "float16": lambda a, rng: a.astype(np.float16),
    "float32": lambda a, rng: a.astype(np.float32),
    "int32": lambda a, rng: a.astype(np.int32),
    "uint8": lambda a, rng: a.astype(np.uint8),
    "bool": lambda a, rng: a.astype(bool),
    "complex64": lambda a, rng: a.astype(np.complex64),
    "big-endian": lambda a, rng: a.astype(a.dtype.newbyteorder(">")),
    "object": lambda a, rng: a.astype(object),
    "text": lambda a, rng: a.astype(str),
    "list": lambda a, rng: a.tolist(),
    "tuple": lambda a, rng: tuple(a.tolist()),
    "masked array": lambda a, rng: np.ma.array(a, mask=np.zeros(a.shape, bool)),
    "None": lambda a, rng: None,
    "word": lambda a, rng: "same",
    "a number": lambda a, rng: 1.0,
    "Fortran order": lambda a, rng: np.asfortranarray(a),
    "every second": lambda a, rng: _every_second(a),
    "reversed": lambda a, rng: a[::-1],
    "strides of 0": lambda a, rng: np.broadcast_to(a[:1], a.shape),
    "misaligned": lambda a, rng: _misaligned(a),
    "read-only": lambda a, rng: _read_only(a),
    "NaN": lambda a, rng: _with_value(a, rng, np.nan),
    "infinity": lambda a, rng: _with_value(a, rng, np.inf),
    "-1": lambda a, rng: _with_value(a, rng, -1),
    "too large": lambda a, rng: _with_value(a, rng, 100),
    "all zeros": lambda a, rng: np.zeros_like(a),
    "none left": lambda a, rng: a[:0],
}

VALUES: tuple = (
    0, 1, 2, 3, -1, -2, 7, 10**20, 0.0, 0.5, 1.0, 2.5, -0.5, 1e-3, float("nan"), float("inf"), -float("inf"),
    True, False, None, "same", "valid", "nearest", "", (1,), (1, 2), (2, 1), (0, 1), (1, -1), (2, 2.0), [1, 2], (1, 2, 3), (),
    (True, False), (None, 1), ((1, 0), (0, 1)), ((0, 0), (0, 0)), ((1, 1), (2, -1)), ((3, 3), (3, 3)), [[1, 1], [0, 0]],
    np.int64(2), np.uint8(1), np.float32(0.5), np.bool_(True), np.array(2), np.array([1, 2]), np.eye(2), np.ones((2, 2), int),
    1j, {}, object(), slice(None), b"same", np.str_("same"),
)  # fmt: skip


def _wrong_arrays(rng: Any, op: Op, arrays: tuple) -> tuple[tuple, dict, str]:
    k = int(rng.integers(len(arrays) + 3))
    if k == len(arrays):
        return arrays[:-1], {}, "last array missing"
    if k == len(arrays) + 1:
        return (*arrays, arrays[0]), {}, "an array more"
    if k == len(arrays) + 2:
        last = min(len(arrays), len(op.arrays)) - 1
        return arrays[:last], {op.arrays[last]: arrays[last]}, f"{op.arrays[last]} by name"
    name = list(ARRAY_CHANGES)[rng.integers(len(ARRAY_CHANGES))]
    changed = None if arrays[k] is None else ARRAY_CHANGES[name](arrays[k], rng)
    return (*arrays[:k], changed, *arrays[k + 1 :]), {}, f"array {k}: {name}"


def _wrong_constants(rng: Any, op: Op, constants: dict) -> tuple[dict, str]:
    known = [p.name for p in op.signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
    key = known[rng.integers(len(known))]
    value, kind = constants.get(key), rng.integers(12)
    if kind == 0:
        return {k: v for k, v in constants.items() if k != key}, f"{key} missing"
    if kind == 1:
        return {**constants, "sides": 1}, "unknown constant"
    if isinstance(value, np.ndarray) and kind < 10:
        name = list(ARRAY_CHANGES)[rng.integers(len(ARRAY_CHANGES))]
        return {**constants, key: ARRAY_CHANGES[name](value, rng)}, f"{key}: {name}"
    value = VALUES[rng.integers(len(VALUES))]
    return {**constants, key: value}, f"{key}: another value"


def draw_call(seed: int, at: int) -> Call:
    """Call number `at` of a seed."""
    rng = np.random.default_rng([seed, at])
    while True:
        op = TABLE[NAMES[rng.integers(len(NAMES))]]
        kernel = op.kernels.get("numba")
        whole = bool(rng.integers(2)) and not op.name.endswith("2d_relu")  # Winograd rounds a sum of 0, and ReLU asks its sign
        samples = kernel.samples if kernel and kernel.samples and rng.integers(3) == 0 else op.samples
        assert samples is not None
        arrays, constants = samples(RandomDraw(int(rng.integers(2**32)), whole))
        if sum(a.size for a in arrays if a is not None) > LARGEST:
            continue
        arrays = tuple(None if a is None else a.astype(np.float32) for a in arrays)
        try:
            if op.accepted.constants and rng.integers(2):
                constants, change = _wrong_constants(rng, op, constants)
            else:
                arrays, by_name, change = _wrong_arrays(rng, op, arrays)
                constants = {**constants, **by_name}
        except Exception:  # a change that this array cannot have, such as dropping an axis of ()
            continue
        if not _is_known_to_differ(op, constants, change):
            return Call(op, arrays, constants, change)


def _is_known_to_differ(op: Op, constants: dict[str, Any], change: str) -> bool:
    """What rounding alone decides, or a NaN that only one way computes.

    Infinite weights of convolutions and recurrences: the reference multiplies them with the zeros of borders and of masked
    steps, which is NaN; a kernel leaves those out. rmsprop_update, centered: with rho=0, or a mean square that is no larger than
    the square of the mean, the variance is 0 but for rounding.
    """
    infinite = re.fullmatch(r"array [1-9]: (NaN|infinity)", change) and {"stride", "mask"} & op.accepted.constants
    rho = constants.get("rho", 1)
    rho_is_0 = isinstance(rho, int | float) and rho == 0
    no_variance = rho_is_0 or change in ("array 1: all zeros", "array 2: -1", "array 2: too large")
    return bool(infinite or ("rho" in constants and no_variance))


# ---- both ways -------------------------------------------------------------------------------------------------------


def outcome(call: Call, backend: str) -> Exception | list[np.ndarray]:
    """The error, or outputs and gradients, for whole-numbered cotangents."""
    op, rng = call.op, np.random.default_rng(0)
    with tinydx.use(backend), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            arrays, constants = op.accepted.bind(call.arrays, call.constants)
            y, saved, chosen = op.run(arrays, constants)
            results = list(y) if isinstance(y, tuple) else [y]
            if op.backward and not op.name.endswith(POOLED):
                dys = tuple(np.asarray(rng.integers(-3, 4, o.shape), o.dtype) for o in results)
                gradients = gradients_of(chosen, dys if isinstance(y, tuple) else dys[0], saved, (True,) * len(arrays))
                results += [g for g, a in zip(gradients, arrays, strict=False) if a is not None]
            return [np.asarray(multiplied_out(r)) for r in results]
        except Exception as error:
            return error


def disagreement(call: Call, backend: str = "auto") -> str | None:
    """What differs between the kernel's way and the reference's, in words; None if nothing does."""
    kernel, reference = outcome(call, backend), outcome(call, "numpy")
    for who, result in (("kernel", kernel), ("reference", reference)):
        if isinstance(result, Exception) and not isinstance(result, ERRORS):
            return f"{who} raises {type(result).__name__}: {result}"
    if isinstance(kernel, Exception) or isinstance(reference, Exception):
        if type(kernel) is type(reference):
            return None
        said = [f"{type(r).__name__}: {r}" if isinstance(r, Exception) else "computes" for r in (kernel, reference)]
        return f"kernel {said[0]}; reference {said[1]}"
    for k, (got, want) in enumerate(zip(kernel, reference, strict=True)):
        if difference := _difference(got, want):
            return f"result {k}: {difference}"
    return None


def _difference(got: Any, want: Any) -> str | None:
    if got.shape != want.shape or got.dtype != want.dtype:
        return f"kernel {got.dtype}{got.shape}, reference {want.dtype}{want.shape}"
    scale = np.max(np.abs(want[np.isfinite(want)]), initial=1.0)
    with np.errstate(all="ignore"):
        if not np.allclose(got, want, rtol=1e-3, atol=1e-4 * float(scale), equal_nan=True):
            return f"largest difference {np.nanmax(np.abs(got - want))} of {scale}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at", type=int, default=0, help="number of the first call")
    parser.add_argument("--cuda", action="store_true", help="the CUDA kernels, in the emulator")
    parser.add_argument("--verbose", action="store_true", help="print each call before it runs")
    arguments = parser.parse_args()
    faulthandler.enable()
    if arguments.cuda:
        from cuda_properties import emulation

        with emulation():
            return explore(arguments, "cuda")
    return explore(arguments, "auto")


def explore(arguments: argparse.Namespace, backend: str) -> int:
    """Make calls and print the disagreements; 1 if there are any."""
    found = refused = 0
    for at in range(arguments.at, arguments.at + arguments.calls):
        call = draw_call(arguments.seed, at)
        if arguments.verbose:
            print(at, call, flush=True)
        if arguments.cuda and "cuda" not in call.op.kernels:
            continue
        if said := disagreement(call, backend):
            found += 1
            print(f"--seed {arguments.seed} --at {at}  {call}\n    {said}", flush=True)
        refused += isinstance(outcome(call, "numpy"), Exception)
    print(f"{arguments.calls} calls of {len(NAMES)} ops, seed {arguments.seed}: {refused} refused, {found} disagreements")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
