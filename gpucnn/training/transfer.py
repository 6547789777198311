"""Starting from trained weights: all of them, or for other classes all but the last layer's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpucnn import models
from gpucnn.autograd import Tensor
from gpucnn.data.labels import listing
from gpucnn.errors import UsageError, WeightsMismatchError, choose
from gpucnn.nn import Module
from gpucnn.nn.state import copy_in, entries
from gpucnn.training import checkpoint
from gpucnn.training.code import COPY, Code
from gpucnn.training.description import Description
from gpucnn.training.evaluation import count_outputs
from gpucnn.training.run import Run, find_weights, run_of

FEATURES = "features"  # for `freeze`: all layers but the last


def start_from(
    path: str | os.PathLike[str],
    model: Module,
    image_shape: tuple[int, ...],
    class_names: Sequence[str],
    scaling: tuple[float, float],
    is_free: bool = False,
) -> tuple[tuple[float, float], str]:
    """Copy trained weights into a built model of the same layers.

    The last layer stays new if the classes of the weights differ in names, number or order.

    Args:
        path: a run, whose best weights are taken if it has `patience`, or a .safetensors file.
        model: built.
        image_shape: (C, H, W).
        class_names: of its outputs.
        scaling: (scale, offset) of the training: the model gets pixel * scale + offset.
        is_free: whether the training may take another scaling.

    Returns:
        The scaling, which is that of the file if it may be and the file was imported, or is of a
        training that began with one; and a sentence about what was copied.

    Raises:
        DataError: there are no such weights.
        WeightsMismatchError: they are of other layers; it lists what differs.
    """
    file = find_weights(path)
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
            cause=f"its classes are different ({listing(description.class_names)}), and the model"
            f" has no layer but the last, {last}",
            fix="leave --weights out",
        )
    try:
        copy_in(
            {name: array for name, array in own.items() if name not in kept},
            {name: array for name, array in arrays.items() if name not in kept},
            f"the weights in {file}",
        )
    except WeightsMismatchError as error:
        network = _network(file, metadata)
        if description.image_shape != tuple(image_shape):
            error.fix = f"give images of the shape {description.image_shape} that they are for"
        elif network != model.name:
            error.fix = f"give --model {network or 'my_net.py:build'}, the network that they are of"
        raise
    new = f"; the last layer, {last}, is new, for other classes" if kept else ""
    is_imported = metadata.get("model") is None and description.network is not None
    said = f"starting from {file} (epoch {description.epoch}){new}"
    before = description.scale, description.offset
    if before == scaling:
        return scaling, said
    was, now = (f"* {scale:.3g} {offset:+.3g}" for scale, offset in (before, scaling))
    if description.floats:
        return scaling, f"{said}; they were trained on floats, and now get pixels {now}"
    if is_free and is_imported and description.image_shape == tuple(image_shape):
        return before, f"{said}; they keep their scaling, pixels {was}"
    return scaling, f"{said}; they were trained on pixels {was}, and now get {now}"


def network_of(path: str | os.PathLike[str]) -> str:
    """The network that weights are of, as ``--model`` names it; its code may be in their run.

    Args:
        path: as in `start_from`.

    Raises:
        DataError: there are no such weights, or they were trained with other code than the copy.
        UsageError: the network is code of its author, and there is no copy beside them.
    """
    file = find_weights(path)
    _, metadata = checkpoint.load_weights(file)
    network = _network(file, metadata)
    if network is None:
        raise UsageError(
            f"the network of the weights in {file} is not known here",
            cause="it is code of its author's, or was made in Python",
            fix="give the network as --model my_net.py:build",
        )
    code = Code.parse(network)
    if code is not None:
        code.require(metadata.get("code_sha256"))
    return network


def freeze(model: Module, names: str, image_shape: tuple[int, ...]) -> None:
    """Freeze layers of a built model.

    Args:
        names: their paths, as in "conv1,blocks.2"; a layer with others in it freezes those, too.
            "features" stands for all layers with parameters but the one that is called last.
        image_shape: (C, H, W).

    Raises:
        UsageError: there is no such layer, or none is left to train.
    """
    modules = {path: module for path, module in model.named_modules() if path}
    for name in (part.strip() for part in names.split(",")):
        if name == FEATURES and name not in modules:
            last = _last_layer(model, image_shape)
            for path in _owners(model):
                if path and not f"{last}.".startswith(f"{path}."):
                    modules[path].freeze()
        else:
            known = dict.fromkeys([*modules, FEATURES])
            choose(known, name, "layer", " (from --freeze)")
            modules[name].freeze()
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UsageError(
            "all layers are frozen: there is nothing to train", fix="give fewer layers to --freeze"
        )


def _network(file: Path, metadata: dict[str, Any]) -> str | None:
    """The network that the metadata of a weights file name or describe; None if there is none."""
    if isinstance(metadata.get("network"), dict):
        return str(file)
    name, folder = str(metadata.get("model")), run_of(file)
    code = Code.parse(name)
    if code is not None and folder is not None and Run(folder).has_code:
        return str(Code(folder / COPY, code.function))
    return name if name in models.NAMES else None


def _last_layer(model: Module, image_shape: tuple[int, ...]) -> str:
    """The path of the module with parameters of its own that is called last."""
    owners = _owners(model)
    paths = {id(module): path for path, module in model.named_modules()}
    called: list[str] = []

    def observe(module: Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if (path := paths[id(module)]) in owners:
            called.append(path)

    with model.observe(observe):
        count_outputs(model, image_shape)
    return called[-1] if called else ""


def _owners(model: Module) -> set[str]:
    """The paths of the modules with parameters of their own."""
    return {path.rpartition(".")[0] for path in model.named_parameters().keys()}  # noqa: SIM118
