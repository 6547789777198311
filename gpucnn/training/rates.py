"""The learning rate of every step of a training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpucnn import schedules
from gpucnn.errors import UsageError
from gpucnn.training.config import TrainConfig

MOST_STEPS = 10**8  # of a training: the table of their learning rates takes 400 MB


def learning_rates(config: TrainConfig, steps_per_epoch: int) -> NDArray[np.float32]:
    """float32 (steps of the whole training,), by the schedule of a `resolved` configuration.

    Raises:
        UsageError: there are more than `MOST_STEPS`, or a rate is too large for float32.
    """
    steps = steps_per_epoch * config.epochs
    if steps > MOST_STEPS:
        raise UsageError(
            f"epochs is {config.epochs}, which makes {steps:.3g} steps",
            cause=f"a training has at most {MOST_STEPS:.0e}: each has its learning rate in a table",
            fix=f"give --epochs {max(MOST_STEPS // steps_per_epoch, 1)} or less",
        )
    assert config.learning_rate is not None  # `resolved` decides it
    with np.errstate(over="ignore"):
        rates = schedules.table(
            config.schedule,
            config.learning_rate,
            steps,
            warmup_steps=config.warmup_steps,
            step_every=min(config.step_epochs * steps_per_epoch, steps),
            step_factor=config.step_factor,
        )
    if not np.isfinite(rates).all():
        stepped = config.schedule == "step"
        raise UsageError(
            "the learning rate becomes larger than a float32 can be",
            cause=f"learning_rate is {config.learning_rate:.3g}, schedule {config.schedule}"
            + f" with step_factor {config.step_factor:.3g}" * stepped,
            fix="lower --lr or --step-factor" if stepped else "lower --lr",
        )
    return rates
