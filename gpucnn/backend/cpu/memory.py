"""Memory of the host: what this process holds, and what it may still have."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path

import numpy as np

from gpucnn.errors import OutOfMemoryError

_PROC = Path("/proc")


def out_of_memory(error: MemoryError) -> OutOfMemoryError:
    """A MemoryError of NumPy or Numba as ours, unless it is."""
    if isinstance(error, OutOfMemoryError):
        return error
    shape, dtype = getattr(error, "shape", None), getattr(error, "dtype", None)  # of NumPy's
    asked, what = 0, "an array"
    if shape is not None and dtype is not None:
        asked, what = math.prod(shape) * np.dtype(dtype).itemsize, f"an array of {tuple(shape)}"
    held, free, total = usage()
    message = f"{what} does not fit into memory"
    return OutOfMemoryError(message, asked=asked, held=held, free=free, total=total, on_host=True)


def usage() -> tuple[int, int, int]:
    """The bytes that this process holds, those that it may still have, and those of all.

    They are those of the machine, or of the limit by ``ulimit -d`` or ``ulimit -v`` if less is
    left of that; 0 where the system does not say.
    """
    process, machine = _read("self/status"), _read("meminfo")
    held, total = process.get("RssAnon", 0), machine.get("MemTotal", 0)
    known = [(machine.get("MemAvailable", 0), total)]
    with suppress(ImportError, OSError):
        import resource

        for limit, used in ((resource.RLIMIT_DATA, "VmData"), (resource.RLIMIT_AS, "VmSize")):
            most = resource.getrlimit(limit)[0]
            if most != resource.RLIM_INFINITY and used in process:
                known.append((max(0, most - process[used]), most))
    return held, *min(known)


def _read(name: str) -> dict[str, int]:
    """The bytes in a file of /proc by their names; empty on other systems than Linux."""
    try:
        lines = (_PROC / name).read_text().splitlines()
    except OSError:
        return {}
    fields = (line.split() for line in lines if line.endswith(" kB"))
    return {name.rstrip(":"): 1024 * int(size) for name, size, _ in fields}
