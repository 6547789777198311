"""The metrics of a training in NumPy."""

from __future__ import annotations

import numpy as np

from gpucnn.backend import contract
from gpucnn.backend.contract import Array


class Metrics(contract.Metrics):
    def _accumulate_metrics(
        self,
        totals: Array,
        losses: Array,
        outputs: Array,
        labels: Array,
        threshold: float,
        step: Array | None,
        found_inf: Array | None,
    ) -> None:
        with self.quiet_device():
            loss = losses.mean()
            totals[0] += loss.astype("float64") * len(outputs)
            totals[1] += _count_right(outputs, labels, threshold)
        if step is None or found_inf is None or found_inf[0]:
            return
        if np.isfinite(loss):
            step += np.uint32(1)
        else:
            found_inf[0] = step[0] + np.uint32(1)


def _count_right(outputs: Array, labels: Array, threshold: float) -> int:
    """The number of right answers; see `gpucnn.ops.accumulate_metrics`."""
    if outputs.shape[1] == 1:
        return ((outputs > threshold) == (labels.reshape(outputs.shape) > 0.5)).sum()
    classes = labels if labels.ndim < outputs.ndim else labels.argmax(axis=1)
    return (outputs.argmax(axis=1) == classes).sum()
