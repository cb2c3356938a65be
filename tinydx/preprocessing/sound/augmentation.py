"""Sounds changed at random, as other recordings might have been: each function takes an array and returns a new one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


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


def add_noise(x: ArrayLike, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """White Gaussian noise at a signal-to-noise ratio in decibels: 0 is as loud as the sound itself.

    >>> noisy = add_noise(np.ones(10_000), 20.0, np.random.default_rng(0))
    >>> round(float(noisy.std()), 3)
    0.1
    """
    x = np.asarray(x)
    power = np.mean(np.square(x), axis=-1, keepdims=True) * 10 ** (-snr_db / 10)
    return x + np.sqrt(power) * rng.standard_normal(x.shape).astype(x.dtype)


def pass_band(x: ArrayLike, rate: int, low: float, high: float, order: int = 8) -> np.ndarray:
    """The sound as a recorder hears it that lets low to high Hz pass: half as high at either, and 6 dB * order less an octave on.

    >>> tone = np.sin(2 * np.pi * 50 * np.arange(2000) / 2000)
    >>> [float(pass_band(tone, 2000, 5, high).max().round(2)) for high in (25, 50, 100)]
    [0.0, 0.5, 1.0]
    """
    x = np.asarray(x)
    hz = np.fft.rfftfreq(x.shape[-1], 1 / rate)
    gain = 1 / (1 + (low / np.maximum(hz, 1)) ** order) / (1 + (hz / high) ** order)
    return np.fft.irfft(np.fft.rfft(x) * gain, x.shape[-1]).astype(x.dtype)


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
