"""Records come back as they were, are refused when they are not, and are compared fairly."""

from __future__ import annotations

import copy
import functools
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from gpucnn import backend as backends
from gpucnn.bench import report
from gpucnn.bench.comparison import Change, check_same_machine, compare
from gpucnn.bench.record import BaselineResult, BenchRow, Record
from gpucnn.bench.stopwatch import Ratio, Seconds
from gpucnn.errors import DataError, StorageError, UsageError


def row(median: float | None = 1.0, ratio: float | None = None, **more: Any) -> BenchRow:
    seconds = None if median is None else Seconds(median, 0.9 * median, 1.1 * median, median)
    baselines = {}
    if ratio is not None:
        baselines["torch"] = BaselineResult("contiguous", seconds, None, Ratio(ratio, ratio, ratio))
    given = {"bench": "ops", "name": "conv", "case": "N64", "dtype": "float32"} | more
    return BenchRow(**given, seconds=seconds, baselines=baselines)


def record(*rows: BenchRow, **machine: Any) -> Record:
    facts = {"device": "cpu", "cpu": "Z80", "threads": 2, "blas_core": "Haswell"} | machine
    return Record(facts, "abc", "2026-01-01T00:00:00+00:00", {"suite": "quick"}, None, list(rows))


@pytest.fixture
def saved(tmp_path):
    """Saves a record with what a test puts into its JSON."""

    def save(**changes: Any) -> Any:
        path = tmp_path / "record.json"
        record(row(ratio=2.0)).save(path)
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        return path

    return save


def test_it_comes_back_as_it_was(tmp_path):
    before = record(
        row(ratio=1.5, ok=True, error=1e-7, bound=1e-6, flop=1e9, nbytes=1e6, floor=0.1, share=0.1),
        row(None, name="memory", value=468.0, unit="MB", dtype=None),
        row(None, case="huge", skipped="needs 5 TB"),
        row(None, case="bad", ok=False, bound=1e-6),
    )
    before.ceilings, before.complete = {"flop_per_second": 1e11, "bytes_per_second": 1e10}, True
    before.save(tmp_path / "a.json")
    assert Record.load(tmp_path / "a.json") == before
    assert before.wrong == [before.rows[3]]
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_what_is_no_number_is_not_written(tmp_path):
    path = tmp_path / "a.json"
    record(row()).save(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="nan"):
        record(row(float("nan"))).save(path)
    assert path.read_bytes() == before


def test_where_it_cannot_be_written(tmp_path):
    with pytest.raises(StorageError, match="cannot be written") as caught:
        record().save(tmp_path / "no" / "folder.json")
    assert "--save" in caught.value.fix


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 100_000,
        "{}",
        '{"format": 1}',
        '{"format": 1, "rows": [{}]}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_record(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=r"a\.json is not") as caught:
        Record.load(path)
    assert "--save" in caught.value.fix


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        Record.load(tmp_path / "a.json")
    with pytest.raises(DataError, match="cannot be read"):
        Record.load(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(DataError, match="cannot be read"):
        Record.load(tmp_path / "fifo")


def test_another_format(saved):
    with pytest.raises(DataError, match="is not a record that this version") as caught:
        Record.load(saved(format=0))
    assert caught.value.cause == "its format is 0, this version reads 1"


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": 3},
        {"rows": [3]},
        {"machine": None},
        {"options": []},
        {"more": 1},
        {"rows": [{"bench": "ops", "name": "x", "case": "y"}]},
    ],
)
def test_one_with_other_contents(saved, changes):
    with pytest.raises(DataError, match="is not a record that this version"):
        Record.load(saved(**changes))


ODD = [None, "x", -1, True, [], {}, [1], {"a": 1}, 0, 1.5, float("inf"), float("nan"), "a\x1b"]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each value in JSON, but of the whole."""
    names = (
        value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    )
    for name in names:
        yield (*path, name)
        yield from places(value[name], (*path, name))


@pytest.mark.parametrize("number", range(len(ODD)))
def test_an_odd_value_anywhere_is_refused_or_can_be_used(tmp_path, number):
    """What is loaded can be printed as a page and compared."""
    path = tmp_path / "a.json"
    whole = record(row(ratio=2.0, ok=True, error=1e-7, bound=1e-6, flop=1e9, share=0.5), memory=1e9)
    whole.ceilings = {"flop_per_second": 1e11, "bytes_per_second": 1e10}
    whole.save(path)
    good = json.loads(path.read_text())
    refused = 0
    for *outer, last in places(good):
        odd = copy.deepcopy(good)
        functools.reduce(lambda value, name: value[name], outer, odd)[last] = ODD[number]
        path.write_text(json.dumps(odd))
        try:
            found = Record.load(path)
        except DataError:
            refused += 1
            continue
        assert report.page([found])
        check_same_machine(found, found.machine, path)
        compare(found, whole)
    assert refused > 10


@pytest.mark.parametrize("median", [0, -1, "fast", None, float("inf"), float("nan")])
def test_a_time_that_cannot_be(tmp_path, median):
    path = tmp_path / "a.json"
    record(row()).save(path)
    found = json.loads(path.read_text())
    found["rows"][0]["seconds"]["median"] = median
    path.write_text(json.dumps(found))
    with pytest.raises(DataError, match="is not a record that this version"):
        Record.load(path)


def test_times_are_compared_as_speed():
    old, new = row(2.0), row(1.0)
    assert compare(record(old), record(new)) == ([Change(new, 2.0, "time")], [])
    assert compare(record(new), record(old))[0][0].speed == 0.5


def test_beside_a_baseline_the_ratios_are_compared():
    """The machine was four times as slow: both sides were."""
    old, new = row(1.0, ratio=2.0), row(4.0, ratio=1.8)
    ((change,), _) = compare(record(old, torch="2.13"), record(new, torch="2.13"))
    assert (change.speed, change.by) == (pytest.approx(0.9), "torch")
    # Another version of the baseline: the times.
    ((change,), _) = compare(record(old, torch="2.12"), record(new, torch="2.13"))
    assert (change.speed, change.by) == (0.25, "time")
    # One of them without the baseline: the times.
    assert compare(record(row(1.0)), record(new))[0][0].by == "time"


def test_only_rows_of_both_are_compared():
    old = record(row(case="a"), row(case="b"), row(None, case="c", skipped="memory"))
    new = record(row(case="b"), row(case="c"), row(case="d"), row(case="b", dtype="float64"))
    assert [change.row.case for change in compare(old, new)[0]] == ["b"]


@pytest.mark.parametrize(("unit", "speed"), [("MB", 0.5), ("s", 0.5), ("images/s", 2.0)])
def test_what_is_no_time_is_compared_by_its_value(unit, speed):
    old, new = (record(row(None, unit=unit, value=value)) for value in (100.0, 200.0))
    assert compare(old, new) == ([Change(new.rows[0], speed, "value")], [])


def test_rows_that_are_lost():
    old = record(
        row(case="a"), row(case="b"), row(None, case="c", value=1.0), row(case="d"),
        row(None, case="e", skipped="memory"), row(bench="train"),
    )  # fmt: skip
    skipped = row(None, case="b", skipped="memory")
    new = record(row(case="a"), skipped, row(None, case="e", skipped="memory"))
    assert compare(old, new)[1] == [skipped, old.rows[2], old.rows[3]]


@pytest.mark.parametrize(
    ("key", "now"),
    [("device", "cuda:0"), ("cpu", "6502"), ("threads", 4), ("blas_core", "Zen"), ("gpu", "H200")],
)
def test_another_machine(key, now):
    old = record(row())
    check_same_machine(old, old.machine | {"numpy": "3.0"}, "old.json")  # that may differ
    with pytest.raises(UsageError, match=r"old\.json cannot be compared") as caught:
        check_same_machine(old, old.machine | {key: now}, "old.json")
    assert str(now) in caught.value.cause


def test_a_record_says_what_a_time_depends_on():
    found = Record.begin(backends.get("cpu"), {"suite": "quick"})
    assert not found.complete
    assert found.date.endswith("+00:00")
    keys = {"device", "cpu", "threads", "blas", "blas_core", "memory", "python", "numpy", "gpucnn"}
    assert keys <= set(found.machine)
    assert found.machine["blas"].endswith(found.machine["blas_core"])
    json.dumps(found.machine)
