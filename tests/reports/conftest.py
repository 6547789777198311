"""Two trained runs, made once, and a reader of pages."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from gpucnn import backend, data, models
from gpucnn.training import Run, TrainConfig, fit

EMPTY = {"meta", "link", "img", "br"}  # elements without an end
ODD = '<b>&"cat\'s"</b>'


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """A run on the digits, and one on an npz file with odd names and a validation part only."""
    folder = tmp_path_factory.mktemp("runs")
    config = TrainConfig(
        data="digits", model="softmax", epochs=2, limit_batches=4, device="cpu",
        runs_dir=str(folder),
    )  # fmt: skip
    digits = data.load("digits")
    first = Run.create(config, backend.get("cpu"))
    fit(models.get("softmax"), digits, config, run=first)
    images = digits.train.images[digits.train.labels < 3]
    labels = digits.train.labels[digits.train.labels < 3]
    file = folder / "a<i>b.npz"
    np.savez(file, x=images[:120], y=np.array([ODD, "\U0001f600", "x" * 40])[labels[:120]])
    config = TrainConfig(
        data=str(file), model="lenet", epochs=1, device="cpu", runs_dir=str(folder),
        name="run & <i>two", validation=30, learning_rate=1e-30,
    )  # fmt: skip
    splits = data.load(str(file), validation=30)
    second = Run.create(config, backend.get("cpu"))
    fit(models.get("lenet", splits.classes), splits, config, run=second)
    return first, second


class Page(HTMLParser):
    """A page of HTML: its elements and texts; an element that is not closed is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        assert text.startswith("<!doctype html>\n")
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def page() -> type[Page]:
    return Page


@pytest.fixture
def copy(runs: tuple[Run, Run], tmp_path: Path) -> Run:
    """A copy of the first run, to damage."""
    import shutil

    return Run.open(shutil.copytree(runs[0].path, tmp_path / "runs" / "train-1"))
