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
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinydx import names
from tinydx.diagnosis import deciding, personalising, referring, unlike
from tinydx.diagnosis.answer_page import Shown, check_page, write_page
from tinydx.diagnosis.finished import kind_of
from tinydx.diagnosis.kind import Kind
from tinydx.models import load_model

DISCLAIMER = "An answer is no diagnosis: tinydx is for learning and research. It is not a medical device."


class Answer(NamedTuple):
    """What a model says of one input."""

    entry: str  # the input's path, or the text itself
    example: Any  # the input as the training examples were kept
    outputs: np.ndarray  # (1, ...), of the model
    name: str  # the class that is called
    probability: float  # of this class, calibrated
    warning: str | None  # why the input is unlike the training data


def predict(
    model_path: str,
    entries: list[str],
    page: str | None = None,
    refer: float | None = None,
    columns: Mapping[str, str] | None = None,
) -> int:
    """Print the class and its calibrated probability for each input, separated by tabs; the rest goes to stderr.

    Arguments: model_path; entries, paths of files or of folders of files, or texts; page, the path of a PNG that shows each input
    with its answer (None: there is none); refer, the share of inputs whose true class may be left out: where more than one class
    stays, a doctor should look (None: each input gets a class); columns, one more input by its columns, such as {"age": "63"}.
    Returns: the exit status: 0, or 1 if an input could not be read.
    Raises: the errors of `load_model`; ValueError for a model that `tinydx diagnose` did not make; those of `inputs_of`,
    `answer_page.check_page` and `referring.promise`.
    """
    model = load_model(model_path)
    kind = kind_of(model, model_path)
    entries = inputs_of(model, kind, entries, columns)
    if page is not None:
        check_page(page, [model_path, *entries])
    if (note := personalising.note(model, kind.noun)) is not None:
        _say(f"{model_path} is {note}")
    if refer is not None:
        _say(referring.promise(model, kind.noun, refer))
    found, failed = [], 0
    for answer in answers(model, kind, entries):
        if isinstance(answer, Answer):
            brief = said = names.shown(answer.name)
            figures, share = f"{answer.probability:.3f}", f"{answer.probability:.0%}"
            if refer is not None:
                brief, said, figures = referring.refer(model, answer.outputs, refer)
                share = "" if brief == said else "(doctor)"
            found.append(Shown(answer.entry, answer.example, brief, share, answer.warning))
            print(f"{names.shown(answer.entry)}\t{said}\t{figures}", flush=True)
            if answer.warning:
                _say(f"{names.shown(answer.entry)}: {answer.warning}")
        else:
            failed += 1
            _say(str(answer))
    if found and "alike" not in (model.preprocessing.get("training") or {}):
        _say(f"{model_path} does not say what its training {kind.noun} looked like: there is no warning of others")
    if found and page is not None:
        write_page(page, found, kind, model_path, DISCLAIMER)
    if found:
        _say(DISCLAIMER)
    return 1 if failed else 0


def inputs_of(model: Any, kind: Kind, entries: Sequence[str], columns: Mapping[str, str] | None = None) -> list[str]:
    """All inputs that the entries of a command stand for, and the one that is given by its columns.

    Arguments: model and its kind; entries, paths of files, tables or folders, or texts; columns (None: there are none).
    Raises: ValueError without any input, and for columns that the model does not read; the errors of `Kind.inputs`.
    """
    found = [one for entry in entries for one in kind.inputs(entry, model.preprocessing)]
    found += [kind.given(columns, model.preprocessing)] if columns else []
    if not found:
        raise ValueError(f"nothing to answer for: give {kind.noun}")
    return found


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
        outputs = model.predict_on_batch(x)
        table = deciding.probabilities(model, outputs)
        best = int(deciding.called(model, table)[0])
        warning = unlike.warning(how.get("training"), kind, example, how)
        yield Answer(entry, example.x[0], outputs, model.class_names[best], float(table[0, best]), warning)


def _say(text: str) -> None:
    """One line on stderr."""
    print(f"tinydx: {names.line(text)}", file=sys.stderr, flush=True)
