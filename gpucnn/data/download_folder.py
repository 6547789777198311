"""A folder that several processes may download into at once, and any of them may be killed."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gpucnn.errors import StorageError
from gpucnn.writing import locked, matching, remove_folder, storage_errors

OPTION = "--data-dir DIR or GPUCNN_DATA_DIR=DIR"
_LOCK = ".lock"
_PATIENCE = 600.0  # seconds to wait for another process that downloads
_PREFIX = ".download-"
_TEMPORARY = re.compile(re.escape(_PREFIX) + "[a-z0-9_]{8}")  # as `tempfile` names it


@contextmanager
def temporary_folder(directory: Path) -> Iterator[Path]:
    """A folder in `directory` for files that are not whole yet; it is removed afterwards.

    `directory` is made if it is missing, and removed again if the body fails. One process at a
    time is in the body; the others wait. Temporary folders of processes that were killed are
    removed: their locks ended with them.

    Raises:
        StorageError: also for any other OSError of the body.
    """
    busy = StorageError(
        f"{directory} is in use",
        cause=f"another process has downloaded into it for {_PATIENCE:.0f} s",
        fix=f"end that process, or give another directory with {OPTION}",
    )
    with storage_errors(directory, OPTION):
        made = [folder for folder in (directory, *directory.parents) if not folder.exists()]
        directory.mkdir(parents=True, exist_ok=True)
        with (
            locked(directory / _LOCK, _PATIENCE, busy, OPTION),
            _removed_on_failure(directory, made),
        ):
            for left in left_over(directory):
                remove_folder(left)
            with tempfile.TemporaryDirectory(dir=directory, prefix=_PREFIX) as temporary:
                yield Path(temporary)


def left_over(directory: Path) -> list[Path]:
    """The temporary folders in `directory`, of processes that run or were killed."""
    return matching(directory, _TEMPORARY)


@contextmanager
def _removed_on_failure(directory: Path, made: list[Path]) -> Iterator[None]:
    """Remove the folders in `made` again if the body fails, unless one of them has other files.

    The lock is held meanwhile; a process that waits for it makes the folder again.
    """
    directory.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            if made and all(entry.name == _LOCK for entry in directory.iterdir()):
                (directory / _LOCK).unlink(missing_ok=True)
                for folder in made:
                    folder.rmdir()
        raise
