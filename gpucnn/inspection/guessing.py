"""A training that is no better than a constant answer."""

from __future__ import annotations

from collections.abc import Iterator

from gpucnn.inspection.evidence import Check, Evidence
from gpucnn.inspection.finding import Finding, Threshold
from gpucnn.training.metrics import beats_guessing, get_loss, guessing

THRESHOLD = Threshold(
    0.98,
    "of the loss of guessing",
    "a constant answer, which does not depend on the image, has the loss of guessing",
)
_LABELS = "look whether the labels are right: data.load(...).train.show(slice(12))"
_ENOUGH = 50  # steps after which a training is better than guessing


def find(evidence: Evidence) -> Iterator[Finding]:
    """A finding if the last epoch is not better than the best constant answer."""
    labels = evidence.labels_of_guessing
    assert labels is not None
    latest = last(evidence)
    assert latest is not None
    if beats_guessing(evidence.loss, labels, *latest):
        return
    # The result of an epoch is a mean over its steps: the model may be better by now.
    others = (evidence.held_out, evidence.tested)
    for now in others if any(others) else (evidence.trained,):
        if now and beats_guessing(evidence.loss, now.labels, now.loss, now.accuracy):
            return
    loss, accuracy = latest
    constant_loss, constant_accuracy = guessing(evidence.loss, labels)
    high = evidence.too_high()
    worse = evidence.is_unscaled or loss > constant_loss + evidence.uniform_loss
    yield Finding(
        "no-better-than-guessing",
        None,
        loss / constant_loss if constant_loss else 0.0,
        THRESHOLD,
        f"the training has the loss {loss:.4g} and the accuracy {accuracy:.2%};"
        f" guessing has {constant_loss:.4g} and {constant_accuracy:.2%}",
        high[0]
        if worse
        else f"{evidence.context.rate} does not fit, the steps were too few, the labels do not"
        " belong to the images, or a layer has failed",
        high[1] if worse else cure(evidence),
    )


def cure(evidence: Evidence) -> str:
    """The cures of a training that does not learn: those that cost least first."""
    cures = [evidence.context.other_rate(), _LABELS]
    if evidence.context.is_usual and evidence.steps >= _ENOUGH:  # more steps will not help
        cures.reverse()
    return "; or ".join(cures)


def last(evidence: Evidence) -> tuple[float, float] | None:
    """(loss, accuracy) on the training images: of the last epoch, else as they are now."""
    if evidence.records:
        return evidence.records[-1]["loss"], evidence.records[-1]["accuracy"]
    if evidence.trained and evidence.steps:
        return evidence.trained.loss, evidence.trained.accuracy
    return None


def _applies(evidence: Evidence) -> str | None:
    is_known = get_loss(evidence.loss).guess is not None
    unknown = None if is_known else "the loss of a constant answer is not known for this loss"
    return evidence.cut_short() or unknown


def _lacks(evidence: Evidence) -> str | None:
    if evidence.labels_of_guessing is None:
        return evidence.missing.get("labels", "there are no labels")
    return None if last(evidence) else evidence.missing.get("records", "no epoch is done")


CHECK = Check("learning at all", (), find, _applies, _lacks)
