"""Tables: what is taken, and that every error names its line."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from gpucnn.data.columns import Known
from gpucnn.data.csv import find_tables, read_table
from gpucnn.data.resolve import read
from gpucnn.errors import DataError

HEADER = "label,pixel0,pixel1,pixel2,pixel3\n"
ROWS = "3,0,1,2,255\n9,4,5,6,7\n"
PIXELS = [[0, 1, 2, 255], [4, 5, 6, 7]]


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        HEADER + ROWS,
        ROWS,
        ROWS.rstrip("\n"),
        ROWS.replace("\n", "\r\n"),
        (HEADER + ROWS).replace("\n", "\r"),
        "\ufeff" + HEADER + ROWS,
        HEADER.replace("pixel0", '"pixel0"').replace("label", '"label"') + ROWS,
        (HEADER + ROWS).replace(",", '","').replace("\n", '"\n"')[:-1].join('""')[:-1],
        "label,0,1,2,3\n" + ROWS,  # numbers for names
        "Label, 1x1, 1x2, 2x1, 2x2\n" + ROWS,
        HEADER + ROWS.replace(",", ", ") + "\n\n",
        "\n# digits of mine\n" + HEADER + ROWS.replace("\n", "\n\n"),
        (HEADER + ROWS).replace(",", ";"),
        (HEADER + ROWS).replace(",", "\t"),
        ROWS.replace(",", " "),
        (HEADER + ROWS).replace("\n", ",\n"),
        HEADER + ROWS.replace("3,", "3.0,").replace("255", "2.55e+02"),
        "3.000e+00,0.0,1.0,2.0,255.0\n9.000e+00,4.0,5.0,6.0,7.0\n",
        ",label,pixel0,pixel1,pixel2,pixel3\n0,3,0,1,2,255\n1,9,4,5,6,7\n",  # pandas' index
        '"","label","pixel0","pixel1","pixel2","pixel3"\n"1",3,0,1,2,255\n"2",9,4,5,6,7\n',  # R's
        "id,class,pixel0,pixel1,pixel2,pixel3\na,3,0,1,2,255\nb,9,4,5,6,7\n",
        "pixel1,pixel2,pixel3,pixel4,class\n0,1,2,255,3\n4,5,6,7,9\n",  # OpenML
        "pixel0000,pixel0001,pixel0002,pixel0003,label\n0,1,2,255,3\n4,5,6,7,9\n",  # HAM10000
        "pixel0,pixel1,digit,pixel2,pixel3\n0,1,3,2,255\n4,5,9,6,7\n",
        "pixel3,pixel1,pixel2,pixel0,y\n255,1,2,0,3\n7,5,6,4,9\n",  # in another order
        "p10,p2,p1,p9,target\n255,1,0,2,3\n7,5,4,6,9\n",
        "Unnamed: 0,pixel0,pixel1,pixel2,pixel3,kind\n0,0,1,2,255,3\n1,4,5,6,7,9\n",
        "kind,a,b,c,d,label\nx,0,1,2,255,3\nx,4,5,6,7,9\n".replace("kind,", "id,"),
    ],
)
def test_labeled_table(tmp_path: Path, text: str) -> None:
    table = read_table(write(tmp_path / "train.csv", text))
    assert table.labels is not None
    assert table.labels.tolist() == [3, 9]
    assert table.pixels is not None
    assert table.pixels.tolist() == PIXELS
    assert not table.columns.unread


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "latin-1"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    table = read_table(write(tmp_path / "train.csv", HEADER + ROWS, encoding))
    assert table.pixels is not None
    assert table.pixels.tolist() == PIXELS


def test_numbers_written_as_integers_stay_bytes(tmp_path: Path) -> None:
    for text, dtype in ((ROWS, np.uint8), (ROWS.replace("255", "255.0"), np.float32)):
        table = read_table(write(tmp_path / "train.csv", text))
        assert table.pixels is not None
        assert table.pixels.dtype == dtype


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("0,1,2,255\n4,5,6,7\n", None),
        ("pixel0,pixel1,pixel2,pixel3\n0,1,2,255\n4,5,6,7\n", None),
        ("id,pixel0,pixel1,pixel2,pixel3\n7,0,1,2,255\n8,4,5,6,7\n", ["7", "8"]),
        (",pixel0,pixel1,pixel2,pixel3\n0,0,1,2,255\n1,4,5,6,7\n", ["0", "1"]),
        ("ImageId,pixel0,pixel1,pixel2,pixel3\na1,0,1,2,255\na2,4,5,6,7\n", ["a1", "a2"]),
    ],
)
def test_table_without_labels(tmp_path: Path, text: str, ids: list[str] | None) -> None:
    path = tmp_path / "test.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    table = read_table(path)
    assert table.labels is None
    assert table.ids == ids
    assert table.pixels is not None
    assert table.pixels.tolist() == PIXELS


@pytest.mark.parametrize(
    ("name", "cells", "is_id"),
    [
        ("Usage", ["Public", "Private", "Public"], False),
        ("weight", ["1", "1", "1"], False),
        ("Usage", ["Public"], False),
        ("photo", ["a", "b", "c"], True),
        ("Usage", ["3", "1", "2"], True),
        ("id", ["5", "5", "6"], True),
        ("Image_ID", ["7"], True),
    ],
)
def test_a_column_of_ids_has_such_a_name_or_tells_the_rows_apart(
    tmp_path: Path, name: str, cells: list[str], is_id: bool
) -> None:
    rows = "".join(f"{cell},0,1,2,255\n" for cell in cells)
    path = write(tmp_path / "test.csv", f"{name},pixel0,pixel1,pixel2,pixel3\n{rows}")
    found = read(path, labeled=False)
    (part,) = found.parts
    assert (part.ids, part.id_name) == ((cells, name) if is_id else (None, None))
    assert [f"the column {name} is not read" in note for note in found.notes] == [True] * (
        not is_id
    )


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["cat", "dog"], ["cat", "dog"]),
        (["A", "7", "B"], ["A", "7", "B"]),  # as on number plates
        (["07", "7"], ["07", "7"]),
        (["1_1", "11"], ["1_1", "11"]),
        (["1e1", "a"], ["1e1", "a"]),
        (["x" * 120 + "a", "x" * 120 + "b"], ["x" * 120 + "a", "x" * 120 + "b"]),
        (["caf\u00e9", "cafe\u0301"], ["caf\u00e9", "caf\u00e9"]),
        (["26", "61"], [26, 61]),
        (['"new york"', "b"], ["new york", "b"]),
        (["été", "手"], ["été", "手"]),
        (["9.0", "9.000e+00"], [9, 9]),
    ],
)
def test_labels_of_other_kinds(
    tmp_path: Path, labels: list[str], expected: list[str | int]
) -> None:
    rows = [f"{label},0,1,2,3" for label in labels]
    for text in (HEADER + "\n".join(rows), "\n".join(rows)):
        table = read_table(write(tmp_path / "train.csv", text))
        assert table.labels is not None
        assert table.labels.tolist() == expected


@pytest.mark.parametrize(
    ("text", "label_column"),
    [
        ("a,b,pixel0,pixel1,pixel2,pixel3\n3,5,0,1,2,255\n9,5,4,5,6,7\n", "a"),
        ("a,b,pixel0,pixel1,pixel2,pixel3\n5,3,0,1,2,255\n5,9,4,5,6,7\n", "B"),
        ("0,1,2,255,3\n4,5,6,7,9\n", "-1"),
        ("0,1,2,255,3\n4,5,6,7,9\n", "5"),
        (ROWS, "1"),
        ("V1,V2,V3,V4,V5\n3,0,1,2,255\n9,4,5,6,7\n", "V1"),
        ("label,class,p0,p1,p2,p3\n3,8,0,1,2,255\n9,8,4,5,6,7\n", "label"),
    ],
)
def test_a_label_column_that_is_named(tmp_path: Path, text: str, label_column: str) -> None:
    table = read_table(write(tmp_path / "train.csv", text), Known(label_column=label_column))
    assert table.labels is not None
    assert table.labels.tolist() == [3, 9]
    assert table.pixels is not None
    assert table.pixels.tolist() == PIXELS


@pytest.mark.parametrize(("label_column", "start"), [("2", 0), ("-1", 1), ("2", 28001)])
def test_a_counter_in_a_table_without_a_header(
    tmp_path: Path, label_column: str, start: int
) -> None:
    """It has one column more than pixels and a label, and that one numbers the rows."""
    rows = [["3", *map(str, PIXELS[0])], ["9", *map(str, PIXELS[1])]]
    if label_column == "-1":
        rows = [[*row[1:], row[0]] for row in rows]
    text = "".join(f"{start + k},{','.join(row)}\n" for k, row in enumerate(rows))
    table = read_table(write(tmp_path / "t.csv", text), Known(label_column=label_column))
    assert table.labels is not None
    assert table.pixels is not None
    assert table.labels.tolist() == [3, 9]
    assert table.pixels.tolist() == PIXELS
    assert table.ids == [str(start), str(start + 1)]


def test_no_label_column(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "label,pixel0,pixel1,pixel2,pixel3\n3,0,1,2,255\n9,4,5,6,7\n")
    assert read_table(path, Known(label_column="none")).labels is None


@pytest.mark.parametrize(
    ("text", "message", "option"),
    [
        ("a,b,pixel0,pixel1,pixel2,pixel3\n3,5,0,1,2,3\n", "several columns .*: a, b", "a"),
        ("label,class,p0,p1,p2,p3\n3,8,0,1,2,3\n", "several columns .*: label, class", "label"),
        ("V1,V2,V3,V4,V5\n3,0,1,2,255\n9,4,5,6,7\n", "none by the name of a label", "V1"),
        ("0,1,2,3,4,5,6,7,8,9\n3,0,1,2,255,0,0,0,0,0\n", "none by the name of a label", "0"),
        ("1,2,3,4,5,6,7,8,9,10\n3,0,1,2,255,0,0,0,0,0\n", "none by the name of a label", "1"),
        ("0,5,6,7,cat\n0,4,5,6,dog\n", "first column may be no label", "-1"),
        ("5,5,6,7,0\n9,4,5,6,2\n200,8,8,8,3\n31,8,8,8,4\n", "may be no label", "-1"),
        # The UCI's optdigits has its labels last, and R and pandas number their rows.
        ("0,5,6,7,0\n0,4,5,6,1\n0,8,8,8,2\n", "first column may be no label", "-1"),
        ("1,5,6,7,0\n2,4,5,6,0\n3,8,8,8,0\n", "first column may be no label", "1"),
        ("0,5,6,7,9\n1,4,5,6,9\n2,8,8,8,9\n", "first column may be no label", "1"),
    ],
)
def test_a_label_that_is_not_certain_is_asked_for(
    tmp_path: Path, text: str, message: str, option: str
) -> None:
    with pytest.raises(DataError, match=message) as error:
        read_table(write(tmp_path / "train.csv", text))
    assert "--label-column" in (error.value.fix or "")
    assert option in (error.value.fix or "")


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no column 'kind'") as error:
        read_table(write(tmp_path / "train.csv", HEADER + ROWS), Known(label_column="kind"))
    assert "label, pixel0" in (error.value.cause or "")
    text = "pixel0,pixel1,pixel2,pixel3,category,note\n0,1,2,255,3,a\n4,5,6,7,9,b\n"
    with pytest.raises(DataError, match="did you mean category") as error:
        read_table(write(tmp_path / "last.csv", text), Known(label_column="categorie"))
    assert "its columns are category, note, pixel0" in (error.value.cause or "")


def test_another_table_for_the_same_model(tmp_path: Path) -> None:
    """Where an image has 4 pixels, what was said of the table of training gives way."""
    path = tmp_path / "t.csv"
    for text, label in (
        ("kind,pixel0,pixel1,pixel2,pixel3\n3,0,1,2,255\n9,4,5,6,7\n", "kind"),
        ("label,pixel0,pixel1,pixel2,pixel3\n3,0,1,2,255\n9,4,5,6,7\n", "label"),
        ("pixel0,pixel1,pixel2,pixel3\n0,1,2,255\n4,5,6,7\n", None),
        ("0,1,2,255\n4,5,6,7\n", None),
    ):
        table = read_table(write(path, text), Known(label_was="kind", pixels=4))
        assert table.columns.label_name == label
        assert table.pixels is not None
        assert table.pixels.tolist() == PIXELS
    with pytest.raises(DataError, match="neither the 4 pixels of an image"):
        read_table(write(path, "1,2,3,4,5,7,7,8,9,10\n"), Known(pixels=4))
    with pytest.raises(DataError, match="has no column 'kind'"):  # said now, it must be there
        read_table(write(path, HEADER + ROWS), Known(label_column="kind", pixels=4))
    table = read_table(write(path, HEADER + ROWS), Known(label_column="1", pixels=4))
    assert table.columns.label_name == "label"
    last = "0,1,2,255,3\n4,5,6,7,9\n"
    for known in (Known(label_was="5", pixels=4), Known(label_was="-1", pixels=4)):
        table = read_table(write(path, last), known)
        assert table.labels is not None
        assert table.labels.tolist() == [3, 9]


def test_a_number_that_is_also_a_name(tmp_path: Path) -> None:
    """Column 1 by its place is the one called 0."""
    rows = "0,1,2,3,4,5,6,7,8,9\n3,0,1,2,5,0,0,0,0,7\n4,0,1,2,5,0,0,0,0,8\n"
    path = write(tmp_path / "train.csv", rows)
    with pytest.raises(DataError, match="a column called 1, which is not its column number 1"):
        read_table(path, Known(label_column="1"))
    for column, labels in (("-10", [3, 4]), ("0", [3, 4]), ("-1", [7, 8])):
        table = read_table(path, Known(label_column=column))
        assert table.labels is not None
        assert table.labels.tolist() == labels


@pytest.mark.parametrize(
    ("header", "labels"),
    [
        ("letter", ["a", "b"]),
        ("species", ["1", "2"]),
        ("letter", ["y", "x"]),
        ("y", ["y", "id"]),
        ("", ["id", "row"]),
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_a_header_with_one_word(tmp_path: Path, header: str, labels: list[str], last: bool) -> None:
    """pd.DataFrame(x) with a column of labels: the pixels are called 0, 1, 2, ..."""
    pixels = [[9, 0, 0, 7, 0, 0, 0, 0, 8], [7, 0, 1, 7, 0, 5, 0, 0, 6]]
    names = [str(k) for k in range(9)]
    rows = [[*map(str, row), label] for row, label in zip(pixels, labels, strict=True)]
    lines = [[*names, header], *rows] if header else rows
    if not last:
        lines = [[line[-1], *line[:-1]] for line in lines]
    path = write(tmp_path / "t.csv", "\n".join(map(",".join, lines)))
    known = Known(label_column="-1") if last and not header else Known()
    table = read_table(path, known)
    assert table.labels is not None
    expected = [1, 2] if labels[0] == "1" else labels
    assert table.labels.tolist() == expected
    assert table.pixels is not None
    assert table.pixels.tolist() == pixels


@pytest.mark.parametrize("first", ["y", "id", "row", "class", "label", "index"])
def test_a_first_label_that_is_called_as_a_column(tmp_path: Path, first: str) -> None:
    text = f"{first},9,0,0,7\nq,3,1,7,0\n{first},3,0,0,1\n"
    table = read_table(write(tmp_path / "t.csv", text))
    assert table.labels is not None
    assert table.labels.tolist() == [first, "q", first]
    table = read_table(
        write(tmp_path / "t.csv", "1.png,cat,train\n2.png,dog,test\n"), Known(label_column="2")
    )
    assert table.files == ["1.png", "2.png"]


@pytest.mark.parametrize(
    "names",
    [
        "x0y0 x1y0 x0y1 x1y1",
        "1x1 1x2 2x1 2x2",
        "r0c0 r0c1 r1c0 r1c1",
        "a0b0 a1b0 a0b1 a1b1",
        "row0col0 row0col1 row1col0 row1col1",
        "p0_0 p0_1 p1_0 p1_1",
    ],
)
def test_pixels_by_row_and_column(tmp_path: Path, names: str) -> None:
    text = f"label,{','.join(names.split())}\n3,0,1,2,255\n"
    table = read_table(write(tmp_path / "t.csv", text))
    assert table.pixels is not None
    assert table.pixels.tolist() == [[0, 1, 2, 255]]


def test_a_table_sorted_by_its_labels_which_are_last(tmp_path: Path) -> None:
    """More rows than are looked at to tell what the columns are."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3000, 9))
    labels = np.sort(np.arange(3000) % 24)
    labels[labels >= 9] += 1  # as of Sign-MNIST, which has no 9
    path = tmp_path / "t.csv"
    np.savetxt(path, np.column_stack([pixels, labels]), fmt="%d", delimiter=",")
    with pytest.raises(DataError, match="the last column looks like one"):
        read_table(path)
    np.savetxt(path, np.column_stack([labels, pixels]), fmt="%d", delimiter=",")
    table = read_table(path)
    assert table.labels is not None
    np.testing.assert_array_equal(table.labels, labels)


@pytest.mark.parametrize(
    "text",
    [
        "label;p0;p1;p2;p3\n3;0;0,25;0,5;1\n9;0,75;1;0;0,5\n",
        "3;0,0;0,25;0,5;1,0\n9;0,75;1,0;0,0;0,5\n",
        "label\tp0\tp1\tp2\tp3\n3\t0\t0,25\t0,5\t1\n9\t0,75\t1\t0\t0,5\n",
        "sep=;\nlabel;p0;p1;p2;p3\n3;0;0,25;0,5;1\n9;0,75;1;0;0,5\n",
        "sep=\t\nlabel\tp0\tp1\tp2\tp3\n3\t0\t0,25\t0,5\t1\n9\t0,75\t1\t0\t0,5\n",
    ],
)
def test_decimal_commas(tmp_path: Path, text: str) -> None:
    table = read_table(write(tmp_path / "t.csv", text))
    assert table.labels is not None
    assert table.labels.tolist() == [3, 9]
    assert table.pixels is not None
    assert table.pixels.tolist() == [[0, 0.25, 0.5, 1], [0.75, 1, 0, 0.5]]


def test_the_header_of_savetxt(tmp_path: Path) -> None:
    rows = np.array([[0, 1, 2, 255, 3], [4, 5, 6, 7, 9]])
    path = tmp_path / "t.csv"
    np.savetxt(path, rows, fmt="%d", delimiter=",", header="pixel0,pixel1,pixel2,pixel3,label")
    table = read_table(path)
    assert table.labels is not None
    assert table.labels.tolist() == [3, 9]
    assert table.columns.label_name == "label"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("ä,1,2,3,4\nö,1,2,3,4\n".encode("latin-1"), "line 1: the label is '\\\\udce4'"),
        (b'label,p0,p1,p2,p3\n"a\nb",1,2,3,4\n', "line 2: a quoted cell goes on"),
        (b'label,p0,p1,p2,p3\n"a", "1",2,3,4\n', None),
    ],
)
def test_odd_text(tmp_path: Path, content: bytes, message: str | None) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    if message is None:
        table = read_table(path)
        assert table.labels is not None
        assert table.labels.tolist() == ["a"]
        return
    with pytest.raises(DataError, match=message):
        read_table(path)


def test_a_prediction_needs_no_labels(tmp_path: Path) -> None:
    known = Known(pixels=4, labeled=False)
    for text, ids in (
        ("label,p0,p1,p2,p3\n,0,1,2,255\n,4,5,6,7\n", None),
        ("label,p0,p1,p2,p3\n-1,0,1,2,255\n-1,4,5,6,7\n", None),
        ("key,p0,p1,p2,p3\n100000,0,1,2,255\n100001,4,5,6,7\n", ["100000", "100001"]),
        ("image_name,p0,p1,p2,p3\na,0,1,2,255\nb,4,5,6,7\n", ["a", "b"]),
        ("a,b,p0,p1,p2,p3\na,x,0,1,2,255\nb,y,4,5,6,7\n", None),
        ("fold1,label,p0,p1,p2,p3\n3,x,0,1,2,255\n4,y,4,5,6,7\n", ["3", "4"]),
    ):
        table = read_table(write(tmp_path / "t.csv", text), known)
        assert table.pixels is not None
        assert table.pixels.tolist() == PIXELS
        assert table.ids == ids


def test_pictures_in_a_table(tmp_path: Path) -> None:
    for text in ("filename,label\na.png,cat\nb/c.JPG,dog\n", "a.png,cat\nb/c.JPG,dog\n"):
        table = read_table(write(tmp_path / "t.csv", text))
        assert (table.files, table.pixels) == (["a.png", "b/c.JPG"], None)
        assert table.labels is not None
        assert table.labels.tolist() == ["cat", "dog"]
    table = read_table(write(tmp_path / "t.csv", "id,path,species,weight,label\n1,a.png,x,3,cat\n"))
    assert table.columns.label_name == "label"
    assert table.columns.unread == ["species", "weight"]
    assert read_table(write(tmp_path / "t.csv", "file\na.png\n")).labels is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + ROWS + "1,2,3,4\n", "line 4: 4 columns, where line 1 has 5"),
        (HEADER + ROWS + "1,2,3,4,5,6\n", "line 4: 6 columns, where line 1 has 5"),
        (ROWS + "\n1,2,3", "line 4: 3 columns, where line 1 has 5"),  # cut short; a blank line
        ("label,a,b,c\n" + ROWS, "line 2: 5 columns, where line 1 has 4"),
        (HEADER + ROWS + "-1,0,0,0,0\n", "line 4: the label is '-1'"),
        (HEADER + ROWS + "2.5,0,0,0,0\n", r"line 4: the label is '2\.5'"),
        (HEADER + ROWS + ",0,0,0,0\n", "line 4: the label is ''"),
        (HEADER + ROWS + "NA,0,0,0,0\n", "line 4: the label is 'NA'"),
        (HEADER + ROWS + "99999,0,0,0,0\n", "line 4: the label is '99999'"),
        (HEADER + ROWS + "1,0,300,0,0\n", "line 4: the pixel 1 .*`pixel1`.* is '300', .* 0 to 255"),
        (HEADER + ROWS + "1,0,0,-3,0\n", "line 4: the pixel 2 .*is '-3'"),
        (HEADER + ROWS + "1,0,0,0.5,0\n", r"line 4: the pixel 2 .*is '0\.5'"),
        (HEADER + ROWS + "1,0,0,nan,0\n", "line 4: the pixel 2 .*is 'nan'"),
        (HEADER + ROWS + "1,0,0,,0\n", "line 4: the pixel 2 .*is ''"),
        (HEADER + ROWS + "1,0,0,0,\u00e9\n", "line 4: the pixel 3 .*is '\u00e9'"),
        (HEADER + ROWS + "1,0,0,0," + "9" * 5000, "line 4: the pixel 3 .*is '9999"),
        ("3,0.1,0.2,0.3,0.4\n9,0.1,0.2,7,0.4\n", "line 2: the pixel 2 is '7'"),
        ("1,2,3\n4,5,6\n", "line 1: 3 columns are neither"),
        ("5\n6\n", "line 1: 1 columns are neither"),
        ("", "has no images"),
        (HEADER, "has no images"),
        (HEADER + "\n\n", "has no images"),
    ],
)
def test_errors_name_the_file_and_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "train.csv", text)
    with pytest.raises(DataError, match=message) as error:
        read_table(path)
    assert str(path) in error.value.message
    assert error.value.fix
    assert error.value.exit_code == 4


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_bytes(ROWS.encode() + b"1,0,\xff\xfe,0,0\n")
    with pytest.raises(DataError, match="line 3: the pixel 1"):
        read_table(path)
    path.write_bytes(bytes(range(200)) * 3)
    with pytest.raises(DataError, match="is no table"):
        read_table(path)


def test_reads_back_a_table_of_random_images(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).integers(0, 256, (50, 785))
    numbers[:, 0] %= 10
    path = tmp_path / "train.csv"
    np.savetxt(path, numbers, fmt="%d", delimiter=",")
    table = read_table(path)
    assert table.labels is not None
    np.testing.assert_array_equal(table.labels, numbers[:, 0])
    np.testing.assert_array_equal(table.pixels, numbers[:, 1:])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEADER[:-1]},\n3,0,1,2,255,\n,\n", "line 3: 0 columns, where line 1 has 5"),
        ("3,0,1,2,255,\n,\n9,4,5,6,7,\n", "line 2: 0 columns, where line 1 has 5"),
        ("a.png,cat,\n,\n", "line 2: 0 columns, where line 1 has 2"),
        (",\n,\n", "line 1: 0 columns are neither"),
        (" ;\n3;0;1;2;255;\n", "line 1: 1 columns are neither"),
    ],
)
def test_rows_of_separators_alone(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(write(tmp_path / "t.csv", text))


@pytest.mark.parametrize("value", ["inf", "nan", "-inf"])
def test_numbers_that_are_not_finite_in_the_first_column(tmp_path: Path, value: str) -> None:
    text = f"2,0,1,2,3\n0,0,1,2,3\n{value},0,1,2,3\n"
    with pytest.raises(DataError, match=r"line 3: the label is|may be no label"):
        read_table(write(tmp_path / "t.csv", text))


@pytest.mark.parametrize("label_column", ["1", "-1"])
def test_a_table_of_labels_alone(tmp_path: Path, label_column: str) -> None:
    with pytest.raises(DataError, match="1 columns are neither the pixels of a square image"):
        read_table(write(tmp_path / "t.csv", "1\n2\n"), Known(label_column=label_column))


def test_tables_of_a_folder(tmp_path: Path) -> None:
    names = ["train.csv", "TEST.CSV", "val.csv.gz", "sign_train.tsv", "other.csv", "x_test.csv"]
    for name in (*names, "sample_submission.csv"):
        (tmp_path / name).touch()
    found = {
        name: {role: file.name for role, file in files.items()}
        for name, files in find_tables(tmp_path).items()
    }
    assert found == {
        "": {"train": "train.csv", "test": "TEST.CSV", "validation": "val.csv.gz"},
        "sign_": {"train": "sign_train.tsv"},
    }


def test_tables_of_a_folder_by_other_words(tmp_path: Path) -> None:
    for name in ("training.csv", "dev.csv", "Testing.csv", "contest.csv"):
        (tmp_path / name).touch()
    files = {"train": "training.csv", "validation": "dev.csv", "test": "Testing.csv"}
    assert find_tables(tmp_path) == {"": {role: tmp_path / name for role, name in files.items()}}
    (tmp_path / "val.csv").touch()
    with pytest.raises(DataError, match=r"its validation part: dev\.csv, val\.csv"):
        find_tables(tmp_path)


def test_a_row_of_pixels_that_pandas_took_for_names(tmp_path: Path) -> None:
    names = ["3", "0", *(f"0.{k}" for k in range(1, 12)), "7", "7.1", "255", "3.1"]
    rows = "".join(f"{k % 3},{','.join(map(str, range(16)))}\n" for k in range(9))
    with pytest.raises(DataError, match="pandas has taken for a header"):
        read_table(write(tmp_path / "t.csv", ",".join(names) + "\n" + rows))


def test_a_blank_line_in_several_pieces(tmp_path: Path) -> None:
    """The first piece of a file has 128 bytes."""
    (tmp_path / "a.csv").write_text("0,1,2,3,4\n" + "\u3000" * 100 + "\n1,5,6,7,8\n")
    table = read_table(tmp_path / "a.csv")
    assert table.pixels is not None
    assert table.pixels.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


@pytest.mark.parametrize("prefix", ["", "label_", "Class_"])
@pytest.mark.parametrize("cells", [("0", "1"), ("False", "True"), ("0.0", "1.0")])
@pytest.mark.parametrize("first", [False, True])
def test_one_hot_columns_are_the_label(
    tmp_path: Path, cells: tuple[str, str], prefix: str, first: bool
) -> None:
    """As pandas.get_dummies writes them; a class without images keeps its place."""
    zero, one = cells
    classes = ["dog", "cat", "fish"]
    pixels = ["pixel0,pixel1,pixel2,pixel3", "0,1,2,255", "4,5,6,7"]
    hot = [
        ",".join(prefix + name for name in classes),
        f"{zero},{zero},{one}",
        f"{one},{zero},{zero}",
    ]
    lines = [f"{a},{b}" if first else f"{b},{a}" for a, b in zip(hot, pixels, strict=True)]
    path = write(tmp_path / "t.csv", "\n".join(lines) + "\n")
    found = read(path)
    (part,) = found.parts
    assert part.images.reshape(2, 4).tolist() == PIXELS
    assert part.labels is not None
    assert part.labels.tolist() == ["fish", "dog"]
    assert found.values == classes
    assert found.notes == ["one-hot columns are the label: dog, cat, fish"]
    for labeled, column in ((False, None), (True, "none")):
        table = read_table(path, Known(labeled=labeled, label_column=column))
        assert (table.labels, table.classes) == (None, None)


def test_one_hot_columns_of_a_list_of_pictures(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "t.csv", "filename, cat, dog\na.png,0,1\nb.png,1,0\n"))
    assert (table.files, table.classes) == (["a.png", "b.png"], ["cat", "dog"])
    assert table.labels is not None
    assert table.labels.tolist() == ["dog", "cat"]


@pytest.mark.parametrize("rows", ["0,1,1\n1,0,0\n", "0,0,0\n1,0,0\n", "0,2,0\n", "0,,1\n"])
def test_columns_that_are_not_one_hot(tmp_path: Path, rows: str) -> None:
    lines = [f"{line},0,1,2,255" for line in rows.split()]
    text = "\n".join(["cat,dog,fish,p0,p1,p2,p3", *lines]) + "\n"
    with pytest.raises(DataError, match="several columns that may be the label: cat, dog, fish"):
        read_table(write(tmp_path / "t.csv", text))


def test_a_row_that_is_not_one_hot_is_named(tmp_path: Path) -> None:
    rows = "0,1,0,1,2,255\n" * 3000
    text = f"cat,dog,p0,p1,p2,p3\n{rows}1,1,0,1,2,255\n"
    with pytest.raises(DataError, match="not one-hot") as error:
        read_table(write(tmp_path / "t.csv", text))
    assert "that of line 3002 is 1.0, 1.0" in (error.value.cause or "")
