"""Normalization and dropout, which differ between training and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpucnn import backend as backends
from gpucnn import functions as F
from gpucnn import random
from gpucnn.autograd import Tensor
from gpucnn.errors import ShapeError
from gpucnn.nn import arguments
from gpucnn.nn.module import Module, Parameter, Shape

_IN_TORCH = {"gamma": "weight", "beta": "bias"}  # names there


class Dropout(Module):
    """In training, sets a fraction `rate` of the elements to 0 and scales the rest by 1/(1-rate).

    In evaluation it changes nothing. The mask is a function of the model's seed, the layer's path
    and `step`, a counter on the device that each call in training increases by one.

    Args:
        rate: in [0, 1).
    """

    counters = ("step",)
    step: Any  # uint32 (1,), on the device

    def __init__(
        self, rate: float, *, input_shape: Sequence[int] | None = None, name: str | None = None
    ) -> None:
        super().__init__(name, input_shape)
        wanted = "the fraction of elements dropped: at least 0 and below 1"
        self.rate = arguments.number(rate, "dropout rate", wanted, 0.5, least=0, below=1)

    def create(self, x_shape: Shape) -> None:
        self.step = backends.get(self.device).asarray(np.zeros(1, np.uint32))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        key = random.stream_key(self.seed, f"dropout/{self.path}")
        y = F.dropout(x, self.rate, key=key, step=self.step)
        x.backend.increment(self.step)  # on the device: the host reads nothing
        return y


class BatchNorm2d(Module):
    """x (N, C, H, W) -> gamma * (x - mean) / sqrt(var + eps) + beta, by channel.

    Ioffe and Szegedy 2015. In training the statistics are the batch's, and the running ones move
    towards them, the variance unbiased: running += momentum * (batch's - running). In evaluation,
    and after `freeze()`, they are the running ones, which then stay as they are.

    Args:
        momentum: the weight of the new statistics, in [0, 1]; 1 - momentum in Keras.
        eps: added to the variance, above 0.
    """

    kind = "batchnorm"
    takes_images = True
    buffers = ("running_mean", "running_var")
    torch_names = _IN_TORCH
    gamma: Parameter
    beta: Parameter
    running_mean: Any  # float32 (C,)
    running_var: Any  # float32 (C,)

    def __init__(
        self,
        *,
        momentum: float = 0.1,
        eps: float = 1e-5,
        input_shape: Sequence[int] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name, input_shape)
        wanted = "the weight of the batch's statistics: from 0 to 1"
        self.momentum = arguments.number(momentum, "momentum", wanted, 0.1, least=0, most=1)
        self.eps = _eps(eps)

    def create(self, x_shape: Shape) -> None:
        if len(x_shape) != 4:
            raise ShapeError(
                f"the input is {x_shape}",
                cause="it must be (N, C, H, W)",
                fix="put it before Flatten(), or use LayerNorm()",
            )
        channels = x_shape[1:2]
        self.gamma = self.new_parameter("gamma", channels, "ones")
        self.beta = self.new_parameter("beta", channels, "zeros")
        backend = backends.get(self.device)
        self.running_mean = backend.asarray(np.zeros(channels, np.float32))
        self.running_var = backend.asarray(np.ones(channels, np.float32))

    def forward(self, x: Tensor) -> Tensor:
        _check_size(x, 1, self.gamma)
        if not self.training or self.frozen:
            mean, var = self.running_mean, self.running_var
            return F.batch_norm_inference(x, self.gamma, self.beta, mean, var, eps=self.eps)
        y, mean, var = F.batch_norm(x, self.gamma, self.beta, eps=self.eps)
        count = x.size // x.shape[1]
        with x.backend.quiet_device():
            unbiased = var * (count / max(count - 1, 1))
            self.running_mean += self.momentum * (mean - self.running_mean)
            self.running_var += self.momentum * (unbiased - self.running_var)
        return y


class LayerNorm(Module):
    """x (N, ..., D) -> gamma * (x - mean) / sqrt(var + eps) + beta, over the last axis.

    Ba, Kiros and Hinton 2016. gamma and beta are (D,).

    Args:
        eps: added to the variance, above 0.
    """

    torch_names = _IN_TORCH
    gamma: Parameter
    beta: Parameter

    def __init__(
        self,
        *,
        eps: float = 1e-5,
        input_shape: Sequence[int] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name, input_shape)
        self.eps = _eps(eps)

    def create(self, x_shape: Shape) -> None:
        self.gamma = self.new_parameter("gamma", x_shape[-1:], "ones")
        self.beta = self.new_parameter("beta", x_shape[-1:], "zeros")

    def forward(self, x: Tensor) -> Tensor:
        _check_size(x, -1, self.gamma)
        return F.layer_norm(x, self.gamma, self.beta, eps=self.eps)


def _eps(value: float) -> float:
    return arguments.number(value, "eps", "a finite number above 0", 1e-5, above=0)


def _check_size(x: Tensor, axis: int, gamma: Parameter) -> None:
    """`ShapeError` for a size that the layer was not built for; the functions would broadcast."""
    if x.shape[axis] != gamma.size:
        raise ShapeError(
            f"the input is {x.shape}, gamma {gamma.shape}",
            cause=f"gamma has one number for each of the {gamma.size} channels it was built for",
            fix=f"give an input with {gamma.size} on axis {axis}, or build a new model",
        )
