"""Models in files: what comes back is what was saved, to the bit."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors

from gpucnn import data, nn
from gpucnn.errors import DataError, StorageError, UsageError, WeightsMismatchError
from gpucnn.keras import Sequential, files, layers, load_model, losses, metrics, optimizers
from gpucnn.keras.callbacks import ModelCheckpoint
from gpucnn.training import TrainConfig, checkpoint

Make = Callable[..., Sequential]

#: A layer of every kind, with arguments that are not the defaults.
LAYERS: dict[str, Callable[[], nn.Module]] = {
    "Conv2d": lambda: nn.Conv2d(
        4, (3, 2), stride=(1, 2), padding=((0, 1), (1, 0)), dilation=2, groups=2,
        activation="tanh", use_bias=False, kernel_initializer="he_normal", name="conv",
    ),
    "Dense": lambda: nn.Dense(5, "sigmoid", use_bias=False, input_shape=(np.int64(7),)),
    "Linear": lambda: nn.Linear(7, 5, activation="gelu"),
    "MaxPool2d": lambda: nn.MaxPool2d(3, 2, "same"),
    "AvgPool2d": lambda: nn.AvgPool2d((3, 2), (2, 1), 1, count_include_pad=False),
    "GlobalAvgPool2d": nn.GlobalAvgPool2d,
    "Flatten": lambda: nn.Flatten(input_shape=(2, 3)),
    "BatchNorm2d": lambda: nn.BatchNorm2d(momentum=0.25, eps=1e-3),
    "LayerNorm": lambda: nn.LayerNorm(eps=1e-3),
    "Dropout": lambda: nn.Dropout(0.25),
    "Activation": lambda: nn.Activation("log_softmax"),
    "ReLU": nn.ReLU,
    "LeakyReLU": lambda: nn.LeakyReLU(0.25),
    "GELU": nn.GELU,
    "Tanh": nn.Tanh,
    "Sigmoid": nn.Sigmoid,
    "Softmax": nn.Softmax,
    "LogSoftmax": nn.LogSoftmax,
    "Residual": lambda: nn.Residual(nn.Dense(3), nn.ReLU(), shortcut=nn.Dense(3), name="around"),
    "Sequential": lambda: nn.Sequential([nn.Dense(3, name="a"), nn.Sequential([nn.ReLU()])]),
}  # fmt: skip


def arguments(layer: nn.Module) -> dict[str, Any]:
    """What a layer was made with, initializers apart."""
    names = [n for n in inspect.signature(type(layer)).parameters if "initializer" not in n]
    return {n: getattr(layer, n) for n in names if n not in ("layers", "rest", "shortcut")}


def tree(layer: nn.Module) -> Any:
    inner = {name: tree(child) for name, child in layer.children().items()}
    return type(layer), arguments(layer), layer.frozen, inner


class TestStructure:
    def test_every_layer_is_here(self) -> None:
        assert set(LAYERS) == set(nn.__all__) - {"Module", "Parameter"}

    @pytest.mark.parametrize("kind", LAYERS)
    def test_a_layer_comes_back(self, kind: str) -> None:
        layer = LAYERS[kind]()
        text = json.dumps(files.structure(layer))
        assert tree(files.from_structure(json.loads(text))) == tree(layer)

    def test_frozen_layers(self, rows: Any, small: Make, tmp_path: Path) -> None:
        model = small()
        model.layers[0].trainable = False
        model.fit(*rows, verbose=0)
        model.save(tmp_path / "m.safetensors")
        loaded = load_model(tmp_path / "m.safetensors")
        assert [layer.trainable for layer in loaded.layers] == [False, True]
        assert [p.requires_grad for p in loaded.parameters()] == [False, False, True, True]

    @pytest.mark.parametrize(
        "layer",
        [
            lambda own: own(),
            lambda own: nn.Sequential([nn.ReLU(), own(name="inner")]),
            lambda own: nn.Residual(own()),
        ],
    )
    def test_a_layer_of_ones_own(self, layer: Any, tmp_path: Path) -> None:
        class Own(nn.ReLU):
            pass

        model = Sequential([nn.Flatten(), layer(Own)]).build((2, 3))
        with pytest.raises(UsageError, match=r"\(Own\) cannot be saved") as caught:
            model.save(tmp_path / "m.safetensors")
        assert "save_weights" in str(caught.value.fix)
        assert not list(tmp_path.iterdir())
        model.save_weights(tmp_path / "w.safetensors")


def digits_model() -> Sequential:
    model = Sequential(
        [
            layers.Input((1, 28, 28)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            nn.Residual(nn.Conv2d(4, 3, padding="same"), nn.BatchNorm2d()),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(2),
            nn.Sequential([layers.Flatten(), layers.Dropout(0.2)], name="middle"),
            layers.Dense(10, "softmax", name="head"),
        ]
    )
    model.compile(
        optimizers.SGD(0.05, momentum=0.9),
        losses.SparseCategoricalCrossentropy(from_logits=False),
        [metrics.SparseCategoricalAccuracy(name="right")],
        device="cpu",
        seed=3,
    )
    return model


class TestAModel:
    def test_comes_back_to_the_bit(self, digits: Any, tmp_path: Path) -> None:
        (x, y), (x_test, y_test) = digits
        model = digits_model()
        model.fit(x, y, verbose=0)
        model.save(tmp_path / "m.safetensors")
        loaded = load_model(tmp_path / "m.safetensors", device="cpu")
        assert type(loaded) is Sequential
        np.testing.assert_array_equal(loaded.predict(x_test), model.predict(x_test))
        assert loaded.evaluate(x_test, y_test, return_dict=True) == model.evaluate(
            x_test, y_test, return_dict=True
        )
        state = model.state_dict()
        for path, array in loaded.state_dict().items():
            np.testing.assert_array_equal(array, state[path])
        assert tree(loaded) == tree(model)

    def test_goes_on_as_the_one_that_was_saved(self, digits: Any, tmp_path: Path) -> None:
        (x, y), _ = digits
        model = digits_model()
        model.fit(x, y, verbose=0)
        model.save(tmp_path / "m.safetensors")
        loaded = load_model(tmp_path / "m.safetensors", device="cpu")
        assert loaded.fit(x, y, verbose=0) == model.fit(x, y, verbose=0)

    def test_equal_models_are_equal_files(self, rows: Any, small: Make, tmp_path: Path) -> None:
        contents = []
        for name in ("a", "b"):
            model = small(optimizer=optimizers.Adam(beta_1=0.8))
            model.fit(*rows, verbose=0)
            model.save(tmp_path / f"{name}.safetensors")
            contents.append((tmp_path / f"{name}.safetensors").read_bytes())
        assert contents[0] == contents[1]
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "a.safetensors", "b.safetensors",
        ]  # fmt: skip

    def test_without_being_compiled(self, rows: Any, small: Make, tmp_path: Path) -> None:
        x, c = rows
        plain = Sequential([layers.Dense(3)]).build((4,))
        plain.save(tmp_path / "plain.safetensors")
        with pytest.raises(UsageError, match="before compile"):
            load_model(tmp_path / "plain.safetensors").evaluate(x, c)
        model = small()
        model.evaluate(x, c)
        model.save(tmp_path / "m.safetensors")
        with pytest.raises(UsageError, match="before compile"):
            load_model(tmp_path / "m.safetensors", compile=False).evaluate(x, c)
        assert load_model(str(tmp_path / "m.safetensors")).evaluate(x, c) == model.evaluate(x, c)

    def test_a_sequential_of_keras_in_another_stays_one(self, tmp_path: Path) -> None:
        inner = Sequential([layers.Dense(3, input_shape=(4,))], name="inner")
        outer = Sequential([inner, nn.Sequential([layers.Dense(2)])]).build()
        outer.save(tmp_path / "m.safetensors")
        loaded = load_model(tmp_path / "m.safetensors")
        assert [type(layer) for layer in loaded.layers] == [Sequential, nn.Sequential]

    def test_channels_that_look_like_rows(self, tmp_path: Path) -> None:
        model = Sequential([layers.Conv2D(2, 1)]).build((28, 28, 1), channels_first=True)
        model.save(tmp_path / "m.safetensors")
        assert load_model(tmp_path / "m.safetensors").built_for == ((28, 28, 1),)

    def test_that_is_not_built(self, small: Make, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="is not built"):
            small().save(tmp_path / "m.safetensors")


class TestWeights:
    def test_of_a_model_by_ones_own_code(self, rows: Any, small: Make, tmp_path: Path) -> None:
        model = small()
        model.fit(*rows, verbose=0)
        model.save_weights(tmp_path / "w.safetensors")
        model.save(tmp_path / "m.safetensors")
        for name in ("w", "m"):
            other = small().build((4,))
            other.load_weights(tmp_path / f"{name}.safetensors")
            np.testing.assert_array_equal(other.predict(rows[0]), model.predict(rows[0]))

    def test_of_a_run(self, tmp_path: Path) -> None:
        from gpucnn import models, training
        from gpucnn.backend import get

        config = TrainConfig(
            data="digits", model="softmax", device="cpu", epochs=1, runs_dir=str(tmp_path)
        )
        run = training.Run.create(config, get("cpu"))
        plain = models.get("softmax")
        training.fit(plain, data.load("digits"), config, run=run)
        model = Sequential([layers.Flatten(), layers.Dense(10)]).build((1, 28, 28))
        model.load_weights(run.last)
        x = np.random.default_rng(0).random((2, 1, 28, 28), dtype=np.float32)
        np.testing.assert_array_equal(model.predict(x), plain.eval()(x).numpy())
        with pytest.raises(DataError, match="holds weights without a model") as caught:
            load_model(run.last)
        assert "SavedModel.load" in str(caught.value.fix)

    def test_of_another_model(self, small: Make, tmp_path: Path) -> None:
        small().build((4,)).save_weights(tmp_path / "w.safetensors")
        with pytest.raises(WeightsMismatchError):
            small(units=4).build((4,)).load_weights(tmp_path / "w.safetensors")
        with pytest.raises(UsageError, match="is not built"):
            small().load_weights(tmp_path / "w.safetensors")


class TestPaths:
    @pytest.mark.parametrize(
        ("path", "fix"),
        [
            ("model.h5", "model.safetensors"), ("model.hdf5", "model.safetensors"),
            ("model.keras", "model.safetensors"), ("my.weights.h5", "my.safetensors"),
            ("runs/model.keras", "runs/model.safetensors"), ("model", "model.safetensors"),
            ("model.pkl", "model.safetensors"), (".", "model.safetensors"),
        ],
    )  # fmt: skip
    def test_of_other_kinds_say_what_to_write(self, path: str, fix: str, small: Make) -> None:
        model = small().build((4,))
        for verb in (model.save, model.save_weights):
            with pytest.raises(UsageError, match=r"is not the path of a \.safetensors") as caught:
                verb(path)
            assert caught.value.fix == f"write {Path(fix)}"

    @pytest.mark.parametrize("path", [None, 3, b"m.safetensors", ["m.safetensors"]])
    def test_of_no_name(self, path: Any, small: Make) -> None:
        model = small().build((4,))
        verbs = (model.save, model.save_weights, model.load_weights, load_model, ModelCheckpoint)
        for verb in verbs:
            with pytest.raises(UsageError, match="the path is a ") as caught:
                verb(path)
            assert caught.value.fix == 'give the name of a file: "model.safetensors"'

    def test_a_folder(self, small: Make, tmp_path: Path) -> None:
        (tmp_path / "m.safetensors").mkdir()
        with pytest.raises(UsageError, match="it is a directory"):
            small().build((4,)).save(tmp_path / "m.safetensors")
        with pytest.raises(UsageError, match="files of Keras cannot be read"):
            load_model(tmp_path / "m.safetensors")

    @pytest.mark.parametrize("name", ["m.h5", "m.hdf5", "m.keras"])
    def test_files_of_keras(self, name: str, small: Make, tmp_path: Path) -> None:
        (tmp_path / name).write_bytes(b"anything")
        model = small().build((4,))
        for verb in (load_model, model.load_weights):
            with pytest.raises(UsageError, match="files of Keras cannot be read") as caught:
                verb(tmp_path / name)
            assert "set_weights" in str(caught.value.fix)

    def test_a_place_that_is_not_there(self, small: Make, tmp_path: Path) -> None:
        with pytest.raises(StorageError) as caught:
            small().build((4,)).save(tmp_path / "no" / "m.safetensors")
        assert caught.value.cause == "there is no such directory"
        assert "--runs-dir" not in str(caught.value)

    def test_a_failed_save_leaves_the_old_file(
        self, rows: Any, small: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "m.safetensors"
        model = small()
        model.fit(*rows, verbose=0)
        model.save(path)
        before = path.read_bytes()
        model.fit(*rows, verbose=0)

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", fail)
        with pytest.raises(StorageError, match="cannot be written"):
            model.save(path)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    def test_words_of_keras(self, small: Make, tmp_path: Path) -> None:
        model = small().build((4,))
        for option, value in (("save_format", "h5"), ("overwrite", False), ("zipped", True)):
            with pytest.raises(UsageError, match=f"there is no {option}"):
                model.save(tmp_path / "m.safetensors", **{option: value})
        assert not list(tmp_path.iterdir())
        model.save(tmp_path / "m.safetensors", overwrite=True, include_optimizer=True)
        assert load_model(tmp_path / "m.safetensors", custom_objects=None).built


class TestDamagedFiles:
    def saved(self, small: Make, tmp_path: Path) -> Path:
        path = tmp_path / "m.safetensors"
        small().build((4,)).save(path)
        return path

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="there is no weights file"):
            load_model(tmp_path / "m.safetensors")

    def test_cut_short_or_altered(self, small: Make, tmp_path: Path) -> None:
        path = self.saved(small, tmp_path)
        whole = path.read_bytes()
        for content in (whole[:-5], whole[:40], b"", whole.replace(b"relu", b"tanh")):
            path.write_bytes(content)
            with pytest.raises(DataError):
                load_model(path)

    @pytest.mark.parametrize(
        "change",
        [
            lambda s: s["layers"][0].update({"class": "Dance"}),
            lambda s: s["layers"][0]["arguments"].update(units=-1),
            lambda s: s["layers"][0]["arguments"].update(speed=3),
            lambda s: s["layers"].append(3),
            lambda s: s.pop("layers"),
            lambda s: s.pop("input_shapes"),
            lambda s: s["compile"].update(loss=["hinge", None]),
            lambda s: s["compile"].update(optimizer=["lion", 0.1, {}]),
            lambda s: s.update(trained_on=[0, 1, True]),
            lambda s: s.update(trained_on={"least": None, "greatest": 1, "is_whole": True}),
        ],
    )
    def test_a_description_that_makes_no_model(
        self, change: Any, small: Make, tmp_path: Path
    ) -> None:
        path = self.saved(small, tmp_path)
        weights, description = checkpoint.load_weights(path)
        change(description["keras"])
        checkpoint.save_weights(path, weights, description)
        with pytest.raises(DataError, match="describes a model that cannot be made") as caught:
            load_model(path)
        assert "\n" not in str(caught.value.cause)

    def test_a_file_of_another_program(self, tmp_path: Path) -> None:
        from safetensors.numpy import save_file

        save_file({"a": np.zeros(3)}, tmp_path / "m.safetensors")
        with pytest.raises(DataError, match="was not written by gpucnn"):
            load_model(tmp_path / "m.safetensors")

    def test_the_structure_can_be_read_by_others(self, small: Make, tmp_path: Path) -> None:
        path = self.saved(small, tmp_path)
        with safetensors.safe_open(path, framework="numpy") as file:
            description = json.loads(file.metadata()["gpucnn"])
            assert set(file.keys()) == {
                "dense1.weight", "dense1.bias", "dense2.weight", "dense2.bias",
            }  # fmt: skip
        first = description["keras"]["layers"][0]
        assert first["class"] == "Dense"
        assert first["arguments"]["units"] == 8


class TestLayersThatAreUsedTwice:
    @pytest.mark.parametrize("where", ["beside", "nested", "residual"])
    def test_are_one_layer_in_the_loaded_model(self, where: str, tmp_path: Path) -> None:
        shared = layers.Dense(4, "tanh")
        parts: list[Any] = {
            "beside": [shared, layers.ReLU(), shared],
            "nested": [Sequential([shared, layers.Dense(4)]), nn.Sequential([shared])],
            "residual": [
                nn.Residual(shared, layers.Dense(4)),
                nn.Residual(shared, shortcut=shared),
            ],
        }[where]
        model = Sequential([layers.Input((4,)), *parts, layers.Dense(2)])
        model.compile("sgd", "mse", device="cpu")
        x = np.random.default_rng(0).random((8, 4))
        model.fit(x, x[:, :2], verbose=0)
        model.save(tmp_path / "shared.safetensors")
        loaded = load_model(tmp_path / "shared.safetensors", device="cpu")
        np.testing.assert_array_equal(loaded.predict(x), model.predict(x))
        assert loaded.num_parameters == model.num_parameters
        for each in (model, loaded):
            each.fit(x, x[:, :2], epochs=2, verbose=0)
        np.testing.assert_array_equal(loaded.predict(x), model.predict(x))
