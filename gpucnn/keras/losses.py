"""Losses by Keras's names, for `compile`: by name, or as an object that also has `from_logits`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from gpucnn.errors import UsageError, choose
from gpucnn.keras import spelling
from gpucnn.spelling import explain_names

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Loss",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "binary_crossentropy",
    "categorical_crossentropy",
    "get",
    "mean_squared_error",
    "mse",
    "sparse_categorical_crossentropy",
]


@dataclass(frozen=True)
class Loss:
    """A loss for `compile`.

    Attributes:
        name: Keras's.
        function: the loss of `gpucnn.training` that computes it.
        takes_over: the final activation that the function includes: it takes the logits, the
            inputs of that. None where it takes the outputs as they are.
        from_logits: whether the model gives logits; None if its layers are to tell, see
            `gpucnn.keras.outputs`.
    """

    name: str
    function: str
    takes_over: str | None
    from_logits: bool | None = None

    def __call__(self, y_true: Any, y_pred: Any) -> Any:
        raise UsageError(
            f"{self.name} is a loss for compile and computes nothing by itself",
            fix=f"use model.evaluate, or gpucnn.functions.{_FUNCTIONS[self.function]}",
        )

    def check(self, final: str | None, hidden: bool) -> None:
        """Check that the loss goes with the activation that the model ends in.

        Args:
            final: the name of that activation.
            hidden: whether the outputs may be probabilities without it.

        Raises:
            UsageError: they do not go together.
        """
        if self.takes_over is None:
            return
        has_it = final == self.takes_over
        if final not in (None, "linear") and not has_it:
            raise UsageError(
                f"the last layer ends in {final}, which does not go with the loss",
                cause=f"the loss takes a {self.takes_over} of the outputs",
                fix=f'write activation="{self.takes_over}" there, or none',
            )
        if self.from_logits is True and has_it:
            raise UsageError(
                f"the loss is from_logits, but the last layer ends in {final}",
                cause=f"logits are the inputs of the {final}, and the model gives its outputs",
                fix="leave out the activation of the last layer, or from_logits",
            )
        if self.from_logits is False and not has_it and not hidden:
            raise UsageError(
                f"the loss takes probabilities, but the last layer ends in no {self.takes_over}",
                cause="from_logits is False",
                fix=f'write activation="{self.takes_over}" there, or from_logits=True',
            )


_FUNCTIONS = {
    "softmax_cross_entropy": "softmax_cross_entropy",
    "binary_cross_entropy": "binary_cross_entropy_with_logits",
    "mean_squared_error": "mean_squared_error",
}

categorical_crossentropy = Loss("categorical_crossentropy", "softmax_cross_entropy", "softmax")
sparse_categorical_crossentropy = replace(
    categorical_crossentropy, name="sparse_categorical_crossentropy"
)
binary_crossentropy = Loss("binary_crossentropy", "binary_cross_entropy", "sigmoid")
mean_squared_error = mse = Loss("mean_squared_error", "mean_squared_error", None)

#: The losses by the names that `compile` takes.
LOSSES = {
    loss.name: loss
    for loss in (
        categorical_crossentropy,
        sparse_categorical_crossentropy,
        binary_crossentropy,
        mean_squared_error,
    )
} | {"mse": mse}


@spelling.part
def CategoricalCrossentropy(from_logits: bool | None = None) -> Loss:
    """The loss of one-hot targets (N, K); it takes class ids (N,) as well.

    Without `from_logits` it is `categorical_crossentropy`.
    """
    return replace(categorical_crossentropy, from_logits=from_logits)


@spelling.part
def SparseCategoricalCrossentropy(from_logits: bool | None = None) -> Loss:
    """The loss of class ids (N,); it takes one-hot targets (N, K) as well.

    Without `from_logits` it is `sparse_categorical_crossentropy`.
    """
    return replace(sparse_categorical_crossentropy, from_logits=from_logits)


@spelling.part
def BinaryCrossentropy(from_logits: bool | None = None) -> Loss:
    """The loss of targets from 0 to 1, in the shape of the outputs.

    Without `from_logits` it is `binary_crossentropy`.
    """
    return replace(binary_crossentropy, from_logits=from_logits)


@spelling.part
def MeanSquaredError() -> Loss:
    """The loss of targets in the shape of the outputs."""
    return mean_squared_error


def get(loss: Any) -> Loss:
    """The loss of a name, in any case of its letters, or an object of this module.

    Raises:
        UsageError: it is neither.
    """
    if isinstance(loss, Loss):
        return loss
    spelling.check_called(loss, "loss", __name__)
    if callable(loss):
        raise UsageError(
            f"the loss is {getattr(loss, '__name__', loss)}, a function",
            cause="compile takes only the losses of gpucnn.keras.losses",
            fix="write a training loop for a loss of your own, as README.md does",
        )
    return choose(LOSSES, loss.lower() if isinstance(loss, str) else loss, "loss")


_NONE = "there is none; write a training loop for a loss of your own, as README.md does"
explain_names(
    __name__,
    dict.fromkeys(
        (
            "MeanAbsoluteError", "mean_absolute_error", "Huber", "huber", "Hinge", "hinge",
            "KLDivergence", "kl_divergence", "Poisson", "poisson", "CosineSimilarity",
            "cosine_similarity", "LogCosh", "log_cosh", "BinaryFocalCrossentropy",
            "CategoricalFocalCrossentropy", "MeanAbsolutePercentageError",
        ),
        _NONE,
    ),
)  # fmt: skip
