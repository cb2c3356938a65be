"""Section: how far the probabilities can be taken at their word, and what to decide by them.

    outputs on validation and test ─┬─ before and after the temperature ─> log loss, Brier score, calibration error, a curve
                                    ├─ conformal sets for several alpha ─> share referred to a doctor, error of the rest
                                    ├─ net benefit over thresholds ──────> beside treating all and treating none (two classes)
                                    └─ threshold for a sensitivity ──────> chosen on validation, judged on test (two classes)

Temperature, scores and threshold are those in the model's file (`deciding.settle`): `tinydx predict` decides as told here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinydx import evaluation, validation
from tinydx.diagnosis import deciding
from tinydx.diagnosis.page import (
    BLUE,
    CLASS_COLORS,
    DIAGONAL,
    INK,
    MARGIN,
    MUTED,
    Band,
    Page,
    figure_of,
    heading,
    message,
    sentences,
    short,
    tabulated,
    text_bands,
)
from tinydx.diagnosis.sections import Run, Section

ALPHAS = (0.01, 0.05, 0.1)  # of the table
SENSITIVITY = 0.95  # of the threshold, where none is asked for
CURVE = np.arange(0.005, 0.3, 0.005)  # alphas of the picture
THRESHOLDS = np.arange(0.01, 1, 0.01)
DRAWS = 200  # test sets, for the interval of the net benefit
WHEN = ("before", "after")  # the temperature
FAR = 0.1  # calibration error from which it is said


def find(run: Run) -> dict[str, Any]:
    """All findings: temperature, reliability, referral, and for two classes net_benefit and sensitivity; and sentences."""
    outputs, tables, reliability = {}, {}, {}
    for name in ("val", "test"):
        part = getattr(run.study, name)
        answers = run.model.predict(run.kind.plain_batches(run.study, part, run.plan.batch))
        outputs[name] = evaluation.probability_table(answers, run.study.class_names)
        tables[name] = deciding.probabilities(run.model, answers)
        reliability[name] = {w: _reliability(run, part.y, t) for w, t in zip(WHEN, (outputs[name], tables[name]), strict=True)}
    found = {
        "temperature": run.model.preprocessing["temperature"],
        "reliability": reliability,
        "referral": [_referral(run, outputs["test"], alpha) for alpha in ALPHAS],
        "referral_curve": [[row["referred"], row["error"]] for row in (_referral(run, outputs["test"], a) for a in CURVE)],
        "net_benefit": _net_benefit(run, tables["test"]),
        "sensitivity": _sensitivity(run, tables),
    }
    return {**found, "temperature_words": _on_temperature(run, found), "scores_words": _on_scores(run)}


def _positive(run: Run) -> int | None:
    """The class that two-class decisions are about."""
    names = run.study.class_names
    return evaluation.positive_class(names) if len(names) == 2 else None


def _reliability(run: Run, y: np.ndarray, table: np.ndarray) -> dict[str, Any]:
    """How far probabilities are from what comes true, of the positive class or with more classes of the class called; ROC AUC."""
    positive = _positive(run)
    true, p = (y == table.argmax(axis=1), table.max(axis=1)) if positive is None else (y == positive, table[:, positive])
    complete = len(np.unique(y)) == table.shape[1]
    return {
        "roc_auc": evaluation.macro_auc(y, table) if complete else None,  # of many classes, a temperature can move it
        "log_loss": validation.log_loss(validation.logits_of(table), y),
        "brier_score": evaluation.brier_score(y, table) if positive is None else evaluation.brier_score(true, p),
        "expected_calibration_error": evaluation.expected_calibration_error(true, p),
        "curve": evaluation.calibration_curve(true, p),
    }


def _referral(run: Run, outputs: np.ndarray, alpha: float) -> dict[str, Any]:
    """On the test: the share whose set is not one class alone, the error of the rest, and how often sets hold the true class."""
    y, inside = run.study.test.y, deciding.sets(run.model, outputs, alpha)
    answered, held = inside.sum(axis=1) == 1, inside[np.arange(len(y)), y]
    row: dict[str, Any] = {"alpha": float(alpha), "answered": int(answered.sum())}
    row |= _share("referred", ~answered) | _share("error", ~held[answered]) | _share("coverage", held)
    of_class = [float(held[y == k].mean()) for k in range(len(run.study.class_names)) if (y == k).any()]
    return row | {"lowest_class_coverage": min(of_class)}


def _share(key: str, hits: np.ndarray) -> dict[str, Any]:
    """The share of hits with Wilson's interval; None of nothing."""
    if not len(hits):
        return {key: None, f"{key}_interval": None}
    return {key: float(hits.mean()), f"{key}_interval": list(evaluation.wilson_interval(int(hits.sum()), len(hits)))}


def _net_benefit(run: Run, table: np.ndarray) -> dict[str, Any] | None:
    """Net benefit on the test, with the range over test sets drawn with replacement."""
    positive = _positive(run)
    if positive is None:
        return None
    ill, p, rng = run.study.test.y == positive, table[:, positive], np.random.default_rng(run.seed)
    model, everybody = validation.net_benefit(ill, p, THRESHOLDS)
    drawn = [validation.net_benefit(ill[rows], p[rows], THRESHOLDS)[0] for rows in rng.integers(len(p), size=(DRAWS, len(p)))]
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    useful = THRESHOLDS[model > np.maximum(everybody, 0)]
    return {
        "positive": run.study.class_names[positive],
        "thresholds": THRESHOLDS.round(2).tolist(),
        **{key: v.tolist() for key, v in (("model", model), ("low", low), ("high", high), ("treat_all", everybody))},
        "useful": [float(useful.min()), float(useful.max())] if len(useful) else None,
    }


def _sensitivity(run: Run, tables: dict[str, np.ndarray]) -> dict[str, Any] | None:
    """The threshold that is used, and the one for a sensitivity, both on validation and test."""
    positive, val = _positive(run), run.study.val.y
    if positive is None or len(np.unique(val)) < 2:
        return None
    wanted = (run.metrics.get("settings") or {}).get("sensitivity") or SENSITIVITY
    threshold = deciding.threshold_for(tables["val"][:, positive], val == positive, wanted)
    rows = [_rates(run, tables, positive, "in use", run.plan.threshold)]
    if threshold != run.plan.threshold:
        rows.append(_rates(run, tables, positive, f"for {100 * wanted:g}% sensitivity on validation", threshold))
    return {"wanted": wanted, "positive": run.study.class_names[positive], "rows": rows}


def _rates(run: Run, tables: dict[str, np.ndarray], positive: int, name: str, threshold: float) -> dict[str, Any]:
    """Sensitivity and specificity at a threshold on validation and test."""
    row: dict[str, Any] = {"name": name, "threshold": threshold}
    for part, table in tables.items():
        ill = getattr(run.study, part).y == positive
        called = evaluation.called_class(table, positive, threshold) == positive
        row[part] = _share("sensitivity", called[ill]) | _share("specificity", ~called[~ill])
    return row


# ---- in words and pictures -----------------------------------------------------------------------------------------


def _on_temperature(run: Run, found: dict[str, Any]) -> str:
    """What the temperature is, how it came about, and what it does and does not change."""
    n, noun, t = len(run.study.val.y), run.study.noun, found["temperature"]
    if t == 1:
        few = f"at least {deciding.LEAST} {noun} of several classes, and some of them called wrongly"
        return f"All probabilities are the model's own: a temperature needs {few}, in the validation part of {n}."
    before, after = (found["reliability"]["test"][when] for when in WHEN)
    kept = "the classes called" if _positive(run) is None else "the classes called and the ROC area"
    text = (
        "All probabilities, here and in `tinydx predict`, are calibrated: the model's own, made "
        f"{'less sure' if t > 1 else 'surer'} by a temperature of {t:.2f} fitted on {n} validation {noun}; {kept} stay. "
        f"Log loss on the test: {before['log_loss']:.3f} before, {after['log_loss']:.3f} after."
    )
    error = after["expected_calibration_error"]
    if error < FAR:
        return text
    return f"{text} They still are {error:.2f} off on average: a temperature cannot move all of them towards one class."


def _on_scores(run: Run) -> str:
    """On what the promise of conformal sets rests."""
    noun = run.study.noun
    chosen = [f"the best of {run.plan.epochs} epochs"] if run.plan.weights == "best" else []
    chosen += ["the network"] if run.metrics.get("choice") else []
    if chosen:
        return (
            f"On the same validation {noun}, {' and '.join(chosen)} was chosen, so the promise is approximate: with half of "
            "them set aside, the misses would on average lie farther from it, because they scatter more."
        )
    return f"Neither weights nor network were chosen on the validation {noun}, so the promise holds for {noun} like them."


def words(found: dict[str, Any]) -> list[str]:
    """The temperature, the referral at 5 %, and the threshold for a sensitivity."""
    lines = [found["temperature_words"]]
    row = found["referral"][1]
    if row["error"] is None:
        lines.append("Referring to a doctor (--refer 0.05): every input, since there are too few validation examples.")
    else:
        lines.append(
            f"With `tinydx predict --refer {row['alpha']:g}`, {row['referred']:.1%} of the test is left to a doctor, and "
            f"{row['error']:.1%} of the rest is wrong."
        )
    for row in (found["sensitivity"] or {"rows": []})["rows"][1:]:
        test = row["test"]
        lines.append(
            f"The threshold {row['name']}, {row['threshold']:.3f}, has on the test a sensitivity of "
            f"{figure_of(test, 'sensitivity', '{:.3f}')} and a specificity of {figure_of(test, 'specificity', '{:.3f}')}."
        )
    return lines


def bands(page: Page, found: dict[str, Any]) -> list[Band]:
    """Words and the reliability, three pictures, two tables."""
    top = [heading("Calibration and decisions"), *sentences(found["temperature_words"]), *_reliability_lines(found)]
    tables = [*_referral_lines(page, found), *_sensitivity_lines(found)]
    return [*text_bands(top), Band(3.3, lambda band: _plot(band, page, found)), *text_bands(tables)]


def _shown(found: dict[str, Any]) -> tuple[str, ...]:
    """Before and after the temperature, if there is one."""
    return WHEN[found["temperature"] == 1 :]


def _reliability_lines(found: dict[str, Any]) -> list[Any]:
    """How far the probabilities are off, and the ROC AUC."""
    keys = ("log_loss", "brier_score", "expected_calibration_error", "roc_auc")
    rows = [["", "log loss", "Brier score", "calibration error", "ROC AUC"]]
    for part, name in (("val", "validation"), ("test", "test")):
        for when in _shown(found):
            figures = found["reliability"][part][when]
            title = name if found["temperature"] == 1 else f"{name}, {when} the temperature"
            rows.append([title, *(figure_of(figures, key, "{:.3f}") for key in keys)])
    return tabulated((MARGIN, 3.9, 4.9, 6.1, 7.7), rows, 45)


def _referral_lines(page: Page, found: dict[str, Any]) -> list[Any]:
    """Share referred, error of the rest and realised coverage, for each alpha."""
    wrong = 1 - page.metrics["accuracy"]
    rows = [["misses allowed", "referred", "error of the rest", "misses on the test", "most in a class"]]
    for row in found["referral"]:
        missed = {"missed": 1 - row["coverage"], "missed_interval": [1 - v for v in row["coverage_interval"][::-1]]}
        rows.append(
            [
                f"{row['alpha']:.0%}",
                figure_of(row, "referred", "{:.1%}"),
                figure_of(row, "error", "{:.1%}"),
                figure_of(missed, "missed", "{:.1%}"),
                f"{1 - row['lowest_class_coverage']:.1%}",
            ]
        )
    text = (
        "`tinydx predict --refer 0.05` names the classes that cannot be ruled out: in at most 5% of all inputs it leaves out the "
        "true one. One class alone is an answer; the other inputs are referred to a doctor. Without referral "
        f"{wrong:.1%} of the test is wrong, and referring at random does not change that. {found['scores_words']}"
    )
    return [heading("Referred to a doctor"), *sentences(text), *tabulated((MARGIN, 1.6, 3.6, 5.6, 7.9), rows, 20)]


def _sensitivity_lines(found: dict[str, Any]) -> list[Any]:
    """The thresholds with what they do on validation and test."""
    part = found["sensitivity"]
    if part is None:
        return []
    rows = [["threshold", "", "validation: sens., spec.", "test: sensitivity", "test: specificity"]]
    for row in part["rows"]:
        val = " ".join("-" if row["val"][key] is None else f"{row['val'][key]:.1%}" for key in ("sensitivity", "specificity"))
        test = [figure_of(row["test"], key, "{:.1%}") for key in ("sensitivity", "specificity")]
        rows.append([row["name"], f"{row['threshold']:.3f}", val, *test])
    title = heading(f"Thresholds on the probability of {short(part['positive'], 30)}")
    return [title, *tabulated((MARGIN, 2.75, 3.35, 5.0, 6.95), rows, 36)]


def _plot(band: Any, page: Page, found: dict[str, Any]) -> None:
    """Reliability, referral and net benefit side by side."""
    axes = band.subplots(1, 2 if found["net_benefit"] is None else 3)
    for each in axes:
        each.tick_params(labelsize=9)
    _plot_reliability(axes[0], page, found)
    _plot_referral(axes[1], page, found)
    if found["net_benefit"] is not None:
        _plot_net_benefit(axes[2], found["net_benefit"])


def _plot_reliability(axes: Any, page: Page, found: dict[str, Any]) -> None:
    axes.plot([0, 100], [0, 100], **DIAGONAL)
    for when, color in [("before", CLASS_COLORS[1]), ("after", BLUE)][-len(_shown(found)) :]:
        points = [(part["predicted"], part["observed"]) for part in found["reliability"]["test"][when]["curve"] if part["count"]]
        axes.plot(*(100 * np.array(points).T), color=color, marker="o", markersize=4, label=f"{when} temperature")
    name = short(page.metrics["positive_class"] or "", 14)
    axes.set_title("Reliability, test", fontsize=11)
    axes.set(xlim=(-2, 102), ylim=(-2, 102))
    axes.set_xlabel(f"Probability of {name} (%)" if name else "Probability of the call (%)", fontsize=9)
    axes.set_ylabel(f"Share that is {name} (%)" if name else "Share that was right (%)", fontsize=9)
    if found["temperature"] != 1:
        axes.legend(fontsize=8, loc="lower right", edgecolor="none")


def _plot_referral(axes: Any, page: Page, found: dict[str, Any]) -> None:
    axes.set_title("Error of the rest, test", fontsize=11)
    points = sorted((r, e) for r, e in found["referral_curve"] if e is not None)
    if not points:
        message(axes, "Every example is referred: there are too few validation examples.")
        return
    wrong = 100 * (1 - page.metrics["accuracy"])
    axes.plot(*(100 * np.array(points).T), color=BLUE, marker="o", markersize=3)
    axes.axhline(wrong, color=MUTED, linestyle=":")
    where = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "bottom"}
    axes.text(0.98, wrong, "referred at random", fontsize=8, color=MUTED, **where)
    axes.set_xlabel("Referred to a doctor (%)", fontsize=9)
    axes.set_ylabel("Wrong among the rest (%)", fontsize=9)
    axes.set_ylim(bottom=0)
    axes.margins(y=0.15)


def _plot_net_benefit(axes: Any, part: dict[str, Any]) -> None:
    t = 100 * np.array(part["thresholds"])
    axes.fill_between(t, part["low"], part["high"], color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(t, part["model"], color=BLUE, label="model")
    axes.plot(t, part["treat_all"], color=CLASS_COLORS[1], label="treat all")
    axes.axhline(0, color=INK, linewidth=1, label="treat none")
    top = max(max(part["high"]), max(part["treat_all"]))
    axes.set(xlim=(0, 100), ylim=(-0.25 * top, 1.1 * top))
    axes.set_title("Net benefit, test", fontsize=11)
    axes.set_xlabel("Treated from this probability on (%)", fontsize=9)
    axes.set_ylabel("True positives per patient", fontsize=9)
    axes.legend(fontsize=8, loc="upper right", edgecolor="none")


SECTION = Section("decisions", 40, find, words, bands)
