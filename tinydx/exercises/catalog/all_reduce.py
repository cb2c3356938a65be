"""All-reduce: the ranks' gradients become one · 全归约

Each of P ranks has a gradient: the mean over its own rows of the batch. Write the mean over the whole batch, in which a rank
counts by its rows. Then write one step of the ring by which P ranks add up an array: it is cut into P parts, and in step t
every rank sends part (rank - t) mod P to the next rank. In the first P - 1 steps the receiver adds what comes, in the P - 1
steps after them it replaces its own.
"""

import numpy as np

from tinydx.exercises import Bug, Exercise, Values


def mean_gradient(gradients, rows):
    """gradients (P,D), rows (P,) of each rank -> g (D,), the gradient of the whole batch"""
    # solution
    return rows @ gradients / rows.sum()


def ring_step(parts, t):
    """parts (P,P,D), by rank and part, t from 0 to 2P - 3 -> new (P,P,D), after step t"""
    # solution
    new, ranks = parts.copy(), len(parts)
    for rank in range(ranks):
        part, receiver = (rank - t) % ranks, (rank + 1) % ranks
        kept = parts[receiver, part] if t < ranks - 1 else 0
        new[receiver, part] = kept + parts[rank, part]
    return new


# ---- the runner's part ---------------------------------------------------------------------------------------------


def whole_batch(gradients, rows):
    every_row = np.repeat(gradients, rows, axis=0)
    return every_row.mean(axis=0)


def shares(draw):
    rows = np.array([9 + draw.integer(1, 3), *(draw.integer(1, 4) for _ in range(draw.integer(2, 4)))])
    return draw.array(len(rows), draw.integer(3, 5)), rows


def ring_reference(parts, t):
    ranks = len(parts)
    came = np.roll(parts, 1, axis=0)
    new = parts.copy()
    for rank in range(ranks):
        part = (rank - 1 - t) % ranks
        new[rank, part] = came[rank, part] + (parts[rank, part] if t < ranks - 1 else 0)
    return new


def rings(draw):
    ranks = 4
    t = draw.choice([1, ranks - 1, ranks, ranks - 2])
    return draw.array(ranks, ranks, draw.integer(2, 3)), t


EXERCISE = Exercise(
    checks=[
        Values(mean_gradient, like=whole_batch, samples=shares, names=("g",)),
        Values(ring_step, like=ring_reference, samples=rings, names=("new",)),
    ],
    equation=r"g = \sum_{r=1}^{P} n_r g_r / n",
    shapes="gradients (P,D), rows (P,) -> g (D,); parts (P,P,D), t -> new (P,P,D)",
    source="Patarasuk and Yuan 2009",
    hints=(
        "A rank with 12 rows has seen 12 examples, one with 3 has seen 3. What must each mean be multiplied by to be a sum again?",
        "g sums rows times gradients over the ranks and divides by all rows. In the ring, every rank sends from `parts`, the old state.",
        "For each rank: part = (rank - t) % P, receiver = (rank + 1) % P; new[receiver, part] is what the rank has of it, "
        "plus the receiver's own where t < P - 1.",
    ),
    bugs=[
        Bug(
            "mean of the means",
            "rows @ gradients / rows.sum()",
            "gradients.mean(axis=0)",
            "The ranks have different numbers of rows: each mean counts by its rows.",
        ),
        Bug(
            "divided by the ranks",
            "/ rows.sum()",
            "/ len(rows)",
            "A sum over examples is divided by the number of examples, not by that of the ranks.",
        ),
        Bug(
            "never replaced",
            "parts[receiver, part] if t < ranks - 1 else 0",
            "parts[receiver, part]",
            "After P - 1 steps a part that comes is complete: it replaces, and is not added again.",
        ),
        Bug(
            "never added",
            "parts[receiver, part] if t < ranks - 1 else 0",
            "0",
            "In the first P - 1 steps the receiver adds its own part to the one that comes.",
        ),
        Bug(
            "always the same part",
            "(rank - t) % ranks",
            "rank",
            "In step t a rank passes on what came to it in step t - 1: part (rank - t) mod P.",
        ),
        Bug("ring the other way", "(rank + 1) % ranks", "(rank - 1) % ranks", "A rank sends to the next one, rank + 1."),
    ],
)
