"""`tinydx gradcheck FILE.py` on files in the forms that courses use: right work passes, and each change of it is named."""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from tinydx import cli
from tinydx.gradcheck import gradcheck
from tinydx.gradcheck.files import check_file

LEARNERS = Path(__file__).parent / "learners"
FILES = {
    "functions.py": "rms_norm huber svm divergence guarded mean_square sigmoid double scaled embedding layer conv max_pool "
    "attention svm_loss logistic_cost relu tanh",
    "classes.py": "Norm LayerDense Affine SoftmaxWithLoss TwoLayers Convolution Cell Pool Mul",
}


def verdicts(path, seed=0):
    return {pair.name: (pair.verdict, pair.reason) for pair in check_file(path, seed=seed)}


@pytest.mark.parametrize("name", FILES)
def test_right_work_passes_in_every_form(name):
    """Whatever the signature, the order of arrays, and what has no gradient."""
    found = verdicts(LEARNERS / name)
    assert set(found) == set(FILES[name].split())
    assert {n: v for n, v in found.items() if v != ("right", "")} == {}


@pytest.mark.parametrize("name", FILES)
def test_two_shapes_are_tried(name):
    for pair in check_file(LEARNERS / name, seed=3):
        shapes = [[a.shape for a in report.arguments] for report in pair.reports]
        assert pair.reports[0].draws > 2 or (len(shapes) == 2 and shapes[0] != shapes[1]), pair.name


@pytest.mark.parametrize(
    ("file", "pair", "old", "new", "argument", "words"),
    [
        ("functions.py", "rms_norm", " - x * (dn * x).mean(axis=-1, keepdims=True) / r**3", "", "x", "path through r forgotten"),
        ("functions.py", "rms_norm", "(dout * x / r).sum(axis=0)", "dout * x / r", "g", "batch sum forgotten"),
        ("functions.py", "huber", "delta * np.sign(r)", "delta", "pred", "slope of np.abs|np.sign"),
        ("functions.py", "svm", "2 * reg * W", "reg * W", "W", "product rule"),
        ("functions.py", "mean_square", "2 * (y_pred", "(y_pred", "y_pred", "factor 2|counted twice|power"),
        ("functions.py", "sigmoid", "(1 - sigmoid(z))", "(1 - z)", "z", "instead of"),
        ("functions.py", "embedding", "np.add.at(dW, ids, dout)", "dW[ids] = dout", "W", "repeated"),
        ("functions.py", "layer", "dA * (Z > 0)", "dA", "W", "ReLU|relu|slope"),
        ("functions.py", "attention", " / np.sqrt(q.shape[-1])\n    return ds", "\n    return ds", "q", "scale forgotten"),
        ("classes.py", "Norm", "(dn * self.n).mean", "(dn * self.n).sum", "x", "sum instead of mean"),
        ("classes.py", "LayerDense", "dvalues.sum(axis=0, keepdims=True)", "dvalues.sum(axis=0)", "biases", "keepdims"),
        ("classes.py", "Affine", "self.x.T @ dout", "-(self.x.T @ dout)", "W", "sign"),
        ("classes.py", "TwoLayers", " * (self.h > 0)", "", "x", "mask of ReLU"),
        ("classes.py", "Cell", "(1 - self.n**2)", "(1 - self.n)", "x", "square forgotten"),
        ("classes.py", "Mul", "d_output * b, d_output * a", "d_output * a, d_output * b", "a", "factors swapped"),
        ("classes.py", "SoftmaxWithLoss", "dx / len(dx)", "dx", "x", "factor|mean"),
    ],
)  # fmt: skip
def test_a_change_is_noticed_and_named(file, pair, old, new, argument, words, tmp_path):
    text = (LEARNERS / file).read_text("utf-8")
    assert text.count(old) == 1
    (tmp_path / file).write_text(text.replace(old, new), "utf-8")
    found = {p.name: p for p in check_file(tmp_path / file, seed=0)}
    assert {n for n, p in found.items() if p.verdict == "wrong"} - {"svm_loss"} == {pair}  # which calls svm_backward
    arguments = [a for report in found[pair].reports for a in report.arguments if a.name == argument and a.wrong]
    names = [a.mistake.name if a.mistake else "" for a in arguments]
    assert names and all(re.search(words, name) for name in names), names


def test_a_vector_is_not_summed_too_much():
    """A gain named g of each feature was drawn as an array of x's shape, in which its gradient is summed too much."""
    pair = next(p for p in check_file(LEARNERS / "functions.py", seed=1) if p.name == "rms_norm")
    assert [a.shape for a in pair.reports[0].arguments] == [(3, 4), (4,)]


def test_an_axis_of_its_own_tells_a_weight_from_its_transpose():
    pair = next(p for p in check_file(LEARNERS / "classes.py", seed=1) if p.name == "LayerDense")
    for report in pair.reports:
        shape = next(a.shape for a in report.arguments if a.name == "weights")
        assert shape[0] != shape[1]


def test_what_has_no_gradient_is_told(capsys):
    assert cli.main(["gradcheck", str(LEARNERS / "functions.py"), "--seed", "0"]) == 0
    told = capsys.readouterr().out
    assert "no gradient was asked for: X, y" in told or "no gradient was asked for: y, X" in told
    assert "backward takes no dy: its result was multiplied by it" in told
    assert "right for forward without the guard of its logarithm (line " in told


BROKEN = """
import numpy as np

def three_forward(x, w):
    return x @ w, x, w

def three_backward(dout, x, w):
    return dout @ w.T, x.T @ dout

def other_forward(x, w):
    return x @ w, (x, w)

def other_backward(dout, cache, stride, more):
    return dout, dout

class Broken:
    def __init__(self, size):
        raise OSError("no disk")

    def forward(self, x):
        return x

    def backward(self, dy):
        return dy

class Dropout:
    def __init__(self, p):
        self.p = p

    def forward(self, x):
        self.mask = (np.random.rand(*x.shape) > self.p) / (1 - self.p)
        return x * self.mask

    def backward(self, dy):
        return dy * self.mask

def good_forward(x):
    return 2 * x

def good_backward(dout):
    return 2 * dout
"""


def test_a_pair_that_cannot_be_told_leaves_the_others(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(BROKEN, "utf-8")
    assert cli.main(["gradcheck", str(tmp_path / "mine.py"), "--seed", "0", "--json"]) == 2
    data = json.loads(capsys.readouterr().out)
    found = {p["name"]: (p["verdict"], p["reason"] or p["reports"][0]["reason"]) for p in data["pairs"]}
    assert found.pop("good") == ("right", "")
    assert {verdict for verdict, _ in found.values()} == {"cannot tell"}
    reasons = {name: reason for name, (_, reason) in found.items()}
    assert "a tuple of 3" in reasons["three"] and "asks for 'stride'" in reasons["other"]
    assert "give --shapes" in reasons["Broken"] and "another result each time" in reasons["Dropout"]


ENDLESS = """
import pathlib

def turning_forward(x):
    n = 0
    while n < 1:
        n -= 0
    return x

def turning_backward(dy):
    return dy

def save_loss(x, y):
    pathlib.Path(__file__).with_name("written").write_text("x")

def good_forward(x):
    return 2 * x

def good_backward(dout):
    return 2 * dout
"""


def test_a_forward_without_end_is_stopped_and_what_is_no_pair_is_not_called(tmp_path, monkeypatch):
    monkeypatch.setattr("tinydx.gradcheck.files.SECONDS", 0.3)
    (tmp_path / "mine.py").write_text(ENDLESS, "utf-8")
    found = verdicts(tmp_path / "mine.py")
    assert found["turning"][0] == "cannot tell" and "takes too long" in found["turning"][1]
    assert found == {"turning": found["turning"], "good": ("right", "")}
    assert not (tmp_path / "written").exists()


def test_shapes_may_be_given_for_some_of_the_arrays(tmp_path):
    (tmp_path / "mine.py").write_text((LEARNERS / "functions.py").read_text("utf-8"), "utf-8")
    pairs = {p.name: p for p in check_file(tmp_path / "mine.py", "X=7,4", seed=0)}
    assert pairs["svm"].verdict == "right"
    assert [p.name for p in pairs.values() if p.verdict != "right"] == []


INPUTS = """
import numpy as np

def loss(scores, labels):
    e = np.exp(scores)
    p = e / e.sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(len(labels)), labels]).sum()

def loss_grad(scores, labels):
    e = np.exp(scores)
    p = e / e.sum(axis=1, keepdims=True)
    p[np.arange(len(labels)), labels] -= 1
    return p

def loss_inputs(rng):
    return rng.normal(size=(4, 3)), rng.integers(3, size=4)
"""


def test_inputs_of_the_file_may_be_labels_and_an_edit_is_seen_at_once(tmp_path, monkeypatch):
    """An edit of the same size within the same second is all that Python's cache of compiled files misses."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for text, verdict in ((INPUTS, "right"), (INPUTS.replace("] -= 1", "] += 1"), "wrong")):
        (tmp_path / "mine.py").write_text(text, "utf-8")
        os.utime(tmp_path / "mine.py", (1_700_000_000, 1_700_000_000))
        assert verdicts(tmp_path / "mine.py") == {"loss": (verdict, "")}


# ---- the same in a program -----------------------------------------------------------------------------------------------

X = np.random.default_rng(1).normal(size=(4, 3))
T = np.eye(3)[[0, 2, 1, 2]]


def test_labels_are_given_by_name():
    def loss(t, p):
        return ((p - t) ** 2).sum()

    assert gradcheck((loss, lambda t, p: 2 * (p - t)), X, t=T, seed=0)
    assert gradcheck((loss, lambda dout, t, p: dout * 2 * (p - t)), X, t=T, seed=0)
    assert not gradcheck((loss, lambda t, p: p - t), X, t=T, seed=0)


def test_a_backward_without_dy_is_for_one_number_or_each():
    assert gradcheck((lambda x: np.tanh(x), lambda x: 1 - np.tanh(x) ** 2), X, seed=0)
    assert gradcheck((lambda x: x.sum(axis=0), lambda x: np.ones_like(X) * x), X, seed=0), "x is the gradient here"
    report = gradcheck((lambda x, w: x @ w, lambda x, w: (x @ w, w)), X, X.T @ X, seed=0)
    assert "takes no dy" in str(report) and report.verdict == "wrong"


def test_only_a_small_guard_of_a_logarithm_may_be_left_out():
    p = np.abs(X) + 0.1

    def right(dy, p):
        return dy / p

    assert gradcheck((lambda p: np.log(p + 1e-7), right), p, seed=0).notes
    assert not gradcheck((lambda p: np.log(p + 1e-3), right), p, seed=0)
    assert not gradcheck((lambda p: np.log(p - 1e-7), right), p, seed=0)
    assert not gradcheck((lambda p: np.sqrt(p + 1e-7), lambda dy, p: dy / (2 * np.sqrt(p))), p, seed=0)
    assert not gradcheck((lambda p: np.log(p + 1e-7), lambda dy, p: 1.001 * dy / p), p, seed=0)
