"""Sequential: layers one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from gpucnn.autograd import Tensor
from gpucnn.errors import UsageError
from gpucnn.nn.activations import Activation
from gpucnn.nn.layers import WeightedLayer
from gpucnn.nn.module import Module, Shape


class Sequential(Module):
    """Calls its layers in their order: a list, or one at a time by `add`.

    `gpucnn.keras.Sequential` is this with compile, fit, evaluate and predict.

    A layer is called by its `name`, or else by its kind and its number among the layers of that
    kind: conv1, relu1, conv2. So a ReLU more or less changes no other layer's name, and with it
    neither its initial weights nor its dropout.

    A ReLU that follows a Conv2d or Dense without activation is folded into it: the pair runs as
    one call and gives the same numbers.

    Raises:
        UsageError: two layers have one name, something is no layer, or there is no list.
    """

    def __init__(
        self, layers: Sequence[Module] | None = None, *rest: Module, name: str | None = None
    ) -> None:
        if rest or isinstance(layers, Module):
            raise UsageError(
                "Sequential takes its layers as one list",
                fix="write Sequential([a, b]), or Sequential([a, b], name=...)",
            )
        super().__init__(name)
        self._layers: dict[str, Module] = {}
        self._plan: list[tuple[Module, Module | None]] = []
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
                f"a layer was added to {self.label} after it was built",
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

    def forward(self, x: Tensor) -> Tensor:
        for layer, relu in self._plan:
            if relu is None:
                x = layer(x)
            elif self.observer is None:
                x = layer(x, activation="relu")
            else:  # whoever observes sees each layer by itself
                x = relu(layer(x))
        return x

    def folded(self) -> list[Module]:
        """The ReLUs that run as a part of the layer before them."""
        return [relu for _, relu in self._plan if relu is not None]

    def children(self) -> dict[str, Module]:
        """Name -> layer, in order."""
        return dict(self._layers)

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
        """The layer at a position or of a name."""
        return self._layers[key] if isinstance(key, str) else list(self)[key]

    def _folded(self) -> list[tuple[Module, Module | None]]:
        """Each layer with the ReLU that is folded into it."""
        plan: list[tuple[Module, Module | None]] = []
        layers = list(self)
        for layer, following in zip_longest(layers, layers[1:]):
            if plan and plan[-1][1] is layer:
                continue  # folded into the layer before
            folds = isinstance(layer, WeightedLayer) and layer.activation is None
            is_relu = isinstance(following, Activation) and following.activation == "relu"
            plan.append((layer, following if folds and is_relu else None))
        return plan
