"""Tokens <-> ids. Four ids mean the same in every vocabulary: padding 0, unknown 1, start 2, end 3.

`Codec` joins a tokenizer and its vocabulary: text -> ids -> text, small enough to be saved in a model's file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tinydx.preprocessing.text.tokenizers import BytePairs, from_config

PADDING, UNKNOWN, START, END = range(4)
SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]  # no tokenizer writes these: < and > are tokens of their own


class Vocabulary:
    """The tokens that a model knows, each with an id.

    Arguments: tokens, without the four special ones; the first gets the id 4.
    Raises: ValueError for a token that occurs twice, or is no text.

    >>> v = Vocabulary.learn([["a", "b"], ["b"]])
    >>> v.ids(["b", "a", "new"]), v.words([4, 5, 1]), len(v)
    ([4, 5, 1], ['b', 'a', '<unk>'], 6)
    """

    def __init__(self, tokens: Iterable[str]):
        self.tokens = [*SPECIAL, *tokens]
        for token in self.tokens:
            if not isinstance(token, str):
                raise ValueError(f"Vocabulary: {token!r} is no text")
        self.number = {token: i for i, token in enumerate(self.tokens)}
        if len(self.number) != len(self.tokens):
            twice = next(token for token, n in Counter(self.tokens).items() if n > 1)
            raise ValueError(f"Vocabulary: {twice!r} occurs twice")

    @classmethod
    def learn(cls, texts: Iterable[Sequence[str]], size: int | None = None, minimum: int = 1) -> Vocabulary:
        """The most frequent tokens of tokenized texts; equally frequent ones in alphabetical order.

        Arguments: texts, a list of tokens each; size of the vocabulary with its special tokens (None: unlimited); minimum, how
        often a token must occur.
        Raises: ValueError for a size that leaves room for special tokens only.
        """
        if size is not None and size <= len(SPECIAL):
            raise ValueError(f"Vocabulary: size is {size}, expected more than the {len(SPECIAL)} special tokens")
        counts = Counter(token for tokens in texts for token in tokens)
        known = sorted((t for t, n in counts.items() if n >= minimum and t not in SPECIAL), key=lambda t: (-counts[t], t))
        return cls(known if size is None else known[: size - len(SPECIAL)])

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        return token in self.number

    def ids(self, tokens: Iterable[str]) -> list[int]:
        """The id of each token, 1 for unknown ones."""
        return [self.number.get(token, UNKNOWN) for token in tokens]

    def words(self, ids: Iterable[int]) -> list[str]:
        """The token of each id. IndexError for ids outside the vocabulary."""
        ids = [int(i) for i in ids]
        for i in ids:
            if not 0 <= i < len(self):
                raise IndexError(f"Vocabulary: id {i} is outside 0 to {len(self) - 1}")
        return [self.tokens[i] for i in ids]


class Codec:
    """A tokenizer and its vocabulary.

    Arguments: tokenizer; vocabulary of its tokens.

    >>> codec = Codec.learn(BytePairs.learn(["fever and chill"], merges=5), [])
    >>> codec.decode(codec.encode("Fieber 发烧"))
    'Fieber 发烧'
    """

    def __init__(self, tokenizer: Any, vocabulary: Vocabulary):
        self.tokenizer, self.vocabulary = tokenizer, vocabulary

    @classmethod
    def learn(cls, tokenizer: Any, texts: Iterable[str], size: int | None = None, minimum: int = 1) -> Codec:
        """A tokenizer with the vocabulary of these texts; the vocabulary of BytePairs is its own symbols.

        Arguments: tokenizer; texts; size and minimum, as in `Vocabulary.learn`.
        """
        if isinstance(tokenizer, BytePairs):
            return cls(tokenizer, Vocabulary(tokenizer.symbols))
        return cls(tokenizer, Vocabulary.learn((tokenizer.tokenize(t) for t in texts), size, minimum))

    def __len__(self) -> int:
        return len(self.vocabulary)

    def encode(self, text: str, ends: bool = False) -> list[int]:
        """The ids of a text; none for an empty one.

        Arguments: text; ends, put the ids of start and end around them.
        """
        ids = self.vocabulary.ids(self.tokenizer.tokenize(text))
        return [START, *ids, END] if ends else ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids up to the first end. Start and padding are skipped; an unknown token appears as <unk>."""
        kept: list[int] = []
        for i in map(int, ids):
            if i == END:
                break
            if i not in (PADDING, START):
                kept.append(i)
        words = self.vocabulary.words(kept)
        return self.tokenizer.join(words)

    def config(self) -> dict[str, Any]:
        """Plain data from which `from_config` makes the same codec."""
        known = [] if isinstance(self.tokenizer, BytePairs) else self.vocabulary.tokens[len(SPECIAL) :]
        return {"tokenizer": self.tokenizer.config(), "tokens": known}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Codec:
        """The codec that `config()` described; ValueError for any other description."""
        if not isinstance(config, dict) or not isinstance(config.get("tokens"), list) or "tokenizer" not in config:
            raise ValueError("a codec needs a tokenizer and a list of tokens")
        tokenizer = from_config(config["tokenizer"])
        return cls(tokenizer, Vocabulary(tokenizer.symbols if isinstance(tokenizer, BytePairs) else config["tokens"]))


def pad_sequences(
    sequences: Iterable[Sequence[int]],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float = 0,
) -> np.ndarray:
    """Sequences of different lengths as one array: Keras's function of this name.

    Arguments: sequences of numbers; maxlen, None for the longest one's length; dtype of the result; padding and truncating, "pre"
    or "post", the end at which values are added or cut off; value to fill with.
    Returns: (N, maxlen).
    Raises: ValueError for another padding or truncating, a negative maxlen, and sequences that are not 1-dimensional.

    >>> pad_sequences([[1, 2, 3], [4]], maxlen=2, padding="post")
    array([[2, 3],
           [4, 0]], dtype=int32)
    """
    for name, given in (("padding", padding), ("truncating", truncating)):
        if given not in ("pre", "post"):
            raise ValueError(f"pad_sequences: {name} is {given!r}, expected 'pre' or 'post'")
    rows = [np.asarray(s) for s in sequences]
    if any(row.ndim != 1 for row in rows):
        raise ValueError("pad_sequences: expected a list of sequences of numbers, such as [[1, 2], [3]]")
    maxlen = max((len(row) for row in rows), default=0) if maxlen is None else maxlen
    if maxlen < 0:
        raise ValueError(f"pad_sequences: maxlen is {maxlen}, expected 0 or more")
    out = np.full((len(rows), maxlen), value, dtype)
    for i, row in enumerate(rows):
        kept = row[max(0, len(row) - maxlen) :] if truncating == "pre" else row[:maxlen]
        first = maxlen - len(kept) if padding == "pre" else 0
        out[i, first : first + len(kept)] = kept
    return out
