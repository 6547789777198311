"""The start of a training step in NumPy."""

from __future__ import annotations

import numpy as np

from gpucnn.backend import contract
from gpucnn.backend.contract import Array


class Steps(contract.Steps):
    def _begin_step(
        self,
        place: Array,
        order: Array,
        indices: Array,
        rates: Array | None,
        step: Array | None,
        learning_rate: Array | None,
    ) -> None:
        first = int(place[0])
        found = order[first : first + len(indices)]
        indices[: len(found)] = found
        indices[len(found) :] = -1
        if rates is not None and step is not None and learning_rate is not None:
            learning_rate[0] = rates[min(int(step[0]), len(rates) - 1)]
        place += np.uint32(len(indices))

    def _increment(self, counter: Array) -> None:
        counter += np.uint32(1)
