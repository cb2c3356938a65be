"""Sums of arrays over the GPUs of all ranks, by NCCL: each rank has a GPU of its own.

The sum is launched on the stream of the computation, like a kernel. MPI only carries the number by which GPUs find each other.
"""

from __future__ import annotations

from typing import Any

from tinydx.distributed.world import World

_connections: dict[int, Any] = {}  # by the id of the ranks


def sum_on_gpus(ranks: World, array: Any) -> None:
    """Add up a contiguous array (n,) on the GPU over all ranks, in place."""
    import cupy
    from cupy.cuda import nccl

    if id(ranks) not in _connections:
        _connections[id(ranks)] = _connect(ranks, cupy, nccl)
    kind = {"float32": nccl.NCCL_FLOAT32, "float64": nccl.NCCL_FLOAT64}[str(array.dtype)]
    address, stream = array.data.ptr, cupy.cuda.get_current_stream().ptr
    _connections[id(ranks)].allReduce(address, address, array.size, kind, nccl.NCCL_SUM, stream)


def _connect(ranks: World, cupy: Any, nccl: Any) -> Any:
    """The connection of this rank's GPU with those of the others."""
    number = ranks.comm.bcast(nccl.get_unique_id() if ranks.rank == 0 else None)
    return nccl.NcclCommunicator(ranks.size, number, ranks.rank)
