"""`gradcheck`: turn what it is given into a subject, judge its gradients, and collect the findings in one report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinydx.gradcheck.judge import Judge
from tinydx.gradcheck.report import Argument, Diagnosis, Report
from tinydx.gradcheck.rules import broken_rules, called
from tinydx.gradcheck.subject import Subject, of_function, of_layer, of_op, of_pair, unnamed_constants
from tinydx.gradcheck.truth import Truth
from tinydx.op import Op, RandomDraw
from tinydx.tensor import Tensor

DRAWS = 12  # of an op's samples, where no inputs are given
ENOUGH = 5  # wrong draws after which the check stops: enough to tell one mistake from another


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
      - an op of the table: its NumPy backward, without inputs on draws from its samples, ties included;
      - a function of Tensors: the gradients of the tape, with the kernels that `use` chooses;
      - a layer: its gradients with respect to its input and its weights;
      - a compiled model, with its inputs and targets: the gradients of its loss;
      - a pair (forward, backward), forward(*inputs) -> (y, saved);
    inputs, float64 arrays; seed of the random cotangent (and of the draws); backward, your own for this op or forward: its
    first parameter is dy, the others are named `saved`, `y`, or like the op's arrays and constants, as in backward(dy, x, w,
    stride); wrt, the names of the arguments to check (default: all), in the order in which the backward returns them if
    it returns no others; constants, passed on to the subject.
    Returns: a `Report`, which is true if all gradients are right.
    Raises: TypeError for inputs that are not float64, ValueError for an op without a backward or without samples.

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
    """What `gradcheck` was given, as a Subject."""
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
    """The input as a float64 array, or as integers where ids are taken; TypeError for anything else."""
    array = x.data if isinstance(x, Tensor) else np.asarray(x)
    if array.dtype == np.float32:
        why = "7 digits cannot tell a wrong gradient from rounding"
        raise TypeError(f"gradcheck: {name} is float32, and {why}: use x.astype('float64')")
    if array.dtype != np.float64 and not (takes_ids and array.dtype.kind in "iu"):
        raise TypeError(f"gradcheck: {name} is {array.dtype}, expected float64: use x.astype('float64')")
    return array


# ---- one check -----------------------------------------------------------------------------------------------------


def check(subject: Subject, seed: int, wrt: Sequence[str] | None = None, every_element: bool = True) -> Report:
    """Judge a subject's gradients; every_element=False tries random directions first, which is faster."""
    rng = np.random.default_rng(seed)
    arrays = [a.copy() for a in subject.arrays]
    outputs, pull = subject.run(arrays)
    dys = [np.asarray(rng.normal(size=np.shape(y))) for y in outputs]
    indices = _chosen(subject, wrt)
    gradients, problems = called(subject, pull, dys, indices)
    with np.errstate(all="ignore"):  # the first call has already warned
        problems = problems or broken_rules(subject, arrays, pull, dys, rng)
    truth = Truth(subject.value, subject.arrays, dys, subject.trusted)
    judge = Judge(subject, truth, dys, rng, every_element)
    arguments = [judge.argument(k, g) for k, g in zip(indices, gradients, strict=True)]
    if any(a.wrong for a in arguments):
        judge.name(arguments, _culprits(subject) if subject.tape and not subject.ops else [])
    return Report(subject.title, arguments, problems, truth.method, seed)


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


def _check_draws(op: Op, seed: int, backward: Callable | None, wrt: Any, constants: dict[str, Any]) -> Report:
    """Check an op on draws from its samples; every third draw has whole numbers, with ties and zeros."""
    if op.samples is None:
        raise ValueError(f"gradcheck: {op.name} has no samples: give inputs")
    fixed = unnamed_constants(op, backward) if backward else {}
    reports: list[Report] = []
    for i, (arrays, drawn) in enumerate(_fitting_draws(op, seed, fixed)):
        reports.append(check(of_op(op, arrays, drawn | constants, backward), seed + i, wrt, every_element=i == 0))
        if sum(not r for r in reports) == ENOUGH:
            break
    return _merged(reports, seed)


def _fitting_draws(op: Op, seed: int, fixed: dict[str, Any]) -> Iterator[tuple[tuple, dict]]:
    """The first draws in which the fixed constants have these values; every third has whole numbers."""
    assert op.samples is not None
    found = 0
    for i in range(100 * DRAWS):
        arrays, drawn = op.samples(RandomDraw(seed + i, whole=found % 3 == 2))
        if all(_same(drawn.get(name, value), value) for name, value in fixed.items()):
            yield arrays, drawn
            found += 1
            if found == DRAWS:
                return


def _same(a: Any, b: Any) -> bool:
    return a is b or (not isinstance(a, np.ndarray) and a == b)


def _merged(reports: list[Report], seed: int) -> Report:
    """One report of many: for each argument the most telling findings, and the name that fits most draws."""
    failed = [r for r in reports if not r]
    arguments = []
    for i in range(min(len(r.arguments) for r in reports)):
        found = [r.arguments[i] for r in reports]
        wrong = [a for a in found if not a.ok]
        if not wrong:
            summary = Argument(found[0].name, found[0].shape, checked=sum(a.checked for a in found), got=found[0].got)
            summary.gap, summary.notes = max(a.gap for a in found), _distinct(n for a in found for n in a.notes)
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
