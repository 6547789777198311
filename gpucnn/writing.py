"""Writing files so that a crash leaves either the old file or the new one, and locks of folders."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import filelock

from gpucnn.errors import StorageError, cause_of

_TEMPORARY = re.compile(r"gpucnn-[0-9a-f]{16}\.tmp")

_CAUSES = {
    errno.ENOSPC: ("the disk is full", "free some space"),
    errno.EDQUOT: ("the disk quota is used up", "free some space"),
    errno.EFBIG: ("the file is larger than the system allows", "raise the limit (ulimit -f)"),
    errno.ENOENT: ("there is no such directory", "make it"),
    errno.ENOTDIR: ("a part of the path is a file, and no directory", "rename that file"),
    errno.EEXIST: ("a part of the path is a file, and no directory", "rename that file"),
    errno.EISDIR: ("it is a directory", "rename it"),
    errno.ENAMETOOLONG: ("the name is too long", "shorten it"),
    errno.ELOOP: ("a symbolic link is in the way", "remove that link"),
    errno.EROFS: ("the file system is read-only", "make it writable"),
    errno.EACCES: ("permission denied", "make it writable"),
    errno.EPERM: ("permission denied", "make it writable"),
}


def write_atomic(
    path: Path,
    data: bytes | Iterable[bytes | memoryview],
    option: str = "--runs-dir DIR",
    *,
    mode: int = 0o666,
    durable: bool = True,
) -> None:
    """Write `data` to `path`: after a crash at any moment it holds the old bytes or all new ones.

    The bytes are written to the disk under a temporary name, which is then renamed; the rename is
    on the disk when this returns. That name is random, and its file is always a new one: a link
    that somebody else left in the folder is never written through. Many bytes may come in pieces.

    Args:
        option: the flag that chooses the place, with its value, for the error.
        mode: the permissions of a new file, before the umask.
        durable: whether to wait for the disk. Without it a loss of power may leave a damaged file,
            which whoever reads it has to notice.

    Raises:
        StorageError: it cannot be written; the old file is intact.
    """
    temporary = path.with_name(f"gpucnn-{os.urandom(8).hex()}.tmp")
    with storage_errors(path, option):
        _check_name(path)
        try:
            with open(temporary, "xb", opener=functools.partial(os.open, mode=mode)) as file:
                file.writelines([data] if isinstance(data, bytes) else data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        if durable:
            _sync_directory(path.parent)


def make_folder(folder: Path, option: str = "--runs-dir DIR") -> None:
    """Make a folder, and those above it, where it is missing; `option` is that of `write_atomic`.

    Raises:
        StorageError: it cannot be made.
    """
    with storage_errors(folder, option):
        folder.mkdir(parents=True, exist_ok=True)


def append_line(path: Path, line: str) -> None:
    """Add one line to the end of a text file; it is on the disk when this returns.

    Raises:
        StorageError: it cannot be written.
    """
    with storage_errors(path), path.open("ab") as file:
        file.write(line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def remove_temporaries(directory: Path, seconds: float = 0.0) -> None:
    """Delete the temporary files of a `write_atomic` that was killed.

    Without a lock, `seconds` leaves those that another process still writes to: it is the time for
    which they have not changed.

    Raises:
        StorageError: a file cannot be deleted.
    """
    with storage_errors(directory):
        found = matching(directory, _TEMPORARY)
    for left in found:
        # Another process may delete it, too.
        with storage_errors(left), contextlib.suppress(FileNotFoundError):
            if not seconds or time.time() - left.stat().st_mtime > seconds:
                left.unlink()


def matching(directory: Path, form: re.Pattern[str]) -> list[Path]:
    """The entries of a directory whose whole names are of a form, as those of our own files.

    The user may have others that begin or end so.
    """
    return [path for path in directory.glob("*") if form.fullmatch(path.name)]


def remove_folder(path: Path) -> None:
    """Delete a folder, and as much of what is in it as this user can: others may have made it."""
    with contextlib.suppress(RecursionError):  # it is nested too deeply, which none of ours is
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def locked(
    file: Path, seconds: float, busy: StorageError, option: str = "--runs-dir DIR"
) -> Iterator[None]:
    """Hold a lock, a file of this name; the system releases it when the process ends or is killed.

    Whoever can write into the folder can hold it.

    Raises:
        StorageError: `busy`, if another process holds it for so many seconds; or the file cannot
            be written, where `option` chooses the place.
    """
    with storage_errors(file if os.path.lexists(file) else file.parent, option):
        mode = file.parent.stat().st_mode & 0o666 | 0o600  # its owner, at least, can hold it
        held = filelock.FileLock(file, mode=mode)
        try:
            held.acquire(timeout=seconds)
        except filelock.Timeout as error:
            raise busy from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # the end of the process releases it, too
            held.release()


def is_locked(file: Path) -> bool:
    """Whether a process holds the lock of this name."""
    if not file.exists():
        return False
    try:
        with filelock.FileLock(file).acquire(timeout=0):
            return False
    except filelock.Timeout:
        return True
    except OSError:  # it cannot be written, so nobody can hold it
        return False


@contextlib.contextmanager
def storage_errors(path: Path, option: str = "--runs-dir DIR") -> Iterator[None]:
    """Turn an `OSError` of the body into a `StorageError` about `path`, which `option` chooses.

    The option is a flag with its value, as in "--csv FILE"; "" for a path from a Python call.
    """
    try:
        yield
    except OSError as error:
        known = _CAUSES.get(error.errno or 0)
        cause, remedy = known or (cause_of(error), "free some space there")
        raise StorageError(
            f"{path} cannot be written",
            cause=cause,
            fix=f"{remedy}, or write to another place" + (option and f" with {option}"),
        ) from error


def _check_name(path: Path) -> None:
    """Raise an OSError if no file can have this name, as with a null character."""
    with contextlib.suppress(FileNotFoundError):
        try:
            os.lstat(path)
        except ValueError as error:
            raise OSError(errno.EINVAL, str(error)) from error


def _sync_directory(directory: Path) -> None:
    if os.name == "nt":  # Windows cannot open a directory, and orders renames itself
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
