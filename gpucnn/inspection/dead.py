"""ReLUs that are 0 for every image: they get no gradient, and so stay as they are."""

from __future__ import annotations

from collections.abc import Iterator

from gpucnn.inspection.evidence import Check, Evidence
from gpucnn.inspection.finding import Finding, Threshold
from gpucnn.training.metrics import get_loss

THRESHOLD = Threshold(
    0.8,
    "of the units",
    "trainings of the built-in networks with full accuracy have up to 67 %, failed ones 88 % and"
    " more (docs/inspect.md)",
)
OUTPUT = Threshold(1.0, "ReLU that gives the outputs", "logits are any real numbers")
_LOGITS = ("softmax_cross_entropy", "binary_cross_entropy")  # losses that take them


def find(evidence: Evidence) -> Iterator[Finding]:
    """A finding for each layer with too many dead ReLUs."""
    assert evidence.activations is not None
    for each in evidence.activations.found:
        if each.kind != "relu":
            continue
        if each.is_output and get_loss(evidence.loss).name in _LOGITS:
            yield Finding(
                "relu-on-output",
                each.layer,
                1.0,
                OUTPUT,
                f"{each.layer}: its ReLU gives the outputs of the model",
                "the loss takes any numbers as outputs, and a ReLU gives none below 0; an output"
                " that is 0 gets no gradient",
                f"leave the ReLU out of {each.layer}",
            )
        elif each.dead >= THRESHOLD.value:
            cause, cure = evidence.too_high(
                f"{evidence.context.rate} was too high, or their biases are far below 0"
            )
            yield Finding(
                "dead-relu",
                each.layer,
                each.dead,
                THRESHOLD,
                f"{each.layer}: {each.dead_units:,} of {each.fired.size:,} ReLUs are dead"
                f" ({each.dead:.0%}): 0 for each of {evidence.activations.images:,} images",
                cause,
                f'{cure}; or activation="leaky_relu" in place of "relu"',
            )


def _applies(evidence: Evidence) -> str | None:
    assert evidence.activations is not None
    has = any(each.kind == "relu" for each in evidence.activations.found)
    return None if has else "the model has no ReLU"


CHECK = Check("dead ReLUs", ("activations",), find, _applies)
