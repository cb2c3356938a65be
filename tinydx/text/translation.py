"""From pairs of texts to a model that writes the second for the first: translation, and summarisation likewise.

    pairs -> byte pairs learnt from both sides -> Seq2Seq, trained with teacher forcing -> beam search

With `drafts` the source is followed by the targets of the nearest training sources (TF-IDF), which the model may copy from:

    Skin tumour of the ear NEWLINE Neoplasm of the skin NEWLINE Abnormal ear     ->     Neoplasm of the ear

In training a pair finds other pairs only. The pairs are kept in the model's file, where later drafts come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinydx import random
from tinydx.callbacks import EarlyStopping, LearningRateScheduler
from tinydx.models import load_model
from tinydx.optimizers import Adam
from tinydx.preprocessing.text import BytePairs, Codec, pad_sequences
from tinydx.text.decoding import beam_search
from tinydx.text.retrieval import NearestText
from tinydx.text.sequences import Seq2Seq, teacher_forcing

Pair = tuple[str, str]
LENGTH_PENALTY = 0.6  # of beam search: with 1 the texts become longer than people's
BREAK = "\n"  # between a source and its drafts: all are single lines


class PairBatches:
    """Batches of pairs of about one length, so that little is padded; in another order in each pass.

    Arguments: sources, targets, ids; size of a batch. A batch is ([source, words so far], next words).
    """

    def __init__(self, sources: Sequence[list[int]], targets: Sequence[list[int]], size: int):
        self.sources, self.targets, self.size = sources, targets, size
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        """Pairs are sorted by length, equals by chance; and the batches are shuffled."""
        rng = random.generator()
        chance = rng.permutation(len(self.sources))
        lengths = [(len(self.sources[i]), len(self.targets[i])) for i in chance]
        rows = chance[sorted(range(len(chance)), key=lengths.__getitem__)]
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
    """A model trained on pairs (source, target); the epoch with the most right tokens on the validation pairs is kept.

    Arguments: merges of the byte pairs; longest, tokens that are kept of a text; drafts, how many (see the module); epochs,
    batch, learning_rate of training, which falls in the last third of it; network, what Seq2Seq takes.
    """
    sources, targets = [" ".join(s.split()) for s, _ in train], [t for _, t in train]
    codec = Codec.learn(BytePairs.learn([*sources, *targets], merges), [])
    pairs = [[s, t] for s, t in zip(sources, targets, strict=True)] if drafts else []
    model = Seq2Seq(len(codec), **network)
    how = {"kind": "translation", "codec": codec.config(), "longest": longest, "drafts": drafts, "pairs": pairs}
    model.preprocessing = how
    model.compile(Adam(learning_rate, global_clipnorm=1.0), "sparse_categorical_crossentropy", metrics=["accuracy"])
    reader = _Reader(how)
    read, held = [reader.ids(s, i) for i, s in enumerate(sources)], [reader.ids(s) for s, _ in validation]
    model.fit(
        PairBatches(read, _targets(codec, targets, longest), batch),
        validation_data=PairBatches(held, _targets(codec, [t for _, t in validation], longest), batch),
        epochs=epochs,
        callbacks=[
            LearningRateScheduler(lambda epoch, _: learning_rate * min(1, 3 * (1 - epoch / epochs))),
            EarlyStopping("val_accuracy", patience=epochs, restore_best_weights=True),  # never early: it keeps the best
        ],
        verbose=verbose,
    )
    return model


def _targets(codec: Codec, texts: Sequence[str], longest: int) -> list[list[int]]:
    return [codec.encode(text, ends=True)[: longest + 2] for text in texts]


class _Reader:
    """Reads a source as its model does: its tokens, then those of its drafts. `how` is the model's preprocessing."""

    def __init__(self, how: dict[str, Any]):
        self.codec, self.longest, self.drafts = Codec.from_config(how["codec"]), how["longest"], how["drafts"]
        self.targets = [" ".join(target.split()) for _, target in how["pairs"]]
        self.near = NearestText([source for source, _ in how["pairs"]]) if self.drafts else None

    def ids(self, text: str, own: int | None = None) -> list[int]:
        """The ids of a source; own, the number of its pair among those that drafts come from."""
        text = " ".join(text.split())
        ids = self.codec.encode(text)[: self.longest]
        for draft in self._drafts(text, own):  # each for itself: its first word has the tokens that it has in a target
            ids = [*ids, *self.codec.encode(BREAK), *self.codec.encode(draft)[: self.longest]]
        return ids

    def _drafts(self, text: str, own: int | None) -> list[str]:
        """The first different targets of the nearest other sources."""
        found: dict[str, None] = {}
        for i in self.near.ranking(text, own) if self.near else ():
            found[self.targets[i]] = None
            if len(found) == self.drafts:
                break
        return list(found)


def translate(model: Seq2Seq, texts: Sequence[str], width: int = 4, batch: int = 64) -> list[str]:
    """What the model writes for each text, by beam search of that width (1: greedy). Raises ValueError for an empty text."""
    how = model.preprocessing or {}
    if how.get("kind") != "translation":
        raise ValueError("this model is no translator: train one with python -m tinydx.tasks.translation")
    empty = [i for i, text in enumerate(texts) if not text.strip()]
    if empty:
        raise ValueError(f"text {empty[0] + 1} of {len(texts)} is empty: there is nothing to translate")
    reader = _Reader(how)
    sources = [reader.ids(text) for text in texts]
    written = [""] * len(texts)
    order = sorted(range(len(texts)), key=lambda i: len(sources[i]))  # texts of one length together: little padding
    for first in range(0, len(order), batch):
        rows = order[first : first + batch]
        state = model.start(pad_sequences([sources[i] for i in rows], padding="post"))
        ids, _ = beam_search(model.step, state, len(rows), how["longest"], width, LENGTH_PENALTY)
        for i, row in zip(rows, ids, strict=True):
            written[i] = reader.codec.decode(row)
    return written


def translate_texts(path: str, texts: Sequence[str], width: int) -> None:
    """Print each text with what the model at that path writes for it."""
    model = load_model(path)
    for text, out in zip(texts, translate(model, texts, width), strict=True):
        print(f"{text}\t{out}")
