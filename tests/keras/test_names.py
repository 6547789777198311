"""Names are where Keras has them; those that are not there say what is."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest

from gpucnn import keras, random
from gpucnn.errors import DataError, UnknownImportError, UnknownNameError, UsageError

IMPORTS = """
from gpucnn import keras
from gpucnn.keras import layers, models, callbacks, optimizers, losses, metrics, datasets, utils
from gpucnn.keras import Sequential, Input, InputLayer, Conv2D, MaxPooling2D, AveragePooling2D
from gpucnn.keras import GlobalAveragePooling2D, BatchNormalization, Dense, Dropout, Flatten
from gpucnn.keras import Activation, ReLU, LeakyReLU, Softmax, to_categorical, load_model
from gpucnn.keras.layers import Conv2D, Dense
from gpucnn.keras.models import Sequential, load_model
from gpucnn.keras.callbacks import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau, CSVLogger
from gpucnn.keras.callbacks import Callback, LambdaCallback, LearningRateScheduler, TerminateOnNaN
from gpucnn.keras.optimizers import Adam, AdamW, RMSprop, SGD
from gpucnn.keras.losses import SparseCategoricalCrossentropy, CategoricalCrossentropy
from gpucnn.keras.metrics import SparseCategoricalAccuracy, BinaryAccuracy
from gpucnn.keras.datasets import mnist, fashion_mnist
from gpucnn.keras.datasets.mnist import load_data
from gpucnn.keras.utils import to_categorical, set_random_seed, Sequence, PyDataset
import gpucnn.keras.layers as L
keras.layers.Conv2D, keras.models.Sequential, keras.callbacks.EarlyStopping, keras.Input
keras.datasets.fashion_mnist.load_data, keras.utils.set_random_seed, keras.Sequential
keras.__version__
"""


def test_imports_of_keras_scripts() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORTS], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("module", "name", "words"),
    [
        (keras, "Model", "forward of your own"),
        (keras, "regularizers", "weight_decay"),
        (keras.backend, "dot", "gpucnn.functions"),
        (keras.models, "Model", "Sequential"),
        (keras.callbacks, "History", "fit returns it"),
        (keras.optimizers, "Adagrad", "use Adam"),
        (keras.optimizers, "schedules", "LearningRateScheduler"),
        (keras.losses, "Hinge", "function of (y_true, y_pred)"),
        (keras.callbacks, "BaseLogger", "leave it out"),
        (keras, "Layer", "gpucnn.nn.Module"),
        (keras.backend, "int_shape", "gpucnn.functions"),
        (keras.models, "save_model", "model.save"),
        (keras.utils, "get_file", "gpucnn.data.load"),
        (keras.utils, "model_to_dot", "to_dot()"),
        (random, "set_seed", "set_random_seed(1)"),
        (keras.optimizers, "nadam", "use Adam"),
        (keras.metrics, "FBetaScore", "model.predict"),
        (keras.metrics, "precision", "use Precision()"),
        (keras.layers, "GaussianNoise", "Module of your own"),
        (keras.layers, "TimeDistributed", "Module of your own"),
        (keras.layers, "AtrousConvolution2D", "dilation_rate=2"),
        (keras.layers, "Merge", "a + b"),
        (keras.layers, "concatenate", "functions.concat"),
        (keras.datasets, "cifar10", "gpucnn.data.load"),
        (keras.utils, "image_dataset_from_directory", "gpucnn.data.load"),
    ],
)
def test_names_that_are_not_there(module: object, name: str, words: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        getattr(module, name)
    assert words in str(caught.value.fix)
    with pytest.raises(UnknownImportError):
        exec(f"from {module.__name__} import {name}")  # type: ignore[attr-defined]


class TestAttributes:
    def model(self) -> keras.Sequential:
        model = keras.Sequential(
            [keras.layers.Conv2D(2, 3), keras.layers.BatchNormalization(), keras.layers.Flatten(),
             keras.layers.Dense(3, name="head")]
        )  # fmt: skip
        model.compile("sgd", "mse", ["acc"], device="cpu")
        return model.build((1, 5, 5))

    def test_layers_by_name_and_position(self) -> None:
        model = self.model()
        assert model.get_layer("head") is model.get_layer(index=-1) is model.layers[3]
        assert model.get_layer(name="conv1") is model.get_layer(index=0)
        advice = 'write model.get_layer("head"), or model.layers[-1]'
        for given in ({"name": "dense"}, {"index": 9}, {"index": -5}, {"name": ""}):
            with pytest.raises(UsageError, match="there is no layer") as caught:
                model.get_layer(**given)
            assert caught.value.cause == "the layers are conv1, batchnorm1, flatten1, head"
            assert caught.value.fix == advice
        for given in ({}, {"name": "head", "index": 3}, {"name": "conv1", "index": 0}):
            with pytest.raises(UsageError, match="takes a name or an index") as caught:
                model.get_layer(**given)
            assert caught.value.fix == advice
        with pytest.raises(UsageError, match="there is no layer 0"):
            keras.Sequential().get_layer(index=0)

    def test_numbers_of_weights(self) -> None:
        model = self.model()
        assert model.count_params() == (9 + 1) * 2 + 4 * 2 + (18 + 1) * 3
        assert sum(array.size for array in model.get_weights()) == model.count_params()
        assert [p.shape for p in model.trainable_weights] == [
            (2, 1, 3, 3), (2,), (2,), (2,), (18, 3), (3,),
        ]  # fmt: skip
        model.get_layer("conv1").trainable = False
        assert [p.name for p in model.trainable_variables][:1] != ["conv1.weight"]
        assert len(model.trainable_weights) == 4

    def test_what_compile_was_given(self) -> None:
        model = keras.Sequential([keras.layers.Dense(1)])
        assert not model.built
        for name in ("metrics_names", "loss"):
            with pytest.raises(UsageError, match=f"model.{name} was called before compile"):
                getattr(model, name)
        model = self.model()
        assert (model.built, model.metrics_names, model.loss) == (
            True, ["loss", "acc"], "mean_squared_error",
        )  # fmt: skip

    def test_history(self) -> None:
        model = self.model()
        assert model.history is None
        found = model.fit(np.zeros((4, 1, 5, 5)), np.zeros((4, 3)), verbose=0)
        assert model.history is found

    def test_a_model_without_its_last_layer(self) -> None:
        model = self.model()
        with pytest.raises(UnknownNameError) as caught:
            model.pop()
        assert "Sequential(model.layers[:-1])" in str(caught.value.fix)
        x = np.ones((2, 1, 5, 5), np.float32)
        features = keras.Sequential(model.layers[:-1]).predict(x)
        head = model.get_layer("head")
        np.testing.assert_allclose(head(features).numpy(), model.predict(x), rtol=1e-6)

    def test_those_that_are_not_there(self) -> None:
        model = self.model()
        for owner, names in (
            (model, ["weights", "inputs", "to_json", "get_config", "fit_generator", "output"]),
            (
                model.layers[0],
                ["kernel", "W", "b", "output_shape", "weights", "count_params", "output"],
            ),
            (model.fit(np.zeros((4, 1, 5, 5)), np.zeros((4, 3)), verbose=0), ["params", "model"]),
            (model.optimizer, ["iterations", "get_config", "apply_gradients"]),
        ):
            for name in names:
                assert not hasattr(owner, name)
                with pytest.raises(UnknownNameError) as caught:
                    getattr(owner, name)
                assert caught.value.fix

    def test_numbers_of_every_type_are_taken_by_a_call(self) -> None:
        model = self.model().eval()
        x = np.arange(50).reshape(2, 1, 5, 5)
        expected = model.predict(x)
        for kind in (np.float64, np.float16, np.int64, np.uint8):
            np.testing.assert_array_equal(model(x.astype(kind)).numpy(), expected)
            np.testing.assert_array_equal(model(x.astype(kind), training=False).numpy(), expected)


@pytest.mark.parametrize("name", ["layers", "callbacks", "losses", "metrics", "optimizers"])
def test_no_name_is_both_there_and_not(name: str) -> None:
    module = getattr(keras, name)
    for public in module.__all__:
        assert getattr(module, public) is not None


class TestUtils:
    def test_to_categorical(self) -> None:
        expected = [[0, 1, 0, 0], [0, 0, 1, 0]]
        for y in ([1, 2], np.array([[1], [2]]), np.array([1.0, 2.0])):
            np.testing.assert_array_equal(keras.to_categorical(y, num_classes=4), expected)
        assert keras.utils.to_categorical([1, 2]).shape == (2, 3)
        for y in ([[0, 1, 2], [2, 1, 0]], 3, np.zeros((2, 1, 4), int), [[[1]], [[2]]], [True]):
            ids = np.asarray(y)
            shape = ids.shape[:-1] if ids.ndim > 1 and ids.shape[-1] == 1 else ids.shape
            found = keras.to_categorical(y, 5)
            assert found.shape == (*shape, 5)
            np.testing.assert_array_equal(found, np.eye(5)[ids.astype(int).reshape(shape)])
        assert keras.to_categorical(3).shape == (4,)
        with pytest.raises(DataError):
            keras.to_categorical([0, 3], 3)
        with pytest.raises(UsageError, match="num_classes"):
            keras.to_categorical([0, 3], classes=4)

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ([-1], "go down to -1"), ([2.0, -3.0], "go down to -3"), (["a", "b"], "numpy.unique"),
            (None, "are missing"), ([0.5], "whole numbers"), ([], "give num_classes"),
            ([np.nan], "holds NaN"), ([[1], [2, 3]], "lists of one length"),
        ],
    )  # fmt: skip
    def test_what_is_no_class_id(self, given: object, words: str) -> None:
        with pytest.raises(DataError) as caught:
            keras.to_categorical(given)
        assert words in str(caught.value)

    @pytest.mark.parametrize("number", [10.0, 0, -1, "3", True])
    def test_what_is_no_number_of_classes(self, number: object) -> None:
        with pytest.raises(UsageError, match="num_classes is"):
            keras.to_categorical([0], number)  # type: ignore[arg-type]

    def test_a_seed_seeds_the_models_that_are_compiled_then(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(keras.utils, "_seed", 0)
        monkeypatch.setattr(keras.utils, "_models", itertools.count())

        def weights(**options: int) -> bytes:
            model = keras.Sequential([keras.Input((3,)), keras.Dense(2)])
            model.compile("sgd", "mse", device="cpu", **options)
            model.predict(np.zeros((1, 3)))
            return model.get_weights()[0].tobytes()

        plain = weights()
        keras.utils.set_random_seed(7)
        drawn = np.random.rand()
        assert weights() == weights(seed=7) != plain == weights(seed=0)
        keras.utils.set_random_seed(np.int64(7))
        assert np.random.rand() == drawn
        for seed in (-1, 1.5, True, "7", 2**32):
            with pytest.raises(UsageError, match="the seed is"):
                keras.utils.set_random_seed(seed)  # type: ignore[arg-type]


class TestDatasets:
    def test_digits(self) -> None:
        (x, y), (x_test, y_test) = keras.datasets.digits.load_data()
        assert (x.shape, y.shape, x_test.shape) == ((1437, 28, 28), (1437,), (360, 28, 28))
        assert x.dtype == y.dtype == y_test.dtype == np.uint8
        assert set(y_test) == set(range(10))

    def test_mnist(self, mnist_dir: object, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GPUCNN_DATA_DIR", str(mnist_dir))
        (x, y), (x_test, y_test) = keras.datasets.mnist.load_data()
        assert (x.shape, y.shape) == ((60000, 28, 28), (60000,))
        assert (x_test.shape, y_test.shape) == ((10000, 28, 28), (10000,))
        assert y[:5].tolist() == [5, 0, 4, 1, 9]

    def test_a_data_set_that_is_missing(
        self, tmp_path: object, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GPUCNN_DATA_DIR", str(tmp_path))
        with pytest.raises(DataError):
            keras.datasets.fashion_mnist.load_data()

    def test_a_path_of_keras(self) -> None:
        for load in (keras.datasets.mnist.load_data, keras.datasets.digits.load_data):
            with pytest.raises(UsageError, match=r"\$GPUCNN_DATA_DIR"):
                load(path="/data/mnist.npz")  # type: ignore[call-arg]
        (x, _), _ = keras.datasets.digits.load_data(path="mnist.npz")  # type: ignore[call-arg]
        assert len(x) == 1437
