"""The network of an ONNX file as a `LayerGraph`, made node by node."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpucnn.nn import Module
from gpucnn.nn.layer_graph import LayerGraph, Step
from gpucnn.nn.room import LARGEST
from gpucnn.nn.structure import MOST_CALLS
from gpucnn.onnx.reading import LONGEST_LIST, Node
from gpucnn.onnx.sizes import BATCH, Shape, checked, text

Array = NDArray[Any]

_LONGEST_NAME = 200  # characters of a layer's, and of the network's


class Unsupported(Exception):
    """A node, or a network, that no layer and no function here can compute.

    Args:
        message: why.
        fix: what to change in the file; by default the operation.
    """

    def __init__(self, message: str, fix: str | None = None) -> None:
        super().__init__(message)
        self.fix = fix


class Result(NamedTuple):
    """What a step of the network computes, or an input of it."""

    name: str
    shape: Shape


Known = Result | Array  # an array: it is known before the network runs


class Builder:
    """The parts of a network, as nodes are added.

    Args:
        opset: the version of the operations.
        takes_bytes: whether the input is uint8.
        room: the most numbers that weights, constants and what is computed of them have together.

    Attributes:
        steps, layers: see `LayerGraph`.
        weights: path -> array of each parameter and statistic.
        constants: name -> array.
        node: the one that is being added.
    """

    def __init__(self, opset: int, takes_bytes: bool = False, room: int = LARGEST) -> None:
        self.opset, self.takes_bytes = opset, takes_bytes
        self._room = self._left = room
        self.steps: list[Step] = []
        self.layers: dict[str, Module] = {}
        self.weights: dict[str, Array] = {}
        self.constants: dict[str, Array] = {}
        self.node = Node("", "", (), (), {})
        self._made: dict[tuple[str, ...], str] = {}  # what a layer is made of -> its name
        self._numbers: Counter[str] = Counter()  # kind of layer -> the last number in a name

    def option(self, name: str, default: Any = None) -> Any:
        """The attribute of a name."""
        return self.node.attributes.get(name, default)

    def setting(self, name: str, given: Known | None, default: Any = None) -> Any:
        """An option that is an attribute in older opsets, and the input `given` in newer ones."""
        return self.option(name, default) if given is None else numbers(given, f"its {name}")

    def number(self, name: str, given: Known | None, default: Any = None) -> Any:
        """A `setting` that is one number."""
        value = self.setting(name, given, default)
        return np.array(value).item() if isinstance(value, list) else value

    def take(self, array: Array) -> Array:
        """An array that is held from now on; `Unsupported` if there is no room for it."""
        self._left -= array.size
        if self._left < 0:
            raise Unsupported(
                f"the arrays of the network have more than {self._room:,} numbers together,"
                " many times those in the file"
            )
        return array

    def layer(self, layer: Module, x: Known, shape: Shape, **weights: Array) -> Result:
        """Add a layer with its weights, by their names in it; returns its result.

        Two nodes with the same weights and attributes become one layer that is called twice.
        """
        source, weight_names = result(x), self.node.inputs[1:] if weights else ()
        attributes = sorted(self.node.attributes.items())
        key = (repr(layer), self.node.operation, repr(attributes), *weight_names)
        name = self._made.get(key) if weights else None
        if name is None:
            name = self._made[key] = self._name(layer, weight_names)
            self.layers[name] = layer
            for own, array in weights.items():
                held = np.ascontiguousarray(self.take(array), np.float32)
                self.weights[f"{name}.{own}"] = held
        return self._add(name, (source.name,), shape, {})

    def function(self, name: str, inputs: Sequence[Known], shape: Shape, **options: Any) -> Result:
        """Add a call of a function of `gpucnn.nn.layer_graph`; returns its result."""
        operands = tuple(
            each.name if isinstance(each, Result) else self._constant(each) for each in inputs
        )
        return self._add(f"F.{name}", operands, shape, options)

    def _add(self, call: str, inputs: tuple[str, ...], shape: Shape, options: Any) -> Result:
        if len(self.steps) >= MOST_CALLS - 1:  # one call is that of the network
            raise Unsupported(
                f"a network has at most {MOST_CALLS:,} calls of layers and functions",
                "write a smaller network",
            )
        output = f"t{len(self.steps) + 1}"
        self.steps.append(Step(output, call, inputs, options))
        return Result(output, checked(shape))

    def _constant(self, array: Array) -> str:
        if array.dtype != np.float32:
            raise Unsupported(f"an operand is of {array.dtype}, and numbers here are float32")
        name = f"constant{len(self.constants) + 1}"
        self.constants[name] = self.take(array)
        return name

    def _name(self, layer: Module, weight_names: Sequence[str]) -> str:
        """The name of a layer: that of its weights in the file, or its kind and a number."""
        for weight in weight_names:
            path = weight.rpartition(".")[0]
            is_name = len(path) <= _LONGEST_NAME and re.fullmatch(r"\w[\w.]*", path)
            if is_name and path not in self.layers:
                return path
        while True:
            self._numbers[layer.kind] += 1
            name = f"{layer.kind}{self._numbers[layer.kind]}"
            if name not in self.layers:
                return name

    def drop_last(self, output: Result, kinds: Sequence[str]) -> tuple[Result, str] | None:
        """Leave out the layer that gives a result, if it is of these kinds.

        Returns:
            The input of that layer, and its kind.
        """
        step = self.steps[-1] if self.steps else None
        if step is None or step.output != output.name or step.call not in self.layers:
            return None
        kind = self.layers[step.call].kind
        return (Result(step.inputs[0], output.shape), kind) if kind in kinds else None

    def network(self, output: Result, name: str) -> LayerGraph:
        """The network that computes a result; steps that it does not need are left out.

        Raises:
            Unsupported: the result is the input.
        """
        needed, steps = {output.name}, []
        for step in reversed(self.steps):
            if step.output in needed:
                needed |= {*step.inputs}
                steps.append(step)
        if not steps:
            raise Unsupported(
                "its output is its input: nothing is computed", "write a network with layers"
            )
        calls = {step.call for step in steps}
        self.layers = {name: layer for name, layer in self.layers.items() if name in calls}
        self.constants = {k: array for k, array in self.constants.items() if k in needed}
        constants = {name: array.shape for name, array in self.constants.items()}
        return LayerGraph(self.layers, steps[::-1], constants, name=name[:_LONGEST_NAME] or None)

    def state(self, network: LayerGraph) -> dict[str, Array]:
        """What `network.load_state_dict` takes."""
        paths = network.state_dict()
        return {**{p: a for p, a in self.weights.items() if p in paths}, **self.constants}


def result(value: Known) -> Result:
    """A value that depends on the images."""
    if isinstance(value, Result):
        return value
    raise Unsupported("its input is a constant")


def array(value: Known | None, what: str, *, may_hold_batch: bool = False) -> Array:
    """A value that is known before the network runs: a weight or an option.

    Args:
        what: its name, for the message.
        may_hold_batch: whether one of its numbers may stand for the number of images.
    """
    if not isinstance(value, np.ndarray):
        raise Unsupported(f"{what} is computed from the images, or left out")
    if holds_batch(value) and not may_hold_batch:
        raise Unsupported(f"{what} is computed from the batch size")
    return value


def numbers(value: Known | None, what: str, *, may_hold_batch: bool = False) -> Any:
    """The numbers of an `array` of one axis, as a list; the number of an array without axes."""
    known = array(value, what, may_hold_batch=may_hold_batch)
    if known.size > LONGEST_LIST:
        raise Unsupported(f"{what} has more than {LONGEST_LIST:,} numbers")
    if known.ndim > 1:  # without numbers it may still be lists without end
        raise Unsupported(f"{what} is an array of {known.ndim} axes, not a list")
    return known.tolist()


def holds_batch(value: Array) -> bool:
    """Whether one of its numbers stands for the number of images."""
    return value.dtype.kind == "i" and bool((value == BATCH).any())


def images(value: Known) -> Result:
    """A value of four axes: (N, C, H, W)."""
    found = result(value)
    if len(found.shape) != 4:
        raise Unsupported(f"its input is {text(found.shape)}, and must be images (N, C, H, W)")
    return found
