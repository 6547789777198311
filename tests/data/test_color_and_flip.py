"""Flips, crops and changes of color, against plain loops, and their bits on every device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gpucnn.data import Augment, Dataset, Loader
from gpucnn.data.augment import KINDS
from gpucnn.errors import UsageError

RNG = np.random.default_rng(0)
ALL = "flip,crop,color"
GRAY = (0.299, 0.587, 0.114)


def photographs(count: int, channels: int = 3, size: tuple[int, int] = (8, 11)) -> Dataset:
    images = RNG.integers(0, 256, (count, channels, *size), dtype=np.uint8)
    return Dataset("photographs", images, np.arange(count), count)


def augmented(dataset: Dataset, backend: Any, kinds: str, **options: Any) -> NDArray[Any]:
    """The images of epoch 0, in their order."""
    augment = Augment.of(kinds, image_shape=dataset.image_shape)
    loader = Loader(dataset, len(dataset), backend, shuffle=False, augment=augment, **options)
    result: NDArray[Any] = backend.to_numpy(loader.batch(0, 0)[0])
    return result


def gray(pixel: Any) -> float:
    weights = GRAY if len(pixel) == 3 else (1 / len(pixel),) * len(pixel)
    return sum(w * float(p) for w, p in zip(weights, pixel, strict=True))


def recolored(image: NDArray[np.uint8], factors: Any) -> NDArray[np.float64]:
    """One (C, H, W) image in float64, from 0 to 1, by the formula in `gpucnn.data.color`."""
    brightness, contrast, saturation = map(float, factors)
    channels, height, width = image.shape
    pixels = image / 255.0
    mean = sum(gray(pixels[:, i, j]) for i in range(height) for j in range(width))
    mean /= height * width
    result = np.empty_like(pixels)
    for i in range(height):
        for j in range(width):
            pixel = brightness * pixels[:, i, j]
            pixel = contrast * pixel + (1 - contrast) * brightness * mean
            if channels == 3:
                pixel = saturation * pixel + (1 - saturation) * gray(pixel)
            result[:, i, j] = [min(max(p, 0.0), 1.0) for p in pixel]
    return result


def factors(count: int, seed: int = 0) -> NDArray[np.float64]:
    """The factors (N, 3) of brightness, contrast and saturation of "color" in epoch 0."""
    from gpucnn import random

    names = ("brightness", "contrast", "saturation")
    units = [random.uniform((count, 1), seed, f"augment/{name}") for name in names]
    return 1 + 0.2 * (2 * np.concatenate(units, axis=1).astype(float) - 1)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("scale", "offset"), [(1 / 255, 0.0), (0.02, -1.5)])
def test_colors_agree_with_loops(backend: Any, channels: int, scale: float, offset: float) -> None:
    dataset = photographs(5, channels)
    found = augmented(dataset, backend, "color", scale=scale, offset=offset)
    assert found.dtype == np.float32
    for image, result, factor in zip(dataset.images, found, factors(5), strict=True):
        expected = recolored(image, factor) * 255 * scale + offset
        # About ten operations in float32 on numbers of at most the range of the pixels.
        np.testing.assert_allclose(result, expected, atol=20 * 255 * scale * 2**-24)


def test_factors_keep_their_bounds_and_use_them() -> None:
    augment = Augment(brightness=0.2, contrast=0.5, saturation=1.0)
    means = np.full((4000, 1), 0.5, np.float32)
    drawn = augment.draw(4000, seed=1, epoch=0, means=means)
    assert (drawn.dtype, drawn.shape) == (np.float32, (4000, 10))
    gain, lift, saturation = drawn[:, 7:].T
    brightness = gain + 2 * lift  # b c + (1 - c) b, as the mean is 1/2
    for values, most in ((brightness, 0.2), (gain / brightness, 0.5), (saturation, 1.0)):
        assert 1 - most - 1e-6 <= values.min() < 1 - 0.99 * most
        assert 1 + 0.99 * most < values.max() <= 1 + most + 1e-6
    assert np.abs(np.corrcoef([brightness, gain / brightness, saturation]) - np.eye(3)).max() < 0.08


def test_half_of_the_images_are_mirrored_exactly(backend: Any) -> None:
    dataset = photographs(400, 3, (4, 5))
    found = augmented(dataset, backend, "flip")
    same = augmented(dataset, backend, "flip", seed=1)
    plain = backend.to_numpy(Loader(dataset, 400, backend, shuffle=False).batch(0, 0)[0])
    mirrored = [np.array_equal(a, b[..., ::-1]) for a, b in zip(found, plain, strict=True)]
    kept = [np.array_equal(a, b) for a, b in zip(found, plain, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert abs(sum(mirrored) - 200) < 5 * 10  # 400 draws of two: a deviation of 10
    assert not np.array_equal(found, same)


@pytest.mark.parametrize(
    ("shape", "shift"), [((3, 32, 32), 4), ((1, 28, 28), 3), ((3, 64, 20), 2), ((3, 8, 9), 1)]
)
def test_a_crop_shifts_by_an_eighth_and_scales(shape: tuple[int, ...], shift: int) -> None:
    augment = Augment.of("crop", image_shape=shape)
    assert augment == Augment(shift=shift, scale=0.25)
    motion = augment.draw(2000, seed=0, epoch=0)
    assert set(motion[:, 0]) == set(motion[:, 1]) == set(range(-shift, shift + 1))
    assert 0.8 - 1e-6 <= motion[:, 3].min() < 0.801
    assert 1.249 < motion[:, 3].max() <= 1.25 + 1e-6


@pytest.mark.parametrize("kinds", ["flip", "crop", "color", ALL])
def test_every_device_gives_the_same_bits(backend: Any, kinds: str) -> None:
    from gpucnn.backend.cpu.backend import CpuBackend

    dataset = photographs(9)
    found = augmented(dataset, backend, kinds)
    np.testing.assert_array_equal(found, augmented(dataset, CpuBackend(), kinds))


def test_an_image_changes_the_same_in_any_batch(backend: Any) -> None:
    dataset = photographs(11, 3, (9, 8))
    augment = Augment.of(ALL, image_shape=dataset.image_shape)

    def epoch(batch_size: int, shuffle: bool) -> dict[int, bytes]:
        loader = Loader(dataset, batch_size, backend, seed=3, shuffle=shuffle, augment=augment)
        return {
            int(label): image.tobytes()
            for batch, labels in loader.epoch(2)
            for image, label in zip(backend.to_numpy(batch), backend.to_numpy(labels), strict=True)
        }

    assert epoch(4, True) == epoch(11, True) == epoch(3, False)


def test_a_list_has_the_larger_change_of_each() -> None:
    shape = (1, 28, 28)
    both = Augment.of("strokes, crop", image_shape=shape)
    assert (both.shift, both.scale, both.slant, both.flip) == (3, 0.25, 0.3, False)
    assert Augment.of("crop,strokes", image_shape=shape) == both
    assert Augment.of("flip,flip,color") == Augment(
        flip=True, brightness=0.2, contrast=0.2, saturation=0.2
    )
    assert Augment.of(ALL, shift=1, rotate=3.0, image_shape=shape) == Augment(
        1, 3.0, 0.25, flip=True, brightness=0.2, contrast=0.2, saturation=0.2
    )
    for wrong in ("flip,colour", "", "flip,", "Flip"):
        with pytest.raises(UsageError, match="unknown augment") as error:
            Augment.of(wrong)
        assert all(kind in str(error.value) for kind in KINDS) or "did you mean" in str(error.value)


@pytest.mark.parametrize(
    "options",
    [{"brightness": -0.1}, {"contrast": 1.5}, {"saturation": float("nan")}],
)
def test_impossible_factors(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(options))} is") as error:
        Augment(**options)
    assert error.value.exit_code == 2


def test_a_contrast_without_means_is_refused() -> None:
    with pytest.raises(UsageError, match="needs the mean"):
        Augment(contrast=0.1).draw(3, 0, 0)


@pytest.mark.parametrize("kinds", ["strokes", "flip", "crop", "color"])
def test_rows_of_numbers_cannot_be_augmented(backend: Any, kinds: str) -> None:
    rows = Dataset("rows", np.ones((4, 7), np.float32), None, 2)
    with pytest.raises(UsageError, match="rows cannot be augmented") as error:
        augmented(rows, backend, kinds)
    assert "(7,)" in str(error.value.cause)


def test_floats_are_mirrored_and_keep_their_colors(backend: Any) -> None:
    floats = Dataset("floats", RNG.random((4, 3, 8, 8)).astype(np.float32), None, 2)
    assert augmented(floats, backend, "flip,crop").shape == (4, 3, 8, 8)
    with pytest.raises(UsageError, match="the colors of floats cannot be changed"):
        augmented(floats, backend, "color")


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (32, 4)])
def test_a_crop_of_tiny_images_is_refused(backend: Any, size: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="crop needs images of at least 8x8") as error:
        augmented(photographs(4, 3, size), backend, "crop")
    assert "x".join(map(str, size)) in error.value.message
    assert augmented(photographs(4, 3, size), backend, "flip,color").shape == (4, 3, *size)
