"""Keras's verbs: `Sequential` with compile, fit, evaluate and predict.

    model = Sequential([Dense(512, activation="relu"), Dense(10, activation="softmax")])
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, to_categorical(y_train), epochs=5, batch_size=128)

A thin layer over `gpucnn.training.fit`. Images are (N, C, H, W), not (N, H, W, C), and each `fit`
starts its optimizer afresh.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from gpucnn import backend as backends
from gpucnn import optim, training
from gpucnn.autograd import Tensor, no_grad
from gpucnn.data import Dataset, Loader, Splits
from gpucnn.data import one_hot as to_categorical
from gpucnn.errors import DataError, UsageError, choose
from gpucnn.nn import Activation, Module
from gpucnn.nn import Sequential as _Sequential
from gpucnn.nn.layers import WeightedLayer
from gpucnn.training import Callback, TrainConfig, Trainer
from gpucnn.training.evaluation import evaluate_batches, require_outputs

__all__ = ["FitHistory", "Score", "Sequential", "to_categorical"]

#: Keras's names of the losses, ours, and the final activation that is folded into it: the only one
#: that it goes with, or None for a loss that takes the outputs as they are.
_LOSSES = {
    "categorical_crossentropy": ("softmax_cross_entropy", "softmax"),
    "sparse_categorical_crossentropy": ("softmax_cross_entropy", "softmax"),
    "binary_crossentropy": ("binary_cross_entropy", "sigmoid"),
    "mean_squared_error": ("mean_squared_error", None),
    "mse": ("mean_squared_error", None),
}


class Score(NamedTuple):
    """What `evaluate` gives: the mean loss and the share of right answers."""

    loss: float
    accuracy: float


class FitHistory(NamedTuple):
    """What `fit` gives: the epochs from 0, and for each quantity its value in each epoch."""

    epoch: list[int]
    history: dict[str, list[float]]


class Sequential(_Sequential):
    """`gpucnn.nn.Sequential` with Keras's verbs."""

    _compiled: dict[str, Any] | None = None
    _folds: str | None = None  # the final activation that the loss takes over
    _accuracy: bool = False

    def compile(
        self,
        optimizer: str = "rmsprop",
        loss: str = "categorical_crossentropy",
        metrics: Sequence[str] = (),
        *,
        learning_rate: float | None = None,
        schedule: str = "constant",
        device: str = "auto",
        seed: int = 0,
    ) -> None:
        """Say how `fit` is to train.

        A final softmax (or, for binary cross-entropy, sigmoid) is folded into the loss, which is
        then computed from the logits and is stable; `predict` still applies it. It may be the last
        layer or the activation of that, also of a `Sequential` in this one.

        Args:
            optimizer: "sgd", "rmsprop", "adam" or "adamw".
            loss: "categorical_crossentropy", for one-hot targets or class ids;
                "sparse_categorical_crossentropy", the same; "binary_crossentropy";
                "mean_squared_error" or "mse".
            metrics: may hold "accuracy".
            learning_rate: by default Keras's: 1e-2 for sgd, else 1e-3.
            schedule: of the learning rate over a `fit`, a name of `gpucnn.schedules`.
            device: "cpu", "cuda", "auto".
            seed: of initial weights, order of the images and dropout.

        Raises:
            UsageError: one of these names is unknown, or the final activation is one that the loss
                does not go with.
        """
        if unknown := [metric for metric in metrics if metric not in ("accuracy", "acc")]:
            raise UsageError(f"unknown metric {unknown[0]!r}", fix='use metrics=["accuracy"]')
        name, folds = choose(_LOSSES, loss, "loss")
        self._final_activation(folds)  # refuses what does not go with the loss
        if learning_rate is None:
            learning_rate = optim.default_learning_rate(optimizer)  # those are Keras's
        options: dict[str, Any] = {
            "optimizer": optimizer,
            "learning_rate": learning_rate,
            "momentum": 0.0 if optimizer == "sgd" else None,
            "schedule": schedule,
            "loss": name,
            "device": device,
            "seed": seed,
        }
        TrainConfig(**options)  # refuses what is not acceptable, now and not in fit
        self._compiled, self._folds, self._accuracy = options, folds, bool(metrics)

    def fit(
        self,
        x: Any,
        y: Any,
        batch_size: int = 32,
        epochs: int = 1,
        verbose: int = 1,
        validation_split: float = 0.0,
        validation_data: tuple[Any, Any] | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> FitHistory:
        """Train on x (N, ...), taken as float32, and y: class ids (N,) or targets (N, K).

        Args:
            verbose: 0 for silence, else one line an epoch on stdout.
            validation_split: share of the last examples that is held out.
            validation_data: (x, y) to validate on; goes before `validation_split`.

        Raises:
            UsageError: `compile` was not called, or an option is not acceptable.
            DataError: x and y do not fit together.
            DivergedError: the loss was not finite.
        """
        config = TrainConfig(**self._options("fit"), batch_size=batch_size, epochs=epochs)
        train, validation = _dataset(x, y), None
        if validation_data is not None:
            validation = _dataset(*validation_data, classes=train.classes)
        elif validation_split:
            if not 0 < validation_split < 1:
                raise UsageError(
                    f"validation_split is {validation_split}", fix="give a share between 0 and 1"
                )
            first = len(train) - int(len(train) * validation_split)
            train, validation = train.subset(slice(first)), train.subset(slice(first, None))
        reporter = [_Report(epochs, self._accuracy)] if verbose else []
        trainer = _Trainer(self, Splits(train, validation), config)
        result = training.fit_trainer(trainer, [*reporter, *callbacks])
        keys = _keys(self._accuracy, validation is not None)
        records = result.records
        return FitHistory(
            epoch=list(range(len(records))),
            history={key: [record[key] for record in records] for key in keys},
        )

    def evaluate(self, x: Any, y: Any, batch_size: int = 256, verbose: int = 0) -> Score:
        """Mean loss and accuracy on x and y, with dropout off; `verbose` is there for Keras's."""
        loss = self._options("evaluate")["loss"]
        dataset = _dataset(x, y)
        self._ensure_built(dataset.image_shape)
        require_outputs(self, dataset, loss)
        loader = Loader(dataset, batch_size, backends.get(self.device), shuffle=False)
        return Score(**evaluate_batches(self, loader, loss, self._for_loss()))

    def predict(self, x: Any, batch_size: int = 256, verbose: int = 0) -> Any:
        """The outputs for x (N, ...), a NumPy array (N, K); probabilities after a final softmax."""
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}", fix="give a batch_size of at least 1")
        images = np.asarray(x, np.float32)
        self._ensure_built(images.shape[1:])
        with self.evaluating(), no_grad():
            backend = backends.get(self.device)
            # At least one batch, so that an empty input gives an empty output.
            outputs = [
                self(Tensor(backend.asarray(images[start : start + batch_size]))).numpy()
                for start in range(0, max(len(images), 1), batch_size)
            ]
        return np.concatenate(outputs)

    def _options(self, verb: str) -> dict[str, Any]:
        if self._compiled is None:
            raise UsageError(
                f"{verb} was called before compile",
                fix='call model.compile(loss="categorical_crossentropy") first',
            )
        return self._compiled

    def _ensure_built(self, input_shape: tuple[int, ...]) -> None:
        if self.path is None:
            options = self._compiled or {"device": "auto", "seed": 0}
            self.build(input_shape, seed=options["seed"], device=options["device"])

    def _for_loss(self) -> Callable[[Tensor], Tensor]:
        """What gives the outputs that the loss takes: without the final activation it takes over.

        Raises:
            UsageError: the final activation does not go with the loss.
        """
        found = self._final_activation(self._folds)
        return partial(self, activation="linear") if found and found == self._folds else self

    def _final_activation(self, folds: str | None) -> str | None:
        """The name of the activation that the last layer ends in, or None.

        Raises:
            UsageError: a loss that folds an activation, `folds`, does not go with it.
        """
        layers = _layers(self)
        last = layers[-1] if layers else None
        found = last.activation if isinstance(last, (Activation, WeightedLayer)) else None
        if folds is not None and found not in (None, "linear", folds):
            raise UsageError(
                f"the last layer ends in {found}, which does not go with the loss",
                cause=f"the loss is that of a {folds} of the outputs",
                fix=f'write activation="{folds}" there, or none',
            )
        return found


class _Trainer(Trainer):
    """A training whose loss takes over the final activation."""

    def __init__(self, model: Sequential, data: Splits, config: TrainConfig) -> None:
        self._outputs = model._for_loss()
        super().__init__(model, data, config)

    def forward(self, images: Tensor) -> Tensor:
        return self._outputs(images)


class _Report(Callback):
    """One line an epoch on stdout, as Keras has it."""

    def __init__(self, epochs: int, accuracy: bool) -> None:
        self.epochs = epochs
        self.accuracy = accuracy

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        keys = _keys(self.accuracy, record["val_loss"] is not None)
        values = "".join(f" - {key}: {record[key]:.4f}" for key in keys)
        print(f"Epoch {record['epoch']}/{self.epochs} - {record['seconds']:.1f}s{values}")


def _layers(model: _Sequential) -> list[Module]:
    """The layers in their order, those of a `Sequential` in it one by one."""
    return [
        part
        for layer in model
        for part in (_layers(layer) if isinstance(layer, _Sequential) else [layer])
    ]


def _keys(accuracy: bool, validated: bool) -> list[str]:
    keys = ["loss", "accuracy"] if accuracy else ["loss"]
    return keys + [f"val_{key}" for key in keys] if validated else keys


def _dataset(x: Any, y: Any, classes: int | None = None) -> Dataset:
    images, labels = np.asarray(x, np.float32), np.asarray(y)
    if images.ndim < 2:
        raise DataError(
            f"x has shape {images.shape}",
            cause="it must hold one example a row: (N, features) or (N, C, H, W)",
            fix="reshape it",
        )
    if labels.dtype.kind == "b":
        labels = labels.astype(np.int32)
    if labels.dtype.kind in "iu" and labels.ndim == 2:
        # A column of class ids, or one-hot rows of integers.
        labels = labels[:, 0] if labels.shape[1] == 1 else labels.astype(np.float32)
    if labels.dtype.kind == "f":
        labels = labels.astype(np.float32)
        classes = labels.shape[-1] if labels.ndim > 1 else 1
    elif classes is None:
        classes = int(labels.max(initial=0)) + 1
    return Dataset("the given arrays", images, labels, classes)
