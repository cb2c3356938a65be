"""`tinydx gradcheck FILE.py`: the pairs of forward and backward in a learner's file, each checked at two shapes or more.

A pair is NAME_forward and NAME_backward (or NAME and NAME_backward), forward and backward, a class with both methods, or a
backward alone whose name is that of an op of the table: relu_backward. Shapes come from NAME_inputs(rng) of the file, from
--shapes, or from usual ones that forward accepts.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinydx import random
from tinydx.gradcheck.calling import Failed
from tinydx.gradcheck.check import gradcheck
from tinydx.gradcheck.report import CANNOT_TELL, RIGHT, WRONG, Report
from tinydx.gradcheck.truth import generator
from tinydx.language import said
from tinydx.op import TABLE, Op

ENDINGS = ("_backward", "_backward_naive", "_bwd", "_grad", "_back")
STARTS = ("d_", "grad_", "backward_")
SIZES = ((3, 4, 2, 5), (2, 5, 3, 4))  # examples, numbers of an example, results, others
STATUS = {RIGHT: 0, WRONG: 1, CANNOT_TELL: 2}
USUAL: dict[int, tuple[tuple[str, ...], ...]] = {  # shapes to try, in the letters of SIZES: N, D, F, K
    1: (("ND",), ("D",), ("NKD",), ("NKDF",), ("",)),
    2: (("ND", "DF"), ("FD", "DN"), ("ND", "ND"), ("ND", "D"), ("D", "D"), ("NKD", "DF"), ("ND", "FD")),
    3: (("ND", "DF", "F"), ("DN", "FD", "F1"), ("ND", "FD", "F"), ("ND", "D", "D"), ("ND", "KD", "KF"), ("ND", "ND", "ND")),
    4: (("ND", "NF", "DF", "FF"), ("ND", "DF", "F", "FK"), ("DN", "FD", "F1", "KF")),
    5: (("ND", "DF", "F", "FK", "K"), ("ND", "NF", "DF", "FF", "F"), ("DN", "FD", "F1", "KF", "K1")),
}


@dataclass
class Pair:
    """A forward and a backward of the file, or an op of the table and a backward."""

    name: str
    forward: Any
    backward: Callable
    inputs: Callable | None = None
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
    if not pairs:
        wanted = "NAME_forward and NAME_backward, a class with both, or a backward named after an op, such as relu_backward"
        raise ValueError(f"{path.name} has no pair to check: write {wanted}")
    seed = random.new_seed() if seed is None else seed
    for pair in pairs:
        _check(pair, shapes, seed)
    return pairs


def _loaded(path: Path) -> dict[str, Any]:
    """The names that the file defines."""
    spec = importlib.util.spec_from_file_location("gradcheck_file", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path.name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.absolute().parent))
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            spec.loader.exec_module(module)
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
            yield _of_class(name, value, names.get(f"{name}_inputs"))
        elif inspect.isfunction(value) and (base := _base(name)) is not None:
            forward = next((names[n] for n in (f"{base}_forward", f"{base}_fwd", base, "forward") if n in names), None)
            forward = forward or (names.get(f"{base}_forward_naive") if base else None) or TABLE.get(base)
            if forward is not None and forward is not value:
                yield Pair(base or "forward", forward, value, names.get(f"{base}_inputs", names.get("inputs")))


def _base(name: str) -> str | None:
    """What a backward's name begins with: "relu" of relu_backward, "" of backward; None for another function."""
    if name == "backward":
        return ""
    for ending in ENDINGS:
        if name.endswith(ending):
            return name.removesuffix(ending)
    return next((name.removeprefix(s) for s in STARTS if name.startswith(s)), None)


def _of_class(name: str, made: Any, inputs: Callable | None) -> Pair:
    """A class that keeps in itself what backward needs."""

    of_forward = list(inspect.signature(made.forward).parameters.values())[1:]
    weights = [p for p in list(inspect.signature(made.__init__).parameters.values())[1:] if _needed(p)]

    def forward(*arrays: Any) -> tuple:
        instance = made(*arrays[len(of_forward) :])
        return instance.forward(*arrays[: len(of_forward)]), instance

    def backward(dy: Any, saved: Any) -> Any:
        result = saved.backward(dy)
        own = tuple(getattr(saved, f"d{p.name}", None) for p in weights)  # kept in the object: self.dW
        return (*(result if isinstance(result, tuple) else (result,)), *own) if weights else result

    count = len(of_forward)
    forward.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(p.name, p.POSITIONAL_OR_KEYWORD) for p in (*of_forward, *weights)]
    )
    forward.__name__ = name
    return Pair(name, forward, backward, inputs, reason="" if count else f"{name}.forward takes no array")


def _needed(p: inspect.Parameter) -> bool:
    """Whether a constructor must be given this: weights, which are arrays."""
    return p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD


def _check(pair: Pair, shapes: str, seed: int) -> None:
    """Check one pair at two shapes or more."""
    if isinstance(pair.forward, Op):
        pair.reports = [gradcheck(pair.forward, backward=pair.backward, seed=seed)]
        return
    for i, letters in enumerate(SIZES):
        rng = generator(seed + i)
        for arrays in _candidates(pair, shapes, letters, rng):
            if not _runs(pair.forward, arrays):
                continue
            pair.reports.append(gradcheck((pair.forward, pair.backward), *arrays, seed=seed + i))
            break
    if not pair.reports:
        pair.reason = "no usual shapes fit its forward: give --shapes, such as --shapes 'x=3,4 w=4,2', or write NAME_inputs(rng)"


def _candidates(pair: Pair, shapes: str, letters: Sequence[int], rng: np.random.Generator) -> Iterator[list[np.ndarray]]:
    """Arrays to try: from the file's own function, from the shapes given, or of usual shapes."""
    if pair.inputs is not None:
        yield [np.asarray(a) for a in pair.inputs(rng)]
        return
    names = [p.name for p in inspect.signature(pair.forward).parameters.values() if p.default is p.empty]
    given = _given(shapes)
    if given and all(n in given for n in names):
        if letters is SIZES[1] and given[names[0]]:  # one example more
            n, *rest = given[names[0]]
            yield [rng.normal(size=(n + 1, *rest)), *(rng.normal(size=given[name]) for name in names[1:])]
        yield [rng.normal(size=given[name]) for name in names]
        return
    sizes = dict(zip("NDFK", letters, strict=True)) | {"1": 1}
    for usual in USUAL.get(len(names), ()):
        yield [rng.normal(size=tuple(sizes[c] for c in shape)) for shape in usual]


def _given(shapes: str) -> dict[str, tuple[int, ...]]:
    """ "x=3,4 w=4,2" as {"x": (3, 4), "w": (4, 2)}; ValueError for anything else."""
    try:
        parts = (part.split("=") for part in shapes.split())
        return {name: tuple(int(n) for n in numbers.split(",") if n) for name, numbers in parts}
    except ValueError:
        raise ValueError(f"--shapes {shapes!r}: expected such as 'x=3,4 w=4,2'") from None


def _runs(forward: Callable, arrays: Sequence[np.ndarray]) -> bool:
    """Whether forward takes arrays of these shapes."""
    try:
        with np.errstate(all="ignore"), contextlib.redirect_stdout(io.StringIO()):
            forward(*[a.copy() for a in arrays])
    except (Exception, Failed):
        return False
    return True


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
        print(": ".join(filter(None, (p.name, said(p.verdict), p.reason))))
        for report in _told(p):
            print(report.text(say=said))
    return STATUS[verdict]


def _told(pair: Pair) -> list[Report]:
    """The reports to print: of several with one verdict the first."""
    first: dict[str, Report] = {}
    for report in pair.reports:
        first.setdefault(report.verdict, report)
    return list(first.values())
