"""Reading an ONNX file: its nodes and arrays, checked. Nothing runs, and no other file is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import files
from gpucnn.errors import DataError, cause_of
from gpucnn.onnx.fields import count_fields
from gpucnn.quoting import quoted

_OLDEST = 7  # the first opset in which operands are broadcast as now
_DOMAINS = ("", "ai.onnx")
_LARGEST = 2**31  # bytes of a file in the form of protobuf
_MOST_NODES = 10_000
_MOST_FIELDS = 300_000
LONGEST_LIST = 10_000  # numbers of an option: a shape, paddings, sizes of parts
MOST_AXES = 32  # of an array of NumPy 1
WRITE_AGAIN = "write the file again: it may be cut short"


@dataclass(frozen=True, eq=False)
class Node:
    """An operation of the file.

    Attributes:
        label: its name, or that of its first output, for messages.
        operation: as in the table of ONNX: "Conv".
        inputs: names; "" for one that is left out.
        outputs: names.
        attributes: by name: numbers, lists, texts and arrays.
    """

    label: str
    operation: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Content:
    """What a file holds.

    Attributes:
        path: of the file.
        opset: the version of the operations.
        name: of the network.
        inputs: name -> shape, None for a size that is open.
        output: its name.
        nodes: in the order of the computation.
        arrays: the weights and constants, by name: float32, integers or bools.
        producer: the program that wrote the file.
        metadata: texts by name.
        takes_bytes: whether an input is uint8, not float32.
    """

    path: Path
    opset: int
    name: str
    inputs: dict[str, tuple[int | None, ...]]
    output: str
    nodes: list[Node]
    arrays: dict[str, NDArray[Any]]
    producer: str
    metadata: dict[str, str]
    takes_bytes: bool

    @property
    def numbers(self) -> int:
        """Of all arrays, those in nodes among them."""
        held = (array for node in self.nodes for array in node.attributes.values())
        arrays = [*self.arrays.values(), *held]
        return sum(array.size for array in arrays if isinstance(array, np.ndarray))


def read(path: Path) -> Content:
    """The content of an ONNX file.

    Raises:
        DataError: there is no such file, it is no ONNX file, it is cut short, it has more than
            10,000 nodes or 300,000 fields, it keeps its weights in other files, or it has what no
            `Content` can hold, such as several outputs.
    """
    model = _parsed(path)
    graph = model.graph
    opset = _opset(model, path)
    arrays = {array.name: _array(array, path) for array in graph.initializer}
    if graph.sparse_initializer:
        raise DataError(f"{path} has sparse weights", fix="write it with dense weights")
    if len(graph.output) != 1:
        raise DataError(
            f"{path} has {len(graph.output)} outputs",
            cause="a network here has one",
            fix="write the file again, with one output: the scores of the classes",
        )
    inputs = {port.name: _shape(port, path) for port in graph.input if port.name not in arrays}
    if not inputs:
        raise DataError(f"{path} has no input", fix=WRITE_AGAIN)
    return Content(
        path,
        opset,
        graph.name,
        inputs,
        graph.output[0].name,
        [_node(node, path) for node in graph.node],
        arrays,
        model.producer_name,
        {entry.key: entry.value for entry in model.metadata_props},
        any(_is_bytes(port) for port in graph.input if port.name in inputs),
    )


def damaged_metadata(path: Path, cause: str) -> DataError:
    """The error for metadata that `gpucnn export` does not write so."""
    return DataError(
        f"the metadata of {path} are damaged",
        cause=cause,
        fix="write the file again with gpucnn export",
    )


def _parsed(path: Path) -> Any:
    import onnx

    try:
        content = files.read(path, _LARGEST)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read", cause=cause_of(error), fix="give the name of an ONNX file"
        ) from error
    try:
        fields = count_fields(content, onnx.ModelProto.DESCRIPTOR, _MOST_FIELDS)
    except ValueError as error:
        raise _no_model(path, error) from error
    if fields > _MOST_FIELDS:
        raise _too_large(path, "too many names, sizes and other fields", _MOST_FIELDS)
    try:
        model = onnx.ModelProto.FromString(content)
    except Exception as error:  # of protobuf, which differ from version to version
        raise _no_model(path, error) from error
    if not model.graph.node:
        raise DataError(f"{path} is no ONNX file", cause="it has no operations", fix=WRITE_AGAIN)
    if len(model.graph.node) > _MOST_NODES:
        raise _too_large(path, f"{len(model.graph.node):,} nodes", _MOST_NODES)
    return model


def _no_model(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path} is no ONNX file, or is cut short", cause=quoted(error), fix=WRITE_AGAIN
    )


def _too_large(path: Path, what: str, most: int) -> DataError:
    return DataError(
        f"{path} has {what}",
        cause=f"at most {most:,} are read",
        fix="write a smaller network, or simplify it, as the package onnxsim does",
    )


def _opset(model: Any, path: Path) -> int:
    versions = [each.version for each in model.opset_import if each.domain in _DOMAINS]
    if not versions or versions[0] < _OLDEST:
        raise DataError(
            f"{path} is of opset {versions[0] if versions else 'unknown'}",
            cause=f"opsets from {_OLDEST} on can be read",
            fix="write it with a newer opset: onnx.version_converter.convert_version(model, 20)",
        )
    if model.functions:
        names = ", ".join(sorted({function.name for function in model.functions})[:5])
        raise DataError(
            f"{path} defines functions of its own: {quoted(names)}",
            fix="write their operations instead: onnx.inliner.inline_local_functions(model)",
        )
    return int(versions[0])


def _is_bytes(port: Any) -> bool:
    from onnx import TensorProto

    return bool(port.type.tensor_type.elem_type == TensorProto.UINT8)


def _shape(port: Any, path: Path) -> tuple[int | None, ...]:
    from onnx import TensorProto

    kind = port.type.tensor_type
    if kind.elem_type not in (TensorProto.FLOAT, TensorProto.UINT8):
        raise DataError(
            f"the input {quoted(port.name)} of {path} is of the type {_type_name(kind.elem_type)}",
            fix="write the file with an input of float32, or of uint8 for pixels",
        )
    if not kind.HasField("shape"):
        raise DataError(f"the input {quoted(port.name)} of {path} has no shape", fix=WRITE_AGAIN)
    return tuple(
        int(size.dim_value) if size.HasField("dim_value") and size.dim_value > 0 else None
        for size in kind.shape.dim
    )


def _node(node: Any, path: Path) -> Node:
    if not node.output or not node.output[0]:
        raise DataError(f"a node of {path} has no output", fix=WRITE_AGAIN)
    label = quoted(node.name or node.output[0])
    if node.domain not in _DOMAINS:
        raise DataError(
            f"node {label} of {path} is {quoted(node.op_type)} of {quoted(node.domain)}",
            cause="only operations of ONNX itself can be read",
            fix="write the file without operations of one program",
        )
    return Node(
        label,
        node.op_type,
        tuple(node.input),
        tuple(node.output),
        {attribute.name: _attribute(attribute, label, path) for attribute in node.attribute},
    )


def _attribute(attribute: Any, label: str, path: Path) -> Any:
    from onnx import AttributeProto as Kinds

    kind = attribute.type
    if kind == Kinds.INT:
        return int(attribute.i)
    if kind == Kinds.FLOAT:
        return float(attribute.f)
    if kind == Kinds.STRING:
        return attribute.s.decode(errors="replace")
    if max(len(attribute.ints), len(attribute.floats)) > LONGEST_LIST:
        raise DataError(
            f"node {label} of {path} has an attribute that is too long: {quoted(attribute.name)}",
            cause=f"at most {LONGEST_LIST:,} numbers are read",
            fix="keep the numbers in an array",
        )
    if kind == Kinds.INTS:
        return [int(value) for value in attribute.ints]
    if kind == Kinds.FLOATS:
        return [float(value) for value in attribute.floats]
    if kind == Kinds.TENSOR:
        return _array(attribute.t, path)
    raise DataError(
        f"node {label} of {path} has an attribute that cannot be read: {quoted(attribute.name)}",
        cause="it is a graph, or a list of texts",
        fix="write the network without loops and conditions",
    )


def _array(tensor: Any, path: Path) -> NDArray[Any]:
    """An array of the file, float64 and float16 as float32.

    Its size is compared with the bytes that are there, before memory is taken for it.
    """
    from onnx import TensorProto, numpy_helper

    name = quoted(tensor.name) or "without a name"
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise DataError(
            f"{path} keeps the array {name} in another file",
            cause="only files that hold their weights are read",
            fix="keep them in one file: external_data=False in torch.onnx.export, or"
            " onnx.save(onnx.load(path), new_path)",
        )
    widths = {
        TensorProto.FLOAT: 4, TensorProto.DOUBLE: 8, TensorProto.FLOAT16: 2, TensorProto.INT64: 8,
        TensorProto.INT32: 4, TensorProto.INT8: 1, TensorProto.UINT8: 1, TensorProto.BOOL: 1,
    }  # fmt: skip
    width = widths.get(tensor.data_type)
    if width is None:
        raise DataError(
            f"the array {name} of {path} is of the type {_type_name(tensor.data_type)}",
            fix="write the file in float32",
        )
    if len(tensor.dims) > MOST_AXES:
        raise DataError(
            f"the array {name} of {path} has {len(tensor.dims):,} axes",
            cause=f"an array has at most {MOST_AXES}",
            fix=WRITE_AGAIN,
        )
    count = math.prod(tensor.dims)
    held = (
        len(tensor.raw_data) // width
        if tensor.HasField("raw_data")
        else max(
            len(values)
            for values in (
                tensor.float_data, tensor.double_data, tensor.int32_data, tensor.int64_data
            )
        )
    )  # fmt: skip
    if min(tensor.dims, default=0) < 0 or count != held:
        raise DataError(
            f"the array {name} of {path} is damaged",
            cause=f"it should have {count:,} numbers, of the shape"
            f" {quoted(tuple(tensor.dims))}, and has {held:,}",
            fix=WRITE_AGAIN,
        )
    try:
        array = numpy_helper.to_array(tensor)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"the array {name} of {path} is damaged", cause=quoted(error), fix=WRITE_AGAIN
        ) from error
    with np.errstate(over="ignore"):  # weights that are not finite are refused later
        return array.astype(np.float32) if array.dtype.kind == "f" else array


def _type_name(number: int) -> str:
    from onnx import TensorProto

    names = {value: key for key, value in TensorProto.DataType.items()}
    return names.get(number, str(number)).lower()
