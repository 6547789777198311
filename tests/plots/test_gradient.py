"""The gradient of an image."""

from __future__ import annotations

import numpy as np
import pytest

from gpucnn import Tensor
from gpucnn.errors import DataError, DtypeError, ShapeError
from gpucnn.plots import image_gradient, show_image_gradient

pytest.importorskip("matplotlib")


def by_hand(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Central differences in float64, in plain loops; (H, W)."""
    H, W = image.shape
    dy, dx = np.zeros((H, W)), np.zeros((H, W))
    for y in range(H):
        for x in range(W):
            above, below = max(y - 1, 0), min(y + 1, H - 1)
            left, right = max(x - 1, 0), min(x + 1, W - 1)
            dy[y, x] = (float(image[below, x]) - float(image[above, x])) / (below - above)
            dx[y, x] = (float(image[y, right]) - float(image[y, left])) / (right - left)
    return dy, dx


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64, bool])
@pytest.mark.parametrize("shape", [(2, 2), (5, 3), (7, 11)])
def test_values(rng, dtype, shape):
    image = rng.integers(0, 256, shape).astype(dtype)
    expected = by_hand(image)
    for found, right in zip(image_gradient(image), expected, strict=True):
        assert found.dtype == (np.float32 if dtype in (np.float32, bool) else np.float64)
        assert found == pytest.approx(right, abs=1e-4)


def test_pixels_that_become_darker_have_a_negative_gradient():
    dy, dx = image_gradient(np.array([[255, 0], [255, 0]], np.uint8))
    assert (dx == -255).all()
    assert (dy == 0).all()


def test_a_ramp_has_its_slope_everywhere():
    y, x = np.mgrid[0:6, 0:9]
    dy, dx = image_gradient(3 * y - 2 * x)
    assert (dy == 3).all()
    assert (dx == -2).all()


def test_each_channel_by_itself(rng):
    image = rng.random((3, 6, 5))
    dy, dx = image_gradient(Tensor(image))
    for channel in range(3):
        found = image_gradient(image[channel])
        assert np.array_equal(found, (dy[channel], dx[channel]))


@pytest.mark.parametrize("shape", [(5,), (1, 5), (5, 1), (3, 1, 5), (2, 3, 4, 5), ()])
def test_what_is_no_image(shape):
    with pytest.raises(ShapeError, match="image_gradient: the image has the shape") as error:
        image_gradient(np.ones(shape))
    assert "at least 2 pixels" in error.value.cause


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 48, 3), (9, 8, 4)])
def test_channels_that_are_last(rng, shape):
    image = rng.integers(0, 256, shape, np.uint8)
    with pytest.raises(ShapeError, match=r"looks like \(H, W, C\)") as error:
        image_gradient(image)
    assert "transpose(2, 0, 1)" in error.value.fix
    if shape[2] < 4:  # the picture takes both layouts
        assert len(shown(show_image_gradient(image))) == 4


def test_what_has_no_gradient():
    with pytest.raises(ShapeError, match="empty"):
        image_gradient(np.zeros((0, 4)))
    with pytest.raises(DataError, match="image_gradient: the array holds NaN"):
        image_gradient([[0, np.nan], [0, 1]])
    with pytest.raises(DtypeError, match="image_gradient: a str holds no real numbers"):
        image_gradient("digits")


# ---- the picture ---------------------------------------------------------------------------


def shown(picture):
    return [axes for axes in picture.axes if axes.get_label() != "<colorbar>"]


def bars(picture) -> list[str]:
    return [axes.get_ylabel() for axes in picture.axes if axes.get_label() == "<colorbar>"]


@pytest.mark.parametrize("shape", [(9, 12), (1, 9, 12), (9, 12, 1), (1, 1, 9, 12)])
def test_the_picture_shows_image_gradient_and_magnitude(rng, shape):
    image = rng.integers(0, 256, (9, 12), dtype=np.uint8)
    picture = show_image_gradient(image.reshape(shape))
    axes = shown(picture)
    dy, dx = image_gradient(image)
    expected = (image, dx, dy, np.hypot(dx, dy))
    for each, array in zip(axes, expected, strict=True):
        assert np.asarray(each.images[0].get_array()) == pytest.approx(array)
        assert (each.get_xlabel(), each.get_ylabel()) == ("x (pixels)", "y (pixels)")
    most = np.hypot(dx, dy).max()
    limits = [each.images[0].get_clim() for each in axes]
    assert limits == [(0, 255), (-most, most), (-most, most), (0, most)]
    assert bars(picture) == ["gray levels", *["gray levels a pixel"] * 3]
    assert [each.get_title() for each in axes] == [
        "image", "dx: change to the right", "dy: change downward", "magnitude and direction"
    ]  # fmt: skip


@pytest.mark.parametrize("shape", [(9, 12), (3, 9, 12)])
def test_it_is_drawn(rng, shape):
    assert show_image_gradient(rng.random(shape)).png().startswith(b"\x89PNG")


def test_floats_have_no_gray_levels(rng):
    assert bars(show_image_gradient(rng.random((5, 6)))) == ["value", *["value a pixel"] * 3]


@pytest.mark.slow
def test_colors_have_the_gradient_of_their_mean(rng):
    image = rng.integers(0, 256, (3, 7, 8), dtype=np.uint8)
    picture = show_image_gradient(image.transpose(1, 2, 0))
    axes = shown(picture)
    assert np.asarray(axes[0].images[0].get_array()) == pytest.approx(
        image.transpose(1, 2, 0) / 255
    )
    _, dx = image_gradient(image.mean(axis=0))
    assert np.asarray(axes[1].images[0].get_array()) == pytest.approx(dx)
    assert bars(picture) == ["gray levels a pixel"] * 3


@pytest.mark.slow
def test_arrows_point_to_brighter_pixels():
    y, x = np.mgrid[0:40, 0:50]
    (arrows,) = shown(show_image_gradient(2 * x - y))[3].collections
    assert np.allclose(arrows.U, -2 * arrows.V)
    assert (arrows.U > 0).all()
    assert arrows.angles == "xy"
    assert len(arrows.U) <= 16 * 16
    flat = show_image_gradient(np.full((4, 5), 7))
    assert not len(shown(flat)[3].collections[0].U)


def test_pictures_of_what_is_no_image():
    with pytest.raises(ShapeError, match="show_image_gradient: a batch of 2 images"):
        show_image_gradient(np.zeros((2, 1, 4, 4)))
    with pytest.raises(ShapeError, match=r"show_image_gradient: \(5,\) is not the shape"):
        show_image_gradient(np.zeros(5))
    with pytest.raises(ShapeError, match="at least 2 pixels"):
        show_image_gradient(np.zeros((1, 5)))
