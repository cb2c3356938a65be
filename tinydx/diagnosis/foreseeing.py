"""On a machine without kernels, those of the training are compiled while the data are read, if the network is known before."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinydx import random
from tinydx.diagnosis.kind import Kind, Options
from tinydx.dispatch import load_kernels
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
    if foreseen := kind.foresee(path, size, options):
        model, shape = foreseen
        x = np.zeros(shape, np.float32)
        ahead.begin(lambda: rehearse_step(model, x, Batch(x, np.zeros(len(x), np.float32))))
    random.load_state(state)
