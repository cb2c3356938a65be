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
from tinydx.gradcheck.formulas import UNKNOWN, Formula, Table, bracketed, operand, table
from tinydx.gradcheck.parts import RESULT, expressions, names
from tinydx.gradcheck.scene import Scene
from tinydx.gradcheck.truth import generator

LARGEST = 48  # numbers of a place
FORMULAS = 50_000  # in all tables, before one more is made
MOST = 12  # formulas of one place that are tried
IN_PRODUCT = 3  # how much less likely a term is that was forgotten between factors
ANOTHER_SLOPE = 2  # how much likelier a product is in place of a product
RECOGNISED = 3  # the rank of a derivative as it stands
LONG = 2  # how much less likely a formula is that tells no cause
GIVEN = "_given"
NUMBERS = {1.0: "{}", -1.0: "-{}", 2.0: "2 * {}", -2.0: "-2 * {}", 0.5: "{} / 2", -0.5: "-{} / 2", 3.0: "3 * {}"}

Run = Callable[[Callable], Sequence[Any]]  # a backward -> the gradients that it gives for the check's cotangents


class Effect(NamedTuple):
    """How gradients follow a place: what stands there, the slope (gradients, numbers), what they lack, for which evidence."""

    value: np.ndarray
    slope: np.ndarray
    missing: np.ndarray
    wrong: list[Evidence]


def needed(scene: Scene, remade: Any, run: Run, evidence: Sequence[Evidence], most: int) -> list[Edit]:
    """Changes of one place each to a formula that gives the right gradients, the likeliest first.

    Arguments: scene, with the places to try; remade, makes the function from its tree; run; evidence of the wrong gradients;
    most, how many runs there may be.
    """
    wrong = [e for e in evidence if e.complete and np.shape(e.got) == e.true.shape]
    parts = expressions(scene, remade.function, evidence[0].subject.forward)
    tables: dict[tuple[int, ...], Table] = {}
    found: list[tuple[int, Edit]] = []

    def counted(backward: Callable) -> Sequence[Any]:
        nonlocal most
        most -= 1
        return run(backward)

    for site in _sites(scene) if wrong else ():
        if most < 0:
            break
        effect = _effect(site, scene, remade, counted, wrong)
        if effect is not None:
            shape = np.shape(effect.value)
            if shape not in tables and sum(len(t.values) for t in tables.values()) > FORMULAS:
                continue  # a long backward of many shapes
            if shape not in tables:
                tables[shape] = table(names(scene, shape), parts, shape)
            found += enumerate(_fitting(site, scene, effect, tables[shape]))
    return [edit for _, edit in sorted(found, key=lambda f: (f[1].rank, f[0]))]


def _sites(scene: Scene) -> list[list[Place]]:
    """Places with few numbers that are computed once in a run; and all uses of a name after it got its last value."""
    single = [p for p in scene.places if _is_one(p, scene)]
    stored: dict[str, int] = {}
    for p in scene.places:
        for n in ast.walk(p.node) if isinstance(p.node, ast.Assign | ast.AugAssign | ast.Expr) else ():
            if isinstance(n, ast.Name):
                is_target = isinstance(p.node, ast.Expr) or not _inside(n, p.node.value)
                stored[n.id] = max(stored.get(n.id, 0), n.lineno if is_target else 0)
    uses: dict[str, list[Place]] = {}
    for p in scene.loads():
        if p.node.lineno > stored.get(p.node.id, 0):
            uses.setdefault(p.node.id, []).append(p)
    several = [u for u in uses.values() if len(u) > 1 and all(_is_one(p, scene) for p in u)]
    return sorted([*([p] for p in single), *several], key=lambda site: _value(site[0], scene).size)


def _inside(node: ast.AST, tree: ast.AST) -> bool:
    return any(n is node for n in ast.walk(tree))


def _is_one(p: Place, scene: Scene) -> bool:
    """Whether an expression has few numbers and is computed once in a run."""
    if not isinstance(p.node, ast.expr) or isinstance(getattr(p.node, "ctx", None), ast.Store):
        return False
    is_array = scene.seen.shape(p.node) is not None or id(p.node) in scene.seen.into
    return is_array and scene.seen.count[id(p.node)] == 1 and 0 < _value(p, scene).size <= LARGEST


def _value(p: Place, scene: Scene) -> np.ndarray:
    """What stands there; of what fills a part of an array, as many numbers as that part has."""
    value = np.asarray(scene.seen.at[id(p.node)], float)
    return np.broadcast_to(value, scene.seen.into.get(id(p.node), value.shape))


def _effect(site: list[Place], scene: Scene, remade: Any, run: Run, wrong: list[Evidence]) -> Effect | None:
    """How the wrong gradients follow these places; None if they cannot mend one, move right ones, or do so in another way."""
    value = _value(site[0], scene)
    given, right = [value], wrong[0].right
    for p in site:
        p.put(parsed(f"{GIVEN}()"))
    try:
        remade.space[GIVEN] = lambda: given[0].copy() if value.ndim else float(given[0])
        backward = remade()
    finally:
        for p in site:
            p.put(p.node)

    def at(other: np.ndarray) -> list[np.ndarray]:
        given[0] = other
        return [np.asarray(g, float) for g in run(backward)]

    noise = generator(60).normal(size=value.shape)
    try:
        before, moved = at(value), at(value + noise)
    except Exception:  # it takes no other numbers
        return None
    if any(not np.array_equal(before[k], moved[k]) for k in right if k < len(before)):
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


def _fitting(site: list[Place], scene: Scene, effect: Effect, formulas: Table) -> list[Edit]:
    """The formulas that give what is needed here, the likeliest first."""
    value, of_place = effect.value.ravel(), scene.seen.degree(site[0].node)
    sizes = {1 / n: "{} / " + ways[0] for n, ways in scene.sizes()} | {float(n): "{} * " + ways[0] for n, ways in scene.sizes()}
    numbers = sizes | NUMBERS
    found = []
    inside, of_sum = _is_product(site[0].parent), _takes(site[0].parent)
    for form, slope, target, base in _forms(effect, value, formulas, scene.has_sides):
        extra = base + (IN_PRODUCT if inside and form.name == "term" else 0)
        allowed = {UNKNOWN, 0 if form.name == "factor" else of_place, *([0, 1] if of_place is None else [])}
        if of_place == 0 and form.name != "term":  # dy itself may be what is missing
            allowed.add(1)
        rows, values = formulas.of_degrees(frozenset(allowed))
        for at, number in along(values, slope, target, list(numbers)):
            i = int(rows[at])
            f = formulas.formula(i)
            cancels = form.name == "term" and (of_sum or np.allclose(value + number * formulas.values[i], 0))
            if cancels or (not form.name and _says_nothing(site[0].node, f)):
                continue
            read = f.names | (form.where.names if form.where else frozenset())
            if all(scene.known(n, site[0].node) for n in read):
                another = form == Form("") and _is_product(site[0].node) and formulas.products[i, 1] >= 0
                unlikely = f.rank + (number != 1) + extra + LONG * _tells_no_cause(f) - ANOTHER_SLOPE * another
                edit = _edit(site, form, f, numbers[number], value)
                found.append(edit._replace(rank=1 if edit.name.startswith("sign") else unlikely))
    return sorted(found, key=lambda edit: edit.rank)[:MOST]


def _takes(parent: Any) -> bool:
    """Whether a method or another function takes what stands there, as in dy.sum(): a term could cancel it."""
    return isinstance(parent, ast.Attribute) or (isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name))


def _says_nothing(old: Any, f: Formula) -> bool:
    """Whether a function's result is replaced as a whole, or an expression by one of its own names: it tells no one mistake."""
    calls = [n for n in ast.walk(old) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    inside = {n.id for n in ast.walk(old) if isinstance(n, ast.Name)}
    return bool(calls) or (f.source in inside and not isinstance(old, ast.Name))


def _is_product(node: Any) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)


class Form(NamedTuple):
    """How a formula is put in: as a factor, as a term, or instead of what stands there; everywhere or where a condition holds."""

    name: str
    where: Formula | None = None


def _forms(effect: Effect, value: np.ndarray, formulas: Table, sides: bool) -> Iterator[tuple[Form, np.ndarray, np.ndarray, int]]:
    """Each form with the slope along which it works, what has to be reached, and how unlikely it is.

    That something holds where x > 0 is tried with `sides` only: where forward or backward tells two sides apart.
    """
    whole = effect.missing + effect.slope @ value
    yield Form("factor"), effect.slope * value, whole, 0
    yield Form("term"), effect.slope, effect.missing, 0
    yield Form(""), effect.slope, whole, 1
    for f in formulas.conditions:
        there = np.broadcast_to(f.value, effect.value.shape).ravel() > 0
        made = f.source.startswith("(") and f.source.endswith("> 0)")
        if there.any() and not there.all() and (sides or not made):
            rest = whole - effect.slope @ (value * ~there)
            yield Form("factor", f), effect.slope * (value * there), rest, 2 + made
            yield Form("", f), effect.slope * there, rest, 3 + made
            yield Form("term", f), effect.slope * there, effect.missing, 2 + made


def along(rows: np.ndarray, slope: np.ndarray, target: np.ndarray, numbers: Sequence[float]) -> Iterator[tuple[int, float]]:
    """The rows with which the target is reached, times one of these numbers: (row, number).

    Most rows are sorted out by two sums of what they reach.
    """
    few = generator(61).normal(size=(2, len(target)))
    (one, other), (t, u) = (few @ slope) @ rows.T, few @ target
    with np.errstate(all="ignore"):
        likely = np.flatnonzero(np.abs(other * (t / one) - u) <= 1e-5 * (np.abs(u) + np.max(np.abs(target), initial=0)))
    fits, factor = parallel(rows[likely] @ slope.T, target)
    close = np.abs(factor[fits][:, None] / np.array(numbers) - 1) < 1e-6
    for row in np.flatnonzero(close.any(axis=1)):
        yield int(likely[fits][row]), numbers[int(np.argmax(close[row]))]


def parallel(rows: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which rows are the target times a number, and these numbers."""
    with np.errstate(all="ignore"):
        factor = rows @ target / (rows**2).sum(axis=1)
        gap = np.abs(rows * factor[:, None] - target).max(axis=1, initial=0)
    return (gap <= 1e-6 * np.max(np.abs(target), initial=1e-300)) & np.isfinite(factor), factor


def _edit(site: list[Place], form: Form, f: Formula, number: str, value: np.ndarray) -> Edit:
    """The change, with its name; value, what stands in its place."""
    (code, source), old = written(f, number), text(site[0].node)
    where = f" where {form.where.text}" if form.where else ""
    lacks = f"division by {source[4:]}" if source.startswith("1 / ") else f"factor {source}"
    name, told = {
        "factor": (f"{lacks}{where} forgotten", f"multiply `{old}` by `{source}`{where}"),
        "term": (f"term {source}{where} forgotten", f"add `{source}` to `{old}`{where}"),
        "": (f"{old} instead of {source}{where}", f"`{old}` should be `{source}`{where}"),
    }[form.name]
    if not form.name and source in (f"-({old})", f"-{old}"):
        name = f"sign{where}"
    elif not form.name and source in (f"{old}.swapaxes(-1, -2)", f"{old}.T"):
        name = f"not transposed: {name}"
    elif form.name == "term" and (other := _beside(site[0].node, source)):
        name = f"{other} instead of 1 + {other}"
    elif form.name == "term" and not value.any():
        name = f"zero instead of {source}"
    how = {"factor": f"(_old_) * ({code})", "term": f"(_old_) + ({code})", "": code}[form.name]
    if form.where:
        how = f"np.where({form.where.source}, {how}, _old_)"
    bare = not form.name and (_tells_no_cause(f) or "derivative of the number" in f.text)
    return Edit(
        name,
        site,
        _spliced(how.replace("np.", "__import__('numpy').")),
        told=told,
        bare=bare,
        looked_up=not f.source.isidentifier(),
    )


def _tells_no_cause(f: Formula) -> bool:
    """Whether the formula is forward's own derivative: that it is right goes without saying."""
    return f"derivative of {RESULT} " in f.text or (f.rank > RECOGNISED and "derivative" in f.text)


def _beside(node: ast.AST, source: str) -> str:
    """The factor b of a product a * b to which a is added: what is meant is a * (1 + b)."""
    if not _is_product(node):
        return ""
    left, right = text(node.left), text(node.right)  # type: ignore[attr-defined]
    return right if source == left else left if source == right else ""


def written(f: Formula, number: str) -> tuple[str, str]:
    """A formula times a number, as source and as text."""
    return number.format(operand(f)), number.format(f.text if number == "{}" else bracketed(f.text))


def _spliced(how: str) -> Callable[[Any], ast.expr]:
    """Makes the new expression from the old one, which stands at `_old_`."""

    class Old(ast.NodeTransformer):
        def __init__(self, node: ast.expr):
            self.node = node

        def visit_Name(self, n: ast.Name) -> ast.expr:
            return self.node if n.id == "_old_" else n

    return lambda node: Old(node).visit(parsed(how))
