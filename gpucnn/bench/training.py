"""`gpucnn bench train`: training steps of the models, at several batch sizes.

A step is the trainer's own: gather a batch of the uint8 images on the device, forward, backward,
update. PyTorch does the same from the same weights, as data/torch_train.py writes it for speed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from gpucnn import models
from gpucnn.bench import networks
from gpucnn.bench.record import BenchRow
from gpucnn.bench.session import Bench, Task, Work
from gpucnn.data import Dataset, Splits
from gpucnn.nn import Sequential

IMAGES = 60_000  # as in MNIST, so that gathering does not find them in a cache
_EPOCHS = 500  # more than there is time for
_STEPS_ON_GPU = 20  # timed as one: the launches of a step overlap with the step before


def tasks(bench: Bench) -> list[Task]:
    """A row for each model and batch size, and for each model with `gpucnn train`'s defaults."""
    # The first row draws them: earlier rows of other kinds get the same data without a training.
    images = cache(partial(networks.random_images, bench.rng, IMAGES))
    if bench.options.suite == "quick":
        cases = [(model, size, "sgd") for model in ("softmax", "lenet") for size in (32, 128)]
    else:
        # The simulator does not time: with more images it would only verify more of the same.
        sizes = (32, 64, 128, 256, 512, 1024) if bench.watch.ticks else (32,)
        cases = [(model, size, "sgd") for model in models.NAMES for size in sizes]
        cases += [(model, 64, "adam") for model in models.NAMES]
    return [partial(_measure, bench, images, *case) for case in cases]


def _measure(
    bench: Bench, images: Callable[[], Dataset], name: str, size: int, optimizer: str
) -> BenchRow:
    model = models.get(name).build(networks.IMAGE_SHAPE)
    case = f"batch {size}" + ", adam" * (optimizer == "adam")
    row = BenchRow("train", name, case, "float32", flop=step_flop(model, size))
    return bench.guarded(
        row, lambda: work(bench, images(), name, size, optimizer), networks.nbytes(model, size)
    )


def step_flop(model: Sequential, batch_size: int) -> int:
    """Operations of the matrix products of a step: forward, and both gradients of each layer.

    The gradient by the images is not needed, so the first layer has one gradient.
    """
    flops = [row.flops for row in model.summary_rows(batch_size) if row.flops]
    return 3 * sum(flops) - flops[0]


def work(bench: Bench, images: Dataset, name: str, size: int, optimizer: str) -> Work:
    """A step on whole batches only, so that every step takes as long."""
    data = Splits(images.subset(slice(len(images) // size * size)))
    options: dict[str, Any] = {"optimizer": optimizer, "learning_rate": 1e-3, "batch_size": size}
    trainer = networks.make_trainer(
        name, data, bench.backend.name, epochs=_EPOCHS, schedule="constant",
        momentum=0.9 if optimizer == "sgd" else None, **options,
    )  # fmt: skip
    assert isinstance(trainer.model, Sequential)
    model = trainer.model
    networks.replace_zeros(model, bench.rng)
    return Work(
        lambda: trainer.train_on(*networks.next_batch(trainer)),
        lambda: networks.verify_step(trainer),
        bench.torch_calls(
            lambda torch, layout: torch.training(model, data.train, layout, **options).step,
            images=networks.convolves(model),
        ),
        images=size,
        steps=_STEPS_ON_GPU if bench.watch.on_gpu else 1,
    )
