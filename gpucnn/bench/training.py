"""`gpucnn bench train`: training steps of the models, at several batch sizes.

A step is the trainer's own: gather a batch of the uint8 images that lie on the device, forward,
backward, update. Beside it PyTorch does the same from the same weights, written as one writes it
there for speed (`torch_train.Training`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from gpucnn import models
from gpucnn.bench import networks
from gpucnn.bench.baselines import Torch, layouts
from gpucnn.bench.record import Row, Seconds
from gpucnn.bench.session import Bench, Work
from gpucnn.bench.stopwatch import Call
from gpucnn.data import Dataset, Splits
from gpucnn.nn import Sequential

if TYPE_CHECKING:
    from gpucnn.bench import torch_train

IMAGES = 60_000  # as MNIST has: gathering is not to find them in a cache
_RATE = 1e-3
_EPOCHS = 500  # more than there is time for
_STEPS_ON_GPU = 20  # timed as one: the launches of a step overlap with the step before


class Case(NamedTuple):
    """A training."""

    model: str
    batch_size: int
    optimizer: str = "sgd"

    @property
    def title(self) -> str:
        return f"batch {self.batch_size}" + ", adam" * (self.optimizer == "adam")

    @property
    def options(self) -> dict[str, Any]:
        """Of `TrainConfig`."""
        momentum = 0.9 if self.optimizer == "sgd" else None
        return {"optimizer": self.optimizer, "momentum": momentum, "learning_rate": _RATE}


def cases(bench: Bench) -> list[Case]:
    """Every model with every batch size, and with what `gpucnn train` does by itself."""
    if bench.options.suite == "quick":
        return [Case(model, size) for model in ("softmax", "lenet") for size in (32, 128)]
    # The simulator does not time: there more images would only be more of the same.
    sizes = (32, 64, 128, 256, 512, 1024) if bench.watch.ticks else (32,)
    return [Case(model, size) for model in models.NAMES for size in sizes] + [
        Case(model, 64, "adam") for model in models.NAMES
    ]


def count(bench: Bench) -> int:
    """Rows that there will be."""
    return len(cases(bench))


def rows(bench: Bench) -> Iterator[Row]:
    """Time a step of each case; `value` is images a second."""
    images = networks.random_images(bench.rng, IMAGES)
    for case in cases(bench):
        yield _row(bench, case, images)


def _row(bench: Bench, case: Case, images: Dataset) -> Row:
    # Whole batches only, so that every step is as long.
    data = Splits(images.subset(slice(IMAGES // case.batch_size * case.batch_size)))
    model = models.get(case.model).build(networks.IMAGE_SHAPE)
    steps = _STEPS_ON_GPU if bench.watch.on_gpu else 1
    flop = steps * networks.step_flop(model, case.batch_size)
    held = networks.nbytes(model, case.batch_size)
    row = Row("train", case.model, case.title, "float32", flop=flop)
    row = bench.guarded(row, lambda: _prepare(bench, case, data, steps), held)
    return networks.per_second(_of_one_step(row, steps), case.batch_size)


def _prepare(bench: Bench, case: Case, data: Splits, steps: int) -> Work:
    trainer = networks.make_trainer(
        case.model, data, bench.backend.name, batch_size=case.batch_size, epochs=_EPOCHS,
        schedule="constant", **case.options,
    )  # fmt: skip
    assert isinstance(trainer.model, Sequential)
    networks.leave_zero(trainer.model, bench.rng)

    def step() -> None:
        trainer.train_on(*trainer.loader.batch(*divmod(trainer.step, trainer.steps_per_epoch)))

    rivals = {
        name: {
            layout: _times(
                steps, torch_training(peer, trainer.model, data.train, case, layout).step
            )
            for layout in layouts(peer, trainer.model)
        }
        for name, peer in bench.baselines.items()
    }
    return Work(_times(steps, step), lambda: networks.step_error(trainer), rivals)


def torch_training(
    peer: Torch, model: Sequential, data: Dataset, case: Case, layout: str
) -> torch_train.Training:
    """PyTorch's training of a case, from the weights of `model`."""
    from gpucnn.bench.torch_train import Training

    assert data.labels is not None
    return Training(
        peer.network(model, layout),
        peer.array(data.images),
        peer.array(data.labels.astype("int64")),
        batch_size=case.batch_size,
        optimizer=case.optimizer,
        learning_rate=_RATE,
        order=peer.order(layout),
    )


def _times(count: int, step: Call) -> Call:
    """A call of so many steps."""

    def steps() -> None:
        for _ in range(count):
            step()

    return step if count == 1 else steps


def _of_one_step(row: Row, steps: int) -> Row:
    """The row of so many steps as that of one."""
    if steps == 1:
        return row
    peers = {
        name: replace(peer, seconds=_divided(peer.seconds, steps))
        for name, peer in row.baselines.items()
    }
    return replace(
        row,
        flop=row.flop and row.flop / steps,
        floor=row.floor and row.floor / steps,
        seconds=_divided(row.seconds, steps),
        baselines=peers,
    )


def _divided(seconds: Seconds | None, steps: int) -> Seconds | None:
    return seconds and Seconds(**{key: value / steps for key, value in asdict(seconds).items()})
