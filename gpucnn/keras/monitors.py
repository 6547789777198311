"""The callbacks that watch one quantity of `logs`."""

from __future__ import annotations

import math
import os
from collections.abc import Collection
from pathlib import Path
from string import Formatter
from typing import Any

from gpucnn.errors import UsageError
from gpucnn.keras.callback import Callback
from gpucnn.keras.compiled import Values
from gpucnn.keras.files import checked_path
from gpucnn.keras.spelling import part
from gpucnn.nn import arguments
from gpucnn.writing import make_folder


class _Monitor(Callback):
    """Base of the callbacks that look for a better value of one quantity.

    Args:
        monitor: its name in `logs`: "val_loss".
        mode: "min", "max", or "auto": by the metric; one of your own needs "min" or "max".
        min_delta: a smaller change is no improvement.
    """

    watches: bool = True  # whether it needs the quantity

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        if mode not in ("auto", "min", "max"):
            raise UsageError(f"mode is {mode!r}", fix='give "auto", "min" or "max"')
        self.monitor = monitor
        self.min_delta = abs(arguments.number(min_delta, "min_delta", "a finite number", 0.001))
        self.mode = mode
        self._set_mode(mode == "min" or (mode == "auto" and "acc" not in monitor))

    def _set_mode(self, falls: bool) -> None:
        self.falls = falls
        self.best = self.worst = math.inf if falls else -math.inf

    def _check_training(self, names: Collection[str]) -> None:
        super()._check_training(names)
        if self.watches and self.monitor not in names:
            cause = f"the training has {', '.join(names)}"
            fix = f"give monitor={list(names)[-1]!r}, or compile with the metric"
            if self.monitor.startswith("val_") and not any(n.startswith("val_") for n in names):
                cause = "fit has no validation data"
                fix = "give validation_data or validation_split"
            raise UsageError(
                f"{type(self).__name__} watches {self.monitor}, which is not there",
                cause=cause,
                fix=fix,
            )
        if self.watches and self.mode == "auto":
            self._find_mode()

    def _find_mode(self) -> None:
        """Take the mode from the metric that is watched, if the name does not tell."""
        metrics = {metric.name: metric for metric in self.model.compiled.metrics}
        metric = metrics.get(self.monitor.removeprefix("val_"))
        if metric is None:
            return
        if metric.rises is None:
            raise UsageError(
                f"{type(self).__name__} watches {self.monitor}, and its mode is not given",
                cause=f"{metric.name} is a metric of your own, and may be better if it is higher or"
                " lower",
                fix='give mode="max" or mode="min"',
            )
        if metric.rises == self.falls:
            best, worst = self.best, self.worst
            self._set_mode(not metric.rises)
            self.best = self.best if best == worst else best

    def better(self, value: float, than: float) -> bool:
        """Whether it is better by more than `min_delta`."""
        return value + self.min_delta < than if self.falls else value - self.min_delta > than


class EarlyStopping(_Monitor):
    """Ends the training when `monitor` was not better for `patience` epochs.

    Args:
        baseline: a value that must be reached within `patience` epochs, or None.
        restore_best_weights: whether the model gets back the weights of the best epoch.
        start_from_epoch: epochs before this one do not count.
    """

    @part
    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = arguments.whole(patience, "patience", 0)
        self.verbose, self.baseline = verbose, baseline
        self.restore_best_weights = arguments.flag(restore_best_weights, "restore_best_weights")
        self.start_from_epoch = arguments.whole(start_from_epoch, "start_from_epoch", 0)

    def on_train_begin(self, logs: Any = None) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.worst
        self.best_weights: Any = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch < self.start_from_epoch:
            return
        value = logs[self.monitor]
        improved = self.better(value, self.best)
        if self.restore_best_weights and (improved or self.best_weights is None):
            self.best_weights = self.model.get_weights()
        self.wait += 1
        if improved:
            self.best, self.best_epoch = value, epoch
            if self.baseline is None or self.better(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        if self.verbose and self.stopped_epoch:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                print(f"Restoring model weights from epoch {self.best_epoch + 1}")
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(_Monitor):
    """Multiplies the learning rate by `factor` when `monitor` was not better for a while.

    Args:
        factor: below 1.
        patience: epochs without an improvement.
        cooldown: epochs after a change that do not count.
        min_lr: the lowest rate.
    """

    @part
    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = arguments.number(
            factor, "factor", "at least 0, below 1", 0.1, least=0, below=1
        )
        self.min_lr = arguments.number(min_lr, "min_lr", "at least 0", 1e-5, least=0)
        self.patience, self.cooldown = (
            arguments.whole(patience, "patience", 0),
            arguments.whole(cooldown, "cooldown", 0),
        )
        self.verbose = verbose

    def on_train_begin(self, logs: Any = None) -> None:
        self.wait = self.cooling = 0
        self.best = self.worst

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        optimizer = self.model.optimizer
        logs["learning_rate"] = optimizer.learning_rate
        if self.cooling:
            self.cooling -= 1
            self.wait = 0
        if self.better(logs[self.monitor], self.best):
            self.best, self.wait = logs[self.monitor], 0
        elif not self.cooling:
            self.wait += 1
            if self.wait >= self.patience and optimizer.learning_rate > self.min_lr:
                rate = max(optimizer.learning_rate * self.factor, self.min_lr)
                optimizer.learning_rate = rate
                self.wait, self.cooling = 0, self.cooldown
                if self.verbose:
                    print(f"Epoch {epoch + 1}: the learning rate is now {rate:.6g}")


class ModelCheckpoint(_Monitor):
    """Saves the model after an epoch.

    Args:
        filepath: a .safetensors file; it may hold "{epoch:02d}", counted from 1, and names of
            `logs`: "model-{epoch:02d}-{val_loss:.2f}.safetensors".
        save_best_only: whether it saves only when `monitor` was better than ever.
        save_weights_only: whether it calls `save_weights` in place of `save`.
        save_freq: "epoch".
        initial_value_threshold: the value that counts as the best before the first epoch.
    """

    @part
    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        if save_freq != "epoch":
            raise UsageError(f"save_freq is {save_freq!r}", fix='only "epoch" is there')
        self.filepath = str(checked_path(filepath))
        self.fields = _fields(self.filepath)
        self.verbose = verbose
        self.save_best_only = arguments.flag(save_best_only, "save_best_only")
        self.save_weights_only = arguments.flag(save_weights_only, "save_weights_only")
        self.watches = self.save_best_only
        if initial_value_threshold is not None:
            self.best = initial_value_threshold

    def _check_training(self, names: Collection[str]) -> None:
        super()._check_training(names)
        for field in self.fields:
            if field != "epoch" and field not in names:
                raise UsageError(
                    f"filepath has {{{field}}}, which is not there",
                    fix=f"use {{epoch}} and those of {', '.join(names)}",
                )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.save_best_only:
            if not self.better(logs[self.monitor], self.best):
                return
            self.best = logs[self.monitor]
        path = Path(self.filepath.format_map(Values(logs, epoch=epoch + 1)))
        make_folder(path.parent, "")
        save = self.model.save_weights if self.save_weights_only else self.model.save
        save(path)
        if self.verbose:
            print(f"Epoch {epoch + 1}: saved {path}")


def _fields(filepath: str) -> list[str]:
    """The names between braces in a path; `UsageError` if they take no numbers."""
    try:
        fields = [field for _, field, _, _ in Formatter().parse(filepath) if field is not None]
        filepath.format(**{field: 1 if field == "epoch" else 0.5 for field in fields})
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise UsageError(
            f"filepath is {filepath}",
            cause=f"numbers cannot be filled in: {error}",
            fix="write names with formats of numbers, as in {epoch:02d} and {val_loss:.2f}",
        ) from error
    return fields
