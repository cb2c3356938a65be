"""A program of several ranks, one of which fails: mpirun -n 3 python ranks_fail.py WHAT; run by test_distributed.py."""

import os
import signal
import sys
import time

import numpy as np

import tinydx
from tinydx import distributed
from tinydx.callbacks import Callback
from tinydx.distributed import world
from tinydx.layers import Dense, Dropout
from tinydx.models import Sequential

what, *paths = sys.argv[1:]
distributed.start()
tinydx.use("numpy")
tinydx.set_seed(1)
last = distributed.rank() == distributed.size() - 1


class Watch(Callback):
    """What goes wrong in the second epoch."""

    def on_epoch_end(self, epoch, logs):
        if epoch == 1 and last:
            if what == "callback":
                raise ValueError("the disk is gone")
            if what == "weights":
                self.model.weights[0].data[0, 0] += 1
            if what == "kill":
                os.kill(os.getpid(), signal.SIGKILL)

    def on_train_batch_end(self, batch, logs):
        if what == "slow":
            time.sleep(0.1)


draws = np.random.default_rng(distributed.rank() if what == "data" else 0)
x = draws.normal(size=(41, 5))
y = (x.sum(axis=1) > 0).astype(float)
if what == "nan":
    x[4] = np.nan  # of the second rank's share of the first batch
if what == "overflow":
    y[4] = 1e200


def unseeded():
    while True:
        rows = np.random.default_rng().permutation(41)[:8]
        yield x[rows], y[rows]


if what == "outside" and last:
    raise ValueError("a file is missing")
if what == "exit" and last:
    sys.exit(3)
if what == "long work" and last:
    world.PATIENCE = 1.0
    raise ValueError("a file is missing")
if what == "long work":
    time.sleep(60)
first = Dense(7, activation="tanh", input_shape=(5,), dtype="float64")
model = Sequential([first, Dropout(0.5), Dense(1, activation="sigmoid")])
model.compile("adam", "mse" if what == "overflow" else "binary_crossentropy")
options = {"resume": paths[0]} if paths else {}
data = {"x": x, "y": y, "batch_size": 8, "shuffle": what not in ("nan", "overflow")}
if what == "batches":
    data = {"x": unseeded(), "steps_per_epoch": 3}
history = model.fit(**data, epochs=4, verbose=2, callbacks=[Watch()], **options)
if what == "after" and last:
    raise ValueError("after training")
print(f"losses {history.history['loss']}", flush=True)
