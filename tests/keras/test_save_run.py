"""`save_run`: pixels are scaled for the run as they were for `fit`, or the scaling is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import data, training
from gpucnn.errors import GpucnnWarning, UsageError
from gpucnn.keras import Sequential, layers, load_model
from gpucnn.training import SavedModel, TrainConfig

Change = Callable[[Any], Any]
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 1, 5, 5), dtype=np.uint8)
LABELS = np.arange(40) % 3
KNOWN: dict[str, tuple[Change, tuple[float, float]]] = {
    "x / 255": (lambda x: x / 255, (1 / 255, 0.0)),
    "x / 255 in float32": (lambda x: x.astype(np.float32) / 255, (1 / 255, 0.0)),
    "above 1 by rounding": (lambda x: x / 254.999, (1 / 255, 0.0)),
    "black and white": (lambda x: x > 127, (1 / 255, 0.0)),
    "uint8": (lambda x: x, (1.0, 0.0)),
    "floats of pixels": (lambda x: x.astype(np.float32), (1.0, 0.0)),
    "lists of pixels": (lambda x: x.tolist(), (1.0, 0.0)),
}
OTHERS: dict[str, Change] = {
    "x / 127.5 - 1": lambda x: x / 127.5 - 1,
    "standardised": lambda x: (x / 255 - 0.13) / 0.3,
    "x / 2": lambda x: x / 2,
    "0 to 16": lambda x: x // 16,
    "16 bits": lambda x: x.astype(np.uint16) * 257,
    "below 0, whole": lambda x: x.astype(int) - 128,
}


def batches(x: Any, y: Any) -> Iterator[Any]:
    """Endless batches."""
    while True:
        for k in range(0, len(x), 10):
            yield x[k : k + 10], y[k : k + 10]


def by_fit(model: Sequential, x: Any) -> None:
    model.fit(x, LABELS, verbose=0)


def by_generator(model: Sequential, x: Any) -> None:
    model.fit(batches(x, LABELS), steps_per_epoch=4, verbose=0)


def by_steps(model: Sequential, x: Any) -> None:
    for k in range(0, len(x), 20):
        model.train_on_batch(x[k : k + 20], LABELS[k : k + 20])


def untrained() -> Sequential:
    model = Sequential([layers.Flatten(), layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], device="cpu")
    return model


def made_by(training: Callable[[Sequential, Any], None], x: Any) -> Sequential:
    model = untrained()
    training(model, x)
    return model


@pytest.mark.parametrize("training", [by_fit, by_generator, by_steps])
@pytest.mark.parametrize(("change", "scaling"), KNOWN.values(), ids=KNOWN)
def test_the_run_scales_as_the_training_did(
    training: Any, change: Change, scaling: tuple[float, float], tmp_path: Path
) -> None:
    model = made_by(training, change(PIXELS))
    model.evaluate(PIXELS - 300.5, LABELS)  # no training
    saved = SavedModel.load(model.save_run(tmp_path / "mine").path)
    assert (saved.description.scale, saved.description.offset) == scaling
    if change is not KNOWN["black and white"][0]:  # these pixels are no longer known
        expected = model.predict(change(PIXELS))
        np.testing.assert_allclose(saved.predict(PIXELS), expected, atol=1e-5)


@pytest.mark.parametrize("training", [by_fit, by_generator, by_steps])
@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_another_scaling_is_asked_for(training: Any, change: Change, tmp_path: Path) -> None:
    model = made_by(training, change(PIXELS))
    pixels = data.Splits(data.Dataset("mine", PIXELS, LABELS, 3))
    for options in ({}, {"scale": 1 / 127.5}, {"offset": -1.0}, {"data": pixels}):
        with pytest.raises(UsageError, match="scale and offset are not given") as caught:
            model.save_run(tmp_path / "mine", **options)
        likely = "scale=1 / 127.5, offset=-1 for x / 127.5 - 1" in str(caught.value.fix)
        assert likely == (change is OTHERS["x / 127.5 - 1"])
    assert not (tmp_path / "mine").exists()


def test_a_stated_scaling_holds(tmp_path: Path) -> None:
    change = OTHERS["x / 127.5 - 1"]
    model = made_by(by_fit, change(PIXELS))
    run = model.save_run(tmp_path / "mine", scale=1 / 127.5, offset=-1)
    predicted = SavedModel.load(run.path).predict(PIXELS)
    np.testing.assert_allclose(predicted, model.predict(change(PIXELS)), atol=1e-6)


def test_all_batches_and_all_trainings_count(tmp_path: Path) -> None:
    x = np.zeros((40, 1, 5, 5), np.float32)
    x[-1, 0, 0, 0] = -1
    with pytest.raises(UsageError, match="inputs from -1 to 0"):
        made_by(by_generator, x).save_run(tmp_path / "mine")
    model = made_by(by_fit, x)
    by_steps(model, x + 1.5)
    with pytest.raises(UsageError, match=r"inputs from -1 to 1\.5"):
        model.save_run(tmp_path / "mine")


@pytest.mark.parametrize("name", ["uint8", "x / 255"])
def test_a_loaded_model_knows_its_training(name: str, tmp_path: Path) -> None:
    change, scaling = KNOWN[name]
    made_by(by_fit, change(PIXELS)).save(tmp_path / "m.safetensors")
    run = load_model(tmp_path / "m.safetensors").save_run(tmp_path / "mine")
    about = SavedModel.load(run.path).description
    assert (about.scale, about.offset) == scaling


def test_a_model_that_was_not_trained_here_says_what_is_assumed(tmp_path: Path) -> None:
    model = untrained().build((1, 5, 5))
    with pytest.warns(GpucnnWarning, match="takes pixels / 255"):
        run = model.save_run(tmp_path / "mine")
    assert SavedModel.load(run.path).description.scale == 1 / 255
    model.save_run(tmp_path / "stated", scale=1.0, offset=0.0)


def test_a_training_by_gpucnn_itself_has_the_scaling_of_its_data(tmp_path: Path) -> None:
    splits = data.Splits(data.Dataset("mine", PIXELS, LABELS, 3))
    model = Sequential([layers.Flatten(), layers.Dense(3)])
    training.fit(model, splits, TrainConfig(epochs=1, device="cpu"))
    about = SavedModel.load(model.save_run(tmp_path / "mine", data=splits).path).description
    assert (about.scale, about.offset) == (1 / 255, 0.0)


def test_data_of_floats_make_a_run_of_floats(tmp_path: Path) -> None:
    x = PIXELS.astype(np.float32) / 255
    model = made_by(by_fit, x)
    splits = data.Splits(data.Dataset("mine", x, LABELS, 3))
    saved = SavedModel.load(model.save_run(tmp_path / "mine", data=splits).path)
    assert saved.description.floats
    np.testing.assert_allclose(saved.predict(x), model.predict(x), atol=1e-6)
