"""Section: of patients with several modalities, which modality carried the answer, and what the figures are without some.

test patients ─ with every set of modalities ─> log-odds of the called class ─> exact Shapley values, a row for each patient
              ─ with every set of modalities ─> ROC AUC, interval
              ─ the other fusions, if trained ─> ROC AUC, test of two models on the same patients

The fusion was chosen on the validation part; then each model looked at the test patients once, and nothing is chosen on them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinydx import evaluation, validation
from tinydx.diagnosis import deciding
from tinydx.diagnosis.kinds.fused import FusedKind, FusedStudy, figure
from tinydx.diagnosis.page import BLUE, MARGIN, RED, Band, Page, heading, sentences, tabulated, text_bands
from tinydx.diagnosis.sections import Run, Section
from tinydx.fusion import modality_shares, subsets

LISTED = 1000  # patients whose shares metrics.json has
DRAWN = 24  # patients on the page


def find(run: Run) -> dict[str, Any] | None:
    """The figures with every set of modalities, each patient's shares, the fusions side by side; None for other kinds."""
    if not isinstance(run.kind, FusedKind) or not isinstance(run.study, FusedStudy):
        return None
    how, y = run.study.preprocessing, run.study.test.y
    cases = run.kind.cases(run.study.test, how)
    present = cases.known()

    def answers(mask: np.ndarray) -> np.ndarray:
        outputs = run.model.predict(cases._replace(present=mask).inputs())
        return deciding.probabilities(run.model, outputs)

    called = deciding.called(run.model, run.table)
    found = modality_shares(answers, cases.names, present, called)
    rows = []
    for names in subsets(cases.names):
        mask = present & np.isin(cases.names, names)
        rows.append({"modalities": list(names), "patients": int(mask.any(axis=1).sum()), **_figures(y, answers(mask))})
    carried = found.strongest()
    shares: dict[str, Any] = {
        "names": cases.names,
        "mean_size": np.abs(found.values).mean(axis=0).tolist(),
        "carried": {name: carried.count(name) for name in cases.names},
        "efficiency_error": float(np.abs(found.values.sum(axis=1) - (found.score - found.baseline)).max()),
        "patients": [
            {
                "name": run.study.name("test", i),
                "called": run.study.class_names[called[i]],
                "truth": run.study.class_names[y[i]],
                "shares": [round(float(v), 6) if p else None for v, p in zip(found.values[i], present[i], strict=True)],
                "log_odds": float(found.score[i]),
                "prior": float(found.baseline[i]),
            }
            for i in range(min(len(y), LISTED))
        ],
    }
    result = {"fusion": run.model.preprocessing.get("fusion", run.plan.network), "without": rows, "shares": shares}
    result["fusions"] = _fusions(run, run.kind, run.study)
    return {**result, "sentence": _sentence(result, len(y)), "compared": _compared(result["fusions"])}


def _figures(y: np.ndarray, table: np.ndarray) -> dict[str, Any]:
    """ROC AUC with its interval, and accuracy of the most probable class."""
    accuracy = float(np.mean(table.argmax(axis=1) == y))
    if table.shape[1] == 2 and len(np.unique(y)) == 2:
        area, low, high = validation.delong_interval(y, table[:, 1])
        return {"roc_auc": area, "roc_auc_interval": [low, high], "accuracy": accuracy}
    if len(np.unique(y)) < table.shape[1]:
        return {"roc_auc": None, "roc_auc_interval": None, "accuracy": accuracy}
    interval = evaluation.bootstrap_interval(evaluation.macro_auc, y, table, strata=y)
    return {"roc_auc": float(evaluation.macro_auc(y, table)), "roc_auc_interval": list(interval), "accuracy": accuracy}


def _fusions(run: Run, kind: FusedKind, study: FusedStudy) -> list[dict[str, Any]]:
    """The fusions that `all` trained and each modality alone, on the same test patients, each tested against the chosen one."""
    names, y, rows = study.class_names, study.test.y, []
    chosen = study.preprocessing.get("fusion")
    for how, (model, on_validation) in study.candidates.items():
        cases = kind.cases(study.test, study.candidate_reading(how))
        table = evaluation.probability_table(model.predict(cases.inputs()), names)
        rows.append(_row(f"{how} fusion", table, run.table, y) | {"validation": on_validation, "chosen": how == chosen})
        if how == "late":
            held_out = kind.cases(study.val, study.candidate_reading(how))
            for name in cases.names:
                others = [other for other in cases.names if other != name]
                table = evaluation.probability_table(model.predict(cases.without(*others).inputs()), names)
                alone = evaluation.probability_table(model.predict(held_out.without(*others).inputs()), names)
                row = _row(f"{name} alone", table, run.table, y)
                rows.append(row | {"validation": figure(study.val.y, alone), "chosen": False})
    return sorted(rows, key=lambda row: row["name"].endswith("alone"))


def _row(name: str, table: np.ndarray, chosen: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """A model's figures, and whether it can be told from the chosen one: DeLong's test, or McNemar's for several classes."""
    if table.shape[1] == 2 and len(np.unique(y)) == 2:
        measure, p = "roc_auc", validation.delong_test(y, chosen[:, 1], table[:, 1])
    else:
        measure, p = "accuracy", validation.mcnemar_test(chosen.argmax(axis=1) == y, table.argmax(axis=1) == y)
    return {"name": name, **_figures(y, table), "measure": measure, "p_value": p}


# ---- words and pictures --------------------------------------------------------------------------------------------


def _sentence(found: dict[str, Any], count: int) -> str:
    """Who carried the answers, and what is left without each modality."""
    carried, shares = found["shares"]["carried"], found["shares"]
    who = ", ".join(f"{name} in {n} of {count}" for name, n in sorted(carried.items(), key=lambda item: -item[1]))
    size = ", ".join(f"{name} {v:.2f}" for name, v in zip(shares["names"], shares["mean_size"], strict=True))
    return f"The modality with the largest share of the answer: {who} (exact Shapley values; mean size, in log-odds: {size})."


def _compared(rows: list[dict[str, Any]]) -> str:
    """What the comparison of the fusions says; "" where one was trained."""
    if not rows:
        return ""
    chosen = next(row for row in rows if row["chosen"])
    alone = max((row for row in rows if row["name"].endswith("alone")), key=lambda row: row["validation"])
    verdict = (
        "cannot be told from" if alone["p_value"] >= 0.05 else "is better than" if _better(chosen, alone) else "is worse than"
    )
    others = [row for row in rows if not row["chosen"] and row["name"].endswith("fusion")]
    told = [row["name"] for row in others if row["p_value"] < 0.05]
    rest = f"differs from {' and '.join(told)}" if told else "cannot be told from the other fusions"
    first = "" if verdict == "is better than" else "Fusion is not shown to help: "
    return (
        f"{first}{chosen['name']}, chosen on validation, {verdict} the best single modality there, {alone['name']} "
        f"({_measured(chosen)} against {alone[alone['measure']]:.3f}, p = {alone['p_value']:.2g}), and {rest}."
    )


def _better(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a[a["measure"]] > b[a["measure"]]


def _measured(row: dict[str, Any]) -> str:
    """The figure that the test compares."""
    return f"{row['measure'].replace('roc_auc', 'ROC AUC')} {row[row['measure']]:.3f}"


def words(found: dict[str, Any]) -> list[str]:
    """Lines for the terminal: the comparison first, then what is left without each modality, then the shares."""
    lines = [found["compared"]] if found["compared"] else []
    if found["fusions"]:
        lines.append("On the same test patients, at which every model looked once:")
        lines += [f"  {row['name']:<20} ROC AUC {_with_interval(row)}{_mark(row)}" for row in found["fusions"]]
    lines.append("With these modalities only:")
    lines += [f"  {' + '.join(row['modalities']):<28} ROC AUC {_with_interval(row)}" for row in found["without"]]
    return [*lines, found["sentence"]]


def _mark(row: dict[str, Any]) -> str:
    return "  chosen on validation" if row["chosen"] else f"  p = {row['p_value']:.2g}"


def _with_interval(row: dict[str, Any]) -> str:
    """An ROC AUC with its interval."""
    if row["roc_auc"] is None:
        return f"not known, accuracy {row['accuracy']:.3f}"
    low, high = row["roc_auc_interval"]
    return f"{row['roc_auc']:.3f} ({low:.3f} to {high:.3f})"


def bands(page: Page, found: dict[str, Any]) -> list[Band]:
    """Two tables, and the shares of some patients as bars."""
    lines = [heading(f"Several modalities: {found['fusion']} fusion")]
    lines += sentences(found["compared"]) if found["compared"] else []
    if found["fusions"]:
        rows = [["model", "validation", "test ROC AUC (95 %)", "against the chosen one"]]
        for row in found["fusions"]:
            rows.append([row["name"], f"{row['validation']:.3f}", _with_interval(row), _mark(row).strip()])
        lines += tabulated((MARGIN, 2.6, 3.9, 6.4), rows, 40)
        lines += sentences("The same test patients; each model looked at them once, and nothing was chosen on them.")
    lines += sentences("What is left of it where other modalities are missing:")
    rows = [["with only", "patients", "test ROC AUC (95 %)", "accuracy"]]
    for row in found["without"]:
        name = " + ".join(row["modalities"])
        rows.append([name, str(row["patients"]), _with_interval(row), f"{row['accuracy']:.3f}"])
    lines += tabulated((MARGIN, 3.6, 4.8, 7.4), rows, 48)
    lines += sentences(found["sentence"])
    return [*text_bands(lines), Band(3.2, lambda band: _plot(band, found["shares"]))]


def _plot(band: Any, shares: dict[str, Any]) -> None:
    """For some patients a bar of each modality's share, in the order of their log-odds."""
    patients = shares["patients"]
    drawn = np.sort(np.random.default_rng(0).permutation(len(patients))[:DRAWN])
    some = sorted((patients[i] for i in drawn), key=lambda row: row["log_odds"])
    axes = band.subplots()
    width, colors = 0.8 / len(shares["names"]), ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
    for m, name in enumerate(shares["names"]):
        values = [row["shares"][m] or 0.0 for row in some]
        places = np.arange(len(some)) + (m - (len(shares["names"]) - 1) / 2) * width
        axes.bar(places, values, width, color=colors[m], label=name)
    axes.axhline(0, color="#627d98", linewidth=0.8)
    ticks = axes.set_xticks(range(len(some)), [row["name"].split(":")[-1] for row in some], fontsize=7)
    for tick, row in zip(ticks, some, strict=True):
        tick.label1.set_color(BLUE if row["called"] == row["truth"] else RED)
    axes.set(ylabel="share, log-odds", xlabel="test patients, by their line in the table (red: called wrongly)")
    axes.set_title("What each modality contributed for the class that was called")
    axes.legend(ncols=4, fontsize=8, loc="upper left")


SECTION = Section("fusion", 2, find, words, bands)
