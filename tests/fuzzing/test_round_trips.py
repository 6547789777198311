"""What was written comes back: each parser gives the right values, and not only no error."""

from __future__ import annotations

import gzip
import io
import json
import math
import shutil
import struct
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fuzz_files
import fuzz_requests
import numpy as np
import pytest
import safetensors.numpy
from data_files import picture_folder
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gpucnn import nn, onnx
from gpucnn.data.csv import read_table
from gpucnn.data.idx import IMAGES, LABELS, parse_labels, read_idx
from gpucnn.data.image import Upload, open_image
from gpucnn.data.loading import find, load
from gpucnn.errors import DataError, UsageError
from gpucnn.training import Run, TrainConfig, checkpoint
from gpucnn.training.grid import parse_grid, word

few = settings(max_examples=20)
IMAGE_SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(4, 6))
NAMES = st.text(
    st.characters(exclude_categories=("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs")),
    min_size=1,
    max_size=8,
)


def images(shapes: Any = IMAGE_SHAPES, values: int = 256) -> st.SearchStrategy[Any]:
    return arrays(np.uint8, shapes, elements=st.integers(0, values - 1))


def normal(names: list[str]) -> list[str]:
    """Names as the readers give them: stripped, with composed letters."""
    return [unicodedata.normalize("NFC", name.strip()) for name in names]


def folded(name: str) -> str:
    """The same text for names that a file system may take for one."""
    return unicodedata.normalize("NFKC", name).casefold()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("round-trips")
    fuzz_files.close()


# ---- data ------------------------------------------------------------------------------------


@given(
    start=st.sampled_from([b"", b"\x00\x00\x08\x03", b"\x00\x00\x08\x01", b"\x1f\x8b"]),
    rest=st.binary(max_size=64),
    dimensions=st.sampled_from([IMAGES, LABELS]),
)
def test_any_bytes_as_idx(place: Path, start: bytes, rest: bytes, dimensions: int) -> None:
    content = start + rest
    path = place / "random-idx"
    path.write_bytes(content)
    try:
        array = read_idx(path, dimensions)
    except DataError as error:
        refused = error.message
    else:
        refused = None
    if refused is not None:
        assert str(path) in refused
        return
    assert struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions]) == array.shape
    assert array.tobytes() == content[4 + 4 * dimensions :]


@given(
    shape=st.lists(st.integers(0, 4), min_size=3, max_size=3),
    cut=st.integers(-3, 3),
    packed=st.booleans(),
)
def test_idx_of_the_right_length_only(
    place: Path, shape: list[int], cut: int, packed: bool
) -> None:
    values = bytes(i % 256 for i in range(max(math.prod(shape) + cut, 0)))
    content = struct.pack(">BBBB3I", 0, 0, 8, 3, *shape) + values
    path = place / "length-idx"
    path.write_bytes(gzip.compress(content) if packed else content)
    if len(values) == math.prod(shape) == 0:
        with pytest.raises(DataError, match=r"length-idx has (no images|images without pixels)"):
            read_idx(path, IMAGES)
    elif len(values) == math.prod(shape):
        array = read_idx(path, IMAGES)
        assert array.shape == tuple(shape)
        assert array.tobytes() == values
    else:
        with pytest.raises(DataError, match="its header says"):
            read_idx(path, IMAGES)


@few
@given(table=arrays(np.int32, st.tuples(st.integers(1, 4), st.integers(0, 9))))
def test_idx_tables_of_labels(table: Any) -> None:
    content = struct.pack(">4B2I", 0, 0, 12, 2, *table.shape) + table.astype(">i4").tobytes()
    if table.size:
        assert parse_labels(content, Path("labels")).tolist() == table[:, 0].tolist()
    else:
        with pytest.raises(DataError, match="rows without labels"):
            parse_labels(content, Path("labels"))


@given(
    order=st.permutations(["label", "id", *(f"pixel{k}" for k in range(9))]),
    separator=st.sampled_from([",", ";", "\t"]),
    quoted=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_columns_of_a_table_in_any_order(
    place: Path, order: list[str], separator: str, quoted: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    pixels, labels = rng.integers(0, 256, (5, 9)), rng.integers(0, 40, 5)
    mark = '"' if quoted else ""
    lines = [separator.join(f"{mark}{name}{mark}" for name in order)]
    for k in range(5):
        row = {"label": labels[k], "id": f"r{k}"} | {f"pixel{j}": pixels[k, j] for j in range(9)}
        lines.append(separator.join(f"{mark}{row[name]}{mark}" for name in order))
    path = place / "any-order.csv"
    path.write_text("\n".join(lines))
    table = read_table(path)
    np.testing.assert_array_equal(table.pixels, pixels)
    np.testing.assert_array_equal(table.labels, labels)
    assert table.ids == [f"r{k}" for k in range(5)]


@few
@given(
    pixels=images(),
    dtype=st.sampled_from(["u1", "<i2", ">i4", "<i8", "<f4", ">f8"]),
    fortran=st.booleans(),
    packed=st.booleans(),
    names=st.sampled_from([("x", "y"), ("images", "labels"), ("X_train", "y_train")]),
    data=st.data(),
)
def test_npz(
    place: Path, pixels: Any, dtype: str, fortran: bool, packed: bool, names: Any, data: Any
) -> None:
    assume(pixels.max() > 1)  # zeros and ones are black and white
    labels = data.draw(st.lists(NAMES.map(lambda t: f"a{t}"), min_size=1).map(lambda t: t * 9))
    labels = labels[: len(pixels)]
    stored = np.asarray(pixels.astype(dtype), order="F" if fortran else "C")
    path = place / "arrays.npz"
    (np.savez_compressed if packed else np.savez)(path, **{names[0]: stored, names[1]: labels})
    (part,) = find(path).parts
    np.testing.assert_array_equal(part.images[:, 0], pixels)
    assert part.labels is not None
    assert normal(labels) == part.labels.tolist()


@few
@given(
    labels=st.lists(st.integers(0, 9), min_size=2, max_size=4, unique=True),
    seed=st.integers(0, 9),
)
def test_cifar(place: Path, labels: list[int], seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 3, 32, 32), np.uint8)
    path = place / "data_batch_1.bin"
    path.write_bytes(
        b"".join(bytes([k]) + x.tobytes() for k, x in zip(labels, pixels, strict=True))
    )
    found = load(path, validation=0).train
    np.testing.assert_array_equal(found.images, pixels)
    assert found.labels is not None
    assert found.labels.tolist() == labels
    assert found.class_names[9] == "truck"


@few
@given(
    pixels=images(st.tuples(st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 3]))),
    kind=st.sampled_from(["PNG", "BMP", "TIFF", "WEBP", "PPM"]),
)
def test_pictures(pixels: Any, kind: str) -> None:
    from PIL import Image

    pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    assume(kind != "WEBP" or pixels.ndim == 3)  # it stores colors
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **({"lossless": True} if kind == "WEBP" else {}))
    np.testing.assert_array_equal(open_image(Upload(stream.getvalue(), "it")), pixels)


@few
@given(names=st.lists(NAMES, min_size=2, max_size=4, unique_by=folded))
def test_folders_of_pictures(place: Path, names: list[str]) -> None:
    """A class for each folder, in whatever script; "/" is in no name."""
    names = [f"c{name}".replace("/", "-") for name in names]
    root = place / "pictures"
    shutil.rmtree(root, ignore_errors=True)
    pixels = np.arange(4 * len(names), dtype=np.uint8).reshape(-1, 2, 2) + 2
    picture_folder(root, pixels, names)
    (part,) = find(root).parts
    assert part.labels is not None
    found = dict(zip(part.labels.tolist(), part.images[:, 0].tolist(), strict=True))
    assert found == dict(zip(normal(names), pixels.tolist(), strict=True))


# ---- runs ------------------------------------------------------------------------------------

FINITE = st.floats(-(2.0**99), 2.0**99, width=32)
FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@few
@given(
    weights=st.dictionaries(
        st.text(max_size=5),
        arrays(
            st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_]),
            st.lists(st.integers(0, 3), max_size=3).map(tuple),
        ),
        max_size=3,
    ),
    description=st.dictionaries(st.text(max_size=5), JSON, max_size=4),
)
def test_weights(place: Path, weights: dict[str, Any], description: dict[str, Any]) -> None:
    assume("__metadata__" not in weights)
    assume(not {"format", "sha256", "weights_sha256"} & description.keys())
    path = place / "weights.safetensors"
    checkpoint.save_weights(path, weights, description)
    found, said = checkpoint.load_weights(path)
    assert said == json.loads(json.dumps(description))
    assert found.keys() == weights.keys()
    for name, array in weights.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


@few
@given(weight=arrays(np.float32, (2, 3), elements=FINITE), bias=arrays(np.float32, 2))
def test_weights_of_pytorch(place: Path, weight: Any, bias: Any) -> None:
    path = place / "torch.safetensors"
    safetensors.numpy.save_file({"weight": weight, "bias": np.nan_to_num(bias)}, path)
    layer = nn.Linear(3, 2)
    layer.load_torch_state(path)
    state = layer.state_dict()
    np.testing.assert_array_equal(state["weight"].T, weight)
    np.testing.assert_array_equal(state["bias"], np.nan_to_num(bias))


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "epochs": st.integers(1, 2**40),
        "seed": st.integers(0, 2**62),
        "learning_rate": st.floats(1e-9, 1e9),
        "model": st.sampled_from(["lenet", "mlp"]),
        "standardise": st.booleans(),
        "data_dir": st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
        .filter(lambda text: not text.startswith("~")),
        "validation": st.integers(0, 99),
        "name": NAMES.map(lambda name: f"n{name}".replace("/", "-")),
    },
)  # fmt: skip


@few
@given(options=OPTIONS)
def test_configurations(place: Path, options: dict[str, Any]) -> None:
    config = TrainConfig(**options)
    path = place / "config.toml"
    path.write_text(config.to_toml(), encoding="utf-8", newline="")
    assert TrainConfig.load(path, env={}) == config
    variables = {f"GPUCNN_{key.upper()}": word(value) for key, value in options.items()}
    assert TrainConfig.load(env=variables) == config


@few
@given(
    rates=st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=4, unique=True),
    low=st.integers(0, 99),
    count=st.integers(0, 9),
)
def test_grids(rates: list[float], low: int, count: int) -> None:
    texts = [f"lr={','.join(map(word, rates))}", f"seed={low}..{low + count}"]
    grid = {"learning_rate": rates, "seed": [*range(low, low + count + 1)]}
    assert parse_grid(texts) == grid


@few
@given(
    numbers=st.lists(
        st.tuples(FLOAT32, st.none() | st.floats(0, 1), st.text(max_size=3)), max_size=4
    ),
    cut=st.integers(1, 20),
)
def test_metrics(place: Path, numbers: list[Any], cut: int) -> None:
    """All records come back; of a file that was cut short, all but the last."""
    run = Run(place)
    records = [
        {
            "epoch": k,
            "loss": loss,
            "accuracy": 0.5,
            "seconds": 1.0,
            "val_accuracy": other,
            "x": text,
        }
        for k, (loss, other, text) in enumerate(numbers, 1)
    ]
    run.write_metrics(records)
    assert run.records() == records
    content = run.metrics.read_bytes()
    run.metrics.write_bytes(content[:-cut])
    assert run.records() == records[: len(records) - (cut > 1)]


@few
@given(seconds=st.floats(0, 1e9), cause=st.none() | st.text(max_size=9))
def test_outcomes(place: Path, seconds: float, cause: str | None) -> None:
    run, error = Run(place), UsageError("a message", cause=cause)
    run.end("diverged", seconds, error)
    found = run.outcome()
    assert (found["reason"], found["seconds"]) == ("diverged", seconds)
    assert (found["message"], found["cause"]) == ("a message", error.cause)


# ---- networks and requests -------------------------------------------------------------------


@settings(max_examples=8)
@given(
    weight=arrays(np.float32, (4, 3), elements=st.floats(-9, 9, width=32)),
    x=arrays(np.float32, (2, 1, 2, 2), elements=st.floats(-9, 9, width=32)),
)
def test_onnx(place: Path, weight: Any, x: Any) -> None:
    network = nn.Sequential([nn.Flatten(), nn.Linear(4, 3)]).build((1, 2, 2)).eval()
    state = {name: np.ones_like(array) for name, array in network.state_dict().items()}
    network.load_state_dict({name: weight if a.ndim == 2 else a for name, a in state.items()})
    onnx.export(network, place / "network.onnx")
    found = onnx.load(place / "network.onnx")(x).numpy()
    np.testing.assert_allclose(found, x.reshape(2, 4) @ weight + 1, rtol=1e-5, atol=1e-4)


@few
@given(pixels=images(st.tuples(st.integers(2, 4), st.just(2), st.just(2))))
def test_requests(pixels: Any) -> None:
    """The network gives the pixels of the image, so that the answer tells them."""
    assume(all(image.max() > 1 for image in pixels))
    status, answer = fuzz_requests.ask(json.dumps(pixels.tolist()).encode())
    assert status == 200
    for image, each in zip(pixels, answer["predictions"], strict=True):
        powers = np.exp(image.reshape(-1) / 255)
        found = [each["probabilities"][name] for name in "abcd"]
        np.testing.assert_allclose(found, powers / powers.sum(), rtol=1e-5)
