"""Dropout, compiled: the random mask and the product in one pass; float32."""

from __future__ import annotations

import numpy as np
from numba import uint64, uintp

from gpucnn.backend.contract import Array, Scalar
from gpucnn.backend.cpu import dropout as cpu
from gpucnn.backend.cpu.arrays import count_value
from gpucnn.backend.cpu.parallel import parallel
from gpucnn.backend.numba.elementwise import chunks, each
from gpucnn.backend.numba.jit import entry, flat, inner
from gpucnn.random import keep_threshold


class Dropout(cpu.Dropout):
    """An element is kept where its random word is below the threshold of `gpucnn.random`."""

    def _dropout_forward(
        self, x: Array, rate: float, key: tuple[int, int], step: Scalar
    ) -> tuple[Array, Array]:
        if x.dtype != np.float32:
            return super()._dropout_forward(x, rate, key, step)
        y, mask = np.empty(x.shape, np.float32), np.empty(x.shape, np.uint8)
        arrays = flat(x), y.reshape(-1), mask.reshape(-1)
        words = map(np.uint64, (*key, count_value("step", step)))
        numbers = np.uint64(keep_threshold(rate)), np.float32(1 / (1 - rate)), *words

        def task(chunk: slice) -> None:
            _dropout(*arrays, *numbers, chunk.start, chunk.stop)

        parallel(task, chunks(x.size, multiple=4))  # a counter gives four elements
        return y, mask

    def _dropout_backward(self, grad_y: Array, mask: Array, rate: float) -> Array:
        if grad_y.dtype != np.float32:
            return super()._dropout_backward(grad_y, mask, rate)
        grad_x = np.empty(grad_y.shape, np.float32)
        each(_mask, [flat(grad_y), flat(mask, np.uint8), grad_x.reshape(-1)], 1 / (1 - rate))
        return grad_x


@entry
def _mask(grad_y, mask, grad_x, scale):
    for i in range(mask.size):
        grad_x[i] = grad_y[i] * scale if mask[i] else np.float32(0)


@entry
def _dropout(x, y, mask, threshold, scale, key0, key1, step, begin, end):
    """Philox4x32-10 (Salmon et al. 2011), as in `gpucnn.random`: counter (i // 4, step)."""
    low, half = uint64(0xFFFFFFFF), uint64(32)
    blocks = (end - begin) // 4
    kept = mask[begin:end]
    for i in range(blocks):  # 64-bit integers and no branch, so that LLVM uses vectors
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
