"""Readers of files and of texts, as functions of bytes; for `fuzz_parsers`."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

from gpucnn.data.idx import read_labels
from gpucnn.data.image import Upload, open_picture
from gpucnn.data.loading import find, load
from gpucnn.data.mnist_form import convert
from gpucnn.data.reading import parse_shape, parse_size
from gpucnn.training import TrainConfig
from gpucnn.training.grid import parse_grid

CORPUS = Path(__file__).parent / "fuzzing" / "corpus"

kept: list[Any] = []  # what `close` ends: objects with a method `cleanup`


def close() -> None:
    """End the threads, and delete the files."""
    for made in kept:
        made.cleanup()
    kept.clear()
    workspace.cache_clear()


@functools.cache
def workspace() -> Path:
    """A folder in memory, if the system has one; it is deleted at the end of the process."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    made = tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory)
    kept.append(made)
    return Path(made.name)


def written(name: str, data: bytes) -> Path:
    path = workspace() / name
    path.write_bytes(data)
    return path


def is_odd(data: bytes) -> bool:
    """One of two ways to read an input: the fuzzer finds inputs for both."""
    return len(data) % 2 == 1


def _load(path: Path, labeled: bool) -> None:
    """Read data as `gpucnn train` does, or as `gpucnn predict`."""
    if labeled:
        load(path)
    else:
        find(path, labeled=False)


def idx(data: bytes) -> None:
    if data[3:4] in (b"\1", b"\2"):
        read_labels(written("train-labels-idx1-ubyte", data))
    else:
        _load(written("images-idx3-ubyte", data), False)


def table(data: bytes) -> None:
    _load(written("table.csv", data), is_odd(data))


def npy(data: bytes) -> None:
    _load(written("array.npy", data), False)


def npz(data: bytes) -> None:
    _load(written("arrays.npz", archive(data)), is_odd(data))


BETWEEN = b"\n--\n"


def archive(data: bytes) -> bytes:
    """A zip file as it is; other bytes as the members of one: NAME, a line end, the content.

    So an altered array comes with the checksum of its content.
    """
    if data.startswith(b"PK"):
        return data
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for number, member in enumerate(data.split(BETWEEN)):
            name, _, content = member.partition(b"\n")
            text = name.decode("latin-1").replace("\0", "")[:100]
            text = f"{text or number}.npy"
            if text not in file.namelist():
                file.writestr(zipfile.ZipInfo(text), content)
    return stream.getvalue()


def cifar(data: bytes) -> None:
    _load(written("data_batch_1.bin", data), not is_odd(data))


def picture(data: bytes) -> None:
    picture, _ = open_picture(Upload(with_checksums(data), "the picture"))
    convert(picture, "the picture")


_PNG = b"\x89PNG\r\n\x1a\n"


def with_checksums(data: bytes) -> bytes:
    """A PNG file of an even length with right checksums of its chunks; other bytes as they are."""
    if not data.startswith(_PNG) or is_odd(data):
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


def pictures(data: bytes) -> None:
    """A folder with files of the names in the lines of the input; "a/" is an empty folder."""
    folder = workspace() / "pictures"
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
        _load(folder, is_odd(data))
    finally:
        shutil.rmtree(folder)


@functools.cache
def _pixels() -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.new("L", (2, 2), 9).save(stream, "PNG")
    return stream.getvalue()


# ---- texts -----------------------------------------------------------------------------------


def configuration(data: bytes) -> None:
    TrainConfig.load(written("config.toml", data), env={})


def _lines(data: bytes) -> list[str]:
    return data.decode("utf-8", "surrogateescape").split("\n")[:8]


def grid(data: bytes) -> None:
    parse_grid(_lines(data))


def variables(data: bytes) -> None:
    """Lines NAME=VALUE as the environment."""
    pairs = (line.replace("\0", "").partition("=") for line in _lines(data))
    TrainConfig.load(env={f"GPUCNN_{name}": value for name, _, value in pairs})


def shape(data: bytes) -> None:
    parse_shape(_lines(data)[0])


def size(data: bytes) -> None:
    parse_size(_lines(data)[0])
