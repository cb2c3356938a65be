"""The fresh corpora say what is true: central differences, and not the checker, tell right from wrong; then the checker is tried.

`python tests/measure_gradcheck.py fresh` and `right` print the checker's figures.
"""

import inspect
import re
from collections import Counter

import numpy as np
import public_right_fresh
import public_right_round6
import public_right_round7
import public_right_round8
import pytest
from measure_gradcheck import UNSEEN, judged
from public_mistakes import cases, changed, made

from tinydx import gradcheck

FAMILIES = {f"{name}, {title}": family for title, corpus in UNSEEN.items() for name, family in corpus.items()}
RIGHT = {name: (public_right_fresh, piece) for name, piece in public_right_fresh.FRESH.items()}
RIGHT |= {f"{name}, round6": (public_right_round6, piece) for name, piece in public_right_round6.ROUND6.items()}
RIGHT |= {f"{name}, round7": (public_right_round7, piece) for name, piece in public_right_round7.ROUND7.items()}
ALL8 = public_right_round8.ROUND8 | public_right_round8.SEALED8
RIGHT |= {f"{name}, round8": (public_right_round8, piece) for name, piece in ALL8.items()}


def output(forward, inputs):
    y = forward(*[x.copy() for x in inputs])
    return y if isinstance(y, tuple) else (y, None)


def differences(forward, inputs, dy, step=1e-5):
    """Central differences of sum(dy * y), one array for each input."""
    gradients = [np.zeros(x.shape) for x in inputs]
    for k, x in enumerate(inputs):
        for i in np.ndindex(x.shape):
            sides = []
            for h in (step, -step):
                moved = [v.copy() for v in inputs]
                moved[k][i] += h
                sides.append(np.sum(dy * output(forward, moved)[0]))
            gradients[k][i] = (sides[0] - sides[1]) / (2 * step)
    return gradients


def ran(functions, inputs, dy):
    """The gradients that a backward returns, as a list, in the order of the inputs."""
    forward, backward = functions
    cache = output(forward, inputs)[1]
    names = list(inspect.signature(backward).parameters)
    if len(names) - 1 == len(inputs) and cache is None:
        gradients = backward(dy, *inputs)
    else:
        order = {1: [dy], 2: [cache, dy] if names[0] == "cache" else [dy, cache]}
        gradients = backward(*order[len(names)])
    if isinstance(gradients, dict):
        return [gradients[name] for name in inspect.signature(forward).parameters]
    return list(gradients) if isinstance(gradients, tuple | list) else [gradients]


def agree(got, expected):
    def same(a, b):
        return np.shape(a) == b.shape and np.allclose(a, b, rtol=1e-5, atol=1e-6 * (1 + np.abs(b).max()))

    return len(got) == len(expected) and all(map(same, got, expected))


@pytest.mark.parametrize("name", FAMILIES)
def test_of_each_family_the_right_one_is_right_and_each_change_wrong_in_its_own_way(name):
    family = FAMILIES[name]
    functions = made(family.code, name)
    dy = np.random.default_rng(3).normal(size=np.shape(output(functions[0], family.inputs)[0]))
    expected = differences(functions[0], family.inputs, dy)
    assert agree(ran(functions, family.inputs, dy), expected)
    seen = []
    for right, wrong, *_ in family.changes:
        got = ran(made(changed(family, right, wrong), name), family.inputs, dy)
        assert not agree(got, expected), wrong
        assert not any(agree(got, [np.asarray(g) for g in other]) for other in seen), wrong
        seen.append(got)


@pytest.mark.parametrize("name", RIGHT)
def test_right_ones_are_right(name):
    module, (code, shapes) = RIGHT[name]
    inputs = module.inputs(name.split(", round")[0], shapes)
    functions = made(code, name)
    dy = np.random.default_rng(3).normal(size=np.shape(output(functions[0], inputs)[0]))
    if "tied" not in name:  # at kinks, central differences are one of several right answers
        assert agree(ran(functions, inputs, dy), differences(functions[0], inputs, dy))
    report = gradcheck(functions, *inputs, seed=0)
    assert report.verdict == "right", str(report)


def test_the_names_of_right_ones_are_new():
    assert not RIGHT.keys() & (public_right_fresh.public_right.SEEN | public_right_fresh.public_right.KEPT).keys()


@pytest.mark.parametrize("name", [f"{name}, {title}" for title in ("fresh", "round8", "sealed8") for name in UNSEEN[title]])
def test_wrong_ones_are_caught(name, proof):
    """The first change of each family, all in the profile `proof`; the names are measured, not tested here."""
    family = FAMILIES[name]
    for change in family.changes[: None if proof else 1]:
        with np.errstate(all="ignore"):
            report = gradcheck(made(changed(family, change.right, change.wrong), name), *family.inputs, seed=0)
        assert report.verdict == "wrong", change.wrong


NAMED = {  # of round8: family and change, and what the name has to say
    ("weighted binary cross entropy of probabilities", 4): "^factor T forgotten$",  # and not a division that is right by algebra
    ("smooth absolute error of boxes with weights", 0): "^division by BETA forgotten$",  # and not half of d * d, for BETA = 1/2
    ("l1 and l2 of a masked regression", 4): r"^divisor len\(T\) instead of obs\.sum\(\)",  # and not len(T) - 1
    ("word losses of padded sentences", 0): "^factor mask forgotten$",
    ("word losses of padded sentences", 1): r"^divisor mask\.size instead of mask\.sum\(\)",
    ("word losses of padded sentences", 4): r"^mask\.sum\(\) instead of 1, the label's",
    ("largest of each bag of embeddings", 2): r"^index rows instead of ids\[b, rows\]",
    ("largest of each bag of embeddings", 3): "^index cols forgotten$",
    ("depth to space, then a bias", 1): r"^condition y > 0 instead of y \+ b",
    ("momentum of a running mean, with a learnt rate", 4): "^diagonal only: .*path through m",
}
NAMED7 = {
    ("ramp with a learnt width", 1): "^square forgotten$",  # and not a factor w too many
    ("policy gradient with an entropy bonus", 2): "^factor onehot too many$",  # and not a sum that happens to be 1
    ("scalar kalman update", 2): r"path through P in P \+ R forgotten",  # and not a factor 1 - K
    ("circular convolution by rolling", 2): "^wrong direction: -k instead of k$",
}
CASES = [("round8", *case) for case in NAMED.items()] + [("round7", *case) for case in NAMED7.items()]


@pytest.mark.parametrize(("title", "case", "name"), CASES, ids=[f"{case[0]} {case[1]}" for _, case, _ in CASES])
def test_names_for_which_the_search_was_changed(title, case, name):
    family, change = UNSEEN[title][case[0]], UNSEEN[title][case[0]].changes[case[1]]
    report = gradcheck(made(changed(family, change.right, change.wrong), case[0]), *family.inputs, seed=1)
    assert any(re.search(name, found or "") for found in report.mistakes.values()), report.mistakes


def test_most_names_of_round8_are_right_and_next_to_none_wrong(proof):
    """Every sixth one outside the profile `proof`, of both halves; the shares are below those measured."""
    found = []
    for title in ("round8", "sealed8"):
        for i, (name, number, code, inputs, pattern) in enumerate(cases(UNSEEN[title])):
            if proof or i % 6 == 0:
                never = UNSEEN[title][name].changes[number].never
                found.append(judged(code, f"{name} {number}", inputs, pattern, never))
    worth = Counter(f[2] for f in found)
    assert all(verdict == "wrong" for verdict, *_ in found)
    assert worth["right"] >= 0.85 * len(found), worth
    assert worth["wrong"] <= 0.08 * len(found), worth
