"""Pictures of computations: how a tensor was computed, and how the layers of a network connect.

`Tensor.graph` and `Module.graph` make a `Graph`. A notebook displays it, `save` writes a file.
"""

from __future__ import annotations

import base64
import html
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from gpucnn import extras
from gpucnn.errors import GpucnnError, GraphError, MissingExtraError, UsageError, expect
from gpucnn.writing import write_atomic

if TYPE_CHECKING:
    from gpucnn.autograd import Tensor

Item = TypeVar("Item")

#: Arrays are shown in full if no axis is longer, and there are at most _SMALL**2 elements.
_SMALL = 4

#: Lines of a graph's `repr`.
_LINES = 60

_FORMATS = (".dot", ".svg", ".png", ".pdf")

_HEAD = """digraph {
  graph [rankdir=%s, ranksep=0.3, bgcolor=white, ordering=in];
  node [fontname="Helvetica,Arial,sans-serif", fontsize=12];
  edge [fontname="Courier,monospace", fontsize=10, arrowsize=0.7];
"""
_VALUE, _GRADIENT = "#1b5e20", "#b71c1c"  # legible on white


@dataclass(frozen=True)
class Node:
    """A box or an oval of a graph, with one output.

    Attributes:
        name: of its output, in the text of the graph: "q".
        title: the first line in the picture: "Add".
        caption: the second line in the picture, or "": the path of a layer.
        details: the lines below them.
        sources: the numbers of the nodes whose outputs are its inputs, in order.
        tensor: its output, whose value and gradient are drawn on the edges that leave it.
        shape: "box" or "oval".
        style: of its outline: "solid", "rounded", or "dashed" if no gradient flows to it.
    """

    name: str
    title: str
    caption: str = ""
    details: tuple[str, ...] = ()
    sources: tuple[int, ...] = ()
    tensor: Tensor | None = None
    shape: str = "oval"
    style: str = "solid"


class Graph:
    """A computation as a picture: ovals compute, boxes are what goes in and what comes out.

    Each edge is a tensor. Its label gives the value in green and, after `backward`, the gradient
    in red, both as they are when the picture is drawn: the numbers of at most 4 x 4, else their
    range. A tensor that goes to several functions has the same label on each of its edges: the
    gradient is that of the tensor, the sum over all its edges. A dashed box gets no gradient.

    `repr` is a list of the same in text.

    Args:
        nodes: each after those of its sources; the output of the last is the result.
        result: the title of the box of the result.
        direction: "LR", from left to right, or "TB", from top to bottom.
    """

    def __init__(self, nodes: Sequence[Node], result: str, direction: str = "LR") -> None:
        self.nodes = list(nodes)
        self.result = result
        self.direction = direction

    def to_dot(self) -> str:
        """The graph in Graphviz's DOT language; it needs no other package."""
        lines = [_HEAD.rstrip() % self.direction]
        for number, node in enumerate(self.nodes):
            texts = (node.title, *([node.caption] if node.caption else []), *node.details)
            label = _label([(text, None) for text in texts])
            lines.append(f"  n{number} [shape={node.shape}, style={node.style}, label={label}];")
            lines += [self._edge(source, number) for source in node.sources]
        lines.append(f"  result [shape=box, label={_label([(self.result, None)])}];")
        lines.append(self._edge(len(self.nodes) - 1, None))
        return "\n".join([*lines, "}\n"])

    def _edge(self, source: int, target: int | None) -> str:
        """The edge between two nodes, or to the box of the result."""
        node = self.nodes[source]
        arrow = f"  n{source} -> {'result' if target is None else f'n{target}'}"
        if node.tensor is None:
            return f"{arrow};"
        texts: tuple[str, ...] = ()
        if node.sources:  # the box of a leaf has its name and shape
            texts = _shape(node.tensor)
            if node.tensor.name and target is not None:  # the box of the result has its name
                texts = (node.tensor.name, *texts)
        label: list[tuple[str, str | None]] = [(text, None) for text in texts]
        for text, color in _numbers(node.tensor):
            label += [(line, color) for line in text.splitlines() if line]
        return f"{arrow} [label={_label(label)}];"

    def to_svg(self) -> str:
        """The picture as the text of an SVG file.

        Raises:
            MissingExtraError: Graphviz or its Python package is not installed.
        """
        return _render(self.to_dot(), "svg").decode()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture as a .svg, .png, .pdf or .dot file, by the end of its name.

        Raises:
            UsageError: its name has another end, or it is no path.
            MissingExtraError: Graphviz or its Python package is not installed; .dot needs neither.
            StorageError: it cannot be written.
        """
        expect(path, (str, os.PathLike), "the path", 'give a name, as in graph.save("graph.svg")')
        path = Path(path)
        kind = path.suffix.lower()
        if kind not in _FORMATS:
            raise UsageError(
                f"a graph cannot be saved as {path.name}",
                cause="the end of the name says what to write",
                fix=f"let it be one of {', '.join(_FORMATS)}",
            )
        dot = self.to_dot()
        content = dot.encode() if kind == ".dot" else _render(dot, kind[1:])
        write_atomic(path, content, option="")

    def __repr__(self) -> str:
        calls = [
            _printable(node.name)
            + (f" = {node.title}({self._names(node.sources)})" if node.sources else "")
            for node in self.nodes[:_LINES]
        ]
        width = max(map(len, calls))
        lines = [
            "  ".join([call.ljust(width), *_described(node)]).rstrip()
            for call, node in zip(calls, self.nodes, strict=False)
        ]
        if more := len(self.nodes) - len(lines):
            lines.append(f"and {more:,} more")
        return "\n".join(lines)

    def _names(self, numbers: Sequence[int]) -> str:
        return ", ".join(_printable(self.nodes[number].name) for number in numbers)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """The display in a notebook: the picture, or the text and why there is no picture."""
        try:
            svg = self.to_svg()
            source = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
            # As an element of HTML it shrinks to the width of the page in every viewer.
            shown = f'<img style="max-width: 100%" alt="{html.escape(repr(self))}" src="{source}">'
            return {"text/plain": repr(self), "text/html": shown, "image/svg+xml": svg}
        except GpucnnError as error:
            return {"text/plain": f"{self!r}\n\nThere is no picture: {error}"}


def of_tensor(result: Tensor) -> Graph:
    """See `Tensor.graph`."""
    if result.creator is None:
        raise GraphError(
            f"graph of {result.name or 'a tensor'}, which was not computed",
            cause="a graph shows the functions that computed a tensor",
            fix="compute something from it, as in (x * 2).graph()",
        )

    def inputs(tensor: Tensor) -> Sequence[Tensor]:
        if tensor.creator is not None and not tensor.creator.inputs:
            raise GraphError(
                f"the graph of {result.name or 'a tensor'} was freed",
                cause="backward frees the record of a computation while it walks through it",
                fix="run the forward computation again, and call graph() before backward()",
            )
        return tensor.creator.inputs if tensor.creator is not None else ()

    tensors = ordered(result, inputs)
    numbers = {id(tensor): number for number, tensor in enumerate(tensors)}
    nodes = []
    for number, tensor in enumerate(tensors):
        if tensor.creator is None:
            nodes.append(leaf(tensor, number))
            continue
        tensor.retain_grad()
        sources = tuple(numbers[id(source)] for source in inputs(tensor))
        name = tensor.name or f"t{number}"
        nodes.append(Node(name, tensor.creator.label, sources=sources, tensor=tensor))
    return Graph(nodes, result.name or "result")


def leaf(tensor: Tensor, number: int, numbers: bool = True) -> Node:
    """The box of a tensor that was not computed.

    Args:
        number: its name in the text of the graph if it has none: "t3".
        numbers: whether to show its value and gradient.
    """
    return Node(
        tensor.name or f"t{number}",
        tensor.name or ("parameter" if tensor.requires_grad else "constant"),
        details=_shape(tensor),
        tensor=tensor if numbers else None,
        shape="box",
        style="solid" if tensor.requires_grad else "dashed",
    )


def ordered(result: Item, inputs: Callable[[Item], Sequence[Item]]) -> list[Item]:
    """The result and all that it was computed from, each after its inputs.

    A depth-first post-order with an explicit stack: a graph may be too deep for recursion.
    """
    order: list[Item] = []
    seen: set[int] = set()
    stack = [(result, False)]
    while stack:
        item, done = stack.pop()
        if done:
            order.append(item)
        elif id(item) not in seen:
            seen.add(id(item))
            stack.append((item, True))
            stack += [(source, False) for source in inputs(item)][::-1]
    return order


def _shape(tensor: Tensor) -> tuple[str, ...]:
    return (str(tensor.shape),) if tensor.ndim else ()


def _numbers(tensor: Tensor) -> list[tuple[str, str]]:
    """The value of a tensor, and its gradient if it has one, as texts with their colors."""
    texts = [(_text("value", tensor.numpy()), _VALUE)]
    if tensor.grad is not None:
        texts.append((_text("grad", tensor.backend.to_numpy(tensor.grad)), _GRADIENT))
    return texts


def _text(what: str, array: np.ndarray) -> str:
    if not array.ndim:
        return f"{what} {array:.6g}" if array.dtype.kind == "f" else f"{what} {array}"
    if array.size and (max(array.shape) > _SMALL or array.size > _SMALL**2):
        return f"{what} {float(array.min()):.4g} to {float(array.max()):.4g}"
    return f"{what} " + np.array2string(
        array, precision=4, max_line_width=50, prefix=f"{what} ", threshold=_SMALL**2
    )


def _described(node: Node) -> list[str]:
    """What the text of a graph says of a node beside its name and inputs."""
    if node.tensor is None:
        return list(node.details)
    numbers = [" ".join(text.split()) for text, _ in _numbers(node.tensor)]
    return [*_shape(node.tensor), *numbers]


def _printable(text: str) -> str:
    """The text with line breaks and other characters that cannot be shown as escapes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def _label(lines: Sequence[tuple[str, str | None]]) -> str:
    """Lines with their colors as a label in DOT, in its HTML-like form."""
    parts = []
    for text, color in lines:
        # Graphviz drops leading spaces, and puts the name of the node in place of \N: a space of
        # no width parts the two characters.
        text = html.escape(_printable(text)).replace(" ", "&#160;").replace("\\", "\\&#8203;")
        parts.append(f'<font color="{color}">{text}</font>' if color else text)
    return f"<{'<br/>'.join(parts)}>"


def _render(dot: str, kind: str) -> bytes:
    extras.require("a picture of a graph", "the package graphviz", "graphviz", "graph")
    import graphviz

    try:
        return graphviz.Source(dot).pipe(format=kind)
    except graphviz.ExecutableNotFound as error:
        raise MissingExtraError(
            "a picture of a graph needs the program dot of Graphviz, which is not installed",
            cause="the package graphviz only calls it",
            fix="apt install graphviz, or brew install graphviz; to_dot() works without it",
        ) from error
    except subprocess.CalledProcessError as error:
        raise GpucnnError(
            "Graphviz could not draw the graph",
            cause=(error.stderr or b"").decode(errors="replace").strip() or str(error),
            fix="save it as a .dot file, and look at that",
        ) from error
