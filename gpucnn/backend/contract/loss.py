"""The cross-entropy of a softmax."""

from __future__ import annotations

from abc import abstractmethod

from gpucnn.backend.contract.arrays import Array
from gpucnn.backend.contract.checks import Checks, check_shape
from gpucnn.errors import DataError, DtypeError, ShapeError


class Loss(Checks):
    """Logits are (N, K), class ids (N,)."""

    def softmax_cross_entropy_forward(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        """The losses, and the softmax: see `gpucnn.ops.softmax_cross_entropy_forward`.

        A class id outside [0, K) gives a loss of NaN.
        """
        self._check_floats(logits=logits)
        self._check_labels(logits, labels)
        return self._softmax_cross_entropy_forward(logits, labels)

    @abstractmethod
    def _softmax_cross_entropy_forward(
        self, logits: Array, labels: Array
    ) -> tuple[Array, Array]: ...

    def softmax_cross_entropy_backward(
        self, probabilities: Array, labels: Array, grad: Array
    ) -> Array:
        """The gradient by the logits: see `gpucnn.ops.softmax_cross_entropy_backward`.

        A class id outside [0, K) gives a row of NaN.
        """
        self._check_floats(probabilities=probabilities, grad=grad)
        self._check_labels(probabilities, labels)
        check_shape("grad", grad, (probabilities.shape[0],))
        return self._softmax_cross_entropy_backward(probabilities, labels, grad)

    @abstractmethod
    def _softmax_cross_entropy_backward(
        self, probabilities: Array, labels: Array, grad: Array
    ) -> Array: ...

    def _check_labels(self, logits: Array, labels: Array) -> None:
        self._check_owned(labels=labels)
        if logits.ndim != 2:
            raise ShapeError(
                f"logits have shape {logits.shape}",
                cause="they must be (N, K): one score for each class",
                fix="flatten before the last dense layer",
            )
        if labels.dtype.kind not in "iu":
            raise DtypeError(
                f"labels are {labels.dtype}",
                cause="class ids are integers",
                fix="number the names: numpy.unique(labels, return_inverse=True)[1]"
                if labels.dtype.kind in "SUO"
                else "convert with .astype(numpy.int32), or pass one-hot targets to "
                "gpucnn.functions.softmax_cross_entropy",
            )
        if labels.shape != logits.shape[:1]:
            fixes = {
                (logits.shape[0], 1): "a column of class ids: pass labels[:, 0]",
                logits.shape: "one-hot rows: pass labels.argmax(axis=1)",
            }
            raise ShapeError(
                f"labels have shape {labels.shape}, logits {logits.shape}",
                cause="each row of the logits needs one class id",
                fix=fixes.get(labels.shape, f"pass labels of shape {logits.shape[:1]}"),
            )


def check_class_ids(labels: Array, classes: int) -> None:
    """Check that integer class ids are in [0, classes). Waits for the device.

    Raises:
        DataError: one is not; it is named.
    """
    wrong = (labels < 0) | (labels >= classes)
    if not wrong.any():
        return
    label = int(labels[wrong][0])
    raise DataError(
        f"label {label} is out of range",
        cause=f"the logits have {classes} classes: 0 to {classes - 1}"
        + "; -100 is what PyTorch ignores, and here nothing is ignored" * (label == -100),
        fix="leave those examples out: x[y != -100], y[y != -100]"
        if label == -100
        else "check the labels, or give the last layer more units",
    )
