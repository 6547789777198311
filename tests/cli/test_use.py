"""evaluate, predict, summary, data and doctor."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import data
from gpucnn.backend.cuda import diagnosis
from gpucnn.data.mnist_form import convert
from gpucnn.errors import UsageError
from gpucnn.training import SavedModel, checkpoint

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def trained(train_once: Any) -> dict[str, Any]:
    """A lenet that knows digits somewhat, in runs/train-1; the end event of its training."""
    args = ["--data", "digits", "--epochs", 2, "--validation", 100, "--standardise"]
    result = train_once(*args, "--json")
    assert result.code == 0
    end: dict[str, Any] = result.events[-1]
    return end


def _images() -> np.ndarray:
    test = data.load("digits").test
    assert test is not None
    images: np.ndarray = test.images[:, 0]
    return images


def test_evaluate_agrees_with_the_training(trained: dict[str, Any], run: Any) -> None:
    result = run("evaluate", "runs/train-1", "--json")
    assert result.code == 0
    assert result.events[-1] == {
        "event": "end", "loss": trained["test_loss"], "accuracy": trained["test_accuracy"]
    }  # fmt: skip
    assert run("evaluate", "runs/train-1/weights/last.safetensors", "--json").out == result.out
    text = run("evaluate", "runs/train-1")
    assert text.out.startswith(f"test accuracy {trained['test_accuracy']:.2%}")


def test_evaluate_on_other_parts_and_weights(trained: dict[str, Any], run: Any) -> None:
    records = [json.loads(x) for x in Path("runs/train-1/metrics.jsonl").read_text().splitlines()]
    best = max(records, key=lambda record: record["val_accuracy"])
    result = run("evaluate", "runs/train-1", "--split", "validation", "--weights", "best", "--json")
    assert result.events[-1]["accuracy"] == best["val_accuracy"]
    assert run("evaluate", "runs/train-1", "--split", "train", "--data", "digits").code == 0
    moved = Path("moved.safetensors")
    moved.write_bytes(Path("runs/train-1/weights/best.safetensors").read_bytes())
    result = run("evaluate", moved, "--split", "validation", "--json")
    assert result.events[-1]["accuracy"] == best["val_accuracy"]


def test_evaluate_refuses_what_does_not_fit(trained: dict[str, Any], run: Any) -> None:
    np.savez(
        "small.npz",
        x_train=np.zeros((20, 8, 8), np.uint8),
        y_train=np.arange(20) % 10,
        x_test=np.zeros((20, 8, 8), np.uint8),
        y_test=np.arange(20) % 10,
    )
    np.savez("same.npz", x=_images()[:20], y=np.arange(20) % 10)
    for args, says in (
        (["runs/train-1", "--data", "small.npz"], "has images of 1x8x8, not of 1x28x28"),
        (["runs/none"], "no run"),
        (["runs/train-1", "--data", "same.npz", "--split", "validation"], "no validation"),
        (["small.npz"], "small.npz"),
    ):
        result = run("evaluate", *args)
        assert result.code == 4, result.err
        assert says in result.err


def test_evaluate_weights_of_another_model(trained: dict[str, Any], run: Any) -> None:
    config = Path("runs/train-1/config.toml")
    config.write_text(config.read_text().replace('"lenet"', '"mlp"'))
    result = run("evaluate", "runs/train-1", "--json")
    assert result.code == 1
    assert result.events[-1]["kind"] == "weights"


def test_there_are_no_best_weights_without_validation(run: Any) -> None:
    run("train", "--data", "digits", "--epochs", 1, "--limit-batches", 1, "--model", "softmax")
    result = run("evaluate", "runs/train-1", "--weights", "best")
    assert result.code == 4
    assert "without a validation set" in result.err


def test_predict_gives_the_probabilities(trained: dict[str, Any], run: Any) -> None:
    saved = SavedModel.load("runs/train-1")
    labels = data.load("digits").test.labels  # type: ignore[union-attr]
    answers = saved.predict(_images()[:, None]).argmax(axis=1)
    assert (answers == labels).mean() == trained["test_accuracy"]
    images = _images()[:3]
    np.save("three.npy", images)
    result = run(
        "predict", "runs/train-1", "three.npy", "--top", 4, "--json", "--save-input", "seen"
    )
    assert sorted(path.name for path in Path("seen").iterdir()) == [
        f"three.{k}.input.png" for k in range(3)
    ]
    assert result.code == 0
    probabilities = saved.predict(images[:, None])
    for k, event in enumerate(result.events):
        assert list(event) == ["file", "top"]
        assert event["file"] == f"three.npy[{k}]"
        order = probabilities[k].argsort()[::-1][:4]
        assert [each["label"] for each in event["top"]] == [str(i) for i in order]
        shown = [each["probability"] for each in event["top"]]
        assert shown == pytest.approx(probabilities[k][order], rel=1e-6)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(3), rel=1e-6)


def test_predict_sees_pictures_as_mnist_was_made(trained: dict[str, Any], run: Any) -> None:
    large = 255 - np.kron(_images()[0], np.ones((9, 9), np.uint8))  # dark on light, 252x252
    Image.fromarray(large).save("seen.png")
    result = run("predict", "runs/train-1", "seen.png", "--save-input", "out/put")
    assert result.code == 0
    assert result.out.startswith("seen.png: ")
    assert result.out.count("%") == 3
    with Image.open("out/put/seen.input.png") as picture:
        saved = np.asarray(picture)
    assert np.array_equal(saved, convert(large).image)
    np.save("same.npy", saved)
    prepared = run("predict", "runs/train-1", "same.npy").out
    assert prepared.split(": ")[1] == result.out.split(": ")[1]


def test_predict_says_that_a_picture_shows_several_digits(
    trained: dict[str, Any], run: Any
) -> None:
    images = [255 - np.kron(image, np.ones((4, 4), np.uint8)) for image in _images()[:4]]
    for name, left, right in (("a", 0, 1), ("b", 2, 3)):
        Image.fromarray(np.hstack([images[left], images[right]])).save(f"{name}.png")
    Image.fromarray(images[0]).save("one.png")
    result = run("predict", "runs/train-1", "a.png", "b.png", "one.png")
    assert result.code == 0
    assert len(result.out.splitlines()) == 3
    notes = [line for line in result.err.splitlines() if "several digits" in line]
    assert [note.split(": ")[1] for note in notes] == ["a.png", "b.png"]
    Path("both").mkdir()
    for name in ("a.png", "b.png", "one.png"):
        Path(name).rename(Path("both", name))
    together = run("predict", "runs/train-1", "both")
    assert together.out.replace("both/", "") == result.out
    assert "note: both/a.png, both/b.png: several digits in the picture" in together.err
    events = run("predict", "runs/train-1", "both", "--json").events
    assert [[*event] for event in events] == [["file", "top", "notes"]] * 2 + [["file", "top"]]
    assert events[0]["notes"][0].startswith("several digits")


def test_predict_scales_images_of_other_data(run: Any) -> None:
    rng = np.random.default_rng(0)
    np.savez(
        "color.npz",
        x_train=rng.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8),
        y_train=np.arange(40) % 3,
    )
    trained = run(
        "train", "--data", "color.npz", "--model", "softmax", "--epochs", 1, "--standardise"
    )
    assert trained.code == 0, trained.err
    Image.fromarray(rng.integers(0, 256, (50, 40, 3), dtype=np.uint8)).save("a.png")
    result = run("predict", "runs/train-1", "a.png", "--json", "--save-input", "seen")
    assert result.code == 0, result.err
    assert len(result.events[0]["top"]) == 3
    with Image.open("seen/a.input.png") as picture:
        assert picture.size == (16, 16)


def test_predict_says_what_is_wrong_with_a_file(trained: dict[str, Any], run: Any) -> None:
    Path("text.png").write_text("no picture")
    Image.new("L", (30, 30), 255).save("blank.png")
    for file in ("none.png", "text.png", "blank.png", "none.npy"):
        result = run("predict", "runs/train-1", file)
        assert result.code == 4, file
        assert file in result.err


def _saved(folder: str) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*.png"))


def test_inputs_keep_the_folders_of_their_files(trained: dict[str, Any], run: Any) -> None:
    files = ["in/a/x.npy", "in/x-2.npy", "in/b/x.npy", "in/b/c/x.npy"]
    for k, file in enumerate(files):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        np.save(file, _images()[k])
    files[2] = str(Path(files[2]).absolute())
    assert run("predict", "runs/train-1", *files, "--save-input", "seen").code == 0
    names = ["a/x.input.png", "x-2.input.png", "b/x.input.png", "b/c/x.input.png"]
    assert _saved("seen") == sorted(names)
    for k, name in enumerate(names):
        assert np.array_equal(np.asarray(Image.open(f"seen/{name}")), _images()[k])


@pytest.mark.parametrize(
    ("files", "saved"),
    [
        (["other"], ["circle/000", "cross/000", "cross/001"]),
        (["other/circle", "other/cross"], ["circle/000", "cross/000", "cross/001"]),
        (["other/circle/000.png", "other/cross/000.png"], ["circle/000", "cross/000"]),
        (["other/cross"], ["000", "001"]),
        (["other/cross/001.png"], ["001"]),
    ],
)
def test_inputs_of_pictures_keep_their_folders(
    trained: dict[str, Any], run: Any, files: list[str], saved: list[str]
) -> None:
    for name in ("circle/000", "cross/000", "cross/001"):
        Path("other", name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(_images()[3]).save(f"other/{name}.png")
    options = ["--convert", "none", "--save-input", "seen"]
    result = run("predict", "runs/train-1", *files, *options)
    assert result.code == 0, result.err
    assert _saved("seen") == [f"{name}.input.png" for name in saved]


def test_inputs_that_a_table_lists_from_elsewhere(trained: dict[str, Any], run: Any) -> None:
    for name in ("pictures/a.png", "tables/b/a.png"):
        Path(name).parent.mkdir(parents=True)
        Image.fromarray(_images()[3]).save(name)
    Path("tables/t.csv").write_text("file\n../pictures/a.png\nb/a.png\n")
    options = ["--convert", "none", "--save-input", "seen"]
    result = run("predict", "runs/train-1", "tables/t.csv", *options)
    assert result.code == 0, result.err
    assert "note: 1 picture lies outside of the folder of tables/t.csv" in result.err
    assert _saved("seen") == ["a.input.png", "b/a.input.png"]


def test_inputs_of_one_name_in_one_folder_are_all_saved(trained: dict[str, Any], run: Any) -> None:
    np.save("x.npy", _images()[0])
    Image.fromarray(_images()[1]).save("x.png")
    options = ["--convert", "none", "--save-input", "seen"]
    assert run("predict", "runs/train-1", "x.npy", "x.png", *options).code == 0
    for k, name in enumerate(("x", "x-2")):
        assert np.array_equal(np.asarray(Image.open(f"seen/{name}.input.png")), _images()[k])


@pytest.mark.slow
def test_a_table_is_written_before_its_reader_may_leave(
    trained: dict[str, Any], run: Any, spawn: Any
) -> None:
    """gpucnn predict RUN x.npy --csv answers.csv | head -1"""
    np.save("x.npy", _images()[:300])
    assert run("predict", "runs/train-1", "x.npy", "--csv", "whole.csv").code == 0
    read, write = os.pipe()
    os.close(read)
    process = spawn("predict", "runs/train-1", "x.npy", "--csv", "answers.csv", stdout=write)
    _, err = process.communicate(timeout=60)
    os.close(write)
    assert "answers: answers.csv" in err
    assert "error" not in err
    whole = Path("whole.csv").read_text()
    assert len(whole.splitlines()) == 301
    assert Path("answers.csv").read_text() == whole


@pytest.mark.parametrize(
    ("table", "code", "says"),
    [
        ("-", 2, "give --csv the name of a file"),
        ("nowhere/a.csv", 1, "write to another place with --csv FILE"),
        (".", 1, "give --csv the name of a file"),
    ],
)
def test_a_table_that_cannot_be_written(
    trained: dict[str, Any], run: Any, table: str, code: int, says: str
) -> None:
    np.save("x.npy", _images()[:2])
    result = run("predict", "runs/train-1", "x.npy", "--csv", table)
    assert (result.code, result.out) == (code, "")
    assert says in result.err
    assert not Path("-").exists()


def _rewrite(file: Path, key: str, value: Any) -> None:
    """Change a weight or an item of the description of an intact file."""
    weights, description = checkpoint.load_weights(file)
    if key in weights:
        weights[key][...] = value
    else:
        description[key] = value
    checkpoint.save_weights(file, weights, description)


@pytest.mark.parametrize("value", [np.nan, 3e38])
def test_weights_that_give_no_finite_numbers(
    trained: dict[str, Any], run: Any, value: float
) -> None:
    file = Path("runs/train-1/weights/last.safetensors")
    for name in ("dense1.weight", "dense2.weight"):
        _rewrite(file, name, value)
    np.save("one.npy", _images()[0])
    for args in (["evaluate", "runs/train-1"], ["predict", "runs/train-1", "one.npy"]):
        result = run(*args, "--json")
        assert result.code == 5
        event = result.events[-1]
        assert event["kind"] == "diverged"
        assert "not finite" in f"{event['message']} {event['cause']}"
        assert "bug" not in result.err
        if np.isnan(value):
            assert event["cause"] == "dense1.weight is not finite"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image_shape", 28),
        ("image_shape", ["1", 28, 28]),
        ("image_shape", [1, -28, 28]),
        ("class_names", None),
        ("class_names", [1, 2]),
        ("scale", "1"),
        ("offset", float("nan")),
        ("model", ["lenet"]),
        ("loss", 3),
    ],
)
def test_a_description_of_other_types(
    trained: dict[str, Any], run: Any, key: str, value: Any
) -> None:
    moved = Path("moved.safetensors")
    moved.write_bytes(Path("runs/train-1/weights/last.safetensors").read_bytes())
    _rewrite(moved, key, value)
    result = run("evaluate", moved, "--json")
    assert result.code == 4
    assert "moved.safetensors" in result.events[-1]["message"]
    assert key in result.events[-1]["cause"]


def test_other_files_than_weights(trained: dict[str, Any], run: Any) -> None:
    state = next(Path("runs/train-1/weights").glob("state-*"))
    for path, says in ((state, "state of an optimizer"), ("/dev/null", "it is a device")):
        result = run("evaluate", path)
        assert result.code == 4
        assert says in result.err
    with pytest.raises(UsageError, match="foo"):
        SavedModel.load("runs/train-1", weights="foo")


def test_predict_cannot_save_into_a_file(trained: dict[str, Any], run: Any) -> None:
    np.save("a.npy", _images()[:1])
    result = run("predict", "runs/train-1", "a.npy", "--save-input", "a.npy")
    assert result.code == 1
    assert "--save-input" in result.err


def test_summary(run: Any) -> None:
    result = run("summary", "--model", "cnn", "--batch", 8, "--json")
    assert result.code == 0
    *layers, end = result.events
    assert end["parameters"] == sum(layer["parameters"] for layer in layers) == 1199882
    assert end["flops"] == sum(layer["flops"] for layer in layers)
    assert layers[0]["output_shape"] == [8, 32, 26, 26]
    assert "1,199,882" in run("summary", "--model", "cnn").out
    assert run("summary", "--model", "vgg").code == 2


def test_summary_of_a_run(trained: dict[str, Any], run: Any) -> None:
    assert "61,706" in run("summary", "runs/train-1").out
    assert run("summary", "runs/train-1", "--model", "cnn").code == 2
    assert run("summary", "runs/none").code == 4


def test_data_list(run: Any) -> None:
    result = run("data", "list", "--data-dir", "empty", "--json")
    *listed, end = result.events
    assert end == {"event": "end"}
    assert {event["event"] for event in listed} == {"data"}
    by_name = {event["name"]: event for event in listed}
    assert set(by_name) == set(data.NAMES)
    assert len(by_name["mnist"]["missing"]) == 4
    assert by_name["digits"]["missing"] == []
    assert "gpucnn data fetch mnist" in run("data", "list", "--data-dir", "empty").out


def test_data_path_and_verify(run: Any, mnist_dir: Path) -> None:
    assert run("data", "path", "mnist", "--data-dir", mnist_dir).out == f"{mnist_dir}\n"
    result = run("data", "verify", "mnist", "--data-dir", mnist_dir, "--json")
    assert result.code == 0
    *files, end = result.events
    assert end == {"event": "end"}
    assert [(event["event"], event["verified"]) for event in files] == [("file", True)] * 4
    assert run("data", "verify", "mnist", "--data-dir", "empty").code == 4
    assert run("data", "path", "cifar").code == 2


def test_data_fetch_leaves_what_is_right_alone(run: Any, mnist_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in mnist_dir.iterdir():
        (copy / file.name).symlink_to(file)
    result = run("data", "fetch", "mnist", "--data-dir", copy)
    assert (result.code, result.out) == (0, f"{copy}\n")


def test_doctor(run: Any) -> None:
    result = run("doctor", "--json")
    assert result.code == 0
    (event,) = result.events
    assert event["environment"]["numpy"] == np.__version__
    assert event["devices"]["cpu"] == "ok"
    assert event["auto"]["reason"]
    assert {"driver", "cupy", "cache"} <= set(event["cuda"])
    assert set(event["sim"]) == {"compiler", "cache"}
    assert set(event["data"]) == {"mnist", "fashion-mnist", "pictures"}
    assert event["extras"]["image"] == "ok"
    text = run("doctor").out
    assert all(f"\n{topic}:\n" in text for topic in ("devices", "cuda", "sim", "data"))


def test_doctor_names_every_problem_with_its_fix(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_driver_version", lambda: None)
    monkeypatch.setattr(
        diagnosis, "_cupy_packages", lambda: {"cupy-cuda12x": "14.2", "cupy-cuda13x": "14.2"}
    )
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    monkeypatch.setenv("CXX", "no-such-compiler")
    result = run("doctor", "--json")
    assert (result.code, result.err) == (0, "")
    (event,) = result.events
    causes = [problem["cause"] for problem in event["problems"]]
    assert ["driver" in causes[0], "installed together" in causes[1]] == [True, True]
    assert event["cuda"]["driver"] == "none"
    assert event["cuda"]["cupy"] == "cupy-cuda12x 14.2, cupy-cuda13x 14.2"
    assert event["devices"]["cuda"].startswith("no; there is no GPU")
    assert event["auto"]["device"] == "cpu"
    assert "no-such-compiler" in event["sim"]["compiler"]
    text = run("doctor").out
    for problem in event["problems"]:
        assert f"  problem: {problem['cause']}\n      fix: {problem['fix']}\n" in text


def test_doctor_says_that_the_blas_is_slow(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = diagnosis.Problem("OpenBLAS is slow here", "set this")
    monkeypatch.setattr("gpucnn.cli.doctor.blas_problem", lambda: problem)
    assert problem._asdict() in run("doctor", "--json").events[-1]["problems"]
    environment, _, rest = run("doctor").out.partition("devices:")
    assert "  problem: OpenBLAS is slow here\n      fix: set this\n" in environment
    assert "slow" not in rest
    monkeypatch.setattr("gpucnn.cli.doctor.blas_problem", lambda: None)
    assert "slow" not in run("doctor").out


@pytest.mark.slow
def test_real_mnist(run: Any, mnist_dir: Path) -> None:
    at = ["--data", "mnist", "--data-dir", mnist_dir]
    result = run(
        "train", *at, "--model", "softmax", "--epochs", 1, "--limit-batches", 100, "--json"
    )
    assert result.code == 0
    assert result.events[1]["val_accuracy"] > 0.8
    whole = run("evaluate", "runs/train-1", "--json").events[-1]
    assert whole["accuracy"] > 0.8
    images = mnist_dir / "t10k-images-idx3-ubyte.gz"
    predicted = run("predict", "runs/train-1", images, "--top", 1, "--json")
    labels = data.load("mnist", mnist_dir).test.labels  # type: ignore[union-attr]
    right = [int(e["top"][0]["label"]) == k for e, k in zip(predicted.events, labels, strict=True)]  # type: ignore[arg-type]
    assert np.mean(right) == whole["accuracy"]


@pytest.mark.parametrize("group", [[], ["data"]])
def test_a_group_without_a_command_shows_its_help(run: Any, group: list[str]) -> None:
    result = run(*group)
    assert result.code == 2
    assert result.err.startswith("Usage: ")
    assert "error" not in result.err.splitlines()[0]
    assert "Commands:" in result.err
