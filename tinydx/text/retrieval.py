"""The nearest text by TF-IDF: a baseline for everything that writes, and a draft for it to start from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from tinydx.preprocessing.text import Subwords


class NearestText:
    """Texts that can be asked which of them is nearest to another: the largest cosine of TF-IDF vectors.

    A text's vector holds for each of its features (words, pairs of words, pieces of four letters) 1 + ln(count), times
    1 + ln(N / texts that have the feature).

    >>> NearestText(["acute chest pain", "broken leg"]).nearest(["leg fracture"])
    array([1])
    """

    def __init__(self, texts: Sequence[str], tokenize: Callable[[str], list[str]] | None = None):
        if not texts:
            raise ValueError("NearestText: there are no texts to look among")
        self.tokenize, self.n = tokenize or Subwords(4, 4).tokenize, len(texts)
        counts = [Counter(self.tokenize(text)) for text in texts]
        having = Counter(feature for c in counts for feature in c)
        self.rarity = {feature: 1 + np.log(self.n / n) for feature, n in having.items()}
        where: dict[str, list[int]] = {feature: [] for feature in having}
        much: dict[str, list[float]] = {feature: [] for feature in having}
        for i, c in enumerate(counts):
            for feature, value in self._vector(c).items():
                where[feature].append(i)
                much[feature].append(value)
        self.texts_with = {f: (np.array(where[f]), np.array(much[f])) for f in having}

    def _vector(self, counts: Counter[str]) -> dict[str, float]:
        """The unit vector of a text, without features that no text has."""
        raw = {f: (1 + np.log(n)) * self.rarity[f] for f, n in counts.items() if f in self.rarity}
        norm = np.sqrt(sum(v * v for v in raw.values()))
        return {f: v / norm for f, v in raw.items()}

    def similarity(self, text: str) -> np.ndarray:
        """The cosine of this text with each of the texts (N,)."""
        found = np.zeros(self.n)
        for feature, value in self._vector(Counter(self.tokenize(text))).items():
            rows, values = self.texts_with[feature]
            found[rows] += value * values
        return found

    def ranking(self, text: str, leave_out: int | None = None) -> np.ndarray:
        """The numbers of all texts, the nearest first, equals in their order; leave_out, one that must not be first."""
        similarity = self.similarity(text)
        if leave_out is not None:
            similarity[leave_out] = -1
        return np.argsort(-similarity, kind="stable")

    def nearest(self, texts: Sequence[str]) -> np.ndarray:
        """For each text the number of the nearest one, the first of equals."""
        return np.array([self.similarity(text).argmax() for text in texts], int)
