"""Register tiles: the two inner loops of all convolutions and matrix products.

A tile keeps `rows` x `columns` vectors in registers from the first product to the last, so that
each value that is loaded takes part in several multiplications. Numba has no way to say so in
Python; these two functions emit the LLVM instructions themselves. Everything around them is Python.

    weighted_sum   out[r, p] = start[r] + sum_k weights[r, k] * source[offsets[k] + p]
    inner_products out[r, k] = out[r, k] + sum_p rows[r, p] * source[offsets[k] + p]

A vector holds `LANES` neighbouring p. The sums run in the order of k, or of p by lanes; nothing in
them depends on where the arrays lie.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from gpucnn.backend.storage import cache_folder

_features = binding.get_host_cpu_features()
if _features.get("avx512f"):  # 32 registers of 16 floats
    LANES, ROWS, COLUMNS, LEFT, RIGHT = 16, 8, 3, 4, 6
elif _features.get("avx"):  # 16 registers of 8 floats
    LANES, ROWS, COLUMNS, LEFT, RIGHT = 8, 4, 3, 4, 3
else:  # as of NEON: 32 registers of 4 floats
    LANES, ROWS, COLUMNS, LEFT, RIGHT = 4, 8, 3, 4, 6


def entry(function: Any) -> Any:
    """Compile what Python calls; it holds no lock of Python's and checks for no division by zero.

    It is kept on disk in a folder of these sources: Numba would look at the function's own file,
    and not at those of what it calls. Where nothing can be written, nothing is kept.
    """
    options: Any = {"nogil": True, "error_model": "numpy"}
    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, str(_folder())
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:
        return njit(**options)(function)
    finally:
        config.CACHE_DIR = before


@functools.cache
def _folder() -> Path:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()
    return cache_folder("compiled") / digest[:16]


# What only such functions call is compiled into them.
inner = njit(inline="always")


def flat(array: Any, dtype: Any = np.float32) -> Any:
    """The array as compiled code takes it, in 1-D: another layout or type would be compiled anew.

    Read-only arrays are of a type of their own, and Numba takes byte-swapped ones for native.
    """
    row = np.ascontiguousarray(array, dtype).reshape(-1)
    return row if row.flags.writeable else row.copy()


_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)
_BYTES = ir.VectorType(ir.IntType(8), LANES)
_INT = ir.IntType(64)


class _Emitter:
    """Instructions of one tile; arguments are 1-D arrays and integers of the call."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.context, self.builder, self.signature, self.args = context, builder, signature, args

    def address(self, argument: int, index: Any) -> Any:
        """Of element `index` of an array that was passed."""
        kind = self.signature.args[argument]
        array = self.context.make_array(kind)(self.context, self.builder, self.args[argument])
        return self.builder.gep(array.data, [index])

    def after(self, address: Any, count: Any) -> Any:
        return self.builder.gep(address, [count if hasattr(count, "type") else _INT(count)])

    def load(self, address: Any, kind: ir.Type = _VECTOR) -> Any:
        """A vector from any float's address."""
        vector = self.builder.load(self.builder.bitcast(address, kind.as_pointer()))
        vector.align = kind.element.width // 8 if kind is _BYTES else 4
        return vector

    def store(self, vector: Any, address: Any) -> None:
        place = self.builder.bitcast(address, vector.type.as_pointer())
        self.builder.store(vector, place).align = 1 if vector.type is _BYTES else 4

    def copy(self, width: Any, source: Any, target: Any, lanes: int = LANES) -> None:
        """Copy `width` floats by vectors; the last one overlaps the one before it."""
        builder = self.builder
        kind = ir.VectorType(_FLOAT, lanes)
        fits = builder.icmp_signed(">=", width, _INT(lanes))
        with builder.if_else(fits) as (whole, less):
            with whole:
                last = builder.sub(width, _INT(lanes))
                count = builder.sdiv(last, _INT(lanes))
                with cgutils.for_range(builder, count) as loop:
                    at = builder.mul(loop.index, _INT(lanes))
                    self.store(self.load(self.after(source, at), kind), self.after(target, at))
                at = builder.mul(count, _INT(lanes))
                self.store(self.load(self.after(source, at), kind), self.after(target, at))
                self.store(self.load(self.after(source, last), kind), self.after(target, last))
            with less:
                if lanes > 1:
                    self.copy(width, source, target, lanes // 2)

    def spread(self, number: Any) -> Any:
        """A vector with the number in all lanes."""
        empty = ir.Constant(_VECTOR, ir.Undefined)
        first = self.builder.insert_element(empty, number, ir.IntType(32)(0))
        return self.shuffle(first, empty, [0] * LANES)

    def multiply_add(self, a: Any, b: Any, total: Any) -> None:
        """total += a * b, as one instruction where the CPU has it."""
        flags = ("contract",)
        product = self.builder.fmul(a, b, flags=flags)
        sum_ = self.builder.fadd(self.builder.load(total), product, flags=flags)
        self.builder.store(sum_, total)

    def shuffle(self, a: Any, b: Any, lanes: Iterable[int]) -> Any:
        """Lanes of a (from 0) and b (from LANES) in another order."""
        order = list(lanes)
        kind = ir.VectorType(ir.IntType(32), len(order))
        return self.builder.shuffle_vector(a, b, ir.Constant(kind, order))

    def add_lanes(self, vectors: list[Any]) -> list[Any]:
        """The sum of each vector's lanes, one after the other in vectors again.

        Two vectors at a time: halves of a and b are added to [a a a a b b b b], those of two such
        to [a a b b c c d d], and so on.
        """
        group = LANES
        while group > 1:
            half, found = group // 2, []
            lower = [i for i in range(2 * LANES) if i % group < half]
            for i in range(0, len(vectors), 2):
                a, b = (vectors[i : i + 2] * 2)[:2]  # an odd one goes with itself
                parts = [self.shuffle(a, b, [lane + at for lane in lower]) for at in (0, half)]
                found.append(self.builder.fadd(parts[0], parts[1]))
            vectors, group = found, half
        return vectors

    def variables(self, rows: int, columns: int, start: list[Any]) -> list[list[Any]]:
        """The vectors of the tile, row r at its start value; LLVM keeps them in registers."""
        found = [
            [cgutils.alloca_once(self.builder, _VECTOR) for _ in range(columns)]
            for _ in range(rows)
        ]
        for row, value in zip(found, start, strict=True):
            for variable in row:
                self.builder.store(value, variable)
        return found


@intrinsic(prefer_literal=True)
def weighted_sum(
    typing: Any, rows: Any, columns: Any, source: Any, at: Any, offsets: Any, first: Any,
    count: Any, weights: Any, w_at: Any, w_pitch: Any, start: Any, s_at: Any, least: Any, out: Any,
    o_at: Any, o_pitch: Any,
) -> Any:  # fmt: skip
    """out[o_at + r*o_pitch + p] = max(least, start[s_at + r]
                + sum_k weights[w_at + r*w_pitch + k] * source[at + offsets[first + k] + p])

    for r in range(rows), p in range(columns * LANES), k in range(count). `rows` and `columns` are
    constants of the call. `least` is 0 for a ReLU, else -inf; a NaN stays one.
    """
    R, V = rows.literal_value, columns.literal_value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = _Emitter(context, builder, signature, args)
        at, first, count, w_at, w_pitch, s_at, least, o_at, o_pitch = (
            args[i] for i in (3, 5, 6, 8, 9, 11, 12, 14, 15)
        )
        begin = e.address(10, s_at)
        total = e.variables(R, V, [e.spread(builder.load(e.after(begin, r))) for r in range(R)])
        source, offset = e.address(2, at), e.address(4, first)
        weight = [e.address(7, builder.add(w_at, builder.mul(w_pitch, _INT(r)))) for r in range(R)]
        with cgutils.for_range(builder, count) as loop:
            seen = e.after(source, builder.load(e.after(offset, loop.index)))
            pixels = [e.load(e.after(seen, v * LANES)) for v in range(V)]
            for r in range(R):
                factor = e.spread(builder.load(e.after(weight[r], loop.index)))
                for v in range(V):
                    e.multiply_add(factor, pixels[v], total[r][v])
        floor = e.spread(least)
        for r in range(R):
            row = e.address(13, builder.add(o_at, builder.mul(o_pitch, _INT(r))))
            for v in range(V):
                value = builder.load(total[r][v])
                below = builder.fcmp_ordered("<", value, floor)
                e.store(builder.select(below, floor, value), e.after(row, v * LANES))
        return context.get_dummy_value()

    size = types.intp
    return types.void(
        rows, columns, source, size, offsets, size, size, weights, size, size, start, size,
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
        e = _Emitter(context, builder, signature, args)
        l_at, l_pitch, at, first, length, o_at, o_pitch = (args[i] for i in (3, 4, 6, 8, 9, 11, 12))
        total = e.variables(R, T, [ir.Constant(_VECTOR, [0.0] * LANES)] * R)
        left = [e.address(2, builder.add(l_at, builder.mul(l_pitch, _INT(r)))) for r in range(R)]
        source, offset = e.address(5, at), e.address(7, first)
        right = [e.after(source, builder.load(e.after(offset, t))) for t in range(T)]
        steps = builder.sdiv(builder.add(length, _INT(LANES - 1)), _INT(LANES))
        with cgutils.for_range(builder, steps) as loop:
            p = builder.mul(loop.index, _INT(LANES))
            values = [e.load(e.after(row, p)) for row in left]
            for t in range(T):
                pixels = e.load(e.after(right[t], p))
                for r in range(R):
                    e.multiply_add(values[r], pixels, total[r][t])
        for r in range(R):
            row = e.address(10, builder.add(o_at, builder.mul(o_pitch, _INT(r))))
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


@intrinsic
def copy_rows(
    typing: Any, rows: Any, width: Any, source: Any, s_at: Any, s_pitch: Any, out: Any, o_at: Any,
    o_pitch: Any,
) -> Any:  # fmt: skip
    """out[o_at + r*o_pitch + p] = source[s_at + r*s_pitch + p]

    for r in range(rows), p in range(width); nothing else is read or written.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = _Emitter(context, builder, signature, args)
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
    winner: Any, w_at: Any,
) -> Any:  # fmt: skip
    """One row of a 2x2 maximum: of pixels 2p and 2p + 1 of two rows, and which of the four it was.

    for p in range(columns rounded up to LANES): source and results need room for them. The first
    of equal ones wins, and a NaN over all.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = _Emitter(context, builder, signature, args)
        columns, _, s_at, s_pitch, _, o_at, _, w_at = args
        rows = [e.address(1, s_at), e.address(1, builder.add(s_at, s_pitch))]
        out, winner = e.address(4, o_at), e.address(6, w_at)
        steps = builder.sdiv(builder.add(columns, _INT(LANES - 1)), _INT(LANES))
        with cgutils.for_range(builder, steps) as loop:
            p = builder.mul(loop.index, _INT(LANES))
            pixels = []
            for row in rows:
                at = e.after(row, builder.mul(p, _INT(2)))
                left, right = e.load(at), e.load(e.after(at, LANES))
                pixels += [e.shuffle(left, right, range(i, 2 * LANES, 2)) for i in (0, 1)]
            best, which = pixels[0], ir.Constant(_BYTES, [0] * LANES)
            for i in (1, 2, 3):
                value = pixels[i]
                first_nan = builder.and_(
                    builder.fcmp_unordered("uno", value, value),
                    builder.fcmp_ordered("ord", best, best),
                )
                wins = builder.or_(builder.fcmp_ordered(">", value, best), first_nan)
                best = builder.select(wins, value, best)
                which = builder.select(wins, ir.Constant(_BYTES, [i] * LANES), which)
            e.store(best, e.after(out, p))
            e.store(which, e.after(winner, p))
        return context.get_dummy_value()

    size = types.intp
    return types.void(size, source, size, size, out, size, winner, size), codegen


@intrinsic
def spread_pairs(
    typing: Any, columns: Any, grad: Any, g_at: Any, winner: Any, w_at: Any, out: Any, o_at: Any,
    o_pitch: Any,
) -> Any:  # fmt: skip
    """The gradient of a row of `max_pairs`: each value goes to its winner, the other three get 0.

    for p in range(columns rounded up to LANES): row by row, so that what one leaves behind its end
    is where the next begins.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = _Emitter(context, builder, signature, args)
        columns, _, g_at, _, w_at, _, o_at, o_pitch = args
        grad, winner = e.address(1, g_at), e.address(3, w_at)
        rows = [e.address(5, o_at), e.address(5, builder.add(o_at, o_pitch))]
        zero = ir.Constant(_VECTOR, [0.0] * LANES)
        steps = builder.sdiv(builder.add(columns, _INT(LANES - 1)), _INT(LANES))
        for i, row in enumerate(rows):
            with cgutils.for_range(builder, steps) as loop:
                p = builder.mul(loop.index, _INT(LANES))
                value, which = e.load(e.after(grad, p)), e.load(e.after(winner, p), _BYTES)
                parts = []
                for j in (0, 1):
                    won = builder.icmp_unsigned(
                        "==", which, ir.Constant(_BYTES, [2 * i + j] * LANES)
                    )
                    parts.append(builder.select(won, value, zero))
                at = e.after(row, builder.mul(p, _INT(2)))
                for half in (0, 1):
                    lanes = [half * LANES // 2 + k // 2 + (k % 2) * LANES for k in range(LANES)]
                    e.store(e.shuffle(parts[0], parts[1], lanes), e.after(at, half * LANES))
        return context.get_dummy_value()

    size = types.intp
    return types.void(size, grad, size, winner, size, out, size, size), codegen


# Slices of arrays would do for these two; they take Numba seconds to compile.
@intrinsic
def zero(typing: Any, out: Any, at: Any, count: Any) -> Any:
    """out[at + i] = 0 for i in range(count)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _Emitter(context, builder, signature, args).address(0, args[1])
        size = context.get_abi_sizeof(place.type.pointee)
        cgutils.memset(builder, place, builder.mul(args[2], _INT(size)), 0)
        return context.get_dummy_value()

    return types.void(out, types.intp, types.intp), codegen


@intrinsic
def copy(typing: Any, source: Any, s_at: Any, out: Any, o_at: Any, count: Any) -> Any:
    """out[o_at + i] = source[s_at + i] for i in range(count)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = _Emitter(context, builder, signature, args)
        place = e.address(2, args[3])
        size = context.get_abi_sizeof(place.type.pointee)
        cgutils.raw_memcpy(builder, place, e.address(0, args[1]), args[4], size)
        return context.get_dummy_value()

    size = types.intp
    return types.void(source, size, out, size, size), codegen
