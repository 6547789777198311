"""Trainings that were made sick on purpose: each is found, by `inspect` and while it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from findings import Listener, find_kinds, save
from selection import slow_except

from gpucnn import backend, data
from gpucnn.inspection import guessing, inspect
from gpucnn.inspection.evidence import Evidence
from gpucnn.inspection.finding import Context
from gpucnn.nn import Dense, Flatten, Sequential
from gpucnn.nn.initializers import Constant, Normal
from gpucnn.training import Run, Trainer, fit, fit_trainer


def test_dead_relus_by_a_bias(inspected: Any) -> None:
    health = inspected(
        'Flatten(), Dense(20, activation="relu"),'
        ' Dense(30, activation="relu", bias_initializer=Constant(-50)), Dense(10)'
    )
    assert ("dead-relu", "dense2") in find_kinds(health)
    assert ("dead-relu", "dense1") not in find_kinds(health)
    assert [layer.dead for layer in health.layers][1:] == [1.0, None]


@pytest.mark.parametrize("model", slow_except(["mlp", "lenet"], "lenet"))
def test_dead_relus_by_a_high_learning_rate(inspected: Any, model: str) -> None:
    health = inspected(model, learning_rate=1.0, epochs=2)
    found = find_kinds(health)
    assert {kind for kind, _ in found} >= {"dead-relu", "no-better-than-guessing"}
    dead = next(each for each in health.findings if each.kind == "dead-relu")
    assert dead.cure.startswith("gpucnn train --config ")
    assert " --lr 0.003" in dead.cure
    assert "learning rate (1)" in dead.cause


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_saturation_by_large_weights(inspected: Any, activation: str) -> None:
    health = inspected(
        f'Flatten(), Dense(60, activation="{activation}", kernel_initializer=Normal(3)), Dense(10)',
        learning_rate=0.01,
    )
    assert find_kinds(health) == {("saturated", "dense1")}
    assert health.layers[0].saturated > 0.5
    assert health.layers[0].dead is None


SIGMOIDS = ", ".join(['Dense(24, activation="sigmoid")'] * 8)


def test_vanishing_gradients_of_a_deep_sigmoid_net(inspected: Any) -> None:
    health = inspected(f"Flatten(), {SIGMOIDS}, Dense(10)", epochs=2)
    assert ("vanishing-gradient", "dense1") in find_kinds(health)
    gradients = [layer.gradient for layer in health.layers]
    assert gradients[0] < 1e-3 * gradients[-1]


def test_exploding_gradients_of_unscaled_inputs(options: Any, digits: Path) -> None:
    splits = data.load(str(digits), validation=0)
    images = splits.train.images * np.float32(20)  # floats are not scaled
    wide = data.Dataset("wide", images, splits.train.labels, 10)
    model = Sequential([Flatten(), Dense(30, activation="relu"), Dense(10)])
    listener = Listener()
    fit_trainer(Trainer(model, data.Splits(wide), options(learning_rate=1e-6)), [listener])
    assert find_kinds(listener.findings) >= {
        ("exploding-gradient", "dense1"), ("exploding-gradient", "dense2")
    }  # fmt: skip


def test_a_learning_rate_that_is_too_low(inspected: Any) -> None:
    health = inspected("lenet", optimizer="sgd", learning_rate=1e-5, epochs=2)
    (finding,) = [each for each in health.findings if each.kind == "learning-rate-low"]
    assert " --lr 0.01; or gpucnn train --config " in finding.cure
    assert finding.cure.endswith(" --epochs 4")


def test_a_loss_that_falls_slowly(inspected: Any) -> None:
    given = {"model": "softmax", "optimizer": "sgd", "epochs": 8}
    slow = inspected(**given, learning_rate=0.001)
    (finding,) = [each for each in slow.findings if each.kind == "learning-rate-low"]
    assert " --lr 0.01; or " in finding.cure
    usual = inspected(**given)  # it falls slowly as well, with the rate that is advised
    assert ("learning-rate-low", None) not in find_kinds(usual)


def test_frozen_layers_that_were_never_trained(inspected: Any) -> None:
    layers = 'Flatten(), Dense(60, activation="relu").freeze(), Dense(10)'
    health = inspected(layers, learning_rate=0.02)
    assert find_kinds(health) == {("untrained-layer", "dense1")}
    assert "frozen" in health.findings[0].cause


def test_frozen_layers_that_were_trained_before(options: Any, watch: Any) -> None:
    config = options()
    splits = data.load(config.data, validation=0)
    model = Sequential([Flatten(), Dense(60, activation="relu"), Dense(10)])
    assert watch(model, learning_rate=0.01).findings == []
    model["dense1"].freeze()
    assert watch(model, learning_rate=0.01).findings == []
    model = Sequential([Flatten(), Dense(60, activation="relu").freeze(), Dense(10)])
    assert find_kinds(watch(model, learning_rate=0.02).findings) == {("untrained-layer", "dense1")}
    assert find_kinds(inspect(model, splits.train)) == {("untrained-layer", "dense1")}


def shuffled(digits: Path, folder: Path, count: int) -> Path:
    splits = data.load(str(digits), validation=0)
    train = splits.train.subset(slice(count))
    labels = np.random.default_rng(0).permutation(train.labels)
    other = data.Dataset("shuffled", train.images, labels, 10)
    return save(folder / "shuffled.npz", other, splits.test)


@pytest.mark.slow
def test_shuffled_labels_that_are_learned_by_heart(
    inspected: Any, digits: Path, tmp_path: Path
) -> None:
    file = shuffled(digits, tmp_path, 100)
    layers = 'Flatten(), Dense(100, activation="relu"), Dense(10)'
    health = inspected(layers, data=str(file), epochs=40, learning_rate=0.003)
    assert find_kinds(health) == {("labels-do-not-fit", None)}


def test_shuffled_labels_that_are_not_learned(inspected: Any, digits: Path, tmp_path: Path) -> None:
    file = shuffled(digits, tmp_path, 400)
    health = inspected("softmax", data=str(file), epochs=3, learning_rate=0.1)
    assert ("no-better-than-guessing", None) in find_kinds(health)


def test_one_class_is_answered(digits: Path) -> None:
    model = Sequential([Flatten(), Dense(10, bias_initializer=Constant(0))])
    splits = data.load(str(digits), validation=0)
    model.build(splits.image_shape)
    model["dense1"].bias.data[3] = 1e3
    (finding,) = inspect(model, splits.train).findings[-1:]
    assert finding.kind == "one-class-answered"
    assert finding.message.endswith("the answer 3")


def test_overfitting(inspected: Any, digits: Path, tmp_path: Path) -> None:
    splits = data.load(str(digits), validation=0)
    file = save(tmp_path / "few.npz", splits.train.subset(slice(60)), splits.test)
    layers = 'Flatten(), Dense(100, activation="relu"), Dense(10)'
    health = inspected(layers, data=str(file), epochs=20, learning_rate=0.01)
    assert find_kinds(health) == {("overfitting", None)}
    assert " --shift 2 --rotate 10" in health.findings[0].cure


def test_overfitting_is_told_while_it_trains(watch: Any) -> None:
    model = Sequential([Flatten(), Dense(100, activation="relu"), Dense(10)])
    listener = watch(model, validation=350, epochs=20, batch_size=16, learning_rate=0.01)
    assert ("overfitting", None) in find_kinds(listener.findings)


def test_imbalance(inspected: Any, digits: Path, tmp_path: Path) -> None:
    splits = data.load(str(digits), validation=0)
    labels = splits.train.labels
    keep = np.flatnonzero((labels != 3) & (labels != 7))
    keep = np.concatenate([keep, np.flatnonzero(labels == 3)[:2]])
    file = save(tmp_path / "few.npz", splits.train.subset(keep), splits.test)
    kinds = {kind for kind, _ in find_kinds(inspected("softmax", data=str(file)))}
    assert kinds >= {"class-imbalance", "class-without-images", "class-never-answered"}


SICK: list[tuple[Callable[[], Sequential], dict[str, Any], tuple[str, str | None]]] = [
    (
        lambda: Sequential(
            [Flatten(), Dense(20, "relu", bias_initializer=Constant(-50)), Dense(10)]
        ),
        {},
        ("dead-relu", "dense1"),
    ),
    (
        lambda: Sequential([Flatten(), Dense(20, "tanh", kernel_initializer=Normal(3)), Dense(10)]),
        {},
        ("saturated", "dense1"),
    ),
    (
        lambda: Sequential([Flatten(), *(Dense(24, "sigmoid") for _ in range(8)), Dense(10)]),
        {},
        ("vanishing-gradient", "dense1"),
    ),
    (
        lambda: Sequential([Flatten(), Dense(20, "relu"), Dense(10)]),
        {"learning_rate": 3.0},
        ("learning-rate-high", None),
    ),
    (
        lambda: Sequential([Flatten(), Dense(20, "relu"), Dense(10)]),
        {"optimizer": "sgd", "learning_rate": 1e-6},
        ("learning-rate-low", None),
    ),
]


@pytest.mark.parametrize(("make", "given", "wanted"), SICK, ids=lambda each: None)
def test_it_is_told_once_while_the_model_trains(
    watch: Any, make: Any, given: dict[str, Any], wanted: tuple[str, str | None]
) -> None:
    listener = watch(make(), **given)
    assert wanted in find_kinds(listener.findings)
    names = [(finding.kind, finding.layer) for finding in listener.findings]
    assert len(names) == len(set(names))
    told = "\n".join(listener.told)
    for finding in listener.findings:
        assert told.count(f"warning: {finding.message}") == 1


FRESH = [
    (1e-5, "--lr 0.003"),  # below the default
    (3e-3, "--epochs 8"),  # the default
    (0.5, "--lr 0.003"),
]


@pytest.mark.parametrize(("rate", "cure"), FRESH)
def test_the_cure_of_a_training_that_does_not_learn(
    tmp_path: Path, options: Any, rate: float, cure: str
) -> None:
    config = options(learning_rate=rate)
    in_python = cure.replace("--lr ", "learning_rate=").replace("--epochs ", "epochs=")
    command = f"gpucnn train --config '{tmp_path}/a run'/config.toml {cure}"
    for run, wanted in ((Run(tmp_path / "a run"), command), (None, in_python)):
        context = Context(config, run, rate)
        records = [{"epoch": 1, "loss": 2.31, "accuracy": 0.1}]
        evidence = Evidence(context, steps=9, labels=np.arange(100) % 10, records=records)
        (finding,) = guessing.find(evidence)
        assert finding.cure.startswith(f"{wanted}; or ")


def test_no_command_trains_a_network_that_was_made_in_python(options: Any) -> None:
    config = options(learning_rate=1.0, epochs=3)
    network = Sequential(
        [Flatten(), Dense(20, activation="relu", bias_initializer=Constant(-50)), Dense(10)]
    )
    run, listener = Run.create(config, backend.get("cpu")), Listener()
    fit(network, data.load(config.data, validation=0), config, [listener], run=run)
    for findings in (listener.findings, inspect(run).findings):
        cures = {each.cure.partition("; or ")[0] for each in findings if each.kind == "dead-relu"}
        assert cures == {"learning_rate=0.001"}
