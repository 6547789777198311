"""Shifts, rotations and changes of form, against plain loops."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gpucnn import backend as backends
from gpucnn.data import Augment, Dataset, Loader
from gpucnn.errors import UsageError

RNG = np.random.default_rng(0)
NO_FORM = (1.0, 0.0, 0.0)  # size, slant, thickness
STROKES = Augment.of("strokes")


def apply(backend: Any, images: NDArray[Any], motion: Any, **options: float) -> NDArray[Any]:
    table = backend.asarray(np.array(motion, dtype=np.float32))
    augment = Augment(thinner=2.0, thicker=2.0)  # the bounds of the motions below
    moved = augment.apply(backend.xp, backend.asarray(images), table, **options)
    result: NDArray[Any] = backend.to_numpy(moved)
    return result


def reference(image: NDArray[Any], motion: Any, fill: float) -> NDArray[np.float64]:
    """One (H, W) image moved in float64: each output pixel looks back to where it came from."""
    height, width = image.shape
    down, right, angle, size, slant, thicker = (*map(float, motion), *NO_FORM)[:6]
    result = np.empty((height, width))
    for i in range(height):
        for j in range(width):
            # Mathematical axes: y upwards, angle counterclockwise.
            y = -(i - (height - 1) / 2 - down)
            x = j - (width - 1) / 2 - right
            x, y = (x - slant * y) / size, y / size
            back_x = x * math.cos(-angle) - y * math.sin(-angle)
            back_y = x * math.sin(-angle) + y * math.cos(-angle)
            row, column = (height - 1) / 2 - back_y, (width - 1) / 2 + back_x
            top, left = math.floor(row), math.floor(column)
            total = 0.0
            for r in (top, top + 1):
                for c in (left, left + 1):
                    weight = (1 - abs(row - r)) * (1 - abs(column - c))
                    inside = 0 <= r < height and 0 <= c < width
                    total += weight * (image[r, c] if inside else fill)
            result[i, j] = total
    return thickened(result, thicker)


def thickened(image: NDArray[Any], pixels: float) -> NDArray[np.float64]:
    """One (H, W) image with light strokes so many pixels thicker on each side; or thinner."""
    height, width = image.shape
    extremum = max if pixels > 0 else min
    while pixels:
        part = min(abs(pixels), 1.0)
        whole = [
            [
                extremum(
                    image[r, c]
                    for r, c in ((i, j), (i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1))
                    if 0 <= r < height and 0 <= c < width
                )
                for j in range(width)
            ]
            for i in range(height)
        ]
        image = image + part * (np.array(whole) - image)
        pixels = math.copysign(abs(pixels) - part, pixels)
    return image


def test_agrees_with_loops(backend: Any) -> None:
    images = RNG.random((5, 2, 6, 9)).astype(np.float32)
    motion = np.column_stack(
        [RNG.integers(-3, 4, 5), RNG.integers(-3, 4, 5), RNG.uniform(-1, 1, 5)]
    ).astype(np.float32)
    moved = apply(backend, images, motion, fill=0.25)
    assert moved.dtype == np.float32
    for n in range(5):
        for c in range(2):
            expected = reference(images[n, c].astype(float), motion[n], 0.25)
            # Coordinates of up to 9 pixels in float32, a few operations each.
            np.testing.assert_allclose(moved[n, c], expected, atol=16 * 9 * 2**-24)


@pytest.mark.parametrize("thickness", [0.0, 0.3, 1.0, 1.7, 2.0, -0.4, -1.0, -1.25])
def test_forms_agree_with_loops(backend: Any, thickness: float) -> None:
    images = RNG.random((3, 2, 8, 7)).astype(np.float32)
    motion = np.column_stack([
        RNG.integers(-2, 3, 3), RNG.integers(-2, 3, 3), RNG.uniform(-1, 1, 3),
        RNG.uniform(0.8, 1.25, 3), RNG.uniform(-0.5, 0.5, 3), np.full(3, thickness),
    ]).astype(np.float32)  # fmt: skip
    moved = apply(backend, images, motion, fill=-0.5)
    assert moved.dtype == np.float32
    for n in range(3):
        for c in range(2):
            expected = reference(images[n, c].astype(float), motion[n], -0.5)
            # As above; a size of 0.8 enlarges the coordinates.
            np.testing.assert_allclose(moved[n, c], expected, atol=24 * 9 * 2**-24)


def test_the_form_that_changes_nothing_keeps_all_bits(backend: Any) -> None:
    images = RNG.random((4, 1, 9, 9)).astype(np.float32)
    motion = np.column_stack([RNG.integers(-2, 3, (4, 2)), RNG.uniform(-1, 1, 4)])
    with_form = np.column_stack([motion, np.tile(NO_FORM, (4, 1))])
    expected = apply(backend, images, motion)
    np.testing.assert_array_equal(apply(backend, images, with_form), expected)


def test_a_slant_leans_the_top_to_the_right_and_a_size_enlarges(backend: Any) -> None:
    line = np.zeros((1, 1, 9, 9), np.float32)
    line[..., 2:7, 4] = 1
    leaning = apply(backend, line, [[0, 0, 0, 1, 1, 0]])[0, 0]
    assert [int(row.argmax()) for row in leaning[2:7]] == [6, 5, 4, 3, 2]
    larger = apply(backend, line, [[0, 0, 0, 2, 0, 0]])[0, 0]
    assert np.flatnonzero(larger[:, 4] > 0.4).tolist() == list(range(9))


@pytest.mark.parametrize(("down", "right"), [(0, 0), (2, 0), (0, -3), (-1, 4), (7, 7)])
def test_whole_shifts_copy_pixels_exactly(backend: Any, down: int, right: int) -> None:
    images = RNG.random((1, 1, 7, 8)).astype(np.float32)
    expected = np.zeros_like(images)
    for i in range(7):
        for j in range(8):
            if 0 <= i - down < 7 and 0 <= j - right < 8:
                expected[0, 0, i, j] = images[0, 0, i - down, j - right]
    np.testing.assert_array_equal(apply(backend, images, [[down, right, 0.0]]), expected)


def test_quarter_turn_is_counterclockwise(backend: Any) -> None:
    images = RNG.random((1, 1, 8, 8)).astype(np.float32)
    moved = apply(backend, images, [[0, 0, math.pi / 2]])
    np.testing.assert_allclose(moved[0, 0], np.rot90(images[0, 0]), atol=8 * 8 * 2**-23)


def test_motions_keep_their_bounds_and_use_them() -> None:
    motion = Augment(shift=2, rotate=15.0).draw(4000, seed=1, epoch=0)
    assert motion.dtype == np.float32
    for axis in (0, 1):
        values, counts = np.unique(motion[:, axis], return_counts=True)
        assert values.tolist() == [-2, -1, 0, 1, 2]
        # 4,000 draws of five: 800 each, with a deviation of 25.
        assert np.abs(counts - 800).max() < 5 * 25.3
    degrees = np.degrees(motion[:, 2])
    assert -15.0 <= degrees.min() < -14.5
    assert 14.5 < degrees.max() <= 15.0
    # Both kinds are drawn apart: no correlation beyond chance, 1/sqrt(4000) = 0.016.
    assert np.abs(np.corrcoef(motion.T) - np.eye(3)).max() < 5 * 0.016


def test_forms_keep_their_bounds_and_use_them() -> None:
    motion = STROKES.draw(4000, seed=1, epoch=0)
    assert motion.dtype == np.float32
    low = [-2, -2, -math.radians(12), 1 / 1.15, -0.3, -0.5]
    high = [2, 2, math.radians(12), 1.15, 0.3, 1.5]
    for column, least, most in zip(motion.T, low, high, strict=True):
        slack = 2e-3 * (most - least)
        assert least - 1e-6 <= column.min() < least + slack
        assert most - slack < column.max() <= most + 1e-6
    assert np.abs(np.corrcoef(motion.T) - np.eye(6)).max() < 5 * 0.016


def test_a_form_leaves_the_motion_as_it_is() -> None:
    """The streams are apart: shifts and angles are those of a training without forms."""
    motion = Augment(shift=2, rotate=12.0).draw(50, seed=3, epoch=4)
    np.testing.assert_array_equal(STROKES.draw(50, seed=3, epoch=4)[:, :3], motion)


def test_a_kind_with_a_shift_or_an_angle_of_its_own() -> None:
    assert Augment.of("strokes", 1, 5.0) == replace(STROKES, shift=1, rotate=5.0)
    assert Augment.of(None, 1, 5.0) == Augment(1, 5.0)
    with pytest.raises(UsageError, match="unknown augment 'stroke'") as error:
        Augment.of("stroke")
    assert "did you mean strokes" in str(error.value.fix)


@pytest.mark.parametrize("augment", [Augment(shift=2, rotate=15.0), STROKES])
def test_motions_change_with_seed_and_epoch(augment: Augment) -> None:
    np.testing.assert_array_equal(augment.draw(9, 1, 0), augment.draw(9, 1, 0))
    draws = {augment.draw(9, seed, epoch).tobytes() for seed in (1, 2) for epoch in (0, 1)}
    assert len(draws) == 4


@pytest.mark.parametrize("augment", [Augment(1, 30), STROKES])
def test_an_image_moves_the_same_in_any_batch(backend: Any, augment: Augment) -> None:
    images = RNG.integers(0, 256, (11, 1, 6, 6), dtype=np.uint8)
    dataset = Dataset("d", images, np.arange(11), 11)

    def epoch(batch_size: int, shuffle: bool) -> dict[int, bytes]:
        loader = Loader(dataset, batch_size, backend, seed=3, shuffle=shuffle, augment=augment)
        return {
            int(label): image.tobytes()
            for batch, labels in loader.epoch(2)
            for image, label in zip(backend.to_numpy(batch), backend.to_numpy(labels), strict=True)
        }

    assert epoch(4, True) == epoch(11, True) == epoch(3, False)


def test_an_image_moves_differently_each_epoch(backend: Any) -> None:
    images = RNG.integers(0, 256, (8, 1, 6, 6), dtype=np.uint8)
    loader = Loader(
        Dataset("d", images, None, 10), 8, backend, shuffle=False, augment=Augment(2, 30)
    )
    first, second = (backend.to_numpy(loader.batch(epoch, 0)[0]) for epoch in (0, 1))
    assert all(not np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("augment", [Augment(3, 40), STROKES])
def test_what_comes_in_from_outside_is_black_also_when_standardised(
    backend: Any, augment: Augment
) -> None:
    dataset = Dataset("d", np.zeros((20, 1, 6, 6), dtype=np.uint8), None, 10)
    loader = Loader(dataset, 20, backend, augment=augment, scale=0.01, offset=-0.75)
    images, _ = loader.batch(0, 0)
    # The weights inside and outside add up to one but for rounding.
    np.testing.assert_allclose(backend.to_numpy(images), -0.75, rtol=8 * 2**-24)


@pytest.mark.parametrize(
    "options",
    [
        {"shift": -1},
        {"shift": 1.5},
        {"rotate": -5.0},
        {"rotate": math.nan},
        {"scale": -0.1},
        {"slant": math.inf},
        {"thinner": math.nan},
        {"thicker": -1.0},
    ],
)
def test_impossible_motions(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))) as error:
        Augment(**options)
    assert error.value.exit_code == 2


def test_truth_tells_whether_anything_moves() -> None:
    assert not Augment()
    assert Augment(shift=1)
    assert Augment(rotate=0.5)
    assert Augment(thicker=0.5)


@pytest.mark.parametrize(
    ("shape", "shift"), [((6, 6), 6), ((6, 6), 40), ((4, 9), 4), ((9, 4), 5), ((3, 3), 3)]
)
def test_an_image_is_not_shifted_out_of_sight(shape: tuple[int, int], shift: int) -> None:
    dataset = Dataset("d", np.ones((4, 2, *shape), np.uint8), None, 10)
    cpu = backends.get("cpu")
    with pytest.raises(UsageError, match=f"shift is {shift}, and the images are") as error:
        Loader(dataset, 4, cpu, augment=Augment(shift))
    assert f"less than {min(shape)} pixels" in str(error.value.fix)
    (images, _) = Loader(dataset, 4, cpu, augment=Augment(min(shape) - 1)).batch(0, 0)
    assert (images.reshape(4, -1).max(axis=1) > 0).all()
