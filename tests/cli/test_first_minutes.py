"""What a newcomer types in the first minutes: mistyped words, and what comes next."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.cli.output import loss_text


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ("trian", "did you mean gpucnn train?"),
        ("TRAIN", "did you mean gpucnn train?"),
        ("predct x y", "did you mean gpucnn predict?"),
        ("help", "see gpucnn --help"),
        ("help train", "did you mean gpucnn train --help?"),
        ("bench foo", "see gpucnn bench --help"),
        ("bench opps", "did you mean gpucnn bench ops?"),
        ("bench trian", "did you mean gpucnn bench train?"),
        ("data fetsh mnist", "did you mean gpucnn data fetch?"),
        ("data help", "see gpucnn data --help"),
        ("train digits", "did you mean gpucnn train --data digits?"),
        ("train mnist", "did you mean gpucnn train --data mnist?"),
        ("train cnn", "did you mean gpucnn train --model cnn?"),
        ("train .", "did you mean gpucnn train --data .?"),
        ("train nonsense", "see gpucnn train --help"),
        ("train --device gpu", "did you mean --device cuda?"),
        ("train --device GPU", "did you mean --device cuda?"),
        ("train --device CPU", "did you mean --device cpu?"),
        ("train --device nvidia", "did you mean --device cuda?"),
        ("train --optimizer SGD", "did you mean sgd?"),
        ("train --optimizer Adam", "did you mean adam?"),
        ("train --loss mse", "did you mean mean_squared_error?"),
        ("train --loss crossentropy", "did you mean softmax_cross_entropy?"),
        ("train --loss categorical_crossentropy", "did you mean softmax_cross_entropy?"),
        ("train --model LeNet", "did you mean lenet?"),
        ("train --data fashion_mnist", "did you mean fashion-mnist?"),
        ("train --data MNIST", "did you mean mnist?"),
        ("train --epoch 3", "'--epochs'"),
    ],
)
def test_did_you_mean(run: Any, args: str, says: str) -> None:
    result = run(*args.split())
    assert result.code in (2, 4), result.err
    assert says in result.err
    assert "Traceback" not in result.err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("rate", "advice"),
    [
        ("1000", "lower the learning rate, now 1000"),
        ("1e-30", "raise the learning rate, now 1e-30"),
    ],
)
def test_a_training_that_learned_nothing(run: Any, rate: str, advice: str) -> None:
    args = ["--data", "digits", "--epochs", 2, "--lr", rate, "--optimizer", "sgd", "--no-health"]
    result = run("train", *args)
    assert result.code == 0
    assert result.out.startswith("learned nothing: 2 epochs in ")
    assert "guessing gives 10.79% and 2.3014" in result.err
    assert advice in result.err
    assert "next: " not in result.err
    assert run("train", *args, "--json").events[-1]["reason"] == "learned nothing"


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", "0.01"), ("sgd", None), ("adam", "3e-3")])
def test_the_usual_rate_is_not_advised(run: Any, optimizer: str, rate: str | None) -> None:
    """It was given: it, or one that is rounded to it, is no other rate to try."""
    np.savez("blank.npz", x=np.zeros((80, 8, 8), np.uint8), y=np.arange(80) % 4)
    args = ["--data", "blank.npz", "--model", "softmax", "--optimizer", optimizer, "--epochs", 1]
    warned = run("train", *args)  # one advice: that of the warning
    assert "all 72 training images are equal" in warned.err
    assert "  fix: see the warnings above, or gpucnn inspect runs/train-1\n" in warned.err
    args.append("--no-health")
    result = run("train", *args, *(["--lr", rate] if rate else []))
    assert result.out.startswith("learned nothing")
    assert "raise the learning rate" not in result.err
    shown = float(rate or 0.01)
    assert f"try more --epochs or another --lr than {shown:g}" in result.err


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "mean_squared_error"])
def test_other_losses_learn_something(run: Any, loss: str) -> None:
    args = ["--data", "digits", "--loss", loss, "--epochs", 3]
    assert run("train", *args).out.startswith("finished: ")
    assert run("train", *args, "--lr", "1e-30").out.startswith("learned nothing: ")


@pytest.mark.parametrize(
    ("loss", "text"),
    [(0.04313, "0.0431"), (2.30258, "2.3026"), (9999.5, "9999.5000"), (1e35, "1.000e+35"),
     (123456.0, "1.235e+05"), (-2e6, "-2.000e+06")],
)  # fmt: skip
def test_losses_are_readable(loss: float, text: str) -> None:
    assert loss_text(loss) == text


def test_huge_losses_are_written_short(run: Any) -> None:
    result = run("train", "--data", "digits", "--epochs", 1, "--lr", "1000", "--optimizer", "sgd")
    assert "e+" in result.err
    assert max(map(len, result.err.splitlines())) < 200


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_console_that_cannot_show_a_name(
    spawn: Callable[..., Any], tmp_path: Path, encoding: str
) -> None:
    Image = pytest.importorskip("PIL.Image")
    for label in ("été", "数字"):
        (tmp_path / "手書き" / label).mkdir(parents=True)
        for k in range(4):
            Image.new("L", (9, 9), 40 * k).save(tmp_path / "手書き" / label / f"{k}.png")
    os.environ["PYTHONIOENCODING"] = encoding
    try:
        for args in (
            ["train", "--data", "手書き", "--model", "softmax", "--epochs", "1"],
            ["predict", "runs/train-1", "手書き/数字/0.png"],
            ["predict", "runs/train-1", "手書き/数字/0.png", "--json"],
            ["evaluate", "runs/train-1"],
        ):
            process = spawn(*args, encoding=encoding, errors="replace")
            _, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
    finally:
        del os.environ["PYTHONIOENCODING"]


@pytest.mark.slow
def test_a_reader_that_has_seen_enough(spawn: Callable[..., Any]) -> None:
    """gpucnn doctor | head -1"""
    read, write = os.pipe()
    os.close(read)
    for args in (["doctor"], ["doctor", "--json"], ["summary"], ["data", "list"]):
        process = spawn(*args, stdout=write)
        _, err = process.communicate(timeout=60)
        assert "error" not in err
        assert "Traceback" not in err
    os.close(write)


@pytest.mark.slow
def test_the_picture_of_the_readme(run: Any, root: Path) -> None:
    """It comes with the sources, and a model trained on MNIST's kin reads it."""
    run("train", "--data", "digits", "--epochs", 20)
    result = run("predict", "runs/train-1", root / "docs" / "seven.png", "--json")
    assert result.events[0]["top"][0]["label"] == "7"
    assert np.isclose(sum(each["probability"] for each in result.events[0]["top"]), 1, atol=0.2)
