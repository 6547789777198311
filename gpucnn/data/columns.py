"""What the columns of a table are: the label, the pixels, row numbers, names of picture files."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gpucnn.data.labels import listing
from gpucnn.errors import DataError

Rows = Sequence[Sequence[str]]

LABELS = ("label", "labels", "class", "classes", "target", "targets", "y", "digit", "category")
_IDS = ("id", "ids", "index", "idx", "imageid", "imgid", "row", "rowid", "rownumber", "unnamed0")
#: A prefix, and one number or several: pixel0, 0001, px_7, V12, 1x28, pixel 3-4, r0c5.
_PIXEL = re.compile(r"[^\W\d]{0,10}[ _.-]?\d+([x,_. -]?[^\W\d]{0,1}\d+)?", re.IGNORECASE)
_PICTURE = re.compile(r".+\.(png|jpe?g|bmp|gif|webp|tiff?|ppm|pgm)", re.IGNORECASE)
_NUMBER = re.compile(r"-?[1-9]\d*")
_OPTION = "--label-column"


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which column of a table is what, by their places counted from 0.

    Args:
        names: of all columns; their numbers from 1 if the table has no header.
        header: whether the first row is one.
        blank: whether an empty column follows, as each row ends with a separator.
        label: the place of the label, or None.
        pixels: the places of the pixels, in their order in an image.
        ids: the place of what tells one row from the others, or None.
        file: the place of the name of a picture, or None.
        unread: the names of the other columns.
    """

    names: list[str]
    header: bool
    blank: bool = False
    label: int | None = None
    pixels: Sequence[int] = ()
    ids: int | None = None
    file: int | None = None
    unread: Sequence[str] = ()

    @property
    def reordered(self) -> bool:
        """Whether the names of the pixels give another order than that of the columns."""
        return list(self.pixels) != sorted(self.pixels)

    @property
    def label_name(self) -> str | None:
        """The label's column by its name, or by its number from 1 where there is no header."""
        return None if self.label is None else self.names[self.label]


def understand(rows: Rows, where: str, label_column: str | None, pixels: int | None) -> Columns:
    """What the columns are.

    Args:
        rows: the first rows of the table, at least one; and, without a header, more of them tell
            more certainly.
        where: the table, for messages.
        label_column: what the user said: a name, a number from 1 or from -1, or "none".
        pixels: how many an image has, if that is known.

    Raises:
        DataError: it cannot be told with certainty; the error says which option does.
    """
    first = [cell.strip() for cell in rows[0]]
    width = len(first)
    if width > 1 and all(len(row) == width and not row[-1].strip() for row in rows):
        shorter = [row[:-1] for row in rows]
        return replace(understand(shorter, where, label_column, pixels), blank=True)
    if pixels is not None and label_column is not None and label_column != "none":
        # It was said of the table that a model was trained on; another may have no labels.
        named = label_column.casefold() in (name.casefold() for name in first)
        numbered = _NUMBER.fullmatch(label_column) and not _is_header(first, rows)
        if not named and (width == pixels or not numbered):
            label_column = None
    if not _is_header(first, rows):
        return _without_header(rows, where, label_column, pixels)
    return _by_names(first, rows[1:], where, label_column, pixels)


def _is_header(first: Sequence[str], rows: Rows) -> bool:
    """Whether the first row names the columns."""
    if first == [str(number) for number in range(len(first))] and len(first) > 2:
        return True  # as pandas names columns that have no names
    if any(_simple(cell) in (*LABELS, *_IDS) for cell in first):
        return True
    words = [cell for cell in first if not is_number(cell) and not _PICTURE.fullmatch(cell)]
    # A label in words, and an empty cell, do not make a header of a row.
    return len(words) > 1 or (len(first) == 1 == len(words))


def _without_header(
    rows: Rows, where: str, label_column: str | None, pixels: int | None
) -> Columns:
    width = len(rows[0])
    names = [str(number) for number in range(1, width + 1)]
    places = list(range(width))
    label = _chosen(names, where, label_column) if label_column else None
    files = [place for place in places if _PICTURE.fullmatch(rows[0][place].strip())]
    if files:
        return _of_files(names, False, files[0], label, [p for p in places if p != files[0]], where)
    if label is None and label_column is None:
        if width == pixels or (pixels is None and _is_square(width)):
            return Columns(names=names, header=False, pixels=places)
        if width - 1 != pixels and (pixels is not None or not _is_square(width - 1)):
            raise _no_image(where, width, pixels)
        _refuse_doubtful(rows, where)
        label = 0
    pixel_places = [place for place in places if place != label]
    return Columns(names=names, header=False, label=label, pixels=pixel_places)


def _refuse_doubtful(rows: Rows, where: str) -> None:
    """Refuse a table without a header whose first column is no column of labels.

    It counts the rows, or is the first pixel, with the labels in the last column.
    """
    first, last = ([row[place].strip() for row in rows] for place in (0, -1))
    counted = [[str(number) for number in range(start, start + len(rows))] for start in (0, 1)]
    if len(rows) > 2 and first in counted:
        cause = "it numbers the rows"
    elif _are_classes(last) and not _are_classes(first):
        cause = "the last column looks like one"
    else:
        return
    raise DataError(
        f"{where} has no header, and its first column may be no label",
        cause=cause,
        fix=f"say which column is the label: {_OPTION} 1 is the first, -1 the last, none is none",
    )


def _are_classes(cells: Sequence[str]) -> bool:
    """Whether these are the numbers of classes: at least two, and all from 0 or 1 to the highest.

    Of as many rows as there are here, each class has at least one.
    """
    numbers = {float(cell) if is_number(cell) else -1.0 for cell in cells}
    return len(numbers) > 1 and any(
        numbers == set(map(float, range(start, start + len(numbers)))) for start in (0, 1)
    )


def _by_names(
    names: list[str], rows: Rows, where: str, label_column: str | None, pixels: int | None
) -> Columns:
    places = list(range(len(names)))
    label = _chosen(names, where, label_column) if label_column else None
    ids = next((place for place in places if _is_id(names[place]) and place != label), None)
    rest = [place for place in places if place != label and not _is_id(names[place])]
    files = [
        place
        for place in rest
        if rows and _PICTURE.fullmatch(rows[0][place].strip() if place < len(rows[0]) else "")
    ]
    if files:
        others = [place for place in rest if place != files[0]]
        return _of_files(names, True, files[0], label, others, where, label_column)
    found = [place for place in rest if _PIXEL.fullmatch(names[place])]
    if 2 * len(found) < len(rest):
        found = []  # the pixels have names of other kinds
    others = [place for place in rest if place not in set(found)]
    if label is None and label_column is None:
        label = _label(names, others, bool(found), where)
    if not found:
        found = [place for place in others if place != label]
    others = [place for place in others if place != label and place not in set(found)]
    one_more = _is_square(len(found) - 1) if pixels is None else len(found) == pixels + 1
    if label is None and label_column is None and one_more:
        raise DataError(
            f"{where} has {len(found)} columns of numbers, and none by the name of a label",
            cause=f"one of {listing([names[place] for place in found])} may be the label",
            fix=f"say which: {_OPTION} {names[found[0]]}, or {_OPTION} none",
        )
    if not found:
        raise _no_image(where, len(names), pixels)
    in_order = _numbered([names[place] for place in found])
    if in_order is not None:
        found = [found[index] for index in in_order]
    unread = [names[place] for place in others]
    return Columns(names=names, header=True, label=label, pixels=found, ids=ids, unread=unread)


def _label(names: list[str], others: list[int], has_pixels: bool, where: str) -> int | None:
    """The one column of these that is the label."""
    known = [place for place in others if _simple(names[place]) in LABELS]
    if len(known) == 1:
        return known[0]
    candidates = known or (others if has_pixels else [])
    if len(candidates) > 1:
        raise DataError(
            f"{where} has several columns that may be the label:"
            f" {', '.join(names[place] for place in candidates)}",
            fix=f"say which: {_OPTION} {names[candidates[0]]}",
        )
    return candidates[0] if candidates else None


def _of_files(
    names: list[str],
    header: bool,
    file: int,
    label: int | None,
    others: list[int],
    where: str,
    label_column: str | None = None,
) -> Columns:
    """The columns of a table of picture files and their labels."""
    others = [place for place in others if place != label]
    if label is None and label_column is None:
        label = others[0] if len(others) == 1 else _label(names, others, True, where)
    unread = [names[place] for place in others if place != label]
    return Columns(names=names, header=header, label=label, file=file, unread=unread)


def _chosen(names: list[str], where: str, label_column: str) -> int | None:
    """The place of the column that the user named."""
    if label_column in names:
        return names.index(label_column)
    folded = [name.casefold() for name in names]
    if folded.count(label_column.casefold()) == 1:
        return folded.index(label_column.casefold())
    if label_column == "none":
        return None
    if _NUMBER.fullmatch(label_column):
        place = int(label_column)
        if abs(place) <= len(names):
            return place - 1 if place > 0 else place + len(names)
    raise DataError(
        f"{where} has no column {label_column!r}",
        cause=f"its columns are {listing(names)}",
        fix=f"give one of them as {_OPTION}, or its number: 1 is the first, -1 the last",
    )


def _numbered(names: Sequence[str]) -> list[int] | None:
    """The order of names that differ in their numbers alone, by those; None for other names."""
    numbers = [tuple(map(int, re.findall(r"\d+", name))) for name in names]
    kinds = {re.sub(r"\d+", "#", name) for name in names}
    if len(kinds) != 1 or len(set(numbers)) < len(numbers):
        return None
    return sorted(range(len(names)), key=numbers.__getitem__)


def _no_image(where: str, width: int, pixels: int | None) -> DataError:
    if pixels is not None:
        return DataError(
            f"{where}, line 1: {width} columns are neither the {pixels} pixels of an image nor a"
            " label and those",
            fix="give a table of such images",
        )
    return DataError(
        f"{where}, line 1: {width} columns are neither the pixels of a square image nor a label and"
        " those",
        fix="write a line for each image, label,pixel0,pixel1,...; or say what an image is, as in"
        " --image-shape 28x28x3",
    )


def _is_id(name: str) -> bool:
    return not name or _simple(name) in _IDS


def _is_square(count: int) -> bool:
    return count > 3 and math.isqrt(count) ** 2 == count


def _simple(name: str) -> str:
    """A name in small letters and digits alone: "Image_ID" is "imageid"."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def is_number(cell: str) -> bool:
    """Whether a cell holds a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
