"""How a convolution is cut into units that fit into the cache, and where its taps lie in one."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from gpucnn.backend.numba.llvm.vectors import COLUMNS, LANES
from gpucnn.shapes import Conv2dGeometry, Pair

_PACKED = 96 << 10  # floats of a packed unit: it stays in the second level of the cache
_PACKED_BOTH = 384 << 10  # with the gradient beside it: more, as both are read in order
# For the gradient by the weights, a batch makes about _UNITS units, to be shared out over threads.
# A unit holds more images if its run would be shorter than _RUN: adding up the lanes at the end of
# a sum costs as much as dozens of products.
_UNITS = 8
_RUN = 256


class DirectSizes(NamedTuple):
    """The sizes and strides that the compiled loops use, for one group of channels."""

    groups: int
    C: int  # channels, height and width of the source
    H: int
    W: int
    step_h: int  # a plane holds every so many rows and columns of the source
    step_w: int
    top: int  # zeros before the first row and column of the source
    left: int
    M: int  # channels, height and width of the result
    out_H: int
    out_W: int
    out_step_h: int  # a phase holds every so many rows and columns of the result
    out_step_w: int
    rows: int  # of a strip, in each phase
    packed_rows: int  # that those rows depend on
    pitch: int  # from one packed row to the next
    strips: int  # of rows, in an image
    images: int  # in a unit
    N: int


class DirectPlan(NamedTuple):
    """A sum over taps of a packed source: the convolution, or its gradient by the input.

    Attributes:
        units: number of units, which are packed one after the other: a unit is one of the `strips`
            of `images` images.
        strips: number of strips of rows that an image is cut into.
        images: number of images in a unit.
        taps: number of taps of one output channel.
        outputs: number of channels of the result, in a group.
        is_whole: whether every pixel of the result is written. A pixel that no tap meets is not.
        packed: floats of a packed unit.
        out_pitch: floats from the results of one channel to those of the next.
        loops: arguments of the compiled loops: offsets int64 (taps,), from the first float of the
            packed unit to the first pixel of a tap; planes int64 (planes, 2), the first row and
            column of each in the source; phases int64 (phases, 6), first tap, taps, rows, columns,
            first row and column in the result; `out_pitch`; and the fields of `DirectSizes`.
    """

    units: int
    strips: int
    images: int
    taps: int
    outputs: int
    is_whole: bool
    packed: int
    out_pitch: int
    loops: tuple[Any, ...]


class _Phase(NamedTuple):
    """Every s-th row and column of a result, and the taps that are summed in it."""

    rows: int
    columns: int
    first_row: int
    first_column: int
    taps_h: list[Pair]  # (shift, plane) of each
    taps_w: list[Pair]


@lru_cache(maxsize=1024)
def forward_plan(g: Conv2dGeometry, with_gradient: bool = False) -> DirectPlan:
    """Source x, result y: one phase, and a plane for each remainder of a tap by the stride.

    Args:
        with_gradient: whether the gradient of y must fit into the cache as well.
    """
    (top, _), (left, _) = g.padding
    rows = [divmod(kh * g.dilation[0], g.stride[0]) for kh in range(g.KH)]
    columns = [divmod(kw * g.dilation[1], g.stride[1]) for kw in range(g.KW)]
    phase = _Phase(g.OH, g.OW, 0, 0, rows, columns)
    source, target = (g.C // g.groups, g.H, g.W), (g.F // g.groups, g.OH, g.OW)
    return _plan(g, source, g.stride, (top, left), target, (1, 1), [phase], with_gradient)


@lru_cache(maxsize=1024)
def backward_plan(g: Conv2dGeometry) -> DirectPlan:
    """Source grad_y, result grad_x: one plane, and a phase for each remainder by the stride."""
    rows, top = _pixels_met(g, 0, g.H)
    columns, left = _pixels_met(g, 1, g.W)
    phases = [
        _Phase(nh, nw, h, w, shifts_h, shifts_w)
        for nh, h, shifts_h in rows
        for nw, w, shifts_w in columns
    ]
    source, target = (g.F // g.groups, g.OH, g.OW), (g.C // g.groups, g.H, g.W)
    return _plan(g, source, (1, 1), (top, left), target, g.stride, phases, False)


def phase_taps(g: Conv2dGeometry, axis: int) -> list[range]:
    """For each remainder by the stride the taps that meet such pixels."""
    taps, stride, dilation = (g.KH, g.KW)[axis], g.stride[axis], g.dilation[axis]
    step = stride // math.gcd(stride, dilation)
    met = [[k for k in range(taps) if k * dilation % stride == a] for a in range(stride)]
    return [range(found[0], taps, step) if found else range(0) for found in met]


def _pixels_met(
    g: Conv2dGeometry, axis: int, size: int
) -> tuple[list[tuple[int, int, list[Pair]]], int]:
    """For each remainder by the stride the number of pixels, the first one, and (shift, 0) by tap.

    Output q - k*d//s meets pixel h = q*s + a - padding, for the taps k with k*d % s = a. The second
    result is the padding before the first row of grad_y with which no shift is negative.
    """
    before, stride, dilation = g.padding[axis][0], g.stride[axis], g.dilation[axis]
    found, least = [], 0
    for a, taps in enumerate(phase_taps(g, axis)):
        q = max(0, -(-(before - a) // stride))
        first = q * stride + a - before
        count = max(0, -(-(size - first) // stride))
        shifts = [q - k * dilation // stride for k in taps]
        least = min([least, *shifts])
        found.append((count, first, shifts))
    return [(n, first, [(s - least, 0) for s in shifts]) for n, first, shifts in found], -least


def _plan(
    g: Conv2dGeometry, source: tuple[int, int, int], step: Pair, padding: Pair,
    target: tuple[int, int, int], out_step: Pair, phases: list[_Phase], with_gradient: bool,
) -> DirectPlan:  # fmt: skip
    C, M = source[0], target[0]
    planes = sorted({(ph, pw) for p in phases for _, ph in p.taps_h for _, pw in p.taps_w})
    halo_h = max(shift for p in phases for shift, _ in p.taps_h)
    halo_w = max(shift for p in phases for shift, _ in p.taps_w)
    height = max(p.rows for p in phases)
    pitch = max(p.columns for p in phases) + halo_w
    row = (C * len(planes) + M * with_gradient) * pitch
    most = _PACKED_BOTH if with_gradient else _PACKED
    strips = -(-height // max(1, most // row - halo_h))
    rows = -(-height // strips)
    packed_rows = rows + halo_h
    # The gradient by the weights is a sum along a run: several images make a longer run.
    images = 1
    if with_gradient:
        wanted = max(-(-g.N // _UNITS), -(-_RUN // (packed_rows * pitch)))
        images = max(1, min(g.N, wanted, most // (row * packed_rows)))
    plane = images * packed_rows * pitch
    offsets: list[int] = []
    table: list[tuple[int, ...]] = []
    for p in phases:
        taps = C * len(p.taps_h) * len(p.taps_w)
        if p.rows and p.columns and taps:
            table.append((len(offsets), taps, *p[:4]))
        offsets += [
            (c * len(planes) + planes.index((ph, pw))) * plane + dh * pitch + dw
            for c in range(C)
            for dh, ph in p.taps_h
            for dw, pw in p.taps_w
        ]
    out_pitch = -(-plane // LANES) * LANES + COLUMNS * LANES
    sizes = DirectSizes(
        g.groups, *source, *step, *padding, *target, *out_step,
        rows, packed_rows, pitch, strips, images, g.N,
    )  # fmt: skip
    tables = (
        np.array(offsets, np.int64),
        np.array(planes, np.int64),
        np.array(table, np.int64).reshape(-1, 6),  # has two axes also if it is empty
    )
    return DirectPlan(
        units=-(-g.N // images) * strips,
        strips=strips,
        images=images,
        taps=len(offsets),
        outputs=M,
        is_whole=all(p.taps_h and p.taps_w for p in phases),
        packed=C * len(planes) * plane + COLUMNS * LANES,
        out_pitch=out_pitch,
        loops=(*tables, out_pitch, tuple(sizes)),
    )
