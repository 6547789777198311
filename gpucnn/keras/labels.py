"""The labels and weights of examples that `fit` and `evaluate` take.

Labels that make no sense are an error before anything is computed: text, NaN, and classes that the
model has no output for.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpucnn.data import Dataset
from gpucnn.data.finite import require_finite
from gpucnn.errors import DataError, ShapeError, UsageError
from gpucnn.keras.arrays import as_array, batch_of
from gpucnn.keras.losses import Loss

_WHICH = "correct the label, or give the labels that belong to these images"


def numbers(values: Any, name: str) -> NDArray[Any]:
    """Labels as an array of finite numbers on the host, else `DataError`.

    Args:
        name: their name in errors: "the labels".
    """
    if values is None:
        raise DataError(f"{name} are missing", fix="give an array of numbers")
    array = as_array(values, name)
    if array.dtype.kind in "OUS":
        array = _no_text(array, name)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name} are of type {array.dtype}", fix="give numbers")
    if array.dtype.kind == "f" and array.ndim:
        require_finite(array, f"{name.removesuffix('s')} of image {{}}")
    return array


class Reader(NamedTuple):
    """Makes data sets for a model.

    Attributes:
        loss: that of `compile`.
        outputs: shape of one output of the model.
        accuracy: whether the accuracy is asked for.
    """

    loss: Loss
    outputs: tuple[int, ...]
    accuracy: bool = False

    def dataset(
        self,
        x: NDArray[np.float32],
        y: Any,
        sample_weight: Any = None,
        class_weight: Any = None,
        *,
        part: str = "",
    ) -> Dataset:
        """The data set of some `images`, their labels and weights.

        Args:
            y: class ids (N,) or (N, 1) of any type that holds whole numbers, or targets of the
                shape of the outputs.
            sample_weight: (N,), how much each example counts in the loss, or None.
            class_weight: the same by class: a dict, or None.
            part: which data they are, for errors: "" or "validation ".

        Raises:
            DataError: the labels do not belong to these images, or not to this model.
            UsageError: the weights are not acceptable.
        """
        name = f"the given {part}arrays"
        labels = self.labels(y, f"the {part}labels")
        if len(labels) != len(x):
            raise DataError(
                f"{name}: {len(x)} images but {len(labels)} labels",
                fix="give the labels of these images, one each",
            )
        weights = self._weights(labels, sample_weight, class_weight, f"{part}sample_weight")
        classes = self.outputs[0] if self.outputs else 1
        return Dataset(name, x, labels, classes, weights=weights)

    def labels(self, y: Any, name: str = "the labels") -> NDArray[Any]:
        """Labels as int32 (N,) class ids, or as float32 targets of the shape of the outputs."""
        if y is None:
            raise DataError(f"{name} are missing", fix="give y, one label an image")
        array = numbers(y, name)
        if not array.ndim:
            raise DataError(f"{name} are one number", fix="give one label an image")
        # Labels of a single output are targets, unless the loss takes its softmax.
        has_classes = self.loss.takes_over == "softmax" or self.outputs != (1,)
        if array.ndim == 1 and not has_classes:
            array = array[:, None]
        elif array.ndim == 2 and array.shape[1] == 1 and has_classes:
            array = array[:, 0]
        if array.ndim == 1 and len(self.outputs) == 1:
            return self._class_ids(array, name)
        if array.shape[1:] == self.outputs:
            return self._targets(array, name)
        raise ShapeError(
            f"{name} are {array.shape}, the outputs of the model {batch_of(self.outputs)}",
            cause="labels are class ids (N,), or targets in the shape of the outputs",
            fix=self._fix_of_shape(array),
        )

    def _fix_of_shape(self, array: NDArray[Any]) -> str:
        if array.ndim == 2 and len(self.outputs) == 1:
            return f"give one-hot labels of {self.outputs[0]} columns, or the last layer " + (
                f"{array.shape[1]} outputs"
            )
        if len(self.outputs) > 1 and array.ndim < 3:
            return "end the model in Flatten() and Dense(classes), or in GlobalAvgPool2d()"
        return "reshape the labels, or change the last layer"

    def _targets(self, array: NDArray[Any], name: str) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):
            targets = array.astype(np.float32)
        # The square of an error must be a float32 too.
        limit = 1e18 if self.loss.takes_over is None else np.finfo(np.float32).max
        if targets.size and max(targets.max(), -targets.min()) > limit:
            image = int(np.argwhere(np.abs(targets) > limit)[0][0])
            raise DataError(
                f"{name.removesuffix('s')} of image {image} is {array[image].max():g}",
                cause=f"numbers of more than {limit:.0e} overflow in float32",
                fix="scale the labels, as in y / abs(y).max()",
            )
        if self.loss.takes_over == "sigmoid" and targets.size:
            low, high = targets.min(), targets.max()
            if low < 0 or high > 1:
                raise DataError(
                    f"{name} go from {low:g} to {high:g}",
                    cause="binary cross-entropy takes 0 and 1, or probabilities between them",
                    fix={(-1, 1): "give (y + 1) / 2", (1, 2): "give y - 1"}.get(
                        (low, high), "scale them to 0 and 1"
                    ),
                )
            self._require_one_class(targets, name)
        return targets

    def _require_one_class(self, targets: NDArray[np.float32], name: str) -> None:
        several = np.flatnonzero((targets > 0.5).sum(axis=1) > 1)
        if self.accuracy and several.size:
            raise DataError(
                f"{name}: image {several[0]} belongs to several classes",
                cause="the accuracy asks whether the largest output is the one right class",
                fix="compile without metrics of the accuracy, and compute "
                "((model.predict(x) > 0.5) == y).mean()",
            )

    def _class_ids(self, array: NDArray[Any], name: str) -> NDArray[np.int32]:
        classes = self.outputs[0]
        if array.dtype.kind == "f":
            broken = np.flatnonzero(array != np.trunc(array))
            if broken.size:
                raise DataError(
                    f"{name}: {array[broken[0]]:g} of image {broken[0]} is no whole number",
                    cause=f"labels (N,) of {classes} outputs are class ids",
                    fix="give class ids, or a target for each output; numbers are predicted by "
                    'Dense(1) with loss="mse"',
                )
        if not array.size:
            return array.astype(np.int32)
        low, high = int(array.min()), int(array.max())
        if low == 1 and high == classes:
            raise DataError(
                f"{name} go from 1 to {high}, the model has {classes} outputs",
                cause="classes are numbered from 0",
                fix="give y - 1",
            )
        if low < 0 or high >= classes:
            first = int(np.flatnonzero((array < 0) | (array >= classes))[0])
            raise DataError(
                f"{name}: {int(array[first])} of image {first} is not in 0..{classes - 1}",
                cause=f"the model has {classes} output{'s' * (classes > 1)}, one a class",
                fix=_WHICH
                if low < 0
                else f"give the last layer {high + 1} outputs, or correct the label",
            )
        return array.astype(np.int32)

    def _weights(
        self, labels: NDArray[Any], sample_weight: Any, class_weight: Any, name: str
    ) -> NDArray[np.float32] | None:
        if class_weight is not None:
            if sample_weight is not None:
                raise UsageError(
                    "class_weight and sample_weight are given",
                    fix="give one: sample_weight may hold the product",
                )
            return self._by_class(labels, class_weight)
        if sample_weight is None:
            return None
        weights = as_array(sample_weight, name)
        if weights.shape == (len(labels), 1):
            weights = weights[:, 0]
        if weights.shape != (len(labels),) or weights.dtype.kind not in "biuf":
            raise UsageError(
                f"{name} is {weights.dtype} {weights.shape} for {len(labels)} examples",
                fix="give one number an example: (N,)",
            )
        require_finite(weights, f"{name} {{}}", dtype=np.float32)
        return weights.astype(np.float32)

    def _by_class(self, labels: NDArray[Any], class_weight: Any) -> NDArray[np.float32]:
        if len(self.outputs) != 1 or self.loss.is_regression:
            raise UsageError(
                "class_weight without classes", fix="give sample_weight, one number an example"
            )
        classes = max(self.outputs[0], 2)
        if not isinstance(class_weight, Mapping) or not all(
            isinstance(k, (int, np.integer)) and 0 <= k < classes for k in class_weight
        ):
            raise UsageError(
                f"class_weight is {class_weight!r}",
                cause=f"it is a dict: class id, 0 to {classes - 1}, to weight",
                fix="write class_weight={0: 1.0, 1: 2.5}; classes that are left out count 1",
            )
        table = np.ones(classes, np.float32)
        for key, value in class_weight.items():
            number = isinstance(value, Real) and not isinstance(value, bool)
            if not number or not abs(value) <= float(np.finfo(np.float32).max):
                raise UsageError(
                    f"class_weight of class {key} is {value!r}",
                    cause="it must be a finite number, also as a float32",
                    fix=f"give a number, or leave class {key} out, which then counts 1",
                )
            table[key] = value
        if labels.ndim == 1:
            return table[labels]
        ids = (labels[:, 0] > 0.5).astype(int) if self.outputs == (1,) else labels.argmax(axis=1)
        return table[ids]


def _no_text(array: NDArray[Any], name: str) -> NDArray[Any]:
    """An array of Python's objects as numbers."""
    first = next((value for value in array.flat if isinstance(value, (str, bytes))), None)
    if first is None:
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{name} are no numbers", cause=str(error), fix="give class ids from 0"
            ) from error
    try:
        array.astype(np.float64)
        fix = "give y.astype(int)"
    except (TypeError, ValueError):
        fix = "give numpy.unique(y, return_inverse=True)[1]: the names sorted, counted from 0"
    raise DataError(f"{name} are text: {str(first)!r}", cause="a class is a number from 0", fix=fix)
