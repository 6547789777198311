"""Classes that the model never answers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gpucnn.data.labels import listing
from gpucnn.inspection import guessing
from gpucnn.inspection.evidence import Check, Evidence, Result
from gpucnn.inspection.finding import Finding, Threshold
from gpucnn.quoting import on_one_line

NEVER = Threshold(
    1.0, "classes that are never answered", "a class with 10 images or more is answered once"
)
_IMAGES = 10  # of a class that must be answered
ONE = Threshold(1.0, "class is answered for all images", "there are images of several classes")


def find(evidence: Evidence) -> Iterator[Finding]:
    """A finding if only one class is answered, or if some are never."""
    result = _result(evidence)
    assert result is not None
    assert result.answers is not None
    names = evidence.class_names
    labels = np.bincount(result.labels, minlength=len(names))
    answers = np.bincount(result.answers, minlength=len(names))
    if np.count_nonzero(labels) > 1 and np.count_nonzero(answers) == 1:
        only = on_one_line(names[int(answers.argmax())])
        yield Finding(
            "one-class-answered",
            None,
            1.0,
            ONE,
            f"each of {len(result.labels):,} {result.name} images gets the answer {only}",
            "the model has learned nothing but the most frequent class, or its last layers are"
            " dead",
            guessing.cure(evidence),
        )
        return
    never = [
        name
        for name, label, answer in zip(names, labels, answers, strict=True)
        if label >= _IMAGES and not answer
    ]
    if never:
        yield Finding(
            "class-never-answered",
            None,
            float(len(never)),
            NEVER,
            f"{len(never)} of {len(names)} classes {'is' if len(never) == 1 else 'are'} never"
            f" answered for {len(result.labels):,} {result.name} images: {listing(never)}",
            "too few training images, a likeness to another class, or too short a training",
            f"{evidence.context.more_epochs()}; or add images of each such class",
        )


def _result(evidence: Evidence) -> Result | None:
    """The result to look at: on the images that were held out, else on those of the training."""
    known = (evidence.held_out, evidence.trained)
    return next((each for each in known if each and each.answers is not None), None)


def _lacks(evidence: Evidence) -> str | None:
    return None if _result(evidence) else evidence.missing.get("trained", "there are no answers")


CHECK = Check("answered classes", (), find, Evidence.not_begun, _lacks)
