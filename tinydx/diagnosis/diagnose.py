"""`tinydx diagnose`: from examples in classes to a trained model, its test and a report.

    open_study -> examples of train, val, test        (kind)
    build      -> a network for them                   (kind)
    fit        -> trained with the kind's augmentation, best epoch kept
    evaluate   -> on test examples that training never saw (evaluation)
    write      -> model.safetensors, history, metrics, report.png (report)

Images, sounds and texts share this flow; what differs between them is in `tinydx/diagnosis/kinds/`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import tinydx
from tinydx import evaluation
from tinydx.callbacks import EarlyStopping
from tinydx.datasets.study import Study
from tinydx.diagnosis import kinds
from tinydx.diagnosis.kind import Kind, Options, Plan
from tinydx.diagnosis.report import write_report
from tinydx.models import load_model


def diagnose(
    path: str | None = None,
    *,
    kind: str | None = None,
    size: int | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    batch: int | None = None,
    augment: str = "document",
    limit: int | None = None,
    seed: int = 0,
    output: str | Path = "diagnosis",
) -> dict[str, Any]:
    """Train, test and report.

    Arguments: path of the data (None: the kind's synthetic data, made once; for texts, ICD-10-CM); kind, one of `kinds.names()`
    (None: the kind of most files at the path, or images); size of an example, in the kind's unit; epochs; steps, batches in an
    epoch; batch, examples in a batch (None: the kind's own, for each of these four); augment, "document" (the kind's
    augmentation) or "none"; limit, at most how many examples of each class and split (None: all); seed; output, the folder for
    the results.
    Returns: the metrics of `evaluation.evaluate_diagnosis`.
    Raises: one-line errors for data that cannot be used, before anything is written.
    """
    began = time.perf_counter()
    tinydx.set_seed(seed)
    name = kind or kinds.guess(path)
    subject = kinds.get(name)
    study = subject.open_study(path, size=size, limit=limit, seed=seed)
    print(study.describe(), flush=True)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)

    plan = subject.plan(study, Options(None, augment, epochs, steps, batch))
    model = subject.build(study, plan)
    history = _train(model, subject, study, plan, seed)
    probabilities = model.predict(subject.plain_batches(study, study.test, plan.batch))
    metrics = evaluation.evaluate_diagnosis(study.test.y, probabilities, study.class_names, seed=seed)
    metrics["data"] = study.facts()
    metrics["recipe"] = plan._asdict()
    model.class_names, model.preprocessing = list(study.class_names), {"kind": name, **study.preprocessing}
    model.save(folder / "model.safetensors", include_optimizer=False)
    paths = write_report(
        folder,
        metrics=metrics,
        history=history,
        examples=study.test.x,
        y_true=study.test.y,
        probabilities=probabilities,
        class_names=study.class_names,
        kind=subject,
        title=subject.synthetic_title if study.synthetic else f"Diagnosis: {study.source}",
        subtitle=_subtitle(subject, study, model, history),
        synthetic=study.synthetic,
    )
    print(_closing_words(metrics, study), f"Look at {paths['page']} ({time.perf_counter() - began:.0f} s in all).", sep="\n")
    return metrics


def _train(model: Any, kind: Kind, study: Study, plan: Plan, seed: int) -> dict[str, Any]:
    """Fit with augmentation and keep the epoch with the lowest validation loss; returns the history."""
    history = model.fit(
        kind.training_batches(study, plan, seed),
        epochs=plan.epochs,
        steps_per_epoch=plan.steps,
        validation_data=kind.plain_batches(study, study.val, plan.batch),
        callbacks=[EarlyStopping("val_loss", patience=plan.epochs, restore_best_weights=True)],
    )
    return history.history


def _closing_words(metrics: dict[str, Any], study: Study) -> str:
    """The results on the test examples, each with its interval."""
    lines = [f"\nOn {metrics['count']} {'synthetic ' if study.synthetic else ''}test {study.noun} that training never saw:"]
    for key in ("roc_auc", "accuracy", "sensitivity", "specificity"):
        value, interval = metrics[key], metrics.get(f"{key}_interval")
        between = f"  (95 % interval {interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
        reason = metrics["reasons"].get(key, "")
        lines.append(f"  {key.replace('roc_auc', 'ROC AUC'):<12} " + (reason if value is None else f"{value:.3f}{between}"))
    return "\n".join(lines)


def _subtitle(kind: Kind, study: Study, model: Any, history: dict[str, Any]) -> str:
    """The numbers of examples, the network, and how long it was trained."""
    best = int(np.argmin(history["val_loss"])) + 1
    return (
        f"{len(study.train.y)} training, {len(study.val.y)} validation and {len(study.test.y)} test {study.noun}; "
        f"{kind.network}, {model.count_params():,} parameters, {len(history['loss'])} epochs, weights of epoch {best}. "
        f"tinydx {tinydx.__version__}."
    )


def predict(model_path: str, entries: list[str]) -> int:
    """Print the class and its probability for each input, separated by tabs; report unreadable inputs on stderr.

    Arguments: model_path; entries, paths of files, or texts.
    Returns: the exit status: 0, or 1 if an input could not be read.
    Raises: the errors of `load_model`; ValueError for a model that `tinydx diagnose` did not make.
    """
    model = load_model(model_path)
    if model.class_names is None or "kind" not in (model.preprocessing or {}):
        raise ValueError(f"{model_path} holds no class names, or not how to read inputs: `tinydx diagnose` did not make it")
    kind = kinds.get(model.preprocessing["kind"])
    failed = 0
    for entry in entries:
        try:
            x = kind.read(entry, model.preprocessing)
        except (OSError, ValueError) as error:
            print(f"tinydx: {error}", file=sys.stderr)
            failed += 1
            continue
        p = evaluation.probability_table(model.predict_on_batch(x), model.class_names)[0]
        best = int(p.argmax())
        print(f"{entry}\t{model.class_names[best]}\t{p[best]:.3f}")
    return 1 if failed else 0
