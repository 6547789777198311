"""The batches of a training: those to train on, to validate on and to test on."""

from __future__ import annotations

from gpucnn.backend import Backend
from gpucnn.data import Augment, Dataset, Loader, Splits, pixel_scaling
from gpucnn.errors import UsageError
from gpucnn.nn import Module
from gpucnn.training.config import TrainConfig
from gpucnn.training.evaluation import BATCH_SIZE, require_outputs
from gpucnn.training.probabilities import warn_of_probabilities
from gpucnn.training.used import used_parts

_MIRRORED = (
    "flip mirrors images, and a mirrored digit or letter is none, or another\n  fix: leave flip out"
)


def open_loaders(
    model: Module, data: Splits, config: TrainConfig, backend: Backend, loss: str, notes: list[str]
) -> tuple[Loader, Loader | None, Loader | None]:
    """The batches of the training images, and of those for validation and test, if there are any.

    All of them scale pixels as those of the training images say.

    Args:
        model: built.
        loss: the name of the loss.
        notes: a list, to which a sentence is added if the images should not be mirrored.

    Raises:
        UsageError: there is nothing to train on, the model has too few outputs for the labels, or
            the options do not fit the data.
    """
    train = data.train
    if train.labels is None or not len(train):
        lacks = "images" if train.labels is not None else "labels"
        raise UsageError(f"{train.name} has no {lacks} to train on", fix="give other data")
    given = {"train": train, "validation": data.validation, "test": data.test}
    parts = used_parts({role: part for role, part in given.items() if part}, config)
    train = parts["train"]
    require_outputs(model, train, loss)
    warn_of_probabilities(model, train.image_shape, loss)
    scale, offset = pixel_scaling(train, config.standardise)
    augment = Augment.of(config.augment, config.shift, config.rotate, train.image_shape)
    if augment.flip and data.reading.convert == "mnist":
        notes.append(_MIRRORED)
    loader = Loader(
        train,
        config.batch_size,
        backend,
        seed=config.seed,
        shuffle=config.overfit_batches is None,
        augment=augment or None,
        scale=scale,
        offset=offset,
        limit_batches=config.limit_batches,
    )

    def evaluating(dataset: Dataset | None) -> Loader | None:
        if dataset is None or dataset.labels is None or not len(dataset):
            return None
        require_outputs(model, dataset, loss)
        return Loader(dataset, BATCH_SIZE, backend, shuffle=False, scale=scale, offset=offset)

    validation, test = evaluating(parts.get("validation")), evaluating(parts.get("test"))
    if config.patience and validation is None:
        raise UsageError(
            "early stopping needs a validation set, and there is none",
            fix="hold images out, as in --validation 200, or leave out --patience",
        )
    return loader, validation, test
