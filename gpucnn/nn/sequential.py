"""Sequential: layers one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from gpucnn.autograd import Tensor
from gpucnn.errors import NoLayerError, ShapeError, UsageError
from gpucnn.nn.activations import Activation
from gpucnn.nn.layers import Conv2d, MaxPool2d, WeightedLayer
from gpucnn.nn.module import Module, Shape
from gpucnn.nn.named import Named
from gpucnn.nn.overrides import local


class Sequential(Module):
    """Calls its layers in their order: a list, or one at a time by `add`.

    `gpucnn.keras.Sequential` is this with compile, fit, evaluate and predict.

    A layer is called by its `name`, or else by its kind and its number among the layers of that
    kind: conv1, relu1, conv2. So a ReLU more or less changes no other layer's name, and with it
    neither its initial weights nor its dropout.

    A ReLU that follows a Conv2d or Dense without activation is folded into it, and so is a
    MaxPool2d that follows a Conv2d, with or without a ReLU: they run as one call and give the same
    numbers.

    Raises:
        UsageError: two layers have one name, something is no layer, or there is no list.
    """

    def __init__(
        self, layers: Sequence[Module] | None = None, *rest: Module, name: str | None = None
    ) -> None:
        if rest or isinstance(layers, (Module, Mapping)):
            raise UsageError(
                "Sequential takes its layers as one list",
                fix="write Sequential([a, b]), or Sequential([a, b], name=...)",
            )
        super().__init__(name)
        self._layers: dict[str, Module] = {}
        self._plan: list[_Stage] = []
        for layer in layers or ():
            self.add(layer)

    def add(self, layer: Module) -> None:
        """Append a layer. Once the model is built this is an error: names and shapes are fixed."""
        if not isinstance(layer, Module):
            raise UsageError(
                f"{layer!r} is not a layer",
                cause="Sequential takes objects of gpucnn.nn",
                fix=f"write {layer.__name__}(...)" if isinstance(layer, type) else "remove it",
            )
        if self.path is not None:
            raise UsageError(
                f"a layer was added to {self.display_name} after it was built",
                cause="names and shapes are fixed then",
                fix="add all layers first, or make a new model around it: Sequential([model, ...])",
            )
        number = 1 + sum(other.kind == layer.kind for other in self)
        name = layer.name or f"{layer.kind}{number}"
        if name in self._layers or "." in name:
            cause = "it holds a dot" if "." in name else f"layer {name!r} is there already"
            raise UsageError(
                f"the name {name!r} cannot be used", cause=cause, fix="give another name="
            )
        self._layers[name] = layer
        self._plan = self._folded()

    def forward(self, x: Tensor, activation: str | None = None) -> Tensor:
        """The output.

        Args:
            activation: in place of the one that the last layer ends in; "linear" gives what that
                is taken of, such as the logits of a softmax.
        """
        observed = local.observers and self.observer is not None
        calls: Sequence[Any] = list(self) if observed else self._plan  # observers see each layer
        if activation is not None:
            calls = _ending_in(activation, calls)
        with x.backend.quiet_device():  # once, and not for each function
            for call in calls:
                x = call(x)
        return x

    def stages(self) -> list[tuple[str, Callable[[Tensor], Tensor]]]:
        """What runs as one call, in order, with the names of its layers: "conv1+relu1+pool1"."""
        names = {id(layer): name for name, layer in self._layers.items()}
        return [("+".join(names[id(layer)] for layer in s.layers), s) for s in self._plan]

    def not_kept(self) -> list[Module]:
        """The layers whose output is no array of its own, as a part of what they are folded in."""
        return [layer for stage in self._plan for layer in stage.not_kept]

    def named_children(self) -> Named[Module]:
        """Name -> layer, in order."""
        return Named(self._layers)

    def declared_shapes(self) -> tuple[Shape, ...]:
        """The input shape that the first layer declares; `UsageError` if it does not."""
        first = next(iter(self), None)
        if first is not None and (first.input_shape is not None or isinstance(first, Sequential)):
            return first.declared_shapes()
        return super().declared_shapes()

    def __iter__(self) -> Iterator[Module]:
        return iter(self._layers.values())

    def __len__(self) -> int:
        return len(self._layers)

    def __getitem__(self, key: int | str) -> Module:
        """The layer at a position or of a name; `NoLayerError` if there is none."""
        try:
            return self._layers[key] if isinstance(key, str) else list(self)[key]
        except (LookupError, TypeError):
            raise NoLayerError(
                f"{self.display_name} has no layer {key!r}",
                cause=f"it has {len(self)}: {', '.join(self._layers) or 'none'}",
                fix="give a position from 0 on, or a name",
            ) from None

    def _folded(self) -> list[_Stage]:
        """The layers, with those that are folded into the one before them."""
        plan: list[_Stage] = []
        for layer in self:
            if not (plan and plan[-1].fold(layer)):
                plan.append(_Stage(layer))
        return plan


class _Stage:
    """A layer and what is folded into it; called, it runs them at once.

    What the layers say of themselves is read when they are called: it may have been changed.
    """

    def __init__(self, layer: Module) -> None:
        self.layers = [layer]

    def __call__(self, x: Tensor, activation: str | None = None) -> Tensor:
        """The output; `activation` is for the last layer, in place of its own."""
        first, *rest = self.layers
        if activation is not None:
            return self._one_by_one(x, activation=activation)
        if not rest:
            return first(x)
        if first.activation not in (None, "relu"):  # type: ignore[attr-defined]
            return self._one_by_one(x)
        options: dict[str, Any] = {}
        for layer in rest:
            if isinstance(layer, MaxPool2d):
                options["pool"] = (layer.kernel_size, layer.stride, layer.padding)
            else:
                options["activation"] = "relu"
        try:
            return first(x, **options)
        except ShapeError:
            self._one_by_one(x)  # the error names the layer that it comes from
            raise

    def _one_by_one(self, x: Tensor, **options: str) -> Tensor:
        *before, last = self.layers
        for layer in before:
            x = layer(x)
        return last(x, **options)

    def fold(self, layer: Module) -> bool:
        """Take in the layer that follows, if that can be."""
        first, last = self.layers[0], self.layers[-1]
        if not isinstance(first, WeightedLayer) or isinstance(last, MaxPool2d):
            return False
        if isinstance(layer, Activation):
            folds = layer.activation == "relu" and last is first and first.activation is None
        else:  # a subclass may do otherwise
            folds = (type(first), type(layer)) == (Conv2d, MaxPool2d) and (
                last is not first or first.activation in (None, "relu")
            )
        if folds:
            self.layers.append(layer)
        return folds

    @property
    def not_kept(self) -> list[Module]:
        # A ReLU works in place; before a maximum nothing is kept.
        return self.layers[:-1] if isinstance(self.layers[-1], MaxPool2d) else self.layers[1:]


def _ending_in(activation: str, calls: Sequence[Any]) -> list[Callable[[Tensor], Tensor]]:
    """The layers or stages without those that are empty; the last gets the activation."""
    found = [call for call in calls if not _is_empty(call)]
    return [*found[:-1], *(partial(last, activation=activation) for last in found[-1:])]


def _is_empty(call: Any) -> bool:
    layer = call.layers[0] if isinstance(call, _Stage) else call
    return isinstance(layer, Sequential) and all(map(_is_empty, layer))
