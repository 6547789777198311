"""The networks that `--model` takes. Each gets images (N, 1, 28, 28) and gives logits."""

from __future__ import annotations

from collections.abc import Callable

from gpucnn.errors import choose
from gpucnn.nn import Conv2d, Dense, Dropout, Flatten, MaxPool2d, Module, Sequential


def softmax(classes: int = 10) -> list[Module]:
    """Softmax regression: one matrix, which starts from zero (the loss is convex)."""
    return [Flatten(), Dense(classes, kernel_initializer="zeros")]


def mlp(classes: int = 10) -> list[Module]:
    """Two hidden layers of 512 with ReLU and dropout, as in Keras's first MNIST example."""
    return [
        Flatten(),
        Dense(512, activation="relu"),
        Dropout(0.2),
        Dense(512, activation="relu"),
        Dropout(0.2),
        Dense(classes),
    ]


def lenet(classes: int = 10) -> list[Module]:
    """LeNet-5 (LeCun et al. 1998, figure 2), with ReLU and max pooling as is usual now."""
    return [
        Conv2d(6, 5, padding=2, activation="relu"),
        MaxPool2d(2),
        Conv2d(16, 5, activation="relu"),
        MaxPool2d(2),
        Flatten(),
        Dense(120, activation="relu"),
        Dense(84, activation="relu"),
        Dense(classes),
    ]


def cnn(classes: int = 10) -> list[Module]:
    """The MNIST network of pytorch/examples and of Keras: 1,199,882 parameters for 10 classes."""
    return [
        Conv2d(32, 3, activation="relu"),
        Conv2d(64, 3, activation="relu"),
        MaxPool2d(2),
        Dropout(0.25),
        Flatten(),
        Dense(128, activation="relu"),
        Dropout(0.5),
        Dense(classes),
    ]


_MODELS: dict[str, Callable[[int], list[Module]]] = {
    "softmax": softmax,
    "mlp": mlp,
    "lenet": lenet,
    "cnn": cnn,
}
NAMES = tuple(_MODELS)


def get(name: str, classes: int = 10) -> Sequential:
    """The network of a name, not built yet.

    Raises:
        UsageError: no network has this name; it lists those that there are.
    """
    return Sequential(choose(_MODELS, name, "model")(classes), name=name)


def default_learning_rate(name: str) -> float:
    """The learning rate of Adam with which the network of a name reaches its accuracy."""
    choose(_MODELS, name, "model")
    return 2e-3 if name == "cnn" else 3e-3
