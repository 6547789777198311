"""Where compiled code is kept from one process to the next, and in which form.

Code that is loaded from a folder runs with the rights of this user, so nobody else may be able to
put any there: `private_folder` refuses such a folder. A file ends with a digest of its content, so
a damaged one is compiled again, never loaded.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import stat
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import platformdirs

from gpucnn import files
from gpucnn.errors import GpucnnWarning, cause_of
from gpucnn.quoting import quoted
from gpucnn.writing import remove_folder, write_atomic

DIGEST_BYTES = hashlib.sha256().digest_size
_PIECE = 1 << 20  # bytes
_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def cache_folder(kind: str) -> Path:
    """A folder below $GPUCNN_CACHE_DIR, or below the user's cache; it may not be there yet.

    A leading ``~`` of $GPUCNN_CACHE_DIR is the home folder, a relative path is below the current
    directory, and an empty value is as if unset. A relative $XDG_CACHE_HOME is ignored, as the XDG
    specification says. Without a home folder the path is not absolute.
    """
    if given := os.environ.get("GPUCNN_CACHE_DIR"):
        path = os.path.expanduser(given)
        root = Path(path if path.startswith("~") else os.path.abspath(path))
    else:
        root = Path(platformdirs.user_cache_dir("gpucnn", appauthor=False))
        if not root.is_absolute():
            root = Path(os.path.expanduser("~/.cache/gpucnn"))
    return root / kind


def private_folder(kind: str) -> Path:
    """`cache_folder`, made with mode 0700 where it was missing.

    If it cannot be made, or another user could write into it, it is a temporary folder of this
    process, with a `GpucnnWarning`.
    """
    folder = cache_folder(kind)
    problem = make_private(folder)
    if problem is None:
        return folder.resolve()
    warnings.warn(
        f"compiled code is not kept in {quoted(folder)}: {problem}. This process compiles anew\n"
        "fix: set GPUCNN_CACHE_DIR to a folder that you alone can write to",
        GpucnnWarning,
        stacklevel=2,
    )
    folder = Path(_temporary().name) / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def make_private(folder: Path) -> str | None:
    """`make` a folder that is not `unsafe`; the reason why there is none, or None.

    Where it would be unsafe, nothing is made: a link may lead into a folder of another user.
    """
    try:
        if folder.is_absolute() and (problem := unsafe(folder)):
            return problem
        make(folder)
        return unsafe(folder)
    except OSError as error:
        return f"it cannot be made ({cause_of(error)})"


def unsafe(folder: Path) -> str | None:
    """The reason why another user could put code into a folder; None if nobody could.

    It belongs to this user, who alone can write into it. Nobody but this user and root can rename
    a folder above it. Folders that are missing are left out.
    """
    if os.name == "nt":  # a user's folders are the user's alone
        return None
    user = os.geteuid()
    folder = Path(os.path.realpath(folder))
    for place in (folder, *folder.parents):
        try:
            found = place.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if found.st_uid != user and (place == folder or found.st_uid != 0):
            return f"{quoted(place)} belongs to another user"
        if place == folder:
            writable = found.st_mode & _BY_OTHERS
        elif found.st_mode & stat.S_ISVTX:  # as /tmp: only its owner can rename a folder in it
            writable = 0
        else:
            writable = found.st_mode & (stat.S_IWOTH if _has_own_group(found) else _BY_OTHERS)
        if writable:
            return f"other users can write into {quoted(place)}"
    return None


def is_whole(path: Path) -> bool:
    """Whether there is a file of this user, as `write` wrote it."""
    try:
        files.check_regular(path)  # a FIFO would be waited for
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if os.name != "nt" and found.st_uid != os.geteuid():
                return False
            digest, rest = hashlib.sha256(), found.st_size - DIGEST_BYTES
            while rest > 0 and (piece := file.read(min(rest, _PIECE))):
                digest.update(piece)
                rest -= len(piece)
            return file.read() == digest.digest()
    except OSError:
        return False


def write(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Write a file with the digest at its end; whatever is in its place is replaced.

    Raises:
        StorageError: it cannot be written.
    """
    if path.is_dir() and not path.is_symlink():
        remove_folder(path)
    content = _with_digest(pieces)  # which tells a file that a loss of power has damaged
    write_atomic(path, content, "GPUCNN_CACHE_DIR=DIR", mode=0o600, durable=False)


def contents(folder: Path) -> str:
    """A cache's folder and what lies there, in words."""
    sizes = []
    with contextlib.suppress(OSError):
        sizes = [file.stat().st_size for file in folder.iterdir() if file.is_file()]
    return f"{folder} ({len(sizes)} files, {sum(sizes) / 2**20:.1f} MiB)"


def make(folder: Path) -> None:
    """Make a folder, and those above it, for this user alone; an OSError if that fails."""
    if not folder.is_absolute():
        raise OSError(errno.ENOENT, "there is no home folder")
    missing = [place for place in (folder, *folder.parents) if not place.is_dir()]
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)  # another process may have made it


def _with_digest(pieces: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        yield piece
    yield digest.digest()


@functools.cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    """A folder that is deleted at the end of the process."""
    return tempfile.TemporaryDirectory(prefix="gpucnn-")


def _has_own_group(found: os.stat_result) -> bool:
    """Whether a folder is of a group that only this user is in, as many systems give to each."""
    if not found.st_mode & stat.S_IWGRP:
        return False
    import grp
    import pwd

    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(found.st_gid)
    except KeyError:
        return False
    return user.pw_gid == group.gr_gid and set(group.gr_mem) <= {user.pw_name}
