"""Text -> tokens -> text, in three ways, and one that only goes there.

    "Acute cholera"   Words        acute | cholera                     small inputs; a new word is unknown
                      Characters   A | c | u | t | e | ␣ | c | ...      long inputs; a new letter is unknown
                      BytePairs    Ac | ute | ␣chol | era               in between; nothing is ever unknown
                    Subwords     <acute> | acute cholera | <ac | acu     a bag for classification; parts of new words are known

A tokenizer has `tokenize(text)`, `join(tokens)`, and `config()`, from which `from_config` makes it again.
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

LONGEST_CHUNK = 32  # characters that byte pairs may join: merging is quadratic in a chunk's length, so none may be long
CHUNK = re.compile(rf" ?\w{{1,{LONGEST_CHUNK}}}| ?[^\w\s]{{1,{LONGEST_CHUNK}}}|\s{{1,{LONGEST_CHUNK}}}")

# scripts that are written without spaces: each character is taken as a word
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"


def checked_text(text: Any, who: str) -> str:
    """The text; TypeError for anything else, such as bytes or a file that was read as numbers."""
    if not isinstance(text, str):
        hint = ": decode it, text.decode('utf-8')" if isinstance(text, bytes) else ""
        raise TypeError(f"{who}: expected a str, got {type(text).__name__}{hint}")
    return text


@functools.cache
def _word_pattern() -> re.Pattern:
    """A word of letters, digits and the marks on them; one character of an unspaced script; or one other sign."""
    marks = "".join(chr(c) for c in range(0x300, 0x10000) if unicodedata.category(chr(c)) in ("Mn", "Mc"))
    letter = rf"(?:(?![{UNSPACED}])[\w{re.escape(marks)}])"
    return re.compile(rf"[{UNSPACED}][{re.escape(marks)}]*|{letter}+(?:['’]{letter}+)*|[^\w\s]")


class Words:
    """Words of any script, in lower case unless asked otherwise; signs are tokens of their own.

    >>> Words().tokenize("Crohn's disease, 急性 (small)")
    ["crohn's", 'disease', ',', '急', '性', '(', 'small', ')']
    """

    def __init__(self, lower: bool = True):
        self.lower = lower

    def tokenize(self, text: str) -> list[str]:
        text = unicodedata.normalize("NFC", checked_text(text, "Words"))
        return _word_pattern().findall(text.lower() if self.lower else text)

    def join(self, tokens: Sequence[str]) -> str:
        """The tokens as a sentence: spaces as English sets them, which need not be where they were."""
        text = " ".join(tokens)
        text = re.sub(r"([(\[]) | (?=[)\],.;:?!%])", r"\1", text)
        return re.sub(rf"(?<=[{UNSPACED}]) (?=[{UNSPACED}])", "", text)

    def config(self) -> dict[str, Any]:
        return {"kind": "words", "lower": self.lower}


class Characters:
    """One token a character.

    >>> Characters().tokenize("ab c")
    ['a', 'b', ' ', 'c']
    """

    def tokenize(self, text: str) -> list[str]:
        return list(unicodedata.normalize("NFC", checked_text(text, "Characters")))

    def join(self, tokens: Sequence[str]) -> str:
        return "".join(tokens)

    def config(self) -> dict[str, Any]:
        return {"kind": "characters"}


class BytePairs:
    """Byte pair encoding (Sennrich 2016) over UTF-8 bytes: frequent pairs of tokens became one token each.

    A token is written as one character a byte (Latin-1), so that every text of any script has tokens, and `join`
    gives exactly the text back. Arguments: merges, the pairs in the order in which they were learnt (`learn`).

    >>> BytePairs.learn(["aab aab ba"], merges=3).tokenize("aab aa")
    [' aab', ' ', 'a', 'a']
    """

    def __init__(self, merges: Iterable[Sequence[str]] = ()):
        self.merges: list[Pair] = [(first, second) for first, second in merges]
        self.rank = {pair: i for i, pair in enumerate(self.merges)}
        self._known: dict[str, list[str]] = {}

    @classmethod
    def learn(cls, texts: Iterable[str], merges: int) -> BytePairs:
        """Learn so many merges (or all there are) from texts: each joins the pair that is the most frequent then."""
        chunks = Counter(_as_bytes(chunk) for text in texts for chunk in _chunks(text))
        words = [(list(chunk), n) for chunk, n in chunks.items()]
        pairs, where = Counter[Pair](), defaultdict[Pair, set[int]](set)
        for i, (word, n) in enumerate(words):
            for pair in pairwise(word):
                pairs[pair] += n
                where[pair].add(i)
        learnt: list[Pair] = []
        while len(learnt) < merges and pairs:
            best = max(pairs, key=lambda pair: (pairs[pair], pair))  # the pair itself decides between equals
            if pairs[best] < 2:
                break
            learnt.append(best)
            _merge_everywhere(best, words, pairs, where)
        return cls(learnt)

    @property
    def symbols(self) -> list[str]:
        """Every token that can come out: the 256 bytes, then what the merges made."""
        return [chr(i) for i in range(256)] + list(dict.fromkeys(first + second for first, second in self.merges))

    def tokenize(self, text: str) -> list[str]:
        return [token for chunk in _chunks(text) for token in self._tokens_of(chunk)]

    def _tokens_of(self, chunk: str) -> list[str]:
        """Merge the pair that was learnt first, again and again; chunks repeat, so what came out is remembered."""
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
        """The text again; bytes that are no UTF-8, which a model may write, become U+FFFD."""
        return "".join(tokens).encode("latin-1").decode("utf-8", errors="replace").removeprefix(" ")

    def config(self) -> dict[str, Any]:
        return {"kind": "bytepairs", "merges": [list(pair) for pair in self.merges]}


class Subwords:
    """A text as a bag of features: its words, pairs of neighbouring words, and the pieces of each word.

    For classification (Bojanowski 2017): "nephritis" is new but its pieces are not. There is no way back to the text.
    Arguments: lowest, highest, the lengths of pieces; < and > mark a word's ends.

    >>> Subwords(lowest=3, highest=3).tokenize("Low pH")
    ['<low>', '<ph>', 'low ph', '<lo', 'low', 'ow>', '<ph', 'ph>']
    """

    def __init__(self, lowest: int = 3, highest: int = 5):
        if not 1 <= lowest <= highest:
            raise ValueError(f"Subwords: pieces of {lowest} to {highest} characters, expected 1 <= lowest <= highest")
        self.lowest, self.highest, self._words = lowest, highest, Words()

    def tokenize(self, text: str) -> list[str]:
        words = [w for w in self._words.tokenize(text) if w[0].isalnum()]
        marked = [f"<{w}>" for w in words]
        pieces = [piece for w in marked for piece in self._pieces(w)]
        return marked + [f"{a} {b}" for a, b in pairwise(words)] + pieces

    def _pieces(self, word: str) -> Iterator[str]:
        for n in range(self.lowest, self.highest + 1):
            for i in range(len(word) - n + 1):
                yield word[i : i + n]

    def config(self) -> dict[str, Any]:
        return {"kind": "subwords", "lowest": self.lowest, "highest": self.highest}


def _chunks(text: str) -> list[str]:
    """What byte pairs stay within. A space is set before the text, so that its first word is a word like the others."""
    return CHUNK.findall(" " + checked_text(text, "BytePairs")) if text != "" else []


def _as_bytes(chunk: str) -> str:
    """The UTF-8 bytes as a string of one character each; half a surrogate pair is taken as a question mark."""
    return chunk.encode("utf-8", errors="replace").decode("latin-1")


def _merged(tokens: list[str], pair: Pair) -> list[str]:
    """The tokens with the pair joined wherever it stands, from left to right."""
    out, i = [], 0
    while i < len(tokens):
        joined = i + 1 < len(tokens) and (tokens[i], tokens[i + 1]) == pair
        out.append(tokens[i] + tokens[i + 1] if joined else tokens[i])
        i += 2 if joined else 1
    return out


def _merge_everywhere(pair: Pair, words: list, pairs: Counter, where: dict[Pair, set[int]]) -> None:
    """Join the pair in all words that have it, and count the pairs of these words anew."""
    for i in where.pop(pair):
        word, n = words[i]
        new = _merged(word, pair)
        for old in pairwise(word):
            pairs[old] -= n
        for now in pairwise(new):
            pairs[now] += n
            where[now].add(i)
        words[i] = new, n
    del pairs[pair]


KINDS: dict[str, type] = {"words": Words, "characters": Characters, "bytepairs": BytePairs, "subwords": Subwords}


def from_config(config: dict[str, Any]) -> Any:
    """The tokenizer that `config()` described.

    >>> from_config(Words(lower=False).config()).tokenize("A b")
    ['A', 'b']
    """
    arguments = dict(config)
    kind = arguments.pop("kind", None)
    if kind not in KINDS:
        raise ValueError(f"unknown tokenizer {kind!r}, expected one of {', '.join(KINDS)}")
    return KINDS[kind](**arguments)
