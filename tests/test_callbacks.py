"""Callbacks: when they are told what, and Keras's rules for stopping, saving, slowing down and writing."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small import dense_model, same_weights, two_classes

import tinydx
from tinydx.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    History,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    format_logs,
)
from tinydx.models import load_model
from tinydx.optimizers import SGD

HERE = Path(__file__).parent
pty = pytest.importorskip("pty", reason="no terminals on this system")


@pytest.fixture(autouse=True)
def seeded():
    """The same initial weights in every run: no test fails by chance."""
    tinydx.set_seed(0)


class Played:
    """A model that only plays: its weights are the number of the epoch, its numbers are written down."""

    def __init__(self, rate=1.0):
        self.stop_training, self.weights, self.saved = False, 0, []
        self.optimizer = SGD(rate)

    def get_weights(self):
        return [np.array(self.weights)]

    def set_weights(self, arrays):
        self.weights = int(arrays[0])

    def save(self, path):
        self.saved.append(str(path))


def play(callback, values, monitor="val_loss"):
    """Epochs with these numbers, until the callback stops them; the model."""
    model = callback.model = Played()
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        model.weights = model.epoch = epoch
        callback.on_epoch_end(epoch, {monitor: value})
        if model.stop_training:
            break
    callback.on_train_end()
    return model


# ---- EarlyStopping -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "values", "last"),
    [
        ({}, [5, 4, 3, 3, 2], 3),  # patience 0: the first epoch that is no better
        ({}, [5, 4, 3, 2], 3),
        ({"patience": 2}, [5, 6, 7, 1], 2),
        ({"patience": 2}, [5, 6, 4, 6, 5, 3], 4),  # an improvement starts the waiting anew
        ({"patience": 1, "mode": "max"}, [1, 2, 1, 9], 2),
        ({"patience": 1, "monitor": "val_accuracy"}, [0.1, 0.2, 0.1, 0.9], 2),  # auto: accuracy rises
        ({"patience": 1, "monitor": "val_AUC"}, [0.1, 0.2, 0.1, 0.9], 2),
        ({"patience": 1, "min_delta": 0.5}, [5, 4.6, 4.4, 4.3, 1], 1),  # 0.4 better does not count
        ({"patience": 2, "min_delta": -0.5}, [5, 4.6, 4.4, 4.3, 4.2, 4.1], 4),  # 4.4 beats 5 by more than 0.5, 4.3 does not
        ({"patience": 2, "baseline": 3}, [9, 8, 7, 6, 1], 4),  # better, so never stopped, though above the baseline
        ({"patience": 2, "baseline": 3}, [9, 8, 8, 2], 2),  # but its waiting counts from the beginning
        ({"patience": 2, "start_from_epoch": 3}, [1, 2, 3, 9, 9, 9, 9], 5),
        ({"patience": 1}, [float("nan"), float("nan"), 5], 1),  # NaN is never better
    ],
)
def test_early_stopping_stops_where_keras_does(options, values, last):
    stopper = EarlyStopping(**options)
    model = play(stopper, values, stopper.monitor)
    assert model.epoch == last
    assert stopper.stopped_epoch == (last if model.stop_training else 0)


@pytest.mark.parametrize(("patience", "weights"), [(1, 1), (9, 5)])
def test_best_weights_come_back(patience, weights):
    values = [5, 2, 3, 4, 4, 1, 6]  # stopped after epoch 2, or never: then, too
    assert play(EarlyStopping(patience=patience, restore_best_weights=True), values).weights == weights
    assert play(EarlyStopping(patience=9), values).weights == 6


def test_the_same_callback_in_a_second_run_starts_anew():
    stopper = EarlyStopping(patience=1, restore_best_weights=True)
    play(stopper, [1, 2, 3])
    assert play(stopper, [9, 8, 7]).weights == 2 and stopper.best == 7


def test_early_stopping_ends_a_real_run():
    x, y = two_classes()
    model, seen = dense_model(), []

    class Watch(Callback):
        def on_epoch_end(self, epoch, logs):
            logs["val_score"] = [3, 1, 2, 2][epoch]  # what a callback adds, the next ones can monitor
            seen.append(self.model.get_weights())

    stopper = EarlyStopping(monitor="val_score", patience=2, restore_best_weights=True)
    history = model.fit(x, y, epochs=9, callbacks=[Watch(), stopper], verbose=0)
    assert history.epoch == [0, 1, 2, 3] and history.history["val_score"] == [3, 1, 2, 2]
    assert same_weights(model, seen[1]) and not same_weights(model, seen[3])


# ---- ReduceLROnPlateau ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "values", "rates"),
    [
        ({"patience": 1}, [5, 5, 5, 1], [1, 0.5, 0.25, 0.25]),
        ({"patience": 2}, [5, 5, 5, 5, 5], [1, 1, 0.5, 0.5, 0.25]),
        ({"patience": 1, "cooldown": 2}, [5, 5, 5, 5, 5, 5], [1, 0.5, 0.5, 0.25, 0.25, 0.125]),
        ({"patience": 1, "min_lr": 0.4}, [5, 5, 5, 5], [1, 0.5, 0.4, 0.4]),
        ({"patience": 1, "min_delta": 1}, [5, 4.5, 3, 2.5], [1, 0.5, 0.5, 0.25]),
        ({"patience": 1, "mode": "max"}, [5, 6, 5, 7], [1, 1, 0.5, 0.5]),
    ],
)
def test_learning_rate_on_a_plateau(options, values, rates):
    callback = ReduceLROnPlateau(factor=0.5, **options)
    callback.model = Played()
    callback.on_train_begin()
    logged, now = [], []
    for epoch, value in enumerate(values):
        logs = {"val_loss": value}
        callback.on_epoch_end(epoch, logs)
        logged.append(logs["learning_rate"])
        now.append(callback.model.optimizer.learning_rate)
    assert now == rates
    assert logged == [1, *rates[:-1]]  # the rate with which the epoch was trained


def test_learning_rate_is_in_the_history_and_in_use():
    x, y = two_classes()
    model = dense_model(optimizer=tinydx.optimizers.SGD(0.5))
    slow = ReduceLROnPlateau("loss", factor=0.1, patience=1, min_delta=100)
    history = model.fit(x, y, epochs=4, callbacks=slow, verbose=0).history
    np.testing.assert_allclose(history["learning_rate"], [0.5, 0.5, 0.05, 0.005])
    assert model.optimizer.learning_rate == pytest.approx(0.0005)


def test_a_schedule_sets_the_rate_before_each_epoch():
    x, y = two_classes()
    asked, model = [], dense_model(optimizer=tinydx.optimizers.SGD(0.5))

    def halved(epoch, rate):
        asked.append((epoch, rate))
        return rate / 2

    history = model.fit(x, y, epochs=3, callbacks=LearningRateScheduler(halved), verbose=0).history
    assert asked == [(0, 0.5), (1, 0.25), (2, 0.125)] and history["learning_rate"] == [0.25, 0.125, 0.0625]
    still = dense_model(optimizer=tinydx.optimizers.SGD(0.5))
    before = [w.copy() for w in still.get_weights()]
    still.fit(x, y, epochs=1, callbacks=LearningRateScheduler(lambda epoch, rate: 0), verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, still.get_weights(), strict=True))
    with pytest.raises(ValueError, match="the schedule's rate of epoch 1 is -1, expected 0 or a number above it"):
        model.fit(x, y, callbacks=LearningRateScheduler(lambda epoch, rate: -1), verbose=0)


def test_a_model_whose_rate_was_set_to_0_can_be_loaded(tmp_path):
    model = dense_model(optimizer=SGD(0.5))
    model.fit(*two_classes(), callbacks=LearningRateScheduler(lambda epoch: 0), verbose=0)
    model.save(tmp_path / "m.tdx")
    assert load_model(tmp_path / "m.tdx").optimizer.learning_rate == 0


# ---- ModelCheckpoint -----------------------------------------------------------------------------------------------


def test_checkpoint_names_and_best_only():
    values = [0.5, 0.25, 0.75, 0.125]
    assert play(ModelCheckpoint("m-{epoch:02d}-{val_loss:.2f}.tdx"), values).saved == [
        "m-01-0.50.tdx",
        "m-02-0.25.tdx",
        "m-03-0.75.tdx",
        "m-04-0.12.tdx",
    ]
    assert play(ModelCheckpoint("m{epoch}", save_best_only=True), values).saved == ["m1", "m2", "m4"]
    assert play(ModelCheckpoint("m{epoch}", save_best_only=True, mode="max"), values).saved == ["m1", "m3"]
    best = ModelCheckpoint("m{epoch}", monitor="val_auc", save_best_only=True)
    assert play(best, values, "val_auc").saved == ["m1", "m3"]
    assert play(best, [0.7, 0.8], "val_auc").saved == ["m2"]  # a second run must beat the first, as in Keras
    with pytest.raises(ValueError, match=r"filepath names 'val_los', there is epoch, val_loss"):
        play(ModelCheckpoint("m-{val_los}"), values)


def test_checkpoints_are_models(tmp_path):
    x, y = two_classes()
    model = dense_model()
    checkpoint = ModelCheckpoint(tmp_path / "new" / "folder" / "model-{epoch}.tdx")
    model.fit(x, y, epochs=2, callbacks=[checkpoint], verbose=0)
    files = sorted(p.name for p in (tmp_path / "new" / "folder").iterdir())
    assert files == ["model-1.tdx", "model-2.tdx"]
    assert same_weights(load_model(tmp_path / "new/folder/model-2.tdx"), model)
    assert not same_weights(load_model(tmp_path / "new/folder/model-1.tdx"), model)


@pytest.mark.parametrize("kind", [EarlyStopping, ReduceLROnPlateau])
def test_nothing_to_monitor(kind):
    with pytest.raises(ValueError, match=f"{kind.__name__}: no 'val_loss' to monitor; there is loss"):
        play(kind(), [1.0], monitor="loss")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EarlyStopping(mode="minimum"), "EarlyStopping: mode is 'minimum', expected 'auto', 'min' or 'max'"),
        (lambda: ReduceLROnPlateau(factor=1.5), "factor is 1.5, expected a number between 0 and 1"),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---- CSVLogger -----------------------------------------------------------------------------------------------------


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_csv(tmp_path):
    path = tmp_path / "log.csv"
    x, y = two_classes()
    history = dense_model().fit(x, y, epochs=3, callbacks=[CSVLogger(path)], verbose=0).history
    rows = rows_of(path)
    assert rows[0] == ["epoch", "loss", "accuracy"] and [r[0] for r in rows[1:]] == ["0", "1", "2"]
    assert [float(r[1]) for r in rows[1:]] == history["loss"]


def test_csv_append(tmp_path):
    path = tmp_path / "log.csv"
    callback = CSVLogger(path, append=True)
    for values in ([1, 2], [3]):
        play(callback, values, "loss")
    assert rows_of(path) == [["epoch", "loss"], ["0", "1"], ["1", "2"], ["0", "3"]]
    callback.on_epoch_end(5, {"other": 7, "loss": 4})  # columns stay what they were
    callback.on_epoch_end(6, {"other": 7})
    assert rows_of(path)[-2:] == [["5", "4"], ["6", ""]]
    play(CSVLogger(path), [9], "loss")
    assert rows_of(path) == [["epoch", "loss"], ["0", "9"]]


def test_csv_goes_back_to_its_state(tmp_path):
    """A run that is taken up again must not leave the rows of an epoch twice."""
    callback = CSVLogger(tmp_path / "log.csv")
    play(callback, [1, 2], "loss")
    state = callback.state()
    callback.on_epoch_end(2, {"loss": 3})
    again = CSVLogger(tmp_path / "log.csv")
    again.on_train_begin()
    again.load_state(state)
    again.on_epoch_end(2, {"loss": 3.5})
    assert rows_of(tmp_path / "log.csv") == [["epoch", "loss"], ["0", "1"], ["1", "2"], ["2", "3.5"]]


# ---- what they are told --------------------------------------------------------------------------------------------


def test_events_in_order():
    events = []

    class Recorder(Callback):
        def on_train_begin(self, logs=None):
            events.append(("train begins", self.params["epochs"], self.params["steps"]))

        def on_train_end(self, logs=None):
            events.append("train ends")

        def on_epoch_begin(self, epoch, logs=None):
            events.append(("epoch begins", epoch))

        def on_epoch_end(self, epoch, logs=None):
            events.append(("epoch ends", epoch, sorted(logs)))

        def on_train_batch_begin(self, batch, logs=None):
            events.append(("batch begins", batch))

        def on_train_batch_end(self, batch, logs=None):
            events.append(("batch ends", batch, sorted(logs)))

    x, y = two_classes(20)
    dense_model().fit(x, y, batch_size=10, epochs=2, validation_data=(x, y), callbacks=[Recorder()], verbose=0)
    names = ["accuracy", "loss"]
    epoch = lambda e: [  # noqa: E731
        ("epoch begins", e),
        *(event for b in range(2) for event in (("batch begins", b), ("batch ends", b, names))),
        ("epoch ends", e, [*names, "val_accuracy", "val_loss"]),
    ]
    assert events == [("train begins", 2, 2), *epoch(0), *epoch(1), "train ends"]


def test_train_end_is_not_told_after_an_error():
    """Or restore_best_weights would set weights that the message says were not touched."""
    x, y = two_classes()
    x[35] = np.nan
    model = dense_model()
    before = model.get_weights()
    stopper = EarlyStopping(monitor="loss", restore_best_weights=True)
    stopper.on_train_end = lambda logs=None: pytest.fail("told")
    with pytest.raises(ValueError, match="NaN"):
        model.fit(x, y, batch_size=40, callbacks=[stopper], verbose=0)
    assert same_weights(model, before)


@pytest.mark.parametrize("wrong", [EarlyStopping, print, "EarlyStopping"])
def test_callbacks_must_be_callbacks(wrong):
    x, y = two_classes()
    with pytest.raises(TypeError, match=r"is no callback: give objects such as EarlyStopping\(\)"):
        dense_model().fit(x, y, callbacks=[wrong], verbose=0)


def test_event_that_does_not_exist():
    class Old(Callback):
        def on_batch_end(self, batch, logs=None):
            raise AssertionError("never called")

    with pytest.raises(TypeError, match=r"Old.on_batch_end would never be called; did you mean 'on_train_batch_end'"):
        dense_model().fit(*two_classes(), callbacks=[Old()], verbose=0)


def test_training_stops_within_an_epoch():
    class Enough(Callback):
        def on_train_batch_end(self, batch, logs):
            self.model.stop_training = batch == 2

    model = dense_model()
    history = model.fit(*two_classes(40), batch_size=4, epochs=3, callbacks=[Enough()], verbose=0)
    assert model.optimizer.iterations == 3 and history.epoch == [0]
    model.fit(*two_classes(40), batch_size=20, epochs=3, callbacks=[Enough()], verbose=0)
    assert model.optimizer.iterations == 9  # a new run begins unstopped


def test_history():
    history = History()
    history.on_epoch_end(0, {"loss": 1.0})
    history.on_epoch_end(1, {"loss": 0.5, "val_loss": 2.0})
    assert history.history == {"loss": [1.0, 0.5], "val_loss": [2.0]} and history.epoch == [0, 1]


# ---- progress ------------------------------------------------------------------------------------------------------

FIT = """
import sys; sys.path.insert(0, {tests!r})
from small import dense_model, two_classes
x, y = two_classes()
dense_model(metrics=["accuracy", "AUC"]).fit(x, y, epochs=3, batch_size=4, verbose={verbose!r}, validation_split=0.25)
print("end")
"""
NUMBERS = r"loss \S+ · accuracy \S+ · AUC \S+ · val_loss \S+ · val_accuracy \S+ · val_AUC \S+"
LINE = r"Epoch {}/3 · 8 steps · \d+\.\d s · \d+(?:s|ms|us)/step · " + NUMBERS


def program(verbose):
    return [sys.executable, "-W", "error", "-c", FIT.format(tests=str(HERE), verbose=verbose)]


def environment():
    return {**os.environ, "PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "80"}


@pytest.mark.parametrize("verbose", ["auto", 1, 2, 0])
def test_one_line_an_epoch_when_piped(verbose, capsys):
    x, y = two_classes()
    model = dense_model(metrics=["accuracy", "AUC"])
    model.fit(x, y, epochs=3, batch_size=4, verbose=verbose, validation_split=0.25)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == (3 if verbose else 0)
    assert all(re.fullmatch(LINE.format(i + 1), line) for i, line in enumerate(lines))


@pytest.mark.parametrize("verbose", [1, 2])
def test_on_a_terminal_the_bar_updates_in_place(verbose):
    master, slave = pty.openpty()
    process = subprocess.Popen(program(verbose), stdout=slave, stderr=slave, env=environment())
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:  # how Linux tells that the other side has closed
            break
        if not part:
            break
        shown += part
    os.close(master)
    assert process.wait() == 0, shown.decode()
    text = shown.decode()
    assert ("━" in text) == (verbose == 1)
    if verbose == 1:
        assert "8/8" in text and re.search(r"ETA \d+s \d+(s|ms|us)/step", text)
        assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 3  # the cursor comes back
    visible = screen(text)
    assert len(visible) == 4 and visible[3] == "end"  # an epoch leaves one line, whole, on a screen of any width
    assert all(re.fullmatch(LINE.format(i + 1), line) for i, line in enumerate(visible[:3])), visible


def screen(text):
    """The lines that a terminal shows in the end: what was erased or written over is gone."""
    lines, row = [""], 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part.endswith("A") and part.startswith("\x1b["):
            row -= int(part[2:-1] or 1)
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part != "\r" and not part.startswith("\x1b["):
            lines[row] += part
    return [line for line in lines if line]


def test_the_bar_is_closed_after_an_error(monkeypatch):
    closed = []
    monkeypatch.setattr(tinydx.callbacks.ProgressBar, "close", lambda self: closed.append(True))

    class Broken(Callback):
        def on_train_batch_end(self, batch, logs):
            raise KeyboardInterrupt

    x, y = two_classes()
    with pytest.raises(KeyboardInterrupt):
        dense_model().fit(x, y, callbacks=[Broken()], verbose=1)
    assert closed


def test_the_time_of_a_step_leaves_out_the_first_and_validation(monkeypatch, capsys):
    """The first step may compile kernels; the epoch's own time is everything."""
    clock = iter([0.0, 5.0, 5.5, 6.0, 10.0])
    monkeypatch.setattr(tinydx.callbacks.time, "perf_counter", lambda: next(clock))
    bar = tinydx.callbacks.ProgressBar()
    bar.params = {"epochs": 1, "steps": 3, "verbose": 2}
    bar.on_epoch_begin(0)
    for batch in range(3):
        bar.on_train_batch_end(batch, {"loss": 1.0})
    bar.on_epoch_end(0, {"loss": 1.0})
    assert capsys.readouterr().out == "Epoch 1/1 · 3 steps · 10.0 s · 500ms/step · loss 1.0000\n"


def test_the_time_of_an_only_step(monkeypatch, capsys):
    clock = iter([0.0, 2.0, 3.0])
    monkeypatch.setattr(tinydx.callbacks.time, "perf_counter", lambda: next(clock))
    bar = tinydx.callbacks.ProgressBar()
    bar.params = {"epochs": 1, "steps": 1, "verbose": 2}
    bar.on_epoch_begin(0)
    bar.on_train_batch_end(0, {"loss": 1.0})
    bar.on_epoch_end(0, {"loss": 1.0})
    assert "· 2s/step ·" in capsys.readouterr().out


def test_format_logs():
    logs = {"loss": 0.5, "rate": 0.000123, "each": np.array([0.25, 1])}
    assert format_logs(logs) == "loss 0.5000 · rate 0.000123 · each 0.2500 1.0000"
