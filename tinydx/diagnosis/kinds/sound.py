"""Sounds: class folders of wav or flac files; a convolution over time, then the document's recurrence.

    None             synthetic heart sounds, made once in the data folder
    FOLDER           class folders, or train/ val/ test/ of them, at any sample rate

                                                  ┌────────────── mean over time ────────────────┐
    samples --log-mel--> (T,32) --convolution--> (T,48)                                          ├--> class
                                                  └─ pooling, recurrence (T/4,32), mean over time ┘

The convolution's filters cover all bands of five frames (an eighth of a second). The mean of their outputs says which sounds
occur, at whatever time; the recurrence says where in the beat they occur.

Recordings are read once, resampled to 2 kHz (heart sounds and murmurs lie below 1 kHz) and kept as samples, so that an
unreadable file is reported before training begins. Training uses random pieces, noisy and partly masked; testing uses whole
recordings. The network does not depend on the length.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tinydx.datasets.download import data_home
from tinydx.datasets.folders import Files, labelled_files, open_folders
from tinydx.datasets.heart import VERSION, write_heart_folders
from tinydx.datasets.study import SPLITS, Examples, Study, progress
from tinydx.datasets.synthetic import MARKER
from tinydx.diagnosis.inputs import sound_statistics
from tinydx.diagnosis.kind import Kind, Plan, classification_loss, output_layer
from tinydx.layers import (
    Activation,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Dropout,
    GlobalAveragePooling2D,
    Input,
    MaxPooling2D,
    Reshape,
    SimpleRNN,
)
from tinydx.models import Model
from tinydx.optimizers import AdamW
from tinydx.preprocessing.sound import (
    EXTENSIONS,
    SoundDataGenerator,
    check_sounds,
    duration,
    find_sounds,
    load_features,
    load_samples,
)

RATE = 2000  # Hz
SECONDS = 10  # of a recording, unless --size says otherwise
SYNTHETIC_SECONDS = 5
FEATURES: dict[str, Any] = {"rate": RATE, "n_fft": 512, "window": 128, "hop": 50, "n_mels": 32, "fmin": 10.0, "fmax": 1000.0}
FILTERS, UNITS = 48, 32  # of the convolution and of the recurrence
SYNTHETIC = "Synthetic: computed by a program, of no patient. Results on them say nothing about real hearts."


class SoundKind(Kind):
    """Recordings (L,) of one channel, at RATE."""

    noun = "recordings"
    endings = EXTENSIONS
    network = "convolution and the document's recurrence on log-mel spectra"
    synthetic_title = "Diagnosis of heart sounds"
    synthetic_notice = "a program computed these sounds, they are of no patient, and results on real ones will differ."
    schedule = (60, None)
    synthetic_schedule = (10, None)  # synthetic murmurs are clearer than real ones
    columns, panel_height = 3, 1.9

    def open_study(self, path: str | Path | None, *, size: int | None, limit: int | None, seed: int) -> Study:
        if path is None:
            path, size = _synthetic_folder(size or SYNTHETIC_SECONDS), size or SYNTHETIC_SECONDS
        return _folders(Path(path), size or SECONDS, limit, seed)

    def build(self, study: Study, plan: Plan) -> Model:
        return build_rnn(FEATURES["n_mels"], len(study.class_names))

    def training_batches(self, study: Study, plan: Plan, seed: int) -> Any:
        return augmentation(plan.augment).flow(study.train.x, study.train.y, batch_size=plan.batch, seed=seed)

    def plain_batches(self, study: Study, part: Examples, batch: int) -> Any:
        return augmentation("none").flow(part.x, part.y, batch_size=batch, shuffle=False)

    def read(self, entry: str, preprocessing: dict[str, Any]) -> np.ndarray:
        return load_features([entry], preprocessing)

    def open_labelled(
        self, path: str | Path, class_names: list[str], preprocessing: dict[str, Any], split: str | None = None
    ) -> Examples:
        files = labelled_files(path, class_names, split, find_sounds)
        check_sounds([file for file, _ in files])
        with progress("Reading recordings", len(files)) as advance:
            return _read_sounds(files, preprocessing["seconds"], advance)

    def statistics(self, part: Examples, preprocessing: dict[str, Any]) -> dict[str, np.ndarray]:
        return sound_statistics(part.x, RATE, part.files)

    def plot(self, axes: Any, example: Any) -> None:
        """The waveform above its log-mel spectrum, low bands at the bottom."""
        bands = augmentation("none").features(example).T
        time = np.linspace(0, 1, len(example))
        axes.imshow(bands, origin="lower", aspect="auto", cmap="magma", extent=(0, 1, 0, 1))
        axes.plot(time, 1.25 + 0.22 * example / np.abs(example).max(), color="#2166ac", linewidth=0.4)
        axes.set(xlim=(0, 1), ylim=(0, 1.5))


KIND = SoundKind()


# ---- the network and its augmentation ------------------------------------------------------------------------------


def build_rnn(bands: int, classes: int) -> Model:
    """The classifier of recordings: a convolution over time, the document's recurrence, the means of both over time, one output.

        h_t = tanh(W_hh h_{t-1} + W_xh x_t + b_h)

    Arguments: bands of each frame; classes, how many. The input is (N,T,bands) with T of at least 8.
    Returns: the compiled model.
    Source: document, 2.2 (the recurrence).

    >>> build_rnn(32, 2).count_params()
    10545
    """
    frames = Input((None, bands))
    x = Reshape((-1, bands, 1))(frames)
    x = Conv2D(FILTERS, (5, bands), use_bias=False)(x)  # (N,T-4,1,FILTERS)
    x = Activation("relu")(BatchNormalization(momentum=0.9)(x))
    h = Reshape((-1, FILTERS))(MaxPooling2D((4, 1))(x))
    h = SimpleRNN(UNITS, return_sequences=True)(Dropout(0.2)(h))
    h = Reshape((-1, 1, UNITS))(h)
    found = Concatenate()([GlobalAveragePooling2D()(x), GlobalAveragePooling2D()(h)])
    output = output_layer(classes)(Dropout(0.3)(found))
    model = Model(frames, output, name="diagnosis")
    model.compile(AdamW(2e-3, weight_decay=0.01), classification_loss(classes), metrics=["accuracy"])
    return model


def augmentation(how: str) -> SoundDataGenerator:
    """The augmentation of recordings, or none.

    Arguments: how, "document" (pieces of 4 seconds, with noise and masks) or "none" (each recording as it is).
    Returns: a SoundDataGenerator.

    >>> augmentation("none").crop, augmentation("document").crop
    (None, 4.0)
    """
    if how == "none":
        return SoundDataGenerator(**FEATURES)
    return SoundDataGenerator(**FEATURES, crop=4.0, noise_range=(20.0, 50.0), time_mask=0.3, band_mask=4)


# ---- the data ------------------------------------------------------------------------------------------------------


def _synthetic_folder(seconds: int) -> Path:
    """The folder of synthetic heart sounds, which are made if they do not exist."""
    folder = data_home() / f"heart-sounds-{seconds}s-v{VERSION}"
    if not folder.exists():
        print(f"Making synthetic heart sounds in {folder}, once ...", flush=True)
    return write_heart_folders(folder, seconds=seconds)


def _folders(path: Path, seconds: int, limit: int | None, seed: int) -> Study:
    """The study of the class folders at a path."""
    if path.is_file():
        raise ValueError(f"{path} is a file: give a folder with one folder of wav or flac files for each class")
    names, splits, notes = open_folders(path, seed=seed, limit=limit, noun="recordings", find=find_sounds, check=check_sounds)
    with progress("Reading recordings", sum(len(v) for v in splits.values())) as advance:
        train, val, test = (_read_sounds(splits[k], seconds, advance) for k in SPLITS)
    synthetic = (path / MARKER).exists()
    source = "synthetic heart sounds" if synthetic else path.name or str(path)
    notes = [SYNTHETIC, *notes] if synthetic else notes
    if longer := sum(duration(file) > seconds for files in splits.values() for file, _ in files):
        notes.append(f"{longer} recordings last longer: their first {seconds} s are used (--size N uses more)")
    how = {"seconds": seconds, "features": augmentation("none").options}
    return Study(source, names, train, val, test, synthetic, notes, how, "recordings", f"{seconds} s at {RATE} Hz")


def _read_sounds(files: Files, seconds: int, advance: Any) -> Examples:
    """All files of a split as samples, read by several threads."""
    x = np.empty((len(files), seconds * RATE), np.float32)

    def read(i: int) -> None:
        x[i] = load_samples(files[i][0], RATE, seconds)
        advance()

    with ThreadPoolExecutor() as pool:
        list(pool.map(read, range(len(files))))  # list: raises what a thread raised
    return Examples(x, np.array([k for _, k in files], np.int64), [f for f, _ in files])
