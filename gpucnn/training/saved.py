"""Using what a run has saved: its model with the weights in place."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import backend as backends
from gpucnn import data, models
from gpucnn.autograd import Tensor, no_grad
from gpucnn.data.image import fit_image
from gpucnn.data.mnist_form import to_mnist
from gpucnn.errors import DataError, DivergedError, UsageError
from gpucnn.nn import Module
from gpucnn.training import checkpoint, evaluation
from gpucnn.training.config import TrainConfig
from gpucnn.training.divergence import first_bad
from gpucnn.training.metrics import LOSSES
from gpucnn.training.run import CONFIG, Run

_DESCRIPTION = {"image_shape": list, "class_names": list, "scale": float, "offset": float}
_OTHERS = "use weights of another run, or train again with a lower --lr"


@dataclass(frozen=True, eq=False)
class SavedModel:
    """A model out of a weights file; make one with `load`.

    Args:
        model: built, with the weights, in evaluation mode.
        path: of the weights file.
        config: of its run; for a file that lies elsewhere, what the file itself says.
        class_names: of its outputs.
        image_shape: (C, H, W) of what it takes.
        scale, offset: it takes pixel * scale + offset.
    """

    model: Module
    path: Path
    config: TrainConfig
    class_names: list[str]
    image_shape: tuple[int, ...]
    scale: float
    offset: float

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], weights: str = "last", device: str = "cpu"
    ) -> SavedModel:
        """The model in a run directory, or in a weights file.

        Args:
            path: a run directory or a .safetensors file.
            weights: "last" or "best"; for a run directory.
            device: where it computes.

        Raises:
            UsageError: `weights` is neither, or the run's config.toml is not acceptable.
            DataError: it is missing, cut short, altered, or not of gpucnn.
            DivergedError: a weight is not finite.
            WeightsMismatchError: the weights are not of the model that the run's config.toml names.
        """
        if weights not in ("last", "best"):
            raise UsageError(f"there are no {weights!r} weights", fix='choose "last" or "best"')
        given = Path(path)
        if given.is_file():
            file, folder = given, given.parent.parent
        else:
            run = Run.open(given)
            file, folder = (run.best if weights == "best" else run.last), run.path
            if weights == "best" and not file.exists():
                raise DataError(
                    f"{given} has no best weights",
                    cause="it was trained without a validation set",
                    fix="use --weights last",
                )
        arrays, description = checkpoint.load_weights(file)
        _check(description, file)
        if bad := first_bad(arrays):
            raise DivergedError(f"{file} is of no use", cause=f"{bad} is not finite", fix=_OTHERS)
        in_run = (folder / CONFIG).is_file()
        config = Run(folder).config() if in_run else _config_of(description, file)
        shape, names = tuple(description["image_shape"]), description["class_names"]
        model = models.get(config.model, len(names)).build(shape, device=device)
        model.load_state_dict(arrays)
        scale, offset = description["scale"], description["offset"]
        return cls(model.eval(), file, config, names, shape, scale, offset)

    def evaluate(self, dataset: data.Dataset) -> dict[str, float]:
        """{"loss", "accuracy"} on a data set.

        Raises:
            DataError: it has no labels, or its images or classes are not those of the model.
            DivergedError: the loss is not finite.
        """
        if dataset.labels is None:
            raise DataError(f"{dataset.name} has no labels to compare with", fix="use predict")
        if dataset.image_shape != self.image_shape or dataset.classes != len(self.class_names):
            raise DataError(
                f"{dataset.name} does not fit the model in {self.path}",
                cause=f"images {dataset.image_shape} of {dataset.classes} classes, the model takes "
                f"{self.image_shape} and has {len(self.class_names)}",
                fix="give --data the kind of images that it was trained on",
            )
        result = evaluation.evaluate(
            self.model, dataset, loss=self.config.loss, scale=self.scale, offset=self.offset
        )
        if not math.isfinite(result["loss"]):
            raise self._diverged(f"the loss on {dataset.name}")
        return result

    def prepare(self, image: NDArray[np.uint8], name: str, *, picture: bool) -> NDArray[np.uint8]:
        """An image as the model is to see it: uint8 `image_shape`.

        Pictures of digits are converted as MNIST's were; so is anything else that is not of the
        right size. Other models get the image scaled.

        Args:
            image: uint8 (H, W) or (H, W, 3).
            name: what to call it in an error.
            picture: a photograph or drawing, as against an array that is prepared already.

        Raises:
            DataError: there is nothing on it.
        """
        if not picture and image.shape == self.image_shape[1:] and self.image_shape[0] == 1:
            return image[np.newaxis]
        if self.image_shape == (1, 28, 28) and self.class_names == [str(k) for k in range(10)]:
            return to_mnist(image, name)[np.newaxis]
        return fit_image(image, self.image_shape)

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the model says of each class, (N, classes), for prepared images, uint8 (N, C, H, W).

        They are probabilities; after training with `mean_squared_error` the outputs, which may lie
        outside [0, 1]. See `gpucnn.training.metrics.LOSSES`.

        Raises:
            DivergedError: they are not finite.
        """
        predictions = LOSSES[self.config.loss].predictions
        backend = backends.get(self.model.device)
        rows: list[Any] = []
        with no_grad(), backend.computing():
            for start in range(0, len(images), evaluation.BATCH_SIZE):
                batch = images[start : start + evaluation.BATCH_SIZE].astype(np.float32)
                x = backend.asarray(batch * np.float32(self.scale) + np.float32(self.offset))
                rows.append(predictions(self.model(Tensor(x))).numpy())
        if not all(np.isfinite(row).all() for row in rows):
            raise self._diverged("what the model says of the images")
        return np.concatenate(rows) if rows else np.zeros((0, len(self.class_names)), np.float32)

    def _diverged(self, what: str) -> DivergedError:
        return DivergedError(
            f"{what} is not finite",
            cause=f"the weights in {self.path} are finite, but too large",
            fix=_OTHERS,
        )

    def classify(self, images: NDArray[np.uint8], top: int) -> list[list[dict[str, Any]]]:
        """For each prepared image the `top` classes that `predict` puts highest, highest first.

        Returns:
            {"label", "probability"} of each; the second is what `predict` gives.
        """
        return [
            [
                {"label": self.class_names[k], "probability": float(row[k])}
                for k in np.argsort(-row, kind="stable")[:top]
            ]
            for row in self.predict(images)
        ]


def _check(description: dict[str, Any], file: Path) -> None:
    """DataError unless a file describes a model that can be built, and what it takes."""
    checkpoint.require(description, _DESCRIPTION, file)
    shape, names = description["image_shape"], description["class_names"]
    sound = {
        "image_shape": shape and all(type(size) is int and size > 0 for size in shape),
        "class_names": names and all(isinstance(name, str) for name in names),
        "scale": math.isfinite(description["scale"]),
        "offset": math.isfinite(description["offset"]),
    }
    for key, is_sound in sound.items():
        if not is_sound:
            raise DataError(f"{file} describes no model", cause=f"its {key} is {description[key]}")


def _config_of(description: dict[str, Any], file: Path) -> TrainConfig:
    """What a weights file says about how it was trained."""
    keys = ("model", "loss", "data", "validation", "seed")
    known = {key: description[key] for key in keys if description.get(key) is not None}
    try:
        return TrainConfig(**known)
    except UsageError as error:
        raise DataError(f"{file} describes no model", cause=error.message) from error
