"""The data that `fit` and `evaluate` are given, as a data set or as batches for a model.

They build the model if it is not built yet.
"""

from __future__ import annotations

from dataclasses import replace
from numbers import Real
from typing import Any

from gpucnn import backend as backends
from gpucnn.backend import Backend
from gpucnn.data import Dataset
from gpucnn.errors import DataError, UsageError
from gpucnn.keras import arrays
from gpucnn.keras.base import Base
from gpucnn.keras.batches import Arrays, Epochs, Stream, is_stream


def open_batches(
    model: Base,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    *,
    epochs: Epochs,
    backend: Backend | None = None,
    part: str = "",
) -> Arrays | Stream:
    """The batches of x and y with their weights.

    Args:
        backend: where the batches are made; by default where the model is.
        part: which data they are, for errors: "" or "validation ".
    """
    if not is_stream(x):
        dataset = open_dataset(model, x, y, sample_weight, class_weight, part=part)
        return Arrays(dataset, epochs, backend or backends.get(model.device))
    if y is not None or sample_weight is not None:
        raise UsageError(
            f"the {part}x gives batches, and y or sample_weight is given beside it",
            cause="a batch is (x, y) or (x, y, sample_weight)",
            fix="leave them out",
        )
    stream = Stream(x, epochs, part)
    model.prepare((0, *stream.image_shape))
    return stream.open(model.reader(), backend or backends.get(model.device), class_weight)


def open_dataset(
    model: Base,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    class_weight: Any = None,
    *,
    part: str = "",
) -> Dataset:
    """Arrays as a data set; `part` as for `open_batches`."""
    if _is_one_array(x) and _is_one_array(y) and len(x[0]) == len(y[0]) > 1:
        raise DataError(
            f"{part}x and y are lists that hold one array each",
            cause="a model has one input and one output",
            fix="give the arrays themselves",
        )
    if y is None and isinstance(x, tuple) and len(x) in (2, 3):
        raise DataError(
            f"{part}x is a tuple, and y is missing",
            cause="x, y and sample_weight are arguments of their own",
            fix="give x, y in place of (x, y)",
        )
    images = arrays.images(x, f"{part}x")
    if part and not len(images):
        raise DataError(f"the {part}arrays hold no example", fix="give some, or leave them out")
    model.prepare(images.shape)
    return model.reader().dataset(images, y, sample_weight, class_weight, part=part)


def _is_one_array(x: Any) -> bool:
    return isinstance(x, (list, tuple)) and len(x) == 1 and getattr(x[0], "ndim", 0) > 0


def split(
    model: Base, given: tuple[Any, Any, Any], class_weight: Any, share: Any
) -> tuple[Dataset, Dataset]:
    """The first int(N * (1 - share)) examples, as in Keras, and the rest for the validation."""
    if is_stream(given[0]):
        raise UsageError(
            "validation_split needs arrays, and x gives batches", fix="give validation_data"
        )
    held_share = float(share) if isinstance(share, Real) else 0.0
    if not 0 < held_share < 1:
        raise UsageError(f"validation_split is {share!r}", fix="give a fraction between 0 and 1")
    dataset = open_dataset(model, *given, class_weight)
    count = int(len(dataset) * (1 - held_share))
    if count in (0, len(dataset)):
        raise DataError(
            f"validation_split={held_share:g} of {len(dataset)} examples leaves "
            + ("none to train on" if count == 0 else "none to validate on"),
            fix="give more examples, another fraction, or validation_data",
        )
    held = dataset.subset(slice(count, None))
    if class_weight is not None:  # it does not hold for the validation
        held = replace(held, weights=None)
    return dataset.subset(slice(count)), held


def unpacked(validation_data: Any) -> tuple[Any, ...]:
    """(x, y), (x, y, sample_weight), or (a generator or Sequence,)."""
    if is_stream(validation_data):
        return (validation_data,)
    if isinstance(validation_data, (tuple, list)) and len(validation_data) in (2, 3):
        return tuple(validation_data)
    raise UsageError(
        f"validation_data is a {type(validation_data).__name__}",
        cause="it must be (x, y) or (x, y, sample_weight), or a generator or Sequence of these",
        fix="write validation_data=(x_test, y_test)",
    )
