"""Whole networks: what is counted, that a wrong gradient is caught, the rows of train and infer."""

from __future__ import annotations

import numpy as np
import pytest

from gpucnn import models
from gpucnn.autograd import Tensor
from gpucnn.bench import baselines, networks
from gpucnn.bench.session import Bench, Options
from gpucnn.bench.verify import verify_outputs, verify_step
from gpucnn.data import Splits
from gpucnn.training import Trainer

INSTALLED = tuple(baselines.installed())


@pytest.fixture
def bench(hasty: None) -> Bench:
    return Bench(Options(suite="quick", seconds=0, baselines=INSTALLED))


def trainer(name: str, size: int = 8) -> Trainer:
    data = Splits(networks.random_images(np.random.default_rng(0), 64))
    return networks.make_trainer(
        name, data, "cpu", batch_size=size, optimizer="sgd", learning_rate=1e-3
    )


@pytest.mark.slow
def test_operations_of_a_step_of_cnn():
    model = models.get("cnn").build((1, 28, 28))
    forward = 2 * (9 * 32 * 26 * 26 + 288 * 64 * 24 * 24 + 9216 * 128 + 128 * 10)
    first = 2 * 9 * 32 * 26 * 26
    assert networks.step_flop(model, 1) == 3 * forward - first
    assert round(networks.step_flop(model, 1) / 1e6, 2) == 71.57


@pytest.mark.parametrize("name", models.NAMES)
def test_a_step_is_right(name):
    it = trainer(name)
    for _ in range(2):  # in the second the weights have moved, and dropout drops others
        error, bound = verify_step(it, *networks.next_batch(it))
        assert 0 < error <= bound < 0.05  # with few images one maximum that falls otherwise shows
    assert it.step == 2


@pytest.mark.parametrize("path", ["conv1.weight", "conv2.bias", "dense1.weight", "dense3.bias"])
@pytest.mark.parametrize("factor", [1.001, np.nan])
def test_a_gradient_that_is_a_little_off_is_wrong(path, factor):
    it = trainer("lenet")
    train_step = it.train_step

    def wrongly() -> None:
        train_step()
        parameter = it.model.named_parameters()[path]
        parameter.grad = parameter.grad * np.float32(factor)

    it.train_step = wrongly  # type: ignore[method-assign]
    error, bound = verify_step(it, *networks.next_batch(it))
    assert not error <= bound


def test_a_loss_that_is_a_little_off_is_wrong(monkeypatch):
    it = trainer("lenet")
    read = it.totals.read
    monkeypatch.setattr(it.totals, "read", lambda: (read()[0] * 1.001, 0.0))
    error, bound = verify_step(it, *networks.next_batch(it))
    assert error > bound


@pytest.mark.parametrize("name", models.NAMES)
def test_outputs(name, rng):
    model = models.get(name).build((1, 28, 28)).eval()
    networks.replace_zeros(model, rng)
    x = rng.random((4, 1, 28, 28), dtype=np.float32)
    y = model(Tensor(x)).numpy()
    error, bound = verify_outputs(model, x, y)
    assert 0 < error <= bound < 1e-4
    error, bound = verify_outputs(model, x, y * np.float32(1.001))
    assert error > bound
    error, bound = verify_outputs(model, x, np.where(np.arange(10) == 3, np.nan, y))
    assert not error <= bound


def test_no_weight_is_left_at_zero(rng):
    model = models.get("lenet").build((1, 28, 28))
    before = model.state_dict()["conv1.weight"]
    networks.replace_zeros(model, rng)
    assert all(weight.any() for weight in model.state_dict().values())
    np.testing.assert_array_equal(model.state_dict()["conv1.weight"], before)


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [networks.training_tasks, networks.inference_tasks])
def test_rows(bench, tasks, monkeypatch):
    monkeypatch.setattr(networks, "IMAGES", 300)
    rows = [task() for task in tasks(bench)]
    assert len(rows) == len({row.key for row in rows}) == 4
    for row in rows:
        assert row.ok
        assert row.seconds is not None
        assert row.unit == "images/s"
        size = int(row.case.split()[1])
        assert row.value == pytest.approx(size / row.seconds.median)
        assert row.flop
        assert row.share
        for result in row.baselines.values():
            assert result.seconds is not None
            assert result.value == pytest.approx(size / result.seconds.median)
            assert result.ratio is not None
        assert set(row.baselines) == set(INSTALLED)


@pytest.mark.slow
def test_all_batch_sizes_and_what_a_user_gets_unless_told_otherwise(hasty):
    bench = Bench(Options(suite="mnist"))
    bench.guarded = lambda row, *rest: row  # type: ignore[method-assign]
    rows = [task() for task in networks.training_tasks(bench)]
    cases = [f"batch {size}" for size in (32, 64, 128, 256, 512, 1024)] + ["batch 64, adam"]
    for model in models.NAMES:
        assert [row.case for row in rows if row.name == model] == cases


def test_a_model_that_is_wrong_is_not_timed(bench, monkeypatch):
    monkeypatch.setattr(networks, "verify_step", lambda *args: (1.0, 0.5))
    monkeypatch.setattr(networks, "IMAGES", 300)
    row = networks.training_tasks(bench)[0]()
    assert row.ok is False
    assert row.seconds is None
    assert row.value is None


def test_on_a_gpu_many_steps_are_timed_as_one(bench, monkeypatch):
    images = networks.random_images(bench.rng, 64)
    steps = []
    for on_gpu in (False, True):
        monkeypatch.setattr(bench.watch, "on_gpu", on_gpu)
        steps.append(networks.training(bench, images, "softmax", 32, "sgd").steps)
    assert steps == [1, 20]


@pytest.mark.slow
@pytest.mark.skipif(not INSTALLED, reason="PyTorch is not installed")
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_pytorchs_step_does_the_same(bench, optimizer, layout):
    """Ten steps on one batch of everything: the order of the images does not matter."""
    data = networks.random_images(np.random.default_rng(0), 64)
    momentum = 0.9 if optimizer == "sgd" else None
    ours = networks.make_trainer(
        "lenet", Splits(data), "cpu", batch_size=64, schedule="constant", learning_rate=1e-3,
        optimizer=optimizer, momentum=momentum,
    )  # fmt: skip
    theirs = bench.torch.training(
        ours.model, data, layout, batch_size=64, optimizer=optimizer, learning_rate=1e-3
    )
    for _ in range(10):
        ours.train_step()
        theirs.step()
    weight = theirs.network[0].weight.detach().numpy()
    start = models.get("lenet").build((1, 28, 28)).state_dict()["conv1.weight"]
    now = ours.model.state_dict()["conv1.weight"]
    assert np.linalg.norm(weight - now) < 1e-3 * np.linalg.norm(now - start)


@pytest.mark.skipif(not INSTALLED, reason="PyTorch is not installed")
def test_only_a_convolution_sees_the_layout_of_images(bench):
    images = networks.random_images(bench.rng, 64)
    for name, layouts in (("lenet", ["contiguous", "channels_last"]), ("mlp", ["contiguous"])):
        assert list(networks.training(bench, images, name, 32, "sgd").torch) == layouts
