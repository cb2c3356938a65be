"""Word vectors of the names of diagnoses: neighbours and a map.

    python -m tinydx.tasks.word_vectors [--mixed] [--epochs 3] [--output FILE.png]

Skip-gram with negative sampling on the inclusion terms and official names of ICD-10-CM; with --mixed, the document's mixing
w_i = sum_j a_ij v_j + b_i is trained instead. The score is the share of words whose nearest word belongs to the same chapter; a
word belongs to the chapter in which it is most frequent.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence

import tinydx
from tinydx import command
from tinydx.datasets import terms
from tinydx.preprocessing.text import Codec, Words
from tinydx.tasks import check_output
from tinydx.text.word_vectors import SkipGram, WordVectors, relatedness

SIZE = 4000  # words of the vocabulary
SHOWN = ("fever", "fracture", "carcinoma", "diabetes", "heart", "left")


def main(arguments: Sequence[str] | None = None) -> float:
    """Train, print neighbours, plot the map; returns the share of words with a nearest word of the same chapter."""
    parser = argparse.ArgumentParser(prog="python -m tinydx.tasks.word_vectors", description=__doc__.split("\n")[0])
    parser.add_argument("--mixed", action="store_true", help="train the document's mixing of word vectors")
    parser.add_argument("--epochs", type=int, default=3, help="passes over the names (default 3)")
    parser.add_argument("--limit", type=int, metavar="N", help="use at most N names")
    parser.add_argument("--seed", type=int, default=0, help="seed of the training (default 0)")
    parser.add_argument("--output", metavar="FILE", help="write a picture of some words on a plane (.png)")
    a = parser.parse_args(arguments)
    check_output(a.output)
    tinydx.set_seed(a.seed)
    names = list({t.text: t for t in [*terms.icd10cm_terms(), *terms.icd10cm_diagnoses()]}.values())[: a.limit]
    codec = Codec.learn(Words(), [t.text for t in names], size=SIZE)
    sentences = [codec.encode(t.text) for t in names]
    began = time.perf_counter()
    model = SkipGram(len(codec), a=relatedness(sentences, len(codec)) if a.mixed else None)
    losses = model.train(sentences, epochs=a.epochs, batch=8192)
    spent = f"{time.perf_counter() - began:.0f} s"
    print(f"{len(names)} names, {len(codec)} words, losses {', '.join(f'{v:.3f}' for v in losses)}, {spent}", flush=True)
    vectors = WordVectors(codec.vocabulary, model.vectors())
    for word in SHOWN:
        if word in codec.vocabulary:
            print(f"  {word:<10}" + ", ".join(f"{other} {cosine:.2f}" for other, cosine in vectors.nearest(word, 6)))
    home = home_chapters(names)
    tested = [w for w in codec.vocabulary.tokens[104:1104] if w in home]  # neither the most frequent nor rare words
    share = sum(home.get(vectors.nearest(w, 1)[0][0]) == home[w] for w in tested) / max(1, len(tested))
    print(f"  {share:.3f} of {len(tested)} words have a nearest word of the same chapter")
    if a.output is not None:
        groups = defaultdict(list)
        for w in tested:
            groups[home[w]].append(w)
        largest = sorted(groups, key=lambda chapter: -len(groups[chapter]))[:5]
        print(f"  {vectors.plot({chapter: groups[chapter][:14] for chapter in largest}, a.output)}")
    return share


def home_chapters(names: Sequence[terms.Term]) -> dict[str, str]:
    """The chapter of each word: the one in which it is most frequent."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for term in names:
        for word in Words().tokenize(term.text):
            counts[word][term.chapter] += 1
    return {word: c.most_common(1)[0][0] for word, c in counts.items()}


if __name__ == "__main__":
    sys.exit(command.run(main))
