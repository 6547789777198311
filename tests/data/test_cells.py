"""Tables of many or long rows: they are parsed in pieces, and take few bytes a row."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from gpucnn.data import storage
from gpucnn.data.columns import Known
from gpucnn.data.csv import read_table
from gpucnn.data.labels import MOST_CLASSES
from gpucnn.data.lines import read_lines
from gpucnn.errors import DataError

ROWS = 300
PIXELS = np.arange(ROWS * 9).reshape(ROWS, 9) * 7 % 256


@pytest.mark.parametrize("end", ["\n", "\n \n\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\n\n", "sep=,\n", "# of mine\n# 0\n", "# label,a,b,c,d\n"])
def test_each_line_is_found(tmp_path: Path, start: str, end: str) -> None:
    """Only the places of some lines are held."""
    lines = [f"{k % 3},{k},1,2,3" for k in range(ROWS)]
    (tmp_path / "a.csv").write_text(start + end.join(lines), newline="")
    text = read_lines(tmp_path / "a.csv")
    rows = ["label,a,b,c,d", *lines] if "label" in start else lines
    assert list(text.lines(range(len(text)))) == rows
    skipped = start.count("\n") - ("label" in start)
    for row in (0, 1, 62, 63, 64, 65, 127, 128, 200, len(text) - 1):
        assert text.line(row) == rows[row]
        assert text.of(row) == rows[row].split(",")
        below = (row - ("label" in start)) * end.count("\n") + 1 if row else 1
        assert text.number(row) == skipped + below + (row > 0 and "label" in start)
    assert list(text.lines(range(70, 75))) == rows[70:75]
    assert list(text.lines(range(70, 70))) == []


@pytest.mark.parametrize("chunk", [1, 5000, 2**22])
@pytest.mark.parametrize("scale", [1, 255.0, 0.5])
def test_rows_are_parsed_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, scale: float
) -> None:
    """Any columns: two runs of pixels in the order of their names, an id, a label between them."""
    monkeypatch.setattr(storage, "CHUNK", chunk)
    values = PIXELS if scale == 1 else PIXELS / 255 * scale if scale < 1 else PIXELS * 1.0
    order = [8, 3, 4, 5, 0, 1, 2, 7, 6]
    names = [f"pixel{k}" for k in order]
    lines = [",".join(["id", *names[:4], "label", *names[4:]])]
    for k, row in enumerate(values[:, order].tolist()):
        cells = list(map(str, row))
        lines.append(
            ",".join([f"i{k}", *cells[:4], "ab"[k % 2] * (1 + 149 * (k == 77)), *cells[4:]])
        )
    (tmp_path / "a.csv").write_text("\n".join(lines))
    table = read_table(tmp_path / "a.csv")
    assert table.pixels is not None
    assert table.labels is not None
    assert table.pixels.dtype == (np.uint8 if scale == 1 else np.float32)
    assert table.pixels.tolist() == values.astype(table.pixels.dtype).tolist()
    assert table.labels.tolist() == ["b" * 150 if k == 77 else "ab"[k % 2] for k in range(ROWS)]
    assert table.ids == [f"i{k}" for k in range(ROWS)]


@pytest.mark.parametrize("chunk", [1, 3000, 2**22])
def test_the_fewer_numbers_are_the_mistake_in_all_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """As float64: 1.00000001 is a whole number as a float32."""
    monkeypatch.setattr(storage, "CHUNK", chunk)
    for base, wrong in (
        ("0.5", "200"),
        ("200", "1.00000001"),
        ("0.5", "255.000001"),
        ("9", "1e99"),
    ):
        rows = [["1", *[base] * 9] for _ in range(ROWS)]
        rows[250][3] = rows[260][1] = wrong
        (tmp_path / "a.csv").write_text("\n".join(map(",".join, rows)))
        with pytest.raises(DataError, match=f"line 251: the pixel 2 is '{wrong}'"):
            read_table(tmp_path / "a.csv", Known(label_column="1"))


@pytest.mark.parametrize("chunk", [1, 3000, 2**22])
def test_one_hot_columns_are_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(storage, "CHUNK", chunk)
    signs = ("0", "1"), ("False", "True"), ("0.0", "1.0"), ("  0       ", '"1"')
    rows = [
        [*map(str, row), *(signs[k % 4][place == k % 3] for place in range(3))]
        for k, row in enumerate(PIXELS.tolist())
    ]
    names = [*(f"pixel{k}" for k in range(9)), "class_cat", "class_dog", "class_emu"]
    text = "\n".join(map(",".join, [names, *rows]))
    (tmp_path / "a.csv").write_text(text)
    table = read_table(tmp_path / "a.csv")
    assert table.labels is not None
    assert table.labels.tolist() == ["cat", "dog", "emu"] * (ROWS // 3)
    (tmp_path / "b.csv").write_text(
        "\n".join(map(",".join, [names, *[rows[0]] * 1100, [*rows[1][:9], "1", "", "1"]]))
    )
    with pytest.raises(DataError, match="not one-hot") as error:
        read_table(tmp_path / "b.csv")
    assert "that of line 1102 is 1.0, nan, 1.0" in (error.value.cause or "")


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("count", [40, MOST_CLASSES, MOST_CLASSES + 1, MOST_CLASSES + 9])
def test_a_first_column_that_numbers_the_rows(tmp_path: Path, first: int, count: int) -> None:
    rows = "".join(f"{k},1,2,3,4\n" for k in range(first, first + count))
    (tmp_path / "a.csv").write_text(rows)
    with pytest.raises(DataError, match="its first column may be no label") as error:
        read_table(tmp_path / "a.csv")
    assert error.value.cause == "it numbers the rows"
    if count == 40:
        (tmp_path / "a.csv").write_text(rows * 2)  # each number twice: these are labels
        assert read_table(tmp_path / "a.csv").labels is not None


@pytest.mark.parametrize(
    ("head", "row", "most"),
    [
        ("label,pixel0", "1,2", 4),
        ("label,pixel0", "12,.5", 4),
        ("1,0,0,0,0", "2,1,2,3,4", 4),
        (f"label,pixel0\n{'a' * 199},3", "b,2", 4),
        ("label," + ",".join(f"p{k}" for k in range(400)), "1" + ",.5" * 400, 2.6),
        ("label," + ",".join(f"p{k}" for k in range(400)), "1" + ",255" * 400, 1.5),
    ],
)
def test_a_table_takes_few_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str, row: str, most: float
) -> None:
    """The text is not held longer than needed, also without the collector of cycles."""
    monkeypatch.setattr(storage, "CHUNK", 2**14)
    monkeypatch.setattr("gpucnn.data.lines._SAMPLE", 9)
    monkeypatch.setattr("gpucnn.data.gzip_files._PIECE", 2**13)
    path = tmp_path / "a.csv"
    size = 200_000
    path.write_text(f"{head}\n" + f"{row}\n" * (size // (len(row) + 1)))
    gc.disable()
    tracemalloc.start()
    try:
        table = read_table(path)
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert table.pixels is not None
    assert table.labels is not None
    assert peak < most * size + 300_000
    assert left < table.pixels.nbytes * 9 / 8 + table.labels.nbytes + 100_000
