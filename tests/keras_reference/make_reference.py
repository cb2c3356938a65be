"""Reference values from real Keras, for tests/test_keras_parity.py (which needs no Keras).

Run from anywhere, in an environment of its own (CPU, half a minute):

    python3 -m venv kerasvenv
    kerasvenv/bin/pip install "keras==3.15.1" "tensorflow-cpu==2.21.0" pillow scipy
    kerasvenv/bin/python tests/keras_reference/make_reference.py     # or with names: ... layers losses

Each subject becomes one or more small .npz files beside this script. In each, `header` is a JSON text with
the versions used and `cases`: for every case what to build (the Keras name and its arguments) and how to call
it. Arrays are named `case/what`, and `case/float32/what`, `case/float64/what` where Keras computed in both.

Inputs, weights and cotangents are multiples of 1/128 (start weights of models: of 1/4096), so that they are
the same numbers in float32 and float64 and need storing once. Traps:
- Keras on TensorFlow takes Adam's beta 0.999 through float32 even when it computes in float64 (the third step
  is off by 2e-6). The float64 cases of optimizers therefore use constants that float32 holds exactly.
- Keras on TensorFlow leaves an embedding's gradients of repeated ids apart, and Adam then adds their squares
  instead of squaring their sum (dense gradients are sums): `summed` sums them.
- TensorFlow's leaky_relu holds its slope 0.2 in float32: no float64 reference.
- A recurrent layer called with initial_state does not see the mask that its input carries (the mask goes on with its
  output all the same); `mask=` it does see.
- `set_floatx` alone leaves dtypes that layers have cached: `precision` sets the dtype policy too.
"""

import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import keras
import numpy as np
import PIL
import scipy
import tensorflow as tf
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from PIL import Image

HERE = Path(__file__).parent
DTYPES = ("float32", "float64")


# ---------------------------------------------------------------------------------------------------- helpers
def save(name: str, cases: dict, arrays: dict) -> None:
    """Writes one .npz: its JSON header (versions, cases) and its arrays."""
    versions = {"keras": keras.__version__, "tensorflow": tf.__version__, "numpy": np.__version__,
                "scipy": scipy.__version__, "pillow": PIL.__version__}
    header = json.dumps({"versions": versions, "cases": cases})
    path = HERE / f"{name}.npz"
    np.savez_compressed(path, header=np.array(header), **arrays)
    print(f"{path.name}: {len(cases)} cases, {path.stat().st_size / 1000:.0f} kB")


def draw(rng: np.random.RandomState, *shape: int) -> np.ndarray:
    """Multiples of 1/128 in [-2, 2], never 0: exact in float32 and float64."""
    magnitude = rng.randint(1, 257, shape) / 128
    return np.asarray(magnitude * rng.choice([-1, 1], shape), "float32")


@contextlib.contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Keras computes in `dtype` inside the block."""
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


# ----------------------------------------------------------------------------------------------------- layers
def spec(layer: str, /, *shapes: tuple, integers: int = 0, **config) -> dict:
    """One layer to build: its Keras name, input shapes and arguments; integers: inputs are ids below it."""
    keys = ("training", "mask", "initial_state", "return_attention_scores", "use_causal_mask")
    call = {key: config.pop(key) for key in keys if key in config}
    return {"layer": layer, "config": config, "call": call, "shapes": shapes, "integers": integers}


IMAGE = (2, 6, 5, 4)
CONVOLUTION = {
    "conv2d-valid": spec("Conv2D", IMAGE, filters=3, kernel_size=3),
    "conv2d-same": spec("Conv2D", IMAGE, filters=3, kernel_size=3, padding="same"),
    "conv2d-same-even-kernel": spec("Conv2D", IMAGE, filters=3, kernel_size=[2, 4], padding="same"),
    "conv2d-rectangular": spec("Conv2D", IMAGE, filters=2, kernel_size=[3, 1]),
    "conv2d-valid-strides": spec("Conv2D", IMAGE, filters=3, kernel_size=[3, 2], strides=[2, 3]),
    "conv2d-same-strides": spec("Conv2D", IMAGE, filters=3, kernel_size=3, strides=2, padding="same"),
    "conv2d-same-strides-even-size": spec(
        "Conv2D", (1, 8, 6, 2), filters=2, kernel_size=3, strides=2, padding="same"),
    "conv2d-same-strides-over-kernel": spec(
        "Conv2D", IMAGE, filters=2, kernel_size=1, strides=2, padding="same"),
    "conv2d-valid-dilation": spec("Conv2D", IMAGE, filters=3, kernel_size=[3, 2], dilation_rate=2),
    "conv2d-same-dilation": spec(
        "Conv2D", IMAGE, filters=3, kernel_size=3, dilation_rate=[2, 3], padding="same"),
    "conv2d-groups": spec("Conv2D", IMAGE, filters=6, kernel_size=3, groups=2),
    "conv2d-groups-same-strides": spec(
        "Conv2D", IMAGE, filters=8, kernel_size=[2, 3], groups=4, strides=2, padding="same"),
    "conv2d-no-bias": spec("Conv2D", IMAGE, filters=3, kernel_size=2, use_bias=False),
    "conv2d-relu": spec("Conv2D", IMAGE, filters=3, kernel_size=3, activation="relu"),
    "conv2d-tanh": spec("Conv2D", IMAGE, filters=2, kernel_size=3, activation="tanh"),
}
POOLING = {
    f"{kind}-{label}": spec(layer, (2, 7, 6, 3), **config)
    for kind, layer in (("max_pooling2d", "MaxPooling2D"), ("average_pooling2d", "AveragePooling2D"))
    for label, config in {
        "default": {"pool_size": 2},
        "same": {"pool_size": 2, "padding": "same"},
        "3x2": {"pool_size": [3, 2]},
        "3x3-strides": {"pool_size": 3, "strides": 2},
        "3x3-strides-1-same": {"pool_size": 3, "strides": 1, "padding": "same"},
        "3x2-strides-same": {"pool_size": [3, 2], "strides": [2, 3], "padding": "same"},
        "strides-over-pool": {"pool_size": 2, "strides": 3},
    }.items()
} | {
    "max_pooling2d-ties": spec("MaxPooling2D", (2, 7, 6, 3), pool_size=3, strides=2),
    "max_pooling2d-ties-same": spec("MaxPooling2D", (2, 7, 6, 3), pool_size=2, padding="same"),
    "global_average_pooling2d": spec("GlobalAveragePooling2D", (3, 5, 4, 3)),
    "global_average_pooling2d-keepdims": spec("GlobalAveragePooling2D", (3, 5, 4, 3), keepdims=True),
    "global_max_pooling2d": spec("GlobalMaxPooling2D", (3, 5, 4, 3)),
}
CORE = {
    "flatten": spec("Flatten", (3, 2, 4, 3)),
    "reshape": spec("Reshape", (3, 2, 4, 3), target_shape=[4, 6]),
    "reshape-unknown": spec("Reshape", (3, 2, 4, 3), target_shape=[-1, 8]),
    "dense": spec("Dense", (4, 5), units=3),
    "dense-3d": spec("Dense", (2, 4, 5), units=3),
    "dense-no-bias": spec("Dense", (4, 5), units=3, use_bias=False),
    "dense-sigmoid": spec("Dense", (4, 5), units=1, activation="sigmoid"),
    "dense-softmax": spec("Dense", (4, 5), units=3, activation="softmax"),
    "dense-3d-tanh": spec("Dense", (2, 4, 5), units=3, activation="tanh"),
    "add": spec("Add", (3, 4), (3, 4), (3, 4)),
    "concatenate": spec("Concatenate", (3, 4), (3, 2)),
    "concatenate-axis": spec("Concatenate", (3, 4, 2), (3, 1, 2), axis=1),
    "embedding": spec("Embedding", (3, 5), integers=6, input_dim=6, output_dim=4),
    "embedding-mask_zero": spec("Embedding", (3, 5), integers=3, input_dim=6, output_dim=4, mask_zero=True),
} | {
    f"activation-{name}": spec("Activation", (3, 4, 5), activation=name)
    for name in ("relu", "sigmoid", "tanh", "softmax", "leaky_relu", "elu", "softplus", "silu", "linear")
}
IMAGES = (3, 4, 2, 5)
NORMALIZATION = {
    "batch_normalization-training": spec("BatchNormalization", (6, 4), training=True),
    "batch_normalization-inference": spec("BatchNormalization", (6, 4), training=False),
    "batch_normalization-constants-training": spec(
        "BatchNormalization", (6, 4), training=True, momentum=0.8, epsilon=1e-5),
    "batch_normalization-images-training": spec("BatchNormalization", IMAGES, training=True),
    "batch_normalization-images-inference": spec("BatchNormalization", IMAGES, training=False),
    "batch_normalization-axis-1-training": spec("BatchNormalization", IMAGES, training=True, axis=1),
    "batch_normalization-plain-training": spec(
        "BatchNormalization", (6, 4), training=True, center=False, scale=False),
    "layer_normalization": spec("LayerNormalization", (5, 4)),
    "layer_normalization-3d": spec("LayerNormalization", (3, 4, 5), epsilon=1e-5),
    "layer_normalization-axes": spec("LayerNormalization", (3, 4, 5), axis=[1, 2]),
    "layer_normalization-plain": spec("LayerNormalization", (5, 4), center=False, scale=False),
}
SEQUENCE = (3, 5, 4)
RECURRENT = {
    "simple_rnn": spec("SimpleRNN", SEQUENCE, units=3),
    "simple_rnn-sequences": spec("SimpleRNN", SEQUENCE, units=3, return_sequences=True),
    "simple_rnn-state": spec("SimpleRNN", SEQUENCE, units=3, return_state=True),
    "simple_rnn-sequences-state": spec(
        "SimpleRNN", SEQUENCE, units=3, return_sequences=True, return_state=True),
    "simple_rnn-backwards": spec("SimpleRNN", SEQUENCE, units=3, go_backwards=True),
    "simple_rnn-backwards-sequences": spec(
        "SimpleRNN", SEQUENCE, units=3, go_backwards=True, return_sequences=True),
    "simple_rnn-no-bias": spec("SimpleRNN", SEQUENCE, units=3, use_bias=False, return_sequences=True),
    "simple_rnn-relu": spec("SimpleRNN", SEQUENCE, units=3, activation="relu", return_sequences=True),
    "simple_rnn-mask": spec("SimpleRNN", SEQUENCE, units=3, mask=True),
    "simple_rnn-mask-sequences": spec("SimpleRNN", SEQUENCE, units=3, mask=True, return_sequences=True),
    "simple_rnn-mask-sequences-state": spec(
        "SimpleRNN", SEQUENCE, units=3, mask=True, return_sequences=True, return_state=True),
    "simple_rnn-mask-backwards-sequences": spec(
        "SimpleRNN", SEQUENCE, units=3, mask=True, go_backwards=True, return_sequences=True),
    "simple_rnn-initial_state": spec(
        "SimpleRNN", SEQUENCE, units=3, initial_state=True, return_sequences=True),
}
SHORT = (3, 5, 3)


def gated(layer: str, **config) -> dict[str, dict]:
    """The ways in which a layer of gates is called."""
    every = {"return_sequences": True, "return_state": True}
    return {
        "": spec(layer, SHORT, units=2, **config),
        "-no-bias": spec(layer, SHORT, units=2, use_bias=False, **config),
        "-activations": spec(layer, SHORT, units=2, activation="sigmoid", recurrent_activation="tanh", **config),
        "-mask-sequences-state": spec(layer, SHORT, units=2, mask=True, **every, **config),
        "-mask-backwards-sequences": spec(
            layer, SHORT, units=2, mask=True, go_backwards=True, return_sequences=True, **config),
        "-initial_state": spec(layer, SHORT, units=2, initial_state=True, **every, **config),
    }


def both_ways(layer: str, merge_mode: str | None, call: dict | None = None, **config) -> dict:
    """A Bidirectional; the layer in it as JSON."""
    inner = {"class": layer, "config": {"units": 2, **config}}
    return spec("Bidirectional", SHORT, layer=inner, merge_mode=merge_mode, **call or {})


GATED = {
    f"{name}{label}": case
    for name, cases in {
        "lstm": gated("LSTM"), "gru": gated("GRU"), "gru-reset_before": gated("GRU", reset_after=False),
    }.items()
    for label, case in cases.items()
} | {
    "bidirectional-concat": both_ways("LSTM", "concat"),
    "bidirectional-sum-sequences": both_ways("GRU", "sum", return_sequences=True),
    "bidirectional-mul": both_ways("SimpleRNN", "mul"),
    "bidirectional-ave-mask-sequences-state": both_ways(
        "LSTM", "ave", {"mask": True}, return_sequences=True, return_state=True),
    "bidirectional-none-mask-sequences": both_ways("GRU", None, {"mask": True}, return_sequences=True),
    "bidirectional-concat-mask": both_ways("GRU", "concat", {"mask": True}),
    "time_distributed": spec(
        "TimeDistributed", SHORT, layer={"class": "Dense", "config": {"units": 2, "activation": "tanh"}}),
    "masking": spec("Masking", SHORT),
}
QUERY, VALUE = (2, 3, 3), (2, 5, 3)
ATTENTION = {
    f"{name}{label}": spec(layer, *shapes, **config)
    for name, layer in (("attention", "Attention"), ("additive_attention", "AdditiveAttention"))
    for label, shapes, config in (
        ("", (QUERY, VALUE), {}),
        ("-key-scores", (QUERY, (2, 5, 2), VALUE), {"return_attention_scores": True}),
        ("-scale", (QUERY, VALUE), {"use_scale": layer == "Attention"}),
        ("-mask-scores", (QUERY, VALUE), {"mask": True, "return_attention_scores": True}),
        ("-mask-causal", (QUERY, VALUE), {"mask": True, "use_causal_mask": True}),
    )
}
PADDING = {
    "zero_padding2d": spec("ZeroPadding2D", IMAGE),
    "zero_padding2d-number": spec("ZeroPadding2D", IMAGE, padding=2),
    "zero_padding2d-rows-columns": spec("ZeroPadding2D", IMAGE, padding=[0, 3]),
    "zero_padding2d-ends": spec("ZeroPadding2D", IMAGE, padding=[[0, 1], [2, 0]]),
}
SEPARABLE = {
    "relu": spec("ReLU", (3, 4, 5)),
    "relu-settings": spec("ReLU", (3, 4, 5), max_value=0.75, negative_slope=0.25, threshold=0.125),
    "relu-slope": spec("ReLU", (3, 4, 5), negative_slope=0.5),
    "depthwise_conv2d": spec("DepthwiseConv2D", IMAGE, kernel_size=3),
    "depthwise_conv2d-same": spec("DepthwiseConv2D", IMAGE, kernel_size=[2, 3], strides=2, padding="same", depth_multiplier=3,
                                  activation="tanh"),
    "depthwise_conv2d-dilated": spec("DepthwiseConv2D", IMAGE, kernel_size=2, dilation_rate=2, use_bias=False),
    "separable_conv2d": spec("SeparableConv2D", IMAGE, filters=4, kernel_size=3, activation="relu"),
    "separable_conv2d-same": spec("SeparableConv2D", IMAGE, filters=2, kernel_size=3, strides=2, padding="same",
                                  depth_multiplier=2),
    "separable_conv2d-dilated": spec("SeparableConv2D", IMAGE, filters=5, kernel_size=2, dilation_rate=2, use_bias=False),
}
# Trailing, leading and inner masked steps: each row one of them.
MASK = np.array([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [1, 0, 1, 1, 0]], bool)
QUERY_MASK = np.array([[1, 1, 0], [0, 1, 1]], bool)


def make_layers() -> None:
    """Forward outputs and gradients (inputs, weights) of every layer, and what training changes in it."""
    groups = {"layers_convolution": CONVOLUTION, "layers_pooling": POOLING, "layers_core": CORE,
              "layers_normalization": NORMALIZATION, "layers_recurrent": RECURRENT,
              "layers_gated": GATED, "layers_attention": ATTENTION, "layers_padding": PADDING, "layers_separable": SEPARABLE}
    for number, (file, cases) in enumerate(groups.items()):
        rng = np.random.RandomState(number)
        arrays = {}
        for name, case in cases.items():
            case["dtypes"] = ["float32"] if "leaky_relu" in name else list(DTYPES)
            given = layer_inputs(rng, name, case)
            arrays |= {f"{name}/{key}": value for key, value in given.items()}
            for dtype in case["dtypes"]:
                result = run_layer(rng, case, given, dtype)
                arrays |= {f"{name}/{key}": value for key, value in result.items()}
        save(file, cases, arrays)


def layer_inputs(rng: np.random.RandomState, name: str, case: dict) -> dict[str, np.ndarray]:
    """x0, x1 ..., mask, initial_state and weight0, weight1 ... of a case."""
    given = {}
    for index, shape in enumerate(case["shapes"]):
        if case["integers"]:
            given[f"x{index}"] = rng.randint(0, case["integers"], shape).astype("int32")
        elif "ties" in name:
            given[f"x{index}"] = rng.randint(-1, 2, shape).astype("float32")
        else:
            given[f"x{index}"] = draw(rng, *shape)
    if name.startswith("activation"):
        given["x0"][:, 0, :2] = 0.0  # what the derivative is at 0
        given["x0"][0, 1] *= 16  # far from 0
    if case["layer"] == "Masking":
        given["x0"][~MASK] = 0.0
    if case["call"].get("mask"):
        given["mask"] = MASK[:case["shapes"][0][0]]
    if case["call"].get("mask") and "Attention" in case["layer"]:
        given["mask_of_query"] = QUERY_MASK
    layer = build_layer(case, "float32")
    if case["call"].get("initial_state"):
        for index in range(len(layer.cell.state_size) if case["layer"] == "LSTM" else 1):
            given[f"state{index}"] = draw(rng, case["shapes"][0][0], case["config"]["units"])
    for index, weight in enumerate(layer.weights):
        value = draw(rng, *weight.shape)
        if "recurrent" in weight.path:
            value /= 4  # keeps tanh out of saturation
        given[f"weight{index}"] = np.abs(value) + 0.5 if "variance" in weight.path else value
    return given


def build_layer(case: dict, dtype: str) -> keras.Layer:
    config = dict(case["config"])
    if "layer" in config:  # a layer around another
        config["layer"] = getattr(keras.layers, config["layer"]["class"])(**config["layer"]["config"], dtype=dtype)
    layer = getattr(keras.layers, case["layer"])(**config, dtype=dtype)
    layer.build(list(case["shapes"]) if len(case["shapes"]) > 1 else case["shapes"][0])
    return layer


def run_layer(rng: np.random.RandomState, case: dict, given: dict, dtype: str) -> dict[str, np.ndarray]:
    """Outputs y0.., for each of them and a cotangent dx0.., dweight0.., and weights changed by training."""
    with precision(dtype):
        layer = build_layer(case, dtype)
        layer.set_weights([given[f"weight{i}"] for i in range(len(layer.weights))])
        xs = [tf.constant(given[f"x{i}"]) for i in range(len(case["shapes"]))]
        xs = xs if case["integers"] else [tf.cast(x, dtype) for x in xs]
        call = dict(case["call"])
        if "mask" in given:
            call["mask"] = tf.constant(given["mask"])
        if "mask_of_query" in given:
            call["mask"] = [tf.constant(given["mask_of_query"]), call["mask"]]
        states = [tf.cast(given[key], dtype) for key in given if key.startswith("state")]
        if states:
            call["initial_state"] = states
        trainable = [weight.value for weight in layer.trainable_weights]
        with tf.GradientTape(persistent=True) as tape:
            if not case["integers"]:
                tape.watch(xs + states)
            outputs = layer(xs if len(xs) > 1 else xs[0], **call)
        outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
        result = {}
        for j, output in enumerate(outputs):
            assert output.dtype == dtype, (case, output.dtype)
            result[f"{dtype}/y{j}"] = output.numpy()
            cotangent = given.get(f"cotangent{j}")
            if cotangent is None:
                cotangent = given[f"cotangent{j}"] = result[f"cotangent{j}"] = draw(rng, *output.shape)
            sources = trainable if case["integers"] else xs + states + trainable
            names = [] if case["integers"] else [f"dx{i}" for i in range(len(xs))]
            names += [f"dstate{i}" for i in range(len(states))] + [f"dweight{i}" for i in range(len(trainable))]
            gradients = tape.gradient(output, sources, output_gradients=tf.cast(cotangent, dtype),
                                      unconnected_gradients=tf.UnconnectedGradients.ZERO)
            for name, gradient in zip(names, gradients, strict=True):
                result[f"{dtype}/{name}_y{j}"] = tf.convert_to_tensor(gradient).numpy()
        if layer.non_trainable_weights:
            result |= {f"{dtype}/after{i}": weight for i, weight in enumerate(layer.get_weights())}
        if (case["config"].get("mask_zero") or case["layer"] == "Masking") and dtype == "float32":
            result["mask_out"] = layer.compute_mask(xs[0]).numpy()
    return result


# -------------------------------------------------------------------------------------- sequence to sequence
def make_sequences() -> None:
    """A GRU encoder-decoder with attention: outputs, and the gradient of every weight."""
    rng, arrays = np.random.RandomState(43), {}
    arrays["x0"] = np.array([[3, 1, 4, 2, 0], [5, 2, 0, 0, 0], [1, 1, 6, 0, 0]], "int32")
    arrays["x1"] = np.array([[1, 4, 2, 3], [1, 2, 5, 0], [1, 3, 0, 0]], "int32")
    cases = {kind: {"attention": kind, "dtypes": list(DTYPES)} for kind in ("Attention", "AdditiveAttention")}
    for name in cases:
        for dtype in DTYPES:
            with precision(dtype):
                model, parts = encoder_decoder(name)
                weights = [weight for part in parts for weight in part.weights]
                for i, weight in enumerate(weights):
                    weight.assign(arrays.setdefault(f"{name}/weight{i}", draw(rng, *weight.shape) / 2))
                with tf.GradientTape() as tape:
                    output = model([tf.constant(arrays["x0"]), tf.constant(arrays["x1"])])
                cotangent = arrays.setdefault("cotangent0", draw(rng, *output.shape))
                gradients = tape.gradient(output, [w.value for w in weights], tf.cast(cotangent, dtype))
                arrays[f"{name}/{dtype}/y0"] = output.numpy()
                for i, gradient in enumerate(gradients):
                    arrays[f"{name}/{dtype}/dweight{i}"] = tf.convert_to_tensor(gradient).numpy()
    save("sequences", cases, arrays)


def encoder_decoder(attention: str) -> tuple[keras.Model, list]:
    """The model, and its layers in the order of their weights."""
    layers = keras.layers
    read, written = keras.Input((5,), dtype="int32"), keras.Input((4,), dtype="int32")
    parts = [layers.Embedding(7, 3, mask_zero=True), layers.GRU(4, return_sequences=True, return_state=True),
             layers.Embedding(6, 3, mask_zero=True), layers.GRU(4, return_sequences=True),
             getattr(layers, attention)(use_scale=True), layers.Dense(6, activation="softmax")]
    embed_read, encoder, embed_written, decoder, look, output = parts
    seen, state = encoder(embed_read(read))
    states = decoder(embed_written(written), initial_state=[state])
    together = layers.Concatenate()([states, look([states, seen])])
    return keras.Model([read, written], output(together)), parts


# ----------------------------------------------------------------------------------------------------- losses
def make_losses() -> None:
    """Value (mean over the batch, as compile uses it) and gradient with respect to the prediction."""
    rng = np.random.RandomState(10)
    given = {
        "labels": rng.randint(0, 2, (6, 3)), "p": rng.randint(1, 128, (6, 3)) / 128, "z": 4 * draw(rng, 6, 3),
        "extreme_labels": np.array([[0, 1, 1], [0, 1, 1], [0, 1, 0]]),
        "extreme_p": np.array([[0, 1, 0], [1, 0, 1], [2**-30, 1 - 2**-20, 0.5]]),
        "extreme_z": np.array([[40, -40, 0], [100, -100, 3], [-40, 40, 0]]),
        "ids": np.array([0, 2, 1, 1, 0, 2]), "one_hot": np.eye(3)[[0, 2, 1, 1, 0, 2]],
        "distribution": np.array([[5, 2, 1], [1, 1, 6], [3, 3, 2], [1, 6, 1], [4, 3, 1], [2, 5, 1]]) / 8,
        "weight": np.array([1, 0.5, 2, 0, 1.5, 1]), "target": draw(rng, 6, 3), "near": draw(rng, 6, 3)}
    given["label_column"], given["p_column"] = given["labels"][:, :1], given["p"][:, :1]
    given["id_column"] = given["ids"][:, None]
    given["id_sequence"], given["z_sequence"] = given["ids"].reshape(2, 3), given["z"].reshape(2, 3, 3)
    given["near"][0] = given["target"][0]  # differences of 0
    given["near"][1] = given["target"][1] + [1, -1, 0.5]  # Huber's corners
    dtypes = {key: "int32" if key.startswith("id") else "float32" for key in given}
    given = {key: value.astype(dtypes[key]) for key, value in given.items()}

    bce, cce, scce = "BinaryCrossentropy", "CategoricalCrossentropy", "SparseCategoricalCrossentropy"
    logits, smoothing = {"from_logits": True}, {"label_smoothing": 0.125}
    table = {  # name: (class, arguments, target, prediction)
        "binary_crossentropy": (bce, {}, "labels", "p"),
        "binary_crossentropy-column": (bce, {}, "label_column", "p_column"),
        "binary_crossentropy-smoothing": (bce, smoothing, "labels", "p"),
        "binary_crossentropy-clipped": (bce, {}, "extreme_labels", "extreme_p"),
        "binary_crossentropy-logits": (bce, logits, "labels", "z"),
        "binary_crossentropy-logits-smoothing": (bce, logits | smoothing, "labels", "z"),
        "binary_crossentropy-logits-extreme": (bce, logits, "extreme_labels", "extreme_z"),
        "categorical_crossentropy": (cce, {}, "one_hot", "distribution"),
        "categorical_crossentropy-unnormalized": (cce, {}, "one_hot", "p"),
        "categorical_crossentropy-smoothing": (cce, smoothing, "one_hot", "distribution"),
        "categorical_crossentropy-logits": (cce, logits, "one_hot", "z"),
        "categorical_crossentropy-logits-smoothing": (cce, logits | smoothing, "one_hot", "z"),
        "sparse_categorical_crossentropy": (scce, {}, "ids", "distribution"),
        "sparse_categorical_crossentropy-column": (scce, {}, "id_column", "distribution"),
        "sparse_categorical_crossentropy-logits": (scce, logits, "ids", "z"),
        "sparse_categorical_crossentropy-logits-sequence": (scce, logits, "id_sequence", "z_sequence"),
        "mean_squared_error": ("MeanSquaredError", {}, "target", "near"),
        "mean_absolute_error": ("MeanAbsoluteError", {}, "target", "near"),
        "huber": ("Huber", {}, "target", "near"),
        "huber-delta": ("Huber", {"delta": 0.5}, "target", "near"),
    }
    cases = {name: {"loss": loss, "config": config, "y_true": y_true, "y_pred": y_pred, "value": {}}
             for name, (loss, config, y_true, y_pred) in table.items()}
    cases |= {f"{name}-weighted": case | {"sample_weight": "weight", "value": {}}
              for name, case in cases.items()
              if len(given[case["y_pred"]]) == len(given["weight"]) and "smoothing" not in name}
    arrays = dict(given)
    for name, case in cases.items():
        weight = given[case["sample_weight"]] if "sample_weight" in case else None
        for dtype in DTYPES:
            with precision(dtype), tf.GradientTape() as tape:
                prediction = tf.constant(given[case["y_pred"]].astype(dtype))
                tape.watch(prediction)
                loss = getattr(keras.losses, case["loss"])(**case["config"])
                value = loss(given[case["y_true"]], prediction, weight)
            assert value.dtype == dtype
            case["value"][dtype] = float(value)
            arrays[f"{name}/{dtype}/gradient"] = tape.gradient(value, prediction).numpy()
    save("losses", cases, arrays)


# ---------------------------------------------------------------------------------------------------- metrics
def make_metrics() -> None:
    """The running result of each metric after each of three batches, without and with sample weights."""
    rng = np.random.RandomState(20)
    arrays = {}
    for i, n in enumerate((8, 8, 5)):
        arrays[f"binary/y_true{i}"] = rng.randint(0, 2, (n, 1))
        arrays[f"binary/y_pred{i}"] = rng.randint(0, 65, (n, 1)) / 64
        arrays[f"binary/y_pred{i}"][:3, 0] = [0.5, 0, 1]  # at the threshold, at both ends
        arrays[f"logits/y_true{i}"] = arrays[f"binary/y_true{i}"]
        arrays[f"logits/y_pred{i}"] = 8 * arrays[f"binary/y_pred{i}"] - 4
        arrays[f"sparse/y_true{i}"] = rng.randint(0, 4, n)
        arrays[f"classes/y_true{i}"] = np.eye(4)[arrays[f"sparse/y_true{i}"]]
        arrays[f"classes/y_pred{i}"] = arrays[f"sparse/y_pred{i}"] = rng.randint(0, 65, (n, 4)) / 64
        arrays[f"sample_weight{i}"] = rng.randint(0, 9, n) / 4
    arrays = {key: value.astype("float32") for key, value in arrays.items()}
    table = {  # name: (class, arguments, batches)
        "binary_accuracy": ("BinaryAccuracy", {}, "binary"),
        "binary_accuracy-threshold": ("BinaryAccuracy", {"threshold": 0.25}, "binary"),
        "categorical_accuracy": ("CategoricalAccuracy", {}, "classes"),
        "sparse_categorical_accuracy": ("SparseCategoricalAccuracy", {}, "sparse"),
        "auc": ("AUC", {}, "binary"),
        "auc-thresholds": ("AUC", {"num_thresholds": 11}, "binary"),
        "auc-logits": ("AUC", {"from_logits": True}, "logits"),
        "precision": ("Precision", {}, "binary"),
        "precision-threshold": ("Precision", {"thresholds": 0.25}, "binary"),
        "recall": ("Recall", {}, "binary"),
        "recall-threshold": ("Recall", {"thresholds": 0.75}, "binary"),
        "f1_score-binary": ("F1Score", {"threshold": 0.5}, "binary"),
        "f1_score-argmax": ("F1Score", {}, "classes"),
        "f1_score-macro": ("F1Score", {"average": "macro"}, "classes"),
        "f1_score-micro": ("F1Score", {"average": "micro"}, "classes"),
        "f1_score-weighted": ("F1Score", {"average": "weighted"}, "classes"),
        "mean_squared_error": ("MeanSquaredError", {}, "binary"),
        "mean_absolute_error": ("MeanAbsoluteError", {}, "binary"),
    }
    cases = {}
    for name, (metric, config, batches) in table.items():
        for weighted in (False, True):
            running = getattr(keras.metrics, metric)(**config)
            results = []
            for i in range(3):
                running.update_state(arrays[f"{batches}/y_true{i}"], arrays[f"{batches}/y_pred{i}"],
                                     sample_weight=arrays[f"sample_weight{i}"] if weighted else None)
                results.append(np.asarray(running.result()).tolist())
            case = {"metric": metric, "config": config, "batches": batches, "weighted": weighted}
            cases[name + "-sample_weight" * weighted] = case | {"results": results}
    save("metrics", cases, arrays)


# ------------------------------------------------------------------------------------------------- optimizers
def optimizer_table() -> dict[str, tuple[str, dict, tuple]]:
    """name: (class, arguments, dtypes). Float32 holds all constants of the cases computed in float64, too."""
    lr = {"learning_rate": 2**-4}
    rms = lr | {"rho": 0.875, "epsilon": 2**-20}
    adam = lr | {"beta_1": 0.875, "beta_2": 0.96875, "epsilon": 2**-20}
    exact = {
        "sgd-plain": ("SGD", lr),
        "sgd-momentum": ("SGD", lr | {"momentum": 0.875}),
        "sgd-nesterov": ("SGD", lr | {"momentum": 0.875, "nesterov": True}),
        "rmsprop-plain": ("RMSprop", rms),
        "rmsprop-momentum": ("RMSprop", rms | {"momentum": 0.875}),
        "rmsprop-centered": ("RMSprop", rms | {"centered": True}),
        "rmsprop-centered-momentum": ("RMSprop", rms | {"centered": True, "momentum": 0.875}),
        "adagrad": ("Adagrad", lr | {"initial_accumulator_value": 0.125, "epsilon": 2**-20}),
        "adam": ("Adam", adam),
        "adamw": ("AdamW", adam | {"weight_decay": 2**-6}),
    }
    extras = {"": {}, "-clipnorm": {"clipnorm": 1.5}, "-clipvalue": {"clipvalue": 0.5}}
    table = {f"{name}{label}": (optimizer, config | extra, DTYPES)
             for name, (optimizer, config) in exact.items() for label, extra in extras.items()}
    for name in ("sgd-momentum", "rmsprop-plain", "adam"):
        optimizer, config = exact[name]
        table[f"{name}-weight_decay"] = (optimizer, config | {"weight_decay": 2**-4}, DTYPES)
    for optimizer in ("SGD", "RMSprop", "Adagrad", "Adam", "AdamW"):
        table[f"{optimizer.lower()}-defaults"] = (optimizer, {}, ("float32",))
    return table


def make_optimizers() -> None:
    """Twelve steps of each optimizer on two variables with given gradients: the variables after each step."""
    rng = np.random.RandomState(30)
    start = [draw(rng, 2, 3), draw(rng, 4)]
    gradients = [draw(rng, 12, *variable.shape) for variable in start]
    gradients[0][:, 0, 0] = 0  # never updated
    gradients[1][3:9] /= 64  # small for some steps
    cases, arrays = {}, {f"start{i}": value for i, value in enumerate(start)}
    arrays |= {f"gradient{i}": value for i, value in enumerate(gradients)}
    for name, (optimizer, config, dtypes) in optimizer_table().items():
        cases[name] = {"optimizer": optimizer, "config": config, "dtypes": dtypes}
        for dtype in dtypes:
            with precision(dtype):
                variables = [keras.Variable(value, dtype=dtype) for value in start]
                stepper = getattr(keras.optimizers, optimizer)(**config)
                path = []
                for step in range(12):
                    stepper.apply([tf.cast(g[step], dtype) for g in gradients], variables)
                    path.append(np.concatenate([variable.numpy().ravel() for variable in variables]))
            assert path[0].dtype == dtype
            arrays[f"{name}/{dtype}/path"] = np.stack(path)
    save("optimizers", cases, arrays)


SCHEDULES = {  # name: (class, arguments)
    "cosine": ("CosineDecay", {"initial_learning_rate": 0.5, "decay_steps": 10}),
    "cosine-alpha": ("CosineDecay", {"initial_learning_rate": 0.5, "decay_steps": 10, "alpha": 0.125}),
    "cosine-warmup": ("CosineDecay", {"initial_learning_rate": 0.0, "decay_steps": 8, "warmup_target": 0.5,
                                      "warmup_steps": 4}),
    "cosine-warmup-alpha": ("CosineDecay", {"initial_learning_rate": 0.125, "decay_steps": 8, "alpha": 0.25,
                                            "warmup_target": 0.5, "warmup_steps": 5}),
    "cosine-warmup-without-target": ("CosineDecay", {"initial_learning_rate": 0.5, "decay_steps": 10,
                                                     "warmup_steps": 4}),
    "exponential": ("ExponentialDecay", {"initial_learning_rate": 0.5, "decay_steps": 4, "decay_rate": 0.5}),
    "exponential-staircase": ("ExponentialDecay", {"initial_learning_rate": 0.5, "decay_steps": 4,
                                                   "decay_rate": 0.5, "staircase": True}),
    "inverse_time": ("InverseTimeDecay", {"initial_learning_rate": 0.5, "decay_steps": 4, "decay_rate": 0.5}),
    "inverse_time-staircase": ("InverseTimeDecay", {"initial_learning_rate": 0.5, "decay_steps": 4,
                                                    "decay_rate": 0.5, "staircase": True}),
    "piecewise": ("PiecewiseConstantDecay", {"boundaries": [3, 7], "values": [0.5, 0.25, 0.125]}),
}


def make_schedules() -> None:
    """The learning rate of twenty steps of each schedule."""
    cases = {}
    for name, (schedule, config) in SCHEDULES.items():
        follow = getattr(keras.optimizers.schedules, schedule)(**config)
        cases[name] = {"schedule": schedule, "config": config, "rates": [float(follow(step)) for step in range(20)]}
    save("schedules", cases, {})


def make_averages() -> None:
    """Twelve steps of optimizers with use_ema or a schedule: the variables after each step, and their final values."""
    rng = np.random.RandomState(31)
    start = [draw(rng, 2, 3), draw(rng, 4)]
    gradients = [draw(rng, 12, *variable.shape) for variable in start]
    cases, arrays = {}, {f"start{i}": value for i, value in enumerate(start)}
    arrays |= {f"gradient{i}": value for i, value in enumerate(gradients)}
    exact, average = optimizer_table(), {"use_ema": True, "ema_momentum": 0.875}
    table = {f"{name}-{label}": (*exact[name][:1], exact[name][1] | extra, exact[name][2])
             for name in ("sgd-plain", "sgd-momentum", "rmsprop-plain", "adam", "adamw", "sgd-momentum-weight_decay")
             for label, extra in {"ema": average, "overwritten": average | {"ema_overwrite_frequency": 3}}.items()}
    table["sgd-defaults-ema"] = ("SGD", {"use_ema": True}, ("float32",))
    for name in ("sgd-momentum", "adamw", "sgd-momentum-weight_decay"):
        for schedule in ("cosine-warmup-alpha", "exponential", "piecewise"):
            optimizer, config, _ = exact[name]
            table[f"{name}-{schedule}"] = (optimizer, config | {"learning_rate": SCHEDULES[schedule]}, ("float32",))
    for name, (optimizer, config, dtypes) in table.items():
        cases[name] = {"optimizer": optimizer, "config": config, "dtypes": dtypes}
        for dtype in dtypes:
            with precision(dtype):
                variables = [keras.Variable(value, dtype=dtype) for value in start]
                stepper, path = build_optimizer(optimizer, config), []
                for step in range(12):
                    stepper.apply([tf.cast(g[step], dtype) for g in gradients], variables)
                    path.append(np.concatenate([variable.numpy().ravel() for variable in variables]))
                stepper.finalize_variable_values(variables)
                arrays[f"{name}/{dtype}/final"] = np.concatenate([v.numpy().ravel() for v in variables])
            arrays[f"{name}/{dtype}/path"] = np.stack(path)
    save("averages", cases, arrays)


def build_optimizer(name: str, config: dict, wrap=lambda kind: kind) -> keras.optimizers.Optimizer:
    """The optimizer of a case, whose learning rate may be a schedule (class, arguments)."""
    if isinstance(config.get("learning_rate"), tuple):
        schedule, arguments = config["learning_rate"]
        config = config | {"learning_rate": getattr(keras.optimizers.schedules, schedule)(**arguments)}
    return wrap(getattr(keras.optimizers, name))(**config)


# ----------------------------------------------------------------------------------------------- regularizers
PENALTIES = {  # name: (class, arguments)
    "l1": ("L1", {"l1": 2**-5}), "l2": ("L2", {"l2": 2**-6}), "l1_l2": ("L1L2", {"l1": 2**-6, "l2": 2**-5}),
    "l1-default": ("L1", {}), "l2-default": ("L2", {}), "l1_l2-default": ("L1L2", {}),
    "l1_l2-one": ("L1L2", {"l2": 2**-5}),
}


def make_regularizers() -> None:
    """The penalty of a weight, and its gradient."""
    w = draw(np.random.RandomState(90), 4, 5)
    w[0, :3] = 0  # what the derivative of |w| is at 0
    cases, arrays = {}, {"w": w}
    for name, (penalty, config) in PENALTIES.items():
        case = cases[name] = {"regularizer": penalty, "config": config, "value": {}}
        for dtype in DTYPES if config else ("float32",):  # Keras holds L1's factor in float32
            with precision(dtype):
                weight = tf.Variable(w.astype(dtype))
                with tf.GradientTape() as tape:
                    value = getattr(keras.regularizers, penalty)(**config)(weight)
                case["value"][dtype] = float(value)
                gradient = tape.gradient(value, weight, unconnected_gradients=tf.UnconnectedGradients.ZERO)
                arrays[f"{name}/{dtype}/gradient"] = gradient.numpy()
    save("regularizers", cases, arrays)


def penalised(layer: str, /, frozen: bool = False, **config) -> dict:
    """A layer of a regularized model; its arguments ..._regularizer are names of PENALTIES."""
    return {"layer": layer, "config": config, "frozen": frozen}


REGULARIZED = {  # name: layers
    "dense": [penalised("Dense", units=6, activation="relu", kernel_regularizer="l2", bias_regularizer="l1"),
              penalised("Dense", units=1, activation="sigmoid", kernel_regularizer="l1_l2")],
    "frozen": [penalised("Dense", True, units=6, activation="relu", kernel_regularizer="l2"),
               penalised("Dense", units=1, activation="sigmoid", kernel_regularizer="l1")],
    "conv2d": [penalised("Reshape", target_shape=[4, 3, 1]),
               penalised("Conv2D", filters=3, kernel_size=2, activation="relu", kernel_regularizer="l2",
                         bias_regularizer="l2"),
               penalised("BatchNormalization"),
               penalised("Flatten"), penalised("Dense", units=1, activation="sigmoid")],
    **{name.lower(): [penalised("Reshape", target_shape=[4, 3]),
                      penalised(name, units=3, kernel_regularizer="l2", recurrent_regularizer="l1_l2",
                                bias_regularizer="l1"),
                      penalised("Dense", units=1, activation="sigmoid")]
       for name in ("SimpleRNN", "LSTM", "GRU")},
    "embedding": [penalised("Embedding", input_dim=9, output_dim=4, embeddings_regularizer="l2"),
                  penalised("GlobalAveragePooling1D"), penalised("Dense", units=1, activation="sigmoid")],
}


def make_regularized() -> None:
    """fit, with penalties of weights, a schedule and averages: history, final weights, evaluate."""
    rng = np.random.RandomState(91)
    x, ids, y = draw(rng, 30, 12), rng.randint(0, 9, (30, 5)), rng.randint(0, 2, (30, 1))
    cases, arrays = {}, {"x": x, "ids": ids.astype("uint8"), "y": y.astype("uint8")}
    sgd = ("SGD", {"learning_rate": 2**-4, "momentum": 0.875}, "float64")
    average = {"use_ema": True, "ema_momentum": 0.875}
    table = {name: (name, *sgd) for name in REGULARIZED} | {
        "dense-adam": ("dense", "Adam", {"learning_rate": 2**-6}, "float32"),
        "conv2d-averaged": ("conv2d", "SGD", sgd[1] | average, "float64"),
        "conv2d-overwritten": ("conv2d", "SGD", sgd[1] | average | {"ema_overwrite_frequency": 4}, "float64"),
        "dense-everything": ("dense", "Adam", average | {"learning_rate": SCHEDULES["cosine-warmup"]}, "float32"),
    }
    for name, (model, optimizer, config, dtype) in table.items():
        case = cases[name] = {"model": REGULARIZED[model], "optimizer": optimizer, "config": config, "dtype": dtype,
                              "input": "ids" if model == "embedding" else "x"}
        with precision(dtype):
            built = regularized_model(case)
            start = [start_weight(rng, value).astype(dtype) for value in built.weights]
            built.set_weights(start)
            arrays |= {f"{name}/start{i}": value for i, value in enumerate(start)}
            built.compile(build_optimizer(optimizer, config, summed), "binary_crossentropy")
            given = ids if model == "embedding" else x.astype(dtype)
            history = built.fit(given[:20], y[:20], batch_size=8, epochs=3, shuffle=False, verbose=0,
                                validation_data=(given[20:], y[20:]))
            case["history"] = {key: [float(v) for v in values] for key, values in history.history.items()}
            case["evaluate"] = float(built.evaluate(given[20:], y[20:], verbose=0))
            arrays |= {f"{name}/end{i}": value for i, value in enumerate(built.get_weights())}
    save("regularized", cases, arrays)


def regularized_model(case: dict) -> keras.Sequential:
    """The model of a case; frozen layers keep their weights."""
    model = keras.Sequential([keras.Input((5,), dtype="int32") if case["input"] == "ids" else keras.Input((12,))])
    for part in case["model"]:
        config = dict(part["config"])
        for key in [key for key in config if key.endswith("_regularizer")]:
            penalty, arguments = PENALTIES[config[key]]
            config[key] = getattr(keras.regularizers, penalty)(**arguments)
        model.add(getattr(keras.layers, part["layer"])(**config))
        model.layers[-1].trainable = not part["frozen"]
    return model


# ----------------------------------------------------------------------------------------------- initializers
def make_initializers() -> None:
    """The limit of glorot_uniform: Keras's largest draw of many, and its fans."""
    from keras.src.initializers.random_initializers import compute_fans

    cases = {}
    for shape in ((37, 512), (512, 1), (3, 3, 16, 48), (5, 2, 8, 64), (300, 200)):
        fan_in, fan_out = compute_fans(shape)
        limit = float(np.sqrt(6 / (fan_in + fan_out)))
        values = np.asarray(keras.initializers.GlorotUniform(seed=1)(shape))
        assert 0.98 * limit < np.abs(values).max() <= limit
        cases["x".join(map(str, shape))] = {"shape": shape, "limit": limit}
    save("initializers", cases, {})


# --------------------------------------------------------------------------------------------------- training
def cnn_model() -> keras.Sequential:
    """The document's shape, reduced: three convolutions, each pooled, a dense layer, a sigmoid."""
    layers = keras.layers
    return keras.Sequential([
        keras.Input((22, 22, 3)),
        layers.Conv2D(4, (3, 3), activation="relu"), layers.MaxPooling2D((2, 2)),
        layers.Conv2D(6, (3, 3), activation="relu"), layers.MaxPooling2D((2, 2)),
        layers.Conv2D(8, (3, 3), activation="relu"), layers.MaxPooling2D((2, 2)),
        layers.Flatten(), layers.Dense(16, activation="relu"), layers.Dense(1, activation="sigmoid")])


def rnn_model() -> keras.Sequential:
    layers = keras.layers
    return keras.Sequential([keras.Input((9,), dtype="int32"), layers.Embedding(20, 6, mask_zero=True),
                             layers.SimpleRNN(8), layers.Dense(1, activation="sigmoid")])


def normalized_model() -> keras.Sequential:
    layers = keras.layers
    return keras.Sequential([
        keras.Input((8, 8, 1)),
        layers.Conv2D(4, 3, padding="same", use_bias=False), layers.BatchNormalization(),
        layers.Activation("relu"), layers.AveragePooling2D(2), layers.Flatten(), layers.Dropout(0.0),
        layers.Dense(3, activation="softmax")])


def training_data(rng: np.random.RandomState) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(inputs, labels) of 80 samples for each model; pixels are eighths, stored as whole numbers."""
    images = rng.randint(0, 8, (80, 22, 22, 3)).astype("uint8")
    abnormal = rng.randint(0, 2, (80, 1))
    images[abnormal[:, 0] == 1, 6:12, 6:12] //= 2
    ids = rng.randint(1, 20, (80, 9)).astype("uint8")
    ids[np.arange(9) >= rng.randint(3, 10, (80, 1))] = 0  # padded to 9 steps
    many = ids.sum(axis=1, keepdims=True, dtype=int) > 55
    small, three = rng.randint(0, 8, (80, 8, 8, 1)).astype("uint8"), rng.randint(0, 3, 80)
    data = {"cnn": (images, abnormal), "rnn": (ids, many), "normalized": (small, three)}
    return {name: (x, y.astype("uint8")) for name, (x, y) in data.items()}


def make_training() -> None:
    """Losses of ten batches and the weights after them, from given weights."""
    rng = np.random.RandomState(41)
    data = training_data(rng)
    adam, sgd = ("Adam", {"learning_rate": 0.01}), ("SGD", {"learning_rate": 2**-4, "momentum": 0.875})
    table = {  # name: (model, optimizer, dtype)
        "cnn-adam": ("cnn", ("Adam", {}), "float32"),
        "cnn-adam-fast": ("cnn", adam, "float32"),
        "cnn-sgd": ("cnn", sgd, "float64"),
        "rnn-adam": ("rnn", adam, "float32"),
        "rnn-sgd": ("rnn", sgd, "float64"),
        "normalized-adam": ("normalized", adam, "float32"),
        "normalized-rmsprop": ("normalized", ("RMSprop", {}), "float32"),
        "normalized-sgd": ("normalized", sgd, "float64"),
    }
    builders = {"cnn": cnn_model, "rnn": rnn_model, "normalized": normalized_model}
    losses = {"cnn": "binary_crossentropy", "rnn": "binary_crossentropy",
              "normalized": "sparse_categorical_crossentropy"}
    cases, arrays, starts = {}, {}, {}
    for model, (x, y) in data.items():
        starts[model] = [start_weight(rng, weight) for weight in builders[model]().weights]
        arrays |= {f"{model}_x": x, f"{model}_y": y}
        arrays |= {f"{model}/start{i}": value for i, value in enumerate(starts[model])}
    for name, (model, (optimizer, config), dtype) in table.items():
        case = cases[name] = {"model": model, "optimizer": optimizer, "config": config, "loss": losses[model],
                              "dtype": dtype, "batch_size": 8}
        result = train(builders[model], case, *data[model], starts[model], dtype)
        # Adam divides by sqrt(v): a gradient of nearly 0 would make rounding visible. Here is none.
        for key, exact in train(builders[model], case, *data[model], starts[model], "float64").items():
            assert np.abs(exact - result[key]).max() < 1e-5 * np.abs(exact).max(), (name, key)
        arrays |= {f"{name}/{key}": value for key, value in result.items()}
    save("training", cases, arrays)


def train(build, case: dict, x: np.ndarray, y: np.ndarray, start: list, dtype: str) -> dict[str, np.ndarray]:
    """The losses of ten batches, the weights at the end (end0 ..) and a prediction then."""
    with precision(dtype):
        model = build()
        model.set_weights(start)
        model.compile(summed(getattr(keras.optimizers, case["optimizer"]))(**case["config"]), case["loss"])
        x = x if case["model"] == "rnn" else x.astype(dtype) / 8
        losses = [model.train_on_batch(x[i:i + 8], y[i:i + 8]) for i in range(0, len(x), 8)]
        ends = {f"end{i}": value for i, value in enumerate(model.get_weights())}
        return {"losses": np.array(losses, dtype), "prediction": model.predict(x[:8], verbose=0)} | ends


def summed(optimizer: type) -> type:
    """The optimizer, which first sums the gradients of repeated ids (see the traps above)."""

    class Summed(optimizer):
        def apply(self, grads, trainable_variables=None):
            super().apply([tf.convert_to_tensor(gradient) for gradient in grads], trainable_variables)

    return Summed


def start_weight(rng: np.random.RandomState, weight: keras.Variable) -> np.ndarray:
    """Glorot-sized, in multiples of 1/4096; biases and normalisation stay as Keras starts them."""
    if "normalization" in weight.path or "bias" in weight.path:
        return weight.numpy()
    limit = np.sqrt(6 / (np.prod(weight.shape[:-1]) + weight.shape[-1]))
    return (np.round(rng.uniform(-limit, limit, weight.shape) * 4096) / 4096).astype("float32")


def make_fit() -> None:
    """History of `fit` (shuffle=False, 50 samples in batches of 16: a last batch of 2), evaluate, predict."""
    rng = np.random.RandomState(50)
    x, y = draw(rng, 50, 5), rng.randint(0, 2, (50, 1))
    x_val, y_val = draw(rng, 21, 5), rng.randint(0, 2, (21, 1))
    three, three_val = rng.randint(0, 3, 50), rng.randint(0, 3, 21)
    weight, weight_val = rng.randint(1, 9, 50) / 4, rng.randint(1, 9, 21) / 4
    arrays = {"x": x, "y": y, "x_val": x_val, "y_val": y_val, "three": three, "three_val": three_val,
              "weight": weight.astype("float32"), "weight_val": weight_val.astype("float32")}
    binary = {"units": 1, "activation": "sigmoid", "loss": "binary_crossentropy", "y": "y",
              "metrics": ["accuracy"]}
    softmax = {"units": 3, "activation": "softmax", "loss": "sparse_categorical_crossentropy", "y": "three",
               "metrics": ["accuracy"]}
    regression = {"units": 1, "activation": None, "loss": "mean_squared_error", "y": "y", "metrics": ["mae"]}
    triple = {"class_weight": {"0": 1.0, "1": 3.0}}
    weighted = {"sample_weight": "weight"}
    validated = {"validation_data": ["x_val", "y_val"]}
    cases = {
        "plain": binary,
        "class_weight": binary | triple,
        "sample_weight": binary | weighted,
        "weighted_metrics": binary | weighted | {"weighted_metrics": ["accuracy"], "metrics": []},
        "validation_data": binary | validated,
        "validation_data-weights": binary | weighted | {"validation_data": ["x_val", "y_val", "weight_val"]},
        "validation_split": binary | {"validation_split": 0.3},
        "class_weight-validation_data": binary | triple | validated,
        "softmax": softmax | {"validation_data": ["x_val", "three_val"]},
        "softmax-class_weight": softmax | {"class_weight": {"0": 0.5, "1": 1.0, "2": 2.0}},
        "regression": regression,
        "auc": binary | validated | {"metrics": ["AUC", "Precision", "Recall"]},
    }
    for name, case in cases.items():
        layers = keras.layers
        model = keras.Sequential([keras.Input((5,)), layers.Dense(8, activation="relu"),
                                  layers.Dense(case["units"], activation=case["activation"])])
        model.set_weights([start_weight(rng, value) for value in model.weights])
        arrays |= {f"{name}/start{i}": value for i, value in enumerate(model.get_weights())}
        metrics = [getattr(keras.metrics, m)(name=m.lower()) if m[0].isupper() else m
                   for m in case["metrics"]]
        model.compile(keras.optimizers.Adam(0.01), case["loss"], metrics=metrics,
                      weighted_metrics=case.get("weighted_metrics"))
        options = {"sample_weight": arrays[case["sample_weight"]]} if "sample_weight" in case else {}
        if "class_weight" in case:
            options["class_weight"] = {int(key): value for key, value in case["class_weight"].items()}
        if "validation_data" in case:
            options["validation_data"] = tuple(arrays[key] for key in case["validation_data"])
        if "validation_split" in case:
            options["validation_split"] = case["validation_split"]
        history = model.fit(x, arrays[case["y"]], batch_size=16, epochs=4, shuffle=False, verbose=0,
                            **options)
        case["history"] = {key: [float(v) for v in values] for key, values in history.history.items()}
        y_eval = arrays["three_val" if case["y"] == "three" else "y_val"]
        case["evaluate"] = [float(v) for v in model.evaluate(x_val, y_eval, batch_size=16, verbose=0)]
        arrays[f"{name}/predict"] = model.predict(x_val, batch_size=16, verbose=0)
    save("fit", cases, arrays)


# ----------------------------------------------------------------------------------------------- augmentation
DOCUMENT = {"rescale": 1 / 255, "rotation_range": 20, "width_shift_range": 0.2, "height_shift_range": 0.2,
            "shear_range": 0.2, "zoom_range": 0.2, "horizontal_flip": True, "fill_mode": "nearest"}
EVERYTHING = DOCUMENT | {"vertical_flip": True, "channel_shift_range": 40.0, "brightness_range": [0.5, 1.5]}
STRONG = {"rotation_range": 180, "width_shift_range": 0.9, "height_shift_range": 0.9, "shear_range": 40,
          "zoom_range": [0.4, 2.5]}  # looks far outside the image, over several periods of reflect and wrap
GENERATORS = {
    "none": {},
    "document": DOCUMENT,
    "rotation": {"rotation_range": 20},
    "width_shift": {"width_shift_range": 0.2},
    "height_shift": {"height_shift_range": 0.2},
    "shear-document": {"shear_range": 0.2},
    "shear": {"shear_range": 30},
    "zoom": {"zoom_range": 0.2},
    "zoom-list": {"zoom_range": [0.5, 0.9]},
    "zoom-list-one": {"zoom_range": [1, 1]},
    "horizontal_flip": {"horizontal_flip": True},
    "vertical_flip": {"vertical_flip": True},
    "both-flips": {"horizontal_flip": True, "vertical_flip": True},
    "channel_shift": {"channel_shift_range": 60.0},
    "brightness": {"brightness_range": [0.5, 1.5]},
    "brightness-tuple-rotation": {"brightness_range": [0.2, 0.8], "rotation_range": 20},
    "shift-int": {"width_shift_range": 5, "height_shift_range": 7},
    "shift-list-int": {"width_shift_range": [-4, 0, 3], "height_shift_range": [2, 5]},
    "shift-list-float": {"width_shift_range": [0.1, 0.25], "height_shift_range": [0.3, 0.05, 0.2]},
    "shift-pixels": {"width_shift_range": 3.0, "height_shift_range": 2.5},
    "everything": EVERYTHING,
    "strong-nearest": STRONG | {"fill_mode": "nearest"},
    "strong-constant": STRONG | {"fill_mode": "constant"},
    "strong-constant-cval": STRONG | {"fill_mode": "constant", "cval": 77.0},
    "strong-reflect": STRONG | {"fill_mode": "reflect"},
    "strong-wrap": STRONG | {"fill_mode": "wrap"},
}
MATRIX = {"theta": -12.0, "tx": 1.5, "ty": -2.25, "shear": 9.0, "zx": 1.125, "zy": 0.875}
TRANSFORMS = {
    "theta": {"theta": 33.0}, "theta-90": {"theta": 90.0}, "theta-180": {"theta": 180.0},
    "tx": {"tx": 2.5}, "ty": {"ty": -3.25}, "tx-whole": {"tx": 3}, "ty-far": {"ty": 60.0},
    "shear": {"shear": 25.0}, "zx": {"zx": 0.6}, "zy": {"zy": 1.7}, "zoom": {"zx": 1.3, "zy": 1.3},
    "matrix": MATRIX, "flip_horizontal": {"flip_horizontal": True}, "flip_vertical": {"flip_vertical": True},
    "channel_shift": {"channel_shift_intensity": -35.5}, "brightness": {"brightness": 0.6},
    "brightness-over": {"brightness": 1.7},
    "all": MATRIX | {"flip_horizontal": True, "flip_vertical": True, "channel_shift_intensity": 20.0,
                     "brightness": 1.25},
}


def make_augmentation() -> None:
    """get_random_transform and random_transform with a seed; apply_transform with given parameters."""
    rng = np.random.RandomState(60)
    arrays = {"image": rng.randint(0, 256, (13, 17, 3)).astype("uint8"),
              "grey": rng.randint(0, 256, (13, 17, 1)).astype("uint8"),
              "rgba": rng.randint(0, 256, (13, 17, 4)).astype("uint8"),
              "negative": draw(rng, 13, 17, 3) * 100}
    cases = {}
    for name, config in GENERATORS.items():
        generator = ImageDataGenerator(**config)
        draws = [plain(generator.get_random_transform((13, 17, 3), seed=seed)) for seed in range(8)]
        cases[f"random-{name}"] = {"kind": "random", "config": config, "seed": 3, "draws": draws}
        arrays[f"random-{name}/y"] = generator.random_transform(arrays["image"].astype("float32"), seed=3)

    table = {name: ("image", {}, parameters) for name, parameters in TRANSFORMS.items()}
    for mode in ("constant", "nearest", "reflect", "wrap"):
        for label, tx, ty in (("near", 3.5, -2.25), ("far", -41.75, 50.5)):
            table[f"{mode}-{label}"] = ("image", {"fill_mode": mode}, {"tx": tx, "ty": ty})
    table["all-grey"] = ("grey", {}, TRANSFORMS["all"])
    table["all-rgba"] = ("rgba", {}, TRANSFORMS["all"])
    table["brightness-negative"] = ("negative", {}, {"brightness": 0.6})
    for name, (image, config, parameters) in table.items():
        cases[f"apply-{name}"] = {"kind": "apply", "image": image, "config": config, "parameters": parameters}
        generator, x = ImageDataGenerator(**config), arrays[image].astype("float32")
        arrays[f"apply-{name}/y"] = generator.apply_transform(x, parameters)
    save("augmentation", cases, arrays)


def plain(parameters: dict) -> dict:
    """NumPy scalars as Python numbers, for JSON."""
    return {key: v.item() if isinstance(v, np.generic) else v for key, v in parameters.items()}


def make_flow() -> None:
    """Batches of `flow`: two epochs by next(), or one epoch by index."""
    rng = np.random.RandomState(70)
    arrays = {"x": rng.randint(0, 256, (7, 5, 6, 3)).astype("uint8"), "y": np.array([0, 1, 1, 0, 1, 0, 0]),
              "sample_weight": np.arange(7, dtype="float32")}
    training, validation = {"subset": "training"}, {"subset": "validation", "shuffle": False}
    table = {  # name: (the generator's arguments, flow's arguments, arrays given beside x)
        "next-shuffle": ({}, {"seed": 5}, ["y"]),
        "next-in-order": ({}, {"seed": 5, "shuffle": False}, ["y"]),
        "next-document": (DOCUMENT, {"seed": 1}, ["y"]),
        "next-document-in-order": (DOCUMENT, {"seed": 1, "shuffle": False}, ["y"]),
        "next-everything": (EVERYTHING, {"seed": 9}, ["y"]),
        "index-document": (DOCUMENT, {"seed": 1}, ["y"]),
        "next-x-alone": ({}, {"seed": 2}, []),
        "next-sample_weight": ({}, {"seed": 2}, ["y", "sample_weight"]),
        "next-training": ({"validation_split": 0.4}, {"seed": 3} | training, ["y"]),
        "next-validation": ({"validation_split": 0.4}, {"seed": 3} | validation, ["y"]),
    }
    cases = {}
    for name, (config, flow, given) in table.items():
        case = cases[name] = {"config": config, "flow": flow, "given": given, "by": name.split("-")[0]}
        targets = {key: arrays[key] for key in given}
        iterator = ImageDataGenerator(**config).flow(arrays["x"], batch_size=3, **flow, **targets)
        arrays |= record_batches(name, case, iterator)
    save("flow", cases, arrays)


def record_batches(name: str, case: dict, iterator) -> dict[str, np.ndarray]:
    """Batches of an image iterator: two epochs by next(), one by index; part 0 is x, then y and weights."""
    count = 2 * len(iterator) if case["by"] == "next" else len(iterator)
    case["length"], case["batches"] = len(iterator), count
    arrays = {}
    for i in range(count):
        batch = next(iterator) if case["by"] == "next" else iterator[i]
        parts = batch if isinstance(batch, tuple) else (batch,)
        case["parts"] = len(parts)
        arrays |= {f"{name}/batch{i}_{j}": part for j, part in enumerate(parts)}
    return arrays


TREE = {  # path: (mode, height, width); the sorted order must be found, and other files passed over
    "b_normal/img10.png": ("L", 9, 11), "b_normal/img2.png": ("RGB", 8, 8),
    "b_normal/Z.PNG": ("RGBA", 6, 13), "b_normal/later/a.png": ("RGB", 10, 7), "b_normal/notes.txt": None,
    "a_abnormal/x.bmp": ("RGB", 7, 9), "a_abnormal/x.png": ("LA", 8, 6),
    "a_abnormal/deep/er/y.tif": ("L", 12, 5), "a_abnormal/0.png": ("RGB", 5, 5),
}
THIRD_CLASS = {"C_other/one.png": ("RGB", 9, 9), "C_other/two.ppm": ("RGB", 4, 12)}


def make_directory() -> None:
    """flow_from_directory and load_img over a small tree, whose files are stored as bytes."""
    rng = np.random.RandomState(80)
    files = {path: encode(rng, path, what) for path, what in (TREE | THIRD_CLASS).items()}
    cases, arrays = {}, {f"file/{path}": np.frombuffer(content, "uint8") for path, content in files.items()}
    with tempfile.TemporaryDirectory() as folder:
        for path, content in files.items():
            for root in ("two", "three") if path in TREE else ("three",):
                target = Path(folder, root, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        for name, (tree, config, options) in directory_table().items():
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                iterator = ImageDataGenerator(**config).flow_from_directory(f"{folder}/{tree}", **options)
            cases[name] = case = {
                "config": config, "flow": options, "tree": tree, "by": "index" if "index" in name else "next",
                "printed": printed.getvalue().strip(), "filenames": iterator.filenames,
                "classes": iterator.classes.tolist(), "class_indices": iterator.class_indices}
            arrays |= record_batches(name, case, iterator)
        for path in (path for path, what in TREE.items() if what):
            for mode, size in (("rgb", None), ("grayscale", None), ("rgba", None), ("rgb", [7, 10])):
                name = f"load_img-{path}-{mode}" + "-resized" * (size is not None)
                cases[name] = {"path": path, "color_mode": mode, "target_size": size}
                image = keras.utils.load_img(f"{folder}/two/{path}", mode, size)
                arrays[f"{name}/y"] = keras.utils.img_to_array(image)
    save("directory", cases, arrays)


def directory_table() -> dict[str, tuple[str, dict, dict]]:
    """name: (tree, the generator's arguments, flow_from_directory's arguments)."""
    size = {"target_size": [6, 8], "batch_size": 3, "seed": 4}
    binary, sparse = size | {"class_mode": "binary"}, size | {"class_mode": "sparse"}
    split = {"validation_split": 0.4}
    return {
        "binary-document": ("two", DOCUMENT, binary),
        "binary-document-index": ("two", DOCUMENT, binary),
        "binary-in-order": ("two", {}, binary | {"shuffle": False}),
        "binary-larger": ("two", {}, binary | {"target_size": [11, 14], "batch_size": 4}),
        "bilinear": ("two", {}, binary | {"interpolation": "bilinear"}),
        "grayscale": ("two", {}, binary | {"color_mode": "grayscale"}),
        "rgba": ("two", {}, binary | {"color_mode": "rgba"}),
        "rgba-document": ("two", DOCUMENT, binary | {"color_mode": "rgba"}),
        "classes-given": ("three", {}, binary | {"classes": ["b_normal", "C_other"]}),
        "categorical": ("three", {}, size | {"class_mode": "categorical"}),
        "sparse": ("three", {}, sparse),
        "input": ("three", DOCUMENT, size | {"class_mode": "input"}),
        "no-class": ("three", {}, size | {"class_mode": None}),
        "training-subset": ("three", split, sparse | {"subset": "training"}),
        "validation-subset": ("three", split, sparse | {"subset": "validation", "shuffle": False}),
    }


def encode(rng: np.random.RandomState, path: str, what: tuple | None) -> bytes:
    """The bytes of a random image file in the format of its extension, or of a text file."""
    if what is None:
        return b"not an image\n"
    mode, height, width = what
    channels = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,)}[mode]
    image = Image.fromarray(rng.randint(0, 256, (height, width, *channels)).astype("uint8"))
    assert image.mode == mode
    content = io.BytesIO()
    formats = {".bmp": "BMP", ".png": "PNG", ".ppm": "PPM", ".tif": "TIFF"}
    image.save(content, formats[Path(path).suffix.lower()])
    return content.getvalue()


SUBJECTS = {
    "layers": make_layers, "sequences": make_sequences, "losses": make_losses, "metrics": make_metrics,
    "optimizers": make_optimizers, "schedules": make_schedules, "averages": make_averages,
    "regularizers": make_regularizers, "regularized": make_regularized, "initializers": make_initializers, "training": make_training, "fit": make_fit,
    "augmentation": make_augmentation, "flow": make_flow, "directory": make_directory,
}

if __name__ == "__main__":
    for subject in sys.argv[1:] or SUBJECTS:
        SUBJECTS[subject]()
