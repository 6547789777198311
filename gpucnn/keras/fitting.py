"""The verb `fit`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

import gpucnn.training
from gpucnn import backend as backends
from gpucnn.data import Reading, Splits
from gpucnn.errors import DivergedError, GpucnnWarning, UsageError
from gpucnn.keras import files
from gpucnn.keras.base import Base
from gpucnn.keras.batches import Arrays, Epochs, Stream, is_stream
from gpucnn.keras.callbacks import TerminateOnNaN
from gpucnn.keras.compiled import FitHistory, Fitted
from gpucnn.keras.opening import open_batches, split, unpacked
from gpucnn.keras.spelling import verb
from gpucnn.keras.training import Bridge, KerasTrainer, split_callbacks
from gpucnn.nn.arguments import flag, is_whole
from gpucnn.training import Run, save_run


class Trainable(Base):
    """A `Base` with the verb `fit`."""

    _fitted: Fitted | None = None

    @property
    def history(self) -> FitHistory | None:
        """The result of the last `fit`; None before the first."""
        return None if self._fitted is None else self._fitted.history

    @verb
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        *,
        show_accuracy: bool = False,
    ) -> FitHistory:
        """Train on x (N, ...), converted to float32, and y: class ids (N,) or targets (N, K).

        Args:
            x: arrays, lists or a Tensor; or, without `y`, a generator of batches (x, y) or
                (x, y, sample_weight), or a Sequence of them with `__len__` and `__getitem__`.
            batch_size: 32 by default; with `steps_per_epoch` so many that these hold all examples.
            epochs: number of the last epoch.
            verbose: 0 for silence, else one line an epoch on stdout.
            callbacks: one or a list, of `gpucnn.keras.callbacks` or `gpucnn.training.Callback`.
            validation_split: fraction of the examples, the last ones, left for the validation.
            validation_data: (x, y), (x, y, sample_weight), or a generator or Sequence of these; it
                takes precedence over `validation_split`.
            shuffle: whether every epoch has an order of its own.
            class_weight: class id -> how much its examples count in the loss; others count 1.
            sample_weight: (N,), how much each example counts. The loss of a batch is the sum of
                weight times loss over the number of examples.
            initial_epoch: number of the first epoch, from 0; it skips those before.
            steps_per_epoch: batches of an epoch; the next epoch goes on with those after them.
            validation_steps: batches of the validation, the first ones, the same in every epoch.
            validation_batch_size: the same as `batch_size`, for the validation.
            show_accuracy: whether the history has "acc" if `compile` got no metrics, as in the
                first versions of Keras.

        Raises:
            UsageError: `compile` was not called, or an option is not valid.
            DataError: x and y do not fit together or hold NaN.
            ShapeError: they do not fit the model.
            DivergedError: the loss was not finite.
        """
        compiled = self.require_compiled("fit").showing(flag(show_accuracy, "show_accuracy"))
        keras_callbacks, own = split_callbacks(callbacks)
        if verbose not in ("auto", 0, 1, 2):
            raise UsageError(f"verbose is {verbose!r}", fix='give "auto", 0, 1 or 2')
        config = compiled.config(
            batch_size=32 if batch_size is None else batch_size,
            epochs=_count(epochs, initial_epoch),
            # A generator keeps no batch: the loss is checked after each step.
            log_interval=1 if is_stream(x) else 50,
        )
        train_epochs = Epochs(
            batch_size=config.batch_size if steps_per_epoch is None else batch_size,
            steps=steps_per_epoch,
            option="steps_per_epoch",
            repeat=True,
            first=initial_epoch,
            seed=compiled.seed,
            shuffle=flag(shuffle, "shuffle"),
        )
        if validation_batch_size is None and validation_steps is not None:
            validation_batch_size = batch_size
        validation_epochs = partial(  # without a validation these have no effect
            Epochs, batch_size=validation_batch_size, steps=validation_steps,
            option="validation_steps",
        )  # fmt: skip
        backend = backends.get(compiled.device)
        given = (x, y, sample_weight)
        train: Arrays | Stream
        validation: Arrays | Stream | None = None
        if validation_split and validation_data is None:
            dataset, rest = split(self, given, class_weight, validation_split)
            train = Arrays(dataset, train_epochs, backend)
            validation = Arrays(rest, validation_epochs(), backend)
        else:
            train = open_batches(self, *given, class_weight, epochs=train_epochs, backend=backend)
            if validation_data is not None:
                validation = open_batches(
                    self,
                    *unpacked(validation_data),
                    epochs=validation_epochs(),
                    backend=backend,
                    part="validation ",
                )
        trainer = KerasTrainer(self, config, train, validation, initial_epoch)
        bridge = Bridge(
            self, compiled, keras_callbacks, epochs, initial_epoch, verbose=bool(verbose)
        )
        train.extend(self.extend_range())
        result = None
        try:
            result = gpucnn.training.fit_trainer(trainer, [bridge, *own])
        except DivergedError as error:
            if not any(isinstance(callback, TerminateOnNaN) for callback in keras_callbacks):
                raise
            print(f"{error.message}: the training ends")
            bridge.end_with_nan()
        self._fitted = Fitted(bridge.history, result)
        return bridge.history

    @verb
    def save_run(
        self,
        filepath: str | os.PathLike[str],
        *,
        data: Splits | None = None,
        class_names: Sequence[str] | None = None,
        scale: float | None = None,
        offset: float | None = None,
        reading: Reading | None = None,
        loss: str | None = None,
    ) -> Run:
        """Write the model as a run, which `gpucnn predict` and the other commands take.

        The curves are those of the last `fit`. A softmax or sigmoid at the end is left out if the
        loss includes it, as `predict` applies it.

        Args:
            filepath: of the run, a directory that must not exist.
            data, class_names, reading: as in `gpucnn.training.save_run`.
            scale, offset: the model takes pixel * scale + offset, for pixels from 0 to 255. By
                default the inputs of the training tell them: 1/255 and 0 if they were from 0 to 1,
                1 and 0 if they were whole numbers up to 255. Without a training, with a
                `GpucnnWarning`, 1/255 and 0. If the images of `data` are floats, as in
                `gpucnn.training.save_run`.
            loss: a name of `gpucnn.training.TrainConfig.loss`; by default that of `compile`, if it
                has one. It tells what the outputs are.

        Raises:
            UsageError: as `save_run`; a layer is of a class of one's own; or the inputs of the
                training were others, and `scale` or `offset` is not given.
            StorageError: the run cannot be written.
        """
        scale, offset = self._scaling(data, scale, offset)
        config = self.compiled.config() if self.compiled else None
        return save_run(
            files.without_verbs(self),
            filepath,
            data=data,
            class_names=class_names,
            scale=scale,
            offset=offset,
            reading=reading,
            loss=loss,
            config=config,
            history=None if self._fitted is None else self._fitted.result,
        )

    def _scaling(
        self, data: Splits | None, scale: float | None, offset: float | None
    ) -> tuple[float | None, float | None]:
        """Scale and offset; those that are not given as the inputs of the training tell them."""
        if scale is not None and offset is not None:
            return scale, offset
        if self.trained_on is not None and (data is None or data.train.holds_pixels):
            known = self.trained_on.scaling()
            return known[0] if scale is None else scale, known[1] if offset is None else offset
        if data is None:
            warnings.warn(
                "the run takes pixels / 255: how pixels become the inputs of this model is not"
                " known, as it was not trained here\nfix: give scale and offset, as in"
                " scale=1 / 255, offset=0",
                GpucnnWarning,
                stacklevel=4,
            )
        return scale, offset


def _count(last: Any, first: Any) -> Any:
    """The number of epochs to train; `TrainConfig` checks that it is valid."""
    if not is_whole(first) or first < 0 or (first and is_whole(last) and first >= last):
        raise UsageError(
            f"initial_epoch is {first!r}, epochs is {last!r}",
            cause="they are the numbers of the first epoch, from 0, and of the last, from 1",
            fix="give a larger number of epochs",
        )
    return last - first if first else last
