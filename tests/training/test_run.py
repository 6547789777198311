"""Run directories: how they are named, found and described."""

from __future__ import annotations

import errno
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import filelock
import numpy as np
import pytest
from run_files import nested

from gpucnn import backend
from gpucnn.errors import DataError, StorageError, UsageError
from gpucnn.training import Run, TrainConfig
from gpucnn.writing import write_atomic

CPU = backend.get("cpu")
DRAFT = ".new-1700000000000000000"


def test_runs_take_the_first_free_number(config: TrainConfig) -> None:
    runs = Path(config.runs_dir)
    assert [Run.create(config, CPU).path for _ in range(2)] == [runs / "train-1", runs / "train-2"]
    named = Run.create(replace(config, name="mine"), CPU)
    assert named.path == runs / "mine"
    with pytest.raises(UsageError, match="exists already") as caught:
        Run.create(replace(config, name="mine"), CPU)
    assert f"--resume {named.path}" in str(caught.value.fix)
    assert sorted(path.name for path in runs.glob("[!.]*")) == ["mine", "train-1", "train-2"]


def test_runs_made_at_once_are_different_ones(config: TrainConfig) -> None:
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: Run.create(config, CPU).path, range(16)))
    assert len(set(paths)) == 16
    assert all((path / "config.toml").is_file() for path in paths)


def test_the_newest_run_is_the_one_started_last(config: TrainConfig) -> None:
    for _ in range(3):
        Run.create(config, CPU)
    older = Run.open(Path(config.runs_dir) / "train-2")
    os.utime(older.path / "config.toml", (2e9, 2e9))
    assert Run.newest(config.runs_dir) == older


def test_no_run_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "none", tmp_path / "empty"):
        with pytest.raises(DataError, match="there is no run"):
            Run.open(path)
        with pytest.raises(DataError, match="there is no run"):
            Run.newest(path)


def test_what_is_no_directory_is_said_to_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, cause in (
        (tmp_path / "file", "it is a file, not a directory"),
        (Path("/dev/null"), "it is a file, not a directory"),
        (tmp_path / "none", "no such directory"),
        (tmp_path, "it has no config.toml"),
    ):
        with pytest.raises(DataError) as caught:
            Run.open(path)
        assert caught.value.cause == cause


def test_a_runs_dir_that_cannot_be_written(config: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written") as caught:
        Run.create(replace(config, runs_dir=str(tmp_path / "file")), CPU)
    assert "--runs-dir" in str(caught.value.fix)


@pytest.mark.parametrize("operation", ["fsync", "replace", "rename"])
def test_a_failed_creation_leaves_nothing(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, operation, full)
        with pytest.raises(StorageError) as caught:
            Run.create(config, CPU)
    assert caught.value.cause == "the disk is full"
    assert os.listdir(config.runs_dir) == [".new.lock"]


def test_the_environment_is_recorded(config: TrainConfig) -> None:
    run = Run.create(config, CPU)
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["numpy"] == np.__version__
    assert environment["device"] == "cpu"
    assert {"python", "gpucnn", "blas", "threads"} <= set(environment)
    assert run.environment() == environment
    (run.path / "environment.json").write_text("{")
    assert run.environment() == {}


def test_paths_with_blanks_are_quoted_in_the_command(config: TrainConfig, tmp_path: Path) -> None:
    run = Run.create(replace(config, runs_dir=str(tmp_path / "my runs")), CPU)
    assert run.resume_command == f"gpucnn train --resume '{run.path}'"


class _Killed(BaseException):
    """The process ends."""


def _kill(*_: object) -> None:
    raise _Killed


def test_half_written_files_are_cleared_away(config: TrainConfig) -> None:
    run = Run.create(config, CPU)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", _kill)
        patch.setattr(Path, "unlink", _kill)
        with pytest.raises(_Killed):
            write_atomic(run.last, b"half")
    (left,) = run.weights.iterdir()
    assert left.read_bytes() == b"half"
    with run.lock():
        assert os.listdir(run.weights) == []


def test_the_draft_of_a_killed_process_is_deleted(config: TrainConfig) -> None:
    """However young it is: a process that makes a run holds the lock."""
    runs = Path(config.runs_dir)
    (runs / DRAFT / "weights").mkdir(parents=True)
    (runs / DRAFT / "model.py").write_text("half")
    run = Run.create(config, CPU)
    assert sorted(path.name for path in runs.iterdir()) == [".new.lock", "train-1"]
    assert not (run.path / "model.py").exists()


@pytest.mark.parametrize(
    "name",
    [".new-website", ".new-1", ".new-2024", f"{DRAFT}0", f"{DRAFT}-b", ".new-", f"x{DRAFT}"],
)
def test_folders_of_the_user_are_left(config: TrainConfig, name: str) -> None:
    runs = Path(config.runs_dir)
    (runs / name / "important").mkdir(parents=True)
    Run.create(config, CPU)
    assert (runs / name / "important").is_dir()


@pytest.mark.parametrize(
    "name",
    [
        "mine.tmp", "gpucnn-.tmp", "gpucnn-0123456789ABCDEF.tmp", "gpucnn-0123456789abcdef.tmp.gz",
        "my-gpucnn-0123456789abcdef.tmp", "gpucnn-0123456789abcdef0.tmp",
    ],
)  # fmt: skip
def test_files_of_the_user_are_left(config: TrainConfig, name: str) -> None:
    run = Run.create(config, CPU)
    for folder in (run.path, run.weights):
        (folder / name).write_text("precious")
    with run.lock():
        pass
    for folder in (run.path, run.weights):
        assert (folder / name).read_text() == "precious"


@pytest.mark.parametrize("name", ["weights/gpucnn-0123456789abcdef.tmp", ".lock"])
def test_a_folder_in_place_of_a_file_is_named(config: TrainConfig, name: str) -> None:
    run = Run.create(config, CPU)
    (run.path / name).mkdir()
    with pytest.raises(StorageError) as caught, run.lock():
        pass
    assert caught.value.message == f"{run.path / name} cannot be written"
    assert caught.value.cause == "it is a directory"


def test_a_draft_that_cannot_be_deleted_is_left(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of another user, in a folder that both can write into."""
    runs = Path(config.runs_dir)
    (runs / DRAFT / "weights").mkdir(parents=True)
    monkeypatch.setattr("shutil.rmtree", lambda path, ignore_errors: None)
    assert Run.create(config, CPU).path == runs / "train-1"


def test_a_draft_that_is_nested_too_deeply_is_left(config: TrainConfig) -> None:
    runs = Path(config.runs_dir)
    with nested(runs / DRAFT):
        assert Run.create(config, CPU).path == runs / "train-1"


@pytest.mark.parametrize("part", ["weights", "tensorboard", "metrics.jsonl", ".lock"])
@pytest.mark.parametrize("is_relative", [False, True])
def test_a_run_with_a_link_to_another_place_is_not_written(
    config: TrainConfig, tmp_path: Path, part: str, is_relative: bool
) -> None:
    run = Run.create(config, CPU)
    mine = tmp_path / "mine"
    mine.mkdir()
    half = mine / "gpucnn-0123456789abcdef.tmp"
    half.write_text("precious")
    if part == "weights":
        run.weights.rmdir()
    link = run.path / part
    link.symlink_to(os.path.relpath(mine, run.path) if is_relative else mine)
    with pytest.raises(DataError, match="no training writes into") as caught, run.lock():
        pass
    assert str(caught.value.cause).startswith(f"{link} is a symbolic link to ")
    assert half.read_text() == "precious"


def test_no_lock_is_a_link(config: TrainConfig, tmp_path: Path) -> None:
    """To open a lock empties it."""
    precious, run = tmp_path / "precious", Run.create(config, CPU)
    precious.write_text("precious")
    new, lock = run.path.parent / ".new.lock", run.path / ".lock"
    new.unlink()
    for link in (new, lock):
        link.symlink_to(precious)
    assert not run.is_in_use()
    with pytest.raises(StorageError, match="cannot be written") as caught:
        Run.create(config, CPU)
    assert caught.value.cause == "a symbolic link is in the way"
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("folder", ["weights", "tensorboard"])
def test_links_in_the_folders_of_a_run(config: TrainConfig, tmp_path: Path, folder: str) -> None:
    run = Run.create(config, CPU)
    (run.path / folder).mkdir(exist_ok=True)
    (run.path / folder / "train").symlink_to(tmp_path / "missing")
    with pytest.raises(DataError, match="no training writes into"), run.lock():
        pass


def test_links_that_stay_in_a_run_or_lead_to_it(config: TrainConfig, tmp_path: Path) -> None:
    run = Run.create(config, CPU)
    (run.path / "newest").symlink_to("weights/last.safetensors")
    (tmp_path / "link").symlink_to(run.path)
    with Run.open(tmp_path / "link").lock():
        assert (tmp_path / "link" / ".lock").exists()


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o777])
def test_whoever_can_write_into_the_folder_can_make_runs(config: TrainConfig, mode: int) -> None:
    runs = Path(config.runs_dir)
    runs.mkdir()
    runs.chmod(mode)
    Run.create(config, CPU)
    assert stat.S_IMODE((runs / ".new.lock").stat().st_mode) == mode & 0o666


def test_a_process_that_makes_a_run_is_waited_for(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Path(config.runs_dir)
    (runs / DRAFT).mkdir(parents=True)
    monkeypatch.setattr("gpucnn.training.run._PATIENCE", 0.1)
    with (
        filelock.FileLock(runs / ".new.lock"),
        pytest.raises(StorageError, match="is in use") as caught,
    ):
        Run.create(config, CPU)
    assert "another process is making a run" in str(caught.value.cause)
    assert sorted(path.name for path in runs.iterdir()) == [DRAFT, ".new.lock"]


def test_a_folder_of_runs_names_them(config: TrainConfig) -> None:
    runs = Path(config.runs_dir)
    for _ in range(7):
        Run.create(config, CPU)
    with pytest.raises(DataError, match=f"there is no run in {runs}") as caught:
        Run.open(runs)
    assert caught.value.cause == "it holds runs, and is none itself"
    named = ", ".join(str(runs / f"train-{number}") for number in range(1, 6))
    assert caught.value.fix == f"give one of these: {named} or 2 more"


def test_a_folder_that_is_read_only(config: TrainConfig) -> None:
    """Root may write there all the same."""
    runs = Path(config.runs_dir)
    run = Run.create(config, CPU)
    for folder in (run.path, runs):
        folder.chmod(0o555)
    try:
        for use in (run.lock, lambda: nullcontext(Run.create(config, CPU))):
            if os.geteuid() == 0:
                with use():
                    pass
            else:
                with pytest.raises(StorageError, match="cannot be written"), use():
                    pass
    finally:
        for folder in (runs, run.path):
            folder.chmod(0o755)


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
