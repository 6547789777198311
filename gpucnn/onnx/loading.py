"""Reading a network from an ONNX file."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gpucnn.data.labels import listing
from gpucnn.errors import DataError, GpucnnError, expect
from gpucnn.nn.layer_graph import INPUT, LayerGraph
from gpucnn.nn.room import LARGEST
from gpucnn.onnx.building import Builder, Known, Result, Unsupported, result
from gpucnn.onnx.constants import CONSTANTS, constant
from gpucnn.onnx.extra import require
from gpucnn.onnx.operations import OPERATIONS
from gpucnn.onnx.reading import MOST_AXES, WRITE_AGAIN, Content, Node, read
from gpucnn.onnx.sizes import ONE, text
from gpucnn.quoting import quoted

#: What a damaged or hostile file may lead to, beside our own errors.
_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def load(path: str | os.PathLike[str], device: str = "cpu") -> LayerGraph:
    """The network of an ONNX file, with its weights, in evaluation mode.

    It can be trained further. Nothing of the file is run, and no other file is read.

    Args:
        path: the file.
        device: where the parameters lie.

    Raises:
        DataError: it is no ONNX file, it is damaged, or a node cannot be computed here; the
            message names the node.
        MissingExtraError: the package onnx is not installed.
    """
    expect(path, (str, os.PathLike), "the path", 'give the name of a file: "network.onnx"')
    require("the import of ONNX")
    return network(read(Path(path)), device)[0].eval()


def network(
    content: Content, device: str = "cpu", without: tuple[str, ...] = ()
) -> tuple[LayerGraph, str | None]:
    """The built network of a file.

    Args:
        without: kinds of layers of which one is left out if it is the last.

    Returns:
        The network, and the kind of the layer that was left out, or None.

    Raises:
        DataError: as `load`.
    """
    path = content.path
    shape = image_shape(content)
    b = Builder(content.opset, content.takes_bytes, _FREE + _TIMES * content.numbers)
    values: dict[str, Known] = dict(content.arrays)
    values[next(iter(content.inputs))] = Result(INPUT, (ONE, *shape))
    with np.errstate(all="ignore"):  # of constants; weights that are not finite are refused later
        for node in _with_biases(content):
            found = _added(b, node, values, path)
            values |= zip(node.outputs, found if isinstance(found, list) else [found], strict=False)
    try:
        output = result(values[content.output])
        if output.shape[:1] != (ONE,):
            raise Unsupported(
                f"its output is {text(output.shape)}, not one result for each image",
                "write the network so that the batch N is the first axis of its output",
            )
        dropped = b.drop_last(output, without)
        built = b.network(output if dropped is None else dropped[0], content.name)
        built.build(shape, device=device)
        built.load_state_dict(b.state(built))
    except KeyError as error:
        raise DataError(
            f"{path} is damaged", cause=f"no node gives its output {quoted(error)}", fix=WRITE_AGAIN
        ) from None
    except (GpucnnError, Unsupported) as error:
        raise DataError(
            f"the network of {path} cannot be made",
            cause=_told(error),
            fix=(isinstance(error, Unsupported) and error.fix) or _FIX,
        ) from error
    return built, dropped and dropped[1]


_FIX = "write the network with this operation in another form, or without it"
_FREE, _TIMES = 2**24, 4  # numbers of a network besides those in the file, and how often these
_LONGEST = 400  # characters of a cause, which may hold values of the file
_POSSIBLE = f"write the network with these operations alone: {', '.join(sorted(OPERATIONS))}"


def image_shape(content: Content) -> tuple[int, ...]:
    """The shape of one input without the batch axis.

    Raises:
        DataError: there are several inputs, or a size is open or too large.
    """
    path = content.path
    if len(content.inputs) > 1:
        raise DataError(
            f"{path} has {len(content.inputs)} inputs: {listing([*content.inputs])}",
            cause="a network here takes images alone",
            fix="write the file again, with one input",
        )
    ((name, shape),) = content.inputs.items()
    sizes = tuple(size for size in shape[1:] if size is not None)
    fits = 0 < len(sizes) < MOST_AXES and math.prod(sizes) <= LARGEST
    if not fits or len(sizes) < len(shape) - 1:
        given = ", ".join("?" if size is None else str(size) for size in shape)
        raise DataError(
            f"the input {quoted(name)} of {path} has the shape ({quoted(given)})",
            cause="all sizes but the first, the batch, must be known"
            if len(sizes) < len(shape) - 1
            else "it must be (N, C, H, W) or (N, features)",
            fix="write the file for images of one size",
        )
    return sizes


def _with_biases(content: Content) -> list[Node]:
    """The nodes, where a product and the sum with a vector that follows it are one Gemm."""
    known = dict(content.arrays)
    uses: dict[str, list[Node]] = {}
    for node in content.nodes:
        if node.operation == "Constant" and isinstance(node.attributes.get("value"), np.ndarray):
            known[node.outputs[0]] = node.attributes["value"]
        for name in node.inputs:
            uses.setdefault(name, []).append(node)
    joined: dict[str, Node] = {}  # by the output of the product
    for node in content.nodes:
        followers = uses.get(node.outputs[0], [])
        is_product = node.operation == "MatMul" and len(node.inputs) == 2
        if not is_product or len(followers) != 1 or node.outputs[0] == content.output:
            continue
        (follower,) = followers
        others = [name for name in follower.inputs if name != node.outputs[0]]
        weight = known.get(node.inputs[-1])
        if follower.operation != "Add" or weight is None or len(others) != 1:
            continue
        bias = known.get(others[0])
        if bias is not None and weight.ndim == 2 and bias.shape == weight.shape[1:]:
            joined[node.outputs[0]] = follower
            joined[follower.outputs[0]] = replace(
                follower, operation="Gemm", inputs=(*node.inputs, *others), attributes={}
            )
    return [
        joined.get(node.outputs[0], node) if node.operation == "Add" else node
        for node in content.nodes
        if not (node.operation == "MatMul" and node.outputs[0] in joined)
    ]


def _added(b: Builder, node: Node, values: dict[str, Known], path: Path) -> Known | list[Known]:
    """The result of a node, or a list of several.

    The node is added to the network if it depends on the images.
    """
    b.node = node
    try:
        given = _inputs(node, values)
        if node.operation == "Constant":
            return constant(b)
        is_known = all(isinstance(each, np.ndarray) for each in given if each is not None)
        table: Any = CONSTANTS if given and is_known else OPERATIONS
        if node.operation not in table:
            raise Unsupported("there is no layer or function for it")
        found: Known | list[Known] = table[node.operation](b, *given)
        if isinstance(found, np.ndarray) and found.base is None:  # no view
            b.take(found)
        return found
    except (GpucnnError, Unsupported, *_ERRORS) as error:
        raise DataError(
            f"node {node.label} of {path}, {quoted(node.operation)}, cannot be imported",
            cause=_told(error),
            fix=(isinstance(error, Unsupported) and error.fix)
            or (_FIX if node.operation in OPERATIONS else _POSSIBLE),
        ) from error


def _inputs(node: Node, values: dict[str, Known]) -> list[Known | None]:
    if missing := [name for name in node.inputs if name and name not in values]:
        raise Unsupported(f"no node before it gives its input {quoted(missing[0])}")
    given = [values[name] if name else None for name in node.inputs]
    while given and given[-1] is None:
        given.pop()
    return given


def _told(error: Exception) -> str:
    """An error as the cause of another."""
    if isinstance(error, GpucnnError):
        return quoted(error.reason, _LONGEST)
    is_ours = isinstance(error, Unsupported)
    return quoted(error if is_ours else f"{type(error).__name__}: {error}", _LONGEST)
