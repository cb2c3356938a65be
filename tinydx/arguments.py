"""What an op accepts, checked before any implementation runs: the sizes and kinds that its record states.

    shapes="x (N,T,D), h0 (N,U), w (D,3U), u (U,3U), b (2,3U), mask bool (N,T) -> y (N,T,U)"
            an array: floating, its sizes named    3 times U        a constant: an array of that kind

    ids int<V (...)               whole numbers from 0 to V-1, of any shape
    z (...,K), labels int (...)   in a constant, ... are the axes that it is in the array before it
    weight number (first of ...)  some of those axes, the first ones, or all

Constants that are no arrays (a stride, a rate) have a `Kind`, and what sizes and kinds cannot say is a function of the op,
its `requirement`. A kernel reads memory by these sizes: it never sees arguments that the reference would refuse.
"""

from __future__ import annotations

import inspect
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tinydx.device import on_device
from tinydx.suggestions import did_you_mean

# ---- kinds of constants that are no arrays ---------------------------------------------------------------------------

LARGEST = 2**31 - 1


class Kind(NamedTuple):
    """What a constant may be: in words, for the message, and as a test of a value."""

    words: str
    holds: Callable[[Any], bool]


def is_whole(value: Any) -> bool:
    """Whether this is a whole number that a size or an axis can be, of Python or NumPy, and no bool."""
    return (type(value) is int or isinstance(value, np.integer)) and -LARGEST <= int(value) <= LARGEST


def is_number(value: Any) -> bool:
    """Whether this is a real number, of Python or NumPy, finite and no bool."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool) and math.isfinite(value)


def several(value: Any, length: int | None, holds: Callable[[Any], bool]) -> bool:
    """Whether this is a tuple or list of that length (None: any), of which each part holds."""
    return isinstance(value, tuple | list) and length in (None, len(value)) and all(map(holds, value))


def one_of(*options: Any) -> Kind:
    """One of these values."""
    return Kind(" or ".join(map(repr, options)), lambda v: isinstance(v, str) and v in options)


def _at_least_one(value: Any) -> bool:
    return is_whole(value) and value >= 1


def _not_negative(value: Any) -> bool:
    return is_whole(value) and value >= 0


def _is_border(value: Any) -> bool:
    if isinstance(value, str):
        return value in ("valid", "same")
    return _not_negative(value) or several(value, 2, lambda ends: several(ends, 2, _not_negative))


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


ANYTHING = Kind("anything", lambda v: True)
NUMBER = Kind("a finite number", is_number)
REAL = Kind("a number", lambda v: isinstance(v, int | float | np.integer | np.floating) and not isinstance(v, bool))
NOT_NEGATIVE = Kind("a number, 0 or more", lambda v: is_number(v) and v >= 0)
SHARE = Kind("a number from 0 to 1", lambda v: is_number(v) and 0 <= v <= 1)
SHARE_BELOW_1 = Kind("a number from 0 to below 1", lambda v: is_number(v) and 0 <= v < 1)
FLAG = Kind("True or False", _is_flag)
TWO_FLAGS = Kind("two of True and False", lambda v: several(v, 2, _is_flag))
COUNT = Kind("a whole number above 0", _at_least_one)
PAIR = Kind("a whole number above 0, or two of them", lambda v: _at_least_one(v) or several(v, 2, _at_least_one))
BORDER = Kind("'valid', 'same', a number or ((top, bottom), (left, right))", _is_border)
AXIS = Kind("a whole number", is_whole)
AXES = Kind("a whole number or a tuple of them", lambda v: is_whole(v) or several(v, None, is_whole))

# ---- a requirement that several ops have -----------------------------------------------------------------------------


def one_shape(*arrays: Any, **constants: Any) -> None:
    """ValueError unless all arrays have one shape: where the equation is elementwise, and broadcasting would be a mistake."""
    if any(a.shape != arrays[0].shape for a in arrays):
        raise ValueError(f"arrays have shapes {', '.join(str(a.shape) for a in arrays)}, expected equal ones")


# ---- arrays, by the text of `shapes` ---------------------------------------------------------------------------------

_KINDS = {"bool": "b", "int": "iu", "number": "biuf"}
_WORDS = {"bool": "bool", "int": "integers", "number": "numbers"}
_ARRAY = re.compile(r"(\w+)(?: (bool|int|number)(?:<(\w+))?)? \(([^)]*)\)")
_SIZE = re.compile(r"(\d*)([^\W\d]\w*)?")


class Axes(NamedTuple):
    """An array's entry in `shapes`: "w (D,3U)" or "ids int<V (...)"."""

    name: str
    kind: str  # of a constant; "" if none is stated
    below: str  # the size that integers stay below, or ""
    dims: tuple[str, ...]  # as they are written
    free: bool  # begins with ...: any number of axes
    first: bool  # (first of ...)
    sizes: tuple[tuple[int, str] | None, ...]  # of the last axes, those after ...: 3U is (3, "U"), 2 is (2, "")


def parse_shapes(shapes: str) -> dict[str, Axes]:
    """The entries of the arrays before the arrow.

    >>> parse_shapes("w (D,3U), ids int<V (...) -> y")["w"].sizes
    ((1, 'D'), (3, 'U'))
    """
    return {entry[0]: _axes(*entry) for entry in _ARRAY.findall(shapes.split("->")[0])}


def _axes(name: str, kind: str, below: str, text: str) -> Axes:
    dims = tuple(text.replace(" ", "").strip(",").split(",")) if text.strip(" ,") else ()
    first, free = text == "first of ...", dims[:1] == ("...",)
    named = () if first or "..." in dims[1:] else tuple(map(_size, dims[free:]))
    return Axes(name, kind, below, (text,) if first else dims, free, first, named)


def _size(dim: str) -> tuple[int, str] | None:
    """ "3U" -> (3, "U"), "2" -> (2, ""); None for what is not checked, as "C/groups"."""
    found = _SIZE.fullmatch(dim)
    return (int(found[1] or 1), found[2] or "") if found and dim else None


class Arguments:
    """What one op accepts.

    Arguments: op's name; signature of its forward; shapes and constants as the op states them.
    """

    def __init__(self, name: str, signature: inspect.Signature, shapes: str, constants: Mapping[str, Kind]):
        self.name, self.signature, parameters = name, signature, signature.parameters.values()
        positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self.names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
        self.any_number = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.any_constant = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self.optional = {p.name for p in parameters if p.default is None}
        self.required = sum(p.default is p.empty for p in positional)
        keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
        self.constants = frozenset(p.name for p in keywords)
        self.required_constants = frozenset(p.name for p in keywords if p.default is p.empty)
        entries = parse_shapes(shapes)
        self.arrays = [entries.get(n) or _axes(n, "", "", "...") for n in self.names]
        self.array_constants = {n: entries[n] for n in self.constants if n in entries}
        self.kinds = dict(constants)

    def bind(self, arrays: tuple, constants: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        """Arrays that were given by name, put where they belong; TypeError for a name that the op does not have."""
        for key in constants:
            if key not in self.signature.parameters and not self.any_constant:
                raise TypeError(f"{self.name} has no argument {key!r}{did_you_mean(key, self.signature.parameters)}")
        try:
            bound = self.signature.bind(*arrays, **constants)
        except TypeError as error:
            raise TypeError(f"{self.name}: {error}") from None
        return bound.args, bound.kwargs

    def check(self, arrays: tuple, constants: Mapping[str, Any]) -> Mapping[str, Any]:
        """Check all arguments.

        Returns: the constants: arrays as arrays, numbers as Python's, whatever they were given as.
        Raises: TypeError for another kind or number of arguments, ValueError for another shape, `OutOfRange` for ids.
        """
        if not constants.keys() <= self.constants and not self.any_constant:
            self.bind(arrays, dict(constants))  # says what is wrong
            raise TypeError(f"{self.name}: {', '.join(constants.keys() - self.constants)} must be given by position")
        if not self.required_constants <= constants.keys():
            raise TypeError(f"{self.name} needs {', '.join(sorted(self.required_constants - constants.keys()))}")
        sizes = self.check_arrays(arrays)
        for name, value in constants.items():
            if value is None and name in self.optional:
                continue
            if name in self.array_constants:
                array = self._check_constant(self.array_constants[name], value, sizes)
                if array is not value:
                    constants = {**constants, name: array}
            elif name in self.kinds:
                kind = self.kinds[name]
                if not kind.holds(value):
                    raise _error_of(value)(f"{self.name}: {name}={value!r}: expected {kind.words}")
                if type(value) not in _PLAIN and kind is not ANYTHING and (plain := _plain(value)) is not value:
                    constants = {**constants, name: plain}
        return constants

    def check_arrays(self, arrays: tuple) -> dict[str, Any]:
        """Check the arrays alone; the sizes that their shapes give to names."""
        entries = self.arrays * len(arrays) if self.any_number else self.arrays
        if not self.required <= len(arrays) <= len(entries):
            raise TypeError(f"{self.name} takes {len(self.names)} arrays ({', '.join(self.names)}), got {len(arrays)}")
        sizes: dict[str, Any] = {}
        for entry, a in zip(entries, arrays, strict=False):
            if a is None and entry.name in self.optional:
                continue
            dtype = getattr(a, "dtype", None)
            if dtype is None or dtype.kind not in "fc":
                kind = type(a).__name__ if dtype is None else dtype
                expected = "expected float32 or float64: convert with .astype('float32')"
                raise TypeError(f"{self.name}: {entry.name} is {kind}, {expected}")
            if type(a) is not np.ndarray:
                self._refuse_other_arithmetic(entry, a)
            self._fit(entry, a.shape, sizes)
        return sizes

    def _refuse_other_arithmetic(self, entry: Axes, a: Any) -> None:
        """TypeError for NumPy's matrices, whose * is a matrix product, and masked arrays, whose mask nothing here knows."""
        if isinstance(a, np.matrix | np.ma.MaskedArray):
            raise TypeError(f"{self.name}: {entry.name} is a {type(a).__name__}: give np.asarray(x), or x.filled(value)")

    def _check_constant(self, entry: Axes, value: Any, sizes: dict[str, Any]) -> Any:
        """A constant as an array, if kind, shape and range are as stated."""
        value = value.data if hasattr(value, "record") else value  # a Tensor's array
        array = value if hasattr(value, "dtype") and hasattr(value, "shape") else np.asarray(value)
        self._refuse_other_arithmetic(entry, array)
        many = entry.name.endswith("s")  # ids, labels
        if entry.kind and array.dtype.kind not in _KINDS[entry.kind]:
            raise TypeError(f"{self.name}: {entry.name} {'are' if many else 'is'} {array.dtype}, expected {_WORDS[entry.kind]}")
        self._fit(entry, array.shape, sizes)
        if entry.below and array.size and not on_device(array):  # a GPU's kernels look for themselves, without waiting
            low, high, most = int(array.min()), int(array.max()), sizes[entry.below] - 1
            if low < 0 or high > most:
                reach = "reach" if many else "reaches"
                raise OutOfRange(f"{self.name}: {entry.name} {reach} from {low} to {high}, expected 0 to {most}")
        return array

    def _fit(self, entry: Axes, shape: tuple[int, ...], sizes: dict[str, Any]) -> None:
        """ValueError unless the shape fits the sizes that are known; `sizes` learns new ones."""
        rank, named = len(shape), len(entry.sizes)
        if entry.first:
            fits = shape == sizes["..."][:rank]
        elif entry.free:
            fits = rank >= named
            if fits and entry.name not in self.constants:
                sizes.setdefault("...", shape[: rank - named])  # arrays may broadcast
            elif fits and "..." in sizes:
                fits = shape[: rank - named] == sizes["..."]
        else:
            fits = rank == len(entry.dims) or ("..." in entry.dims and rank >= len(entry.dims) - 1)
        if fits:
            for axis, size in enumerate(entry.sizes, rank - named):
                if size is not None and not _agree(shape[axis], *size, sizes):
                    fits = False
                    break
        if not fits:
            known = ", ".join(f"{d}={n}" for d, n in sizes.items() if any(d in dim for dim in entry.dims))
            wanted = f"({','.join(entry.dims)})" + (f" with {known}" if known else "")
            raise ValueError(f"{self.name}: {entry.name} has shape {tuple(shape)}, expected {wanted}")


class OutOfRange(IndexError, ValueError):
    """An id or a class number that its table or its classes do not have."""


def _agree(length: int, factor: int, symbol: str, sizes: dict[str, Any]) -> bool:
    """Whether an axis of that length is factor times the symbol's size, which it determines if it is the first."""
    if not symbol:
        return length == factor
    if symbol not in sizes:
        if length % factor:
            return False
        sizes[symbol] = length // factor
    return length == factor * sizes[symbol]


_PLAIN = {bool, int, float, str, type(None)}


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's, lists as tuples: a uint8 overflows in sums, a float64 makes float32 arrays float64."""
    if isinstance(value, tuple | list):
        parts = tuple(map(_plain, value))
        return value if type(value) is tuple and all(map(operator.is_, parts, value)) else parts
    return value.item() if isinstance(value, np.generic) else value


def _error_of(value: Any) -> type[Exception]:
    """ValueError for a number or a word that is out of place, TypeError for another kind of thing."""
    return ValueError if isinstance(value, int | float | str | tuple | list | np.number) else TypeError
