"""`tinydx explain MODEL FILE...`: what in each input speaks for the answer, as a picture page and as a page for the browser.

    Kind.read -> x ─┬─ tinydx.explain.METHOD ─> map ─┬─ Kind.heard ─> the recording, and what the model heard: WAV
                    └─ the input itself ─────────────┴─ a panel for each file ─> PNG, and HTML without a network

All maps of a page have one scale, so that they can be compared. Positive evidence is red, negative is blue; Grad-CAM knows
positive evidence only. If a file lies in a folder named like a class, the pages take that for the truth.
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import wave
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import fill, wrap
from typing import Any, NamedTuple

import numpy as np

from tinydx.diagnosis import deciding
from tinydx.diagnosis.finished import kind_of
from tinydx.diagnosis.kind import Heard
from tinydx.diagnosis.predicting import inputs_of
from tinydx.explain import Explanation
from tinydx.explain.checks import METHODS, method_named
from tinydx.files import atomic_write, check_writable
from tinydx.models import load_model
from tinydx.names import in_figure, in_html, line, shown
from tinydx.preprocessing.sound import resample

USUAL = {"image": "grad_cam"}  # of each kind; else integrated gradients
OTHERWISE = "integrated_gradients"
MOST = 48  # files on a page
WIDTH = 52  # characters of a text's lines in its panel
ROW = 3.4  # of a panel in the picture, in inches
PLAYABLE = 8000  # Hz, at least: browsers refuse slower recordings
DISCLAIMER = (
    "A map shows what the model used, not what is true, and not why a patient is ill. Radiologists locate findings better than "
    "such maps do. tinydx is for learning and research. It is not a medical device."
)
CANNOT = {
    "grad_cam": "Grad-CAM is coarse, and knows no evidence against the class.",
    "integrated_gradients": "Integrated gradients depend on the baseline, here {baseline}.",
    "gradient": "The gradient says what a small change would do, not what the score is made of.",
    "gradient_times_input": "Gradient times input misses what a flat stretch of the network hides.",
    "occlusion": "Occlusion shows one patch at a time, and a covered patch is itself unlike any training input.",
    "guided_backpropagation": "Guided backpropagation draws edges whatever the model has learnt: do not believe it.",
}


class Panel(NamedTuple):
    """One file on the page."""

    name: str
    x: np.ndarray  # the input, as the model takes it
    parts: Sequence[str] | None  # words for the places of a map of one axis
    explanation: Explanation
    called: str
    probability: float  # of the class that is called
    positive: float  # probability of the explained class
    truth: str | None
    heard: Heard | None  # of recordings

    @property
    def error(self) -> float | None:
        """How far the answer is from the truth: 1 minus the probability of the true class; None where it is not known."""
        if self.truth is None:
            return None
        return 1 - self.probability if self.truth == self.called else self.probability


def explain_files(
    model_path: str,
    entries: Sequence[str],
    *,
    method: str | None = None,
    target: str | None = None,
    output: str | Path = "explanation.png",
    columns: Mapping[str, str] | None = None,
    say: Callable[[str], None] = print,
) -> list[Panel]:
    """Explain a model's answers for files or texts, and write a page of pictures and one for the browser beside it.

    Arguments: model_path; entries, paths of files or folders, or texts; method, a name of `tinydx.explain.checks.METHODS` (None:
    Grad-CAM for images, else integrated gradients); target, the explained class (None: the one that the model calls); output,
    the PNG's path; the page for the browser has the ending .html; columns, one more input by its columns; say, called with each
    line.
    Recordings also become two WAV files each beside the page: what was recorded, and what the model heard.
    Returns: a `Panel` for each entry.
    Raises: the errors of `load_model`; ValueError for an unknown method or class, too many entries, and, once the page of the
    others is written, for entries that could not be read, which stderr names.
    """
    page = Path(output)
    if page.suffix.lower() != ".png":
        raise ValueError(f"--output {output}: give a name that ends in .png; the page for the browser stands beside it")
    check_writable(page)
    model = load_model(model_path)
    kind = kind_of(model, model_path)
    name = method or USUAL.get(model.preprocessing["kind"], OTHERWISE)
    explain = method_named(name)
    entries = inputs_of(model, kind, entries, columns)
    if len(entries) > MOST:
        raise ValueError(f"{len(entries)} {kind.noun}: a page holds {MOST}; explain them in several runs")
    panels = []
    for entry in entries:
        try:
            x = kind.read(entry, model.preprocessing)
        except (OSError, ValueError) as error:
            print(f"tinydx: {line(error)}", file=sys.stderr)
            continue
        table = deciding.probabilities(model, model.predict_on_batch(x))
        p, best = table[0], int(deciding.called(model, table)[0])
        found = explain(model, x, best if target is None else target)
        parts = kind.parts(entry, model.preprocessing)
        if parts is not None and found.map.ndim == 2:
            found = found.named(padded(parts, found.map.shape[1]))
        folder = Path(entry).parent.name
        truth = folder if folder in model.class_names else None
        explained = float(p[model.class_names.index(found.targets[0])])
        played = kind.heard(entry, model.preprocessing, found.map[0])
        panels.append(Panel(entry, x[0], parts, found, model.class_names[best], float(p[best]), explained, truth, played))
        say(f"{shown(entry)}\t{line(model.class_names[best])}\t{p[best]:.3f}\t{line(found.sentence)}")
    if not panels:
        raise ValueError(f"none of {len(entries)} {kind.noun} could be read: no page was written")
    limits = _limit(panels)
    atomic_write(page, picture_page(panels, limits, name))
    atomic_write(page.with_suffix(".html"), browser_page(panels, limits, name))
    for number, panel in enumerate(panels, 1):
        if panel.heard is not None:
            for what, samples in (("recorded", panel.heard.whole), ("heard", panel.heard.part)):
                atomic_write(page.with_name(f"{page.stem}-{number}-{what}.wav"), wav(samples, panel.heard.rate))
    say(f"Look at {page} or {page.with_suffix('.html')}. {cannot(panels[0].explanation, name)}")
    if missing := len(entries) - len(panels):
        raise ValueError(f"{missing} of {len(entries)} {kind.noun} could not be read; {page} shows the others")
    return panels


def padded(words: Sequence[str], length: int) -> list[str]:
    """Words for all places of a text's map: those beyond the text are padding, which has no evidence."""
    return [*words, *["(padding)"] * (length - len(words))]


def cannot(found: Explanation, method: str) -> str:
    """What the method cannot say, and the disclaimer."""
    return f"{CANNOT[method].format(baseline=found.baseline)} {DISCLAIMER}"


# ---- pictures ------------------------------------------------------------------------------------------------------


def _limit(panels: Sequence[Panel]) -> float:
    """The size of the largest evidence on the page, which gets the strongest colour."""
    return max((float(np.abs(_flat(panel.explanation.map[0])).max()) for panel in panels), default=0.0) or 1.0


def _flat(a: np.ndarray) -> np.ndarray:
    """A map with its channels added up: (H,W), (T,bands) or (T,)."""
    return a.sum(axis=-1) if a.ndim == 3 else a


def _draw_input(axes: Any, panel: Panel) -> None:
    """The input in grey, from its smallest to its largest value; a text as its words."""
    x = panel.x
    if panel.parts is not None or x.ndim == 1:
        axes.set_axis_off()
        words = fill(in_figure(" ".join(panel.parts or [])[:300]), WIDTH)
        axes.text(0, 0.95, words, va="top", fontsize=8, transform=axes.transAxes).set_in_layout(False)
    elif x.ndim == 3:
        span = float(np.ptp(x)) or 1.0
        picture = (x - x.min()) / span
        axes.imshow(picture[..., 0] if x.shape[2] == 1 else picture, cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
    else:
        axes.imshow(x.T, origin="lower", aspect="auto", cmap="gray")
        axes.set(xlabel="time, frames", ylabel="band")


def _draw_map(axes: Any, panel: Panel, limit: float) -> Any:
    """The map on the page's scale, over a pale input; of texts, a bar for each token. Returns what a colour bar describes."""
    values, how = _flat(panel.explanation.map[0]), {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
    if values.ndim == 1:
        words = panel.parts or [str(i) for i in range(len(values))]
        order = np.argsort(-np.abs(values[: len(words)]), kind="stable")[:20][::-1]
        axes.barh(range(len(order)), values[order], color=["#b2182b" if values[i] > 0 else "#2166ac" for i in order])
        axes.set_yticks(range(len(order)), [in_figure(words[i][:24]) for i in order], fontsize=7)
        axes.set_xlim(-limit, limit)
        return None
    picture = values if panel.x.ndim == 3 else values.T
    if panel.x.ndim == 3:
        axes.imshow(panel.x.mean(axis=-1), cmap="gray", alpha=0.35)
        axes.set(xticks=[], yticks=[])
        return axes.imshow(picture, alpha=0.7, **how)
    axes.set(xlabel="time, frames", ylabel="band")
    return axes.imshow(picture, origin="lower", aspect="auto", **how)


def _figure(panels: Sequence[Panel], limit: float, words: str) -> bytes:
    """A PNG with a row for each panel: input, map and sentence."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"text.parse_math": False, "axes.unicode_minus": False, "font.size": 9}):
        height = ROW * len(panels) + (0.8 if words else 0)
        figure = Figure(figsize=(8.5, height), dpi=110, layout="constrained")
        ratios = [ROW] * len(panels) + [0.8] * bool(words)
        rows: Any = figure.subfigures(len(ratios), 1, height_ratios=ratios, squeeze=False).ravel()
        for row, panel in zip(rows, panels, strict=False):
            left, right = row.subplots(1, 2)
            _draw_input(left, panel)
            mappable = _draw_map(right, panel, limit)
            if mappable is not None:
                row.colorbar(mappable, ax=right, label="logit")
            sentence = "\n".join(wrap(in_figure(line(panel.explanation.sentence)), 130))
            row.suptitle(f"{in_figure(_heading(panel))}\n{sentence}", fontsize=8.5)
            right.set_title(in_figure(f"for {line(panel.explanation.targets[0], 40)}"), fontsize=9)
        if words:
            rows[-1].text(0.02, 0.9, words, va="top", wrap=True, fontsize=8)
        file = io.BytesIO()
        figure.savefig(file, format="png")
        return file.getvalue()


def _heading(panel: Panel) -> str:
    """The file, the answer, and the truth where it is known."""
    truth = "" if panel.truth is None else f", folder: {line(panel.truth, 24)}"
    name = os.sep.join(Path(panel.name).parts[-2:]) if os.path.exists(panel.name) else panel.name
    return f"{line(name, 60)}: {line(panel.called, 24)} {panel.probability:.3f}{truth}"


def picture_page(panels: Sequence[Panel], limit: float, method: str) -> bytes:
    """The page as a PNG: a row for each file, what the maps cannot say at the end."""
    return _figure(panels, limit, cannot(panels[0].explanation, method))


def browser_page(panels: Sequence[Panel], limit: float, method: str) -> str:
    """The page as HTML that needs no network: pictures inside, which a click enlarges; sorted by name, probability or error; a
    threshold that can be moved, and what it calls."""
    cards = []
    for panel in panels:
        picture = base64.b64encode(_figure([panel], limit, "")).decode()
        facts = {"p": panel.positive, "error": panel.error, "truth": panel.truth, "target": panel.explanation.targets[0]}
        cards.append(
            f'<figure data-facts="{in_html(json.dumps(facts))}" data-name="{in_html(panel.name)}">'
            f'<img alt="{in_html(_heading(panel))}" src="data:image/png;base64,{picture}">'
            f"{_players(panel)}<figcaption>{in_html(panel.explanation.sentence)} <b></b></figcaption></figure>"
        )
    template = Path(__file__).with_name("explaining.html").read_text("utf-8")
    page = template.replace("{{cannot}}", in_html(cannot(panels[0].explanation, method)))
    return page.replace("{{method}}", in_html(panels[0].explanation.method)).replace("{{cards}}", "\n".join(cards))


def _players(panel: Panel) -> str:
    """Two players for a recording, with the sounds inside the page; nothing for other kinds."""
    if panel.heard is None:
        return ""
    found = []
    for words, samples in (("recorded", panel.heard.whole), ("what the model heard", panel.heard.part)):
        data = base64.b64encode(wav(samples, panel.heard.rate)).decode()
        found.append(f'<label>{words} <audio controls src="data:audio/wav;base64,{data}"></audio></label>')
    return f"<div>{''.join(found)}</div>"


def wav(samples: np.ndarray, rate: int) -> bytes:
    """A recording (L,), -1 to 1, as a WAV file of 16 bits; slower ones than browsers play are resampled."""
    if rate < PLAYABLE:
        samples, rate = resample(samples, rate, PLAYABLE), PLAYABLE
    peak = max(1.0, float(np.abs(samples).max()))
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(np.rint(samples / peak * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


assert set(CANNOT) == set(METHODS)
