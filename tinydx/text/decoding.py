r"""Reading a text out of p(y_t | y_{<t}, x): by chance, the likeliest word each time, or the likeliest text of several.

All of it works on a step function of some model, and on nothing else of it:

    step(tokens (N,), state) -> (logarithms of the next words' probabilities (N,V), the state then)

A state is a list of arrays (N,...). Every text starts with the token START and is over with END.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinydx import random
from tinydx.preprocessing.text import END, PADDING, START

State = list[np.ndarray]
Step = Callable[[np.ndarray, State], tuple[np.ndarray, State]]

# ---- which word ----------------------------------------------------------------------------------------------------


def with_temperature(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Scores divided by the temperature: below 1 the likely words become likelier, above 1 less so.

    >>> with_temperature(np.array([1.0, 2.0]), 0.5)
    array([2., 4.])
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, expected a number above 0")
    return logits / temperature


def keep_top_k(logits: np.ndarray, k: int) -> np.ndarray:
    """Only the k largest scores (...,V) stay, the others become -inf; of equals the first ones.

    >>> keep_top_k(np.array([1.0, 3.0, 2.0]), 2)
    array([-inf,   3.,   2.])
    """
    if k < 1:
        raise ValueError(f"top-k: k is {k}, expected at least 1")
    return np.where(_rank(logits) < k, logits, -np.inf)


def keep_top_p(logits: np.ndarray, p: float) -> np.ndarray:
    """Only the likeliest words that have together probability p stay, as few as it takes; the others become -inf.

    >>> keep_top_p(np.log([0.2, 0.5, 0.3]), 0.6) > -np.inf
    array([False,  True,  True])
    """
    if not 0 < p <= 1:
        raise ValueError(f"top-p: p is {p}, expected 0 < p <= 1")
    probability = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probability = probability / probability.sum(axis=-1, keepdims=True)
    order = np.argsort(-logits, axis=-1, kind="stable")
    sorted_probability = np.take_along_axis(probability, order, axis=-1)
    before = np.cumsum(sorted_probability, axis=-1) - sorted_probability  # what the likelier ones have together
    return np.where(np.take_along_axis(before, _rank(logits), axis=-1) < p, logits, -np.inf)


def _rank(logits: np.ndarray) -> np.ndarray:
    """0 for the largest score of each row, 1 for the next ..."""
    order = np.argsort(-logits, axis=-1, kind="stable")
    return np.argsort(order, axis=-1, kind="stable")


def draw(logits: np.ndarray) -> np.ndarray:
    """A word for each row (N,V) of scores, with the probabilities of their softmax.

    By Gumbel's trick: the largest of scores plus independent -ln(-ln u) is distributed so.
    """
    u = random.generator().random(logits.shape)
    return (logits - np.log(-np.log(np.maximum(u, 1e-300)))).argmax(axis=-1)


# ---- which text ----------------------------------------------------------------------------------------------------


def sample(
    step: Step,
    state: State,
    n: int,
    longest: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> np.ndarray:
    """n texts drawn word by word: ids (n, longest), padded after their END."""

    def choose(logits: np.ndarray) -> np.ndarray:
        logits = with_temperature(logits, temperature)
        logits = logits if top_k is None else keep_top_k(logits, top_k)
        return draw(logits if top_p is None else keep_top_p(logits, top_p))

    return _write(step, state, n, longest, choose)


def greedy(step: Step, state: State, n: int, longest: int) -> np.ndarray:
    """n texts, each time the likeliest word: ids (n, longest), padded after their END."""
    return _write(step, state, n, longest, lambda logits: logits.argmax(axis=-1))


def _write(step: Step, state: State, n: int, longest: int, choose: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    ids = np.full((n, longest), PADDING)
    tokens, going = np.full(n, START), np.ones(n, bool)
    for t in range(longest):
        logits, state = step(tokens, state)
        tokens = np.where(going, choose(logits), PADDING)
        ids[:, t] = tokens
        going = going & (tokens != END)
        if not going.any():
            break
    return ids


def beam_search(
    step: Step, state: State, n: int, longest: int, width: int = 4, length_penalty: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    r"""n texts, each the best of those that a beam of some width has come across.

    A text's score is its logarithm of probability divided by its number of words (END counts) to the power
    `length_penalty`: with 0 the most probable text wins, which is often the shortest; with 1 the mean word counts.
    Unfinished texts are scored likewise at the end. With width 1 it writes what `greedy` writes.
    Returns (ids (n, longest), padded after their END; scores (n,)).
    """
    if width < 1:
        raise ValueError(f"beam_search: width is {width}, expected at least 1")
    state = [np.repeat(a, width, axis=0) for a in state]
    ids = np.full((n, width, longest), PADDING)
    tokens, going = np.full((n, width), START), np.ones((n, width), bool)
    total, length = np.full((n, width), -np.inf), np.zeros((n, width))
    total[:, 0] = 0  # all beams are the same at first: only one may go on
    for t in range(longest):
        logits, state = step(tokens.reshape(-1), state)
        logp = logits.reshape(n, width, -1)
        words = logp.shape[2]
        stay = np.where(np.arange(words) == PADDING, 0.0, -np.inf)  # a finished text goes on as it is, once
        sums = total[..., None] + np.where(going[..., None], logp, stay)
        lengths = length + going
        score = (sums / lengths[..., None] ** length_penalty).reshape(n, -1)
        best = np.argsort(-score, axis=1, kind="stable")[:, :width]
        parent, tokens = best // words, best % words
        ids, total = np.take_along_axis(ids, parent[..., None], 1), np.take_along_axis(sums.reshape(n, -1), best, 1)
        going, length = np.take_along_axis(going, parent, 1), np.take_along_axis(lengths, parent, 1)
        ids[:, :, t] = np.where(going, tokens, PADDING)
        going = going & (tokens != END)
        rows = (np.arange(n)[:, None] * width + parent).reshape(-1)
        state = [a[rows] for a in state]
        if not going.any():
            break
    return ids[:, 0], total[:, 0] / np.maximum(length[:, 0], 1) ** length_penalty
