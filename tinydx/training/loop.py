"""The loop of `fit`: epochs of batches, with callbacks around them, and a state that can be saved and resumed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from tinydx import callbacks as cb
from tinydx import distributed, random
from tinydx.files import DISK_FULL
from tinydx.saving import read_run, refusing, save_run
from tinydx.saving.header import expect_dict, expect_list, expect_text, part
from tinydx.settings import whole
from tinydx.training import data, prefetch, weighting
from tinydx.training.data import Batch
from tinydx.training.meaning import check_weights
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
        self.settings: dict[str, Any] = {}  # what the run was begun with, if it is to be resumed
        if class_weight is not None:
            weighting.check_class_weight(class_weight, weighting.number_of_classes(self.source))
        if self.validation is not None:
            pass_length(self.validation, self.validation_steps, "validation_steps")  # raises now, not after an epoch
        given = cb.listed(callbacks)
        self.history, self.bar = cb.History(), cb.ProgressBar()
        self.lasting = [*given, self.history]  # callbacks whose state is saved
        self.callbacks = [*self.lasting, self.bar] if params["verbose"] else self.lasting
        for c in self.callbacks:
            c.model, c.params = model, params

    def train(self, epochs: range, resume: str | Path | None, ready: Callable[[], None]) -> cb.History:
        """Train for the epochs; with resume, for those that are left of the run saved at that path.

        `ready` is called when the saved run is found to fit, and before anything changes.
        """
        if resume and not Path(resume).parent.is_dir():
            raise FileNotFoundError(f"resume={str(resume)!r}: its folder does not exist, create it first")
        if resume:
            self.settings = self._settings()
        saved = self._read(resume) if resume and Path(resume).exists() else None
        if distributed.size() > 1:
            self._check_ranks("at the beginning", the_data=self.source.identity(), the_saved_run=saved is not None)
        try:
            with all_or_nothing(self.model, self.lasting, (self.source, self.validation)) if saved else nullcontext():
                ready()
                self.model.stop_training = False
                self._call("on_train_begin")
                if saved:
                    with refusing(str(resume)):
                        epochs = range(self._restore(saved), epochs.stop)
            if resume and not saved and self.model.built and self.source.can_start_again:
                self._save(resume, epochs.start)  # so that a run killed in its first epoch goes on, too
            for epoch in epochs:
                if self._stopped():
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
            if self._stopped():
                break
        check_weights(self.model, f"epoch {epoch + 1}")
        self._check_ranks(f"after epoch {epoch + 1}", the_learning_rate=self.model.optimizer.learning_rate)
        logs = means.logs()
        if self.validation:
            checked = self.model.evaluate_source(self.validation, self.validation_steps, distributed.share)
            logs |= {f"val_{name}": value for name, value in checked.items()}
        self._call("on_epoch_end", epoch, logs)

    def _fetch(self) -> Batch:
        """The next batch, with the weights of its examples."""
        batch = next(self.source)
        weight = weighting.combined_weight(batch.y, batch.weight, self.class_weight)
        return distributed.share(batch._replace(weight=weight))

    def _stopped(self) -> bool:
        """Whether a callback has stopped training; of several processes, on any of them."""
        stopped = distributed.any_rank(self.model.stop_training)
        if stopped != self.model.stop_training:  # setting an attribute ends what is known of the model
            self.model.stop_training = stopped
        return stopped

    def _check_ranks(self, when: str, **things: Any) -> None:
        """RuntimeError where several processes do not have the same weights, random numbers and these things."""
        weights = [w.data for w in self.model.weights]
        distributed.check_alike(when, **things, the_weights=weights, the_random_numbers=random.state())

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
        if not distributed.is_first():
            return
        state = {
            "epoch": epoch,
            "stopped": self.model.stop_training,
            "random": random.state(),
            "data": self.source.state(),
            "validation": self.validation.state() if self.validation else None,
            "callbacks": [{"class": type(c).__name__, "state": c.state()} for c in self.lasting],
            "settings": self.settings,
        }
        try:
            save_run(self.model, state, path)
        except OSError as error:  # what was learnt is worth more than the file
            if error.errno not in DISK_FULL:
                raise
            print(f"{path}: the disk is full; the run is not saved after epoch {epoch}, and goes on", file=sys.stderr)

    def _settings(self) -> dict[str, Any]:
        """What must be the same when the run goes on, apart from model, optimizer and loss: names for a message, and values."""
        optimizer, weight = self.model.optimizer, self.class_weight
        named: dict[str, Any] = {}
        for use, source in (("training", self.source), ("validation", self.validation)):
            if source is not None:
                named |= {f"{name} of the {use} data": value for name, value in source.identity().items()}
        return {
            "validation_data": self.validation is not None,
            "validation_steps": self.validation_steps,
            "class_weight": None if weight is None else {str(c): float(w) for c, w in sorted(weight.items())},
            "steps_per_epoch": self.params["steps"],
            "learning_rate": optimizer.learning_rate if optimizer.schedule is None else None,
            **named,
        }

    def _check_settings(self, was: dict[str, Any], rate: Any, path: str | Path) -> None:
        """ValueError that names the first setting in which the saved run differs from this one; rate, its last learning rate."""
        now = self.settings
        for name in [*was, *(n for n in now if n not in was)]:
            before, here = was.get(name), now.get(name)
            changed = name == "learning_rate" and here == rate  # by a callback of the run, in this process
            if before != here and not changed:
                digits = isinstance(before, str) and isinstance(here, str)  # fingerprints say nothing to a reader
                told = "is another than in the run" if digits else f"was {before} in the run, now it is {here}"
                raise ValueError(f"{path}: {name} {told}: resume with what it was begun with, or delete it")
        self.settings = was

    def _read(self, path: str | Path) -> Any:
        """The saved run, checked against this one; nothing changes yet."""
        saved = read_run(self.model, path)
        with refusing(path):
            remembered = expect_list(part(expect_dict(saved.state, "the run"), "callbacks", "the run"), "callbacks")
            was = [expect_text(part(expect_dict(c, "a callback"), "class", "a callback"), "class") for c in remembered]
        if "settings" not in saved.state:
            raise ValueError(f"{path} was saved by an older tinydx, which did not note what the run was begun with: delete it")
        now = [type(c).__name__ for c in self.lasting]
        if was != now:
            raise ValueError(f"{path}: the run had the callbacks {was[:-1]}, now there are {now[:-1]}")
        with refusing(path):
            sources = ((self.source, "data", self.params["steps"]), (self.validation, "validation", self.validation_steps or 1))
            check_run(saved.state, self.lasting, sources, saved.shapes)
            settings = expect_dict(part(saved.state, "settings", "the run"), "settings")
        self._check_settings(settings, saved.learning_rate(), path)
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
    asked = None if asked is None else whole("steps_per_epoch", asked)
    if not hasattr(source, "__len__"):
        if asked is None:
            raise ValueError("a generator has no length: give steps_per_epoch")
        return asked
    if asked is not None and asked > len(source):
        found = f"{len(source)} batch{'' if len(source) == 1 else 'es'}"
        print(f"The data has {found} a pass; it is looped to make {asked} steps.", file=sys.stderr)
    return len(source) if asked is None else asked


def pass_length(source: Any, asked: int | None, name: str = "steps") -> int:
    """The batches of an evaluation or prediction: one pass, or fewer if asked for; no example counts twice."""
    asked = None if asked is None else whole(name, asked)
    if not hasattr(source, "__len__"):
        if asked is None:
            raise ValueError(f"a generator has no length: give {name}")
        return asked
    return len(source) if asked is None else min(asked, len(source))
