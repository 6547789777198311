"""The updates of the optimizers as one kernel launch each. See kernels/optimizer.cu."""

from __future__ import annotations

import numpy as np

from gpucnn.backend import contract
from gpucnn.backend.contract import Array, Scalar
from gpucnn.backend.cuda.launches import THREADS, Launches, flat_grid


class Optimizers(Launches, contract.Optimizers):
    def _update(
        self,
        rule: str,
        arrays: list[Array],
        numbers: tuple[float, ...],
        learning_rate: Scalar,
        step: Scalar | None,
        found_inf: Scalar | None,
    ) -> None:
        if rule == "sgd":  # the kernel of momentum, without it
            arrays, numbers = [*arrays, None], (0, False, *numbers)
        elif rule == "momentum":
            rule = "sgd"
        param, grad, *slots = arrays
        scalars = [self._scalar(learning_rate, np.float32)]
        if step is not None:
            scalars.append(self._count("step", step, first=1))
        self.launcher.launch(
            "optimizer", f"{rule}_update", flat_grid(param.size), THREADS,
            param, self._contiguous(grad), *slots, param.size, *scalars, *numbers,
            None if found_inf is None else self._count("found_inf", found_inf),
        )  # fmt: skip
