"""Gradients that vanish on their way back through the layers, or explode."""

from __future__ import annotations

from gpucnn.inspection import dead, saturation
from gpucnn.inspection.evidence import Check, Evidence
from gpucnn.inspection.finding import Finding, Threshold

VANISHING = Threshold(
    1e-3,
    "of the largest gradient norm of a layer, at most",
    "Glorot and Bengio 2010 describe it; layers of healthy trainings have 0.007 and more, the first"
    " of 8 sigmoid layers 0.00006 (docs/inspect.md)",
)
EXPLODING = Threshold(
    100.0,
    "gradient norm",
    "Pascanu, Mikolov and Bengio 2013 describe it; layers of healthy trainings have up to 4, failed"
    " ones 200 and more (docs/inspect.md)",
)


def find(evidence: Evidence) -> list[Finding]:
    """A finding for each layer whose gradient is much smaller than that of others, or too large."""
    assert evidence.layers is not None
    norms = {
        path: layer.gradient
        for path, layer in evidence.layers.items()
        if layer.gradient is not None and layer.has_weights
    }
    found = [
        _exploding(evidence, path, norm)
        for path, norm in norms.items()
        # One that is not finite explodes. Of a loss of targets, the norm grows with the targets.
        if not norm <= EXPLODING.value and evidence.labels is not None
    ]
    largest = max(norms.values(), default=0.0)
    if not found and largest and not is_blocked(evidence):
        found += [
            _vanishing(path, norm / largest)
            for path, norm in norms.items()
            if norm <= VANISHING.value * largest
        ]
    return found


def _exploding(evidence: Evidence, path: str, norm: float) -> Finding:
    cause, cure = evidence.too_high()
    return Finding(
        "exploding-gradient",
        path,
        norm,
        EXPLODING,
        f"{path}: its gradient explodes: its norm is {norm:.3g}",
        cause,
        f"{cure}; or clip the gradients: clip_norm=1.0, or --clip-norm 1",
    )


def _vanishing(path: str, share: float) -> Finding:
    return Finding(
        "vanishing-gradient",
        path,
        share,
        VANISHING,
        f"{path}: its gradient vanishes: {share:.1e} of that of the layer with the largest",
        "each layer behind it makes the gradient smaller, a sigmoid to a quarter at most",
        'activation="relu" in place of "sigmoid" or "tanh"; or BatchNorm2d, LayerNorm or Residual',
    )


def is_blocked(evidence: Evidence) -> bool:
    """Whether there are dead or saturated layers, which stop the gradient: other findings."""
    if evidence.activations is None:
        return False
    return any(True for check in (dead, saturation) for _ in check.find(evidence))


CHECK = Check("vanishing and exploding gradients", ("layers",), find)
