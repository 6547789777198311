"""Losses; the cross-entropies take raw scores (logits), which keeps them stable."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpucnn import backend as backends
from gpucnn.autograd import Function, Operand, Tensor
from gpucnn.backend.contract import Array, check_class_ids
from gpucnn.backend.cpu.arrays import is_plain
from gpucnn.errors import DtypeError, ShapeError, UsageError
from gpucnn.functions.activation import stable_sigmoid
from gpucnn.functions.reduction import Mean, Sum
from gpucnn.interchange import native
from gpucnn.operands import as_array, as_floats

_NUMBER_NAMES = "number class names: numpy.unique(labels, return_inverse=True)[1]"


class SoftmaxCrossEntropy(Function):
    """loss_n = -log softmax(logits)_[n, label_n]: dL/dlogits = (softmax - onehot(label)) * g_n."""

    def forward(self, logits: Array, labels: Array) -> Array:
        losses, probabilities = self.backend.softmax_cross_entropy_forward(logits, labels)
        self.save(probabilities, labels)
        return losses

    def backward(self, g: Array) -> tuple[Array, None]:
        probabilities, labels = self.saved
        return self.backend.softmax_cross_entropy_backward(probabilities, labels, g), None


class SoftmaxCrossEntropySoft(Function):
    """loss_n = -sum_k t_nk * log softmax(logits)_nk for one-hot or soft targets t.

    dL/dlogits = (softmax * sum_k t_nk - t) * g_n and dL/dt = -log softmax * g_n.
    """

    of_reals = True

    def forward(self, logits: Array, targets: Array) -> Array:
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_p = shifted - self.xp.log(self.xp.exp(shifted).sum(axis=1, keepdims=True))
        self.save(log_p, targets)
        # 0 * -inf would be NaN for a class with neither target nor probability.
        return -self.xp.where(targets != 0, targets * log_p, 0).sum(axis=1)

    def backward(self, g: Array) -> tuple[Array, Array | None]:
        log_p, targets = self.saved
        total = targets.sum(axis=1, keepdims=True)
        grad = (self.xp.exp(log_p) * total - targets) * g[:, None]
        return grad, -log_p * g[:, None] if self.needs_input_grad[1] else None


class BinaryCrossEntropyWithLogits(Function):
    """loss = -(t * log s(x) + (1 - t) * log(1 - s(x))), s the sigmoid.

    Computed as max(x, 0) - x*t + log(1 + exp(-|x|)), which cannot overflow; dL/dx = (s(x) - t) * g.
    """

    of_reals = True

    def forward(self, logits: Array, targets: Array) -> Array:
        xp = self.xp
        self.save(logits, targets)
        return xp.maximum(logits, 0) - logits * targets + xp.log1p(xp.exp(-xp.abs(logits)))

    def backward(self, g: Array) -> tuple[Array, Array | None]:
        logits, targets = self.saved
        return (
            stable_sigmoid(self.xp, logits) - targets
        ) * g, -logits * g if self.needs_input_grad[1] else None


class SquaredError(Function):
    """loss = (x - t)**2: dL/dx = 2 (x - t) g; with half=True the tutorial's (x - t)**2 / 2."""

    of_reals = True

    def __init__(self, half: bool = False) -> None:
        self.factor = 0.5 if half else 1.0

    def forward(self, prediction: Array, target: Array) -> Array:
        difference = prediction - target
        self.save(difference)
        return self.factor * difference * difference

    def backward(self, g: Array) -> tuple[Array, Array | None]:
        (difference,) = self.saved
        grad = 2 * self.factor * difference * g
        return grad, -grad if self.needs_input_grad[1] else None


def softmax_cross_entropy(logits: Operand, targets: Operand, *, reduction: str = "mean") -> Tensor:
    """Cross-entropy of softmax(logits) against the targets; stable for logits of any size.

    Args:
        logits: (N, K) raw scores, or (K,) of a single example.
        targets: class ids, integers (N,); or one-hot or soft targets, floats (N, K). For a
            single example: one integer, or (K,).
        reduction: "mean" or "sum" over the batch, or "none" for (N,).

    Raises:
        ShapeError, DtypeError: the targets are of none of these forms.
        DataError: a class id is not in [0, K). On a GPU the loss is NaN instead: the host does not
            wait for it.
    """
    logits, targets = _pair(logits, targets, class_ids=True)
    if logits.ndim == 1:
        return _of_one_example(logits, targets, reduction)
    is_ids = targets.dtype.kind in "iu"
    if is_ids and logits.dtype in (np.float32, np.float64):
        loss = _reduce(SoftmaxCrossEntropy()(logits, targets), reduction)
        # An id out of range gives NaN, so the ids need a check only then.
        if is_plain(targets.data) and np.isnan(loss.data).any():
            check_class_ids(targets.data, logits.shape[1])
        return loss
    if is_ids:  # the backends take class ids only beside float32 and float64
        with logits.backend.quiet_device():
            (scores,) = as_floats([logits.data])
            targets = Tensor(one_hot(targets.data, logits.shape[1], scores.dtype))
    _check_soft_targets(logits, targets)
    return _reduce(SoftmaxCrossEntropySoft()(logits, targets), reduction)


def one_hot(class_ids: Array, classes: int, dtype: Any) -> Array:
    """Class ids (N,), integers, as targets (N, K) of 0 and 1.

    On a device the row of a class id outside [0, K) is NaN: the host does not wait for it.

    Raises:
        DataError: a class id on the CPU is not in [0, K).
    """
    xp = backends.of(class_ids).xp
    rows = class_ids[:, None] == xp.arange(classes)  # (N, K)
    if is_plain(class_ids):
        check_class_ids(class_ids, classes)
    else:
        rows = xp.where(rows.any(axis=1, keepdims=True), rows, xp.nan)
    return rows.astype(dtype)


def _of_one_example(logits: Tensor, targets: Tensor, reduction: str) -> Tensor:
    """The loss of logits (K,): that of a batch of one, without its axis."""
    is_id = targets.dtype.kind in "iu"
    if targets.size != 1 if is_id else targets.shape != logits.shape:
        raise ShapeError(
            f"logits have shape {logits.shape}, targets {targets.shape}",
            cause="logits without a batch axis are the scores of one example",
            fix="give logits (N, K); for one score an example, yes or no, use "
            "binary_cross_entropy_with_logits",
        )
    batch = targets.reshape(1) if is_id else targets.reshape(1, -1)
    loss = softmax_cross_entropy(logits.reshape(1, -1), batch, reduction=reduction)
    return loss.reshape(()) if loss.ndim else loss


def _check_soft_targets(logits: Tensor, targets: Tensor) -> None:
    if targets.shape == logits.shape:
        return
    if targets.shape in (logits.shape[:1], (*logits.shape[:1], 1)):
        raise DtypeError(
            f"the targets, of shape {targets.shape}, are not integers",
            cause="class ids are integers",
            fix="convert with .astype(numpy.int32)" + "[:, 0]" * (targets.ndim - 1),
        )
    raise ShapeError(
        f"softmax_cross_entropy of logits {logits.shape} and targets {targets.shape}",
        cause="one-hot targets have a row for each row of the logits, and a column for each class",
        fix="give the last layer as many units as there are columns, or class ids (N,) as integers",
    )


def binary_cross_entropy_with_logits(
    logits: Operand, targets: Operand, *, reduction: str = "mean"
) -> Tensor:
    """Cross-entropy of sigmoid(logits) against targets in [0, 1], of the same shape."""
    logits, targets = _pair(logits, targets)
    _check_same_shape("binary_cross_entropy_with_logits", logits, targets)
    return _reduce(BinaryCrossEntropyWithLogits()(logits, targets), reduction)


def mean_squared_error(
    prediction: Operand, target: Operand, *, half: bool = False, reduction: str = "mean"
) -> Tensor:
    """Mean of (prediction - target)**2, or of half of it; both of the same shape."""
    prediction, target = _pair(prediction, target)
    _check_same_shape("mean_squared_error", prediction, target)
    return _reduce(SquaredError(half)(prediction, target), reduction)


def _pair(output: Operand, targets: Any, class_ids: bool = False) -> tuple[Tensor, Tensor]:
    """Both as Tensors; targets that are constants get the dtype of an output of floats.

    Args:
        class_ids: whether targets that are integers are class ids.
    """
    output = output if isinstance(output, Tensor) else Tensor(output)
    targets = native(targets)
    if not isinstance(targets, Tensor):
        if not hasattr(targets, "dtype"):
            targets = as_array(targets, f"give a list of numbers; {_NUMBER_NAMES}")
            if class_ids and targets.dtype.kind in "iu" and output.ndim:
                check_class_ids(targets, output.shape[-1])  # now, because it is on the host
            targets = output.backend.asarray(targets)
        targets = Tensor(_numbers(targets))
        is_ids = class_ids and targets.dtype.kind in "iu"
        if output.dtype.kind == "f" and not is_ids:
            with output.backend.quiet_device():
                targets = Tensor(targets.data.astype(output.dtype))
    if output.dtype.kind == targets.dtype.kind == "f" and targets.dtype != output.dtype:
        raise DtypeError(
            f"targets of {targets.dtype} for an output of {output.dtype}",
            cause="the gradient must have the dtype of the output",
            fix="convert one with .astype(numpy.float32)",
        )
    return output, targets


def _numbers(targets: Array) -> Array:
    """The targets, which must be numbers; `DtypeError` if they are names or objects."""
    backends.of(targets)  # raises for an unknown array
    if targets.dtype.kind in "SUO":
        raise DtypeError(
            f"the targets are {targets.dtype}",
            cause="they must be numbers",
            fix=_NUMBER_NAMES,
        )
    return targets


def _check_same_shape(loss: str, a: Operand, b: Operand) -> None:
    shapes = [tuple(getattr(v, "shape", ())) for v in (a, b)]
    if shapes[0] != shapes[1]:
        raise ShapeError(
            f"{loss} of shapes {shapes[0]} and {shapes[1]}",
            cause="predictions and targets must have the same shape",
            fix="reshape one of them; broadcasting a loss is nearly always a mistake",
        )


def _reduce(losses: Tensor, reduction: str) -> Tensor:
    if reduction == "mean":
        return Mean()(losses)
    if reduction == "sum":
        return Sum()(losses)
    if reduction == "none":
        return losses
    raise UsageError(
        f"unknown reduction {reduction!r}",
        cause='it is none of "mean", "sum", "none"',
        fix='use "mean"',
    )
