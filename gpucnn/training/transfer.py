"""Starting from trained weights: all of them, or for other classes all but the last layer's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from gpucnn.autograd import Tensor
from gpucnn.data.labels import listing
from gpucnn.errors import WeightsMismatchError
from gpucnn.nn import Module
from gpucnn.nn.state import copy_in, entries
from gpucnn.training import checkpoint
from gpucnn.training.description import Description
from gpucnn.training.evaluation import count_outputs
from gpucnn.training.run import Run


def start_from(
    path: str | os.PathLike[str],
    model: Module,
    image_shape: tuple[int, ...],
    class_names: Sequence[str],
) -> tuple[Description, str]:
    """Copy trained weights into a built model of the same layers.

    The last layer stays new if the weights are of other classes: by their names, their number or
    their order.

    Args:
        path: a run, whose best weights are taken if it has `patience`, or a .safetensors file.
        model: built.
        image_shape: (C, H, W).
        class_names: of its outputs.

    Returns:
        What the weights file says of itself, and what was copied, in words.

    Raises:
        DataError: there are no such weights.
        WeightsMismatchError: they are of other layers; it lists what differs.
    """
    file = Path(path)
    if not file.is_file():
        file = Run.open(file).weights_file()
    arrays, metadata = checkpoint.load_weights(file)
    description = Description.of(metadata, file)
    own = entries(model)
    kept: list[str] = []
    last = _last_layer(model, image_shape)
    if description.class_names != list(class_names):
        kept = [name for name in own if name.rpartition(".")[0] == last]
    if len(kept) == len(own):
        raise WeightsMismatchError(
            f"there is nothing to start from in {file}",
            cause=f"its classes are others ({listing(description.class_names)}), and the model has"
            f" no layer but the last, {last}",
            fix="leave --weights out",
        )
    copy_in(
        {name: array for name, array in own.items() if name not in kept},
        {name: array for name, array in arrays.items() if name not in kept},
        f"the weights in {file}",
    )
    new = f"; the last layer, {last}, is new, for other classes" if kept else ""
    return description, f"starting from {file} (epoch {description.epoch}){new}"


def _last_layer(model: Module, image_shape: tuple[int, ...]) -> str:
    """The path of the module with parameters of its own that is called last."""
    owners = {path.rpartition(".")[0] for path in model.named_parameters().keys()}  # noqa: SIM118
    paths = {id(module): path for path, module in model.named_modules()}
    called: list[str] = []

    def observe(module: Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if (path := paths[id(module)]) in owners:
            called.append(path)

    with model.observe(observe):
        count_outputs(model, image_shape)
    return called[-1] if called else ""
