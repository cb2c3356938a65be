"""BLEU and ROUGE-L against sacrebleu and rouge-score (values in text_reference/), and against slow definitions."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinydx.text.scores import bleu, exact_match, perplexity, rouge_l

CASES = json.loads((Path(__file__).parent / "text_reference" / "scores.json").read_text())
TEXTS = st.lists(st.sampled_from("abc"), max_size=6).map(" ".join)


@pytest.mark.parametrize("case", CASES)
def test_scores_equal_those_of_the_usual_programs(case):
    predictions, references = case["predictions"], case["references"]
    assert bleu(predictions, references, split=str.split) == pytest.approx(case["bleu"], rel=1e-12)
    assert rouge_l(predictions, [r[0] for r in references], split=str.split) == pytest.approx(case["rouge_l"], rel=1e-12)


def test_a_bleu_by_hand():
    """p1 = 5/6, p2 = 3/5, p3 = 1/4, p4 smoothed: 1/2 of 1/3; no prediction is too short."""
    score = bleu(["the cat sat on a mat"], ["the cat sat in a mat"], split=str.split)
    assert score == pytest.approx(100 * (5 / 6 * 3 / 5 * 1 / 4 * (0.5 / 3)) ** 0.25)
    short = bleu(["the cat sat on"], ["the cat sat on the mat"], split=str.split)
    assert short == pytest.approx(100 * math.exp(1 - 6 / 4))


@given(TEXTS, TEXTS)
def test_rouge_l_by_trying_all_subsequences(p, r):
    p, r = p.split(), r.split()
    subsequences = lambda s: {c for n in range(len(s) + 1) for c in itertools.combinations(s, n)}  # noqa: E731
    longest = max(map(len, subsequences(p) & subsequences(r)))
    expected = 0 if longest == 0 else 2 / (len(p) / longest + len(r) / longest)
    assert rouge_l([" ".join(p)], [" ".join(r)]) == pytest.approx(expected)


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_the_reference_itself_is_the_best(texts):
    assert exact_match(texts, texts) == 1
    assert bleu(texts, texts) == pytest.approx(100 if max(len(t.split()) for t in texts) >= 4 else 0)


def test_perplexity_of_a_fair_die_is_six():
    assert perplexity(np.full((2, 3), -math.log(6))) == pytest.approx(6)
    assert perplexity([[math.log(0.5), -50.0]], mask=[[True, False]]) == pytest.approx(2)


def test_errors():
    with pytest.raises(ValueError, match="2 predictions and 1 references"):
        bleu(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="0 predictions"):
        rouge_l([], [])
    with pytest.raises(TypeError, match="predictions is one text"):
        exact_match("a", ["a"])
    with pytest.raises(ValueError, match="no tokens"):
        perplexity([])
    assert bleu([""], ["a b c d"]) == 0 == rouge_l([""], ["a"])
