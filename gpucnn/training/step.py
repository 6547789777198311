"""One training step: forward, backward, update, metrics. The host reads nothing in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.autograd import Tensor
from gpucnn.errors import OutOfMemoryError
from gpucnn.nn.overrides import local, override
from gpucnn.nn.state import buffers
from gpucnn.training.metrics import Totals, compute_loss

if TYPE_CHECKING:
    from gpucnn.nn import Module
    from gpucnn.optim import Optimizer


class TrainStep:
    """Calling it with a batch trains the model on it.

    What changes from step to step is in arrays of the device: the number of the step counts up in
    `optimizer.step_count`, the learning rate is looked up by it, and the loss and the number of
    right answers are added to `totals`. The first loss that is not finite puts the number of its
    step into `optimizer.found_inf`; from then on updates change nothing, and running statistics are
    put back, so that both are still those with which it went wrong when the host comes to look.

    Args:
        model: built and on the device of the optimizer.
        loss: name of a loss of `TrainConfig`.
        optimizer: of the model's parameters.
        rates: float32 (steps of the whole run,), the learning rate of each; None for that which
            the optimizer has.
        totals: what the batches are added to.
        forward: what gives the outputs that the loss is of; by default the model itself.
    """

    def __init__(
        self,
        model: Module,
        loss: str,
        optimizer: Optimizer,
        rates: NDArray[np.float32] | None,
        totals: Totals,
        forward: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.forward = forward or model
        self.loss = loss
        self.optimizer = optimizer
        self.totals = totals
        self.backend = totals.backend
        self.rates = None if rates is None else self.backend.asarray(rates)
        self._modules = list(model.modules().values())
        self._statistics = list(buffers(model).values())

    def __call__(self, images: Any, labels: Any, weights: Any = None) -> None:
        """Train on images (N, ...), their labels and perhaps weights, all arrays of the device."""
        try:
            with self.backend.quiet_device():
                self._step(images, labels, weights)
        except OutOfMemoryError as error:
            error.fix = f"give --batch-size {error.fitting(len(images))}, or less"
            raise

    def _step(self, images: Any, labels: Any, weights: Any) -> None:
        xp, optimizer = self.backend.xp, self.optimizer
        if self.rates is not None:
            optimizer.learning_rate[...] = xp.take(self.rates, optimizer.step_count)
        optimizer.zero_grad()
        before = [array.copy() for array in self._statistics]
        with override(local.training, self._modules, True):
            output = self.forward(Tensor(images))
        loss = compute_loss(self.loss, output, labels, weights)
        self.totals.add(loss.data, output.data, labels)
        bad = (optimizer.found_inf == 0) & ~xp.isfinite(loss.data)
        xp.copyto(optimizer.found_inf, optimizer.step_count + np.uint32(1), where=bad)
        for array, kept in zip(self._statistics, before, strict=True):
            xp.copyto(array, kept, where=optimizer.found_inf != 0)
        loss.backward()
        optimizer.step()
