"""Readers of medical texts: files as they are published, ICD-10-CM where its package is installed, splits by group."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinydx.datasets import terms


def write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_small_files_as_they_are_published(tmp_path):
    lay = '?term\t?term_label\t?layperson\n<http://x>\t"Preauricular pit"\t"Pit in front of the  ear"\n<x>\t"Cyst"\t"cyst"\n'
    lay += '<y>\t"Mole"@en\t"mole"\n'
    assert terms.hpo_lay_terms(write(tmp_path, "l.tsv", lay)) == [("Pit in front of the ear", "Preauricular pit")]
    spanish = "source_value\ttranslation_value\nMode\tModo\nobsolete Thing\tCosa\nEmpty\t\n"
    assert terms.hpo_spanish(write(tmp_path, "s.tsv", spanish)) == [("Mode", "Modo")]
    question = '\ufeffFile,CHQ,Summary\n1,"who, and\nwhere?",Who?\n'
    assert terms.meqsum(write(tmp_path, "m.csv", question)) == [("who, and where?", "Who?")]
    for name, comma in (("p.tsv", "\t"), ("p.csv", ",")):
        assert terms.text_pairs(write(tmp_path, name, f"target{comma}source\nulcer{comma}ulc\n")) == [("ulc", "ulcer")]
    for name in terms.MTS_FILES.values():
        write(tmp_path, f"MTS-Dialog-{name}.csv", f'ID,section_header,section_text,dialogue\n0,CC,{name}.,"Doctor: hi"\n')
    assert terms.mts_dialog(tmp_path)["val"] == [("Doctor: hi", "ValidationSet.", "CC")]


def test_errors_name_the_file_and_what_is_wrong(tmp_path):
    with pytest.raises(FileNotFoundError, match="CHQ, Summary"):
        terms.meqsum(tmp_path / "nowhere.csv")
    with pytest.raises(ValueError, match="no column 'Summary'"):
        terms.meqsum(write(tmp_path, "a.csv", "CHQ,Other\nx,y\n"))
    with pytest.raises(ValueError, match="has no rows"):
        terms.meqsum(write(tmp_path, "b.csv", "CHQ,Summary\n"))
    (tmp_path / "c.csv").write_bytes(b"CHQ,Summary\n\xff\xfe,x\n")
    with pytest.raises(ValueError, match="not a UTF-8 table"):
        terms.meqsum(tmp_path / "c.csv")


def test_the_published_files(real_data):
    lay = terms.hpo_lay_terms(real_data("hpo_text_pairs") / "layperson-synonyms.tsv")
    spanish = terms.hpo_spanish(real_data("hpo_text_pairs") / "hp-es.babelon.tsv")
    assert (len(lay), len(spanish)) == (7186 - 1098, 19932 - 256) and ("Skin cyst", "Epidermoid cyst") in lay
    assert len(terms.meqsum(real_data("meqsum") / "meqsum.csv")) == 1000
    assert [len(v) for v in terms.mts_dialog(real_data("mts_dialog")).values()] == [1201, 100, 200]


def test_icd10cm():
    pytest.importorskip("simple_icd_10_cm", reason="the ICD-10-CM terms: pip install simple-icd-10-cm")
    found = terms.icd10cm_terms()
    assert found[0] == terms.Term(
        "Classical cholera",
        "Cholera due to Vibrio cholerae 01, biovar cholerae",
        "A00.0",
        "Infections",
    )
    official = terms.icd10cm_diagnoses()
    assert 12_000 < len(found) < 13_500 and 24_000 < len(official) < 30_000
    assert len(terms.icd10cm_diagnoses(longest=7)) > 90_000
    assert len({t.chapter for t in found}) == 22 == len({t.chapter for t in official})
    assert found[0].category == "A00"


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch):
    terms._codes.cache_clear()
    monkeypatch.setitem(sys.modules, "simple_icd_10_cm", None)
    with pytest.raises(ImportError, match="pip install simple-icd-10-cm"):
        terms.icd10cm_terms()


@given(st.lists(st.integers(0, 12), min_size=1), st.integers(0, 5))
def test_no_group_is_in_two_parts(items, seed):
    groups = len(set(items))
    if round(0.3 * groups) + round(0.2 * groups) >= groups:
        return
    parts = terms.split_by_group(items, lambda i: i, [0.3, 0.2], seed)
    assert sorted(i for p in parts for i in p) == sorted(items)
    assert [len(set(p)) for p in parts[1:]] == [round(0.3 * groups), round(0.2 * groups)]
    assert sum(len(set(p)) for p in parts) == groups


def test_a_split_that_leaves_no_rest():
    with pytest.raises(ValueError, match="1 groups cannot be split"):
        terms.split_by_group(["a", "a"], lambda i: i, [0.6])
