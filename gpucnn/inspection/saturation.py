"""Sigmoids and tanhs near an end of their range, where their gradient is almost 0."""

from __future__ import annotations

from gpucnn.inspection.activations import NEAR_END
from gpucnn.inspection.evidence import Check, Evidence
from gpucnn.inspection.finding import Finding, Threshold

THRESHOLD = Threshold(
    0.5,
    "of the outputs",
    "Glorot and Bengio 2010 describe it; healthy trainings have up to 24 %, failed ones 91 % and"
    " more (docs/inspect.md)",
)


def find(evidence: Evidence) -> list[Finding]:
    """A finding for each layer, the last apart, with too many saturated outputs."""
    assert evidence.activations is not None
    cause, cure = evidence.too_high(
        f"its weights are too large: they were initialized so, or {evidence.context.rate} is"
        " too high"
    )
    return [
        Finding(
            "saturated",
            each.layer,
            each.saturation,
            THRESHOLD,
            f"{each.layer}: {each.saturation:.0%} of the outputs of its {each.kind} are within"
            f" {NEAR_END:.0%} of an end",
            cause,
            f'{cure}; or kernel_initializer="glorot_uniform", or a ReLU',
        )
        for each in evidence.activations.found
        if not each.is_output and each.saturation >= THRESHOLD.value
    ]


def _applies(evidence: Evidence) -> str | None:
    assert evidence.activations is not None
    has = any(each.kind != "relu" and not each.is_output for each in evidence.activations.found)
    return None if has else "the model has no sigmoid or tanh in it"


CHECK = Check("saturated sigmoids and tanhs", ("activations",), find, _applies)
