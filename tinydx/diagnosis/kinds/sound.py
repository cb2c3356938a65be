"""Sounds: class folders of wav or flac files; a convolution and the document's recurrence, or a dense network on few numbers.

    None             synthetic heart sounds, made once in the data folder
    FOLDER           class folders, or train/ val/ test/ of them, at any sample rate
    FILE.csv, .tsv   a study's table with the columns sound and label (`tinydx/datasets/table.py`)

From 1,000 training recordings on, and for the synthetic ones, whose classes differ in rhythm:

                                                  ┌────────────── mean over time ────────────────┐
    samples --log-mel--> (T,32) --convolution--> (T,48)                                          ├--> class
                                                  └─ pooling, recurrence (T/4,32), mean over time ┘

The convolution's filters cover all bands of five frames (an eighth of a second). The mean of their outputs says which sounds
occur, at whatever time; the recurrence says where in the beat they occur.

With fewer recordings, fewer features work better. Each recording becomes 160 numbers, which say nothing about order:

    samples --log-mel--> (T,32) --quantiles of each band over time--> (160,) --dense network--> class

Recordings are read once, resampled to 2 kHz (heart sounds and murmurs lie below 1 kHz) and kept as samples, so that an
unreadable file is reported before training begins. Training uses random pieces, noisy and partly masked; testing uses whole
recordings. Neither network depends on the length.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tinydx.datasets.download import data_home
from tinydx.datasets.folders import Files, labelled_files, open_folders
from tinydx.datasets.heart import VERSION, write_heart_folders
from tinydx.datasets.owners import owned
from tinydx.datasets.study import SPLITS, Examples, Study, progress
from tinydx.datasets.synthetic import MARKER
from tinydx.datasets.table_files import is_table, labelled_table_files, open_table_files
from tinydx.diagnosis.inputs import sound_statistics
from tinydx.diagnosis.kind import Heard, Kind, Options, Plan, classification_loss, output_layer, parts_of
from tinydx.diagnosis.networks import linear_on_mean
from tinydx.explain.heard import heard
from tinydx.layers import (
    Activation,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Dense,
    Dropout,
    GlobalAveragePooling2D,
    Input,
    MaxPooling2D,
    Reshape,
    SimpleRNN,
)
from tinydx.layers.declared import expect_run
from tinydx.models import Model, Sequential
from tinydx.optimizers import AdamW
from tinydx.preprocessing.class_folders import check_each
from tinydx.preprocessing.sound import (
    EXTENSIONS,
    SHARES,
    SoundDataGenerator,
    band_quantiles,
    check_sounds,
    duration,
    find_sounds,
    hz_to_mel,
    load_features,
    load_samples,
    mel_to_hz,
)
from tinydx.saving.arguments import check_arguments
from tinydx.saving.header import expect_count, expect_dict, expect_list, expect_number
from tinydx.training import data

RATE = 2000  # Hz
SECONDS = 10  # of a recording, unless --size says otherwise
SYNTHETIC_SECONDS = 5
TICKS = (100, 400, 900)  # Hz, of a plotted spectrum
LARGEST_OPTION, LARGEST_BANK = 2**20, 2**22  # of the features of a model file: a number, and bands times samples
FEATURES: dict[str, Any] = {"rate": RATE, "n_fft": 512, "window": 128, "hop": 50, "n_mels": 32, "fmin": 10.0, "fmax": 1000.0}
FILTERS, UNITS = 48, 32  # of the convolution and of the recurrence
FEW = 1000  # training recordings: below, they are summarized
HIDDEN = 128  # units of the dense network for summaries
PIECES, PIECE = 12, 0.4  # random pieces of each recording beside the whole one, and the share of it in each
LEAST = 600  # steps of the optimizer on summaries
UPDATES, PASSES, EPOCHS = 2000, 4, 20  # steps on whole recordings, passes over them, both at least, and validations in between
SYNTHETIC = "Synthetic: computed by a program, of no patient. Results on them say nothing about real hearts."


class SoundKind(Kind):
    """Recordings (L,) of one channel, at RATE."""

    noun = "recordings"
    endings = EXTENSIONS
    table_column = "sound"
    network = "convolution and the document's recurrence on log-mel spectra"
    synthetic_title = "Diagnosis of heart sounds"
    synthetic_notice = "a program computed these sounds, they are of no patient, and results on real ones will differ."
    networks = ("standard", "linear")  # standard: what suits the number of recordings
    synthetic_schedule = (10, None)  # synthetic murmurs are clearer than real ones
    columns, panel_height = 3, 1.9
    features_name = "mean and spread of the log-mel spectrum"

    def open_study(
        self,
        path: str | Path | None,
        *,
        size: int | None,
        limit: int | None,
        seed: int,
        patient: str | None = None,
        site: str | None = None,
    ) -> Study:
        if path is None:
            path, size = _synthetic_folder(size or SYNTHETIC_SECONDS), size or SYNTHETIC_SECONDS
        return self.learn_reading(_folders(Path(path), size or SECONDS, limit, seed, patient, site))

    def learn_reading(self, study: Study) -> Study:
        """Few recordings are summarised, and the summaries scaled by those of the training recordings."""
        how = {k: v for k, v in study.preprocessing.items() if k not in ("mean", "spread")}
        if len(study.train.y) < FEW and not study.synthetic:
            whole = summaries(study.train.x)[0]
            how.update(mean=whole.mean(axis=0).tolist(), spread=np.maximum(whole.std(axis=0), 1e-3).tolist())
        return replace(study, preprocessing=how)

    def plan(self, study: Study, options: Options) -> Plan:
        plan, count = super().plan(study, options), len(study.train.y)
        if plan.network == "standard":
            plan = plan._replace(network=self.network)
        best = "the epoch with the lowest validation loss is kept"
        if not is_summarized(study.preprocessing):
            if study.synthetic or options.epochs:
                reason = "synthetic recordings" if study.synthetic else f"{count} training recordings"
                return plan._replace(why=(f"{self.network} for {reason}", best))
            updates = max(UPDATES, PASSES * -(-count // plan.batch))
            line = f"{self.network} for {count} recordings, {updates} steps: {UPDATES} or {PASSES} passes, whichever is more"
            return plan._replace(epochs=EPOCHS, steps=options.steps or -(-updates // EPOCHS), why=(line, best))
        steps = max(-(-LEAST // 6), -(-count * (1 + PIECES) // plan.batch))
        why = (
            f"quantiles of the spectrum over time and a dense network for {count} recordings: fewer than {FEW} need few features",
            f"beside each recording, {PIECES} random pieces of it train the network" if plan.augment != "none" else "",
            best,
        )
        usual = "a dense network on the quantiles of log-mel spectra"
        plan = plan._replace(network=plan.network if plan.network == "linear" else usual, why=tuple(filter(None, why)))
        if options.epochs is None:
            plan = plan._replace(epochs=6, steps=options.steps or steps)
        return plan

    def build(self, study: Study, plan: Plan) -> Any:
        classes = len(study.class_names)
        if plan.network == "linear":
            summarized = is_summarized(study.preprocessing)
            return linear_on_mean((len(study.preprocessing["mean"]),) if summarized else (None, FEATURES["n_mels"]), classes)
        if is_summarized(study.preprocessing):
            return build_dense(len(study.preprocessing["mean"]), classes)
        return build_rnn(FEATURES["n_mels"], classes)

    def training_batches(self, study: Study, plan: Plan, seed: int) -> Any:
        x, y = study.train.x, study.train.y
        if not is_summarized(study.preprocessing):
            return augmentation(plan.augment).flow(x, y, batch_size=plan.batch, seed=seed)
        versions = 1 + (PIECES if plan.augment != "none" else 0)
        x = scaled(summaries(x, versions, seed).reshape(-1, len(study.preprocessing["mean"])), study.preprocessing)
        return data.batches(x, np.tile(y, versions), batch_size=plan.batch, shuffle=True)

    def plain_batches(self, study: Study, part: Examples, batch: int) -> Any:
        if not is_summarized(study.preprocessing):
            return augmentation("none").flow(part.x, part.y, batch_size=batch, shuffle=False)
        return data.batches(scaled(summaries(part.x)[0], study.preprocessing), part.y, batch_size=batch)

    def features(self, study: Study, part: Examples) -> np.ndarray:
        """The mean over time of each band's log power, in dB, and its standard deviation: float32 (N, 2 * bands)."""
        bands = [augmentation("none").features(x) for x in part.x]
        return np.array([np.concatenate([b.mean(axis=0), b.std(axis=0)]) for b in bands], np.float32)

    def check_reading(self, preprocessing: dict[str, Any], model: Any) -> None:
        options = expect_dict(preprocessing["features"], "features")
        check_arguments(SoundDataGenerator, options)
        for name in ("rate", "n_fft", "hop", "n_mels"):
            if not expect_count(options[name], name, below=LARGEST_OPTION):
                raise ValueError(f"{name} is 0")
        if options["n_mels"] * options["n_fft"] > LARGEST_BANK:
            raise ValueError(f"{options['n_mels']} bands of {options['n_fft']} samples are more than any training had")
        samples = expect_count(preprocessing["seconds"], "seconds") * options["rate"]
        expect_run("its recording", (None, samples))
        bands = SoundDataGenerator(**options).shape(samples)
        expect_run("its recording", (None, *bands))
        if is_summarized(preprocessing):
            sizes = [len(expect_list(preprocessing[k], k)) for k in ("mean", "spread")]
            for value in (*preprocessing["mean"], *preprocessing["spread"]):
                expect_number(value, "mean and spread")
            if sizes[0] != sizes[1]:
                raise ValueError(f"mean and spread have {sizes[0]} and {sizes[1]} numbers")
        model.check_input((None, sizes[0]) if is_summarized(preprocessing) else (None, *bands))

    def read(self, entry: str, preprocessing: dict[str, Any]) -> np.ndarray:
        frames = load_features([entry], preprocessing)
        return scaled(band_quantiles(frames), preprocessing) if is_summarized(preprocessing) else frames

    def parts(self, entry: str, preprocessing: dict[str, Any]) -> list[str] | None:
        """The numbers of a summary, such as "93 Hz, 5 % quantile"; None for spectra."""
        if not is_summarized(preprocessing):
            return None
        how = preprocessing["features"]
        low, high = hz_to_mel([how["fmin"], how["fmax"] or how["rate"] / 2])
        middles = mel_to_hz(np.linspace(low, high, how["n_mels"] + 2)[1:-1])
        return [f"{middle:.0f} Hz, {100 * share:.0f} % quantile" for share in SHARES for middle in middles]

    def heard(self, entry: str, preprocessing: dict[str, Any], evidence: np.ndarray) -> Heard | None:
        """The recording filtered by the evidence of each band and frame; of a summary, of each band."""
        how = dict(preprocessing["features"])
        rate, cepstra = how.pop("rate"), how.pop("n_mfcc")
        if cepstra is not None:
            return None
        x = load_samples(entry, rate, preprocessing["seconds"])
        if is_summarized(preprocessing):
            evidence = evidence.reshape(len(SHARES), -1).sum(axis=0)
        elif evidence.ndim == 1:  # frames only, as of Grad-CAM
            evidence = np.repeat(evidence[:, None], how["n_mels"], axis=1)
        return Heard(rate, x, heard(x, evidence, rate, **{k: v for k, v in how.items() if k != "normalize"}))

    def open_labelled(
        self, path: str | Path, class_names: list[str], preprocessing: dict[str, Any], split: str | None = None
    ) -> Examples:
        if is_table(path):
            files = labelled_table_files(path, self.table_column, class_names, split)
        else:
            files = labelled_files(path, class_names, split, find_sounds)
        check_sounds([file for file, _ in files])
        with progress("Reading recordings", len(files)) as advance:
            return _read_sounds(files, preprocessing["seconds"], advance)

    def statistics(self, part: Examples, preprocessing: dict[str, Any]) -> dict[str, np.ndarray]:
        return sound_statistics(part.x, RATE, part.files)

    def example(self, entry: str, preprocessing: dict[str, Any]) -> Examples:
        return _read_sounds([(entry, 0)], preprocessing["seconds"], lambda: None)

    def gist(self, part: Examples, preprocessing: dict[str, Any]) -> dict[str, np.ndarray]:
        bands = np.array([augmentation("none").features(x) for x in part.x], np.float64)
        return {"spectrum": bands.mean(axis=1), "changes over time": bands.std(axis=1)}

    def plot(self, axes: Any, example: Any) -> None:
        """The waveform above its log-mel spectrum, low bands at the bottom."""
        bands, seconds = augmentation("none").features(example).T, len(example) / RATE
        loudest = max(float(np.abs(example).max()), 1e-9)
        axes.imshow(bands, origin="lower", aspect="auto", cmap="magma", extent=(0, seconds, 0, 1))
        axes.plot(np.arange(len(example)) / RATE, 1.25 + 0.22 * example / loudest, color="#2166ac", linewidth=0.4)
        axes.set(xlim=(0, seconds), ylim=(0, 1.5), xticks=[0, seconds / 2, seconds], yticks=[heights(f) for f in TICKS])
        axes.set_xticklabels(["0", f"{seconds / 2:g}", f"{seconds:g} s"])
        axes.set_yticklabels([*(f"{f}" for f in TICKS[:-1]), f"{TICKS[-1]} Hz"])
        axes.tick_params(labelsize=6.5, length=2, pad=1.5)


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


def build_dense(numbers: int, classes: int) -> Sequential:
    """The classifier of summaries.

    Arguments: numbers of a summary; classes, how many.
    Returns: the compiled model.

    >>> build_dense(160, 2).count_params()
    20737
    """
    model = Sequential([Dropout(0.2, input_shape=(numbers,)), Dense(HIDDEN, activation="relu"), Dropout(0.5)], name="diagnosis")
    model.add(output_layer(classes))
    model.compile(AdamW(1e-3, weight_decay=0.01), classification_loss(classes), metrics=["accuracy"])
    return model


def is_summarized(preprocessing: dict[str, Any]) -> bool:
    """Whether recordings are read as summaries."""
    return "mean" in preprocessing


def heights(hz: float) -> float:
    """Where a frequency lies on the axis of a plotted spectrum, from 0 to 1: bands are evenly spaced in mel.

    >>> round(heights(1000.0), 2), round(heights(100.0), 2)
    (1.02, 0.08)
    """
    n = FEATURES["n_mels"]
    low, high = hz_to_mel([FEATURES["fmin"], FEATURES["fmax"]])
    return float(((hz_to_mel(hz) - low) / (high - low) * (n + 1) - 0.5) / n)


def summaries(x: np.ndarray, versions: int = 1, seed: int = 0) -> np.ndarray:
    """The quantiles over time of each band, for whole recordings and for random pieces of them.

    Arguments: x (N,L), samples; versions, 1 for the whole recordings, more for as many pieces of each; seed of the pieces.
    Returns: float32 (versions, N, 5 * bands), the whole recordings first.

    >>> summaries(np.random.default_rng(0).normal(size=(2, 4000)), versions=3).shape
    (3, 2, 160)
    """
    generator, rng = augmentation("none"), np.random.default_rng(seed)
    frames = [generator.standardize(generator.features(sound)) for sound in x]
    found = [[band_quantiles(sound) for sound in frames]]
    for _ in range(versions - 1):
        lengths = [max(1, round(PIECE * len(sound))) for sound in frames]
        starts = [rng.integers(len(sound) - n + 1) for sound, n in zip(frames, lengths, strict=True)]
        found.append([band_quantiles(f[i : i + n]) for f, i, n in zip(frames, starts, lengths, strict=True)])
    return np.array(found, np.float32)


def scaled(x: np.ndarray, preprocessing: dict[str, Any]) -> np.ndarray:
    """Summaries (N,D) scaled to the mean 0 and variance 1 of the whole training recordings."""
    return ((x - np.array(preprocessing["mean"])) / np.array(preprocessing["spread"])).astype(np.float32)


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


def _folders(path: Path, seconds: int, limit: int | None, seed: int, patient: str | None, site: str | None) -> Study:
    """The study of the class folders at a path."""
    owners: dict[str, Any] | None = None
    if is_table(path):
        options: dict[str, Any] = {"seed": seed, "limit": limit, "patient": patient, "site": site}
        names, splits, notes, owners = open_table_files(path, "sound", check=check_sounds, **options)
    elif path.is_file():
        raise ValueError(
            f"{path} is a file: give a table (.csv), or a folder with one folder of wav or flac files for each class"
        )
    else:
        sounds: dict[str, Any] = {"noun": "recordings", "find": find_sounds, "check": check_sounds}
        names, splits, notes = open_folders(path, seed=seed, limit=limit, patient=patient, **sounds)
    files = [file for k in SPLITS for file in splits[k]]  # in one go, so that an error names the bad files of all splits
    with progress("Reading recordings", len(files)) as advance:
        read = _read_sounds(files, seconds, advance)
    read = owned(read, str(path), patient, site) if owners is None else read._replace(**owners)
    train, val, test = parts_of(read, [len(splits[k]) for k in SPLITS])
    synthetic = (path / MARKER).exists()
    source = "synthetic heart sounds" if synthetic else path.name or str(path)
    notes = [SYNTHETIC, *notes] if synthetic else notes
    if longer := sum(duration(file) > seconds for file, _ in files):
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
        waiting = [pool.submit(read, i) for i in range(len(files))]
        check_each(waiting, Future.result)  # raises what the threads raised
    return Examples(x, np.array([k for _, k in files], np.int64), [f for f, _ in files])
