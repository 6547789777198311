"""Whole networks for a benchmark: how they are made, and how they are verified.

They are compared with the same network in float64 on the CPU. float32 rounds every operation, and
later operations amplify that: an almost tied ReLU or maximum falls to the other side. Two controls
show how far a network amplifies it: the network in float64 with each weight off by as much as the
product of its layer may err, 4 * sqrt(K) roundings for a sum of K terms. A result may be as far
away as the farther control, plus the error of its own sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gpucnn import models
from gpucnn.autograd import Tensor, no_grad
from gpucnn.bench.verify import bound, relative_error, worst
from gpucnn.data import Dataset, Splits, sources
from gpucnn.nn import Conv2d, Sequential
from gpucnn.training import TrainConfig, Trainer
from gpucnn.training.metrics import compute_loss

IMAGE_SHAPE = (1, 28, 28)
CLASSES = 10
_CONTROLS = 2
Arrays = dict[str, np.ndarray]


def missing_mnist(data_dir: str | None) -> str | None:
    """Why a row that needs MNIST is skipped; None if it is there. Nothing is downloaded."""
    if not sources.missing("mnist", data_dir):
        return None
    return "MNIST is not there: give --data-dir, or get it by gpucnn data fetch mnist"


def random_images(rng: np.random.Generator, count: int) -> Dataset:
    """Random images of the shape of MNIST's, with random labels."""
    images = rng.integers(0, 256, (count, *IMAGE_SHAPE), np.uint8)
    labels = rng.integers(0, CLASSES, count, np.int32)
    return Dataset("random images", images, labels, CLASSES)


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


def convolves(model: Sequential) -> bool:
    """Whether the layout of images matters to PyTorch."""
    return any(isinstance(layer, Conv2d) for layer in model)


def nbytes(model: Sequential, batch_size: int) -> int:
    """Bytes of a batch of images, of what each layer gives for it, and of the weights."""
    images = 4 * batch_size * math.prod(IMAGE_SHAPE)
    rows = model.summary_rows(batch_size)
    return images + sum(4 * row.parameters + row.activation_bytes for row in rows)


def verify_step(trainer: Trainer) -> tuple[float, float]:
    """Do the trainer's next step, and compare its loss and all its gradients with float64.

    Dropout drops the same elements in both.

    Returns:
        error and bound of the loss or the gradient that is nearest to its bound.
    """
    assert isinstance(trainer.model, Sequential)
    model, state, step = trainer.model, trainer.model.state_dict(), trainer.step
    images, labels = next_batch(trainer)
    trainer.totals.restart()
    trainer.train_on(images, labels)
    to_numpy = trainer.backend.to_numpy
    found = {path: to_numpy(w.grad) for path, w in model.named_parameters().items()}
    found["loss"] = np.array(trainer.totals.read()[0])
    x, y = to_numpy(images).astype(np.float64), to_numpy(labels)

    def in_float64(weights: Arrays) -> Arrays:
        twin = _float64_model(model, weights, trainer.config.seed)
        twin.set_step(step)
        with trainer.backend.quiet_device():
            loss = compute_loss(trainer.config.loss, twin(Tensor(x)), y)
            loss.backward()
        gradients = {path: np.asarray(w.grad) for path, w in twin.named_parameters().items()}
        return {**gradients, "loss": np.asarray(loss.data)}

    rows = model.summary_rows(len(x))
    terms = max(math.prod(row.output_shape) // row.output_shape[1] for row in rows if row.flops)
    return _verify(found, in_float64, state, terms)


def verify_outputs(
    model: Sequential, images: np.ndarray, outputs: np.ndarray
) -> tuple[float, float]:
    """Error and bound of a model's outputs for float32 images, in evaluation mode."""
    state = model.state_dict()

    def in_float64(weights: Arrays) -> Arrays:
        with no_grad():
            twin = _float64_model(model, weights, model.seed).eval()
            return {"outputs": np.asarray(twin(Tensor(images.astype(np.float64))).data)}

    return _verify({"outputs": outputs}, in_float64, state, max(map(_terms, state.values())))


def _verify(
    found: Arrays, in_float64: Callable[[Arrays], Arrays], state: Arrays, terms: int
) -> tuple[float, float]:
    """Error and bound of the result that is nearest to its bound; see the head of this file."""
    expected = in_float64(state)
    controls = [in_float64(_disturbed(state, seed)) for seed in range(_CONTROLS)]
    return worst(
        (
            relative_error(found[name], exact),
            bound(terms, "float32") + max(relative_error(c[name], exact) for c in controls),
        )
        for name, exact in expected.items()
    )


def _float64_model(model: Sequential, weights: Arrays, seed: int) -> Sequential:
    """The model of the same name on the CPU, with these weights in float64."""
    twin = models.get(model.name or "", CLASSES).build(IMAGE_SHAPE, seed=seed, device="cpu")
    for path, parameter in twin.named_parameters().items():
        parameter.data = weights[path].astype(np.float64)
    return twin


def _disturbed(state: Arrays, seed: int) -> Arrays:
    """The weights of a control, in float64."""
    rng = np.random.default_rng(seed)
    return {
        path: w * (1 + bound(_terms(w), "float32") * rng.choice([-1.0, 1.0], w.shape))
        for path, w in state.items()
    }


def _terms(weight: np.ndarray) -> int:
    """Products in the sum that an output of the layer is, by its weight (or bias)."""
    outputs = {1: weight.size, 2: weight.shape[-1], 4: weight.shape[0]}
    return weight.size // outputs[weight.ndim]
