"""What the trainings of the milestones share: a run's result, drawn weights, batches, optimizers, pictures."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from tinydx.datasets.phantom import make_phantoms
from tinydx.exercises.milestones.engine import Engine
from tinydx.language import Sentence, sentence
from tinydx.tensor import Tensor

AREA = sentence("area under the ROC curve")

Weights = dict[str, Tensor]
Update = Callable[[str, np.ndarray, np.ndarray, int], np.ndarray]  # name, p, its gradient, step from 1 -> new p


class Run(NamedTuple):
    """What a training gave.

    Arguments: losses, one a step; shares, of each test example the network's share of each class (N,K); truth, its class (N,);
    figures, further numbers by name, such as the area under the ROC curve.
    """

    losses: list[float]
    shares: np.ndarray
    truth: np.ndarray
    figures: Mapping[Sentence, float]

    @property
    def accuracy(self) -> float:
        """The share of test examples whose class is called right."""
        return float((self.shares.argmax(axis=1) == self.truth).mean())

    @property
    def numbers(self) -> np.ndarray:
        """All that two runs can differ in: the losses, then the shares and the figures."""
        return np.concatenate([self.losses, self.shares.ravel(), np.array([*self.figures.values()], float)])


class Examples(NamedTuple):
    """Training and test examples: x (N,...), y (N,) the classes, and what they look like, for the page."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    seen: list


@functools.cache
def phantoms(fields: int, n: int = 160, tests: int = 64) -> Examples:
    """Synthetic chest images of 32 x 32 pixels as maps of contrast: how much the pixels of each field vary.

    Arguments: fields in a row and in a column; n of training; tests.
    Returns: maps (N,fields,fields), about normal; classes 1 abnormal, 0 normal.
    """
    images, labels = make_phantoms(n + tests, seed=20, size=32)
    side = 32 // fields
    maps = (images / 255).reshape(-1, fields, side, fields, side).std(axis=(2, 4))
    maps = (maps - maps[:n].mean()) / maps[:n].std()
    return Examples(maps[:n], 1 - labels[:n], maps[n:], 1 - labels[n:], list(images[n:]))


def drawn(rng: np.random.Generator, **shapes: tuple[int, ...]) -> Weights:
    """Weights by name: matrices and kernels drawn after He, vectors (biases) zero."""
    weights = {}
    for name, shape in shapes.items():
        scale = np.sqrt(2 / np.prod(shape[:-1])) if len(shape) > 1 else 0
        weights[name] = Tensor(scale * rng.normal(size=shape), requires_grad=True, name=name)
    return weights


def batches(rng: np.random.Generator, n: int, size: int, steps: int) -> Iterator[np.ndarray]:
    """The rows of each step's batch, in a new order every time all have been seen."""
    order = np.empty(0, int)
    for _ in range(steps):
        if len(order) < size:
            order = rng.permutation(n)
        yield order[:size]
        order = order[size:]


def descend(weights: Weights, loss_of: Callable[[np.ndarray], Tensor], update: Update, rows: Iterator[np.ndarray]) -> list[float]:
    """Train: a step for each batch of rows. Changes the weights; returns the losses."""
    losses = []
    for step, batch in enumerate(rows, 1):
        loss = loss_of(batch)
        loss.backward()
        for name, p in weights.items():
            p.data = update(name, p.data, p.grad, step)
        losses.append(float(loss.data))
    return losses


def adam(engine: Engine, rate: float) -> Update:
    """Adam, by the exercise's function; its means begin at zero."""
    means: dict[str, tuple] = {}

    def update(name: str, p: np.ndarray, g: np.ndarray, step: int) -> np.ndarray:
        m, v = means.get(name, (np.zeros_like(p), np.zeros_like(p)))
        p, *means[name] = engine.call("adam", p, m, v, g, rate, (0.9, 0.999), 1e-7, step)  # type: ignore[assignment]
        return p

    return update


def of_two(abnormal: np.ndarray) -> np.ndarray:
    """The shares (N,2) of normal and abnormal, from that of abnormal (N,)."""
    return np.stack([1 - abnormal, abnormal], axis=1)
