"""Optimizer: keeps a memory for every weight and applies an update rule of the op table (`tinydx.ops.update`) to it.

Small weights are updated together (`tinydx.optimizers.row`), large ones slice by slice, so that a rule's intermediate results
stay in the cache.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tinydx import ops
from tinydx.device import on_device
from tinydx.dispatch import choose, choose_kernel, untraced_choice
from tinydx.factored import FactoredGradient, checksum, multiplied_out
from tinydx.op import Op
from tinydx.optimizers.row import Row
from tinydx.optimizers.schedules import LearningRateSchedule
from tinydx.settings import Checked, number, whole
from tinydx.tensor import Tensor

SLICE = 1 << 15  # numbers updated at once: a weight and its memory, of this size each, fit the L2 cache together


class Optimizer(metaclass=Checked):
    """Base of all optimizers.

    Arguments: learning_rate, a number or a schedule (tinydx/optimizers/schedules.py); weight_decay, the share of itself (times
    the learning rate) that a weight loses at each step; clipnorm, the largest norm of one weight's gradient; clipvalue, the
    largest size of one of its numbers; global_clipnorm, the largest norm of all gradients together; use_ema, whether to keep a
    moving average of each weight that training changes, which `fit` puts in the weight's place when it ends (statistics of
    BatchNormalization are not averaged, as in Keras: they are moving averages already); ema_momentum, the share of the average
    that is kept at each step; ema_overwrite_frequency, a number of steps after each of which the weights become their averages.
    Every optimizer takes all of them.
    Raises: ValueError for a learning rate or a limit that is not a finite number above 0, for several limits at once, a
    weight_decay below 0, and an ema_momentum outside of [0, 1]; TypeError where the learning rate is set to a number while it
    follows a schedule.
    """

    memory: ClassVar[tuple[str, ...]] = ()  # names of the arrays that its rule keeps for each weight
    initial_memory: float = 0.0
    schedule: LearningRateSchedule | None = None  # of the learning rate

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        *,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
    ):
        name = type(self).__name__
        limits = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = {n: number(f"{name}: {n}", limit, above=0) for n, limit in limits.items() if limit is not None}
        if len(given) > 1:
            raise ValueError(f"{name}: {' and '.join(given)} are given, expected one limit")
        if not isinstance(learning_rate, LearningRateSchedule):
            number(f"{name}: learning_rate", learning_rate, above=0)
        self.learning_rate = learning_rate
        self.weight_decay = None if weight_decay is None else number(f"{name}: weight_decay", weight_decay, at_least=0)
        self.clipnorm, self.clipvalue, self.global_clipnorm = (given.get(n) for n in limits)
        self.use_ema, self.ema_momentum = use_ema, number(f"{name}: ema_momentum", ema_momentum, at_least=0, at_most=1)
        frequency = ema_overwrite_frequency
        self.ema_overwrite_frequency = None if frequency is None else whole(f"{name}: ema_overwrite_frequency", frequency)
        self.iterations = 0  # steps taken
        self.slots: list[list[np.ndarray]] = []  # for each weight, the arrays that `slot_names` names
        self._row: Row | None = None  # its small weights

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step. It can be set, unless it follows a schedule."""
        if self.schedule is None:
            return self._rate
        name = f"{type(self.schedule).__name__}: the rate of step {self.iterations}"
        return number(name, self.schedule(self.iterations), at_least=0)

    @learning_rate.setter
    def learning_rate(self, value: float | LearningRateSchedule) -> None:
        if isinstance(value, LearningRateSchedule):
            self.schedule = value
            return
        if self.schedule is not None:
            followed = f"its learning rate follows a {type(self.schedule).__name__}, so it cannot be set"
            raise TypeError(f"{type(self).__name__}: {followed}: give the optimizer a number as learning_rate")
        self._rate = number(f"{type(self).__name__}: learning_rate", value, at_least=0)

    @property
    def lr(self) -> float:
        """What old scripts call the learning rate; AttributeError, also where it is set: that would change nothing."""
        raise AttributeError(f"{type(self).__name__} has no 'lr': it is called learning_rate")

    @lr.setter
    def lr(self, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} has no 'lr': it is called learning_rate")

    @property
    def slot_names(self) -> tuple[str, ...]:
        """The names of the arrays that are kept for each weight: the rule's memory, and the average where there is one."""
        return (*self.memory, "weight_average") if self.use_ema else self.memory

    def rule(self) -> tuple[Op, dict[str, Any]]:
        """The op that makes one step, and its constants for this step: what a subclass defines."""
        raise NotImplementedError

    def apply(self, gradients: list[Any], weights: list[Tensor]) -> None:
        """One step: change the weights in place, each by its gradient.

        Arguments: gradients, for each weight an array of its shape, a `FactoredGradient`, or None, which leaves the weight as it
        is; weights, the same ones at every step.
        Raises: FloatingPointError, and changes nothing, where a gradient is not finite; ValueError for other weights.
        """
        for w, g in zip(weights, gradients, strict=True):
            if g is not None and not np.isfinite(checksum(g)):
                raise FloatingPointError(f"the gradient of {w.name} is not finite")
        self.apply_finite(gradients, weights)

    def apply_finite(self, gradients: list[Any], weights: list[Tensor]) -> None:
        """`apply` for gradients that are known to be finite: they are not read, so nothing waits for a GPU."""
        if self._row is None or not self._row.fits(weights, self.slots):
            self._row = self._prepared(weights)
        update, constants = self.rule()
        arrays, gradients = [w.data for w in weights], self._clipped(list(gradients))
        together = _may_go_together() and self._row.takes(arrays, gradients)
        for k in self._row.others if together else range(len(weights)):
            w, g = weights[k], gradients[k]
            if g is None:
                continue
            if not w.data.flags.c_contiguous:
                w.data = w.data.copy(order="C")  # the update writes through a flat view of it
            self._change(update, constants, [w.data, *self.slots[k][: len(self.memory)]], g)
        if together:
            row = self._row.gathered(arrays)
            self._change(update, constants, [row, *self._row.memory], self._row.gathered(gradients))
            self._row.scatter(row, arrays)
        if self.use_ema:
            self._average(weights)
        self.iterations += 1

    def _prepared(self, weights: list[Tensor]) -> Row:
        """The small weights in a row, and memory for all; ValueError where the memory is that of other weights."""
        name, slots_of = type(self).__name__, self.slots or [self._new_memory(w) for w in weights]
        if len(slots_of) != len(weights):
            raise ValueError(f"{name}: remembers {len(slots_of)} weights, got {len(weights)}: compile again")
        for w, slots in zip(weights, slots_of, strict=True):
            if [slot for slot in slots if slot.shape != w.shape]:
                raise ValueError(f"{name}: remembers {w.name} as {slots[0].shape}, got {w.shape}: compile again")
        self.slots = slots_of
        return Row(weights, slots_of, len(self.memory))

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy: without the row, since copies of its memory would not be views of a copy of it."""
        return {**vars(self), "_row": None}

    def _change(self, update: Op, constants: dict[str, Any], arrays: list[np.ndarray], g: Any) -> None:
        """The decay of a weight, if any, and the rule, in place: on the weight and its memory, or on rows of several."""
        if self.weight_decay:
            arrays[0] -= arrays[0] * arrays[0].dtype.type(self.weight_decay * self.learning_rate)
        _update(update, constants, arrays, g)

    def _average(self, weights: list[Tensor]) -> None:
        """Move the averages towards the weights; at the first step they become the weights."""
        momentum = self.ema_momentum if self.iterations else 0.0
        for w, slots in zip(weights, self.slots, strict=True):
            _update(ops.average_update, {"momentum": momentum}, [slots[-1]], w.data)
        if self.ema_overwrite_frequency and (self.iterations + 1) % self.ema_overwrite_frequency == 0:
            self.finalize_variable_values(weights)

    def finalize_variable_values(self, weights: list[Tensor]) -> None:
        """With use_ema, give the weights the values of their averages, in place; `fit` calls it when training ends.

        Arguments: weights, those of every step.
        """
        if self.use_ema:
            for w, slots in zip(weights, self.slots, strict=bool(self.slots)):
                w.data[...] = slots[-1]

    def _new_memory(self, w: Tensor) -> list[np.ndarray]:
        return [np.full_like(w.data, self.initial_memory, order="C") for _ in self.slot_names]

    def _clipped(self, gradients: list[Any]) -> list[Any]:
        if self.clipnorm or self.global_clipnorm or self.clipvalue:
            gradients = [multiplied_out(g) for g in gradients]
        if self.clipnorm is not None:
            return [None if g is None else _clip_to_norm(g, self.clipnorm, _norm([g])) for g in gradients]
        if self.global_clipnorm is not None:
            norm = _norm([g for g in gradients if g is not None])
            return [None if g is None else _clip_to_norm(g, self.global_clipnorm, norm) for g in gradients]
        if self.clipvalue is not None:
            return [None if g is None else np.clip(g, -self.clipvalue, self.clipvalue) for g in gradients]
        return gradients


def _may_go_together() -> bool:
    """Whether small weights are updated by one call: not while somebody traces the calls, or has chosen NumPy or a GPU."""
    choice = untraced_choice()
    return choice is not None and choice.backend in (None, "numba")


def _update(update: Op, constants: dict[str, Any], arrays: list[np.ndarray], g: Any) -> None:
    """Apply a rule to a weight and its memory, in place: by one call of a kernel, else slice by slice."""
    chosen = choose_kernel(update, (*arrays, g), constants) if isinstance(g, FactoredGradient) else None
    if chosen is None:
        g = multiplied_out(g)
        chosen = choose(update, (*arrays, g), constants)
    if chosen.in_place is not None:
        return chosen.in_place(*arrays, g, **constants)
    flat, g = [a.reshape(-1) for a in arrays], g.reshape(-1)
    length = g.size if on_device(g) else SLICE  # a GPU has no such cache, and each slice would be a launch
    for start in range(0, g.size, length):
        part = slice(start, start + length)
        for array, new in zip(flat, chosen.forward(*(a[part] for a in flat), g[part], **constants)[0], strict=True):
            array[part] = new


def _norm(arrays: list[Any]) -> Any:
    return np.sqrt(sum(np.vdot(a, a).astype(np.float64) for a in arrays))


def _clip_to_norm(g: Any, limit: float, norm: Any) -> Any:
    return g * (limit / np.maximum(norm, limit)).astype(g.dtype)  # the factor is 1 where the norm is within the limit
