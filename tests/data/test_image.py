"""Reading and scaling pictures."""

from __future__ import annotations

import gc
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from gpucnn.data.decoded import Decoded
from gpucnn.data.image import fit_image, is_picture, open_image, open_picture
from gpucnn.data.ink import reduced
from gpucnn.data.pictures import read_pictures
from gpucnn.data.reading import Reading
from gpucnn.data.resample import resize, resize_pieces
from gpucnn.errors import DataError

RNG = np.random.default_rng(0)


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


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_sixteen_bits_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"deep.{kind}"
    Image.fromarray(np.full((4, 4), 40000, dtype=np.uint16)).save(path)
    with pytest.raises(DataError, match="more than 8 bits a channel") as error:
        open_image(path)
    assert error.value.fix == "save it with 8 bits a channel"


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


def turned(picture: Image.Image, orientation: int, path: Path, **options: object) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(path, exif=exif, **options)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_parts_of_a_turned_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, orientation: int
) -> None:
    """A part is the same as cut out of the whole, which is turned as Pillow does it."""
    colors = RNG.integers(0, 256, (23, 31, 3), dtype=np.uint8)
    path = tmp_path / f"a.{suffix}"
    turned(Image.fromarray(colors), orientation, path)
    with Image.open(path) as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored))
    monkeypatch.setattr("gpucnn.data.decoded._PIECE", 100)
    picture, _ = open_picture(path)
    assert picture.shape == expected.shape
    np.testing.assert_array_equal(open_image(path), expected)
    for rows, columns in (
        (slice(3, 9), slice(None)),
        (slice(None), slice(5, 11)),
        (slice(4, 99), slice(0, 1)),
    ):
        np.testing.assert_array_equal(picture[rows, columns], expected[rows, columns])


def with_parts(mode: str) -> Image.Image:
    """A picture of a mode, with transparent parts where it can have them."""
    colors = Image.fromarray(RNG.integers(0, 256, (29, 37, 3), dtype=np.uint8))
    if mode == "P with alpha":
        return with_parts("RGBA").quantize(9)
    if mode == "gray P":
        return colors.convert("L").quantize(30)
    if mode in ("LA", "RGBA"):
        colors.putalpha(colors.getchannel(1))
    return colors.convert(mode)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("1", "png"), ("L", "png"), ("LA", "png"), ("P", "gif"), ("gray P", "png"),
     ("P with alpha", "png"), ("RGBA", "webp"), ("RGBA", "png"), ("CMYK", "jpg"), ("CMYK", "tif")],
)  # fmt: skip
def test_a_picture_in_strips_is_the_whole_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    with_parts(mode).save(path)
    whole = open_image(path)
    for piece in (1, 50, 80):
        monkeypatch.setattr("gpucnn.data.decoded._PIECE", piece)
        np.testing.assert_array_equal(open_image(path), whole)
        assert whole.ndim == (2 if mode in ("1", "L", "LA", "gray P") else 3)


def test_white_on_transparent_is_on_black_although_it_is_in_one_strip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = Image.new("RGBA", (20, 30), (255, 255, 255, 0))
    ImageDraw.Draw(picture).line([(3, 20), (15, 20)], fill=(255, 255, 255, 255))
    picture.save(tmp_path / "a.png")
    monkeypatch.setattr("gpucnn.data.decoded._PIECE", 40)
    image = open_image(tmp_path / "a.png")
    assert (int(image.min()), int(image.max())) == (0, 255)


@pytest.mark.parametrize("size", [(1, 1), (5, 9), (40, 3), (61, 97)])
@pytest.mark.parametrize("shape", [(1, 1), (37, 53), (3, 211), (101, 7)])
def test_scaling_in_pieces(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], size: tuple[int, int]
) -> None:
    """The same as at once, but for the rounding of sums."""
    image = RNG.integers(0, 256, shape, dtype=np.uint8)
    expected = resize(image, size)
    pieces = list(resize_pieces(lambda rows: image[rows].astype(float), shape, size))
    assert len(pieces) == 1
    np.testing.assert_array_equal(pieces[0][2], expected)
    monkeypatch.setattr("gpucnn.data.resample._WHOLE", 0)
    monkeypatch.setattr("gpucnn.data.resample._PIECE", 150)
    found = np.full(size, np.nan)
    for rows, columns, piece in resize_pieces(lambda rows: image[rows].astype(float), shape, size):
        found[rows, columns] = piece
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("colors", [False, True])
def test_large_pictures_are_fitted_as_small_ones(
    monkeypatch: pytest.MonkeyPatch, channels: int, colors: bool
) -> None:
    image = RNG.integers(0, 256, (97, 131, 3) if colors else (97, 131), dtype=np.uint8)
    expected = fit_image(image, (channels, 17, 13))
    monkeypatch.setattr("gpucnn.data.resample._WHOLE", 0)
    monkeypatch.setattr("gpucnn.data.resample._PIECE", 1000)
    monkeypatch.setattr("gpucnn.data.decoded._PIECE", 100)
    np.testing.assert_array_equal(fit_image(image, (channels, 17, 13)), expected)


@pytest.mark.parametrize("shape", [(41, 59, 3), (41, 59), (2, 59, 3), (41, 1)])
@pytest.mark.parametrize("factor", [2, 3, 7])
def test_reduced_in_strips(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], factor: int
) -> None:
    image = RNG.integers(0, 256, shape, dtype=np.uint8)
    box = slice(1, 39), slice(0, 50)
    part = image[box]
    down, across = (min(factor, side) for side in part.shape[:2])
    height, width = part.shape[0] // down, part.shape[1] // across
    blocks = part[: height * down, : width * across].reshape(height, down, width, across, -1)
    means = blocks.mean(axis=(1, 3))
    expected = means @ [0.299, 0.587, 0.114] if image.ndim == 3 else means[..., 0]
    for piece in (1, 60, 10**6):
        monkeypatch.setattr("gpucnn.data.decoded._PIECE", piece)
        np.testing.assert_allclose(reduced(image, factor, box), expected, rtol=1e-12)


def test_a_broken_picture_does_not_keep_its_pixels(tmp_path: Path) -> None:
    """Neither does a blank one, which was decoded before it was refused."""
    Image.new("L", (50, 40), 200).save(tmp_path / "blank.png")
    drawing((40, 30), 0, 255, 5).save(tmp_path / "seven.png")
    files = [tmp_path / "blank.png", tmp_path / "seven.png"]
    gc.collect()
    read = read_pictures(files, Reading(convert="mnist", skip_broken=True), "here")
    assert (read.kept, len(read.images)) == ([1], 1)
    assert not any(type(each) is Decoded for each in gc.get_objects())
