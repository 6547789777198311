"""The answers of `gpucnn predict` as they are shown, and as a table."""

from __future__ import annotations

import csv
import errno
import io
import os
import tracemalloc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import data
from gpucnn.cli import output, predict
from gpucnn.cli.answers import AnswerTable, Input
from gpucnn.training import SavedModel


@pytest.fixture
def trained(train_once: Any) -> None:
    """A lenet in runs/train-1."""
    args = ["--data", "digits", "--epochs", 2, "--validation", 100, "--standardise"]
    assert train_once(*args, "--json").code == 0


def digits() -> np.ndarray:
    test = data.load("digits").test
    assert test is not None
    images: np.ndarray = test.images[:, 0]
    return images


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("options", [[], ["--csv", "answers.csv"]])
def test_answers_are_shown_as_they_are_computed(
    run: Any, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    """And their images are not kept."""
    np.save("x.npy", np.concatenate([digits()] * 2)[:700])
    steps, images = [], []
    classify, show = SavedModel.classify, predict._show

    def spy(self: SavedModel, batch: np.ndarray, top: int) -> Any:
        steps.append(-len(batch))
        assert sum(image() is not None for image in images) <= 256
        return classify(self, batch, top)

    def shown(console: Any, image: Input, classes: Any) -> None:
        steps.append(1)
        images.append(weakref.ref(image.image))
        show(console, image, classes)

    monkeypatch.setattr(SavedModel, "classify", spy)
    monkeypatch.setattr(predict, "_show", shown)
    result = run("predict", "runs/train-1", "x.npy", *options)
    assert result.code == 0, result.err
    assert steps == [-256, *[1] * 256, -256, *[1] * 256, -188, *[1] * 188]
    assert len(result.out.splitlines()) == 700


def test_a_table_takes_no_memory_for_an_answer(tmp_path: Path) -> None:
    image = np.zeros((1, 2, 2), np.uint8)
    tracemalloc.start()
    try:
        with AnswerTable(tmp_path / "a.csv") as rows:
            for k in range(9_000):
                rows.add(Input(f"x.npy[{k}]", "x.npy", "x", k, image, None, False, []), "seven")
            rows.write()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200_000  # 22 bytes an answer
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines == ["ImageId,Label", *(f"{k},seven" for k in range(1, 9_001))]


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (["a/1.png", "b/2.png"], ["1.png", "2.png"]),
        (["a/1.png", "b/1.png"], ["a/1.png", "b/1.png"]),
        (['a/x, "y"\n.png', "a/\u00e9.png"], ['x, "y"\n.png', "\u00e9.png"]),
        (["a/\udcff.png"], ["\udcff.png"]),  # a name in Latin-1, whose bytes are kept
    ],
)
def test_a_table_names_pictures(names: list[str], keys: list[str], tmp_path: Path) -> None:
    """By their paths if two have the same name."""
    image = np.zeros((1, 2, 2), np.uint8)
    with AnswerTable(tmp_path / "a.csv") as rows:
        for name in names:
            rows.add(Input(name, name, name, None, image, None, True, []), "a,b")
        rows.write()
    table = (tmp_path / "a.csv").read_bytes().decode(errors="surrogateescape")
    with io.StringIO(table, newline="") as file:
        assert list(csv.reader(file)) == [["filename", "label"], *([key, "a,b"] for key in keys)]
    assert os.listdir(tmp_path) == ["a.csv"]


@pytest.mark.usefixtures("trained")
def test_no_table_of_some_answers(run: Any) -> None:
    """A file that cannot be read ends the command; the answers before it are printed."""
    np.save("x.npy", digits()[:3])
    Path("answers.csv").write_text("old\n")
    result = run("predict", "runs/train-1", "x.npy", "y.npy", "--csv", "answers.csv")
    assert result.code == 4
    assert "there is no file y.npy" in result.err
    assert len(result.out.splitlines()) == 3
    assert Path("answers.csv").read_text() == "old\n"
    assert sorted(os.listdir()) == ["answers.csv", "runs", "x.npy"]


@pytest.mark.usefixtures("trained")
def test_a_reader_that_leaves_loses_no_answer_of_a_table(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save("x.npy", digits()[:9])
    assert run("predict", "runs/train-1", "x.npy", "--csv", "whole.csv").code == 0
    printed = []

    def closed(text: str) -> None:
        printed.append(text)
        if len(printed) == 4:
            raise output.OutputError(BrokenPipeError(errno.EPIPE, "Broken pipe"))

    monkeypatch.setattr(output, "_print", closed)
    result = run("predict", "runs/train-1", "x.npy", "--csv", "answers.csv")
    assert (result.code, len(printed)) == (1, 4)
    assert "error" not in result.err
    assert Path("answers.csv").read_bytes() == Path("whole.csv").read_bytes()
