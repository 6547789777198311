"""Reading files that may be gzip, which is recognized by its first bytes; errors name the file."""

from __future__ import annotations

import errno
import gzip
import io
import mmap
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from gpucnn import files
from gpucnn.data import storage
from gpucnn.data.storage import Content, Spool
from gpucnn.errors import DataError, cause_of

GZIP_MAGIC = b"\x1f\x8b"
_HEAD = 128  # bytes that a header has at most
_PIECE = 1 << 18
#: Without a header that says its size, a file unpacks to so many bytes, or so many times its own.
_FREE, _RATIO = 64 * 10**6, 100

#: The number of bytes that a file says to have, by its first `_HEAD` bytes; None: it says nothing.
Claimed = Callable[[bytes], "int | None"]


def read_raw(path: Path, claimed: Claimed | None = None) -> Content:
    """The bytes of a file; a large one is mapped.

    Args:
        claimed: the number of its unpacked bytes by its header: one more at most is read.

    Raises:
        DataError: it is missing, cannot be read, is no regular file, or is larger than the limit
            of `gpucnn.files`.
    """
    try:
        with files.open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > storage.large():
                return storage.map_file(file)
            head = file.read(_HEAD)
            most = claimed(head) if claimed and not head.startswith(GZIP_MAGIC) else None
            if most is None:
                file.close()
                return files.read(path)
            return (head + file.read(max(0, min(size, most + 1) - len(head))))[: most + 1]
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> DataError:
    """The error for a file that the system, or `gpucnn.files`, does not let read."""
    fix = "check its name and permissions"
    if error.errno == errno.EFBIG:
        fix = f"if you trust it, set {files.VARIABLE} to the megabytes that it has"
    return DataError(f"{path} cannot be read", cause=cause_of(error), fix=fix)


def decompress(raw: Content, path: Path, claimed: Claimed | None = None) -> Content:
    """`raw` unpacked if it is gzip (whatever the file is called), else as it is.

    Args:
        claimed: as for `read_raw`: one byte more at most is unpacked.

    Raises:
        DataError: the gzip stream is cut short or damaged, or unpacks to too many bytes.
    """
    if raw[:2] != GZIP_MAGIC:
        return raw
    content = Spool()
    rest = None  # bytes that may follow
    packed = raw if isinstance(raw, mmap.mmap) else io.BytesIO(raw)
    for piece in _unpacked(packed, len(raw), path):
        if rest is None and claimed and (most := claimed(piece)) is not None:
            rest = most + 1
        content.add(piece[:rest])
        if rest is not None and (rest := rest - len(piece)) <= 0:
            break
    return content.content()


def read_pieces(path: Path) -> Iterator[bytes]:
    """The bytes of a file, unpacked if it is gzip, one piece after another.

    The first has 128 bytes, unless the file is shorter.

    Raises:
        DataError: as `read_raw` and `decompress`.
    """
    try:
        with files.open_regular(path) as file:
            head = file.read(_HEAD)
            if head.startswith(GZIP_MAGIC):
                file.seek(0)
                yield from _unpacked(file, os.fstat(file.fileno()).st_size, path)
                return
            while head:
                yield head
                head = file.read(_PIECE)
    except OSError as error:
        raise unreadable(path, error) from error


def _unpacked(packed: IO[bytes] | mmap.mmap, size: int, path: Path) -> Iterator[bytes]:
    """The pieces of a gzip stream of `size` bytes."""
    most = files.limit_by_user()
    if most is None:
        most = min(files.limit(), max(_FREE, _RATIO * size))
    count = 0
    try:
        with gzip.GzipFile(fileobj=packed) as stream:
            while piece := stream.read(_PIECE if count else _HEAD):
                count += len(piece)
                if count > most:
                    break
                yield piece
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(
            f"{path} is not a whole gzip file ({size:,} bytes)",
            cause=str(error),
            fix="get the file again; it was cut short or altered",
        ) from error
    if count > most:
        raise DataError(
            f"{path} unpacks to more than {most:,} bytes",
            cause=f"it has {size:,} bytes itself",
            fix=f"if you trust it, set {files.VARIABLE} to the megabytes that it has unpacked",
        )


def read_bytes(path: Path, claimed: Claimed | None = None) -> Content:
    """The bytes of a file, unpacked if it is gzip."""
    return decompress(read_raw(path, claimed), path, claimed)
