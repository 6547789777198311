"""Bounds on ONNX files: each file beyond them is refused in little time and memory."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_graphs import DENSE, ROWS, W, chain, file, helper, node, packaged

from gpucnn import onnx
from gpucnn.errors import DataError
from gpucnn.onnx import reading
from gpucnn.onnx.fields import count_fields

MODEL = packaged.ModelProto.DESCRIPTOR
RELU: tuple[str, list[str], dict[str, Any]] = ("Relu", [], {})


def varint(value: int) -> bytes:
    content = b""
    while value > 127:
        content += bytes([value & 127 | 128])
        value >>= 7
    return content + bytes([value])


def field(number: int, content: bytes) -> bytes:
    """A message or a text as a field of another message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


MANY = 25_000
#: Places of very many small fields: the numbers are those of onnx.proto.
CONTENTS: dict[str, bytes] = {
    "nodes": field(7, field(1, b"") * MANY),
    "inputs of a node": field(7, field(1, field(1, b"x") * MANY)),
    "attributes": field(7, field(1, field(5, b"") * MANY)),
    "arrays": field(7, field(5, b"") * MANY),
    "axes of an array": field(7, field(5, b"\x08\x01" * MANY)),
    "axes in a list": field(7, field(5, field(1, b"\x01" * MANY))),
    "numbers of an attribute": field(7, field(1, field(5, field(8, b"\x01" * MANY)))),
    "floats of an attribute": field(7, field(1, field(5, field(7, bytes(4 * MANY))))),
    "types of values": field(7, field(13, b"") * MANY),
    "axes of the input": field(7, field(11, field(2, field(1, field(2, field(1, b"") * MANY))))),
    "metadata": field(14, b"") * MANY,
    "functions": field(25, b"") * MANY,
    "numbers of one byte": b"\x08\x01" * MANY,
    "nothing known": field(15, b"") * MANY,
    "graphs in attributes": field(7, field(1, field(5, field(6, field(1, b"") * MANY)))),
}


@pytest.mark.parametrize("about", CONTENTS)
def test_fields_are_counted_before_they_are_parsed(
    tmp_path: Path, about: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(CONTENTS[about])
    monkeypatch.setattr(packaged, "ModelProto", type("No", (), {"DESCRIPTOR": MODEL}))
    monkeypatch.setattr(reading, "_MOST_FIELDS", 20_000)
    with pytest.raises(DataError, match="too many names, sizes and other fields") as error:
        onnx.load(path)
    assert error.value.cause == "at most 20,000 are read"


def test_the_numbers_of_arrays_are_not_counted(tmp_path: Path) -> None:
    arrays = {
        "raw": helper.make_tensor("raw", 1, (MANY,), bytes(4 * MANY), raw=True),
        "floats": helper.make_tensor("floats", 1, (MANY,), [0.5] * MANY),
        "integers": helper.make_tensor("integers", 7, (MANY,), [1] * MANY),
        "bytes": helper.make_tensor("bytes", 3, (MANY,), [1] * MANY),
    }
    path = file(tmp_path / "a.onnx", [node("Flatten", "x", to="a"), node("Relu", "a")])
    model = packaged.load(path)
    model.graph.initializer.extend(arrays.values())
    packaged.save(model, path)
    assert count_fields(path.read_bytes(), MODEL, 300_000) < 100
    assert len(onnx.load(path).steps) == 2


def test_the_count_is_that_of_the_parsed_file(tmp_path: Path) -> None:
    def counted(message: Any) -> int:
        count = 0
        for known, value in message.ListFields():
            members = [value] if isinstance(value, (bytes, str, int, float)) else value
            members = [value] if hasattr(value, "ListFields") else members
            count += len(members)
            if known.message_type:
                count += sum(map(counted, members))
        return count

    path = file(tmp_path / "a.onnx", chain(*[RELU] * 300, ("Flatten", [], {"axis": 1})), w=W)
    content = path.read_bytes()
    whole = count_fields(content, MODEL, 10**9)
    assert whole == counted(packaged.ModelProto.FromString(content)) > 300 * 4
    for most in (0, 1, whole - 1):
        assert count_fields(content, MODEL, most) > most


@pytest.mark.parametrize(
    "content",
    [
        b"\x3a",
        b"\x3a\x05abc",
        field(7, b"\x0a\x7f"),
        field(7, field(1, b"\x0a\x05x")) + b"more and more",
        b"\x08" + b"\xff" * 10**6,
        b"\x0b" * 10**6,
        b"\x09\x01",
    ],
    ids=["size", "cut", "inside", "behind", "number", "form", "fixed"],
)
def test_bytes_that_are_no_message(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(DataError, match="no ONNX file, or is cut short"):
        onnx.load(tmp_path / "a.onnx")
    with pytest.raises(ValueError, match=r"no end|longer than|has the form"):
        count_fields(content, MODEL, 300_000)


def sizes(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


BEYOND: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "sum": ([node("Sum", *["x"] * 20_000)], {}, "at most 10,000 calls"),
    "composed": (chain(*[("Elu", [], {})] * 2000), {}, "at most 10,000 calls"),
    "perm": ([node("Transpose", "x", perm=[*range(9000)])], {}, r"its perm is \[0, 1"),
    "long perm": ([node("Transpose", "x", perm=[*range(20_000)])], {}, "too long: perm"),
    "shape": ([node("Reshape", "x", "s")], {"s": sizes(*[1] * 20_000)}, "more than 10,000"),
    "axes": ([node("Reshape", "x", "s")], {"s": sizes(-1, *[1] * 99)}, "100 axes"),
    "unsqueeze": ([node("Unsqueeze", "x", "s")], {"s": sizes(*range(1, 99))}, "axes"),
    "huge sizes": ([node("Reshape", "x", "s")], {"s": sizes(*[2**60] * 9999)}, "9,999 axes"),
    "filled": ([node("ConstantOfShape", "s")], {"s": sizes(*[2**60] * 9999)}, "numbers"),
    "indices": ([node("Gather", "x", "s", axis=1)], {"s": sizes(*[0] * 20_000)}, "10,000"),
    "operands": ([node("Concat", *["x"] * 5000, axis=0)], {}, "it joins"),
    "mode": ([node("Pad", "x", "s", mode="m" * 9999)], {"s": sizes(*[0] * 8)}, "its mode is mm"),
    "missing": ([node("Relu", "m" * 9999)], {}, "gives its input mm"),
    "output": ([node("Relu", "x", to="z")], {}, "no node gives its output 'y'"),
    "kernel": ([node("MaxPool", "x", kernel_shape=[1] * 9999)], {}, "its kernel_shape are"),
    "copies": (
        [node("Mul", "w", "w", to=f"v{k}") for k in range(400)] + [node("Relu", "x")],
        {"w": np.ones((300, 300))}, "many times those in the file",
    ),
    "scaled weights": (
        [node("Flatten", "x", to="f")]
        + [node("Gemm", "f", "w", to=f"v{k}", alpha=2.0 + k) for k in range(400)]
        + [node("Relu", "x")],
        {"w": np.ones((60, 1500))}, "many times those in the file",
    ),
}  # fmt: skip


@pytest.mark.parametrize("about", BEYOND)
def test_a_network_beyond_the_bounds(tmp_path: Path, about: str) -> None:
    nodes, arrays, says = BEYOND[about]
    path = file(tmp_path / "a.onnx", nodes, **arrays)
    begun = time.process_time()
    with pytest.raises(DataError, match=says) as error:
        onnx.load(path)
    assert time.process_time() - begun < 2
    assert len(f"{error.value.args[0]}{error.value.cause}") < 1000


@pytest.mark.parametrize("axes", [33, 65, 100, 1000])
def test_an_input_of_very_many_axes(tmp_path: Path, axes: int) -> None:
    path = file(tmp_path / "a.onnx", [node("Relu", "x")], shape=("n", *[1] * axes))
    with pytest.raises(DataError, match=r"the input x of .* has the shape") as error:
        onnx.load(path)
    assert len(str(error.value)) < 600


def test_an_array_of_very_many_axes(tmp_path: Path) -> None:
    path = file(tmp_path / "a.onnx", [node("Relu", "x")])
    model = packaged.load(path)
    model.graph.initializer.add(name="w", data_type=1, dims=[2**62] * 50_000)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(DataError, match=r"the array w of .* has 50,000 axes"):
        onnx.load(path)


@pytest.mark.parametrize("length", [207, 208, 10**6])
def test_a_long_name_is_not_kept(tmp_path: Path, length: int) -> None:
    name = "n" * (length - 7) + ".weight"
    path = file(tmp_path / "a.onnx", [node("Gemm", "x", name)], **{name: DENSE}, **ROWS)
    model = packaged.load(path)
    model.graph.name = name
    packaged.save(model, path)
    net = onnx.load(path)
    kept = len(name[:-7]) <= 200
    assert [*net.named_children().keys()] == [name[:-7] if kept else "dense1"]
    assert net.name == name[:200]
