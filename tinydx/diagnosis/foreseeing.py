"""On a machine without kernels, those of a run are compiled while its data are read, if their form is known before.

    Kind.foresee ── blank examples ──> a training step, then the explanations ──> a helper compiles what they call, in this order
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from tinydx import random
from tinydx.datasets.study import Study
from tinydx.diagnosis.kind import Kind, Options
from tinydx.diagnosis.sections import evidence
from tinydx.dispatch import load_kernels
from tinydx.explain.checks import method_named
from tinydx.training.data import Batch
from tinydx.training.rehearsing import rehearse_step


def begin_compiling(kind: Kind, path: str | Path | None, size: int | None, options: Options) -> None:
    """Begin, in another process; the random numbers are as before.

    Arguments: kind; path, size and options as `diagnose` has them.
    """
    if load_kernels("numba") is not None:
        return
    from tinydx_kernels.cpu import ahead

    if not ahead.is_first_run():
        return
    state = random.state()
    if blank := kind.foresee(path, size, options):
        begin_with(kind, blank, options)
    random.load_state(state)


def begin_with(kind: Kind, blank: Study, options: Options) -> None:
    """Begin with what a run on such a study calls."""
    from tinydx_kernels.cpu import ahead

    plan = kind.plan(blank, options)

    @functools.cache
    def given() -> tuple[Any, Batch]:
        """A model and a batch: made while the helper gets ready, and by this thread, as `next` would not."""
        return kind.build(blank, plan), Batch(*kind.training_batches(blank, plan, seed=0)[0])

    def step() -> None:
        model, batch = given()
        rehearse_step(model, batch.x, batch)

    def explain(name: str) -> None:
        model, batch = given()
        method_named(name)(model, batch.x[:1], 0)

    ahead.begin(step, *(functools.partial(explain, name) for name in evidence.METHODS))
