"""The callbacks of `fit`: early stopping, the run directory, signals; and their base class."""

from __future__ import annotations

import json
import signal
import threading
from types import FrameType
from typing import Any

from gpucnn.errors import UsageError
from gpucnn.nn.arguments import is_whole
from gpucnn.printing import Printable
from gpucnn.spelling import Spellings, explained
from gpucnn.training import checkpoint
from gpucnn.training.divergence import first_bad
from gpucnn.training.history import History, best_epoch
from gpucnn.training.run import Run
from gpucnn.training.trainer import Trainer
from gpucnn.writing import append_line


class Callback(Printable):
    """The base class: override some methods. Setting `trainer.stop` ends the training."""

    def on_train_begin(self, trainer: Trainer) -> None:
        """Before the first step, with the checkpoint loaded if there is one."""

    def on_step_end(self, trainer: Trainer) -> None:
        """After every step. The device may still compute: read nothing from it."""

    def on_log(self, trainer: Trainer, loss: float, accuracy: float) -> None:
        """Every `log_interval` steps, with the mean loss and accuracy of the epoch so far."""

    def on_note(self, trainer: Trainer, note: str) -> None:
        """A sentence for the user about the training, such as why it is slower than it may be."""

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        """After an epoch and its validation; `record` is its line of metrics.jsonl."""

    def on_train_end(self, trainer: Trainer, history: History) -> None:
        """After a training that was not interrupted, and after the test."""

    def close(self) -> None:
        """Always called last, however the training ended."""


_EARLY_STOPPING = Spellings(
    instead=dict.fromkeys(
        ("monitor", "min_delta", "mode", "verbose", "baseline", "restore_best_weights"),
        "gpucnn.keras.callbacks.EarlyStopping has it; this one watches the validation accuracy",
    )
)


class EarlyStopping(Callback):
    """Ends the training after `patience` epochs without a better validation accuracy.

    Raises:
        UsageError: `patience` is below 1, or there is no validation set.
    """

    @explained(_EARLY_STOPPING)
    def __init__(self, patience: int) -> None:
        if not is_whole(patience) or patience < 1:
            raise UsageError(f"patience is {patience!r}", fix="give a whole number of at least 1")
        self.patience = patience

    def on_train_begin(self, trainer: Trainer) -> None:
        if trainer.validation is None:
            raise UsageError(
                "early stopping needs a validation set, and there is none",
                fix="hold images out, or leave the callback out",
            )
        self._check(trainer)

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        self._check(trainer)

    def _check(self, trainer: Trainer) -> None:
        # From the records alone, so that a resumed run stops where the uninterrupted one does.
        best = best_epoch(trainer.records)
        if best and len(trainer.records) - best >= self.patience:
            trainer.stop = "early-stopping"


class Checkpointer(Callback):
    """Writes the run directory: metrics, best weights, and the checkpoint to resume from.

    A crash may come after any file of an epoch: the line of metrics, the best weights, then the
    checkpoint, which completes the epoch. A resumed run discards everything after its checkpoint.
    """

    def __init__(self, run: Run, every: int | None) -> None:
        self.run = run
        self.every = every
        self.saved_step: int | None = None  # the step of the checkpoint on the disk

    def resume(self, trainer: Trainer) -> None:
        """Restore `trainer` from the checkpoint, if there is one."""
        if self.run.has_checkpoint():
            checkpoint.resume(self.run.weights, trainer.restore)
            self.saved_step = trainer.step

    def on_train_begin(self, trainer: Trainer) -> None:
        self.save(trainer)
        self.run.begin()
        self.run.write_metrics(trainer.records)

    def on_step_end(self, trainer: Trainer) -> None:
        if self.every and trainer.step % self.every == 0 and trainer.step_in_epoch:
            self.save(trainer)

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        snapshot = self._snapshot(trainer)
        append_line(self.run.metrics, json.dumps(record, allow_nan=False))
        if best_epoch(trainer.records) == len(trainer.records):
            checkpoint.save_weights(self.run.best, snapshot.weights, snapshot.description)
        self._write(snapshot, trainer.step)

    def on_train_end(self, trainer: Trainer, history: History) -> None:
        if history.test is not None:
            self.run.write_metrics(history.lines())
        self.run.end(history.reason, history.seconds)

    def save(self, trainer: Trainer) -> None:
        """Write the checkpoint of this step, if it is not the one on the disk.

        Raises:
            DivergedError: there are infinities or NaNs in it; the one on the disk is left.
            StorageError: it cannot be written; the one on the disk is left.
        """
        if self.saved_step != trainer.step:
            trainer.read()
            self._write(self._snapshot(trainer), trainer.step)

    def _snapshot(self, trainer: Trainer) -> checkpoint.Checkpoint:
        snapshot = trainer.snapshot()
        if bad := first_bad(snapshot.weights):
            raise trainer.diverged("the weights are not finite", f"{bad} was made so by its update")
        return snapshot

    def _write(self, snapshot: checkpoint.Checkpoint, step: int) -> None:
        checkpoint.save(self.run.weights, snapshot)
        self.saved_step = step


class StopOnSignal(Callback):
    """Ctrl-C or SIGTERM end the training after the current step; a second one, at once.

    During a validation the first waits for its end. The second ends it; the checkpoint is then that
    of the epoch's last step.
    """

    def __init__(self) -> None:
        self._requested = False
        self._at_once = False
        self._before: dict[signal.Signals, Any] = {}

    def on_train_begin(self, trainer: Trainer) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)

    def on_step_end(self, trainer: Trainer) -> None:
        if self._requested:
            trainer.stop = "interrupted"

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        self.on_step_end(trainer)

    def close(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def stop_at_once(self) -> None:
        """From now on, because everything is saved, the first signal raises KeyboardInterrupt."""
        self._at_once = True
        if self._requested:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._requested or self._at_once:
            raise KeyboardInterrupt
        self._requested = True
