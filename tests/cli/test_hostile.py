"""The table of hostile files and settings: each gives a clear error, in little memory and time."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_inputs import Case, all_cases
from printed import check_printed

from gpucnn import backend, data, models
from gpucnn.training import Run, TrainConfig, fit

pytest.importorskip("PIL")
pytest.importorskip("onnx")

CASES = all_cases()
MB = 10**6


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `runs` with a run of two epochs."""
    folder = tmp_path_factory.mktemp("hostile")
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    np.savez(folder / "data.npz", x=images, y=np.arange(40) % 3)
    config = TrainConfig(
        data=str(folder / "data.npz"), model="softmax", epochs=2, batch_size=15, validation=10,
        device="cpu", runs_dir=str(folder / "runs"),
    )  # fmt: skip
    splits = data.load(folder / "data.npz", validation=10)
    run = Run.create(config, backend.get("cpu"))
    fit(models.get("softmax", 3), splits, config, run=run)
    return folder / "runs"


@pytest.fixture
def place(run: Any, trained: Path, tmp_path: Path) -> Path:
    """The current folder, with a run and an image for it."""
    shutil.copytree(trained, tmp_path / "runs")
    np.save(tmp_path / "b.npy", np.zeros((1, 8, 8), np.uint8))
    return tmp_path


def peak() -> int:
    """The most memory that this process had in bytes, counted anew from now on; 0 if unknown."""
    try:
        found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # of Linux, and not in every container
        return 0
    return 1024 * int(found[1]) if found else 0


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_clear_error(case: Case, run: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in case.files.items():
        if callable(content):
            content(place / name)
        else:
            (place / name).write_bytes(content.encode() if isinstance(content, str) else content)
    for name, value in case.variables.items():
        monkeypatch.setenv(name, value)
    peak()
    before, begun = peak(), time.process_time()
    result = run(*case.command)
    seconds, memory = time.process_time() - begun, peak() - before
    check_printed(result, case.code, case.says)
    assert "bug in gpucnn" not in result.err
    assert not re.search(r"[^\s/]{210}", result.out + result.err)
    assert len(result.err) < 3000
    given = size(place) / MB
    assert memory < (64 + given) * MB
    assert seconds < 1 + given


def test_the_table_is_long() -> None:
    assert len(CASES) == len({case.name for case in CASES}) >= 150
