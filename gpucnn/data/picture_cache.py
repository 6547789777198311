"""Large images of pictures, kept on disk: to decode them may take longer than the training.

An entry is a file in the folder ``images`` of the cache, for a path and the options of reading:

    the images, uint8 (N, C, H, W)
    the rest of the result, as JSON, with a stamp of the pictures
    the size of the JSON, 8 bytes
    the SHA-256 of all before

The stamp has the names, sizes, times and inodes of the files, and the versions of what reads them.
If it is another one now, or the entry is damaged, the pictures are read, and replace the entry.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backend import cache_directory
from gpucnn.data import storage
from gpucnn.errors import StorageError
from gpucnn.writing import remove_temporaries

KEPT = 256 * 10**6  # bytes; smaller images are decoded each time
_SUFFIX = ".pictures"
_ABANDONED = 60  # seconds without a change, after which a temporary file is of a killed process
_TICK = 2 * 10**9  # nanoseconds; within them a file may change twice and have one time
_SIZE = 8  # bytes of the size of the JSON


class Entry:
    """The entry for some pictures, whether it is there or not; make it before they are read.

    Args:
        files: of the pictures.
        name: the path of the data.
        options: of reading, as JSON values.
    """

    def __init__(self, files: Sequence[Path], name: str, options: dict[str, Any]) -> None:
        key = f"{os.path.abspath(name)}\0{json.dumps(options, sort_keys=True)}"
        digest = hashlib.sha256(os.fsencode(key)).hexdigest()
        self._path = cache_directory.cache_folder(storage.FOLDER) / f"{digest[:32]}{_SUFFIX}"
        self._files = files
        self._stamp, changed = self._look()
        self._is_settled = changed < time.time_ns() - _TICK

    def recall(self) -> tuple[NDArray[np.uint8], dict[str, Any]] | None:
        """The images, and the rest of the result; None if the pictures must be read."""
        try:
            if self._stamp is None or cache_directory.unsafe(self._path.parent):
                return None
            if not cache_directory.is_whole(self._path):
                return None
            with self._path.open("rb") as file:
                content = storage.map_file(file)
        except OSError:
            return None
        end = len(content) - cache_directory.DIGEST_BYTES - _SIZE
        begin = end - int.from_bytes(content[end : end + _SIZE], "little")
        rest = json.loads(content[begin:end])
        if rest.pop("stamp") != self._stamp:
            return None
        return np.frombuffer(content, np.uint8, begin).reshape(rest.pop("shape")), rest

    def keep(self, images: NDArray[np.uint8], rest: dict[str, Any]) -> None:
        """Keep the result of reading, if it is large and no file has changed meanwhile.

        Args:
            rest: of the result, as JSON values.
        """
        if images.nbytes <= KEPT or self._stamp is None or not self._is_settled:
            return
        if self._look()[0] != self._stamp:
            return
        if cache_directory.make_private(self._path.parent):
            return
        with contextlib.suppress(StorageError):  # without room on the disk they are read again
            remove_temporaries(self._path.parent, _ABANDONED)
            cache_directory.write(self._path, self._pieces(images, rest))

    def _pieces(self, images: NDArray[np.uint8], rest: dict[str, Any]) -> Iterator[Any]:
        for piece in storage.pieces(images):
            yield storage.as_bytes(images[piece])
        described = json.dumps({**rest, "shape": images.shape, "stamp": self._stamp}).encode()
        yield described + len(described).to_bytes(_SIZE, "little")

    def _look(self) -> tuple[str | None, int]:
        """The stamp of the files as they are, and the nanosecond of the last change of one.

        The stamp is None if a file is missing, or Pillow is.
        """
        stamp, changed = hashlib.sha256(), 0
        try:
            stamp.update(repr((_reader(), os.environ.get("GPUCNN_MAX_PIXELS"))).encode())
            for file in self._files:
                found = os.stat(file)
                changed = max(changed, found.st_mtime_ns, found.st_ctime_ns)
                facts = (
                    found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
                )  # fmt: skip
                stamp.update(repr((os.fsencode(file), os.path.abspath(file), *facts)).encode())
        # A ValueError: a name that no file can have.
        except (OSError, ValueError, metadata.PackageNotFoundError):
            return None, 0
        return stamp.hexdigest(), changed


@functools.cache
def _reader() -> tuple[str, ...]:
    """The versions of what decodes and scales pictures; of this package, its code."""
    code = b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
    return metadata.version("pillow"), np.__version__, hashlib.sha256(code).hexdigest()
