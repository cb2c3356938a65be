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
    """A rank that is killed in the second epoch, and an epoch that takes long."""

    def on_epoch_end(self, epoch, logs):
        if what == "kill" and epoch == 1 and last:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_train_batch_end(self, batch, logs):
        if what == "slow":
            time.sleep(0.1)


x = np.random.default_rng(0).normal(size=(41, 5))
y = (x.sum(axis=1) > 0).astype(float)
if what == "nan":
    x[4] = np.nan  # of the second rank's share of the first batch
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
model.compile("adam", "binary_crossentropy")
options = {"resume": paths[0]} if paths else {}
history = model.fit(x, y, 8, 4, 2, [Watch()], shuffle=what != "nan", **options)
if what == "after" and last:
    raise ValueError("after training")
print(f"losses {history.history['loss']}", flush=True)
