"""A metric of `compile`: its name, and how it is computed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gpucnn.autograd import Tensor
from gpucnn.errors import UsageError
from gpucnn.keras import measures, own
from gpucnn.keras.arrays import batch_of
from gpucnn.training.metrics import Metric as Measured

_BINARY = "binary_accuracy"
#: The names that `compile` takes for the fraction of right answers.
NAMES = ("accuracy", "acc", "categorical_accuracy", "sparse_categorical_accuracy", _BINARY)
OWN = "own"  # the kind of a function of the user's own
_FALLS = ("mean_squared_error", "mean_absolute_error")  # the others rise as a model learns
#: The formula of each kind.
KINDS: dict[str, Callable[..., measures.Measure]] = {
    "precision": measures.precision,
    "recall": measures.recall,
    "f1_score": measures.f1_score,
    "auc": measures.area,
    "top_k_categorical_accuracy": measures.top_k,
    "sparse_top_k_categorical_accuracy": measures.top_k,
    "mean_squared_error": measures.mean_squared_error,
    "mean_absolute_error": measures.mean_absolute_error,
}


@dataclass(frozen=True)
class Metric:
    """A metric for `compile`.

    Attributes:
        name: its name in the history.
        kind: a name in `NAMES` or `KINDS`, or `OWN`.
        options: arguments of the formula, by name.
        function: the user's, (y_true, y_pred) -> one number, or one for each example.
    """

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    function: own.Function | None = None

    def __init_subclass__(cls) -> None:
        raise UsageError(
            f"{cls.__name__} is a subclass of Metric",
            cause="a metric of your own is a function, whose mean over the examples is taken",
            fix="write a function of (y_true, y_pred), or a class of your own with the method "
            "__call__(self, y_true, y_pred), and give compile an object of it",
        )

    @property
    def is_accuracy(self) -> bool:
        """Whether it is the fraction of right answers."""
        return self.kind in NAMES

    @property
    def takes_probabilities(self) -> bool:
        """Whether it is computed from probabilities, also if the model gives logits."""
        return self.kind in KINDS and self.kind not in _FALLS

    @property
    def rises(self) -> bool | None:
        """Whether a larger value is better; None if that is not known."""
        return None if self.kind == OWN else self.kind not in _FALLS

    def measured(self, predictions: Callable[[Tensor], Tensor] | None) -> Measured:
        """The metric for `gpucnn.training`.

        Args:
            predictions: from the outputs that the loss takes to those that the metric takes; None
                if they are the same.
        """
        made = None if self.function is None else (own.sums(self.function), measures.mean_of_sum)
        sums, result = made or KINDS[self.kind](**self.options)
        if predictions is None:
            return Measured(self.name, sums, result)

        @functools.wraps(sums)  # it is the user's code if `sums` is
        def of_predictions(targets: Any, outputs: Any) -> Any:
            return sums(targets, predictions(Tensor(outputs)).data)

        return Measured(self.name, of_predictions, result)

    def check(self, outputs: tuple[int, ...]) -> None:
        """`UsageError` if the metric is not for outputs (N, *outputs)."""
        shown = batch_of(outputs)
        if self.kind in NAMES[2:] and (self.kind == _BINARY) != (outputs == (1,)):
            raise UsageError(
                f"{self.kind} of a model with outputs {shown}",
                cause="binary accuracy is for one output, categorical accuracy for several",
                fix='use metrics=["accuracy"]'
                + "; if an image may belong to several classes, leave it out, and compute "
                "((model.predict(x) > 0.5) == y).mean()" * (self.kind == _BINARY),
            )
        if not self.takes_probabilities:
            return
        if len(outputs) != 1:
            raise UsageError(
                f"{self.kind} of a model with outputs {shown}",
                cause="it is for outputs (N, classes)",
                fix="end the model in Flatten() and Dense(classes)",
            )
        class_id = self.options.get("class_id")
        if class_id is not None and class_id >= outputs[0]:
            raise UsageError(
                f"{self.kind} has class_id {class_id}, and the model {outputs[0]} outputs",
                fix="give a class of the model; classes are numbered from 0",
            )
        if self.kind == "f1_score" and outputs == (1,) and self.options["threshold"] is None:
            raise UsageError(
                "f1_score of a model with one output",
                cause="without a threshold the largest output is the answer",
                fix='give F1Score(average="macro", threshold=0.5)',
            )
        if self.kind.endswith("top_k_categorical_accuracy") and outputs == (1,):
            raise UsageError(
                f"{self.kind} of a model with one output",
                cause="it is for several classes",
                fix='use metrics=["accuracy"]',
            )
