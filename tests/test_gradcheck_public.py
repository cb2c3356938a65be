"""The corpora of public mistakes: all are caught, no right one is blamed, most get their name, and next to none a wrong one.

`python tests/measure_gradcheck.py dev`, `more`, `held` and `kept` print the figures and every miss.
"""

import numpy as np
import public_right
import pytest
from measure_gradcheck import CORPORA, judged
from public_mistakes import cases, made

from tinydx import gradcheck
from tinydx.gradcheck.rows import ROWS

FAMILIES = {name: family for corpus in CORPORA.values() for name, family in corpus.items()}
RIGHT = public_right.SEEN | public_right.KEPT


@pytest.mark.parametrize("name", FAMILIES)
def test_the_right_ones_are_right(name):
    for seed in range(3):
        report = gradcheck(made(FAMILIES[name].code, name), *FAMILIES[name].inputs, seed=seed)
        assert report.verdict == "right", str(report)


@pytest.mark.parametrize("name", RIGHT)
def test_right_ones_in_unusual_ways_are_right(name):
    code, shapes = RIGHT[name]
    report = gradcheck(made(code, name), *public_right.inputs(name, shapes), seed=0)
    assert report.verdict == "right", str(report)


def test_all_wrong_ones_are_caught_and_most_are_named(proof):
    """Every eighth one outside the profile `proof`; the share is below that measured, since the search has a time limit."""
    found = []
    for i, (name, number, code, inputs, pattern) in enumerate(cases(FAMILIES)):
        if proof or i % 8 == 0:
            verdict, names, worth = judged(code, f"{name} {number}", inputs, pattern)
            assert verdict == "wrong", name
            found.append((worth, name, number, names))
    assert sum(worth == "right" for worth, *_ in found) >= 0.7 * len(found)
    wrong = [case for case in found if case[0] == "wrong"]
    assert len(wrong) <= 0.01 * len(found), wrong


def test_changed_functions_cannot_write_to_the_learners_arrays():
    """The search runs `labels[...] -= 1` in place of `dx[...] -= 1`: on a copy that refuses."""
    family = CORPORA["dev"]["softmax loss"]
    forward, backward = made(next(c for n, i, c, *_ in cases({"softmax loss": family}) if i == 5), "written")
    labels = backward.__globals__["y"].copy()
    gradcheck((forward, backward), *family.inputs, seed=1)
    np.testing.assert_array_equal(backward.__globals__["y"], labels)


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
