"""Translation: pairs to batches, a model of a small language, its file, its drafts, and what it refuses."""

import numpy as np
import pytest

from tinydx import cli, set_seed
from tinydx.models import load_model
from tinydx.preprocessing.text import END, PADDING, START, Codec, Words
from tinydx.text import translation
from tinydx.text.retrieval import NearestText
from tinydx.text.scores import exact_match
from tinydx.text.sequences import LanguageModel
from tinydx.text.translation import PairBatches, SourceReader, train_translator, translate

WORDS = ["fever", "chill", "bone", "skin", "heart"]
PAIRS = [(f"pain of {a} and {b}", f"{b} {a} ache") for a in WORDS for b in WORDS]
SMALL = {"merges": 20, "epochs": 1, "dimension": 8, "units": 8, "verbose": 0}


@pytest.fixture(scope="module")
def translator():
    """A model of a small language, without drafts."""
    set_seed(0)
    settings = {"merges": 40, "epochs": 40, "batch": 8, "dimension": 32, "units": 48, "dropout": 0.0}
    return train_translator(PAIRS, PAIRS[:5], learning_rate=0.005, verbose=0, **settings)


# --- batches ------------------------------------------------------------------------------------------------


def pairs_of_ids(n=50):
    rng = np.random.default_rng(0)
    return [[5] * k for k in rng.integers(1, 30, n)], [[START, *[5 + i % 5] * (1 + i % 3), END] for i in range(n)]


def test_batches_hold_each_pair_once_and_pad_little():
    sources, targets = pairs_of_ids()
    batches = PairBatches(sources, targets, 8)
    seen = sorted(int(i) for rows in batches.batches for i in rows)
    assert seen == list(range(50)) and len(batches) == 7
    padding = sum((batches[i][0][0] == PADDING).sum() for i in range(7))
    assert padding < 0.2 * sum(map(len, sources))


def test_a_batch_is_source_tokens_so_far_and_next_tokens():
    sources, targets = pairs_of_ids()
    batches = PairBatches(sources, targets, 8)
    for number, rows in enumerate(batches.batches):
        (source, words), following = batches[number]
        for row, i in enumerate(rows):
            assert source[row].tolist() == sources[i] + [PADDING] * (source.shape[1] - len(sources[i]))
            real = len(targets[i]) - 1
            assert words[row, :real].tolist() == targets[i][:-1] and (words[row, real:] == PADDING).all()
            assert following[row, :real].tolist() == targets[i][1:]


def test_each_pass_has_another_order_and_a_seed_repeats_them():
    def passes():
        set_seed(3)
        batches, orders = PairBatches(*pairs_of_ids(), 8), []
        for _ in range(3):
            orders.append([rows.tolist() for rows in batches.batches])
            batches.on_epoch_end()
        return orders

    first = passes()
    assert first[0] != first[1] != first[2] and first == passes()
    sources, _ = pairs_of_ids()
    for order in first:  # batches are shuffled, pairs within them sorted by length
        shortest = [len(sources[rows[0]]) for rows in order]
        assert shortest != sorted(shortest)
        assert all([len(sources[i]) for i in rows] == sorted(len(sources[i]) for i in rows) for rows in order)


# --- the source and its drafts ------------------------------------------------------------------------------


def reader_of(pairs, drafts, longest=99):
    codec = Codec.learn(Words(), [" ".join(s + " " + t for s, t in pairs)])
    return codec, SourceReader({"codec": codec.config(), "longest": longest, "drafts": drafts, "pairs": pairs})


def test_a_source_is_followed_by_the_first_different_targets_and_never_by_its_own():
    pairs = [["chest pain", "A"], ["acute chest pain", "B"], ["chest pain now", "B"], ["leg wound", "C"]]
    codec, reader = reader_of(pairs, drafts=2)
    assert codec.decode(reader.ids("chest  pain")) == "chest pain a b"
    read = [codec.decode(reader.ids(source, i)) for i, (source, _) in enumerate(pairs)]
    assert read == ["chest pain b c", "acute chest pain a b", "chest pain now a b", "leg wound a b"]


def test_without_drafts_a_source_is_alone_and_cut():
    codec, reader = reader_of([["chest pain", "A"], ["leg wound", "B"]], drafts=0, longest=3)
    assert reader.index is None and codec.decode(reader.ids("leg wound chest pain")) == "leg wound chest"
    codec, reader = reader_of([["chest pain", "A b c d e"], ["leg wound", "B"]], drafts=1, longest=3)
    assert codec.decode(reader.ids("chest pain")) == "chest pain a b c"  # a draft is cut, too


def test_drafts_are_the_targets_of_the_nearest_sources():
    targets = [t for _, t in PAIRS]
    codec, reader = reader_of([list(p) for p in PAIRS], drafts=1)
    index = NearestText([s for s, _ in PAIRS])
    for text in ("pain of bone", "skin and heart", "chill"):
        draft = targets[index.nearest([text])[0]]
        assert codec.decode(reader.ids(text)) == f"{text} {draft}"


def test_training_reads_drafts_from_other_pairs_only(monkeypatch):
    """Were a pair's own target among its drafts, training would learn to copy it."""
    pairs = [(s, f"answer {i}") for i, (s, _) in enumerate(PAIRS)]
    seen, drafts_of = {}, SourceReader._drafts

    def watched(self, text, own):
        seen[text, own] = drafts_of(self, text, own)
        return seen[text, own]

    monkeypatch.setattr(SourceReader, "_drafts", watched)
    train_translator(pairs, pairs[:2], drafts=3, **SMALL)
    in_training = {own: drafts for (_, own), drafts in seen.items() if own is not None}
    assert sorted(in_training) == list(range(len(pairs)))
    assert all(f"answer {own}" not in drafts and len(drafts) == 3 for own, drafts in in_training.items())
    assert seen[pairs[0][0], None][0] == "answer 0"  # a validation source has no pair to leave out


# --- the model ----------------------------------------------------------------------------------------------


def test_a_translator_learns_a_small_language(translator):
    sources, targets = [s for s, _ in PAIRS], [t for _, t in PAIRS]
    assert exact_match(translate(translator, sources), targets) > 0.9
    assert exact_match(sources, targets) == 0  # copying the input is no solution


def test_a_text_is_translated_alike_alone_and_among_others(translator, monkeypatch):
    sources = ["pain of skin and bone", "bone", "pain of heart and heart", "chill and fever"]
    together = translate(translator, sources)
    assert together == [translate(translator, [s])[0] for s in sources]
    monkeypatch.setattr(translation, "BATCH", 2)
    assert translate(translator, sources) == together and translate(translator, []) == []


def test_a_beam_of_one_is_greedy(translator):
    sources = [s for s, _ in PAIRS[:6]]
    reader = SourceReader(translator.preprocessing)
    greedy = []
    for source in sources:
        state, token, written = translator.start(np.array([reader.ids(source)])), START, []
        while token != END and len(written) < 20:
            logp, state = translator.step(np.array([token]), state)
            token = int(logp.argmax())
            written.append(token)
        greedy.append(reader.codec.decode(written))
    assert translate(translator, sources, width=1) == greedy


def test_a_translation_ends_after_the_longest_text(translator, monkeypatch):
    monkeypatch.setitem(translator.preprocessing, "longest", 2)
    codec = SourceReader(translator.preprocessing).codec
    assert all(len(codec.encode(text)) <= 2 for text in translate(translator, [s for s, _ in PAIRS[:5]]))


def test_the_best_epoch_is_kept_and_the_learning_rate_falls_at_the_end(monkeypatch):
    kept = {}
    fit = translation.Seq2Seq.fit

    def watched(self, *arguments, **keywords):
        kept["history"] = fit(self, *arguments, **keywords).history
        kept["accuracy"] = self.evaluate(keywords["validation_data"], verbose=0)[1]
        return kept["history"]

    monkeypatch.setattr(translation.Seq2Seq, "fit", watched)
    set_seed(0)
    train_translator(PAIRS, PAIRS[:9], learning_rate=0.05, **{**SMALL, "epochs": 6})
    history = kept["history"]
    assert kept["accuracy"] == pytest.approx(max(history["val_accuracy"]), abs=1e-6)
    np.testing.assert_allclose(history["learning_rate"], 0.05 * np.array([1, 1, 1, 1, 1, 0.5]), rtol=1e-5)


def test_the_seed_decides_the_weights():
    def weights(seed):
        set_seed(seed)
        model = train_translator(PAIRS, PAIRS[:3], drafts=1, **SMALL)
        return np.concatenate([w.ravel() for w in model.get_weights()])

    first = weights(5)
    assert np.array_equal(first, weights(5)) and not np.array_equal(first, weights(6))


# --- its file and its command -------------------------------------------------------------------------------


def test_a_translator_is_saved_and_translates_from_the_command_line(translator, tmp_path, capsys):
    path = tmp_path / "model.safetensors"
    translator.save(path)
    texts = ["pain of skin and bone", "pain  of bone\nand chill"]
    assert translate(load_model(path), texts) == translate(translator, texts)
    assert cli.main(["translate", str(path), *texts]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{texts[0]}\t{translate(translator, texts[:1])[0]}"
    assert cli.main(["translate", str(path), "--beam", "1", texts[0]]) == 0
    assert capsys.readouterr().out == f"{texts[0]}\t{translate(translator, texts[:1], width=1)[0]}\n"
    long = "发烧 " + "word " * 20_000  # another script, 100,000 characters: a translation, no failure
    assert cli.main(["translate", str(path), long]) == 0


def test_drafts_come_from_other_pairs_and_travel_with_the_model(tmp_path):
    set_seed(0)
    model = train_translator(PAIRS, PAIRS[:5], drafts=2, **SMALL)
    model.save(tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    assert again.preprocessing["pairs"] == [list(p) for p in PAIRS]
    assert translate(again, ["pain of bone"]) == translate(model, ["pain of bone"])
    assert train_translator(PAIRS, PAIRS[:5], drafts=0, **SMALL).preprocessing["pairs"] == []  # no drafts, no pairs to carry


# --- what it refuses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("texts", [[" "], ["pain", "\n\t"]])
def test_an_empty_text_is_named(translator, texts):
    with pytest.raises(ValueError, match=rf"text {len(texts)} of {len(texts)} is empty"):
        translate(translator, texts)


def test_errors_of_the_command_are_one_line(translator, tmp_path, capsys):
    translator.save(tmp_path / "m.safetensors")
    assert cli.main(["translate", str(tmp_path / "m.safetensors"), " "]) == 1
    err = capsys.readouterr().err
    assert "is empty" in err and err.count("\n") == 1


def test_other_models_are_not_translators(tmp_path, capsys):
    model = LanguageModel(10, 4, 6)
    model.predict(np.array([[2, 5]]))
    model.save(tmp_path / "m.safetensors")
    assert cli.main(["translate", str(tmp_path / "m.safetensors"), "x"]) == 1
    assert "is not a translator" in capsys.readouterr().err
