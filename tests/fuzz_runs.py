"""Readers of runs, weights and networks, as functions of bytes; for `fuzz_parsers`.

Checksums and the form of JSON keep a fuzzer out. So some inputs are changes of values that are
written with the right checksum.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import json
from typing import Any
from unittest import mock

import numpy as np
from fuzz_files import CORPUS, is_odd, workspace, written

from gpucnn import keras, models, nn, onnx
from gpucnn.nn import room
from gpucnn.nn.layer_graph import LayerGraph, Step
from gpucnn.nn.structure import structure
from gpucnn.onnx import sizes
from gpucnn.training import Run, SavedModel, checkpoint
from gpucnn.training.damage import find_damage
from gpucnn.training.progress import Limits, require_progress
from gpucnn.training.recorded import read_outcome, read_records
from gpucnn.training.sweep import Sweep


def weights(data: bytes) -> None:
    checkpoint.load_weights(written("weights.safetensors", data))


def torch_weights(data: bytes) -> None:
    nn.Linear(3, 2).load_torch_state(written("torch.safetensors", data))


def damaged_run(data: bytes) -> None:
    """A run with these weights: what `gpucnn runs` says of it, and a checkpoint in it."""
    run = Run(workspace() / "damaged")
    run.weights.mkdir(parents=True, exist_ok=True)
    run.last.write_bytes(data)
    find_damage(run)
    checkpoint.load(run.weights)


@functools.cache
def _described() -> dict[str, tuple[dict[str, Any], nn.Module]]:
    """Descriptions of weights files by a short name, and the networks that they describe."""
    networks = {
        "softmax": models.get("softmax", 2),
        "dense": nn.Sequential([nn.Flatten(), nn.Linear(4, 2, activation="relu")]),
        "conv": nn.Sequential([nn.Conv2d(2, 2), nn.BatchNorm2d(), nn.MaxPool2d(1), nn.Flatten()]),
        "graph": LayerGraph(
            {"flatten": nn.Flatten(), "linear": nn.Linear(4, 2)},
            [Step("a", "flatten", ("input",), {}), Step("b", "linear", ("a",), {})],
            {},
        ),
        "residual": nn.Sequential([nn.Flatten(), nn.Residual(nn.Linear(4, 4)), nn.Linear(4, 2)]),
    }
    found = {}
    for name, network in networks.items():
        described = {
            "step": 6, "epoch": 2, "model": None, "loss": "softmax_cross_entropy",
            "data": "digits", "seed": 0, "validation": 0, "image_shape": [1, 2, 2],
            "class_names": ["a", "b"], "label_values": ["a", "b"], "scale": 1.0, "offset": 0.0,
            "reading": {"image_shape": [1, 2, 2]}, "read": "", "network": structure(network),
        }  # fmt: skip
        if name == "softmax":
            described |= {"model": name, "network": None}
        found[name] = described, network.build((1, 2, 2))
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    model.compile("adam", "mse", metrics=["mae"])
    model.save(workspace() / "keras.safetensors")
    _, described = checkpoint.load_weights(workspace() / "keras.safetensors")
    return found | {"keras": (described, model)}


def edited(data: bytes, base: Any) -> Any:
    """A copy of JSON values, changed by the lines of an input but the first.

    A line is "network.layers.0.class: VALUE"; without a colon it deletes. A value that is no JSON
    is a text. So any bytes are JSON of about the right form.
    """
    changed = {"": copy.deepcopy(base)}
    for line in data.decode(errors="replace").split("\n")[1:16]:
        path, colon, text = line.partition(":")
        *places, last = ["", *filter(None, path.strip().split("."))]
        with contextlib.suppress(LookupError, TypeError, ValueError):
            inside: Any = changed
            for place in places:
                inside = inside[int(place) if isinstance(inside, list) else place]
            key = int(last) if isinstance(inside, list) else last
            if colon:
                inside[key] = _value(text.strip())
            else:
                del inside[key]
    return changed.get("")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


@functools.cache
def _networks() -> dict[bytes, Any]:
    """The ONNX files of the corpus as JSON values, by name."""
    from google.protobuf.json_format import MessageToDict
    from onnx import ModelProto

    found = sorted((CORPUS / "onnx").glob("*.onnx"))
    return {
        file.stem.encode(): MessageToDict(ModelProto.FromString(file.read_bytes()))
        for file in found
    }


def network(data: bytes) -> None:
    """A file, or that of the corpus which the first line names, changed by the other lines."""
    from google.protobuf.json_format import ParseDict
    from onnx import ModelProto

    base = _networks().get(data.split(b"\n")[0])
    if base is not None:
        with contextlib.suppress(Exception):  # of protobuf: the values are no network
            data = ParseDict(edited(data, base), ModelProto()).SerializeToString()
    path = written("network.onnx", data)
    with mock.patch.object(sizes, "LARGEST", 2**20):  # a larger result takes a second
        onnx.load(path)
        onnx.convert(path, workspace() / "converted.safetensors")


def description(data: bytes) -> None:
    """A weights file with the description that the first line names, changed by the others."""
    bases = _described()
    described, made = bases.get(data.split(b"\n")[0].decode("latin-1"), bases["softmax"])
    found = edited(data, described)
    if isinstance(found, dict):
        path = workspace() / "described.safetensors"
        checkpoint.save_weights(path, made.state_dict(), found)
        with mock.patch.object(room, "LARGEST", 2**20):  # a larger result takes a second
            keras.load_model(path) if "keras" in found else SavedModel.load(path)


_PROGRESS = {
    "description": {"step": 6, "epoch": 2},
    "progress": {
        "seconds": 2.0,
        "epoch_seconds": 0.0,
        "records": [
            {
                "epoch": number, "loss": 0.5, "accuracy": 0.5, "val_loss": 0.5,
                "val_accuracy": 0.25, "images_per_second": 9.0, "seconds": 1.0,
                "learning_rate": 0.1,
            }
            for number in (1, 2)
        ],
    },
    "state": {"step_count": [6], "totals": [0.0, 20.0]},
}  # fmt: skip


def progress(data: bytes) -> None:
    """The parts of a checkpoint, changed by the lines of the input."""
    found = edited(data, _PROGRESS)
    parts = [found.get(name) for name in _PROGRESS] if isinstance(found, dict) else [None]
    if not all(isinstance(part, dict) for part in parts):
        return
    description, reached, numbers = parts
    state = {}
    for name, values in numbers.items():
        with contextlib.suppress(ValueError, OverflowError):
            state[name] = np.asarray(values)
    if any(array.dtype.kind not in "biuf" for array in state.values()):
        return
    weights = {"weight": np.ones(2, np.float32)}
    limits = Limits(steps_per_epoch=3, total_steps=12, images=40, validates=is_odd(data))
    needed = {name: np.asarray(values) for name, values in _PROGRESS["state"].items()}
    require_progress(checkpoint.Checkpoint(weights, description, state, reached), limits, needed)


def records(data: bytes) -> None:
    read_records(written("metrics.jsonl", data))


def outcome(data: bytes) -> None:
    read_outcome(written("outcome.json", data))


def sweep(data: bytes) -> None:
    Sweep.open(written("sweep.json", data).parent)
