"""Runs of `prove.py` without a GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gpu.prove_runs import Done, start, unpack


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Done]:
    def run(
        *parts: tuple[Any, ...], seconds: float = 60.0, options: tuple[str, ...] = (), **more: Any
    ) -> Done:
        out = tmp_path / "out" / "record.tgz"
        out.parent.mkdir(exist_ok=True)
        process = start(out, *parts, options=("--seconds", str(seconds), *options), **more)
        text, _ = process.communicate(timeout=60)
        assert [path.name for path in out.parent.iterdir()] == ["record.tgz"]
        return Done(process.returncode, text, unpack(out))

    return run
