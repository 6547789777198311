"""Register tiles: the inner loops of convolutions, and of a dense layer for one image.

A tile keeps `rows` x `columns` vectors in registers from the first product to the last, so that
each loaded value is used in several multiplications. Numba's Python cannot express that, so these
functions emit the LLVM instructions.

    weighted_sum   out[r, p] = start[r] + sum_k weights[r, k] * source[offsets[k] + p]
    inner_products out[r, k] = out[r, k] + sum_p left[r, p] * source[offsets[k] + p]
    row_by_columns out[p] = start[p] + sum_k a[k] * b[k, p]

A vector holds `LANES` neighboring p. The order of each sum is fixed: by k, or by p within a lane.
It does not depend on the addresses of the arrays.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from gpucnn.backend.numba.llvm.vectors import INT, LANES, VECTOR, Emitter

_AHEAD = 8  # rows of a matrix that are prefetched before they are used


@intrinsic(prefer_literal=True)
def weighted_sum(
    typing: Any, rows: Any, columns: Any, source: Any, at: Any, offsets: Any, first: Any,
    count: Any, weights: Any, w_at: Any, w_pitch: Any, w_step: Any, start: Any, s_at: Any,
    least: Any, out: Any, o_at: Any, o_pitch: Any,
) -> Any:  # fmt: skip
    """out[o_at + r*o_pitch + p] = max(least, start[s_at + r]
                + sum_k weights[w_at + r*w_pitch + k*w_step] * source[at + offsets[first + k] + p])

    for r in range(rows), p in range(columns * LANES), k in range(count). `rows` and `columns` are
    compile-time constants. `least` is 0 for a ReLU, else -inf. A NaN stays NaN.
    """
    R, V = rows.literal_value, columns.literal_value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(context, builder, signature, args)
        at, first, count, w_at, w_pitch, w_step, s_at, least, o_at, o_pitch = (
            args[i] for i in (3, 5, 6, 8, 9, 10, 12, 13, 15, 16)
        )
        begin = e.address(11, s_at)
        total = e.variables(R, V, [e.spread(builder.load(e.after(begin, r))) for r in range(R)])
        source, offset = e.address(2, at), e.address(4, first)
        weight = [e.address(7, builder.add(w_at, builder.mul(w_pitch, INT(r)))) for r in range(R)]
        with cgutils.for_range(builder, count) as loop:
            seen = e.after(source, builder.load(e.after(offset, loop.index)))
            pixels = [e.load(e.after(seen, v * LANES)) for v in range(V)]
            step = builder.mul(w_step, loop.index)
            for r in range(R):
                factor = e.spread(builder.load(e.after(weight[r], step)))
                for v in range(V):
                    e.multiply_add(factor, pixels[v], total[r][v])
        floor = e.spread(least)
        for r in range(R):
            row = e.address(14, builder.add(o_at, builder.mul(o_pitch, INT(r))))
            for v in range(V):
                e.store(e.at_least(builder.load(total[r][v]), floor), e.after(row, v * LANES))
        return context.get_dummy_value()

    size = types.intp
    return types.void(
        rows, columns, source, size, offsets, size, size, weights, size, size, size, start, size,
        types.float32, out, size, size,
    ), codegen  # fmt: skip


@intrinsic(prefer_literal=True)
def inner_products(
    typing: Any, rows: Any, columns: Any, left: Any, l_at: Any, l_pitch: Any, source: Any, at: Any,
    offsets: Any, first: Any, length: Any, out: Any, o_at: Any, o_pitch: Any,
) -> Any:  # fmt: skip
    """out[o_at + r*o_pitch + k]
            += sum_p left[l_at + r*l_pitch + p] * source[at + offsets[first + k] + p]

    for r in range(rows), k in range(columns), p in range(length rounded up to LANES).
    """
    R, T = rows.literal_value, columns.literal_value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(context, builder, signature, args)
        l_at, l_pitch, at, first, length, o_at, o_pitch = (args[i] for i in (3, 4, 6, 8, 9, 11, 12))
        total = e.variables(R, T, [ir.Constant(VECTOR, [0.0] * LANES)] * R)
        left = [e.address(2, builder.add(l_at, builder.mul(l_pitch, INT(r)))) for r in range(R)]
        source, offset = e.address(5, at), e.address(7, first)
        right = [e.after(source, builder.load(e.after(offset, t))) for t in range(T)]
        steps = builder.sdiv(builder.add(length, INT(LANES - 1)), INT(LANES))
        with cgutils.for_range(builder, steps) as loop:
            p = builder.mul(loop.index, INT(LANES))
            values = [e.load(e.after(row, p)) for row in left]
            for t in range(T):
                pixels = e.load(e.after(right[t], p))
                for r in range(R):
                    e.multiply_add(values[r], pixels, total[r][t])
        for r in range(R):
            row = e.address(10, builder.add(o_at, builder.mul(o_pitch, INT(r))))
            sums = e.add_lanes([builder.load(vector) for vector in total[r]])
            for t in range(T):
                place = e.after(row, t)
                lane = ir.IntType(32)(t % LANES)
                value = builder.extract_element(sums[t // LANES], lane)
                builder.store(builder.fadd(builder.load(place), value), place)
        return context.get_dummy_value()

    size = types.intp
    return types.void(
        rows, columns, left, size, size, source, size, offsets, size, size, out, size, size
    ), codegen


@intrinsic(prefer_literal=True)
def row_by_columns(
    typing: Any, columns: Any, a: Any, b: Any, n: Any, pitch: Any, count: Any, start: Any,
    least: Any, out: Any,
) -> Any:  # fmt: skip
    """out[n + p] = max(least, start[n + p] + sum_k a[k] * b[k * pitch + n + p])

    for p in range(columns * LANES), k in range(count). A NaN stays NaN.
    """
    V = columns.literal_value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(context, builder, signature, args)
        n, pitch, count, least = (args[i] for i in (3, 4, 5, 7))
        first, place = e.address(6, n), e.address(8, n)
        [total] = e.variables(1, V, [e.load(first)])
        for v in range(1, V):
            builder.store(e.load(e.after(first, v * LANES)), total[v])
        factors, matrix = e.address(1, INT(0)), e.address(2, n)
        with cgutils.for_range(builder, count) as loop:
            row = e.after(matrix, builder.mul(loop.index, pitch))
            factor = e.spread(builder.load(e.after(factors, loop.index)))
            later = e.after(row, builder.mul(pitch, INT(_AHEAD)))
            for v in range(V):
                e.prefetch(e.after(later, v * LANES))
                e.multiply_add(factor, e.load(e.after(row, v * LANES)), total[v])
        floor = e.spread(least)
        for v in range(V):
            e.store(e.at_least(builder.load(total[v]), floor), e.after(place, v * LANES))
        return context.get_dummy_value()

    size = types.intp
    return types.void(columns, a, b, size, size, size, start, types.float32, out), codegen
