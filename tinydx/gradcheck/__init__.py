"""Check a gradient, and name the mistake: `tinydx.gradcheck(fn_or_op, *inputs)`.

    check.py     `gradcheck` itself: one check, or many draws of an op
    subject.py   what can be checked: an op, a function, a layer, a model, a user's own forward and backward
    truth.py     the true gradient, by complex step
    rules.py     the rules that every backward keeps
    judge.py     the comparison, number by number
    kinks.py     points without a unique gradient
    patterns.py  naming a mistake by what the wrong gradient looks like
    slips/       mistakes that people make in each op's gradient
    report.py    the report, for a terminal, a notebook or a program

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
    """The package, which can be called: importing it replaces the function of the same name in `tinydx`."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Report:
        return gradcheck(*arguments, **keywords)


sys.modules[__name__].__class__ = _Callable
