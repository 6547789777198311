"""A training that is no better than a constant answer."""

from __future__ import annotations

from gpucnn.inspection.evidence import Check, Evidence
from gpucnn.inspection.finding import Finding, Threshold
from gpucnn.training.metrics import beats_guessing, get_loss, guessing

THRESHOLD = Threshold(
    0.98,
    "of the loss of guessing",
    "a constant answer, which does not depend on the image, has the loss of guessing",
)


def find(evidence: Evidence) -> list[Finding]:
    """A finding if the last epoch is not better than the best constant answer."""
    assert evidence.labels is not None
    latest = last(evidence)
    assert latest is not None
    if beats_guessing(evidence.loss, evidence.labels, *latest):
        return []
    loss, accuracy = latest
    constant_loss, constant_accuracy = guessing(evidence.loss, evidence.labels)
    worse = loss > 2 * constant_loss
    return [
        Finding(
            "no-better-than-guessing",
            None,
            loss / constant_loss if constant_loss else 0.0,
            THRESHOLD,
            f"the training has the loss {loss:.4g} and the accuracy {accuracy:.2%};"
            f" guessing has {constant_loss:.4g} and {constant_accuracy:.2%}",
            f"{evidence.context.rate} is too high"
            if worse
            else f"{evidence.context.rate} does not fit, the steps were too few, the labels do not"
            " belong to the images, or a layer has failed",
            evidence.context.lower_rate()
            if worse
            else f"{evidence.context.other_rate()}; or look whether the labels are right:"
            " data.load(...).train.show(slice(12))",
        )
    ]


def last(evidence: Evidence) -> tuple[float, float] | None:
    """(loss, accuracy) on the training images: of the last epoch, else as they are now."""
    if evidence.records:
        return evidence.records[-1]["loss"], evidence.records[-1]["accuracy"]
    if evidence.trained and evidence.steps:
        return evidence.trained.loss, evidence.trained.accuracy
    return None


def _applies(evidence: Evidence) -> str | None:
    config = evidence.context.config
    if config is not None and config.limit_batches is not None:
        return "the training was cut short by limit_batches"
    if get_loss(evidence.loss).guess is None:
        return "the loss of a constant answer is not known for this loss"
    if last(evidence) is not None:
        return None
    return evidence.missing.get("records", "no epoch is done")


CHECK = Check("learning at all", ("labels",), find, _applies)
