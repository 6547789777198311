"""Commands run in this process, and in one of their own where signals or limits are tested."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from processes import environment

from gpucnn import backend as backends
from gpucnn.backend.problem import Problem
from gpucnn.cli import outcome
from gpucnn.cli.main import main

KEPT = ("GPUCNN_CACHE_DIR", "GPUCNN_SIM_FROM", "GPUCNN_SIM_ORDER", "GPUCNN_SIM_SANITIZE")
_save_pictures = outcome.save_pictures
NO_GPU = Problem("there is no GPU", "use --device cpu")


@dataclass
class Result:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """stdout as one JSON object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


Command = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run `gpucnn ARGS` in an empty folder, on a machine without a GPU, all kernels compiled.

    `train` draws no pictures, which takes longer than a small training; see `pictures`.
    """
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("GPUCNN_")]:
        if name not in KEPT:
            monkeypatch.delenv(name)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # for processes that a test starts
    monkeypatch.setattr(backends, "_cuda", backends._cuda.__wrapped__)
    monkeypatch.setattr(backends, "cuda_problem", lambda index=0: NO_GPU)
    monkeypatch.setattr(type(backends.get("cpu")), "preparation", lambda backend: None)
    monkeypatch.setattr(outcome, "save_pictures", lambda *given: None)

    def invoke(*args: object) -> Result:
        result = CliRunner().invoke(main, [str(arg) for arg in args])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return Result(result.exit_code, result.stdout, result.stderr)

    return invoke


@pytest.fixture
def pictures(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """`train` saves its pictures."""
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(outcome, "save_pictures", _save_pictures)


@pytest.fixture(scope="session")
def _trainings() -> dict[tuple[str, ...], tuple[Result, Path]]:
    """Arguments -> what `gpucnn train` left: its result, and a copy of the folder runs/."""
    return {}


@pytest.fixture
def train_once(
    run: Command,
    _trainings: dict[tuple[str, ...], tuple[Result, Path]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Command:
    """`gpucnn train ARGS`, the first command of a test; equal trainings are done once a session."""

    def train(*args: object) -> Result:
        key = tuple(map(str, args))
        if key in _trainings:
            result, runs = _trainings[key]
            shutil.copytree(runs, "runs")
        else:
            result = run("train", *args)
            runs = shutil.copytree("runs", tmp_path_factory.mktemp("trained") / "runs")
            _trainings[key] = result, runs
        return result

    return train


@pytest.fixture
def quick(run: Command) -> Command:
    """`gpucnn train` on 4 batches of digits, with softmax regression unless told otherwise."""

    def train(*args: object) -> Result:
        given = ["--data", "digits", "--model", "softmax", "--limit-batches", 4, "--epochs", 2]
        return run("train", *given, *args)

    return train


@pytest.fixture
def spawn(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start `gpucnn ARGS` as a process of its own in an empty folder."""

    def start(*args: object, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "gpucnn", *map(str, args)],
            cwd=tmp_path,
            env=environment(),
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )

    return start
