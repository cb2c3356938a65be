"""The gallery of slips: every mistake of the catalogue with its code, what the gradient check says of it, and its heat map."""

from __future__ import annotations

import base64
import html
import inspect
import io
import math
import textwrap
from collections.abc import Callable

import numpy as np
from PIL import Image

from tinydx import cards, gradcheck
from tinydx.exercises.exercise import parts_of
from tinydx.gradcheck import Report
from tinydx.gradcheck.text import UNICODE, argument_lines
from tinydx.language import in_chinese, sentence
from tinydx.op import TABLE, Slip

PANELS, CELL = 6, 12  # heat maps of one gradient; pixels of a number on the page
SAY = {"en": sentence, "zh": lambda english, **values: in_chinese(sentence(english, **values))}


def pages() -> dict[str, dict[str, str]]:
    """The pages in Markdown, by their subject (a file of tinydx/gradcheck/slips/) and then by language."""
    made: dict[str, dict[str, list[str]]] = {}
    for op in TABLE.values():
        seen = set()
        for slip in op.slips if op.backward else ():
            subject = slip.backward.__module__.rpartition(".")[2]
            parts = made.setdefault(subject, {language: [f"# {subject}"] for language in SAY})
            with np.errstate(all="ignore"):  # a wrong formula may divide by zero
                report = gradcheck(op, seed=0, backward=slip.backward)
            for language, say in SAY.items():
                if not seen:
                    equation = "\n\n".join(f"$${part}$$" for part in parts_of(op.equation))
                    parts[language].append(f"## {op.name}\n\n{equation}")
                again = "" if slip.name not in seen else " ·"  # the same mistake, made in another way
                parts[language].append(f"### {html.escape(say(slip.name))}{again}\n\n{_slip(slip, report, say)}")
            seen.add(slip.name)
    return {subject: {code: "\n\n".join(parts) + "\n" for code, parts in texts.items()} for subject, texts in made.items()}


def _slip(slip: Slip, report: Report, say) -> str:
    """One mistake: advice, code, message, pictures."""
    given = {slip.advice}  # it stands above
    lines = [line for a in report.arguments for line in argument_lines(a, 0, UNICODE, given, maps=False, say=say)]
    lines += ["  ✗   " + say("{name}: {advice}", name=say(p.name), advice=say(p.advice)) for p in report.problems]
    message = html.escape("\n".join(line.strip() for line in lines))
    maps = "".join(_map(f"{a.label} {caption}", heat) for a in report.arguments if a.wrong for caption, heat in a.heat()[:PANELS])
    return (
        f"{html.escape(say(slip.advice))}\n\n```python\n{_code(slip.backward)}\n```\n\n"
        f'<pre class="said">{message}</pre>\n\n' + (f'<div class="maps">{maps}</div>\n' if maps else "")
    )


def _code(function: Callable) -> str:
    """The code of a mistake; where one function makes several, the part that differs."""
    if function.__name__ != "<lambda>":
        return cards.code(function)
    parts = [value for value in inspect.getclosurevars(function).nonlocals.values() if inspect.isfunction(value)]
    return "\n\n".join(map(cards.code, parts)) or textwrap.dedent(inspect.getsource(function)).strip()


def _map(caption: str, heat: np.ndarray) -> str:
    """A heat map as a picture with a pixel a number, enlarged by the page: pale is right, the redder the more wrong."""
    colours = np.array([[_colour(value) for value in row] for row in heat], np.uint8)
    file = io.BytesIO()
    Image.fromarray(colours).quantize(16).save(file, "png")
    data = base64.b64encode(file.getvalue()).decode()
    rows, columns = heat.shape
    caption = html.escape(caption)
    size = f'width="{CELL * columns}" height="{CELL * rows}"'
    return f'<figure><img alt="{caption}" {size} src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'


def _colour(value: float) -> tuple[int, int, int]:
    if math.isnan(value):
        return 255, 255, 255
    share = 0.25 + 0.75 * value
    return (223, 232, 223) if value == 0 else tuple(round(255 + share * (full - 255)) for full in (192, 40, 40))
