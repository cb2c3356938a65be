"""Where kernels run: on a GPU if the arrays are CuPy's, on the CPU, emulated, if they are NumPy's. Launchers do not care.

    arrays           xp(a)    a program becomes a module by
    cupy.ndarray     cupy     cupy.RawModule: NVRTC, for the GPU at hand
    numpy.ndarray    numpy    tinydx_kernels.emulator: g++, with the checker on; only inside `emulation()`

CuPy is never imported here just to look for it: who has a CuPy array has imported it.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinydx_kernels.cuda.programs import HERE, Program

THREADS = 256  # of a block, where a thread makes one number
LARGEST = 2**31 - 1  # kernels count in 32 bits

_emulating = False


@contextmanager
def emulation() -> Iterator[None]:
    """Within it the kernels take NumPy arrays, too, and run on the CPU under the checker: slowly, for tests and lessons."""
    global _emulating
    before, _emulating = _emulating, True
    try:
        yield
    finally:
        _emulating = before


def emulating() -> bool:
    """Whether the kernels take NumPy arrays now."""
    return _emulating


def missing() -> str | None:
    """Why no kernel can run here, and what to do about it; or None."""
    if _emulating:
        return None
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed; pip install 'tinydx[cuda13]'"
    try:
        import cupy

        cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy raises its own kinds, from the driver or from missing libraries
        reason = " ".join(str(error).split())
        return f"no GPU can be used ({reason}); install NVIDIA's driver (nvidia-smi shows it), or leave use('cuda') out"
    return None


# ---- arrays --------------------------------------------------------------------------------------------------------


def xp(a: Any) -> Any:
    """The module whose array this is: numpy or cupy."""
    return np if isinstance(a, np.ndarray) else sys.modules["cupy"]


def is_float32(*arrays: Any) -> bool:
    """Whether the kernels can take all these arrays (None aside): float32, not empty, all here or all on the GPU."""
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
    """The array itself if it lies in C order and begins where four floats can be read at once, else a copy."""
    address = a.ctypes.data if isinstance(a, np.ndarray) else a.data.ptr
    return a if a.flags.c_contiguous and address % 16 == 0 else xp(a).array(a, order="C")


# ---- launches ------------------------------------------------------------------------------------------------------


@functools.cache
def _gpu_module(program: Program) -> Any:
    options = ("--std=c++17", f"-I{HERE}", *(f"-D{key}={value}" for key, value in program.defines))
    return sys.modules["cupy"].RawModule(code=program.path.read_text(), options=options)


@functools.cache
def _emulated_module(program: Program) -> Any:
    from tinydx_kernels import emulator

    return emulator.load_module(program.path, defines=dict(program.defines), checked=True)


def launch(program: Program, kernel: str, blocks: tuple[int, ...], threads: int | tuple[int, ...], *arguments: Any) -> None:
    """Run a kernel: contiguous arrays, whole numbers (int there) and real numbers (float there).

    CuPy would hand over Python's numbers as 64-bit ones, of which a kernel reads the first half: so none gets through.
    """
    emulated = any(isinstance(a, np.ndarray) for a in arguments)
    module = _emulated_module(program) if emulated else _gpu_module(program)
    block = (threads,) if isinstance(threads, int) else threads
    module.get_function(kernel)(blocks, block, tuple(_argument(a) for a in arguments))


def _argument(a: Any) -> Any:
    if isinstance(a, int | np.integer):
        return np.int32(a)  # OverflowError beyond 31 bits
    if isinstance(a, float):
        return np.float32(a)
    if not a.flags.c_contiguous:
        raise ValueError(f"a kernel takes contiguous arrays, this one {a.shape} has strides {a.strides}: use contiguous()")
    return a


def each(program: Program, kernel: str, size: int, *arguments: Any) -> None:
    """Run a kernel with one thread for each of `size` numbers."""
    launch(program, kernel, (-(-size // THREADS),), THREADS, *arguments)
