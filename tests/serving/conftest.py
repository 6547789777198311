"""Trained models, and a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from serving_client import Client, served, trained

from gpucnn import data
from gpucnn.data import Dataset, Reading, Splits
from gpucnn.training import SavedModel


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    """LeNet, trained on the digits that come with gpucnn."""
    folder = tmp_path_factory.mktemp("digits")
    return trained(folder, "lenet", data.load("digits"), epochs=2)


@pytest.fixture(scope="session")
def client(digits: SavedModel) -> Iterator[Client]:
    """A server of `digits`."""
    with served(digits) as client:
        yield client


@pytest.fixture(scope="session")
def untaught(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., SavedModel]:
    """Makes a model of softmax regression for images of a shape, trained on noise."""

    def make(
        shape: tuple[int, ...], classes: list[str], reading: Reading | None = None
    ) -> SavedModel:
        rng = np.random.default_rng(3)
        images = rng.integers(0, 256, (2 * len(classes), *shape), dtype=np.uint8)
        labels = np.arange(2 * len(classes)) % len(classes)
        part = Dataset("noise", images, labels, len(classes), classes)
        splits = Splits(part, None, None, reading or Reading(), "noise")
        return trained(tmp_path_factory.mktemp("noise"), "softmax", splits, limit_batches=1)

    return make
