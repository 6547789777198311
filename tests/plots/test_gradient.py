"""The gradient of an image."""

from __future__ import annotations

import numpy as np
import pytest

from gpucnn import Tensor
from gpucnn.errors import DataError, DtypeError, ShapeError
from gpucnn.plots import image_gradient


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


def test_what_has_no_gradient():
    with pytest.raises(ShapeError, match="empty"):
        image_gradient(np.zeros((0, 4)))
    with pytest.raises(DataError, match="image_gradient: the array holds NaN"):
        image_gradient([[0, np.nan], [0, 1]])
    with pytest.raises(DtypeError, match="image_gradient: a str holds no real numbers"):
        image_gradient("digits")
