"""Networks that give probabilities to a loss that takes logits."""

from __future__ import annotations

import warnings

from gpucnn.errors import GpucnnWarning
from gpucnn.nn import Module
from gpucnn.training.described import INCLUDED, ends_in_activation, structure_of
from gpucnn.training.evaluation import are_probabilities, first_outputs

_SOFTMAX_LOSS = "softmax_cross_entropy"  # probabilities that sum to 1 are no logits of any loss


def warn_of_probabilities(model: Module, image_shape: tuple[int, ...], loss: str) -> None:
    """Warn if the outputs of a built model are probabilities, and the loss takes logits.

    Of a `Sequential` the last layers tell it, for other networks the outputs of one image do.
    """
    if loss not in INCLUDED:
        return
    layers = structure_of(model)
    if layers is not None and isinstance(layers.get("layers"), list):
        found = any(ends_in_activation(layers, each) for each in (loss, _SOFTMAX_LOSS))
    else:
        found = are_probabilities(first_outputs(model, image_shape))
    if found:
        warnings.warn(
            f"the outputs of {model.display_name} are probabilities, and {loss} takes them for"
            " logits\nfix: leave out the softmax or sigmoid at the end of the network: the loss"
            " applies it, and so does predict",
            GpucnnWarning,
            stacklevel=2,
        )
