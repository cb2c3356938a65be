"""Tokenizers, vocabulary, padding: texts of any script are accepted, and decoding returns the original."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinydx.preprocessing.text import PADDING, BytePairs, Characters, Codec, Vocabulary, Words, pad_sequences
from tinydx.preprocessing.text.tokenizers import CHUNK, from_config

TERMS = ["Typhoid fever", "Typhoid fever with heart involvement", "Paratyphoid fever, unspecified", "Fever NOS"] * 3


@given(st.text())
def test_byte_pairs_and_characters_give_the_text_back(text):
    valid = text.encode("utf-8", "replace").decode("utf-8")
    assert BytePairs.learn(TERMS, 40).join(BytePairs.learn(TERMS, 40).tokenize(text)) == valid
    codec = Codec.learn(BytePairs.learn(TERMS, 40), [])
    assert codec.decode(codec.encode(text, ends=True)) == valid and 1 not in codec.encode(text)


@given(st.text())
def test_words_lose_nothing_but_spaces_and_never_fail(text):
    tokens = Words().tokenize(text)
    assert all(tokens) and not any(token.isspace() for token in tokens)
    again = Words().tokenize(" ".join(tokens))
    assert again == tokens  # tokens are stable: a token is a token


def test_words_of_several_scripts():
    assert Words().tokenize("Fièvre élevée; лихорадка 38.5°") == ["fièvre", "élevée", ";", "лихорадка", "38", ".", "5", "°"]
    assert Words().tokenize("हिन्दी में बुखार") == ["हिन्दी", "में", "बुखार"]  # vowel signs belong to the word
    assert Words().tokenize("急性肺炎pneumonia") == ["急", "性", "肺", "炎", "pneumonia"]
    assert Words().tokenize("e\u0301tat") == Words().tokenize("état")  # composed or not


def test_merges_are_those_of_a_slow_learner():
    """An independent literal version of the algorithm: count all pairs anew for every merge."""
    words = Counter(c for t in TERMS for c in CHUNK.findall(" " + t))
    words = {tuple(w): n for w, n in words.items()}
    learnt = []
    for _ in range(25):
        pairs = Counter()
        for w, n in words.items():
            for i in range(len(w) - 1):
                pairs[w[i], w[i + 1]] += n
        best = max(pairs, key=lambda p: (pairs[p], p))
        learnt.append(best)
        joined = {}
        for w, n in words.items():
            out, i = [], 0
            while i < len(w):
                step = 2 if w[i : i + 2] == best else 1
                out.append("".join(w[i : i + step]))
                i += step
            joined[tuple(out)] = n
        words = joined
    assert BytePairs.learn(TERMS, 25).merges == learnt


def test_byte_pairs_stop_where_nothing_repeats():
    assert BytePairs.learn(["abc"], 10).merges == []
    assert BytePairs.learn([], 10).merges == []


def test_more_merges_make_fewer_tokens():
    counts = [len(BytePairs.learn(TERMS, n).tokenize(TERMS[1])) for n in (0, 10, 40)]
    assert counts[0] == len(TERMS[1]) + 1 > counts[1] > counts[2]


@pytest.mark.parametrize("tokenizer", [Words(), Characters(), BytePairs.learn(TERMS, 30)])
@pytest.mark.parametrize("text", ["", "a" * 100_000, "word " * 20_000, "急" * 100_000, "\u0301" * 1000, " " * 1000])
def test_empty_and_very_long_texts(tokenizer, text):
    tokens = tokenizer.tokenize(text)  # in linear time: quadratic would take minutes
    assert len(tokens) <= len(text.encode()) + 1 and (text or tokens == [])


@pytest.mark.parametrize("tokenizer", [Words(lower=False), Characters(), BytePairs.learn(TERMS, 30)])
def test_a_codec_survives_json(tokenizer):
    codec = Codec.learn(tokenizer, TERMS, minimum=2)
    again = Codec.from_config(json.loads(json.dumps(codec.config())))
    assert again.encode("Typhoid Fever новый", ends=True) == codec.encode("Typhoid Fever новый", ends=True)
    assert len(again) == len(codec)


def test_vocabulary_by_frequency_then_alphabet():
    v = Vocabulary.learn([["c", "b"], ["a", "c"], ["<pad>"]])
    assert v.tokens == ["<pad>", "<unk>", "<s>", "</s>", "c", "a", "b"]
    assert Vocabulary.learn([["c", "b", "c"]], size=5).tokens[4:] == ["c"]
    assert Vocabulary.learn([["c", "b", "c"]], minimum=2).tokens[4:] == ["c"]
    assert "c" in v and "x" not in v


def test_errors_are_one_line():
    with pytest.raises(TypeError, match=r"expected a str, got bytes: decode it"):
        Words().tokenize(b"abc")
    with pytest.raises(IndexError, match="id 9 is outside 0 to 4"):
        Vocabulary(["a"]).words([9])
    with pytest.raises(ValueError, match="'a' occurs twice"):
        Vocabulary(["a", "a"])
    with pytest.raises(ValueError, match="size is 4"):
        Vocabulary.learn([], size=4)
    with pytest.raises(ValueError, match="unknown tokenizer 'syllables'"):
        from_config({"kind": "syllables"})
    with pytest.raises(ValueError, match="padding is 'left'"):
        pad_sequences([[1]], padding="left")
    with pytest.raises(ValueError, match="maxlen is -1"):
        pad_sequences([[1]], maxlen=-1)
    with pytest.raises(ValueError, match="list of sequences"):
        pad_sequences([1, 2])


def test_decode_stops_at_the_end_and_shows_unknown_tokens():
    codec = Codec.learn(Words(), ["fever chill"])
    assert codec.decode([2, *codec.encode("fever malaria"), 3, 4, 4]) == "fever <unk>"


@given(
    st.lists(st.lists(st.integers(1, 9), max_size=6), max_size=5),
    st.one_of(st.none(), st.integers(0, 8)),
    st.sampled_from(["pre", "post"]),
    st.sampled_from(["pre", "post"]),
)
def test_pad_sequences_as_lists(sequences, maxlen, padding, truncating):
    """Against slicing of plain lists, and as Keras describes it."""
    out = pad_sequences(sequences, maxlen, padding=padding, truncating=truncating)
    length = max(map(len, sequences), default=0) if maxlen is None else maxlen
    assert out.shape == (len(sequences), length) and out.dtype == np.int32
    for row, s in zip(out.tolist(), sequences, strict=True):
        kept = s[:length] if truncating == "post" else (s[-length:] if length else [])
        zeros = [0] * (length - len(kept))
        assert row == (zeros + kept if padding == "pre" else kept + zeros)
    assert (out != PADDING).sum() == sum(min(len(s), length) for s in sequences)


def test_pad_sequences_of_keras():
    """The first examples of Keras's documentation."""
    s = [[1], [2, 3], [4, 5, 6]]
    assert pad_sequences(s).tolist() == [[0, 0, 1], [0, 2, 3], [4, 5, 6]]
    assert pad_sequences(s, value=-1).tolist() == [[-1, -1, 1], [-1, 2, 3], [4, 5, 6]]
    assert pad_sequences(s, padding="post").tolist() == [[1, 0, 0], [2, 3, 0], [4, 5, 6]]
    assert pad_sequences(s, maxlen=2).tolist() == [[0, 1], [2, 3], [5, 6]]
