"""gpucnn train --sweep: its runs, its table, what it refuses, and how it goes on."""

from __future__ import annotations

import csv
import errno
import functools
import json
import os
import shutil
import signal
import statistics
from pathlib import Path
from typing import Any

import pytest
from selection import slow_except

from gpucnn.cli import output, progress
from gpucnn.errors import OutOfMemoryError
from gpucnn.training import Run, Trainer
from gpucnn.training.checkpoint import load_weights

OPTIONS = [
    "--data", "digits", "--model", "softmax", "--limit-batches", 3, "--epochs", 2,
    "--device", "cpu",
]  # fmt: skip
GRID = ["--sweep", "lr=1e-3,1e-2", "seed=0..2"]
NESTED: list[Any] = functools.reduce(lambda inside, _: [inside], range(500), [])


def rows(folder: str = "runs/sweep-1") -> list[dict[str, str]]:
    with Path(folder, "sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def _swept() -> list[Any]:
    return []


@pytest.fixture
def swept(run: Any, _swept: list[Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A sweep over two learning rates and three seeds, made once: what the command left."""
    if not _swept:
        result = run("train", *OPTIONS, *GRID, "--json")
        _swept.extend((result, shutil.copytree("runs", tmp_path_factory.mktemp("swept") / "runs")))
    else:
        shutil.copytree(_swept[1], "runs")
    return _swept[0]


def test_each_run_is_a_normal_one(swept: Any, run: Any) -> None:
    assert swept.code == 0, swept.err
    names = [row["run"] for row in rows()]
    assert names[:2] == ["1-lr=0.001-seed=0", "2-lr=0.001-seed=1"]
    assert len(names) == 6
    config = Run(Path("runs/sweep-1", names[4])).config()
    assert (config.learning_rate, config.seed, config.epochs) == (1e-2, 1, 2)
    run("train", *OPTIONS, "--lr", "1e-2", "--seed", 1)
    alone, _ = load_weights(Path("runs/train-1/weights/last.safetensors"))
    there, _ = load_weights(Path("runs/sweep-1", names[4], "weights/last.safetensors"))
    assert {name: array.tobytes() for name, array in alone.items()} == {
        name: array.tobytes() for name, array in there.items()
    }
    assert run("evaluate", Path("runs/sweep-1", names[4])).code == 0


def test_events(swept: Any) -> None:
    kinds = [event["event"] for event in swept.events]
    one = ["start", "epoch", "epoch", "run"]
    assert kinds == ["sweep", *one * 6, "setting", "setting", "end"]
    assert swept.events[0] == {"event": "sweep", "path": "runs/sweep-1", "runs": 6}
    assert swept.events[-1] == {
        "event": "end", "path": "runs/sweep-1", "finished": 6, "failed": 0,
    }  # fmt: skip
    ended = [event for event in swept.events if event["event"] == "run"]
    assert ended[3]["settings"] == {"learning_rate": 1e-2, "seed": 0}
    assert ended[3]["run"] == "runs/sweep-1/4-lr=0.01-seed=0"
    assert ended[3]["state"] == "finished"


def test_the_table_has_mean_and_spread_over_the_seeds(swept: Any, run: Any) -> None:
    found = [event for event in swept.events if event["event"] == "setting"]
    for place, event in enumerate(found):
        values = [float(row["test_accuracy"]) for row in rows()[3 * place : 3 * place + 3]]
        assert event["settings"] == {"learning_rate": [1e-3, 1e-2][place]}
        assert (event["metric"], event["runs"], event["failed"]) == ("test_accuracy", 3, 0)
        assert event["mean"] == pytest.approx(statistics.mean(values))
        assert event["std"] == pytest.approx(statistics.stdev(values))
        assert (event["lowest"], event["highest"]) == (min(values), max(values))
    shown = run("train", "--resume", "runs/sweep-1")
    title, head, *lines = shown.out.splitlines()
    assert title == "test accuracy of the last epoch over the seeds"
    assert head.split() == ["lr", "runs", "mean", "std", "lowest", "highest"]
    assert [line.split()[0] for line in lines] == ["0.001", "0.01"]
    assert lines[1].split()[2] == f"{found[1]['mean']:.2%}"
    assert max(map(len, shown.out.splitlines() + shown.err.splitlines())) <= 80


def test_both_files_say_the_same(swept: Any) -> None:
    record = json.loads(Path("runs/sweep-1/sweep.json").read_text())
    for row, line in zip(record["runs"], rows(), strict=True):
        assert line["run"] == row["run"]
        assert float(line["learning_rate"]) == row["settings"]["learning_rate"]
        assert int(line["seed"]) == row["settings"]["seed"]
        assert float(line["test_loss"]) == row["test_loss"]
        last = Run(Path("runs/sweep-1", row["run"])).records()[-1]
        assert (row["loss"], row["accuracy"], row["epochs"]) == (last["loss"], last["accuracy"], 2)


def test_a_finished_sweep_is_not_repeated(
    swept: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "__init__", None)
    again = run("train", "--resume", "--json")
    assert again.code == 0
    assert [event["event"] for event in again.events] == ["sweep", "setting", "setting", "end"]
    assert again.events[1:] == swept.events[-3:]


@pytest.mark.parametrize("place", ["row", "weights", "sweep"])
def test_a_link_to_another_place_is_not_trained(swept: Any, run: Any, place: str) -> None:
    """A row may be none, nor the weights of one; the sweep itself may be."""
    record = json.loads(Path("runs/sweep-1/sweep.json").read_text())
    row = record["runs"][0]
    row |= dict.fromkeys(row, None) | {"run": row["run"], "settings": row["settings"]}
    row["epochs"] = 0
    Path("runs/sweep-1/sweep.json").write_text(json.dumps(record))
    part = {"row": row["run"], "weights": f"{row['run']}/weights", "sweep": ""}[place]
    link = Path("runs/sweep-1", part)
    mine = link.rename("mine").absolute()
    link.symlink_to(mine)
    before = sorted(path.name for path in mine.rglob("*"))
    resumed = run("train", "--resume", "runs/sweep-1")
    if place == "sweep":
        assert resumed.code == 0, resumed.err
        return
    assert resumed.code == 4
    assert f"{link} is a symbolic link to {mine}, out of the run" in resumed.err
    assert sorted(path.name for path in mine.rglob("*")) == before


def without_times(lines: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


@pytest.mark.parametrize("epoch", slow_except([1, 2, 7], 7))
def test_ctrl_c_and_resume(
    swept: Any, run: Any, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    """After the first, the last and a later epoch: the results are those of the whole sweep."""
    whole = rows()
    shutil.rmtree("runs")
    seen = []

    class Lines(progress.EpochLines):
        def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
            seen.append(trainer.run.path.name if trainer.run else "")
            if len(seen) == epoch:
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("gpucnn.cli.train.EpochLines", Lines)
    stopped = run("train", *OPTIONS, *GRID)
    assert stopped.code == 130
    assert "fix: go on with: gpucnn train --resume runs/sweep-1" in stopped.err.splitlines()[-1]
    assert len(seen) == epoch
    done = sum(row["state"] != "" for row in rows())
    assert done == (epoch - 1) // 2
    resumed = run("train", "--resume")
    assert resumed.code == 0, resumed.err
    assert without_times(rows()) == without_times(whole)
    assert len(seen) == 12
    assert len(set(seen)) == 6


def test_ctrl_c_between_two_runs(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gpucnn.cli.sweep.prepare_resumed", stop)
    stopped = run("train", *OPTIONS, *GRID)
    assert stopped.code == 130
    assert "gpucnn train --resume runs/sweep-1" in stopped.err


def test_a_reader_that_goes_away(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise output.OutputError(BrokenPipeError(errno.EPIPE, "Broken pipe"))

    monkeypatch.setattr(progress.JsonEvents, "on_epoch_end", gone)
    result = run("train", *OPTIONS, *GRID, "--json")
    assert result.code == 1
    assert "fix: go on with: gpucnn train --resume runs/sweep-1" in result.err


def test_a_diverged_run_is_a_row(run: Any) -> None:
    flags = ["--model", "lenet", "--optimizer", "sgd", "--log-interval", 1]
    result = run("train", *OPTIONS, *flags, "--sweep", "lr=1e38,0.1", "--sweep", "seed=3,4")
    assert result.code == 0, result.err
    assert [row["state"] for row in rows()] == ["diverged", "diverged", "finished", "finished"]
    assert "the loss is not finite" in rows()[0]["message"]
    assert rows()[0]["test_accuracy"] == ""
    head, first, second = result.out.splitlines()[1:]
    assert head.split()[-1] == "failed"
    assert first.split() == ["1e+38", "0", "-", "-", "-", "-", "2"]
    assert second.split()[-1] == "0"
    assert "diverged: the loss is not finite" in result.err
    before = Path("runs/sweep-1/sweep.json").read_bytes()
    assert run("train", "--resume", "runs/sweep-1").code == 0
    assert Path("runs/sweep-1/sweep.json").read_bytes() == before


def test_a_run_without_memory_is_a_row(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Trainer.train_step

    def train_step(trainer: Trainer) -> None:
        if trainer.config.batch_size == 64:
            raise OutOfMemoryError("no room", asked=2, held=1, free=1, total=2)
        original(trainer)

    monkeypatch.setattr(Trainer, "train_step", train_step)
    result = run("train", *OPTIONS, "--sweep", "batch-size=64,32")
    assert result.code == 0, result.err
    assert [row["state"] for row in rows()] == ["out of memory", "finished"]


def test_a_validation_set_is_what_runs_are_compared_by(run: Any) -> None:
    result = run("train", *OPTIONS, "--validation", 100, "--sweep", "batch-size=32,64", "--json")
    metrics = [event["metric"] for event in result.events if event["event"] == "setting"]
    assert metrics == ["val_accuracy", "val_accuracy"]
    assert [event["std"] for event in result.events if event["event"] == "setting"] == [None, None]


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--sweep", "lr=1,0"], 2, "out of range"),
        (["--sweep", "seed"], 2, "has no values"),
        (["--sweep", "seed=0..1", "digits"], 2, "train takes options only"),
        (["seed=0..1"], 2, "train takes options only"),
        (["--sweep", "seed=1,2", "--seed", 1], 2, "--seed and --sweep give the same option"),
        (["--sweep", "warmup-steps=1,99"], 2, "warmup-steps=99: warmup_steps is 99"),
        (["--sweep", "momentum=0.5,0.9"], 2, "momentum=0.5: momentum and nesterov are of sgd"),
        (["--sweep", "shift=1,28"], 2, "shift=28: shift is 28"),
        (["--sweep", "data=digits,nowhere"], 4, "data=nowhere: "),
        (["--sweep", "weights=nowhere"], 4, "weights=nowhere: there is no run"),
        (["--sweep", "model=lenet,none.py:build"], 2, "none.py cannot be read"),
        (["--sweep", "device=cpu,cuda"], 3, "device=cuda: "),
        (["--sweep", "seed=1,2", "--dry-run", "--resume"], 2, "exclude each other"),
        (["--sweep", "seed=1,2", "--dry-run", "--shift", 28], 2, "seed=1: shift is 28"),
        (["--sweep", "seed=1,2", "--resume"], 2, "exclude each other"),
        (["--sweep", "seed=1,2", "--print-config"], 2, "exclude each other"),
        (["--sweep", "seed=1,2", "--runs-dir", "/proc/none"], 1, "/proc/none"),
    ],
)
def test_values_are_checked_before_the_first_run(
    run: Any, args: list[Any], code: int, says: str
) -> None:
    swept = {str(word).partition("=")[0] for word in args}
    options = [] if {"data", "device"} & swept else ["--device", "cpu"]
    data = [] if "data" in swept else ["--data", "digits"]
    result = run("train", *data, *options, "--epochs", 1, "--limit-batches", 3, *args)
    assert result.code == code, result.err
    assert says in result.err
    assert "Traceback" not in result.err
    assert "bug" not in result.err
    assert not Path("runs").exists()


def test_a_dry_run_lists_the_runs(run: Any) -> None:
    result = run("train", *OPTIONS, *GRID, "--dry-run")
    assert result.code == 0
    assert result.out.splitlines()[:2] == ["lr=0.001, seed=0", "lr=0.001, seed=1"]
    assert len(result.out.splitlines()) == 6
    events = run("train", *OPTIONS, *GRID, "--dry-run", "--json").events
    assert events[5] == {"event": "run", "settings": {"learning_rate": 0.01, "seed": 2}}
    assert not Path("runs").exists()


def test_the_name_of_a_sweep(run: Any) -> None:
    one = ["--sweep", "seed=0", "--epochs", 1]
    assert run("train", *OPTIONS, *one, "--name", "tuning").code == 0
    assert len(rows("runs/tuning")) == 1
    again = run("train", *OPTIONS, *one, "--name", "tuning")
    assert (again.code, "runs/tuning exists already" in again.err) == (2, True)
    Path("runs/sweep-1").mkdir()
    assert run("train", *OPTIONS, *one).code == 0
    assert len(rows("runs/sweep-2")) == 1


def test_the_newest_is_what_was_started_last(run: Any, swept: Any) -> None:
    run("train", *OPTIONS, "--epochs", 1)
    assert [e["event"] for e in run("train", "--resume", "--json").events] == ["start", "end"]
    for config in Path("runs/sweep-1").glob("*/config.toml"):
        os.utime(config)
    assert run("train", "--resume", "--json").events[0]["event"] == "sweep"


def test_options_cannot_change_when_a_sweep_is_resumed(run: Any, swept: Any) -> None:
    record = Path("runs/sweep-1/sweep.json")
    values = json.loads(record.read_text())
    for state in ("finished", None):
        values["runs"][5]["state"] = state
        record.write_text(json.dumps(values))
        result = run("train", "--resume", "runs/sweep-1", "--epochs", 5)
        assert (result.code, "--epochs cannot be changed" in result.err) == (2, True)
    assert run("train", "--resume", "runs/sweep-1", "--log-interval", 5).code == 0


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"runs": 3}', '{"runs": []}', '{"runs": [{}]}', "\xff", "[" * 100_000],
)
def test_a_damaged_record(run: Any, text: str) -> None:
    Path("runs/sweep-1").mkdir(parents=True)
    Path("runs/sweep-1/sweep.json").write_text(text, encoding="latin-1")
    result = run("train", "--resume", "runs/sweep-1")
    assert result.code == 4
    assert "sweep.json is damaged" in result.err


def test_a_record_that_is_too_long(run: Any) -> None:
    Path("runs/sweep-1").mkdir(parents=True)
    Path("runs/sweep-1/sweep.json").write_text(" " * 2_500_001)
    result = run("train", "--resume", "runs/sweep-1")
    assert result.code == 4
    assert "2,500,000 are read at most" in result.err


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("run", "../x"), ("run", ".."), ("run", ""), ("run", 3), ("settings", []), ("loss", "low"),
        ("loss", float("nan")), ("loss", 10**400), ("loss", 1e308), ("state", 1), ("message", {}),
        ("run", "n" * 256), ("run", "\ud800"), ("run", "\0"), ("run", ".lock"), ("run", None),
        ("state", "f" * 10_000), ("state", []), ("state", "diverged"), ("message", "it failed"),
        ("test_accuracy", 1e38), ("test_accuracy", True), ("val_accuracy", -3e38),
        ("accuracy", 1.01), ("seconds", -1), ("seconds", float("inf")), ("epochs", -1),
        ("epochs", -1.5), ("epochs", 1.0), ("epochs", None), ("epochs", 10**400),
        *(("settings", values) for values in (
            {}, {"learning_rate": 1e-3}, {"learning_rate": 1e-3, "seed": 0, "epochs": 2},
            {"learning_rate": 1e-3, "k" * 100_000: 1}, {"learning_rate": 1e-3, "val_accuracy": 3},
            {"learning_rate": 1e-3, "name": "x"}, {"learning_rate": 1e-3, "runs_dir": "x"},
            *({"learning_rate": 1e-3, "seed": seed} for seed in (
                float("nan"), 1.5, -1, 10**400, "0" * 100_000, [[1], {"a": 2}], None, True, NESTED
            )),
            {"learning_rate": float("nan"), "seed": 0}, {"learning_rate": -1.0, "seed": 0},
        )),
    ],
)  # fmt: skip
def test_a_record_with_another_value(run: Any, swept: Any, key: str, value: Any) -> None:
    record = Path("runs/sweep-1/sweep.json")
    values = json.loads(record.read_text())
    values["runs"][2][key] = value
    record.write_text(json.dumps(values))
    result = run("train", "--resume", "runs/sweep-1", "--json")
    assert (result.code, "sweep.json is damaged" in result.err) == (4, True)
    assert max(map(len, result.err.splitlines())) < 300


@pytest.mark.parametrize("key", ["run", "settings", "state", "message", "epochs", "test_loss"])
def test_a_record_without_a_value(run: Any, swept: Any, key: str) -> None:
    record = Path("runs/sweep-1/sweep.json")
    values = json.loads(record.read_text())
    del values["runs"][2][key]
    record.write_text(json.dumps(values))
    result = run("train", "--resume", "runs/sweep-1")
    assert (result.code, f"run 3 has no {key}" in result.err) == (4, True)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: [*rows, rows[0]], "run 7 has the name of one before it"),
        (lambda rows: [rows[0] | {"state": None}] * 7000, "it has 7,000 runs"),
        (lambda rows: [[] for _ in range(100)], "run 1 is [], and no object"),
        (lambda rows: [rows[0], *(row | {"settings": {"seed": 1}} for row in rows[1:])],
         "run 2 sets other options than run 1"),
    ],
)  # fmt: skip
def test_a_record_of_other_runs(run: Any, swept: Any, change: Any, says: str) -> None:
    record = Path("runs/sweep-1/sweep.json")
    values = json.loads(record.read_text())
    record.write_text(json.dumps({"runs": change(values["runs"])}))
    result = run("train", "--resume", "runs/sweep-1")
    assert result.code == 4
    assert says in result.err


def test_long_texts_of_a_sweep_are_cut(run: Any, swept: Any) -> None:
    record = Path("runs/sweep-1/sweep.json")
    values = json.loads(record.read_text())
    for row in values["runs"]:
        row |= {"settings": {"data": "d/" * 2000}, "state": "diverged", "message": "m " * 9000}
    values["runs"][0] |= {"state": None, "message": None}
    record.write_text(json.dumps(values))
    result = run("train", "--resume", "runs/sweep-1")
    assert max(map(len, (result.err + result.out).splitlines())) < 300


@pytest.mark.slow
def test_code_of_the_user(run: Any) -> None:
    code = "from gpucnn.nn import *\ndef build(shape, classes):\n    return Sequential([Flatten(), "
    Path("net.py").write_text(code + "Dense(classes)])\n")
    grid = ["--sweep", "model=net.py:build,softmax", "--sweep", "seed=0..1"]
    options = ["--data", "digits", "--limit-batches", 2, "--epochs", 1]
    assert run("train", *options, *grid).code == 0
    assert Path("runs/sweep-1/1-model=net.py_build-seed=0/model.py").read_text().startswith("from")
    record = Path("runs/sweep-1/sweep.json")
    record.write_text(record.read_text().replace('"finished"', "null"))
    refused = run("train", "--resume")
    assert (refused.code, "--trust-code" in refused.err) == (2, True)
    assert run("train", "--resume", "--trust-code").code == 0
    Path("c.toml").write_text('model = "net.py:build"\n')
    refused = run("train", *options, "--config", "c.toml", "--sweep", "seed=0..1")
    assert (refused.code, "c.toml names code" in refused.err) == (2, True)


def test_a_name_that_no_folder_can_have(run: Any) -> None:
    for name in ("new\nline", "../elsewhere"):
        result = run("train", "--data", "digits", "--sweep", "seed=0,1", "--name", name)
        assert (result.code, result.out) == (2, "")
        assert "name is" in result.err
    assert not list(Path().iterdir())
