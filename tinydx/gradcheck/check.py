"""The check itself: the claimed gradient against the true one, number by number, and the rules that every backward keeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinydx.gradcheck.kinks import Kinks
from tinydx.gradcheck.patterns import Evidence, name_mistake
from tinydx.gradcheck.report import Argument, Diagnosis, Report, Worst
from tinydx.gradcheck.subject import Subject, of_function, of_layer, of_op, of_pair, op_calls, recognise
from tinydx.gradcheck.truth import Truth
from tinydx.op import TABLE, Op, RandomDraw
from tinydx.tensor import Tensor

ALL_ELEMENTS = 2000  # up to so many numbers, each one's derivative is computed
DRAWS = 12  # of an op's samples, when no inputs are given


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
      - an op of the table; without inputs, draws from its samples are checked, ties and all;
      - a function of Tensors: what the tape says is checked;
      - a layer: its gradients with respect to its input and its weights;
      - a compiled model, then its inputs and targets: the gradients of its loss;
      - a pair (forward, backward), forward(*inputs) -> (y, saved).
    inputs, float64 arrays; seed of the random cotangent (and of the draws); backward, somebody's own for this op or
    forward: its first parameter is dy, the others are called `saved`, `y`, or like the op's arrays and constants, e.g.
    backward(dy, x, w, stride); it returns one gradient for each array, or for each name in wrt; constants are passed on.

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
        raise TypeError(
            f"gradcheck: {name} is float32, whose 7 digits cannot tell a wrong gradient from rounding: use x.astype('float64')"
        )
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
    gradients, problems = _called(subject, pull, dys, indices, wrt)
    if not problems:
        problems = _broken_rules(subject, arrays, pull, dys, gradients, rng)
    truth = Truth(subject.value, subject.arrays, dys, subject.trusted)
    judge = _Judge(subject, truth, dys, rng, every_element)
    arguments = [judge.argument(k, g) for k, g in zip(indices, gradients, strict=True)]
    return Report(subject.title, judge.name(arguments), problems, truth.method, seed)


def _chosen(subject: Subject, wrt: Sequence[str] | None) -> list[int]:
    """Which arguments to check."""
    for name in wrt or ():
        if name not in subject.names:
            raise ValueError(f"gradcheck: wrt={list(wrt or ())}: {subject.title} has no {name!r}, only {', '.join(subject.names)}")
    return [i for i, n in enumerate(subject.names) if wrt is None or n in wrt]


def _called(
    subject: Subject, pull: Callable, dys: list, indices: list[int], wrt: Sequence[str] | None
) -> tuple[list[Any], list[Diagnosis]]:
    """The gradients that the backward returns, one for each chosen argument, or what is wrong with their number."""
    raw = pull([dy.copy() for dy in dys])
    several = isinstance(raw, tuple | list)
    gradients = list(raw) if several else [raw]
    if wrt is not None and (subject.taped or len(gradients) > len(indices)):
        gradients = [gradients[i] for i in indices if i < len(gradients)]
    optional = max((len(r.arrays) for r in subject.records), default=0)  # a bias that is not there may have a gradient
    if len(gradients) != len(indices) and len(gradients) != optional:
        got = f"{len(gradients)} gradients" if several else "one array"
        wanted = ", ".join("d" + subject.names[i] for i in indices)
        advice = f"backward returned {got}, expected a tuple of {len(indices)}: ({wanted}{',' if len(indices) == 1 else ''})."
        found = gradients[: len(indices)] + [None] * (len(indices) - len(gradients))
        return found, [Diagnosis("wrong number of gradients", advice, "rule")]
    return gradients[: len(indices)], []


def _broken_rules(
    subject: Subject, arrays: list, pull: Callable, dys: list, gradients: list, rng: np.random.Generator
) -> list[Diagnosis]:
    """What every backward keeps: it changes nothing, answers the same twice, and is linear in dy."""
    found = []
    again = _as_list(pull(given := [dy.copy() for dy in dys]))
    if not _close(again, gradients):
        advice = "Called twice with the same dy it gives two results: it changes what forward saved, or keeps sums between calls."
        found.append(Diagnosis("not the same twice", advice, "rule"))
    changed = [n for n, a, b in zip(subject.names, arrays, subject.arrays, strict=True) if not np.array_equal(a, b, equal_nan=True)]
    changed += ["dy"] if not all(np.array_equal(a, b) for a, b in zip(given, dys, strict=True)) else []
    if changed:
        found.append(
            Diagnosis("inputs changed", f"{', '.join(changed)} changed during the call: work on a copy instead of +=, out= or [...] =.", "rule")
        )
    if found:
        return found
    if any(np.any(np.nan_to_num(g)) for g in _as_list(pull([np.zeros_like(dy) for dy in dys])) if g is not None):
        return [Diagnosis("zero in, not zero out", "For dy = 0 all gradients are 0: every term carries dy.", "rule")]
    other = [np.asarray(rng.normal(size=dy.shape)) for dy in dys]
    mixed = _as_list(pull([2 * a - 3 * b for a, b in zip(dys, other, strict=True)]))
    expected = [_combined(a, b) for a, b in zip(gradients, _as_list(pull(other)), strict=False)]
    if not _close(mixed, expected):
        return [Diagnosis("not linear in dy", "Twice the dy must give twice the gradient, and sums must give sums.", "rule")]
    return []


def _combined(a: Any, b: Any) -> Any:
    return None if a is None or b is None else 2 * np.asarray(a) - 3 * np.asarray(b)


def _as_list(raw: Any) -> list[Any]:
    return list(raw) if isinstance(raw, tuple | list) else [raw]


def _close(some: Sequence[Any], others: Sequence[Any]) -> bool:
    """Equal up to rounding; what is missing or not finite is judged elsewhere."""
    for a, b in zip(some, others, strict=False):
        if a is not None and b is not None and np.shape(a) == np.shape(b) and np.isfinite(b).all():
            if not np.allclose(a, b, rtol=0, atol=1e-9 * max(np.max(np.abs(b), initial=0), 1e-6)):
                return False
    return True


class _Judge:
    """Compares gradients with the truth, one argument after the other, and afterwards names what is wrong."""

    def __init__(self, subject: Subject, truth: Truth, dys: list[np.ndarray], rng: np.random.Generator, every_element: bool):
        self.subject, self.truth, self.dys, self.rng = subject, truth, dys, rng
        self.every_element = every_element
        self.small = sum(a.size for a in subject.arrays) <= ALL_ELEMENTS
        self.evidence: dict[str, Evidence] = {}

    def argument(self, k: int, claimed: Any) -> Argument:
        """The findings about one gradient, not yet with names for mistakes."""
        x = self.subject.arrays[k]
        dims = [r.expected.get(self.subject.names[k], []) for r in self.subject.records]
        found = Argument(self.subject.names[k], x.shape, dims=tuple(dims[0]) if dims and len(dims[0]) == x.ndim else ())
        got = None if claimed is None else np.asarray(claimed)
        if got is not None and got.shape == x.shape and got.dtype.kind in "biuf":
            if got.dtype != x.dtype:
                found.mistakes.append(_wrong_dtype(found.label, got.dtype))
            self._compare(k, got.astype(float), found)
        else:
            self._refuse(k, got, found)
        return found

    def _refuse(self, k: int, got: np.ndarray | None, found: Argument) -> None:
        """No array, or one of another shape: all of it is wrong, unless None stands for a gradient of zeros."""
        at, true, rows = self._true_elements(k)
        if got is None and not true.any():
            found.checked = len(at)
            return
        found.checked = found.wrong = found.wrong or self.subject.arrays[k].size
        if got is not None and got.dtype.kind not in "biuf":
            found.mistakes.append(Diagnosis("no array of numbers", f"{found.label} is {got.dtype}, expected float64."))
        else:
            self._remember(k, found, got, at, true, rows)

    def _compare(self, k: int, got: np.ndarray, found: Argument) -> None:
        if not self.every_element and self._agrees_along_a_direction(k, got):
            found.checked, found.got = got.size, got
            return
        at, true, rows = self._true_elements(k)
        if len(at) < got.size and not self._agrees_along_a_direction(k, got):
            missed = self._find_wrong(k, got)
            if missed is not None and missed not in at:
                at = np.append(at, missed)
                more, more_rows = self.truth.elements(k, at[-1:])
                true, rows = np.append(true, more), None if rows is None or more_rows is None else np.vstack([rows, more_rows])
        if len(at) < got.size:
            found.notes.append(f"{len(at)} of {got.size} numbers sampled, all of them along a random direction")
        wrong = self._wrong(true, got.flat[at])
        wrong, kinked, notes = Kinks(self.subject, self.truth, k).excuse(at, got, wrong, self._scale(true))
        found.notes += notes
        self._count(found, at, true, got, wrong, ~kinked)
        if wrong.any():
            smooth = ~kinked
            self._remember(k, found, got, at[smooth], true[smooth], None if rows is None else rows[smooth])

    def _true_elements(self, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """(flat indices, the derivatives there, the Jacobian's rows): all elements, or a sample of every argument."""
        size = self.subject.arrays[k].size
        share = max(ALL_ELEMENTS // len(self.subject.arrays), 20)
        at = np.arange(size) if self.small or size <= share else np.sort(self.rng.choice(size, share, replace=False))
        true, rows = self.truth.elements(k, at)
        return at, true, rows

    def _scale(self, true: np.ndarray) -> float:
        """What a gap is measured against: the largest true number, but not less than dy lets expect of rounding."""
        finite = np.abs(true[np.isfinite(true)])
        return max(np.max(finite, initial=0), 1e-3 * np.max(np.abs(self.truth.dy), initial=0), 1e-300)

    def _wrong(self, true: np.ndarray, got: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            close = np.abs(got - true) <= self.truth.tolerance * self._scale(true)
        return ~(close | (got == true) | (np.isnan(got) & np.isnan(true)))

    def _agrees_along_a_direction(self, k: int, got: np.ndarray, mask: np.ndarray | float = 1.0) -> bool:
        """Whether <gradient, v> is the derivative along v, for a random v: chance does not let a wrong one pass."""
        v = self.rng.normal(size=got.shape) * mask
        gap = abs(np.sum(got * v) - self.truth.along(k, v))
        size = max(np.sqrt(np.sum((got * v) ** 2)), 1e-3 * np.max(np.abs(self.truth.dy), initial=0))
        return bool(gap <= 10 * self.truth.tolerance * size)

    def _find_wrong(self, k: int, got: np.ndarray) -> int | None:
        """The flat index of a wrong number among too many to try each: halve, and go where the direction disagrees."""
        low, high = 0, got.size
        while high - low > 1:
            middle, mask = (low + high) // 2, np.zeros(got.shape)
            mask.flat[low:middle] = 1
            low, high = (middle, high) if self._agrees_along_a_direction(k, got, mask) else (low, middle)
        return low

    def _count(
        self, found: Argument, at: np.ndarray, true: np.ndarray, got: np.ndarray, wrong: np.ndarray, smooth: np.ndarray
    ) -> None:
        """How many are wrong, by how much, and which most; at kinks no number is the one expected."""
        found.checked, found.wrong, found.got = len(at), int(wrong.sum()), got
        found.true, found.wrong_at = np.full(got.shape, np.nan), np.zeros(got.shape, bool)
        found.true.flat[at], found.wrong_at.flat[at] = true, wrong
        with np.errstate(all="ignore"):
            gaps = np.where(smooth, np.nan_to_num(np.abs(got.flat[at] - true), nan=np.inf), 0)
        found.gap = float(np.max(gaps, initial=0) / self._scale(true))
        if (wrong & smooth).any():
            i = int(np.argmax(np.where(wrong, gaps, -1)))
            index = tuple(int(j) for j in np.unravel_index(at[i], got.shape))
            found.worst = Worst(index, float(got.flat[at[i]]), float(true[i]))

    # ---- names ----

    def _remember(self, k: int, found: Argument, got: Any, at: np.ndarray, true: np.ndarray, rows: np.ndarray | None) -> None:
        x = self.subject.arrays[k]
        whole = np.full(x.shape, np.nan)
        whole.flat[at] = true
        tolerance = 1e-8 if self.truth.complex else 1e-4
        self.evidence[found.name] = Evidence(self.subject, k, found.label, got, whole, at, rows, self.dys, [], tolerance)

    def name(self, arguments: list[Argument]) -> list[Argument]:
        """Look for the names of all mistakes, now that it is known which gradients are wrong."""
        if self.evidence:
            trues = self._all_true(arguments)
            if not self.subject.records and not self.subject.taped:
                self.subject = replace(self.subject, records=recognise(self.subject, TABLE))
            culprits = _culprits(self.subject) if self.subject.taped and not self.subject.records else []
            for a in arguments:
                if a.name in self.evidence:
                    evidence = replace(self.evidence[a.name], subject=self.subject, trues=trues)
                    a.mistakes += culprits + name_mistake(evidence)
        return _most_telling_first(arguments)

    def _all_true(self, arguments: list[Argument]) -> list[np.ndarray]:
        """Every argument's true gradient as far as it is known, NaN elsewhere."""
        known = {name: e.true for name, e in self.evidence.items()} | {a.name: a.true for a in arguments if a.true is not None}
        return [known.get(n, np.full(x.shape, np.nan)) for n, x in zip(self.subject.names, self.subject.arrays, strict=True)]


def _wrong_dtype(label: str, dtype: Any) -> Diagnosis:
    name = "float32" if dtype == np.float32 else "wrong dtype"
    return Diagnosis(name, f"{label} is {dtype}, its array float64: a gradient has its array's dtype.")


def _most_telling_first(arguments: list[Argument]) -> list[Argument]:
    """Slips before patterns, and of several slips first the one that explains most of the wrong gradients."""
    names = [d.name for a in arguments for d in a.mistakes if d.kind == "slip"]
    for a in arguments:
        unique = {d.name: d for d in reversed(a.mistakes)}
        in_order = [d for d in unique.values()][::-1]
        a.mistakes = sorted(in_order, key=lambda d: -names.count(d.name) if d.kind == "slip" else 1 if d.kind == "pattern" else 0)
    return arguments


def _culprits(subject: Subject) -> list[Diagnosis]:
    """For a function, layer or model whose gradient is wrong: which of its ops is, and its mistake."""
    with op_calls() as calls:
        subject.run(subject.arrays)
    found: dict[str, Diagnosis] = {}
    for record, arrays, constants in calls:
        if record.name not in found and record.backward and all(a is not None for a in arrays):
            part = of_function(record, arrays, constants)
            part = replace(part, title=record.name, names=of_op(record, arrays, constants, None).names, trusted=True)
            report = check(replace(part, records=(record,), constants=constants), seed=0, every_element=False)
            for a in report.arguments:
                if a.mistake:
                    advice = f"The mistake is in the op {record.name}, in {a.label}. {a.mistake.advice}"
                    found.setdefault(record.name, Diagnosis(a.mistake.name, advice, "slip"))
    return list(found.values())


# ---- many draws of an op -------------------------------------------------------------------------------------------


def _check_draws(record: Op, seed: int, backward: Callable | None, wrt: Any, constants: dict[str, Any]) -> Report:
    """Check an op on draws from its samples, every third of them whole numbers, which have ties and zeros."""
    if record.samples is None:
        raise ValueError(f"gradcheck: {record.name} has no samples: give inputs")
    reports: list[Report] = []
    for i in range(DRAWS):
        arrays, drawn = record.samples(RandomDraw(seed + i, whole=i % 3 == 2))
        reports.append(check(of_op(record, arrays, drawn | constants, backward), seed + i, wrt, every_element=i == 0))
        if sum(not r for r in reports) == 5:  # enough to tell one mistake from another
            break
    return _merged(reports, seed)


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
