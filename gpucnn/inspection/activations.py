"""The outputs of activations while a model computes: units that never fire, and saturated ones.

The forward pass is recorded, and the record is searched for ReLU, sigmoid and tanh, whether a
layer has them as `activation=`, as a layer of their own, or a `forward` calls the function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.autograd import Function, Tensor
from gpucnn.functions import activation, convolution
from gpucnn.graph import ordered
from gpucnn.inspection.updates import layer_of
from gpucnn.nn import Module
from gpucnn.nn.overrides import local, override

NEAR_END = 0.01  # of the range: an output this near to an end of sigmoid or tanh is saturated
_ENDS = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


@dataclass
class Activation:
    """An activation of a model, and its outputs so far.

    Attributes:
        layer: the path of the layer with parameters whose outputs it gets.
        kind: "relu", "sigmoid" or "tanh".
        is_output: whether it gives the outputs of the model.
        fired: for each unit, a channel or an element, whether its output was ever not 0.
        saturated: outputs within `NEAR_END` of an end.
        outputs: outputs counted.
    """

    layer: str
    kind: str
    is_output: bool
    fired: NDArray[np.bool_]
    saturated: int = 0
    outputs: int = 0

    @property
    def dead_units(self) -> int:
        """Units of a ReLU whose output was always 0."""
        return int((~self.fired).sum())

    @property
    def dead(self) -> float:
        """The share of `dead_units`."""
        return self.dead_units / max(self.fired.size, 1)

    @property
    def saturation(self) -> float:
        """The share of the outputs that are saturated."""
        return self.saturated / max(self.outputs, 1)


class Activations:
    """The activations of a model, added up over batches. The model is in evaluation mode.

    Args:
        model: built.
        forward: the function from images to its outputs; by default the model.
        as_in_training: whether batch norm takes the statistics of the batch. While a model is
            trained the running ones are behind, and units seem dead. They stay as they are.

    Attributes:
        images: the number of images so far.
        found: its activations, in the order of the forward pass.
    """

    def __init__(
        self,
        model: Module,
        forward: Callable[[Tensor], Tensor] | None = None,
        *,
        as_in_training: bool = False,
    ) -> None:
        self.model = model
        self._of_batch = [
            module
            for module in model.modules()
            if as_in_training and module.buffers and not module.counters
        ]
        self.forward = forward or model
        self.images = 0
        self.found: list[Activation] = []
        named = dict(model.named_parameters())
        self._paths = [layer_of(path) for path in named]
        self._order = {id(parameter): place for place, parameter in enumerate(named.values())}

    def add(self, images: Any) -> Tensor:
        """Run the model on images (N, ...) of its device; its output, with its record."""
        x = Tensor(images)
        x.requires_grad = True  # else a part with frozen parameters would not be recorded
        with self.model.evaluating(), x.backend.quiet_device():
            output = self._compute(x)
            for number, (kind, y) in enumerate(_activations(output)):
                self._count(number, kind, y, y is output)
        self.images += len(images)
        return output

    def _compute(self, x: Tensor) -> Tensor:
        arrays = [getattr(module, name) for module in self._of_batch for name in module.buffers]
        before = [array.copy() for array in arrays]
        with override(local.training, self._of_batch, True):
            output = self.forward(x)
        for array, kept in zip(arrays, before, strict=True):
            array[...] = kept
        return output

    def _count(self, number: int, kind: str, y: Tensor, is_output: bool) -> None:
        backend, xp = y.backend, y.backend.xp
        others = tuple(axis for axis in range(y.ndim) if axis != 1)
        if kind == "relu":
            fired = backend.to_numpy(y.data.max(axis=others) > 0)
        else:
            fired = np.ones(y.shape[1], bool)
        if number == len(self.found):
            layer = self._layer(y)
            self.found.append(Activation(layer, kind, is_output, np.zeros_like(fired)))
        known = self.found[number]
        known.fired |= fired
        if kind in _ENDS:
            low, high = _ENDS[kind]
            margin = NEAR_END * (high - low)
            near = (y.data <= low + margin) | (y.data >= high - margin)
            known.saturated += int(backend.to_numpy(xp.count_nonzero(near)))
            known.outputs += y.size

    def _layer(self, tensor: Tensor) -> str:
        """The path of the last layer with parameters that a tensor was computed with.

        The search goes back through functions without parameters, as those of a residual
        connection; of several layers that it reaches, the last of the model counts.
        """
        waiting, seen, reached = [tensor], {id(tensor)}, set()
        for source in waiting:
            if source.creator is None:
                continue
            inputs = source.creator.inputs
            own = {self._order[id(each)] for each in inputs if id(each) in self._order}
            reached |= own
            new = [each for each in inputs if not own and id(each) not in seen]
            seen.update(map(id, new))
            waiting += new
        return self._paths[max(reached)] if reached else "the input"


def _activations(output: Tensor) -> Iterator[tuple[str, Tensor]]:
    """(kind, output) of each activation behind a tensor, the first computed first."""
    for tensor in ordered(output, lambda each: each.creator.inputs if each.creator else ()):
        if tensor.creator is not None and tensor.ndim > 1 and (kind := _kind(tensor.creator)):
            yield kind, tensor


def _kind(function: Function) -> str | None:
    """The name of the activation that a function computes, or that is fused into it."""
    if isinstance(function, (convolution.Conv2d, convolution.Linear)):
        return function.activation
    kinds = {activation.ReLU: "relu", activation.Sigmoid: "sigmoid", activation.Tanh: "tanh"}
    return kinds.get(type(function))
