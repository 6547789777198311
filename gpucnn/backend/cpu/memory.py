"""Memory of the host: what this process holds, and what it may still have."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gpucnn.errors import OutOfMemoryError

_PROC = Path("/proc")
_CONTAINER = Path("/sys/fs/cgroup")  # the limits of a container


class Usage(NamedTuple):
    """Bytes of the host.

    Attributes:
        held: by this process.
        free: that it may still have, without swapping.
        total: of the machine; or the limit of its container, of ``ulimit -d`` or of ``ulimit -v``,
            if that leaves less.
    """

    held: int
    free: int
    total: int


def out_of_memory(error: MemoryError) -> OutOfMemoryError:
    """A MemoryError of NumPy or Numba as ours, unless it is."""
    if isinstance(error, OutOfMemoryError):
        return error
    shape, dtype = getattr(error, "shape", None), getattr(error, "dtype", None)  # of NumPy's
    asked, what = 0, "an array"
    if shape is not None and dtype is not None:
        asked, what = math.prod(shape) * np.dtype(dtype).itemsize, f"an array of {tuple(shape)}"
    return no_room(what, asked)


def no_room(what: str, asked: int) -> OutOfMemoryError:
    """The error for a thing of `asked` bytes, of which 0 says that they are not known."""
    found = usage() or Usage(0, 0, 0)
    return OutOfMemoryError(
        f"{what} does not fit into memory", asked=asked, on_host=True, **found._asdict()
    )


def usage() -> Usage | None:
    """The memory that is in use; None where the system does not say."""
    process, machine = _read(_PROC / "self" / "status"), _read(_PROC / "meminfo")
    known = [*_in_container(), *_in_limits(process)]
    if "MemAvailable" in machine:
        known.append((machine["MemAvailable"], machine["MemTotal"]))
    return Usage(process.get("RssAnon", 0), *min(known)) if known else None


def _in_container() -> list[tuple[int, int]]:
    """The bytes that a container has left, and its limit; none without a limit."""
    try:
        limit = int((_CONTAINER / "memory.max").read_text())
        used = int((_CONTAINER / "memory.current").read_text())
        pages = (_CONTAINER / "memory.stat").read_text().split()
    except (OSError, ValueError):  # there is no container, or its limit is "max"
        return []
    cached = dict(zip(pages[::2], pages[1::2], strict=False)).get("inactive_file", "0")
    return [(max(0, limit - used + int(cached)), limit)]  # the kernel gives up cached files first


def _in_limits(process: dict[str, int]) -> list[tuple[int, int]]:
    """The bytes that the limits of a process leave, and these limits."""
    found = []
    with suppress(ImportError):
        import resource

        for kind, used in ((resource.RLIMIT_DATA, "VmData"), (resource.RLIMIT_AS, "VmSize")):
            limit = resource.getrlimit(kind)[0]
            if limit != resource.RLIM_INFINITY and used in process:
                found.append((max(0, limit - process[used]), limit))
    return found


def _read(file: Path) -> dict[str, int]:
    """The bytes in a file of /proc by their names; empty on other systems than Linux."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return {}
    fields = (line.split() for line in lines if line.endswith(" kB"))
    return {name.rstrip(":"): 1024 * int(size) for name, size, _ in fields}
