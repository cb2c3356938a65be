"""Patterns of wrong results that are no gradients: a factor, a sign, an offset, a step in the wrong direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinydx.gradcheck.report import Diagnosis
from tinydx.language import sentence

CLOSE = 1e-8  # relative gap up to which two results are equal
ALMOST = 1e-5  # relative gap below which no number is in a wrong place


def value_patterns(name: str, got: np.ndarray | None, true: np.ndarray, arguments: Sequence[Any]) -> list[Diagnosis]:
    """Names for a result that differs from the true one in a simple way, the most specific first.

    Arguments: name of the result; got and true, of one shape; arguments of the function, which a step starts from.
    """
    if got is None or got.shape != true.shape or not np.isfinite(got).all() or not np.isfinite(true).all() or true.size < 1:
        return []
    return [*_of_steps(name, got, true, arguments), *_of_all(name, got, true)]


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    top = float(np.max(np.abs(b), initial=0))
    return top > 0 and a.shape == b.shape and bool(np.max(np.abs(a - b), initial=0) <= CLOSE * top)


def _ratio(got: np.ndarray, true: np.ndarray) -> float:
    """The number c with got = c true; NaN if there is none."""
    square = float(np.sum(true * true))
    c = float(np.sum(got * true)) / square if square else float("nan")
    return c if _same(got, c * true) else float("nan")


def _of_steps(name: str, got: np.ndarray, true: np.ndarray, arguments: Sequence[Any]) -> list[Diagnosis]:
    """The step from one of the arguments to the result is right but for its sign or a factor."""
    for a in arguments:
        if isinstance(a, np.ndarray) and a.shape == true.shape and a.dtype.kind == "f" and true.size > 2:
            c = _ratio(got - a, true - a)
            if np.isfinite(c) and abs(c + 1) < 1e-7:
                return [
                    Diagnosis(
                        "sign of the step", sentence("{name} moves in the opposite direction: + and - are exchanged.", name=name)
                    )
                ]
            if np.isfinite(c) and abs(c) > 1e-9 and abs(c - 1) > 1e-7:
                return [
                    Diagnosis(
                        "size of the step", sentence("{name} moves in the right direction, {c:.4g} times as far.", name=name, c=c)
                    )
                ]
            if not (got - a).any():
                return [Diagnosis("unchanged", sentence("{name} is still what it was before the step.", name=name))]
    return []


def _of_all(name: str, got: np.ndarray, true: np.ndarray) -> list[Diagnosis]:
    if not got.any():
        return [Diagnosis("zero", sentence("{name} is zero everywhere: is it ever filled?", name=name))]
    c = _ratio(got, true)
    if np.isfinite(c) and abs(c + 1) < 1e-7:
        return [Diagnosis("sign", sentence("{name} has the opposite sign.", name=name))]
    if np.isfinite(c) and abs(c - 1) > 1e-7:
        twice = sentence(" Is something counted twice?") if abs(c - 2) < 1e-7 else ""
        told = "{name} is {c:.6g} times the right result, everywhere.{twice}"
        return [Diagnosis("constant factor", sentence(told, name=name, c=c, twice=twice))]
    off = got - true
    gap = float(np.max(np.abs(off))) / float(np.max(np.abs(true), initial=1e-300))
    if gap < ALMOST:  # before places are compared: sorted, numbers that are almost right are right
        told = "{label} agrees to {digits:.0f} digits: a rounded constant, a forgotten epsilon, or float32?"
        return [Diagnosis("almost right", sentence(told, label=name, digits=-np.log10(gap)))]
    if true.size > 2 and _same(off, np.full_like(off, off.mean())):
        told = "{name} is off by {off:.6g} everywhere: a term that is missing, or one too many."
        return [Diagnosis("a common term", sentence(told, name=name, off=off.flat[0]))]
    for axis in range(true.ndim):
        if true.shape[axis] > 1 and _same(np.flip(got, axis), true):
            told = "{name} is the right result in reversed order along axis {axis}."
            return [Diagnosis("flipped", sentence(told, name=name, axis=axis))]
        for shift in (1, -1):
            if true.shape[axis] > 2 and _same(np.roll(got, shift, axis), true):
                told = "{name} is the right result moved by one place along axis {axis}: an index is off."
                return [Diagnosis("shifted", sentence(told, name=name, axis=axis))]
    if true.ndim == 2 and true.shape[0] == true.shape[1] and _same(got.T, true):
        return [Diagnosis("transposed", sentence("{name} is the right result transposed.", name=name))]
    if true.size > 2 and _same(np.sort(got, axis=None), np.sort(true, axis=None)):
        told = sentence("{name} holds the right numbers in another order.", name=name)
        return [Diagnosis("right numbers in wrong places", told)]
    return []
