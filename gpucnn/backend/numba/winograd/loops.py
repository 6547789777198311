"""The transform of the weights, and the compiled loops over units of tiles."""

from __future__ import annotations

import numpy as np

from gpucnn.backend.contract import Array
from gpucnn.backend.cpu.chunks import blocks, scratch
from gpucnn.backend.cpu.parallel import parallel
from gpucnn.backend.numba.jit import entry, inner
from gpucnn.backend.numba.llvm.rows import copy_rows, zero
from gpucnn.backend.numba.llvm.vectors import LANES
from gpucnn.backend.numba.llvm.winograd_transforms import join_tiles, split_tiles, transform_taps
from gpucnn.backend.numba.pooling import pool_rows
from gpucnn.backend.numba.sums import weighted_sums
from gpucnn.backend.numba.winograd.plan import WinogradPlan, WinogradSizes, apart
from gpucnn.shapes import Conv2dGeometry

_CHUNK = 1 << 14  # pairs of channels: to transform fewer is not worth another thread


def workspace(plan: WinogradPlan, pooled: int) -> tuple[Array, ...]:
    """The workspace of a plan, and the maxima and their argmax of a channel of `pooled` pixels."""
    tiles, products, padded, results = plan.workspace
    return (
        scratch("tiles", (tiles,), np.float32),
        scratch("products", (products,), np.float32),
        scratch("padded", (padded,), np.float32),
        scratch("results", (results,), np.float32),
        scratch("maxima", (pooled + LANES,), np.float32),
        scratch("places", (pooled + LANES,), np.uint8),
    )


def transform_weights(w: Array, g: Conv2dGeometry) -> Array:
    """G w G^T for each pair of channels: flat (groups, 16, F/groups, C/groups), places `apart`.

    The result is a workspace of the calling thread: the next call overwrites it. It serves both
    passes: the transform of the flipped taps, which the gradient by the input needs, is the same
    with rows 0 and 3, and columns 0 and 3, exchanged.

    Args:
        w: flat (F, C/groups, 3, 3).
    """
    F, C = g.F // g.groups, g.C // g.groups
    place = apart(F * C)
    found = scratch("weights", (16 * g.groups * place,), np.float32)

    def task(filters: slice) -> None:
        _transform(w, found, F, C, place, filters.start, filters.stop)

    parallel(task, blocks(g.F, max(1, _CHUNK // C)))
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
    a = _combined(w[at], w[at + 3], w[at + 6], i)
    b = _combined(w[at + 1], w[at + 4], w[at + 7], i)
    c = _combined(w[at + 2], w[at + 5], w[at + 8], i)
    return _combined(a, b, c, j)


@inner
def _combined(a, b, c, i):
    """(G w)[i] of w = [a, b, c]."""
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
def forward(
    source, weights, start, least, target, argmax, pooled, loops, workspace, begin, end
):  # fmt: skip
    """The results of units [begin, end); `weights` are transformed."""
    p = WinogradSizes(*loops[-1])
    for unit in range(begin, end):
        n, row = unit // p.strips * p.images, unit % p.strips * p.rows
        at, count = n * p.groups * p.C * p.H * p.W, min(p.images, p.N - n)
        correlate(
            source, at, n, count, row, weights, start, least, target, argmax, pooled, loops, p,
            workspace,
        )  # fmt: skip


@inner
def correlate(
    source, at, n, count, row, weights, start, least, target, argmax, pooled, loops, p, workspace
):  # fmt: skip
    """A strip, from row `row` of the tiles on, of `count` images from n on.

    The images start at source[at]. `start` holds the bias, `least` is 0 for a ReLU, else -inf. If
    `argmax` is not empty, 2x2 maxima are written to the target, of size `pooled`.
    """
    offsets, zeros, _ = loops
    tiles, products, padded, results, maxima, places = workspace
    rows = min(p.rows, (p.out_H + 1) // 2 - row)
    run = count * rows * p.tiles_W
    height, pitch = min(2 * rows, p.out_H - 2 * row), p.result_pitch
    for group in range(p.groups):
        for i in range(count):
            first = at + (i * p.groups + group) * p.C * p.H * p.W
            _split(source, first, i * rows * p.tiles_W, row, rows, tiles, padded, p)
        for k in range(16):
            i, j = k // 4, k % 4
            if p.flipped:
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
                if argmax.size:
                    high, wide = pooled
                    pool_rows(
                        results, 0, pitch, min(rows, high - row), wide, target, argmax,
                        (plane * high + row) * wide, maxima, places,
                    )  # fmt: skip
                else:
                    to = (plane * p.out_H + 2 * row) * p.out_W
                    copy_rows(height, p.out_W, results, 0, pitch, target, to, p.out_W)


@inner
def _split(source, at, place, row, rows, tiles, padded, p):
    """Transform rows of tiles of an image, to tile `place` of each channel and those behind it."""
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
