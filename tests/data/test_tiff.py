"""How many values the tags of a TIFF file may have."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gpucnn.data import tiff
from gpucnn.data.image import Upload, open_image
from gpucnn.errors import DataError

MOST = 2_000
PIXELS = np.random.default_rng(3).integers(0, 256, (60, 70, 3), dtype=np.uint8)
LONG, RATIONAL = 4, 5


@pytest.fixture(autouse=True)
def bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff, "_VALUES", MOST)


def read(content: bytes) -> np.ndarray:
    return open_image(Upload(content, "a.tif"))


def saved(pixels: np.ndarray = PIXELS, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "TIFF", **options)
    return stream.getvalue()


def made(order: str, is_big: bool, tags: dict[int, tuple[int, int, int]], size: int = 0) -> bytes:
    """A gray TIFF file of 8 x 8 pixels: tag -> (type, number of values, value or place)."""
    long, wide = ("Q", 8) if is_big else ("L", 4)
    whole = {
        256: (LONG, 1, 8),
        257: (LONG, 1, 8),
        258: (LONG, 1, 8),
        259: (LONG, 1, 1),
        262: (LONG, 1, 1),
        273: (LONG, 1, 2000),
        278: (LONG, 1, 8),
        279: (LONG, 1, 64),
        **tags,
    }
    head = struct.pack(order + "2sH", b"II" if order == "<" else b"MM", 43 if is_big else 42)
    head += struct.pack(order + "HHQ", 8, 0, 16) if is_big else struct.pack(order + "L", 8)
    content = head + struct.pack(order + ("Q" if is_big else "H"), len(whole))
    for tag, (kind, count, value) in sorted(whole.items()):
        number = struct.pack(order + ("L" if count == 1 else long), value).ljust(wide, b"\0")
        content += struct.pack(order + "HH" + long, tag, kind, count) + number
    return (content + bytes(wide)).ljust(2000, b"\0") + bytes(64 + size)


@pytest.mark.parametrize(("order", "is_big"), [("<", False), (">", False), ("<", True)])
@pytest.mark.parametrize("tags", [(273, 279), (324, 325), (279,), (325,)])
def test_strips_and_tiles_are_bounded(order: str, is_big: bool, tags: tuple[int, ...]) -> None:
    assert read(made(order, is_big, {})).shape == (8, 8)
    for count in (65, MOST // 3):
        with pytest.raises(DataError, match="cannot be read") as error:
            read(made(order, is_big, {tag: (LONG, count, 400) for tag in tags}, 10**6))
        assert error.value.cause == f"it has {count:,} strips or tiles for 8 x 8 pixels"


def test_a_large_size_allows_no_more_values() -> None:
    sides = {256: (LONG, 1, 2**31), 257: (LONG, 1, 2**31)}
    with pytest.raises(DataError, match="cannot be read") as error:
        read(made("<", False, {**sides, 273: (LONG, MOST, 400)}, 10 * MOST))
    assert error.value.cause == "its tags have more than 2,000 values"


@pytest.mark.parametrize(("order", "is_big"), [("<", False), (">", False), ("<", True)])
@pytest.mark.parametrize("kind", [3, LONG, RATIONAL, 6, 12])
@pytest.mark.parametrize("tag", [258, 282, 65_000])
def test_values_are_bounded(order: str, is_big: bool, kind: int, tag: int) -> None:
    with pytest.raises(DataError, match="cannot be read") as error:
        read(made(order, is_big, {tag: (kind, MOST, 2000)}, 10 * MOST))
    assert error.value.cause == "its tags have more than 2,000 values"
    assert read(made(order, is_big, {65_000: (kind, MOST // 2, 2000)}, 10 * MOST)).shape == (8, 8)


@pytest.mark.parametrize("kind", [1, 2, 7])
def test_bytes_are_no_values(kind: int) -> None:
    assert read(made("<", False, {65_000: (kind, 10 * MOST, 2000)}, 10 * MOST)).shape == (8, 8)


@pytest.mark.parametrize("inner", [34665, 34853, 40965])
def test_inner_directories_count(inner: int) -> None:
    content = made("<", False, {inner: (LONG, 1, 2064)})
    for count, is_too_many in ((MOST // 2, False), (MOST, True)):
        directory = struct.pack("<HHHLLL", 1, 65_000, RATIONAL, count, 2000, 0)
        if is_too_many:
            with pytest.raises(DataError, match="cannot be read"):
                read(content + directory + bytes(8 * count))
        else:
            assert read(content + directory + bytes(8 * count)).shape == (8, 8)


def test_directories_in_a_circle_end() -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read(made("<", False, {34665: (LONG, 1, 8)}))


@pytest.mark.parametrize("count", [2**16 - 1, 2**40, 2**64 - 1])
def test_the_number_of_tags_is_bounded(count: int) -> None:
    content = bytearray(made("<", True, {}, 10**6))
    content[16:24] = struct.pack("<Q", count)
    with pytest.raises(DataError, match="cannot be read"):
        read(bytes(content))


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1", "P", "CMYK"])
def test_good_files_are_read(compression: str | None, mode: str) -> None:
    picture = Image.fromarray(PIXELS).convert(mode)
    whole = [
        saved(np.asarray(picture), compression=compression, strip_size=rows * 70 * 4)
        for rows in (1, 100)
    ]
    np.testing.assert_array_equal(read(whole[0]), read(whole[1]))
