"""gpucnn profile"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpucnn.backend.problem import Problem
from gpucnn.bench import ceilings, profiler
from gpucnn.bench.ceilings import Ceilings


@pytest.fixture
def profile(run: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`gpucnn profile` for as short as can be, with ceilings and health checks that are known."""

    def measure(watch: Any) -> Ceilings | None:
        return Ceilings(1e11, 1e10) if watch.ticks else None

    monkeypatch.setattr(ceilings, "measure", measure)
    monkeypatch.setattr(profiler, "health_share", lambda *_: 0.012)
    return lambda *args: run("profile", "--seconds", "0.1", *args)


@pytest.fixture
def unmeasured(profile: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same, where nothing may be measured."""

    def fail(*_: Any) -> None:
        raise AssertionError("measured")

    monkeypatch.setattr(profiler, "measure", fail)
    return profile


def test_profile(profile: Any) -> None:
    result = profile("--model", "lenet", "-b", 8, "--device", "cpu")
    assert result.code == 0
    assert result.out.startswith("a training step of lenet: 8 images, adam, on cpu")
    assert "\n  whole step " in result.out
    assert "train's health checks, 1.2% of its time" in " ".join(result.out.split())
    assert max(map(len, result.out.splitlines())) <= 80


def test_profile_json(profile: Any) -> None:
    args = ["--model", "softmax", "--optimizer", "sgd", "--threads", 1, "--device", "cpu"]
    *parts, end = profile(*args, "--json").events
    assert [(part["event"], part["name"], part["direction"]) for part in parts] == [
        ("part", "batch", "forward"),
        ("part", "flatten1", "forward"),
        ("part", "dense1", "forward"),
        ("part", "dense1", "backward"),
        ("part", "loss", "forward"),
        ("part", "loss", "backward"),
        ("part", "optimizer", "forward"),
    ]
    assert parts[2]["flop"] == 128 * 2 * 784 * 10
    assert end["health"] == 0.012
    for part in parts:
        assert part["floor"] == pytest.approx(max(part["flop"] / 1e11, part["nbytes"] / 1e10))
        assert 0 < part["seconds"]["p10"] <= part["seconds"]["median"] <= part["seconds"]["p90"]
    assert (end["event"], end["model"], end["batch_size"]) == ("end", "softmax", 128)
    assert end["optimizer"] == "sgd"
    assert end["environment"]["threads"] == 1
    assert end["ceilings"] == {"flop_per_second": 1e11, "bytes_per_second": 1e10}
    sum_of_parts = sum(part["seconds"]["median"] for part in parts)
    assert end["seconds"]["median"] == pytest.approx(sum_of_parts + end["rest"])


@pytest.mark.slow
def test_profile_of_a_run(profile: Any, quick: Any) -> None:
    args = ["--optimizer", "sgd", "--momentum", 0.9, "--nesterov", "--patience", 2]
    assert quick("-b", 32, *args, "--validation", 50).code == 0
    end = profile("runs/train-1", "--device", "cpu", "--json").events[-1]
    assert (end["model"], end["batch_size"], end["optimizer"]) == ("softmax", 32, "sgd")
    # What the run says of sgd does not get in the way of another optimizer.
    end = profile("runs/train-1", "--optimizer", "adam", "-b", 3, "--json").events[-1]
    assert (end["batch_size"], end["optimizer"]) == (3, "adam")
    weights = profile("runs/train-1/weights/last.safetensors", "--json").events[-1]
    assert weights["model"] == "softmax"


def test_the_picture(profile: Any) -> None:
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("matplotlib")
    result = profile("--model", "softmax", "--plot", "bars.png")
    assert result.code == 0
    assert "plot: bars.png" in result.err
    with image.open("bars.png") as picture:
        assert picture.width == 1280
    assert [path.name for path in Path().iterdir()] == ["bars.png"]


def test_the_simulator_counts(profile: Any) -> None:
    result = profile("--model", "softmax", "--device", "sim")
    assert result.code == 0
    assert "the simulator does not time" in result.err
    assert "MFLOP" in result.out
    *parts, end = profile("--model", "softmax", "--device", "sim", "--json").events
    assert parts[2]["flop"] == 128 * 2 * 784 * 10
    assert {end["seconds"], end["rest"], end["ceilings"], end["health"]} == {None}
    assert {part["seconds"] for part in parts} == {None}


@pytest.mark.slow
def test_a_slow_blas_is_said(profile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpucnn.cli.profile.blas_problem", lambda: Problem("slow", "do this"))
    args = ["--model", "softmax"]
    assert "note: slow: do this\n" in profile(*args, "--device", "cpu").err
    assert profile(*args, "--device", "cpu", "--quiet").err == ""
    assert "slow" not in profile(*args, "--device", "sim").err


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--model", "vgg"], 2, "choose one of softmax"),
        (["--optimizer", "lion"], 2, "choose one of sgd"),
        (["--model", "cnn", "runs/train-1"], 2, "give RUN or --model"),
        (["runs/train-1"], 4, "there is no run"),
        ([""], 4, "no run"),
        (["-b", "0"], 2, "--batch-size"),
        (["--threads", "0"], 2, "--threads"),
        (["--seconds", "0"], 2, "--seconds"),
        (["--seconds", "inf"], 2, "--seconds"),
        (["--seconds", "nan"], 2, "--seconds"),
        (["--device", "tpu"], 2, "unknown device"),
        (["--device", "cuda"], 3, "there is no GPU"),
        (["--plot", "bars.pdf"], 2, "in .png"),
        (["--plot", "no/folder/bars.png"], 1, "no/folder"),
        (["--plot", "bars.png", "--device", "sim"], 2, "does not time"),
    ],
)
def test_what_is_refused(unmeasured: Any, args: list[str], code: int, says: str) -> None:
    result = unmeasured(*args)
    assert result.code == code, result.err
    assert says in result.err
    assert result.out == ""
    assert list(Path().iterdir()) == []


def test_a_missing_matplotlib_is_said_first(
    unmeasured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = unmeasured("--model", "softmax", "--plot", "bars.png", "--json")
    assert result.code == 1
    assert result.events[-1]["kind"] == "missing-extra"
    assert "gpucnn[plot]" in result.err


def test_a_batch_that_memory_is_too_small_for(
    unmeasured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpucnn.bench.profiler.free_memory", lambda: 10**9)
    result = unmeasured("-b", 10**4, "--device", "cpu")
    assert result.code == 1
    # Its images and the outputs of its layers, 204 kB an image; nothing of it is tried.
    assert "needs more than 2.0 GB, 1.0 GB are free" in result.err
    assert "--batch-size" in result.err


def test_ctrl_c(profile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(profiler, "measure", interrupted)
    assert profile("--model", "softmax").code == 130
