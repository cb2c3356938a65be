"""Is a model of one patient better than the model of all? Three ways, after 0, 1, 2, 4 and 8 of the patient's recordings.

    python -m tinydx.tasks.personalisation [--seeds 0 1 2 3 4] [--data FOLDER] [--json FILE] [--picture FILE.png]

    base patients ---> population's model: the cycle of a recording's bands -> 16 hidden units -> abnormal or normal
    tuning patients -> how strongly to shrink, and the weights of FiLM
    test patients ---> k labelled recordings --own statistics | FiLM | last layer--> the patient's other recordings

No patient is in two of these groups. The heart sounds are synthetic (tinydx/datasets/heart.py): a patient has a rate, a murmur
and a recorder, and half of them have an innocent murmur, with which a normal recording sounds as disease does in another patient.
Balanced accuracy is that of a patient's eight other recordings, the gain its difference to the population's model, and the
interval Student's over test patients. "Shuffled": each of the k recordings is that of another patient of the test, with its own
label. A gain that is left then has nothing to do with the patient. The control is the same without innocent murmurs: a murmur
then means the same in every patient.

FOLDER, that of `tinydx.tasks.heart_sounds`, adds real recordings (PhysioNet/CinC 2016). Its names tell no patients, so that a
site stands in a patient's place: its recorder and its hospital, not a heart. Intervals are over the five sites.
"""

from __future__ import annotations

import argparse
import functools
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import tinydx
from tinydx import command, ops
from tinydx.datasets.heart import CLASS_NAMES, RATE, make_patient_sounds
from tinydx.files import atomic_write
from tinydx.layers import Dense, Dropout
from tinydx.models import Sequential
from tinydx.optimizers import AdamW
from tinydx.personal import (
    choose_strength,
    conditions,
    film_model,
    patient_statistics,
    shrunken_log_loss,
    statistics_of,
)
from tinydx.personal.choosing import Personal
from tinydx.preprocessing.sound import find_sounds, load_samples, log_mel
from tinydx.tasks import check_output
from tinydx.validation.areas import over_sites

COUNTS = (0, 1, 2, 4, 8)  # k, recordings of a patient that are known
KNOWN, EACH = 8, 16  # recordings of each patient that may become known, and all
BANDS: dict[str, Any] = {"n_fft": 256, "window": 128, "hop": 40, "n_mels": 8, "fmin": 25.0, "fmax": 900.0}
FRAMES = RATE // BANDS["hop"]  # in a second
PHASES = 12  # of a beat
HIDDEN, EPOCHS = 16, 40
STRENGTHS = {
    "own statistics": (1.0, 3.0, 10.0, 30.0, 100.0, np.inf),  # kappa
    "FiLM": (0.01, 0.1, 1.0, 10.0),  # decay of its weights
    "last layer": (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0, np.inf),  # lambda
}
FILM_STEPS, FILM_PATIENTS = 300, 16  # of training, and patients in a step
SYNTHETIC = {"synthetic": True, "control": False}  # whether half of the patients have an innocent murmur
TITLES = {"synthetic": "synthetic patients", "control": "without innocent murmurs", "real": "five real sites"}
PATIENTS = (80, 60, 60)  # base, tuning, test
SECONDS = 5
DRAWS = 20  # of known recordings, at each site of the real data


class Recordings(NamedTuple):
    """Features (N,D), labels (N,) with 1 for normal, and whose (N,)."""

    x: np.ndarray
    y: np.ndarray
    patient: np.ndarray

    def take(self, rows: Any) -> Recordings:
        """The recordings of these rows."""
        return Recordings(self.x[rows], self.y[rows], self.patient[rows])


class Case(NamedTuple):
    """A patient at the test: recordings of which the first k are known, and others to be told apart."""

    known: Recordings
    new: Recordings


# ---- features ------------------------------------------------------------------------------------------------------


def features(samples: np.ndarray) -> np.ndarray:
    """What a recording sounds like, and how: the level of each band, its spread, and its course over the beat.

    Arguments: samples (L,) at 2 kHz, of two seconds at least.
    Returns: float64 (8 + 8 + 12 * 8,), in dB.

    >>> features(np.random.default_rng(0).normal(size=6000)).shape
    (112,)
    """
    bands = np.asarray(log_mel(samples, RATE, **BANDS), np.float64)
    return np.concatenate([bands.mean(axis=0), bands.std(axis=0), cycle(bands).ravel()])


def cycle(bands: np.ndarray) -> np.ndarray:
    """The mean course of each band over a beat, from the loudest twelfth of the beat on.

    The length of the beat is the lag, of 0.5 to 1.2 seconds, at which the loudness of all bands resembles itself most.

    Arguments: bands (T,8), in dB, 50 frames a second.
    Returns: (12,8), from the band's mean.
    """
    course, count = bands - bands.mean(axis=0), len(bands)
    loud = course.sum(axis=1)
    alike = np.correlate(loud, loud, "full")[count - 1 :] / np.arange(count, 0, -1)
    shortest, longest = FRAMES // 2, min(6 * FRAMES // 5, count // 2)
    beat = shortest + int(alike[shortest:longest].argmax())
    phase = np.arange(count) % beat * PHASES // beat
    folded = np.array([course[phase == k].mean(axis=0) for k in range(PHASES)])
    return np.roll(folded, -int(folded[:, : BANDS["n_mels"] // 2].sum(axis=1).argmax()), axis=0)


# ---- the population's model, and the patient's ---------------------------------------------------------------------


class Population:
    """The model of the base patients: features, scaled -> hidden units -> the probability of a normal recording."""

    def __init__(self, base: Recordings, seed: int):
        tinydx.set_seed(seed)
        self.statistics = statistics_of(base.x)
        x = self.statistics.scaled(base.x).astype(np.float32)
        first = Dense(HIDDEN, activation="tanh", input_shape=(x.shape[1],))
        network = Sequential([first, Dropout(0.3), Dense(1, activation="sigmoid")])
        network.compile(AdamW(3e-3, weight_decay=0.1), "binary_crossentropy")
        network.fit(x, base.y, batch_size=64, epochs=EPOCHS, verbose=0)
        self.first = first
        kernel, bias = network.layers[-1].get_weights()
        self.weights = np.concatenate([kernel, bias[None]])  # (HIDDEN + 1, 1)

    def hidden(self, x: np.ndarray, statistics: Any = None) -> np.ndarray:
        """The hidden units (N,HIDDEN) for features (N,D), scaled by these statistics (None: the population's)."""
        return self.first((statistics or self.statistics).scaled(x).astype(np.float32)).numpy()

    def answer(self, hidden: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """The probability (N,) of class 1, by a last layer of these weights (HIDDEN + 1, 1) (None: the population's)."""
        kernel = (self.weights if weights is None else weights).astype(np.float32)
        return np.asarray(ops.sigmoid(hidden @ kernel[:-1] + kernel[-1]))[:, 0]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The probability (N,) of class 1 for features (N,D)."""
        return self.answer(self.hidden(x))


def own_statistics(population: Population) -> Personal:
    """A patient's model: features scaled by the patient's statistics."""

    def personal(x: np.ndarray, y: np.ndarray, strength: float) -> Callable[[np.ndarray], np.ndarray]:
        own = patient_statistics(x, population.statistics, strength)
        return lambda new: population.answer(population.hidden(new, own))

    return personal


def last_layer(population: Population) -> Personal:
    """A patient's model: the last layer's weights fitted to the known recordings."""

    def personal(x: np.ndarray, y: np.ndarray, strength: float) -> Callable[[np.ndarray], np.ndarray]:
        known = np.column_stack([population.hidden(x), np.ones(len(x))])
        weights = shrunken_log_loss(known, y, population.weights, strength)
        return lambda new: population.answer(population.hidden(new), weights)

    return personal


def film(population: Population, tuning: Recordings, seed: int) -> Personal:
    """A patient's model: hidden units scaled and shifted by what the known recordings say; its layer learns from `tuning`."""
    trained = functools.cache(lambda decay: train_film(population, tuning, decay, seed))

    def personal(x: np.ndarray, y: np.ndarray, strength: float) -> Callable[[np.ndarray], np.ndarray]:
        hidden = population.hidden(x)
        gamma, beta = trained(strength)
        e = conditions(hidden, y, population.answer(hidden))

        def answer(new: np.ndarray) -> np.ndarray:
            h = population.hidden(new)
            return population.answer(h + h * (e @ gamma) + e @ beta)

        return answer

    return personal


def train_film(population: Population, tuning: Recordings, decay: float, seed: int) -> list[np.ndarray]:
    """The weights of a FiLM layer that make the tuning patients' other recordings easier to tell apart."""
    tinydx.set_seed(seed)
    rng, hidden = np.random.default_rng(seed), population.hidden(tuning.x)
    error, names = population.answer(hidden), np.unique(tuning.patient)
    last = Dense(1, activation="sigmoid", input_shape=(HIDDEN,))
    last.ensure_built((None, HIDDEN))
    last.set_weights([population.weights[:-1], population.weights[-1]])
    model = film_model(last)
    model.compile(AdamW(3e-3, weight_decay=decay), "binary_crossentropy")
    for _ in range(FILM_STEPS):
        h, e, y = [], [], []
        for name in rng.choice(names, FILM_PATIENTS):
            rows = rng.permutation(np.flatnonzero(tuning.patient == name))
            k = int(rng.choice(COUNTS[1:]))
            known, new = rows[:k], rows[KNOWN:]
            h.append(hidden[new])
            e.append(np.tile(conditions(hidden[known], tuning.y[known], error[known]), (len(new), 1)))
            y.append(tuning.y[new])
        model.train_on_batch([np.concatenate(h), np.concatenate(e)], np.concatenate(y).astype(np.float32))
    return [w.numpy() for w in model.trainable_weights]


class Method(NamedTuple):
    """A way to a patient's model, and how strongly it shrinks."""

    personal: Personal
    strength: float


def tuned(population: Population, tuning: Recordings, seed: int) -> dict[str, Method]:
    """Each method with the strength that suits the tuning patients best; half of them choose what FiLM learns from the others."""
    order = np.unique(tuning.patient)
    half = np.isin(tuning.patient, order[::2])
    own, last = own_statistics(population), last_layer(population)
    makers = {  # what is chosen with, what is used, and whom the strength shall suit
        "own statistics": (own, own, tuning),
        "FiLM": (film(population, tuning.take(half), seed), film(population, tuning, seed), tuning.take(~half)),
        "last layer": (last, last, tuning),
    }
    return {
        name: Method(final, choose_strength(draft, *on, STRENGTHS[name], COUNTS[1:]))
        for name, (draft, final, on) in makers.items()
    }


# ---- the comparison ------------------------------------------------------------------------------------------------


def balanced(y: np.ndarray, p: np.ndarray) -> float:
    """The mean over classes of the share that is called right."""
    return float(np.mean([np.mean((p[y == k] > 0.5) == k) for k in np.unique(y)]))


def scores(cases: Sequence[Case], population: Population, methods: dict[str, Method]) -> dict[str, np.ndarray]:
    """Balanced accuracies (cases, len(COUNTS)) of each method, and under "global" of the population's model."""
    found = {"global": np.array([[balanced(new.y, population(new.x))] * len(COUNTS) for _, new in cases])}
    for name, (personal, strength) in methods.items():
        found[name] = np.array(
            [[balanced(new.y, personal(known.x[:k], known.y[:k], strength)(new.x)) for k in COUNTS] for known, new in cases]
        )
    return found


def shuffled(cases: Sequence[Case], seed: int) -> list[Case]:
    """The same tests, but each known recording is one of another patient: for each number of a recording, patients move on."""
    rng, count = np.random.default_rng(seed), len(cases)
    moves = rng.integers(1, count, len(cases[0].known.y)).tolist()
    moved = []
    for i, case in enumerate(cases):
        others = [cases[(i + move) % count].known for move in moves]
        x, y = (np.array([other[part][j] for j, other in enumerate(others)]) for part in (0, 1))
        moved.append(Case(Recordings(x, y, case.known.patient), case.new))
    return moved


def synthetic(
    seed: int, patients: Sequence[int], innocent: bool
) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The strengths chosen (None: infinite), and the scores of test patients with their own and with shuffled recordings.

    Arguments: seed; patients, the numbers of base, tuning and test patients; innocent, whether half have an innocent murmur.
    """
    sounds, y, patient = make_patient_sounds(sum(patients), EACH, seed, SECONDS, innocent)
    everyone = Recordings(np.array([features(x) for x in sounds]), y, patient)
    ends = np.cumsum(patients)
    base, tuning, test = (everyone.take((patient >= end - n) & (patient < end)) for n, end in zip(patients, ends, strict=True))
    population = Population(base, seed)
    methods = tuned(population, tuning, seed)
    cases = [_case(test.take(test.patient == name)) for name in np.unique(test.patient)]
    strengths = {name: m.strength if np.isfinite(m.strength) else None for name, m in methods.items()}  # JSON has no infinity
    return strengths, scores(cases, population, methods), scores(shuffled(cases, seed), population, methods)


def _case(of: Recordings) -> Case:
    return Case(of.take(slice(0, KNOWN)), of.take(slice(KNOWN, None)))


# ---- real recordings: a site in a patient's place ------------------------------------------------------------------


def read_sites(data: Path) -> Recordings:
    """The features of five seconds of each recording of PhysioNet/CinC 2016; `patient` is the letter of its site."""
    folder = data / "training-a_10s_wav"
    x: list[np.ndarray] = []
    y: list[int] = []
    site: list[str] = []
    for label, paths in enumerate(find_sounds(folder, list(CLASS_NAMES)).values()):
        x += [features(load_samples(folder / path, RATE, SECONDS)) for path in paths]
        y, site = y + [label] * len(paths), site + ["a"] * len(paths)
    with np.load(data / "training-bcdf_5s_2000Hz.npz") as arrays:
        x += [features(sound[: RATE * SECONDS] / np.float32(32768)) for sound in arrays["x"]]
        y, site = y + [1 - int(ill) for ill in arrays["y"]], site + [name[:1] for name in arrays["rec"]]
    return Recordings(np.array(x), np.array(y), np.array(site))


def in_pairs(of: Recordings, rng: np.random.Generator, count: int | None = None) -> np.ndarray:
    """Rows in random order, one of each class in every two that follow each other, as of a synthetic patient.

    Arguments: of, recordings of both classes; rng; count of rows (None: as many as there are pairs of).
    """
    each = min(int(np.bincount(of.y).min()), len(of.y) if count is None else count // 2)
    columns = np.column_stack([rng.permutation(np.flatnonzero(of.y == k))[:each] for k in (0, 1)])
    return rng.permuted(columns, axis=1).ravel()


def split_site(of: Recordings, rng: np.random.Generator) -> Case:
    """A site's recordings as a test: KNOWN of them at random, and all others."""
    known = in_pairs(of, rng, KNOWN)
    return Case(of.take(known), of.take(np.setdiff1d(np.arange(len(of.y)), known)))


def real(recordings: Recordings, seed: int) -> tuple[list[str], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The sites, each left out once, and their mean scores over DRAWS draws of known recordings, own and shuffled ones.

    The other four sites, from the largest to the smallest: the first and third are the base, second and fourth are cut into
    "patients" of EACH recordings to tune on. Shuffled: the known recordings are of the four other sites.
    """
    names = sorted(np.unique(recordings.patient).tolist())
    parts = {name: recordings.take(recordings.patient == name) for name in names}
    own: list[dict[str, np.ndarray]] = []
    other: list[dict[str, np.ndarray]] = []
    for number, name in enumerate(names):
        rng = np.random.default_rng((seed, number))
        rest = sorted((n for n in names if n != name), key=lambda n: -len(parts[n].y))
        population = Population(_joined([parts[n] for n in rest[::2]]), seed)
        methods = tuned(population, _joined([as_patients(parts[n], n, rng) for n in rest[1::2]]), seed)
        cases = [split_site(parts[name], rng) for _ in range(DRAWS)]
        elsewhere = _joined([parts[n] for n in rest])
        strangers = [Case(elsewhere.take(in_pairs(elsewhere, rng, KNOWN)), case.new) for case in cases]
        for found, tests in ((own, cases), (other, strangers)):
            found.append({k: v.mean(axis=0) for k, v in scores(tests, population, methods).items()})
    first, second = ({k: np.array([row[k] for row in found]) for k in found[0]} for found in (own, other))
    return names, first, second


def as_patients(of: Recordings, name: str, rng: np.random.Generator) -> Recordings:
    """A site's recordings in pairs, cut into groups of EACH that stand for patients."""
    rows = in_pairs(of, rng)
    return of.take(rows)._replace(patient=np.array([f"{name}{i // EACH}" for i in range(len(rows))]))


def _joined(parts: Sequence[Recordings]) -> Recordings:
    return Recordings(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


# ---- the command ---------------------------------------------------------------------------------------------------


def table(own: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """A row for each method and k: the mean score, its gain over the population's model, and the gain of shuffled names.

    Arguments: own, other, scores (N, len(COUNTS)) as of `scores`, of the same N patients or sites.
    """
    rows = []
    for name in (n for n in own if n != "global"):
        for j, k in enumerate(COUNTS):
            gain, interval = over_sites((own[name] - own["global"])[:, j].tolist(), least=-1.0)
            without, around = over_sites((other[name] - other["global"])[:, j].tolist(), least=-1.0)
            rows.append(
                {
                    "method": name,
                    "k": k,
                    "balanced_accuracy": float(own[name][:, j].mean()),
                    "global": float(own["global"][:, j].mean()),
                    "gain": gain,
                    "gain_interval": interval,
                    "shuffled_gain": without,
                    "shuffled_gain_interval": around,
                    "verdict": verdict(interval),
                }
            )
    return rows


def verdict(interval: Sequence[float] | None) -> str:
    """What an interval of a gain says.

    >>> verdict([0.01, 0.02]), verdict([-0.2, -0.1]), verdict([-0.1, 0.1]), verdict([0.0, 0.0])
    ('better', 'worse', "can't tell", 'the same')
    """
    low, high = interval or (-1.0, 1.0)
    return "better" if low > 0 else "worse" if high < 0 else "the same" if low == high == 0 else "can't tell"


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table in Markdown; gains are signed, with their 95 % intervals."""
    lines = ["| method | k | balanced accuracy | gain over the population's model | | gain with shuffled names |"]
    lines.append("|---|---|---|---|---|---|")
    for row in rows:
        gains = [_signed(row[key], row[f"{key}_interval"]) for key in ("gain", "shuffled_gain")]
        score = f"{row['balanced_accuracy']:.3f}"
        lines.append(f"| {row['method']} | {row['k']} | {score} | {gains[0]} | {row['verdict']} | {gains[1]} |")
    return "\n".join(lines)


def _signed(value: float, interval: Sequence[float] | None) -> str:
    return f"{value:+.3f}" + ("" if interval is None else f" ({interval[0]:+.3f} to {interval[1]:+.3f})")


def sentence(rows: Sequence[dict[str, Any]]) -> str:
    """What the rows say, what is not better first."""
    parts = []
    for word in ("worse", "can't tell", "better"):
        found = []
        for name in STRENGTHS:
            counts = [str(row["k"]) for row in rows if row["method"] == name and row["verdict"] == word]
            found += [f"{name} at k = {', '.join(counts)}"] if counts else []
        parts += [f"{word}: {'; '.join(found)}."] if found else []
    return "Against the population's model, " + " ".join(parts or ["the same everywhere."])


def draw(parts: dict[str, list[dict[str, Any]]], path: str) -> None:
    """Write a picture: the gain of each method over k, with intervals, and with shuffled names in grey; a panel for each part."""
    figure = Figure(figsize=(5.2 * len(parts), 3.6), layout="constrained")
    for axes, (title, rows) in zip(figure.subplots(1, len(parts), squeeze=False, sharey=True)[0], parts.items(), strict=True):
        axes.axhline(0, color="#627d98", linewidth=1)
        for number, (name, colour) in enumerate(zip(STRENGTHS, ("#0072b2", "#009e73", "#d55e00"), strict=True)):
            mine = [row for row in rows if row["method"] == name]
            for key, shade, label in (("shuffled_gain", "#b0b8c0", None), ("gain", colour, name)):
                middle = np.array([row[key] for row in mine])
                ends = np.array([row[f"{key}_interval"] or [row[key]] * 2 for row in mine]).T
                places = np.arange(len(COUNTS)) + 0.12 * (number - 1)
                axes.errorbar(
                    places, middle, np.abs(ends - middle), color=shade, label=label, marker="o", markersize=4, capsize=2
                )
        axes.set(xticks=range(len(COUNTS)), xlabel="known recordings", title=title)
        axes.set_xticklabels([str(k) for k in COUNTS])
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("gain in balanced accuracy")
    figure.axes[0].legend(frameon=False, title="grey: shuffled names", title_fontsize="small")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    atomic_write(path, buffer.getvalue())


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Print the tables; returns them."""
    parser = argparse.ArgumentParser(prog="python -m tinydx.tasks.personalisation", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="of patients and weights (default 0 to 4)")
    parser.add_argument(
        "--patients", type=int, nargs=3, default=PATIENTS, metavar="N", help="base, tuning and test patients (default 80 60 60)"
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="the folder heart_sounds_physionet2016, for real recordings")
    parser.add_argument("--json", metavar="FILE", help="write the tables into this file, too")
    parser.add_argument("--picture", metavar="FILE.png", help="draw the gains over k")
    a = parser.parse_args(arguments)
    for path in (a.json, a.picture):
        check_output(path)
    if min(a.patients) < 2:
        raise ValueError(f"--patients {' '.join(map(str, a.patients))}: each group needs at least 2")
    found: dict[str, Any] = {"seeds": a.seeds, "patients": list(a.patients)}
    for name in SYNTHETIC:
        found[name] = _synthetic_part(name, a.seeds, a.patients)
    if a.data is not None:
        found["real"] = _real_part(a.data, a.seeds[0])
    if a.json:
        atomic_write(a.json, json.dumps(found, indent=1) + "\n")
    if a.picture:
        draw({TITLES[name]: found[name]["rows"] for name in TITLES if name in found}, a.picture)
    return found


def _synthetic_part(name: str, seeds: Sequence[int], patients: Sequence[int]) -> dict[str, Any]:
    """Run every seed, and print what became of all test patients together."""
    strengths, own, other = zip(*(synthetic(seed, patients, SYNTHETIC[name]) for seed in seeds), strict=True)
    together = [{name: np.concatenate([part[name] for part in parts]) for name in parts[0]} for parts in (own, other)]
    rows, tests = table(*together), len(together[0]["global"])
    told = f"{TITLES[name]}, {tests} test patients of {len(seeds)} seeds"
    print(f"{told}: the population's model has {rows[0]['global']:.3f}")
    print(sentence(rows), markdown(rows), sep="\n\n", end="\n\n", flush=True)
    return {"rows": rows, "strengths": list(strengths), "test_patients": tests}


def _real_part(data: Path, seed: int) -> dict[str, Any]:
    """Leave out every site, and print what became of them."""
    names, own, other = real(read_sites(data), seed)
    rows = table(own, other)
    each = ", ".join(f"{name} {score:.3f}" for name, score in zip(names, own["global"][:, 0], strict=True))
    print(f"PhysioNet 2016, no patients known, sites in their place: the population's model has {rows[0]['global']:.3f} ({each})")
    print(sentence(rows), markdown(rows), sep="\n\n", flush=True)
    return {"rows": rows, "sites": names, "global": own["global"][:, 0].tolist()}


if __name__ == "__main__":
    sys.exit(command.run(main))
