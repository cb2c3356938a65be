"""What the checker found: `Report`, for a terminal, a notebook or a program.

A report is true if every gradient is right. Its verdict is "right", "wrong", or "cannot tell" with the reason. Printed, it gives
for each wrong gradient how much of it is wrong, the worst number, the mistake that it looks like, one sentence of advice, and
a heat map of blocks, one for each number.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from tinydx.gradcheck.maps import panels
from tinydx.gradcheck.picture import as_figure, as_html
from tinydx.gradcheck.text import Say, as_text
from tinydx.language import sentence

RIGHT, WRONG, CANNOT_TELL = "right", "wrong", "cannot tell"


class Diagnosis(NamedTuple):
    """The name of a mistake, one sentence of advice, and the source of the name: "slip", "pattern" or "rule"."""

    name: str
    advice: str
    kind: str = "pattern"


@dataclass(frozen=True)
class Worst:
    """The number with the largest error."""

    index: tuple[int, ...]
    got: float
    expected: float


@dataclass
class Argument:
    """What was found about the gradient of one array."""

    name: str
    shape: tuple[int, ...]
    _: KW_ONLY
    checked: int = 0
    wrong: int = 0
    gap: float = 0.0  # the largest difference, relative to the largest true number
    worst: Worst | None = None
    mistakes: list[Diagnosis] = field(default_factory=list)  # possible names, the best first
    notes: list[str] = field(default_factory=list)
    doubt: str = ""  # why nothing can be said about this gradient
    agrees: bool = False  # whether every number agrees all the same, as zeros do where all is zero
    got: np.ndarray | None = None
    true: np.ndarray | None = None  # NaN where it was not computed
    wrong_at: np.ndarray | None = None  # bool, of the array's shape
    dims: tuple[str, ...] = ()  # names of its axes, if they are known

    @property
    def verdict(self) -> str:
        """right, wrong or cannot tell."""
        return CANNOT_TELL if self.doubt else WRONG if self.wrong or self.mistakes else RIGHT

    @property
    def ok(self) -> bool:
        """Whether no number is wrong."""
        return self.verdict == RIGHT or self.agrees

    @property
    def label(self) -> str:
        """The usual name of this gradient: dw."""
        return f"d{self.name}" if self.name.replace("[", "").replace("]", "").isidentifier() else f"d {self.name}"

    @property
    def mistake(self) -> Diagnosis | None:
        """The best name for what is wrong, None if no known pattern fits."""
        return self.mistakes[0] if self.mistakes else None

    @property
    def where(self) -> str:
        """Where the wrong numbers are, in words, if they are in one part of an axis: "all at index 0 of axis 1 (T)"."""
        if self.wrong_at is None or not self.wrong_at.any():
            return ""
        for axis, n in enumerate(self.shape):
            others = tuple(a for a in range(len(self.shape)) if a != axis)
            indices = np.flatnonzero(self.wrong_at.any(axis=others))
            if 2 * len(indices) <= n:
                name = f" ({self.dims[axis]})" if self.dims else ""
                places = ", ".join(map(str, indices[:8]))
                return sentence("all at index {places} of axis {axis}{name}", places=places, axis=axis, name=name)
        return ""

    def heat(self) -> list[tuple[str, np.ndarray]]:
        """Captions and 2-D maps of how wrong each number is: 0 is right, 1 is the worst, NaN was not checked."""
        if self.got is None or self.true is None or self.wrong_at is None:
            return []
        with np.errstate(all="ignore"):
            error = np.nan_to_num(np.abs(self.got - self.true), nan=np.inf, posinf=np.inf)
            top = np.max(error[np.isfinite(error) & self.wrong_at], initial=0) or 1.0
            heat = np.where(self.wrong_at, np.clip(error / top, 1e-3, 1), 0.0)
        heat = np.where(np.isnan(self.true) & ~self.wrong_at, np.nan, heat)
        return panels(heat, self.dims)

    def as_dict(self) -> dict[str, Any]:
        """Everything but the arrays, as plain data for JSON."""
        worst = self.worst and {
            "index": [int(i) for i in self.worst.index],
            "got": _number(self.worst.got),
            "expected": _number(self.worst.expected),
        }
        return {
            "name": self.name,
            "ok": self.ok,
            "verdict": self.verdict,
            "reason": self.doubt,
            "shape": list(self.shape),
            "checked": self.checked,
            "wrong": self.wrong,
            "gap": _number(self.gap),
            "worst": worst,
            "mistake": self.mistake._asdict() if self.mistake else None,
            "notes": self.notes,
            "where": self.where,
            "heat": [{"caption": c, "rows": [[_number(v) for v in r] for r in m]} for c, m in self.heat() if self.wrong],
        }


@dataclass
class Report:
    """The result of `gradcheck`: true if all gradients are right, and `str(report)` explains what is wrong.

    `verdict` is "right", "wrong" or "cannot tell"; `reason` says why it cannot tell, and what to change.

    Arguments: title; arguments, an `Argument` for each array, with name, ok, wrong, worst, mistake, notes; problems, what is
    wrong with the backward as a whole (not linear in dy, inputs changed ...); method, how the truth was computed; seed,
    which repeats the check; draws, how many were checked; milliseconds, how long it took; doubt, why nothing can be judged;
    notes about the check as a whole.
    """

    title: str
    arguments: list[Argument]
    problems: list[Diagnosis] = field(default_factory=list)
    method: str = "complex step"
    seed: int = 0
    draws: int = 1
    milliseconds: float = 0.0
    doubt: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """right, wrong or cannot tell."""
        if self.doubt:
            return CANNOT_TELL
        found = [a.verdict for a in self.arguments]
        if self.problems or WRONG in found:
            return WRONG
        return CANNOT_TELL if CANNOT_TELL in found else RIGHT

    @property
    def ok(self) -> bool:
        return self.verdict == RIGHT

    @property
    def reason(self) -> str:
        """Why the check cannot tell, "" if it can."""
        doubts = [self.doubt, *(a.doubt for a in self.arguments)]
        return next(filter(None, doubts), "") if self.verdict == CANNOT_TELL else ""

    def __bool__(self) -> bool:
        return self.ok

    @property
    def mistakes(self) -> dict[str, str | None]:
        """The wrong arguments, each with the name of its mistake, None if no known pattern fits."""
        return {a.name: a.mistake.name if a.mistake else None for a in self.arguments if a.verdict == WRONG}

    def __getitem__(self, name: str) -> Argument:
        """The findings about one argument: report["w"]."""
        return next(a for a in self.arguments if a.name == name)

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__

    def text(self, unicode: bool | None = None, say: Say = sentence) -> str:
        """The report as text; unicode=False uses only ASCII (default: what the terminal can show); say=said, in any language."""
        return as_text(self, unicode, say)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data: `json.dumps(report.as_dict())` works."""
        return {
            "title": self.title,
            "ok": self.ok,
            "verdict": self.verdict,
            "reason": self.reason,
            "arguments": [a.as_dict() for a in self.arguments],
            "problems": [p._asdict() for p in self.problems],
            "method": self.method,
            "notes": self.notes,
            "seed": self.seed,
            "draws": self.draws,
            "milliseconds": round(self.milliseconds, 1),
        }

    def _repr_html_(self) -> str:
        """The report as a notebook shows it."""
        return as_html(self)

    def figure(self) -> Any:
        """A matplotlib figure: for each wrong gradient yours, the true one and the difference, as tiles with one scale.

        Raises: ImportError if matplotlib is missing.
        """
        return as_figure(self)


def _number(value: float) -> float | str:
    """A float that strict JSON accepts: NaN and infinities become text."""
    return float(value) if math.isfinite(value) else str(float(value))
