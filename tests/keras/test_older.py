"""Module names, arguments, callbacks and methods of Keras 0, 1 and 2: taken, or explained."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import keras
from gpucnn.errors import (
    SignatureError,
    UnknownImportError,
    UnknownNameError,
    UsageError,
)
from gpucnn.keras import Sequential, callbacks, layers, modules, optimizers, spelling, utils
from gpucnn.keras import backend as K
from gpucnn.nn import initializers

Make = Callable[..., Sequential]


class TestModules:
    @pytest.mark.parametrize("name", modules.MOVED)
    def test_those_that_moved(self, name: str) -> None:
        ours: Any = modules.MOVED[name]
        assert importlib.import_module(f"gpucnn.keras.{name}") is ours
        scope: dict[str, Any] = {}
        public = ours.__all__[-1]
        exec(f"from gpucnn.keras.{name} import {public} as found", scope)
        assert scope["found"] is getattr(ours, public)
        parent, _, last = f"gpucnn.keras.{name}".rpartition(".")
        exec(f"from {parent} import {last} as found", scope)
        exec(f"import gpucnn.keras.{name}\nthere = gpucnn.keras.{name}", scope)
        assert scope["found"] is scope["there"] is ours
        with pytest.raises(ImportError):
            exec(f"from gpucnn.keras.{name} import no_such_name")

    @pytest.mark.parametrize("name", modules.MISSING)
    def test_those_that_are_not_there(self, name: str) -> None:
        with pytest.raises(UnknownImportError) as caught:
            exec(f"from gpucnn.keras.{name} import something")
        assert caught.value.fix == modules.MISSING[name]
        assert caught.value.message == f"gpucnn.keras.{name} has no something"
        with pytest.raises(UnknownNameError):
            importlib.import_module(f"gpucnn.keras.{name}").something  # noqa: B018

    def test_python_s_own_searches_go_on_working(self) -> None:
        there = importlib.import_module("gpucnn.keras.regularizers")
        for name in ("l2", "__file__", "__path__"):
            assert not hasattr(there, name)
        assert pickle.loads(pickle.dumps(np.add)) is np.add
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("gpucnn.keras.no_such_module")


class TestBackend:
    def test_images_are_channels_first(self) -> None:
        assert (K.image_data_format(), K.image_dim_ordering()) == ("channels_first", "th")
        K.set_image_dim_ordering("th")
        K.set_image_data_format("channels_first")
        for wrong in (
            lambda: K.set_image_dim_ordering("tf"),
            lambda: K.set_image_data_format("channels_last"),
        ):
            with pytest.raises(UsageError, match="channels_first"):
                wrong()

    def test_numbers(self, rows: Any, small: Make) -> None:
        assert small().predict(rows[0]).dtype == K.floatx()
        K.set_floatx("float32")
        with pytest.raises(UsageError, match="float32"):
            K.set_floatx("float16")
        assert optimizers.RMSprop().options["eps"] == K.epsilon()

    def test_clearing_keeps_the_models(self, rows: Any, small: Make) -> None:
        model = small()
        before = model.predict(rows[0])
        K.clear_session()
        np.testing.assert_array_equal(model.predict(rows[0]), before)


# A call in older words, and the same in those of today.
CALLS = [
    ("layers.Dense(output_dim=5, input_dim=4, init='uniform', bias=False)",
     "layers.Dense(5, input_shape=(4,), kernel_initializer='random_uniform', use_bias=False)"),
    ("layers.Dense(5, W_regularizer=None, b_constraint=None, weights=None, trainable=True)",
     "layers.Dense(5)"),
    ("layers.Dense(5, init='zero', kernel_regularizer=None)",
     "layers.Dense(5, kernel_initializer='zeros')"),
    ("layers.Convolution2D(8, 3, 5, border_mode='same', subsample=(2, 1))",
     "layers.Conv2D(8, (3, 5), padding='same', strides=(2, 1))"),
    ("layers.Convolution2D(nb_filter=8, nb_row=3, nb_col=2, dim_ordering='th')",
     "layers.Conv2D(8, (3, 2))"),
    ("layers.Convolution2D(8, (3, 2), padding='valid')", "layers.Conv2D(8, (3, 2))"),
    ("layers.Convolution2D(8, kernel_size=3)", "layers.Conv2D(8, 3)"),
    ("layers.Convolution2D(8, 3, 3, dim_ordering='default', input_shape=(1, 9, 9))",
     "layers.Conv2D(8, 3, input_shape=(1, 9, 9))"),
    ("layers.MaxPooling2D((3, 2), border_mode='same', dim_ordering='th')",
     "layers.MaxPooling2D((3, 2), padding='same')"),
    ("layers.BatchNormalization(mode=0, axis=1, beta_init='zero', gamma_regularizer=None)",
     "layers.BatchNormalization()"),
    ("layers.Dropout(p=0.3, seed=None, noise_shape=None)", "layers.Dropout(0.3)"),
    ("layers.LeakyReLU(alpha=0.1)", "layers.LeakyReLU(0.1)"),
    ("layers.ReLU(max_value=None, negative_slope=0.0, threshold=0)", "layers.ReLU()"),
    ("optimizers.SGD(lr=0.2, decay=0.0, clipnorm=None)", "optimizers.SGD(0.2)"),
    ("optimizers.RMSprop(lr=0.002, rho=0.8, epsilon=None, decay=0)",
     "optimizers.RMSprop(0.002, rho=0.8, epsilon=1e-7)"),
    ("optimizers.Adam(lr=0.1, amsgrad=False, epsilon=None)", "optimizers.Adam(0.1)"),
    ("optimizers.sgd(lr=0.2, nesterov=False)", "optimizers.SGD(0.2)"),
    ("optimizers.rmsprop(lr=0.0001)", "optimizers.RMSprop(0.0001)"),
    ("optimizers.adam()", "optimizers.Adam()"),
    ("keras.metrics.categorical_accuracy", "keras.metrics.CategoricalAccuracy()"),
    ("keras.metrics.sparse_categorical_accuracy", "keras.metrics.SparseCategoricalAccuracy()"),
    ("keras.metrics.binary_accuracy", "keras.metrics.BinaryAccuracy()"),
    ("callbacks.ReduceLROnPlateau(epsilon=0.3)", "callbacks.ReduceLROnPlateau(min_delta=0.3)"),
    ("callbacks.ModelCheckpoint('a.safetensors', period=1)",
     "callbacks.ModelCheckpoint('a.safetensors')"),
    ("utils.to_categorical([1, 2], nb_classes=4).tolist()",
     "utils.to_categorical([1, 2], 4).tolist()"),
    ("utils.to_categorical(y=[1, 2]).tolist()", "utils.to_categorical([1, 2]).tolist()"),
    ("keras.losses.MeanSquaredError(reduction='auto')", "keras.losses.MeanSquaredError()"),
    ("keras.losses.CategoricalCrossentropy(label_smoothing=0.0, axis=-1)",
     "keras.losses.CategoricalCrossentropy()"),
    ("keras.metrics.BinaryAccuracy(threshold=0.5, dtype=None)", "keras.metrics.BinaryAccuracy()"),
]  # fmt: skip


@pytest.mark.parametrize(("older", "today"), CALLS, ids=[older for older, _ in CALLS])
def test_an_older_call_is_the_same(older: str, today: str) -> None:
    ours, theirs = eval(today), eval(older)
    assert type(ours) is type(theirs)
    plain = [ours == theirs, getattr(ours, "__dict__", 0) == getattr(theirs, "__dict__", 1)]
    assert any(plain)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: layers.Dense(units=3, output_dim=3), "output_dim is the older name of units"),
        (lambda: layers.Dense(3, output_dim=3), "leave output_dim out"),
        (lambda: layers.Dense(3, input_dim=4, input_shape=(4,)), "leave input_dim out"),
        (lambda: layers.InputLayer((4,), input_shape=(4,)), "give shape alone"),
        (lambda: layers.Conv2D(3, 3, padding="same", border_mode="same"), "leave border_mode out"),
        (lambda: layers.Convolution2D(3, 3, 3, padding="same", border_mode="same"),
         "leave border_mode out"),
        (lambda: layers.LeakyReLU(0.1, alpha=0.1), "leave alpha out"),
        (lambda: optimizers.SGD(lr=0.1, learning_rate=0.1), "lr is the older name"),
        (lambda: utils.to_categorical([1], num_classes=3, nb_classes=3), "leave nb_classes out"),
        (lambda: Sequential().fit([1], [1], epochs=2, nb_epoch=2), "leave nb_epoch out"),
        (lambda: Sequential().fit([1], [1], 32, 2, nb_epoch=2), "leave nb_epoch out"),
        (lambda: Sequential().fit([1], [1], 32, 2, epochs=2), "epochs is given twice"),
    ],
)  # fmt: skip
def test_both_spellings_are_an_error(call: Any, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: layers.Dense(3, W_regularizer="l2"), "weight_decay"),
        (lambda: layers.Dense(3, trainable=False), "layer.trainable = False"),
        (lambda: layers.Dense(3, trainable=1), "layer.trainable = False"),
        (lambda: layers.Dense(3, init="lecun_uniform"), "choose one of"),
        (lambda: layers.Dense(20, 64), "write Dense(64)"),
        (lambda: layers.Conv2D(3, nb_row=3, nb_col=3), "kernel_size=(nb_row, nb_col)"),
        (lambda: layers.Convolution2D(3), "nb_row is missing"),
        (lambda: layers.Conv2D(8, 5, 3), "write Conv2D(8, (5, 3)) for the first, Conv2D(8, 5, str"),
        (lambda: layers.Conv2D(8, np.int64(3), 3, activation="relu"), "two meanings"),
        (lambda: layers.Convolution2D(3, 3, 3, border_mode="full"), '"same" or "valid"'),
        (lambda: layers.Convolution2D(3, 3, 3, dim_ordering="tf"), "(N, C, H, W)"),
        (lambda: layers.Convolution2D(3, 3, 3, border="same"), "there is no border"),
        (lambda: layers.MaxPooling2D(dim_ordering="tf"), "(N, C, H, W)"),
        (lambda: layers.BatchNormalization(mode=1), "by channel"),
        (lambda: optimizers.SGD(lr=0.1, decay=1e-6), "LearningRateScheduler"),
        (lambda: callbacks.TensorBoard(histogram_freq=5), "after each epoch"),
        (lambda: optimizers.SGD(lr=0.1, clipnorm=1.0), "training loop of your own"),
        (lambda: optimizers.Adam(1e-3, 0.9, 0.999, 1e-8, 1e-6), "4 arguments by position"),  # type: ignore[misc]
        (lambda: optimizers.SGD(lr="0.1"), "learning_rate is '0.1'"),
        (lambda: callbacks.ModelCheckpoint("a.safetensors", period=2), "after every epoch"),
        (lambda: keras.metrics.BinaryAccuracy(threshold=0), "it is 0.5"),
        (lambda: keras.losses.MeanSquaredError(reduction="sum"), "mean over the batch"),
    ],
)
def test_what_would_change_the_result_is_refused(call: Any, words: str) -> None:
    with pytest.raises((UsageError, ValueError)) as caught:
        call()
    assert words in str(caught.value)


class TestVerbs:
    def test_nb_epoch(self, rows: Any, small: Make) -> None:
        expected = small().fit(*rows, epochs=3, verbose=0)
        assert small().fit(*rows, nb_epoch=3, verbose=0) == expected
        assert small().fit(X=rows[0], y=rows[1], nb_epoch=3, verbose=0) == expected

    @pytest.mark.parametrize("name", sorted(set(spelling._VERB_INSTEAD) - {"show_accuracy"}))
    def test_none_is_taken_everywhere(self, name: str, rows: Any, small: Make) -> None:
        model = small()
        none: Any = {name: None}
        model.evaluate(*rows, **none)
        model.predict(rows[0], **none)
        model.train_on_batch(*rows, **none)
        model.test_on_batch(*rows, **none)
        small(**none)
        model.fit(*rows, verbose=0, **none)

    def test_defaults_of_keras_are_taken(self, rows: Any, small: Make) -> None:
        told = {"workers": 1, "use_multiprocessing": False, "max_queue_size": 10}
        assert small().fit(*rows, verbose=0, **told) == small().fit(*rows, verbose=0)
        model = small(run_eagerly=False, jit_compile="auto", steps_per_execution=1)
        assert model.evaluate(*rows, **told) == small().evaluate(*rows)
        np.testing.assert_array_equal(model.predict(rows[0], **told), small().predict(rows[0]))

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"samples_per_epoch": 60}, "steps_per_epoch="), ({"workers": 4}, "this process"),
            ({"nb_val_samples": 60}, "validation_steps="), ({"workers": True}, "this process"),
            ({"validation_freq": 2}, "every epoch"), ({"show_accuracy": 1}, "True or False"),
            ({"nb_epochs": 2}, "did you mean epochs"),
        ],
    )  # fmt: skip
    def test_others_are_refused_before_the_training(
        self, options: Any, words: str, rows: Any, small: Make
    ) -> None:
        model = small().build((4,))
        before = model.get_weights()
        with pytest.raises(UsageError) as caught:
            model.fit(*rows, **options)
        assert words in str(caught.value)
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_show_accuracy(self, rows: Any, small: Make) -> None:
        """The model was compiled without metrics, and stays so."""
        model, other = small(metrics=[]), small(metrics=["acc"])
        found = model.fit(*rows, show_accuracy=True, validation_split=0.2, verbose=0)
        assert found == other.fit(*rows, validation_split=0.2, verbose=0)
        assert list(found.history) == ["loss", "acc", "val_loss", "val_acc"]
        score = model.evaluate(*rows, show_accuracy=True)
        assert score == other.evaluate(*rows)
        assert model.evaluate(*rows) == model.evaluate(*rows, show_accuracy=False) == score[0]
        assert model.metrics_names == ["loss"]
        named = small().fit(*rows, show_accuracy=True, verbose=0).history
        assert list(named) == ["loss", "accuracy"]
        with pytest.raises(UsageError, match="show_accuracy"):
            model.evaluate(*rows, show_accuracy=1)
        for verb in (model.train_on_batch, model.test_on_batch):
            with pytest.raises(SignatureError, match='metrics=\\["accuracy"\\]'):
                verb(*rows, show_accuracy=True)

    def test_predict_classes(self, rows: Any, small: Make) -> None:
        model = small().build((4,))
        found = model.predict_classes(rows[0], batch_size=7, verbose=0)
        np.testing.assert_array_equal(found, model.predict(rows[0]).argmax(axis=1))
        np.testing.assert_array_equal(model.predict_proba(rows[0]), model.predict(rows[0]))
        one = small(1, "sigmoid", loss="binary_crossentropy").build((4,))
        found = one.predict_classes(rows[0])
        assert found.shape == (60, 1)
        np.testing.assert_array_equal(found, one.predict(rows[0]) > 0.5)

    def test_methods_that_are_not_there(self, small: Make) -> None:
        for name in ("fit_generator", "to_json", "to_yaml", "get_config", "pop"):
            with pytest.raises(UnknownNameError) as caught:
                getattr(small(), name)
            assert caught.value.fix


class TestCallbacks:
    def test_events_of_a_batch(self, rows: Any, small: Make) -> None:
        class Old(callbacks.Callback):
            def on_train_begin(self, logs: Any = None) -> None:
                self.seen: list[Any] = []

            def on_batch_begin(self, batch: int, logs: Any = None) -> None:
                self.seen.append(batch)

            def on_batch_end(self, batch: int, logs: Any = None) -> None:
                self.seen.append((batch, logs["loss"], logs.get("acc")))

        class New(Old):
            """The newer event replaces the older one, as in Keras."""

            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                self.seen.append("end")

        old, new = Old(), New()
        by_name: list[int] = []
        listed = callbacks.LambdaCallback(on_batch_end=lambda batch, logs: by_name.append(batch))
        given = [old, new, listed]
        history = small().fit(*rows, 20, 1, verbose=0, callbacks=given).history
        assert [each if isinstance(each, int) else each[0] for each in old.seen] == [
            0, 0, 1, 1, 2, 2,
        ]  # fmt: skip
        assert new.seen == [0, "end", 1, "end", 2, "end"]
        assert by_name == [0, 1, 2]
        assert old.seen[-1][1:] == (history["loss"][0], history["accuracy"][0])

    @pytest.mark.parametrize(
        ("compiled", "asked"), [("accuracy", "acc"), ("acc", "accuracy"), ("acc", "acc")]
    )
    def test_an_accuracy_by_its_other_names(
        self, compiled: str, asked: str, rows: Any, small: Make, tmp_path: Path
    ) -> None:
        class Look(callbacks.Callback):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                found.append((logs[f"val_{asked}"], logs.get(f"val_{asked}"), logs.get("other", 3)))
                assert f"val_{asked}" in logs
                assert asked in logs
                assert "other" not in logs

        found: list[Any] = []
        path = str(tmp_path / f"{{epoch}}-{{val_{asked}:.3f}}.safetensors")
        history = small(metrics=[compiled]).fit(
            *rows,
            epochs=2,
            verbose=0,
            validation_split=0.2,
            callbacks=[
                Look(),
                callbacks.EarlyStopping(f"val_{asked}", patience=9),
                callbacks.ModelCheckpoint(path, monitor=f"val_{asked}"),
                callbacks.ReduceLROnPlateau(f"val_{asked}", patience=9),
            ],
        )
        values = history.history[f"val_{compiled}"]
        assert found == [(value, value, 3) for value in values]
        files = sorted(each.name for each in tmp_path.iterdir())
        assert files == [f"{i + 1}-{value:.3f}.safetensors" for i, value in enumerate(values)]
        assert history.history["lr"] == history.history["learning_rate"] == [0.01] * 2
        assert list(history.history)[:2] == ["loss", compiled]


def test_initializers_of_keras_1() -> None:
    for theirs, ours in (
        ("zero", "zeros"), ("one", "ones"), ("uniform", "uniform"), ("normal", "normal"),
        ("he_normal", "he_normal"), ("glorot_uniform", "glorot_uniform"),
    ):  # fmt: skip
        assert layers.Dense(3, init=theirs).kernel_initializer == initializers.get(ours)
