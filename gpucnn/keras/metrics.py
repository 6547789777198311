"""Metrics by Keras's names, for `compile`: by name, as an object, or a function of the user's own.

The accuracy is computed with the loss; the formulas of the others are in `gpucnn.keras.measures`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from gpucnn.errors import UsageError
from gpucnn.keras import own, spelling
from gpucnn.keras.losses import Loss
from gpucnn.keras.metric import NAMES, OWN, Metric
from gpucnn.nn import arguments
from gpucnn.spelling import explain_names

__all__ = [
    "AUC", "NAMES", "Accuracy", "BinaryAccuracy", "CategoricalAccuracy", "F1Score",
    "MeanAbsoluteError", "MeanSquaredError", "Precision", "Recall", "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy", "TopKCategoricalAccuracy", "binary_accuracy",
    "categorical_accuracy", "get", "mae", "mean_absolute_error", "mean_squared_error", "mse",
    "sparse_categorical_accuracy", "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]  # fmt: skip


_AVERAGES = ("micro", "macro", "weighted")  # of a score of each class


def _decision(threshold: Any, class_id: Any) -> dict[str, Any]:
    return {
        "threshold": 0.5 if threshold is None else _threshold(threshold, "thresholds"),
        "class_id": None if class_id is None else arguments.whole(class_id, "class_id", 0),
    }


def _threshold(value: Any, name: str) -> float:
    return arguments.number(value, name, "one number from 0 to 1", 0.5, least=0, most=1)


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
    return Metric(name, "binary_accuracy")


@spelling.part
def Precision(
    thresholds: float | None = None, class_id: int | None = None, name: str = "precision"
) -> Metric:
    """The fraction of right ones among the outputs above the threshold, 0.5 by default.

    Args:
        class_id: the one class to count; by default the outputs of all classes are counted.
    """
    return Metric(name, "precision", _decision(thresholds, class_id))


@spelling.part
def Recall(
    thresholds: float | None = None, class_id: int | None = None, name: str = "recall"
) -> Metric:
    """The fraction of the positive targets whose output is above the threshold, 0.5 by default.

    Args:
        class_id: the one class to count; by default the targets of all classes are counted.
    """
    return Metric(name, "recall", _decision(thresholds, class_id))


@spelling.part
def F1Score(
    average: str | None = None, threshold: float | None = None, name: str = "f1_score"
) -> Metric:
    """2 * precision * recall / (precision + recall).

    Args:
        average: "micro" (of the counts of all classes together), "macro" (the mean of the classes)
            or "weighted" (by how often each class occurs).
        threshold: outputs above it count; by default only the largest output of an example.
    """
    if average not in _AVERAGES:
        raise UsageError(
            f"F1Score has average {average!r}",
            cause="Keras's default gives a number for each class, and a metric here is one number",
            fix='give F1Score(average="macro"), "micro" or "weighted"',
        )
    if threshold is not None:
        threshold = _threshold(threshold, "threshold")
    return Metric(name, "f1_score", {"average": average, "threshold": threshold})


@spelling.part
def TopKCategoricalAccuracy(k: int = 5, name: str = "top_k_categorical_accuracy") -> Metric:
    """The fraction of examples with the right class among those of the k largest outputs."""
    return Metric(name, "top_k_categorical_accuracy", {"k": arguments.whole(k, "k", 1)})


@spelling.part
def SparseTopKCategoricalAccuracy(
    k: int = 5, name: str = "sparse_top_k_categorical_accuracy"
) -> Metric:
    """The same as `TopKCategoricalAccuracy`: both take class ids and one-hot labels."""
    return Metric(name, "sparse_top_k_categorical_accuracy", {"k": arguments.whole(k, "k", 1)})


@spelling.part
def AUC(name: str = "auc") -> Metric:
    """The area under the ROC curve, of the outputs of all classes together, by 200 thresholds."""
    return Metric(name, "auc")


@spelling.part
def MeanSquaredError(name: str = "mean_squared_error") -> Metric:
    """The mean of the squared differences of targets and outputs."""
    return Metric(name, "mean_squared_error")


@spelling.part
def MeanAbsoluteError(name: str = "mean_absolute_error") -> Metric:
    """The mean of the absolute differences of targets and outputs."""
    return Metric(name, "mean_absolute_error")


# The functions of these names in Keras, for the list of metrics.
binary_accuracy = BinaryAccuracy()
categorical_accuracy = CategoricalAccuracy()
sparse_categorical_accuracy = SparseCategoricalAccuracy()
top_k_categorical_accuracy = TopKCategoricalAccuracy()
sparse_top_k_categorical_accuracy = SparseTopKCategoricalAccuracy()
mean_squared_error = mse = MeanSquaredError()
mean_absolute_error = mae = MeanAbsoluteError()

#: The metrics by the names that `compile` takes, in lower case without underscores.
_BY_NAME: dict[str, Callable[[], Metric]] = {
    "precision": Precision,
    "recall": Recall,
    "f1score": F1Score,
    "auc": AUC,
    "topkcategoricalaccuracy": TopKCategoricalAccuracy,
    "sparsetopkcategoricalaccuracy": SparseTopKCategoricalAccuracy,
    "meansquarederror": MeanSquaredError,
    "mse": MeanSquaredError,
    "meanabsoluteerror": MeanAbsoluteError,
    "mae": MeanAbsoluteError,
}
#: The names that other quantities of a training have.
_TAKEN = ("loss", "learning_rate", "lr")


def get(metrics: Any) -> tuple[Metric, ...]:
    """The metrics for a name, an object, a function, a list of them, or None.

    Raises:
        UsageError: one is not known, or two have one name.
    """
    if metrics is None:
        metrics = ()
    elif isinstance(metrics, (str, Metric)) or not isinstance(metrics, Sequence):
        metrics = (metrics,)
    found = tuple(_get(metric) for metric in metrics)
    names = [metric.name for metric in found]
    for name in names:
        if not isinstance(name, str) or not name:
            raise UsageError(f"the name of a metric is {name!r}", fix="give it a text")
    all_names = [*names, *(f"val_{name}" for name in names), *_TAKEN, "val_loss"]
    if len(set(all_names)) < len(all_names):
        raise UsageError(f"the metrics are {', '.join(names)}", fix="give each a name of its own")
    for metric in found:
        if metric.name in NAMES and not metric.is_accuracy:
            raise UsageError(
                f"the metric {metric.name} is not the fraction of right answers",
                cause="callbacks find that by this name",
                fix="give it another name",
            )
    return found


def _get(metric: Any) -> Metric:
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        if metric.lower() in NAMES:
            return Metric(metric, metric.lower())
        if (key := metric.lower().replace("_", "")) in _BY_NAME:
            return replace(_BY_NAME[key](), name=metric)
    spelling.check_called(metric, "metric", __name__)
    if callable(metric) and not isinstance(metric, Loss):
        own.check_function(metric, "metric")
        return Metric(own.name_of(metric), OWN, function=metric)
    name = getattr(metric, "name", metric)
    raise UsageError(
        f"unknown metric {name!r}",
        fix='use metrics=["accuracy"], another name of gpucnn.keras.metrics, or a function of '
        "(y_true, y_pred)",
    )


explain_names(
    __name__,
    dict.fromkeys(
        (
            "Mean", "TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives",
            "CategoricalCrossentropy", "BinaryCrossentropy", "FBetaScore", "precision", "recall",
            "RootMeanSquaredError", "fbeta_score", "fmeasure", "matthews_correlation",
        ),
        "there is none; write a function of (y_true, y_pred) for the list of metrics, or compute "
        "it from model.predict(x)",
    )
    | {"precision": "use Precision()", "recall": "use Recall()"},
)  # fmt: skip
