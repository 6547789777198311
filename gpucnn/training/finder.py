"""The search for a learning rate: a short training in which it rises from batch to batch.

Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3, the range test. The
rate rises exponentially and the loss is smoothed as in Gugger 2018, "How Do You Find A Good
Learning Rate".
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gpucnn.data import Splits
from gpucnn.errors import UsageError, expect
from gpucnn.nn import Module
from gpucnn.nn.arguments import is_whole
from gpucnn.training.config import TrainConfig
from gpucnn.training.trainer import Trainer

LOW, HIGH, STEPS = 1e-6, 10.0, 140  # 20 steps for each factor of 10
_BETA = 0.9  # of the mean of the losses: about the last 10 count
_DIVERGED = 4.0  # times the lowest loss
_FALL = 0.98  # of the first loss: a search that does not get below it found nothing


@dataclass(frozen=True, eq=False, repr=False)
class LearningRates:
    """The result of `find_learning_rate`.

    The suggestion is Gugger's: a tenth of the rate at the lowest loss, where the loss still falls.
    The rate of the steepest descent is a rougher guess, as it depends on single batches.

    Args:
        rates: float64 (steps,), the learning rate of each step.
        losses: float64 (steps,), the loss of its batch, before its update.
        smoothed: float64 (steps,), their exponential mean without its bias to 0, as Adam's.
        diverged: whether the search ended because the loss did.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    diverged: bool

    def __repr__(self) -> str:
        shown = {"suggestion": self.suggestion, "lowest": self.lowest, "steepest": self.steepest}
        texts = (f"{key}={value and float(f'{value:.3g}')}" for key, value in shown.items())
        return f"LearningRates({', '.join(texts)}, steps={len(self.rates)})"

    @property
    def lowest(self) -> float | None:
        """The rate at the lowest smoothed loss; None if the loss did not fall."""
        place = int(self.smoothed.argmin())
        return float(self.rates[place]) if self._has_fallen else None

    @property
    def steepest(self) -> float | None:
        """The rate before the lowest loss at which the smoothed loss falls fastest.

        The slope is that over the logarithm of the rate; None if the loss did not fall.
        """
        last = int(self.smoothed.argmin()) + 1
        if not self._has_fallen or last < 2:
            return None
        slopes = np.gradient(self.smoothed[:last], np.log(self.rates[:last]))
        return float(self.rates[int(slopes.argmin())])

    @property
    def suggestion(self) -> float | None:
        """A tenth of the rate at the lowest loss, in two digits; None if the loss did not fall."""
        return None if self.lowest is None else float(f"{self.lowest / 10:.1e}")

    @property
    def _has_fallen(self) -> bool:
        return bool(self.smoothed.min() < _FALL * self.smoothed[0])


def find_learning_rate(
    model: Module,
    data: Splits,
    config: TrainConfig,
    *,
    low: float = LOW,
    high: float = HIGH,
    steps: int = STEPS,
) -> LearningRates:
    """Train a copy of a model for a few steps with a rising learning rate, and look at the loss.

    The model stays as it is, and nothing is written. The same arguments give the same result. The
    search ends early when the loss is not finite, or when the smoothed loss is 4 times its lowest.

    Args:
        model: built, or else its copy is built with the seed of `config`.
        data: the training images are used, over and over if they are few.
        config: the options of the training to find a rate for; its learning rate, schedule, epochs
            and `weights` do not matter.
        low, high: the learning rates of the first and of the last step; between them it rises
            exponentially.
        steps: the number of steps, at least 2.

    Raises:
        UsageError: the options do not fit each other or the data, the rates are not in order, or
            the model cannot be copied.
        DivergedError: the loss of the first batch is not finite.
    """
    expect(model, Module, "the model", "give a gpucnn.nn.Module, such as Sequential([...])")
    expect(data, Splits, "data", 'give data.load("digits")')
    expect(config, TrainConfig, "config", "give TrainConfig(batch_size=64)")
    if not (math.isfinite(low) and math.isfinite(high) and 0 < low < high):
        raise UsageError(
            f"the search goes from the learning rate {low!r} to {high!r}",
            fix=f"give two numbers above 0 in their order, as in low={LOW:g}, high={HIGH:g}",
        )
    if not is_whole(steps) or steps < 2:
        raise UsageError(f"steps is {steps!r}", fix="give a whole number of at least 2")
    trainer = _trainer(_copied(model), data, config, steps)
    rates, losses, smoothed = [], [], []
    mean, lowest = 0.0, math.inf
    diverged = False
    for step in range(steps):
        rate = low * (high / low) ** (step / (steps - 1))
        loss = _step(trainer, rate)
        if not math.isfinite(loss):
            if step == 0:
                trainer.read()  # raises the error
            diverged = True
            break
        mean = _BETA * mean + (1 - _BETA) * loss
        rates.append(rate)
        losses.append(loss)
        smoothed.append(mean / (1 - _BETA ** (step + 1)))
        lowest = min(lowest, smoothed[-1])
        if smoothed[-1] > _DIVERGED * lowest:
            diverged = True
            break
    return LearningRates(np.array(rates), np.array(losses), np.array(smoothed), diverged)


def _copied(model: Module) -> Module:
    try:
        return copy.deepcopy(model)
    except Exception as error:  # of an attribute of the user's own module
        raise UsageError(
            f"{model.display_name} cannot be copied, and the search trains a copy of it",
            cause=f"{type(error).__name__}: {error}",
            fix="keep modules of Python, open files and the like out of its attributes",
        ) from error


def _trainer(model: Module, data: Splits, config: TrainConfig, steps: int) -> Trainer:
    """A training of at least so many steps, on the training images alone."""
    limits = (
        config.limit_batches,
        config.overfit_batches,
        -(-len(data.train) // config.batch_size),
    )
    per_epoch = min(limit for limit in limits if limit is not None)
    epochs = -(-steps // max(per_epoch, 1))
    config = replace(config, epochs=epochs, patience=None, schedule="constant", warmup_steps=0)
    return Trainer(model, Splits(data.train, reading=data.reading), config)


def _step(trainer: Trainer, rate: float) -> float:
    """Do a step with a learning rate; the loss of its batch, before the update."""
    trainer.set_learning_rate(rate)
    trainer.totals.restart()
    trainer.train_step()
    loss, _ = trainer.totals.read()
    return loss
