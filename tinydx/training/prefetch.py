"""Prefetching: the next batch is copied to the GPU while a training step computes; the copy can take as long as the step."""

from __future__ import annotations

import functools
import threading
from typing import Any

import numpy as np

from tinydx.training import placement


class Prefetcher:
    """Copies arrays to the GPU while it computes.

    The GPU can fetch an array by itself only from pinned memory, which the system does not move; so arrays are copied there
    first, and sent on a stream of their own, for which the computation does not wait. Arrays sent are kept until the next
    ones are on their way, and their memory is used again for those after: by then the step that took them is complete.
    """

    def __init__(self) -> None:
        import cupy

        self.stream = cupy.cuda.Stream(non_blocking=True)
        self.sent: list[tuple[Any, Any, Any, Any]] = []  # (array, its pinned copy, its copy on the GPU, event: it has arrived)

    def send(self, x: Any) -> None:
        """Start to copy an input, or each of several."""
        self.sent = [(a, *self._send(a)) for a in placement.as_list(x) if isinstance(a, np.ndarray) and a.size]

    def _send(self, a: np.ndarray) -> tuple[Any, Any, Any]:
        import cupy

        memory = cupy.cuda.alloc_pinned_memory(a.nbytes)
        pinned = np.frombuffer(memory, a.dtype, a.size).reshape(a.shape)
        pinned[...] = a
        with self.stream:
            on_gpu = cupy.empty(a.shape, a.dtype)
            on_gpu.set(pinned)
            return pinned, on_gpu, self.stream.record()

    def take(self, a: Any) -> Any:
        """The copy on the GPU if this array was sent, for use on the computation's stream; otherwise the array itself."""
        for original, _, on_gpu, arrived in self.sent:
            if original is a:
                placement.stream().wait_event(arrived)
                return on_gpu
        return a


def prefetcher() -> Prefetcher:
    """The prefetcher of this thread: another thread's training would let go of arrays that are still on their way."""
    return _of_thread(threading.get_ident())


@functools.cache
def _of_thread(thread: int) -> Prefetcher:
    return Prefetcher()
