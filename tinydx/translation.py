"""From pairs of texts to a model that writes the second for the first: translation, and summarisation likewise.

    pairs -> byte pairs learnt from both sides -> Seq2Seq, trained with teacher forcing -> beam search

With `drafts` the source is followed by the target of the nearest training source (TF-IDF), which the model may copy from:

    Skin tumour of the ear NEWLINE Neoplasm of the skin        ->        Neoplasm of the ear

In training a pair's own target is never its draft. The pairs are kept in the model's file, where later drafts come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinydx import random
from tinydx.callbacks import EarlyStopping
from tinydx.decoding import beam_search
from tinydx.models import load_model
from tinydx.optimizers import Adam
from tinydx.preprocessing.text import BytePairs, Codec, pad_sequences
from tinydx.retrieval import NearestText
from tinydx.sequences import Seq2Seq, teacher_forcing

Pair = tuple[str, str]
BREAK = "\n"  # between a source and its draft: sources are single lines


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
    drafts: bool = False,
    epochs: int = 12,
    batch: int = 64,
    learning_rate: float = 0.002,
    verbose: Any = "auto",
    **network: Any,
) -> Seq2Seq:
    """A model trained on pairs (source, target); the epoch with the lowest loss on the validation pairs is kept.

    Arguments: merges of the byte pairs; longest, tokens that are kept of a source or target; drafts, see the module;
    epochs, batch, learning_rate of training; network, what Seq2Seq takes.
    """
    sources, targets = [" ".join(s.split()) for s, _ in train], [t for _, t in train]
    codec = Codec.learn(BytePairs.learn([*sources, *targets], merges), [])
    memory = [[s, t] for s, t in zip(sources, targets, strict=True)] if drafts else []
    model = Seq2Seq(len(codec), **network)
    model.preprocessing = {"kind": "translation", "codec": codec.config(), "longest": longest, "pairs": memory}
    if drafts:
        own = NearestText(sources).nearest(sources, leave_out=range(len(sources)))
        sources = [f"{s}{BREAK}{targets[i]}" for s, i in zip(sources, own, strict=True)]
    model.compile(Adam(learning_rate, global_clipnorm=1.0), "sparse_categorical_crossentropy", metrics=["accuracy"])
    held = _inputs(model, [s for s, _ in validation])
    model.fit(
        PairBatches(_encode(codec, sources, longest), _targets(codec, targets, longest), batch),
        validation_data=PairBatches(held, _targets(codec, [t for _, t in validation], longest), batch),
        epochs=epochs,
        callbacks=[EarlyStopping("val_loss", patience=3, restore_best_weights=True)],
        verbose=verbose,
    )
    return model


def _encode(codec: Codec, texts: Sequence[str], longest: int) -> list[list[int]]:
    return [codec.encode(text)[:longest] for text in texts]


def _targets(codec: Codec, texts: Sequence[str], longest: int) -> list[list[int]]:
    return [codec.encode(text, ends=True)[: longest + 2] for text in texts]


def _inputs(model: Seq2Seq, texts: Sequence[str]) -> list[list[int]]:
    """The ids that the model reads for each source, with its draft where it was trained with them."""
    how: dict[str, Any] = model.preprocessing or {}
    texts = [" ".join(text.split()) for text in texts]
    if how["pairs"]:
        nearest = NearestText([s for s, _ in how["pairs"]]).nearest(texts)
        texts = [f"{text}{BREAK}{how['pairs'][i][1]}" for text, i in zip(texts, nearest, strict=True)]
    return _encode(Codec.from_config(how["codec"]), texts, how["longest"])


def translate(model: Seq2Seq, texts: Sequence[str], width: int = 4, batch: int = 64) -> list[str]:
    """What the model writes for each text, by beam search of that width (1: greedy). Raises ValueError for an empty text."""
    how = model.preprocessing or {}
    if how.get("kind") != "translation":
        raise ValueError("this model is no translator: train one with python -m tinydx.tasks.translation")
    empty = [i for i, text in enumerate(texts) if not text.strip()]
    if empty:
        raise ValueError(f"text {empty[0] + 1} of {len(texts)} is empty: there is nothing to translate")
    codec, sources = Codec.from_config(how["codec"]), _inputs(model, texts)
    written = [""] * len(texts)
    order = sorted(range(len(texts)), key=lambda i: len(sources[i]))  # texts of one length together: little padding
    for first in range(0, len(order), batch):
        rows = order[first : first + batch]
        state = model.start(pad_sequences([sources[i] for i in rows], padding="post"))
        ids, _ = beam_search(model.step, state, len(rows), how["longest"], width)
        for i, row in zip(rows, ids, strict=True):
            written[i] = codec.decode(row)
    return written


def translate_texts(path: str, texts: Sequence[str], width: int) -> None:
    """Print each text with what the model at that path writes for it."""
    model = load_model(path)
    for text, out in zip(texts, translate(model, texts, width), strict=True):
        print(f"{text}\t{out}")
