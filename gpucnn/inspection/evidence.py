"""`Evidence`: what is known of a training, from which the checks find what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from numpy.typing import NDArray

from gpucnn.inspection.activations import Activations
from gpucnn.inspection.finding import Context, Finding
from gpucnn.inspection.updates import LayerStep
from gpucnn.nn import Module
from gpucnn.training.metrics import Loss


class Result(NamedTuple):
    """The result of a model on a part of the data.

    Attributes:
        name: of the part: "training", "validation" or "test".
        loss, accuracy: the means.
        labels: class ids (N,).
        answers: class ids (N,), or None.
    """

    name: str
    loss: float
    accuracy: float
    labels: NDArray[Any]
    answers: NDArray[Any] | None = None


@dataclass
class Evidence:
    """What is known of a training; None is not known, and `missing` says why.

    Attributes:
        context: the training, for the cures.
        steps: the number of its steps so far.
        weights: host arrays by the path of the parameter.
        model: built, with these weights.
        activations: its outputs, layer by layer.
        layers: gradients and updates of a step, by the path of the layer.
        rate_share: the learning rate of that step, as a share of the highest of the training.
        labels: class ids of the training images (N,).
        class_names: of the classes.
        loss: that of the training, or its name.
        records: of the epochs, as in metrics.jsonl.
        trained: the result on the training images.
        held_out: the result on images that were not trained on.
        missing: the reason for each attribute that is None.
    """

    context: Context = field(default_factory=Context)
    steps: int = 0
    weights: Mapping[str, NDArray[Any]] | None = None
    model: Module | None = None
    activations: Activations | None = None
    layers: Mapping[str, LayerStep] | None = None
    rate_share: float = 1.0
    labels: NDArray[Any] | None = None
    class_names: Sequence[str] = ()
    loss: str | Loss = "softmax_cross_entropy"
    records: Sequence[Mapping[str, Any]] | None = None
    trained: Result | None = None
    held_out: Result | None = None
    missing: dict[str, str] = field(default_factory=dict)

    def why_not(self, needs: Sequence[str]) -> str | None:
        """Why a check that needs these attributes cannot be made; None if it can."""
        for name in needs:
            if getattr(self, name) is None:
                return self.missing.get(name, f"there are no {name}")
        return None


class Check(NamedTuple):
    """A check.

    Attributes:
        name: in words, as in "dead ReLUs".
        needs: the attributes of `Evidence` that it needs.
        find: gives its findings.
        applies: says why it does not apply to the training; None if it does.
    """

    name: str
    needs: Sequence[str]
    find: Callable[[Evidence], list[Finding]]
    applies: Callable[[Evidence], str | None] = lambda evidence: None
