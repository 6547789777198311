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
DIVERGED = Threshold(1.0, "loss that is not finite", "no step can be made with it")
SLOW = Threshold(
    0.8,
    "of the loss of guessing after 3 epochs or more",
    "ours; Bengio 2012, section 3.1, describes it",
)
_EPOCHS = 3  # before the course of the loss says that it is slow
_SHARE = 0.01  # of the highest learning rate, below which updates are lost in rounding
_STEPS = 20  # before which the weights that start from 0 change fast
_ENOUGH = 100  # steps after which the course of the loss says that it is slow
_CHANGE = 0.1  # of the weights: if all steps together change less, the updates are too small


def find(evidence: Evidence) -> list[Finding]:
    """At most one finding: by a divergence, by the updates, then by the loss of the epochs."""
    found = _by_divergence(evidence) or _by_updates(evidence) or _by_loss(evidence)
    return [found] if found else []


def _by_divergence(evidence: Evidence) -> Finding | None:
    if evidence.diverged is None:
        return None
    message, why = evidence.diverged
    said = f"the training diverged: {message}{f' ({why})' if why else ''}"
    return _high(evidence, 1.0, DIVERGED, said)


def _by_updates(evidence: Evidence) -> Finding | None:
    share = evidence.rate_share
    updates = {
        path: layer.update / share  # as with the highest learning rate
        for path, layer in (evidence.layers or {}).items()
        if layer.update is not None and share > _SHARE
    }
    if not updates or evidence.steps < _STEPS:
        return None
    layer = max(updates, key=lambda path: updates[path])
    largest = updates[layer]
    if largest > UPDATE.value:
        said = f"{layer}: a step changes its weights by {largest:.0%}"
        return _high(evidence, largest, UPDATE, said, layer)
    in_all = largest * (evidence.planned or evidence.steps)
    is_low = evidence.context.is_low and in_all < _CHANGE
    if 0 < largest < SMALL_UPDATE.value and is_low and _is_slow(evidence):
        said = f"a step changes the weights of no layer by more than {largest:.1e} of their norm"
        return _low(evidence, largest, SMALL_UPDATE, said)
    return None


def _by_loss(evidence: Evidence) -> Finding | None:
    records, labels = evidence.records, evidence.labels_of_guessing
    if not records or labels is None:
        return None
    losses = [record["loss"] for record in records]
    accuracies = [record["accuracy"] for record in records]
    constant, _ = guessing(evidence.loss, labels)
    # If most images are of one class, guessing has a loss near 0, and a good model may have more.
    uniform = evidence.uniform_loss
    share = 1 + (losses[-1] - constant) / uniform
    most = WORSE if len(losses) > 1 else FIRST
    if share > most.value:
        said = f"the loss of epoch {len(losses)} is {losses[-1]:.4g}; guessing has {constant:.4g}"
        return _high(evidence, share, most, said)
    drop = max(accuracies) - accuracies[-1]
    if drop > DROP.value and losses[-1] > 2 * min(losses):
        best = accuracies.index(max(accuracies)) + 1
        said = (
            f"the accuracy of epoch {best} was {max(accuracies):.2%}, and that of epoch"
            f" {len(losses)} is {accuracies[-1]:.2%}"
        )
        return _high(evidence, drop, DROP, said)
    steady = all(later < earlier for earlier, later in pairwise(losses))
    learns = beats_guessing(evidence.loss, labels, losses[-1], accuracies[-1])
    is_late = len(losses) >= _EPOCHS and evidence.steps >= _ENOUGH
    if not (evidence.context.is_low and is_late and steady and learns):
        return None
    left = evidence.context.config.epochs - len(losses) if evidence.context.config else 0
    expected = losses[-1] - max(left, 0) * (losses[-2] - losses[-1])
    if expected > SLOW.value * constant and accuracies[-1] < 0.5 and constant > uniform / 2:
        said = (
            f"the loss falls slowly: from {losses[0]:.4g} to {losses[-1]:.4g} in"
            f" {len(losses)} epochs; guessing has {constant:.4g}"
        )
        return _low(evidence, share, SLOW, said)
    return None


def _is_slow(evidence: Evidence) -> bool:
    """Whether the loss is not low: near a minimum, small updates are as they should be."""
    latest = last(evidence)
    labels = evidence.labels_of_guessing
    if latest is None or labels is None:
        return False
    return latest[0] > guessing(evidence.loss, labels)[0] / 2


def _high(
    evidence: Evidence, value: float, threshold: Threshold, said: str, layer: str | None = None
) -> Finding:
    cause, cure = evidence.too_high()
    return Finding("learning-rate-high", layer, value, threshold, said, cause, cure)


def _low(evidence: Evidence, value: float, threshold: Threshold, said: str) -> Finding:
    cause = f"{evidence.context.rate} is too low, or the training too short"
    cure = f"{evidence.context.usual_rate()}; or {evidence.context.more_epochs()}"
    return Finding("learning-rate-low", None, value, threshold, said, cause, cure)


def _applies(evidence: Evidence) -> str | None:
    return None if evidence.diverged else evidence.cut_short()


def _lacks(evidence: Evidence) -> str | None:
    known = evidence.records and evidence.labels_of_guessing is not None
    if known or evidence.diverged or any(e.update for e in (evidence.layers or {}).values()):
        return None
    name = "labels" if evidence.records else "records"
    return evidence.missing.get(name, "no epoch is done")


CHECK = Check("learning rate", (), find, _applies, _lacks)
