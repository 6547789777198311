"""The meaning of a table's columns: label, pixels, row numbers, names of picture files."""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from gpucnn.data.header import LABELS, PICTURE, Row, is_header, is_id, is_number, is_renamed, simple
from gpucnn.data.labels import MOST_CLASSES, listing
from gpucnn.data.one_hot_columns import are_one_hot
from gpucnn.errors import DataError, similar
from gpucnn.quoting import quoted

#: A prefix, and one number or two: pixel0, 0001, px_7, V12, 1x28, pixel 3-4, r0c5.
_PIXEL = re.compile(r"[^\W\d]{0,10}[ _.-]?\d+([x,_. -]?[^\W\d]{0,3}\d+)?", re.IGNORECASE)
#: With the numbers left out, names whose two numbers are a column and a row.
_COLUMN_FIRST = re.compile(r"x#.?y#", re.IGNORECASE)
_ROW_FIRST = re.compile(r"[^\W\d]*.?#[x,_. -]?#|r#.?c#|row#.?col#|y#.?x#", re.IGNORECASE)
_NUMBER = re.compile(r"-?[1-9]\d{0,8}")  # of a column
_DIGITS = 18  # of a number in a name, or of a row
_OPTION = "--label-column"
Item = TypeVar("Item", int, str)


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of a table by their meaning, each by its place counted from 0.

    Args:
        names: of all columns; their numbers from 1 if the table has no header.
        header: whether the first row is one.
        label: the place of the label, or None.
        one_hot: the places of one-hot columns, which are the label together.
        pixels: the places of the pixels, in their order in an image.
        ids: the place of the row's identifier, or None.
        file: the place of the name of a picture, or None.
        unread: the names of the other columns.
        guessed: whether the first column is taken for the label because there is no header.
    """

    names: list[str]
    header: bool
    label: int | None = None
    one_hot: Sequence[int] = ()
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
    """Facts that are known before a table is read.

    Args:
        label_column: the user's --label-column: a name, a number from 1 or from -1, or "none".
        label_was: the label's column in the table that a model was trained on.
        pixels: the number of pixels of an image.
        labeled: whether labels are needed; `predict` needs none.
    """

    label_column: str | None = None
    label_was: str | None = None
    pixels: int | None = None
    labeled: bool = True

    def fits(self, count: int) -> bool:
        """Whether so many columns may be the pixels of an image: of a square one, if not known."""
        if self.pixels:
            return count == self.pixels
        return count > 3 and math.isqrt(count) ** 2 == count


def understand(rows: Sequence[Row], where: str, known: Known) -> Columns:
    """Find the meaning of the columns of a table.

    Args:
        rows: the first rows of the table, at least one.
        where: the table, for messages.

    Raises:
        DataError: the meaning is not certain; the error names the option that decides it.
    """
    if is_header(rows):
        return _by_names([cell.strip() for cell in rows[0]], rows[1:], where, known)
    if is_renamed([cell.strip() for cell in rows[0]]):
        raise DataError(
            f"{where}, line 1: this is an image whose pixels pandas has taken for a header",
            cause="it numbers names that are alike: 0, 0.1, 0.2",
            fix="write the table once more from its source, read with pandas.read_csv(header=None)",
        )
    return _without_header(rows, where, known)


def refuse_doubtful(first: Sequence[str], last: Sequence[str], rows: int, where: str) -> None:
    """Refuse a table without a header whose first column is not the label.

    That column may number the rows, or hold pixels while the last column holds the labels.

    Args:
        first: the different cells of the first column, in the order in which they occur: all of
            them, or the first `MOST_CLASSES` and one more.
        last: those of the last, in any order; a few suffice where they cannot be labels.
        rows: the number of rows.
    """
    counted = [[str(number) for number in range(k, k + len(first))] for k in (0, 1)]
    if 2 < len(first) == min(rows, MOST_CLASSES + 1) and list(first) in counted:
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
    """The number of classes in cells that look like labels, else 0.

    Labels are words; or two or more numbers from 0 or 1 to the highest, with few gaps.
    """
    distinct = set(cells)
    if not all(map(is_number, distinct)):
        return len(distinct)
    numbers = {float(cell) for cell in distinct}
    whole = all(number >= 0 and number.is_integer() for number in numbers)
    dense = whole and max(numbers) + 1 <= 1.5 * len(numbers) + 1
    return len(numbers) if dense and len(numbers) > 1 else 0


def _without_header(rows: Sequence[Row], where: str, known: Known) -> Columns:
    """The columns by their number: the pixels alone, or beside one or two columns more.

    One more is the label, or for `predict` the row number; two more are the row number and the
    label, whose place must be known.
    """
    first = [cell.strip() for cell in rows[0]]
    places = range(len(first))
    names = [str(place + 1) for place in places]
    label = ids = None
    if known.label_column is not None:
        label = _chosen(names, where, known.label_column)
    files = [place for place in places if PICTURE.fullmatch(first[place])]
    if files:
        others = [place for place in places if place != files[0]]
        return _of_files(names, None, files[0], label, others, where, known)
    counter = _counter(rows, places)
    was = known.label_was if _NUMBER.fullmatch(known.label_was or "") else None
    more = next((count for count in range(3) if known.fits(len(first) - count)), None)
    guessed = False
    if known.label_column is not None:
        if counter != label and known.fits(len(first) - 1 - (label is not None)):
            ids = counter
    elif more == 1 and counter is not None and not known.labeled:
        ids = counter
    elif more == 1 and was is None:
        if is_number(first[0]) and not is_number(first[-1]):
            raise _doubtful(where, "the last column has words")
        label, guessed = 0, True
    elif was and (more == 1 or (more == 2 and counter is not None and known.pixels)):
        label = _chosen(names, where, was)
        ids = counter if more == 2 and counter != label else None
    elif more == 2 and counter is not None:
        raise _doubtful(where, f"column {counter + 1} numbers the rows")
    elif more != 0:
        raise _no_image(where, len(first), known.pixels)
    pixels = [place for place in places if place not in (label, ids)]
    if not pixels:
        raise _no_image(where, len(first), known.pixels)
    return Columns(names=names, header=False, label=label, pixels=pixels, ids=ids, guessed=guessed)


def _counter(rows: Sequence[Row], places: Sequence[int]) -> int | None:
    """The first of some columns that numbers the rows."""
    for place in places:
        cells = (row[place].strip() if len(row) > place else "" for row in rows)
        first = next(cells, "")
        if first.isdecimal() and len(first) <= _DIGITS and len(rows) > 1:
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
    ids = next((place for place in places if is_id(names[place]) and place != label), None)
    rest = [place for place in places if place != label and not is_id(names[place])]
    by_user = [] if said is None or label is None else [label]
    if set(by_user) & set(_pixels(names, rest + by_user)) and not known.fits(len(rest)):
        raise DataError(
            f"{where}: the column {said} is a pixel by its name, {names[by_user[0]]}",
            fix=f"give that of the label as {_OPTION}, by its name",
        )
    files = [
        place
        for place in rest
        if rows and len(rows[0]) > place and PICTURE.fullmatch(rows[0][place].strip())
    ]
    if files:
        others = [place for place in rest if place != files[0]]
        return replace(_of_files(names, rows, files[0], label, others, where, known), ids=ids)
    found = _pixels(names, rest)
    others = _without(rest, found)
    open_label, one_hot = label is None and said is None, list[int]()
    if open_label:
        label, one_hot = _label(names, rows, others, bool(found), where, known)
    if not found:
        found = [place for place in _without(others, one_hot) if place != label]
    others = [place for place in _without(others, [*found, *one_hot]) if place != label]
    if label is None and open_label and not one_hot and known.fits(len(found) - 1):
        raise DataError(
            f"{where} has {len(found)} columns of numbers, and none by the name of a label",
            cause=f"one of {listing([names[place] for place in found])} may be the label",
            fix=f"say which: {_OPTION} {names[found[0]]}, or {_OPTION} none",
        )
    if not found:
        raise _no_image(where, len(names), known.pixels)
    if not known.labeled and ids is None and len(others) == 1 and open_label:
        ids, others = others[0], []  # an identifier of the images with an unusual name
    order = _order([names[place] for place in found])
    pixels = [found[index] for index in order] if order else found
    unread = [names[place] for place in others]
    meaning = Columns(names=names, header=True, label=label, pixels=pixels, ids=ids, unread=unread)
    return replace(meaning, one_hot=one_hot)


def _pixels(names: Sequence[str], places: Sequence[int]) -> list[int]:
    """The columns that are pixels by their names: most of those that have names of one kind."""
    kinds = {
        place: sys.intern(_kind(names[place]))  # they are few
        for place in places
        if _PIXEL.fullmatch(names[place])
    }
    if not kinds:
        return []
    ((kind, count),) = Counter(kinds.values()).most_common(1)
    return [place for place in kinds if kinds[place] == kind] if 2 * count >= len(places) else []


def _label(
    names: Sequence[str],
    rows: Sequence[Row],
    others: Sequence[int],
    has_pixels: bool,
    where: str,
    known: Known,
) -> tuple[int | None, list[int]]:
    """The one column of these that is the label, or those that are one-hot."""
    by_name = [place for place in others if simple(names[place]) in LABELS]
    if len(by_name) == 1 or (by_name and not known.labeled):
        return by_name[0], []
    candidates = by_name or (others if has_pixels and known.labeled else [])
    if len(candidates) < 2:
        return next(iter(candidates), None), []
    if are_one_hot(rows, candidates):
        return None, list(candidates)
    raise DataError(
        f"{where} has several columns that may be the label:"
        f" {', '.join(names[place] for place in candidates)}",
        fix=f"say which: {_OPTION} {names[candidates[0]]}",
    )


def _of_files(
    names: list[str],
    rows: Sequence[Row] | None,
    file: int,
    label: int | None,
    others: Sequence[int],
    where: str,
    known: Known,
) -> Columns:
    """The columns of a table of picture files and their labels; `rows` only below a header."""
    header, one_hot = rows is not None, list[int]()
    others = [place for place in others if place != label]
    if label is None and known.label_column is None:
        was = known.label_was
        if was is not None and not header and _NUMBER.fullmatch(was) and int(was) <= len(names):
            label = _chosen(names, where, was)
        elif len(others) == 1:
            label = others[0]
        else:
            label, one_hot = _label(names, rows or (), others, True, where, known)
    unread = [names[place] for place in _without(others, one_hot) if place != label]
    meaning = Columns(names=names, header=header, label=label, file=file, unread=unread)
    return replace(meaning, one_hot=one_hot)


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
    listed = [*_without(names, pixels), *pixels]
    close = similar(names, label_column)
    raise DataError(
        f"{where} has no column {quoted(repr(label_column))}"
        + (f"; did you mean {quoted(close)}?" if close else ""),
        cause=f"its columns are {listing(listed)}",
        fix=f"give one of them as {_OPTION}, or its number: 1 is the first, -1 the last",
    )


def _without(several: Sequence[Item], others: Iterable[Item]) -> list[Item]:
    """Some items in their order, without others."""
    left_out = set(others)
    return [item for item in several if item not in left_out]


def _order(names: Sequence[str]) -> list[int] | None:
    """The order of pixels by the numbers in their names; None if those do not say one."""
    kinds = {_kind(name) for name in names}
    counts = {len(_numbers(name)) for name in names}
    digits = (len(text) for name in names for text in _numbers(name))
    if len(kinds) != 1 or len(counts) != 1 or not 0 < max(digits, default=0) <= _DIGITS:
        return None
    (kind,), (count,) = kinds, counts
    # In an array: a tuple a name would take ten times the memory.
    numbers = np.fromiter((int(text) for name in names for text in _numbers(name)), np.int64)
    keys = numbers.reshape(len(names), count).T  # the first decides, then the next
    if len(keys) == 2 and _COLUMN_FIRST.fullmatch(kind):
        keys = keys[::-1]
    elif len(keys) != 1 and not _ROW_FIRST.fullmatch(kind):
        return None
    order = np.lexsort(keys[::-1])
    is_double = (np.diff(keys[:, order]) == 0).all(axis=0).any()
    return None if is_double else list(map(int, order))


def _numbers(name: str) -> list[str]:
    """The numbers in a name."""
    return re.findall(r"\d+", name)


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
