"""Callbacks: what happens around training, by Keras's names.

`fit` tells a callback when training, epochs and batches begin and end, with the numbers so far (`logs`). A callback may
add numbers to an epoch's logs: later callbacks and the history see them, too. `state()` returns what it must remember
over an interrupted run, `load_state()` takes it back.
"""

from __future__ import annotations

import csv
import inspect
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tinydx import files
from tinydx.names import in_cell
from tinydx.settings import Checked, number, one_of, whole
from tinydx.suggestions import did_you_mean

Logs = dict[str, float]


class Callback(metaclass=Checked):
    """Base of all callbacks; `self.model` is the model that trains, `self.params` holds epochs, steps and verbose.

    A subclass defines the methods that it needs.

    >>> class Printer(Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         print(epoch, format_logs(logs))
    >>> Printer().on_epoch_end(0, {"loss": 0.5})
    0 loss 0.5000
    """

    model: Any = None
    params: dict[str, Any] = {}
    remembers: tuple[str, ...] = ()  # names of the attributes that make up the state

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch; not after an error."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch; they count from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """After an epoch and its validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch; they count from 0 in each epoch."""

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """After a batch, with the means of the epoch so far."""

    def state(self) -> dict[str, Any]:
        """What must be saved to continue later: numbers, lists and arrays."""
        return {name: getattr(self, name) for name in self.remembers}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        for name, value in state.items():
            setattr(self, name, value)


def check(callback: Any) -> None:
    """TypeError unless it is a callback all of whose on_... methods are known, so that `fit` calls them."""
    if not isinstance(callback, Callback):
        raise TypeError(f"fit: {callback!r} is no callback: give objects such as EarlyStopping()")
    events = [name for name in vars(Callback) if name.startswith("on_")]
    for name in dir(callback):
        if name.startswith("on_") and name not in events:
            raise TypeError(f"{type(callback).__name__}.{name} would never be called{did_you_mean(name, events)}")


def listed(callbacks: Any) -> list[Callback]:
    """The argument `callbacks` of fit: a callback, or a list of them, or None; TypeError for anything else."""
    given = [callbacks] if isinstance(callbacks, Callback) else [] if callbacks is None else callbacks
    if not isinstance(given, list | tuple):
        raise TypeError(f"fit: callbacks is {given!r}, expected a list of objects such as EarlyStopping()")
    for c in given:
        check(c)
    return list(given)


class Numbers(dict[str, list[float]]):
    """The numbers of a history by name; a name that is not there is answered by those that are like it."""

    def __missing__(self, name: str) -> Any:
        raise KeyError(f"the history has no {name!r}{did_you_mean(name, self)}")


class History(Callback):
    """The numbers of every epoch: `history["loss"]`, `history["val_auc"]` ... `fit` returns it.

    >>> history = History()
    >>> history.on_epoch_end(0, {"loss": 0.5})
    >>> history.history
    {'loss': [0.5]}
    """

    remembers = ("history", "epoch")

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = Numbers()
        self.epoch: list[int] = []

    def load_state(self, state: dict[str, Any]) -> None:
        self.history, self.epoch = Numbers(state["history"]), state["epoch"]

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)


class Watcher(Callback):
    """Base of the callbacks that wait for one number to improve.

    Arguments: monitor, a name in the logs; mode "min", "max" or "auto" (max for accuracy, AUC and the like);
    min_delta, the smallest change that counts as an improvement; verbose, whether to print a line when something is done.
    Raises: ValueError for settings that cannot be, and during training where the logs have no such name.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float, verbose: int):
        one_of(f"{type(self).__name__}: mode", mode, ("auto", "min", "max"))
        self.verbose = whole(f"{type(self).__name__}: verbose", verbose, at_least=0)
        self.monitor, self.min_delta = monitor, abs(min_delta)
        rises = ("accuracy", "acc", "auc", "precision", "recall", "sensitivity", "specificity", "f1")
        self.sign = 1 if mode == "max" or (mode == "auto" and any(word in monitor.lower() for word in rises)) else -1
        self.best: float | None = None

    def value(self, logs: Logs) -> float:
        """The watched number of this epoch."""
        if self.monitor not in logs:
            raise ValueError(f"{type(self).__name__}: no {self.monitor!r} to monitor; there is {', '.join(logs)}")
        return logs[self.monitor]

    def say(self, epoch: int, what: str) -> None:
        """Print what was done after an epoch, if verbose."""
        if self.verbose:
            print(f"Epoch {epoch + 1}: {what}", flush=True)

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether value improves on `than` by more than min_delta; any number improves on None, NaN on nothing."""
        if than is None:
            return value == value
        return (value - self.sign * self.min_delta - than) * self.sign > 0


class EarlyStopping(Watcher):
    """Stop when a number has not improved for `patience` epochs.

    Arguments: monitor, min_delta, verbose, mode as Watcher; patience; baseline, a value that must be beaten, too;
    restore_best_weights, whether to return to the best epoch's weights at the end; start_from_epoch, the number of first
    epochs that do not count.
    Raises: as Watcher.

    >>> EarlyStopping(monitor="val_auc", patience=5, restore_best_weights=True).sign  # larger is better
    1
    """

    remembers = ("best", "wait", "best_epoch", "stopped_epoch", "best_weights")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ):
        super().__init__(monitor, mode, min_delta, verbose)
        self.patience, self.baseline = whole("EarlyStopping: patience", patience, at_least=0), baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = whole("EarlyStopping: start_from_epoch", start_from_epoch, at_least=0)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.best, self.wait, self.best_epoch, self.stopped_epoch = None, 0, 0, 0
        self.best_weights: list[np.ndarray] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        value = self.value(logs)
        if epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self.is_better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.is_better(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True
            self.say(epoch, f"early stopping, {self.monitor} was best in epoch {self.best_epoch + 1}")

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)
            self.say(self.best_epoch, "the weights are restored to this, the best epoch")


class ModelCheckpoint(Watcher):
    """Save the model after each epoch, or only when a number improved.

    Arguments: filepath, which may hold {epoch:02d} and names of the logs; monitor, verbose, mode as Watcher; save_best_only.
    Raises: as Watcher; ValueError where filepath names something that the logs do not have.

    >>> checkpoint = ModelCheckpoint("model-{epoch:02d}-{val_loss:.2f}.tdx", save_best_only=True)
    """

    remembers = ("best",)

    def __init__(
        self,
        filepath: str | Path,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        *,
        mode: str = "auto",
    ):
        super().__init__(monitor, mode, 0.0, verbose)
        self.filepath, self.save_best_only = str(filepath), save_best_only

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.save_best_only:
            value = self.value(logs)
            if not self.is_better(value, self.best):
                return
            self.best = value
        try:
            path = Path(self.filepath.format(epoch=epoch + 1, **logs))
        except KeyError as error:
            raise ValueError(f"ModelCheckpoint: filepath names {error}, there is epoch, {', '.join(logs)}") from None
        path.parent.mkdir(parents=True, exist_ok=True)
        self.model.save(path)
        self.say(epoch, f"model saved to {path}")


class ReduceLROnPlateau(Watcher):
    """Multiply the learning rate by `factor` when a number has not improved for `patience` epochs.

    Arguments: monitor, verbose, mode, min_delta as Watcher; factor, above 0 and below 1; patience; cooldown, epochs to wait after
    a reduction; min_lr, the lowest learning rate.
    Raises: as Watcher; TypeError where training begins with a schedule as the optimizer's
    learning_rate.

    >>> ReduceLROnPlateau(factor=0.5, patience=3).monitor
    'val_loss'
    """

    remembers = ("best", "wait", "cooldown_left")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ):
        super().__init__(monitor, mode, min_delta, verbose)
        self.factor = number("ReduceLROnPlateau: factor", factor, above=0, below=1)
        self.patience = whole("ReduceLROnPlateau: patience", patience, at_least=0)
        self.cooldown = whole("ReduceLROnPlateau: cooldown", cooldown, at_least=0)
        self.min_lr = number("ReduceLROnPlateau: min_lr", min_lr, at_least=0)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        expect_settable_rate(self)
        self.best, self.wait, self.cooldown_left = None, 0, 0

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        value, optimizer = self.value(logs), self.model.optimizer
        logs["learning_rate"] = optimizer.learning_rate
        if self.cooldown_left > 0:
            self.cooldown_left -= 1
            self.wait = 0
        if self.is_better(value, self.best):
            self.best, self.wait = value, 0
        elif self.cooldown_left == 0:
            self.wait += 1
            if self.wait >= self.patience and optimizer.learning_rate > self.min_lr:
                optimizer.learning_rate = max(optimizer.learning_rate * self.factor, self.min_lr)
                self.cooldown_left, self.wait = self.cooldown, 0
                self.say(epoch, f"learning rate reduced to {optimizer.learning_rate:.4g}")


class LearningRateScheduler(Callback):
    """Set each epoch's learning rate.

    Arguments: schedule(epoch, learning_rate) -> learning rate, or schedule(epoch); it gets the number of the epoch, from 0, and
    the rate before; verbose, whether to print the rate of each epoch.
    Raises: TypeError for another schedule, and where training begins with a schedule as the optimizer's learning_rate;
    ValueError, during training, where the schedule returns a number below 0 or NaN.

    >>> halving = LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0):
        self.schedule, self.verbose = schedule, whole("LearningRateScheduler: verbose", verbose, at_least=0)
        self.takes = _number_of_arguments(schedule)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        expect_settable_rate(self)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        given = epoch, self.model.optimizer.learning_rate
        rate = self.schedule(*given[: self.takes])
        what = f"LearningRateScheduler: the schedule's rate of epoch {epoch + 1}"
        self.model.optimizer.learning_rate = number(what, rate, at_least=0)
        if self.verbose:
            print(f"Epoch {epoch + 1}: learning rate {rate:.4g}", flush=True)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        logs["learning_rate"] = self.model.optimizer.learning_rate


def _number_of_arguments(schedule: Any) -> int:
    """Whether a schedule takes (epoch, learning_rate), 2, or the epoch alone, 1; TypeError for anything else."""
    if not callable(schedule):
        raise TypeError(f"LearningRateScheduler: schedule is {schedule!r}, expected a function of (epoch, learning_rate)")
    try:
        signature = inspect.signature(schedule)
    except ValueError:  # of a function written in C
        return 2
    for count in (2, 1):
        try:
            signature.bind(*range(count))
        except TypeError:
            continue
        return count
    raise TypeError(f"LearningRateScheduler: the schedule takes {signature}, expected (epoch, learning_rate) or (epoch)")


def expect_settable_rate(callback: Callback) -> None:
    """TypeError where the optimizer's learning rate follows a schedule: the callback could not set it."""
    schedule = callback.model.optimizer.schedule
    if schedule is not None:
        name, followed = type(callback).__name__, type(schedule).__name__
        raise TypeError(f"{name}: the learning rate follows a {followed}: drop the callback, or compile with a number instead")


class CSVLogger(Callback):
    """Write each epoch's numbers as a row of a CSV file.

    Arguments: filename; append, whether to add rows to an existing file.
    """

    def __init__(self, filename: str | Path, append: bool = False):
        self.filename, self.append = Path(filename), append

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if files.writes and not (self.append and self.filename.exists()):
            self.filename.write_bytes(b"")

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if not files.writes:
            return
        with self.filename.open("r+", newline="", encoding="utf-8") as file:
            names = next(csv.reader(file), None)
            file.seek(0, os.SEEK_END)
            if names is None:
                names = ["epoch", *logs]
                csv.writer(file).writerow(map(in_cell, names))
            csv.writer(file).writerow([epoch, *(logs.get(name, "") for name in names[1:])])

    def state(self) -> dict[str, Any]:
        return {"text": self.filename.read_bytes().decode()}

    def load_state(self, state: dict[str, Any]) -> None:
        if files.writes:
            self.filename.write_bytes(state["text"].encode())


class ProgressBar(Callback):
    """Shows an epoch's progress: on a terminal a bar that updates in place, with the time left; at the end of the epoch one line.

    The time of a step is the mean over the epoch's steps but the first, which may compile kernels; validation does not count.
    """

    bar: Any = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.began = self.after_first = self.after_last = time.perf_counter()
        self.steps = 0
        self.title = f"Epoch {epoch + 1}/{self.params['epochs']}"
        if self.params["verbose"] != 2 and sys.stdout.isatty():
            self.bar = self._bar()
            self.task = self.bar.add_task(self.title, total=self.params["steps"], left="", numbers="")
            self.bar.start()

    def _bar(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = TextColumn("{task.description}"), BarColumn(16), MofNCompleteColumn(), TextColumn("{task.fields[left]}")
        numbers, console = TextColumn("{task.fields[numbers]}", markup=False), Console(file=sys.stdout)
        return Progress(*columns, numbers, console=console, transient=True)

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        self.steps, self.after_last = batch + 1, time.perf_counter()
        if self.steps == 1:
            self.after_first = self.after_last
        if self.bar:
            seconds = self.seconds_per_step()
            left = f"ETA {format_seconds(seconds * (self.params['steps'] - self.steps))} {format_step(seconds)}"
            self.bar.update(self.task, completed=self.steps, left=left, numbers=format_logs(logs))

    def seconds_per_step(self) -> float:
        """The mean time of a step in this epoch; the first one does not count, unless it is the only one."""
        if self.steps < 2:
            return self.after_last - self.began
        return (self.after_last - self.after_first) / (self.steps - 1)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self.close()  # the line below replaces the bar
        times = f"{time.perf_counter() - self.began:.1f} s · {format_step(self.seconds_per_step())}"
        print(f"{self.title} · {self.params['steps']} steps · {times} · {format_logs(logs)}", flush=True)

    def close(self) -> None:
        """Leave the terminal as it was, also after an error."""
        if self.bar:
            self.bar.stop()
            self.bar = None


def format_seconds(seconds: float) -> str:
    """A time as Keras shows the time left: seconds, m:ss or h:mm:ss.

    >>> format_seconds(9.6), format_seconds(75), format_seconds(3675)
    ('9s', '1:15', '1:01:15')
    """
    minutes, rest = divmod(int(seconds), 60)
    if seconds >= 3600:
        return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}" if minutes else f"{rest}s"


def format_step(seconds: float) -> str:
    """The time of a step as Keras shows it: 2s/step, 45ms/step or 300us/step.

    >>> format_step(2.0), format_step(0.0451), format_step(0.0003)
    ('2s/step', '45ms/step', '300us/step')
    """
    unit, factor = ("s", 1) if seconds >= 1 else ("ms", 1e3) if seconds >= 1e-3 else ("us", 1e6)
    return f"{seconds * factor:.0f}{unit}/step"


def format_logs(logs: Logs) -> str:
    """The numbers of an epoch in one line.

    >>> format_logs({"loss": 0.12345, "learning_rate": 1e-4})
    'loss 0.1235 · learning_rate 0.0001'
    """

    def short(value: Any) -> str:
        return " ".join(f"{v:.4g}" if abs(v) < 1e-3 else f"{v:.4f}" for v in np.ravel(value))

    return " · ".join(f"{name} {short(value)}" for name, value in logs.items())


def __getattr__(name: str) -> object:
    here = vars(sys.modules[__name__]).values()
    known = [kind.__name__ for kind in here if isinstance(kind, type) and issubclass(kind, Callback)]
    raise AttributeError(f"tinydx.callbacks has no {name!r}{did_you_mean(name, known)}")
