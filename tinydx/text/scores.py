"""How good is a written text? Scores against references written by people.

    exact match   the share of texts that equal their reference
    BLEU          n-gram precision over a whole corpus, times a penalty for short texts     (Papineni 2002)
    ROUGE-L       the longest common subsequence as F1, mean over the texts                 (Lin 2004)
    perplexity    e^(mean negative log-probability of a token): the number of equally probable words it stands for

BLEU and ROUGE-L compare tokens: by default words and punctuation marks of any script, case-sensitive for BLEU, in lower case
for ROUGE-L. For texts that are already tokenized, pass split=str.split.
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
    """The share of predictions that equal their reference, except for white space.

    Arguments: predictions, references, texts.
    Returns: 0 to 1.
    Raises: ValueError for different numbers of texts, or none; TypeError for a single text.

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

    c is the length of all predictions, r that of their references (of several, the nearest in length), and p_n the share of
    n-grams that also occur in a reference. Smoothing ("exp"): if no n-gram of some order matches, its p_n is 1 / (2^k total)
    for the k-th such order. BLEU is 0 if no word matches, and if the predictions have no n-gram of some order.

    Arguments: predictions, texts; references, for each a text or a list of texts; order, the longest n-gram; split, text ->
    tokens.
    Returns: 0 to 100.
    Raises: ValueError for different numbers of texts, or none; TypeError for a single text.
    Source: Papineni 2002.

    >>> bleu(["the cat sat on the mat"], ["the cat sat on the mat"])
    100.0
    """
    _check(predictions, references, "bleu")
    split = split or Words(lower=False).tokenize
    matched, total = np.zeros(order), np.zeros(order)
    length = reference_length = 0
    for prediction, given in zip(predictions, references, strict=True):
        tokens, others = split(prediction), [split(r) for r in ([given] if isinstance(given, str) else given)]
        length += len(tokens)
        reference_length += min((len(o) for o in others), key=lambda n: (abs(n - len(tokens)), n))
        for n in range(1, order + 1):
            ngrams, allowed = _ngrams(tokens, n), Counter[tuple[str, ...]]()
            for o in others:
                allowed |= _ngrams(o, n)  # the largest count in any reference
            matched[n - 1] += (ngrams & allowed).total()
            total[n - 1] += ngrams.total()
    if not matched.any() or not total.all():
        return 0.0
    missed = np.cumsum(matched == 0)
    precision = np.where(matched > 0, matched, 0.5**missed) / total
    return float(100 * math.exp(min(0.0, 1 - reference_length / length)) * np.exp(np.log(precision).mean()))


def _ngrams(tokens: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def rouge_l(predictions: Sequence[str], references: Sequence[str], split: Split | None = None) -> float:
    """The mean F1 of the longest common subsequence of tokens; 0 where a text is empty.

    Arguments: predictions, references, texts; split, text -> tokens.
    Returns: 0 to 1.
    Raises: ValueError for different numbers of texts, or none; TypeError for a single text.
    Source: Lin 2004.

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
    """e^(-mean log-probability of a token).

    Arguments: log_probabilities, natural logarithms, any shape; mask of the same shape, True for tokens that count (None: all).
    Returns: 1 (certain) upwards.
    Raises: ValueError for no tokens.

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
        raise ValueError(
            f"{who}: {len(predictions)} predictions and {len(references)} references, expected equal numbers above 0"
        )
