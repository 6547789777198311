"""Numbers in the cells of tables: decimal commas in quotes, and many numbers in one cell."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.data.columns import Known
from gpucnn.data.csv import read_table
from gpucnn.data.resolve import read
from gpucnn.errors import DataError


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize(
    "cell",
    [" ".join, lambda cells: f'"[{", ".join(cells)}]"', lambda cells: f'"{",".join(cells)}"'],
)
@pytest.mark.parametrize("dtype", [int, float])
def test_pixels_in_one_cell_are_refused_with_what_converts_them(
    tmp_path: Path, header: bool, cell: Callable[[list[str]], str], dtype: type
) -> None:
    """FER2013 has them so. The code of the fix is run, without pandas' part of it."""
    rows = [[str(dtype(20 * n + k)) for k in range(16)] for n in range(2)]
    text = "emotion,pixels,Usage\n" * header
    text += "".join(f"{n},{cell(row)},Training\n" for n, row in enumerate(rows))
    with pytest.raises(DataError, match="has 16 numbers in one cell: ") as error:
        read(write(tmp_path / "fer.csv", text))
    assert f"the column {'pixels' if header else 2} has" in error.value.message
    fix = error.value.fix or ""
    assert ("t['pixels']" if header else "t[1]") in fix
    pattern = fix.split('findall(r"')[1].split('"')[0]
    found = [re.findall(pattern, cell(row)) for row in rows]
    np.savez(tmp_path / "new.npz", x=np.array(found, float), y=[0, 1])
    assert read(tmp_path / "new.npz").parts[0].images[1, 0, 0].tolist() == [20, 21, 22, 23]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ('label,p0,p1,p2,p3\n3,"0,0","0,25","0,5","1,0"\n9,"0,75","1,0","0,0","0,5"\n', [3, 9]),
        ('3,0,"0,25","0,5","1,0"\n9,"0,75","1,0","0,0","0,5"\n', [3, 9]),
        (
            'label, p0, p1, p2, p3\n"a, b", "0,0", ",25", "5,0e-1", "1,0"\n'
            'c, "0,75", "1,0", "0,0", "0,5"\n',
            ["a, b", "c"],
        ),
        (
            'p0,p1,p2,p3,label\n"0,000","0,250","0,500","1,000","0,5"\n'
            '0.75,"1,000",0,"0,500","2,5"\n',
            None,
        ),
    ],
)
def test_decimal_commas_in_quotes_between_commas(
    tmp_path: Path, text: str, labels: list[Any] | None
) -> None:
    path = write(tmp_path / "t.csv", text)
    table = read_table(path, Known(labeled=labels is not None))
    assert table.pixels is not None
    assert table.pixels.tolist() == [[0, 0.25, 0.5, 1], [0.75, 1, 0, 0.5]]
    if labels:
        assert table.labels is not None
        assert table.labels.tolist() == labels


@pytest.mark.parametrize("labels", [("1,2", "3,4"), ("1,024", "2,048"), ("0,5", "0,7")])
def test_commas_in_the_names_of_classes(tmp_path: Path, labels: tuple[str, str]) -> None:
    rows = [f'"{label}",0,1,2,255' for label in labels]
    table = read_table(write(tmp_path / "t.csv", "\n".join(["label,p0,p1,p2,p3", *rows])))
    assert table.labels is not None
    assert tuple(table.labels) == labels


@pytest.mark.parametrize(("mark", "is_said"), [(",", True), (";", False)])
def test_more_cells_than_in_the_header(tmp_path: Path, mark: str, is_said: bool) -> None:
    """As decimal commas make them that are not in quotes."""
    text = "label,p0,p1,p2,p3\n3,0,25,0,5,1,0,0,1\n".replace(",", mark)
    with pytest.raises(DataError, match="line 2: 9 columns, where line 1 has 5") as error:
        read_table(write(tmp_path / "t.csv", text))
    assert ("unless it is in quotes" in (error.value.cause or "")) == is_said


def test_commas_in_the_names_of_pixels(tmp_path: Path) -> None:
    names = ",".join(f'"{row},{column}"' for column in range(2) for row in range(2))
    table = read_table(write(tmp_path / "t.csv", f"label,{names}\n3,0,1,2,255\n9,4,5,6,7\n"))
    assert table.pixels is not None
    assert table.pixels.tolist() == [[0, 2, 1, 255], [4, 6, 5, 7]]  # in the order of the names


def test_a_few_decimal_commas_are_said(tmp_path: Path) -> None:
    text = 'label,p0,p1,p2,p3\n3,0,0.5,"0,25",1\n4,0,0,0,1\n'
    with pytest.raises(DataError, match=r"line 2: the pixel 2 .*'0,25'") as error:
        read_table(write(tmp_path / "t.csv", text))
    assert error.value.cause == "it has a comma, and numbers have a decimal point"
