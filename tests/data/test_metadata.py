"""What a picture's file may hold beside its pixels."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_files import chunk
from PIL import Image

from gpucnn.data import metadata
from gpucnn.data.image import Upload, open_image
from gpucnn.errors import DataError

MOST = 20_000  # bytes
PIXELS = np.random.default_rng(3).integers(0, 256, (9, 7, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "_MOST", MOST)


def saved(kind: str, pixels: np.ndarray = PIXELS, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def parts(size: int, most: int, make: Callable[[bytes], bytes]) -> bytes:
    """As many blocks of at most `most` bytes as have `size` bytes together."""
    return b"".join(make(b"x" * min(most, size - k)) for k in range(0, size, most))


def jpeg(marker: int, most: int = 60_000) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        whole = saved("JPEG")
        more = parts(
            size, most, lambda x: b"\xff" + bytes([marker]) + struct.pack(">H", len(x) + 2) + x
        )
        return whole[:2] + more + whole[2:]

    return make


def png(kind: bytes, at_end: bool, most: int = 10**9) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        whole = saved("PNG")
        place = len(whole) - 12 if at_end else 33
        return whole[:place] + parts(size, most, lambda x: chunk(kind, x)) + whole[place:]

    return make


def gif(frame: int, most: int = 255) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        first = saved("GIF", PIXELS[..., 0])
        place = first.index(b"," + struct.pack("<4H", 0, 0, 7, 9))
        comment = b"!\xfe" + parts(size, most, lambda x: bytes([len(x)]) + x) + b"\0"
        again = first[:-1] if frame else first[:place]
        return again + comment + first[place:]

    return make


def tiff(size: int) -> bytes:
    return saved("TIFF", tiffinfo={65_000: b"x" * size})


def webp(size: int) -> bytes:
    frame = saved("WEBP", lossless=True)[12:]
    sides = b"".join((side - 1).to_bytes(3, "little") for side in (7, 9))
    content = b"WEBPVP8X" + struct.pack("<I", 10) + bytes([4, 0, 0, 0]) + sides + frame
    content += b"XMP " + struct.pack("<I", size) + bytes(size)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def ppm(size: int) -> bytes:
    return b"P6 #" + b"x" * size + b"\n7 9 255\n" + PIXELS.tobytes()


#: Name -> a picture with so many bytes of something else, and how many of them are too many.
FILES: dict[str, tuple[Callable[[int], bytes], int]] = {
    "JPEG comments": (jpeg(0xFE), MOST),
    "JPEG profile": (jpeg(0xE2), MOST),
    "JPEG short segments": (jpeg(0xE5, 1), MOST // 100),
    "PNG private": (png(b"abCd", at_end=False), MOST),
    "PNG private at the end": (png(b"abCd", at_end=True), MOST),
    "PNG short chunks at the end": (png(b"abCd", at_end=True, most=1), MOST // 30),
    "GIF comment": (gif(0), MOST),
    "GIF comment of the second frame": (gif(1), MOST),
    "GIF short blocks": (gif(0, 1), MOST // 30),
    "TIFF": (tiff, MOST),
    "WebP": (webp, MOST),
    "PPM": (ppm, MOST // 30),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("upload", [False, True])
def test_metadata_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, upload: bool
) -> None:
    make, size = FILES[name]

    def opened(content: bytes) -> np.ndarray:
        if upload:
            return open_image(Upload(content, "a.png"))
        (tmp_path / "a.png").write_bytes(content)
        return open_image(tmp_path / "a.png")

    expected = opened(make(0))
    np.testing.assert_array_equal(opened(make(size // 4)), expected)
    for too_many in (size, 3 * size):
        with pytest.raises(DataError, match=r"a\.png has too much beside its pixels") as error:
            opened(make(too_many))
    assert "tags have more than 20," in (error.value.cause or "")
    monkeypatch.setenv("GPUCNN_MAX_INPUT_MB", "1")
    np.testing.assert_array_equal(opened(make(10 * size)), expected)


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_packed_texts_count_as_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: bytes
) -> None:
    monkeypatch.setattr(metadata, "_MOST", 3_500_000)
    path = tmp_path / "a.png"
    for size, too_much in ((3, False), (4, True)):
        path.write_bytes(png(kind, at_end=True, most=1)(size))
        if too_much:
            with pytest.raises(DataError, match="too much beside"):
                open_image(path)
        else:
            np.testing.assert_array_equal(open_image(path), PIXELS)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF"])
def test_frames_of_an_animation_are_pixels(tmp_path: Path, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (9, 90, 90), dtype=np.uint8)
    frames = [Image.fromarray(frame) for frame in noise]
    path = tmp_path / "a.png"
    frames[0].save(path, kind, save_all=True, append_images=frames[1:])
    assert path.stat().st_size > 3 * MOST
    np.testing.assert_array_equal(open_image(path), noise[0])


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 90}, {"exif": bytes(8)}])
def test_the_size_of_a_webp_file_is_that_of_its_header(options: dict[str, Any]) -> None:
    for height, width in itertools.product((1, 7, 300), (1, 40, 1000)):
        content = saved("WEBP", np.zeros((height, width, 3), np.uint8), **options)
        assert metadata._pixels_of_webp(content[:30]) == height * width
    assert metadata._pixels_of_webp(content[:29]) == 0
    assert metadata._pixels_of_webp(saved("PNG")[:30]) == 0


def test_a_webp_file_of_many_pixels_is_read_whole(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)
    (tmp_path / "a.webp").write_bytes(saved("WEBP", noise, lossless=True))
    assert (tmp_path / "a.webp").stat().st_size > MOST
    np.testing.assert_array_equal(open_image(tmp_path / "a.webp"), noise)


@pytest.mark.parametrize("size", [1, 5, 64, 10**6])
def test_checksums_are_those_of_whole_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(metadata, "_PIECE", size)
    path = tmp_path / "a.png"
    whole = png(b"abCd", at_end=True)(300)
    path.write_bytes(whole)
    np.testing.assert_array_equal(open_image(path), PIXELS)
    for place in (-20, -30, -300, -312, -320, -330, 60):
        broken = bytearray(whole)
        broken[place] ^= 1
        path.write_bytes(broken)
        with pytest.raises(DataError, match="cannot be read as a picture"):
            open_image(path)


def scans(count: int) -> bytes:
    """A progressive JPEG file with more scans, which change nothing."""
    whole = saved("JPEG", np.full((9, 7), 50, np.uint8), progressive=True, quality=1)
    again = whole[whole.rindex(b"\xff\xc4") : -2]
    return whole[:-2] + (count - whole.count(b"\xff\xda")) * again + whole[-2:]


@pytest.mark.parametrize("padding", [0, 4090, 4091, 4092, 70_000])
def test_scans_of_a_jpeg_file_are_bounded(monkeypatch: pytest.MonkeyPatch, padding: int) -> None:
    monkeypatch.setattr(metadata, "_MOST", 10**6)

    def opened(count: int) -> np.ndarray:
        whole = scans(count)
        place = whole.rindex(b"\xff\xc4")
        more = b"\xff\xd0\xff\xff\xff\x00" + bytes(padding)  # which decoders skip
        return open_image(Upload(whole[:place] + more + whole[place:], "a"))

    np.testing.assert_array_equal(opened(100), opened(6))
    for count in (101, 300):
        with pytest.raises(DataError, match="cannot be read") as error:
            opened(count)
        assert error.value.cause == "it has more than 100 scans"


def test_scans_of_thumbnails_and_of_further_pictures_do_not_count() -> None:
    whole = saved("JPEG", exif=b"Exif\0\0" + 200 * b"\xff\xda")
    behind = 200 * b"\xff\xda\0\2"
    np.testing.assert_array_equal(
        open_image(Upload(whole + behind, "a")), open_image(Upload(saved("JPEG"), "a"))
    )


def test_segments_between_scans_count() -> None:
    whole = saved("JPEG", progressive=True)
    place = whole.rindex(b"\xff\xda")
    more = b"\xff\xfe\0\2" * (MOST // 30)
    with pytest.raises(DataError, match="too much beside its pixels"):
        open_image(Upload(whole[:place] + more + whole[place:], "a"))


@pytest.mark.parametrize("frame", [b"\xff\xc0", b"\xff\xc2"])
@pytest.mark.parametrize("side", [200, 5000])
def test_a_jpeg_file_with_few_of_its_pixels_is_refused(frame: bytes, side: int) -> None:
    whole = saved("JPEG", progressive=frame == b"\xff\xc2")
    size = whole.index(frame) + 5
    broken = whole[:size] + struct.pack(">HH", side, side) + whole[size + 4 :]
    if side == 200:
        broken = broken[: broken.index(b"\xff\xda") + 17] + b"\xff\xd9"
    with pytest.raises(DataError, match="cannot be read") as error:
        open_image(Upload(broken, "a"))
    assert error.value.cause == "most of its pixels are missing"


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("shape", [(1500, 1500), (1, 9000), (9000, 1), (1000, 999, 3)])
@pytest.mark.parametrize("options", [{}, {"optimize": True, "quality": 1}, {"subsampling": 0}])
def test_a_jpeg_file_of_one_color_has_all_of_its_pixels(
    shape: tuple[int, ...], progressive: bool, options: dict[str, Any]
) -> None:
    content = saved("JPEG", np.zeros(shape, np.uint8), progressive=progressive, **options)
    assert open_image(Upload(content, "a")).shape == shape


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_data_count_as_objects(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    expected = open_image(Upload(saved(kind), "a"))
    for size, is_too_large in ((MOST // 40, False), (MOST // 10, True)):
        exif = Image.Exif()
        exif[0x9286] = b"x" * size  # a comment
        content = saved(kind, exif=exif)
        if not is_too_large:
            np.testing.assert_array_equal(open_image(Upload(content, "a")), expected)
            continue
        with pytest.raises(DataError, match="too much beside its pixels"):
            open_image(Upload(content, "a"))
    monkeypatch.setenv("GPUCNN_MAX_INPUT_MB", "1")
    np.testing.assert_array_equal(open_image(Upload(content, "a")), expected)
