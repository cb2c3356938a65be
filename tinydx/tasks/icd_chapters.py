"""Text classification: an inclusion term of ICD-10-CM -> its chapter, one of 22.

    python -m tinydx.tasks.icd_chapters [--fold 0] [--epochs 4] [--seed 0]

The 3-character categories are split into five folds. A fold's terms are tested by a model that saw only the terms and the
official names of the other folds' categories. The baseline is TF-IDF and logistic regression, on the same inclusion terms, and
on these with the official names (if scikit-learn is installed).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np

import tinydx
from tinydx import command
from tinydx.datasets.terms import Term, icd10cm_diagnoses, icd10cm_terms
from tinydx.diagnosis.kinds.text import build_bag, choose_reading, ids_of
from tinydx.preprocessing.text import Codec
from tinydx.training import data

FOLDS = 5
SIZE = 160  # subwords that are kept of a term; most have fewer


def main(arguments: Sequence[str] | None = None) -> float:
    """Print the accuracy fold by fold; returns the share of all tested terms that were classified correctly."""
    parser = argparse.ArgumentParser(prog="python -m tinydx.tasks.icd_chapters", description=__doc__.split("\n")[0])
    parser.add_argument("--fold", type=int, choices=range(FOLDS), help="run only this fold (default: all)")
    parser.add_argument("--epochs", type=int, default=4, help="passes over the training texts (default 4)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the folds and the training (default 0)")
    a = parser.parse_args(arguments)
    terms, official = icd10cm_terms(), icd10cm_diagnoses()
    correct, tested = 0.0, 0
    for fold in range(FOLDS) if a.fold is None else [a.fold]:
        began = time.perf_counter()
        train, test, names = deal(terms, official, fold, a.seed)
        accuracy = fit_and_test(train, test, a.epochs, a.seed)
        seconds = time.perf_counter() - began
        correct, tested = correct + accuracy * len(test), tested + len(test)
        baselines = "".join(f", {name} {share:.3f}" for name, share in baseline(train, names, test).items())
        print(f"fold {fold}: {len(test)} terms, accuracy {accuracy:.3f} ({seconds:.0f} s){baselines}", flush=True)
    print(f"all {tested} terms: accuracy {correct / tested:.3f}")
    return correct / tested


def deal(terms: Sequence[Term], official: Sequence[Term], fold: int, seed: int) -> tuple[list[Term], list[Term], list[Term]]:
    """The training and the test terms of one fold.

    Inclusion terms occur twice in training, because the test consists of such terms.

    Arguments: terms, inclusion terms; official, official names; fold number; seed of the folds.
    Returns: (training terms; test terms; the official names among the training terms).
    """
    categories = sorted({term.category for term in terms})
    order = np.random.default_rng(seed).permutation(len(categories))
    held_out = {categories[i] for i in order[fold::FOLDS]}
    names = [term for term in official if term.category not in held_out]
    train = [t for t in terms if t.category not in held_out] * 2 + names
    return train, [t for t in terms if t.category in held_out], names


def fit_and_test(train: Sequence[Term], test: Sequence[Term], epochs: int, seed: int) -> float:
    """The accuracy of a bag of subwords on the test terms."""
    tinydx.set_seed(seed)
    chapters = sorted({term.chapter for term in train})
    preprocessing = choose_reading([term.text for term in train], [chapters.index(term.chapter) for term in train], SIZE)
    x, x_test = (ids_of([term.text for term in part], preprocessing) for part in (train, test))
    y, y_test = (np.array([chapters.index(term.chapter) for term in part]) for part in (train, test))
    model = build_bag(len(Codec.from_config(preprocessing["codec"])), len(chapters))
    model.fit(data.batches(x, y, batch_size=128, shuffle=True), epochs=epochs, verbose=0)
    return float((model.predict(x_test, batch_size=256).argmax(axis=1) == y_test).mean())


def baseline(train: Sequence[Term], names: Sequence[Term], test: Sequence[Term]) -> dict[str, float]:
    """The accuracy of TF-IDF (words) and logistic regression, on inclusion terms, and with official names added."""
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        return {}
    found = {}
    known = set(names)
    for label, part in (("TF-IDF + LR", sorted({t for t in train if t not in known})), ("the same with official names", train)):
        words = TfidfVectorizer()
        model = LogisticRegression(C=10, max_iter=300)
        model.fit(words.fit_transform([t.text for t in part]), [t.chapter for t in part])
        found[label] = float(model.score(words.transform([t.text for t in test]), [t.chapter for t in test]))
    return found


if __name__ == "__main__":
    sys.exit(command.run(main))
