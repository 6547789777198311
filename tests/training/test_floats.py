"""Runs of networks that were trained on floats: their images are never taken for pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from gpucnn import backend, data, nn, onnx
from gpucnn.cli.main import main
from gpucnn.data.image import Upload
from gpucnn.errors import DataError, DtypeError, UsageError
from gpucnn.serving import page
from gpucnn.training import History, Run, SavedModel, TrainConfig, fit, save_run

CONFIG = TrainConfig(epochs=1, batch_size=50, learning_rate=0.01, device="cpu")
SCALINGS: dict[str, tuple[float, float]] = {
    "1/255": (1 / 255, 0.0),
    "inverted": (-1 / 255, 1.0),
    "from -1 to 1": (1 / 127.5, -1.0),
}


def as_floats(images: Any, scale: float = 1 / 255, offset: float = 0.0) -> Any:
    return (images * np.float64(scale) + offset).astype(np.float32)


def splits_of(digits: data.Splits, change: Callable[[Any], Any]) -> data.Splits:
    """The data with other images, as a user makes them."""
    assert digits.test is not None
    train, test = (
        data.Dataset("mine", change(part.images), part.labels, 10)
        for part in (digits.train, digits.test)
    )
    return data.Splits(train, test=test)


def network() -> nn.Sequential:
    return nn.Sequential([nn.Conv2d(4, 3, stride=2, activation="tanh"), nn.Flatten(), nn.Dense(10)])


@pytest.fixture(scope="module")
def floats(digits: data.Splits) -> data.Splits:
    return splits_of(digits, as_floats)


@pytest.fixture(scope="module")
def trained(
    floats: data.Splits, tmp_path_factory: pytest.TempPathFactory
) -> tuple[nn.Module, History, dict[str, Path]]:
    """A network trained on floats, and its runs: one that `fit` kept, one of `save_run`."""
    folder = tmp_path_factory.mktemp("floats")
    model = network()
    config = TrainConfig(**{**vars(CONFIG), "runs_dir": str(folder), "name": "kept"})
    run = Run.create(config, backend.get("cpu"))
    history = fit(model, floats, config, run=run)
    saved = save_run(model, folder / "saved", data=floats, config=CONFIG, history=history)
    return model, history, {"kept": run.path, "saved": saved.path}


@pytest.fixture(scope="module")
def files(digits: data.Splits, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The test images as files of several kinds."""
    from PIL import Image

    assert digits.test is not None
    folder = tmp_path_factory.mktemp("files")
    images, labels = digits.test.images, digits.test.labels
    np.savez(folder / "floats.npz", x=as_floats(images), y=labels)
    np.savez(folder / "pixels.npz", x=images, y=labels)
    np.savetxt(folder / "table.csv", images[:9].reshape(9, -1), "%d", ",")
    Image.fromarray(images[0, 0]).save(folder / "0.png")
    return {file.name: file for file in folder.iterdir()}


def call(*words: Any) -> Any:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.parametrize("name", ["kept", "saved"])
class TestARunOfFloats:
    def test_takes_the_floats_as_they_are(
        self, name: str, trained: Any, floats: data.Splits
    ) -> None:
        model, history, runs = trained
        saved = SavedModel.load(runs[name])
        assert floats.test is not None
        with model.evaluating():
            scores = np.exp(model(floats.test.images).numpy())
        expected = scores / scores.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(saved.predict(floats.test.images), expected, atol=1e-6)
        assert saved.evaluate(floats.test) == pytest.approx(history.test, rel=1e-6)

    @pytest.mark.parametrize("dtype", ["uint8", "int64", "bool"])
    def test_refuses_pixels(self, name: str, dtype: str, trained: Any, digits: data.Splits) -> None:
        saved = SavedModel.load(trained[2][name])
        images = digits.train.images[:9].astype(dtype)
        dataset = data.Dataset("pixels", images, np.arange(9), 10)
        for use in (
            lambda: saved.predict(images),
            lambda: saved.classify(images),
            lambda: saved.evaluate(dataset),
        ):
            with pytest.raises(DtypeError, match=f"are {dtype}, and the model in .* takes floats"):
                use()

    @pytest.mark.parametrize("file", ["floats.npz", "pixels.npz", "table.csv", "0.png"])
    def test_refuses_files(
        self, name: str, file: str, trained: Any, files: dict[str, Path]
    ) -> None:
        saved = SavedModel.load(trained[2][name])
        for use in (
            lambda: saved.find(files[file]),
            lambda: saved.dataset(str(files[file])),
            lambda: saved.read_picture(Upload(b"", file)),
        ):
            with pytest.raises(UsageError, match="takes floats") as caught:
                use()
            assert "scale=1 / 255, offset=0" in str(caught.value.fix)

    def test_is_refused_by_the_commands(
        self, name: str, trained: Any, files: dict[str, Path]
    ) -> None:
        run = trained[2][name]
        for words in (
            ("evaluate", run, "--data", files["floats.npz"]),
            ("evaluate", run, "--data", "digits"),
            ("evaluate", run),
            ("predict", run, files["0.png"], "--convert", "none"),
            ("inspect", run, "--data", files["floats.npz"]),
        ):
            result = call(*words)
            assert result.exit_code == 2, words
            assert "takes floats" in result.stderr

    def test_is_served_without_pictures(self, name: str, trained: Any) -> None:
        saved = SavedModel.load(trained[2][name])
        assert '"way": "none"' in page.html(saved, data.Reading(convert="mnist"))

    def test_stays_one_through_onnx(self, name: str, trained: Any, tmp_path: Path) -> None:
        pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
        saved = SavedModel.load(trained[2][name])
        done = onnx.export(saved, tmp_path / "net.onnx")
        assert done.inputs[0].meaning == "floats as in the training"
        with pytest.raises(UsageError, match=r"with_preprocessing .* takes floats"):
            onnx.export(saved, tmp_path / "other.onnx", with_preprocessing=True)
        back = tmp_path / "back.safetensors"
        assert onnx.convert(done.path, back).floats
        with pytest.raises(DtypeError, match="takes floats"):
            SavedModel.load(back).predict(np.zeros((1, 1, 28, 28), np.uint8))
        assert not onnx.convert(done.path, back, scale=1 / 255).floats
        assert SavedModel.load(back).predict(np.zeros((1, 1, 28, 28), np.uint8)).shape == (1, 10)


@pytest.mark.parametrize("scaling", SCALINGS.values(), ids=SCALINGS)
def test_with_its_scaling_stated_it_is_a_run_of_pixels(
    scaling: tuple[float, float], digits: data.Splits, files: dict[str, Path], tmp_path: Path
) -> None:
    mine = splits_of(digits, lambda images: as_floats(images, *scaling))
    model = network()
    history = fit(model, mine, CONFIG)
    scale, offset = scaling
    run = save_run(model, tmp_path / "mine", data=mine, config=CONFIG, scale=scale, offset=offset)
    saved = SavedModel.load(run.path)
    assert digits.test is not None
    for part in (
        digits.test,
        *(saved.dataset(str(files[f"{k}.npz"])) for k in ("floats", "pixels")),
    ):
        assert saved.evaluate(part) == pytest.approx(history.test, rel=1e-4)
    assert call("evaluate", run.path, "--data", files["floats.npz"]).exit_code == 0


def test_an_offset_alone_does_not_state_the_scaling(
    trained: Any, floats: data.Splits, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="offset is given without scale"):
        save_run(trained[0], tmp_path / "mine", data=floats, offset=-1)


def test_scale_1_is_a_scaling_too(trained: Any, floats: data.Splits, tmp_path: Path) -> None:
    """The network takes arrays as they are, also pixels from 0 to 255."""
    run = save_run(trained[0], tmp_path / "mine", data=floats, scale=1, offset=0)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 1, 28, 28), dtype=np.uint8)
    saved = SavedModel.load(run.path)
    np.testing.assert_array_equal(saved.predict(pixels), saved.predict(pixels.astype(np.float32)))


def test_weights_of_floats_for_a_training_on_pixels(trained: Any, tmp_path: Path) -> None:
    options = ("--data", "digits", "--epochs", 1, "--limit-batches", 1, "--runs-dir", tmp_path)
    weights = trained[2]["saved"] / "weights" / "last.safetensors"
    result = call("train", "--model", weights, "--weights", weights, *options)
    assert result.exit_code == 0, result.stderr
    assert "trained on floats, and now get pixels * 0.00392 +0" in result.stderr


@pytest.mark.parametrize("role", ["validation", "test"])
@pytest.mark.parametrize("pair", [(np.float32, np.uint8), (np.uint8, np.float32)])
def test_parts_of_pixels_and_of_floats_do_not_go_together(role: str, pair: tuple[Any, Any]) -> None:
    train, other = (
        data.Dataset("mine", np.zeros((4, 1, 3, 3), dtype), np.arange(4), 4) for dtype in pair
    )
    with pytest.raises(DataError) as caught:
        data.Splits(train, **{role: other})
    first, second = (np.dtype(dtype).name for dtype in pair)
    assert f"images of {role} are {second}, those of train are {first}" in str(caught.value)
    assert data.Splits(train, **{role: train}).classes == 4


def test_parts_are_data_sets() -> None:
    images = np.zeros((4, 1, 3, 3), np.uint8)
    with pytest.raises(UsageError, match="train"):
        data.Splits(images)  # type: ignore[arg-type]
