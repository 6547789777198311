"""The metrics of a training as one kernel launch, or two. See kernels/metrics.cu."""

from __future__ import annotations

import math

import numpy as np

from gpucnn.backend import contract
from gpucnn.backend.contract import Array
from gpucnn.backend.cuda.launches import THREADS, Launches

_MOST = np.iinfo(np.int32).max  # class ids of a single class: 0 is no, all others are yes


class Metrics(Launches, contract.Metrics):
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
        N, K, *rest = outputs.shape
        ids = targets = None
        if labels.dtype.kind in "iu" if K == 1 else labels.ndim < outputs.ndim:
            ids = self._int32(labels, K if K > 1 else _MOST)
        else:
            with self.quiet_device():
                targets = self._contiguous(labels.astype(outputs.dtype, copy=False))
        parts = self._parts(max(losses.size, outputs.size))
        partial = self.launcher.empty((2, parts), np.float64) if parts > 1 else None
        state = losses.size, N, totals, step, found_inf
        self.launcher.launch(
            "metrics", "accumulate_metrics", parts, THREADS,
            self._contiguous(losses), self._contiguous(outputs), targets, ids,
            K, math.prod(rest), threshold, partial, *state, THREADS=THREADS,
        )  # fmt: skip
        if partial is not None:
            self.launcher.launch(
                "metrics", "accumulate_metrics_parts", 1, THREADS,
                partial, parts, *state, THREADS=THREADS,
            )  # fmt: skip
