"""Runs of networks that were made in Python: what `predict` and the others need is kept in them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import Any

from gpucnn import backend as backends
from gpucnn import models
from gpucnn.data import NAMES, Reading, Splits, pixel_scaling
from gpucnn.data.dataset import digest, is_scaling
from gpucnn.data.labels import name_problem
from gpucnn.errors import UsageError, choose, expect
from gpucnn.nn import Module
from gpucnn.nn.structure import from_structure, structure
from gpucnn.quoting import LONGEST
from gpucnn.training import checkpoint, evaluation
from gpucnn.training.code import Code
from gpucnn.training.config import TrainConfig
from gpucnn.training.described import MADE, is_described, structure_of, without_activation
from gpucnn.training.history import History
from gpucnn.training.metrics import LOSSES, OWN, is_own
from gpucnn.training.run import Run

_UNKNOWN = "unknown"  # the data of a run that was saved without them


def save_run(
    model: Module,
    path: str | os.PathLike[str],
    *,
    data: Splits | None = None,
    class_names: Sequence[str] | None = None,
    scale: float | None = None,
    offset: float | None = None,
    reading: Reading | None = None,
    loss: str | None = None,
    code: str | None = None,
    config: TrainConfig | None = None,
    history: History | None = None,
) -> Run:
    """Write a trained model as a run, which `gpucnn predict` and the other commands take.

    A softmax or sigmoid at the end of a `Sequential` is left out if the loss includes it, as
    `predict` applies it.

    Args:
        model: built, for one input (C, H, W), with an output for each class.
        path: of the run, as in "runs/mine"; it must not exist.
        data: those of the training; they give class names, scaling and reading.
        class_names: one for each output; by default those of `data`, else numbers.
        scale, offset: the model takes pixel * scale + offset, for pixels from 0 to 255; by default
            `pixel_scaling` of `data`, else 1/255 and 0. With 1 and 0 it takes arrays as they are.
            If the images of `data` are floats and `scale` is not given, the run takes floats alone.
        reading: how files become arrays; by default that of `data`.
        loss: a name of `TrainConfig.loss`; by default that of `config`, which is
            softmax_cross_entropy.
        code: the file and the function that make the model, "my_net.py:build", if a layer is of a
            class of your own. The run keeps a copy of the file.
        config: the options of the training.
        history: the result of `fit`, for the curves.

    Raises:
        UsageError: an argument is not acceptable, the path exists, the loss is a function, a layer
            is of a class of your own and there is no `code`, or there is another number of names
            than of outputs.
        WeightsMismatchError: `code` makes another model.
        StorageError: the run cannot be written.
    """
    expect(model, Module, "the model", "give a gpucnn.nn.Module, such as Sequential([...])")
    expect(path, (str, os.PathLike), "the path", 'give a directory: "runs/mine"')
    expect(data, (Splits, NoneType), "data", 'give data.load("digits"), or data.Splits(...)')
    expect(reading, (Reading, NoneType), "reading", 'give data.Reading(convert="mnist")')
    expect(config, (TrainConfig, NoneType), "config", "give TrainConfig(...)")
    expect(history, (History, NoneType), "history", "give the result of training.fit")
    config = config or TrainConfig()
    loss = config.loss if loss is None else loss
    expect(loss, str, "the loss", f"give one of {', '.join(LOSSES)}")
    if is_own(loss):
        raise UsageError(
            f"the loss {loss.removeprefix(OWN)} is a function, which a run cannot hold",
            cause="the commands that take a run know the losses of TrainConfig.loss alone",
            fix='give the loss that tells what the outputs are: loss="softmax_cross_entropy" for'
            ' logits of classes, "binary_cross_entropy" for other logits, "mean_squared_error" for'
            " probabilities and other numbers as they are",
        )
    choose(LOSSES, loss, "loss")
    target = Path(path)
    if os.path.exists(target):
        raise UsageError(f"{target} exists already", fix="give another path, or remove it first")
    model.require_built()
    shape = _image_shape(model)
    names = [str(name) for name in class_names or (data.class_names if data else ())]
    names = names or [str(k) for k in range(evaluation.count_outputs(model, shape))]
    own = None if code is None else _code(code)
    about, network = _network(model, loss, own, shape, len(names))
    _require_names(network, shape, names, loss)
    records = [] if history is None else history.lines()
    description: dict[str, Any] = {
        "model": MADE,
        "loss": loss,
        "data": data.name if data and data.name in NAMES else None,
        "image_shape": list(shape),
        "class_names": names,
        "label_values": names if class_names or not data else data.train.label_values,
        "reading": _reading(reading, data, shape).as_dict(),
        "read": data.text if data else "",
        "data_sha256": _digest(data) if data else None,
        **_scaling(data, config, scale, offset),
        "epoch": len(records),
        **about,
    }
    held = len(data.validation) if data and data.validation else 0
    written = replace(
        config,
        model=MADE if own is None else str(own),
        learning_rate=config.resolved(model.device).learning_rate,
        loss=loss,
        data=data.name if data else _UNKNOWN,
        validation=held if data and data.name in NAMES else config.validation,
        epochs=max(1, len(records)),
        runs_dir=str(target.parent),
        name=target.name,
    )
    run = Run.create(written, backends.get(model.device), own)
    checkpoint.save_weights(run.last, network.state_dict(), description)
    run.write_metrics(records)
    run.end("finished", 0.0 if history is None else history.seconds)
    return run


def record(run: Run, model: Module, data: Splits, config: TrainConfig) -> dict[str, Any]:
    """Note in a run which network and data `fit` is given, if its options name others.

    Returns:
        Entries for the description of the weights.
    """
    about: dict[str, Any] = {}
    changes: dict[str, Any] = {}
    if config.data in NAMES and config.data != data.name:
        about["data"] = data.name if data.name in NAMES else None
        changes["data"] = about["data"] or os.path.abspath(data.name)
    code, layers = Code.parse(config.model), structure_of(model)
    if code is not None:
        about |= run.code(code.function, True, run.code_sha256()).about()
    elif is_described(config.model):
        about |= {"model": None, "network": layers}
    elif config.model not in models.NAMES or layers != _named(config.model, data.classes):
        about |= {"model": MADE, "network": layers}
        changes["model"] = MADE
    if changes:
        run.change_config(**changes)
    return about


def _named(name: str, classes: int) -> dict[str, Any]:
    return structure(models.get(name, classes))


def _network(
    model: Module, loss: str, code: Code | None, shape: tuple[int, ...], classes: int
) -> tuple[dict[str, Any], Module]:
    """The entries of a description that tell the network, and the network that they tell."""
    if code is not None:
        network = code.build(shape, classes)
        about: dict[str, Any] = code.about()
    else:
        layers = structure_of(model)
        if layers is None:
            raise UsageError(
                f"{model.display_name} cannot be saved as a run",
                cause="a layer is of a class of your own, and a run describes only those of"
                " gpucnn.nn",
                fix='give the file and the function that make it: code="my_net.py:build"',
            )
        network = from_structure(without_activation(layers, loss)).freeze(False)
        about = {"network": structure(network)}
    network.build(shape, device=model.device, channels_first=True)
    network.load_state_dict(model.state_dict())
    return about, network


def _image_shape(model: Module) -> tuple[int, ...]:
    shapes = model.built_for or ()
    if len(shapes) != 1:
        raise UsageError(
            f"{model.display_name} takes {len(shapes)} inputs",
            cause="a run is of a model that takes images alone",
            fix='save its weights: numpy.savez("weights.npz", **model.state_dict())',
        )
    return tuple(shapes[0])


def _code(text: str) -> Code:
    code = Code.parse(text) if isinstance(text, str) else None
    if code is None:
        raise UsageError(f"code is {text!r}", fix=f"give {Code.form(str(text))}")
    return code


def _require_names(network: Module, shape: tuple[int, ...], names: list[str], loss: str) -> None:
    """Check that each output has a name of its own, and that the loss can take the outputs."""
    first = evaluation.first_outputs(network, shape)
    outputs = first.shape[-1]
    if first.ndim != 2 or outputs != len(names) or len(set(names)) < len(names):
        raise UsageError(
            f"{len(names)} class names for the outputs {first.shape} of one image",
            cause="each class needs one output and a name of its own",
            fix='give class_names=["cat", "dog"], as many as there are outputs; in place of one'
            ' output for two classes write Dense(2, activation="softmax")'
            if outputs == 1
            else "give a name for each, in the order of the outputs",
        )
    if problem := name_problem(names):
        raise UsageError(problem, fix=f"give each class a name, of at most {LONGEST} characters")
    if loss == "softmax_cross_entropy" and evaluation.are_probabilities(first):
        raise UsageError(
            f"the outputs of {network.display_name} are probabilities",
            cause=f"{loss} takes logits, and predict applies the softmax",
            fix="let the network end without the softmax",
        )


def _scaling(
    data: Splits | None, config: TrainConfig, scale: float | None, offset: float | None
) -> dict[str, Any]:
    """The entries of a description that tell how pixels become the input of the model."""
    known = pixel_scaling(data.train, config.standardise) if data else (1 / 255, 0.0)
    floats = data is not None and not data.train.holds_pixels and scale is None
    if floats and offset is not None:
        raise UsageError(
            "offset is given without scale",
            cause="the images of the data are floats, so the scale of the pixels is not known",
            fix="give both, as in scale=1 / 127.5, offset=-1; or none for a run that takes floats",
        )
    return {
        "scale": known[0] if scale is None else _number("scale", scale),
        "offset": known[1] if offset is None else _number("offset", offset),
        "floats": floats,
    }


def _number(name: str, value: Any) -> float:
    if not is_scaling(value):
        raise UsageError(
            f"{name} is {value!r}", fix="give a finite number up to 1e9, as in scale=1 / 255"
        )
    return float(value)


def _reading(reading: Reading | None, data: Splits | None, shape: tuple[int, ...]) -> Reading:
    known = data.reading if data else Reading(image_shape=shape if len(shape) == 3 else None)
    return known if reading is None else reading.over(known)


def _digest(data: Splits) -> str:
    return digest([part for part in (data.train, data.validation) if part is not None])
