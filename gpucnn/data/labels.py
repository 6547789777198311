"""Labels of files (numbers, words or one-hot rows), converted to class ids with names."""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.data import storage
from gpucnn.errors import DataError
from gpucnn.quoting import LONGEST, quoted

MOST_CLASSES = 2**16  # beyond it a number is a mistake, and would cost an output for each below
_MISSING = ("", "?", "na", "<na>", "nan", "null")
#: Text that is a number: 7, 7.0, 7.000e+00; 07, 1_1 and 1e1 are names.
_NUMBER = re.compile(
    r"-?(0|[1-9]\d*)(\.\d*)?|-?\d\.\d+e[+-]\d+|-?nan|-?inf", re.ASCII | re.IGNORECASE
)
_PLAIN = re.compile(r"0|[1-9]\d{0,17}", re.ASCII)

Labels = NDArray[Any]  # int32 (N,), or text: objects that are str, (N,)
_SOME = 1 << 14  # labels that are Python objects at a time


def as_labels(
    array: NDArray[Any],
    where: str,
    name: Callable[[int], str] = "image {}".format,
    images: int | None = None,
) -> Labels:
    """The labels in an array: int32 (N,) if all of them are whole numbers, else text (N,).

    Args:
        array: (N,) or (N, 1) of integers, floats that are whole, text, or booleans, which become
            the text "False" and "True", as in a table; or (N, K) one-hot rows of zeros with a
            single one, which become the place of the one.
        where: the array, for messages: "y of digits.npz".
        name: the name of an image for messages, from its number counted from 0.
        images: the number of images, which have one label each; None if it is not known.

    Raises:
        DataError: another shape, type or number of labels, more than 65,536 classes, or a label
            that is missing, negative, not whole or above 65,535; the message names the first.
    """
    if array.ndim and images is not None and len(array) != images:  # before labels are converted
        raise DataError(
            f"{where}: {images:,} images but {len(array):,} labels",
            fix="give the labels of these images, one each",
        )
    if array.ndim == 2 and array.shape[1] > 1:
        return _from_one_hot(array, where, name)
    flat = array.reshape(-1)
    if array.ndim not in (1, 2) or array.dtype.kind not in "biufUSO":
        raise DataError(
            f"{where} is {array.dtype} of shape {array.shape}, where labels are (N,)",
            fix="save one label for each image: the number or the name of its class",
        )
    if flat.dtype.kind in "iuf":
        return _whole(flat, flat, where, name)
    labels = TextLabels(where, name)
    for some in _some(flat):
        labels.add(_as_text(some))
    return labels.labels()


class TextLabels:
    """Labels that are text, added a few at a time. Each different one is held once.

    After more than `MOST_CLASSES` different ones, no more labels are taken.

    Args:
        where: for messages, as in `as_labels`.
        name: as in `as_labels`.

    Attributes:
        words: the different labels, stripped and with composed letters (Unicode's NFC) -> their
            places, in the order in which they occur.
    """

    def __init__(self, where: str, name: Callable[[int], str]) -> None:
        self.words: dict[str, int] = {}
        self._where, self._name = where, name
        self._firsts: list[int] = []  # the first image that has each word
        self._ids = array("i")  # the place of each image's word

    def add(self, texts: Iterable[str]) -> None:
        """Add the labels of the next images.

        Raises:
            DataError: one is too long.
        """
        for text in texts:
            if len(self.words) > MOST_CLASSES:
                return
            place = self.words.get(text)
            self._ids.append(self._place(text) if place is None else place)

    def labels(self) -> Labels:
        """All labels: int32 (N,) if all of them are whole numbers, else text (N,).

        Raises:
            DataError: as `as_labels`.
        """
        words = np.array(list(self.words), object)

        def name(place: int) -> str:
            return self._name(self._firsts[place])

        if all(map(_NUMBER.fullmatch, self.words)):
            numbers = np.array(list(map(float, self.words)))
            values = _whole(numbers, words, self._where, name)
        else:
            values = words
            stands = "it means that the label is missing; give the class another name"
            _refuse(words, words, _are_missing, self._where, name, stands)
            _refuse(words, words, _are_broken, self._where, name, "it is no text in UTF-8")
        if len(words) > MOST_CLASSES:
            raise DataError(
                f"{self._where} has more than {MOST_CLASSES:,} different labels",
                cause=f"that of {name(MOST_CLASSES)} is one more: {quoted(words[-1], 40)}",
                fix="give the class of each image; a name that one image alone has is no class",
            )
        return values[np.frombuffer(self._ids, np.int32)] if self._ids else values

    def _place(self, text: str) -> int:
        """The place of a text that is not in `words` as it is written."""
        if len(text) > LONGEST:
            raise DataError(
                f"{self._where}, {self._name(len(self._ids))}: the label has {len(text):,}"
                " characters",
                cause=f"it begins with {quoted(text, 40)}",
                fix=f"give the class a name of at most {LONGEST}",
            )
        word = composed(text.strip())
        if word not in self.words:
            self._firsts.append(len(self._ids))
        return self.words.setdefault(word, len(self.words))


_UTF8 = "save the file as UTF-8, as in Excel's `CSV UTF-8`"


def _as_text(labels: NDArray[Any]) -> list[str]:
    """Text, bytes or other objects as text."""
    if labels.dtype.kind == "S":
        return [item.decode("utf-8", "surrogateescape") for item in labels.tolist()]
    return list(map(str, labels.tolist()))


def _some(labels: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Labels (N,), a few at a time."""
    step = min(_SOME, max(1, storage.CHUNK // max(1, labels.itemsize)))
    return (labels[start : start + step] for start in range(0, len(labels), step))


def composed(text: str) -> str:
    """A name with composed letters: systems write "é" as one code point or as two."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def is_text(word: str) -> bool:
    """Whether UTF-8 has all of it: other bytes in a name or a file are halves of characters."""
    return word == word.encode(errors="ignore").decode()


def _are_missing(words: NDArray[Any]) -> NDArray[np.bool_]:
    return np.array([word.lower() in _MISSING for word in words], bool)


def _are_broken(words: NDArray[Any]) -> NDArray[np.bool_]:
    return np.array([not is_text(word) for word in words], bool)


def name_problem(names: Sequence[str]) -> str | None:
    """What is wrong with the names of classes, in words; None if nothing is.

    Each is a text that no other has, of at most 200 characters.
    """
    seen = set()
    for name in map(str, names):
        if not is_text(name):
            return f"the class name {quoted(repr(name))} is no text in UTF-8"
        if len(name) > LONGEST:
            return f"a class name has {len(name):,} characters: {quoted(repr(name), 40)}"
        if name in seen:
            return f"the class name {quoted(repr(name))} is given twice"
        seen.add(name)
    return None


def _whole(
    labels: NDArray[Any], shown: NDArray[Any], where: str, name: Callable[[int], str]
) -> Labels:
    """Numbers as int32; `shown` are the labels as they are in the file."""

    def refuse(test: storage.Test, cause: str) -> None:
        _refuse(labels, shown, test, where, name, cause)

    if labels.dtype.kind == "f":
        refuse(np.isnan, "the label is missing")
        refuse(np.isinf, "the number of a class is finite")
        refuse(lambda some: some != np.trunc(some), "the number of a class is whole")
    refuse(lambda some: some < 0, "classes are numbered from 0")
    refuse(lambda some: some >= MOST_CLASSES, f"the number of a class is below {MOST_CLASSES:,}")
    return labels.astype(np.int32)


def _from_one_hot(array: NDArray[Any], where: str, name: Callable[[int], str]) -> Labels:
    cause = "a row must have a single 1, at the place of the image's class"
    if array.shape[1] > MOST_CLASSES:  # before anything is computed
        cause = f"one-hot rows have a place for each class, at most {MOST_CLASSES:,}"
    elif array.dtype.kind in "biuf":
        labels = np.empty(len(array), np.int32)
        for rows in storage.chunks(array):
            is_one = array[rows] == 1
            is_right = (is_one | (array[rows] == 0)).all(axis=1) & (is_one.sum(axis=1) == 1)
            if not is_right.all():
                first = rows.start + int(np.argmin(is_right))
                row = quoted(", ".join(map(str, array[first, :LONGEST].tolist())), 40)
                cause += f"; that of {name(first)} is {row}"
                break
            labels[rows] = is_one.argmax(axis=1)
        else:
            return labels
    raise DataError(
        f"{where} is {array.dtype} of shape {array.shape}, and not one-hot",
        cause=cause,
        fix="save one label for each image: the number of its class; several labels for an"
        " image are not supported",
    )


def one_hot_width(array: NDArray[Any]) -> int:
    """The number of classes of one-hot rows (N, K); 0 for labels of another form."""
    return array.shape[1] if array.ndim == 2 and array.shape[1] > 1 else 0


def _refuse(
    labels: NDArray[Any],
    shown: NDArray[Any],
    is_wrong: storage.Test,
    where: str,
    name: Callable[[int], str],
    cause: str,
) -> None:
    if (place := storage.first(labels, is_wrong)) is None:
        return
    (index,) = place
    (label,) = shown[index : index + 1].tolist()
    raise DataError(
        f"{where}, {name(index)}: the label is {label!r}",
        cause=cause,
        fix="correct it, or leave the image out" if is_text(str(label)) else _UTF8,
    )


def different(labels: NDArray[Any]) -> set[Any]:
    """The different labels in an array of any kind, as Python's objects."""
    found: set[Any] = set()
    for some in _some(labels):
        found.update((some if some.dtype.kind == "O" else np.unique(some)).tolist())
    return found


def class_names(parts: Sequence[Labels]) -> list[str]:
    """The names of the classes of some labels: 0 to the highest number, or the words, sorted.

    Numbers among words come first, in their order.
    """
    if all(labels.dtype.kind == "i" for labels in parts):
        highest = max((int(labels.max(initial=-1)) for labels in parts), default=-1)
        return [str(number) for number in range(highest + 1)]
    words = {str(word) for labels in parts for word in different(labels)}
    return sorted(words, key=in_order)


def in_order(name: str) -> tuple[bool, int, str]:
    """The key that sorts names: numbers first, by their value; then words."""
    return (False, int(name), name) if is_plain(name) else (True, 0, name)


def is_plain(name: str) -> bool:
    """Whether a name is a number as it is usually written: 7, not 07, and of 18 digits at most."""
    return _PLAIN.fullmatch(name) is not None


def class_ids(labels: Labels, names: Sequence[str], where: str) -> NDArray[np.int32]:
    """Each label's place among the names, int32 (N,).

    Raises:
        DataError: a label is none of the names.
    """
    places = {name: place for place, name in enumerate(names)}
    found = sorted(different(labels))
    if unknown := [str(each) for each in found if str(each) not in places]:
        raise DataError(
            f"{where} has labels that are no class: {listing(unknown)}",
            cause=f"the classes are {listing(names)}",
            fix="correct the labels, or leave these images out",
        )
    if labels.dtype == np.int32 and all(places[str(each)] == each for each in found):
        return labels
    table = {each: places[str(each)] for each in found}
    ids = (table[each] for some in _some(labels) for each in some.tolist())
    return np.fromiter(ids, np.int32, len(labels))


def listing(names: Sequence[str], most: int = 8) -> str:
    """Names on one line: at most `most` of them, then "..."; consecutive numbers as "0-9"."""
    numbers = [int(name) for name in names if is_plain(name)]
    first = numbers[0] if numbers else 0
    if len(numbers) == len(names) > 2 and numbers == [*range(first, first + len(numbers))]:
        return f"{first}-{numbers[-1]}"
    shown = ", ".join(map(quoted, names[:most]))
    return f"{shown}, ..." if len(names) > most else shown
