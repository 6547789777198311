"""The primitives in NumPy. Convolution and pooling have files of their own.

Work is cut into blocks that stay in the cache and is shared out over threads (`parallel`).
"""

from __future__ import annotations

import math
import platform
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from gpucnn.backend.contract import Array, Backend, Scalar
from gpucnn.backend.cpu import convolution as cpu_convolution
from gpucnn.backend.cpu import pooling as cpu_pooling
from gpucnn.backend.cpu.chunks import blocks, keep, scratch, sum_in_order
from gpucnn.backend.cpu.parallel import (
    blas_description,
    get_threads,
    parallel,
    quiet_device,
    set_threads,
)
from gpucnn.errors import UsageError
from gpucnn.random import fill_bits, keep_threshold

__all__ = ["CpuBackend", "get_threads", "set_threads"]

_BLOCK = 1 << 16  # elements at once of a pass over flat arrays: the operands stay in the cache
_PARTS = 8  # partial sums of a reduction over the batch: fixed, so that its order is
_MATMUL_FLOPS = 1 << 23  # of a piece of a matrix product: less is not worth another thread
_ROW_BYTES = 1 << 21  # of the matrix that one row is multiplied with, for a piece


_PLAIN = {np.ndarray, np.memmap}


def is_plain(array: Any) -> bool:
    """Whether this is a NumPy array or number, and no subclass with rules of its own."""
    return type(array) in _PLAIN or isinstance(array, np.generic)


class CpuBackend(Backend):
    """NumPy arrays, float32 or float64, of any memory layout; results are C-contiguous."""

    name = "cpu"
    xp = np
    owns = staticmethod(is_plain)

    def asarray(self, array: Any, dtype: Any = None) -> Array:
        return np.asarray(array, dtype=dtype)

    def to_numpy(self, array: Array) -> Any:
        return np.asarray(array)

    def describe(self) -> dict[str, Any]:
        return {
            "device": self.name,
            "processor": platform.machine(),
            "numpy": np.__version__,
            "kernels": "numpy",
            "blas": blas_description(),
            "threads": get_threads(),
        }

    def quiet_device(self) -> AbstractContextManager[Any]:
        return quiet_device()

    # ---- convolution -----------------------------------------------------------------------

    _conv2d_forward = staticmethod(cpu_convolution.forward)
    _conv2d_backward_input = staticmethod(cpu_convolution.backward_input)
    _conv2d_backward_weight = staticmethod(cpu_convolution.backward_weight)

    def _bias_grad(self, grad_y: Array) -> Array:
        N, F = grad_y.shape[:2]
        flat = _by_channel(grad_y)  # (N, F, pixels)
        parts = blocks(N, -(-N // _PARTS) or 1)
        sums = parallel(lambda part: flat[part].sum(axis=2).sum(axis=0), parts)
        return sum_in_order(sums, (F,), grad_y.dtype)

    # ---- pooling ---------------------------------------------------------------------------

    _max_pool2d_forward = staticmethod(cpu_pooling.max_forward)
    _max_pool2d_backward = staticmethod(cpu_pooling.max_backward)
    _avg_pool2d_forward = staticmethod(cpu_pooling.avg_forward)
    _avg_pool2d_backward = staticmethod(cpu_pooling.avg_backward)

    # ---- dense, activation, loss -----------------------------------------------------------

    def _matmul(self, a: Array, b: Array, bias: Array | None, activation: str | None) -> Array:
        rows, columns = a.shape[0], b.shape[1]
        if rows == 1 and b.nbytes >= 2 * _ROW_BYTES and b.flags.c_contiguous:
            return _row_times_matrix(a, b, bias, activation)
        c = np.empty((rows, columns), a.dtype)
        # Cut along the longer side of the result. BLAS packs the other operand anew for each piece,
        # which costs as much of its time as a piece is narrow.
        by_rows = rows > columns
        size = max(rows, columns)
        pieces = min(2 * _PARTS, 2 * rows * columns * a.shape[1] // _MATMUL_FLOPS, size // 64)
        pieces = min(pieces, max(4, size // 128)) or 1

        def task(part: slice) -> None:
            if by_rows:
                out = np.matmul(a[part], b, out=c[part])
            else:
                out = np.matmul(a, b[:, part], out=c[:, part])
            if bias is not None:
                out += bias if by_rows else bias[part]
            if activation == "relu":
                np.maximum(out, 0, out=out)

        parallel(task, blocks(size, -(-size // pieces) or 1))
        return c

    def _relu_backward(self, grad_y: Array, y: Array) -> Array:
        grad_x = np.empty(y.shape, y.dtype)
        flat_x, flat_grad, flat_y = _flat(grad_x), _flat(grad_y), _flat(y)

        def task(part: slice) -> None:
            keep(flat_grad[part], flat_y[part] > 0, flat_x[part])

        parallel(task, blocks(y.size, 4 * _BLOCK))
        return grad_x

    def _softmax_cross_entropy_forward(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        with self.quiet_device():
            shifted = logits - logits.max(axis=1, keepdims=True, initial=-np.inf)
            exponentials = np.exp(shifted)
            total = exponentials.sum(axis=1, keepdims=True)
            valid, index = _valid(labels, logits.shape[1])
            picked = np.take_along_axis(shifted, index[:, None], axis=1)[:, 0]
            losses = np.where(valid, np.log(total[:, 0]) - picked, np.nan)
            return losses.astype(logits.dtype, copy=False), exponentials / total

    def _softmax_cross_entropy_backward(
        self, probabilities: Array, labels: Array, grad: Array
    ) -> Array:
        with self.quiet_device():
            valid, index = _valid(labels, probabilities.shape[1])
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
        threshold, at = keep_threshold(rate), int(scalar_value(step))

        def task(part: slice) -> None:
            draw = scratch("draw", (part.stop - part.start,), np.uint32)
            fill_bits(draw, key, at, part.start)
            np.less(draw, np.uint64(threshold), out=flat_mask[part].view(np.bool_))
            keep(flat_x[part], flat_mask[part], flat_y[part])
            flat_y[part] *= 1 / (1 - rate)

        parallel(task, blocks(x.size, _BLOCK, multiple=4))  # a counter gives four elements
        return y, mask

    def _dropout_backward(self, grad_y: Array, mask: Array, rate: float) -> Array:
        grad_x = np.empty(grad_y.shape, grad_y.dtype)
        flat_grad, flat_mask, flat_x = _flat(grad_y), _flat(mask), _flat(grad_x)

        def task(part: slice) -> None:
            keep(flat_grad[part], flat_mask[part], flat_x[part])
            flat_x[part] *= 1 / (1 - rate)

        parallel(task, blocks(grad_y.size, _BLOCK))
        return grad_x

    # ---- data and optimizers ---------------------------------------------------------------

    def _gather(self, dataset: Array, indices: Array, scale: float, offset: float) -> Array:
        valid, index = _valid(indices, len(dataset))
        if not len(dataset):
            return np.full((len(indices), *dataset.shape[1:]), np.nan, np.float32)
        batch = np.multiply(dataset[index], np.float32(scale), dtype=np.float32)
        if offset:
            batch += np.float32(offset)
        if not valid.all():
            batch[~valid] = np.nan
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
        found_inf: Scalar | None,
    ) -> None:
        rate = scalar_value(learning_rate)
        if _found_inf(found_inf):
            return
        if velocity is None or not momentum:
            self._update("sgd", [param, grad], (rate, weight_decay))
        else:
            numbers = rate, weight_decay, momentum, float(nesterov)
            self._update("momentum", [param, grad, velocity], numbers)

    def _rmsprop_update(
        self,
        param: Array,
        grad: Array,
        square_avg: Array,
        learning_rate: Scalar,
        rho: float,
        eps: float,
        weight_decay: float,
        found_inf: Scalar | None,
    ) -> None:
        if not _found_inf(found_inf):
            numbers = scalar_value(learning_rate), weight_decay, rho, 1 - rho, eps
            self._update("rmsprop", [param, grad, square_avg], numbers)

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
        found_inf: Scalar | None,
    ) -> None:
        if _found_inf(found_inf):
            return
        rate, t = scalar_value(learning_rate), scalar_value(step)
        if t < 1:
            raise UsageError(
                f"Adam's step is {t:g}", cause="it is counted from 1", fix="pass step=1"
            )
        beta1, beta2 = betas
        numbers = (
            rate / _bias_correction(beta1, t), math.sqrt(_bias_correction(beta2, t)),
            beta1, 1 - beta1, beta2, 1 - beta2, eps,
            0.0 if decoupled else weight_decay, 1 - rate * weight_decay if decoupled else 1.0,
        )  # fmt: skip
        self._update("adam", [param, grad, m, v], numbers)

    def _update(self, rule: str, arrays: list[Array], numbers: tuple[float, ...]) -> None:
        """Applies a rule of `_RULES` to the arrays, in place, by blocks."""
        flat = [_flat(array) for array in arrays]
        update = _RULES[rule]
        parallel(
            lambda part: update(*(a[part] for a in flat), *numbers), blocks(flat[0].size, _BLOCK)
        )


def _sgd(w: Array, g: Array, rate: float, weight_decay: float) -> None:
    if weight_decay:
        g = g + weight_decay * w
    w -= rate * g


def _momentum(
    w: Array, g: Array, v: Array, rate: float, weight_decay: float, momentum: float, nesterov: float
) -> None:
    if weight_decay:
        g = g + weight_decay * w
    v *= momentum
    v += g
    w -= rate * (g + momentum * v if nesterov else v)


def _rmsprop(
    w: Array, g: Array, s: Array, rate: float, weight_decay: float, rho: float, rest: float,
    eps: float,
) -> None:  # fmt: skip
    if weight_decay:
        g = g + weight_decay * w
    s *= rho
    s += rest * (g * g)
    w -= rate * g / (np.sqrt(s) + eps)


def _adam(
    w: Array, g: Array, m: Array, v: Array, step_size: float, root_correction: float,
    beta1: float, rest1: float, beta2: float, rest2: float, eps: float,
    weight_decay: float, kept: float,
) -> None:  # fmt: skip
    if kept != 1:  # the decoupled decay of AdamW
        w *= kept
    if weight_decay:
        g = g + weight_decay * w
    m *= beta1
    m += rest1 * g
    v *= beta2
    v += rest2 * (g * g)
    denominator = np.sqrt(v)
    denominator /= root_correction
    denominator += eps
    np.divide(m, denominator, out=denominator)
    denominator *= step_size
    w -= denominator


_RULES: dict[str, Any] = {
    "sgd": _sgd, "momentum": _momentum, "rmsprop": _rmsprop, "adam": _adam,
}  # fmt: skip


def _row_times_matrix(a: Array, b: Array, bias: Array | None, activation: str | None) -> Array:
    """For one image reading the matrix is all the work: each piece reads some of its rows."""
    pieces = blocks(len(b), -(-len(b) // min(_PARTS, b.nbytes // _ROW_BYTES)))
    # `matmul` would hold the interpreter's lock for one row; `dot` does not.
    partials = parallel(lambda part: np.dot(a[:, part], b[part]), pieces)
    c = sum_in_order(partials, (1, b.shape[1]), a.dtype)
    if bias is not None:
        c += bias
    return np.maximum(c, 0, out=c) if activation == "relu" else c


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


def _valid(indices: Array, size: int) -> tuple[Array, Array]:
    """Which indices are in [0, size), and the indices with 0 in place of the others."""
    valid = (indices >= 0) & (indices < size)
    return valid, np.where(valid, indices, 0).astype(np.int64)


def scalar_value(scalar: Scalar) -> float:
    return float(scalar[0]) if isinstance(scalar, np.ndarray) else float(scalar)


def _bias_correction(beta: float, step: float) -> float:
    """1 - beta**step, without the digits that the difference of two near numbers loses."""
    return -math.expm1(step * math.log(beta)) if beta else 1.0


def _found_inf(found_inf: Scalar | None) -> bool:
    return found_inf is not None and scalar_value(found_inf) != 0
