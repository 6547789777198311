"""ONNX files in onnxruntime, beside the networks that they were made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from onnx_cases import vary

from gpucnn import nn, no_grad, onnx
from gpucnn.cli import outcome
from gpucnn.cli.main import main
from gpucnn.training import SavedModel

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

Run = Callable[..., np.ndarray]


@pytest.fixture
def compute() -> Run:
    """The output of a file for arrays, computed by onnxruntime."""

    def run(path: Path, *inputs: np.ndarray) -> np.ndarray:
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        names = [port.name for port in session.get_inputs()]
        (output,) = session.run(None, dict(zip(names, inputs, strict=True)))
        return output

    return run


@pytest.fixture
def exported(tmp_path: Path, compute: Run) -> Callable[..., Any]:
    """Export a network, built for the shapes, and compare both in batches of 1 and 5.

    Returns:
        The content of the file, checked by onnx.
    """
    import onnx as packaged

    def both(model: nn.Module, *shapes: tuple[int, ...]) -> Any:
        rng = np.random.default_rng(3)
        model.build(*shapes, channels_first=True)
        vary(model, rng)
        path = tmp_path / "network.onnx"
        onnx.export(model, path)
        for batch in (1, 5):
            inputs = [rng.normal(size=(batch, *shape)).astype(np.float32) for shape in shapes]
            with model.evaluating(), no_grad():
                expected = model(*inputs).numpy()
            found = compute(path, *inputs)
            assert found.shape == expected.shape
            assert found.dtype == np.float32
            assert np.abs(found - expected).max() <= 1e-5 * max(1, np.abs(expected).max())
        content = packaged.load(path)
        packaged.checker.check_model(content, full_check=True)
        return content

    return both


@pytest.fixture(scope="session")
def train(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., SavedModel]:
    """`gpucnn train` of a lenet on digits, without pictures, with more options."""

    def run(*options: str) -> SavedModel:
        folder = tmp_path_factory.mktemp("trained")
        where = ("--device", "cpu", "--runs-dir", str(folder))
        words = ["train", "--data", "digits", *where, *options]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(outcome, "save_pictures", lambda *given: None)
            assert CliRunner().invoke(main, words).exit_code == 0
        return SavedModel.load(folder / "train-1")

    return run


@pytest.fixture(scope="session")
def trained(train: Callable[..., SavedModel]) -> SavedModel:
    """A lenet that was trained on a few digits."""
    return train("--epochs", "1", "--limit-batches", "4")
