"""Sums over taps or channels, and what several primitives do with a stretch of floats."""

from __future__ import annotations

import numpy as np
from numba import njit

from gpucnn.backend.numba.jit import inner
from gpucnn.backend.numba.tile import weighted_sum
from gpucnn.backend.numba.vectors import COLUMNS, LANES, ROWS


@inner
def mask_positive(grad_y, y, at, out, to, count):
    """out[to + i] = grad_y[at + i] where y[at + i] > 0, else 0, for i in range(count)."""
    for i in range(count):
        out[to + i] = grad_y[at + i] if y[at + i] > 0 else np.float32(0)


@njit(nogil=True, fastmath={"reassoc"})
def add_up(values, at, count):
    """The sum of values[at : at + count], in an order that suits the compiler: always the same."""
    total = np.float32(0)
    for i in range(count):
        total += values[at + i]
    return total


_FEWER = COLUMNS - 1


def _make_sums(count):
    @inner
    def sums(source, at, offsets, taps, weights, place, start, s_at, least, out, to, pitch, run):
        """`count` channels over all pixels of a run."""
        first, number = taps
        w_at, w_pitch, w_step = place
        p = 0
        while run - p > (COLUMNS - 1) * LANES:
            weighted_sum(
                count, COLUMNS, source, at + p, offsets, first, number, weights, w_at, w_pitch,
                w_step, start, s_at, least, out, to + p, pitch,
            )  # fmt: skip
            p += COLUMNS * LANES
        if run - p > LANES:
            weighted_sum(
                count, _FEWER, source, at + p, offsets, first, number, weights, w_at, w_pitch,
                w_step, start, s_at, least, out, to + p, pitch,
            )  # fmt: skip
        elif run > p:
            weighted_sum(
                count, 1, source, at + p, offsets, first, number, weights, w_at, w_pitch,
                w_step, start, s_at, least, out, to + p, pitch,
            )  # fmt: skip

    return sums


_of_all, _of_4, _of_2, _of_1 = map(_make_sums, (ROWS, 4, 2, 1))


@inner
def weighted_sums(
    left, source, at, offsets, taps, weights, place, start, s_at, least, out, to, pitch, run
):  # fmt: skip
    """`weighted_sum` over a run, of as many of the `left` channels as a tile takes; how many.

    `taps` are the first and the number of them, `place` is (w_at, w_pitch, w_step).
    """
    if left >= ROWS:
        _of_all(source, at, offsets, taps, weights, place, start, s_at, least, out, to, pitch, run)
        count = ROWS
    elif left >= 4:
        _of_4(source, at, offsets, taps, weights, place, start, s_at, least, out, to, pitch, run)
        count = 4
    elif left >= 2:
        _of_2(source, at, offsets, taps, weights, place, start, s_at, least, out, to, pitch, run)
        count = 2
    else:
        _of_1(source, at, offsets, taps, weights, place, start, s_at, least, out, to, pitch, run)
        count = 1
    return count
