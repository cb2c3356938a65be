"""Sounds for training: files to samples, samples to features, augmentation, and batches.

    file --load_sound--> samples --augmentation--> samples --log_mel or mfcc--> features --masks, normalised--> batches
    files.py             augmentation.py          features.py                  generator.py              iterators.py

Samples are (..., L), one channel, mostly in [-1, 1]; L samples at `rate` Hz last L / rate seconds. Features are
(..., T, F), time before frequency, as recurrent layers take them: T frames, `hop` samples apart. The functions give
librosa's numbers (with the axes swapped), to 1e-4.

`SoundDataGenerator` is for sounds what `ImageDataGenerator` is for images: it holds the options of the augmentation and
of the features; its `flow` and `flow_from_directory` give endless batches (`BatchIterator`), which a killed run can go
on with. soundfile reads the files and scipy resamples: `pip install 'tinydx[sound]'`.
"""

from tinydx.preprocessing.sound.augmentation import add_noise, change_gain, mask_features, pass_band, shift_time
from tinydx.preprocessing.sound.features import (
    band_quantiles,
    deltas,
    frames,
    hz_to_mel,
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
