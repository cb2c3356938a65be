"""Make librosa.npz, what librosa computes from two short sounds, for tests/test_sound.py.

    pip install librosa && python tests/sound_reference/make_reference.py

Only this script needs librosa. The sounds are stored beside the results, the axes as librosa has them (frequency, time).
"""

from pathlib import Path

import librosa
import numpy as np

RATE = 2000


def sounds() -> dict[str, np.ndarray]:
    """A chirp in noise, and a click in silence: no frame of the second is alike, most are at the floor."""
    rng = np.random.default_rng(7)
    t = np.arange(1500) / RATE
    chirp = 0.5 * np.sin(2 * np.pi * (40 + 200 * t) * t) + 0.02 * rng.standard_normal(len(t))
    click = np.zeros(701)
    click[300:320] = rng.standard_normal(20)
    return {"chirp": chirp, "click": click}


def reference(x: np.ndarray) -> dict[str, np.ndarray]:
    """Every feature, some in two or three settings."""
    mels = {"sr": RATE, "n_fft": 256, "hop_length": 50, "win_length": 128, "n_mels": 24, "fmin": 25, "fmax": 800}
    log_mel = librosa.power_to_db(librosa.feature.melspectrogram(y=x, **mels))
    mfcc = librosa.feature.mfcc(y=x, n_mfcc=13, dct_type=2, norm="ortho", **mels)
    return {
        "stft": librosa.stft(x, n_fft=256, hop_length=50, win_length=128),
        "stft_default": librosa.stft(x, n_fft=512),
        "stft_left": librosa.stft(x, n_fft=256, hop_length=100, center=False),
        "mel": librosa.feature.melspectrogram(y=x, **mels),
        "mel_htk": librosa.feature.melspectrogram(y=x, htk=True, norm=None, **mels),
        "log_mel": log_mel,
        "mfcc": mfcc,
        "deltas": librosa.feature.delta(mfcc),
        "deltas_5": librosa.feature.delta(mfcc, width=5),
        "resampled": librosa.resample(x, orig_sr=RATE, target_sr=1500, res_type="polyphase"),
    }


def filters() -> dict[str, np.ndarray]:
    """Filter banks over the whole range and a part of it, Slaney's and HTK's."""
    return {
        "slaney": librosa.filters.mel(sr=16000, n_fft=512, n_mels=40, dtype=np.float64),
        "slaney_part": librosa.filters.mel(sr=8000, n_fft=1024, n_mels=20, fmin=100, fmax=3000, dtype=np.float64),
        "htk": librosa.filters.mel(sr=16000, n_fft=512, n_mels=40, htk=True, norm=None, dtype=np.float64),
    }


def single(x: np.ndarray) -> np.ndarray:
    """In single precision, which is enough for 1e-4 and half as large."""
    return x.astype(np.complex64 if np.iscomplexobj(x) else np.float32)


if __name__ == "__main__":
    arrays = {f"filter/{name}": value for name, value in filters().items()}
    for name, x in sounds().items():
        arrays[f"{name}/x"] = x
        arrays |= {f"{name}/{key}": single(value) for key, value in reference(x).items()}
    np.savez_compressed(Path(__file__).with_name("librosa.npz"), version=librosa.__version__, **arrays)
