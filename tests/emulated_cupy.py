"""CuPy without a GPU: arrays that are not NumPy's, kernels that run in the emulator, and a list of transfers to the CPU.

What matters is what it refuses, as CuPy does: np.asarray(a), a NumPy array in a computation with one of these arrays, and a
kernel launch on NumPy arrays. `reads` lists what CuPy allows although the CPU must wait for it: a.get(), float(a), `if a:`.
All computation goes through `_run`, so that a stream can capture it: the calls are recorded (their results become NaN, since
a capture runs nothing), and a graph runs them again into the same memory.

    monkeypatch.setitem(sys.modules, "cupy", emulated_cupy)          tinydx then finds a GPU
"""

import functools
import operator
import time
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

import tinydx  # noqa: F401 (so that tinydx_kernels is found)
from tinydx_kernels import emulator
from tinydx_kernels.cuda.programs import HERE

reads: list[str] = []  # transfers that made the CPU wait for the GPU
launches: list[str] = []  # kernels that ran, or were captured
waits: list[tuple] = []  # (stream, the stream for which it waits)
_captured: list | None = None  # [(function, arguments, keywords, result)] of the stream that is capturing

_METHODS = {
    *("all", "any", "argmax", "argsort", "astype", "copy", "fill", "max", "mean", "min", "prod", "ravel", "reshape"),
    *("squeeze", "sum", "swapaxes", "transpose", "var", "view"),
}
_FROM_HOST = {np.asarray, np.array}
_JOINING = {np.concatenate, np.stack}  # CuPy sends a list of addresses for more than 8 arrays


class ndarray(NDArrayOperatorsMixin):
    """An array on the GPU; `_memory` is the NumPy array behind it."""

    def __init__(self, memory):
        self._memory = memory

    shape, dtype, ndim, size = (property(lambda a, n=n: getattr(a._memory, n)) for n in ("shape", "dtype", "ndim", "size"))
    strides, flags, nbytes = (property(lambda a, n=n: getattr(a._memory, n)) for n in ("strides", "flags", "nbytes"))
    T, real = (property(lambda a, n=n: ndarray(getattr(a._memory, n))) for n in ("T", "real"))

    @property
    def data(self):
        return SimpleNamespace(ptr=self._memory.ctypes.data)

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    def __array_ufunc__(self, ufunc, method, *inputs, **keywords):
        out = keywords.pop("out", None)
        if out:
            keywords["out"] = out[0]
        return _run(getattr(ufunc, method), inputs, keywords)

    def __array_function__(self, function, types, arguments, keywords):
        return _run(function, arguments, keywords)

    def __getattr__(self, name):
        if name not in _METHODS:
            raise AttributeError(f"no {name} in the emulated CuPy")
        return lambda *arguments, **keywords: _run(operator.methodcaller(name, *arguments, **keywords), (self,), {})

    def __getitem__(self, key):
        return _run(lambda a, k: a[k], (self, key), {}, host=True)

    def __setitem__(self, key, value):
        _run(_store, (self, key, value), {})

    def __len__(self):
        return len(self._memory)

    # ---- transfers ----

    def get(self):
        if _captured is not None:
            raise RuntimeError("cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing")
        reads.append(f"{self.dtype} {self.shape}")
        return self._memory.copy()

    def set(self, values):
        assert type(values) is np.ndarray and values.dtype == self.dtype and values.shape == self.shape
        assert _captured is None, "a graph would repeat this copy from the CPU with the same values"
        self._memory[...] = values

    def item(self):
        return self.get().item()

    def tolist(self):
        return self.get().tolist()

    def __float__(self):
        return float(self.get())

    def __int__(self):
        return int(self.get())

    __index__ = __int__

    def __bool__(self):
        return bool(self.get())


def _store(a, key, value):
    a[key] = value


def _bare(value, host):
    """The NumPy array behind an array, also within lists. NumPy arrays are a TypeError unless `host` allows them."""
    if isinstance(value, ndarray):
        return value._memory
    if isinstance(value, np.ndarray):
        if not host:
            raise TypeError(f"Unsupported type {type(value)}")
        return value.copy("K")  # a GPU has a memory of its own
    if isinstance(value, list | tuple):
        return type(value)(_bare(v, host) for v in value)
    return value


def _wrapped(value):
    if isinstance(value, np.ndarray | np.generic):
        return ndarray(np.asarray(value))
    if isinstance(value, list | tuple):
        return type(value)(_wrapped(v) for v in value)
    return value


def _run(function, arguments, keywords, host=False):
    """Compute, and record the call if a stream is capturing."""
    from_host = host or function in _FROM_HOST
    if function in _JOINING and _captured is not None and len(arguments[0]) > 8:
        raise RuntimeError("a graph would read the addresses of these arrays from memory that is free by then")
    if from_host and _captured is not None and any(isinstance(a, np.ndarray) for a in arguments):
        raise RuntimeError("a graph would repeat this copy from the CPU with the same values")
    arguments, keywords = _bare(tuple(arguments), from_host), {k: _bare(v, False) for k, v in keywords.items()}
    result = function(*arguments, **keywords)
    if isinstance(result, np.generic):
        result = np.asarray(result)
    if _captured is not None:
        _captured.append((function, arguments, keywords, result))
    return _wrapped(result)


# ---- the module's functions --------------------------------------------------------------------------------------------


def _function(f):
    return lambda *arguments, **keywords: _run(f, arguments, keywords)


float32 = np.float32
array, asarray, zeros, ones, concatenate, broadcast_to, argsort, stack, where, matmul = map(
    _function,
    (np.array, np.asarray, np.zeros, np.ones, np.concatenate, np.broadcast_to, np.argsort, np.stack, np.where, np.matmul),
)


def empty(shape, dtype=np.float32):
    """NaN, and the emulator's checker knows that nothing has been written."""
    memory = emulator.empty(shape, dtype)
    if _captured is not None:
        _captured.append((lambda: memory, (), {}, memory))
    return ndarray(memory)


# ---- kernels -----------------------------------------------------------------------------------------------------------


@functools.cache
def _module(code, options):
    defines = dict(o[2:].split("=") for o in options if o.startswith("-D"))
    path = next((p for p in HERE.glob("*.cu") if p.read_text() == code), code)  # the checker's messages name the file
    return emulator.load_module(path, defines=defines)


class RawModule:
    def __init__(self, code, options):
        self.module = _module(code, options)

    def get_function(self, name):
        kernel = self.module.get_function(name)

        def launch(blocks, threads, arguments):
            structs = {i: a.copy() for i, a in enumerate(arguments) if isinstance(a, np.ndarray)}  # passed by value
            assert all(a.size == 1 and a.dtype.names for a in structs.values()), "a kernel takes arrays of the GPU"
            assert not any(isinstance(a, np.void) for a in arguments), "CuPy passes structs as arrays of size one only"
            launches.append(name)
            others = [a for i, a in enumerate(arguments) if i not in structs]
            _run(functools.partial(_launch, kernel, blocks, threads, structs), others, {})

        return launch


def _launch(kernel, blocks, threads, structs, *others):
    arguments = list(others)
    for i, value in sorted(structs.items()):
        arguments.insert(i, value)
    kernel(blocks, threads, arguments)


# ---- streams, graphs, memory -------------------------------------------------------------------------------------------


class Stream:
    """All calls run immediately, so there is nothing to wait for; `waits` lists which streams wait for which."""

    def __init__(self, non_blocking=False):
        self.non_blocking = non_blocking

    def __enter__(self):
        _streams.append(self)
        return self

    def __exit__(self, *exc):
        _streams.pop()

    def record(self):
        return self  # the event: this moment of this stream

    def wait_event(self, event):
        waits.append((self, event))

    def synchronize(self):
        pass

    def begin_capture(self):
        global _captured
        assert self.non_blocking, "any use of the default stream would end this capture"
        _captured = []

    def end_capture(self):
        global _captured
        calls, _captured = _captured, None
        return Graph(calls)


_streams = [Stream()]  # the default stream, and those entered since


class Graph:
    def __init__(self, calls):
        self.calls = calls
        for result in self._results():  # a capture runs nothing: its results must not be used
            if result.dtype.kind == "f":
                result.fill(np.nan)

    def _results(self):
        """The arrays that the calls allocated."""
        return [r for f, a, _, r in self.calls if isinstance(r, np.ndarray) and not any(_shares(r, v) for v in a)]

    def launch(self):
        for function, arguments, keywords, result in self.calls:
            new = function(*arguments, **keywords)
            for old, values in zip(_several(result), _several(new), strict=True):
                if (
                    isinstance(old, np.ndarray) and old.flags.writeable
                ):  # else it is a view of an array that has been written already
                    old[...] = values


def _several(value):
    return value if isinstance(value, list | tuple) else [value]


def _shares(result, value):
    return any(isinstance(v, np.ndarray) and np.shares_memory(result, v) for v in _several(value))


class MemoryPool:
    def malloc(self, size):
        raise NotImplementedError

    def free_all_blocks(self):
        pass


@contextmanager
def _using_allocator(malloc):
    yield


def get_default_memory_pool():
    return MemoryPool()


get_default_pinned_memory_pool = get_default_memory_pool


class Event:
    """A moment of the CPU's clock."""

    def record(self):
        self.at = time.perf_counter()


class CUDARuntimeError(RuntimeError):
    pass


runtime = SimpleNamespace(
    CUDARuntimeError=CUDARuntimeError,
    getDeviceCount=lambda: 1,
    getDeviceProperties=lambda number: {"name": b"emulated"},
    driverGetVersion=lambda: 0,
)
__version__ = "emulated"
cuda = SimpleNamespace(
    Device=lambda: SimpleNamespace(attributes={"L2CacheSize": 1 << 10}, synchronize=lambda: None),
    Event=Event,
    get_elapsed_time=lambda begin, end: 1e3 * (end.at - begin.at),
    nvrtc=SimpleNamespace(getVersion=lambda: (0, 0)),
    Stream=Stream,
    get_current_stream=lambda: _streams[-1],
    MemoryPool=MemoryPool,
    using_allocator=_using_allocator,
    alloc_pinned_memory=bytearray,
    runtime=runtime,
)
