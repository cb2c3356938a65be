"""Timing in turn, and the statistics of the samples.

Contestants take turns in rounds, so that other load on the machine affects all of them alike:

    round 1:  numpy numpy   | numba numba numba numba | torch torch torch
    round 2:  numba ...     | torch ...               | numpy ...             each round begins with the next one

A block is a series of calls, as many as fit into its time; a sample is the mean time of a call in a block. Samples of the
same round are compared in pairs.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

ROUNDS = 12
LEAST = 6  # samples: fewer give no 95 % interval of the median
PAUSE = 0.05  # seconds: the threads of OpenBLAS and PyTorch keep cores busy for a while after their work


def time_once(call: Callable[[], Any]) -> tuple[float, Any]:
    """The seconds of one call, and its result."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def interleave(
    calls: Mapping[str, Callable[[], Any]], seconds: float, rounds: int = ROUNDS, pause: float = 0.0
) -> dict[str, list[float]]:
    """Time contestants in turn.

    Arguments: calls by contestant's name; seconds of measuring for each; rounds, the most samples of each; pause before
    each block, in seconds.
    Returns: the samples of each contestant, one a round. After LEAST rounds, one that has used up its time is left out.
    """
    names = list(calls)
    sizes = {name: max(1, int(seconds / rounds / _warm(call))) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in names}
    for r in range(rounds):
        first = r % max(1, len(names))
        for name in names[first:] + names[:first]:
            if r < LEAST or sum(samples[name]) * sizes[name] < seconds:
                samples[name].append(_block(calls[name], sizes[name], pause))
    return samples


def _warm(call: Callable[[], Any]) -> float:
    """About how long a call takes: the faster of two, because the first may compile or load something."""
    return max(1e-7, min(time_once(call)[0] for _ in range(2)))


def _block(call: Callable[[], Any], size: int, pause: float) -> float:
    """Mean seconds of `size` calls in a row; short calls are preceded by one that brings code and arrays into the caches."""
    time.sleep(pause)
    if size > 1:
        call()
    start = time.perf_counter()
    for _ in range(size):
        call()
    return (time.perf_counter() - start) / size


# ---- statistics ----------------------------------------------------------------------------------------------------


class Summary(NamedTuple):
    """The median, first and third quartile, minimum and number of samples."""

    median: float
    low: float
    high: float
    least: float
    n: int


def summarize(samples: Sequence[float]) -> Summary:
    """The summary of at least one sample.

    >>> summarize([3.0, 1.0, 2.0, 5.0, 4.0])
    Summary(median=3.0, low=2.0, high=4.0, least=1.0, n=5)
    """
    ends = statistics.quantiles(samples, n=4, method="inclusive") if len(samples) > 1 else [samples[0]] * 3
    return Summary(statistics.median(samples), ends[0], ends[2], min(samples), len(samples))


def median_interval(samples: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """An interval that contains the true median with this probability, for any distribution; None with too few samples.

    Each sample lies below the true median with probability 1/2, so the k-th smallest and the k-th largest enclose it,
    except with the probability of the binomial distribution's tails.

    >>> median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    (1.0, 6.0)
    >>> median_interval([1.0, 2.0, 3.0]) is None
    True
    """
    n, k, tail = len(samples), 0, 0.0
    while (tail := tail + math.comb(n, k) / 2**n) <= (1 - level) / 2:
        k += 1
    ordered = sorted(samples)
    return (ordered[k - 1], ordered[n - k]) if k else None


class Verdict(NamedTuple):
    """How many times as fast as the peer, the 95 % interval of this ratio, and the verdict in words."""

    ratio: float
    interval: tuple[float, float] | None
    words: str


def verdict(ours: Sequence[float], peer: Sequence[float]) -> Verdict:
    """Compare samples of the same rounds in pairs; a winner is named only where the interval of the ratio excludes 1.

    >>> verdict([1.0] * 6, [1.32] * 6).words, verdict([1.0] * 6, [0.91] * 6).words
    ('1.32x faster', '0.91x: slower')
    >>> verdict([1.0] * 6, [0.9, 1.1, 0.9, 1.1, 0.9, 1.1]).words
    "can't tell"
    """
    ratios = [p / o for o, p in zip(ours, peer, strict=False)]
    ratio, interval = statistics.median(ratios), median_interval(ratios)
    if interval is None or interval[0] <= 1 <= interval[1]:
        return Verdict(ratio, interval, "can't tell")
    return Verdict(ratio, interval, f"{ratio:.2f}x faster" if ratio > 1 else f"{ratio:.2f}x: slower")


# ---- flatness --------------------------------------------------------------------------------------------------------

SPREAD, GROWTH = 0.15, 0.01  # the largest deviation from the line, and growth of memory, that count as flat
SETTLED = 100  # steps, after which memory should be flat


class Cost(NamedTuple):
    """The line through the medians, in seconds, and by how much each size's median deviates from it, as a share."""

    fixed: float
    each: float
    deviations: dict[int, float]

    @property
    def held(self) -> bool:
        """Whether every step is within SPREAD of the line."""
        return max(map(abs, self.deviations.values())) <= SPREAD


def fitted(seconds: Mapping[str, Sequence[float]]) -> Cost:
    """The line that misses the medians by the least squares of shares; its fixed part is not negative.

    >>> cost = fitted({"8": [0.009], "64": [0.065], "512": [0.513]})
    >>> round(cost.fixed, 6), round(cost.each, 6), cost.held
    (0.001, 0.001, True)
    """
    n = np.array([int(key) for key in seconds], float)
    t = np.array([summarize(samples).median for samples in seconds.values()])
    fixed, each = np.linalg.lstsq(np.stack([1 / t, n / t], axis=1), np.ones(len(n)), rcond=None)[0]
    if fixed < 0:
        fixed, each = 0.0, float((n / t).sum() / ((n / t) ** 2).sum())
    deviations = t / (fixed + each * n) - 1
    return Cost(float(fixed), float(each), {int(k): float(d) for k, d in zip(n, deviations, strict=True)})


def growth(steps: Sequence[int], resident: Sequence[int]) -> float | None:
    """By which share memory grew from the samples just after SETTLED to the last ones; None where it was not read.

    >>> growth([100, 110, 120, 130], [100, 100, 110, 125])
    0.25
    """
    later = [b for k, b in zip(steps, resident, strict=True) if k >= SETTLED]
    if not later:
        return None
    part = max(1, len(later) // 10)
    return sum(later[-part:]) / sum(later[:part]) - 1
