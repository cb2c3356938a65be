"""Single changes of a backward's source that would put right what people write wrong: where they may be, and in which order.

Each is an `Edit`: the name of the mistake that it undoes, the places in the syntax tree, and what stands there instead. Its
rank says how likely it is: a plus for a minus before another factor, what the learner has already written before what is new.
Statements that feed all of the wrong gradients and none of the right ones come first.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tinydx.gradcheck.source import Definition

RIGHT, PART, UNKNOWN, WRONG = "right", "right as one of several terms", "unknown", "wrong"  # what a statement's values may be
ELSEWHERE = 3  # how much less a statement is suspected whose values are right, or which comes after the first wrong value


class Place(NamedTuple):
    """Where a node hangs in the tree."""

    parent: ast.AST
    field: str
    at: int | None  # in a list of nodes
    node: Any
    home: int  # the id of the statement around it

    def put(self, new: Any) -> None:
        """Hang another node here."""
        if self.at is None:
            setattr(self.parent, self.field, new)
        else:
            getattr(self.parent, self.field)[self.at] = new


class Spot(NamedTuple):
    """One value of a run: its node's or statement's id, its name, a copy; whether it is one use of several; the names there."""

    home: int
    name: str
    value: Any
    part: bool = False
    here: Any = None


class Located(NamedTuple):
    """What is known of a backward's statements, by their ids: right each time, right as one of several terms, unknown, or wrong.

    Suspects are those in which the first wrong values are made, and trails run them again. Root is the first wrong value on the
    way, and of the value of forward whose gradient it should be; both are None where only what is returned is known to be wrong.
    """

    known: Mapping[int, str]
    suspects: frozenset[int]
    trails: Sequence[Any]
    root: Spot | None = None
    of: Spot | None = None


class Edit(NamedTuple):
    """One change: the mistake's name, what to put where (a node, or a function of the old one), how likely, and a sentence.

    A change that is `bare` makes a gradient right, but tells no cause; one that is `looked_up` is a formula of what is needed.
    """

    name: str
    places: Sequence[Place]
    new: Any
    rank: int = 1
    told: str = ""
    bare: bool = False
    looked_up: bool = False

    def made(self, p: Place) -> ast.AST:
        """What stands at one of the places afterwards."""
        new = self.new(p.node) if callable(self.new) else self.new
        if not hasattr(new, "is_placed"):  # the same node is made more than once
            ast.fix_missing_locations(new).is_placed = True
        return new

    @property
    def advice(self) -> str:
        """What the line says now, and what it would say."""
        line = getattr(self.places[0].node, "lineno", 0)
        if self.told:
            return f"line {line}: {self.told}"
        return f"line {line}: `{text(self.places[0].node)}` should be `{text(self.made(self.places[0]))}`"


def text(node: Any) -> str:
    """The source of a node in one short line."""
    written = " ".join(ast.unparse(ast.fix_missing_locations(node)).split()) if isinstance(node, ast.AST) else str(node)
    written = written.replace("__import__('numpy')", "np")
    return written if len(written) <= 70 else written[:67] + "..."


def parsed(source: str) -> ast.expr:
    """The tree of an expression."""
    return ast.parse(source, mode="eval").body


def places_of(function: Definition) -> list[Place]:
    """Every expression and statement of the function's body."""
    found: list[Place] = []
    todo: list[tuple[ast.AST, int]] = [(function, id(function))]
    while todo:
        parent, home = todo.pop(0)
        for field, value in ast.iter_fields(parent):
            if parent is function and field != "body":
                continue
            for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(node, ast.expr | ast.stmt | ast.slice | ast.keyword | ast.comprehension):
                    here = id(node) if isinstance(node, ast.stmt) else home
                    found.append(Place(parent, field, index, node, here))
                    todo.append((node, here))
    return found


# ---- which statements may be to blame ------------------------------------------------------------------------------


class Blame:
    """How far each statement is under suspicion.

    Arguments: function; wrong and right, the indices of the wrong and the right gradients in what it returns; values, what the
    values of a run tell of its statements.
    """

    def __init__(self, function: Definition, wrong: Collection[int], right: Collection[int], values: Located | None):
        self.wrong, self.right, self.values = set(wrong), set(right), values
        self.stores = [n for n in ast.walk(function) if isinstance(n, ast.Assign | ast.AugAssign | ast.Expr)]
        self.feeds: dict[int, set[int]] = {}
        self.parts: dict[int, int] = {}
        for k, part in enumerate(_returned(function, max([*wrong, *right]) + 1)):
            self.parts[id(part)] = k
            for statement in self._feeding(part):
                self.feeds.setdefault(id(statement), set()).add(k)
        for n in ast.walk(function):
            if isinstance(n, ast.For | ast.If | ast.With):
                inside = [self.feeds.get(id(s), set()) for s in ast.walk(n) if isinstance(s, ast.stmt)]
                self.feeds[id(n)] = set().union(*inside)

    def _feeding(self, part: ast.expr) -> list[ast.stmt]:
        """The statements whose names reach this part of what is returned."""
        needed = {n.id for n in ast.walk(part) if isinstance(n, ast.Name)}
        for _ in self.stores:  # as often as names can feed names
            before = len(needed)
            for s in self.stores:
                for target, value in _pairs(s):
                    if _targets(target) & needed:
                        needed |= {n.id for part in (target, value) for n in ast.walk(part) if isinstance(n, ast.Name)}
            if len(needed) == before:
                break
        return [s for s in self.stores if any(_targets(target) & needed for target, _ in _pairs(s))]

    def of(self, home: int) -> int | None:
        """How little a statement is suspected, from 0 on; None for one that feeds no wrong gradient."""
        fed = self._of_feeding(home)
        if self.values and home in self.values.suspects:
            return 0 if self.values.root else fed or 0
        return fed if fed is None or self.values is None else self._of_values(home, fed)

    def _of_values(self, home: int, fed: int) -> int:
        """The suspicion where values tell more: a statement whose value is right every time has hardly a mistake."""
        assert self.values is not None
        known = {RIGHT: ELSEWHERE, PART: ELSEWHERE - 1}
        return fed + known.get(self.values.known.get(home, ""), ELSEWHERE if self.values.root else 0)

    def _of_feeding(self, home: int) -> int | None:
        """0 for what feeds all wrong gradients and no right one, 1 for some wrong and no right one, 4 for others; else None."""
        fed = self.feeds.get(home, set()) if self.parts else self.wrong
        if self.parts and home not in self.feeds:  # in the return itself, or a statement that stores nothing
            return 0
        if not fed & self.wrong:
            return None
        return 4 if fed & self.right else 0 if fed >= self.wrong else 1


def _returned(function: Definition, count: int) -> list[ast.expr]:
    """The parts of the one tuple that the function returns, if there is one for each gradient."""
    if isinstance(function, ast.Lambda):
        return []
    returned = [n.value for n in ast.walk(function) if isinstance(n, ast.Return)]
    if len(returned) != 1 or not isinstance(returned[0], ast.Tuple) or len(returned[0].elts) < count:
        return []
    return [] if any(isinstance(e, ast.Starred) for e in returned[0].elts) else returned[0].elts


def _pairs(statement: Any) -> list[tuple[ast.AST, ast.AST]]:
    """What a statement changes, each with what it is made of; np.add.at(dw, ...) changes its first argument."""
    if isinstance(statement, ast.Expr):
        call = statement.value
        return [(a, call) for a in call.args[:1]] if isinstance(call, ast.Call) else []
    value = statement.value
    found: list[tuple[ast.AST, ast.AST]] = []
    for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            found += list(zip(target.elts, value.elts, strict=True))
        else:
            found.append((target, value))
    return found


def targets_of(statement: ast.stmt) -> set[str]:
    """The names whose values a statement changes; those of an object's attributes, too."""
    return set().union(*(_targets(target) for target, _ in _pairs(statement))) if not isinstance(statement, ast.Return) else set()


def _targets(target: ast.AST) -> set[str]:
    """The names whose value changes where this is assigned to."""
    found = set()
    for part in target.elts if isinstance(target, ast.Tuple) else [target]:
        while isinstance(part, ast.Subscript | ast.Attribute | ast.Starred):
            part = part.value
        found |= {part.id} if isinstance(part, ast.Name) else set()
    return found


def ordered(kinds: Sequence[Iterator[Edit]], blame: Blame | None) -> list[tuple[int, Edit]]:
    """All edits with their ranks, the most likely first, of equally likely ones some of each kind; without hopeless ones."""
    ranked = []
    for i, kind in enumerate(kinds):
        counts: dict[int, int] = {}
        for edit in kind:
            suspicion = blame.of(edit.places[0].home) if blame else 0
            if suspicion is not None:
                rank = suspicion + edit.rank
                counts[rank] = counts.get(rank, 0) + 1
                ranked.append((rank, counts[rank], i, edit))
    return [(r[0], r[-1]) for r in sorted(ranked, key=lambda r: r[:3])]
