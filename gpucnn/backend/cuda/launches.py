"""Helpers of all families: sizes of a grid, and arguments made ready for a kernel.

A kernel takes no strides: its inputs are made C-contiguous here, its outputs come from
`Launcher.empty`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from gpucnn.backend import contract
from gpucnn.backend.contract import Array, Scalar
from gpucnn.backend.contract.checks import check_count
from gpucnn.backend.cuda.launcher import Launcher

THREADS = 256  # of a block
WARP = 32
PACK = 4  # neighboring elements of a thread in a pass over flat arrays
_BLOCKS = 8  # of a multiprocessor, so that a reduction fills it
_LEAST_WORK = 16  # elements a thread: below, a further part of a reduction costs more than it gains


def grid(threads: int) -> int:
    """Blocks of THREADS for so many threads."""
    return -(-threads // THREADS)


def flat_grid(n: int) -> int:
    """Blocks for a pass over n elements, one thread for each pack."""
    return grid(-(-n // PACK))


class Launches(contract.Arrays):
    """Base of the families of the CUDA backend."""

    launcher: Launcher

    def _contiguous(self, array: Array | None) -> Any:
        """The array with the strides that a kernel expects; a copy only where they differ."""
        if array is None or array.flags.c_contiguous:
            return array
        with self.quiet_device():
            return self.xp.ascontiguousarray(array)

    def _int32(self, indices: Array, size: int) -> Array:
        """Indices as int32; those outside [0, size) stay outside, whatever their type."""
        if indices.dtype != np.int32:
            with self.quiet_device():
                valid = (indices >= 0) & (indices < size)
                indices = self.xp.where(valid, indices.astype(np.int32), np.int32(-1))
        return self._contiguous(indices)

    def _scalar(self, value: Scalar, dtype: Any) -> Array:
        """A number as an array (1,) of this device; such an array as it is."""
        if not self.owns(value):
            return self.asarray(np.array([value], dtype))
        if value.dtype != dtype:
            with self.quiet_device():
                value = value.astype(dtype)
        return self._contiguous(value)

    def _count(self, name: str, value: Scalar, first: int = 0) -> Array:
        """The same as uint32. An array is not looked at: the host would wait for the device."""
        if not self.owns(value):
            check_count(name, value, first)
        return self._scalar(value, np.uint32)

    def _reduction(self, x: Array) -> Reduction:
        """How to cut up the sum of x (N, C, ...) by channel."""
        N, C = x.shape[:2]
        P = math.prod(x.shape[2:])
        if N * P == 0:
            N, P = 0, 1  # a sum of nothing is zero, however it is empty
        lanes = WARP if P == 1 else 1
        blocks = max(1, -(-C // lanes))
        return Reduction(N, C, P, lanes, self._parts(N * P * lanes, blocks))

    def _parts(self, elements: int, blocks: int = 1) -> int:
        """How many blocks share each of so many sums, of so many elements."""
        most = elements // (_LEAST_WORK * THREADS)
        return max(1, min(-(-_BLOCKS * self.launcher.multiprocessors // blocks), most))


class Reduction(NamedTuple):
    """How the sum over (N, C, P) by channel is cut up; see kernels/channels.cuh."""

    N: int
    C: int
    P: int
    lanes: int  # channels of a block
    parts: int  # blocks that share a channel

    @property
    def grid(self) -> tuple[int, int]:
        return -(-self.C // self.lanes), self.parts

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        return self.N, self.C, self.P, self.lanes
