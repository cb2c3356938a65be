"""The op table: one `Op` per equation.

An `Op` keeps everything that is known about one equation. Its parts are plain functions, written one below the other:

    @op(r"f(x) = \\max(0, x)", shapes="x (...) -> y (...)", source="document, 1.2, ReLU")
    def relu(x):                        # the reference: arrays -> (y, what backward needs)
        y = np.maximum(x, 0)
        return y, y

    @backward_of(relu)
    def relu_backward(dy, y):           # gradient of y, saved -> one gradient per array
        return (dy * (y > 0),)

    @literal_of(relu)                   # the equation index by index, in plain loops: arrays -> y
    @samples_of(relu)                   # inputs to try it on: draw -> (arrays, constants)

Two conventions carry the whole engine:

* positional parameters are arrays that get a gradient; keyword-only ones are constants (strides, ids, masks, targets);
  shapes and kinds of both are stated here and checked before any implementation runs (tinydx/arguments.py);
* a kernel (Numba, CUDA) is another forward and backward of the same signature, registered for the same op.

Everything else reads this table: the tape, the gradient check, the kernel tests, the exercises, `tinydx card`.

What an op needs (tests/test_ops.py checks every op of tinydx/ops and says what is missing):

    equation, shapes, source   the arguments of @op; shapes as "x (N,T,D), w (D,F), mask bool (N,T) -> y (N,T,F)"
    constants                  of @op: a `Kind` for each constant that is no array
    forward                    NumPy. It changes none of its inputs, keeps float32 and float64, and lets complex numbers
                               pass, because the gradient check takes a complex step: no abs, no .conj(), no cast to float
    docstring                  one line, then "Arguments:", "Returns:", "Raises:" if it raises, and an example that runs
    backward                   derived by hand; only update rules (NAME_update) have none
    literal                    plain loops over indices, equal to forward
    samples                    odd sizes, batches of 2 and more, every constant at several values, ties if it has kinks
    slips                      at least 3 different mistakes, in tinydx/gradcheck/slips/; only for ops of tinydx/ops

An op in your own file needs no slips; test it with `assert_gradients` and `assert_literal` of tinydx.testing.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from tinydx.arguments import Arguments, Kind
from tinydx.dispatch import Implementation, choose
from tinydx.suggestions import did_you_mean

TABLE: dict[str, Op] = {}
_SLIPS = "tinydx.gradcheck.slips"  # imported when an op's slips are first read


class Slip(NamedTuple):
    """A wrong backward that people really write, the name of the mistake, and one sentence of advice."""

    name: str
    advice: str
    backward: Callable[..., tuple]


class Draw(Protocol):
    """How `samples` choose: from a seeded generator (`RandomDraw`), or from Hypothesis (in the tests)."""

    def integer(self, low: int, high: int) -> int: ...
    def choice(self, options: Any) -> Any: ...
    def array(self, *shape: int) -> np.ndarray: ...


class RandomDraw:
    """Draws from a seed.

    Arguments: seed; whole, whether arrays hold small whole numbers, which have ties and zeros, instead of normal ones.

    >>> draw = RandomDraw(seed=0)
    >>> draw.integer(1, 3) in (1, 2, 3), draw.array(2, 3).shape
    (True, (2, 3))
    """

    def __init__(self, seed: int | None = None, whole: bool = False):
        self.rng = np.random.default_rng(None if seed is None else [1201, seed])  # no stream that users draw from
        self.whole = whole

    def integer(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return int(self.rng.integers(low, high, endpoint=True))

    def choice(self, options: Any) -> Any:
        """One of the options."""
        return options[self.integer(0, len(options) - 1)]

    def array(self, *shape: int) -> np.ndarray:
        """A float64 array of that shape: standard normal, or of whole numbers from -3 to 3."""
        return self.rng.integers(-3, 4, shape).astype(float) if self.whole else self.rng.normal(size=shape)


@dataclass(eq=False)
class Op:
    """One equation and all its parts. Called on Tensors it is recorded on the tape, called on arrays it only computes.

    Arguments: name; equation in LaTeX; shapes, "x (N,D) -> y (N,F)"; source, where the equation stands; forward, the NumPy
    reference, (*arrays, **constants) -> (y, saved); constants, their kinds by name; backward, (dy, saved) -> one gradient per
    array; literal, the equation in plain loops; samples, draw -> (arrays, constants); requirement, (*arrays, **constants) ->
    None, raises ValueError where they do not fit each other; kernels by backend; parts, of a composed op (tinydx.compose);
    registered_slips, what `slips` returns once the files of slips are imported.
    """

    name: str
    equation: str
    shapes: str
    source: str
    forward: Callable[..., tuple]
    _: KW_ONLY
    constants: Mapping[str, Kind] = field(default_factory=dict)
    backward: Callable[..., tuple] | None = None
    literal: Callable[..., Any] | None = None
    samples: Callable[[Draw], tuple[tuple, dict]] | None = None
    requirement: Callable[..., None] | None = None
    kernels: dict[str, Implementation] = field(default_factory=dict)
    parts: tuple[Op, ...] = ()
    registered_slips: list[Slip] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.__doc__ = self.forward.__doc__
        self.signature = inspect.signature(self.forward)
        self.accepted = Arguments(self.name, self.signature, self.shapes, self.constants)
        self.arrays = self.accepted.names
        self.takes_any_number = self.accepted.any_number
        self.expected = {entry.name: list(entry.dims) for entry in self.accepted.arrays}

    @property
    def reference(self) -> Implementation:
        """The NumPy forward and backward, as an implementation like a kernel."""
        return Implementation("numpy", self.forward, self.backward)

    @property
    def slips(self) -> list[Slip]:
        """The wrong backwards that people write for this op; the first access imports tinydx/gradcheck/slips/."""
        importlib.import_module(_SLIPS)
        return self.registered_slips

    def __call__(self, *arrays: Any, **constants: Any) -> Any:
        if not constants.keys() <= self.accepted.constants:
            arrays, constants = self.accepted.bind(arrays, constants)
        for a in (*arrays, *constants.values()):
            if hasattr(a, "record"):  # a Tensor: it runs the op and writes it on the tape
                return a.record(self, arrays, constants)
        y, _, _ = self.run(arrays, constants)
        return y

    def run(
        self, arrays: tuple, constants: Mapping[str, Any], chosen: Implementation | None = None
    ) -> tuple[Any, Any, Implementation]:
        """Check the arguments, choose an implementation unless one is given, and run its forward: (y, saved, implementation)."""
        constants = self.check(arrays, constants)
        chosen = chosen or choose(self, arrays, constants)
        y, saved = chosen.forward(*arrays, **constants)
        return y, saved, chosen

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle and copy: an op is the table's."""
        return find, (self.name,)

    def check(self, arrays: tuple, constants: Mapping[str, Any]) -> Mapping[str, Any]:
        """The constants as implementations take them, if all arguments are as the op states (`tinydx.arguments`).

        Raises: TypeError for another kind or number of arguments, ValueError for other shapes or values.
        """
        constants = self.accepted.check(arrays, constants)
        if self.requirement:
            self.requirement(*arrays, **constants)
        return constants

    def __repr__(self) -> str:
        return f"<op {self.name}: {self.shapes}>"


# ---- building the table --------------------------------------------------------------------------------------------


def op(
    equation: str, *, shapes: str, source: str, constants: Mapping[str, Kind] | None = None
) -> Callable[[Callable[..., tuple]], Op]:
    """Put a NumPy forward into the table under its own name.

    Arguments: equation in LaTeX; shapes, "x (N,D), w (D,F) -> y (N,F)"; source, where the equation stands; constants, the
    kind of each constant that is not an array.
    Returns: a decorator that turns the forward, (*arrays, **constants) -> (y, saved), into an `Op`.
    """

    def register(forward: Callable[..., tuple]) -> Op:
        name = forward.__name__
        TABLE[name] = Op(name, equation, shapes, source, forward, constants=constants or {})
        return TABLE[name]

    return register


def backward_of(op: Op) -> Callable:
    """The gradient of `op`, derived by hand: backward(dy, saved) -> one gradient per array.

    A backward that can save work takes a third argument, `needs`: one bool per array. It may return None for a gradient
    that is not needed.
    """

    def register(function: Callable[..., tuple]) -> Callable[..., tuple]:
        op.backward = function
        return function

    return register


def requirement_of(op: Op) -> Callable:
    """What sizes and kinds cannot say: requirement(*arrays, **constants) raises ValueError; it runs before each forward."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        op.requirement = function
        return function

    return register


def literal_of(op: Op) -> Callable:
    """The equation index by index, in plain loops: the arguments of forward, but it returns y alone."""

    def register(function: Callable) -> Callable:
        op.literal = function
        return function

    return register


def samples_of(op: Op) -> Callable:
    """Valid inputs to try the op on: samples(draw) -> (arrays, constants), where `draw` is a `Draw`."""

    def register(function: Callable) -> Callable:
        op.samples = function
        return function

    return register


def find(name: str) -> Op:
    """The op of that name.

    Raises: ValueError with close matches if there is none.
    """
    if name in TABLE:
        return TABLE[name]
    raise ValueError(f"no op named {name!r}{did_you_mean(name, TABLE)}")


def kernel_of(
    op: Op,
    backend: str,
    forward: Callable[..., tuple],
    backward: Callable[..., tuple] | None,
    supports: Callable[..., bool],
    *,
    in_place: Callable[..., None] | None = None,
    samples: Callable[[Draw], tuple[tuple, dict]] | None = None,
    warm: Sequence[tuple[tuple, dict[str, Any]]] = (),
) -> None:
    """Register a kernel of an op.

    Arguments: op; backend "numba" or "cuda"; forward and backward, with the signatures of the reference; supports(*arrays,
    **constants) -> bool, which calls it takes; in_place, of an update rule: takes contiguous arrays and changes them, and
    the last array, the gradient, may be factored; samples(draw) -> (arrays, constants) for the kernel's tests (default: the
    op's); warm, pairs (shapes of the arrays, constants) that together compile every variant of the kernel.
    """
    op.kernels[backend] = Implementation(backend, forward, backward, supports, in_place, samples or op.samples, warm)


def check_arrays(op: Op, arrays: tuple) -> None:
    """Check that the arrays are floating (or complex) and have the shapes that the op states.

    Raises: TypeError for another dtype or number of arrays, ValueError for a shape that does not fit.
    """
    op.accepted.check_arrays(arrays)
