"""All checks, and their run on some evidence."""

from __future__ import annotations

from typing import NamedTuple

from gpucnn.inspection import (
    answers,
    balance,
    dead,
    gradients,
    guessing,
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
        weights, dead, saturation, unchanged, gradients, learning_rate, guessing, overfitting,
        balance, answers,
    )
)  # fmt: skip


class Checked(NamedTuple):
    """The result of the checks.

    Attributes:
        findings: in the order of the checks.
        made: the names of the checks that were made.
        unchecked: the names of the others, with the reason.
    """

    findings: list[Finding]
    made: list[str]
    unchecked: dict[str, str]


def run(evidence: Evidence) -> Checked:
    """Make each check that the evidence allows."""
    result = Checked([], [], {})
    for check in CHECKS:
        reason = evidence.why_not(check.needs) or check.applies(evidence)
        if reason:
            result.unchecked[check.name] = reason
        else:
            result.made.append(check.name)
            result.findings.extend(check.find(evidence))
    return result
