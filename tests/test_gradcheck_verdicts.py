"""The three verdicts of the gradient checker: what cannot be told is not judged, and unusual right work is right."""

import json
import sys
import time

import numpy as np
import pytest

from tinydx import cli, gradcheck, ops

rng = np.random.default_rng(3)
X = rng.normal(size=(3, 4))
W = rng.normal(size=(4, 2))
B = rng.normal(size=2)


# ---- cannot tell ---------------------------------------------------------------------------------------------------


class Counter:
    """A forward whose result moves with the number of its calls."""

    def __init__(self, first=0):
        self.calls, self.first = 0, first

    def __call__(self, x):
        self.calls += 1
        return x * (1 + max(self.calls - self.first, 0))


def dropout(x):
    mask = (rng.random(x.shape) > 0.5) / 0.5
    return x * mask, mask


def noisy(x):
    return x + 1e-6 * np.random.default_rng().normal(size=x.shape)


def rounded_inside(x):
    return x.astype(np.float32).astype(float) ** 2


def float32_buffer(x):
    out = np.zeros(x.shape, np.float32)
    out[:] = x**2
    return out


def square(dy, x):
    return 2 * x * dy


DOUBTS = {
    "dropout draws anew": ((dropout, lambda dy, mask: dy * mask), X, "another result each time"),
    "noise": ((noisy, lambda dy: dy), X, "another result each time"),
    "counter": ((Counter(), lambda dy: dy), X, "another result each time"),
    "counter that starts late": ((Counter(9), lambda dy: dy), X, "another result each time"),
    "returns float32": ((lambda x: x.astype(np.float32) ** 2, square), X, "float32"),
    "fills a float32 buffer": ((float32_buffer, square), X, "float32"),
    "float32 inside": ((rounded_inside, square), X, "digits"),
    "returns integers": ((lambda x: np.sign(x).astype(int), lambda dy, x: 0 * x), X, "int64"),
    "NaN in": ((lambda x: x**2, square), np.array([np.nan, 1.0]), r"x\[0\] = nan"),
    "infinity in": ((lambda x: x**2, square), np.array([1.0, -np.inf]), r"x\[1\] = -inf"),
    "overflow": ((lambda x: x**2, square), np.array([1e200, 1.0]), "inf"),
    "NaN out": ((lambda x: np.log(x), lambda dy, x: dy / x), np.array([-1.0, 1.0]), "nan"),
    "infinite slope": ((lambda x: np.sqrt(x), lambda dy, y: dy / (2 * y)), np.array([0.0, 1.0]), "NaN or infinite"),
    "dead, zeros": ((lambda x: np.maximum(x, 0), lambda dy, x: 0 * x), -np.abs(X), "zero everywhere"),
    "dead, right": ((lambda x: np.maximum(x, 0), lambda dy, x: dy * (x > 0)), -np.abs(X), "zero everywhere"),
    "forward returns None": ((lambda x: None, lambda dy: dy), X, "returned None.*return. missing"),
    "forward returns a bool": ((lambda x: True, lambda dy: dy), X, "a bool"),
    "forward returns a dict": ((lambda x: {"y": x}, lambda dy: dy), X, "a dict"),
    "forward raises": ((lambda x: x @ x, lambda dy: dy), X, r"raised ValueError.*x \(3, 4\)"),
}


@pytest.mark.parametrize("case", DOUBTS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_cannot_be_told_is_not_judged(case):
    pair, x, reason = DOUBTS[case]
    report = gradcheck(pair, x, seed=0)
    assert report.verdict == "cannot tell" and not report
    assert __import__("re").search(reason, report.reason), report.reason
    assert report.mistakes == {} and "two mistakes" not in str(report)
    assert report.as_dict()["verdict"] == "cannot tell" and json.dumps(report.as_dict(), allow_nan=False)
    assert "cannot tell" in report._repr_html_()


def test_a_wrong_gradient_at_a_dead_point_is_wrong():
    assert gradcheck((lambda x: np.maximum(x, 0), lambda dy, x: dy), -np.abs(X), seed=0).verdict == "wrong"


def test_an_array_without_influence_is_right_with_zeros():
    """A bias before a softmax of one shift: its gradient is zero at every point."""

    def forward(x, b):
        z = x + b
        e = np.exp(z - z.max())
        return e / e.sum(), e / e.sum()

    def backward(dy, p):
        dz = p * (dy - (dy * p).sum())
        return dz, dz.sum()

    assert gradcheck((forward, backward), X, np.array(0.3), seed=0).verdict == "right"


def test_time_is_limited():
    def endless(dy):
        while True:
            pass

    report = gradcheck((lambda x: x, endless), X, seed=0, seconds=0.3)
    assert report.verdict == "cannot tell" and "stopped after 0.3 seconds" in report.reason


def test_what_sleeps_for_ever_ends():
    report = gradcheck((lambda x: x, lambda dy: time.sleep(30)), X, seed=0, seconds=0.2)
    assert report.verdict == "cannot tell" and "stopped after 1.2 seconds" in report.reason


def test_a_pause_takes_nothing_from_the_time_limit():
    pauses = iter([0.9])

    def paused(dy):
        time.sleep(next(pauses, 0))
        return dy

    assert gradcheck((lambda x: x, paused), X, seed=0, seconds=0.4).verdict == "right"


@pytest.mark.parametrize(
    ("backward", "name"),
    [
        (lambda dy, x: None, "returned None"),
        (lambda dy, x: True, "returned a bool"),
        (lambda dy, x: {"a": dy}, "returned a dict"),
        (lambda dy, x: (dy, dy), "wrong number"),
        (lambda dy, x: dy @ dy, "raised"),
    ],
)
def test_a_backward_that_answers_nonsense_is_one_sentence(backward, name):
    report = gradcheck((lambda x: x**2, backward), X, seed=0)
    assert report.verdict == "wrong" and len(report.problems) == 1 and name in report.problems[0].name
    assert "(3, 4)" in report.problems[0].advice and "\n" not in report.problems[0].advice


def test_a_flood_of_prints_is_cut(capsys):
    def backward(dy, x):
        print("x" * 10_000)
        return 2 * x * dy

    assert gradcheck((lambda x: x**2, backward), X, seed=0)
    assert 1000 < len(capsys.readouterr().out) < 6000


def test_one_advice_is_printed_once():
    def backward(dy, x, w, b):
        return dy @ w.T / 3, x.T @ dy / 3, dy.sum(0) / 3

    report = gradcheck((lambda x, w, b: x @ w + b, backward), X, W, B, seed=0)
    lines = [line.strip() for line in str(report).splitlines()]
    advice = [line for line in lines if line in {d.advice for a in report.arguments for d in a.mistakes}]
    assert len(advice) == len(set(advice))


# ---- unusual right work --------------------------------------------------------------------------------------------


def allocated_like_x(x, w):
    y = np.zeros_like(x[:, : w.shape[1]])
    y[:] = x @ w
    return y


def product(dy, x, w):
    return dy @ w.T, x.T @ dy


RIGHT = {
    "output allocated like its input": ((allocated_like_x, product), (X, W)),
    "small L1 term": (
        (lambda w: (w**2).sum() + 0.01 * np.abs(w).sum(), lambda dy, w: dy * (2 * w + 0.01 * np.sign(w))),
        (W,),
    ),
    "tiny L1 term": (
        (lambda w: (w**2).sum() + 1e-5 * np.abs(w).sum(), lambda dy, w: dy * (2 * w + 1e-5 * np.sign(w))),
        (W,),
    ),
    "L1 of tiny weights": ((lambda w: np.abs(w).sum(), lambda dy, w: dy * np.sign(w)), (1e-6 * W,)),
    "log near 0": ((lambda p: -np.log(p), lambda dy, p: -dy / p), (np.array([1e-6, 0.3, 0.9]),)),
    "log near 0, by differences": ((lambda p: -np.log(np.abs(p)), lambda dy, p: -dy / p), (np.array([1e-6, 0.3, 0.9]),)),
    "norm": ((lambda x: np.linalg.norm(x), lambda dy, x: dy * x / np.linalg.norm(x)), (X,)),
    "views": ((lambda a, b: a + b, lambda dy: (dy, dy)), (X, X + 1)),
    "a list of gradients": ((lambda x, w: x @ w, lambda dy, x, w: list(product(dy, x, w))), (X, W)),
    "scalars": ((lambda x: x * x, lambda dy, x: 2 * x * dy), (np.array(3.0),)),
    "large numbers": ((lambda x: x**2, square), (1e8 * X,)),
    "small numbers": ((lambda x: x**2, square), (1e-8 * X,)),
    "integers that stand for floats": ((lambda x: 2 * x, lambda dy: 2 * dy), (np.arange(4.0),)),
    "sorted": ((lambda x: np.sort(x), lambda dy, x: dy[np.argsort(np.argsort(x))]), (X[0],)),
    "loops with float": (
        (lambda x: sum(float(v) ** 2 for v in x.ravel()), square),
        (X,),
    ),
}


@pytest.mark.parametrize("case", RIGHT)
def test_unusual_right_work_is_right(case):
    pair, arrays = RIGHT[case]
    for seed in range(3):
        report = gradcheck(pair, *arrays, seed=seed)
        assert report.verdict == "right", str(report)


WRONG = {
    "zeros where the complex step is lost": ((allocated_like_x, lambda dy, x, w: (dy @ w.T, 0 * w)), (X, W), "w"),
    "L1 term forgotten": ((lambda w: (w**2).sum() + 1e-4 * np.abs(w).sum(), lambda dy, w: 2 * dy * w), (W,), "w"),
    "near 0": ((lambda p: -np.log(np.abs(p)), lambda dy, p: -dy / (p + 1e-7)), (np.array([1e-6, 0.3]),), "p"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_once_passed_is_wrong(case):
    pair, arrays, name = WRONG[case]
    assert gradcheck(pair, *arrays, seed=0)[name].verdict == "wrong"


@pytest.mark.parametrize("seed", range(4))
def test_cotangents_share_no_stream_with_the_users_inputs(seed):
    """With x = default_rng(seed).normal(...) a dy from the same stream would equal x, and dw = dy.T dy would pass."""
    x = np.random.default_rng(seed).normal(size=(3, 3))
    w = np.random.default_rng(seed + 9).normal(size=(3, 3))
    report = gradcheck((lambda x, w: x @ w, lambda dy, x, w: (dy @ w.T, dy.T @ dy)), x, w, seed=seed)
    assert report["w"].verdict == "wrong"


# ---- signatures of courses -----------------------------------------------------------------------------------------


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def affine_backward(dout, cache):
    x, w, b = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def test_the_signatures_of_well_known_courses():
    activation = gradcheck(ops.sigmoid, backward=lambda dA, Z: dA * sigmoid(Z) * (1 - sigmoid(Z)), seed=0)
    assert activation and "`Z` was taken as forward's inputs" in str(activation)
    assert not gradcheck(ops.sigmoid, X, backward=lambda dA, Z: dA * Z * (1 - Z), seed=0)
    layer = gradcheck(ops.dense, backward=affine_backward, seed=0)
    assert layer and "`cache` was taken as forward's inputs" in str(layer)
    assert gradcheck(ops.relu, backward=lambda dout, cache: dout * (cache > 0), seed=0)
    assert gradcheck((lambda x, w, b: (x @ w + b, (x, w, b)), affine_backward), X, W, B, seed=0)


def test_constants_left_at_their_default_are_passed():
    def backward(dy, x, gamma, beta, eps):
        assert eps == 1e-3
        return ops.layer_normalization.backward(dy, ops.layer_normalization.forward(x, gamma, beta, eps=eps)[1])

    assert gradcheck(ops.layer_normalization, X, np.ones(4), np.zeros(4), backward=backward, seed=0)


def test_an_op_is_drawn_in_its_simplest_form():
    """A backward for matrices is not blamed for batches of sequences, unless every form is asked for."""

    def for_matrices(dy, x, w, b):
        return dy @ w.T, x.T @ dy, dy.sum(axis=0)

    assert gradcheck(ops.dense, backward=for_matrices, seed=0)
    assert not gradcheck(ops.dense, backward=for_matrices, seed=0, every_form=True)
    assert gradcheck(ops.add, backward=lambda dy: (dy, dy), seed=0)


# ---- the command ---------------------------------------------------------------------------------------------------

FILE = """
import numpy as np

def affine_forward(x, w, b):
    return x @ w + b, (x, w, b)

def affine_backward(dout, cache):
    x, w, b = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)

def relu_backward(dout, cache):
    return dout * (cache > 0)

class Tanh:
    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, dout):
        return dout * (1 - self.y**2)
"""


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        (("", ""), 0, "Tanh: right"),
        (("(1 - self.y**2)", "(1 - self.y)"), 1, "square forgotten"),
        (("x @ w + b, (", "np.random.normal() * (x @ w + b), ("), 2, "another result each time"),
        (("def ", "definition "), 2, "does not run"),
    ],
)
def test_the_command_checks_a_file(change, status, words, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(FILE.replace(*change) if change[0] else FILE)
    assert cli.main(["gradcheck", str(tmp_path / "mine.py"), "--seed", "0"]) == status
    told = capsys.readouterr()
    assert words in told.out + told.err


def test_the_command_prints_json(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(FILE)
    assert cli.main(["gradcheck", str(tmp_path / "mine.py"), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["verdict"] == "right" and {p["name"] for p in data["pairs"]} == {"affine", "relu", "Tanh"}
    assert min(len(p["reports"]) for p in data["pairs"] if p["name"] != "relu") >= 2, "at least two shapes"


def test_names_need_the_source_and_nothing_else():
    """A function without a file, as typed at a prompt, is judged; it only gets fewer names."""
    space = {}
    exec("def backward(dy, x): return dy * x", space)
    assert gradcheck((lambda x: np.sin(x), space["backward"]), X, seed=0).verdict == "wrong"
    assert sys.getrecursionlimit() > 0


# ---- several kinks at one input --------------------------------------------------------------------------------------


def residual(x, w, v):
    return x + np.maximum(x @ w, 0) @ v


def residual_backward(dy, x, w, v):
    h = np.maximum(x @ w, 0)
    dz = (dy @ v.T) * (h > 0)
    return dy + dz @ w.T, x.T @ dz, h.T @ dy


CORNERS = (
    np.array([[1.0, 1.0], [2.0, -1.0]]),
    np.array([[1.0, -2.0, 1.0], [-1.0, 2.0, 3.0]]),
    np.array([[2.0, 1.0], [-1.0, -0.5], [2.0, 2.0]]),
)


def test_a_right_gradient_where_several_units_meet_their_corner_is_not_blamed():
    """At x = (1, 1) two units are 0: on one side of it one of them is on, on the other side the other one; both may be off."""
    for seed in range(8):
        report = gradcheck((residual, residual_backward), *CORNERS, seed=seed)
        assert report.ok and not report.mistakes, str(report)


@pytest.mark.parametrize("wrong", ["dy - dz @ w.T", "dz @ w.T", "dy + 5 * dz @ w.T", "dy + dz @ w.T + 9 * (x == 1)"])
def test_a_wrong_one_is_not_excused_by_corners(wrong):
    def backward(dy, x, w, v):
        h = np.maximum(x @ w, 0)
        dz = (dy @ v.T) * (h > 0)
        return eval(wrong), x.T @ dz, h.T @ dy

    assert not gradcheck((residual, backward), *CORNERS, seed=0).ok
