"""The computations of PTX as expressions of C++; ptx.h has the functions that they call.

tests/simulator/test_opcodes.py runs each of them, in each type, against NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator

_BITS = "b16 b32 b64"
_SIGNED = "s16 s32 s64"
_INTEGERS = f"u16 u32 u64 {_SIGNED}"
_FLOATS = "f32 f64"

# Opcode without type, .ftz and .sat; its types; the value. Operands are a, b, c and d, of the type
# in the opcode, or as {a:bits} of the unsigned type of its size, or of the type that is named.
# Sums and products wrap around, so they are computed as bits.
_VALUES = (
    ("abs", f"{_SIGNED} {_FLOATS}", "abs({a})"),
    ("add", _INTEGERS, "{a:bits} + {b:bits}"),
    ("add", _FLOATS, "{a} + {b}"),
    ("add.rn", _FLOATS, "{a} + {b}"),
    ("and", f"{_BITS} pred", "{a} & {b}"),
    ("bfe", "u32", "bfe({a}, {b}, {c})"),
    ("bfi", "b32", "bfi({a}, {b}, {c}, {d})"),
    ("cvta.shared", "u64", "{a}"),  # every address is one of the host
    ("cvta.to.global", "u64", "{a}"),
    ("cvta.to.shared", "u64", "{a}"),
    ("div", _INTEGERS, "div({a}, {b})"),
    ("div.rn", _FLOATS, "{a} / {b}"),
    ("ex2.approx", "f32", "ex2_approx({a})"),
    ("fma.rm", "f32", "fma_rm({a}, {b}, {c})"),
    ("fma.rn", _FLOATS, "fma({a}, {b}, {c})"),
    ("lg2.approx", "f32", "lg2_approx({a})"),
    ("mad.lo", _INTEGERS, "1u * {a:bits} * {b:bits} + {c:bits}"),  # 1u: no short becomes an int
    ("max", _INTEGERS, "max({a}, {b})"),
    ("max", _FLOATS, "greatest({a}, {b})"),
    ("min", _INTEGERS, "min({a}, {b})"),
    ("min", _FLOATS, "least({a}, {b})"),
    ("mov", f"{_BITS} {_INTEGERS} {_FLOATS} pred", "{a}"),
    ("mul", _FLOATS, "{a} * {b}"),
    ("mul.hi", _INTEGERS, "mul_hi({a}, {b})"),
    ("mul.lo", _INTEGERS, "1u * {a:bits} * {b:bits}"),
    ("mul.rn", _FLOATS, "{a} * {b}"),
    ("neg", _SIGNED, "-{a:bits}"),
    ("neg", _FLOATS, "-{a}"),
    ("not", _BITS, "~{a}"),
    ("not", "pred", "!{a}"),
    ("or", f"{_BITS} pred", "{a} | {b}"),
    ("prmt", "b32", "prmt({a}, {b}, {c})"),
    ("rcp.approx.ftz", "f64", "rcp_approx_ftz({a})"),
    ("rcp.rn", _FLOATS, "1 / {a}"),
    ("rem", _INTEGERS, "rem({a}, {b})"),
    ("selp", f"{_BITS} {_INTEGERS} {_FLOATS}", "{c:pred} ? {a} : {b}"),
    ("shl", _BITS, "shl({a}, {b:u32})"),
    ("shr", f"{_BITS} {_INTEGERS}", "shr({a}, {b:u32})"),
    ("sqrt.rn", _FLOATS, "sqrt({a})"),
    ("sub", _INTEGERS, "{a:bits} - {b:bits}"),
    ("sub", _FLOATS, "{a} - {b}"),
    ("sub.rn", _FLOATS, "{a} - {b}"),
    ("xor", f"{_BITS} pred", "{a} ^ {b}"),
)
_WIDE = {"u16": "u32", "s16": "s32", "u32": "u64", "s32": "s64"}
_COMPARISONS = {
    "eq": "{a} == {b}", "lt": "{a} < {b}", "le": "{a} <= {b}", "gt": "{a} > {b}", "ge": "{a} >= {b}"
}  # fmt: skip
_OF_INTEGERS = _COMPARISONS | {"ne": "{a} != {b}"}
_OF_FLOATS = _COMPARISONS | {  # of NaN the first are false, and those that end with u are true
    "ne": "{a} < {b} || {a} > {b}",
    "equ": "!({a} < {b} || {a} > {b})",
    "neu": "{a} != {b}",
    "ltu": "!({a} >= {b})",
    "leu": "!({a} > {b})",
    "gtu": "!({a} <= {b})",
    "geu": "!({a} < {b})",
    "num": "!is_nan({a}) && !is_nan({b})",
    "nan": "is_nan({a}) || is_nan({b})",
}


def _rows() -> Iterator[tuple[str, tuple[str, str]]]:
    """Opcode with its type -> the value, and the type of the result."""
    for opcode, types, value in _VALUES:
        for type_ in types.split():
            yield f"{opcode}.{type_}", (value, type_)
    for type_, wide in _WIDE.items():
        yield f"mul.wide.{type_}", ("widened({a}) * widened({b})", wide)
    for types, comparisons in ((f"{_BITS} {_INTEGERS}", _OF_INTEGERS), (_FLOATS, _OF_FLOATS)):
        for comparison, value in comparisons.items():
            for type_ in types.split():
                yield f"setp.{comparison}.{type_}", (value, "pred")


#: Opcode without .ftz and .sat -> the value, and the type of the result.
COMPUTATIONS = dict(_rows())
