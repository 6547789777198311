"""The backend that computes on NumPy arrays: it composes the families of primitives."""

from __future__ import annotations

import platform
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from gpucnn.backend.contract import Array, Backend
from gpucnn.backend.cpu.activation import Activation
from gpucnn.backend.cpu.arrays import is_plain
from gpucnn.backend.cpu.convolution import Convolution
from gpucnn.backend.cpu.dense import Dense
from gpucnn.backend.cpu.dropout import Dropout
from gpucnn.backend.cpu.gather import Gather
from gpucnn.backend.cpu.heap import keep_freed_memory
from gpucnn.backend.cpu.loss import Loss
from gpucnn.backend.cpu.metrics import Metrics
from gpucnn.backend.cpu.normalization import Normalization
from gpucnn.backend.cpu.optimizers import Optimizers
from gpucnn.backend.cpu.parallel import blas_description, get_threads, quiet_device
from gpucnn.backend.cpu.pooling import Pooling
from gpucnn.backend.cpu.steps import Steps


class CpuBackend(
    Convolution,
    Pooling,
    Dense,
    Activation,
    Loss,
    Normalization,
    Dropout,
    Gather,
    Steps,
    Metrics,
    Optimizers,
    Backend,
):
    """NumPy arrays, float32 or float64, of any memory layout; results are C-contiguous."""

    name = "cpu"
    xp = np
    owns = staticmethod(is_plain)

    def __init__(self) -> None:
        keep_freed_memory()

    def asarray(self, array: Any, dtype: Any = None) -> Array:
        return np.asarray(array, dtype=dtype)

    def to_numpy(self, array: Array) -> Any:
        return np.asarray(array)

    def write(self, array: Array, values: Any) -> None:
        array[...] = values

    def describe(self) -> dict[str, Any]:
        return {
            "device": self.name,
            "processor": platform.machine(),
            "numpy": np.__version__,
            "kernels": "numpy",
            "blas": blas_description(),
            "threads": get_threads(),
        }

    def compile_ahead(self, work: Callable[[], Any]) -> None:
        """There is nothing to compile."""

    def quiet_device(self) -> AbstractContextManager[Any]:
        return quiet_device()
