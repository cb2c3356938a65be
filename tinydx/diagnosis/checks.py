"""What is known before training and would end a diagnosis after it; and what makes a run the same run, for `--resume`.

    settings(study, ...)        the data and the options of a run as JSON: the same settings give the same bits
    room(kind, study, ...)      the bytes that a run and its result take at most, from the sizes of the models
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import tinydx
from tinydx import random
from tinydx.datasets.study import SPLITS, Examples, Study
from tinydx.diagnosis import choose
from tinydx.diagnosis.inputs import digests
from tinydx.diagnosis.kind import Kind, Options, Plan
from tinydx.diagnosis.result import Room

PAGE = 10_000_000  # bytes, of the report and the numbers: more than they ever take


def settings(study: Study, others: Sequence[tuple[str, Examples]], options: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run, JSON-able.

    Arguments: study; others, (path, examples) of each place that the model is tested on; options of `diagnose`.
    Returns: the options; "version" of tinydx, "source", the name of the data, "classes", "also", the names of the other places;
    "data", a digest of all examples and their labels.
    """
    total = hashlib.blake2b(digest_size=16)
    for part in [*(getattr(study, name) for name in SPLITS), *(part for _, part in others)]:
        total.update("".join(digests(part.x)).encode() + np.asarray(part.y, "<i8").tobytes() + b";")
    return {
        **options,
        "version": tinydx.__version__,
        "source": _text(study.source),
        "classes": [_text(name) for name in study.class_names],
        "also": [_text(path) for path, _ in others],
        "data": total.hexdigest(),
    }


def _text(name: object) -> str:
    """A name as it can be written."""
    return str(name).encode("utf-8", "backslashreplace").decode()


def room(kind: Kind, study: Study, options: Options, members: int, choosing: bool) -> Room:
    """The bytes that a run writes at most: the state of each training, the model, and the report.

    Arguments: kind; study; options; members, how many models are averaged; choosing, whether all networks are compared first.
    """
    before = random.state()
    model = state = 0
    for network in kind.networks if choosing else [options.network]:
        here = replace(study, preprocessing=dict(study.preprocessing))  # a plan may change how examples are read
        weights, memory = _sizes(kind, here, kind.plan(here, options._replace(network=network)))
        model, state = max(model, weights), max(state, memory)
    random.load_state(before)
    trainings = members + (len(kind.networks) * choose.FOLDS if choosing else 0)
    return Room(state * (trainings + 1), 2 * model * members + PAGE)  # a file is written beside the one that it replaces


def _sizes(kind: Kind, study: Study, plan: Plan) -> tuple[int, int]:
    """The bytes of a model's weights, and of the states of its trainings: the best epoch's weights, too."""
    if inner := kind.trainings(study, plan):
        sizes = [_sizes(training.kind, training.study, training.plan) for training in inner]
        return sum(size for size, _ in sizes), sum(memory for _, memory in sizes)
    made = kind.build(study, plan)
    weights = 4 * made.count_params()
    return weights, weights * (2 + len(made.optimizer.slot_names))
