"""Kinks and ties: points where the left and the right derivative of a function differ.

At relu(0), or where two pixels tie for the maximum, the gradient is not unique: any value between the two one-sided
derivatives is right, and where several kinks meet, any value between the gradients at points close by, where each kink has
taken its own side. The report notes it, and the check passes. Two mistakes remain possible. When tied numbers move
together the tie stays, the function is smooth along that direction, and their gradients must add up to its derivative.
That the engine gives the gradient to the first of the ties is its own rule: any tied number may have it.
"""

from __future__ import annotations

import numpy as np

from tinydx.gradcheck.subject import Subject
from tinydx.gradcheck.truth import Truth, generator
from tinydx.language import sentence

NAMED = 2  # how many kinks a note names
FEW, POINTS = 32, 32  # at most so many wrong numbers are compared with gradients at so many points close by
TRIED = 8  # of the points, before that
CLASSES = 40  # how many groups of equal numbers are moved together


class Kinks:
    """The kinks of one argument."""

    def __init__(self, subject: Subject, truth: Truth, k: int):
        self.subject, self.truth, self.k = subject, truth, k
        self.x, self.name = subject.arrays[k], subject.names[k]

    def excuse(
        self, at: np.ndarray, got: np.ndarray, wrong: np.ndarray, scale: float
    ) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Which of the elements `at` remain wrong, which of them are at kinks, and notes about the kinks."""
        slack = max(1e-6, self.truth.tolerance(self.k)) * scale
        suspects, kinked = at[wrong | self._repeated(at)], []
        for element in suspects if len(suspects) and self._any(suspects) else ():
            sides = self.truth.one_sided(self.k, self.truth.unit(self.k, element))
            if sides.kink:
                kinked.append(element)
                if abs(got.flat[element] - sides.centre) <= 2 * sides.half + slack:  # several kinks may each take a side
                    wrong = wrong & (at != element)
        several = self._where_several_meet(at, got, wrong, scale)
        wrong, kinked = wrong & ~several, list(dict.fromkeys([*kinked, *at[several]]))
        if not kinked:
            return wrong, np.zeros(len(at), bool), []
        impossible, sums = self._impossible(np.array(kinked, int), at[wrong | several], got, slack)
        return wrong | np.isin(at, impossible), np.isin(at, kinked), self._notes(kinked) + sums

    def _where_several_meet(self, at: np.ndarray, got: np.ndarray, wrong: np.ndarray, scale: float) -> np.ndarray:
        """Which wrong numbers lie between true gradients at points close by, if kinks make these differ."""
        found = np.zeros(len(at), bool)
        if not self.truth.complex[self.k] or not 0 < wrong.sum() <= FEW or not self._varies_nearby(at[wrong], scale):
            return found
        near = np.array([self.truth.nearby(i).elements(self.k, at[wrong]).true for i in range(POINTS)])
        low, high, here, slack = near.min(axis=0), near.max(axis=0), got.flat[at[wrong]], 1e-6 * scale
        found[wrong] = (high - low > 1e-3 * scale) & (low - slack <= here) & (here <= high + slack)
        return found

    def _varies_nearby(self, elements: np.ndarray, scale: float) -> bool:
        """Whether kinks change any of these derivatives at points close by: one random direction tries all of them."""
        direction = np.zeros(self.x.shape)
        direction.flat[elements] = generator(4).normal(size=len(elements))
        slopes = [self.truth.nearby(i).along(self.k, direction)[0] for i in range(TRIED)]
        return bool(np.ptp(slopes) > 1e-4 * scale)

    def _repeated(self, at: np.ndarray) -> np.ndarray:
        """Elements that may tie: zeros, and numbers that occur more than once."""
        _, inverse, counts = np.unique(self.x, return_inverse=True, return_counts=True)
        return ((counts[inverse.ravel()] > 1) | (self.x.ravel() == 0))[at]

    def _any(self, suspects: np.ndarray) -> bool:
        """Whether any suspect is at a kink: one random direction tries all of them."""
        direction = np.zeros(self.x.shape)
        direction.flat[suspects] = generator(3).normal(size=len(suspects))
        return self.truth.one_sided(self.k, direction).kink

    def _impossible(self, kinked: np.ndarray, unsure: np.ndarray, got: np.ndarray, slack: float) -> tuple[list[int], list[str]]:
        """Tied elements whose gradients do not add up to the derivative along the direction that moves them together."""
        found: list[int] = []
        notes: list[str] = []
        for value in np.unique(self.x.flat[kinked])[:CLASSES]:
            together = (self.x == value).astype(float)
            sides, total = self.truth.one_sided(self.k, together), float(np.sum(got * together))
            smooth = not sides.kink and not together.flat[unsure].any()  # then the sum is known
            off = abs(total - sides.centre) > slack * together.sum()
            if smooth and off and not self._sum_nearby(together, total, slack):
                found += list(kinked[self.x.flat[kinked] == value])
                told = "tied at {value:g}: these gradients add up to {total:.6g}, but truly to {true:.6g}"
                notes.append(sentence(told, value=value, total=total, true=sides.centre))
        return found, notes[:NAMED]

    def _sum_nearby(self, together: np.ndarray, total: float, slack: float) -> bool:
        """Whether the sum lies between those of points close by: jumps of several kinks may cancel at the point itself."""
        if not self.truth.complex[self.k]:
            return False
        sums = [self.truth.nearby(i).along(self.k, together)[0] for i in range(POINTS)]
        return min(sums) - slack <= total <= max(sums) + slack

    def _notes(self, kinked: list[int]) -> list[str]:
        """One note that names the first kinks and counts the rest."""
        if not kinked:
            return []
        reasons: list[str] = []
        named: set[int] = set()
        for element in kinked:
            if len(reasons) < NAMED and element not in named:
                reason, partner = self._reason(element, kinked)
                reasons.append(reason)
                named |= {element, partner}
        rest = len(set(kinked) - named)
        more = sentence(", and {n} more", n=rest) if rest else ""
        return [sentence("not differentiable here: {places}{more}", places=", ".join(reasons), more=more)]

    def _reason(self, element: int, kinked: list[int]) -> tuple[str, int]:
        """Why an element is at a kink, and its partner: "x[2, 1] = x[2, 2]" if moving both keeps the tie, else "x[2, 1] = 0"."""
        alone = self.truth.one_sided(self.k, self.truth.unit(self.k, element))
        here, value = self._index(element), self.x.flat[element]
        equals = [e for e in kinked if e != element and self.x.flat[e] == value]
        for other in sorted(equals, key=lambda e: self._distance(e, element))[:8]:
            both = self.truth.one_sided(self.k, self.truth.unit(self.k, element, other))
            partner = self.truth.one_sided(self.k, self.truth.unit(self.k, other))
            if both.half < (alone.half + partner.half) * (1 - 1e-6):
                return f"{here} = {self._index(other)}", other
        for name, constant in self.subject.constants.items():
            if isinstance(constant, np.ndarray) and constant.shape == self.x.shape and constant.flat[element] == value:
                return f"{here} = {self._index(element, name)}", element
        return f"{here} = {value:g}", element

    def _index(self, element: int, name: str | None = None) -> str:
        index = ", ".join(map(str, np.unravel_index(element, self.x.shape)))
        return f"{name or self.name}[{index}]" if index else name or self.name

    def _distance(self, a: int, b: int) -> int:
        places = np.array(np.unravel_index([a, b], self.x.shape))
        return int(np.abs(places[:, 0] - places[:, 1]).sum())
