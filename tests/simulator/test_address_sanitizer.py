"""ASan finds what goes beyond an array, in a process of its own: a finding ends it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import python_path

from gpucnn.backend.simulator import SimulatorLauncher, build
from gpucnn.errors import UsageError

HERE = Path(__file__).parent

SCRIPT = """
import sys
import numpy as np
from gpucnn.backend.simulator import SimulatorLauncher

kernel, n, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
launcher = SimulatorLauncher()
launcher.add_source("faults", open("kernels/faults.cu").read())
x, y = launcher.empty((64,), np.float32), launcher.empty((64,), np.float32)
launcher.launch("faults", "right", 3, 64, y, 0)
assert launcher.to_numpy(y)[0] == 32
launcher.launch("faults", kernel, 1, threads, x, y, n, shared=64 * 4)
"""
AFTERWARDS = """
try:  # fibers that are left with a stack full of red zones
    launcher.launch("faults", "array_and_return", 1, 64, y, 40)
except Exception as error:
    assert "thread (40, 0, 0) has returned" in str(error)
launcher.launch("faults", "other_array", 3, 64, y, 0)
"""


@pytest.fixture(scope="module")
def run(compiler):
    """Runs SCRIPT with the sanitizer loaded from the start."""
    if shutil.which("g++") is None:
        pytest.skip("it takes g++")
    where = subprocess.run(["g++", "-print-file-name=libasan.so"], capture_output=True, text=True)
    library = where.stdout.strip()
    if not os.path.isabs(library):
        pytest.skip("g++ comes without libasan")
    environment = {
        **os.environ,
        "LD_PRELOAD": library,
        "CXX": "g++",
        "ASAN_OPTIONS": "detect_leaks=0",
        "GPUCNN_SIM_SANITIZE": "address",
        "PYTHONPATH": python_path(HERE.parent.parent),
    }

    def run(kernel, n, threads=64, script=SCRIPT + AFTERWARDS, **variables):
        script += 'print("all well")'
        command = [sys.executable, "-c", script, kernel, str(n), str(threads)]
        return subprocess.run(
            command, cwd=HERE, env=environment | variables, capture_output=True, text=True
        )

    return run


BEYOND = [
    ("beyond_global", 64, "heap-buffer-overflow"),
    ("beyond_static", 1, "global-buffer-overflow"),
    ("beyond_dynamic", 1, "heap-buffer-overflow"),
]


def check_beyond(done, kernel, kind, line_of):
    assert done.returncode != 0
    assert f"AddressSanitizer: {kind}" in done.stderr
    assert f"in {kernel} {line_of(kernel)}" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("kernel", "n", "kind"), BEYOND)
def test_beyond_an_array(run, line_of, kernel, n, kind):
    check_beyond(run(kernel, n), kernel, kind, line_of)


@pytest.mark.slow
@pytest.mark.parametrize(("kernel", "n", "kind"), BEYOND)
def test_beyond_an_array_in_ptx(run, line_of, kernel, n, kind):
    """Under ASan, NVRTC does not find its other library by itself."""
    pathfinder = pytest.importorskip("cuda.pathfinder", reason="there is no NVRTC")
    try:
        library = pathfinder.load_nvidia_dynamic_lib("nvrtc").abs_path
    except pathfinder.DynamicLibNotFoundError:
        pytest.skip("there is no NVRTC")
    there = {"GPUCNN_SIM_FROM": "ptx", "LD_LIBRARY_PATH": str(Path(library).parent)}
    check_beyond(run(kernel, n, script=SCRIPT, **there), kernel, kind, line_of)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["beyond_static"])
def test_within_the_array(run, kernel):
    done = run(kernel, 0)
    assert done.stdout == "all well\n", done.stderr


def test_without_the_library(run, monkeypatch):
    monkeypatch.setenv("CXX", "g++")
    with pytest.raises(UsageError, match="LD_PRELOAD"):
        SimulatorLauncher(sanitize="address")


def test_without_gnu(compiler, monkeypatch):
    monkeypatch.setattr(build, "version", lambda command: "clang version 17")
    with pytest.raises(UsageError, match="CXX=g"):
        SimulatorLauncher(sanitize="address")
