"""Cutting work into chunks, and the memory that a chunk is computed in.

Chunks depend on the shape of the work alone, never on the number of threads, and partial results
are added up in their order: that keeps the bits the same.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from gpucnn.backend.contract import Array

CHUNK = 1 << 16  # elements of a chunk of flat arrays: the operands stay in the cache
PARTS = 8  # partial sums of a reduction over the batch: fixed, so that their order is
_LEAST_CHUNKS = 4  # of work of some size, whatever the number of threads
_LINE = 64  # bytes of a line of the cache: a vector that lies across two takes twice the time
_scratch = threading.local()


def blocks(size: int, most: int, multiple: int = 1) -> list[slice]:
    """range(size) in even slices of at most `most`, each but the last a `multiple` long."""
    if 0 < size <= most:
        return [slice(0, size)]
    count = -(-size // most) or 1
    block = -(-size // (count * multiple)) * multiple or 1
    return [slice(start, min(start + block, size)) for start in range(0, size, block)]


def chunk_size(count: int, most: int) -> int:
    """How many of `count` items make a chunk: at most `most`, but enough chunks to be shared out.

    A chunk below a quarter of `most` is too short to be worth handing to a thread.
    """
    return max(1, min(most, max(-(-count // _LEAST_CHUNKS), most // 4)))


def scratch(name: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """An uninitialized array of this thread, reused by the next call with the same name."""
    buffer, array, *before = getattr(_scratch, name, (None, None))
    if before == [shape, dtype]:
        return array
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if buffer is None or buffer.size < size:
        memory = np.empty(size + _LINE, np.uint8)
        buffer = memory[-memory.ctypes.data % _LINE :]
    array = buffer[:size].view(dtype).reshape(shape)
    setattr(_scratch, name, (buffer, array, shape, dtype))
    return array


def sum_in_order(partials: list[Array], shape: tuple[int, ...], dtype: Any) -> Array:
    """The sum of the partial results in their order."""
    total = np.zeros(shape, dtype)
    for partial in partials:
        total += partial.reshape(shape)
    return total


def keep(values: Array, mask: Array, out: Array) -> Array:
    """out = values where the mask (bool, or uint8 0 and 1) is set, else 0, also for NaN and inf.

    A bitwise and: `numpy.where` and masked copies take over ten times as long.
    """
    integer = np.dtype(f"i{values.itemsize}")
    ones = scratch("ones", mask.shape, integer)
    np.copyto(ones, mask.view(np.uint8))
    np.negative(ones, out=ones)
    np.bitwise_and(values.view(integer), ones, out=out.view(integer))
    return out
