"""The instructions of PTX as statements of C++; opcodes.py has those that only compute.

An instruction that is not known is an error, and so is a modifier: nothing is skipped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from gpucnn.backend.simulator.opcodes import COMPUTATIONS
from gpucnn.backend.simulator.ptx import Instruction, unreadable

_FLOATS = ("f32", "f64")
_TYPES = (*_FLOATS, *(f"{kind}{bits}" for kind in "bus" for bits in (8, 16, 32, 64)))
_WHOLE = ("rni", "rzi", "rmi", "rpi")  # roundings to whole numbers: to nearest, to zero, down, up
_UNFLUSHED = ("mov", "selp")  # they have no .ftz
_SATURATING = ("add", "fma", "mul", "sub")

_SPECIAL = {
    f"%{name}.{axis}": f"{variable}.{axis}"
    for name, variable in {
        "tid": "threadIdx", "ntid": "blockDim", "ctaid": "blockIdx", "nctaid": "gridDim"
    }.items()
    for axis in "xyz"
} | {"%laneid": "gpucnn_object.state.lane_number", "%clock64": "clock()"}  # fmt: skip


def cpp_type(type_: str) -> str:
    """The type in ptx.h that a type of PTX stands for."""
    return type_.replace("b", "u")


def cpp_register(name: str) -> str:
    """The variable that holds a register: a C++ name may begin with a dollar."""
    return f"${name.removeprefix('%')}"


class _Unknown(Exception):
    """A part of an instruction that has no translation."""


class Writer:
    """Writes instructions in C++.

    Args:
        registers: name, as in %r1 -> type. It may grow while instructions are written.
    """

    def __init__(self, registers: Mapping[str, str]) -> None:
        self._registers = registers

    def statement(self, instruction: Instruction) -> str:
        """An instruction in C++.

        Raises:
            KernelError: it has no translation.
        """
        try:
            text = self._statement(instruction.opcode.split("."), *instruction.operands)
            if instruction.guard:
                return f"if ({self._value(instruction.guard, 'pred')}) {{ {text} }}"
            return text
        except _Unknown:
            raise unreadable(f"the instruction {instruction}") from None

    def _statement(self, opcode: list[str], *operands: str) -> str:
        match opcode, operands:
            # control, barriers and warps
            case ["bra"] | ["bra", "uni"], [label]:
                return f"goto {label};"
            case ["ret"], []:
                return "return;"
            case ["bar", "sync"], ["0"]:
                return "__syncthreads();"
            case ["bar", "warp", "sync"], [mask]:
                return f"__syncwarp({self._value(mask, 'u32')});"
            case ["shfl", "sync", "up" | "down" | "bfly" | "idx" as mode, "b32"], [to, *given]:
                return self._shuffle(mode, to, given)
            # memory
            case ["ld", "param", type_], [to, address]:
                return self._load([], type_, to, self._address(address))
            case ["ld", "global", "nc", *vector, type_], [to, address]:
                return self._load(vector, type_, to, self._address(address))
            case ["ld", "global" | "shared" as space, *vector, type_], [to, address]:
                return self._load(vector, type_, to, self._address(address, space))
            case ["st", "global" | "shared" as space, *vector, type_], [address, a]:
                return self._store(vector, type_, a, self._address(address, space))
            case ["cp", "async", "ca" | "cg", "shared", "global"], [to, source, size]:
                return self._copy(to, source, size, size)
            case ["cp", "async", "ca" | "cg", "shared", "global"], [to, source, size, valid]:
                return self._copy(to, source, size, valid)
            case ["cp", "async", "commit_group"], []:
                return "simulator::services().commit_copies();"
            case ["cp", "async", "wait_group"], [pending]:
                return f"simulator::services().wait_copies({pending});"
            # moves, conversions, computations
            case ["mov", "b32" | "b64" as type_], [to, a] if "{" in to + a:
                return self._move_halves(type_, to, a)
            case ["cvt", "rna", "tf32", "f32"], [to, a]:
                return self._set(to, "u32", f"simulator::to_tf32({self._value(a, 'f32')})")
            case ["cvt", "rn", "bf16x2", "f32"], [to, high, low]:
                values = f"{self._value(low, 'f32')}, {self._value(high, 'f32')}"
                return self._set(to, "u32", f"simulator::to_bf16_pair({values})")
            case ["cvt", *flags, target, source], [to, a]:
                return self._set(to, target, self._conversion(flags, target, source, a))
            case ["mma", "sync", "aligned", *form], [d, a, b, c]:
                return self._product(".".join(form), d, a, b, c)
            case [name, *flags, type_], [to, *given]:
                return self._computation(name, flags, type_, to, given)
        raise _Unknown

    # ---- operands --------------------------------------------------------------------------

    def _value(self, operand: str, type_: str) -> str:
        """An operand as a value of a type."""
        wanted = cpp_type(type_)
        if operand.startswith("!"):
            return f"!{self._value(operand[1:], type_)}"
        if operand in self._registers:
            same = cpp_type(self._registers[operand]) == wanted
            return cpp_register(operand) if same else f"get<{wanted}>({cpp_register(operand)})"
        if operand in _SPECIAL:
            return f"get<{wanted}>({_SPECIAL[operand]})"
        if re.fullmatch(r"0[fF][\da-fA-F]{8}", operand):
            return f"get<{wanted}>(0x{operand[2:]}u)"
        if re.fullmatch(r"0[dD][\da-fA-F]{16}", operand):
            return f"get<{wanted}>(0x{operand[2:]}ull)"
        if number := re.fullmatch(r"(-?(?:0|[1-9]\d*)|0[xX][\da-fA-F]+)U?", operand):
            return f"{wanted}({int(number[1], 0) & 0xFFFFFFFFFFFFFFFF}ull)"
        if re.fullmatch(r"[A-Za-z_]\w*", operand):  # a variable stands for its address
            return f"get<{wanted}>(address_of({operand}))"
        raise _Unknown

    def _set(self, operand: str, type_: str, value: str) -> str:
        """The statement that writes a value of a type to a register."""
        if operand not in self._registers:
            raise _Unknown
        held, given = cpp_type(self._registers[operand]), cpp_type(type_)
        if given in (held, held.replace("u", "s")):
            return f"{cpp_register(operand)} = {value};"
        return f"set({cpp_register(operand)}, {given}({value}));"

    def _address(self, operand: str, space: str = "global") -> str:
        """[%rd1+8] as a number; of shared memory the register may hold only the lower half."""
        found = re.fullmatch(r"\[(%?\w+)(?:\+(-?\d+))?\]", operand)
        if found is None:
            raise _Unknown
        base = self._value(found[1], self._registers.get(found[1], "u64"))
        if space == "shared":
            base = f"shared_address({base})"
        return f"{base} + {found[2]}" if found[2] else base

    # ---- memory and warps ------------------------------------------------------------------

    def _load(self, vector: Sequence[str], type_: str, to: str, address: str) -> str:
        kind, parts = _access(vector, type_, to)
        if not vector:
            return self._set(to, type_, f"load<{kind}>({address})")
        sets = " ".join(self._set(part, type_, f"all.at[{i}]") for i, part in enumerate(parts))
        return f"{{ const {kind} all = load<{kind}>({address}); {sets} }}"

    def _store(self, vector: Sequence[str], type_: str, a: str, address: str) -> str:
        kind, parts = _access(vector, type_, a)
        values = ", ".join(self._value(part, type_) for part in parts)
        return f"store<{kind}>({address}, {f'{{{{{values}}}}}' if vector else values});"

    def _copy(self, to: str, source: str, size: str, valid: str) -> str:
        places = f"{self._address(to, 'shared')}, {self._address(source)}"
        return f"copy_async({places}, {size}, {self._value(valid, 's32')});"

    def _move_halves(self, type_: str, to: str, a: str) -> str:
        """mov.b64 {%r1,%r2}, %rd1 or mov.b64 %rd1, {%r1,%r2}: first the lower half."""
        whole, half, bits = {"b32": ("u32", "u16", 16), "b64": ("u64", "u32", 32)}[type_]
        if to.startswith("{"):
            low, high = _parts(to, 2)
            return (
                f"{{ const {whole} whole = {self._value(a, type_)}; "
                f"{self._set(low, half, f'{half}(whole)')} "
                f"{self._set(high, half, f'{half}(whole >> {bits})')} }}"
            )
        low, high = (f"{whole}({self._value(part, half)})" for part in _parts(a, 2))
        return self._set(to, type_, f"{high} << {bits} | {low}")

    def _shuffle(self, mode: str, to: str, given: list[str]) -> str:
        """To %r1|%p1: the value, and whether the lane that it comes from is in the segment."""
        value, _, inside = to.partition("|")
        if len(given) != 4 or self._registers.get(inside) != "pred":
            raise _Unknown
        values = ", ".join(self._value(operand, "u32") for operand in given)
        return self._set(value, "u32", f"shfl_{mode}({values}, {cpp_register(inside)})")

    # ---- computations ----------------------------------------------------------------------

    def _computation(
        self, name: str, flags: list[str], type_: str, to: str, given: list[str]
    ) -> str:
        """An instruction of `COMPUTATIONS`; .ftz flushes its float32 operands and its result."""
        ftz = "ftz" in flags and type_ == "f32" and name not in _UNFLUSHED
        sat = "sat" in flags and type_ == "f32" and name in _SATURATING
        key = ".".join((name, *_without(flags, ftz=ftz, sat=sat), type_))
        expression, result = COMPUTATIONS.get(key, ("", ""))
        if len(set(re.findall(r"\{(\w)", expression))) != len(given):
            raise _Unknown

        def operand(place: re.Match[str]) -> str:
            wanted = place[2].replace("bits", f"u{type_[1:]}") or type_
            value = self._value(given["abcd".index(place[1])], wanted)
            return _flushed(value, ftz and wanted == "f32")

        value = re.sub(r"\{(\w):?(\w*)\}", operand, expression)
        value = f"sat({value})" if sat else value
        return self._set(to, result, _flushed(value, ftz and result == "f32"))

    def _conversion(self, flags: list[str], target: str, source: str, a: str) -> str:
        """The value of a cvt."""
        if source not in _TYPES or target not in _TYPES:
            raise _Unknown
        ftz, sat = "ftz" in flags and "f32" in (target, source), "sat" in flags and target == "f32"
        value = _flushed(self._value(a, source), ftz and source == "f32")
        match source in _FLOATS, target in _FLOATS, _without(flags, ftz=ftz, sat=sat):
            case True, False, [mode] if mode in _WHOLE:
                value = f"to_integer<{cpp_type(target)}>({mode}({value}))"
            case True, True, [mode] if mode in _WHOLE and source == target:
                value = f"{mode}({value})"
            case True, True, [] if source == target or target == "f64":
                value = f"{target}({value})"
            case True, True, ["rn"] if (target, source) == _FLOATS:
                value = f"f32({value})"
            case False, True, ["rn"]:
                value = f"{target}({value})"
            case False, False, []:
                pass
            case _:
                raise _Unknown
        value = f"sat({value})" if sat else value
        return _flushed(value, ftz and target == "f32")

    def _product(self, form: str, d: str, a: str, b: str, c: str) -> str:
        """d = a * b + c, matrices that a warp holds."""
        numbers = {
            "m16n8k8.row.col.f32.tf32.tf32.f32": "simulator::Tf32",
            "m16n8k16.row.col.f32.bf16.bf16.f32": "simulator::Bf16",
        }.get(form)
        if numbers is None:
            raise _Unknown

        def fragment(name: str, type_: str, operand: str, count: int) -> str:
            values = ", ".join(self._value(part, type_) for part in _parts(operand, count))
            return f"{type_} {name}[] = {{{values}}};"

        given = [("a", "u32", a, 4), ("b", "u32", b, 2), ("sums", "f32", c, 4)]
        sets = (self._set(part, "f32", f"sums[{i}]") for i, part in enumerate(_parts(d, 4)))
        lines = (*(fragment(*each) for each in given), f"mma<{numbers}>(sums, a, b);", *sets)
        return f"{{ {' '.join(lines)} }}"


def _access(vector: Sequence[str], type_: str, operand: str) -> tuple[str, list[str]]:
    """What an access reads or writes: its type in C++, and the registers."""
    match vector:
        case [] if type_ in _TYPES:
            return cpp_type(type_), [operand]
        case ["v2" | "v4" as name] if type_ in _TYPES:
            count = int(name[1])
            return f"Vector<{cpp_type(type_)}, {count}>", _parts(operand, count)
    raise _Unknown


def _parts(operand: str, count: int) -> list[str]:
    """{%r1, %r2} as a list."""
    parts = [part.strip() for part in operand.strip("{}").split(",")]
    if len(parts) != count:
        raise _Unknown
    return parts


def _without(flags: list[str], **known: bool) -> list[str]:
    """The modifiers without those that are known."""
    return [flag for flag in flags if not known.get(flag)]


def _flushed(value: str, ftz: bool) -> str:
    return f"ftz({value})" if ftz else value
