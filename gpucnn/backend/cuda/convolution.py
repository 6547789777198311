"""Convolution as kernel launches: which algorithm, and which variant of it, serves which sizes.

    naive    one thread an output: float64, and what no other algorithm takes
    shared   16x16 tiles of a matrix product, for readers: never taken unless it is forced
    tiled    an implicit matrix product: float32
    direct   1 to 4 channels a group, where a tile would stay mostly empty: float32

The ladder is explained in kernels/conv2d_forward.cu, conv2d_backward_input.cu and
conv2d_backward_weight.cu. `Launcher.algorithm` forces an algorithm, for tests and comparisons.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpucnn.backend import contract
from gpucnn.backend.contract import Array
from gpucnn.backend.cuda.launcher import Launcher
from gpucnn.backend.cuda.launches import THREADS, WARP, Launches, grid
from gpucnn.backend.cuda.tiles import (
    LEAST_ROWS,
    MOST_PARTS,
    SHARED_TILE,
    add_parts,
    is_aligned,
    plan,
    stored_at_once,
    workspace,
)
from gpucnn.shapes import Conv2dGeometry

_DIRECT_THREADS = 128
_DIRECT_CHANNELS = 4  # of a group, at most
_FORWARD_TAPS = 256  # C/groups * KH * KW of the direct forward: its weights in shared memory
_FORWARD_PIXELS = {1: 4, 8: 4, 32: 2}  # filters of a thread -> pixels
_INPUT_WEIGHTS = 4096  # floats of shared memory in the direct backward input
_WEIGHT_FILTERS = {1: 16, 3: 8, 5: 4, 7: 1}  # kernel -> filters of a thread
_WEIGHT_BLOCKS = 8  # of a multiprocessor, so that the direct backward weight fills it
_LEAST_PIXELS = 16  # a thread: below, a further part costs more than it gains
_GRID = 65535  # blocks along y and z


class Convolution(Launches, contract.Convolution):
    """`UsageError` if `Launcher.algorithm` forces an algorithm that cannot take the arguments."""

    def _conv2d_forward(
        self, x: Array, w: Array, b: Array | None, g: Conv2dGeometry, activation: str | None
    ) -> Array:
        """Choose an algorithm and launch its kernel."""
        x, w, b = self._contiguous(x), self._contiguous(w), self._contiguous(b)
        channels, filters = g.C // g.groups, g.F // g.groups
        taps = channels * g.KH * g.KW
        columns = g.N * g.OH * g.OW
        relu = int(activation == "relu")
        # Filters of a direct block: 32, or 8 where 32 would leave many of its rows empty.
        few = 1 if filters == 1 else 8 if -(-filters // 32) * 64 > 3 * filters else 32
        blocks = g.groups * -(-filters // few)
        direct = channels <= _DIRECT_CHANNELS and taps <= _FORWARD_TAPS and blocks <= _GRID
        algorithm = _algorithm(self.launcher, x.dtype, direct, g.groups, filters)
        if algorithm in ("naive", "shared"):
            y = self.launcher.empty(g.y_shape, x.dtype)
            _one_output_a_thread(
                self.launcher, "conv2d_forward", algorithm, g.groups, filters, y,
                x, w, b, y, _sizes(g), relu,
            )  # fmt: skip
            return y
        if algorithm == "direct":
            y = self.launcher.empty(g.y_shape, x.dtype)
            pixels = _FORWARD_PIXELS[few]
            kernel = _square(g, (3, 5))
            self.launcher.launch(
                "conv2d_forward", "conv2d_forward_direct",
                (-(-columns // (_DIRECT_THREADS * pixels)), blocks), _DIRECT_THREADS,
                x, w, b, y, _sizes(g), relu,
                FILTERS=few, PIXELS=pixels, KERNEL=kernel,
                # The dilation as a constant takes registers, and 32 filters leave none.
                DILATION=_undilated(g) if few < 32 else 0,
                TAPS=_DIRECT_CHANNELS * kernel**2 or _FORWARD_TAPS,
            )  # fmt: skip
            return y
        p = plan(filters, columns, taps, g.groups, self.launcher.multiprocessors)
        y = workspace(self.launcher, p.parts, g.y_shape, x.dtype)
        whole = p.parts == 1
        self.launcher.launch(
            "conv2d_forward", "conv2d_forward_tiled",
            (-(-columns // p.BN), g.groups * -(-filters // p.BM), p.parts), p.threads,
            x, w, b if whole else None, y, _sizes(g), relu * whole, p.depth,
            **p.constants, KERNEL=_square(g, (1, 3, 5)),
            VECTOR=int(taps % 4 == 0 and is_aligned(self.launcher, w)),
            VECTOR_OUT=stored_at_once(self.launcher, y, g.OH * g.OW),
        )  # fmt: skip
        pixels = g.OH * g.OW
        return add_parts(
            self.launcher, y, p.parts, g.y_shape, bias=b, inner=pixels, activation=activation
        )

    def _conv2d_backward_input(self, grad_y: Array, w: Array, g: Conv2dGeometry) -> Array:
        """Choose an algorithm and launch its kernel."""
        grad_y, w = self._contiguous(grad_y), self._contiguous(w)
        channels, filters = g.C // g.groups, g.F // g.groups
        held = 1 if channels == 1 else _DIRECT_CHANNELS
        direct = channels <= held and g.KH * g.KW * held <= _INPUT_WEIGHTS and g.groups <= _GRID
        phases = math.prod(g.stride)
        algorithm = _algorithm(self.launcher, w.dtype, direct, g.groups, channels, phases)
        if algorithm in ("naive", "shared"):
            grad_x = self.launcher.empty(g.x_shape, w.dtype)
            _one_output_a_thread(
                self.launcher, "conv2d_backward_input", algorithm, g.groups, channels, grad_x,
                grad_y, w, grad_x, _sizes(g),
            )  # fmt: skip
            return grad_x
        if algorithm == "direct":
            grad_x = self.launcher.empty(g.x_shape, w.dtype)
            self.launcher.launch(
                "conv2d_backward_input", "conv2d_backward_input_direct",
                (-(-g.N * g.H * g.W // _DIRECT_THREADS), g.groups), _DIRECT_THREADS,
                grad_y, w, grad_x, _sizes(g), CHANNELS=held,
            )  # fmt: skip
            return grad_x
        # The largest phase, at the upper left pixel: its pixels, and the most taps of any phase.
        pixels = math.prod(-(-size // s) for size, s in zip((g.H, g.W), g.stride, strict=True))
        taps = math.prod(
            -(-k // (s // math.gcd(s, d)))
            for k, s, d in zip((g.KH, g.KW), g.stride, g.dilation, strict=True)
        )
        # The work of all phases in units of the largest: at a stride some have few taps, or none.
        products = g.groups * -(-g.KH * g.KW // taps)
        p = plan(channels, g.N * pixels, filters * taps, products, self.launcher.multiprocessors)
        kernel = _square(g, (1, 3, 5) if phases == 1 else (1,))
        vector = kernel == 1 and channels % 4 == 0 and is_aligned(self.launcher, w)
        grad_x = workspace(self.launcher, p.parts, g.x_shape, w.dtype)
        self.launcher.launch(
            "conv2d_backward_input", "conv2d_backward_input_tiled",
            (-(-g.N * pixels // p.BN), g.groups * -(-channels // p.BM), phases * p.parts),
            p.threads,
            grad_y, w, grad_x, _sizes(g), p.depth,
            **p.constants, KERNEL=kernel, STRIDE=int(phases == 1), VECTOR=int(vector),
            VECTOR_OUT=int(phases == 1 and stored_at_once(self.launcher, grad_x, g.H * g.W)),
        )  # fmt: skip
        return add_parts(self.launcher, grad_x, p.parts, g.x_shape)

    def _conv2d_backward_weight(self, grad_y: Array, x: Array, g: Conv2dGeometry) -> Array:
        """Choose an algorithm and launch its kernel."""
        grad_y, x = self._contiguous(grad_y), self._contiguous(x)
        channels, filters = g.C // g.groups, g.F // g.groups
        columns, pixels = channels * g.KH * g.KW, g.N * g.OH * g.OW
        kernel = _square(g, tuple(_WEIGHT_FILTERS))
        few = 1 if filters == 1 else _WEIGHT_FILTERS.get(kernel, 0)
        blocks = g.C * -(-filters // max(few, 1))
        direct = channels <= _DIRECT_CHANNELS and kernel > 0 and (few > 1 or filters == 1)
        algorithm = _algorithm(
            self.launcher, x.dtype, direct and blocks <= _GRID, g.groups, filters
        )
        if algorithm in ("naive", "shared"):
            grad_w = self.launcher.empty(g.w_shape, x.dtype)
            _one_output_a_thread(
                self.launcher, "conv2d_backward_weight", algorithm, g.groups, filters, grad_w,
                grad_y, x, grad_w, _sizes(g),
            )  # fmt: skip
            return grad_w
        if algorithm == "direct":
            most = max(1, -(-self.launcher.multiprocessors * _WEIGHT_BLOCKS // blocks))
            depth = max(-(-pixels // most), _DIRECT_THREADS * _LEAST_PIXELS)
            parts = max(1, -(-pixels // depth))
            grad_w = workspace(self.launcher, parts, g.w_shape, x.dtype)
            self.launcher.launch(
                "conv2d_backward_weight", "conv2d_backward_weight_direct",
                (parts, blocks), _DIRECT_THREADS,
                grad_y, x, grad_w, _sizes(g), depth,
                FILTERS=few, KERNEL=kernel, DILATION=_undilated(g),
            )  # fmt: skip
            return add_parts(self.launcher, grad_w, parts, g.w_shape)
        p = plan(filters, columns, pixels, g.groups, self.launcher.multiprocessors)
        grad_w = workspace(self.launcher, p.parts, g.w_shape, x.dtype)
        self.launcher.launch(
            "conv2d_backward_weight", "conv2d_backward_weight_tiled",
            (-(-columns // p.BN), g.groups * -(-filters // p.BM), p.parts), p.threads,
            grad_y, x, grad_w, _sizes(g), p.depth,
            **p.constants, VECTOR_OUT=stored_at_once(self.launcher, grad_w, columns),
        )  # fmt: skip
        return add_parts(self.launcher, grad_w, p.parts, g.w_shape)

    def _bias_grad(self, grad_y: Array) -> Array:
        launch, empty = self.launcher.launch, self.launcher.empty
        r = self._reduction(grad_y)
        grad_b = empty((r.C,), grad_y.dtype)
        # One part is the sum itself.
        partial = empty((r.C, r.parts), grad_y.dtype) if r.parts > 1 else grad_b
        launch(
            "bias_grad", "bias_grad_partial", r.grid, THREADS,
            self._contiguous(grad_y), partial, *r.sizes,
        )  # fmt: skip
        if r.parts > 1:
            launch(
                "bias_grad", "bias_grad_sum", grid(WARP * r.C), THREADS,
                partial, grad_b, r.C, r.parts,
            )  # fmt: skip
        return grad_b


def _sizes(g: Conv2dGeometry) -> tuple[int, ...]:
    """The fields of the struct in kernels/conv2d.cuh."""
    (top, _), (left, _) = g.padding
    return (*g[:10], *g.stride, top, left, *g.dilation)


def _square(g: Conv2dGeometry, sizes: tuple[int, ...]) -> int:
    """The size of a square kernel that has a variant, else 0."""
    return g.KH if g.KH == g.KW and g.KH in sizes else 0


def _undilated(g: Conv2dGeometry) -> int:
    return int(g.dilation == (1, 1))


def _one_output_a_thread(
    launcher: Launcher, name: str, algorithm: str, groups: int, rows: int, out: Array, *args: Any
) -> None:
    """Launches the naive or the shared kernel.

    Args:
        groups, rows: `out` has the elements of so many matrices with so many rows.
    """
    blocks, threads = (grid(out.size), 1), (THREADS, 1)
    if algorithm == "shared":
        columns = out.size // (groups * rows)
        blocks = -(-columns // SHARED_TILE), groups * -(-rows // SHARED_TILE)
        threads = SHARED_TILE, SHARED_TILE
    launcher.launch(name, f"{name}_{algorithm}", blocks, threads, *args)


def _algorithm(
    launcher: Launcher, dtype: Any, direct: bool, groups: int, rows: int, phases: int = 1
) -> str:
    """The algorithm to use: the one that is forced, else the first that takes the arguments.

    Args:
        direct: whether the direct kernel does.
        rows: of the matrix that the tiled and the shared kernel compute for each group.
        phases: blocks of the tiled kernel along z, for each part of a sum.
    """
    possible = ["naive"]
    if groups * -(-rows // SHARED_TILE) <= _GRID:
        possible.append("shared")
    if dtype == np.float32:
        if groups * -(-rows // LEAST_ROWS) <= _GRID and phases * MOST_PARTS <= _GRID:
            possible.insert(0, "tiled")
        if direct:
            possible.insert(0, "direct")
    return launcher.choose_algorithm(possible, "convolution of these sizes", dtype)
