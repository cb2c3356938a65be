"""A lesson at every position of its controls, computed beforehand, so that its figures move on a page that runs no Python.

    a run of the lesson -> the cells that depend on a control -> each again at all positions -> HTML, and files of pictures

Where a figure would have more than MOST frames, its controls get fewer positions, evenly spread, among them the one that the
lesson opens with. What was computed is kept in a folder, under a name that changes with the lesson, the engine and the libraries.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import io
import itertools
import json
import re
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from PIL import Image

from tinydx.files import atomic_write
from tinydx.lessons import Lesson, all_lessons
from tinydx.lessons.handout import with_mathml

MOST = 25  # frames of one figure
ROOT = Path(__file__).parents[1]
ELEMENT = re.compile(r"<marimo-ui-element object-id='([^']+)'.*?</marimo-ui-element>", re.DOTALL)
EMBEDDED = re.compile(r'src="data:image/png;base64,([^"]+)"')


class Cell(NamedTuple):
    """What a cell shows: one frame, or one for each combination of positions of the controls that it depends on."""

    controls: list[str]
    frames: dict[str, str]  # "3,0", the first control at its position 3, the second at 0 -> HTML
    start: str  # the frame that is shown first


def cells(lesson: Lesson, folder: Path) -> list[Cell]:
    """What a lesson's cells show. Their pictures are files in `folder/pictures`, which they call "pictures/NAME".

    Raises: ValueError that says what stopped the lesson.
    """
    kept = folder / f"{lesson.path.stem}-{digest(lesson.path, *map(str, all_lessons()))}.json"
    if not kept.exists():
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
        atomic_write(kept, json.dumps(_Run(lesson, folder / "pictures").cells(), ensure_ascii=False))
    return [Cell(*cell) for cell in json.loads(kept.read_text("utf-8"))]


def digest(*things: Path | str) -> str:
    """A name for files, texts, and all that lessons are computed with: the engine, this program, and the libraries."""
    total = hashlib.sha256(_engine())
    for thing in things:
        total.update(thing.read_bytes() if isinstance(thing, Path) else thing.encode())
    return total.hexdigest()[:16]


@functools.cache
def _engine() -> bytes:
    total = hashlib.sha256(" ".join(version(name) for name in ("marimo", "matplotlib", "numpy")).encode())
    engine = [file for part in ("tinydx", "kernels") for file in (ROOT / part).rglob("*.*") if file.suffix != ".pyc"]
    for file in (*sorted(engine), ROOT / "lessons" / "glossary.tsv", Path(__file__)):
        if file.is_file():
            total.update(file.read_bytes())
    return total.digest()


class _Control(NamedTuple):
    """A control of a lesson, and what it may be set to."""

    name: str
    element: str  # the identity of marimo's element
    label: str
    values: list[Any]
    words: list[str]  # the values as a page names them
    start: int
    is_list: bool = False

    def thinned(self) -> _Control:
        """The control with one position less, evenly spread."""
        last, count = len(self.values) - 1, len(self.values) - 1
        kept = [round(i * last / (count - 1)) for i in range(count)]
        nearest = min(range(count), key=lambda i: abs(kept[i] - self.start))
        kept[nearest] = self.start
        return self._replace(values=[self.values[i] for i in kept], words=[self.words[i] for i in kept], start=nearest)

    def html(self) -> str:
        """The element of a page that theme/frames.js connects with the frames."""
        label, words = html.escape(self.label), [html.escape(word) for word in self.words]
        if self.is_list:
            rows = (f"<option value={i}{' selected' * (i == self.start)}>{word}</option>" for i, word in enumerate(words))
            field = f'<select name="{self.name}" autocomplete="off">{"".join(rows)}</select>'
        else:
            field = (
                f'<output>{words[self.start]}</output><input type="range" name="{self.name}" autocomplete="off"'
                f' max="{len(words) - 1}" value="{self.start}" data-words="{html.escape(json.dumps(self.words))}">'
            )
        return f'<label class="control">{label} {field}</label>'


def _control(name: str, value: Any) -> _Control | None:
    """The control in a lesson's variable; None for other variables, and for a field to type words into."""
    import marimo as mo

    if not isinstance(value, mo.ui.slider | mo.ui.dropdown):
        return None
    label = re.search(r"data-label='([^']*)'", value.text)
    words = re.sub(r"<[^>]+>", "", json.loads(html.unescape(label[1]))).strip()
    element = ELEMENT.search(value.text)[1]
    if isinstance(value, mo.ui.dropdown):
        options = list(value.options.values())
        return _Control(name, element, words, options, list(value.options), options.index(value.value), True)
    step = value.step or 1
    steps = value.steps or [value.start + i * step for i in range(round((value.stop - value.start) / step) + 1)]
    steps = [round(one, 10) if isinstance(one, float) else one for one in steps]
    return _Control(name, element, words, steps, [f"{one:g}" for one in steps], steps.index(value.value))


class _Run:
    """One run of a lesson, and then its cells at other positions, each when it is asked for."""

    def __init__(self, lesson: Lesson, pictures: Path):
        self.lesson, self.pictures = lesson, pictures

    def cells(self) -> list[Cell]:
        """What all cells show."""
        with self.lesson.opened() as app:
            outputs, self.variables = app.run()
            self.code = [data.cell for data in app._cell_manager.cell_data() if data.cell.name != "setup"]
            assert len(self.code) == len(outputs)
            found = {name: _control(name, self.variables[name]) for name in sorted(self.variables)}
            self.controls = {name: control for name, control in found.items() if control}
            self._find_dependent()
            starts = {name: control.start for name, control in self.controls.items()}
            self.done = {(i, self._key(i, starts)): (self._html(out), self.variables) for i, out in enumerate(outputs)}
            return [self._cell(i, starts) for i in range(len(outputs))]

    def _find_dependent(self) -> None:
        """For each cell, the controls that it depends on; the controls with as many positions as are computed."""
        self.maker = {name: i for i, cell in enumerate(self.code) for name in cell.defs}
        self.depends: list[list[str]] = [[] for _ in self.code]
        for _ in self.code:  # as long as the longest chain of cells
            for i, cell in enumerate(self.code):
                behind = set(self.controls) & cell.refs
                behind.update(*(self.depends[self.maker[ref]] for ref in cell.refs if ref in self.maker))
                self.depends[i] = sorted(behind)
        for names in self.depends:
            while (sizes := {name: len(self.controls[name].values) for name in names}) and _product(sizes.values()) > MOST:
                longest = max(sizes, key=sizes.get)
                self.controls[longest] = self.controls[longest].thinned()

    def _key(self, i: int, at: dict[str, int]) -> str:
        return ",".join(str(at[name]) for name in self.depends[i])

    def _at(self, i: int, at: dict[str, int]) -> tuple[str, dict[str, Any]]:
        """What cell i shows and defines where controls stand at these positions."""
        key = i, self._key(i, at)
        if key not in self.done:
            given = {ref: self._value(ref, at) for ref in self.code[i].refs if ref in self.variables}
            output, defined = self.code[i].run(**given)
            self.done[key] = self._html(output), defined
        return self.done[key]

    def _value(self, name: str, at: dict[str, int]) -> Any:
        """A variable, where controls stand at these positions."""
        if name in self.controls:
            return SimpleNamespace(value=self.controls[name].values[at[name]])
        if name not in self.maker:  # of the setup
            return self.variables[name]
        return self._at(self.maker[name], at)[1][name]

    def _cell(self, i: int, starts: dict[str, int]) -> Cell:
        names = self.depends[i]
        positions = itertools.product(*(range(len(self.controls[name].values)) for name in names))
        frames = {self._key(i, at): self._at(i, at)[0] for p in positions for at in [dict(zip(names, p, strict=True))]}
        start = self._key(i, starts)
        return Cell(names, frames, start) if len(set(frames.values())) > 1 else Cell([], {"": frames[start]}, "")

    def _html(self, output: Any) -> str:
        """The HTML of a cell's output: equations as MathML, controls as the page's own, pictures as files."""
        import marimo as mo

        if output is None:
            return ""
        of_element = {control.element: control.html() for control in self.controls.values()}
        text = ELEMENT.sub(lambda found: of_element.get(found[1], found[0]), mo.as_html(output).text)
        return EMBEDDED.sub(self._file, with_mathml(text))

    def _file(self, found: re.Match) -> str:
        """The attributes of an embedded picture, which becomes a file."""
        data = base64.b64decode(found[1])
        path = self.pictures / f"{hashlib.sha256(data).hexdigest()[:16]}.webp"
        image = Image.open(io.BytesIO(data))
        if not path.exists():
            file = io.BytesIO()
            image.convert("RGB").save(file, "webp", lossless=True, method=3)  # a third of the PNG
            atomic_write(path, file.getvalue())
        return f'src="pictures/{path.name}" width="{image.width}" height="{image.height}" loading="lazy"'


def _product(sizes: Any) -> int:
    return functools.reduce(lambda a, b: a * b, sizes, 1)
