"""Networks: modules that own parameters. The mathematics is in `gpucnn.functions`."""

from __future__ import annotations

from gpucnn.nn.activations import (
    GELU,
    Activation,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from gpucnn.nn.foreign import MODULES, NAMES
from gpucnn.nn.layers import (
    AvgPool2d,
    Conv2d,
    Dense,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
)
from gpucnn.nn.module import Module, Parameter
from gpucnn.nn.normalization import BatchNorm2d, Dropout, LayerNorm
from gpucnn.nn.residual import Residual
from gpucnn.nn.sequential import Sequential
from gpucnn.spelling import explain_names

__all__ = [
    "GELU", "Activation", "AvgPool2d", "BatchNorm2d", "Conv2d", "Dense", "Dropout", "Flatten",
    "GlobalAvgPool2d", "LayerNorm", "LeakyReLU", "Linear", "LogSoftmax", "MaxPool2d", "Module",
    "Parameter", "ReLU", "Residual", "Sequential", "Sigmoid", "Softmax", "Tanh"
]  # fmt: skip

explain_names(__name__, NAMES, MODULES)
