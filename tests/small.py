"""Small models and data, shared by the tests of layers, training and saving."""

from typing import Any

import numpy as np

from tinydx import layers
from tinydx.models import Sequential

# One example of every layer, with its input's shape (or shapes) without the batch axis.
EXAMPLES: dict[str, tuple[dict[str, Any], Any]] = {
    "Activation": ({"activation": "tanh"}, (3,)),
    "Add": ({}, [(3,), (3,)]),
    "Average": ({}, [(3,), (3,)]),
    "AdditiveAttention": ({"dropout": 0.1}, [(3, 2), (4, 2)]),
    "Attention": ({"use_scale": True}, [(3, 2), (4, 5), (4, 2)]),
    "AveragePooling2D": ({"pool_size": (2, 3), "strides": 1, "padding": "same"}, (5, 6, 2)),
    "BatchNormalization": ({"axis": 1, "momentum": 0.9, "epsilon": 1e-4}, (4, 3)),
    "Bidirectional": ({"layer": layers.LSTM(3, return_sequences=True), "merge_mode": "ave"}, (4, 2)),
    "Concatenate": ({"axis": 1}, [(2, 3), (4, 3)]),
    "Conv2D": (
        {
            "filters": 4,
            "kernel_size": (3, 2),
            "strides": (1, 2),
            "padding": "same",
            "groups": 2,
            "activation": "relu",
            "kernel_initializer": "he_normal",
        },
        (6, 7, 4),
    ),
    "Dense": ({"units": 3, "activation": "sigmoid", "use_bias": False}, (4,)),
    "DepthwiseConv2D": ({"kernel_size": (2, 3), "depth_multiplier": 2, "padding": "same", "use_bias": False}, (5, 4, 3)),
    "Dropout": ({"rate": 0.25, "noise_shape": (None, 1)}, (3,)),
    "Embedding": ({"input_dim": 7, "output_dim": 3, "mask_zero": True}, (5,)),
    "FiLM": ({"gamma_initializer": "ones", "beta_initializer": "ones"}, [(4, 3), (2,)]),
    "Flatten": ({}, (2, 3, 2)),
    "GRU": ({"units": 3, "reset_after": False, "dropout": 0.2, "recurrent_dropout": 0.1}, (4, 2)),
    "GlobalAveragePooling1D": ({}, (4, 3)),
    "GlobalAveragePooling2D": ({"keepdims": True}, (4, 5, 3)),
    "GlobalMaxPooling2D": ({}, (4, 5, 3)),
    "LSTM": ({"units": 3, "unit_forget_bias": False, "go_backwards": True}, (4, 2)),
    "LayerNormalization": ({"axis": (1, 2), "scale": False}, (4, 3)),
    "Masking": ({"mask_value": 1.0}, (4, 2)),
    "MaxPooling2D": ({"pool_size": 2, "strides": (2, 1)}, (5, 6, 2)),
    "Multiply": ({}, [(3,), (1,)]),
    "ReLU": ({"max_value": 1.5, "negative_slope": 0.25, "threshold": 0.125}, (4,)),
    "Reshape": ({"target_shape": (3, -1)}, (2, 6)),
    "SeparableConv2D": ({"filters": 4, "kernel_size": 2, "strides": 2, "depth_multiplier": 2, "activation": "tanh"}, (5, 4, 3)),
    "SimpleRNN": ({"units": 3, "activation": "relu", "return_sequences": True, "go_backwards": True}, (4, 2)),
    "ZeroPadding2D": ({"padding": ((0, 1), (2, 1))}, (4, 5, 3)),
    "TimeDistributed": ({"layer": layers.Conv2D(2, 3)}, (3, 5, 4, 2)),
}


def layer_of(kind: str, **common: Any) -> Any:
    """A new layer of that class, as in EXAMPLES."""
    config = {k: type(v)(**v.config) if isinstance(v, layers.Layer) else v for k, v in EXAMPLES[kind][0].items()}
    return getattr(layers, kind)(**config, **common)


def input_of(kind: str, n: int = 2, dtype: str = "float32", seed: int = 0) -> Any:
    """An input for the example of that class, or a list of inputs."""
    rng, shape = np.random.default_rng(seed), EXAMPLES[kind][1]
    if kind == "Embedding":
        return rng.integers(0, 7, (n, *shape))
    parts = [rng.normal(size=(n, *s)).astype(dtype) for s in (shape if isinstance(shape, list) else [shape])]
    return parts if isinstance(shape, list) else parts[0]


def two_classes(n: int = 40, features: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """x (n, features) and labels y (n,), 0 or 1, that a small model can learn."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    return (rng.normal(size=(n, features)) + 1.5 * y[:, None]).astype("float32"), y


def dense_model(features: int = 5, optimizer: Any = "adam", metrics: Any = ("accuracy",)) -> Sequential:
    """A compiled classifier of two layers."""
    model = Sequential([layers.Dense(6, activation="relu", input_shape=(features,)), layers.Dense(1, activation="sigmoid")])
    model.compile(optimizer, "binary_crossentropy", metrics=list(metrics))
    return model


def noisy_model(features: int = 5) -> Sequential:
    """A compiled classifier with random numbers (dropout) and moving averages (batch normalisation) in training."""
    model = Sequential(
        [
            layers.Dense(8, activation="relu", input_shape=(features,)),
            layers.BatchNormalization(momentum=0.8),
            layers.Dropout(0.3),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def same_weights(a: Any, b: Any) -> bool:
    """Whether two models (or lists of arrays) have the same weights, bit for bit."""
    a, b = (m if isinstance(m, list) else m.get_weights() for m in (a, b))
    return len(a) == len(b) and all(x.dtype == y.dtype and x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))
