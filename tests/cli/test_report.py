"""gpucnn report, and the pictures that gpucnn train leaves in its run."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import plots
from gpucnn.training import Run

pytest.importorskip("matplotlib")
SMALL = ["--data", "digits", "--model", "softmax", "--limit-batches", 4, "--epochs", 2]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are made, and not drawn."""
    monkeypatch.setattr(plots.Picture, "svg", lambda picture: '<svg width="1pt" height="1pt"/>')
    monkeypatch.setattr(plots.Picture, "png", lambda picture: b"PNG")


def test_a_page_in_the_run(run: Any, train_once: Any, undrawn: None) -> None:
    train_once(*SMALL)
    result = run("report", "runs/train-1")
    assert (result.code, result.out) == (0, "page: runs/train-1/report.html\n"), result.err
    assert "not in the page" not in result.err
    assert Path("runs/train-1/report.html").read_text().startswith("<!doctype html>")
    assert Run.open("runs/train-1").records()[-1]["test_accuracy"]


def test_a_page_of_two_runs(run: Any, train_once: Any, undrawn: None) -> None:
    train_once(*SMALL)
    Path("runs/train-1").rename("runs/one")
    run("train", *SMALL[:-1], 1, "--lr", 0.1)
    result = run("report", "runs/one", "runs/train-1", "--json")
    assert result.code == 0
    assert result.events == [
        {"event": "end", "file": "report.html", "runs": ["runs/one", "runs/train-1"]}
    ]
    assert "<title>one and train-1: gpucnn report</title>" in Path("report.html").read_text()


def test_what_is_missing_is_said(run: Any, train_once: Any, undrawn: None) -> None:
    train_once(*SMALL)
    Path("runs/train-1/weights/last.safetensors").unlink()
    result = run("report", "runs/train-1", "-o", "page.html", "--json")
    assert result.code == 0
    missing, end = result.events
    assert missing["event"] == "missing"
    assert missing["sections"][:2] == ["Data", "Model"]
    assert "there is no weights file" in missing["message"]
    assert "not in the page: Data, Model" in result.err
    assert end["file"] == "page.html"


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ([], 2, "RUN"),
        (["nowhere"], 4, "there is no run in nowhere"),
        (["runs/train-1", "runs/train-1"], 2, "given twice"),
        (["runs/train-1", "-o", "-"], 2, "-o - names no file"),
        (["runs/train-1", "-o", "nowhere/a.html"], 1, "no such directory"),
        (["runs/train-1", "-o", "runs"], 1, "it is a folder"),
        (["runs/train-1/config.toml"], 4, "it is a file"),
    ],
)
def test_errors(run: Any, train_once: Any, args: list[str], code: int, message: str) -> None:
    train_once(*SMALL)
    before = sorted(Path().rglob("*"))
    result = run("report", *args)
    assert result.code == code
    assert message in result.err
    assert sorted(Path().rglob("*")) == before


def test_of_many_causes_one_is_shown(run: Any, train_once: Any, undrawn: None) -> None:
    pillow = pytest.importorskip("PIL.Image")
    train_once(*SMALL)
    for label in "ab":
        Path("blank", label).mkdir(parents=True)
        for number in range(4):
            pillow.new("L", (20, 30)).save(f"blank/{label}/{number}.png")
    result = run("report", "runs/train-1", "--data", "blank")
    assert result.code == 0
    assert "8 of the 8 pictures of blank cannot be used" in result.err
    assert result.err.count(".png") == result.err.count("and 7 more")
    assert ", and 7 more\n" in result.err
    assert Path("runs/train-1/report.html").read_text().count(".png") < 12


def test_train_saves_curves_and_confusion(run: Any, pictures: None, undrawn: None) -> None:
    result = run("train", *SMALL)
    assert result.code == 0
    assert result.err.splitlines()[-2:] == [
        "pictures: runs/train-1/curves.png, confusion.png",
        "next: gpucnn predict runs/train-1 FILE",
    ]
    for name in ("curves.png", "confusion.png"):
        assert Path("runs/train-1", name).read_bytes() == b"PNG"


def test_many_classes(
    run: Any, train_once: Any, pictures: None, undrawn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their matrix is not drawn, and evaluate --json has the pairs that occur in its place."""
    train_once(*SMALL)
    *_, whole, end = run("evaluate", "runs/train-1", "--json").events
    shown = run("evaluate", "runs/train-1").out
    for module in ("gpucnn.cli.outcome", "gpucnn.cli.evaluate", "gpucnn.reports.pictures"):
        monkeypatch.setattr(f"{module}.LARGEST", 9)
    result = run("train", *SMALL)
    assert result.code == 0
    assert result.err.splitlines()[-3:-1] == [
        "pictures: runs/train-2/curves.png",
        "note: the confusion matrix of 10 classes is not drawn",
    ]
    assert not Path("runs/train-2/confusion.png").exists()
    *_, counted, last = run("evaluate", "runs/train-1", "--json").events
    assert (counted["labels"], last) == (whole["labels"], end)
    assert "matrix" not in counted
    matrix = np.zeros((10, 10), int)
    for label, answer, images in counted["counts"]:
        matrix[label, answer] = images
    assert matrix.tolist() == whole["matrix"]
    assert run("evaluate", "runs/train-1").out == shown


def test_the_runs_of_a_sweep_have_theirs(run: Any, pictures: None, undrawn: None) -> None:
    result = run("train", *SMALL, "--sweep", "seed=0,1")
    assert result.code == 0, result.err
    found = sorted(path.name for path in Path("runs/sweep-1").glob("*/*.png"))
    assert found == ["confusion.png", "confusion.png", "curves.png", "curves.png"]
    assert len(run("runs", "runs/sweep-1", "--json").events) == 3


def test_a_dry_run_and_a_quiet_one(run: Any, pictures: None, undrawn: None) -> None:
    run("train", *SMALL, "--dry-run")
    assert not Path("runs").exists()
    result = run("train", *SMALL, "-q")
    assert (result.code, result.err) == (0, "")
    assert Path("runs/train-1/curves.png").exists()


def test_without_matplotlib_train_says_so_in_a_line(
    run: Any, pictures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = run("train", *SMALL)
    assert result.code == 0
    assert result.err.splitlines()[-2] == (
        "note: no pictures of the run: drawing needs Matplotlib, which is not installed;"
        ' pip install "gpucnn[plot]"'
    )
    assert not Path("runs/train-1/curves.png").exists()


@pytest.mark.parametrize("error", [OSError(28, "full"), ValueError("odd"), MemoryError()])
def test_a_picture_that_cannot_be_written_fails_no_training(
    run: Any, pictures: None, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(picture: Any) -> bytes:
        raise error

    monkeypatch.setattr(plots.Picture, "png", fail)
    result = run("train", *SMALL)
    assert result.code == 0
    assert "note: no pictures of the run: " in result.err
    assert "next: " in result.err


def test_a_diverged_training_has_the_curves_of_its_epochs(
    run: Any, pictures: None, undrawn: None
) -> None:
    rising = ["--schedule", "step", "--step-factor", "1e20", "--epochs", 2, "--log-interval", 1]
    result = run("train", *SMALL, "--model", "mlp", *rising)
    assert result.code == 5, result.err
    assert "pictures: runs/train-1/curves.png\n" in result.err
    assert not Path("runs/train-1/confusion.png").exists()
    (event, _) = run("runs", "--json").events
    assert event["state"] == "diverged"
    assert "not finite" in event["problem"]


def test_a_diverged_first_epoch_has_no_curves(run: Any, pictures: None, undrawn: None) -> None:
    result = run("train", *SMALL, "--lr", "1e37")
    assert result.code == 5
    assert "pictures" not in result.err
    (event, _) = run("runs", "--json").events
    assert (event["state"], event["epochs"]) == ("diverged", 0)
    assert run("report", "runs/train-1").code == 0
    page = Path("runs/train-1/report.html").read_text()
    assert "The run diverged: the loss is not finite: step " in page
    assert "are untrained: they are those before the first epoch." in page
    assert "there is no epoch to draw" in page
    assert "Cause: train-1 diverged in its first epoch" in page
    assert "show_" not in page
