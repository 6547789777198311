"""The lines of a table: its text, its rows, and the separator of their cells."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gpucnn.data import storage
from gpucnn.data.gzip_files import read_pieces
from gpucnn.data.header import is_header
from gpucnn.data.storage import Content
from gpucnn.errors import DataError
from gpucnn.quoting import quoted

LINE_FIX = "write a line for each image, separated by commas: label,pixel0,pixel1,..."
_SAMPLE = 1000  # rows that decide the meaning of the columns
_SAMPLE_CELLS = 800_000  # of them at most
_SEVERAL = 4  # quoted cells with a decimal comma in a row of cells between commas
_MOST_COLUMNS = 200_000  # more than the pixels of 256x256 in color
_LONGEST = 25 * _MOST_COLUMNS  # bytes of a line: cells may be 2.550000000000000000e+02
_STEP = 64  # lines
#: As Excel reads it; a quote, and what may be in a number, separate no cells.
_SEPARATOR_LINE = re.compile(r"""\s*sep=([^\w"'.+-])\s*""")
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True, eq=False)
class Lines:
    """The rows of a table, of which only those in use are text.

    Args:
        path: of the file.
        content: in UTF-8; "\\n" ends a line.
        starts: the first byte of every `_STEP`-th line that is not blank: a place for each line
            would take more memory than a short line.
        count: the number of lines that are not blank.
        separator: of the cells.
        skipped: the number of these lines before the first row.
        cut: the number of bytes of the first row that are left out.
        changes: made to each line.
    """

    path: Path
    content: Content
    starts: Sequence[int]
    count: int
    separator: str = ","
    skipped: int = 0
    cut: int = 0
    changes: tuple[Callable[[str], str], ...] = ()

    def __len__(self) -> int:
        return self.count - self.skipped

    def lines(self, rows: range) -> Iterator[str]:
        """The texts of some rows, one after the other."""
        for row, (start, end) in zip(rows, self._places(rows), strict=True):
            line = self.content[start if row else start + self.cut : end]
            # `as_labels` and the check of pixels refuse bytes that are no UTF-8.
            text = line.decode(errors="surrogateescape")
            for change in self.changes:
                text = change(text)
            yield text

    def line(self, row: int) -> str:
        """The text of a row."""
        return next(self.lines(range(row, row + 1)))

    def number(self, row: int) -> int:
        """The number of its line in the file, from 1."""
        start, _ = next(self._places(range(row, row + 1)))
        before = np.frombuffer(self.content, np.uint8)[:start]
        return storage.count(before, lambda byte: byte == ord("\n")) + 1

    def _places(self, rows: range) -> Iterator[tuple[int, int]]:
        """The first byte of each row, and the one behind its last."""
        first, last = self.skipped + rows.start, self.skipped + rows.stop
        begin = first // _STEP
        end = self.starts[begin] - 1 if first < last else 0
        for row in range(begin * _STEP, last):
            is_blank = True
            while is_blank:
                start = end + 1
                end = self.content.find(b"\n", start)
                end = len(self.content) if end < 0 else end
                is_blank = _is_blank(self.content[start:end])
            if row >= first:
                yield start, end

    def cells(self, rows: range) -> Iterator[list[str]]:
        """The cells of rows.

        Raises:
            DataError: there are too many of them, or one is too long.
        """
        for row, line in zip(rows, self.lines(rows), strict=True):
            if line.count(self.separator) >= _MOST_COLUMNS:
                raise DataError(
                    f"{self.path}, line {self.number(row)}: more than {_MOST_COLUMNS:,} columns",
                    fix=LINE_FIX,
                )
            if self.separator == " ":
                yield line.split()
                continue
            try:
                yield next(csv.reader([line], delimiter=self.separator, skipinitialspace=True))
            except csv.Error as error:
                raise DataError(
                    f"{self.path}, line {self.number(row)}: a cell cannot be read",
                    cause=str(error),
                    fix=LINE_FIX,
                ) from error

    def changed(self, change: Callable[[str], str]) -> Lines:
        """The same with one more change."""
        return replace(self, changes=(*self.changes, change))

    def of(self, row: int) -> list[str]:
        """The cells of one row."""
        return next(self.cells(range(row, row + 1)))

    def sample(self) -> list[list[str]]:
        """The cells of the first rows."""
        rows: list[list[str]] = []
        count = 0
        for cells in self.cells(range(min(len(self), _SAMPLE))):
            alike = dict(zip(cells, cells, strict=True))  # a text takes more than in the file
            rows.append([alike[cell] for cell in cells])
            count += len(cells)
            if count > _SAMPLE_CELLS and len(rows) > 1:
                break
        return rows


def read_lines(path: Path) -> Lines:
    """The lines of a table with its rows; a header in a comment becomes one of them."""
    text = _rows(path)
    separator = None
    if len(text) and (excel := _SEPARATOR_LINE.fullmatch(text.line(0))):
        separator = excel[1]
        text = replace(text, skipped=1)
    begun = itertools.takewhile(lambda line: line.startswith("#"), text.lines(range(len(text))))
    comments = sum(1 for _ in begun)
    if comments == len(text):
        raise DataError(f"{path} has no images", cause="it is empty", fix=LINE_FIX)
    text = replace(text, separator=separator or _separator(text.line(comments)))
    text = _with_points(_plain(text), comments)
    if comments:  # as np.savetxt writes a header
        last = comments - 1
        comment = text.line(last)
        cut = len(comment) - len(comment.lstrip("# "))
        whole = replace(text, skipped=text.skipped + last, cut=cut)
        both = list(whole.cells(range(2)))
        if len(both[0]) == len(both[1]) and is_header(both):
            return whole
    return replace(text, skipped=text.skipped + comments)


def _rows(path: Path) -> Lines:
    """The lines of a table that are not blank."""
    content, starts, count = storage.Spool(), array("q"), 0
    begun, size, is_blank = 0, 0, True  # of the last line, which may be in several pieces

    def end() -> None:
        nonlocal count
        if not is_blank:
            if count % _STEP == 0:
                starts.append(begun)
            count += 1

    for piece in _decoded(path):
        content.add(piece)
        for number, part in enumerate(piece.split(b"\n")):
            if number:  # the line before has ended
                end()
                begun, size, is_blank = begun + size + 1, 0, True
            size += len(part)
            is_blank = is_blank and _is_blank(part)
        if size > _LONGEST:
            raise DataError(
                f"{path} has a line of more than {_LONGEST:,} bytes",
                cause="an image with so many pixels is not read from a table",
                fix=LINE_FIX,
            )
    end()
    return Lines(path, content.content(), starts, count)


def _is_blank(line: bytes | bytearray) -> bool:
    """Whether there are only blanks in a line or a part, also those of other scripts."""
    rest = line.strip()
    if rest and " " < chr(rest[0]) < "\x7f":
        return False
    return not rest or rest.decode(errors="surrogateescape").isspace()


def _decoded(path: Path) -> Iterator[bytes]:
    """The pieces of a text in UTF-8, of whole characters; "\\n" ends a line."""
    pieces = read_pieces(path)
    head = next(pieces, b"")
    encoding = next((name for mark, name in _MARKS.items() if head.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in head[:100]:  # UTF-16 of plain letters, without its mark
        halves = head[0:100:2], head[1:100:2]
        if set(halves[1]) == {0} or set(halves[0]) == {0}:
            encoding = "utf-16-le" if set(halves[1]) == {0} else "utf-16-be"
        else:
            raise DataError(
                f"{path} is no table", cause="it has zero bytes, and text has none", fix=LINE_FIX
            )
    decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
    newlines = io.IncrementalNewlineDecoder(decoder, translate=True)
    try:
        for piece in itertools.chain([head], pieces, [b""]):
            yield newlines.decode(piece, final=not piece).encode(errors="surrogateescape")
    except UnicodeError as error:
        raise DataError(f"{path} is no table", cause=quoted(error), fix=LINE_FIX) from error


def _separator(line: str) -> str:
    """The separator of the cells of a line.

    Beside semicolons and tabs, commas may be in numbers (0,5) and in names.
    """
    counts = {mark: line.count(mark) for mark in (",", ";", "\t")}
    for mark in ("\t", ";"):
        if counts[mark] and 2 * counts[mark] >= counts[","]:
            return mark
    return "," if counts[","] or len(line.split()) < 2 else " "


def _plain(text: Lines) -> Lines:
    """The table without blanks before quotes, and without a last separator if all rows have one.

    Raises:
        DataError: a quoted cell goes on in the next line.
    """
    separator, rows = text.separator, range(len(text))
    if text.content.find(b'"') >= 0:
        for row, line in zip(rows, text.lines(rows), strict=True):
            if line.count('"') % 2:
                raise DataError(
                    f"{text.path}, line {text.number(row)}: a quoted cell goes on in the next line",
                    fix="write each row on one line",
                )
        text = text.changed(lambda line: line.replace(f'{separator} "', f'{separator}"'))
    if separator != " " and all(
        line.rstrip(" ").endswith(separator) or line.startswith("#") for line in text.lines(rows)
    ):
        text = text.changed(lambda line: line.rstrip(" ").removesuffix(separator))
    return text


def _with_points(text: Lines, first: int) -> Lines:
    """The same table with decimal points in place of decimal commas; `first` is its first row.

    Between commas, they are decimal commas if a row below the first has several of them in quotes:
    one may be in the name of a class, and those of a header in the names of pixels. "1,024" does
    not count, which may be a thousand.
    """
    mark = text.separator
    is_comma = mark == ","
    if mark == " " or (is_comma and text.content.find(b'"') < 0):
        return text
    quote, other = ('"', r"(?![1-9]\d{0,2},\d{3}\D)") if is_comma else ('"?', "")
    number = r"\d*),(\d+(?:[eE][-+]?\d+)?)"
    counted, cell = (
        re.compile(rf"((?:^|{mark}){quote}{unless}{number}(?={quote}(?:{mark}|$))")
        for unless in (other, "")
    )
    rows = range(first + is_comma, min(len(text), first + _SAMPLE))
    least = _SEVERAL if is_comma else 1
    if not any(len(counted.findall(line)) >= least for line in text.lines(rows)):
        return text
    return text.changed(lambda line: cell.sub(r"\1.\2", line))
