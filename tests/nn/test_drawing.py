"""The graph of a network: its layers, once for each call, with their real connections."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from gpucnn import Tensor, keras, models, nn, no_grad
from gpucnn import functions as F
from gpucnn.errors import GraphError, ShapeError, UsageError


def connections(graph):
    """The text of each node without its details."""
    return [line.split("  ")[0] for line in repr(graph).splitlines()]


def test_layers_that_are_folded_are_drawn_as_layers():
    model = nn.Sequential([nn.Conv2d(4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dense(10)])
    assert repr(model.graph((1, 8, 8))).splitlines() == [
        "input                      (1, 1, 8, 8)",
        "conv1 = Conv2d(input)      (1, 4, 6, 6)  40 parameters",
        "relu1 = ReLU(conv1)        (1, 4, 6, 6)",
        "pool1 = MaxPool2d(relu1)   (1, 4, 3, 3)",
        "flatten1 = Flatten(pool1)  (1, 36)",
        "dense1 = Dense(flatten1)   (1, 10)  370 parameters",
    ]


class Net(nn.Module):
    def __init__(self):
        self.stem = nn.Conv2d(8, 3, padding="same", activation="relu")
        self.body = nn.Sequential([nn.Conv2d(8, 3, padding="same"), nn.Dropout(0.5)])
        self.side = nn.Conv2d(4, 1)
        self.head = nn.Dense(10)

    def forward(self, x):
        x = F.max_pool2d(self.stem(x), 2)
        x = x + self.body(x)
        return self.head(F.flatten(F.concat([x, self.side(x)], axis=1)))


def test_a_network_of_ones_own():
    assert connections(Net().graph((1, 8, 8))) == [
        "input",
        "stem = Conv2d + relu(input)",
        "t2 = MaxPool2d(stem)",
        "body.conv1 = Conv2d(t2)",
        "body.dropout1 = Dropout(body.conv1)",
        "t5 = Add(t2, body.dropout1)",
        "side = Conv2d(t5)",
        "t7 = Concat(t5, side)",
        "t8 = Reshape(t7)",
        "head = Dense(t8)",
    ]


def test_a_residual_with_a_shortcut():
    block = nn.Residual(nn.Conv2d(4, 1), nn.ReLU(), shortcut=nn.Conv2d(4, 1))
    assert connections(nn.Sequential([block]).graph((2, 4, 4))) == [
        "input",
        "residual1.body.conv1 = Conv2d(input)",
        "residual1.body.relu1 = ReLU(residual1.body.conv1)",
        "residual1.shortcut = Conv2d(input)",
        "t4 = Add(residual1.body.relu1, residual1.shortcut)",
    ]


def test_a_layer_that_is_called_twice_is_drawn_twice_and_counted_once():
    class Twice(nn.Module):
        def __init__(self):
            self.layer = nn.Dense(4)

        def forward(self, x):
            return self.layer(self.layer(x))

    assert repr(Twice().graph((4,))).splitlines() == [
        "input                 (1, 4)",
        "layer = Dense(input)  (1, 4)  20 parameters",
        "layer = Dense(layer)  (1, 4)",
    ]


def test_layers_that_return_their_input_stand_in_the_order_of_their_calls():
    model = nn.Sequential([nn.Dropout(0.1), nn.Dense(3), nn.Dropout(0.1), nn.Activation("linear")])
    assert connections(model.graph((4,))) == [
        "input",
        "dropout1 = Dropout(input)",
        "dense1 = Dense(dropout1)",
        "dropout2 = Dropout(dense1)",
        "linear1 = Activation linear(dropout2)",
    ]


def test_several_inputs_and_parameters_between_layers():
    class Two(nn.Module):
        def __init__(self):
            self.left = nn.Dense(3)

        def create(self, a_shape, b_shape):
            self.gain = self.new_parameter("gain", (3,), "ones")

        def forward(self, a, b):
            return self.left(a) * self.gain - b

    assert repr(Two().graph((5,), (3,))).splitlines() == [
        "input 1                (1, 5)",
        "left = Dense(input 1)  (1, 3)  18 parameters",
        "gain                   (3,)",
        "t3 = Mul(left, gain)   (1, 3)",
        "input 2                (1, 3)",
        "t5 = Sub(t3, input 2)  (1, 3)",
    ]


@pytest.mark.parametrize("name", models.NAMES)
def test_the_networks_of_the_library(name):
    model = models.get(name).build((1, 28, 28))
    graph = model.graph()
    rows = model.summary_rows()
    assert [node.name for node in graph.nodes[1:]] == [row.layer for row in rows]
    assert [node.details[0] for node in graph.nodes[1:]] == [str(row.output_shape) for row in rows]
    assert [node.sources for node in graph.nodes[1:]] == [(i,) for i in range(len(rows))]


def test_a_layer_alone_and_a_part_of_a_network():
    assert connections(nn.Dense(3).graph((2,))) == ["input", "Dense = Dense(input)"]
    net = Net().build((1, 8, 8))
    assert connections(net.body.graph()) == [
        "input",
        "body.conv1 = Conv2d(input)",
        "body.dropout1 = Dropout(body.conv1)",
    ]


def test_a_model_in_the_style_of_keras():
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3, activation="tanh")])
    assert connections(model.graph()) == ["input", "dense1 = Dense + tanh(input)"]


def test_a_frozen_network():
    net = Net().build((1, 8, 8)).freeze()
    assert connections(net.graph()) == connections(Net().graph((1, 8, 8)))


def test_the_network_stays_as_it_was():
    model = nn.Sequential([nn.Conv2d(2, 3), nn.BatchNorm2d(), nn.Dropout(0.5)]).build((1, 5, 5))
    before = model.state_dict()
    model.graph()
    assert model.training
    assert all(p.grad is None and not p.retains_grad for p in model.parameters())
    assert int(model["dropout1"].step[0]) == 0
    for path, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[path])


def test_input_shapes():
    with pytest.raises(UsageError, match="is not built"):
        Net().graph()
    with pytest.raises(ShapeError, match="is built for inputs of"):
        Net().build((1, 8, 8)).graph((1, 9, 9))


def test_inside_no_grad():
    with no_grad(), pytest.raises(GraphError, match="inside no_grad"):
        Net().graph((1, 8, 8))


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda net, x: (net.a(x), net.b(x)), "returns a tuple"),
        (lambda net, x: [net.b(net.a(x))], "returns a list"),
        (lambda net, x: net.b(net.a(x)).numpy(), "returns a ndarray"),
        (lambda net, x: Tensor(net.b(net.a(x)).numpy() * 2), "was not computed from its input"),
    ],
)
def test_an_output_that_is_no_tensor_of_its_own(forward, message):
    class Own(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Dense(4), nn.Dense(4)

    Own.forward = forward
    with pytest.raises(GraphError, match=rf"graph of Own, .*{message}") as caught:
        Own().graph((4,))
    assert caught.value.fix


def test_an_output_that_is_the_input_or_of_a_layer():
    class Last(nn.Module):
        def __init__(self):
            self.a = nn.Flatten()

        def forward(self, x):
            return self.a(x)

    class Same(nn.Module):
        def forward(self, x):
            return x

    assert "a = Flatten(input)" in repr(Last().graph((4,)))
    assert "Same = Same(input)" in repr(Same().graph((4,)))


def test_boxes_are_layers_and_ovals_functions():
    dot = Net().graph((1, 8, 8)).to_dot()
    assert "rankdir=TB" in dot
    layer = "[shape=box, style=rounded, label=<Conv2d&#160;+&#160;relu<br/>stem<br/>(1,"
    assert layer in dot
    assert "[shape=oval, style=solid, label=<Add<br/>(1," in dot


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_the_picture():
    assert ">body.dropout1</text>" in Net().graph((1, 8, 8)).to_svg()
