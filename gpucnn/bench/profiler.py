"""Where the time of a training step goes, layer by layer, forward and backward.

A whole step is measured: the batch, the stages of the `Sequential` (a stage is one call), the loss,
backward, the optimizer. The clock is read between them, so that each part finds the caches and the
memory as the part before left them. Steps of the real trainer, without clocks in them, take turns
with these, and show how much time the parts leave out. On a GPU the parts are queued before the
first of them begins, so that the time of a part is that of its kernels.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from gpucnn.autograd import Function, Tensor
from gpucnn.backend import Backend
from gpucnn.backend.contract import Array
from gpucnn.bench import ceilings as limits
from gpucnn.bench import costs
from gpucnn.bench.ceilings import Ceilings
from gpucnn.bench.costs import BACKWARD, FORWARD, Part
from gpucnn.bench.health import health_share
from gpucnn.bench.machine import free_memory
from gpucnn.bench.networks import next_batch
from gpucnn.bench.record import BenchRow
from gpucnn.bench.stopwatch import Call, Seconds, Stopwatch, Times
from gpucnn.data import Dataset, Splits
from gpucnn.errors import UsageError
from gpucnn.nn import Module, Sequential
from gpucnn.optim import clip_grad_norm
from gpucnn.training import TrainConfig, Trainer
from gpucnn.training.metrics import compute_loss

_IMAGES = 60_000  # random, as many as in MNIST, so that gathering does not find them in a cache
_IMAGE_BYTES = 64 << 20  # but no more than this
_STEPS = 100_000  # until the training begins again, about
# So small that hundreds of steps on random images hardly change the weights. The time does not
# depend on it.
_LEARNING_RATE = 1e-8
_CALLS = 5  # of the stopwatch: two ceilings, the step, its parts, the health of the training


class ProfilePart(NamedTuple):
    """A line of the table, and a bar of the picture.

    Attributes:
        name: "batch", the stage ("conv1+relu1"), "loss" or "optimizer".
        backward: None for a part without a gradient.
    """

    name: str
    forward: BenchRow
    backward: BenchRow | None

    @property
    def seconds(self) -> tuple[float, float]:
        """The medians forward and backward."""
        forward, backward = (row.seconds if row else None for row in self[1:])
        return forward.median if forward else 0.0, backward.median if backward else 0.0

    @property
    def roofline(self) -> float:
        """Roofline time of both; data in a cache can be faster than that."""
        return sum(row.floor or 0.0 for row in (self.forward, self.backward) if row)


@dataclass(frozen=True)
class Profile:
    """The result of `measure`.

    Attributes:
        rows: a part in a direction each, in the order of the forward pass, backward after forward.
            `case` is the direction. They have no times where the device does not time.
        step: a step of the trainer itself.
        ceilings: of the machine.
        health: the time of the health checks of `gpucnn train` relative to that of the steps.
    """

    config: TrainConfig
    environment: dict[str, Any]
    rows: list[BenchRow]
    step: Seconds | None
    ceilings: Ceilings | None
    health: float | None = None

    @property
    def rest(self) -> float | None:
        """Seconds of a whole step beyond the sum of the rows: metrics, walking the graph, noise.

        On a GPU also the time in which it waits for the host: the rows have none.
        """
        if self.step is None:
            return None
        return self.step.median - sum(row.seconds.median for row in self.rows if row.seconds)

    def parts(self) -> list[ProfilePart]:
        """The rows, forward and backward side by side."""
        backward = {row.name: row for row in self.rows if row.case == BACKWARD}
        forward = [row for row in self.rows if row.case == FORWARD]
        return [ProfilePart(row.name, row, backward.get(row.name)) for row in forward]


def prepare(model: Module, config: TrainConfig, image_shape: tuple[int, ...]) -> Trainer:
    """A trainer of `model` on random images, which hardly change its weights.

    Args:
        model: a Sequential for images of `image_shape` (C, H, W); it gives logits.
        config: its schedule and limits are replaced, which do not change the time of a step.

    Raises:
        UsageError: the model is no Sequential.
        MemoryError: there is too little memory for the batch.
    """
    if not isinstance(model, Sequential) or not len(model):
        raise UsageError(
            f"{model.display_name} cannot be profiled layer by layer",
            cause="only a Sequential of layers tells the order of its layers",
            fix="make it of Sequential([...])",
        )
    model.build(image_shape, seed=config.seed)
    batch = config.batch_size
    most = min(_IMAGES, _IMAGE_BYTES // int(np.prod(image_shape)))
    rng = np.random.default_rng(0)
    shape = (batch * max(1, most // batch), *image_shape)
    calls = costs.calls(model)
    outputs = sum(call.y.data.nbytes for call in calls if call.layer not in model.not_kept())
    needed, free = math.prod(shape) + batch * outputs * (config.device == "cpu"), free_memory()
    if free is not None and needed > free:  # the system might grant it now, and kill us later
        raise MemoryError(
            f"the step needs more than {needed / 1e9:,.1f} GB, {free / 1e9:,.1f} GB are free"
        )
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    classes = calls[-1].y.shape[-1]
    labels = rng.integers(0, classes, len(images), dtype=np.int32)
    config = dataclasses.replace(
        config,
        learning_rate=_LEARNING_RATE,
        schedule="constant",
        epochs=1 + _STEPS * batch // len(images),
        validation=0,
        patience=None,
        limit_batches=None,
        overfit_batches=None,
    )
    return Trainer(model, Splits(Dataset("random images", images, labels, classes)), config)


def measure(trainer: Trainer, seconds: float) -> Profile:
    """Time a step of what `prepare` gave, and its parts.

    Args:
        seconds: to spend on it, about.
    """
    watch = Stopwatch(trainer.backend, seconds=seconds / _CALLS)
    ceilings, step, times = limits.measure(watch), None, dict[Part, Times]()
    health = None
    if watch.ticks:
        clocked = _ClockedStep(trainer)
        calls: dict[str, Call] = {"step": _steps(trainer), "parts": clocked}
        step = watch.compare(calls, held=["parts"])["step"].seconds()
        with trainer.backend.quiet_device():
            times = clocked.laps.times()
        health = health_share(trainer, watch, step)
    rows = []
    for part, cost in costs.count(trainer).items():
        row = BenchRow("profile", *part, flop=cost.flop, nbytes=cost.nbytes)
        if ceilings is not None:
            row.set_times(times[part])
            row.floor = ceilings.roofline_time(*cost)
        rows.append(row)
    return Profile(trainer.config, trainer.backend.describe(), rows, step, ceilings, health)


def _steps(trainer: Trainer) -> Callable[[], None]:
    """The trainer's own step."""
    trainer.model.train()

    def step() -> None:
        _begin_again(trainer)
        trainer.train_step()

    return step


def _begin_again(trainer: Trainer) -> None:
    """Go back to the first step where the table of learning rates ends."""
    if trainer.step == trainer.total_steps:
        trainer.step = 0
        trainer.optimizer.step_count.fill(0)


class _Laps:
    """Measures the time between calls of `mark`: on a GPU by events in its stream."""

    def __init__(self, backend: Backend) -> None:
        self._event = backend.xp.cuda.Event if backend.name.startswith("cuda") else None
        self._xp = backend.xp
        self._marks: list[tuple[Part | None, float, Any]] = []

    def mark(self, ended: Part | None) -> None:
        """Mark the end of a part; None: the time since the last mark belongs to no part."""
        event = self._event and self._event()
        if event is not None:
            event.record()
        self._marks.append((ended, time.perf_counter(), event))

    def times(self) -> dict[Part, Times]:
        """The times of each part, without the first two steps.

        The first step compiles, and the stopwatch does not hold a GPU in the second.
        """
        found: dict[Part, Times] = {}
        for (_, start, begin), (part, stop, end) in pairwise(self._marks):
            if part is not None:
                runs, _, host = found.setdefault(part, Times([], [], []))
                host.append(stop - start)
                runs.append(host[-1] if end is None else self._elapsed(begin, end))
        return {part: Times(runs[2:], [], host[2:]) for part, (runs, _, host) in found.items()}

    def _elapsed(self, begin: Any, end: Any) -> float:
        end.synchronize()
        return 1e-3 * self._xp.cuda.get_elapsed_time(begin, end)


class _Gate(Function):
    """y = x. When the gradient passes it, `ended` has ended."""

    def __init__(self, laps: _Laps, ended: Part) -> None:
        self.laps = laps
        self.ended = ended

    def forward(self, x: Array) -> Array:
        return x

    def backward(self, g: Array) -> Array:
        self.laps.mark(self.ended)
        return g


class _ClockedStep:
    """A step as `TrainStep` does it, with the clock read after each part."""

    def __init__(self, trainer: Trainer) -> None:
        assert isinstance(trainer.model, Sequential)
        self.trainer = trainer
        self.stages = trainer.model.stages()
        self.laps = _Laps(trainer.backend)

    def __call__(self) -> None:
        with self.trainer.backend.quiet_device():
            self._step()

    def _step(self) -> None:
        trainer, mark = self.trainer, self.laps.mark
        _begin_again(trainer)
        mark(None)
        images, labels = next_batch(trainer)
        mark(("batch", FORWARD))
        trainer.optimizer.zero_grad()
        x = Tensor(images)
        mark(None)
        names = [name for name, _ in self.stages]
        last = ""  # the stage that the gradient reaches last
        for (name, stage), following in zip(self.stages, [*names[1:], "loss"], strict=True):
            x = stage(x)
            mark((name, FORWARD))
            if x.requires_grad:
                last = last or name
                x = _Gate(self.laps, (following, BACKWARD))(x)
                mark(None)
        loss = compute_loss(trainer.config.loss, x, labels)
        mark(("loss", FORWARD))
        del x
        loss.backward()
        mark((last, BACKWARD))
        if trainer.config.clip_norm is not None:
            clip_grad_norm(trainer.optimizer.parameters, trainer.config.clip_norm)
        trainer.optimizer.step()
        mark(("optimizer", FORWARD))
        trainer.step += 1
