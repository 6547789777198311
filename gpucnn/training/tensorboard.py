"""Curves of a training for TensorBoard, written by tensorboardX."""

from __future__ import annotations

import importlib.util
import os
import time
from pathlib import Path
from typing import Any

from gpucnn.errors import MissingExtraError, expect
from gpucnn.spelling import Spellings, explained
from gpucnn.training.callbacks import Callback
from gpucnn.training.files import storage_errors
from gpucnn.training.trainer import Trainer

_ENDING = ".gpucnn"  # of the names of our files
_SPELLED = Spellings(
    renamed={"logdir": ("log_dir",)},
    instead={
        "update_freq": "TrainConfig(log_interval=) says how often it writes within an epoch",
        "histogram_freq": "it writes curves, and no histograms",
        "write_graph": "Module.graph() draws the layers",
        "write_images": "gpucnn.plots.show_filters draws the filters",
        "profile_batch": "gpucnn profile measures the parts of a step",
    },
    defaults={
        "update_freq": ("epoch",),
        "histogram_freq": (0,),
        "write_graph": (True, False),
        "write_grads": (False,),
        "write_images": (False,),
        "batch_size": (32,),
        "embeddings_freq": (0,),
        "embeddings_layer_names": (None,),
        "embeddings_metadata": (None,),
        "profile_batch": (0,),
    },
)


class TensorBoard(Callback):
    """Writes loss, accuracy and learning rate, which `tensorboard --logdir log_dir` shows.

    The folder `train` in `log_dir` has the curves of the training images:

    - step/loss, step/accuracy: every `log_interval` steps, the means of the epoch so far;
    - epoch/loss, epoch/accuracy: after each epoch;
    - step/learning_rate, epoch/learning_rate: that of the last step.

    The folder `validation` has epoch/loss and epoch/accuracy of the validation set, if there is
    one. Every point stands at its step, counted from 1 over the whole training. A resumed training
    continues the curves. A new training in the same folder replaces them; a TensorBoard that runs
    then may show old points until it is started again. Trainings at the same time need a folder
    each: the later one deletes the curves of the other.

    Args:
        log_dir: the folder, which is made if it does not exist.

    Raises:
        MissingExtraError: tensorboardX is not installed.
        UsageError: `log_dir` is no path.
        StorageError: at the start of the training or later, the folder cannot be written.
    """

    @explained(_SPELLED)
    def __init__(self, log_dir: str | os.PathLike[str] = "logs") -> None:
        if importlib.util.find_spec("tensorboardX") is None:
            raise MissingExtraError(
                "TensorBoard needs tensorboardX, which is not installed",
                fix='pip install "gpucnn[tensorboard]" tensorboard',
            )
        expect(log_dir, (str, os.PathLike), "log_dir", 'give a folder, as in TensorBoard("logs")')
        self.log_dir = Path(log_dir)
        self._curves: dict[str, _Curves] = {}

    def on_train_begin(self, trainer: Trainer) -> None:
        folders = {part: self.log_dir / part for part in ("train", "validation")}
        if not _step(trainer):
            for folder in folders.values():
                _remove_curves(folder)
        if trainer.validation is None:
            del folders["validation"]
        first = _step(trainer) + (trainer.step == 0)
        self._curves = {part: _Curves(folder, first) for part, folder in folders.items()}
        if trainer.step:
            self._repeat_points(trainer)

    def _repeat_points(self, trainer: Trainer) -> None:
        """Write the points of the checkpoint's step, after which the training may have died."""
        record = None
        if not trainer.step_in_epoch and not trainer.record_due:
            record = trainer.records[-1]
        if trainer.step % trainer.config.log_interval == 0:
            # The sums of an epoch are gone when it is done.
            loss, accuracy = (record["loss"], record["accuracy"]) if record else trainer.read()
            self.on_log(trainer, loss, accuracy)
        if record:
            self.on_epoch_end(trainer, record)

    def on_log(self, trainer: Trainer, loss: float, accuracy: float) -> None:
        rate = float(trainer.learning_rates[trainer.step - 1])
        values = {"loss": loss, "accuracy": accuracy, "learning_rate": rate}
        self._curves["train"].add("step", _step(trainer), values)

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        values = {key: record[key] for key in ("loss", "accuracy", "learning_rate")}
        self._curves["train"].add("epoch", _step(trainer), values)
        if record["val_loss"] is not None:
            values = {"loss": record["val_loss"], "accuracy": record["val_accuracy"]}
            self._curves["validation"].add("epoch", _step(trainer), values)

    def close(self) -> None:
        for curves in self._curves.values():
            curves.close()
        self._curves.clear()


class _Curves:
    """A new file of points in a folder; points of earlier files from step `first` on are void.

    tensorboardX's SummaryWriter hands its points to a thread, and its `flush` does not wait for
    them. This class writes the file itself, so that a point is on the disk before the checkpoint
    of a later step.
    """

    def __init__(self, folder: Path, first: int) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self.folder = folder
        with storage_errors(folder, ""):
            folder.mkdir(parents=True, exist_ok=True)
            # TensorBoard reads the files in the order of their names, which begin with the second.
            self._file = EventsWriter(str(folder / "events"), f".{time.time_ns()}{_ENDING}")
            start = SessionLog(status=SessionLog.START)
            self._file.write_event(Event(step=first, wall_time=time.time(), session_log=start))
            self._file.flush()

    def add(self, group: str, step: int, values: dict[str, float]) -> None:
        """Write the points "group/name" of a step, by name."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        with storage_errors(self.folder, ""):
            for name, value in values.items():
                summary = scalar(f"{group}/{name}", value)
                self._file.write_event(Event(step=step, wall_time=time.time(), summary=summary))
            self._file.flush()

    def close(self) -> None:
        with storage_errors(self.folder, ""):
            self._file.close()


def _remove_curves(folder: Path) -> None:
    """Delete the files that an earlier training wrote here; those of other programs stay."""
    with storage_errors(folder, ""):
        for file in folder.glob(f"*{_ENDING}"):
            file.unlink(missing_ok=True)  # another training may begin here at the same time


def _step(trainer: Trainer) -> int:
    """The number of steps done, with those of the epochs before `trainer.first_epoch`."""
    return trainer.first_epoch * trainer.steps_per_epoch + trainer.step
