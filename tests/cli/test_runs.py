"""gpucnn runs: a table in 80 columns, sorted, and JSON."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import pytest

from gpucnn.cli import runs
from gpucnn.reports.summary import RunSummary
from gpucnn.training import TrainConfig, checkpoint

COLUMNS = ["name", "model", "data", "epochs", "val", "test", "time", "date", "state"]


def make(name: str, metrics: str = "", date: float = 1.7e9, **options: Any) -> Path:
    """A directory as a training leaves it."""
    path = Path("runs") / name
    (path / "weights").mkdir(parents=True)
    (path / "config.toml").write_text(TrainConfig(**options).to_toml())
    (path / "metrics.jsonl").write_text(metrics)
    checkpoint.save_weights(path / "weights" / "last.safetensors", {}, {"epoch": 1})
    os.utime(path / "config.toml", (date, date))
    return path


EPOCH = (
    '{"epoch": 1, "loss": 0.5, "accuracy": 0.7,'
    ' "val_accuracy": %s, "seconds": %s, "test_accuracy": %s}\n'
)


@pytest.fixture
def three(run: Any) -> None:
    make("train-2", EPOCH % (0.9, 5, 0.91), 1e9, epochs=1, data="digits")
    make("train-10", EPOCH % (0.8, 7.5, "null"), 2e9, model="cnn", epochs=4)
    make("my own", EPOCH % ("null", 700, 0.99), 1.5e9, epochs=1, data="a b/my photographs")
    Path("runs/broken").mkdir()
    Path("runs/broken/metrics.jsonl").write_text("")


def test_the_table(run: Any, three: None) -> None:
    result = run("runs")
    assert result.code == 0
    header, *rows, problem = result.out.splitlines()
    assert header.split() == COLUMNS
    assert rows[0].split() == [
        "train-10", "cnn", "mnist", "1/4", "80.00%", "-", "7.5", "s", *rows[0].split()[-4:]
    ]  # fmt: skip
    assert rows[0].endswith("interrupted")
    assert rows[1].startswith("my own   lenet my phot")
    assert "12 min" in rows[1]
    assert rows[2].endswith("Sep  9  2001 finished")
    assert rows[3].split() == ["broken", *"-------", "broken"]
    assert problem == "broken: there is no run in runs/broken: it has no config.toml"
    assert max(map(len, result.out.splitlines()[:-1])) <= 80


@pytest.mark.parametrize(
    ("column", "order"),
    [
        ("name", ["broken", "my own", "train-2", "train-10"]),
        ("model", ["train-10", "train-2", "my own", "broken"]),
        ("data", ["train-2", "train-10", "my own", "broken"]),
        ("epochs", ["train-2", "my own", "train-10", "broken"]),
        ("val", ["train-2", "train-10", "my own", "broken"]),
        ("test", ["my own", "train-2", "train-10", "broken"]),
        ("time", ["my own", "train-10", "train-2", "broken"]),
        ("date", ["train-10", "my own", "train-2", "broken"]),
        ("state", ["broken", "train-2", "my own", "train-10"]),
    ],
)
def test_sorting(run: Any, three: None, column: str, order: list[str]) -> None:
    result = run("runs", "--sort", column, "--json")
    assert [event["name"] for event in result.events[:-1]] == order


def test_json(run: Any, three: None) -> None:
    first, *_, end = run("runs", "--json").events
    assert first.pop("date").startswith("2033-05-1")
    assert first == {
        "event": "run", "name": "train-10", "path": "runs/train-10", "model": "cnn",
        "data": "mnist", "epochs": 1, "planned": 4, "val_accuracy": 0.8, "test_accuracy": None,
        "seconds": 7.5, "state": "interrupted", "reason": None, "problem": None,
        "overfits": False,
    }  # fmt: skip
    assert end == {"event": "end", "runs": 4}


def test_another_folder_and_none(run: Any, three: None) -> None:
    Path("runs").rename("elsewhere")
    assert run("runs", "elsewhere").out
    result = run("runs")
    assert result.code == 4
    assert "runs cannot be listed" in result.err
    Path("empty").mkdir()
    result = run("runs", "empty")
    assert (result.code, result.out) == (0, "")
    assert "there is no run in empty" in result.err
    assert run("runs", "--sort", "beauty").code == 2


def test_the_folder_of_the_environment(
    run: Any, three: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("runs").rename("elsewhere")
    monkeypatch.setenv("GPUCNN_RUNS_DIR", "elsewhere")
    assert len(run("runs", "--json").events) == 5


def test_long_names_fit_80_columns_and_are_whole() -> None:
    name = "a_very_long_name_of_a_run_that_somebody_gave_it"
    date = datetime.datetime.now().astimezone()
    row = RunSummary(
        name, name, "my_network.py:build_it", "fashion-mnist", 99, 100, 1.0, 1.0, 1e6, date,
        "interrupted",
    )  # fmt: skip
    lines = runs._table([row], 80)
    assert max(map(len, lines)) <= 80
    assert lines[1] == name
    assert "my_net\u2026" in lines[2]
    assert len(runs._table([row], 200)) == 2
    odd = RunSummary("a\nb\x1b[31m", "", problem="c\nd")
    assert len(runs._table([odd], 80)) == 3
    assert "\x1b" not in "".join(runs._table([odd], 80))


def test_a_real_training(run: Any, train_once: Any) -> None:
    train_once("--data", "digits", "--model", "softmax", "--limit-batches", 4, "--epochs", 1)
    (event, _) = run("runs", "--json").events
    assert (event["state"], event["epochs"], event["planned"]) == ("finished", 1, 1)
    assert event["test_accuracy"] > 0
