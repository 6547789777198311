"""The outputs of a model for a part of the data: its answers, its losses, its worst mistakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import backend as backends
from gpucnn.autograd import Tensor, no_grad
from gpucnn.data import Dataset, Loader
from gpucnn.inspection.evidence import Result
from gpucnn.nn import Module
from gpucnn.training.evaluation import BATCH_SIZE, answers_of
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
        dataset: N images, with labels.
        outputs: float32 (N, K).
        loss: the name of a loss of `TrainConfig`, or a loss.

    Attributes:
        answers: class ids (N,).
        class_names: of all classes, those of the data set and those of the answers.
        probabilities: float32 (N, K) as of `SavedModel.predict`; of a single output (N, 2), no and
            yes.
        losses: float32 (N,).
        wrong: the places of the wrong answers, the one with the highest loss first.
    """

    def __init__(self, dataset: Dataset, outputs: NDArray[np.float32], loss: str | Loss) -> None:
        self.dataset = dataset
        self.answers, self.class_names = answers_of(outputs, dataset, loss)
        with no_grad():
            losses = compute_losses(loss, Tensor(outputs), dataset.labels).numpy()
            found = get_loss(loss).predictions(Tensor(outputs)).numpy()
        self.probabilities = found if found.shape[1] > 1 else np.hstack([1 - found, found])
        if not losses.ndim:  # one number for the whole batch
            losses = np.broadcast_to(losses, len(outputs))
        self.losses = losses.reshape(len(losses), -1).mean(axis=1)
        wrong = np.flatnonzero(self.answers != dataset.labels)
        self.wrong = wrong[np.argsort(-self.losses[wrong], kind="stable")]

    def result(self, name: str) -> Result:
        """Mean loss, accuracy and answers, as of the part of the data of this name."""
        labels = self.dataset.labels
        assert labels is not None
        accuracy = float((self.answers == labels).mean())
        return Result(name, float(self.losses.mean()), accuracy, labels, self.answers)

    def most_wrong(self) -> list[WrongImage]:
        """The first of `wrong`."""
        labels = self.dataset.labels
        assert labels is not None
        return [
            WrongImage(
                self.dataset.item(k),
                k,
                self.class_names[labels[k]],
                self.class_names[self.answers[k]],
                float(self.probabilities[k, self.answers[k]]),
                float(self.losses[k]),
            )
            for k in self.wrong[:MOST].tolist()
        ]


def compute_outputs(
    model: Module,
    dataset: Dataset,
    loss: str | Loss,
    scale: float,
    offset: float,
    compute: Callable[[Any], Tensor],
) -> Outputs:
    """The outputs of a built model for all images, in evaluation mode.

    Args:
        scale, offset: the model gets a pixel x as x * scale + offset.
        compute: the function from an array of images to the outputs that the loss takes.
    """
    backend = backends.get(model.device)
    loader = Loader(dataset, BATCH_SIZE, backend, shuffle=False, scale=scale, offset=offset)
    with model.evaluating(), backend.quiet_device():
        found = [backend.to_numpy(compute(images).data) for images, *_ in loader.epoch(0)]
    return Outputs(dataset, np.concatenate(found), loss)
