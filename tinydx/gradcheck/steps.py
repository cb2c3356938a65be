"""Which rule of differentiation was forgotten? Forward's own derivative with one wrong step gives the learner's gradient.

However a backward is written, it goes back through the steps of forward: through a product, a mean, an activation. So each step of
forward is derived wrongly in turn, as people do: a factor held constant, a slope left out, the divisor not squared. If the gradient
that comes out is the learner's, for all sizes, then this is the mistake; the backward's source is not needed for it.
"""

from __future__ import annotations

import ast
import itertools
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinydx.gradcheck.dual import METHODS, slope, with_complex_numbers
from tinydx.gradcheck.edits import Place, places_of, text
from tinydx.gradcheck.evidence import Evidence
from tinydx.gradcheck.limits import silent
from tinydx.gradcheck.report import Diagnosis
from tinydx.gradcheck.sizes import Resized
from tinydx.gradcheck.source import definition, kept
from tinydx.gradcheck.subject import Subject
from tinydx.gradcheck.truth import STEP, generator

MOST = 1500  # wrong derivatives that are tried
PAIRED = 14  # names of which two together may be held constant
OPERATORS: dict[type, Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.MatMult: operator.matmul,
}

Rule = Callable[..., Any]  # operands (complex: a value, and how it moves), and the result -> another result


class Wrong(NamedTuple):
    """A wrong step: its rank, its name, what it is in words, the ids of the nodes where it is taken, how their results move."""

    rank: int
    name: str
    told: str
    at: frozenset[int]
    rule: Rule


def wrong_steps(evidence: Sequence[Evidence], seconds_are_over: Callable[[], bool]) -> dict[int, Diagnosis]:
    """For each wrong gradient (its argument's index) the wrong step that gives the learner's numbers, the likeliest first."""
    subject = evidence[0].subject
    node = definition(subject.forward)
    known = [e for e in evidence if e.complete and np.shape(e.got) == e.true.shape and np.isfinite(e.got).all()]
    if node is None or not known:
        return {}
    try:
        with silent(), warnings.catch_warnings(), np.errstate(all="ignore"), kept(subject.forward):
            warnings.simplefilter("ignore")
            return _Steps(subject, node).search(known, seconds_are_over)
    except Exception:  # forward takes no complex numbers
        return {}


class Step(NamedTuple):
    """A step of forward in a run: its node, its operands and its result, and how it is computed of other operands."""

    node: Any
    operands: tuple
    result: Any
    again: Callable


class _Steps:
    """A forward of which any step can be derived wrongly."""

    def __init__(self, subject: Subject, node: Any):
        self.subject, self.places = subject, [p for p in places_of(node) if _is_step(p)]
        self.nodes = {id(p.node): p for p in self.places}
        self.wrong: Wrong | None = None
        self.last: dict[str, Any] = {}
        self.seen: dict[int, Step] = {}
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
        if self.wrong is not None and i in self.wrong.at:
            return self.wrong.rule(Step(self.nodes[i].node, operands, result, again))
        if self.wrong is None and _moves(result):
            self.seen.setdefault(i, Step(self.nodes[i].node, operands, result, again))
        return result

    # ---- the search ----

    def search(self, evidence: Sequence[Evidence], over: Callable[[], bool]) -> dict[int, Diagnosis]:
        """The likeliest wrong step for each gradient; one that explains all of them is better than one for each."""
        moving = [a + 1j * STEP * generator(i).normal(size=a.shape) for i, a in enumerate(self.subject.arrays)]
        slope(self.function, self.subject, evidence[0].dys, moving)
        found: dict[int, Wrong] = {}
        evidence = [e for e in evidence if self._agrees(self.function, self.subject, e.dys, e.k, e.true, 73)]
        for wrong in sorted(self._candidates(), key=lambda w: w.rank)[:MOST]:
            if over() or len(found) == len(evidence):
                break
            fits = [e for e in evidence if e.k not in found and self._gives(wrong, e)]
            if fits and (found.keys() | {e.k for e in fits} == {e.k for e in evidence} or not found):
                found |= {e.k: wrong for e in fits}
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
            rules = _of_operator(step) if isinstance(step.node, ast.BinOp) else _of_call(step)
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
            yield Wrong(0, whole, f"`{name}` is held constant", frozenset(at), _constant)
            for i in at if len(at) > 1 else ():
                around: Any = self.nodes[i].parent
                where = text(around) if isinstance(around, ast.expr) else "this line"
                whole = f"{_rule(around)}path through {name} in {where} forgotten: held constant there, a term is missing"
                yield Wrong(1, whole, f"`{name}` is held constant in `{where}`", frozenset([i]), _constant)
        for a, b in itertools.combinations(list(names)[:PAIRED], 2):
            name = f"paths through {a} and {b} forgotten: both held constant, terms are missing"
            yield Wrong(3, name, f"`{a}` and `{b}` are held constant", frozenset(names[a] | names[b]), _constant)

    def _skipped(self) -> Iterator[Wrong]:
        """The way from one name to a later one, as if the later one were the first; of a softmax, parts of its derivative."""
        names = self._names()
        order = list(names)
        for early, late in itertools.permutations(order, 2):
            u, v = (np.real(self.last[n]) for n in (early, late))
            if np.shape(u) != np.shape(v) or np.size(u) < 2:
                continue
            what = _function(u, v)
            at = frozenset(names[late])
            told = f"the step from `{early}` to `{late}` is left out"
            skip = f"slope of {what or late} forgotten: the step from {early} to {late} is skipped"
            yield Wrong(1 if what else 3, skip, told, at, self._as_moved(early))
            if what == "softmax":
                for name, change in SOFTMAX.items():
                    yield Wrong(1, f"{what}: {name}", f"of the softmax {late}, {name}", at, self._as_moved(early, change))

    def _as_moved(self, name: str, change: Callable = lambda v, moved: moved) -> Rule:
        return lambda step: _with(step.result, change(np.real(step.result), np.imag(self.last[name])))


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
    return _hook("_name", id(n), n) if isinstance(n, ast.Name | ast.Attribute) else _hook("_do", id(n), n.func, *n.args, keywords=n.keywords)


def _called(node: Any) -> str:
    """The name of a variable, or of an attribute."""
    return node.id if isinstance(node, ast.Name) else node.attr


def _hook(name: str, i: int, *given: ast.expr, keywords: Sequence[ast.keyword] = ()) -> ast.expr:
    return ast.Call(ast.Name(name, ast.Load()), [ast.Constant(i), *given], list(keywords))


def _moves(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.complexfloating) and value.dtype.kind == "c" and bool(np.imag(value).any())


def _with(value: Any, moved: Any) -> Any:
    """The value, moving in another way."""
    return np.real(value) + 1j * np.broadcast_to(moved, np.shape(value))


def _constant(step: Step) -> Any:
    return _with(step.result, 0.0)


# ---- rules that people get wrong -----------------------------------------------------------------------------------

SOFTMAX: dict[str, Callable] = {  # of v = softmax(u), when u moves
    "diagonal only, the other terms of its Jacobian forgotten": lambda v, u: v * (1 - v) * u,
    "the common sum of its Jacobian forgotten": lambda v, u: v * u,
    "the factor p of its Jacobian forgotten": lambda v, u: u - (v * u).sum(_axis(v), keepdims=True),
    "p is missing in the sum of its Jacobian": lambda v, u: v * (u - u.sum(_axis(v), keepdims=True)),
}
SLOPES: tuple[tuple[str, Callable], ...] = (  # in y, of y = f(x)
    ("y", lambda y: y),
    ("1 - y", lambda y: 1 - y),
    ("y * (1 - y)", lambda y: y * (1 - y)),
    ("1 - y**2", lambda y: 1 - y**2),
    ("y > 0", lambda y: y > 0),
)


def _axis(p: np.ndarray) -> int:
    """The axis along which shares sum to 1."""
    return next(a for a in range(-1, -p.ndim - 1, -1) if np.allclose(p.sum(a), 1))


def _function(u: np.ndarray, v: np.ndarray) -> str:
    """The name of the function that makes v of u, if it is a usual one."""
    for name, f in (("tanh", np.tanh), ("sigmoid", lambda a: 1 / (1 + np.exp(-a))), ("relu", lambda a: np.maximum(a, 0)),
                    ("exp", np.exp), ("log", np.log), ("sqrt", np.sqrt), ("square", np.square)):  # fmt: skip
        if np.allclose(f(u), v, equal_nan=False):
            return name
    for axis in range(np.ndim(u)):
        e = np.exp(u - u.max(axis, keepdims=True))
        if np.allclose(e / e.sum(axis, keepdims=True), v):
            return "softmax"
    return ""


Rules = Iterator[tuple[int, str, str, Rule]]  # rank, name, what is told, the rule


def _of_operator(step: Step) -> Rules:
    """Wrong derivatives of a product, quotient, power, sum or matrix product."""
    n, (left, right) = step.node, step.operands
    a, b, whole = text(n.left), text(n.right), text(n)
    both = _moves(left) and _moves(right)
    kind = _rule(n)
    for i, part in enumerate((a, b)) if both else ():
        name = f"{kind}the term in which {part} moves is forgotten, it is held constant"
        yield 1, name, f"`{part}` is held constant in `{whole}`", _cut(i)
    if isinstance(n.op, ast.Add | ast.Sub) and both:
        yield 2, f"sign of the term {b}", f"`{b}` has the other sign in `{whole}`", lambda s: _linear(s, 1, 1 if _is(s, ast.Sub) else -1)
    if isinstance(n.op, ast.Mult):
        for i, part in enumerate((b, a)):
            told = f"the factor `{part}` is left out in the derivative of `{whole}`"
            yield 2, f"factor {part} forgotten", told, lambda s, i=i: _terms(s, *[1 if j == i else o for j, o in enumerate(_others(s))])
        if both:
            told = f"each factor of `{whole}` is multiplied with itself, not with the other one"
            yield 2, f"product rule: factors {a} and {b} exchanged", told, lambda s: _terms(s, *map(np.real, s.operands))
            yield 2, f"product rule: sign of the term in which {b} moves", f"this term of `{whole}` has the other sign", _minus_second
    if isinstance(n.op, ast.Div):
        yield from _of_quotient(step, a, b, whole)
    if isinstance(n.op, ast.Pow) and _moves(right):
        name, told = f"factor log({a}) of the power {whole} forgotten", f"the derivative of `{whole}` is taken without log({a})"
        yield 1, name, told, lambda s: _terms(s, np.real(s.operands[1]) * np.real(left) ** (np.real(right) - 1), np.real(s.result))
    if isinstance(n.op, ast.Pow) and not _moves(right):
        told = f"the derivative of `{whole}` is taken "
        yield 1, f"power of {a} forgotten: factor {b} only", told + "without its power", lambda s: _moved(s, lambda x, p: p + 0 * x)
        yield 1, f"factor {b} of the power {whole} forgotten", told + f"without the factor {b}", lambda s: _moved(s, lambda x, p: x ** (p - 1))
        yield 1, f"power of {whole} not reduced by one", told + "with the power as it is", lambda s: _moved(s, lambda x, p: p * x**p)
        yield 2, f"derivative of {whole} forgotten", f"`{whole}` is taken as `{a}`", lambda s: _moved(s, lambda x, p: 1 + 0 * x)


def _rule(node: Any) -> str:
    """The rule by which an expression of two moving parts is derived."""
    rules: dict[Any, str] = {ast.Mult: "product rule: ", ast.MatMult: "product rule: ", ast.Div: "quotient rule: "}
    return rules.get(type(getattr(node, "op", None)), "")


def _of_quotient(step: Step, a: str, b: str, whole: str) -> Rules:
    told = f"in the derivative of `{whole}` "
    moved = {
        f"quotient rule: wrong power of {b}, not squared": (lambda x, y: 1 / y, lambda x, y: -x / y, 1),
        f"quotient rule: sign of the term in which {b} moves": (lambda x, y: 1 / y, lambda x, y: x / y**2, 1),
        f"quotient rule: factor {a} of the second term forgotten": (lambda x, y: 1 / y, lambda x, y: -1 / y**2, 1),
        f"division by {b} forgotten": (lambda x, y: 1.0, lambda x, y: -x / y**2, 1),
        f"division by {b} forgotten in both terms": (lambda x, y: 1.0, lambda x, y: -x / y, 1),
        f"multiplied by {b} instead of divided": (lambda x, y: y, lambda x, y: -x / y**2, 2),
    }
    for name, (first, second, rank) in moved.items():
        yield rank, name, f"{told}there is this slip: {name}", lambda s, f=first, g=second: _terms(s, *_both(s, f, g))


def _of_call(step: Step) -> Rules:
    """Wrong derivatives of a function."""
    u, v, name = step.operands[0], step.result, text(step.node)
    f = text(step.node.func)
    if not _moves(u):
        return
    same = np.shape(u) == np.shape(v) and np.size(u) > 1
    yield 1, f"path through {name} forgotten: held constant, a term is missing", f"`{name}` is held constant", _constant
    if np.size(u) > np.size(v) and "mean" in f:
        told = f"the mean `{name}` is derived as a sum"
        yield 1, f"1/N of the mean forgotten: {name}", told, lambda s: _with(s.result, np.imag(s.result) * _share(s))
    if np.size(u) > np.size(v) and "sum" in f:
        told = f"the sum `{name}` is derived as a mean"
        yield 2, f"averaged: {name} is a sum", told, lambda s: _with(s.result, np.imag(s.result) / _share(s))
    if not same:
        return
    what = _function(np.real(u), np.real(v)) or f
    yield 1, f"slope of {what} forgotten: {name} is skipped", f"`{name}` is skipped", lambda s: _with(s.result, np.imag(s.operands[0]))
    told = f"the slope of `{name}` is taken "
    yield 2, f"slope of {what} at its output instead of its input", told + "at its output", lambda s: _with(s.result, np.imag(s.again(_with(s.result, np.imag(s.operands[0])))))
    yield 2, f"slope of {what} twice", told + "twice", lambda s: _with(s.result, np.imag(s.result) ** 2 / np.imag(s.operands[0]))
    for formula, of in SLOPES if what not in ("exp", "log", "sqrt", "square") else ():
        yield 2, f"{formula} instead of the slope of {what}", told + f"as {formula}", lambda s, of=of: _with(s.result, of(np.real(s.result)) * np.imag(s.operands[0]))
        yield 2, f"{formula.replace('y', 'x')} instead of the slope of {what}", told + f"as {formula} at its input", lambda s, of=of: _with(s.result, of(np.real(s.operands[0])) * np.imag(s.operands[0]))


def _share(step: Step) -> float:
    return np.size(step.operands[0]) / np.size(step.result)


def _cut(which: int) -> Rule:
    return lambda s: s.again(*(np.real(o) if i == which else o for i, o in enumerate(s.operands)))


def _is(step: Step, kind: type) -> bool:
    return isinstance(step.node.op, kind)


def _linear(step: Step, first: float, second: float) -> Any:
    return _with(step.result, first * np.imag(step.operands[0]) + second * np.imag(step.operands[1]))


def _others(step: Step) -> tuple:
    return np.real(step.operands[1]), np.real(step.operands[0])


def _terms(step: Step, first: Any, second: Any) -> Any:
    """The result, moving by these factors times how the operands move."""
    left, right = map(np.imag, step.operands)
    return _with(step.result, first * left + second * right)


def _minus_second(step: Step) -> Any:
    first, second = _others(step)
    return _terms(step, first, -second)


def _both(step: Step, first: Callable, second: Callable) -> tuple:
    x, y = map(np.real, step.operands)
    return first(x, y), second(x, y)


def _moved(step: Step, f: Callable) -> Any:
    x, p = map(np.real, step.operands)
    return _with(step.result, f(x, p) * np.imag(step.operands[0]))
