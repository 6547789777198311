"""How much memory there is, and whether an error says that it did not do."""

from __future__ import annotations

from pathlib import Path

_LIMITS = Path("/sys/fs/cgroup")  # of a container


def available() -> int | None:
    """Bytes of the host that can still be had without swapping; None where that is not known."""
    found = [free for free in (_of_machine(), _of_container()) if free is not None]
    return min(found, default=None)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether NumPy, a backend of ours, CuPy or PyTorch ran out of memory."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"  # of CuPy and PyTorch, which are not imported
        or "can't allocate memory" in str(error)  # PyTorch on a CPU: a plain RuntimeError
    )


def _of_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    kilobytes = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return kilobytes[0] << 10 if kilobytes else None


def _of_container() -> int | None:
    try:
        limit = int((_LIMITS / "memory.max").read_text())
        used = int((_LIMITS / "memory.current").read_text())
        pages = (_LIMITS / "memory.stat").read_text().split()
    except (OSError, ValueError):  # there is none, or it says "max"
        return None
    cached = dict(zip(pages[::2], pages[1::2], strict=False)).get("inactive_file", "0")
    return max(0, limit - used + int(cached))  # the kernel gives up cached files first
