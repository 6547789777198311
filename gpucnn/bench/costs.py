"""The least operations and bytes of each part of a training step.

Floating-point operations are those of the matrix products; a multiply-add counts as two. Each input
is read once and each output is written once. A stage of a `Sequential` is one operation: arrays
between its layers are not written.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np

from gpucnn import backend as backends
from gpucnn.autograd import Tensor
from gpucnn.nn import Flatten, Module, Parameter, Sequential
from gpucnn.nn.state import owned
from gpucnn.training import Trainer

FORWARD, BACKWARD = "forward", "backward"
Part = tuple[str, str]  # a name, and FORWARD or BACKWARD


class Cost(NamedTuple):
    """The costs of one part of a step, for the whole batch."""

    flop: int
    nbytes: int


class Call(NamedTuple):
    """A layer of a Sequential, called with one image.

    Attributes:
        flop, backward_flop: of its matrix products.
    """

    layer: Module
    x: Tensor
    y: Tensor
    flop: int
    backward_flop: int


def calls(model: Sequential) -> list[Call]:
    """The layers' calls, observed at one image of zeros in evaluation mode."""
    layers, found = list(model), list[Call]()
    flop = backward_flop = 0

    def observe(module: Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal flop, backward_flop
        x = inputs[0]
        product = module.flops(x.shape, output.shape)
        trained = any(p.requires_grad for p in owned(module, Parameter).values())
        flop += product
        backward_flop += product * (x.requires_grad + trained)
        if len(found) < len(layers) and module is layers[len(found)]:  # not one inside a layer
            found.append(Call(module, x, output, flop, backward_flop))
            flop = backward_flop = 0

    zeros = np.zeros((1, *(model.built_for or ((),))[0]), np.float32)
    with model.observe(observe), model.evaluating():
        model(Tensor(backends.get(model.device).asarray(zeros)))
    return found


def count(trainer: Trainer) -> dict[Part, Cost]:
    """The costs of the parts in the order of the forward pass, backward after forward.

    The parts are "batch", the stages of the model, "loss" and "optimizer". A stage has no backward
    part where nothing in it or before it is trained.
    """
    assert isinstance(trainer.model, Sequential)
    loader, optimizer, batch = trainer.loader, trainer.optimizer, trainer.config.batch_size
    image = loader.dataset.images[0]
    labels = 4 * batch
    costs = {("batch", FORWARD): Cost(0, batch * (image.nbytes + 4 * image.size) + 2 * labels)}
    logits = 0
    remaining = iter(calls(trainer.model))
    for name, _ in trainer.model.stages():
        group = list(islice(remaining, name.count("+") + 1))
        costs.update(_stage(name, group, batch))
        logits = batch * group[-1].y.data.nbytes
    costs["loss", FORWARD] = Cost(0, logits + labels)
    costs["loss", BACKWARD] = Cost(0, 2 * logits + labels)  # reads them, writes their gradient
    # A parameter and its slots are read and written, its gradient is read.
    passes = 3 + 2 * len(optimizer.slots)
    trained = sum(p.data.nbytes for p in optimizer.parameters.values() if p.requires_grad)
    costs["optimizer", FORWARD] = Cost(0, passes * trained)
    return costs


def _stage(name: str, group: list[Call], batch: int) -> Iterator[tuple[Part, Cost]]:
    x, y = group[0].x, group[-1].y
    x_bytes, y_bytes = batch * x.data.nbytes, batch * y.data.nbytes
    parameters = [p for call in group for p in call.layer.parameters()]
    weights = sum(p.data.nbytes for p in parameters)
    trained = sum(p.data.nbytes for p in parameters if p.requires_grad)
    is_view = all(isinstance(call.layer, Flatten) for call in group)
    nbytes = 0 if is_view else x_bytes + weights + y_bytes
    yield (name, FORWARD), Cost(batch * sum(call.flop for call in group), nbytes)
    if y.requires_grad:
        nbytes = y_bytes
        if trained:  # from x and the gradient by y to that by the weights
            nbytes += x_bytes + trained
        if x.requires_grad:  # from the weights and the gradient by y to that by x
            nbytes += weights + x_bytes
        flop = batch * sum(call.backward_flop for call in group)
        yield (name, BACKWARD), Cost(flop, 0 if is_view else nbytes)
