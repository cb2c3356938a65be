"""`tinydx diagnose --kind text` from data to report and prediction, and the ways in which texts can be wrong."""

import json
import sys

import numpy as np
import pytest

from tinydx import cli
from tinydx.datasets import terms
from tinydx.diagnosis.kind import Options
from tinydx.diagnosis.kinds.text import KIND, TfIdf, open_table
from tinydx.models import load_model

SICK, WELL = ["fever", "cough", "chills", "vomiting"], ["rested", "cheerful", "hungry", "energetic"]


def texts(n=40):
    """(text, label): words of the sick and of the well, in a sentence."""
    rng = np.random.default_rng(0)
    for i in range(n):
        words = rng.choice(SICK if i % 2 else WELL, 2, replace=False)
        yield f"The patient {i} was {words[0]} and {words[1]}", "sick" if i % 2 else "healthy"


def write_folders(root, n=40):
    for i, (text, label) in enumerate(texts(n)):
        (root / label).mkdir(parents=True, exist_ok=True)
        (root / label / f"{i}.txt").write_text(text, encoding="utf-8")
    return root


def write_table(path, rows, delimiter=","):
    lines = [delimiter.join(("text", "label")), *(f'"{text}"{delimiter}{label}' for text, label in rows)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def run(data, output, *more):
    options = ["--data", str(data), "--epochs", "12", "--batch", "4", "--output", str(output), *more]
    return cli.main(["diagnose", "--kind", "text", *options])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model made by the command from class folders."""
    root = tmp_path_factory.mktemp("text")
    assert run(write_folders(root / "data"), root / "out") == 0
    assert json.loads((root / "out" / "metrics.json").read_text())["accuracy"] == 1
    assert (root / "out" / "report.png").read_bytes().startswith(b"\x89PNG")
    return root / "out" / "model.safetensors"


def test_predict_takes_texts_and_files(model, tmp_path, capsys):
    file = tmp_path / "note.txt"
    file.write_text("\ufeffchills, vomiting", encoding="utf-8")
    assert cli.main(["predict", str(model), "fever and cough", "cheerful", str(file)]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[1] for line in lines] == ["sick", "healthy", "sick"] and lines[2][0] == str(file)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("", "empty text"),
        ("  \n", "empty text"),
        ("发烧咳嗽", "the model cannot classify it"),
        ("急" * 90, "the model cannot classify it"),
        ("missing.txt", "no text file missing.txt"),
        (__file__, "is a file, but not a .txt file"),
    ],
)
def test_an_unusable_input_is_one_line(model, capsys, entry, words):
    assert cli.main(["predict", str(model), entry, "fever"]) == 1
    captured = capsys.readouterr()
    first, *rest = captured.err.splitlines()
    assert words in first and words not in "".join(rest)
    assert captured.out.startswith("fever\tsick")  # the others are answered


def test_a_text_of_100_000_characters(model, capsys):
    assert cli.main(["predict", str(model), "fever cough " * 8334]) == 0
    assert "\tsick\t" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "delimiter"), [("t.csv", ","), ("t.tsv", "\t")])
def test_tables(tmp_path, name, delimiter):
    rows = [*texts(), *list(texts())[:6]]  # six texts twice: both on one side of the split
    path = write_table(tmp_path / name, rows, delimiter)
    study = KIND.open_study(path, size=None, limit=None, seed=0)
    parts = [set(p.x) for p in (study.train, study.val, study.test)]
    assert study.class_names == ["healthy", "sick"] and sum(map(len, parts)) == 40 == len(set.union(*parts))
    assert any("6 rows repeat" in note for note in study.notes)
    assert run(path, tmp_path / "out", "--limit", "8") == 0


def test_the_columns_of_a_table_may_have_other_usual_names(tmp_path):
    lines = ["id, Condition_Label ,Medical Abstract", *(f"{i},{label},{text}" for i, (text, label) in enumerate(texts()))]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines), "utf-8")
    study = KIND.open_study(path, size=None, limit=None, seed=0)
    assert study.class_names == ["healthy", "sick"] and all("patient" in text for text in study.test.x)
    assert study.notes[0] == "texts are in the column 'Medical Abstract', labels in ' Condition_Label '"


def test_a_folder_of_tables_keeps_its_splits_and_no_text_is_in_two(tmp_path):
    rows = list(texts(60))
    write_table(tmp_path / "train.csv", rows[:40])
    write_table(tmp_path / "test.tsv", rows[36:], "\t")
    study = KIND.open_study(tmp_path, size=None, limit=None, seed=0)
    assert list(study.test.x) == [text for text, _ in rows[36:]] and len(study.train.x) + len(study.val.x) == 36
    assert any("4 rows repeat" in note for note in study.notes) and study.notes[-1] == "split text by text: 6 for validation"
    write_table(tmp_path / "val.csv", [("an unknown illness", "unknown")])
    with pytest.raises(ValueError, match=r"val.csv has the label 'unknown', but training has healthy, sick"):
        open_table(tmp_path, None, 0)


def symptoms(classes=24, each=40, words=8, seed=0):
    """(text, label): each class has words of its own, and shares others with its neighbours; all texts share many."""
    rng = np.random.default_rng(seed)
    letters = list("abcdefghijklmnoprstuvw")
    invent = lambda n: ["".join(rng.choice(letters, rng.integers(4, 10))) for _ in range(n)]  # noqa: E731
    own, common, filler = [invent(words) for _ in range(classes)], [invent(6) for _ in range(classes)], invent(60)
    for k in range(classes):
        for _ in range(each):
            shared = rng.choice([*common[k], *common[(k + 1) % classes]], 4)
            said = [*rng.choice(own[k], 3, replace=False), *shared, *rng.choice(filler, 12)]
            yield " ".join(rng.permutation(said)), f"disease {k}"


def test_few_short_texts_of_many_classes_are_learnt_by_default(tmp_path):
    path = write_table(tmp_path / "t.csv", symptoms())
    assert cli.main(["diagnose", "--kind", "text", "--data", str(path), "--output", str(tmp_path / "out")]) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["accuracy"] > 0.95
    assert any("600 of them" in line for line in metrics["recipe"]["why"])


def study_of(tmp_path, rows):
    return KIND.open_study(write_table(tmp_path / "t.csv", rows), size=None, limit=None, seed=0)


def test_the_plan_follows_the_data_and_the_options(tmp_path):
    short = study_of(tmp_path, texts())
    plan = KIND.plan(short, Options())
    assert plan.network == "a bag of subwords" and plan.epochs * plan.steps >= 600
    assert plan.steps is not None and "subwords" in plan.why[0]
    asked = KIND.plan(short, Options(epochs=3, batch=5))
    assert (asked.epochs, asked.steps, asked.batch) == (3, None, 5)  # an epoch that the user asked for is a pass
    assert KIND.plan(short, Options(steps=7)).steps == 7
    with pytest.raises(ValueError, match="--network tree is not for texts"):
        KIND.plan(short, Options(network="tree"))


def test_long_texts_are_read_as_words_and_nearly_whole(tmp_path):
    rng = np.random.default_rng(0)
    rare = [f"w{i}" for i in range(500)]
    said = lambda i, k: [f"{k}{rng.integers(3)}", k, ",", "the", *rng.choice(rare, 60 + i)]  # noqa: E731
    rows = [(" ".join(said(i, k)), k) for i in range(60) for k in ("ill", "well")]
    study = study_of(tmp_path, rows)
    assert KIND.plan(study, Options()).network == "a bag of words"
    assert 110 < study.preprocessing["size"] <= 121 and study.form.endswith("words")  # texts of 60 to 119 rare words
    known = set(study.preprocessing["codec"]["tokens"])
    assert {"ill", "well", "ill1", "w7"} < known and not {"the", ","} & known  # "ill" is in every text, but of one class
    everything = KIND.open_study(tmp_path / "t.csv", size=9, limit=None, seed=0)
    assert everything.preprocessing["size"] == 9


def test_the_baselines_numbers_are_those_of_scikit_learn(tmp_path):
    sklearn = pytest.importorskip("sklearn.feature_extraction.text", reason="not installed: scikit-learn")
    study = study_of(tmp_path, symptoms(each=8))
    x = KIND.features(study, study.test)
    theirs = sklearn.TfidfVectorizer(ngram_range=(1, 2), min_df=2, token_pattern=r"\w+").fit(study.train.x)
    assert x.dtype == np.float32 and x.shape == (len(study.test.x), len(theirs.vocabulary_))
    order = [theirs.vocabulary_[term] for term in TfIdf(study.train.x, 10**6).terms]
    np.testing.assert_allclose(x, theirs.transform(study.test.x).toarray()[:, order], atol=1e-6)
    assert TfIdf(study.train.x, 7).transform(study.test.x).shape == (len(study.test.x), 7)


def test_names_of_classes_and_texts_in_any_script(tmp_path):
    rows = [(f"{'发烧' if i % 2 else 'здоров'} {i}", "病" if i % 2 else "健康") for i in range(24)]
    assert run(write_table(tmp_path / "t.csv", rows), tmp_path / "out") == 0
    assert load_model(tmp_path / "out" / "model.safetensors").class_names == ["健康", "病"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("text,kind of text\na,b\n", "no column 'label': its columns are 'text', 'kind of text'"),
        ("words,label\na,b\n", "no column 'text': its columns are 'words', 'label'"),
        ("text,label\na,\n", "row 2: the label is empty"),
        ("text,label\n,x\n", "row 2: the text is empty"),
        ("text,label\na,x\nb,x\n", "one class only, 'x'"),
        ("text,label\na,x\nb,y\n", "too few texts"),
        ("", "no rows: expected a header"),
        ("text,label\n", "no rows: expected a header"),
    ],
)
def test_unusable_tables(tmp_path, content, words):
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=words):
        open_table(path, None, 0)


def test_folders_that_cannot_be_used(tmp_path, capsys):
    data = write_folders(tmp_path / "data")
    (data / "sick" / "empty.txt").write_text(" ")
    assert run(data, tmp_path / "out") == 1 and "empty.txt is empty" in capsys.readouterr().err
    (data / "sick" / "empty.txt").write_bytes(b"\xff\xfe\x00")
    assert run(data, tmp_path / "out") == 1 and "is not UTF-8 text" in capsys.readouterr().err
    assert run(tmp_path / "nowhere.csv", tmp_path / "out") == 1 and "does not exist" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_texts_with_wrong_answers_are_reported_and_explained(tmp_path):
    """The report explains the most confident errors of texts, too: for a while it failed where there were any."""
    rows = [(text, "healthy" if i % 10 in (3, 7) else label) for i, (text, label) in enumerate(texts(60))]
    assert run(write_table(tmp_path / "t.csv", rows), tmp_path / "out") == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["accuracy"] < 1 and "pushed towards" in json.dumps(metrics)


def test_the_default_data_needs_a_package_and_says_so(monkeypatch, tmp_path, capsys):
    terms._codes.cache_clear()
    monkeypatch.setitem(sys.modules, "simple_icd_10_cm", None)
    assert cli.main(["diagnose", "--kind", "text", "--output", str(tmp_path / "out")]) == 1
    assert "pip install simple-icd-10-cm" in capsys.readouterr().err


def test_the_default_data(tmp_path):
    pytest.importorskip("simple_icd_10_cm", reason="the ICD-10-CM terms: pip install simple-icd-10-cm")
    study = KIND.open_study(None, size=None, limit=20, seed=0)
    assert len(study.class_names) == 21 and not study.synthetic
    assert len(study.train.x) == 420 and 100 < len(study.test.x) <= 420
    everything = {"train": study.train, "val": study.val, "test": study.test}
    code = {t.text: t.category for t in [*terms.icd10cm_terms(), *terms.icd10cm_diagnoses()]}
    categories = {k: {code[text] for text in part.x} for k, part in everything.items()}
    assert len(categories["train"] & categories["test"]) < 3  # but for names that two categories share
