"""Metrics by Keras's names, for `compile`: each is the fraction of right answers."""

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
    "binary_accuracy",
    "categorical_accuracy",
    "get",
    "sparse_categorical_accuracy",
]

#: The names that `compile` takes, all for one number: the fraction of right answers.
_BINARY = "binary_accuracy"
NAMES = ("accuracy", "acc", "categorical_accuracy", "sparse_categorical_accuracy", _BINARY)


@dataclass(frozen=True)
class Metric:
    """A metric for `compile`.

    Attributes:
        name: its name in the history.
        kind: its name in `NAMES`.
    """

    name: str
    kind: str

    def check(self, outputs: tuple[int, ...]) -> None:
        """`UsageError` if Keras computes something else by this name for outputs (N, *outputs)."""
        if self.kind in ("accuracy", "acc") or (self.kind == _BINARY) == (outputs == (1,)):
            return
        raise UsageError(
            f"{self.kind} of a model with outputs (N, {', '.join(map(str, outputs))})",
            cause="binary accuracy is for one output, categorical accuracy for several",
            fix='use metrics=["accuracy"]',
        )


@spelling.part
def Accuracy(name: str = "accuracy") -> Metric:
    """The fraction of right answers, of one output or of several."""
    return Metric(name, "accuracy")


@spelling.part
def CategoricalAccuracy(name: str = "categorical_accuracy") -> Metric:
    """The fraction of examples whose largest output is the right one."""
    return Metric(name, "categorical_accuracy")


@spelling.part
def SparseCategoricalAccuracy(name: str = "sparse_categorical_accuracy") -> Metric:
    """The fraction of examples whose largest output is the right one."""
    return Metric(name, "sparse_categorical_accuracy")


@spelling.part
def BinaryAccuracy(name: str = "binary_accuracy") -> Metric:
    """The fraction of examples whose one output is on the right side of 0.5."""
    return Metric(name, _BINARY)


# The functions of these names in Keras, for the list of metrics.
binary_accuracy = BinaryAccuracy()
categorical_accuracy = CategoricalAccuracy()
sparse_categorical_accuracy = SparseCategoricalAccuracy()


def get(metrics: Any) -> tuple[Metric, ...]:
    """The metrics for a name, an object, a list of them, or None.

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
    spelling.check_called(metric, "metric", __name__)
    name = getattr(metric, "__name__", metric)
    raise UsageError(
        f"unknown metric {name!r}",
        fix='use metrics=["accuracy"], or leave it out and compute it from model.predict(x)',
    )


explain_names(
    __name__,
    dict.fromkeys(
        (
            "AUC", "Precision", "Recall", "F1Score", "TopKCategoricalAccuracy",
            "SparseTopKCategoricalAccuracy", "MeanSquaredError", "MeanAbsoluteError", "Mean",
            "TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives",
            "CategoricalCrossentropy", "BinaryCrossentropy", "mean_squared_error", "mse",
            "mean_absolute_error", "mae", "precision", "recall", "fbeta_score", "fmeasure",
            "top_k_categorical_accuracy", "matthews_correlation",
        ),
        "there is none; compute it from model.predict(x)",
    ),
)  # fmt: skip
