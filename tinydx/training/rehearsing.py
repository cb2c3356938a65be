"""A training step on zeros, by a copy of the model: which kernels it calls depends on shapes alone."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from tinydx import dispatch, random
from tinydx.training.data import Batch
from tinydx.training.running_means import RunningMeans
from tinydx.training.step import Step


def rehearse_step(model: Any, x: Any, batch: Batch) -> None:
    """Take a step as `Step.take` would on this batch; the model and the random numbers are as before.

    Arguments: model, compiled and built; x, the batch's input, checked; batch.
    """
    state = random.state()
    try:
        twin = copy.deepcopy(model)
        zeros = [np.zeros_like(part) for part in x] if isinstance(x, list) else np.zeros_like(x)
        with dispatch.trace():  # not into a trace of the caller
            alone = copy.deepcopy(batch._replace(whole=None))  # no rank waits for another one in a rehearsal
            Step(twin).take(zeros, alone, RunningMeans(twin))
    finally:
        random.load_state(state)
