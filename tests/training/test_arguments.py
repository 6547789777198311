"""What fit, evaluate and a saved model take, and what they say of other things."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import backend, data, keras, nn
from gpucnn.errors import DataError, DivergedError, DtypeError, SignatureError, UsageError
from gpucnn.training import Callback, SavedModel, TrainConfig, evaluate, fit
from gpucnn.training.description import Description
from gpucnn.training.run_data import LabeledPart

X = np.linspace(0, 1, 40, dtype=np.float32).reshape(8, 5)
Y = np.arange(8, dtype=np.int32) % 2
SET = data.Dataset("toy", X, Y, 2)
SPLITS = data.Splits(SET)
CONFIG = TrainConfig(epochs=1, batch_size=4)


def layer() -> nn.Module:
    return nn.Dense(2)


@pytest.mark.parametrize(
    ("call", "message", "fix"),
    [
        (lambda: fit(layer(), (X, Y), CONFIG), "data is a tuple", "data.Splits(data.Dataset("),
        (lambda: fit(layer(), SET, CONFIG), "data is a Dataset", "data.Splits("),
        (lambda: fit(layer(), SPLITS, {}), "config is a dict", "TrainConfig("),
        (lambda: fit([layer()], SPLITS, CONFIG), "the model is a list", "Sequential("),
        (
            lambda: fit(layer(), SPLITS, CONFIG, [keras.callbacks.TerminateOnNaN()]),
            "a callback is a TerminateOnNaN",
            "gpucnn.keras.Sequential.fit",
        ),
        (lambda: fit(layer(), SPLITS, CONFIG, Callback()), "callbacks is a Callback", "[callback]"),
        (lambda: fit(layer(), SPLITS, CONFIG, run="runs"), "run is a str", "Run.create"),
        (lambda: evaluate(layer(), SPLITS), "the data set is a Splits", "splits.test"),
        (lambda: evaluate(layer().build((5,)), (X, Y)), "the data set is a tuple", "splits.test"),
        (lambda: evaluate(layer, SET), "the model is a function", "Sequential("),
        (
            lambda: evaluate(layer(), data.Dataset("toy", X, None, 2)),
            "toy has no labels to compare with",
            "model(images)",
        ),
        (lambda: data.Loader((X, Y), 4, backend.get()), "the data set is a tuple", "Dataset("),
        (lambda: data.Loader(SET, 4, "cpu"), "the backend is a str", 'backend.get("cpu")'),
    ],
)
def test_another_kind_of_thing(call: Callable[[], Any], message: str, fix: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert caught.value.message == message
    assert fix in str(caught.value.fix)


def test_a_loader_called_as_in_pytorch() -> None:
    with pytest.raises(SignatureError, match="backend is missing"):
        data.Loader(SET, 4)  # type: ignore[call-arg]
    with pytest.raises(SignatureError, match="there is no num_workers: the images lie"):
        data.Loader(SET, 4, backend.get(), num_workers=2)  # type: ignore[call-arg]


class Returns(nn.Module):
    """A network whose forward returns what a function makes of its scores."""

    def __init__(self, what: Callable[[Any], Any]) -> None:
        self.dense, self.what = nn.Dense(2), what

    def forward(self, x: Any) -> Any:
        return self.what(self.dense(x))


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        (lambda y: (y, 0), "a tuple"),
        (lambda y: y.numpy(), "a ndarray"),
        (lambda y: {"y": y}, "a dict"),
        (lambda y: y.sum(), "a single number"),
    ],
)
@pytest.mark.parametrize("labels", [Y, np.eye(2, dtype=np.float32)[Y]])
def test_forward_returns_one_tensor(what: Any, kind: str, labels: Any) -> None:
    dataset = data.Dataset("toy", X, labels, 2)
    message = f"forward of Returns returned {kind}"
    for call in (
        lambda: fit(Returns(what), data.Splits(dataset), CONFIG),
        lambda: evaluate(Returns(what).build((5,)), dataset),
    ):
        with pytest.raises(UsageError, match=message) as caught:
            call()
        assert "outputs" in str(caught.value.fix)


@pytest.mark.parametrize(
    ("labels", "outputs", "message"),
    [
        (np.arange(8, dtype=np.int32) % 3, 1, "1 output, too few for toy"),
        (np.arange(8, dtype=np.int32) % 3, 2, "2 outputs, too few for toy"),
        (np.linspace(0, 2, 8, dtype=np.float32)[:, None], 1, "targets from 0 to 2 in toy"),
        (np.linspace(-1, 1, 8, dtype=np.float32)[:, None], 1, "targets from -1 to 1 in toy"),
    ],
)
def test_binary_cross_entropy_is_of_probabilities(labels: Any, outputs: int, message: str) -> None:
    """Beyond 0 and 1 it has no minimum: the loss would fall without end."""
    splits = data.Splits(data.Dataset("toy", X, labels, 3))
    config = TrainConfig(epochs=1, loss="binary_cross_entropy")
    with pytest.raises(UsageError, match=message):
        fit(nn.Dense(outputs), splits, config)
    with pytest.raises(UsageError, match=message):
        evaluate(nn.Dense(outputs).build((5,)), splits.train, loss="binary_cross_entropy")


@pytest.mark.parametrize(
    ("labels", "outputs", "loss"),
    [
        (Y, 1, "binary_cross_entropy"),
        (Y, 2, "binary_cross_entropy"),
        (np.linspace(0, 1, 8, dtype=np.float32)[:, None], 1, "binary_cross_entropy"),
        (np.arange(8, dtype=np.int32), 1, "mean_squared_error"),  # labels as numbers
        (np.linspace(-9, 9, 8, dtype=np.float32)[:, None], 1, "mean_squared_error"),
    ],
)
def test_what_the_other_losses_take(labels: Any, outputs: int, loss: str) -> None:
    splits = data.Splits(data.Dataset("toy", X, labels, 8))
    history = fit(nn.Dense(outputs), splits, TrainConfig(epochs=1, loss=loss))
    assert history.records[0]["loss"] > 0


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
@pytest.mark.parametrize("loss", ["mean_squared_error", "softmax_cross_entropy"])
def test_targets_that_are_not_finite_are_named(bad: float, loss: str) -> None:
    targets = np.zeros((8, 2), np.float32)
    targets[5, 1] = bad
    config = TrainConfig(epochs=1, loss=loss)
    with pytest.raises(DataError, match="the target of image 5 of toy holds") as caught:
        fit(layer(), data.Splits(data.Dataset("toy", X, targets, 2)), config)
    assert "--" not in str(caught.value.fix)
    targets[5, 1] = np.nan
    with pytest.raises(DataError, match="the target of image 5 of toy holds NaN"):
        evaluate(
            layer().build((5,)), data.Dataset("toy", X, targets, 2), loss="binary_cross_entropy"
        )


def test_the_fix_of_a_divergence_is_in_python_too() -> None:
    config = TrainConfig(epochs=9, optimizer="sgd", learning_rate=1e38, schedule="constant")
    with pytest.raises(DivergedError) as caught:
        fit(layer(), SPLITS, config)
    assert "learning_rate=0.01, or --lr 0.01" in str(caught.value.fix)


# --- a saved model ----------------------------------------------------------------------------

SHAPE = (3, 2, 4)
PIXELS = np.random.default_rng(0).integers(0, 256, (6, *SHAPE), dtype=np.uint8)


def saved(**described: Any) -> SavedModel:
    model = nn.Sequential([nn.Flatten(), nn.Dense(3)]).build(SHAPE)
    about = {
        "image_shape": list(SHAPE), "class_names": ["a", "b", "c"], "scale": 1 / 255, "offset": 0.0,
        **described,
    }  # fmt: skip
    path = Path("weights.safetensors")
    return SavedModel(model, path, TrainConfig(), Description.of(about, path))


def test_evaluate_takes_what_dataset_gives() -> None:
    dataset = data.Dataset("toy", PIXELS, np.arange(6) % 3, 3, ["a", "b", "c"])
    part = LabeledPart(dataset, "test", "", [])
    assert saved().evaluate(part) == saved().evaluate(dataset)
    assert saved().report(part).loss == saved().evaluate(dataset)["loss"]


def test_evaluate_and_predict_take_the_same_images() -> None:
    labels, names = np.arange(6) % 3, ["a", "b", "c"]
    for images in (PIXELS.astype(np.float32), PIXELS / 255, PIXELS.astype(np.int64)):
        dataset = data.Dataset("toy", images, labels, 3, names)
        for call in (
            lambda: saved().predict(images),  # noqa: B023
            lambda: saved().classify(images),  # noqa: B023
            lambda: saved().evaluate(dataset),  # noqa: B023
        ):
            with pytest.raises(DtypeError, match=f"the images are {images.dtype}") as caught:
                call()
            assert "uint8" in str(caught.value.fix)


def test_a_model_that_was_trained_on_floats_takes_them() -> None:
    """They were not scaled in training, and are not now."""
    of_floats = saved(scale=1.0)
    images = PIXELS.astype(np.float32) / 255
    np.testing.assert_allclose(of_floats.predict(images), saved().predict(PIXELS), rtol=1e-5)
    dataset = data.Dataset("toy", images, np.arange(6) % 3, 3, ["a", "b", "c"])
    pixels = data.Dataset("toy", PIXELS, np.arange(6) % 3, 3, ["a", "b", "c"])
    assert of_floats.evaluate(dataset) == pytest.approx(saved().evaluate(pixels), rel=1e-5)


def test_classify_gives_three_unless_told() -> None:
    assert [len(row) for row in saved().classify(PIXELS)] == [3] * 6
    assert [len(row) for row in saved().classify(PIXELS, 1)] == [1] * 6
    assert [len(row) for row in saved().classify(PIXELS, np.int64(99))] == [3] * 6
    for top in (-1, 0, 1.5, "3", None, True):
        with pytest.raises(UsageError, match="top is"):
            saved().classify(PIXELS, top)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "error", "fix"),
    [
        (lambda m: m.predict(PIXELS.tolist()), DtypeError, "saved.find"),
        (lambda m: m.predict("c.png"), DtypeError, "saved.find"),
        (lambda m: m.classify(Path("c.png")), DtypeError, "saved.find"),
        (lambda m: m.evaluate("pictures"), UsageError, 'saved.dataset("path")'),
        (lambda m: m.evaluate(data.Splits(SET)), UsageError, 'saved.dataset("path")'),
        (lambda m: m.predict(PIXELS[0]), DataError, "x[None]"),
        (lambda m: m.predict(PIXELS.transpose(0, 2, 3, 1)), DataError, "transpose(0, 3, 1, 2)"),
        (lambda m: m.predict(PIXELS[..., 1:]), DataError, "kind of images"),
    ],
)
def test_what_a_saved_model_does_not_take(call: Any, error: type[Exception], fix: str) -> None:
    with pytest.raises(error) as caught:
        call(saved())
    assert fix in caught.value.fix  # type: ignore[attr-defined]


def test_gray_images_without_their_axis() -> None:
    model = nn.Sequential([nn.Flatten(), nn.Dense(3)]).build((1, 2, 4))
    about = {"image_shape": [1, 2, 4], "class_names": ["a", "b", "c"], "scale": 1 / 255,
             "offset": 0.0}  # fmt: skip
    gray = SavedModel(model, Path("w"), TrainConfig(), Description.of(about, Path("w")))
    with pytest.raises(DataError) as caught:
        gray.predict(PIXELS[:, 0])
    assert "x[:, None]" in str(caught.value.fix)
