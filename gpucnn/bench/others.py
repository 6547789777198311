"""How much of the machine other processes took while something was measured."""

from __future__ import annotations

import os
import time
from pathlib import Path

_STAT = Path("/proc/stat")


class Others:
    """Watches from now on. A disturbed time is no time: PyTorch's threads wait for each other, and
    one that another process keeps from running stops them all for milliseconds.
    """

    def __init__(self) -> None:
        self._begun, self._busy, self._own = time.perf_counter(), _busy(), _own()

    def share(self) -> float | None:
        """Of the time of all CPUs since then, from 0 to 1; None where that is not known."""
        busy = _busy()
        elapsed = time.perf_counter() - self._begun
        if busy is None or self._busy is None or elapsed <= 0:
            return None
        theirs = (busy - self._busy) - (_own() - self._own)
        return min(1.0, max(0.0, theirs / elapsed / (os.cpu_count() or 1)))


def _busy() -> float | None:
    """Seconds that the CPUs did not idle, added up; what a hypervisor took counts."""
    try:
        ticks = [int(word) for word in _STAT.read_text().split("\n")[0].split()[1:9]]
        idle = ticks[3] + ticks[4]  # user, nice, system, idle, iowait, irq, softirq, steal
        return (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):  # not everywhere
        return None


def _own() -> float:
    """CPU seconds of this process and of those that it waited for."""
    return sum(os.times()[:4])
