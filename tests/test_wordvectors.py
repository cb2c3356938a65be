"""Word vectors: neighbours, relatedness and gradients against slow definitions, and words with the same use become neighbours."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinydx import set_seed
from tinydx.optimizers import SGD
from tinydx.preprocessing.text import Vocabulary
from tinydx.text.word_vectors import SkipGram, WordVectors, neighbours, relatedness

SENTENCES = st.lists(st.lists(st.integers(0, 7), max_size=6), min_size=1, max_size=5)


@given(SENTENCES, st.integers(1, 4))
def test_neighbours_by_loops(sentences, window):
    expected = []
    for s in sentences:
        for i, word in enumerate(s):
            for j, other in enumerate(s):
                if i != j and abs(i - j) <= window and word >= 4 and other >= 4:
                    expected.append((word, other))
    found = list(zip(*(a.tolist() for a in neighbours(sentences, window)), strict=True))
    assert sorted(found) == sorted(expected)


@given(SENTENCES)
def test_relatedness_by_its_definition(sentences):
    pairs = list(zip(*neighbours(sentences, 5), strict=True))
    a = relatedness(sentences, 8)
    expected = np.zeros((8, 8))
    for i, j in set(pairs):
        n_i, n_j = (sum(p[0] == k for p in pairs) for k in (i, j))
        expected[i, j] = max(0.0, np.log(pairs.count((i, j)) * len(pairs) / (n_i * n_j)))
    sums = expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(a, np.where(sums > 1e-6, expected / np.maximum(sums, 1e-6), a), atol=1e-5)
    assert np.isfinite(a).all() and (a >= 0).all()


def twins(n=400):
    """A language of two subjects: words 4-7 stand together, and 8-11 do."""
    rng = np.random.default_rng(0)
    return [list(rng.choice([4, 5, 6, 7] if i % 2 else [8, 9, 10, 11], 3, replace=False)) for i in range(n)]


@pytest.mark.parametrize("mixed", [False, True])
def test_words_with_the_same_use_become_neighbours(mixed):
    set_seed(0)
    sentences = twins()
    a = relatedness(sentences, 12) if mixed else None
    model = SkipGram(12, 8, a)
    losses = model.train(sentences, epochs=12, batch=128, learning_rate=0.02)
    assert losses[-1] < 0.9 * losses[0]
    wv = WordVectors(Vocabulary("abcdefgh"), model.vectors())
    assert {w for w, _ in wv.nearest("a", 3)} == set("bcd") and {w for w, _ in wv.nearest("h", 3)} == set("efg")


def test_vectors_are_the_documents_mixing():
    set_seed(0)
    a = relatedness(twins(), 12)
    model = SkipGram(12, 4, a)
    model.train(twins(), epochs=1)
    np.testing.assert_allclose(model.vectors(), a @ model.v.data + model.b.data, rtol=1e-5)
    assert np.abs(model.b.data[4:]).max() > 0  # the bias was trained, too


def test_an_optimizer_step_descends_the_loss_of_the_docstring():
    """The gradient of v by central differences of L, written down once more in NumPy."""
    set_seed(1)
    model = SkipGram(8, 3)
    for weight in model.weights:
        weight.data = weight.data.astype(np.float64) * 10
    centre, context = np.array([4, 5]), np.array([[5, 6], [4, 4]])
    before = model.v.data.copy()

    def loss(v):
        z = np.einsum("bd,bkd->bk", v[centre], model.u.data[context]) * [1, -1]
        return np.log1p(np.exp(-z)).mean()

    numeric = np.zeros_like(before)
    for i in np.ndindex(before.shape):
        step = np.zeros_like(before)
        step[i] = 1e-6
        numeric[i] = (loss(before + step) - loss(before - step)) / 2e-6
    expected = loss(before)
    assert model._step(SGD(1.0), centre, context) == pytest.approx(expected)
    np.testing.assert_allclose(before - model.v.data, numeric, atol=1e-8)


def test_the_plane_keeps_distances_of_words_that_lie_in_one(tmp_path):
    rng = np.random.default_rng(0)
    flat, basis = rng.normal(size=(8, 2)), np.linalg.qr(rng.normal(size=(5, 2)))[0]
    wv = WordVectors(Vocabulary("abcd"), flat @ basis.T)
    places, share = wv.plane(list("abcd"))
    assert share.sum() == pytest.approx(1)
    distance = lambda p: np.linalg.norm(p[:, None] - p[None], axis=2)  # noqa: E731
    np.testing.assert_allclose(distance(places), distance(flat[4:]), atol=1e-10)
    path = wv.plot({"one": ["a", "b"], "two": ["c", "d"]}, tmp_path / "map.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_errors():
    with pytest.raises(KeyError, match="'x' is not in the vocabulary of 5"):
        WordVectors(Vocabulary("a"), np.zeros((5, 2))).nearest("x")
    with pytest.raises(ValueError, match="3 vectors for 5 words"):
        WordVectors(Vocabulary("a"), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="no two known words are neighbours"):
        SkipGram(8).train([[4], []])
    with pytest.raises(ValueError, match=r"a has shape \(2, 2\)"):
        SkipGram(8, a=np.zeros((2, 2)))
