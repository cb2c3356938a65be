"""One contestant of the race, in a process of its own: it reads orders from stdin and answers each with a line of JSON.

    parent                      worker
    (starts it)             ->  {"label": "tinydx"}          or {"error": ...}, which ends it
    train 3                 ->  {"seconds": [..., ..., ...], "losses": [..., ..., ...]}
    infer 1 10              ->  {"seconds": [...]}
    quit

Every library gets the same weights and batches, converted to its fastest layout before timing begins. PyTorch and Keras
are imported only by the worker that runs them.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

FILTERS, UNITS = (32, 64, 128), 512
RATE, EPSILON = 1e-3, 1e-7  # of Adam


class Contestant(NamedTuple):
    """A library with the model: train(k) does a training step on batch k and returns its loss; infer(n) predicts n images."""

    label: str
    train: Callable[[int], float]
    infer: Callable[[int], Any]


Batches = list[tuple[np.ndarray, np.ndarray]]  # images (N,H,W,C) in [0, 1], labels (N,1) of 0 and 1


def layers_of(library: Any) -> list[Any]:
    """The document's layers, from names that tinydx and Keras share."""
    found: list[Any] = []
    for filters in FILTERS:
        found += [library.Conv2D(filters, (3, 3), activation="relu"), library.MaxPooling2D((2, 2))]
    return [*found, library.Flatten(), library.Dense(UNITS, activation="relu"), library.Dense(1, activation="sigmoid")]


def tinydx_model(shape: tuple[int, ...]) -> Any:
    """The document's model, compiled."""
    from tinydx import layers, models, optimizers

    model = models.Sequential(layers_of(layers))
    model.build((None, *shape))
    model.compile(optimizer=optimizers.Adam(learning_rate=RATE, epsilon=EPSILON), loss="binary_crossentropy")
    return model


def tinydx(weights: list[np.ndarray], batches: Batches) -> Contestant:
    """tinydx's own model."""
    model = tinydx_model(batches[0][0].shape[1:])
    model.set_weights(weights)
    return _ordinary("tinydx", model, batches)


def keras(weights: list[np.ndarray], batches: Batches) -> Contestant:
    """The same model in Keras."""
    import keras

    model = keras.Sequential([keras.Input(batches[0][0].shape[1:]), *layers_of(keras.layers)])
    model.compile(optimizer=keras.optimizers.Adam(learning_rate=RATE, epsilon=EPSILON), loss="binary_crossentropy")
    model.set_weights(weights)
    found = _ordinary(f"Keras on {keras.backend.backend()}", model, batches)

    def train(k: int) -> float:
        model.reset_metrics()  # otherwise the loss is the mean of all steps so far
        return found.train(k)

    return found._replace(train=train)


def _ordinary(label: str, model: Any, batches: Batches) -> Contestant:
    """A contestant with train_on_batch and predict_on_batch, as in tinydx and Keras."""
    return Contestant(
        label,
        lambda k: float(model.train_on_batch(*batches[k % len(batches)])),
        lambda n: model.predict_on_batch(batches[0][0][:n]),
    )


# ---- PyTorch -------------------------------------------------------------------------------------------------------


def torch_eager(weights: list[np.ndarray], batches: Batches) -> Contestant:
    """PyTorch as it comes."""
    return _torch("PyTorch, eager", weights, batches, tuned=False)


def torch_tuned(weights: list[np.ndarray], batches: Batches) -> Contestant:
    """PyTorch with its fastest layout and optimizer."""
    return _torch("PyTorch, channels_last, fused Adam", weights, batches, tuned=True)


def torch_malloc(weights: list[np.ndarray], batches: Batches) -> Contestant:
    """The same, in a process whose malloc settings keep memory."""
    return _torch("PyTorch, channels_last, fused Adam, malloc keeps memory", weights, batches, tuned=True)


def torch_gpu(weights: list[np.ndarray], batches: Batches, tuned: bool) -> Contestant:
    """PyTorch on a GPU, with the batches on the device before timing begins."""
    return _torch("PyTorch, channels_last, fused Adam" if tuned else "PyTorch, eager", weights, batches, tuned, "cuda")


def _torch(label: str, weights: list[np.ndarray], batches: Batches, tuned: bool, device: str = "cpu") -> Contestant:
    import torch
    from torch import nn

    layout = torch.channels_last if tuned else torch.contiguous_format
    size, channels = batches[0][0].shape[1:3], batches[0][0].shape[3]
    net = _torch_net(nn, channels, len(weights[-4])).to(device, memory_format=layout)
    with torch.no_grad():
        for parameter, w in zip(net.parameters(), torch_weights(weights, size), strict=True):
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(w)))
    optimizer = torch.optim.Adam(net.parameters(), RATE, eps=EPSILON, fused=tuned or None)
    loss_of, steps = nn.BCELoss(), {"done": 0}
    images = [torch.from_numpy(x.transpose(0, 3, 1, 2)).contiguous(memory_format=layout) for x, _ in batches]
    ready = [(x.to(device), torch.from_numpy(y).to(device)) for x, (_, y) in zip(images, batches, strict=True)]

    def train(k: int) -> float:
        x, y = ready[k % len(ready)]
        optimizer.zero_grad()
        loss = loss_of(net(x), y)
        loss.backward()
        steps["done"] += 1  # PyTorch adds epsilon after the bias correction, the others before: this corrects for it
        optimizer.param_groups[0]["eps"] = EPSILON / math.sqrt(1 - 0.999 ** steps["done"])
        optimizer.step()
        return loss.item()

    def infer(n: int) -> Any:
        with torch.inference_mode():
            return net(ready[0][0][:n]).cpu().numpy()

    return Contestant(label, train, infer)


def _torch_net(nn: Any, channels: int, flat: int) -> Any:
    convolutions = []
    for before, after in zip((channels, *FILTERS), FILTERS, strict=False):
        convolutions += [nn.Conv2d(before, after, 3), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(flat, UNITS), nn.ReLU(), nn.Linear(UNITS, 1), nn.Sigmoid())


def torch_weights(weights: list[np.ndarray], size: tuple[int, ...]) -> list[np.ndarray]:
    """Our weights in PyTorch's layouts: HWIO as OIHW, (D,F) as (F,D), with D in the order of a flattened NCHW array."""
    height, width = size
    for _ in FILTERS:
        height, width = (height - 2) // 2, (width - 2) // 2
    first = weights[-4].reshape(height, width, FILTERS[-1], UNITS).transpose(2, 0, 1, 3).reshape(-1, UNITS)
    turned = [w.transpose(3, 2, 0, 1) if w.ndim == 4 else w.T for w in weights]
    turned[-4] = first.T
    return turned


# ---- the conversation ----------------------------------------------------------------------------------------------

CONTESTANTS = {f.__name__: f for f in (tinydx, torch_eager, torch_tuned, torch_malloc, keras)}


def main(name: str, path: str) -> None:
    """Run the contestant of this name, with the weights and batches in the .npz file at path, until it gets the order to quit."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    say = lambda answer: print(json.dumps(answer), file=answers, flush=True)  # noqa: E731
    try:
        contestant = CONTESTANTS[name](*read_start(path))
        say({"label": contestant.label})
        _obey(contestant, say)
    except Exception as error:  # the race goes on without this one
        say({"error": f"{type(error).__name__}: {' '.join(str(error).split())}"})


def _obey(contestant: Contestant, say: Callable[[dict], None]) -> None:
    step = 0
    for line in sys.stdin:
        verb, *numbers = line.split()
        if verb == "quit":
            return
        *batch, count = map(int, numbers)
        timed = []
        for _ in range(count):
            start = time.perf_counter()
            loss = contestant.train(step) if verb == "train" else contestant.infer(batch[0])
            timed.append((time.perf_counter() - start, loss))
            step += verb == "train"
        seconds = [s for s, _ in timed]
        say({"seconds": seconds, "losses": [y for _, y in timed]} if verb == "train" else {"seconds": seconds})


def read_start(path: str) -> tuple[list[np.ndarray], Batches]:
    """The weights and batches in a file written by write_start."""
    with np.load(path) as file:
        weights = [file[f"weight{k}"] for k in range(sum(name.startswith("weight") for name in file.files))]
        return weights, list(zip(file["images"], file["labels"], strict=True))


def write_start(path: str, weights: list[np.ndarray], images: np.ndarray, labels: np.ndarray) -> None:
    """Write weights and batches to an .npz file; images (batches,N,H,W,C), labels (batches,N,1)."""
    arrays: dict[str, Any] = {f"weight{k}": w for k, w in enumerate(weights)}
    np.savez(path, images=images, labels=labels, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
