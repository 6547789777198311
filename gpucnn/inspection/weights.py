"""Weights that are not finite, or that are all the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.inspection.evidence import Check, Evidence
from gpucnn.inspection.finding import Context, Finding, Threshold

NOT_FINITE = Threshold(0.0, "of the weights", "one NaN makes every output NaN")
SAME = Threshold(
    0.0, "standard deviation", "units with equal weights get equal gradients: they stay equal"
)


def find(evidence: Evidence) -> Iterator[Finding]:
    """A finding for each array with NaN or infinity, or whose numbers are all equal.

    Biases, and the scales of a normalization, may be equal: arrays of one axis.
    """
    assert evidence.weights is not None
    for path, array in evidence.weights.items():
        if array.dtype.kind != "f" or not array.size:
            continue
        bad = float((~np.isfinite(array)).mean())
        if bad:
            yield _not_finite(evidence.context, path, array, bad)
        elif array.ndim > 1 and array.size > 1 and array.min() == array.max() and evidence.steps:
            yield _same(path, float(array.flat[0]))


def _not_finite(context: Context, path: str, array: NDArray[Any], share: float) -> Finding:
    kind = "NaN" if np.isnan(array).any() else "infinity"
    return Finding(
        "weights-not-finite",
        path,
        share,
        NOT_FINITE,
        f"{path}: {share:.2%} of its numbers are not finite: {kind}",
        f"{context.rate} was too high, or the file was made by another program",
        context.lower_rate(),
    )


def _same(path: str, value: float) -> Finding:
    return Finding(
        "weights-all-zero" if value == 0 else "weights-constant",
        path,
        0.0,
        SAME,
        f"{path}: all its numbers are {value:g}",
        "it was initialized so and does not learn, or its weights were lost",
        'kernel_initializer="glorot_uniform", or "he_uniform" before a ReLU',
    )


CHECK = Check("weights", ("weights",), find)
