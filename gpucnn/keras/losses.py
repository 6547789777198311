"""Losses by Keras's names, for `compile`: by name, or as an object that has options.

A loss may be a function of the user's own as well: see `gpucnn.keras.own`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gpucnn.autograd import Tensor
from gpucnn.errors import UsageError, choose
from gpucnn.keras import formulas, own, spelling
from gpucnn.nn import arguments
from gpucnn.spelling import explain_names
from gpucnn.training.metrics import LOSSES as COMPUTED
from gpucnn.training.metrics import Loss as Computed
from gpucnn.training.metrics import as_targets

__all__ = [
    "BinaryCrossentropy", "CategoricalCrossentropy", "CosineSimilarity", "Huber", "KLDivergence",
    "LogCosh", "Loss", "MeanAbsoluteError", "MeanSquaredError", "Poisson",
    "SparseCategoricalCrossentropy", "binary_crossentropy", "categorical_crossentropy",
    "cosine_similarity", "get", "huber", "kl_divergence", "log_cosh", "mae", "mean_absolute_error",
    "mean_squared_error", "mse", "poisson", "sparse_categorical_crossentropy",
]  # fmt: skip


@dataclass(frozen=True)
class Loss:
    """A loss for `compile`.

    Attributes:
        name: Keras's.
        function: the loss of `gpucnn.training` that computes it.
        is_own: whether it is a function of the user's own.
        options: arguments of the function of `OPTIONS` that made it, by name.
        takes_over: the final activation that the function includes: it takes the logits, the
            inputs of that. None where it takes the outputs as they are.
        from_logits: whether the model gives logits; None if its layers are to tell, see
            `gpucnn.keras.outputs`.
        takes_probabilities: whether the outputs, as they are, must be probabilities.
    """

    name: str
    function: Computed
    takes_over: str | None
    from_logits: bool | None = None
    takes_probabilities: bool = False
    is_own: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, y_true: Any, y_pred: Any) -> Any:
        known = _FUNCTIONS.get(self.function.name)
        raise UsageError(
            f"{self.name} is a loss for compile and computes nothing by itself",
            fix="use model.evaluate"
            + (f", or gpucnn.functions.{known}" if known else ", or write its formula"),
        )

    def __init_subclass__(cls) -> None:
        raise UsageError(
            f"{cls.__name__} is a subclass of Loss",
            cause="a loss of your own is a function",
            fix="write a function of (y_true, y_pred), or a class of your own with the method "
            "__call__(self, y_true, y_pred), and give compile an object of it",
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles hold the name, and of a function of the user's own the function."""
        if self.is_own:
            return get, (self.function.function.__wrapped__,)  # type: ignore[attr-defined]
        return named, (self.name, self.from_logits, dict(self.options))

    @property
    def is_regression(self) -> bool:
        """Whether it is for targets that are any numbers, and not for classes."""
        return not (self.takes_over or self.takes_probabilities or self.is_own)

    def check(self, final: str | None, hidden: bool) -> None:
        """Check that the loss goes with the activation that the model ends in.

        Args:
            final: the name of that activation.
            hidden: whether the outputs may be probabilities without it.

        Raises:
            UsageError: they do not go together.
        """
        if self.takes_over is None:
            if self.takes_probabilities and final not in PROBABILITIES and not hidden:
                raise UsageError(
                    f"{self.name} takes probabilities, and the last layer ends in "
                    + (final or "no activation"),
                    fix='write activation="softmax" there, or "sigmoid"',
                )
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


#: The activations whose outputs are probabilities.
PROBABILITIES = ("softmax", "sigmoid")

_FUNCTIONS = {
    "softmax_cross_entropy": "softmax_cross_entropy",
    "binary_cross_entropy": "binary_cross_entropy_with_logits",
    "mean_squared_error": "mean_squared_error",
}


def _of_outputs(
    name: str,
    formula: Callable[[Tensor, Tensor], Tensor],
    *,
    takes_probabilities: bool = False,
    **options: Any,
) -> Loss:
    """A loss of the outputs as they are, by a formula of (targets, outputs), both (N, K).

    The formula gives (N, K) or (N,), whose mean is the loss of the batch.
    """
    function = Computed(
        name,
        lambda output, labels: formula(Tensor(as_targets(output, labels)), output),
        lambda output: output,
        threshold=0.5,
    )
    return Loss(name, function, None, takes_probabilities=takes_probabilities, options=options)


_SOFTMAX, _BINARY, _SQUARES = map(
    COMPUTED.__getitem__,
    ("softmax_cross_entropy", "binary_cross_entropy", "mean_squared_error"),
)
categorical_crossentropy = Loss("categorical_crossentropy", _SOFTMAX, "softmax")
sparse_categorical_crossentropy = replace(
    categorical_crossentropy, name="sparse_categorical_crossentropy"
)
binary_crossentropy = Loss("binary_crossentropy", _BINARY, "sigmoid")
mean_squared_error = mse = Loss("mean_squared_error", _SQUARES, None)
mean_absolute_error = mae = _of_outputs("mean_absolute_error", formulas.absolute_error)
log_cosh = _of_outputs("log_cosh", formulas.log_cosh)
kl_divergence = _of_outputs("kl_divergence", formulas.kl_divergence, takes_probabilities=True)
poisson = _of_outputs("poisson", formulas.poisson)
cosine_similarity = _of_outputs("cosine_similarity", formulas.cosine_similarity)


@spelling.part
def Huber(delta: float = 1.0) -> Loss:
    """The loss of targets in the outputs' shape: squared errors up to `delta`, then a line."""
    delta = arguments.number(delta, "delta", "above 0", 1.0, above=0)
    return _of_outputs("huber", lambda y, p: formulas.huber(y, p, delta), delta=delta)


huber = Huber()


#: The losses by the names that `compile` takes.
LOSSES = {
    loss.name: loss
    for loss in (
        categorical_crossentropy,
        sparse_categorical_crossentropy,
        binary_crossentropy,
        mean_squared_error,
        mean_absolute_error,
        huber,
        log_cosh,
        kl_divergence,
        poisson,
        cosine_similarity,
    )
} | {"mse": mse, "mae": mae}

#: The functions that make a loss from `Loss.options`, by its name.
OPTIONS: dict[str, Callable[..., Loss]] = {"huber": Huber}


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


@spelling.part
def MeanAbsoluteError() -> Loss:
    """The loss of targets in the shape of the outputs."""
    return mean_absolute_error


@spelling.part
def LogCosh() -> Loss:
    """The logarithm of the hyperbolic cosine of the errors, of targets in the outputs' shape."""
    return log_cosh


@spelling.part
def KLDivergence() -> Loss:
    """The Kullback-Leibler divergence of the outputs, probabilities, from such targets."""
    return kl_divergence


@spelling.part
def Poisson() -> Loss:
    """p - y * log(p), of outputs p that must be above 0."""
    return poisson


@spelling.part
def CosineSimilarity() -> Loss:
    """The cosine of the angle between targets and outputs, times -1."""
    return cosine_similarity


def named(name: str, from_logits: bool | None = None, options: Any = None) -> Loss:
    """The loss of a name in `LOSSES`, with its attributes `from_logits` and `options`."""
    loss = OPTIONS[name](**options) if options else LOSSES[name]
    return replace(loss, from_logits=from_logits)


def get(loss: Any) -> Loss:
    """The loss of a name, in any case of its letters, or an object of this module.

    A function of the user's own (y_true, y_pred) becomes one.

    Raises:
        UsageError: it is none of these.
    """
    if isinstance(loss, Loss):
        return loss
    spelling.check_called(loss, "loss", __name__)
    if callable(loss):
        own.check_function(loss, "loss")
        return Loss(own.name_of(loss), own.loss(loss), None, is_own=True)
    return choose(LOSSES, loss.lower() if isinstance(loss, str) else loss, "loss")


_NONE = "there is none; write a function of (y_true, y_pred), and give compile that as the loss"
explain_names(
    __name__,
    dict.fromkeys(
        (
            "Hinge", "hinge", "SquaredHinge", "squared_hinge", "CategoricalHinge",
            "categorical_hinge", "BinaryFocalCrossentropy", "CategoricalFocalCrossentropy",
            "MeanAbsolutePercentageError", "MeanSquaredLogarithmicError",
        ),
        _NONE,
    ),
)  # fmt: skip
