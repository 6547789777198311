"""The tables of a record show all rows, in 80 columns and on the page of records."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpucnn.bench import report, tables
from gpucnn.bench.comparison import Change
from gpucnn.bench.record import BaselineResult, BenchRow, Record
from gpucnn.bench.stopwatch import Ratio, Seconds
from gpucnn.cli.tables import text


def seconds(median: float) -> Seconds:
    return Seconds(median, 0.9 * median, 1.1 * median, median)


def beside(median: float, speed: float, value: float | None = None) -> dict[str, BaselineResult]:
    return {
        "torch": BaselineResult(
            "contiguous", seconds(median * speed), value, Ratio(speed, speed, speed)
        )
    }


def step(batch: int, value: float, theirs: float, **fields: object) -> BenchRow:
    row = BenchRow(
        "train", "cnn", f"batch {batch}", "float32", flop=7e7 * batch, ok=True, error=3.21e-7
    )
    row.bound, row.share, row.unit, row.value = 1e-5, 0.49, "images/s", value
    row.seconds, row.baselines = (
        seconds(batch / value),
        beside(batch / value, value / theirs, theirs),
    )
    return row


@pytest.fixture
def record() -> Record:
    conv = "conv2d forward"
    rows = [
        BenchRow("ops", conv, "N32 161x700 1->32 5x20 p0 s2", "float32", 2e9, 1e7, True, 2e-7, 1e-6,
            seconds(6.21e-3), 5e-3, 0.805, baselines=beside(6.21e-3, 2.0)),
        BenchRow("ops", conv, "N8 7x7 512->512 3x3 p1 s1", "float32", 2e9, 1e7, True, 0.0, 1e-6,
            seconds(4.3e-5), 5e-5, 1.16, baselines=beside(4.3e-5, 0.5)),
        BenchRow("ops", conv, "N16 224x224 64->64 3x3 p1 s1", "float32",
            skipped="needs 300 GB, 2 GB are free"),
        BenchRow("ops", "softmax", "128x10", "float64", 100.0, 100.0, False, 0.5, 1e-6),
        BenchRow("ops", "softmax", "64x10", "float32", 100.0, 100.0, False, None, 1e-6),
        BenchRow("ops", "dropout", "64x10", "float32", 100.0, 100.0, True, 1e-8, 1e-6),
        step(32, 2000.0, 1500.0),
        step(128, 2500.0, 3000.0),
        BenchRow("train", "install size", "with dependencies", value=120.0, unit="MB",
            baselines={"torch": BaselineResult(value=740.0, ratio=Ratio(6.1, 6.1, 6.1))}),
        BenchRow("train", "import", "gpucnn", seconds=seconds(0.007)),
        BenchRow("data", "augment", "shift 2, rotate 10, batch 128", "float32",
            seconds=seconds(2e-3), value=64_000.0, unit="images/s"),
    ]  # fmt: skip
    machine = {
        "device": "cpu", "cpu": "A fine processor", "threads": 2, "blas": "openblas 0.3 SkylakeX",
        "memory": 16 << 30, "torch": "2.13.0",
    }  # fmt: skip
    ceilings = {"flop_per_second": 4.3e11, "bytes_per_second": 4e10}
    options = {"baselines": ["torch"], "suite": "mnist"}
    return Record(machine, "abc", "2026-01-02T03:04:05+00:00", options, ceilings, rows, True)


TABLE = """\
                                        time   ± GFLOP/s GB/s roof error x torch
conv2d forward
  N32 161x700 1->32 5x20 p0 s2       6.21 ms 10%     322  1.6  80% 2e-07    2.00
  N8 7x7 512->512 3x3 p1 s1          43.0 us 10%  46,512  233 116%     0    0.50
  N16 224x224 64->64 3x3 p1 s1: skipped: needs 300 GB, 2 GB are free
  geometric mean of the 2 speeds beside torch: 1.00
softmax
  128x10, float64: WRONG: error 5.0e-01, bound 1.0e-06
  64x10: WRONG: the result is not finite
dropout
  64x10                                    -   -       -    -    - 1e-08       -

                                      time   ± images/s roof error torch x torch
training, cnn
  batch 32                         16.0 ms 10%    2,000  49% 3e-07 1,500    1.33
  batch 128                        51.2 ms 10%    2,500  49% 3e-07 3,000    0.83
  batch 32 to 128: the lowest images/s are 80% of the highest (torch 50%)

                                                           gpucnn  torch x torch
a whole training
  install size, with dependencies                          120 MB 740 MB    6.10
  import, gpucnn                                          7.00 ms      -       -

                                      time   ± images/s roof error torch x torch
data
  augment, shift 2, rotate 10,     2.00 ms 10%   64,000    -     -     -       -
  batch 128"""


def test_the_table(record):
    found = text(report.tables(record))
    assert found.splitlines() == TABLE.splitlines()
    assert max(map(len, found.splitlines())) <= 80


def test_the_table_in_whole_lines(record):
    """For a pipe, no label and no note is folded; the columns stand in the same places."""
    record.rows[0].case = "N32 " + "a very long shape " * 8
    tables = report.tables(record)
    lines = text(tables, None).splitlines()
    for table in tables:
        for label, *cells in table.lines:
            found = [line for line in lines if line.startswith(f"  {label} ")]
            assert [line for line in found if line.split()[-1] == cells[-1].split()[-1]]
        for note in table.notes:
            assert f"  {note}" in lines


def test_rows_of_one_name_stand_together(record):
    record.rows.insert(0, record.rows.pop(5))
    record.rows.append(record.rows.pop(2))
    titles = [each.title for each in report.tables(record)]
    assert len(titles) == len(set(titles)) == 6


def test_without_a_baseline_there_is_no_column_for_it(record):
    for row in record.rows:
        row.baselines = {}
    found = text(report.tables(record))
    assert "torch" not in found
    assert "6.21 ms" in found


def test_lines(record):
    lines = [report.line(row) for row in record.rows]
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith(
        "ops: conv2d forward N32 161x700 1->32 5x20 p0 s2: 6.21 ms, 322 GFLOP/s"
    )
    assert lines[2].endswith("skipped: needs 300 GB, 2 GB...")
    assert report.line(record.rows[2], None).startswith(lines[2][:-3])
    assert report.line(record.rows[2], None).endswith(str(record.rows[2].skipped))
    assert lines[3] == "ops: softmax 128x10: WRONG: error 5.0e-01, bound 1.0e-06"
    assert lines[5] == "ops: dropout 64x10: right"
    assert lines[6] == "train: cnn batch 32: 16.0 ms, 2,000 images/s, 49% of roof, x1.33 torch"
    assert lines[8] == "train: install size with dependencies: 120 MB, x6.10 torch"


def test_heading(record):
    assert report.heading(record).splitlines() == [
        "cpu: A fine processor, 2 threads, openblas 0.3 SkylakeX, torch 2.13.0, ceilings",
        "  430 GFLOP/s and 40 GB/s",
    ]
    assert report.heading(record, None) == " ".join(report.heading(record).split())
    record.ceilings, record.machine = None, {"device": "cuda:0", "gpu": "B", "cpu": "A"}
    record.options["baselines"] = []
    assert report.heading(record) == "cuda:0: B"


def test_changes(record):
    found = [Change(record.rows[0], 2.0, "torch"), Change(record.rows[1], 0.5, "time")]
    lines = text([report.changes(found, [record.rows[2]])]).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1] == "speed relative to the older record"
    assert lines[2].split()[-2:] == ["2.00", "torch"]
    assert lines[3].split()[-2:] == ["0.50", "time"]
    assert lines[4].split() == ["geometric", "mean", "1.00"]
    assert " ".join(lines[5:]).endswith("3x3 p1 s1: skipped: needs 300 GB, 2 GB   are free")
    assert "no row in common" in text([report.changes([])])


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.5, "0.50"), (9.994, "9.99"), (9.996, "10.0"), (99.96, "100"), (2970.4, "2,970"),
     (999_999.0, "999,999"), (999_999.9, "1.00 M"), (1.2e7, "12.0 M"), (None, "-")],
)  # fmt: skip
def test_numbers(value, shown):
    assert tables.number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(2e-7, "0.20 us"), (9.994e-4, "999 us"), (9.996e-4, "1.00 ms"), (0.0512, "51.2 ms"),
     (1.5, "1.50 s"), (120.0, "120 s"), (-0.002, "-2.00 ms")],
)  # fmt: skip
def test_times(value, shown):
    assert tables.time(seconds(value)) == shown


def test_the_page_tells_all_rows_and_the_machine(record):
    page = report.page([record])
    for row in record.rows:
        assert row.case in page
    for fact in ("## A fine processor (cpu), 2026-01-02", "commit: abc", "memory: 17 GB"):
        assert fact in page
    assert "| training, cnn, batch 128 | 2,500 images/s | 3,000 images/s | 0.83 |" in page
    assert "Conv2d forward: geometric mean of the 2 speeds beside torch: 1.00." in page
    assert "interrupted" not in page
    assert "CPU contention" not in page
    record.others = 0.034
    assert "- CPU contention: other processes used 3% of the CPUs' time" in report.page([record])
    assert "not verified" not in page
    record.options["verify"] = False
    assert "- not verified" in report.page([record])
    record.complete = False
    assert "interrupted: rows are missing" in report.page([record])


def test_tables_of_the_page_are_tables(record):
    blocks = [b.splitlines() for b in report.page([record]).split("\n\n") if b.startswith("|")]
    assert len(blocks) == 7
    for block in blocks:
        assert len({line.count("|") for line in block}) == 1
        assert set(block[1]) <= set("|-: ")


def test_docs_are_what_the_records_give(root: Path):
    """Made by: gpucnn bench report docs/benchmarks/*.json > docs/benchmarks.md"""
    files = sorted((root / "docs" / "benchmarks").glob("*.json"))
    page = root / "docs" / "benchmarks.md"
    if not files:
        assert not page.exists()
        pytest.skip("there is no record")
    assert page.read_text() == report.page([Record.load(file) for file in files])
