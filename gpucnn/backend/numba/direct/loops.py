"""The compiled loops: packing a unit, and the sums over its taps and its pixels."""

from __future__ import annotations

import math

import numpy as np

from gpucnn.backend.contract import Array
from gpucnn.backend.cpu.chunks import blocks, scratch
from gpucnn.backend.cpu.parallel import parallel
from gpucnn.backend.numba.direct.plan import DirectPlan, DirectSizes, phase_taps
from gpucnn.backend.numba.jit import entry, inner
from gpucnn.backend.numba.llvm.rows import copy_rows, zero
from gpucnn.backend.numba.llvm.vectors import LANES, ROWS
from gpucnn.backend.numba.pooling import pool_rows
from gpucnn.backend.numba.sums import products_with_taps, weighted_sums
from gpucnn.shapes import Conv2dGeometry

_CHUNK = 1 << 16  # weights: to copy fewer is not worth another thread


def workspace(plan: DirectPlan, pixels: int) -> tuple[Array, ...]:
    """A packed unit, a register tile of results, and a channel's maxima and their argmax."""
    return (
        scratch("packed", (plan.packed,), np.float32),
        scratch("product", (ROWS * plan.out_pitch,), np.float32),
        scratch("maxima", (pixels + LANES,), np.float32),
        scratch("places", (pixels + LANES,), np.uint8),
    )


def weights_by_channel(w: Array, g: Conv2dGeometry) -> Array:
    """The weights that a pixel of the input meets, phase by phase: flat (C, F/groups*KH*KW).

    Args:
        w: flat (F, C/groups, KH, KW).
    """
    C = g.C // g.groups
    by_channel = w.reshape(g.groups, g.F // g.groups, C, g.KH, g.KW).swapaxes(1, 2)
    found = np.empty((g.groups, C, g.F // g.groups * g.KH * g.KW), np.float32)

    def task(channels: slice) -> None:
        end = 0
        for rows in map(_slice, phase_taps(g, 0)):
            for columns in map(_slice, phase_taps(g, 1)):
                taps = by_channel[:, channels, :, rows, columns]
                start, end = end, end + math.prod(taps.shape[2:])
                found[:, channels, start:end] = taps.reshape(*taps.shape[:2], -1)

    parallel(task, blocks(C, max(1, _CHUNK * C // w.size)))
    return found.reshape(-1)


def _slice(indices: range) -> slice:
    return slice(indices.start, indices.stop, indices.step)


# ---- compiled: arrays are flat, `p` holds the DirectSizes of a plan ---------------------------


@entry
def forward(
    source, weights, start, least, target, argmax, pooled, loops, workspace, begin, end
):  # fmt: skip
    """The results of units [begin, end), which are strips of one image each."""
    p = DirectSizes(*loops[-1])
    for unit in range(begin, end):
        n, row = unit // p.strips, unit % p.strips * p.rows
        at = n * p.groups * p.C * p.H * p.W
        correlate(
            source, at, n, row, weights, start, least, target, argmax, pooled, loops, p, workspace
        )


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
def correlate(
    source, at, n, row, weights, start, least, target, argmax, pooled, loops, p, workspace
):  # fmt: skip
    """A strip, from row `row` of each phase on, of image n, which starts at source[at].

    `start` holds the bias, `least` is 0 for a ReLU, else -inf. If `argmax` is not empty, 2x2 maxima
    are written to the target, of size `pooled`.
    """
    offsets, planes, phases, out_pitch, _ = loops
    packed, product, maxima, places = workspace
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
                    if argmax.size:
                        high, wide = pooled
                        pool_rows(
                            product, at_product, p.pitch, high, wide, target, argmax,
                            plane * high * wide, maxima, places,
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
def weight_gradient(source, grad, at, n, count, row, out, loops, p, packed, gradient):
    """Add the gradient by the weights of a strip of `count` images from n on.

    Their grad_y starts at grad[at]. `packed` and `gradient` are workspaces.
    """
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
        first_weight = group * p.M * offsets.size
        products_with_taps(p.M, gradient, g_pitch, packed, offsets, run, out, first_weight)
