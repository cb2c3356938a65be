"""Write masks.npz: what Keras makes of masks, layer by layer: outputs, their masks, and weights after the call.

    pip install keras==3.15.1 jax && python make_masks.py        writes the file beside this script

Arrays of a case: x0, x1 ... inputs; m0 ... their masks, where they have one; w0 ... weights; y0 ... outputs; mask0 ... their
masks, where they have one; after0 ... weights after the call, where it changed them. The header says what to build and call.

Two things that Keras does, seen while writing this:
- `Concatenate` of inputs (N,T,H,C) broadcasts masks (N,T) from the wrong end, so there is no case of it;
- `TimeDistributed(BatchNormalization())` updates the moving averages once for each time step, so there is no case of it.
"""

import json
import json
import os
import warnings
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_ENABLE_X64"] = "1"

import keras
import numpy as np
from keras.src import backend, tree

keras.config.set_floatx("float64")
keras.config.set_dtype_policy("float64")
warnings.simplefilter("ignore")  # that masks end

SEQUENCE, IMAGES = (3, 4, 5), (3, 4, 4, 2)
A = [[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]
B = [[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 1]]
LAST = [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]  # padding at the end


def case(layer: str, /, *masks, shape=SEQUENCE, integers=0, call=None, **config) -> dict:
    """A layer, the mask of each input (None: it has none), the inputs' shape; integers: inputs are ids below it."""
    return {"layer": layer, "config": config, "masks": masks, "shape": shape, "integers": integers, "call": call or {}}


def inner(layer: str, **config) -> dict:
    return {"class": layer, "config": config}


CASES = {
    "dense": case("Dense", A, units=2),
    "activation": case("Activation", A, activation="relu"),
    "dropout": case("Dropout", A, rate=0.5),
    "flatten": case("Flatten", A),
    "reshape": case("Reshape", A, target_shape=[5, 4]),
    "layer_normalization": case("LayerNormalization", A),
    "batch_normalization": case("BatchNormalization", A),
    "batch_normalization-training": case("BatchNormalization", A, call={"training": True}),
    "batch_normalization-training-given": case("BatchNormalization", None, call={"training": True, "mask": B}),
    "batch_normalization-training-images": case(
        "BatchNormalization", np.array(A)[:, :, None].repeat(4, 2).tolist(), shape=IMAGES, call={"training": True}),
    "batch_normalization-training-axis-1": case("BatchNormalization", A, axis=1, call={"training": True}),
    "conv2d": case("Conv2D", A, shape=IMAGES, filters=2, kernel_size=3, padding="same"),
    "zero_padding2d": case("ZeroPadding2D", A, shape=IMAGES, padding=1),
    "max_pooling2d": case("MaxPooling2D", A, shape=IMAGES, pool_size=1),
    "average_pooling2d": case("AveragePooling2D", A, shape=IMAGES, pool_size=1),
    "global_average_pooling2d": case("GlobalAveragePooling2D", A, shape=IMAGES),
    "global_max_pooling2d": case("GlobalMaxPooling2D", A, shape=IMAGES),
    "global_average_pooling1d": case("GlobalAveragePooling1D", [*A[:2], [0, 1, 0, 1]]),
    "time_distributed": case("TimeDistributed", A, layer=inner("Dense", units=2)),
    "masking": case("Masking", A, mask_value=1.0),
    "embedding": case("Embedding", None, shape=(3, 4), integers=3, input_dim=3, output_dim=2),
    "embedding-mask_zero": case("Embedding", None, shape=(3, 4), integers=3, input_dim=3, output_dim=2, mask_zero=True),
}
for merge in ("Add", "Average", "Multiply", "Concatenate"):
    pairs = {"": (A, B), "-turned": (B, A), "-first": (A, None), "-second": (None, B), "-none": (None, None), "-three": (A, B, LAST)}
    CASES |= {f"{merge.lower()}{label}": case(merge, *masks) for label, masks in pairs.items()}
for axis in (0, 1, 2, -2):
    CASES |= {f"concatenate-axis{axis}": case("Concatenate", A, B, axis=axis)}
    CASES |= {f"concatenate-axis{axis}-second": case("Concatenate", None, B, axis=axis)}
for name in ("Attention", "AdditiveAttention"):
    pairs = {"": (A, LAST), "-query": (A, None), "-value": (None, LAST)}
    CASES |= {f"{name.lower()}{label}": case(name, *masks) for label, masks in pairs.items()}
for name in ("SimpleRNN", "LSTM", "GRU"):
    for label, config in {"": {}, "-sequences": {"return_sequences": True}, "-state": {"return_state": True},
                          "-both": {"return_sequences": True, "return_state": True}}.items():  # fmt: skip
        CASES[f"{name.lower()}{label}"] = case(name, A, units=3, **config)
    CASES[f"bidirectional-{name.lower()}"] = case("Bidirectional", LAST, layer=inner(name, units=3))
    sequences = inner(name, units=3, return_sequences=True)
    CASES[f"bidirectional-{name.lower()}-sequences"] = case("Bidirectional", A, layer=sequences)
    CASES[f"bidirectional-{name.lower()}-apart"] = case("Bidirectional", A, layer=sequences, merge_mode=None)
CASES |= {
    "relu": case("ReLU", A, max_value=0.5, negative_slope=0.25),
    "depthwise_conv2d": case("DepthwiseConv2D", A, shape=IMAGES, kernel_size=2),
    "separable_conv2d": case("SeparableConv2D", A, shape=IMAGES, filters=2, kernel_size=2),
}


def build(name: str, config: dict) -> keras.layers.Layer:
    config = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
    if isinstance(config.get("layer"), dict):
        config["layer"] = build(config["layer"]["class"], config["layer"]["config"])
    return getattr(keras.layers, name)(**config)


def answer(spec: dict, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The arrays of one case."""
    layer, arrays, inputs = build(spec["layer"], spec["config"]), {}, []
    for k, mask in enumerate(spec["masks"]):
        n = spec["integers"]
        x = rng.integers(0, n, spec["shape"]) if n else rng.normal(size=spec["shape"]).round(3)
        if spec["layer"] == "Masking":
            x[0, 1] = x[2, 3] = 1.0
        arrays[f"x{k}"] = x
        x = keras.ops.convert_to_tensor(x)
        if mask is not None:
            arrays[f"m{k}"] = np.array(mask, bool)
            backend.set_keras_mask(x, keras.ops.convert_to_tensor(arrays[f"m{k}"]))
        inputs.append(x)
    x = inputs if len(inputs) > 1 else inputs[0]
    layer.build([i.shape for i in inputs] if len(inputs) > 1 else x.shape)
    weights = [rng.normal(size=w.shape).round(3) ** (2 if "variance" in w.path else 1) for w in layer.weights]
    layer.set_weights(weights)
    call = {k: keras.ops.convert_to_tensor(np.array(v, bool)) if k == "mask" else v for k, v in spec["call"].items()}
    outputs = tree.flatten(layer(x, **call))
    for k, (w, after) in enumerate(zip(weights, layer.get_weights(), strict=True)):
        arrays |= {f"w{k}": w} | ({} if np.array_equal(w, after) else {f"after{k}": after})
    for k, y in enumerate(outputs):
        arrays[f"y{k}"] = np.asarray(y)
        if (mask := backend.get_keras_mask(y)) is not None:
            arrays[f"mask{k}"] = np.asarray(mask)
    return arrays


def main() -> None:
    rng, arrays, cases = np.random.default_rng(0), {}, {}
    for name, spec in CASES.items():
        arrays |= {f"{name}/{key}": array for key, array in answer(spec, rng).items()}
        cases[name] = {key: spec[key] for key in ("layer", "config", "call")}
    header = json.dumps({"keras": keras.__version__, "cases": cases})
    np.savez_compressed(Path(__file__).parent / "masks.npz", header=header, **arrays)
    print(f"{len(cases)} cases, Keras {keras.__version__}")


if __name__ == "__main__":
    main()
