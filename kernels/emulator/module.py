"""Modules and launches: CuPy's RawModule and its kernels, on NumPy arrays.

    module = load_module("saxpy.cu", defines={"TILE": 16})
    saxpy = module.get_function("saxpy")
    saxpy((4,), (256,), (np.int32(n), np.float32(a), x, y))

What a GPU would silently get wrong is an error here: a wrong number of arguments, a float64 array for a `float*`, a Python
float (which CuPy passes as a double) for a `float`, more threads or shared memory than the hardware has. A structure is
passed as CuPy takes it: a NumPy array of size one, with the structure's members as fields.
"""

from __future__ import annotations

import ctypes
import math
import os
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from tinydx_kernels.emulator import abi
from tinydx_kernels.emulator.build import build, preprocess
from tinydx_kernels.emulator.counters import LineCounter, by_line
from tinydx_kernels.emulator.findings import Describer, Finding, KernelError, Place
from tinydx_kernels.emulator.library import Library, Variable
from tinydx_kernels.emulator.source import Parameter, Source

MAX_THREADS = 1024
MAX_BLOCK = (1024, 1024, 64)
MAX_GRID = (2**31 - 1, 65535, 65535)
SHARED = 48 << 10  # bytes that a block has by default
SHARED_OPT_IN = 227 << 10  # bytes that a block may have on request, on an H100
ACCESS_LIMIT = 50_000_000  # accesses of a block until a thread must reach a barrier or its end, else it counts as endless

_lock = threading.Lock()  # the runtime keeps one launch in global variables
_profiles: list[list[Launch]] = []  # those that `profile` is collecting


class Launch(NamedTuple):
    """A launch that ran without mistakes. counters: a row for each line of the kernel that accesses memory."""

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    counters: list[LineCounter]


@contextmanager
def profile() -> Iterator[list[Launch]]:
    """Collect the checked launches of a block of code with their counters: `with profile() as launches: ...`."""
    launches: list[Launch] = []
    _profiles.append(launches)
    try:
        yield launches
    finally:
        _profiles.remove(launches)


def load_module(
    path_or_source: str | os.PathLike,
    defines: Mapping[str, object] | None = None,
    checked: bool = True,
    seed: int = 0,
    allow_divergent_barriers: bool = False,
) -> Module:
    """Compile a .cu file (or a text) for the CPU.

    Arguments: path_or_source; defines, as by -D NAME=VALUE; checked, whether every access is checked (False is fast, but then
    a wrong kernel can crash Python); seed of the order in which threads run; allow_divergent_barriers, whether threads may
    wait at different barriers, or return before one, as hardware tolerates.
    Returns: a Module.
    Raises: SourceError (a ValueError) where the file is wrong; OSError where g++ is missing.
    """
    source = preprocess(path_or_source, defines or {})
    return Module(source, Library(build(source, checked), source.name), checked, seed, allow_divergent_barriers)


class Module:
    """A compiled .cu file, as load_module returns it."""

    def __init__(self, source: Source, library: Library, checked: bool, seed: int, allow_divergent_barriers: bool):
        self.source, self.library = source, library
        self.checked, self.seed = checked, seed
        self.allow_divergent_barriers = allow_divergent_barriers

    def get_function(self, name: str) -> Kernel:
        """The kernel of that name. Raises LookupError if there is none."""
        if name not in self.source.kernels:
            raise LookupError(f"{self.source.name} has no kernel {name!r}: it has {', '.join(self.source.kernels)}")
        return Kernel(self, name)

    def get_global(self, name: str) -> np.ndarray:
        """The bytes of a `__device__` or `__constant__` variable, as a writable array (bytes,), uint8."""
        for v in self.library.variables:
            if v.name == name and not v.shared:
                return np.ctypeslib.as_array((ctypes.c_uint8 * v.bytes).from_address(self.library.start + v.offset))
        raise LookupError(f"{self.source.name} has no variable {name!r}")


class Kernel:
    """A kernel, which is called as in CuPy: `kernel(grid, block, args, shared_mem=0)`."""

    def __init__(self, module: Module, name: str):
        self.module, self.name = module, name
        self.signature = module.source.kernels[name]
        self.entry = module.library.entry(name)
        others = module.source.kernels.keys() - {name}
        self.variables = [v for v in module.library.variables if not (v.shared and v.kernel in others)]
        self.shared_size_bytes = sum(v.bytes for v in self.variables if v.shared)
        self.max_dynamic_shared_size_bytes = SHARED - self.shared_size_bytes

    def __call__(self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], shared_mem: int = 0) -> Launch:
        """Run the kernel. Raises KernelError with the checker's findings."""
        grid3, block3 = _three(grid), _three(block)
        wrong = [*self._wrong_shape(grid3, block3, shared_mem), *self._wrong_arguments(args)]
        if wrong:
            raise KernelError([Finding(kind, f"{self.name}: {text}", self.module.source.name) for kind, text in wrong])
        by_value = [p.struct is not None for p in self.signature.parameters]
        arguments = Arguments([a.reshape(-1)[0] if of_struct else a for a, of_struct in zip(args, by_value, strict=True)])
        with _lock:
            raw = self._run(grid3, block3, arguments, shared_mem)
        launch = self._result(raw, grid3, block3, arguments)
        for launches in _profiles:
            launches.append(launch)
        return launch

    def _wrong_shape(self, grid: tuple, block: tuple, shared_mem: int) -> Iterator[tuple[str, str]]:
        threads = math.prod(block)
        if min(grid + block) < 1:
            yield "launch", f"grid {grid} and block {block} must be at least 1 in each direction"
        for what, sizes, limits in (("grid", grid, MAX_GRID), ("block", block, MAX_BLOCK)):
            if any(size > limit for size, limit in zip(sizes, limits, strict=True)):
                yield "launch", f"{what} {sizes} is larger than {limits}, the most there can be"
        if threads > MAX_THREADS:
            yield "launch", f"{threads} threads in a block, at most {MAX_THREADS} can be"
        limit = self.signature.max_threads
        if limit and threads > limit:
            yield "launch", f"{threads} threads in a block, but __launch_bounds__ promises at most {limit}"
        if self.shared_size_bytes > SHARED:
            yield "launch", f"{self.shared_size_bytes} bytes of static __shared__ memory, at most {SHARED} can be"
        elif shared_mem + self.shared_size_bytes > SHARED_OPT_IN:
            yield "launch", f"{shared_mem + self.shared_size_bytes} bytes of shared memory, at most {SHARED_OPT_IN} can be"
        elif shared_mem > self.max_dynamic_shared_size_bytes:
            yield "launch", f"{shared_mem} bytes of dynamic shared memory: set kernel.max_dynamic_shared_size_bytes first"

    def _wrong_arguments(self, args: Sequence[Any]) -> Iterator[tuple[str, str]]:
        parameters = self.signature.parameters
        if len(args) != len(parameters):
            yield "argument", f"{len(args)} arguments for {len(parameters)} parameters ({', '.join(p.name for p in parameters)})"
            return
        for p, value in zip(parameters, args, strict=True):
            if reason := _mismatch(p, value):
                yield "argument", f"{p.name} is a {p.declared}, but {reason}"

    def _run(self, grid: tuple, block: tuple, arguments: Arguments, shared_mem: int) -> abi.Launch:
        module, library = self.module, self.module.library
        arguments.before()
        elements = (_element(self._itemsize(v)) for v in self.variables)
        variables = [
            abi.Variable(library.start + v.offset, v.bytes, size, v.shared)
            for v, size in zip(self.variables, elements, strict=True)
        ]
        request = abi.Launch(
            kernel=self.entry, checked=module.checked, allow_divergent_barriers=module.allow_divergent_barriers,
            seed=module.seed, access_limit=ACCESS_LIMIT, grid=grid, block=block, dynamic_shared=shared_mem,
            dynamic_element=_element(module.source.dynamic_itemsize), module=library.start, module_bytes=library.bytes,
            arrays=_c_array(abi.Array, arguments.arrays), array_count=len(arguments.arrays),
            parameters=_c_array(abi.Parameter, arguments.parameters), parameter_count=len(arguments.parameters),
            variables=_c_array(abi.Variable, variables), variable_count=len(variables),
            findings=(abi.Finding * abi.MAX_FINDINGS)(), finding_room=abi.MAX_FINDINGS,
            counters=(abi.Counter * abi.MAX_COUNTERS)(), counter_room=abi.MAX_COUNTERS,
        )  # fmt: skip
        if library.dll.tinydx_launch(ctypes.byref(request)):
            raise MemoryError(f"{self.name}: not enough memory for its arrays and their shadow memory")
        arguments.after()
        return request

    def _result(self, raw: abi.Launch, grid: tuple, block: tuple, arguments: Arguments) -> Launch:
        """The launch. Raises KernelError if there are findings; those of the same kind and lines count as one."""
        library = self.module.library
        findings, counters = raw.findings[: raw.finding_count], raw.counters[: raw.counter_count]
        addresses = {f.pc for f in findings} | {f.other_pc for f in findings} | {c.pc for c in counters}
        lines = library.lines(addresses - {0}) if addresses else {}
        places = self._places(arguments)
        describe = Describer(grid, block, lines, places)
        found: dict[tuple, Finding] = {}
        for f in map(describe, findings):
            if f.kind != "barrier-divergence" or f.line != f.other_line:  # one line can become two barriers by optimisation
                found.setdefault((f.kind, *sorted((f.line, f.other_line))), f)
        if found:
            raise KernelError(list(found.values()))
        return Launch(self.name, grid, block, by_line(counters, lines, places))

    def _places(self, arguments: Arguments) -> list[Place]:
        """The names of the runtime's regions: arrays, then variables, then the dynamic shared memory."""
        names = [p.name for p in self.signature.parameters]
        places = [Place("/".join(names[i] for i, _ in g.members), g.bytes, g.itemsize) for g in arguments.groups]
        for v in self.variables:
            places.append(Place(v.name, v.bytes, self._itemsize(v), self._shape(v)))
        return [*places, Place("dynamic shared memory", 1 << 20, self.module.source.dynamic_itemsize)]

    def _shape(self, v: Variable) -> tuple[int, ...]:
        return self.module.source.shapes.get(v.name, ()) if v.shared else ()

    def _itemsize(self, v: Variable) -> int:
        """The bytes of an element of a variable; 4 if its declaration could not be read."""
        shape = self._shape(v)
        return max(v.bytes // math.prod(shape), 1) if shape else 1 if v.bytes < 4 else 4


# ---- arguments -----------------------------------------------------------------------------------------------------


class Group:
    """Arguments whose memory overlaps: one region for the runtime."""

    def __init__(self, low: int, high: int):
        self.low, self.high = low, high
        self.members: list[tuple[int, np.ndarray]] = []
        self.unwritten: np.ndarray | None = None
        self.outside: np.ndarray | None = None

    @property
    def bytes(self) -> int:
        return self.high - self.low

    @property
    def itemsize(self) -> int:
        return min(a.itemsize for _, a in self.members)

    def mark_gaps(self) -> None:
        """Mark the bytes between the elements of strided arrays: a kernel must not access them."""
        if any(a.nbytes == self.bytes for _, a in self.members):
            return
        self.outside = np.ones(self.bytes, np.uint8)
        for _, a in self.members:
            start = self.outside[a.ctypes.data - self.low :]
            np.lib.stride_tricks.as_strided(start, (*a.shape, a.itemsize), (*a.strides, 1))[...] = 0


class Arguments:
    """The arguments of a launch, as the runtime takes them."""

    def __init__(self, args: Sequence[Any]):
        self.args = args
        self.groups = self._group()
        self.scalars: list[np.ndarray] = []  # kept alive
        self.parameters = [self._parameter(i, value) for i, value in enumerate(args)]
        self.arrays: list[abi.Array] = []

    def _group(self) -> list[Group]:
        spans = sorted((*np.lib.array_utils.byte_bounds(a), i) for i, a in enumerate(self.args) if isinstance(a, np.ndarray))
        groups: list[Group] = []
        for low, high, i in spans:
            high = high if self.args[i].size else low
            if not groups or low >= groups[-1].high or high == low:
                groups.append(Group(low, high))
            groups[-1].high = max(groups[-1].high, high)
            groups[-1].members.append((i, self.args[i]))
        for group in groups:
            group.mark_gaps()
        return groups

    def _parameter(self, i: int, value: Any) -> abi.Parameter:
        if isinstance(value, np.ndarray):
            number = next(n for n, g in enumerate(self.groups) if any(i == j for j, _ in g.members))
            return abi.Parameter(number, value.ctypes.data - self.groups[number].low, None)
        if value is None:
            return abi.Parameter(-1, 0, None)
        self.scalars.append(np.array(value))
        return abi.Parameter(-1, 0, self.scalars[-1].ctypes.data)

    def before(self) -> None:
        """Describe the arrays for the runtime, before a launch."""
        for group in self.groups:
            group.unwritten = _unwritten_bytes(group)
        self.arrays[:] = [
            abi.Array(g.low, g.bytes, _element(g.itemsize), _address(g.unwritten), _address(g.outside)) for g in self.groups
        ]

    def after(self) -> None:
        """Remember which elements of arrays made by `empty` have been written, after a launch."""
        for group in self.groups:
            _note_written(group)


def _mismatch(p: Parameter, value: Any) -> str | None:
    """Why a value cannot be passed for a parameter; None if it can."""
    array = isinstance(value, np.ndarray)
    if p.struct is not None:
        same = array and value.size == 1 and value.dtype == p.struct
        return None if same else f"the argument is {_name(value)}: pass a NumPy array of size one and dtype {_layout(p.struct)}"
    if p.pointer:
        if value is None:
            return None
        if not array:
            return f"the argument is {_name(value)}, no array"
        same = p.dtype is None or p.type == "void" or value.dtype == p.dtype
        return None if same else f"the array is {value.dtype}: convert it to {p.dtype}"
    if p.dtype is None:
        return "this structure cannot be passed: its members are not all numbers"
    if array or value is None:
        return f"the argument is {_name(value)}"
    passed = np.array(value).dtype if not isinstance(value, int) or isinstance(value, bool) else np.dtype(np.int64)
    if passed == p.dtype:
        return None
    by_cupy = "" if isinstance(value, np.generic) else f", which CuPy passes as {passed}"
    return f"the argument is {_name(value)}{by_cupy}: pass np.{p.dtype.name}(...)"


def _layout(struct: np.dtype) -> str:
    """[('n', 'int32'), ('rate', 'float32')]."""
    return str([(name, struct[name].name) for name in struct.names or ()])


def _name(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array ({value.dtype})"
    kind = type(value).__name__
    return f"np.{kind}" if isinstance(value, np.generic) else "None" if value is None else f"a Python {kind}"


def _three(size: Sequence[int] | int) -> tuple[int, int, int]:
    sizes = (size,) if isinstance(size, int) else tuple(map(int, size))
    if not 1 <= len(sizes) <= 3:
        raise ValueError(f"a grid or block has 1 to 3 sizes, not {len(sizes)}: {sizes}")
    return (*sizes, 1, 1)[:3]  # type: ignore[return-value]


def _c_array(kind: Any, items: Sequence[Any]) -> Any:
    return (kind * max(len(items), 1))(*items)


def _element(itemsize: int) -> int:
    """The bytes that the checker treats as one element: 1, 2 or 4."""
    return 4 if itemsize % 4 == 0 else 2 if itemsize % 2 == 0 else 1


def _address(a: np.ndarray | None) -> int | None:
    return None if a is None else a.ctypes.data


# ---- arrays that have not been written yet -----------------------------------------------------------------------------

_UNWRITTEN: dict[int, np.ndarray] = {}  # id of an array made by `empty` -> for each byte: 1 if it has not been written


def empty(shape: int | tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    """Like np.empty, but all bits are set (NaN), and a kernel that reads an element before it is written is a finding."""
    array: np.ndarray = np.empty(shape, dtype)
    array.reshape(-1).view(np.uint8)[...] = 255
    key = id(array)
    _UNWRITTEN[key] = np.ones(array.nbytes, np.uint8)
    weakref.finalize(array, _UNWRITTEN.pop, key, None)
    return array


def _owner(a: np.ndarray) -> np.ndarray:
    while isinstance(a.base, np.ndarray):
        a = a.base
    return a


def _unwritten_bytes(group: Group) -> np.ndarray | None:
    """For each byte of a group: 1 if it has not been written. Elements that the host wrote have bits that are not set."""
    owners = {id(o): o for o in (_owner(a) for _, a in group.members) if id(o) in _UNWRITTEN}
    if not owners:
        return None
    mask = np.zeros(group.bytes, np.uint8)
    for key, owner in owners.items():
        untouched = (owner.reshape(-1).view(np.uint8).reshape(-1, owner.itemsize) == 255).all(1)
        _UNWRITTEN[key] &= np.repeat(untouched, owner.itemsize)
        start = group.low - owner.ctypes.data
        mask[:] = _UNWRITTEN[key][start : start + group.bytes]
    return mask


def _note_written(group: Group) -> None:
    for owner in (_owner(a) for _, a in group.members):
        if id(owner) in _UNWRITTEN and group.unwritten is not None:
            start = group.low - owner.ctypes.data
            _UNWRITTEN[id(owner)][start : start + group.bytes] = group.unwritten
