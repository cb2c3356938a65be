"""Small models for the way tinydx -> .keras -> Keras -> .keras -> tinydx: every layer that both have, and kinds of models.

Weights and inputs are multiples of 1/64, the same on every machine. `CASES[name]()` is (model, input or list of inputs).
"""

import numpy as np

from tinydx.layers import (
    GRU,
    LSTM,
    Activation,
    Add,
    AdditiveAttention,
    Attention,
    Average,
    AveragePooling2D,
    BatchNormalization,
    Bidirectional,
    Concatenate,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    Input,
    LayerNormalization,
    Masking,
    MaxPooling2D,
    Multiply,
    ReLU,
    Reshape,
    SeparableConv2D,
    SimpleRNN,
    TimeDistributed,
    ZeroPadding2D,
)
from tinydx.models import Model, Sequential
from tinydx.optimizers import SGD, AdamW
from tinydx.optimizers.schedules import ExponentialDecay
from tinydx.regularizers import L1L2

IMAGE, STEPS, ROW = (6, 5, 2), (4, 3), (5,)
ACTIVATIONS = ("elu", "leaky_relu", "linear", "relu", "sigmoid", "silu", "softmax", "softplus", "tanh")


def numbers(shape, seed=0):
    """Multiples of 1/64 between -1 and 1."""
    return (np.random.default_rng(seed).integers(-64, 65, shape) / 64).astype("float32")


def as_list(x):
    return list(x) if isinstance(x, list | tuple) else [x]


def run(model, x):
    """The outputs as arrays."""
    return [y.numpy() for y in as_list(model(x))]


def run_in_float64(model, x):
    """The outputs, computed in float64: no rounding of this machine's kernels, only Keras's own, stands between both."""
    before = [w.data for w in model.weights]
    for w in model.weights:
        w.data = w.data.astype("float64")
    try:
        found = [a.astype("float64") for a in as_list(x)]
        return run(model, found if len(found) > 1 else found[0])
    finally:
        for w, data in zip(model.weights, before, strict=True):
            w.data = data


def weighted(model):
    """The model with weights that can be told apart; moving variances are positive."""
    for i, w in enumerate(model.weights):
        values = numbers(w.shape, 100 + i).astype(w.dtype)
        w.data = np.abs(values) + w.dtype.type(0.25) if "variance" in w.name else values
    return model


def chain(*layers, shape, dtype="float32", name="chain"):
    """A chain with fixed names, an input of that shape, and numbers for it."""
    for i, layer in enumerate(layers):
        layer.name = f"{type(layer).__name__.lower()}_{i}"
    model = Sequential([Input(shape, dtype=dtype), *layers], name=name)
    return weighted(model), numbers((2, *shape), 7).astype(dtype)


def of(shape, *layers, **options):
    return lambda: chain(*(layer() for layer in layers), shape=shape, **options)


def masked(layer):
    """The layer behind a mask: steps of zeros are skipped."""

    def make():
        model, x = chain(Masking(name="masking"), layer(), shape=STEPS)
        x[0, 2:] = 0
        return model, x

    return make


def several(layer, count=2, shape=STEPS):
    """The layer on `count` inputs."""

    def make():
        inputs = [Input(shape, f"in_{i}") for i in range(count)]
        model = Model(inputs, layer()(inputs), name="several")
        return weighted(model), [numbers((2, *shape), i) for i in range(count)]

    return make


def words():
    model, _ = chain(Embedding(9, 4, mask_zero=True), LSTM(3), shape=(6,))
    return model, np.array([[1, 5, 2, 0, 0, 0], [8, 7, 3, 4, 1, 1]], "float32")


def residual():
    """Layers of one class at one distance from the output: Keras's order decides which is conv2d and which is conv2d_1."""
    x = Input(IMAGE, "picture")
    short = Conv2D(3, 1, name="short")(x)
    a = Conv2D(3, 3, padding="same", activation="relu", name="first")(x)
    b = Conv2D(3, 3, padding="same", name="second")(a)
    c = Conv2D(3, 1, name="last")(Add(name="sum")([b, short]))
    d = Conv2D(3, 1, name="other")(a)
    joined = Concatenate(name="joined")([d, c])
    return weighted(Model(x, Dense(2, name="out")(Flatten(name="flat")(joined)), name="residual")), numbers((2, *IMAGE))


def shared():
    a, b, layer = Input(ROW, "a"), Input(ROW, "b"), Dense(4, activation="tanh", name="both")
    far = Dense(1, name="far")(Average(name="mean")([layer(a), layer(Dense(5, name="before")(b))]))
    model = Model([a, b], [far, Dense(2, name="near")(layer(a))], name="shared")
    return weighted(model), [numbers((2, *ROW)), numbers((2, *ROW), 1)]


def nested():
    encoder = Sequential([Input(ROW), BatchNormalization(name="norm"), Dense(4, name="deep")], name="encoder")
    x = Input(ROW, "x")
    half = Model(x, Dense(4, name="wide")(x), name="half")
    y = Input(ROW, "y")
    return weighted(Model(y, Add(name="sum")([encoder(y), half(y)]), name="nested")), numbers((2, 5))


def states():
    x = Input(STEPS, "x")
    out, h, c = LSTM(3, return_state=True, return_sequences=True, name="encoder")(x)
    y = LSTM(3, name="decoder")(out, initial_state=[h, c])
    return weighted(Model(x, y, name="states")), numbers((2, *STEPS))


def frozen():
    model, x = chain(Dense(4), BatchNormalization(), Dense(1), shape=ROW)
    model.layers[0].trainable = False
    return model, x


def compiled():
    model, x = chain(Dense(4, kernel_regularizer=L1L2(0.25, 0.5)), Dense(1, activation="sigmoid"), shape=ROW)
    model.compile(AdamW(0.5, weight_decay=0.25), "binary_crossentropy", ["accuracy", "AUC"])
    return model, x


def scheduled():
    model, x = chain(Dense(3, activation="softmax"), shape=ROW)
    model.compile(SGD(ExponentialDecay(0.5, 10, 0.5), momentum=0.5), "categorical_crossentropy")
    return model, x


def double():
    model, x = chain(Dense(4, dtype="float64"), shape=ROW, dtype="float64")
    return model, x


RECURRENT = {"SimpleRNN": SimpleRNN, "LSTM": LSTM, "GRU": GRU}
SAME = {"padding": "same"}
CASES = {
    "Dense": of(ROW, lambda: Dense(3, use_bias=False, kernel_initializer="he_normal")),
    "Dropout": of(ROW, lambda: Dropout(0.5), lambda: Dense(2)),
    "Flatten Reshape": of(IMAGE, Flatten, lambda: Reshape((-1, 4))),
    "ReLU": of(ROW, lambda: ReLU(0.5, 0.25, 0.125)),
    "ReLU alone": of(ROW, lambda: Dense(4), ReLU),
    "BatchNormalization": of(IMAGE, lambda: BatchNormalization(momentum=0.5, epsilon=0.25)),
    "BatchNormalization axis": of(IMAGE, lambda: BatchNormalization(axis=1, center=False)),
    "LayerNormalization": of(IMAGE, lambda: LayerNormalization(epsilon=0.25), lambda: LayerNormalization(scale=False)),
    "Conv2D": of(IMAGE, lambda: Conv2D(4, (3, 2), (2, 1), groups=2, activation="relu", **SAME)),
    "Conv2D dilated": of(IMAGE, lambda: Conv2D(2, 2, dilation_rate=2, use_bias=False)),
    "DepthwiseConv2D": of(IMAGE, lambda: DepthwiseConv2D(3, depth_multiplier=3, activation="tanh", **SAME)),
    "SeparableConv2D": of(IMAGE, lambda: SeparableConv2D(4, 3, depth_multiplier=2), lambda: SeparableConv2D(2, 2, 2, **SAME)),
    "pooling": of(IMAGE, lambda: MaxPooling2D((2, 1)), lambda: AveragePooling2D(2, 1, "same")),
    "ZeroPadding2D": of(IMAGE, lambda: ZeroPadding2D(((1, 0), (2, 1))), GlobalAveragePooling2D),
    "GlobalMaxPooling2D": of(IMAGE, lambda: GlobalMaxPooling2D(keepdims=True)),
    "Embedding": words,
    "GlobalAveragePooling1D": masked(GlobalAveragePooling1D),
    "TimeDistributed": of((4, 3, 5), lambda: TimeDistributed(Dense(2, name="inside"))),
    "TimeDistributed model": of(
        (2, 6), lambda: TimeDistributed(Sequential([Input((6,)), Dense(3, name="a"), Dense(2, name="b")], name="inside"))
    ),
    "Bidirectional sum": masked(lambda: Bidirectional(GRU(2, return_sequences=True, name="gru"), "sum")),
    "Bidirectional twins": of(
        STEPS,
        lambda: Bidirectional(LSTM(2, name="one"), backward_layer=LSTM(2, go_backwards=True, activation="relu", name="two")),
    ),
    "Add": several(lambda: Add(name="merge"), 3),
    "Average": several(lambda: Average(name="merge")),
    "Multiply": several(lambda: Multiply(name="merge")),
    "Concatenate": several(lambda: Concatenate(axis=1, name="merge")),
    "Attention": several(lambda: Attention(use_scale=True, dropout=0.5, name="look")),
    "AdditiveAttention": several(lambda: AdditiveAttention(name="look")),
    "residual": residual,
    "shared": shared,
    "nested": nested,
    "states": states,
    "frozen": frozen,
    "compiled": compiled,
    "scheduled": scheduled,
    "float64": double,
}
CASES |= {f"activation {name}": of(ROW, lambda name=name: Activation(name)) for name in ACTIVATIONS}
CASES |= {f"{name} masked": masked(lambda kind=kind: kind(2, name="r")) for name, kind in RECURRENT.items()}
CASES |= {
    f"{name} reversed": of(
        STEPS, lambda kind=kind: kind(2, activation="relu", return_sequences=True, go_backwards=True, dropout=0.5)
    )
    for name, kind in RECURRENT.items()
}
CASES["GRU reset before"] = of(STEPS, lambda: GRU(2, reset_after=False))
CASES["LSTM no bias"] = of(STEPS, lambda: LSTM(2, use_bias=False, unit_forget_bias=False))
