"""Layers by Keras's names: what each call makes, and what is refused."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from gpucnn import keras, nn
from gpucnn.errors import GpucnnError, ShapeError, UnknownImportError, UnknownNameError, UsageError
from gpucnn.keras import layers
from gpucnn.nn import initializers

# A call as Keras's documentation has it -> the class, and attributes of what is made.
CALLS: list[tuple[str, type, dict[str, Any]]] = [
    ("Conv2D(32, (3, 3))", nn.Conv2d, {"filters": 32, "kernel_size": (3, 3), "padding": "valid"}),
    ("Conv2D(8, 3, 2, padding='same')", nn.Conv2d, {"stride": (2, 2), "kernel_size": (3, 3)}),
    ("Conv2D(8, 3, (2, 2))", nn.Conv2d, {"stride": (2, 2)}),
    ("Conv2D(8, (3, 3), 2)", nn.Conv2d, {"stride": (2, 2)}),
    ("Conv2D(8, 3, 2, 'same')", nn.Conv2d, {"stride": (2, 2), "padding": "same"}),
    ("Conv2D(8, 3, strides=(2, 1), padding='SAME')", nn.Conv2d,
     {"stride": (2, 1), "padding": "same"}),
    ("Conv2D(8, 3, dilation_rate=2, groups=2)", nn.Conv2d, {"dilation": (2, 2), "groups": 2}),
    ("Conv2D(8, 3, data_format='channels_first', use_bias=False)", nn.Conv2d, {"use_bias": False}),
    ("Conv2D(8, 3, activation='relu', input_shape=(1, 9, 9), name='a')", nn.Conv2d,
     {"activation": "relu", "input_shape": (1, 9, 9), "name": "a"}),
    ("Conv2D(8, 3, kernel_initializer='HeNormal')", nn.Conv2d,
     {"kernel_initializer": initializers.get("he_normal")}),
    ("Dense(10, 'softmax')", nn.Dense, {"units": 10, "activation": "softmax"}),
    ("Dense(10, input_dim=784)", nn.Dense, {"input_shape": (784,)}),
    ("Dense(10, kernel_initializer='random_normal')", nn.Dense,
     {"kernel_initializer": initializers.Normal()}),
    ("Dense(10, bias_initializer='Zeros')", nn.Dense,
     {"bias_initializer": initializers.Constant(0.0)}),
    ("MaxPooling2D()", nn.MaxPool2d, {"kernel_size": (2, 2), "stride": (2, 2)}),
    ("MaxPooling2D(pool_size=(3, 2), strides=1)", nn.MaxPool2d,
     {"kernel_size": (3, 2), "stride": (1, 1), "padding": "valid"}),
    ("MaxPool2D(2, padding='same')", nn.MaxPool2d, {"padding": "same"}),
    ("AveragePooling2D((2, 2))", nn.AvgPool2d, {"kernel_size": (2, 2)}),
    ("GlobalAveragePooling2D()", nn.GlobalAvgPool2d, {}),
    ("BatchNormalization()", nn.BatchNorm2d, {"momentum": 0.01, "eps": 1e-3}),
    ("BatchNormalization(axis=1, momentum=0.9, epsilon=1e-5)", nn.BatchNorm2d,
     {"momentum": 0.1, "eps": 1e-5}),
    ("LayerNormalization()", nn.LayerNorm, {"eps": 1e-3}),
    ("Dropout(0.5)", nn.Dropout, {"rate": 0.5}),
    ("Dropout(rate=0.2, input_shape=(784,))", nn.Dropout, {"input_shape": (784,)}),
    ("Flatten(input_shape=(28, 28))", nn.Flatten, {"input_shape": (28, 28)}),
    ("Activation('relu')", nn.Activation, {"activation": "relu"}),
    ("ReLU()", nn.ReLU, {}),
    ("LeakyReLU()", nn.LeakyReLU, {"slope": 0.3}),
    ("LeakyReLU(alpha=0.1)", nn.LeakyReLU, {"slope": 0.1}),
    ("LeakyReLU(negative_slope=0.2)", nn.LeakyReLU, {"slope": 0.2}),
    ("Softmax()", nn.Softmax, {}),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "attributes"), CALLS, ids=[c for c, _, _ in CALLS])
def test_a_call_of_keras_makes_a_layer(call: str, kind: type, attributes: dict[str, Any]) -> None:
    layer = eval(f"layers.{call}")
    assert type(layer) is kind
    for name, value in attributes.items():
        assert getattr(layer, name) == value, name


@pytest.mark.parametrize("name", [n for n in layers.__all__ if n not in ("Input", "InputLayer")])
def test_every_layer_takes_a_shape_and_a_name_and_stands_at_the_top(name: str) -> None:
    make = getattr(layers, name)
    required = {"Conv2D": (4, 1), "Convolution2D": (4, 1, 1), "Dense": (3,),
                "Dropout": (0.5,), "Activation": ("relu",)}  # fmt: skip
    layer = make(*required.get(name, ()), input_shape=(3, 8, 8), name="first")
    assert (layer.input_shape, layer.name) == ((3, 8, 8), "first")
    assert getattr(keras, name) is make


def test_averages_do_not_count_the_padding() -> None:
    x = np.ones((1, 1, 5, 5), np.float32)
    pooled = layers.AveragePooling2D(3, strides=2, padding="same")(x)
    np.testing.assert_array_equal(pooled.numpy(), np.ones((1, 1, 3, 3)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.Conv2D(8, 3, data_format="channels_last"), "x.transpose(0, 3, 1, 2)"),
        (lambda: layers.MaxPooling2D(data_format="channels_last"), "x.transpose(0, 3, 1, 2)"),
        (lambda: layers.Flatten("channels_last"), "x.transpose(0, 3, 1, 2)"),
        (lambda: layers.Conv2D(8, 3, kernel_regularizer="l2"), "weight_decay of the optimizer"),
        (lambda: layers.Dense(8, kernel_constraint=3), "optimizer.step()"),
        (lambda: layers.Dense(8, trainable=False), "layer.trainable = False"),
        (lambda: layers.Dropout(0.5, seed=3), "compile(seed=)"),
        (lambda: layers.Dense(8, batch_input_shape=(None, 4)), "without the batch axis"),
        (lambda: layers.Dense(8, activation=np.tanh), 'activation="relu"'),
        (lambda: layers.Dense(8, activation="swish"), "choose one of"),
        (lambda: layers.Dense(8, kernel_initializer="orthogonal"), "choose one of"),
        (lambda: layers.BatchNormalization(axis=-1), "the channels are axis 1"),
        (lambda: layers.BatchNormalization(momentum=1.5), "from 0 to 1"),
        (lambda: layers.LayerNormalization(axis=1), "only the last"),
        (lambda: layers.Softmax(axis=1), "only the last"),
        (lambda: layers.ReLU(max_value=6), "no upper limit"),
        (lambda: layers.Conv2D(32), "kernel_size is missing"),
        (lambda: layers.Dense(units=3, size=4), "there is no size"),
    ],
)
def test_what_there_is_not_says_so(make: Any, words: str) -> None:
    with pytest.raises(GpucnnError) as caught:
        make()
    assert words in str(caught.value)


def test_the_signature_is_shown() -> None:
    assert list(inspect.signature(layers.MaxPooling2D).parameters)[:3] == [
        "pool_size", "strides", "padding",
    ]  # fmt: skip


def test_layer_normalization_is_over_channels_in_keras() -> None:
    norm = layers.LayerNormalization()
    image = [layers.Input((3, 8, 8)), layers.Conv2D(4, 3), norm, layers.Flatten()]
    with pytest.raises(UsageError, match="gets images") as caught:
        keras.Sequential(image).build()
    assert "Flatten" in str(caught.value.fix)
    vectors = [layers.Input((3, 8, 8)), layers.Flatten(), layers.LayerNormalization()]
    assert keras.Sequential(vectors).build().count_params() == 2 * 3 * 8 * 8


class TestInput:
    def test_says_the_shape_and_is_no_layer(self) -> None:
        for first in (
            keras.Input(shape=(1, 8, 8)),
            keras.Input((1, 8, 8)),
            layers.InputLayer(input_shape=(1, 8, 8)),
            layers.InputLayer((1, 8, 8), name="image"),
        ):
            model = keras.Sequential([first, layers.Flatten(), layers.Dense(3)])
            assert [layer.display_name for layer in model.layers] == ["Flatten", "Dense"]
            assert model.build().built_for == ((1, 8, 8),)
            assert list(model.state_dict()) == ["dense1.weight", "dense1.bias"]

    def test_channels_last_is_refused(self) -> None:
        """At once: where the shape and the layer that takes it are known."""
        first = (layers.Conv2D, {"filters": 4, "kernel_size": 3})
        others = [
            (layers.MaxPooling2D, {}), (layers.AveragePooling2D, {}),
            (layers.GlobalAveragePooling2D, {}), (layers.BatchNormalization, {}),
        ]  # fmt: skip
        for make, options in (first, *others):
            for door in (
                lambda m=make, o=options: keras.Sequential([keras.Input((28, 28, 1)), m(**o)]),
                lambda m=make, o=options: keras.Sequential(
                    [keras.Input((28, 28, 1)), layers.ReLU(), keras.Sequential([m(**o)])]
                ),
                lambda m=make, o=options: m(**o, input_shape=(28, 28, 1)),
                lambda m=make, o=options: keras.Sequential([m(**o)]).build((None, 28, 28, 1)),
            ):
                with pytest.raises(ShapeError, match=r"looks like \(H, W, C\)") as caught:
                    door()
                assert "(1, 28, 28)" in str(caught.value.fix)

    @pytest.mark.parametrize(
        "shape", [(28, 28, 2), (64, 64, 5), (28, 28, 6), (7, 7, 3), (5, 5, 3), (6, 6, 1), (9, 9, 8)]
    )
    def test_a_square_with_a_shorter_last_axis_is_channels_last(
        self, shape: tuple[int, ...]
    ) -> None:
        def make() -> keras.Sequential:
            conv = layers.Conv2D(2, 3, padding="same")
            model = keras.Sequential([conv, layers.GlobalAveragePooling2D(), layers.Dense(2)])
            model.compile("sgd", "mse", device="cpu")
            return model

        x, y = np.zeros((4, *shape)), np.zeros((4, 2))
        for door in (
            lambda m: m.fit(x, y, verbose=0),
            lambda m: m.evaluate(x, y),
            lambda m: m.predict(x),
            lambda m: m(x.astype(np.float32)),
            lambda m: m.build(shape),
            lambda m: m.fit(iter([(x, y)]), steps_per_epoch=1, verbose=0),
        ):
            with pytest.raises(ShapeError, match="looks like") as caught:
                door(make())
            assert str((shape[2], *shape[:2])) in str(caught.value.fix)
        meant = make().build(shape, channels_first=True)
        assert meant.predict(x).shape == (4, 2)

    @pytest.mark.parametrize(
        "shape",
        [
            (3, 28, 28),
            (1, 5, 5),
            (64, 7, 7),
            (5, 5, 5),
            (28, 28, 28),
            (3, 3, 5),
            (8, 4, 2),
            (4, 8, 4),
        ],
    )
    def test_channels_first_is_never_refused(self, shape: tuple[int, ...]) -> None:
        model = keras.Sequential([keras.Input(shape), layers.Conv2D(2, 1), layers.Flatten()])
        assert model.build().predict(np.zeros((2, *shape))).shape[0] == 2

    def test_layers_that_take_any_order_do_not_care(self) -> None:
        for rest in ([layers.Flatten()], [layers.Dropout(0.2), layers.Flatten()], [layers.ReLU()]):
            model = keras.Sequential([keras.Input(shape=(28, 28, 1)), *rest])
            assert model.predict(np.zeros((2, 28, 28, 1))).size == 2 * 784

    def test_that_is_not_first(self) -> None:
        for layers_ in ([layers.Flatten(), keras.Input((4,))], [keras.Input((4,))] * 2):
            with pytest.raises(UsageError, match="put it first"):
                keras.Sequential(layers_)

    def test_wrong_calls(self) -> None:
        with pytest.raises(UsageError, match="has no shape"):
            layers.InputLayer()
        with pytest.raises(UsageError, match="the batch may be of any size"):
            keras.Input(shape=(4,), batch_size=32)
        with pytest.raises(ShapeError, match="the input shape is 784"):
            keras.Input(784)

    def test_the_functional_form_is_refused(self) -> None:
        with pytest.raises(UsageError, match="is given to a layer as its input") as caught:
            layers.Dense(3)(keras.Input((4,)))
        assert "Sequential(" in str(caught.value.fix)


def test_names_of_other_layers() -> None:
    for name in ("LSTM", "Embedding", "SeparableConv2D", "Layer", "Rescaling", "Add"):
        with pytest.raises(UnknownNameError) as caught:
            getattr(layers, name)
        assert caught.value.fix
        with pytest.raises(UnknownImportError):
            exec(f"from gpucnn.keras.layers import {name}")
    with pytest.raises(AttributeError):
        layers.no_such_layer  # noqa: B018


def test_leaky_relu_has_the_slope_of_keras() -> None:
    x = np.array([[-1.0, 2.0, -0.5]], np.float32)
    for leaky in (layers.Activation("leaky_relu"), layers.LeakyReLU(0.2)):
        np.testing.assert_allclose(leaky(x).numpy(), [[-0.2, 2, -0.1]], rtol=1e-6)
    for make in (
        lambda: layers.Dense(3, activation="leaky_relu"),
        lambda: layers.Conv2D(3, 3, activation="leaky_relu"),
    ):
        with pytest.raises(UsageError, match="leaky_relu") as caught:
            make()
        assert "layers.LeakyReLU(0.2)" in str(caught.value.fix)
