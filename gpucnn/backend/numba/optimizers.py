"""The optimizers' rules, compiled, with the same bits as NumPy's; float32."""

from __future__ import annotations

import math

import numpy as np

from gpucnn.backend.contract import Array
from gpucnn.backend.cpu import optimizers as cpu
from gpucnn.backend.numba.elementwise import each
from gpucnn.backend.numba.jit import entry, flat


class Optimizers(cpu.Optimizers):
    """An update in one pass over the arrays."""

    def _apply(self, rule: str, arrays: list[Array], numbers: tuple[float, ...]) -> None:
        if arrays[0].dtype != np.float32 or rule not in _RULES:
            return super()._apply(rule, arrays, numbers)
        return each(_RULES[rule], [flat(array) for array in arrays], *numbers)


@entry
def _sgd(w, g, rate, weight_decay):
    for i in range(w.size):
        slope = g[i]
        if weight_decay != 0:
            slope = slope + weight_decay * w[i]
        w[i] -= rate * slope


@entry
def _momentum(w, g, v, rate, momentum, nesterov, weight_decay):
    for i in range(w.size):
        slope = g[i]
        if weight_decay != 0:
            slope = slope + weight_decay * w[i]
        v[i] = v[i] * momentum + slope
        w[i] -= rate * (slope + momentum * v[i] if nesterov != 0 else v[i])


@entry
def _rmsprop(w, g, s, rate, rho, rest, eps, weight_decay):
    for i in range(w.size):
        slope = g[i]
        if weight_decay != 0:
            slope = slope + weight_decay * w[i]
        s[i] = s[i] * rho + rest * (slope * slope)
        w[i] -= rate * slope / (math.sqrt(s[i]) + eps)


@entry
def _adam(
    w, g, m, v, step_size, root_correction, beta1, rest1, beta2, rest2, eps, weight_decay, kept
):  # fmt: skip
    for i in range(w.size):
        value = w[i] * kept
        slope = g[i]
        if weight_decay != 0:
            slope = slope + weight_decay * value
        m[i] = m[i] * beta1 + rest1 * slope
        v[i] = v[i] * beta2 + rest2 * (slope * slope)
        w[i] = value - m[i] / (math.sqrt(v[i]) / root_correction + eps) * step_size


_RULES = {"sgd": _sgd, "momentum": _momentum, "rmsprop": _rmsprop, "adam": _adam}
