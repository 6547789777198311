"""How often a training step calls CUDA: a table, which the step must keep to.

Launches are counted and not executed, so the numbers are those of a GPU's host, and exact.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

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


NODES = 40  # of the graph of a step, at most
HOST = 300e-6  # seconds of a replayed step, ten times the target: other processes may disturb it

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


@pytest.fixture
def trainer(request: pytest.FixtureRequest, uncomputed: None) -> Trainer:
    """After its first steps, which compile, and capture unless graph=False is asked for."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, ((WARM_UP + 2) * BATCH, 1, 28, 28)).astype(np.uint8)
    labels = rng.integers(0, 10, len(images)).astype(np.int32)
    splits = Splits(Dataset("noise", images, labels, 10))
    options: dict[str, Any] = {"batch_size": BATCH, "optimizer": "adam", "epochs": 99}
    config = TrainConfig(model="cnn", device="cuda", graph=request.param, **options)
    made = Trainer(models.get("cnn", 10), splits, config)
    for _ in range(WARM_UP - 1):
        made.train_step()
    return made


def _calls(trainer: Trainer) -> Counter[str]:
    """What a step calls."""
    import fake_driver

    before = fake_driver.counters()
    trainer.train_step()
    return fake_driver.counters() - before


@pytest.mark.parametrize("trainer", [False], indirect=True)
def test_eager_step(trainer: Trainer) -> None:
    trainer.train_step()
    made = _calls(trainer)
    counted = {name: sum(made[part] for part in PARTS.get(name, (name,))) for name in BUDGET}
    over = {name: n for name, n in counted.items() if n > BUDGET[name].most}
    launches = "\n".join(f"{n:3} {name}" for name, n in sorted(made.items()) if "launch " in name)
    assert not over, f"{over}, at most {BUDGET}; the launches:\n{launches}"


@pytest.mark.parametrize("trainer", [None], indirect=True)
def test_replayed_step(trainer: Trainer) -> None:
    captured = _calls(trainer)
    assert 0 < captured["node"] <= NODES
    assert captured["launch"] == captured["node"]  # no copies, no memory is filled
    assert captured["graph launch"] == 1
    made = _calls(trainer)
    assert {name: n for name, n in made.items() if "Device" not in name} == {"graph launch": 1}


@pytest.mark.parametrize("trainer", [None], indirect=True)
def test_host_time_of_a_replayed_step(trainer: Trainer) -> None:
    times = []
    for _ in range(50):
        start = time.perf_counter()
        trainer.train_step()
        times.append(time.perf_counter() - start)
    assert min(times[1:]) < HOST
