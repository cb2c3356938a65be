"""Studies as tables: what is meant is read, and every mistake is one line that names file, line and column."""

import csv
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinydx.datasets.cells import is_number, read_numbers
from tinydx.datasets.table import check_files, check_training, match_columns, read_study_table, split_rows

HEADER = "id,patient,split,image,age,sex,label\n"


def rows(n=24, **changed):
    """A good table of n rows, two of each patient, with some cells changed: rows(age={3: "old"}) changes line 3."""
    lines = [HEADER]
    for i in range(n):
        patient, part = i // 2, ("train", "val", "test")[(i // 2) % 3]
        image = f"p{i}.png" if i % 5 else ""
        cells = {"id": f"r{i}", "patient": f"P{patient}", "split": part, "image": image, "age": f"{40 + 7 * i % 31}.5"}
        cells |= {"sex": "fm"[i % 2], "label": "ill" if (i % 3 == 0) else "well"}
        cells |= {name: by_line[i + 2] for name, by_line in changed.items() if i + 2 in by_line}
        lines.append(",".join(cells.values()) + "\n")
    return "".join(lines)


@pytest.fixture
def write(tmp_path):
    """Writes a table beside its (empty) images and returns its path."""
    for i in range(40):
        (tmp_path / f"p{i}.png").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "latin.txt").write_bytes(b"Fieb\xe9r")

    def written(text, name="patients.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return written


def test_a_good_table(write):
    table = read_study_table(write(rows()))
    assert table.modalities == ("image", "table") and len(table) == 24 and table.notes == []
    assert table.lines == list(range(2, 26)) and table.id[3] == "r3" and table.patient[2] == table.patient[3] == "P1"
    assert table.split[:6] == ["train", "train", "val", "val", "test", "test"] and table.label[:2] == ["ill", "well"]
    assert table.images[0] is None and os.path.samefile(table.images[1], table.path.parent / "p1.png")
    assert list(table.numbers) == ["age"] and table.numbers["age"][1] == 47.5 and table.categories["sex"][:2] == ["f", "m"]
    some = table.take(np.array([5, 2]))
    assert (
        some.lines == [7, 4] and some.numbers["age"].tolist() == table.numbers["age"][[5, 2]].tolist() and some.id == ["r5", "r2"]
    )


# the mistake, and what the one line about it says after the file's name
MISTAKES = [
    # a missing column
    (lambda: rows().replace("label\n", "labl\n"), r" has no column 'label': its columns are .*; is 'labl' meant\?"),
    # an unreadable file
    (lambda: rows(image={5: "q3.png"}), r", line 5, column 'image': 'q3.png' does not exist: is 'p3.png' meant\?"),
    # a patient on both sides
    (lambda: rows(split={9: "test"}), ", line 9, column 'split': patient 'P3' is in test here and in train in line 8: put all"),
    # a label typo
    (lambda: rows(label={3: "wel"}), ", line 3: the label 'wel' is in this row only, and much like 'well' .15 rows.: correct it"),
    # a decimal comma
    (lambda: rows(age={4: '"36,6"', 8: '"7,25"'}), ", line 4, column 'age': '36,6' has a decimal comma: .* .1 more such row"),
    # a duplicate id
    (lambda: rows(id={7: "r2"}), ", line 7, column 'id': 'r2' is in line 4, too"),
    # one class
    (lambda: rows().replace(",ill\n", ",well\n"), " holds one class only, 'well': a diagnosis needs at least two"),
    # numbers and words in a column
    (lambda: rows(age={6: "old", 7: "young"}), ", line 6, column 'age': 'old' is no number, as other cells are: .* .1 more"),
    (lambda: rows(sex={6: "1"}), ", line 6, column 'sex': '1' is a number, as other cells are not"),
    # rows in which nothing is
    (lambda: rows(image={7: ""}, age={7: ""}, sex={7: ""}), ", line 7: nothing is known in this row but its label"),
    # columns
    (lambda: rows().replace("sex,label", "Age ,label"), " has two columns named 'age' in any case"),
    (lambda: rows().replace("sex,label", "label,label"), " has two columns named 'label'"),
    (lambda: rows().replace("sex,label", ",label"), ": column 6 has no name"),
    (lambda: HEADER, " has no rows"),
    (lambda: "label,split\nill,train\nwell,test\n", " has no column to learn from"),
    (lambda: rows() + "r30,P30,train,,63\n", ", line 26 has 5 fields, the header 7"),
    (lambda: rows(age={3: "36,6"}), ", line 3 has 8 fields, the header 7: quote texts that contain commas"),
    # labels
    (lambda: rows(label={5: " "}), ", line 5, column 'label': an empty cell is no label: write the diagnosis"),
    (lambda: rows(label={5: "NA"}), ", line 5, column 'label': 'NA' is no label"),
    (lambda: rows(label={6: "Well"}), ", line 6, column 'label': the label 'Well' is 'well' in line 3: write them alike"),
    # splits, sites, errors of spreadsheets
    (lambda: rows(split={6: "later", 7: "later"}), ", line 6, column 'split': 'later' is no split: .* .1 more"),
    (lambda: rows(age={6: "#DIV/0!"}), ", line 6, column 'age': '#DIV/0!' is an error of a spreadsheet"),
    (lambda: rows(sex={6: "#N/A"}), ", line 6, column 'sex': '#N/A' is an error of a spreadsheet"),
    (lambda: rows(image={6: "#REF!"}), ", line 6, column 'image': '#REF!' is an error of a spreadsheet"),
    # files
    (lambda: rows(image={6: "P4.PNG"}), ", line 6, column 'image': 'P4.PNG' does not exist: there is 'p4.png'"),
    (lambda: rows(image={6: "folder"}), ", line 6, column 'image': 'folder' is a folder: name a file in it"),
    (lambda: rows(image={6: "/nowhere/x.png"}), ", line 6, column 'image': '/nowhere/x.png' does not exist: paths begin at"),
    (lambda: rows(image={6: "folder\\..\\p4.png"}), ", line 6, column 'image': .* is written with backslashes: write /"),
    (lambda: rows(sex={6: "empty.txt"}).replace(",sex,", ",text,"), ", line 6, column 'text': 'empty.txt' is an empty file"),
    (lambda: rows(sex={6: "latin.txt"}).replace(",sex,", ",text,"), ", line 6, column 'text': 'latin.txt' cannot be .*UTF-8"),
    (lambda: rows(sex={6: "lost.txt"}).replace(",sex,", ",note,"), ", line 6, column 'note': 'lost.txt' does not exist"),
    # words that tell each row apart
    (lambda: rows(sex={i: f"word{i}" for i in range(2, 26)}), ", column 'sex': 24 different words in 24 rows: name it id"),
    # the column split without training, or with a class that training lacks
    (lambda: rows().replace(",train,", ",test,"), ", column 'split': no row says train"),
    (lambda: rows(label={i: "other" for i in (4, 5, 10, 11)}), ", column 'split': no row of train has the label 'other'"),
    # cells that look like numbers
    *[
        (lambda cell=cell: rows(age={6: cell}), rf", line 6, column 'age': .* {words}")
        for cell, words in {
            "63 years": "has a unit: write the number", "inf": "is no measurement", "-Infinity": "is no measurement",
            '"1,234"': "has a comma, for decimals or for thousands", '"1,234,567"': "has a separator of thousands",
            "1 234": "has a separator of thousands", "1'234.5": "has a separator of thousands", "50%": "has a percent sign",
            "2020-01-31": "is a date", "31.1.2020": "is a date", "1/2/2020 10:30": "is a date", "120/80": "is two numbers",
            "<5": "is a bound, no value", "true": "is an answer among numbers", "1e999": "is no number", "0x10": "is no number",
        }.items()
    ],
]  # fmt: skip


@pytest.mark.parametrize("mistake", range(len(MISTAKES)))
def test_a_mistake_is_one_line_that_says_where(write, mistake):
    text, words = MISTAKES[mistake]
    path = write(text())
    with pytest.raises(ValueError, match=words) as caught:
        table, names = check_training(read_study_table(path))
        split_rows(table, names, seed=0)
    said = str(caught.value)
    assert said.startswith(str(path)) and "\n" not in said


@pytest.mark.parametrize(
    "cells", [["63 years", "7 years"], ["1,5", "2,5"], ["5%", "7%"], ["1.1.2020", "2.1.2020"], ["120/80", "110/70"]]
)
def test_a_column_of_mistaken_numbers_is_no_column_of_words(write, cells):
    changed = {i: f'"{cells[i % 2]}"' for i in range(2, 26)}
    with pytest.raises(ValueError, match=r", line 2, column 'sex': .* .23 more such rows"):
        read_study_table(write(rows(sex=changed)))


@pytest.mark.parametrize("cells", [["<40", ">70"], ["20-30", "31-40"], ["1st", "2nd"], ["T1", "T2"], ["3a", "3b"], ["yes", "no"]])
def test_words_with_digits_may_be_categories(write, cells):
    table = read_study_table(write(rows(sex={i: cells[i % 2] for i in range(2, 26)})))
    assert set(table.categories["sex"]) == set(cells)


# what is unusual and can only mean one thing: (text, name of the file, encoding, the note)
READ = {
    "a byte order mark": (rows(), "utf-8-sig", "begins with a byte order mark"),
    "semicolons": (rows().replace(",", ";"), "utf-8", "fields are separated by semicolons"),
    "tabs": (rows().replace(",", "\t"), "utf-8", "fields are separated by tabs"),
    "excel": ("sep=;\n" + rows().replace(",", ";"), "utf-8", "fields are separated by semicolons"),
    "empty rows": (rows() + ",,,,,,\n\n , , , , , ,\n", "utf-8", "line 26 and 2 more left out: empty"),
    "capitals": (rows(sex={4: "F"}), "utf-8", "column 'sex': 'F' read as 'f'"),
    "missing": (rows(age={4: "unknown", 5: "NA", 6: ""}), "utf-8", r"column 'age': 'unknown' .1., 'NA' .1. read as missing"),
    "a constant": (rows(sex=dict.fromkeys(range(2, 26), "f")), "utf-8", "column 'sex' is 'f' in all rows: left out"),
    "an empty column": (rows(sex=dict.fromkeys(range(2, 26), "")), "utf-8", "the column 'sex' is empty: left out"),
    "a counter": (rows(sex={i: str(i) for i in range(2, 26)}), "utf-8", "column 'sex' counts the rows: left out"),
    "an index": (rows(sex={i: str(i - 2) for i in range(2, 26)}).replace("sex", ""), "utf-8", "without a name counts the rows"),
    "spaces": (rows(sex={4: "  m  "}).replace("age", "  Age  "), "utf-8", None),
    "line ends": (rows().replace("\n", "\r\n"), "utf-8", None),
}


@pytest.mark.parametrize("name", READ)
def test_what_has_one_meaning_is_read_with_a_note(write, name):
    text, encoding, note = READ[name]
    table, names = check_training(read_study_table(write(text, encoding=encoding)))
    assert (len(table), names) == (24, ["ill", "well"]) and next(iter(table.numbers)).lower() == "age"
    assert len(table.notes) == (note is not None)
    if note:
        with pytest.raises(AssertionError, match=note):
            raise AssertionError(table.notes[0])


@pytest.mark.parametrize(
    "cell", [lambda i, ill: "dead" if ill else "alive", lambda i, ill: str(i % 7 + 30 * ill), lambda i, ill: str(int(ill))]
)
def test_a_column_that_tells_the_label_is_warned_of_first(write, cell):
    changed = {i + 2: cell(i, i % 3 == 0) for i in range(24)}
    table, _ = check_training(read_study_table(write(rows(sex=changed), encoding="utf-8-sig")))
    assert table.notes[0].startswith("! column 'sex' tells the label without fail") and "sex" in table.columns
    changed[5] = changed[6]  # one row that speaks against it
    table, _ = check_training(read_study_table(write(rows(sex=changed))))
    assert not any(note.startswith("!") for note in table.notes)


def test_quoted_line_breaks_count_as_lines(write):
    text = 'text,label\n"two\nlines",ill\nwords,well\nmore,\n'
    with pytest.raises(ValueError, match="line 5, column 'label'"):
        read_study_table(write(text))


def test_texts_are_words_or_files(write, tmp_path):
    (tmp_path / "a.TXT").write_text("fever\nand chills")
    table = read_study_table(write("note,age,label\na.TXT,63,ill\ncough.,,well\n,70,well\n"))
    assert table.texts == ["fever\nand chills", "cough.", None] and table.modalities == ("text", "table")


def test_absolute_paths_are_read_and_noted(write, tmp_path):
    table = read_study_table(write(rows(image={4: str(tmp_path / "p2.png")})))
    assert table.images[2] == str(tmp_path / "p2.png") and "absolute paths" in table.notes[0]


def test_columns_that_the_user_names(write):
    text = rows().replace("patient,", "who,").replace("sex", "ward")
    table = read_study_table(write(text), patient="Who", site="ward")
    assert table.patient[:3] == ["P0", "P0", "P1"] and table.site[:2] == ["f", "m"] and table.categories == {}
    with pytest.raises(ValueError, match="has no column 'whom': its columns are 'id', 'who'"):
        read_study_table(write(text), patient="whom")


def test_for_prediction_the_models_columns_count(write):
    known = {"age": "number", "category": "category"}
    table = read_study_table(write("age,category,label\n63,1,\n,2,x\n"), label=False, known=known)
    assert table.label is None and table.categories == {"category": ["1", "2"]} and table.columns == ["age", "category"]
    with pytest.raises(ValueError, match="line 2, column 'age': 'old' is no number"):
        read_study_table(write("age,category\nold,1\n"), label=False, known=known)
    match_columns(table, list(known))
    other = read_study_table(write("AGE,Category\n63,1\n"), label=False, known=known)
    assert other.columns == ["age", "category"]
    with pytest.raises(ValueError, match="no column 'age', which the model reads; did you mean 'aeg'"):
        match_columns(read_study_table(write("aeg,category\n63,1\n"), label=False, known=known), list(known))


def test_files_that_cannot_be_opened_name_their_row(write):
    table = read_study_table(write(rows()))

    def check(path):
        if path.endswith(("p3.png", "p7.png")):
            raise OSError(f"{path} is no image")

    with pytest.raises(ValueError, match=r"line 5, column 'image': .*p3.png is no image; .* .1 more such row."):
        check_files(table, "image", table.images, check)


@pytest.mark.parametrize("with_patients", [True, False])
def test_patients_stay_together_and_each_class_is_in_each_part(write, with_patients):
    text = rows(38).replace(",split,", ",part,")
    text = text if with_patients else text.replace(",patient,", ",who,")
    table = read_study_table(write(text.replace(",who,", ",id2,")), patient=None)
    parts, notes = split_rows(table, ["ill", "well"], seed=3)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(38)) and len(notes) == 1
    assert all({table.label[i] for i in part} == {"ill", "well"} for part in parts.values())
    if with_patients:
        owners = [{table.patient[i] for i in part} for part in parts.values()]
        assert not owners[0] & owners[1] and not owners[0] & owners[2] and not owners[1] & owners[2]
    again = split_rows(table, ["ill", "well"], seed=3)[0]
    assert all(parts[k].tolist() == again[k].tolist() for k in parts)
    few = split_rows(table, ["ill", "well"], seed=3, limit=2)[0]
    assert all(len(part) <= 4 for part in few.values())


def test_the_column_split_is_kept(write):
    table = read_study_table(write(rows()))
    parts, notes = split_rows(table, ["ill", "well"], seed=0)
    assert notes == [] and all(table.split[i] == part for part, chosen in parts.items() for i in chosen)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_python_writes_as_a_number_is_read_back(value):
    assert is_number(repr(value)) and read_numbers([repr(value)])[0] == value


@given(st.lists(st.text(max_size=8), min_size=1, max_size=6))
def test_cells_become_numbers_or_a_reason(cells):
    found = read_numbers(cells)
    if isinstance(found, np.ndarray):
        assert not np.isinf(found).any() and len(found) == len(cells)
    else:
        assert 0 <= found.row < len(cells) and found.what and found.do and found.more < len(cells)


CELLS = [
    "", "1", "2.5", "1,5", "63 years", "f", "F", "m", "p1.png", "folder", "empty.txt", "#N/A", "nan", "inf", "1e999", "9" * 5000,
    "?", '"', ";", "two\nlines", "train", "test", "later", "2020-01-01", "120/80", "<5", "yes", "٣", "½", "=1+1", "\u202e",
    "../p1.png", "/", " ",
]  # fmt: skip
NAMES = ["age", "Age", "sex", "image", "sound", "text", "patient", "site", "split", "id", "", "class", "two\nlines"]


@given(st.data())
def test_any_table_is_read_or_refused_in_one_line(tmp_path_factory, data):
    header = ["label", *data.draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4))]
    column = st.sampled_from(CELLS)
    pools = [["ill", "well"], *(data.draw(st.lists(column, min_size=1, max_size=3)) for _ in header[1:])]
    lines = data.draw(st.lists(st.tuples(*map(st.sampled_from, pools)), max_size=12))
    path = tmp_path_factory.getbasetemp() / "any.csv"
    with path.open("w", newline="", encoding="utf-8", errors="surrogatepass") as file:
        csv.writer(file).writerows([header, *lines])
    for options in ({}, {"label": False}, {"known": {"age": "number", "sex": "category"}}):
        try:
            table = read_study_table(path, **options)
            assert len(table) <= len(lines) and not any(np.isinf(column).any() for column in table.numbers.values())
            if "known" not in options and "label" not in options:
                split_rows(*check_training(table), seed=0)
        except ValueError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)
