"""The description in a weights file: its model, and how data become the model's input."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from gpucnn.data import NAMES, Reading, Splits
from gpucnn.data.dataset import is_scaling
from gpucnn.data.labels import is_text, name_problem
from gpucnn.errors import DataError, UsageError
from gpucnn.nn.arguments import is_whole
from gpucnn.quoting import LONGEST, for_message, quoted
from gpucnn.training.checkpoint import require
from gpucnn.training.config import TrainConfig

_KINDS = {"image_shape": list, "class_names": list, "scale": float, "offset": float}
_DEFAULTS = {
    "floats": False, "read": "", "epoch": 0, "data": None, "data_sha256": None, "code_sha256": None,
    "network": None,
}  # fmt: skip

_LONGEST_READ = 1000  # characters of the sentence on the data, which is cut after them
_LARGEST = 100_000_000  # values of an image: more than the 25,000,000 pixels of a picture have


@dataclass(frozen=True)
class Description:
    """The metadata of a weights file, checked.

    Args:
        image_shape: of the model's input without the batch axis; (C, H, W) of images.
        class_names: of its outputs, all different, of at most 200 characters, as labels are.
        label_values: the labels of these classes in the files of the training data.
        scale, offset: the model takes pixel * scale + offset.
        floats: whether it was trained on floats, and how pixels become such floats is not known.
        reading: how the files became arrays.
        read: the same in words; "" if the model was trained on arrays.
        epoch: the number of epochs of its training.
        data: the name of the training data; None for data without a name.
        data_sha256: of the images and labels for training and validation; None if not known.
        code_sha256: of the Python file that defines the model; None for a model of gpucnn.
        network: the layers of the model, a `gpucnn.nn.structure`; None if it has a name or code.
    """

    image_shape: tuple[int, ...]
    class_names: list[str]
    label_values: list[str]
    scale: float
    offset: float
    floats: bool
    reading: Reading
    read: str
    epoch: int
    data: str | None
    data_sha256: str | None
    code_sha256: str | None
    network: dict[str, Any] | None

    @classmethod
    def of(cls, metadata: dict[str, Any], file: Path) -> Description:
        """The description in the metadata of `gpucnn.training.checkpoint.load_weights`.

        Raises:
            DataError: they describe no model that can be built; the message names `file`.
        """
        if "keras" in metadata:
            raise DataError(
                f"{file} is a model that gpucnn.keras saved, and no run",
                cause="it does not say how its data were read",
                fix=f'write a run of it in Python: gpucnn.keras.load_model("{file}")'
                f'.save_run("runs/{file.stem}")',
            )
        require(metadata, _KINDS, file)
        values = {**_DEFAULTS, "label_values": metadata["class_names"], **metadata}
        shape, names = values["image_shape"], values["class_names"]
        sound = {
            "image_shape": shape
            and all(is_whole(size) and size > 0 for size in shape)
            and math.prod(shape) <= _LARGEST,
            "class_names": names and _are_texts(names) and name_problem(names) is None,
            "label_values": _are_texts(values["label_values"])
            and len(values["label_values"]) == len(names),
            "scale": is_scaling(values["scale"]),
            "offset": is_scaling(values["offset"]),
            "floats": isinstance(values["floats"], bool),
            "read": isinstance(values["read"], str),
            "epoch": is_epoch(values["epoch"]),
        }
        for key in ("data", "data_sha256", "code_sha256"):
            sound[key] = isinstance(values[key], str | None)
        sound["network"] = isinstance(values["network"], dict | None)
        for key, is_sound in sound.items():
            if not is_sound:
                raise no_model(file, f"its {key} is {quoted(values.get(key))}")
        values["read"] = for_message(quoted(values["read"], _LONGEST_READ))
        kept = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        return cls(**{**kept, "image_shape": tuple(shape), "reading": _reading(values, file)})


def _reading(metadata: dict[str, Any], file: Path) -> Reading:
    if isinstance(metadata.get("reading"), dict):
        return Reading.from_dict(metadata["reading"], file)
    # Older weights do not have it.
    known = {"convert": "mnist"} if metadata.get("data") in ("mnist", "digits") else {}
    shape = metadata["image_shape"]
    return Reading.from_dict({"image_shape": shape, **known} if len(shape) == 3 else known, file)


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(
        isinstance(value, str) and is_text(value) and len(value) <= LONGEST for value in values
    )


def is_epoch(value: object) -> bool:
    """Whether a value in the metadata is a number of epochs."""
    return is_whole(value) and 0 <= value < 2**63


def no_model(file: Path, cause: str) -> DataError:
    """The error for a weights file whose metadata describe no model that can be built."""
    return DataError(
        f"{file} describes no model",
        cause=cause,
        fix="use an intact copy of the file, or make it again with this version of gpucnn",
    )


def config_of(metadata: dict[str, Any], file: Path) -> TrainConfig:
    """The options of the training that the metadata of a weights file name.

    Raises:
        DataError: they are not acceptable.
    """
    keys = ("model", "loss", "data", "validation", "seed")
    known = {key: metadata[key] for key in keys if metadata.get(key) is not None}
    try:
        return TrainConfig(**known)
    except UsageError as error:
        raise no_model(file, error.message) from error


def describe(config: TrainConfig, data: Splits) -> dict[str, Any]:
    """The entries of a description that the options of a training and its data tell."""
    return {
        "model": config.model,
        "loss": config.loss,
        "seed": config.seed,
        "data": config.data if config.data in NAMES else None,
        "validation": config.validation,
        "image_shape": list(data.image_shape),
        "class_names": data.class_names,
        "label_values": data.train.label_values,
        "floats": not data.train.holds_pixels,
        "reading": data.reading.as_dict(),
        "read": data.text,
    }
