"""What a lesson says about itself: the docstring of its notebook, read without running it or importing marimo.

\"\"\"The convolution sum · 卷积              title · Chinese

Minutes: 15                               for a learner, with the exercise
Needs: pydicom                            packages beside tinydx's own and marimo, if any
Exercises: conv_sum                       of `tinydx exercise`
Data: an image                            what `--data PATH` may give it in place of its own, if anything
\"\"\"
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import re
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tinydx
from tinydx.suggestions import did_you_mean

INSTALL = "pip install 'tinydx[lessons]'"
DATA = "TINYDX_LESSON_DATA"  # the variable by which the command tells a notebook, in whatever process, where the data is


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

    @property
    def number(self) -> int:
        return int(self.path.stem.split("_")[0])

    @property
    def name(self) -> str:
        """convolution, of 01_convolution.py"""
        return self.path.stem.split("_", 1)[1]

    @property
    def missing(self) -> list[str]:
        """What it needs and is not installed here."""
        return [package for package in ("marimo", "latex2mathml", *self.needs) if not _is_installed(package)]

    def require(self) -> None:
        """ImportError with the one command that helps, where something is missing."""
        if self.missing:
            how = "apt install g++, or your system's like" if self.missing == ["g++"] else INSTALL
            raise ImportError(f"lesson {self.number} needs {', '.join(self.missing)}: {how}")

    def take(self, path: str | Path) -> None:
        """Use this data from now on, in this process and those it starts; one-line errors where that cannot be."""
        if not self.data:
            raise ValueError(f"lesson {self.number} takes no data of yours: leave --data out")
        if not Path(path).exists():
            raise FileNotFoundError(f"{path} is not there: with --data lesson {self.number} takes {self.data}")
        os.environ[DATA] = str(Path(path).resolve())

    def run(self) -> tuple[list[Any], dict[str, Any]]:
        """Run all cells: (what they show, in their order; the variables by name). A failed assertion is raised."""
        self.require()
        spec = importlib.util.spec_from_file_location(f"lesson_{self.path.stem}", self.path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        threads = tinydx.get_threads()
        try:
            with tinydx.use("auto"):  # what a lesson chooses, it chooses for no other one
                spec.loader.exec_module(module)
                outputs, variables = module.app.run()
        finally:
            tinydx.set_threads(threads)
        return list(outputs), dict(variables)


def folder() -> Path:
    """Where the notebooks are: the installed package tinydx_lessons, or lessons/ of a plain checkout."""
    checkout = Path(__file__).parents[2] / "lessons"
    spec = None if checkout.is_dir() else importlib.util.find_spec("tinydx_lessons")
    return Path(spec.origin).parent if spec and spec.origin else checkout


@functools.cache
def all_lessons() -> tuple[Lesson, ...]:
    """All lessons in their order."""
    return tuple(read(path) for path in sorted(folder().glob("[0-9][0-9]_*.py")))


def read(path: Path) -> Lesson:
    """The lesson that a notebook is."""
    words = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    title, chinese = words.splitlines()[0].split(" · ")
    said = dict(re.findall(r"^(\w+): (.*)$", words, re.MULTILINE))
    needs, exercises = (tuple(re.findall(r"[^,\s]+", said.get(key, ""))) for key in ("Needs", "Exercises"))
    return Lesson(path, title, chinese, int(said["Minutes"]), needs, exercises, said.get("Data", ""))


def find(name: str | int) -> Lesson:
    """The lesson called so: 1, "01", "convolution" or "01_convolution"; ValueError with close matches if there is none."""
    wanted = Path(str(name)).name.removesuffix(".py")
    for lesson in all_lessons():
        if wanted in (lesson.name, lesson.path.stem) or wanted.lstrip("0") == str(lesson.number):
            return lesson
    raise ValueError(f"no lesson {name!r}{did_you_mean(wanted, [lesson.name for lesson in all_lessons()])}")


def _is_installed(package: str) -> bool:
    """Whether a Python package, or else a program of that name, is here."""
    try:
        version(package)
    except PackageNotFoundError:
        return shutil.which(package) is not None
    return True
