"""`Sequential` with Keras's verbs: compile, fit, evaluate, predict, save.

    model = Sequential([Dense(512, activation="relu"), Dense(10, activation="softmax")])
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, to_categorical(y_train), epochs=5, batch_size=128)

Images are (N, C, H, W), not (N, H, W, C), and each `fit` starts its optimizer afresh.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from gpucnn import backend as backends
from gpucnn.autograd import Tensor, no_grad
from gpucnn.errors import UsageError
from gpucnn.keras import arrays, files, fitting, losses, optimizers, outputs
from gpucnn.keras import metrics as metrics_
from gpucnn.keras.base import Base
from gpucnn.keras.batches import Stream, checked_steps, is_stream, size_for_steps
from gpucnn.keras.spelling import verb
from gpucnn.keras.stepping import Stepper
from gpucnn.keras.training import Compiled, FitHistory, Fitted
from gpucnn.nn.arguments import is_whole
from gpucnn.spelling import explain_names
from gpucnn.training.evaluation import BATCH_SIZE, evaluate_batches

__all__ = ["FitHistory", "Score", "Sequential", "load_model"]


class Score(NamedTuple):
    """What `evaluate` gives: the mean loss and the share of right answers."""

    loss: float
    accuracy: float


class Sequential(Base):
    """`gpucnn.nn.Sequential` with Keras's verbs."""

    _stepper: Stepper | None = None
    _fitted: Fitted | None = None

    @property
    def history(self) -> FitHistory | None:
        """What the last `fit` gave; None before the first."""
        return None if self._fitted is None else self._fitted.history

    @verb
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = "categorical_crossentropy",
        metrics: Any = (),
        *,
        learning_rate: float | None = None,
        schedule: str = "constant",
        device: str = "auto",
        seed: int | None = None,
    ) -> None:
        """Say how `fit` is to train.

        A final softmax (or, for binary cross-entropy, sigmoid) is left out where the loss is
        computed, which is then that of the logits and stable; `predict` applies it. It may be the
        last layer or the activation of that, also of a `Sequential` in this one. Where the model
        ends otherwise in what may be probabilities, as in a Dropout after a softmax or in a layer
        of your own, the loss is that of probabilities, clipped as in Keras.

        Args:
            optimizer: "sgd", "rmsprop", "adam" or "adamw", or an object of
                `gpucnn.keras.optimizers`.
            loss: "categorical_crossentropy", for one-hot targets or class ids;
                "sparse_categorical_crossentropy", the same; "binary_crossentropy";
                "mean_squared_error" or "mse"; or an object of `gpucnn.keras.losses`.
            metrics: "accuracy" or another of Keras's names of it, or a list; the history calls it
                so.
            learning_rate: by default Keras's: 1e-2 for sgd, else 1e-3.
            schedule: of the learning rate over a `fit`, a name of `gpucnn.schedules`.
            device: "cpu", "cuda", "auto".
            seed: of the initial weights, the order of the images and dropout. By default the
                first model of a process has that of `utils.set_random_seed`, or 0, and each that
                follows one of its own, derived from that. It must come before the weights are
                drawn, which `summary`, `build` and `get_weights` do too.

        Raises:
            UsageError: one of these is not known, the final activation is one that the loss does
                not go with, or the weights were drawn with another seed.
        """
        compiled = Compiled(
            optimizers.get(optimizer, learning_rate),
            losses.get(loss),
            metrics_.get(metrics),
            schedule,
            device,
            self.take_seed(seed),
        )
        compiled.config()  # refuses what is not acceptable, now and not in fit
        backends.get(device)
        outputs.check_loss(self, compiled.loss)
        self.compiled, self._stepper, self._own_seed = compiled, None, compiled.seed

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
    ) -> FitHistory:
        """Train on x (N, ...), taken as float32, and y: class ids (N,) or targets (N, K).

        Args:
            x: arrays, lists or a Tensor; or, without `y`, a generator of batches (x, y) or
                (x, y, sample_weight), or a Sequence of them with `__len__` and `__getitem__`.
            batch_size: 32 by default; with `steps_per_epoch` so many that these hold all examples.
            epochs: number of the last epoch.
            verbose: 0 for silence, else one line an epoch on stdout.
            callbacks: one or a list, of `gpucnn.keras.callbacks` or `gpucnn.training.Callback`.
            validation_split: share of the last examples that is held out, as Keras counts them.
            validation_data: (x, y), (x, y, sample_weight) or what gives batches; goes before
                `validation_split`.
            shuffle: whether every epoch has an order of its own.
            class_weight: class id -> how much its examples count in the loss; others count 1.
            sample_weight: (N,), how much each example counts. The loss of a batch is the sum of
                weight times loss over the number of examples.
            initial_epoch: number of the first epoch, from 0; those before it are not trained.
            steps_per_epoch: batches of an epoch; the next epoch goes on with those after them.
            validation_steps: batches of the validation, the first ones, the same in every epoch.
            validation_batch_size: of the validation, as `batch_size`.

        Raises:
            UsageError: `compile` was not called, or an option is not acceptable.
            DataError: x and y do not fit together or hold NaN.
            ShapeError: they do not fit the model.
            DivergedError: the loss was not finite.
        """
        history = fitting.fit(
            self,
            self.require_compiled("fit"),
            (x, y, sample_weight),
            batch_size=batch_size,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_split=validation_split,
            validation_data=validation_data,
            shuffle=shuffle,
            class_weight=class_weight,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_batch_size=validation_batch_size,
        )
        self._fitted = Fitted(history)
        return history

    @verb
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Mean loss and accuracy on x and y, in evaluation mode; see `fit` for these.

        Args:
            verbose: it prints nothing, whatever this is.
            batch_size: 256 by default; with `steps` so many that these hold all examples.
            steps: batches to take; by default all. A generator needs it.

        Returns:
            (loss, accuracy); the loss alone if `compile` was given no metrics; a list with a number
            for each metric if it was given several; or a dict by name.
        """
        compiled = self.require_compiled("evaluate")
        batches: Any = fitting.open_batches(
            self,
            x,
            y,
            sample_weight,
            batch_size=BATCH_SIZE if batch_size is None and steps is None else batch_size,
            steps=steps,
            option="steps",
            repeat=False,
        )
        result = evaluate_batches(self, batches, compiled.loss.function, self.for_loss())
        if return_dict:
            return compiled.named(result["loss"], result["accuracy"])
        if len(compiled.metrics) == 1:
            return Score(**result)
        return compiled.listed(**result)

    @verb
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
    ) -> Any:
        """The outputs for x (N, ...), a NumPy array (N, K); probabilities after a final softmax.

        Args:
            x: arrays, lists or a Tensor; or what gives batches, x or (x, ...).
            batch_size: 256 by default; with `steps` so many that these hold all examples.
            steps: batches to take; by default all. A generator needs it.
        """
        wanted = None if steps is None else checked_steps(steps, "steps")
        if batch_size is not None and (not is_whole(batch_size) or batch_size < 1):
            raise UsageError(f"batch_size is {batch_size!r}", fix="give a batch_size of at least 1")
        if is_stream(x):
            stream = Stream(x, steps, option="steps", repeat=False)
            self.prepare((0, *stream.image_shape))
            batches: Iterable[Any] = stream.inputs()
        else:
            images = arrays.images(x)
            self.prepare(images.shape)
            default = BATCH_SIZE if wanted is None else size_for_steps(len(images), wanted)
            size = batch_size or default
            # At least one batch, so that an empty input gives an empty output.
            starts = range(0, max(len(images), 1), size)[:wanted]
            batches = (images[i : i + size] for i in starts)
        backend = backends.get(self.device)
        with self.evaluating(), no_grad():
            return np.concatenate(
                [self(Tensor(backend.asarray(batch))).numpy() for batch in batches]
            )

    @verb
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """One step on a batch, with an optimizer that stays from one call to the next.

        It is made afresh by `compile`, and once a layer was put in or taken out.

        Returns:
            [loss, accuracy] of the batch before the step, with a number for each metric; the loss
            alone if `compile` was given no metrics; or a dict by name.

        Raises:
            DivergedError: the loss is not finite; the weights are as they were.
        """
        compiled = self.require_compiled("train_on_batch")
        batch = fitting.open_dataset(self, x, y, sample_weight, class_weight)
        if self._stepper is None or self._stepper.shaped is not self._shaped:
            self._stepper = Stepper(self, compiled, self.for_loss())
        loss, accuracy = self._stepper(batch)
        if return_dict:
            return compiled.named(loss, accuracy)
        return compiled.listed(loss, accuracy)

    @verb
    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """`evaluate` on one batch, in the form of `train_on_batch`."""
        images = arrays.images(x)
        size = max(len(images), 1)
        found = self.evaluate(images, y, size, sample_weight=sample_weight, return_dict=return_dict)
        return list(found) if isinstance(found, Score) else found

    @verb
    def predict_on_batch(self, x: Any) -> Any:
        """`predict` on one batch."""
        images = arrays.images(x)
        return self.predict(images, batch_size=max(len(images), 1))


@verb
def load_model(
    filepath: str | os.PathLike[str], compile: bool = True, *, device: str = "auto"
) -> Sequential:
    """The model of a file of `Sequential.save`, built, with its weights and compiled as it was.

    Args:
        compile: whether it is to be compiled.
        device: where it is to compute.

    Raises:
        DataError: there is no such file, it is damaged, or holds no model.
    """
    return files.load(filepath, device, compile)


explain_names(
    __name__,
    {
        "Model": "use Sequential([...]), or a gpucnn.nn.Module with a forward of your own",
        "clone_model": "make the model again by your own code",
        "model_from_json": "use load_model",
    },
)
