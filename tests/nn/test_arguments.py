"""Arguments of layers: what is accepted, and what the error says."""

from __future__ import annotations

import numpy as np
import pytest

from gpucnn import nn
from gpucnn.errors import GpucnnError, ShapeError, UsageError

NOT_NUMBERS = ["0.5", True, np.bool_(True), None, [0.5], np.array([0.5]), 1j]
NOT_FINITE = [float("nan"), float("inf"), -float("inf")]


def refused(make, message):
    with pytest.raises(GpucnnError) as caught:
        make()
    assert caught.value.message == message
    assert caught.value.cause
    assert caught.value.fix
    return caught.value


@pytest.mark.parametrize("value", [-0.1, 1.1, 16, 64, *NOT_NUMBERS, *NOT_FINITE])
def test_momentum(value):
    refused(lambda: nn.BatchNorm2d(momentum=value), f"momentum is {value!r}")


@pytest.mark.parametrize("layer", [nn.BatchNorm2d, nn.LayerNorm])
@pytest.mark.parametrize("value", [-1e-5, 0, 0.0, *NOT_NUMBERS, *NOT_FINITE])
def test_eps(layer, value):
    error = refused(lambda: layer(eps=value), f"eps is {value!r}")
    assert error.fix == "give eps=1e-05"


@pytest.mark.parametrize("value", [-0.1, 1.0, 1, 50, *NOT_NUMBERS, *NOT_FINITE])
def test_rate(value):
    error = refused(lambda: nn.Dropout(value), f"dropout rate is {value!r}")
    assert error.fix == "give rate=0.5"


@pytest.mark.parametrize("value", [*NOT_NUMBERS, *NOT_FINITE])
def test_slope(value):
    refused(lambda: nn.LeakyReLU(value), f"slope is {value!r}")


def test_limits_that_are_allowed():
    assert [nn.BatchNorm2d(momentum=m).momentum for m in (0, 1, np.float32(0.5))] == [0, 1, 0.5]
    assert nn.Dropout(0).rate == 0
    assert nn.LeakyReLU(-2).slope == -2


@pytest.mark.parametrize("value", [1, 0, "yes", None, np.ones(1, bool)])
def test_flags(value):
    for make in (
        lambda: nn.Dense(3, use_bias=value),
        lambda: nn.Conv2d(3, 1, use_bias=value),
        lambda: nn.Linear(3, 1, use_bias=value),
    ):
        refused(make, f"use_bias is {value!r}")
    if value is not None:  # which is its default
        refused(lambda: nn.AvgPool2d(count_include_pad=value), f"count_include_pad is {value!r}")
    assert nn.Dense(3, use_bias=np.bool_(False)).use_bias is False


@pytest.mark.parametrize("value", ["SAME", "half", -1, 1.5, True, (1, 2, 3), ((1, 2), -1), None])
@pytest.mark.parametrize(
    "layer", [lambda p: nn.Conv2d(3, 3, padding=p), lambda p: nn.MaxPool2d(2, 2, p)]
)
def test_padding_is_checked_when_the_layer_is_made(layer, value):
    with pytest.raises(ShapeError, match="padding"):
        layer(value)


@pytest.mark.parametrize("value", ["3", 2.0, True, 0, (3,), (3, 0), None])
def test_sizes(value):
    for make in (nn.Dense, lambda v: nn.Linear(v, 1), lambda v: nn.Linear(1, v)):
        if value != (3,):
            with pytest.raises(ShapeError, match=r"(units|_features) is"):
                make(value)
    with pytest.raises(ShapeError, match="kernel_size is"):
        nn.Conv2d(3, value)


class TestInputShape:
    LAYERS = (
        lambda **kw: nn.Dense(3, **kw),
        lambda **kw: nn.Conv2d(3, 1, **kw),
        lambda **kw: nn.Dropout(0.5, **kw),
        lambda **kw: nn.Activation("relu", **kw),
        nn.Flatten,
        nn.MaxPool2d,
        nn.AvgPool2d,
        nn.GlobalAvgPool2d,
        nn.BatchNorm2d,
        nn.LayerNorm,
        nn.LeakyReLU,
        nn.ReLU,
        nn.Softmax,
    )

    @pytest.mark.parametrize("make", LAYERS)
    def test_every_layer_takes_one_and_a_name(self, make):
        layer = make(input_shape=[1, np.int64(9), 9], name="first")
        assert layer.input_shape == (1, 9, 9)
        assert list(nn.Sequential([layer]).children().keys()) == ["first"]

    @pytest.mark.parametrize(
        ("value", "fix"),
        [
            (784, "write (784,)"),
            ((None, 784), "write (784,)"),
            ([None, 1, 28, 28], "write (1, 28, 28)"),
            ((None, None, 1), "write (1, 28, 28)"),
            ("784", "write (1, 28, 28)"),
            ((), "write (1, 28, 28)"),
            ((1, 28.0), "write (1, 28, 28)"),
            ((1, True), "write (1, 28, 28)"),
            ((0, 3), "write (1, 28, 28)"),
        ],
    )
    def test_of_another_form(self, value, fix):
        for use in (lambda: nn.Flatten(input_shape=value), lambda: nn.Flatten().build(value)):
            error = refused(use, f"the input shape is {value!r}")
            assert isinstance(error, ShapeError)
            assert error.fix == fix

    def test_build_with_the_sizes_one_by_one(self):
        for sizes in ((1, 28, 28), (3, 8)):
            with pytest.raises(
                ShapeError, match=f"the input shape is {str(sizes)[1:-1]}"
            ) as caught:
                nn.Conv2d(4, 3).build(*sizes)
            assert caught.value.fix == f"write build({sizes})"
        assert refused(lambda: nn.Flatten().build(28), "the input shape is 28").fix == "write (28,)"


@pytest.mark.parametrize("name", [3, "", ("a",), True])
def test_names(name):
    with pytest.raises(UsageError, match="the name of a layer is"):
        nn.Dense(3, name=name)
