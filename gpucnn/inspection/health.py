"""`Health`: the result of an inspection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.data import Dataset
from gpucnn.inspection.activations import Activation
from gpucnn.inspection.data import WrongImage
from gpucnn.inspection.evidence import Evidence, Result
from gpucnn.inspection.finding import Finding, finite, lines
from gpucnn.inspection.updates import layer_of
from gpucnn.training import SavedModel


@dataclass(frozen=True)
class LayerHealth:
    """The measures of a layer with parameters; None is not known, or does not apply.

    Args:
        layer: its path.
        dead: the share of its ReLUs that are 0 for every training image.
        saturated: the share of the outputs of its sigmoid or tanh that are near an end.
        gradient: the Euclidean norm of the gradient by its parameters in a step.
        update: the norm of the change of its weights in a step, relative to their norm.
        weight: the root mean square of its weights.
    """

    layer: str
    dead: float | None = None
    saturated: float | None = None
    gradient: float | None = None
    update: float | None = None
    weight: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            key: finite(value) if isinstance(value, float) else value
            for key, value in asdict(self).items()
        }


@dataclass(frozen=True, eq=False)
class Health:
    """The result of an inspection.

    Args:
        name: of what was inspected.
        epoch: the number of epochs of the training so far; None if it is not known.
        findings: the warnings; none for a healthy model.
        checked: the names of the checks that were made.
        unchecked: the names of the others, each with the reason.
        layers: the measures of each layer.
        is_judged: whether more checks were made than evidence is missing for.
        cure: what to type so that more can be checked; empty if nothing is missing.
        results: loss and accuracy on the parts of the data that were looked at.
        most_wrong: images with wrong answers, the one with the highest loss first.
        looked_at: the data set that these are in; None without one.
        saved: the model, if it is of a run or of a file of one.
        data: how the data of the run were read, in words.
        notes: remarks on them.
    """

    name: str
    epoch: int | None
    findings: Sequence[Finding]
    checked: Sequence[str]
    unchecked: dict[str, str]
    layers: Sequence[LayerHealth]
    is_judged: bool = True
    cure: str = ""
    results: Sequence[Result] = ()
    most_wrong: Sequence[WrongImage] = ()
    looked_at: Dataset | None = field(default=None, repr=False)
    saved: SavedModel | None = field(default=None, repr=False)
    data: str = ""
    notes: Sequence[str] = ()

    @property
    def part(self) -> str:
        """The name of the part of the data that `most_wrong` is of."""
        return self.results[:2][-1].name if self.results else ""

    @property
    def is_healthy(self) -> bool:
        """Whether there are no warnings, and enough checks were made to say so."""
        return self.is_judged and not self.findings

    @property
    def unchecked_by_reason(self) -> dict[str, list[str]]:
        """Each reason in `unchecked`, with the names of the checks that it is the reason for."""
        found: dict[str, list[str]] = {}
        for name, reason in self.unchecked.items():
            found.setdefault(reason, []).append(name)
        return found

    @property
    def verdict(self) -> str:
        """The result in a line."""
        count = len(self.checked)
        of = f"of {self.name}" + (f", epoch {self.epoch}" if self.epoch is not None else "")
        place = f"{count} check{'s' * (count != 1)} {of}"
        if self.is_healthy:
            return f"healthy: no warnings in {place}"
        if not self.findings:
            total = count + len(self.unchecked)
            return f"not judged: {count} of {total} checks {of} could be made"
        warnings = len(self.findings)
        return f"{warnings} warning{'s' * (warnings != 1)} in {place}"

    def __str__(self) -> str:
        """The verdict, how to check more, and the findings."""
        more = [f"  fix: {self.cure}"] if self.cure else []
        return "\n".join([self.verdict, *more, *lines(self.findings)])


def layers_of(evidence: Evidence) -> list[LayerHealth]:
    """The measures of each layer that has parameters, in the order of the model."""
    if evidence.model is None:
        return []
    activations: dict[str, Activation] = {}
    for each in evidence.activations.found if evidence.activations else ():
        activations.setdefault(each.layer, each)
    matrices: dict[str, list[NDArray[Any]]] = {}
    for path, parameter in evidence.model.named_parameters():
        known = matrices.setdefault(layer_of(path), [])
        if parameter.ndim > 1 and evidence.weights is not None:
            known.append(evidence.weights[path])
    found = []
    for layer, weights in matrices.items():
        output, step = activations.get(layer), (evidence.layers or {}).get(layer)
        is_relu = output is not None and output.kind == "relu"
        found.append(
            LayerHealth(
                layer,
                dead=output.dead if output and is_relu else None,
                saturated=output.saturation if output and not is_relu else None,
                gradient=step.gradient if step else None,
                update=step.update if step else None,
                weight=_root_mean_square(weights[0]) if weights else None,
            )
        )
    return found


def _root_mean_square(weight: NDArray[Any]) -> float:
    return float(np.sqrt(np.square(weight, dtype=np.float64).mean()))
