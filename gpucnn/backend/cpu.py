"""The primitives in NumPy.

Convolution packs the pixels under each kernel tap into columns and multiplies by BLAS:

    forward           y   = w   @ columns(x)             (F, K) @ (K, pixels)
    backward input    columns(grad_x) = w^T @ grad_y     (K, F) @ (F, pixels), then added up
    backward weight   grad_w = grad_y @ columns(x)^T     (F, pixels) @ (pixels, K)

with K = C*KH*KW. It does so for a few images at a time, as many as keep the columns in the cache,
and the pieces are shared out over threads (`parallel`). So scratch memory is bounded by
`_COLUMN_BYTES` a thread however large the batch is.

Convolution and pooling share one description of which pixels a kernel tap sees: `_taps`.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from gpucnn.backend.base import Array, Backend, Scalar
from gpucnn.backend.parallel import (
    blas_description,
    blocks,
    get_threads,
    parallel,
    piece_size,
    scratch,
    set_threads,
)
from gpucnn.random import fill_bits, keep_threshold
from gpucnn.shapes import Conv2dGeometry, Pool2dGeometry

__all__ = ["CpuBackend", "get_threads", "set_threads"]

_COLUMN_BYTES = 3 << 20  # packed columns at once: more amortises the calls, less stays in the cache
_BLOCK = 1 << 16  # elements at once of a pass over flat arrays: the operands stay in the cache
_POOL_ELEMENTS = 1 << 18  # elements of pooling at once
_PARTS = 8  # partial sums of a reduction over the batch: fixed, so that its order is
_MATMUL_FLOPS = 1 << 22  # a matrix product below this is not worth a second thread


class CpuBackend(Backend):
    """NumPy arrays, float32 or float64, of any memory layout; results are C-contiguous."""

    name = "cpu"
    xp = np

    def asarray(self, array: Any, dtype: Any = None) -> Array:
        return np.asarray(array, dtype=dtype)

    def to_numpy(self, array: Array) -> Any:
        return np.asarray(array)

    def owns(self, array: Any) -> bool:
        return isinstance(array, (np.ndarray, np.generic))

    def describe(self) -> dict[str, Any]:
        return {
            "device": self.name,
            "processor": platform.machine(),
            "numpy": np.__version__,
            "blas": blas_description(),
            "threads": get_threads(),
        }

    def quiet(self) -> AbstractContextManager[Any]:
        return np.errstate(all="ignore")

    # ---- convolution -----------------------------------------------------------------------

    def _conv2d_forward(
        self, x: Array, w: Array, b: Array | None, geometry: Conv2dGeometry, activation: str | None
    ) -> Array:
        g = geometry
        y = np.empty(g.y_shape, x.dtype)
        weight = w.reshape(g.groups, g.F // g.groups, -1)  # (G, F/G, K)

        def task(chunk: _Chunk) -> None:
            columns = _pack_columns(x, g, chunk)  # (G, K, pixels)
            product = scratch("product", (*weight.shape[:2], columns.shape[2]), x.dtype)
            np.matmul(weight, columns, out=product)
            out = y[chunk.images, :, chunk.rows]  # (n, F, rows, OW)
            n, _, rows, _ = out.shape
            images = product.reshape(g.F, n, rows, g.OW).transpose(1, 0, 2, 3)
            if b is None:
                np.copyto(out, images)
            else:
                np.add(images, b[:, None, None], out=out)
            if activation == "relu":
                np.maximum(out, 0, out=out)

        parallel(task, _chunks(g, x.dtype.itemsize))
        return y

    def _conv2d_backward_input(self, grad_y: Array, w: Array, geometry: Conv2dGeometry) -> Array:
        g = geometry
        grad_x = np.empty(g.x_shape, grad_y.dtype)
        weight = w.reshape(g.groups, g.F // g.groups, -1)
        weight = np.ascontiguousarray(weight.transpose(0, 2, 1))  # (G, K, F/G)

        # Rows of one image overlap in grad_x, so they are one thread's work, in their order.
        by_images: dict[int, list[_Chunk]] = {}
        for chunk in _chunks(g, grad_y.dtype.itemsize):
            by_images.setdefault(chunk.images.start, []).append(chunk)

        def task(chunks: list[_Chunk]) -> None:
            images = grad_x[chunks[0].images]
            images[...] = 0
            target = images.transpose(1, 0, 2, 3)  # (C, n, H, W)
            for chunk in chunks:
                grad = _pack_gradient(grad_y, g, chunk)  # (G, F/G, pixels)
                columns = scratch("columns", (*weight.shape[:2], grad.shape[2]), grad.dtype)
                np.matmul(weight, grad, out=columns)
                taps = columns.reshape(g.C, g.KH, g.KW, images.shape[0], -1, g.OW)
                for tap in _taps(g, g.dilation, chunk.rows):
                    pixels = target[:, :, tap.y, tap.x]
                    np.add(pixels, taps[:, tap.kh, tap.kw, :, tap.oy, tap.ox], out=pixels)

        parallel(task, list(by_images.values()))
        return grad_x

    def _conv2d_backward_weight(self, grad_y: Array, x: Array, geometry: Conv2dGeometry) -> Array:
        g = geometry
        K = g.C // g.groups * g.KH * g.KW
        chunks = _chunks(g, x.dtype.itemsize)
        parts = [chunks[part] for part in blocks(len(chunks), -(-len(chunks) // _PARTS) or 1)]

        def task(part: Sequence[_Chunk]) -> Array:
            total = np.zeros((g.groups, g.F // g.groups, K), x.dtype)
            product = scratch("product", total.shape, x.dtype)
            for chunk in part:
                columns = _pack_columns(x, g, chunk)
                grad = _pack_gradient(grad_y, g, chunk)
                np.matmul(grad, columns.transpose(0, 2, 1), out=product)
                total += product
            return total

        return _sum_in_order(parallel(task, parts), g.w_shape, x.dtype)

    def _bias_grad(self, grad_y: Array) -> Array:
        N, F = grad_y.shape[:2]
        flat = _by_channel(grad_y)  # (N, F, pixels)
        parts = blocks(N, -(-N // _PARTS) or 1)
        sums = parallel(lambda part: flat[part].sum(axis=2).sum(axis=0), parts)
        return _sum_in_order(sums, (F,), grad_y.dtype)

    # ---- pooling ---------------------------------------------------------------------------

    def _max_pool2d_forward(self, x: Array, geometry: Pool2dGeometry) -> tuple[Array, Array]:
        g = geometry
        y = np.empty(g.y_shape, x.dtype)
        # The number of the tap that won.
        argmax = np.empty(g.y_shape, np.uint8 if g.KH * g.KW <= 256 else np.int32)
        first = _first_taps(g)

        def task(images: slice) -> None:
            xs, best, index = x[images], y[images], argmax[images]
            best[...] = -np.inf
            index[...] = first
            for tap in _taps(g):
                seen, winner = best[:, :, tap.oy, tap.ox], index[:, :, tap.oy, tap.ox]
                # Strided pixels are slow to compute with: one copy serves both comparisons.
                pixels = scratch("pixels", seen.shape, x.dtype)
                np.copyto(pixels, xs[:, :, tap.y, tap.x])
                wins = np.greater(pixels, seen, out=scratch("wins", seen.shape, np.bool_))
                np.maximum(seen, pixels, out=seen)  # a NaN on either side stays
                # Taps come in rising order, so the last one to win has the greatest number.
                number = scratch("number", seen.shape, index.dtype)
                np.multiply(wins.view(np.uint8), index.dtype.type(_number(g, tap)), out=number)
                np.maximum(winner, number, out=winner)
            if np.isnan(best).any():
                for tap in reversed(_taps(g)):  # the first NaN of a window is written last
                    nan = np.isnan(xs[:, :, tap.y, tap.x])
                    np.copyto(index[:, :, tap.oy, tap.ox], _number(g, tap), where=nan)

        parallel(task, _image_blocks(g))
        return y, argmax

    def _max_pool2d_backward(self, grad_y: Array, argmax: Array, geometry: Pool2dGeometry) -> Array:
        g = geometry
        grad_x = np.empty(g.x_shape, grad_y.dtype)

        def task(images: slice) -> None:
            target, grad, index = grad_x[images], grad_y[images], argmax[images]
            target[...] = 0
            for tap in _taps(g):
                pixels = target[:, :, tap.y, tap.x]
                won = index[:, :, tap.oy, tap.ox] == _number(g, tap)
                part = scratch("part", pixels.shape, grad.dtype)
                np.add(pixels, _keep(grad[:, :, tap.oy, tap.ox], won, part), out=pixels)

        parallel(task, _image_blocks(g))
        return grad_x

    def _avg_pool2d_forward(
        self, x: Array, geometry: Pool2dGeometry, count_include_pad: bool
    ) -> Array:
        g = geometry
        y = np.empty(g.y_shape, x.dtype)
        count = _window_counts(g, count_include_pad).astype(x.dtype)

        def task(images: slice) -> None:
            total = y[images]
            total[...] = 0
            for tap in _taps(g):
                total[:, :, tap.oy, tap.ox] += x[images, :, tap.y, tap.x]
            total /= count

        parallel(task, _image_blocks(g))
        return y

    def _avg_pool2d_backward(
        self, grad_y: Array, geometry: Pool2dGeometry, count_include_pad: bool
    ) -> Array:
        g = geometry
        grad_x = np.empty(g.x_shape, grad_y.dtype)
        count = _window_counts(g, count_include_pad).astype(grad_y.dtype)

        def task(images: slice) -> None:
            target = grad_x[images]
            target[...] = 0
            share = grad_y[images] / count
            for tap in _taps(g):
                target[:, :, tap.y, tap.x] += share[:, :, tap.oy, tap.ox]

        parallel(task, _image_blocks(g))
        return grad_x

    # ---- dense, activation, loss -----------------------------------------------------------

    def _matmul(self, a: Array, b: Array, bias: Array | None, activation: str | None) -> Array:
        rows, columns = a.shape[0], b.shape[1]
        c = np.empty((rows, columns), a.dtype)
        pieces = max(1, min(2 * _PARTS, 2 * rows * columns * a.shape[1] // _MATMUL_FLOPS))
        # Cut along the longer side of the result; the other operand is read whole by each piece.
        by_rows = rows >= columns
        size = max(rows, columns)

        def task(part: slice) -> None:
            if by_rows:
                out = np.matmul(a[part], b, out=c[part])
            else:
                out = np.matmul(a, b[:, part], out=c[:, part])
            if bias is not None:
                np.add(out, bias if by_rows else bias[part], out=out)
            if activation == "relu":
                np.maximum(out, 0, out=out)

        parallel(task, blocks(size, -(-size // pieces) or 1))
        return c

    def _relu_backward(self, grad_y: Array, y: Array) -> Array:
        grad_x = np.empty(y.shape, y.dtype)
        flat_x, flat_grad, flat_y = _flat(grad_x), _flat(grad_y), _flat(y)

        def task(part: slice) -> None:
            _keep(flat_grad[part], flat_y[part] > 0, flat_x[part])

        parallel(task, blocks(y.size, 4 * _BLOCK))
        return grad_x

    def _softmax_cross_entropy_forward(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        with self.quiet():
            shifted = logits - logits.max(axis=1, keepdims=True, initial=-np.inf)
            exponentials = np.exp(shifted)
            total = exponentials.sum(axis=1, keepdims=True)
            valid, index = _valid_labels(labels, logits.shape[1])
            picked = np.take_along_axis(shifted, index[:, None], axis=1)[:, 0]
            losses = np.where(valid, np.log(total[:, 0]) - picked, np.nan)
            return losses.astype(logits.dtype, copy=False), exponentials / total

    def _softmax_cross_entropy_backward(
        self, probabilities: Array, labels: Array, grad: Array
    ) -> Array:
        with self.quiet():
            valid, index = _valid_labels(labels, probabilities.shape[1])
            grad_logits = np.array(probabilities)
            grad_logits[np.arange(index.size), index] -= 1
            grad_logits *= grad[:, None]
            grad_logits[~valid] = np.nan
            return grad_logits

    # ---- normalisation and dropout ---------------------------------------------------------

    def _batch_norm_forward(
        self, x: Array, gamma: Array, beta: Array, eps: float
    ) -> tuple[Array, Array, Array]:
        y = np.empty(x.shape, x.dtype)
        mean, var = np.empty_like(gamma), np.empty_like(gamma)
        xs, ys = _by_channel(x), _by_channel(y)  # (N, C, pixels)
        count = xs.shape[0] * xs.shape[2]

        def task(channels: slice) -> None:
            values, out = xs[:, channels], ys[:, channels]
            mean[channels] = _channel_sum(values) / count
            np.subtract(values, mean[channels, None], out=out)
            var[channels] = _channel_sum(np.square(out)) / count
            out *= (gamma[channels] / np.sqrt(var[channels] + eps))[:, None]
            out += beta[channels, None]

        parallel(task, _channel_blocks(xs))
        return y, mean, var

    def _batch_norm_backward(
        self, grad_y: Array, x: Array, gamma: Array, mean: Array, var: Array, eps: float
    ) -> tuple[Array, Array, Array]:
        grad_x = np.empty(x.shape, x.dtype)
        grad_gamma, grad_beta = np.empty_like(gamma), np.empty_like(gamma)
        grads, xs, out = _by_channel(grad_y), _by_channel(x), _by_channel(grad_x)
        count = xs.shape[0] * xs.shape[2]
        inverse_std = 1 / np.sqrt(var + eps)

        def task(channels: slice) -> None:
            grad = grads[:, channels]
            scale = inverse_std[channels, None]
            xhat = (xs[:, channels] - mean[channels, None]) * scale
            grad_beta[channels] = _channel_sum(grad)
            grad_gamma[channels] = _channel_sum(grad * xhat)
            xhat *= grad_gamma[channels, None] / count
            xhat += grad_beta[channels, None] / count
            np.subtract(grad, xhat, out=out[:, channels])
            out[:, channels] *= gamma[channels, None] * scale

        parallel(task, _channel_blocks(xs))
        return grad_x, grad_gamma, grad_beta

    def _dropout_forward(
        self, x: Array, rate: float, key: tuple[int, int], step: Scalar
    ) -> tuple[Array, Array]:
        y, mask = np.empty(x.shape, x.dtype), np.empty(x.shape, np.uint8)
        flat_x, flat_y, flat_mask = _flat(x), _flat(y), _flat(mask)
        threshold, at = keep_threshold(rate), int(_value(step))

        def task(part: slice) -> None:
            draw = scratch("draw", (part.stop - part.start,), np.uint32)
            fill_bits(draw, key, at, part.start)
            np.less(draw, np.uint64(threshold), out=flat_mask[part].view(np.bool_))
            _keep(flat_x[part], flat_mask[part], flat_y[part])
            flat_y[part] *= 1 / (1 - rate)

        parallel(task, blocks(x.size, _BLOCK, multiple=4))  # a counter gives four elements
        return y, mask

    def _dropout_backward(self, grad_y: Array, mask: Array, rate: float) -> Array:
        grad_x = np.empty(grad_y.shape, grad_y.dtype)
        flat_grad, flat_mask, flat_x = _flat(grad_y), _flat(mask), _flat(grad_x)

        def task(part: slice) -> None:
            _keep(flat_grad[part], flat_mask[part], flat_x[part])
            flat_x[part] *= 1 / (1 - rate)

        parallel(task, blocks(grad_y.size, _BLOCK))
        return grad_x

    # ---- data and optimizers ---------------------------------------------------------------

    def _gather(self, dataset: Array, indices: Array, scale: float, offset: float) -> Array:
        batch = np.multiply(dataset[indices], np.float32(scale), dtype=np.float32)
        if offset:
            batch += np.float32(offset)
        return batch

    def _sgd_update(
        self,
        param: Array,
        grad: Array,
        velocity: Array | None,
        learning_rate: Scalar,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        halted: Scalar | None,
    ) -> None:
        if _halts(halted):
            return
        rate = _value(learning_rate)

        def update(w: Array, g: Array, v: Array | None = None) -> None:
            if weight_decay:
                g = g + weight_decay * w
            if v is not None and momentum:
                v *= momentum
                v += g
                g = g + momentum * v if nesterov else v
            w -= rate * g

        _update(update, param, grad, *([] if velocity is None else [velocity]))

    def _rmsprop_update(
        self,
        param: Array,
        grad: Array,
        square_avg: Array,
        learning_rate: Scalar,
        rho: float,
        eps: float,
        weight_decay: float,
        halted: Scalar | None,
    ) -> None:
        if _halts(halted):
            return
        rate = _value(learning_rate)

        def update(w: Array, g: Array, s: Array) -> None:
            if weight_decay:
                g = g + weight_decay * w
            s *= rho
            s += (1 - rho) * (g * g)
            w -= rate * g / (np.sqrt(s) + eps)

        _update(update, param, grad, square_avg)

    def _adam_update(
        self,
        param: Array,
        grad: Array,
        m: Array,
        v: Array,
        learning_rate: Scalar,
        step: Scalar,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        decoupled: bool,
        halted: Scalar | None,
    ) -> None:
        if _halts(halted):
            return
        rate, t = _value(learning_rate), _value(step)
        beta1, beta2 = betas
        step_size = rate / (1 - beta1**t)
        root_correction = (1 - beta2**t) ** 0.5

        def update(w: Array, g: Array, m: Array, v: Array) -> None:
            if decoupled:
                w *= 1 - rate * weight_decay
            elif weight_decay:
                g = g + weight_decay * w
            m *= beta1
            m += (1 - beta1) * g
            v *= beta2
            v += (1 - beta2) * (g * g)
            denominator = np.sqrt(v)
            denominator /= root_correction
            denominator += eps
            np.divide(m, denominator, out=denominator)
            denominator *= step_size
            w -= denominator

        _update(update, param, grad, m, v)


# ---- convolution and pooling: which pixels a tap sees ----------------------------------------


class _Chunk(NamedTuple):
    """A piece of a convolution's output: some images, or some rows of one image."""

    images: slice
    rows: slice


class _Tap(NamedTuple):
    """Kernel element (kh, kw): output pixels (oy, ox) see input pixels (y, x), padding left out."""

    kh: int
    kw: int
    oy: slice
    ox: slice
    y: slice
    x: slice


@lru_cache(maxsize=1024)
def _taps_of_rows(
    g: Conv2dGeometry | Pool2dGeometry, dilation: tuple[int, int], first: int, last: int
) -> tuple[_Tap, ...]:
    found = []
    for kh in range(g.KH):
        oy, y = _seen(kh * dilation[0] - g.padding[0][0], g.stride[0], g.H, first, last)
        for kw in range(g.KW):
            ox, x = _seen(kw * dilation[1] - g.padding[1][0], g.stride[1], g.W, 0, g.OW)
            found.append(_Tap(kh, kw, oy, ox, y, x))
    return tuple(found)


def _seen(shift: int, stride: int, size: int, first: int, last: int) -> tuple[slice, slice]:
    """The outputs o of range(first, last) with 0 <= o*stride + shift < size, and those pixels.

    Outputs are counted from `first`.
    """
    low = max(first, -(shift // stride))  # the first o at or right of pixel 0
    high = max(low, min(last, (size - 1 - shift) // stride + 1))
    start = low * stride + shift
    pixels = slice(start, start + (high - low - 1) * stride + 1, stride)
    return slice(low - first, high - first), pixels if high > low else slice(0, 0)


def _taps(
    g: Conv2dGeometry | Pool2dGeometry,
    dilation: tuple[int, int] = (1, 1),
    rows: slice | None = None,
) -> tuple[_Tap, ...]:
    """The taps of a kernel, row by row, for all output rows or for some."""
    first, last = (0, g.OH) if rows is None else (rows.start, rows.stop)
    return _taps_of_rows(g, dilation, first, last)


@lru_cache(maxsize=1024)
def _chunks(g: Conv2dGeometry, itemsize: int) -> list[_Chunk]:
    """The output cut so that the columns of a chunk take about `_COLUMN_BYTES`."""
    row_bytes = g.C * g.KH * g.KW * g.OW * itemsize
    rows = max(1, _COLUMN_BYTES // max(row_bytes, 1))
    if rows >= g.OH:
        images = piece_size(g.N, rows // g.OH)
        return [_Chunk(part, slice(0, g.OH)) for part in blocks(g.N, images)]
    return [
        _Chunk(slice(n, n + 1), part) for n in range(g.N) for part in blocks(g.OH, rows)
    ]  # fmt: skip


def _pack_columns(x: Array, g: Conv2dGeometry, chunk: _Chunk) -> Array:
    """The pixels under each tap, (G, C/G*KH*KW, n*rows*OW); zero in the padding."""
    n, rows = chunk.images.stop - chunk.images.start, chunk.rows.stop - chunk.rows.start
    columns = scratch("columns", (g.C, g.KH, g.KW, n, rows, g.OW), x.dtype)
    if any(map(any, g.padding)):
        columns[...] = 0
    images = x[chunk.images].transpose(1, 0, 2, 3)  # (C, n, H, W)
    for tap in _taps(g, g.dilation, chunk.rows):
        np.copyto(columns[:, tap.kh, tap.kw, :, tap.oy, tap.ox], images[:, :, tap.y, tap.x])
    return columns.reshape(g.groups, -1, n * rows * g.OW)


def _pack_gradient(grad_y: Array, g: Conv2dGeometry, chunk: _Chunk) -> Array:
    """grad_y of a chunk with the filters in front, (G, F/G, n*rows*OW)."""
    grad = grad_y[chunk.images, :, chunk.rows].transpose(1, 0, 2, 3)  # (F, n, rows, OW)
    packed = scratch("gradient", grad.shape, grad.dtype)
    np.copyto(packed, grad)
    return packed.reshape(g.groups, g.F // g.groups, grad[0].size)


def _number(g: Pool2dGeometry, tap: _Tap) -> int:
    """A tap's place in its window, counted row by row."""
    return tap.kh * g.KW + tap.kw


@lru_cache(maxsize=256)
def _first_taps(g: Pool2dGeometry) -> Array:
    """The number of each window's first tap inside the image, int32 (OH, OW)."""
    first = np.zeros((g.OH, g.OW), np.int32)
    for tap in reversed(_taps(g)):
        first[tap.oy, tap.ox] = _number(g, tap)
    return first


def _image_blocks(g: Pool2dGeometry) -> list[slice]:
    return blocks(g.N, piece_size(g.N, _POOL_ELEMENTS // (g.C * g.H * g.W)))


@lru_cache(maxsize=256)
def _window_counts(g: Pool2dGeometry, count_include_pad: bool) -> Array:
    """What the sum of each window is divided by, int64 (OH, OW)."""
    if count_include_pad:
        return np.full((g.OH, g.OW), g.KH * g.KW)
    counts = np.zeros((g.OH, g.OW), np.int64)
    for tap in _taps(g):
        counts[tap.oy, tap.ox] += 1
    return counts


# ---- small helpers ---------------------------------------------------------------------------


def _sum_in_order(partials: list[Array], shape: tuple[int, ...], dtype: Any) -> Array:
    total = np.zeros(shape, dtype)
    for partial in partials:
        total += partial.reshape(shape)
    return total


def _flat(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(-1)


def _by_channel(array: Array) -> Array:
    return array.reshape(*array.shape[:2], math.prod(array.shape[2:]))  # -1 fails when empty


def _channel_blocks(by_channel: Array) -> list[slice]:
    N, C, pixels = by_channel.shape
    return blocks(C, max(1, 2 * _BLOCK // (N * pixels)))


def _channel_sum(by_channel: Array) -> Array:
    # Row sums are pairwise; the rows, one an image, are then added in double precision.
    return by_channel.sum(axis=2).sum(axis=0, dtype=np.float64)


def _keep(values: Array, mask: Array, out: Array) -> Array:
    """out = values where the mask (bool, or uint8 0 and 1) is set, else 0, also for NaN and inf.

    A bitwise and: `numpy.where` and masked copies take over ten times as long.
    """
    integer = np.dtype(f"i{values.itemsize}")
    ones = scratch("ones", mask.shape, integer)
    np.copyto(ones, mask.view(np.uint8))
    np.negative(ones, out=ones)
    np.bitwise_and(values.view(integer), ones, out=out.view(integer))
    return out


def _valid_labels(labels: Array, classes: int) -> tuple[Array, Array]:
    valid = (labels >= 0) & (labels < classes)
    return valid, np.where(valid, labels, 0).astype(np.int64)


def _value(scalar: Scalar) -> float:
    return float(scalar[0]) if isinstance(scalar, np.ndarray) else float(scalar)


def _halts(halted: Scalar | None) -> bool:
    return halted is not None and _value(halted) != 0


def _update(update: Any, *arrays: Array) -> None:
    """Runs an optimizer's update over blocks of its flat arrays."""
    flat = [_flat(array) for array in arrays]
    parallel(lambda part: update(*(a[part] for a in flat)), blocks(flat[0].size, _BLOCK))
