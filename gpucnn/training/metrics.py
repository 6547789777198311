"""Loss and accuracy, summed on the device so that a training step reads nothing back."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpucnn import functions
from gpucnn.autograd import Tensor, no_grad
from gpucnn.backend import Backend
from gpucnn.errors import ShapeError, UsageError, choose
from gpucnn.functions.loss import one_hot

#: `TrainConfig.loss` begins with this, and the name of the loss follows, if the loss is an object
#: and not one of `LOSSES`.
OWN = "own:"


class Loss(NamedTuple):
    """A loss, and the meaning of the outputs of a model that was trained with it.

    Attributes:
        name: for messages.
        function: (outputs (N, K), labels) -> a Tensor whose mean is the loss of the batch: (N,),
            (N, K), or a scalar, which goes with no weights of images.
        predictions: outputs (N, K) -> (N, K), the probability of each class.
        threshold: a single output above it means yes: 0.5, or the logit of 0.5.
        guess: frequencies of the classes (K,) -> the loss of the best constant answer; None if that
            is not known.
    """

    name: str
    function: Callable[[Tensor, Any], Tensor]
    predictions: Callable[[Tensor], Tensor]
    threshold: float = 0.0
    guess: Callable[[NDArray[np.float64]], float] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """One of `LOSSES` is pickled by its name; the functions of another must be picklable."""
        return (get_loss, (self.name,)) if LOSSES.get(self.name) is self else (Loss, tuple(self))


class Metric(NamedTuple):
    """A number that is computed beside loss and accuracy, from sums over the images.

    Attributes:
        name: of the number.
        sums: (targets, outputs), arrays (N, K) on the device -> an array of the sums over the
            batch, of one shape for all batches. It reads nothing back.
        result: (sums over all batches, float64 on the host, the number of images) -> the number.
    """

    name: str
    sums: Callable[[Any, Any], Any]
    result: Callable[[NDArray[np.float64], int], float]


def _entropy(frequencies: NDArray[np.float64]) -> float:
    present = frequencies[frequencies > 0]
    return float(-(present * np.log(present)).sum()) + 0.0  # of one class it would be -0


#: The losses of `TrainConfig`. The first two take logits. Softmax predicts probabilities that sum
#: to 1 over the K classes, sigmoid one for each class by itself. The last takes and predicts the
#: outputs as they are: near the targets 0 and 1, perhaps outside [0, 1].
LOSSES = {
    loss.name: loss
    for loss in (
        Loss(
            "softmax_cross_entropy",
            lambda output, labels: functions.softmax_cross_entropy(
                output, labels, reduction="none"
            ),
            functions.softmax,
            guess=_entropy,
        ),
        Loss(
            "binary_cross_entropy",
            lambda output, labels: functions.binary_cross_entropy_with_logits(
                output, _as_probabilities(output, labels), reduction="none"
            ),
            functions.sigmoid,
            guess=lambda p: (_entropy(p) + _entropy(1 - p)) / len(p),
        ),
        Loss(
            "mean_squared_error",
            lambda output, labels: functions.mean_squared_error(
                output, as_targets(output, labels), reduction="none"
            ),
            lambda output: output,
            threshold=0.5,
            guess=lambda p: float((p * (1 - p)).sum() / len(p)),
        ),
    )
}


def get_loss(loss: str | Loss) -> Loss:
    """The loss of a name, or the loss itself.

    Raises:
        UsageError: no loss has this name, or it is the name of a loss that is an object.
    """
    if isinstance(loss, Loss):
        return loss
    if is_own(loss):
        raise UsageError(
            f"the loss {loss.removeprefix(OWN)} is a function, and only its name is given",
            cause="a configuration holds no code",
            fix="train with a gpucnn.keras.Sequential, and give the function: compile(loss=...)",
        )
    return choose(LOSSES, loss, "loss")


def is_own(loss: Any) -> bool:
    """Whether a name is that of a loss which is an object: "own:" and a name."""
    return isinstance(loss, str) and len(loss) > len(OWN) and loss.startswith(OWN)


def is_ours(thing: Any) -> bool:
    """Whether a class or a function is of this library, and not the user's."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    return str(getattr(thing, "__module__", "")).partition(".")[0] == "gpucnn"


def compute_loss(loss: str | Loss, output: Tensor, labels: Any, weights: Any = None) -> Tensor:
    """The mean loss of a batch, a scalar Tensor.

    With weights it is the sum of weight times loss over the number of images, as in Keras.

    Args:
        loss: name of `LOSSES`, or a loss.
        output: (N, K), what the model gave.
        labels: class ids, integers (N,), which all but softmax cross-entropy make one-hot; or float
            targets of the shape of `output`.
        weights: float32 (N,), one for each image; None for 1.

    Raises:
        UsageError: no loss has this name, or it does not go with weights.
    """
    return compute_losses(loss, output, labels, weights).mean()


def compute_losses(loss: str | Loss, output: Tensor, labels: Any, weights: Any = None) -> Tensor:
    """A Tensor whose mean is `compute_loss` of the same arguments, in general (N, ...)."""
    loss = get_loss(loss)
    losses = loss.function(output, labels)
    if weights is None:
        return losses
    if not losses.ndim:
        raise UsageError(
            f"the loss {loss.name} gives one number for a batch, and its examples have weights",
            cause="a weight is for the loss of one example",
            fix="return a loss for each example, as in .mean(axis=1)",
        )
    if losses.ndim > 1:
        losses = losses.reshape(len(losses), -1).mean(axis=1)
    return losses * weights


def guessing(loss: str | Loss, labels: Any) -> tuple[float, float]:
    """(loss, accuracy) of the best constant answer, which does not depend on the image.

    The loss is of the frequencies of the classes, NaN where it is not known; the accuracy is of the
    most frequent class.

    Args:
        loss: name of `LOSSES`, or a loss.
        labels: class ids, integers (N,).
    """
    frequencies = np.bincount(labels) / len(labels)
    guess = get_loss(loss).guess
    return guess(frequencies) if guess else math.nan, float(frequencies.max())


def beats_guessing(loss: str | Loss, labels: Any, value: float, accuracy: float) -> bool:
    """Whether a result on some labels is better than a constant answer, see `guessing`.

    Either its loss is lower, or its accuracy is three standard deviations higher.

    Args:
        value: of the loss.
    """
    constant_loss, constant_accuracy = guessing(loss, labels)
    deviation = math.sqrt(constant_accuracy * (1 - constant_accuracy) / len(labels))
    return value < 0.98 * constant_loss or accuracy > constant_accuracy + 3 * deviation


class Totals:
    """Sums over the images seen: their loss and the right answers, float64 (2,) on the device.

    Args:
        loss: name of `LOSSES`, or a loss; it decides when a single output means yes.
        metrics: their sums are kept, too.

    Attributes:
        metric_sums: those of each metric, float64 on the device; None before the first batch.
    """

    def __init__(self, backend: Backend, loss: str | Loss, metrics: Sequence[Metric] = ()) -> None:
        self.backend = backend
        self._threshold = get_loss(loss).threshold
        self.sums = backend.asarray(np.zeros(2))
        self.metrics = tuple(metrics)
        self.metric_sums: list[Any] = [None] * len(self.metrics)
        self.count = 0

    def add(self, losses: Any, output: Any, labels: Any, **counted: Any) -> None:
        """Add a batch: losses whose mean is its loss, the outputs (N, K), and the labels.

        Args:
            counted: `step` and `found_inf` of `gpucnn.ops.accumulate_metrics`, or neither.
        """
        self.backend.accumulate_metrics(
            self.sums, losses, output, labels, threshold=self._threshold, **counted
        )
        if self.metrics:
            self._add_metrics(as_targets(Tensor(output), labels), output)
        self.count += len(output)

    def _add_metrics(self, targets: Any, output: Any) -> None:
        with no_grad():
            for index, metric in enumerate(self.metrics):
                found = metric.sums(targets, output)
                if self.metric_sums[index] is None:
                    self.metric_sums[index] = self.backend.asarray(np.zeros(found.shape))
                self.metric_sums[index] += found

    def read(self) -> tuple[float, float]:
        """(mean loss, accuracy) so far. Waits for the device; NaN where nothing was added."""
        loss, correct = (float(value) for value in self.backend.to_numpy(self.sums))
        if not self.count:
            return float("nan"), float("nan")
        return loss / self.count, correct / self.count

    def read_metrics(self) -> dict[str, float]:
        """The metrics so far, by name. Waits for the device; NaN where nothing was added."""
        return {
            metric.name: metric.result(self.backend.to_numpy(sums), self.count)
            if self.count
            else math.nan
            for metric, sums in zip(self.metrics, self.metric_sums, strict=True)
        }

    def restart(self) -> None:
        """Forget what was added."""
        for sums in (self.sums, *self.metric_sums):
            if sums is not None:  # in place: a captured step adds to these arrays
                self.backend.write(sums, np.zeros(sums.shape))
        self.count = 0


def as_targets(output: Tensor, labels: Any) -> Any:
    """Labels as floats of the shape of `output` (N, K): for K > 1, class ids become one-hot.

    Raises:
        DataError: a class id on the CPU is not in [0, K). On a device its row is NaN.
        ShapeError: the labels are neither class ids (N,) nor targets of that shape.
    """
    K = output.shape[1]
    if labels.dtype.kind in "iu" and labels.shape != output.shape and K > 1:
        labels = one_hot(labels.reshape(-1), K, output.dtype)
    if labels.size != output.size:
        raise ShapeError(
            f"labels of {labels.dtype} have shape {labels.shape}, the outputs {output.shape}",
            cause="labels are class ids, integers (N,), or targets of the shape of the outputs",
            fix="give one of these, or change the last layer",
        )
    return labels.reshape(output.shape).astype(output.dtype)


def _as_probabilities(output: Tensor, labels: Any) -> Any:
    """The same for a binary cross-entropy, whose single output knows the class ids 0 and 1."""
    if output.shape[1] == 1 and labels.dtype.kind in "iu":
        labels = one_hot(labels.reshape(-1), 2, output.dtype)[:, 1]
    return as_targets(output, labels)
