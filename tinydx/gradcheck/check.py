"""`gradcheck`: take what is given as a subject, judge its gradients, and put the findings into one report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinydx.gradcheck.judge import Judge
from tinydx.gradcheck.report import Argument, Diagnosis, Report
from tinydx.gradcheck.rules import broken_rules, called
from tinydx.gradcheck.subject import Subject, of_function, of_layer, of_op, of_pair, op_calls, unasked
from tinydx.gradcheck.truth import Truth
from tinydx.op import Op, RandomDraw
from tinydx.tensor import Tensor

DRAWS = 12  # of an op's samples, when no inputs are given
ENOUGH = 5  # wrong ones among them, to tell one mistake from another


def gradcheck(
    subject: Any,
    *inputs: Any,
    seed: int | None = None,
    backward: Callable | None = None,
    wrt: Sequence[str] | None = None,
    **constants: Any,
) -> Report:
    """Check a gradient, and name the mistake if it is wrong.

    Arguments: subject, one of
      - an op of the table: its NumPy backward; without inputs, draws from its samples are checked, ties and all;
      - a function of Tensors: what the tape says, with the kernels that `use` chooses;
      - a layer: its gradients with respect to its input and its weights;
      - a compiled model, then its inputs and targets: the gradients of its loss;
      - a pair (forward, backward), forward(*inputs) -> (y, saved).
    inputs, float64 arrays; seed of the random cotangent (and of the draws); backward, somebody's own for this op or
    forward: its first parameter is dy, the others are called `saved`, `y`, or like the op's arrays and constants, e.g.
    backward(dy, x, w, stride); wrt, names of the arguments to check (default: all), in the order in which a backward
    that returns these alone returns them; constants are passed on to the subject.

    Returns a `Report`, which is true if all is right. Raises TypeError for inputs that are no float64 arrays.

    >>> from tinydx import ops
    >>> bool(gradcheck(ops.tanh))
    True
    >>> report = gradcheck(ops.tanh, np.array([0.5, -1.0]), backward=lambda dy, y: dy * (1 - y))
    >>> report.mistakes
    {'x': 'square forgotten'}
    """
    start = time.perf_counter()
    seed = int(np.random.default_rng().integers(1_000_000)) if seed is None else seed
    if isinstance(subject, Op) and not inputs:
        report = _check_draws(subject, seed, backward, wrt, constants)
    else:
        report = check(_subject(subject, inputs, backward, constants), seed, wrt)
    report.milliseconds = 1000 * (time.perf_counter() - start)
    return report


def _subject(subject: Any, inputs: Sequence[Any], backward: Callable | None, constants: dict[str, Any]) -> Subject:
    """Whatever is to be checked, as a Subject."""
    if isinstance(subject, tuple) and len(subject) == 2:
        subject, backward = subject
    takes_ids = hasattr(subject, "weights")
    arrays = [_float64(f"input {i}", x, takes_ids) for i, x in enumerate(inputs)]
    if isinstance(subject, Op):
        return of_op(subject, arrays, constants, backward)
    if not callable(subject):
        raise TypeError(f"gradcheck: {type(subject).__name__} is no op, function, layer, model or pair (forward, backward)")
    if backward is not None:
        return of_pair(subject, backward, arrays, constants)
    return of_layer(subject, arrays, constants) if takes_ids else of_function(subject, arrays, constants)


def _float64(name: str, x: Any, takes_ids: bool) -> np.ndarray:
    """The input as a float64 array; TypeError that says why for anything else."""
    array = x.data if isinstance(x, Tensor) else np.asarray(x)
    if array.dtype == np.float32:
        why = "7 digits cannot tell a wrong gradient from rounding"
        raise TypeError(f"gradcheck: {name} is float32, and {why}: use x.astype('float64')")
    if array.dtype != np.float64 and not (takes_ids and array.dtype.kind in "iu"):
        raise TypeError(f"gradcheck: {name} is {array.dtype}, expected float64: use x.astype('float64')")
    return array


# ---- one check -----------------------------------------------------------------------------------------------------


def check(subject: Subject, seed: int, wrt: Sequence[str] | None = None, every_element: bool = True) -> Report:
    """Judge a subject's gradients; every_element=False first tries random directions, which is quicker."""
    rng = np.random.default_rng(seed)
    arrays = [a.copy() for a in subject.arrays]
    outputs, pull = subject.run(arrays)
    dys = [np.asarray(rng.normal(size=np.shape(y))) for y in outputs]
    indices = _chosen(subject, wrt)
    gradients, problems = called(subject, pull, dys, indices)
    with np.errstate(all="ignore"):  # the first call has warned already
        problems = problems or broken_rules(subject, arrays, pull, dys, rng)
    truth = Truth(subject.value, subject.arrays, dys, subject.trusted)
    judge = Judge(subject, truth, dys, rng, every_element)
    arguments = [judge.argument(k, g) for k, g in zip(indices, gradients, strict=True)]
    if any(a.wrong for a in arguments):
        judge.name(arguments, _culprits(subject) if subject.taped and not subject.records else [])
    return Report(subject.title, arguments, problems, truth.method, seed)


def _chosen(subject: Subject, wrt: Sequence[str] | None) -> list[int]:
    """Which arguments to check."""
    for name in wrt or ():
        if name not in subject.names:
            raise ValueError(f"gradcheck: wrt has {name!r}, but {subject.title} only {', '.join(subject.names)}")
    return [subject.names.index(n) for n in (subject.names if wrt is None else wrt)]


def _culprits(subject: Subject) -> list[Diagnosis]:
    """For a function, layer or model whose gradient is wrong: which of its ops is, and its mistake."""
    with op_calls() as calls:
        subject.run(subject.arrays)
    found: dict[str, Diagnosis] = {}
    for record, arrays, constants in calls:
        if record.name not in found and record.backward and all(a is not None for a in arrays):
            part = of_function(record, arrays, constants)  # and not of_op: the tape runs whatever kernel is chosen
            names = of_op(record, arrays, constants, None).names
            part = replace(part, names=names, trusted=True, records=(record,), constants=constants)
            for a in check(part, seed=0, every_element=False).arguments:
                if a.mistake:
                    advice = f"The mistake is in the op {record.name}, in {a.label}. {a.mistake.advice}"
                    found.setdefault(record.name, Diagnosis(a.mistake.name, advice, "slip"))
    return list(found.values())


# ---- many draws of an op -------------------------------------------------------------------------------------------


def _check_draws(record: Op, seed: int, backward: Callable | None, wrt: Any, constants: dict[str, Any]) -> Report:
    """Check an op on draws from its samples, every third of them whole numbers, which have ties and zeros."""
    if record.samples is None:
        raise ValueError(f"gradcheck: {record.name} has no samples: give inputs")
    fixed = unasked(record, backward) if backward else {}
    reports: list[Report] = []
    for i, (arrays, drawn) in enumerate(_fitting_draws(record, seed, fixed)):
        reports.append(check(of_op(record, arrays, drawn | constants, backward), seed + i, wrt, every_element=i == 0))
        if sum(not r for r in reports) == ENOUGH:
            break
    return _merged(reports, seed)


def _fitting_draws(record: Op, seed: int, fixed: dict[str, Any]) -> Iterator[tuple[tuple, dict]]:
    """The first draws in which the fixed constants have their values, every third of them of whole numbers."""
    assert record.samples is not None
    found = 0
    for i in range(100 * DRAWS):
        arrays, drawn = record.samples(RandomDraw(seed + i, whole=found % 3 == 2))
        if all(_same(drawn.get(name, value), value) for name, value in fixed.items()):
            yield arrays, drawn
            found += 1
            if found == DRAWS:
                return


def _same(a: Any, b: Any) -> bool:
    return a is b or (not isinstance(a, np.ndarray) and a == b)


def _merged(reports: list[Report], seed: int) -> Report:
    """One report of many: of each argument the findings that tell most, and the name that fits the most draws."""
    failed = [r for r in reports if not r]
    arguments = []
    for i in range(min(len(r.arguments) for r in reports)):
        all_of_it = [r.arguments[i] for r in reports]
        wrong = [a for a in all_of_it if not a.ok]
        if not wrong:
            summary = Argument(all_of_it[0].name, all_of_it[0].shape, sum(a.checked for a in all_of_it), got=all_of_it[0].got)
            summary.gap, summary.notes = max(a.gap for a in all_of_it), _distinct(n for a in all_of_it for n in a.notes)
            arguments.append(summary)
            continue
        votes = [d.name for a in wrong for d in a.mistakes]
        shown = max(wrong, key=lambda a: (max((votes.count(d.name) for d in a.mistakes), default=0), -a.checked))
        shown.mistakes = sorted(shown.mistakes, key=lambda d: -votes.count(d.name))
        arguments.append(shown)
    problems = next((r.problems for r in failed if r.problems), [])
    return Report(reports[0].title, arguments, problems, reports[0].method, seed, len(reports))


def _distinct(notes: Any) -> list[str]:
    return list(dict.fromkeys(notes))[:3]
