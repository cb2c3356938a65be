"""Reference cards: an op of the table with its equation, its code and its kernels, as `tinydx card NAME` prints it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable

from tinydx.dispatch import Implementation, load_kernels
from tinydx.op import Op, find


def card(name: str, *kinds: str, docstrings: bool = True) -> str:
    """The reference card of an op: equation, shapes, source, file, code, slips, and the files of its kernels.

    Arguments: name of the op; kinds, any of "literal", "forward", "backward": only that code; docstrings, whether
    it keeps its docstrings.
    Returns: the text.
    Raises: ValueError with close matches if there is no such op.

    >>> print(card("relu").splitlines()[0])
    relu · document, 1.2, ReLU
    >>> print(card("relu", "backward"))
    def relu_backward(dy, y):
        return (dy * (y > 0),)
    """
    op = find(name)
    if kinds:
        return "\n\n".join(code(getattr(op, kind), docstrings) for kind in kinds)
    lines = [f"{op.name} · {op.source}", "", f"    {op.equation}", "", f"shapes   {op.shapes}"]
    if not op.parts:
        lines += [f"file     {_file(op.forward)}"]
    if kernels := kernel_files(op):
        lines += [f"kernels  {', '.join(f'{backend} {file}' for backend, file in kernels.items())}"]
    for kind in ("literal", "forward", "backward"):
        function = getattr(op, kind)
        if function and not op.parts:
            lines += ["", f"{kind}", "", textwrap.indent(code(function), "    ")]
    if op.parts:
        lines += ["", "parts    " + ", ".join(f"tinydx card {part.name}" for part in op.parts)]
    elif op.slips:
        lines += ["", "slips", *dict.fromkeys(f"  {s.name}: {s.advice}" for s in op.slips)]
    return "\n".join(lines)


def code(function: Callable, docstring: bool = True) -> str:
    """A function as it stands in its file, without its decorators; on request without its docstring."""
    source = textwrap.dedent(inspect.getsource(function))
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.FunctionDef)
    left_out = set(range(definition.lineno - 1))
    if not docstring and ast.get_docstring(definition) is not None:
        left_out.update(range(definition.body[0].lineno - 1, definition.body[0].end_lineno or 0))
    return "\n".join(line for at, line in enumerate(source.splitlines()) if at not in left_out)


def kernel_files(op: Op) -> dict[str, str]:
    """The files of an op's kernels, from the root of the repository, of the kernel packages that can be imported.

    Arguments: op.
    Returns: backend -> file.

    >>> from tinydx import ops
    >>> kernel_files(ops.conv2d)["cuda"]
    'kernels/cuda/convolution.py'
    """
    for backend in ("numba", "cuda"):
        load_kernels(backend)
    return {backend: _kernel_file(op, kernel) for backend, kernel in sorted(op.kernels.items(), reverse=True)}


def _kernel_file(op: Op, kernel: Implementation) -> str:
    """The file of a kernel, which may take its forward or its backward from the reference."""
    functions = (kernel.in_place, kernel.forward, kernel.backward)
    return next((_file(f) for f in functions if f and f not in (op.forward, op.backward)), _file(kernel.forward))


def _file(function: Callable) -> str:
    """The file in which a function stands, from the root of the repository: "kernels/cpu/dense.py"."""
    module = inspect.unwrap(getattr(function, "func", function)).__module__
    return module.replace("tinydx_kernels.", "kernels.", 1).replace(".", "/") + ".py"
