"""A model that knows its training images, and not others."""

from __future__ import annotations

import math

from gpucnn.inspection.evidence import Check, Evidence
from gpucnn.inspection.finding import Finding, Threshold
from gpucnn.training.metrics import beats_guessing

GAP = Threshold(
    0.05,
    "accuracy lost between the training images and others, beyond chance",
    "Goodfellow, Bengio and Courville 2016, section 5.2, define the gap; healthy trainings on"
    " MNIST and digits lose up to 3 % (docs/inspect.md)",
)
NOTHING = Threshold(
    0.25,
    "accuracy lost between the training images and others, which are answered as by guessing",
    "images that share no pattern with the training images can only be guessed",
)


def find(evidence: Evidence) -> list[Finding]:
    """A finding if the accuracy on other images is much lower than on the training images."""
    trained, other = evidence.trained, evidence.held_out
    assert trained is not None
    assert other is not None
    gap = trained.accuracy - other.accuracy
    chance = 2 * math.sqrt(other.accuracy * (1 - other.accuracy) / max(len(other.labels), 1))
    said = (
        f"accuracy {trained.accuracy:.2%} on the training images, and"
        f" {other.accuracy:.2%} on {len(other.labels):,} {other.name} images"
    )
    # By the accuracy alone: the loss on images that the model is wrong about has no upper bound.
    guesses = not beats_guessing(evidence.loss, other.labels, math.inf, other.accuracy)
    if guesses and gap > NOTHING.value:
        return [
            Finding(
                "labels-do-not-fit",
                None,
                gap,
                NOTHING,
                said,
                "the labels of one part do not belong to its images: they are in another order, or"
                " shuffled; the model has learned images by heart",
                "look at the images with their labels: data.load(...).train.show(slice(12)), and"
                f" .{other.name}.show(slice(12))",
            )
        ]
    if gap - chance <= GAP.value:
        return []
    return [
        Finding(
            "overfitting",
            None,
            gap,
            GAP,
            said,
            "the model has more parameters than the images determine: it learns them by heart",
            f"{_cure(evidence)}; or more images, Dropout, a smaller model",
        )
    ]


def _cure(evidence: Evidence) -> str:
    config = evidence.context.config
    if config is not None and config.shift:
        return evidence.context.train_again(weight_decay=0.01, optimizer="adamw")
    return evidence.context.train_again(shift=2, rotate=10)


def _applies(evidence: Evidence) -> str | None:
    config = evidence.context.config
    if config is not None and config.overfit_batches is not None:
        return "overfit_batches asks for it"
    if config is not None and config.limit_batches is not None:
        return "the training was cut short by limit_batches"
    return None if evidence.steps else "the training has not begun"


CHECK = Check("overfitting", ("trained", "held_out"), find, _applies)
