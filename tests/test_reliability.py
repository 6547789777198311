"""Kills, disks that fail, and long runs: the scripts of tests/, with few repetitions."""

from __future__ import annotations

import os
import re
import shutil
import sys

import pytest
from processes import run_script


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks")
def test_killed_trainings_are_resumed_to_the_same_bits() -> None:
    done = run_script("kills.py", "--kills", 20, "--seed", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^20 kills of \d+ .* bits, 0 did not", done.stdout, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD is of Linux")
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ compiles what lets operations fail")
def test_a_fault_of_any_file_operation_loses_nothing() -> None:
    done = run_script("faults.py")
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"^(\d+) faults: 0 lost", done.stdout, re.MULTILINE)
    assert found
    assert int(found[1]) > 300, "operations are no longer seen"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is of Linux")
@pytest.mark.parametrize(
    ("name", "count"), [("conv", 2000), ("epochs", 200), ("predictions", 200), ("requests", 200)]
)
def test_memory_files_and_threads_do_not_grow(name: str, count: int) -> None:
    done = run_script("long_runs.py", name, "--count", count)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"of {count:,}: " in done.stdout
