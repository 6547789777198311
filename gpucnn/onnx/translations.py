"""Functions in ONNX: one table, from each class of `gpucnn.functions` to the nodes for it.

The nodes are of opset 20. https://onnx.ai/onnx/operators describes them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpucnn.errors import GraphError
from gpucnn.functions import (
    activation,
    arithmetic,
    convolution,
    elementwise,
    normalization,
    pooling,
    reduction,
    shaping,
)
from gpucnn.functions.reduction import check_axes
from gpucnn.nn import BatchNorm2d
from gpucnn.onnx.tracing import BATCHES, Shape
from gpucnn.shapes import conv2d_geometry, is_same, pool2d_geometry

OPSET = 20  # onnxruntime takes it from version 1.17 on
_FARTHEST = 2**63 - 1  # the end of a slice that has none


@dataclass(frozen=True)
class Node:
    """A node of the file: one operation, with one output."""

    operation: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]


class Nodes:
    """The nodes and the constants of a file, as they are added.

    Args:
        taken: names that no node and no constant may get.

    Attributes:
        nodes: in the order of the computation.
        constants: name -> array.
        layer: the path of the layer whose operations are being added; it begins their names.
    """

    def __init__(self, taken: Sequence[str] = ()) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self.layer = ""
        self._taken = dict.fromkeys(taken, 1)

    def __call__(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; returns the name of its output."""
        output = self.unique(f"{self.layer}/{operation}" if self.layer else operation)
        self.nodes.append(Node(operation, inputs, output, attributes))
        return output

    def constant(self, array: Any, dtype: Any = np.float32, name: str = "") -> str:
        """Add a constant; returns the name that it gets, with a number if it is taken."""
        name = self.unique(name or (f"{self.layer}/constant" if self.layer else "constant"))
        self.constants[name] = np.asarray(array, dtype)
        return name

    def integers(self, values: Sequence[int]) -> str:
        """A constant vector of int64."""
        return self.constant(values, np.int64)

    def unique(self, name: str) -> str:
        """The name, with a number if it is taken."""
        count = self._taken[name] = self._taken.get(name, 0) + 1
        return name if count == 1 else self.unique(f"{name}_{count}")


class Operand(str):
    """The name of an input of a function, and its shape."""

    shape: Shape

    def __new__(cls, name: str, shape: Shape) -> Operand:
        self = super().__new__(cls, name)
        self.shape = shape
        return self


#: Adds the nodes of a function: (nodes, function, shape of its output, its inputs) -> output.
Translation = Callable[..., str]


def _same_name(operation: str) -> Translation:
    """The translation of a function without options."""
    return lambda to, function, shape, *inputs: to(operation, *inputs)


def _along_axis(operation: str) -> Translation:
    return lambda to, function, shape, x: to(operation, x, axis=function.axis)


def _reduction(operation: str) -> Translation:
    def translate(to: Nodes, function: Any, shape: Shape, x: Operand) -> str:
        axes = to.integers(check_axes(operation, function.axis, len(x.shape)))
        return to(operation, x, axes, keepdims=int(function.keepdims))

    return translate


def _batch_norm(to: Nodes, layer: BatchNorm2d, shape: Shape, *inputs: Operand) -> str:
    return to("BatchNormalization", *inputs, epsilon=layer.eps)


def _layer_norm(to: Nodes, function: Any, shape: Shape, *inputs: Operand) -> str:
    return to("LayerNormalization", *inputs, axis=-1, epsilon=function.eps)


def _clip(to: Nodes, function: Any, shape: Shape, x: Operand) -> str:
    bounds = ["" if b is None else to.constant(b) for b in (function.low, function.high)]
    return to("Clip", x, *(bounds if bounds[1] else bounds[:1]))


def _power(to: Nodes, function: Any, shape: Shape, x: Operand) -> str:
    return to("Pow", x, to.constant(function.exponent))


def _conv2d(to: Nodes, function: Any, shape: Shape, x: Operand, w: Operand, *b: Operand) -> str:
    options = {key: value for key, value in function.options.items() if key != "pool"}
    g = conv2d_geometry(_one(x), _one(w), **options)
    y = to(
        "Conv",
        x,
        w,
        *b,
        kernel_shape=[g.KH, g.KW],
        strides=g.stride,
        pads=_pads(g.padding),
        dilations=g.dilation,
        group=g.groups,
    )
    y = _activated(to, function, y)
    if function.options["pool"] is None:
        return y
    kernel, stride, padding = function.options["pool"]
    return _pool(to, "MaxPool", Operand(y, g.y_shape), kernel, stride, padding)


def _linear(to: Nodes, function: Any, shape: Shape, x: Operand, w: Operand, *b: Operand) -> str:
    return _activated(to, function, to("Gemm", x, w, *b))


def _activated(to: Nodes, function: Any, y: str) -> str:
    """After the ReLU that is fused into a function, if there is one."""
    return to("Relu", y) if function.activation else y


def _max_pool(to: Nodes, function: Any, shape: Shape, x: Operand) -> str:
    return _pool(to, "MaxPool", x, function.kernel, **function.options)


def _avg_pool(to: Nodes, function: Any, shape: Shape, x: Operand) -> str:
    options = dict(function.options)
    counted = options.pop("count_include_pad")
    counted = not is_same(options["padding"]) if counted is None else counted
    return _pool(to, "AveragePool", x, function.kernel, **options, count_include_pad=int(counted))


def _pool(
    to: Nodes, operation: str, x: Operand, kernel: Any, stride: Any, padding: Any, **more: Any
) -> str:
    g = pool2d_geometry(_one(x), kernel, stride, padding)
    pads = _pads(g.padding)
    return to(operation, x, kernel_shape=[g.KH, g.KW], strides=g.stride, pads=pads, **more)


def _one(x: Operand) -> tuple[int, ...]:
    """The shape of a batch of one."""
    return tuple(1 if isinstance(size, tuple) else size for size in x.shape)


def _pads(padding: Any) -> list[int]:
    (top, bottom), (left, right) = padding
    return [top, left, bottom, right]


def _reshape(to: Nodes, function: Any, shape: Shape, x: Operand) -> str:
    open_sizes = [size for size in (*shape[1:], *x.shape[1:]) if isinstance(size, tuple)]
    if len(shape) == 2 and shape[:1] == x.shape[:1] == (BATCHES,) and not open_sizes:
        return to("Flatten", x, axis=1)
    sizes = []
    for axis, size in enumerate(shape):
        if isinstance(size, tuple):  # 0 takes the size from the input, -1 makes the elements fit
            size = 0 if x.shape[axis : axis + 1] == (size,) else -1
        sizes.append(size)
    if sizes.count(-1) > 1:
        raise Untranslatable("two of its sizes depend on the batch")
    return to("Reshape", x, to.integers(sizes))


def _transpose(to: Nodes, function: Any, shape: Shape, x: Operand) -> str:
    axes = range(len(x.shape))[::-1] if function.axes is None else function.axes
    return to("Transpose", x, perm=check_axes("transpose", tuple(axes), len(x.shape)))


def _concat(to: Nodes, function: Any, shape: Shape, *inputs: Operand) -> str:
    return to("Concat", *inputs, axis=function.axis)


def _getitem(to: Nodes, function: Any, shape: Shape, x: Operand) -> str:
    """Slices; then integers, or one array of them, from the last axis on; then new axes."""
    index = _full_index(function.index, len(x.shape))
    parts = [part for part in index if part is not None]
    arrays = [part for part in parts if not isinstance(part, slice) and np.ndim(part)]
    if len(arrays) > 1 or (arrays and any(map(_is_integer, parts))):
        raise Untranslatable("it is indexed by several arrays, or by an array and integers")
    y: str = x
    cuts = {k: p for k, p in enumerate(parts) if isinstance(p, slice) and p != slice(None)}
    if cuts:
        starts, stops, steps = zip(*map(_ends, cuts.values()), strict=True)
        y = to("Slice", y, *(to.integers(each) for each in (starts, stops, [*cuts], steps)))
    for axis, part in reversed(list(enumerate(parts))):
        if not isinstance(part, slice):
            where = np.asarray(function.backend.to_numpy(part) if np.ndim(part) else part)
            if where.dtype.kind not in "iu":
                raise Untranslatable("it is indexed by bools")
            y = to("Gather", y, to.constant(where, np.int64), axis=axis)
    new, axis = [], 0
    for part in index:
        if part is None:
            new.append(axis)
        axis += 1 if part is None or isinstance(part, slice) else np.ndim(part)
    if new:
        y = to("Unsqueeze", y, to.integers(new))
    return to("Identity", y) if y is x else y


def _full_index(index: Any, ndim: int) -> tuple[Any, ...]:
    """An index as a tuple with a part for every axis, beside those of new axes."""
    parts = index if isinstance(index, tuple) else (index,)
    at = next((k for k, part in enumerate(parts) if part is Ellipsis), len(parts))
    after = parts[at + 1 :]
    given = sum(part is not None for part in (*parts[:at], *after))
    return (*parts[:at], *[slice(None)] * (ndim - given), *after)


def _ends(part: slice) -> tuple[int, int, int]:
    """(start, stop, step) of a slice; an end that is left out is the farthest."""
    step = 1 if part.step is None else operator.index(part.step)
    first, last = (0, _FARTHEST) if step > 0 else (_FARTHEST, -_FARTHEST)
    start = first if part.start is None else operator.index(part.start)
    return start, last if part.stop is None else operator.index(part.stop), step


def _is_integer(part: Any) -> bool:
    return not isinstance(part, slice) and np.ndim(part) == 0


class Untranslatable(GraphError):
    """A function that ONNX does not have with these options; the message says why."""


TRANSLATIONS: dict[type, Translation] = {
    BatchNorm2d: _batch_norm,
    activation.GELU: lambda to, function, shape, x: to("Gelu", x, approximate="tanh"),
    activation.LeakyReLU: lambda to, function, shape, x: to("LeakyRelu", x, alpha=function.slope),
    activation.LogSoftmax: _along_axis("LogSoftmax"),
    activation.ReLU: _same_name("Relu"),
    activation.Sigmoid: _same_name("Sigmoid"),
    activation.Softmax: _along_axis("Softmax"),
    activation.Tanh: _same_name("Tanh"),
    arithmetic.Add: _same_name("Add"),
    arithmetic.Div: _same_name("Div"),
    arithmetic.MatMul: _same_name("MatMul"),
    arithmetic.Maximum: _same_name("Max"),
    arithmetic.Minimum: _same_name("Min"),
    arithmetic.Mul: _same_name("Mul"),
    arithmetic.Sub: _same_name("Sub"),
    convolution.Conv2d: _conv2d,
    convolution.Linear: _linear,
    elementwise.Abs: _same_name("Abs"),
    elementwise.Clip: _clip,
    elementwise.Cos: _same_name("Cos"),
    elementwise.Exp: _same_name("Exp"),
    elementwise.Log: _same_name("Log"),
    elementwise.Neg: _same_name("Neg"),
    elementwise.Power: _power,
    elementwise.Sin: _same_name("Sin"),
    elementwise.Sqrt: _same_name("Sqrt"),
    normalization.LayerNorm: _layer_norm,
    pooling.AvgPool2d: _avg_pool,
    pooling.MaxPool2d: _max_pool,
    reduction.Max: _reduction("ReduceMax"),
    reduction.Mean: _reduction("ReduceMean"),
    reduction.Min: _reduction("ReduceMin"),
    reduction.Sum: _reduction("ReduceSum"),
    shaping.Concat: _concat,
    shaping.GetItem: _getitem,
    shaping.Reshape: _reshape,
    shaping.Transpose: _transpose,
}
