"""A model as one function of its input: the logit of a class, and its gradient.

    x --model--> h --> ... --> logits --sigmoid or softmax--> probabilities
                                  |
                              the score

Logits are explained, never probabilities: a softmax near 0 or 1 is flat, and its gradient says nothing. They are found on the
tape, as the input of the last sigmoid or softmax, so that any model of Tensors will do. A model that ends in neither has its
output explained as it stands; of an ensemble, which returns the mean of its members' probabilities, the mean of their logits.

A model of word ids has no gradient by an id. Its parts are the tokens' vectors, which its Embedding returns; the numbers of a
vector count together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinydx.dispatch import unfused
from tinydx.layers import Embedding
from tinydx.layers.base import tapped
from tinydx.tensor import Tensor, gradients, no_grad

BATCH = 64  # examples that are run together


def logits(output: Tensor) -> Tensor:
    """The input of the sigmoid or softmax that made this output, or the output itself; of a mean of several, their inputs' mean.

    A mean of several is what an ensemble returns.

    >>> from tinydx import ops
    >>> z = Tensor([[1.0, 2.0]], requires_grad=True)
    >>> logits(ops.softmax(z)) is z
    True
    >>> logits((ops.sigmoid(z) + ops.sigmoid(3 * z)) / 2.0).numpy()
    array([[2., 4.]], dtype=float32)
    """
    found: list[Tensor] = []
    waiting = [output]
    while waiting:
        node = waiting.pop().node
        if node is None or node.op.name not in ("sigmoid", "softmax", "add", "divide", "reshape"):
            return output
        if node.op.name in ("sigmoid", "softmax"):
            found.append(node.inputs[0])
        elif node.op.name == "divide" and isinstance(node.inputs[1], Tensor):
            return output
        else:
            waiting += [x for x in node.inputs if isinstance(x, Tensor)]
    whole = [z if z.shape == output.shape else z.reshape(output.shape) for z in found]
    return whole[0] if len(whole) == 1 else sum(whole[1:], whole[0]) / float(len(whole))


class Subject:
    """A model, a batch of inputs, and the class of each that is explained.

    Arguments: model, built, of one input; x (N,...), as the model takes it, or one example without the batch axis; target, a
    class by name or index, or one for each example (None: the class that the model calls).
    Raises: ValueError for another shape, an unknown class, NaN in the input, and a model with several inputs.
    """

    def __init__(self, model: Any, x: Any, target: Any = None):
        if not model.built or isinstance(model.input_shape, list):
            raise ValueError(f"{model.name}: explanations need a built model with one input")
        x = np.asarray(x)
        self.model, self.x = model, x[None] if x.ndim == len(model.input_shape) - 1 else x
        if self.x.dtype.kind == "f" and not np.isfinite(self.x).all():
            raise ValueError(f"{model.name}: the input has NaN or infinite values, of which nothing can be explained")
        self.embedding = self._embedding() if model.takes_ids else None
        if self.embedding is None:
            self.x = self.x.astype(self.x.dtype if self.x.dtype in ("float32", "float64") else "float32")
        self.start = self.x if self.embedding is None else self._embedded()
        self.answers = self._answers()
        self.names = _names(model, self.answers.shape[1])
        self.classes = self._chosen(target)
        self.targets = [self.names[k] for k in self.classes]

    def _embedding(self) -> Embedding:
        found = [layer for layer in self.model.all_layers() if isinstance(layer, Embedding)]
        if len(found) != 1:
            raise ValueError(f"{self.model.name}: explanations of texts need one Embedding, it has {len(found)}")
        return found[0]

    def _embedded(self) -> np.ndarray:
        with no_grad():
            assert self.embedding is not None
            return self.embedding(self.x).numpy()

    def _answers(self) -> np.ndarray:
        """The logits (N,K) of all classes; K is 1 for one sigmoid."""
        parts = [self._logits(Tensor(self.start[i : i + BATCH], requires_grad=True), slice(i, i + BATCH)).numpy()
                 for i in range(0, len(self.start), BATCH)]  # fmt: skip
        return np.concatenate(parts)

    def _chosen(self, target: Any) -> np.ndarray:
        """The class number (N,) of each example."""
        if target is None:
            z = self.answers
            return (z[:, 0] > 0).astype(int) if z.shape[1] == 1 else z.argmax(axis=1)
        several = target if isinstance(target, list | tuple | np.ndarray) else [target] * len(self.x)
        if len(several) != len(self.x):
            raise ValueError(f"target: {len(several)} classes for {len(self.x)} examples")
        return np.array([self._class(t) for t in several], int)

    def _class(self, target: Any) -> int:
        if isinstance(target, str) and target in self.names:
            return self.names.index(target)
        if isinstance(target, int | np.integer) and 0 <= target < len(self.names):
            return int(target)
        known = f"{', '.join(self.names)}, or 0 to {len(self.names) - 1}"
        raise ValueError(f"target {target!r} is no class of {self.model.name}: it knows {known}")

    # ---- the function ----

    def _logits(self, h: Tensor, rows: Any) -> Tensor:
        """The logits of the examples `rows` with h in the place of their inputs (of texts: of their tokens' vectors)."""
        with unfused():
            if self.embedding is None:
                return _two_axes(logits(self.model(h, training=False)))
            mask = (self.x[rows] != 0) if self.embedding.mask_zero else None
            h.mask = mask
            with tapped({self.embedding: lambda y: h}):
                return _two_axes(logits(self.model(self.x[rows], training=False)))

    def _score(self, z: Tensor, rows: Any) -> Tensor:
        """The explained class's logit (n,): of one sigmoid z for the second class, -z for the first."""
        classes = self.classes[rows]
        weights = np.zeros(z.shape, z.dtype)
        if z.shape[1] == 1:
            weights[:, 0] = np.where(classes == 1, 1, -1)
        else:
            weights[np.arange(len(classes)), classes] = 1
        return (z * weights).sum(axis=1)

    def scores_on_tape(self, h: Tensor, rows: np.ndarray) -> Tensor:
        """The class's logits (n,) as a Tensor, for h in the place of the inputs of the examples `rows`."""
        return self._score(self._logits(h, rows), rows)

    def score(self, h: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """The class's logit (n,) for inputs h (n,...) in the place of the examples `rows` (default: all)."""
        return self.score_and_gradient(h, rows, gradient=False)[0]

    def score_and_gradient(
        self, h: np.ndarray, rows: np.ndarray | None = None, gradient: bool = True, change: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The class's logits (n,) and their gradient by h, like h.

        Arguments: h (n,...); rows (n,), the examples in whose place they stand (None: all, in order); gradient, whether it is
        wanted; change, a function of the logits that may alter the tape before the gradient is computed.
        """
        rows = np.arange(len(self.x)) if rows is None else rows
        scores, slopes = [], []
        for i in range(0, len(h), BATCH):
            part, which = Tensor(np.ascontiguousarray(h[i : i + BATCH]), requires_grad=True), rows[i : i + BATCH]
            score = self.scores_on_tape(part, which)
            scores.append(score.numpy())
            if change is not None:
                change(score)
            slopes.append(gradients(score, [part])[0] if gradient else np.zeros(0))
        return np.concatenate(scores), np.concatenate(slopes)

    def to_map(self, values: np.ndarray) -> np.ndarray:
        """Values like `start` as a map: of texts (N,T), the sum over the numbers of each token's vector; else as they are."""
        return values if self.embedding is None else values.sum(axis=-1)


def _two_axes(z: Tensor) -> Tensor:
    if z.ndim != 2:
        raise ValueError(f"explanations need one output for each class, (N,K); this model's has shape {z.shape}")
    return z


def _names(model: Any, outputs: int) -> list[str]:
    """The class names of a model with that many outputs; numbers as words where it knows none."""
    count = 2 if outputs == 1 else outputs
    names = list(model.class_names or [])
    return names if len(names) == count else [str(k) for k in range(count)]
