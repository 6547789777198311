"""The formulas of Keras's metrics: sums over the examples of a batch, and the number from them.

A measure is (sums, result), as in `gpucnn.training.metrics.Metric`. Its arrays are targets and
outputs, (N, K) on the device; class ids are one-hot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import backend as backends
from gpucnn.errors import UsageError

Sums = Callable[[Any, Any], Any]
Result = Callable[[NDArray[np.float64], int], float]
Measure = tuple[Sums, Result]

_EPSILON = 1e-7  # Keras's: it is added to a divisor
_THRESHOLDS = 200  # of the area under the curve


def mean(values: Callable[[Any, Any], Any]) -> Measure:
    """The mean over the examples of values (N, ...)."""

    def sums(y: Any, p: Any) -> Any:
        found = values(y, p)
        return found.reshape(len(found), -1).mean(axis=1).sum().reshape(1)

    return sums, mean_of_sum


def mean_of_sum(total: NDArray[np.float64], count: int) -> float:
    """The mean, from a sum (1,)."""
    return float(total[0]) / count


def mean_squared_error() -> Measure:
    """The mean of (y - p)^2."""
    return mean(lambda y, p: (y - p) ** 2)


def mean_absolute_error() -> Measure:
    """The mean of abs(y - p)."""
    return mean(lambda y, p: abs(y - p))


def top_k(k: int) -> Measure:
    """The fraction of examples with fewer than k outputs above that of the right class."""

    def right(y: Any, p: Any) -> Any:
        own = backends.of(p).xp.take_along_axis(p, y.argmax(axis=1)[:, None], 1)  # (N, 1)
        return ((p > own).sum(axis=1) < k) & (own[:, 0] == own[:, 0])  # NaN is never right

    return mean(right)


def precision(threshold: float, class_id: int | None) -> Measure:
    """TP / (TP + FP), with outputs above the threshold as positive; 0 without such outputs."""

    def sums(y: Any, p: Any) -> Any:
        truth, answer = _decide(y, p, threshold, class_id)
        return _stack(p, (truth & answer).sum(), answer.sum())

    return sums, lambda total, _: _quotient(total[0], total[1])


def recall(threshold: float, class_id: int | None) -> Measure:
    """TP / (TP + FN); 0 without positive targets."""

    def sums(y: Any, p: Any) -> Any:
        truth, answer = _decide(y, p, threshold, class_id)
        return _stack(p, (truth & answer).sum(), truth.sum())

    return sums, lambda total, _: _quotient(total[0], total[1])


def f1_score(average: str, threshold: float | None) -> Measure:
    """2 * precision * recall / (precision + recall), of the sums or averaged over the classes.

    Args:
        average: "micro" (of the sums), "macro" (the mean), "weighted" (by the targets' number).
        threshold: outputs above it are positive; None for the largest output.
    """

    def sums(y: Any, p: Any) -> Any:
        if threshold is None:
            answer = (p == p.max(axis=1, keepdims=True)) & (abs(p) > 1e-9)
        else:
            answer = p > threshold
        axes = None if average == "micro" else 0
        return _stack(p, *(part.sum(axis=axes) for part in (answer * y, answer, y)))

    def result(total: NDArray[np.float64], _: int) -> float:
        right, answers, truths = total
        precision = right / (answers + _EPSILON)
        recall = right / (truths + _EPSILON)
        score = 2 * precision * recall / (precision + recall + _EPSILON)
        if average == "weighted":
            return float((score * truths / (truths.sum() + _EPSILON)).sum())
        return float(score.mean())

    return sums, result


def area() -> Measure:
    """The area under the ROC curve, by trapezoids between 200 thresholds.

    Raises:
        UsageError: an output is no probability.
    """
    inner = np.arange(1, _THRESHOLDS - 1) / (_THRESHOLDS - 1)
    thresholds = np.array([-_EPSILON, *inner, 1 + _EPSILON], np.float32)

    def sums(y: Any, p: Any) -> Any:
        limits = backends.of(p).asarray(thresholds)[:, None]
        above = p.reshape(1, -1) > limits  # (thresholds, N * K)
        truth = y.reshape(1, -1) != 0
        counts = (above & truth).sum(axis=1), (above & ~truth).sum(axis=1)
        return _stack(p, *counts, truth.sum() + 0 * counts[0], (~truth).sum() + 0 * counts[0])

    def result(total: NDArray[np.float64], _: int) -> float:
        hits, alarms, truths, others = total  # (thresholds,)
        if hits[0] + alarms[0] != truths[0] + others[0] or hits[-1] + alarms[-1]:
            raise UsageError(
                "AUC takes probabilities, and the model gives other numbers",
                cause="its thresholds are from 0 to 1",
                fix='end the model in Activation("sigmoid") or Activation("softmax")',
            )
        y = hits / truths if truths[0] else np.zeros_like(hits)
        x = alarms / others if others[0] else np.zeros_like(hits)
        return float(((x[:-1] - x[1:]) * (y[:-1] + y[1:]) / 2).sum())

    return sums, result


def _decide(y: Any, p: Any, threshold: float, class_id: int | None) -> tuple[Any, Any]:
    """(whether the target is positive, whether the output is), of one class or of all."""
    if class_id is not None:
        y, p = y[:, class_id], p[:, class_id]
    return y != 0, p > threshold


def _stack(p: Any, *parts: Any) -> Any:
    return backends.of(p).xp.stack(parts)


def _quotient(a: float, b: float) -> float:
    return float(a / b) if b else 0.0
