"""Starting from trained weights, and going on with a finished run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selection import slow_except

from gpucnn import data
from gpucnn.training import SavedModel, checkpoint

OPTIONS = ["--data", "digits", "--limit-batches", 8]


def weights(run: str, which: str = "last") -> tuple[dict[str, Any], dict[str, Any]]:
    return checkpoint.load_weights(Path(run) / "weights" / f"{which}.safetensors")


@pytest.fixture
def letters() -> Path:
    """The digits 0 to 3 as an npz with words for labels, and the words are no digits."""
    train = data.load("digits").train
    assert train.labels is not None
    few = train.labels < 4
    words = np.array(["zero", "one", "two", "three"])[train.labels[few]]
    np.savez("letters.npz", x=train.images[few], y=words)
    return Path("letters.npz")


def test_the_same_classes_take_all_weights(run: Any, train_once: Any) -> None:
    train_once(*OPTIONS, "--epochs", 2)
    before, _ = weights("runs/train-1")
    for source in ("runs/train-1", "runs/train-1/weights/last.safetensors"):
        result = run("train", *OPTIONS, "--weights", source, "--lr", "1e-30", "--name", "next")
        assert result.code == 0, result.err
        assert "starting from runs/train-1/weights/last.safetensors (epoch 2)" in result.err
        assert "is new" not in result.err
        after, _ = weights("runs/next")
        for name, array in before.items():
            np.testing.assert_allclose(after[name], array, rtol=1e-6, atol=1e-20)
        for file in sorted(Path("runs/next").rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        Path("runs/next").rmdir()


def test_other_classes_get_a_new_last_layer(run: Any, train_once: Any, letters: Path) -> None:
    train_once(*OPTIONS, "--epochs", 2)
    before, _ = weights("runs/train-1")
    result = run(
        "train", "--data", letters, "--epochs", 1, "--weights", "runs/train-1", "--lr", "1e-30"
    )
    assert result.code == 0, result.err
    assert "the last layer, dense3, is new, for other classes" in result.err
    after, description = weights("runs/train-2")
    assert description["class_names"] == ["one", "three", "two", "zero"]
    assert after["dense3.weight"].shape == (84, 4)
    for name in before:
        if not name.startswith("dense3"):
            np.testing.assert_allclose(after[name], before[name], rtol=1e-6, atol=1e-20)


def test_the_last_layer_is_the_one_that_is_called_last(run: Any) -> None:
    """As many classes by other names, and a network whose first attribute is its last layer."""
    Path("net.py").write_text("""
from gpucnn import functions as F
from gpucnn import nn

class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.head = nn.Dense(classes)
        self.stem = nn.Dense(classes)

    def forward(self, x):
        return self.head(F.relu(self.stem(F.flatten(x))))

def build(shape, classes):
    return Net(classes)
""")
    digits = data.load("digits").train
    assert digits.labels is not None
    np.savez("words.npz", x=digits.images, y=np.array(list("abcdefghij"))[digits.labels])
    options = ["--model", "net.py:build", "--epochs", 1, "--lr", "1e-30"]
    run("train", *options, "--data", "digits")
    result = run("train", *options, "--data", "words.npz", "--weights", "runs/train-1", "--seed", 9)
    assert "the last layer, head, is new" in result.err
    (before, _), (after, _) = weights("runs/train-1"), weights("runs/train-2")
    np.testing.assert_allclose(after["stem.weight"], before["stem.weight"], rtol=1e-6, atol=1e-20)
    assert not np.allclose(after["head.weight"], before["head.weight"])


@pytest.mark.slow
def test_fine_tuning_learns_faster(run: Any, letters: Path) -> None:
    run("train", "--data", "digits", "--epochs", 15)
    args = ["train", "--data", letters, "--epochs", 3, "--json"]
    alone, tuned = (
        run(*args, *weights).events[3]["loss"] for weights in ([], ["--weights", "runs/train-1"])
    )
    assert tuned < 0.6 * alone


def test_as_many_classes_by_other_names_are_other_classes(run: Any, train_once: Any) -> None:
    digits = data.load("digits").train
    assert digits.labels is not None
    names = np.array([f"class {9 - k}" for k in range(10)])
    np.savez("renamed.npz", x=digits.images, y=names[digits.labels])
    train_once(*OPTIONS, "--epochs", 1)
    result = run("train", "--data", "renamed.npz", "--epochs", 1, "--weights", "runs/train-1")
    assert "the last layer, dense3, is new" in result.err


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--model", "cnn", "--weights", "runs/train-1"], 1, "give --model lenet, the network"),
        (["--model", "softmax", "--weights", "runs/train-1"], 1, "give --model lenet, the network"),
        (["--weights", "nowhere"], 4, "there is no run in nowhere"),
        (["--weights", "junk.safetensors"], 4, "junk.safetensors"),
    ],
)
def test_weights_that_do_not_fit(
    run: Any, train_once: Any, args: list[str], code: int, says: str
) -> None:
    train_once(*OPTIONS, "--epochs", 1)
    Path("junk.safetensors").write_bytes(b"junk")
    result = run("train", *OPTIONS, "--epochs", 1, *args)
    assert result.code == code, result.err
    assert says in result.err
    assert not Path("runs/train-2").exists()


def test_a_change_of_scale_is_said(run: Any, train_once: Any) -> None:
    train_once(*OPTIONS, "--epochs", 1, "--standardise")
    result = run("train", *OPTIONS, "--epochs", 1, "--weights", "runs/train-1")
    assert "they were trained on pixels * " in result.err
    assert SavedModel.load("runs/train-2").description.scale == 1 / 255


def test_a_resumed_run_does_not_start_again(run: Any, train_once: Any) -> None:
    """The weights to start from may be gone by then."""
    train_once(*OPTIONS, "--epochs", 1)
    run("train", *OPTIONS, "--epochs", 2, "--weights", "runs/train-1")
    Path("runs/train-1").rename("elsewhere")
    before = Path("runs/train-2/weights/last.safetensors").read_bytes()
    assert run("train", "--resume", "runs/train-2").code == 0
    assert Path("runs/train-2/weights/last.safetensors").read_bytes() == before


@pytest.mark.parametrize("optimizer", slow_except(["adam", "sgd"], "adam"))
def test_more_epochs_go_on_to_what_they_would_have_given(run: Any, optimizer: str) -> None:
    """With a constant learning rate, to the very bits."""
    args = [*OPTIONS, "--schedule", "constant", "--optimizer", optimizer, "--model", "mlp"]
    args += ["--validation", 100]
    run("train", *args, "--epochs", 4, "--name", "whole")
    run("train", *args, "--epochs", 2)
    half = Path("runs/train-1/weights/last.safetensors").read_bytes()
    result = run("train", "--resume", "runs/train-1", "--epochs", 4, "--json")
    assert result.code == 0, result.err
    assert "going on with runs/train-1 as runs/train-2, from epoch 2 to 4" in result.err
    assert [e["epoch"] for e in result.events if e["event"] == "epoch"] == [3, 4]
    for which in ("last", "best"):
        (one, _), (other, _) = weights("runs/whole", which), weights("runs/train-2", which)
        for name, array in one.items():
            np.testing.assert_array_equal(array, other[name])
    assert Path("runs/train-1/weights/last.safetensors").read_bytes() == half
    lines = Path("runs/train-2/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4]
    assert "epochs = 4" in Path("runs/train-2/config.toml").read_text()


def test_a_run_that_went_on_can_be_resumed(run: Any, train_once: Any) -> None:
    train_once(*OPTIONS, "--epochs", 1)
    run("train", "--resume", "--epochs", 3)
    assert run("train", "--resume", "runs/train-2").code == 0


@pytest.mark.parametrize(
    ("start", "path", "flags", "made"),
    [
        (".", "runs/train-1", [], "runs/train-2"),
        ("runs", "train-1", [], "runs/train-2"),
        ("runs/train-1", ".", [], "runs/train-2"),
        (".", "link", [], "train-1"),
        (".", "runs/train-1", ["--name", "more"], "runs/more"),
        (".", "runs/train-1", ["--runs-dir", "mine"], "mine/train-1"),
    ],
)
def test_a_run_does_not_choose_where_it_goes_on(
    run: Any,
    train_once: Any,
    monkeypatch: pytest.MonkeyPatch,
    start: str,
    path: str,
    flags: list[str],
    made: str,
) -> None:
    train_once(*OPTIONS, "--epochs", 1)
    Path("link").symlink_to("runs/train-1")
    home, config = Path.cwd(), Path("runs/train-1/config.toml")
    elsewhere = home / "elsewhere"
    config.write_text(config.read_text().replace('runs_dir = "runs"', f'runs_dir = "{elsewhere}"'))
    assert str(elsewhere) in config.read_text()
    monkeypatch.chdir(start)
    result = run("train", "--resume", path, "--epochs", 2, *flags)
    assert result.code == 0, result.err
    assert (home / made / "config.toml").exists()
    assert not elsewhere.exists()


def test_epochs_that_cannot_be_given(run: Any, train_once: Any) -> None:
    train_once(*OPTIONS, "--epochs", 3)
    result = run("train", "--resume", "runs/train-1", "--epochs", 2)
    assert (result.code, "more than 3" in result.err) == (2, True)
    assert run("train", "--resume", "runs/train-1", "--epochs", 3).code == 0
    metrics = Path("runs/train-1/metrics.jsonl")
    metrics.write_text(metrics.read_text().splitlines()[0] + "\n")
    result = run("train", "--resume", "runs/train-1", "--epochs", 9)
    assert result.code == 2
    assert "finish it first: gpucnn train --resume runs/train-1" in result.err


def test_a_run_that_stopped_early(run: Any) -> None:
    idle = ["--validation", 100, "--patience", 1, "--epochs", 9, "--lr", "1e-30"]
    run("train", *OPTIONS, *idle)
    result = run("train", "--resume", "runs/train-1", "--epochs", 20)
    assert result.code == 2
    assert "--weights runs/train-1" in result.err


@pytest.mark.parametrize("model", slow_except(["softmax", "mlp", "cnn"], "mlp"))
def test_weights_bring_their_network(run: Any, train_once: Any, model: str) -> None:
    train_once(*OPTIONS, "--epochs", 1, "--limit-batches", 2, "--model", model)
    Path("moved.safetensors").write_bytes(
        Path("runs/train-1/weights/last.safetensors").read_bytes()
    )
    for source in ("runs/train-1", "runs/train-1/weights/last.safetensors", "moved.safetensors"):
        result = run("train", *OPTIONS, "--weights", source, "--dry-run", "--json")
        assert result.code == 0, result.err
        assert result.events[0]["model"] == model
        assert f"model: {model}, the network of {source}" in result.err
    printed = run("train", "--weights", "runs/train-1", "--print-config").out
    assert f'model = "{model}"' in printed


def test_a_model_that_is_given_is_taken(
    run: Any, train_once: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_once(*OPTIONS, "--epochs", 1, "--limit-batches", 2, "--model", "softmax")
    args = ["train", *OPTIONS, "--weights", "runs/train-1", "--dry-run"]
    Path("c.toml").write_text('model = "mlp"\n')
    for given in (["--model", "mlp"], ["--config", "c.toml"]):
        result = run(*args, *given)
        assert (result.code, "give --model softmax" in result.err) == (1, True)
    monkeypatch.setenv("GPUCNN_MODEL", "mlp")
    assert run(*args).code == 1
    assert run(*args, "--model", "softmax").code == 0


def test_weights_of_images_of_another_shape(run: Any, train_once: Any) -> None:
    train_once(*OPTIONS, "--epochs", 1, "--limit-batches", 2, "--model", "mlp")
    np.savez("small.npz", x=np.zeros((40, 9, 9), np.uint8), y=np.arange(40) % 10)
    result = run("train", "--data", "small.npz", "--weights", "runs/train-1")
    assert result.code == 1
    assert "give images of the shape (1, 28, 28)" in result.err


def test_weights_bring_a_network_of_ones_own_that_is_trusted(run: Any) -> None:
    Path("net.py").write_text("""
from gpucnn import nn

def build(shape, classes):
    return nn.Sequential([nn.Flatten(), nn.Dense(7), nn.Dense(classes)])
""")
    run("train", *OPTIONS, "--epochs", 1, "--model", "net.py:build")
    Path("net.py").unlink()
    args = ["train", *OPTIONS, "--epochs", 1, "--weights", "runs/train-1"]
    result = run(*args)
    assert result.code == 2
    assert "read runs/train-1/model.py, and add" in result.err
    assert run(*args, "--trust-code").code == 0
    code = Path("runs/train-1/model.py").read_text()
    assert Path("runs/train-2/model.py").read_text() == code
    assert run(*args, "--model", "runs/train-1/model.py:build").code == 0
    other = run(*args, "--model", "lenet")
    assert "give --model runs/train-1/model.py:build, the network" in other.err
    Path("moved.safetensors").write_bytes(
        Path("runs/train-1/weights/last.safetensors").read_bytes()
    )
    Path("model.py").write_text("raise SystemExit('this is another network')")
    alone = run("train", *OPTIONS, "--weights", "moved.safetensors", "--trust-code")
    assert (alone.code, "--model my_net.py:build" in alone.err) == (2, True)


@pytest.fixture
def moved(run: Any, letters: Path) -> Path:
    """A run of 2 epochs in runs/train-1, whose data were moved here."""
    result = run("train", "--data", letters, "--model", "softmax", "--epochs", 2)
    assert result.code == 0, result.err
    return letters.rename("elsewhere" + letters.suffix)


@pytest.mark.parametrize("epochs", [[], ["--epochs", 4]])
def test_a_run_whose_data_moved_goes_on(run: Any, moved: Path, epochs: list[Any]) -> None:
    lost = run("train", "--resume", "runs/train-1", *epochs)
    assert lost.code == 4
    assert "gpucnn train --resume runs/train-1 --data PATH" in lost.err
    result = run("train", "--resume", "runs/train-1", *epochs, "--data", moved)
    assert result.code == 0, result.err
    whole = run("train", "--data", moved, "--model", "softmax", "--epochs", 2, "--name", "w")
    assert whole.code == 0
    if epochs:
        assert str(moved.absolute()) in Path("runs/train-2/config.toml").read_text()
    else:
        (one, _), (other, _) = weights("runs/train-1"), weights("runs/w")
        for name, array in one.items():
            np.testing.assert_array_equal(array, other[name])


def test_other_data_are_not_gone_on_with(run: Any, moved: Path) -> None:
    with np.load(moved) as arrays:
        changed = {name: arrays[name].copy() for name in arrays.files}
    next(a for a in changed.values() if a.ndim > 2)[0] ^= 1
    np.savez("changed.npz", **changed)
    before = Path("runs/train-1/weights/last.safetensors").read_bytes()
    for other in ("changed.npz", "digits"):  # one image is another; the classes are others
        for epochs in ([], ["--epochs", 4]):
            result = run("train", "--resume", "runs/train-1", *epochs, "--data", other)
            assert result.code == 4, result.err
            assert "the data set is not the one" in result.err
    assert Path("runs/train-1/weights/last.safetensors").read_bytes() == before
    assert not Path("runs/train-2").exists()


@pytest.mark.parametrize("code", [False, True])
def test_the_command_that_starts_another_run_can_be_typed(
    run: Any, train_once: Any, code: bool
) -> None:
    train_once(*OPTIONS, "--epochs", 1)
    Path("runs/train-1").rename("runs/a run")
    if code:
        Path("runs/a run/model.py").touch()
    result = run("train", "--resume", "runs/a run", "--lr", 1)
    trust = " --trust-code" if code else ""
    command = f"gpucnn train --config 'runs/a run'/config.toml{trust} --lr ..."
    assert (result.code, f"fix: start another: {command}" in result.err) == (2, True), result.err


def test_a_run_that_goes_on_can_be_named(run: Any, train_once: Any) -> None:
    train_once(*OPTIONS, "--epochs", 1)
    assert run("train", "--resume", "--epochs", 2, "--name", "longer").code == 0
    assert Path("runs/longer/weights/last.safetensors").exists()
    taken = run("train", "--resume", "runs/train-1", "--epochs", 2, "--name", "longer")
    assert (taken.code, "runs/longer exists already" in taken.err) == (2, True)
    for epochs in ([], ["--epochs", 1]):  # it stays the same run
        result = run("train", "--resume", "runs/train-1", *epochs, "--name", "other")
        assert (result.code, "--name cannot be changed" in result.err) == (2, True)


def test_the_last_line_says_whose_accuracy_it_is(run: Any) -> None:
    """With --patience the weights to predict with are the best, and the test is of the last."""
    idle = ["--validation", 100, "--lr", "1e-30", "--schedule", "constant"]
    result = run("train", *OPTIONS, *idle, "--patience", 2, "--epochs", 9)
    assert result.out.rstrip().endswith("with the last weights")
    assert "take the best weights, of epoch 1; with --weights last, those of epoch 3" in result.err
    assert "with the last" not in run("train", *OPTIONS, *idle, "--epochs", 3).out
    early = run("train", *OPTIONS, "--validation", 100, "--patience", 9, "--epochs", 1)
    assert "with the last" not in early.out  # they are the best
    assert "take the best" not in early.err
