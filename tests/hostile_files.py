"""Hostile files, and the functions that make them."""

from __future__ import annotations

import io
import os
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gpucnn.training.checkpoint import load_weights, read, save, save_weights

RUN = "runs/train-1"  # a run of a softmax regression on images of 1 x 8 x 8
LAST = f"{RUN}/weights/last.safetensors"

Content = bytes | str | Callable[[Path], None]  # of a file, or a function that makes it


# ---- what is no file, and folders ---------------------------------------------------------


def fifo(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def unix_socket(path: Path) -> None:
    here = os.open(path.parent, os.O_RDONLY)  # the name of a socket may have 108 bytes
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


def broken_folder(path: Path) -> None:
    for name in ("a", "b"):
        (path / name).mkdir(parents=True)
        (path / name / "0.png").write_bytes(png(8, 8, bytes(72)))
        (path / name / "1.png").write_bytes(b"no picture")


def dangling_folder(path: Path) -> None:
    for name in ("a", "b"):
        (path / name).mkdir(parents=True)
        (path / name / "0.png").symlink_to("nowhere.png")


def empty_folder(path: Path) -> None:
    for name in ("a", "b"):
        (path / name).mkdir(parents=True)


# ---- data ------------------------------------------------------------------------------------


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def npy(header: str, content: bytes = b"") -> bytes:
    """An npy file of this header, whatever it says."""
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def png(width: int, height: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def archive(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        for name in names:
            made.writestr(name, bytes(1000))
    return stream.getvalue()


# ---- weights ---------------------------------------------------------------------------------


def changed(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Replace the content of a file by a change of it."""

    def write(path: Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return write


def described(**values: Any) -> Callable[[Path], None]:
    """Write the weights of the run with another description, and a digest that is right."""

    def write(path: Path) -> None:
        weights, description = load_weights(path.parent / LAST)
        save_weights(path, weights, {**description, **values})

    return write


def resumed(**values: Any) -> Callable[[Path], None]:
    """Write the last checkpoint of the run with another description, and digests that are right."""

    def write(path: Path) -> None:
        found = read(path.parent)
        save(path.parent, replace(found, description={**found.description, **values}))

    return write


def header(text: str, length: int | None = None) -> bytes:
    """A safetensors file with this header, which may claim another length."""
    return struct.pack("<Q", len(text) if length is None else length) + text.encode()
