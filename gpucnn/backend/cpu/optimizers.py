"""The updates of the optimizers, and the clipping of gradients, in NumPy, a chunk at a time."""

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

    def _clip_grad_norm(
        self,
        grads: list[Array],
        max_norm: float,
        halted: Array | None,
        step: Array | None,
        found_inf: Array | None,
    ) -> tuple[list[Array], Array]:
        clipped = [np.empty(grad.shape, grad.dtype) for grad in grads]
        chunks = [
            (row[chunk], out.reshape(-1)[chunk])
            for row, out in zip(map(flat, grads), clipped, strict=True)
            for chunk in blocks(row.size, CHUNK)
        ]
        norm = math.sqrt(sum(parallel(lambda pair: _squared_norm(pair[0]), chunks)))
        ratio = max_norm / (norm + 1e-6)
        factor = 1.0 if ratio > 1 else ratio  # NaN stays NaN
        if halted is not None and step is not None and found_inf is not None:
            counts = not halted[0] and math.isfinite(norm)
            step += np.uint32(counts)
            found_inf[0] = not counts
            factor = factor if counts else 1.0
        parallel(lambda pair: np.multiply(pair[0], pair[0].dtype.type(factor), out=pair[1]), chunks)
        return clipped, np.array([norm])

    def _apply(self, rule: str, arrays: list[Array], numbers: tuple[float, ...]) -> None:
        """The formula of a rule, with the numbers of this step."""
        formula = _FORMULAS[rule]
        rows = [flat(array) for array in arrays]
        parallel(
            lambda chunk: formula(*(row[chunk] for row in rows), *numbers),
            blocks(rows[0].size, CHUNK),
        )


def _squared_norm(row: Array) -> float:
    """In float64, where the squares of float32 do not overflow."""
    wide = row.astype(np.float64, copy=False)
    return float((wide * wide).sum())


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
