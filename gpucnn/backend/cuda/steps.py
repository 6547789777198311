"""The start of a training step as a kernel launch. See kernels/steps.cu."""

from __future__ import annotations

from gpucnn.backend import contract
from gpucnn.backend.contract import Array
from gpucnn.backend.cuda.launches import THREADS, Launches


class Steps(Launches, contract.Steps):
    def _begin_step(
        self,
        place: Array,
        order: Array,
        indices: Array,
        rates: Array | None,
        step: Array | None,
        learning_rate: Array | None,
    ) -> None:
        self.launcher.launch(
            "steps", "begin_step", 1, THREADS,
            place, self._contiguous(order), indices, len(order), len(indices),
            self._contiguous(rates), step, learning_rate, 0 if rates is None else len(rates),
        )  # fmt: skip

    def _increment(self, counter: Array) -> None:
        self.launcher.launch("steps", "increment", 1, 1, counter)
