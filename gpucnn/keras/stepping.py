"""`train_on_batch`: single steps with an optimizer that stays from one to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gpucnn import backend as backends
from gpucnn.autograd import Tensor
from gpucnn.data import Dataset
from gpucnn.errors import DivergedError
from gpucnn.keras.training import Compiled, explain_graph
from gpucnn.training.divergence import find_culprit
from gpucnn.training.metrics import Totals
from gpucnn.training.step import TrainStep

if TYPE_CHECKING:
    from gpucnn.keras.models import Sequential


class Stepper:
    """Trains a built model batch by batch.

    Args:
        outputs: what gives the outputs that the loss takes.

    Attributes:
        shaped: `Base.shaped` of the model, whose layers the optimizer is for.
    """

    def __init__(
        self, model: Sequential, compiled: Compiled, outputs: Callable[[Tensor], Tensor]
    ) -> None:
        self.model, self.compiled, self.outputs = model, compiled, outputs
        self.shaped = model.shaped()
        self.totals = Totals(backends.get(model.device), compiled.loss.function)
        self.optimizer = compiled.optimizer.make(model)
        self.step = TrainStep(
            model, compiled.loss.function, self.optimizer, None, self.totals, outputs
        )

    def __call__(self, batch: Dataset) -> tuple[float, float]:
        """Train on a batch; loss and accuracy of it before the step.

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
        if not backend.to_numpy(self.optimizer.found_inf)[0]:
            return self.totals.read()
        with backend.quiet_device():
            self.optimizer.found_inf.fill(0)
        with self.model.training_mode():
            cause = find_culprit(
                self.model, self.compiled.loss.function, *arrays, forward=self.outputs
            )
        raise DivergedError(
            "the loss of the batch is not finite",
            cause=cause,
            fix="lower the learning rate of the optimizer",
        )
