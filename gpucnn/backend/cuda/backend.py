"""The backend that launches kernels: it composes the families of primitives."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from gpucnn.backend.contract import Array, Backend
from gpucnn.backend.cuda.activation import Activation
from gpucnn.backend.cuda.convolution import Convolution
from gpucnn.backend.cuda.dense import Dense
from gpucnn.backend.cuda.dropout import Dropout
from gpucnn.backend.cuda.gather import Gather
from gpucnn.backend.cuda.launcher import Launcher
from gpucnn.backend.cuda.loss import Loss
from gpucnn.backend.cuda.metrics import Metrics
from gpucnn.backend.cuda.normalization import Normalization
from gpucnn.backend.cuda.optimizers import Optimizers
from gpucnn.backend.cuda.pooling import Pooling
from gpucnn.backend.cuda.steps import Steps


class CudaBackend(
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
    """Arrays of one GPU, or of the simulator: float32 or float64, of any memory layout.

    Args:
        name: of the device: "cuda:0", "sim".
        xp: the array module: CuPy, or the simulator's.
        launcher: compiles and launches kernels on that device.
    """

    def __init__(self, name: str, xp: Any, launcher: Launcher) -> None:
        self.name = name
        self.xp = xp
        self.launcher = launcher

    def asarray(self, array: Any, dtype: Any = None) -> Array:
        return self.launcher.asarray(array, dtype)

    def to_numpy(self, array: Array) -> Any:
        return self.launcher.to_numpy(array)

    def write(self, array: Array, values: Any) -> None:
        self.launcher.write(array, values)

    def owns(self, array: Any) -> bool:
        return self.launcher.owns(array)

    def describe(self) -> dict[str, Any]:
        return self.launcher.describe()

    @property
    def has_graphs(self) -> bool:  # type: ignore[override]
        return self.launcher.has_graphs

    @property
    def choices(self) -> tuple[Any, ...]:  # type: ignore[override]
        return self.launcher.algorithm, self.launcher.wide, self.launcher.multiprocessors

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        return self.launcher.capture(work)

    def compile_ahead(self, work: Callable[[], Any]) -> None:
        self.launcher.compile_ahead(work)

    def shapes_only(self) -> AbstractContextManager[Any]:
        return self.launcher.shapes_only()

    def quiet_device(self) -> AbstractContextManager[Any]:
        return self.launcher.quiet_device()
