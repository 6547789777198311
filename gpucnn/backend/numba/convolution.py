"""Convolution as sums of shifted images, in registers; float32.

An image is packed so that every product of a tap with the pixels it sees runs over neighbouring
floats: padded with zeros, and split by the stride into planes of every s-th row and column. Then a
tap is an offset into the packed image, and the pixels of one output row after the other are one
run, with unwanted pixels in the gaps between rows:

    y[f, p] = b[f] + sum_k w[f, k] * packed[offset[k] + p]            k = (c, kh, kw)
    grad_w[f, k] = sum_p grad_y[f, p] * packed[offset[k] + p]         grad_y with zeros in the gaps

The gradient by the input is the first of these again: of grad_y, by the taps that meet a pixel.
With stride s there are s*s kinds of pixels ("phases"), each met by taps of its own.

There are no columns in memory (im2col): what is packed at once is as large as an image, or some
rows of a large one, and stays in the second level of the cache. What follows the convolution
(bias, ReLU, a 2x2 maximum), and in the backward pass precedes it, is done while an image is there.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpucnn.backend.contract import Array
from gpucnn.backend.cpu.chunks import blocks, scratch, sum_in_order
from gpucnn.backend.cpu.parallel import parallel
from gpucnn.backend.numba import winograd
from gpucnn.backend.numba.jit import entry, flat, inner
from gpucnn.backend.numba.plan import Plan, Sizes, backward_plan, forward_plan, phase_taps
from gpucnn.backend.numba.pooling import is_pairs, pool_rows, unpool_plane
from gpucnn.backend.numba.rows import copy, copy_rows, zero
from gpucnn.backend.numba.sums import add_up, mask_positive, weighted_sums
from gpucnn.backend.numba.tile import inner_products
from gpucnn.backend.numba.vectors import LANES, LEFT, RIGHT, ROWS
from gpucnn.shapes import Conv2dGeometry, Pool2dGeometry

_PARTS = 8  # partial weight gradients: fixed, so that the order of the sum is
_PART_BYTES = 32 << 20  # at most so much for all of them
_FLOPS = 1 << 22  # less is not worth another thread
_SHARED = 16  # pieces of a batch at most: each of them costs some 8 us of Python
_WEIGHTS = 1 << 16  # to be copied: fewer are not
_NO_FLOATS, _NO_BYTES = np.empty(0, np.float32), np.empty(0, np.uint8)
_NO_POOL = 0, 0


def can_fuse(g: Conv2dGeometry, pool: Pool2dGeometry | None) -> bool:
    """Whether the pool is one that is done beside the convolution, of images packed as a whole."""
    return pool is None or (is_pairs(pool) and forward_plan(g).chunks == 1)


def forward(
    x: Array,
    w: Array,
    b: Array | None,
    g: Conv2dGeometry,
    activation: str | None,
    pool: Pool2dGeometry | None = None,
) -> tuple[Array, Array | None]:
    """See `Backend.conv2d_relu_pool_forward`; float32, with a pool that `can_fuse`."""
    y = np.empty(g.y_shape if pool is None else pool.y_shape, np.float32)
    argmax = None if pool is None else np.empty(y.shape, np.uint8)
    pooled = _NO_POOL if pool is None else y.shape[2:]
    winners = _NO_BYTES if argmax is None else argmax.reshape(-1)
    start = np.zeros(g.F, np.float32) if b is None else flat(b)
    least = np.float32(0 if activation == "relu" else -np.inf)
    source, weights, target = flat(x), flat(w), y.reshape(-1)
    quick = winograd.forward_plan(g)
    plan: Any = quick or forward_plan(g)
    if quick:
        weights = winograd.transform_weights(weights, g)
    run, room = (winograd.run, winograd.room) if quick else (_forward, _room)

    def task(units: slice) -> None:
        run(
            source, weights, start, least, target, winners, pooled, plan.loops,
            room(plan, pooled[0] * pooled[1]), units.start, units.stop,
        )  # fmt: skip

    parallel(task, _pieces(plan.units, g, min(plan.units, _SHARED)))
    return y, argmax


def backward(
    grad_y: Array,
    x: Array | None,
    w: Array | None,
    y: Array | None,
    argmax: Array | None,
    g: Conv2dGeometry,
    needs: tuple[bool, bool, bool],
) -> tuple[Any, Any, Any]:
    """See `Backend.conv2d_relu_pool_backward`; float32, with a pool that `can_fuse`.

    x may be None if grad_w is not wanted, and w if grad_x is not.
    """
    plan, back = forward_plan(g, with_gradient=True), backward_plan(g)
    given = [_NO_FLOATS if array is None else flat(array) for array in (x, grad_y, y)]
    winners = _NO_BYTES if argmax is None else flat(argmax, np.uint8)
    allocate = np.empty if back.is_whole else np.zeros
    grad_x = allocate(g.x_shape, np.float32) if needs[0] else None
    target = _NO_FLOATS if grad_x is None else grad_x.reshape(-1)
    quick = winograd.backward_plan(g) or winograd.NO_PLAN
    weights = _NO_FLOATS
    if w is not None and needs[0]:
        by_channel = winograd.transform_weights if quick.units else _weights_by_channel
        weights = by_channel(flat(w), g)
    start, least = np.zeros(g.C, np.float32), np.float32(-np.inf)
    direct = y is None and argmax is None
    pixels = g.OH * g.OW
    # What is behind ReLU and maximum; writing by vectors may go beyond the last row.
    dense_size = 0 if direct else plan.images * g.F * pixels + 2 * LANES

    def task(units: slice) -> tuple[Array, Array]:
        grad_w = np.zeros(g.F * plan.taps if needs[1] else 0, np.float32)
        grad_b = np.zeros(g.F if needs[2] else 0, np.float32)
        packed = scratch("packed_x", (plan.packed if needs[1] else 0,), np.float32)
        gradient = scratch("gradient", (plan.outputs * plan.out_pitch,), np.float32)
        dense = scratch("dense", (dense_size,), np.float32)
        room = _room(back, pixels)
        _backward(
            *given, winners, weights, start, least, target, _NO_BYTES, _NO_POOL, grad_w, grad_b,
            plan.loops, back.loops, quick.loops, packed, gradient, dense, room,
            winograd.room(quick, 0), units.start, units.stop,
        )  # fmt: skip
        return grad_w, grad_b

    most = min(_PARTS, _PART_BYTES // (4 * g.F * plan.taps))
    found = parallel(task, _pieces(plan.units // plan.chunks, g, most))
    grad_w = sum_in_order([part[0] for part in found], g.w_shape, np.float32) if needs[1] else None
    grad_b = sum_in_order([part[1] for part in found], (g.F,), np.float32) if needs[2] else None
    return grad_x, grad_w, grad_b


def _room(plan: Plan, pixels: int) -> tuple[Array, ...]:
    """Scratch: the packed piece, a tile of results, and a channel's maxima and their places."""
    return (
        scratch("packed", (plan.packed,), np.float32),
        scratch("product", (ROWS * plan.out_pitch,), np.float32),
        scratch("values", (pixels + LANES,), np.float32),
        scratch("places", (pixels + LANES,), np.uint8),
    )


def _weights_by_channel(w: Array, g: Conv2dGeometry) -> Array:
    """The weights that a pixel of the input meets, phase by phase: flat (C, F/G*KH*KW)."""
    C = g.C // g.groups
    by_channel = w.reshape(g.groups, g.F // g.groups, C, g.KH, g.KW).swapaxes(1, 2)
    found = np.empty((g.groups, C, g.F // g.groups * g.KH * g.KW), np.float32)

    def task(part: slice) -> None:
        end = 0
        for rows in map(_slice, phase_taps(g, 0)):
            for columns in map(_slice, phase_taps(g, 1)):
                taps = by_channel[:, part, :, rows, columns]
                start, end = end, end + math.prod(taps.shape[2:])
                found[:, part, start:end] = taps.reshape(*taps.shape[:2], -1)

    parallel(task, blocks(C, max(1, _WEIGHTS * C // w.size)))
    return found.reshape(-1)


def _slice(indices: range) -> slice:
    return slice(indices.start, indices.stop, indices.step)


def _pieces(units: int, g: Conv2dGeometry, most: int) -> list[slice]:
    """The units in at most so many pieces, a power of two of them, as there is work."""
    flops = 2 * g.N * g.F * g.OH * g.OW * (g.C // g.groups) * g.KH * g.KW
    pieces = 1 << max(0, min(most, flops // _FLOPS).bit_length() - 1)
    return blocks(units, -(-units // pieces) or 1)


# ---- compiled: arrays are flat, `p` is the plan's Sizes, `room` what `_room` gave -------------


@entry
def _forward(
    source, weights, start, least, target, winners, pooled, loops, room, begin, end
):  # fmt: skip
    p = Sizes(*loops[-1])
    for unit in range(begin, end):
        n, row = unit // p.chunks, unit % p.chunks * p.rows
        at = n * p.groups * p.C * p.H * p.W
        _correlate(
            source, at, n, row, weights, start, least, target, winners, pooled, loops, p, room
        )


@entry
def _backward(
    source, grad, y, winners, weights, start, least, grad_x, no_winners, no_pool, grad_w, grad_b,
    loops, back, quick, packed, gradient, dense, room, quick_room, begin, end,
):  # fmt: skip
    """Some images at once: their gradient behind ReLU and maximum, then the three sums over it."""
    p, b, q = Sizes(*loops[-1]), Sizes(*back[-1]), winograd.Sizes(*quick[-1])
    F, pixels = p.groups * p.M, p.out_H * p.out_W
    small = (p.out_H // 2) * (p.out_W // 2) if winners.size else pixels
    zero(packed, 0, packed.size)  # images that are not there count as zeros
    for unit in range(begin, end):
        n = unit * p.images
        count = min(p.images, p.N - n)
        grad_at = n * F * pixels
        if y.size or winners.size:
            grad_at = 0
            for i in range(count * F):
                _unfold(grad, y, winners, n * F + i, small, room, dense, i * pixels, p)
        else:
            dense = grad
        if grad_b.size:
            for i in range(count * F):
                grad_b[i % F] += add_up(dense, grad_at + i * pixels, pixels)
        if grad_w.size:
            for row in range(0, p.out_H, p.rows):
                _weight_gradient(
                    source, dense, grad_at, n, count, row, grad_w, loops, p, packed, gradient
                )
        if grad_x.size and q.N:
            for i in range(0, count, q.images):
                for row in range(0, q.chunks * q.rows, q.rows):
                    winograd.correlate(
                        dense, grad_at + i * F * pixels, n + i, min(q.images, count - i), row,
                        weights, start, least, grad_x, no_winners, no_pool, quick, q, quick_room,
                    )  # fmt: skip
        elif grad_x.size:
            for i in range(count):
                for row in range(0, b.chunks * b.rows, b.rows):
                    _correlate(
                        dense, grad_at + i * F * pixels, n + i, row, weights, start, least,
                        grad_x, no_winners, no_pool, back, b, room,
                    )  # fmt: skip


@inner
def _unfold(grad, y, winners, plane, size, room, dense, to, p):
    """The gradient of a channel behind ReLU and maximum, from dense[to] on."""
    values, places = room[2], room[3]
    if y.size:
        mask_positive(grad, y, plane * size, values, 0, size)
    else:
        copy(grad, plane * size, values, 0, size)
    if winners.size:
        unpool_plane(values, winners, plane, places, dense, to, p.out_H, p.out_W)
    else:
        copy(values, 0, dense, to, size)


@inner
def _pack(source, at, packed, place, plane, planes, row, p):
    """The source's rows from `row` on into planes, from float `place` on and `plane` apart."""
    n_planes = planes.shape[0]
    for i in range(n_planes):
        # Rows [above, below) and columns [before, behind) of the packed plane are in the image.
        shift_h, shift_w = p.top - planes[i, 0] - row * p.step_h, p.left - planes[i, 1]
        above = min(max(0, -(-shift_h // p.step_h)), p.packed_rows)
        below = max(above, min(p.packed_rows, (p.H - 1 + shift_h) // p.step_h + 1))
        before = min(max(0, -(-shift_w // p.step_w)), p.pitch)
        behind = max(before, min(p.pitch, (p.W - 1 + shift_w) // p.step_w + 1))
        height, width = below - above, behind - before
        whole = height == p.packed_rows and width == p.pitch
        first = at + (above * p.step_h - shift_h) * p.W + before * p.step_w - shift_w
        for c in range(p.C):
            to = place + (c * n_planes + i) * plane
            if not whole:
                zero(packed, to, p.packed_rows * p.pitch)
            to += above * p.pitch + before
            pixel = first + c * p.H * p.W
            if p.step_w == 1:
                copy_rows(height, width, source, pixel, p.step_h * p.W, packed, to, p.pitch)
                continue
            for r in range(height):
                for j in range(width):
                    packed[to + r * p.pitch + j] = source[pixel + r * p.step_h * p.W + j * p.step_w]


@inner
def _correlate(
    source, at, n, row, weights, start, least, target, winners, pooled, loops, p, room
):  # fmt: skip
    """Some rows of the result for image n, which starts at source[at]: sums over the taps."""
    offsets, planes, phases, out_pitch, _ = loops
    packed, product, values, places = room
    for group in range(p.groups):
        first_pixel = at + group * p.C * p.H * p.W
        _pack(source, first_pixel, packed, 0, p.packed_rows * p.pitch, planes, row, p)
        for i in range(phases.shape[0]):
            taps, width = (phases[i, 0], phases[i, 1]), phases[i, 3]
            height = min(p.rows, phases[i, 2] - row)
            run = (height - 1) * p.pitch + width
            m = 0
            while m < p.M and height > 0:
                channel = group * p.M + m
                tile = weighted_sums(
                    p.M - m, packed, 0, offsets, taps, weights,
                    (channel * offsets.size + taps[0], offsets.size, 1), start, channel, least,
                    product, 0, out_pitch, run,
                )  # fmt: skip
                for r in range(tile):
                    plane, at_product = n * p.groups * p.M + channel + r, r * out_pitch
                    if winners.size:
                        high, wide = pooled
                        pool_rows(
                            product, at_product, p.pitch, high, wide, target, winners,
                            plane * high * wide, values, places,
                        )  # fmt: skip
                        continue
                    line = plane * p.out_H + phases[i, 4] + row * p.out_step_h
                    to, along = line * p.out_W + phases[i, 5], p.out_step_h * p.out_W
                    if p.out_step_w == 1:
                        copy_rows(height, width, product, at_product, p.pitch, target, to, along)
                        continue
                    for t in range(height):
                        for j in range(width):
                            value = product[at_product + t * p.pitch + j]
                            target[to + t * along + j * p.out_step_w] = value
                m += tile


@inner
def _weight_gradient(source, grad, at, n, count, row, out, loops, p, packed, gradient):
    """Adds that of some rows of `count` images from n on, whose grad_y starts at grad[at]."""
    offsets, planes, _, g_pitch, _ = loops
    place, height = p.packed_rows * p.pitch, min(p.rows, p.out_H - row)
    run = (count - 1) * place + (height - 1) * p.pitch + p.out_W
    for group in range(p.groups):
        for i in range(count):
            first_pixel = ((n + i) * p.groups + group) * p.C * p.H * p.W
            _pack(source, first_pixel, packed, i * place, p.images * place, planes, row, p)
        for f in range(p.M):
            zero(gradient, f * g_pitch, g_pitch)
            for i in range(count):
                line = at + (((i * p.groups + group) * p.M + f) * p.out_H + row) * p.out_W
                to = f * g_pitch + i * place
                copy_rows(height, p.out_W, grad, line, p.out_W, gradient, to, p.pitch)
        f = 0
        while f < p.M:
            o_at = (group * p.M + f) * offsets.size
            if p.M - f >= LEFT:
                _products_of_all(gradient, f * g_pitch, g_pitch, packed, offsets, run, out, o_at)
                f += LEFT
            elif p.M - f >= 2:
                _products_of_2(gradient, f * g_pitch, g_pitch, packed, offsets, run, out, o_at)
                f += 2
            else:
                _products_of_1(gradient, f * g_pitch, g_pitch, packed, offsets, run, out, o_at)
                f += 1


def _make_products(count):
    @inner
    def products(gradient, g_at, g_pitch, packed, offsets, run, out, o_at):
        """Those of `count` filters with all taps."""
        taps = offsets.size
        k = 0
        while taps - k >= RIGHT:
            inner_products(
                count,
                RIGHT,
                gradient,
                g_at,
                g_pitch,
                packed,
                0,
                offsets,
                k,
                run,
                out,
                o_at + k,
                taps,
            )
            k += RIGHT
        while k < taps:
            inner_products(
                count, 1, gradient, g_at, g_pitch, packed, 0, offsets, k, run, out, o_at + k, taps
            )
            k += 1

    return products


_products_of_all, _products_of_2, _products_of_1 = map(_make_products, (LEFT, 2, 1))
