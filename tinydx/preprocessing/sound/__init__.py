"""Sounds for training: files to samples, samples to features, augmentation, and batches.

    files.py          find, check, read, resample and write wav and flac files
    riff.py           whether a wav file holds what its header promises
    features.py       spectra, log-mel, MFCC, slopes, quantiles
    augmentation.py   gain, noise, shifts, masks
    generator.py      SoundDataGenerator: the options of both, and the recipe for one sound
    iterators.py      endless batches, from an array or from class folders

    file --load_sound--> samples --augmentation--> samples --log_mel or mfcc--> features --masks, scaling--> batches

In flow paths of files, or samples (..., L) of one channel, mostly in [-1, 1]; L samples at `rate` Hz last L / rate seconds.
Out flow features (..., T, F), time before frequency, as recurrent layers take them: T frames, `hop` samples apart. The
functions return librosa's numbers (with the axes swapped), to 1e-4.

`SoundDataGenerator` is for sounds what `ImageDataGenerator` is for images. soundfile reads the files and scipy resamples:
`pip install 'tinydx[sound]'`.
"""

from tinydx.preprocessing.sound.augmentation import add_noise, change_gain, mask_features, pass_band, shift_time
from tinydx.preprocessing.sound.features import (
    SHARES,
    band_quantiles,
    deltas,
    frames,
    hz_to_mel,
    istft,
    log_mel,
    mel_filterbank,
    mel_spectrogram,
    mel_to_hz,
    mfcc,
    power_to_db,
    stft,
)
from tinydx.preprocessing.sound.files import (
    EXTENSIONS,
    check_sounds,
    duration,
    find_sounds,
    fit_length,
    load_samples,
    load_sound,
    resample,
    save_sound,
)
from tinydx.preprocessing.sound.generator import SoundDataGenerator, load_features
from tinydx.preprocessing.sound.iterators import SoundArrayIterator, SoundDirectoryIterator, pad_sounds

__all__ = [
    "EXTENSIONS",
    "SHARES",
    "SoundArrayIterator",
    "SoundDataGenerator",
    "SoundDirectoryIterator",
    "add_noise",
    "band_quantiles",
    "change_gain",
    "check_sounds",
    "deltas",
    "duration",
    "find_sounds",
    "fit_length",
    "frames",
    "hz_to_mel",
    "istft",
    "load_features",
    "load_samples",
    "load_sound",
    "log_mel",
    "mask_features",
    "mel_filterbank",
    "mel_spectrogram",
    "mel_to_hz",
    "mfcc",
    "pad_sounds",
    "pass_band",
    "power_to_db",
    "resample",
    "save_sound",
    "shift_time",
    "stft",
]
