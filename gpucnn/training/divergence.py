"""The search for the first number that is not finite, after a loss was infinite or NaN."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gpucnn import backend as backends
from gpucnn.autograd import Tensor, no_grad
from gpucnn.nn import Module
from gpucnn.nn.state import buffers
from gpucnn.training.config import TrainConfig
from gpucnn.training.metrics import Loss, compute_loss, get_loss


def find_culprit(
    model: Module,
    loss: str | Loss,
    images: Any,
    labels: Any,
    weights: Any = None,
    *,
    forward: Callable[[Tensor], Tensor] | None = None,
) -> str:
    """Names the first value in the computation of a batch that is not finite.

    Runs the batch again layer by layer, in the model's present mode; the caller has set the step
    of its dropouts. Running statistics stay as they are. Every output is read back, which is slow.

    Args:
        model: with the weights before the step.
        loss: name of a loss of `TrainConfig`, or a loss.
        images, labels, weights: the batch, on the model's device.
        forward: the function from images to the outputs that the loss takes; by default the model.
    """
    parameters = {path: p.numpy() for path, p in model.named_parameters().items()}
    if bad := first_bad(parameters):
        return f"the parameter {bad} holds {_worst(parameters[bad])}"
    found: list[str] = []

    def look(layer: Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        if not found and (worst := _worst(output.numpy())):
            found.append(f"{layer.display_name} is the first layer to give {worst}")

    statistics = buffers(model)
    with no_grad(), backends.of(images).quiet_device():
        before = {path: array.copy() for path, array in statistics.items()}
        with model.observe(look):
            output = (forward or model)(Tensor(images))
            value = compute_loss(loss, output, labels, weights).item()
        for path, array in statistics.items():
            array[...] = before[path]
    if found:
        return found[0]
    return f"every layer is finite, but {get_loss(loss).name} of the output is {value}"


def advice(config: TrainConfig, peak: float, last: Path | None) -> str:
    """How to train without a divergence.

    Args:
        config: the options of the training that diverged.
        peak: its highest learning rate.
        last: its last good checkpoint.
    """
    lower = min(peak / 10, config.default_learning_rate())
    fixes = [f"lower the learning rate: learning_rate={lower:.2g}, or --lr {lower:.2g}"]
    if config.clip_norm is None:
        fixes.append("or clip the gradients: clip_norm=1.0, or --clip-norm 1")
    if last is not None:
        fixes.append(f"the last good checkpoint is {last}")
    return "; ".join(fixes)


def bad_gradient(parameters: Mapping[str, Tensor]) -> str:
    """Names the first gradient of a backward pass that is not finite: the last of the parameters.

    Args:
        parameters: by name, in the order of the forward pass.
    """
    for path, parameter in reversed([*parameters.items()]):
        if parameter.grad is not None:
            worst = _worst(backends.of(parameter.grad).to_numpy(parameter.grad))
            if worst:
                return f"the gradient of {path} holds {worst}"
    return "the norm of the gradients is not finite"


def first_bad(arrays: Mapping[str, Any]) -> str | None:
    """The name of the first of some host arrays that holds an infinity or NaN, or None."""
    return next((name for name, array in arrays.items() if _worst(array)), None)


def _worst(array: Any) -> str:
    """ "NaN" or "infinity" if a host array holds one, else ""."""
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return ""
    return "NaN" if np.isnan(array).any() else "infinity"
