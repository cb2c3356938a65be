"""Labelled synthetic heart sounds, so that there are sounds to learn from on any machine, offline.

A heartbeat is two short sounds, the closing valves: S1 begins the systole, S2 ends it. Each is a sum of damped tones.

    |S1|          |S2|                   |S1|          |S2|
     ██  systole   █      diastole        ██  ░▒▓▒░     █
     ├──────── a normal beat ───────────┤  ├─ with a systolic murmur

The length of the beats varies at random and with breathing, which also splits S2 and changes the loudness. A murmur is
band-limited noise at the same place of every beat: in the systole (a diamond, or throughout) or in the diastole (fading).

**Loudness and pitch must not reveal the label.** A normal recording has bursts of the same noise, of the same power and
number, but at random times, like a stethoscope that rubs on skin. The classes differ only in where in the beat the noise is:
a sequence model finds that, a linear model on the spectrum does not.

**Patients** (`draw_patient`) have a heart rate, a murmur (its place in the beat, pitch and loudness) and a recorder (colour of
the sound, hiss) of their own. Half of them have an innocent murmur in every recording, which stands in the place of the random
bursts where they are normal, and shares its power with the other murmur where they are not. So a single murmur is normal for one
patient and disease in another, and only the patient's own recordings tell which.

These sounds teach how a classifier is trained. A program computed them; they come from no patient and model no disease.

>>> sounds, labels = make_heart_sounds(4, seed=0, seconds=2.0)
>>> sounds.shape, sounds.dtype, [CLASS_NAMES[label] for label in labels]
((4, 4000), dtype('float32'), ['abnormal', 'normal', 'abnormal', 'normal'])
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinydx.datasets.synthetic import write_once
from tinydx.preprocessing.sound import pass_band, save_sound

CLASS_NAMES = ("abnormal", "normal")  # in the order in which class folders sort: label 0 is abnormal
NOTICE = "Synthetic heart sounds, computed by tinydx: no patient, not for clinical use."
VERSION = 1  # of the sounds: increase it when the same seed no longer gives the same sounds
RATE = 2000  # Hz

Rng = np.random.Generator


class Recorder(NamedTuple):
    """How a patient's recorder colours the sound."""

    tilt: float  # dB an octave; 150 Hz stays as it is
    peak: float  # Hz, where it resonates
    gain: float  # dB, of the resonance, which is about an octave wide
    hiss: float  # dB, of its noise against the heart


class Patient(NamedTuple):
    """What all recordings of a synthetic patient share."""

    rate: float  # beats in a minute
    place: int  # of the murmur of disease: 0 a diamond in the systole, 1 the whole systole, 2 after S2
    usual: int | None  # the place of an innocent murmur, in all recordings of this patient, also in normal ones
    murmur: tuple[float, float, float]  # its loudness in dB against the valves, and its lowest and highest Hz
    recorder: Recorder


def draw_patient(rng: Rng, innocent: bool = True) -> Patient:
    """A patient at random: rate and murmur as of hearts without a patient, a recorder, and for half of all an innocent murmur.

    An innocent murmur is in the systole where that of disease is in the diastole, and the other way round.

    Arguments: rng, determines the patient; innocent, whether patients can have an innocent murmur.

    >>> patient = draw_patient(np.random.default_rng(0))
    >>> 55 < patient.rate < 105, patient.place in (0, 1, 2), len(patient.recorder)
    (True, True, 4)
    """
    recorder = Recorder(rng.uniform(-4, 4), rng.uniform(80, 500), rng.uniform(0, 12), rng.uniform(-30, -10))
    murmur = rng.uniform(-14, -4), rng.uniform(70, 130), rng.uniform(250, 450)
    place = int(rng.integers(3))
    usual = (int(rng.integers(2)) if place == 2 else 2) if rng.integers(2) else None
    return Patient(rng.uniform(55, 105), place, usual if innocent else None, murmur, recorder)


def heart_sound(rng: Rng, abnormal: bool, seconds: float = 5.0, patient: Patient | None = None) -> np.ndarray:
    """One synthetic recording of a heart.

    Arguments: rng, determines the heart, the recording and its noises; abnormal, add a murmur; seconds, at least 1; patient,
    whose heart it is (None: nobody's, and everything is drawn). A patient's rate varies by 3 % between recordings.
    Returns: float32 samples (seconds * RATE,) in [-1, 1], at RATE Hz.
    Raises: ValueError for less than a second.

    >>> heart_sound(np.random.default_rng(0), abnormal=True, seconds=1.0).shape
    (2000,)
    """
    if seconds < 1:
        raise ValueError(f"heart_sound: seconds must be at least 1, got {seconds:g}")
    t = np.arange(round(seconds * RATE)) / RATE
    breath = np.sin(2 * np.pi * (rng.uniform(0.18, 0.35) * t + rng.uniform()))
    rate = rng.uniform(55, 105) if patient is None else patient.rate * rng.normal(1, 0.03)
    beats, systole = _beats(rng, seconds, breath, rate)
    x = _valves(rng, t, beats, systole, breath)
    bursts = _murmur(rng, beats, systole, int(rng.integers(3)) if patient is None else patient.place)
    if patient is not None and patient.usual is not None:
        envelope = _beside(_envelope(t, bursts), _envelope(t, _murmur(rng, beats, systole, patient.usual)), abnormal)
    else:
        if not abnormal:
            bursts = [(rng.uniform(-length, seconds), length, shape) for _, length, shape in bursts]
        envelope = _envelope(t, bursts)
    murmur = (rng.uniform(-14, -4), rng.uniform(70, 130), rng.uniform(250, 450)) if patient is None else patient.murmur
    decibels, low, high = murmur
    loudness = x.std() * 10 ** (decibels / 20)
    x = x + loudness * _noise(rng, len(t), low, high) * envelope
    hiss = rng.uniform(-30, -16) if patient is None else patient.recorder.hiss
    x = x + x.std() * 10 ** (hiss / 20) * _noise(rng, len(t), 20, 900)
    x = x if patient is None else _coloured(x, patient.recorder)
    return (x * rng.uniform(0.3, 0.9) / np.abs(x).max()).astype(np.float32)


Bursts = list[tuple[float, float, float]]  # (begin, length) in seconds, and the place of the loudest moment, 0 to 1


def _beats(rng: Rng, seconds: float, breath: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """The time of each S1, from before the recording's start on, and the duration of the systole after it, in seconds."""
    period, sinus, jitter = 60 / rate, rng.uniform(0.01, 0.06), rng.uniform(0.005, 0.03)
    beats = [-period * rng.uniform(0.2, 1.2)]
    while beats[-1] < seconds:
        now = breath[int(np.clip(beats[-1], 0, seconds - 1 / RATE) * RATE)]
        beats.append(beats[-1] + period * (1 + sinus * now + jitter * rng.standard_normal()))
    lengths = np.diff(beats, append=beats[-1] + period)
    return np.array(beats), rng.uniform(0.27, 0.34) * np.sqrt(lengths)  # a faster heart shortens the diastole most


def _valves(rng: Rng, t: np.ndarray, beats: np.ndarray, systole: np.ndarray, breath: np.ndarray) -> np.ndarray:
    """S1 and S2 of every beat; S2 is two valves, which breathing in moves apart."""
    first = rng.uniform(25, 75, 4), rng.uniform(0.02, 0.045), rng.uniform(0.7, 1.2)
    second = rng.uniform(45, 110, 3), rng.uniform(0.012, 0.03), rng.uniform(0.5, 1.1)
    split, x = rng.uniform(0.01, 0.04), np.zeros_like(t)
    for begin, length in zip(beats, systole, strict=True):
        now = breath[int(np.clip(begin * RATE, 0, len(t) - 1))]
        swell = (1 + 0.2 * now) * rng.uniform(0.85, 1.15)
        _add(x, begin, swell * _click(rng, *first))
        _add(x, begin + length, swell * _click(rng, *second))
        _add(x, begin + length + split * (1 + now) / 2, 0.5 * swell * _click(rng, *second))
    return x


def _click(rng: Rng, pitches: np.ndarray, decay: float, loudness: float) -> np.ndarray:
    """Damped tones: t/decay e^(1 - t/decay) times the mean of sin(2 pi f t + phase)."""
    t = np.arange(round(12 * decay * RATE)) / RATE
    phases = rng.normal(0, 0.3, len(pitches))
    tones = np.sin(2 * np.pi * pitches[:, None] * t + phases[:, None]).mean(axis=0)
    return loudness * t / decay * np.exp(1 - t / decay) * tones


def _add(x: np.ndarray, begin: float, sound: np.ndarray) -> None:
    """Add the sound to x, `begin` seconds after its start; what lies outside of x is left out."""
    start = round(begin * RATE)
    sound = sound[max(-start, 0) :][: max(len(x) - max(start, 0), 0)]
    x[max(start, 0) : max(start, 0) + len(sound)] += sound


def _murmur(rng: Rng, beats: np.ndarray, systole: np.ndarray, where: int) -> Bursts:
    """A burst in each beat: 0 a diamond in the systole, 1 the whole systole, 2 fading after S2."""
    if where == 2:
        return [(b + s + 0.05, rng.uniform(0.2, 0.3), 0.1) for b, s in zip(beats, systole, strict=True)]
    begin, peak = (0.06, 0.5) if where == 0 else (0.03, 0.2)
    return [(b + begin, s - begin, peak) for b, s in zip(beats, systole, strict=True)]


def _envelope(t: np.ndarray, bursts: Bursts) -> np.ndarray:
    """The loudness of bursts over time: each rises from 0 to 1 at its peak, and falls to 0."""
    loud = np.zeros_like(t)
    for begin, length, peak in bursts:
        u = (t - begin) / length
        loud += np.clip(np.minimum(u / peak, (1 - u) / (1 - peak)), 0, None)
    return loud


def _noise(rng: Rng, n: int, low: float, high: float) -> np.ndarray:
    """Gaussian noise of variance 1 between two frequencies in Hz, with soft edges."""
    x = pass_band(rng.standard_normal(n), RATE, low, high)
    return x / x.std()


def _beside(murmur: np.ndarray, innocent: np.ndarray, abnormal: bool) -> np.ndarray:
    """The loudness over time where there is an innocent murmur: that alone, or both, each with half of the power."""
    return (murmur + innocent) / np.sqrt(2) if abnormal else innocent


def _coloured(x: np.ndarray, recorder: Recorder) -> np.ndarray:
    """The sound as the recorder gives it: its spectrum tilted about 150 Hz, and raised around the resonance."""
    hz = np.maximum(np.fft.rfftfreq(len(x), 1 / RATE), 20.0)
    octaves = np.log2(hz / recorder.peak)
    decibels = recorder.tilt * np.log2(hz / 150) + recorder.gain * np.exp(-2 * octaves**2)
    return np.fft.irfft(np.fft.rfft(x) * 10 ** (decibels / 20), len(x))


# ---- sets of recordings --------------------------------------------------------------------------------------------


def make_heart_sounds(n: int, seed: int = 0, seconds: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
    """n synthetic recordings, abnormal and normal in turn.

    The same seed gives the same sounds; a larger n begins with the same ones.

    Arguments: n; seed; seconds of each, at least 1.
    Returns: samples float32 (n, seconds * RATE); labels int64 (n,), 0 abnormal, 1 normal, as in CLASS_NAMES.

    >>> make_heart_sounds(2, seconds=1.0)[1]
    array([0, 1])
    """
    return np.array([_numbered(i, seed, seconds) for i in range(n)]), np.arange(n) % 2


def _numbered(i: int, seed: int, seconds: float) -> np.ndarray:
    """Recording number i of a seed; even ones are abnormal."""
    return heart_sound(np.random.default_rng((seed, i)), abnormal=i % 2 == 0, seconds=seconds)


def make_patient_sounds(
    patients: int, each: int, seed: int = 0, seconds: float = 5.0, innocent: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recordings of synthetic patients, with their murmur and without it: one of each in every two that follow each other.

    The same seed gives the same sounds; more patients, or more recordings of each, begin with the same ones.

    Arguments: patients, how many; each, recordings of each; seed; seconds of each recording, at least 1; innocent, whether
    patients can have an innocent murmur.
    Returns: samples float32 (N, seconds * RATE), N = patients * each, patient by patient; labels int64 (N,), as in CLASS_NAMES;
    patient int64 (N,), the number of the patient.

    >>> sounds, labels, patient = make_patient_sounds(2, 2, seconds=1.0)
    >>> sounds.shape, sorted(labels[:2].tolist()), patient.tolist()
    ((4, 2000), [0, 1], [0, 0, 1, 1])
    """
    found = [_of_patient((seed, p), i, seconds, innocent) for p in range(patients) for i in range(each)]
    labels = np.array([label for _, label in found], np.int64)
    return np.array([x for x, _ in found], np.float32), labels, np.repeat(np.arange(patients), each)


def _of_patient(who: tuple[int, int], i: int, seconds: float, innocent: bool = True) -> tuple[np.ndarray, int]:
    """Recording number i of a patient, by seed and number, and its label: a coin decides which of two comes first."""
    patient = draw_patient(np.random.default_rng((*who, 0)), innocent)
    label = (int(np.random.default_rng((*who, 1, i // 2)).integers(2)) + i) % 2
    return heart_sound(np.random.default_rng((*who, 2, i)), label == 0, seconds, patient), label


def write_heart_folders(
    directory: str | Path, train: int = 480, val: int = 120, test: int = 200, seconds: float = 5.0, seed: int = 0
) -> Path:
    """Write synthetic recordings as class folders of wav files: train/abnormal, train/normal, val/..., test/...

    Every file name begins with `synthetic-`, and a file `synthetic.json` describes the folder's content.

    Arguments: directory, as in `synthetic.write_once`; train, val, test, the number of recordings of both classes together;
    seconds of each; seed.
    Returns: the directory.
    Raises: FileExistsError if the directory holds something else.
    """
    counts = {"train": train, "val": val, "test": test}
    settings = {**counts, "seconds": seconds, "seed": seed, "version": VERSION}
    facts = {"notice": NOTICE, "classes": list(CLASS_NAMES), **settings}
    return write_once(directory, facts, "heart sounds", lambda draft: _write_sounds(draft, counts, seconds, seed))


def _write_sounds(root: Path, counts: dict[str, int], seconds: float, seed: int) -> None:
    """One numbering runs through train, val and test, so that no recording is in two of them."""
    splits = [split for split, n in counts.items() for _ in range(n)]
    for split in counts:
        for name in CLASS_NAMES:
            (root / split / name).mkdir(parents=True)
    for i, split in enumerate(splits):
        save_sound(root / split / CLASS_NAMES[i % 2] / f"synthetic-{i:05d}.wav", _numbered(i, seed, seconds), RATE)


def write_patient_folders(directory: str | Path, patients: int = 60, each: int = 12, seconds: float = 5.0, seed: int = 0) -> Path:
    """Write recordings of synthetic patients as class folders, abnormal/ and normal/, of wav files.

    A file's name tells whose it is, `synthetic-patient007-03.wav`: `tinydx diagnose` keeps a patient's recordings together.

    Arguments: directory, as in `synthetic.write_once`; patients, each, seconds, seed, as of `make_patient_sounds`.
    Returns: the directory.
    Raises: FileExistsError if the directory holds something else.
    """
    settings = {"patients": patients, "each": each, "seconds": seconds, "seed": seed, "version": VERSION}
    facts = {"notice": NOTICE, "classes": list(CLASS_NAMES), **settings}

    def write(draft: Path) -> None:
        for name in CLASS_NAMES:
            (draft / name).mkdir()
        for number in range(patients):
            for i in range(each):
                x, label = _of_patient((seed, number), i, seconds)
                save_sound(draft / CLASS_NAMES[label] / f"synthetic-patient{number:03d}-{i:02d}.wav", x, RATE)

    return write_once(directory, facts, "heart sounds", write)
