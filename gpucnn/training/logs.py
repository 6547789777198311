"""The logs that ``--log`` adds to a run, for other programs to read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gpucnn.training.callbacks import Callback
from gpucnn.training.config import TrainConfig
from gpucnn.training.csv_log import CsvLog
from gpucnn.training.tensorboard import TensorBoard

#: Name of a log -> function from the directory of a run to the callback that writes it.
LOGS: dict[str, Callable[[Path], Callback]] = {
    "csv": lambda run: CsvLog(run / "metrics.csv"),
    "tensorboard": lambda run: TensorBoard(run / "tensorboard"),
}


def log_callbacks(config: TrainConfig, run: Path) -> list[Callback]:
    """The callbacks that write the logs of a configuration into the directory of a run.

    Making them writes nothing.

    Raises:
        MissingExtraError: a package that one of them needs is not installed.
    """
    return [LOGS[name](run) for name in config.logs]
