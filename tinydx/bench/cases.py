"""What is measured: for each op some shapes and constants, written as on the command line, and how much work they are.

    "16x56x56x64, 3x3x64x64, padding=same"      arrays in the op's order by their sizes, then constants by name
    "1048576, learning_rate=0.01"               one size alone is that of all arrays, where they may be of any shape

`read_case` turns such a line into a Case; `make_arrays` draws its arrays; `operations` and `traffic` count its work.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinydx.op import Op, RandomDraw, check_arrays
from tinydx.ops.convolution import output_size, padding_2d, pair
from tinydx.ops.pooling import shifted

Shape = tuple[int, ...]

# ---- the table -----------------------------------------------------------------------------------------------------

_DOCUMENT = ["32x150x150x3, 3x3x3x32, 32", "32x74x74x32, 3x3x32x64, 64", "32x36x36x64, 3x3x64x128, 128"]
_CONVOLUTIONS = _DOCUMENT + [
    case
    for n in (1, 16)
    for case in (
        f"{n}x56x56x64, 3x3x64x64, padding=same",
        f"{n}x28x28x256, 1x1x256x64",
        f"{n}x56x56x32, 5x5x32x64, stride=2, padding=2",
        f"{n}x224x224x3, 7x7x3x64, stride=2, padding=3",
        f"{n}x56x56x64, 3x3x1x64, padding=same, groups=64",
    )
]
_POOLINGS = ["32x148x148x32", "32x72x72x64", "32x34x34x128", "16x56x56x64, size=3, stride=2, padding=same"]
_ELEMENTWISE = ["4096", "65536", "1048576", "16777216"]
_PARAMETERS = (65536, 1048576, 18939904)  # the last: the document's first dense layer


def _updates(constants: str) -> list[str]:
    return [f"{n}, {constants}" for n in _PARAMETERS]


CASES: dict[str, list[str]] = {
    "correlate2d": _CONVOLUTIONS,
    "conv2d": _CONVOLUTIONS,
    "correlate2d_relu_max_pool2d": _DOCUMENT,
    "max_pool2d": _POOLINGS,
    "average_pool2d": _POOLINGS,
    "dense": ["32x36992, 36992x512, 512", "1x36992, 36992x512, 512", "256x1024, 1024x1024, 1024", "32x512, 512x1, 1"],
    "matmul": [f"{n}x{n}, {n}x{n}" for n in (256, 512, 1024, 2048)],
    "relu": _ELEMENTWISE,
    "sigmoid": _ELEMENTWISE,
    "tanh": _ELEMENTWISE,
    "softmax": ["32x10", "32x1000", "1024x1000", "256x32000"],
    "embedding": ["20000x128, ids=32x80", "20000x128, ids=128x256"],
    "simple_rnn": ["32x80x128, 32x128, 128x128, 128x128, 128", "1x80x128, 1x128, 128x128, 128x128, 128"],
    "lstm": [f"{n}x100x64, {n}x128, {n}x128, 64x512, 128x512, 512" for n in (32, 1)],
    "gru": [f"{n}x100x64, {n}x128, 64x384, 128x384, 2x384" for n in (32, 1)],
    "sgd_update": _updates("learning_rate=0.01"),
    "momentum_update": _updates("learning_rate=0.01, momentum=0.9"),
    "rmsprop_update": _updates("learning_rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False"),
    "adagrad_update": _updates("learning_rate=0.001, epsilon=1e-7"),
    "adam_update": _updates("learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, step=10"),
}

# ---- cases ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One set of shapes and constants of an op; without shapes the op's own samples are drawn."""

    text: str
    shapes: tuple[Shape, ...] = ()
    constants: Mapping[str, Any] | None = None


def cases_of(record: Op, asked: list[str] | None) -> list[Case]:
    """The cases asked for on the command line, or the table's, or the op's own samples."""
    if asked:
        return [read_case(record, text) for text in asked]
    if record.name in CASES:
        return [read_case(record, text) for text in CASES[record.name]]
    if record.samples is None:
        raise ValueError(f"{record.name} has no samples to run on: give --shapes")
    return [Case("the op's own sample")]


def read_case(record: Op, text: str) -> Case:
    """Parse "16x56x56x64, 3x3x64x64, padding=same"; ValueError in one line where it cannot be understood.

    Constants that are not named are those of the op's first case in the table.

    >>> from tinydx.ops import correlate2d
    >>> read_case(correlate2d, "2x8x8x3, 3x3x3x4, stride=2x1").constants
    {'stride': (2, 1)}
    """
    shapes: list[Shape] = []
    constants: dict[str, Any] = {}
    for part in (p.strip() for p in text.split(",")):
        name, equals, value = (p.strip() for p in part.partition("="))
        if equals:
            _check_constant(record, name, text)
            constants[name] = _value(value)
        elif re.fullmatch(r"\d+(x\d+)*", part) and not constants:
            shapes.append(tuple(int(n) for n in part.split("x")))
        else:
            raise ValueError(
                f"{record.name}: cannot read {part!r} in {text!r}: expected sizes such as 16x56x56x64 for "
                f"{', '.join(record.arrays)}, then constants such as padding=same"
            )
    if len(shapes) == 1 and all(dims == ["..."] for dims in record.expected.values()):
        shapes *= required_arrays(record)
    defaults = read_case(record, CASES[record.name][0]).constants if _lacks_constants(record, constants) else {}
    return _checked(record, Case(text, tuple(shapes), {**(defaults or {}), **constants}))


def _check_constant(record: Op, name: str, text: str) -> None:
    known = [n for n in record.signature.parameters if n not in record.arrays]
    if name not in known:
        raise ValueError(f"{record.name}: no constant {name!r} in {text!r}; it takes {', '.join(known) or 'none'}")


def _lacks_constants(record: Op, constants: Mapping[str, Any]) -> bool:
    """Whether the table must tell what the user did not; ValueError where it cannot."""
    parameters = record.signature.parameters.values()
    missing = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty and p.name not in constants]
    if missing and record.name not in CASES:
        raise ValueError(f"{record.name}: --shapes must name {', '.join(missing)}, too, as name=value")
    return bool(missing)


def _value(text: str) -> Any:
    """3, 0.5, True, None, same, or 2x1 for (2, 1)."""
    words = {"True": True, "False": False, "None": None}
    if text in words:
        return words[text]
    if re.fullmatch(r"\d+(x\d+)+", text):
        return tuple(int(n) for n in text.split("x"))
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _checked(record: Op, case: Case) -> Case:
    """The case, if its arrays are what the record's shapes say (seen without allocating them)."""
    if len(case.shapes) < required_arrays(record):
        raise ValueError(f"{record.name}: {case.text!r} has {len(case.shapes)} arrays, expected {', '.join(record.arrays)}")
    if 0 in (n for shape in case.shapes for n in shape):
        raise ValueError(f"{record.name}: a size in {case.text!r} is 0")
    try:
        check_arrays(record, tuple(np.broadcast_to(np.float32(0), shape) for shape in case.shapes))
    except TypeError as error:
        raise ValueError(str(error)) from None
    return case


def required_arrays(record: Op) -> int:
    """How many arrays the op cannot do without."""
    parameters = record.signature.parameters
    return sum(parameters[name].default is parameters[name].empty for name in record.arrays)


# ---- arrays --------------------------------------------------------------------------------------------------------

POSITIVE = ("log", "sqrt", "divide", "power")  # ops that are not defined, or explode, around zero


def make_arrays(record: Op, case: Case, seed: int = 0) -> tuple[tuple[np.ndarray | None, ...], dict[str, Any]]:
    """float32 arrays, standard normal (positive where the op needs it), and the constants with their ids drawn."""
    if not case.shapes:
        assert record.samples is not None
        arrays, constants = record.samples(RandomDraw(seed))
        singles = tuple(None if a is None else np.asarray(a, np.float32) for a in arrays)
        return singles, {k: _single(v) for k, v in constants.items()}
    rng = np.random.default_rng(seed)
    arrays = tuple(rng.standard_normal(shape, np.float32) for shape in case.shapes)
    second_moments = {"v"} if record.name.endswith("_update") else set()
    names = [name for name, _ in zip(record.arrays * len(arrays), arrays, strict=False)]
    arrays = tuple(
        np.abs(a) + np.float32(0.5) if n in second_moments or record.name in POSITIVE else a
        for n, a in zip(names, arrays, strict=True)
    )
    if record.name in RECURRENT:  # weights with which states do not saturate
        arrays = tuple(
            a / np.float32(len(a) ** 0.5) if n in ("w", "u", "w_xh", "w_hh") else a for n, a in zip(names, arrays, strict=True)
        )
    constants = dict(case.constants or {})
    if "ids" in constants:
        constants["ids"] = rng.integers(0, len(arrays[0]), constants["ids"])
    return arrays, constants


def _single(value: Any) -> Any:
    """A floating array of a constant (a target) as float32; all else as it is."""
    return np.float32(value) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value


def make_cotangent(record: Op, arrays: tuple, constants: Mapping[str, Any], y: Any, seed: int = 1) -> Any:
    """A gradient to send back, like y; zero where rounding alone decides which way it goes."""
    rng = np.random.default_rng(seed)
    if isinstance(y, tuple):
        return tuple(rng.standard_normal(part.shape, np.float32) for part in y)
    dy = np.asarray(rng.standard_normal(np.shape(y), np.float32))
    if record.name.endswith(("_relu", "_relu_max_pool2d")):
        dy = dy * _is_clear(record, arrays, constants)
    return dy


def _is_clear(record: Op, arrays: tuple, constants: Mapping[str, Any]) -> np.ndarray:
    """Where a number is off ReLU's kink by more than rounding, and leads the pixels that are pooled with it."""
    linear = record.parts[0]
    wide = (None if a is None else np.asarray(a, np.float64) for a in arrays)
    z = linear.forward(*wide, **{k: v for k, v in constants.items() if k in linear.signature.parameters})[0]
    margin = 1e-5 * np.abs(z).max()
    leads: Any = True
    if record.name.endswith("_max_pool2d"):
        size = pair(constants.get("size", 2))
        out = z.shape[1] // size[0], z.shape[2] // size[1]
        *_, second, z = np.sort([shifted(z, p, q, out, size, (1, 1)) for p, q in np.ndindex(size)], axis=0)
        leads = z - second > margin
    return np.asarray(leads & (np.abs(z) > margin), np.float32)


# ---- work: floating-point operations, a multiplication and an addition counted as two -----------------------------


def _convolution(shapes: list[Shape], constants: Mapping[str, Any]) -> int:
    """Each output takes kh * kw * C/groups products, those with the zeros of the border included."""
    (n, h, w, _), (kh, kw, c, f), *_ = shapes
    stride, dilation = pair(constants.get("stride", 1)), pair(constants.get("dilation", 1))
    border = padding_2d(constants.get("padding", "valid"), (h, w), (kh, kw), stride, dilation)
    axes = zip((h, w), (kh, kw), stride, dilation, border, strict=True)
    out = [output_size(size, k, s, d, *ends) for size, k, s, d, ends in axes]
    return 2 * n * math.prod(out) * f * kh * kw * c


def _product(shapes: list[Shape], constants: Mapping[str, Any]) -> int:
    """(...,N,K) times (...,K,M)."""
    a, b = shapes[0], shapes[1]
    stack = np.broadcast_shapes(a[:-2], b[:-2]) if len(b) > 2 else a[:-2]
    return 2 * math.prod(stack) * (a[-2] if len(a) > 1 else 1) * a[-1] * b[-1]


def _recurrence(states: int) -> Callable[[list[Shape], Mapping[str, Any]], int]:
    """x W + h U at every step; the gates of an LSTM or GRU lie side by side in W and U, which follow x and the states."""

    def count(shapes: list[Shape], constants: Mapping[str, Any]) -> int:
        x, w, u = shapes[0], *shapes[1 + states : 3 + states]
        return 2 * math.prod(x[:-1]) * (math.prod(w) + math.prod(u))

    return count


RECURRENT = {  # and how many states each has
    "simple_rnn": 1, "simple_rnn_step": 1, "lstm": 2, "lstm_step": 2, "gru": 1, "gru_step": 1,
}  # fmt: skip

FLOPS: dict[str, Callable[[list[Shape], Mapping[str, Any]], int]] = {
    "conv2d": _convolution,
    "correlate2d": _convolution,
    "conv2d_relu": _convolution,
    "correlate2d_relu": _convolution,
    "conv2d_relu_max_pool2d": _convolution,
    "correlate2d_relu_max_pool2d": _convolution,
    "dense": _product,
    "dense_relu": _product,
    "matmul": _product,
    "softmax_decoding": _product,
    "rnn_output": _product,
    "embedding_mixing": _product,
    **{name: _recurrence(states) for name, states in RECURRENT.items()},
}


def operations(record: Op, direction: str, arrays: tuple, constants: Mapping[str, Any]) -> int | None:
    """FLOPs of the equation as it stands, whatever the algorithm; None for an op that only moves memory.

    Backward makes two products of the same size: one for the input's gradient, one for the weight's.
    """
    if record.name not in FLOPS:
        return None
    forward = FLOPS[record.name]([a.shape for a in arrays if a is not None], constants)
    return forward if direction == "forward" else 2 * forward


def traffic(record: Op, direction: str, arrays: tuple, constants: Mapping[str, Any], y: Any) -> int:
    """Bytes that must move at least: everything read once, everything written once."""
    inputs = sum(a.nbytes for a in arrays if a is not None)
    outputs = sum(part.nbytes for part in (y if isinstance(y, tuple) else (y,)))
    if record.name == "embedding":  # only the rows looked up are read; their gradient fills a whole table
        return 2 * outputs if direction == "forward" else outputs + inputs
    if record.name.endswith("pool2d") and len(arrays) == 1:  # who won is remembered: backward reads no x
        return inputs + outputs
    return inputs + outputs if direction == "forward" else outputs + 2 * inputs
