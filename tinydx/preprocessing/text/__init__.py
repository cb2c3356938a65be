"""Texts for training: text -> tokens -> ids, and back.

    files.py        text files in the encodings that need no guess
    tokenizers.py   words, characters, byte pairs, and a bag of subwords
    vocabulary.py   tokens <-> ids, a Codec of both, padding

In flow texts of any script (str). Out flow ids, lists or arrays (N, T), as `layers.Embedding` takes them.
"""

from tinydx.preprocessing.text.tokenizers import BytePairs, Characters, Subwords, Words
from tinydx.preprocessing.text.vocabulary import (
    END,
    PADDING,
    START,
    UNKNOWN,
    Codec,
    Vocabulary,
    pad_sequences,
)

__all__ = [
    "END",
    "PADDING",
    "START",
    "UNKNOWN",
    "BytePairs",
    "Characters",
    "Codec",
    "Subwords",
    "Vocabulary",
    "Words",
    "pad_sequences",
]
