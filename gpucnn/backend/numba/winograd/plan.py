"""Where minimal filtering pays, and how its tiles are cut into units that fit into the cache."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from gpucnn.backend.numba.llvm.vectors import COLUMNS, LANES, ROWS
from gpucnn.shapes import Conv2dGeometry

_CHANNELS = 16  # of source and result, in a group: with fewer the transforms cost too much
_TILES = 64  # of the whole batch: with fewer the transform of the weights costs too much
_TRANSFORMED = 256 << 10  # floats of both transforms of a unit: the second level of the cache
_LEAST = 200  # tiles of a unit, also if their transforms do not fit in there,
_MOST = 4 << 20  # unless they are more floats than this
_LEAST_UNITS = 4  # of a batch, if a unit is several images


class WinogradSizes(NamedTuple):
    """The sizes and strides that the compiled loops use, for one group of channels."""

    groups: int
    C: int  # channels, height and width of the source
    H: int
    W: int
    top: int  # zeros before the first row and column of the source
    left: int
    M: int  # channels, height and width of the result
    out_H: int
    out_W: int
    tiles_W: int
    rows: int  # of tiles, in a strip
    strips: int  # in an image
    images: int  # in a unit
    N: int
    pitch: int  # from one channel's tiles to the next
    place_C: int  # from one of the 16 places to the next, of source, result and weights
    place_M: int
    place_W: int
    flipped: int  # whether the taps are flipped: rows 0 and 3, columns 0 and 3 change places
    w_pitch: int  # in the weights, from one channel of the result to the next,
    w_step: int  # and from one channel of the source to the next
    result_pitch: int  # from one row of results to the next


class WinogradPlan(NamedTuple):
    """How the tiles are cut into units.

    Attributes:
        units: number of units: a unit is a strip of rows of tiles of an image, or some images.
        workspace: floats of the transforms of source and result in a unit, of a padded channel, and
            of whole tiles of results.
        loops: arguments of the compiled loops: offsets int64 (C,) from the tiles of the first
            channel to those of each; ROWS zeros; and the fields of `WinogradSizes`.
    """

    units: int
    workspace: tuple[int, ...]
    loops: tuple[Any, ...]


#: For compiled functions that take a plan and do not use it.
NO_PLAN = WinogradPlan(
    units=0,
    workspace=(0, 0, 0, 0),
    loops=(
        np.empty(0, np.int64), np.empty(0, np.float32), (0,) * len(WinogradSizes._fields)
    ),
)  # fmt: skip


@lru_cache(maxsize=1024)
def forward_plan(g: Conv2dGeometry) -> WinogradPlan | None:
    """Source x, result y; None if the algorithm cannot compute it, or does not pay."""
    (top, _), (left, _) = g.padding
    return _plan(g, (g.C, g.H, g.W), (top, left), (g.F, g.OH, g.OW), False)


@lru_cache(maxsize=1024)
def backward_plan(g: Conv2dGeometry) -> WinogradPlan | None:
    """Source grad_y, result grad_x: a convolution with flipped taps; None as in `forward_plan`."""
    (top, _), (left, _) = g.padding
    return _plan(g, (g.F, g.OH, g.OW), (2 - top, 2 - left), (g.C, g.H, g.W), True)


def _plan(
    g: Conv2dGeometry, source: tuple[int, int, int], padding: tuple[int, int],
    target: tuple[int, int, int], flipped: bool,
) -> WinogradPlan | None:  # fmt: skip
    C, M = source[0] // g.groups, target[0] // g.groups
    tiles_H, tiles_W = -(-target[1] // 2), -(-target[2] // 2)
    if (
        (g.KH, g.KW, *g.stride, *g.dilation) != (3, 3, 1, 1, 1, 1)
        or min(C, M) < _CHANNELS
        or g.N * tiles_H * tiles_W < _TILES
    ):
        return None
    tile = 16 * (C + M)
    size = g.N, tiles_H, tiles_W
    cuts = _cuts(*size, min(max(_LEAST, _TRANSFORMED // tile), _MOST // tile))
    if not cuts:
        return None
    rows, images = min(cuts, key=lambda cut: _cost(*size, *cut))
    strips = -(-tiles_H // rows)
    pitch = _whole(images * rows * tiles_W) + LANES
    place_C, place_M, result_pitch = apart(C * pitch), apart(M * pitch), 2 * _whole(tiles_W)
    floats = (
        16 * place_C,
        16 * place_M,
        (2 * rows + 2) * (2 * tiles_W + 2) + 3 * LANES,  # vectors reach beyond the end
        2 * rows * result_pitch,
    )
    sizes = WinogradSizes(
        g.groups, C, *source[1:], *padding, M, *target[1:],
        tiles_W, rows, strips, images, g.N, pitch,
        place_C, place_M, apart(C * M), int(flipped), *((1, M) if flipped else (C, 1)),
        result_pitch,
    )  # fmt: skip
    offsets = np.arange(C, dtype=np.int64) * pitch
    zeros = np.zeros(ROWS, np.float32)
    return WinogradPlan(-(-g.N // images) * strips, floats, (offsets, zeros, tuple(sizes)))


def _cuts(N: int, height: int, width: int, most: int) -> list[tuple[int, int]]:
    """(rows, images) of units of at most so many tiles."""
    rows = {-(-height // strips) for strips in range(1, height + 1)}
    images = range(2, min(N // _LEAST_UNITS, most // (height * width)) + 1)
    return [(r, 1) for r in sorted(rows) if r * width <= most] + [(height, i) for i in images]


def _cost(N: int, height: int, width: int, rows: int, images: int) -> float:
    """The estimated time of one tile, in vectors.

    A register tile of fewer columns takes more time for each column. With an odd number of units
    one thread has no work during the last one.
    """
    tiles = images * rows * width
    whole, rest = divmod(-(-tiles // LANES), COLUMNS)
    units = -(-N // images) * -(-height // rows)
    return (whole * COLUMNS + (0, 1.3, 2.1)[rest]) / tiles * (1 + units % 2 / units)


def apart(floats: int) -> int:
    """The distance of two places of so many floats: whole vectors, one vector and one cache line.

    Without that line, the 16 places would often fall on one set of the cache and evict each other.
    """
    return _whole(floats) + LANES + 16


def _whole(floats: int) -> int:
    """So many floats, rounded up to whole vectors."""
    return -(-floats // LANES) * LANES
