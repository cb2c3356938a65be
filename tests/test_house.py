"""The house as ARCHITECTURE.md describes it, in numbers: sizes, parameters, docstrings, names."""

import ast
import doctest
import importlib
import re
from pathlib import Path

import numpy as np
import pytest

from tinydx.op import TABLE

ROOT = Path(__file__).parents[1]
CODE = sorted(path for room in ("tinydx", "kernels") for path in (ROOT / room).rglob("*.py"))
MOST_PARAMETERS = 8
OWN_OPS = [op for op in TABLE.values() if (op.parts or [op])[0].forward.__module__.startswith("tinydx.ops.")]


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef)]


def test_equations_fit_their_room():
    """tinydx/ops holds equations alone, on at most 3,550 lines."""
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "tinydx" / "ops").glob("*.py"))
    assert lines <= 3550


def test_equations_know_no_mistakes():
    """No file of tinydx/ops names a slip: mistakes live in tinydx/gradcheck/slips."""
    for path in (ROOT / "tinydx" / "ops").glob("*.py"):
        names = {node.id for node in ast.walk(tree(path)) if isinstance(node, ast.Name)}
        assert not any("slip" in name or "wrong" in name for name in names), path.name


def test_gradients_take_what_gradients_need():
    """A correct backward takes dy, what forward saved, and perhaps which gradients are needed: nothing to inject a mistake."""
    for op in OWN_OPS:
        if op.backward is not None and not op.parts:
            code = op.backward.__code__
            count = code.co_argcount + code.co_kwonlyargcount
            assert count == 2 or (count == 3 and code.co_varnames[2] == "needs"), op.name


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_function_takes_more_than_eight_positional_parameters(path):
    """Arguments that belong together travel as a NamedTuple. Literals have the parameters of their equation."""
    for function in functions(path):
        arguments = [*function.args.posonlyargs, *function.args.args]
        taken = [a.arg for a in arguments if a.arg not in ("self", "cls", "typing")]  # the last is Numba's, not the caller's
        assert len(taken) <= MOST_PARAMETERS or function.name.endswith("_literal"), f"{function.name}: {len(taken)}"


@pytest.mark.parametrize("op", OWN_OPS, ids=lambda op: op.name)
def test_an_op_says_what_it_takes_and_returns(op):
    """One layout of docstrings: a line, Arguments, Returns, Raises where it applies, an example."""
    assert op.__doc__, op.name
    if not op.parts:
        for label in ("Arguments: ", "Returns: ", ">>> "):
            assert label in op.__doc__, f"{op.name}: no {label}"


def test_one_layout_of_docstrings():
    """The labels are run-in, at the beginning of a line; no second layout (Args:, Parameters, :param) stands beside them."""
    for path in CODE:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                words = ast.get_docstring(node) or ""
                odd = re.findall(
                    r"^(?:Args|Parameters?|Params|Return|Examples?|Notes?):?\s*$|:param|:return", words, re.MULTILINE
                )
                assert not odd, f"{path.name}: {getattr(node, 'name', 'module')}: {odd}"
                inside = re.findall(r"(?<![\n])[^\n]*[.;] (Arguments|Returns|Raises): ", words)
                assert not inside, f"{path.name}: {getattr(node, 'name', 'module')}: begin a line with {inside[0]}:"


def test_every_public_function_has_a_docstring():
    for path in CODE:
        if "catalog" in path.parts or path.parent.name == "slips":
            continue
        public = [n for n in tree(path).body if isinstance(n, ast.FunctionDef | ast.ClassDef) and not n.name.startswith("_")]
        in_table = [
            n for n in public if path.parent.name == "ops" and n.name.endswith(("_backward", "_literal", "_samples", "_term"))
        ]
        # kernels: forward and backward have the reference's signature, `supports` and `samples` say what they are by their name
        plain = [n for n in public if path.parent.parent.name == "kernels" and re.search(r"(ward|supports|samples)$", n.name)]
        bare = [n.name for n in public if n not in in_table and n not in plain and not ast.get_docstring(n)]
        assert not bare, f"{path.relative_to(ROOT)}: {bare}"


@pytest.mark.parametrize("op", OWN_OPS, ids=lambda op: op.name)
def test_the_example_of_an_op_runs(op):
    """pytest collects no doctest of an op, which is no function."""
    names = {**vars(importlib.import_module(op.forward.__module__)), "np": np}
    parsed = doctest.DocTestParser().get_doctest(op.__doc__, names, op.name, None, None)
    results = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(parsed)
    assert results.failed == 0 and (results.attempted or op.parts)
