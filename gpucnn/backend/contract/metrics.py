"""The metrics of a training, added up on the device."""

from __future__ import annotations

from abc import abstractmethod

from gpucnn.backend.contract.arrays import Array
from gpucnn.backend.contract.checks import Checks, check_numbers, check_state
from gpucnn.errors import DtypeError, ShapeError


class Metrics(Checks):
    """Outputs are (N, K) or (N, K, ...); labels are class ids (N, ...) or targets like outputs."""

    def accumulate_metrics(
        self,
        totals: Array,
        losses: Array,
        outputs: Array,
        labels: Array,
        *,
        threshold: float = 0.0,
        step: Array | None = None,
        found_inf: Array | None = None,
    ) -> None:
        """Add a batch to the totals of a training: see `gpucnn.ops.accumulate_metrics`."""
        self._check_floats(losses=losses, outputs=outputs)
        self._check_owned(totals=totals, labels=labels, step=step, found_inf=found_inf)
        check_numbers(threshold=threshold)
        check_state("totals", totals, (2,), "float64")
        if (step is None) != (found_inf is None):
            raise ShapeError(
                f"{'step' if step is None else 'found_inf'} is None, and the other is not",
                cause="a step is counted unless its loss is not finite",
                fix="pass both, or none",
            )
        if step is not None and found_inf is not None:
            check_state("step", step, (1,), "uint32")
            check_state("found_inf", found_inf, (1,), "uint32")
        if outputs.ndim < 2 or not outputs.size:
            raise ShapeError(
                f"outputs have shape {tuple(outputs.shape)}",
                cause="they are a batch (N, K): K outputs for each of N images",
                fix="give at least one image, and a class axis: reshape them to (N, 1)",
            )
        if labels.dtype.kind not in "biuf":
            raise DtypeError(
                f"labels are {labels.dtype}",
                cause="they are class ids, integers, or targets, floats",
                fix="number the names: numpy.unique(labels, return_inverse=True)[1]",
            )
        ids = (outputs.shape[0], *outputs.shape[2:])
        if labels.shape not in (ids, outputs.shape):
            raise ShapeError(
                f"labels have shape {tuple(labels.shape)}, outputs {tuple(outputs.shape)}",
                cause="each row of the outputs needs one class id, or a target for each output",
                fix=f"pass labels of shape {ids} or {tuple(outputs.shape)}",
            )
        self._accumulate_metrics(totals, losses, outputs, labels, threshold, step, found_inf)

    @abstractmethod
    def _accumulate_metrics(
        self,
        totals: Array,
        losses: Array,
        outputs: Array,
        labels: Array,
        threshold: float,
        step: Array | None,
        found_inf: Array | None,
    ) -> None: ...
