"""`Dataset.show`: the images of a data set as a picture, with their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import plots
from gpucnn.errors import ShapeError, UsageError
from gpucnn.plots.arrays import square_side, to_images
from gpucnn.plots.images import draw_images

if TYPE_CHECKING:
    from gpucnn.data.dataset import Dataset


def show(dataset: Dataset, index: Any) -> plots.Picture:
    """See `Dataset.show`."""
    plots.require("show")
    places = _places(dataset, index)
    if dataset.images.ndim < 3:
        _, *features = dataset.images.shape
        side = square_side(features[0]) if features else None
        raise ShapeError(
            f"{dataset.name} cannot be shown: its inputs are {dataset.images.shape}",
            cause="they are rows of numbers, not images (N, C, H, W)",
            fix=f"plots.show_image(images[0].reshape({side}, {side})) shows a row as a square"
            if side
            else "read the data as images",
        )
    images, _ = to_images(dataset.images[places], f"show of {dataset.name}")
    titles = [_title(dataset, place) for place in places]
    return draw_images(images, titles, None, "gray_r")


def _places(dataset: Dataset, index: Any) -> NDArray[np.intp]:
    """The places of an index, a slice, a list of indices or a mask; at least one."""
    count = len(dataset)
    try:
        if isinstance(index, slice):
            places = np.arange(count)[index]
        else:
            given = np.asarray(index)
            if given.dtype == bool and given.shape == (count,):
                given = np.flatnonzero(given)
            if given.size and (given.dtype.kind not in "iu" or given.ndim > 1):
                raise TypeError("an index is a whole number")
            places = given.reshape(-1).astype(np.intp)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{dataset.name} has no image at {index!r}",
            cause=str(error),
            fix="give an index, as in show(3), a slice or a list of indices",
        ) from None
    outside = places[(places < -count) | (places >= count)]
    if outside.size:
        raise UsageError(
            f"{dataset.name} has no image {outside[0]}",
            cause=f"it has {count:,} images",
            fix=f"give an index from 0 to {count - 1}, or from -{count} to -1"
            if count
            else "show a data set with images",
        )
    if not places.size:
        raise UsageError(
            f"show({index!r}) chooses no image of {dataset.name}",
            cause=f"it has {count:,} images",
            fix="choose at least one, as in show(0)",
        )
    return places


def _title(dataset: Dataset, place: int) -> str:
    """The label of an image, with the name of its class if that is not its number."""
    if dataset.labels is None:
        return ""
    label = dataset.labels[place]
    if dataset.labels.dtype.kind == "f":
        return f"target {np.array2string(label, precision=3, threshold=8)}"
    name = dataset.class_names[label]
    return f"label {label}" if name == str(label) else f"label {label}: {name}"
