"""All checks, and their run on some evidence."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from gpucnn.inspection import (
    answers,
    balance,
    dead,
    gradients,
    guessing,
    images,
    learning_rate,
    overfitting,
    saturation,
    unchanged,
    weights,
)
from gpucnn.inspection.evidence import Check, Evidence
from gpucnn.inspection.finding import Finding

CHECKS: tuple[Check, ...] = tuple(
    module.CHECK
    for module in (
        images, balance, weights, dead, saturation, unchanged, gradients, learning_rate, guessing,
        overfitting, answers,
    )
)  # fmt: skip

_ANSWERS = {"no-better-than-guessing", "one-class-answered", "class-never-answered"}
_LEARNING = {"learning-rate-high", "learning-rate-low", *_ANSWERS}
_PARTS = {"overfitting", "labels-do-not-fit"}
_LAYERS = {"dead-relu", "saturated", "untrained-layer", "vanishing-gradient"}

#: A finding of the first kind explains findings of the others, which have its cause: they are not
#: told beside it, since its cure is the one to begin with.
EXPLAINS: dict[str, set[str]] = {
    "images-equal": _LAYERS | _LEARNING | _PARTS | {"exploding-gradient"},
    "one-class-only": _LEARNING | _PARTS,
    "weights-all-zero": _LAYERS | _LEARNING,
    "learning-rate-high": {"learning-rate-low"},
    "learning-rate-low": _ANSWERS,
    "relu-on-output": _ANSWERS,
    "no-better-than-guessing": {"learning-rate-low", "class-never-answered"},
    "class-without-images": {"overfitting"},
    "class-imbalance": {"one-class-answered"},
    "labels-do-not-fit": {"class-never-answered"},
}


class Checked(NamedTuple):
    """The result of the checks.

    Attributes:
        findings: in the order of the checks.
        made: the names of the checks that were made.
        unchecked: the names of the others, with the reason.
        lacking: those of them for which evidence is missing; the others do not apply.
    """

    findings: list[Finding]
    made: list[str]
    unchecked: dict[str, str]
    lacking: list[str]


def run(evidence: Evidence, known: Collection[str] = ()) -> Checked:
    """Make each check that the evidence allows.

    Args:
        known: kinds of findings that were told before.
    """
    result = Checked([], [], {}, [])
    kinds = set(known)
    for check in CHECKS:
        lack = evidence.why_not(check.needs) or check.lacks(evidence)
        if reason := lack or check.applies(evidence):
            result.unchecked[check.name] = reason
            if lack:
                result.lacking.append(check.name)
            continue
        result.made.append(check.name)
        explained: set[str] = set().union(*(EXPLAINS.get(kind, ()) for kind in kinds))
        found = [each for each in check.find(evidence) if each.kind not in explained]
        result.findings.extend(found)
        kinds |= {each.kind for each in found}
    return result
