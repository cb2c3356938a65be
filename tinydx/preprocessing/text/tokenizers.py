"""Tokenizers: text -> tokens. Three of them lead back from tokens to text; the fourth makes a bag of features.

    "Acute cholera"   Words        acute | cholera                       small inputs; a new word is unknown
                      Characters   A | c | u | t | e | ␣ | c | ...       long inputs; a new letter is unknown
                      BytePairs    Ac | ute | ␣chol | era                in between; nothing is ever unknown
                      Subwords     <acute> | acute cholera | <ac | acu   a bag for classification; parts of new words are known

A tokenizer has `tokenize(text)`, `config()`, from which `from_config` makes it again, and, except Subwords, `join(tokens)`.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

Pair = tuple[str, str]

LONGEST_CHUNK = 32  # characters that byte pairs may join: merging takes time quadratic in a chunk's length
CHUNK = re.compile(rf" ?\w{{1,{LONGEST_CHUNK}}}| ?[^\w\s]{{1,{LONGEST_CHUNK}}}|\s{{1,{LONGEST_CHUNK}}}")

# scripts written without spaces: each character counts as a word
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"


def checked_text(text: Any, who: str) -> str:
    """The text itself.

    Raises: TypeError for anything but a str, such as bytes.

    >>> checked_text("fever", "Words")
    'fever'
    """
    if not isinstance(text, str):
        hint = ": decode it, text.decode('utf-8')" if isinstance(text, bytes) else ""
        raise TypeError(f"{who}: expected a str, got {type(text).__name__}{hint}")
    return text


@functools.cache
def _word_pattern() -> re.Pattern:
    """Matches a word of letters, digits and their marks; one character of an unspaced script; or one other sign."""
    marks = "".join(chr(c) for c in range(0x300, 0x10000) if unicodedata.category(chr(c)) in ("Mn", "Mc"))
    letter = rf"(?:(?![{UNSPACED}])[\w{re.escape(marks)}])"
    return re.compile(rf"[{UNSPACED}][{re.escape(marks)}]*|{letter}+(?:['’]{letter}+)*|[^\w\s]")


class Words:
    """Words of any script; punctuation marks are tokens of their own.

    Arguments: lower, convert to lower case.

    >>> Words().tokenize("Crohn's disease, 急性 (small)")
    ["crohn's", 'disease', ',', '急', '性', '(', 'small', ')']
    """

    def __init__(self, lower: bool = True):
        self.lower = lower

    def tokenize(self, text: str) -> list[str]:
        """The tokens of a text; TypeError for anything but a str."""
        text = unicodedata.normalize("NFC", checked_text(text, "Words"))
        return _word_pattern().findall(text.lower() if self.lower else text)

    def join(self, tokens: Sequence[str]) -> str:
        """The tokens as a sentence, with spaces as English sets them, which may differ from the original's."""
        text = " ".join(tokens)
        text = re.sub(r"([(\[]) | (?=[)\],.;:?!%])", r"\1", text)
        return re.sub(rf"(?<=[{UNSPACED}]) (?=[{UNSPACED}])", "", text)

    def config(self) -> dict[str, Any]:
        """Plain data for `from_config`."""
        return {"kind": "words", "lower": self.lower}


class Characters:
    """One token for each character.

    >>> Characters().tokenize("ab c")
    ['a', 'b', ' ', 'c']
    """

    def tokenize(self, text: str) -> list[str]:
        """The tokens of a text; TypeError for anything but a str."""
        return list(unicodedata.normalize("NFC", checked_text(text, "Characters")))

    def join(self, tokens: Sequence[str]) -> str:
        """The text of these tokens."""
        return "".join(tokens)

    def config(self) -> dict[str, Any]:
        """Plain data for `from_config`."""
        return {"kind": "characters"}


class BytePairs:
    """Byte pair encoding over UTF-8 bytes: each merge turns a frequent pair of tokens into one token.

    A token is written with one character for each byte (Latin-1), so that every text of any script has tokens, and `join` returns
    exactly the original text.

    Arguments: merges, the pairs in the order in which they were learnt; see `learn`.
    Source: Sennrich 2016.

    >>> BytePairs.learn(["aab aab ba"], merges=3).tokenize("aab aa")
    [' aab', ' ', 'a', 'a']
    """

    def __init__(self, merges: Iterable[Sequence[str]] = ()):
        self.merges: list[Pair] = [(first, second) for first, second in merges]
        for text in (text for pair in self.merges for text in pair):
            if not isinstance(text, str) or not text or max(text) > "\xff":
                raise ValueError(f"BytePairs: {text!r} is no text of one character for each byte")
        self.rank = {pair: i for i, pair in enumerate(self.merges)}
        self._known: dict[str, list[str]] = {}

    @classmethod
    def learn(cls, texts: Iterable[str], merges: int) -> BytePairs:
        """Learn merges from texts: each joins the pair that is then the most frequent.

        Arguments: texts; merges, at most how many: it ends earlier when every pair occurs only once.
        Returns: the tokenizer.
        """
        chunks = Counter(_as_bytes(chunk) for text in texts for chunk in _chunks(text))
        words = [(list(chunk), n) for chunk, n in chunks.items()]
        pairs, words_with = Counter[Pair](), defaultdict[Pair, set[int]](set)
        for i, (word, n) in enumerate(words):
            for pair in pairwise(word):
                pairs[pair] += n
                words_with[pair].add(i)
        learnt: list[Pair] = []
        while len(learnt) < merges and pairs:
            best = max(pairs, key=lambda pair: (pairs[pair], pair))  # ties: the later pair in alphabetical order
            if pairs[best] < 2:
                break
            learnt.append(best)
            _merge_everywhere(best, words, pairs, words_with)
        return cls(learnt)

    @property
    def symbols(self) -> list[str]:
        """Every token that can occur: the 256 bytes, then the results of the merges."""
        return [chr(i) for i in range(256)] + list(dict.fromkeys(first + second for first, second in self.merges))

    def tokenize(self, text: str) -> list[str]:
        """The tokens of a text; TypeError for anything but a str."""
        return [token for chunk in _chunks(text) for token in self._tokens_of(chunk)]

    def _tokens_of(self, chunk: str) -> list[str]:
        """Apply the earliest-learnt merge until none applies. Chunks repeat, so their tokens are cached."""
        if chunk not in self._known:
            tokens = list(_as_bytes(chunk))
            while len(tokens) > 1:
                best = min(pairwise(tokens), key=lambda pair: self.rank.get(pair, len(self.rank)))
                if best not in self.rank:
                    break
                tokens = _merged(tokens, best)
            self._known[chunk] = tokens
        return self._known[chunk]

    def join(self, tokens: Sequence[str]) -> str:
        """The original text; bytes that are not UTF-8, which a model may write, become U+FFFD."""
        return "".join(tokens).encode("latin-1").decode("utf-8", errors="replace").removeprefix(" ")

    def config(self) -> dict[str, Any]:
        """Plain data for `from_config`."""
        return {"kind": "bytepairs", "merges": [list(pair) for pair in self.merges]}


class Subwords:
    """A text as a bag of features: its words, pairs of neighbouring words, and the pieces of each word.

    It is for classification: "nephritis" may be new while its pieces are known. There is no `join`.

    Arguments: lowest, highest, the lengths of pieces in characters; < and > mark a word's ends.
    Raises: ValueError unless 1 <= lowest <= highest.
    Source: Bojanowski 2017.

    >>> Subwords(lowest=3, highest=3).tokenize("Low pH")
    ['<low>', '<ph>', 'low ph', '<lo', 'low', 'ow>', '<ph', 'ph>']
    """

    def __init__(self, lowest: int = 3, highest: int = 5):
        if not (isinstance(lowest, int) and isinstance(highest, int) and 1 <= lowest <= highest):
            raise ValueError(f"Subwords: pieces of {lowest} to {highest} characters, expected 1 <= lowest <= highest")
        self.lowest, self.highest, self._words = lowest, highest, Words()

    def tokenize(self, text: str) -> list[str]:
        """The features of a text; TypeError for anything but a str."""
        words = [w for w in self._words.tokenize(text) if w[0].isalnum()]
        marked = [f"<{w}>" for w in words]
        pieces = [piece for w in marked for piece in self._pieces(w)]
        return marked + [f"{a} {b}" for a, b in pairwise(words)] + pieces

    def _pieces(self, word: str) -> Iterator[str]:
        for n in range(self.lowest, min(self.highest, len(word)) + 1):
            for i in range(len(word) - n + 1):
                yield word[i : i + n]

    def config(self) -> dict[str, Any]:
        """Plain data for `from_config`."""
        return {"kind": "subwords", "lowest": self.lowest, "highest": self.highest}


def _chunks(text: str) -> list[str]:
    """The pieces that no merge crosses. A space is put before the text, so that its first word equals later ones."""
    return CHUNK.findall(" " + checked_text(text, "BytePairs")) if text != "" else []


def _as_bytes(chunk: str) -> str:
    """The UTF-8 bytes, one character each; half a surrogate pair becomes a question mark."""
    return chunk.encode("utf-8", errors="replace").decode("latin-1")


def _merged(tokens: list[str], pair: Pair) -> list[str]:
    """The tokens with the pair joined wherever it occurs, from left to right."""
    out, i = [], 0
    while i < len(tokens):
        joined = i + 1 < len(tokens) and (tokens[i], tokens[i + 1]) == pair
        out.append(tokens[i] + tokens[i + 1] if joined else tokens[i])
        i += 2 if joined else 1
    return out


def _merge_everywhere(pair: Pair, words: list, pairs: Counter, words_with: dict[Pair, set[int]]) -> None:
    """Join the pair in all words that contain it, and update the counts of these words' pairs."""
    for i in words_with.pop(pair):
        word, n = words[i]
        new = _merged(word, pair)
        for old in pairwise(word):
            pairs[old] -= n
        for now in pairwise(new):
            pairs[now] += n
            words_with[now].add(i)
        words[i] = new, n
    del pairs[pair]


KINDS: dict[str, type] = {"words": Words, "characters": Characters, "bytepairs": BytePairs, "subwords": Subwords}


def from_config(config: dict[str, Any]) -> Any:
    """Make a tokenizer again from its `config()`.

    Arguments: config, a dict with "kind" and the tokenizer's own arguments.
    Raises: ValueError for an unknown kind, and for arguments that it does not take.

    >>> from_config(Words(lower=False).config()).tokenize("A b")
    ['A', 'b']
    """
    if not isinstance(config, dict):
        raise ValueError(f"the tokenizer is a {type(config).__name__}, expected its kind and arguments")
    arguments = dict(config)
    kind = arguments.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"unknown tokenizer {kind!r}, expected one of {', '.join(KINDS)}")
    try:
        return KINDS[kind](**arguments)
    except TypeError as error:
        raise ValueError(f"the tokenizer {kind!r} does not take these arguments: {error}") from None
