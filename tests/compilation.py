"""Compiling kernels for an architecture with no GPU and no driver, and what a kernel then needs.

NVRTC alone does it; ptxas reports registers, shared memory and spills in the program's log.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gpucnn.backend.cuda import nvrtc
from gpucnn.backend.simulator.limits import warps_of
from gpucnn.backend.simulator.translation import translate
from gpucnn.errors import KernelError

_WARP = 32


class Resources(NamedTuple):
    """What one kernel needs on one architecture."""

    registers: int  # of a thread
    shared: int  # bytes a block, static
    stack: int  # bytes a thread: local arrays that are indexed by a variable
    spill_stores: int  # bytes a thread
    spill_loads: int  # bytes a thread


class _Limits(NamedTuple):
    """Of a multiprocessor."""

    warps: int
    blocks: int
    shared: int  # KiB
    shared_unit: int  # bytes that shared memory is given to a block in
    shared_system: int  # bytes a block that the system keeps for itself


# CUDA C++ Programming Guide, "Technical specifications per compute capability"; the last two
# columns: cuda_occupancy.h of CUDA 13.0.
_LIMITS = {
    70: _Limits(64, 32, 96, 256, 0),
    75: _Limits(32, 16, 64, 256, 0),
    80: _Limits(64, 32, 164, 128, 1024),
    86: _Limits(48, 16, 100, 128, 1024),
    89: _Limits(48, 24, 100, 128, 1024),
    90: _Limits(64, 32, 228, 128, 1024),
    100: _Limits(64, 32, 228, 128, 1024),
    120: _Limits(48, 24, 100, 128, 1024),
}
ARCHITECTURES = tuple(_LIMITS)  # compute capabilities that kernels are compiled for, 90 for 9.0


def compile_for(text: str, architecture: int) -> dict[str, Resources]:
    """Compiles a kernel's text as `CupyLauncher` does; the resources of each kernel in it by name.

    Args:
        text: CUDA C++ with its includes put in, as `Launcher.text` gives it.
        architecture: 90 for compute capability 9.0.

    Raises:
        MissingExtraError: there is no NVRTC.
        UsageError: NVRTC does not know the architecture.
        KernelError: the text does not compile; the cause names the line.
    """
    return parse_log(_compile(text, architecture).log)


def compile_and_translate(text: str, architecture: int) -> dict[str, Resources]:
    """The same for a text with one kernel, whose PTX the simulator must be able to execute.

    Raises:
        KernelError: as `compile_for`, or the PTX has something that has no translation.
    """
    made = _compile(text, architecture)
    try:
        translate(made.ptx)
    except KernelError as error:
        error.message = f"sm_{architecture} {error.message}"
        raise
    return parse_log(made.log)


def _compile(text: str, architecture: int) -> nvrtc.Compiled:
    return nvrtc.compile(text, ("--ptxas-options=-v",), f"sm_{architecture}")


def parse_log(log: str) -> dict[str, Resources]:
    """The resources of each kernel from what ``ptxas -v`` says."""
    found = {}
    for part in log.split("Compiling entry function ")[1:]:
        name = part.split("'")[1]
        numbers = (
            re.search(rf"(\d+) {word}", part)
            for word in (
                "registers",
                "bytes smem",
                "bytes stack frame",
                "bytes spill stores",
                "bytes spill loads",
            )
        )
        found[name] = Resources(*(int(number[1]) if number else 0 for number in numbers))
    return found


def occupancy(registers: int, shared: int, threads: int, architecture: int) -> float:
    """The fraction of a multiprocessor's warps that can be resident, in [0, 1].

    Args:
        registers: of a thread.
        shared: bytes a block, static and dynamic.
        threads: of a block.
        architecture: one of `ARCHITECTURES`.
    """
    limits = _LIMITS[architecture]
    warps = -(-threads // _WARP)
    shared_a_block = _round_up(shared + limits.shared_system, limits.shared_unit)
    blocks = min(
        limits.blocks,
        limits.warps // warps,
        warps_of(registers) // warps,
        limits.shared * 1024 // max(shared_a_block, 1),
    )
    return blocks * warps / limits.warps


def _round_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit
