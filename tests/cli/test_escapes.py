"""Names and contents of files never steer a terminal, whichever command prints them."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")

RED = "\x1b[31m"
CLASSES = [f"a{RED}b", "日本é", "x\x1b]52;c;QQ==\x07", "z\nerror: y\u202e"]


def check(result: Any, code: int = 0, shown: str = "") -> None:
    """Nothing but letters and the ends of lines is in what a command printed."""
    assert result.code == code, result.err
    text = result.out + result.err
    for character in set(text) - {"\n"}:
        assert unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp"), text
    lines = [line.strip() for line in text.splitlines()]
    assert sum(line.startswith("error:") for line in lines) == (code != 0)
    assert "fix: forged" not in lines
    assert shown in text


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


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", f"{RED},label,target,p0,p1,p2,p3\n1,a,b,1,2,3,4\n"),
        ("b.csv", f"label,p0,p1,p2,{RED}\na,1,2,3,{RED}\n"),
        ("c.csv", f"label,p0,p1,p2,p3\n{RED},1,2,3,4\n{RED},1,2,3,4\n"),
        ("d.csv", f"{RED}\n"),
        (f"{RED}\n.tgz", "1"),
        (f"{RED}\nfix: forged", "1"),
        (f"{RED}\nfix: forged.csv", "1"),
        (f"{RED}.npz", "1"),
        (f"{RED}-images-idx3-ubyte", "1"),
    ],
)
def test_data(run: Any, name: str, content: str) -> None:
    Path(name).write_text(content)
    check(run("train", "--data", name), 4)
    check(run("train", "--data", f"none{RED}\nfix: forged"), 4, "none\\x1b[31m")


def test_names_in_an_archive(run: Any) -> None:
    np.savez("a.npz", **{f"k{RED}\nfix: forged": np.zeros(3)})
    check(run("train", "--data", "a.npz"), 4, "k\\x1b[31m")


@pytest.mark.parametrize(
    "text",
    [
        'device = "\\u001b[31m\\nfix: forged"',
        '"\\u001b[31m\\nfix: forged" = 1',
        'epochs = "\\u001b[31m\\nfix: forged"',
        'optimizer = "\\u009b31m"',
        'data = "\\u001b[31m"',
        'image_shape = "\\u001b"',
        "\x1b[31m",
    ],
)
def test_configurations(run: Any, text: str) -> None:
    Path("a.toml").write_text(text)
    result = run("train", "--config", "a.toml")
    check(result, result.code)
    assert result.code in (2, 3, 4)


@pytest.mark.filterwarnings("always::gpucnn.errors.GpucnnWarning")  # the command prints it
@pytest.mark.parametrize("name", ["DEVICE", "DATA", "EPOCHS", "OPTIMIZER", f"{RED}", "DATA_DIR"])
def test_the_environment(run: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"GPUCNN_{name}", f"{RED}\nfix: forged")
    result = run("train")
    check(result, result.code)
    assert result.code in (2, 3, 4)
    result = run("data", "verify", "mnist")
    check(result, result.code)
    check(run("data", "list"), 0, r"GPUCNN_\x1b[31m is unknown" if name == RED else "")


@pytest.mark.parametrize(
    "arguments",
    [
        [f"{RED}\nfix: forged"],
        ["train", f"--{RED}\nfix: forged"],
        ["train", f"{RED}\nfix: forged"],
        ["predict", f"{RED}\nfix: forged", "a"],
        ["evaluate", f"{RED}\nfix: forged"],
        ["runs", f"{RED}\nfix: forged"],
        ["report", f"{RED}\nfix: forged"],
        ["inspect", f"{RED}\nfix: forged"],
        ["serve", f"{RED}\nfix: forged"],
        ["export", f"{RED}\nfix: forged", "-o", "a.onnx"],
        ["summary", f"{RED}\nfix: forged"],
        ["summary", "--model", f"{RED}\nfix: forged"],
        ["data", "path", f"{RED}\nfix: forged"],
        ["explain", f"{RED}\nfix: forged"],
        ["train", "--resume", f"{RED}\nfix: forged"],
        ["train", "--config", f"{RED}\nfix: forged"],
    ],
)
def test_arguments(run: Any, arguments: list[str]) -> None:
    result = run(*arguments)
    check(result, result.code)
    assert result.code != 1 or arguments[0] == "runs"


def test_a_file_system_name_that_is_no_text(run: Any, tmp_path: Path) -> None:
    name = os.fsdecode(b"a\xff\x1b[31m.csv")
    (tmp_path / name).write_text("1\n")
    result = run("train", "--data", name)
    check(result, result.code)
    assert result.code in (2, 4)
