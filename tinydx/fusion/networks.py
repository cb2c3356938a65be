r"""Encoders, and the networks that join them. Every fused model takes the modalities x_m, then for each p_m, 1 or 0: is it there?

Joined (early and intermediate fusion), with f_m the encoder of modality m, D_m numbers:

    v(x) = [p_1 f_1(x_1), p_1, \dots, p_M f_M(x_M), p_M],    y = \mathrm{softmax}(W \, \mathrm{relu}(U v(x) + c) + b)

A missing modality has a code of zeros, whatever stands in its place; the rows of U that belong to p_m learn what it means that
it is there, and so what its absence means.

Added (late fusion), with z_m the log-odds of modality m's own model, calibrated by a_m and b_m, and the prior \pi:

    \ln P(k \mid x) = \ln \pi_k + \sum_m p_m (a_m z_{mk}(x_m) + b_{mk} - \ln \pi_{mk}) + \mathrm{const}

which is Bayes's rule where the modalities are independent given the class. The prior is in every modality's own answer, is
subtracted from each, and is added once. A missing modality's term is dropped. Of two classes z is the one log-odds of a sigmoid.

A last layer of constants makes the second a graph of the same layers, with the same inputs as the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinydx.fusion.calibration import Calibration
from tinydx.layers import Activation, Concatenate, Dense, Dropout, Flatten, Input, Multiply
from tinydx.layers.base import Symbol
from tinydx.layers.outputs import output_layer
from tinydx.models import Model, Sequential

HIDDEN, DROPOUT = 32, 0.2  # units of the layer that joins the encoders, and the share of them that training drops


def encoder_of(model: Any, name: str | None = None) -> Model:
    """A classifier without its last layer, whose weights are shared: from an input to the features of which it decides.

    Arguments: model, built, a Sequential or functional one; name of the encoder.
    Returns: a model with outputs (N,D).
    Raises: ValueError for a model that does not end in a Dense or Activation layer.

    >>> model = Sequential([Dense(8, activation="relu", input_shape=(3,)), Dense(1, activation="sigmoid")])
    >>> encoder_of(model).predict(np.zeros((2, 3), "float32")).shape
    (2, 8)
    """
    last = model.layers[-1] if model.layers else None
    if not isinstance(last, Dense | Activation):
        raise ValueError(f"{model.name} ends in {type(last).__name__}: an encoder is cut before a last Dense or Activation layer")
    if isinstance(model, Sequential):
        shape, dtype = tuple(model.input_shape[1:]), "int32" if model.takes_ids else model.compute_dtype
        return Sequential([Input(shape, dtype=dtype), *(model.layers[:-1] or [Flatten()])], name=name)
    call = model.outputs.call
    return Model(model.inputs, call.inputs[0], name=name)


def joined(encoders: Mapping[str, Model], classes: int, hidden: int = HIDDEN) -> Model:
    """The encoders of all modalities before one classifier: the first equation of this module.

    Arguments: encoders, for each modality's name a model with outputs (N,D); classes, how many; hidden, units of the layer that
    joins them (0: none, so that the classifier is linear in the features).
    Returns: the model, not compiled, whose inputs `Cases.inputs` makes.

    >>> encoders = {name: Sequential([Flatten(input_shape=(2,))]) for name in ("image", "sound")}
    >>> joined(encoders, 2, hidden=4).count_params()  # (2 + 1 + 2 + 1 + 1) 4 + 4 + 1
    33
    """
    x, present = _inputs(encoders)
    parts: list[Symbol] = []
    for name in encoders:
        parts += [Multiply()([encoders[name](x[name]), present[name]]), present[name]]
    h = Concatenate()(parts)
    h = Dropout(DROPOUT)(Dense(hidden, activation="relu")(h)) if hidden else h
    return Model([*x.values(), *present.values()], output_layer(classes)(h), name="fused")


def added(models: Mapping[str, Model], calibrations: Mapping[str, Calibration], prior: np.ndarray) -> Model:
    """The calibrated log-odds of the models of all modalities, added: the second equation of this module.

    Arguments: models, for each modality's name a classifier that ends in a sigmoid or softmax, with its weights; calibrations,
    for each what `calibrate` found; prior (K,), the classes' shares among all examples.
    Returns: a model with the inputs and outputs of `joined`; its weights are those of the models, and constants.
    Raises: ValueError as `encoder_of`.
    """
    x, present = _inputs(models)
    terms = []
    for name, model in models.items():
        slope, offsets = calibrations[name].slope, calibrations[name].evidence_offsets
        z = _log_odds(model, name)(x[name])
        width = z.shape[-1]
        evidence = _constant(Dense(width), np.eye(width) * slope, _differences(offsets, width))
        terms.append(Multiply()([evidence(z), present[name]]))
    width = terms[0].shape[-1]
    kernel, bias = np.vstack([np.eye(width)] * len(terms)), _differences(np.log(prior), width)
    answer = _constant(Dense(width, activation="sigmoid" if width == 1 else "softmax"), kernel, bias)
    h = Concatenate()(terms) if len(terms) > 1 else terms[0]
    return Model([*x.values(), *present.values()], answer(h), name="fused")


def _inputs(models: Mapping[str, Model]) -> tuple[dict[str, Symbol], dict[str, Symbol]]:
    """An input for each modality, and one for whether it is present."""
    if len(models) < 2:
        raise ValueError(f"fusion needs two modalities or more, got {', '.join(models) or 'none'}")
    x = {}
    for name, model in models.items():
        dtype = "int32" if model.takes_ids else model.compute_dtype
        x[name] = Input(tuple(model.input_shape[1:]), name, dtype)
    return x, {name: Input((1,), f"{name} is present", models[name].compute_dtype) for name in models}


def _log_odds(model: Model, name: str) -> Model:
    """The model without the sigmoid or softmax at its end."""
    last, encoder = model.layers[-1], encoder_of(model, name)
    if not isinstance(last, Dense):
        return encoder
    linear = Dense(last.units, use_bias=len(last.get_weights()) > 1)
    logits = Sequential([Input(tuple(encoder.input_shape[1:]), dtype="int32" if encoder.takes_ids else model.compute_dtype),
                         encoder, linear], name=f"{name} log-odds")  # fmt: skip
    linear.set_weights(last.get_weights())
    return logits


def _constant(layer: Dense, kernel: np.ndarray, bias: np.ndarray) -> Dense:
    """A layer with these weights, which training leaves alone."""
    layer.ensure_built((None, len(kernel)), np.dtype("float32"))
    layer.set_weights([kernel, bias])
    layer.trainable = False
    return layer


def _differences(values: np.ndarray, width: int) -> np.ndarray:
    """Of each class (K,) where the model has a softmax; of a sigmoid, the second minus the first."""
    return np.asarray([values[1] - values[0]] if width == 1 else values, np.float32)
