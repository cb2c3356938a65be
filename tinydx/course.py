"""The course: its lessons, as the docstrings of their notebooks describe them, read without running or importing anything.

\"\"\"The convolution sum · 卷积              title · Chinese

Minutes: 15                               time for a learner, with the exercises
Needs: pydicom                            packages besides tinydx's own and marimo, if any
Exercises: conv_sum                       names for `tinydx exercise`
Data: an image · 一张图像                  what `--data PATH` may provide in place of the lesson's own data, if anything
\"\"\"
"""

from __future__ import annotations

import functools
import importlib.util
import linecache
import os
import re
import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tinydx
from tinydx.language import can_show, chosen, listed, said, sentence
from tinydx.names import line
from tinydx.suggestions import did_you_mean

INSTALL = "pip install 'tinydx[lessons]'"
DATA = "TINYDX_LESSON_DATA"  # environment variable: the path of the user's data, also for a notebook in another process


@dataclass(frozen=True)
class Lesson:
    """One lesson of the course."""

    path: Path
    title: str
    chinese: str
    minutes: int
    needs: tuple[str, ...] = ()
    exercises: tuple[str, ...] = ()
    data: str = ""
    data_chinese: str = ""

    @property
    def number(self) -> int:
        return int(self.path.stem.split("_")[0])

    @property
    def name(self) -> str:
        """The name, such as "convolution" for 01_convolution.py."""
        return self.path.stem.split("_", 1)[1]

    @property
    def shown_title(self) -> str:
        """The title in the chosen language, for the terminal."""
        return self.chinese if chosen() == "zh" and can_show(self.chinese) else self.title

    @property
    def other_title(self) -> str:
        """The title in the language that was not chosen."""
        return self.title if self.shown_title == self.chinese else self.chinese

    @property
    def shown_data(self) -> str:
        """Which data it takes, in the chosen language, for the terminal."""
        return self.data_chinese if chosen() == "zh" and can_show(self.data_chinese) else self.data

    @property
    def missing(self) -> list[str]:
        """The packages that it needs and that are not installed."""
        return [package for package in ("marimo", "latex2mathml", *self.needs) if not _is_installed(package)]

    def require(self) -> None:
        """ImportError with the command that installs what is missing, if anything is."""
        if self.missing:
            how = said("apt install g++, or the equivalent on your system") if self.missing == ["g++"] else INSTALL
            told = "lesson {number} needs {packages}: {how}"
            raise ImportError(said(told, number=self.number, packages=listed(self.missing), how=how))

    def take(self, path: str | Path) -> None:
        """Use the data at this path, in this process and in those that it starts.

        Raises: ValueError where the lesson takes no data; FileNotFoundError where the path does not exist.
        """
        if not self.data:
            raise ValueError(said("lesson {number} takes no data: leave out --data", number=self.number))
        if not Path(path).exists():
            told = "{path} does not exist: for --data, lesson {number} takes {data}"
            raise FileNotFoundError(said(told, path=path, number=self.number, data=self.shown_data))
        os.environ[DATA] = str(Path(path).resolve())

    def run(self) -> tuple[list[Any], dict[str, Any]]:
        """Run all cells.

        Returns: the outputs of the cells in order, and the variables by name.
        Raises: ValueError that says which claim does not hold here, or what else stopped the lesson.
        """
        with self.opened() as app:
            outputs, variables = app.run()
        return list(outputs), dict(variables)

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """The notebook's marimo app, whose cells may run in this block; what they choose for the process ends with it.

        Raises: ValueError as `run`.
        """
        self.require()
        spec = importlib.util.spec_from_file_location(f"lesson_{self.path.stem}", self.path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        threads = tinydx.get_threads()
        try:
            with tinydx.use("auto"):  # a lesson's own choice ends with it
                spec.loader.exec_module(module)
                yield module.app
        except Exception as error:
            raise ValueError(said("lesson {number} stopped: {why}", number=self.number, why=_reason(error))) from error
        finally:
            tinydx.set_threads(threads)


def _reason(error: Exception) -> str:
    """The claim of an assertion that says no more; of other errors what they say, and the statement of the lesson."""
    at = traceback.extract_tb(error.__traceback__)[-1]
    rows = range(at.lineno or 0, (at.end_lineno or at.lineno or 0) + 1)
    statement = line(" ".join(linecache.getline(at.filename, row).strip() for row in rows), 200)
    if isinstance(error, AssertionError) and not str(error):
        return sentence("here it does not hold that {claim}", claim=statement.removeprefix("assert "))
    told = "{kind}: {words} (in: {statement})"
    return sentence(told, kind=type(error).__name__, words=line(error, 200), statement=statement)


def folder() -> Path:
    """The folder of the notebooks: that of the package tinydx_lessons, which in a checkout is lessons/ (tinydx.checkout)."""
    spec = importlib.util.find_spec("tinydx_lessons")
    assert spec and spec.origin
    return Path(spec.origin).parent


@functools.cache
def all_lessons() -> tuple[Lesson, ...]:
    """All lessons in order."""
    return tuple(read(path) for path in sorted(folder().glob("[0-9][0-9]_*.py")))


@functools.cache
def lesson_of(exercise: str) -> Lesson:
    """The lesson that an exercise of this name belongs to."""
    return next(lesson for lesson in all_lessons() if exercise in lesson.exercises)


def read(path: Path) -> Lesson:
    """The lesson in a notebook file."""
    docstring = path.read_text("utf-8").split('"""')[1]
    title, chinese = docstring.splitlines()[0].split(" · ")
    fields = dict(re.findall(r"^(\w+): (.*)$", docstring, re.MULTILINE))
    needs, exercises = (tuple(re.findall(r"[^,\s]+", fields.get(key, ""))) for key in ("Needs", "Exercises"))
    data, _, data_chinese = fields.get("Data", "").partition(" · ")
    return Lesson(path, title, chinese, int(fields["Minutes"]), needs, exercises, data, data_chinese)


def find(name: str | int) -> Lesson:
    """The lesson called 1, "01", "convolution" or "01_convolution"; ValueError with close matches where there is none."""
    wanted = Path(str(name)).name.removesuffix(".py")
    for lesson in all_lessons():
        if wanted in (lesson.name, lesson.path.stem) or wanted.lstrip("0") == str(lesson.number):
            return lesson
    close = did_you_mean(wanted, [lesson.name for lesson in all_lessons()])
    raise ValueError(said("no lesson {name!r}{close}", name=name, close=close))


def _is_installed(package: str) -> bool:
    """Whether a Python package, or the compiler g++, is installed."""
    if package == "g++":
        return shutil.which(package) is not None
    try:
        version(package)  # not which(): a command of this name may belong to another Python
    except PackageNotFoundError:
        return False
    return True
