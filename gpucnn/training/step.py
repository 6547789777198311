"""One training step: forward, backward, update, metrics. The host reads nothing in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpucnn.autograd import Tensor
from gpucnn.errors import OutOfMemoryError
from gpucnn.nn import Module
from gpucnn.nn.building import has_own_forward
from gpucnn.nn.overrides import local, override
from gpucnn.nn.state import buffers
from gpucnn.optim import Optimizer
from gpucnn.parameters import clip_gradients
from gpucnn.training.metrics import Loss, Totals, compute_losses, get_loss, is_ours


class TrainStep:
    """Calling it with a batch trains the model on it.

    Values that change from step to step are in arrays on the device: `steps` counts the steps,
    `optimizer.learning_rate` is the rate of this one, and `totals` sums the loss and the number of
    right answers. The first loss that is not finite writes the number of its step into `failed`.
    From then on updates change nothing and running statistics are restored, so the host finds both
    as they were in the step that failed.

    With `clip_norm`, a step is skipped if its loss is finite and its gradients are not: it changes
    neither parameters, slots nor running statistics. `optimizer.step_count` counts the steps that
    were not skipped, and `optimizer.found_inf` tells whether this one is.

    Args:
        model: built and on the device of the optimizer.
        loss: name of a loss of `TrainConfig`, or a loss.
        optimizer: of the model's parameters.
        totals: sums over the batches, of the loss and perhaps of metrics.
        forward: the function from images to the outputs that the loss takes; by default the model.
        clip_norm: the largest joint norm of the gradients of a step; None for any.
    """

    def __init__(
        self,
        model: Module,
        loss: str | Loss,
        optimizer: Optimizer,
        totals: Totals,
        forward: Callable[[Tensor], Tensor] | None = None,
        clip_norm: float | None = None,
    ) -> None:
        self.model = model
        self.forward = forward or model
        self.loss = get_loss(loss)
        self.optimizer = optimizer
        self.totals = totals
        self.backend = totals.backend
        self.clip_norm = clip_norm
        # `steps` and `failed`, where those of the optimizer tell of the steps that are not skipped.
        zeros = [] if clip_norm is None else [np.zeros(1, np.uint32), np.zeros(1, np.uint32)]
        self._counters = [self.backend.asarray(zero) for zero in zeros]
        self._modules = list(model.modules().values())
        self._statistics = list(buffers(model).values())
        self._compiled: set[int] = set()  # the sizes of batches whose kernels are
        self._gradients: dict[Any, Any] = {}  # of the mean, by shape and dtype of the losses

    @property
    def steps(self) -> Any:
        """uint32 (1,) on the device, the number of steps done, with those that were skipped."""
        return self._counters[0] if self._counters else self.optimizer.step_count

    @property
    def failed(self) -> Any:
        """uint32 (1,) on the device, the first step whose loss was not finite, or 0."""
        return self._counters[1] if self._counters else self.optimizer.found_inf

    def arrays(self) -> dict[str, Any]:
        """The arrays on the device that a checkpoint has of the step, by name."""
        arrays = {**self.optimizer.arrays(), "totals": self.totals.sums}
        return arrays | {"steps": self.steps} if self._counters else arrays

    def __call__(self, images: Any, labels: Any, weights: Any = None) -> None:
        """Train on images (N, ...), their labels and perhaps weights, all arrays of the device."""
        if len(images) not in self._compiled:
            self._compiled.add(len(images))
            self._compile(images, labels, weights)
        self._train(images, labels, weights)

    def _compile(self, *batch: Any) -> None:
        """Compile the kernels of a step in parallel, by a step that launches none.

        Not where such a step may leave a trace: with observers, or with a forward pass, an
        optimizer, a loss or a metric of the user's.
        """
        ours = type(self.optimizer).__module__ == Optimizer.__module__ and not self.own_function
        if local.observers or not ours or any(map(has_own_forward, self._modules)):
            return
        count, sums = self.totals.count, self.totals.metric_sums
        self.totals.metric_sums = [None] * len(sums)
        with self.backend.quiet_device():
            # They change by expressions of `xp`, which are computed.
            before = [array.copy() for array in self._statistics]
            try:
                self.backend.compile_ahead(lambda: self._train(*batch))
            finally:
                self.totals.count, self.totals.metric_sums = count, sums
                for array, kept in zip(self._statistics, before, strict=True):
                    array[...] = kept

    def _train(self, images: Any, labels: Any, weights: Any) -> None:
        """Forward, metrics, backward, clipping, update."""
        xp, optimizer = self.backend.xp, self.optimizer
        try:
            with self.backend.quiet_device():
                optimizer.zero_grad()
                before = [array.copy() for array in self._statistics]
                with override(local.training, self._modules, True):
                    output = self.forward(Tensor(images))
                losses = compute_losses(self.loss, output, labels, weights)
                counted = {"step": self.steps, "found_inf": self.failed}
                self.totals.add(losses.data, output.data, labels, **counted)
                losses.backward(self._gradient_of_mean(losses))
                if self.clip_norm is not None:
                    counted = {"step": optimizer.step_count, "found_inf": optimizer.found_inf}
                    parameters = optimizer.parameters.values()
                    clip_gradients(parameters, self.clip_norm, halted=self.failed, **counted)
                for array, kept in zip(self._statistics, before, strict=True):
                    xp.copyto(array, kept, where=optimizer.found_inf[0] != 0)
                optimizer.step(counted=True)
        except OutOfMemoryError as error:
            error.suggest_batch(len(images))
            raise

    @property
    def own_function(self) -> str | None:
        """The loss or metric that is the user's code, in words; None if all are of this library."""
        if not is_ours(self.loss.function):
            return f"the loss {self.loss.name}"
        own = (metric.name for metric in self.totals.metrics if not is_ours(metric.sums))
        return next((f"the metric {name}" for name in own), None)

    def _gradient_of_mean(self, losses: Tensor) -> Any:
        """The gradient of the mean of losses by each of them, made once for each shape."""
        key = losses.shape, losses.dtype
        if key not in self._gradients:
            self._gradients[key] = self.backend.xp.full(losses.shape, 1 / losses.size, losses.dtype)
        return self._gradients[key]
