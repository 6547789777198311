"""The layers of a network and their connections as a graph.

One sample runs through the network and is recorded. From the result back, a tensor that a layer
returned came from that layer and its inputs; any other from the function that computed it.
Each call of a layer is a box: its type, path, output shape for one sample, and parameters.
Functions that `forward` calls between the layers, such as the sum of a residual connection, are
ovals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpucnn.autograd import Tensor, is_grad_enabled
from gpucnn.errors import GraphError
from gpucnn.graph import Graph, Node, leaf, ordered
from gpucnn.nn.building import sample
from gpucnn.nn.parameter import Parameter
from gpucnn.nn.state import owned
from gpucnn.nn.summary import title

if TYPE_CHECKING:
    from gpucnn.nn.module import Module


@dataclass(frozen=True, eq=False)
class _Call:
    """A call of a layer.

    Attributes:
        number: of the call, from 0.
        parameters: the number of elements of its parameters; 0 if an earlier call used them.
    """

    number: int
    module: Module
    inputs: tuple[Tensor, ...]
    output: Tensor
    parameters: int


def of_module(root: Module) -> Graph:
    """See `Module.graph`; the module is built."""
    if not is_grad_enabled():
        raise GraphError(
            f"graph of {root.display_name} inside no_grad()",
            cause="the functions between the layers are not recorded there",
            fix="call graph() outside of it",
        )
    calls: list[_Call] = []
    counted: set[int] = set()  # parameters, by their identity
    returned: dict[int, list[_Call]] = {}  # by the identity of the output

    def observe(module: Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if module.children():
            return
        new = [p for p in owned(module, Parameter).values() if id(p) not in counted]
        counted.update(map(id, new))
        parameters = sum(math.prod(parameter.shape) for parameter in new)
        calls.append(_Call(len(calls), module, inputs, output, parameters))
        returned.setdefault(id(output), []).append(calls[-1])

    def origin(tensor: Tensor, before: int) -> Tensor | _Call:
        """The last of the first so many calls that returned a tensor, or else the tensor.

        Several calls may have returned it: a dropout returns its input here.
        """
        made = [call for call in returned.get(id(tensor), ()) if call.number < before]
        return made[-1] if made else tensor

    def inputs(item: Tensor | _Call) -> Sequence[Tensor | _Call]:
        if isinstance(item, _Call):
            return [origin(tensor, item.number) for tensor in item.inputs]
        if item.creator is None:
            return ()
        return [origin(tensor, len(calls)) for tensor in item.creator.inputs]

    given = sample(root, root.built_for or ())
    for number, tensor in enumerate(given, 1):
        tensor.requires_grad = True  # or else functions of it would not be recorded
        tensor.name = "input" if len(given) == 1 else f"input {number}"
    with root.observe(observe), root.evaluating():
        output = root(*given)
    if not isinstance(output, Tensor):
        raise GraphError(
            f"graph of {root.display_name}, whose forward returns a {type(output).__name__}",
            cause="a graph has one output, a Tensor",
            fix="give the outputs one by one: model(x)[0].graph()",
        )
    result = origin(output, len(calls))
    if isinstance(result, Tensor) and result.creator is None:
        raise GraphError(
            f"graph of {root.display_name}, whose output was not computed from its input",
            cause="forward makes a new array, as x.numpy() and NumPy's functions do",
            fix="compute with Tensors in it, by their methods and gpucnn.functions",
        )
    items = ordered(result, inputs)
    numbers = {id(item): number for number, item in enumerate(items)}
    nodes = []
    for number, item in enumerate(items):
        sources = tuple(numbers[id(source)] for source in inputs(item))
        nodes.append(_node(item, number, sources))
    return Graph(nodes, "output", direction="TB")


def _node(item: Tensor | _Call, number: int, sources: tuple[int, ...]) -> Node:
    if isinstance(item, _Call):
        details = [str(item.output.shape)]
        if item.parameters:
            details.append(f"{item.parameters:,} parameters")
        path = item.module.path or ""
        shown = title(item.module)
        return Node(path or shown, shown, path, tuple(details), sources, None, "box", "rounded")
    if item.creator is None:
        return leaf(item, number, numbers=False)
    shape = (str(item.shape),)
    return Node(f"t{number}", item.creator.label, details=shape, sources=sources)
