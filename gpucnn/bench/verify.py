"""Whether a result is right: its distance from float64, and the bound of that distance.

The right result is that of the CPU backend in float64, computed by NumPy, for the same arrays. The
tests hold that path to loops written from the formulas.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backend import Backend
from gpucnn.backend.cpu.backend import CpuBackend

Array = NDArray[Any]
Operation = Callable[..., Callable[[], Any]]  # (backend, *its arrays) -> a call


def verify(
    operation: Operation, backend: Backend, arrays: Sequence[Array], terms: Sequence[int]
) -> tuple[float, float]:
    """Error and bound of an operation, of the result that is nearest to its bound.

    Args:
        operation: what is verified; its call gives an array, or a tuple of them.
        backend: computes it.
        arrays: the operands, on the host.
        terms: for each result that is verified, from the first on, the terms in its longest sum.
    """
    wide = [a.astype(np.float64 if a.dtype.kind == "f" else a.dtype) for a in arrays]
    oracle = CpuBackend()
    with oracle.quiet_device():
        expected = _results(operation(oracle, *wide)())
    found = _results(operation(backend, *map(backend.asarray, arrays))())
    assert len(found) == len(expected) >= len(terms)
    dtype = dtype_of(arrays)
    return worst(
        (relative_error(backend.to_numpy(result), exact), bound(count, dtype))
        for result, exact, count in zip(found, expected, terms, strict=False)
    )


def dtype_of(arrays: Sequence[Array]) -> str:
    """The floating dtype of a call with these operands; float32 if none of them has one."""
    return next((a.dtype.name for a in arrays if a.dtype.kind == "f"), "float32")


def _results(found: Any) -> tuple[Any, ...]:
    return tuple(found) if isinstance(found, tuple) else (found,)


def bound(terms: int, dtype: str) -> float:
    """The largest relative L2 error of sums of `terms` terms: 4 u sqrt(terms); 0 terms: exact.

    Rounding errors of a sum add up like a random walk of that many steps of one half-unit u.
    """
    return 4 * float(np.finfo(dtype).eps / 2) * math.sqrt(terms)


def relative_error(found: Array, expected: Array) -> float:
    """||found - expected|| / ||expected|| in float64; inf if anything is not finite."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return math.inf
    distance = float(np.linalg.norm((found.astype(np.float64) - expected).ravel()))
    norm = float(np.linalg.norm(expected.ravel()))
    return distance and (distance / norm if norm else math.inf)


def worst(pairs: Any) -> tuple[float, float]:
    """Of pairs of error and bound the one that is nearest to its bound, or farthest beyond it."""
    return max(pairs, key=lambda pair: pair[0] / pair[1] if pair[1] else pair[0] and math.inf)
