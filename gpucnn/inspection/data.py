"""The outputs of a model for a part of the data: its answers, its losses, its worst mistakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import backend as backends
from gpucnn.autograd import Tensor, no_grad
from gpucnn.data import Dataset, Loader
from gpucnn.inspection.activations import Activations
from gpucnn.inspection.evidence import Result
from gpucnn.nn import Module
from gpucnn.training.evaluation import BATCH_SIZE
from gpucnn.training.metrics import Loss, compute_losses, get_loss

MOST = 12  # wrong images that are listed


@dataclass(frozen=True)
class WrongImage:
    """An image that the model gets wrong.

    Args:
        image: its name.
        index: its number in its part of the data, from 0.
        label, answer: names of classes.
        probability: of the answer, as `SavedModel.predict` gives it.
        loss: of the image.
    """

    image: str
    index: int
    label: str
    answer: str
    probability: float
    loss: float

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


class Outputs:
    """The outputs of a model for the images of a data set with class ids.

    Args:
        dataset: with labels.
        outputs: float32 (N, K).
        loss: the name of a loss of `TrainConfig`, or a loss.
    """

    def __init__(self, dataset: Dataset, outputs: NDArray[np.float32], loss: str | Loss) -> None:
        self.dataset = dataset
        with no_grad():
            losses = compute_losses(loss, Tensor(outputs), dataset.labels).numpy()
            self.predictions = get_loss(loss).predictions(Tensor(outputs)).numpy()
        if not losses.ndim:  # one number for the whole batch
            losses = np.broadcast_to(losses, len(outputs))
        self.losses = losses.reshape(len(losses), -1).mean(axis=1)
        self.answers = (
            outputs.argmax(axis=1)
            if outputs.shape[1] > 1
            else (outputs[:, 0] > get_loss(loss).threshold).astype(np.int64)
        )

    def result(self, name: str) -> Result:
        """Mean loss, accuracy and answers, as of the part of the data of this name."""
        labels = self.dataset.labels
        assert labels is not None
        accuracy = float((self.answers == labels).mean())
        return Result(name, float(self.losses.mean()), accuracy, labels, self.answers)

    def most_wrong(self, class_names: Sequence[str]) -> list[WrongImage]:
        """The images with wrong answers, the one with the highest loss first."""
        labels = self.dataset.labels
        assert labels is not None
        wrong = np.flatnonzero(self.answers != labels)
        order = wrong[np.argsort(-self.losses[wrong], kind="stable")][:MOST]
        return [
            WrongImage(
                self.dataset.item(int(k)),
                int(k),
                class_names[labels[k]],
                class_names[self.answers[k]],
                float(self.predictions[k, self.answers[k] if self.predictions.shape[1] > 1 else 0]),
                float(self.losses[k]),
            )
            for k in order
        ]


def compute_outputs(
    model: Module,
    dataset: Dataset,
    loss: str | Loss,
    scale: float,
    offset: float,
    activations: Activations | None = None,
    forward: Callable[[Tensor], Tensor] | None = None,
) -> Outputs:
    """The outputs of a built model for all images, in evaluation mode.

    Args:
        scale, offset: the model gets a pixel x as x * scale + offset.
        activations: counts the outputs of the layers on the way.
        forward: the function from images to the outputs that the loss takes; by default the model.
    """
    backend = backends.get(model.device)
    loader = Loader(dataset, BATCH_SIZE, backend, shuffle=False, scale=scale, offset=offset)
    found = []
    with model.evaluating(), backend.quiet_device():
        for images, *_ in loader.epoch(0):
            if activations is not None:
                output = activations.add(images)
            else:
                with no_grad():
                    output = (forward or model)(Tensor(images))
            found.append(backend.to_numpy(output.data))
    return Outputs(dataset, np.concatenate(found), loss)
