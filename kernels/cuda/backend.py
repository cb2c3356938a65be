"""Where kernels run: on a GPU for CuPy arrays; on the CPU, emulated, for NumPy arrays. Launchers work for both.

    arrays           xp(a)    a program becomes a module by
    cupy.ndarray     cupy     cupy.RawModule: NVRTC compiles it for the GPU in this machine
    numpy.ndarray    numpy    tinydx_kernels.emulator: g++ compiles it, with every access checked; only inside `emulation()`

Only `missing` imports CuPy. Elsewhere a CuPy array means that CuPy has been imported already.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinydx_kernels.cuda.programs import Program, options

THREADS = 256  # of a block, where each thread computes one element
LARGEST = 2**31 - 1  # kernels index with 32 bits

_emulating = False


@contextmanager
def emulation() -> Iterator[None]:
    """Run the kernels on NumPy arrays, on the CPU, with every access checked. Slow: for tests and lessons."""
    global _emulating
    before, _emulating = _emulating, True
    try:
        yield
    finally:
        _emulating = before


def emulating() -> bool:
    """Whether the kernels currently accept NumPy arrays."""
    return _emulating


def missing() -> str | None:
    """Why no kernel can run on this machine, and what to do about it; or None."""
    if _emulating:
        return None
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed; pip install 'tinydx[cuda13]'"
    try:
        import cupy

        cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy raises exceptions of its own, for the driver and for missing libraries
        reason = " ".join(str(error).split())
        return f"no GPU can be used ({reason}); install NVIDIA's driver (nvidia-smi shows it), or leave use('cuda') out"
    return None


# ---- arrays --------------------------------------------------------------------------------------------------------


def xp(a: Any) -> Any:
    """The module that made an array: numpy or cupy."""
    return np if isinstance(a, np.ndarray) else sys.modules["cupy"]


def is_float32(*arrays: Any) -> bool:
    """Whether the kernels can take these arrays: float32, not empty, all on one device. None stands for a missing one."""
    kinds = {type(a) for a in arrays if a is not None}
    if kinds == {np.ndarray}:
        return _emulating and all(a is None or _fits(a) for a in arrays)
    return len(kinds) == 1 and _is_cupy(*kinds) and all(a is None or _fits(a) for a in arrays)


def _is_cupy(kind: type) -> bool:
    cupy = sys.modules.get("cupy")
    return cupy is not None and issubclass(kind, cupy.ndarray)


def _fits(a: Any) -> bool:
    return a.dtype == np.float32 and a.dtype.isnative and 0 < a.size <= LARGEST


def contiguous(a: Any) -> Any:
    """The array itself if it is in C order and its address is a multiple of 16 bytes (for float4 loads), else a copy."""
    address = a.ctypes.data if isinstance(a, np.ndarray) else a.data.ptr
    return a if a.flags.c_contiguous and address % 16 == 0 else xp(a).array(a, order="C")


# ---- launches ------------------------------------------------------------------------------------------------------


@functools.cache
def _gpu_module(program: Program) -> Any:
    return sys.modules["cupy"].RawModule(code=program.path.read_text(), options=options(program.defines))


@functools.cache
def _emulated_module(program: Program) -> Any:
    from tinydx_kernels import emulator

    return emulator.load_module(program.path, defines=dict(program.defines), checked=True)


def launch(program: Program, kernel: str, blocks: tuple[int, ...], threads: int | tuple[int, ...], *arguments: Any) -> None:
    """Run a kernel of a program.

    Arguments: blocks, threads, sizes of the grid and of a block; arguments, in the kernel's order: contiguous arrays, int
    for int, float for float, and for a struct a NamedTuple with the same fields.
    Raises: ValueError for an array that is not contiguous, OverflowError for an integer of more than 32 bits.
    """
    emulated = any(isinstance(a, np.ndarray) for a in arguments)
    module = _emulated_module(program) if emulated else _gpu_module(program)
    block = (threads,) if isinstance(threads, int) else threads
    module.get_function(kernel)(blocks, block, tuple(_argument(a) for a in arguments))


def _argument(a: Any) -> Any:
    """An argument as CuPy passes it. CuPy would pass Python's numbers as 64 bits, and a kernel would misread them."""
    if isinstance(a, int | np.integer):
        return np.int32(a)  # OverflowError beyond 31 bits
    if isinstance(a, float):
        return np.float32(a)
    if isinstance(a, tuple):
        return struct(a)
    if not a.flags.c_contiguous:
        raise ValueError(f"a kernel takes contiguous arrays, this one {a.shape} has strides {a.strides}: use contiguous()")
    return a


def struct(values: tuple) -> np.ndarray:
    """A NamedTuple of int and float fields as CuPy passes a struct by value: a NumPy array of size one.

    Raises: OverflowError for an integer of more than 32 bits.

    >>> class Line(typing.NamedTuple):
    ...     first: int
    ...     slope: float
    >>> struct(Line(3, 0.5))
    array([(3, 0.5)], dtype=[('first', '<i4'), ('slope', '<f4')])
    """
    kinds, dtype = _members(type(values))
    return np.array([tuple(kind(value) for kind, value in zip(kinds, values, strict=True))], dtype)


@functools.cache
def _members(fields: type) -> tuple[list[type], np.dtype]:
    """The Python types of a NamedTuple's fields, and its struct. All members have 4 bytes, so it has no padding."""
    types = typing.get_type_hints(fields)
    return list(types.values()), np.dtype([(name, {int: np.int32, float: np.float32}[kind]) for name, kind in types.items()])


def each(program: Program, kernel: str, size: int, *arguments: Any) -> None:
    """Run a kernel with one thread for each of `size` elements."""
    launch(program, kernel, (-(-size // THREADS),), THREADS, *arguments)
