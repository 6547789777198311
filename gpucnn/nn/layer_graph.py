"""LayerGraph: layers and functions that are connected by the names of their outputs.

It is the form of a network that was read from a file. It holds no code, so that it can be written
as JSON, and checked before it runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gpucnn import backend as backends
from gpucnn import functions as F
from gpucnn.autograd import Tensor
from gpucnn.errors import UsageError, choose
from gpucnn.nn.module import Module, Shape
from gpucnn.nn.named import Named
from gpucnn.nn.overrides import local
from gpucnn.nn.room import check_operands, check_result, is_bounded, take_room
from gpucnn.nn.sequential import Chain

_FUNCTION = "F."  # begins the name of a function in a step


class Step(NamedTuple):
    """A call of a layer or of a function.

    Attributes:
        output: the name of its result.
        call: the name of a layer; or "F." and that of a function of `FUNCTIONS`.
        inputs: names of results of earlier steps and of constants; `INPUT` is that of the network.
        options: of the function; JSON values.
    """

    output: str
    call: str
    inputs: tuple[str, ...]
    options: Mapping[str, Any] = {}

    @property
    def is_function(self) -> bool:
        return self.call.startswith(_FUNCTION)


def _reshape(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """`gpucnn.functions.reshape`, where a size of 0 stands for that of x on the same axis."""
    return F.reshape(x, *(x.shape[k] if size == 0 else size for k, size in enumerate(sizes)))


def _take(x: Tensor, axis: int, where: int | Sequence[int]) -> Tensor:
    """x at an index, or at several, of one axis."""
    if not isinstance(where, int):
        check_result((*x.shape[:axis], len(where), *x.shape[axis + 1 :]))
    return F.getitem(x, (*[slice(None)] * axis, where))


def _concat(*tensors: Tensor, axis: int) -> Tensor:
    """The tensors one after the other along an axis."""
    check_result((sum(x.size for x in tensors),))
    return F.concat(tensors, axis)


def _slices(x: Tensor, ends: Sequence[Sequence[int | None]]) -> Tensor:
    """x cut to (start, stop, step) on each of the first axes."""
    return F.getitem(x, tuple(slice(*each) for each in ends))


def _float32(x: Tensor) -> Tensor:
    """x; integers, such as pixels, as float32."""
    return x if x.dtype == np.float32 else Tensor(x.data.astype(np.float32))


#: The functions of a `LayerGraph`; options are given by name.
FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "concat": _concat,
    "float32": _float32,
    "reshape": _reshape,
    "slices": _slices,
    "take": _take,
    "transpose": lambda x, axes: F.transpose(x, *axes),
    **{
        function.__name__: function
        for function in (
            F.abs, F.add, F.clip, F.cos, F.div, F.exp, F.log, F.log_softmax, F.matmul, F.max,
            F.maximum, F.mean, F.min, F.minimum, F.mul, F.neg, F.power, F.sin, F.softmax, F.sqrt,
            F.sub, F.sum,
        )
    },
}  # fmt: skip

INPUT = "input"  # the name of the input in the steps


class _Segment(NamedTuple):
    """Steps that run as one call: layers one after the other, or a function."""

    output: str
    call: Chain | Callable[..., Tensor]
    inputs: tuple[str, ...]
    options: Mapping[str, Any]
    last_uses: tuple[str, ...]  # results that no later segment takes


class LayerGraph(Module):
    """Runs its steps in order; the result of the last is the output.

    Layers that follow each other are folded as in `Sequential`.

    Args:
        layers: by name, which is the path of the layer's parameters.
        steps: the calls.
        constants: name -> shape of an array that is saved with the weights, but not trained.

    Raises:
        UsageError: a step names something that there is not.
    """

    def __init__(
        self,
        layers: Mapping[str, Module],
        steps: Sequence[Step],
        constants: Mapping[str, Shape] | None = None,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self._layers = dict(layers)
        self.steps = list(steps)
        self.constants = dict(constants or {})
        self.buffers = tuple(self.constants)
        self._segments = _segments(self._layers, self.steps, self.constants)

    def named_children(self) -> Named[Module]:
        """Name -> layer, in the order in which they were given."""
        return Named(self._layers)

    def __getitem__(self, name: str) -> Module:
        """The layer of a name; `UsageError` if there is none."""
        return choose(self._layers, name, "layer")

    def _argument(self, name: str) -> Any:
        raise KeyError(name)  # the tree shows the layers, and the steps are long

    def create(self, x_shape: Shape) -> None:
        backend = backends.get(self.device)
        for name, shape in self.constants.items():
            take_room(shape)
            setattr(self, name, backend.asarray(np.zeros(shape, np.float32)))

    def forward(self, x: Tensor) -> Tensor:
        values = {INPUT: x}
        values |= {name: Tensor(getattr(self, name)) for name in self.constants}
        bounded = is_bounded()
        observed = local.observers and self.observer is not None
        with x.backend.quiet_device():  # once, and not for each function
            for output, call, names, options, last_uses in self._segments:
                operands = [values[name] for name in names]
                if isinstance(call, Chain):
                    (x,) = operands
                    calls: Sequence[Any] = call.layers if observed else call.stages
                    for each in calls:
                        x = each(x)
                else:
                    if bounded:
                        check_operands([each.shape for each in operands])
                    x = call(*operands, **options)
                values[output] = x
                for name in last_uses:
                    del values[name]
        return x

    def not_kept(self) -> list[Module]:
        """The layers whose output is not kept as an array, because they are folded."""
        chains = [segment.call for segment in self._segments if isinstance(segment.call, Chain)]
        return [layer for chain in chains for stage in chain.stages for layer in stage.not_kept]


def _segments(
    layers: Mapping[str, Module],
    steps: Sequence[Step],
    constants: Mapping[str, Shape],
) -> list[_Segment]:
    """The steps, with layers that follow each other as one."""
    if not steps:
        raise UsageError("a network without steps", fix="give at least one")
    known = {INPUT, *constants}
    uses = Counter(name for step in steps for name in step.inputs)
    groups: list[list[Step]] = []
    for step in steps:
        if unknown := [name for name in step.inputs if name not in known]:
            raise UsageError(
                f"step {step.output!r} takes {unknown[0]!r}, which no step before it gives",
                fix="put the steps in the order of the computation",
            )
        if step.output in known:
            raise UsageError(f"two steps give {step.output!r}", fix="rename one of them")
        known.add(step.output)
        before = groups[-1][-1] if groups else step
        follows = step.inputs == (before.output,) and uses[before.output] == 1
        if follows and not (step.is_function or before.is_function):
            groups[-1].append(step)
        else:
            groups.append([step])
    last = {name: k for k, group in enumerate(groups) for name in group[0].inputs}
    last_uses: list[list[str]] = [[] for _ in groups]
    for name, k in last.items():
        last_uses[k].append(name)
    return [
        _Segment(
            group[-1].output,
            _call(layers, group),
            group[0].inputs,
            group[0].options,
            tuple(names),
        )
        for group, names in zip(groups, last_uses, strict=True)
    ]


def _call(layers: Mapping[str, Module], group: Sequence[Step]) -> Chain | Callable[..., Tensor]:
    """The call of a segment."""
    first = group[0]
    if first.is_function:
        return choose(FUNCTIONS, first.call.removeprefix(_FUNCTION), "function")
    if len(first.inputs) != 1:
        raise UsageError(f"step {first.output!r}: a layer takes one input")
    return Chain([choose(layers, step.call, "layer") for step in group])
