"""The command: what it needs, and the GPU that the environment describes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from fakecuda import run

DESCRIBE = """
import json
import cupy
from gpucnn import backend
device = backend.get("cuda")
print(json.dumps({
    **device.describe(),
    "multiprocessors": device.launcher.multiprocessors,
    "shared": cupy.cuda.Device().attributes["MaxSharedMemoryPerBlockOptin"],
    "devices": cupy.cuda.runtime.getDeviceCount(),
    "memory": cupy.cuda.runtime.memGetInfo()[1] >> 30,
    "sum": int(cupy.arange(10).sum()),
}))
"""


class TestProblem:
    """Each says what is missing, and what to type."""

    def test_no_compiler(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(run.shutil, "which", lambda name: None)
        assert run.problem() == (
            "the driver of tests/fakecuda is compiled by g++: apt-get install g++"
        )

    def test_no_cupy(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(run.shutil, "which", lambda name: f"/usr/bin/{name}")
        monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: None)
        assert "needs CuPy: pip install" in str(run.problem())

    def test_no_headers(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(run.shutil, "which", lambda name: f"/usr/bin/{name}")
        monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: object())
        monkeypatch.setattr(run, "_headers", lambda: None)
        assert "needs the headers of CUDA: pip install" in str(run.problem())

    def test_other_processor(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(run.platform, "machine", lambda: "aarch64")
        assert "on Linux on x86-64 only" in str(run.problem())

    def test_it_ends_the_command(self) -> None:
        done = _run("-c", "print(1)", PATH="/nowhere")
        assert (done.returncode, done.stdout) == (1, "")
        assert "is compiled by g++" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def driver() -> None:
    if (problem := run.problem()) is not None:
        pytest.skip(problem)


@pytest.mark.usefixtures("driver")
class TestGpu:
    @pytest.mark.parametrize(
        ("capability", "multiprocessors", "shared"),
        [("7.5", 4, 64), ("8.0", 46, 163), ("12.0", 132, 99)],
    )
    def test_as_described(self, capability: str, multiprocessors: int, shared: int) -> None:
        found = _describe(
            FAKECUDA_CAPABILITY=capability,
            FAKECUDA_MULTIPROCESSORS=str(multiprocessors),
            FAKECUDA_DEVICES="2",
            FAKECUDA_MEMORY="16",
        )
        assert found["compute_capability"] == capability
        assert found["multiprocessors"] == multiprocessors
        assert found["shared"] == shared << 10
        assert (found["devices"], found["memory"]) == (2, 16)
        assert found["sum"] == 45

    def test_default(self) -> None:
        found = _describe()
        assert (found["compute_capability"], found["multiprocessors"]) == ("9.0", 132)
        assert (found["shared"], found["devices"], found["memory"]) == (227 << 10, 1, 80)
        assert found["gpu"] == "no GPU: tests/fakecuda"

    def test_no_execution(self) -> None:
        """Launches compute nothing, so fresh memory keeps its bits: -1 as an integer."""
        assert _describe(FAKECUDA_EXECUTE="0")["sum"] == -1


def _describe(**variables: str) -> dict[str, Any]:
    done = _run("-c", DESCRIBE, **variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: v for name, v in os.environ.items() if not name.startswith("FAKECUDA_")}
    return subprocess.run(
        [sys.executable, str(run.HERE / "run.py"), *arguments],
        env={**kept, **variables}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
