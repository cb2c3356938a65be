"""The nearest text by TF-IDF: a baseline for every model that writes, and a source of drafts for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from tinydx.preprocessing.text import Subwords


class NearestText:
    """An index of texts that finds the nearest one: the largest cosine of TF-IDF vectors.

    The entry of a text's vector for a feature is (1 + ln n) (1 + ln(N / m)), where the feature occurs n times in the text and
    in m of the N texts; each vector is scaled to length 1.

    Arguments: texts to search; tokenize, text -> features (None: words, pairs of words, and pieces of four letters).
    Raises: ValueError for no texts.

    >>> NearestText(["acute chest pain", "broken leg"]).nearest(["leg fracture"])
    array([1])
    """

    def __init__(self, texts: Sequence[str], tokenize: Callable[[str], list[str]] | None = None):
        if not texts:
            raise ValueError("NearestText: there are no texts to search")
        self.tokenize, self.n = tokenize or Subwords(4, 4).tokenize, len(texts)
        counts = [Counter(self.tokenize(text)) for text in texts]
        document_frequency = Counter(feature for c in counts for feature in c)
        self.idf = {feature: 1 + np.log(self.n / m) for feature, m in document_frequency.items()}
        rows: dict[str, list[int]] = {feature: [] for feature in self.idf}
        weights: dict[str, list[float]] = {feature: [] for feature in self.idf}
        for i, c in enumerate(counts):
            for feature, weight in self._vector(c).items():
                rows[feature].append(i)
                weights[feature].append(weight)
        self.postings = {f: (np.array(rows[f]), np.array(weights[f])) for f in self.idf}  # the texts with each feature

    def _vector(self, counts: Counter[str]) -> dict[str, float]:
        """The unit vector of a text, without features that occur in none of the indexed texts."""
        raw = {f: (1 + np.log(n)) * self.idf[f] for f, n in counts.items() if f in self.idf}
        norm = np.sqrt(sum(v * v for v in raw.values()))
        return {f: v / norm for f, v in raw.items()}

    def similarity(self, text: str) -> np.ndarray:
        """The cosine of a text with each indexed text.

        Arguments: text.
        Returns: (N,), 0 to 1.

        >>> NearestText(["chest pain", "leg"]).similarity("chest pain").round(6)
        array([1., 0.])
        """
        found = np.zeros(self.n)
        for feature, weight in self._vector(Counter(self.tokenize(text))).items():
            rows, weights = self.postings[feature]
            found[rows] += weight * weights
        return found

    def ranking(self, text: str, leave_out: int | None = None) -> np.ndarray:
        """The numbers of all indexed texts, the nearest first; equally near ones in their order.

        Arguments: text; leave_out, the number of a text to put last, whatever its similarity.
        Returns: (N,) int.

        >>> NearestText(["leg", "chest pain", "pain"]).ranking("chest pain").tolist()
        [1, 2, 0]
        """
        similarity = self.similarity(text)
        if leave_out is not None:
            similarity[leave_out] = -1
        return np.argsort(-similarity, kind="stable")

    def nearest(self, texts: Sequence[str]) -> np.ndarray:
        """For each text (N,) the number of the nearest indexed text; among equally near ones, the first."""
        return np.array([self.similarity(text).argmax() for text in texts], int)
