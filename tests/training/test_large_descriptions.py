"""Weights files whose description asks for much more memory than the file has."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import keras, nn
from gpucnn.errors import DataError, ShapeError
from gpucnn.nn import room
from gpucnn.nn.layer_graph import LayerGraph, Step
from gpucnn.nn.room import room_for
from gpucnn.nn.structure import structure
from gpucnn.training import SavedModel, checkpoint
from gpucnn.training.described import for_classes

SIDE = 256  # of the images


def layers(*each: nn.Module) -> dict[str, Any]:
    return structure(nn.Sequential(each))


def graph(*steps: Step, **constants: list[int]) -> dict[str, Any]:
    last = Step("last", "dense", (steps[-1].output,))
    return structure(LayerGraph({"dense": nn.Dense(2)}, [*steps, last], constants))


def doubled(times: int) -> list[Step]:
    names = ["input", *(f"twice{k}" for k in range(times))]
    return [
        Step(after, "F.concat", (before, before), {"axis": 1})
        for before, after in itertools.pairwise(names)
    ]


HUGE = {
    "a dense layer": layers(nn.Flatten(), nn.Dense(10**8)),
    "a convolution": layers(nn.Conv2d(10**8, 3), nn.Flatten(), nn.Dense(2)),
    "a kernel": layers(nn.Conv2d(1, 30_000, padding=30_000), nn.Flatten(), nn.Dense(2)),
    "a border": layers(nn.Conv2d(1, 1, padding=10**5), nn.Flatten(), nn.Dense(2)),
    "a constant": graph(Step("a", "F.add", ("input", "c")), c=[10**9]),
    "every row with every column": graph(
        Step("rows", "F.reshape", ("input",), {"sizes": [0, SIDE**2, 1]}),
        Step("columns", "F.reshape", ("input",), {"sizes": [0, 1, SIDE**2]}),
        Step("all", "F.mul", ("rows", "columns")),
    ),
    "copies": graph(
        *[Step("many", "F.take", ("input",), {"axis": 1, "where": [0] * 5000})],
    ),
    "doubled again and again": graph(*doubled(30)),
}


def save(path: Path, **description: Any) -> Path:
    described = {
        "image_shape": [1, SIDE, SIDE],
        "class_names": ["a", "b"],
        "scale": 1.0,
        "offset": 0.0,
        "model": None,
    }
    checkpoint.save_weights(path, {"w": np.zeros(2, np.float32)}, described | description)
    return path


def load_to_train(path: Path) -> nn.Module:
    return for_classes(path, 2)


@pytest.mark.parametrize("read", [SavedModel.load, load_to_train])
@pytest.mark.parametrize("name", HUGE)
def test_networks_of_a_small_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, read: Callable[[Path], object]
) -> None:
    monkeypatch.setattr(room, "LARGEST", 2**20)  # as it is, the doubled one takes a second
    path = save(tmp_path / "w.safetensors", network=HUGE[name])
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="describes a network that cannot be made") as error:
            read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "ShapeError" in (error.value.cause or "")
    assert peak < 64e6


@pytest.mark.parametrize("change", [{"class_names": 7}, {"image_shape": "x"}, {"image_shape": []}])
def test_other_values_beside_a_network(tmp_path: Path, change: dict[str, Any]) -> None:
    network = layers(nn.Flatten(), nn.Dense(2))
    with pytest.raises(DataError):
        for_classes(save(tmp_path / "w.safetensors", network=network, **change), 2)


@pytest.mark.parametrize("shape", [[1, 10**6, 10**6], [2**40]])
def test_images_of_a_small_file(tmp_path: Path, shape: list[int]) -> None:
    path = save(tmp_path / "w.safetensors", image_shape=shape, model="softmax")
    with pytest.raises(DataError, match="describes no model"):
        SavedModel.load(path)


def test_a_model_that_does_not_take_its_images(tmp_path: Path) -> None:
    path = save(tmp_path / "w.safetensors", image_shape=[1, 2, 2], model="lenet")
    with pytest.raises(DataError, match="describes no model") as error:
        SavedModel.load(path)
    assert "kernel does not fit" in (error.value.cause or "")


def nested(times: int) -> dict[str, Any]:
    described = structure(nn.Flatten())
    for _ in range(times):
        described = {"class": "Residual", "name": None, "body": described, "shortcut": None}
    return described


def test_a_network_that_is_nested_deeply(tmp_path: Path) -> None:
    path = save(tmp_path / "w.safetensors", network=nested(300))
    with pytest.raises(DataError, match="describes a network that cannot be made"):
        SavedModel.load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"arguments": {"units": 10**8}},
        {"arguments": {"units": [2]}},
        {"again": 7},
        {"class": "Nothing"},
        nested(300),
    ],
)
def test_a_file_of_keras(tmp_path: Path, change: dict[str, Any]) -> None:
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    model.save(tmp_path / "m.safetensors")
    weights, description = checkpoint.load_weights(tmp_path / "m.safetensors")
    description["keras"]["layers"][-1] |= change
    checkpoint.save_weights(tmp_path / "m.safetensors", weights, description)
    with pytest.raises(DataError, match="a model that cannot be made"):
        keras.load_model(tmp_path / "m.safetensors")


def test_the_bounds_end_with_the_file() -> None:
    with pytest.raises(ShapeError), room_for({}):
        nn.Linear(2000, 2000).build((2000,))
    with room_for({"w": np.zeros((2000, 2000))}):
        nn.Linear(2000, 2000).build((2000,))
    nn.Linear(2000, 2000).build((2000,))
