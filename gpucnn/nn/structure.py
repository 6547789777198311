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

#: Of layers and functions, for a call of a network that a file describes; also its layers.
MOST_CALLS = 10_000
_LONGEST_PATH = 1000  # characters; each layer keeps its own

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


def from_structure(described: Mapping[str, Any]) -> Any:
    """The layer of a `structure`.

    Raises:
        UsageError: it has more than 10,000 layers, it makes more than 10,000 calls of layers and
            functions, or a path in it has more than about 1,000 characters.
    """
    return _made(described, [], 0)[0]


def _made(described: Mapping[str, Any], before: list[Any], above: int) -> tuple[Any, int]:
    """The layer of a description, and the number of calls that a call of it makes.

    Args:
        before: the results for the layers that were described before.
        above: the characters of the path to it, about.
    """
    if "again" in described:
        made: tuple[Any, int] = before[described["again"]]
        return made
    number = len(before)
    before.append(None)  # a container comes before its layers
    _check_most(number + 1, MOST_CALLS, "layers of a network")
    kind = CLASSES[described["class"]]
    name = described.get("arguments", described).get("name")
    path = above + 1 + len(name or described["class"])
    _check_most(path, _LONGEST_PATH, "characters in the path of a layer")
    for key in ("layers", "steps", "constants"):
        _check_most(len(described.get(key, ())), MOST_CALLS, f"{key} of a network")
    calls = 1
    if "steps" in described:
        inner = {
            place: _made(each, before, path + len(place))
            for place, each in described["layers"].items()
        }
        steps = [Step(*map(_tuples, step)) for step in described["steps"]]
        calls += sum(inner[step.call][1] if step.call in inner else 1 for step in steps)
        layer: Any = LayerGraph(
            {place: each for place, (each, _) in inner.items()},
            steps,
            {place: tuple(shape) for place, shape in described["constants"].items()},
            name=name,
        )
    elif "layers" in described:
        parts = [_made(each, before, path) for each in described["layers"]]
        calls += sum(count for _, count in parts)
        layer = kind([each for each, _ in parts], name=name)
        shape = described["input_shape"]
        layer.input_shape = None if shape is None else tuple(shape)
    elif "body" in described:
        around = described["shortcut"]
        body, calls = _made(described["body"], before, path)
        shortcut, count = (None, 1) if around is None else _made(around, before, path)
        calls += 1 + count
        layer = kind(body, shortcut=shortcut, name=name)
    else:
        layer = kind(**{key: _tuples(value) for key, value in described["arguments"].items()})
    _check_most(calls, MOST_CALLS, "calls of layers and functions")
    layer.frozen = bool(described.get("frozen"))
    before[number] = layer, calls
    return layer, calls


def _check_most(count: int, most: int, what: str) -> None:
    if count > most:
        raise UsageError(
            f"{count:,} {what} are too many",
            cause=f"at most {most:,} are read from a file",
            fix="make a smaller network",
        )


def as_lists(value: Any) -> Any:
    """A value for JSON: tuples become lists, and NumPy's integers those of Python."""
    if isinstance(value, (tuple, list)):
        return [as_lists(member) for member in value]
    if isinstance(value, dict):
        return {name: as_lists(member) for name, member in value.items()}
    return value if isinstance(value, (bool, float, str, type(None))) else int(value)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(member) for member in value) if isinstance(value, list) else value
