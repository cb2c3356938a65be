"""Schedules of the learning rate, by Keras's names: functions of the steps taken so far, to give as learning_rate.

    CosineDecay(0.0, 600, warmup_target=1e-3, warmup_steps=60)

        warmup_target           __
                               /  \\_
                              /     \\__
        initial_learning_rate          \\____ warmup_target * alpha
                              |---|--------|
                         warmup_steps  decay_steps

A schedule keeps no state. The optimizer counts the steps, so a resumed run continues at the same rate.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tinydx.settings import Checked, number


class LearningRateSchedule(metaclass=Checked):
    """Base of all schedules.

    A subclass defines `__call__(step)`: the learning rate of the step that comes after `step` others. It keeps each argument of
    its __init__ as the attribute of that name, so that it can be saved with the optimizer.

    >>> class Halving(LearningRateSchedule):
    ...     def __call__(self, step):
    ...         return 0.1 * 0.5**step
    >>> Halving()(2)
    0.025
    """

    def __call__(self, step: int) -> float:
        raise NotImplementedError(f"{type(self).__name__} must define __call__(step)")

    def expect(self, positive: bool, **values: Any) -> None:
        """ValueError unless the arguments are finite numbers of 0 or more; with positive, above 0."""
        limit = {"above": 0} if positive else {"at_least": 0}
        for name, value in values.items():
            number(f"{type(self).__name__}: {name}", value, **limit)


class CosineDecay(LearningRateSchedule):
    """A linear warm-up, then half a cosine down to a share of the peak.

    rate = peak ((1 - alpha) (1 + cos(pi t / decay_steps)) / 2 + alpha), where t counts the steps since the warm-up.

    Arguments: initial_learning_rate, the peak without a warm-up, or where the warm-up starts; decay_steps, after which the rate
    stays at alpha times the peak; alpha; warmup_target, the peak after a warm-up of warmup_steps, which come before the
    decay_steps.
    Raises: ValueError for numbers below 0, decay_steps of 0, and an alpha above 1.
    Source: Loshchilov and Hutter 2016; warm-up: Goyal et al. 2017.

    >>> schedule = CosineDecay(0.0, decay_steps=100, alpha=0.1, warmup_target=1.0, warmup_steps=10)
    >>> [round(schedule(step), 3) for step in (0, 5, 10, 60, 110, 500)]
    [0.0, 0.5, 1.0, 0.55, 0.1, 0.1]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        *,
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ):
        self.initial_learning_rate, self.decay_steps, self.alpha = initial_learning_rate, decay_steps, alpha
        self.warmup_target, self.warmup_steps = warmup_target, warmup_steps
        self.expect(True, decay_steps=decay_steps)
        self.expect(False, initial_learning_rate=initial_learning_rate, warmup_steps=warmup_steps)
        number(f"{type(self).__name__}: alpha", alpha, at_least=0, at_most=1)
        if warmup_target is not None:
            self.expect(False, warmup_target=warmup_target)

    def __call__(self, step: int) -> float:
        start, peak, warmup = self.initial_learning_rate, self.warmup_target, self.warmup_steps
        if peak is None:
            peak, warmup = start, 0
        if step < warmup:
            return start + (peak - start) * step / warmup
        share = min((step - warmup) / self.decay_steps, 1.0)
        return peak * ((1 - self.alpha) * 0.5 * (1 + math.cos(math.pi * share)) + self.alpha)


class ExponentialDecay(LearningRateSchedule):
    """rate = initial_learning_rate * decay_rate ** (step / decay_steps).

    Arguments: initial_learning_rate; decay_steps; decay_rate, the factor for each decay_steps; staircase, whether the rate
    changes only after whole decay_steps.
    Raises: ValueError for numbers that are not above 0.

    >>> ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5, staircase=True)(25)
    0.025
    """

    def __init__(self, initial_learning_rate: float, decay_steps: int, decay_rate: float, staircase: bool = False):
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.decay_rate, self.staircase = decay_rate, staircase
        self.expect(True, initial_learning_rate=initial_learning_rate, decay_steps=decay_steps, decay_rate=decay_rate)

    def periods(self, step: int) -> float:
        """step / decay_steps, rounded down for a staircase."""
        return step // self.decay_steps if self.staircase else step / self.decay_steps

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate * self.decay_rate ** self.periods(step)


class InverseTimeDecay(ExponentialDecay):
    """rate = initial_learning_rate / (1 + decay_rate * step / decay_steps). Arguments as ExponentialDecay.

    >>> InverseTimeDecay(0.1, decay_steps=10, decay_rate=1.0)(10)
    0.05
    """

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate / (1 + self.decay_rate * self.periods(step))


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[0] for the steps up to boundaries[0], that one included, then values[1] up to boundaries[1], and so on.

    Arguments: boundaries, steps in rising order; values, learning rates, one more than boundaries.
    Raises: ValueError for other numbers of values, and boundaries that do not rise.

    >>> schedule = PiecewiseConstantDecay([100, 150], [0.1, 0.01, 0.001])
    >>> [schedule(step) for step in (100, 101, 151)]
    [0.1, 0.01, 0.001]
    """

    def __init__(self, boundaries: Sequence[int], values: Sequence[float]):
        self.boundaries, self.values = self._numbers("boundaries", boundaries), self._numbers("values", values)
        if len(self.values) != len(self.boundaries) + 1:
            counts = f"{len(self.boundaries)} boundaries and {len(self.values)} values"
            raise ValueError(f"PiecewiseConstantDecay: got {counts}, expected one value more than boundaries")
        if any(a >= b for a, b in pairwise(self.boundaries)):
            raise ValueError(f"PiecewiseConstantDecay: boundaries are {self.boundaries}, expected them to rise")

    def _numbers(self, name: str, given: Any) -> list[Any]:
        """The argument as a list of numbers of 0 or more."""
        if isinstance(given, str) or not hasattr(given, "__iter__"):
            raise ValueError(f"{type(self).__name__}: {name} is {given!r}, expected a list of numbers")
        for value in given:
            self.expect(False, **{name: value})
        return list(given)

    def __call__(self, step: int) -> float:
        return self.values[bisect_left(self.boundaries, step)]
