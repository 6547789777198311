"""An ONNX file as a weights file of gpucnn, which evaluate, predict and train take."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpucnn.data import Reading
from gpucnn.data.labels import name_problem
from gpucnn.errors import DataError, DivergedError, UsageError, choose, expect
from gpucnn.nn.layer_graph import LayerGraph
from gpucnn.nn.structure import structure
from gpucnn.onnx.exporting import PROBABILITIES, PRODUCER
from gpucnn.onnx.extra import require
from gpucnn.onnx.loading import image_shape, network
from gpucnn.onnx.reading import Content, damaged_metadata, read
from gpucnn.onnx.scaling import pixel_scaling
from gpucnn.quoting import LONGEST, quoted
from gpucnn.training import checkpoint
from gpucnn.training.described import SUFFIX
from gpucnn.training.description import Description
from gpucnn.training.divergence import first_bad
from gpucnn.training.evaluation import first_outputs
from gpucnn.training.metrics import LOSSES

#: The last layer of a file that gives probabilities -> the loss that takes what is before it.
_LOSS_OF = {
    "softmax": "softmax_cross_entropy",
    "log_softmax": "softmax_cross_entropy",
    "sigmoid": "binary_cross_entropy",
}


@dataclass(frozen=True)
class Imported:
    """What was read from a file.

    Attributes:
        path: of the weights file.
        network: built, with its weights.
        class_names: of its outputs.
        scale: the network takes pixel * scale + offset.
        offset: see `scale`.
        scaling_known: where both are known from, in words.
        floats: whether it takes floats, and how pixels become such floats is not known.
        loss: whose outputs the network gives.
        left_out: the kind of the last layer that was left out, as the loss applies it; or None.
    """

    path: Path
    network: LayerGraph
    class_names: list[str]
    scale: float
    offset: float
    scaling_known: str
    floats: bool
    loss: str
    left_out: str | None


def convert(
    path: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    class_names: Sequence[str] | None = None,
    scale: float | None = None,
    offset: float | None = None,
    mean: float | None = None,
    std: float | None = None,
    loss: str | None = None,
) -> Imported:
    """Write the network of an ONNX file as a weights file, which `SavedModel.load` takes.

    What is not given comes from the metadata of the file, if gpucnn wrote it. A file whose input
    is uint8 takes the pixels as they are. A softmax, log-softmax or sigmoid at the end is left out
    if the loss takes what is before it.

    Args:
        path: the ONNX file.
        target: the .safetensors file, which is replaced if it is there.
        class_names: one for each output; by default their numbers, and 1 for the one output of
            binary cross-entropy, which is the probability of class 1.
        scale, offset: the network takes pixel * scale + offset; by default 1/255 and 0.
        mean, std: the same in another form: the network takes (pixel / 255 - mean) / std.
        loss: a name of `TrainConfig.loss`; by default the one that the end of the network tells,
            or softmax_cross_entropy.

    Raises:
        DataError: as `load`; or its metadata are damaged.
        DivergedError: a weight is not finite.
        UsageError: there is another number of names than of outputs, a name twice, or another
            option is not acceptable.
        StorageError: the target cannot be written.
        MissingExtraError: the package onnx is not installed.
    """
    require("the import of ONNX")
    target = Path(target)
    if target.suffix != SUFFIX:
        raise UsageError(f"{target} is no {SUFFIX} file", fix=f"give a name that ends in {SUFFIX}")
    expect(path, (str, os.PathLike), "the path", 'give the name of a file: "network.onnx"')
    content = read(Path(path))
    about = _metadata(content)
    loss = loss or about.get("loss")
    if loss is not None:
        choose(LOSSES, loss, "loss")
    built, left_out = network(content, without=_applied_by(loss, content))
    weights = built.state_dict()
    if bad := first_bad(weights):
        raise DivergedError(
            f"{content.path} cannot be imported",
            cause=f"{bad} is not finite",
            fix="write the file from a training that did not diverge",
        )
    shape = image_shape(content)
    scores = first_outputs(built, shape).shape
    if len(scores) != 2:
        raise DataError(
            f"{content.path} is no network that tells classes",
            cause=f"for one image it gives {scores}, and not a score for each class: (1, classes)",
            fix="use it in Python: gpucnn.onnx.load",
        )
    loss = loss or _LOSS_OF.get(left_out or "", "softmax_cross_entropy")
    if class_names is not None:
        about["class_names"] = list(class_names)
        about.pop("label_values", None)
    names = _class_names(content, about, scores[1], loss)
    scaling = pixel_scaling(content, about, scale, offset, mean, std)
    description: dict[str, Any] = {
        "reading": Reading(image_shape=shape if len(shape) == 3 else None).as_dict(),
        **{key: about[key] for key in ("reading", "read", "label_values") if key in about},
        "model": None,
        "network": structure(built),
        "image_shape": list(shape),
        "class_names": names,
        "scale": scaling.scale,
        "offset": scaling.offset,
        "floats": scaling.floats,
        "loss": loss,
    }
    Description.of(description, content.path)  # checks it
    checkpoint.save_weights(target, weights, description, "--output FILE")
    return Imported(target, built, names, *scaling, loss, left_out)


def _class_names(content: Content, about: dict[str, Any], outputs: int, loss: str) -> list[str]:
    """The names in the metadata, checked; by default numbers."""
    # A single output of binary cross-entropy means yes, class 1.
    first = 1 if outputs == 1 and loss == "binary_cross_entropy" else 0
    names = about.get("class_names", [str(first + k) for k in range(outputs)])
    if not isinstance(names, list):
        raise damaged_metadata(content.path, f"class_names is {quoted(repr(names))}")
    if problem := name_problem(names):
        raise UsageError(
            problem,
            cause=f"each output needs a name of its own, of at most {LONGEST} characters",
            fix="rename it",
        )
    if len(names) != outputs:
        raise UsageError(
            f"{len(names)} class names for the {outputs} outputs of {content.path}",
            cause="each output needs a name of its own",
            fix="give a name for each, in the order of the outputs",
        )
    return names


def _applied_by(loss: str | None, content: Content) -> tuple[str, ...]:
    """The kinds of a last layer that `predict` applies itself, with this loss or with any."""
    if content.producer == PRODUCER and content.output != PROBABILITIES:
        return ()  # the layer is part of the network that was trained
    return tuple(kind for kind, own in _LOSS_OF.items() if loss in (None, own))


def _metadata(content: Content) -> dict[str, Any]:
    """The metadata of a file that gpucnn wrote; those of others mean other things."""
    if content.producer != PRODUCER:
        return {}
    try:
        return {key: json.loads(text) for key, text in content.metadata.items()}
    except (ValueError, RecursionError) as error:
        raise damaged_metadata(content.path, str(error)) from error
