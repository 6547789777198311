"""Reading pictures and converting them as MNIST's were."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gpucnn.data import load
from gpucnn.data.image import fit_image, is_picture, open_image
from gpucnn.data.mnist_form import to_mnist
from gpucnn.data.resample import resize
from gpucnn.errors import DataError


def centre_of_mass(image: NDArray[Any]) -> tuple[float, float]:
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


def test_mnist_images_drawn_large_dark_on_light_and_off_centre_come_back(
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
    # Where the centre of mass lies near the edge of a pixel, the place may differ by one.
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
def test_drawings_fill_the_box_and_are_centred(
    size: tuple[int, int], ink: int, paper: int, width: int
) -> None:
    converted = to_mnist(drawing(size, ink, paper, width))
    assert (converted.shape, converted.dtype) == ((28, 28), np.uint8)
    assert max(extent(converted)) == 20
    assert converted.max() == 255
    assert converted[0].sum() == converted[:, 0].sum() == 0  # dark background
    # MNIST's convention: the centre of mass lies in pixel 14 (rounding to 8 bits moves it little).
    for centre in centre_of_mass(converted):
        assert 13.95 < centre < 15.05


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
    assert np.corrcoef(converted.ravel(), expected.ravel())[0, 1] > 0.85


def test_specks_are_left_out_and_separate_strokes_are_not() -> None:
    sheet = np.full((200, 200), 220, dtype=np.uint8)
    sheet[60:140, 60:72] = sheet[60:140, 100:112] = 30  # an eleven
    expected = to_mnist(sheet)
    assert extent(expected) == (20, 13)
    for row, column in ((3, 190), (150, 20), (197, 4)):
        sheet[row : row + 3, column : column + 3] = 0
    np.testing.assert_allclose(to_mnist(sheet), expected, atol=1)
    diagonal = np.eye(60, dtype=np.uint8) * 255  # its pixels touch at corners alone
    diagonal[30, 45] = 255
    assert extent(to_mnist(np.pad(diagonal, 20))) == (20, 20)
    assert to_mnist(np.pad(diagonal, 20))[12, 19] == 0


def test_colour_and_transparency() -> None:
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


def test_single_pixel_of_ink() -> None:
    sheet = np.zeros((9, 9), dtype=np.uint8)
    sheet[2, 3] = 80
    assert extent(to_mnist(sheet)) == (20, 20)


@pytest.mark.parametrize("name", ["seven.png", "seven.jpg", "SEVEN.PNG", "seven.webp", "7.tif"])
def test_pictures_are_read_gray(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    picture = drawing((40, 30), 0, 255, 5)
    picture.save(path)
    image = open_image(path)
    image = image if image.ndim == 2 else image[..., 0]  # WebP has no gray
    lossy = "jpg" in name or "webp" in name
    np.testing.assert_allclose(image, np.asarray(picture), atol=40 if lossy else 0)


def test_a_palette_with_transparency(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """Pillow warns of it; the picture is read as it looks, and nobody is told how it was saved."""
    clear = Image.new("RGBA", (40, 30), (0, 0, 0, 0))
    ImageDraw.Draw(clear).line([(5, 5), (30, 5), (12, 25)], fill=(0, 0, 0, 255), width=4)
    clear.quantize(4).save(tmp_path / "palette.png")
    clear.save(tmp_path / "clear.png")
    with Image.open(tmp_path / "palette.png") as picture:
        assert isinstance(picture.info["transparency"], bytes)
    palette, plain = (open_image(tmp_path / name) for name in ("palette.png", "clear.png"))
    np.testing.assert_array_equal(palette, plain[..., 0])
    assert not recwarn.list


def test_rotation_in_the_picture_is_undone(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned a quarter clockwise
    Image.new("RGB", (40, 30)).save(tmp_path / "photo.jpg", exif=exif)
    assert open_image(tmp_path / "photo.jpg").shape == (40, 30, 3)


def test_sixteen_bits_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((4, 4), 40000, dtype=np.uint16)).save(path)
    with pytest.raises(DataError, match="more than 8 bits"):
        open_image(path)


def test_files_that_hold_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("text")
    Image.new("L", (40, 30)).save(tmp_path / "b.tiff")
    tiff = (tmp_path / "b.tiff").read_bytes()
    # The width as a fraction: Pillow raises TypeError on it.
    entry = struct.pack("<HHI", 256, 4, 1)
    assert entry in tiff
    (tmp_path / "b.png").write_bytes(tiff.replace(entry, struct.pack("<HHI", 256, 5, 1)))
    for name in ("a.png", "b.png", "none.png"):
        with pytest.raises(DataError) as error:
            open_image(tmp_path / name)
        assert str(tmp_path / name) in error.value.message
        assert error.value.fix
        assert error.value.exit_code == 4


def test_a_picture_that_would_fill_the_memory(tmp_path: Path) -> None:
    """Pillow warns of them, and a warning is nothing that a command can stop at."""
    Image.new("1", (10_000, 9_000)).save(tmp_path / "vast.png")
    with pytest.raises(DataError, match=r"vast\.png cannot be read") as error:
        open_image(tmp_path / "vast.png")
    assert "90000000 pixels" in (error.value.cause or "")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.png", True), ("A.JPEG", True), ("a.webp", True), ("a.tif", True), ("a.csv", False),
     ("png", False), ("a.h5", False), ("a.npy", False), ("a.mpg", False)],
)  # fmt: skip
def test_pictures_by_their_names(name: str, expected: bool) -> None:
    assert is_picture(name) == expected


def test_fit_image() -> None:
    colour = np.zeros((10, 20, 3), dtype=np.uint8)
    colour[..., 0] = 100
    assert fit_image(colour, (3, 5, 5)).tolist() == [[[v] * 5] * 5 for v in (100, 0, 0)]
    assert fit_image(colour, (1, 2, 2)).tolist() == [[[30, 30], [30, 30]]]
    assert fit_image(colour[..., 0], (3, 1, 1)).tolist() == [[[100]], [[100]], [[100]]]


@pytest.mark.parametrize("size", [(20, 20), (8, 8), (3, 5), (1, 1), (50, 7)])
def test_resize_agrees_with_pillow(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((8, 13)).astype(np.float32)
    picture = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(resize(image, size), np.asarray(picture), atol=1e-5)
