"""Grad-CAM: where in a convolution's output the evidence lies."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinydx.explain.explanation import Explanation
from tinydx.explain.subject import BATCH, Subject
from tinydx.layers import Average, Layer
from tinydx.layers.base import tapped
from tinydx.tensor import Tensor, gradients


def grad_cam(model: Any, x: Any, target: Any = None, *, layer: Any = None) -> Explanation:
    r"""The positive evidence in a layer's channels, each weighed by how the class's logit answers to it on average.

    $L = \max\left(0, \sum_k a_k A_k\right)$ with $a_k = \frac{1}{h w} \sum_{i,j} \partial s_c / \partial A_{k,i,j}$, where
    $A_k$ (h,w) is channel k. For a mean over all places and a dense layer after it, this is CAM (Zhou et al. 2016) over h w.

    Arguments: model, x, target as `gradient`; layer, its name, its index, or the layer (None: the last one with an output
    (N,h,w,C) of more than one place that is no pooling; of sequences, (N,t,C); of an ensemble that of each member, added up).
    Returns: an `Explanation` with the layer's name, layer_map (N,h,w), and map (N,H,W), the same at the input's size by
    bilinear interpolation.
    Raises: ValueError for a layer that the model does not have or whose output has no places.
    Source: Selvaraju et al. 2017.

    >>> from tinydx.layers import Conv2D, Dense, GlobalAveragePooling2D
    >>> from tinydx.models import Sequential
    >>> first = Conv2D(4, 3, activation="relu", input_shape=(8, 8, 1))
    >>> model = Sequential([first, GlobalAveragePooling2D(), Dense(1, activation="sigmoid")])
    >>> found = grad_cam(model, np.ones((2, 8, 8, 1), "float32"))
    >>> found.map.shape, found.layer_map.shape
    ((2, 8, 8), (2, 6, 6))
    """
    subject = Subject(model, x, target)
    chosen = _last_with_places(subject) if layer is None else [_found(model, layer)]
    maps, scores = [], []
    for i in range(0, len(subject.start), BATCH):
        rows = np.arange(i, min(i + BATCH, len(subject.start)))
        score, outputs = outputs_of(subject, rows, chosen)
        for member in chosen:
            if member not in outputs:
                raise ValueError(f"layer {member.name} takes no part in this model's answer")
            if outputs[member].ndim not in (3, 4):
                raise ValueError(f"layer {member.name} has output {outputs[member].shape}: Grad-CAM needs (N,h,w,C) or (N,t,C)")
        slopes = gradients(score, [outputs[member] for member in chosen])
        maps.append(sum(weighed(outputs[member].numpy(), slope) for member, slope in zip(chosen, slopes, strict=True)))
        scores.append(score.numpy())
    layer_map = np.concatenate(maps)
    sides = subject.start.shape[1 : layer_map.ndim]
    name = ", ".join(member.name for member in chosen)
    return Explanation(
        "Grad-CAM", resized(layer_map, sides), subject.targets, np.concatenate(scores), layer=name, layer_map=layer_map
    )


def weighed(activations: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """The equation: channels (N,h,w,K), weighed by their mean gradient and added up; what is below 0 is none."""
    places = tuple(range(1, activations.ndim - 1))
    a = slope.mean(axis=places, keepdims=True)
    return np.maximum((a * activations).sum(axis=-1), 0)


def resized(maps: np.ndarray, sides: tuple[int, ...]) -> np.ndarray:
    """Maps (N,h,w) or (N,t) at another size, by linear interpolation between the centres of pixels along each axis.

    >>> resized(np.array([[0.0, 1.0]]), (4,))
    array([[0.  , 0.25, 0.75, 1.  ]])
    """
    for axis, size in enumerate(sides, start=1):
        old = maps.shape[axis]
        places = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
        low = np.floor(places).astype(int)
        high, share = np.minimum(low + 1, old - 1), places - low
        share = share.reshape([-1 if a == axis else 1 for a in range(maps.ndim)]).astype(maps.dtype)
        maps = maps.take(low, axis) * (1 - share) + maps.take(high, axis) * share
    return maps


def outputs_of(subject: Subject, rows: np.ndarray, layers: list[Layer]) -> tuple[Tensor, dict[Layer, Tensor]]:
    """The class's logits of some examples, and what the layers return on the way, by layer."""
    outputs: dict[Layer, Tensor] = {}

    def keep(layer: Layer) -> Any:
        def tap(y: Any) -> Any:
            outputs[layer] = y
            return y

        return tap

    with tapped({layer: keep(layer) for layer in layers}):
        score = subject.scores_on_tape(Tensor(subject.start[rows], requires_grad=True), rows)
    return score, outputs


def _last_with_places(subject: Subject) -> list[Layer]:
    """The last layer whose output has a place for each channel, and that pools nothing; of an ensemble, that of each member."""
    model = subject.model
    inner = [layer for layer in model.all_layers() if not layer.layers]
    _, outputs = outputs_of(subject, np.arange(1), inner)
    rank = max(3, subject.start.ndim)
    fits = [
        layer
        for layer, y in outputs.items()
        if isinstance(y, Tensor) and y.ndim == rank and max(y.shape[1:-1]) > 1 and "Pooling" not in type(layer).__name__
    ]
    if not fits:
        raise ValueError(f"{subject.model.name} has no layer whose output has places, (N,h,w,C): Grad-CAM needs a convolution")
    if not isinstance(model.layers[-1], Average):
        return fits[-1:]
    of_members = [[layer for layer in fits if layer in member.all_layers()] for member in model.layers if member.layers]
    return [found[-1] for found in of_members if found] or fits[-1:]


def _found(model: Any, layer: Any) -> Layer:
    """The layer of that name or index, or itself."""
    layers = [v for v in model.all_layers() if v is not model]
    if isinstance(layer, int | np.integer) and -len(model.layers) <= layer < len(model.layers):
        return model.layers[layer]
    for candidate in layers:
        if candidate is layer or candidate.name == layer:
            return candidate
    raise ValueError(f"{model.name} has no layer {layer!r}: it has {', '.join(v.name for v in layers)}")
