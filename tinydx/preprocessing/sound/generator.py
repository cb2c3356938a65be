"""SoundDataGenerator: the options of features and augmentation, and the recipe for one sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinydx.preprocessing.sound.augmentation import add_noise, change_gain, mask_features, shift_time
from tinydx.preprocessing.sound.features import log_mel, mel_filterbank, mfcc
from tinydx.preprocessing.sound.files import load_samples
from tinydx.preprocessing.sound.iterators import SoundArrayIterator, SoundDirectoryIterator
from tinydx.settings import Checked, checked, number, whole


class SoundDataGenerator(metaclass=Checked):
    """Features of sounds, random augmentation, and iterators of augmented batches.

    Arguments: all by keyword.
        rate: Hz, of the samples that it receives; files are resampled to it.
        n_fft, hop, window: samples; n_mels bands between fmin and fmax Hz: see `mel_spectrogram`.
        n_mfcc: None for log-mel features, or the number of MFCCs.
        normalize: scale each example's features to mean 0 and variance 1, so that loudness does not matter.
        crop: seconds; each example is a piece of that length, at a random place (None: the whole sound).
        time_shift: seconds; each sound is shifted by a random time in +-time_shift, and wraps around.
        gain_range: dB; a random gain in +-gain_range.
        noise_range: (low, high) dB; white noise at a random signal-to-noise ratio between them; None for none.
        time_mask: seconds, band_mask: bands; at most this much is masked, at a random place.
    Raises: ValueError for options out of range, and mel_filterbank's errors.

    >>> augment = SoundDataGenerator(rate=2000, n_fft=256, hop=50, n_mels=16, crop=1.0, noise_range=(10, 30))
    >>> batches = augment.flow(np.random.default_rng(0).normal(size=(5, 6000)), [0, 1, 0, 1, 0], batch_size=2, seed=0)
    >>> features, labels = next(batches)
    >>> features.shape, features.dtype.name, len(batches)
    ((2, 41, 16), 'float32', 3)
    """

    def __init__(
        self,
        *,
        rate: int = 2000,
        n_fft: int = 256,
        hop: int = 50,
        window: int | None = None,
        n_mels: int = 32,
        fmin: float = 0.0,
        fmax: float | None = None,
        n_mfcc: int | None = None,
        normalize: bool = True,
        crop: float | None = None,
        time_shift: float = 0.0,
        gain_range: float = 0.0,
        noise_range: tuple[float, float] | None = None,
        time_mask: float = 0.0,
        band_mask: int = 0,
    ):
        limits = {"time_shift": time_shift, "gain_range": gain_range, "time_mask": time_mask, "band_mask": band_mask}
        for name, limit in limits.items():
            number(name, limit, at_least=0)
        sizes = {"rate": rate, "n_fft": n_fft, "hop": hop, "window": window, "n_mels": n_mels, "n_mfcc": n_mfcc}
        for name, size in sizes.items():
            if size is not None:
                whole(name, size)
        for name, end in {"crop": crop, "fmax": fmax}.items():
            if end is not None:
                number(name, end, above=0)
        if noise_range is not None and (np.shape(noise_range) != (2,) or number("noise_range", noise_range[0]) > noise_range[1]):
            raise ValueError(f"noise_range is {noise_range!r}, expected a pair (low, high)")
        number("fmin", fmin, at_least=0)
        if crop is not None and crop * rate < n_fft:
            raise ValueError(f"crop={crop!r} s is less than one transform of n_fft={n_fft} samples at {rate} Hz")
        self.rate, self.n_mfcc, self.normalize, self.crop = rate, n_mfcc, normalize, crop
        bands = {"n_mels": n_mels, "fmin": fmin, "fmax": fmax}
        self.spectrum: dict[str, Any] = {"n_fft": n_fft, "hop": hop, "window": window, **bands}
        self.time_shift, self.gain_range, self.noise_range = time_shift, gain_range, noise_range
        self.time_mask, self.band_mask = time_mask, band_mask
        mel_filterbank(rate, n_fft, n_mels, fmin, fmax)  # raises its errors now, not in a thread

    @property
    def options(self) -> dict[str, Any]:
        """What the features depend on, without augmentation: `SoundDataGenerator(**options)` computes the same features."""
        return {"rate": self.rate, **self.spectrum, "n_mfcc": self.n_mfcc, "normalize": self.normalize}

    @property
    def augmentation(self) -> dict[str, Any]:
        """The options that change sounds at random, with their values; a crop is the piece that a model hears."""
        names = ("time_shift", "gain_range", "noise_range", "time_mask", "band_mask")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    @checked
    def flow(
        self,
        x: ArrayLike,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        seed: int | None = None,
    ) -> SoundArrayIterator:
        """Endless augmented batches of features from an array of sounds.

        Arguments: x (N, L), samples at `rate`; y, labels (N, ...), or None; batch_size; shuffle, a new permutation for each
        epoch; sample_weight (N,); seed of all random choices.
        Returns: an iterator of x, (x, y) or (x, y, sample_weight), with x (N, T, F); see `BatchIterator`.
        Raises: ValueError for different lengths, another rank, or no sounds.

        >>> SoundDataGenerator(n_mels=16).flow(np.ones((3, 1000)), batch_size=2, shuffle=False)[0].shape
        (2, 21, 16)
        """
        order = {"batch_size": batch_size, "shuffle": shuffle, "seed": seed}
        return SoundArrayIterator(x, y, self, sample_weight=sample_weight, **order)

    @checked
    def flow_from_directory(
        self,
        directory: Any,
        seconds: float = 10.0,
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
    ) -> SoundDirectoryIterator:
        """Endless augmented batches of features from a folder that holds one folder of wav or flac files for each class.

        Prints how many files it found.

        Arguments: directory; seconds of each file, from its beginning: longer files are cut, shorter ones repeated; classes,
        the class folders and their order, None for all, sorted; class_mode, what y is: "binary" 0.0 or 1.0 (two classes),
        "sparse" the class index as a float, "categorical" one-hot (N, classes), None no y; batch_size; shuffle; seed.
        Returns: an iterator of (x, y), or of x for class_mode None; see `FolderIterator` for its attributes.
        Raises: find_sounds' and check_sounds' errors; ValueError for class_mode "binary" unless there are two classes.
        """
        order = {"batch_size": batch_size, "shuffle": shuffle, "seed": seed}
        return SoundDirectoryIterator(directory, self, seconds=seconds, classes=classes, class_mode=class_mode, **order)

    def shape(self, length: int) -> tuple[int, int]:
        """(T, F) of the features of `length` samples, after the crop.

        >>> SoundDataGenerator(hop=50, n_mels=32).shape(2000)
        (41, 32)
        """
        length = length if self.crop is None else min(length, round(self.crop * self.rate))
        return 1 + length // self.spectrum["hop"], self.n_mfcc or self.spectrum["n_mels"]

    def features(self, x: ArrayLike) -> np.ndarray:
        """Log-mel features or MFCCs, not yet normalised: samples (..., L) -> (..., T, F).

        >>> SoundDataGenerator(n_mels=16).features(np.ones(1000)).shape
        (21, 16)
        """
        if self.n_mfcc is None:
            return log_mel(x, self.rate, **self.spectrum)
        return mfcc(x, self.rate, self.n_mfcc, **self.spectrum)

    def standardize(self, features: np.ndarray) -> np.ndarray:
        """Features (T, F), scaled to mean 0 and variance 1 if `normalize`.

        >>> SoundDataGenerator().standardize(np.array([[1.0, 3.0]]))
        array([[-1.,  1.]])
        """
        if not self.normalize:
            return features
        return (features - features.mean()) / max(float(features.std()), 1e-6)

    def get_random_transform(self, shape: tuple[int, ...], seed: int | np.random.RandomState | None = None) -> dict[str, Any]:
        """Draw the parameters of one sound's augmentation.

        Arguments: shape (T, F) of its features; seed, a number, a RandomState to continue, or None for NumPy's global
        generator.
        Returns: a dict of start (of the crop, as a fraction of the possible range), shift in seconds, gain and snr in dB (None:
        no noise), noise_seed, and time_mask and band_mask as (first, number).

        >>> SoundDataGenerator(gain_range=6).get_random_transform((40, 32), seed=0)["gain"] < 6
        True
        """
        draws: Any = np.random.RandomState(seed) if isinstance(seed, int | np.integer) else seed or np.random
        frames_masked = round(self.time_mask * self.rate / self.spectrum["hop"])
        return {
            "start": draws.random() if self.crop else 0.0,
            "shift": draws.uniform(-self.time_shift, self.time_shift),
            "gain": draws.uniform(-self.gain_range, self.gain_range),
            "snr": draws.uniform(*self.noise_range) if self.noise_range else None,
            "noise_seed": draws.randint(2**31),
            "time_mask": _draw_mask(draws, frames_masked, shape[0]),
            "band_mask": _draw_mask(draws, self.band_mask, shape[1]),
        }

    def apply_transform(self, x: ArrayLike, transform: dict[str, Any]) -> np.ndarray:
        """Augment samples and compute their features.

        Arguments: x (L,); transform, as `get_random_transform` returns it.
        Returns: features (T, F), not yet normalised.

        >>> augment = SoundDataGenerator(n_mels=16, crop=0.5)
        >>> augment.apply_transform(np.ones(2000), augment.get_random_transform((41, 16), seed=0)).shape
        (21, 16)
        """
        x = np.asarray(x)
        if self.crop:
            length = min(len(x), round(self.crop * self.rate))
            start = int(transform["start"] * (len(x) - length + 1))
            x = x[start : start + length]
        if shift := round(transform["shift"] * self.rate):
            x = shift_time(x, shift)
        if transform["gain"]:
            x = change_gain(x, transform["gain"])
        if transform["snr"] is not None:
            x = add_noise(x, transform["snr"], np.random.default_rng(transform["noise_seed"]))
        return mask_features(self.features(x), transform["time_mask"], transform["band_mask"])


def _draw_mask(draws: Any, most: int, size: int) -> tuple[int, int]:
    """(first, number) of a random run of at most `most` among `size` entries."""
    width = int(draws.randint(min(most, size) + 1))
    return int(draws.randint(size - width + 1)), width


def load_features(paths: Sequence[Any], preprocessing: dict[str, Any]) -> np.ndarray:
    """Read sound files in the way a model's training sounds were read.

    Arguments: paths; preprocessing, the training iterator's attribute of that name, with "seconds" and "features".
    Returns: float32 (N, T, F).
    Raises: load_samples' errors.
    """
    generator = SoundDataGenerator(**preprocessing["features"])
    sounds = [load_samples(path, generator.rate, preprocessing["seconds"]) for path in paths]
    return np.array([generator.standardize(generator.features(x)) for x in sounds], np.float32)
