"""`Dataset.show`: the image at an index, its label, or what is wrong with the index."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gpucnn import data
from gpucnn.data import Dataset
from gpucnn.errors import ShapeError, UnknownNameError, UsageError

pytest.importorskip("matplotlib")


@pytest.fixture
def pictures(rng):
    """Six gray images of three classes."""
    images = rng.integers(0, 256, (6, 1, 5, 7), dtype=np.uint8)
    return Dataset("six", images, np.array([0, 1, 2, 2, 1, 0]), 3, ["cat", "dog", "2"])


def shown(picture) -> tuple[list[np.ndarray], list[str]]:
    """The arrays and the titles."""
    picture.png()
    axes = [each for each in picture.axes if each.images]
    return [np.asarray(a.images[0].get_array()) for a in axes], [a.get_title() for a in axes]


@pytest.mark.parametrize("index", [0, 3, -1, np.int64(4), np.array(2)])
def test_one_image(pictures, index):
    picture = pictures.show(index)
    (array,), (title,) = shown(picture)
    assert np.array_equal(array, pictures.images[index, 0])
    assert title == ["label 0: cat", "label 1: dog", "label 2"][pictures.labels[index]]
    (axes,) = picture.axes
    assert axes.images[0].get_cmap().name == "gray_r"
    assert axes.images[0].get_clim() == (0, 255)
    assert axes.get_xlabel() == "x (pixels)"


@pytest.mark.parametrize(
    "index",
    [slice(2), slice(None, None, -2), [5, 0, 5], (1, -6), np.array([3]), range(3)],
)
def test_several_images(pictures, index):
    places = np.arange(6)[index if isinstance(index, slice) else list(index)]
    arrays, titles = shown(pictures.show(index))
    assert len(arrays) == len(places)
    for array, place in zip(arrays, places, strict=True):
        assert np.array_equal(array, pictures.images[place, 0])
    assert [title.split()[1].strip(":") for title in titles] == [
        str(label) for label in pictures.labels[places]
    ]


def test_the_images_of_a_class(pictures):
    _, titles = shown(pictures.show(pictures.labels == 1))
    assert titles == ["label 1: dog"] * 2


@pytest.mark.slow
def test_the_first_64_of_many():
    digits = data.load("digits").train
    picture = digits.show(slice(None))
    arrays, titles = shown(picture)
    assert titles == [f"label {label}" for label in digits.labels[:64]]
    assert np.array_equal(arrays[63], digits.images[63, 0])
    assert picture.get_suptitle() == f"the first 64 of {len(digits):,} images"


def test_colors(rng):
    images = rng.integers(0, 256, (2, 3, 5, 7), dtype=np.uint8)
    (array,), (title,) = shown(Dataset("photos", images, None, 2).show(1))
    assert array == pytest.approx(images[1].transpose(1, 2, 0) / 255, abs=1e-6)
    assert title == ""


@pytest.mark.parametrize(
    ("labels", "title"),
    [([0.5, 1.25], "target 1.25"), ([[0, 1.0], [0.25, 0.75]], "target [0.25 0.75]")],
)
def test_targets(rng, labels, title):
    dataset = Dataset("targets", rng.random((2, 1, 4, 4)), np.array(labels), 2)
    assert shown(dataset.show(1))[1] == [title]


@pytest.mark.parametrize("index", [6, -7, [0, 6], [-7], 10**6])
def test_an_index_out_of_range(pictures, index):
    worst = index[-1] if isinstance(index, list) else index
    with pytest.raises(UsageError, match="six has no image") as error:
        pictures.show(index)
    assert error.value.message == f"six has no image {worst}"
    assert error.value.cause == "it has 6 images"
    assert error.value.fix == "give an index from 0 to 5, or from -6 to -1"


@pytest.mark.parametrize(
    "index",
    ["3", 1.0, None, [0.5], True, [True, False], [[0, 1]], slice(0, 2, 0), slice("a"), [[1], 2]],
)
def test_what_is_no_index(pictures, index):
    with pytest.raises(UsageError, match=re.escape(f"six has no image at {index!r}")) as error:
        pictures.show(index)
    assert "show(3)" in error.value.fix


@pytest.mark.parametrize("index", [[], slice(6, None), np.zeros(6, bool)])
def test_no_image_is_chosen(pictures, index):
    with pytest.raises(UsageError, match="chooses no image of six"):
        pictures.show(index)


def test_there_is_no_image():
    empty = Dataset("none", np.zeros((0, 1, 4, 4), np.uint8), None, 1)
    with pytest.raises(UsageError, match="none has no image 0"):
        empty.show(0)


@pytest.mark.parametrize(
    ("shape", "fix"), [((4, 784), "reshape(28, 28)"), ((4, 13), "as images"), ((4,), "as images")]
)
def test_rows_of_numbers(rng, shape, fix):
    with pytest.raises(ShapeError, match="table cannot be shown: its inputs are") as error:
        Dataset("table", rng.random(shape), None, 2).show(0)
    assert fix in error.value.fix


def test_images_of_other_channels(rng):
    with pytest.raises(ShapeError, match=r"show of bands: \(1, 5, 8, 8\) is not the shape"):
        Dataset("bands", rng.random((2, 5, 8, 8)), None, 2).show(0)


@pytest.mark.parametrize("name", ["show", "images", "labels"])
def test_the_splits_name_their_parts(name):
    splits = data.load("digits")
    assert not hasattr(splits, name)
    with pytest.raises(UnknownNameError, match=f"a Splits has no {name}") as error:
        getattr(splits, name)
    assert f".train.{name}" in error.value.fix
    with pytest.raises(AttributeError, match="object has no attribute 'epoch'"):
        _ = splits.epoch
