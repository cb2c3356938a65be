"""`tinydx cuda check FILE.cu`: run a learner's own kernels under the checker.

Comments in the file say what to launch, one for each launch, in CUDA's syntax:

    // check: saxpy<<<(n + 255) / 256, 256>>>(n=1000, a=2.0f, x=random(n), y=random(n))

Scalars get the type of the kernel's parameter. These functions make arrays:

    random(n)  random(32, 32)   normal numbers, or whole ones from -9 to 9 (0 to 9 if unsigned), the same each time
    zeros(n)  ones(n)  arange(n)
    empty(n)                    an output: reading an element before it is written is a mistake

dim3(4, 4) is a grid or block of several dimensions. A third value in <<< >>> is the bytes of dynamic shared memory.
"""

from __future__ import annotations

import argparse
import ast
import keyword
import math
import operator
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinydx_kernels.emulator.counters import LineCounter, table
from tinydx_kernels.emulator.findings import Finding, KernelError
from tinydx_kernels.emulator.module import Kernel, empty, load_module
from tinydx_kernels.emulator.source import Parameter, Signature

EXAMPLE = "// check: saxpy<<<4, 256>>>(n=1000, a=2.0f, x=random(n), y=random(n))"
_COMMENT = re.compile(r"//\s*check:\s*(.*)")
_LAUNCH = re.compile(r"(\w+)\s*<<<(.*)>>>\s*\((.*)\)\s*;?\s*$")
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda a, b: a // b if isinstance(a, int) and isinstance(b, int) else a / b,  # as in C
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
MOST_THREADS = MOST_ELEMENTS = 1 << 24  # of a launch, of an array: about a minute, and a gigabyte of shadow memory
WASTE = 1.5  # a line that moves more than this multiple of the fewest possible sectors is reported


class Plan(NamedTuple):
    """A requested launch: the kernel's name, the text in <<< >>>, and the text in the parentheses."""

    kernel: str
    shape: str
    arguments: str

    def __str__(self) -> str:
        return f"{self.kernel}<<<{self.shape}>>>"


class Result(NamedTuple):
    """The result of a launch: its mistakes, or the counters of a launch without mistakes."""

    plan: Plan
    findings: list[Finding]
    counters: list[LineCounter]


def command(a: argparse.Namespace) -> int:
    """`tinydx cuda check`; returns the exit status: 1 if there are mistakes."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python cannot handle Ctrl-C while a kernel runs, which may never end
    defines = dict((*d.split("=", 1), "1")[:2] for d in a.defines)
    by_hand = [Plan(a.kernel, f"dim3({a.grid}), dim3({a.block}), {a.shared}", a.args)] if a.kernel else None
    results = check(a.file, by_hand, defines, a.seed)
    for line in report(results):
        print(line)
    if a.counters:
        for result in results:
            print(f"\n{result.plan}\n{table(result.counters)}")
    return int(any(result.findings for result in results))


def check(
    path: str | Path, plans: Sequence[Plan] | None = None, defines: Mapping[str, object] | None = None, seed: int = 0
) -> list[Result]:
    """Run launches under the checker.

    Arguments: path of the .cu file; plans, the launches (default: those in the file's comments); defines, its macros; seed of
    the order in which threads run.
    Raises: SourceError or ValueError where the file or a launch cannot be read, LookupError for an unknown kernel,
    FileNotFoundError, OSError without g++.
    """
    module = load_module(Path(path), defines, seed=seed)
    return [_run(module.get_function(plan.kernel), plan) for plan in plans or plans_of(path)]


def _run(kernel: Kernel, plan: Plan) -> Result:
    try:
        grid, block, shared, values = _evaluate(plan, kernel.signature)
    except (ValueError, TypeError, OverflowError, ZeroDivisionError) as error:
        raise ValueError(f"{plan}: {error}") from None
    threads = math.prod(grid) * math.prod(block)
    if threads > MOST_THREADS:
        raise ValueError(f"{plan}: {threads:,} threads are too many to check: launch at most {MOST_THREADS:,}")
    try:
        return Result(plan, [], kernel(grid, block, values, shared).counters)
    except KernelError as error:
        return Result(plan, error.findings, [])


def plans_of(path: str | Path) -> list[Plan]:
    """The launches in a file's `// check:` comments."""
    plans = [plan_of(found[1], f"{path}: ") for found in _COMMENT.finditer(Path(path).read_text(errors="replace"))]
    if not plans:
        raise ValueError(f"{path}: nothing says what to launch: write a line such as {EXAMPLE}")
    return plans


def plan_of(text: str, where: str = "") -> Plan:
    """Read `kernel<<<grid, block>>>(name=value, ...)`."""
    found = _LAUNCH.match(text.strip())
    if not found:
        raise ValueError(f"{where}cannot read the launch {text.strip()!r}: write it as {EXAMPLE[10:]}")
    return Plan(*found.groups())


def report(results: list[Result]) -> Iterator[str]:
    """The results as lines of text."""
    for result in results:
        notes = list(_notes(result.counters))
        if result.findings:
            count = len(result.findings)
            yield f"{result.plan}: {count} mistake{'s' if count > 1 else ''}"
            yield from (f"  {finding}" for finding in result.findings)
        else:
            yield f"{result.plan}: {'no mistakes, but slow memory access' if notes else 'clean'}"
            yield from (f"  {note}" for note in notes)


def _notes(counters: list[LineCounter]) -> Iterator[str]:
    for c in counters:
        what, best = f"a {c.access} of {c.array}", c.ideal / c.requests
        if c.shared and c.excess:
            yield f"{c.file}:{c.line}: bank-conflict: {what} takes {c.per_request:.1f} passes, {best:.1f} would do"
        elif not c.shared and c.moved > WASTE * c.ideal:
            yield f"{c.file}:{c.line}: uncoalesced: {what} moves {c.per_request:.1f} sectors of 32 bytes, {best:.1f} would do"


# ---- values --------------------------------------------------------------------------------------------------------


def _evaluate(plan: Plan, kernel: Signature) -> tuple[Any, Any, int, list[Any]]:
    """(grid, block, bytes of dynamic shared memory, arguments in the kernel's order)."""
    call, shape = _call(plan.arguments), _call(plan.shape)
    known: dict[str, Any] = {}
    for parameter, node in _in_written_order(call, kernel.parameters):  # n first, then random(n)
        known[parameter.name] = _argument(parameter, node, known)
    sizes = [_value(node, known, {"dim3": lambda *s: s}) for node in shape.args]
    if not 2 <= len(sizes) <= 3:
        raise ValueError("<<< >>> takes the grid, the block and, if needed, the bytes of dynamic shared memory")
    grid, block, shared = *map(_sizes, sizes[:2]), _sizes(sizes[2])[0] if len(sizes) == 3 else 0
    return grid, block, shared, [_typed(p, known[p.name]) for p in kernel.parameters]


def _call(text: str) -> ast.Call:
    """Parse the arguments of a call as Python; names that are Python keywords get a _ (see _python_name)."""
    text = re.sub(r"(?<=[\d.])[fFuUlL]+\b", "", text)
    text = re.sub(r"\b[a-z]+\b", lambda word: _python_name(word[0]), text)
    try:
        call = ast.parse(f"f({text})", mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"cannot read its arguments ({error.msg}): write it as {EXAMPLE[10:]}") from None
    assert isinstance(call, ast.Call)
    return call


def _python_name(name: str) -> str:
    """The name with a _ if it is a Python keyword: a kernel's parameter may be called `in`."""
    return f"{name}_" if keyword.iskeyword(name) else name


def _in_written_order(call: ast.Call, parameters: Sequence[Parameter]) -> list[tuple[Parameter, ast.expr]]:
    """Pair each parameter with its value, in the order of writing; values without names are in the kernel's order."""
    by_name = {_python_name(p.name): p for p in parameters}
    found = dict(zip(by_name, call.args, strict=False)) | {k.arg: k.value for k in call.keywords if k.arg}
    wrong = found.keys() ^ by_name.keys()
    if wrong or len(call.args) > len(parameters):
        names, which = ", ".join(by_name), ", ".join(sorted(wrong)) or "too many"
        raise ValueError(f"the parameters of the kernel are {names}; missing or unknown: {which}")
    return [(by_name[name], node) for name, node in found.items()]


def _argument(p: Parameter, node: ast.expr, known: Mapping[str, Any]) -> Any:
    """An array, or a Python number, from which later sizes can be computed."""
    if p.dtype is None and not p.pointer:
        raise ValueError(f"{p.name} is a {p.declared}, a structure: a check comment can only pass numbers and arrays")
    dtype = p.dtype or np.dtype(np.uint8)
    value = _value(node, known, _makers(dtype))
    if not isinstance(value, np.ndarray):
        return int(value) if dtype.kind in "iub" else float(value)
    if p.dtype is None and p.type != "void":
        raise ValueError(f"{p.name} is a {p.declared}: a check comment can only make arrays of numbers")
    return value


def _typed(p: Parameter, value: Any) -> Any:
    """A number converted to the parameter's type."""
    return value if isinstance(value, np.ndarray) else (p.dtype or np.dtype(np.uint8)).type(value)


def _sizes(value: Any) -> tuple[int, ...]:
    """The sizes of a grid or a block."""
    sizes = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(size, int | np.integer) for size in sizes):
        raise ValueError("the sizes in <<< >>> must be whole numbers")
    return tuple(int(size) for size in sizes)


def _value(node: ast.expr, names: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> Any:
    """The value of a small expression: numbers, earlier arguments, + - * / %, and calls of `functions`."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand, names, functions)
        case ast.BinOp() if type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](_value(node.left, names, functions), _value(node.right, names, functions))
        case ast.Tuple(elts=items):
            return tuple(_value(item, names, functions) for item in items)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in functions:
            return functions[name](*(_value(a, names, functions) for a in arguments))
    allowed = ", ".join([*functions, *names])
    raise ValueError(f"cannot compute {ast.unparse(node)!r}: numbers, + - * / %, earlier arguments and {allowed} can be used")


def _makers(dtype: np.dtype) -> dict[str, Callable[..., Any]]:
    """The functions that make arrays of a dtype."""

    def allowed(*shape: int) -> tuple[int, ...]:
        if math.prod(shape) > MOST_ELEMENTS:
            raise ValueError(f"an array of {math.prod(shape):,} elements is too large to check: at most {MOST_ELEMENTS:,}")
        return shape

    def random(*shape: int) -> np.ndarray:
        rng, shape = np.random.default_rng(0), allowed(*shape)
        if dtype.kind == "f":
            return rng.normal(size=shape).astype(dtype)
        return rng.integers(0 if dtype.kind in "ub" else -9, 2 if dtype.kind == "b" else 10, shape).astype(dtype)

    return {
        "random": random,
        "zeros": lambda *shape: np.zeros(allowed(*shape), dtype),
        "ones": lambda *shape: np.ones(allowed(*shape), dtype),
        "arange": lambda n: np.arange(*allowed(n)).astype(dtype),
        "empty": lambda *shape: empty(allowed(*shape), dtype),
    }
