"""The updates of the optimizers, and the clipping of gradients: many parameters by a launch.

See kernels/optimizer.cu and kernels/clip_grad_norm.cu.
"""

from __future__ import annotations

from collections.abc import Iterator
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
        for places in _tables([param for param, *_ in tensors]):
            table = [self._row(*tensors[place]) for place in places]
            self.launcher.launch(
                "optimizer", f"{rule}_update", sum(row[-1] for row in table), THREADS,
                (table,), *scalars, *numbers, found_inf, TENSORS=_TENSORS,
            )  # fmt: skip

    def _clip_grad_norm(
        self,
        grads: list[Array],
        max_norm: float,
        halted: Array | None,
        step: Array | None,
        found_inf: Array | None,
    ) -> tuple[list[Array], Array]:
        grads = [self._contiguous(grad) for grad in grads]
        clipped = [self.launcher.empty(grad.shape, grad.dtype) for grad in grads]
        parts = [self._parts(grad.size) for grad in grads]
        partial = self.launcher.empty((sum(parts),), np.float64)
        norm, factor = (self.launcher.empty((1,), np.float64) for _ in range(2))
        constants, first = {"TENSORS": _TENSORS, "THREADS": THREADS}, 0
        for places in _tables(grads):
            table = [(grads[place], None, grads[place].size, parts[place]) for place in places]
            blocks = sum(row[-1] for row in table)
            self.launcher.launch(
                "clip_grad_norm", "squared_norm", blocks, THREADS,
                (table,), partial, first, **constants,
            )  # fmt: skip
            first += blocks
        self.launcher.launch(
            "clip_grad_norm", "clip_factor", 1, THREADS,
            partial, len(partial), max_norm, norm, factor, halted, step, found_inf, **constants,
        )  # fmt: skip
        for places in _tables(grads):
            table = [
                (grads[place], clipped[place], grads[place].size, flat_grid(grads[place].size))
                for place in places
            ]
            self.launcher.launch(
                "clip_grad_norm", "scale_gradients", sum(row[-1] for row in table), THREADS,
                (table,), factor, **constants,
            )  # fmt: skip
        return clipped, norm

    def _row(self, param: Array, grad: Array, *slots: Array) -> tuple[Any, ...]:
        """A parameter as the table of a kernel lists it."""
        return param, self._contiguous(grad), slots, param.size, flat_grid(param.size)


def _tables(arrays: list[Array]) -> Iterator[list[int]]:
    """The places of the arrays that a launch takes: of one dtype, and as many as a table has."""
    for dtype in dict.fromkeys(array.dtype for array in arrays):
        same = [place for place, array in enumerate(arrays) if array.dtype == dtype]
        for first in range(0, len(same), _TENSORS):
            yield same[first : first + _TENSORS]
