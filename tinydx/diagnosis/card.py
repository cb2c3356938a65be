"""The model card of a diagnosis, card.json and card.md: what was done with which data, and what a reader may conclude.

    Run (model, study, plan, metrics), history ─ facts ─> card.json ─ in_words ─> card.md
    guidelines.tsv, items of CLAIM 2024 and TRIPOD+AI ─ filled ─┘

The card has parts: use, data, split, reading, model, chosen, training, results, subgroups, sites, errors, changed, start,
elsewhere, unlike, evidence, limits, made_by; one that a run does not have is None. Each item of a guideline names the part that
fills it, whole or in part, or none. Guidelines are for studies and their authors, so that no card satisfies one: it says what
it fills.

Source: Mitchell et al. 2019 (model cards); Tejani et al. 2024 (CLAIM); Collins et al. 2024 (TRIPOD+AI).
"""

from __future__ import annotations

import datetime
import os
import platform
import re
from pathlib import Path
from typing import Any

import numpy as np

import tinydx
from tinydx import evaluation, names
from tinydx.datasets.study import SPLITS, Examples
from tinydx.diagnosis.elsewhere import RATES, figure
from tinydx.diagnosis.report import as_json
from tinydx.diagnosis.sections import Run
from tinydx.evaluation import wilson_interval
from tinydx.files import atomic_write

HEAD = "# Model card (tinydx)"
GUIDELINES = Path(__file__).with_name("guidelines.tsv")
RESULTS = ("count", "interval_level", "positive_class", "threshold", "verdict", "baselines")
MOST = 10  # wrong answers that the card lists
USE = "Learning and research. It is not a medical device: its answers are no diagnoses, and nothing may be decided by them."


def facts(run: Run, history: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The card as JSON-able parts.

    Arguments: run, with the metrics of all sections and of other places; history of the training; seconds that the run took.
    """
    metrics, study = run.metrics, run.study
    right = _called(run) == study.test.y
    card: dict[str, Any] = {
        "title": study.source,
        "use": USE,
        "data": {**metrics["data"], "kind": study.noun, "form": study.form, "classes": study.class_names},
        "split": _split(run),
        "reading": {k: v for k, v in study.preprocessing.items() if k not in ("codec", "mean", "spread")},
        "model": _model(run),
        "chosen": _chosen(run, history),
        "training": [*metrics["recipe"]["why"], _initial(run)],
        "results": {k: metrics.get(k) for k in RESULTS}
        | {k + end: metrics.get(k + end) for k in ("roc_auc", *RATES) for end in ("", "_interval")}
        | {"reasons": metrics["reasons"]},
        "subgroups": subgroups("class", [study.class_names[k] for k in study.test.y], right),
        "sites": _sites(study.test, right),
        "errors": _errors(run),
        "changed": metrics.get("validation"),
        "start": metrics.get("start"),
        "elsewhere": metrics.get("elsewhere") or None,
        "unlike": metrics.get("unlike"),
        "evidence": metrics.get("evidence"),
        "limits": _limits(run),
        "made_by": _made_by(run, seconds),
    }
    return card | {"guidelines": filled(card)}


def write(folder: str | os.PathLike, card: dict[str, Any]) -> None:
    """Write card.json and card.md into a folder."""
    atomic_write(Path(folder) / "card.json", as_json(card))
    atomic_write(Path(folder) / "card.md", in_words(card).encode("utf-8", "backslashreplace"))


# ---- the parts -----------------------------------------------------------------------------------------------------


def subgroups(column: str, values: list[str], right: np.ndarray) -> list[dict[str, Any]]:
    """The share of right answers in each group of test examples, with Wilson's 95 % interval.

    Arguments: column, what the groups are; values (N,), the group of each example; right (N,), whether its answer is right.

    >>> subgroups("class", ["ill", "ill", "well"], np.array([True, False, True]))[0]["accuracy"]
    0.5
    """
    rows = []
    for value in sorted(set(values)):
        mine = right[[v == value for v in values]]
        ends = [float(v) for v in wilson_interval(int(mine.sum()), len(mine))]
        rows.append({"column": column, "value": value, "count": len(mine), "accuracy": float(mine.mean()), "interval": ends})
    return rows


def _called(run: Run) -> np.ndarray:
    names, positive = run.study.class_names, run.metrics["positive_class"]
    return evaluation.called_class(run.table, None if positive is None else names.index(positive), run.metrics["threshold"])


def _sites(test: Examples, right: np.ndarray) -> list[dict[str, Any]] | None:
    """The subgroups by site; None where nobody knows the sites."""
    sites = getattr(test, "site", None)
    return None if sites is None else subgroups("site", [str(site) for site in sites], right)


def _split(run: Run) -> dict[str, Any]:
    """At which level the parts are disjoint, and how that is known."""
    study = run.study
    said = [note for note in study.notes if "set aside" in note or "patient" in note]
    known: list[Any] = [getattr(getattr(study, name), "patient", None) for name in SPLITS]
    if all(part is not None for part in known):
        shared = len(set(known[0]) & {*known[1], *known[2]})
        level = "patient" if shared == 0 else "file"
        how = "no patient is in two parts" if shared == 0 else f"{shared} patients of the training are in another part, too"
        return {"level": level, "how": [how, *said]}
    apart = any("patient by patient (" in note for note in said) and not any(" are in both " in note for note in said)
    level = "patient" if apart else "file"
    doubt = [] if level == "patient" else ["patients are not known, so that one may be in two parts"]
    return {"level": level, "how": said or doubt}


def _model(run: Run) -> dict[str, Any]:
    settings = run.metrics["settings"]
    return {
        "network": run.kind.describe_network(run.plan),
        "parameters": int(run.model.count_params()),
        "layers": [type(layer).__name__ for layer in run.model.all_layers()],
        "members": settings["members"],
        "output": "probabilities of the classes",
    }


def _initial(run: Run) -> str:
    """Where the weights begin."""
    drawn = "Initial weights of the last layer" if run.metrics.get("start") else "Initial weights"
    return f"{drawn} are drawn at random, seed {run.seed}."


def _chosen(run: Run, history: dict[str, Any]) -> list[dict[str, str]]:
    """What was chosen, and on which part of the data."""
    settings, plan, metrics = run.metrics["settings"], run.plan, run.metrics
    best, fixed = int(np.argmin(history["val_loss"])) + 1, "no data: fixed before"
    weights = {
        "best": (f"of epoch {best}, the lowest validation loss", "validation part"),
        "last": ("the average over the last steps", fixed),
        "each": ("of each training its own; late fusion calibrates each modality", "validation part"),
    }[plan.weights]
    rows = [
        ("weights", *weights),
        ("threshold", _threshold(metrics), "validation part" if settings.get("sensitivity") else fixed),
        ("network", *_network(run, fixed)),
        ("limit of unlike inputs", f"{metrics['unlike']['limit']:.3g}", "validation part"),
    ]
    if (temperature := (run.model.preprocessing or {}).get("temperature")) is not None:
        rows.append(("temperature", f"{temperature:.3g}", "validation part"))
    rows.append(("nothing", "the figures of this card", "test part, looked at once"))
    return [{"what": what, "value": value, "on": on} for what, value, on in rows]


def _network(run: Run, fixed: str) -> tuple[str, str]:
    """The network, and the part of the data on which it was chosen."""
    if fusion := (run.model.preprocessing or {}).get("fusion"):
        return f"{fusion} fusion, which has the highest ROC AUC of three", "validation part"
    return str(run.plan.network), "folds of the training part" if run.metrics["settings"]["choose"] else fixed


def _threshold(metrics: dict[str, Any]) -> str:
    """On the probability of the positive class; with more than two classes there is none."""
    return "none: the most probable class is called" if metrics["threshold"] is None else f"{metrics['threshold']:.3g}"


def _errors(run: Run) -> list[dict[str, Any]]:
    """The most confident wrong answers on the test."""
    called, test, known = _called(run), run.study.test, run.study.class_names
    wrong = np.flatnonzero(called != test.y)
    worst = wrong[np.argsort(-run.table[wrong, called[wrong]], kind="stable")][:MOST]
    return [
        {
            "example": run.study.name("test", int(i)),
            "truth": known[test.y[i]],
            "called": known[called[i]],
            "probability": round(float(run.table[i, called[i]]), 4),
        }
        for i in worst
    ]


def _limits(run: Run) -> list[str]:
    """What must be known before the figures are believed."""
    metrics, noun = run.metrics, run.study.noun
    said = [] if metrics["verdict"].startswith("Better than") else [metrics["verdict"]]
    if (start := metrics.get("start")) is not None:
        said += [start["warning"]] if start["warning"] else []
        said.append(start["sentences"][-1])
    if run.study.synthetic:
        said.append("The data is synthetic: the figures say nothing about patients.")
    if not metrics.get("elsewhere"):
        said.append(f"Not tested on {noun} from another place.")
    said += [f"{row['path']}: {row['warnings'][0]}" for row in metrics.get("elsewhere") or [] if row["warnings"]]
    if _split(run)["level"] != "patient":
        said.append("Training and test are disjoint by file: a patient may be on both sides.")
    if getattr(run.study.test, "site", None) is None:
        said.append("Sex, age and site are not known: whether it is fair to all groups is not known either.")
    return said


def _made_by(run: Run, seconds: float) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0).isoformat()
    versions = {"tinydx": tinydx.__version__, "python": platform.python_version(), "numpy": np.__version__}
    return {**versions, "seed": run.seed, "time": now, "seconds": round(seconds), "settings": run.metrics["settings"]}


# ---- the guidelines ------------------------------------------------------------------------------------------------


def filled(card: dict[str, Any]) -> list[dict[str, str]]:
    """The items of both guidelines, each with `filled`: "yes", "in part" or "no", and the part of the card that fills it.

    >>> [item["filled"] for item in filled({"split": {"level": "patient"}}) if item["item"] in ("20", "21")]
    ['yes', 'no', 'no']
    """
    head, *lines = GUIDELINES.read_text(encoding="utf-8").splitlines()
    items = [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in lines]
    said = {"whole": "yes", "part": "in part"}
    return [
        {
            "guideline": item["guideline"],
            "item": item["item"],
            "about": item["words"],
            "filled": said[item["share"]] if item["part"] and card.get(item["part"]) else "no",
            "part": item["part"],
        }
        for item in items
    ]


# ---- in words ------------------------------------------------------------------------------------------------------


def in_words(card: dict[str, Any]) -> str:
    """The card as Markdown."""
    made, model, results = card["made_by"], card["model"], card["results"]
    version = f"tinydx {made['tinydx']}, {made['time']}, seed {made['seed']}, {made['seconds']} s in all"
    split = f"The parts are disjoint by **{card['split']['level']}**:"
    network = f"{_md(model['network'])}; {model['parameters']:,} parameters; members: {model['members']}."
    blocks = [
        [HEAD, "", f"{_md(card['title'])}. {version}."],
        ["## Use", "", card["use"]],
        ["## Before the figures", "", *_bullets(card["limits"])],
        ["## Data", "", *_data(card["data"]), "", split, "", *_bullets(card["split"]["how"])],
        ["## Model", "", network, "", *_bullets(card["training"])],
        ["## What was chosen on what", "", *_table(["what", "value", "on"], card["chosen"])],
        ["## Test", "", *_results(results)],
        ["## Subgroups of the test", "", *_subgroups([*card["subgroups"], *(card["sites"] or [])])],
        ["## The most confident wrong answers", "", *_table(["example", "truth", "called", "probability"], card["errors"])],
    ]
    said = [part["sentence"] for part in (card["changed"], card["unlike"]) if part]
    places = card["elsewhere"] or []
    said += [f"{row['path']}: ROC AUC {figure(row, 'roc_auc')}, {row['count']} {row['noun']}" for row in places]
    blocks += [["## Robustness, other places, unlike inputs", "", *_bullets(said)]] if said else []
    blocks.append(["## Reporting guidelines", "", *_guidelines(card["guidelines"])])
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _md(text: Any) -> str:
    """A text of the world in Markdown: control characters and marks escaped."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$])", r"\\\1", names.shown(str(text)))


def _bullets(said: list[str]) -> list[str]:
    return [f"- {_md(sentence)}" for sentence in said] or ["- nothing"]


def _table(columns: list[str], rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return ["None."]
    lines = [f"| {' | '.join(map(_md, columns))} |", "|" + "---|" * len(columns)]
    return lines + [f"| {' | '.join(_md(row[c]) for c in columns)} |" for row in rows]


def _data(data: dict[str, Any]) -> list[str]:
    counts = [{"part": part, **found} for part, found in data[data["kind"]].items()]
    kind = f"Synthetic {data['kind']}" if data["synthetic"] else data["kind"].capitalize()
    return [f"{kind}, {_md(data['form'])}.", "", *_table(list(counts[0]), counts), "", *_bullets(data["notes"])]


def _results(results: dict[str, Any]) -> list[str]:
    rows = [{"figure": key.replace("roc_auc", "ROC AUC"), "test": figure(results, key)} for key in ("roc_auc", *RATES)]
    baselines = [
        {"baseline": row["name"]} | {key: "-" if row[key] is None else f"{row[key]:.3f}" for key in ("roc_auc", "accuracy")}
        for row in results["baselines"]
    ]
    about = f"{results['count']} examples, looked at once; threshold: {_threshold(results)}"
    about += f"; positive class {_md(results['positive_class'])}." if results["positive_class"] else "."
    lines = [about, "", *_table(["figure", "test"], rows), "", *_table(["baseline", "roc_auc", "accuracy"], baselines)]
    return [*lines, "", _md(results["verdict"])]


def _subgroups(rows: list[dict[str, Any]]) -> list[str]:
    shown = [
        {
            **{key: row[key] for key in ("column", "value", "count")},
            "right answers": f"{row['accuracy']:.3f} ({row['interval'][0]:.3f} to {row['interval'][1]:.3f})",
        }
        for row in rows
    ]
    return _table(["column", "value", "count", "right answers"], shown)


def _guidelines(items: list[dict[str, str]]) -> list[str]:
    """How many items are filled, and which are left to the authors of a study."""
    lines = ["A guideline is for a study and its authors. This card alone satisfies neither; it fills these items:"]
    for guideline in dict.fromkeys(item["guideline"] for item in items):
        mine = [item for item in items if item["guideline"] == guideline]
        by = {key: [i for i in mine if i["filled"] == key] for key in ("yes", "in part", "no")}
        lines += ["", f"**{guideline}**, {len(mine)} items:", ""]
        for key, words in (("yes", "filled"), ("in part", "in part"), ("no", "left to the authors")):
            listed = "; ".join(f"{item['item']} {item['about']}" for item in by[key])
            lines.append(f"- {words} ({len(by[key])}): {listed or 'none'}")
    return lines
