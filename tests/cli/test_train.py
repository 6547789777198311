"""gpucnn train: events, options, resuming, and its errors."""

from __future__ import annotations

import errno
import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gpucnn import backend as backends
from gpucnn.cli import progress, train
from gpucnn.reports.summary import shown_records
from gpucnn.training import Run, Trainer
from gpucnn.training.config import FIELDS, flag_name

START = ["event", "run", "device", "data", "model", "parameters"]
EPOCH = [
    "event", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "images_per_second", "seconds"
]  # fmt: skip
OTHER_FLAGS = ["-b", "--config", "--resume", "--dry-run", "--print-config"]
OTHER_FLAGS += ["--json", "--quiet", "--debug"]
END = ["event", "run", "reason", "epochs", "seconds", "test_loss", "test_accuracy"]


def test_events(quick: Any) -> None:
    result = quick("--json", "--validation", 100)
    assert result.code == 0
    start, *epochs, end = result.events
    assert list(start) == START
    assert start["run"] == "runs/train-1"
    assert (start["device"], start["data"], start["model"]) == ("cpu", "digits", "softmax")
    assert start["parameters"] == 7850
    assert [list(epoch) for epoch in epochs] == [EPOCH, EPOCH]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2]
    assert list(end) == END
    assert (end["event"], end["reason"], end["epochs"]) == ("end", "finished", 2)
    assert 0 < end["test_accuracy"] <= 1
    lines = (Path(end["run"]) / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert records[-1].pop("test_accuracy") == end["test_accuracy"]
    assert records[-1].pop("test_loss") == end["test_loss"]
    for record, epoch in zip(records, epochs, strict=True):
        assert record.pop("learning_rate") >= 0
        assert {"event": "epoch", **record} == epoch


def test_text_goes_to_stdout_and_progress_to_stderr(quick: Any) -> None:
    result = quick()
    assert result.code == 0
    assert result.out.startswith("finished: 2 epochs in ")
    assert "test accuracy" in result.out
    assert len(result.out.splitlines()) == 1
    device, data, heading, run, *epochs, following = result.err.splitlines()
    assert device.startswith("device: cpu (auto: ")
    assert data == "data: 1,437 images of digits: 10 classes 0-9, 1x28x28, 360 for test"
    assert following == "next: gpucnn predict runs/train-1 FILE"
    assert "7,850 parameters" in heading
    assert run.startswith("run: ")
    assert [line.split(":")[0] for line in epochs] == ["epoch 1/2", "epoch 2/2"]


def test_a_warning_keeps_its_lines_when_quiet(quick: Any) -> None:
    err = quick("--quiet", "--validation", "1430").err
    assert "\n  cause: the list of classes names" in err
    assert "\\n" not in err


def test_quiet(quick: Any) -> None:
    result = quick("--quiet")
    assert result.err == ""
    assert result.out.startswith("finished")


def test_an_explicit_device_is_not_commented_on(quick: Any) -> None:
    assert "auto" not in quick("--device", "cpu").err


def test_seconds_of_preparation_are_announced(quick: Any, monkeypatch: Any) -> None:
    cpu = type(backends.get("cpu"))
    monkeypatch.setattr(cpu, "preparation", lambda backend: "compiling the kernels")
    for device in ("cpu", "auto"):
        assert "compiling the kernels" in quick("--device", device).err.splitlines()
        assert quick("--device", device, "--quiet").err == ""


def test_cuda_without_a_gpu(quick: Any) -> None:
    result = quick("--device", "cuda", "--json")
    assert result.code == 3
    assert result.events[-1]["kind"] == "device"
    assert result.events[-1]["cause"]
    assert "--device cpu" in result.events[-1]["fix"]
    assert not Path("runs").exists()


@pytest.mark.slow
def test_the_simulator_trains_lenet_on_the_kernels(run: Any) -> None:
    flags = ("--data", "digits", "--epochs", 1, "--limit-batches", 20, "-b", 16, "--json")
    result = run("train", "--device", "sim", *flags)
    if result.code == 3 and "compiler" in result.events[-1]["message"]:
        pytest.skip(result.events[-1]["message"])
    assert result.code == 0
    start, epoch, end = result.events
    assert (start["device"], start["model"]) == ("sim", "lenet")
    on_the_cpu = run("train", "--device", "cpu", *flags).events
    assert epoch["loss"] == pytest.approx(on_the_cpu[1]["loss"], rel=1e-4)
    assert end["test_accuracy"] == pytest.approx(on_the_cpu[2]["test_accuracy"], abs=0.02)
    assert run("evaluate", end["run"], "--device", "sim").code == 0


def test_the_simulator_without_a_compiler(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_sim", backends._sim.__wrapped__)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    result = run("train", "--device", "sim", "--data", "digits", "--json")
    assert result.code == 3
    assert "compiler" in result.events[-1]["message"]
    assert "g++" in result.events[-1]["fix"]
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--model", "lenett"], 2, "did you mean lenet?"),
        (["--optimizer", "adamm"], 2, "did you mean adam"),
        (["--batch-size", "0"], 2, "--batch-size"),
        (["-b", "0"], 2, "--batch-size"),
        (["--lr", "nan"], 2, "--lr"),
        (["--lr", "-1"], 2, "--lr"),
        (["--lr", "0"], 2, "--lr"),
        (["--device", "tpu"], 2, "tpu"),
        (["--patience", "2"], 2, "--validation"),
        (["--validation", "1437"], 2, "1437"),
        (["--warmup-steps", "999"], 2, "warmup_steps"),
        (["--rotate", "200"], 2, "rotate"),
        (["--augment", "stroke"], 2, "did you mean strokes"),
        (["--augment", "flip,crops"], 2, "did you mean crop"),
        (["--augment", "strokes", "--overfit-batches", "1"], 2, "leave out augment"),
        (["--shift", "28"], 2, "less than 28"),
        (["--shift", "40"], 2, "the images are 28x28"),
        (["--nesterov", "--optimizer", "sgd"], 2, "momentum"),
        (["--config", "none.toml"], 2, "none.toml"),
        (["--epochs", "1" * 400], 2, "--epochs"),
        (["--epochs", str(10**14)], 2, "--epochs"),
        (["--lr", "1" + "0" * 400], 2, "--lr"),
        (["--lr", "1e300"], 2, "--lr"),
        (["--runs-dir", "~nosuchuser/x"], 2, "runs_dir"),
        (["--data", "~nosuchuser/x"], 2, "data"),
        (["--resume", "/dev/null"], 4, "it is a file"),
        (["--data", "nothing/here"], 4, "nothing/here"),
        (["--data", "mnist", "--data-dir", "nowhere"], 4, "nowhere"),
        (["--resume"], 4, "no run"),
        (["--resume", "runs/train-7"], 4, "runs/train-7"),
        (["--data-dir", "nowhere", "--runs-dir", "/proc/none"], 1, "/proc/none"),
    ],
)
def test_errors_name_the_matter_and_leave_no_run(
    run: Any, args: list[str], code: int, says: str
) -> None:
    data = [] if "--data" in args or "--resume" in args else ["--data", "digits"]
    result = run("train", *data, "--limit-batches", 1, "--epochs", 1, *args) if data else run(
        "train", *args
    )  # fmt: skip
    assert result.code == code, result.err
    assert says in result.err
    assert "Traceback" not in result.err
    assert "bug" not in result.err
    assert not Path("runs").exists()


def test_a_config_file_with_an_unknown_key(quick: Any) -> None:
    Path("c.toml").write_text("epoch = 3\n")
    result = quick("--config", "c.toml")
    assert result.code == 2
    assert "c.toml" in result.err
    assert "did you mean epochs?" in result.err


def test_print_config(quick: Any) -> None:
    result = quick("--print-config", "--lr", "0.25", "--standardise")
    assert result.code == 0
    printed = tomllib.loads(result.out)
    assert printed["learning_rate"] == 0.25
    assert printed["standardise"] is True
    assert printed["device"] == "auto"
    assert printed["epochs"] == 2
    assert not Path("runs").exists()
    Path("c.toml").write_text(result.out)
    assert tomllib.loads(quick("--print-config", "--config", "c.toml").out) == printed


def test_dry_run_writes_nothing(run: Any) -> None:
    result = run("train", "--data", "digits", "--validation", 100, "--dry-run", "--json")
    assert result.code == 0
    start, epoch, end = result.events
    assert start["run"] is None
    assert end["run"] is None
    assert epoch["val_accuracy"] is not None
    assert end["test_accuracy"] is not None
    assert end["reason"] == "finished"  # one step is not expected to learn
    assert list(Path().iterdir()) == []


def test_a_run_is_reproduced_by_its_config(quick: Any) -> None:
    quick("--seed", 5, "--shift", 1, "--rotate", 5, "--validation", 100, "--name", "one")
    result = quick("--config", "runs/one/config.toml", "--json")
    assert result.events[-1]["run"] == "runs/train-1"
    one, other = Path("runs/one/weights"), Path("runs/train-1/weights")
    for name in ("last.safetensors", "best.safetensors"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


@pytest.mark.parametrize("model", ["softmax", "mlp", "lenet", "cnn"])
def test_threads_and_every_model(quick: Any, model: str, threads: Any) -> None:
    for count in (1, 2):
        result = quick("--model", model, "--threads", count, "--epochs", 1, "--limit-batches", 2)
        assert result.code == 0
    one, other = (Path(f"runs/train-{n}/weights/last.safetensors") for n in (1, 2))
    assert one.read_bytes() == other.read_bytes()


def test_environment_variables_are_options(quick: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUCNN_SEED", "7")
    assert tomllib.loads(quick("--print-config").out)["seed"] == 7
    assert tomllib.loads(quick("--print-config", "--seed", 8).out)["seed"] == 8


@pytest.mark.parametrize("name", ["DRY_RUN", "QUIET", "TRUST_CODE", "RESUME", "LR"])
def test_a_variable_that_would_do_nothing_is_refused(
    quick: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"GPUCNN_{name}", "1")
    result = quick()
    assert result.code == 2
    assert f"the environment variable GPUCNN_{name} is unknown" in result.err
    assert not Path("runs").exists()


def test_overfit_batches(quick: Any) -> None:
    result = quick("--model", "lenet", "--overfit-batches", 1, "--epochs", 60, "-b", 16, "--json")
    assert result.events[-1]["test_accuracy"] == 1.0


def test_early_stopping(quick: Any) -> None:
    idle = ["--model", "lenet", "--lr", "1e-30", "--schedule", "constant"]
    result = quick("--json", "--validation", 100, "--patience", 2, "--epochs", 9, *idle)
    assert (result.events[-1]["reason"], result.events[-1]["epochs"]) == ("early-stopping", 3)


def test_divergence(quick: Any) -> None:
    result = quick(
        "--json", "--model", "lenet", "--optimizer", "sgd", "--lr", "1e38", "--log-interval", 1
    )
    assert result.code == 5
    event = result.events[-1]
    assert event["kind"] == "diverged"
    assert "step " in event["message"]
    assert "(Conv2d)" in event["cause"] or "(Dense)" in event["cause"] or "weight" in event["cause"]
    assert "--lr" in event["fix"]
    assert "runs/train-1/weights/last.safetensors" in event["fix"]
    assert quick("--resume").code == 2  # quick gives options of its own, which cannot be changed


SPOILED = """
from gpucnn import functions as F
from gpucnn import nn


class Net(nn.Module):
    # The gradient of its weights is NaN in some steps, as 0 / 0 is.
    def __init__(self, classes):
        super().__init__()
        self.head, self.steps = nn.Dense(classes), 0

    def forward(self, x):
        self.steps += self.training
        x = self.head(F.flatten(x))
        return x + (0 * x).sqrt() if self.training and self.steps in STEPS else x


def build(shape, classes):
    return Net(classes)
"""


def test_skipped_steps_are_shown(quick: Any) -> None:
    Path("net.py").write_text(f"STEPS = 1, 3, 7\n{SPOILED}")
    options = ["--model", "net.py:build", "--clip-norm", 1, "--limit-batches", 5]
    result = quick(*options)
    assert result.code == 0, result.err
    assert "; 3 steps skipped: their gradients were not finite" in result.out
    lines = [line for line in result.err.splitlines() if line.startswith("epoch ")]
    assert [line.rpartition("; ")[2] for line in lines] == [
        "2 of 5 steps skipped", "1 of 5 steps skipped"
    ]  # fmt: skip
    events = quick(*options, "--json").events
    assert [event["skipped_steps"] for event in events[1:-1]] == [2, 1]
    result = quick(*options[2:])
    assert "skipped" not in result.out + result.err


def test_an_epoch_that_trains_nothing(quick: Any) -> None:
    Path("net.py").write_text(f"STEPS = range(99)\n{SPOILED}")
    options = ["--model", "net.py:build", "--limit-batches", 3]
    result = quick(*options, "--clip-norm", 1)
    assert result.code == 5
    assert "all steps of an epoch were skipped: step 3, in epoch 1" in result.err
    assert "the gradient of head.bias holds NaN" in result.err
    result = quick(*options)
    assert result.code == 5
    assert "--clip-norm 1" in result.err


def test_resuming_a_finished_run(quick: Any, run: Any) -> None:
    end = quick("--json").events[-1]
    again = run("train", "--resume", "--json")
    assert again.code == 0
    assert [event["event"] for event in again.events] == ["start", "end"]
    assert again.events[-1]["test_accuracy"] == end["test_accuracy"]
    assert again.events[-1]["epochs"] == 2


@pytest.mark.parametrize(
    ("flags", "named"),
    [(["--epochs", "1"], "--epochs"), (["--lr", "1"], "--lr"), (["--dry-run"], "--dry-run")],
)
def test_options_cannot_change_when_resuming(
    quick: Any, run: Any, flags: list[str], named: str
) -> None:
    quick()
    result = run("train", "--resume", *flags)
    assert result.code == 2
    assert named in result.err
    assert run("train", "--resume", "--threads", 1, "--log-interval", 5).code == 0


@pytest.mark.parametrize("damage", ["cut", "altered", "foreign"])
def test_damaged_weights_are_not_resumed(quick: Any, run: Any, damage: str) -> None:
    quick()
    quick("--model", "mlp", "--epochs", 1)
    file = Path("runs/train-1/weights/last.safetensors")
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "altered":
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    else:
        for path in Path("runs/train-1/weights").iterdir():
            path.unlink()
        for path in Path("runs/train-2/weights").iterdir():
            path.rename(file.parent / path.name)
    result = run("train", "--resume", "runs/train-1")
    assert result.code == (1 if damage == "foreign" else 4)
    assert ("missing" if damage == "foreign" else str(file)) in result.err


def test_a_note_says_what_changed_since_the_start(quick: Any, run: Any) -> None:
    quick()
    record = Path("runs/train-1/environment.json")
    environment = json.loads(record.read_text())
    record.write_text(json.dumps({**environment, "numpy": "1.0"}))
    assert "numpy was 1.0 when the run was started" in run("train", "--resume").err
    record.write_text(json.dumps({"numpy": "1\x1b" * 3000, "python": {"a": [1] * 3000}}))
    lines = run("train", "--resume").err.splitlines()
    assert [line[:16] for line in lines if " was started" in line] == [
        "note: python was",
        "note: numpy was ",
    ]
    assert max(map(len, lines)) < 300


@pytest.mark.slow
def test_a_full_disk_keeps_the_checkpoint(
    quick: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, syncs = os.fsync, [0]

    def fill_up(descriptor: int) -> None:
        syncs[0] += 1
        if syncs[0] > 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill_up)
        result = quick("--epochs", 30, "--json")
    assert result.code == 1
    event = result.events[-1]
    assert (event["kind"], event["cause"]) == ("storage", "the disk is full")
    assert "free some space" in event["fix"]
    assert not list(Path("runs/train-1").rglob("*.tmp"))
    resumed = run("train", "--resume", "--json")
    assert (resumed.code, resumed.events[-1]["epochs"]) == (0, 30)
    quick("--epochs", 30)
    one, other = (Path(f"runs/train-{n}/weights/last.safetensors") for n in (1, 2))
    assert one.read_bytes() == other.read_bytes()


def test_help_shows_every_option_and_default(run: Any) -> None:
    text = run("train", "--help").out
    for flag in [flag_name(key) for key in FIELDS] + OTHER_FLAGS:
        assert flag in text
    assert "[lenet]" in text


def test_the_bar_is_for_terminals(quick: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn to a stream that says that it is one: images a second, time left, loss."""
    drawn: list[dict[str, Any]] = []

    class Bar(progress.ProgressBar):
        def close(self) -> None:
            drawn.append({**self._bar.tasks[0].fields, "done": self._bar.tasks[0].finished})
            super().close()

    monkeypatch.setattr(train, "ProgressBar", Bar)
    monkeypatch.setattr(train, "_on_terminal", lambda: True)
    result = quick("--log-interval", 1)
    assert result.code == 0
    (bar,) = drawn
    assert bar["done"]
    assert "images/s" in bar["speed"]
    assert bar["figures"].startswith("loss ")
    assert "epoch 2/2" in result.err


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_graphs_are_of_cuda(quick: Any, device: str) -> None:
    result = quick("--device", device, "--graph")
    assert result.code == 2
    assert "graph is set, and the device cpu has no graphs" in result.err
    assert "leave out --graph, or choose --device cuda" in result.err
    assert not Path("runs").exists()


def test_without_graphs(quick: Any, run: Any) -> None:
    """It changes no bit, so it may change when a run is resumed."""
    for options in ([], ["--no-graph"]):
        assert quick("--epochs", 1, *options).code == 0
    first, second = (
        Path("runs", name, "weights", "last.safetensors").read_bytes()
        for name in ("train-1", "train-2")
    )
    assert first == second
    assert run("train", "--resume", "runs/train-1", "--no-graph").code == 0


@pytest.mark.parametrize("terminal", [False, True])
def test_a_note_is_shown(quick: Any, monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    step = Trainer.train_step

    def noting(trainer: Trainer) -> None:
        step(trainer)
        if trainer.step == 1:
            trainer.notes.append("it is slower than it may be\n  fix: wait")

    monkeypatch.setattr(Trainer, "train_step", noting)
    monkeypatch.setattr(train, "_on_terminal", lambda: terminal)
    assert quick().err.count("note: it is slower than it may be\n  fix: wait") == 1
    assert "slower" not in quick("--quiet").err


def test_overfit_batches_tests_on_the_training_images(run: Any) -> None:
    """The words for people say so; the names of the fields stay."""
    args = ["train", "--data", "digits", "--model", "softmax", "--epochs", "1"]
    options = [*args, "--overfit-batches", "1"]
    result = run(*options)
    assert "test" not in result.out
    assert re.search(r", accuracy [0-9.]+% and loss [0-9.]+ on the training images", result.out)
    assert "test_accuracy" in json.loads(Path("runs/train-1/metrics.jsonl").read_text())
    assert run(*options, "--json").events[-1]["test_accuracy"] is not None
    listed = run("runs", "--json").events[0]
    assert listed["overfits"]
    assert listed["test_accuracy"] is not None
    header, row, *_ = run("runs").out.splitlines()
    assert row.split()[header.split().index("test")] == "-"
    records = shown_records(Run.open("runs/train-1"))
    assert not any("test" in key for key in records[-1])
    swept = run(*options, "--sweep", "seed=0,1")
    assert "accuracy on the training images of the last epoch over the seeds" in swept.out
    assert "test accuracy" not in swept.out + swept.err
    assert ", test accuracy " in run(*args).out
