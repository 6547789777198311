"""Digits on paper with dark lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import photos
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gpucnn.data import load
from gpucnn.data.mnist_form import convert
from gpucnn.data.ruling import without_ruling
from gpucnn.errors import DataError

DARK = (60, 80, 160)


@pytest.fixture(scope="module")
def digits(mnist_dir: Path) -> NDArray[np.uint8]:
    """A 3, a 4 and a 9."""
    test = load("mnist", mnist_dir, validation=0).test
    assert test is not None
    return np.stack([test.images[test.labels == label][1, 0] for label in (3, 4, 9)])


def lines(
    size: tuple[int, int],
    distance: float,
    thickness: float,
    tilt: float = 0.0,
    count: int | None = None,
    margin: int = 0,
    start: float = 1 / 3,
) -> NDArray[np.float64]:
    """(H, W), 1 on lines along the rows, 0 elsewhere.

    Args:
        tilt: rise of the lines, as a part of their length.
        count: of the lines; None for all.
        margin: pixels between the lines and the left and right borders.
        start: the height of the first of `count` lines, as a part of that of the picture.
    """
    rows, columns = np.mgrid[: size[0], : size[1]].astype(float)
    down = rows + tilt * columns - size[0] * start
    off = np.abs((down + distance / 2) % distance - distance / 2)
    drawn = np.clip(thickness / 2 + 0.5 - off, 0, 1)
    if count is not None:
        drawn *= (down > -distance / 2) & (down < (count - 0.5) * distance)
    return drawn * (np.minimum(columns, size[1] - 1 - columns) >= margin)


def page(
    digit: NDArray[np.uint8] | None,
    drawn: NDArray[np.float64],
    color: tuple[int, int, int] = DARK,
    stroke: float | None = None,
) -> NDArray[np.uint8]:
    """A digit on paper with lines, uint8 (H, W, 3)."""
    height, width = drawn.shape
    sheet = 245 + (np.array(color, float) - 245) * drawn[..., np.newaxis]
    if digit is not None:
        ink = photos.trimmed(photos.draw(digit, 0.45 * min(height, width), stroke), 0.01)
        top, left = (height - ink.shape[0]) // 2, (width - ink.shape[1]) // 3
        place = sheet[top : top + ink.shape[0], left : left + ink.shape[1]]
        place += (np.array([25, 25, 70]) - place) * ink[..., np.newaxis]
    return np.rint(sheet).astype(np.uint8)


SIZE = (360, 480)
SQUARES = np.maximum(lines(SIZE, 25, 2), lines(SIZE[::-1], 25, 2).T)
MARGIN = np.zeros(SIZE)
MARGIN[:, 50:53] = 1
RULINGS: dict[str, tuple[NDArray[np.float64], dict[str, Any]]] = {
    "1 pixel": (lines(SIZE, 40, 1), {}),
    "2 pixels": (lines(SIZE, 30, 2), {}),
    "4 pixels": (lines(SIZE, 60, 4), {}),
    "as dark as the ink": (lines(SIZE, 40, 2), {"color": (20, 20, 40)}),
    "gray": (lines(SIZE, 40, 2), {"color": (130, 130, 130)}),
    "thin pen": (lines(SIZE, 40, 2), {"stroke": 0.03}),
    "thick pen": (lines(SIZE, 40, 2), {"stroke": 0.15}),
    "upright": (lines(SIZE[::-1], 40, 2).T, {}),
    "margin": (np.maximum(lines(SIZE, 40, 2), MARGIN), {}),
    "squares": (SQUARES, {}),
    "three": (lines(SIZE, 60, 2, count=3), {}),
    "not up to the border": (lines(SIZE, 40, 2, margin=50), {}),
    "tilted": (lines(SIZE, 40, 3, tilt=0.03), {}),
    "large": (lines((1080, 1440), 90, 6), {}),
    "small": (lines((180, 240), 20, 1), {}),
}


@pytest.mark.parametrize("kind", RULINGS)
def test_dark_lines_are_painted_over(kind: str, digits: NDArray[np.uint8]) -> None:
    drawn, options = RULINGS[kind]
    for digit in digits:
        plain = convert(page(digit, np.zeros_like(drawn), **options)).image
        found = convert(page(digit, drawn, **options))
        assert photos.likeness(found.image, plain) > 0.9
        assert found.notes == ()


def test_light_lines_on_a_dark_board(digits: NDArray[np.uint8]) -> None:
    plain = convert(page(digits[0], np.zeros(SIZE))).image
    for drawn in (SQUARES, RULINGS["tilted"][0]):
        assert photos.likeness(convert(255 - page(digits[0], drawn)).image, plain) > 0.9


def test_a_scan_in_black_and_white(digits: NDArray[np.uint8]) -> None:
    plain = convert(page(digits[0], np.zeros(SIZE))).image
    scan = Image.fromarray(page(digits[0], SQUARES)).convert("1", dither=Image.Dither.NONE)
    assert photos.likeness(convert(scan).image, plain) > 0.9


@pytest.mark.parametrize("kind", ["2 pixels", "squares", "margin"])
def test_ruled_paper_alone_is_no_digit(kind: str) -> None:
    with pytest.raises(DataError, match=r"sheet\.png is blank"):
        convert(page(None, RULINGS[kind][0]), "sheet.png")


CURVED = lines(SIZE, 40, 3)
for column in range(SIZE[1]):
    CURVED[:, column] = np.roll(CURVED[:, column], round(25 * (column / 240 - 1) ** 2))
UNLIKE = {
    "a line through it": lines(SIZE, 170, 3, count=1, start=0.4),
    "steep lines": lines(SIZE, 40, 3, tilt=0.15),
    "curved lines": CURVED,
}


@pytest.mark.parametrize("kind", UNLIKE)
def test_lines_that_stay_are_said(kind: str, digits: NDArray[np.uint8]) -> None:
    for digit in digits:
        note = convert(page(digit, UNLIKE[kind])).notes[-1]
        assert note.startswith("its shape is unlike that of a digit")


def test_an_8_of_a_thin_pen_has_no_note() -> None:
    """It has four strokes above each other."""
    sheet = Image.new("L", (480, 360), 250)
    pen = ImageDraw.Draw(sheet)
    for top in (60, 178):
        pen.polygon([(180, top + 60), (240, top), (300, top + 60), (240, top + 120)], outline=20)
    assert convert(sheet).notes == ()


def test_pictures_without_ruling_are_left_as_they_are(digits: NDArray[np.uint8]) -> None:
    noise = np.random.default_rng(0).normal(200, 10, SIZE)
    pictures = [np.full(SIZE, 200.0), noise, *digits.astype(float)]
    for size in (SIZE, (150, 100)):
        for stroke in (None, 0.02):
            pictures += [page(each, np.zeros(size), stroke=stroke).mean(axis=2) for each in digits]
    bars = np.full(SIZE, 250.0)  # an 8 of straight strokes
    for row in (40, 178, 316):
        bars[row : row + 4, 80:340] = 20
    bars[40:320, 80:84] = bars[40:320, 336:340] = 20
    pictures.append(bars)
    for picture in pictures:
        for each in (picture, 255 - picture):
            assert without_ruling(each) is each
