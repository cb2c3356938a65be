"""Random changes of sounds, as other recordings might differ: each function takes an array and returns a new one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def shift_time(x: ArrayLike, samples: int) -> np.ndarray:
    """Delay a sound; what leaves at one end comes in at the other.

    Arguments: x (..., L); samples, the delay (earlier if negative).
    Returns: (..., L).

    >>> shift_time([1.0, 2.0, 3.0], 1)
    array([3., 1., 2.])
    """
    return np.roll(np.asarray(x), samples, axis=-1)


def change_gain(x: ArrayLike, db: float) -> np.ndarray:
    """Amplify a sound.

    Arguments: x (..., L); db, the gain in decibels: 20 multiply the amplitude by 10.
    Returns: (..., L).

    >>> change_gain([0.5], -20.0)
    array([0.05])
    """
    return np.asarray(x) * 10 ** (db / 20)


def add_noise(x: ArrayLike, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """Add white Gaussian noise.

    Arguments: x (..., L); snr_db, the signal-to-noise ratio in decibels: at 0 the noise is as loud as the sound; rng.
    Returns: (..., L).

    >>> noisy = add_noise(np.ones(10_000), 20.0, np.random.default_rng(0))
    >>> round(float(noisy.std()), 3)
    0.1
    """
    x = np.asarray(x)
    power = np.mean(np.square(x), axis=-1, keepdims=True) * 10 ** (-snr_db / 10)
    return x + np.sqrt(power) * rng.standard_normal(x.shape).astype(x.dtype)


def pass_band(x: ArrayLike, rate: int, low: float, high: float, order: int = 8) -> np.ndarray:
    """Filter a sound as a recorder with a limited band does.

    Arguments: x (..., L); rate in Hz; low, high, the band in Hz, at whose ends the amplitude is halved; order: beyond the band
    the amplitude falls by 6 dB * order an octave.
    Returns: (..., L).

    >>> tone = np.sin(2 * np.pi * 50 * np.arange(2000) / 2000)
    >>> [float(pass_band(tone, 2000, 5, high).max().round(2)) for high in (25, 50, 100)]
    [0.0, 0.5, 1.0]
    """
    x = np.asarray(x)
    hz = np.fft.rfftfreq(x.shape[-1], 1 / rate)
    gain = 1 / (1 + (low / np.maximum(hz, 1)) ** order) / (1 + (hz / high) ** order)
    return np.fft.irfft(np.fft.rfft(x) * gain, x.shape[-1]).astype(x.dtype)


def mask_features(features: ArrayLike, time: tuple[int, int] = (0, 0), band: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Replace some frames and some bands by the mean, so that no classifier relies on them (SpecAugment).

    Arguments: features (T, F); time and band, each (first, number).
    Returns: (T, F), a copy.
    Source: Park 2019, SpecAugment.

    >>> mask_features(np.array([[0.0, 4.0], [0.0, 4.0]]), band=(1, 1))
    array([[0., 2.],
           [0., 2.]])
    """
    masked = np.array(features)
    mean = masked.mean()
    masked[time[0] : time[0] + time[1]] = mean
    masked[:, band[0] : band[0] + band[1]] = mean
    return masked
