"""The archive of `prove.py` is good at any moment."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from gpu.prove_runs import HERE, Done, start, unpack

QUICK = [(f"part{i}", 1, f"print({i}); import time; time.sleep(0.02)") for i in range(8)]


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_at_any_moment_leaves_a_good_archive(tmp_path: Path, seed: int) -> None:
    out = tmp_path / "record.tgz"
    # One that is killed cannot remove its temporary folder.
    process = start(out, *QUICK, env={**os.environ, "TMPDIR": str(tmp_path)})
    while not out.exists():
        assert process.poll() is None
        time.sleep(0.005)
    time.sleep(random.Random(seed).uniform(0, 0.6))
    process.kill()
    process.communicate(timeout=60)
    done = Done(0, "", unpack(out))
    reached = [state == "passed" for state in done.states]
    assert reached == sorted(reached, reverse=True)
    assert set(done.states) <= {"passed", "running", "not reached"}
    for i in range(sum(reached)):
        assert done.files[f"part{i}.log"] == f"{i}\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_interrupted_ends_with_its_record(tmp_path: Path, number: int) -> None:
    out = tmp_path / "record.tgz"
    waits = "print('waits', flush=True); import time; time.sleep(600)"
    process = start(out, ("first", 1, ""), ("second", 1, waits), ("third", 1, ""))
    while not out.exists() or Done(0, "", unpack(out)).states[1] != "running":
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(number)
    text, _ = process.communicate(timeout=10)
    done = Done(process.returncode, text, unpack(out))
    assert (done.code, done.states) == (130, ["passed", "interrupted", "not reached"])
    assert done.files["second.log"] == "waits\n"
    assert "third           0.0 s  not reached" in text


def test_a_record_that_cannot_be_written(tmp_path: Path) -> None:
    process = start(tmp_path / "missing" / "record.tgz", *QUICK)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "cannot be written now" in text
    assert "part0" not in text


@pytest.fixture
def summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(HERE))
    from summary import Summary

    folder = tmp_path / "folder"
    folder.mkdir()
    return Summary(folder, tmp_path / "record.tgz", {"device": "cpu"}, {"one": "a part"})


def test_a_full_disk_keeps_the_archive_before(
    summary: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    assert summary.save()
    before = summary.archive.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        summary.set("one", state="passed")
    assert "No space left on device" in capsys.readouterr().out
    assert summary.archive.read_bytes() == before
    assert len(list(summary.archive.parent.glob("record*"))) == 1
    assert "one" in summary.text()
    assert summary.save()
    assert Done(0, "", unpack(summary.archive)).states == ["passed"]


def test_a_part_that_fills_the_disk_does_not_end_the_run(run: Any) -> None:
    # Files of this process and of its children may have 64 KB.
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16)); "
    writes = limit + "[print('x' * ((1 << 14) - 1)) for _ in range(5)]"
    done = run(("fills", 1, writes), ("next", 1, "print('here')"))
    assert done.states == ["failed", "passed"]
    assert len(done.files["fills.log"]) == 1 << 16


def test_a_huge_log_is_cut(summary: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("summary._LARGEST", 100)
    (summary.folder / "one.log").write_text("x" * 1000)
    (summary.folder / "runs").mkdir()
    (summary.folder / "runs" / "weights").write_text("not kept")
    assert summary.save()
    files = unpack(summary.archive)
    assert sorted(files) == ["one.log", "summary.json", "summary.txt"]
    assert files["one.log"] == "x" * 100
