"""Networks of ONNX files: those that gpucnn wrote, and small ones made by hand."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from line_counts import lines_run
from onnx_cases import LAYERS, OPERATIONS, case_id, own, vary
from onnx_graphs import DENSE, FILES, REFUSED, R, W, chain, file, helper, node, packaged

from gpucnn import models, no_grad, onnx
from gpucnn.errors import DataError, GpucnnError
from gpucnn.nn import Module, ReLU
from gpucnn.onnx import reading
from gpucnn.onnx.building import Builder, Result
from gpucnn.onnx.constants import CONSTANTS
from gpucnn.onnx.operations import OPERATIONS as READABLE
from gpucnn.onnx.sizes import ONE

RELU: tuple[str, list[str], dict[str, Any]] = ("Relu", [], {})

#: Networks that compute nothing, or that read a single image: no layer stands for them.
UNREADABLE = {"Dropout(0.5)", "Activation('linear')", "the first image", "layer norm"}
CASES = [(layer, shape) for layer, shape in LAYERS if case_id(layer) not in UNREADABLE]
CASES += [(own(f), (3, 6)) for about, f in OPERATIONS if about not in UNREADABLE]
CASES += [(models.get(name), (1, 28, 28)) for name in models.NAMES]


@pytest.mark.parametrize(("net", "shape"), CASES, ids=case_id)
def test_what_was_exported_comes_back_bit_for_bit(
    tmp_path: Path, rng: np.random.Generator, net: Module, shape: tuple[int, ...]
) -> None:
    net.build(shape, channels_first=True)
    vary(net, rng)
    onnx.export(net, tmp_path / "a.onnx")
    again = onnx.load(tmp_path / "a.onnx")
    x = rng.normal(size=(5, *shape)).astype(np.float32)
    with no_grad(), net.evaluating():
        assert again(x).numpy().tobytes() == net(x).numpy().tobytes()
    if len(net.children()) > 1:  # a layer alone has no name, and a parameter of one's own no layer
        kept = again.state_dict()
        for path, array in net.state_dict().items():
            assert kept[path].tobytes() == array.tobytes()


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    """The layers keep their names, and run folded as in a Sequential."""
    onnx.export(models.get("lenet").build((1, 28, 28)), tmp_path / "a.onnx")
    net = onnx.load(tmp_path / "a.onnx")
    assert not net.training
    assert list(net.named_children()) == list(net.named_children())
    assert [name for name, _ in net.named_children()] == [
        "conv1",
        "relu1",
        "pool1",
        "conv2",
        "relu2",
        "pool2",
        "flatten1",
        "dense1",
        "relu3",
        "dense2",
        "relu4",
        "dense3",
    ]
    assert [layer.path for layer in net.not_kept()] == [
        "conv1",
        "relu1",
        "conv2",
        "relu2",
        "relu3",
        "relu4",
    ]


@pytest.mark.parametrize("about", FILES)
def test_file(tmp_path: Path, compute: Any, rng: np.random.Generator, about: str) -> None:
    nodes, arguments = FILES[about]
    path = file(tmp_path / "a.onnx", nodes, **arguments)
    net = onnx.load(path)
    first, *shape = arguments.get("shape", ("n", 2, 6, 5))
    for batch in (1, 5) if first == "n" else (1,):
        x = rng.normal(size=(batch, *shape)).astype(np.float32)
        x = rng.integers(0, 256, x.shape, np.uint8) if "dtype" in arguments else x
        with no_grad():
            found = net(x).numpy()
            assert net(x.astype(np.float32)).numpy().tobytes() == found.tobytes()
        expected = compute(path, x)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= 1e-5 * max(1, np.abs(expected).max())


def test_every_operation_is_tested() -> None:
    seen = {node.op_type for nodes, _ in FILES.values() for node in nodes}
    assert set(READABLE) | set(CONSTANTS) | {"Constant"} == seen


def test_layers_are_named_by_their_weights(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x", "features.0.weight", "features.0.bias", to="a"),
        node("Conv", "a", "onnx::Conv_7", to="b"),
        node("Flatten", "b", to="c"),
        node("Gemm", "c", "head.weight", transB=1),
    ]
    arrays = {
        "features__0__weight": W,
        "features__0__bias": np.ones(4),
        "onnx::Conv_7": W[:, :1].repeat(4, 1),
    }
    net = onnx.load(file(tmp_path / "a.onnx", nodes, head__weight=R.normal(size=(3, 24)), **arrays))
    assert list(net.state_dict()) == [
        "features.0.weight",
        "features.0.bias",
        "conv1.weight",
        "head.weight",
    ]
    assert net["features.0"].path == "features.0"


def test_weights_that_are_used_twice_are_one_layer(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x", "w", to="a"), node("Tanh", "a", to="b"), node("MatMul", "b", "w")]
    net = onnx.load(file(tmp_path / "a.onnx", nodes, shape=("n", 3), w=DENSE[:3]))
    assert [step.call for step in net.steps] == ["dense1", "tanh1", "dense1"]
    assert net.num_parameters == 9


def test_what_was_read_can_be_trained(tmp_path: Path, rng: np.random.Generator) -> None:
    net = onnx.load(
        file(tmp_path / "a.onnx", FILES["batch norm"][0], **FILES["batch norm"][1])
    ).train()
    before = net.state_dict()
    x = rng.normal(size=(8, 2, 6, 5)).astype(np.float32)
    (net(x) * net(x)).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    assert not np.array_equal(
        net.state_dict()["batchnorm1.running_mean"], before["batchnorm1.running_mean"]
    )


@pytest.mark.parametrize(("nodes", "says", "arguments"), REFUSED, ids=case_id)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, nodes: list[Any], says: str, arguments: dict[str, Any]
) -> None:
    path = file(tmp_path / "a.onnx", nodes, **arguments)
    with pytest.raises(DataError, match=says) as error:
        onnx.load(path)
    assert error.value.fix
    assert "cut short" not in error.value.fix or says == "no node gives its output 'y'"
    assert error.value.exit_code == 4


def test_arrays_that_grow_without_end_are_refused(tmp_path: Path) -> None:
    names = [f"c{k}" for k in range(40)]
    for inputs, arguments in ((["w"], {"w": [1.0, 2.0]}), (["x"], {})):
        steps = [*inputs, *names, "y"]
        nodes = [
            node("Concat", a, a, to=b, axis=len(arguments) - 1)
            for a, b in itertools.pairwise(steps)
        ]
        with pytest.raises(DataError, match=r"more than|numbers for one image"):
            onnx.load(file(tmp_path / "a.onnx", nodes, **arguments))


def test_a_file_of_very_many_nodes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_MOST_NODES", 20)
    assert len(onnx.load(file(tmp_path / "a.onnx", chain(*[RELU] * 20))).steps) == 20
    with pytest.raises(DataError, match="21 nodes") as error:
        onnx.load(file(tmp_path / "b.onnx", chain(*[RELU] * 21)))
    assert "at most 20" in str(error.value.cause)


def test_the_time_to_add_a_layer_does_not_depend_on_how_many_there_are() -> None:
    def add(count: int) -> None:
        for _ in range(count):
            builder.layer(ReLU(), Result("input", (ONE, 2)), (ONE, 2))

    builder = Builder(20)
    first = lines_run(lambda: add(50))
    add(400)
    assert lines_run(lambda: add(50)) < 1.5 * first
    assert list(builder.layers) == [f"relu{k}" for k in range(1, 501)]


def test_the_number_of_a_layer_is_not_the_name_of_another(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", to="a"), node("Conv", "a", "relu2.weight", to="b")]
    nodes += [node("Relu", "b", to="c"), node("Relu", "c")]
    path = file(tmp_path / "a.onnx", nodes, relu2__weight=W)
    assert list(dict(onnx.load(path).named_children())) == ["relu1", "relu2", "relu3", "relu4"]


def test_weights_in_other_files_are_never_read(tmp_path: Path) -> None:
    path = file(tmp_path / "a.onnx", [node("Conv", "x", "w")], w=np.zeros((64, 2, 3, 3)))
    model = packaged.load(path)
    packaged.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(DataError, match="in another file") as error:
        onnx.load(path)
    assert "external_data=False" in str(error.value.fix)
    packaged.save(packaged.load(path), path)
    assert onnx.load(path).num_parameters == 64 * 18


@pytest.mark.parametrize("dims", [[4, 2, 3, 3], [10**6, 10**6], [-1, 2], [2**62, 4]])
def test_the_size_of_an_array_is_that_of_its_bytes(tmp_path: Path, dims: list[int]) -> None:
    path = file(tmp_path / "a.onnx", [node("Conv", "x", "w")], w=W)
    for raw in (True, False):
        model = packaged.load(path)
        (tensor,) = model.graph.initializer
        if not raw:
            tensor.CopyFrom(helper.make_tensor("w", 1, W.shape, W.reshape(-1)))
        tensor.dims[:] = dims
        (tmp_path / "b.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(DataError, match=r"the array w of .* is damaged"):
            onnx.load(tmp_path / "b.onnx")


def test_other_refusals(tmp_path: Path) -> None:
    good = file(tmp_path / "good.onnx", [node("Relu", "x")])
    for content, says in (
        (b"", "no operations"),
        (b"PK\x03\x04" * 9, "no ONNX file"),
        (good.read_bytes()[:-9], "damaged|cut short|no "),
    ):
        (tmp_path / "bad.onnx").write_bytes(content)
        with pytest.raises(DataError, match=says):
            onnx.load(tmp_path / "bad.onnx")
    with pytest.raises(DataError, match="cannot be read"):
        onnx.load(tmp_path / "none.onnx")
    with pytest.raises(DataError, match="Is a directory"):
        onnx.load(tmp_path)
    model = packaged.load(good)
    model.graph.output.append(helper.make_tensor_value_info("z", 1, None))
    (tmp_path / "two.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(DataError, match="2 outputs"):
        onnx.load(tmp_path / "two.onnx")
    model = packaged.load(good)
    model.graph.input.append(helper.make_tensor_value_info("z", 1, ["n", 3]))
    (tmp_path / "in.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(DataError, match="2 inputs: x, z"):
        onnx.load(tmp_path / "in.onnx")


def test_damaged_files_lead_to_errors_of_ours(tmp_path: Path, rng: np.random.Generator) -> None:
    """Each byte of a small file is changed, a few at a time."""
    nodes, arguments = FILES["the size of the batch"]
    content = file(tmp_path / "a.onnx", nodes, **arguments).read_bytes()
    path = tmp_path / "b.onnx"
    outcomes = set()
    for place in range(len(content)):
        damaged = bytearray(content)
        for at in (place, *rng.integers(len(content), size=int(rng.integers(3)))):
            damaged[at] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            onnx.load(path)
            outcomes.add("read")
        except GpucnnError as error:
            outcomes.add(type(error))
    assert outcomes <= {"read", DataError}
    assert DataError in outcomes
