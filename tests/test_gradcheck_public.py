"""The corpus of public mistakes: all are caught, no right one is blamed, and most get their name.

`python tests/measure_gradcheck.py dev` and `held` print the figures and every miss.
"""

import re

import numpy as np
import pytest
from public_mistakes import DEV, HELD, cases, made

from tinydx import gradcheck
from tinydx.gradcheck.rows import ROWS

FAMILIES = DEV | HELD


@pytest.mark.parametrize("name", FAMILIES)
def test_the_right_ones_are_right(name):
    for seed in range(3):
        report = gradcheck(made(FAMILIES[name].code, name), *FAMILIES[name].inputs, seed=seed)
        assert report.verdict == "right", str(report)


def test_all_wrong_ones_are_caught_and_most_are_named(proof):
    """Every third one outside the profile `proof`; the shares are below those measured, since the search has a time limit."""
    caught = named = count = 0
    for i, (name, number, code, inputs, pattern) in enumerate(cases(FAMILIES)):
        if not proof and i % 6:
            continue
        with np.errstate(all="ignore"):
            report = gradcheck(made(code, f"{name} {number}"), *inputs, seed=1)
        names = [*filter(None, report.mistakes.values()), *(p.name for p in report.problems)]
        count, caught = count + 1, caught + (report.verdict == "wrong")
        named += any(re.search(pattern, n) for n in names)
    assert caught == count
    assert named >= 0.6 * count


ROW_INPUTS = {
    "attention": ((2, 4, 3), (2, 4, 3), (2, 4, 2)),
    "masked attention": ((2, 4, 3), (2, 4, 3), (2, 4, 2)),
    "tanh layer": ((4, 3), (3, 2), (2,)),
    "tanh layer in columns": ((3, 4), (2, 3), (2, 1)),
    "sigmoid layer": ((4, 3), (3, 2), (2,)),
    "sigmoid layer in columns": ((3, 4), (2, 3), (2, 1)),
    "gelu": ((3, 4),),
    "residual block": ((4, 3), (3, 5), (5, 3)),
    "vectors of length 1": ((3, 4),),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_of_courses_are_right_and_name_each_of_their_slips(name):
    op, rng = ROWS[name], np.random.default_rng(4)
    arrays = [rng.normal(size=shape) for shape in ROW_INPUTS[name]]
    assert gradcheck((op.forward, op.backward), *arrays, seed=0)
    for slip in op.slips:

        def backward(dy, saved, slip=slip):
            return slip.backward(dy, saved)

        report = gradcheck((lambda *a: op.forward(*a), backward), *arrays, seed=0)
        assert slip.name in report.mistakes.values(), f"{slip.name}: {report.mistakes}"
