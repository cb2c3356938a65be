"""What should stand here? For a place in a backward, the value with which its gradients are right is looked up.

Gradients depend on most parts of a backward in a straight way: twice the change gives twice the effect. So a few runs show what
any other value there would give, and all formulas of a table are tried at once: in place of what stands there, as a factor of
it, or as a term beside it. What is found is an `Edit`, which has to hold everywhere, as any other change.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinydx.gradcheck.edits import Edit, Place, parsed, text
from tinydx.gradcheck.evidence import Evidence
from tinydx.gradcheck.formulas import Formula, Table, table
from tinydx.gradcheck.scene import Scene
from tinydx.gradcheck.seen import is_float, is_whole
from tinydx.gradcheck.truth import generator

LARGEST = 48  # numbers of a place
MOST = 12  # formulas of one place that are tried
GIVEN = "_given"
NUMBERS = {1.0: "{}", -1.0: "-{}", 2.0: "2 * {}", -2.0: "-2 * {}", 0.5: "{} / 2", -0.5: "-{} / 2", 3.0: "3 * {}"}

Run = Callable[[Callable], Sequence[Any]]  # a backward -> the gradients that it gives for the check's cotangents


class Effect(NamedTuple):
    """How gradients follow a place: what stands there, the slope (gradients, numbers), what they lack, for which evidence."""

    value: np.ndarray
    slope: np.ndarray
    missing: np.ndarray
    wrong: list[Evidence]


def needed(scene: Scene, remade: Any, run: Run, evidence: Sequence[Evidence]) -> list[Edit]:
    """Changes of one place each to a formula that gives the right gradients, the likeliest first.

    Arguments: scene, with the places to try; remade, makes the function from its tree; run; evidence of the wrong gradients.
    """
    wrong = [e for e in evidence if e.complete and np.shape(e.got) == e.true.shape]
    tables: dict[tuple[int, ...], Table] = {}
    found: list[tuple[int, int, Edit]] = []
    for p in _distinct(scene) if wrong else ():
        effect = _effect(p, scene, remade, run, wrong)
        if effect is not None:
            shape = np.shape(effect.value)
            if shape not in tables:
                tables[shape] = table(_names(scene), shape)
            edits = _fitting(p, scene, effect, tables[shape])
            found += [(rank, i, edit) for i, (rank, edit) in enumerate(edits)]
    return [edit for _, _, edit in sorted(found, key=lambda f: f[:2])]


def _distinct(scene: Scene) -> list[Place]:
    """Places with few numbers that are computed once in a run."""
    return [
        p
        for p in scene.places
        if isinstance(p.node, ast.expr)
        and scene.seen.shape(p.node) is not None
        and scene.seen.count.get(id(p.node)) == 1
        and 0 < np.size(scene.seen.at[id(p.node)]) <= LARGEST
        and not isinstance(getattr(p.node, "ctx", None), ast.Store)
    ]


def _names(scene: Scene) -> list[Formula]:
    """The scene's names as formulas; labels as rows of zeros with a one."""
    found = []
    for name, value, extra in scene.names():
        if is_float(value) or (isinstance(value, np.ndarray) and value.dtype.kind == "b"):
            found.append(Formula(name, np.asarray(value, float), extra // 2, scene.seen.degree_of(name), (name,)))
    return found


def _effect(p: Place, scene: Scene, remade: Any, run: Run, wrong: list[Evidence]) -> Effect | None:
    """How the wrong gradients follow this place; None if it cannot mend one, moves right ones, or does so in another way."""
    value = np.asarray(scene.seen.at[id(p.node)], float)
    given, e = [value], wrong[0]
    p.put(parsed(f"{GIVEN}()"))
    try:
        remade.space[GIVEN] = lambda: given[0].copy() if value.ndim else float(given[0])
        backward = remade()
    finally:
        p.put(p.node)

    def at(other: np.ndarray) -> list[np.ndarray]:
        given[0] = other
        return [np.asarray(g, float) for g in run(backward)]

    noise = generator(60).normal(size=value.shape)
    before, moved = at(value), at(value + noise)
    if any(not np.array_equal(before[k], moved[k]) for k in e.right if k < len(before)):
        return None
    wrong = [w for w in wrong if _reaches(w, before[_of(w.k, before)], moved[_of(w.k, before)])]
    if not wrong:
        return None

    def flat(gradients: list[np.ndarray]) -> np.ndarray:
        return np.concatenate([gradients[_of(w.k, gradients)].ravel() for w in wrong])

    start = flat(before)
    units = np.eye(value.size).reshape(-1, *value.shape)
    slope = np.array([flat(at(value + unit)) - start for unit in units]).T
    if not np.allclose(start + slope @ noise.ravel(), flat(moved), rtol=1e-6, atol=1e-8 * np.max(np.abs(start))):
        return None
    return Effect(value, slope, np.concatenate([w.true.ravel() for w in wrong]) - start, wrong)


def _of(k: int, gradients: Sequence[Any]) -> int:
    return k if len(gradients) > k else 0


def _reaches(e: Evidence, before: np.ndarray, after: np.ndarray) -> bool:
    """Whether every wrong number moves."""
    return before.shape == after.shape == e.true.shape and bool(((before != after) | e.equal()).all())


def _fitting(p: Place, scene: Scene, effect: Effect, formulas: Table) -> list[tuple[int, Edit]]:
    """The formulas that give what is needed here, with their ranks."""
    value, of_place = effect.value.ravel(), scene.seen.degree(p.node)
    whole = effect.missing + effect.slope @ value
    sizes = {1 / n: "{} / " + ways[0] for n, ways in scene.sizes()} | {float(n): "{} * " + ways[0] for n, ways in scene.sizes()}
    numbers = sizes | NUMBERS
    forms = (("factor", formulas.values * value, whole), ("term", formulas.values, effect.missing), ("", formulas.values, whole))
    found = []
    for form, rows, target in forms:
        for i, number in _along(rows @ effect.slope.T, target, list(numbers)):
            f = formulas.formulas[i]
            right_degree = None in (of_place, f.degree) or f.degree == (0 if form == "factor" else of_place)
            if right_degree and all(scene.known(n, p.node) for n in f.names):
                source = numbers[number].format(f.source if f.source.isidentifier() else f"({f.source})")
                found.append((f.rank + (number != 1) + (not form), _edit(p, form, source)))
    return sorted(found, key=lambda f: f[0])[:MOST]


def _along(rows: np.ndarray, target: np.ndarray, numbers: Sequence[float]) -> Iterator[tuple[int, float]]:
    """The rows that are the target times one of these numbers: (row, number by which the row is to be multiplied)."""
    size = np.max(np.abs(target), initial=0)
    squares = (rows**2).sum(axis=1)
    with np.errstate(all="ignore"):
        factor = rows @ target / squares
        gap = np.abs(rows * factor[:, None] - target).max(axis=1)
    for i in np.flatnonzero((squares > 0) & (gap <= 1e-6 * size)):
        for number in numbers:
            if abs(factor[i] / number - 1) < 1e-6:
                yield int(i), number
                break


def _edit(p: Place, form: str, source: str) -> Edit:
    """The change, with its name."""
    new, old = parsed(source.replace("np.", "__import__('numpy').")), p.node
    if form == "factor":
        told = f"multiply `{text(old)}` by `{source}`"
        return Edit(f"factor {source} forgotten", [p], ast.BinOp(old, ast.Mult(), new), told=told)
    if form == "term":
        return Edit(f"term {source} forgotten", [p], ast.BinOp(old, ast.Add(), new), told=f"add `{source}` to `{text(old)}`")
    return Edit(f"{text(old)} instead of {source}", [p], new, told=f"`{text(old)}` should be `{source}`")
