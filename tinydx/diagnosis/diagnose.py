"""`tinydx diagnose`: from examples in classes to a trained model, its test and a report.

    open_study -> examples of train, val, test         (kind)
    check      -> names, settings, room on the disk     (checks, result)
    choose     -> a network, on folds of train and val  (fitting, choose)
    plan       -> network, schedule, augmentation       (kind, and the options)
    build      -> the network                           (kind)
    fit        -> trained; the best epoch's weights, or the average at the end; several members (fitting, ensemble)
    evaluate   -> on test examples that training never saw (evaluation)
    compare    -> with simple baselines on the same test examples (baselines)
    find       -> what else is to be known, such as the figures on changed examples (sections)
    elsewhere  -> on other folders, such as another hospital's
    write      -> model.safetensors, history, metrics, report.png (report), card.md, card.json (card)

Images, sounds, texts and tables share this flow; what differs between them is in `tinydx/diagnosis/kinds/`. Every training
writes its state after each epoch, so that a run which was interrupted continues (`result`); the model is written first of all.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tinydx
from tinydx import distributed, evaluation, names
from tinydx.datasets.study import Study, check_trainable
from tinydx.diagnosis import baselines, card, checks, deciding, elsewhere, ensemble, fitting, inputs, kinds, starting
from tinydx.diagnosis.foreseeing import begin_compiling
from tinydx.diagnosis.kind import Kind, Options, Plan
from tinydx.diagnosis.report import write_numbers, write_report
from tinydx.diagnosis.result import MODEL, ResultFolder
from tinydx.diagnosis.sections import Run, all_words, find_all
from tinydx.files import DISK_FULL


def diagnose(
    path: str | None = None,
    *,
    kind: str | None = None,
    size: int | None = None,
    network: str | None = None,
    augment: str | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    batch: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    also: Sequence[str] = (),
    members: int = 1,
    snapshots: bool = False,
    choose: bool = False,
    patient: str | None = None,
    start: str | None = None,
    freeze: int | str | None = None,
    sensitivity: float | None = None,
    resume: bool = False,
    output: str | Path = "diagnosis",
) -> dict[str, Any]:
    """Train, test and report.

    Arguments: path of the data (None: the kind's synthetic data, made once; for texts, ICD-10-CM); kind, one of `kinds.names()`
    (None: the kind of most files at the path, or images); size of an example, in the kind's unit; network, one of
    `Kind.networks`; augment, one of `Kind.augmentations`; epochs; steps, batches in an epoch; batch, examples in a batch (None,
    for each of these six: `Kind.plan` decides); limit, at most how many examples of each class and split (None: all); seed;
    also, other paths on which the finished model is tested, such as another hospital's; members, how many models from different
    seeds are averaged; snapshots, whether they are stations of one training, each a share of its epochs; choose, whether the
    kind's networks are compared on folds of the training part first; patient, of a table the name of a column, else a regular
    expression on a file's path below the data folder, whose only group is the patient (None: by the usual columns, or the
    names that public sets give); start, a model's file with whose weights the network begins (None: random ones), and freeze, how
    many of its first layers keep them, or "all" (None: none); sensitivity, the share of the positive class that the threshold
    must find on the validation part (None: the threshold is 0.5); resume, whether to continue the run with these arguments that
    was interrupted, to the same result (there is none: it begins); output, the folder for the results, which replaces an earlier
    one when it is complete.
    Returns: the metrics of `evaluation.evaluate_diagnosis`; under "data" and "recipe" how they came about; under
    "settings" by which settings `--resume` knows them; under "baselines" and "verdict" how they compare; under "validation" what
    changed examples do to them; under "start" where the weights began, with `start`; under "elsewhere" a row of `elsewhere.test`
    for each path of `also`; under "ensemble" what `ensemble.judge` says of more members than one; under "choice" the comparison
    of networks. Of several processes (`tinydx.distributed`) only the first one tests and reports; {} on the others.
    Raises: one-line errors for data that cannot be used and for an output that cannot be written, before anything is trained.
    """
    began = time.perf_counter()
    if snapshots and members < 2:
        raise ValueError("--snapshots needs --members 2 or more")
    if start and choose:
        raise ValueError("--choose compares networks, --from gives one: leave one of them out")
    if freeze is not None and start is None:
        raise ValueError("--freeze is for the network of --from FILE: give one, or leave --freeze out")
    with ResultFolder(output) as place:
        tinydx.set_seed(seed)
        origin = None if start is None else starting.open_start(start, freeze)
        name = kind or (origin.kind if origin and path is None else kinds.guess(path))
        subject = kinds.get(name) if origin is None else starting.begin_from(origin, name)
        options = Options(network, augment, epochs, steps, batch)
        size = size or subject.usual_size(path, options)
        begin_compiling(subject, path, size, options)
        study = distributed.in_turn(lambda: subject.open_study(path, size=size, limit=limit, seed=seed, patient=patient))
        check_trainable(study)
        deciding.check(study, sensitivity)
        others = [(other, subject.open_labelled(other, study.class_names, study.preprocessing)) for other in also]
        print(study.describe(), flush=True)
        asked = {"kind": name, **options._asdict(), "limit": limit, "seed": seed, "members": members, "choose": choose}
        asked |= {"snapshots": snapshots, "patient": patient, "sensitivity": sensitivity}
        asked |= {"from": origin and origin.digest, "freeze": origin and origin.freeze}
        settings = checks.settings(study, others, asked)
        if resume and place.is_finished(settings):
            print(f"{place.output} holds the result of this run: nothing is left to do.")
            return json.loads((place.folder / "metrics.json").read_text(encoding="utf-8"))
        room = checks.room(subject, study, options, members, choose)
        if place.begin(settings, resume):
            print(f"Continuing the run in {place.work}.", flush=True)
        place.take_room(room)
        choice = None
        if choose:
            choice = fitting.choose_network(subject, study, options, seed, place)
            options = options._replace(network=choice["network"])
            tinydx.set_seed(seed)
        plan = subject.plan(study, options)

        model, history = fitting.fit(subject, study, plan, seed, place, members, snapshots)
        if not distributed.is_first():
            return {}  # of several processes, the first one tests and reports
        model.class_names = list(study.class_names)
        model.preprocessing = {"kind": name, **study.preprocessing, "threshold": plan.threshold}
        with _kept(place), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "an output near 1 means")  # the evaluation goes by the class names
            _save(model, place)
            answers = model.predict(subject.plain_batches(study, study.val, plan.batch))
            deciding.settle(model, answers, study.val.y, sensitivity)
            plan = plan._replace(threshold=model.preprocessing["threshold"])
            probabilities = deciding.probabilities(model, model.predict(subject.plain_batches(study, study.test, plan.batch)))
            metrics = evaluation.evaluate_diagnosis(
                study.test.y, probabilities, study.class_names, threshold=plan.threshold, seed=seed
            )
            metrics["data"], metrics["settings"] = study.facts(), settings
            metrics["baselines"], metrics["verdict"] = baselines.compare(
                subject, study, probabilities, seed, threshold=plan.threshold
            )
            metrics["choice"], metrics["ensemble"] = choice, _judged(model, subject, study, plan)
            metrics["recipe"] = _recipe(plan, choice, metrics["ensemble"])
            elsewhere.remember(model, subject, study, metrics)
            run = Run(model, subject, study, plan, seed, probabilities, metrics)
            find_all(run)
            metrics["elsewhere"] = [
                elsewhere.test(model, other, part=part, seed=seed, batch=plan.batch) for other, part in others
            ]
            _save(model, place)
            card.write(place.draft, card.facts(run, history, time.perf_counter() - began))
            _report(place.draft, metrics, history, probabilities, subject, study, _subtitle(subject, study, model, plan, history))
            place.publish()
        page, seconds = place.output / "report.png", time.perf_counter() - began
        print(names.lines(_closing_words(metrics, study)))
        print(f"Look at {names.shown(page)} ({seconds:.0f} s in all).")
        return metrics


@contextlib.contextmanager
def _kept(place: ResultFolder) -> Iterator[None]:
    """Whatever goes wrong after training: keep what is written, the model first, and say where it is."""
    try:
        yield
    except Exception:
        if (place.draft / MODEL).exists():
            print(f"tinydx: the trained model is kept: {place.publish_part() / MODEL}", file=sys.stderr)
        again = "without training again" if place.has_states() else "and trains again"
        print(f"tinydx: the same command with --resume writes what is missing, {again}", file=sys.stderr)
        raise


def _save(model: Any, place: ResultFolder) -> None:
    """Write the model into the room that is kept for it; where that is not enough, into that of the states of its training."""
    place.free_room()
    try:
        model.save(place.draft / MODEL, include_optimizer=False)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        place.free_room(states=True)
        model.save(place.draft / MODEL, include_optimizer=False)


def _judged(model: Any, kind: Kind, study: Study, plan: Plan) -> dict[str, Any] | None:
    """What an ensemble is worth on the test examples; None for a single model."""
    if not ensemble.members(model):
        return None
    names, test = study.class_names, study.test
    tables = ensemble.predict_all(model, lambda: kind.plain_batches(study, test, plan.batch), names)
    positive = evaluation.positive_class(names) if len(names) == 2 else None
    return ensemble.judge(tables, test.y, deciding.threshold_of_outputs(model), positive)


def _report(
    folder: Path,
    metrics: dict[str, Any],
    history: dict[str, Any],
    probabilities: np.ndarray,
    kind: Kind,
    study: Study,
    subtitle: str,
) -> None:
    """Write the report; the numbers also where its picture fails."""
    try:
        write_report(
            folder,
            metrics=metrics,
            history=history,
            examples=study.test.x,
            y_true=study.test.y,
            probabilities=probabilities,
            class_names=study.class_names,
            kind=kind,
            title=kind.synthetic_title if study.synthetic else f"Diagnosis: {study.source}",
            subtitle=subtitle,
            synthetic=study.synthetic,
            study=study,
        )
    except Exception:
        write_numbers(folder, metrics, history)
        raise


def _recipe(plan: Plan, choice: dict[str, Any] | None, ensemble: dict[str, Any] | None) -> dict[str, Any]:
    """The plan for metrics.json; steps are all optimizer steps, None where an epoch is a pass over the data."""
    found = [part["sentence"] for part in (choice, ensemble) if part]
    steps = None if plan.steps is None else plan.epochs * plan.steps
    return {**plan._asdict(), "steps": steps, "why": [*plan.why, *found]}


def _closing_words(metrics: dict[str, Any], study: Study) -> str:
    """The results on the test examples beside the baselines', and elsewhere; what speaks against the model comes first."""
    copies = metrics["copies"]
    known = f", {copies['seen']} of them copies of training {study.noun}" if copies["seen"] else _unseen(study, metrics["start"])
    lines = [f"\nOn {metrics['count']} {'synthetic ' if study.synthetic else ''}test {study.noun}{known}:"]
    better = metrics["verdict"].startswith("Better")
    if not better:
        lines.insert(0, f"\n{metrics['verdict']}")
    for key in ("roc_auc", "accuracy", "sensitivity", "specificity"):
        lines.append(f"  {key.replace('roc_auc', 'ROC AUC'):<12} {elsewhere.figure(metrics, key)}")
    lines.append("Baselines on the same:")
    lines += [f"  {_baseline(row)}" for row in metrics["baselines"]]
    lines += [metrics["verdict"]] if better else []
    if metrics["ensemble"]:
        lines.append(metrics["ensemble"]["sentence"])
    lines += all_words(metrics)
    for row in metrics["elsewhere"]:
        lines += ["", *elsewhere.words(row)]
    found = [copies, metrics["start"] or {"warning": None}]
    lines[:0] = [f"\n! {part['warning']}" for part in found if part["warning"]]
    lines[:0] = [f"\n! {row['path']}: {row['warnings'][0]}" for row in metrics["elsewhere"] if row["warnings"]]
    lines[:0] = [f"\n{note}" for note in study.notes if note.startswith("! ")]
    if not (metrics["elsewhere"] or study.synthetic):
        lines.append(f"Not tested on {study.noun} from another place: --also PATH does that, or `tinydx evaluate MODEL PATH`.")
    return "\n".join(lines)


def _unseen(study: Study, start: dict[str, Any] | None) -> str:
    """Whether test examples equal training examples; nothing where the network of --from has seen some, which is said."""
    if start and start["warning"]:
        return ""
    known = set(inputs.digests(study.train.x))
    seen = sum(digest in known for digest in inputs.digests(study.test.x))
    return f", {seen} of them equal to training {study.noun}" if seen else " that training never saw"


def _baseline(row: dict[str, Any]) -> str:
    """A baseline's figures in a line, or why there are none."""
    if row["reason"] is not None:
        return f"{row['name']}: {row['reason']}"
    area = "" if row["roc_auc"] is None else f"ROC AUC {row['roc_auc']:.3f}, "
    how = {"better": "the model is better", "worse": "the model is worse", "can't tell": "no difference can be told"}
    return f"{row['name']}: {area}accuracy {row['accuracy']:.3f} ({how[row['verdict']]}, {baselines.in_words(row['p_value'])})"


def _subtitle(kind: Kind, study: Study, model: Any, plan: Plan, history: dict[str, Any]) -> str:
    """The numbers of examples, the network, and how long it was trained."""
    epoch = int(np.argmin(history["val_loss"])) + 1
    best = {"best": f"weights of epoch {epoch}", "last": "averaged weights", "each": "one model after the other"}[plan.weights]
    return (
        f"{len(study.train.y)} training, {len(study.val.y)} validation and {len(study.test.y)} test {study.noun}; "
        f"{kind.describe_network(plan)}, {model.count_params():,} parameters, {len(history['loss'])} epochs, {best}. "
        f"tinydx {tinydx.__version__}."
    )
