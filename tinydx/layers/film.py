"""FiLM: features scaled and shifted by a condition, such as what is known of a patient.

    y = (1 + e G) x + e B          x (N,...,D) features, e (N,E) the condition

Without a condition, e = 0, the features pass unchanged. Both G and B begin at 0, so that a new layer changes nothing.
"""

from __future__ import annotations

from typing import Any

from tinydx.layers.base import Layer, Shape
from tinydx.tensor import Tensor


class FiLM(Layer):
    """Feature-wise linear modulation: FiLM()([features, condition]).

    Arguments: gamma_initializer, beta_initializer, names or functions; the rest as Layer. A call takes [x (N,...,D), e (N,E)].
    Weights: gamma (E,D), beta (E,D).
    Returns: (N,...,D), for e = 0 the features themselves.
    Raises: ValueError unless there are two inputs, features and a condition with as many rows.
    Source: Perez et al. 2018, "FiLM: visual reasoning with a general conditioning layer".

    >>> import numpy as np
    >>> layer = FiLM(gamma_initializer="ones")
    >>> layer([np.full((1, 2), 3.0, "float32"), np.array([[0.5]], "float32")]).numpy()
    array([[4.5, 4.5]], dtype=float32)
    """

    supports_masking = True

    def __init__(self, gamma_initializer: Any = "zeros", beta_initializer: Any = "zeros", **common: Any):
        super().__init__(**common)
        self.initializers = gamma_initializer, beta_initializer

    def check_input(self, input_shape: Any) -> None:
        shapes = input_shape if isinstance(input_shape, list) else [input_shape]
        if len(shapes) != 2 or len(shapes[0]) < 2 or len(shapes[1]) != 2:
            raise ValueError(f"{self.name}: expected [features (N,...,D), condition (N,E)], got {shapes}")
        if None not in (shapes[0][0], shapes[1][0]) and shapes[0][0] != shapes[1][0]:
            raise ValueError(f"{self.name}: {shapes[0][0]} rows of features, but {shapes[1][0]} conditions")
        if self.built and (shapes[1][1], shapes[0][-1]) != self.gamma.shape:
            raise ValueError(f"{self.name}: was built for features and conditions of {self.gamma.shape[::-1]}, got {shapes}")

    def build(self, input_shape: Any) -> None:
        shape = input_shape[1][1], input_shape[0][-1]
        self.gamma = self.add_weight("gamma", shape, self.initializers[0])
        self.beta = self.add_weight("beta", shape, self.initializers[1])

    def call(self, x: list[Tensor], training: bool = False) -> Tensor:
        features, condition = x
        between = (features.shape[0], *[1] * (features.ndim - 2), features.shape[-1])
        scale, shift = (condition @ self.gamma).reshape(between), (condition @ self.beta).reshape(between)
        return features + features * scale + shift

    def compute_mask(self, x: list[Tensor], mask: list[Any]) -> Any:
        return mask[0]  # of the features

    def output_shape(self, input_shape: Any) -> Shape:
        return input_shape[0]
