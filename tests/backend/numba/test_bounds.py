"""Compiled loops check no bounds: arrays at the edge of pages that end the process if touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import python_path

pytest.importorskip("numba", reason="the extra `fast` is not installed")
pytest.importorskip("mmap")
if not hasattr(signal, "SIGSEGV") or sys.platform == "win32":
    pytest.skip("no mprotect here", allow_module_level=True)

ROOT = Path(__file__).parents[3]
GUARDED = ROOT / "tests" / "backend" / "numba" / "guarded.py"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", str(GUARDED), *arguments],
        capture_output=True, text=True, cwd=ROOT, check=False,
        env={**os.environ, "PYTHONPATH": python_path(ROOT), **environment},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("edge", ["end", "start"])
def test_nothing_beyond_an_array_is_touched(edge):
    done = run(edge, "100")
    assert done.returncode == 0, done.stdout[-300:] + done.stderr[-2000:]
    assert done.stdout.endswith("done\n")


def test_one_float_beyond_would_be_noticed():
    assert run("overrun").returncode in (-signal.SIGSEGV, -signal.SIGBUS)
