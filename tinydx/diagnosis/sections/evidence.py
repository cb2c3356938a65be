"""Section: what the model used. Maps of its worst errors and, for phantoms, whether they find the lesions and stay in the lungs.

    the most confident wrong answers ── Grad-CAM (images) or integrated gradients ──> a map and a sentence each
    new phantoms, whose lesions and lungs are known ── two methods ──> pointing game, share of the evidence outside the lungs

Of real images no lesion is known, so that nothing is counted there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinydx import evaluation, explain
from tinydx.datasets.phantom import CLASS_NAMES, chest_phantom, lungs_of
from tinydx.datasets.study import Examples
from tinydx.diagnosis.explaining import padded
from tinydx.diagnosis.finished import kind_of
from tinydx.diagnosis.page import Band, Page, heading, sentences, short, text_bands
from tinydx.diagnosis.sections import Run, Section
from tinydx.explain.checks import method_named
from tinydx.explain.grad_cam import resized

WORST = 6  # wrong answers that are explained
PHANTOMS, DRAWN, SEED = 24, 150, 987  # new phantoms of the report, their pixels as drawn, and a seed that no training set has
METHODS = ("grad_cam", "gradient_times_input")  # both take seconds


def find(run: Run) -> dict[str, Any] | None:
    """The maps of the worst errors, and what phantoms say; None where neither can be had."""
    phantoms = None
    if run.study.synthetic and tuple(run.study.class_names) == CLASS_NAMES and run.study.noun == "images":
        phantoms = on_phantoms(run.model, PHANTOMS, METHODS)
    worst = _worst(run)
    return {"worst": worst, "phantoms": phantoms} if worst or phantoms else None


# ---- the worst errors ----------------------------------------------------------------------------------------------


def _worst(run: Run) -> list[dict[str, Any]]:
    """The most confident wrong answers: a row each, with the map of the class that was called; empty where no method applies."""
    study, metrics = run.study, run.metrics
    positive = metrics["positive_class"]
    number = None if positive is None else study.class_names.index(positive)
    called = evaluation.called_class(run.table, number, metrics["threshold"])
    wrong = np.flatnonzero(called != study.test.y)
    wrong = wrong[np.argsort(-run.table[wrong, called[wrong]], kind="stable")][:WORST]
    if not len(wrong):
        return []
    part = Examples(study.test.x[wrong], study.test.y[wrong])
    x = next(run.kind.plain_batches(study, part, len(wrong)))[0]
    method = explain.grad_cam if study.noun == "images" else explain.integrated_gradients
    try:
        found = method(run.model, x, called[wrong].tolist())
    except ValueError:  # a network without places, such as one that is linear on pixels
        return []
    rows = []
    for k, i in enumerate(wrong.tolist()):
        one, entry = found[k], study.test.x[i]
        parts = run.kind.parts(entry, run.model.preprocessing) if isinstance(entry, str) else None
        rows.append(
            {
                "index": i,
                "file": None if study.test.files is None else str(study.test.files[i]),
                "called": study.class_names[called[i]],
                "truth": study.class_names[study.test.y[i]],
                "probability": float(run.table[i, called[i]]),
                "sentence": (one if parts is None else one.named(padded(parts, one.map.shape[1]))).sentence,
                "map": None if one.layer_map is None or one.layer_map.ndim != 3 else np.round(one.layer_map[0], 4).tolist(),
            }
        )
    return rows


# ---- phantoms ------------------------------------------------------------------------------------------------------


def on_phantoms(model: Any, count: int, methods: Sequence[str]) -> dict[str, Any]:
    """Where the maps of new abnormal phantoms lie, whose lesions and lungs are known.

    Arguments: model of phantoms, as `tinydx diagnose` makes it; count of phantoms; methods, names of `checks.METHODS`.
    Returns: {"count", "called": the share that the model calls abnormal, "methods": [{"method", "rate", "rate_interval", "area",
    "lungs_area", "outside", "outside_interval", "verdict", "sentences"}]}.
    """
    x, lesions, lungs = phantom_inputs(model, count)
    answers = evaluation.probability_table(model.predict_on_batch(x), model.class_names)
    rows = []
    for name in methods:
        try:
            maps = method_named(name)(model, x, CLASS_NAMES[0])
            looked = explain.evidence_in(maps, lungs)
        except ValueError:  # no convolution, or no positive evidence at all
            continue
        found = explain.pointing_game(maps, lesions, lungs)
        row = {"method": maps.method, "rate": found.rate, "rate_interval": found.interval, "area": found.area}
        row |= {"lungs_area": found.region_area, "outside": 1 - looked.share, "verdict": looked.verdict}
        row |= {"outside_interval": (1 - looked.interval[1], 1 - looked.interval[0])}
        rows.append({**row, "sentences": [found.sentence, looked.sentence]})
    return {"count": len(x), "called": float((answers.argmax(axis=1) == 0).mean()), "methods": rows}


def phantom_inputs(model: Any, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """New abnormal phantoms as the model reads image files, with their masks at the same size.

    Returns: (x (N,H,W,C), lesions and lungs (N,H,W) of bool); phantoms whose lesions vanish at that size are left out.
    """
    from PIL import Image

    kind, inputs, masks = kind_of(model), [], []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(count):
            image, lesions = chest_phantom(np.random.default_rng((SEED, i)), True, DRAWN, return_mask=True)
            path = Path(folder, f"{i}.png")
            Image.fromarray(np.rint(255 * image).astype(np.uint8)).save(path)
            inputs.append(kind.read(str(path), model.preprocessing)[0])
            masks.append([lesions, lungs_of(np.random.default_rng((SEED, i)), DRAWN)])
    x, both = np.array(inputs), np.array(masks, float)
    lesions, lungs = (resized(both[:, k], x.shape[1:3]) > 0.5 for k in (0, 1))
    kept = lesions.any(axis=(1, 2))
    return x[kept], lesions[kept], lungs[kept]


# ---- words and pictures --------------------------------------------------------------------------------------------


def words(found: dict[str, Any]) -> list[str]:
    """Lines for the terminal: the pointing game and where the evidence lies; how many errors are explained."""
    lines = []
    if found["phantoms"]:
        lines.append(_heading(found["phantoms"]))
        lines += [f"  {row['method']}: {sentence}" for row in found["phantoms"]["methods"] for sentence in row["sentences"]]
    if found["worst"]:
        lines.append(f"The report explains the {len(found['worst'])} most confident wrong answers, as `tinydx explain` does.")
    return lines


def _heading(phantoms: dict[str, Any]) -> str:
    called = f"{phantoms['called']:.0%} of them called abnormal"
    return f"Evidence on {phantoms['count']} new phantoms with known lesions ({called}):"


def bands(page: Page, found: dict[str, Any]) -> list[Band]:
    """The figures of phantoms as sentences, and the errors as pictures with their maps."""
    lines = []
    if found["phantoms"]:
        lines = [heading("Where the evidence lies"), *sentences(_heading(found["phantoms"]))]
        for row in found["phantoms"]["methods"]:
            lines += [line for text in row["sentences"] for line in sentences(f"{row['method']}: {text}")]
    pictures = [row for row in found["worst"] if row["map"]]
    if found["worst"]:
        lines.append(heading("What the most confident wrong answers used"))
        lines += [] if pictures else [line for row in found["worst"] for line in sentences(row["sentence"])]
        note = "A map shows what the model used, not what is true. Grad-CAM is coarse. Red is strong; all maps have one scale."
        lines += sentences(note) if pictures else []
    return [*text_bands(lines), *([Band(2.2, lambda band: _plot(band, page, pictures))] if pictures else [])]


def _plot(band: Any, page: Page, rows: list[dict[str, Any]]) -> None:
    """The errors side by side, their maps in red over them, all on one scale."""
    strongest = max(np.max(row["map"]) for row in rows) or 1.0
    grid = band.subplots(1, WORST, squeeze=False).ravel()
    for axes in grid[len(rows) :]:
        axes.axis("off")
    for axes, row in zip(grid, rows, strict=False):
        example = np.asarray(page.examples[row["index"]])
        page.kind.plot(axes, example)
        heat = resized(np.array([row["map"]]), example.shape[:2])[0]
        axes.imshow(np.ones_like(heat), cmap="autumn_r", vmin=0, vmax=1, alpha=0.8 * np.sqrt(np.clip(heat / strongest, 0, 1)))
        axes.grid(False)
        axes.set(xticks=[], yticks=[])
        none = "" if heat.any() else "\nno positive evidence"
        caption = f"{short(row['called'], 12)} {row['probability']:.0%}\ntruth: {short(row['truth'], 12)}{none}"
        axes.set_xlabel(caption, fontsize=9)


SECTION = Section("evidence", 60, find, words, bands)
