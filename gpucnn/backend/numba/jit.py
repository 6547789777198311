"""How functions are compiled, and in which form arrays are passed to them."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import njit
from numba.core import caching

from gpucnn.backend.cache_directory import is_whole, private_folder, write
from gpucnn.errors import StorageError


def entry(function: Any) -> Any:
    """Compile a function that Python calls; it releases the GIL and checks no division by zero.

    The compiled code is cached on disk, in a folder named by a hash of all sources of this package:
    Numba's own check covers the file of the function, but not those of the functions it calls.
    Where no folder can be written to, the code is compiled in each process.
    """
    compiled: Any = njit(nogil=True, error_model="numpy")(function)
    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, str(_folder())
    try:
        compiled._cache = _Cache(function)  # as cache=True does, with Numba's class
    except RuntimeError:  # it can write nothing there
        pass
    finally:
        config.CACHE_DIR = before
    return compiled


class _Files(caching.IndexDataCacheFile):
    """Numba's two files of a function, with digests: to unpickle a damaged one is not safe."""

    def _load_index(self):
        return super()._load_index() if is_whole(Path(self._index_path)) else {}

    def _load_data(self, name):
        path = self._data_path(name)
        if not is_whole(Path(path)):
            raise FileNotFoundError(path)  # Numba then compiles the function
        return super()._load_data(name)

    @contextlib.contextmanager
    def _open_for_write(self, filepath):
        content = io.BytesIO()
        yield content
        with contextlib.suppress(StorageError):  # the function is compiled, and can be called
            write(Path(filepath), [content.getvalue()])


class _Place(caching.CompileResultCacheImpl):
    """In $NUMBA_CACHE_DIR, which is first in Numba's list, and nowhere else."""

    _locator_classes = caching.CompileResultCacheImpl._locator_classes[:1]


class _Cache(caching.FunctionCache):
    _impl_class = _Place

    def __init__(self, function):
        super().__init__(function)
        place = self._impl
        stamp = place.locator.get_source_stamp()
        self._cache_file = _Files(self._cache_path, place.filename_base, stamp)


def is_compiled() -> bool:
    """Whether code compiled from these sources is on disk."""
    return next(_folder().rglob("*.nbi"), None) is not None


@functools.cache
def _folder() -> Path:
    sources = sorted(Path(__file__).parent.rglob("*.py"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()
    return private_folder(f"compiled/{digest[:16]}")


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
