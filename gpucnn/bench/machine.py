"""The machine: what it is, how much of its memory is free, and who else uses its CPUs."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from gpucnn.backend import Backend
from gpucnn.backend.cpu.memory import usage
from gpucnn.training.environment import describe_environment

_PACKAGE = Path(__file__).resolve().parents[1]
_STAT = Path("/proc/stat")


def describe(backend: Backend) -> dict[str, Any]:
    """The hardware and the software that a time depends on, as JSON values."""
    found = {
        **describe_environment(backend),
        "cpu": _cpu_model(),
        "processors": os.cpu_count(),
        "memory": _memory(),
    }
    if "blas" in found:  # as in: openblas 0.3.30 SkylakeX
        found["blas_core"] = ", ".join(b.split()[-1] for b in found["blas"].split(", "))
    if backend.name.startswith("cuda"):
        query = "name,driver_version,memory.total,clocks.sm,clocks.max.sm,power.limit"
        query += ",mig.mode.current"
        found["nvidia_smi"] = _run("nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader")
    with contextlib.suppress(metadata.PackageNotFoundError):
        found["torch"] = metadata.version("torch")
    return found


def commit() -> str | None:
    """The commit of the checkout that this package is in; without a checkout $GPUCNN_COMMIT."""
    # A package that is installed inside the folder of another repository is no part of it.
    if _run("git", "-C", str(_PACKAGE), "ls-files", "__init__.py"):
        return _run("git", "-C", str(_PACKAGE), "describe", "--always", "--dirty", "--abbrev=40")
    return os.environ.get("GPUCNN_COMMIT")


def free_memory() -> int | None:
    """Bytes of the host that can be had without swapping; None where that is not known."""
    found = usage()
    return found.free if found else None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether NumPy, a backend of ours, CuPy or PyTorch ran out of memory."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"  # of CuPy and PyTorch, which are not imported
        or "can't allocate memory" in str(error)  # PyTorch on a CPU: a plain RuntimeError
    )


class CpuContention:
    """Measures how much CPU time other processes use, from its creation on.

    Results are invalid while other processes use the CPU: PyTorch's threads wait for each other, so
    that one of them that is interrupted stops all of them for milliseconds.
    """

    def __init__(self) -> None:
        self._start, self._busy, self._own = time.perf_counter(), _busy(), _own()

    def fraction(self) -> float | None:
        """The part of the time of all CPUs that others used, 0 to 1; None where unknown."""
        busy = _busy()
        elapsed = time.perf_counter() - self._start
        if busy is None or self._busy is None or elapsed <= 0:
            return None
        others = (busy - self._busy) - (_own() - self._own)
        return min(1.0, max(0.0, others / elapsed / (os.cpu_count() or 1)))


def _busy() -> float | None:
    """Seconds that the CPUs were busy, added up; what a hypervisor took counts."""
    try:
        ticks = [int(word) for word in _STAT.read_text().split("\n")[0].split()[1:9]]
        idle = ticks[3] + ticks[4]  # user, nice, system, idle, iowait, irq, softirq, steal
        return (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):  # not everywhere
        return None


def _own() -> float:
    """CPU seconds of this process and of the processes that it waited for."""
    return sum(os.times()[:4])


def _cpu_model() -> str:
    return _first("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()


def _memory() -> int | None:
    """Bytes of the machine."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not everywhere
        return None


def _first(file: str, key: str) -> str | None:
    """The value of the first line of a file that begins with the key; None without one."""
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return None
    found = (line.partition(":")[2].strip() for line in lines if line.startswith(key))
    return next(found, None)


def _run(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
