"""Kills, disks that fail, and long runs: the scripts of tests/, with few repetitions."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import run_script

from gpucnn import backend
from gpucnn.errors import DataError, StorageError
from gpucnn.training import Run, TrainConfig, checkpoint
from gpucnn.training.checkpoint import Checkpoint

CPU = backend.get("cpu")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks")
def test_killed_trainings_are_resumed_to_the_same_bits() -> None:
    done = run_script("kills.py", "--kills", 20, "--seed", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^20 kills of \d+ .* bits, 0 did not", done.stdout, re.MULTILINE)
    assert "killed while it wrote a file" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD is of Linux")
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ compiles what lets operations fail")
def test_a_fault_of_any_file_operation_loses_nothing() -> None:
    done = run_script("faults.py")
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"^(\d+) faults: 0 lost", done.stdout, re.MULTILINE)
    assert found
    assert int(found[1]) > 300, "operations are no longer seen"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is of Linux")
@pytest.mark.parametrize(
    ("name", "count"), [("conv", 2000), ("epochs", 200), ("predictions", 200), ("requests", 200)]
)
def test_memory_files_and_threads_do_not_grow(name: str, count: int) -> None:
    done = run_script("long_runs.py", name, "--count", count)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"of {count:,}: " in done.stdout


def _step(number: int) -> Checkpoint:
    arrays = {"w": np.full(3, number)}
    return Checkpoint(arrays, {"step": number}, arrays, {"records": []})


def test_no_state_is_deleted_while_the_weights_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with too many open files: which states are needed is then not known."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    checkpoint.save(tmp_path, _step(1))
    with monkeypatch.context() as patch:
        patch.setattr("safetensors.safe_open", fail)
        for number in (2, 3):
            checkpoint.save(tmp_path, _step(number))
    for name, number in ((checkpoint.PREVIOUS, 2), (checkpoint.LAST, 3)):
        assert checkpoint.read(tmp_path, name).description["step"] == number
    checkpoint.save(tmp_path, _step(4))
    states = sorted(path.name for path in tmp_path.glob("state-*"))
    assert states == ["state-3.safetensors", "state-4.safetensors"]


def test_a_folder_that_cannot_be_listed(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    run = Run.create(config, CPU)
    monkeypatch.setattr(Path, "glob", fail)
    with pytest.raises(StorageError, match="cannot be written"), run.lock():
        pass
    assert not run.is_in_use()


def test_the_options_of_a_run_that_cannot_be_read(config: TrainConfig) -> None:
    run = Run.create(config, CPU)
    (run.path / "config.toml").unlink()
    os.mkfifo(run.path / "config.toml")
    with pytest.raises(DataError, match=r"config\.toml cannot be read") as caught:
        run.config()
    assert "--config" not in str(caught.value.fix)
