"""Sounds for training: files to samples, samples to features, augmentation, and batches.

    file --load_sound--> samples x(t) --frames, window, |FFT|^2--> spectrogram --mel filters, log--> log-mel --DCT--> MFCC

Samples are (..., L), one channel, mostly in [-1, 1]; L samples at `rate` Hz last L / rate seconds. Features are
(..., T, F), time before frequency, as recurrent layers take them: T frames, `hop` samples apart. The functions give
librosa's numbers (with the axes swapped), to 1e-4.

`SoundDataGenerator` is for sounds what `ImageDataGenerator` is for images: it holds the options of the augmentation and
of the features; its `flow` and `flow_from_directory` give endless batches (`BatchIterator`), which a killed run can go
on with. soundfile reads the files and scipy resamples: `pip install 'tinydx[sound]'`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinydx.preprocessing.files import check_choice, find_files
from tinydx.preprocessing.iterators import BatchIterator

EXTENSIONS = (".wav", ".flac")
RATES = (500, 1_000_000)  # Hz: what lies outside is a broken header rather than a recording
SHORTEST = 0.05  # seconds
LOUDEST = 1e6  # of a sample in a file of floats: beyond it squares overflow; 16-bit numbers as floats are well below
QUIETEST = 1e-10  # power below which the logarithm is cut: -100 dB

Rng = np.random.Generator | np.random.RandomState


# ---- files ---------------------------------------------------------------------------------------------------------


def load_sound(
    path: Any, rate: int | None = None, seconds: float | None = None, offset: float = 0.0
) -> tuple[np.ndarray, int]:
    """Read a wav or flac file as samples of one channel, at the rate asked for.

    Arguments: path; rate in Hz, None for the file's own; seconds to read at most (None: all), beginning at offset seconds.
    Channels are averaged. Samples of 8 to 32 bits become -1..1.
    Returns (float32 (L,), rate). Only the part asked for is read, so that an hour-long file costs no more than a short one.
    Raises FileNotFoundError; ImportError without soundfile; OSError, naming the file, for what is no sound file or is
    empty; ValueError, naming it, for silence, NaN, infinite or huge samples, an impossible rate, or an offset beyond its end.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_sound(os.path.join(folder, "a.wav"), np.sin(np.arange(8000) * 0.1), 8000)
    ...     x, rate = load_sound(os.path.join(folder, "a.wav"), rate=2000)
    >>> x.shape, rate
    ((2000,), 2000)
    """
    if offset < 0 or (seconds is not None and seconds <= 0):
        raise ValueError(f"load_sound: {seconds!r} seconds from {offset!r} on: give more than 0, from 0 or later")
    x, own = _read(path, seconds, offset)
    if not np.isfinite(x).all():
        when = np.argmin(np.isfinite(x)) / own
        raise ValueError(f"{path} holds samples that are NaN or infinite, the first after {when:.3f} s: record it again")
    if (peak := np.abs(x).max()) > LOUDEST:
        raise ValueError(f"{path} holds a sample of {peak:.3g}, expected about -1 to 1: it was not written as sound")
    if np.ptp(x) == 0:
        raise ValueError(f"{path} is silent: all {len(x)} samples are {x[0]:g}; leave it out, or record it again")
    if rate is None:
        return x, own
    y = resample(x, own, rate)
    return y[: math.ceil(seconds * rate)] if seconds else y, rate


def _read(path: Any, seconds: float | None, offset: float) -> tuple[np.ndarray, int]:
    """The samples of a part of the file, and its rate, without regard to what they are."""
    soundfile = _soundfile()
    if not os.path.exists(path):
        raise FileNotFoundError(f"no sound file {path}")
    try:
        with soundfile.SoundFile(path) as file:
            own = file.samplerate
            if not RATES[0] <= own <= RATES[1]:
                raise ValueError(f"{path} says its rate is {own} Hz, expected {RATES[0]} to {RATES[1]}: its header is wrong")
            start = round(offset * own)
            if start >= file.frames > 0:
                raise ValueError(f"{path} lasts {file.frames / own:.3g} s: there is nothing after {offset:g} s")
            file.seek(start)
            x = file.read(-1 if seconds is None else math.ceil(seconds * own), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise OSError(_damaged(path, error)) from error
    if len(x) == 0:
        raise OSError(f"cannot read sound {path}: it holds no samples")
    return x.mean(axis=1), own


def _damaged(path: Any, error: Any) -> str:
    return f"cannot read sound {path}: it is empty, damaged, or no wav or flac file ({error.error_string.rstrip('.')})"


def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the package is there, its library is not
        raise ImportError(f"sound files need soundfile ({error}): pip install soundfile scipy") from error
    return soundfile


def save_sound(path: Any, x: ArrayLike, rate: int) -> None:
    """Write samples (L,) in -1..1 as a 16-bit wav or flac file (by the name's ending); what lies beyond is cut."""
    _soundfile().write(path, np.clip(np.asarray(x, np.float32), -1, 1), rate, subtype="PCM_16")


def find_sounds(directory: Any, classes: Sequence[str] | None = None) -> dict[str, list[str]]:
    """Sound files of each class folder; see `files.find_files`."""
    return find_files(directory, EXTENSIONS, "recordings", classes)


def resample(x: ArrayLike, rate: int, to: int) -> np.ndarray:
    """Samples (..., L) at another rate, (..., ceil(L * to / rate)); what the new rate cannot hold is filtered away.

    Arguments: rate and to, whole numbers of Hz. A polyphase filter (a Kaiser-windowed sinc), by scipy.

    >>> resample(np.sin(np.arange(400) * 0.05), 8000, 2000).shape
    (100,)
    """
    if rate < 1 or to < 1:
        raise ValueError(f"resample: rates must be 1 Hz or more, got {rate} and {to}")
    try:
        from scipy.signal import resample_poly
    except ImportError as error:
        raise ImportError(f"resampling needs scipy ({error}): pip install soundfile scipy") from error
    x, common = np.asarray(x), math.gcd(rate, to)
    return x if rate == to else resample_poly(x, to // common, rate // common, axis=-1)


# ---- features ------------------------------------------------------------------------------------------------------


def frames(x: ArrayLike, length: int, hop: int) -> np.ndarray:
    """Overlapping pieces of samples (..., L), as a view (..., T, length), T = 1 + (L - length) // hop.

    Raises ValueError for sounds shorter than one frame.

    >>> frames(np.arange(6), length=4, hop=2)
    array([[0, 1, 2, 3],
           [2, 3, 4, 5]])
    """
    x = np.asarray(x)
    if length < 1 or hop < 1:
        raise ValueError(f"frames: length and hop must be at least 1 sample, got {length} and {hop}")
    if x.shape[-1] < length:
        raise ValueError(f"frames: {x.shape[-1]} samples are less than one frame of {length}")
    return np.lib.stride_tricks.sliding_window_view(x, length, axis=-1)[..., ::hop, :]


def stft(x: ArrayLike, n_fft: int = 2048, hop: int | None = None, window: int | None = None, center: bool = True) -> np.ndarray:
    """The short-time Fourier transform: sum_n x(t hop + n) w(n) e^(-2 pi i k n / n_fft), a spectrum for each frame.

    Arguments: x (..., L); n_fft, samples of a transform; hop between frames (None: a quarter of the window); window, length
    of the Hann window w (None: n_fft), in the middle of the n_fft; center, frame t stands around sample t * hop, with
    zeros beyond both ends, so that T = 1 + L // hop; else it begins there.
    Returns complex (..., T, 1 + n_fft // 2); entry k is at k * rate / n_fft Hz.

    >>> stft(np.ones(64), n_fft=16, hop=8).shape
    (9, 9)
    """
    x, window = np.asarray(x), window or n_fft
    hop = hop or window // 4
    if not 1 <= window <= n_fft:
        raise ValueError(f"stft: the window has {window} samples, expected 1 to n_fft = {n_fft}")
    if center:
        x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(n_fft // 2, n_fft // 2)])
    w = np.zeros(n_fft, x.dtype if x.dtype.kind == "f" else np.float64)
    start = (n_fft - window) // 2
    w[start : start + window] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    return np.fft.rfft(frames(x, n_fft, hop) * w)


def hz_to_mel(hz: ArrayLike, htk: bool = False) -> np.ndarray:
    """Frequency in mel, on which equal steps sound equal. Slaney: linear to 1 kHz, then logarithmic; htk: 2595 log10(1 + f/700).

    >>> hz_to_mel([500, 1000]).tolist(), hz_to_mel(700, htk=True).round(1)
    ([7.5, 15.0], np.float64(781.2))
    """
    hz = np.asarray(hz, np.float64)
    if htk:
        return 2595 * np.log10(1 + hz / 700)
    return np.where(hz < 1000, hz * 3 / 200, 15 + 27 * np.log(np.maximum(hz, 1000) / 1000) / np.log(6.4))


def mel_to_hz(mel: ArrayLike, htk: bool = False) -> np.ndarray:
    """The inverse of `hz_to_mel`.

    >>> mel_to_hz(hz_to_mel([50, 4000])).round(6).tolist()
    [50.0, 4000.0]
    """
    mel = np.asarray(mel, np.float64)
    if htk:
        return 700 * (10 ** (mel / 2595) - 1)
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(np.log(6.4) * (np.maximum(mel, 15) - 15) / 27))


def mel_filterbank(
    rate: int, n_fft: int, n_mels: int = 128, fmin: float = 0.0, fmax: float | None = None, htk: bool = False
) -> np.ndarray:
    """Triangles over the frequencies of an FFT, evenly spaced in mel: (n_mels, 1 + n_fft // 2), float64.

    Arguments: rate in Hz; fmin, fmax, where the first begins and the last ends, in Hz (None: rate / 2). Slaney's triangles
    have the area 1 (in Hz), HTK's the height 1.
    Raises ValueError for impossible frequencies, and where triangles are so narrow that no entry of the FFT meets one.

    >>> mel_filterbank(8000, 256, n_mels=4).shape
    (4, 129)
    """
    fmax = rate / 2 if fmax is None else fmax
    if not 0 <= fmin < fmax <= rate / 2:
        raise ValueError(f"mel_filterbank: frequencies {fmin:g} to {fmax:g} Hz do not lie in 0 to {rate / 2:g}, half the rate")
    corners = mel_to_hz(np.linspace(hz_to_mel(fmin, htk), hz_to_mel(fmax, htk), n_mels + 2), htk)
    low, middle, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    hz = np.arange(1 + n_fft // 2) * rate / n_fft
    triangles = np.maximum(0, np.minimum((hz - low) / (middle - low), (high - hz) / (high - middle)))
    if not triangles.any(axis=1).all():
        raise ValueError(f"mel_filterbank: {n_mels} bands are too narrow for n_fft={n_fft}: take fewer bands, or a longer n_fft")
    return triangles if htk else triangles * 2 / (high - low)


def mel_spectrogram(
    x: ArrayLike,
    rate: int,
    n_fft: int = 2048,
    hop: int = 512,
    window: int | None = None,
    n_mels: int = 128,
    fmin: float = 0.0,
    fmax: float | None = None,
    htk: bool = False,
) -> np.ndarray:
    """Power in each mel band and frame: (..., L) samples -> (..., T, n_mels). See `stft` and `mel_filterbank`.

    >>> mel_spectrogram(np.ones(1000), 2000, n_fft=128, hop=50, n_mels=8).shape
    (21, 8)
    """
    power = np.abs(stft(x, n_fft, hop, window)) ** 2
    return power @ mel_filterbank(rate, n_fft, n_mels, fmin, fmax, htk).T.astype(power.dtype)


def power_to_db(power: ArrayLike, reference: float = 1.0, top_db: float | None = 80.0) -> np.ndarray:
    """Decibels, 10 log10(power / reference), at least -100 dB, and at most top_db below the loudest entry of all.

    >>> power_to_db([1.0, 0.01, 0.0]).tolist()
    [0.0, -20.0, -80.0]
    """
    power = np.asarray(power)
    if reference <= 0:
        raise ValueError(f"power_to_db: the reference must be above 0, got {reference:g}")
    db = 10 * (np.log10(np.maximum(power, QUIETEST)) - math.log10(max(reference, QUIETEST)))
    return db if top_db is None else np.maximum(db, db.max() - top_db)


def log_mel(x: ArrayLike, rate: int, **options: Any) -> np.ndarray:
    """`mel_spectrogram` in decibels, (..., T, n_mels); options are its own.

    >>> log_mel(np.ones(1000), 2000, n_fft=128, hop=50, n_mels=8).max() < 40
    np.True_
    """
    return power_to_db(mel_spectrogram(x, rate, **options))


def mfcc(x: ArrayLike, rate: int, n_mfcc: int = 20, **options: Any) -> np.ndarray:
    """Mel-frequency cepstral coefficients, (..., T, n_mfcc): the DCT-II of each frame's log-mel, which decorrelates its bands.

    c(k) = s(k) sum_m S(m) cos(pi k (m + 1/2) / M), with s(0) = sqrt(1/M) and s(k) = sqrt(2/M): orthonormal. Options are those
    of `mel_spectrogram`. Raises ValueError for more coefficients than bands.

    >>> mfcc(np.ones(1000), 2000, n_mfcc=3, n_fft=128, hop=50, n_mels=8).shape
    (21, 3)
    """
    bands = log_mel(x, rate, **options)
    m = bands.shape[-1]
    if not 1 <= n_mfcc <= m:
        raise ValueError(f"mfcc: {n_mfcc} coefficients of {m} mel bands, expected 1 to {m}")
    k = np.arange(n_mfcc)[:, None]
    cosines = np.sqrt(np.where(k == 0, 1, 2) / m) * np.cos(np.pi * k * (np.arange(m) + 0.5) / m)
    return bands @ cosines.T.astype(bands.dtype)


def deltas(features: ArrayLike, width: int = 9) -> np.ndarray:
    """Slopes over time of features (..., T, F): at each frame that of the line fitted to the `width` frames around it.

    d(t) = sum_n n c(t + n) / sum_n n^2, n = -width//2 .. width//2; the first and the last frames take the line of the
    first and the last window. deltas(deltas(c)) is the acceleration.
    Raises ValueError for an even or too small width, or fewer frames than that.

    >>> deltas(np.arange(9.0)[:, None] * 2, width=3)[:, 0]
    array([2., 2., 2., 2., 2., 2., 2., 2., 2.])
    """
    c = np.asarray(features)
    if width < 3 or width % 2 == 0 or c.shape[-2] < width:
        raise ValueError(f"deltas: width must be odd, from 3 to the {c.shape[-2]} frames there are, got {width}")
    n = np.arange(width, dtype=c.dtype) - width // 2
    inner = np.moveaxis(frames(np.moveaxis(c, -2, -1), width, 1) @ (n / (n @ n)), -1, -2)
    first, last = inner[..., :1, :], inner[..., -1:, :]
    return np.concatenate([first] * (width // 2) + [inner] + [last] * (width // 2), axis=-2)


def band_quantiles(features: ArrayLike, shares: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95)) -> np.ndarray:
    """How loud each band is, most of the time and at times: quantiles over time of features (..., T, F), (..., shares * F).

    The quiet frames are a heart's pauses, where a murmur is heard, the loud ones its S1 and S2: so few numbers tell much,
    whatever the rate of the beats.

    >>> band_quantiles([[0.0, 5.0], [1.0, 5.0], [2.0, 8.0]], shares=(0.0, 0.5)).tolist()
    [0.0, 5.0, 1.0, 5.0]
    """
    found = np.moveaxis(np.quantile(np.asarray(features), shares, axis=-2), 0, -2)
    return found.reshape(*found.shape[:-2], -1)


# ---- augmentation: each takes samples (..., L), or features (T, F), and returns a new array ------------------------------


def shift_time(x: ArrayLike, samples: int) -> np.ndarray:
    """The sound later by so many samples (earlier if negative); what leaves at one end comes in at the other.

    >>> shift_time([1.0, 2.0, 3.0], 1)
    array([3., 1., 2.])
    """
    return np.roll(np.asarray(x), samples, axis=-1)


def change_gain(x: ArrayLike, db: float) -> np.ndarray:
    """The sound louder by so many decibels (20 make it ten times as high).

    >>> change_gain([0.5], -20.0)
    array([0.05])
    """
    return np.asarray(x) * 10 ** (db / 20)


def add_noise(x: ArrayLike, snr_db: float, rng: Rng) -> np.ndarray:
    """White Gaussian noise at a signal-to-noise ratio in decibels: 0 is as loud as the sound itself.

    >>> noisy = add_noise(np.ones(10_000), 20.0, np.random.default_rng(0))
    >>> round(float(noisy.std()), 3)
    0.1
    """
    x = np.asarray(x)
    power = np.mean(np.square(x), axis=-1, keepdims=True) * 10 ** (-snr_db / 10)
    return x + np.sqrt(power) * rng.standard_normal(x.shape).astype(x.dtype)


def mask_features(features: ArrayLike, time: tuple[int, int] = (0, 0), band: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Features (T, F) with some frames and some bands at the mean, so that no classifier relies on them (SpecAugment).

    Arguments: time and band, each (first, how many).

    >>> mask_features(np.array([[0.0, 4.0], [0.0, 4.0]]), band=(1, 1))
    array([[0., 2.],
           [0., 2.]])
    """
    masked = np.array(features)
    mean = masked.mean()
    masked[time[0] : time[0] + time[1]] = mean
    masked[:, band[0] : band[0] + band[1]] = mean
    return masked


# ---- batches -------------------------------------------------------------------------------------------------------


def pad_sounds(sounds: Sequence[ArrayLike], length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of different lengths as one batch: zeros at the end, and a mask of what is real.

    Arguments: sounds, samples (L,) or features (T, F) each; length of the batch's sequences (None: the longest); a longer
    one is cut. Returns (batch (N, length, ...), mask (N, length) bool), which recurrent layers take.
    Raises ValueError for no sounds, or an empty one.

    >>> batch, mask = pad_sounds([[1.0, 2.0], [3.0]])
    >>> batch.tolist(), mask.tolist()
    ([[1.0, 2.0], [3.0, 0.0]], [[True, True], [True, False]])
    """
    arrays = [np.asarray(sound) for sound in sounds]
    if not arrays or min(map(len, arrays)) == 0:
        raise ValueError(f"pad_sounds: got sounds of the lengths {[len(a) for a in arrays]}: give some, and none that is empty")
    length = max(map(len, arrays)) if length is None else length
    batch = np.zeros((len(arrays), length, *arrays[0].shape[1:]), np.result_type(*arrays))
    for row, array in zip(batch, arrays, strict=True):
        row[: len(array)] = array[:length]
    return batch, np.arange(length) < np.array([len(a) for a in arrays])[:, None]


def fit_length(x: ArrayLike, length: int) -> np.ndarray:
    """Samples (L,) cut to a length, or repeated up to it: a heartbeat that is heard again tells nothing false, silence would.

    >>> fit_length([1, 2, 3], 5)
    array([1, 2, 3, 1, 2])
    """
    return np.resize(np.asarray(x), length)


class SoundDataGenerator:
    """Features of sounds, random augmentation, and iterators of augmented batches.

    Arguments, all by name:
        rate: Hz, of the samples that it is given; files are resampled to it.
        n_fft, hop, window: samples; n_mels bands between fmin and fmax Hz: see `mel_spectrogram`.
        n_mfcc: None for log-mel features, a number for so many MFCCs.
        normalize: scale each example's features to mean 0 and variance 1, so that loudness does not matter.
        crop: seconds; each example is a piece of that length, at a random place (None: all of it).
        time_shift: seconds; each sound begins up to so much later or earlier, and goes round.
        gain_range: dB; louder or quieter, uniform in +-gain_range.
        noise_range: (low, high) dB; white noise at a signal-to-noise ratio that is uniform in it; None for none.
        time_mask: seconds, band_mask: bands; up to so much is masked, at a random place.
    Raises ValueError for options out of range, and mel_filterbank's errors.

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
        if min(time_shift, gain_range, time_mask, band_mask) < 0:
            limits = f"{time_shift}, {gain_range}, {time_mask}, {band_mask}"
            raise ValueError(f"time_shift, gain_range, time_mask and band_mask must not be negative, got {limits}")
        if crop is not None and crop * rate < n_fft:
            raise ValueError(f"crop={crop!r} s is less than one transform of n_fft={n_fft} samples at {rate} Hz")
        self.rate, self.n_mfcc, self.normalize, self.crop = rate, n_mfcc, normalize, crop
        bands = {"n_mels": n_mels, "fmin": fmin, "fmax": fmax}
        self.spectrum: dict[str, Any] = {"n_fft": n_fft, "hop": hop, "window": window, **bands}
        self.time_shift, self.gain_range, self.noise_range = time_shift, gain_range, noise_range
        self.time_mask, self.band_mask = time_mask, band_mask
        mel_filterbank(rate, n_fft, n_mels, fmin, fmax)  # its errors now, not in a thread

    @property
    def options(self) -> dict[str, Any]:
        """What the features depend on, augmentation apart: `SoundDataGenerator(**options)` reads sounds as this one does."""
        return {"rate": self.rate, **self.spectrum, "n_mfcc": self.n_mfcc, "normalize": self.normalize}

    def flow(
        self,
        x: ArrayLike,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        seed: int | None = None,
    ) -> SoundArrayIterator:
        """Augmented batches of the sounds x (N, L), samples at `rate`. See SoundArrayIterator."""
        return SoundArrayIterator(x, y, self, batch_size, shuffle, sample_weight, seed)

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
        """Augmented batches of the wav and flac files in a directory's class folders. See SoundDirectoryIterator."""
        return SoundDirectoryIterator(directory, self, seconds, classes, class_mode, batch_size, shuffle, seed)

    def shape(self, length: int) -> tuple[int, int]:
        """(T, F) of the features of so many samples, cropped."""
        length = length if self.crop is None else min(length, round(self.crop * self.rate))
        return 1 + length // self.spectrum["hop"], self.n_mfcc or self.spectrum["n_mels"]

    def features(self, x: ArrayLike) -> np.ndarray:
        """Log-mel or MFCC of samples (..., L), as (..., T, F), not yet normalised."""
        if self.n_mfcc is None:
            return log_mel(x, self.rate, **self.spectrum)
        return mfcc(x, self.rate, self.n_mfcc, **self.spectrum)

    def standardize(self, features: np.ndarray) -> np.ndarray:
        """Features (T, F) of mean 0 and variance 1, if `normalize`."""
        if not self.normalize:
            return features
        return (features - features.mean()) / max(float(features.std()), 1e-6)

    def get_random_transform(self, shape: tuple[int, ...], seed: int | np.random.RandomState | None = None) -> dict[str, Any]:
        """Draw the parameters of one sound's augmentation.

        Arguments: shape (T, F) of its features; seed, a number, or a RandomState to go on with.
        Returns start (of the crop, a share of the room for it), shift in seconds, gain and snr in dB (None: no noise),
        noise_seed, and time_mask and band_mask as (first, how many).

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
        """Features (T, F) of the samples x (L,), augmented as `get_random_transform` drew."""
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
    """(first, how many): up to `most` of `size` entries, anywhere."""
    width = int(draws.randint(min(most, size) + 1))
    return int(draws.randint(size - width + 1)), width


class SoundIterator(BatchIterator):
    """What both iterators share: samples become features; see BatchIterator for order, draws, threads and position."""

    def __init__(self, n: int, generator: SoundDataGenerator, length: int, batch_size: int, shuffle: bool, seed: int | None):
        super().__init__(n, generator, generator.shape(length), batch_size, shuffle, seed, "float32")
        self.generator, self.length = generator, length

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How a file becomes this iterator's input, augmentation apart: JSON-able, for `load_features`."""
        return {"seconds": self.length / self.generator.rate, "features": self.generator.options}

    def _image(self, index: int, transform: dict[str, Any]) -> np.ndarray:
        return self.generator.apply_transform(self._samples(index), transform)

    def _samples(self, index: int) -> np.ndarray:
        """Sound `index`, (L,) at the generator's rate."""
        raise NotImplementedError


class SoundArrayIterator(SoundIterator):
    """Batches of augmented features from an array of samples.

    Arguments: x (N, L), samples at the generator's rate; y, labels (N, ...), or None; the generator; batch_size; shuffle, a
    new permutation each epoch; sample_weight (N,); seed.
    Yields x, (x, y) or (x, y, sample_weight), x as (N, T, F).
    Raises ValueError for mismatched lengths, another rank, or no sounds.
    """

    def __init__(
        self,
        x: ArrayLike,
        y: Any,
        generator: SoundDataGenerator,
        batch_size: int = 32,
        shuffle: bool = False,
        sample_weight: Any = None,
        seed: int | None = None,
    ):
        self.x = np.asarray(x)
        self.labels = [np.asarray(a) for a in (y, sample_weight) if a is not None]
        if self.x.ndim != 2 or 0 in self.x.shape:
            raise ValueError(f"sounds are (N, samples), got x {self.x.shape}")
        if sample_weight is not None and y is None:
            raise ValueError("sample_weight weighs labels: pass y too")
        if any(len(a) != len(self.x) for a in self.labels):
            lengths = [len(a) for a in (self.x, *self.labels)]
            raise ValueError(f"x, y and sample_weight must have the same length; got {lengths}")
        super().__init__(len(self.x), generator, self.x.shape[1], batch_size, shuffle, seed)

    def _samples(self, index: int) -> np.ndarray:
        return self.x[index]

    def _batch(self, x: np.ndarray, indices: np.ndarray) -> Any:
        return (x, *(a[indices] for a in self.labels)) if self.labels else x

    def _files(self, indices: np.ndarray) -> None:
        return None


class SoundDirectoryIterator(SoundIterator):
    """Batches of augmented features from a folder that holds one folder of wav or flac files for each class.

    Arguments: directory; the generator; seconds of each file, from its beginning: a longer one is cut, a shorter one
    repeated; classes, the class folders and their order, None for all, sorted; class_mode, what y is: "binary" 0. or 1.
    (two classes), "sparse" the class index as a float, "categorical" one-hot, None no y; batch_size; shuffle; seed.
    Attributes as of the images' DirectoryIterator: class_indices, classes, filenames, filepaths, samples, num_classes.
    Prints how many files it found. Yields (x, y), or x for class_mode None.
    Raises find_sounds' and check_sounds' errors, and ValueError for class_mode "binary" unless there are two classes.
    """

    def __init__(
        self,
        directory: Any,
        generator: SoundDataGenerator,
        seconds: float = 10.0,
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
    ):
        check_choice("class_mode", class_mode, ("categorical", "binary", "sparse", None))
        found = find_sounds(directory, classes)
        if class_mode == "binary" and len(found) != 2:
            raise ValueError(f"class_mode='binary' needs 2 class folders, {directory} has {len(found)}: {', '.join(found)}")
        self.directory, self.seconds, self.class_mode = directory, seconds, class_mode
        self.class_indices = {name: index for index, name in enumerate(found)}
        self.filenames = [file for files in found.values() for file in files]
        self.filepaths = [os.path.join(directory, file) for file in self.filenames]
        self.classes = np.repeat(np.arange(len(found), dtype=np.int32), [len(files) for files in found.values()])
        self.samples, self.num_classes = len(self.filenames), len(found)
        super().__init__(self.samples, generator, round(seconds * generator.rate), batch_size, shuffle, seed)
        check_sounds(self.filepaths)
        print(f"Found {self.samples} recordings belonging to {self.num_classes} classes.")

    def _samples(self, index: int) -> np.ndarray:
        return load_samples(self.filepaths[index], self.generator.rate, self.seconds)

    def _batch(self, x: np.ndarray, indices: np.ndarray) -> Any:
        if self.class_mode is None:
            return x
        if self.class_mode == "categorical":
            return x, np.eye(self.num_classes, dtype=self.dtype)[self.classes[indices]]
        return x, self.classes[indices].astype(self.dtype)

    def _files(self, indices: np.ndarray) -> list[str]:
        return [self.filepaths[index] for index in indices]


def load_samples(path: Any, rate: int, seconds: float) -> np.ndarray:
    """The first seconds of a file at a rate, a shorter file repeated: float32 (seconds * rate,).

    Raises load_sound's errors, and ValueError for a sound shorter than 50 ms, which holds nothing to repeat.
    """
    x, _ = load_sound(path, rate, seconds)
    if len(x) < SHORTEST * rate:
        raise ValueError(f"{path} lasts {len(x) / rate:.3g} s: too short to hear anything, at least {SHORTEST:g} s are needed")
    return fit_length(x, round(seconds * rate))


def load_features(paths: Sequence[Any], preprocessing: dict[str, Any]) -> np.ndarray:
    """Sounds read as a model's training sounds were: float32 (N, T, F).

    Arguments: paths; preprocessing, what the training iterator's attribute of that name held. Raises load_samples' errors.
    """
    generator = SoundDataGenerator(**preprocessing["features"])
    sounds = [load_samples(path, generator.rate, preprocessing["seconds"]) for path in paths]
    return np.array([generator.standardize(generator.features(x)) for x in sounds], np.float32)


def check_sounds(paths: Sequence[str]) -> None:
    """Raise the error of the first file that cannot be opened as a sound; headers are read, samples are not."""
    soundfile = _soundfile()
    bad = []
    for path in paths:
        try:
            soundfile.info(path)
        except soundfile.LibsndfileError as error:
            bad.append(_damaged(path, error))
    if bad:
        raise OSError(bad[0] + (f" ({len(bad)} such files of {len(paths)})" if len(bad) > 1 else ""))
