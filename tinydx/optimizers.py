"""Optimizers: each keeps its memory for every weight and applies an update rule of the op table (`tinydx.ops.update`).

Large weights are updated slice by slice, so that a rule's intermediate results stay in the cache.
"""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

import numpy as np

from tinydx import ops
from tinydx.dispatch import choose, choose_kernel
from tinydx.factored import FactoredGradient, checksum, multiplied_out
from tinydx.op import Op
from tinydx.suggestions import did_you_mean
from tinydx.tensor import Tensor

SLICE = 1 << 15  # numbers updated at once: a weight and its memory, of this size each, fit the L2 cache together


class Optimizer:
    """Base of all optimizers.

    Arguments: learning_rate; weight_decay, the share of itself (times the learning rate) that a weight loses at each step;
    clipnorm, the largest norm of one weight's gradient; clipvalue, the largest size of one of its numbers;
    global_clipnorm, the largest norm of all gradients together. Every optimizer takes all of them.
    Raises: ValueError for a learning rate or a limit that is not above 0, and for several limits at once.
    """

    memory: ClassVar[tuple[str, ...]] = ()  # names of the arrays that are kept for each weight
    initial_memory: float = 0.0

    def __init__(
        self,
        learning_rate: float,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
    ):
        limits = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = {n: limit for n, limit in limits.items() if limit is not None}
        for n, value in {"learning_rate": learning_rate, **given}.items():
            if not (isinstance(value, Real) and value > 0):
                raise ValueError(f"{type(self).__name__}: {n} is {value!r}, expected a number above 0")
        if len(given) > 1:
            raise ValueError(f"{type(self).__name__}: {' and '.join(given)} are given, expected one limit")
        self.learning_rate = float(learning_rate)
        self.weight_decay, self.clipnorm, self.clipvalue = weight_decay, clipnorm, clipvalue
        self.global_clipnorm = global_clipnorm
        self.iterations = 0
        self.slots: list[list[np.ndarray]] = []

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
        name, slots_of = type(self).__name__, self.slots or [self._new_memory(w) for w in weights]
        if len(slots_of) != len(weights):
            raise ValueError(f"{name}: remembers {len(slots_of)} weights, got {len(weights)}: compile again")
        for w, slots in zip(weights, slots_of, strict=True):
            if any(slot.shape != w.shape for slot in slots):
                raise ValueError(f"{name}: remembers {w.name} as {slots[0].shape}, got {w.shape}: compile again")
        self.slots, self.iterations = slots_of, self.iterations + 1
        update, constants = self.rule()
        for w, g, slots in zip(weights, self._clipped(list(gradients)), self.slots, strict=True):
            if g is None:
                continue
            if not w.data.flags.c_contiguous:
                w.data = w.data.copy(order="C")  # the update writes through a flat view of it
            if self.weight_decay:
                w.data -= w.data * w.dtype.type(self.weight_decay * self.learning_rate)
            _update(update, constants, [w.data, *slots], g)

    def _new_memory(self, w: Tensor) -> list[np.ndarray]:
        return [np.full_like(w.data, self.initial_memory, order="C") for _ in self.memory]

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


def _update(update: Op, constants: dict[str, Any], arrays: list[np.ndarray], g: Any) -> None:
    """Apply a rule to a weight and its memory, in place: by one call of a kernel, else slice by slice."""
    chosen = choose_kernel(update, (*arrays, g), constants) if isinstance(g, FactoredGradient) else None
    if chosen is None:
        g = multiplied_out(g)
        chosen = choose(update, (*arrays, g), constants)
    if chosen.in_place is not None:
        return chosen.in_place(*arrays, g, **constants)
    flat, g = [a.reshape(-1) for a in arrays], g.reshape(-1)
    for start in range(0, g.size, SLICE):
        part = slice(start, start + SLICE)
        for array, new in zip(flat, chosen.forward(*(a[part] for a in flat), g[part], **constants)[0], strict=True):
            array[part] = new


def _norm(arrays: list[Any]) -> Any:
    return np.sqrt(sum(np.vdot(a, a).astype(np.float64) for a in arrays))


def _clip_to_norm(g: Any, limit: float, norm: Any) -> Any:
    return g * (limit / np.maximum(norm, limit)).astype(g.dtype)  # the factor is 1 where the norm is within the limit


class SGD(Optimizer):
    """Gradient descent, with momentum and Nesterov's look-ahead if asked for.

    Arguments: learning_rate; momentum in [0, 1), the share of the last move that is kept; nesterov, whether the gradient
    counts as if taken after the next move; the rest as Optimizer.

    >>> SGD(0.1, momentum=0.9).memory
    ('momentum',)
    """

    def __init__(self, learning_rate: float = 0.01, momentum: float = 0.0, nesterov: bool = False, **common: Any):
        super().__init__(learning_rate, **common)
        self.momentum, self.nesterov = momentum, nesterov
        self.memory = ("momentum",) if momentum else ()  # type: ignore[misc]

    def rule(self) -> tuple[Op, dict[str, Any]]:
        if not self.momentum:
            return ops.sgd_update, {"learning_rate": self.learning_rate}
        settings = {"momentum": self.momentum, "nesterov": self.nesterov}
        return ops.momentum_update, {"learning_rate": self.learning_rate, **settings}


class RMSprop(Optimizer):
    """The gradient divided by its running root mean square.

    Arguments: learning_rate; rho, the share of the mean square that is kept at each step; momentum, that of the last move;
    epsilon, added under the root; centered, whether to divide by the standard deviation instead; the rest as Optimizer.
    Source: Tieleman and Hinton 2012.

    >>> RMSprop(momentum=0.9).momentum
    0.9
    """

    memory = ("velocity", "average", "momentum")

    def __init__(
        self,
        learning_rate: float = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **common: Any,
    ):
        super().__init__(learning_rate, **common)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered

    def rule(self) -> tuple[Op, dict[str, Any]]:
        settings = {"rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon, "centered": self.centered}
        return ops.rmsprop_update, {"learning_rate": self.learning_rate, **settings}


class Adagrad(Optimizer):
    """Steps shrink with the sum of all squared gradients so far.

    Arguments: learning_rate; initial_accumulator_value, from which the sum starts; epsilon, added under the root; the rest
    as Optimizer.
    Source: Duchi et al. 2011.

    >>> Adagrad().initial_accumulator_value
    0.1
    """

    memory = ("accumulator",)

    def __init__(
        self, learning_rate: float = 0.001, initial_accumulator_value: float = 0.1, epsilon: float = 1e-7, **common: Any
    ):
        super().__init__(learning_rate, **common)
        self.initial_accumulator_value = self.initial_memory = initial_accumulator_value
        self.epsilon = epsilon

    def rule(self) -> tuple[Op, dict[str, Any]]:
        return ops.adagrad_update, {"learning_rate": self.learning_rate, "epsilon": self.epsilon}


class Adam(Optimizer):
    """Adam, the document's optimizer: the running mean of the gradient divided by its running root mean square.

    Arguments: learning_rate; beta_1 and beta_2, the shares of mean and mean square that are kept at each step; epsilon,
    outside the bias correction as in Keras (torch places it differently); the rest as Optimizer.
    Source: document, 4.3; Kingma and Ba 2014.

    >>> Adam(1e-4).learning_rate
    0.0001
    """

    memory = ("mean", "square")

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Any,
    ):
        super().__init__(learning_rate, **common)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def rule(self) -> tuple[Op, dict[str, Any]]:
        settings = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon, "step": self.iterations}
        return ops.adam_update, {"learning_rate": self.learning_rate, **settings}


class AdamW(Adam):
    """Adam with decoupled weight decay: p -= weight_decay * learning_rate * p before each step.

    Arguments: learning_rate; weight_decay; the rest as Adam.
    Source: Loshchilov and Hutter 2019.

    >>> AdamW().weight_decay
    0.004
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Any,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, weight_decay=weight_decay, **common)


_KNOWN: dict[str, Any] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "adam": Adam,
    "adamw": AdamW,
}


def get(optimizer: Any) -> Optimizer:
    """The optimizer of that name, with its defaults.

    Arguments: optimizer, a name in any case, an Optimizer, or a subclass of it.
    Returns: an Optimizer.
    Raises: ValueError for an unknown name, with close matches.

    >>> get("adam").learning_rate
    0.001
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        return optimizer()  # type: ignore[call-arg]
    if str(optimizer).lower() not in _KNOWN:
        raise ValueError(f"unknown optimizer {optimizer!r}{did_you_mean(str(optimizer).lower(), _KNOWN)}")
    return _KNOWN[str(optimizer).lower()]()
