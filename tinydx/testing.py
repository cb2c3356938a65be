"""Tests of your own gradients and ops, one line of pytest each.

from tinydx.testing import assert_gradients, assert_literal

def test_my_layer():
    assert_gradients(my_layer, np.random.default_rng(0).normal(size=(2, 5)))

def test_my_op():  # an op of your own file, with samples, backward and literal
    assert_gradients(my_op)
    assert_literal(my_op)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinydx.gradcheck import Report, gradcheck
from tinydx.op import Op, RandomDraw


def assert_gradients(subject: Any, *inputs: Any, seed: int | None = 0, **keywords: Any) -> Report:
    """Check a gradient as `tinydx.gradcheck` does.

    Arguments: those of `gradcheck`; seed is 0, so that a test gives the same result every time; None draws a new one.
    Returns: the report.
    Raises: AssertionError with the report (which gradient, where, what mistake it looks like) if a gradient is wrong.

    >>> import numpy as np
    >>> from tinydx import ops
    >>> report = assert_gradients(lambda x: ops.tanh(x).sum(), np.array([0.3, -1.2]))
    >>> assert_gradients(ops.exp, np.array([0.3, -1.2]), backward=lambda dy, y: dy)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    AssertionError: exp ...
    """
    __tracebackhide__ = True  # pytest shows the line of the test, not this one
    report = gradcheck(subject, *inputs, seed=seed, **keywords)
    if not report:
        raise AssertionError(str(report))
    return report


def assert_literal(op: Op, *inputs: np.ndarray, seed: int = 0, draws: int = 12, **constants: Any) -> None:
    """Check that an op's forward computes the same as its literal, the equation in plain loops.

    Arguments: op; inputs, float64 arrays, and constants, the op's own; without inputs, `draws` draws from its samples are
    checked, every third with whole numbers, which have ties and zeros; seed of the first draw.
    Raises: AssertionError where shapes or numbers differ; ValueError for an op without a literal, or without samples.

    >>> from tinydx import ops
    >>> assert_literal(ops.softmax)
    >>> assert_literal(ops.average_pool2d, np.ones((1, 4, 4, 1)), size=2)
    """
    __tracebackhide__ = True
    if op.literal is None:
        raise ValueError(f"assert_literal: {op.name} has no literal: add @literal_of({op.name})")
    if inputs:
        return _compare(op, inputs, constants, op.name)
    if op.samples is None:
        raise ValueError(f"assert_literal: {op.name} has no samples: give inputs, or add @samples_of({op.name})")
    for i in range(draws):
        arrays, drawn = op.samples(RandomDraw(seed + i, whole=i % 3 == 2))
        _compare(op, arrays, drawn | constants, f"{op.name}, draw {i} of seed {seed}")


def _compare(op: Op, arrays: tuple, constants: dict[str, Any], where: str) -> None:
    """AssertionError unless forward and literal give equal shapes and, up to rounding, equal numbers."""
    __tracebackhide__ = True
    assert op.literal is not None
    y, _ = op.forward(*arrays, **constants)
    literal = op.literal(*arrays, **constants)
    ys, literals = (out if isinstance(out, tuple) else (out,) for out in (y, literal))
    if [a.shape for a in ys] != [np.shape(a) for a in literals]:
        shapes = [a.shape for a in ys], [np.shape(a) for a in literals]
        raise AssertionError(f"{where}: forward gives shapes {shapes[0]}, literal {shapes[1]}")
    for a, b in zip(ys, literals, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10, err_msg=f"{where}: forward (x) and literal (y) differ")
