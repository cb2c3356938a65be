"""Layers for words: integers in, vectors out."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinydx import ops, regularizers
from tinydx.layers.base import Layer, Shape, count, expect_mask, expect_rank
from tinydx.noting import made
from tinydx.tensor import Tensor


class Embedding(Layer):
    """A vector for each of input_dim words.

    Arguments: input_dim, the number of words; output_dim, the size of a vector; embeddings_initializer, a name or function;
    mask_zero, whether id 0 is padding, which later layers skip; embeddings_regularizer, a penalty (`tinydx.regularizers`), name,
    object or None; the rest as Layer.
    Weights: embeddings (input_dim, output_dim).
    Returns: (N,T,output_dim) for ids (N,T), integers 0..input_dim-1.
    Raises: IndexError for other ids.

    >>> Embedding(10, 4)(np.array([[1, 2, 0]])).shape
    (1, 3, 4)
    """

    integer_input = True  # ids have no mask; the vectors get one in `call`
    supports_masking = True

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        mask_zero: bool = False,
        *,
        embeddings_regularizer: Any = None,
        **common: Any,
    ):
        super().__init__(**common)
        self.input_dim, self.output_dim = count(self, "input_dim", input_dim), count(self, "output_dim", output_dim)
        self.mask_zero = mask_zero
        self.initializer, self.regularizer = embeddings_initializer, regularizers.get(embeddings_regularizer)

    def build(self, input_shape: Shape) -> None:
        shape = self.input_dim, self.output_dim
        self.embeddings = self.add_weight("embeddings", shape, self.initializer, regularizer=self.regularizer)

    def call(self, x: Any, training: bool = False) -> Tensor:
        ids = x.data if isinstance(x, Tensor) else x
        if ids.dtype.kind == "f" and (ids == np.floor(ids)).all():
            ids = ids.astype(np.int64)  # whole numbers that a pipeline turned into floats
        y = ops.embedding(self.embeddings, ids=ids)
        y.mask = made(lambda ids: ids != 0, ids) if self.mask_zero else None
        return y

    def output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape, self.output_dim)


class GlobalAveragePooling1D(Layer):
    """The mean over the time steps; masked steps do not count, and an example of only masked steps gives 0.

    A call takes mask (N,T) of bool instead of the input's own.

    Returns: (N,D) for x (N,T,D).

    >>> words = Embedding(10, 4, mask_zero=True)(np.array([[1, 2, 0]]))
    >>> mean = GlobalAveragePooling1D()(words)
    >>> bool(np.allclose(mean.data[0], (words.data[0, 0] + words.data[0, 1]) / 2))
    True
    """

    def compute_mask(self, x: Tensor, mask: Any) -> None:
        return None  # it has left the masked steps out

    def check_input(self, input_shape: Shape) -> None:
        expect_rank(self, input_shape, 3, "(N, time, features)")

    def call(self, x: Tensor, training: bool = False, mask: Any = None) -> Tensor:
        mask = expect_mask(self, x.mask if mask is None else mask, x.shape[:2])
        if mask is None:
            return x.mean(axis=1)
        share = made(lambda mask, x: (mask / np.maximum(mask.sum(axis=1, keepdims=True), 1))[:, None].astype(x.dtype), mask, x)
        return (share @ x).reshape(x.shape[0], x.shape[2])

    def output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], input_shape[2])
