"""Choosing words and texts: properties of the distributions, and beam search against trying all texts."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinydx import set_seed
from tinydx.preprocessing.text import END, START
from tinydx.text import decoding

LOGITS = st.lists(st.integers(-8, 8), min_size=2, max_size=7).map(lambda v: np.array(v, float) / 2)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@given(LOGITS, st.integers(1, 8))
def test_top_k_keeps_the_k_largest(logits, k):
    kept = decoding.keep_top_k(logits, k)
    stays = kept > -np.inf
    assert stays.sum() == min(k, len(logits)) and np.array_equal(kept[stays], logits[stays])
    assert stays.all() or logits[stays].min() >= logits[~stays].max()


@given(LOGITS, st.floats(0.05, 1))
def test_top_p_keeps_the_fewest_that_reach_p(logits, p):
    stays = decoding.keep_top_p(logits, p) > -np.inf
    probability = softmax(logits)
    kept = probability[stays]
    assert kept.sum() >= p - 1e-9 and kept.sum() - kept.min() < p + 1e-9
    assert stays.all() or kept.min() >= probability[~stays].max() - 1e-12


@given(LOGITS, st.floats(0.1, 5))
def test_temperature_keeps_the_order_and_moves_the_entropy(logits, temperature):
    entropy = lambda q: -(q * np.log(q + 1e-300)).sum()  # noqa: E731
    warm, plain = softmax(decoding.with_temperature(logits, temperature)), softmax(logits)
    assert np.array_equal(np.argsort(warm, kind="stable"), np.argsort(plain, kind="stable")) or temperature > 1
    assert (entropy(warm) - entropy(plain)) * (temperature - 1) >= -1e-9


def test_draws_have_the_softmax_distribution():
    set_seed(0)
    logits = np.log([0.1, 0.6, 0.3, 1e-12])
    counts = np.bincount(decoding.draw(np.tile(logits, (20_000, 1))), minlength=4)
    np.testing.assert_allclose(counts / 20_000, [0.1, 0.6, 0.3, 0], atol=0.02)
    assert (decoding.draw(decoding.keep_top_k(np.tile(logits, (500, 1)), 1)) == 1).all()


class Tiny:
    """A model of seven tokens: the next word's probabilities depend on all words before, through a state."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.table, self.mix = 2 * rng.normal(size=(7, 7)), rng.normal(size=(7, 7))
        self.table[:, :END] = -50  # no padding, unknown or start in texts

    def start(self, n):
        return [np.zeros((n, 7))]

    def step(self, tokens, state):
        state = [np.tanh(state[0] @ self.mix + np.eye(7)[tokens])]
        z = self.table[tokens] + state[0] @ self.mix * (np.arange(7) >= END)
        return np.log(softmax(z) + 1e-300), state

    def score(self, text, penalty):
        """The score of a text by itself, from its start."""
        state, total, token = self.start(1), 0.0, START
        for word in text:
            logp, state = self.step(np.array([token]), state)
            total, token = total + logp[0, word], word
        return total / len(text) ** penalty


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.6, 1.0]))
def test_a_wide_beam_finds_the_best_of_all_texts(seed, penalty):
    model, longest = Tiny(seed), 3
    texts = [[*w, END] for n in range(longest) for w in itertools.product([4, 5, 6], repeat=n)]
    texts += [list(w) for w in itertools.product([4, 5, 6], repeat=longest)]
    best = max(model.score(t, penalty) for t in texts)
    ids, scores = decoding.beam_search(model.step, model.start(2), 2, longest, width=60, length_penalty=penalty)
    assert scores == pytest.approx([best, best])
    assert model.score([i for i in ids[0] if i], penalty) == pytest.approx(best)


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_a_beam_of_one_is_greedy(seed, penalty):
    model = Tiny(seed)
    ids, scores = decoding.beam_search(model.step, model.start(1), 1, 6, width=1, length_penalty=penalty)
    assert np.array_equal(ids, decoding.greedy(model.step, model.start(1), 1, 6))
    assert scores[0] == pytest.approx(model.score([i for i in ids[0] if i], penalty))


def test_texts_of_a_batch_are_independent():
    """Texts of a batch are those that each would get alone, though they end at different times."""
    model = Tiny(3)
    start = np.random.default_rng(0).normal(size=(5, 7))
    together, _ = decoding.beam_search(model.step, [start], 5, 6, width=3)
    for i in range(5):
        alone, _ = decoding.beam_search(model.step, [start[i : i + 1]], 1, 6, width=3)
        assert np.array_equal(together[i], alone[0])


def test_samples_end_at_end_and_are_padded():
    set_seed(0)
    model = Tiny(1)
    ids = decoding.sample(model.step, model.start(50), 50, 8, temperature=1.5, top_k=3, top_p=0.95)
    for row in ids.tolist():
        end = row.index(END) if END in row else len(row)
        assert all(i > END for i in row[:end]) and not any(row[end + 1 :])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda z: decoding.with_temperature(z, 0), "temperature is 0"),
        (lambda z: decoding.keep_top_k(z, 0), "k is 0"),
        (lambda z: decoding.keep_top_p(z, 1.5), "p is 1.5"),
        (lambda z: decoding.beam_search(None, [], 1, 1, width=0), "width is 0"),
    ],
)
def test_errors(call, words):
    with pytest.raises(ValueError, match=words):
        call(np.zeros(3))
