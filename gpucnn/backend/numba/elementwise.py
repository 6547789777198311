"""Passes over memory: masks, dropout, sums over the batch, the loss; float32."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import uint64, uintp

from gpucnn.backend.contract import Array
from gpucnn.backend.cpu.chunks import blocks, sum_in_order
from gpucnn.backend.cpu.parallel import parallel
from gpucnn.backend.numba.jit import entry, flat, inner
from gpucnn.backend.numba.sums import add_up, mask_positive

_BLOCK = 1 << 16  # elements of a piece: fewer are not worth another thread
_PARTS = 8  # partial sums over the batch: fixed, so that their order is


def relu_backward(grad_y: Array, y: Array) -> Array:
    """See `Backend.relu_backward`; float32."""
    grad_x = np.empty(y.shape, np.float32)
    _each(_mask_positive, [flat(grad_y), flat(y), grad_x.reshape(-1)])
    return grad_x


def bias_grad(grad_y: Array) -> Array:
    """See `Backend.bias_grad`; float32."""
    N, F = grad_y.shape[:2]
    grad, pixels = flat(grad_y), math.prod(grad_y.shape[2:])

    def task(images: slice) -> Array:
        total = np.zeros(F, np.float32)
        _sum_channels(grad, total, pixels, images.start, images.stop)
        return total

    parts = min(_PARTS, grad.size // _BLOCK + 1)
    return sum_in_order(parallel(task, blocks(N, -(-N // parts) or 1)), (F,), np.float32)


def dropout_forward(
    x: Array, threshold: int, scale: float, key: tuple[int, int], step: int
) -> tuple[Array, Array]:
    """See `Backend.dropout_forward`; float32. Kept where a random word is below the threshold."""
    y, mask = np.empty(x.shape, np.float32), np.empty(x.shape, np.uint8)
    arrays = flat(x), y.reshape(-1), mask.reshape(-1)
    numbers = np.uint64(threshold), np.float32(scale), *map(np.uint64, (*key, step))

    def task(part: slice) -> None:
        _dropout(*arrays, *numbers, part.start, part.stop)

    parallel(task, blocks(x.size, _BLOCK, multiple=4))  # a counter gives four elements
    return y, mask


def dropout_backward(grad_y: Array, mask: Array, scale: float) -> Array:
    """See `Backend.dropout_backward`; float32."""
    grad_x = np.empty(grad_y.shape, np.float32)
    _each(_mask, [flat(grad_y), flat(mask, np.uint8), grad_x.reshape(-1)], scale)
    return grad_x


def softmax_cross_entropy_forward(logits: Array, labels: Array) -> tuple[Array, Array]:
    """See `Backend.softmax_cross_entropy_forward`; float32."""
    losses, probabilities = np.empty(len(logits), np.float32), np.empty(logits.shape, np.float32)
    rows = flat(logits).reshape(logits.shape)
    _cross_entropy(rows, flat(labels, np.int64), losses, probabilities)
    return losses, probabilities


def softmax_cross_entropy_backward(probabilities: Array, labels: Array, grad: Array) -> Array:
    """See `Backend.softmax_cross_entropy_backward`; float32."""
    grad_logits = np.empty(probabilities.shape, np.float32)
    rows = flat(probabilities).reshape(probabilities.shape)
    _cross_entropy_backward(rows, flat(labels, np.int64), flat(grad), grad_logits)
    return grad_logits


def update(rule: str, arrays: list[Array], numbers: tuple[float, ...]) -> None:
    """One of the rules of `CpuBackend._apply`, with its very bits; float32."""
    _each(_RULES[rule], [flat(array) for array in arrays], *numbers)


def _each(function: Any, arrays: list[Array], *numbers: float) -> None:
    """function(*pieces of the flat arrays, *numbers), by all threads."""
    constants = [np.float32(number) for number in numbers]
    parallel(
        lambda part: function(*(array[part] for array in arrays), *constants),
        blocks(arrays[0].size, _BLOCK),
    )


@entry
def _mask_positive(grad_y, y, grad_x):
    mask_positive(grad_y, y, 0, grad_x, 0, y.size)


@entry
def _mask(grad_y, mask, grad_x, scale):
    for i in range(mask.size):
        grad_x[i] = grad_y[i] * scale if mask[i] else np.float32(0)


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


@entry
def _dropout(x, y, mask, threshold, scale, key0, key1, step, begin, end):
    """Philox4x32-10 (Salmon et al. 2011), as in `gpucnn.random`: counter (i // 4, step)."""
    low, half = uint64(0xFFFFFFFF), uint64(32)
    blocks = (end - begin) // 4
    kept = mask[begin:end]
    for i in range(blocks):  # all in 64 bits and without a branch: the compiler takes vectors
        block = uint64(begin // 4 + i)
        w0, w1, w2, w3 = _philox(block & low, block >> half, step & low, step >> half, key0, key1)
        j = uintp(4 * i)
        kept[j] = w0 < threshold
        kept[j + uintp(1)] = w1 < threshold
        kept[j + uintp(2)] = w2 < threshold
        kept[j + uintp(3)] = w3 < threshold
    if 4 * blocks < end - begin:
        block = uint64(begin // 4 + blocks)
        words = _philox(block & low, block >> half, step & low, step >> half, key0, key1)
        for i in range(4 * blocks, end - begin):
            kept[i] = words[i - 4 * blocks] < threshold
    _mask(x[begin:end], kept, y[begin:end], scale)


@inner
def _philox(c0, c1, c2, c3, k0, k1):
    low, half = uint64(0xFFFFFFFF), uint64(32)
    for _ in range(10):
        a, b = c0 * uint64(0xD2511F53), c2 * uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (b >> half) ^ c1 ^ k0, b & low, (a >> half) ^ c3 ^ k1, a & low
        k0, k1 = (k0 + uint64(0x9E3779B9)) & low, (k1 + uint64(0xBB67AE85)) & low
    return c0, c1, c2, c3


@entry
def _cross_entropy(logits, labels, losses, probabilities):
    N, classes = logits.shape
    for n in range(N):
        row, out = logits[n], probabilities[n]
        largest = np.float32(-np.inf)
        for value in row:
            largest = value if value > largest else largest
        total = np.float32(0)
        for c in range(classes):
            out[c] = math.exp(row[c] - largest)
            total += out[c]
        for c in range(classes):
            out[c] /= total
        label = labels[n]
        if 0 <= label < classes:
            losses[n] = np.float32(math.log(total)) - (row[label] - largest)
        else:
            losses[n] = np.nan


@entry
def _cross_entropy_backward(probabilities, labels, grad, grad_logits):
    N, classes = probabilities.shape
    for n in range(N):
        label = labels[n]
        for c in range(classes):
            grad_logits[n, c] = probabilities[n, c] * grad[n]
        if 0 <= label < classes:
            grad_logits[n, label] = (probabilities[n, label] - np.float32(1)) * grad[n]
        else:
            grad_logits[n, :] = np.nan


@entry
def _sgd(w, g, rate, weight_decay):
    for i in range(w.size):
        slope = g[i]
        if weight_decay != 0:
            slope = slope + weight_decay * w[i]
        w[i] -= rate * slope


@entry
def _momentum(w, g, v, rate, momentum, nesterov, weight_decay):
    for i in range(w.size):
        slope = g[i]
        if weight_decay != 0:
            slope = slope + weight_decay * w[i]
        v[i] = v[i] * momentum + slope
        w[i] -= rate * (slope + momentum * v[i] if nesterov != 0 else v[i])


@entry
def _rmsprop(w, g, s, rate, rho, rest, eps, weight_decay):
    for i in range(w.size):
        slope = g[i]
        if weight_decay != 0:
            slope = slope + weight_decay * w[i]
        s[i] = s[i] * rho + rest * (slope * slope)
        w[i] -= rate * slope / (math.sqrt(s[i]) + eps)


@entry
def _adam(
    w, g, m, v, step_size, root_correction, beta1, rest1, beta2, rest2, eps, weight_decay, kept
):  # fmt: skip
    for i in range(w.size):
        value = w[i] * kept
        slope = g[i]
        if weight_decay != 0:
            slope = slope + weight_decay * value
        m[i] = m[i] * beta1 + rest1 * slope
        v[i] = v[i] * beta2 + rest2 * (slope * slope)
        w[i] = value - m[i] / (math.sqrt(v[i]) / root_correction + eps) * step_size


_RULES = {"sgd": _sgd, "momentum": _momentum, "rmsprop": _rmsprop, "adam": _adam}
