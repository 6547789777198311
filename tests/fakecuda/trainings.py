"""Small trainings on the driver, done without graphs and with them, and what they leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import fake_driver

from gpucnn import data, nn
from gpucnn.training import Callback, TrainConfig, Trainer, fit

TIMES = ("seconds", "images_per_second")
STEPS = 3  # of an epoch; the last batch is short
EPOCHS = 4  # so the short batch is captured, too, and then replayed


class Trained(NamedTuple):
    """What a training leaves, and how it was done."""

    weights: dict[str, bytes]
    records: list[dict[str, Any]]
    replays: int
    launches: int


class At(Callback):
    """Calls a function with the trainer after a step, one of those that are replayed."""

    def __init__(self, change: Callable[[Trainer], Any], step: int = 7) -> None:
        self.change, self.step = change, step

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.step == self.step:
            self.change(trainer)


def digits(count: int = 20) -> data.Splits:
    splits = data.load("digits", validation=10)
    assert splits.validation is not None
    return data.Splits(splits.train.subset(slice(count)), splits.validation)


def plain() -> nn.Sequential:
    return nn.Sequential([nn.Flatten(), nn.Dense(12, "relu"), nn.Dense(10)])


def mixed() -> nn.Sequential:
    """Counters, running statistics, and a sum of two branches."""
    body = nn.Sequential([nn.Conv2d(3, 3, padding="same"), nn.BatchNorm2d(), nn.ReLU()])
    layers = [nn.AvgPool2d(4), nn.Conv2d(3, 3), nn.Residual(body), nn.Flatten()]
    return nn.Sequential([*layers, nn.Dropout(0.3), nn.Dense(10)])


def config(**options: Any) -> TrainConfig:
    given = {"epochs": EPOCHS, "batch_size": 8, "learning_rate": 0.01, "log_interval": 2}
    return TrainConfig(device="cuda", **given | options)


def train(
    graph: bool | None,
    model: nn.Module,
    *callbacks: Callback,
    splits: data.Splits | None = None,
    **options: Any,
) -> Trained:
    """`fit` on the digits, with the counts of the driver."""
    before = fake_driver.counters()
    history = fit(model, splits or digits(), config(graph=graph, **options), callbacks)
    made = fake_driver.counters() - before
    weights = {path: array.tobytes() for path, array in model.state_dict().items()}
    records = [{k: v for k, v in r.items() if k not in TIMES} for r in history.records]
    return Trained(weights, records, made["graph launch"], made["launch"])


def assert_same(eager: Trained, replayed: Trained, least: int = 1) -> None:
    """The same to the bit; the second with so many replays at least."""
    assert eager.replays == 0
    assert replayed.replays >= least
    assert replayed.records == eager.records
    assert replayed.weights == eager.weights
