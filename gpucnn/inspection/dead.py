"""ReLUs that are 0 for every image: they get no gradient, and so stay as they are."""

from __future__ import annotations

from gpucnn.inspection.evidence import Check, Evidence
from gpucnn.inspection.finding import Finding, Threshold

THRESHOLD = Threshold(
    0.8,
    "of the units",
    "trainings of the built-in networks with full accuracy have up to 67 %, failed ones 88 % and"
    " more (docs/inspect.md)",
)


def find(evidence: Evidence) -> list[Finding]:
    """A finding for each layer with too many dead ReLUs."""
    assert evidence.activations is not None
    found = []
    for each in evidence.activations.found:
        if each.kind != "relu" or each.dead < THRESHOLD.value:
            continue
        found.append(
            Finding(
                "dead-relu",
                each.layer,
                each.dead,
                THRESHOLD,
                f"{each.layer}: {each.dead_units:,} of {each.fired.size:,} ReLUs are dead"
                f" ({each.dead:.0%}): 0 for each of {evidence.activations.images:,} images",
                f"{evidence.context.rate} was too high, or their biases are far below 0",
                f'{evidence.context.lower_rate()}; or activation="leaky_relu" in place of "relu"',
            )
        )
    return found


def _applies(evidence: Evidence) -> str | None:
    assert evidence.activations is not None
    has = any(each.kind == "relu" for each in evidence.activations.found)
    return None if has else "the model has no ReLU"


CHECK = Check("dead ReLUs", ("activations",), find, _applies)
