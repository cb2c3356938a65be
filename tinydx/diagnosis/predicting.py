"""`tinydx predict`: a finished model's answers for new inputs.

    entries -> Kind.inputs -> Kind.read ────> model ──┐
               (files)        Kind.example -> unlike ─┴> Answer ┬> stdout: input, class, probability, with tabs between
                                                                ├> stderr: warnings, what cannot be read, the disclaimer
                                                                └> a picture page, if one is asked for

Programs read stdout, so that it has one line for each input and nothing else; what people must know stands on stderr, which a
terminal shows between the lines.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinydx import evaluation, names
from tinydx.diagnosis import unlike
from tinydx.diagnosis.answer_page import Shown, check_page, write_page
from tinydx.diagnosis.finished import kind_of
from tinydx.diagnosis.kind import Kind
from tinydx.models import load_model

DISCLAIMER = "An answer is no diagnosis: tinydx is for learning and research. It is not a medical device."


class Answer(NamedTuple):
    """What a model says of one input."""

    entry: str  # the input's path, or the text itself
    example: Any  # the input as the training examples were kept
    probabilities: np.ndarray  # (K,), in the order of the model's class names
    name: str  # the class of the largest one
    warning: str | None  # why the input is unlike the training data

    @property
    def probability(self) -> float:
        """Of the class that is named."""
        return float(self.probabilities.max())


def predict(model_path: str, entries: list[str], page: str | None = None) -> int:
    """Print the class and its probability for each input, separated by tabs; warnings and unreadable inputs go to stderr.

    Arguments: model_path; entries, paths of files or of folders of files, or texts; page, the path of a PNG that shows each input
    with its answer (None: there is none).
    Returns: the exit status: 0, or 1 if an input could not be read.
    Raises: the errors of `load_model`; ValueError for a model that `tinydx diagnose` did not make; those of
    `answer_page.check_page`.
    """
    model = load_model(model_path)
    kind = kind_of(model, model_path)
    entries = [file for given in entries for file in kind.inputs(given)]
    if page is not None:
        check_page(page, [model_path, *entries])
    found, failed = [], 0
    for answer in answers(model, kind, entries):
        if isinstance(answer, Answer):
            found.append(answer)
            print(f"{names.shown(answer.entry)}\t{names.shown(answer.name)}\t{answer.probability:.3f}", flush=True)
            if answer.warning:
                _say(f"{names.shown(answer.entry)}: {answer.warning}")
        else:
            failed += 1
            _say(str(answer))
    if found and "alike" not in (model.preprocessing.get("training") or {}):
        _say(f"{model_path} does not say what its training {kind.noun} looked like: there is no warning of others")
    if found and page is not None:
        inputs = [Shown(a.entry, a.example, a.name, f"{a.probability:.3f}", a.warning) for a in found]
        write_page(page, inputs, kind, model_path, DISCLAIMER)
    if found:
        _say(DISCLAIMER)
    return 1 if failed else 0


def answers(model: Any, kind: Kind, entries: list[str]) -> Iterator[Answer | OSError | ValueError]:
    """The answer for each input in turn, or the error of an input that cannot be read.

    Arguments: model and its kind; entries, paths of files, or texts.
    """
    how = model.preprocessing
    for entry in entries:
        try:
            x, example = kind.read(entry, how), kind.example(entry, how)
        except (OSError, ValueError) as error:
            yield error
            continue
        p = evaluation.probability_table(model.predict_on_batch(x), model.class_names)[0]
        warning = unlike.warning(how.get("training"), kind, example, how)
        yield Answer(entry, example.x[0], p, model.class_names[int(p.argmax())], warning)


def _say(text: str) -> None:
    """One line on stderr."""
    print(f"tinydx: {names.line(text)}", file=sys.stderr, flush=True)
