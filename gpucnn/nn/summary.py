"""The table of a model's layers: shapes, parameters, floating-point operations, memory.

Floating-point operations are those of the matrix products of one forward pass, a multiply-add
counted as 2; elementwise work (bias, activation, pooling, normalization) is not counted. Activation
memory is the memory of the layers' outputs; a view (Flatten) has none, and neither has a layer that
is folded: `Sequential` runs it in one call with others, and only the output of the call is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpucnn.autograd import Tensor
from gpucnn.errors import UsageError
from gpucnn.nn.building import dry_run
from gpucnn.nn.parameter import Parameter
from gpucnn.nn.state import owned

if TYPE_CHECKING:
    from gpucnn.nn.module import Module, Shape


@dataclass(frozen=True)
class SummaryRow:
    """One call of one layer.

    Attributes:
        layer: its path.
        type: its class.
        title: its class with its activation: "Conv2d + relu".
        output_shape: of the batch.
        parameters: how many numbers it owns; 0 at a second call.
        flops: of the forward pass of the batch.
        activation_bytes: of the output for the batch; 0 if it is not kept.
        folded: whether it is not kept because the layer runs in one call with others.
    """

    layer: str
    type: str
    title: str
    output_shape: Shape
    parameters: int
    flops: int
    activation_bytes: int
    folded: bool


def title(module: Module) -> str:
    """The type of a layer with its activation: "Conv2d + relu"."""
    name = type(module).__name__
    activation = getattr(module, "activation", None)
    if not isinstance(activation, str) or activation.replace("_", "") == name.lower():
        return name
    return f"{name} {activation}" if module.kind == activation else f"{name} + {activation}"


def rows(model: Module, batch: int = 1) -> list[SummaryRow]:
    """A row for each call of a module that has parameters of its own or no modules in it.

    The calls are those of one sample in evaluation mode, multiplied by `batch`.

    Raises:
        UsageError: the model is not built, or `batch` is below 1.
    """
    if batch < 1:
        raise UsageError(f"batch is {batch}", cause="it must be at least 1", fix="give batch=1")
    model.require_built()
    found: list[SummaryRow] = []
    counted: set[int] = set()
    folded = {id(layer) for module in model.modules() for layer in module.not_kept()}

    def observe(module: Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        own = owned(module, Parameter).values()
        if module.children() and not own:
            return
        new = [parameter for parameter in own if id(parameter) not in counted]
        counted.update(id(parameter) for parameter in new)
        shape = (batch * output.shape[0], *output.shape[1:])
        free = module.is_view or id(module) in folded
        found.append(
            SummaryRow(
                layer=module.path or "",
                type=type(module).__name__,
                title=title(module),
                output_shape=shape,
                parameters=sum(math.prod(parameter.shape) for parameter in new),
                flops=batch * module.flops(inputs[0].shape, output.shape),
                activation_bytes=0 if free else math.prod(shape) * output.dtype.itemsize,
                folded=id(module) in folded,
            )
        )

    with model.observe(observe):
        dry_run(model, model.built_for or ())
    return found


def table(model: Module, batch: int = 1) -> str:
    """The rows as text, with their totals below."""
    found = rows(model, batch)
    cells = [["layer", "output shape", "parameters", "FLOPs", "activations"]]
    for row in found:
        cells.append(
            [
                f"{row.layer} ({row.title})" if row.layer else row.title,
                str(row.output_shape),
                f"{row.parameters:,}",
                f"{row.flops:,}",
                "folded" if row.folded else _size(row.activation_bytes),
            ]
        )
    frozen = sum(math.prod(p.shape) for p in model.parameters() if not p.requires_grad)
    cells.append(
        [
            "total",
            f"batch of {batch}",
            f"{model.num_parameters:,}",
            f"{sum(row.flops for row in found):,}",
            _size(sum(row.activation_bytes for row in found)),
        ]
    )
    lines = aligned(cells, left=2)
    rule = "-" * max(map(len, lines))
    lines = [lines[0], rule, *lines[1:-1], rule, lines[-1]]
    if any(row.folded for row in found):
        lines.append("folded: runs in one call with the layers next to it; its output is not kept")
    if frozen:
        lines.append(f"of the parameters {frozen:,} are frozen")
    return "\n".join(lines)


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Lines with the cells in columns; the first `left` columns are left-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _size(count: float) -> str:
    """Bytes in the unit that keeps them short."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
