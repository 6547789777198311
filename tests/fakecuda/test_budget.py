"""How often a training step calls CUDA: a table, which the step must keep to.

Launches are counted and not executed, so the numbers are those of a GPU's host, and exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
from fakecuda import run

from gpucnn import models
from gpucnn.data import Dataset, Splits
from gpucnn.training import TrainConfig, Trainer

pytest.importorskip("cupy_hooks", reason=run.reason_to_skip())

BATCH, WARM_UP = 64, 3


class Calls(NamedTuple):
    """Of one step."""

    most: int  # as measured; a better step lowers it
    target: int | None = None


# One eager step of `cnn` on batches of 64 with Adam, after three others, with 132 multiprocessors.
BUDGET = {
    "launch": Calls(40, 40),
    "sync": Calls(0, 0),
    "copy": Calls(0, 0),
    "memset": Calls(0, 0),
    "malloc": Calls(0, 0),
    "free": Calls(0, 0),
    "module load": Calls(0, 0),
    "getDevice": Calls(342),
    "setDevice": Calls(0, 0),
}
# What the driver counts apart.
PARTS = {
    "sync": ("stream sync", "device sync", "event sync"),
    "copy": ("copy H2H", "copy H2D", "copy D2H", "copy D2D"),
    "malloc": ("malloc", "host malloc"),
}


@pytest.fixture
def uncomputed() -> Iterator[None]:
    """Launches that compute nothing."""
    import cupy_hooks

    cupy_hooks.execute(False)
    yield
    cupy_hooks.execute(True)


@pytest.mark.usefixtures("uncomputed")
def test_step() -> None:
    import fake_driver

    trainer = _trainer()
    for _ in range(WARM_UP):
        trainer.train_step()
    before = fake_driver.counters()
    trainer.train_step()
    made = fake_driver.counters() - before
    counted = {name: sum(made[part] for part in PARTS.get(name, (name,))) for name in BUDGET}
    over = {name: n for name, n in counted.items() if n > BUDGET[name].most}
    launches = "\n".join(f"{n:3} {name}" for name, n in sorted(made.items()) if "launch " in name)
    assert not over, f"{over}, at most {BUDGET}; the launches:\n{launches}"


def _trainer() -> Trainer:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, ((WARM_UP + 2) * BATCH, 1, 28, 28)).astype(np.uint8)
    labels = rng.integers(0, 10, len(images)).astype(np.int32)
    splits = Splits(Dataset("noise", images, labels, 10))
    config = TrainConfig(model="cnn", device="cuda", batch_size=BATCH, optimizer="adam")
    return Trainer(models.get("cnn", 10), splits, config)
