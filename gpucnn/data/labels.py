"""Labels of files (numbers, words or one-hot rows), converted to class ids with names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import DataError
from gpucnn.quoting import LONGEST, quoted

MOST_CLASSES = 2**16  # beyond it a number is a mistake, and would cost an output for each below
_MISSING = ("", "?", "na", "<na>", "nan", "null")
#: Text that is a number: 7, 7.0, 7.000e+00; 07, 1_1 and 1e1 are names.
_NUMBER = re.compile(
    r"-?(0|[1-9]\d*)(\.\d*)?|-?\d\.\d+e[+-]\d+|-?nan|-?inf", re.ASCII | re.IGNORECASE
)
_PLAIN = re.compile(r"0|[1-9]\d{0,17}", re.ASCII)

Labels = NDArray[Any]  # int64 (N,), or str (N,)


def as_labels(
    array: NDArray[Any], where: str, name: Callable[[int], str] = "image {}".format
) -> Labels:
    """The labels in an array: int64 (N,) if all of them are whole numbers, else str (N,).

    Args:
        array: (N,) or (N, 1) of integers, floats that are whole, text, or booleans, which become
            the text "False" and "True", as in a table; or (N, K) one-hot rows of zeros with a
            single one, which become the place of the one.
        where: the array, for messages: "y of digits.npz".
        name: the name of an image for messages, from its number counted from 0.

    Raises:
        DataError: another shape or type, or a label that is missing, negative, not whole or above
            65,535; the message names the first of them.
    """
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
    words = _as_text(flat, where, name)
    distinct, inverse = np.unique(words, return_inverse=True)
    if all(map(_NUMBER.fullmatch, distinct)):
        return _whole(distinct.astype(np.float64)[inverse], words, where, name)
    missing = np.isin(np.char.lower(distinct), _MISSING)
    stands = "it means that the label is missing; give the class another name"
    _refuse(words, missing[inverse], where, name, stands)
    broken = np.array([not is_text(word) for word in distinct], bool)
    _refuse(words, broken[inverse], where, name, "it is no text in UTF-8")
    return words


_UTF8 = "save the file as UTF-8, as in Excel's `CSV UTF-8`"


def _as_text(array: NDArray[Any], where: str, name: Callable[[int], str]) -> NDArray[np.str_]:
    """Text (N,), stripped and with composed letters (Unicode's NFC)."""
    if array.dtype.kind == "S":
        texts = [item.decode("utf-8", "surrogateescape") for item in array.tolist()]
    else:
        texts = list(map(str, array.tolist()))
    for place, text in enumerate(texts):
        if len(text) > LONGEST:  # each of an array takes as much memory as the longest
            raise DataError(
                f"{where}, {name(place)}: the label has {len(text):,} characters",
                cause=f"it begins with {quoted(text, 40)}",
                fix=f"give the class a name of at most {LONGEST}",
            )
    return np.array([composed(text.strip()) for text in texts], dtype=str)


def composed(text: str) -> str:
    """A name with composed letters: systems write "é" as one code point or as two."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def is_text(word: str) -> bool:
    """Whether UTF-8 has all of it: other bytes in a name or a file are halves of characters."""
    return word == word.encode(errors="ignore").decode()


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
    """Numbers as int64; `shown` are the labels as they are in the file."""
    if labels.dtype.kind == "f":
        _refuse(shown, np.isnan(labels), where, name, "the label is missing")
        _refuse(shown, np.isinf(labels), where, name, "the number of a class is finite")
        _refuse(shown, labels != np.trunc(labels), where, name, "the number of a class is whole")
    _refuse(shown, labels < 0, where, name, "classes are numbered from 0")
    above = f"the number of a class is below {MOST_CLASSES:,}"
    _refuse(shown, labels >= MOST_CLASSES, where, name, above)
    return labels.astype(np.int64)


def _from_one_hot(array: NDArray[Any], where: str, name: Callable[[int], str]) -> Labels:
    shown = ""
    if array.dtype.kind in "biuf":
        right = np.isin(array, (0, 1)).all(axis=1) & ((array == 1).sum(axis=1) == 1)
        if right.all():
            return array.argmax(axis=1).astype(np.int64)
        first = int(np.argmin(right))
        row = quoted(", ".join(map(str, array[first].tolist())), 40)
        shown = f"; that of {name(first)} is {row}"
    raise DataError(
        f"{where} is {array.dtype} of shape {array.shape}, and not one-hot",
        cause=f"a row must have a single 1, at the place of the image's class{shown}",
        fix="save one label for each image: the number of its class; several labels for an"
        " image are not supported",
    )


def one_hot_width(array: NDArray[Any]) -> int:
    """The number of classes of one-hot rows (N, K); 0 for labels of another form."""
    return array.shape[1] if array.ndim == 2 and array.shape[1] > 1 else 0


def _refuse(
    labels: NDArray[Any],
    wrong: NDArray[np.bool_],
    where: str,
    name: Callable[[int], str],
    cause: str,
) -> None:
    if not wrong.any():
        return
    index = int(np.argmax(wrong))
    raise DataError(
        f"{where}, {name(index)}: the label is {labels[index].item()!r}",
        cause=cause,
        fix="correct it, or leave the image out" if is_text(str(labels[index])) else _UTF8,
    )


def class_names(parts: Sequence[Labels]) -> list[str]:
    """The names of the classes of some labels: 0 to the highest number, or the words, sorted.

    Numbers among words come first, in their order.
    """
    if all(labels.dtype.kind == "i" for labels in parts):
        highest = max((int(labels.max(initial=-1)) for labels in parts), default=-1)
        return [str(number) for number in range(highest + 1)]
    words = {str(word) for labels in parts for word in np.unique(labels)}
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
    distinct, inverse = np.unique(labels, return_inverse=True)
    places = {name: place for place, name in enumerate(names)}
    unknown = [str(each) for each in distinct if str(each) not in places]
    if unknown:
        raise DataError(
            f"{where} has labels that are no class: {listing(unknown)}",
            cause=f"the classes are {listing(names)}",
            fix="correct the labels, or leave these images out",
        )
    table = np.array([places[str(each)] for each in distinct], dtype=np.int32)
    return table[inverse.reshape(-1)] if len(table) else np.zeros(0, np.int32)


def listing(names: Sequence[str], most: int = 8) -> str:
    """Names on one line: at most `most` of them, then "..."; consecutive numbers as "0-9"."""
    numbers = [int(name) for name in names if is_plain(name)]
    first = numbers[0] if numbers else 0
    if len(numbers) == len(names) > 2 and numbers == [*range(first, first + len(numbers))]:
        return f"{first}-{numbers[-1]}"
    shown = ", ".join(map(quoted, names[:most]))
    return f"{shown}, ..." if len(names) > most else shown
