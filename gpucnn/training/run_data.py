"""Reading data for `evaluate` and `predict` in the same way as for the training of a run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpucnn.data import Dataset, Reading, storage
from gpucnn.data.dataset import digest
from gpucnn.data.found import Found
from gpucnn.data.image import Upload
from gpucnn.data.loading import NAMES, cut, datasets, describe_data, find
from gpucnn.data.pictures import Pictures, UnknownConversionError, read_pictures
from gpucnn.data.pixels import as_images, doubts_of_scale
from gpucnn.errors import DataError, GpucnnError, UsageError
from gpucnn.training.config import TrainConfig
from gpucnn.training.description import Description
from gpucnn.training.run import run_of
from gpucnn.training.used import used_parts


class LabeledPart(NamedTuple):
    """Data to evaluate on.

    Attributes:
        dataset: with class ids.
        split: "train", "validation", "test" or "all".
        text: how the data were read, in words.
        notes: remarks for the user.
    """

    dataset: Dataset
    split: str
    text: str
    notes: Sequence[str]


class _Read(NamedTuple):
    """Data that were read.

    Attributes:
        name: of the data.
        parts: as they are in the files.
        splits: as in the training, if they are its data; else `parts`.
        own: whether they are the data of the training.
        changed: whether they have changed since then; None if it is not known.
        text: how they were read, in words.
        found: remarks for the user.
    """

    name: str
    parts: dict[str, Dataset]
    splits: dict[str, Dataset]
    own: bool
    changed: bool | None
    text: str
    found: Sequence[str]

    def notes(self, split: str) -> list[str]:
        """The remarks on an evaluation on a part."""
        return [*self.found, *(_notes_of_own(split, self.changed) if self.own else [])]


class RunData:
    """The part of a `SavedModel` that reads data as its run did."""

    path: Path
    config: TrainConfig
    description: Description

    def find(
        self,
        name: str | Path | None = None,
        data_dir: str | None = None,
        reading: Reading | None = None,
        *,
        labeled: bool = False,
    ) -> Found:
        """Images as the model takes them.

        Args:
            name: of a data set, or a path (a `Path` is never a name); by default the data that the
                model was trained on.
            data_dir: for a named data set, the only place to look in.
            reading: options that replace those of the run.
            labeled: whether labels are needed.

        Raises:
            DataError: as `gpucnn.data.load`; or it is not known how a picture becomes an image.
            UsageError: a name is needed, or the model takes floats alone.
        """
        about = "the data of a file are" if name is None else f"{name} is"
        self.require_pixels(f"{about} read as pixels")
        known = self._reading(None).replace(must_convert=self._is_gray)
        if name is None:
            name, data_dir = self._own_data(data_dir)
            known = known.replace(skip_broken=self.config.skip_broken)
        try:
            return find(name, data_dir, reading, known, labeled)
        except UnknownConversionError as error:
            raise self._unknown_conversion(error.picture) from None

    def read_picture(self, picture: Upload, reading: Reading | None = None) -> Pictures:
        """An uploaded picture as the model takes it: the image that `find` reads in such a file.

        Raises: as `find`.
        """
        self.require_pixels(f"{picture.name} is read as pixels")
        reading = self._reading(reading).replace(must_convert=self._is_gray)
        try:
            return read_pictures([picture], reading, picture.name)
        except UnknownConversionError as error:
            raise self._unknown_conversion(error.picture) from None

    def read_array(
        self, array: NDArray[Any], name: str, reading: Reading | None = None
    ) -> tuple[NDArray[Any], list[str]]:
        """An array of images as the model takes them: those that `find` reads in an npy file.

        A model that was trained on floats gets the numbers as float32.

        Args:
            name: of the array, for messages.

        Returns:
            The images, the changes to the array in words, and what may be wrong with it.

        Raises: as `find`.
        """
        if self.takes_floats:
            return array.astype(np.float32), []
        images, _, said = as_images(array, name, self._reading(reading))
        return images, [*said, *doubts_of_scale(images, name)]

    @property
    def takes_floats(self) -> bool:
        """Whether it takes floats, which are not scaled; otherwise it takes pixels alone."""
        about = self.description
        return about.floats or (about.scale, about.offset) == (1.0, 0.0)

    def _reading(self, given: Reading | None) -> Reading:
        return (given or Reading()).over(self.description.reading.replace(skip_broken=False))

    def _part(
        self,
        name: str | None,
        split: str | None,
        data_dir: str | None,
        reading: Reading | None,
    ) -> LabeledPart:
        """See `SavedModel.dataset`, which then matches the classes to those of the model."""
        read = self._read(name, data_dir, reading)
        labeled = {role: part for role, part in read.parts.items() if part.labels is not None}
        split = split or ("test" if "test" in labeled else "all")
        if split == "all":
            chosen = joined(list(labeled.values()), read.name)
        elif split in read.splits and "all" not in read.splits:
            chosen = read.splits[split]
        else:
            raise DataError(
                f"{read.name} has no {split} set",
                cause=None if read.own else "it is not the data of the run, which held images out",
                fix="choose another part with --split, or all",
            )
        return LabeledPart(chosen, split, read.text, read.notes(split))

    def _read(self, name: str | None, data_dir: str | None, reading: Reading | None) -> _Read:
        """All parts of the data, split as in the training if they are its data."""
        by_place = name is None or self._is_own(name)
        found = self.find(name, data_dir, reading, labeled=True)
        name = name or self.config.data
        parts = datasets(found, name)
        splits, changed = self._as_in_training(parts)
        own = by_place or changed is False
        text = describe_data(found, parts)
        return _Read(name, parts, splits if own else parts, own, changed, text, found.notes)

    def _own_data(self, data_dir: str | None) -> tuple[str, str | None]:
        """The name of the data that the model was trained on, and the folder to look in."""
        cause = None
        if run_of(self.path) is None:
            cause = "it is not in the directory of its run"
        elif not self.description.read and not os.path.exists(self.config.data):
            cause = "it was trained on arrays, in Python"
        if self.description.data is None and cause:
            raise UsageError(
                f"{self.path} does not say where the data lie that it was trained on",
                cause=cause,
                fix="give them with --data",
            )
        return self.config.data, data_dir or self.config.data_dir

    def _is_own(self, name: str) -> bool:
        """Whether data are at the place of those that the model was trained on."""
        return name == self.config.data or (
            self.config.data not in NAMES
            and os.path.abspath(name) == os.path.abspath(self.config.data)
        )

    def _as_in_training(self, parts: dict[str, Dataset]) -> tuple[dict[str, Dataset], bool | None]:
        """Data split as in the training; and whether they differ from the data of the training.

        None means that it is not known. Data that now have a validation part of their own differ
        from data of which images were held out.
        """
        try:
            splits = cut(parts, self.config.data, self.config.validation)
        except UsageError:
            return parts, True
        parts = used_parts(splits, self.config)
        used = [parts[role] for role in ("train", "validation") if role in parts]
        expected = self.description.data_sha256
        return splits, None if expected is None else digest(used) != expected

    @property
    def _is_gray(self) -> bool:
        """Whether a picture may be dark on light or light on dark for it, or is none at all."""
        shape = self.description.image_shape
        return len(shape) != 3 or shape[0] == 1

    def require_pixels(self, given: str, error: type[GpucnnError] = UsageError) -> None:
        """Raise an error if the model takes floats alone; `given` says where there are pixels."""
        if self.description.floats:
            raise error(
                f"{given}, and the model in {self.path} takes floats",
                cause="it was trained in Python on images of floats, and how pixels become such"
                " floats is not known",
                fix="write the run again in Python with the scaling that made the floats:"
                " save_run(..., scale=1 / 255, offset=0) for pixels / 255; or give the floats to"
                " SavedModel.predict",
            )

    def _unknown_conversion(self, picture: str) -> DataError:
        """The error for pictures of which it is not known how they become images."""
        shape = self.description.image_shape
        if len(shape) != 3:
            return DataError(
                f"{picture} is a picture, and the model in {self.path} takes none",
                cause=f"it was trained on arrays of the shape {shape}",
                fix="give such arrays",
            )
        _, height, width = shape
        read = f": {self.description.read}" if self.description.read else ""
        return DataError(
            f"it is not known how a picture such as {picture} becomes an image for this model",
            cause=f"the model was trained on gray arrays, dark on light or light on dark{read}",
            fix=f"give --convert none (gray, scaled to {height}x{width}, otherwise as it is)"
            " or --convert mnist (a digit, cut out, centered, light on dark)",
        )


def _notes_of_own(split: str, changed: bool | None) -> list[str]:
    """Notes on an evaluation on the data that the model was trained on."""
    notes = []
    if changed:
        notes.append("the data have changed since the model was trained on them")
    if changed or split in ("all", "train"):
        notes.append("the model was trained on these images, or on some of them")
    return notes


def no_labels(name: str) -> DataError:
    return DataError(f"{name} has no labels to compare with", fix="use gpucnn predict")


def joined(parts: list[Dataset], name: str) -> Dataset:
    """Several parts of a data set as one."""
    if not parts:
        raise no_labels(name)
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    return Dataset(
        name,
        storage.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts if part.labels is not None]),
        first.classes,
        first.class_names,
        first.label_values,
        [part.item(k) for part in parts for k in range(len(part))],
        numbered=first.numbered,
    )
