"""The CPU backend with its float32 primitives compiled by Numba, where that pays."""

from __future__ import annotations

from typing import Any

import numba

from gpucnn.backend.cpu.backend import CpuBackend
from gpucnn.backend.numba.activation import Activation
from gpucnn.backend.numba.convolution import Convolution
from gpucnn.backend.numba.dense import Dense
from gpucnn.backend.numba.dropout import Dropout
from gpucnn.backend.numba.jit import is_compiled
from gpucnn.backend.numba.llvm.vectors import LANES
from gpucnn.backend.numba.loss import Loss
from gpucnn.backend.numba.optimizers import Optimizers
from gpucnn.backend.numba.pooling import Pooling


class CompiledBackend(
    Convolution, Pooling, Dense, Activation, Loss, Dropout, Optimizers, CpuBackend
):
    """As `CpuBackend`, and faster.

    NumPy computes float64, and every primitive that the families do not replace.
    """

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"kernels": f"numba {numba.__version__}, {LANES} lanes"}

    def preparation(self) -> str | None:
        if is_compiled():
            return None
        return "compiling the kernels for this CPU: 10 seconds to a minute, the first time only"
