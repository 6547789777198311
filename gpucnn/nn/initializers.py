"""Initial values of parameters, drawn on the host from a named random stream.

An initializer is called with (shape, fan_in, fan_out, seed, stream) and returns float32.

- Glorot: X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
  networks" (AISTATS 2010), section 4.2.1: variance 2 / (fan_in + fan_out).
- He: K. He et al., "Delving deep into rectifiers" (ICCV 2015), section 2.2: variance 2 / fan_in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpucnn import random
from gpucnn.errors import choose

Initializer = Callable[[tuple[int, ...], int, int, int, str], np.ndarray]


@dataclass(frozen=True)
class Constant:
    """Every element is `value`."""

    value: float

    def __call__(
        self, shape: tuple[int, ...], fan_in: int, fan_out: int, seed: int, stream: str
    ) -> np.ndarray:
        return np.full(shape, self.value, np.float32)


@dataclass(frozen=True)
class Uniform:
    """Uniform in [low, high)."""

    low: float = -0.05
    high: float = 0.05

    def __call__(
        self, shape: tuple[int, ...], fan_in: int, fan_out: int, seed: int, stream: str
    ) -> np.ndarray:
        return random.uniform(shape, seed, stream, low=self.low, high=self.high)


@dataclass(frozen=True)
class Normal:
    """Normal with mean 0; `truncated` redraws values beyond two standard deviations."""

    std: float = 0.05
    truncated: bool = False

    def __call__(
        self, shape: tuple[int, ...], fan_in: int, fan_out: int, seed: int, stream: str
    ) -> np.ndarray:
        draw = random.truncated_normal if self.truncated else random.normal
        return draw(shape, seed, stream, std=self.std)


@dataclass(frozen=True)
class Scaled:
    """Mean 0 and the variance by Glorot or He (`rule`), uniform or normal."""

    rule: str
    uniform: bool

    def __call__(
        self, shape: tuple[int, ...], fan_in: int, fan_out: int, seed: int, stream: str
    ) -> np.ndarray:
        std = math.sqrt(2.0 / (fan_in + fan_out if self.rule == "glorot" else fan_in))
        if self.uniform:
            limit = math.sqrt(3.0) * std  # a uniform in [-a, a) has variance a^2 / 3
            return random.uniform(shape, seed, stream, low=-limit, high=limit)
        return random.normal(shape, seed, stream, std=std)


INITIALIZERS: dict[str, Initializer] = {
    "zeros": Constant(0.0),
    "ones": Constant(1.0),
    "uniform": Uniform(),
    "normal": Normal(),
    "truncated_normal": Normal(truncated=True),
    "glorot_uniform": Scaled("glorot", uniform=True),
    "glorot_normal": Scaled("glorot", uniform=False),
    "he_uniform": Scaled("he", uniform=True),
    "he_normal": Scaled("he", uniform=False),
}


def name_of(value: Any) -> Any:
    """The name of an initializer of `INITIALIZERS`; any other value as it is."""
    if not isinstance(value, (Constant, Uniform, Normal, Scaled)):
        return value
    return next((name for name, each in INITIALIZERS.items() if each == value), value)


def get(initializer: str | Initializer) -> Initializer:
    """The initializer of a name; an object that can be called is returned as it is.

    Raises:
        UsageError: no initializer has this name; it lists those that there are.
    """
    if callable(initializer):
        return initializer
    return choose(INITIALIZERS, initializer, "initializer")
