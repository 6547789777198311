"""The compiled backward pass of a convolution: all its gradients, unit by unit."""

from __future__ import annotations

from gpucnn.backend.numba.direct import loops as direct
from gpucnn.backend.numba.direct.plan import DirectSizes
from gpucnn.backend.numba.elementwise import add_up, mask_positive
from gpucnn.backend.numba.jit import entry, inner
from gpucnn.backend.numba.llvm.rows import copy, zero
from gpucnn.backend.numba.pooling import unpool_plane
from gpucnn.backend.numba.winograd import loops as winograd
from gpucnn.backend.numba.winograd.plan import WinogradSizes


@entry
def backward(
    source, grad, y, argmax, weights, start, least, grad_x, no_argmax, no_pool, grad_w, grad_b,
    forward_loops, direct_loops, winograd_loops, packed, gradient, dense, direct_workspace,
    winograd_workspace, begin, end,
):  # fmt: skip
    """For the images of each unit: the gradient before ReLU and maximum, then three sums over it.

    An empty array stands for what is absent or not wanted: y and argmax, grad_x, grad_w, grad_b.
    grad_x goes by minimal filtering if `winograd_loops` are of a plan.
    """
    p, b = DirectSizes(*forward_loops[-1]), DirectSizes(*direct_loops[-1])
    q = WinogradSizes(*winograd_loops[-1])
    F, pixels = p.groups * p.M, p.out_H * p.out_W
    small = (p.out_H // 2) * (p.out_W // 2) if argmax.size else pixels
    zero(packed, 0, packed.size)  # the last unit may have fewer images: the others count as zeros
    for unit in range(begin, end):
        n = unit * p.images
        count = min(p.images, p.N - n)
        grad_at = n * F * pixels
        if y.size or argmax.size:
            grad_at = 0
            for i in range(count * F):
                _before_relu_and_maximum(
                    grad, y, argmax, n * F + i, small, direct_workspace, dense, i * pixels, p
                )
        else:
            dense = grad
        if grad_b.size:
            for i in range(count * F):
                grad_b[i % F] += add_up(dense, grad_at + i * pixels, pixels)
        if grad_w.size:
            for row in range(0, p.out_H, p.rows):
                direct.weight_gradient(
                    source, dense, grad_at, n, count, row, grad_w, forward_loops, p, packed,
                    gradient,
                )  # fmt: skip
        if grad_x.size and q.N:
            for i in range(0, count, q.images):
                for row in range(0, q.strips * q.rows, q.rows):
                    winograd.correlate(
                        dense, grad_at + i * F * pixels, n + i, min(q.images, count - i), row,
                        weights, start, least, grad_x, no_argmax, no_pool, winograd_loops, q,
                        winograd_workspace,
                    )  # fmt: skip
        elif grad_x.size:
            for i in range(count):
                for row in range(0, b.strips * b.rows, b.rows):
                    direct.correlate(
                        dense, grad_at + i * F * pixels, n + i, row, weights, start, least,
                        grad_x, no_argmax, no_pool, direct_loops, b, direct_workspace,
                    )  # fmt: skip


@inner
def _before_relu_and_maximum(grad, y, argmax, plane, size, workspace, dense, to, p):
    """The gradient of one channel by the convolution's result, written to dense[to:]."""
    maxima, places = workspace[2], workspace[3]
    if y.size:
        mask_positive(grad, y, plane * size, maxima, 0, size)
    else:
        copy(grad, plane * size, maxima, 0, size)
    if argmax.size:
        unpool_plane(maxima, argmax, plane, places, dense, to, p.out_H, p.out_W)
    else:
        copy(maxima, 0, dense, to, size)
