"""Calls and names of PyTorch and Keras: refused, with ours in the error."""

from __future__ import annotations

import copy
import inspect
import pickle
import pydoc
import re

import numpy as np
import pytest

from gpucnn import nn
from gpucnn.errors import UnknownImportError, UnknownNameError, UsageError
from gpucnn.nn import foreign

LAYERS = {
    name: cls
    for name in nn.__all__
    if inspect.isclass(cls := getattr(nn, name)) and issubclass(cls, nn.Module)
} | {"Pool2d": nn.layers.Pool2d}

# What people type, as text, and what the error tells them to write.
CALLS = [
    ("Conv2d(1, 6, 5)", "Conv2d(6, 5)"),
    ("Conv2d(1, 32, 3, 1)", "Conv2d(32, 3, stride=1)"),
    ("Conv2d(1, 16, 3, 1, 1)", "Conv2d(16, 3, stride=1, padding=1)"),
    ("Conv2d(3, 64, (7, 5), 2, 3)", "Conv2d(64, (7, 5), stride=2, padding=3)"),
    ("Conv2d(3, 32, 3, padding=1)", "Conv2d(32, 3, padding=1)"),
    ("Conv2d(1, 10, kernel_size=5)", "Conv2d(10, 5)"),
    ("Conv2d(1, 10, kernel_size=5, bias=False)", "Conv2d(10, 5, use_bias=False)"),
    ("Conv2d(in_channels=3, out_channels=8, kernel_size=3)", "Conv2d(8, 3)"),
    ("Conv2d(4, 8, 3, 1, 0, 2, 4)", "Conv2d(8, 3, stride=1, padding=0, dilation=2, groups=4)"),
    ("Conv2d(1, 6, 5, padding_mode='reflect')", "Conv2d(6, 5)"),
    ("Conv2d(32, (3, 3), strides=(2, 2))", "Conv2d(32, (3, 3), stride=(2, 2))"),
    ("Conv2d(32, 3, 2, 'same')", "Conv2d(32, 3, stride=2, padding='same')"),
    ("Conv2d(32, 3, dilation_rate=2, data_format='channels_last')", "Conv2d(32, 3, dilation=2)"),
    ("Conv2d(8, 3, bias_regularizer='l2', activation='relu')", "Conv2d(8, 3, activation='relu')"),
    ("Dense(10, input_dim=784)", "Dense(10)"),
    ("Dense(10, kernel_regularizer='l2')", "Dense(10)"),
    ("Dense(in_features=784, out_features=10)", "Dense(10)"),
    ("Dense(10, 'relu', False)", "Dense(10, 'relu', use_bias=False)"),
    ("Linear(784, 10, False)", "Linear(784, 10, use_bias=False)"),
    ("Linear(784, 10, bias=False)", "Linear(784, 10, use_bias=False)"),
    ("MaxPool2d(pool_size=(2, 2))", "MaxPool2d((2, 2))"),
    ("MaxPool2d((2, 2), strides=2)", "MaxPool2d((2, 2), 2)"),
    ("MaxPool2d(2, 2, 0, 1)", "MaxPool2d(2, 2, 0)"),
    ("MaxPool2d(3, ceil_mode=True)", "MaxPool2d(3)"),
    ("AvgPool2d(2, 2, 0, True, False)", "AvgPool2d(2, 2, 0, count_include_pad=False)"),
    ("AvgPool2d(pool_size=3, strides=1, padding='same')", "AvgPool2d(3, 1, 'same')"),
    ("GlobalAvgPool2d(1)", "GlobalAvgPool2d()"),
    ("BatchNorm2d(16)", "BatchNorm2d()"),
    ("BatchNorm2d(16, 0.001, 0.2)", "BatchNorm2d(eps=0.001, momentum=0.2)"),
    ("BatchNorm2d(num_features=16, momentum=0.2)", "BatchNorm2d(momentum=0.2)"),
    ("BatchNorm2d(momentum=0.99, epsilon=0.001)", "BatchNorm2d(momentum=0.01, eps=0.001)"),
    ("LayerNorm(64)", "LayerNorm()"),
    ("LayerNorm([8, 64], eps=1e-06)", "LayerNorm(eps=1e-06)"),
    ("LayerNorm(epsilon=0.001)", "LayerNorm(eps=0.001)"),
    ("Dropout(p=0.5)", "Dropout(0.5)"),
    ("Dropout(0.5, True)", "Dropout(0.5)"),
    ("Dropout(0.5, seed=1)", "Dropout(0.5)"),
    ("Flatten(1)", "Flatten()"),
    ("Flatten(start_dim=1)", "Flatten()"),
    ("ReLU(True)", "ReLU()"),
    ("ReLU(inplace=True)", "ReLU()"),
    ("LeakyReLU(0.2, True)", "LeakyReLU(0.2)"),
    ("LeakyReLU(negative_slope=0.2)", "LeakyReLU(0.2)"),
    ("LeakyReLU(alpha=0.3)", "LeakyReLU(0.3)"),
    ("GELU(approximate='tanh')", "GELU()"),
    ("Softmax(dim=1)", "Softmax()"),
    ("Softmax(-1)", "Softmax()"),
    ("LogSoftmax(dim=1)", "LogSoftmax()"),
]  # fmt: skip


@pytest.mark.parametrize(("theirs", "ours"), CALLS, ids=[theirs for theirs, _ in CALLS])
def test_the_error_shows_both_spellings(theirs, ours):
    with pytest.raises(UsageError) as caught:
        eval(f"nn.{theirs}")
    assert caught.value.fix.removeprefix("write ").split(" or ")[0] == ours
    eval(f"nn.{ours}")  # what it says to write is accepted
    arguments = re.escape(theirs.partition("(")[2])
    pattern = rf"^(PyTorch|Keras)'s \w+\({arguments} is {re.escape(ours)} here"
    assert re.search(pattern, caught.value.cause)


def test_the_reason_is_told_for_what_is_left_out():
    with pytest.raises(UsageError) as caught:
        nn.Conv2d(1, 6, 5)
    assert caught.value.message == (
        "Conv2d(1, 6, 5) does not match Conv2d(filters, kernel_size, *, stride, padding, dilation, "
        "groups, activation, use_bias, kernel_initializer, bias_initializer, input_shape, name)"
    )
    assert caught.value.cause.startswith(
        "PyTorch's Conv2d(1, 6, 5) is Conv2d(6, 5) here, without in_channels=1 "
        "(the number of input channels is inferred)"
    )


def test_the_sizes_of_linear_given_to_dense():
    with pytest.raises(UsageError) as caught:
        nn.Dense(784, 10)
    assert caught.value.fix == "write Dense(10), or Linear(784, 10)"


def test_a_call_that_two_libraries_read_in_two_ways():
    with pytest.raises(UsageError) as caught:
        nn.Conv2d(32, 3, 1)
    assert caught.value.fix == "write Conv2d(3, 1) or Conv2d(32, 3, stride=1)"
    with pytest.raises(UsageError) as caught:
        nn.Conv2d(1, 16, 3, 1, 1)  # Keras's padding is a word
    assert caught.value.fix == "write Conv2d(16, 3, stride=1, padding=1)"


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda: nn.Dense(10, kernal_initializer="ones"), "did you mean kernel_initializer?"),
        (lambda: nn.Dense(10, foo=3), "there is no foo"),
        (lambda: nn.Dense(10, device="cuda"), "there is no device: build(..., device=)"),
        (lambda: nn.Dense(), "units is missing"),
        (lambda: nn.Conv2d(32), "kernel_size is missing"),
        (lambda: nn.MaxPool2d(2, 2, 0, 1, False, True, 7), "3 arguments by position"),
        (lambda: nn.Activation("relu", "tanh"), "1 argument by position"),
        (lambda: nn.Activation("relu", activation="tanh"), "activation is given twice"),
    ],
)
def test_a_call_of_no_library(make, cause):
    with pytest.raises(UsageError) as caught:
        make()
    assert cause in caught.value.cause
    assert caught.value.fix


def test_long_arguments_are_cut():
    with pytest.raises(UsageError) as caught:
        nn.Dense(3, bias=np.zeros(1000))
    assert len(caught.value.message) < 250


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_explains_a_wrong_call(name):
    if name in ("Module", "Residual", "Sequential"):
        return
    with pytest.raises(UsageError, match="does not match"):
        LAYERS[name](no_such_option=1)


@pytest.mark.parametrize("name", foreign.SIGNATURES)
def test_the_table_names_layers_and_has_a_word_for_every_parameter(name):
    ours = inspect.signature(LAYERS[name]).parameters
    for theirs, listed in foreign.SIGNATURES[name].items():
        for parameter in listed.split():
            renamed = foreign.RENAMED.get(parameter, ())
            known = {parameter, *renamed} & set(ours) or parameter in foreign.INSTEAD
            assert known, f"{theirs}: {parameter}"


class TestALayerOfOnesOwn:
    class Scaled(nn.Dense):
        def __init__(self, units, factor):
            super().__init__(units)
            self.factor = factor

    def test_keeps_pythons_text(self):
        with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'factor'"):
            self.Scaled(3)
        with pytest.raises(TypeError, match="unexpected keyword argument 'bias'"):
            self.Scaled(3, 2, bias=False)

    def test_its_call_of_ours_is_explained(self):
        class Own(nn.Conv2d):
            def __init__(self):
                super().__init__(1, 6, 5)

        with pytest.raises(UsageError, match=r"^Conv2d\(1, 6, 5\) does not match Conv2d"):
            Own()

    def test_an_error_from_inside_is_left_as_it_is(self):
        class Strange:
            def __index__(self):
                raise TypeError("from inside")

        class Own(nn.Activation):
            def __init__(self, activation):
                len(activation)
                super().__init__(activation)

        with pytest.raises(TypeError, match=r"object of type 'int' has no len"):
            Own(3)

    def test_may_have_the_names_of_others(self):
        class Own(nn.Module):
            def __init__(self):
                self.half = nn.Dense(2)

            def fit(self):
                return "fitted"

        assert Own().fit() == "fitted"
        assert list(Own().children().keys()) == ["half"]


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_layers_are_copied(copied):
    model = nn.Sequential([nn.Conv2d(4, 3), nn.ReLU(), nn.Residual(nn.BatchNorm2d()), nn.Flatten()])
    model.build((1, 6, 6), seed=2)
    x = np.ones((2, 1, 6, 6), np.float32)
    np.testing.assert_array_equal(copied(model).eval()(x).numpy(), model.eval()(x).numpy())


def test_help_shows_the_signature():
    assert list(inspect.signature(nn.Dropout).parameters) == ["rate", "input_shape", "name"]
    help_ = re.sub(r"[\s|]+", " ", pydoc.render_doc(nn.Conv2d))  # Python 3.13 breaks the line
    assert "kernel_size: 'PairArg', *, stride" in help_


class TestNames:
    @pytest.mark.parametrize("name", foreign.NAMES)
    def test_of_a_module(self, name):
        assert name not in nn.__all__
        for code in (f"nn.{name}", f"from gpucnn.nn import {name}"):
            with pytest.raises((UnknownNameError, UnknownImportError)) as caught:
                exec(code, {"nn": nn})
            assert caught.value.message == f"gpucnn.nn has no {name}"
            assert caught.value.fix

    def test_that_nobody_has(self):
        with pytest.raises(AttributeError, match="no attribute 'Dance'"):
            nn.Dance  # noqa: B018
        with pytest.raises(ImportError, match="cannot import name 'Dance'"):
            from gpucnn.nn import Dance  # noqa: F401
        assert not hasattr(nn, "Dance")
        assert hasattr(nn, "__path__")

    @pytest.mark.parametrize("name", foreign.ATTRIBUTES)
    def test_of_a_network(self, name):
        net = nn.Sequential([nn.Dense(2)])
        assert not hasattr(net, name)
        with pytest.raises(UnknownNameError, match=f"Sequential has no {name}") as caught:
            getattr(net, name)
        assert caught.value.fix

    def test_what_they_are_told_to_use_exists(self):
        net = nn.Sequential([nn.Dense(2)])
        for name in ("to", "freeze", "modules", "children", "state_dict", "observe"):
            assert callable(getattr(net, name))
        assert any("observe(" in fix for fix in foreign.ATTRIBUTES.values())
