"""Data read as those were that a run trained on: what `evaluate` and `predict` look at."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gpucnn.data import Dataset, Reading
from gpucnn.data.dataset import digest
from gpucnn.data.found import Found
from gpucnn.data.loading import NAMES, cut, datasets, describe_data, find
from gpucnn.errors import DataError, UsageError
from gpucnn.training.config import TrainConfig
from gpucnn.training.description import Description


class LabelledPart(NamedTuple):
    """Data to evaluate on.

    Attributes:
        dataset: with class ids.
        split: "train", "validation", "test" or "all".
        text: how the data were read, in words.
        notes: what else the user should know.
    """

    dataset: Dataset
    split: str
    text: str
    notes: Sequence[str]


@dataclass(frozen=True)
class RunData:
    """How a run reads data.

    Args:
        config, description: of the run.
        file: its weights, for messages.
        in_run: whether they lie in the run, whose data are known then.
    """

    config: TrainConfig
    description: Description
    file: Path
    in_run: bool

    def find(
        self,
        name: str | Path | None = None,
        data_dir: str | None = None,
        reading: Reading | None = None,
        *,
        labelled: bool = False,
    ) -> Found:
        """Images as the model takes them.

        Args:
            name: of a data set, or a path (a `Path` is never a name); by default what it was
                trained on.
            data_dir: for a named data set, the only place to look in.
            reading: what is said of them in place of what the run says.
            labelled: whether the labels matter.

        Raises:
            DataError: as `gpucnn.data.load`; or it is not known how a picture becomes an image.
            UsageError: a name is needed.
        """
        known = self.description.reading.replace(skip_broken=False)
        if name is None:
            name, data_dir = self._own_data(data_dir)
            known = known.replace(skip_broken=self.config.skip_broken)
        given = reading or Reading()
        found = find(name, data_dir, given, known, labelled)
        if found.noun == "pictures" and given.over(known).convert is None:
            self._refuse_gray(name)
        return found

    def part(
        self,
        name: str | None = None,
        split: str | None = None,
        data_dir: str | None = None,
        reading: Reading | None = None,
    ) -> LabelledPart:
        """Labelled images.

        Args:
            name, data_dir, reading: see `find`.
            split: "train", "validation", "test", or "all", everything with labels. By default the
                test part if there is one with labels, otherwise all.

        Raises:
            DataError: there is no such part, it has no labels, or as `find`.
            UsageError: a name is needed.
        """
        by_place = name is None or self._is_own(name)
        found = self.find(name, data_dir, reading, labelled=True)
        name = name or self.config.data
        parts = datasets(found, name)
        labelled = {role: part for role, part in parts.items() if part.labels is not None}
        split = split or ("test" if "test" in labelled else "all")
        notes = [*found.notes]
        splits, changed = self._as_in_training(parts)
        own = by_place or changed is False
        if own:
            notes += _notes_of_own(split, changed)
        else:
            splits = parts
        if split == "all":
            chosen = _joined(list(labelled.values()), name)
        elif split in splits and "all" not in splits:
            chosen = splits[split]
        else:
            raise DataError(
                f"{name} has no {split} set",
                cause=None if own else "it is not the data of the run, which held images out",
                fix="choose another part with --split, or all",
            )
        return LabelledPart(chosen, split, describe_data(found, parts), notes)

    def _own_data(self, data_dir: str | None) -> tuple[str, str | None]:
        """What it was trained on: the name, and the folder to look in."""
        if self.description.data is None and not self.in_run:
            raise UsageError(
                f"{self.file} does not say where the data lie that it was trained on",
                cause="it is not in the directory of its run",
                fix="give them with --data",
            )
        return self.config.data, data_dir or self.config.data_dir

    def _is_own(self, name: str) -> bool:
        """Whether data are those that the model was trained on, by their place."""
        return name == self.config.data or (
            self.config.data not in NAMES
            and os.path.abspath(name) == os.path.abspath(self.config.data)
        )

    def _as_in_training(self, parts: dict[str, Dataset]) -> tuple[dict[str, Dataset], bool | None]:
        """Data cut as those were that the model was trained on; and whether they are others.

        None says that it is not known. Those that have a part for validation, of which images were
        held out for it, are others.
        """
        try:
            splits = cut(parts, self.config.data, self.config.validation)
        except UsageError:
            return parts, True
        used = [splits[role] for role in ("train", "validation") if role in splits]
        expected = self.description.data_sha256
        return splits, None if expected is None else digest(used) != expected

    def _refuse_gray(self, name: str | Path) -> None:
        """Raise a DataError for pictures, if they may be dark on light or light on dark."""
        channels, height, width = self.description.image_shape
        if channels != 1:
            return
        read = f": {self.description.read}" if self.description.read else ""
        raise DataError(
            f"it is not known how a picture such as {name} becomes an image for this model",
            cause=f"the model was trained on gray arrays, dark on light or light on dark{read}",
            fix=f"give --convert none (gray, scaled to {height}x{width}, otherwise as it is)"
            " or --convert mnist (a digit, cut out, centered, light on dark)",
        )


def _notes_of_own(split: str, changed: bool | None) -> list[str]:
    """What is to be said of an evaluation on the data that the model was trained on."""
    notes = []
    if changed:
        notes.append("the data have changed since the model was trained on them")
    if changed or split in ("all", "train"):
        notes.append("the model was trained on these images, or on some of them")
    return notes


def no_labels(name: str) -> DataError:
    return DataError(f"{name} has no labels to compare with", fix="use gpucnn predict")


def _joined(parts: list[Dataset], name: str) -> Dataset:
    """Several parts of a data set as one."""
    if not parts:
        raise no_labels(name)
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    return Dataset(
        name,
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts if part.labels is not None]),
        first.classes,
        first.class_names,
        first.label_values,
        [part.item(k) for part in parts for k in range(len(part))],
        numbered=first.numbered,
    )
