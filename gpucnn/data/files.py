"""Reading files whole: gzip is told by its first bytes, a failure names the file."""

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
        raise DataError(f"{path} cannot be read", cause=error.strerror or str(error)) from error


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


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, unpacked if it is gzip."""
    return decompress(read_raw(path), path)
