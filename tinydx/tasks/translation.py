"""Sequence to sequence on five tasks, compared with copying the input and with the nearest training pair.

    python -m tinydx.tasks.translation diagnosis                   ICD-10-CM inclusion term -> official diagnosis
    python -m tinydx.tasks.translation lay --data FILE.tsv         HPO lay term -> clinical term (layperson-synonyms.tsv)
    python -m tinydx.tasks.translation spanish --data FILE.tsv     HPO English label -> Spanish label (hp-es.babelon.tsv)
    python -m tinydx.tasks.translation question --data FILE.csv    patient's question -> short question (meqsum.csv)
    python -m tinydx.tasks.translation dialogue --data FOLDER      dialogue -> section of the note (MTS-Dialog-*.csv)

Pairs are split at random; with --new, no target of the test occurs in training. --output writes the model to a file, for
`tinydx translate MODEL "some text"`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any

import tinydx
from tinydx import command
from tinydx.datasets import terms
from tinydx.datasets.terms import Pair
from tinydx.tasks import check_output
from tinydx.text.retrieval import NearestText
from tinydx.text.scores import bleu, exact_match, rouge_l
from tinydx.text.translation import train_translator, translate

READERS: dict[str, Any] = {
    "diagnosis": lambda _: [(t.text, t.diagnosis) for t in terms.icd10cm_terms()],
    "lay": terms.hpo_lay_terms,
    "spanish": terms.hpo_spanish,
    "question": terms.meqsum,
    "dialogue": lambda folder: [(d, text) for part in terms.mts_dialog(folder).values() for d, text, _ in part],
}
SETTINGS: dict[str, dict[str, Any]] = {  # where they differ from train_translator's defaults
    "diagnosis": {"drafts": 3, "merges": 2000},
    "lay": {"drafts": 3, "epochs": 20},
    "spanish": {"drafts": 1, "epochs": 8},
    "question": {"drafts": 1, "longest": 120, "epochs": 20, "batch": 16, "dimension": 64, "units": 128},
    "dialogue": {"drafts": 1, "longest": 160, "epochs": 20, "batch": 16, "dimension": 64, "units": 128},
}
TESTED = 1000  # test pairs at most


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """Train, test, print; returns the scores of the model and of the baselines."""
    parser = argparse.ArgumentParser(prog="python -m tinydx.tasks.translation", description=__doc__.split("\n")[0])
    parser.add_argument("task", choices=READERS, help="which pairs to learn from")
    parser.add_argument("--data", metavar="PATH", help="the file or folder of the task's pairs")
    parser.add_argument("--new", action="store_true", help="test only on targets that no training pair has")
    parser.add_argument("--epochs", type=int, help="passes over the training pairs (default: the task's own)")
    parser.add_argument("--limit", type=int, metavar="N", help="use at most N pairs")
    parser.add_argument("--seed", type=int, default=0, help="seed of the split and the training (default 0)")
    parser.add_argument("--output", metavar="FILE", help="write the model to this file (.safetensors)")
    a = parser.parse_args(arguments)
    if a.task != "diagnosis" and not a.data:
        parser.error(f"{a.task} needs --data")
    check_output(a.output)
    tinydx.set_seed(a.seed)
    train, val, test = split(READERS[a.task](a.data)[: a.limit], a.new, a.seed)
    if not (train and val and test):
        raise ValueError(f"{len(train)} training, {len(val)} validation and {len(test)} test pairs: give at least 20 in all")
    print(f"{a.task}: {len(train)} training, {len(val)} validation, {len(test)} test pairs", flush=True)
    began = time.perf_counter()
    model = train_translator(train, val, **SETTINGS[a.task] | ({"epochs": a.epochs} if a.epochs else {}), verbose=2)
    if a.output is not None:
        model.save(a.output, include_optimizer=False)
    print(f"trained in {time.perf_counter() - began:.0f} s", flush=True)
    sources, references = [s for s, _ in test], [t for _, t in test]
    nearest = NearestText([s for s, _ in train]).nearest(sources)
    contestants = {
        "copy the input": sources,
        "nearest training pair": [train[i][1] for i in nearest],
        "tinydx, greedy": translate(model, sources, width=1),
        "tinydx, beam of 4": translate(model, sources, width=4),
    }
    scores = {name: score(texts, references) for name, texts in contestants.items()}
    for name, found in scores.items():
        print(f"  {name:<24}" + "   ".join(f"{k} {v:.3f}" if v <= 1 else f"{k} {v:.1f}" for k, v in found.items()))
    for i in range(min(5, len(test))):
        print(f"  {sources[i][:100]!r}\n    wrote {contestants['tinydx, beam of 4'][i]!r}\n    truth {references[i]!r}")
    return scores


def split(pairs: Sequence[Pair], new: bool, seed: int) -> list[list[Pair]]:
    """Split pairs into train, validation and test, with at most 1000 test pairs.

    Arguments: pairs; new, split by target, so that no target is in two parts (else at random); seed.
    Returns: [train, val, test].

    >>> [len(part) for part in split([(f"a{i}", f"b{i}") for i in range(20)], new=False, seed=0)]
    [16, 1, 3]
    """
    numbered = list(enumerate(pairs))
    parts = terms.split_by_group(numbered, lambda item: item[1][1] if new else item[0], [0.05, 0.15], seed)
    train, val, test = ([pair for _, pair in part] for part in parts)
    return [train, val, test[:: max(1, -(-len(test) // TESTED))]]


def score(texts: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Exact match, BLEU and ROUGE-L.

    >>> score(["broken leg"], ["broken leg"])["exact"]
    1.0
    """
    return {"exact": exact_match(texts, references), "BLEU": bleu(texts, references), "ROUGE-L": rouge_l(texts, references)}


if __name__ == "__main__":
    sys.exit(command.run(main))
