"""Loss and accuracy, summed on the device so that a training step reads nothing back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpucnn import functions
from gpucnn.autograd import Tensor

if TYPE_CHECKING:
    from gpucnn.backend import Backend


def compute_loss(name: str, output: Tensor, labels: Any) -> Tensor:
    """The mean loss of a batch, a scalar Tensor.

    Args:
        name: a loss of `TrainConfig`. `softmax_cross_entropy` and `binary_cross_entropy` take
            logits, `mean_squared_error` takes the output as it is.
        output: (N, K), what the model gave.
        labels: class ids, integers (N,), which the last two losses take as one-hot; or float
            targets of the shape of `output`.
    """
    if name == "softmax_cross_entropy":
        return functions.softmax_cross_entropy(output, labels)
    targets = _targets(output.backend.xp, output, labels)
    if name == "binary_cross_entropy":
        return functions.binary_cross_entropy_with_logits(output, targets)
    return functions.mean_squared_error(output, targets)


def count_correct(xp: Any, output: Any, labels: Any) -> Any:
    """How many of a batch are classified rightly, as a 0-d array of the device.

    The class of an image is the largest of its K outputs; a single output says yes above 0.
    """
    if output.shape[1:] == (1,):
        return ((output > 0) == (labels.reshape(output.shape) > 0.5)).sum()
    classes = labels if labels.ndim == 1 else xp.argmax(labels, axis=1)
    return (xp.argmax(output, axis=1) == classes).sum()


class Totals:
    """Sums over the images seen: their loss and how many were right, float64 (2,) on the device."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.sums = backend.xp.zeros(2, dtype="float64")
        self.count = 0

    def add(self, loss: Any, output: Any, labels: Any) -> None:
        """Add a batch: its mean loss (0-d), the outputs (N, K), the labels; all on the device."""
        batch = len(output)
        self.sums[0] += loss.astype("float64") * batch
        self.sums[1] += count_correct(self.backend.xp, output, labels)
        self.count += batch

    def read(self) -> tuple[float, float]:
        """(mean loss, accuracy) so far. Waits for the device; NaN where nothing was added."""
        loss, correct = (float(value) for value in self.backend.to_numpy(self.sums))
        if not self.count:
            return float("nan"), float("nan")
        return loss / self.count, correct / self.count

    def restart(self) -> None:
        """Forget what was added."""
        self.sums[...] = 0
        self.count = 0


def _targets(xp: Any, output: Tensor, labels: Any) -> Any:
    """Labels as floats of the shape of `output`."""
    if labels.shape != output.shape and output.shape[1] > 1:
        labels = labels[:, None] == xp.arange(output.shape[1], dtype=labels.dtype)  # (N, K)
    return labels.reshape(output.shape).astype(output.dtype)
