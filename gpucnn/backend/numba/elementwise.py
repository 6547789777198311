"""Loops over flat arrays that several families share, and how all threads run one; float32."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from gpucnn.backend.contract import Array
from gpucnn.backend.cpu.chunks import blocks
from gpucnn.backend.cpu.parallel import parallel
from gpucnn.backend.numba.jit import inner

_CHUNK = 1 << 16  # elements: a smaller chunk is not worth another thread


def chunks(size: int, multiple: int = 1) -> list[slice]:
    """range(size) in chunks for the threads, each but the last a `multiple` long."""
    return blocks(size, _CHUNK, multiple)


def each(function: Any, arrays: list[Array], *numbers: float) -> None:
    """function(*chunks of the flat arrays, *numbers as float32), by all threads."""
    constants = [np.float32(number) for number in numbers]
    parallel(
        lambda chunk: function(*(array[chunk] for array in arrays), *constants),
        chunks(arrays[0].size),
    )


@inner
def mask_positive(grad_y, y, at, out, to, count):
    """out[to + i] = grad_y[at + i] where y[at + i] > 0, else 0, for i in range(count)."""
    for i in range(count):
        out[to + i] = grad_y[at + i] if y[at + i] > 0 else np.float32(0)


@njit(nogil=True, fastmath={"reassoc"})
def add_up(values, at, count):
    """The sum of values[at : at + count]; the compiler chooses the order, once for all calls."""
    total = np.float32(0)
    for i in range(count):
        total += values[at + i]
    return total
