"""Names and contents of files never steer a terminal, whichever command prints them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from printed import check_printed as check

Image = pytest.importorskip("PIL.Image")

RED = "\x1b[31m"
CLASSES = [f"a{RED}b", "日本é", "x\x1b]52;c;QQ==\x07", "z\nerror: y\u202e"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of classes with odd names, in files with odd names."""
    root = tmp_path_factory.mktemp("odd")
    rng = np.random.default_rng(0)
    for k, name in enumerate(CLASSES):
        (root / name).mkdir()
        for number in range(6):
            image = rng.integers(0, 50, (8, 8), dtype=np.uint8) + np.uint8(50 * k)
            Image.fromarray(image).save(root / name / f"{number}{RED}\n  fix: forged.png")
    return root


@pytest.fixture(scope="module")
def shown() -> str:
    return "a\\x1b[31mb"


@pytest.fixture
def trained(train_once: Any, folder: Path) -> Any:
    result = train_once(
        "--data",
        folder,
        "--model",
        "softmax",
        "--epochs",
        1,
        "--name",
        "r é",
        "--device",
        "cpu",
    )
    return result, Path("runs", "r é")


def test_commands_on_a_run(trained: Any, run: Any, folder: Path, shown: str) -> None:
    result, path = trained
    check(result, 0, shown)
    assert "日本é" in result.err
    for arguments in (
        ["evaluate", path, "--data", folder],
        ["predict", path, folder, "--top", 4],
        ["predict", path, next((folder / CLASSES[1]).iterdir()), "--top", 4],
        ["inspect", path],
    ):
        done = run(*arguments)
        check(done, done.code if arguments[0] == "inspect" else 0, shown)
    check(run("runs"), 0, "r é")
    check(run("summary", path))
    check(run("train", "--print-config", "--data", folder / CLASSES[0]), 0, "a\\u001b[31mb")
    check(run("predict", path, folder / f"none{RED}\nfix: forged.png"), 4, "none\\x1b[31m")


def test_a_report(trained: Any, run: Any) -> None:
    pytest.importorskip("matplotlib")
    check(run("report", trained[1], "-o", f"page{RED}.html"), 0, "page\\x1b[31m")


def test_a_picture_that_is_left_out(trained: Any, run: Any, tmp_path: Path) -> None:
    bad = tmp_path / f"bad{RED}\n  fix: forged.png"
    bad.write_text("no picture")
    good = tmp_path / "good.png"
    Image.new("L", (8, 8), 9).save(good)
    check(run("predict", trained[1], bad, good, "--skip-broken"), 0, "bad\\x1b[31m\\n")
    check(run("predict", trained[1], bad, good), 4, "bad\\x1b[31m\\n")


@pytest.mark.filterwarnings("always::gpucnn.errors.GpucnnWarning")  # the command prints it
def test_the_name_of_a_variable(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"GPUCNN_{RED}", "1")
    check(run("data", "list"), 0, r"GPUCNN_\x1b[31m is unknown")


def test_a_file_system_name_that_is_no_text(run: Any, tmp_path: Path) -> None:
    name = os.fsdecode(b"a\xff\x1b[31m.csv")
    (tmp_path / name).write_text("1\n")
    result = run("train", "--data", name)
    check(result, result.code)
    assert result.code in (2, 4)
