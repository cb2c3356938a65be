"""Translation, and likewise summarisation: from pairs of texts to a model that writes the second for the first.

    pairs -> byte pairs learnt from both sides -> Seq2Seq, trained with teacher forcing -> beam search

With `drafts`, the targets of the nearest training sources (TF-IDF) follow the source, and the model may copy from them:

    Skin tumour of the ear NEWLINE Neoplasm of the skin NEWLINE Abnormal ear     ->     Neoplasm of the ear

In training, a pair's own target is never among its drafts. The pairs are stored in the model's file, from which `translate`
takes drafts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinydx import random
from tinydx.callbacks import EarlyStopping, LearningRateScheduler
from tinydx.models import load_model
from tinydx.names import shown
from tinydx.optimizers import Adam
from tinydx.preprocessing.text import BytePairs, Codec, pad_sequences
from tinydx.text.decoding import beam_search
from tinydx.text.retrieval import NearestText
from tinydx.text.sequences import Seq2Seq, teacher_forcing

Pair = tuple[str, str]
LENGTH_PENALTY = 0.6  # of beam search: with 1 the texts become longer than those of people
BATCH = 64  # texts that `translate` writes at a time
LONGEST = 10_000  # tokens of a text
BREAK = "\n"  # between a source and its drafts: all are single lines


class PairBatches:
    """Batches of pairs of similar length, so that they need little padding; the order changes after each pass.

    A batch is ([source (N,S), tokens so far (N,T)], next tokens (N,T)).

    Arguments: sources, targets, ids of each text; size, pairs in a batch.

    >>> batches = PairBatches([[5], [6, 7]], [[2, 8, 3], [2, 9, 3]], size=2)
    >>> [part.shape for part in batches[0][0]], len(batches)
    ([(2, 2), (2, 2)], 1)
    """

    def __init__(self, sources: Sequence[list[int]], targets: Sequence[list[int]], size: int):
        self.sources, self.targets, self.size = sources, targets, size
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        """Sort the pairs by length, equally long ones at random, and shuffle the batches."""
        rng = random.generator()
        order = rng.permutation(len(self.sources))
        lengths = [(len(self.sources[i]), len(self.targets[i])) for i in order]
        rows = order[sorted(range(len(order)), key=lengths.__getitem__)]
        batches = [rows[first : first + self.size] for first in range(0, len(rows), self.size)]
        self.batches = [batches[i] for i in rng.permutation(len(batches))]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> tuple[list[np.ndarray], np.ndarray]:
        rows = self.batches[number]
        words, following = teacher_forcing([self.targets[i] for i in rows], max(len(self.targets[i]) for i in rows))
        return [pad_sequences([self.sources[i] for i in rows], padding="post"), words], following


def train_translator(
    train: Sequence[Pair],
    validation: Sequence[Pair],
    *,
    merges: int = 1000,
    longest: int = 100,
    drafts: int = 0,
    epochs: int = 12,
    batch: int = 64,
    learning_rate: float = 0.002,
    verbose: Any = "auto",
    **network: Any,
) -> Seq2Seq:
    """Train a model on pairs; it keeps the epoch with the most correct tokens on the validation pairs.

    Arguments: train, validation, pairs (source, target); merges of the byte pairs; longest, tokens of a text that are kept;
    drafts, number of drafts (see the module); epochs; batch, pairs in a batch; learning_rate, which falls in the last third of
    training; verbose, as in `fit`; network, options of Seq2Seq.
    Returns: the trained Seq2Seq.
    """
    sources, targets = [" ".join(s.split()) for s, _ in train], [t for _, t in train]
    codec = Codec.learn(BytePairs.learn([*sources, *targets], merges), [])
    pairs = [[s, t] for s, t in zip(sources, targets, strict=True)] if drafts else []
    model = Seq2Seq(len(codec), **network)
    model.preprocessing = {
        "kind": "translation",
        "codec": codec.config(),
        "longest": longest,
        "drafts": drafts,
        "pairs": pairs,
    }
    model.compile(Adam(learning_rate, global_clipnorm=1.0), "sparse_categorical_crossentropy", metrics=["accuracy"])
    reader = SourceReader(model.preprocessing)
    read, held_out = [reader.ids(s, i) for i, s in enumerate(sources)], [reader.ids(s) for s, _ in validation]
    model.fit(
        PairBatches(read, _targets(codec, targets, longest), batch),
        validation_data=PairBatches(held_out, _targets(codec, [t for _, t in validation], longest), batch),
        epochs=epochs,
        callbacks=[
            LearningRateScheduler(lambda epoch, _: learning_rate * min(1, 3 * (1 - epoch / epochs))),
            EarlyStopping("val_accuracy", patience=epochs, restore_best_weights=True),  # only keeps the best epoch
        ],
        verbose=verbose,
    )
    return model


def check_reading(model: Any, name: str) -> None:
    """ValueError unless the model's file says how its texts are read, and that fits the model.

    Arguments: model, whose preprocessing is that of a translator; name of its file, or of itself, for messages.
    """
    how = model.preprocessing
    try:
        pairs, words = how.get("pairs"), len(Codec.from_config(how.get("codec")))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if not isinstance(model, Seq2Seq) or model.embedding.input_dim < words:
        raise ValueError(f"{name} is no Seq2Seq of the {words} tokens of its vocabulary")
    for key, least, most in (("longest", 1, LONGEST), ("drafts", 0, LONGEST)):
        value = how.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"{name}: {key} is {value!r}, expected {least} to {most}")
    two_texts = isinstance(pairs, list) and all(
        isinstance(p, list | tuple) and len(p) == 2 and all(isinstance(t, str) for t in p) for p in pairs
    )
    if not two_texts:
        raise ValueError(f"{name}: pairs are no list of two texts each")


def _targets(codec: Codec, texts: Sequence[str], longest: int) -> list[list[int]]:
    """The ids START ... END of each target."""
    return [codec.encode(text, ends=True)[: longest + 2] for text in texts]


class SourceReader:
    """Reads a source as its model does: the source's tokens, then those of its drafts.

    Arguments: preprocessing, the model's attribute of that name.
    """

    def __init__(self, preprocessing: dict[str, Any]):
        self.codec, pairs = Codec.from_config(preprocessing["codec"]), preprocessing["pairs"]
        self.longest, self.drafts = preprocessing["longest"], preprocessing["drafts"]
        self.targets = [" ".join(target.split()) for _, target in pairs]
        self.index = NearestText([source for source, _ in pairs]) if self.drafts else None

    def ids(self, text: str, own: int | None = None) -> list[int]:
        """The ids of a source.

        Arguments: text; own, the number of its pair if it is a training source: that pair is the last to give a draft.
        """
        text = " ".join(text.split())
        ids = self.codec.encode(text)[: self.longest]
        for draft in self._drafts(text, own):  # encoded separately: its first word gets the tokens that it has in a target
            ids = [*ids, *self.codec.encode(BREAK), *self.codec.encode(draft)[: self.longest]]
        return ids

    def _drafts(self, text: str, own: int | None) -> list[str]:
        """The first different targets of the nearest sources."""
        found: dict[str, None] = {}
        for i in self.index.ranking(text, own) if self.index else ():
            found[self.targets[i]] = None
            if len(found) == self.drafts:
                break
        return list(found)


def translate(model: Seq2Seq, texts: Sequence[str], width: int = 4) -> list[str]:
    """Translate texts by beam search.

    Arguments: model, from `train_translator`; texts; width of the beam (1: greedy).
    Returns: a text for each text.
    Raises: ValueError for an empty text, and for a model that is not a translator.
    """
    preprocessing = model.preprocessing or {}
    if preprocessing.get("kind") != "translation":
        raise ValueError("this model is not a translator; train one with python -m tinydx.tasks.translation")
    check_reading(model, model.name)
    empty = [i for i, text in enumerate(texts) if not text.strip()]
    if empty:
        raise ValueError(f"text {empty[0] + 1} of {len(texts)} is empty: there is nothing to translate")
    reader = SourceReader(preprocessing)
    sources = [reader.ids(text) for text in texts]
    written = [""] * len(texts)
    order = sorted(range(len(texts)), key=lambda i: len(sources[i]))  # texts of similar length together: little padding
    for first in range(0, len(order), BATCH):
        rows = order[first : first + BATCH]
        state = model.start(pad_sequences([sources[i] for i in rows], padding="post"))
        ids, _ = beam_search(model.step, state, len(rows), preprocessing["longest"], width, LENGTH_PENALTY)
        for i, row in zip(rows, ids, strict=True):
            written[i] = reader.codec.decode(row)
    return written


def translate_texts(path: str, texts: Sequence[str], width: int) -> None:
    """Print each text with its translation, separated by a tab.

    Arguments: path of a translator's file; texts; width of the beam.
    Raises: the errors of `load_model` and `translate`.
    """
    model = load_model(path)
    if (model.preprocessing or {}).get("kind") == "translation":
        check_reading(model, path)
    for text, out in zip(texts, translate(model, texts, width), strict=True):
        print(f"{shown(text)}\t{shown(out)}")
