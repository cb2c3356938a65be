"""In which line does a backward go wrong? What it computes on its way is compared with the true gradients of forward's values.

Each value that forward computes has a true gradient, too. One run of forward, with that value moved along a random direction,
tells the sum that a right gradient has along it. So a backward's `dz` is known to be right, whatever it is called, if it has that
sum of some z; and to be wrong, if it is named after a z and has not. The first wrong one is where to look.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinydx.gradcheck.dual import slope, with_complex_numbers
from tinydx.gradcheck.edits import PART, RIGHT, UNKNOWN, WRONG, Edit, Located, Place, Spot, places_of, targets_of
from tinydx.gradcheck.evidence import Evidence
from tinydx.gradcheck.scene import is_call
from tinydx.gradcheck.seen import is_float
from tinydx.gradcheck.source import Definition, Remade, definition
from tinydx.gradcheck.subject import Subject
from tinydx.gradcheck.truth import STEP, generator

MOST = 400  # values of forward whose gradients are known,
CALLS = 60_000  # and values that are looked at for them
LONGEST = 250  # statements that are run again
NAMED_AFTER = re.compile(r"^(d[lLJ]?_?d|grad_?|delta_?|g_|d_?)|(_?grad|_bar)$")


class Sum(NamedTuple):
    """A value of forward, a direction, and the sum that its true gradient has along it."""

    spot: Spot
    direction: np.ndarray
    total: float

    def is_for(self, s: Spot) -> bool:
        """Whether a backward's value is named after this one, and has its shape."""
        same_name = _after(s.name) == _plain(self.spot.name) != ""
        return bool(same_name and not self.spot.part and self.direction.shape == np.shape(s.value))


class _Sums:
    """Sums, which can be asked for a gradient all at once."""

    def __init__(self, sums: Sequence[Sum]):
        self.by_shape: dict[tuple[int, ...], list[Sum]] = {}
        for t in sums:
            self.by_shape.setdefault(t.direction.shape, []).append(t)
        self.tables = {shape: _table(of) for shape, of in self.by_shape.items()}

    def fitting(self, value: Any) -> list[Sum]:
        """Those whose gradient this may be."""
        shape = np.shape(value)
        if shape not in self.tables:
            return []
        directions, totals = self.tables[shape]
        flat = np.ravel(value)
        size = np.sqrt(np.sum(flat**2) * np.sum(directions**2, axis=1))
        return [self.by_shape[shape][i] for i in np.flatnonzero(np.abs(directions @ flat - totals) <= 1e-9 * size)]


def _table(sums: Sequence[Sum]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([t.direction.ravel() for t in sums]), np.array([t.total for t in sums])


def located(e: Evidence, wrong: Sequence[int], run: Callable[[Callable, float], Any]) -> Located:
    """What the values of a backward tell of its statements.

    Arguments: e, evidence of one gradient; wrong, the indices of all wrong ones; run, calls a backward with a number times dy.
    """
    sums = _true_sums(e.subject, e.dys)
    made = definition(e.subject.backward)
    assert made is not None
    once, twice = (_values(e.subject.backward, made, functools.partial(_of_dy, run, n)) for n in (1.0, 2.0))
    if len(once) != len(twice):
        return Located({}, frozenset(), [])
    return _Judged(made, sums, e, wrong).located([(a, _degree(a.value, b.value)) for a, b in zip(once, twice, strict=True)])


def _of_dy(run: Callable[[Callable, float], Any], times: float, backward: Callable) -> Any:
    return run(backward, times)


def _degree(once: Any, twice: Any) -> int:
    """The degree in dy: 1, if there is any, else 0."""
    return int(is_float(once) and np.any(once) and np.allclose(np.multiply(2, once), twice))


# ---- values on the way ---------------------------------------------------------------------------------------------


def _true_sums(subject: Subject, dys: Sequence[np.ndarray]) -> list[Sum]:
    """The values of forward, each with a direction and the sum that its gradient has along it."""
    node = definition(subject.forward)
    assert node is not None
    found: list[Spot] = []
    chosen, direction, count = -1, np.zeros(()), 0

    def spot(home: int, name: str, value: Any, part: bool) -> Any:
        nonlocal count
        if not isinstance(value, np.ndarray | np.complexfloating) or value.dtype.kind != "c":
            return value
        count += 1
        if chosen < 0:
            found.append(Spot(home, name, np.real(value).copy(), part))
        return value + 1j * STEP * direction if count == chosen else value

    places = places_of(node)
    hooks = {"_spot": spot}
    function = _wrapped(
        places, functools.partial(_read, _owners(places)), lambda: with_complex_numbers(subject.forward, node, hooks)
    )
    arrays = [a.astype(complex) for a in subject.arrays]

    def derived() -> float:
        return slope(function, subject, dys, [a.copy() for a in arrays])

    derived()
    likely = sorted(range(len(found)), key=lambda i: (found[i].part, not found[i].name, i))
    sums = []
    for i in likely[: min(MOST, CALLS // (len(found) + 1) + 1)]:
        chosen, count, direction = i + 1, 0, generator(i).normal(size=found[i].value.shape)
        sums.append(Sum(found[i], direction, derived()))
    return sums


def _values(backward: Any, node: Definition, run: Callable[[Callable], Any]) -> list[Spot]:
    """The values that a backward assigns, adds and returns, in their order."""
    found: list[Spot] = []

    def spot(home: int, name: Any, here: dict[str, Any], value: Any) -> Any:
        pairs = list(zip(name, value, strict=False)) if isinstance(value, tuple) and isinstance(name, tuple) else [(name, value)]
        found.extend(Spot(home, n if isinstance(n, str) else "", _kept(v), here=here) for n, v in pairs)
        return value

    places = places_of(node)
    hooks = {"_spot": spot, "_kept": _kept}
    run(_wrapped(places, functools.partial(_assigned, _owners(places)), lambda: Remade(backward, node, hooks)()))
    return found


def _kept(value: Any) -> Any:
    """A copy of an array, or of each array in a dictionary of names; anything else as it is."""
    if isinstance(value, dict):
        return {n: v.copy() if isinstance(v, np.ndarray) else v for n, v in value.items()}
    return value.copy() if isinstance(value, np.ndarray) else value


def _wrapped(places: Sequence[Place], call: Callable[[Place], ast.expr | None], make: Callable[[], Any]) -> Any:
    """What is made of a function while a call stands around its expressions."""
    put = [(p, made) for p in places if (made := call(p)) is not None]
    try:
        for p, made in put:
            p.put(ast.fix_missing_locations(made))
        return make()
    finally:
        for p, _ in put:
            p.put(p.node)


Owner = tuple[Any, Any]  # a statement, and the name or names that its value gets


def _owners(places: Sequence[Place]) -> dict[int, Owner]:
    """Of each value that is assigned, added or returned (by its node's id) statement and name; also for parts of tuples."""
    found: dict[int, Owner] = {}
    for p in places:
        statement: Any = p.parent
        if isinstance(statement, ast.Assign | ast.AugAssign | ast.Return | ast.Expr) and p.field == "value":
            targets = getattr(statement, "targets", None) or [getattr(statement, "target", ast.Pass())]
            names = tuple(map(_short, targets[0].elts)) if isinstance(targets[0], ast.Tuple) else _short(targets[0])
            found[id(p.node)] = statement, names
            if isinstance(p.node, ast.Tuple):
                of_return = [str(k) for k in range(len(p.node.elts))] if isinstance(statement, ast.Return) else []
                each = names if isinstance(names, tuple) else of_return
                found |= {id(e): (statement, n) for e, n in zip(p.node.elts, each, strict=False)}
    return found


def _read(owners: Mapping[int, Owner], p: Place) -> ast.expr | None:
    """A call around an expression of forward, with the name that its value gets, if any."""
    is_expression = isinstance(p.node, ast.Name | ast.BinOp | ast.Call | ast.Subscript | ast.Attribute | ast.UnaryOp)
    if not is_expression or not isinstance(getattr(p.node, "ctx", ast.Load()), ast.Load):
        return None
    if (isinstance(p.parent, ast.Call) and p.field == "func") or isinstance(p.parent, ast.Attribute | ast.JoinedStr):
        return None
    _, name = owners.get(id(p.node), (None, ""))
    of = _short(p.node.value if isinstance(p.node, ast.Subscript) else p.node)
    return _call(id(p.node), name if isinstance(name, str) and name else of, p.node, ast.Constant(bool(of and not name)))


def _assigned(owners: Mapping[int, Owner], p: Place) -> ast.expr | None:
    """A call around what a backward assigns, adds or returns."""
    statement, name = owners.get(id(p.node), (None, ""))
    if statement is None or isinstance(p.node, ast.Tuple | ast.Starred):
        return None
    here = ast.parse("_kept(locals())", mode="eval").body
    return _call(id(statement), name, here, p.node)


def _short(target: Any) -> str:
    return ast.unparse(target).split(".")[-1] if isinstance(target, ast.Name | ast.Attribute) else ""


def _call(home: int, name: Any, *given: ast.expr) -> ast.expr:
    return ast.Call(ast.Name("_spot", ast.Load()), [ast.Constant(home), ast.Constant(name), *given], [])


# ---- what they tell ------------------------------------------------------------------------------------------------


class _Judged:
    """Goes through a run's values in their order, up to the first wrong one.

    Arguments: node, of the backward; sums, of forward's values; e, evidence of one gradient; wrong, the indices of all.
    """

    def __init__(self, node: Any, sums: Sequence[Sum], e: Evidence, wrong: Sequence[int]):
        kinds = ast.Assign | ast.AugAssign | ast.Return | ast.Expr
        self.statements: dict[int, Any] = {id(n): n for n in ast.walk(node) if isinstance(n, kinds)}
        self.sums, self.table, self.e, self.wrong = sums, _Sums(sums), e, wrong
        self.known: dict[int, str] = {}
        self.made: dict[str, set[int]] = {}  # the statements of unknown worth in which each name was made
        self.trail: list[Spot] = []

    def located(self, spots: Sequence[tuple[Spot, int]]) -> Located:
        """The statements by what their values are, and those that make the first wrong one."""
        last = {s.name: (s.home, i) for i, (s, _) in enumerate(spots) if s.name}  # a sum of terms is complete at its end only
        for i, (s, degree) in enumerate(spots):
            statement = self.statements[s.home]
            if isinstance(statement, ast.Return):
                continue
            names = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)}
            feeding = {s.home}.union(*(self.made.get(n, ()) for n in names))
            fitting = [t.spot for t in self.table.fitting(s.value)] if degree else []
            self._note(s, degree, self._worth(s, fitting), feeding)
            of = [t for t in self.sums if degree and t.is_for(s)]
            if of and not fitting and last[s.name][0] == s.home and (last[s.name][1] == i or not _adds_up(statement)):
                return Located(self.known | {s.home: WRONG}, frozenset(feeding), [self._to(s, self.sums, feeding)], s, of[0].spot)
        return self._returned([s for s, _ in spots if isinstance(self.statements[s.home], ast.Return)])

    def _worth(self, s: Spot, fitting: Sequence[Spot]) -> str:
        """What a value is worth that is the gradient of these values of forward: what is named after a z should be one of z."""
        names = [s.name] if s.name else targets_of(self.statements[s.home])
        after = {_after(n) for n in names} & {_plain(t.spot.name) for t in self.sums}
        own = [f for f in fitting if not after or _plain(f.name) in after]
        return UNKNOWN if not own else PART if all(f.part for f in own) else RIGHT

    def _note(self, s: Spot, degree: int, now: str, feeding: set[int]) -> None:
        """Remember what a statement gave, and of what the names in it are made."""
        statement = self.statements[s.home]
        for name in targets_of(statement):
            whole = isinstance(statement, ast.Assign) and name == s.name
            before = set() if whole else self.made.get(name, set())
            idle = not degree and _computes_nothing(statement.value)
            self.made[name] = before | (set() if now == RIGHT or idle else {s.home} if now == PART else feeding)
        if degree:
            self.known[s.home] = max(now, self.known.get(s.home, RIGHT), key=(RIGHT, PART, UNKNOWN).index)
        self.trail.append(s)

    def _returned(self, spots: Sequence[Spot]) -> Located:
        """The statements that make the wrong gradients that are returned."""
        trails, suspects = [], set[int]()
        for s in spots:
            k = int(s.name or 0)
            if k in self.wrong and k < len(self.e.trues) and not np.isnan(self.e.trues[k]).any():
                value = self.statements[s.home].value
                part = value.elts[k] if isinstance(value, ast.Tuple) else value
                names = {n.id for n in ast.walk(part) if isinstance(n, ast.Name)}
                feeding = {s.home}.union(*(self.made.get(n, ()) for n in names))
                direction = generator(k).normal(size=self.e.trues[k].shape)
                total = Sum(s, direction, float(np.sum(direction * self.e.trues[k])))
                trails.append(self._to(s, [total], feeding))
                suspects |= feeding
        return Located(self.known, frozenset(suspects), trails)

    def _to(self, s: Spot, sums: Sequence[Sum], feeding: set[int]) -> Trail:
        """The trail of a value; a statement that assigns several values ran once for all of them."""
        steps: list[Spot] = []
        for t in [*self.trail, s]:
            several = isinstance(self.statements[t.home].value, ast.Tuple)
            again = steps and steps[-1].home == t.home and (several or steps[-1].here is t.here)
            steps += [] if again else [t]
        return Trail([(self.statements[t.home], t.here) for t in steps if t.home in feeding], s.name, sums)


class Trail:
    """The statements that make the first wrong value, each with the names that it found: they can be run again with a change.

    Arguments: steps, (statement, names) in their order; name, of the value; sums, of which a right value has one.
    """

    def __init__(self, steps: Sequence[tuple[ast.stmt, dict[str, Any]]], name: str, sums: Sequence[Sum]):
        self.steps, self.name, self.sums = steps if len(steps) <= LONGEST else [], name, _Sums(sums)
        self.count = 0  # statements that were run
        self.read = {id(s): {n.id for n in ast.walk(s) if isinstance(n, ast.Name)} for s, _ in self.steps}

    def mends(self, edit: Edit, space: Mapping[str, Any]) -> bool | None:
        """Whether the value is right with this change of the tree; None if the trail does not run what is changed.

        Arguments: edit; space, the global names.
        """
        homes = {p.home for p in edit.places}
        if not homes <= self.read.keys():
            return None
        other = {p.home: edit.made(p) for p in edit.places if isinstance(p.node, ast.stmt)}
        for place in edit.places:
            place.put(edit.made(place))
        try:
            value = np.asarray(self._run(homes, other, space))
        except Exception:  # a changed statement may fail in any way
            return False
        finally:
            for place in edit.places:
                place.put(place.node)
        return bool(self.sums.fitting(value))

    def _run(self, changed: set[int], other: Mapping[int, Any], space: Mapping[str, Any]) -> Any:
        """The value, with changed statements, or others in their place."""
        made: dict[str, Any] = {}
        codes: dict[int, Any] = {}
        for statement, here in self.steps:
            if id(statement) in changed or made.keys() & self.read[id(statement)]:
                self.count += 1
                written = {n: here[n].copy() for n in targets_of(statement) if isinstance(here.get(n), np.ndarray)}
                names = {**space, **here, **written, **made}
                if isinstance(statement, ast.Return):
                    value = eval(compile(ast.Expression(statement.value), "<repair>", "eval"), names)  # type: ignore[arg-type]
                    return value[int(self.name or 0)] if isinstance(value, tuple) else value
                if id(statement) not in codes:
                    body: Any = ast.Module([other.get(id(statement), statement)], [])
                    codes[id(statement)] = compile(body, "<repair>", "exec")
                exec(codes[id(statement)], names)
                made |= {n: names[n] for n in targets_of(statement)}
        return made[self.name]


def _adds_up(statement: ast.stmt) -> bool:
    """Whether a statement adds a term to what its name holds: only at the end it has all of them."""
    value = getattr(statement, "value", None)
    while isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        value = value.left
    is_own = isinstance(value, ast.Name) and value.id in targets_of(statement)
    return isinstance(statement, ast.AugAssign) or is_own


def _computes_nothing(value: ast.expr) -> bool:
    """Whether this only takes values apart, or makes room for others."""
    parts = value.elts if isinstance(value, ast.Tuple) else [value]
    return all(isinstance(n, ast.Name | ast.Subscript | ast.Attribute | ast.Constant) or _makes_room(n) for n in parts)


def _makes_room(node: ast.expr) -> bool:
    return is_call(node, "zeros", "zeros_like", "empty", "empty_like", "copy")


def _after(name: str) -> str:
    """The name after which a gradient is called: z for dz, grad_z, dL_dz."""
    return _plain(NAMED_AFTER.sub("", name))


def _plain(name: str) -> str:
    return name.lower().strip("_")
