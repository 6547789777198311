"""What the columns of a table are: the label, the pixels, row numbers, names of picture files."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gpucnn.data.labels import listing
from gpucnn.errors import DataError, similar

Row = Sequence[str]

_LABELS = ("label", "labels", "class", "classes", "target", "targets", "y", "digit", "category")
_IDS = ("id", "ids", "index", "idx", "imageid", "imgid", "row", "rowid", "rownumber", "unnamed0")
#: A prefix, and one number or two: pixel0, 0001, px_7, V12, 1x28, pixel 3-4, r0c5.
_PIXEL = re.compile(r"[^\W\d]{0,10}[ _.-]?\d+([x,_. -]?[^\W\d]{0,3}\d+)?", re.IGNORECASE)
#: With the numbers left out, names whose two numbers are a column and a row.
_COLUMN_FIRST = re.compile(r"x#.?y#", re.IGNORECASE)
_ROW_FIRST = re.compile(r"[^\W\d]*.?#[x,_. -]?#|r#.?c#|row#.?col#|y#.?x#", re.IGNORECASE)
_PICTURE = re.compile(r".+\.(png|jpe?g|bmp|gif|webp|tiff?|ppm|pgm)", re.IGNORECASE)
_NUMBER = re.compile(r"-?[1-9]\d*")
_COUNTING = 9  # cells that count from 0 or 1: fewer may be pixels
_OPTION = "--label-column"


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which column of a table is what, by their places counted from 0.

    Args:
        names: of all columns; their numbers from 1 if the table has no header.
        header: whether the first row is one.
        label: the place of the label, or None.
        pixels: the places of the pixels, in their order in an image.
        ids: the place of what tells one row from the others, or None.
        file: the place of the name of a picture, or None.
        unread: the names of the other columns.
        guessed: whether the label is the first column for want of a header.
    """

    names: list[str]
    header: bool
    label: int | None = None
    pixels: Sequence[int] = ()
    ids: int | None = None
    file: int | None = None
    unread: Sequence[str] = ()
    guessed: bool = False

    @property
    def reordered(self) -> bool:
        """Whether the names of the pixels give another order than that of the columns."""
        return list(self.pixels) != sorted(self.pixels)

    @property
    def label_name(self) -> str | None:
        """The label's column by its name, or by its number from 1 where there is no header."""
        return None if self.label is None else self.names[self.label]


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a table beforehand.

    Args:
        label_column: what the user says now: a name, a number from 1 or from -1, or "none".
        label_was: the label's column in the table that a model was trained on.
        pixels: how many an image has.
        labelled: whether the labels matter; `predict` does without.
    """

    label_column: str | None = None
    label_was: str | None = None
    pixels: int | None = None
    labelled: bool = True


def understand(rows: Sequence[Row], where: str, known: Known) -> Columns:
    """What the columns of a table are.

    Args:
        rows: the first rows of the table, at least one.
        where: the table, for messages.
        known: what is known beforehand.

    Raises:
        DataError: it cannot be told with certainty; the error says which option does.
    """
    if is_header(rows):
        return _by_names([cell.strip() for cell in rows[0]], rows[1:], where, known)
    if _is_renamed([cell.strip() for cell in rows[0]]):
        raise DataError(
            f"{where}, line 1: this is an image whose pixels pandas has taken for a header",
            cause="it numbers names that are alike: 0, 0.1, 0.2",
            fix="write the table once more from its source, read with pandas.read_csv(header=None)",
        )
    return _without_header(rows, where, known)


def is_header(rows: Sequence[Row]) -> bool:
    """Whether the first row names the columns, and is no image."""
    first, below = [cell.strip() for cell in rows[0]], rows[1:]
    words = [place for place, cell in enumerate(first) if not is_number(cell)]
    if any(_PICTURE.fullmatch(first[place]) for place in words):
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
    known = _simple(first[place]) in (*_LABELS, *_IDS) or not first[place]
    return (counting and (known or len(numbers) >= _COUNTING)) or len(first) == 1


def _is_renamed(first: Sequence[str]) -> bool:
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
    return max(seen.values()) > _COUNTING


def refuse_doubtful(first: Sequence[str], last: Sequence[str], where: str) -> None:
    """Refuse a table without a header whose first column is no column of labels.

    It counts the rows, or is the first pixel, with the labels in the last column.

    Args:
        first: the cells of the first column in all rows.
        last: those of the last, each once.
    """
    counted = [[str(number) for number in range(k, k + len(first))] for k in (0, 1)]
    if len(first) > 2 and list(first) in counted:
        raise _doubtful(where, "it numbers the rows")
    if _classes(last) and not 0 < _classes(first) <= max(_classes(last), 62):
        raise _doubtful(where, "the last column looks like one")


def _doubtful(where: str, cause: str) -> DataError:
    return DataError(
        f"{where} has no header, and its first column may be no label",
        cause=cause,
        fix=f"say which column is the label: {_OPTION} 1 is the first, -1 the last, none is none",
    )


def _classes(cells: Sequence[str]) -> int:
    """How many classes these may be the numbers of, if they look like that, or else 0.

    They are two or more, and from 0 or 1 to the highest with few gaps; or they are words.
    """
    distinct = set(cells)
    if not all(map(is_number, distinct)):
        return len(distinct)
    numbers = {float(cell) for cell in distinct}
    whole = all(number >= 0 and number == int(number) for number in numbers)
    dense = whole and max(numbers) + 1 <= 1.5 * len(numbers) + 1
    return len(numbers) if dense and len(numbers) > 1 else 0


def _without_header(rows: Sequence[Row], where: str, known: Known) -> Columns:
    first = [cell.strip() for cell in rows[0]]
    width = len(first)
    names = [str(number) for number in range(1, width + 1)]
    places = list(range(width))
    label = None
    if known.label_column is not None:
        label = _chosen(names, where, known.label_column)
    files = [place for place in places if _PICTURE.fullmatch(first[place])]
    if files:
        others = [place for place in places if place != files[0]]
        return _of_files(names, False, files[0], label, others, where, known)
    counter = _counter(rows, places)
    was = known.label_was if _NUMBER.fullmatch(known.label_was or "") else None
    both = known.pixels is not None and width == known.pixels + 2 and counter is not None
    if known.label_column is None and was is not None and both:
        label = _chosen(names, where, was)
    guessed = known.label_column is None and label is None
    if guessed:
        one_more = width - 1 == known.pixels if known.pixels else _is_square(width - 1)
        if width == known.pixels or (known.pixels is None and _is_square(width)):
            return Columns(names=names, header=False, pixels=places)
        if not one_more:
            two_more = width - 2 == known.pixels if known.pixels else _is_square(width - 2)
            if two_more and counter is not None:
                raise _doubtful(where, f"column {counter + 1} numbers the rows")
            raise _no_image(where, width, known.pixels)
        if not known.labelled and counter is not None:
            pixels = [place for place in places if place != counter]
            return Columns(names=names, header=False, pixels=pixels, ids=counter)
        label = 0
        if was is not None:
            label, guessed = _chosen(names, where, was), False
        elif is_number(first[0]) and not is_number(first[-1]):
            raise _doubtful(where, "the last column has words")
    pixels = [place for place in places if place != label]
    ids = None if guessed or counter == label else counter
    one_less = len(pixels) - 1 == known.pixels if known.pixels else _is_square(len(pixels) - 1)
    if ids is None or not one_less:
        return Columns(names=names, header=False, label=label, pixels=pixels, guessed=guessed)
    pixels.remove(ids)
    return Columns(names=names, header=False, label=label, pixels=pixels, ids=ids)


def _counter(rows: Sequence[Row], places: Sequence[int]) -> int | None:
    """The first of some columns that numbers the rows."""
    for place in places:
        cells = (row[place].strip() if len(row) > place else "" for row in rows)
        first = next(cells, "")
        if first.isdecimal() and len(rows) > 1:
            numbers = map(str, range(int(first) + 1, int(first) + len(rows)))
            if all(cell == number for cell, number in zip(cells, numbers, strict=True)):
                return place
    return None


def _by_names(names: list[str], rows: Sequence[Row], where: str, known: Known) -> Columns:
    places = list(range(len(names)))
    said = known.label_column
    label = _chosen(names, where, said) if said is not None else None
    if said is None and known.label_was in names:
        label = names.index(known.label_was)
    ids = next((place for place in places if _is_id(names[place]) and place != label), None)
    rest = [place for place in places if place != label and not _is_id(names[place])]
    if said is not None and label is not None and label in _pixels(names, [*rest, label]):
        fits = len(rest) == known.pixels if known.pixels else _is_square(len(rest))
        if not fits:
            raise DataError(
                f"{where}: the column {said} is a pixel by its name, {names[label]}",
                fix=f"give that of the label as {_OPTION}, by its name",
            )
    files = [
        place
        for place in rest
        if rows and len(rows[0]) > place and _PICTURE.fullmatch(rows[0][place].strip())
    ]
    if files:
        others = [place for place in rest if place != files[0]]
        return replace(_of_files(names, True, files[0], label, others, where, known), ids=ids)
    found = _pixels(names, rest)
    others = [place for place in rest if place not in set(found)]
    open_label = label is None and said is None
    if open_label:
        label = _label(names, others, bool(found), where, known)
    if not found:
        found = [place for place in others if place != label]
    others = [place for place in others if place != label and place not in set(found)]
    one_more = len(found) == known.pixels + 1 if known.pixels else _is_square(len(found) - 1)
    if label is None and open_label and one_more:
        raise DataError(
            f"{where} has {len(found)} columns of numbers, and none by the name of a label",
            cause=f"one of {listing([names[place] for place in found])} may be the label",
            fix=f"say which: {_OPTION} {names[found[0]]}, or {_OPTION} none",
        )
    if not found:
        raise _no_image(where, len(names), known.pixels)
    if not known.labelled and ids is None and len(others) == 1 and open_label:
        ids, others = others[0], []  # what tells the images apart, by a name of its own
    order = _order([names[place] for place in found])
    pixels = [found[index] for index in order] if order else found
    unread = [names[place] for place in others]
    return Columns(names=names, header=True, label=label, pixels=pixels, ids=ids, unread=unread)


def _pixels(names: Sequence[str], places: Sequence[int]) -> list[int]:
    """The columns that are pixels by their names: most of those that have names of one kind."""
    kinds = {place: _kind(names[place]) for place in places if _PIXEL.fullmatch(names[place])}
    if not kinds:
        return []
    ((kind, count),) = Counter(kinds.values()).most_common(1)
    return [place for place in kinds if kinds[place] == kind] if 2 * count >= len(places) else []


def _label(
    names: Sequence[str], others: Sequence[int], has_pixels: bool, where: str, known: Known
) -> int | None:
    """The one column of these that is the label."""
    by_name = [place for place in others if _simple(names[place]) in _LABELS]
    if len(by_name) == 1 or (by_name and not known.labelled):
        return by_name[0]
    candidates = by_name or (others if has_pixels and known.labelled else [])
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
    others: Sequence[int],
    where: str,
    known: Known,
) -> Columns:
    """The columns of a table of picture files and their labels."""
    others = [place for place in others if place != label]
    if label is None and known.label_column is None:
        was = known.label_was
        if was is not None and not header and _NUMBER.fullmatch(was) and int(was) <= len(names):
            label = _chosen(names, where, was)
        elif len(others) == 1:
            label = others[0]
        else:
            label = _label(names, others, True, where, known)
    unread = [names[place] for place in others if place != label]
    return Columns(names=names, header=header, label=label, file=file, unread=unread)


def _chosen(names: Sequence[str], where: str, label_column: str) -> int | None:
    """The place of the column that the user named."""
    folded = [name.casefold() for name in names]
    named = None
    if label_column in names:
        named = names.index(label_column)
    elif folded.count(label_column.casefold()) == 1:
        named = folded.index(label_column.casefold())
    placed = None
    if _NUMBER.fullmatch(label_column) and abs(int(label_column)) <= len(names):
        number = int(label_column)
        placed = number - 1 if number > 0 else number + len(names)
    if named is not None and placed not in (None, named):
        raise DataError(
            f"{where} has a column called {label_column}, which is not its column number"
            f" {label_column}",
            cause=f"that is called {names[placed]}",
            fix=f"count from the end: {_OPTION} {named - len(names)} is the one that is called"
            f" {label_column}, {placed - len(names)} the other",
        )
    if named is not None or placed is not None:
        return placed if named is None else named
    if label_column == "none":
        return None
    pixels = [name for name in names if _PIXEL.fullmatch(name)]
    listed = [*(name for name in names if name not in set(pixels)), *pixels]
    close = similar(names, label_column)
    raise DataError(
        f"{where} has no column {label_column!r}" + (f"; did you mean {close}?" if close else ""),
        cause=f"its columns are {listing(listed)}",
        fix=f"give one of them as {_OPTION}, or its number: 1 is the first, -1 the last",
    )


def _order(names: Sequence[str]) -> list[int] | None:
    """The order of pixels by the numbers in their names; None if those do not say one."""
    kinds = {_kind(name) for name in names}
    numbers = [tuple(map(int, re.findall(r"\d+", name))) for name in names]
    if len(kinds) != 1 or len(set(numbers)) < len(numbers):
        return None
    (kind,) = kinds
    if len(numbers[0]) == 2 and _COLUMN_FIRST.fullmatch(kind):
        numbers = [pair[::-1] for pair in numbers]
    elif len(numbers[0]) != 1 and not _ROW_FIRST.fullmatch(kind):
        return None
    return sorted(range(len(names)), key=numbers.__getitem__)


def _kind(name: str) -> str:
    """A name with each of its numbers as "#"."""
    return re.sub(r"\d+", "#", name)


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
