"""gpucnn bench: what it prints and keeps, and what becomes of bad input."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gpucnn.bench import baselines, operations, session
from gpucnn.bench.record import BenchRow, Record
from gpucnn.bench.session import Work
from gpucnn.errors import DeviceError, MissingExtraError

QUICK = ("--suite", "quick", "--device", "cpu", "--baseline", "none", "--seconds", 0)
RECORD = "found.json"


@pytest.fixture
def bench(run, hasty, monkeypatch):
    """`gpucnn bench ops` of three operations."""
    every = operations.operations
    some = {"matmul", "relu backward", "gather"}
    monkeypatch.setattr(
        operations, "operations", lambda suite: [each for each in every(suite) if each.name in some]
    )
    return lambda *args: run("bench", "ops", *QUICK, *args)


@pytest.fixture
def wrong(monkeypatch):
    """The matrix product is wrong in float32."""
    from gpucnn import backend as backends

    backend = backends.get("cpu")
    right = type(backend)._matmul

    def matmul(self: Any, a: Any, *args: Any) -> Any:
        return right(self, a, *args) * a.dtype.type(1.001 if a.dtype == "float32" else 1)

    monkeypatch.setattr(type(backend), "_matmul", matmul)


def altered(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_table_in_80_columns(bench):
    result = bench("--seed", 1)
    assert result.code == 0
    for name in ("matmul", "relu backward", "gather"):
        assert name in result.out
    assert "8x10x49" in result.out
    assert max(map(len, result.out.splitlines())) <= 80
    assert len([line for line in result.err.splitlines() if line.startswith("ops: ")]) == 3


def test_lines_of_a_pipe_are_whole(bench):
    """On a terminal they are cut and folded, which a program that reads them cannot undo."""
    result = bench("--seed", 1)
    heading, *_ = result.err.splitlines()
    assert "ceilings" in heading
    assert heading.endswith("GB/s")
    assert "..." not in result.err


def test_quiet(bench):
    result = bench("--quiet")
    assert result.code == 0
    assert result.err == ""
    assert "matmul" in result.out


def test_events_and_the_record(bench, tmp_path):
    result = bench("--json", "--save", RECORD, "--seed", 7)
    assert result.code == 0
    start, *rows, end = result.events
    assert start["event"] == "start"
    assert start["options"]["seed"] == 7
    assert start["machine"]["device"] == "cpu"
    assert start["ceilings"]["flop_per_second"] > 0
    assert [row["event"] for row in rows] == ["row"] * 3
    assert all(row["ok"] is True and row["seconds"]["median"] > 0 for row in rows)
    assert end == {
        "event": "end",
        "complete": True,
        "rows": 3,
        "skipped": 0,
        "compared": [],
        "lost": [],
    }
    record = Record.load(tmp_path / RECORD)
    assert record.complete
    assert [row.name for row in record.rows] == [row["name"] for row in rows]
    assert record.rows[0].error == rows[0]["error"]
    assert [path.name for path in tmp_path.iterdir()] == [RECORD]


def test_a_wrong_row_is_told_and_the_others_go_on(bench, wrong):
    result = bench("--json", "--save", RECORD)
    assert result.code == 6
    rows = [event for event in result.events if event["event"] == "row"]
    assert [(row["ok"], row["seconds"] is None) for row in rows] == [
        (False, True), (True, False), (True, False)
    ]  # fmt: skip
    last = result.events[-1]
    assert (last["event"], last["kind"]) == ("error", "verification")
    assert "matmul 8x10x49" in last["cause"]
    assert "--seed" in last["fix"]
    assert Record.load(RECORD).complete


def test_a_wrong_row_in_the_table(bench, wrong):
    result = bench()
    assert result.code == 6
    assert "WRONG" in result.err
    assert result.err.splitlines()[-3].startswith("error: 1 of 3 rows are wrong")
    assert "8x10x49" in result.out
    assert "Traceback" not in result.err


def test_no_verify(bench, wrong):
    assert bench("--no-verify").code == 0


def test_float64_on_the_cpu_is_what_others_are_compared_with(bench):
    result = bench("--dtype", "float64", "--json")
    assert result.code == 0
    rows = [event for event in result.events if event["event"] == "row"]
    assert [(row["name"], row["ok"]) for row in rows] == [("matmul", None), ("relu backward", None)]
    assert all(row["seconds"]["median"] > 0 for row in rows)
    assert "float64 on the CPU" in result.err
    assert "float64 on the CPU" not in bench("--dtype", "float64", "--no-verify").err


def test_the_simulator_does_not_time(run, bench, gpu):
    if gpu.name != "sim":
        pytest.skip("there is a GPU, which does time")
    result = bench("--device", "sim", "--json", "--baseline", "torch")
    assert result.code == 0
    assert "the simulator does not time" in result.err
    rows = [event for event in result.events if event["event"] == "row"]
    assert all(row["ok"] and row["seconds"] is None and row["flop"] for row in rows)
    assert "torch" not in sys.modules or not rows[0]["baselines"]
    assert bench("--device", "sim", "--plot", "a.png").code == 2
    assert not Path("a.png").exists()


# ---- comparing -----------------------------------------------------------------------------


def test_compared_with_itself(bench):
    assert bench("--save", RECORD).code == 0
    found = json.loads(Path(RECORD).read_text())
    for row in found["rows"]:
        row["seconds"]["median"] = 1.0  # an age
    altered(Path(RECORD), rows=found["rows"])
    result = bench("--compare", RECORD, "--fail-under", 0.9, "--json")
    assert result.code == 0
    compared = result.events[-1]["compared"]
    assert [change["name"] for change in compared] == [row["name"] for row in found["rows"]]
    assert all(change["speed"] > 100 and change["by"] == "time" for change in compared)
    result = bench("--compare", RECORD)
    assert "geometric mean" in result.out


def test_slower_than_it_may_be(bench):
    assert bench("--save", RECORD).code == 0
    found = json.loads(Path(RECORD).read_text())
    found["rows"][2]["seconds"]["median"] = 1e-12
    altered(Path(RECORD), rows=found["rows"])
    result = bench("--compare", RECORD, "--fail-under", 1e-4)
    assert result.code == 6
    assert "1 of 3 rows have less than 0.0001 of their old speed" in result.err
    assert "gather 8x1x28x28" in result.err
    assert "relu" not in result.err.partition("error:")[2]


def test_a_row_that_is_lost_fails_the_gate(bench, monkeypatch):
    assert bench("--save", RECORD).code == 0
    monkeypatch.setattr(session, "free_memory", lambda: 50_000)
    result = bench("--compare", RECORD)
    assert result.code == 0
    assert "gather 8x1x28x28: skipped: needs" in result.out
    result = bench("--compare", RECORD, "--fail-under", 1e-9)
    assert result.code == 6
    assert "1 of the rows of found.json cannot be compared" in result.err


def test_nothing_in_common(bench):
    assert bench("--save", RECORD).code == 0
    altered(Path(RECORD), rows=[])
    assert bench("--compare", RECORD).code == 0
    result = bench("--compare", RECORD, "--fail-under", 0.5)
    assert result.code == 2
    assert "no row in common" in result.err


def never(*args: Any) -> Any:
    raise AssertionError("something was measured")


@pytest.fixture
def nothing_measured(monkeypatch):
    """Bad input is told before anything is measured."""
    monkeypatch.setattr(session.Bench, "run", never)


@pytest.mark.usefixtures("nothing_measured")
@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--suite", "imagenet"], 2, "choose one of mnist, deepbench, quick"),
        (["--suite", "minst"], 2, "did you mean mnist?"),
        (["--dtype", "bfloat16"], 2, "float32, float64"),
        (["--device", "cuda"], 3, "there is no GPU"),
        (["--device", "tpu"], 2, "unknown device 'tpu'"),
        (["--baseline", "keras"], 2, "unknown baseline 'keras'"),
        (["--baseline", ""], 2, "unknown baseline ''"),
        (["--device", "sim", "--baseline", "keras"], 2, "unknown baseline 'keras'"),
        (["--seconds", "nan"], 2, "'--seconds': nan is not a finite number"),
        (["--seconds", "inf"], 2, "'--seconds': inf is not a finite number"),
        (["--seconds", "-1"], 2, "'--seconds': -1"),
        (["--threads", "0"], 2, "--threads"),
        (["--fail-under", "0.9"], 2, "--compare"),
        (["--fail-under", "nan", "--compare", "x"], 2, "'--fail-under': nan"),
        (["--compare", "none.json"], 4, "none.json cannot be read"),
        (["--compare", "."], 4, "cannot be read"),
        (["--save", "."], 1, "--save"),
        (["--save", "no/folder.json"], 1, "--save"),
        (["--save", "/dev/full"], 1, "--save"),
        (["--plot", "roofline.pdf"], 2, ".png"),
        (["--plot", "no/roofline.png"], 1, "--plot"),
    ],
)
def test_bad_input(bench, args, code, said):
    result = bench(*args)
    assert result.code == code, result.err
    assert said in result.err
    assert result.err.startswith("error: ")
    assert result.out == ""
    assert "Traceback" not in result.err


@pytest.mark.parametrize("kind", ["train", "infer", "data"])
def test_only_operations_have_a_roofline(run, hasty, monkeypatch, kind):
    monkeypatch.setattr("gpucnn.bench.session.Bench.run", never)
    result = run("bench", kind, *QUICK, "--plot", "a.png")
    assert result.code == 2
    assert "use gpucnn bench ops or all" in result.err


@pytest.mark.usefixtures("nothing_measured")
@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"format": 99}, 4, "its format is 99"),
        ({"machine": {"device": "cpu", "cpu": "Z80"}}, 2, "cpu was Z80"),
        ({"rows": "none"}, 4, "is not a record"),
    ],
)
def test_records_that_cannot_be_compared(bench, changes, code, said):
    from gpucnn import backend as backends

    Record.begin(backends.get("cpu"), {}).save(RECORD)
    altered(Path(RECORD), **changes)
    result = bench("--compare", RECORD)
    assert result.code == code
    assert said in result.err


@pytest.mark.usefixtures("nothing_measured")
def test_what_is_not_installed(bench, monkeypatch):
    def missing(call: str) -> None:
        raise MissingExtraError("no Matplotlib", fix='pip install "gpucnn[plot]"')

    monkeypatch.setattr("gpucnn.plots.require", missing)
    result = bench("--plot", "a.png")
    assert result.code == 1
    assert 'pip install "gpucnn[plot]"' in result.err
    monkeypatch.setitem(sys.modules, "torch", None)
    result = bench("--baseline", "torch")
    assert result.code == 1
    assert "the baseline torch is not installed" in result.err
    assert "pip install torch" in result.err


def test_a_baseline_that_cannot_be_used_is_left_out_with_a_note(run, hasty, monkeypatch):
    def unusable(backend: Any) -> None:
        raise DeviceError("PyTorch 2.11 cannot use cuda:0", cause="it was built without CUDA")

    monkeypatch.setattr(baselines, "installed", lambda: ["torch"])
    monkeypatch.setattr(baselines, "Torch", unusable)
    monkeypatch.setattr(operations, "tasks", lambda bench: [lambda: BenchRow("ops", "a", "b")])
    quick = "bench", "ops", "--suite", "quick", "--device", "cpu", "--seconds", 0, "--json"
    result = run(*quick)
    assert result.code == 0
    assert result.events[0]["options"]["baselines"] == []
    note = "note: no baseline: PyTorch 2.11 cannot use cuda:0: it was built without CUDA"
    assert note in result.err
    assert run(*quick, "--baseline", "torch").code == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(bench, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    result = bench("--save", "closed/a.json")
    assert result.code == 1
    assert "permission denied" in result.err


# ---- cut short -----------------------------------------------------------------------------


def test_a_shape_that_does_not_fit(bench, monkeypatch):
    monkeypatch.setattr(session, "free_memory", lambda: 50_000)
    result = bench("--json")
    assert result.code == 0
    skipped = [row["skipped"] for row in result.events[1:-1]]
    assert [reason is None for reason in skipped] == [True, True, False]
    assert skipped[2].startswith("needs ")
    assert result.events[-1]["skipped"] == 1
    assert "skipped: needs" in bench().err


def test_ctrl_c_keeps_what_was_measured(bench, monkeypatch):
    every = operations.tasks

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(operations, "tasks", lambda b: [*every(b)[:2], interrupt])
    result = bench("--save", RECORD, "--json")
    assert result.code == 130
    assert result.events[-1]["kind"] == "interrupted"
    assert "the 2 rows that were measured are in found.json" in result.err
    record = Record.load(RECORD)
    assert not record.complete
    assert len(record.rows) == 2
    result = bench()
    assert result.code == 130
    assert "--save FILE.json" in result.err


def test_an_error_keeps_it_too(bench, monkeypatch):
    def fail() -> None:
        raise OSError(5, "the machine burns")

    def tasks(b: Any) -> Any:
        row = BenchRow("ops", "a", "b")
        return [lambda: b.measure(row, Work(lambda: None)), fail]

    monkeypatch.setattr(operations, "tasks", tasks)
    result = bench("--save", RECORD)
    assert result.code == 1
    assert "the machine burns" in result.err
    assert len(Record.load(RECORD).rows) == 1


@pytest.mark.slow
def test_sigterm_in_a_process_of_its_own(spawn, tmp_path):
    """With its real times: it is hit in the middle of a row."""
    args = ["--suite", "quick", "--device", "cpu", "--baseline", "none", "--save", RECORD]
    process = spawn("bench", "ops", *args)
    deadline = time.monotonic() + 60
    while not (tmp_path / RECORD).exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "rows that were measured are in found.json" in err
    record = Record.load(tmp_path / RECORD)
    assert record.rows
    assert not record.complete


@pytest.mark.slow
def test_a_reader_that_goes_away(spawn, tmp_path):
    args = ["--suite", "quick", "--device", "cpu", "--baseline", "none", "--seconds", 0]
    read, write = os.pipe()
    os.close(read)
    process = spawn("bench", "ops", *args, "--json", "--save", RECORD, stdout=write)
    os.close(write)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "standard output cannot be written" in err
    assert "Traceback" not in err


# ---- the picture ---------------------------------------------------------------------------


def test_the_roofline(bench):
    result = bench("--plot", "roof.png")
    assert result.code == 0
    assert Path("roof.png").read_bytes()[:4] == b"\x89PNG"
    assert "plot: roof.png" in result.err


def test_help_names_every_flag_of_the_group(run):
    listed = run("bench", "--help")
    assert listed.code == 0
    for name in ("ops", "train", "infer", "data", "all"):
        assert f"  {name} " in listed.out
        one = run("bench", name, "--help")
        assert one.code == 0
        assert "--fail-under" in one.out
        assert max(map(len, one.out.splitlines())) <= 80
    assert run("bench").code == 2
    assert run("bench", "everything").code == 2


def test_a_machine_that_is_not_at_rest(bench, monkeypatch):
    monkeypatch.setattr("gpucnn.bench.machine.CpuContention.fraction", lambda self: 0.34)
    assert "other processes used 34% of the CPUs' time" in bench("--save", RECORD).err
    assert Record.load(RECORD).others == 0.34
    monkeypatch.setattr("gpucnn.bench.machine.CpuContention.fraction", lambda self: None)
    assert "other processes" not in bench().err
