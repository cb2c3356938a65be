"""The comparison: a claimed gradient against the true one, number by number."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from tinydx.gradcheck.doubts import dead
from tinydx.gradcheck.evidence import Evidence
from tinydx.gradcheck.kinks import Kinks
from tinydx.gradcheck.patterns import clear_names, run_slips, vague_names
from tinydx.gradcheck.repair import early_return, repairs
from tinydx.gradcheck.report import Argument, Diagnosis, Worst
from tinydx.gradcheck.rows import ROWS
from tinydx.gradcheck.sizes import doubtful, resized
from tinydx.gradcheck.steps import wrong_steps
from tinydx.gradcheck.subject import Subject, recognise, slip_gradients
from tinydx.gradcheck.truth import Elements, Truth
from tinydx.gradcheck.unread import names_from_values
from tinydx.language import sentence
from tinydx.op import TABLE, Slip

ALL_ELEMENTS = 2000  # up to this many numbers, the derivative of every number is computed;
FACTOR = "constant factor"
TWICE = re.compile(r"counted twice|factor (2|0\.5) ")
SHOWN = "one .* (left out|only)|diagonal only|= instead of|off by one|dy read backwards|sum forgotten|not transposed"
EXCESS = re.compile("factor .* too many$")  # or a division by it is missing: the source says which
DIVISION = re.compile("power|divi|square")
UNCLEAR = re.compile(f"{FACTOR}|{TWICE.pattern}")  # what it looks like may have many reasons: see the source
SAMPLE = 300  # of more, this many of each array, and all of them together along a random direction


class Judge:
    """Compares gradients with the truth, argument by argument, and then names the mistakes."""

    def __init__(self, subject: Subject, truth: Truth, dys: list[np.ndarray], rng: np.random.Generator, every_element: bool):
        self.subject, self.truth, self.dys, self.rng = subject, truth, dys, rng
        self.every_element = every_element
        self.small = sum(a.size for a in subject.arrays) <= ALL_ELEMENTS
        self.evidence: dict[str, Evidence] = {}
        self.claimed: dict[int, Any] = {}

    def argument(self, k: int, claimed: Any) -> Argument:
        """The findings about one gradient, still without names for mistakes."""
        x = self.subject.arrays[k]
        found = Argument(self.subject.names[k], x.shape, dims=self._dims(self.subject.names[k], x.ndim))
        got = None if claimed is None else np.asarray(claimed)
        self.claimed[k] = got
        if got is not None and got.shape == x.shape and got.dtype.kind in "biuf":
            if got.dtype != x.dtype:
                found.mistakes.append(_wrong_dtype(found.label, got.dtype))
            self._compare(k, got.astype(float), found)
        else:
            self._refuse(k, got, found)
        return found

    def _dims(self, name: str, rank: int) -> tuple[str, ...]:
        """The names of an array's axes, as far as the op states them for all: C where there are no groups of channels."""
        stated = self.subject.ops[0].expected.get(name, []) if self.subject.ops else []
        if len(stated) != rank or "..." in stated:
            return ()
        alone = self.subject.constants.get("groups", 1) == 1
        return tuple(d.removesuffix("/groups") if alone else d for d in stated)

    def _refuse(self, k: int, got: np.ndarray | None, found: Argument) -> None:
        """No array, or one of another shape: every number is wrong, unless None stands for a gradient of zeros."""
        elements = self.truth.elements(k, self._chosen(k))
        found.checked = len(elements.at)
        if self._no_truth(k, elements, found) or (got is None and not elements.true.any()):
            return
        found.wrong = found.checked
        if got is not None and got.dtype.kind not in "biuf":
            found.mistakes.append(
                Diagnosis(
                    "no array of numbers", sentence("{label} is {dtype}, expected float64.", label=found.label, dtype=got.dtype)
                )
            )
        else:
            self._remember(k, found, got, elements)

    def _compare(self, k: int, got: np.ndarray, found: Argument) -> None:
        """Compare an array of the right shape number by number, or first along a random direction."""
        if not self.every_element and self._agrees_along_a_direction(k, got):
            found.checked, found.got = got.size, got
            return
        at = self._chosen(k)
        if len(at) < got.size:
            note = sentence(
                "{n} of {size} numbers sampled; the others together, along a random direction", n=len(at), size=got.size
            )
            found.notes.append(note)
            if not self._agrees_along_a_direction(k, got):
                at = np.union1d(at, [self._find_wrong(k, got)])
        elements = self.truth.elements(k, at)
        if self._no_truth(k, elements, found):
            return
        wrong = self._wrong(k, elements, got.flat[at])
        kinks = Kinks(self.subject, self.truth, k)
        wrong, kinked, notes = kinks.excuse(at, got, wrong, self._scale(elements.true))
        found.notes += notes
        self._count(found, elements, got, wrong, ~kinked)
        if wrong.any():
            self._remember(k, found, got, elements.only(~kinked))
        else:
            found.notes += self._other_choice(k, got, kinked)
            self._nothing_shown(k, elements, found)

    def _no_truth(self, k: int, elements: Elements, found: Argument) -> bool:
        """Whether the true gradient is NaN or infinite somewhere, or has too few digits to judge any number."""
        bad = ~np.isfinite(elements.true)
        if bad.any():
            index = tuple(int(i) for i in np.unravel_index(elements.at[np.argmax(bad)], found.shape))
            where = f"{found.label}{list(index) if index else ''}"
            found.doubt = sentence(
                "the true gradient {where} is NaN or infinite here: give inputs at which forward is smooth.", where=where
            )
        elif np.max(elements.doubt, initial=0) > 1e-3 * self._scale(elements.true):
            found.doubt = sentence(
                "too few digits are left in {label}: give inputs of ordinary size, and compute in float64.", label=found.label
            )
        return bool(found.doubt)

    def _nothing_shown(self, k: int, elements: Elements, found: Argument) -> None:
        """A doubt where a gradient of zeros would have passed, too."""
        top = np.max(np.abs(elements.true), initial=0)
        if not self.subject.given or not len(elements.true) or top > 1e-9 * np.max(np.abs(self.truth.dy), initial=0):
            return
        if top == 0 and dead(self.subject, self.truth, k):
            told = "the true {label} is zero everywhere at this point ({why}), but not at others: give other inputs."
            why = sentence("a gradient of zeros would pass, too")
            found.doubt = sentence(told, label=found.label, why=why)
            found.agrees = True
        elif top > 0 and found.gap * self._scale(elements.true) > 1e-5 * top:
            found.doubt = sentence(
                "the true {label} is at most {top:.0e}, below rounding: give inputs at which it is larger.",
                label=found.label,
                top=top,
            )

    def _other_choice(self, k: int, got: np.ndarray, kinked: np.ndarray) -> list[str]:
        """A note where the learner's choice at a kink or tie is not the op's own; both are right."""
        if not kinked.any() or not self.subject.given or not self.subject.ops:
            return []
        op = self.subject.ops[0]
        if op.backward is None:
            return []
        own = slip_gradients(op, Slip("", "", op.backward), self.subject, self.dys)[k]
        if np.allclose(own, got):
            return []
        told = "at ties and kinks yours chooses otherwise than tinydx's {op} (of ties, the first): both are right"
        return [sentence(told, op=op.name)]

    def _chosen(self, k: int) -> np.ndarray:
        """Flat indices of the elements to check: all of them, or a sample."""
        size = self.subject.arrays[k].size
        if self.small or size <= SAMPLE:
            return np.arange(size)
        return np.sort(self.rng.choice(size, SAMPLE, replace=False))

    def _scale(self, true: np.ndarray) -> float:
        """What a gap is relative to: the largest true number, but at least a thousandth of dy, because of rounding."""
        finite = np.abs(true[np.isfinite(true)])
        return max(np.max(finite, initial=0), 1e-3 * np.max(np.abs(self.truth.dy), initial=0), 1e-300)

    def _wrong(self, k: int, elements: Elements, got: np.ndarray) -> np.ndarray:
        """Which numbers are not equal to the truth up to the tolerance."""
        true = elements.true
        with np.errstate(all="ignore"):
            close = np.abs(got - true) <= self.truth.tolerance(k) * self._scale(true) + 10 * elements.doubt
        return ~(close | (got == true))

    def _agrees_along_a_direction(self, k: int, got: np.ndarray, mask: np.ndarray | float = 1.0) -> bool:
        """Whether <gradient, v> is the derivative along a random v, which a wrong gradient cannot match by accident."""
        v = self.rng.normal(size=got.shape) * mask
        true, doubt = self.truth.along(k, v)
        size = max(np.sqrt(np.sum((got * v) ** 2)), 1e-3 * np.max(np.abs(self.truth.dy), initial=0))
        return bool(abs(np.sum(got * v) - true) <= 10 * self.truth.tolerance(k) * size + 10 * doubt)

    def _find_wrong(self, k: int, got: np.ndarray) -> int:
        """The flat index of a wrong number, by halving: keep the half in which the random direction disagrees."""
        if not np.isfinite(got).all():
            return int(np.argmin(np.isfinite(got)))
        low, high = 0, got.size
        while high - low > 1:
            middle, mask = (low + high) // 2, np.zeros(got.shape)
            mask.flat[low:middle] = 1
            low, high = (middle, high) if self._agrees_along_a_direction(k, got, mask) else (low, middle)
        return low

    def _count(self, found: Argument, elements: Elements, got: np.ndarray, wrong: np.ndarray, smooth: np.ndarray) -> None:
        """Count the wrong numbers, and find the largest gap and where it is, leaving kinks out."""
        at, true = elements.at, elements.true
        found.checked, found.wrong, found.got = len(at), int(wrong.sum()), got
        found.true, found.wrong_at = np.full(got.shape, np.nan), np.zeros(got.shape, bool)
        found.true.flat[at], found.wrong_at.flat[at] = true, wrong
        with np.errstate(all="ignore"):
            gaps = np.where(smooth, np.nan_to_num(np.abs(got.flat[at] - true), nan=np.inf), 0)
        found.gap = float(np.max(gaps, initial=0) / self._scale(true))
        if (wrong & smooth).any():
            gaps = np.where(wrong, gaps, -1)
            i = int(np.argmax(gaps >= gaps.max() * (1 - 1e-9)))  # the first of the largest, up to rounding
            index = tuple(int(j) for j in np.unravel_index(at[i], got.shape))
            found.worst = Worst(index, float(got.flat[at[i]]), float(true[i]))

    # ---- names ----

    def _remember(self, k: int, found: Argument, got: Any, elements: Elements) -> None:
        """Keep the evidence by which a mistake can be named."""
        at, true, _, rows = elements
        whole = np.full(found.shape, np.nan)
        whole.flat[at] = true
        self.evidence[found.name] = Evidence(
            subject=self.subject,
            k=k,
            label=found.label,
            got=got,
            true=whole,
            at=at,
            rows=rows,
            dys=self.dys,
            tolerance=1e-8 if self.truth.complex[k] else 1e-4,
        )

    def name(self, arguments: list[Argument], culprits: list[Diagnosis], seconds: float) -> None:
        """Name all mistakes, when all gradients have been compared; culprits are ops inside the subject that are wrong.

        Arguments: arguments; culprits; seconds, how long a change of the source is looked for.
        """
        subject, trues = self.subject, self._all_true(arguments)
        if not subject.ops and not subject.tape:
            subject = replace(subject, ops=recognise(subject, TABLE | ROWS))
        right = [subject.names.index(a.name) for a in arguments if a.ok]
        slips = run_slips(subject, self.dys, self.claimed, right)
        more: dict[str, Any] = {"trues": trues, "slips": slips, "resized": resized(subject, self.truth.complex), "right": right}
        more["doubtful"] = doubtful(subject, self.truth.complex)
        wrong = [(a, replace(self.evidence[a.name], subject=subject, **more)) for a in arguments if a.name in self.evidence]
        returned = early_return(subject.backward)
        named = {a.name: [*_first(a, e), *culprits, *_unless_returned(returned, clear_names(e))] for a, e in wrong}
        unclear = [e for a, e in wrong if not named[a.name] or _is_unclear(named[a.name][0], bool(subject.ops))]
        steps = wrong_steps(unclear) if unclear else {}
        mended = steps | repairs(unclear, seconds, steps) if unclear else {}
        mended |= names_from_values([e for e in unclear if e.k not in mended], seconds)
        for a, e in wrong:
            if e.k in mended and named[a.name] and TWICE.match(named[a.name][0].name) and TWICE.match(mended[e.k].name):
                del mended[e.k]
            if e.k in mended and not mended[e.k].name:
                a.notes.append(mended.pop(e.k).advice)
            if e.k in mended and named[a.name] and re.match(SHOWN, named[a.name][0].name):
                mended[e.k] = _both(named[a.name][0].name, mended[e.k])
            if e.k in mended and named[a.name] and EXCESS.match(named[a.name][0].name):
                if DIVISION.search(mended[e.k].name):
                    del named[a.name][0]
                else:
                    del mended[e.k]
            found = [*filter(None, [mended.get(e.k)]), *named[a.name], *vague_names(e), *a.mistakes]
            if e.k in mended and found[1:] and found[1].name == FACTOR:  # where it comes from, and the number
                both = [sentence(d.advice) for d in found[:2]]
                found[0] = found[0]._replace(advice=sentence("{first} {second}", first=both[0], second=both[1]))
            once: dict[str, Diagnosis] = {}
            for d in found:
                once.setdefault(d.name, d)
            a.mistakes = list(once.values())

    def _all_true(self, arguments: list[Argument]) -> list[np.ndarray]:
        """The true gradient of every argument, NaN where it was not computed."""
        known = {a.name: a.true for a in arguments if a.true is not None}
        known |= {name: e.true for name, e in self.evidence.items()}
        pairs = zip(self.subject.names, self.subject.arrays, strict=True)
        return [known.get(name, np.full(x.shape, np.nan)) for name, x in pairs]


def _first(a: Argument, e: Evidence) -> list[Diagnosis]:
    """What is known before any comparison, such as float32; but integers and comparisons in place of numbers have a reason."""
    return [] if getattr(getattr(e.got, "dtype", None), "kind", "") in "biu" else a.mistakes


def _unless_returned(returned: Diagnosis | None, names: list[Diagnosis]) -> list[Diagnosis]:
    """One example only may have gone in because the loop over them is left in its first round."""
    return [returned, *names] if returned and names and re.match("one .* only", names[0].name) else names


def _is_unclear(name: Diagnosis, of_op: bool) -> bool:
    """Whether the source may tell more; of an op of the table, what shows is known to be the mistake."""
    shown = re.match(SHOWN, name.name) or EXCESS.match(name.name)
    return bool(UNCLEAR.match(name.name) or (not of_op and name.kind != "slip" and shown))


def _both(effect: str, cause: Diagnosis) -> Diagnosis:
    """A cause in the source, with the effect by which it shows."""
    return cause if cause.name.startswith(effect) else cause._replace(name=f"{effect}: {cause.name}")


def _wrong_dtype(label: str, dtype: Any) -> Diagnosis:
    name = "float32" if dtype == np.float32 else "wrong dtype"
    return Diagnosis(
        name, sentence("{label} is {dtype}, its array float64: a gradient has its array's dtype.", label=label, dtype=dtype)
    )
