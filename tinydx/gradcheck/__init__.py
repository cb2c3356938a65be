"""Check a gradient, and name the mistake: `tinydx.gradcheck(fn_or_op, *inputs)`.

    check.py     `gradcheck` itself: one check, or many draws of an op
    files.py     `tinydx gradcheck FILE.py`: the pairs of a learner's file
    subject.py   what can be checked: an op, a function, a layer, a model, a user's own forward and backward
    calling.py   which of a backward's parameters get what; limits.py, its time and its prints
    truth.py     the true gradient, by complex step
    doubts.py    the third verdict: cannot tell
    rules.py     the rules that every backward keeps
    judge.py     the comparison, number by number
    kinks.py     points without a unique gradient
    patterns.py  naming a mistake by what the wrong gradient looks like; evidence.py, shapes.py, factors.py, sizes.py its parts
    steps.py     naming a mistake by the rule of differentiation that was forgotten: misderived.py, the wrong rules; dual.py, a
                 learner's forward with complex numbers in it
    repair.py    naming a mistake by the one change of the source that puts it right: source.py and seen.py, what the source says
                 and computes; located.py, where the first wrong value is made; scene.py, edits.py, what a change is; operators,
                 changes, terms, moves and loops.py, the kinds
    slips/       mistakes that people make in each op's gradient; rows.py, in what courses use and the table lacks
    report.py    the report, for a program; text.py for a terminal, picture.py and maps.py for a notebook

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
