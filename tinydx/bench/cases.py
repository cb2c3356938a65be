"""What is measured: shapes and constants for each op, written as on the command line, and how much work they are.

    "16x56x56x64, 3x3x64x64, padding=same"      the sizes of the arrays in the op's order, then constants by name
    "1048576, learning_rate=0.01"               for ops that take any shape, one size stands for all arrays

`read_case` turns such a text into a Case, `make_arrays` draws its arrays, `operations` and `traffic` count its work.
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
    **dict.fromkeys(("relu", "sigmoid", "tanh", "leaky_relu", "elu", "softplus", "silu"), _ELEMENTWISE),
    "add_relu": [f"{n}, {n}" for n in _ELEMENTWISE],
    "softmax": ["32x10", "32x1000", "1024x1000", "256x32000"],
    "embedding": ["20000x128, ids=32x80", "20000x128, ids=128x256"],
    "simple_rnn": ["32x80x128, 32x128, 128x128, 128x128, 128", "1x80x128, 1x128, 128x128, 128x128, 128"],
    "lstm": [f"{n}x100x64, {n}x128, {n}x128, 64x512, 128x512, 512" for n in (32, 1)],
    "gru": [f"{n}x100x64, {n}x128, 64x384, 128x384, 2x384" for n in (32, 1)],
    "average_update": _updates("momentum=0.99"),
    "sgd_update": _updates("learning_rate=0.01"),
    "momentum_update": _updates("learning_rate=0.01, momentum=0.9"),
    "rmsprop_update": _updates("learning_rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False"),
    "adagrad_update": _updates("learning_rate=0.001, epsilon=1e-7"),
    "adam_update": _updates("learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, step=10"),
}

# ---- cases ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One set of shapes and constants for an op; without shapes, the op's own samples are drawn.

    first is True for a first layer, the gradient of whose input nobody needs.
    """

    text: str
    shapes: tuple[Shape, ...] = ()
    constants: Mapping[str, Any] | None = None
    first: bool = False


def cases_of(op: Op, asked: list[str] | None) -> list[Case]:
    """The cases given on the command line, else those of CASES, else one of the op's own samples."""
    if asked:
        return [read_case(op, text) for text in asked]
    if op.name in CASES:
        return [read_case(op, text) for text in CASES[op.name]]
    if op.samples is None:
        raise ValueError(f"{op.name} has no samples: give --shapes")
    return [Case("the op's own sample")]


def read_case(op: Op, text: str) -> Case:
    """The Case in a text such as "16x56x56x64, 3x3x64x64, padding=same".

    Required constants that the text does not name are those of the op's first case in CASES.
    Raises: ValueError, in one line, where the text cannot be read or does not fit the op.

    >>> from tinydx.ops import correlate2d
    >>> read_case(correlate2d, "2x8x8x3, 3x3x3x4, stride=2x1").constants
    {'stride': (2, 1)}
    """
    shapes: list[Shape] = []
    constants: dict[str, Any] = {}
    for part in (p.strip() for p in text.split(",")):
        name, equals, value = (p.strip() for p in part.partition("="))
        if equals:
            _check_constant(op, name, text)
            constants[name] = _value(value)
        elif re.fullmatch(r"\d+(x\d+)*", part) and not constants:
            shapes.append(tuple(int(n) for n in part.split("x")))
        else:
            raise ValueError(
                f"{op.name}: cannot read {part!r} in {text!r}: expected sizes such as 16x56x56x64 for "
                f"{', '.join(op.arrays)}, then constants such as padding=same"
            )
    if len(shapes) == 1 and all(dims == ["..."] for dims in op.expected.values()):
        shapes *= required_arrays(op)
    defaults = read_case(op, CASES[op.name][0]).constants if _lacks_constants(op, constants) else {}
    return _checked(op, Case(text, tuple(shapes), {**(defaults or {}), **constants}))


def _check_constant(op: Op, name: str, text: str) -> None:
    known = [n for n in op.signature.parameters if n not in op.arrays]
    if name not in known:
        raise ValueError(f"{op.name}: no constant {name!r} in {text!r}; it takes {', '.join(known) or 'none'}")


def _lacks_constants(op: Op, constants: Mapping[str, Any]) -> bool:
    """Whether required constants must come from CASES; ValueError where it has none for the op."""
    parameters = op.signature.parameters.values()
    missing = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty and p.name not in constants]
    if missing and op.name not in CASES:
        raise ValueError(f"{op.name}: --shapes must also give {', '.join(missing)}, as name=value")
    return bool(missing)


def _value(text: str) -> Any:
    """The value of a text: 3, 0.5, True, None, same, or 2x1 for (2, 1)."""
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


def _checked(op: Op, case: Case) -> Case:
    """The case, if its shapes fit the op, which is checked without allocating the arrays; else ValueError."""
    if len(case.shapes) < required_arrays(op):
        raise ValueError(f"{op.name}: {case.text!r} has {len(case.shapes)} arrays, expected {', '.join(op.arrays)}")
    if 0 in (n for shape in case.shapes for n in shape):
        raise ValueError(f"{op.name}: a size in {case.text!r} is 0")
    try:
        check_arrays(op, tuple(np.broadcast_to(np.float32(0), shape) for shape in case.shapes))
    except TypeError as error:
        raise ValueError(str(error)) from None
    return case


def required_arrays(op: Op) -> int:
    """The number of arrays that the op requires."""
    parameters = op.signature.parameters
    return sum(parameters[name].default is parameters[name].empty for name in op.arrays)


# ---- arrays --------------------------------------------------------------------------------------------------------

POSITIVE = ("log", "sqrt", "divide", "power")  # ops that are undefined or diverge near zero


def make_arrays(op: Op, case: Case, seed: int = 0) -> tuple[tuple[np.ndarray | None, ...], dict[str, Any]]:
    """The case's arrays, float32 and standard normal (positive where the op needs it), and its constants with ids drawn."""
    if not case.shapes:
        assert op.samples is not None
        arrays, constants = op.samples(RandomDraw(seed))
        singles = tuple(None if a is None else np.asarray(a, np.float32) for a in arrays)
        return singles, {k: _single(v) for k, v in constants.items()}
    rng = np.random.default_rng(seed)
    arrays = tuple(rng.standard_normal(shape, np.float32) for shape in case.shapes)
    second_moments = {"v"} if op.name.endswith("_update") else set()
    names = [name for name, _ in zip(op.arrays * len(arrays), arrays, strict=False)]
    arrays = tuple(
        np.abs(a) + np.float32(0.5) if n in second_moments or op.name in POSITIVE else a
        for n, a in zip(names, arrays, strict=True)
    )
    if op.name in RECURRENT:  # scaled so that states do not saturate
        arrays = tuple(
            a / np.float32(len(a) ** 0.5) if n in ("w", "u", "w_xh", "w_hh") else a for n, a in zip(names, arrays, strict=True)
        )
    constants = dict(case.constants or {})
    if "ids" in constants:
        constants["ids"] = rng.integers(0, len(arrays[0]), constants["ids"])
    if "labels" in constants:
        constants["labels"] = rng.integers(0, arrays[0].shape[-1], constants["labels"])
    if "target" in constants:
        constants["target"] = np.float32(rng.integers(0, 2, constants["target"]))
    return arrays, constants


def _single(value: Any) -> Any:
    """A constant: as float32 if it is a floating array, such as a target; else unchanged."""
    return np.float32(value) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value


def make_cotangent(op: Op, arrays: tuple, constants: Mapping[str, Any], y: Any, seed: int = 1) -> Any:
    """A random gradient of y; zero where rounding decides which input of a ReLU or max pooling gets it."""
    rng = np.random.default_rng(seed)
    if isinstance(y, tuple):
        return tuple(rng.standard_normal(part.shape, np.float32) for part in y)
    dy = np.asarray(rng.standard_normal(np.shape(y), np.float32))
    if op.parts:  # all compositions end so
        dy = dy * _is_clear(op, arrays, constants)
    return dy


def _is_clear(op: Op, arrays: tuple, constants: Mapping[str, Any]) -> np.ndarray:
    """1 where an output differs from ReLU's kink, and from the other pixels of its window, by more than rounding; else 0."""
    linear = op.parts[0]
    wide = (None if a is None else np.asarray(a, np.float64) for a in arrays)
    z = linear.forward(*wide, **{k: v for k, v in constants.items() if k in linear.signature.parameters})[0]
    margin = 1e-5 * np.abs(z).max()
    leads: Any = True
    if op.name.endswith("_max_pool2d"):
        size = pair(constants.get("size", 2))
        out = z.shape[1] // size[0], z.shape[2] // size[1]
        *_, second, z = np.sort([shifted(z, p, q, out, size, (1, 1)) for p, q in np.ndindex(size)], axis=0)
        leads = z - second > margin
    return np.asarray(leads & (np.abs(z) > margin), np.float32)


BOTH = "forward + backward"  # a direction: both, one after the other

# ---- work in floating-point operations: a multiplication and an addition count as two ------------------------------


def _convolution(shapes: list[Shape], constants: Mapping[str, Any]) -> int:
    """FLOPs of kh * kw * C/groups products for each output, including those with the border's zeros."""
    (n, h, w, _), (kh, kw, c, f), *_ = shapes
    stride, dilation = pair(constants.get("stride", 1)), pair(constants.get("dilation", 1))
    border = padding_2d(constants.get("padding", "valid"), (h, w), (kh, kw), stride, dilation)
    axes = zip((h, w), (kh, kw), stride, dilation, border, strict=True)
    out = [output_size(size, k, s, d, *ends) for size, k, s, d, ends in axes]
    return 2 * n * math.prod(out) * f * kh * kw * c


def _product(shapes: list[Shape], constants: Mapping[str, Any]) -> int:
    """FLOPs of (...,N,K) times (...,K,M)."""
    a, b = shapes[0], shapes[1]
    stack = np.broadcast_shapes(a[:-2], b[:-2]) if len(b) > 2 else a[:-2]
    return 2 * math.prod(stack) * (a[-2] if len(a) > 1 else 1) * a[-1] * b[-1]


def _recurrence(states: int) -> Callable[[list[Shape], Mapping[str, Any]], int]:
    """Counts x W + h U at every time step, where W and U hold all gates side by side and follow x and the states."""

    def count(shapes: list[Shape], constants: Mapping[str, Any]) -> int:
        x, w, u = shapes[0], *shapes[1 + states : 3 + states]
        return 2 * math.prod(x[:-1]) * (math.prod(w) + math.prod(u))

    return count


def _attention(arrays: list[Shape], constants: Mapping[str, Any]) -> int:
    """Scores and mixtures: two products."""
    (n, s, u), (_, t, v) = arrays[0], arrays[2]
    return 2 * n * s * t * (u + v)


RECURRENT = {  # name: number of states
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
    "attention": _attention,
    "softmax_decoding": _product,
    "rnn_output": _product,
    "embedding_mixing": _product,
    **{name: _recurrence(states) for name, states in RECURRENT.items()},
}


def operations(op: Op, direction: str, arrays: tuple, constants: Mapping[str, Any]) -> int | None:
    """FLOPs of the equation as written, whatever the algorithm; None for an op that only moves memory.

    Backward has two products of the same size: one for the input's gradient, one for the weight's.
    """
    if op.name not in FLOPS:
        return None
    forward = FLOPS[op.name]([a.shape for a in arrays if a is not None], constants)
    return forward * {"forward": 1, "backward": 2, BOTH: 3}[direction]


def traffic(op: Op, direction: str, arrays: tuple, constants: Mapping[str, Any], y: Any) -> int:
    """The least number of bytes to move: every input read once and every output written once."""
    if direction == BOTH:
        return sum(traffic(op, part, arrays, constants, y) for part in ("forward", "backward"))
    inputs = sum(a.nbytes for a in arrays if a is not None)
    outputs = sum(part.nbytes for part in (y if isinstance(y, tuple) else (y,)))
    if op.name == "embedding":  # only the rows looked up are read; the gradient fills a whole table
        return 2 * outputs if direction == "forward" else outputs + inputs
    if op.name.endswith("pool2d") and len(arrays) == 1:  # forward saves the winners: backward does not read x
        return inputs + outputs
    return inputs + outputs if direction == "forward" else outputs + 2 * inputs
