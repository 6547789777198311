"""The logs that ``--log`` adds to a run, for other programs to read."""

from __future__ import annotations

from collections.abc import Callable

from gpucnn.training.callbacks import Callback
from gpucnn.training.config import TrainConfig
from gpucnn.training.csv_log import CsvLog
from gpucnn.training.run import Run
from gpucnn.training.tensorboard import TensorBoard

#: Name of a log -> function from a run to the callback that writes it there.
LOGS: dict[str, Callable[[Run], Callback]] = {
    "csv": CsvLog,
    "tensorboard": lambda run: TensorBoard(run.path / "tensorboard"),
}


def log_callbacks(config: TrainConfig, run: Run) -> list[Callback]:
    """The callbacks that write the logs of a configuration into a run; making them writes nothing.

    Raises:
        MissingExtraError: a package that one of them needs is not installed.
    """
    return [LOGS[name](run) for name in config.logs]
