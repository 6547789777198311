"""`gpucnn bench train`: training steps of the models, at several batch sizes.

A step is the trainer's own: gather a batch of the uint8 images on the device, forward, backward,
update. PyTorch does the same from the same weights, as data/torch_train.py writes it for speed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

from gpucnn import models
from gpucnn.bench import networks
from gpucnn.bench.record import BenchRow
from gpucnn.bench.session import Bench, Task, Work
from gpucnn.data import Dataset, Splits
from gpucnn.nn import Sequential

IMAGES = 60_000  # as in MNIST, so that gathering does not find them in a cache
_RATE = 1e-3
_EPOCHS = 500  # more than there is time for
_STEPS_ON_GPU = 20  # timed as one: the launches of a step overlap with the step before


class Training(NamedTuple):
    """A model, its batch size and its optimizer."""

    model: str
    batch_size: int
    optimizer: str = "sgd"


def trainings(bench: Bench) -> list[Training]:
    """Every model with every batch size, and with the defaults of `gpucnn train`."""
    if bench.options.suite == "quick":
        return [Training(model, size) for model in ("softmax", "lenet") for size in (32, 128)]
    # The simulator does not time: with more images it would only verify more of the same.
    sizes = (32, 64, 128, 256, 512, 1024) if bench.watch.ticks else (32,)
    return [Training(model, size) for model in models.NAMES for size in sizes] + [
        Training(model, 64, "adam") for model in models.NAMES
    ]


def tasks(bench: Bench) -> list[Task]:
    """A row for each training."""
    # They are drawn by the first row: earlier ones have the same data without a training.
    images = cache(partial(networks.random_images, bench.rng, IMAGES))
    return [partial(_measure, bench, training, images) for training in trainings(bench)]


def _measure(bench: Bench, training: Training, images: Callable[[], Dataset]) -> BenchRow:
    model = models.get(training.model).build(networks.IMAGE_SHAPE)
    case = f"batch {training.batch_size}" + ", adam" * (training.optimizer == "adam")
    flop = step_flop(model, training.batch_size)
    row = BenchRow("train", training.model, case, "float32", flop=flop)
    held = networks.nbytes(model, training.batch_size)
    return bench.guarded(row, lambda: work(bench, training, images()), held)


def step_flop(model: Sequential, batch_size: int) -> int:
    """Operations of the matrix products of a step: forward, and both gradients of each layer.

    The gradient by the images is not needed, so the first layer has one gradient.
    """
    flops = [row.flops for row in model.summary_rows(batch_size) if row.flops]
    return 3 * sum(flops) - flops[0]


def work(bench: Bench, training: Training, images: Dataset) -> Work:
    """A step on whole batches only, so that every step takes as long."""
    size, optimizer = training.batch_size, training.optimizer
    data = Splits(images.subset(slice(len(images) // size * size)))
    options: dict[str, Any] = {"optimizer": optimizer, "learning_rate": _RATE, "batch_size": size}
    trainer = networks.make_trainer(
        training.model, data, bench.backend.name, epochs=_EPOCHS, schedule="constant",
        momentum=0.9 if optimizer == "sgd" else None, **options,
    )  # fmt: skip
    assert isinstance(trainer.model, Sequential)
    model = trainer.model
    networks.replace_zeros(model, bench.rng)
    return Work(
        lambda: trainer.train_on(*networks.next_batch(trainer)),
        lambda: networks.verify_step(trainer),
        bench.torch_networks(
            model, lambda torch, layout: torch.training(model, data.train, layout, **options).step
        ),
        images=size,
        steps=_STEPS_ON_GPU if bench.watch.on_gpu else 1,
    )
