"""A shortcut, and how explanations show it: phantoms whose lead letter tells the class.

    python -m tinydx.tasks.shortcut [--images 600] [--size 64] [--epochs 12] [--seed 0]

    set        letter tells    opacities tell
    control    nothing         the class               train ──> model ─┬─ accuracy where only the opacities tell the class
    tied       the class       the class                                └─ maps: the share of their positive evidence in the
    letter     the class       it in 3 of 4 images                         letter and outside the lungs, and the pointing game

A network is trained on each set and tested on the control's test images, of other patients: what is left without the shortcut.
The maps are of its abnormal images with a letter, for the abnormal class. Nothing is chosen on these tests.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

import tinydx
from tinydx import command, explain
from tinydx.datasets.phantom import CLASS_NAMES, Letters, make_letter_phantoms
from tinydx.diagnosis.networks import small_cnn
from tinydx.explain.checks import METHODS, Evidence, method_named
from tinydx.optimizers import Adam
from tinydx.preprocessing.framing import standardised

USUAL = ("gradient_times_input", "integrated_gradients", "grad_cam", "occlusion")
SETS = {
    "control": {"letter": 0.5, "opacities": 1.0},
    "tied": {"letter": 1.0, "opacities": 1.0},
    "letter": {"letter": 1.0, "opacities": 0.75},
}


class Found(NamedTuple):
    """What a method's maps say of a model: the share of the evidence in the letter, in the lungs, and the pointing game."""

    letter: Evidence
    lungs: Evidence
    pointing: explain.checks.Pointing


class Result(NamedTuple):
    """What became of a set: the accuracy without the shortcut, and what each method's maps say."""

    accuracy: float
    looked: dict[str, Found]


def main(arguments: Sequence[str] | None = None) -> dict[str, Result]:
    """Print accuracies and shares; returns a `Result` for each set."""
    parser = argparse.ArgumentParser(prog="python -m tinydx.tasks.shortcut", description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=600, help="for training (default 600); as many tests as a third of them")
    parser.add_argument("--size", type=int, default=64, help="of an image in pixels (default 64)")
    parser.add_argument("--epochs", type=int, default=12, help="passes over the training images (default 12)")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=USUAL, help=f"default: {' '.join(USUAL)}")
    parser.add_argument("--seed", type=int, default=0, help="of patients and weights (default 0)")
    a = parser.parse_args(arguments)
    test, found = make_letter_phantoms(a.images // 3, 2 * a.seed + 1, a.size, **SETS["control"]), {}
    for name, shares in SETS.items():
        model = trained(make_letter_phantoms(a.images, 2 * a.seed, a.size, **shares), a.epochs, a.seed)
        looked = {method: look(model, test, method) for method in a.methods}
        found[name] = Result(accuracy(model, test), looked)
        print(f"{name}: accuracy {found[name].accuracy:.3f} on {len(test.labels)} control images", flush=True)
        for method, seen in looked.items():
            share, area = seen.letter.share, seen.letter.area
            print(f"  {method}: {share:.3f} of the positive evidence lies in the letter, which is {area:.3f} of the image")
            print(f"    {seen.lungs.sentence}\n    {seen.pointing.sentence}", flush=True)
    return found


def inputs_of(images: np.ndarray) -> np.ndarray:
    """Images (N,H,W) of bytes as a model's inputs, each with mean 0 and deviation 1: float32 (N,H,W,1)."""
    return np.array([standardised(image.astype(np.float32)[..., None]) for image in images])


def trained(part: Letters, epochs: int, seed: int) -> Any:
    """A small CNN, trained on some phantoms."""
    tinydx.set_seed(seed)
    model = small_cnn((*part.images.shape[1:], 1), 2)
    model.compile(Adam(0.003), "binary_crossentropy", metrics=["accuracy"])
    model.fit(inputs_of(part.images), part.labels, epochs=epochs, verbose=0)
    model.class_names = list(CLASS_NAMES)
    return model


def accuracy(model: Any, part: Letters) -> float:
    """The share of the images that the model calls right."""
    answers = np.asarray(model.predict_on_batch(inputs_of(part.images)))[:, 0] > 0.5
    return float((answers == part.labels).mean())


def look(model: Any, part: Letters, method: str) -> Found:
    """Where a method's maps of the abnormal images with a letter lie."""
    rows = np.flatnonzero((part.labels == 0) & part.lettered & part.letters.any(axis=(1, 2)) & part.lesions.any(axis=(1, 2)))
    maps = method_named(method)(model, inputs_of(part.images[rows]), CLASS_NAMES[0])
    letter = explain.evidence_in(maps, part.letters[rows], "the letter")
    lungs = explain.evidence_in(maps, part.lungs[rows])
    return Found(letter, lungs, explain.pointing_game(maps, part.lesions[rows], part.lungs[rows]))


if __name__ == "__main__":
    sys.exit(command.run(main))
