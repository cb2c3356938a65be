"""`gradcheck`: turn what it is given into a subject, judge its gradients, and collect the findings in one report."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tinydx import random
from tinydx.gradcheck.calling import ALONE, MEANING, Failed, cotangent, positional, readings, unnamed_constants
from tinydx.gradcheck.doubts import before, changing, few_digits
from tinydx.gradcheck.guards import without_guards
from tinydx.gradcheck.judge import Judge
from tinydx.gradcheck.limits import limited, quieter
from tinydx.gradcheck.report import RIGHT, WRONG, Argument, Diagnosis, Report
from tinydx.gradcheck.rules import broken_rules, called
from tinydx.gradcheck.subject import Subject, of_function, of_layer, of_op, of_pair, parameter_names, saves
from tinydx.gradcheck.truth import Truth, generator
from tinydx.language import sentence
from tinydx.op import Op, RandomDraw
from tinydx.tensor import Tensor

DRAWS = 12  # of an op's samples, where no inputs are given
ENOUGH = 5  # wrong draws after which the check stops: enough to tell one mistake from another
SECONDS = 0.4  # of computing, for names: of one check, or of all draws of an op


def gradcheck(
    subject: Any,
    *inputs: Any,
    seed: int | None = None,
    backward: Callable | None = None,
    wrt: Sequence[str] | None = None,
    every_form: bool = False,
    seconds: float = 60.0,
    **constants: Any,
) -> Report:
    """Check a gradient, and name the mistake if it is wrong.

    Arguments: subject, one of
      - an op of the table: its NumPy backward, without inputs on draws from its samples, ties included;
      - a function of Tensors: the gradients of the tape, with the kernels that `use` chooses;
      - a layer: its gradients with respect to its input and its weights;
      - a compiled model, with its inputs and targets: the gradients of its loss;
      - a pair (forward, backward), forward(*inputs) -> (y, saved);
    inputs, float64 arrays; seed of the random cotangent (and of the draws); backward, your own for this op or forward: its
    first parameter is dy, the others are named `saved`, `y`, or like the op's arrays and constants, as in backward(dy, x, w,
    stride); wrt, the names of the arguments to check (default: all), in the order in which the backward returns them if
    it returns no others; every_form, whether an op is drawn with all shapes that it takes (a batch of sequences, broadcasting),
    not only those of its simplest form; seconds of computing, after which the check stops; constants, passed on to the subject.
    Returns: a `Report`, which is true if all gradients are right; its verdict is "right", "wrong" or "cannot tell".
    Raises: TypeError for inputs that are not float64, ValueError for an op without a backward or without samples.

    >>> from tinydx import ops
    >>> bool(gradcheck(ops.tanh))
    True
    >>> report = gradcheck(ops.tanh, np.array([0.5, -1.0]), backward=lambda dy, y: dy * (1 - y))
    >>> report.mistakes
    {'x': 'square forgotten'}
    """
    start = time.perf_counter()
    seed = random.new_seed() if seed is None else seed
    with limited(seconds), quieter():
        report = _judged(subject, inputs, _Asked(seed, backward, wrt, constants, every_form))
    report.milliseconds = 1000 * (time.perf_counter() - start)
    return report


class _Asked(NamedTuple):
    """What a call of `gradcheck` asks for."""

    seed: int
    backward: Callable | None
    wrt: Sequence[str] | None
    constants: dict[str, Any]
    every_form: bool


def _judged(subject: Any, inputs: Sequence[Any], asked: _Asked) -> Report:
    """The report; a forward that fails, or takes too long, is one that tells nothing."""
    try:
        if isinstance(subject, Op) and not inputs:
            return _best_reading(subject, asked, lambda reading: _check_draws(subject, asked, reading))
        if isinstance(subject, tuple) and len(subject) == 2:
            subject, asked = subject[0], asked._replace(backward=subject[1])
        arrays = _arrays(subject, inputs)
        if asked.backward is None:
            return check(_subject(subject, arrays, asked, "saved"), asked.seed, asked.wrt)
        make = functools.partial(_subject, subject, arrays, asked)
        return _best_reading(subject, asked, lambda reading: check(make(reading), asked.seed, asked.wrt), arrays)
    except (Failed, TimeoutError) as error:
        title = getattr(subject, "name", None) or getattr(subject, "__name__", type(subject).__name__)
        return Report(str(title), [], seed=asked.seed, doubt=str(error))


def _best_reading(subject: Any, asked: _Asked, run: Callable[[str], Report], arrays: Sequence[np.ndarray] = ()) -> Report:
    """The report for what the backward's parameter of unknown name stands for: that in which it is right, else the first."""
    if asked.backward is None:
        return run("saved")
    op = subject if isinstance(subject, Op) else None
    if op is None and not callable(subject):
        _subject(subject, list(arrays), asked, "saved")  # raises
    names = list(op.signature.parameters) if op else parameter_names(subject)
    possible = readings(op, asked.backward, names, op is not None or saves(subject, arrays, asked.constants))
    reports: list[Report] = []
    for reading in possible:
        reports.append(run(reading))
        if reports[-1]:
            break
    raised = [any(p.name == "backward raised" for p in r.problems) for r in reports]
    best = len(reports) - 1 if reports[-1] else raised.index(False) if False in raised else 0
    own = cotangent(asked.backward, names)
    if possible[best] == ALONE or own is None:
        reports[best].notes.append(sentence("backward takes no dy: its result was multiplied by it"))
    elif possible[0] not in ("saved", ALONE) or len(possible) > 1:
        name = next((p.name for p in positional(asked.backward) if p.name != own), own)
        tried = f"; {MEANING[possible[1 - best]]} was tried, too" if len(reports) > 1 and ALONE not in possible else ""
        reports[best].notes.append(f"backward's `{name}` was taken as {MEANING[possible[best]]}{tried}")
    return reports[best]


def _arrays(subject: Any, inputs: Sequence[Any]) -> list[np.ndarray]:
    return [_float64(f"input {i}", x, hasattr(subject, "weights")) for i, x in enumerate(inputs)]


def _subject(subject: Any, arrays: list[np.ndarray], asked: _Asked, reading: str) -> Subject:
    """What `gradcheck` was given, as a Subject."""
    backward, constants = asked.backward, asked.constants
    if isinstance(subject, Op):
        return of_op(subject, arrays, constants, backward, reading)
    if not callable(subject):
        raise TypeError(f"gradcheck: {type(subject).__name__} is no op, function, layer, model or pair (forward, backward)")
    if backward is not None:
        return of_pair(subject, backward, arrays, constants, reading)
    return of_layer(subject, arrays, constants) if hasattr(subject, "weights") else of_function(subject, arrays, constants)


def _float64(name: str, x: Any, takes_ids: bool) -> np.ndarray:
    """The input as a float64 array, or as integers where ids are taken; TypeError for anything else."""
    array = x.data if isinstance(x, Tensor) else np.asarray(x)
    if array.dtype == np.float32:
        why = "7 digits cannot tell a wrong gradient from rounding"
        raise TypeError(f"gradcheck: {name} is float32, and {why}: use x.astype('float64')")
    if array.dtype != np.float64 and not (takes_ids and array.dtype.kind in "iu"):
        raise TypeError(f"gradcheck: {name} is {array.dtype}, expected float64: use x.astype('float64')")
    return array


# ---- one check -----------------------------------------------------------------------------------------------------


def check(
    subject: Subject, seed: int, wrt: Sequence[str] | None = None, every_element: bool = True, share: float = 1.0
) -> Report:
    """Judge a subject's gradients; every_element=False tries random directions first, share of `SECONDS` is for names."""
    rng = generator(seed)
    arrays, indices = [a.copy() for a in subject.arrays], _chosen(subject, wrt)
    outputs, pull = subject.run(arrays)
    if changed := [n for n, a, b in zip(subject.names, arrays, subject.arrays, strict=True) if not _same_numbers(a, b)]:
        advice = f"forward changes {', '.join(changed)}: work on a copy, y = 2 * x instead of x *= 2."
        return Report(subject.title, [], [Diagnosis("inputs changed", advice, "rule")], seed=seed)
    if doubt := before(subject, outputs):
        return Report(subject.title, [], seed=seed, doubt=doubt)
    dys = [np.asarray(rng.normal(size=np.shape(y))) for y in outputs]
    gradients, problems = called(subject, pull, dys, indices)
    with np.errstate(all="ignore"):  # the first call has already warned
        problems = problems or broken_rules(subject, arrays, pull, dys, rng)
    truth = Truth(subject.value, subject.arrays, dys, subject.trusted)
    if doubt := few_digits(subject, truth):
        return Report(subject.title, [], method=truth.method, seed=seed, doubt=doubt)
    if not gradients:
        return Report(subject.title, [], problems, truth.method, seed)
    judge = Judge(subject, truth, dys, rng, every_element)
    arguments = [judge.argument(k, g) for k, g in zip(indices, gradients, strict=True)]
    if doubt := changing(subject, outputs):  # a counter that moves after many calls
        return Report(subject.title, [], method=truth.method, seed=seed, doubt=doubt)
    if any(a.verdict == WRONG for a in arguments):
        free = without_guards(subject)
        if free and (others := _right(free[0], dys, dict(zip(indices, gradients, strict=True)), rng)):
            return Report(subject.title, others, problems, truth.method, seed, notes=[free[1]])
        with np.errstate(all="ignore"):  # other inputs are tried, at which a logarithm may be NaN
            judge.name(arguments, _culprits(subject) if subject.tape and not subject.ops else [], SECONDS * share)
    return Report(subject.title, arguments, problems, truth.method, seed)


def _right(subject: Subject, dys: list[np.ndarray], gradients: dict[int, Any], rng: np.random.Generator) -> list[Argument]:
    """The findings about these gradients of another subject if all are right; else none."""
    judge = Judge(subject, Truth(subject.value, subject.arrays, dys, subject.trusted), dys, rng, True)
    found = [judge.argument(k, g) for k, g in gradients.items()]
    return found if all(a.verdict == RIGHT for a in found) else []


def _same_numbers(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")


def _chosen(subject: Subject, wrt: Sequence[str] | None) -> list[int]:
    """The indices of the arguments to check; ValueError for a name that the subject does not have."""
    for name in wrt or ():
        if name not in subject.names:
            raise ValueError(f"gradcheck: wrt has {name!r}, but {subject.title} only {', '.join(subject.names)}")
    return [subject.names.index(n) for n in (subject.names if wrt is None else wrt)]


def _culprits(subject: Subject) -> list[Diagnosis]:
    """The ops with a wrong backward in a function, layer or model whose gradient is wrong, each with its mistake."""
    assert subject.tape is not None
    found: dict[str, Diagnosis] = {}
    for node in subject.tape(subject.arrays):
        op, arrays = node.op, [a.data if isinstance(a, Tensor) else a for a in node.inputs]
        if op.name not in found and op.backward and all(a is not None for a in arrays):
            names = of_op(op, arrays, node.constants, None).names
            part = of_function(op, arrays, node.constants)  # differentiated by the tape, with the kernel that is chosen
            part = replace(part, names=names, trusted=True, ops=(op,), constants=node.constants)
            for a in check(part, seed=0, every_element=False).arguments:
                if a.mistake:
                    advice = f"The mistake is in the op {op.name}, in {a.label}. {a.mistake.advice}"
                    found.setdefault(op.name, Diagnosis(a.mistake.name, advice, "slip"))
    return list(found.values())


# ---- many draws of an op -------------------------------------------------------------------------------------------


def _check_draws(op: Op, asked: _Asked, reading: str = "saved") -> Report:
    """Check an op on draws from its samples; every third draw has whole numbers, with ties and zeros."""
    if op.samples is None:
        raise ValueError(f"gradcheck: {op.name} has no samples: give inputs")
    backward = asked.backward
    fixed = unnamed_constants(op, backward) if backward else {}
    own = [op.backward, *(s.backward for s in op.slips)]
    simple = backward is not None and not asked.every_form and all(backward is not known for known in own)
    reports: list[Report] = []
    for i, (arrays, drawn) in enumerate(_fitting_draws(op, asked.seed, fixed, simple)):
        subject = of_op(op, arrays, drawn | asked.constants, backward, reading)
        reports.append(check(subject, asked.seed + i, asked.wrt, every_element=i == 0, share=1 / ENOUGH))
        if sum(r.verdict == WRONG for r in reports) == ENOUGH:
            break
    return _merged(reports, asked.seed)


def _fitting_draws(op: Op, seed: int, fixed: dict[str, Any], simple: bool) -> Iterator[tuple[tuple, dict]]:
    """The first draws in which the fixed constants have these values; every third has whole numbers.

    With `simple`, arrays have the fewest axes that the op takes and, where any shape fits, all the same shape.
    """
    assert op.samples is not None
    found: list[tuple[tuple, dict]] = []
    for i in range(100 * DRAWS):
        arrays, drawn = op.samples(RandomDraw(seed + i, whole=len(found) % 3 == 2))
        fits = all(_same(drawn.get(name, value), value) for name, value in fixed.items())
        if fits and (not simple or _is_simple(op, arrays)):
            found.append((arrays, drawn))
            yield found[-1]
        if len(found) == DRAWS:
            return
    if not found and simple:
        yield from _fitting_draws(op, seed, fixed, simple=False)


def _is_simple(op: Op, arrays: Sequence[np.ndarray]) -> bool:
    """Whether arrays have a batch axis at most besides the named ones, and whether two of any shape have the same."""
    dims = [op.expected.get(name, ["..."]) for name in op.arrays[: len(arrays)]]
    most = [max(2, len([d for d in of_one if d != "..."])) for of_one in dims]
    free = {a.shape for a, of_one in zip(arrays, dims, strict=False) if of_one == ["..."]}
    return len(free) <= 1 and all(a.ndim <= m for a, m in zip(arrays, most, strict=False))


def _same(a: Any, b: Any) -> bool:
    return a is b or (not isinstance(a, np.ndarray) and a == b)


def _merged(reports: list[Report], seed: int) -> Report:
    """One report of many: for each argument the most telling findings, and the name that fits most draws."""
    told = [r for r in reports if not r.doubt]
    if not told:
        return reports[0]
    problems = next((r.problems for r in told if r.problems), [])
    arguments = []
    for i in range(min(len(r.arguments) for r in told)):
        found = [r.arguments[i] for r in told]
        wrong = [a for a in found if a.verdict == WRONG]
        right = [a for a in found if a.verdict == RIGHT]
        if not wrong and not right:
            arguments.append(found[0])
        elif not wrong:
            summary = Argument(right[0].name, right[0].shape, checked=sum(a.checked for a in right), got=right[0].got)
            summary.gap, summary.notes = max(a.gap for a in right), _distinct(n for a in right for n in a.notes)
            arguments.append(summary)
        else:
            votes = [d.name for a in wrong for d in a.mistakes]
            shown = max(wrong, key=lambda a: (max((votes.count(d.name) for d in a.mistakes), default=0), -a.checked))
            shown.mistakes = sorted(shown.mistakes, key=lambda d: -votes.count(d.name))
            arguments.append(shown)
    return Report(reports[0].title, arguments, problems, told[0].method, seed, len(reports))


def _distinct(notes: Any) -> list[str]:
    return list(dict.fromkeys(notes))[:3]
