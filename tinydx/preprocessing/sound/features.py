"""Features of sounds: spectra, mel bands, cepstra, slopes, quantiles; librosa's numbers, with time before frequency.

samples --frames, window, |FFT|^2--> spectrogram --mel filters, log--> log-mel --DCT--> MFCC
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)  # of the quantiles that summarize a band
QUIETEST = 1e-10  # lower powers count as this one: -100 dB


def frames(x: ArrayLike, length: int, hop: int) -> np.ndarray:
    """Overlapping pieces of samples.

    Arguments: x (..., L); length of a piece and hop from one to the next, in samples.
    Returns: (..., T, length), a view, with T = 1 + (L - length) // hop.
    Raises: ValueError for sounds shorter than one frame, and for a length or hop below 1.

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


def stft(
    x: ArrayLike,
    n_fft: int = 2048,
    hop: int | None = None,
    window: int | None = None,
    center: bool = True,
) -> np.ndarray:
    """The short-time Fourier transform: one spectrum for each frame.

        X(t, k) = sum_n x(t hop + n) w(n) e^(-2 pi i k n / n_fft)

    Arguments: x (..., L); n_fft, samples of a transform; hop between frames (None: a quarter of the window); window, length of
    the Hann window w (None: n_fft), which lies in the middle of the n_fft; center, centre frame t at sample t * hop, with zeros
    beyond both ends, so that T = 1 + L // hop; without it, frame t begins there.
    Returns: complex (..., T, 1 + n_fft // 2); entry k belongs to k * rate / n_fft Hz.
    Raises: ValueError for a window longer than n_fft, and frames' errors.

    >>> stft(np.ones(64), n_fft=16, hop=8).shape
    (9, 9)
    """
    x, window = np.asarray(x), window or n_fft
    hop = hop or window // 4
    if not 1 <= window <= n_fft:
        told = f"the window has {window} samples, expected 1 to n_fft = {n_fft}"
        raise ValueError(f"stft: {told}")
    if center:
        x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(n_fft // 2, n_fft // 2)])
    dtype = x.dtype if x.dtype.kind == "f" else np.float64
    return np.fft.rfft(frames(x, n_fft, hop) * _hann(n_fft, window, dtype))


def istft(spectra: ArrayLike, length: int, n_fft: int = 2048, hop: int | None = None, window: int | None = None) -> np.ndarray:
    """The inverse of `stft` with center: frames are windowed again, added where they overlap, and divided by the sum of w^2.

    Of spectra that were changed it is the sound whose spectra are nearest, in the sense of least squares.

    Arguments: spectra, complex (T, 1 + n_fft // 2); length L of the sound; n_fft, hop, window, as in `stft`.
    Returns: (L,); 0 where no window reaches.
    Source: Griffin and Lim 1984.

    >>> x = np.sin(np.arange(100.0))
    >>> bool(np.allclose(istft(stft(x, 32, 8), 100, 32, 8), x))
    True
    """
    window = window or n_fft
    w, hop = _hann(n_fft, window, np.float64), hop or window // 4
    pieces = np.fft.irfft(np.asarray(spectra), n_fft) * w
    x, weight = np.zeros((2, (len(pieces) - 1) * hop + n_fft + length))
    for t, piece in enumerate(pieces):
        x[t * hop : t * hop + n_fft] += piece
        weight[t * hop : t * hop + n_fft] += w**2
    x = np.divide(x, weight, out=np.zeros_like(x), where=weight > 1e-8)
    return x[n_fft // 2 : n_fft // 2 + length]


def _hann(n_fft: int, window: int, dtype: Any) -> np.ndarray:
    """The Hann window in the middle of n_fft samples."""
    w, start = np.zeros(n_fft, dtype), (n_fft - window) // 2
    w[start : start + window] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    return w


def hz_to_mel(hz: ArrayLike, htk: bool = False) -> np.ndarray:
    """Frequencies in mel, the scale on which equal steps sound equal.

    Arguments: hz, an array of frequencies; htk, use 2595 log10(1 + f/700) instead of Slaney's scale, which is linear up to 1 kHz
    and logarithmic above.
    Returns: float64 of the same shape, in mel.

    >>> hz_to_mel([500, 1000]).tolist(), hz_to_mel(700, htk=True).round(1)
    ([7.5, 15.0], np.float64(781.2))
    """
    hz = np.asarray(hz, np.float64)
    if htk:
        return 2595 * np.log10(1 + hz / 700)
    return np.where(hz < 1000, hz * 3 / 200, 15 + 27 * np.log(np.maximum(hz, 1000) / 1000) / np.log(6.4))


def mel_to_hz(mel: ArrayLike, htk: bool = False) -> np.ndarray:
    """The inverse of `hz_to_mel`: mel -> Hz.

    >>> mel_to_hz(hz_to_mel([50, 4000])).round(6).tolist()
    [50.0, 4000.0]
    """
    mel = np.asarray(mel, np.float64)
    if htk:
        return 700 * (10 ** (mel / 2595) - 1)
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(np.log(6.4) * (np.maximum(mel, 15) - 15) / 27))


def mel_filterbank(
    rate: int,
    n_fft: int,
    n_mels: int = 128,
    fmin: float = 0.0,
    fmax: float | None = None,
    htk: bool = False,
) -> np.ndarray:
    """Triangular filters over the frequencies of an FFT, evenly spaced in mel.

    Arguments: rate in Hz; n_fft, samples of the FFT; n_mels, number of filters; fmin, fmax, where the first begins and the last
    ends, in Hz (None: rate / 2); htk, HTK's triangles of height 1 instead of Slaney's of area 1 (in Hz).
    Returns: float64 (n_mels, 1 + n_fft // 2).
    Raises: ValueError for impossible frequencies, and where a triangle is so narrow that it contains no entry of the FFT.

    >>> mel_filterbank(8000, 256, n_mels=4).shape
    (4, 129)
    """
    fmax = rate / 2 if fmax is None else fmax
    if not 0 <= fmin < fmax <= rate / 2:
        told = f"{fmin:g} to {fmax:g} Hz do not lie in 0 to {rate / 2:g}, half the rate"
        raise ValueError(f"mel_filterbank: frequencies {told}")
    ends = hz_to_mel(fmin, htk), hz_to_mel(fmax, htk)
    corners = mel_to_hz(np.linspace(*ends, n_mels + 2), htk)
    low, middle, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    hz = np.arange(1 + n_fft // 2) * rate / n_fft
    rising, falling = (hz - low) / (middle - low), (high - hz) / (high - middle)
    triangles = np.maximum(0, np.minimum(rising, falling))
    if not triangles.any(axis=1).all():
        told = f"{n_mels} bands are too narrow for n_fft={n_fft}"
        raise ValueError(f"mel_filterbank: {told}: take fewer bands, or a longer n_fft")
    return triangles if htk else triangles * 2 / (high - low)


def mel_spectrogram(
    x: ArrayLike,
    rate: int,
    n_fft: int = 2048,
    hop: int = 512,
    *,
    window: int | None = None,
    n_mels: int = 128,
    fmin: float = 0.0,
    fmax: float | None = None,
    htk: bool = False,
) -> np.ndarray:
    """The power in each mel band and frame.

    Arguments: x (..., L); rate in Hz; n_fft, hop, window in samples, as in `stft`; n_mels, fmin, fmax, htk, as in
    `mel_filterbank`.
    Returns: (..., T, n_mels).
    Raises: the errors of `stft` and `mel_filterbank`.

    >>> mel_spectrogram(np.ones(1000), 2000, n_fft=128, hop=50, n_mels=8).shape
    (21, 8)
    """
    power = np.abs(stft(x, n_fft, hop, window)) ** 2
    return power @ mel_filterbank(rate, n_fft, n_mels, fmin, fmax, htk).T.astype(power.dtype)


def power_to_db(power: ArrayLike, reference: float = 1.0, top_db: float | None = 80.0) -> np.ndarray:
    """Power in decibels: 10 log10(power / reference).

    Arguments: power, an array; reference, the power of 0 dB; top_db, raise every entry to at least this much below the loudest
    entry (None: do not). Powers below 1e-10 count as 1e-10.
    Returns: an array of the same shape.
    Raises: ValueError for a reference of 0 or less.

    >>> power_to_db([1.0, 0.01, 0.0]).tolist()
    [0.0, -20.0, -80.0]
    """
    power = np.asarray(power)
    if reference <= 0:
        raise ValueError(f"power_to_db: the reference must be above 0, got {reference:g}")
    db = 10 * (np.log10(np.maximum(power, QUIETEST)) - math.log10(max(reference, QUIETEST)))
    return db if top_db is None else np.maximum(db, db.max() - top_db)


def log_mel(x: ArrayLike, rate: int, **options: Any) -> np.ndarray:
    """The mel spectrogram in decibels.

    Arguments: x (..., L); rate in Hz; options of `mel_spectrogram`.
    Returns: (..., T, n_mels).

    >>> log_mel(np.ones(1000), 2000, n_fft=128, hop=50, n_mels=8).max() < 40
    np.True_
    """
    return power_to_db(mel_spectrogram(x, rate, **options))


def mfcc(x: ArrayLike, rate: int, n_mfcc: int = 20, **options: Any) -> np.ndarray:
    """Mel-frequency cepstral coefficients: the orthonormal DCT-II of each frame's log-mel S, which decorrelates its M bands.

        c(k) = s(k) sum_m S(m) cos(pi k (m + 1/2) / M),   s(0) = sqrt(1/M), s(k) = sqrt(2/M)

    Arguments: x (..., L); rate in Hz; n_mfcc, number of coefficients; options of `mel_spectrogram`.
    Returns: (..., T, n_mfcc).
    Raises: ValueError for more coefficients than bands.

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
    """Slopes over time: for each frame, the slope of the line fitted to the `width` frames around it.

        d(t) = sum_n n c(t + n) / sum_n n^2,   n = -width//2 .. width//2

    The first and the last frames take the slope of the first and the last full window. deltas(deltas(c)) is the acceleration.

    Arguments: features (..., T, F); width, an odd number of frames.
    Returns: (..., T, F).
    Raises: ValueError for an even or too small width, or for fewer frames.

    >>> deltas(np.arange(9.0)[:, None] * 2, width=3)[:, 0]
    array([2., 2., 2., 2., 2., 2., 2., 2., 2.])
    """
    c = np.asarray(features)
    if width < 3 or width % 2 == 0 or c.shape[-2] < width:
        raise ValueError(f"deltas: width must be odd, from 3 to the number of frames ({c.shape[-2]}), got {width}")
    n = np.arange(width, dtype=c.dtype) - width // 2
    inner = np.moveaxis(frames(np.moveaxis(c, -2, -1), width, 1) @ (n / (n @ n)), -1, -2)
    first, last = inner[..., :1, :], inner[..., -1:, :]
    return np.concatenate([first] * (width // 2) + [inner] + [last] * (width // 2), axis=-2)


def band_quantiles(features: ArrayLike, shares: Sequence[float] = SHARES) -> np.ndarray:
    """The distribution of each band's loudness over time, as quantiles.

    The quiet frames are a heart's pauses, in which a murmur is heard, the loud ones its S1 and S2. So these few numbers tell
    much, whatever the heart rate.

    Arguments: features (..., T, F); shares, the quantiles, 0 to 1.
    Returns: (..., shares * F).

    >>> band_quantiles([[0.0, 5.0], [1.0, 5.0], [2.0, 8.0]], shares=(0.0, 0.5)).tolist()
    [0.0, 5.0, 1.0, 5.0]
    """
    found = np.moveaxis(np.quantile(np.asarray(features), shares, axis=-2), 0, -2)
    return found.reshape(*found.shape[:-2], -1)
