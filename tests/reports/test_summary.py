"""The table of runs: what is known of each, in which state it is, and in which order they come."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gpucnn.cli.main import main
from gpucnn.errors import DataError
from gpucnn.reports import summaries
from gpucnn.training import Run, checkpoint


def test_what_is_known(runs: tuple[Run, Run]) -> None:
    first, second = summaries(runs[0].path.parent)
    records = runs[0].records()
    assert (first.name, first.model, first.data) == ("train-1", "softmax", "digits")
    assert (first.epochs, first.planned, first.state, first.reason) == (
        2, 2, "finished", "finished"
    )  # fmt: skip
    assert first.val_accuracy is None
    assert first.test_accuracy == records[-1]["test_accuracy"]
    assert first.seconds == runs[0].outcome()["seconds"]
    assert (second.name, second.data) == ("run & <i>two", "a<i>b.npz")
    assert second.val_accuracy == runs[1].records()[0]["val_accuracy"]
    assert second.test_accuracy is None
    assert first.date is not None
    assert second.date is not None
    assert first.date <= second.date


def state(run: Run) -> Any:
    (row,) = summaries(run.path.parent)
    return row.state, row.problem


def test_states(copy: Run) -> None:
    assert state(copy) == ("finished", None)
    outcome = copy.path / "outcome.json"
    outcome.unlink()  # as an older version left it
    assert state(copy) == ("finished", None)
    copy.change_config(epochs=4)
    assert state(copy) == ("interrupted", None)
    with copy.lock():
        assert state(copy) == ("running", None)
    copy.end("early-stopping", 1.0)
    assert state(copy) == ("finished", None)
    copy.end("diverged", 1.0, DataError("step 3 is not finite"))
    assert state(copy) == ("diverged", "step 3 is not finite")


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("config.toml", "= 3", "is not valid TOML"),
        ("config.toml", 'model = "lenett"', "lenett"),
        ("config.toml", "flying = true", "flying"),
        ("config.toml", None, "no config.toml"),
    ],
)
def test_broken_runs_are_listed(copy: Run, file: str, text: str | None, problem: str) -> None:
    (copy.path / "outcome.json").unlink()
    if text is None:
        (copy.path / file).unlink()
    else:
        (copy.path / file).write_text(text)
    (row,) = summaries(copy.path.parent)
    assert (row.name, row.state) == ("train-1", "broken")
    assert problem in str(row.problem)


OUTCOME = '{"reason": %s, "seconds": %s, "date": %s}'
DATE = '"2026-11-29T11:17:47+00:00"'
DAMAGED = [
    ("outcome.json", "garbage"),
    ("outcome.json", "[1]"),
    ("outcome.json", OUTCOME % (5, '"x"', "null")),
    ("outcome.json", OUTCOME % ('"finished"', "NaN", DATE)),
    ("outcome.json", OUTCOME % ('"finished"', 1, '"today"')),
    ("metrics.jsonl", ""),
    ("metrics.jsonl", "garbage"),
    ("metrics.jsonl", "\0\udcff"),
    ("metrics.jsonl", '{"epoch": 1}\n'),
    ("metrics.jsonl", '{"epoch": 1, "val_accuracy": "a", "seconds": "b"}\n'),
    ("metrics.jsonl", None),
    ("weights/last.safetensors", "garbage"),
    ("weights/last.safetensors", ""),
    ("weights/last.safetensors", None),
]


@pytest.mark.parametrize(("file", "text"), DAMAGED)
def test_damaged_files_are_named(copy: Run, file: str, text: str | None) -> None:
    if text is None:
        (copy.path / file).unlink()
    else:
        (copy.path / file).write_bytes(text.encode(errors="surrogateescape"))
    row, problem = state(copy)
    assert row == "damaged"
    assert file in problem


@pytest.mark.parametrize("epoch", [-5, True, 1.0, 10**400, 2**63, "1", None])
def test_an_epoch_that_no_training_writes(copy: Run, epoch: Any) -> None:
    weights, description = checkpoint.load_weights(copy.last)
    checkpoint.save_weights(copy.last, weights, {**description, "epoch": epoch})
    row, problem = state(copy)
    assert row == "damaged"
    assert "last.safetensors is cut short or altered: its epoch is " in problem
    assert len(problem) < 200


def test_long_texts_of_an_outcome_are_cut(copy: Run) -> None:
    copy.end("diverged", 1.0, DataError("m " * 5000, cause="c\x1b" * 5000))
    assert state(copy) == ("diverged", f"{'m ' * 100}...")
    outcome = copy.outcome()
    assert all(len(text) <= 203 for text in outcome.values() if isinstance(text, str))
    assert outcome["seconds"] == 1.0


@pytest.mark.parametrize("seconds", [10**12, -(10**12), 10**18, 253_402_300_799, -62_135_596_800])
def test_a_time_that_no_calendar_has(
    copy: Run, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    """A file system may hold such a time."""
    stat = Path.stat

    def changed(path: Path, **options: Any) -> os.stat_result:
        found = stat(path, **options)
        return os.stat_result((*found[:8], seconds, found[9])) if path.suffix == ".toml" else found

    monkeypatch.setattr(Path, "stat", changed)
    (row,) = summaries(copy.path.parent)
    assert row.state == "finished"
    assert row.as_dict()["epochs"] == 2
    if abs(seconds) >= 10**12:
        assert row.date is None
    result = CliRunner().invoke(main, ["runs", str(copy.path.parent)])
    assert (result.exit_code, copy.path.name in result.stdout) == (0, True)


@pytest.mark.parametrize("file", ["metrics.jsonl", "weights/last.safetensors"])
def test_files_that_were_cut_short(copy: Run, file: str) -> None:
    whole = (copy.path / file).read_bytes()
    for size in (1, len(whole) // 2, len(whole) - 2):
        (copy.path / file).write_bytes(whole[:size])
        row, problem = state(copy)
        assert row == "damaged"
        assert file in problem


def test_a_line_that_a_killed_training_has_not_finished(copy: Run) -> None:
    (copy.path / "outcome.json").unlink()
    copy.change_config(epochs=4)
    copy.metrics.write_text(copy.metrics.read_text() + '{"epoch": 3, "lo')
    assert state(copy) == ("interrupted", None)


def test_a_run_that_has_just_begun(copy: Run) -> None:
    for file in ("metrics.jsonl", "outcome.json", "weights/last.safetensors"):
        (copy.path / file).unlink()
    (row,) = summaries(copy.path.parent)
    assert (row.epochs, row.val_accuracy, row.test_accuracy, row.seconds) == (0, None, None, 0)
    assert row.state == "interrupted"
    (copy.path.parent / "sweep.json").write_text("{}")
    assert state(copy) == ("waiting", None)


def test_other_folders_and_files_are_no_runs(copy: Run) -> None:
    folder = copy.path.parent
    (folder / "notes").mkdir()
    (folder / ".new-1-2").mkdir()
    (folder / ".new-1-2" / "weights").mkdir()
    (folder / "a.txt").write_text("")
    assert [row.name for row in summaries(folder)] == ["train-1"]
    assert summaries(folder / "notes") == []


def test_the_oldest_is_first_and_broken_ones_are_last(copy: Run) -> None:
    folder = copy.path.parent
    config = copy.config()
    for name, age in (("train-10", 5), ("train-2", 5), ("young", 1)):
        other = folder / name
        other.mkdir()
        (other / "config.toml").write_text(replace(config, model="mlp").to_toml())
        os.utime(other / "config.toml", (1e9 - age, 1e9 - age))
    os.utime(copy.path / "config.toml", (1e9, 1e9))
    (folder / "a" / "weights").mkdir(parents=True)
    names = [row.name for row in summaries(folder)]
    assert names == ["train-2", "train-10", "young", "train-1", "a"]


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_no_such_directory(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=name):
        summaries(tmp_path / name)
