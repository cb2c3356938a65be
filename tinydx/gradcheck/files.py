"""`tinydx gradcheck FILE.py`: the pairs of forward and backward in a learner's file, each checked at two shapes or more.

A pair is NAME_forward and NAME_backward (or NAME and NAME_backward), forward and backward, a class with both methods, a backward
alone whose name is that of an op of the table, relu_backward, or a loss that returns its value and its gradients. Inputs come
from NAME_inputs(rng) of the file, or from drawing.py, with the shapes of --shapes; a class becomes a pair in objects.py.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import inspect
import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np

from tinydx import random
from tinydx.gradcheck import drawing, objects
from tinydx.gradcheck.check import gradcheck
from tinydx.gradcheck.limits import limited
from tinydx.gradcheck.report import CANNOT_TELL, RIGHT, WRONG, Report
from tinydx.gradcheck.source import definition
from tinydx.gradcheck.truth import generator
from tinydx.language import said, sentence
from tinydx.names import line
from tinydx.op import TABLE, Op

ENDINGS = ("_backward", "_backward_naive", "_bwd", "_grad", "_gradient", "_back", "_prime", "_derivative", "_deriv")
STARTS = ("d_", "grad_", "backward_")
BOTH = re.compile(r"(^|_)(loss|cost)(_naive|_vectorized)?$", re.IGNORECASE)  # names of what returns a loss and its gradients
SECONDS = 10.0  # of computing, while inputs are looked for
Drawn = tuple[Callable, Callable, drawing.Inputs]
STATUS = {RIGHT: 0, WRONG: 1, CANNOT_TELL: 2}


@dataclass
class Pair:
    """A forward and a backward of the file, or an op of the table and a backward."""

    name: str
    forward: Any
    backward: Callable
    inputs: Callable | None = None
    made: type | None = None  # the class, of which forward and backward are methods
    perhaps: bool = False  # whether it is a pair shows at the first call
    reports: list[Report] = field(default_factory=list)
    reason: str = ""

    @property
    def verdict(self) -> str:
        """wrong if any shape shows it; right if every one does."""
        found = [r.verdict for r in self.reports]
        return WRONG if WRONG in found else RIGHT if RIGHT in found and not self.reason else CANNOT_TELL

    def as_dict(self) -> dict[str, Any]:
        """The findings as plain data."""
        reports = [r.as_dict() for r in self.reports]
        return {"name": self.name, "verdict": self.verdict, "reason": self.reason, "reports": reports}


def check_file(path: Path, shapes: str = "", seed: int | None = None) -> list[Pair]:
    """Check every pair of a file.

    Arguments: path; shapes, such as "x=3,4 w=4,2", for pairs with these parameters; seed, None for new draws.
    Returns: the pairs with their reports.
    Raises: FileNotFoundError; ValueError where the file does not run, or has no pair.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    pairs = list(_pairs(_loaded(path)))
    wanted = "NAME_forward and NAME_backward, a class with both, or a backward named after an op, such as relu_backward"
    none = f"{path.name} has no pair to check: write {wanted}"
    seed = random.new_seed() if seed is None else seed
    given = _given(shapes)
    for pair in pairs:
        try:
            _check(pair, given, seed)
        except Exception as error:  # of a learner's class or NAME_inputs, or a form that is not known: the others are checked
            pair.reason = line(error)
    pairs = [pair for pair in pairs if pair.reports or pair.reason]
    if not pairs:
        raise ValueError(none)
    return pairs


class _AsItIs(SourceFileLoader):
    """Compiles a file as it is now. Python's cache knows its second and its size only: it would keep what `+` was before `-`."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _loaded(path: Path) -> dict[str, Any]:
    """The names that the file defines."""
    if path.suffix != ".py":
        raise ValueError(f"{path.name} is no Python file")
    loader = _AsItIs("gradcheck_file", str(path))
    module = importlib.util.module_from_spec(ModuleSpec(loader.name, loader, origin=loader.path))
    module.__file__ = loader.path
    sys.path.insert(0, str(path.absolute().parent))
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            loader.exec_module(module)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ValueError(f"{path.name} does not run: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(path.absolute().parent))
    return {n: v for n, v in vars(module).items() if getattr(v, "__module__", "gradcheck_file") == "gradcheck_file"}


def _pairs(names: dict[str, Any]) -> Iterator[Pair]:
    """The pairs among these names."""
    for name, value in names.items():
        if inspect.isclass(value) and all(callable(getattr(value, m, None)) for m in ("forward", "backward")):
            if objects.is_abstract(value):
                continue
            made = None if objects.is_static(value) else value
            yield Pair(name, *objects.functions_of(value), names.get(f"{name}_inputs"), made)
        elif inspect.isfunction(value) and (base := _base(name)) is not None:
            forward = next((names[n] for n in (f"{base}_forward", f"{base}_fwd", base, "forward") if n in names), None)
            forward = forward or (names.get(f"{base}_forward_naive") if base else None) or TABLE.get(base)
            if forward is not None and forward is not value:
                yield Pair(base or "forward", forward, value, names.get(f"{base}_inputs", names.get("inputs")))
        elif inspect.isfunction(value) and BOTH.search(name) and _returns_several(value) and not _has_backward(name, names):
            yield Pair(name, *objects.functions_of_loss(value), names.get(f"{name}_inputs"), perhaps=True)


def _returns_several(function: Callable) -> bool:
    """Whether a function returns more than one value, in its source: only such a one is called, since others may write files."""
    node = definition(function)
    return node is not None and any(isinstance(n, ast.Return) and isinstance(n.value, ast.Tuple) for n in ast.walk(node))


def _has_backward(name: str, names: dict[str, Any]) -> bool:
    """Whether another function is the backward of this one, or of which this is a part: loss and loss_grad."""
    return any(f"{name.removesuffix('_forward')}{e}" in names for e in ENDINGS) or any(f"{s}{name}" in names for s in STARTS)


def _base(name: str) -> str | None:
    """What a backward's name begins with: "relu" of relu_backward, "" of backward; None for another function."""
    if name == "backward":
        return ""
    for ending in ENDINGS:
        if name.endswith(ending):
            return name.removesuffix(ending)
    return next((name.removeprefix(s) for s in STARTS if name.startswith(s)), None)


def _check(pair: Pair, given: drawing.Shapes, seed: int) -> None:
    """Check one pair at two shapes or more."""
    if isinstance(pair.forward, Op):
        pair.reports = [gradcheck(pair.forward, backward=pair.backward, seed=seed)]
        return
    for i in range(len(drawing.SIZES)):
        with limited(SECONDS):
            found = _from_file(pair, generator(seed + i)) or _drawn(pair, i, generator(seed + i), given)
        if found is not None:
            forward, backward, inputs = found
            report = gradcheck((forward, backward), *inputs.arrays, seed=seed + i, **inputs.constants)
            pair.reports.append(_noted(_named(pair, report, found, seed + i), inputs))
    if not pair.reports and not pair.perhaps:
        advice = "give --shapes, such as --shapes 'x=3,4 w=4,2', or write NAME_inputs(rng)"
        pair.reason = sentence("no usual shapes fit its forward: {advice}", advice=sentence(advice))


def _named(pair: Pair, report: Report, found: Drawn, seed: int) -> Report:
    """The report, in which the methods themselves, whose source can be read, tell of the gradients of inputs."""
    forward, _, inputs = found
    if pair.made is None or report.verdict != WRONG:
        return report
    _, saved = drawing.call_with(forward, [a.copy() for a in inputs.arrays], inputs.constants)
    count = len(drawing.needed(objects.methods(saved)[0])) - len(inputs.constants)
    own = gradcheck(objects.methods(saved), *inputs.arrays[:count], seed=seed, **inputs.constants)
    for k, better in enumerate(own.arguments):
        if better.mistakes or better.verdict == RIGHT:
            report.arguments[k] = better
    report.notes += [note for note in own.notes if note not in report.notes]
    return report


def _noted(report: Report, inputs: drawing.Inputs) -> Report:
    """The report, with a note of what was taken as data."""
    if held := [name for name, value in inputs.constants.items() if isinstance(value, np.ndarray)]:
        report.notes.append(sentence("no gradient was asked for: {names}", names=", ".join(held)))
    return report


def _from_file(pair: Pair, rng: np.random.Generator) -> Drawn | None:
    """Inputs from the file's own function; whole numbers among them are labels."""
    if pair.inputs is None:
        return None
    given = dict(zip(drawing.needed(pair.forward), map(np.asarray, pair.inputs(rng)), strict=True))
    arrays = [a for a in given.values() if a.dtype.kind == "f"]
    return pair.forward, pair.backward, drawing.Inputs(arrays, {n: a for n, a in given.items() if a.dtype.kind != "f"})


def _drawn(pair: Pair, i: int, rng: np.random.Generator, given: drawing.Shapes) -> Drawn | None:
    """Inputs that nobody has given, or their shapes alone; of a class also its weights, where the constructor makes them."""
    first = next((n for n in drawing.needed(pair.forward) if given.get(n)), None)
    more = {first: (given[first][0] + i, *given[first][1:])} if first else {}  # of examples, in the second round
    for shapes in (given, {**given, **more})[::-1]:
        inputs = drawing.drawn(pair.forward, pair.backward, i, rng, shapes)
        found = None if inputs is None else (pair.forward, pair.backward, inputs)
        if pair.made is not None and not (found and drawing.fits(*found)):
            found = objects.drawn(pair.made, i, rng, shapes) or found
        if found is not None:
            return found
    return None


def _given(shapes: str) -> dict[str, tuple[int, ...]]:
    """ "x=3,4 w=4,2" as {"x": (3, 4), "w": (4, 2)}; ValueError for anything else."""
    try:
        parts = (part.split("=") for part in shapes.split())
        return {name: tuple(int(n) for n in numbers.split(",") if n) for name, numbers in parts}
    except ValueError:
        raise ValueError(f"--shapes {shapes!r}: expected such as 'x=3,4 w=4,2'") from None


def run(path: Path, shapes: str, seed: int | None, as_json: bool) -> int:
    """The command: prints what was found; exit status 0 if all is right, 1 if anything is wrong, 2 if it cannot tell."""
    try:
        pairs = check_file(path, shapes, seed)
    except ValueError as error:
        data = {"file": str(path), "verdict": CANNOT_TELL, "reason": str(error), "pairs": []}
        print(json.dumps(data) if as_json else said("cannot tell: {why}", why=error))
        return STATUS[CANNOT_TELL]
    verdicts = [p.verdict for p in pairs]
    verdict = WRONG if WRONG in verdicts else CANNOT_TELL if CANNOT_TELL in verdicts else RIGHT
    if as_json:
        found = [p.as_dict() for p in pairs]
        print(json.dumps({"file": str(path), "verdict": verdict, "pairs": found}))
        return STATUS[verdict]
    for p in pairs:
        print(": ".join(filter(None, (p.name, said(p.verdict), said(p.reason)))))
        for report in _told(p):
            print(report.text(say=said))
    return STATUS[verdict]


def _told(pair: Pair) -> list[Report]:
    """The reports to print: of several with one verdict the first."""
    first: dict[str, Report] = {}
    for report in pair.reports:
        first.setdefault(report.verdict, report)
    return list(first.values())
