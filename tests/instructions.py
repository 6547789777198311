"""What the instructions of PTX compute, in NumPy (PTX ISA 8.8, "Instruction Set")."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

Array = Any
DTYPES: dict[str, Any] = {"pred": np.bool_, "f32": np.float32, "f64": np.float64}
for _bits in (8, 16, 32, 64):
    DTYPES[f"u{_bits}"] = DTYPES[f"b{_bits}"] = np.dtype(f"uint{_bits}").type
    DTYPES[f"s{_bits}"] = np.dtype(f"int{_bits}").type


def quotient(a: Array, b: Array) -> Array:
    """Of integers, rounded to zero."""
    down = a // b
    return down + ((down * b != a) & ((a < 0) != (b < 0))).astype(a.dtype)


def by_element(function: Callable[..., Any]) -> Callable[..., Array]:
    """A function of Python's numbers, on arrays; integers wrap around."""

    def on_arrays(*arrays: Array) -> Array:
        dtype = arrays[0].dtype
        values = [function(*row) for row in zip(*(a.tolist() for a in arrays), strict=True)]
        if dtype.kind == "f":
            return np.array(values, dtype)
        whole = np.array([v % 2 ** (8 * dtype.itemsize) for v in values], np.uint64)
        return whole.astype(dtype)

    return on_arrays


def high(a: Array, b: Array) -> Array:
    """The upper half of a product."""
    return by_element(lambda x, y: x * y >> 8 * a.dtype.itemsize)(a, b)


def bit_field(a: int, position: int, length: int) -> int:
    return a >> (position & 255) & (1 << (length & 255)) - 1


def insert(field: int, into: int, position: int, length: int) -> int:
    mask = ((1 << (length & 255)) - 1 << (position & 255)) & 0xFFFFFFFF
    return into & ~mask | field << (position & 255) & mask


def permute(a: int, b: int, selectors: int) -> int:
    pool = [*a.to_bytes(4, "little"), *b.to_bytes(4, "little")]
    out = []
    for i in range(4):
        selector = selectors >> 4 * i & 15
        byte = pool[selector & 7]
        out.append((255 if byte & 128 else 0) if selector & 8 else byte)
    return int.from_bytes(bytes(out), "little")


def extreme(a: Array, b: Array, larger: bool) -> Array:
    """Of a number and a NaN the number; -0 is below +0."""
    chosen = np.fmax(a, b) if larger else np.fmin(a, b)
    if a.dtype.kind != "f":
        return chosen
    negative = np.signbit(a) & np.signbit(b) if larger else np.signbit(a) | np.signbit(b)
    return np.where((a == 0) & (b == 0), np.where(negative, -0.0, 0.0), chosen).astype(a.dtype)


def fma(a: Array, b: Array, c: Array, down: bool = False) -> Array:
    """a * b + c, rounded once: to nearest, or down."""
    single = a.dtype == np.float32

    def one(x: float, y: float, z: float) -> Any:
        plain = x * y + z  # right where something is not finite, and the sign of a zero
        if not np.isfinite([x, y, z]).all():
            return plain
        value = Fraction(x) * Fraction(y) + Fraction(z)
        if value == 0:
            both_positive = not (np.signbit(x * y) or np.signbit(z))
            return plain if not down or both_positive else -0.0
        try:
            near = float(value)  # to nearest
        except OverflowError:
            return np.copysign(np.inf, plain)
        if single:
            # To odd first, so that float32 rounds what matters.
            if Fraction(near) != value and np.float64(near).view(np.uint64) % 2 == 0:
                near = np.nextafter(near, np.inf if value > near else -np.inf)
            near = np.float32(near)
        if down and (near == np.inf or (near > -np.inf and Fraction(float(near)) > value)):
            near = np.nextafter(near, near.dtype.type(-np.inf))
        return near

    return by_element(one)(a, b, c)


def reciprocal_of_halves(a: Array) -> Array:
    """The upper half of the reciprocal of the upper half, without denormals."""

    def upper(x: Array) -> Array:
        x = (x.view(np.uint64) >> np.uint64(32) << np.uint64(32)).view(np.float64)
        return flushed(x)

    return upper(1 / upper(a))


def flushed(a: Array) -> Array:
    """Denormals as zeros with their sign."""
    return np.where(np.abs(a) < np.finfo(a.dtype).tiny, np.copysign(a.dtype.type(0), a), a)


def saturated(a: Array) -> Array:
    """Between 0 and 1; of NaN and -0 it is 0."""
    return np.where(a > 0, np.minimum(a, 1), 0).astype(a.dtype)


def unordered(a: Array, b: Array) -> Array:
    return np.isnan(a) | np.isnan(b)


# Opcode without type, .ftz and .sat -> operands, with their type where it is not that of the
# opcode, and the function.
MODELS: dict[str, tuple[str, Callable[..., Array]]] = {
    "abs": ("a", np.abs),
    "add": ("a b", np.add),
    "add.rn": ("a b", np.add),
    "and": ("a b", np.bitwise_and),
    "bfe": ("a b c", by_element(bit_field)),
    "bfi": ("a b c:u32 d:u32", by_element(insert)),
    "cvta.shared": ("a", np.array),
    "cvta.to.global": ("a", np.array),
    "cvta.to.shared": ("a", np.array),
    "div": ("a b:odd", quotient),
    "div.rn": ("a b", np.divide),
    "ex2.approx": ("a", lambda a: np.exp2(a.astype(np.float64)).astype(a.dtype)),
    "fma.rm": ("a b c", lambda a, b, c: fma(a, b, c, down=True)),
    "fma.rn": ("a b c", fma),
    "lg2.approx": ("a", lambda a: np.log2(a.astype(np.float64)).astype(a.dtype)),
    "mad.lo": ("a b c", lambda a, b, c: a * b + c),
    "max": ("a b", lambda a, b: extreme(a, b, larger=True)),
    "min": ("a b", lambda a, b: extreme(a, b, larger=False)),
    "mov": ("a", np.array),
    "mul": ("a b", np.multiply),
    "mul.hi": ("a b", high),
    "mul.lo": ("a b", np.multiply),
    "mul.rn": ("a b", np.multiply),
    "mul.wide": ("a b", lambda a, b: np.multiply(a, b, dtype=f"{a.dtype.kind}{2 * a.itemsize}")),
    "neg": ("a", np.negative),
    "not": ("a", np.invert),
    "or": ("a b", np.bitwise_or),
    "prmt": ("a b c", by_element(permute)),
    "rcp.approx.ftz": ("a", reciprocal_of_halves),
    "rcp.rn": ("a", np.reciprocal),
    "rem": ("a b:odd", lambda a, b: a - quotient(a, b) * b),
    "selp": ("a b c:pred", lambda a, b, c: np.where(c, a, b)),
    "setp.eq": ("a b", np.equal),
    "setp.equ": ("a b", lambda a, b: (a == b) | unordered(a, b)),
    "setp.ge": ("a b", np.greater_equal),
    "setp.geu": ("a b", lambda a, b: (a >= b) | unordered(a, b)),
    "setp.gt": ("a b", np.greater),
    "setp.gtu": ("a b", lambda a, b: (a > b) | unordered(a, b)),
    "setp.le": ("a b", np.less_equal),
    "setp.leu": ("a b", lambda a, b: (a <= b) | unordered(a, b)),
    "setp.lt": ("a b", np.less),
    "setp.ltu": ("a b", lambda a, b: (a < b) | unordered(a, b)),
    "setp.nan": ("a b", unordered),
    "setp.ne": ("a b", lambda a, b: (a < b) | (a > b)),
    "setp.neu": ("a b", lambda a, b: (a != b) | unordered(a, b)),
    "setp.num": ("a b", lambda a, b: ~unordered(a, b)),
    "shl": ("a b:u32", by_element(lambda a, b: a << min(b, 64))),
    "shr": ("a b:u32", by_element(lambda a, b: a >> min(b, 64))),
    "sqrt.rn": ("a", np.sqrt),
    "sub": ("a b", np.subtract),
    "sub.rn": ("a b", np.subtract),
    "xor": ("a b", np.bitwise_xor),
}

_ROUNDINGS = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


def converted(flags: list[str], target: str, source: str, a: Array) -> Array:
    """cvt.FLAGS.TARGET.SOURCE"""
    if "ftz" in flags and source == "f32":
        a = flushed(a)
    for flag in flags:
        a = _ROUNDINGS.get(flag, np.array)(a)
    if source[0] == "f" and target[0] != "f":
        limits = np.iinfo(DTYPES[target])
        of_nan = 0
        if "64" in target + source:
            of_nan = limits.min or 1 << limits.bits - 1
        numbers = [
            of_nan if np.isnan(v) else min(max(v, limits.min), limits.max) for v in a.tolist()
        ]
        return np.array([int(v) for v in numbers], DTYPES[target])
    a = a.astype(DTYPES[target])
    if "sat" in flags:
        a = saturated(a)
    return flushed(a) if "ftz" in flags and target == "f32" else a


def without_flags(opcode: str) -> str:
    """An opcode without its type, and without .ftz and .sat of a float32."""
    *parts, type_ = opcode.split(".")
    return ".".join(part for part in parts if type_ != "f32" or part not in ("ftz", "sat"))


def result(opcode: str, given: Callable[[str, str], Array]) -> Array:
    """What an instruction computes.

    Args:
        opcode: with its type, as in fma.rn.ftz.f32.
        given: the operand of a name, "a" to "d", as an array of a type of PTX.
    """
    name, *flags, type_ = opcode.split(".")
    if name == "cvt":
        *flags, target = flags
        return converted(flags, target, type_, given("a", type_))
    single = type_ == "f32"
    operands, function = MODELS[without_flags(opcode)]
    arrays = []
    for operand, own in re.findall(r"(\w):?(\w*)", operands):
        array = given(operand, type_ if own in ("", "odd") else own)
        if own == "odd":
            array = array | array.dtype.type(1)
        arrays.append(flushed(array) if "ftz" in flags and single and own == "" else array)
    value = function(*arrays)
    if "sat" in flags and single:
        value = saturated(value)
    return flushed(value) if "ftz" in flags and value.dtype == np.float32 else value
