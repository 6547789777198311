"""Networks of one's own: `--model my_net.py:build`, and that nobody's code runs unasked."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import data, models, training
from gpucnn.errors import DataError, UsageError
from gpucnn.training import Run, SavedModel, checkpoint

SOURCE = """
from dataclasses import dataclass
from pathlib import Path

from gpucnn import functions as F
from gpucnn import nn

Path("executed").touch()


@dataclass
class Sizes:
    hidden: int = 16


class Net(nn.Module):
    def __init__(self, image_shape, classes):
        super().__init__()
        self.stem = nn.Conv2d(4, 3, padding="same", activation="relu")
        self.head = nn.Dense(classes)

    def forward(self, x):
        return self.head(F.flatten(F.max_pool2d(self.stem(x), 2)))


def build(shape, n):
    assert shape == (1, 28, 28) and n == 10
    return Net(shape, n)
"""
OPTIONS = ["--data", "digits", "--epochs", 2, "--limit-batches", 6]


@pytest.fixture
def own(train_once: Any) -> Path:
    """A run of a model of one's own, trained in runs/train-1, whose code was not run since."""
    Path("my_net.py").write_text(SOURCE)
    result = train_once(*OPTIONS, "--model", "my_net.py:build")
    assert result.code == 0, result.err
    assert "next: gpucnn predict runs/train-1 --trust-code FILE" in result.err
    Path("executed").unlink(missing_ok=True)
    return Path("runs/train-1")


def test_it_is_kept_in_the_run(own: Path) -> None:
    assert (own / "model.py").read_text() == SOURCE
    _, description = checkpoint.load_weights(own / "weights" / "last.safetensors")
    assert description["code_sha256"] == hashlib.sha256(SOURCE.encode()).hexdigest()
    assert description["model"] == "model.py:build"


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "runs/train-1"],
        ["predict", "runs/train-1", "x.npy"],
        ["summary", "runs/train-1"],
        ["profile", "runs/train-1"],
        ["train", "--resume", "runs/train-1"],
        ["train", "--resume", "runs/train-1", "--epochs", "3"],
        ["evaluate", "runs/train-1/weights/last.safetensors"],
    ],
)
def test_code_is_run_only_when_it_is_asked_for(own: Path, run: Any, command: list[str]) -> None:
    np.save("x.npy", np.zeros((28, 28), np.uint8))
    result = run(*command)
    assert result.code == 2, result.err
    assert "--trust-code" in result.err
    assert "model.py" in result.err
    assert not Path("executed").exists()
    if command[0] != "profile":
        trusted = run(*command, "--trust-code")
        assert trusted.code == 0, trusted.err
        assert Path("executed").exists()


def test_the_author_names_the_file(own: Path, run: Any) -> None:
    trusted = run("evaluate", own, "--trust-code", "--json")
    assert trusted.code == 0
    named = run("evaluate", own, "--model", "my_net.py:build", "--json")
    assert named.out == trusted.out
    moved = Path("moved.safetensors")
    moved.write_bytes((own / "weights" / "last.safetensors").read_bytes())
    result = run("evaluate", moved, "--model", "my_net.py:build", "--json")
    assert result.events[-1] == trusted.events[-1]
    assert run("evaluate", moved, "--trust-code").code == 2  # there is no copy beside it


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "runs/train-1", "--model", "my_net.py:build"],
        ["evaluate", "runs/train-1", "--trust-code"],
        ["summary", "runs/train-1", "--trust-code"],
        ["train", "--resume", "runs/train-1", "--trust-code"],
        ["train", "--resume", "--trust-code"],
        ["train", "--resume", "runs/train-1", "--epochs", "3", "--trust-code"],
        ["train", "--weights", "runs/train-1", "--data", "digits", "--trust-code"],
        ["train", "--weights", "runs/train-1/weights/last.safetensors", "--trust-code"],
        ["train", "--weights", "runs/train-1", "--trust-code", "--dry-run"],
        ["train", "--weights", "runs/train-1", "--trust-code", "--find-lr"],
        ["train", "--weights", "runs/train-1", "--trust-code", "--sweep", "seed=0,1"],
        ["train", "--sweep", "weights=runs/train-1", "--trust-code"],
    ],
)
def test_other_code_is_refused(own: Path, run: Any, command: list[str]) -> None:
    Path("my_net.py").write_text(SOURCE + "\n# changed\n")
    (own / "model.py").write_text(SOURCE + "\n# changed\n")
    result = run(*command)
    assert result.code == 4, result.err
    assert "is not the code that the weights were trained with" in result.err
    assert not Path("executed").exists()
    assert [path.name for path in Path("runs").glob("[!.]*")] == ["train-1"]


def test_other_code_of_a_run_of_a_sweep_is_refused(run: Any) -> None:
    Path("my_net.py").write_text(SOURCE)
    sweep = [*OPTIONS, "--model", "my_net.py:build", "--sweep", "seed=0,1"]
    assert run("train", *sweep).code == 0
    Path("executed").unlink()
    record = Path("runs/sweep-1/sweep.json")
    rows = json.loads(record.read_text())
    rows["runs"][1] |= {"state": None}
    record.write_text(json.dumps(rows))
    Path("runs/sweep-1/2-seed=1/model.py").write_text(SOURCE + "\n# changed\n")
    result = run("train", "--resume", "runs/sweep-1", "--trust-code")
    assert result.code == 4, result.err
    assert "is not the code that the weights were trained with" in result.err
    assert not Path("executed").exists()


@pytest.mark.parametrize("change", ["code", "digest", "environment"])
def test_code_of_a_run_without_weights(own: Path, run: Any, change: str) -> None:
    """A run that was killed before its first checkpoint has the digest of its code, too."""
    shutil.rmtree(own / "weights")
    (own / "weights").mkdir()
    (own / "metrics.jsonl").unlink()
    environment = own / "environment.json"
    values = json.loads(environment.read_text())
    resume = ["train", "--resume", own, "--trust-code"]
    if change == "code":
        (own / "model.py").write_text(SOURCE + "\n# changed\n")
    elif change == "digest":
        environment.write_text(json.dumps({**values, "code_sha256": ["0" * 1000]}))
    else:
        environment.unlink()
    result = run(*resume)
    assert result.code == 4, result.err
    assert "is not the code that the weights were trained with" in result.err
    assert not Path("executed").exists()
    (own / "model.py").write_text(SOURCE)
    environment.write_text(json.dumps(values))
    assert run(*resume).code == 0


def test_a_damaged_checkpoint_is_said_before_code_is_run(own: Path, run: Any) -> None:
    last = own / "weights" / "last.safetensors"
    last.write_bytes(last.read_bytes()[:-1])
    result = run("train", "--resume", own, "--trust-code")
    assert result.code == 4
    assert "the checkpoint before it, of step 6" in result.err
    assert not Path("executed").exists()


def test_python_does_not_vouch_for_other_code(own: Path) -> None:
    """`fit` takes the network from its caller; the weights name the copy in the run."""
    (own / "model.py").write_text(SOURCE + "\n# changed\n")
    run = Run.open(own)
    with pytest.raises(DataError, match="is not the code that the weights were trained with"):
        training.fit(models.get("softmax"), data.load("digits"), run.config(), run=run, resume=True)


def test_a_config_cannot_smuggle_code_in(run: Any) -> None:
    """A run of a named network whose config.toml was changed to name a file."""
    run("train", *OPTIONS, "--model", "softmax")
    Path("evil.py").write_text(SOURCE)
    config = Path("runs/train-1/config.toml")
    config.write_text(config.read_text().replace('"softmax"', '"evil.py:build"'))
    Path("runs/train-1/model.py").write_text(SOURCE)
    for code, command in (
        (2, ["evaluate", "runs/train-1"]),
        (2, ["evaluate", "runs/train-1", "--trust-code"]),
        (2, ["train", "--resume", "runs/train-1"]),
        (4, ["train", "--resume", "runs/train-1", "--trust-code"]),
        (2, ["train", "--config", config]),
    ):
        result = run(*command)
        assert result.code == code, result.err
        assert not Path("executed").exists()
    assert run("train", "--config", config, "--model", "evil.py:build").code == 0


def test_it_resumes_to_the_same_weights(own: Path, run: Any) -> None:
    run("train", *OPTIONS, "--model", "my_net.py:build", "--checkpoint-every", 3)
    one, other = (Path(f"runs/train-{k}/weights/last.safetensors") for k in (1, 2))
    assert one.read_bytes() == other.read_bytes()


def test_the_library_asks_as_well(own: Path) -> None:
    with pytest.raises(UsageError, match="is code of its author's"):
        SavedModel.load(own)
    assert not Path("executed").exists()
    saved = SavedModel.load(own, trust_code=True)
    test = data.load("digits").test
    assert test is not None
    assert saved.predict(test.images).shape == (360, 10)


@pytest.mark.parametrize(
    ("source", "name", "says"),
    [
        ("x = 1/0", "build", "ZeroDivisionError"),
        ("def build(", "build", "SyntaxError"),
        ("import nowhere_to_be_found", "build", "a run keeps a copy of it alone"),
        ("raise SystemExit(3)", "build", "SystemExit"),
        ("def other(a, b): ...", "build", "no function build"),
        ("def build(): ...", "build", "TypeError"),
        ("def build(shape, classes): return 3", "build", "returned a int"),
        ("def build(shape, classes): raise ValueError('oh')", "build", "ValueError: oh"),
        ("from gpucnn import nn\ndef build(s, n): return nn.Dense(n)", "build", "Flatten()"),
        ("from gpucnn.nn import *\ndef build(s, n): return Sequential([Flatten(), Dense(3)])",
         "build", "the model has 3 outputs, too few"),
        ("from gpucnn.nn import *\ndef build(s, n): return Sequential([Flatten(), Dense(n + 2)])",
         "build", "12 outputs, and the data have 10 classes"),
    ],
)  # fmt: skip
def test_code_that_fails(run: Any, source: str, name: str, says: str) -> None:
    Path("net.py").write_text(source)
    result = run("train", *OPTIONS, "--model", f"net.py:{name}")
    assert result.code in (1, 2), result.err
    assert says in result.err
    assert "Traceback" not in result.err
    assert not Path("runs").exists()


def test_one_output_for_two_classes(run: Any) -> None:
    """With a binary loss this trains elsewhere; here an argmax of one output is always class 0."""
    source = "from gpucnn.nn import *\ndef build(s, n): return Sequential([Flatten(), Dense(1)])"
    Path("net.py").write_text(source)
    np.savez("two.npz", x=np.zeros((20, 4, 4), np.uint8), y=np.arange(20) % 2)
    options = ["--data", "two.npz", "--loss", "binary_cross_entropy"]
    result = run("train", "--model", "net.py:build", *options)
    assert result.code == 2
    assert "1 outputs, and the data have 2 classes" in result.err
    assert not Path("runs").exists()


@pytest.mark.parametrize("model", ["none.py:build", "net.py", "net.py:", "net:build", ":build"])
def test_models_that_cannot_be_found(run: Any, model: str) -> None:
    result = run("train", *OPTIONS, "--model", model)
    assert result.code == 2
    assert model.split(":")[0] in result.err


def test_summary_of_a_file(run: Any) -> None:
    Path("my_net.py").write_text(SOURCE)
    result = run("summary", "--model", "my_net.py:build", "--json")
    assert result.code == 0, result.err
    assert result.events[-1]["parameters"] == 4 * 9 + 4 + 4 * 14 * 14 * 10 + 10


def test_a_path_with_a_folder(run: Any) -> None:
    Path("nets").mkdir()
    Path("nets/my net.py").write_text(SOURCE)
    result = run("train", *OPTIONS, "--model", "nets/my net.py:build", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out.splitlines()[0])["model"] == "nets/my net.py:build"
    assert str(Path("nets/my net.py").absolute()) in Path("runs/train-1/config.toml").read_text()
