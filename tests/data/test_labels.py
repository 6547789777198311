"""Labels of every kind that files hold."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gpucnn.data import labels as labels_module
from gpucnn.data import storage
from gpucnn.data.labels import MOST_CLASSES, as_labels, class_ids, class_names, listing
from gpucnn.errors import DataError

WORDS = ["cat", "dog", "cat"]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([2, 0, 1], np.uint8), [2, 0, 1]),
        (np.array([2, 0, 1], ">i8"), [2, 0, 1]),
        (np.array([[2], [0], [1]]), [2, 0, 1]),
        (np.array([2.0, 0.0, 1.0], np.float32), [2, 0, 1]),
        (np.array([[2.0], [0.0], [1.0]]), [2, 0, 1]),
        (np.array([True, False, True]), ["True", "False", "True"]),  # as a table has them
        (np.array([[True], [False]], object), ["True", "False"]),
        (np.eye(3)[[2, 0, 1]], [2, 0, 1]),
        (np.eye(3, dtype=np.uint8)[[2, 0, 1]], [2, 0, 1]),
        (np.eye(3, dtype=bool)[[2, 0, 1]], [2, 0, 1]),
        (np.array(WORDS), WORDS),
        (np.array([b"cat", b"dog", b"cat"]), WORDS),
        (np.array(WORDS, dtype=object), WORDS),
        (np.array([" cat", "dog ", "cat"]), WORDS),
        (np.array(["2", "0", "1"]), [2, 0, 1]),
        (np.array(["2.0", "0.000e+00", "1"]), [2, 0, 1]),
        (np.array(["a", "7", "10"]), ["a", "7", "10"]),
        (np.array([], np.int64), []),
    ],
)
def test_labels(array: Any, expected: list[Any]) -> None:
    labels = as_labels(array, "y")
    assert labels.tolist() == expected
    assert labels.dtype.kind in ("i" if array.size == 0 or expected[0] in (0, 1, 2) else "O")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([0, 1, -1]), "y, image 2: the label is -1"),
        (np.array([0, 65536]), "y, image 1: the label is 65536"),
        (np.array([0, 1.5]), r"y, image 1: the label is 1\.5"),
        (np.array([0, np.nan]), "y, image 1: the label is nan"),
        (np.array([np.inf, 0]), "y, image 0: the label is inf"),
        (np.array(["a", ""]), "y, image 1: the label is ''"),
        (np.array(["a", "NaN"]), "y, image 1: the label is 'NaN'"),
        (np.array(["1", "-2"]), "y, image 1: the label is '-2'"),
        (np.array([[0, 1, 1], [1, 0, 0]]), "not one-hot"),
        (np.array([[0.2, 0.8], [1, 0]]), "not one-hot"),
        (np.array([["a", "b"]]), "not one-hot"),
        (np.zeros((2, 1, 1)), r"shape \(2, 1, 1\)"),
        (np.array([1j]), "complex128"),
        (np.array(["2020-01-01"], "M8[D]"), "datetime64"),
    ],
)
def test_labels_that_are_refused(array: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        as_labels(array, "y")
    assert error.value.exit_code == 4


@pytest.mark.parametrize("chunk", [1, 50, 2**22])
@pytest.mark.parametrize("dtype", [bool, np.int16, ">f4"])
def test_one_hot_rows_are_read_in_pieces(
    monkeypatch: pytest.MonkeyPatch, chunk: int, dtype: Any
) -> None:
    monkeypatch.setattr(storage, "CHUNK", chunk)
    numbers = np.arange(40) * 7 % 11
    rows = np.eye(11)[numbers].astype(dtype)
    for array in (rows, np.asfortranarray(rows)):
        assert as_labels(array, "y").tolist() == numbers.tolist()
    rows[34, 0] = 1
    with pytest.raises(DataError, match="not one-hot") as error:
        as_labels(rows, "y")
    assert "that of image 34 is " in (error.value.cause or "")


def test_the_number_of_classes_is_bounded() -> None:
    """Also in one-hot rows and in words, which say no number."""
    rows = np.zeros((2, MOST_CLASSES), np.uint8)
    rows[0, 7] = rows[1, -1] = 1
    assert as_labels(rows, "y").tolist() == [7, MOST_CLASSES - 1]
    with pytest.raises(DataError, match=r"shape \(2, 65537\), and not one-hot") as error:
        as_labels(np.eye(2, MOST_CLASSES + 1, dtype=np.uint8), "y")
    assert "at most 65,536" in (error.value.cause or "")
    words = np.char.add("n", np.arange(MOST_CLASSES + 1).astype(str))
    assert as_labels(words[1:], "y").tolist() == words[1:].tolist()
    with pytest.raises(DataError, match="y has more than 65,536 different labels") as error:
        as_labels(np.concatenate([words[:9], words]), "y")
    assert error.value.cause == "that of image 65545 is one more: n65536"
    with pytest.raises(DataError, match="y, image 65536: the label is '65536'"):
        as_labels(np.arange(MOST_CLASSES + 3).astype(str), "y")


def test_labels_are_compared_with_images_before_they_are_read() -> None:
    for labels in (np.zeros(4), np.array(["a", ""]), np.zeros((2, 9)), np.zeros((4, 1))):
        with pytest.raises(DataError, match=f"y: 3 images but {len(labels)} labels"):
            as_labels(labels, "y", images=3)
    with pytest.raises(DataError, match=r"shape \(\)"):
        as_labels(np.array(5), "y", images=3)
    assert as_labels(np.array([[1], [0]]), "y", images=2).tolist() == [1, 0]


_MANY = 300_000


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(_MANY, np.uint8),
        np.zeros(_MANY, ">i8"),
        np.zeros((_MANY, 1), np.float64),
        np.zeros(_MANY, bool),
        np.full(_MANY, b"7"),
        np.array(["b" * 199, *"aa"])[np.arange(_MANY) % 2 + 1],
        np.array(["b" * 199, *"aa"], object)[np.minimum(np.arange(_MANY), 1)],
        np.broadcast_to(np.eye(1, 1000, dtype=np.uint8), (30_000, 1000)),
    ],
    ids=lambda array: f"{array.dtype}-{array.ndim}",
)
def test_labels_take_few_bytes(array: NDArray[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """4 a number and 12 a word, whatever they are in the file, and what a few pieces take."""
    monkeypatch.setattr(storage, "CHUNK", 2**16)
    monkeypatch.setattr(labels_module, "_SOME", 2**8)
    np.unique(array[:2])  # loads modules
    tracemalloc.start()
    try:
        labels = as_labels(array, "y")
        names = class_names([labels])
        ids = class_ids(labels, names, "y")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert ids.dtype == np.int32
    assert len(ids) == len(array)
    assert peak < (12.5 if array.dtype.kind in "bSUO" else 4) * len(array) + 1_000_000


def test_what_an_image_is_called() -> None:
    with pytest.raises(DataError, match=r"t\.csv, line 5: the label is '-3'"):
        as_labels(np.array(["1", "-3"]), "t.csv", lambda k: f"line {k + 4}")


def test_class_names() -> None:
    assert class_names([np.array([0, 3]), np.array([5, 1])]) == ["0", "1", "2", "3", "4", "5"]
    assert class_names([np.array(["dog", "10", "9"]), np.array(["cat"])]) == [
        "9", "10", "cat", "dog"
    ]  # fmt: skip
    assert class_names([np.array([1, 0]), np.array(["x"])]) == ["0", "1", "x"]
    assert class_names([]) == []


def test_class_ids() -> None:
    labels = np.array(["b", "a", "b", "c"])
    assert class_ids(labels, ["a", "b", "c"], "y").tolist() == [1, 0, 1, 2]
    assert class_ids(labels, ["c", "b", "a"], "y").tolist() == [1, 2, 1, 0]
    assert class_ids(np.array([26, 1, 26]), [str(k) for k in range(1, 27)], "y").tolist() == [
        25, 0, 25
    ]  # fmt: skip
    assert class_ids(np.array([], np.int64), ["a"], "y").dtype == np.int32
    with pytest.raises(DataError, match="y has labels that are no class: c") as error:
        class_ids(labels, ["a", "b"], "y")
    assert error.value.cause == "the classes are a, b"


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["0", "1", "2", "3"], "0-3"),
        (["7", "8"], "7, 8"),
        (["1", "2", "4"], "1, 2, 4"),
        (["a"], "a"),
        ([], ""),
        (list("abcdefghij"), "a, b, c, d, e, f, g, h, ..."),
        (["0", "1", "x"], "0, 1, x"),
        (["new\nline", "tab\t"], "new\\nline, tab\\t"),
    ],
)
def test_listing(names: list[str], text: str) -> None:
    assert listing(names) == text
