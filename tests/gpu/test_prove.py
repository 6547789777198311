"""The script for a machine with a GPU does not fail by itself: its parts on the CPU, tiny."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

# Of the timing only the shortest part is tried, below: the others take longer.
PARTS = ["environment", "backend", "parity", "mnist", "memory", "memcheck", "racecheck", "counters"]


def prove(root: Path, out: Path, *options: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, str(root / "tests" / "gpu" / "prove.py"), "--out", str(out)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120)
    return done.returncode, json.loads((out / "summary.json").read_text())


def test_every_part_runs(root: Path, tmp_path: Path) -> None:
    options = ["--device", "cpu", "--quick", "--only", ",".join(PARTS)]
    code, summary = prove(root, tmp_path, *options)
    states = {part["part"]: part["state"] for part in summary["parts"]}
    assert list(states) == PARTS
    assert all(state in ("ok", "left out") for state in states.values()), summary
    assert code == 0
    assert summary["parts"][1]["tests"]["failures"] == 0
    for name in ("environment", "parity", "mnist", "memory"):
        found = json.loads((tmp_path / f"{name}.json").read_text())
        assert found["date"]
        assert found["backend"]["device"] == "cpu"
        assert (tmp_path / f"{name}.log").exists()
    text = (tmp_path / "summary.txt").read_text()
    assert all(part in text for part in PARTS)


def test_a_part_that_fails_is_told_and_the_next_one_runs(root: Path, tmp_path: Path) -> None:
    options = ["--device", "cuda:9999", "--quick", "--only", "environment,backend"]
    code, summary = prove(root, tmp_path, *options)
    assert code == 1
    environment, tests = summary["parts"]
    assert environment["state"] == "failed (1)"
    assert any("cuda:9999" in line for line in environment["tail"])
    assert tests["state"].startswith("skipped: cuda:9999")  # a test that did not run proves nothing


def test_timing(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    code, summary = prove(root, tmp_path, "--device", "cpu", "--quick", "--only", "data")
    assert code == 0, summary
    found = json.loads((tmp_path / "data.json").read_text())
    assert found["complete"]
    rows = {row["name"]: row for row in found["rows"]}
    assert rows["gather"]["ok"]
    assert "torch" in rows["gather"]["baselines"]
