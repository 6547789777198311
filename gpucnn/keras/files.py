"""Models in files: safetensors, with the structure as JSON in the file's metadata.

The structure is that of `gpucnn.nn.structure`, and the settings of `compile`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gpucnn import nn
from gpucnn.errors import DataError, GpucnnError, UsageError, expect
from gpucnn.keras.compiled import Compiled
from gpucnn.keras.input_range import InputRange
from gpucnn.keras.losses import named
from gpucnn.keras.metric import OWN, Metric
from gpucnn.keras.optimizers import Optimizer
from gpucnn.nn.room import room_for
from gpucnn.nn.structure import ERRORS, as_lists, from_structure, structure
from gpucnn.quoting import quoted
from gpucnn.training import checkpoint

SUFFIX = ".safetensors"
SEQUENTIAL = "keras.Sequential"  # the name of Keras's `Sequential` in files
_OTHERS = (
    ".keras", ".h5", ".hdf5", ".weights", ".tf", ".ckpt", ".pb", ".pt", ".pth", ".npz", ".pkl",
)  # fmt: skip
_KEY = "keras"  # of the structure, in the description of a file


def checked_path(path: str | os.PathLike[str]) -> Path:
    """A path to save to; `UsageError` unless it ends in .safetensors."""
    given = _path(path)
    if given.suffix != SUFFIX or os.path.isdir(given):
        stem = given.name or "model"
        while (ending := Path(stem).suffix) in _OTHERS:
            stem = stem.removesuffix(ending)
        stem = stem.removesuffix(SUFFIX)
        raise UsageError(
            f"{given} is not the path of a {SUFFIX} file",
            cause="it is a directory"
            if os.path.isdir(given)
            else "models are saved in files of this kind only",
            fix=f"write {given.with_name(stem + SUFFIX) if given.name else stem + SUFFIX}",
        )
    return given


def readable_path(path: str | os.PathLike[str]) -> Path:
    """A path to load from; `UsageError` if it is plainly that of a file of Keras."""
    given = _path(path)
    if given.suffix in (".h5", ".hdf5", ".keras", ".pb") or os.path.isdir(given):
        raise UsageError(
            f"{given} is no {SUFFIX} file",
            cause="files of Keras cannot be read",
            fix="make the model here, and give its layers the weights by set_weights",
        )
    return given


def _path(path: Any) -> Path:
    expect(path, (str, os.PathLike), "the path", f'give the name of a file: "model{SUFFIX}"')
    return Path(path)


def save(
    model: nn.Module,
    compiled: Compiled | None,
    trained_on: InputRange | None,
    path: str | os.PathLike[str],
) -> None:
    """Write a built model, its weights and the settings of `compile`; see `Sequential.save`."""
    file = checked_path(path)
    model.require_built()
    built = {"input_shapes": as_lists(model.built_for), "seed": model.seed}  # the seed of dropout
    description = {_KEY: {**structure(model), **built}}
    if compiled is not None:
        description[_KEY]["compile"] = _settings(compiled)
    if trained_on is not None and trained_on.least <= trained_on.greatest:
        description[_KEY]["trained_on"] = asdict(trained_on)
    checkpoint.save_weights(file, model.state_dict(), description, option="")


def load(
    path: str | os.PathLike[str], device: str, functions: Any, compile: Any
) -> tuple[Any, dict[str, Any] | None]:
    """The model of a file of `save`, built and with its weights, and the arguments of `compile`.

    Args:
        functions: the user's own losses and metrics by name, or None.
        compile: whether the arguments of `compile` are read; else None is given for them.
    """
    functions = _checked_functions(functions)
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
        model = from_structure(found)
        if "trained_on" in found:
            model.trained_on = InputRange.of(found["trained_on"])
        shapes, seed = [tuple(shape) for shape in found["input_shapes"]], found["seed"]
        settings = found.get("compile") if compile else None
        missing = set() if settings is None else _own_names(settings) - functions.keys()
        options = None if settings is None or missing else _compile_options(settings, functions)
    except (GpucnnError, *ERRORS) as error:
        raise _no_model(file, error) from error
    if missing:
        names = ", ".join(f'"{name}": {name}' for name in sorted(missing))
        raise UsageError(
            f"{file} was compiled with {', '.join(sorted(missing))}, which is not in it",
            cause="a file holds no loss or metric of your own, as it holds no code",
            fix=f"give the function: custom_objects={{{names}}}; or compile=False, and compile "
            "the model then",
        )
    try:
        with room_for(weights):
            model.build(*shapes, seed=seed, device=device, channels_first=True)
    except ERRORS as error:  # ours are ShapeError and UsageError among them
        raise _no_model(file, error) from error
    model.load_state_dict(weights)
    return model, options


def _no_model(file: Path, error: Exception) -> DataError:
    return DataError(
        f"{file} describes a model that cannot be made",
        cause=quoted(f"{type(error).__name__}: {error}".replace("\n", "; ")),
        fix="save it with this version of gpucnn",
    )


def without_verbs(model: nn.Module) -> nn.Module:
    """A copy of a built model of layers of `gpucnn.nn` alone, without Keras's `Sequential`.

    Raises:
        UsageError: it is not built, or a layer is of a class of one's own.
    """
    model.require_built()
    copy: nn.Module = from_structure(_plain(structure(model)))
    copy.build(*model.built_for or (), device=model.device, channels_first=True)
    copy.load_state_dict(model.state_dict())
    return copy


def _plain(described: Any) -> Any:
    """A structure in which Keras's `Sequential` is that of `gpucnn.nn`."""
    if isinstance(described, list):
        return [_plain(each) for each in described]
    if not isinstance(described, dict):
        return described
    plain = {key: _plain(value) for key, value in described.items()}
    if plain.get("class") == SEQUENTIAL:
        plain["class"] = nn.Sequential.__name__
    return plain


def _settings(compiled: Compiled) -> dict[str, Any]:
    optimizer, loss = compiled.optimizer, compiled.loss
    return {
        "optimizer": [
            optimizer.name,
            optimizer.learning_rate,
            optimizer.options,
            optimizer.global_clipnorm,
        ],
        "loss": [loss.name, OWN] if loss.is_own else [loss.name, loss.from_logits, loss.options],
        "metrics": [[metric.name, metric.kind, metric.options] for metric in compiled.metrics],
        "schedule": compiled.schedule,
    }


def _own_names(settings: Mapping[str, Any]) -> set[str]:
    """The names of the user's own functions in the settings of a file."""
    return {name for name, kind, *_ in (settings["loss"], *settings["metrics"]) if kind == OWN}


def _checked_functions(functions: Any) -> Mapping[str, Any]:
    if functions is None:
        return {}
    if not isinstance(functions, Mapping) or not all(map(callable, functions.values())):
        raise UsageError(
            f"custom_objects is {functions!r}",
            cause="it is a dict of functions by name",
            fix="write custom_objects={'my_loss': my_loss}",
        )
    return functions


def _compile_options(saved: Mapping[str, Any], functions: Mapping[str, Any]) -> dict[str, Any]:
    loss, *how = saved["loss"]
    return {
        "optimizer": Optimizer(*saved["optimizer"]),
        "loss": functions[loss] if how[0] == OWN else named(loss, *how),
        "metrics": [
            replace(Metric(*metric), function=functions[metric[0]] if metric[1] == OWN else None)
            for metric in saved["metrics"]
        ],
        "schedule": saved["schedule"],
    }
