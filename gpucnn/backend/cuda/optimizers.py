"""The updates of the optimizers as one kernel launch each. See kernels/optimizer.cu."""

from __future__ import annotations

import numpy as np

from gpucnn.backend import contract
from gpucnn.backend.contract import Array, Scalar
from gpucnn.backend.contract.optimizers import check_step
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
        scalars = [self._scalar("learning_rate", learning_rate, np.float32)]
        if step is not None:
            scalars.append(self._scalar("step", step, np.uint32))
            if not self.owns(step):  # one on the device is not read: the host would wait for it
                check_step(step)
        self.launcher.launch(
            "optimizer", f"{rule}_update", flat_grid(param.size), THREADS,
            param, self._contiguous(grad), *slots, param.size, *scalars, *numbers,
            None if found_inf is None else self._scalar("found_inf", found_inf, np.uint32),
        )  # fmt: skip
