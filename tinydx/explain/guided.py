"""Guided backpropagation, kept as the negative control: it draws the input's edges whatever the model has learnt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tinydx.dispatch import Implementation, gradients_of
from tinydx.explain.explanation import Explanation
from tinydx.explain.subject import Subject
from tinydx.tensor import Tensor, topological


def guided_backpropagation(model: Any, x: Any, target: Any = None) -> Explanation:
    r"""The gradient, but every ReLU lets only positive gradients pass back: $dx = \max(0, dy) \, [x > 0]$.

    Do not believe it: its map hardly changes when the model's weights are drawn anew (Adebayo et al. 2018), so that it says
    little about the model. `randomisation` shows it, and this method exists to show it.

    Arguments: as `gradient`.
    Returns: an `Explanation`.
    Raises: ValueError for a model without a ReLU, for which it would be the gradient.
    Source: Springenberg et al. 2014.
    """
    subject = Subject(model, x, target)
    score, slope = subject.score_and_gradient(subject.start, change=_guide)
    return Explanation("guided backpropagation", subject.to_map(slope), subject.targets, score)


def _guide(score: Tensor) -> None:
    """Give every ReLU on the tape a backward that lets only positive gradients pass."""
    relus = [node for node in topological(score.node) if node.op.name == "relu"]
    if not relus:
        raise ValueError("guided backpropagation needs a ReLU in the model")
    for node in relus:
        node.implementation = replace(node.implementation, backward=_positive(node.implementation))


def _positive(relu: Implementation) -> Callable[..., tuple]:
    return lambda dy, saved: gradients_of(relu, np.maximum(dy, 0), saved, (True,))
