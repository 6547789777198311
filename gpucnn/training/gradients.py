"""The gradients of a model on a batch, computed beside a training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.autograd import Tensor
from gpucnn.training.metrics import compute_loss
from gpucnn.training.trainer import Trainer


def gradients(trainer: Trainer, batch: tuple[Any, ...]) -> dict[str, NDArray[np.floating[Any]]]:
    """The gradient of the mean loss of a batch by each parameter, with the present weights.

    The model runs in evaluation mode: nothing is dropped, and batch norm takes its running
    statistics. The training is left as it is, and so are the gradients of its last step.

    Args:
        batch: images, labels and perhaps weights, on the device.

    Returns:
        Path -> array of the parameter's shape, on the host; parameters without one are left out.
    """
    parameters = trainer.model.named_parameters()
    before = {path: parameter.grad for path, parameter in parameters.items()}
    images, labels, *weights = batch
    try:
        with trainer.backend.quiet_device(), trainer.model.evaluating():
            for parameter in parameters.values():
                parameter.grad = None
            output = trainer.forward(Tensor(images))
            compute_loss(trainer.loss, output, labels, *weights).backward()
            return {
                path: trainer.backend.to_numpy(parameter.grad).copy()
                for path, parameter in parameters.items()
                if parameter.grad is not None
            }
    finally:
        for path, parameter in parameters.items():
            parameter.grad = before[path]
