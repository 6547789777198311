"""What CUDA does not let a launch do. A GPU refuses it, or gives results that are undefined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpucnn.backend.cuda.launcher import Dim3
from gpucnn.backend.cuda.sources import Parameter
from gpucnn.backend.simulator.resources import Need
from gpucnn.errors import KernelError

# CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
_MAX_THREADS = 1024
_MAX_DEPTH = 64  # of a block along z
_WARP = 32
# cuda_occupancy.h of CUDA 13.0.
_REGISTERS = 65536  # of a multiprocessor
_PARTITIONS = 4  # of a multiprocessor; a warp's registers lie in one
_REGISTER_UNIT = 256  # registers are given to a warp in units of so many
# KiB of shared memory of a block, by architecture.
_SHARED = {70: 96, 75: 64, 80: 163, 86: 99, 87: 163, 89: 99, 90: 227, 100: 227, 120: 99}


def check_block(block: Dim3, most: int) -> None:
    """A block has at most `most` threads, which its kernel says by __launch_bounds__."""
    x, y, z = block
    if min(block) < 1 or x * y * z > _MAX_THREADS or z > _MAX_DEPTH:
        raise KernelError(
            f"a block of {block} threads",
            cause=f"a GPU takes 1 to {_MAX_THREADS}, and at most {_MAX_DEPTH} along z",
            fix="use a smaller block",
        )
    if x * y * z > most:
        raise KernelError(
            f"a block of {block} threads",
            cause=f"the kernel has __launch_bounds__({most}): its registers suffice for no more",
            fix="use a smaller block, or correct the bounds",
        )


def check_shared(dynamic: int, need: Need | None, architecture: int) -> None:
    """A block has so many bytes of shared memory; an unknown architecture has all.

    Args:
        dynamic: bytes that the launch asks for.
        need: of the kernel, whose own shared memory is added; None if it is not known.
    """
    limit = _SHARED.get(architecture)
    static = need.shared if need else 0
    if limit is not None and static + dynamic > limit << 10:
        raise KernelError(
            f"{dynamic} bytes of dynamic shared memory a block"
            + f" and {static} of the kernel's own" * bool(static),
            cause=f"compute capability {architecture // 10}.{architecture % 10} has {limit} KiB",
            fix="use smaller tiles",
        )


def check_registers(block: Dim3, need: Need | None) -> None:
    """One block's registers are there; those of a kernel that is not known are not checked."""
    x, y, z = block
    if need is not None and -(-x * y * z // _WARP) > warps_of(need.registers):
        raise KernelError(
            f"a block of {block} threads with {need.registers} registers each",
            cause=f"a multiprocessor has {_REGISTERS:,} registers",
            fix="use a smaller block, or declare it by __launch_bounds__, "
            "so that the compiler uses fewer registers",
        )


def warps_of(registers: int) -> int:
    """How many warps the registers of a multiprocessor suffice for, with so many a thread."""
    units = -(-max(registers, 1) * _WARP // _REGISTER_UNIT)
    return _REGISTERS // _PARTITIONS // (units * _REGISTER_UNIT) * _PARTITIONS


def check_overlap(parameters: Sequence[Parameter], values: Sequence[Any]) -> None:
    """No array that the kernel may write overlaps one that it reads by const __restrict__.

    A GPU reads those through a cache that does not see writes.
    """
    read: list[tuple[str, int, int]] = []  # name, address, end
    written: list[tuple[str, int, int]] = []
    for parameter, array in zip(parameters, values, strict=True):
        if not parameter.is_pointer or array is None or array.size == 0:
            continue
        begin = array.ctypes.data
        if not parameter.is_const:
            written.append((parameter.name, begin, begin + array.nbytes))
        elif parameter.is_restrict:
            read.append((parameter.name, begin, begin + array.nbytes))
    for output, begin, end in written:
        for name, first, last in read:
            if begin < last and first < end:
                raise KernelError(
                    f"{output} overlaps {name}",
                    cause=f"the kernel declares {name} as const __restrict__: nothing may write it",
                    fix="give it another array for its output",
                )
