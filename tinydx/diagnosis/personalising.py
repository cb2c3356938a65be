"""`tinydx personalise`: a model file for one patient, from a finished model and labelled inputs of that patient.

    the patient's files -> the model's features -> last layer, shrunk towards the model's own ---> PERSONAL.safetensors
    (folders named after classes, or --label)      (tinydx/personal/shrinkage.py)

Everything but the last layer stays. The new weights are those with the least sum of log losses over the patient's inputs and
lambda times their squared distance from the model's weights. So that the same strength means the same for every network, lambda
is the strength times the mean squared length of the inputs' features: the larger, the nearer to the model of all. The strength
is fixed, given, or chosen on other patients, whom the model has not seen (--patients).

Temperature and threshold stay. Conformal scores are left out, because what they promise holds for the model of all.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinydx.datasets.owners import owned
from tinydx.datasets.study import Study
from tinydx.diagnosis import deciding, inputs, unlike
from tinydx.diagnosis.finished import kind_of
from tinydx.diagnosis.kind import Kind
from tinydx.files import check_writable
from tinydx.layers import Dense
from tinydx.layers.quantized import expect_floats
from tinydx.models import Model, load_model
from tinydx.names import shown
from tinydx.personal import choose_strength, shrunken_log_loss
from tinydx.personal.shrinkage import probabilities
from tinydx.validation.learners import features_of

STRENGTH = 0.25  # a single input then moves its own logit by at most 2
STRENGTHS = (0.01, 0.03, 0.1, 0.25, 1.0, 3.0, 10.0, 100.0)  # from which --patients chooses
FEW = 4  # inputs of a patient, below which a warning is given


class Own(NamedTuple):
    """A patient's inputs: entries, features with a column of ones (k,D), and class numbers (k,)."""

    entries: list[str]
    x: np.ndarray
    y: np.ndarray


def personalise(
    model_path: str,
    entries: Sequence[str],
    output: str,
    *,
    label: str | None = None,
    strength: float | None = None,
    patients: str | None = None,
    patient: str | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Fit the last layer of a finished model to one patient's inputs, and write the patient's model.

    Arguments: model_path; entries, files or folders of the patient's inputs, which lie in folders named after their classes;
    output, the file to write; label, the class of all entries (None: by their folders); strength of shrinking (None: STRENGTH,
    or what suits `patients`); patients, labelled data of other patients; patient, a pattern of their names, as for `tinydx
    diagnose`; say, which is given each line.
    Returns: the path of the written file. Without entries its model answers as the given one does, bit for bit.
    Raises: ValueError for a model that cannot be personalised, inputs without a class, copies, and a strength of 0 or less; the
    errors of `load_model` and of the files. Then nothing is written.
    """
    check_output(output, model_path)
    if strength is not None and (patients is not None or not 0 < strength < np.inf):
        raise ValueError("--strength is a number above 0; with --patients it is chosen: leave one of them out")
    model = load_model(model_path)
    expect_floats(model, model_path)
    kind, last = kind_of(model, model_path), last_layer(model, model_path)
    own = read_own(model, kind, entries, label)
    if patients is not None:
        strength = strength_for(model, kind, patients, patient, say)
    strength = STRENGTH if strength is None else strength
    penalty = strength * squared_length(own.x)
    before = weights_of(last)
    after = shrunken_log_loss(own.x, own.y, before, penalty)
    say("\n".join([*warnings_of(own, model, kind), *sentences(own, model, kind, strength, (before, after))]))
    if len(own.y):
        put_weights(last, after)
        kept = {k: v for k, v in model.preprocessing.items() if k != "conformal_scores"}
        counts = np.bincount(own.y, minlength=len(model.class_names)).tolist()
        model.preprocessing = {**kept, "personal": {"counts": counts, "strength": strength, "penalty": penalty}}
    model.save(output, include_optimizer=False)
    say(f"tinydx predict {shown(output)} FILE")
    return Path(output)


def note(model: Any, noun: str) -> str | None:
    """A sentence on a patient's model; None for a model of all.

    Arguments: model, whose file `finished.kind_of` has checked; noun for its inputs, in the plural.
    """
    personal = (model.preprocessing or {}).get("personal")
    return None if personal is None else f"a model of one patient, from {sum(personal['counts'])} {noun}: it is for no other"


def check_output(output: str, model_path: str) -> None:
    """Find out before work whether the file can be written.

    Raises: ValueError for another ending than .safetensors, which no input has, and for the model; those of `check_writable`.
    """
    if Path(output).suffix.lower() != ".safetensors":
        raise ValueError(f"--output {output}: the patient's model is a file whose name ends in .safetensors")
    if os.path.exists(output) and os.path.exists(model_path) and os.path.samefile(output, model_path):
        raise ValueError(f"--output {output} is the model: give another name")
    check_writable(output)


# ---- the last layer ------------------------------------------------------------------------------------------------


def last_layer(model: Any, path: str) -> Dense:
    """The last layer, which is fitted.

    Raises: ValueError for another layer than a dense one with a bias and a sigmoid or softmax, and for a patient's model.
    """
    if "personal" in model.preprocessing:
        raise ValueError(f"{path} is a patient's model already: begin with the model of all")
    last = model.layers[-1]
    if any(isinstance(layer, Model) for layer in model.layers):
        raise ValueError(f"{path} is an ensemble: personalise a model that was trained without --members")
    if not isinstance(last, Dense) or not last.use_bias or last.config.get("activation") not in ("sigmoid", "softmax"):
        raise ValueError(
            f"{path} ends in {type(last).__name__}: only a Dense layer with a sigmoid or softmax can be personalised"
        )
    return last


def weights_of(last: Dense) -> np.ndarray:
    """The weights (D,C), the bias in the last row."""
    kernel, bias = last.get_weights()
    return np.concatenate([kernel, bias[None]])


def put_weights(last: Dense, weights: np.ndarray) -> None:
    """Set the layer's weights, in the precision that it has."""
    whole = weights.astype(last.kernel.dtype)
    last.set_weights([whole[:-1], whole[-1]])


def squared_length(x: np.ndarray) -> float:
    """The mean squared length of the rows of x (k,D); 1 without rows.

    >>> squared_length(np.array([[3.0, 4.0]])), squared_length(np.empty((0, 2)))
    (25.0, 1.0)
    """
    return float(np.mean(np.sum(x**2, axis=1))) if len(x) else 1.0


def _with_one(features: np.ndarray) -> np.ndarray:
    return np.column_stack([features.astype(np.float64), np.ones(len(features))])


# ---- the patient's inputs ------------------------------------------------------------------------------------------


def read_own(model: Any, kind: Kind, entries: Sequence[str], label: str | None) -> Own:
    """The patient's inputs as the model's last layer sees them.

    Raises: ValueError for an input without a class, and for one that is a copy of another; errors of the files.
    """
    files = [file for given in entries for file in kind.inputs(given, model.preprocessing)]
    y = np.array([class_of(file, list(model.class_names), label) for file in files], np.int64)
    read = [kind.read(file, model.preprocessing) for file in files]
    seen: dict[bytes, str] = {}
    for file, x in zip(files, read, strict=True):
        if (other := seen.setdefault(np.ascontiguousarray(x).tobytes(), file)) is not file:
            raise ValueError(f"{shown(file)} is a copy of {shown(other)}: leave one of them out")
    none = np.empty((0, model.layers[-1].kernel.shape[0]))
    return Own(files, _with_one(np.concatenate([none, *(_features(model, x) for x in read)])), y)


def _features(model: Any, x: np.ndarray) -> np.ndarray:
    """What the last layer takes in, (1,D), for one input (1,...)."""
    return features_of(model, lambda: model.predict_on_batch(x))


def class_of(file: str, names: list[str], label: str | None) -> int:
    """The number of a file's class: the label's, else that of the nearest folder above it that is named after a class.

    Raises: ValueError for a label that is no class, or not the folder's, and for a file that lies in no such folder.

    >>> class_of("anna/Normal/3.wav", ["abnormal", "normal"], None), class_of("3.wav", ["abnormal", "normal"], "abnormal")
    (1, 0)
    """
    known = {name.casefold(): k for k, name in enumerate(names)}
    listed = ", ".join(map(shown, names))
    folders = [folder.name for folder in Path(os.path.abspath(file)).parents if folder.name.casefold() in known]
    name = label or (folders[0] if folders else None)
    if name is None:
        raise ValueError(
            f"{shown(file)} lies in no folder named after a class ({listed}): put it into one, or give --label CLASS"
        )
    if name.casefold() not in known:
        raise ValueError(f"--label {label} is no class of the model: it knows {listed}")
    if folders and folders[0].casefold() != name.casefold():
        raise ValueError(f"{shown(file)} lies in the folder {shown(folders[0])}, but --label says {label}: leave one of them out")
    return known[name.casefold()]


# ---- how strongly to shrink ----------------------------------------------------------------------------------------


def strength_for(model: Any, kind: Kind, path: str, pattern: str | None, say: Callable[[str], None]) -> float:
    """The strength that suits other patients best: see `choose_strength`.

    Raises: ValueError where names tell no patients, and where no patient has more than one input; errors of the data.
    """
    names, how = list(model.class_names), model.preprocessing
    part = owned(kind.open_labelled(path, names, how), path, pattern)
    if part.patient is None:
        raise ValueError(f"{path}: its names do not tell patients apart: --patient PATTERN says whose each file is")
    if how.get("training") and (seen := inputs.seen_in_training(how["training"], part.x)):
        of = f"{seen} of the {len(part.y)} {kind.noun} of {shown(path)}"
        say(f"Warning: the model was trained on {of}: of these it knows more than it will of a new patient.")
    shell = Study(path, names, part, part, part, False, [], how, kind.noun, "")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "an output near 1 means")  # only the features are looked at
        x = _with_one(features_of(model, lambda: model.predict(kind.plain_batches(shell, part, 32))))
    weights = weights_of(model.layers[-1])

    def personal(known: np.ndarray, y: np.ndarray, strength: float) -> Callable[[np.ndarray], np.ndarray]:
        own = shrunken_log_loss(known, y, weights, strength * squared_length(known))
        return lambda new: probabilities(new @ own)

    order = np.random.default_rng(0).permutation(len(part.y))  # files are sorted by class
    strength = choose_strength(personal, x[order], part.y[order], part.patient[order], STRENGTHS)
    count = len(np.unique(part.patient))
    say(f"Strength {strength:g}: of {', '.join(f'{s:g}' for s in STRENGTHS)} the best for {count} patients of {shown(path)}.")
    return strength


# ---- in words ------------------------------------------------------------------------------------------------------


def warnings_of(own: Own, model: Any, kind: Kind) -> list[str]:
    """What must be read before the figures."""
    found, how = [], model.preprocessing
    if 0 < len(own.y) < FEW:
        found.append(f"Warning: few {kind.noun} ({len(own.y)}): what they change may be chance.")
    if len(np.unique(own.y)) == 1:
        name = shown(model.class_names[own.y[0]])
        found.append(f"Warning: all {kind.noun} are of class {name}: the model only learns to call more {name}.")
    odd = [e for e in own.entries if unlike.warning(how.get("training"), kind, kind.example(e, how), how)]
    if odd:
        found.append(f"Warning: {len(odd)} {kind.noun} are unlike the training data, such as {shown(odd[0])}.")
    return found


def sentences(own: Own, model: Any, kind: Kind, strength: float, weights: tuple[np.ndarray, np.ndarray]) -> list[str]:
    """What was changed, how far, and what speaks for it."""
    before, after = weights
    k, noun = len(own.y), kind.noun
    if k == 0:
        return [f"No {noun}: nothing is changed, and the model answers as before, bit for bit."]
    each = np.bincount(own.y, minlength=len(model.class_names))
    counts = ", ".join(f"{n} {shown(name)}" for name, n in zip(model.class_names, each, strict=True))
    far = float(np.linalg.norm(after - before)) / max(float(np.linalg.norm(before)), 1e-12)
    fitted, others = right(model, own, after), model.count_params() - before.size
    lines = [
        f"{k} {noun} of one patient: {counts}.",
        f"Changed: the {before.size} weights of the last layer, by {far:.1%} of their length (strength {strength:g}).",
        f"The other {others:,} weights stay.",
        f"Called right of these {noun}: {right(model, own, before)} of {k} by the model of all, {fitted} by the patient's.",
    ]
    if len(np.unique(own.y)) > 1:
        found = left_out(model, own, before, strength)
        lines.append(f"Each left out in turn: {found} of {k} by models fitted to the others.")
    return [*lines, "Left out: conformal scores, of which `predict --refer` makes its promise for all patients, not for one."]


def right(model: Any, own: Own, weights: np.ndarray) -> int:
    """How many of the inputs a last layer of these weights calls right, by the model's temperature and threshold."""
    table = deciding.probabilities(model, probabilities(own.x @ weights))
    return int((deciding.called(model, table) == own.y).sum())


def left_out(model: Any, own: Own, weights: np.ndarray, strength: float) -> int:
    """How many inputs are called right by a last layer that was fitted to the patient's other inputs."""
    count = 0
    for i in range(len(own.y)):
        rest = np.arange(len(own.y)) != i
        fitted = shrunken_log_loss(own.x[rest], own.y[rest], weights, strength * squared_length(own.x[rest]))
        count += right(model, Own([], own.x[[i]], own.y[[i]]), fitted)
    return count
