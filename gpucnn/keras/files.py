"""Models in files: safetensors, with the structure as JSON in the file's metadata.

The structure holds the layers with the arguments that they were made with, and the settings of
`compile`. It holds no initializers, as the file has the weights, and no code, so that only layers
of `gpucnn.nn` can be saved.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpucnn import nn
from gpucnn.errors import DataError, GpucnnError, UsageError, expect
from gpucnn.keras.compiled import Compiled
from gpucnn.keras.losses import LOSSES
from gpucnn.keras.metrics import Metric
from gpucnn.keras.optimizers import Optimizer
from gpucnn.training import checkpoint

#: The name that a file has for a class -> the class; `gpucnn.keras.models` adds its `Sequential`.
CLASSES: dict[str, Callable[..., nn.Module]] = {
    name: getattr(nn, name) for name in nn.__all__ if name not in ("Module", "Parameter")
}

SUFFIX = ".safetensors"
_OTHERS = (
    ".keras", ".h5", ".hdf5", ".weights", ".tf", ".ckpt", ".pb", ".pt", ".pth", ".npz", ".pkl",
)  # fmt: skip
_KEY = "keras"  # of the structure, in the description of a file
_NOT_KEPT = ("kernel_initializer", "bias_initializer")


def checked_path(path: str | os.PathLike[str]) -> Path:
    """A path to save to; `UsageError` unless it ends in .safetensors."""
    given = _path(path)
    if given.suffix != SUFFIX or given.is_dir():
        stem = given.name or "model"
        while (ending := Path(stem).suffix) in _OTHERS:
            stem = stem.removesuffix(ending)
        stem = stem.removesuffix(SUFFIX)
        raise UsageError(
            f"{given} is not the path of a {SUFFIX} file",
            cause="it is a directory"
            if given.is_dir()
            else "models are saved in files of this kind only",
            fix=f"write {given.with_name(stem + SUFFIX) if given.name else stem + SUFFIX}",
        )
    return given


def readable_path(path: str | os.PathLike[str]) -> Path:
    """A path to load from; `UsageError` if it is plainly that of a file of Keras."""
    given = _path(path)
    if given.suffix in (".h5", ".hdf5", ".keras", ".pb") or given.is_dir():
        raise UsageError(
            f"{given} is no {SUFFIX} file",
            cause="files of Keras cannot be read",
            fix="make the model here, and give its layers the weights by set_weights",
        )
    return given


def _path(path: Any) -> Path:
    expect(path, (str, os.PathLike), "the path", f'give the name of a file: "model{SUFFIX}"')
    return Path(path)


def save(model: nn.Module, compiled: Compiled | None, path: str | os.PathLike[str]) -> None:
    """Write a built model, its weights and the settings of `compile`; see `Sequential.save`."""
    file = checked_path(path)
    model.require_built()
    built = {"input_shapes": _lists(model.built_for), "seed": model.seed}  # the seed of dropout
    description = {_KEY: {**structure(model), **built}}
    if compiled is not None:
        description[_KEY]["compile"] = _settings(compiled)
    checkpoint.save_weights(file, model.state_dict(), description, option="")


def load(path: str | os.PathLike[str], device: str) -> tuple[Any, dict[str, Any] | None]:
    """The model of a file of `save`, built and with its weights, and the arguments of `compile`."""
    file = readable_path(path)
    weights, description = checkpoint.load_weights(file)
    found = description.get(_KEY)
    if not isinstance(found, dict):
        raise DataError(
            f"{file} holds weights without a model",
            cause="it was not written by model.save",
            fix="make the model and call load_weights; for a run of gpucnn train use "
            "gpucnn.training.SavedModel.load",
        )
    try:
        model = _made(found)
        shapes, seed = [tuple(shape) for shape in found["input_shapes"]], found["seed"]
        options = _compile_options(found["compile"]) if "compile" in found else None
    except (GpucnnError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{file} describes a model that cannot be made",
            cause=f"{type(error).__name__}: {error}".replace("\n", "; "),
            fix="save it with this version of gpucnn",
        ) from error
    model.build(*shapes, seed=seed, device=device, channels_first=True)
    model.load_state_dict(weights)
    return model, options


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
        described["input_shape"] = _lists(layer.input_shape)
        described["layers"] = [structure(inner, seen) for inner in layer]
    elif isinstance(layer, nn.Residual):
        around = layer.shortcut
        described["name"] = layer.name
        described["body"] = structure(layer.body, seen)
        described["shortcut"] = None if around is None else structure(around, seen)
    else:
        names = inspect.signature(type(layer)).parameters
        described["arguments"] = {
            name: _lists(getattr(layer, name)) for name in names if name not in _NOT_KEPT
        }
    if layer.frozen:
        described["frozen"] = True
    return described


def _made(described: Mapping[str, Any], made: list[Any] | None = None) -> Any:
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
    if "layers" in described:
        inner = [_made(inner, made) for inner in described["layers"]]
        layer: Any = kind(inner, name=described["name"])
        shape = described["input_shape"]
        layer.input_shape = None if shape is None else tuple(shape)
    elif "body" in described:
        body, around = _made(described["body"], made), described["shortcut"]
        layer = kind(
            body,
            shortcut=None if around is None else _made(around, made),
            name=described["name"],
        )
    else:
        layer = kind(**{name: _tuples(value) for name, value in described["arguments"].items()})
    layer.frozen = bool(described.get("frozen"))
    made[number] = layer
    return layer


def _settings(compiled: Compiled) -> dict[str, Any]:
    optimizer, loss = compiled.optimizer, compiled.loss
    return {
        "optimizer": [optimizer.name, optimizer.learning_rate, optimizer.options],
        "loss": [loss.name, loss.from_logits],
        "metrics": [[metric.name, metric.kind] for metric in compiled.metrics],
        "schedule": compiled.schedule,
    }


def _compile_options(saved: Mapping[str, Any]) -> dict[str, Any]:
    loss, from_logits = saved["loss"]
    return {
        "optimizer": Optimizer(*saved["optimizer"]),
        "loss": replace(LOSSES[loss], from_logits=from_logits),
        "metrics": [Metric(*metric) for metric in saved["metrics"]],
        "schedule": saved["schedule"],
    }


def _lists(value: Any) -> Any:
    """A value for JSON: tuples become lists, and NumPy's integers those of Python."""
    if isinstance(value, (tuple, list)):
        return [_lists(member) for member in value]
    return value if isinstance(value, (bool, float, str, type(None))) else int(value)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(member) for member in value) if isinstance(value, list) else value
