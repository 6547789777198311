"""The softmax cross-entropy of class ids."""

from __future__ import annotations

from gpucnn.backend import Backend
from gpucnn.backend.contract import Array, check_class_ids
from gpucnn.ops.dispatch import backend_of, primitive


@primitive
def softmax_cross_entropy_forward(logits: Array, labels: Array) -> tuple[Array, Array]:
    """losses[n] = log(sum_k exp(logits[n,k])) - logits[n, labels[n]], and the softmax.

    It is stable for logits of any size: the maximum of each row is subtracted first.

    Args:
        logits: (N, K).
        labels: integer class ids (N,), each in [0, K).

    Returns:
        losses: (N,), and probabilities: (N, K).

    Raises:
        DataError: a class id is outside of [0, K).
    """
    backend = backend_of("softmax_cross_entropy_forward", logits=logits, labels=labels)
    _check_class_ids(backend, logits, labels)
    return backend.softmax_cross_entropy_forward(logits, labels)


@primitive
def softmax_cross_entropy_backward(probabilities: Array, labels: Array, grad: Array) -> Array:
    """grad_logits[n,k] = (probabilities[n,k] - [k = labels[n]]) * grad[n].

    Args:
        probabilities: (N, K), of the forward call.
        labels: integer class ids (N,), each in [0, K).
        grad: (N,), the gradient of the loss by each of `losses`.

    Returns:
        grad_logits: (N, K).

    Raises:
        DataError: a class id is outside of [0, K).
    """
    backend = backend_of(
        "softmax_cross_entropy_backward", probabilities=probabilities, labels=labels, grad=grad
    )
    _check_class_ids(backend, probabilities, labels)
    return backend.softmax_cross_entropy_backward(probabilities, labels, grad)


def _check_class_ids(backend: Backend, scores: Array, labels: Array) -> None:
    """`DataError` if an integer label is no class of the scores (N, K). It waits for the device.

    The backend refuses labels and scores of other dtypes and shapes.
    """
    if labels.dtype.kind in "iu" and scores.ndim == 2:
        with backend.quiet_device():
            check_class_ids(labels, scores.shape[1])
