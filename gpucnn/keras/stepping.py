"""`train_on_batch`: single steps with an optimizer that stays from one to the next."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from gpucnn import backend as backends
from gpucnn.data import Dataset
from gpucnn.errors import DivergedError
from gpucnn.keras.base import Base
from gpucnn.keras.training import explain_graph
from gpucnn.training.divergence import find_culprit
from gpucnn.training.metrics import Totals
from gpucnn.training.step import TrainStep


class Stepper:
    """Trains a built and compiled model batch by batch.

    Attributes:
        shaped: `Base.shaped` of the model, whose layers the optimizer is for.
    """

    def __init__(self, model: Base) -> None:
        self.model, self.shaped = model, model.shaped()
        self.compiled, self.network = model.require_compiled("train_on_batch"), model.for_loss()
        self.optimizer = self.compiled.optimizer.make(model)

    @cached_property
    def totals(self) -> Totals:
        """The sums over the last batch."""
        backend, metrics = backends.get(self.model.device), self.model.measured(self.network)
        return Totals(backend, self.compiled.loss.function, metrics)

    @cached_property
    def step(self) -> TrainStep:
        """The step, which adds to `totals`."""
        loss = self.compiled.loss.function
        clip_norm = self.compiled.optimizer.global_clipnorm
        return TrainStep(
            self.model, loss, self.optimizer, self.totals, self.network, clip_norm=clip_norm
        )

    def __getstate__(self) -> dict[str, Any]:
        """Without totals and step, which hold functions; a copy makes its own."""
        return {key: value for key, value in vars(self).items() if key not in ("totals", "step")}

    def __call__(self, batch: Dataset) -> dict[str, float]:
        """Train on a batch; "loss", "accuracy" and the metrics that it had before.

        Raises:
            DivergedError: the loss is not finite; the weights are as they were.
        """
        backend = self.totals.backend
        given = (batch.images, batch.labels, batch.weights)
        arrays = tuple(backend.asarray(array) for array in given if array is not None)
        self.totals.restart()
        self.optimizer.set_learning_rate(self.compiled.optimizer.learning_rate)
        with explain_graph(self.model):
            self.step(*arrays)
        if not backend.to_numpy(self.step.failed)[0]:
            loss, accuracy = self.totals.read()
            return {"loss": loss, "accuracy": accuracy, **self.totals.read_metrics()}
        with backend.quiet_device():
            self.step.failed.fill(0)
        with self.model.training_mode():
            cause = find_culprit(
                self.model, self.compiled.loss.function, *arrays, forward=self.network
            )
        raise DivergedError(
            "the loss of the batch is not finite",
            cause=cause,
            fix="lower the learning rate of the optimizer"
            + ", or give it global_clipnorm=1.0" * (self.step.clip_norm is None),
        )
