"""A bound on the values that the tags of a TIFF file have.

Pillow makes an object of each value, and several of each strip or tile of pixels.
"""

from __future__ import annotations

import os
import struct
from typing import IO, Literal

_VALUES = 1 << 18  # in all tags; a palette of 65,536 colors has 3 * 65,536
_TILE = 256  # pixels of the smallest tile
_CHANNELS = 8  # each may have strips of its own
_WIDTH, _HEIGHT = 256, 257
_STRIPS = (273, 279, 324, 325)  # the places and the sizes of strips and tiles
_INNER = (34665, 34853, 40965)  # directories of Exif, GPS and interoperability
_BYTES = (1, 2, 7)  # types of which Pillow makes no objects
_SIZES = {3: 2, 4: 4, 13: 4, 16: 8}  # of the types of whole numbers, in bytes


def check_tags(file: IO[bytes]) -> None:
    """Check the tags of the first frame, which is the one that Pillow reads.

    Args:
        file: at its start. It is not checked if it does not begin as a TIFF file.

    Raises:
        OSError: the tags have too many values, or there are more strips than the size allows.
    """
    header = file.read(16)
    if header[:2] not in (b"II", b"MM"):
        return
    order: Literal["little", "big"] = "little" if header[:2] == b"II" else "big"
    is_big = header[2:3] == b"\x2b"  # a BigTIFF file, as Pillow decides on it
    entry = struct.Struct(("<" if order == "little" else ">") + ("HHQ8s" if is_big else "HHL4s"))
    places = [int.from_bytes(header[8:16] if is_big else header[4:8], order)]
    end = file.seek(0, os.SEEK_END)
    left = _VALUES
    while places:
        place = places.pop()
        if place >= end:
            continue
        file.seek(place)
        count = int.from_bytes(file.read(8 if is_big else 2), order)
        left -= 1 + count
        tags = file.read(entry.size * count) if left >= 0 else b""
        tags = tags[: len(tags) // entry.size * entry.size]  # the file may be cut short
        found = dict.fromkeys((_WIDTH, _HEIGHT, *_INNER), 0)
        strips = 0
        for tag, kind, number, value in entry.iter_unpack(tags):
            if tag in _STRIPS:
                strips = max(strips, number)
            if kind not in _BYTES:
                left -= number
            if tag in found and not found[tag]:  # Pillow takes the first, too
                found[tag] = int.from_bytes(value[: _SIZES.get(kind, 0)], order)
        if left < 0:
            raise OSError(f"its tags have more than {_VALUES:,} values")
        width, height = found[_WIDTH], found[_HEIGHT]
        if strips > _CHANNELS * max(1, height, width * height // _TILE):
            raise OSError(f"it has {strips:,} strips or tiles for {width} x {height} pixels")
        places += [found[tag] for tag in _INNER if found[tag]]
