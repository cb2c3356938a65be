"""`tinydx predict`: a finished model's answers for new inputs.

    entries -> Kind.inputs -> Kind.read -> model -> Answer -> a line on stdout
               (files)        (what cannot be read: a line on stderr, and exit status 1)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinydx import names
from tinydx.diagnosis import deciding, referring
from tinydx.diagnosis.finished import kind_of
from tinydx.diagnosis.kind import Kind
from tinydx.models import load_model


class Answer(NamedTuple):
    """What a model says of one input."""

    entry: str  # the input's path, or the text itself
    outputs: np.ndarray  # (1, ...), of the model
    name: str  # the class that is called
    probability: float  # of this class, calibrated


def predict(model_path: str, entries: list[str], refer: float | None = None) -> int:
    """Print the class and its calibrated probability for each input, separated by tabs; report unreadable inputs on stderr.

    Arguments: model_path; entries, paths of files or of folders of files, or texts; refer, the share of inputs whose true
    class may be left out: where more than one class stays, a doctor should look (None: each input gets a class).
    Returns: the exit status: 0, or 1 if an input could not be read.
    Raises: the errors of `load_model`; ValueError for a model that `tinydx diagnose` did not make; those of `referring.promise`.
    """
    model = load_model(model_path)
    kind = kind_of(model, model_path)
    if refer is not None:
        print(referring.promise(model, kind.noun, refer), file=sys.stderr)
    failed = 0
    for found in answers(model, kind, entries):
        if isinstance(found, Answer):
            said, figures = names.shown(found.name), f"{found.probability:.3f}"
            if refer is not None:
                _, said, figures = referring.refer(model, found.outputs, refer)
            print(f"{names.shown(found.entry)}\t{said}\t{figures}")
        else:
            print(f"tinydx: {names.line(found)}", file=sys.stderr)
            failed += 1
    return 1 if failed else 0


def answers(model: Any, kind: Kind, entries: list[str]) -> Iterator[Answer | OSError | ValueError]:
    """The answer for each input in turn, or the error of an input that cannot be read.

    Arguments: model and its kind; entries as for `predict`.
    """
    for entry in (file for given in entries for file in kind.inputs(given)):
        try:
            x = kind.read(entry, model.preprocessing)
        except (OSError, ValueError) as error:
            yield error
            continue
        outputs = model.predict_on_batch(x)
        table = deciding.probabilities(model, outputs)
        best = int(deciding.called(model, table)[0])
        yield Answer(entry, outputs, model.class_names[best], float(table[0, best]))
