"""The nearest text by TF-IDF: against scikit-learn, and against its own definition on small texts."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinydx.preprocessing.text import Subwords, Words
from tinydx.text.retrieval import NearestText

TEXTS = [
    "Acute chest pain",
    "Pain in the chest, worse when breathing",
    "Open fracture of the left femur",
    "Fracture of femur",
    "Fever and chills and fever again",
    "慢性肾炎",
    "急性肾炎",
    "Chest pain",
]
QUERIES = ["chest pain at night", "broken femur", "fever fever fever", "肾炎", "xyzzy", ""]


def reference(texts, queries, tokenize):
    """The same weights by scikit-learn: 1 + ln n, times 1 + ln(N / m), scaled to length 1."""
    text = pytest.importorskip("sklearn.feature_extraction.text")
    vectorizer = text.TfidfVectorizer(analyzer=tokenize, sublinear_tf=True, smooth_idf=False, norm="l2", dtype=np.float64)
    index = vectorizer.fit_transform(texts)
    return (vectorizer.transform(queries) @ index.T).toarray()


@pytest.mark.parametrize("tokenize", [None, Words().tokenize, Subwords(2, 5).tokenize, str.split], ids=str)
def test_similarities_are_those_of_scikit_learn(tokenize):
    index = NearestText(TEXTS, tokenize)
    expected = reference(TEXTS, QUERIES, tokenize or Subwords(4, 4).tokenize)
    np.testing.assert_allclose([index.similarity(q) for q in QUERIES], expected, rtol=0, atol=1e-12)
    assert expected.max() > 0.5  # the comparison is not of zeros
    assert index.nearest(QUERIES).tolist() == expected.argmax(axis=1).tolist()


words = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), min_size=0, max_size=6).map(" ".join)


@given(st.lists(words, min_size=1, max_size=6), words)
def test_similarity_by_its_definition(texts, query):
    """Feature by feature, with sums over all texts."""

    def weight(text, feature):
        n, m = text.split().count(feature), sum(feature in t.split() for t in texts)
        return (1 + np.log(n)) * (1 + np.log(len(texts) / m)) if n and m else 0.0

    def vector(text):
        raw = np.array([weight(text, feature) for feature in "abcde"])
        return raw / max(np.sqrt((raw**2).sum()), 1e-300)

    expected = [vector(query) @ vector(text) for text in texts]
    np.testing.assert_allclose(NearestText(texts, str.split).similarity(query), expected, rtol=0, atol=1e-12)


def test_a_text_is_nearest_to_itself_and_rare_words_count_more():
    index = NearestText(TEXTS)
    np.testing.assert_allclose([index.similarity(text)[i] for i, text in enumerate(TEXTS)], 1)
    index = NearestText(["the leg", "the arm", "the ear", "pain"], str.split)
    assert index.nearest(["the pain"]).tolist() == [3]  # "the" is in three texts, "pain" in one


def test_a_repeated_word_counts_by_its_logarithm():
    once, thrice = NearestText(["a b", "c"], str.split), NearestText(["a a a b", "c"], str.split)
    assert thrice.similarity("a")[0] > once.similarity("a")[0]
    a, b = 1 + np.log(3), 1.0  # both words are in one text
    assert thrice.similarity("a")[0] == pytest.approx(a / np.hypot(a, b))


def test_the_ranking_is_sorted_stable_and_complete():
    index = NearestText(["leg pain", "chest pain", "nothing", "chest pain", "else"], str.split)
    ranking = index.ranking("chest pain")
    assert ranking.tolist() == [1, 3, 0, 2, 4]  # equal texts, and those without a common word, keep their order
    assert index.ranking("chest pain", leave_out=1).tolist() == [3, 0, 2, 4, 1]
    assert index.ranking("unheard", leave_out=0).tolist() == [1, 2, 3, 4, 0]
    assert index.ranking("chest pain").tolist() == ranking.tolist()  # leaving out changes nothing for later


def test_among_equals_the_first_is_nearest():
    index = NearestText(["b", "a", "a"], str.split)
    assert index.nearest(["a", "unheard"]).tolist() == [1, 0]
    found = index.nearest([])
    assert found.shape == (0,) and found.dtype.kind == "i"


def test_the_default_features_are_words_pairs_and_pieces_of_four():
    index = NearestText(["nephritis"])
    assert set(index.idf) == set(Counter(Subwords(4, 4).tokenize("nephritis")))
    assert NearestText(["nephritis", "hepatic"]).nearest(["Nephropathy"]).tolist() == [0]  # by <nep, neph and ephr


def test_no_texts_are_an_error():
    with pytest.raises(ValueError, match="NearestText: there are no texts to search"):
        NearestText([])
    with pytest.raises(TypeError, match="expected a str, got bytes"):
        NearestText([b"pain"])
