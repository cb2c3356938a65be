"""Wrong rules of differentiation are named however a backward is written; and values on the way tell where it goes wrong."""

import ast
import linecache
import re

import numpy as np
import pytest
from public_mistakes import made

from tinydx import gradcheck
from tinydx.gradcheck import dual, repair
from tinydx.gradcheck.source import definition
from tinydx.gradcheck.truth import STEP

NORM = """
def forward(x, g):
    m = x.mean(axis=1, keepdims=True)
    c = x - m
    s = np.sqrt((c ** 2).mean(axis=1, keepdims=True) + 0.01)
    return g * c / s, (c, s, g)

def backward(dout, cache):
    c, s, g = cache
    h, d = c / s, dout * g
    dx = (d - d.mean(axis=1, keepdims=True) - h * (d * h).mean(axis=1, keepdims=True)) / s
    return dx, (dout * h).sum(axis=0)
"""
ATTENTION = """
def forward(q, k, v):
    s = k @ q / np.sqrt(len(q))
    e = np.exp(s - s.max())
    a = e / e.sum()
    return a @ v, (q, k, v, a)

def backward(dout, cache):
    q, k, v, a = cache
    da = v @ dout
    ds = a * (da - a @ da) / np.sqrt(len(q))
    return k.T @ ds, np.outer(ds, q), np.outer(a, dout)
"""
GATED = """
class Gated:
    def forward(self, x, w):
        self.x, self.w = x, w
        self.z = x @ w
        self.g = 1 / (1 + np.exp(-self.z))
        return self.z * self.g

    def backward(self, dout):
        dz = dout * (self.g + self.z * self.g * (1 - self.g))
        return dz @ self.w.T, self.x.T @ dz

gated = Gated()
forward, backward = gated.forward, gated.backward
"""
RNN = """
def forward(x, u, w):
    h, hs = np.zeros(w.shape[0]), []
    for t in range(len(x)):
        r = 1 / (1 + np.exp(-(x[t] @ u)))
        n = np.tanh(x[t] @ u + (r * h) @ w)
        hs.append((h, r, n))
        h = r * h + n
    return h, (x, u, w, hs)

def backward(dh, cache):
    x, u, w, hs = cache
    dx, du, dw = np.zeros_like(x), np.zeros_like(u), np.zeros_like(w)
    for t in reversed(range(len(x))):
        h, r, n = hs[t]
        dn = dh * (1 - n ** 2)
        drh = dn @ w.T
        dr = (dh * h + drh * h) * r * (1 - r)
        du += np.outer(x[t], dn + dr)
        dw += np.outer(r * h, dn)
        dx[t] = (dn + dr) @ u.T
        dh = dh * r + drh * r
    return dx, du, dw
"""
SHAPES = {NORM: [(4, 5), (5,)], ATTENTION: [(3,), (5, 3), (5, 2)], GATED: [(4, 3), (3, 2)], RNN: [(3, 2), (2, 4), (4, 4)]}
WHOLE = "(d - d.mean(axis=1, keepdims=True) - h * (d * h).mean(axis=1, keepdims=True)) / s"
MISTAKES = [
    (NORM, WHOLE, "d / s", "m and s .*held constant"),
    (NORM, " - h * (d * h).mean(axis=1, keepdims=True)", "", "s held constant"),
    (ATTENTION, "a * (da - a @ da)", "a * (1 - a) * da", "softmax: diagonal only"),
    (ATTENTION, "a * (da - a @ da)", "da", "slope of softmax forgotten"),
    (GATED, "(self.g + self.z * self.g * (1 - self.g))", "self.g", "g held constant"),
    (RNN, "dh = dh * r + drh * r", "dh = dh * r + drh", "factor r forgotten"),
    (RNN, "dr = (dh * h + drh * h)", "dr = (dh * h)", "term drh|path through r|product rule"),
]


def inputs(code):
    rng = np.random.default_rng(3)
    return [rng.normal(size=shape) for shape in SHAPES[code]]


@pytest.mark.parametrize("code", SHAPES)
def test_the_right_ones_are_right(code):
    assert gradcheck(made(code, "right"), *inputs(code), seed=2)


@pytest.mark.parametrize(("code", "right", "wrong", "name"), MISTAKES)
def test_what_was_forgotten_is_named_by_the_rule(code, right, wrong, name):
    assert code.count(right) == 1
    report = gradcheck(made(code.replace(right, wrong), "wrong"), *inputs(code), seed=2)
    assert any(re.search(name, found or "") for found in report.mistakes.values()), report.mistakes


def located(code):
    """What the values of a backward tell; and its statements by their ids."""
    found = {}

    def keep(tried):
        found["values"] = real(tried)
        return found["values"]

    real, repair._located = repair._located, keep
    try:
        pair = made(code, "located")
        gradcheck(pair, *inputs(RNN), seed=2)
    finally:
        repair._located = real
    return found["values"], {id(n): n.lineno for n in ast.walk(definition(pair[1])) if hasattr(n, "lineno")}


def test_the_first_wrong_value_is_found_in_its_line():
    wrong = RNN.replace("dn = dh * (1 - n ** 2)", "dn = dh * (1 - n)")
    values, lines = located(wrong)
    line = wrong[: wrong.index("dn = dh")].count("\n") + 1
    assert values.root.name == "dn"
    assert {lines[home] for home in values.suspects} == {line}


def test_a_trail_without_a_change_gives_the_value_again():
    wrong = RNN.replace("dr = (dh * h + drh * h)", "dr = (dh * h - drh * h)")
    values, _ = located(wrong)
    (trail,) = values.trails
    again = trail._run({id(s) for s, _ in trail.steps}, {}, {"np": np})
    np.testing.assert_allclose(again, values.root.value, rtol=1e-12)


KEPT = ["np.abs(x)", "abs(x)", "x.var(axis=0)", "np.std(x, axis=1)", "np.linalg.norm(x, axis=1)", "np.logaddexp(x, 0)"]


@pytest.mark.parametrize("source", [*KEPT, "np.zeros(3) + x"])
def test_functions_that_lose_an_imaginary_part_keep_it(source):
    space = {"np": np}
    file = f"<dual {source}>"
    code = f"def forward(x):\n    return {source}\n"
    linecache.cache[file] = (len(code), None, code.splitlines(True), file)
    exec(compile(code, file, "exec"), space)
    forward = space["forward"]
    x, v = np.random.default_rng(1).normal(size=(2, 4, 3))
    y = dual.with_complex_numbers(forward, definition(forward), {})(x + 1j * STEP * v)
    np.testing.assert_allclose(np.imag(y) / STEP, (forward(x + 1e-6 * v) - forward(x - 1e-6 * v)) / 2e-6, rtol=1e-6, atol=1e-8)
