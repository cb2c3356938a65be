r"""Words as vectors, learnt from which words occur near each other, and the document's mixing of them.

Skip-gram with negative sampling (Mikolov 2013) makes the product of the vector v_c of a word and the vector u_o of a neighbour
large, and the products of v_c with the vectors u_k of words drawn at random small:

    L = -\ln \sigma(v_c \cdot u_o) - \sum_{k} \ln \sigma(-v_c \cdot u_k)

The document's word vector mixes those of all words by their relatedness (document, 3.2):

    \vec{w_i} = \sum_{j} a_{ij} \vec{v_j} + \vec{b_i}

Here a_ij says how much more often words i and j are neighbours than if they were independent (positive pointwise mutual
information), with each row divided by its sum; w_i replaces v_i in L, so that v and b are trained through the mixing. The
engine computes gradients and optimizer steps: `ops.embedding`, `ops.embedding_mixing`, and Adam.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinydx import ops, random
from tinydx.files import atomic_write
from tinydx.names import in_figure
from tinydx.optimizers import Adam
from tinydx.preprocessing.text import END, Vocabulary
from tinydx.tensor import Tensor

Sentences = Sequence[Sequence[int]]  # ids of a vocabulary
FIRST_WORD = END + 1  # the first id that is not special


def neighbours(sentences: Sentences, window: int) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of neighbouring words, in both directions; special tokens are left out.

    Arguments: sentences, ids; window, the largest distance of neighbours in tokens.
    Returns: (words (P,), a neighbour of each (P,)).

    >>> neighbours([[4, 5, 6]], window=1)
    (array([4, 5, 5, 6]), array([5, 6, 4, 5]))
    """
    ids = np.fromiter((i for s in sentences for i in s), np.int64)
    sentence = np.repeat(np.arange(len(sentences)), [len(s) for s in sentences])
    first, second = [], []
    for distance in range(1, window + 1):
        left, right = ids[:-distance], ids[distance:]
        near = (sentence[:-distance] == sentence[distance:]) & (left >= FIRST_WORD) & (right >= FIRST_WORD)
        first += [left[near], right[near]]
        second += [right[near], left[near]]
    return np.concatenate(first), np.concatenate(second)


def relatedness(sentences: Sentences, size: int, window: int = 5) -> np.ndarray:
    r"""The matrix a of the document's mixing: positive pointwise mutual information, with each row divided by its sum.

        a_{ij} \propto \max\left(0, \ln \frac{n_{ij} n}{n_i n_j}\right)

    The rows of words without neighbours are 0. The matrix takes 4 size^2 bytes: 64 MB for 4000 words.

    Arguments: sentences, ids; size of the vocabulary; window, as in `neighbours`.
    Returns: float32 (size, size).

    >>> relatedness([[4, 5], [4, 5], [6, 7]], size=8)[4]
    array([0., 0., 0., 0., 0., 1., 0., 0.], dtype=float32)
    """
    counts = np.zeros((size, size), np.float32)
    np.add.at(counts, neighbours(sentences, window), 1)
    each = counts.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.nan_to_num(np.log(counts * each.sum() / (each * each.T)), nan=0.0, neginf=0.0)
    a = np.maximum(information, 0)
    return a / np.maximum(a.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)


class SkipGram:
    """Word vectors in training: `train` makes passes over sentences; `vectors` returns the vectors w of all words.

    Arguments: size of the vocabulary; dimension of the vectors; a (size, size), the relatedness that mixes them (None: w = v).
    Raises: ValueError for another shape of a.

    >>> random.set_seed(0)
    >>> losses = SkipGram(8, 4).train([[4, 5], [6, 7]] * 50, epochs=2, batch=32)
    >>> losses[1] < losses[0]
    True
    """

    def __init__(self, size: int, dimension: int = 64, a: np.ndarray | None = None):
        if a is not None and a.shape != (size, size):
            raise ValueError(f"SkipGram: a has shape {a.shape}, expected {(size, size)}")
        v, u = random.generator().uniform(-0.5, 0.5, (2, size, dimension)).astype(np.float32) / dimension
        self.v, self.u = Tensor(v, True, "v"), Tensor(u, True, "u")
        self.b = Tensor(np.zeros_like(v), a is not None, "b")
        self.a = a
        self.weights = [self.v, self.u] if a is None else [self.v, self.u, self.b]

    def _words(self) -> Tensor:
        """w of every word: v itself, or the document's mixing of it."""
        return self.v if self.a is None else ops.embedding_mixing(self.a, self.v, self.b)

    def vectors(self) -> np.ndarray:
        """The word vectors (size, dimension)."""
        return self._words().data.copy()

    def train(
        self,
        sentences: Sentences,
        epochs: int = 5,
        window: int = 5,
        negatives: int = 5,
        batch: int = 4096,
        learning_rate: float = 0.005,
    ) -> list[float]:
        """Train on all neighbours in sentences.

        Arguments: sentences, ids; epochs, passes; window, as in `neighbours`; negatives, words drawn for each pair, with
        probabilities proportional to their frequency to the power 0.75; batch, pairs of an optimizer step; learning_rate of
        Adam.
        Returns: the mean loss of each pass.
        Raises: ValueError for sentences without neighbours.
        """
        centres, contexts = neighbours(sentences, window)
        if not len(centres):
            raise ValueError("SkipGram: no two known words are neighbours in these sentences")
        frequency = np.bincount(centres, minlength=len(self.v)) ** 0.75
        negative = np.cumsum(frequency) / frequency.sum()
        optimizer, losses = Adam(learning_rate), []
        for _ in range(epochs):
            steps = _batches(centres, contexts, negative, negatives, batch)
            losses.append(float(np.mean([self._step(optimizer, *step) for step in steps])))
        return losses

    def _step(self, optimizer: Adam, centre: np.ndarray, context: np.ndarray) -> float:
        """One optimizer step: centre (B,), context (B, 1 + negatives), whose first column holds the true neighbours."""
        w = ops.embedding(self._words(), ids=centre)
        u = ops.embedding(self.u, ids=context)
        scores = (w.reshape(len(centre), 1, w.shape[1]) * u).sum(axis=2)
        is_neighbour = np.zeros(context.shape, np.float32)
        is_neighbour[:, 0] = 1
        loss = ops.sigmoid_binary_crossentropy(scores, target=is_neighbour)
        loss.backward()
        optimizer.apply([weight.gradient for weight in self.weights], self.weights)
        return float(loss)


def _batches(
    centres: np.ndarray, contexts: np.ndarray, negative: np.ndarray, negatives: int, batch: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Shuffled batches: (centres (B,), the true neighbour and the drawn words (B, 1 + negatives))."""
    rng = random.generator()
    order = rng.permutation(len(centres))
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        drawn = np.searchsorted(negative, rng.random((len(rows), negatives)))
        yield centres[rows], np.column_stack([contexts[rows], drawn])


class WordVectors:
    """The vectors of a vocabulary's words: nearest neighbours and a map.

    Arguments: vocabulary; vectors (words, dimension).
    Raises: ValueError for another number of vectors.

    >>> wv = WordVectors(Vocabulary(["fever", "chill", "bone"]), np.array([[0, 0]] * 4 + [[1, 0], [2, 0.1], [0, 1.0]]))
    >>> [word for word, _ in wv.nearest("fever", 1)]
    ['chill']
    """

    def __init__(self, vocabulary: Vocabulary, vectors: np.ndarray):
        if len(vectors) != len(vocabulary):
            raise ValueError(f"WordVectors: {len(vectors)} vectors for {len(vocabulary)} words")
        self.vocabulary, self.vectors = vocabulary, np.asarray(vectors)

    def nearest(self, word: str, n: int = 10) -> list[tuple[str, float]]:
        """The words whose vectors have the largest cosine with a word's vector.

        Arguments: word; n, how many.
        Returns: [(word, cosine)], the nearest first.
        Raises: KeyError for an unknown word.
        """
        if word not in self.vocabulary:
            raise KeyError(f"the word {word!r} is not in the vocabulary of {len(self.vocabulary)} words")
        unit = self.vectors / np.maximum(np.linalg.norm(self.vectors, axis=1, keepdims=True), 1e-12)
        own = self.vocabulary.number[word]
        cosine = unit @ unit[own]
        order = [int(i) for i in np.argsort(-cosine, kind="stable") if i >= FIRST_WORD and i != own]
        return [(self.vocabulary.tokens[i], float(cosine[i])) for i in order[:n]]

    def plane(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Project words on the plane that keeps most of their variance (principal components).

        Arguments: words (N).
        Returns: (places (N,2), the share of the variance that each axis keeps (2,)).

        >>> places, share = WordVectors(Vocabulary(["a", "b"]), np.eye(6)).plane(["a", "b"])
        >>> places.shape, share.round(6).tolist()
        ((2, 2), [1.0, 0.0])
        """
        rows = self.vectors[self.vocabulary.ids(words)]
        centred = rows - rows.mean(axis=0)
        left, singular, _ = np.linalg.svd(centred, full_matrices=False)
        return left[:, :2] * singular[:2], singular[:2] ** 2 / max(float((singular**2).sum()), 1e-30)

    def plot(self, groups: dict[str, Sequence[str]], path: str | Path) -> Path:
        """Write a picture of words on their plane.

        Arguments: groups, {name: words}, each in a colour of its own; path of the PNG file.
        Returns: the path.
        """
        words = [word for group in groups.values() for word in group]
        places, share = self.plane(words)
        return atomic_write(path, _picture(groups, dict(zip(words, places, strict=True)), share))


def _picture(groups: dict[str, Sequence[str]], place: dict[str, np.ndarray], share: np.ndarray) -> bytes:
    """The bytes of the PNG file."""
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), layout="constrained")
    axes: Any = figure.subplots()
    for name, words in groups.items():
        x, y = np.array([place[w] for w in words]).T
        axes.scatter(x, y, s=18, label=in_figure(name))
        for w in words:
            axes.annotate(in_figure(w), place[w], xytext=(4, 3), textcoords="offset points", fontsize=8)
    axes.set_xlabel(f"first principal component ({share[0]:.0%} of the variance)")
    axes.set_ylabel(f"second principal component ({share[1]:.0%})")
    axes.set_title("Word vectors")
    axes.legend(fontsize=9)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()
