"""NumPy arrays as the primitives of the CPU take them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpucnn.backend.contract import Array, Scalar
from gpucnn.backend.contract.checks import check_count

_PLAIN = {np.ndarray, np.memmap}


def is_plain(array: Any) -> bool:
    """Whether this is a NumPy array or number, and no subclass with rules of its own."""
    return type(array) in _PLAIN or isinstance(array, np.generic)


def flat(array: Array) -> Array:
    """The array in 1-D; a copy only where it is not contiguous."""
    return np.ascontiguousarray(array).reshape(-1)


def by_channel(array: Array) -> Array:
    """(N, C, ...) as (N, C, pixels)."""
    return array.reshape(*array.shape[:2], math.prod(array.shape[2:]))  # -1 fails when empty


def valid_indices(indices: Array, size: int) -> tuple[Array, Array]:
    """Which indices are in [0, size), and the indices with 0 in place of the others."""
    valid = (indices >= 0) & (indices < size)
    return valid, np.where(valid, indices, 0).astype(np.int64)


def scalar_value(scalar: Scalar) -> float:
    """The number, or the one in an array (1,)."""
    return float(scalar.item() if isinstance(scalar, np.ndarray) else scalar)


def count_value(name: str, scalar: Scalar, first: int = 0) -> int:
    """The same, which must be a whole number: `UsageError` if it is not."""
    value = scalar_value(scalar)
    check_count(name, value, first)
    return int(value)
