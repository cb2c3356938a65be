"""Tables as people and spreadsheets write them: read as they were meant, or refused with file and line."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinydx.datasets.tables import has_columns, read_table
from tinydx.datasets.terms import text_pairs
from tinydx.diagnosis.kinds.text import open_table
from tinydx.preprocessing.text.files import read_text

FITS = has_columns(["text", "note"], ["label"])
ROWS = [["fever, chills; and | bars", "flu"], ['he said "ouch"', "burn"], ["two\nlines", "rash"], ["tab\there", "flu"]]


def written(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def as_table(rows, delimiter=",", line_end="\r\n", quoting=csv.QUOTE_MINIMAL):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=quoting).writerows([["text", "label"], *rows])
    return text.getvalue()


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_every_usual_delimiter_and_line_end(tmp_path, name, delimiter, line_end):
    text = as_table(ROWS, delimiter, line_end, csv.QUOTE_NONNUMERIC)  # the module does not quote \n where lines end with \r
    table = read_table(written(tmp_path / name, text), FITS)
    assert table.header == ["text", "label"] and [row.fields for row in table.rows] == ROWS


FIELD = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


@given(
    rows=st.lists(st.lists(FIELD, min_size=2, max_size=2), max_size=9),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, rows, delimiter, quoting):
    path = written(tmp_path_factory.mktemp("t") / "t.csv", as_table(rows, delimiter, quoting=quoting))
    kept = [row for row in rows if any(field.strip() for field in row)]
    assert [row.fields for row in read_table(path, FITS).rows] == kept


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_with_a_mark(tmp_path, encoding):
    rows = [["Fiebér 发烧", "flu"]]
    table = read_table(written(tmp_path / "t.csv", as_table(rows), encoding), FITS)
    assert table.header[0] == "text" and [row.fields for row in table.rows] == rows


def test_the_line_that_excel_writes_first(tmp_path):
    table = read_table(written(tmp_path / "t.csv", "sep=;\r\n" + as_table(ROWS, ";")), FITS)
    assert [row.fields for row in table.rows] == ROWS and [row.line for row in table.rows] == [3, 4, 5, 7]
    with pytest.raises(ValueError, match="line 3 has 3 fields"):
        read_table(written(tmp_path / "t.csv", "sep=;\ntext;label\na;b;c\n"), FITS)


def test_empty_lines_and_fields_are_left_out(tmp_path):
    text = "\n\ntext,label\n\nfever,flu\n,\n  ,  \nitching,rash\n\n\n"
    assert [(row.line, row.fields) for row in read_table(written(tmp_path / "t.csv", text), FITS).rows] == [
        (5, ["fever", "flu"]),
        (8, ["itching", "rash"]),
    ]


GOOD = "text,label\n" + "fever,flu\n" * 16


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD + "burning, severe,rash\n", "line 18 has 3 fields, the header 2: quote texts that contain commas"),
        (GOOD + "burning\n", "line 18 has 1 field, the header 2"),
        (GOOD.replace(",", ";") + "burning; severe;rash\n", "line 18 has 3 fields, the header 2: .* semicolons"),
        (GOOD + "burning,rash,\n", "line 18 has 3 fields"),
        (GOOD + '"burning,rash\nfever,flu\n', "line 18: a quote is opened and never closed"),
        (GOOD + '"burning" feet,rash\n', "line 18: a closing quote is followed by more text"),
        (GOOD + 'two,"li\nnes"\n"burning,rash\n', "line 20: a quote is opened"),
        (GOOD + "bur\0ning,rash\n", r"t\.csv is not a UTF-8 table \(line 18 holds a zero byte\)"),
        (GOOD + "x" * 200_000 + ",rash\n", "line 18: field larger than field limit"),
    ],
)
def test_what_does_not_fit_is_named_by_its_line(tmp_path, text, words):
    with pytest.raises(ValueError, match=words) as caught:
        read_table(written(tmp_path / "t.csv", text), FITS)
    assert str(tmp_path / "t.csv") in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("text,label\nfever,flu\nFiebér,flu\n".encode("latin-1"), r"not a UTF-8 table \(line 3, byte 25\): save it as UTF-8"),
        ("text,label\nfever,flu\n".encode("utf-16-le"), "zero byte"),  # without its mark
        ("text,label\nfever,flu\n".encode("utf-16")[:-1], "not a UTF-8 table"),
        (b"PK\x03\x04\x14\x00\x06\x00", "a zip file or a spreadsheet"),
    ],
)
def test_other_encodings_and_formats_are_not_guessed(tmp_path, data, words):
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(ValueError, match=words):
        read_table(tmp_path / "t.csv", FITS)


def test_columns_of_one_name_are_refused_where_they_matter(tmp_path):
    for header, column in (("text,label,Label", ["label"]), ("note,Note ,label", ["text", "note"])):
        table = read_table(written(tmp_path / "t.csv", f"{header}\na,b,c\n"), FITS)
        with pytest.raises(ValueError, match="2 columns named"):
            table.find(column)
    twice = read_table(written(tmp_path / "t.csv", "x,x,text,label\n1,2,a,b\n"), FITS)
    assert (twice.find(["text"]), twice.find(["label"]), twice.find(["other"])) == (2, 3, None)


def diagnosed(tmp_path, text):
    return open_table(written(tmp_path / "t.csv", text), None, 0)


def test_a_comma_in_a_text_makes_no_class(tmp_path):
    rows = [f"fever and cough {i},flu" for i in range(9)] + [f"itching of the skin {i},rash" for i in range(9)]
    names, splits, *_ = diagnosed(tmp_path, "text,label\n" + "\n".join([*rows, '"burning, severe",rash']) + "\n")
    assert names == ["flu", "rash"] and sum(map(len, splits.values())) == 19
    with pytest.raises(ValueError, match="line 20 has 3 fields"):
        diagnosed(tmp_path, "text,label\n" + "\n".join([*rows, "burning, severe,rash"]) + "\n")


@pytest.mark.parametrize(("one", "other"), [("flu", "Flu"), ("lung cancer", "lung  cancer"), ("hay fever", "hayfever")])
def test_labels_that_differ_only_in_their_spelling(tmp_path, one, other):
    with pytest.raises(ValueError, match=rf"the label '{other}' in line 4 is '{one}' in line 3: write them alike"):
        diagnosed(tmp_path, f"text,label\nitching,rash\nfever,{one}\ncough, {other} \n")


def test_an_empty_field_is_named_by_line_and_row(tmp_path):
    with pytest.raises(ValueError, match="line 5, row 3: the label is empty"):
        diagnosed(tmp_path, 'text,label\n"two\nlines",flu\n\ncough,\n')


def test_a_table_without_a_header(tmp_path):
    with pytest.raises(ValueError, match="no column 'text': its columns are 'fever', 'flu'"):
        diagnosed(tmp_path, "fever,flu\ncough,flu\n")


def test_pairs_are_read_by_the_same_rules(tmp_path):
    assert text_pairs(written(tmp_path / "p.csv", "Source;target\nbroken leg;fracture\n")) == [("broken leg", "fracture")]
    with pytest.raises(ValueError, match="line 3 has 3 fields, the header 2"):
        text_pairs(written(tmp_path / "p.csv", "source,target\na,b\nc,d,e\n"))


def test_texts_in_files(tmp_path):
    assert read_text(written(tmp_path / "a.txt", "Fiebér", "utf-8-sig")) == "Fiebér"
    assert read_text(written(tmp_path / "a.txt", "Fiebér", "utf-16")) == "Fiebér"
    assert read_text(written(tmp_path / "a.txt", "发烧" * 50), longest=7) == "发烧发烧发烧发"
    with pytest.raises(ValueError, match="line 2 holds a zero byte"):
        read_text(written(tmp_path / "a.txt", "a\nb\0"))
    with pytest.raises(FileNotFoundError, match=r"no text file .*none"):
        read_text(tmp_path / "none.txt")
