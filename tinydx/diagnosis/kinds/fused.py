"""Patients of several modalities: a table whose rows have two or more of image, sound, text, and numbers or words.

    FILE.csv, .tsv    a study's table (`tinydx/datasets/table.py`), in which any modality of a row may be missing

    image ─ kind image ┐
    sound ─ kind sound ├─ tinydx.fusion ─> class        --network (or --fusion):
    text  ─ kind text  │      early          the kinds' plain features (their linear networks, cut) side by side, one classifier
    rest  ─ kind table ┘      intermediate   the kinds' own networks, cut before their last layer, trained together
                              late           the kinds' own networks, each alone, calibrated; log-odds added, the prior once
                              all            these three; the one with the highest ROC AUC on validation is kept

A patient is a dict from a modality's name, which is also the name of its kind, to an example of that kind, or None. Reading,
augmentation and networks are those of the kinds. Late fusion is the default: it needs no patient with everything, it adds what
is independent, which different modalities mostly are, and each of its parts can be looked at alone. What it cannot do is to
learn that two modalities mean something together (docs/fusion.md); `all` looks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tinydx
from tinydx import evaluation, random
from tinydx.datasets.folders import match_classes
from tinydx.datasets.study import SPLITS, Examples, Study, check_trainable, progress
from tinydx.datasets.table import (
    TABLES,
    Entry,
    StudyTable,
    check_files,
    check_training,
    entries_of,
    labelled_rows,
    match_columns,
    read_study_table,
    split_rows,
)
from tinydx.diagnosis import deciding, kinds
from tinydx.diagnosis.kind import Kind, Options, Plan, Training, classification_loss, parts_of
from tinydx.diagnosis.kinds import table as tables
from tinydx.explain import Explanation
from tinydx.fusion import FUSIONS, Calibration, Cases, added, calibrate, encoder_of, joined, modality_shares
from tinydx.fusion.batches import FusionBatches
from tinydx.fusion.fitting import log_odds, prior_of
from tinydx.layers import Embedding
from tinydx.optimizers import Adam
from tinydx.preprocessing.class_folders import check_each
from tinydx.saving.header import expect_count, expect_dict, expect_list, expect_text
from tinydx.training import data

ORDER = ("image", "sound", "text", "table")
FILES = ("image", "sound", "text")
TELLING = 50  # characters of a text that two patients hardly have in common by chance
RATE, UPDATES, PASSES, EPOCHS = 2e-3, 1000, 10, 20  # of the joined networks: steps and passes, both at least, and validations
ALL = "all"
TYPICAL = 500  # patients of whom the typical gist of a modality is made


class Part(NamedTuple):
    """One modality of a study: its kind, the examples of the patients who have it, and how a network of the kind is trained."""

    kind: Kind
    study: Study
    plan: Plan


@dataclass
class FusedStudy(Study):
    """A study of patients, and what its plans and trainings made of it.

    `parts` are the modalities of each fusion that was planned; `candidates` the models that `all` trained, with their figures on
    the validation part.
    """

    parts: dict[str, dict[str, Part]] = field(default_factory=dict, init=False)
    candidates: dict[str, tuple[Any, float]] = field(default_factory=dict, init=False)

    def candidate_reading(self, how: str) -> dict[str, Any]:
        """How patients are read for one of the candidates."""
        return _with_inputs(self, self.parts[how])


class FusedKind(Kind):
    """Patients as dicts."""

    noun = "patients"
    endings = ()  # a .csv or .tsv file is of this kind by its columns: `kinds.guess`
    network = "late"
    networks = ("late", "intermediate", "early")
    augmentations = ("usual", "none")
    synthetic_title = synthetic_notice = ""  # there are no synthetic patients of several modalities
    copied = "with equal or nearly equal files or texts"
    columns, panel_height = 2, 2.1
    features_name = "the features of all modalities, side by side"

    # ---- the data ----

    def open_study(
        self,
        path: str | Path | None,
        *,
        size: int | None,
        limit: int | None,
        seed: int,
        patient: str | None = None,
        site: str | None = None,
    ) -> Study:
        if size is not None:
            raise ValueError("--size is not for patients of several modalities: leave it out")
        if path is None or Path(path).suffix.lower() not in TABLES:
            what = "there is no synthetic data" if path is None else f"{path} is no table"
            raise ValueError(f"{what} of several modalities: give --data FILE.csv with columns such as image, sound, text, label")
        table, names = check_training(read_study_table(path, patient=patient, site=site))
        if len(table.modalities) < 2:
            raise ValueError(f"{path} has one modality, {table.modalities[0]}: use --kind {table.modalities[0]}")
        chosen, notes = split_rows(table, names, seed=seed, limit=limit)
        rows = np.concatenate([chosen[split] for split in SPLITS])
        table = table.take(rows)
        how = {"modalities": _reading(table)}
        pool = _examples(table, [names.index(word) for word in table.label or []], how)
        train, val, test = parts_of(pool, [len(chosen[split]) for split in SPLITS])
        notes = [*table.notes, *notes, _who_has_what(pool, list(how["modalities"]))]
        form = " + ".join(how["modalities"])
        study = FusedStudy(Path(path).name, names, train, val, test, False, notes, how, self.noun, form)
        for name in how["modalities"]:
            check_trainable(part_of(study, name))
        return self.learn_reading(study)

    def learn_reading(self, study: Study) -> Study:
        """Each kind learns from the training patients who have its modality; so do the typical gists."""
        learnt, typical = {}, {}
        for name in study.preprocessing["modalities"]:
            kind, part = kinds.get(name), part_of(study, name)
            part = kind.learn_reading(part)
            learnt[name] = part.preprocessing
            some = part.train.take(slice(TYPICAL))
            gist = kind.gist(Examples(some.x, some.y), {"kind": name, **part.preprocessing})
            typical[name] = {key: np.mean(values, axis=0).tolist() for key, values in gist.items()}
        return replace(study, preprocessing={"modalities": learnt, "typical": typical})

    # ---- the networks ----

    def plan(self, study: Study, options: Options) -> Plan:
        network = options.network or self.network
        if network not in (*self.networks, ALL):
            raise ValueError(f"--fusion {network} is not known: there is {', '.join(self.networks)}, or {ALL}")
        plan = super().plan(study, options._replace(network=None))
        assert isinstance(study, FusedStudy)
        study.parts = {how: _planned(study, how, options) for how in (FUSIONS if network == ALL else [network])}
        parts = study.parts.get(network) or study.parts["late"]
        study.preprocessing = _with_inputs(study, parts)  # what a network reads depends on its plan
        count = len(study.train.y)
        epochs = options.epochs or EPOCHS
        updates = max(UPDATES, PASSES * -(-count // plan.batch))
        steps = options.steps or (None if options.epochs else -(-updates // epochs))
        weights = "best" if network in ("early", "intermediate") else "each"
        why = WHY[network], _inner_words(parts, network)
        return plan._replace(network=network, epochs=epochs, steps=steps, weights=weights, why=why)

    def describe_network(self, plan: Plan) -> str:
        return "the best of three fusions" if plan.network == ALL else f"{plan.network} fusion"

    def trainings(self, study: Study, plan: Plan) -> list[Training]:
        """Each modality's own model for late fusion; the three fusions for all of them."""
        assert isinstance(study, FusedStudy)
        if plan.network == ALL:
            weights = {"late": "each"}
            return [
                Training(how, self, _only(study, how), plan._replace(network=how, weights=weights.get(how, "best")))
                for how in FUSIONS
            ]
        if plan.network == "late":
            return [Training(name, *part) for name, part in study.parts["late"].items()]
        return []

    def assemble(self, study: Study, plan: Plan, models: dict[str, Any]) -> Any:
        assert isinstance(study, FusedStudy)
        if plan.network != ALL:
            return _late(study, models)
        for how, model in models.items():
            here = _only(study, how)
            outputs = model.predict(self.plain_batches(here, here.val, plan.batch))
            study.candidates[how] = model, figure(here.val.y, evaluation.probability_table(outputs, study.class_names))
        chosen = max(study.candidates, key=lambda how: study.candidates[how][1])
        study.preprocessing = {**_only(study, chosen).preprocessing, "fusion": chosen}
        return models[chosen]

    def build(self, study: Study, plan: Plan) -> Any:
        assert isinstance(study, FusedStudy)
        encoders = {
            name: encoder_of(kind.build(part, inner), name) for name, (kind, part, inner) in study.parts[plan.network].items()
        }
        model = joined(encoders, len(study.class_names))
        model.compile(Adam(RATE, clipnorm=1.0), classification_loss(len(study.class_names)), metrics=["accuracy"])
        return model

    def training_batches(self, study: Study, plan: Plan, seed: int) -> Any:
        assert isinstance(study, FusedStudy)
        versions = Versions(study.parts[plan.network], _present(study.train, study.preprocessing), seed)
        return FusionBatches(versions, versions.present, study.train.y, plan.batch, seed, steps=plan.steps)

    def plain_batches(self, study: Study, part: Examples, batch: int) -> Any:
        return data.batches(self.cases(part, study.preprocessing).inputs(), part.y, batch_size=batch)

    def cases(self, part: Examples, preprocessing: dict[str, Any]) -> Cases:
        """Patients as the networks read them."""
        x, present = {}, _present(part, preprocessing)
        for m, (name, how) in enumerate(preprocessing["modalities"].items()):
            rows, wanted = np.flatnonzero(present[:, m]), preprocessing["inputs"][name]
            values = np.zeros((len(part.y), *wanted["shape"]), np.int32 if wanted["ids"] else np.float32)
            if len(rows):
                kind, some = kinds.get(name), Examples(_stacked(part.x[rows], name), part.y[rows])
                values[rows] = _encoded(kind, some, how, kind.batch)
            x[name] = values
        return Cases(x, part.y, present)

    # ---- what a diagnosis asks of any kind ----

    def copies(self, x: np.ndarray) -> list[tuple[int, int]]:
        """Patients of whom an image or a recording is a copy of another's, or a long text, where no image or recording differs.

        Many patients have the same few words ("no complaints"), templates fill reports, and numbers may be equal by chance.
        """
        files, texts = self._pairs(x, "image") | self._pairs(x, "sound"), self._pairs(x, "text")
        differ = {(i, j) for i, j in texts if any(x[i].get(k) is not None and x[j].get(k) is not None for k in FILES[:2])}
        return sorted(files | {(i, j) for i, j in texts - differ if len(x[i]["text"]) >= TELLING})

    @staticmethod
    def _pairs(x: np.ndarray, name: str) -> set[tuple[int, int]]:
        """The pairs of patients whose examples of one modality are copies by the rules of its kind."""
        rows = [i for i, case in enumerate(x) if case.get(name) is not None]
        found = kinds.get(name).copies(_stacked(x[rows], name)) if len(rows) > 1 else []
        return {(rows[i], rows[j]) for i, j in found}

    def features(self, study: Study, part: Examples) -> np.ndarray:
        """The kinds' features, the training's mean where a modality is missing, and for each modality whether it is there."""
        present, blocks = _present(part, study.preprocessing), []
        for m, name in enumerate(study.preprocessing["modalities"]):
            kind, inner, rows = kinds.get(name), part_of(study, name), np.flatnonzero(present[:, m])
            mean = kind.features(inner, inner.train).mean(axis=0)
            block = np.tile(mean, (len(part.y), 1)).astype(np.float32)
            if len(rows):
                block[rows] = kind.features(inner, Examples(_stacked(part.x[rows], name), part.y[rows]))
            blocks.append(block)
        return np.hstack([*blocks, present.astype(np.float32)])

    def statistics(self, part: Examples, preprocessing: dict[str, Any]) -> dict[str, np.ndarray]:
        """Those of each kind, the middle one's where a modality is missing, and for each modality whether it is there."""
        present, found = _present(part, preprocessing), {}
        for m, (name, how) in enumerate(preprocessing["modalities"].items()):
            rows = np.flatnonzero(present[:, m])
            found[f"{name} is there"] = present[:, m].astype(np.float64)
            some = Examples(_stacked(part.x[rows], name), part.y[rows]) if len(rows) else None
            for key, values in kinds.get(name).statistics(some, how).items() if some else ():
                column = np.full(len(part.y), np.median(values))
                column[rows] = values
                found[f"{name}: {key}"] = column
        return found

    def gist(self, part: Examples, preprocessing: dict[str, Any]) -> dict[str, np.ndarray]:
        """Those of each kind; a missing modality has a typical one, so that it makes nobody unlike."""
        present, found = _present(part, preprocessing), {}
        for m, (name, how) in enumerate(preprocessing["modalities"].items()):
            rows = np.flatnonzero(present[:, m])
            given = kinds.get(name).gist(Examples(_stacked(part.x[rows], name), part.y[rows]), how) if len(rows) else {}
            for key, typical in preprocessing["typical"][name].items():
                column = np.tile(np.asarray(typical, np.float64), (len(part.y), *([1] * np.ndim(typical))))
                if key in given:
                    column[rows] = given[key]
                found[f"{name}: {key}"] = column
        return found

    def plot(self, axes: Any, example: Any) -> None:
        """The modalities that the patient has, side by side."""
        there = [name for name, value in example.items() if value is not None]
        for k, name in enumerate(there):
            left = 0.36 if name == "sound" else 0.03  # the numbers of a spectrum stand left of it
            inset = axes.inset_axes(((k + left) / len(there), 0.12, (0.97 - left) / len(there), 0.85))
            inset.grid(False)
            inset.set(xticks=[], yticks=[])
            inset.spines[:].set(visible=False)
            kinds.get(name).plot(inset, example[name])

    # ---- a finished model ----

    def check_reading(self, preprocessing: dict[str, Any], model: Any) -> None:
        modalities = expect_dict(preprocessing["modalities"], "modalities")
        if not 2 <= len(modalities) <= len(ORDER) or any(name not in ORDER for name in modalities):
            raise ValueError(f"its modalities are {', '.join(map(str, modalities))}, expected two or more of {', '.join(ORDER)}")
        if not isinstance(model.input_shape, list) or len(model.input_shape) != 2 * len(modalities):
            raise ValueError(f"its model does not take {len(modalities)} modalities")
        typical, wanted = expect_dict(preprocessing["typical"], "typical"), expect_dict(preprocessing["inputs"], "inputs")
        for m, (name, how) in enumerate(modalities.items()):
            kinds.get(name).check_reading(expect_dict(how, name), _OneInput(model, m))
            shape = [expect_count(n, f"a size of {name}") for n in expect_list(wanted[name]["shape"], f"shape of {name}")]
            _OneInput(model, m).check_input((None, *shape))
            if wanted[name]["ids"] is not (name == "text"):
                raise ValueError(f"inputs: {name} has ids {wanted[name]['ids']!r}")
            for key, values in expect_dict(typical[name], f"typical {name}").items():
                expect_text(key, "a name of a gist")
                if not np.isfinite(np.asarray(values, np.float64)).all():
                    raise ValueError(f"typical {name}: expected numbers")

    def reads(self, path: str) -> bool:
        return path.lower().endswith(TABLES)

    def inputs(self, entry: str, preprocessing: dict[str, Any]) -> list[str]:
        """The rows of a table, or of the tables in a folder."""
        files = super().inputs(entry, preprocessing)
        return [row for file in files for row in (self._rows(file, preprocessing) if self.reads(file) else [file])]

    def given(self, columns: Mapping[str, str], preprocessing: dict[str, Any]) -> str:
        """--image, --sound and --text are the modalities of that name, the others columns of the table."""
        modalities = preprocessing["modalities"]
        files = {name: value for name, value in columns.items() if name in FILES}
        rest = {name: value for name, value in columns.items() if name not in FILES}
        if unknown := [name for name in files if name not in modalities]:
            raise ValueError(f"--{unknown[0]}: the model reads {', '.join(modalities)}: leave it out")
        if rest and "table" not in modalities:
            raise ValueError(f"--{next(iter(rest))}: the model has no columns, it reads {', '.join(modalities)}")
        others = [name for name in FILES if name in modalities]
        row = tables.row_given(rest, modalities["table"]["columns"], others) if rest else None
        return Entry("the given patient", row=row, **files)

    def _rows(self, file: str, preprocessing: dict[str, Any]) -> Sequence[str]:
        return entries_of(_table_for(file, preprocessing, label=False))

    def read(self, entry: str, preprocessing: dict[str, Any]) -> Any:
        """A list of inputs, as `Cases.inputs` makes it."""
        return self.cases(self.example(entry, preprocessing), preprocessing).inputs()

    def example(self, entry: str, preprocessing: dict[str, Any]) -> Examples:
        case: dict[str, Any] = {}
        for name, how in preprocessing["modalities"].items():
            given = entry_of(entry, name)
            case[name] = None if given is None else kinds.get(name).example(given, how).x[0]
        if all(value is None for value in case.values()):
            known = ", ".join(preprocessing["modalities"])
            raise ValueError(
                f"{entry}: nothing of {known} is given: give a .csv file with such columns, or --{known.split(', ')[0]}"
            )
        return Examples(_as_objects([case]), np.zeros(1, np.int64))

    def explain(self, model: Any, x: Any, target: Any) -> Explanation:
        """Exact Shapley values of the modalities: what each contributed to the log-odds of the class."""
        names = list(model.preprocessing["modalities"])
        values, flags = x[: len(names)], np.hstack(x[len(names) :]) > 0
        case = Cases(dict(zip(names, values, strict=True)), np.zeros(len(flags), np.int64), flags)
        number = model.class_names.index(target) if isinstance(target, str) and target in model.class_names else target
        if not isinstance(number, int) or not 0 <= number < len(model.class_names):
            raise ValueError(f"--target {target} is no class of this model: it knows {', '.join(model.class_names)}")

        def answers(mask: np.ndarray) -> np.ndarray:
            return deciding.probabilities(model, model.predict_on_batch(case._replace(present=mask).inputs()))

        found = modality_shares(answers, names, flags, np.full(len(flags), number))
        error = np.abs(found.values.sum(axis=1) - (found.score - found.baseline))
        return Explanation(
            "Shapley values of the modalities", found.values, [model.class_names[number]] * len(flags), found.score,
            "no modality", found.baseline, error, values=found.values, parts=names,
        )  # fmt: skip

    def open_labelled(
        self, path: str | Path, class_names: list[str], preprocessing: dict[str, Any], split: str | None = None
    ) -> Examples:
        table = labelled_rows(_table_for(path, preprocessing, label=True), split)
        labels = match_classes(table.label or [], class_names, str(path))
        return _examples(table, labels, preprocessing)


KIND = FusedKind()

WHY = {
    "early": "Early fusion: the plain features of all modalities side by side, one classifier of all of them.",
    "intermediate": "Intermediate fusion: the networks of all modalities, cut before their last layer and joined, learn "
    "together; a fifth of the modalities is hidden in each pass, so that the network learns to do without.",
    "late": "Late fusion: each modality's own network, calibrated on the validation part; their log-odds are added, the prior "
    "counts once, a missing modality's term is dropped.",
    "all": "All three fusions are trained; the one with the highest ROC AUC on the validation part is kept.",
}


# ---- modalities of a study -----------------------------------------------------------------------------------------


def part_of(study: Study, name: str) -> Study:
    """One modality of a study: the patients who have it."""
    parts = []
    for split in SPLITS:
        part = getattr(study, split)
        rows = [i for i, case in enumerate(part.x) if case[name] is not None]
        some = part.take(rows)
        parts.append(some._replace(x=_stacked(some.x, name)))
    how, noun = study.preprocessing["modalities"][name], kinds.get(name).noun
    return Study(f"{study.source} ({name})", study.class_names, parts[0], parts[1], parts[2], False, [], dict(how), noun, name)


def figure(y: np.ndarray, table: np.ndarray) -> float:
    """The ROC AUC, of more than two classes the mean over them; the accuracy where a class is missing."""
    if len(np.unique(y)) == table.shape[1]:
        return float(evaluation.macro_auc(y, table))
    return float(np.mean(table.argmax(axis=1) == y))


def entry_of(entry: str, name: str) -> str | None:
    """What an entry of `tinydx predict` holds of a modality, as its kind takes it."""
    if not isinstance(entry, Entry):
        return None
    if name == "table":
        return None if entry.row is None or all(v is None for v in entry.row.cells.values()) else Entry(entry, row=entry.row)
    return getattr(entry, name)


def _planned(study: FusedStudy, how: str, options: Options) -> dict[str, Part]:
    """How the networks of all modalities are trained, alone (late) or as encoders; early fusion cuts the linear ones."""
    augment = "none" if options.augment == "none" else None
    own = options if how == "late" else Options()
    asked = Options("linear" if how == "early" else None, augment, own.epochs, own.steps, own.batch)
    found = {}
    for name in study.preprocessing["modalities"]:
        kind, part = kinds.get(name), part_of(study, name)
        plan = kind.plan(part, asked)
        found[name] = Part(kind, part, plan)
    return found


def _with_inputs(study: FusedStudy, parts: Mapping[str, Part]) -> dict[str, Any]:
    """How patients are read, by the plans of their modalities; and the shape of what each network then takes."""
    how: dict[str, Any] = {**study.preprocessing, "modalities": {}, "inputs": {}}
    for name, (kind, part, _) in parts.items():
        one = _encoded(kind, part.train.take([0]), part.preprocessing, 1)
        how["modalities"][name] = part.preprocessing
        how["inputs"][name] = {"shape": list(one.shape[1:]), "ids": one.dtype.kind in "iu"}
    return how


def _only(study: FusedStudy, how: str) -> FusedStudy:
    """The study as one of its planned fusions reads it."""
    here = replace(study, preprocessing=_with_inputs(study, study.parts[how]))
    here.parts = {how: study.parts[how]}
    return here


def _late(study: FusedStudy, models: Mapping[str, Any]) -> Any:
    """The calibrated models of all modalities as one."""
    calibrations: dict[str, Calibration] = {}
    for name, (kind, part, plan) in study.parts["late"].items():
        outputs = np.asarray(models[name].predict(kind.plain_batches(part, part.val, plan.batch)))
        calibrations[name] = calibrate(log_odds(outputs), part.val.y)
    return added(models, calibrations, prior_of(study.val.y, len(study.class_names)))


def _inner_words(parts: Mapping[str, Part], network: str) -> str:
    """The networks of the modalities, in a line."""
    if network == "early":
        return f"Features: {', '.join(parts)}, of their kinds' linear networks."
    return "Networks: " + "; ".join(f"{name}: {part.kind.describe_network(part.plan)}" for name, part in parts.items()) + "."


class Versions:
    """The training examples of each modality, augmented anew in each pass as their kinds do it.

    Arguments: parts; present, bool (N,M); seed.
    """

    def __init__(self, parts: Mapping[str, Part], present: np.ndarray, seed: int):
        self.parts, self.present, self.seed = parts, present, seed
        self.fixed: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # of kinds that make all their versions at once

    def __call__(self, number: int) -> dict[str, np.ndarray]:
        """The versions of that pass; where a modality is missing stands 0."""
        before, found = random.state(), {}
        try:
            for m, name in enumerate(self.parts):
                seed = int(np.random.SeedSequence([self.seed, number, m]).generate_state(1)[0])
                tinydx.set_seed(seed)
                x = self._augmented(name, seed)
                found[name] = np.zeros((len(self.present), *x.shape[1:]), x.dtype)
                found[name][self.present[:, m]] = x
        finally:
            random.load_state(before)
        return found

    def _augmented(self, name: str, seed: int) -> np.ndarray:
        """A version of each example of a modality, in their order."""
        kind, part, plan = self.parts[name]
        count = len(part.train.y)
        if name not in self.fixed:
            numbered = replace(part, train=part.train._replace(y=np.arange(count)))
            source = data.batches(kind.training_batches(numbered, plan._replace(steps=math.ceil(count / plan.batch)), seed))
            if not isinstance(source, data.ArrayBatches):
                return _one_of_each(source, count)
            self.fixed[name] = np.asarray(source.x), np.asarray(source.y)
        x, rows = self.fixed[name]
        order = np.random.default_rng(seed).permutation(len(rows))
        return x[order[np.unique(rows[order], return_index=True)[1]]]


def _one_of_each(source: Any, count: int) -> np.ndarray:
    """Batches, whose labels are the numbers of the examples, taken until there is one of each."""
    x: Any = None
    missing = set(range(count))
    while missing:
        batch = next(source)
        rows = np.asarray(batch.y, np.int64)
        x = np.zeros((count, *batch.x.shape[1:]), batch.x.dtype) if x is None else x
        x[rows] = batch.x
        missing -= set(rows.tolist())
    return x


class _OneInput:
    """One input of a fused model, as the check of its kind looks at a model."""

    def __init__(self, model: Any, number: int):
        self.model, self.wanted, self.ids = model, model.input_shape[number], model.inputs[number].dtype.kind in "iu"

    def check_input(self, shape: Any) -> None:
        """ValueError where an input of this shape does not fit."""
        if len(shape) != len(self.wanted) or any(b not in (None, a) for a, b in zip(shape[1:], self.wanted[1:], strict=True)):
            raise ValueError(f"its model takes {tuple(self.wanted)}, not {tuple(shape)}")

    def all_layers(self) -> list[Any]:
        """The layers that read words, where this input is one of words."""
        return [layer for layer in self.model.all_layers() if isinstance(layer, Embedding) and self.ids]


# ---- tables and examples -------------------------------------------------------------------------------------------


def _reading(table: StudyTable) -> dict[str, Any]:
    """How each modality is read, before anything is learnt."""
    found: dict[str, Any] = {}
    for name in table.modalities:
        kind = kinds.get(name)
        if name == "table":
            columns = {c: {"kind": "number" if c in table.numbers else "category"} for c in table.columns}
            found[name] = {"columns": columns}
        elif name == "text":
            found[name] = {"size": None}
        else:
            column = table.images if name == "image" else table.sounds
            assert column is not None
            check_files(table, name, column, lambda path, kind=kind: kind.reading([path]))  # type: ignore[misc]
            found[name] = kind.reading([path for path in column if path is not None])
    return found


def _table_for(path: str | Path, preprocessing: dict[str, Any], label: bool) -> StudyTable:
    """A table as a finished model reads it."""
    columns = preprocessing["modalities"].get("table", {}).get("columns", {})
    table = read_study_table(path, label=label, known=tables.kinds_of(columns))
    if "table" in table.modalities or table.others:  # without any other column the modality is missing, not misspelt
        match_columns(table, list(columns))
    if not set(table.modalities) & set(preprocessing["modalities"]):
        raise ValueError(f"{path} has none of the modalities that the model reads: {', '.join(preprocessing['modalities'])}")
    return table


def _examples(table: StudyTable, labels: Sequence[int], preprocessing: dict[str, Any]) -> Examples:
    """The rows of a table as patients; the file of each is its line, "patients.csv:7"."""
    entries, cases = entries_of(table), [dict[str, Any]() for _ in range(len(table))]
    with progress("Reading patients", len(table) * len(preprocessing["modalities"])) as advance:
        for name, how in preprocessing["modalities"].items():
            with ThreadPoolExecutor() as pool:
                waiting = [pool.submit(_one, entry, name, how, advance) for entry in entries]
                for case, value in zip(cases, check_each(waiting, Future.result), strict=True):
                    case[name] = value
    owners = [None if words is None else np.array(words, object) for words in (table.patient, table.site)]
    files = [f"{table.path}:{line}" for line in table.lines]
    return Examples(_as_objects(cases), np.array(labels, np.int64), files, *owners)


def _one(entry: Entry, name: str, how: dict[str, Any], advance: Callable[[], None]) -> Any:
    """One modality of a row, or None; an error names the row."""
    given = entry_of(entry, name)
    advance()
    if given is None:
        return None
    if name == "table" and not any("missing" in column for column in how["columns"].values()):
        return entry.row  # of a training, which has not learnt yet how its columns become numbers
    try:
        return kinds.get(name).example(given, how).x[0]
    except (OSError, ValueError) as error:
        words = str(error)
        raise ValueError(words if words.startswith(str(entry)) else f"{entry}: {words}") from None


def _present(part: Examples, preprocessing: dict[str, Any]) -> np.ndarray:
    """Which modalities each patient has, bool (N,M)."""
    names = list(preprocessing["modalities"])
    return np.array([[case[name] is not None for name in names] for case in part.x], bool).reshape(len(part.y), len(names))


def _encoded(kind: Kind, part: Examples, how: dict[str, Any], batch: int) -> np.ndarray:
    """Examples of one kind as its network reads them, (N,...)."""
    shell = Study("", ["0", "1"], part, part, part, False, [], how, kind.noun, "")
    source = data.batches(kind.plain_batches(shell, part, batch))
    return np.concatenate([np.asarray(next(source).x) for _ in range(len(source))])


def _stacked(cases: np.ndarray, name: str) -> np.ndarray:
    """One modality of patients who have it, as its kind keeps examples: (N,...), or objects (N,) of texts and rows."""
    values = [case[name] for case in cases]
    return _as_objects(values) if not values or isinstance(values[0], str) else np.stack(values)


def _as_objects(values: Sequence[Any]) -> np.ndarray:
    """Values as an array of objects (N,)."""
    array = np.empty(len(values), object)
    for i, value in enumerate(values):
        array[i] = value
    return array


def _who_has_what(part: Examples, names: Sequence[str]) -> str:
    """How many patients have each modality, in words."""
    counts = [sum(case[name] is not None for case in part.x) for name in names]
    everything = sum(all(value is not None for value in case.values()) for case in part.x)
    each = ", ".join(f"{count} have {name}" for name, count in zip(names, counts, strict=True))
    return f"of {len(part.y)} patients {each}; {everything} have everything"
