"""Networks that a weights file describes beside its weights: layers as JSON, and no code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gpucnn.errors import DataError, GpucnnError, UsageError
from gpucnn.nn import Module
from gpucnn.nn.room import room_for
from gpucnn.nn.structure import ERRORS, from_structure
from gpucnn.nn.structure import structure as layers_of
from gpucnn.quoting import quoted
from gpucnn.training import checkpoint

SUFFIX = ".safetensors"
MADE = "python"  # the model of a run whose network was made in Python, and is in its weights file
_OUTPUTS = ("units", "filters")  # arguments of layers: the number of their outputs
#: A loss -> the activation that it includes, as `predict` does afterwards.
INCLUDED = {"softmax_cross_entropy": "softmax", "binary_cross_entropy": "sigmoid"}


def is_described(model: str) -> bool:
    """Whether ``--model`` names a weights file, whose network is meant."""
    return model.endswith(SUFFIX)


def make(structure: Mapping[str, Any], file: Path) -> Module:
    """The network of a structure in a weights file, not built yet.

    Raises:
        DataError: it is no structure of a network.
    """
    try:
        network: Module = from_structure(structure)
    except (GpucnnError, *ERRORS) as error:
        raise _no_network(file, error) from error
    return network


def build(
    structure: Mapping[str, Any], image_shape: tuple[int, ...], file: Path, device: str
) -> Module:
    """The network of a structure in a weights file, built.

    Raises:
        DataError: it is no structure of a network, or it does not take images of this shape.
    """
    network = make(structure, file)
    try:
        return network.build(image_shape, device=device)
    except ERRORS as error:  # ours are ShapeError and UsageError among them
        raise _no_network(file, error) from error


def _no_network(file: Path, error: Exception) -> DataError:
    return DataError(
        f"{file} describes a network that cannot be made",
        cause=quoted(f"{type(error).__name__}: {error}".replace("\n", "; ")),
        fix="make the file again with this version of gpucnn",
    )


def for_classes(file: Path, classes: int) -> Module:
    """The network that a weights file describes, not built yet, with an output for each class.

    With another number of classes than in the file, its last layer gets other outputs.

    Raises:
        DataError: there is no such file, or it holds weights alone.
        UsageError: it has another number of outputs, which are not those of its last layer.
    """
    weights, metadata = checkpoint.load_weights(file)
    structure = metadata.get("network")
    if not isinstance(structure, dict):
        raise DataError(
            f"{file} holds weights, and does not describe their network",
            fix="give --model the name of the network; gpucnn import makes files that describe it",
        )
    checkpoint.require(metadata, {"image_shape": list, "class_names": list}, file)
    with room_for(weights):  # the training builds it without bounds
        build(structure, tuple(metadata["image_shape"]), file, "cpu")
    before = metadata["class_names"]
    if len(before) != classes:
        structure = _with_outputs(structure, len(before), classes, file)
    return make(structure, file)


def structure_of(model: Module) -> dict[str, Any] | None:
    """The layers of a model; None if one is of a class of the user's own."""
    try:
        return layers_of(model)
    except UsageError:
        return None


def ends_in_activation(layers: Mapping[str, Any], loss: str) -> bool:
    """Whether the structure of a `Sequential` ends in the activation that the loss includes."""
    return without_activation(layers, loss) != without_activation(layers, "")


def without_activation(structure: Mapping[str, Any], loss: str) -> dict[str, Any]:
    """A copy of the structure of a `Sequential` without the activation that the loss includes.

    It is the last layer, or the last layer has it; if there is none, the copy is unchanged.
    """
    changed: dict[str, Any] = json.loads(json.dumps(structure))
    name, last = INCLUDED.get(loss), changed
    while isinstance(last.get("layers"), list) and last["layers"]:
        inside, last = last["layers"], last["layers"][-1]
        arguments = last.get("arguments", {})
        if name and (
            last.get("class") == name.capitalize()
            or (last.get("class") == "Activation" and arguments["activation"] == name)
        ):
            del inside[-1]
        elif name and arguments.get("activation") == name:
            arguments["activation"] = None
    return changed


def _with_outputs(
    structure: Mapping[str, Any], before: int, classes: int, file: Path
) -> dict[str, Any]:
    """A copy of the structure in which the last layer with weights has other outputs."""
    changed: dict[str, Any] = json.loads(json.dumps(structure))
    try:
        for arguments in _last_first(changed):
            if size := next((name for name in _OUTPUTS if name in arguments), None):
                if arguments[size] != before:
                    break
                arguments[size] = classes
                return changed
    except ERRORS as error:
        raise _no_network(file, error) from error
    raise UsageError(
        f"the network in {file} is for {before} classes, and cannot be changed for {classes}",
        cause="its outputs are not those of its last layer with weights",
        fix=f"give data of {before} classes",
    )


def _last_first(structure: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The arguments of the layers of a structure, those of the layer that is called last first."""
    if "steps" in structure:
        called = [structure["layers"].get(call, {}) for _, call, *_ in structure["steps"]]
    else:
        called = structure.get("layers", [])
    for layer in reversed(called):
        yield from _last_first(layer)
    if "arguments" in structure:
        yield structure["arguments"]
