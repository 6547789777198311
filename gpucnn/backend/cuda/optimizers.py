"""The updates of the optimizers, of many parameters by a launch. See kernels/optimizer.cu."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpucnn.backend import contract
from gpucnn.backend.contract import Array, Scalar
from gpucnn.backend.cuda.launches import THREADS, Launches, flat_grid

_TENSORS = 64  # of a launch, whose arguments have 4 KB at most


class Optimizers(Launches, contract.Optimizers):
    def _update(
        self,
        rule: str,
        tensors: list[list[Array]],
        numbers: tuple[float, ...],
        learning_rate: Scalar,
        step: Scalar | None,
        found_inf: Scalar | None,
    ) -> None:
        if rule == "sgd":  # the kernel of momentum, without it
            numbers = 0, False, *numbers
        elif rule == "momentum":
            rule = "sgd"
        scalars = [self._scalar(learning_rate, np.float32)]
        if step is not None:
            scalars.append(self._count("step", step, first=1))
        if found_inf is not None:
            found_inf = self._count("found_inf", found_inf)
        for dtype in dict.fromkeys(param.dtype for param, *_ in tensors):
            same = [arrays for arrays in tensors if arrays[0].dtype == dtype]
            for first in range(0, len(same), _TENSORS):
                table = [self._row(*arrays) for arrays in same[first : first + _TENSORS]]
                self.launcher.launch(
                    "optimizer", f"{rule}_update", sum(row[-1] for row in table), THREADS,
                    (table,), *scalars, *numbers, found_inf, TENSORS=_TENSORS,
                )  # fmt: skip

    def _row(self, param: Array, grad: Array, *slots: Array) -> tuple[Any, ...]:
        """A parameter as the table of a kernel lists it."""
        return param, self._contiguous(grad), slots, param.size, flat_grid(param.size)
