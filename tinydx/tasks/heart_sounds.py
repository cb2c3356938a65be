"""Heart sounds of PhysioNet/CinC 2016, normal or abnormal: trained on site a, tested on folds of it and on other sites.

    python -m tinydx.tasks.heart_sounds --data FOLDER

FOLDER holds training-a_10s_wav/{abnormal,normal}/*.wav (site a, 10 s of each recording) and, for the other sites,
training-bcdf_5s_2000Hz.npz (x int16; y, 1 for abnormal; rec, whose first letter is the site). tinydx contains neither.

    recording -> log-mel -> quantiles of each band over time -> dense network, P(abnormal), the mean of several networks

With only 327 training recordings, a few informative features work better than many. Training uses random pieces of each
recording beside the whole, testing the whole. Folds are by recording and stratified (the patients are unknown). The command
chooses nothing on a test fold; docs/ describes what was tried before.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import tinydx
from tinydx import command
from tinydx.evaluation import roc_auc
from tinydx.layers import Dense, Dropout
from tinydx.models import Sequential
from tinydx.optimizers import AdamW
from tinydx.preprocessing.sound import SoundDataGenerator, band_quantiles, find_sounds, load_samples

RATE, SECONDS = 2000, 10
FEATURES = SoundDataGenerator(rate=RATE, n_fft=512, window=128, hop=50, n_mels=32, fmin=10.0, fmax=1000.0)
FOLDS, NETWORKS = 5, 5
PIECES, PIECE = 12, 160  # random pieces of each recording for training; frames in each (4 s)
EPOCHS = 6


def read_site_a(folder: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """The recordings of site a.

    Arguments: folder with the class folders normal and abnormal.
    Returns: (log-mel features (T, F) of each recording; labels (N,), 1 for abnormal).
    """
    files = find_sounds(folder, ["normal", "abnormal"])
    paths = [folder / path for paths in files.values() for path in paths]
    labels = np.repeat([0, 1], [len(paths) for paths in files.values()])
    return [_log_mel(load_samples(path, RATE, SECONDS)) for path in paths], labels


def read_other_sites(file: Path) -> dict[str, tuple[list[np.ndarray], np.ndarray]]:
    """The recordings of the other sites.

    Arguments: file, the .npz file.
    Returns: {site: (features, labels)} for b, c, d, f, as `read_site_a` returns them.
    """
    with np.load(file) as arrays:
        x, y, site = arrays["x"], arrays["y"], np.array([name[:1] for name in arrays["rec"]])
    return {s: ([_log_mel(sound / 32768) for sound in x[site == s]], y[site == s]) for s in sorted(set(site))}


def _log_mel(samples: np.ndarray) -> np.ndarray:
    """Standardized log-mel features (T, F) of samples (L,)."""
    return FEATURES.standardize(FEATURES.features(samples.astype(np.float32)))


def summaries(sounds: Sequence[np.ndarray]) -> np.ndarray:
    """The networks' inputs (N, quantiles of all bands) from whole recordings (T, F) each.

    >>> summaries([np.zeros((9, 4)), np.zeros((7, 4))]).shape
    (2, 20)
    """
    return np.array([band_quantiles(sound) for sound in sounds], np.float32)


def pieces(sounds: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """The networks' inputs from a random piece of each recording."""
    starts = [rng.integers(len(sound) - PIECE + 1) for sound in sounds]
    return summaries([sound[start : start + PIECE] for sound, start in zip(sounds, starts, strict=True)])


def train(x: np.ndarray, y: np.ndarray, seed: int) -> Sequential:
    """One network, trained on x (N, F) of mean 0 and variance 1 and labels y (N,)."""
    tinydx.set_seed(seed)
    model = Sequential([Dropout(0.2, input_shape=x.shape[1:]), Dense(128, activation="relu"), Dropout(0.5)])
    model.add(Dense(1, activation="sigmoid"))
    model.compile(AdamW(1e-3, weight_decay=0.01), "binary_crossentropy")
    model.fit(x, y, batch_size=32, epochs=EPOCHS, verbose=0)
    return model


def diagnose(training: np.ndarray, labels: np.ndarray, tests: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The mean P(abnormal) of NETWORKS networks.

    Arguments: training (1 + PIECES, N, F), the whole recordings first; labels (N,); tests, sets of examples (M, F).
    Returns: for each set, (M,).
    """
    mean, spread = training[0].mean(axis=0), training[0].std(axis=0)
    x, y = ((training - mean) / spread).reshape(-1, training.shape[2]), np.tile(labels, len(training))
    networks = [train(x, y, seed) for seed in range(NETWORKS)]
    return [np.mean([network.predict((test - mean) / spread)[:, 0] for network in networks], axis=0) for test in tests]


def folds(labels: np.ndarray, seed: int) -> np.ndarray:
    """A fold number for each example (N,); each class is spread evenly over the folds.

    >>> sorted(folds(np.repeat([0, 1], 5), seed=0).tolist())
    [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    """
    rng, fold = np.random.default_rng(seed), np.empty(len(labels), int)
    for label in np.unique(labels):
        mine = rng.permutation(np.flatnonzero(labels == label))
        fold[mine] = np.arange(len(mine)) % FOLDS
    return fold


def run(data: Path, seed: int) -> float:
    """Print both tables; returns the mean AUC over the folds of site a."""
    began = time.perf_counter()
    sounds, labels = read_site_a(data / "training-a_10s_wav")
    others = data / "training-bcdf_5s_2000Hz.npz"
    sites = read_other_sites(others) if others.exists() else {}
    if (fewest := min(labels.sum(), len(labels) - labels.sum())) < FOLDS:
        raise ValueError(f"{data}: {fewest} recordings of one class, but each of the {FOLDS} folds needs one")
    rng = np.random.default_rng(seed)
    whole = summaries(sounds)
    training = np.stack([whole, *(pieces(sounds, rng) for _ in range(PIECES))])
    print(f"Site a: {len(labels)} recordings, {labels.sum()} abnormal; {NETWORKS} networks, {FOLDS} folds, seed {seed}")
    fold, areas = folds(labels, seed), []
    for k in range(FOLDS):
        test = fold == k
        (p,) = diagnose(training[:, ~test], labels[~test], [whole[test]])
        areas.append(roc_auc(labels[test], p))
        print(f"  fold {k + 1}: AUC {areas[-1]:.3f} on {test.sum()} recordings", flush=True)
    print(f"  mean   AUC {np.mean(areas):.3f} (log-spectrum and logistic regression: 0.794)")
    if sites:
        print("Trained on all of site a, tested on the other sites:")
        found = diagnose(training, labels, [summaries(sounds) for sounds, _ in sites.values()])
        for (site, (_, truth)), p in zip(sites.items(), found, strict=True):
            print(f"  site {site}: AUC {roc_auc(truth, p):.3f} on {len(truth)} recordings, {truth.sum()} abnormal")
    print(f"{time.perf_counter() - began:.0f} s in all")
    return float(np.mean(areas))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tinydx.tasks.heart_sounds", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="the folder heart_sounds_physionet2016")
    parser.add_argument("--seed", type=int, default=0, help="seed of the folds and the pieces (default 0)")
    options = parser.parse_args(arguments)
    return command.run(lambda: run(options.data, options.seed))


if __name__ == "__main__":
    sys.exit(main())
