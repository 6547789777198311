"""Pools: windows at a stride of 2."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gpucnn.bench.cases import Array, Case, named, work

if TYPE_CHECKING:
    from gpucnn.bench.session import Bench, Work

Shape = tuple[int, int, int, int]

# Images and window: what `cnn` pools, the first of LeNet's, and a ResNet's.
_POOLS: dict[str, tuple[tuple[Shape, int], ...]] = {
    "quick": (((2, 4, 8, 8), 2),),
    "mnist": (((128, 64, 24, 24), 2), ((1024, 64, 24, 24), 2), ((128, 6, 28, 28), 2)),
    "deepbench": (((128, 64, 24, 24), 2), ((1024, 64, 24, 24), 2), ((16, 64, 112, 112), 3)),
}


def cases(suite: str) -> list[Case]:
    """Those of a suite."""
    return [case for shape, kernel in _POOLS[suite] for case in _pools(shape, kernel)]


def _pools(shape: Shape, kernel: int) -> list[Case]:
    N, C, H, W = shape
    size, taps = float(math.prod(shape)), kernel * kernel
    outputs = float(N * C * ((H - kernel) // 2 + 1) * ((W - kernel) // 2 + 1))
    name = f"{named(shape)} {kernel}x{kernel} s2"
    return [
        Case(
            what,
            name,
            flop,
            size + outputs,
            functools.partial(_pool, what=what, shape=shape, kernel=kernel),
            more,
        )
        for what, flop, more in (
            ("max pool forward", taps * outputs, outputs),  # an index is a byte
            ("max pool backward", outputs, outputs),
            ("avg pool forward", (taps + 1) * outputs, 0),
            ("avg pool backward", taps * outputs, 0),
        )
    ]


def _pool(bench: Bench, what: str, shape: Shape, kernel: int) -> Work:
    """A window of kernel x kernel at a stride of 2."""
    b, x, k = bench.backend, bench.noise(*shape), kernel
    X = b.asarray(x)
    y, argmax = b.max_pool2d_forward(X, k, stride=2)
    grad_y = bench.noise(*y.shape)
    G = b.asarray(grad_y)
    windows = sliding_window_view(x, (k, k), axis=(2, 3))[:, :, ::2, ::2]

    def first_maxima() -> tuple[Array, ...]:
        """Where the maximum of each window stands: (n, c, h, w), each (N, C, OH, OW)."""
        first = windows.reshape(*windows.shape[:4], -1).argmax(-1)
        n, c, oh, ow = np.indices(first.shape, sparse=True)
        return n, c, 2 * oh + first // k, 2 * ow + first % k

    def routed() -> Array:
        grad_x = np.zeros(shape)
        np.add.at(grad_x, first_maxima(), grad_y.astype(np.float64))
        return grad_x

    def shared_out() -> Array:
        grad_x = np.zeros(shape)
        for i, j in np.ndindex(k, k):
            OH, OW = grad_y.shape[2:]
            grad_x[:, :, i : i + 2 * OH - 1 : 2, j : j + 2 * OW - 1 : 2] += grad_y / (k * k)
        return grad_x

    def torch_call(torch: Any, x: Any, grad_y: Any) -> Any:
        F, aten = torch.nn.functional, torch.ops.aten
        size = [k, k], [2, 2], [0, 0]
        if what == "max pool forward":
            return lambda: F.max_pool2d(x, k, 2, return_indices=True)
        if what == "avg pool forward":
            return lambda: F.avg_pool2d(x, k, 2)
        if what == "avg pool backward":
            return lambda: aten.avg_pool2d_backward(grad_y, x, *size, False, True, None)
        index = F.max_pool2d(x, k, 2, return_indices=True)[1]
        return lambda: aten.max_pool2d_with_indices_backward(grad_y, x, *size, [1, 1], False, index)

    run, oracle, terms = {
        "max pool forward": (
            lambda: b.max_pool2d_forward(X, k, stride=2)[0], lambda: windows.max((4, 5)), 0
        ),
        "max pool backward": (
            lambda: b.max_pool2d_backward(G, argmax, shape, k, stride=2), routed, k * k
        ),
        "avg pool forward": (
            lambda: b.avg_pool2d_forward(X, k, stride=2),
            lambda: windows.mean((4, 5), dtype=np.float64),
            k * k,
        ),
        "avg pool backward": (
            lambda: b.avg_pool2d_backward(G, shape, k, stride=2), shared_out, k * k
        ),
    }[what]  # fmt: skip
    return work(bench, run, oracle, terms, torch_call, (x, grad_y))
