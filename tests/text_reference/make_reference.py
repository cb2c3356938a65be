"""Make scores.json, what sacrebleu 2.6 and rouge-score 0.1.2 compute, which the tests do not need to have installed.

pip install sacrebleu rouge-score && python tests/text_reference/make_reference.py
"""

import json
import random
from pathlib import Path

import sacrebleu
from rouge_score import rouge_scorer

random.seed(0)
WORDS = ["acute", "chronic", "fever", "pain", "chest", "left", "right", "lung", ",", "of", "the", "due", "to", "Malaria"]


def sentence(low, high):
    return " ".join(random.choices(WORDS, k=random.randint(low, high)))


def noisy(text):
    return " ".join(random.choice(WORDS) if random.random() < 0.3 else w for w in text.split() if random.random() > 0.1)


cases = []
for n, low, high, copies in [(1, 6, 9, 1), (8, 3, 9, 1), (8, 1, 3, 1), (5, 5, 12, 3), (30, 4, 20, 2), (3, 4, 6, 1), (2, 8, 9, 1)]:
    first = [sentence(low, high) for _ in range(n)]
    references = [[text, *(sentence(low, high) for _ in range(copies - 1))] for text in first]
    predictions = [sentence(low, high) if len(cases) >= 5 else noisy(text) for text in first]
    bleu = sacrebleu.corpus_bleu(predictions, list(map(list, zip(*references, strict=True))), tokenize="none", force=True).score
    rouge = rouge_scorer.RougeScorer(["rougeL"], tokenizer=type("Split", (), {"tokenize": staticmethod(str.split)})())
    scores = [rouge.score(r[0], p)["rougeL"].fmeasure for r, p in zip(references, predictions, strict=True)]
    cases.append({"predictions": predictions, "references": references, "bleu": bleu, "rouge_l": sum(scores) / n})
Path(__file__).with_name("scores.json").write_text(json.dumps(cases, indent=1) + "\n")
