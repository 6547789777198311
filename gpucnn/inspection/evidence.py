"""`Evidence`: what is known of a training, from which the checks find what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpucnn.inspection.activations import Activations
from gpucnn.inspection.finding import Context, Finding
from gpucnn.inspection.updates import LayerStep
from gpucnn.nn import Module
from gpucnn.training.metrics import Loss, guessing

#: Inputs above it are not scaled: pixels go up to 255, and usual inputs from 0 to 1.
UNSCALED = 50.0
_OF_EACH = 100  # images of a class, where their number is not known


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
        planned: the number of its steps in the end; None if it is not known.
        diverged: how it ended, if its loss was not finite: the message and the cause of the error.
        weights: host arrays by the path of the parameter.
        model: built, with these weights.
        activations: its outputs, layer by layer.
        layers: gradients and updates of a step, by the path of the layer.
        rate_share: the learning rate of that step, as a share of the highest of the training.
        images: the training images (N, ...), as they are in the data set.
        largest: the largest absolute value of the inputs that the model gets for them.
        labels: class ids of the training images (N,).
        class_names: of the classes.
        loss: that of the training, or its name.
        records: of the epochs, as in metrics.jsonl.
        trained: the result on the training images.
        held_out: the result on images that were not trained on.
        tested: the result on the test images, if others are held out, too.
        missing: the reason for each attribute that is None.
    """

    context: Context = field(default_factory=Context)
    steps: int = 0
    planned: int | None = None
    diverged: tuple[str, str] | None = None
    weights: Mapping[str, NDArray[Any]] | None = None
    model: Module | None = None
    activations: Activations | None = None
    layers: Mapping[str, LayerStep] | None = None
    rate_share: float = 1.0
    images: NDArray[Any] | None = None
    largest: float | None = None
    labels: NDArray[Any] | None = None
    class_names: Sequence[str] = ()
    loss: str | Loss = "softmax_cross_entropy"
    records: Sequence[Mapping[str, Any]] | None = None
    trained: Result | None = None
    held_out: Result | None = None
    tested: Result | None = None
    missing: dict[str, str] = field(default_factory=dict)

    def too_high(self, cause: str = "") -> tuple[str, str]:
        """The cause and the cure of steps that are too large.

        Args:
            cause: of them, if the inputs are scaled.
        """
        lower = self.context.lower_rate()
        if self.is_unscaled:
            scale = f"the inputs are not scaled: they go up to {self.largest:.3g}"
            return scale, f"give inputs from 0 to 1, as in images / {self.largest:.3g}; or {lower}"
        return cause or f"{self.context.rate} is too high", lower

    @property
    def is_unscaled(self) -> bool:
        """Whether the inputs are known to be above `UNSCALED`."""
        return self.largest is not None and self.largest > UNSCALED

    @property
    def labels_of_guessing(self) -> NDArray[Any] | None:
        """The labels of the training, to compute the loss of guessing.

        If they are not known, they are as many of each class: then guessing has the highest loss.
        """
        if self.labels is not None and len(self.labels):
            return self.labels
        classes = len(self.class_names)
        known = self.records is not None and classes > 1
        return np.tile(np.arange(classes), _OF_EACH) if known else None

    @property
    def uniform_loss(self) -> float:
        """The loss of guessing among the classes, if each has as many images."""
        return guessing(self.loss, np.arange(max(len(self.class_names), 2)))[0]

    def not_begun(self) -> str | None:
        """The reason why a training without a step cannot be judged; None with one."""
        return None if self.steps else "the training has not begun"

    def cut_short(self) -> str | None:
        """The reason why a training that left images out cannot be judged; None if it did not."""
        config = self.context.config
        is_cut = config is not None and config.limit_batches is not None
        return "the training was cut short by limit_batches" if is_cut else None

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
        lacks: says which evidence is missing beside `needs`; None if none is.
    """

    name: str
    needs: Sequence[str]
    find: Callable[[Evidence], Iterable[Finding]]
    applies: Callable[[Evidence], str | None] = lambda evidence: None
    lacks: Callable[[Evidence], str | None] = lambda evidence: None
