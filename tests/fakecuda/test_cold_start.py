"""What a training compiles in a process with an empty cache, and in the next process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakecuda import run

pytest.importorskip("cupy_hooks", reason=run.reason_to_skip())

# Our kernels, and those that CuPy makes of array expressions; fewer are better.
PROGRAMS = 28 + 2


@pytest.mark.slow
def test_programs_of_a_cold_start_and_of_a_warm_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("FAKECUDA_EXECUTE", "0")

    def programs() -> Any:
        command = [sys.executable, str(Path(__file__).with_name("first_step.py"))]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout)["programs"]

    cold, warm = programs(), programs()
    texts = [is_text for is_text, _ in cold]
    assert 20 < sum(texts) <= PROGRAMS
    # CuPy compiles an empty text for each set of options: for ours, and for those of expressions.
    assert len(texts) - sum(texts) <= 2
    assert not [option for _, options in cold for option in options if option.startswith("-D")]
    assert not any(is_text for is_text, _ in warm)
