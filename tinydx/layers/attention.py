"""Attention: every query is compared with all keys, and returns a mixture of the values whose keys match it.

q (N,Tq,U)   k (N,Tv,U)   v (N,Tv,V)           q: from the decoder, k and v: from what the encoder has read

scores  s_ij = q_i . k_j                       Attention          (Luong et al. 2015)
        s_ij = scale . tanh(q_i + k_j)         AdditiveAttention  (Bahdanau et al. 2015)
weights a_ij = softmax over j of s_ij          masked values get weight 0
result  y_i  = sum over j of a_ij v_j
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinydx import ops, random
from tinydx.layers.base import NO_SEQUENCE, Layer, Shape, expect_mask
from tinydx.layers.core import expect_rate
from tinydx.tensor import Tensor

FAR = 1e9  # is subtracted from the score of a masked value: its weight becomes 0, unless all are masked


class _AnyAttention(Layer):
    """Everything but the scores, which a subclass computes."""

    def __init__(self, use_scale: bool, dropout: float, **common: Any):
        super().__init__(**common)
        self.use_scale, self.dropout = use_scale, expect_rate(self, "dropout", dropout)
        self.scale: Tensor | None = None

    @property
    def is_one_op(self) -> bool:
        """Whether `ops.attention` gives the result of this layer; it does not return the attention weights."""
        return False

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """q (N,Tq,U), k (N,Tv,U) -> (N,Tq,Tv)"""
        raise NotImplementedError

    def check_input(self, input_shape: Any) -> None:
        shapes = input_shape if isinstance(input_shape, list) else [input_shape]
        if len(shapes) not in (2, 3) or any(len(s) != 3 for s in shapes):
            wanted = "[query, value] or [query, value, key], each (N, time, features)"
            flat = f"; {NO_SEQUENCE}" if any(len(s) == 2 for s in shapes) else ""
            raise ValueError(f"{self.name}: expected {wanted}, got {shapes}{flat}")
        query, value, key = shapes[0], shapes[1], shapes[-1]
        if query[2] != key[2] or key[1] != value[1]:
            raise ValueError(f"{self.name}: query {query}, value {value} and key {key} do not fit each other")

    def call(
        self,
        x: list[Tensor],
        training: bool = False,
        mask: Any = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """The mixtures, and the weights if asked for; mask: those of query and value (N,Tq), (N,Tv), instead of their own."""
        query, value, key = x[0], x[1], x[-1]
        query_mask, value_mask, *_ = mask or [query.mask, value.mask]
        query_mask, value_mask = expect_mask(self, query_mask, query.shape[:2]), expect_mask(self, value_mask, value.shape[:2])
        if self.is_one_op and not (return_attention_scores or (training and self.dropout)):
            y, weights = ops.attention(query, key, value, mask=value_mask, causal=use_causal_mask), None
        else:
            weights = self.weights_of(query, key, value_mask, use_causal_mask)
            if training and self.dropout:
                kept = random.generator().random(weights.shape, np.float32) >= self.dropout
                weights = ops.dropout(weights, mask=kept, rate=self.dropout)
            y = weights @ value
        if query_mask is not None:
            y = y * query_mask[..., None].astype(y.dtype)
            y.mask = query_mask
        return [y, weights] if return_attention_scores else y

    def weights_of(self, query: Tensor, key: Tensor, value_mask: Any, causal: bool) -> Tensor:
        """How much of each value each query gets, (N,Tq,Tv)."""
        scores = self.scores(query, key)
        if value_mask is not None or causal:
            hidden = np.zeros((1, *scores.shape[1:]), bool)
            if value_mask is not None:
                hidden = hidden | ~value_mask[:, None]
            if causal:
                hidden = hidden | (np.arange(scores.shape[2]) > np.arange(scores.shape[1])[:, None])
            scores = scores - np.where(hidden, FAR, 0).astype(scores.dtype)
        return ops.softmax(scores)

    def compute_mask(self, x: list[Tensor], mask: list[Any]) -> Any:
        return mask[0]  # of the query: the output has its steps

    def output_shape(self, input_shape: Any) -> Shape:
        query, value = input_shape[:2]
        return (*query[:2], value[2])

    def symbolic_shape(self, input_shape: Any, keywords: dict[str, Any]) -> Any:
        query, value = input_shape[:2]
        out = self.output_shape(input_shape)
        return [out, (*query[:2], value[1])] if keywords.get("return_attention_scores") else out


class Attention(_AnyAttention):
    """Dot-product attention, Luong's.

    Masked values get weight 0, masked queries give 0.

    Arguments: use_scale, whether a weight multiplies all scores; dropout, of the attention weights in training; the rest as
    Layer. A call takes [query, value] or [query, value, key], each (N, time, features); mask, [query's, value's], instead of
    the inputs' own; return_attention_scores, whether to return the weights, too; use_causal_mask, whether query i sees only
    values 0 to i.
    Weights: scale, one number, if use_scale.
    Returns: (N,Tq,V), or [(N,Tq,V), weights (N,Tq,Tv)].
    Raises: ValueError where the inputs' shapes do not fit each other.

    >>> query, value = np.ones((1, 2, 3), "float32"), np.ones((1, 4, 3), "float32")
    >>> Attention()([query, value]).shape
    (1, 2, 3)
    """

    def __init__(self, use_scale: bool = False, dropout: float = 0.0, **common: Any):
        super().__init__(use_scale, dropout, **common)

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight("scale", (), "ones") if self.use_scale else None

    @property
    def is_one_op(self) -> bool:
        return self.scale is None

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        products = query @ key.transpose(0, 2, 1)
        return products if self.scale is None else products * self.scale


class AdditiveAttention(_AnyAttention):
    """Additive attention, Bahdanau's: as Attention, with scores scale . tanh(query + key).

    Bahdanau's matrices are Dense layers before it.

    Arguments: use_scale, whether there are weights for the features, else ones; dropout; the rest, and a call, as Attention.
    Weights: scale (features,), if use_scale.
    Returns, Raises: as Attention.

    >>> query, value = np.ones((1, 2, 3), "float32"), np.ones((1, 4, 3), "float32")
    >>> y, weights = AdditiveAttention()([query, value], return_attention_scores=True)
    >>> weights.numpy()[0, 0]
    array([0.25, 0.25, 0.25, 0.25], dtype=float32)
    """

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **common: Any):
        super().__init__(use_scale, dropout, **common)

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight("scale", (input_shape[0][2],), "glorot_uniform") if self.use_scale else None

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        (n, queries, units), keys = query.shape, key.shape[1]
        sums = ops.tanh(query.reshape(n, queries, 1, units) + key.reshape(n, 1, keys, units))
        return (sums if self.scale is None else sums * self.scale).sum(axis=-1)
