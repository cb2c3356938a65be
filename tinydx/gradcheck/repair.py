"""Evidence for any function: which single change of the learner's own source gives the right gradient?

The backward is run again with one thing changed: y in place of x, another sign or axis, a factor more or less. A change counts if
it makes a wrong gradient right for two cotangents and at all other sizes, and leaves the right ones right. The most likely one
names the mistake, and the advice is that line. It needs the source, which functions typed at a prompt do not have.
"""

from __future__ import annotations

import ast
import contextlib
import re
import time
import types
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinydx.gradcheck.changes import CHANGES
from tinydx.gradcheck.edits import Blame, Edit, Located, ordered, places_of
from tinydx.gradcheck.evidence import Evidence
from tinydx.gradcheck.limits import silent
from tinydx.gradcheck.located import Trail, located
from tinydx.gradcheck.loops import LOOPS
from tinydx.gradcheck.moves import MOVES
from tinydx.gradcheck.needed import needed
from tinydx.gradcheck.operators import OPERATORS
from tinydx.gradcheck.report import Diagnosis
from tinydx.gradcheck.rules import as_list
from tinydx.gradcheck.scene import Scene
from tinydx.gradcheck.seen import watched
from tinydx.gradcheck.sizes import Resized, outside
from tinydx.gradcheck.source import Remade, definition, helpers, kept, state
from tinydx.gradcheck.subject import Subject
from tinydx.gradcheck.terms import TERMS
from tinydx.gradcheck.truth import generator

WORK = 250_000  # expressions that are computed before time counts
OF_A_RUN = 100  # expressions that take as long as making and calling a changed function
NEAR = 4000  # statements that are run with changes in what makes the first wrong value
TOLD = 120  # characters of a name: a longer formula is no name for a mistake
WRITTEN = 2  # the last rank of changes that are near to what is written
PATH = re.compile(r"(\w+ rule: )?path through")  # wrong steps that leave a whole path of the chain rule out


def repairs(evidence: Sequence[Evidence], seconds: float, steps: Mapping[int, Diagnosis]) -> dict[int, Diagnosis]:
    """For each wrong gradient (its argument's index) the most likely change of the learner's source that makes it right.

    Arguments: evidence, of the wrong gradients of one check; seconds of computing, for all of them; steps, wrong steps that give
    the learner's gradients: they tell more than a change that is not near to what is written.
    """
    subject = evidence[0].subject
    backward = subject.backward
    if backward is None or subject.again is None or definition(backward) is None:
        return {}
    if any(backward is slip.backward for op in subject.ops for slip in op.slips):
        return {}
    found = _Found(evidence, steps)
    with silent(), warnings.catch_warnings(), np.errstate(all="ignore"), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")  # and whatever a learner's source leads to: a name is never worth the verdict
        with kept(backward):
            _search(backward, _Tried(evidence), found, seconds)
    unused = _unused(backward)
    told = unused or found.where
    return {e.k: d for e in evidence if (d := found.first.get(e.k) or found.second.get(e.k) or (e.k not in steps and told))}


def _search(backward: Any, tried: _Tried, found: _Found, seconds: float) -> None:
    """Try changes until one mends all. The first ones are tried whatever the time, so that a slow machine finds the same."""
    unused = _unused(backward)
    tried.seconds = seconds
    tried.explained = found.steps.keys() >= {e.k for e in tried.evidence}
    found.where = _where(backward, tried.values)
    for edit, node, changed in _changed(backward, tried):
        if edit.rank > WRITTEN and unused:  # what is written and then not used tells more than what is written nowhere
            return
        mended = tried.right(changed, found.first)
        if mended and not _makes_trivial(edit, node):
            found.add(edit, mended, tried.holds_everywhere(changed, mended))
        if found.all:
            tried.names = found.names_of_steps()
            if not tried.names:
                return


class _Found:
    """The names so far: those that hold in all checks, and those that do not hold in the doubtful ones."""

    def __init__(self, evidence: Sequence[Evidence], steps: Mapping[int, Diagnosis]):
        self.count, self.all, self.steps = len(evidence), False, steps
        self.where: Diagnosis | None = None  # the first wrong value, without a name for what is wrong with it
        self.first: dict[int, Diagnosis] = {}
        self.second: dict[int, Diagnosis] = {}

    def names_of_steps(self) -> set[str]:
        """Names that a further change may have: where a wrong step and a change tell the same, no other one is the mistake."""
        names = {d.name for d in self.steps.values()} if len(self.steps) == self.count else set[str]()
        return names if not names & {d.name for d in self.first.values()} else set()

    def add(self, edit: Edit, mended: Sequence[Evidence], everywhere: bool) -> None:
        """Keep a name for these gradients; one reason for all is better than one for each.

        A wrong step tells more than a formula that is written nowhere; then the change is told beside it.
        """
        named = {e.k: _with_step(edit, _named(edit, e), self.steps.get(e.k)) for e in mended}
        if not everywhere:
            self.second = named | self.second
        elif len(mended) == self.count:
            self.first, self.all = named, True
        else:
            self.first |= named


def _with_step(edit: Edit, change: Diagnosis, step: Diagnosis | None) -> Diagnosis:
    """Both, in one advice; the step names the mistake where it comes first."""
    if step is None:
        return change
    far = edit.rank > WRITTEN or (edit.rank == WRITTEN and PATH.match(step.name))
    return (step if edit.looked_up or far else change)._replace(advice=f"{change.advice} {step.advice}")


def _unused(backward: Any) -> Diagnosis | None:
    """A gradient on the way that is computed and then not used."""
    names = [n for n in ast.walk(definition(backward)) if isinstance(n, ast.Name)]  # type: ignore[arg-type]
    loaded = {n.id for n in names if isinstance(n.ctx, ast.Load)}
    for n in names:
        if isinstance(n.ctx, ast.Store) and n.id not in loaded and n.id.startswith("d") and len(n.id) > 1:
            name = f"{n.id} is not used: a term or factor is missing"
            return Diagnosis(name, f"{n.id} is computed in line {n.lineno}, but goes into no gradient.")
    return None


def early_return(backward: Any) -> Diagnosis | None:
    """A return that stands inside a loop."""
    loops = [n for n in ast.walk(definition(backward) or ast.Pass()) if isinstance(n, ast.For)]
    for n in (n for loop in loops for n in loop.body):
        if isinstance(n, ast.Return):
            return Diagnosis("return inside the loop", f"The return in line {n.lineno} ends the loop in its first round.")
    return None


def _makes_trivial(edit: Edit, node: ast.AST) -> bool:
    """Whether a change leaves a / a or a - a: then it is right by accident."""
    before = _trivial(node)
    for place in edit.places:
        place.put(edit.made(place))
    after = _trivial(node)
    for place in edit.places:
        place.put(place.node)
    return after > before


def _trivial(node: ast.AST) -> int:
    pairs = [n for n in ast.walk(node) if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div | ast.Sub)]
    return sum(ast.dump(n.left) == ast.dump(n.right) for n in pairs)


def _named(edit: Edit, e: Evidence) -> Diagnosis:
    tells = not edit.bare and (not edit.looked_up or len(edit.name) <= TOLD)
    return Diagnosis(edit.name if tells else "", f"With one change your {e.label} is right: {edit.advice}.")


def _changed(backward: Any, tried: _Tried) -> Iterator[tuple[Edit, ast.AST, Callable]]:
    """The backward with each single change in itself, the most likely first, and then in a function that it calls."""
    e = tried.evidence[0]
    known = {n: v for n, v in _offered(e.subject).items() if n.isidentifier()}
    blame = Blame(definition(backward), [e.k for e in tried.evidence], e.right, tried.values)  # type: ignore[arg-type]
    frozen = {n for a in e.subject.arrays for n in a.shape} - {n for n, _ in _varied(e)}
    for called, function in [("", backward), *helpers(backward)]:
        node = definition(function)
        if node is None:
            continue

        def inside(changed: Callable, called: str = called) -> Callable:
            """The backward that calls this function in place of the one changed."""
            return Remade(backward, definition(backward), {called: changed})() if called else changed  # type: ignore[arg-type]

        scene = _scene(
            function,
            node,
            known if not called else {},
            frozen,
            e.subject.functions,
            lambda changed, times: tried.run(inside(changed), [times * dy for dy in tried.e.dys]),
        )
        if not called:
            tried.enough = WORK // (OF_A_RUN + sum(scene.seen.count.values()))
        extra = {n: v for n, v in scene.offered.items() if n not in function.__globals__}
        remade, tried.offered = Remade(function, node, extra), extra

        def given(changed: Callable, inside: Callable = inside) -> list[Any]:
            return tried.run(inside(changed))

        def looked_up(near: Scene, remade: Remade = remade, given: Callable = given) -> list[Edit]:
            """Changes to what is needed."""
            return needed(near, remade, given, tried.evidence, tried.enough)

        space = {**remade.space, **state(function)}
        for edit in _likely(scene, None if called else blame, looked_up, tried.time_is_over, space, tried.explained):
            if tried.names and edit.name not in tried.names:
                continue
            try:
                for place in edit.places:
                    place.put(edit.made(place))
                changed = inside(remade())
            except Exception:  # this change makes no valid function
                continue
            finally:
                for place in edit.places:
                    place.put(place.node)
            yield edit, node, changed


def _located(tried: _Tried) -> Located | None:
    """What the values of the backward tell of its statements; None where it cannot be told."""
    wrong = [e.k for e in tried.evidence]
    try:
        with kept(tried.e.subject.forward):
            return located(tried.e, wrong, lambda changed, times: tried.run(changed, [times * dy for dy in tried.e.dys]))
    except Exception:  # forward is no function whose source can be read, or takes no complex numbers
        return None


def _where(backward: Any, values: Located | None) -> Diagnosis | None:
    """Which value is the first wrong one: no name for what is wrong, but a place to look at."""
    if values is None or values.root is None or values.of is None:
        return None
    nodes: Any = ast.walk(definition(backward))  # type: ignore[arg-type]
    line = next(n.lineno for n in nodes if id(n) == values.root.home)
    name, of = values.root.name, values.of.name
    told = f"The first wrong value is `{name}` in line {line}: neither forward's `{of}` nor another value has this gradient."
    return Diagnosis("", told)


def _varied(e: Evidence) -> Iterator[tuple[int, int]]:
    """Sizes of the inputs that are others in the checks at other sizes."""
    for other in e.resized:
        for a, b in zip(e.subject.arrays, other.subject.arrays, strict=True):
            yield from ((n, m) for n, m in zip(a.shape, b.shape, strict=True) if n != m)


Ranked = list[tuple[int, Edit]]


def _told_by_trails(ranked: Ranked, trails: Sequence[Trail], space: Mapping[str, Any]) -> tuple[list[Edit], Ranked]:
    """The changes with which one of the first wrong values is right, and those of which their trails tell nothing."""
    mend, rest = list[Edit](), list[tuple[int, Edit]]()
    for rank, edit in ranked:
        told = [t.mends(edit, space) for t in trails if sum(t.count for t in trails) < NEAR]
        if True in told:
            mend.append(edit)
        elif not told or None in told:
            rest.append((rank, edit))
    return mend, rest


def _likely(
    scene: Scene,
    blame: Blame | None,
    other: Callable[[Scene], list[Edit]],
    over: Callable[[], bool],
    space: Mapping[str, Any],
    explained: bool,
) -> Iterator[Edit]:
    """Changes of what makes the first wrong value, then those near to what is written, then to what is needed, then the rest.

    Where wrong steps have `explained` all gradients, what is not near to what is written tells no more.
    """
    near = scene.near(lambda home: blame is None or blame.of(home) is not None)
    ranked = ordered([kind(near) for kind in (*OPERATORS, *CHANGES, *TERMS, *MOVES, *LOOPS)], blame)
    if blame and blame.values:
        close, ranked = _told_by_trails(ranked, blame.values.trails, space)
        yield from close
    yield from (edit for rank, edit in ranked if rank <= WRITTEN and not over())
    if explained and not any(scene.seen.degree_of(n) == 1 for n in scene.unused):  # what was computed for it tells more
        return
    near = scene.near(lambda home: blame is None or blame.of(home) in (0, 1))
    yield from other(near)
    yield from (edit for rank, edit in ranked if rank > WRITTEN and not over())


def _scene(
    function: Any,
    node: Any,
    known: Mapping[str, Any],
    frozen: Collection[int],
    functions: Sequence[Callable],
    run: Callable[[Callable, float], Any],
) -> Scene:
    """The places of a function, and the names that it has or could have."""
    places = places_of(node)
    seen = watched(function, node, places, run)
    first = next((a.arg for a in (*node.args.posonlyargs, *node.args.args)), "")
    own = {n: v for n, v in seen.names.items() if not n.startswith("_")}
    for f in (function, *functions):  # what forward finds outside, too: its stride, its eps
        own |= {n: v for n, v in outside(getattr(f, "__func__", f)).items() if n not in own}
    own |= {n: v for n, v in state(function).items() if n not in own and not n.startswith("_")}
    offered = {n: v for n, v in known.items() if n not in own}
    return Scene(places, seen, own, offered, first, frozen, _numbers(functions[0]), _nodes(functions[0]))


def _nodes(forward: Any) -> list[ast.AST]:
    """The nodes of forward, and of what it calls."""
    trees = filter(None, [definition(function) for function in (forward, *(f for _, f in helpers(forward)))])
    return [n for tree in trees for n in ast.walk(tree)]


def _numbers(forward: Any) -> list[float]:
    """Numbers in forward, and in what it calls, that are no indices and no axes, other than 0 and 1."""
    around, found = ast.BinOp | ast.UnaryOp | ast.Call | ast.Compare, list[Any]()
    for function in (forward, *(f for _, f in helpers(forward))):
        node = definition(function)
        if node is not None:
            found += [p.node for p in places_of(node) if isinstance(p.parent, around)]
            found += [n for default in node.args.defaults for n in ast.walk(default)]
    values: list[Any] = [n.value for n in found if isinstance(n, ast.Constant)]
    return list(dict.fromkeys(v for v in values if type(v) in (int, float) and v not in (0, 1)))


class _Tried:
    """Runs changed backwards; forward runs once, and what it saved is copied for each."""

    def __init__(self, evidence: Sequence[Evidence]):
        self.count = self.enough = 0  # changes that were tried, and that are tried before time counts
        self.seconds = self.deadline = float("inf")
        self.explained = False  # whether wrong steps of forward's derivative give all of these gradients
        self.names: Collection[str] = ()  # of the changes that are still of interest, if only some are
        self.offered: Collection[str] = ()  # names whose values are given to a changed function
        self.evidence, e, rng = evidence, evidence[0], generator(40)
        self.e = e
        self.others = [np.asarray(rng.normal(size=dy.shape)) for dy in e.dys]
        self.pulled = self._forward()
        self.values = _located(self)

    def run(self, backward: Callable, dys: Sequence[np.ndarray] | None = None) -> list[Any]:
        """The gradients that this backward gives, for the check's cotangents or others."""
        pulled = self._forward() if isinstance(self.e.subject.backward, types.MethodType) else self.pulled
        return as_list(pulled(backward, [dy.copy() for dy in (self.e.dys if dys is None else dys)]))

    def _forward(self) -> Callable:
        """Runs forward; a method's object then holds what forward has saved."""
        assert self.e.subject.pulled is not None
        return self.e.subject.pulled(self.e.subject.arrays)

    def time_is_over(self) -> bool:
        """Whether enough changes were tried, and the time has passed since this was asked for the first time."""
        self.deadline = min(self.deadline, time.thread_time() + self.seconds)
        return self.count > self.enough and time.thread_time() > self.deadline

    def right(self, backward: Callable, found: Mapping[int, Any]) -> list[Evidence]:
        """The wrong gradients that this backward makes right: all of them, or else those for which nothing is found yet."""
        self.count += 1
        try:
            given = self.run(backward)
            fits = [e for e in self.evidence if e.same(_part(e.k, given), e.true)]
            if not all(e.k not in found for e in fits) and len(fits) < len(self.evidence):
                fits = [e for e in fits if e.k not in found]
            if not fits or not self._spares_the_right(given):
                return []
            again = self.run(backward, self.others)
            fits = [e for e in fits if e.rows is None or e.same(_part(e.k, again), e.backward(*self.others))]
            return self._at_other_sizes(backward, fits)
        except Exception:  # a changed function may fail in any way
            return []

    def _spares_the_right(self, given: list[Any]) -> bool:
        """Whether the gradients that were right still are."""
        for k in self.e.right:
            true, now = self.e.trues[k], np.asarray(_part(k, given))
            if now.shape != true.shape:
                return False
            gap, size = (np.fmax.reduce(np.abs(a), axis=None, initial=0) for a in (now - true, true))
            if gap > 1e-6 * max(size, 1e-9):
                return False
        return True

    def holds_everywhere(self, backward: Callable, fits: Sequence[Evidence]) -> bool:
        """Whether these gradients are right in all checks that tell more."""
        return all(len(self._right_there(other, backward, fits)) == len(fits) for other in self.e.doubtful)

    def _at_other_sizes(self, backward: Callable, fits: list[Evidence]) -> list[Evidence]:
        """Those that are right at other sizes, too."""
        for other in self.e.resized if fits else ():
            fits = self._right_there(other, backward, fits)
        return fits

    def _right_there(self, other: Resized, backward: Callable, fits: Sequence[Evidence]) -> list[Evidence]:
        assert other.subject.pulled is not None
        try:
            there = other.change(backward)
            there.__globals__.update({n: v for n, v in _offered(other.subject).items() if n in self.offered})
            given = as_list(other.subject.pulled(other.subject.arrays)(there, [dy.copy() for dy in other.dys]))
        except Exception:  # a changed function may fail in any way
            return []
        return [e for e in fits if not other.tells(e.k, e.got) or other.agrees(e.k, _part(e.k, given))]


def _offered(subject: Subject) -> dict[str, Any]:
    """What a backward could have: the inputs, and the result as y."""
    named = dict(zip(subject.names, subject.arrays, strict=True))
    return named | {"y": np.asarray(subject.value(subject.arrays)[0])}


def _part(k: int, gradients: list[Any]) -> Any:
    """The gradient of argument k."""
    return gradients[k if len(gradients) > k else 0]
