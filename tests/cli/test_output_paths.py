"""The files that commands refuse to replace: those of a run, and those of another kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpucnn.cli.output_paths import PAGE, check_target
from gpucnn.errors import UsageError
from gpucnn.training import TrainConfig

FILES = [
    "config.toml", "metrics.jsonl", "outcome.json", "environment.json", "health.jsonl",
    "metrics.csv", "model.py", "curves.png", "weights/last.safetensors",
    "tensorboard/train/events.out",
]  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep of one run, with files of both."""
    monkeypatch.chdir(tmp_path)
    run = Path("runs/sweep-1/1-seed=0")
    for name in FILES:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text("kept")
    (run / "config.toml").write_text(TrainConfig().to_toml())
    for name in ("sweep.json", "sweep.csv"):
        (run.parent / name).write_text("kept")
    return run


@pytest.mark.parametrize("name", [*FILES, "../sweep.json", "../sweep.csv", "weights/new.html"])
def test_a_file_of_a_run(place: Path, name: str) -> None:
    for path in (place / name, (place / name).absolute()):
        with pytest.raises(UsageError, match="is a file of a run"):
            check_target(path, "-o", path.suffix)


def test_a_file_of_another_kind(place: Path) -> None:
    for name in ("notes.txt", "Makefile", "page.html.bak"):
        Path(name).write_text("kept")
        with pytest.raises(UsageError, match=f"{name} exists, and is no .html file"):
            check_target(Path(name), "-o", *PAGE)


def test_files_that_may_be_written(place: Path) -> None:
    for path in (place / "report.html", Path("a.HTML"), Path("b.htm")):
        check_target(path, "-o", *PAGE)
        path.write_text("a page")
        check_target(path, "-o", *PAGE)
    check_target(Path("new"), "-o", *PAGE)
    check_target(place / "model.onnx", "--onnx", ".onnx")


@pytest.mark.parametrize(
    "command",
    [
        ["report", "{run}", "-o", "{run}/weights/last.safetensors"],
        ["export", "{run}", "--onnx", "{run}/weights/last.safetensors"],
        ["predict", "{run}", "x.png", "--csv", "{run}/metrics.csv"],
        ["explain", "conv", "--html", "{run}/config.toml"],
        ["bench", "ops", "--save", "{run}/outcome.json"],
        ["bench", "ops", "--plot", "{run}/curves.png", "--device", "cpu"],
        ["profile", "--plot", "{run}/curves.png", "--device", "cpu"],
        ["import", "x.onnx", "--output", "{run}/weights/last.safetensors"],
    ],
    ids=lambda command: " ".join(command[:1] + command[-2:-1]),
)
def test_all_commands_refuse_it(place: Path, run: Any, command: list[str]) -> None:
    result = run(*(word.format(run=place.absolute()) for word in command))
    assert result.code == 2
    assert "is a file of a run" in result.err
