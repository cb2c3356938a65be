"""Decoding: a text from p(y_t | y_{<t}, x), by sampling, by the most probable token each time, or by beam search.

All functions work on the step function of a model, and on nothing else of it:

    step(tokens (N,), state) -> (log-probabilities of the next tokens (N,V), the next state)

A state is a list of arrays (N,...). Every text starts with the token START and ends with END.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinydx import random
from tinydx.preprocessing.text import END, PADDING, START

State = list[np.ndarray]
Step = Callable[[np.ndarray, State], tuple[np.ndarray, State]]

# ---- the next token -------------------------------------------------------------------------------------------------


def with_temperature(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Scores divided by the temperature: below 1 the probable tokens become more probable, above 1 less so.

    Arguments: logits (...,V); temperature, above 0.
    Raises: ValueError for another temperature.

    >>> with_temperature(np.array([1.0, 2.0]), 0.5)
    array([2., 4.])
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, expected a number above 0")
    return logits / temperature


def keep_top_k(logits: np.ndarray, k: int) -> np.ndarray:
    """Keep the k largest scores of each row, and set the others to -inf; among equal ones, the first are kept.

    Arguments: logits (...,V); k, at least 1.
    Raises: ValueError for a smaller k.

    >>> keep_top_k(np.array([1.0, 3.0, 2.0]), 2)
    array([-inf,   3.,   2.])
    """
    if k < 1:
        raise ValueError(f"top-k: k is {k}, expected at least 1")
    return np.where(_rank(logits) < k, logits, -np.inf)


def keep_top_p(logits: np.ndarray, p: float) -> np.ndarray:
    """Keep the fewest most probable tokens whose total probability reaches p, and set the scores of the others to -inf.

    Arguments: logits (...,V); p, above 0 and at most 1.
    Raises: ValueError for another p.

    >>> keep_top_p(np.log([0.2, 0.5, 0.3]), 0.6) > -np.inf
    array([False,  True,  True])
    """
    if not 0 < p <= 1:
        raise ValueError(f"top-p: p is {p}, expected 0 < p <= 1")
    probability = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probability = probability / probability.sum(axis=-1, keepdims=True)
    order = np.argsort(-logits, axis=-1, kind="stable")
    sorted_probability = np.take_along_axis(probability, order, axis=-1)
    before = np.cumsum(sorted_probability, axis=-1) - sorted_probability
    likelier = np.take_along_axis(before, _rank(logits), axis=-1)
    return np.where(likelier < p, logits, -np.inf)


def _rank(logits: np.ndarray) -> np.ndarray:
    """0 for the largest score of each row, 1 for the next, ..."""
    order = np.argsort(-logits, axis=-1, kind="stable")
    return np.argsort(order, axis=-1, kind="stable")


def draw(logits: np.ndarray) -> np.ndarray:
    """Draw one token for each row of scores, with the probabilities of their softmax.

    It uses Gumbel's trick: the index of the largest of the scores plus independent -ln(-ln u) has this distribution.

    Arguments: logits (N,V).
    Returns: ids (N,).

    >>> draw(np.array([[0.0, -np.inf], [-np.inf, 0.0]]))
    array([0, 1])
    """
    u = random.generator().random(logits.shape)
    return (logits - np.log(-np.log(np.maximum(u, 1e-300)))).argmax(axis=-1)


# ---- the whole text -------------------------------------------------------------------------------------------------


def sample(
    step: Step,
    state: State,
    n: int,
    longest: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> np.ndarray:
    """Draw n texts, token by token.

    Arguments: step and state, see the module; n; longest, tokens of a text; temperature, top_k and top_p, as in the functions
    above (None: keep all).
    Returns: ids (n, longest), padded after their END.
    Raises: the errors of these functions.

    >>> def step(tokens, state):  # after START comes 4, then END
    ...     return np.where(np.eye(6)[np.where(tokens == START, 4, END)], 0.0, -np.inf), state
    >>> sample(step, [], n=2, longest=4).tolist()
    [[4, 3, 0, 0], [4, 3, 0, 0]]
    """

    def choose(logits: np.ndarray) -> np.ndarray:
        logits = with_temperature(logits, temperature)
        logits = logits if top_k is None else keep_top_k(logits, top_k)
        return draw(logits if top_p is None else keep_top_p(logits, top_p))

    return _decode(step, state, n, longest, choose)


def greedy(step: Step, state: State, n: int, longest: int) -> np.ndarray:
    """n texts of the most probable token each time.

    Arguments: step and state, see the module; n; longest, tokens of a text.
    Returns: ids (n, longest), padded after their END.

    >>> def step(tokens, state):  # after START comes 4, then END
    ...     return np.where(np.eye(6)[np.where(tokens == START, 4, END)], 0.0, -np.inf), state
    >>> greedy(step, [], n=1, longest=4).tolist()
    [[4, 3, 0, 0]]
    """
    return _decode(step, state, n, longest, lambda logits: logits.argmax(axis=-1))


def _decode(step: Step, state: State, n: int, longest: int, choose: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """n texts, whose next tokens `choose` picks from the log-probabilities (N,V)."""
    ids = np.full((n, longest), PADDING)
    tokens, unfinished = np.full(n, START), np.ones(n, bool)
    for t in range(longest):
        logits, state = step(tokens, state)
        tokens = np.where(unfinished, choose(logits), PADDING)
        ids[:, t] = tokens
        unfinished = unfinished & (tokens != END)
        if not unfinished.any():
            break
    return ids


def beam_search(
    step: Step,
    state: State,
    n: int,
    longest: int,
    width: int = 4,
    length_penalty: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """The best text that a beam of `width` finds for each of n inputs.

    A text's score is its log-probability divided by its number of tokens (END counts) to the power `length_penalty`: with 0 the
    most probable text wins, often the shortest; with 1 the mean over the tokens counts. Texts that are unfinished at the end are
    scored in the same way. With width 1 it returns what `greedy` returns.

    Arguments: step and state, see the module; n; longest, tokens of a text; width; length_penalty.
    Returns: (ids (n, longest), padded after their END; scores (n,)).
    Raises: ValueError for a width below 1.

    >>> def step(tokens, state):  # after START comes 4, then END
    ...     return np.where(np.eye(6)[np.where(tokens == START, 4, END)], 0.0, -np.inf), state
    >>> ids, scores = beam_search(step, [], n=1, longest=4, width=2)
    >>> ids.tolist(), scores.tolist()
    ([[4, 3, 0, 0]], [0.0])
    """
    if width < 1:
        raise ValueError(f"beam_search: width is {width}, expected at least 1")
    state = [np.repeat(a, width, axis=0) for a in state]
    ids = np.full((n, width, longest), PADDING)
    tokens, unfinished = np.full((n, width), START), np.ones((n, width), bool)
    total, length = np.full((n, width), -np.inf), np.zeros((n, width))
    total[:, 0] = 0  # all beams start equal: only the first may continue
    for t in range(longest):
        logits, state = step(tokens.reshape(-1), state)
        logp = logits.reshape(n, width, -1)
        words = logp.shape[2]
        stay = np.where(np.arange(words) == PADDING, 0.0, -np.inf)  # a finished text
        sums = total[..., None] + np.where(unfinished[..., None], logp, stay)
        lengths = length + unfinished
        score = (sums / lengths[..., None] ** length_penalty).reshape(n, -1)
        best = np.argsort(-score, axis=1, kind="stable")[:, :width]
        parent, tokens = best // words, best % words
        ids = np.take_along_axis(ids, parent[..., None], 1)
        total = np.take_along_axis(sums.reshape(n, -1), best, 1)
        unfinished = np.take_along_axis(unfinished, parent, 1)
        length = np.take_along_axis(lengths, parent, 1)
        ids[:, :, t] = np.where(unfinished, tokens, PADDING)
        unfinished = unfinished & (tokens != END)
        rows = (np.arange(n)[:, None] * width + parent).reshape(-1)
        state = [a[rows] for a in state]
        if not unfinished.any():
            break
    return ids[:, 0], total[:, 0] / np.maximum(length[:, 0], 1) ** length_penalty
