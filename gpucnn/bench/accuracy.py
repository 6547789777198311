"""How long training takes until 98 % and 99 % of MNIST's test images are classified rightly.

Both sides train with the numbers of `gpucnn train`: batches of 64, Adam, a cosine down to zero over
the same epochs. The clock stands still while the test images are looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from gpucnn import data, models
from gpucnn.bench import networks
from gpucnn.bench.baselines import Torch
from gpucnn.bench.record import Peer, Ratio, Row
from gpucnn.bench.session import Bench, seconds
from gpucnn.bench.stopwatch import Times, speed_ratio
from gpucnn.nn import Sequential
from gpucnn.training import Trainer

TARGETS = (0.98, 0.99)
MODELS = ("lenet", "cnn")
SEEDS = (0, 1, 2)
BATCH_SIZE = 64
EPOCHS = 4
_EVERY = 200  # steps between two looks at the test images

Reached = dict[float, float | None]  # target -> seconds


def count(bench: Bench) -> int:
    """Rows that there will be."""
    return len(MODELS) * len(TARGETS) * _wanted(bench)


def rows(bench: Bench) -> Iterator[Row]:
    """A row for each model and target; none of the quick suite."""
    if not _wanted(bench):
        return
    missing = networks.missing_mnist(bench.options.data_dir)
    splits = None if missing else data.load("mnist", bench.options.data_dir, validation=0)
    for name in MODELS:
        found = {} if splits is None else _measure(bench, name, splits)
        for target in TARGETS:
            case = f"{name}, batch {BATCH_SIZE}"
            row = Row("train", f"to {target:.0%}", case, "float32", skipped=missing)
            if found:
                fill(row, {who: [run[target] for run in runs] for who, runs in found.items()})
            yield row


def _wanted(bench: Bench) -> bool:
    return bench.options.suite != "quick" and bench.watch.ticks


def _measure(bench: Bench, name: str, splits: data.Splits) -> dict[str, list[Reached]]:
    """Of "ours" and of the baselines, by seed; they take turns."""
    found: dict[str, list[Reached]] = {}
    for seed in SEEDS:
        trainer = networks.make_trainer(
            name, splits, bench.backend.name, batch_size=BATCH_SIZE, epochs=EPOCHS, seed=seed
        )
        assert isinstance(trainer.model, Sequential)
        rivals = {
            who: _theirs(bench, peer, trainer.model, splits, trainer.total_steps)
            for who, peer in bench.baselines.items()
        }
        bench.progress(f"{name} to {TARGETS[-1]:.0%}, seed {seed}")
        found.setdefault("ours", []).append(_train(trainer.total_steps, _ours(trainer)))
        for who, rival in rivals.items():
            found.setdefault(who, []).append(_train(trainer.total_steps, rival))
    return found


class Training(NamedTuple):
    """One side's."""

    step: Callable[[], Any]
    wait: Callable[[], Any]  # until the device has done its steps
    accuracy: Callable[[], float]  # on the test images


def _ours(trainer: Trainer) -> Training:
    def step() -> None:
        trainer.train_on(*trainer.loader.batch(*divmod(trainer.step, trainer.steps_per_epoch)))

    def accuracy() -> float:
        found = trainer.evaluate(trainer.test)
        assert found is not None
        return found["accuracy"]

    return Training(step, trainer.read, accuracy)


def _theirs(
    bench: Bench, peer: Torch, model: Sequential, splits: data.Splits, steps: int
) -> Training:
    """In the layout that was the faster one for this model, if both were timed before."""
    from gpucnn.bench import torch_train

    layouts = [
        row.baselines[peer.name].layout
        for row in bench.record.rows
        if (row.name, row.case) == (model.name, "batch 64, adam") and peer.name in row.baselines
    ]
    layout = (layouts and layouts[0]) or "channels_last"
    train, test = (
        (peer.array(part.images), peer.array(part.labels.astype("int64")))
        for part in (splits.train, splits.test)
        if part is not None and part.labels is not None
    )
    training = torch_train.Training(
        peer.network(model, layout),
        *train,
        batch_size=BATCH_SIZE,
        learning_rate=models.default_learning_rate(model.name or ""),
        steps=steps,
        order=peer.order(layout),
    )
    return Training(training.step, lambda: float(training.loss), lambda: training.accuracy(*test))


def _train(steps: int, training: Training) -> Reached:
    """Train until the last target is reached, at most so many steps."""
    reached: Reached = dict.fromkeys(TARGETS)
    clock = 0.0
    for first in range(0, steps, _EVERY):
        start = time.perf_counter()
        for _ in range(min(_EVERY, steps - first)):
            training.step()
        training.wait()
        clock += time.perf_counter() - start
        right = training.accuracy()
        for target in TARGETS:
            if right >= target and reached[target] is None:
                reached[target] = clock
        if reached[TARGETS[-1]] is not None:
            break
    return reached


def fill(row: Row, found: dict[str, list[float | None]]) -> None:
    """Put seconds by seed into a row, those of "ours" and those of the baselines."""
    ours = _times(found.pop("ours"))
    if ours is None:
        row.skipped = f"not reached in {EPOCHS} epochs"
        return
    row.seconds = seconds(ours)
    for name, runs in found.items():
        theirs = _times(runs)
        if theirs is not None:
            ratio = Ratio(*speed_ratio(ours, theirs))
            row.baselines[name] = Peer(seconds=seconds(theirs), ratio=ratio)


def _times(runs: list[float | None]) -> Times | None:
    """None if the target was missed with a seed."""
    known = [run for run in runs if run is not None]
    return Times.of(known, known, known) if len(known) == len(runs) else None
