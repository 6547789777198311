"""gpucnn import, and what can be done with the weights file that it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.training import SavedModel

packaged = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
helper, numpy_helper = packaged.helper, packaged.numpy_helper

SHORT = ("--data", "digits", "--epochs", 1, "--limit-batches", 4)


def foreign(
    path: str, end: str = "Softmax", classes: int = 10, factor: bool = False, first: Any = None
) -> None:
    """A network of another program: digits, a dense layer, and probabilities."""
    weight = np.random.default_rng(1).normal(size=(784, classes)).astype(np.float32)
    if first is not None:
        weight[0, 0] = first
    nodes = [
        helper.make_node("Flatten", ["x"], ["a"]),
        helper.make_node("Gemm", ["a", "fc.weight"], ["b"]),
        helper.make_node(end, ["b"], ["y"], name="/head/last"),
    ]
    arrays = [numpy_helper.from_array(weight, "fc.weight")]
    if factor:  # a number by which the scores are multiplied
        nodes[1].output[0] = "c"
        nodes.insert(2, helper.make_node("Mul", ["c", "factor"], ["b"]))
        arrays.append(numpy_helper.from_array(np.array(0.5, np.float32), "factor"))
    graph = helper.make_graph(
        nodes,
        "main_graph",
        [helper.make_tensor_value_info("x", 1, ["n", 1, 28, 28])],
        [helper.make_tensor_value_info("y", 1, ["n", classes])],
        arrays,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    Path(path).write_bytes(model.SerializeToString())


def test_a_run_goes_out_and_comes_back(train_once: Any, run: Any) -> None:
    assert train_once(*SHORT).code == 0
    assert run("export", "runs/train-1", "--onnx", "a.onnx").code == 0
    result = run("import", "a.onnx")
    assert result.code == 0, result.err
    assert result.out.splitlines() == [
        "a.safetensors: 12 steps, 61,706 parameters",
        "input: (N, 1, 28, 28), pixels * 0.00392156863 (as in the file)",
        "output: 0-9",
    ]
    assert "next: gpucnn predict a.safetensors FILE" in result.err
    before, after = SavedModel.load("runs/train-1"), SavedModel.load("a.safetensors")
    assert all(
        np.array_equal(array, after.model.state_dict()[path])
        for path, array in before.model.state_dict().items()
    )
    there = run("evaluate", "runs/train-1", "--json").out
    assert run("evaluate", "a.safetensors", "--data", "digits", "--json").out == there
    again = run("import", "a.onnx")
    assert again.code == 2
    assert "a.safetensors exists already" in again.err
    assert run("import", "a.onnx", "--output", "a.safetensors").code == 0


def test_training_goes_on_from_it(train_once: Any, run: Any) -> None:
    assert train_once(*SHORT).code == 0
    run("export", "runs/train-1", "--onnx", "a.onnx")
    run("import", "a.onnx")
    result = run(
        "train", "--weights", "a.safetensors", *SHORT[:2], "--epochs", 1, "--limit-batches", 2
    )
    assert result.code == 0, result.err
    assert "model: a.safetensors, the network of a.safetensors" in result.err
    assert "starting from a.safetensors (epoch 0)" in result.err
    Path("a.safetensors").unlink()  # the checkpoint describes the network as well
    assert run("evaluate", "runs/train-2").code == 0
    assert run("summary", "runs/train-2").code == 0
    assert run("train", "--resume", "runs/train-2", "--epochs", 2).code == 0
    weights = Path("runs/train-3/weights/last.safetensors")
    assert b"a.safetensors" not in weights.read_bytes()
    assert run("export", "runs/train-3", "--onnx", "b.onnx", "--check").code == 0


def test_training_keeps_the_scaling_of_the_file(run: Any) -> None:
    foreign("a.onnx", factor=True)
    run("import", "a.onnx", "--mean", 0.25, "--std", 0.5)
    scaling = pytest.approx((1 / 255 / 0.5, -0.5))

    def found(path: str) -> tuple[float, float]:
        about = SavedModel.load(path).description
        return about.scale, about.offset

    before = run("evaluate", "a.safetensors", "--data", "digits", "--json").events[-1]
    short = (*SHORT[:2], "--limit-batches", 2, "--lr", 1e-12)
    result = run("train", "--weights", "a.safetensors", *short, "--epochs", 1)
    assert result.code == 0, result.err
    assert "they keep their scaling, pixels * 0.00784 -0.5" in result.err
    assert found("runs/train-1") == scaling
    after = run("evaluate", "runs/train-1", "--json").events[-1]
    assert after["accuracy"] == before["accuracy"]
    assert after["loss"] == pytest.approx(before["loss"], rel=1e-4)
    Path("a.safetensors").unlink()
    assert run("train", "--resume", "runs/train-1", "--epochs", 2).code == 0
    assert found("runs/train-2") == scaling
    result = run("train", "--weights", "runs/train-2", *short, "--epochs", 1)
    assert "they keep their scaling" in result.err
    assert found("runs/train-3") == scaling
    result = run("train", "--weights", "runs/train-3", *short, "--epochs", 1, "--standardise")
    assert "they were trained on pixels * 0.00784 -0.5, and now get * " in result.err
    assert found("runs/train-4") != scaling


def test_other_classes(run: Any) -> None:
    foreign("a.onnx")
    run("import", "a.onnx")
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (40, 28, 28), np.uint8)
    np.savez("three.npz", x=images, y=np.arange(40) % 3)
    result = run("train", "--weights", "a.safetensors", "--data", "three.npz", "--epochs", 1)
    assert result.code == 1
    assert "there is nothing to start from" in result.err  # there is but one layer
    result = run("train", "--model", "a.safetensors", "--data", "three.npz", "--epochs", 1)
    assert result.code == 0, result.err
    assert len(SavedModel.load("runs/train-1").class_names) == 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_file_of_another_program(run: Any, encoding: str) -> None:
    foreign("net work.onnx", classes=3)
    Path("names.txt").write_text("cat\n\n  dog 🐕 \n<script>\n", encoding=encoding)
    numbers = ("--mean", 0.1307, "--std", 0.3081)
    result = run("import", "net work.onnx", "--classes", "names.txt", *numbers, "--json")
    (event,) = result.events
    assert event["file"] == "net work.safetensors"
    assert event["class_names"] == ["cat", "dog 🐕", "<script>"]
    assert event["scale"] == pytest.approx(1 / 255 / 0.3081)
    assert event["offset"] == pytest.approx(-0.1307 / 0.3081)
    assert (event["left_out"], event["loss"]) == ("softmax", "softmax_cross_entropy")
    assert "note: the softmax at the end is left out" in result.err
    assert "next: gpucnn predict 'net work.safetensors' FILE" in result.err
    np.save("two.npy", np.zeros((2, 28, 28), np.uint8))
    answers = run("predict", "net work.safetensors", "two.npy", "--json")
    assert answers.code == 0, answers.err
    assert {each["label"] for each in answers.events[0]["top"]} == {"cat", "dog 🐕", "<script>"}


@pytest.mark.parametrize(
    ("yes", "labels", "no"),
    [
        (None, [0, 1], "0"), (None, [1], "0"), (None, [0], "0"),
        ("spam", ["ham", "spam"], "not spam"), ("ham", ["ham", "spam"], "not ham"),
        ("spam", ["spam"], "not spam"), ("spam", [0, 1], "not spam"),
        ("0", [0, 1], "0"), (None, ["1", "other"], "0"),
        (None, ["cat", "dog"], None), (None, [0, 1, 2], None),
        ("spam", ["ham", "spam", "eggs"], None), ("spam", ["ham"], None),
    ],
    ids=str,
)  # fmt: skip
def test_one_output_says_yes_or_no(
    run: Any, yes: str | None, labels: list[Any], no: str | None
) -> None:
    """The answers of evaluate and predict are those of the formula, or evaluate says what to do."""
    foreign("a.onnx", "Sigmoid", classes=1)
    Path("names.txt").write_text(yes or "")
    run("import", "a.onnx", *(("--classes", "names.txt") if yes else ()))
    rng = np.random.default_rng(2)
    lit = rng.random((30, 28, 1)) < 0.2  # some rows: the answers to these images differ
    images = np.where(lit, rng.integers(0, 256, (30, 28, 28)), 0).astype(np.uint8)
    given = np.resize(np.array(labels), 30)
    np.savez("data.npz", x=images, y=given)
    result = run("evaluate", "a.safetensors", "--data", "data.npz", "--json")
    if no is None:
        assert result.code == 4
        assert "has classes that the model does not know" in result.err
        assert f'call the one that the model says yes to "{yes or 1}"' in result.err
        return
    weight = np.random.default_rng(1).normal(size=(784, 1)).astype(np.float32)
    says_yes = (images.reshape(30, 784) / 255 @ weight)[:, 0] > 0
    assert 0 < says_yes.sum() < 30
    if yes == "0":
        yes = None  # the number of the output, which is no class
    truth = given == (1 if isinstance(labels[0], int) else yes or "1")
    *_, confusion, end = result.events
    assert end["accuracy"] == pytest.approx((says_yes == truth).mean())
    wanted = [[((truth == i) & (says_yes == j)).sum() for j in (0, 1)] for i in (0, 1)]
    assert confusion["matrix"] == wanted
    np.save("images.npy", images)
    answers = run("predict", "a.safetensors", "images.npy", "--json", "--top", 1).events
    assert [each["top"][0]["label"] for each in answers if "top" in each] == [
        (yes or "1") if is_yes else no for is_yes in says_yes
    ]
    assert all(each["top"][0]["probability"] >= 0.5 for each in answers if "top" in each)
    assert run("inspect", "a.safetensors", "--data", "data.npz").code == 0


def test_import_refuses(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign("bad.onnx", end="Einsum")
    result = run("import", "bad.onnx", "--json")
    assert result.code == 4
    assert "node /head/last of bad.onnx, Einsum, cannot be imported" in result.events[-1]["message"]
    assert "Conv" in result.events[-1]["fix"]
    assert not Path("bad.safetensors").exists()
    foreign("a.onnx")
    Path("names.txt").write_bytes(b"\xff\xfe")
    Path("folder.safetensors").mkdir()
    for code, *words in (
        (4, "none.onnx"), (4, "."), (4, "names.txt"),
        (4, "a.onnx", "--classes", "none.txt"), (4, "a.onnx", "--classes", "names.txt"),
        (2, "a.onnx", "--std", 0), (2, "a.onnx", "--mean", "nan"), (2, "a.onnx", "--mean", 33.3),
        (2, "a.onnx", "--loss", "hinge"),
        (2, "a.onnx", "--output", "a.npz"), (1, "a.onnx", "--output", "none/a.safetensors"),
        (1, "a.onnx", "--output", "folder.safetensors"), (2,),
    ):  # fmt: skip
        result = run("import", *words)
        assert result.code == code, (words, result.err)
        assert "fix:" in result.err
    Path("two.txt").write_text("a\nb\n")
    result = run("import", "a.onnx", "--classes", "two.txt")
    assert result.code == 2
    assert "2 class names for the 10 outputs" in result.err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = run("import", "a.onnx")
    assert result.code == 1
    assert 'pip install "gpucnn[onnx]"' in result.err


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(run: Any, value: float) -> None:
    """They are refused as `predict` refuses them, and no file is written."""
    foreign("a.onnx", first=value)
    result = run("import", "a.onnx", "--json")
    assert result.code == 5
    assert result.events[-1]["message"] == "a.onnx cannot be imported"
    assert "weight is not finite" in result.events[-1]["cause"]
    assert not Path("a.safetensors").exists()


def test_a_model_that_is_no_description(train_once: Any, run: Any) -> None:
    assert train_once(*SHORT).code == 0
    weights = "runs/train-1/weights/last.safetensors"
    for path, says in (
        (weights, "does not describe their network"),
        ("none.safetensors", "no weights file"),
    ):
        result = run("train", *SHORT, "--model", path)
        assert result.code == 4
        assert says in result.err


def test_metadata_say_how_pictures_are_read(train_once: Any, run: Any) -> None:
    """So a picture is converted as by the run itself, with no option."""
    assert train_once(*SHORT).code == 0
    run("export", "runs/train-1", "--onnx", "a.onnx")
    found = {e.key: json.loads(e.value) for e in packaged.load("a.onnx").metadata_props}
    assert found["reading"]["convert"] == "mnist"
    run("import", "a.onnx")
    description = SavedModel.load("a.safetensors").description
    assert description.reading == SavedModel.load("runs/train-1").description.reading
