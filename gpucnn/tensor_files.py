"""Reading safetensors files that others made.

The package safetensors checks the header: arrays lie in the file one after the other, as large as
their shapes say, and nothing else does. It is asked only then, because a header may take 50 times
its bytes of memory. The arrays are read here: the package maps the file into memory beside them.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray

from gpucnn import files
from gpucnn.quoting import quoted

# Of a header, unless the user sets another limit. An array counts 7 values and one for each axis.
_LONGEST = 10_000_000  # bytes
_LONGEST_OF_PACKAGE = 100_000_000
_MOST_VALUES = 350_000
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1", "C64": "<c8",
}  # fmt: skip


def read(path: str | os.PathLike[str]) -> tuple[dict[str, NDArray[np.generic]], dict[str, str]]:
    """(arrays, metadata) of a file.

    Raises:
        OSError: it cannot be opened, is no regular file, or is too large; see `gpucnn.files`.
        ValueError: it is no such file, or is cut short.
        TypeError: an array is of a type that NumPy does not have.
    """
    with _opened(path) as (file, header):
        begin, arrays = file.tell(), {}
        metadata = header.pop("__metadata__", None) or {}
        for name, about in header.items():
            file.seek(begin + about["data_offsets"][0])
            arrays[name] = _read_array(file, about["shape"], about["dtype"])
    return arrays, metadata


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata of a file, which is as long as its header says; errors as of `read`."""
    with _opened(path) as (_, header):
        metadata: dict[str, str] = header.get("__metadata__") or {}
        return metadata


def _read_array(file: BufferedReader, shape: list[int], kind: str) -> NDArray[np.generic]:
    if kind not in _DTYPES:
        name = kind.lower().replace("f", "float", 1)  # BF16, F8_E4M3
        raise TypeError(f"an array is of the type {quoted(name)}")
    array = np.empty(shape, _DTYPES[kind])
    if file.readinto(array.reshape(-1).view(np.uint8).data) < array.nbytes:
        raise OSError(errno.EIO, "it became shorter while it was read")
    return array


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[BufferedReader, dict[str, Any]]]:
    """A file, at its first array, and its header, checked."""
    with files.open_regular(path) as file:
        header = _header(file)
        try:
            with safetensors.safe_open(path, framework="numpy"):
                pass
        except safetensors.SafetensorError as error:
            raise ValueError(str(error)) from error
        except FileNotFoundError as error:  # of the package, whatever the reason is: it is there
            raise OSError(errno.EIO, "the package safetensors cannot open it") from error
        yield file, json.loads(header)


def _header(file: BufferedReader) -> bytes:
    """The header of a file; an OSError if it is too large. It is not checked otherwise."""
    length = int.from_bytes(file.read(8), "little")
    if length > os.fstat(file.fileno()).st_size:  # the package says what is wrong
        return b""
    header = file.read(min(length, _LONGEST_OF_PACKAGE))
    values = sum(map(header.count, (b",", b"{", b"[")))
    for found, most, what in ((length, _LONGEST, "bytes"), (values, _MOST_VALUES, "values")):
        if found > most and not files.limit_by_user():
            raise OSError(
                errno.EFBIG,
                f"its header has more than {most:,} {what}, and {files.VARIABLE} is not set",
            )
    return header
