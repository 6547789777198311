"""Images in another layout than (N, C, H, W) are refused, and the error says how to turn them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gpucnn import nn
from gpucnn.errors import ShapeError

CHANNELS_LAST = [(28, 28, 1), (32, 32, 3), (8, 8, 1), (64, 48, 4), (32, 120, 3)]
FIRST = {
    "conv": lambda: nn.Conv2d(4, 3, padding="same"),
    "max": lambda: nn.MaxPool2d(2, padding="same"),
    "average": lambda: nn.AvgPool2d((2, 1)),
    "global": nn.GlobalAvgPool2d,
    "batch norm": nn.BatchNorm2d,
    "after dropout": lambda: nn.Sequential([nn.Dropout(0.1), nn.ReLU(), nn.BatchNorm2d()]),
    "in a residual": lambda: nn.Residual(nn.BatchNorm2d()),
}


class Own(nn.Module):
    def __init__(self):
        self.conv = nn.Conv2d(4, 3, padding="same")

    def forward(self, x):
        return self.conv(x * 2.0)


def networks(shape=None):
    for first in (*FIRST.values(), Own):
        layer = first()
        if shape is not None:
            layer.input_shape = shape
        yield nn.Sequential([layer, nn.Flatten(), nn.Dense(3)])


def zeros(shape):
    return np.zeros((2, *shape), np.float32)


@pytest.mark.parametrize("shape", CHANNELS_LAST)
def test_channels_last_is_refused_at_every_door(shape):
    H, W, C = shape
    doors = [
        *[lambda net=net: net.build(shape) for net in networks()],
        *[lambda net=net: net(zeros(shape)) for net in networks()],
        *[lambda net=net: net.build() for net in networks(shape)],
        *[lambda net=net: net.summary() for net in networks(shape)],
        lambda: nn.Conv2d(4, 3).build(shape),
        lambda: nn.MaxPool2d()(zeros(shape)),
    ]
    for door in doors:
        with pytest.raises(ShapeError, match=re.escape(f"{shape} looks like (H, W, C)")) as caught:
            door()
        assert f"{H} channels of {W}x{C} pixels" in caught.value.cause
        assert "x.transpose(0, 3, 1, 2)" in caught.value.fix
        assert str((C, H, W)) in caught.value.fix
        assert f"build({shape}, channels_first=True)" in caught.value.fix


def test_it_names_the_layer_that_takes_it():
    with pytest.raises(ShapeError, match=r"^conv1 \(Conv2d\): the input \(28, 28, 1\)"):
        nn.Sequential([nn.Dropout(0.5), nn.Conv2d(4, 3)]).build((28, 28, 1))


@pytest.mark.parametrize("shape", CHANNELS_LAST)
def test_it_may_be_meant(shape):
    for net in networks():
        net.build(shape, channels_first=True)
        assert net(zeros(shape)).shape == (2, 3)
        assert net.summary()


@pytest.mark.parametrize("shape", CHANNELS_LAST)
def test_layers_of_no_images_do_not_care(shape):
    for layers in (
        [nn.Flatten(), nn.Dense(3)],
        [nn.LayerNorm(), nn.Flatten(), nn.Dense(3)],
        [nn.Flatten(input_shape=shape), nn.Dense(3)],
    ):
        assert nn.Sequential(layers).build(shape)(zeros(shape)).shape == (2, 3)


@pytest.mark.parametrize(
    "shape",
    [
        (1, 28, 28), (3, 32, 32), (1, 28, 3), (3, 28, 1), (4, 32, 3), (28, 28, 2), (28, 28, 28),
        (7, 7, 3), (512, 7, 1), (12, 1000, 1), (2, 8, 8), (64, 1, 1),
    ],
)  # fmt: skip
def test_what_is_not_plainly_channels_last_is_taken(shape):
    net = nn.Sequential([nn.Conv2d(4, 1), nn.Flatten(), nn.Dense(3)]).build(shape)
    assert net["conv1"].weight.shape == (4, shape[0], 1, 1)


def test_feature_maps_are_no_input():
    """Inside, an array may be 1 or 3 wide."""
    layers = [nn.Conv2d(16, (1, 28)), nn.Conv2d(16, 3, padding="same"), nn.MaxPool2d((2, 1))]
    net = nn.Sequential(layers).build((1, 28, 28))
    assert net(zeros((1, 28, 28))).shape == (2, 16, 14, 1)
    assert net.built_for == ((1, 28, 28),)


def test_a_network_that_turns_the_images_itself():
    class Turned(nn.Module):
        def __init__(self):
            self.conv = nn.Conv2d(4, 3)

        def forward(self, x):
            return self.conv(x.transpose(0, 3, 1, 2))

    assert Turned()(zeros((28, 28, 1))).shape == (2, 4, 26, 26)


def test_a_refusal_leaves_no_trace():
    net = nn.Sequential([nn.Conv2d(4, 3), nn.Flatten()])
    with pytest.raises(ShapeError):
        net.build((28, 28, 1))
    assert net.path is None
    assert net.build((1, 28, 28)).built_for == ((1, 28, 28),)
    other = nn.Sequential([nn.Flatten(), nn.Dense(2)]).build((28, 28, 1))
    with pytest.raises(ShapeError, match=r"looks like \(H, W, C\)"):
        nn.Sequential([nn.Conv2d(4, 3)]).build((28, 28, 1))
    assert other(zeros((28, 28, 1))).shape == (2, 2)


# Declared or built for -> given -> what the error says to give.
OTHER_LAYOUTS = [
    ((1, 28, 28), (28, 28, 1), "give x.transpose(0, 3, 1, 2), which is (N, 1, 28, 28)"),
    ((3, 32, 24), (32, 24, 3), "give x.transpose(0, 3, 1, 2), which is (N, 3, 32, 24)"),
    ((1, 28, 28), (28, 28), "give x[:, None], which is (N, 1, 28, 28)"),
    ((1, 28, 28), (784,), "give x.reshape(-1, 1, 28, 28), which is (N, 1, 28, 28)"),
]


@pytest.mark.parametrize(("wanted", "given", "fix"), OTHER_LAYOUTS)
def test_a_network_for_another_layout_says_how_to_turn_the_images(wanted, given, fix):
    declared = nn.Sequential([nn.Conv2d(4, 3, input_shape=wanted), nn.Flatten(), nn.Dense(3)])
    built = nn.Sequential([nn.Conv2d(4, 3), nn.Flatten(), nn.Dense(3)]).build(wanted)
    for door in (
        lambda: declared(zeros(given)),
        lambda: declared.build(given),
        lambda: built(zeros(given)),
        lambda: built.build(given),
    ):
        with pytest.raises(ShapeError) as caught:
            door()
        assert caught.value.fix == fix


@pytest.mark.parametrize(
    ("declared", "given", "fix"),
    [
        ((28, 28, 1), (1, 28, 28), "write input_shape=(1, 28, 28): layers take (N, C, H, W)"),
        ((32, 24, 3), (3, 32, 24), "write input_shape=(3, 32, 24): layers take (N, C, H, W)"),
        ((28, 28), (1, 28, 28), "give x[:, 0], which is (N, 28, 28)"),
        ((28, 28), (28, 28, 1), "give x[..., 0], which is (N, 28, 28)"),
        ((784,), (1, 28, 28), "give x.reshape(-1, 784), which is (N, 784)"),
        ((100,), (1, 28, 28), "give input_shape=(1, 28, 28), or leave it out"),
    ],
)
def test_a_declaration_in_another_layout(declared, given, fix):
    with pytest.raises(ShapeError) as caught:
        nn.Sequential([nn.Flatten(input_shape=declared), nn.Dense(3)])(zeros(given))
    assert caught.value.message.endswith(f"input_shape says {declared}")
    assert caught.value.fix == fix


@pytest.mark.parametrize("layer", [nn.Conv2d(4, 3), nn.MaxPool2d(), nn.AvgPool2d(),
                                   nn.GlobalAvgPool2d(), nn.BatchNorm2d()])  # fmt: skip
def test_gray_images_without_a_channel_axis(layer):
    with pytest.raises(ShapeError) as caught:
        nn.Sequential([layer]).build((28, 28))
    assert caught.value.fix == "give gray images (N, H, W) as x[:, None], which is (N, 1, H, W)"


def test_rows_of_pixels():
    with pytest.raises(ShapeError) as caught:
        nn.Conv2d(4, 3).build((784,))
    assert "x.reshape(-1, 1, 28, 28)" in caught.value.fix


def test_an_error_of_another_kind_keeps_its_fix():
    net = nn.Sequential([nn.Conv2d(4, 3), nn.Flatten(), nn.Dense(3)]).build((1, 8, 8))
    with pytest.raises(ShapeError) as caught:
        net(zeros((1, 9, 9)))
    assert "build a new model" in caught.value.fix
