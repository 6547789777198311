"""Convolution with 3x3 taps by minimal filtering, F(2x2, 3x3) (Winograd 1980; Lavin and Gray 2016).

A tile of 2x2 results sees 4x4 pixels d[c] of each channel, and is, with * elementwise,

    y[f] = A^T [ sum_c (G w[f, c] G^T) * (B^T d[c] B) ] A

which takes 16 multiplications where the definition takes 36. The three transforms are sums of
neighbours; the sums over c are products of matrices, one for each of the 16 places: channels by
the tiles of a piece, which is some rows of tiles of an image, or some images.

    B^T = 1  0 -1  0        G = 1    0    0         A^T = 1  1  1  0
          0  1  1  0            1/2  1/2  1/2             0  1 -1 -1
          0 -1  1  0            1/2 -1/2  1/2
          0  1  0 -1            0    0    1

Each result is made of the very pixels that it sees in the definition, so NaN and inf go nowhere
else; but an infinity may come out as a NaN, and so may numbers near the largest of float32.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from gpucnn.backend.contract import Array
from gpucnn.backend.cpu.chunks import blocks, scratch
from gpucnn.backend.cpu.parallel import parallel
from gpucnn.backend.numba.jit import entry, inner
from gpucnn.backend.numba.pooling import pool_rows
from gpucnn.backend.numba.rows import copy_rows, zero
from gpucnn.backend.numba.sums import weighted_sums
from gpucnn.backend.numba.transforms import join_tiles, split_tiles, transform_taps
from gpucnn.backend.numba.vectors import COLUMNS, LANES, ROWS
from gpucnn.shapes import Conv2dGeometry

_CHANNELS = 16  # of source and result, in a group: with fewer the transforms cost too much
_TILES = 64  # of the whole batch: with fewer the weights' transform does
_TRANSFORMED = 256 << 10  # floats of a piece in both transforms: the second level of the cache
_LEAST = 200  # tiles of a piece, also if they do not fit in there,
_MOST = 4 << 20  # unless they come to so many floats
_LEAST_PIECES = 4  # of a batch, if a piece is made of images
_WEIGHTS = 1 << 14  # pairs of channels to be transformed: fewer are not worth another thread


class Sizes(NamedTuple):
    """What the compiled loops count by, in a group of channels."""

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
    rows: int  # of tiles, at once
    chunks: int  # of rows, in an image
    images: int  # at once
    N: int
    pitch: int  # from one channel's tiles to the next
    place_C: int  # from one of the 16 places to the next, of source, result and weights
    place_M: int
    place_W: int
    turned: int  # whether places 0 and 3 change, by rows and columns, in the weights
    w_pitch: int  # from a channel of the result to the next, in the weights, and of the source
    w_step: int
    result_pitch: int  # from one row of results to the next


class Plan(NamedTuple):
    """How the tiles are cut into pieces.

    Attributes:
        units: the pieces.
        scratch: floats of a piece's transforms of source and result, of a padded channel, and of
            results before they are cut to size.
        loops: what the compiled loops need: offsets int64 (C,) from the first channel's tiles to
            each; ROWS zeros; and the fields of `Sizes`.
    """

    units: int
    scratch: tuple[int, ...]
    loops: tuple[Any, ...]


NO_PLAN = Plan(
    0, (0, 0, 0, 0), (np.empty(0, np.int64), np.empty(0, np.float32), (0,) * len(Sizes._fields))
)


@lru_cache(maxsize=1024)
def forward_plan(g: Conv2dGeometry) -> Plan | None:
    """Source x, result y; None if this is not the way to compute it."""
    (top, _), (left, _) = g.padding
    return _plan(g, (g.C, g.H, g.W), (top, left), (g.F, g.OH, g.OW), False)


@lru_cache(maxsize=1024)
def backward_plan(g: Conv2dGeometry) -> Plan | None:
    """Source grad_y, result grad_x, which is the convolution with the taps turned round."""
    (top, _), (left, _) = g.padding
    return _plan(g, (g.F, g.OH, g.OW), (2 - top, 2 - left), (g.C, g.H, g.W), True)


def _plan(
    g: Conv2dGeometry, source: tuple[int, int, int], padding: tuple[int, int],
    target: tuple[int, int, int], turned: bool,
) -> Plan | None:  # fmt: skip
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
    chunks = -(-tiles_H // rows)
    pitch = _whole(images * rows * tiles_W) + LANES
    place_C, place_M, result_pitch = _apart(C * pitch), _apart(M * pitch), 2 * _whole(tiles_W)
    floats = (
        16 * place_C,
        16 * place_M,
        (2 * rows + 2) * (2 * tiles_W + 2) + 3 * LANES,  # vectors reach beyond the end
        2 * rows * result_pitch,
    )
    sizes = Sizes(
        g.groups, C, *source[1:], *padding, M, *target[1:],
        tiles_W, rows, chunks, images, g.N, pitch,
        place_C, place_M, _apart(C * M), int(turned), *((1, M) if turned else (C, 1)),
        result_pitch,
    )  # fmt: skip
    offsets = np.arange(C, dtype=np.int64) * pitch
    zeros = np.zeros(ROWS, np.float32)
    return Plan(-(-g.N // images) * chunks, floats, (offsets, zeros, tuple(sizes)))


def _cuts(N: int, height: int, width: int, most: int) -> list[tuple[int, int]]:
    """(rows, images) of pieces of at most so many tiles."""
    rows = {-(-height // chunks) for chunks in range(1, height + 1)}
    images = range(2, min(N // _LEAST_PIECES, most // (height * width)) + 1)
    return [(r, 1) for r in sorted(rows) if r * width <= most] + [(height, i) for i in images]


def _cost(N: int, height: int, width: int, rows: int, images: int) -> float:
    """Of a tile, in vectors.

    A register tile of fewer columns takes more time for each, and the last of an odd number of
    pieces leaves a thread without.
    """
    tiles = images * rows * width
    whole, rest = divmod(-(-tiles // LANES), COLUMNS)
    pieces = -(-N // images) * -(-height // rows)
    return (whole * COLUMNS + (0, 1.3, 2.1)[rest]) / tiles * (1 + pieces % 2 / pieces)


def _apart(floats: int) -> int:
    """So many floats, room for a vector, and a line: that far apart, 16 places would often fall on
    one set of the cache, and evict each other."""
    return _whole(floats) + LANES + 16


def _whole(floats: int) -> int:
    return -(-floats // LANES) * LANES


def room(plan: Plan, pooled: int) -> tuple[Array, ...]:
    """The scratch of a plan, and of a channel's maxima and their places: `pooled` pixels."""
    tiles, products, padded, results = plan.scratch
    return (
        scratch("tiles", (tiles,), np.float32),
        scratch("products", (products,), np.float32),
        scratch("padded", (padded,), np.float32),
        scratch("results", (results,), np.float32),
        scratch("values", (pooled + LANES,), np.float32),
        scratch("places", (pooled + LANES,), np.uint8),
    )


def transform_weights(w: Array, g: Conv2dGeometry) -> Array:
    """G w G^T for each pair of channels: flat (groups, 16, F/groups, C/groups), places `_apart`.

    It is scratch of the calling thread: the next call overwrites it.

    Turned round, as the gradient by the input sees them, the taps give the same numbers: rows 0
    and 3 of G change places.

    Args:
        w: flat (F, C/groups, 3, 3).
    """
    F, C = g.F // g.groups, g.C // g.groups
    place = _apart(F * C)
    found = scratch("weights", (16 * g.groups * place,), np.float32)

    def task(filters: slice) -> None:
        _transform(w, found, F, C, place, filters.start, filters.stop)

    parallel(task, blocks(g.F, max(1, _WEIGHTS // C)))
    return found


# ---- compiled ---------------------------------------------------------------------------------


@entry
def _transform(w, out, F, C, place, begin, end):
    whole = C // LANES
    for f in range(begin, end):
        at, to = f * C * 9, f // F * 16 * place + f % F * C
        transform_taps(whole, w, at, out, to, place)
        for c in range(whole * LANES, C):
            for i in range(4):
                for j in range(4):
                    out[to + (4 * i + j) * place + c] = _transformed(w, at + 9 * c, i, j)


@inner
def _transformed(w, at, i, j):
    """(G w G^T)[i, j], in the order of `transform_taps`."""
    a, b, c = _combined(w, at, 3, i), _combined(w, at + 1, 3, i), _combined(w, at + 2, 3, i)
    return _pick(a, b, c, j)


@inner
def _combined(w, at, step, i):
    return _pick(w[at], w[at + step], w[at + 2 * step], i)


@inner
def _pick(a, b, c, i):
    """(G w)[i]."""
    if i == 0:
        found = a
    elif i == 1:
        found = np.float32(0.5) * ((a + c) + b)
    elif i == 2:
        found = np.float32(0.5) * ((a + c) - b)
    else:
        found = c
    return found


@entry
def run(
    source, weights, start, least, target, winners, pooled, loops, room, begin, end
):  # fmt: skip
    """The results of some units; `weights` are transformed."""
    p = Sizes(*loops[-1])
    for unit in range(begin, end):
        n, row = unit // p.chunks * p.images, unit % p.chunks * p.rows
        at, count = n * p.groups * p.C * p.H * p.W, min(p.images, p.N - n)
        correlate(
            source, at, n, count, row, weights, start, least, target, winners, pooled, loops, p,
            room,
        )  # fmt: skip


@inner
def correlate(
    source, at, n, count, row, weights, start, least, target, winners, pooled, loops, p, room
):  # fmt: skip
    """Some rows of tiles of `count` images from n on, which start at source[at]."""
    offsets, zeros, _ = loops
    tiles, products, padded, results, values, places = room
    rows = min(p.rows, (p.out_H + 1) // 2 - row)
    run = count * rows * p.tiles_W
    height, pitch = min(2 * rows, p.out_H - 2 * row), p.result_pitch
    for group in range(p.groups):
        for i in range(count):
            first = at + (i * p.groups + group) * p.C * p.H * p.W
            _split(source, first, i * rows * p.tiles_W, row, rows, tiles, padded, p)
        for k in range(16):
            i, j = k // 4, k % 4
            if p.turned:
                i, j = (3 - i if i % 3 == 0 else i), (3 - j if j % 3 == 0 else j)
            place = (group * 16 + 4 * i + j) * p.place_W
            m = 0
            while m < p.M:
                m += weighted_sums(
                    p.M - m, tiles, k * p.place_C, offsets, (0, p.C), weights,
                    (place + m * p.w_pitch, p.w_pitch, p.w_step), zeros, 0, np.float32(-np.inf),
                    products, k * p.place_M + m * p.pitch, p.pitch, run,
                )  # fmt: skip
        for m in range(p.M):
            for i in range(count):
                for t in range(rows):
                    join_tiles(
                        p.tiles_W, products, m * p.pitch + (i * rows + t) * p.tiles_W,
                        p.place_M, start, group * p.M + m, least, results, 2 * t * pitch, pitch,
                    )  # fmt: skip
                plane = ((n + i) * p.groups + group) * p.M + m
                if winners.size:
                    high, wide = pooled
                    pool_rows(
                        results, 0, pitch, min(rows, high - row), wide, target, winners,
                        (plane * high + row) * wide, values, places,
                    )  # fmt: skip
                else:
                    to = (plane * p.out_H + 2 * row) * p.out_W
                    copy_rows(height, p.out_W, results, 0, pitch, target, to, p.out_W)


@inner
def _split(source, at, place, row, rows, tiles, padded, p):
    """The transforms of an image's rows of tiles, from tile `place` of each channel on."""
    pitch = 2 * p.tiles_W + 2
    # Rows [above, below) and columns [before, behind) of the padded channel are in the image.
    shift_h, shift_w = p.top - 2 * row, p.left
    above, before = min(max(0, shift_h), 2 * rows + 2), min(max(0, shift_w), pitch)
    below = max(above, min(2 * rows + 2, p.H + shift_h))
    behind = max(before, min(pitch, p.W + shift_w))
    zero(padded, 0, padded.size)
    for c in range(p.C):
        copy_rows(
            below - above, behind - before, source,
            at + (c * p.H + above - shift_h) * p.W + before - shift_w, p.W,
            padded, above * pitch + before, pitch,
        )  # fmt: skip
        for t in range(rows):
            split_tiles(
                p.tiles_W, padded, 2 * t * pitch, pitch, tiles,
                c * p.pitch + place + t * p.tiles_W, p.place_C,
            )  # fmt: skip
