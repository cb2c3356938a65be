"""Networks that write: one token at a time they compute what they compute for a whole text, and they learn a small language."""

import numpy as np
import pytest

from tinydx import set_seed
from tinydx.optimizers import Adam
from tinydx.preprocessing.text import Codec, Words
from tinydx.text.decoding import beam_search, greedy
from tinydx.text.scores import perplexity
from tinydx.text.sequences import LanguageModel, Seq2Seq, teacher_forcing


def seq2seq(attention="dot", copy=True):
    set_seed(0)
    return Seq2Seq(12, 4, 6, attention=attention, copy=copy, dropout=0.0)


def test_teacher_forcing_has_no_targets_after_the_end():
    words, following = teacher_forcing([[2, 7, 3], [2, 8, 9, 5, 3]], longest=4)
    assert words.tolist() == [[2, 7, 0], [2, 8, 9]] and following.tolist() == [[7, 3, 0], [8, 9, 5]]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("depth", [1, 2])
def test_a_language_model_step_by_step(cell, depth):
    set_seed(0)
    model = LanguageModel(10, 4, 6, cell=cell, depth=depth)
    words = np.array([[2, 7, 8, 9], [2, 5, 5, 4]])
    at_once, state = model.predict(words), model.start(2)
    for t in range(4):
        logp, state = model.step(words[:, t], state)
        np.testing.assert_allclose(np.exp(logp), at_once[:, t], atol=1e-6)


@pytest.mark.parametrize("attention", ["dot", "additive"])
@pytest.mark.parametrize("copy", [False, True])
def test_a_sequence_model_step_by_step(attention, copy):
    model = seq2seq(attention, copy)
    source, words = np.array([[5, 6, 7], [8, 9, 0]]), np.array([[2, 7, 8], [2, 5, 5]])
    at_once, state = model.predict([source, words]), model.start(source)
    np.testing.assert_allclose(at_once.sum(axis=-1), 1, atol=1e-5)
    for t in range(3):
        logp, state = model.step(words[:, t], state)
        np.testing.assert_allclose(np.exp(logp), at_once[:, t], atol=1e-6)


@pytest.mark.parametrize("attention", ["dot", "additive"])
def test_padding_of_the_source_changes_nothing(attention):
    model = seq2seq(attention)
    words = np.array([[2, 7, 8]])
    short, padded = model.predict([np.array([[5, 6]]), words]), model.predict([np.array([[5, 6, 0, 0]]), words])
    np.testing.assert_allclose(short, padded, atol=1e-6)


def test_gradients_of_the_whole_model():
    model = seq2seq("additive")
    source = np.array([[5, 6, 7], [8, 9, 0]])
    words, following = np.array([[2, 7, 8], [2, 5, 0]]), np.array([[7, 8, 3], [5, 3, 0]])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.predict([source, words])
    model.set_weights([w.astype(np.float64) for w in model.get_weights()])
    gap = 1e-5
    for weight in model.weights:
        loss = lambda: model.test_on_batch([source, words], following)  # noqa: E731
        before, where = weight.data.copy(), np.unravel_index(np.abs(weight.data).argmax(), weight.shape)
        ends = []
        for sign in (1, -1):
            weight.data[where] = before[where] + sign * gap
            ends.append(loss())
        weight.data[where] = before[where]
        others = [w.data.copy() for w in model.weights]
        model.train_on_batch([source, words], following)
        step = (others[[w is weight for w in model.weights].index(True)] - weight.data)[where] / 0.01  # SGD's learning rate
        for w, values in zip(model.weights, others, strict=True):
            w.data = values
        assert step == pytest.approx((ends[0] - ends[1]) / (2 * gap), abs=1e-7), weight.name


def test_copying_can_write_a_token_that_was_never_a_target():
    """The scores give every word the same; what is copied is the one word of the source."""
    model = seq2seq()
    source = np.array([[11]])
    model.predict([source, np.array([[2]])])
    model.gate.bias.data[:] = -50
    p = model.predict([source, np.array([[2]])])
    assert p[0, 0, 11] == pytest.approx(1)


@pytest.mark.parametrize("attention", ["dot", "additive"])
def test_attention_weights_are_the_copying_probabilities(attention):
    model = seq2seq(attention)
    source, words = np.array([[5, 6, 7], [8, 9, 0]]), np.array([[2, 7], [2, 5]])
    model.predict([source, words])
    model.gate.bias.data[:] = -50  # every word is copied
    looks, p = model.looks(source, words), model.predict([source, words])
    np.testing.assert_allclose(looks, np.take_along_axis(p, source[:, None].repeat(2, axis=1), axis=-1), atol=1e-6)
    assert (looks[1, :, 2] == 0).all()


def test_a_beam_on_a_network_is_at_least_as_probable_as_greedy():
    model = seq2seq("additive")
    source = np.random.default_rng(0).integers(4, 12, (6, 4))
    one, score = beam_search(model.step, model.start(source), 6, 5, width=1)
    assert np.array_equal(one, greedy(model.step, model.start(source), 6, 5))
    assert (beam_search(model.step, model.start(source), 6, 5, width=500)[1] > score - 1e-5).all()


def test_a_language_model_learns_a_grammar_and_its_perplexity():
    """After a comes b or c by a fair coin, then the end: the least perplexity is 2^(1/3) a token."""
    set_seed(0)
    codec = Codec.learn(Words(), ["a b", "a c"])
    texts = [codec.encode(t, ends=True) for t in ["a b", "a c"]] * 64
    words, following = teacher_forcing(texts, 10)
    model = LanguageModel(len(codec), 8, 16, dropout=0.0)
    model.compile(Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(words, following, batch_size=16, epochs=12, verbose=0)
    assert perplexity(np.concatenate(model.log_probability(texts))) == pytest.approx(2 ** (1 / 3), rel=0.02)
    assert codec.decode(greedy(model.step, model.start(1), 1, 9)[0]) in ("a b", "a c")


def test_errors():
    with pytest.raises(ValueError, match="cell is 'tree'"):
        LanguageModel(10, cell="tree")
    with pytest.raises(ValueError, match="attention is 'hard'"):
        Seq2Seq(10, attention="hard")
    with pytest.raises(ValueError, match="units is 7"):
        Seq2Seq(10, units=7)
