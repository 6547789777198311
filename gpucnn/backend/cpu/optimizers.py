"""The updates of the optimizers in NumPy, a chunk at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpucnn.backend import contract
from gpucnn.backend.contract import Array, Scalar
from gpucnn.backend.cpu.arrays import count_value, flat, scalar_value
from gpucnn.backend.cpu.chunks import CHUNK, blocks
from gpucnn.backend.cpu.parallel import parallel


class Optimizers(contract.Optimizers):
    def _update(
        self,
        rule: str,
        tensors: list[list[Array]],
        numbers: tuple[float, ...],
        learning_rate: Scalar,
        step: Scalar | None,
        found_inf: Scalar | None,
    ) -> None:
        if found_inf is not None and scalar_value(found_inf):
            return
        rate = scalar_value(learning_rate)
        if step is None:
            numbers = rate, *numbers
        else:
            numbers = _adam_numbers(rate, count_value("step", step, first=1), *numbers)
        for arrays in tensors:
            self._apply(rule, arrays, numbers)

    def _apply(self, rule: str, arrays: list[Array], numbers: tuple[float, ...]) -> None:
        """The formula of a rule, with the numbers of this step."""
        formula = _FORMULAS[rule]
        rows = [flat(array) for array in arrays]
        parallel(
            lambda chunk: formula(*(row[chunk] for row in rows), *numbers),
            blocks(rows[0].size, CHUNK),
        )


def _sgd(w: Array, g: Array, rate: float, weight_decay: float) -> None:
    if weight_decay:
        g = g + weight_decay * w
    w -= rate * g


def _momentum(
    w: Array, g: Array, v: Array, rate: float, momentum: float, nesterov: float, weight_decay: float
) -> None:
    if weight_decay:
        g = g + weight_decay * w
    v *= momentum
    v += g
    w -= rate * (g + momentum * v if nesterov else v)


def _rmsprop(
    w: Array, g: Array, s: Array, rate: float, rho: float, rest: float, eps: float,
    weight_decay: float,
) -> None:  # fmt: skip
    if weight_decay:
        g = g + weight_decay * w
    s *= rho
    s += rest * (g * g)
    w -= rate * g / (np.sqrt(s) + eps)


def _adam_numbers(
    rate: float, step: int,
    beta1: float, rest1: float, log_beta1: float, beta2: float, rest2: float, log_beta2: float,
    eps: float, weight_decay: float, decoupled: float,
) -> tuple[float, ...]:  # fmt: skip
    """The numbers of `_adam` at a step: they hold the bias correction and AdamW's decay."""
    return (
        rate / -math.expm1(step * log_beta1), math.sqrt(-math.expm1(step * log_beta2)),
        beta1, rest1, beta2, rest2, eps,
        0.0 if decoupled else weight_decay, 1 - rate * weight_decay if decoupled else 1.0,
    )  # fmt: skip


def _adam(
    w: Array, g: Array, m: Array, v: Array, step_size: float, root_correction: float,
    beta1: float, rest1: float, beta2: float, rest2: float, eps: float,
    weight_decay: float, kept: float,
) -> None:  # fmt: skip
    if kept != 1:  # the decoupled decay of AdamW
        w *= kept
    if weight_decay:
        g = g + weight_decay * w
    m *= beta1
    m += rest1 * g
    v *= beta2
    v += rest2 * (g * g)
    denominator = np.sqrt(v)
    denominator /= root_correction
    denominator += eps
    np.divide(m, denominator, out=denominator)
    denominator *= step_size
    w -= denominator


_FORMULAS: dict[str, Any] = {
    "sgd": _sgd, "momentum": _momentum, "rmsprop": _rmsprop, "adam": _adam,
}  # fmt: skip
