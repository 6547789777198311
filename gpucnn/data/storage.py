"""Arrays that may be larger than memory: those of more than `large()` bytes are mapped from a file.

A mapped array is an ordinary array. The system reads the pages that are in use from the file, and
drops them where memory gets scarce. It is read-only.
"""

from __future__ import annotations

import errno
import functools
import math
import mmap
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backend import cache_directory
from gpucnn.backend.cpu.memory import no_room, usage
from gpucnn.errors import GpucnnWarning, cause_of
from gpucnn.quoting import quoted

_LEAST = 64 * 10**6  # bytes; smaller arrays never are in a file
_USUAL = 256 * 10**6  # bytes, where the memory is not known
_FRACTION = 1 / 8  # of the memory; a few arrays of this size fit into it
CHUNK = 4 * 2**20  # bytes of an array that are worked on at a time
FOLDER = "images"  # of the cache

Content = bytes | bytearray | mmap.mmap
Test = Callable[[NDArray[Any]], NDArray[np.bool_]]  # of each element


@functools.cache
def large() -> int:
    """The most bytes of an array in memory: an eighth of all, or `_LEAST` if that is more."""
    found = usage()
    return max(_LEAST, int(_FRACTION * found.total)) if found else _USUAL


def map_file(file: IO[bytes]) -> mmap.mmap:
    """The bytes of an open file. If it is cut short later, to read them ends the process.

    Raises:
        OutOfMemoryError: the limit of ``ulimit -v`` is too low for it.
    """
    try:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        if error.errno == errno.ENOMEM:
            size = os.fstat(file.fileno()).st_size
            raise no_room(f"a file of {size:,} bytes", size) from error
        raise


class Spool:
    """Bytes that are added one after the other: in memory up to `large()`, then in a file.

    The file lies in the cache and has no name, so the system deletes it after the last use, also
    that of a process that was killed. If it cannot be written, the bytes are in memory, and a
    `GpucnnWarning` says so.

    Args:
        size: the number of bytes that will be added, if it is known.
    """

    def __init__(self, size: int = 0) -> None:
        self._size = size
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._count = 0  # bytes in the file
        self._may_move = True

    def add(self, data: bytes | NDArray[Any]) -> None:
        """Add bytes, or the values of an array in their order."""
        view = as_bytes(data) if isinstance(data, np.ndarray) else memoryview(data)
        try:
            if self._may_move and max(self._size, len(self._memory) + len(view)) > large():
                self._move()
            if self._file is not None:
                self._write(view)
                return
        except OSError as error:
            self._return(error)
        self._memory += view

    def content(self) -> Content:
        """All bytes that were added."""
        return self._memory if self._file is None else map_file(self._file)

    def array(self, shape: Sequence[int], dtype: Any) -> NDArray[Any]:
        """The bytes as an array of this shape."""
        return np.frombuffer(self.content(), dtype).reshape(shape)

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()  # what is mapped stays

    def _move(self) -> None:
        """Go on in a file."""
        self._may_move = False
        folder = cache_directory.cache_folder(FOLDER)
        cache_directory.make(folder)
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        self._write(memoryview(self._memory))
        self._memory = bytearray()

    def _write(self, view: memoryview) -> None:
        assert self._file is not None
        written = 0
        while written < len(view):  # a call writes 2 GiB at most
            written += self._file.write(view[written:])
        self._count += len(view)

    def _return(self, error: OSError) -> None:
        """Go on in memory."""
        warnings.warn(
            "large images are held in memory: no file can be written in"
            f" {quoted(cache_directory.cache_folder(FOLDER))} ({cause_of(error)})\n"
            "fix: free some space there, or set GPUCNN_CACHE_DIR to a folder on another disk",
            GpucnnWarning,
            stacklevel=2,
        )
        if self._count:  # otherwise they still are there
            self._memory = bytearray(self.content())
            del self._memory[self._count :]  # of a piece that was written in part
        if self._file is not None:
            self._file.close()
            self._file = None


def as_bytes(array: NDArray[Any]) -> memoryview:
    """The bytes of an array's values in C order; no copy where it is contiguous."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def size_of(shape: Sequence[int], dtype: Any) -> int:
    """The bytes of an array."""
    return math.prod(shape) * np.dtype(dtype).itemsize


def chunks(array: NDArray[Any]) -> Iterator[slice]:
    """Slices of the first axis, of `CHUNK` bytes each or of one element."""
    return _slices(array.shape, array.itemsize)


def pieces(array: NDArray[Any]) -> Iterator[tuple[slice, ...]]:
    """Indices of parts of `CHUNK` bytes at most: one after the other they are the array.

    An element of the first axis that is larger is cut, too.
    """
    return _cut(array.shape, array.itemsize)


def _cut(shape: tuple[int, ...], itemsize: int) -> Iterator[tuple[slice, ...]]:
    if len(shape) == 1 or math.prod(shape[1:]) * itemsize <= CHUNK:
        yield from zip(_slices(shape, itemsize))
        return
    for k in range(shape[0]):
        for rest in _cut(shape[1:], itemsize):
            yield (slice(k, k + 1), *rest)


def _slices(shape: tuple[int, ...], itemsize: int) -> Iterator[slice]:
    step = max(1, CHUNK // max(1, math.prod(shape[1:]) * itemsize))
    return (slice(k, min(k + step, shape[0])) for k in range(0, shape[0], step))


def first(array: NDArray[Any], test: Test) -> tuple[int, ...] | None:
    """The place of the first element that a test is true of; None if there is none."""
    for piece in pieces(array):
        found = test(array[piece])
        if found.any():
            place = np.unravel_index(int(found.argmax()), found.shape)
            starts = [part.start for part in piece] + [0] * (found.ndim - len(piece))
            return tuple(start + int(k) for start, k in zip(starts, place, strict=True))
    return None


def count(array: NDArray[Any], test: Test) -> int:
    """The number of elements that a test is true of."""
    return sum(int(np.count_nonzero(test(array[piece]))) for piece in pieces(array))


def stored(parts: Iterable[NDArray[Any]], shape: Sequence[int], dtype: Any) -> NDArray[Any]:
    """Arrays of this dtype, one after the other, as one array of this shape."""
    spool = Spool(size_of(shape, dtype))
    for part in parts:
        spool.add(part)
    return spool.array(shape, dtype)


def convert(
    array: NDArray[Any], function: Callable[[NDArray[Any]], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """`function` of an array, which works on each number alone."""
    return stored((function(array[piece]) for piece in pieces(array)), array.shape, np.uint8)


def take(array: NDArray[Any], indices: Any) -> NDArray[Any]:
    """`array[indices]` for a slice, places (N,) or a mask of the first axis."""
    if isinstance(indices, slice):
        return array[indices]
    places = np.asarray(indices)
    if places.dtype == np.bool_ and places.shape == (len(array),):
        places = np.flatnonzero(places)
    shape = (*places.shape, *array.shape[1:])
    if places.ndim != 1 or size_of(shape, array.dtype) <= large():
        return array[indices]
    parts = (array[places[chunk]] for chunk in _slices(shape, array.itemsize))
    return stored(parts, shape, array.dtype)


def concatenate(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """`numpy.concatenate` of arrays of one dtype, along the first axis."""
    if sum(array.nbytes for array in arrays) <= large():
        return np.concatenate(arrays)
    shape = (sum(map(len, arrays)), *arrays[0].shape[1:])
    parts = (array[piece] for array in arrays for piece in pieces(array))
    return stored(parts, shape, arrays[0].dtype)


def contiguous(array: NDArray[Any]) -> NDArray[Any]:
    """`numpy.ascontiguousarray`."""
    if array.flags.c_contiguous or array.nbytes <= large():
        return np.ascontiguousarray(array)
    return stored((array[piece] for piece in pieces(array)), array.shape, array.dtype)
