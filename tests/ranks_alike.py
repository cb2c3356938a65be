"""What one process and several must compute alike; run by test_distributed.py, alone and under mpirun, and printed once.

[mpirun -n 3] python tests/ranks_alike.py FOLDER
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import tinydx
from tinydx import distributed, layers, random
from tinydx.callbacks import Callback, CSVLogger, EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from tinydx.distributed import sharing
from tinydx.distributed.world import world
from tinydx.factored import FactoredGradient
from tinydx.fingerprint import fingerprint
from tinydx.layers import LSTM, BatchNormalization, Dense, Dropout, Embedding, Input
from tinydx.models import Model, Sequential
from tinydx.optimizers import SGD, Adam
from tinydx.preprocessing.image import ImageDataGenerator
from tinydx.training.data import Batch

FOLDER = Path(sys.argv[1])
DRAWS = np.random.default_rng(0)
X = DRAWS.normal(size=(33, 5))
Y = (X.sum(axis=1) > 0).astype(float)
WEIGHTS = DRAWS.uniform(0.5, 2.0, 33)
LABELS = {0: 1.0, 1: 3.0}
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def told(model, history=None):
    """All numbers of a model and its history, in float64."""
    numbers = [w.numpy().astype(float).ravel().tolist() for w in model.weights]
    return {"weights": numbers, "history": history.history if history else None}


def dense(optimizer="adam"):
    layer = Dense(7, activation="tanh", kernel_regularizer="l2", input_shape=(5,), dtype="float64")
    model = Sequential([layer, Dense(1, activation="sigmoid")])
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy", "auc"], weighted_metrics=["recall"])
    return model


def everywhere(thing):
    """The thing of each rank."""
    return [thing] if world() is None else world().comm.allgather(thing)


# ---- equal to one process ------------------------------------------------------------------------------------------------


@case
def arrays():
    """Batches of 8 of 33 examples: the last one has a single example, fewer than ranks."""
    model = dense(Adam(0.05, global_clipnorm=0.5))
    history = model.fit(X, Y, 8, 3, 0, validation_data=(X[:5], Y[:5]), class_weight=LABELS, sample_weight=WEIGHTS)
    return told(model, history)


@case
def batches_of_a_generator():
    def endless():
        draws = np.random.default_rng(4)
        while True:
            rows = draws.permutation(33)[: draws.integers(1, 9)]
            yield X[rows], Y[rows], WEIGHTS[rows]

    model = dense(SGD(0.1, momentum=0.9))
    return told(model, model.fit(endless(), steps_per_epoch=7, epochs=2, verbose=0))


@case
def several_inputs():
    a, b = Input((5,), dtype="float64"), Input((2,), dtype="float64")
    joined = layers.Concatenate()([Dense(3, activation="tanh", dtype="float64")(a), b])
    model = Model([a, b], Dense(2, activation="softmax", dtype="float64")(joined))
    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return told(model, model.fit([X, X[:, :2]], Y, batch_size=7, epochs=2, verbose=0))


@case
def padded_sequences():
    """A loss of real time steps: ranks with many of them count more."""
    draws = np.random.default_rng(1)
    ids = draws.integers(1, 6, (13, 6))
    ids[np.arange(6) >= draws.integers(1, 7, (13, 1))] = 0
    first = Embedding(6, 4, mask_zero=True, input_shape=(None,), dtype="float64")
    model = Sequential([first, LSTM(3, return_sequences=True), Dense(6, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    weight = draws.uniform(0.5, 2.0, 13)
    return told(model, model.fit(ids, (ids + 1) % 6, batch_size=5, epochs=2, verbose=0, sample_weight=weight))


@case
def augmented_images():
    """An iterator that shuffles and turns images, with a seed that it draws."""
    images = DRAWS.random((13, 8, 8, 1))
    source = ImageDataGenerator(rotation_range=20, horizontal_flip=True).flow(images, Y[:13], batch_size=5)
    model = Sequential([layers.Flatten(input_shape=(8, 8, 1), dtype="float64"), Dense(1, activation="sigmoid", dtype="float64")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return told(model, model.fit(source, epochs=2, verbose=0))


@case
def single_batches():
    model = dense()
    return {"losses": [model.train_on_batch(X[:n], Y[:n], class_weight=LABELS) for n in (9, 4, 1)], **told(model)}


@case
def decisions_of_callbacks():
    stopping = EarlyStopping("val_loss", patience=3, restore_best_weights=True)
    watching = [ReduceLROnPlateau("val_loss", factor=0.5, patience=1), stopping]
    model = dense(Adam(0.5))
    return told(model, model.fit(X, Y, 8, 30, 0, watching, validation_split=0.3))


# ---- of several ranks ----------------------------------------------------------------------------------------------------


@case
def the_same_bits():
    """100 steps in float32, with all that differs between ranks."""
    tinydx.set_seed(3)
    model = Sequential([Dense(9, activation="relu"), BatchNormalization(), Dropout(0.4), Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy")
    model.fit(X.astype("float32"), Y, 8, 20, 0)
    assert model.optimizer.iterations == 100
    return {"fingerprints": everywhere(fingerprint([w.data for w in model.weights]))}


@case
def own_random_numbers():
    """What ranks draw in a step: different on each, the same again; outside of steps they draw alike."""

    def drawn(step):
        with distributed.own_numbers(step):
            return random.generator().random()

    return {"steps": [everywhere(drawn(step)) for step in (0, 0, 1)], "outside": everywhere(random.generator().random())}


@case
def moving_statistics():
    model = Sequential([BatchNormalization(momentum=0.5, input_shape=(5,), dtype="float64"), Dense(1)])
    model.compile(SGD(1e-12), "mse")
    model.fit(X[:12], Y[:12], 12, 1, 0, shuffle=False)
    mean, variance = model.layers[0].moving_mean.data, model.layers[0].moving_variance.data
    shares = [X[:12][sharing.rows_of(12, r, distributed.size())] for r in range(distributed.size())]
    wanted = np.mean([share.var(axis=0) for share in shares], axis=0)
    return {
        "alike": everywhere(fingerprint(mean, variance)),
        "mean is the batch's": bool(np.allclose(mean, X[:12].mean(axis=0) / 2, rtol=1e-12)),
        "variance is the mean of the ranks'": bool(np.allclose(variance, 0.5 + wanted / 2, rtol=1e-12)),
    }


def _mean_of(make, rows):
    """`mean_over_ranks` of what make(rows of x, rows of dy) computes on a share; the result multiplied out, and its type."""
    draws = np.random.default_rng(2)
    x, dy = draws.normal(size=(rows, 40)), draws.normal(size=(rows, 30))
    batch = distributed.share(Batch(x, dy))
    weight = SimpleNamespace(data=np.zeros((40, 30)))
    gradient = make(batch.x, batch.y / len(batch.x))
    step = SimpleNamespace(gradients=[gradient], trained=[weight], statistics=[])
    numbers = {"loss": np.float64(0), "gradients": np.zeros(1)}
    found = distributed.mean_over_ranks(numbers, batch, step)[1][0]
    kind = type(found).__name__
    error = 0.0 if found is None else float(np.abs(np.asarray(found) - x.T @ dy / rows).max())
    return {"kind": kind, "error": error}


@case
def factored_gradients():
    """Gathered where they are few rows, and added up where they are many, or where a rank has an array."""
    first = distributed.is_first()
    return {
        "few rows": _mean_of(FactoredGradient, 10),
        "fewer rows than ranks": _mean_of(FactoredGradient, 1),
        "many rows": _mean_of(FactoredGradient, 2 * sharing.MOST_ROWS),
        "an array on one rank": _mean_of(lambda x, dy: x.T @ dy if first else FactoredGradient(x, dy), 10),
        "none": _mean_of(lambda x, dy: None, 10),
    }


@case
def a_gradient_of_one_rank_only():
    """A weight that the other ranks' examples do not use: they count as 0."""
    found = _mean_of(lambda x, dy: x.T @ dy if distributed.is_first() else None, 12)
    return {"kind": found["kind"], "wrong": found["error"] > 0}


@case
def files_and_callbacks():
    """The first rank writes; what a callback decides on one rank holds for all; an error of one is raised on all."""

    class Stop(Callback):
        def on_train_batch_end(self, batch, logs):
            self.model.stop_training = distributed.rank() == distributed.size() - 1 and batch == 1

    class Fail(Callback):
        def on_epoch_end(self, epoch, logs):
            if distributed.rank() == distributed.size() - 1:
                raise ValueError("the disk is gone")

    model = dense()
    watching = [ModelCheckpoint(FOLDER / "model.tdx"), CSVLogger(FOLDER / "log.csv")]
    model.fit(X, Y, 8, 2, 0, watching, validation_split=0.2, resume=FOLDER / "fit.run")
    model.save(FOLDER / f"rank-{distributed.rank()}.tdx")
    stopped = dense()
    stopped.fit(X, Y, 8, 5, 0, [Stop()])
    try:
        dense().fit(X, Y, 8, 1, 0, [Fail()])
        error = ""
    except ValueError as raised:
        error = str(raised)
    everywhere(None)  # the first rank has written
    names = sorted(path.name for path in FOLDER.iterdir())
    return {"names": names, "steps": everywhere(stopped.optimizer.iterations), "errors": everywhere(error)}


@case
def errors():
    """What goes wrong on one rank is raised on all, and a program may go on after it."""
    last = distributed.rank() == distributed.size() - 1

    class Change(Callback):
        def on_epoch_end(self, epoch, logs):
            if last:
                self.model.weights[0].data[0, 0] += 1

    def unseeded():
        while True:
            rows = np.random.default_rng().permutation(33)[:8]
            yield X[rows], Y[rows]

    def error_of(*data, loss="binary_crossentropy", callbacks=None, **options):
        model = dense()
        model.compile("adam", loss)
        try:
            model.fit(*data, verbose=0, callbacks=callbacks, **options)
        except Exception as raised:
            return everywhere(f"{type(raised).__name__}: {raised}")
        return everywhere("none")

    large = np.where(np.arange(33) == 4, 1e200, Y)
    return {
        "data": error_of(X + last, Y),
        "batches": error_of(unseeded(), steps_per_epoch=2),
        "weights": error_of(X, Y, epochs=2, callbacks=[Change()]),
        "overflow": error_of(X, large, batch_size=8, loss="mse", shuffle=False),
        "none": error_of(X, Y),
    }


@case
def sums_on_gpus():
    """NCCL behind the same call: a stand-in that adds up by MPI what lies at the addresses it is given."""
    if world() is None:
        return None
    import ctypes

    import emulated_cupy

    class Connection:
        def __init__(self, size, number, rank):
            assert (size, number, rank) == (world().size, b"the same", world().rank)

        def allReduce(self, source, target, count, kind, op, stream):
            assert source == target and op == "sum"
            memory = np.frombuffer((ctypes.c_char * (count * kind.itemsize)).from_address(source), kind)
            world().comm.Allreduce(world().mpi.IN_PLACE, memory)

    unique = lambda: b"the same" if world().rank == 0 else b"not asked"  # noqa: E731
    kinds = {"NCCL_FLOAT32": np.dtype("float32"), "NCCL_FLOAT64": np.dtype("float64"), "NCCL_SUM": "sum"}
    module = SimpleNamespace(get_unique_id=unique, NcclCommunicator=Connection, **kinds)
    before = {name: sys.modules.get(name) for name in ("cupy", "cupy.cuda")}
    emulated_cupy.cuda.nccl, emulated_cupy.cuda.get_current_stream = module, lambda: SimpleNamespace(ptr=0)
    sys.modules |= {"cupy": emulated_cupy, "cupy.cuda": emulated_cupy.cuda}
    try:
        x = DRAWS.normal(size=(10, 4))
        batch = distributed.share(Batch(x, x))
        gradient = emulated_cupy.asarray(batch.x.mean(axis=0))
        new = emulated_cupy.asarray(batch.x.mean(axis=0))
        step = SimpleNamespace(gradients=[gradient], trained=[SimpleNamespace(data=gradient)], statistics=[(None, new)])
        numbers = {"loss": np.float64(batch.x.mean()), "gradients": np.zeros(1)}
        emulated_cupy.reads.clear()
        numbers, found = distributed.mean_over_ranks(numbers, batch, step)
        reads = list(emulated_cupy.reads)
        apart = [np.abs(a.get() - x.mean(axis=0)).max() for a in (found[0], new)] + [abs(numbers["loss"] - x.mean())]
        return {"apart": float(max(apart)), "reads": reads, "device": type(found[0]) is emulated_cupy.ndarray}
    finally:
        for name, old in before.items():
            sys.modules.pop(name) if old is None else sys.modules.__setitem__(name, old)


if __name__ == "__main__":
    distributed.start()
    results = {}
    with tinydx.use("numpy"):
        for name, function in CASES.items():
            tinydx.set_seed(5)
            results[name] = function()
    print(json.dumps(results))
