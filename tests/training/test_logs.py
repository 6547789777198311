"""The logs of `TrainConfig(log=...)`: metrics.csv, and which callbacks are made."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpucnn import backend, data
from gpucnn.errors import MissingExtraError, StorageError
from gpucnn.nn import Sequential
from gpucnn.training import Callback, Run, TrainConfig, Trainer, fit
from gpucnn.training.config import LOGS
from gpucnn.training.csv_log import table
from gpucnn.training.logs import LOGS as MADE
from gpucnn.training.logs import log_callbacks

Make = Callable[[], Sequential]


class Die(Callback):
    """Ends the training by an error, at a step or after an epoch."""

    def __init__(self, step: int | None = None, epoch: int | None = None) -> None:
        self.step, self.epoch = step, epoch

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.step == self.step:
            raise KeyError

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        if record["epoch"] == self.epoch:
            raise KeyError


def rows(run: Run) -> list[dict[str, str]]:
    with (run.path / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def typed(row: dict[str, str]) -> dict[str, Any]:
    """The values of a row as those of a line of metrics.jsonl."""
    return {key: json.loads(value) if value else None for key, value in row.items()}


def test_csv_has_the_lines_of_metrics_jsonl(
    digits: data.Splits, make_model: Make, config: TrainConfig
) -> None:
    for splits in (digits, data.Splits(digits.train, None, digits.test)):
        run = Run.create(replace(config, log="csv"), backend.get("cpu"))
        fit(make_model(), splits, run.config(), run=run)
        lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
        columns = dict.fromkeys([*lines[0], "test_loss", "test_accuracy"])
        assert [typed(row) for row in rows(run)] == [columns | line for line in lines]
        assert list(rows(run)[0]) == list(columns)
        assert lines[-1]["test_accuracy"] is not None
        assert rows(run)[0]["val_loss"] == "" or splits is digits
    assert not (run.path / "tensorboard").exists()


def test_csv_does_not_need_to_read_metrics_jsonl(
    digits: data.Splits, make_model: Make, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "records", lambda run: [])
    run = Run.create(replace(config, log="csv"), backend.get("cpu"))
    fit(make_model(), digits, run.config(), run=run)
    assert [row["epoch"] for row in rows(run)] == ["1", "2", "3"]
    assert rows(run)[-1]["test_accuracy"]


@pytest.mark.parametrize("death", [Die(step=6), Die(epoch=2)])
def test_a_resumed_run_has_the_table_of_one_that_was_not_interrupted(
    digits: data.Splits, make_model: Make, config: TrainConfig, death: Die
) -> None:
    config = replace(config, log="csv", checkpoint_every=3)
    whole, run = (Run.create(config, backend.get("cpu")) for _ in range(2))
    fit(make_model(), digits, config, run=whole)
    with pytest.raises(KeyError):
        fit(make_model(), digits, config, [death], run=run)
    fit(make_model(), digits, config, run=run, resume=True)
    for file in ("metrics.csv", "metrics.jsonl"):
        assert without_times(run.path / file) == without_times(whole.path / file)


def without_times(file: Path) -> str:
    """The text of a log, the order of its columns too, with a mark in place of each time."""
    if file.suffix == ".jsonl":
        return re.sub(r'("(?:seconds|images_per_second)"): [^,}]+', r"\1: TIME", file.read_text())
    header, *lines = (line.split(",") for line in file.read_text().splitlines())
    places = [header.index(name) for name in ("seconds", "images_per_second")]
    for line in lines:
        for place in places:
            line[place] = "TIME"
    return "\n".join(map(",".join, [header, *lines]))


def test_a_line_after_the_checkpoint_is_void(
    digits: data.Splits, make_model: Make, config: TrainConfig
) -> None:
    """A run that was killed after its table was written, before the first checkpoint after it."""
    run = Run.create(replace(config, log="csv"), backend.get("cpu"))
    (run.path / "metrics.csv").write_text("epoch\n1\n2\n3\n")
    with pytest.raises(KeyError):
        fit(make_model(), digits, run.config(), [Die(step=2)], run=run)
    assert not (run.path / "metrics.csv").exists()


def test_text_is_quoted() -> None:
    found = table([{"a": 'say "7", or\nnot', "b": 0.1 + 0.2}, {"b": None, "c": True}])
    assert found.splitlines()[0] == "a,b,c"
    assert list(csv.reader(io.StringIO(found)))[1:] == [
        ['say "7", or\nnot', "0.30000000000000004", ""],
        ["", "", "True"],
    ]


def test_both_logs_lie_in_the_run(
    digits: data.Splits, make_model: Make, config: TrainConfig
) -> None:
    run = Run.create(replace(config, epochs=1, log=" tensorboard,csv,csv "), backend.get("cpu"))
    assert run.config().logs == ("tensorboard", "csv")
    fit(make_model(), digits, run.config(), run=run)
    assert len(rows(run)) == 1
    assert {path.name for path in (run.path / "tensorboard").iterdir()} == {"train", "validation"}


def test_without_a_run_nothing_is_written(
    digits: data.Splits,
    make_model: Make,
    config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    fit(make_model(), digits, replace(config, epochs=1, log="csv"))
    assert not list(tmp_path.iterdir())


def test_each_name_has_a_callback() -> None:
    assert tuple(MADE) == LOGS


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingExtraError, match="tensorboardX"):
        log_callbacks(TrainConfig(log="csv,tensorboard"), Run(tmp_path))
    assert len(log_callbacks(TrainConfig(log="csv"), Run(tmp_path))) == 1


def test_a_table_that_cannot_be_written(
    digits: data.Splits, make_model: Make, config: TrainConfig
) -> None:
    run = Run.create(replace(config, log="csv"), backend.get("cpu"))
    (run.path / "metrics.csv").mkdir()
    with pytest.raises(StorageError, match=r"metrics\.csv"):
        fit(make_model(), digits, run.config(), run=run)
