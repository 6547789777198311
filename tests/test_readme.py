"""The Python in the README runs, and `.ci/run` runs the README's test command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("source", PYTHON, ids=lambda source: source.splitlines()[0])
def test_python_block_runs(source: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr


def test_nothing_is_left_to_fill_in() -> None:
    assert len(PYTHON) == 4
    assert not re.findall(r"@[A-Z]+@", README)


def test_test_command_is_what_ci_runs() -> None:
    pattern = re.search(r"grep -m1 -E '(.*?)' README.md", (ROOT / ".ci/run").read_text())
    assert pattern is not None
    commands = [line for line in README.splitlines() if re.search(pattern[1], line)]
    assert commands == ['python -m pip install -e ".[test]" && python -m pytest -n auto']
