"""The outcome of a milestone as one HTML file: both languages, no script, nothing from another host, light and dark."""

from __future__ import annotations

import ast
import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tinydx.exercises.exercise import Exercise
from tinydx.exercises.folder import Folder
from tinydx.exercises.milestones.assembly import Outcome, verdict
from tinydx.language import chosen, in_chinese, sentence
from tinydx.names import in_html

SHOWN = 6  # test patients on the page
WIDTH, HEIGHT = 480, 200  # of the figure


def page(outcome: Outcome, folder: Folder) -> str:
    """The page's HTML.

    Arguments: outcome; folder of the learner, whose code the page shows.
    """
    milestone = outcome.milestone
    words = '<span class="en">中文</span><span class="zh">English</span>'
    head = _both(milestone.title, milestone.chinese)
    other = _both(milestone.chinese, milestone.title)
    parts = [
        f'<details class="language"{" open" if chosen() == "zh" else ""}><summary>{words}</summary></details>',
        f"<h1>{_say(sentence('Milestone {n}', n=milestone.number))} · {head} <span class='other'>{other}</span></h1>",
        f"<p>{_say(milestone.about)}</p>",
        f"<p class='verdict'>{_say(verdict(outcome))}</p>",
        f"<h2>{_say(sentence('Step by step'))}</h2>",
        f"<p>{_say(sentence('Each row is the whole training again, with the code of one more exercise of yours in it.'))}</p>",
        _figure(outcome),
        _stages(outcome),
        f"<h2>{_say(sentence('Whose code ran'))}</h2>",
        _functions(outcome),
        f"<h2>{_say(sentence('What it says about new patients'))}</h2>",
        _patients(outcome),
        f"<h2>{_say(sentence('Your code'))}</h2>" if outcome.yours else "",
        *(_code(exercise, folder) for exercise in outcome.yours),
    ]
    style = Path(__file__).with_name("milestone.css").read_text("utf-8")
    warning = _say(sentence("tinydx is for learning and research. It is not a medical device."))
    return (
        f'<!doctype html>\n<html lang="{chosen()}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<title>tinydx: {in_html(milestone.title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + f"\n<footer>{warning}</footer>\n</body>\n</html>\n"
    )


def _stages(outcome: Outcome) -> str:
    """The trainings, a row each."""
    names = sentence("last loss"), sentence("accuracy"), sentence("gap")
    rows = ["<tr><th></th>" + "".join(f"<th class='number'>{_say(name)}</th>" for name in names) + "</tr>"]
    for stage in outcome.stages:
        who = _say(sentence("tinydx alone"))
        if stage.exercise:
            who = f"<span class='yours'>+ {breakable(stage.exercise.name)}</span>"
        values = f"{stage.run.losses[-1]:.4f}", f"{stage.run.accuracy:.1%}", f"{stage.gap:.0e}" if stage.gap else "0"
        rows.append(f"<tr><td>{who}</td>" + "".join(f"<td class='number'>{v}</td>" for v in values) + "</tr>")
    about = "gap: the largest difference of a loss or an answer from tinydx alone, as a share of the largest number."
    told = (sentence("{name}: {advice}", name=name, advice=f"{v:.4g}") for name, v in outcome.stages[-1].run.figures.items())
    figures = "".join(f"<br>{_say(one)}" for one in told)
    return f"<table>{''.join(rows)}</table><p class='muted'>{_say(sentence(about))}{figures}</p>"


def breakable(name: str) -> str:
    """A name that may go on in the next line behind each "_", so that a phone shows a table whole."""
    return name.replace("_", "_<wbr>")


def _functions(outcome: Outcome) -> str:
    """The functions of the last training: whose each was, how often it ran, and why it is not the learner's."""
    names = sentence("whose"), sentence("function"), sentence("calls")
    head = f"<th>{_say(names[0])}</th><th>{_say(names[1])}</th><th class='number'>{_say(names[2])}</th>"
    rows = []
    for c in sorted(outcome.stages[-1].calls, key=lambda c: (not c.yours, c.exercise.number)):
        whose = f"<span class='yours'>{_say(sentence('yours'))}</span>" if c.yours else "tinydx"
        told = in_html(c.exercise.file)
        if not c.yours:
            told += f"<br>{_say(outcome.left.get(c.exercise.name, ''))}"
        rows.append(
            f"<tr><td>{whose}</td><td><code>{breakable(c.function)}</code><br><span class='muted'>{told}</span></td>"
            f"<td class='number'>{c.n}</td></tr>"
        )
    return f"<table class='whose'><tr>{head}</tr>{''.join(rows)}</table>"


def _patients(outcome: Outcome) -> str:
    """Some test patients: what the network got, what it answered, and what is true."""
    milestone, run = outcome.milestone, outcome.stages[-1].run
    seen, items = milestone.examples().seen, []
    for i in range(SHOWN):
        answer, truth = int(run.shares[i].argmax()), int(run.truth[i])
        mark = "✓" if answer == truth else "✗"
        told = sentence("answer: {name}, {share:.0%}", name=milestone.classes[answer], share=run.shares[i, answer])
        true = sentence("true: {name}", name=milestone.classes[truth])
        items.append(f"<li>{_seen(seen[i])}<p>{mark} {_say(told)}<br><span class='muted'>{_say(true)}</span></p></li>")
    return f"<ul class='patients'>{''.join(items)}</ul>"


def _seen(example: Any) -> str:
    """An image, a sound as its curve, or a text."""
    if isinstance(example, str):
        return f"<p lang='en'>“{in_html(example)}”</p>"
    if example.ndim == 2:
        file = io.BytesIO()
        Image.fromarray(example).save(file, "png")
        return f'<img alt="" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'
    pieces = example[: len(example) // 200 * 200].reshape(200, -1)
    top, bottom = 60 - 55 * pieces.max(axis=1), 60 - 55 * pieces.min(axis=1)
    line = " ".join(f"M{x} {a:.0f}V{b:.0f}" for x, (a, b) in enumerate(zip(top, bottom, strict=True)))
    return f'<svg viewBox="0 0 200 120" role="img"><path class="last" style="stroke-width:1" d="{line}"/></svg>'


def _figure(outcome: Outcome) -> str:
    """The losses of the last training over those of tinydx alone."""
    alone, last = (outcome.stages[i].run.losses for i in (0, -1))
    top = max(alone)

    def path(losses: list[float]) -> str:
        xs, ys = np.linspace(44, WIDTH - 8, len(losses)), HEIGHT - 30 - np.array(losses) / top * (HEIGHT - 50)
        return " ".join(f"{x:.0f},{y:.1f}" for x, y in zip(xs, ys, strict=True))

    left, right, bottom = 44, WIDTH - 8, HEIGHT - 30
    about = sentence("The loss of each step: blue with your code, the wide line behind it tinydx alone.")
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="loss">'
        f'<polyline class="axis" fill="none" points="{left},16 {left},{bottom} {right},{bottom}"/>'
        f'<text x="38" y="{bottom}" text-anchor="end">0</text><text x="38" y="24" text-anchor="end">{top:.2g}</text>'
        f'<text x="{left}" y="{HEIGHT - 10}">1</text><text x="{right}" y="{HEIGHT - 10}" text-anchor="end">{len(alone)}</text>'
        f'<polyline class="alone" fill="none" points="{path(alone)}"/>'
        f'<polyline class="last" fill="none" points="{path(last)}"/></svg>'
        f"<p class='muted'>{_say(about)}</p>"
    )


def _code(exercise: Exercise, folder: Folder) -> str:
    """The learner's file without its docstring, folded."""
    text = folder.file(exercise).read_text("utf-8", "replace")
    first = ast.parse(text).body[0]
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    code = "\n".join(text.splitlines()[first.end_lineno if is_text else 0 :]).strip()
    title = f"{_say(exercise.title)} · <code>{in_html(exercise.file)}</code>"
    code = "\n".join(map(in_html, code.splitlines()))
    return f"<details><summary>{title}</summary><pre>{code}</pre></details>"


def _say(english: str) -> str:
    """A text in both languages, of which the page shows one."""
    return _both(english, in_chinese(english))


def _both(english: str, chinese: str) -> str:
    return f'<span class="en">{in_html(english)}</span><span class="zh" lang="zh">{in_html(chinese)}</span>'
