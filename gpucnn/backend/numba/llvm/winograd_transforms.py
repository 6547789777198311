"""The three transforms of F(2x2, 3x3), by vectors of tiles: see `gpucnn.backend.numba.winograd`."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from gpucnn.backend.numba.llvm.vectors import INT, LANES, VECTOR, Emitter


@intrinsic
def transform_taps(
    typing: Any, count: Any, w: Any, w_at: Any, out: Any, o_at: Any, o_pitch: Any
) -> Any:
    """G w G^T of `count` vectors of channels, whose 3x3 taps are contiguous in w.

    out[o_at + (4*i + j) * o_pitch + c] = (G w[c] G^T)[i, j] for c in range(count * LANES).
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(context, builder, signature, args)
        count, _, w_at, _, o_at, o_pitch = args
        first = e.address(1, w_at)
        outs = [e.address(3, builder.add(o_at, builder.mul(o_pitch, INT(k)))) for k in range(16)]
        half = ir.Constant(VECTOR, [0.5] * LANES)
        with cgutils.for_range(builder, count) as loop:
            c = builder.mul(loop.index, INT(LANES))
            at = e.after(first, builder.mul(c, INT(9)))
            pixels = [e.load(e.after(at, v * LANES)) for v in range(9)]
            taps = []
            for k in range(9):  # channel l has its tap k in lane 9*l + k of the nine vectors
                places = [divmod(9 * lane + k, LANES) for lane in range(LANES)]
                found = pixels[0]
                for v in range(9):
                    lanes = [
                        LANES + place if vector == v else lane
                        for lane, (vector, place) in enumerate(places)
                    ]
                    found = e.shuffle(found, pixels[v], lanes)
                taps.append(found)
            by_column = [_combine(builder, taps[j::3], half) for j in range(3)]
            for i in range(4):
                row = _combine(builder, [column[i] for column in by_column], half)
                for j, value in enumerate(row):
                    e.store(value, e.after(outs[4 * i + j], c))
        return context.get_dummy_value()

    size = types.intp
    return types.void(size, w, size, out, size, size), codegen


@intrinsic
def split_tiles(
    typing: Any, columns: Any, source: Any, s_at: Any, s_pitch: Any, out: Any, o_at: Any,
    o_pitch: Any,
) -> Any:  # fmt: skip
    """B^T d B of a row of tiles: d is four rows of the source, columns 2p to 2p + 3.

    out[o_at + (4*i + j) * o_pitch + p] = (B^T d B)[i, j] for p in range(columns rounded up to
    LANES): source and result must be that long.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(context, builder, signature, args)
        columns, _, s_at, s_pitch, _, o_at, o_pitch = args
        rows = [e.address(1, builder.add(s_at, builder.mul(s_pitch, INT(r)))) for r in range(4)]
        outs = [e.address(4, builder.add(o_at, builder.mul(o_pitch, INT(k)))) for k in range(16)]
        steps = builder.sdiv(builder.add(columns, INT(LANES - 1)), INT(LANES))
        with cgutils.for_range(builder, steps) as loop:
            p = builder.mul(loop.index, INT(LANES))
            by_row = []
            for row in rows:
                pixels = []
                for first in (0, 2):
                    at = e.after(row, builder.add(builder.mul(p, INT(2)), INT(first)))
                    pixels += e.load_pairs(at)
                by_row.append(_differences(builder, pixels))
            for j in range(4):
                for i, value in enumerate(_differences(builder, [row[j] for row in by_row])):
                    e.store(value, e.after(outs[4 * i + j], p))
        return context.get_dummy_value()

    size = types.intp
    return types.void(size, source, size, size, out, size, size), codegen


@intrinsic
def join_tiles(
    typing: Any, columns: Any, products: Any, p_at: Any, p_pitch: Any, start: Any, s_at: Any,
    least: Any, out: Any, o_at: Any, o_pitch: Any,
) -> Any:  # fmt: skip
    """max(least, A^T m A + start[s_at]) of a row of tiles: two rows of results.

    m[i, j] = products[p_at + (4*i + j) * p_pitch + p], and the result's columns are 2p and 2p + 1,
    for p in range(columns rounded up to LANES). A NaN stays NaN.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(context, builder, signature, args)
        columns, _, p_at, p_pitch, _, s_at, least, _, o_at, o_pitch = args
        tables = [e.address(1, builder.add(p_at, builder.mul(p_pitch, INT(k)))) for k in range(16)]
        rows = [e.address(7, o_at), e.address(7, builder.add(o_at, o_pitch))]
        begin, floor = e.spread(builder.load(e.address(4, s_at))), e.spread(least)
        steps = builder.sdiv(builder.add(columns, INT(LANES - 1)), INT(LANES))
        with cgutils.for_range(builder, steps) as loop:
            p = builder.mul(loop.index, INT(LANES))
            by_row = [
                _sums(builder, [e.load(e.after(tables[4 * i + j], p)) for j in range(4)])
                for i in range(4)
            ]
            by_column = [_sums(builder, [row[j] for row in by_row]) for j in range(2)]
            for row, pair in zip(rows, zip(*by_column, strict=True), strict=True):
                even, odd = (e.at_least(builder.fadd(total, begin), floor) for total in pair)
                e.store_pairs(even, odd, e.after(row, builder.mul(p, INT(2))))
        return context.get_dummy_value()

    size = types.intp
    return types.void(
        size, products, size, size, start, size, types.float32, out, size, size
    ), codegen  # fmt: skip


def _combine(builder: Any, w: list[ir.Value], half: ir.Value) -> list[ir.Value]:
    """G w."""
    outer = builder.fadd(w[0], w[2])
    sums = builder.fadd(outer, w[1]), builder.fsub(outer, w[1])
    return [w[0], *(builder.fmul(half, sum_) for sum_ in sums), w[2]]


def _differences(builder: Any, d: list[ir.Value]) -> list[ir.Value]:
    """B^T d."""
    return [
        builder.fsub(d[0], d[2]),
        builder.fadd(d[1], d[2]),
        builder.fsub(d[2], d[1]),
        builder.fsub(d[1], d[3]),
    ]


def _sums(builder: Any, m: list[ir.Value]) -> list[ir.Value]:
    """A^T m."""
    return [
        builder.fadd(builder.fadd(m[0], m[1]), m[2]),
        builder.fsub(builder.fsub(m[1], m[2]), m[3]),
    ]
