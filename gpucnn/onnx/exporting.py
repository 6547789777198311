"""Writing a network as an ONNX file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import gpucnn
from gpucnn.autograd import Tensor
from gpucnn.errors import GraphError, UsageError, expect
from gpucnn.nn import Module
from gpucnn.onnx.extra import require
from gpucnn.onnx.tracing import BATCHES, Value, trace
from gpucnn.onnx.translations import OPSET, TRANSLATIONS, Node, Nodes, Operand, Untranslatable
from gpucnn.training import SavedModel
from gpucnn.training.metrics import LOSSES
from gpucnn.writing import write_atomic

IR_VERSION = 9  # that of opset 20
BATCH = "batch"  # the name of the open size
PRODUCER = "gpucnn"
PROBABILITIES = "probabilities"  # the name of the output
_LARGEST = 2**31 - 1  # bytes of a file in the form of protobuf


@dataclass(frozen=True)
class Port:
    """An input or the output of a file.

    Attributes:
        name: of it in the file.
        dtype: "float32" or "uint8".
        shape: without the batch axis, which is open.
        meaning: in words.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    meaning: str

    def __str__(self) -> str:
        shape = ", ".join(map(str, (BATCH, *self.shape)))
        return f"{self.name}, {self.dtype} ({shape})" + (self.meaning and f": {self.meaning}")


@dataclass(frozen=True)
class Exported:
    """What a file takes and gives.

    Attributes:
        path: of the file.
        inputs: in order; see `Port`.
        output: see `Port`.
        nodes: the number of operations.
    """

    path: Path
    inputs: tuple[Port, ...]
    output: Port
    nodes: int


def export(
    model: Module | SavedModel,
    path: str | os.PathLike[str],
    *,
    with_preprocessing: bool = False,
    probabilities: bool = False,
) -> Exported:
    """Write a network in evaluation mode as an ONNX file, with its weights; the batch size is open.

    A `SavedModel` has class names and a scaling of pixels; the file keeps them as its metadata.

    Args:
        model: built.
        path: the file, which is replaced if it is there.
        with_preprocessing: the file takes pixels, uint8, and scales them itself.
        probabilities: the file gives the probability of each class, not what the loss takes.

    Raises:
        GraphError: ONNX does not have an operation of the network, or forward decides in Python by
            the images or their number; the message names it.
        UsageError: an option needs a `SavedModel`, the model is not built, the path is no name of a
            file, or there are pixels to scale and the model was trained on floats.
        MissingExtraError: the package onnx is not installed.
        StorageError: the file cannot be written.
    """
    require("the export to ONNX")
    expect(model, (Module, SavedModel), "the model", "give a Module, or SavedModel.load(run)")
    expect(path, (str, os.PathLike), "the path", 'give the name of a file: "network.onnx"')
    target = Path(path)
    if not target.name or os.path.isdir(target):
        raise UsageError(
            f"{target} names no file", fix=f'give the name of one: "{target / "network.onnx"}"'
        )
    saved = model if isinstance(model, SavedModel) else None
    if saved is None and (with_preprocessing or probabilities):
        option = "with_preprocessing" if with_preprocessing else "probabilities"
        raise UsageError(
            f"{option} needs a SavedModel",
            cause="a Module knows neither the scaling of its pixels nor its loss",
            fix="give SavedModel.load(run)",
        )
    if saved and with_preprocessing:
        saved.require_pixels("with_preprocessing scales pixels")
    network: Module = model.model if isinstance(model, SavedModel) else model
    network.require_built()
    shapes = network.built_for or ()
    names = ["images" if saved else "input"]
    if len(shapes) != 1:
        names = [f"input{number}" for number in range(1, len(shapes) + 1)]
    output_name = _output_name(saved, probabilities)
    values = trace(network, names, _forward(saved, probabilities))
    scaling = (saved.description.scale, saved.description.offset) if saved else (1.0, 0.0)
    written = [Nodes((*names, output_name)) for _ in BATCHES]
    for run, to in enumerate(written):
        given = {name: name for name in names}
        if with_preprocessing:
            given[names[0]] = _scaled(to, names[0], *scaling)
        result = _translate(values, run, given, to)
    for to in written[1:]:
        _require_same(network, written[0], to)
    output = _output(output_name, values[-1], saved)
    meaning = _meaning(saved, with_preprocessing)
    inputs = tuple(
        Port(name, "uint8" if with_preprocessing else "float32", shape, meaning)
        for name, shape in zip(names, shapes, strict=True)
    )
    to = written[0]
    _name_output(to, result, output.name)
    content = _content(network, to, inputs, output, _metadata(saved, with_preprocessing))
    if len(content) > _LARGEST:
        raise UsageError(
            f"{network.display_name} is too large for one ONNX file",
            cause=f"it would have {len(content):,} bytes, and may have {_LARGEST:,}",
        )
    write_atomic(target, content, "--onnx FILE" if saved else "")
    return Exported(target, inputs, output, len(to.nodes))


def _forward(saved: SavedModel | None, probabilities: bool) -> Callable[..., Tensor] | None:
    if saved is None or not probabilities:
        return None
    return lambda x: LOSSES[saved.config.loss].predictions(saved.model(x))


def _output_name(saved: SavedModel | None, probabilities: bool) -> str:
    if saved is None:
        return "output"
    if saved.config.loss == "mean_squared_error":
        return "outputs"
    return PROBABILITIES if probabilities else "logits"


def _output(name: str, value: Value, saved: SavedModel | None) -> Port:
    """The output of the file.

    Raises:
        GraphError: its first axis is not the batch, or another size depends on the batch.
    """
    first, *sizes = value.shape or (0,)
    shape = tuple(size for size in sizes if not isinstance(size, tuple))
    if first != BATCHES or len(shape) < len(sizes):
        raise GraphError(
            "the output cannot be written as ONNX",
            cause=f"its shape for a batch of {BATCHES[0]} is"
            f" {tuple(size[0] if isinstance(size, tuple) else size for size in value.shape)}: the"
            " first axis must be the batch, and no other may depend on it",
            fix="let forward return a Tensor (N, ...)",
        )
    names = saved.description.class_names if saved else []
    meaning = ", ".join(names[:10])
    if len(names) > 10:
        meaning += f" and {len(names) - 10} more"
    return Port(name, "float32", shape, meaning)


def _meaning(saved: SavedModel | None, in_graph: bool) -> str:
    """What the numbers of the input are."""
    if saved is None:
        return ""
    if in_graph:
        return "pixels from 0 to 255"
    about = saved.description
    return scaled(about.scale, about.offset, about.floats)


def scaled(scale: float, offset: float, floats: bool = False) -> str:
    """The scaling of pixels in words: "pixels * 0.00392156863"."""
    if floats:
        return "floats as in the training"
    return f"pixels * {scale:.9g} {offset:+.9g}" if offset else f"pixels * {scale:.9g}"


def _scaled(to: Nodes, images: str, scale: float, offset: float) -> str:
    """The nodes from pixels to what the network takes."""
    x = to("Mul", to("Cast", images, to=1), to.constant(scale))
    return to("Add", x, to.constant(offset)) if offset else x


def _name_output(to: Nodes, result: str, name: str) -> None:
    """Let the last node give the output of the file by its name."""
    if to.nodes and to.nodes[-1].output == result:
        to.nodes[-1] = replace(to.nodes[-1], output=name)
    else:  # the network returns its input
        to.nodes.append(Node("Identity", (result,), name, {}))


def _translate(values: list[Value], run: int, inputs: Mapping[str, str], to: Nodes) -> str:
    """Add the nodes of all values; returns the name of the last.

    Args:
        run: the number of the run.
        inputs: the name of an input -> that of what the network takes.
    """
    names: list[Operand] = []
    for value in values:
        operation = value.operations[run]
        to.layer = value.layer
        if operation is not None:
            operands = [names[source] for source in value.sources]
            name = _translated(operation, value, operands, to)
        elif value.is_input:
            name = inputs[value.name]
        else:
            name = to.constant(value.arrays[run], name=value.name)
        names.append(Operand(name, value.shape))
    return names[-1]


def _translated(operation: Any, value: Value, operands: list[Operand], to: Nodes) -> str:
    label = f"{type(operation).__name__} in {value.layer or 'forward'}"
    translate = TRANSLATIONS.get(type(operation))
    if translate is None:
        raise GraphError(
            f"{label} cannot be written as ONNX",
            cause="there is no translation of this operation",
            fix="compute it by other functions of gpucnn.functions",
        )
    try:
        return translate(to, operation, value.shape, *operands)
    except Untranslatable as error:
        raise GraphError(
            f"{label} cannot be written as ONNX",
            cause=error.message,
            fix="compute it in another way",
        ) from None


def _require_same(network: Module, one: Nodes, other: Nodes) -> None:
    """`GraphError` if two runs differ in a node or a constant."""
    different = {
        name
        for name, array in one.constants.items()
        if name not in other.constants or not _same(array, other.constants[name])
    }
    for node, twin in zip(one.nodes, other.nodes, strict=False):
        if node != twin or different & {*node.inputs}:
            raise GraphError(
                f"{network.display_name} cannot be written as ONNX",
                cause=f"its operation {node.output} takes a number, an index, a comparison or an"
                " array that forward computes from the images, or from their number",
                fix="compute with Tensors, by their methods and gpucnn.functions: maximum, minimum"
                " and clip instead of comparisons, -1 for the batch in reshape",
            )


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.tobytes() == b.tobytes()  # NaN equals NaN


def _metadata(saved: SavedModel | None, with_preprocessing: bool) -> dict[str, str]:
    """The description of a trained model as texts by name."""
    if saved is None:
        return {}
    about = saved.description
    values = {
        "image_shape": about.image_shape,
        "class_names": about.class_names,
        "label_values": about.label_values,
        "scale": 1.0 if with_preprocessing else about.scale,
        "offset": 0.0 if with_preprocessing else about.offset,
        "floats": about.floats,
        "reading": about.reading.as_dict(),
        "read": about.read,
        "loss": saved.config.loss,
    }
    return {name: json.dumps(value) for name, value in values.items()}


def _content(
    network: Module, to: Nodes, inputs: tuple[Port, ...], output: Port, metadata: dict[str, str]
) -> bytes:
    """The file in the form of protobuf; equal networks give equal bytes."""
    from onnx import TensorProto, helper, numpy_helper

    types = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8}

    def info(port: Port) -> Any:
        shape: list[str | int | None] = [BATCH, *port.shape]
        return helper.make_tensor_value_info(port.name, types[port.dtype], shape, port.meaning)

    graph = helper.make_graph(
        [
            helper.make_node(
                node.operation, node.inputs, [node.output], name=node.output, **node.attributes
            )
            for node in to.nodes
        ],
        network.name or type(network).__name__,
        list(map(info, inputs)),
        [info(output)],
        [numpy_helper.from_array(array, name) for name, array in to.constants.items()],
    )
    model = helper.make_model(
        graph,
        producer_name=PRODUCER,
        producer_version=gpucnn.__version__,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    for key, text in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, text
    content: bytes = model.SerializeToString(deterministic=True)
    return content
