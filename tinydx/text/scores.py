"""How good is a written text? Scores of translations and summaries against what a person wrote.

    exact match   the share of texts that are right to the letter
    BLEU          n-gram precision over a whole corpus, times a penalty for being short     (Papineni 2002)
    ROUGE-L       the longest common subsequence, as F1, mean over the texts                (Lin 2004)
    perplexity    e^(mean negative log-probability a token): among how many words a language model is undecided

BLEU and ROUGE-L look at tokens: by default words and signs of any script, in their own case for BLEU, in lower
case for ROUGE-L; give split=str.split for texts that are tokenized already.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinydx.preprocessing.text import Words

Split = Callable[[str], list[str]]


def exact_match(predictions: Sequence[str], references: Sequence[str]) -> float:
    """The share of predictions that equal their reference, but for the spaces around and between words.

    >>> exact_match(["Fever ", "chill"], ["Fever", "Chill"])
    0.5
    """
    _check(predictions, references, "exact_match")
    return float(np.mean([p.split() == r.split() for p, r in zip(predictions, references, strict=True)]))


def bleu(
    predictions: Sequence[str], references: Sequence[str | Sequence[str]], order: int = 4, split: Split | None = None
) -> float:
    r"""Corpus BLEU, 0 to 100, as sacrebleu computes it.

        \mathrm{BLEU} = 100\, e^{\min(0,\, 1 - r/c)} \left(\prod_{n=1}^{4} p_n\right)^{1/4}

    with c the length of all predictions, r that of their references (of several, the nearest in length), and p_n the
    share of n-grams that a reference has, too. Smoothing: where no n-gram of some order is right, its p_n is
    1 / (2^k total), the k-th such order ("exp"); without any right word, and without any n-gram of some order, BLEU is 0.

    Arguments: predictions; references, a text or a list of texts each; order, the longest n-gram; split, text -> tokens.
    Raises ValueError for different numbers of texts, or none.

    >>> bleu(["the cat sat on the mat"], ["the cat sat on the mat"])
    100.0
    """
    _check(predictions, references, "bleu")
    split = split or Words(lower=False).tokenize
    right, total = np.zeros(order), np.zeros(order)
    length = wanted = 0
    for prediction, given in zip(predictions, references, strict=True):
        tokens, others = split(prediction), [split(r) for r in ([given] if isinstance(given, str) else given)]
        length += len(tokens)
        wanted += min((len(o) for o in others), key=lambda n: (abs(n - len(tokens)), n))
        for n in range(1, order + 1):
            mine, theirs = _ngrams(tokens, n), Counter[tuple[str, ...]]()
            for o in others:
                theirs |= _ngrams(o, n)  # the most often that any reference has it
            right[n - 1] += (mine & theirs).total()
            total[n - 1] += mine.total()
    if not right.any() or not total.all():
        return 0.0
    missed = np.cumsum(right == 0)
    precision = np.where(right > 0, right, 0.5**missed) / total
    return float(100 * math.exp(min(0.0, 1 - wanted / length)) * np.exp(np.log(precision).mean()))


def _ngrams(tokens: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def rouge_l(predictions: Sequence[str], references: Sequence[str], split: Split | None = None) -> float:
    """Mean F1 of the longest common subsequence of tokens, 0 to 1; 0 where a text is empty.

    >>> rouge_l(["acute chest pain"], ["pain in the chest, acute"], split=str.split)
    0.25
    """
    _check(predictions, references, "rouge_l")
    split = split or Words().tokenize
    scores = []
    for prediction, reference in zip(predictions, references, strict=True):
        p, r = split(prediction), split(reference)
        scores.append(2 * _longest_common(p, r) / max(1, len(p) + len(r)))  # F1 of common/|p| and common/|r|
    return float(np.mean(scores))


def _longest_common(a: list[str], b: list[str]) -> int:
    """The length of the longest common subsequence, row by row of the usual table."""
    row = [0] * (len(b) + 1)
    for token in a:
        before = 0  # the table's upper left neighbour
        for j, other in enumerate(b, start=1):
            before, row[j] = row[j], before + 1 if token == other else max(row[j], row[j - 1])
    return row[-1]


def perplexity(log_probabilities: ArrayLike, mask: ArrayLike | None = None) -> float:
    """e^(-mean of the natural logarithms of each token's probability); mask: which of them count.

    >>> round(perplexity(np.log([0.25, 0.25])), 6)
    4.0
    """
    logs = np.asarray(log_probabilities, float)
    logs = logs if mask is None else logs[np.asarray(mask, bool)]
    if logs.size == 0:
        raise ValueError("perplexity: there are no tokens")
    return float(np.exp(-logs.mean()))


def _check(predictions: Sequence[str], references: Sequence[Any], who: str) -> None:
    for name, texts in (("predictions", predictions), ("references", references)):
        if isinstance(texts, str):
            raise TypeError(f"{who}: {name} is one text, expected a list of texts: [text]")
    if len(predictions) != len(references) or not len(predictions):
        raise ValueError(f"{who}: {len(predictions)} predictions and {len(references)} references, expected as many, and some")
