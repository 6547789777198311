"""The end of a training in its run: the result of the test, the reason, and the answers."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import backend, data, models
from gpucnn.errors import DivergedError, Interrupted, StorageError
from gpucnn.nn import Dense, Flatten, Sequential
from gpucnn.training import Callback, Run, TrainConfig, Trainer, fit, fit_trainer, recorded
from gpucnn.training.history import best_epoch
from gpucnn.training.recorded import read_records
from gpucnn.training.report import Report

CPU = backend.get("cpu")
EPOCH = {
    "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "images_per_second", "seconds",
    "learning_rate",
}  # fmt: skip


@pytest.fixture
def small(config: TrainConfig) -> TrainConfig:
    return replace(config, epochs=2, model="softmax", shift=0)


def train(splits: data.Splits, config: TrainConfig, *callbacks: Callback, **options: Any) -> Any:
    """(run, history or error)"""
    run = options.pop("run", None) or Run.create(config, CPU)
    model = options.pop("model", None) or models.get("softmax")
    try:
        return run, fit(model, splits, run.config(), callbacks, run=run, **options)
    except (DivergedError, Interrupted) as error:
        return run, error


class At(Callback):
    """Does something after a step."""

    def __init__(self, step: int, act: Callable[[Trainer], None]) -> None:
        self.step, self.act = step, act

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.step == self.step:
            self.act(trainer)


def test_the_last_line_has_the_test_result(digits: data.Splits, small: TrainConfig) -> None:
    run, history = train(digits, small)
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert set(lines[0]) == EPOCH
    assert set(lines[1]) == EPOCH | {"test_loss", "test_accuracy"}
    assert history.test == {key: lines[1][f"test_{key}"] for key in ("loss", "accuracy")}
    assert run.records() == lines
    assert history.records == [{key: line[key] for key in lines[0]} for line in lines]


def test_no_test_set_leaves_no_test_result(digits: data.Splits, small: TrainConfig) -> None:
    run, history = train(replace_splits(digits, test=None), small)
    assert [set(record) for record in run.records()] == [EPOCH, EPOCH]
    assert history.test is None
    assert run.outcome()["reason"] == "finished"


def replace_splits(splits: data.Splits, **parts: Any) -> data.Splits:
    given = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return data.Splits(**given | parts)


def test_a_run_of_an_older_version_is_resumed(
    digits: data.Splits, small: TrainConfig, results: Any
) -> None:
    """Its metrics have no test result, and it has no outcome.json."""
    run, _ = train(digits, small)
    now = results(run.path)
    lines = [{key: record[key] for key in EPOCH} for record in run.records()]
    run.metrics.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (run.path / "outcome.json").unlink()
    assert run.outcome() == {}
    assert best_epoch(run.records()) is not None
    train(digits, small, run=run, resume=True)
    assert results(run.path) == now


def test_reasons(digits: data.Splits, small: TrainConfig) -> None:
    def stop(trainer: Trainer) -> None:
        trainer.stop = "enough"

    run, history = train(digits, small, At(4, stop))
    outcome = run.outcome()
    assert (outcome["reason"], len(run.records())) == ("enough", 1)
    assert outcome["seconds"] == history.seconds
    assert outcome["date"].endswith("+00:00")
    idle = replace(small, epochs=9, patience=1, learning_rate=1e-30)
    assert train(digits, idle)[0].outcome()["reason"] == "early-stopping"


def test_a_divergence_is_noted_and_forgotten_when_it_is_resumed(
    digits: data.Splits, small: TrainConfig
) -> None:
    def poison(trainer: Trainer) -> None:
        trainer.set_learning_rate(float("1e38"))

    run, error = train(digits, small, At(4, poison))
    outcome = run.outcome()
    assert (outcome["reason"], outcome["message"]) == ("diverged", error.message)
    assert outcome["cause"] == error.cause
    train(digits, small, run=run, resume=True)
    assert run.outcome()["reason"] == "finished"


def test_an_interruption_leaves_no_outcome(digits: data.Splits, small: TrainConfig) -> None:
    run, _ = train(digits, small)
    assert run.outcome()
    run, _ = train(digits, small, At(5, lambda trainer: signal.raise_signal(signal.SIGINT)))
    assert run.outcome() == {}
    train(digits, small, run=run, resume=True)
    assert run.outcome()["reason"] == "finished"


def test_a_full_disk_does_not_hide_a_divergence(
    digits: data.Splits, small: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise StorageError("full")

    monkeypatch.setattr(Run, "end", full)
    run, error = train(digits, replace(small, learning_rate=1e38))
    assert isinstance(error, DivergedError)
    assert run.outcome() == {}


def test_a_run_in_use(digits: data.Splits, small: TrainConfig) -> None:
    seen = []
    run = Run.create(small, CPU)
    assert not run.is_in_use()
    train(digits, small, At(2, lambda trainer: seen.append(run.is_in_use())), run=run)
    assert seen == [True]
    assert not run.is_in_use()


@pytest.mark.parametrize("text", ["[1, 2]\n", '3\n{"epoch": 1}\n', "{", "\0"])
def test_metrics_that_are_none(config: TrainConfig, text: str) -> None:
    run = Run.create(config, CPU)
    run.metrics.write_text(text)
    assert run.records() == []
    (run.path / "outcome.json").write_text(text)
    assert run.outcome() == {}


RECORD = {
    "epoch": 1, "loss": 0.5, "accuracy": 0.5, "val_loss": None, "val_accuracy": None,
    "images_per_second": 9.0, "seconds": 1.0, "learning_rate": 0.1,
}  # fmt: skip
HOSTILE: dict[str, list[Any]] = {
    "epoch": [0, 2, True, 1.0, 10**400],
    "loss": [10**400, 1e308, -1e308, None, "0", True],
    "accuracy": [2, -0.5, "a"],
    "val_loss": [1e308, []],
    "val_accuracy": [1.5],
    "test_accuracy": [-1],
    "images_per_second": [-1, 10**400, "fast"],
    "seconds": [-1, 1e308, None],
    "learning_rate": [10**400, -1, "0.1"],
}


def test_a_record_that_no_training_writes(config: TrainConfig) -> None:
    run = Run.create(config, CPU)
    (run.path / "outcome.json").write_text("{}")
    run.metrics.write_text(json.dumps(RECORD))
    assert run.records() == [RECORD]
    for key, values in HOSTILE.items():
        for value in values:
            run.metrics.write_text(json.dumps({**RECORD, key: value}) + "\n")
            assert read_records(run.metrics) == ([], "is no record of an epoch"), (key, value)


def test_the_file_of_records_is_read_up_to_a_bound(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.create(config, CPU)
    lines = [json.dumps({**RECORD, "epoch": k}) + "\n" for k in range(1, 6)]
    run.metrics.write_text("".join(lines))
    assert read_records(run.metrics) == ([json.loads(line) for line in lines], None)
    monkeypatch.setattr(recorded, "_MOST_VALUES", 3 * len(RECORD))
    records, problem = read_records(run.metrics)
    assert len(records) == 3
    assert problem == "is beyond 24 values, and GPUCNN_MAX_INPUT_MB is not set"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GPUCNN_MAX_INPUT_MB", "100")
        assert len(run.records()) == 5
    monkeypatch.setattr(recorded, "_LONGEST_LINE", len(lines[0]))
    run.metrics.write_text(lines[0] + lines[1].replace("}", "  }"))
    assert read_records(run.metrics)[1] == "is no record of an epoch"
    run.metrics.write_text(lines[0] + lines[1][:20])
    assert read_records(run.metrics)[1] == recorded.CUT


def test_a_thousand_epochs_are_within_the_bound(config: TrainConfig) -> None:
    run = Run.create(config, CPU)
    more = {"val_metrics": {f"metric {k}": 0.5 for k in range(200)}}
    run.write_metrics([{**RECORD, **more, "epoch": k} for k in range(1, 1001)])
    assert len(run.records()) == 1000


@pytest.mark.parametrize("file", ["outcome.json", "environment.json"])
def test_a_file_of_a_run_that_is_too_long(config: TrainConfig, file: str) -> None:
    run = Run.create(config, CPU)
    run.end("finished", 1.0)
    values = json.loads((run.path / file).read_text())
    (run.path / file).write_text(json.dumps({**values, "more": "x" * 60_000}))
    read = run.outcome if file == "outcome.json" else run.environment
    assert read()["more"]
    (run.path / file).write_text(json.dumps({**values, "more": "x" * 65_536}))
    assert read() == {}


def confusion(history: Any) -> Report:
    report = history.report
    assert isinstance(report, Report)
    return report


def test_the_report_is_that_of_the_test(digits: data.Splits, small: TrainConfig) -> None:
    model = models.get("softmax")
    _, history = train(digits, small, model=model)
    report = confusion(history)
    assert {"loss": report.loss, "accuracy": report.accuracy} == history.test
    answers = model.eval()(digits.test.images.astype("float32") / 255).numpy().argmax(axis=1)
    expected = Report.of(digits.test.labels, answers, digits.class_names, loss=0.0, accuracy=0.0)
    assert np.array_equal(report.confusion, expected.confusion)
    assert np.trace(report.confusion) / report.confusion.sum() == report.accuracy


def test_without_a_test_the_report_is_that_of_the_last_validation(
    digits: data.Splits, small: TrainConfig
) -> None:
    _, history = train(replace_splits(digits, test=None), small)
    report = confusion(history)
    assert report.confusion.sum() == len(digits.validation)
    assert report.accuracy == history.records[-1]["val_accuracy"]
    _, history = train(
        replace_splits(digits, test=None, validation=None), replace(small, validation=0)
    )
    assert history.report is None


def test_a_single_output_means_yes_or_no(digits: data.Splits, small: TrainConfig) -> None:
    def binary(part: data.Dataset) -> data.Dataset:
        return data.Dataset("odd", part.images, part.labels % 2, 2, ["even", "odd"])

    splits = data.Splits(binary(digits.train), binary(digits.validation), binary(digits.test))
    config = replace(small, loss="binary_cross_entropy", model="lenet")
    model = Sequential([Flatten(), Dense(1)])
    history = fit_trainer(Trainer(model, splits, config))
    report = confusion(history)
    assert list(report.class_names) == ["even", "odd"]
    assert report.confusion.sum(axis=1).tolist() == np.bincount(splits.test.labels).tolist()
    assert np.trace(report.confusion) / len(splits.test) == history.test["accuracy"]


def test_more_outputs_than_classes_and_targets(digits: data.Splits, small: TrainConfig) -> None:
    history = fit(Sequential([Flatten(), Dense(12)]), digits, small)
    assert list(confusion(history).class_names) == [str(k) for k in range(12)]

    def targets(part: data.Dataset) -> data.Dataset:
        return data.Dataset("t", part.images, np.eye(10, dtype=np.float32)[part.labels], 10)

    splits = data.Splits(*(targets(p) for p in (digits.train, digits.validation, digits.test)))
    assert fit(Sequential([Flatten(), Dense(10)]), splits, small).report is None


def test_the_answers_change_no_bit(digits: data.Splits, small: TrainConfig) -> None:
    """A training that keeps no answers ends with the same weights."""
    runs = [train(digits, small)[0], train(replace_splits(digits, test=None), small)[0]]
    one, other = (Path(run.best).read_bytes() for run in runs)
    assert one == other


@pytest.mark.parametrize("loss", ["mean_squared_error", "binary_cross_entropy"])
@pytest.mark.parametrize("values", [[0, 1], [3, 7], [0, 1, 2, 9]], ids=str)
@pytest.mark.parametrize("held_out", [0, 10])
def test_numbers_of_a_single_output_are_not_judged_as_classes(
    loss: str, values: list[int], held_out: int
) -> None:
    """A training whose rate is 0 has learned nothing; but whole numbers are not to be guessed."""
    if loss == "binary_cross_entropy" and max(values) > 1:
        return
    labels = np.resize(np.array(values, np.int32), 40)
    images = np.zeros((40, 1, 2, 2), np.float32)
    part = data.Dataset("numbers", images, labels, max(values) + 1)
    splits = data.Splits(part, part.subset(slice(held_out)) if held_out else None, part)
    model = Sequential([Flatten(), Dense(1)])
    config = TrainConfig(epochs=1, optimizer="sgd", learning_rate=1e-30, loss=loss, device="cpu")
    history = fit(model, splits, config)
    are_classes = max(values) == 1
    assert history.learned is not are_classes
    assert (history.report is not None) is are_classes
