"""A bound on what the file of a picture holds beside its pixels: comments, profiles, tags.

Pillow keeps these in memory, some of them twice, and most of them before it knows the size.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Mapping
from typing import IO, Any

from gpucnn import files
from gpucnn.data.jpeg import segments
from gpucnn.data.tiff import check_tags
from gpucnn.errors import DataError

_MOST = 16 * 10**6  # bytes; Pillow takes about 3 times as much
_OBJECT = 32  # bytes more for each read: what is read may become an object, however short it is
_STORED = 4  # bytes a pixel, which no WebP file exceeds
_SKIPPED = 2  # bytes a pixel, which no frame of a GIF file exceeds
_PIECE = 1 << 18
_PIXELS = (b"IDAT", b"fdAT")  # chunks of a PNG file; Pillow reads them in pieces
_EXIF = 16  # times that a byte of Exif data counts: each value may become an object
_UNPACKED = {b"zTXt": 10**6, b"iTXt": 10**6}  # bytes more that Pillow may unpack from a chunk


class Counted:
    """A file whose bytes are counted as they are read.

    Args:
        file: to be read.
        name: for messages.

    Raises:
        DataError: more is read than the bound; by any method that reads.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self._most = self._left = math.inf

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def bound_header(self, most_pixels: int) -> None:
        """Check what Pillow does not check; bound what is read until the size is known.

        Args:
            most_pixels: that a picture may have.

        Raises:
            OSError: there is more of something than any good file has, or pixels are missing.
            DataError: what is beside the pixels is more than the bound.
        """
        start = self._file.read(30)
        if start.startswith(b"\xff\xd8\xff"):
            self._bound(0)
            for length, is_exif in segments(self._file, most_pixels):
                self._count(length * (_EXIF if is_exif else 1))
        self._file.seek(0)
        check_tags(self._file)
        self._file.seek(0)
        self._bound(_STORED * min(_pixels_of_webp(start), most_pixels))

    def count_exif(self, info: Mapping[Any, Any]) -> None:
        """Count the Exif data in the `info` of a Pillow image, before they are parsed."""
        for key in ("exif", "Raw profile type exif"):  # the second is a text of a PNG file
            self._count(_EXIF * len(info.get(key, "")))

    def bound_frame(self, pixels: int) -> None:
        """Bound what is read on the way from a frame of `pixels` pixels to the next one."""
        self._bound(_SKIPPED * pixels)

    def free(self) -> None:
        """Let the pixels be read: decoders do not keep what they read."""
        self._left = math.inf

    def read(self, size: int = -1) -> bytes:
        """As that of the file."""
        if self._left < math.inf:
            most = int(self._left) + 1
            size = most if size < 0 else min(size, most)
        content = self._file.read(size)
        self._count(len(content))
        return content

    def check_png(self) -> None:
        """Check the chunks of a PNG file, of which Pillow checks those before the pixels only.

        Raises:
            OSError, struct.error: the file is cut short, or a checksum is wrong.
            DataError: the chunks without pixels are more than the bound.
        """
        place = self._file.tell()
        self._bound(0)
        self._file.seek(8)
        kind = b""
        while kind != b"IEND":
            length, kind = struct.unpack(">I4s", self._file.read(8))
            if kind not in _PIXELS:
                self._count(length + _UNPACKED.get(kind, 0))
            checksum = zlib.crc32(kind)
            while length:
                if not (piece := self._file.read(min(length, _PIECE))):
                    raise OSError("the file is cut short")
                checksum = zlib.crc32(piece, checksum)
                length -= len(piece)
            if kind != b"IEND" and self._file.read(4) != checksum.to_bytes(4, "big"):
                raise OSError(f"the checksum of a chunk {kind!r} is wrong")
        self._file.seek(place)

    def _bound(self, pixels: int) -> None:
        """Count anew, up to the bound and these pixels; without a bound if the user sets one."""
        self._most = self._left = math.inf if files.limit_by_user() else _MOST + pixels

    def _count(self, count: int) -> None:
        self._left -= count + _OBJECT
        if self._left < 0:
            raise DataError(
                f"{self._name} has too much beside its pixels",
                cause=f"its comments, profiles and tags have more than {self._most:,} bytes;"
                f" each byte of Exif data counts {_EXIF} times",
                fix="save the picture again without them; or, if you trust it, set"
                f" {files.VARIABLE} to the megabytes that the file has",
            )


def _pixels_of_webp(start: bytes) -> int:
    """The pixels of a WebP file by its first 30 bytes; 0 of another file.

    Pillow reads such a file whole before it looks at its size.
    """
    if start[8:12] != b"WEBP" or len(start) < 30:
        return 0
    if start[12:16] == b"VP8X":
        width, height = start[24:27], start[27:30]
        return (int.from_bytes(width, "little") + 1) * (int.from_bytes(height, "little") + 1)
    if start[12:16] == b"VP8L":
        sizes = int.from_bytes(start[21:25], "little")
        return ((sizes & 0x3FFF) + 1) * ((sizes >> 14 & 0x3FFF) + 1)
    sizes = int.from_bytes(start[26:30], "little")
    return (sizes & 0x3FFF) * (sizes >> 16 & 0x3FFF)
