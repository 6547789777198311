"""The parsers of what strangers hand in, as functions of bytes: for the tests and for `fuzz.py`.

`PARSERS` has one entry for each kind of input. `check` holds the promise of them all: a parser
takes its input, or raises an error of `gpucnn.errors` with a message, a cause and a fix that are
short and printable. Any other exception is a fault of the parser.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import io
import json
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from gpucnn import keras, models, nn, onnx
from gpucnn.data.idx import read_labels
from gpucnn.data.image import Upload, open_picture
from gpucnn.data.loading import find, load
from gpucnn.data.mnist_form import convert
from gpucnn.data.reading import parse_shape, parse_size
from gpucnn.errors import DataError, DivergedError, DtypeError, GpucnnError, UsageError
from gpucnn.errors import WeightsMismatchError as MismatchError
from gpucnn.nn import room
from gpucnn.nn.layer_graph import LayerGraph, Step
from gpucnn.nn.structure import structure
from gpucnn.onnx import sizes
from gpucnn.quoting import LONGEST, on_its_lines
from gpucnn.serving.app import App
from gpucnn.training import Run, SavedModel, TrainConfig, checkpoint, progress
from gpucnn.training.damage import find_damage
from gpucnn.training.description import Description
from gpucnn.training.grid import parse_grid
from gpucnn.training.recorded import read_outcome, read_records
from gpucnn.training.sweep import Sweep

CORPUS = Path(__file__).parent / "fuzzing" / "corpus"
_LONGEST_MESSAGE = 2_500  # characters of an error; its fix may list all layers of ONNX

Read = Callable[[bytes], object]


@dataclass(frozen=True)
class Parser:
    """A kind of input.

    Attributes:
        reads: the readers of it; each is given the whole input.
        errors: the errors that they are documented to raise.
        tokens: words of the format, which help a fuzzer.
        max_bytes: of the inputs that a fuzzer makes.
    """

    reads: tuple[Read, ...]
    errors: tuple[type[GpucnnError], ...] = (DataError,)
    tokens: tuple[bytes, ...] = ()
    max_bytes: int = 2048


def check(name: str, data: bytes) -> list[GpucnnError]:
    """Give an input to the readers of a parser.

    Returns:
        The errors by which they refused it; none if they took it.

    Raises:
        AssertionError: an error is not of a kind that is documented, is too long, or has characters
            that a terminal obeys.
        Exception: a fault of a reader.
    """
    parser = PARSERS[name]
    refused = []
    for read in parser.reads:
        try:
            read(data)
        except GpucnnError as error:
            refused.append(error)
    for error in refused:
        _check_error(error, parser, data)
    return refused


def _check_error(error: GpucnnError, parser: Parser, data: bytes) -> None:
    shown = str(error)
    assert isinstance(error, parser.errors), f"{type(error).__name__}: {shown}"
    assert error.message, repr(error)
    assert error.fix, f"an error without a fix: {shown}"
    assert len(shown) <= _LONGEST_MESSAGE, f"a message of {len(shown):,} characters: {shown[:300]}"
    assert on_its_lines(shown) == shown, ascii(shown)
    if len(data) > LONGEST < len(shown):
        text = data.decode(errors="replace")
        for line in shown.split("\n"):
            for start in range(len(line) - LONGEST - 9):
                part = line[start : start + LONGEST + 10]
                assert part not in text, f"{len(part)} characters of the input: {part}"


# ---- files -----------------------------------------------------------------------------------


@functools.cache
def _folder() -> Path:
    """A folder in memory, if the system has one; it is deleted at the end of the process."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    made = tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory)
    _kept.append(made)
    return Path(made.name)


_kept: list[Any] = []


def _written(name: str, data: bytes) -> Path:
    path = _folder() / name
    path.write_bytes(data)
    return path


def _is_odd(data: bytes) -> bool:
    """One of two ways to read an input: the fuzzer finds inputs for both."""
    return len(data) % 2 == 1


def _load(path: Path, labeled: bool) -> None:
    """Read data as `gpucnn train` does, or as `gpucnn predict`."""
    if labeled:
        load(path)
    else:
        find(path, labeled=False)


def _idx(data: bytes) -> None:
    if data[3:4] in (b"\1", b"\2"):
        read_labels(_written("train-labels-idx1-ubyte", data))
    else:
        _load(_written("images-idx3-ubyte", data), False)


def _table(data: bytes) -> None:
    _load(_written("table.csv", data), _is_odd(data))


def _npy(data: bytes) -> None:
    _load(_written("array.npy", data), False)


def _npz(data: bytes) -> None:
    _load(_written("arrays.npz", archive(data)), _is_odd(data))


_BETWEEN = b"\n--\n"


def archive(data: bytes) -> bytes:
    """A zip file as it is; other bytes as the members of one: NAME, a line end, the content.

    So an altered array comes with the checksum of its content.
    """
    if data.startswith(b"PK"):
        return data
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for number, member in enumerate(data.split(_BETWEEN)):
            name, _, content = member.partition(b"\n")
            text = name.decode("latin-1").replace("\0", "")[:100]
            text = f"{text or number}.npy"
            if text not in file.namelist():
                file.writestr(zipfile.ZipInfo(text), content)
    return stream.getvalue()


def _cifar(data: bytes) -> None:
    _load(_written("data_batch_1.bin", data), not _is_odd(data))


def _picture(data: bytes) -> None:
    picture, _ = open_picture(Upload(with_checksums(data), "the picture"))
    convert(picture, "the picture")


_PNG = b"\x89PNG\r\n\x1a\n"


def with_checksums(data: bytes) -> bytes:
    """A PNG file of an even length with right checksums of its chunks; other bytes as they are."""
    if not data.startswith(_PNG) or _is_odd(data):
        return data
    found, place = bytearray(data), len(_PNG)
    while place + 12 <= len(found):
        (size,) = struct.unpack_from(">I", found, place)
        end = place + 8 + size
        if end + 4 > len(found):
            break
        struct.pack_into(">I", found, end, zlib.crc32(found[place + 4 : end]))
        place = end + 4
    return bytes(found)


def _pictures(data: bytes) -> None:
    """A folder with files of the names in the lines of the input; "a/" is an empty folder."""
    folder = _folder() / "pictures"
    folder.mkdir()
    try:
        for line in data.split(b"\n")[:12]:
            parts = [part for part in line.split(b"/")[:5] if part not in (b"", b".", b"..")]
            path = folder / os.fsdecode(b"/".join(parts)).replace("\0", "")
            with contextlib.suppress(OSError):  # a name that no file can have
                if line.endswith(b"/"):
                    path.mkdir(parents=True)
                else:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(_pixels())
        _load(folder, _is_odd(data))
    finally:
        shutil.rmtree(folder)


@functools.cache
def _pixels() -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.new("L", (2, 2), 9).save(stream, "PNG")
    return stream.getvalue()


# ---- runs ------------------------------------------------------------------------------------


def _configuration(data: bytes) -> None:
    TrainConfig.load(_written("config.toml", data), env={})


def _weights(data: bytes) -> None:
    checkpoint.load_weights(_written("weights.safetensors", data))


def _torch_weights(data: bytes) -> None:
    nn.Linear(3, 2).load_torch_state(_written("torch.safetensors", data))


def _damaged_run(data: bytes) -> None:
    """A run with these weights: what `gpucnn runs` says of it, and a checkpoint in it."""
    run = Run(_folder() / "damaged")
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
    model.save(_folder() / "keras.safetensors")
    _, described = checkpoint.load_weights(_folder() / "keras.safetensors")
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

    files = sorted((CORPUS / "onnx").glob("*.onnx"))
    return {
        file.stem.encode(): MessageToDict(ModelProto.FromString(file.read_bytes()))
        for file in files
    }


def _network(data: bytes) -> None:
    """A file, or that of the corpus which the first line names, changed by the other lines."""
    from google.protobuf.json_format import ParseDict, ParseError
    from onnx import ModelProto

    base = _networks().get(data.split(b"\n")[0])
    if base is not None:
        with contextlib.suppress(ParseError, TypeError, ValueError, AttributeError):
            data = ParseDict(edited(data, base), ModelProto()).SerializeToString()
    path = _written("network.onnx", data)
    with mock.patch.object(sizes, "LARGEST", 2**20):  # a larger result takes a second
        onnx.load(path)
        onnx.convert(path, _folder() / "converted.safetensors")


def _description(data: bytes) -> None:
    """A weights file with the description that the first line names, changed by the others."""
    bases = _described()
    described, network = bases.get(data.split(b"\n")[0].decode("latin-1"), bases["softmax"])
    found = edited(data, described)
    if isinstance(found, dict):
        path = _folder() / "described.safetensors"
        checkpoint.save_weights(path, network.state_dict(), found)
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


def _progress(data: bytes) -> None:
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
    limits = progress.Limits(steps_per_epoch=3, total_steps=12, images=40, validates=_is_odd(data))
    needed = {name: np.asarray(values) for name, values in _PROGRESS["state"].items()}
    progress.check(checkpoint.Checkpoint(weights, description, state, reached), limits, needed)


def _records(data: bytes) -> None:
    read_records(_written("metrics.jsonl", data))


def _outcome(data: bytes) -> None:
    read_outcome(_written("outcome.json", data))


def _sweep(data: bytes) -> None:
    Sweep.open(_written("sweep.json", data).parent)


# ---- texts -----------------------------------------------------------------------------------


def _lines(data: bytes) -> list[str]:
    return data.decode("utf-8", "surrogateescape").split("\n")[:8]


def _grid(data: bytes) -> None:
    parse_grid(_lines(data))


def _variables(data: bytes) -> None:
    """Lines NAME=VALUE as the environment."""
    pairs = (line.replace("\0", "").partition("=") for line in _lines(data))
    TrainConfig.load(env={f"GPUCNN_{name}": value for name, _, value in pairs})


def _shape(data: bytes) -> None:
    parse_shape(_lines(data)[0])


def _size(data: bytes) -> None:
    parse_size(_lines(data)[0])


# ---- requests --------------------------------------------------------------------------------


@functools.cache
def _server() -> tuple[App, asyncio.AbstractEventLoop]:
    described = {
        "image_shape": [1, 2, 2],
        "class_names": ["a", "b", "c", "d"],
        "scale": 1 / 255,
        "offset": 0.0,
        "reading": {"image_shape": [1, 2, 2], "convert": "none"},
    }
    model = nn.Flatten().build((1, 2, 2))  # gives the pixels
    path = Path("weights")
    saved = SavedModel(model, path, TrainConfig(), Description.of(described, path))
    app, loop = App(saved), asyncio.new_event_loop()

    class Ending:
        def cleanup(self) -> None:
            app.close()
            loop.close()

    _kept.append(Ending())
    return app, loop


def close() -> None:
    """End the threads, and delete the files."""
    for made in _kept:
        made.cleanup()
    _kept.clear()
    _folder.cache_clear()
    _server.cache_clear()


def ask(data: bytes) -> tuple[int, Any]:
    """The status and the JSON that the server answers to a body.

    Its first bytes tell its content type: JSON, or a form; a zero byte is followed by the type
    itself and a line end, a one by the numbers and brackets of an array. Other bodies are pictures.
    """
    kind, body = b"image/png", data
    if data.startswith((b"[", b"{")):
        kind = b"application/json"
    elif data.startswith(b"--"):
        kind = b"multipart/form-data; boundary=" + data[2:].partition(b"\r\n")[0]
    elif data.startswith(b"\1"):
        kind, body = b"application/json", _array(data[1:])
    elif data.startswith(b"\0"):
        kind, _, body = data[1:].partition(b"\n")
    app, loop = _server()
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/predict", "raw_path": b"/predict", "root_path": "", "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", kind.strip())],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    loop.run_until_complete(app(scope, receive, send))
    return sent[0]["status"], json.loads(b"".join(part["body"] for part in sent[1:]))


_NUMBERS = ("0", "1", "2", "255", "256", "-1", "0.5", "1e999", "1e-9", "true", "null", '"a"')


def _array(data: bytes) -> bytes:
    """An array in JSON: bytes are brackets and numbers, and missing brackets are added."""
    text, depth = "[", 1
    for byte in data:
        if byte % 16 < len(_NUMBERS):
            text += f"{_NUMBERS[byte % 16]},"
        elif byte % 2 or depth == 1:
            text, depth = text + "[", depth + 1
        else:
            text, depth = f"{text.removesuffix(',')}],", depth - 1
    for _ in range(depth):
        text = f"{text.removesuffix(',')}],"
    return text[:-1].encode()


class _Answer(GpucnnError):
    """The error in an answer of the server."""


def _request(data: bytes) -> None:
    status, answer = ask(data)
    if status != 200:
        assert status in (400, 413, 415, 422), (status, answer)
        error = answer["error"]
        raise _Answer(error["message"], cause=error["cause"], fix=error["fix"])
    for each in answer["predictions"]:
        assert set(each["probabilities"]) == {"a", "b", "c", "d"}


_KEYS = tuple(f"\n{key}: ".encode() for key in Description.__dataclass_fields__)

PARSERS = {
    "idx": Parser((_idx,), tokens=(b"\0\0\x08\x03", b"\0\0\x08\x01", b"\0\0\x0c\x02", b"\x1f\x8b")),
    "table": Parser(
        (_table,),
        tokens=(
            b"label,", b"pixel0,", b"id,", b"p1x1,", b"sep=;", b"# ", b'"', b"\r\n", b"\t",
            b"a.png", b"2.55e+02", b"0.5", b"\xff\xfe", b"\xef\xbb\xbf", b"0,1,2,3,4",
        ),
    ),
    "npy": Parser((_npy,), tokens=(
        b"\x93NUMPY\x01\0", b"'descr': ", b"'|u1'", b"'<f8'", b"'shape': ", b"(1, 2, 2)",
        b"'fortran_order': ", b"'|O'", b"'<U3'", b"'<f2'", b"'<c8'", b"'<M8[s]'",
    )),
    "npz": Parser((_npz,), tokens=(
        _BETWEEN, b"x_train\n", b"y_test\n", b"images\n", b"labels\n", b"arr_0\n",
        b"\x93NUMPY\x01\0", b"'descr': ", b"'|u1'", b"'shape': ", b"PK\x03\x04", b"PK\x05\x06",
    )),
    "cifar": Parser((_cifar,), max_bytes=6146),
    "picture": Parser((_picture,), tokens=(
        b"IHDR", b"IDAT", b"PLTE", b"tRNS", b"IEND", b"acTL", b"eXIf", b"GIF89a", b"BM", b"P5\n",
        b"\xff\xd8", b"\xff\xdb", b"\xff\xc0", b"\xff\xda", b"II*\0", b"MM\0*", b"RIFF", b"WEBP",
    )),
    "folder": Parser((_pictures,), tokens=(
        b"train/", b"val/", b"test/", b".png", b".csv", b".zip", b"train-images-idx3-ubyte",
        b"data_batch_1.bin", b".DS_Store", b"labels.csv", b"/0/", b"__MACOSX/", b"\n",
    )),
    "onnx": Parser((_network,), (DataError, UsageError), tokens=(
        b"gemm\n", b"conv\n", b"math\n", b"norm\n", b"shape\n", b"transpose\n", b"opType: ",
        b"\ngraph.node.0.", b"\ngraph.node.1.", b"attribute.0.", b"ints: ", b"floats: ", b"type: ",
        b"\ngraph.initializer.0.", b"dims: ", b"dataType: ", b"rawData: ", b"\ngraph.input.0.",
        b"type.tensorType.shape.dim.1.dimValue: ", b"\nproducerName: gpucnn",
        b"\nmetadataProps.0.key: class_names", b"\nmetadataProps.0.value: ", b"input: ",
        b"output: ", b"-1", b"1000000000",
    )),
    "weights": Parser(
        (_weights, _torch_weights, _damaged_run),
        (DataError, DivergedError, DtypeError, MismatchError, UsageError),
        tokens=(
            b'"__metadata__":', b'"gpucnn":', b'"dtype":', b'"F32"', b'"BF16"', b'"shape":',
            b'"data_offsets":', b'"F8_E4M3"', b'"weight"', b'"bias"', b"[0,4]", b'"state":',
        ),
    ),
    "description": Parser(
        (_description,),
        (DataError, DivergedError, MismatchError, UsageError),
        tokens=(
            b"softmax\n", b"dense\n", b"conv\n", b"graph\n", b"residual\n", b"keras\n", *_KEYS,
            b"\nnetwork.layers.0.", b"\nnetwork.layers.1.", b"arguments.", b"\nnetwork.steps.0.",
            b"out_features: ", b"filters: ", b"kernel_size: ", b'class: "Linear"', b'{"again": 0}',
            b"null", b"1e999", b"NaN", b"[]", b"{}",
        ),
    ),
    "progress": Parser((_progress,), tokens=(
        b"\ndescription.step: ", b"\ndescription.epoch: ", b"\nprogress.records.0.", b"loss: ",
        b"\nprogress.seconds: ", b"\nstate.totals: ", b"\nstate.step_count: ", b"accuracy: ",
        b"NaN", b"1e999", b"true", b"null", b"[]",
    )),
    "metrics": Parser((_records, _outcome, _sweep), tokens=(
        b'{"epoch": 1, "loss": ', b'"seconds": ', b'"accuracy": ', b'"val_accuracy": ', b"NaN",
        b'"runs": [{', b'"run": ', b'"settings": ', b'"reason": ', b'"date": ', b"true", b"null",
    )),
    "configuration": Parser((_configuration,), (UsageError,), tokens=(
        *(f"{key} = ".encode() for key in TrainConfig.__dataclass_fields__),
        b'"""', b"1979-05-27T07:32:00Z", b"inf", b"0x", b"[[a]]",
    )),
    "options": Parser((_grid, _variables, _shape, _size), (UsageError,), tokens=(
        *(f"{key.upper()}=".encode() for key in TrainConfig.__dataclass_fields__),
        b"lr=", b"seed=0..4", b"..", b"28x28", b"3x32x32", b"batch-size=",
    )),
    "request": Parser((_request,), (_Answer,), tokens=(
        b"\0application/json\n", b"\0image/png\n", b"--e\r\n", b"\0multipart/form-data; boundary=",
        b"\r\n--e--\r\n", b'Content-Disposition: form-data; filename="a"\r\n\r\n',
        b'{"canvas": "data:image/png;base64,', b"[[0, 1], [2, 255]]", b"1e999", b"NaN",
    )),
}  # fmt: skip
