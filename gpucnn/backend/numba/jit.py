"""How functions are compiled, and how arrays are handed to them."""

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
    """Compile what Python calls; it holds no lock of Python's and checks for no division by zero.

    It is kept on disk in a folder of these sources: Numba would look at the function's own file,
    and not at those of what it calls. Where nothing can be written, nothing is kept.
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
    """Whether something compiled from these sources is on disk."""
    return next(_folder().rglob("*.nbi"), None) is not None


@functools.cache
def _folder() -> Path:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()
    return cache_folder("compiled") / digest[:16]


# What only such functions call is compiled into them.
inner = njit(inline="always")


def flat(array: Any, dtype: Any = np.float32) -> Any:
    """The array as compiled code takes it, in 1-D: another layout or type would be compiled anew.

    Read-only arrays are of a type of their own, and Numba takes byte-swapped ones for native.
    """
    flags = array.flags
    if not (flags.c_contiguous and flags.writeable and array.dtype == dtype):
        array = np.require(array, dtype, ("C", "W"))
    return array.reshape(-1)
