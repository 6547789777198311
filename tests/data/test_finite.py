"""NaN, infinity and numbers beyond float32 are refused at every door, by file and row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpucnn.backend
from gpucnn.data import Dataset, Loader, load, one_hot
from gpucnn.data.resolve import read
from gpucnn.errors import DataError, UsageError

BAD = [np.nan, np.inf, -np.inf]
FLOATS = ["float16", "float32", "float64"]
LABELS = np.arange(6) % 2
CPU = gpucnn.backend.get("cpu")


def images(bad: float = 0, dtype: str = "float32", row: int = 3) -> Any:
    """Six images (4, 4), one of them with a bad pixel."""
    array = np.full((6, 4, 4), 0.5, dtype)
    array[row, 1, 2] = bad
    return array


def labels(bad: float, dtype: str) -> Any:
    array = LABELS.astype(dtype)
    array[4] = bad
    return array


@pytest.mark.parametrize("cell", ["nan", "NaN", "inf", "-inf", "1e999", "", "NA"])
@pytest.mark.parametrize("place", [0, 2])
def test_tables(tmp_path: Path, cell: str, place: int) -> None:
    rows = [[str(n % 2), "1", "2", "3", "4"] for n in range(5)]
    rows[3][place] = cell
    if (place, cell) == (0, "1e999"):
        return  # a name, as 1e1 is
    file = tmp_path / "t.csv"
    file.write_text("label,p0,p1,p2,p3\n" + "".join(",".join(row) + "\n" for row in rows))
    column = r"the pixel 1 \(column `p1`\) is" if place else "the label is"
    with pytest.raises(DataError, match=rf"t\.csv, line 5: {column} '{cell}'"):
        load(str(file))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bad", BAD)
class TestNumPyFiles:
    def test_images_of_an_archive(self, tmp_path: Path, bad: float, dtype: str) -> None:
        np.savez(tmp_path / "a.npz", x_train=images(bad, dtype), y_train=LABELS)
        with pytest.raises(DataError, match=r"image 3 of x_train of .*a\.npz holds (NaN|-?inf)"):
            load(str(tmp_path / "a.npz"))

    def test_labels_of_an_archive(self, tmp_path: Path, bad: float, dtype: str) -> None:
        np.savez(tmp_path / "a.npz", x=images(), y=labels(bad, dtype))
        with pytest.raises(DataError, match=r"y of .*a\.npz, image 4: the label is (nan|-?inf)"):
            load(str(tmp_path / "a.npz"))

    def test_one_hot_labels_of_an_archive(self, tmp_path: Path, bad: float, dtype: str) -> None:
        rows = np.eye(2, dtype=dtype)[LABELS]
        rows[2, 1] = bad
        np.savez(tmp_path / "a.npz", x=images(), y=rows)
        with pytest.raises(DataError, match=r"y of .*a\.npz .* not one-hot") as caught:
            load(str(tmp_path / "a.npz"))
        assert f"that of image 2 is 1.0, {bad}" in str(caught.value.cause)

    def test_pairs_of_archives(self, tmp_path: Path, bad: float, dtype: str) -> None:
        first, second = (tmp_path / f"k-train-{part}.npz" for part in ("imgs", "labels"))
        np.savez(first, images(bad, dtype))
        np.savez(second, LABELS)
        with pytest.raises(DataError, match=r"image 3 of .*k-train-imgs\.npz holds"):
            load(str(first))
        np.savez(first, images())
        np.savez(second, labels(bad, dtype))
        with pytest.raises(DataError, match=r"k-train-labels\.npz, image 4: the label is"):
            load(str(first))

    def test_one_array(self, tmp_path: Path, bad: float, dtype: str) -> None:
        np.save(tmp_path / "a.npy", images(bad, dtype))
        with pytest.raises(DataError, match=r"image 3 of .*a\.npy holds"):
            read(tmp_path / "a.npy", labeled=False)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bad", BAD)
class TestArrays:
    def test_images(self, bad: float, dtype: str) -> None:
        dataset = Dataset("toy", images(bad, dtype)[:, None], LABELS, 2)
        word = "NaN" if np.isnan(bad) else "infinity"
        for part in (dataset, dataset.subset(slice(2, None)), dataset.subset([5, 3])):
            with pytest.raises(DataError, match=f"^image 3 of toy holds {word}"):
                Loader(part, 2, CPU)

    @pytest.mark.parametrize("shape", [(6,), (6, 2), (6, 2, 3)])
    def test_targets(self, bad: float, dtype: str, shape: tuple[int, ...]) -> None:
        targets = np.zeros(shape, dtype)
        targets[4] = bad
        with pytest.raises(DataError, match="the target of image 4 of toy holds"):
            Dataset("toy", images(), targets, 2)

    def test_weights(self, bad: float, dtype: str) -> None:
        with pytest.raises(DataError, match="the weight of image 4 of toy holds"):
            Dataset("toy", images(), LABELS, 2, weights=labels(bad, dtype))

    def test_one_hot(self, bad: float, dtype: str) -> None:
        with pytest.raises(DataError, match="whole numbers"):
            one_hot(labels(bad, dtype), 2)


@pytest.mark.parametrize("name", ["a{b}", "{}", "{0} {", "%s\\n"])
def test_any_name(name: str) -> None:
    with pytest.raises(DataError) as caught:
        Dataset(name, images(), labels(np.nan, "float32"), 2)
    assert caught.value.message == f"the target of image 4 of {name} holds NaN"


@pytest.mark.parametrize("value", [1e39, -1e300])
def test_numbers_beyond_float32(value: float) -> None:
    """The losses are float32, so such a number would be infinite."""
    with pytest.raises(DataError, match="target of image 4 of toy holds infinity") as caught:
        Dataset("toy", images(), labels(value, "float64"), 2)
    assert caught.value.cause == f"{value:g} is infinite as float32"
    with pytest.raises(DataError, match="the weight of image 4 of toy holds infinity"):
        Dataset("toy", images(), LABELS, 2, weights=labels(value, "float64"))
    wide = Dataset("toy", images(dtype="float64"), labels(value, "float64"), 2)
    assert wide.labels is not None
    assert wide.labels[4] == value  # of a network of float64


@pytest.mark.parametrize("dtype", [*FLOATS, "int64", "bool"])
def test_weights_become_float32(dtype: str) -> None:
    weights = Dataset("toy", images(), LABELS, 2, weights=np.ones(6, dtype)).weights
    assert weights is not None
    assert (weights.dtype, weights.tolist()) == (np.float32, [1] * 6)


@pytest.mark.parametrize("weights", [np.ones(5), np.ones((6, 1)), np.array(["a"] * 6), [1, 2]])
def test_weights_are_one_number_an_image(weights: Any) -> None:
    with pytest.raises(DataError, match=r"toy: the weights are .* for 6 images"):
        Dataset("toy", images(), LABELS, 2, weights=weights)


@pytest.mark.parametrize(
    ("given", "classes", "words"),
    [
        ([0, 2**40], None, "go up to 1099511627776"),
        ([0, 1e30], None, "number of classes is not given"),
        (np.array([2**64 - 1], np.uint64), None, "go up to 18446744073709551615"),
        (np.array([2**64 - 1], np.uint64), 3, "go from 18446744073709551615"),
        ([0, 1e30], 3, "not within 0..2"),
        ([0, -(2**31)], 3, "go from -2147483648 to 0"),
        (["cat"], 3, "whole numbers"),
        ([None], 3, "whole numbers"),
    ],
)
def test_labels_that_cannot_be_one_hot(given: Any, classes: int | None, words: str) -> None:
    with pytest.raises(DataError, match=words):
        one_hot(given, classes)


@pytest.mark.parametrize("classes", [0, -1, 2.5, "3"])
def test_a_number_of_classes_that_is_none(classes: Any) -> None:
    with pytest.raises(UsageError, match="classes is"):
        one_hot([0], classes)
