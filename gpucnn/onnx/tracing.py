"""The operations of a forward pass in evaluation mode, as a list.

The network runs on batches of different sizes and different images. A size that differs is the
batch, and is left open. Anything else that differs depends on the images in a way that is not
recorded, and is refused. So is reading a Tensor that depends on them: Python could decide by it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpucnn import backend as backends
from gpucnn.autograd import Function, Tensor, is_grad_enabled
from gpucnn.errors import GraphError
from gpucnn.graph import ordered
from gpucnn.nn import BatchNorm2d, Module
from gpucnn.nn.building import has_own_forward
from gpucnn.recording import watching

#: Sizes; one that depends on the batch is a tuple, with its values in the runs.
Shape = tuple[int | tuple[int, ...], ...]
Operation = Function | BatchNorm2d

#: The sizes of the batches. Halves, thirds and quarters of them differ as well.
BATCHES = (4, 9, 1)


_OTHER = "forward computes other operations for other images, or for another number of them"


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the forward pass.

    Attributes:
        shape: its sizes.
        arrays: of a constant or parameter, its values in the runs.
        operations: in each run the function that computed it, or the BatchNorm2d, which counts as
            one operation; None for an input or a constant.
        sources: the numbers of the values that it was computed from.
        is_input: whether it is an input of the network.
        name: of an input, a parameter or a buffer; "" of others.
        layer: the path of the layer that computed it, "" for the network.
    """

    shape: Shape
    arrays: tuple[Any, ...]
    operations: tuple[Operation | None, ...]
    sources: tuple[int, ...]
    is_input: bool
    name: str
    layer: str


@dataclass(frozen=True, eq=False)
class _Run:
    """The tensors of one run, each after its sources."""

    inputs: list[Tensor]
    tensors: list[Tensor]
    layers: dict[int, str]  # id of a tensor -> path
    batch_norms: dict[int, tuple[BatchNorm2d, tuple[Tensor, ...]]]  # id of an output -> call

    def operation(self, tensor: Tensor) -> Operation | None:
        found = self.batch_norms.get(id(tensor))
        return tensor.creator if found is None else found[0]

    def sources(self, tensor: Tensor) -> Sequence[Tensor]:
        return _sources(tensor, self.batch_norms)


def trace(
    model: Module, names: Sequence[str], forward: Callable[..., Tensor] | None = None
) -> list[Value]:
    """The values of a forward pass of a built model, each after its sources, the output last.

    Args:
        names: of the inputs.
        forward: the function of the inputs; by default the model, which it may call.

    Raises:
        GraphError: inside no_grad(); the output is no Tensor that was computed from the inputs; or
            the runs compute other operations; or one reads a Tensor that depends on the inputs.
    """
    if not is_grad_enabled():
        raise _refused(model, "no_grad() records no operations", "call export outside of no_grad()")
    runs = [_run(model, names, forward or model, batch) for batch in BATCHES]
    one, *others = runs
    first, *kinds = [[type(run.operation(tensor)) for tensor in run.tensors] for run in runs]
    if any(each != first for each in kinds):
        raise _refused(model, _OTHER)
    values = []
    numbers = [{id(tensor): k for k, tensor in enumerate(run.tensors)} for run in runs]
    for tensors in zip(one.tensors, *(run.tensors for run in others), strict=True):
        tensor = tensors[0]
        sources, *twins = (
            tuple(number[id(source)] for source in run.sources(each))
            for number, run, each in zip(numbers, runs, tensors, strict=True)
        )
        if any(each != sources for each in twins) or len({each.ndim for each in tensors}) > 1:
            raise _refused(model, _OTHER)
        operations = tuple(run.operation(each) for run, each in zip(runs, tensors, strict=True))
        sizes = zip(*(each.shape for each in tensors), strict=True)
        values.append(
            Value(
                tuple(each[0] if len({*each}) == 1 else each for each in sizes),
                tuple(each.numpy() for each in tensors) if operations[0] is None else (),
                operations,
                sources,
                any(tensor is given for given in one.inputs),
                tensor.name or "",
                one.layers.get(id(tensor), ""),
            )
        )
    return values


def _run(model: Module, names: Sequence[str], forward: Callable[..., Tensor], batch: int) -> _Run:
    rng = np.random.default_rng(batch)
    target = backends.get(model.device)
    inputs = [
        Tensor(target.asarray(rng.random((batch, *shape), np.float32)), True, name)
        for shape, name in zip(model.built_for or (), names, strict=True)
    ]
    batch_norms: dict[int, tuple[BatchNorm2d, tuple[Tensor, ...]]] = {}
    statistics: dict[int, tuple[Tensor, ...]] = {}  # once for a layer that is called twice
    calls: list[tuple[Module, tuple[Tensor, ...], Tensor]] = []

    def observe(module: Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        calls.append((module, given, output))
        if isinstance(module, BatchNorm2d) and not has_own_forward(module):
            operands = statistics.setdefault(id(module), _operands(module))
            batch_norms[id(output)] = module, (given[0], *operands)

    with model.observe(observe), model.evaluating(), watching(_Reads(model, inputs)):
        output = forward(*inputs)
    if not isinstance(output, Tensor):
        raise _refused(
            model,
            f"its forward returns a {type(output).__name__}",
            "let forward return one output, a Tensor",
        )
    tensors = ordered(output, lambda tensor: _sources(tensor, batch_norms))
    if not any(tensor is given for tensor in tensors for given in inputs):
        raise _refused(model, "its output was not computed from its input")
    layers: dict[int, str] = {}
    for module, given, result in calls:  # the calls inside of a call come before it
        ends = {id(tensor) for tensor in given}

        def inside(tensor: Tensor, ends: set[int] = ends) -> Sequence[Tensor]:
            return () if id(tensor) in ends else _sources(tensor, batch_norms)

        for tensor in ordered(result, inside):
            if id(tensor) not in ends:
                layers.setdefault(id(tensor), module.path or "")
    return _Run(inputs, tensors, layers, batch_norms)


class _Reads:
    """Refuses to read what depends on the inputs, in one run."""

    def __init__(self, model: Module, inputs: Sequence[Tensor]) -> None:
        self._model = model
        self._dependent = {id(tensor): tensor for tensor in inputs}  # also those without a record

    def unrecorded(self, result: Tensor, sources: Sequence[Any]) -> None:
        if any(isinstance(source, Tensor) and self._depends(source) for source in sources):
            self._dependent[id(result)] = result

    def read(self, tensor: Tensor, what: str) -> None:
        if self._depends(tensor):
            of = (
                tensor.creator.label
                if tensor.creator
                else tensor.name or "a comparison or the like"
            )
            raise _refused(
                self._model,
                f"forward takes {what} of {of}, which depends on the images, and a file would keep"
                " one answer for all images",
                "compute with Tensors, by their methods and gpucnn.functions, and decide nothing in"
                " Python: maximum, minimum and clip instead of comparisons",
            )

    def _depends(self, tensor: Tensor) -> bool:
        found = ordered(tensor, lambda each: each.creator.inputs if each.creator else ())
        return any(id(each) in self._dependent for each in found)


def _operands(module: BatchNorm2d) -> tuple[Tensor, ...]:
    """What a batch norm takes beside its input, in the order of ONNX."""
    path = f"{module.path}." if module.path else ""
    statistics = (Tensor(getattr(module, key), name=path + key) for key in module.buffers)
    return module.gamma, module.beta, *statistics


def _sources(tensor: Tensor, batch_norms: dict[int, Any]) -> Sequence[Tensor]:
    if id(tensor) in batch_norms:
        return batch_norms[id(tensor)][1]
    return () if tensor.creator is None else tensor.creator.inputs


def _refused(model: Module, cause: str, fix: str | None = None) -> GraphError:
    return GraphError(
        f"{model.display_name} cannot be written as ONNX",
        cause=cause,
        fix=fix or "compute with Tensors in forward, by their methods and gpucnn.functions",
    )
