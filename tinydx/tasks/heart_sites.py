"""Heart sounds of PhysioNet/CinC 2016, a site left out at a time: does a model hear hearts, or recorders?

    python -m tinydx.tasks.heart_sites --data FOLDER [--output heart-sites]

FOLDER is that of `tinydx.tasks.heart_sounds`: site a as wav files, the sites b, c, d and f as one .npz. Five seconds of each
recording become class folders, whose files are named after their site, and `tinydx diagnose --site` does the rest:

    recordings of sites a, b, c, d, f --left out in turn--> ROC AUC at a site that training has not seen
                                      --five folds that mix the sites--> what a random split says
                                      --the models' features--> how well the site is recognised

All sites have five seconds, so that no length tells them apart. Patients are not known.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinydx import command
from tinydx.datasets.heart import CLASS_NAMES
from tinydx.diagnosis.folds import diagnose_folds
from tinydx.diagnosis.result import ResultFolder
from tinydx.preprocessing.sound import find_sounds, load_samples, save_sound

RATE, SECONDS = 2000, 5


def write_recordings(data: Path, folder: Path) -> None:
    """Write five seconds of each recording as folder/CLASS/NAME.wav; the name begins with the letter of the site."""
    for name in CLASS_NAMES:
        (folder / name).mkdir(parents=True)
    for name, paths in find_sounds(data / "training-a_10s_wav", list(CLASS_NAMES)).items():
        for path in paths:
            samples = load_samples(data / "training-a_10s_wav" / path, RATE, SECONDS)
            save_sound(folder / name / Path(path).name, samples, RATE)
    with np.load(data / "training-bcdf_5s_2000Hz.npz") as arrays:
        for x, y, name in zip(arrays["x"], arrays["y"], arrays["rec"], strict=True):
            save_sound(folder / CLASS_NAMES[1 - int(y)] / f"{name}.wav", x[: RATE * SECONDS] / np.float32(32768), RATE)


def run(data: Path, output: Path, seed: int = 0, resume: bool = False, **options: Any) -> dict[str, Any]:
    """Leave out each site, print the tables, and write the report; returns what `diagnose_folds` does."""
    with ResultFolder(output):
        pass  # an output that cannot be is told before the recordings are written
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "heart sounds of five sites")
        write_recordings(data, folder)
        return diagnose_folds(
            str(folder), kind="sound", size=SECONDS, site="", seed=seed, resume=resume, output=output, **options
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tinydx.tasks.heart_sites", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with training-a_10s_wav and the .npz of the other sites")
    parser.add_argument("--output", type=Path, default=Path("heart-sites"), help="folder for the results (default: heart-sites)")
    parser.add_argument("--seed", type=int, default=0, help="seed of folds and training (default 0)")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run to the same result")
    a = parser.parse_args(arguments)
    command.advice = "; the same command with --resume continues"
    return command.run(lambda: run(a.data, a.output, a.seed, a.resume) and 0)


if __name__ == "__main__":
    sys.exit(main())
