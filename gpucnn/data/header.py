"""Whether the first row of a table names its columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

Row = Sequence[str]

LABELS = ("label", "labels", "class", "classes", "target", "targets", "y", "digit", "category")
_IDS = ("id", "ids", "index", "idx", "imageid", "imgid", "row", "rowid", "rownumber", "unnamed0")
PICTURE = re.compile(r".+\.(png|jpe?g|bmp|gif|webp|tiff?|ppm|pgm)", re.IGNORECASE)
_COUNTING = 9  # cells that count from 0 or 1: fewer may be pixels


def is_header(rows: Sequence[Row]) -> bool:
    """Whether the first row names the columns, and is no image."""
    first, below = [cell.strip() for cell in rows[0]], rows[1:]
    words = [place for place, cell in enumerate(first) if not is_number(cell)]
    if any(PICTURE.fullmatch(first[place]) for place in words):
        return False
    if len(words) > 1:
        return True
    numbers = [cell for cell in first if is_number(cell)]
    counting = numbers in ([*map(str, range(k, k + len(numbers)))] for k in (0, 1))
    if not words:
        return counting and len(numbers) >= _COUNTING
    (place,) = words  # a label in words, or the name of the one column that has a name
    if below and all(len(row) > place and is_number(row[place]) for row in below):
        return True
    known = simple(first[place]) in (*LABELS, *_IDS) or not first[place]
    return (counting and (known or len(numbers) >= _COUNTING)) or len(first) == 1


def is_renamed(first: Sequence[str]) -> bool:
    """Whether pandas has read pixels as names: it writes 0 0 0 7 7 as 0, 0.1, 0.2, 7, 7.1."""
    seen: Counter[str] = Counter()
    for cell in first:
        base, point, number = cell.rpartition(".")
        name = base if point else cell
        if point and number != str(seen[name]):
            return False
        if seen[name] and not point:
            return False
        seen[name] += 1
    return max(seen.values(), default=0) > _COUNTING


def is_id(name: str) -> bool:
    return not name or simple(name) in _IDS


def simple(name: str) -> str:
    """A name in small letters and digits alone: "Image_ID" is "imageid"."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def is_number(cell: str) -> bool:
    """Whether a cell holds a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
