"""Drawings and photographs of digits in the form of MNIST's images."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import photos
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from selection import slow_except

from gpucnn.data import load
from gpucnn.data.ink import even_ink
from gpucnn.data.mnist_form import convert
from gpucnn.data.strokes import Strokes
from gpucnn.errors import DataError


def to_mnist(image: Any, name: str = "the image") -> NDArray[np.uint8]:
    return convert(image, name).image


def center_of_mass(image: NDArray[Any]) -> tuple[float, float]:
    """(row, column), where pixel i reaches from i to i + 1."""
    mass = image.astype(float)
    rows = mass.sum(axis=1) @ (np.arange(28) + 0.5) / mass.sum()
    return rows, mass.sum(axis=0) @ (np.arange(28) + 0.5) / mass.sum()


def extent(image: NDArray[Any]) -> tuple[int, int]:
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


@pytest.fixture(scope="module")
def mnist_images(mnist_dir: Path) -> NDArray[np.uint8]:
    test = load("mnist", mnist_dir, validation=0).test
    assert test is not None
    return test.images[:300, 0]


def drawing(size: tuple[int, int], ink: int, paper: int, width: int) -> Image.Image:
    """A seven, off the middle of the sheet."""
    picture = Image.new("L", size, paper)
    points = [(0.1, 0.2), (0.4, 0.2), (0.2, 0.8)]
    scaled = [(x * min(size), y * min(size)) for x, y in points]
    ImageDraw.Draw(picture).line(scaled, fill=ink, width=width)
    return picture


def test_mnist_images_come_back(mnist_images: NDArray[np.uint8]) -> None:
    """They are their own conversion, but for faint pixels and brightness."""
    difference = [np.abs(to_mnist(image).astype(float) - image).mean() for image in mnist_images]
    assert np.median(difference) < 0.5
    assert np.mean(np.array(difference) < 1.0) > 0.95


def test_mnist_images_drawn_large_dark_on_light_and_off_center_come_back(
    mnist_images: NDArray[np.uint8],
) -> None:
    correlations = []
    for number, image in enumerate(mnist_images[:60]):
        sheet = np.full((260, 320), 250, dtype=np.uint8)
        place = slice(10 + number, 10 + number + 140), slice(3 * (number % 50), None)
        large = np.kron(image, np.ones((5, 5)))
        part = sheet[place][:, :140]
        part[:] = 250 - np.rint(large * (230 / 255)).astype(np.uint8)
        converted = to_mnist(sheet)
        correlations.append(np.corrcoef(converted.ravel(), image.ravel())[0, 1])
    # Where the center of mass lies near the edge of a pixel, the place may differ by one.
    assert np.median(correlations) > 0.99
    assert np.mean(np.array(correlations) > 0.95) > 0.9


@pytest.mark.parametrize(
    ("size", "ink", "paper", "width"),
    [
        ((200, 200), 0, 255, 16),
        ((200, 200), 255, 0, 16),
        ((600, 300), 60, 190, 4),
        ((90, 400), 120, 40, 9),
        ((28, 28), 0, 255, 2),
    ],
)
def test_drawings_fill_the_box_and_are_centered(
    size: tuple[int, int], ink: int, paper: int, width: int
) -> None:
    converted = to_mnist(drawing(size, ink, paper, width))
    assert (converted.shape, converted.dtype) == ((28, 28), np.uint8)
    assert max(extent(converted)) == 20
    assert converted.max() == 255
    assert converted[0].sum() == converted[:, 0].sum() == 0  # dark background
    # MNIST's convention: the center of mass lies in pixel 14 (rounding to 8 bits moves it little).
    for center in center_of_mass(converted):
        assert 13.95 < center < 15.05


def test_proportions_are_kept() -> None:
    sheet = np.full((300, 300), 255, dtype=np.uint8)
    sheet[50:250, 100:150] = 0  # 4 times as high as wide
    assert extent(to_mnist(sheet)) == (20, 5)
    assert extent(to_mnist(sheet.T.copy())) == (5, 20)


def test_thin_strokes_become_bright() -> None:
    converted = to_mnist(drawing((800, 800), 0, 255, 3))
    assert (converted == 255).sum() >= 5  # not only where the strokes meet


def test_uneven_paper_and_noise_are_not_ink() -> None:
    clean = np.asarray(drawing((300, 300), 40, 200, 16)).astype(float)
    rows, columns = np.mgrid[:300, :300] / 300
    noise = np.random.default_rng(0).normal(0, 3, clean.shape)
    photo = np.clip(clean - 30 * columns - 20 * rows + noise, 0, 255).astype(np.uint8)
    expected = to_mnist(clean.astype(np.uint8))
    assert np.corrcoef(to_mnist(photo).ravel(), expected.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("sigma", [4, 8, 15])
@pytest.mark.parametrize(
    ("side", "ink", "paper", "width"),
    [
        (40, 0, 140, 4),
        (100, 255, 128, 8),
        (300, 20, 128, 16),
        (300, 90, 150, 16),
        (400, 60, 200, 3),
        (1200, 60, 200, 20),
    ],
)
def test_noise_does_not_shrink_the_digit(
    sigma: int, side: int, ink: int, paper: int, width: int
) -> None:
    picture = drawing((side, side), ink, paper, width)
    expected = to_mnist(picture)
    noise = np.random.default_rng(side).normal(0, sigma, (side, side))
    converted = to_mnist(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))
    assert max(extent(converted)) == 20
    assert photos.likeness(converted, expected) > 0.85


def test_specks_are_left_out_and_separate_strokes_are_not() -> None:
    sheet = np.full((200, 200), 220, dtype=np.uint8)
    sheet[60:72, 60:120] = sheet[84:140, 100:112] = 30  # a seven of two strokes
    expected = to_mnist(sheet)
    assert extent(expected) == (20, 15)
    for row, column in ((3, 190), (150, 20), (197, 4)):
        sheet[row : row + 3, column : column + 3] = 0
    np.testing.assert_allclose(to_mnist(sheet), expected, atol=1)
    diagonal = np.eye(60, dtype=np.uint8) * 255  # its pixels touch at corners alone
    diagonal[30, 45] = 255
    assert extent(to_mnist(np.pad(diagonal, 20))) == (20, 20)
    assert to_mnist(np.pad(diagonal, 20))[12, 19] == 0


def test_color_and_transparency() -> None:
    gray = drawing((120, 120), 0, 255, 12)
    expected = to_mnist(gray)
    np.testing.assert_array_equal(to_mnist(gray.convert("RGB")), expected)
    clear = Image.new("RGBA", gray.size, (0, 0, 0, 0))
    clear.paste((0, 0, 0, 255), mask=gray.point(lambda value: 255 - value))
    np.testing.assert_array_equal(to_mnist(clear), expected)
    red = Image.new("RGB", gray.size, "white")
    red.paste((200, 0, 0), mask=gray.point(lambda value: 255 - value))
    np.testing.assert_allclose(to_mnist(np.asarray(red)), expected, atol=2)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_blank_images_are_an_error(value: int) -> None:
    with pytest.raises(DataError, match=r"sheet\.png is blank") as error:
        to_mnist(np.full((50, 50), value, dtype=np.uint8), "sheet.png")
    assert error.value.exit_code == 4


@pytest.mark.parametrize("shorter", [1, 2, 3, 8, 27, 57])
@pytest.mark.parametrize("longer", [300, 1025, 5000, 30_000])
def test_thin_pictures(shorter: int, longer: int) -> None:
    """They are blank, or the middle of them is read; and they are as cheap as others."""
    block = np.full((shorter, longer), 255, dtype=np.uint8)
    block[:, longer // 3 : longer // 2] = 0
    noise = np.random.default_rng(0).integers(0, 256, block.shape, dtype=np.uint8)
    for picture in (noise, noise.T, np.stack([noise] * 3, axis=2)):
        with pytest.raises(DataError, match="is blank, or shows no digit"):
            to_mnist(picture)
    for picture in (block, block.T):
        with contextlib.suppress(DataError):
            assert to_mnist(picture).any()


def test_single_pixel_of_ink() -> None:
    sheet = np.zeros((9, 9), dtype=np.uint8)
    sheet[2, 3] = 80
    assert extent(to_mnist(sheet)) == (20, 20)


# How many of 12 photographs look to a nearest neighbor as the digits do that were drawn. A thick
# marker fills the holes of digits, and thin strokes look unlike MNIST's.
LEAST = {"marker": 10, "pencil": 9, "pen": 10, "phone": 10}


@pytest.fixture(scope="module")
def nearest(mnist_dir: Path) -> Any:
    """The label of the most similar of 6,000 training images, of images (N, 28, 28)."""
    train = load("mnist", mnist_dir, validation=0).train

    def prepared(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        rows = images.reshape(len(images), -1).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    known, labels = prepared(train.images[:6000]), train.labels[:6000]
    return lambda images: labels[(prepared(images) @ known.T).argmax(axis=1)]


@pytest.mark.parametrize("kind", slow_except(photos.KINDS, "pencil"))
def test_digits_in_photographs(kind: str, mnist_images: NDArray[np.uint8], nearest: Any) -> None:
    digits, number = mnist_images[:12], list(photos.KINDS).index(kind)
    converted, notes = [], 0
    for k, digit in enumerate(digits):
        rng = np.random.default_rng([number, k])
        found = convert(photos.photograph(kind, digit, rng, (300, 400)))
        converted.append(found.image)
        notes += bool(found.notes)
    agree = (nearest(np.stack(converted)) == nearest(digits)).sum()
    assert agree >= LEAST.get(kind, 11)
    assert notes <= 1


def row_of(digits: NDArray[np.uint8], gap: float, shaded: bool) -> NDArray[np.uint8]:
    """A photograph of digits side by side; the gap is a part of their height."""
    drawn = [photos.trimmed(photos.draw(digit, 90), 0.01) for digit in digits]
    ink, left = np.zeros((300, 600)), 40
    for digit in drawn:
        height, width = digit.shape
        top = 150 - height // 2
        ink[top : top + height, left : left + width] = digit
        left += width + round(gap * 90)
    scene = photos.Scene(np.random.default_rng(left), ink)
    if shaded:
        photos.shaded(scene)
        photos.ruled(scene)
    return scene.take()


@pytest.mark.parametrize("shaded", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("count", slow_except([2, 3, 4], 2))
def test_several_digits_in_one_picture_are_said(
    count: int, shaded: bool, mnist_images: NDArray[np.uint8]
) -> None:
    rows = [
        row_of(mnist_images[k : k + count], gap, shaded)
        for k in range(0, 60, 4)
        for gap in (0.15, 0.4)
    ]
    said = sum("several digits" in " ".join(convert(row).notes) for row in rows)
    assert said >= 0.95 * len(rows)


def test_one_digit_is_not_taken_for_several(mnist_images: NDArray[np.uint8]) -> None:
    assert sum(bool(convert(image).notes) for image in mnist_images) <= 1
    assert sum(bool(convert(255 - image).notes) for image in mnist_images) <= 1


def test_of_several_digits_the_one_nearest_to_the_center_is_read() -> None:
    font = ImageFont.load_default(120)
    both = Image.new("L", (400, 300), 255)
    ImageDraw.Draw(both).text((200, 150), "4", fill=0, font=font, anchor="mm")
    alone = to_mnist(both)
    ImageDraw.Draw(both).text((320, 150), "2", fill=0, font=font, anchor="mm")
    found = convert(both, "42.png")
    assert photos.likeness(found.image, alone) > 0.95
    assert found.notes == (
        "several digits in the picture; the one nearest to the center is read: "
        "crop the picture to one",
    )


def test_hardly_any_contrast_is_said() -> None:
    assert convert(drawing((200, 200), 0, 255, 16)).notes == ()
    (note,) = convert(drawing((200, 200), 190, 200, 16)).notes
    assert note.startswith("hardly any contrast")


@pytest.mark.parametrize(
    "effects",
    [
        (),
        (photos.shaded,),
        (photos.shaded, photos.noisy),
        (photos.shaded, photos.jpeg),
        (photos.shadow,),
        (photos.vignette, photos.noisy),
        (photos.colored, photos.shaded),
        (photos.chalk, photos.vignette),
    ],
)
def test_paper_alone_is_no_digit(effects: tuple[photos.Effect, ...]) -> None:
    for seed in range(3):
        scene = photos.Scene(np.random.default_rng(seed), np.zeros((360, 480)))
        for effect in effects:
            effect(scene)
        with pytest.raises(DataError, match=r"sheet\.png is blank"):
            to_mnist(scene.take(), "sheet.png")


@pytest.mark.slow
def test_a_photograph_of_twelve_megapixels(mnist_images: NDArray[np.uint8]) -> None:
    small = photos.photograph("shaded", mnist_images[0], np.random.default_rng(0), (750, 1000))
    large = np.asarray(Image.fromarray(small).resize((4000, 3000), Image.Resampling.BICUBIC))
    start = time.perf_counter()
    converted = to_mnist(large)
    assert time.perf_counter() - start < 10  # it takes less than one; machines may be busy
    assert photos.likeness(converted, to_mnist(small)) > 0.95


@pytest.mark.parametrize(("sheet", "table", "ink"), [(230, 30, 20), (120, 235, 20), (60, 200, 250)])
def test_a_sheet_on_a_table_is_no_digit(
    sheet: int, table: int, ink: int, mnist_images: NDArray[np.uint8]
) -> None:
    drawn = photos.trimmed(photos.draw(mnist_images[0], 150), 0.01)
    picture = np.full((400, 600), table, dtype=np.float64)
    picture[60:340, 100:480] = sheet
    picture[120 : 120 + drawn.shape[0], 220 : 220 + drawn.shape[1]] += drawn * (ink - sheet)
    assert photos.likeness(to_mnist(np.rint(picture).astype(np.uint8)), mnist_images[0]) > 0.9


@pytest.mark.parametrize("kind", ["frame", "circle", "buttons", "line"])
def test_what_is_drawn_around_a_digit_is_left_out(
    kind: str, mnist_images: NDArray[np.uint8]
) -> None:
    likenesses = []
    for k, digit in enumerate(mnist_images[:20]):
        drawn = photos.trimmed(photos.draw(digit, 150), 0.01)
        ink = np.zeros((300, 400))
        ink[70 : 70 + drawn.shape[0], 150 : 150 + drawn.shape[1]] = drawn
        alone = to_mnist(np.rint(255 * (1 - ink)).astype(np.uint8))
        sheet = Image.fromarray(np.rint(255 * (1 - ink)).astype(np.uint8))
        pen = ImageDraw.Draw(sheet)
        if kind == "frame":
            pen.rectangle((90, 20, 350, 260), outline=0, width=2 + k % 5)
        elif kind == "circle":
            pen.ellipse((70, 5, 365, 290), outline=0, width=2 + k % 5)
        elif kind == "buttons":
            for left in (60, 160, 260):
                pen.rectangle((left, 270, left + 60, 290), fill=90)
        else:
            pen.line((60, 285, 340, 285), fill=0, width=3)
        likenesses.append(photos.likeness(to_mnist(sheet), alone))
    assert np.mean(np.array(likenesses) > 0.95) >= 0.9


@pytest.mark.parametrize("factor", slow_except([1, 10], 1))
def test_drawings_without_a_margin(
    factor: int, mnist_images: NDArray[np.uint8], nearest: Any
) -> None:
    """Enlarged, they are soft besides. Of some an upright 1 is all that there is."""
    right, refused = 0, 0
    for image in mnist_images[:40]:
        tight = Image.fromarray(255 - photos.trimmed(image, 40))
        size = tight.width * factor, tight.height * factor
        try:
            converted = to_mnist(tight.resize(size, Image.Resampling.BICUBIC))
        except DataError:
            refused += 1
        else:
            right += int(nearest(converted[np.newaxis])[0] == nearest(image[np.newaxis])[0])
    assert refused <= 2
    assert right >= 37


def strokes_of(image: NDArray[np.uint8]) -> Strokes:
    ink = even_ink(image.astype(float))
    assert ink is not None
    return Strokes(ink, ink.amount > 0)


def test_of_many_digits_the_nearest_to_the_center_are_grouped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sheet = np.full((200, 300), 255, dtype=np.uint8)
    for row in range(10, 190, 20):
        for column in range(10, 290, 20):
            sheet[row : row + 12, column : column + 4] = 0
    strokes = strokes_of(sheet)
    every = strokes.digits()
    assert len(every) == 9 * 14
    monkeypatch.setattr("gpucnn.data.strokes._MOST", 7)
    assert strokes.digits()[:6] == every[:6]
    assert len(strokes.digits()) == 8  # and the main one


def test_specks_are_not_compared_with_each_other() -> None:
    """There are 40,000 here: each beside each would take minutes."""
    sheet = np.full((410, 410), 255, dtype=np.uint8)
    sheet[5:-5:2, 5:-5:2] = 0
    begun = time.process_time()
    assert len(strokes_of(sheet).digits()) > 1
    assert time.process_time() - begun < 5
