"""Reference cards: an op of the table with its equation and its code, as `tinydx card NAME` prints it."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable

from tinydx.op import find


def card(name: str, *kinds: str) -> str:
    """The reference card of an op: equation, shapes, source, and its code as it stands in the file.

    With kinds ("literal", "forward", "backward"), that code alone.

    >>> print(card("relu").splitlines()[0])
    relu · document, 1.2, ReLU
    >>> print(card("relu", "backward"))
    def relu_backward(dy, y):
        return (dy * (y > 0),)
    """
    op = find(name)
    if kinds:
        return "\n\n".join(code(getattr(op, kind)) for kind in kinds)
    parts = [f"{op.name} · {op.source}", "", f"    {op.equation}", "", f"shapes  {op.shapes}"]
    if not op.parts:
        parts += [f"file    {op.forward.__module__.replace('.', '/')}.py"]  # where what the code below calls stands, too
    for kind in ("literal", "forward", "backward"):
        function = getattr(op, kind)
        if function and not op.parts:
            parts += ["", f"{kind}", "", textwrap.indent(code(function), "    ")]
    if op.parts:
        parts += ["", "parts    " + ", ".join(f"tinydx card {part.name}" for part in op.parts)]
    elif op.slips:
        parts += ["", "slips", *dict.fromkeys(f"  {s.name}: {s.advice}" for s in op.slips)]
    if op.kernels:
        parts += ["", "kernels  " + ", ".join(op.kernels)]
    return "\n".join(parts)


def code(function: Callable) -> str:
    """A function as it stands in its file, without its decorators."""
    lines = textwrap.dedent(inspect.getsource(function)).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("def "))
    return "\n".join(lines[start:])
