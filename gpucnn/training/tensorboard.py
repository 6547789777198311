"""A training in TensorBoard: curves, histograms, pictures, the network and its options."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from gpucnn import extras
from gpucnn.errors import GraphError, expect
from gpucnn.spelling import Spellings, explained
from gpucnn.training import pictures
from gpucnn.training.callbacks import Callback
from gpucnn.training.events import EventFile, has_events, remove_events
from gpucnn.training.gradients import gradients
from gpucnn.training.history import History
from gpucnn.training.trainer import Trainer

_SPELLED = Spellings(
    renamed={"logdir": ("log_dir",)},
    instead={
        "update_freq": "TrainConfig(log_interval=) says how often it writes within an epoch",
        "histogram_freq": "it writes histograms after each epoch",
        "profile_batch": "gpucnn profile measures the parts of a step",
    },
    defaults={
        "update_freq": ("epoch",),
        "histogram_freq": (0, 1),
        "write_graph": (True, False),
        "write_grads": (True, False),
        "write_images": (True, False),
        "batch_size": (32,),
        "embeddings_freq": (0,),
        "embeddings_layer_names": (None,),
        "embeddings_metadata": (None,),
        "profile_batch": (0,),
    },
)


class TensorBoard(Callback):
    """Writes what `tensorboard --logdir log_dir` shows of a training.

    The folder `train` in `log_dir` has

    - step/loss, step/accuracy: every `log_interval` steps, the means of the epoch so far;
    - epoch/loss, epoch/accuracy: after each epoch; with `clip_norm` epoch/skipped_steps, too;
    - step/learning_rate, epoch/learning_rate: that of the last step;
    - weights/..., gradients/...: after each epoch, histograms of each parameter and of its
      gradient by the loss of the epoch's last batch, in evaluation mode;
    - filters/...: after each epoch, the weights of the first convolution as a picture;
    - samples: the first images of the first batch, as the network gets them;
    - the graph of the layers;
    - the options of the training, and as final/... its last results, for the page HParams.

    The folder `validation` has epoch/loss and epoch/accuracy of the validation set, if there is
    one. Every point stands at its step, counted from 1 over the whole training. A resumed training
    continues the curves. A new training in the same folder replaces them; a TensorBoard that runs
    then may show old points until it is started again. Trainings at the same time need a folder
    each: the later one deletes the curves of the other.

    Args:
        log_dir: the folder, which is made if it does not exist.

    Raises:
        MissingExtraError: tensorboardX is not installed, or cannot be imported.
        UsageError: `log_dir` is no path.
        StorageError: at the start of the training or later, the folder cannot be written.
    """

    @explained(_SPELLED)
    def __init__(self, log_dir: str | os.PathLike[str] = "logs") -> None:
        modules = "tensorboardX.event_file_writer tensorboardX.summary"
        extras.require("TensorBoard", "tensorboardX", modules, "tensorboard", "tensorboard")
        expect(log_dir, (str, os.PathLike), "log_dir", 'give a folder, as in TensorBoard("logs")')
        self.log_dir = Path(log_dir)
        self._files: dict[str, EventFile] = {}

    def on_train_begin(self, trainer: Trainer) -> None:
        folders = {part: self.log_dir / part for part in ("train", "validation")}
        if not _step(trainer):
            for folder in folders.values():
                remove_events(folder)
        is_new = not has_events(folders["train"])
        if trainer.validation is None:
            del folders["validation"]
        first = _step(trainer) + (trainer.step == 0)
        self._files = {part: EventFile(folder, first) for part, folder in folders.items()}
        if is_new:
            self._describe(trainer)
        if trainer.step:
            self._repeat_points(trainer)

    def _describe(self, trainer: Trainer) -> None:
        """Write the options, the graph of the layers, and the numbers of earlier epochs."""
        from tensorboardX.summary import hparams

        file = self._files["train"]
        metrics = [name for name in _RESULTS if _has(trainer, name)]
        experiment, start, _ = hparams(_options(trainer), {f"final/{name}": 0 for name in metrics})
        file.summaries(0, [experiment, start])
        with contextlib.suppress(GraphError):  # its forward may compute with NumPy, say
            file.graph(trainer.model.graph())
        for record in trainer.records[:-1]:  # of a training that goes on in another folder
            self._write_record(record["epoch"] * trainer.steps_per_epoch, record)

    def _repeat_points(self, trainer: Trainer) -> None:
        """Write the points of the checkpoint's step, after which the training may have died."""
        record = None
        if not trainer.step_in_epoch and not trainer.record_due:
            record = trainer.records[-1]
        self.on_step_end(trainer)
        if trainer.step % trainer.config.log_interval == 0:
            # The sums of an epoch are gone when it is done.
            loss, accuracy = (record["loss"], record["accuracy"]) if record else trainer.read()
            self.on_log(trainer, loss, accuracy)
        if record:
            self.on_epoch_end(trainer, record)

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.step == 1:
            images, *_ = trainer.loader.batch(0, 0)
            pixels = pictures.samples(trainer.backend.to_numpy(images[: pictures.SAMPLES]))
            if pixels is not None:
                self._files["train"].image(_step(trainer), "samples", pixels)

    def on_log(self, trainer: Trainer, loss: float, accuracy: float) -> None:
        rate = float(trainer.learning_rates[trainer.step - 1])
        values = {"loss": loss, "accuracy": accuracy, "learning_rate": rate}
        self._files["train"].scalars(_step(trainer), "step", values)

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        step, file = _step(trainer), self._files["train"]
        self._write_record(step, record)
        weights = {path: p.numpy() for path, p in trainer.model.named_parameters().items()}
        file.histograms(step, "weights", weights)
        batch = trainer.loader.batch(len(trainer.records) - 1, trainer.steps_per_epoch - 1)
        file.histograms(step, "gradients", gradients(trainer, batch))
        path = next((path for path, weight in weights.items() if weight.ndim == 4), None)
        if path is not None:
            file.image(step, f"filters/{path}", pictures.filters(weights[path]))

    def _write_record(self, step: int, record: dict[str, Any]) -> None:
        """Write the numbers of an epoch."""
        keys = ("loss", "accuracy", "learning_rate", "skipped_steps")
        values = {key: record[key] for key in keys if key in record}
        self._files["train"].scalars(step, "epoch", {**record.get("metrics", {}), **values})
        if record["val_loss"] is not None:
            values = {"loss": record["val_loss"], "accuracy": record["val_accuracy"]}
            held = {**record.get("val_metrics", {}), **values}
            self._files["validation"].scalars(step, "epoch", held)

    def on_train_end(self, trainer: Trainer, history: History) -> None:
        from tensorboardX.summary import hparams

        test = {f"test_{key}": value for key, value in (history.test or {}).items()}
        found = {**(history.records[-1] if history.records else {}), **test}
        values = {name: found[name] for name in _RESULTS if found.get(name) is not None}
        self._files["train"].scalars(_step(trainer), "final", values)
        *_, end = hparams({}, {})
        self._files["train"].summaries(_step(trainer), [end])

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()


#: The results of a training -> the part of the data that each is of.
_RESULTS = {
    "loss": "loader", "accuracy": "loader", "val_loss": "validation", "val_accuracy": "validation",
    "test_loss": "test", "test_accuracy": "test",
}  # fmt: skip


def _has(trainer: Trainer, result: str) -> bool:
    """Whether a training has data for a result."""
    return getattr(trainer, _RESULTS[result]) is not None


def _options(trainer: Trainer) -> dict[str, Any]:
    """The options that decide the result of a training, without those that are off."""
    config = trainer.config
    options = {"data": trainer.data.name, **config.deciding(trainer.backend.name)}
    options["model"] = trainer.model.name or type(trainer.model).__name__
    return {key: value for key, value in options.items() if value is not None}


def _step(trainer: Trainer) -> int:
    """The number of steps done, with those of the epochs before `trainer.first_epoch`."""
    return trainer.first_epoch * trainer.steps_per_epoch + trainer.step
