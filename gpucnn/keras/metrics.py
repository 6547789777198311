"""Metrics by Keras's names, for `compile`: those of the share of right answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpucnn.errors import UsageError
from gpucnn.keras import spelling
from gpucnn.spelling import explain_names

__all__ = [
    "NAMES",
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "SparseCategoricalAccuracy",
    "get",
]

#: What `compile` takes. All are one number: the share of examples whose class is the right one.
NAMES = (
    "accuracy",
    "acc",
    "categorical_accuracy",
    "sparse_categorical_accuracy",
    "binary_accuracy",
)
_BINARY = "binary_accuracy"


@dataclass(frozen=True)
class Metric:
    """What `compile` takes as a metric.

    Attributes:
        name: what the history calls it.
        kind: of `NAMES`.
    """

    name: str
    kind: str

    def check(self, outputs: tuple[int, ...]) -> None:
        """Whether it is the accuracy of a model with outputs (N, *outputs).

        Raises:
            UsageError: Keras computes something else by this name then.
        """
        if self.kind in ("accuracy", "acc") or (self.kind == _BINARY) == (outputs == (1,)):
            return
        raise UsageError(
            f"{self.kind} of a model with outputs (N, {', '.join(map(str, outputs))})",
            cause="binary accuracy is that of one output, categorical accuracy that of several",
            fix='use metrics=["accuracy"]',
        )


@spelling.part
def Accuracy(name: str = "accuracy") -> Metric:
    """The share of right answers, of one output or of several."""
    return Metric(name, "accuracy")


@spelling.part
def CategoricalAccuracy(name: str = "categorical_accuracy") -> Metric:
    """The share of examples whose largest output is the right one."""
    return Metric(name, "categorical_accuracy")


@spelling.part
def SparseCategoricalAccuracy(name: str = "sparse_categorical_accuracy") -> Metric:
    """The share of examples whose largest output is the right one."""
    return Metric(name, "sparse_categorical_accuracy")


@spelling.part
def BinaryAccuracy(name: str = "binary_accuracy") -> Metric:
    """The share of examples whose one output is on the right side of 0.5."""
    return Metric(name, _BINARY)


def get(metrics: Any) -> tuple[Metric, ...]:
    """The metrics of what `compile` was given: a name, an object, a list of them, or None.

    Raises:
        UsageError: one is not known, or two have one name.
    """
    if metrics is None:
        metrics = ()
    elif isinstance(metrics, (str, Metric)) or not isinstance(metrics, Sequence):
        metrics = (metrics,)
    found = tuple(_get(metric) for metric in metrics)
    names = [metric.name for metric in found]
    if len(set(names)) < len(names) or "loss" in names:
        raise UsageError(f"the metrics are {', '.join(names)}", fix="give each a name of its own")
    return found


def _get(metric: Any) -> Metric:
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str) and metric.lower() in NAMES:
        return Metric(metric, metric.lower())
    fix = 'use metrics=["accuracy"]'
    if callable(metric) and getattr(metric, "__module__", None) == __name__:
        fix = f"call it: {metric.__name__}()"
    raise UsageError(f"unknown metric {getattr(metric, '__name__', metric)!r}", fix=fix)


explain_names(
    __name__,
    dict.fromkeys(
        (
            "AUC", "Precision", "Recall", "F1Score", "TopKCategoricalAccuracy",
            "SparseTopKCategoricalAccuracy", "MeanSquaredError", "MeanAbsoluteError", "Mean",
            "TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives",
            "CategoricalCrossentropy", "BinaryCrossentropy",
        ),
        "there is none; compute it from model.predict(x)",
    ),
)  # fmt: skip
