"""Opening files that others made: regular files only, and never more bytes than a limit.

A FIFO would wait for ever and a device never end. What is refused is an OSError, as for a file that
is missing: its `strerror` says why, and a reader adds the name and what to do.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

from gpucnn.errors import UsageError
from gpucnn.quoting import quoted

#: The variable of the environment that sets the limit. It is no option of a reader: those are
#: stored with a run, and a run that somebody else made must not raise it.
VARIABLE = "GPUCNN_MAX_INPUT_MB"
_DEFAULT = 4096 * 10**6  # bytes

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def limit() -> int:
    """The most bytes that a file may have, also when it is unpacked: 4096 MB by default.

    Raises:
        UsageError: as `limit_by_user`.
    """
    return limit_by_user() or _DEFAULT


def limit_by_user() -> int | None:
    """The limit in ``$GPUCNN_MAX_INPUT_MB``, in bytes; None if it is not set.

    Raises:
        UsageError: it is no whole number above 0.
    """
    text = os.environ.get("GPUCNN_MAX_INPUT_MB")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 12 and int(text)):
        raise UsageError(
            f"the environment variable {VARIABLE} is {quoted(repr(text))}",
            cause="it must be a whole number of megabytes above 0",
            fix=f"unset {VARIABLE}, or give a number such as 8000",
        )
    return int(text) * 10**6


def too_large(most: int) -> OSError:
    """The error for a file of more than `most` bytes."""
    return OSError(errno.EFBIG, f"it has more than {most:,} bytes; {VARIABLE} sets the limit")


def check_regular(path: str | os.PathLike[str]) -> None:
    """Raise an OSError if a path is no regular file, for a reader that opens it itself."""
    try:
        found = os.stat(path)
    except ValueError as error:  # no file can have this name
        raise OSError(errno.EINVAL, str(error)) from error
    _refuse(found, path)


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """A regular file, to be read; without waiting.

    Raises:
        OSError: it cannot be opened, is no regular file, or is larger than `limit`.
    """
    check_regular(path)  # to open some devices has effects
    # Another file may be there by now: a FIFO does not wait if it is opened so.
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        found = os.fstat(file)
        _refuse(found, path)
        if found.st_size > limit():
            raise too_large(limit())
        return os.fdopen(file, "rb")
    except BaseException:
        os.close(file)
        raise


def read(path: str | os.PathLike[str], most: int | None = None) -> bytes:
    """The bytes of a regular file, at most `most`; otherwise an OSError as of `open_regular`."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if most is not None and size > most:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes, where {most:,} are read at most")
        content = file.read(size + 1)  # a file of /proc has more than its size says
    if len(content) > size:
        raise OSError(errno.EFBIG, f"it has more bytes than its size of {size:,}")
    return content


def read_text(path: str | os.PathLike[str], most: int | None = None) -> str:
    """The text of a regular file, in UTF-8; a ValueError if it is none."""
    return read(path, most).decode()


def _refuse(found: os.stat_result, path: str | os.PathLike[str]) -> None:
    if not stat.S_ISREG(found.st_mode):
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(Path(path)))
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "no file")
        raise OSError(errno.EINVAL, f"it is {kind}, and only regular files are read", str(path))
