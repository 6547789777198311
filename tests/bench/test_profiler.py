"""The costs of a step, the clock between its parts, and the table of their times."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gpucnn import models, nn
from gpucnn.autograd import Function, Tensor
from gpucnn.bench import ceilings, costs, profile_table, profiler
from gpucnn.bench.ceilings import Ceilings
from gpucnn.bench.costs import BACKWARD, FORWARD, Cost
from gpucnn.bench.profiler import Profile
from gpucnn.bench.record import BenchRow
from gpucnn.bench.stopwatch import Seconds
from gpucnn.cli.tables import text
from gpucnn.errors import UsageError
from gpucnn.training import TrainConfig, Trainer

SHAPE = (1, 28, 28)
HEALTH_SHARE = profiler.health_share


@pytest.fixture(autouse=True)
def known_ceilings(monkeypatch: pytest.MonkeyPatch) -> Ceilings:
    """Ceilings and a time of the health checks that need not be measured."""
    known = Ceilings(1e11, 1e10)
    monkeypatch.setattr(ceilings, "measure", lambda watch: known if watch.ticks else None)
    monkeypatch.setattr(profiler, "health_share", lambda *_: 0.01)
    return known


def trainer_of(model: nn.Module | str, shape: tuple[int, ...] = SHAPE, **options: Any) -> Trainer:
    name = model if isinstance(model, str) else "lenet"
    config = TrainConfig(**{"model": name, "batch_size": 4, "device": "cpu", **options})
    return profiler.prepare(models.get(model) if isinstance(model, str) else model, config, shape)


def constant(seconds: float) -> Seconds:
    return Seconds(seconds, seconds, seconds, seconds)


# ---- costs ---------------------------------------------------------------------------------


def test_costs_of_a_step_of_cnn() -> None:
    trainer = trainer_of("cnn", batch_size=16)
    found = costs.count(trainer)
    forward = {row.layer: row.flops for row in trainer.model.summary_rows(16)}
    # Twice as much backward, except for conv1: no gradient is wanted by the images.
    expected = 3 * sum(forward.values()) - forward["conv1"]
    assert sum(cost.flop for cost in found.values()) == expected
    assert expected / 16 == pytest.approx(71.57e6, rel=1e-4)
    adam = 16 * trainer.model.num_parameters + 4 * 3 * trainer.model.num_parameters
    assert found["optimizer", FORWARD] == (0, adam)


def test_costs_by_hand() -> None:
    layers = [nn.Conv2d(3, 3, name="a"), nn.ReLU(name="r"), nn.Flatten(name="f"), nn.Dense(5)]
    trainer = trainer_of(nn.Sequential(layers), (2, 6, 6), optimizer="sgd", momentum=0.9)
    batch, pixels, hidden, output = 4, 2 * 6 * 6, 3 * 4 * 4, 5
    conv, dense = 3 * 2 * 9 + 3, hidden * 5 + 5
    forward = pixels * 4 * batch + 4 * conv + hidden * 4 * batch
    expected = {
        ("batch", FORWARD): Cost(0, batch * (pixels + 4 * pixels) + 2 * 4 * batch),
        ("a+r", FORWARD): Cost(batch * 2 * 18 * hidden, forward),
        ("a+r", BACKWARD): Cost(batch * 2 * 18 * hidden, forward),  # no gradient by the images
        ("f", FORWARD): Cost(0, 0),  # a view
        ("f", BACKWARD): Cost(0, 0),
        ("dense1", FORWARD): Cost(
            batch * 2 * hidden * output, 4 * batch * (hidden + output) + 4 * dense
        ),
        ("dense1", BACKWARD): Cost(
            2 * batch * 2 * hidden * output, 4 * batch * (2 * hidden + output) + 2 * 4 * dense
        ),
        ("loss", FORWARD): Cost(0, 4 * batch * output + 4 * batch),
        ("loss", BACKWARD): Cost(0, 2 * 4 * batch * output + 4 * batch),
        ("optimizer", FORWARD): Cost(0, 5 * 4 * (conv + dense)),
    }
    assert costs.count(trainer) == expected
    assert list(costs.count(trainer)) == list(expected)


def test_costs_where_something_is_frozen_or_nested() -> None:
    frozen = nn.Conv2d(2, 3, padding=1, name="frozen").freeze()
    block = nn.Residual(nn.Conv2d(2, 3, padding=1), name="block")
    model = nn.Sequential([frozen, block, nn.Flatten(), nn.Dense(3)])
    found = costs.count(trainer_of(model, (2, 5, 5)))
    assert ("frozen", BACKWARD) not in found
    product = 4 * 2 * 18 * 50
    assert found["frozen", FORWARD].flop == found["block", FORWARD].flop == product
    assert found["block", BACKWARD].flop == product  # its input needs no gradient
    assert found["dense1", BACKWARD].flop == 2 * found["dense1", FORWARD].flop


# ---- the clock -----------------------------------------------------------------------------


class _SleepingFunction(Function):
    def forward(self, x: Any) -> Any:
        time.sleep(0.01)
        return x * 1

    def backward(self, g: Any) -> Any:
        time.sleep(0.03)
        return g * 1


class Sleeper(nn.Module):
    """10 ms forward, 30 ms backward."""

    def forward(self, x: Tensor) -> Tensor:
        return _SleepingFunction()(x)


def test_time_is_booked_where_it_is_spent(known_ceilings: Ceilings) -> None:
    layers = [nn.Flatten(), nn.Dense(8, activation="relu"), Sleeper("sleeper"), nn.Dense(3)]
    profile = profiler.measure(trainer_of(nn.Sequential(layers)), 0.01)
    seconds = {(row.name, row.case): row.seconds.median for row in profile.rows if row.seconds}
    assert list(seconds) == [
        ("batch", FORWARD),
        ("flatten1", FORWARD),
        ("dense1", FORWARD),
        ("dense1", BACKWARD),
        ("sleeper", FORWARD),
        ("sleeper", BACKWARD),
        ("dense2", FORWARD),
        ("dense2", BACKWARD),
        ("loss", FORWARD),
        ("loss", BACKWARD),
        ("optimizer", FORWARD),
    ]
    assert seconds.pop(("sleeper", FORWARD)) >= 0.01
    assert seconds.pop(("sleeper", BACKWARD)) >= 0.03
    assert max(seconds.values()) < 0.01  # it is far below a millisecond
    assert min(seconds.values()) > 0
    assert profile.step is not None
    assert profile.step.median >= 0.04
    sum_of_parts = sum(sum(part.seconds) for part in profile.parts())
    assert profile.rest == pytest.approx(profile.step.median - sum_of_parts)
    for row in profile.rows:
        assert row.floor == known_ceilings.roofline_time(row.flop or 0, row.nbytes or 0)


@pytest.mark.parametrize("name", models.NAMES)
def test_the_clocked_step_is_the_trainers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiler, "_LEARNING_RATE", 0.01)
    ours, real = trainer_of(name), trainer_of(name)
    clocked, step = profiler._ClockedStep(ours), profiler._steps(real)
    for _ in range(3):
        clocked()
        step()
    assert ours.step == real.step == 3
    for key, weights in real.model.state_dict().items():
        assert np.array_equal(ours.model.state_dict()[key], weights), key


def test_the_weights_stay_what_they_are() -> None:
    trainer = trainer_of("mlp")
    before = trainer.model.state_dict()
    profiler.measure(trainer, 0.01)
    assert trainer.step > 10
    for key, weights in trainer.model.state_dict().items():
        assert np.abs(weights - before[key]).max() < 1e-4


def test_a_training_without_an_end() -> None:
    trainer = trainer_of("softmax")
    assert trainer.total_steps > 10_000
    for step in (profiler._steps(trainer), profiler._ClockedStep(trainer)):
        trainer.step = trainer.total_steps
        trainer.optimizer.step_count.fill(trainer.total_steps)
        step()
        assert trainer.step == trainer.optimizer.step_count[0] == 1


def test_every_device_is_profiled_or_counted(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiler, "health_share", HEALTH_SHARE)
    profile = profiler.measure(trainer_of("softmax", device=backend.name), 0.01)
    assert {row.name for row in profile.rows} == {
        "batch", "flatten1", "dense1", "loss", "optimizer"
    }  # fmt: skip
    assert profile.environment["device"] == backend.name
    timed = backend.name != "sim"
    assert (profile.step is not None) == timed
    for row in profile.rows:
        assert (row.seconds is not None) == (row.floor is not None) == timed
    assert (profile.rest is not None) == timed
    assert profile.health is None if not timed else 0 < profile.health <= 0.02


def test_a_gpu_is_timed_by_its_events() -> None:
    class Event:
        """Recorded at a time of the GPU, a hundred times that of the host."""

        def record(self) -> None:
            self.at = 100 * time.perf_counter()

        def synchronize(self) -> None:
            pass

    class Cuda:
        @staticmethod
        def get_elapsed_time(begin: Any, end: Any) -> float:
            return 1e3 * (end.at - begin.at)

    Cuda.Event = Event  # type: ignore[attr-defined]
    xp = type("xp", (), {"cuda": Cuda})
    laps = profiler._Laps(type("Backend", (), {"name": "cuda:0", "xp": xp}))  # type: ignore[arg-type]
    for _ in range(4):
        laps.mark(None)
        time.sleep(0.001)
        laps.mark(("a", FORWARD))
    found = laps.times()
    assert list(found) == [("a", FORWARD)]
    times = found["a", FORWARD]
    assert len(times.runs) == len(times.host) == 2  # the first two steps are left out
    assert min(times.host) >= 0.001
    assert times.runs == pytest.approx([100 * host for host in times.host], rel=0.5)


# ---- what is prepared and refused ----------------------------------------------------------


def test_options_that_make_no_step_are_set_aside() -> None:
    trainer = trainer_of(
        "softmax", patience=3, overfit_batches=1, limit_batches=2, validation=5, learning_rate=1e3
    )
    assert trainer.steps_per_epoch > 100
    assert trainer.learning_rates.max() < 1e-6


def test_a_batch_larger_than_the_random_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiler, "_IMAGES", 10)
    trainer = trainer_of("softmax", batch_size=16)
    assert len(trainer.loader.dataset) == 16
    profiler._ClockedStep(trainer)()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Dense(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x)


@pytest.mark.parametrize("model", [Net(), nn.Sequential(), nn.Residual(nn.ReLU())])
def test_only_a_sequential_has_stages(model: nn.Module) -> None:
    with pytest.raises(UsageError, match="only a Sequential"):
        trainer_of(model, (4,))


# ---- the table -----------------------------------------------------------------------------


def profile_of(step: float, *parts: tuple[str, float, float | None]) -> Profile:
    rows = []
    for name, forward, backward in parts:
        row = BenchRow("profile", name, FORWARD, flop=10**6, nbytes=10**6)
        rows.append(replace(row, seconds=constant(forward), floor=forward / 2))
        if backward is not None:
            row = BenchRow("profile", name, BACKWARD, flop=2, nbytes=3)
            rows.append(replace(row, seconds=constant(backward), floor=backward / 4))
    environment = {"device": "cpu", "threads": 2}
    ceilings = Ceilings(4e11, 8e10)
    return Profile(TrainConfig(batch_size=100), environment, rows, constant(step), ceilings)


def lines_of(profile: Profile) -> list[str]:
    return text([profile_table.table(profile)]).splitlines()


def test_table() -> None:
    profile = profile_of(0.1, ("batch", 0.01, None), ("conv1+relu1", 0.02, 0.04))
    lines = lines_of(profile)
    assert lines[0].split() == ["forward", "roofline", "backward", "roofline", "roof", "step"]
    assert lines[2].split() == ["batch", "10.0", "ms", "5.00", "ms", "50%", "10%", "##"]
    conv = "conv1+relu1 20.0 ms 10.0 ms 40.0 ms 10.0 ms 33% 60% ####========"
    assert lines[3].split() == conv.split()
    assert lines[4].split() == ["the", "rest", "30.0", "ms", "30%"]
    assert lines[5].split() == ["whole", "step", "100", "ms", "25.0", "ms", "25%", "100%"]
    assert "1,000 images/s" in lines[6]
    assert "400 GFLOP/s" in " ".join(" ".join(lines).split())
    assert "80.0 GB/s" in " ".join(lines)
    assert "100 images, adam, on cpu, 2 threads" in profile_table.heading(profile)
    assert "GPU" not in " ".join(lines)
    on_gpu = replace(profile, environment={"device": "cuda:0", "gpu": "H200"})
    assert "the rest: also the time in which the GPU waits" in " ".join(lines_of(on_gpu))


def test_parts_that_take_longer_than_the_step() -> None:
    """By noise: the rest is negative."""
    lines = lines_of(profile_of(0.01, ("batch", 0.01002, None)))
    assert lines[3].split() == ["the", "rest", "-20.00", "us", "0%"]


@pytest.mark.parametrize("step", [1e-5, 0.0099, 0.5, 700.0])
def test_table_fits_80_columns(step: float) -> None:
    part = ("a_layer_with_a_very_long_name+relu1", step / 3, step / 2)
    profile = profile_of(step, part, ("x", step / 5, None))
    lines = lines_of(profile)
    assert max(map(len, lines)) <= 80
    assert len(profile_table.heading(profile)) <= 80
    labels = "".join(line.split()[0] for line in lines[2:5])
    assert labels.startswith(part[0])  # it is not cut off


def test_table_of_costs_alone() -> None:
    profile = profile_of(1.0, ("batch", 1.0, None), ("conv1", 1.0, 1.0))
    rows = [replace(row, seconds=None, floor=None) for row in profile.rows]
    counted = Profile(profile.config, {"device": "sim"}, rows, None, None)
    lines = lines_of(counted)
    assert lines[2].split() == ["batch", "1.00", "1.00"]
    assert lines[3].split() == ["conv1", "1.00", "1.00", "0.00", "0.00"]
    assert max(map(len, lines)) <= 80
    assert profile_table.heading(counted).endswith("on sim")
