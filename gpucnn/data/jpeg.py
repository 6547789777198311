"""The segments of a JPEG file, and a bound on its scans.

libjpeg decodes scans however many there are, and fills pixels that are missing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import IO

#: A marker among coded pixels, in which FF 00 and the restarts D0 to D7 are none.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_END, _SCAN = 0xD9, 0xDA  # markers: the end of the picture, the start of a scan
_FRAMES = (0xC0, 0xC1, 0xC2)  # markers with the size, where scans have bits for each block
_STEP = 4096  # bytes that are searched for a marker at once
_SCANS = 100  # progressive files have about 10
#: Pixels that a byte of a scan may hold. Each block of 64 pixels takes at least one bit.
_DENSEST = 512


def segments(file: IO[bytes], most_pixels: int) -> Iterator[tuple[int, bool]]:
    """The bytes of each segment that is no scan, and whether it has Exif data.

    Args:
        file: a JPEG file.
        most_pixels: of a picture; a larger one is refused elsewhere.

    Raises:
        OSError: the scans are too many, or too short for the pixels.
    """
    file.seek(2)
    scans = first = pixels = 0
    while (marker := _next_marker(file)) not in (_END, None):
        start = file.read(8)
        length = int.from_bytes(start[:2], "big")
        file.seek(max(2, length) - len(start), os.SEEK_CUR)
        if marker == _SCAN:
            scans += 1
            first = first or file.tell()
        else:
            yield length, start[2:] == b"Exif\0\0"
        if marker in _FRAMES:
            pixels = int.from_bytes(start[3:5], "big") * int.from_bytes(start[5:7], "big")
        if scans > _SCANS:
            raise OSError(f"it has more than {_SCANS} scans")
    if _DENSEST * (file.tell() - first) < pixels <= most_pixels:
        raise OSError("most of its pixels are missing")


def _next_marker(file: IO[bytes]) -> int | None:
    """The next marker, after which the file is then; None at its end."""
    while len(piece := file.read(_STEP)) > 1:
        if found := _MARKER.search(piece):
            file.seek(found.end() - len(piece), os.SEEK_CUR)
            return found[0][1]
        if piece.endswith(b"\xff"):
            file.seek(-1, os.SEEK_CUR)
    return None
