"""`gpucnn bench train` and `infer`: steps and forward passes of the models.

A step is the trainer's own: gather a batch of the uint8 images on the device, forward, backward,
update. PyTorch does the same from the same weights, as data/torch_train.py writes it for speed. A
forward pass is without a graph, on float32 images that are on the device already. On a GPU the time
in which it waits for the host counts, as it does for a user; the step is replayed as a CUDA graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from gpucnn import models
from gpucnn.autograd import Tensor, no_grad
from gpucnn.bench import costs
from gpucnn.bench.baselines import Torch
from gpucnn.bench.record import BenchRow
from gpucnn.bench.session import Bench, Task, Work
from gpucnn.bench.stopwatch import Call
from gpucnn.bench.verify import IMAGE_SHAPE, verify_outputs, verify_step
from gpucnn.data import Dataset, Splits, sources
from gpucnn.nn import Conv2d, Sequential
from gpucnn.training import TrainConfig, Trainer

IMAGES = 60_000  # as in MNIST, so that gathering does not find them in a cache
_EPOCHS = 500  # more than there is time for
_STEPS_ON_GPU = 20  # timed as one: the launches of a step overlap with the step before


def training_tasks(bench: Bench) -> list[Task]:
    """A row for each model and batch size, and for each model with `gpucnn train`'s defaults."""
    # The first row draws them: earlier rows of other kinds get the same data without a training.
    images = cache(partial(random_images, bench.rng, IMAGES))
    # The simulator does not time: with more images it would only verify more of the same.
    sizes = (32, 64, 128, 256, 512, 1024) if bench.watch.ticks else (32,)
    cases = [(model, size, "sgd") for model in models.NAMES for size in sizes]
    cases += [(model, 64, "adam") for model in models.NAMES]
    if bench.options.suite == "quick":
        cases = [(model, size, "sgd") for model in ("softmax", "lenet") for size in (32, 128)]
    return [partial(_training_row, bench, images, *case) for case in cases]


def inference_tasks(bench: Bench) -> list[Task]:
    """A row for each model, on one image and on a batch."""
    names = ("softmax", "lenet") if bench.options.suite == "quick" else models.NAMES
    return [partial(_inference_row, bench, name, size) for name in names for size in (1, 128)]


def _training_row(
    bench: Bench, images: Callable[[], Dataset], name: str, size: int, optimizer: str
) -> BenchRow:
    model = models.get(name).build(IMAGE_SHAPE)
    case = f"batch {size}" + ", adam" * (optimizer == "adam")
    row = BenchRow("train", name, case, "float32", flop=step_flop(model, size))
    return bench.guarded(
        row, lambda: training(bench, images(), name, size, optimizer), _nbytes(model, size)
    )


def _inference_row(bench: Bench, name: str, size: int) -> BenchRow:
    model = models.get(name).build(IMAGE_SHAPE, device=bench.backend.name).eval()
    replace_zeros(model, bench.rng)
    flop = sum(row.flops for row in model.summary_rows(size))
    row = BenchRow("infer", name, f"batch {size}", "float32", flop=flop)
    return bench.guarded(row, partial(_inference, bench, model, size), _nbytes(model, size))


def training(bench: Bench, images: Dataset, name: str, size: int, optimizer: str) -> Work:
    """A step on whole batches only, so that every step takes as long."""
    data = Splits(images.subset(slice(len(images) // size * size)))
    options: dict[str, Any] = {"optimizer": optimizer, "learning_rate": 1e-3, "batch_size": size}
    trainer = make_trainer(
        name, data, bench.backend.name, epochs=_EPOCHS, schedule="constant",
        momentum=0.9 if optimizer == "sgd" else None, **options,
    )  # fmt: skip
    assert isinstance(trainer.model, Sequential)
    model = trainer.model
    replace_zeros(model, bench.rng)

    def torch_call(torch: Torch, layout: str) -> Call:
        step: Call = torch.training(model, data.train, layout, **options).step
        return step

    return Work(
        trainer.train_step,
        lambda: verify_step(trainer, *next_batch(trainer)),
        bench.torch_calls(torch_call, images=_convolves(model)),
        images=size,
        steps=_STEPS_ON_GPU if bench.watch.on_gpu else 1,
    )


def _inference(bench: Bench, model: Sequential, size: int) -> Work:
    images = bench.rng.random((size, *IMAGE_SHAPE), dtype=np.float32)
    x = bench.backend.asarray(images)

    def run() -> Any:
        with no_grad():
            return model(Tensor(x)).data

    def torch_call(torch: Torch, layout: str) -> Call:
        network, theirs = torch.network(model, layout).eval(), torch.array(images, layout)
        return torch.torch.inference_mode()(lambda: network(theirs))

    return Work(
        run,
        lambda: verify_outputs(model, images, bench.backend.to_numpy(run())),
        bench.torch_calls(torch_call, images=_convolves(model)),
        images=size,
    )


def missing_mnist(data_dir: str | None) -> str | None:
    """Why a row that needs MNIST is skipped; None if it is there. Nothing is downloaded."""
    if not sources.missing("mnist", data_dir):
        return None
    return "MNIST is not there: give --data-dir, or get it by gpucnn data fetch mnist"


def random_images(rng: np.random.Generator, count: int) -> Dataset:
    """Random images of the shape of MNIST's, with random labels."""
    images = rng.integers(0, 256, (count, *IMAGE_SHAPE), np.uint8)
    return Dataset("random images", images, rng.integers(0, 10, count, np.int32), 10)


def make_trainer(name: str, data: Splits, device: str, **options: Any) -> Trainer:
    """A trainer of a model of `gpucnn.models`; `options` are those of `TrainConfig`."""
    config = TrainConfig(model=name, device=device, **options)
    return Trainer(models.get(name, data.classes), data, config)


def next_batch(trainer: Trainer) -> Any:
    """The batch of the trainer's next step."""
    return trainer.loader.batch(*divmod(trainer.step, trainer.steps_per_epoch))


def replace_zeros(model: Sequential, rng: np.random.Generator) -> None:
    """Draw the weights that start from zero: with them a wrong result could look right."""
    state = model.state_dict()
    for path, weight in state.items():
        if not weight.any():
            state[path] = 0.05 * rng.standard_normal(weight.shape, dtype=np.float32)
    model.load_state_dict(state)


def step_flop(model: Sequential, batch_size: int) -> int:
    """Operations of the matrix products of a step, forward and backward."""
    return batch_size * sum(call.flop + call.backward_flop for call in costs.calls(model))


def _nbytes(model: Sequential, batch_size: int) -> int:
    """Bytes of a batch of images, of what each layer gives for it, and of the weights."""
    images = 4 * batch_size * math.prod(IMAGE_SHAPE)
    rows = model.summary_rows(batch_size)
    return images + sum(4 * row.parameters + row.activation_bytes for row in rows)


def _convolves(model: Sequential) -> bool:
    """Whether the layout of images matters to PyTorch."""
    return any(isinstance(layer, Conv2d) for layer in model)
