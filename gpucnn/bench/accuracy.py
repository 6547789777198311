"""How long training takes until 98 % and 99 % of MNIST's test images are classified correctly.

Both sides train as `gpucnn train` does: batches of 64, Adam, a cosine to zero over the same epochs.
The clock is stopped while the test images are classified.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

from gpucnn import data, models
from gpucnn.bench import networks
from gpucnn.bench.baselines import Torch
from gpucnn.bench.record import BenchRow
from gpucnn.bench.session import Bench, Task
from gpucnn.bench.stopwatch import Times
from gpucnn.nn import Sequential
from gpucnn.training import Trainer

TARGETS = (0.98, 0.99)
MODELS = ("lenet", "cnn")
SEEDS = (0, 1, 2)
BATCH_SIZE = 64
EPOCHS = 4
_EVERY = 200  # steps between two looks at the test images

Reached = dict[float, float | None]  # target -> seconds


class Training(NamedTuple):
    """A training of one side."""

    step: Callable[[], Any]
    wait: Callable[[], Any]  # until the device has done its steps
    accuracy: Callable[[], float]  # on the test images


def tasks(bench: Bench) -> list[Task]:
    """A row for each model and target; none in the quick suite and on the simulator."""
    if bench.options.suite == "quick" or not bench.watch.ticks:
        return []
    missing = networks.missing_mnist(bench.options.data_dir)

    @cache  # one measurement of a model gives the rows of all targets
    def reached(model: str) -> dict[str, list[Reached]]:
        return measure(bench, model, data.load("mnist", bench.options.data_dir, validation=0))

    def task(model: str, target: float) -> BenchRow:
        case = f"{model}, batch {BATCH_SIZE}"
        row = BenchRow("train", f"to {target:.0%}", case, "float32", skipped=missing)
        if not missing:
            runs = reached(model)
            fill(row, **{side: [each[target] for each in runs[side]] for side in runs})
        return row

    return [partial(task, model, target) for model in MODELS for target in TARGETS]


def measure(bench: Bench, model: str, splits: data.Splits) -> dict[str, list[Reached]]:
    """The results of "ours" and "torch", by seed; the two sides take turns."""
    found: dict[str, list[Reached]] = {}
    for seed in SEEDS:
        trainer = networks.make_trainer(
            model, splits, bench.backend.name, batch_size=BATCH_SIZE, epochs=EPOCHS, seed=seed
        )
        trainings = {"ours": _ours(trainer)}
        if bench.torch is not None:  # made before our weights are trained
            trainings["torch"] = _torch(bench, bench.torch, trainer)
        bench.progress(f"{model} to {TARGETS[-1]:.0%}, seed {seed}")
        for side, training in trainings.items():
            found.setdefault(side, []).append(train(trainer.total_steps, training))
    return found


def _ours(trainer: Trainer) -> Training:
    def accuracy() -> float:
        found = trainer.evaluate(trainer.test)
        assert found is not None
        return found["accuracy"]

    return Training(trainer.train_step, trainer.read, accuracy)


def _torch(bench: Bench, torch: Torch, trainer: Trainer) -> Training:
    """In the faster layout for this model, if both layouts were timed before."""
    model, test = trainer.model, trainer.data.test
    assert isinstance(model, Sequential)
    assert test is not None
    assert test.labels is not None
    layout = "channels_last"
    for row in bench.record.rows:
        if (row.name, row.case) == (model.name, "batch 64, adam") and "torch" in row.baselines:
            layout = row.baselines["torch"].layout or layout
    training = torch.training(
        model, trainer.data.train, layout, batch_size=BATCH_SIZE, steps=trainer.total_steps,
        learning_rate=models.default_learning_rate(model.name or ""),
    )  # fmt: skip
    images, labels = torch.array(test.images), torch.array(test.labels.astype("int64"))
    return Training(
        training.step, lambda: float(training.loss), lambda: training.accuracy(images, labels)
    )


def train(steps: int, training: Training) -> Reached:
    """Train until the last target is reached, at most so many steps."""
    reached: Reached = dict.fromkeys(TARGETS)
    clock = 0.0
    for first in range(0, steps, _EVERY):
        start = time.perf_counter()
        for _ in range(min(_EVERY, steps - first)):
            training.step()
        training.wait()
        clock += time.perf_counter() - start
        accuracy = training.accuracy()
        for target in TARGETS:
            if accuracy >= target and reached[target] is None:
                reached[target] = clock
        if reached[TARGETS[-1]] is not None:
            break
    return reached


def fill(row: BenchRow, ours: list[float | None], torch: list[float | None] | None = None) -> None:
    """Put the seconds of each seed into a row; None where the target was missed."""
    mine, theirs = _times(ours), _times(torch or [None])
    if mine is None:
        row.skipped = f"not reached in {EPOCHS} epochs"
    else:
        row.set_times(mine, theirs)


def _times(seeds: list[float | None]) -> Times | None:
    """None if a seed missed the target."""
    known = [seconds for seconds in seeds if seconds is not None]
    return Times(known, known, known) if len(known) == len(seeds) else None
