"""ONNX files as weights files of gpucnn."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_graphs import DENSE, ROWS, R, file, node, packaged

from gpucnn import onnx
from gpucnn.errors import DataError, GpucnnError, UsageError, WeightsMismatchError
from gpucnn.nn import Dense, Flatten, Sequential, Softmax
from gpucnn.training import SavedModel, checkpoint
from gpucnn.training.described import for_classes


def test_a_run_comes_back_bit_for_bit(
    trained: SavedModel, tmp_path: Path, rng: np.random.Generator
) -> None:
    onnx.export(trained, tmp_path / "a.onnx")
    done = onnx.convert(tmp_path / "a.onnx", tmp_path / "a.safetensors")
    again = SavedModel.load(tmp_path / "a.safetensors")
    images = rng.integers(0, 256, (20, 1, 28, 28), np.uint8)
    assert again.predict(images).tobytes() == trained.predict(images).tobytes()
    for path, array in trained.model.state_dict().items():
        assert again.model.state_dict()[path].tobytes() == array.tobytes()
    for key in ("class_names", "label_values", "image_shape", "scale", "offset", "reading", "read"):
        assert getattr(again.description, key) == getattr(trained.description, key)
    assert done.left_out is None


@pytest.mark.parametrize("operation", ["Softmax", "LogSoftmax", "Sigmoid"])
def test_probabilities_at_the_end_are_left_to_the_loss(
    tmp_path: Path, compute: Any, rng: np.random.Generator, operation: str
) -> None:
    path = file(
        tmp_path / "a.onnx",
        [node("Gemm", "x", "w", to="a"), node(operation, "a")],
        w=R.normal(size=(6, 3)),
        **ROWS,
    )
    names = ["cat", "dog 🐕", "<script>"]
    done = onnx.convert(path, tmp_path / "a.safetensors", class_names=names, scale=0.5, offset=-1)
    assert done.left_out == {"LogSoftmax": "log_softmax"}.get(operation, operation.lower())
    saved = SavedModel.load(tmp_path / "a.safetensors")
    assert saved.class_names == names
    images = rng.integers(0, 4, (5, 6), np.uint8)
    expected = compute(path, (images * 0.5 - 1).astype(np.float32))
    expected = np.exp(expected) if operation == "LogSoftmax" else expected
    assert np.allclose(saved.predict(images), expected, atol=1e-6)


@pytest.mark.parametrize("operation", ["Softmax", "Sigmoid"])
def test_the_end_stays_if_the_loss_does_not_take_what_is_before_it(
    tmp_path: Path, compute: Any, rng: np.random.Generator, operation: str
) -> None:
    nodes = [node("Gemm", "x", "w", to="a"), node(operation, "a")]
    path = file(tmp_path / "a.onnx", nodes, w=DENSE, **ROWS)
    done = onnx.convert(path, tmp_path / "a.safetensors", loss="mean_squared_error")
    assert done.left_out is None
    images = rng.integers(0, 256, (5, 6), np.uint8)
    found = SavedModel.load(tmp_path / "a.safetensors").predict(images)
    assert np.allclose(found, compute(path, images * np.float32(1 / 255)), atol=1e-6)


def test_a_softmax_of_the_network_itself_stays(
    trained: SavedModel, tmp_path: Path, rng: np.random.Generator
) -> None:
    """A network that was trained with a softmax at its end has it in the file as well."""
    net = Sequential([Flatten(), Dense(10), Softmax()]).build((1, 28, 28))
    saved = dataclasses.replace(trained, model=net)
    images = rng.integers(0, 256, (5, 1, 28, 28), np.uint8)
    for probabilities in (False, True):
        onnx.export(saved, tmp_path / "a.onnx", probabilities=probabilities)
        done = onnx.convert(tmp_path / "a.onnx", tmp_path / "a.safetensors")
        assert done.left_out == ("softmax" if probabilities else None)
        again = SavedModel.load(tmp_path / "a.safetensors")
        assert again.predict(images).tobytes() == saved.predict(images).tobytes()


def test_defaults_of_a_file_of_another_program(tmp_path: Path) -> None:
    path = file(tmp_path / "a.onnx", [node("Gemm", "x", "w")], w=DENSE, **ROWS)
    done = onnx.convert(path, tmp_path / "a.safetensors")
    assert (done.class_names, done.scale, done.offset) == (["0", "1", "2"], 1 / 255, 0.0)
    assert (done.loss, done.left_out) == ("softmax_cross_entropy", None)
    assert done.scaling_known == "by default"


@pytest.mark.parametrize(
    ("operation", "names"), [("Sigmoid", ["1"]), ("Softmax", ["0"]), ("Tanh", ["0"])]
)
def test_the_one_output_of_a_sigmoid_is_class_1(
    tmp_path: Path, operation: str, names: list[str]
) -> None:
    nodes = [node("Gemm", "x", "w", to="a"), node(operation, "a")]
    path = file(tmp_path / "a.onnx", nodes, w=DENSE[:, :1], **ROWS)
    assert onnx.convert(path, tmp_path / "a.safetensors").class_names == names
    given = onnx.convert(path, tmp_path / "a.safetensors", class_names=["spam"])
    assert given.class_names == ["spam"]


@pytest.mark.parametrize("with_preprocessing", [True, False])
def test_pixels_are_scaled_once(
    trained: SavedModel, tmp_path: Path, rng: np.random.Generator, with_preprocessing: bool
) -> None:
    onnx.export(trained, tmp_path / "a.onnx", with_preprocessing=with_preprocessing)
    images = rng.integers(0, 256, (5, 1, 28, 28), np.uint8)
    for strip in (False, True):  # the file of another program has no metadata
        model = packaged.load(tmp_path / "a.onnx")
        if strip:
            model.producer_name = "pytorch"
        (tmp_path / "b.onnx").write_bytes(model.SerializeToString())
        done = onnx.convert(tmp_path / "b.onnx", tmp_path / "b.safetensors")
        assert (done.scale, done.offset) == (1.0 if with_preprocessing else 1 / 255, 0.0)
        again = SavedModel.load(tmp_path / "b.safetensors")
        assert np.abs(again.predict(images) - trained.predict(images)).max() < 1e-6
    if with_preprocessing:
        with pytest.raises(UsageError, match="takes no mean and no std") as error:
            onnx.convert(tmp_path / "b.onnx", tmp_path / "b.safetensors", mean=0.5, std=0.5)
        assert "uint8" in str(error.value.cause)


@pytest.mark.parametrize(
    ("options", "expected", "known"),
    [
        ({}, (1 / 255 / 0.25, -2.0), "as in the file"),
        ({"mean": 0.2}, (1 / 255 / 0.25, -0.8), "mean as given, std as in the file"),
        ({"std": 0.4}, (1 / 255 / 0.4, -1.25), "mean as in the file, std as given"),
        ({"mean": 0.2, "std": 0.4}, (1 / 255 / 0.4, -0.5), "as given"),
        ({"mean": 0.0}, (1 / 255 / 0.25, 0.0), "mean as given, std as in the file"),
        ({"scale": 2.0}, (2.0, -2.0), "scale as given, offset as in the file"),
    ],
)
def test_what_is_not_given_is_as_in_the_file(
    trained: SavedModel,
    tmp_path: Path,
    options: dict[str, float],
    expected: tuple[float, float],
    known: str,
) -> None:
    """Here the network takes (pixel / 255 - 0.5) / 0.25."""
    about = dataclasses.replace(trained.description, scale=1 / 255 / 0.25, offset=-2.0)
    onnx.export(dataclasses.replace(trained, description=about), tmp_path / "a.onnx")
    done = onnx.convert(tmp_path / "a.onnx", tmp_path / "a.safetensors", **options)  # type: ignore[arg-type]
    assert np.allclose((done.scale, done.offset), expected, rtol=1e-12)
    assert done.scaling_known == known
    kept = SavedModel.load(tmp_path / "a.safetensors").description
    assert (kept.scale, kept.offset) == (done.scale, done.offset)


def test_options_that_do_not_fit(tmp_path: Path) -> None:
    path = file(tmp_path / "a.onnx", [node("Gemm", "x", "w")], w=DENSE, **ROWS)
    target = tmp_path / "a.safetensors"
    for options, says in (
        ({"class_names": ["a", "b"]}, "2 class names for the 3 outputs"),
        ({"class_names": ["a", "b", "b"]}, "the class name 'b' is given twice"),
        ({"scale": float("nan")}, "scale is nan"),
        ({"mean": float("inf")}, "mean is inf"),
        ({"std": 0.0}, "std is 0.0"),
        ({"scale": 1.0, "std": 1.0}, "scale and std are given"),
        ({"scale": 1e300}, "the scale is 1e\\+300"),
        ({"std": 1e-320}, "the scale is inf"),
        (
            {"mean": 1e20, "std": 0.5},
            "with the mean and std that are given, the offset is -2e\\+20",
        ),
        ({"class_names": ["a", "b", "c" * 201]}, "a class name has 201 characters"),
        ({"loss": "hinge"}, "unknown loss"),
    ):
        with pytest.raises(UsageError, match=says):
            onnx.convert(path, target, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"is no \.safetensors file"):
        onnx.convert(path, tmp_path / "a.npz")
    assert not target.exists()


def test_a_network_that_gives_no_scores(tmp_path: Path) -> None:
    path = file(tmp_path / "a.onnx", [node("Relu", "x")])
    with pytest.raises(DataError, match="no network that tells classes"):
        onnx.convert(path, tmp_path / "a.safetensors")
    assert onnx.load(path).num_parameters == 0


def test_metadata_that_are_damaged(trained: SavedModel, tmp_path: Path) -> None:
    onnx.export(trained, tmp_path / "a.onnx")
    for key, text in (
        ("class_names", "[1, 2"),
        ("class_names", "[1, 2]"),
        ("class_names", "3"),
        ("scale", '"big"'),
        ("scale", "1e300"),
        ("offset", "true"),
        ("reading", '{"convert": 3}'),
        ("loss", "[3]"),
        ("label_values", "{}"),
        ("read", "3"),
    ):
        model = packaged.load(tmp_path / "a.onnx")
        for entry in model.metadata_props:
            entry.value = text if entry.key == key else entry.value
        (tmp_path / "b.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(GpucnnError) as error:
            onnx.convert(tmp_path / "b.onnx", tmp_path / "b.safetensors")
        assert isinstance(error.value, (DataError, UsageError))


def test_other_classes_get_a_new_last_layer(tmp_path: Path) -> None:
    nodes = [
        node("Gemm", "x", "w", to="a"),
        node("Relu", "a", to="b"),
        node("Gemm", "b", "v", to="c"),
        node("Softmax", "c"),
    ]
    path = file(tmp_path / "a.onnx", nodes, w=DENSE, v=R.normal(size=(3, 4)), **ROWS)
    target = onnx.convert(path, tmp_path / "a.safetensors").path
    net = for_classes(target, 7).build((6,))
    assert {name: p.shape for name, p in net.named_parameters()} == {
        "dense1.weight": (6, 3),
        "dense2.weight": (3, 7),
    }
    with pytest.raises(WeightsMismatchError):
        net.load_state_dict(SavedModel.load(target).model.state_dict())
    path = file(
        tmp_path / "b.onnx",
        [*nodes[:-1], node("ReduceSum", "c", "axes")],
        w=DENSE,
        v=DENSE[:3],
        axes=[1],
        **ROWS,
    )
    target = onnx.convert(path, tmp_path / "b.safetensors").path
    with pytest.raises(UsageError, match="cannot be changed for 7"):
        for_classes(target, 7)


def graph(call: str, options: object = None) -> dict[str, Any]:
    """The structure of a network of one step."""
    steps = [["y", call, ["input"], {} if options is None else options]]
    parts: dict[str, Any] = {"layers": {}, "constants": {}, "name": None}
    return {"class": "LayerGraph", "steps": steps, **parts}


@pytest.mark.parametrize(
    "structure",
    [
        {},
        {"class": "Module"},
        {"class": "LayerGraph"},
        {"class": ["LayerGraph"]},
        {"class": "LayerGraph", "steps": 3},
        {"class": "Dense", "arguments": {"units": 3, "code": "x"}},
        {"class": "Dense", "arguments": {"units": -1}},
        {"class": "Sequential", "layers": [{"again": 7}], "name": None, "input_shape": None},
        graph("F.eval"),
        graph("F.__class__"),
        graph("dense"),
        graph("F.clip", {"lower": 3}),
        graph("F.clip", {"low": "x"}),
        graph("F.clip", 3),
        graph("F.slices", {"ends": [[1, 2, 3, 4]]}),
        graph("F.take", {"axis": 1, "where": {"a": 1}}),
        graph("F.reshape", {"sizes": [0, 7]}),
        graph("F.transpose", {"axes": "x"}),
    ],
    ids=str,
)
def test_a_structure_that_is_no_network(tmp_path: Path, structure: dict[str, Any]) -> None:
    description = {"network": structure, "image_shape": [2], "class_names": ["a", "b"]}
    file = tmp_path / "a.safetensors"
    checkpoint.save_weights(file, {}, {**description, "scale": 1.0, "offset": 0.0})
    with pytest.raises(DataError, match="describes a network that cannot be made"):
        SavedModel.load(file)


def test_weights_without_their_network(tmp_path: Path) -> None:
    weights = Sequential([Dense(2)]).build((3,)).state_dict()
    checkpoint.save_weights(tmp_path / "b.safetensors", weights, {"class_names": ["a", "b"]})
    with pytest.raises(DataError, match="does not describe their network"):
        for_classes(tmp_path / "b.safetensors", 2)
