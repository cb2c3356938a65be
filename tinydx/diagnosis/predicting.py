"""`tinydx predict`: a finished model's answers for new inputs.

    entries -> Kind.inputs -> Kind.read -> model -> Answer -> a line on stdout
               (files)        (what cannot be read: a line on stderr, and exit status 1)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinydx import evaluation, names
from tinydx.diagnosis.finished import kind_of
from tinydx.diagnosis.kind import Kind
from tinydx.models import load_model


class Answer(NamedTuple):
    """What a model says of one input."""

    entry: str  # the input's path, or the text itself
    x: np.ndarray  # (1, ...), as the model reads it
    probabilities: np.ndarray  # (K,), in the order of the model's class names
    name: str  # the class of the largest one

    @property
    def probability(self) -> float:
        """Of the class that is named."""
        return float(self.probabilities.max())


def predict(model_path: str, entries: list[str]) -> int:
    """Print the class and its probability for each input, separated by tabs; report unreadable inputs on stderr.

    Arguments: model_path; entries, paths of files or of folders of files, or texts.
    Returns: the exit status: 0, or 1 if an input could not be read.
    Raises: the errors of `load_model`; ValueError for a model that `tinydx diagnose` did not make.
    """
    model = load_model(model_path)
    kind = kind_of(model, model_path)
    failed = 0
    for found in answers(model, kind, entries):
        if isinstance(found, Answer):
            print(f"{names.shown(found.entry)}\t{names.shown(found.name)}\t{found.probability:.3f}")
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
        p = evaluation.probability_table(model.predict_on_batch(x), model.class_names)[0]
        yield Answer(entry, x, p, model.class_names[int(p.argmax())])
