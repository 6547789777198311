"""Sequential: layers one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gpucnn.autograd import Tensor
from gpucnn.errors import NoLayerError, ShapeError, UsageError
from gpucnn.nn.activations import Activation
from gpucnn.nn.building import has_own_forward
from gpucnn.nn.layers import Conv2d, MaxPool2d, WeightedLayer
from gpucnn.nn.module import Module, Shape
from gpucnn.nn.named import Named
from gpucnn.nn.overrides import local
from gpucnn.spelling import explain_attribute


class Sequential(Module):
    """Calls its layers in their order: a list, or one at a time by `add`.

    `gpucnn.keras.Sequential` is this with compile, fit, evaluate and predict.

    A layer is called by its `name`, or else by its kind and its number among the layers of that
    kind: conv1, relu1, conv2. So a ReLU more or less changes no other layer's name, and with it
    neither its initial weights nor its dropout.

    A ReLU that follows a Conv2d or Dense without activation is folded into it, and so is a
    MaxPool2d that follows a Conv2d, with or without a ReLU: they run as one call and give the same
    numbers. A subclass with a `forward` of its own is not folded.

    Raises:
        UsageError: two layers have one name, something is no layer, or there is no list.
    """

    def __init__(
        self, layers: Sequence[Module] | None = None, *rest: Module, name: str | None = None
    ) -> None:
        is_list = layers is None or isinstance(layers, Iterable)
        if rest or not is_list or isinstance(layers, (Module, Mapping)):
            raise UsageError(
                "Sequential takes its layers as one list",
                fix="write Sequential([a, b]), or Sequential([a, b], name=...)",
            )
        super().__init__(name)
        for layer in () if layers is None else layers:
            self.add(layer)

    # Made when they are first asked for: a subclass need not call __init__.

    @cached_property
    def _layers(self) -> dict[str, Module]:
        return {}

    @cached_property
    def _chain(self) -> Chain:
        return Chain(())

    @cached_property
    def _kinds(self) -> Counter[str]:
        return Counter()

    if not TYPE_CHECKING:  # as in Module

        def __getattr__(self, name: str) -> Any:
            if name in vars(self).get("_layers", ()):
                return explain_attribute(self, name, {name: f'write model["{name}"]'})
            return super().__getattr__(name)

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
        name = layer.name or f"{layer.kind}{1 + self._kinds[layer.kind]}"
        if name in self._layers or "." in name:
            cause = "it holds a dot" if "." in name else f"layer {name!r} is there already"
            raise UsageError(
                f"the name {name!r} cannot be used", cause=cause, fix="give another name="
            )
        self._layers[name] = layer
        self._kinds[layer.kind] += 1
        self._chain.append(layer)

    def forward(self, x: Tensor, chain: Chain | None = None) -> Tensor:
        """The output; of a chain of some of the layers, if one is given.

        While this model is observed, each layer is a call of its own.
        """
        chain = chain or self._chain
        observed = local.observers and self.observer is not None
        calls: Sequence[Any] = chain.layers if observed else chain.stages
        with x.backend.quiet_device():  # once, and not for each function
            for call in calls:
                x = call(x)
        return x

    def stages(self) -> list[tuple[str, Callable[[Tensor], Tensor]]]:
        """The calls that run, in order, with the names of their layers: "conv1+relu1+pool1"."""
        names = {id(layer): name for name, layer in self._layers.items()}
        return [("+".join(names[id(layer)] for layer in s.layers), s) for s in self._chain.stages]

    def not_kept(self) -> list[Module]:
        """The layers whose output is not kept as an array, because they are folded."""
        return [layer for stage in self._chain.stages for layer in stage.not_kept]

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


class Chain:
    """Layers that run one after the other.

    Args:
        layers: they may be any functions of one Tensor.

    Attributes:
        stages: the layers, each together with those that are folded into it.
    """

    def __init__(self, layers: Iterable[Callable[[Tensor], Tensor]]) -> None:
        self.layers: list[Callable[[Tensor], Tensor]] = []
        self.stages: list[_Stage] = []
        for layer in layers:
            self.append(layer)

    def append(self, layer: Callable[[Tensor], Tensor]) -> None:
        """Add a layer behind the others, folded into the one before it where it can be."""
        self.layers.append(layer)
        if not (self.stages and self.stages[-1].fold(layer)):
            self.stages.append(_Stage(layer))


class _Stage:
    """A layer and those that are folded into it; a call runs them at once.

    Each call reads the attributes of the layers, as they may have been changed.
    """

    def __init__(self, layer: Any) -> None:
        self.layers = [layer]

    def __call__(self, x: Tensor) -> Tensor:
        first, *rest = self.layers
        if not rest:
            return first(x)
        if first.activation not in (None, "relu"):
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

    def _one_by_one(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x

    def fold(self, layer: Any) -> bool:
        """Fold the layer that follows, if it can be; whether it was folded."""
        first, last = self.layers[0], self.layers[-1]
        if not isinstance(first, WeightedLayer) or isinstance(last, MaxPool2d):
            return False
        if has_own_forward(first):
            return False
        if isinstance(layer, Activation) and not has_own_forward(layer):
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
