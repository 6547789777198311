"""Each instruction of PTX that has a translation, against NumPy on values where it may go wrong.

One kernel runs them all: a thread has one combination of operands, and each instruction writes a
row of the output.
"""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from instructions import DTYPES, MODELS, result, without_flags

from gpucnn.backend.simulator.opcodes import COMPUTATIONS

THREADS = 1024
TYPES = ("u16", "u32", "u64", "f32", "f64", "pred")  # of registers
FLOATS, WHOLE = ("f32", "f64"), ("rni", "rzi", "rmi", "rpi")
INTEGERS = tuple(f"{kind}{bits}" for kind in "us" for bits in (8, 16, 32, 64))


def instructions() -> list[str]:
    """Computations with and without .ftz and .sat, and conversions between all types."""
    found = []
    for opcode in COMPUTATIONS:
        name, _, type_ = opcode.rpartition(".")
        first = name.partition(".")[0]
        flags = [""]
        if type_ == "f32" and first not in ("mov", "selp"):
            flags += [".ftz"]
            flags += [".sat", ".ftz.sat"] if first in ("add", "fma", "mul", "sub") else []
        found += [f"{name}{flag}.{type_}" for flag in flags]
    found += [f"cvt.{a}.{b}" for a, b in itertools.product(INTEGERS, INTEGERS)]
    found += [f"cvt.rn.{a}.{b}" for a, b in itertools.product(FLOATS, INTEGERS)]
    found += [f"cvt.{m}.{a}.{b}" for m, a, b in itertools.product(WHOLE, INTEGERS, FLOATS)]
    found += [f"cvt.{m}.{a}.{a}" for m, a in itertools.product(WHOLE, FLOATS)]
    found += ["cvt.f64.f32", "cvt.rn.f32.f64", "cvt.ftz.f64.f32", "cvt.rn.ftz.f32.f64"]
    found += ["cvt.rn.sat.f32.f64", "cvt.f32.f32", "cvt.ftz.f32.f32", "cvt.ftz.sat.f32.f32"]
    found += [f"cvt.{m}.ftz.{a}.f32" for m in WHOLE for a in ("f32", "s32")]
    return sorted(found)


INSTRUCTIONS = instructions()


# ---- operands ----------------------------------------------------------------------------------


def values(type_: str) -> np.ndarray:
    """Where an instruction may go wrong; small integers are also amounts, positions, selectors."""
    if type_ == "pred":
        return np.array([True, False])
    dtype = DTYPES[type_]
    if type_ in FLOATS:
        limits = np.finfo(dtype)
        positive = np.array(
            [0, 1, 0.5, 1.5, 2.5, 1 / 3, 3.7, 100, 2.0**31, 2.0**63, limits.max, limits.tiny,
             limits.tiny / 2, limits.smallest_subnormal, np.inf],
            dtype,
        )  # fmt: skip
        return np.concatenate([positive, -positive, [dtype(np.nan)]])
    top = 1 << 8 * np.dtype(dtype).itemsize - 1
    return np.array(
        [0, 1, 2, 3, 7, 15, 16, 31, 32, 33, 63, 64, 127, 128, 200, 255, 261, 1000, 0x5A5A,
         top // 2 + 5, top - 1, top, top + 1, 2 * top - 7, 2 * top - 1],
        dtype,
    )  # fmt: skip


def operands(type_: str) -> list[np.ndarray]:
    """The four operands of all threads: every pair of values is there."""
    chosen, thread = values(type_), np.arange(THREADS)
    n = len(chosen)
    a, b = thread % n, thread // n % n
    return [chosen[i] for i in (a, b, (7 * a + b) % n, (a + 5 * b) % n)]


GIVEN = {type_: operands(type_) for type_ in TYPES}


def register(type_: str) -> str:
    """The type of the registers that hold values of a type."""
    return {"u8": "u16"}.get(unsigned := re.sub("^[bs]", "u", type_), unsigned)


def given(operand: str, type_: str) -> np.ndarray:
    return GIVEN[register(type_)]["abcd".index(operand)].astype(DTYPES[type_])


# ---- the kernel --------------------------------------------------------------------------------

BEGIN = """
    .reg .b64 %in;
    .reg .b64 %out;
    .reg .b64 %offset;
    .reg .b32 %t;
    .reg .b32 %one;
    ld.param.u64 %in, [in];
    ld.param.u64 %out, [out];
    mov.u32 %t, %tid.x;
    mul.wide.u32 %offset, %t, 8;
    add.s64 %in, %in, %offset;
    add.s64 %out, %out, %offset;
"""
SLOT = 8 * THREADS  # bytes of a row; a value has 8 bytes, of which it may need fewer


def stored(type_: str, name: str, row: int) -> str:
    if type_ == "pred":
        return f"selp.u32 %one, 1, 0, {name};\nst.global.u32 [%out+{row * SLOT}], %one;"
    return f"st.global.{type_} [%out+{row * SLOT}], {name};"


def result_type(opcode: str) -> str:
    name, *flags, type_ = opcode.split(".")
    if name == "cvt":
        return flags[-1]
    return COMPUTATIONS[f"{without_flags(opcode)}.{type_}"][1]


def written(opcode: str, row: int) -> str:
    """An instruction, and the store of its result."""
    name, *_, type_ = opcode.split(".")
    names = "a" if name == "cvt" else MODELS[without_flags(opcode)][0]
    places = []
    for operand, own in re.findall(r"(\w):?(\w*)", names):
        kind = register(type_ if own in ("", "odd") else own)
        places.append(f"%{kind}_{operand}{'_odd' if own == 'odd' else ''}")
    to = result_type(opcode)
    place = f"%{register(to)}_result"
    return f"{opcode} {place}, {', '.join(places)};\n{stored(to, place, row)}"


def kernel() -> str:
    declarations, loads = [], []
    for i, type_ in enumerate(TYPES):
        kind = type_.replace("u", "b")
        for operand in (*"abcd", "result", *(["b_odd"] if type_[0] == "u" else [])):
            declarations.append(f".reg .{kind} %{type_}_{operand};")
        for j, operand in enumerate("abcd"):
            place = f"[%in+{(4 * i + j) * SLOT}]"
            if type_ == "pred":
                loads.append(f"ld.global.u32 %one, {place};\nsetp.ne.u32 %pred_{operand}, %one, 0;")
            else:
                loads.append(f"ld.global.{type_} %{type_}_{operand}, {place};")
        if type_[0] == "u":
            loads.append(f"or.{kind} %{type_}_b_odd, %{type_}_b, 1;")
    body = [written(opcode, row) for row, opcode in enumerate(INSTRUCTIONS)]
    return "\n".join([*declarations, BEGIN, *loads, *body, "ret;"])


@pytest.fixture(scope="module")
def rows(simulator, execute):
    """Instruction -> what it wrote, 8 bytes a thread."""
    launcher = simulator()
    slots = np.zeros((len(TYPES), 4, THREADS), np.uint64)
    for i, type_ in enumerate(TYPES):
        for j, array in enumerate(GIVEN[type_]):
            slots[i, j].view(array.dtype)[:: 8 // array.itemsize] = array
    out = launcher.empty((len(INSTRUCTIONS), THREADS), np.uint64)
    parameters = "const unsigned long long *in, unsigned long long *out"
    execute(kernel(), parameters, launcher.asarray(slots), out, threads=THREADS)
    return dict(zip(INSTRUCTIONS, launcher.to_numpy(out), strict=True))


@pytest.mark.parametrize("opcode", INSTRUCTIONS)
def test_computation(rows, opcode):
    with np.errstate(all="ignore"):
        want = result(opcode, given)
    type_ = result_type(opcode)
    dtype = np.dtype(np.uint32 if type_ == "pred" else DTYPES[type_])
    got = rows[opcode].view(dtype)[:: 8 // dtype.itemsize]
    np.testing.assert_array_equal(got, want)
    if dtype.kind == "f":
        numbers = ~np.isnan(want)
        np.testing.assert_array_equal(np.signbit(got)[numbers], np.signbit(want)[numbers])
