"""Copies of rows of floats, and 2x2 pooling of two rows, by vectors."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from gpucnn.backend.numba.llvm.vectors import BYTES, INT, LANES, VECTOR, Emitter


@intrinsic
def copy_rows(
    typing: Any, rows: Any, width: Any, source: Any, s_at: Any, s_pitch: Any, out: Any, o_at: Any,
    o_pitch: Any,
) -> Any:  # fmt: skip
    """out[o_at + r*o_pitch + p] = source[s_at + r*s_pitch + p]

    for r in range(rows), p in range(width). Nothing else is read or written.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(context, builder, signature, args)
        rows, width, _, s_at, s_pitch, _, o_at, o_pitch = args
        with cgutils.for_range(builder, rows) as loop:
            source = e.address(2, builder.add(s_at, builder.mul(s_pitch, loop.index)))
            e.copy(width, source, e.address(5, builder.add(o_at, builder.mul(o_pitch, loop.index))))
        return context.get_dummy_value()

    size = types.intp
    return types.void(size, size, source, size, size, out, size, size), codegen


@intrinsic
def max_pairs(
    typing: Any, columns: Any, source: Any, s_at: Any, s_pitch: Any, out: Any, o_at: Any,
    argmax: Any, a_at: Any,
) -> Any:  # fmt: skip
    """One row of a 2x2 maximum: out[o_at + p] of pixels 2p and 2p + 1 of two rows of the source.

    argmax[a_at + p] is the number of the pixel, 0 to 3. The first of equal pixels wins, and a NaN
    wins against numbers. It is computed for p in range(columns rounded up to LANES): source and
    results must be that long.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(context, builder, signature, args)
        columns, _, s_at, s_pitch, _, o_at, _, a_at = args
        rows = [e.address(1, s_at), e.address(1, builder.add(s_at, s_pitch))]
        out, argmax = e.address(4, o_at), e.address(6, a_at)
        steps = builder.sdiv(builder.add(columns, INT(LANES - 1)), INT(LANES))
        with cgutils.for_range(builder, steps) as loop:
            p = builder.mul(loop.index, INT(LANES))
            pixels = []
            for row in rows:
                pixels += e.load_pairs(e.after(row, builder.mul(p, INT(2))))
            best, which = pixels[0], ir.Constant(BYTES, [0] * LANES)
            for i in (1, 2, 3):
                value = pixels[i]
                first_nan = builder.and_(
                    builder.fcmp_unordered("uno", value, value),
                    builder.fcmp_ordered("ord", best, best),
                )
                wins = builder.or_(builder.fcmp_ordered(">", value, best), first_nan)
                best = builder.select(wins, value, best)
                which = builder.select(wins, ir.Constant(BYTES, [i] * LANES), which)
            e.store(best, e.after(out, p))
            e.store(which, e.after(argmax, p))
        return context.get_dummy_value()

    size = types.intp
    return types.void(size, source, size, size, out, size, argmax, size), codegen


@intrinsic
def spread_pairs(
    typing: Any, columns: Any, grad: Any, g_at: Any, argmax: Any, a_at: Any, out: Any, o_at: Any,
    o_pitch: Any,
) -> Any:  # fmt: skip
    """The gradient of a row of `max_pairs`: the pixel that was the maximum gets it, three get 0.

    It is written for p in range(columns rounded up to LANES), one row after the other, so that the
    next row overwrites the excess of the one before it.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(context, builder, signature, args)
        columns, _, g_at, _, a_at, _, o_at, o_pitch = args
        grad, argmax = e.address(1, g_at), e.address(3, a_at)
        rows = [e.address(5, o_at), e.address(5, builder.add(o_at, o_pitch))]
        zero = ir.Constant(VECTOR, [0.0] * LANES)
        steps = builder.sdiv(builder.add(columns, INT(LANES - 1)), INT(LANES))
        for i, row in enumerate(rows):
            with cgutils.for_range(builder, steps) as loop:
                p = builder.mul(loop.index, INT(LANES))
                value, which = e.load(e.after(grad, p)), e.load(e.after(argmax, p), BYTES)
                parts = []
                for j in (0, 1):
                    won = builder.icmp_unsigned(
                        "==", which, ir.Constant(BYTES, [2 * i + j] * LANES)
                    )
                    parts.append(builder.select(won, value, zero))
                at = e.after(row, builder.mul(p, INT(2)))
                e.store_pairs(parts[0], parts[1], at)
        return context.get_dummy_value()

    size = types.intp
    return types.void(size, grad, size, argmax, size, out, size, size), codegen


# Assignments to slices would do the same, but take Numba seconds to compile.
@intrinsic
def zero(typing: Any, out: Any, at: Any, count: Any) -> Any:
    """out[at + i] = 0 for i in range(count)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = Emitter(context, builder, signature, args).address(0, args[1])
        size = context.get_abi_sizeof(place.type.pointee)
        cgutils.memset(builder, place, builder.mul(args[2], INT(size)), 0)
        return context.get_dummy_value()

    return types.void(out, types.intp, types.intp), codegen


@intrinsic
def copy(typing: Any, source: Any, s_at: Any, out: Any, o_at: Any, count: Any) -> Any:
    """out[o_at + i] = source[s_at + i] for i in range(count)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(context, builder, signature, args)
        place = e.address(2, args[3])
        size = context.get_abi_sizeof(place.type.pointee)
        cgutils.raw_memcpy(builder, place, e.address(0, args[1]), args[4], size)
        return context.get_dummy_value()

    size = types.intp
    return types.void(source, size, out, size, size), codegen
