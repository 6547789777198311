"""A model that knows its training images, and not others."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gpucnn.inspection.evidence import Check, Evidence, Result
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
_IMAGES = 20  # held out, below which nothing is said


def find(evidence: Evidence) -> list[Finding]:
    """A finding if the accuracy on other images is much lower than on the training images."""
    found: list[Finding] = []
    for other in _judged(evidence):
        known = {each.kind for each in found}
        found += [each for each in _on(evidence, other) if each.kind not in known]
    return found


def _judged(evidence: Evidence) -> list[Result]:
    """The results on other images, of those that are enough."""
    others = (evidence.held_out, evidence.tested)
    return [each for each in others if each and len(each.labels) >= _IMAGES]


def _on(evidence: Evidence, other: Result) -> Iterator[Finding]:
    trained = evidence.trained
    assert trained is not None
    if not beats_guessing(evidence.loss, trained.labels, math.inf, trained.accuracy):
        return  # nothing was learned by heart
    gap = trained.accuracy - other.accuracy
    lowest, _ = _interval(trained.accuracy, len(trained.labels))
    _, highest = _interval(other.accuracy, len(other.labels))
    # The least that the gap may be by chance: Newcombe 1998, method 10.
    sure = gap - math.hypot(trained.accuracy - lowest, highest - other.accuracy)
    said = (
        f"accuracy {trained.accuracy:.2%} on the training images, and"
        f" {other.accuracy:.2%} on {len(other.labels):,} {other.name} images"
    )
    # By the accuracy alone: the loss on images that the model is wrong about has no upper bound.
    guesses = not beats_guessing(evidence.loss, other.labels, math.inf, other.accuracy)
    if guesses and sure > NOTHING.value:
        yield Finding(
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
    elif sure > GAP.value:
        yield Finding(
            "overfitting",
            None,
            gap,
            GAP,
            said,
            "the model has more parameters than the images determine: it learns them by heart",
            f"{_cure(evidence)}; or more images, Dropout, a smaller model",
        )


def _interval(accuracy: float, count: int) -> tuple[float, float]:
    """Where the true accuracy is, by Wilson's interval of two standard errors."""
    z = 2.0
    center = accuracy + z * z / (2 * count)
    spread = z * math.sqrt(accuracy * (1 - accuracy) / count + (z / (2 * count)) ** 2)
    return (center - spread) / (1 + z * z / count), (center + spread) / (1 + z * z / count)


def _cure(evidence: Evidence) -> str:
    config = evidence.context.config
    if config is not None and config.shift:
        return evidence.context.train_again(weight_decay=0.01, optimizer="adamw")
    return evidence.context.train_again(shift=2, rotate=10)


def _applies(evidence: Evidence) -> str | None:
    config = evidence.context.config
    if config is not None and config.overfit_batches is not None:
        return "overfit_batches asks for it"
    return evidence.cut_short() or evidence.not_begun()


def _lacks(evidence: Evidence) -> str | None:
    return None if _judged(evidence) else f"fewer than {_IMAGES} images are held out"


CHECK = Check("overfitting", ("trained", "held_out"), find, _applies, _lacks)
