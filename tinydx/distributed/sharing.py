r"""Shares of a batch, and the means over them: n ranks compute what one process computes.

    rank r computes rows r of the batch      g_r, the gradient of the mean loss over its rows
    all ranks add up                         g = \sum_r s_r g_r / \sum_r s_r
    s_r                                      its share of the rows, or, of padded sequences, of the real time steps

Loss, predictions for metrics, and new moving averages travel in the same flat buffer as the gradients: one sum over all ranks
a step. Its result has the same bits on all ranks, and so have the weights, which `check_alike` looks at once an epoch.

All ranks read the whole batch and take their rows of it: so files, shuffling and augmentation are those of one process. What a
layer draws while it computes, dropout's masks, differs from rank to rank and from step to step.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from tinydx import random
from tinydx.device import on_device
from tinydx.distributed import nccl
from tinydx.distributed.world import CHECK, EVALUATION, STEP, World, world
from tinydx.factored import FactoredGradient, multiplied_out
from tinydx.fingerprint import fingerprint

MOST_ROWS = 96  # of a factored gradient over all ranks: every rank multiplies them all, while it passes over the weights
UNEQUAL = "the ranks have different batches: give all of them the same data in the same order (seed what draws at random)"


def share(batch: Any) -> Any:
    """This rank's rows of a batch, which remembers the whole; the batch itself in a program of a single process.

    A rank for which no row is left computes the first one, which then counts nothing: so all ranks do the same.
    """
    ranks = world()
    if ranks is None:
        return batch
    rows = rows_of(_examples(batch), ranks.rank, ranks.size)
    take = rows if rows.stop > rows.start else slice(0, 1)
    return type(batch)(*(_taken(part, take) for part in batch[:4]), batch)


def _examples(batch: Any) -> int:
    return len(batch.x[0] if isinstance(batch.x, list) else batch.x)


def rows_of(n: int, rank: int, ranks: int) -> slice:
    """The rows of n that are a rank's; they differ by one at most.

    >>> [rows_of(5, rank, 3) for rank in range(3)]
    [slice(0, 1, None), slice(1, 3, None), slice(3, 5, None)]
    """
    return slice(n * rank // ranks, n * (rank + 1) // ranks)


def _taken(part: Any, rows: slice) -> Any:
    if isinstance(part, list) and part and hasattr(part[0], "shape"):
        return [v[rows] for v in part]
    return None if part is None else part[rows]


def own_numbers(step: int) -> AbstractContextManager[None]:
    """Context in which this rank draws random numbers of its own, the same ones whenever it takes this step.

    They follow from the numbers that all ranks have in common, from the step and from the rank: nothing more must be saved for a
    run that is resumed.
    """
    ranks = world()
    if ranks is None:
        return nullcontext()
    common = random.state()["state"]
    return random.drawing_from(np.random.default_rng([common["state"], common["inc"], step, ranks.rank]))


def check_alike(when: str, **things: Any) -> None:
    """RuntimeError on all ranks unless these things, of any kind that `fingerprint` takes, are equal on all; called by all."""
    ranks = world()
    if ranks is None:
        return
    for name, thing in things.items():
        words = f"{name.replace('_', ' ')} {when}"
        cure = "build the model, and seed what draws at random, on all ranks alike, after distributed.start()"
        ranks.meet(CHECK, int(fingerprint(thing), 16), f"the ranks differ in {words}: {cure}")


# ---- means -----------------------------------------------------------------------------------------------------------

ROWS = ("prediction", "mask", "y", "weight")  # numbers of a step with one entry an example: put together, not averaged


def mean_over_ranks(numbers: dict[str, Any], batch: Any, step: Any = None) -> tuple[dict[str, Any], Sequence[Any]]:
    """What one process would have computed on the whole batch, from what each rank has computed on its share.

    Arguments: numbers that a step has read (`tinydx.training.step`); batch; step, its `trained` weights, their `gradients`, and
    its `statistics`, whose new values are changed in place; None for an evaluation.
    Returns: numbers and gradients of the whole batch; those of the step, if the batch is no share.
    """
    ranks, whole = world(), batch.whole
    gradients, trained, statistics = (step.gradients, step.trained, step.statistics) if step else ([], [], [])
    if ranks is None or whole is None:
        return numbers, gradients
    ranks.meet(STEP if step else EVALUATION, _identity(whole), UNEQUAL)
    n = _examples(whole)
    used, dense = _forms(gradients, batch, n, ranks)
    plain = [k for k in range(len(gradients)) if used[k] and dense[k]]
    arrays = [np.zeros_like(trained[k].data) if gradients[k] is None else multiplied_out(gradients[k]) for k in plain]
    averaged = [numbers[name] for name in ("loss", "gradients") if name in numbers]
    news = [new for _, new in statistics]
    placed = {name: _placed(numbers[name], n, ranks) for name in ROWS if numbers.get(name) is not None}
    mine = _share_of_mean(numbers, n, ranks)
    total, sums = _sums(ranks, [np.ones(1), *averaged, *news, *arrays], mine, list(placed.values()))

    means = iter(sums)
    found: dict[str, Any] = {name: np.array(next(means)) for name in ("loss", "gradients") if name in numbers}
    for new in news:
        new[...] = next(means)
    result: list[Any] = [None] * len(gradients)
    for k in plain:
        result[k] = next(means)
    for k in range(len(gradients)):
        if used[k] and not dense[k]:
            result[k] = _gathered(k, gradients[k], mine / total, n, ranks)
    rows = {name: next(means).astype(a.dtype) for name, a in placed.items()}
    return {**numbers, **found, **rows}, result


def _identity(whole: Any) -> int:
    """A checksum of a batch's labels and its first example: cheap, and enough to find ranks that read different data."""
    x = whole.x[0] if isinstance(whole.x, list) else whole.x
    total = _examples(whole)
    for part in (x[:1], whole.y):
        if isinstance(part, np.ndarray) and not part.dtype.hasobject:
            total = zlib.crc32(np.ascontiguousarray(part).view(np.uint8).data, total)
    return total


def _forms(gradients: Sequence[Any], batch: Any, n: int, ranks: World) -> tuple[Any, Any]:
    """For each weight, whether any rank has a gradient, and whether any rank has one that must be added up as an array."""
    if not gradients:
        return [], []
    used: Any = [g is not None for g in gradients]
    dense: Any = [not _stays_factored(g, batch, n, ranks) for g in gradients]
    used, dense = np.split(ranks.largest(np.array([*used, *dense], np.int64)), 2)
    return used, dense


def _stays_factored(g: Any, batch: Any, n: int, ranks: World) -> bool:
    """Whether a gradient is better gathered as its factors than added up: fewer bytes, and few rows."""
    if not isinstance(g, FactoredGradient) or on_device(g.x):
        return False
    rows, (d, f) = sum(_counts(n, ranks)), g.shape
    return len(g.x) == _examples(batch) and rows <= MOST_ROWS and rows * (d + f) < 2 * d * f


def _counts(n: int, ranks: World) -> list[int]:
    """How many rows each rank computes: at least one."""
    parts = [rows_of(n, rank, ranks.size) for rank in range(ranks.size)]
    return [max(1, part.stop - part.start) for part in parts]


def _gathered(k: int, g: FactoredGradient, factor: float, n: int, ranks: World) -> FactoredGradient:
    """The gradient of the whole batch, from the factors of all ranks, each counting by its factor."""
    counts, dy = _counts(n, ranks), g.dy * g.dtype.type(factor)
    return FactoredGradient(ranks.gather(g.x, counts, (k, "x")), ranks.gather(dy, counts, (k, "dy")))


def _share_of_mean(numbers: dict[str, Any], n: int, ranks: World) -> float:
    """How much this rank's mean counts: by its examples, of padded sequences by their real time steps."""
    rows, real = rows_of(n, ranks.rank, ranks.size), numbers.get("mask")
    examples = (rows.stop - rows.start) / n
    return examples if real is None else examples * float(real.mean())


def _placed(a: np.ndarray, n: int, ranks: World) -> np.ndarray:
    """This rank's rows among zeros for those of the others: the sum over the ranks holds all rows."""
    every, rows = np.zeros((n, *a.shape[1:]), a.dtype), rows_of(n, ranks.rank, ranks.size)
    every[rows] = a[: rows.stop - rows.start]
    return every


def _sums(ranks: World, averaged: list[Any], share: float, placed: list[Any]) -> tuple[float, list[Any]]:
    """The mean over the ranks of each array of `averaged`, weighted by their shares, and the sum of each of `placed`.

    The first of `averaged` is 1.
    Returns: the sum of all shares, and all other arrays, views of memory that the next call uses again.
    """
    here = [k for k, a in enumerate(averaged) if not on_device(a)]
    there = [k for k, a in enumerate(averaged) if on_device(a)]
    flat, views = _packed(ranks, [averaged[k] for k in here], share, placed)
    ranks.sum(flat)
    total = float(flat[0]) or 1.0  # all time steps are padding
    flat[: sum(np.size(averaged[k]) for k in here)] /= total
    means = dict(zip(here, views, strict=False))
    if there:
        flat, there_views = _packed(ranks, [averaged[k] for k in there], share / total, [])
        nccl.sum_on_gpus(ranks, flat)
        means |= zip(there, there_views, strict=True)
    return total, [*(means[k] for k in range(1, len(averaged))), *views[len(here) :]]


def _packed(ranks: World, scaled: list[Any], factor: float, plain: list[Any]) -> tuple[Any, list[Any]]:
    """All arrays one after the other in a flat one, the first ones scaled, and a view of each."""
    dtype = np.result_type(*(a.dtype for a in scaled[min(1, len(scaled) - 1) :]))  # the first one may be a plain 1
    size = sum(np.size(a) for a in [*scaled, *plain])
    on_gpu = on_device(scaled[0])
    flat = np.empty(size, dtype, like=scaled[0]) if on_gpu else ranks.kept("sums", size, dtype)
    views, end = [], 0
    for k, a in enumerate([*scaled, *plain]):
        begin, end = end, end + np.size(a)
        views.append(flat[begin:end].reshape(np.shape(a)))
        if k < len(scaled):
            np.multiply(a, dtype.type(factor), out=views[-1])
        else:
            views[-1][...] = a
    return flat, views
