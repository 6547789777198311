"""Layers as JSON, without code: in files that hold a network beside its weights.

The structure holds the layers with the arguments that they were made with. It holds no
initializers, as the file has the weights, so that only layers of `gpucnn.nn` have one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from gpucnn import nn
from gpucnn.errors import UsageError
from gpucnn.nn.layer_graph import LayerGraph, Step

#: The name that a file has for a class -> the class; `gpucnn.keras.models` adds its `Sequential`.
CLASSES: dict[str, Callable[..., nn.Module]] = {
    name: getattr(nn, name) for name in nn.__all__ if name not in ("Module", "Parameter")
}
CLASSES["LayerGraph"] = LayerGraph

#: What a damaged or hostile structure may lead to, beside our own errors: in `from_structure`, and
#: when the network is built.
ERRORS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

_NOT_KEPT = ("kernel_initializer", "bias_initializer")


def structure(layer: nn.Module, seen: dict[int, int] | None = None) -> dict[str, Any]:
    """A layer as JSON: its class, its arguments and the layers in it.

    A layer that was described before is {"again": its number}, in the order of the descriptions.

    Args:
        seen: `id` of a layer that was described before -> its number.

    Raises:
        UsageError: it is of a class of one's own.
    """
    seen = {} if seen is None else seen
    if id(layer) in seen:
        return {"again": seen[id(layer)]}
    seen[id(layer)] = len(seen)
    kind = next((name for name, cls in CLASSES.items() if cls is type(layer)), None)
    if kind is None:
        raise UsageError(
            f"{layer.display_name} cannot be saved with the model",
            cause="the file holds no code, so every layer must be from gpucnn.nn",
            fix="use save_weights, and make the model by your own code before load_weights",
        )
    described: dict[str, Any] = {"class": kind}
    if isinstance(layer, nn.Sequential):
        described["name"] = layer.name
        described["input_shape"] = as_lists(layer.input_shape)
        described["layers"] = [structure(inner, seen) for inner in layer]
    elif isinstance(layer, LayerGraph):
        inside = layer.named_children()
        described["name"] = layer.name
        described["layers"] = {name: structure(inner, seen) for name, inner in inside}
        described["steps"] = [as_lists(tuple(step)) for step in layer.steps]
        described["constants"] = as_lists(layer.constants)
    elif isinstance(layer, nn.Residual):
        around = layer.shortcut
        described["name"] = layer.name
        described["body"] = structure(layer.body, seen)
        described["shortcut"] = None if around is None else structure(around, seen)
    else:
        names = inspect.signature(type(layer)).parameters
        described["arguments"] = {
            name: as_lists(getattr(layer, name)) for name in names if name not in _NOT_KEPT
        }
    if layer.frozen:
        described["frozen"] = True
    return described


def from_structure(described: Mapping[str, Any], made: list[Any] | None = None) -> Any:
    """The layer of a `structure`.

    Args:
        made: the layers that were described before.
    """
    made = [] if made is None else made
    if "again" in described:
        return made[described["again"]]
    number = len(made)
    made.append(None)  # a container comes before its layers
    kind = CLASSES[described["class"]]
    if "steps" in described:
        layer: Any = LayerGraph(
            {name: from_structure(inner, made) for name, inner in described["layers"].items()},
            [Step(*map(_tuples, step)) for step in described["steps"]],
            {name: tuple(shape) for name, shape in described["constants"].items()},
            name=described["name"],
        )
    elif "layers" in described:
        inner = [from_structure(inner, made) for inner in described["layers"]]
        layer = kind(inner, name=described["name"])
        shape = described["input_shape"]
        layer.input_shape = None if shape is None else tuple(shape)
    elif "body" in described:
        body, around = from_structure(described["body"], made), described["shortcut"]
        layer = kind(
            body,
            shortcut=None if around is None else from_structure(around, made),
            name=described["name"],
        )
    else:
        layer = kind(**{name: _tuples(value) for name, value in described["arguments"].items()})
    layer.frozen = bool(described.get("frozen"))
    made[number] = layer
    return layer


def as_lists(value: Any) -> Any:
    """A value for JSON: tuples become lists, and NumPy's integers those of Python."""
    if isinstance(value, (tuple, list)):
        return [as_lists(member) for member in value]
    if isinstance(value, dict):
        return {name: as_lists(member) for name, member in value.items()}
    return value if isinstance(value, (bool, float, str, type(None))) else int(value)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(member) for member in value) if isinstance(value, list) else value
