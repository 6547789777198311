"""The settings that `compile` was given, and the values by name that a training gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from gpucnn.keras.losses import Loss
from gpucnn.keras.metric import NAMES, Metric
from gpucnn.keras.optimizers import Optimizer
from gpucnn.spelling import explain_attribute
from gpucnn.training import History, TrainConfig
from gpucnn.training.metrics import LOSSES, OWN


@dataclass(frozen=True)
class Compiled:
    """The settings that `compile` was given."""

    optimizer: Optimizer
    loss: Loss
    metrics: tuple[Metric, ...]
    schedule: str
    device: str
    seed: int
    graph: bool | None = None

    def showing(self, accuracy: bool) -> Compiled:
        """The settings with the metric "acc" if the accuracy is asked for and there is none."""
        metrics = (Metric("acc", "acc"),) if accuracy else ()
        return replace(self, metrics=self.metrics or metrics)

    def config(self, **options: Any) -> TrainConfig:
        """The options of a training; raises `UsageError` for one that is not acceptable."""
        name = self.loss.function.name
        return TrainConfig(
            optimizer=self.optimizer.name,
            learning_rate=self.optimizer.learning_rate or None,  # 0 is set by the trainer
            clip_norm=self.optimizer.global_clipnorm,
            schedule=self.schedule,
            loss=name if LOSSES.get(name) is self.loss.function else OWN + name,
            device=self.device,
            seed=self.seed,
            graph=self.graph,
            **options,
        )

    def names(self, prefix: str = "") -> list[str]:
        """The names that the history has for the loss and the metrics."""
        return [f"{prefix}{name}" for name in ("loss", *(metric.name for metric in self.metrics))]

    def named(self, found: Mapping[str, float], prefix: str = "") -> dict[str, float]:
        """Loss and metrics by the names that the history has for them.

        Args:
            found: "loss", "accuracy" and the other metrics by name.
            prefix: of the names: "val_" for those of the validation.
        """
        keys = ("accuracy" if metric.is_accuracy else metric.name for metric in self.metrics)
        values = (found[key] for key in ("loss", *keys))
        return dict(zip(self.names(prefix), values, strict=True))

    def result(self, found: Mapping[str, float], return_dict: bool) -> Any:
        """The loss alone where there are no metrics, else [loss, *metrics], or a dict by name."""
        named = self.named(found)
        if return_dict:
            return named
        return list(named.values()) if self.metrics else named["loss"]


#: The names of one quantity in the versions of Keras.
_SYNONYMS = (NAMES, tuple(f"val_{name}" for name in NAMES), ("learning_rate", "lr"))


class Values(dict[str, Any]):
    """Values by name. An accuracy or learning rate is found by any of Keras's names of it.

    Loops give the one name that was compiled.
    """

    def _own_name(self, key: str) -> str | None:
        names = next((names for names in _SYNONYMS if key in names), ())
        return next(
            (name for name in (key, *names) if super(Values, self).__contains__(name)), None
        )

    def __missing__(self, key: str) -> Any:
        name = self._own_name(key)
        if name is None:
            raise KeyError(key)
        return self[name]

    def __contains__(self, key: Any) -> bool:
        return self._own_name(key) is not None

    def get(self, key: str, default: Any = None) -> Any:
        name = self._own_name(key)
        return default if name is None else self[name]


_OF_HISTORY = {
    "params": "fit was given them; a callback has self.params",
    "model": "it is the model whose fit gave this",
}


class FitHistory(NamedTuple):
    """The result of `fit`: the epochs from 0, and each quantity's value in each of them."""

    epoch: list[int]
    history: dict[str, list[float]]

    def __repr__(self) -> str:
        """The number of epochs, and the values of the last one, as a notebook shows them."""
        last = {name: float(f"{values[-1]:.4g}") for name, values in self.history.items()}
        shown = {"epochs": len(self.epoch), **last}
        return f"FitHistory({', '.join(f'{key}={value!r}' for key, value in shown.items())})"

    if not TYPE_CHECKING:  # type: ignore[misc]  # else every name would be accepted

        def __getattr__(self, name: str) -> Any:
            return explain_attribute(self, name, _OF_HISTORY)


@dataclass(frozen=True)
class Fitted:
    """The result of the last `fit`, in an object that is not searched for layers.

    Attributes:
        history: of the values by Keras's names.
        result: of `gpucnn.training`; None if the training diverged.
    """

    history: FitHistory
    result: History | None
