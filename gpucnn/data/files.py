"""Reading whole files: gzip is recognized by its first bytes, errors name the file."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from gpucnn.errors import DataError

GZIP_MAGIC = b"\x1f\x8b"


def read_raw(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        DataError: it is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read",
            cause=describe(error),
            fix="check its name and permissions",
        ) from error


def decompress(raw: bytes, path: Path) -> bytes:
    """`raw` unpacked if it is gzip (whatever the file is called), else as it is.

    Raises:
        DataError: the gzip stream is cut short or damaged.
    """
    if not raw.startswith(GZIP_MAGIC):
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(
            f"{path} is not a whole gzip file ({len(raw):,} bytes)",
            cause=str(error),
            fix="get the file again; it was cut short or altered",
        ) from error


def describe(error: Exception) -> str:
    """The reason of an error, without the file's name, which the system adds to it."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, unpacked if it is gzip."""
    return decompress(read_raw(path), path)


def refuse_empty(shape: tuple[int, ...], where: str) -> None:
    """Raise a DataError if images of a shape (N, ..., H, W) are none or have no pixels."""
    if shape[0] == 0:
        raise DataError(f"{where} has no images", fix="leave it out, or put images in it")
    if 0 in shape:
        raise DataError(
            f"{where} has images without pixels",
            cause=f"they are {shape[-2]} high and {shape[-1]} wide",
            fix="save the images again, at least 1 pixel high and wide",
        )
