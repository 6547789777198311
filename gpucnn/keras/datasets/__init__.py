"""Data sets as Keras gives them: `(x_train, y_train), (x_test, y_test) = mnist.load_data()`."""

from __future__ import annotations

from gpucnn.keras.datasets import digits, fashion_mnist, mnist
from gpucnn.spelling import explain_names

__all__ = ["digits", "fashion_mnist", "mnist"]

explain_names(
    __name__,
    dict.fromkeys(
        ("cifar10", "cifar100", "imdb", "reuters", "california_housing", "boston_housing"),
        "there is none; gpucnn.data.load reads files of your own",
    ),
)
