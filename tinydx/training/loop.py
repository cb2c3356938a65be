"""The loop of `fit`: epochs of batches, with callbacks around them, and a state that can be saved and resumed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from tinydx import callbacks as cb
from tinydx import random
from tinydx.saving import read_run, refusing, save_run
from tinydx.saving.header import expect_dict, expect_list, expect_text, part
from tinydx.training import data, prefetch
from tinydx.training.data import Batch
from tinydx.training.placement import free_memory
from tinydx.training.resuming import all_or_nothing, check_run
from tinydx.training.running_means import RunningMeans


class Sources(NamedTuple):
    """The data of a run: batches to train on, batches to validate on or None, and how many of those (None: all)."""

    training: Any
    validation: Any
    validation_steps: int | None


class Run:
    """One call of fit.

    Arguments: model, compiled; sources, its data; params, the callbacks' {"epochs", "steps", "verbose"}; callbacks;
    class_weight, {class: weight}.
    """

    def __init__(
        self, model: Any, sources: Sources, params: dict[str, Any], callbacks: Any, class_weight: dict[int, float] | None
    ):
        self.model, self.params, self.class_weight = model, params, class_weight
        self.source, self.validation, self.validation_steps = sources
        self.fetched: Future[Batch] | None = None  # the next batch, or the error in its place, if it was fetched already
        given = [callbacks] if isinstance(callbacks, cb.Callback) else list(callbacks or [])
        for c in given:
            cb.check(c)
        self.history, self.bar = cb.History(), cb.ProgressBar()
        self.lasting = [*given, self.history]  # callbacks whose state is saved
        self.callbacks = [*self.lasting, self.bar] if params["verbose"] else self.lasting
        for c in self.callbacks:
            c.model, c.params = model, params

    def train(self, epochs: range, resume: str | Path | None, ready: Callable[[], None]) -> cb.History:
        """Train for the epochs; with resume, for those that are left of the run saved at that path.

        `ready` is called when the saved run is found to fit, and before anything changes.
        """
        saved = self._read(resume) if resume and Path(resume).exists() else None
        if resume and not Path(resume).parent.is_dir():
            raise FileNotFoundError(f"resume={str(resume)!r}: its folder does not exist, create it first")
        try:
            with all_or_nothing(self.model, self.lasting, (self.source, self.validation)) if saved else nullcontext():
                ready()
                self.model.stop_training = False
                self._call("on_train_begin")
                if saved:
                    with refusing(str(resume)):
                        epochs = range(self._restore(saved), epochs.stop)
            for epoch in epochs:
                if self.model.stop_training:
                    break
                self._epoch(epoch)
                if resume:
                    self._save(resume, epoch + 1)
            if self.params["epochs"]:
                self.model.optimizer.finalize_variable_values(self.model.trainable_weights)
            self._call("on_train_end")
        finally:
            self.bar.close()
            free_memory()
        return self.history

    def _call(self, event: str, *arguments: Any) -> None:
        """Call that method of every callback."""
        for c in self.callbacks:
            getattr(c, event)(*arguments)

    def _epoch(self, epoch: int) -> None:
        self._call("on_epoch_begin", epoch)
        means = RunningMeans(self.model)
        for k in range(self.params["steps"]):
            self._call("on_train_batch_begin", k)
            batch = self.fetched.result() if self.fetched else self._fetch()
            self.fetched = None
            meanwhile = self._prefetch if k + 1 < self.params["steps"] else None
            self.model.train_on(batch, f"batch {k + 1} of epoch {epoch + 1}", means, meanwhile)
            self._call("on_train_batch_end", k, means.logs())
            if self.model.stop_training:
                break
        logs = means.logs()
        if self.validation:
            checked = self.model.evaluate_source(self.validation, self.validation_steps)
            logs |= {f"val_{name}": value for name, value in checked.items()}
        self._call("on_epoch_end", epoch, logs)

    def _fetch(self) -> Batch:
        """The next batch, with the weights of its examples."""
        batch = next(self.source)
        return batch._replace(weight=data.combined_weight(batch.y, batch.weight, self.class_weight))

    def _prefetch(self) -> None:
        """Fetch the next batch while a step runs, and send it to the GPU; an error is raised when the batch is used."""
        self.fetched = Future()
        try:
            batch = self._fetch()
            prefetch.prefetcher().send(batch.x)
            self.fetched.set_result(batch)
        except Exception as error:
            self.fetched.set_exception(error)

    # ---- the state of a run ----

    def _save(self, path: str | Path, epoch: int) -> None:
        state = {
            "epoch": epoch,
            "stopped": self.model.stop_training,
            "random": random.state(),
            "data": self.source.state(),
            "validation": self.validation.state() if self.validation else None,
            "callbacks": [{"class": type(c).__name__, "state": c.state()} for c in self.lasting],
        }
        save_run(self.model, state, path)

    def _read(self, path: str | Path) -> Any:
        """The saved run, checked against this one; nothing changes yet."""
        saved = read_run(self.model, path)
        with refusing(path):
            remembered = expect_list(part(expect_dict(saved.state, "the run"), "callbacks", "the run"), "callbacks")
            was = [expect_text(part(expect_dict(c, "a callback"), "class", "a callback"), "class") for c in remembered]
        now = [type(c).__name__ for c in self.lasting]
        if was != now:
            raise ValueError(f"{path}: the run had the callbacks {was[:-1]}, now there are {now[:-1]}")
        with refusing(path):
            sources = ((self.source, "data", self.params["steps"]), (self.validation, "validation", self.validation_steps or 1))
            check_run(saved.state, self.lasting, sources, saved.shapes)
        return saved

    def _restore(self, saved: Any) -> int:
        """Give model, callbacks, random numbers and data the saved state; returns the epoch to continue with."""
        state = saved.state
        saved.load_model()
        for c, remembered in zip(self.lasting, state["callbacks"], strict=True):
            c.load_state(remembered["state"])
        random.load_state(state["random"])
        self.model.stop_training = state["stopped"]
        both = [(self.source, state["data"]), (self.validation, state["validation"])]
        for source, position in sorted(both, key=lambda s: isinstance(s[0], data.GeneratorBatches)):  # these cannot go back
            if source and position:
                source.load_state(position)
        return state["epoch"]


def epoch_length(source: Any, asked: int | None) -> int:
    """The batches of a training epoch: one pass, or the number asked for; prints a notice if that loops the data."""
    if asked is not None and asked < 1:
        raise ValueError(f"steps_per_epoch is {asked}, expected at least 1")
    if not hasattr(source, "__len__"):
        if asked is None:
            raise ValueError("a generator has no length: give steps_per_epoch")
        return asked
    if asked is not None and asked > len(source):
        print(f"The data has {len(source)} batches a pass; it is looped to make {asked} steps.", file=sys.stderr)
    return len(source) if asked is None else asked


def pass_length(source: Any, asked: int | None) -> int:
    """The batches of an evaluation or prediction: one pass, or fewer if asked for; no example counts twice."""
    if not hasattr(source, "__len__"):
        if asked is None:
            raise ValueError("a generator has no length: give steps (validation_steps in fit)")
        return asked
    return len(source) if asked is None else min(asked, len(source))
