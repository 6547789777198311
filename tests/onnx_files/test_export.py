"""Networks in ONNX files give the same numbers in onnxruntime."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from gpucnn import Tensor, no_grad, onnx
from gpucnn import functions as F
from gpucnn.autograd import Function
from gpucnn.errors import GraphError, MissingExtraError, StorageError, UsageError
from gpucnn.keras import layers as keras
from gpucnn.nn import (
    GELU,
    Activation,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSoftmax,
    MaxPool2d,
    Module,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)  # fmt: skip
from gpucnn.nn import __all__ as NAMES
from gpucnn.onnx.translations import TRANSLATIONS

IMAGE, ROW = (4, 9, 7), (6,)

#: Each layer with each kind of option, and the shape of its input.
LAYERS: list[tuple[Module, tuple[int, ...]]] = [
    (Conv2d(6, 3), IMAGE),
    (Conv2d(6, (3, 2), stride=(2, 1), padding=(1, 0), activation="relu"), IMAGE),
    (Conv2d(6, 4, padding="same", stride=2, use_bias=False), IMAGE),
    (Conv2d(6, 3, padding="same", dilation=2), IMAGE),
    (Conv2d(8, 3, groups=4, padding=((0, 2), (1, 0)), activation="tanh"), IMAGE),
    (Conv2d(4, 1, groups=2, padding="valid"), IMAGE),
    (Dense(5, "sigmoid"), ROW),
    (Dense(5, "relu", use_bias=False), ROW),
    (Linear(6, 3), ROW),
    (MaxPool2d(2), IMAGE),
    (MaxPool2d(3, 2, padding=1), IMAGE),
    (MaxPool2d((3, 2), (1, 2), padding="same"), IMAGE),
    (AvgPool2d(2), IMAGE),
    (AvgPool2d(3, 2, padding=1), IMAGE),
    (AvgPool2d(3, 2, padding=1, count_include_pad=False), IMAGE),
    (AvgPool2d(4, 3, padding="same"), IMAGE),
    (AvgPool2d(4, 3, padding="same", count_include_pad=True), IMAGE),
    (AvgPool2d(3, 1, padding=((0, 2), (1, 0))), IMAGE),
    (GlobalAvgPool2d(), IMAGE),
    (BatchNorm2d(eps=1e-3), IMAGE),
    (LayerNorm(eps=1e-3), IMAGE),
    (LayerNorm(), ROW),
    (Dropout(0.5), ROW),
    (Flatten(), IMAGE),
    (Flatten(), ROW),
    (Activation("linear"), ROW),
    (ReLU(), IMAGE),
    (LeakyReLU(0.2), IMAGE),
    (GELU(), IMAGE),
    (Tanh(), IMAGE),
    (Sigmoid(), ROW),
    (Softmax(), ROW),
    (LogSoftmax(), IMAGE),
    (Residual(Conv2d(4, 3, padding="same"), BatchNorm2d(), ReLU()), IMAGE),
    (Residual(Conv2d(5, 1, stride=2), shortcut=Conv2d(5, 1, stride=2, use_bias=False)), IMAGE),
    (Sequential([Conv2d(6, 3), ReLU(), MaxPool2d(2), Flatten(), Dense(3)]), IMAGE),
    (Sequential([keras.Conv2D(6, 3, padding="same"), keras.BatchNormalization()]), IMAGE),
    (Sequential([keras.AveragePooling2D(2, padding="same"), keras.LeakyReLU()]), IMAGE),
]


def _id(value: object) -> str:
    return repr(value).replace("\n", " ")[:60] if isinstance(value, Module) else ""


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=_id)
def test_layer(exported: Any, layer: Module, shape: tuple[int, ...]) -> None:
    exported(layer, shape)


def test_every_layer_is_in_the_list() -> None:
    seen = {type(module).__name__ for layer, _ in LAYERS for module in layer.modules()}
    assert seen == set(NAMES) - {"Module", "Parameter"}


class Own(Module):
    """A network of one's own: `forward` is a function, and there are parameters to use in it."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function
        self.dense = Dense(6)

    def create(self, *shapes: tuple[int, ...]) -> None:
        self.gain = self.new_parameter("gain", (3, 1), "glorot_uniform")
        self.square = self.new_parameter("square", (6, 6), "glorot_uniform")

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(self, *inputs)


#: Functions and operators of Tensors; x is (N, 3, 6).
OPERATIONS: list[tuple[str, Any]] = [
    ("x * gain + 1", lambda net, x: x * net.gain + 1),
    ("2 - x / 3", lambda net, x: 2 - x / 3),
    ("1 / (x * x + 1)", lambda net, x: 1 / (x * x + 1)),
    ("-abs(x) ** 3", lambda net, x: -(abs(x) ** 3)),
    ("powers", lambda net, x: (x**2 + 1) ** -0.5 + x**0),
    ("exp, sin, cos", lambda net, x: (x.exp() * 0.1 + F.sin(x)) * F.cos(x)),
    ("log, sqrt", lambda net, x: (x * x + 1).log() + (x * x + 1).sqrt()),
    ("maximum, minimum", lambda net, x: F.minimum(F.maximum(x, net.gain), 0.5)),
    ("clip", lambda net, x: F.clip(x, -0.5, 0.75) + F.clip(x, low=0) + F.clip(x, high=0)),
    ("sums", lambda net, x: x.sum(axis=2) + x.mean(axis=(1, 2), keepdims=True)[:, 0]),
    ("extremes", lambda net, x: x.max(axis=-1) - x.min(axis=2, keepdims=True)[..., 0]),
    ("total", lambda net, x: x * x.mean() + x.sum(axis=0)),
    ("transpose", lambda net, x: x.transpose(0, 2, 1).reshape(-1, 18)),
    ("matmul", lambda net, x: (x.reshape(-1, 6) @ net.square.T @ net.square).reshape(x.shape)),
    ("a dense layer at each place", lambda net, x: net.dense(x.reshape(-1, 6)).reshape(-1, 3, 6)),
    ("reshape by len", lambda net, x: x.reshape(len(x), 2, 9)),
    ("reshape with the batch last", lambda net, x: x.transpose(1, 2, 0).reshape(9, 2, -1).T),
    ("softmax over axis 1", lambda net, x: F.softmax(x, axis=1) + F.log_softmax(x, axis=-2)),
    (
        "layer norm",
        lambda net, x: F.layer_norm(x, net.gain[:2, 0].mean() * np.ones(6, "f"), net.square[0]),
    ),
    ("slices", lambda net, x: x[:, 1:, ::2] + x[:, :2, -1:-6:-2]),
    ("integers", lambda net, x: x[:, 1] + x[:, -1, 0][:, None]),
    ("ellipsis and new axes", lambda net, x: x[..., None, 1:3][:, :, 0] + x[:, None, 0, :2]),
    ("an array of integers", lambda net, x: x[:, [2, 0, 2]] * x[:, :, np.array([5])]),
    ("the first image", lambda net, x: x - x[0]),
    ("concat", lambda net, x: F.concat([x, x * 2, net.gain * x[:, :, :1]], axis=2)),
    ("stack", lambda net, x: F.stack([x, -x], axis=1)),
    ("relu, gelu, tanh", lambda net, x: F.relu(x) + F.gelu(x) * F.tanh(x)),
    ("leaky relu, sigmoid", lambda net, x: F.leaky_relu(x, 0.3) * F.sigmoid(x)),
    ("linear", lambda net, x: F.linear(x[:, 0], net.square, activation="relu")),
    ("reshape to twice the batch", lambda net, x: (x.reshape(-1, 9) * 2).reshape(-1, 2, 9)),
    (
        "a fused convolution",
        lambda net, x: F.conv2d(
            x.reshape(-1, 1, 3, 6),
            net.square[:4, None, :2, None],
            activation="relu",
            pool=(2, 1, "valid"),
        ),
    ),
    ("the same layer twice", lambda net, x: net.dense(net.dense(x[:, 0]))),
    ("an unused input", lambda net, x: x + 0 * net.dense(x[:, 0])[:, None]),
    (
        "a frozen statistic",
        lambda net, x: F.batch_norm_inference(
            x, net.gain[:, 0], net.gain[:, 0], np.ones(3, "f"), np.full(3, 2, "f")
        ),
    ),
]


@pytest.mark.parametrize(
    ("name", "function"), OPERATIONS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_operation(exported: Any, name: str, function: Any) -> None:
    net = Own(function)
    if "dense" not in function.__code__.co_names:
        del net.dense
    exported(net, (3, 6))


def test_every_translation_is_tested(exported: Any) -> None:
    """By the operations in the files of the tests above."""
    seen: set[type] = set()
    for module, shape in LAYERS:
        seen |= _functions(module.build(shape, channels_first=True), shape)
    for _, function in OPERATIONS:
        net = Own(function)
        if "dense" not in function.__code__.co_names:
            del net.dense
        seen |= _functions(net.build((3, 6)), (3, 6))
    assert set(TRANSLATIONS) - {BatchNorm2d} <= seen


def _functions(model: Module, shape: tuple[int, ...]) -> set[type]:
    from gpucnn.graph import ordered

    with model.evaluating():
        output = model(Tensor(np.ones((2, *shape), np.float32), requires_grad=True))
    tensors = ordered(output, lambda t: t.creator.inputs if t.creator else ())
    return {type(tensor.creator) for tensor in tensors}


def test_several_inputs(exported: Any) -> None:
    class Two(Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = Dense(3)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.dense(x) * y

    content = exported(Two(), (4,), (3,))
    assert [port.name for port in content.graph.input] == ["input1", "input2"]


def test_names_and_versions(exported: Any) -> None:
    net = Sequential(
        [Conv2d(4, 3, use_bias=False), BatchNorm2d(), Residual(Conv2d(4, 3, padding="same"))]
    )
    content = exported(net, IMAGE)
    assert {array.name for array in content.graph.initializer} == set(net.state_dict())
    assert [node.op_type for node in content.graph.node] == [
        "Conv", "BatchNormalization", "Conv", "Add"
    ]  # fmt: skip
    assert content.graph.node[2].name == "residual1.body.conv1/Conv"
    assert content.ir_version == 9
    assert [(each.domain, each.version) for each in content.opset_import] == [("", 20)]
    (port,) = content.graph.output
    assert [d.dim_param or d.dim_value for d in port.type.tensor_type.shape.dim] == [
        "batch",
        4,
        7,
        5,
    ]


def test_weights_are_bit_for_bit_those_of_the_network(exported: Any) -> None:
    from onnx import numpy_helper

    net = Sequential([Conv2d(4, 3), BatchNorm2d(), Flatten(), Dense(3)])
    content = exported(net, IMAGE)
    found = {array.name: numpy_helper.to_array(array) for array in content.graph.initializer}
    for path, array in net.state_dict().items():
        assert found[path].tobytes() == array.tobytes()


def test_a_file_is_a_function_of_the_network(tmp_path: Any) -> None:
    net = Sequential([Dense(3)]).build((4,), seed=5)
    for name in ("a.onnx", "b.onnx"):
        onnx.export(net, tmp_path / name)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_training_mode_and_graphs_are_left_as_they_are(tmp_path: Any) -> None:
    net = Sequential([Dropout(0.5), Dense(3), BatchNormOfRows()]).build((4,))
    before = net.state_dict()
    onnx.export(net, tmp_path / "a.onnx")
    assert net.training
    assert all(np.array_equal(before[path], array) for path, array in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())


class BatchNormOfRows(Module):
    """Batch norm of rows (N, C), as images of one pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = BatchNorm2d()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.reshape(-1, x.shape[1], 1, 1)).reshape(-1, x.shape[1])


class Cube(Function):
    def forward(self, x: Any) -> Any:
        return x**3

    def backward(self, g: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda net, x: Cube()(net.dense(x)), "Cube in forward"),
        (lambda net, x: F.dropout(net.dense(x), 0.5, key=(1, 2), step=0), "Dropout in forward"),
        (lambda net, x: net.dense(x)[net.dense(x).numpy() > 0], "indexed by bools"),
        (lambda net, x: net.dense(x) * (x > 0.5).numpy().astype("f"), "operation Mul takes"),
        (lambda net, x: net.dense(x) / len(x), "operation Div takes"),
        (lambda net, x: net.dense(x)[: len(x) // 2], "operation Slice takes"),
        (lambda net, x: net.dense(x).sum(), "first axis"),
        (lambda net, x: net.dense(x).T, "first axis"),
        (lambda net, x: net.dense(x).reshape(-1, 3), "first axis"),
        (lambda net, x: net.dense(x) @ net.dense(x).T, "no other may depend"),
        (lambda net, x: net.dense(x)[:, [0, 1], None][:, [0], [0]], "several arrays"),
        (lambda net, x: net.dense(x)[:, np.arange(6) > 2], "bools"),
        (lambda net, x: net.dense(Tensor(x.numpy())), "not computed from its input"),
        (lambda net, x: (net.dense(x), x), "returns a tuple"),
        (lambda net, x: net.dense(x) if len(x) < 6 else -net.dense(x), "other operations"),
    ],
)
def test_what_cannot_be_written_is_named(tmp_path: Any, function: Any, says: str) -> None:
    net = Own(function).build((6,))
    path = tmp_path / "no.onnx"
    with pytest.raises(GraphError, match=says):
        onnx.export(net, path)
    assert not path.exists()


def test_refusals(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Sequential([Dense(3)])
    with pytest.raises(UsageError, match="not built"):
        onnx.export(net, tmp_path / "a.onnx")
    net.build((4,))
    with pytest.raises(UsageError, match="probabilities needs a SavedModel"):
        onnx.export(net, tmp_path / "a.onnx", probabilities=True)
    with pytest.raises(UsageError, match="the model is a str"):
        onnx.export("runs/train-1", tmp_path / "a.onnx")
    with no_grad(), pytest.raises(GraphError, match="records no operations"):
        onnx.export(net, tmp_path / "a.onnx")
    with pytest.raises(StorageError):
        onnx.export(net, tmp_path / "none" / "a.onnx")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="onnx") as error:
        onnx.export(net, tmp_path / "a.onnx")
    assert error.value.fix == 'pip install "gpucnn[onnx]"'


def test_check_finds_a_difference(tmp_path: Any) -> None:
    from gpucnn.errors import VerificationError

    net = Sequential([Dense(3)]).build((4,))
    done = onnx.export(net, tmp_path / "a.onnx")
    found = onnx.check(net, done)
    assert (found.samples, found.difference < 1e-6) == (68, True)
    net.parameters()[0].data[0, 0] += 0.01
    with pytest.raises(VerificationError, match="other outputs"):
        onnx.check(net, done)


def test_metadata_are_json(trained: Any, tmp_path: Any) -> None:
    import onnx as packaged

    onnx.export(trained, tmp_path / "a.onnx")
    content = packaged.load(tmp_path / "a.onnx")
    found = {entry.key: json.loads(entry.value) for entry in content.metadata_props}
    assert found["image_shape"] == list(trained.image_shape)
    assert found["class_names"] == trained.class_names
    assert (found["scale"], found["offset"]) == (1 / 255, 0.0)
    assert found["loss"] == trained.config.loss
    assert found["reading"] == json.loads(json.dumps(trained.description.reading.as_dict()))
