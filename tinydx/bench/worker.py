"""One contestant of the race, in a process of its own: it reads orders from stdin and answers each with a line of JSON.

    parent                      worker
    (starts it)             ->  {"label": "tinydx"}          or {"error": ...}, which ends it
    check 3                 ->  {"seconds": [..., ..., ...], "losses": [..., ..., ...]}     training steps without dropout
    train 3                 ->  {"seconds": [...], "losses": [...]}
    infer 1 10              ->  {"seconds": [...]}
    quit

Every library gets the same layers, weights and batches, converted to its fastest layout before timing begins. PyTorch, Keras and
tinygrad are imported only by the worker that runs them.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinydx.bench.measure import time_once
from tinydx.bench.subjects import loss_of

RATE, EPSILON = 1e-3, 1e-7  # of Adam


class Contestant(NamedTuple):
    """A library with the model: train(k) does a training step on batch k and returns its loss; infer(n) predicts n examples."""

    label: str
    train: Callable[[int], float]
    infer: Callable[[int], Any]


Batches = list[tuple[np.ndarray, np.ndarray]]  # examples (N,...) and their labels, as subjects.draw_batches makes them


class Start(NamedTuple):
    """What every contestant begins with: tinydx's model, the batches, and the path of the same model in Keras's file."""

    model: Any
    batches: Batches
    keras_file: str | None = None


def tinydx(start: Start, dropout: bool = True) -> Contestant:
    """tinydx's own model."""
    from tinydx import optimizers

    model, x = start.model, start.batches[0][0]
    if not dropout:
        _keep_all(model.all_layers())
    model.compile(optimizers.Adam(learning_rate=RATE, epsilon=EPSILON), loss_of(model))

    return Contestant("tinydx", _train_on_batch(model, start.batches), lambda n: model.predict_on_batch(x[:n]))


def _train_on_batch(model: Any, batches: Batches) -> Callable[[int], float]:
    """A training step by the name that tinydx and Keras share."""
    return lambda k: float(model.train_on_batch(*batches[k % len(batches)]))


def _keep_all(layers: Any) -> None:
    """Let no layer drop anything: libraries draw different numbers, so that their losses could not be compared."""
    for layer in layers:
        if type(layer).__name__ == "Dropout":
            layer.rate = 0.0


def keras(start: Start, dropout: bool = True) -> Contestant:
    """The same model in Keras; it predicts by its own way or by TensorFlow's function, with or without XLA: the fastest."""
    import keras
    import tensorflow

    model = keras.models.load_model(start.keras_file, compile=False)
    if not dropout:
        _keep_all(model._flatten_layers())
    model.compile(optimizer=keras.optimizers.Adam(learning_rate=RATE, epsilon=EPSILON), loss=loss_of(start.model))
    step, x = _train_on_batch(model, start.batches), start.batches[0][0]

    def train(k: int) -> float:
        model.reset_metrics()  # otherwise the loss is the mean of all steps so far
        return step(k)

    def compiled(xla: bool) -> Callable[[np.ndarray], Any]:
        function = tensorflow.function(lambda t: model(t, training=False), jit_compile=xla)
        return lambda examples: function(tensorflow.constant(examples)).numpy()

    ways = [model.predict_on_batch, compiled(False), compiled(True)]
    chosen: dict[int, Callable] = {}

    def infer(n: int) -> Any:
        examples = x[:n]
        if n not in chosen:
            chosen[n] = min(ways, key=lambda way: _least_seconds(way, examples))
        return chosen[n](examples)

    return Contestant(f"Keras on {keras.backend.backend()}", train, infer)


def _least_seconds(way: Callable, examples: np.ndarray) -> float:
    """The least time of several calls; infinite where the way fails, as XLA does for some layers."""
    try:
        return min(time_once(lambda: way(examples))[0] for _ in range(8))
    except Exception:  # whatever TensorFlow raises: another way is taken
        return math.inf


# ---- PyTorch -------------------------------------------------------------------------------------------------------


def torch_eager(start: Start, dropout: bool = True) -> Contestant:
    """PyTorch as it comes."""
    return torch(start, dropout, tuned=False)


def torch_tuned(start: Start, dropout: bool = True) -> Contestant:
    """PyTorch with its fastest layout and optimizer."""
    return torch(start, dropout, tuned=True)


def torch_fused(start: Start, dropout: bool = True) -> Contestant:
    """PyTorch with its fastest optimizer, images as they come: faster for the smallest ones."""
    return torch(start, dropout, tuned=False, fused=True)


def torch_malloc(start: Start, dropout: bool = True) -> Contestant:
    """PyTorch with its fastest layout and optimizer, in a process whose malloc settings keep memory."""
    return torch(start, dropout, tuned=True)._replace(label="PyTorch, channels_last, fused Adam, malloc keeps memory")


def torch(start: Start, dropout: bool, tuned: bool, device: str = "cpu", fused: bool = False) -> Contestant:
    """PyTorch on a device, with the batches there before timing begins."""
    import torch
    import torch.nn.functional as F

    from tinydx.bench.torch_model import translate

    label = "PyTorch, channels_last, fused Adam" if tuned else "PyTorch, fused Adam" if fused else "PyTorch, eager"
    layout = torch.channels_last if tuned else torch.contiguous_format
    net, last = translate(start.model, tuned, dropout)
    net = net.to(device, memory_format=layout)
    weights = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(weights, RATE, eps=EPSILON, fused=(tuned or fused) or None)
    binary = loss_of(start.model) == "binary_crossentropy"
    loss_function, steps = F.binary_cross_entropy_with_logits if binary else F.cross_entropy, {"done": 0}

    def ready(x: np.ndarray) -> Any:
        t = torch.from_numpy(np.int64(x) if x.dtype.kind == "i" else np.asarray(x))
        return (t.permute(0, 3, 1, 2).contiguous(memory_format=layout) if x.ndim == 4 else t).to(device)

    batches = [(ready(x), ready(y)) for x, y in start.batches]

    def train(k: int) -> float:
        x, y = batches[k % len(batches)]
        if not net.training:
            net.train()
        optimizer.zero_grad()
        loss = loss_function(net(x), y)
        loss.backward()
        steps["done"] += 1  # PyTorch adds epsilon after the bias correction, the others before: this corrects for it
        optimizer.param_groups[0]["eps"] = EPSILON / math.sqrt(1 - 0.999 ** steps["done"])
        optimizer.step()
        return loss.item()

    def infer(n: int) -> Any:
        if net.training:
            net.eval()
        with torch.inference_mode():
            return last(net(batches[0][0][:n])).cpu().numpy()

    return Contestant(label, train, infer)


# ---- tinygrad ------------------------------------------------------------------------------------------------------


def tinygrad(start: Start, dropout: bool = True) -> Contestant:
    """The same model in tinygrad, with its training step and its prediction compiled."""
    from tinygrad import Context, Tensor, TinyJit, nn

    from tinydx.bench.tinygrad_model import translate

    net, weights, last = translate(start.model, dropout)
    optimizer = nn.optim.Adam(weights, RATE, eps=EPSILON)
    binary = loss_of(start.model) == "binary_crossentropy"

    def ready(x: np.ndarray) -> Any:
        return Tensor(np.ascontiguousarray(x.transpose(0, 3, 1, 2) if x.ndim == 4 else x)).realize()

    batches = [(ready(x), ready(y)) for x, y in start.batches]
    examples: dict[int, Any] = {}

    @TinyJit
    def step(x: Any, y: Any) -> Any:
        with Context(TRAINING=1):
            optimizer.zero_grad()
            scores = net(x)
            loss = scores.binary_crossentropy_logits(y) if binary else scores.sparse_categorical_crossentropy(y)
            loss.backward()
            return loss.realize(*optimizer.schedule_step())

    @TinyJit
    def predict(x: Any) -> Any:
        return getattr(net(x), last)().realize()

    def infer(n: int) -> Any:
        if n not in examples:
            examples[n] = ready(start.batches[0][0][:n])
        return predict(examples[n]).numpy()

    return Contestant("tinygrad", lambda k: step(*batches[k % len(batches)]).item(), infer)


# ---- the conversation ----------------------------------------------------------------------------------------------

CONTESTANTS = {f.__name__: f for f in (tinydx, torch_eager, torch_fused, torch_tuned, torch_malloc, keras, tinygrad)}


def main(name: str, folder: str) -> None:
    """Run the contestant of this name, with what write_start has put into the folder, until it gets the order to quit."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    say = lambda answer: print(json.dumps(answer), file=answers, flush=True)  # noqa: E731
    try:
        make, start = CONTESTANTS[name], read_start(folder)
        drops = any(type(layer).__name__ == "Dropout" for layer in start.model.all_layers())
        checked = make(start, dropout=False)
        say({"label": checked.label})
        _obey(checked, (lambda: make(read_start(folder))) if drops else (lambda: checked), say)
    except Exception as error:  # the race goes on without this one
        say({"error": f"{type(error).__name__}: {' '.join(str(error).split())}"})


def _obey(checked: Contestant, make: Callable[[], Contestant], say: Callable[[dict], None]) -> None:
    """Answer orders; after the losses are checked, the contestant that drops numbers is made, and timed."""
    racing, step = None, 0
    for line in sys.stdin:
        verb, *numbers = line.split()
        if verb == "quit":
            return
        if verb != "check" and racing is None:
            racing = make()
        contestant = checked if racing is None else racing
        *batch, count = map(int, numbers)
        timed = []
        for _ in range(count):
            timed.append(time_once(lambda: contestant.infer(batch[0]) if verb == "infer" else contestant.train(step)))  # noqa: B023
            step += verb != "infer"
        seconds = [s for s, _ in timed]
        say({"seconds": seconds} if verb == "infer" else {"seconds": seconds, "losses": [y for _, y in timed]})


def write_start(folder: str, start: Start, with_keras: bool) -> None:
    """Write what a race begins with into a folder."""
    path = Path(folder)
    start.model.save(path / "model.safetensors", include_optimizer=False)
    if with_keras:
        start.model.save(path / "model.keras")
    x, y = zip(*start.batches, strict=True)
    np.savez(path / "batches.npz", x=np.stack(x), y=np.stack(y))


def read_start(folder: str) -> Start:
    """What write_start has written."""
    from tinydx.models import load_model

    path = Path(folder)
    with np.load(path / "batches.npz") as file:
        batches = list(zip(file["x"], file["y"], strict=True))
    return Start(load_model(path / "model.safetensors"), batches, str(path / "model.keras"))


if __name__ == "__main__":
    main(*sys.argv[1:])
