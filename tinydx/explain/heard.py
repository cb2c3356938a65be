r"""What the model heard: a recording filtered by the positive part of a map of its mel spectrogram.

    samples x --stft--> X(t,k) ──×──> inverse stft --> samples, at the loudness of x
                                 │
    map (t,b) --max(0, .)/max--> m(t,b) --mel filters--> gain(t,k)

    $g(t,k) = \frac{\sum_b W_{bk} m(t,b)}{\sum_b W_{bk}}$, and 0 at frequencies that no mel band contains; W(b,k) are the bands'
    triangles. The phases are those of the recording.

It is a filter, not a proof: what is loud in the recording and hardly used can still be heard.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinydx.preprocessing.sound import istft, mel_filterbank, stft


def heard(x: ArrayLike, evidence: ArrayLike, rate: int, **spectrum: Any) -> np.ndarray:
    """The part of a recording that speaks for the explained class.

    Arguments: x (L,), samples; evidence (T,bands), a map of its mel spectrogram, or (bands,), for all of the time; rate in Hz;
    spectrum, the options of `mel_spectrogram` by which it was made.
    Returns: float32 (L,), as loud as x at its loudest; silence where the map has no positive part.
    Raises: ValueError for a map that does not fit the recording.

    >>> time = np.arange(2000) / 2000
    >>> low, high = np.sin(2 * np.pi * 100 * time), np.sin(2 * np.pi * 700 * time)
    >>> bands = {"n_fft": 256, "hop": 50, "window": 128, "n_mels": 8}
    >>> y = heard(low + high, np.arange(8) < 3, 2000, **bands)
    >>> bool(abs(y @ low) > 100 * abs(y @ high))
    True
    """
    x, m = np.asarray(x, np.float64), np.maximum(np.asarray(evidence, np.float64), 0)
    bands = {k: v for k, v in spectrum.items() if k in ("n_fft", "n_mels", "fmin", "fmax", "htk")}
    frames = {k: spectrum[k] for k in ("n_fft", "hop", "window") if k in spectrum}
    spectra, filters = stft(x, **frames), mel_filterbank(rate, **bands)
    if m.shape not in ((len(filters),), (len(spectra), len(filters))):
        raise ValueError(f"heard: a map {m.shape} for a recording of {len(spectra)} frames and {len(filters)} bands")
    reached = filters.sum(axis=0)
    gain = (m / (m.max() or 1)) @ np.divide(filters, reached, out=np.zeros_like(filters), where=reached > 0)
    y = istft(spectra * gain, len(x), **frames)
    return (y * (np.abs(x).max() / (np.abs(y).max() or 1))).astype(np.float32)
