"""A Python process of its own: for imports, threads, signals and the environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def python_path(*folders: Path | str) -> str:
    """PYTHONPATH with these folders first; those that it has already may hold needed packages."""
    paths = [*folders, os.environ.get("PYTHONPATH")]
    return os.pathsep.join(str(path) for path in paths if path)


def environment(**variables: str) -> dict[str, str]:
    """This process's, less the options of gpucnn, with the variables and this tree's gpucnn."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GPUCNN_") or name == "GPUCNN_CACHE_DIR"
    }
    return {**kept, "PYTHONPATH": python_path(ROOT), **variables}


def run_python(
    code: str, *arguments: str, cwd: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run code, with what it writes as text; `variables` are added to the environment."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd, env=environment(**variables), capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def run_script(name: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script of tests/, as `run_python` runs code."""
    return subprocess.run(
        [sys.executable, str(ROOT / "tests" / name), *map(str, arguments)],
        cwd=ROOT, env=environment(**variables), capture_output=True, text=True, timeout=600,
    )  # fmt: skip
