"""The text tasks as commands, on little data: they run to their end and print what README shows."""

import numpy as np
import pytest

from tinydx.datasets import terms
from tinydx.models import load_model
from tinydx.tasks import icd_chapters, next_word, recipes, translation, word_vectors
from tinydx.text.scores import perplexity


@pytest.fixture
def icd():
    pytest.importorskip("simple_icd_10_cm", reason="the ICD-10-CM terms: pip install simple-icd-10-cm")


def test_every_category_is_in_one_fold(icd):
    names, official = terms.icd10cm_terms(), terms.icd10cm_diagnoses()
    tested = []
    for fold in range(icd_chapters.FOLDS):
        train, test, extra = icd_chapters.deal(names, official, fold, seed=0)
        assert not {t.category for t in [*train, *extra]} & {t.category for t in test}
        tested += test
    assert sorted(tested) == sorted(names)


def test_next_word(icd, tmp_path, capsys):
    found = next_word.main(["--limit", "600", "--epochs", "1", "--output", str(tmp_path / "m.safetensors")])
    assert "drawn at temperature" in capsys.readouterr().out
    assert found["after the word before"] < found["frequency of words"] and found["tinydx, gru"] > 1
    assert load_model(tmp_path / "m.safetensors").preprocessing["kind"] == "language model"


def test_baselines_are_distributions():
    train, size = [[2, 4, 5, 3], [2, 4, 6, 3], [2, 7, 3]], 8
    every = [[v, w] for v in (2, 4, 5, 1) for w in range(size)]
    for model in (next_word.unigram, next_word.bigram):
        np.testing.assert_allclose(model(train, every, size).reshape(4, size).sum(axis=1), 1)
    assert perplexity(np.log(next_word.bigram(train, train, size))) < perplexity(np.log(next_word.unigram(train, train, size)))


def test_word_vectors(icd, tmp_path, capsys):
    share = word_vectors.main(["--limit", "3000", "--epochs", "1", "--output", str(tmp_path / "map.png")])
    assert 0 <= share <= 1 and (tmp_path / "map.png").exists() and "nearest word" in capsys.readouterr().out


def test_translation(tmp_path, capsys):
    """A language whose answers are its questions in another order; a model trained for half a minute need not learn it."""
    words = ["fever", "chill", "bone", "skin", "heart", "lung"]
    rows = [f'<x>\t"{a} {b} {c}"\t"{c} of {a} {b}"' for a in words for b in words for c in words if c != a]
    (tmp_path / "lay.tsv").write_text("?term\t?term_label\t?layperson\n" + "\n".join(rows))
    command = ["lay", "--data", str(tmp_path / "lay.tsv"), "--epochs", "2", "--output", str(tmp_path / "m.safetensors")]
    scores = translation.main(command)
    assert set(scores) == {"copy the input", "nearest training pair", "tinydx, greedy", "tinydx, beam of 4"}
    assert scores["copy the input"]["exact"] == 0 and "wrote" in capsys.readouterr().out
    assert load_model(tmp_path / "m.safetensors").preprocessing["pairs"]


def test_too_few_pairs_are_refused_before_training(tmp_path):
    rows = [f'<x>\t"answer {i}"\t"question {i}"' for i in range(9)]
    (tmp_path / "lay.tsv").write_text("?term\t?term_label\t?layperson\n" + "\n".join(rows))
    with pytest.raises(ValueError, match="8 training, 0 validation and 1 test pairs: give at least 20"):
        translation.main(["lay", "--data", str(tmp_path / "lay.tsv")])


def test_new_targets_are_in_no_training_pair():
    pairs = [(f"a{i}", f"t{i % 30}") for i in range(90)]
    train, val, test = translation.split(pairs, new=True, seed=0)
    assert not {t for _, t in train} & {t for _, t in val + test} and len(train) + len(val) + len(test) == 90
    train, val, test = translation.split(pairs, new=False, seed=0)
    assert {t for _, t in train} & {t for _, t in test}


def test_recipes_prints_a_row_a_seed_and_their_mean(tmp_path, capsys):
    table = tmp_path / "notes.csv"
    rows = [f"{word} pain {i},{label}" for i in range(30) for word, label in (("chest", "heart"), ("back", "spine"))]
    table.write_text("text,label\n" + "\n".join(rows) + "\n")
    found = recipes.main([str(table), "--seeds", "0", "1", "--folder", str(tmp_path / "out")])
    assert [r["seed"] for r in found] == ["0", "1", "mean"]
    assert found[2]["accuracy"] == (found[0]["accuracy"] + found[1]["accuracy"]) / 2
    printed = capsys.readouterr().out.splitlines()
    assert printed[-3].startswith("| notes | 0 | ") and printed[-1].startswith("| notes | mean | ")
    assert (tmp_path / "out" / "notes-1" / "report.png").exists()


def test_a_row_of_recipes_has_the_balanced_accuracy():
    metrics = {"confusion_matrix": [[9, 1], [1, 1]], "roc_auc": 0.8, "accuracy": 10 / 12, "validation": None, "elsewhere": []}
    metrics["baselines"] = [{"roc_auc": 0.5, "accuracy": 0.6, "verdict": "better"}]
    assert recipes.row(metrics)["balanced"] == 0.7
