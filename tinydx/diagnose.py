"""The main job, `tinydx diagnose`: from images in classes to a trained model, its test and a report.

    open_study -> images of train, val, test          (datasets)
    build_cnn  -> the document's network               (models)
    fit        -> trained with the document's augmentation, best epoch kept
    evaluate   -> on test images that training never saw (evaluation)
    write      -> model.safetensors, history, metrics, report.png (report)

Images are read once, resized, and kept as bytes, so that every unreadable file is named before training begins.
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
from tinydx.datasets.study import Study, open_study
from tinydx.layers import Conv2D, Dense, Flatten, MaxPooling2D
from tinydx.models import Sequential, load_model
from tinydx.preprocessing.image import ImageDataGenerator, load_images
from tinydx.report import write_report

EPOCHS, STEPS = 10, None  # on real data: ten passes
PHANTOM_EPOCHS, PHANTOM_STEPS = 8, 16  # on the synthetic default, which is easier: 128 batches


def build_cnn(shape: tuple[int, ...], classes: int) -> Sequential:
    """The document's network: three times convolution and pooling, a dense layer, and a sigmoid (or softmax) output.

    Arguments: shape (H,W,C) of an image, at least 22 pixels each way; classes.

    >>> build_cnn((150, 150, 3), 2).count_params()
    19034177
    """
    model = Sequential(name="diagnosis")
    model.add(Conv2D(32, (3, 3), activation="relu", input_shape=shape))
    model.add(MaxPooling2D((2, 2)))
    model.add(Conv2D(64, (3, 3), activation="relu"))
    model.add(MaxPooling2D((2, 2)))
    model.add(Conv2D(128, (3, 3), activation="relu"))
    model.add(MaxPooling2D((2, 2)))
    model.add(Flatten())
    model.add(Dense(512, activation="relu"))
    model.add(Dense(1, activation="sigmoid") if classes == 2 else Dense(classes, activation="softmax"))
    loss = "binary_crossentropy" if classes == 2 else "sparse_categorical_crossentropy"
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    return model


def augmentation(kind: str) -> ImageDataGenerator:
    """The document's augmentation (its shear is in degrees), or "none" but the rescaling."""
    if kind == "none":
        return ImageDataGenerator(rescale=1.0 / 255)
    return ImageDataGenerator(
        rescale=1.0 / 255,
        rotation_range=20,
        width_shift_range=0.2,
        height_shift_range=0.2,
        shear_range=0.2,
        zoom_range=0.2,
        horizontal_flip=True,
        fill_mode="nearest",
    )


def diagnose(
    path: str | None = None,
    *,
    size: int | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    batch: int = 32,
    augment: str = "document",
    limit: int | None = None,
    seed: int = 0,
    output: str | Path = "diagnosis",
) -> dict[str, Any]:
    """Train, test and report; returns the metrics.

    Arguments: path, a folder of class folders or a MedMNIST .npz (None: synthetic chest phantoms, made once); size of
    the images in pixels; epochs, and steps (batches) in each; batch, images in a batch; augment, "document" or "none";
    limit, images of each class and split; seed; output, the folder for the results.
    Raises one-line errors for data that cannot be used, before anything is written.
    """
    began = time.perf_counter()
    tinydx.set_seed(seed)
    study = open_study(path, size=size, limit=limit, seed=seed)
    print(study.describe(), flush=True)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    if study.synthetic:
        epochs, steps = epochs or PHANTOM_EPOCHS, steps or PHANTOM_STEPS

    model = build_cnn(study.train.x.shape[1:], len(study.class_names))
    history = _train(model, study, epochs or EPOCHS, steps or STEPS, batch, augment, seed)
    probabilities = model.predict(_plain(study.test, batch))
    metrics = evaluation.evaluate_diagnosis(study.test.y, probabilities, study.class_names, seed=seed)
    metrics["data"] = study.facts()
    model.class_names, model.preprocessing = list(study.class_names), dict(study.preprocessing)
    model.save(folder / "model.safetensors", include_optimizer=False)
    paths = write_report(
        folder,
        metrics=metrics,
        history=history,
        images=study.test.x,
        y_true=study.test.y,
        probabilities=probabilities,
        class_names=study.class_names,
        title="Diagnosis of chest phantoms" if study.synthetic else f"Diagnosis: {study.source}",
        subtitle=_subtitle(study, model, history),
        synthetic=study.synthetic,
    )
    print(_closing_words(metrics, study), f"Look at {paths['page']} ({time.perf_counter() - began:.0f} s in all).", sep="\n")
    return metrics


def _train(model: Any, study: Study, epochs: int, steps: int | None, batch: int, augment: str, seed: int) -> dict[str, Any]:
    """Fit with augmentation, keep the epoch with the lowest validation loss; returns the history."""
    batches = augmentation(augment).flow(study.train.x, study.train.y, batch_size=batch, seed=seed)
    history = model.fit(
        batches,
        epochs=epochs,
        steps_per_epoch=steps,
        validation_data=_plain(study.val, batch, labels=True),
        callbacks=[EarlyStopping("val_loss", patience=epochs, restore_best_weights=True)],
    )
    return history.history


def _plain(images: Any, batch: int, labels: bool = False) -> Any:
    """Batches in order, rescaled as in training and not augmented."""
    return augmentation("none").flow(images.x, images.y if labels else None, batch_size=batch, shuffle=False)


def _closing_words(metrics: dict[str, Any], study: Study) -> str:
    """The result on the test images, each number with its interval."""
    lines = [f"\nOn {metrics['count']} {'synthetic ' if study.synthetic else ''}test images that training never saw:"]
    for key in ("roc_auc", "accuracy", "sensitivity", "specificity"):
        value, interval = metrics[key], metrics.get(f"{key}_interval")
        between = f"  (95 % interval {interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
        reason = metrics["reasons"].get(key, "")
        lines.append(f"  {key.replace('roc_auc', 'ROC AUC'):<12} " + (reason if value is None else f"{value:.3f}{between}"))
    return "\n".join(lines)


def _subtitle(study: Study, model: Any, history: dict[str, Any]) -> str:
    best = int(np.argmin(history["val_loss"])) + 1
    return (
        f"{len(study.train.y)} training, {len(study.val.y)} validation and {len(study.test.y)} test images; "
        f"the document's CNN, {model.count_params():,} parameters, {len(history['loss'])} epochs, weights of epoch {best}. "
        f"tinydx {tinydx.__version__}."
    )


def predict_files(model_path: str, files: list[str]) -> int:
    """Print file, class name and probability of each image; files that cannot be read are named, and make the status 1."""
    model = load_model(model_path)
    if model.class_names is None or model.preprocessing is None:
        raise ValueError(f"{model_path} does not know its class names and image size: it was not made by tinydx diagnose")
    failed = 0
    for file in files:
        try:
            x = load_images([file], model.preprocessing)
        except (OSError, ValueError) as error:
            print(f"tinydx: {error}", file=sys.stderr)
            failed += 1
            continue
        p = evaluation.probability_table(model.predict_on_batch(x), model.class_names)[0]
        best = int(p.argmax())
        print(f"{file}\t{model.class_names[best]}\t{p[best]:.3f}")
    return 1 if failed else 0
