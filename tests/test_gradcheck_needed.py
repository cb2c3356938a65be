"""What a place in a backward needs is found in the table of formulas; and what values tell where no source can be read."""

import linecache
import re

import numpy as np
import pytest
from public_mistakes import made

from tinydx import gradcheck
from tinydx.gradcheck import formulas, repair

RMS = """
def forward(x):
    r = np.sqrt((x * x).mean(axis=1, keepdims=True) + 0.1)
    return x / r, (x, r)

def backward(dy, cache):
    x, r = cache
    return dy / r - x * (dy * x).mean(axis=1, keepdims=True) / r**3
"""
SCORE = """
t = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])

def forward(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return -(t * np.log(p)).sum(), p

def backward(dy, p):
    d = p.copy()
    d -= t
    return dy * d
"""
WEIGHTED = """
t, w = np.array([1.0, 0.0, 1.0, 1.0, 0.0]), 2.5

def forward(z):
    s = 1 / (1 + np.exp(-z))
    return -(w * t * np.log(s) + (1 - t) * np.log(1 - s)).sum(), s

def backward(dy, s):
    return dy * ((1 - t) * s - w * t * (1 - s))
"""
SHAPES = {RMS: (3, 4), SCORE: (2, 3), WEIGHTED: (5,)}
MISTAKES = [
    (RMS, " - x * (dy * x).mean(axis=1, keepdims=True) / r**3", "", "path through r forgotten: r held constant"),
    (SCORE, "    d -= t\n", "", "term -?t forgotten"),
    (WEIGHTED, "((1 - t) * s - w * t * (1 - s))", "(w * (s - t))", "division by w where 1 - t forgotten"),
]


def inputs(code):
    return np.random.default_rng(3).normal(size=SHAPES[code])


@pytest.mark.parametrize(("code", "right", "wrong", "name"), MISTAKES)
def test_what_is_missing_is_named_though_it_is_written_nowhere(code, right, wrong, name):
    assert gradcheck(made(code, "right"), inputs(code), seed=2)
    report = gradcheck(made(code.replace(right, wrong), "wrong"), inputs(code), seed=2)
    (found,) = report.mistakes.values()
    assert re.search(name, found or ""), found


def test_rows_of_a_table_are_what_their_sources_say():
    """Every formula, evaluated by itself, gives its row: the independent reference is Python's own eval."""
    rng = np.random.default_rng(5)
    space = {"np": np, "a": rng.uniform(0.2, 0.8, (3, 4)), "b": rng.uniform(0.2, 0.8, (3, 4)), "c": rng.uniform(0.2, 0.8, (3, 1))}
    given = [formulas.Formula(n, v, 0, 0, frozenset([n])) for n, v in space.items() if n != "np"]
    made_of = formulas.table(given, [], (3, 4))
    for row in rng.permutation(len(made_of.values))[:300]:
        value = np.broadcast_to(eval(made_of.formula(row).source, space), (3, 4))
        np.testing.assert_allclose(made_of.values[row], value.ravel(), rtol=1e-12)


PRODUCT = """
def forward(x, w):
    y = np.tanh(x * w)
    return y, (x, y, w)

def backward(dy, saved):
    x, y, w = saved
    return dy * (1 - y**2) * w, RESULT
"""
UNREAD = [
    ("dy * (1 - y) * x", "square|1 - y|y \\+ 1|1 \\+ y|instead|factor"),
    ("dy * (1 - y**2)", "factor x forgotten"),
    ("dy * (1 - y**2) * x + x * dy", "term .*(dy|x) .*too many"),
]


@pytest.mark.parametrize(("wrong", "name"), UNREAD)
def test_values_tell_where_the_source_cannot_be_read(wrong, name):
    pair = made(PRODUCT.replace("RESULT", wrong), "unread")
    linecache.cache.pop(pair[0].__code__.co_filename)
    rng = np.random.default_rng(6)
    report = gradcheck(pair, rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), seed=2)
    assert re.search(name, report.mistakes["w"]), report.mistakes


def test_a_slow_machine_finds_the_same_names(monkeypatch):
    """The changes that are tried before time counts are enough for an ordinary backward: it gets its name with no time at all."""
    code, right, wrong, name = MISTAKES[2]
    pair = made(code.replace(right, wrong), "slow")
    monkeypatch.setattr("tinydx.gradcheck.check.SECONDS", 0.0)
    assert re.search(name, gradcheck(pair, inputs(code), seed=2).mistakes["z"])
    monkeypatch.setattr(repair, "WORK", 0)  # and without them there is none
    assert not gradcheck(pair, inputs(code), seed=2).mistakes["z"]
