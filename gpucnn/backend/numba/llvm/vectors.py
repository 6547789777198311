"""The vectors of this CPU, and an emitter of the LLVM instructions on them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils

_features = binding.get_host_cpu_features()
# Floats of a vector; rows and columns of the register tile of `weighted_sum`, in vectors; the same
# of `inner_products`. A tile, and the vectors that it is multiplied with, fill the registers.
if _features.get("avx512f"):  # 32 registers of 16 floats
    LANES, ROWS, COLUMNS, LEFT, RIGHT = 16, 8, 3, 4, 6
elif _features.get("avx"):  # 16 registers of 8 floats
    LANES, ROWS, COLUMNS, LEFT, RIGHT = 8, 4, 3, 4, 3
else:  # as of NEON: 32 registers of 4 floats
    LANES, ROWS, COLUMNS, LEFT, RIGHT = 4, 8, 3, 4, 6

FLOAT = ir.FloatType()
VECTOR = ir.VectorType(FLOAT, LANES)
BYTES = ir.VectorType(ir.IntType(8), LANES)
INT = ir.IntType(64)


class Emitter:
    """Emits the instructions of one intrinsic, whose arguments are 1-D arrays and integers."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.context, self.builder, self.signature, self.args = context, builder, signature, args

    def address(self, argument: int, index: Any) -> Any:
        """The address of element `index` of the array that is the n-th argument."""
        kind = self.signature.args[argument]
        array = self.context.make_array(kind)(self.context, self.builder, self.args[argument])
        return self.builder.gep(array.data, [index])

    def after(self, address: Any, count: Any) -> Any:
        """The address of the element `count` elements later."""
        return self.builder.gep(address, [count if hasattr(count, "type") else INT(count)])

    def load(self, address: Any, kind: ir.Type = VECTOR) -> Any:
        """The vector at the address of any float; it need not be aligned."""
        vector = self.builder.load(self.builder.bitcast(address, kind.as_pointer()))
        vector.align = kind.element.width // 8 if kind is BYTES else 4
        return vector

    def store(self, vector: Any, address: Any) -> None:
        place = self.builder.bitcast(address, vector.type.as_pointer())
        self.builder.store(vector, place).align = 1 if vector.type is BYTES else 4

    def load_pairs(self, address: Any) -> list[Any]:
        """The even and the odd lanes of two consecutive vectors."""
        left, right = self.load(address), self.load(self.after(address, LANES))
        return [self.shuffle(left, right, range(i, 2 * LANES, 2)) for i in (0, 1)]

    def store_pairs(self, even: Any, odd: Any, address: Any) -> None:
        """Store two vectors as the even and the odd lanes of two consecutive vectors."""
        for half in (0, 1):
            lanes = [half * LANES // 2 + k // 2 + (k % 2) * LANES for k in range(LANES)]
            self.store(self.shuffle(even, odd, lanes), self.after(address, half * LANES))

    def at_least(self, value: Any, floor: Any) -> Any:
        """The greater of the two, lane by lane; a NaN stays one."""
        below = self.builder.fcmp_ordered("<", value, floor)
        return self.builder.select(below, floor, value)

    def prefetch(self, address: Any) -> None:
        """Fetch a cache line that is read once; it may lie beyond the end of the array."""
        byte = self.builder.bitcast(address, ir.IntType(8).as_pointer())
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte.type, word, word, word])
        function = self.builder.module.declare_intrinsic("llvm.prefetch", [byte.type], kind)
        self.builder.call(function, [byte, word(0), word(0), word(1)])  # read, once, data

    def copy(self, width: Any, source: Any, target: Any, lanes: int = LANES) -> None:
        """Copy `width` floats by vectors; the last one overlaps the one before it."""
        builder = self.builder
        kind = ir.VectorType(FLOAT, lanes)
        fits = builder.icmp_signed(">=", width, INT(lanes))
        with builder.if_else(fits) as (whole, less):
            with whole:
                last = builder.sub(width, INT(lanes))
                count = builder.sdiv(last, INT(lanes))
                with cgutils.for_range(builder, count) as loop:
                    at = builder.mul(loop.index, INT(lanes))
                    self.store(self.load(self.after(source, at), kind), self.after(target, at))
                at = builder.mul(count, INT(lanes))
                self.store(self.load(self.after(source, at), kind), self.after(target, at))
                self.store(self.load(self.after(source, last), kind), self.after(target, last))
            with less:
                if lanes > 1:
                    self.copy(width, source, target, lanes // 2)

    def spread(self, number: Any) -> Any:
        """A vector with the number in all lanes."""
        empty = ir.Constant(VECTOR, ir.Undefined)
        first = self.builder.insert_element(empty, number, ir.IntType(32)(0))
        return self.shuffle(first, empty, [0] * LANES)

    def multiply_add(self, a: Any, b: Any, total: Any) -> None:
        """total += a * b, as one instruction where the CPU has it."""
        flags = ("contract",)
        product = self.builder.fmul(a, b, flags=flags)
        sum_ = self.builder.fadd(self.builder.load(total), product, flags=flags)
        self.builder.store(sum_, total)

    def shuffle(self, a: Any, b: Any, lanes: Iterable[int]) -> Any:
        """A vector of the given lanes: lanes of a count from 0, lanes of b from LANES."""
        order = list(lanes)
        kind = ir.VectorType(ir.IntType(32), len(order))
        return self.builder.shuffle_vector(a, b, ir.Constant(kind, order))

    def add_lanes(self, vectors: list[Any]) -> list[Any]:
        """The sum of the lanes of each vector; the sums are the lanes of the vectors returned.

        Two vectors at a time: the halves of a and b are added to [a a a a b b b b], the halves of
        two such vectors to [a a b b c c d d], and so on.
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
        """The vectors of a tile, all of row r at start[r]; LLVM keeps them in registers."""
        found = [
            [cgutils.alloca_once(self.builder, VECTOR) for _ in range(columns)] for _ in range(rows)
        ]
        for row, value in zip(found, start, strict=True):
            for variable in row:
                self.builder.store(value, variable)
        return found
