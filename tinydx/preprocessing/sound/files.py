"""Sound files: find them in class folders, check them, read them to samples, write samples back.

soundfile decodes and encodes, scipy resamples. Every error names the file. Samples are float32 (L,), one channel.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinydx.preprocessing.class_folders import check_each, find_files
from tinydx.preprocessing.sound.riff import broken_promise

EXTENSIONS = (".wav", ".flac")
FORMATS = ("WAV", "WAVEX", "RF64", "FLAC")  # libsndfile's names; of others it cannot be told whether they are whole
RATES = (500, 1_000_000)  # Hz; another rate means a broken header
SHORTEST = 0.05  # seconds
UNKNOWN = 2**62  # frames that libsndfile gives where the header does not say
LOUDEST = 1e6  # largest sample: above it squares overflow; 16-bit numbers stored as floats are well below it


def load_sound(path: Any, rate: int | None = None, seconds: float | None = None, offset: float = 0.0) -> tuple[np.ndarray, int]:
    """Read a wav or flac file as samples of one channel, at a given rate.

    Channels are averaged. Samples of 8 to 32 bits become -1..1. Only the requested part is read, so that an hour-long file
    costs no more than a short one.

    Arguments: path; rate in Hz, None for the file's own; seconds, at most how much is read (None: all); offset, where reading
    begins, in seconds.
    Returns: (float32 (L,), rate).
    Raises: FileNotFoundError; ImportError without soundfile; OSError for an empty file, one that is cut off, and one that is not
    a sound; ValueError for silence, NaN, infinite or huge samples, an impossible rate, or an offset beyond the end. Each names
    the file.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_sound(os.path.join(folder, "a.wav"), np.sin(np.arange(8000) * 0.1), 8000)
    ...     x, rate = load_sound(os.path.join(folder, "a.wav"), rate=2000)
    >>> x.shape, rate
    ((2000,), 2000)
    """
    if offset < 0 or (seconds is not None and seconds <= 0):
        raise ValueError(f"load_sound: {seconds!r} seconds from {offset!r} on: give more than 0 seconds, from 0 or later")
    x, own = _read(path, seconds, offset)
    if not np.isfinite(x).all():
        when = np.argmin(np.isfinite(x)) / own
        raise ValueError(f"{path} holds samples that are NaN or infinite, the first after {when:.3f} s: record it again")
    if (peak := np.abs(x).max()) > LOUDEST:
        raise ValueError(f"{path} holds a sample of {peak:.3g}, expected about -1 to 1: it was not written as a sound")
    if np.ptp(x) == 0:
        raise ValueError(f"{path} is silent: all {len(x)} samples are {x[0]:g}; leave it out, or record it again")
    if rate is None:
        return x, own
    y = resample(x, own, rate)
    return y[: math.ceil(seconds * rate)] if seconds else y, rate


def _read(path: Any, seconds: float | None, offset: float) -> tuple[np.ndarray, int]:
    """The samples (L,) of a part of the file and its rate; the values are not checked."""
    with _opened(path) as file:
        own, start = file.samplerate, round(offset * file.samplerate)
        if start >= file.frames > 0:
            raise ValueError(f"{path} lasts {file.frames / own:.3g} s: there is nothing after {offset:g} s")
        file.seek(start)
        x = file.read(-1 if seconds is None else math.ceil(seconds * own), dtype="float32", always_2d=True)
    if len(x) == 0:
        raise OSError(f"cannot read sound {path}: it holds no samples")
    return x.mean(axis=1), own


@contextlib.contextmanager
def _opened(path: Any) -> Iterator[Any]:
    """A sound file whose header can be believed, and which is there to its end; errors name it."""
    soundfile = _soundfile()
    if not os.path.exists(path):
        raise FileNotFoundError(f"no sound file {path}")
    if promise := broken_promise(path):
        what = "it is cut off" if promise.there < promise.promised else "its header is wrong"
        raise OSError(
            f"cannot read sound {path}: {what}: its header promises {promise.promised} bytes of sound, {promise.there} are there"
        )
    try:
        with soundfile.SoundFile(path) as file:
            if file.format not in FORMATS:
                raise OSError(f"cannot read sound {path}: it is {file.format}: convert it to wav or flac")
            rate = file.samplerate
            if not RATES[0] <= rate <= RATES[1]:
                raise ValueError(f"{path} says its rate is {rate} Hz, expected {RATES[0]} to {RATES[1]}: its header is wrong")
            if file.format == "FLAC" and 0 < file.frames < UNKNOWN:
                file.seek(file.frames - 1)  # an error where the last sample is missing
                file.read(1)
                file.seek(0)
            yield file
    except soundfile.LibsndfileError as error:
        why = error.error_string.rstrip(".") or "it is cut off"
        raise OSError(f"cannot read sound {path}: it is empty, damaged, or no wav or flac file ({why})") from error


def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the package is installed, but not its C library
        raise ImportError(f"sound files need soundfile ({error}): pip install soundfile scipy") from error
    return soundfile


def save_sound(path: Any, x: ArrayLike, rate: int) -> None:
    """Write samples as a 16-bit wav or flac file.

    Arguments: path, whose ending decides the format; x (L,), clipped to -1..1; rate in Hz.
    Raises: ImportError without soundfile.
    """
    _soundfile().write(path, np.clip(np.asarray(x, np.float32), -1, 1), rate, subtype="PCM_16")


def find_sounds(directory: Any, classes: Sequence[str] | None = None) -> dict[str, list[str]]:
    """The wav and flac files of each class folder; arguments, result and errors are those of `files.find_files`."""
    return find_files(directory, EXTENSIONS, "recordings", classes)


def load_samples(path: Any, rate: int, seconds: float) -> np.ndarray:
    """The beginning of a file as a fixed number of samples; a shorter file is repeated.

    Arguments: path; rate in Hz; seconds.
    Returns: float32 (seconds * rate,).
    Raises: load_sound's errors; ValueError for a sound shorter than 50 ms, which holds nothing to repeat.
    """
    x, _ = load_sound(path, rate, seconds)
    if len(x) < SHORTEST * rate:
        raise ValueError(f"{path} lasts {len(x) / rate:.3g} s: too short, at least {SHORTEST:g} s are needed")
    return fit_length(x, round(seconds * rate))


def duration(path: Any) -> float:
    """The duration of a sound file in seconds, read from its header."""
    with _opened(path) as file:
        return file.frames / file.samplerate


def fit_length(x: ArrayLike, length: int) -> np.ndarray:
    """Cut samples to a length, or repeat them up to it: a heartbeat heard twice is still true, silence would not be.

    Arguments: x (L,); length in samples.
    Returns: (length,).

    >>> fit_length([1, 2, 3], 5)
    array([1, 2, 3, 1, 2])
    """
    return np.resize(np.asarray(x), length)


def check_sounds(paths: Sequence[str]) -> None:
    """Raise an error unless every file opens as a sound that goes on to its end; headers and ends are read, samples are not.

    Raises: OSError or ValueError that names the bad files and counts them.
    """

    def check(path: str) -> None:
        with _opened(path):
            pass

    check_each(paths, check)


def resample(x: ArrayLike, rate: int, to: int) -> np.ndarray:
    """Samples at another rate; frequencies that the new rate cannot represent are filtered out.

    The filter is scipy's polyphase filter (a Kaiser-windowed sinc).

    Arguments: x (..., L); rate and to, integers in Hz.
    Returns: (..., ceil(L * to / rate)).
    Raises: ValueError for a rate below 1 Hz; ImportError without scipy.

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
