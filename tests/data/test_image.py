"""Reading and scaling pictures."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gpucnn.data.image import fit_image, is_picture, open_image
from gpucnn.data.resample import resize
from gpucnn.errors import DataError


def drawing(size: tuple[int, int], ink: int, paper: int, width: int) -> Image.Image:
    """A seven, off the middle of the sheet."""
    picture = Image.new("L", size, paper)
    points = [(0.1, 0.2), (0.4, 0.2), (0.2, 0.8)]
    scaled = [(x * min(size), y * min(size)) for x, y in points]
    ImageDraw.Draw(picture).line(scaled, fill=ink, width=width)
    return picture


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
    """Its size is checked before it is decoded."""
    Image.new("1", (10_000, 9_000)).save(tmp_path / "vast.png")
    with pytest.raises(DataError, match=r"vast\.png has 10000 x 9000 pixels") as error:
        open_image(tmp_path / "vast.png")
    assert "at most 25,000,000 are read" in (error.value.cause or "")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.png", True), ("A.JPEG", True), ("a.webp", True), ("a.tif", True), ("a.csv", False),
     ("a.eps", False), ("a.ico", False), ("png", False), ("a.h5", False),
     ("a.npy", False), ("a.mpg", False)],
)  # fmt: skip
def test_pictures_by_their_names(name: str, expected: bool) -> None:
    assert is_picture(name) == expected


def test_fit_image() -> None:
    color = np.zeros((10, 20, 3), dtype=np.uint8)
    color[..., 0] = 100
    assert fit_image(color, (3, 5, 5)).tolist() == [[[v] * 5] * 5 for v in (100, 0, 0)]
    assert fit_image(color, (1, 2, 2)).tolist() == [[[30, 30], [30, 30]]]
    assert fit_image(color[..., 0], (3, 1, 1)).tolist() == [[[100]], [[100]], [[100]]]


@pytest.mark.parametrize("size", [(20, 20), (8, 8), (3, 5), (1, 1), (50, 7)])
def test_resize_agrees_with_pillow(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((8, 13)).astype(np.float32)
    picture = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(resize(image, size), np.asarray(picture), atol=1e-5)
