"""Which rule of differentiation was forgotten? Forward's own derivative with one wrong step gives the learner's gradient.

However a backward is written, it goes back through the steps of forward: through a product, a mean, an activation. So each step
of forward is derived wrongly in turn, as people do (misderived.py): a factor held constant, a slope left out, the divisor not
squared. If the gradient that comes out is the learner's, at all sizes, this is the mistake; the backward's source is not needed.
"""

from __future__ import annotations

import ast
import itertools
import operator
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinydx.gradcheck.dual import METHODS, slope, with_complex_numbers
from tinydx.gradcheck.edits import Place, places_of, text
from tinydx.gradcheck.evidence import Evidence
from tinydx.gradcheck.limits import silent
from tinydx.gradcheck.misderived import SOFTMAX, Rule, Step, constant, function_of, moves, moving, of_call, of_operator, rule_of
from tinydx.gradcheck.report import Diagnosis
from tinydx.gradcheck.sizes import Resized
from tinydx.gradcheck.source import definition, kept
from tinydx.gradcheck.subject import Subject
from tinydx.gradcheck.truth import STEP, generator

MOST = 150_000  # steps that are computed for wrong derivatives of one of them
PAIRED = 14  # names of which two together may be held constant
OPERATORS: dict[type, Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.MatMult: operator.matmul,
}


class Wrong(NamedTuple):
    """A wrong step: its rank, its name, what it is in words, the ids of the nodes where it is taken, how their results move."""

    rank: int
    name: str
    told: str
    at: frozenset[int]
    rule: Rule


def wrong_steps(evidence: Sequence[Evidence]) -> dict[int, Diagnosis]:
    """For each wrong gradient (its argument's index) the wrong step that gives the learner's numbers, the likeliest first."""
    subject = evidence[0].subject
    node = definition(subject.forward)
    known = [e for e in evidence if e.complete and np.shape(e.got) == e.true.shape and np.isfinite(e.got).all()]
    if node is None or not known:
        return {}
    try:
        with silent(), warnings.catch_warnings(), np.errstate(all="ignore"), kept(subject.forward):
            warnings.simplefilter("ignore")
            return _Steps(subject, node).search(known)
    except Exception:  # forward takes no complex numbers
        return {}


class _Steps:
    """A forward of which any step can be derived wrongly."""

    def __init__(self, subject: Subject, node: Any):
        self.subject, self.places = subject, [p for p in places_of(node) if _is_step(p)]
        self.nodes = {id(p.node): p for p in self.places}
        self.wrong: Wrong | None = None
        self.last: dict[str, Any] = {}
        self.seen: dict[int, Step] = {}
        self.calls = 0
        try:
            for p in reversed(self.places):  # inner ones first: they stand in what is put around them
                p.put(ast.fix_missing_locations(_hooked(p.node)))
            self.function = with_complex_numbers(subject.forward, node, {"_name": self._name, "_op": self._op, "_do": self._do})
        finally:
            for p in self.places:
                p.put(p.node)

    # ---- the hooks ----

    def _name(self, i: int, value: Any) -> Any:
        self.last[_called(self.nodes[i].node)] = value
        return self._step(i, (value,), value, lambda x: x)

    def _op(self, i: int, left: Any, right: Any) -> Any:
        compute = OPERATORS[type(self.nodes[i].node.op)]
        return self._step(i, (left, right), compute(left, right), compute)

    def _do(self, i: int, function: Any, *given: Any, **named: Any) -> Any:
        owner = getattr(function, "__self__", None)
        if isinstance(owner, np.ndarray) and function.__name__ in METHODS:
            function, given, owner = METHODS[function.__name__], (owner, *given), None
        result = function(*given, **named)
        if isinstance(owner, np.ndarray):
            again = lambda x: getattr(x, function.__name__)(*given, **named)  # noqa: E731
            return self._step(i, (owner,), result, again)
        return self._step(i, given[:1], result, lambda x: function(x, *given[1:], **named)) if given else result

    def _step(self, i: int, operands: tuple, result: Any, again: Callable) -> Any:
        self.calls += 1
        if self.wrong is not None and i in self.wrong.at:
            return self.wrong.rule(Step(self.nodes[i].node, operands, result, again))
        if self.wrong is None and moves(result):
            self.seen.setdefault(i, Step(self.nodes[i].node, operands, result, again))
        return result

    # ---- the search ----

    def search(self, evidence: Sequence[Evidence]) -> dict[int, Diagnosis]:
        """The likeliest wrong step for each gradient; one that explains all of them is better than one for each."""
        drawn = [a + 1j * STEP * generator(i).normal(size=a.shape) for i, a in enumerate(self.subject.arrays)]
        slope(self.function, self.subject, evidence[0].dys, drawn)
        found: dict[int, Wrong] = {}
        evidence = [e for e in evidence if self._agrees(self.function, self.subject, e.dys, e.k, e.true, 73)]
        for wrong in sorted(self._candidates(), key=lambda w: w.rank):
            if self.calls > MOST or len(found) == len(evidence):
                break
            fits = [e for e in evidence if e.k not in found and self._gives(wrong, e)]
            if fits and (found.keys() | {e.k for e in fits} == {e.k for e in evidence} or not found):
                found |= {e.k: wrong for e in fits if self._gives_doubtful(wrong, e)}
        return {e.k: self._named(found[e.k], e) for e in evidence if e.k in found}

    def _gives(self, wrong: Wrong, e: Evidence) -> bool:
        """Whether the gradient that comes out is the learner's, along two directions, and at other sizes."""
        self.wrong = wrong
        try:
            here = all(self._agrees(self.function, self.subject, e.dys, e.k, e.got, seed) for seed in (70, 71))
            return here and all(self._gives_there(other, e.k) for other in e.resized if other.tells(e.k, e.got))
        except Exception:  # the rule does not apply to these shapes
            return False
        finally:
            self.wrong = None

    def _gives_doubtful(self, wrong: Wrong, e: Evidence) -> bool:
        """Whether it also is the learner's where constants are others: a half of d * d is no 1 / BETA for BETA = 2."""
        self.wrong = wrong
        try:
            return all(self._gives_there(other, e.k) for other in e.doubtful if other.tells(e.k, e.got))
        except Exception:  # the functions do not take these
            return True
        finally:
            self.wrong = None

    def _gives_there(self, other: Resized, k: int) -> bool:
        return self._agrees(other.change(self.function), other.subject, other.dys, k, np.asarray(other.claimed[k], float), 72)

    def _agrees(self, function: Any, subject: Subject, dys: Sequence[np.ndarray], k: int, got: np.ndarray, seed: int) -> bool:
        v = generator(seed).normal(size=got.shape)
        arrays = [a + 1j * STEP * v if i == k else a.astype(complex) for i, a in enumerate(subject.arrays)]
        size = np.sqrt(np.sum(got**2) * np.sum(v**2))
        return bool(abs(slope(function, subject, dys, arrays) - np.sum(got * v)) <= 1e-9 * size)

    def _named(self, wrong: Wrong, e: Evidence) -> Diagnosis:
        node = next(self.nodes[i].node for i in wrong.at)
        told = f"Your {e.label} is what comes out for forward, line {node.lineno}, if {wrong.told}."
        return Diagnosis(wrong.name, told)

    # ---- wrong steps ----

    def _candidates(self) -> Iterator[Wrong]:
        yield from self._held()
        yield from self._skipped()
        for i, step in self.seen.items():
            rules = of_operator(step) if isinstance(step.node, ast.BinOp) else of_call(step)
            if isinstance(step.node, ast.BinOp | ast.Call):
                yield from (Wrong(rank, name, told, frozenset([i]), rule) for rank, name, told, rule in rules)

    def _names(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for i, step in self.seen.items():
            if isinstance(step.node, ast.Name | ast.Attribute):
                found.setdefault(_called(step.node), set()).add(i)
        return found

    def _held(self) -> Iterator[Wrong]:
        """A name held constant: in one place, or everywhere; two names."""
        names = self._names()
        for name, at in names.items():
            whole = f"path through {name} forgotten: {name} held constant, a term is missing"
            yield Wrong(0, whole, f"`{name}` is held constant", frozenset(at), constant)
            for i in at if len(at) > 1 else ():
                around: Any = self.nodes[i].parent
                where = text(around) if isinstance(around, ast.expr) else "this line"
                whole = f"{rule_of(around)}path through {name} in {where} forgotten: held constant there, a term is missing"
                yield Wrong(1, whole, f"`{name}` is held constant in `{where}`", frozenset([i]), constant)
        for a, b in itertools.combinations(list(names)[:PAIRED], 2):
            name = f"paths through {a} and {b} forgotten: both held constant, terms are missing"
            yield Wrong(3, name, f"`{a}` and `{b}` are held constant", frozenset(names[a] | names[b]), constant)

    def _skipped(self) -> Iterator[Wrong]:
        """The way from one name to a later one, as if the later one were the first; of a softmax, parts of its derivative."""
        names = self._names()
        order = list(names)
        for early, late in itertools.combinations(order, 2):
            u, v = (np.real(self.last[n]) for n in (early, late))
            if np.shape(u) != np.shape(v) or np.size(u) < 2:
                continue
            what = function_of(u, v)
            at = frozenset(names[late])
            told = f"the step from `{early}` to `{late}` is left out"
            skip = f"slope of {what or late} forgotten: the step from {early} to {late} is skipped"
            yield Wrong(1 if what else 3, skip, told, at, self._as_moved(early))
            if what == "softmax":
                for name, change in SOFTMAX.items():
                    yield Wrong(1, f"{what}: {name}", f"of the softmax {late}, {name}", at, self._as_moved(early, change))

    def _as_moved(self, name: str, change: Callable = lambda v, moved: moved) -> Rule:
        return lambda step: moving(step.result, change(np.real(step.result), np.imag(self.last[name])))


def _is_step(p: Place) -> bool:
    """Whether an expression of forward is a step that may be derived wrongly."""
    if isinstance(p.node, ast.Name | ast.Attribute):
        is_function = isinstance(p.parent, ast.Call) and p.field == "func"
        is_owner = isinstance(p.node, ast.Name) and isinstance(p.parent, ast.Attribute) and not isinstance(p.parent.ctx, ast.Load)
        is_turned = isinstance(p.node, ast.Attribute) and (p.node.attr == "T" or not isinstance(p.node.value, ast.Name))
        return isinstance(p.node.ctx, ast.Load) and not is_function and not is_owner and not is_turned
    if isinstance(p.node, ast.BinOp):
        return type(p.node.op) in OPERATORS
    return isinstance(p.node, ast.Call) and not any(isinstance(a, ast.Starred) for a in p.node.args)


def _hooked(n: Any) -> ast.expr:
    """The step with a hook in its place."""
    if isinstance(n, ast.BinOp):
        return _hook("_op", id(n), n.left, n.right)
    if isinstance(n, ast.Call):
        return _hook("_do", id(n), n.func, *n.args, keywords=n.keywords)
    return _hook("_name", id(n), n)


def _called(node: Any) -> str:
    """The name of a variable, or of an attribute."""
    return node.id if isinstance(node, ast.Name) else node.attr


def _hook(name: str, i: int, *given: ast.expr, keywords: Sequence[ast.keyword] = ()) -> ast.expr:
    return ast.Call(ast.Name(name, ast.Load()), [ast.Constant(i), *given], list(keywords))
