"""CSV tables: what is taken, and that every error names its line."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from gpucnn.data.csv import read_csv, read_labelled
from gpucnn.errors import DataError

HEADER = "label,pixel0,pixel1,pixel2,pixel3\n"
ROWS = "3,0,1,2,255\n9,4,5,6,7\n"
PIXELS = [[[[0, 1], [2, 255]]], [[[4, 5], [6, 7]]]]


@pytest.mark.parametrize(
    "text",
    [
        HEADER + ROWS,
        ROWS,
        ROWS.rstrip("\n"),
        ROWS.replace("\n", "\r\n"),
        "\ufeff" + HEADER + ROWS,
        HEADER.replace("pixel0", '"pixel0"').replace("label", '"label"') + ROWS,
        "label,0,1,2,3\n" + ROWS,  # numbers for names
        HEADER + ROWS.replace(",", ", ") + "\n\n",
    ],
)
def test_labelled_table(tmp_path: Path, text: str) -> None:
    path = tmp_path / "train.csv"
    path.write_bytes(text.encode())
    dataset = read_labelled(path)
    assert dataset.images.tolist() == PIXELS
    assert dataset.images.dtype == np.uint8
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [3, 9]
    assert (dataset.labels.dtype, dataset.classes) == (np.int32, 10)


@pytest.mark.parametrize("header", ["", "pixel0,pixel1,pixel2,pixel3\n"])
def test_table_without_labels(tmp_path: Path, header: str) -> None:
    path = tmp_path / "test.csv.gz"
    path.write_bytes(gzip.compress(f"{header}0,1,2,255\n4,5,6,7\n".encode()))
    dataset = read_csv(path)
    assert dataset.labels is None
    assert dataset.images.tolist() == PIXELS
    with pytest.raises(DataError, match="has no labels: its 4 columns are all pixels"):
        read_labelled(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + ROWS + "1,2,3,4\n", "line 4: 4 columns, where line 1 has 5"),
        (HEADER + ROWS + "1,2,3,4,5,6\n", "line 4: 6 columns, where line 1 has 5"),
        (ROWS + "\n1,2,3", "line 4: 3 columns, where line 1 has 5"),  # cut short; a blank line
        ("label,a,b,c\n" + ROWS, "line 2: 5 columns, where line 1 has 4"),
        (HEADER + ROWS + "10,0,0,0,0\n", "line 4: the label is '10', .* from 0 to 9"),
        (HEADER + ROWS + "x,0,0,0,0\n", "line 4: the label is 'x'"),
        ("x,0,0,0,0\n" + ROWS, "line 1: the label is 'x'"),
        (HEADER + ROWS + "-1,0,0,0,0\n", "line 4: the label is '-1'"),
        (HEADER + ROWS + "1,0,300,0,0\n", "line 4: the pixel 1 is '300', .* from 0 to 255"),
        (HEADER + ROWS + "1,0,0,-3,0\n", "line 4: the pixel 2 is '-3'"),
        (HEADER + ROWS + "1,0,0,0.5,0\n", r"line 4: the pixel 2 is '0\.5'"),
        (HEADER + ROWS + "1,0,0,,0\n", "line 4: the pixel 2 is ''"),
        (HEADER + ROWS + "1,0,0,0,\u00e9\n", "line 4: the pixel 3 is '\u00e9'"),
        (HEADER + ROWS + "1,0,0,0," + "9" * 5000, "line 4: the pixel 3 is '9999"),
        ("1,2,3\n4,5,6\n", "line 1: 3 columns are neither"),
        ("5\n6\n", "line 1: 1 columns are neither"),
        ("", "has no images"),
        (HEADER, "has no images"),
        (HEADER + "\n\n", "has no images"),
    ],
)
def test_errors_name_the_file_and_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "train.csv"
    path.write_bytes(text.encode())
    with pytest.raises(DataError, match=message) as error:
        read_csv(path)
    assert str(path) in error.value.message
    assert error.value.exit_code == 4


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ((HEADER + ROWS).encode("utf-16"), "save it as CSV in UTF-8"),
        ((HEADER + ROWS).encode("utf-16-le"), "save it as CSV in UTF-8"),
        ((HEADER + ROWS).replace(",", ";").encode(), "separated by semicolons"),
        (ROWS.replace(",", "\t").encode(), "separated by tabs"),
        ((HEADER + '"3","0","1","2","255"\n').encode(), "without quotes"),
        (HEADER.encode(), "only a header"),
        ((HEADER + "1,0,300,0,0\n").encode(), "pixels 0 to 255"),
    ],
)
def test_hints(tmp_path: Path, content: bytes, hint: str) -> None:
    (tmp_path / "train.csv").write_bytes(content)
    with pytest.raises(DataError) as error:
        read_csv(tmp_path / "train.csv")
    assert hint in f"{error.value.cause} {error.value.fix}"


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_bytes(ROWS.encode() + b"1,0,\xff\xfe,0,0\n")
    with pytest.raises(DataError, match="line 3: the pixel 1"):
        read_csv(path)


def test_reads_back_a_table_of_random_images(tmp_path: Path) -> None:
    table = np.random.default_rng(0).integers(0, 256, (50, 785))
    table[:, 0] %= 10
    path = tmp_path / "train.csv"
    np.savetxt(path, table, fmt="%d", delimiter=",")
    dataset = read_csv(path)
    assert dataset.labels is not None
    np.testing.assert_array_equal(dataset.labels, table[:, 0])
    np.testing.assert_array_equal(dataset.images.reshape(50, 784), table[:, 1:])
    assert dataset.image_shape == (1, 28, 28)
