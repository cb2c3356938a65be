"""A network in 16 and in 8 bits: what it costs in accuracy, and what it gains in bytes and time.

    python -m tinydx.tasks.eightbits --data pneumoniamnist.npz [--size 150] [--epochs 3] [--seeds 0 1 2]

The document's network is trained on the file's training part, resized to --size pixels, and quantized (`model.quantize`). Beside
the float32 model, on the validation part: the share of images that get the same class, the largest change of a probability, the
difference of the ROC areas; the agreement on all images of the file, which needs no labels; and the time of one image and of 32,
medians of rounds in which the models take turns. What another seed changes is the yardstick: it is a retraining's noise.
Nothing is chosen on these images.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

import tinydx
from tinydx import command
from tinydx.datasets.medmnist import MedMNIST
from tinydx.diagnosis.kinds.image import augmentation, build_cnn
from tinydx.evaluation import wilson_interval
from tinydx.layers import Dense
from tinydx.layers.quantized import KINDS
from tinydx.tensor import Tensor, no_grad
from tinydx.validation.areas import Area, area_of

BATCHES = (1, 32)  # images at once, whose time is measured


class Compared(NamedTuple):
    """A quantized model beside the model that it was made from, on the validation part, and on all images."""

    same: int  # images with the same class
    images: int
    same_of_all: int
    all_images: int
    change: float  # of a probability, the largest
    gap: tuple[float, float, float]  # ROC area minus that of float32, and the ends of its 95 % interval


class Result(NamedTuple):
    """What became of a seed: the area of float32, each kind beside it, bytes, and milliseconds by (what, images at once)."""

    area: float
    compared: dict[str, Compared]
    bytes: dict[str, int]
    times: dict[tuple[str, int], dict[str, float]]


def main(arguments: Sequence[str] | None = None) -> list[Result]:
    """Print what quantizing costs and gains; returns a `Result` for each seed."""
    parser = argparse.ArgumentParser(prog="python -m tinydx.tasks.eightbits", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", required=True, metavar="FILE.npz", help="a MedMNIST file of two classes")
    parser.add_argument("--size", type=int, default=150, help="of an image in pixels (default 150, the document's)")
    parser.add_argument("--epochs", type=int, default=3, help="passes over the training images (default 3)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of weights and order (default 0 1 2)")
    parser.add_argument("--rounds", type=int, default=30, help="of each time (default 30; 0: no times)")
    a = parser.parse_args(arguments)
    data = MedMNIST(a.data)
    (x, y), (x_val, y_val) = ((resized(images, a.size), labels) for images, labels in map(data.load, ("train", "val")))
    results: list[Result] = []
    calls: list[np.ndarray] = []
    for seed in a.seeds:
        model = trained(x, y, a.epochs, seed)
        models = {"float32": model, **{kind: quantized(model, kind) for kind in KINDS}}
        p = {name: (probabilities(m, x), probabilities(m, x_val)) for name, m in models.items()}
        area = area_of(y_val, p["float32"][1], np.arange(len(y_val)))
        if area is None:
            raise ValueError(f"{a.data}: its validation part has one class")
        compared = {kind: compare(p["float32"], p[kind], y_val) for kind in KINDS}
        sizes = {name: bytes_of(m) for name, m in models.items()}
        results.append(Result(area.value, compared, sizes, times(models, x_val, a.rounds) if a.rounds else {}))
        calls.append(p["float32"][1] > 0.5)
        print("\n".join(lines(seed, results[-1])), flush=True)
    for k, call in enumerate(calls[1:], 1):
        same = int((call == calls[0]).sum())
        words = f"{same} of {len(call)} images, {same / len(call):.2%}"
        print(f"float32 of seed {a.seeds[k]} beside seed {a.seeds[0]}: the same class on {words}")
    return results


# ---- models --------------------------------------------------------------------------------------------------------


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """Grey images (N,H,W) of bytes as (N,size,size,3)."""
    if images.ndim != 3:
        raise ValueError(f"the images have shape {images.shape}, expected grey ones (N,H,W)")
    pictures = [np.asarray(Image.fromarray(v).resize((size, size), Image.Resampling.BILINEAR)) for v in images]
    return np.repeat(np.array(pictures)[..., None], 3, axis=3)


def trained(x: np.ndarray, y: np.ndarray, epochs: int, seed: int) -> Any:
    """The document's network, trained without augmentation."""
    tinydx.set_seed(seed)
    model = build_cnn(x.shape[1:], 2)
    model.fit(augmentation("none").flow(x, y, batch_size=32, seed=seed), epochs=epochs, verbose=0)
    return model


def quantized(model: Any, kind: str) -> Any:
    """A copy of the model, quantized."""
    model = copy.deepcopy(model)
    model.quantize(kind)
    return model


def probabilities(model: Any, x: np.ndarray) -> np.ndarray:
    """Of class 1, for each image of bytes."""
    return model.predict(augmentation("none").flow(x, batch_size=32, shuffle=False))[:, 0]


def bytes_of(model: Any) -> int:
    """That its weights take."""
    return sum(getattr(w, "nbytes", w.size * w.dtype.itemsize) for w in model.weights)


# ---- what changes --------------------------------------------------------------------------------------------------


def compare(before: tuple[np.ndarray, ...], after: tuple[np.ndarray, ...], y: np.ndarray) -> Compared:
    """Two models' probabilities (training images, validation images) beside each other; y, the latter's labels."""
    same = [(a > 0.5) == (b > 0.5) for a, b in zip(before, after, strict=True)]
    change = max(float(np.abs(a - b).max()) for a, b in zip(before, after, strict=True))
    counts = int(same[1].sum()), len(y), int(sum(s.sum() for s in same)), sum(map(len, same))
    return Compared(*counts, change, gap_of(y, after[1], before[1]))


def gap_of(y: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """The ROC area of a minus that of b on the same images, and its 95 % interval (DeLong); an image counts as a patient."""
    one, other = (area_of(y, p, np.arange(len(y))) for p in (a, b))
    assert one is not None and other is not None
    gap = Area(one.value - other.value, one.shares - other.shares, 0)
    half = 1.96 * math.sqrt(gap.variance)
    return gap.value, gap.value - half, gap.value + half


# ---- time ----------------------------------------------------------------------------------------------------------


def times(models: dict[str, Any], x: np.ndarray, rounds: int) -> dict[tuple[str, int], dict[str, float]]:
    """Milliseconds of the whole model and of its first Dense layer, for each number of images at once."""
    found = {}
    for n in BATCHES:
        images = (x[:n] / 255).astype(np.float32)
        found["model", n] = medians({name: partial(m.predict_on_batch, images) for name, m in models.items()}, rounds)
        layers = {name: next(v for v in m.layers if isinstance(v, Dense)) for name, m in models.items()}
        flat = Tensor(np.random.default_rng(0).random((n, layers["float32"].kernel.shape[0]), np.float32))
        with no_grad():
            found["dense", n] = medians({name: partial(layer, flat) for name, layer in layers.items()}, rounds)
    return found


def medians(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Milliseconds of each call: the median of rounds in which they take turns, after two that do not count."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 2):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            taken[name].append(1e3 * (time.perf_counter() - start))
    return {name: float(np.median(values[2:])) for name, values in taken.items()}


def lines(seed: int, result: Result) -> list[str]:
    """A seed's result in words."""
    said = [f"seed {seed}: ROC AUC of float32 {result.area:.4f}, {result.bytes['float32'] / 1e6:.1f} MB of weights"]
    for kind, c in result.compared.items():
        low, high = wilson_interval(c.same, c.images)
        all_low, all_high = wilson_interval(c.same_of_all, c.all_images)
        gap, least, most = c.gap
        said += [
            f"  {kind}: {result.bytes[kind] / 1e6:.1f} MB; the same class on {c.same} of {c.images} validation images, "
            f"{c.same / c.images:.2%} ({low:.2%} to {high:.2%});",
            f"    of all images {c.same_of_all} of {c.all_images}, {c.same_of_all / c.all_images:.2%} "
            f"({all_low:.2%} to {all_high:.2%}); a probability changes by at most {c.change:.4f};",
            f"    ROC AUC {gap:+.5f} ({least:+.5f} to {most:+.5f})",
        ]
    for (what, n), taken in result.times.items():
        figures = ", ".join(f"{name} {ms:.2f} ms ({taken['float32'] / ms:.2f}x)" for name, ms in taken.items())
        said.append(f"  {what}, {n} image{'s' if n > 1 else ''} at once: {figures}")
    return said


if __name__ == "__main__":
    sys.exit(command.run(main))
