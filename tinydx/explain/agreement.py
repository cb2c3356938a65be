r"""Is a method computed right? Two checks on a user's own model and method, which mistakes in a method fail.

    completeness    do the parts of the map sum to what the score gained over the baseline?
    cam_agreement   for a mean over places and one dense layer, Grad-CAM is a formula without gradients, CAM:

    $\mathrm{CAM}_{ij} = \max\left(0, \frac{1}{h w} \sum_k A_{ijk} w_{kc}\right)$

A(h,w,K) are the channels that the mean takes, w(K,classes) the dense layer's weights. Zhou et al. 2016.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinydx.explain.checks import method_named
from tinydx.explain.explanation import Explanation
from tinydx.explain.grad_cam import outputs_of
from tinydx.explain.subject import BATCH, Subject
from tinydx.layers import Dense, GlobalAveragePooling1D, GlobalAveragePooling2D


@dataclass(frozen=True)
class Agreement:
    """How far a method's numbers are from those that they must be.

    Arguments: error, the largest difference, as a share of the largest number expected; tolerance, the largest error allowed.
    """

    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.error <= self.tolerance


def completeness(model: Any, x: Any, found: Explanation, baseline: Any = 0.0, *, tolerance: float = 1e-3) -> Agreement:
    """Whether the parts of a map sum to the difference of two scores, which are computed here without the method.

    Integrated gradients and Shapley values must pass; gradients do not.

    Arguments: model; x (N,...) or one example, of floats, not word ids; found, what a method said of them; baseline, the one that
    the method had, like x, one example or a number; tolerance.
    Returns: an `Agreement`, relative to the largest difference.
    Source: Sundararajan, Taly and Yan 2017.

    >>> from tinydx.explain import gradient, gradient_times_input
    >>> from tinydx.models import Sequential
    >>> model, x = Sequential([Dense(1, use_bias=False, input_shape=(3,))]), np.ones((2, 3), "float32") * 5
    >>> [completeness(model, x, method(model, x)).passed for method in (gradient, gradient_times_input)]
    [False, True]
    """
    subject = Subject(model, x, found.targets)
    if subject.embedding is not None:
        raise ValueError(f"{model.name} takes word ids, between which there is no baseline: look at completeness_error")
    origin = np.broadcast_to(np.asarray(baseline, subject.start.dtype), subject.start.shape)
    gained = subject.score(subject.start).astype(float) - subject.score(origin)
    parts = found.map if found.values is None else found.values
    return Agreement(_error(parts.reshape(len(parts), -1).sum(axis=1), gained), tolerance)


def cam_agreement(
    model: Any, x: Any, method: Any = "grad_cam", target: Any = None, *, tolerance: float = 1e-3
) -> Agreement:
    """Whether a Grad-CAM equals CAM, which needs no gradient. Another layer, no ReLU and other weights of the channels all fail.

    Arguments: model, which ends in a mean over places (GlobalAveragePooling) and one dense layer; x, target, as `gradient`, at
    most 64 examples; method, "grad_cam" or a function (model, x, target, layer=NAME) -> Explanation with layer_map; tolerance.
    Returns: an `Agreement`; its error is infinite where the layer_map has another size.
    Raises: ValueError for a model that does not end so.
    Source: Zhou et al. 2016; Selvaraju et al. 2017.

    >>> from tinydx.explain import grad_cam
    >>> from tinydx.layers import Conv2D
    >>> from tinydx.models import Sequential
    >>> first = Conv2D(4, 3, activation="relu", input_shape=(8, 8, 1))
    >>> model = Sequential([first, GlobalAveragePooling2D(), Dense(3, activation="softmax")])
    >>> x = np.random.default_rng(0).normal(size=(8, 8, 8, 1)).astype("float32")
    >>> bool(cam_agreement(model, x).passed)
    True
    """
    subject = Subject(model, x, target)
    if len(subject.start) > BATCH:
        raise ValueError(f"cam_agreement: {len(subject.start)} examples, give at most {BATCH}")
    inner = [layer for layer in model.all_layers() if not layer.layers]
    _, outputs = outputs_of(subject, np.arange(len(subject.start)), inner)
    means = [layer for layer in outputs if isinstance(layer, GlobalAveragePooling1D | GlobalAveragePooling2D)]
    dense = [layer for layer in outputs if isinstance(layer, Dense)]
    node = outputs[means[-1]].node if means else None
    made = [layer for layer, y in outputs.items() if node is not None and y is node.inputs[0]]
    if node is None or not made or not dense:
        raise ValueError(f"{model.name} does not end in a mean over places and a dense layer: CAM needs both")
    a, w = node.inputs[0].numpy(), np.asarray(dense[-1].kernel.numpy())
    bias: Any = 0 if dense[-1].bias is None else dense[-1].bias.numpy()
    places = tuple(range(1, a.ndim - 1))
    if a.shape[-1] != len(w) or _error(a.mean(axis=places) @ w + bias, subject.answers) > tolerance:
        raise ValueError(f"{model.name} has other layers between its mean over places and its logits: CAM needs one dense layer")
    columns = w.T[subject.classes] if w.shape[1] > 1 else np.where(subject.classes == 1, 1, -1)[:, None] * w[:, 0]
    cam = np.maximum(np.einsum("n...k,nk->n...", a, columns), 0) / np.prod([a.shape[i] for i in places])
    layer_map = method_named(method)(model, x, subject.classes.tolist(), layer=made[-1].name).layer_map
    return Agreement(np.inf if layer_map.shape != cam.shape else _error(layer_map, cam), tolerance)


def _error(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, as a share of the largest expected number."""
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-12))
