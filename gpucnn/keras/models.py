"""`Sequential` with Keras's verbs: compile, fit, evaluate, predict, save.

    model = Sequential([Dense(512, activation="relu"), Dense(10, activation="softmax")])
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, to_categorical(y_train), epochs=5, batch_size=128)

Images are (N, C, H, W), not (N, H, W, C), and each `fit` starts its optimizer afresh.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gpucnn import backend as backends
from gpucnn.autograd import Tensor, no_grad
from gpucnn.keras import arrays, files, losses, optimizers, outputs
from gpucnn.keras import metrics as metrics_
from gpucnn.keras.batches import Epochs, Stream, is_stream
from gpucnn.keras.compiled import Compiled, FitHistory
from gpucnn.keras.fitting import Trainable
from gpucnn.keras.opening import open_batches, open_dataset
from gpucnn.keras.spelling import verb
from gpucnn.keras.stepping import Stepper
from gpucnn.nn import structure
from gpucnn.nn.arguments import flag
from gpucnn.spelling import explain_names
from gpucnn.training.evaluation import evaluate_batches

__all__ = ["FitHistory", "Score", "Sequential", "load_model"]


class Score(NamedTuple):
    """The result of `evaluate`: the mean loss and the fraction of right answers."""

    loss: float
    accuracy: float


class Sequential(Trainable):
    """`gpucnn.nn.Sequential` with Keras's verbs."""

    _stepper: Stepper | None = None

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
        graph: bool | None = None,
    ) -> None:
        """Set the optimizer, the loss and the metrics of `fit`.

        If the model ends in the activation of the loss (softmax; sigmoid for binary cross-entropy),
        the loss is computed from the logits before it, which is stable, and `predict` applies it.
        The activation may be a layer, that of the last layer, or at the end of a `Sequential` in
        this model. Probabilities from another layer, such as a Dropout after a softmax or a layer
        of your own, are clipped as in Keras.

        Args:
            optimizer: "sgd", "rmsprop", "adam" or "adamw", or an object of
                `gpucnn.keras.optimizers`.
            loss: "categorical_crossentropy", for one-hot targets or class ids;
                "sparse_categorical_crossentropy", the same; "binary_crossentropy";
                "mean_squared_error" or another name or object of `gpucnn.keras.losses`; or a
                function of your own, (y_true, y_pred) -> a Tensor of one number, or of one for each
                example: see `gpucnn.keras.own`.
            metrics: "accuracy" or another of Keras's names of it, which the history uses too;
                another name or object of `gpucnn.keras.metrics`; a function as for `loss`; or a
                list of these.
            learning_rate: by default Keras's: 1e-2 for sgd, else 1e-3.
            schedule: a name of `gpucnn.schedules`; it changes the learning rate during a `fit`.
            device: "cpu", "cuda", "auto".
            seed: for the initial weights, the order of the images and dropout. By default the first
                model of a process has the seed of `utils.set_random_seed`, or 0, and each later one
                a seed derived from that. It must come before the weights are drawn, also by
                `summary`, `build` or `get_weights`.
            graph: whether `fit` launches each step as one CUDA graph; by default if the model, the
                loss and the metrics hold no code of your own.

        Raises:
            UsageError: an argument is not known, the loss does not go with the final activation, or
                the weights were drawn with another seed.
        """
        compiled = Compiled(
            optimizers.get(optimizer, learning_rate),
            losses.get(loss),
            metrics_.get(metrics),
            schedule,
            device,
            self.take_seed(seed),
            graph,
        )
        compiled.config()  # checks the arguments now, and not in fit
        backends.get(device)
        outputs.check_loss(self, compiled.loss)
        self.compiled, self._stepper, self._own_seed = compiled, None, compiled.seed

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
        *,
        show_accuracy: bool = False,
    ) -> Any:
        """The mean loss and the metrics on x and y, as `fit` takes them, in evaluation mode.

        Args:
            verbose: without effect: nothing is printed.
            batch_size: 256 by default; with `steps` so many that these hold all examples.
            steps: batches to take; by default all. A generator needs it.
            show_accuracy: whether the accuracy is given if `compile` got no metrics, as in the
                first versions of Keras.

        Returns:
            (loss, accuracy) if the accuracy is the one metric; the loss alone if `compile` got no
            metrics; else a list of the loss and a number for each metric; or a dict by name.
        """
        shown = flag(show_accuracy, "show_accuracy")
        compiled = self.require_compiled("evaluate").showing(shown)
        batches: Any = open_batches(
            self, x, y, sample_weight, epochs=Epochs(batch_size=batch_size, steps=steps)
        )
        network = self.for_loss()
        found = evaluate_batches(
            self, batches, compiled.loss.function, network, metrics=self.measured(network)
        )
        is_score = len(compiled.metrics) == 1 and compiled.metrics[0].is_accuracy
        return (
            Score(**found) if is_score and not return_dict else compiled.result(found, return_dict)
        )

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
            x: arrays, lists or a Tensor; or a generator or Sequence of batches, x or (x, ...).
            batch_size: 256 by default; with `steps` so many that these hold all examples.
            steps: batches to take; by default all. A generator needs it.
        """
        epochs = Epochs(batch_size=batch_size, steps=steps)
        if is_stream(x):
            stream = Stream(x, epochs)
            self.prepare((0, *stream.image_shape))
            batches: Iterable[Any] = stream.inputs()
        else:
            images = arrays.images(x)
            self.prepare(images.shape)
            size = epochs.size(len(images))
            # At least one batch, so that an empty input gives an empty output.
            starts = range(0, max(len(images), 1), size)[:steps]
            batches = (images[i : i + size] for i in starts)
        backend = backends.get(self.device)
        with self.evaluating(), no_grad():
            return np.concatenate(
                [self(Tensor(backend.asarray(batch))).numpy() for batch in batches]
            )

    predict_proba = predict  # the name that Keras has beside it, up to version 2.5

    @verb
    def predict_classes(
        self, x: Any, batch_size: int | None = None, verbose: str | int = "auto"
    ) -> Any:
        """The classes of x (N, ...), integers (N,), as Keras has them up to version 2.5.

        A class is the index of the largest output. A model of one output gives (N, 1): 1 where it
        is above 0.5, else 0.
        """
        found = self.predict(x, batch_size)
        return found.argmax(axis=-1) if found.shape[-1] > 1 else (found > 0.5).astype(np.int32)

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

        `compile` makes a new optimizer, and so does a change of the layers.

        Returns:
            [loss, accuracy] of the batch before the step, with a number for each metric; the loss
            alone if `compile` got no metrics; or a dict by name.

        Raises:
            DivergedError: the loss is not finite; the weights are as they were.
        """
        compiled = self.require_compiled("train_on_batch")
        batch = open_dataset(self, x, y, sample_weight, class_weight)
        self.extend_range().add(batch.images)
        if self._stepper is None or self._stepper.shaped is not self._shaped:
            self._stepper = Stepper(self)
        return compiled.result(self._stepper(batch), return_dict)

    @verb
    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """`evaluate` on one batch, in the form of `train_on_batch`."""
        options = {"sample_weight": sample_weight, "return_dict": return_dict}
        found = self.evaluate(arrays.images(x), y, steps=1, **options)
        return list(found) if isinstance(found, Score) else found

    @verb
    def predict_on_batch(self, x: Any) -> Any:
        """`predict` on one batch."""
        return self.predict(arrays.images(x), steps=1)


structure.CLASSES[files.SEQUENTIAL] = Sequential


@verb
def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    *,
    device: str = "auto",
) -> Sequential:
    """The model of a file of `Sequential.save`, built, with its weights and compiled as it was.

    Args:
        custom_objects: the losses and metrics of your own with which it was compiled, functions by
            name: a file holds no code.
        compile: whether to compile it.
        device: the device that it computes on.

    Raises:
        UsageError: a function is missing in `custom_objects`.
        DataError: there is no such file, it is damaged, or holds no model.
    """
    model, options = files.load(filepath, device, custom_objects, compile)
    if options is not None:
        model.compile(**options, device=device)
    return model


explain_names(
    __name__,
    {
        "Model": "use Sequential([...]), or a gpucnn.nn.Module with a forward of your own",
        "clone_model": "make the model again by your own code",
        "save_model": "use model.save",
        **dict.fromkeys(
            ("model_from_json", "model_from_yaml", "model_from_config"), "use load_model"
        ),
    },
)
