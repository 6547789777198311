"""Layers that are put into a network after it was built: where they stand, and their weights."""

from __future__ import annotations

import numpy as np
import pytest

from gpucnn import nn
from gpucnn.errors import SignatureError


class Net(nn.Module):
    def __init__(self):
        self.first = nn.Dense(4)
        self.rest = {"drop": nn.Dropout(0.5), "body": nn.Sequential([nn.Dense(4), nn.Dropout(0.5)])}

    def forward(self, x):
        return self.rest["body"](self.rest["drop"](self.first(x)))


class Chain(nn.Module):
    def __init__(self, layers):
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def ones(backend, *shape):
    return backend.asarray(np.ones(shape, np.float32))


@pytest.mark.parametrize("first", ["training", "evaluating", "parameters"])
def test_replaced_layers_are_as_those_of_a_new_network(backend, first):
    """Whatever is done first with the network: its seed and the layers' places count."""
    net = Net().build((3,), seed=5, device=backend.name)
    net.first, net.rest = nn.Dense(4), Net().rest
    if first == "parameters":
        net.parameters()
    else:
        net.train(first == "training")(ones(backend, 2, 3))
    fresh = Net().build((3,), seed=5)
    assert list(net.state_dict()) == list(fresh.state_dict())
    for path, values in fresh.state_dict().items():
        np.testing.assert_array_equal(net.state_dict()[path], values)
    assert [p.name for p in net.parameters()] == [p.name for p in fresh.parameters()]
    modules = net.modules().values()
    assert [(m.path, m.seed) for m in modules] == [(m.path, 5) for m in fresh.modules().values()]


def test_replaced_dropouts_drop_independently(backend):
    net = Chain([nn.Dropout(0.5), nn.Dropout(0.5)]).build((4,), device=backend.name).train()
    net.layers = [nn.Dropout(0.5), nn.Dropout(0.5)]
    kept = (net(ones(backend, 4000, 4)).numpy() != 0).mean()
    assert kept == pytest.approx(0.25, abs=0.02)  # 16000 draws: 6 standard deviations


def test_a_part_that_is_called_by_itself_builds_what_was_put_into_it(backend):
    net = Chain([Chain([nn.Dense(4), nn.Dense(4)])]).build((4,), seed=3, device=backend.name)
    part = net.layers[0]
    part.layers = [nn.Dense(4), nn.Dense(4)]
    part(ones(backend, 2, 4))
    assert [layer.path for layer in part.layers] == ["layers.0.layers.0", "layers.0.layers.1"]
    assert {layer.seed for layer in part.layers} == {3}


def insert(layers, at):
    layers.insert(at, nn.Dense(4))


def rotate(layers, at):
    layers.pop(at)
    layers.append(nn.Dense(4))


@pytest.mark.parametrize("change", [insert, rotate])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_layer_at_the_former_place_of_another_gets_weights_of_its_own(backend, change, at):
    net = Chain([nn.Dense(4) for _ in range(3)]).build((4,), device=backend.name)
    drawn = [layer.weight.numpy() for layer in net.layers]
    for _ in range(3):
        before = {layer: layer.weight.numpy() for layer in net.layers}
        change(net.layers, at)
        net(ones(backend, 1, 4))
        for layer in net.layers:
            if layer in before:
                np.testing.assert_array_equal(layer.weight.numpy(), before[layer])
        weights = [layer.weight.numpy().tobytes() for layer in net.layers]
        assert len(set(weights)) == len(weights)
    fresh = Chain([nn.Dense(4) for _ in range(3)]).build((4,))
    for values, layer in zip(drawn, fresh.layers, strict=True):
        np.testing.assert_array_equal(values, layer.weight.numpy())


def test_a_network_of_parts_of_another_draws_new_weights():
    old = nn.Sequential([nn.Flatten(), nn.Dense(4), nn.Dense(4)]).build((4,))
    new = nn.Sequential([old["dense2"], nn.Dense(4)]).build((4,))
    assert (new["dense1"].weight.numpy() != new["dense2"].weight.numpy()).all()


def test_a_forward_that_makes_a_layer_of_its_own():
    """It is built where it is made, as the network does not hold it."""

    class Odd(nn.Module):
        def __init__(self):
            self.head = nn.Dense(2)

        def forward(self, x):
            return self.head(nn.Dense(4)(x))

    net = Odd().build((3,))
    assert net(np.ones((2, 3), np.float32)).shape == (2, 2)
    assert list(net.state_dict()) == ["head.weight", "head.bias"]


def test_a_number_of_inputs_that_forward_does_not_take():
    class Sum(nn.Module):
        def __init__(self):
            self.a = nn.Dense(3)

        def forward(self, x, y):
            return self.a(x) + self.a(y)

    x = np.ones((2, 4), np.float32)
    for call in (
        lambda: Sum().build((4,)),
        lambda: Sum().build((4,), (4,), (4,)),
        lambda: Sum().graph((4,)),
        lambda: Sum()(x),
    ):
        with pytest.raises(SignatureError, match=r"is to be built for [13] input") as caught:
            call()
        assert "it has forward(x" in caught.value.cause
        assert "the shape of each input" in caught.value.fix
    net = Sum().build((4,), (4,))
    assert net(x, x).shape == (2, 3)
