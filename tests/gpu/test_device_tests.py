"""The plugin that selects the tests of a device."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT


def pytest_with_plugin(tmp_path: Path, *options: str, **variables: str) -> str:
    path = os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "tests")])
    command = [sys.executable, "-m", "pytest", "-p", "gpu.device_tests", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *options], cwd=ROOT, env={**os.environ, "PYTHONPATH": path, **variables},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.mark.slow
def test_only_tests_that_use_a_device(tmp_path: Path) -> None:
    files = ("tests/test_shapes.py", "tests/backend/test_relu.py")
    text = pytest_with_plugin(tmp_path, "-q", "--device", "cpu", "--collect-only", *files)
    assert "test_relu.py::" in text
    assert "test_shapes.py::" not in text
    assert "deselected" in text


LOST = """
import os, sys
import pytest

@pytest.fixture
def gpu():
    return os.getpid()

@pytest.mark.parametrize("i", range(4))
def test_one(gpu, i):
    import cupy
    if i == 1:
        cupy.LOST = True
    assert not cupy.LOST, "an illegal access"
"""
CUPY = """
LOST = False
class cuda:
    class runtime:
        class CUDARuntimeError(Exception): ...
        def deviceSynchronize():
            if LOST:
                raise cuda.runtime.CUDARuntimeError
"""


@pytest.mark.slow
def test_a_lost_device_ends_one_test_alone(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    (tmp_path / "cupy.py").write_text(CUPY)
    (tmp_path / "test_lost.py").write_text(LOST)
    options = ("-n", "1", "-p", "no:benchmark", str(tmp_path / "test_lost.py"))
    text = pytest_with_plugin(tmp_path, "-c", os.devnull, *options)
    assert "1 failed, 3 passed" in text, text
    assert "test_one[1] broke the device" in text
    assert "an illegal access" in text
