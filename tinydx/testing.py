"""Gradient checks as tests: one line of pytest for each backward that you write.

    from tinydx.testing import assert_gradients

    def test_my_layer():
        assert_gradients(my_layer, np.random.default_rng(0).normal(size=(2, 5)))

What fails shows the checker's whole report: which gradient, where, and what mistake it looks like.
"""

from __future__ import annotations

from typing import Any

from tinydx.gradcheck import Report, gradcheck


def assert_gradients(subject: Any, *inputs: Any, seed: int | None = 0, **keywords: Any) -> Report:
    """Check a gradient as `tinydx.gradcheck` does, with its arguments; AssertionError with the report if it is wrong.

    seed is 0, so that a test gives the same result every time; None draws a new one.

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
