"""A saved run is taken up as a whole or not at all: its state is checked before anything changes, and an error is undone.

check_run(...)         a forged or foreign state is refused in one line
all_or_nothing(...)    after an error inside, model, optimizer, callbacks, data and random numbers are what they were
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinydx import callbacks as cb
from tinydx import random
from tinydx.files import atomic_write
from tinydx.saving.header import FLOATS, expect_bool, expect_count, expect_dict, expect_list, expect_text, part, short
from tinydx.training.data import ArrayBatches, GeneratorBatches


def check_run(state: dict[str, Any], callbacks: list[Any], sources: Iterable[tuple[Any, str, int]], shapes: list[Any]) -> None:
    """ValueError, TypeError or KeyError unless these callbacks and sources can take the state of a run.

    Arguments: state; callbacks, those whose state is saved; sources, each with its name in the state and the batches of an
    epoch; shapes of the run's weights.
    """
    epoch = expect_count(part(expect_dict(state, "the run"), "epoch", "the run"), "epoch")
    expect_bool(part(state, "stopped", "the run"), "stopped")
    trial = np.random.default_rng(0).bit_generator
    trial.state = expect_dict(part(state, "random", "the run"), "random")
    if trial.state != state["random"]:
        raise ValueError("random is no state of the random numbers")
    for source, name, steps in sources:
        if source is not None and state[name] is not None:
            _check_source(source, expect_dict(state[name], name), name, epoch * steps)
    for c, remembered in zip(callbacks, state["callbacks"], strict=True):
        _check_callback(c, remembered["state"], shapes)


def _check_source(source: Any, state: dict[str, Any], name: str, most: int) -> None:
    """The position of a source of data: one in its pass, and no more batches than the epochs had."""
    now = source.state()
    if set(now) != set(state):
        raise ValueError(f"{name} has {', '.join(state) or 'nothing'}, expected {', '.join(now)}")
    if isinstance(source, ArrayBatches):
        source.check_state(state)
    counts = {"batches_seen": 2**63, "given": most + 1}
    if hasattr(source, "__len__"):
        counts |= {"position": len(source), "batch_index": len(source)}
    for key, value in state.items():
        if key in counts:
            expect_count(value, f"{name}: {key}", below=counts[key])
        elif key in ("seed", "epoch_seed") and value is not None:
            expect_count(value, f"{name}: {key}")


def _check_callback(callback: Any, state: Any, shapes: list[Any]) -> None:
    """The state of a callback: its attributes' names, and of tinydx's own callbacks their kinds."""
    who = type(callback).__name__
    expect_dict(state, who)
    if type(callback).load_state is cb.Callback.load_state and set(state) != set(callback.remembers):
        raise ValueError(f"{who} remembers {', '.join(callback.remembers) or 'nothing'}, the run has {', '.join(state)}")
    if type(callback).__module__ != cb.__name__:
        return
    for name, value in state.items():
        if name == "best_weights" and value is not None:
            _expect_weights(value, f"{who}: {name}", shapes)
        elif name in KINDS:
            KINDS[name](value, f"{who}: {name}")


def _expect_best(value: Any, where: str) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value != value):
        raise TypeError(f"{where} is {short(value)}, expected a number or nothing")


def _expect_epochs(value: Any, where: str) -> None:
    for epoch in expect_list(value, where):
        expect_count(epoch, where)


def _expect_history(value: Any, where: str) -> None:
    for name, numbers in expect_dict(value, where).items():
        for number in expect_list(numbers, f"{where}: {name}"):
            if np.asarray(number).dtype.kind not in "iuf":
                raise TypeError(f"{where}: {name} has {short(number)}, expected numbers")


def _expect_csv(value: Any, where: str) -> None:
    expect_text(value, where, longest=2**40)


def _expect_weights(value: Any, where: str, shapes: list[Any]) -> None:
    arrays = expect_list(value, where)
    fit = all(isinstance(a, np.ndarray) and a.dtype.name in FLOATS for a in arrays) and [a.shape for a in arrays] == shapes
    if not fit:
        raise ValueError(f"{where} are not weights of this model")


KINDS: dict[str, Callable[[Any, str], Any]] = {
    "best": _expect_best,
    "epoch": _expect_epochs,
    "history": _expect_history,
    "text": _expect_csv,
    **dict.fromkeys(("wait", "best_epoch", "stopped_epoch", "cooldown_left"), expect_count),
}


# ---- undoing --------------------------------------------------------------------------------------------------------


@contextmanager
def all_or_nothing(model: Any, callbacks: Iterable[Any], sources: Iterable[Any]) -> Iterator[None]:
    """After an error inside, everything that a run changes when it is taken up is what it was before.

    A plain generator that has advanced cannot go back: it is to be advanced last.
    """
    sources = [s for s in sources if s is not None and not isinstance(s, GeneratorBatches)]
    things = [model, *model.all_layers(), model.optimizer, *callbacks, *sources, *(getattr(s, "iterator", None) for s in sources)]
    attributes = [(thing, _attributes(thing)) for thing in things if hasattr(thing, "__dict__")]
    weights = [(w, w.data, w.requires_grad) for w in model.weights]
    files = [(c.filename, c.filename.read_bytes() if c.filename.is_file() else None) for c in callbacks if _is_logger(c)]
    numbers = random.state()
    try:
        yield
    except BaseException:
        for thing, before in attributes:
            vars(thing).clear()
            vars(thing).update(before)
        for w, data, requires_grad in weights:
            w.data, w.requires_grad = data, requires_grad
        for path, content in files:
            path.unlink(missing_ok=True) if content is None else atomic_write(path, content)
        random.load_state(numbers)
        raise


def _is_logger(callback: Any) -> bool:
    return isinstance(callback, cb.CSVLogger)


def _attributes(thing: Any) -> dict[str, Any]:
    """The attributes; lists to which a layer's weights are added, copied."""
    return {k: [*v] if type(v) is list else v for k, v in vars(thing).items()}
