"""Text classification: an inclusion term of ICD-10-CM -> its chapter, one of 22.

    python -m tinydx.tasks.icd_chapters [--fold 0] [--epochs 4] [--seed 0]

The 3-character categories are dealt into five folds; a fold's terms are tested by a model that saw the terms and the
official names of the other folds' categories only. The baseline is TF-IDF and logistic regression on the same inclusion
terms, and on the same with official names (where scikit-learn is installed).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np

import tinydx
from tinydx.datasets.terms import Term, icd10cm_diagnoses, icd10cm_terms
from tinydx.diagnosis.kinds.text import DEFAULT_SIZE, build_bag, ids_of, learn_codec
from tinydx.training import data

FOLDS = 5


def main(arguments: Sequence[str] | None = None) -> float:
    """Print accuracy fold by fold; returns the share of all tested terms that were right."""
    parser = argparse.ArgumentParser(prog="python -m tinydx.tasks.icd_chapters", description=__doc__.split("\n")[0])
    parser.add_argument("--fold", type=int, choices=range(FOLDS), help="only this fold")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args(arguments)
    terms, official = icd10cm_terms(), icd10cm_diagnoses()
    right, tested = 0.0, 0
    for fold in range(FOLDS) if a.fold is None else [a.fold]:
        began = time.perf_counter()
        train, test, names = deal(terms, official, fold, a.seed)
        accuracy = fit_and_test(train, test, a.epochs, a.seed)
        seconds = time.perf_counter() - began
        right, tested = right + accuracy * len(test), tested + len(test)
        baselines = "".join(f", {name} {share:.3f}" for name, share in baseline(train, names, test).items())
        print(f"fold {fold}: {len(test)} terms, accuracy {accuracy:.3f} ({seconds:.0f} s){baselines}", flush=True)
    print(f"all {tested} terms: accuracy {right / tested:.3f}")
    return right / tested


def deal(terms: Sequence[Term], official: Sequence[Term], fold: int, seed: int) -> tuple[list[Term], list[Term], list[Term]]:
    """(training terms, test terms, official names of the training categories, which are among the training terms).

    Inclusion terms are there twice: like the test, unlike the official names.
    """
    categories = sorted({term.category for term in terms})
    order = np.random.default_rng(seed).permutation(len(categories))
    aside = {categories[i] for i in order[fold::FOLDS]}
    names = [term for term in official if term.category not in aside]
    return [t for t in terms if t.category not in aside] * 2 + names, [t for t in terms if t.category in aside], names


def fit_and_test(train: Sequence[Term], test: Sequence[Term], epochs: int, seed: int) -> float:
    """The accuracy of a bag of subwords."""
    tinydx.set_seed(seed)
    chapters = sorted({term.chapter for term in train})
    codec = learn_codec([term.text for term in train])
    how = {"codec": codec.config(), "size": DEFAULT_SIZE}
    x, x_test = (ids_of([term.text for term in part], how) for part in (train, test))
    y, y_test = (np.array([chapters.index(term.chapter) for term in part]) for part in (train, test))
    model = build_bag(len(codec), len(chapters))
    model.fit(data.batches(x, y, batch_size=128, shuffle=True), epochs=epochs, verbose=0)
    return float((model.predict(x_test, batch_size=256).argmax(axis=1) == y_test).mean())


def baseline(train: Sequence[Term], names: Sequence[Term], test: Sequence[Term]) -> dict[str, float]:
    """Accuracy of TF-IDF (words) and logistic regression: on inclusion terms, and with official names besides."""
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
    main()
