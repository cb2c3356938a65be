"""Rules of differentiation that people get wrong, each as a wrong derivative of one step of forward.

A step's operands and result are complex: the real part is the value, the imaginary part how it moves. A wrong rule gives the same
result, moving in another way.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tinydx.gradcheck.edits import text


class Step(NamedTuple):
    """A step of forward in a run: its node, its operands and its result, and how it is computed of other operands."""

    node: Any
    operands: tuple
    result: Any
    again: Callable


Rule = Callable[[Step], Any]  # -> another result
Rules = Iterator[tuple[int, str, str, Rule]]  # how unlikely it is, its name, what it is in words

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
USUAL: dict[str, Callable] = {
    "tanh": np.tanh,
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "relu": lambda a: np.maximum(a, 0),
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "square": np.square,
}
POWERS: dict[str, Callable] = {  # wrong slopes of x ** p
    "power of {a} forgotten: factor {b} only": lambda x, p: p + 0 * x,
    "factor {b} of the power {whole} forgotten": lambda x, p: x ** (p - 1),
    "power of {whole} not reduced by one": lambda x, p: p * x**p,
    "derivative of {whole} forgotten": lambda x, p: 1 + 0 * x,
}
QUOTIENTS: dict[str, tuple[Callable, Callable]] = {  # wrong factors of how x and y move, in x / y
    "quotient rule: wrong power of {b}, not squared": (lambda x, y: 1 / y, lambda x, y: -x / y),
    "quotient rule: sign of the term in which {b} moves": (lambda x, y: 1 / y, lambda x, y: x / y**2),
    "quotient rule: factor {a} of the second term forgotten": (lambda x, y: 1 / y, lambda x, y: -1 / y**2),
    "division by {b} forgotten": (lambda x, y: 1.0, lambda x, y: -x / y**2),
    "division by {b} forgotten in both terms": (lambda x, y: 1.0, lambda x, y: -x / y),
    "multiplied by {b} instead of divided": (lambda x, y: y, lambda x, y: -x / y**2),
}


def moves(value: Any) -> bool:
    """Whether this depends on what is derived."""
    how = np.imag(np.asarray(value)) if isinstance(value, np.ndarray | np.complexfloating) else np.zeros(())
    return bool(how.any())


def moving(value: Any, how: Any) -> Any:
    """The value, moving in another way."""
    return np.real(value) + 1j * np.broadcast_to(how, np.shape(value))


def constant(step: Step) -> Any:
    """The result, held constant."""
    return moving(step.result, 0.0)


def function_of(u: np.ndarray, v: np.ndarray) -> str:
    """The name of the function that makes v of u, if it is a usual one."""
    with np.errstate(all="ignore"):
        for name, f in USUAL.items():
            if np.allclose(f(u), v):
                return name
        for axis in range(np.ndim(u)):
            e = np.exp(u - u.max(axis, keepdims=True))
            if np.allclose(e / e.sum(axis, keepdims=True), v):
                return "softmax"
    return ""


def rule_of(node: Any) -> str:
    """The rule by which an expression of two moving parts is derived."""
    rules: dict[Any, str] = {ast.Mult: "product rule: ", ast.MatMult: "product rule: ", ast.Div: "quotient rule: "}
    return rules.get(type(getattr(node, "op", None)), "")


def of_operator(step: Step) -> Rules:
    """Wrong derivatives of a sum, product, quotient, power or matrix product."""
    n, (left, right) = step.node, step.operands
    a, b, whole = text(n.left), text(n.right), text(n)
    both = moves(left) and moves(right)
    for i, part in enumerate((a, b)) if both else ():
        name = f"{rule_of(n)}term of {part} forgotten: it is held constant"
        yield 1, name, f"`{part}` is held constant in `{whole}`", _with_constant(i)
    if isinstance(n.op, ast.Add | ast.Sub) and both:
        sign = 1 if isinstance(n.op, ast.Sub) else -1
        yield 2, f"sign of the term {b}", f"`{b}` has the other sign in `{whole}`", _terms(lambda x, y: (1, sign))
    if isinstance(n.op, ast.Mult):
        yield from _of_product(a, b, whole, both)
    if isinstance(n.op, ast.Div):
        for name, (f, g) in QUOTIENTS.items():
            made = name.format(a=a, b=b)
            rule = _terms(lambda x, y, f=f, g=g: (f(x, y), g(x, y)))
            yield 1 + ("instead" in name), made, f"there is this slip in the derivative of `{whole}`: {made}", rule
    if isinstance(n.op, ast.Pow):
        yield from _of_power(a, b, whole, moves(right))


def _of_product(a: str, b: str, whole: str, both: bool) -> Rules:
    told = f"is left out in the derivative of `{whole}`"
    yield 2, f"factor {b} forgotten", f"the factor `{b}` {told}", _terms(lambda x, y: (1, x))
    yield 2, f"factor {a} forgotten", f"the factor `{a}` {told}", _terms(lambda x, y: (y, 1))
    if both:
        told = f"each factor of `{whole}` is multiplied with itself, not with the other one"
        yield 2, f"product rule: factors {a} and {b} exchanged", told, _terms(lambda x, y: (x, y))
        told = f"this term of `{whole}` has the other sign"
        yield 2, f"product rule: sign of the term in which {b} moves", told, _terms(lambda x, y: (y, -x))


def _of_power(a: str, b: str, whole: str, exponent_moves: bool) -> Rules:
    if exponent_moves:
        name, told = f"factor log({a}) of the power {whole} forgotten", f"the derivative of `{whole}` is taken without log({a})"
        yield 1, name, told, _terms(lambda x, p: (p * x ** (p - 1), x**p))
        return
    for name, f in POWERS.items():
        made = name.format(a=a, b=b, whole=whole)
        yield 1, made, f"there is this slip in the derivative of `{whole}`: {made}", _slope(lambda s, f=f: f(*_values(s)))


def of_call(step: Step) -> Rules:
    """Wrong derivatives of a function."""
    u, v, name = step.operands[0], step.result, text(step.node)
    f = text(step.node.func)
    if not moves(u):
        return
    yield 1, f"path through {name} forgotten: held constant, a term is missing", f"`{name}` is held constant", constant
    share = np.size(u) / max(np.size(v), 1)
    if share > 1 and "mean" in f:
        rule = _times(lambda s: np.size(s.operands[0]) / np.size(s.result))
        yield 1, f"1/N of the mean forgotten: {name}", f"the mean `{name}` is derived as a sum", rule
    if share > 1 and "sum" in f:
        rule = _times(lambda s: np.size(s.result) / np.size(s.operands[0]))
        yield 2, f"averaged: {name} is a sum", f"the sum `{name}` is derived as a mean", rule
    if np.shape(u) == np.shape(v) and np.size(u) > 1:
        yield from _of_each(function_of(np.real(u), np.real(v)) or f, name)


def _of_each(what: str, name: str) -> Rules:
    """Wrong slopes of a function of each number."""
    told = f"the slope of `{name}` is taken "
    yield 1, f"slope of {what} forgotten: {name} is skipped", f"`{name}` is skipped", _slope(lambda s: 1.0)
    yield 2, f"slope of {what} at its output instead of its input", told + "at its output", _at_output
    yield 2, f"slope of {what} twice", told + "twice", _times(lambda s: np.imag(s.result) / np.imag(s.operands[0]))
    for formula, of in SLOPES if what not in ("exp", "log", "sqrt", "square") else ():
        rule = _slope(lambda s, of=of: of(np.real(s.result)))
        yield 2, f"{formula} instead of the slope of {what}", f"{told}as {formula}", rule
        at_input = formula.replace("y", "x")
        rule = _slope(lambda s, of=of: of(np.real(s.operands[0])))
        yield 2, f"{at_input} instead of the slope of {what}", f"{told}as {at_input}", rule


def _axis(p: np.ndarray) -> int:
    """The axis along which shares sum to 1."""
    return next(a for a in range(-1, -p.ndim - 1, -1) if np.allclose(p.sum(a), 1))


def _with_constant(which: int) -> Rule:
    """The result with one operand held constant."""
    return lambda s: s.again(*(np.real(o) if i == which else o for i, o in enumerate(s.operands)))


def _values(s: Step) -> tuple:
    return tuple(map(np.real, s.operands))


def _terms(factors: Callable) -> Rule:
    """The result, moving by these factors, made of both operands' values, times how these move."""

    def rule(s: Step) -> Any:
        left, right = map(np.imag, s.operands)
        first, second = factors(*_values(s))
        return moving(s.result, first * left + second * right)

    return rule


def _slope(of: Callable) -> Rule:
    """The result, moving by this slope times how its first operand moves."""
    return lambda s: moving(s.result, of(s) * np.imag(s.operands[0]))


def _times(factor: Callable) -> Rule:
    """The result, moving this many times as much."""
    return lambda s: moving(s.result, factor(s) * np.imag(s.result))


def _at_output(s: Step) -> Any:
    return moving(s.result, np.imag(s.again(moving(s.result, np.imag(s.operands[0])))))
