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

These sounds teach how a classifier is trained. A program computed them; they come from no patient and model no disease.

>>> sounds, labels = make_heart_sounds(4, seed=0, seconds=2.0)
>>> sounds.shape, sounds.dtype, [CLASS_NAMES[label] for label in labels]
((4, 4000), dtype('float32'), ['abnormal', 'normal', 'abnormal', 'normal'])
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinydx.datasets.synthetic import write_once
from tinydx.preprocessing.sound import pass_band, save_sound

CLASS_NAMES = ("abnormal", "normal")  # in the order in which class folders sort: label 0 is abnormal
NOTICE = "Synthetic heart sounds, computed by tinydx: no patient, not for clinical use."
VERSION = 1  # of the sounds: increase it when the same seed no longer gives the same sounds
RATE = 2000  # Hz

Rng = np.random.Generator


def heart_sound(rng: Rng, abnormal: bool, seconds: float = 5.0) -> np.ndarray:
    """One synthetic recording of a heart.

    Arguments: rng, determines the heart, the recording and its noises; abnormal, add a murmur; seconds, at least 1.
    Returns: float32 samples (seconds * RATE,) in [-1, 1], at RATE Hz.
    Raises: ValueError for less than a second.

    >>> heart_sound(np.random.default_rng(0), abnormal=True, seconds=1.0).shape
    (2000,)
    """
    if seconds < 1:
        raise ValueError(f"heart_sound: seconds must be at least 1, got {seconds:g}")
    t = np.arange(round(seconds * RATE)) / RATE
    breath = np.sin(2 * np.pi * (rng.uniform(0.18, 0.35) * t + rng.uniform()))
    beats, systole = _beats(rng, seconds, breath)
    x = _valves(rng, t, beats, systole, breath)
    bursts = _murmur(rng, beats, systole)
    if not abnormal:
        bursts = [(rng.uniform(-length, seconds), length, shape) for _, length, shape in bursts]
    loudness = x.std() * 10 ** (rng.uniform(-14, -4) / 20)
    x = x + loudness * _noise(rng, len(t), rng.uniform(70, 130), rng.uniform(250, 450)) * _envelope(t, bursts)
    x = x + x.std() * 10 ** (rng.uniform(-30, -16) / 20) * _noise(rng, len(t), 20, 900)
    return (x * rng.uniform(0.3, 0.9) / np.abs(x).max()).astype(np.float32)


Bursts = list[tuple[float, float, float]]  # (begin, length) in seconds, and the place of the loudest moment, 0 to 1


def _beats(rng: Rng, seconds: float, breath: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The time of each S1, from before the recording's start on, and the duration of the systole after it, in seconds."""
    period, sinus, jitter = 60 / rng.uniform(55, 105), rng.uniform(0.01, 0.06), rng.uniform(0.005, 0.03)
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


def _murmur(rng: Rng, beats: np.ndarray, systole: np.ndarray) -> Bursts:
    """A burst in each beat: a diamond in the systole, the whole systole, or fading after S2."""
    where = rng.integers(3)
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
