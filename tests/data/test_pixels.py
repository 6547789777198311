"""Arrays as images: layouts, types and scales."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucnn.data.pixels import as_images, doubts_of_scale
from gpucnn.data.reading import Reading
from gpucnn.errors import DataError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("shape", "expected", "channels"),
    [
        ((5, 28, 28), (5, 1, 28, 28), None),
        ((5, 1, 4, 6), (5, 1, 4, 6), "first"),
        ((5, 3, 4, 6), (5, 3, 4, 6), "first"),
        ((5, 4, 6, 3), (5, 3, 4, 6), "last"),
        ((5, 4, 6, 1), (5, 1, 4, 6), "last"),
        ((5, 32, 32, 3), (5, 3, 32, 32), "last"),
        ((5, 1, 1, 1), (5, 1, 1, 1), "first"),
        ((5, 49), (5, 1, 7, 7), None),
        ((5, 28, 3), (5, 1, 28, 3), None),
    ],
)
def test_layouts(shape: tuple[int, ...], expected: tuple[int, ...], channels: str | None) -> None:
    array = RNG.integers(0, 256, shape)
    images, reading, said = as_images(array, "x")
    assert images.shape == expected
    assert images.dtype == np.uint8
    assert images.flags.c_contiguous
    assert (reading.image_shape, reading.channels) == (expected[1:], channels)
    last = channels == "last"
    order = array.transpose(0, 3, 1, 2) if last else array.reshape(expected)
    np.testing.assert_array_equal(images, order)
    assert any("channels last" in words for words in said) == last


@pytest.mark.parametrize(
    ("given", "shape", "channels", "first"),
    [
        (Reading(channels="last"), (4, 3, 5, 3), "last", (3, 3, 5)),
        (Reading(channels="first"), (4, 3, 5, 3), "first", (3, 5, 3)),
        (Reading(image_shape=(3, 3, 5)), (4, 3, 5, 3), "last", (3, 3, 5)),
        (Reading(image_shape=(3, 5, 3)), (4, 3, 5, 3), "first", (3, 5, 3)),
        # What is known of the data of training gives way to what fits.
        (Reading(image_shape=(3, 8, 8), channels="last"), (4, 3, 8, 8), "first", (3, 8, 8)),
        (Reading(image_shape=(3, 8, 8), channels="first"), (4, 8, 8, 3), "last", (3, 8, 8)),
        (Reading(image_shape=(3, 3, 3), channels="last"), (4, 3, 3, 3), "last", (3, 3, 3)),
    ],
)
def test_what_is_said_decides(
    given: Reading, shape: tuple[int, ...], channels: str, first: tuple[int, ...]
) -> None:
    array = RNG.integers(0, 256, shape)
    images, reading, _ = as_images(array, "x", given)
    assert reading.channels == channels
    assert images.shape[1:] == first
    np.testing.assert_array_equal(
        images, array.transpose(0, 3, 1, 2) if channels == "last" else array
    )


def test_rows_of_color() -> None:
    image = RNG.integers(0, 256, (2, 3, 4, 6), dtype=np.uint8)
    shape = (3, 4, 6)
    for rows, channels in (
        (image.reshape(2, -1), "first"),
        (image.transpose(0, 2, 3, 1).reshape(2, -1), "last"),
    ):
        images, _, said = as_images(rows, "x", Reading(image_shape=shape, channels=channels))
        np.testing.assert_array_equal(images, image)
        assert "72 pixels as 3x4x6" in said[0]
    with pytest.raises(DataError, match="in an order that is not known") as error:
        as_images(image.reshape(2, -1), "x", Reading(image_shape=shape))
    assert "--channels" in (error.value.fix or "")


def test_transposed() -> None:
    array = RNG.integers(0, 256, (4, 5, 7), dtype=np.uint8)
    images, reading, said = as_images(array, "x", Reading(transpose=True))
    np.testing.assert_array_equal(images[:, 0], array.transpose(0, 2, 1))
    assert reading.image_shape == (1, 7, 5)
    assert "rows and columns of each image swapped" in said


@pytest.mark.parametrize(
    ("array", "expected", "said"),
    [
        (np.array([0, 7, 255], np.int64), [0, 7, 255], ""),
        (np.array([0.0, 7.0, 255.0]), [0, 7, 255], ""),
        (np.array([0, 7, 255], np.float16), [0, 7, 255], ""),
        (np.array([0, 7, 255], np.float32) / 255, [0, 7, 255], "0 to 1 as 0 to 255"),
        (np.array([0, 7, 255]) / 255, [0, 7, 255], "0 to 1 as 0 to 255"),
        (np.array([0.1, 0.5, 1.0]), [26, 128, 255], "0 to 1 as 0 to 255, rounded to 256 levels"),
        (np.array([True, False, True]), [255, 0, 255], "true as 255"),
        (np.array([1, 0, 1], np.uint8), [255, 0, 255], "zeros and ones as black and white"),
        (np.array([1.0, 0.0, 1.0]), [255, 0, 255], "0 to 1 as 0 to 255"),
        (
            np.array([1.00001, 0.5, -0.00001]),
            [255, 128, 0],
            "0 to 1 as 0 to 255, rounded to 256 levels",
        ),
        (np.array([0, 9, 63]), [0, 9, 63], ""),
        (np.array([0, 0, 0]), [0, 0, 0], ""),
        (np.array([2.00001, 200.0, 254.99999]), [2, 200, 255], ""),
    ],
)
def test_scales(array: Any, expected: list[int], said: str) -> None:
    images, _, words = as_images(array.reshape(1, 1, 3), "x")
    assert images.ravel().tolist() == expected
    assert words == ([said] if said else [])


@pytest.mark.parametrize(("highest", "is_dim"), [(0, False), (1, True), (63, True), (64, False)])
def test_images_that_are_nearly_black(highest: int, is_dim: bool) -> None:
    images = np.array([[[[0, highest]]], [[[0, 0]]]], np.uint8)
    notes = doubts_of_scale(images, "x.npy")
    assert len(notes) == is_dim
    if notes:
        assert notes[0].startswith(f"no pixel of x.npy is above {highest} of 255")
        assert notes[0].endswith("multiply the pixels by 255" + f" / {highest}" * (highest > 1))


def test_zeros_and_ones_are_read_as_the_data_before_them() -> None:
    """Integers; floats from 0 to 1 are of that scale whatever was read before."""
    gray, binary = np.array([[[0, 9, 255]]]), np.array([[[0, 1, 1]]])
    _, reading, _ = as_images(gray, "x")
    assert as_images(binary, "x", reading)[0].ravel().tolist() == [0, 1, 1]
    assert as_images(binary * 1.0, "x", reading)[0].ravel().tolist() == [0, 255, 255]
    _, reading, _ = as_images(binary, "x")
    assert as_images(binary, "x", reading)[0].ravel().tolist() == [0, 255, 255]
    assert as_images(gray, "x", reading)[0].ravel().tolist() == [0, 9, 255]


def test_rows_of_images_that_are_not_square_transposed() -> None:
    """The shape that is said is that of the upright image."""
    upright = RNG.integers(0, 256, (4, 3, 5, 7), dtype=np.uint8)
    swapped = upright.swapaxes(-1, -2)
    for stored, channels in (
        (swapped, None),
        (swapped.transpose(0, 2, 3, 1), None),
        (swapped.reshape(4, -1), "first"),
        (swapped.transpose(0, 2, 3, 1).reshape(4, -1), "last"),
    ):
        reading = Reading(image_shape=(3, 5, 7), channels=channels, transpose=True)
        images, found, _ = as_images(stored, "x", reading)
        np.testing.assert_array_equal(images, upright)
        assert found.image_shape == (3, 5, 7)


def _with(value: float, dtype: Any = np.float64) -> Any:
    array = np.full((20, 3, 3), 9, dtype)
    array[17, 1, 2] = value
    return array


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (_with(np.nan), "image 17 of x_train of f.npz holds NaN"),
        (_with(np.inf, np.float32), "image 17 of x_train of f.npz holds inf"),
        (_with(300), r"image 17 of x_train of f.npz holds 300\.0"),
        (_with(-1, np.int16), "image 17 of x_train of f.npz holds -1"),
        (_with(256, np.int16), "image 17 of x_train of f.npz holds 256"),
        (_with(7.5), r"image 17 of x_train of f.npz holds 7\.5"),
        (_with(1.5) / 9 + (_with(1.5) == 1.5), r"image 17 of x_train of f.npz holds 1\.16"),
        (np.zeros((2, 3, 3), dtype="U1"), "values of type <U1"),
        (np.zeros((2, 3, 3), dtype=complex), "values of type complex128"),
        (np.zeros((2, 5), dtype=np.uint8), "rows of 5 pixels, which are no square"),
        (np.zeros((2, 4, 4, 4), dtype=np.uint8), r"shape \(2, 4, 4, 4\)"),
        (np.zeros((2, 32, 32, 4), dtype=np.uint8), r"shape \(2, 32, 32, 4\)"),
        (np.zeros((2,), dtype=np.uint8), r"shape \(2,\)"),
        (np.zeros((32, 32, 3, 60), dtype=np.uint8), r"shape \(32, 32, 3, 60\)"),
        (np.zeros((60, 3, 5, 3), dtype=np.uint8), "channels perhaps first, perhaps last"),
        (np.zeros((0, 28, 28), dtype=np.uint8), "no images"),
        (np.zeros((20, 0, 0), dtype=np.uint8), "images without pixels"),
        (np.zeros((20, 1, 0, 28), dtype=np.uint8), "images without pixels"),
        (np.zeros((2, 3, 0, 5), dtype=np.uint8), "images without pixels"),
        (np.zeros((20, 0), dtype=np.uint8), "rows of 0 pixels"),
    ],
)
def test_arrays_that_are_no_images(array: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        as_images(array, "x_train of f.npz")
    assert error.value.fix
    assert error.value.exit_code == 4


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_fix_for_a_number_that_is_not_finite_mends_it(value: float, dtype: Any) -> None:
    array = _with(value, dtype)
    with pytest.raises(DataError) as error:
        as_images(array, "x")
    assert "numpy.nan_to_num(x, posinf=0, neginf=0)" in (error.value.fix or "")
    images = as_images(np.nan_to_num(array, posinf=0, neginf=0), "x")[0]
    np.testing.assert_array_equal(images[:, 0], _with(0, np.uint8))


@pytest.mark.parametrize(
    "shape", [(5, 1, 8, 8), (5, 32, 32, 1), (5, 8, 8), (5, 64), (5, 3, 28, 28)]
)
def test_images_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="28") as error:
        as_images(np.zeros(shape, np.uint8), "x", Reading(image_shape=(1, 28, 28)))
    assert error.value.fix


@given(
    shape=st.tuples(*[st.sampled_from([1, 2, 3, 5, 8])] * 4),
    known=st.sampled_from([None, "first", "last"]),
)
def test_every_layout_is_read_in_one_way_or_refused(
    shape: tuple[int, int, int, int], known: str | None
) -> None:
    """With the shape of an image known, no other than that comes out."""
    array = np.arange(np.prod(shape)).reshape(shape) % 251 + 2
    wanted = {None: None, "first": shape[1:], "last": (shape[3], *shape[1:3])}[known]
    try:
        images, _, _ = as_images(array, "x", Reading(image_shape=wanted))
    except DataError:
        color_first, color_last = shape[1] in (1, 3), shape[3] in (1, 3)
        if known is None:
            assert color_first == color_last
        else:
            assert wanted not in ((1, *shape[2:]), (3, *shape[2:])) or color_last
        return
    if known is not None:
        assert images.shape[1:] == wanted
    same = images.shape[1:] == shape[1:] and np.array_equal(images, array)
    moved = np.array_equal(images, array.transpose(0, 3, 1, 2))
    assert same or moved
