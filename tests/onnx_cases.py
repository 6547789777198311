"""Networks for the tests of ONNX files: each layer, and each function of Tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpucnn import Tensor
from gpucnn import functions as F
from gpucnn.keras import layers as keras
from gpucnn.nn import (
    GELU,
    Activation,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSoftmax,
    MaxPool2d,
    Module,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)

IMAGE, ROW = (4, 9, 7), (6,)

#: Each layer with each kind of option, and the shape of its input.
LAYERS: list[tuple[Module, tuple[int, ...]]] = [
    (Conv2d(6, 3), IMAGE),
    (Conv2d(6, (3, 2), stride=(2, 1), padding=(1, 0), activation="relu"), IMAGE),
    (Conv2d(6, 4, padding="same", stride=2, use_bias=False), IMAGE),
    (Conv2d(6, 3, padding="same", dilation=2), IMAGE),
    (Conv2d(8, 3, groups=4, padding=((0, 2), (1, 0)), activation="tanh"), IMAGE),
    (Conv2d(4, 1, groups=2, padding="valid"), IMAGE),
    (Dense(5, "sigmoid"), ROW),
    (Dense(5, "relu", use_bias=False), ROW),
    (Linear(6, 3), ROW),
    (MaxPool2d(2), IMAGE),
    (MaxPool2d(3, 2, padding=1), IMAGE),
    (MaxPool2d((3, 2), (1, 2), padding="same"), IMAGE),
    (AvgPool2d(2), IMAGE),
    (AvgPool2d(3, 2, padding=1), IMAGE),
    (AvgPool2d(3, 2, padding=1, count_include_pad=False), IMAGE),
    (AvgPool2d(4, 3, padding="same"), IMAGE),
    (AvgPool2d(4, 3, padding="same", count_include_pad=True), IMAGE),
    (AvgPool2d(3, 1, padding=((0, 2), (1, 0))), IMAGE),
    (GlobalAvgPool2d(), IMAGE),
    (BatchNorm2d(eps=1e-3), IMAGE),
    (LayerNorm(eps=1e-3), IMAGE),
    (LayerNorm(), ROW),
    (Dropout(0.5), ROW),
    (Flatten(), IMAGE),
    (Flatten(), ROW),
    (Activation("linear"), ROW),
    (ReLU(), IMAGE),
    (LeakyReLU(0.2), IMAGE),
    (GELU(), IMAGE),
    (Tanh(), IMAGE),
    (Sigmoid(), ROW),
    (Softmax(), ROW),
    (LogSoftmax(), IMAGE),
    (Residual(Conv2d(4, 3, padding="same"), BatchNorm2d(), ReLU()), IMAGE),
    (Residual(Conv2d(5, 1, stride=2), shortcut=Conv2d(5, 1, stride=2, use_bias=False)), IMAGE),
    (Sequential([Conv2d(6, 3), ReLU(), MaxPool2d(2), Flatten(), Dense(3)]), IMAGE),
    (Sequential([keras.Conv2D(6, 3, padding="same"), keras.BatchNormalization()]), IMAGE),
    (Sequential([keras.AveragePooling2D(2, padding="same"), keras.LeakyReLU()]), IMAGE),
]


class Own(Module):
    """A network of one's own: `forward` is a function, and there are parameters to use in it."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function
        self.dense = Dense(6)

    def create(self, *shapes: tuple[int, ...]) -> None:
        self.gain = self.new_parameter("gain", (3, 1), "glorot_uniform")
        self.square = self.new_parameter("square", (6, 6), "glorot_uniform")

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(self, *inputs)


#: Functions and operators of Tensors; x is (N, 3, 6).
OPERATIONS: list[tuple[str, Any]] = [
    ("x * gain + 1", lambda net, x: x * net.gain + 1),
    ("2 - x / 3", lambda net, x: 2 - x / 3),
    ("1 / (x * x + 1)", lambda net, x: 1 / (x * x + 1)),
    ("-abs(x) ** 3", lambda net, x: -(abs(x) ** 3)),
    ("powers", lambda net, x: (x**2 + 1) ** -0.5 + x**0),
    ("exp, sin, cos", lambda net, x: (x.exp() * 0.1 + F.sin(x)) * F.cos(x)),
    ("log, sqrt", lambda net, x: (x * x + 1).log() + (x * x + 1).sqrt()),
    ("maximum, minimum", lambda net, x: F.minimum(F.maximum(x, net.gain), 0.5)),
    ("clip", lambda net, x: F.clip(x, -0.5, 0.75) + F.clip(x, low=0) + F.clip(x, high=0)),
    ("sums", lambda net, x: x.sum(axis=2) + x.mean(axis=(1, 2), keepdims=True)[:, 0]),
    ("extremes", lambda net, x: x.max(axis=-1) - x.min(axis=2, keepdims=True)[..., 0]),
    ("total", lambda net, x: x * x.mean() + x.sum(axis=0)),
    ("transpose", lambda net, x: x.transpose(0, 2, 1).reshape(-1, 18)),
    ("matmul", lambda net, x: (x.reshape(-1, 6) @ net.square.T @ net.square).reshape(x.shape)),
    ("a dense layer at each place", lambda net, x: net.dense(x.reshape(-1, 6)).reshape(-1, 3, 6)),
    ("reshape by len", lambda net, x: x.reshape(len(x), 2, 9)),
    ("reshape with the batch last", lambda net, x: x.transpose(1, 2, 0).reshape(9, 2, -1).T),
    ("softmax over axis 1", lambda net, x: F.softmax(x, axis=1) + F.log_softmax(x, axis=-2)),
    (
        "layer norm",
        lambda net, x: F.layer_norm(x, net.gain[:2, 0].mean() * np.ones(6, "f"), net.square[0]),
    ),
    ("slices", lambda net, x: x[:, 1:, ::2] + x[:, :2, -1:-6:-2]),
    ("integers", lambda net, x: x[:, 1] + x[:, -1, 0][:, None]),
    ("ellipsis and new axes", lambda net, x: x[..., None, 1:3][:, :, 0] + x[:, None, 0, :2]),
    ("an array of integers", lambda net, x: x[:, [2, 0, 2]] * x[:, :, np.array([5])]),
    ("the first image", lambda net, x: x - x[0]),
    ("concat", lambda net, x: F.concat([x, x * 2, net.gain * x[:, :, :1]], axis=2)),
    ("stack", lambda net, x: F.stack([x, -x], axis=1)),
    ("relu, gelu, tanh", lambda net, x: F.relu(x) + F.gelu(x) * F.tanh(x)),
    ("leaky relu, sigmoid", lambda net, x: F.leaky_relu(x, 0.3) * F.sigmoid(x)),
    ("linear", lambda net, x: F.linear(x[:, 0], net.square, activation="relu")),
    ("reshape to twice the batch", lambda net, x: (x.reshape(-1, 9) * 2).reshape(-1, 2, 9)),
    (
        "a fused convolution",
        lambda net, x: F.conv2d(
            x.reshape(-1, 1, 3, 6),
            net.square[:4, None, :2, None],
            activation="relu",
            pool=(2, 1, "valid"),
        ),
    ),
    ("the same layer twice", lambda net, x: net.dense(net.dense(x[:, 0]))),
    ("an unused input", lambda net, x: x + 0 * net.dense(x[:, 0])[:, None]),
    (
        "a frozen statistic",
        lambda net, x: F.batch_norm_inference(
            x, net.gain[:, 0], net.gain[:, 0], np.ones(3, "f"), np.full(3, 2, "f")
        ),
    ),
]


def own(function: Any) -> Own:
    """The network of a function of `OPERATIONS`."""
    net = Own(function)
    if "dense" not in function.__code__.co_names:
        del net.dense
    return net


def case_id(value: object) -> str:
    """The id of a case in `pytest.mark.parametrize`."""
    if isinstance(value, Module):
        return repr(value).replace("\n", " ")[:60]
    return value if isinstance(value, str) else ""


def vary(model: Module, rng: np.random.Generator) -> None:
    """Give a built network weights and statistics that are all different."""
    state = {
        path: rng.uniform(0.25, 0.75, a.shape) if "var" in path else rng.normal(0, 0.5, a.shape)
        for path, a in model.state_dict().items()
    }
    model.load_state_dict({path: array.astype(np.float32) for path, array in state.items()})
