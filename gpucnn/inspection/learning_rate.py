"""A learning rate that is too high or too low, by the course of the loss and by the updates."""

from __future__ import annotations

from itertools import pairwise

from gpucnn.inspection.evidence import Check, Evidence
from gpucnn.inspection.finding import Finding, Threshold
from gpucnn.inspection.guessing import last
from gpucnn.training.metrics import beats_guessing, guessing

UPDATE = Threshold(
    0.3,
    "of the weights in one step",
    "Karpathy, CS231n: about 0.001 is usual; healthy trainings have up to 0.07 after 10 steps"
    " (docs/inspect.md)",
)
SMALL_UPDATE = Threshold(
    1e-5,
    "of the weights in one step, at most",
    "Karpathy, CS231n: about 0.001 is usual, and much less is too low",
)
WORSE = Threshold(
    1.5, "times the loss of guessing", "ours: a model that learns is soon better than guessing"
)
FIRST = Threshold(
    4.0, "times the loss of guessing in the first epoch", "ours: it begins with random weights"
)
DROP = Threshold(
    0.1, "accuracy lost since the best epoch", "ours; Bengio 2012, section 3.1, describes it"
)
SLOW = Threshold(
    0.8,
    "of the loss of guessing after 3 epochs or more",
    "ours; Bengio 2012, section 3.1, describes it",
)
_EPOCHS = 3  # before the course of the loss says that it is slow
_SHARE = 0.01  # of the highest learning rate, below which updates are lost in rounding
_STEPS = 20  # before which the weights that start from 0 change fast


def find(evidence: Evidence) -> list[Finding]:
    """At most one finding: by the updates, then by the loss of the epochs."""
    return (_by_updates(evidence) or _by_loss(evidence))[:1]


def _by_updates(evidence: Evidence) -> list[Finding]:
    share = evidence.rate_share
    updates = {
        path: layer.update / share  # as with the highest learning rate
        for path, layer in (evidence.layers or {}).items()
        if layer.update is not None and share > _SHARE
    }
    if not updates or evidence.steps < _STEPS:
        return []
    layer = max(updates, key=lambda path: updates[path])
    largest = updates[layer]
    if largest > UPDATE.value:
        said = f"{layer}: a step changes its weights by {largest:.0%}"
        return [_high(evidence, largest, UPDATE, said, layer)]
    if 0 < largest < SMALL_UPDATE.value and _is_slow(evidence):
        said = f"a step changes the weights of no layer by more than {largest:.1e} of their norm"
        return [_low(evidence, largest, SMALL_UPDATE, said)]
    return []


def _by_loss(evidence: Evidence) -> list[Finding]:
    records, labels = evidence.records, evidence.labels
    if not records or labels is None or not len(labels):
        return []
    losses = [record["loss"] for record in records]
    accuracies = [record["accuracy"] for record in records]
    constant, _ = guessing(evidence.loss, labels)
    share = losses[-1] / constant if constant else 0.0
    most = WORSE if len(losses) > 1 else FIRST
    if share > most.value:
        said = f"the loss of epoch {len(losses)} is {losses[-1]:.4g}; guessing has {constant:.4g}"
        return [_high(evidence, share, most, said)]
    drop = max(accuracies) - accuracies[-1]
    if drop > DROP.value and losses[-1] > 2 * min(losses):
        best = accuracies.index(max(accuracies)) + 1
        said = (
            f"the accuracy of epoch {best} was {max(accuracies):.2%}, and that of epoch"
            f" {len(losses)} is {accuracies[-1]:.2%}"
        )
        return [_high(evidence, drop, DROP, said)]
    steady = all(later < earlier for earlier, later in pairwise(losses))
    learns = beats_guessing(evidence.loss, labels, losses[-1], accuracies[-1])
    if len(losses) >= _EPOCHS and steady and learns and share > SLOW.value:
        said = (
            f"the loss falls slowly: from {losses[0]:.4g} to {losses[-1]:.4g} in"
            f" {len(losses)} epochs; guessing has {constant:.4g}"
        )
        return [_low(evidence, share, SLOW, said)]
    return []


def _is_slow(evidence: Evidence) -> bool:
    """Whether the loss is not low: near a minimum, small updates are as they should be."""
    latest = last(evidence)
    if latest is None or evidence.labels is None or not len(evidence.labels):
        return False
    return latest[0] > guessing(evidence.loss, evidence.labels)[0] / 2


def _high(
    evidence: Evidence, value: float, threshold: Threshold, said: str, layer: str | None = None
) -> Finding:
    cause = f"{evidence.context.rate} is too high"
    cure = evidence.context.lower_rate()
    return Finding("learning-rate-high", layer, value, threshold, said, cause, cure)


def _low(evidence: Evidence, value: float, threshold: Threshold, said: str) -> Finding:
    cause = f"{evidence.context.rate} is too low, or the training too short"
    cure = evidence.context.raise_rate()
    return Finding("learning-rate-low", None, value, threshold, said, cause, cure)


def _applies(evidence: Evidence) -> str | None:
    if evidence.layers is None and (not evidence.records or evidence.labels is None):
        name = "labels" if evidence.records else "records"
        return evidence.missing.get(name, "no epoch is done")
    config = evidence.context.config
    if config is not None and config.limit_batches is not None:
        return "the training was cut short by limit_batches"
    return None


CHECK = Check("learning rate", (), find, _applies)
