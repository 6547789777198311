"""gpucnn train --find-lr: its table, its events, its picture and its errors."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import data

OPTIONS = ["--data", "digits", "--model", "softmax", "--device", "cpu"]


def test_events(run: Any) -> None:
    pytest.importorskip("matplotlib")
    result = run("train", *OPTIONS, "--find-lr", "--json")
    assert result.code == 0, result.err
    *steps, end = result.events
    assert {event["event"] for event in steps} == {"step"}
    assert list(steps[0]) == ["event", "learning_rate", "loss", "smoothed"]
    assert end["event"] == "end"
    smoothed = [event["smoothed"] for event in steps]
    assert end["lowest"] == steps[smoothed.index(min(smoothed))]["learning_rate"]
    assert end["suggestion"] == pytest.approx(end["lowest"] / 10, rel=0.05)
    assert end["picture"] == "runs/find-lr.png"
    assert Path("runs/find-lr.png").read_bytes().startswith(b"\x89PNG")
    assert [str(path) for path in Path().rglob("*.*")] == ["runs/find-lr.png"]


def test_text(run: Any) -> None:
    result = run("train", *OPTIONS, "--find-lr")
    assert result.code == 0
    *table, blank, suggestion, reason, fastest = result.out.splitlines()
    assert table[0].split() == ["learning", "rate", "loss", "smoothed"]
    assert table[1].split()[0] == "1e-06"
    assert 10 < len(table) <= 21
    assert blank == ""
    rate = suggestion.removeprefix("suggestion: --lr ")
    assert "a tenth of" in reason
    assert fastest.startswith("  it falls fastest at 0.0")
    assert max(map(len, result.out.splitlines())) <= 80
    assert run("train", *OPTIONS, "--lr", rate, "--epochs", 1).code == 0


def test_without_matplotlib(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "matplotlib" else found(name)
    )
    result = run("train", *OPTIONS, "--find-lr", "--json")
    assert result.code == 0
    assert result.events[-1]["picture"] is None
    assert 'pip install "gpucnn[plot]"' in result.err
    assert not Path("runs").exists()


@pytest.mark.slow
def test_labels_that_cannot_be_learned(run: Any) -> None:
    images = data.load("digits").train.images
    labels = np.random.default_rng(0).integers(0, 10, len(images))
    np.savez("random.npz", x=images, y=labels)
    result = run("train", "--data", "random.npz", "--model", "lenet", "--find-lr")
    assert result.code == 0
    assert "no suggestion: the loss did not fall" in result.out


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--resume"], 2, "--find-lr and --resume exclude each other"),
        (["--dry-run"], 2, "--find-lr and --dry-run exclude each other"),
        (["--sweep", "seed=1"], 2, "--sweep and --find-lr exclude each other"),
        (["--data", "nowhere"], 4, "nowhere"),
        (["--runs-dir", "/proc/none"], 1, "/proc/none"),
        (["--weights", "nowhere"], 4, "there is no run in nowhere"),
    ],
)
def test_errors(run: Any, args: list[str], code: int, says: str) -> None:
    result = run("train", *OPTIONS, "--find-lr", *args)
    assert result.code == code, result.err
    assert says in result.err
    assert "Traceback" not in result.err
    assert not Path("runs").exists()


@pytest.mark.slow
def test_it_begins_with_the_weights_that_are_given(run: Any, train_once: Any) -> None:
    train_once(*OPTIONS, "--epochs", 1)
    new, trained = (
        run("train", *OPTIONS, "--find-lr", "--json", *args).events[0]["loss"]
        for args in ([], ["--weights", "runs/train-1"])
    )
    assert trained < new
