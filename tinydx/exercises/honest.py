"""What a submission may not do instead of the exercise: other libraries, hidden warnings, differences in place of a gradient.

This reads the source before it runs; `worker.py` stops at run time what a source can hide. Only what the syntax shows is
refused, never a word in a comment, a text or a variable's name: `torch = 3` is a number.
"""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from tinydx.exercises.checks import Gradients, Values
from tinydx.exercises.exercise import Exercise
from tinydx.language import sentence

LARGEST = 200_000  # bytes of a file: a parser takes hundreds of times its size in memory
PARTS = 20_000  # of a syntax tree; a long solution has 2,000
SILENCERS = {"warnings", "errstate", "seterr", "seterrcall", "simplefilter", "filterwarnings", "catch_warnings"}
COMPLEX = {"imag", "complex", "complex64", "complex128", "complex256", "cdouble", "csingle", "clongdouble", "cmath", "emath"}
COMPLEX |= {"c8", "c16", "c32", "fft", "roots", "scimath"}
UNREADABLE = {"eval", "exec", "compile"}
BY_NAME = {"__import__": 0, "import_module": 0, "attrgetter": 0, "methodcaller": 0, "getattr": 1}  # which argument is a name
COMPUTED = "{name} with a computed name hides what the code does: write the name"
STEPS = sentence("differences check a gradient, they do not write it: derive the formula")

Finding = tuple[int, str]  # a line, and why it is refused


def refused(exercise: Exercise, path: Path) -> str:
    """Why this file is not judged, in one sentence; "" if it may run, or is no Python, which running it will say."""
    try:
        if why := too_large(path.stat().st_size):
            return why
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
        if sum(1 for _ in ast.walk(tree)) > PARTS:
            return sentence("the file has more than {parts} words and signs: does it hold data?", parts=PARTS)
        found, used = [*_imports(tree), *_hidden(tree)], _used(tree, exercise)
        if any(isinstance(c, Values) and c.quiet for c in exercise.checks):
            found += _silenced(used)
        if any(isinstance(c, Gradients) for c in exercise.checks):
            found += [*_complex(used), *_steps(used), *_twins(used)]
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    line, why = min(found, default=(0, ""))
    return sentence("line {line}: {why}", line=line, why=why) if why else ""


def too_large(size: int) -> str:
    """Why a file of this size is not read, in one sentence; "" for one of ordinary size."""
    told = "the file has {size} bytes, at most {largest} are read: does it hold data?"
    return sentence(told, size=size, largest=LARGEST) if size > LARGEST else ""


def allowed(module: str) -> bool:
    """Whether an exercise may import this module: NumPy and Python's standard library."""
    return module.split(".")[0] in sys.stdlib_module_names | {"numpy", "tinydx"}  # the worker says why tinydx is not


def _used(tree: ast.Module, exercise: Exercise) -> ast.Module:
    """What runs in a check: the functions that are called, whatever these name, and the module's other statements.

    A learner's own test of the gradient by differences is no part of it.
    """
    own = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    names = (n for n in ast.walk(tree) if _name(n, texts=True) == "__name__")
    names_itself = any(not isinstance(getattr(n, "ctx", None), ast.Load) for n in names)
    rest = [n for n in tree.body if n not in own.values() and (names_itself or not _is_main(n))]
    called = [own[c.function.__name__] for c in exercise.checks if c.function.__name__ in own]
    waiting = [*rest, *(own.values() if any(getattr(c, "driver", False) for c in exercise.checks) else called)]
    used: list[ast.stmt] = []
    while waiting:
        used.append(waiting.pop())
        named = {own.get(_name(n, texts=True)) for n in ast.walk(used[-1])}
        waiting += [n for n in named if n and n not in used and n not in waiting]
    return ast.Module(used, [])


def _is_main(node: ast.stmt) -> bool:
    """Whether this is `if __name__ == "__main__":`, which does not run in a check."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'" and not node.orelse


def _imports(tree: ast.AST) -> Iterator[Finding]:
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        if isinstance(node, ast.Call) and _name(node.func) in ("__import__", "import_module"):
            names += [str(a.value) for a in node.args[:1] if isinstance(a, ast.Constant)]
        for name in names:
            if not allowed(name):
                why = "an exercise is solved with NumPy and Python's standard library, without {name}"
                yield _line(node), sentence(why, name=name.split(".")[0])


def _hidden(tree: ast.AST) -> Iterator[Finding]:
    """Code in a text, and names that are computed: nobody can read what they do. A name of `self` may be computed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name, at = _name(node.func), BY_NAME.get(_name(node.func), -1)
            if name in UNREADABLE and isinstance(node.func, ast.Name):
                yield _line(node), sentence("{name} hides what the code does: write it out", name=name)
            if 0 <= at < len(node.args) and _is_computed(node.args[at]) and _name(node.args[0]) != "self":
                yield _line(node), sentence(COMPUTED, name=name)
        if isinstance(node, ast.Subscript) and _is_computed(node.slice):
            of = _name(node.value.func if isinstance(node.value, ast.Call) else node.value)
            if of in ("__dict__", "vars", "globals", "modules"):
                yield _line(node), sentence(COMPUTED, name=of)


def _is_computed(node: ast.expr) -> bool:
    return not isinstance(node, ast.Constant)


def _silenced(tree: ast.AST) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if (name := _name(node, texts=True)) in SILENCERS:
            yield _line(node), sentence("{name} only hides the warning: write a formula that causes none", name=name)


def _complex(tree: ast.AST) -> Iterator[Finding]:
    for node in ast.walk(tree):
        literal = isinstance(node, ast.Constant) and isinstance(node.value, complex)
        root = isinstance(node, ast.BinOp) and re.fullmatch(r"\(?-\d+\.?\d*\)? \*\* \d*\.\d+", ast.unparse(node))  # (-1) ** 0.5
        if literal or root or _name(node, texts=True) in COMPLEX:
            yield _line(node), sentence("complex numbers check a gradient, they do not write it: derive the formula")


def _steps(tree: ast.AST) -> Iterator[Finding]:
    """A division by a small step h, or 2 h, which is also added to something: (f(x + h) - f(x - h)) / (2 h)."""
    small = {t.id for t, v in _assigned(tree) if isinstance(t, ast.Name) and _is_small(v)}
    moved = [n for n in ast.walk(tree) if isinstance(n, ast.BinOp | ast.AugAssign) and isinstance(n.op, ast.Add | ast.Sub)]
    steps = {_key(part) for n in moved for part in _parts(n)}
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            divisor = node.right if isinstance(node, ast.BinOp) else node.value
            doubled = isinstance(divisor, ast.BinOp) and isinstance(divisor.op, ast.Mult)
            for part in (divisor, *(_parts(divisor) if doubled else ())):
                is_step = _is_small(part) or (isinstance(part, ast.Name) and part.id in small)
                if is_step and _key(part) in steps:
                    yield _line(node), STEPS


def _twins(tree: ast.AST) -> Iterator[Finding]:
    """A function at a moved place minus the same function: f(x + h) - f(x), or after `a[i] += h` f(a) - f(b)."""
    moved = {_name(t.value) for t in _changed(tree) if isinstance(t, ast.Subscript)}
    own = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    own |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}  # a function that a function gets
    own |= {_name(t) for t, v in _assigned(tree) if isinstance(v, ast.Lambda)}
    values: dict[str, list[ast.expr]] = {}
    for target, value in _assigned(tree):
        values.setdefault(_name(target), []).append(value)

    def calls(node: ast.expr) -> list[ast.Call]:
        """Calls of the file's own functions in an expression and in what its names were given."""
        inside = [v for n in ast.walk(node) for v in values.get(_name(n), ()) if isinstance(n, ast.Name)]
        return [c for part in (node, *inside) for c in ast.walk(part) if isinstance(c, ast.Call) and _name(c.func) in own]

    def is_moved(call: ast.Call) -> bool:
        return any(_is_offset(n) or _name(n) in moved - {""} for a in call.args for n in ast.walk(a))

    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "gradient" and _name(node.value) in ("np", "numpy"):
            yield _line(node), STEPS
        for left, right in _subtractions(node):
            direct = isinstance(left, ast.Call) and isinstance(right, ast.Call) and _shifted(left, right)
            pairs = [(a, b) for a in calls(left) for b in calls(right) if _name(a.func) == _name(b.func) and a is not b]
            if direct or any(is_moved(a) or is_moved(b) for a, b in pairs):
                yield _line(node), STEPS


def _subtractions(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """The parts of a - b, a + -b, -b + a and np.subtract(a, b)."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        minus = [isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.USub) for part in (node.left, node.right)]
        if isinstance(node.op, ast.Sub) or any(minus):
            yield node.left, node.right
    if isinstance(node, ast.Call) and _name(node.func) == "subtract" and len(node.args) > 1:
        yield node.args[0], node.args[1]


def _changed(tree: ast.AST) -> Iterator[ast.expr]:
    """Places that something is added to: `a[i] += h`, and `a[i] = a[i] + h`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add | ast.Sub):
            yield node.target
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.Add | ast.Sub):
            yield from (t for t in node.targets if isinstance(t, ast.Subscript) and _same_place(t, node.value.left))


def _same_place(a: ast.expr, b: ast.expr) -> bool:
    return ast.unparse(a) == ast.unparse(b)


def _is_offset(node: ast.AST) -> bool:
    """x + h or x - h; not x @ w + b, which is a layer."""
    sums = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub)
    return sums and not any(isinstance(n, ast.MatMult | ast.Call) for n in ast.walk(node))


def _shifted(a: ast.Call, b: ast.Call) -> bool:
    """Whether two calls are f(x + h) and f(x - h), or f(x + h) and f(x)."""
    if _key(a.func) != _key(b.func) or not a.args or not b.args:
        return False
    sums = [isinstance(c.args[0], ast.BinOp) and isinstance(c.args[0].op, ast.Add | ast.Sub) for c in (a, b)]
    places = [_key(c.args[0].left if s else c.args[0]) for c, s in zip((a, b), sums, strict=True)]  # type: ignore[attr-defined]
    return any(sums) and places[0] == places[1]


def _assigned(tree: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Names with the values that they are given, also as defaults of parameters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    yield from zip(target.elts, node.value.elts, strict=False)
                else:
                    yield target, node.value
        if isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value:
            yield node.target, node.value
        if isinstance(node, ast.arguments):
            for parameter, default in zip(node.args[::-1], node.defaults[::-1], strict=False):
                yield ast.Name(parameter.arg), default


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 0)


def _name(node: ast.AST, texts: bool = False) -> str:
    """The name of a variable, attribute or imported module; with texts, also a text, which getattr would take for one."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and texts:
        return node.value
    if isinstance(node, ast.alias) and texts:
        return node.name.split(".")[-1]
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _parts(node: ast.AST) -> list[ast.expr]:
    return [node.left, node.right] if isinstance(node, ast.BinOp) else [node.value] if isinstance(node, ast.AugAssign) else []


def _is_small(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, float) and 0 < node.value <= 1e-2


def _key(node: ast.expr) -> str:
    return ast.dump(node)
