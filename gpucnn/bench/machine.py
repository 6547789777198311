"""The machine that something is measured on, and the code."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from gpucnn.backend import Backend
from gpucnn.training.run import describe_environment

_PACKAGE = Path(__file__).resolve().parents[1]


def describe(backend: Backend) -> dict[str, Any]:
    """All that a time depends on beside the code, as JSON values."""
    found = {
        **describe_environment(backend),
        "cpu": _cpu_model(),
        "processors": os.cpu_count(),
        "memory": _memory(),
    }
    if "blas" in found:  # as in: openblas 0.3.30 SkylakeX
        found["blas_core"] = ", ".join(b.split()[-1] for b in found["blas"].split(", "))
    if backend.name.startswith("cuda"):
        found["nvidia_smi"] = _nvidia_smi()
    with contextlib.suppress(metadata.PackageNotFoundError):
        found["torch"] = metadata.version("torch")
    return found


def commit() -> str | None:
    """Of the checkout that this package is part of; without one what $GPUCNN_COMMIT says."""
    # A package that is installed in a folder of some other repository is no part of that.
    if _run("git", "-C", str(_PACKAGE), "ls-files", "__init__.py"):
        return _run("git", "-C", str(_PACKAGE), "describe", "--always", "--dirty", "--abbrev=40")
    return os.environ.get("GPUCNN_COMMIT")


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _memory() -> int | None:
    """Bytes of the machine."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not everywhere
        return None


def _nvidia_smi() -> str | None:
    """Name, driver, memory, clocks and power of each GPU, a line each."""
    query = "name,driver_version,memory.total,clocks.sm,clocks.max.sm,power.limit,mig.mode.current"
    return _run("nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader")


def _run(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
