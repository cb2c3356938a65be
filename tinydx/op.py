"""The op table: one record per equation, and the choice of which implementation runs it.

An `Op` keeps everything that is known about one equation: the equation itself, the equation as plain loops
(`literal`), as NumPy (`forward`), its gradient derived by hand (`backward`), inputs to try it on (`samples`), and the
mistakes that people make in its gradient (`slips`). The parts are plain functions, written one below the other:

    @op(r"f(x) = \\max(0, x)", shapes="x (...) -> y (...)", source="document, 1.2, ReLU")
    def relu(x):                        # the reference: arrays -> (y, what backward needs)
        y = np.maximum(x, 0)
        return y, y

    @backward_of(relu)
    def relu_backward(dy, y):           # cotangent of y, saved -> one gradient per array
        return (dy * (y > 0),)

Two conventions carry the whole engine:

* positional parameters are arrays that get a gradient; keyword-only ones are constants (strides, ids, masks, targets);
* a kernel (Numba, CUDA) is another forward and backward of the same signature, registered for the same op.

Everything else reads this table: the tape, the gradient check, the kernel tests, the exercises, `tinydx card`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from tinydx.device import on_device

TABLE: dict[str, Op] = {}

BACKENDS = ("numpy", "numba", "cuda")
_KERNEL_PACKAGES = {"numba": "tinydx_kernels.cpu", "cuda": "tinydx_kernels.cuda"}


class Slip(NamedTuple):
    """A wrong backward that people really write, and what to tell them."""

    name: str
    advice: str
    backward: Callable[..., tuple]


class Draw(Protocol):
    """Where `samples` get their choices from: a seeded generator, or Hypothesis."""

    def integer(self, low: int, high: int) -> int: ...
    def choice(self, options: Any) -> Any: ...
    def array(self, *shape: int) -> np.ndarray: ...


class RandomDraw:
    """Draw from a seed: `draw.array(2, 3)` is float64 and standard normal, or small whole numbers (with ties)."""

    def __init__(self, seed: int | None = None, whole: bool = False):
        self.rng = np.random.default_rng(seed)
        self.whole = whole

    def integer(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return int(self.rng.integers(low, high, endpoint=True))

    def choice(self, options: Any) -> Any:
        """One of the options."""
        return options[self.integer(0, len(options) - 1)]

    def array(self, *shape: int) -> np.ndarray:
        """A float64 array of that shape."""
        return self.rng.integers(-3, 4, shape).astype(float) if self.whole else self.rng.normal(size=shape)


@dataclass(frozen=True)
class Implementation:
    """One way to compute an op: the NumPy reference, or a kernel."""

    backend: str
    forward: Callable[..., tuple]
    backward: Callable[..., tuple] | None
    supports: Callable[..., bool] = lambda *arrays, **constants: True
    in_place: Callable[..., None] | None = None  # of an update rule: writes into its arrays instead of making new ones


@dataclass(eq=False)
class Op:
    """The record of one equation. Call it on Tensors to record on the tape, or on arrays just to compute."""

    name: str
    equation: str
    shapes: str
    source: str
    forward: Callable[..., tuple]
    backward: Callable[..., tuple] | None = None
    literal: Callable[..., Any] | None = None
    samples: Callable[[Draw], tuple[tuple, dict]] | None = None
    slips: list[Slip] = field(default_factory=list)
    kernels: dict[str, Implementation] = field(default_factory=dict)
    parts: tuple[Op, ...] = ()  # what it is composed of, if it is (tinydx.compose)

    def __post_init__(self) -> None:
        self.__doc__ = self.forward.__doc__
        self.signature = inspect.signature(self.forward)
        parameters = self.signature.parameters.values()
        self.arrays = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        self.takes_any_number = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.expected = _parse_shapes(self.shapes)

    @property
    def reference(self) -> Implementation:
        """The NumPy implementation, as one of the implementations."""
        return Implementation("numpy", self.forward, self.backward)

    def __call__(self, *arrays: Any, **constants: Any) -> Any:
        for a in arrays:
            if hasattr(a, "record"):  # a Tensor: the tape runs the op and remembers it
                return a.record(self, arrays, constants)
        y, _, _ = self.run(arrays, constants)
        return y

    def run(self, arrays: tuple, constants: Mapping[str, Any]) -> tuple[Any, Any, Implementation]:
        """Check the arrays, choose an implementation and run its forward: (y, saved, implementation)."""
        check_arrays(self, arrays)
        chosen = choose(self, arrays, constants)
        y, saved = chosen.forward(*arrays, **constants)
        return y, saved, chosen

    def __repr__(self) -> str:
        return f"<op {self.name}: {self.shapes}>"


# ---- building the table --------------------------------------------------------------------------------------------


def op(equation: str, *, shapes: str, source: str) -> Callable[[Callable[..., tuple]], Op]:
    """Put a NumPy forward into the table under its own name."""

    def register(forward: Callable[..., tuple]) -> Op:
        name = forward.__name__
        TABLE[name] = Op(name, equation, shapes, source, forward)
        return TABLE[name]

    return register


def backward_of(record: Op) -> Callable:
    """The gradient of `record`, derived by hand: backward(dy, saved) -> one gradient per array.

    A backward that can save work takes a third argument, `needs`: one bool per array.
    """

    def register(function: Callable[..., tuple]) -> Callable[..., tuple]:
        record.backward = function
        return function

    return register


def literal_of(record: Op) -> Callable:
    """The equation index by index, in plain loops: same arguments as forward, returns y alone."""

    def register(function: Callable) -> Callable:
        record.literal = function
        return function

    return register


def samples_of(record: Op) -> Callable:
    """Draws valid inputs: samples(draw) -> (arrays, constants)."""

    def register(function: Callable) -> Callable:
        record.samples = function
        return function

    return register


def slip_of(record: Op, name: str, advice: str) -> Callable:
    """A wrong backward with its name and one sentence of advice.

    It takes dy and saved, and by name whatever else it needs of the op: arrays, constants, y. For a gradient that it
    leaves right it returns None.
    """

    def register(function: Callable[..., tuple]) -> Callable[..., tuple]:
        record.slips.append(Slip(name, advice, function))
        return function

    return register


def kernel_of(
    record: Op,
    backend: str,
    forward: Callable,
    backward: Callable | None,
    supports: Callable,
    in_place: Callable | None = None,
) -> None:
    """Register a kernel: forward and backward of the reference's signature; supports(*arrays, **constants) -> bool.

    in_place, of an update rule: the same arguments, contiguous, and the last of them, the gradient, may be factored.
    """
    record.kernels[backend] = Implementation(backend, forward, backward, supports, in_place)


def gradients_of(implementation: Implementation, dy: Any, saved: Any, needs: tuple[bool, ...]) -> tuple:
    """Call a backward, telling it which gradients are needed if it wants to know."""
    backward = implementation.backward
    assert backward is not None
    return backward(dy, saved, needs) if _asks_for_needs(backward) else backward(dy, saved)


@functools.cache  # asked in every step for every op
def _asks_for_needs(backward: Callable) -> bool:
    return "needs" in inspect.signature(backward).parameters


# ---- which implementation runs -------------------------------------------------------------------------------------


@dataclass
class _Choice:
    backend: str | None = None  # None: numba where it has a kernel, else numpy
    strict: bool = False
    fused: bool = True
    graph: bool = True
    trace: list[tuple[str, str]] | None = None


_choice = _Choice()


class use:
    """Choose the implementation: `tinydx.use("numpy")` from now on, or `with tinydx.use("numpy"): ...`.

    Arguments: backend "numpy", "numba", "cuda" (models move to the GPU and stay there) or "auto"; strict=True raises
    LookupError where that backend has no kernel for an op, instead of falling back to NumPy; fused=False: models run layer
    by layer, never two at once; graph=False: on a GPU each kernel is launched by itself, never a captured step at once.

    >>> import numpy as np, tinydx
    >>> with tinydx.use("numpy"), tinydx.trace() as ran:
    ...     y = tinydx.ops.relu(np.array([-1.0, 2.0]))
    >>> ran
    [('relu', 'numpy')]
    """

    def __init__(self, backend: str, strict: bool = False, fused: bool = True, graph: bool = True):
        if backend not in (*BACKENDS, "auto"):
            raise ValueError(f"use({backend!r}): no such backend; choose from numpy, numba, cuda, auto")
        if backend in _KERNEL_PACKAGES and (strict or backend == "cuda"):
            _require(backend)
        self._before = (_choice.backend, _choice.strict, _choice.fused, _choice.graph)
        self._set(None if backend == "auto" else backend, strict, fused, graph)

    @staticmethod
    def _set(backend: str | None, strict: bool, fused: bool, graph: bool) -> None:
        _choice.backend, _choice.strict, _choice.fused, _choice.graph = backend, strict, fused, graph

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._set(*self._before)


@contextmanager
def trace() -> Iterator[list[tuple[str, str]]]:
    """List which implementation ran each op: `with tinydx.trace() as ran: ...` gives [(op, backend), ...]."""
    before, _choice.trace = _choice.trace, []
    try:
        yield _choice.trace
    finally:
        _choice.trace = before


def choose(record: Op, arrays: tuple, constants: Mapping[str, Any]) -> Implementation:
    """The implementation that runs: by the arrays' type, then by `use`, then numba where it can, then NumPy."""
    chosen = _kernel(record, arrays, constants) or record.reference
    if _choice.strict and chosen.backend == "numpy" != _choice.backend:
        shapes = ", ".join(str(getattr(a, "shape", a)) for a in arrays)
        raise LookupError(f"{record.name}: no {_choice.backend or 'numba'} kernel for {shapes} {dict(constants)}")
    if _choice.trace is not None:
        _choice.trace.append((record.name, chosen.backend))
    return chosen


def can_fuse(record: Op, arrays: tuple, constants: Mapping[str, Any]) -> bool:
    """Whether a composed op has a kernel for these arrays here and now: without one, its parts are as good."""
    return _choice.fused and _kernel(record, arrays, constants) is not None


def asked_for_device() -> bool | None:
    """Whether `use` asked for a GPU, or for none; None where it said nothing, or where the CUDA kernels are emulated."""
    if _choice.backend != "cuda":
        return None if _choice.backend is None else False
    return None if sys.modules[_KERNEL_PACKAGES["cuda"]].emulating() else True


def may_capture() -> bool:
    """Whether a step on a GPU may become a graph."""
    return _choice.graph and _choice.trace is None


def _kernel(record: Op, arrays: tuple, constants: Mapping[str, Any]) -> Implementation | None:
    backend = "cuda" if any(on_device(a) for a in arrays) else _choice.backend or "numba"
    if backend == "numpy":
        return None
    load_kernels(backend)
    kernel = record.kernels.get(backend)
    return kernel if kernel and kernel.supports(*arrays, **constants) else None


_loaded: dict[str, str | None] = {}


def load_kernels(backend: str) -> str | None:
    """Import a backend's kernels once; returns None, or why they cannot be had."""
    if backend not in _loaded:
        _loaded[backend] = None
        try:
            find_kernels()
            importlib.import_module(_KERNEL_PACKAGES[backend])
        except ImportError as error:
            _loaded[backend] = str(error)
    return _loaded[backend]


def find_kernels() -> None:
    """Make `tinydx_kernels` importable from a plain checkout too, where the folder is called kernels/.

    A folder without __init__.py is what an uninstalled tinydx leaves behind with Numba's cache in it: not the kernels.
    """
    if "tinydx_kernels" in sys.modules:
        return
    found = importlib.util.find_spec("tinydx_kernels")
    if found is not None and found.origin is not None:
        return
    folder = Path(__file__).parent.parent / "kernels"
    spec = importlib.util.spec_from_file_location(
        "tinydx_kernels", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None or not folder.is_dir():
        raise ImportError("tinydx_kernels is not installed: pip install tinydx")
    module = importlib.util.module_from_spec(spec)
    sys.modules["tinydx_kernels"] = module
    spec.loader.exec_module(module)


def _require(backend: str) -> None:
    reason = load_kernels(backend)
    if reason:
        extra = {"numba": "pip install numba", "cuda": "pip install 'tinydx[cuda13]'"}[backend]
        raise ImportError(f"use({backend!r}): {reason}; {extra}")
    if missing := _missing(backend):
        raise ImportError(f"use({backend!r}): {missing}")


def _missing(backend: str) -> str | None:
    """What a loaded kernel package says it lacks to run, and what to do: the CUDA launchers load without CuPy."""
    missing = getattr(sys.modules.get(_KERNEL_PACKAGES[backend]), "missing", None)
    return missing() if missing else None


# ---- shapes, from the record's own description ---------------------------------------------------------------------


def _parse_shapes(shapes: str) -> dict[str, list[str]]:
    """"x (N,D), w (D,F) -> y (N,F)" -> {"x": ["N", "D"], "w": ["D", "F"]}."""
    inputs = shapes.split("->")[0]
    return {name: dims.replace(" ", "").strip(",").split(",") for name, dims in re.findall(r"(\w+) \(([^)]*)\)", inputs)}


def check_arrays(record: Op, arrays: tuple) -> None:
    """Floating (or complex) arrays of the shapes that the record states, else TypeError or ValueError in one line."""
    names = record.arrays * len(arrays) if record.takes_any_number else record.arrays
    if len(arrays) > len(names):
        raise TypeError(f"{record.name} takes {len(record.arrays)} arrays ({', '.join(record.arrays)}), got {len(arrays)}")
    sizes: dict[str, int] = {}
    for name, a in zip(names, arrays, strict=False):
        if a is None:
            continue
        if getattr(a, "dtype", None) is None or a.dtype.kind not in "fc":
            kind = getattr(a, "dtype", type(a).__name__)
            raise TypeError(f"{record.name}: {name} is {kind}, expected float32 or float64: convert with .astype('float32')")
        _check_shape(record, name, a.shape, sizes)


def _check_shape(record: Op, name: str, shape: tuple[int, ...], sizes: dict[str, int]) -> None:
    dims = record.expected.get(name, ["..."])
    named = [d for d in dims if d != "..."]
    fits = len(shape) >= len(named) if "..." in dims else len(shape) == len(named)
    if fits and "..." not in dims[1:]:  # "(...,D)" or no dots: names belong to the last axes
        for dim, size in zip(named, shape[len(shape) - len(named) :], strict=True):
            fits = fits and (not dim.isidentifier() or sizes.setdefault(dim, size) == size)
    if not fits:
        known = ", ".join(f"{d}={n}" for d, n in sizes.items() if d in dims)
        wanted = ",".join(dims)
        raise ValueError(f"{record.name}: {name} has shape {shape}, expected ({wanted})" + (f" with {known}" if known else ""))


# ---- reference cards -----------------------------------------------------------------------------------------------


def card(name: str, *kinds: str) -> str:
    """The reference card of an op: equation, shapes, source, and its code as it stands in the file.

    With kinds ("literal", "forward", "backward"), that code alone.

    >>> print(card("relu").splitlines()[0])
    relu · document, 1.2, ReLU
    >>> print(card("relu", "backward"))
    def relu_backward(dy, y):
        return (dy * (y > 0),)
    """
    record = find(name)
    if kinds:
        return "\n\n".join(code(getattr(record, kind)) for kind in kinds)
    parts = [f"{record.name} · {record.source}", "", f"    {record.equation}", "", f"shapes  {record.shapes}"]
    if not record.parts:
        parts += [f"file    {record.forward.__module__.replace('.', '/')}.py"]  # where what the code below calls stands, too
    for kind in ("literal", "forward", "backward"):
        function = getattr(record, kind)
        if function and not record.parts:
            parts += ["", f"{kind}", "", textwrap.indent(code(function), "    ")]
    if record.parts:
        parts += ["", "parts    " + ", ".join(f"tinydx card {part.name}" for part in record.parts)]
    elif record.slips:
        parts += ["", "slips", *dict.fromkeys(f"  {s.name}: {s.advice}" for s in record.slips)]
    if record.kernels:
        parts += ["", "kernels  " + ", ".join(record.kernels)]
    return "\n".join(parts)


def find(name: str) -> Op:
    """The op of that name; ValueError with close matches if there is none."""
    if name in TABLE:
        return TABLE[name]
    raise ValueError(f"no op named {name!r}{did_you_mean(name, TABLE)}")


def did_you_mean(name: str, known: Any) -> str:
    """"; did you mean 'adam'?" or the list of what there is."""
    import difflib

    close = difflib.get_close_matches(str(name), list(known), n=3, cutoff=0.5)
    if close:
        return "; did you mean " + " or ".join(repr(c) for c in close) + "?"
    return "; known: " + ", ".join(sorted(known))


def code(function: Callable) -> str:
    """A function as it stands in its file, without its decorators."""
    lines = textwrap.dedent(inspect.getsource(function)).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("def "))
    return "\n".join(lines[start:])
