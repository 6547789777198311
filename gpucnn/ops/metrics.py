"""The metrics of a training, added up on the device."""

from __future__ import annotations

from gpucnn.backend.contract import Array
from gpucnn.ops.dispatch import backend_of, primitive


@primitive
def accumulate_metrics(
    totals: Array,
    losses: Array,
    outputs: Array,
    labels: Array,
    *,
    threshold: float = 0.0,
    step: Array | None = None,
    found_inf: Array | None = None,
) -> None:
    """Add a batch to the totals of a training, in place; nothing is read back.

        totals[0] += mean(losses) * N
        totals[1] += the number of right answers
        found_inf = 0:  step += 1 if the mean is finite, else found_inf = step + 1

    The answer for an image is the class of its largest output. A single output (K = 1) means yes if
    it is above the threshold, and so does a label above 0.5.

    Args:
        totals: float64 (2,), changed in place: the sums of the losses and of the right answers.
        losses: floats of any shape, whose mean is the loss of the batch.
        outputs: (N, K), or (N, K, ...) with an answer for each pixel; of the dtype of the losses.
        labels: class ids, integers (N,) or (N, ...); or targets of the shape of the outputs.
        threshold: of a single output.
        step: uint32 (1,), changed in place: the number of steps done; None counts nothing.
        found_inf: uint32 (1,), changed in place: the first step whose loss was not finite, or 0.
    """
    backend = backend_of(
        "accumulate_metrics", step, found_inf,
        totals=totals, losses=losses, outputs=outputs, labels=labels,
    )  # fmt: skip
    backend.accumulate_metrics(
        totals, losses, outputs, labels, threshold=threshold, step=step, found_inf=found_inf
    )
