"""The optimizers by name: each holds the constants of an update rule of the op table (`tinydx.ops.update`)."""

from __future__ import annotations

from typing import Any

from tinydx import ops
from tinydx.op import Op
from tinydx.optimizers.base import Optimizer
from tinydx.optimizers.schedules import LearningRateSchedule
from tinydx.settings import number


class SGD(Optimizer):
    """Gradient descent, with momentum and Nesterov's look-ahead if asked for.

    Arguments: learning_rate; momentum in [0, 1), the share of the last move that is kept; nesterov, whether the gradient
    counts as if taken after the next move; the rest as Optimizer.
    Raises: ValueError for another momentum.

    >>> SGD(0.1, momentum=0.9).memory
    ('momentum',)
    """

    def __init__(
        self, learning_rate: float | LearningRateSchedule = 0.01, momentum: float = 0.0, nesterov: bool = False, **common: Any
    ):
        super().__init__(learning_rate, **common)
        self.momentum, self.nesterov = share(self, "momentum", momentum), nesterov
        self.memory = ("momentum",) if momentum else ()  # type: ignore[misc]

    def rule(self) -> tuple[Op, dict[str, Any]]:
        if not self.momentum:
            return ops.sgd_update, {"learning_rate": self.learning_rate}
        settings = {"momentum": self.momentum, "nesterov": self.nesterov}
        return ops.momentum_update, {"learning_rate": self.learning_rate, **settings}


class RMSprop(Optimizer):
    """The gradient divided by its running root mean square.

    Arguments: learning_rate; rho, the share of the mean square that is kept at each step; momentum, that of the last move;
    epsilon, above 0, added under the root; centered, whether to divide by the standard deviation instead; the rest as Optimizer.
    Raises: ValueError for a share outside of [0, 1), or another epsilon.
    Source: Tieleman and Hinton 2012.

    >>> RMSprop(momentum=0.9).momentum
    0.9
    """

    memory = ("velocity", "average", "momentum")

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **common: Any,
    ):
        super().__init__(learning_rate, **common)
        self.rho, self.momentum, self.centered = share(self, "rho", rho), share(self, "momentum", momentum), centered
        self.epsilon = positive(self, "epsilon", epsilon)

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
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **common: Any,
    ):
        super().__init__(learning_rate, **common)
        name = "Adagrad: initial_accumulator_value"
        self.initial_accumulator_value = self.initial_memory = number(name, initial_accumulator_value, at_least=0)
        self.epsilon = positive(self, "epsilon", epsilon)

    def rule(self) -> tuple[Op, dict[str, Any]]:
        return ops.adagrad_update, {"learning_rate": self.learning_rate, "epsilon": self.epsilon}


class Adam(Optimizer):
    """Adam, the document's optimizer: the running mean of the gradient divided by its running root mean square.

    Arguments: learning_rate; beta_1 and beta_2, the shares of mean and mean square that are kept at each step; epsilon,
    above 0, outside the bias correction as in Keras (torch places it differently); the rest as Optimizer.
    Raises: ValueError for a share outside of [0, 1), or another epsilon.
    Source: document, 4.3; Kingma and Ba 2014.

    >>> Adam(1e-4).learning_rate
    0.0001
    """

    memory = ("mean", "square")

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Any,
    ):
        super().__init__(learning_rate, **common)
        self.beta_1, self.beta_2 = share(self, "beta_1", beta_1), share(self, "beta_2", beta_2)
        self.epsilon = positive(self, "epsilon", epsilon)

    def rule(self) -> tuple[Op, dict[str, Any]]:
        settings = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon, "step": self.iterations + 1}
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
        learning_rate: float | LearningRateSchedule = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Any,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, weight_decay=weight_decay, **common)


def share(optimizer: Optimizer, name: str, value: Any) -> float:
    """The argument, a share that is kept at each step; ValueError unless 0 <= value < 1."""
    return number(f"{type(optimizer).__name__}: {name}", value, at_least=0, below=1)


def positive(optimizer: Optimizer, name: str, value: Any) -> float:
    """The argument, a number above 0: without one, a gradient of 0 would be divided by 0."""
    return number(f"{type(optimizer).__name__}: {name}", value, above=0)
