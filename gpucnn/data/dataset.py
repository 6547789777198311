"""`Dataset`: images with their labels."""

from __future__ import annotations

import hashlib
import numbers
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.data import storage
from gpucnn.data.finite import require_finite
from gpucnn.data.labels import MOST_CLASSES, listing, name_problem
from gpucnn.errors import DataError, UsageError, expect
from gpucnn.quoting import LONGEST

if TYPE_CHECKING:
    from gpucnn.plots import Picture

_LARGEST_SCALING = 1e9  # of scale and offset, with either sign


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images and their labels on the host.

    Args:
        name: its name in messages.
        images: uint8 (N, C, H, W), as the readers of this package return; other inputs may be
            floats (N, ...), which a `Loader` does not scale.
        labels: int32 (N,) class ids below `classes`; floats (N, ...) as targets; or None.
        classes: number of classes.
        class_names: a name for each class; by default their numbers.
        label_values: the labels in the files, in the order of the classes; by default the names.
        items: the name of each image, as by its file; by default the name of the data set and a
            number.
        ids: the identifiers of the rows of a table, as they are written there; or None.
        numbered: whether the classes have numbers only.
        places: of a subset, the place of each image in `items`, `ids` and the whole; or None.
        weights: (N,), the weight of each image's loss in training, kept as float32; None for 1.

    Raises:
        DataError: the name of a class is that of another, or has more than 200 characters; a label
            outside [0, classes), not one label or weight an image, or a target or a weight that is
            not finite as a float32; with images of float64, as a float64.
    """

    name: str
    images: NDArray[Any]
    labels: NDArray[Any] | None
    classes: int
    class_names: list[str] = field(default_factory=list)
    label_values: list[str] = field(default_factory=list)
    items: Sequence[str] | None = None
    ids: Sequence[str] | None = None
    numbered: bool = False
    places: NDArray[Any] | None = None
    weights: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if not self.class_names:
            object.__setattr__(self, "class_names", [str(k) for k in range(self.classes)])
            object.__setattr__(self, "numbered", True)
        elif problem := name_problem(self.class_names):
            raise DataError(
                f"{self.name}: {problem}",
                fix=f"give each class a name of its own, of at most {LONGEST} characters",
            )
        if not self.label_values:
            object.__setattr__(self, "label_values", self.class_names)
        expect(self.images, np.ndarray, "images", "give numpy.asarray(images), (N, C, H, W)")
        self._check_weights()
        if self.labels is None:
            return
        labels = np.asarray(self.labels)
        object.__setattr__(self, "labels", labels)
        if labels.dtype.kind not in "biuf":
            raise DataError(
                f"{self.name}: the labels are {labels.dtype}",
                cause="they must be numbers",
                fix="number class names: numpy.unique(labels, return_inverse=True)[1]",
            )
        if len(labels) != len(self.images):
            raise DataError(
                f"{self.name}: {len(self.images)} images but {len(labels)} labels",
                fix="give the labels of these images, one each",
            )
        if np.issubdtype(labels.dtype, np.integer) and labels.size:
            wrong = storage.first(labels, lambda some: (some < 0) | (some >= self.classes))
            if wrong is not None:
                raise DataError(
                    f"{self.name}: label {labels[wrong]} of image {wrong[0]} is not in"
                    f" 0..{self.classes - 1}",
                    fix="correct the label, or give the labels that belong to these images",
                )
            object.__setattr__(self, "labels", labels.astype(np.int32, copy=False))
        self._require_finite(labels, "target")

    def _check_weights(self) -> None:
        if self.weights is None:
            return
        weights = np.asarray(self.weights)
        if weights.shape != (len(self.images),) or weights.dtype.kind not in "biuf":
            raise DataError(
                f"{self.name}: the weights are {weights.dtype} {weights.shape} for"
                f" {len(self.images)} images",
                fix="give one number an image: (N,)",
            )
        self._require_finite(weights, "weight")
        object.__setattr__(self, "weights", weights.astype(np.float32, copy=False))

    def _require_finite(self, values: NDArray[Any], noun: str) -> None:
        dtype = np.float64 if self.images.dtype == np.float64 else np.float32  # of the losses
        require_finite(values, f"the {noun} of image {{}} of {self.name}", self.places, dtype)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        """The arrays by their dtypes and shapes."""
        images, labels = (
            None if array is None else f"{array.dtype} {array.shape}"
            for array in (self.images, self.labels)
        )
        names = listing(self.class_names)
        return f"Dataset({self.name!r}, images={images}, labels={labels}, class_names={names})"

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of one image: (C, H, W)."""
        return tuple(self.images.shape[1:])

    @property
    def holds_pixels(self) -> bool:
        """Whether the images are pixels, uint8, which are scaled; floats are taken as they are."""
        return self.images.dtype == np.uint8

    def item(self, index: int) -> str:
        """The name of an image, by its number from 0."""
        place = self._place(index)
        return f"{self.name}[{place}]" if self.items is None else self.items[place]

    def row_id(self, index: int) -> str | None:
        """The identifier of an image's row in a table; None if there is none."""
        return None if self.ids is None else self.ids[self._place(index)]

    def subset(self, indices: Any) -> Dataset:
        """The images at `indices` (a slice, or integers), in that order.

        Raises:
            UsageError: it is a single number.
        """
        if not isinstance(indices, slice) and not np.ndim(indices):
            raise UsageError(
                f"a subset at {indices!r}",
                cause="it takes a slice or a list of places",
                fix="write subset([3]) for one image, subset(slice(3)) for the first three",
            )
        labels = None if self.labels is None else self.labels[indices]
        weights = None if self.weights is None else self.weights[indices]
        places = np.arange(len(self), dtype=np.int32) if self.places is None else self.places
        return replace(
            self,
            images=storage.take(self.images, indices),
            labels=labels,
            places=places[indices],
            weights=weights,
        )

    def show(self, index: Any) -> Picture:
        """A picture of an image with its label as the title, or a grid of several images.

        Gray images are dark on white, as in print.

        Args:
            index: an index from 0, or from -1 backward; or a slice, a list of indices or a mask of
                bools (N,), of which the first 64 images are shown.

        Raises:
            UsageError: the data set has no image there.
            ShapeError: it does not hold images of 1 or 3 channels.
            MissingExtraError: Matplotlib is not installed.
        """
        from gpucnn.data.showing import show  # not before: few users draw

        return show(self, index)

    def _place(self, index: int) -> int:
        return index if self.places is None else int(self.places[index])


def digest(parts: Sequence[Dataset]) -> str:
    """SHA-256 over the images and labels of some data sets, in hexadecimal digits."""
    sha = hashlib.sha256()
    for part in parts:
        for array in (part.images, part.labels):
            if array is not None:
                sha.update(f"{array.dtype.str}{array.shape}".encode())
                for piece in storage.pieces(array):
                    sha.update(storage.as_bytes(array[piece]))
    return sha.hexdigest()


def match_classes(
    dataset: Dataset, names: Sequence[str], values: Sequence[str]
) -> tuple[Dataset, str]:
    """The same images with labels that are the class ids of a model, matched by name.

    Labels that are numbers without names are also matched by the labels of the classes in the
    files that the model was trained on. Classes without images need no match.

    Args:
        dataset: with class ids for labels.
        names: the classes of the model.
        values: the labels of these classes in the files that it was trained on.

    Returns:
        The data set; and, if labels were matched by number, a note that says so, else "".

    Raises:
        DataError: the model does not know a class.
    """
    assert dataset.labels is not None
    by_name = {name: place for place, name in enumerate(names)}
    by_value = {value: place for place, value in enumerate(values)} if dataset.numbered else {}
    table = np.full(dataset.classes, -1, np.int32)
    used = np.unique(dataset.labels)
    unknown, numbers = [], []
    for place in used:
        name, value = dataset.class_names[place], dataset.label_values[place]
        if name in by_name:
            table[place] = by_name[name]
        elif value in by_value:
            table[place] = by_value[value]
            numbers.append(place)
        else:
            unknown.append(name)
    if unknown:
        raise DataError(
            f"{dataset.name} has classes that the model does not know: {listing(unknown)}",
            cause=f"the model knows {listing(list(names))}",
            fix="give data of these classes, or name them alike",
        )
    matched = replace(
        dataset,
        labels=table[dataset.labels],
        classes=len(names),
        class_names=list(names),
        label_values=list(values),
        numbered=False,
    )
    if not numbers:
        return matched, ""
    labels = listing([dataset.label_values[place] for place in numbers])
    return matched, f"labels {labels} are taken for {listing([names[table[k]] for k in numbers])}"


def is_scaling(value: Any) -> bool:
    """Whether a value can be the scale or the offset of pixels.

    It is a finite number of at most 1e9. The largest is of pixels that are all equal but one, whose
    deviation is 1 / sqrt(N): for N = 1e12 pixels the scale is 1e6, and the offset up to 255e6.
    """
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_real and bool(abs(value) <= _LARGEST_SCALING)


def pixel_scaling(dataset: Dataset, standardise: bool = False) -> tuple[float, float]:
    """(scale, offset) such that image * scale + offset is the input of a model.

    By default the pixels are scaled to [0, 1]. With `standardise` they get zero mean and unit
    variance over all pixels of `dataset`, which should be the training images. Floats stay as they
    are.
    """
    if not dataset.holds_pixels:
        return 1.0, 0.0
    if not standardise or not dataset.images.size:
        return 1.0 / 255.0, 0.0
    # From the histogram: exact in integers, and no float copy of the images.
    histogram = np.zeros(256, dtype=np.int64)
    for piece in storage.pieces(dataset.images):
        histogram += np.bincount(dataset.images[piece].reshape(-1), minlength=256)
    value = np.arange(256, dtype=np.float64)
    mean = float(histogram @ value / histogram.sum())
    deviation = float(np.sqrt(histogram @ (value - mean) ** 2 / histogram.sum())) or 1.0
    return 1.0 / deviation, -mean / deviation


def one_hot(labels: Any, classes: int | None = None) -> NDArray[np.float32]:
    """Class ids (N,) as float32 (N, classes) rows with a single 1.

    `classes` is one more than the largest label if not given.

    Raises:
        DataError: a label is no whole number in [0, classes), or above 65,535 without `classes`.
        UsageError: `classes` is no whole number of at least 1.
    """
    ids = np.asarray(labels).reshape(-1)
    if classes is not None and not (isinstance(classes, numbers.Integral) and classes >= 1):
        raise UsageError(
            f"classes is {classes!r}", fix="give the number of classes, as in classes=10"
        )
    whole = ids.dtype.kind in "biuf" and bool((np.isfinite(ids) & (ids == np.trunc(ids))).all())
    if ids.size and not whole:
        raise DataError(
            "labels must be whole numbers to be made one-hot", fix="give the numbers of classes"
        )
    low, high = (int(ids.min()), int(ids.max())) if ids.size else (0, -1)
    if classes is None and high >= MOST_CLASSES:
        raise DataError(
            f"labels go up to {high}, and the number of classes is not given",
            cause=f"the number of a class is below {MOST_CLASSES:,}",
            fix="correct the labels, or give the number of classes",
        )
    classes = high + 1 if classes is None else int(classes)
    if low < 0 or high >= classes:
        raise DataError(
            f"labels go from {low} to {high}, not within 0..{classes - 1}",
            fix="number the classes from 0, and give the right number of them",
        )
    encoded = np.zeros((ids.size, classes), dtype=np.float32)
    encoded[np.arange(ids.size), ids.astype(np.int64)] = 1.0
    return encoded
