"""`Splits`: a data set split for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import NoneType
from typing import TYPE_CHECKING, Any

from gpucnn import random
from gpucnn.data.dataset import Dataset
from gpucnn.data.reading import Reading
from gpucnn.errors import DataError, UsageError, expect
from gpucnn.spelling import explain_attribute

_PART = 'give data.Dataset("mine", images, labels, classes)'

# Names of `Dataset` that a user may look for in `Splits`.
_OF_A_PART = {
    name: f"write .train.{name}, or .test.{name}: train and test are data sets"
    for name in ("images", "labels", "show", "subset")
}


@dataclass(frozen=True, eq=False, repr=False)
class Splits:
    """A data set split for training; `validation` and `test` are None if there is no such part.

    `reading` has the options by which files became these arrays, `text` describes that in words,
    and `notes` are remarks for the user.

    Raises:
        UsageError: a part is no `Dataset`.
        DataError: one part holds pixels, uint8, and another floats.
    """

    train: Dataset
    validation: Dataset | None = None
    test: Dataset | None = None
    reading: Reading = field(default_factory=Reading)
    text: str = ""
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        given = {"train": self.train, "validation": self.validation, "test": self.test}
        for role, part in given.items():
            expect(part, Dataset if role == "train" else (Dataset, NoneType), role, _PART)
            if part is not None and part.holds_pixels != self.train.holds_pixels:
                raise DataError(
                    f"the images of {role} are {part.images.dtype}, those of train are"
                    f" {self.train.images.dtype}",
                    cause="uint8 images are pixels, which are scaled; floats are taken as they are",
                    fix="give all parts in one type: the pixels, uint8; or the same floats, as in"
                    ' (images / 255).astype("float32")',
                )

    if not TYPE_CHECKING:  # type checkers would then accept every name

        def __getattr__(self, name: str) -> Any:
            return explain_attribute(self, name, _OF_A_PART)

    def __repr__(self) -> str:
        """A line for each part."""
        parts = ("train", "validation", "test")
        lines = [f"  {part}={getattr(self, part)!r}," for part in parts]
        return "\n".join(["Splits(", *lines, ")"])

    @property
    def name(self) -> str:
        return self.train.name

    @property
    def classes(self) -> int:
        return self.train.classes

    @property
    def class_names(self) -> list[str]:
        return self.train.class_names

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of one image: (C, H, W)."""
        return self.train.image_shape


def hold_out(dataset: Dataset, count: int) -> tuple[Dataset, Dataset | None]:
    """Hold out `count` images for validation: the same ones in every run, whatever its seed.

    Both parts keep the order of the data set. With 0 there is no validation part.

    Raises:
        UsageError: `count` is negative or leaves nothing to train on.
    """
    if count == 0:
        return dataset, None
    if not 0 < count < len(dataset):
        raise UsageError(
            f"validation is {count}, but {dataset.name} has {len(dataset)} training images",
            fix=f"give --validation a number from 0 to {max(len(dataset) - 1, 0)}",
        )
    order = random.permutation(len(dataset), 0, "split")
    held, kept = order[:count], order[count:]
    held.sort()
    kept.sort()
    return dataset.subset(kept), dataset.subset(held)
