"""Check a gradient, and name the mistake: `tinydx.gradcheck(fn_or_op, *inputs)`.

    subject.py   what can be checked: an op, a function, a layer, a model, somebody's own forward and backward
    truth.py     the true gradient, by complex step
    check.py     the comparison, and the rules that every backward keeps
    kinks.py     where there is no one right gradient
    patterns.py  what a wrong gradient looks like
    report.py    what is told about it, and how

>>> import numpy as np, tinydx
>>> report = tinydx.gradcheck(tinydx.ops.relu, np.array([1.0, -2.0]), backward=lambda dy, y: dy)
>>> bool(report), report["x"].mistake.name
(False, 'gate forgotten')
"""

import sys
from types import ModuleType
from typing import Any

from tinydx.gradcheck.check import gradcheck
from tinydx.gradcheck.report import Argument, Diagnosis, Report

__all__ = ["Argument", "Diagnosis", "Report", "gradcheck"]


class _Callable(ModuleType):
    """`tinydx.gradcheck` is this package as soon as anything has imported it: so the package can be called, too."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Report:
        return gradcheck(*arguments, **keywords)


sys.modules[__name__].__class__ = _Callable
