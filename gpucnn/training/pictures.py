"""Pictures as arrays of pixels and as PNG files, without a package for either."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLES = 16  # that a picture shows
_FILTERS, _CHANNELS = 64, 16


def samples(images: NDArray[Any]) -> NDArray[np.uint8] | None:
    """Images (N, C, H, W) as a picture: black is their least value, and white the greatest.

    None if they are not gray and do not have the colors red, green and blue.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not images.size:
        return None
    low, high = float(images.min()), float(images.max())
    scaled = (images - low) / ((high - low) or 1.0)
    tiles = scaled.transpose(0, 2, 3, 1) if images.shape[1] == 3 else scaled[:, 0]
    return _pixels(tiles, columns=_columns(len(tiles)), zoom=4)


def filters(weight: NDArray[Any]) -> NDArray[np.uint8]:
    """Filters (F, C, KH, KW) as a picture; of several channels, each filter is a row.

    Gray is 0, white the greatest absolute value, and black its negative.
    """
    shown = weight[:_FILTERS, :_CHANNELS]
    F, C, KH, KW = shown.shape
    scaled = 0.5 + 0.5 * shown / (float(np.abs(shown).max()) or 1.0)
    columns = C if C > 1 else _columns(F)
    return _pixels(scaled.reshape(F * C, KH, KW), columns, zoom=8)


def _columns(count: int) -> int:
    """The columns of a square of so many tiles."""
    return int(np.ceil(np.sqrt(count)))


def _pixels(tiles: NDArray[Any], columns: int, zoom: int) -> NDArray[np.uint8]:
    """Tiles (K, h, w) or (K, h, w, 3) of values from 0 to 1, in rows of so many columns.

    A pixel is a square of `zoom` pixels; a black line of one pixel is between two tiles.
    """
    count, h, w, *colors = tiles.shape
    rows = -(-count // columns)
    large = (tiles * 255).round().astype(np.uint8).repeat(zoom, axis=1).repeat(zoom, axis=2)
    height, width = h * zoom + 1, w * zoom + 1
    grid = np.zeros((rows * height, columns * width, *colors), np.uint8)
    for place, tile in enumerate(large):
        y, x = place // columns * height, place % columns * width
        grid[y : y + height - 1, x : x + width - 1] = tile
    return grid[:-1, :-1]


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file of pixels, gray (H, W) or with red, green and blue (H, W, 3)."""
    height, width, *colors = pixels.shape
    rows = pixels.reshape(height, -1)
    unfiltered = np.insert(rows, 0, 0, axis=1)  # each row begins with the number of its filter
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if colors else 0, 0, 0, 0)
    parts = {b"IHDR": header, b"IDAT": zlib.compress(unfiltered.tobytes()), b"IEND": b""}
    chunks = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts.items()
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
