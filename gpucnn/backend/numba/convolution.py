"""Convolution with the ReLU and the 2x2 maximum that follow it, compiled; float32.

A convolution goes by minimal filtering (`winograd`) where that pays, and else as sums of shifted
images (`direct`). Bias, ReLU and maximum are applied to a unit while it is in the cache, and so is
their part of the backward pass.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpucnn.backend.contract import Array
from gpucnn.backend.cpu import convolution as cpu
from gpucnn.backend.cpu.chunks import blocks, scratch, sum_in_order
from gpucnn.backend.cpu.parallel import parallel
from gpucnn.backend.numba import gradients
from gpucnn.backend.numba.direct import loops as direct
from gpucnn.backend.numba.direct import plan as direct_plan
from gpucnn.backend.numba.elementwise import add_up
from gpucnn.backend.numba.jit import entry, flat
from gpucnn.backend.numba.llvm.vectors import LANES
from gpucnn.backend.numba.pooling import is_pairs
from gpucnn.backend.numba.winograd import loops as winograd
from gpucnn.backend.numba.winograd import plan as winograd_plan
from gpucnn.shapes import Conv2dGeometry, Pool2dGeometry

_PARTS = 8  # partial sums over the batch: a fixed number, so that their order is fixed
_PART_BYTES = 32 << 20  # of all partial sums of a weight gradient, at most
_FLOPS = 1 << 22  # of a chunk of units: a smaller one is not worth another thread
_CHUNKS = 16  # of a forward pass, at most: each takes some 8 us of Python
_SUMMED = 1 << 16  # elements of a partial sum of `bias_grad`
_NO_FLOATS, _NO_BYTES = np.empty(0, np.float32), np.empty(0, np.uint8)
_NO_POOL = 0, 0


class Convolution(cpu.Convolution):
    """All passes of a convolution; a pool is fused with it where `can_fuse`."""

    def _conv2d_forward(
        self, x: Array, w: Array, b: Array | None, g: Conv2dGeometry, activation: str | None
    ) -> Array:
        if x.dtype != np.float32:
            return super()._conv2d_forward(x, w, b, g, activation)
        return _forward(x, w, b, g, activation, None)[0]

    def _conv2d_backward_input(self, grad_y: Array, w: Array, g: Conv2dGeometry) -> Array:
        if w.dtype != np.float32:
            return super()._conv2d_backward_input(grad_y, w, g)
        return _backward(grad_y, None, w, None, None, g, (True, False, False))[0]

    def _conv2d_backward_weight(self, grad_y: Array, x: Array, g: Conv2dGeometry) -> Array:
        if x.dtype != np.float32:
            return super()._conv2d_backward_weight(grad_y, x, g)
        return _backward(grad_y, x, None, None, None, g, (False, True, False))[1]

    def _conv2d_relu_pool_forward(
        self,
        x: Array,
        w: Array,
        b: Array | None,
        g: Conv2dGeometry,
        activation: str | None,
        pool: Pool2dGeometry | None,
    ) -> tuple[Array, Array | None]:
        if x.dtype != np.float32 or not can_fuse(g, pool):
            return super()._conv2d_relu_pool_forward(x, w, b, g, activation, pool)
        return _forward(x, w, b, g, activation, pool)

    def _conv2d_relu_pool_backward(
        self,
        grad_y: Array,
        x: Array,
        w: Array,
        y: Array | None,
        argmax: Array | None,
        g: Conv2dGeometry,
        pool: Pool2dGeometry | None,
        needs: tuple[bool, bool, bool],
    ) -> tuple[Array | None, Array | None, Array | None]:
        if x.dtype != np.float32 or not can_fuse(g, pool):
            return super()._conv2d_relu_pool_backward(grad_y, x, w, y, argmax, g, pool, needs)
        return _backward(grad_y, x, w, y, argmax, g, needs)

    def _bias_grad(self, grad_y: Array) -> Array:
        if grad_y.dtype != np.float32:
            return super()._bias_grad(grad_y)
        N, F = grad_y.shape[:2]
        grad, pixels = flat(grad_y), math.prod(grad_y.shape[2:])

        def task(images: slice) -> Array:
            total = np.zeros(F, np.float32)
            _sum_channels(grad, total, pixels, images.start, images.stop)
            return total

        parts = min(_PARTS, grad.size // _SUMMED + 1)
        return sum_in_order(parallel(task, blocks(N, -(-N // parts) or 1)), (F,), np.float32)


def can_fuse(g: Conv2dGeometry, pool: Pool2dGeometry | None) -> bool:
    """Whether the pool is computed with the convolution: 2x2, of images that are packed whole."""
    return pool is None or (is_pairs(pool) and direct_plan.forward_plan(g).strips == 1)


def _forward(
    x: Array,
    w: Array,
    b: Array | None,
    g: Conv2dGeometry,
    activation: str | None,
    pool: Pool2dGeometry | None,
) -> tuple[Array, Array | None]:
    """See `Backend.conv2d_relu_pool_forward`; the pool is one that `can_fuse`."""
    y = np.empty(g.y_shape if pool is None else pool.y_shape, np.float32)
    argmax = None if pool is None else np.empty(y.shape, np.uint8)
    pooled = _NO_POOL if pool is None else y.shape[2:]
    places = _NO_BYTES if argmax is None else argmax.reshape(-1)
    start = np.zeros(g.F, np.float32) if b is None else flat(b)
    least = np.float32(0 if activation == "relu" else -np.inf)
    source, weights, target = flat(x), flat(w), y.reshape(-1)
    algorithm: Any = direct
    plan: Any = winograd_plan.forward_plan(g)
    if plan:
        algorithm = winograd
        weights = winograd.transform_weights(weights, g)
    else:
        plan = direct_plan.forward_plan(g)

    def task(units: slice) -> None:
        algorithm.forward(
            source, weights, start, least, target, places, pooled, plan.loops,
            algorithm.workspace(plan, pooled[0] * pooled[1]), units.start, units.stop,
        )  # fmt: skip

    parallel(task, _chunks(plan.units, g, min(plan.units, _CHUNKS)))
    return y, argmax


def _backward(
    grad_y: Array,
    x: Array | None,
    w: Array | None,
    y: Array | None,
    argmax: Array | None,
    g: Conv2dGeometry,
    needs: tuple[bool, bool, bool],
) -> tuple[Any, Any, Any]:
    """See `Backend.conv2d_relu_pool_backward`; the pool is one that `can_fuse`.

    x may be None if grad_w is not wanted, and w if grad_x is not.
    """
    plan, back = direct_plan.forward_plan(g, with_gradient=True), direct_plan.backward_plan(g)
    filtered = winograd_plan.backward_plan(g) or winograd_plan.NO_PLAN
    given = [_NO_FLOATS if array is None else flat(array) for array in (x, grad_y, y)]
    places = _NO_BYTES if argmax is None else flat(argmax, np.uint8)
    allocate = np.empty if back.is_whole else np.zeros
    grad_x = allocate(g.x_shape, np.float32) if needs[0] else None
    target = _NO_FLOATS if grad_x is None else grad_x.reshape(-1)
    weights = _NO_FLOATS
    if w is not None and needs[0]:
        by_channel = winograd.transform_weights if filtered.units else direct.weights_by_channel
        weights = by_channel(flat(w), g)
    start, least = np.zeros(g.C, np.float32), np.float32(-np.inf)
    pixels = g.OH * g.OW
    # The gradient before ReLU and maximum; whole vectors are written beyond its last row.
    fused = y is not None or argmax is not None
    dense_size = plan.images * g.F * pixels + 2 * LANES if fused else 0

    def task(units: slice) -> tuple[Array, Array]:
        grad_w = np.zeros(g.F * plan.taps if needs[1] else 0, np.float32)
        grad_b = np.zeros(g.F if needs[2] else 0, np.float32)
        packed = scratch("packed_x", (plan.packed if needs[1] else 0,), np.float32)
        gradient = scratch("gradient", (plan.outputs * plan.out_pitch,), np.float32)
        dense = scratch("dense", (dense_size,), np.float32)
        gradients.backward(
            *given, places, weights, start, least, target, _NO_BYTES, _NO_POOL, grad_w, grad_b,
            plan.loops, back.loops, filtered.loops, packed, gradient, dense,
            direct.workspace(back, pixels), winograd.workspace(filtered, 0),
            units.start, units.stop,
        )  # fmt: skip
        return grad_w, grad_b

    parts = min(_PARTS, _PART_BYTES // (4 * g.F * plan.taps))
    found = parallel(task, _chunks(plan.units // plan.strips, g, parts))
    grad_w = sum_in_order([part[0] for part in found], g.w_shape, np.float32) if needs[1] else None
    grad_b = sum_in_order([part[1] for part in found], (g.F,), np.float32) if needs[2] else None
    return grad_x, grad_w, grad_b


def _chunks(units: int, g: Conv2dGeometry, most: int) -> list[slice]:
    """The units in at most so many chunks: a power of two that grows with the work."""
    flops = 2 * g.N * g.F * g.OH * g.OW * (g.C // g.groups) * g.KH * g.KW
    chunks = 1 << max(0, min(most, flops // _FLOPS).bit_length() - 1)
    return blocks(units, -(-units // chunks) or 1)


@entry
def _sum_channels(grad, total, pixels, begin, end):
    channels = total.size
    for n in range(begin, end):
        if pixels == 1:
            row = grad[n * channels : (n + 1) * channels]
            for c in range(channels):
                total[c] += row[c]
        else:
            for c in range(channels):
                total[c] += add_up(grad, (n * channels + c) * pixels, pixels)
