"""How functions are compiled, and in which form arrays are passed to them."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import njit

from gpucnn.backend.cache_directory import cache_folder


def entry(function: Any) -> Any:
    """Compile a function that Python calls; it releases the GIL and checks no division by zero.

    The compiled code is cached on disk, in a folder named by a hash of all sources of this package:
    Numba's own check covers the file of the function, but not those of the functions it calls.
    Where no folder can be written to, the code is compiled in each process.
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


def is_compiled() -> bool:
    """Whether code compiled from these sources is on disk."""
    return next(_folder().rglob("*.nbi"), None) is not None


@functools.cache
def _folder() -> Path:
    sources = sorted(Path(__file__).parent.rglob("*.py"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()
    return cache_folder("compiled") / digest[:16]


# For functions that only compiled functions call: they are compiled into the caller.
inner = njit(inline="always")


def flat(array: Any, dtype: Any = np.float32) -> Any:
    """The array in 1-D, C-contiguous, writeable and of the dtype: a copy if it is not.

    Numba would compile a function anew for each other layout or dtype, and for read-only arrays. It
    would read byte-swapped numbers as native ones.
    """
    flags = array.flags
    if not (flags.c_contiguous and flags.writeable and array.dtype == dtype):
        array = np.require(array, dtype, ("C", "W"))
    return array.reshape(-1)
