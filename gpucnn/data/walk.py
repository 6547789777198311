"""Walks through folders: what is no data, and links that lead to one folder several times."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from gpucnn.data.image import is_picture
from gpucnn.errors import DataError

#: Files of operating systems, archives and notebooks, and texts about the data.
JUNK = re.compile(
    r"\..*|__macosx|__pycache__|(eh)?thumbs\.db|desktop\.ini|icon\r|@eadir|\$recycle\.bin"
    r"|system volume information|(readme|license|licence|copying|attribution)(\..*)?",
    re.IGNORECASE,
)
_DEPTH = 100  # folders in one another, below a class


class Entered:
    """The folders that a walk has entered, by their numbers in the file system.

    Args:
        top: the folder where it begins.
    """

    def __init__(self, top: Path) -> None:
        self.top = top
        self.seen: set[tuple[int, int]] = set()

    def add(self, folder: Path) -> bool:
        """Enter a folder; False if it was entered before, by whatever path.

        Raises:
            DataError: it is too deep below the top.
        """
        found = os.stat(folder)
        place = found.st_dev, found.st_ino
        if place in self.seen:
            return False
        self.seen.add(place)
        if len(folder.parts) - len(self.top.parts) > _DEPTH:
            raise DataError(
                f"{self.top} has more than {_DEPTH} folders in one another",
                fix="move the pictures into folders less deep",
            )
        return True


def has_pictures(folder: Path) -> bool:
    """Whether there are pictures in a folder, or in those below it.

    Raises:
        DataError: folders are too deep.
    """
    return not JUNK.fullmatch(folder.name) and any(
        is_picture(name) and not JUNK.fullmatch(name)
        for _, _, names in _walk(folder)
        for name in names
    )


def _walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """`os.walk` that follows links, but enters no folder a second time."""
    entered = Entered(folder)
    for top, folders, files in os.walk(folder, followlinks=True):
        if entered.add(Path(top)):
            yield top, folders, files
        else:
            folders.clear()
