"""Dataset, one-hot and the scaling of pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.data import Dataset, Splits, load, one_hot, pixel_scaling
from gpucnn.errors import DataError, UsageError


def make(images: Any, labels: Any = None, classes: int = 3) -> Dataset:
    return Dataset("toy", np.asarray(images), labels, classes)


def test_labels_are_checked() -> None:
    images = np.zeros((3, 1, 2, 2), dtype=np.uint8)
    for bad in (3, -1):
        with pytest.raises(DataError, match=f"toy: label {bad} of image 1 is not in 0..2"):
            make(images, np.array([0, bad, 2]))
    with pytest.raises(DataError, match="3 images but 2 labels"):
        make(images, np.array([0, 1]))
    dataset = make(images, np.array([0, 1, 2], dtype=np.int64))
    assert dataset.labels is not None
    assert dataset.labels.dtype == np.int32
    assert dataset.class_names == ["0", "1", "2"]


def test_labels_may_be_a_list() -> None:
    images = np.zeros((2, 1, 2, 2), dtype=np.uint8)
    labels = make(images, [2, 0]).labels
    assert labels is not None
    assert (labels.dtype, labels.tolist()) == (np.int32, [2, 0])
    for names in (["cat", "dog"], np.array([b"cat", b"dog"]), [None, 1]):
        with pytest.raises(DataError, match="toy: the labels are") as caught:
            make(images, names)
        assert "return_inverse" in str(caught.value.fix)
    with pytest.raises(UsageError, match="images is a list"):
        Dataset("toy", images.tolist(), None, 3)


def test_printing_shows_shapes_and_no_pixels() -> None:
    dataset = make(np.zeros((500, 3, 32, 32), np.uint8), np.zeros(500, np.int32))
    text = repr(Splits(dataset, dataset.subset(slice(2))))
    assert "uint8 (500, 3, 32, 32)" in text
    assert "int32 (2,)" in text
    assert "labels=None" in repr(make(dataset.images))
    assert len(text) < 500


def test_a_subset_is_no_single_image() -> None:
    dataset = make(np.zeros((4, 1, 2, 2), np.uint8))
    for index in (3, np.int64(3), -1):
        with pytest.raises(UsageError, match="a subset at") as caught:
            dataset.subset(index)
        assert "subset([3])" in str(caught.value.fix)
    mask = np.array([True, False, True, False])
    assert len(dataset.subset(mask)) == len(dataset.subset(range(2))) == 2


def test_subset() -> None:
    dataset = make(np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1), np.array([0, 1, 2, 0]))
    part = dataset.subset([2, 0])
    assert part.labels is not None
    assert (part.images.ravel().tolist(), part.labels.tolist()) == ([2, 0], [2, 0])
    assert make(dataset.images).subset(slice(1)).labels is None


def test_data_sets_are_compared_by_identity() -> None:
    images = np.zeros((2, 1, 2, 2), dtype=np.uint8)
    one, other = make(images), make(images)
    assert one in [one]
    assert one != other
    assert Splits(one) != Splits(other)
    assert len({one, other}) == 2


def test_one_hot() -> None:
    encoded = one_hot([2, 0, 1])
    assert encoded.dtype == np.float32
    assert encoded.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    assert one_hot(np.array([[1], [0]]), 4).tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]
    assert one_hot([], 4).shape == (0, 4)


@pytest.mark.parametrize("labels", [[0, 5], [-1, 2], [0.5, 1]])
def test_one_hot_refuses(labels: list[float]) -> None:
    with pytest.raises(DataError, match="labels"):
        one_hot(labels, 5)


def test_scaling_to_one_and_to_unit_variance() -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 5, 5), dtype=np.uint8)
    assert pixel_scaling(make(images)) == (1 / 255, 0.0)
    scale, offset = pixel_scaling(make(images), standardise=True)
    standardised = images * scale + offset
    assert standardised.mean() == pytest.approx(0.0, abs=1e-12)
    assert standardised.std() == pytest.approx(1.0, abs=1e-12)


def test_scaling_of_a_constant_and_of_floats() -> None:
    scale, offset = pixel_scaling(make(np.full((2, 1, 3, 3), 7, dtype=np.uint8)), standardise=True)
    assert 7 * scale + offset == 0.0
    assert pixel_scaling(make(np.zeros((2, 5))), standardise=True) == (1.0, 0.0)


def test_standardising_mnist_gives_the_known_numbers(mnist_dir: Path) -> None:
    scale, offset = pixel_scaling(load("mnist", mnist_dir, validation=0).train, standardise=True)
    assert f"{-offset / scale / 255:.4f} {1 / scale / 255:.4f}" == "0.1307 0.3081"


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["a", "b", "a"], "'a' is given twice"),
        (["a", "b", "c" * 201], "a class name has 201 characters"),
        (["a", "b", "\ud800"], "is no text in UTF-8"),
    ],
)
def test_class_names(names: list[str], says: str) -> None:
    images = np.zeros((3, 1, 2, 2), np.uint8)
    with pytest.raises(DataError) as caught:
        Dataset("mine", images, np.arange(3), 3, names)
    assert says in caught.value.message
    assert len(caught.value.message) < 100
    assert Dataset("mine", images, None, 3, ["a", "A", "c" * 200]).classes == 3
