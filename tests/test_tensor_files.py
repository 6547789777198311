"""Reading safetensors files: the arrays of the package safetensors, in little memory."""

from __future__ import annotations

import hashlib
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from gpucnn import nn, tensor_files
from gpucnn.errors import DataError
from gpucnn.training.checkpoint import DamagedError, load_weights, read_metadata, save_weights

MB = 10**6
DESCRIBED = {"gpucnn": '{"format":1,"epoch":1}'}
SIZED = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}


def write(path: Path, header: Any, content: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.safetensors"


@pytest.mark.parametrize("dtype", [*"bhilBHILefd?F"])
def test_arrays_are_those_of_the_package(file: Path, dtype: str, rng: np.random.Generator) -> None:
    shapes = {"b": (3, 5), "a.weight": (2, 3, 1, 4), "one": (), "empty": (0, 4), "": (7,)}
    arrays = {
        name: np.asarray(rng.integers(0, 2, shape)).astype(dtype) for name, shape in shapes.items()
    }
    safetensors.numpy.save_file(arrays, file, {"by": "é"})
    found, metadata = tensor_files.read(file)
    expected = safetensors.numpy.load_file(file)
    assert found.keys() == expected.keys() == arrays.keys()
    for name, array in expected.items():
        assert (found[name].dtype.str, found[name].shape) == (array.dtype.str, array.shape)
        assert found[name].tobytes() == array.tobytes() == arrays[name].tobytes()
        assert found[name].flags.writeable
    assert metadata == tensor_files.read_metadata(file) == {"by": "é"}


def test_the_digest_is_of_the_bytes_in_the_order_of_the_axes(tmp_path: Path) -> None:
    arrays = {
        "b": np.arange(12, dtype=np.float32).reshape(3, 4).T, "a": np.array(True),
        "c": np.zeros((2, 0), np.float64), "d": np.arange(20, dtype=np.int16)[::3],
    }  # fmt: skip
    sha = hashlib.sha256(json.dumps({"epoch": 2, "format": 1}, sort_keys=True).encode())
    for name in "abcd":
        array = arrays[name]
        sha.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode() + array.tobytes())
    assert save_weights(tmp_path / "w", arrays, {"epoch": 2}) == sha.hexdigest()
    found, _ = load_weights(tmp_path / "w")
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())


def test_weights_take_the_memory_of_their_arrays(tmp_path: Path) -> None:
    file = tmp_path / "w"
    save_weights(file, {name: np.zeros((4, MB), np.float32) for name in "abc"}, {"epoch": 1})
    tracemalloc.start()
    load_weights(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 48 * MB <= peak < 49 * MB


HEADERS: dict[str, tuple[Any, str]] = {
    "lists": ({"__metadata__": {"gpucnn": '{"x":[' + "[]," * 400_000 + "[]]}"}}, "values"),
    "objects": ({"__metadata__": {"gpucnn": "[" + "{}," * 400_000 + "{}]"}}, "values"),
    "arrays": ({"__metadata__": DESCRIBED} | {f"t{k}": SIZED for k in range(60_000)}, "values"),
    "axes": ({"a": SIZED | {"shape": [1] * 400_000 + [0]}}, "values"),
    "keys": ({"__metadata__": {f"k{k}": "" for k in range(400_000)}}, "values"),
    "depth": ({"__metadata__": {"gpucnn": "[" * 400_000}}, "values"),
    "text": ({"__metadata__": {"gpucnn": "x" * 10 * MB}}, "bytes"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_is_bounded_before_it_is_parsed(
    file: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    header, says = HEADERS[name]
    write(file, header)
    net = nn.Sequential([nn.Dense(2)]).build((3,))
    monkeypatch.setattr(safetensors, "safe_open", None)
    wanted = rf"its header has more than .* {says}, and GPUCNN_MAX_INPUT_MB is not set"
    tracemalloc.start()
    try:
        with pytest.raises(OSError, match=wanted):
            read_metadata(file)
        with pytest.raises(DamagedError) as damaged:
            load_weights(file)
        with pytest.raises(DataError) as of_torch:
            net.load_torch_state(file)
        assert tracemalloc.get_traced_memory()[1] < 2 * file.stat().st_size + 4 * MB
    finally:
        tracemalloc.stop()
    assert says in damaged.value.cause
    assert says in of_torch.value.cause


def test_the_user_allows_a_larger_header(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUCNN_MAX_INPUT_MB", "4096")
    write(file, {"__metadata__": {"gpucnn": json.dumps({"epoch": [0] * 400_000})}})
    assert len(read_metadata(file)["epoch"]) == 400_000


def test_a_file_is_as_large_as_the_limit_allows(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 5 * 10**9  # of which nothing is on the disk
    big = {"a": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}
    write(file, {"__metadata__": DESCRIBED} | big)
    os.truncate(file, file.stat().st_size + size)
    for read in (load_weights, nn.Sequential([nn.Dense(2)]).build((3,)).load_torch_state):
        with pytest.raises(DataError) as error:
            read(file)
        assert "GPUCNN_MAX_INPUT_MB sets the limit" in error.value.cause
    with pytest.raises(OSError, match="GPUCNN_MAX_INPUT_MB sets the limit"):
        read_metadata(file)
    monkeypatch.setenv("GPUCNN_MAX_INPUT_MB", "6000")
    assert read_metadata(file) == {"format": 1, "epoch": 1}


@pytest.mark.parametrize(
    ("header", "content"),
    [
        (b"", b""),
        (b"{", b""),
        (b"[]", b""),
        (b'{"a":null}', b""),
        ({"a": SIZED | {"shape": [-1]}}, b""),
        ({"a": SIZED | {"shape": [2**63, 2**63]}}, b""),
        ({"a": SIZED | {"shape": [1]}}, bytes(4)),
        ({"a": SIZED | {"data_offsets": [4, 4]}}, bytes(4)),
        ({"a": SIZED}, b"more"),
        ({"__metadata__": {"gpucnn": 3}}, b""),
    ],
)
def test_what_is_no_such_file(file: Path, header: Any, content: bytes) -> None:
    write(file, header, content)
    with pytest.raises(ValueError, match="header"):
        tensor_files.read(file)
    with pytest.raises(DamagedError):
        load_weights(file)


@pytest.mark.parametrize("header", [b'{"__metadata__":null}', b"{}", b'{"__metadata__":{}}'])
def test_a_file_without_metadata(file: Path, header: bytes) -> None:
    assert tensor_files.read(write(file, header)) == ({}, {})
    with pytest.raises(DamagedError):
        load_weights(file)


def test_a_claimed_length_beyond_the_file(file: Path) -> None:
    for length in (3, 10**9, 2**63, 2**64 - 1):
        file.write_bytes(length.to_bytes(8, "little") + b"{}")
        with pytest.raises(ValueError, match="header"):
            tensor_files.read_metadata(file)
