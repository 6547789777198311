"""What several primitives do with a stretch of floats."""

from __future__ import annotations

import numpy as np
from numba import njit

from gpucnn.backend.compiled.jit import inner


@inner
def mask_positive(grad_y, y, at, out, to, count):
    """out[to + i] = grad_y[at + i] where y[at + i] > 0, else 0, for i in range(count)."""
    for i in range(count):
        out[to + i] = grad_y[at + i] if y[at + i] > 0 else np.float32(0)


@njit(nogil=True, fastmath={"reassoc"})
def add_up(values, at, count):
    """The sum of values[at : at + count], in an order that suits the compiler: always the same."""
    total = np.float32(0)
    for i in range(count):
        total += values[at + i]
    return total
