"""The end of a model: its final activation, and the network that the loss is computed on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeGuard

import numpy as np

from gpucnn import backend as backends
from gpucnn import functions as F
from gpucnn import nn
from gpucnn.autograd import Tensor, no_grad
from gpucnn.errors import UsageError
from gpucnn.keras.losses import PROBABILITIES, Loss
from gpucnn.nn.activations import Activation
from gpucnn.nn.building import has_own_forward
from gpucnn.nn.layers import WeightedLayer

Network = Callable[[Tensor], Tensor]

_EPSILON = 1e-7  # Keras's: the least distance of a probability from 0 and 1
_LEAST = 1e-18  # its square is a float32 too


def split(model: nn.Sequential) -> tuple[list[Network], str | None]:
    """The layers of a model without the activation that it ends in, and the name of that.

    The activation is the last layer, or the last layer has it; a `Sequential` at the end is opened.
    It is None where the layers end in another one.
    """
    layers: list[Any] = list(model)
    while layers and _is_open(layers[-1]):
        layers += layers.pop()
    last = layers[-1] if layers else None
    if last is None or not _is_known(last):
        return layers, None
    if isinstance(last, Activation):
        return layers[:-1], last.activation
    if isinstance(last, WeightedLayer):
        return [*layers[:-1], partial(last, activation="linear")], last.activation
    return layers, None


def _final_activation(model: nn.Sequential) -> str | None:
    """The name of the activation that the outputs are of; None if the model ends otherwise."""
    return split(model)[1] if _is_open(model) else None


def check_loss(model: nn.Sequential, loss: Loss) -> None:
    """`UsageError` if the loss does not go with the end of the model."""
    loss.check(_final_activation(model), _may_hide_probabilities(model))


def for_loss(model: nn.Sequential, logits: Network, loss: Loss) -> Network:
    """The network that the loss is computed on, for a built model.

    If the model ends in the activation that the loss takes over, it is `logits`, and the loss is
    stable. Probabilities from another layer are clipped as in Keras, and made logits.

    Args:
        logits: the model without its final activation.

    Raises:
        UsageError: the loss does not go with the outputs.
    """
    check_loss(model, loss)
    takes_over = loss.takes_over
    if takes_over is None:
        if loss.takes_probabilities and _may_hide_probabilities(model):
            _check_probabilities(model, loss)
        return model
    if _final_activation(model) == takes_over:
        return logits
    if loss.from_logits or not _may_hide_probabilities(model):
        return model
    _check_probabilities(model, loss)
    to_logits = _logits_of_softmax if takes_over == "softmax" else _logits_of_sigmoid
    return lambda x: to_logits(model(x))


def _may_hide_probabilities(model: nn.Sequential) -> bool:
    """Whether the outputs may be probabilities although the model ends in no softmax or sigmoid.

    That is so if a layer such as Dropout follows one, or if the model ends in a layer of one's own.
    """
    for layer in reversed(flat(model)):
        if not _is_known(layer):
            return True
        passes = isinstance(layer, Activation) and layer.activation == "linear"
        if isinstance(layer, (Activation, WeightedLayer)) and not passes:
            return layer.activation in PROBABILITIES
    return False


def flat(model: nn.Module) -> list[nn.Module]:
    """The layers in their order, with those of each `Sequential` among them."""
    if _is_open(model):
        return [part for layer in model for part in flat(layer)]
    return [model]


def _is_open(layer: Any) -> TypeGuard[nn.Sequential]:
    """Whether it is a `Sequential` that runs its layers and nothing else."""
    return isinstance(layer, nn.Sequential) and _is_known(layer)


def _is_known(layer: nn.Module) -> bool:
    """Whether its last step is known: its forward is of this library, and it is no `Residual`."""
    return not has_own_forward(layer) and not isinstance(layer, nn.Residual)


def _check_probabilities(model: nn.Sequential, loss: Loss) -> None:
    """`UsageError` if the outputs for two images are not probabilities."""
    shape = (model.built_for or ((),))[0]
    ramp = np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    with model.evaluating(), no_grad():
        output = model(Tensor(backends.get(model.device).asarray(np.stack([ramp, -ramp])))).numpy()
    within = ((output > -1e-3) & (output < 1 + 1e-3)).all()
    if within and (loss.takes_over != "softmax" or np.allclose(output.sum(axis=1), 1, atol=0.01)):
        return
    if loss.takes_over is None:
        raise UsageError(
            f"{loss.name} takes probabilities, and {model.display_name} gives other numbers",
            fix='end the model in Activation("softmax"), or "sigmoid"',
        )
    kind = "".join(word.capitalize() for word in loss.name.split("_"))
    raise UsageError(
        f"the loss takes probabilities, and {model.display_name} gives other numbers",
        cause=f"without from_logits=True the loss takes the outputs of a {loss.takes_over}",
        fix=f"if they are logits, compile with loss=losses.{kind}(from_logits=True); else end the "
        f'model in Activation("{loss.takes_over}")',
    )


def _logits_of_softmax(p: Tensor) -> Tensor:
    """Logits whose softmax is p / sum(p), up to the clipping."""
    # The sum is 0 if a Dropout drops all outputs of an image.
    total = F.clip(p.sum(axis=1, keepdims=True), _LEAST)
    return F.log(F.clip(p / total, _EPSILON, 1 - _EPSILON))


def _logits_of_sigmoid(p: Tensor) -> Tensor:
    """Logits whose sigmoid is p, up to the clipping."""
    clipped: Any = F.clip(p, _EPSILON, 1 - _EPSILON)
    return F.log(clipped) - F.log(1 - clipped)
