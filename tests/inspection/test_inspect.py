"""`inspect`: of runs, of files, of models of one's own and of Keras; it changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from findings import find_kinds, save
from processes import environment

from gpucnn import data, keras
from gpucnn import functions as F
from gpucnn.errors import DataError, DivergedError, UsageError
from gpucnn.inspection import Health, inspect
from gpucnn.inspection.activations import Activations
from gpucnn.inspection.data import Outputs
from gpucnn.nn import (
    BatchNorm2d,
    Conv2d,
    Dense,
    Flatten,
    MaxPool2d,
    Module,
    ReLU,
    Residual,
    Sequential,
)
from gpucnn.nn.initializers import Constant
from gpucnn.training import Run, SavedModel, Trainer, checkpoint

LAYERS = "Conv2d(4, 3, stride=3), BatchNorm2d(), ReLU(), Flatten(), Dropout(0.3), Dense(10)"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_nothing_is_changed(train_run: Any, optimizer: str) -> None:
    run = train_run(LAYERS, epochs=2, optimizer=optimizer)
    before = contents(run.path)
    saved = SavedModel.load(run.path, trust_code=True)
    saved.model.set_step(17)  # of dropout
    weights, mode = saved.model.state_dict(), saved.model.training
    health = inspect(saved)
    assert contents(run.path) == before
    assert saved.model.training == mode
    assert saved.model["dropout1"].step == [17]
    assert all(np.array_equal(array, weights[n]) for n, array in saved.model.state_dict().items())
    assert all(parameter.grad is None for parameter in saved.model.parameters())
    assert [layer.layer for layer in health.layers] == ["conv1", "batchnorm1", "dense1"]
    assert all(layer.gradient for layer in health.layers)
    assert health.layers[1].dead is not None  # the ReLU gets its outputs
    assert health.layers[1].update is None
    again = inspect(run, trust_code=True)
    assert again.layers == health.layers  # the same numbers every time
    assert str(again) == str(health)


def test_it_agrees_with_evaluate(train_run: Any, digits: Path) -> None:
    run = train_run("lenet", epochs=2, validation=40)
    health, saved = inspect(run), SavedModel.load(run.path)
    assert [result.name for result in health.results] == ["training", "validation", "test"]
    for result, split in zip(health.results, ("train", "validation", "test"), strict=True):
        report = saved.report(saved.dataset(split=split))
        assert result.accuracy == pytest.approx(report.accuracy, abs=1e-12)
        assert result.loss == pytest.approx(report.loss, rel=1e-5)
    dataset = saved.dataset(split="validation").dataset
    for wrong in health.most_wrong:
        answer = saved.classify(dataset.images[wrong.index : wrong.index + 1], 1)[0][0]
        assert answer["label"] == wrong.answer
        assert answer["probability"] == pytest.approx(wrong.probability, rel=1e-5)
        assert saved.class_names[dataset.labels[wrong.index]] == wrong.label != wrong.answer
        assert dataset.item(wrong.index) == wrong.image
    losses = [wrong.loss for wrong in health.most_wrong]
    assert losses == sorted(losses, reverse=True)


def test_the_update_is_that_of_the_optimizer(train_run: Any) -> None:
    run = train_run("Flatten(), Dense(10)", epochs=1, optimizer="sgd", learning_rate=0.5)
    health = inspect(run, trust_code=True)
    saved = SavedModel.load(run.path, trust_code=True)
    trainer = Trainer(saved.model, data.load(saved.config.data, validation=0), saved.config)
    images, labels = trainer.loader.batch(1, 0)
    p = np.exp(saved.model(images).numpy().astype(np.float64))
    g = (p / p.sum(axis=1, keepdims=True) - np.eye(10)[labels]) / len(labels)
    x = images.reshape(len(images), -1).astype(np.float64)
    weight = saved.model["dense1"].weight.numpy()
    by_weight, by_bias = x.T @ g, g.sum(axis=0)
    (layer,) = health.layers
    norm = np.sqrt((by_weight**2).sum() + (by_bias**2).sum())
    assert layer.gradient == pytest.approx(norm, rel=1e-4)
    change = 0.5 * np.linalg.norm(by_weight) / np.linalg.norm(weight)
    assert layer.update == pytest.approx(change, rel=1e-3)
    assert layer.weight == pytest.approx(np.sqrt((weight**2).mean()), rel=1e-5)


class Own(Module):
    """A network that calls functions, and no layers, for its activations."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = Conv2d(4, 3, stride=3), BatchNorm2d()
        self.hidden, self.last = Dense(12), Dense(10)

    def forward(self, x: Any) -> Any:
        x = F.relu(self.norm(self.first(x)))
        x = F.sigmoid(self.hidden(F.flatten(x)))
        return self.last(F.tanh(x))


def test_activations_are_found_however_they_are_computed() -> None:
    x = np.random.default_rng(0).random((8, 1, 28, 28), np.float32)
    found = Activations(Own().build((1, 28, 28)))
    found.add(x)
    assert [(each.layer, each.kind, each.fired.size) for each in found.found] == [
        ("norm", "relu", 4), ("hidden", "sigmoid", 12), ("hidden", "tanh", 12)
    ]  # fmt: skip
    block = Residual(Conv2d(4, 3, padding="same"), shortcut=Conv2d(4, 1))
    network = Sequential([block, ReLU(), MaxPool2d(2), Flatten(), Dense(5, activation="tanh")])
    found = Activations(network.build((1, 28, 28)))
    found.add(x)
    assert [each.kind for each in found.found] == ["relu", "tanh"]
    assert found.found[1].is_output


@pytest.mark.parametrize("folded", [True, False])
def test_units_are_counted(folded: bool) -> None:
    layers = [Conv2d(6, 3, activation="relu" if folded else None), *([] if folded else [ReLU()])]
    model = Sequential([*layers, MaxPool2d(2), Flatten(), Dense(9, activation="relu"), Dense(3)])
    model.build((1, 12, 12))
    state = model.state_dict()
    state["conv1.bias"][[1, 4]] = -100
    state["dense1.bias"][:7] = -1000
    model.load_state_dict(state)
    found = Activations(model)
    for seed in range(2):
        found.add(np.random.default_rng(seed).random((5, 1, 12, 12), np.float32))
    conv, dense = found.found
    assert found.images == 10
    assert conv.dead_units == 2
    assert list(np.flatnonzero(~conv.fired)) == [1, 4]
    assert dense.dead_units >= 7
    model["conv1"].freeze()  # what is frozen is looked at as well
    frozen = Activations(model)
    frozen.add(np.random.default_rng(0).random((5, 1, 12, 12), np.float32))
    assert frozen.found[0].dead_units == 2


def test_running_statistics_that_are_behind_kill_no_unit() -> None:
    model = Sequential([Conv2d(4, 3), BatchNorm2d(momentum=1e-3), ReLU(), Flatten(), Dense(3)])
    model.build((1, 12, 12))
    state = model.state_dict()
    state["conv1.bias"][:] = -30
    model.load_state_dict(state)
    x = np.random.default_rng(0).random((5, 1, 12, 12), np.float32)
    evaluated, trained = Activations(model), Activations(model, as_in_training=True)
    evaluated.add(x)
    trained.add(x)
    assert [each.dead_units for each in evaluated.found] == [4]
    assert [each.dead_units for each in trained.found] == [0]
    assert all(np.array_equal(array, state[n]) for n, array in model.state_dict().items())


def test_weights_that_are_not_finite(train_run: Any) -> None:
    run = train_run("softmax", epochs=1)
    weights, description = checkpoint.load_weights(run.last)
    weights["dense1.bias"][2] = np.inf
    checkpoint.save_weights(run.last, weights, description)
    health = inspect(run)
    assert find_kinds(health) == {("weights-not-finite", "dense1.bias")}
    assert health.checked == ["weights"]
    assert set(health.unchecked.values()) == {"the weights are not finite"}
    assert health.findings[0].value == pytest.approx(0.1)


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_weights_that_are_all_the_same(value: float) -> None:
    model = Sequential([Flatten(), Dense(8, activation="relu"), Dense(3)]).build((1, 4, 4))
    state = model.state_dict()
    state["dense2.weight"][:] = value
    model.load_state_dict(state)
    kind = "weights-constant" if value else "weights-all-zero"
    found = [each for each in inspect(model).findings if each.kind.startswith("weights")]
    assert find_kinds(found) == {(kind, "dense2.weight")}


def test_a_file_outside_of_its_run(train_run: Any, tmp_path: Path, digits: Path) -> None:
    run = train_run("softmax", epochs=2)
    file = tmp_path / "moved.safetensors"
    file.write_bytes(run.last.read_bytes())
    health = inspect(file)
    assert not health.is_healthy
    assert health.verdict.startswith("not judged: 2 of 11 checks of ")
    assert health.cure == f"gpucnn inspect {file} --data PATH"
    assert "the directory of its run" in health.unchecked["class balance"]
    health = inspect(file, data=str(digits))
    assert "in no run" in health.unchecked["vanishing and exploding gradients"]
    assert "overfitting" in health.checked


def test_data_that_are_gone_or_changed(train_run: Any, digits: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.npz"
    file.write_bytes(digits.read_bytes())
    run = train_run("softmax", data=str(file), epochs=2)
    moved = file.rename(tmp_path / "moved.npz")
    health = inspect(run)
    assert not health.is_healthy
    assert health.checked == [
        "weights", "untrained layers", "learning rate", "learning at all"
    ]  # fmt: skip
    assert all("mine.npz" in why for why in health.unchecked.values())
    assert str(health).splitlines() == [
        f"not judged: 4 of 11 checks of {run.path}, epoch 2 could be made",
        f"  fix: gpucnn inspect {run.path} --data PATH",
    ]
    with pytest.raises(DataError, match=r"no\.npz"):
        inspect(run, data=str(tmp_path / "no.npz"))
    whole = inspect(run, data=str(moved))
    assert "vanishing and exploding gradients" in whole.checked
    splits = data.load(str(moved), validation=0)
    save(file, splits.train.subset(slice(300)), splits.test)
    health = inspect(run)
    assert "have changed" in health.unchecked["vanishing and exploding gradients"]
    assert any("changed" in note for note in health.notes)


@pytest.mark.parametrize(
    "text", ["", "no json\n", '{"epoch": 1}\n', "[1]\n3\n", '{"epoch": 1, "loss": null}\n']
)
def test_metrics_that_cannot_be_used(train_run: Any, text: str) -> None:
    run = train_run("softmax", epochs=1, limit_batches=2)
    run.metrics.write_text(text)
    (run.weights / "state-2.safetensors").unlink()
    health = inspect(run)
    assert "state-2.safetensors" in health.unchecked["vanishing and exploding gradients"]
    assert "class balance" in health.checked


def test_a_run_that_has_not_begun(options: Any) -> None:
    config = options(model="softmax")
    trainer = Trainer(Sequential([Flatten(), Dense(10)]), data.load(config.data), config)
    run = Run.create(config, trainer.backend)
    with pytest.raises(DataError, match="no weights"):
        inspect(run)


@pytest.mark.slow
def test_a_training_that_is_running(digits: Path, tmp_path: Path) -> None:
    """It takes no lock, and deletes no file of a checkpoint that is being written."""
    words = ["train", "--data", digits, "--model", "lenet", "--epochs", "400", "--validation", "0"]
    train = subprocess.Popen(
        [sys.executable, "-m", "gpucnn", *map(str, words), "--device", "cpu", "--json", "-q"],
        cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert train.stdout is not None
        while json.loads(train.stdout.readline())["event"] != "epoch":
            pass
        seen = set()
        end = time.monotonic() + 60
        while len(seen) < 3 and time.monotonic() < end:
            health = inspect(tmp_path / "runs" / "train-1")
            assert "vanishing and exploding gradients" in health.checked
            seen.add(health.epoch)
        assert len(seen) == 3
        assert train.poll() is None
    finally:
        train.terminate()
        train.communicate(timeout=30)
    state = checkpoint.read(tmp_path / "runs" / "train-1" / "weights")
    assert state.description["step"] > 0


def keras_model(digits: Path, epochs: int, **options: Any) -> tuple[Any, data.Dataset]:
    splits = data.load(str(digits), validation=0)
    x = splits.train.images / np.float32(255)
    model = keras.Sequential(
        [
            keras.layers.Flatten(input_shape=(1, 28, 28)),
            keras.layers.Dense(40, activation="relu", **options),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, splits.train.labels, epochs=epochs, verbose=0)
    return model, data.Dataset("mine", x, splits.train.labels, 10)


def test_a_model_of_keras(digits: Path, tmp_path: Path) -> None:
    model, dataset = keras_model(digits, 20)
    health = inspect(model, dataset)
    assert health.is_healthy
    _, accuracy = model.evaluate(dataset.images, dataset.labels)
    assert health.results[0].accuracy == pytest.approx(accuracy)
    assert health.layers[0].dead is not None
    wide = data.Dataset("mine", dataset.images.astype(np.float64), dataset.labels, 10)
    assert inspect(model, wide).layers == health.layers
    model.save(tmp_path / "model.keras.safetensors")
    from_file = inspect(tmp_path / "model.keras.safetensors")
    assert from_file.checked == ["weights"]
    assert "gpucnn.keras.load_model" in from_file.unchecked["dead ReLUs"]
    sick, dataset = keras_model(digits, 1, bias_initializer=Constant(-50))
    assert ("dead-relu", sick.layers[1].path) in find_kinds(inspect(sick, dataset))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({},), "the model is a dict"),
        ((3,), "the model is a int"),
        ((Sequential([Flatten(), Dense(3)]).build((1, 4, 4)), "digits"), "the data set is a str"),
        (("runs/train-1", data.load("digits").train), "data set is given for a run"),
        (
            (
                Sequential([Flatten(), Dense(3)]).build((1, 4, 4)),
                data.Dataset("none", np.zeros((3, 1, 4, 4), np.float32), None, 3),
            ),
            "none has no class ids",
        ),
    ],
)
def test_wrong_arguments(arguments: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        inspect(*arguments)


def test_the_text_of_a_verdict() -> None:
    model = Sequential([Flatten(), Dense(3)]).build((1, 4, 4))
    health = inspect(model)
    assert isinstance(health, Health)
    assert "untrained-layer" in {kind for kind, _ in find_kinds(health)}
    assert str(health).splitlines()[0] == "1 warning in 2 checks of Sequential"
    assert health.unchecked["dead ReLUs"] == "no data set is given"


def test_the_data_are_read_as_the_run_did(train_run: Any) -> None:
    for given, sizes in (
        ({"overfit_batches": 1}, {"training": 32}),
        ({"limit_batches": 2, "validation": 100}, {"training": 300, "validation": 64, "test": 64}),
    ):
        run = train_run("softmax", epochs=2, name=next(iter(given)), **given)
        health = inspect(run)
        assert not any("changed" in note for note in health.notes)
        assert {each.name: len(each.labels) for each in health.results} == sizes
        assert health.layers[0].update
        tested = run.records()[-1]["test_accuracy"]
        assert health.results[-1].accuracy == pytest.approx(tested)


def test_a_run_that_diverged(train_run: Any, options: Any) -> None:
    with pytest.raises(DivergedError) as caught:
        train_run("lenet", learning_rate=1e9, epochs=2)
    assert caught.value.fix.startswith(
        "lower the learning rate: learning_rate=0.003, or --lr 0.003"
    )
    health = inspect(Path(options().runs_dir, "train-1"))
    assert find_kinds(health) == {("learning-rate-high", None)}
    assert "the training diverged: the loss is not finite" in health.findings[0].message
    assert health.findings[0].cure.endswith(" --lr 0.003")
    assert health.unchecked["answered classes"] == "the training has not begun"


@pytest.mark.parametrize(
    ("names", "labels", "wrong"),
    [
        (["no", "yes"], [0, 0, 0, 1, 1, 1], [(5, "yes", "no", 2), (2, "no", "yes", 1)]),
        (["0"], [0] * 6, [(3, "0", "1", 2), (4, "0", "1", 2), (2, "0", "1", 1)]),
    ],
)
def test_a_single_output_means_yes_or_no(names: Any, labels: Any, wrong: Any) -> None:
    model = Sequential([Flatten(), Dense(1)]).build((1, 1, 1))
    weights = {"dense1.weight": np.ones((1, 1)), "dense1.bias": np.array([-2])}
    model.load_state_dict({path: array.astype(np.float32) for path, array in weights.items()})
    images = np.float32([0, 1, 3, 4, 4, 0]).reshape(6, 1, 1, 1)
    dataset = data.Dataset("mine", images, np.array(labels), len(names), names)
    health = inspect(model, dataset, loss="binary_cross_entropy")
    assert health.results[0].accuracy == pytest.approx(1 - len(wrong) / 6)
    found = health.most_wrong
    assert [(each.index, each.label, each.answer) for each in found] == [w[:3] for w in wrong]
    chances = [1 / (1 + np.exp(-w[3])) for w in wrong]  # of the answer, be it yes or no
    assert [each.probability for each in found] == pytest.approx(chances)


def test_gradients_of_a_model_without_a_run(digits: Path) -> None:
    model, dataset = keras_model(digits, 1)
    wide = data.Dataset("wide", dataset.images * 2550, dataset.labels, 10)
    health = inspect(model, wide)
    assert ("exploding-gradient", health.layers[0].layer) in find_kinds(health)
    assert "images / 2.55e+03" in str(health)
    assert all(layer.gradient and layer.update is None for layer in health.layers)
    sigmoids = [Dense(24, activation="sigmoid") for _ in range(8)]
    deep = Sequential([Flatten(), *sigmoids, Dense(10)]).build((1, 28, 28))
    assert ("vanishing-gradient", "dense1") in find_kinds(inspect(deep, dataset))
    assert all(parameter.grad is None for parameter in deep.parameters())


@pytest.mark.parametrize("outputs", [1, 3, 12, 784])
def test_outputs_that_do_not_fit_the_classes(digits: Path, outputs: int) -> None:
    splits = data.load(str(digits), validation=0)
    model = Sequential([Flatten(), Dense(outputs, activation="sigmoid")]).build((1, 28, 28))
    with pytest.raises(UsageError, match=f"{outputs} outputs?[ ,]"):
        inspect(model, splits.train, loss="mean_squared_error")


@pytest.mark.parametrize("K", [1, 3])
def test_outputs_do_not_depend_on_the_batches(K: int) -> None:
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(7, K)).astype(np.float32)
    classes = max(K, 2)
    labels = rng.integers(0, classes, 7)
    dataset = data.Dataset("some", np.zeros((7, 1, 2, 2), np.uint8), labels, classes)
    loss = "binary_cross_entropy" if K == 1 else "softmax_cross_entropy"
    whole = Outputs(dataset, [outputs], loss)
    batched = Outputs(dataset, [outputs[:3], outputs[3:6], outputs[6:]], loss)
    for name in ("answers", "losses", "wrong"):
        assert np.array_equal(getattr(batched, name), getattr(whole, name)), name
    places = np.array([6, 0, 3, 2])
    found = batched.probabilities(places)
    assert found.shape == (4, classes)
    assert np.array_equal(found, whole.probabilities(np.arange(7))[places])
    assert np.array_equal(found.argmax(axis=1), whole.answers[places])
    assert batched.most_wrong() == whole.most_wrong()
    assert len(whole.wrong) > 0
