"""LayerGraph: layers and functions by name, as JSON."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
from line_counts import lines_run

from gpucnn import backend, no_grad
from gpucnn import functions as F
from gpucnn.errors import DeviceError, UsageError
from gpucnn.nn import BatchNorm2d, Conv2d, Dense, Flatten, MaxPool2d, ReLU
from gpucnn.nn.layer_graph import FUNCTIONS, LayerGraph, Step
from gpucnn.nn.structure import from_structure, structure


def graph() -> LayerGraph:
    """A block with a connection around it, and a constant."""
    layers = {
        "stem": Conv2d(4, 3, padding="same"),
        "relu": ReLU(),
        "a.conv": Conv2d(4, 3, padding="same"),
        "a.bn": BatchNorm2d(),
        "pool": MaxPool2d(2),
        "flat": Flatten(),
        "head": Dense(3),
    }
    steps = [
        Step("s", "stem", ("input",)),
        Step("r", "relu", ("s",)),
        Step("c", "a.conv", ("r",)),
        Step("n", "a.bn", ("c",)),
        Step("sum", "F.add", ("n", "r")),
        Step("k", "F.mul", ("sum", "scale")),
        Step("m", "pool", ("k",)),
        Step("f", "flat", ("m",)),
        Step("y", "head", ("f",)),
    ]
    return LayerGraph(layers, steps, {"scale": (4, 1, 1)}, name="net")


@pytest.mark.parametrize("device", ["cpu", "sim"])
def test_it_computes_its_steps(device: str, rng: np.random.Generator) -> None:
    try:
        net = graph().build((2, 6, 4), device=device).eval()
    except DeviceError as error:
        pytest.skip(str(error))
    net.load_state_dict({**net.state_dict(), "scale": np.arange(4.0).reshape(4, 1, 1)})
    x = backend.get(device).asarray(rng.normal(size=(3, 2, 6, 4)).astype(np.float32))
    with no_grad():
        r = F.relu(net["stem"](x))
        y = (net["a.bn"](net["a.conv"](r)) + r) * net.scale
        expected = net["head"](F.flatten(F.max_pool2d(y, 2)))
        found = net(x)
    assert found.numpy().tobytes() == expected.numpy().tobytes()


def test_paths_are_the_names_of_the_layers() -> None:
    net = graph().build((2, 6, 4))
    assert list(net.state_dict()) == [
        "stem.weight", "stem.bias", "a.conv.weight", "a.conv.bias", "a.bn.gamma", "a.bn.beta",
        "head.weight", "head.bias", "scale", "a.bn.running_mean", "a.bn.running_var",
    ]  # fmt: skip
    assert [layer.path for layer in net.not_kept()] == ["relu"]
    assert repr(net).startswith("LayerGraph(\n  (stem): Conv2d(4, 3, padding='same')\n")


def test_an_observer_sees_every_layer_and_the_same_numbers(rng: np.random.Generator) -> None:
    net = graph().build((2, 6, 4)).eval()
    x, seen = rng.normal(size=(2, 2, 6, 4)).astype(np.float32), []
    with no_grad():
        expected = net(x).numpy()
        with net.observe(lambda layer, inputs, output: seen.append(layer.path)):
            found = net(x).numpy()
    assert seen == ["stem", "relu", "a.conv", "a.bn", "pool", "flat", "head", ""]
    assert found.tobytes() == expected.tobytes()


def test_gradients_reach_every_parameter_and_no_constant(rng: np.random.Generator) -> None:
    net = graph().build((2, 6, 4))
    net.scale[...] = 1
    net(rng.normal(size=(2, 2, 6, 4)).astype(np.float32)).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    assert "scale" not in dict(net.named_parameters())


def test_it_comes_back_from_json(rng: np.random.Generator) -> None:
    net = graph().build((2, 6, 4))
    net["stem"].freeze()
    again = from_structure(json.loads(json.dumps(structure(net)))).build((2, 6, 4))
    again.load_state_dict(net.state_dict())
    assert again.name == "net"
    assert again["stem"].frozen
    x = rng.normal(size=(2, 2, 6, 4)).astype(np.float32)
    assert again(x).numpy().tobytes() == net(x).numpy().tobytes()


def test_a_layer_that_is_called_twice_stays_one() -> None:
    steps = [Step("a", "d", ("input",)), Step("y", "d", ("a",))]
    net = LayerGraph({"d": Dense(3)}, steps).build((3,))
    assert net.num_parameters == 12
    assert from_structure(structure(net)).build((3,)).num_parameters == 12


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([], "without steps"),
        ([Step("y", "d", ("z",))], "takes 'z'"),
        ([Step("y", "d", ("y",))], "takes 'y'"),
        ([Step("y", "d", ("input",)), Step("y", "d", ("y",))], "two steps give 'y'"),
        ([Step("input", "d", ("input",))], "two steps give 'input'"),
        ([Step("y", "e", ("input",))], "unknown layer 'e'"),
        ([Step("y", "F.eval", ("input",))], "unknown function 'eval'"),
        ([Step("y", "d", ("input", "input"))], "a layer takes one input"),
    ],
)
def test_steps_that_are_wrong(steps: list[Step], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        LayerGraph({"d": Dense(3)}, steps)


def test_a_layer_that_there_is_not() -> None:
    with pytest.raises(UsageError, match="unknown layer 'stem1'"):
        graph()["stem1"]


#: Options of each function, and its formula.
CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "concat": ({"axis": 2}, lambda x, y: np.concatenate([x, y], 2)),
    "reshape": ({"sizes": [0, 6, -1]}, lambda x: x.reshape(len(x), 6, -1)),
    "slices": ({"ends": [[None, None, None], [2, None, -1]]}, lambda x: x[:, 2::-1]),
    "take": ({"axis": 1, "where": [2, 0]}, lambda x: x[:, [2, 0]]),
    "transpose": ({"axes": [0, 2, 1]}, lambda x: x.transpose(0, 2, 1)),
    "max": ({"axis": [1], "keepdims": True}, lambda x: x.max(1, keepdims=True)),
    "clip": ({"low": -0.5, "high": None}, lambda x: np.maximum(x, -0.5)),
    "power": ({"exponent": 2.0}, lambda x: x**2),
    "sub": ({}, lambda x, y: x - y),
}


@pytest.mark.parametrize("name", CASES)
def test_functions(name: str, rng: np.random.Generator) -> None:
    options, formula = CASES[name]
    assert name in FUNCTIONS
    count = formula.__code__.co_argcount
    x = rng.normal(size=(5, 3, 4)).astype(np.float32)
    steps = [
        Step("n", "F.neg", ("input",)),
        Step("y", f"F.{name}", ("n", "input")[:count], options),
    ]
    net = from_structure(json.loads(json.dumps(structure(LayerGraph({}, steps))))).build((3, 4))
    expected = formula(-x, x) if count == 2 else formula(-x)
    assert np.array_equal(net(x).numpy(), expected)


def test_an_empty_batch_goes_through() -> None:
    steps = [Step("y", "F.reshape", ("input",), {"sizes": [0, -1]})]
    with pytest.raises(Exception, match="reshape"):
        LayerGraph({}, steps).build((3, 4))(np.zeros((0, 3, 4), np.float32))
    net = LayerGraph({}, [Step("y", "F.reshape", ("input",), {"sizes": [0, 12]})]).build((3, 4))
    assert net(np.zeros((0, 3, 4), np.float32)).shape == (0, 12)


def test_the_time_to_connect_the_steps_is_linear_in_them() -> None:
    def steps(count: int) -> list[Step]:
        names = ["input", *(f"t{k}" for k in range(count))]
        return [Step(after, "F.neg", (before,)) for before, after in itertools.pairwise(names)]

    few, many = steps(50), steps(500)
    assert lines_run(lambda: LayerGraph({}, many)) < 15 * lines_run(lambda: LayerGraph({}, few))
