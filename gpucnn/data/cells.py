"""The cells of a table, parsed some rows at a time."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.data import storage
from gpucnn.data.columns import Columns
from gpucnn.data.labels import TextLabels
from gpucnn.data.lines import Lines
from gpucnn.data.one_hot_columns import class_places

_BLOCK = 1 << 12  # rows that are parsed at once, where they are short
#: Cells that NumPy reads as text, and as a 0 or 1 of a one-hot column; wider ones are read again.
_WIDE, _NARROW = "U100", "U8"


def parse(text: Lines, body: range, columns: Columns, labeled: bool) -> Cells | None:
    """The cells of all rows. None if a row has another number of columns, or a pixel is no number.

    Args:
        labeled: whether the labels are read.
    """
    for number in ("u1", "f8"):
        found = Cells(text, body, columns, labeled, number)
        lines = _not_blank(text.lines(body))
        step = max(1, min(_BLOCK, storage.CHUNK // found.dtype.itemsize))
        try:
            for start in range(0, len(body), step):
                rows = body[start : start + step]
                found.add(_parse_block(itertools.islice(lines, len(rows)), rows, found), rows)
        except ValueError:
            continue
        return found
    return None


def _parse_block(lines: Iterable[str], rows: range, found: Cells) -> NDArray[Any]:
    """The cells of some rows, (rows,) of `found.dtype`."""
    block = np.loadtxt(
        lines,
        found.dtype,
        comments=None,
        delimiter=None if found.text.separator == " " else found.text.separator,
        quotechar='"',
        ndmin=1,
    )
    if len(block) != len(rows):
        raise ValueError("a quoted cell goes on in the next row")
    return block


class Cells:
    """The cells of the rows that are parsed already.

    Args:
        text: the table.
        body: the rows that are images.
        columns: the meaning of its columns.
        labeled: whether the labels are read.
        number: the dtype that pixels are parsed as.

    Attributes:
        dtype: of a row. Neighboring columns of a kind are one field, called by the first place.
        pixels: of all rows, in their order in an image.
        kept: the dtype of these: a float64 takes more than most numbers in a text.
        scale: of the pixels.
        labels: the label column.
        one_hot: the places of the classes, if the labels are one-hot.
        texts: the place of another column that is read -> its cells.
    """

    def __init__(
        self, text: Lines, body: range, columns: Columns, labeled: bool, number: str
    ) -> None:
        self.text, self._columns, self._number = text, columns, number
        self._label = columns.label if labeled else None
        self._one_hot = columns.one_hot if labeled else ()
        self.texts: dict[int, list[str]] = {
            place: [] for place in (columns.ids, columns.file) if place is not None
        }
        self._kinds = np.full(len(columns.names), "U1", "U4")  # of the columns
        self._kinds[list(columns.pixels)] = number
        self._kinds[list(self._one_hot)] = _NARROW
        self._kinds[list(self.texts)] = _WIDE
        if self._label is not None:
            self._kinds[self._label] = _WIDE
        is_new = np.append(True, self._kinds[1:] != self._kinds[:-1])
        starts = np.append(np.flatnonzero(is_new), len(is_new)).tolist()
        self.dtype = np.dtype(
            [(f"{a}", str(self._kinds[a]), (b - a,)) for a, b in itertools.pairwise(starts)]
        )
        self.pixels = storage.Spool()
        self.kept = np.dtype(np.uint8 if number == "u1" else np.float32)
        self.scale = _Scale()
        self._first = body.start
        self._name = functools.partial(_name, text, body)
        self.labels = TextLabels(str(text.path), self._name)
        self.one_hot: list[NDArray[np.int32]] = []

    def add(self, block: NDArray[Any], rows: range) -> None:
        """Add the cells of some rows."""
        if self._columns.pixels:
            pixels = self._cells(block, self._number, self._columns.pixels)
            if self._number != "u1":
                self.scale.add(pixels)
            with np.errstate(over="ignore"):  # `scale` refuses it
                self.pixels.add(pixels.astype(self.kept, copy=False))
        for place, texts in self.texts.items():
            texts += self._text(block, _WIDE, [place], rows)[0]
        if self._label is not None:
            self.labels.add(self._text(block, _WIDE, [self._label], rows)[0])
        if self._one_hot:
            cells = self._text(block, _NARROW, self._one_hot, rows)
            start = rows.start - self._first
            where, name = str(self.text.path), lambda row: self._name(start + row)
            self.one_hot.append(class_places(cells, where, name))

    def _cells(self, block: NDArray[Any], kind: str, places: Sequence[int]) -> NDArray[Any]:
        """The cells of some columns of a kind, (rows, columns)."""
        runs = [block[name] for name in self.dtype.names or () if self.dtype[name].base == kind]
        whole = runs[0] if len(runs) == 1 else np.concatenate(runs, axis=1)
        order = np.searchsorted(np.flatnonzero(self._kinds == kind), places)
        return whole if np.array_equal(order, np.arange(whole.shape[1])) else whole[:, order]

    def _text(
        self, block: NDArray[Any], kind: str, places: Sequence[int], rows: range
    ) -> list[list[str]]:
        """The texts in each of some columns of a kind."""
        cells = self._cells(block, kind, places)
        if np.char.str_len(cells).max() < int(kind[1:]):
            return cells.T.tolist()
        whole = [[row[place] for place in places] for row in self.text.cells(rows)]
        return [list(column) for column in zip(*whole, strict=True)]


def _name(text: Lines, body: range, image: int) -> str:
    """The name of an image for messages."""
    return f"line {text.number(body[image])}"


class _Scale:
    """Whether numbers are pixels: all of them whole from 0 to 255, or all of them from 0 to 1."""

    def __init__(self) -> None:
        self._rows = 0
        self._firsts: dict[storage.Test, tuple[int, int]] = {}
        self._counts: Counter[storage.Test] = Counter()

    def add(self, pixels: NDArray[np.float64]) -> None:
        """Add the pixels of some rows, (rows, pixels)."""
        for test in (_is_outside, _is_broken, _is_large):
            if count := storage.count(pixels, test):
                self._counts[test] += count
                if test not in self._firsts:
                    row, pixel = storage.first(pixels, test) or (0, 0)
                    self._firsts[test] = self._rows + row, pixel
        self._rows += len(pixels)

    def wrong(self) -> tuple[int, int] | None:
        """(row, pixel) of the first number that is no pixel."""
        if _is_outside in self._firsts:
            return self._firsts[_is_outside]
        if not (self._counts[_is_broken] and self._counts[_is_large]):
            return None
        # The fewer are the mistake.
        is_fewer = self._counts[_is_broken] <= self._counts[_is_large]
        return self._firsts[_is_broken if is_fewer else _is_large]


def _not_blank(lines: Iterable[str]) -> Iterator[str]:
    """The lines; a ValueError at a blank one, which NumPy would skip."""
    for line in lines:
        if not line or line.isspace():
            raise ValueError("a row has no cells")
        yield line


def _is_outside(pixels: NDArray[Any]) -> NDArray[np.bool_]:
    return ~((pixels >= 0) & (pixels <= 255))  # NaN as well


def _is_broken(pixels: NDArray[Any]) -> NDArray[np.bool_]:
    return pixels != np.rint(pixels)


def _is_large(pixels: NDArray[Any]) -> NDArray[np.bool_]:
    return pixels > 1
