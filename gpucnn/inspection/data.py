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

    They are taken a batch at a time: with many classes, a copy of all of them is large.

    Args:
        dataset: N images, with labels.
        outputs: of each batch, float32 (B, K).
        loss: the name of a loss of `TrainConfig`, or a loss.

    Attributes:
        answers: class ids (N,).
        class_names: of all classes, those of the data set and those of the answers.
        losses: float32 (N,); the loss of a batch, where it is one number, is that of each image.
        wrong: the places of the wrong answers, the one with the highest loss first.
    """

    def __init__(
        self, dataset: Dataset, outputs: Sequence[NDArray[np.float32]], loss: str | Loss
    ) -> None:
        assert dataset.labels is not None
        self.dataset = dataset
        self._outputs, self._loss = outputs, loss
        self._begins = np.cumsum([0, *map(len, outputs)])
        _, self.class_names = answers_of(outputs[0], dataset, loss)
        answers, losses = [], []
        for begin, batch in zip(self._begins.tolist(), outputs, strict=False):
            labels = dataset.labels[begin : begin + len(batch)]
            answers.append(answers_of(batch, dataset, loss)[0])
            with no_grad():
                found = compute_losses(loss, Tensor(batch), labels).numpy()
            if not found.ndim:
                found = np.broadcast_to(found, len(batch))
            losses.append(found.reshape(len(batch), -1).mean(axis=1))
        self.answers, self.losses = np.concatenate(answers), np.concatenate(losses)
        wrong = np.flatnonzero(self.answers != dataset.labels)
        self.wrong = wrong[np.argsort(-self.losses[wrong], kind="stable")]

    def probabilities(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """The probabilities (P, K) for the images at P places, as of `SavedModel.predict`.

        Of a single output they are (P, 2), no and yes.
        """
        batches = np.searchsorted(self._begins, places, side="right") - 1
        rows = [self._outputs[b][k - self._begins[b]] for b, k in zip(batches, places, strict=True)]
        with no_grad():
            found = get_loss(self._loss).predictions(Tensor(np.stack(rows))).numpy()
        return found if found.shape[1] > 1 else np.hstack([1 - found, found])

    def result(self, name: str) -> Result:
        """Mean loss, accuracy and answers, as of the part of the data of this name."""
        labels = self.dataset.labels
        assert labels is not None
        accuracy = float((self.answers == labels).mean())
        return Result(name, float(self.losses.mean()), accuracy, labels, self.answers)

    def most_wrong(self) -> list[WrongImage]:
        """The first of `wrong`."""
        labels, worst = self.dataset.labels, self.wrong[:MOST]
        assert labels is not None
        if not len(worst):
            return []
        return [
            WrongImage(
                self.dataset.item(k),
                k,
                self.class_names[labels[k]],
                self.class_names[self.answers[k]],
                float(row[self.answers[k]]),
                float(self.losses[k]),
            )
            for k, row in zip(worst.tolist(), self.probabilities(worst), strict=True)
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
    return Outputs(dataset, found, loss)
