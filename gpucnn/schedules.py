"""Learning-rate schedules: a table with one learning rate for each step of the training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import UsageError, choose

Factors = NDArray[np.float64]


def constant(total: int) -> Factors:
    """1 at every step."""
    return np.ones(total)


def step(total: int, every: int, factor: float) -> Factors:
    """factor**(t // every): multiplied by `factor` each `every` steps."""
    if every < 1:
        raise UsageError(
            f"step_every is {every}", cause="it must be at least 1", fix="give step_every=1000"
        )
    return factor ** (np.arange(total) // every).astype(np.float64)


def cosine(total: int) -> Factors:
    """(1 + cos(pi t / total)) / 2: from 1 to zero (Loshchilov and Hutter 2017, SGDR, eq. 5)."""
    return (1 + np.cos(np.pi * np.arange(total) / max(total, 1))) / 2


def one_cycle(total: int) -> Factors:
    """From 1/25 up to 1 over the first 30 % of the steps, then down to 1/250,000.

    Both along a cosine: Smith and Topin 2018, "Super-convergence", with the numbers of PyTorch's
    OneCycleLR.
    """
    start, end = 1 / 25, 1 / 250_000
    t = np.arange(total, dtype=np.float64)
    peak = max(0.3 * total - 1, 0)
    up = t / max(peak, 1)
    down = (t - peak) / max(total - 1 - peak, 1)
    rising = start + (1 - start) * (1 - np.cos(np.pi * up)) / 2
    falling = end + (1 - end) * (1 + np.cos(np.pi * down)) / 2
    return np.where(t < peak, rising, falling)


SCHEDULES: dict[str, Callable[..., Factors]] = {
    "constant": constant,
    "step": step,
    "cosine": cosine,
    "one-cycle": one_cycle,
}
NAMES = tuple(SCHEDULES)


def table(
    name: str,
    learning_rate: float,
    total_steps: int,
    *,
    warmup_steps: int = 0,
    step_every: int = 1000,
    step_factor: float = 0.7,
) -> NDArray[np.float32]:
    """The learning rate of each step.

    Args:
        name: one of `NAMES`.
        learning_rate: where the schedule's factor is 1.
        total_steps: of the whole training, warm-up included.
        warmup_steps: so many steps come first in which the rate rises evenly, from
            learning_rate / warmup_steps to learning_rate; the schedule takes the rest.
        step_every, step_factor: of "step": after so many steps the rate is multiplied by this.

    Returns:
        float32 (total_steps,); step t, counted from 0, uses element t.

    Raises:
        UsageError: no schedule has this name, or the warm-up leaves no step for it.
    """
    factors = choose(SCHEDULES, name, "schedule")
    if warmup_steps < 0 or (warmup_steps and warmup_steps >= total_steps):
        raise UsageError(
            f"warmup_steps is {warmup_steps}",
            cause=f"it must be at least 0 and below the {total_steps} steps of the training",
            fix=f"give warmup_steps={max(total_steps // 20, 0)}",
        )
    warmup = np.arange(1, warmup_steps + 1) / max(warmup_steps, 1)
    options = {"every": step_every, "factor": step_factor} if name == "step" else {}
    course = np.concatenate([warmup, factors(total_steps - warmup_steps, **options)])
    return (learning_rate * course).astype(np.float32)
