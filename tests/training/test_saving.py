"""Networks that were made and trained in Python are runs for every command."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from gpucnn import backend, data, keras, models, nn
from gpucnn.cli import outcome
from gpucnn.cli.main import main
from gpucnn.errors import GpucnnError, UsageError, WeightsMismatchError
from gpucnn.training import History, Run, SavedModel, TrainConfig, fit, save_run
from gpucnn.training.code import Code

NAMES = ["nil", "one 🐟", "<script>", "a b", "4", "5", "6", "7", "8", "9"]
OWN = """
from gpucnn import nn

class Own(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.dense = nn.Dense(classes)

    def forward(self, x):
        return self.dense(x.reshape(len(x), -1))

def build(image_shape, classes):
    return Own(classes)
"""


def cnn(*end: nn.Module, activation: str | None = None) -> nn.Sequential:
    layers = [nn.Conv2d(4, 3, stride=2, activation="relu"), nn.BatchNorm2d(), nn.Flatten()]
    return nn.Sequential([*layers, nn.Dense(10, activation=activation), *end])


def own(folder: Path) -> tuple[nn.Module, str]:
    """A network of a class of its own, built, and the code that makes it."""
    file = folder / "my_net.py"
    file.write_text(OWN)
    code = Code(file, "build")
    return code.build((1, 28, 28), 10).build((1, 28, 28)), str(code)


@pytest.fixture(scope="module")
def trained(digits: data.Splits) -> tuple[nn.Sequential, History]:
    model = cnn()
    config = TrainConfig(epochs=2, batch_size=20, learning_rate=0.01, device="cpu")
    return model, fit(model, digits, config)


def call(*words: Any) -> Any:
    return CliRunner().invoke(main, [str(word) for word in words])


def works(run: Path, *words: Any) -> str:
    result = call(*words[:1], run, *words[1:])
    assert result.exit_code == 0, result.stderr
    return str(result.stdout)


def test_every_command_takes_a_saved_run(
    trained: tuple[nn.Sequential, History], digits: data.Splits, tmp_path: Path
) -> None:
    model, history = trained
    run = save_run(model, tmp_path / "runs" / "mine", data=digits, history=history)
    assert run.path == tmp_path / "runs" / "mine"
    assert run.records() == history.lines()
    assert history.test is not None
    assert f"{history.test['accuracy']:.2%}" in works(
        run.path, "evaluate", "--data", digits_file(digits, tmp_path)
    )
    image = tmp_path / "image.npy"
    np.save(image, digits.test.images[:1] if digits.test else None)
    (line,) = works(run.path, "predict", image, "--json").splitlines()
    answers = json.loads(line)["top"]
    scores = np.exp(logits(model, digits))
    best = answers[0]
    assert best["label"] == str(scores.argmax())
    assert best["probability"] == pytest.approx(scores.max() / scores.sum(), rel=1e-5)
    assert "conv1" in works(run.path, "summary")
    listed = json.loads(call("runs", tmp_path / "runs", "--json").stdout.splitlines()[0])
    shown = [listed[key] for key in ("name", "model", "data", "epochs", "planned", "state")]
    assert shown == ["mine", "python", "digits", 2, 2, "finished"]
    assert listed["test_accuracy"] == history.test["accuracy"]


@pytest.mark.slow
def test_a_saved_run_is_inspected_and_has_a_report(
    trained: tuple[nn.Sequential, History], digits: data.Splits, tmp_path: Path
) -> None:
    model, history = trained
    run = save_run(model, tmp_path / "mine", data=digits, history=history)
    assert "conv1" in works(run.path, "inspect", "--data", "digits")
    page = tmp_path / "page.html"
    works(run.path, "report", "-o", page, "--data", "digits")
    assert "Learning curves" in page.read_text()
    bare = save_run(model, tmp_path / "bare", class_names=NAMES)
    works(bare.path, "report", "-o", page)
    assert "<script>" not in page.read_text()


def test_a_saved_run_is_exported(digits: data.Splits, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    model = cnn(nn.Softmax()).build((1, 28, 28))
    run = save_run(model, tmp_path / "mine", data=digits)
    file = tmp_path / "mine.onnx"
    assert "largest difference" in works(run.path, "export", "--onnx", file, "--check")


def digits_file(digits: data.Splits, folder: Path) -> Path:
    """The test set as a file."""
    assert digits.test is not None
    assert digits.test.labels is not None
    path = folder / "test.npz"
    np.savez(path, x=digits.test.images[:, 0], y=digits.test.labels)
    return path


def logits(model: nn.Module, digits: data.Splits) -> Any:
    assert digits.test is not None
    with model.evaluating():
        return model(digits.test.images[:1].astype(np.float32) / 255).numpy()[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: cnn(nn.Softmax()),
        lambda: cnn(nn.Activation("softmax")),
        lambda: cnn(activation="softmax"),
        lambda: nn.Sequential([cnn(), nn.Sequential([nn.Softmax()])]),
    ],
)
def test_a_softmax_at_the_end_is_applied_once(
    make: Callable[[], nn.Sequential], digits: data.Splits, tmp_path: Path
) -> None:
    model = make().build((1, 28, 28))
    saved = SavedModel.load(save_run(model, tmp_path / "mine").path)
    assert digits.test is not None
    images = digits.test.images[:20]
    with model.evaluating():
        expected = model(images.astype(np.float32) / 255).numpy()
    np.testing.assert_allclose(saved.predict(images), expected, atol=1e-6)


def test_a_sigmoid_belongs_to_its_loss_alone(tmp_path: Path) -> None:
    model = cnn(activation="sigmoid").build((1, 28, 28))
    images = np.random.default_rng(0).integers(0, 256, (9, 1, 28, 28), dtype=np.uint8)
    with model.evaluating():
        expected = model(images.astype(np.float32) / 255).numpy()
    for loss in ("binary_cross_entropy", "mean_squared_error"):
        saved = SavedModel.load(save_run(model, tmp_path / loss, loss=loss).path)
        np.testing.assert_allclose(saved.predict(images), expected, atol=1e-6)


def test_names_scaling_and_reading_are_stated(tmp_path: Path) -> None:
    model = cnn().build((1, 28, 28)).freeze()  # for a training, which the run need not repeat
    run = save_run(
        model, tmp_path / "mine", class_names=NAMES, scale=0.01, offset=-1.0,
        reading=data.Reading(convert="mnist"),
    )  # fmt: skip
    saved = SavedModel.load(run.path)
    assert not any(module.frozen for module in saved.model.modules())
    assert saved.class_names == NAMES
    assert (saved.description.scale, saved.description.offset) == (0.01, -1.0)
    assert "<script>" in works(run.path, "predict", "docs/seven.png", "--top", "10")
    result = call("evaluate", run.path)
    assert result.exit_code == 2
    assert "arrays, in Python" in result.stderr
    assert "--data" in result.stderr


def test_a_keras_model_is_a_run(digits: data.Splits, tmp_path: Path) -> None:
    layers = keras.layers
    model = keras.Sequential([
        keras.Sequential([layers.Conv2D(4, 3, activation="relu"), layers.Flatten()]),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], device="cpu")
    x = digits.train.images / np.float32(255)
    model.fit(x, digits.train.labels, epochs=2, verbose=0)
    run = model.save_run(tmp_path / "mine", data=digits)
    assert [record["epoch"] for record in run.records()] == [1, 2]
    saved = SavedModel.load(run.path)
    np.testing.assert_allclose(saved.predict(digits.train.images), model.predict(x), atol=1e-6)
    assert "test accuracy" in works(run.path, "evaluate", "--data", "digits")
    model.save(tmp_path / "model.safetensors")
    result = call("predict", tmp_path / "model.safetensors", "docs/seven.png")
    assert result.exit_code == 4
    assert "save_run" in result.stderr


def test_a_keras_model_with_a_loss_of_ones_own(digits: data.Splits, tmp_path: Path) -> None:
    def cubic(y_true: Any, y_pred: Any) -> Any:
        return (abs(y_true - y_pred) ** 3).sum(axis=1)

    layers = keras.layers
    model = keras.Sequential([layers.Flatten(), layers.Dense(10, activation="softmax")])
    model.compile("adam", cubic, metrics=["accuracy"], device="cpu")
    x = digits.train.images / np.float32(255)
    model.fit(x, keras.utils.to_categorical(digits.train.labels, 10), epochs=1, verbose=0)
    with pytest.raises(UsageError, match="the loss cubic is a function") as error:
        model.save_run(tmp_path / "mine")
    assert "softmax_cross_entropy" in str(error.value.fix)
    run = model.save_run(tmp_path / "mine", loss="softmax_cross_entropy")
    predicted = SavedModel.load(run.path).predict(digits.train.images)
    np.testing.assert_allclose(predicted, model.predict(x), atol=1e-6)
    assert Run.open(run.path).config().loss == "softmax_cross_entropy"


def test_own_classes_are_saved_with_their_file(tmp_path: Path) -> None:
    model, code = own(tmp_path)
    with pytest.raises(UsageError, match="cannot be saved as a run") as error:
        save_run(model, tmp_path / "mine")
    assert "code=" in str(error.value.fix)
    run = save_run(model, tmp_path / "mine", code=code, reading=data.Reading(convert="mnist"))
    assert (run.path / "model.py").read_text() == OWN
    result = call("predict", run.path, "docs/seven.png")
    assert result.exit_code == 2
    assert "--trust-code" in result.stderr
    works(run.path, "predict", "docs/seven.png", "--trust-code")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"class_names": ["a", "b"]}, "2 class names"),
        ({"class_names": ["a"] * 10}, "10 class names"),
        ({"class_names": ["a" * 201, *"bcdefghij"]}, "201 characters"),
        ({"loss": "cross"}, "unknown loss"),
        ({"loss": 3}, "the loss"),
        ({"code": "my_net"}, "my_net.py:build"),
        ({"scale": float("nan")}, "scale is nan"),
        ({"offset": "0"}, "offset is '0'"),
        ({"scale": 1e300}, "scale is 1e+300"),
        ({"offset": True}, "offset is True"),
        ({"data": "digits"}, "Splits"),
        ({"history": []}, "result of training.fit"),
        ({"reading": "mnist"}, "Reading"),
    ],
)
def test_impossible_runs_are_not_written(
    options: dict[str, Any], says: str, tmp_path: Path
) -> None:
    model = cnn().build((1, 28, 28))
    with pytest.raises(GpucnnError) as error:
        save_run(model, tmp_path / "mine", **options)
    assert says in f"{error.value} {error.value.cause} {error.value.fix}"
    assert not (tmp_path / "mine").exists()


def test_other_refusals(tmp_path: Path) -> None:
    one = nn.Sequential([nn.Flatten(), nn.Dense(1)]).build((1, 28, 28))
    with pytest.raises(UsageError, match="2 class names") as error:
        save_run(one, tmp_path / "mine", class_names=["no", "yes"])
    assert "Dense(2" in str(error.value.fix)
    with pytest.raises(UsageError, match="not built"):
        save_run(cnn(), tmp_path / "mine")
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        save_run(cnn().build((1, 28, 28)), tmp_path / "mine")
    _, code = own(tmp_path)
    with pytest.raises(WeightsMismatchError):
        save_run(cnn().build((1, 28, 28)), tmp_path / "other", code=code)


def test_fit_leaves_a_run_that_predict_takes(digits: data.Splits, tmp_path: Path) -> None:
    """The options name another network and other data: those that `fit` is given hold."""
    config = TrainConfig(epochs=1, batch_size=50, device="cpu", runs_dir=str(tmp_path), name="mine")
    run = Run.create(config, backend.get("cpu"))
    model = cnn()
    fit(model, digits, config, run=run)
    assert (run.config().model, run.config().data) == ("python", "digits")
    assert digits.test is not None
    saved = SavedModel.load(run.path)
    expected = np.exp(logits(model, digits))
    np.testing.assert_allclose(
        saved.predict(digits.test.images[:1])[0], expected / expected.sum(), atol=1e-6
    )
    works(run.path, "predict", "docs/seven.png", "--convert", "mnist")
    again = replace(run.config(), epochs=1)
    assert fit(cnn(), digits, again, run=run, resume=True).records[0]["epoch"] == 1


def test_fit_keeps_the_name_of_a_network_of_the_library(
    digits: data.Splits, tmp_path: Path
) -> None:
    config = TrainConfig(
        model="softmax", data="digits", epochs=1, device="cpu", runs_dir=str(tmp_path)
    )
    run = Run.create(config, backend.get("cpu"))
    fit(models.get("softmax", 10), digits, config, run=run)
    assert run.config().model == "softmax"
    assert SavedModel.load(run.path).description.network is None


def test_fit_with_a_file_of_ones_own(digits: data.Splits, tmp_path: Path) -> None:
    model, code = own(tmp_path)
    config = TrainConfig(model=code, epochs=1, device="cpu", runs_dir=str(tmp_path), name="mine")
    run = Run.create(config, backend.get("cpu"))
    fit(model, digits, config, run=run)
    works(run.path, "predict", "docs/seven.png", "--convert", "mnist", "--trust-code")


def test_fit_of_own_classes_without_a_file(digits: data.Splits, tmp_path: Path) -> None:
    model, _ = own(tmp_path)
    config = TrainConfig(epochs=1, device="cpu", runs_dir=str(tmp_path), name="mine")
    run = Run.create(config, backend.get("cpu"))
    fit(model, digits, config, run=run)
    result = call("predict", run.path, "docs/seven.png")
    assert result.exit_code == 2
    assert "made in Python" in result.stderr
    assert "my_net.py:build" in result.stderr


def test_a_saved_run_is_a_start_for_other_classes(
    trained: tuple[nn.Sequential, History],
    digits: data.Splits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outcome, "save_pictures", lambda *given: None)
    run = save_run(trained[0], tmp_path / "mine", data=digits)
    images, labels = digits.train.images[:60], digits.train.labels
    assert labels is not None
    np.savez(tmp_path / "few.npz", x=images[:, 0], y=labels[:60] % 3)
    options = ["--data", tmp_path / "few.npz", "--epochs", 1, "--runs-dir", tmp_path]
    result = call("train", "--weights", run.path, *options)
    assert result.exit_code == 0, result.stderr
    assert "the last layer, dense1, is new" in result.stderr
