"""A finished model: what its file says of the classes and of how inputs are read, checked before an input is read.

    kind_of(model, path)     the kind of a model, whose class names and preprocessing make sense together

The file of a model can be forged: an image of 60,000 pixels a side, NaN as the threshold, a vocabulary with more words than the
model has vectors. Each becomes one line that says what is wrong.
"""

from __future__ import annotations

from typing import Any

from tinydx.diagnosis import deciding, kinds, unlike
from tinydx.diagnosis.kind import Kind
from tinydx.saving.header import expect_count, expect_dict, expect_list, expect_number, expect_text, part, short


def kind_of(model: Any, path: Any = None) -> Kind:
    """The kind of data that a model reads.

    Arguments: model; path of its file, for messages (None: the model's name).

    Raises: ValueError for a model that `tinydx diagnose` did not make, or whose file contradicts itself.
    """
    how, name = model.preprocessing, path or model.name
    if model.class_names is None or not isinstance(how, dict) or how.get("kind") not in kinds.names():
        missing = " and no ".join(k for k, v in (("class names", model.class_names), ("preprocessing", how)) if v is None)
        arrays = "; load_model(path).predict(x) takes arrays" if how is None else ""
        raise ValueError(f"{name} holds no {missing or 'way to read inputs'}: `tinydx diagnose` did not make it{arrays}")
    kind = kinds.get(how["kind"])
    try:
        _check_classes(model)
        threshold = expect_number(how.get("threshold", 0.5), "threshold")
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold is {threshold}, expected 0 to 1")
        _check_decisions(how)
        if how.get("training") is not None:
            _check_training(how["training"], len(model.class_names))
        kind.check_reading(how, model)
    except (TypeError, ValueError, KeyError, OverflowError, MemoryError) as error:
        words = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{name} does not say how to read {kind.noun}: {words}") from None
    return kind


def _check_classes(model: Any) -> None:
    """ValueError unless the names are different, and as many as the outputs."""
    names = [expect_text(name, "a class name") for name in model.class_names]
    outputs = model.output_shape(model.input_shape)
    if isinstance(outputs, list) or len(outputs) != 2 or max(2, outputs[-1]) != len(names):
        raise ValueError(f"its outputs {outputs} do not fit {len(names)} class names")
    if len(set(names)) < len(names):
        raise ValueError("a class name occurs twice")


def _check_decisions(how: dict[str, Any]) -> None:
    """ValueError or TypeError unless temperature and conformal scores, where a model has them, are such as `deciding` writes."""
    if not expect_number(how.get("temperature", 1.0), "temperature") > 0:
        raise ValueError(f"temperature is {short(how['temperature'])}, expected a number above 0")
    if "personal" in how:
        counts = expect_list(part(expect_dict(how["personal"], "personal"), "counts", "personal"), "personal: counts")
        for count in counts:
            expect_count(count, "personal: a count")
    if "conformal_scores" in how:
        scores = expect_list(how["conformal_scores"], "conformal_scores")
        if len(scores) > deciding.MOST or not all(0 <= expect_number(v, "a conformal score") <= 1 for v in scores):
            raise ValueError(f"conformal_scores: expected at most {deciding.MOST} numbers from 0 to 1")


def _check_training(training: Any, classes: int) -> None:
    """ValueError or TypeError unless these are statistics of training examples, as `inputs.summarize` writes them."""
    where = "the summary of its training examples"
    names = expect_list(part(expect_dict(training, where), "names", where), f"{where}: names")
    rows = expect_list(part(training, "rows", where), f"{where}: rows")
    of_class = expect_list(part(training, "classes", where), f"{where}: classes")
    for name in names:
        expect_text(name, f"{where}: a name")
    for k in of_class:
        expect_count(k, f"{where}: a class", below=classes)
    if len(rows) != len(of_class) or any(len(expect_list(row, f"{where}: a row")) != len(names) for row in rows):
        raise ValueError(f"{where} has {len(rows)} rows for {len(of_class)} examples and {len(names)} names")
    for value in (v for row in rows for v in row):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{where} has {short(value)}, expected numbers")
    expect_text(part(training, "digests", where), f"{where}: digests", longest=2**20)
    if "alike" in training:
        unlike.check(training["alike"], where)
    for key, value in expect_dict(part(training, "test", where), f"{where}: test").items():
        if value is not None:
            expect_number(value, f"{where}: {key}")
    for key in ("count", "roc_auc", "accuracy"):
        part(training["test"], key, f"{where}: test")
