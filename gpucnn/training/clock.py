"""The time of a training, over its interruptions."""

from __future__ import annotations

import time


class Clock:
    """Seconds of the training and of the epoch, on top of those of earlier sessions."""

    def __init__(self, total: float = 0.0, lap: float = 0.0) -> None:
        now = time.perf_counter()
        self._start = now - total
        self._lap_start = now - lap

    @property
    def total(self) -> float:
        return time.perf_counter() - self._start

    @property
    def lap(self) -> float:
        return time.perf_counter() - self._lap_start

    def restart_lap(self) -> None:
        self._lap_start = time.perf_counter()
