"""The source of a learner's function, and the same function with a part of it changed."""

from __future__ import annotations

import ast
import contextlib
import copy
import functools
import linecache
import os
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

LATER: dict[str, Any] = {"type_params": []}  # a field that Python 3.12 asks for
OWN = str(Path(__file__).resolve().parents[1]) + os.sep
LONGEST = 400_000  # characters of a file that is parsed

Definition = ast.FunctionDef | ast.Lambda


@functools.lru_cache(maxsize=8)
def _definitions(text: str) -> tuple[Definition, ...]:
    """All functions that a file defines."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    return tuple(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.Lambda))


def definition(function: Any) -> Definition | None:
    """The function's syntax tree; None where its file cannot be read, or holds a loop that a change could make endless."""
    if isinstance(function, types.MethodType):
        made = definition(function.__func__)
        return _with_state(made) if isinstance(made, ast.FunctionDef) and made.args.args else None
    if not isinstance(function, types.FunctionType):
        return None
    code = function.__code__
    if code.co_filename.startswith(OWN):  # a wrapper of ours around a learner's function
        return None
    text = "".join(linecache.getlines(code.co_filename, function.__globals__))
    if not text or len(text) > LONGEST:
        return None
    for node in _definitions(text):
        first = node.decorator_list[0].lineno if isinstance(node, ast.FunctionDef) and node.decorator_list else node.lineno
        same_name = isinstance(node, ast.FunctionDef) and node.name == code.co_name
        if (first == code.co_firstlineno and same_name) or (isinstance(node, ast.Lambda) and _is_lambda(node, code)):
            unsafe = any(isinstance(n, ast.While | ast.Yield | ast.Global | ast.Nonlocal) for n in ast.walk(node))
            return None if unsafe else node
    return None


@functools.lru_cache(maxsize=16)
def _with_state(method: ast.FunctionDef) -> ast.FunctionDef:
    """The method as a function in which what it reads of `self` has names of its own: z for self.z."""
    me, made = method.args.args[0].arg, copy.deepcopy(method)
    own = {n.arg for n in ast.walk(made) if isinstance(n, ast.arg)} | {n.id for n in ast.walk(made) if isinstance(n, ast.Name)}
    called = {id(n.func) for n in ast.walk(made) if isinstance(n, ast.Call)}
    of_self = [n for n in ast.walk(made) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == me]
    kept = own | {n.attr for n in of_self if not isinstance(n.ctx, ast.Load) or id(n) in called}

    class Named(ast.NodeTransformer):
        def visit_Attribute(self, n: ast.Attribute) -> ast.expr:
            if any(n is a for a in of_self) and n.attr not in kept:
                return ast.copy_location(ast.Name(n.attr, n.ctx), n)
            return self.generic_visit(n)  # type: ignore[return-value]

    made.args.args = made.args.args[1:]
    Named().visit(made)
    return made


def state(function: Any) -> dict[str, Any]:
    """What a method finds in its object now: the attributes of the object and of its class; nothing of a function."""
    if not isinstance(function, types.MethodType):
        return {}
    me = function.__self__
    classes = reversed(type(me).__mro__[:-1])
    return {n: v for part in [*map(vars, classes), getattr(me, "__dict__", {})] for n, v in part.items() if not callable(v)}


@contextlib.contextmanager
def kept(function: Any) -> Iterator[None]:
    """Gives a method's object back what it holds now, in the same arrays."""
    held = getattr(getattr(function, "__self__", None), "__dict__", {})
    before = {n: (v, v.copy() if isinstance(v, np.ndarray) else None) for n, v in held.items()}
    try:
        yield
    finally:
        held.clear()
        for n, (v, numbers) in before.items():
            held[n] = v
            if numbers is not None and v.flags.writeable:
                v[...] = numbers


def _is_lambda(node: ast.Lambda, code: types.CodeType) -> bool:
    """Whether the code of a lambda stands at this node: its instructions begin and end where the node's body does."""
    if code.co_name != "<lambda>" or not node.lineno <= code.co_firstlineno <= (node.end_lineno or node.lineno):
        return False
    places = [p for p in code.co_positions() if None not in p]
    body = node.body
    spans = {(p[0], p[2], p[1], p[3]) for p in places}
    return (body.lineno, body.col_offset, body.end_lineno, body.end_col_offset) in spans


class Remade:
    """A function made again from its tree, as often as something in the tree has changed.

    It cannot change the learner's arrays: those that it finds outside are copies that refuse to be written to.

    Arguments: function; node, its tree; override, values of global or enclosing names that replace the function's own.
    """

    def __init__(self, function: Any, node: Definition, override: Mapping[str, Any]):
        self.function, self.free = function, dict[str, Any]()
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self.free[name] = _guarded(override.get(name, cell.cell_contents))
        parameters = ast.arguments(
            posonlyargs=[], args=[ast.arg(n) for n in self.free], kwonlyargs=[], kw_defaults=[], defaults=[]
        )
        inner = _without_defaults(node.args)
        if isinstance(node, ast.Lambda):
            self.made: Any = ast.Return(ast.Lambda(inner, node.body))
            body: list[ast.stmt] = [self.made]
        else:
            self.made = ast.FunctionDef(name=node.name, args=inner, body=node.body, decorator_list=[], returns=None, **LATER)
            body = [self.made, ast.Return(ast.Name(node.name, ast.Load()))]
        self.node = node
        outer = ast.FunctionDef(name="_again", args=parameters, body=body, decorator_list=[], returns=None, **LATER)
        self.module = ast.fix_missing_locations(ast.Module([outer], []))
        used = {n: function.__globals__[n] for n in function.__code__.co_names if n in function.__globals__}
        named = {n: _guarded(v) for n, v in {**used, **override}.items() if n not in self.free}
        self.space = {**function.__globals__, **named}
        if isinstance(function, types.MethodType):
            self.space[function.__code__.co_varnames[0]] = function.__self__

    def __call__(self) -> Callable:
        """The function as its tree says now."""
        if isinstance(self.node, ast.Lambda):  # its body may have been exchanged as a whole
            self.made.value.body = self.node.body
        exec(compile(self.module, "<repair>", "exec"), self.space)
        made = self.space["_again"](*self.free.values())
        made.__defaults__, made.__kwdefaults__ = self.function.__defaults__, self.function.__kwdefaults__
        return self._with_state_of_now(made) if isinstance(self.function, types.MethodType) else made

    def _with_state_of_now(self, made: Callable) -> Callable:
        """The function, given what its object holds each time that it is called."""

        @functools.wraps(made)
        def call(*arguments: Any, **named: Any) -> Any:
            self.space.update({n: _guarded(v) for n, v in state(self.function).items() if not n.startswith("_")})
            return made(*arguments, **named)

        return call


def _guarded(value: Any) -> Any:
    """A copy of an array that cannot be written to; anything else as it is."""
    if type(value) is not np.ndarray:
        return value
    copy = value.copy()
    copy.flags.writeable = False
    return copy


def _without_defaults(a: ast.arguments) -> ast.arguments:
    """The parameters without annotations, and with None for each default, which is filled in later."""
    none: list[ast.expr] = [ast.Constant(None) for _ in a.defaults]
    kw: list[ast.expr | None] = [ast.Constant(None) if d is not None else None for d in a.kw_defaults]

    def plain(of: list[ast.arg]) -> list[ast.arg]:
        return [ast.arg(p.arg) for p in of]

    return ast.arguments(
        posonlyargs=plain(a.posonlyargs), args=plain(a.args), kwonlyargs=plain(a.kwonlyargs), defaults=none, kw_defaults=kw,
        vararg=ast.arg(a.vararg.arg) if a.vararg else None, kwarg=ast.arg(a.kwarg.arg) if a.kwarg else None,
    )  # fmt: skip


def helpers(function: Any) -> list[tuple[str, types.FunctionType]]:
    """Functions of the same file that this one calls by name."""
    found = []
    for name in dict.fromkeys(function.__code__.co_names):
        value = function.__globals__.get(name)
        is_other = isinstance(value, types.FunctionType) and value is not function
        if is_other and value.__code__.co_filename == function.__code__.co_filename:
            found.append((name, value))
    return found
