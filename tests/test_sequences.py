"""Networks that write: a step at a time they say what they say all at once, they learn small languages, and are saved."""

import numpy as np
import pytest

from tinydx import cli, set_seed
from tinydx.models import load_model
from tinydx.optimizers import Adam
from tinydx.preprocessing.text import END, START, Codec, Words
from tinydx.text.decoding import beam_search, greedy
from tinydx.text.retrieval import NearestText
from tinydx.text.scores import exact_match, perplexity
from tinydx.text.sequences import LanguageModel, Seq2Seq, teacher_forcing
from tinydx.text.translation import PairBatches, SourceReader, train_translator, translate

WORDS = ["fever", "chill", "bone", "skin", "heart"]
PAIRS = [(f"pain of {a} and {b}", f"{b} {a} ache") for a in WORDS for b in WORDS]


def seq2seq(attention="dot", copy=True):
    set_seed(0)
    return Seq2Seq(12, 4, 6, attention=attention, copy=copy, dropout=0.0)


def test_teacher_forcing_asks_nothing_after_the_end():
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


def test_copying_can_write_what_was_never_a_target():
    """The scores give every word the same; what is copied is the one word of the source."""
    model = seq2seq()
    source = np.array([[11]])
    model.predict([source, np.array([[2]])])
    model.gate.bias.data[:] = -50
    p = model.predict([source, np.array([[2]])])
    assert p[0, 0, 11] == pytest.approx(1)


@pytest.mark.parametrize("attention", ["dot", "additive"])
def test_what_a_model_looks_at_is_what_it_copies(attention):
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


@pytest.fixture(scope="module")
def translator():
    """A model of a small language, without drafts."""
    set_seed(0)
    settings = {"merges": 40, "epochs": 40, "batch": 8, "dimension": 32, "units": 48, "dropout": 0.0}
    return train_translator(PAIRS, PAIRS[:5], learning_rate=0.005, verbose=0, **settings)


def test_a_translator_learns_a_small_language(translator):
    sources, targets = [s for s, _ in PAIRS], [t for _, t in PAIRS]
    assert exact_match(translate(translator, sources), targets) > 0.9
    assert translate(translator, sources[:3]) == [translate(translator, [s])[0] for s in sources[:3]]


def test_a_translator_is_saved_and_translates_from_the_command_line(translator, tmp_path, capsys):
    path = tmp_path / "model.safetensors"
    translator.save(path)
    texts = ["pain of skin and bone", "pain  of bone\nand chill"]
    assert translate(load_model(path), texts) == translate(translator, texts)
    assert cli.main(["translate", str(path), *texts]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{texts[0]}\t{translate(translator, texts[:1])[0]}"
    assert cli.main(["translate", str(path), " "]) == 1 and "is empty" in capsys.readouterr().err
    long = "发烧 " + "word " * 20_000  # another script, 100,000 characters: a translation, no failure
    assert cli.main(["translate", str(path), long]) == 0


def test_other_models_are_no_translators(tmp_path, capsys):
    model = LanguageModel(10, 4, 6)
    model.predict(np.array([[2, 5]]))
    model.save(tmp_path / "m.safetensors")
    assert cli.main(["translate", str(tmp_path / "m.safetensors"), "x"]) == 1
    assert "is not a translator" in capsys.readouterr().err


def test_drafts_come_from_other_pairs_and_travel_with_the_model(tmp_path):
    set_seed(0)
    model = train_translator(PAIRS, PAIRS[:5], merges=20, drafts=2, epochs=1, dimension=8, units=8, verbose=0)
    model.save(tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    assert again.preprocessing["pairs"] == [list(p) for p in PAIRS]
    assert translate(again, ["pain of bone"]) == translate(model, ["pain of bone"])


def test_a_source_is_followed_by_the_first_different_targets_and_never_by_its_own():
    pairs = [["chest pain", "A"], ["acute chest pain", "B"], ["chest pain now", "B"], ["leg wound", "C"]]
    codec = Codec.learn(Words(), ["chest pain acute now leg wound a b c"])
    how = {"codec": codec.config(), "longest": 99, "drafts": 2, "pairs": pairs}
    reader = SourceReader(how)
    assert codec.decode(reader.ids("chest  pain")) == "chest pain a b"
    read = [codec.decode(reader.ids(source, i)) for i, (source, _) in enumerate(pairs)]
    assert read == ["chest pain b c", "acute chest pain a b", "chest pain now a b", "leg wound a b"]


def test_nearest_text_by_a_slow_definition():
    texts = ["acute chest pain", "chest wound", "broken leg", "leg pain"]
    near, queries = NearestText(texts, str.split), ["pain chest", "leg wound", "unheard"]
    features = sorted({w for t in texts for w in t.split()})
    rarity = np.array([1 + np.log(4 / sum(f in t.split() for t in texts)) for f in features])
    vector = lambda t: np.array([t.split().count(f) for f in features]) * rarity  # noqa: E731  (no word is there twice)
    cosine = lambda a, b: a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-12)  # noqa: E731
    expected = [int(np.argmax([cosine(vector(q), vector(t)) for t in texts])) for q in queries]
    assert near.nearest(queries).tolist() == expected
    assert near.ranking(texts[0])[0] == 0 == near.ranking(texts[0], leave_out=0)[-1]
    with pytest.raises(ValueError, match="no texts"):
        NearestText([])


def test_batches_hold_each_pair_once_and_pad_little():
    rng = np.random.default_rng(0)
    sources = [[5] * n for n in rng.integers(1, 30, 50)]
    targets = [[START, 5 + i % 5, END] for i in range(50)]
    batches = PairBatches(sources, targets, 8)
    seen = sorted(int(i) for rows in batches.batches for i in rows)
    assert seen == list(range(50)) and len(batches) == 7
    assert sum((batches[i][0][0] == 0).sum() for i in range(7)) < 0.2 * sum(map(len, sources))


def test_errors():
    with pytest.raises(ValueError, match="cell is 'tree'"):
        LanguageModel(10, cell="tree")
    with pytest.raises(ValueError, match="attention is 'hard'"):
        Seq2Seq(10, attention="hard")
    with pytest.raises(ValueError, match="units is 7"):
        Seq2Seq(10, units=7)
