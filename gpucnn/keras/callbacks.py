"""Callbacks by Keras's names, with its arguments.

To write one, subclass `Callback`. `self.model` is the model; `self.model.stop_training = True` ends
the training.
"""

from __future__ import annotations

import csv
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpucnn.errors import UsageError, expect
from gpucnn.keras.callback import Callback
from gpucnn.keras.monitors import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from gpucnn.keras.spelling import part
from gpucnn.spelling import explain_names
from gpucnn.training import TensorBoard
from gpucnn.writing import storage_errors

__all__ = [
    "CSVLogger", "Callback", "EarlyStopping", "LambdaCallback", "LearningRateScheduler",
    "ModelCheckpoint", "ReduceLROnPlateau", "TensorBoard", "TerminateOnNaN",
]  # fmt: skip


class LearningRateScheduler(Callback):
    """Sets the learning rate before each epoch.

    Args:
        schedule: (epoch from 0, learning rate) -> learning rate, or of the epoch alone.
    """

    @part
    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise UsageError(
                f"the schedule is {schedule!r}",
                fix="give a function: LearningRateScheduler(lambda epoch, lr: 0.9 * lr)",
            )
        self.schedule, self.verbose = schedule, verbose
        try:
            inspect.signature(schedule).bind(0, 0.1)
            self._takes_rate = True
        except TypeError:
            self._takes_rate = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        optimizer = self.model.optimizer
        given = (epoch, optimizer.learning_rate)[: 2 if self._takes_rate else 1]
        optimizer.learning_rate = self.schedule(*given)
        if self.verbose:
            print(f"Epoch {epoch + 1}: the learning rate is {optimizer.learning_rate:.6g}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["learning_rate"] = self.model.optimizer.learning_rate


class CSVLogger(Callback):
    """Writes a line for each epoch: its number from 0 and the values of `logs` by their names."""

    @part
    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        expect(filename, (str, os.PathLike), "filename", 'give a name, as in CSVLogger("log.csv")')
        self.filename, self.separator, self.append = Path(filename), separator, append

    def on_train_begin(self, logs: Any = None) -> None:
        self.keys: list[str] | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        new = self.keys is None and not (self.append and self.filename.exists())
        if self.keys is None:
            self.keys = sorted(logs)
        mode = "w" if new else "a"
        with (
            storage_errors(self.filename, ""),
            self.filename.open(mode, newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file, delimiter=self.separator, lineterminator="\n")
            if new:
                writer.writerow(["epoch", *self.keys])
            writer.writerow([epoch, *(logs.get(key, "NA") for key in self.keys)])


class LambdaCallback(Callback):
    """Calls functions: each argument has the name of the method of `Callback` that it replaces."""

    EVENTS = tuple(name for name in vars(Callback) if name.startswith("on_"))

    def __init__(self, **functions: Callable[..., Any] | None) -> None:
        for event, function in functions.items():
            if event not in self.EVENTS:
                raise UsageError(
                    f"LambdaCallback has no {event}", fix=f"choose from {', '.join(self.EVENTS)}"
                )
            if function is not None:
                setattr(self, event, function)


class TerminateOnNaN(Callback):
    """Ends the training, without an error, at a loss that is not finite.

    The weights stay as they were before the batch of that loss.
    """


explain_names(
    __name__,
    {
        "History": "fit returns it",
        "BaseLogger": "fit computes the means of an epoch: leave it out",
        "ProgbarLogger": "fit(verbose=1) prints a line an epoch",
        "BackupAndRestore": "use gpucnn train, whose runs go on after an interruption",
        "RemoteMonitor": "use LambdaCallback(on_epoch_end=...)",
        "SwapEMAWeights": "there is no moving average of weights",
        "CallbackList": "give fit a list of callbacks",
    },
)
