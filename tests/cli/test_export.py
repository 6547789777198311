"""gpucnn export."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import data
from gpucnn.training import SavedModel

packaged = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

SHORT = ("--data", "digits", "--epochs", 1, "--limit-batches", 4)
OWN = """
from gpucnn import nn
from gpucnn import functions as F

class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.dense = nn.Dense(classes)

    def forward(self, x):
        return self.dense(F.flatten(x)) {rest}

def build(image_shape, classes):
    return Net(classes)
"""


def compute(file: str, images: np.ndarray) -> np.ndarray:
    """The output of a file for a batch."""
    session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {session.get_inputs()[0].name: images})
    return output


def test_export_says_what_the_file_takes_and_gives(train_once: Any, run: Any) -> None:
    assert train_once(*SHORT).code == 0
    result = run("export", "runs/train-1", "--onnx", "a.onnx", "--check")
    assert result.code == 0, result.err
    file, takes, gives, check = result.out.splitlines()
    assert file.startswith("a.onnx: 12 operations, ")
    assert takes == "input: images, float32 (batch, 1, 28, 28): pixels * 0.00392156863"
    assert gives == "output: logits, float32 (batch, 10): 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert check.startswith(f"check: onnxruntime {runtime.__version__} on 68 random images: ")
    assert "weights: runs/train-1/weights/last.safetensors" in result.err
    assert run("export", "runs/train-1", "--onnx", "a.onnx", "-q").err == ""


def test_export_with_pixels_and_probabilities(train_once: Any, run: Any) -> None:
    args = ["--with-preprocessing", "--probabilities", "--check", "--json"]
    assert train_once(*SHORT, "--standardise").code == 0
    result = run("export", "runs/train-1", "--onnx", "a.onnx", *args)
    (event,) = result.events
    assert event["input"] == {
        "name": "images", "dtype": "uint8", "shape": ["batch", 1, 28, 28],
        "meaning": "pixels from 0 to 255",
    }  # fmt: skip
    assert event["output"]["name"] == "probabilities"
    assert event["check"]["samples"] == 68
    images = data.load("digits").test.images[:50]  # type: ignore[union-attr]
    expected = SavedModel.load("runs/train-1").predict(images)
    assert np.abs(compute("a.onnx", images) - expected).max() < 1e-6
    found = {entry.key: json.loads(entry.value) for entry in packaged.load("a.onnx").metadata_props}
    assert (found["scale"], found["offset"]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("loss", "name"), [("binary_cross_entropy", "probabilities"), ("mean_squared_error", "outputs")]
)
def test_probabilities_of_other_losses(run: Any, loss: str, name: str) -> None:
    run("train", *SHORT, "--model", "softmax", "--loss", loss)
    result = run("export", "runs/train-1", "--onnx", "a.onnx", "--probabilities", "--json")
    assert result.events[0]["output"]["name"] == name
    saved, rng = SavedModel.load("runs/train-1"), np.random.default_rng(1)
    images = rng.integers(0, 256, (5, 1, 28, 28), np.uint8)
    found = compute("a.onnx", images * np.float32(1 / 255))
    assert np.abs(found - saved.predict(images)).max() < 1e-6


def test_export_of_ones_own_network(run: Any) -> None:
    Path("net.py").write_text(OWN.format(rest="* 2"))
    assert run("train", *SHORT, "--model", "net.py:build").code == 0
    assert run("export", "runs/train-1", "--onnx", "a.onnx").code == 2
    assert run("export", "runs/train-1", "--onnx", "a.onnx", "--trust-code", "--check").code == 0
    Path("net.py").write_text(OWN.format(rest="/ len(x)"))
    assert run("train", *SHORT, "--model", "net.py:build").code == 0
    result = run("export", "runs/train-2", "--onnx", "b.onnx", "--trust-code")
    assert result.code == 1
    assert "Net cannot be written as ONNX" in result.err
    assert "its operation Div takes a number" in result.err
    assert not Path("b.onnx").exists()


def test_export_refuses(
    train_once: Any, run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert train_once(*SHORT).code == 0
    assert run("export", "runs/train-1").code == 2
    assert run("export", "runs/none", "--onnx", "a.onnx").code == 4
    assert run("export", "runs/train-1", "--onnx", "none/a.onnx").code == 1
    assert run("export", "runs/train-1", "--onnx", "-").code == 2
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find(name)
    )
    assert run("export", "runs/train-1", "--onnx", "a.onnx").code == 0
    result = run("export", "runs/train-1", "--onnx", "b.onnx", "--check")
    assert result.code == 1
    assert 'pip install "gpucnn[onnx]"' in result.err
    assert not Path("b.onnx").exists()
