"""One program on several processes: every process, a rank, computes a share of each batch, and all keep the same weights.

    mpirun -n 4 tinydx diagnose              the command; the report comes once
    mpirun -n 4 python program.py            a program, which begins with

        from tinydx import distributed
        distributed.start()

    world.py      how the ranks begin, meet, fail and end together
    sharing.py    shares of a batch, and the means over them
    nccl.py       sums of arrays on GPUs

Only the first rank prints, and only it writes files. Without mpirun nothing of this happens, and mpi4py is not imported.
docs/scale.md says how it is used, what it costs, and what differs from one process.
"""

from tinydx.distributed.sharing import check_alike, mean_over_ranks, own_numbers, share
from tinydx.distributed.world import any_rank, as_command, as_one, by_first, in_turn, is_first, rank, size, start

__all__ = [
    "any_rank",
    "as_command",
    "as_one",
    "by_first",
    "check_alike",
    "in_turn",
    "is_first",
    "mean_over_ranks",
    "own_numbers",
    "rank",
    "share",
    "size",
    "start",
]
