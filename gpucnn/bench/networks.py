"""Whole networks for a benchmark: made, counted, and held against the same in float64.

float32 rounds every operation, and what follows carries that on: a ReLU or a maximum that was
almost tied falls to the other side. How far a network carries it, controls tell: the same in
float64 from weights that are off by what the product of a layer may err by, 4 * sqrt(K) roundings
for a sum of K terms. A result may be as far away as the furthest of them, and beyond that err by
its own sum.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gpucnn import models
from gpucnn.autograd import Tensor, no_grad
from gpucnn.bench.record import Row, Seconds
from gpucnn.data import Dataset, Splits, sources
from gpucnn.nn import Sequential
from gpucnn.training import TrainConfig, Trainer
from gpucnn.training.metrics import compute_loss

IMAGE_SHAPE = (1, 28, 28)
CLASSES = 10
_EPS = 2.0**-24
_CONTROLS = 2
Arrays = dict[str, np.ndarray]


def missing_mnist(data_dir: str | None) -> str | None:
    """Why a row that needs MNIST is skipped; None if it is there. Nothing is downloaded."""
    if not sources.missing("mnist", data_dir):
        return None
    return "MNIST is not there: give --data-dir, or get it by gpucnn data fetch mnist"


def random_images(rng: np.random.Generator, count: int) -> Dataset:
    """As many images as that, of the shape of MNIST's, and labels; all of it noise."""
    images = rng.integers(0, 256, (count, *IMAGE_SHAPE), np.uint8)
    labels = rng.integers(0, CLASSES, count, np.int32)
    return Dataset("random images", images, labels, CLASSES)


def make_trainer(name: str, data: Splits, device: str, **options: Any) -> Trainer:
    """A trainer of the model of a name; `options` are those of `TrainConfig`."""
    config = TrainConfig(model=name, device=device, **options)
    return Trainer(models.get(name, data.classes), data, config)


def leave_zero(model: Sequential, rng: np.random.Generator) -> None:
    """Draw the weights that start from zero: with them a result could be right by chance."""
    state = model.state_dict()
    for path, weight in state.items():
        if not weight.any():
            state[path] = 0.05 * rng.standard_normal(weight.shape, dtype=np.float32)
    model.load_state_dict(state)


def forward_flop(model: Sequential, batch_size: int) -> int:
    """Floating-point operations of the matrix products of a forward pass."""
    return sum(row.flops for row in model.summary_rows(batch_size))


def step_flop(model: Sequential, batch_size: int) -> int:
    """Those of a training step: forward, and by the input and by the weight of each layer.

    Nobody needs the gradient by the images, so the first layer is spared one of the three.
    """
    flops = [row.flops for row in model.summary_rows(batch_size) if row.flops]
    return 3 * sum(flops) - flops[0]


def nbytes(model: Sequential, batch_size: int) -> int:
    """Bytes of the images, of what each layer gives for them, and of the weights."""
    rows = model.summary_rows(batch_size)
    numbers = batch_size * math.prod(IMAGE_SHAPE) + sum(row.parameters for row in rows)
    return 4 * numbers + sum(row.activation_bytes for row in rows)


def per_second(row: Row, images: int) -> Row:
    """The row with images a second as its value and its baselines'; it is of so many images."""

    def rate(seconds: Seconds | None) -> float | None:
        return None if seconds is None else images / seconds.median

    peers = {name: replace(p, value=rate(p.seconds)) for name, p in row.baselines.items()}
    return replace(row, value=rate(row.seconds), unit="images/s", baselines=peers)


def step_error(trainer: Trainer) -> tuple[float, float]:
    """Do the trainer's next step, and compare its loss and all its gradients with float64.

    Dropout drops the same elements in both.

    Returns:
        error and bound, relative L2, of the loss or gradient that is nearest to its bound.
    """
    assert isinstance(trainer.model, Sequential)
    state, step = trainer.model.state_dict(), trainer.step
    images, labels = trainer.loader.batch(*divmod(step, trainer.steps_per_epoch))
    trainer.totals.restart()
    trainer.train_on(images, labels)
    to_numpy = trainer.backend.to_numpy
    found = {p: to_numpy(w.grad) for p, w in trainer.model.named_parameters().items()}
    found["loss"] = np.array(trainer.totals.read()[0])
    x, y = to_numpy(images).astype(np.float64), to_numpy(labels)

    def in_double(weights: Arrays) -> Arrays:
        twin = _double(trainer.config.model, weights, trainer.config.seed)
        twin.set_step(step)
        with trainer.backend.quiet_device():
            loss = compute_loss(trainer.config.loss, twin(Tensor(x)), y)
            loss.backward()
        gradients = {path: np.asarray(w.grad) for path, w in twin.named_parameters().items()}
        return {**gradients, "loss": np.asarray(loss.data)}

    terms = max(
        math.prod(row.output_shape) // row.output_shape[1]
        for row in trainer.model.summary_rows(len(x))
        if row.flops
    )
    controls = (in_double(weights) for weights in _nearby(state))
    return _worst(found, in_double(state), controls, terms)


def output_error(model: Sequential, images: np.ndarray, outputs: np.ndarray) -> tuple[float, float]:
    """Error and bound, relative L2, of what a model in evaluation mode gave for float32 images."""
    state = model.state_dict()

    def in_double(weights: Arrays) -> Arrays:
        with no_grad():
            twin = _double(model.name or "", weights, model.seed).eval()
            return {"outputs": twin(Tensor(images.astype(np.float64))).data}

    terms = max(_terms(weight) for weight in state.values())
    controls = (in_double(weights) for weights in _nearby(state))
    return _worst({"outputs": outputs}, in_double(state), controls, terms)


def _double(name: str, weights: Mapping[str, np.ndarray], seed: int) -> Sequential:
    """The model of a name on the CPU, with these weights in float64."""
    twin = models.get(name, CLASSES).build(IMAGE_SHAPE, seed=seed, device="cpu")
    for path, parameter in twin.named_parameters().items():
        parameter.data = weights[path].astype(np.float64)
    return twin


def _nearby(state: Arrays) -> Iterable[Arrays]:
    """Weights in float64 that are off as the head of this file says: the controls."""
    for seed in range(_CONTROLS):
        rng = np.random.default_rng(seed)
        yield {
            path: w * (1 + 4 * _EPS * math.sqrt(_terms(w)) * rng.choice([-1.0, 1.0], w.shape))
            for path, w in state.items()
        }


def _terms(weight: np.ndarray) -> int:
    """How many products a layer's output is the sum of, by its weight (or bias)."""
    outputs = {1: weight.size, 2: weight.shape[-1], 4: weight.shape[0]}
    return weight.size // outputs[weight.ndim]


def _worst(
    found: Arrays, exact: Arrays, controls: Iterable[Arrays], terms: int
) -> tuple[float, float]:
    own = 4 * _EPS * math.sqrt(terms)
    others = list(controls)
    cases = []
    for name, expected in exact.items():
        bound = own + max(_distance(control[name], expected) for control in others)
        cases.append((_distance(found[name], expected), bound))
    # What is no number is as wrong as can be.
    return max(cases, key=lambda case: math.inf if math.isnan(case[0]) else case[0] / case[1])


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Relative L2."""
    difference = float(np.linalg.norm((a - b).ravel()))
    return difference and difference / float(np.linalg.norm(b.ravel()))
