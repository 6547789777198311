"""Networks in ONNX files give the same numbers in onnxruntime."""

from __future__ import annotations

import importlib
import json
from typing import Any

import numpy as np
import pytest
from onnx_cases import IMAGE, LAYERS, OPERATIONS, Own, case_id, own

from gpucnn import Tensor, data, no_grad, onnx
from gpucnn import functions as F
from gpucnn.autograd import Function
from gpucnn.errors import (
    DeviceError,
    GraphError,
    MissingExtraError,
    StorageError,
    UsageError,
    VerificationError,
)
from gpucnn.keras import Sequential as KerasSequential
from gpucnn.keras import layers as keras
from gpucnn.nn import (
    BatchNorm2d,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    Module,
    Residual,
    Sequential,
)  # fmt: skip
from gpucnn.nn import __all__ as NAMES
from gpucnn.onnx.translations import TRANSLATIONS
from gpucnn.training import SavedModel


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=case_id)
def test_layer(exported: Any, layer: Module, shape: tuple[int, ...]) -> None:
    exported(layer, shape)


def test_every_layer_is_in_the_list() -> None:
    seen = {type(module).__name__ for layer, _ in LAYERS for module in layer.modules()}
    assert seen == set(NAMES) - {"Module", "Parameter"}


@pytest.mark.parametrize(("about", "function"), OPERATIONS, ids=case_id)
def test_operation(exported: Any, about: str, function: Any) -> None:
    exported(own(function), (3, 6))


def test_every_function_has_a_translation_but_those_of_training() -> None:
    modules = ("activation", "arithmetic", "convolution", "elementwise", "loss", "normalization")
    found = {
        value
        for name in (*modules, "pooling", "reduction", "shaping")
        for value in vars(importlib.import_module(f"gpucnn.functions.{name}")).values()
        if isinstance(value, type) and issubclass(value, Function) and value is not Function
    }
    without = {each.__name__ for each in found - set(TRANSLATIONS) if each.__name__[0] != "_"}
    assert without == {
        "BatchNorm", "BinaryCrossEntropyWithLogits", "Dropout", "SoftmaxCrossEntropy",
        "SoftmaxCrossEntropySoft", "SquaredError",
    }  # fmt: skip


def test_every_translation_is_tested(exported: Any) -> None:
    """By the operations in the files of the tests above."""
    seen: set[type] = set()
    for module, shape in LAYERS:
        seen |= _functions(module.build(shape, channels_first=True), shape)
    for _, function in OPERATIONS:
        seen |= _functions(own(function).build((3, 6)), (3, 6))
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


def test_frozen_layers_and_those_of_keras(exported: Any) -> None:
    model = KerasSequential(
        [
            keras.Conv2D(4, 3, activation="relu", input_shape=(1, 8, 8)),
            keras.BatchNormalization(),
            keras.MaxPooling2D(2),
            keras.Flatten(),
            keras.Dense(3, activation="softmax"),
        ]
    )
    names = {array.name for array in exported(model, (1, 8, 8)).graph.initializer}
    assert names == {array.name for array in exported(model.freeze(), (1, 8, 8)).graph.initializer}
    assert names == set(model.state_dict())


def test_a_network_on_another_device(tmp_path: Any) -> None:
    try:
        net = Sequential([Conv2d(4, 3), BatchNorm2d(), Flatten(), Dense(3)]).build(
            (1, 6, 6), device="sim"
        )
    except DeviceError as error:
        pytest.skip(str(error))
    assert onnx.check(net, onnx.export(net, tmp_path / "a.onnx")).difference < 1e-5
    assert onnx.load(tmp_path / "a.onnx", device="sim").device == "sim"


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


def without_record(x: Tensor) -> Tensor:
    with no_grad():
        return x * 2


#: What Python reads of the images, and what the error says of it.
READS: list[tuple[Any, str]] = [
    (lambda net, x: x.mean().item() > 0, "item of Mean"),
    (lambda net, x: x.mean() > 0, "the truth value of a comparison"),
    (lambda net, x: (x > -5).all(), "the truth value of a comparison"),
    (lambda net, x: float(net.dense(x).sum()) > 0, "float of Sum"),
    (lambda net, x: int(x[0, 0] * 9) > 2, "int of Mul"),
    (lambda net, x: [1, 2, 3, 4, 5, 6, 7][x[0].argmax()], "numpy of a comparison or the like"),
    (lambda net, x: x.numpy().max() > 3, "numpy of input"),
    (lambda net, x: x.detach().numpy().max() > 3, "numpy of input"),
    (lambda net, x: without_record(x).max().item() > 0, "item of a comparison or the like"),
    (lambda net, x: (x > 0.5).numpy().any(), "numpy of a comparison"),
]


@pytest.mark.parametrize(("reads", "says"), READS)
def test_python_does_not_decide_by_the_images(tmp_path: Any, reads: Any, says: str) -> None:
    net = Own(lambda net, x: net.dense(x) if reads(net, x) else -net.dense(x)).build((6,))
    with pytest.raises(GraphError, match=says):
        onnx.export(net, tmp_path / "no.onnx")
    net(np.zeros((2, 6), np.float32))  # outside of an export it may


def test_python_may_decide_by_the_weights(tmp_path: Any) -> None:
    def forward(net: Any, x: Tensor) -> Tensor:
        repr(x), f"{x}"  # as in print
        scale = net.square.numpy().max() + (net.square > 0).numpy().mean()
        return net.dense(x) if float((net.square * 2).sum()) > scale * 1e6 else -net.dense(x)

    net = Own(forward).build((6,), seed=1)
    done = onnx.export(net, tmp_path / "a.onnx")
    assert onnx.check(net, done).difference < 1e-4


def test_a_difference_of_own_code_is_no_bug_of_gpucnn(tmp_path: Any) -> None:
    for net, says in (
        (
            Own(lambda net, x: net.dense(x) * (2 if len(x) < 30 else 3)),
            "compute with Tensors in forward",
        ),
        (Sequential([Dense(3)]), "a bug of gpucnn"),
    ):
        done = onnx.export(net.build((6,)), tmp_path / "a.onnx")
        if isinstance(net, Sequential):
            net[0].weight.data += 1
        with pytest.raises(VerificationError) as error:
            onnx.check(net, done)
        assert says in str(error.value.fix)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda net, x: Cube()(net.dense(x)), "Cube in forward"),
        (lambda net, x: F.dropout(net.dense(x), 0.5, key=(1, 2), step=0), "Dropout in forward"),
        (lambda net, x: net.dense(x)[net.dense(x).data > 0], "indexed by bools"),
        (lambda net, x: net.dense(x) * (x > 0.5).data.astype("f"), "operation Mul takes"),
        (lambda net, x: net.dense(x) / len(x), "operation Div takes"),
        (lambda net, x: net.dense(x)[: len(x) // 2], "operation Slice takes"),
        (lambda net, x: net.dense(x).sum(), "first axis"),
        (lambda net, x: net.dense(x).T, "first axis"),
        (lambda net, x: net.dense(x).reshape(-1, 3), "first axis"),
        (lambda net, x: net.dense(x) @ net.dense(x).T, "no other may depend"),
        (lambda net, x: net.dense(x)[:, [0, 1], None][:, [0], [0]], "several arrays"),
        (lambda net, x: net.dense(x)[:, np.arange(6) > 2], "bools"),
        (lambda net, x: net.dense(Tensor(x.data)), "not computed from its input"),
        (lambda net, x: (net.dense(x), x), "returns a tuple"),
        (lambda net, x: net.dense(x) if len(x) < 6 else -net.dense(x), "other operations"),
        (lambda net, x: net.dense(x) if x.shape[0] > 1 else net.dense(-x), "other operations"),
        (lambda net, x: net.dense(x) * (2 if len(x) > 1 else 3), "operation Mul takes"),
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
    for path in (".", tmp_path):
        with pytest.raises(UsageError, match="names no file"):
            onnx.export(net, path)
    with pytest.raises(UsageError, match="the path is a int"):
        onnx.export(net, 3)  # type: ignore[arg-type]
    with no_grad(), pytest.raises(GraphError, match="records no operations"):
        onnx.export(net, tmp_path / "a.onnx")
    with pytest.raises(StorageError):
        onnx.export(net, tmp_path / "none" / "a.onnx")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="onnx") as error:
        onnx.export(net, tmp_path / "a.onnx")
    assert error.value.fix == 'pip install "gpucnn[onnx]"'


def test_check_finds_a_difference(tmp_path: Any) -> None:
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


@pytest.mark.slow
def test_labels_of_all_test_digits_are_those_of_predict(
    tmp_path: Any, compute: Any, train: Any
) -> None:
    saved = train("--epochs", "5")
    images = data.load("digits").test.images  # type: ignore[union-attr]
    onnx.export(saved, tmp_path / "a.onnx", with_preprocessing=True, probabilities=True)
    found, expected = compute(tmp_path / "a.onnx", images), saved.predict(images)
    assert len(images) == 360
    assert np.array_equal(found.argmax(axis=1), expected.argmax(axis=1))
    assert np.abs(found - expected).max() < 1e-5
    onnx.convert(tmp_path / "a.onnx", tmp_path / "a.safetensors")
    assert (
        SavedModel.load(tmp_path / "a.safetensors").predict(images).tobytes() == expected.tobytes()
    )
