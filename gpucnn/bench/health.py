"""The time that the warnings of a training take, which `gpucnn train` gives while it trains."""

from __future__ import annotations

from gpucnn.bench.stopwatch import Seconds, Stopwatch
from gpucnn.inspection import HealthMonitor
from gpucnn.training import Trainer


class _Silent(HealthMonitor):
    """A monitor of random images, of which there is nothing to tell."""

    def tell(self, text: str) -> None:
        pass


def health_share(trainer: Trainer, watch: Stopwatch, step: Seconds) -> float:
    """The time of the measurements as a share of the time of the steps.

    Args:
        trainer: it has done a step.
        step: the time of one.
    """
    monitor = _Silent()
    monitor.on_train_begin(trainer)

    def measure() -> None:
        monitor.prepare(trainer)
        monitor.measure(trainer)

    seconds = watch.compare({"health": measure})["health"].seconds()
    usual = seconds.median / (monitor.steps_between * step.median)
    return min(usual, monitor.share)  # where they take longer, there are fewer of them
