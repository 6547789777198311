"""Weighted sums and inner products of any size, made of register tiles of fixed sizes."""

from __future__ import annotations

from gpucnn.backend.numba.jit import inner
from gpucnn.backend.numba.llvm.register_tiles import inner_products, weighted_sum
from gpucnn.backend.numba.llvm.vectors import COLUMNS, LANES, LEFT, RIGHT, ROWS

_FEWER = COLUMNS - 1


def _sums_of(count):
    @inner
    def sums(source, at, offsets, taps, weights, place, start, s_at, least, out, to, pitch, run):
        """`weighted_sum` for `count` channels and all pixels of a run."""
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


_sums_of_all, _sums_of_4, _sums_of_2, _sums_of_1 = map(_sums_of, (ROWS, 4, 2, 1))


@inner
def weighted_sums(left, source, at, offsets, taps, weights, place, start, s_at, least, out, to,
                  pitch, run):  # fmt: skip
    """`weighted_sum` over a run, for as many of the `left` channels as a register tile takes.

    Args:
        taps: the first tap and the number of taps.
        place: w_at, w_pitch and w_step.

    Returns:
        The number of channels computed.
    """
    if left >= ROWS:
        _sums_of_all(
            source, at, offsets, taps, weights, place, start, s_at, least, out, to, pitch, run
        )
        count = ROWS
    elif left >= 4:
        _sums_of_4(
            source, at, offsets, taps, weights, place, start, s_at, least, out, to, pitch, run
        )
        count = 4
    elif left >= 2:
        _sums_of_2(
            source, at, offsets, taps, weights, place, start, s_at, least, out, to, pitch, run
        )
        count = 2
    else:
        _sums_of_1(
            source, at, offsets, taps, weights, place, start, s_at, least, out, to, pitch, run
        )
        count = 1
    return count


def _products_of(count):
    @inner
    def products(left, l_at, l_pitch, source, offsets, run, out, o_at):
        """`inner_products` of `count` rows with all taps."""
        taps = offsets.size
        k = 0
        while taps - k >= RIGHT:
            inner_products(
                count, RIGHT, left, l_at, l_pitch, source, 0, offsets, k, run, out, o_at + k, taps
            )
            k += RIGHT
        while k < taps:
            inner_products(
                count, 1, left, l_at, l_pitch, source, 0, offsets, k, run, out, o_at + k, taps
            )
            k += 1

    return products


_products_of_all, _products_of_2, _products_of_1 = map(_products_of, (LEFT, 2, 1))


@inner
def products_with_taps(rows, left, l_pitch, source, offsets, run, out, o_at):
    """out[o_at + r*taps + k] += sum_p left[r*l_pitch + p] * source[offsets[k] + p]

    for r in range(rows), k in range(taps), p in range(run rounded up to LANES).
    """
    taps = offsets.size
    r = 0
    while r < rows:
        l_at, at = r * l_pitch, o_at + r * taps
        if rows - r >= LEFT:
            _products_of_all(left, l_at, l_pitch, source, offsets, run, out, at)
            r += LEFT
        elif rows - r >= 2:
            _products_of_2(left, l_at, l_pitch, source, offsets, run, out, at)
            r += 2
        else:
            _products_of_1(left, l_at, l_pitch, source, offsets, run, out, at)
            r += 1
