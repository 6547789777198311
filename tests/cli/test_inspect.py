"""gpucnn inspect, and the warnings of gpucnn train."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import data

HEALTHY = ("--data", "digits", "--model", "softmax", "--epochs", 12)
SICK = ("--data", "digits", "--model", "lenet", "--epochs", 6, "--limit-batches", 14, "--lr", 1)


def test_a_healthy_run_is_told_in_a_line(train_once: Any, run: Any) -> None:
    assert "warning" not in train_once(*HEALTHY).err
    result = run("inspect", "runs/train-1")
    assert result.code == 0
    verdict, *rest = result.out.splitlines()
    assert verdict == "healthy: no warnings in 9 checks of runs/train-1, epoch 12"
    assert "checked: images, class balance, weights, untrained layers, " in result.out
    assert "not checked: dead ReLUs: the model has no ReLU" in rest
    assert "warning:" not in result.out
    assert max(map(len, result.out.splitlines())) <= 80
    assert "data: 1,437 images of digits" in result.err
    assert run("inspect", "runs/train-1", "-q").err == ""


def test_json(train_once: Any, run: Any) -> None:
    train_once(*HEALTHY)
    *events, end = run("inspect", "runs/train-1", "--json").events
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        by_kind.setdefault(event.pop("event"), []).append(event)
    (layer,) = by_kind["layer"]
    assert layer.keys() == {"layer", "dead", "saturated", "gradient", "update", "weight"}
    assert layer["dead"] is None
    assert [each["name"] for each in by_kind["result"]] == ["training", "test"]
    assert [each["images"] for each in by_kind["result"]] == [1437, 360]
    assert by_kind["wrong"][0].keys() == {
        "image", "index", "label", "answer", "probability", "loss"
    }  # fmt: skip
    assert end["healthy"] is True
    assert end["judged"] is True
    assert end["epoch"] == 12
    assert len(end["checked"]) == 9
    assert end["unchecked"]["dead ReLUs"] == "the model has no ReLU"


def test_a_reason_for_unmade_checks_is_told_once(run: Any) -> None:
    """Without its data most checks of a run have the same reason; each check is named once."""
    images = np.arange(40 * 64, dtype=np.uint8).reshape(40, 8, 8)
    np.savez("mine.npz", x=images, y=np.arange(40) % 2)
    run("train", "--data", "mine.npz", "--model", "softmax", "--epochs", 1, "-q")
    Path("mine.npz").unlink()
    (end,) = [each for each in run("inspect", "runs/train-1", "--json").events if "checked" in each]
    names, reasons = list(end["unchecked"]), set(end["unchecked"].values())
    assert len(reasons) < len(names)
    text = " ".join(run("inspect", "runs/train-1").out.split())
    assert text.count("not checked: ") == len(reasons)
    told = text[text.index("not checked: ") : text.index("layer weights")]
    assert [each for each in (*names, *reasons) if told.count(each) != 1] == []


def test_warnings_while_it_trains_and_after(train_once: Any, run: Any) -> None:
    trained = train_once(*SICK)
    lines = trained.err.splitlines()
    assert max(len(line) for line in lines if not line.startswith("  fix: ")) <= 80
    first = next(k for k, line in enumerate(lines) if line.startswith("warning: conv2: "))
    assert lines[first].endswith("ReLUs are dead (100%): 0 for each of 256 images")
    assert any(line.startswith("epoch 6/6") for line in lines[first:])
    assert lines.count("  fix: gpucnn train --config runs/train-1/config.toml --lr 0.003") >= 1
    kept = [json.loads(line) for line in Path("runs/train-1/health.jsonl").read_text().splitlines()]
    assert {entry["kind"] for entry in kept} >= {"dead-relu"}
    result = run("inspect", "runs/train-1")
    assert result.code == 0
    assert "warnings in " in result.out.splitlines()[0]
    assert "warning: conv2: 16 of 16 ReLUs are dead (100%)" in result.out
    assert "cut short by limit_batches" in result.out.replace("\n  ", " ")
    events = run("inspect", "runs/train-1", "--json").events
    found = next(event for event in events if event["event"] == "finding")
    assert found.keys() == {
        "event", "kind", "layer", "value", "unit", "threshold", "source", "message", "cause", "cure"
    }  # fmt: skip
    assert events[-1]["healthy"] is False


def test_warnings_as_events_and_none_if_not_wanted(run: Any, tmp_path: Path) -> None:
    short = ("--data", "digits", "--model", "softmax", "--lr", 50, "--epochs", 2, "--json")
    events = run("train", *short, "--name", "loud").events
    warnings = [event for event in events if event["event"] == "warning"]
    assert warnings
    assert warnings[0]["step"] > 0
    assert warnings[0]["epoch"] > 0
    silent = run("train", *short, "--name", "silent", "--no-health", "--quiet")
    assert not [event for event in silent.events if event["event"] == "warning"]
    assert silent.err == ""
    assert not Path("runs/silent/health.jsonl").exists()
    files = [Path("runs", name, "weights", "last.safetensors") for name in ("loud", "silent")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.slow
def test_pictures(train_once: Any, run: Any) -> None:
    image = pytest.importorskip("PIL.Image")
    train_once(*SICK)
    digits = data.load("digits").train
    image.fromarray(digits.images[0, 0]).save("digit.png")
    result = run("inspect", "runs/train-1", "-o", "new/folder", "--image", "digit.png")
    assert result.code == 0
    written = sorted(path.name for path in Path("new/folder").iterdir())
    assert written == ["feature_maps.png", "filters.png", "wrong.png"]
    for name in written:
        with image.open(Path("new/folder", name)) as picture:
            assert picture.width > 300
    assert result.err.count("picture: new/folder/") == 3


def test_pictures_of_a_dense_network(train_once: Any, run: Any) -> None:
    train_once(*HEALTHY)
    assert run("inspect", "runs/train-1", "-o", "out").code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["filters.png", "wrong.png"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["runs/none"], 4, "there is no run in runs/none"),
        (["runs/train-1", "--image", "digit.png"], 2, "no folder for its pictures"),
        (["runs/train-1", "-o", "out", "--image", "none.png"], 4, "there is no file none.png"),
        (["runs/train-1", "-o", "a-file"], 1, "cannot be written"),
        (["runs/train-1", "-o", "out", "--image", "many.npy"], 4, "many.npy holds 3 images"),
        (["runs/train-1", "--weights", "best"], 4, "has no best weights"),
        (["notes.txt"], 4, "notes.txt"),
        ([], 2, "Missing argument 'RUN'"),
    ],
)
def test_errors(train_once: Any, run: Any, words: list[str], code: int, message: str) -> None:
    import numpy as np

    train_once(*HEALTHY)
    Path("a-file").touch()
    Path("notes.txt").write_text("no weights")
    np.save("many.npy", np.zeros((3, 28, 28), np.uint8))
    result = run("inspect", *words)
    assert result.code == code
    assert message in result.err


def test_without_matplotlib(train_once: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    train_once(*HEALTHY)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "matplotlib" else find(name, *rest),
    )
    assert run("inspect", "runs/train-1").code == 0
    result = run("inspect", "runs/train-1", "-o", "out")
    assert result.code == 1
    assert 'pip install "gpucnn[plot]"' in result.err
    assert not Path("out").exists()


def test_code_of_the_author_is_run_only_if_asked_for(run: Any) -> None:
    Path("net.py").write_text(
        "from gpucnn.nn import *\n"
        "from gpucnn import functions as F\n"
        "class Net(Module):\n"
        "    def __init__(self, classes):\n"
        "        super().__init__()\n"
        "        self.first, self.last = Dense(20), Dense(classes)\n"
        "    def forward(self, x):\n"
        "        return self.last(F.relu(self.first(F.flatten(x))))\n"
        "def build(image_shape, classes):\n"
        "    return Net(classes)\n"
    )
    options = ("--data", "digits", "--model", "net.py:build", "--epochs", 6, "--lr", 0.01)
    assert run("train", *options).code == 0
    refused = run("inspect", "runs/train-1")
    assert refused.code == 2
    assert "--trust-code" in refused.err
    for given in (["--trust-code"], ["--model", "net.py:build"]):
        result = run("inspect", "runs/train-1", *given, "--json")
        assert result.events[-1]["healthy"], result.out
        layers = [event for event in result.events if event["event"] == "layer"]
        assert [layer["layer"] for layer in layers] == ["first", "last"]
        assert layers[0]["dead"] is not None


def test_names_of_classes_are_kept_on_one_line(run: Any, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    digits = data.load("digits").train
    names = ["two words", "a\nb", "<script>", "☃"]
    for k in range(60):
        folder = Path("pictures", names[digits.labels[k] % 4])
        folder.mkdir(parents=True, exist_ok=True)
        image.fromarray(digits.images[k, 0]).save(folder / f"{k}.png")
    options = ("--data", "pictures", "--model", "softmax", "--epochs", 1, "--validation", 20)
    assert run("train", *options).code == 0
    result = run("inspect", "runs/train-1", "-o", "out")
    assert result.code == 0
    assert all(len(line) <= 80 or "pictures/" in line for line in result.out.splitlines())


def test_quiet_leaves_the_warnings(train_once: Any, run: Any) -> None:
    told = [line for line in train_once(*SICK).err.splitlines() if line.startswith("warning")]
    assert told
    result = run("train", *SICK, "--quiet")
    assert [line for line in result.err.splitlines() if line.startswith("warning")] == told
    assert "epoch" not in result.err.splitlines()[0]
