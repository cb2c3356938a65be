"""Callbacks: what happens around training, by Keras's names.

A callback is told when training, epochs and batches begin and end, with the numbers so far (`logs`). What it has to
remember over an interrupted run it gives out by `state()` and takes back by `load_state()`.
"""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

Logs = dict[str, float]


class Callback:
    """Base of all callbacks; `self.model` is the model that trains."""

    model: Any = None
    remembers: tuple[str, ...] = ()  # attributes that make up the state

    def on_train_begin(self, epochs: int, steps: int | None) -> None: ...
    def on_train_end(self) -> None: ...
    def on_epoch_begin(self, epoch: int) -> None: ...
    def on_epoch_end(self, epoch: int, logs: Logs) -> None: ...
    def on_batch_end(self, step: int, logs: Logs) -> None: ...

    def state(self) -> dict[str, Any]:
        """What must be saved to go on later: numbers, lists, and arrays."""
        return {name: getattr(self, name) for name in self.remembers}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        for name, value in state.items():
            setattr(self, name, value)


class History(Callback):
    """The numbers of every epoch: `history["loss"]`, `history["val_auc"]` ... This is what `fit` returns."""

    remembers = ("history", "epoch")

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))


class Watcher(Callback):
    """Base of the callbacks that wait for one number to get better.

    Arguments: monitor, a name in the logs; mode "min", "max" or "auto" (max for accuracy, AUC and the like);
    min_delta, the change that counts. Raises ValueError where the logs have no such name.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float):
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{type(self).__name__}: mode is {mode!r}, expected 'auto', 'min' or 'max'")
        self.monitor, self.min_delta = monitor, abs(min_delta)
        rises = ("accuracy", "acc", "auc", "precision", "recall", "sensitivity", "specificity", "f1")
        self.sign = 1 if mode == "max" or (mode == "auto" and any(word in monitor.lower() for word in rises)) else -1
        self.best = -np.inf * self.sign

    def value(self, logs: Logs) -> float:
        """The watched number of this epoch."""
        if self.monitor not in logs:
            raise ValueError(f"{type(self).__name__}: no {self.monitor!r} to monitor; there is {', '.join(logs)}")
        return float(logs[self.monitor])

    def is_better(self, value: float, than: float) -> bool:
        """Whether value improves on `than` by more than min_delta."""
        return bool((value - than) * self.sign > self.min_delta)


class EarlyStopping(Watcher):
    """Stop when a number has not improved for `patience` epochs.

    Arguments: as Watcher; baseline, the value to beat at first; restore_best_weights, go back to the best epoch's
    weights at the end; start_from_epoch, epochs to wait first.
    """

    remembers = ("best", "wait", "best_epoch", "best_weights")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ):
        super().__init__(monitor, mode, min_delta)
        self.patience, self.baseline = patience, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self.wait, self.best_epoch, self.stopped_epoch = 0, 0, 0
        self.best_weights: list[np.ndarray] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        value = self.value(logs)
        if epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights = self.model.get_weights()
        self.wait += 1
        if self.is_better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.is_better(value, self.baseline):
                self.wait = 0
                return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self) -> None:
        if self.restore_best_weights and self.best_weights is not None:
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(Watcher):
    """Save the model after each epoch, or only when a number improved.

    Arguments: filepath, which may hold {epoch:02d} and names of the logs, as in "model-{epoch:02d}-{val_loss:.2f}.tdx";
    monitor, mode as Watcher; save_best_only.
    """

    remembers = ("best",)

    def __init__(
        self, filepath: str | Path, monitor: str = "val_loss", save_best_only: bool = False, mode: str = "auto"
    ):
        super().__init__(monitor, mode, 0.0)
        self.filepath, self.save_best_only = str(filepath), save_best_only

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.save_best_only:
            value = self.value(logs)
            if not self.is_better(value, self.best):
                return
            self.best = value
        self.model.save(self.filepath.format(epoch=epoch + 1, **logs))


class ReduceLROnPlateau(Watcher):
    """Multiply the learning rate by `factor` when a number has not improved for `patience` epochs.

    Arguments: as Watcher; cooldown, epochs to wait after a reduction; min_lr, the lowest learning rate.
    """

    remembers = ("best", "wait", "cooldown_left")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ):
        super().__init__(monitor, mode, min_delta)
        if factor >= 1:
            raise ValueError(f"ReduceLROnPlateau: factor is {factor}, expected less than 1")
        self.factor, self.patience, self.cooldown, self.min_lr = factor, patience, cooldown, min_lr
        self.wait, self.cooldown_left = 0, 0

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


class CSVLogger(Callback):
    """Write each epoch's numbers as a row of a CSV file; append=True goes on in an existing one."""

    def __init__(self, filename: str | Path, append: bool = False):
        self.filename, self.append = Path(filename), append
        self.names: list[str] | None = None

    def on_train_begin(self, epochs: int, steps: int | None) -> None:
        if self.append and self.filename.exists():
            with self.filename.open(newline="") as file:
                self.names = next(csv.reader(file), [None])[1:] or None  # type: ignore[assignment]
        else:
            self.filename.write_text("")

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        with self.filename.open("a", newline="") as file:
            writer = csv.writer(file)
            if self.names is None:
                self.names = list(logs)
                writer.writerow(["epoch", *self.names])
            writer.writerow([epoch, *(logs.get(name, "") for name in self.names)])


class ProgressBar(Callback):
    """Shows an epoch's progress: a bar that updates in place on a terminal, one line an epoch anywhere else."""

    def __init__(self, one_line: bool = False):
        self.bar: Any = None
        self.one_line = one_line

    def on_train_begin(self, epochs: int, steps: int | None) -> None:
        self.epochs, self.steps = epochs, steps

    def on_epoch_begin(self, epoch: int) -> None:
        self.began = time.perf_counter()
        self.title = f"Epoch {epoch + 1}/{self.epochs}"
        if not self.one_line and sys.stdout.isatty():
            self.bar = self._bar()
            self.task = self.bar.add_task(self.title, total=self.steps, numbers="")
            self.bar.start()

    def _bar(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn()
        return Progress(*columns, TextColumn("{task.fields[numbers]}"), console=Console(file=sys.stdout))

    def on_batch_end(self, step: int, logs: Logs) -> None:
        if self.bar:
            self.bar.update(self.task, completed=step + 1, numbers=format_logs(logs))

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.bar:
            self.bar.update(self.task, numbers=format_logs(logs))
            self.close()
        else:
            seconds = time.perf_counter() - self.began
            print(f"{self.title} · {self.steps} steps · {seconds:.1f} s · {format_logs(logs)}", flush=True)

    def close(self) -> None:
        """Leave the terminal as it was, also after an error."""
        if self.bar:
            self.bar.stop()
            self.bar = None

    on_train_end = close


def format_logs(logs: Logs) -> str:
    """loss 0.1234 · accuracy 0.9876"""
    return " · ".join(f"{name} {value:.4g}" if abs(value) < 1e-3 else f"{name} {value:.4f}" for name, value in logs.items())
