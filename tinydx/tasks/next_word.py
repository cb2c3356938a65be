"""A language model of the names of diagnoses: which word of an ICD-10-CM name follows these words?

    python -m tinydx.tasks.next_word [--cell gru] [--epochs 4] [--seed 0] [--output FILE]

Names of test categories (the first three characters of the code) do not occur in training. Tokens are words; words that are rare
in training are one unknown word for every model. Baselines: the frequency of words; and the frequency of words after the
previous word, interpolated with the former where pairs are rare (Witten and Bell 1991).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

import tinydx
from tinydx import command
from tinydx.callbacks import EarlyStopping
from tinydx.datasets import terms
from tinydx.optimizers import Adam
from tinydx.preprocessing.text import Codec, Words
from tinydx.tasks import check_output
from tinydx.text.decoding import sample
from tinydx.text.scores import perplexity
from tinydx.text.sequences import CELLS, LanguageModel, teacher_forcing

LONGEST = 30  # words of a name that are kept; few names have more


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Train, print perplexities and some samples; returns the perplexities."""
    parser = argparse.ArgumentParser(prog="python -m tinydx.tasks.next_word", description=__doc__.split("\n")[0])
    parser.add_argument("--cell", choices=CELLS, default="gru", help="the recurrent layer (default gru)")
    parser.add_argument("--epochs", type=int, default=4, help="passes over the training names (default 4)")
    parser.add_argument("--limit", type=int, metavar="N", help="use at most N training names")
    parser.add_argument("--seed", type=int, default=0, help="seed of the split and the training (default 0)")
    parser.add_argument("--output", metavar="FILE", help="write the model to this file (.safetensors)")
    a = parser.parse_args(arguments)
    check_output(a.output)
    tinydx.set_seed(a.seed)
    parts = terms.split_by_group(terms.icd10cm_diagnoses(), lambda term: term.category, [0.05, 0.1], a.seed)
    train, val, test = ([term.text for term in part] for part in parts)
    train = train[: a.limit]
    codec = Codec.learn(Words(), train, minimum=3)
    print(f"{len(train)} training, {len(val)} validation, {len(test)} test names, {len(codec)} words", flush=True)
    ids = [[codec.encode(text, ends=True)[: LONGEST + 1] for text in part] for part in (train, val, test)]
    began = time.perf_counter()
    model = LanguageModel(len(codec), cell=a.cell)
    model.compile(Adam(0.002, global_clipnorm=1.0), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        *teacher_forcing(ids[0], LONGEST + 1),
        batch_size=128,
        epochs=a.epochs,
        validation_data=teacher_forcing(ids[1], LONGEST + 1),
        callbacks=[EarlyStopping("val_loss", patience=2, restore_best_weights=True)],
        verbose=2,
    )
    print(f"trained in {time.perf_counter() - began:.0f} s")
    model.preprocessing = {"kind": "language model", "codec": codec.config()}
    if a.output is not None:
        model.save(a.output, include_optimizer=False)
    found = {
        "frequency of words": perplexity(np.log(unigram(ids[0], ids[2], len(codec)))),
        "after the word before": perplexity(np.log(bigram(ids[0], ids[2], len(codec)))),
        f"tinydx, {a.cell}": perplexity(np.concatenate(model.log_probability(ids[2]))),
    }
    for name, value in found.items():
        print(f"  {name:<24}perplexity {value:.1f} on test names")
    for temperature, top_p in ((0.7, 0.9), (1.0, 1.0)):
        written = sample(model.step, model.start(3), 3, LONGEST, temperature=temperature, top_p=top_p)
        print(f"  drawn at temperature {temperature}, top-p {top_p}:", *(f"\n    {codec.decode(row)}" for row in written))
    return found


def unigram(train: Sequence[Sequence[int]], test: Sequence[Sequence[int]], size: int) -> np.ndarray:
    """The probability of each next word by its frequency, with 1 added to each count.

    Arguments: train, test, ids START ... END of each text; size of the vocabulary.
    Returns: (all next words of the test,).

    >>> unigram([[2, 4, 3]], [[2, 4, 3]], size=5).tolist()
    [0.2857142857142857, 0.2857142857142857]
    """
    counts = np.bincount([i for text in train for i in text[1:]], minlength=size) + 1
    return np.array([counts[i] / counts.sum() for text in test for i in text[1:]])


def bigram(train: Sequence[Sequence[int]], test: Sequence[Sequence[int]], size: int) -> np.ndarray:
    """The probability of each next word from the previous word, interpolated with `unigram`:

        p(w | v) = (n_{vw} + d_v p_w) / (n_v + d_v)

    n counts words and pairs in training, and d_v is the number of different words after v.

    Arguments and result as in `unigram`.
    Source: Witten and Bell 1991.

    >>> bigram([[2, 4, 3]], [[2, 4, 3]], size=5).round(3).tolist()
    [0.643, 0.643]
    """
    pairs = Counter(pair for text in train for pair in pairwise(text))
    before, different = Counter[int](), Counter(v for v, _ in pairs)
    for (v, _), n in pairs.items():
        before[v] += n
    test_pairs = [pair for text in test for pair in pairwise(text)]
    single = unigram(train, test, size)
    return np.array(
        [
            (pairs[v, w] + different[v] * p) / (before[v] + different[v]) if before[v] else p
            for (v, w), p in zip(test_pairs, single, strict=True)
        ]
    )


if __name__ == "__main__":
    sys.exit(command.run(main))
