"""Loss and accuracy, summed on the device so that a training step reads nothing back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gpucnn import functions
from gpucnn.autograd import Tensor
from gpucnn.backend import Backend
from gpucnn.errors import choose


class Loss(NamedTuple):
    """A loss, and the meaning of the outputs of a model that was trained with it.

    Attributes:
        function: (outputs (N, K), labels, reduction) -> the losses of the batch, reduced by "mean"
            to a scalar Tensor, or by "none" not at all: (N,) or (N, K).
        predictions: outputs (N, K) -> (N, K), the probability of each class.
        threshold: a single output above it means yes: 0.5, or the logit of 0.5.
    """

    function: Callable[[Tensor, Any, str], Tensor]
    predictions: Callable[[Tensor], Tensor]
    threshold: float = 0.0


#: The losses of `TrainConfig`. The first two take logits. Softmax predicts probabilities that sum
#: to 1 over the K classes, sigmoid one for each class by itself. The last takes and predicts the
#: outputs as they are: near the targets 0 and 1, perhaps outside [0, 1].
LOSSES = {
    "softmax_cross_entropy": Loss(
        lambda output, labels, reduction: functions.softmax_cross_entropy(
            output, labels, reduction=reduction
        ),
        functions.softmax,
    ),
    "binary_cross_entropy": Loss(
        lambda output, labels, reduction: functions.binary_cross_entropy_with_logits(
            output, _targets(output, labels), reduction=reduction
        ),
        functions.sigmoid,
    ),
    "mean_squared_error": Loss(
        lambda output, labels, reduction: functions.mean_squared_error(
            output, _targets(output, labels), reduction=reduction
        ),
        lambda output: output,
        threshold=0.5,
    ),
}


def compute_loss(name: str, output: Tensor, labels: Any, weights: Any = None) -> Tensor:
    """The mean loss of a batch, a scalar Tensor.

    With weights it is the sum of weight times loss over the number of images, as in Keras.

    Args:
        name: of `LOSSES`.
        output: (N, K), what the model gave.
        labels: class ids, integers (N,), which the last two losses make one-hot; or float targets
            of the shape of `output`.
        weights: float32 (N,), one for each image; None for 1.

    Raises:
        UsageError: no loss has this name.
    """
    return compute_losses(name, output, labels, weights).mean()


def compute_losses(name: str, output: Tensor, labels: Any, weights: Any = None) -> Tensor:
    """A Tensor (N, ...) whose mean is `compute_loss` of the same arguments."""
    losses = choose(LOSSES, name, "loss").function(output, labels, "none")
    if weights is None:
        return losses
    if losses.ndim > 1:
        losses = losses.reshape(len(losses), -1).mean(axis=1)
    return losses * weights


def guessing(name: str, labels: Any) -> tuple[float, float]:
    """(loss, accuracy) of the best constant answer, which does not depend on the image.

    The loss is of the frequencies of the classes, the accuracy of the most frequent class.

    Args:
        name: of `LOSSES`.
        labels: class ids, integers (N,).
    """
    frequencies = np.bincount(labels) / len(labels)
    present = frequencies[frequencies > 0]
    absent = 1 - present[present < 1]
    entropy = -(present * np.log(present)).sum()
    losses = {
        "softmax_cross_entropy": entropy,
        "binary_cross_entropy": (entropy - (absent * np.log(absent)).sum()) / len(frequencies),
        "mean_squared_error": (frequencies * (1 - frequencies)).sum() / len(frequencies),
    }
    return float(choose(losses, name, "loss")), float(frequencies.max())


def beats_guessing(name: str, labels: Any, loss: float, accuracy: float) -> bool:
    """Whether a result on some labels is better than a constant answer, see `guessing`.

    Either its loss is lower, or its accuracy is three standard deviations higher.
    """
    constant_loss, constant_accuracy = guessing(name, labels)
    deviation = math.sqrt(constant_accuracy * (1 - constant_accuracy) / len(labels))
    return loss < 0.98 * constant_loss or accuracy > constant_accuracy + 3 * deviation


class Totals:
    """Sums over the images seen: their loss and the right answers, float64 (2,) on the device.

    Args:
        loss: name of `LOSSES`; it decides when a single output means yes.
    """

    def __init__(self, backend: Backend, loss: str) -> None:
        self.backend = backend
        self._threshold = choose(LOSSES, loss, "loss").threshold
        self.sums = backend.asarray(np.zeros(2))
        self.count = 0

    def add(self, losses: Any, output: Any, labels: Any, **counted: Any) -> None:
        """Add a batch: losses whose mean is its loss, the outputs (N, K), and the labels.

        Args:
            counted: `step` and `found_inf` of `gpucnn.ops.accumulate_metrics`, or neither.
        """
        self.backend.accumulate_metrics(
            self.sums, losses, output, labels, threshold=self._threshold, **counted
        )
        self.count += len(output)

    def read(self) -> tuple[float, float]:
        """(mean loss, accuracy) so far. Waits for the device; NaN where nothing was added."""
        loss, correct = (float(value) for value in self.backend.to_numpy(self.sums))
        if not self.count:
            return float("nan"), float("nan")
        return loss / self.count, correct / self.count

    def restart(self) -> None:
        """Forget what was added."""
        self.backend.write(self.sums, np.zeros(2))
        self.count = 0


def _targets(output: Tensor, labels: Any) -> Any:
    """Labels as floats of the shape of `output`."""
    xp = output.backend.xp
    if labels.shape != output.shape and output.shape[1] > 1:
        labels = labels[:, None] == xp.arange(output.shape[1], dtype=labels.dtype)  # (N, K)
    return labels.reshape(output.shape).astype(output.dtype)
