"""Text -> arrays of ids: tokenizers (words, characters, byte pairs), a vocabulary, padding and masks."""

from tinydx.preprocessing.text.tokenizers import BytePairs, Characters, Subwords, Words
from tinydx.preprocessing.text.vocabulary import (
    END,
    PADDING,
    START,
    UNKNOWN,
    Codec,
    Vocabulary,
    pad_sequences,
    padding_mask,
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
    "padding_mask",
]
