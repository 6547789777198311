"""Names that no file can have: each reader and writer says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gpucnn import data, keras, nn
from gpucnn.errors import GpucnnError
from gpucnn.training import Run, SavedModel, checkpoint
from gpucnn.training.sweep import Sweep
from gpucnn.writing import write_atomic

LONG = "n" * 300  # the most is 255 on the file systems of Linux


def model() -> keras.Sequential:
    return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])


USES: dict[str, Callable[[str], object]] = {
    "data": data.load,
    "data_dir": lambda name: data.load("mnist", data_dir=name),
    "run": Run.open,
    "saved model": SavedModel.load,
    "weights": lambda name: checkpoint.load_weights(Path(name)),
    "checkpoint": lambda name: checkpoint.load(Path(name)),
    "sweep": lambda name: Sweep.open(Path(name)),
    "keras.load_model": keras.load_model,
    "keras.load_weights": lambda name: model().load_weights(name),
    "keras.save": lambda name: model().save(name),
    "load_torch_state": lambda name: nn.Linear(3, 2).load_torch_state(name),
    "write_atomic": lambda name: write_atomic(Path(name), b""),
}


@pytest.mark.parametrize("name", [LONG, f"{LONG}.safetensors", f"{LONG}/a", "\0.safetensors"])
@pytest.mark.parametrize("use", USES)
def test_a_name_that_no_file_can_have(
    use: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GpucnnError) as caught:
        USES[use](name)
    assert caught.value.fix
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [f"{LONG}.onnx", "\0.onnx"])
def test_an_onnx_file_of_such_a_name(name: str) -> None:
    pytest.importorskip("onnx")
    from gpucnn import onnx

    with pytest.raises(GpucnnError, match="cannot be read"):
        onnx.load(name)


def test_the_reason_why_there_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name, cause in {
        LONG: "File name too long",
        "none": "no such directory",
        "file": "it is a file, not a directory",
        ".": "it has no config.toml",
    }.items():
        with pytest.raises(GpucnnError) as caught:
            Run.open(tmp_path / name)
        assert caught.value.cause == cause
