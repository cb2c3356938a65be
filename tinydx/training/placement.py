"""Where a model computes: its weights, the optimizer's memory and its input move to one device, the CPU or a GPU."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tinydx import dispatch
from tinydx.device import on_device, to_device, to_host
from tinydx.layers.quantized import QuantizedKernel


@functools.cache
def stream() -> Any:
    """The CUDA stream of all computation. It does not wait for the default stream: that would end a capture."""
    import cupy

    return cupy.cuda.Stream(non_blocking=True)


@contextmanager
def computing() -> Iterator[None]:
    """Context in which the GPU computes on `stream`: after all that the caller's stream has, before what it gets next."""
    import cupy

    caller = cupy.cuda.get_current_stream()
    stream().wait_event(caller.record())
    try:
        with stream():
            yield
    finally:
        caller.wait_event(stream().record())


def move_to_device(model: Any, x: Any) -> bool:
    """Move weights and optimizer state to the chosen device; returns True for a GPU.

    An input on a GPU decides, then `use`, as with every op; where neither does, the model stays where it is.
    """
    if "cupy" not in sys.modules:
        return False
    first = next((w.codes if isinstance(w, QuantizedKernel) else w.data for w in model.weights), None)
    asked = dispatch.asked_for_device()
    on_gpu = on_device(as_list(x)[0]) or (on_device(first) if asked is None else asked)
    move = to_device if on_gpu else to_host
    for w in model.weights:
        if isinstance(w, QuantizedKernel):
            w.stored = {name: move(a) for name, a in w.stored.items()}
        else:
            w.data = move(w.data)
    if model.optimizer is not None:
        model.optimizer.slots = [[move(s) for s in slots] for slots in model.optimizer.slots]
    return on_gpu


@contextmanager
def on_same_device(model: Any, x: Any) -> Iterator[Any]:
    """Context in which the model and its input are on the same device: `with on_same_device(model, x) as x: y = model(x)`."""
    if not move_to_device(model, x):
        yield x
    else:
        with computing():
            yield each(to_device, x)


def free_memory() -> None:
    """Return unused GPU memory to the driver, so that other programs can have it: CuPy's pools would keep it."""
    if cupy := sys.modules.get("cupy"):
        cupy.get_default_memory_pool().free_all_blocks()
        cupy.get_default_pinned_memory_pool().free_all_blocks()


def as_list(x: Any) -> list[Any]:
    """The inputs as a list."""
    return x if isinstance(x, list) else [x]


def each(function: Callable[[Any], Any], x: Any) -> Any:
    """function(x), or the list of function(v) for several inputs."""
    return [function(v) for v in x] if isinstance(x, list) else function(x)
