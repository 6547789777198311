"""The trainer of `fit`, and the bridge from its callbacks to Keras's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gpucnn.training
from gpucnn import nn, optim
from gpucnn.autograd import Tensor
from gpucnn.data import Splits
from gpucnn.errors import DivergedError, GraphError, UsageError
from gpucnn.keras.base import Base
from gpucnn.keras.batches import Arrays, Stream
from gpucnn.keras.callback import Callback
from gpucnn.keras.compiled import Compiled, FitHistory, Values
from gpucnn.training import TrainConfig, Trainer
from gpucnn.training.metrics import Loss


class KerasTrainer(Trainer):
    """A training on `Arrays` or a `Stream`, with the optimizer and the loss of `compile`."""

    def __init__(
        self,
        model: Base,
        config: TrainConfig,
        train: Arrays | Stream,
        validation: Arrays | Stream | None,
        first_epoch: int,
    ) -> None:
        self._compiled, self._network = model.require_compiled("fit"), model.for_loss()
        self.metrics = model.measured(self._network)
        self._given: tuple[Any, Any] = train, validation
        super().__init__(model, Splits(train.dataset), config)
        self.first_epoch = first_epoch
        if not self._compiled.optimizer.learning_rate:
            self.set_learning_rate(0.0)  # as a callback may leave it

    def _prepare_data(self) -> None:
        self.scale, self.offset = 1.0, 0.0
        self.loader, self.validation = self._given
        self.test = None
        if not len(self.loader.dataset):
            raise UsageError("there are no images to train on", fix="give x at least one")

    def _make_optimizer(self, config: TrainConfig) -> optim.Optimizer:
        return self._compiled.optimizer.make(self.model)

    @property
    def forward(self) -> Callable[[Tensor], Tensor]:
        return self._network

    @property
    def loss(self) -> Loss:
        return self._compiled.loss.function

    def train_step(self) -> None:
        with explain_graph(self.model):
            super().train_step()

    def diverged(self, message: str, cause: str, step: int | None = None) -> DivergedError:
        error = super().diverged(message, cause, step)
        error.fix = (error.fix or "").partition(", or --lr")[0]
        if self.config.clip_norm is None:
            error.fix += "; or clip the gradients: give the optimizer global_clipnorm=1.0"
        return error


class Bridge(gpucnn.training.Callback):
    """Calls Keras's callbacks in a training, prints its epochs, and keeps the history."""

    def __init__(
        self,
        model: Base,
        compiled: Compiled,
        callbacks: Sequence[Callback],
        epochs: int,
        initial_epoch: int,
        *,
        verbose: bool,
    ) -> None:
        self.model, self.compiled, self.callbacks = model, compiled, callbacks
        self.epochs, self.epoch, self.verbose = epochs, initial_epoch, verbose
        self.history = FitHistory([], Values())
        self._names: list[str] = []  # in the history
        self._rate = self.compiled.optimizer.learning_rate
        # The running loss is read back from the device only for a callback that gets it.
        self._reads = any(callback._reads_batches() for callback in callbacks)

    def on_train_begin(self, trainer: Trainer) -> None:
        self.model.stop_training = False
        self._names = self.compiled.names()
        if trainer.validation is not None:
            self._names += self.compiled.names("val_")
        names = Values.fromkeys(self._names)
        steps = trainer.steps_per_epoch
        params = {"epochs": self.epochs, "steps": steps, "verbose": int(self.verbose)}
        for callback in self.callbacks:
            callback.set_params(params)
            callback.set_model(self.model)
            callback._check_training(names)
        self._tell(trainer, "on_train_begin", Values())
        self._begin_epoch(trainer)

    def on_step_end(self, trainer: Trainer) -> None:
        batch = (trainer.step - 1) % trainer.steps_per_epoch
        logs = Values()
        if self._reads:
            loss, accuracy = trainer.read()
            found = {"loss": loss, "accuracy": accuracy, **trainer.totals.read_metrics()}
            logs.update(self.compiled.named(found))
        self._tell(trainer, "on_train_batch_end", batch, logs)
        if self.model.stop_training:
            trainer.stop = "stopped"
        elif batch + 1 < trainer.steps_per_epoch:
            self._tell(trainer, "on_train_batch_begin", batch + 1, Values())

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        logs = Values(self._named(record))
        self._tell(trainer, "on_epoch_end", self.epoch, logs)
        self.history.epoch.append(self.epoch)
        for key, value in logs.items():
            self.history.history.setdefault(key, []).append(value)
        self.epoch += 1
        if self.verbose:
            values = "".join(f" - {key}: {logs[key]:.4f}" for key in self._named(record))
            if skipped := record.get("skipped_steps"):
                values += f" - {skipped} step{'s' * (skipped != 1)} skipped"
            print(f"Epoch {self.epoch}/{self.epochs} - {record['seconds']:.1f}s{values}")
        if self.model.stop_training:
            trainer.stop = "stopped"
        elif self.epoch < self.epochs:
            self._begin_epoch(trainer)

    def on_train_end(self, trainer: Trainer, history: gpucnn.training.History) -> None:
        if trainer.step_in_epoch:  # it stopped within an epoch, which is in Keras's history too
            self.on_epoch_end(trainer, trainer.end_epoch())
        self.end()

    def end(self) -> None:
        """Call the last event of the callbacks."""
        last = {key: values[-1] for key, values in self.history.history.items()}
        for callback in self.callbacks:
            callback.on_train_end(Values(last))

    def end_with_nan(self) -> None:
        """The same after a loss that is not finite: the history of the epoch is NaN."""
        self.history.epoch.append(self.epoch)
        for key in self._names:
            self.history.history.setdefault(key, []).append(math.nan)
        self.end()

    def _begin_epoch(self, trainer: Trainer) -> None:
        self._tell(trainer, "on_epoch_begin", self.epoch, Values())
        self._tell(trainer, "on_train_batch_begin", 0, Values())

    def _tell(self, trainer: Trainer, event: str, *arguments: Any) -> None:
        """Call all callbacks, and set the learning rate that they leave."""
        for callback in self.callbacks:
            getattr(callback, event)(*arguments)
        rate = self.compiled.optimizer.learning_rate
        if rate != self._rate:
            if self.compiled.schedule != "constant":
                self.compiled.optimizer.learning_rate = self._rate
                raise UsageError(
                    "a callback set the learning rate",
                    cause=f"it follows the schedule {self.compiled.schedule}",
                    fix='compile with schedule="constant", or leave out the callback',
                )
            trainer.set_learning_rate(rate)
            self._rate = rate

    def _named(self, record: dict[str, Any]) -> dict[str, float]:
        named: dict[str, float] = {}
        for prefix in ("", "val_"):
            if record[f"{prefix}loss"] is not None:
                found = {key: record[f"{prefix}{key}"] for key in ("loss", "accuracy")}
                found |= record.get(f"{prefix}metrics", {})
                named |= self.compiled.named(found, prefix)
        return named


@contextmanager
def explain_graph(model: nn.Module) -> Iterator[None]:
    """Replace the `GraphError` of a step that has nothing to train by an error with the cause."""
    try:
        yield
    except GraphError as error:
        cause = "every layer is frozen, or has no weights"
        fix = "set trainable = True for a layer, or call evaluate"
        if any(parameter.requires_grad for parameter in model.parameters()):
            cause = "the outputs do not depend on the weights: a forward makes a new array"
            fix = "compute with Tensors in it, without .numpy() and NumPy's functions"
        raise UsageError("there is nothing to train", cause=cause, fix=fix) from error


def split_callbacks(given: Any) -> tuple[list[Callback], list[gpucnn.training.Callback]]:
    """The given callbacks, apart: Keras's, and those of `gpucnn.training`.

    Raises:
        UsageError: one is neither.
    """
    if given is None:
        given = ()
    given = list(given) if isinstance(given, Iterable) else [given]
    for callback in given:
        if not isinstance(callback, (Callback, gpucnn.training.Callback)):
            made = isinstance(callback, type)
            name = callback.__name__ if made else type(callback).__name__
            raise UsageError(
                f"{name} is no callback" + " but a class" * made,
                cause="fit takes objects of gpucnn.keras.callbacks or gpucnn.training.Callback",
                fix=f"write {name}(...)" if made else "subclass gpucnn.keras.callbacks.Callback",
            )
    keras = [callback for callback in given if isinstance(callback, Callback)]
    return keras, [callback for callback in given if not isinstance(callback, Callback)]
