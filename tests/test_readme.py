"""Continuous integration runs the README's test command. See test_docs.py for its code."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_test_command_is_what_ci_runs() -> None:
    pattern = re.search(r"grep -m1 -E '(.*?)' README.md", (ROOT / ".ci/test").read_text())
    assert pattern is not None
    commands = [line for line in README.splitlines() if re.search(pattern[1], line)]
    assert commands == ['python -m pip install -e ".[test]" && python -m pytest -n auto']
    for caller in (".ci/run", ".github/workflows/ci.yml"):
        assert re.search(r"(?m)^[\s-]*(run: )?\.ci/test$", (ROOT / caller).read_text()), caller
